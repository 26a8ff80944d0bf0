/* A provider that answers at once, so that a benchmark measures what stands before it.
 *
 *   upstream PORT
 *
 * One thread, epoll, keep-alive, one request at a time on a connection. The path says what is answered:
 *   .../d50/...   after 50 ms            anything else: at once
 * and an x-bench-stream header what kind: with it an SSE stream of 50 deltas, a finish, usage and [DONE], each event in
 * a write of its own and 2 ms after the one before, as a model would; otherwise a chat completion of 1.2 KB. Bodies are
 * skipped by their content-length.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FDS = 65536, HEAD = 16384, DELAY_US = 50000, PACE_US = 2000, DELTAS = 50 };

struct connection {
    char head[HEAD];
    int used;          /* bytes of the head so far */
    long body_left;    /* bytes of the body to come; -1 while in the head */
    int streamed, delayed, next_event;
};

static struct connection *connections[MAX_FDS];
static char whole[4096], events[DELTAS + 3][512];
static int whole_length, event_length[DELTAS + 3];

/* Delays of one length end in the order they began, so a ring is a timer queue: one for answers, one for events. */
struct ring {
    struct { int fd; int64_t due_us; struct connection *of; } waiting[MAX_FDS];
    unsigned first, after;
};
static struct ring answers, paces;

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void chunk(int n, const char *data) {
    event_length[n] = snprintf(events[n], sizeof events[n], "%zx\r\n%s\r\n", strlen(data), data);
}

static void prepare(void) {
    static const char *usage = "\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":50,\"total_tokens\":250,"
                               "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
                               "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0}}";
    char text[700], body[2048], event[512];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    int n = snprintf(body, sizeof body,
        "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"gpt-5-mini-2025-08-07\","
        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null},"
        "\"logprobs\":null,\"finish_reason\":\"stop\"}],%s,\"service_tier\":\"default\"}", text, usage);
    whole_length = snprintf(whole, sizeof whole,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\n"
        "x-ratelimit-remaining-tokens: 1000000\r\ncontent-length: %d\r\n\r\n%s", n, body);
    const char *chunk_format = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1,"
        "\"model\":\"gpt-5-mini-2025-08-07\",\"choices\":[{\"index\":0,\"delta\":{%s},\"finish_reason\":%s}]}\n\n";
    for (int i = 0; i < DELTAS; i++) {
        snprintf(event, sizeof event, chunk_format, "\"content\":\" token\"", "null");
        chunk(i, event);
    }
    snprintf(event, sizeof event, chunk_format, "", "\"stop\"");
    chunk(DELTAS, event);
    snprintf(event, sizeof event, "data: {\"id\":\"chatcmpl-bench\",\"model\":\"gpt-5-mini-2025-08-07\",\"choices\":[],%s}\n\n", usage);
    chunk(DELTAS + 1, event);
    chunk(DELTAS + 2, "data: [DONE]\n\n");
    strcat(events[DELTAS + 2], "0\r\n\r\n");
    event_length[DELTAS + 2] += 5;
}

static void wait_for(struct ring *ring, int fd, struct connection *c, int64_t us) {
    unsigned i = ring->after++ % MAX_FDS;
    ring->waiting[i].fd = fd;
    ring->waiting[i].of = c;
    ring->waiting[i].due_us = now_us() + us;
}

static void next_event(int fd, struct connection *c) {
    (void)!write(fd, events[c->next_event], event_length[c->next_event]);
    if (++c->next_event < DELTAS + 3) {
        wait_for(&paces, fd, c, PACE_US);
    } else {
        c->used = 0;
        c->body_left = -1;
    }
}

static void answer(int fd, struct connection *c) {
    static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    if (c->streamed) {
        (void)!write(fd, head, sizeof head - 1);
        c->next_event = 0;
        next_event(fd, c);
    } else {
        (void)!write(fd, whole, whole_length);
        c->used = 0;
        c->body_left = -1;
    }
}

static void run_due(struct ring *ring, void (*then)(int, struct connection *)) {
    for (int64_t now = now_us(); ring->first != ring->after && ring->waiting[ring->first % MAX_FDS].due_us <= now;) {
        unsigned i = ring->first++ % MAX_FDS;
        if (ring->waiting[i].of)
            then(ring->waiting[i].fd, ring->waiting[i].of);
    }
}

static int left_ms(struct ring *ring, int timeout) {
    if (ring->first == ring->after)
        return timeout;
    int64_t left = ring->waiting[ring->first % MAX_FDS].due_us - now_us();
    int ms = left <= 0 ? 0 : (int)((left + 999) / 1000);
    return timeout < 0 || ms < timeout ? ms : timeout;
}

static void request_complete(int fd, struct connection *c) {
    if (!c->delayed) {
        answer(fd, c);
        return;
    }
    wait_for(&answers, fd, c, DELAY_US);
}

static void drop_from(struct ring *ring, int fd) {
    for (unsigned i = ring->first; i != ring->after; i++)
        if (ring->waiting[i % MAX_FDS].fd == fd)
            ring->waiting[i % MAX_FDS].of = NULL;
}

static void forget(int fd) {
    drop_from(&answers, fd);
    drop_from(&paces, fd);
    free(connections[fd]);
    connections[fd] = NULL;
    close(fd);
}

static void take(int fd, struct connection *c, char *data, long size) {
    if (c->body_left < 0) {
        long kept = c->used + size > HEAD - 1 ? HEAD - 1 - c->used : size;
        long beyond = size - kept; /* of a body that came with its head */
        memcpy(c->head + c->used, data, kept);
        c->used += kept;
        c->head[c->used] = 0;
        char *end = memmem(c->head, c->used, "\r\n\r\n", 4);
        if (!end)
            return;
        char *length = strcasestr(c->head, "\r\ncontent-length:");
        long body = length && length < end ? atol(length + 17) : 0;
        c->delayed = memmem(c->head, end - c->head, "/d50/", 5) != NULL;
        c->streamed = strcasestr(c->head, "\r\nx-bench-stream:") != NULL;
        c->body_left = body - beyond - (c->used - (end + 4 - c->head));
    } else {
        c->body_left -= size;
    }
    if (c->body_left <= 0)
        request_complete(fd, c);
}

int main(int argc, char **argv) {
    int port = argc > 1 ? atoi(argv[1]) : 0, one = 1;
    signal(SIGPIPE, SIG_IGN); /* a load generator leaves in the middle of a stream */
    prepare();
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 1024)) {
        perror("upstream");
        return 1;
    }
    socklen_t size = sizeof here;
    getsockname(listener, (struct sockaddr *)&here, &size);
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[256];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    static char data[1 << 18];
    for (;;) {
        int n = epoll_wait(poll, ready, 256, left_ms(&paces, left_ms(&answers, -1)));
        run_due(&answers, answer);
        run_due(&paces, next_event);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) {
                int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (client < 0 || client >= MAX_FDS)
                    continue;
                setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                connections[client] = calloc(1, sizeof(struct connection));
                connections[client]->body_left = -1;
                event.data.fd = client;
                epoll_ctl(poll, EPOLL_CTL_ADD, client, &event);
                continue;
            }
            long got = read(fd, data, sizeof data);
            if (got <= 0) {
                if (got < 0 && errno == EAGAIN)
                    continue;
                forget(fd);
            } else {
                take(fd, connections[fd], data, got);
            }
        }
    }
}
