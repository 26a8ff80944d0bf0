/* A provider that answers at once, so that a benchmark measures what stands before it.
 *
 *   upstream PORT
 *
 * One thread, epoll, keep-alive, one request at a time on a connection. The path says what is answered:
 *   .../d50/...   after 50 ms            anything else: at once
 * and an x-bench-stream header what kind: with it an SSE stream of 50 deltas, a finish, usage and [DONE], each event in
 * a write of its own; otherwise a chat completion of 1.2 KB. Bodies are skipped by their content-length.
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

enum { MAX_FDS = 65536, HEAD = 16384, DELAY_MS = 50, DELTAS = 50 };

struct connection {
    char head[HEAD];
    int used;          /* bytes of the head so far */
    long body_left;    /* bytes of the body to come; -1 while in the head */
    int streamed, delayed;
};

static struct connection *connections[MAX_FDS];
static char whole[4096], events[DELTAS + 3][512];
static int whole_length, event_length[DELTAS + 3];

/* Constant delays end in the order they began, so a ring is a timer queue. */
static struct { int fd; int64_t due_us; struct connection *of; } waiting[MAX_FDS];
static unsigned first_waiting, after_waiting;

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

static void answer(int fd, struct connection *c) {
    static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    if (!c->streamed) {
        (void)!write(fd, whole, whole_length);
    } else {
        (void)!write(fd, head, sizeof head - 1);
        for (int i = 0; i < DELTAS + 3; i++)
            (void)!write(fd, events[i], event_length[i]);
    }
    c->used = 0;
    c->body_left = -1;
}

static void request_complete(int fd, struct connection *c) {
    if (!c->delayed) {
        answer(fd, c);
        return;
    }
    waiting[after_waiting % MAX_FDS].fd = fd;
    waiting[after_waiting % MAX_FDS].of = c;
    waiting[after_waiting++ % MAX_FDS].due_us = now_us() + DELAY_MS * 1000;
}

static void forget(int fd) {
    for (unsigned i = first_waiting; i != after_waiting; i++)
        if (waiting[i % MAX_FDS].fd == fd)
            waiting[i % MAX_FDS].of = NULL;
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
        int timeout = -1;
        if (first_waiting != after_waiting) {
            int64_t left = waiting[first_waiting % MAX_FDS].due_us - now_us();
            timeout = left <= 0 ? 0 : (int)((left + 999) / 1000);
        }
        int n = epoll_wait(poll, ready, 256, timeout);
        for (int64_t now = now_us(); first_waiting != after_waiting && waiting[first_waiting % MAX_FDS].due_us <= now;) {
            unsigned i = first_waiting++ % MAX_FDS;
            if (waiting[i].of)
                answer(waiting[i].fd, waiting[i].of);
        }
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
