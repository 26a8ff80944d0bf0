/* A provider that answers at once, so that a benchmark measures what stands before it.
 *
 *   upstream PORT [FOLDER]
 *
 * One thread, epoll, keep-alive, one request at a time on a connection. The path says what is answered:
 *   .../d50/...   after 50 ms            anything else: at once
 * and an x-bench-stream header what kind: with it an SSE stream of 50 deltas, a finish, usage and [DONE], each event in
 * a write of its own and 2 ms after the one before, as a model would; otherwise a chat completion of 1.2 KB. Bodies are
 * skipped by their content-length.
 *
 * An x-bench-answer header names another answer than these: FOLDER/NAME.body, or FOLDER/NAME.events, whose first line is
 * the content type and whose events stand between lines of "%%".
 *
 * FOLDER/count is a shared count of the answers and events that were sent, so that a rate can be taken in any moment.
 *
 * An x-bench-faults header makes every tenth answer a broken one: a reset before or within it, a 500, no HTTP, silence
 * and then a reset, each as often as the others.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FDS = 65536, HEAD = 16384, DELAY_US = 50000, PACE_US = 2000, DELTAS = 50, MAX_ANSWERS = 32, MAX_EVENTS = 64 };

struct answer {
    char name[64], head[256];
    char *whole, *events[MAX_EVENTS];
    int whole_length, event_length[MAX_EVENTS], event_count, head_length;
};

struct connection {
    char head[HEAD];
    int used;          /* bytes of the head so far */
    long body_left;    /* bytes of the body to come; -1 while in the head */
    int streamed, delayed, faulty, next_event;
    struct answer *answer;
};

static struct connection *connections[MAX_FDS];
static struct answer known[MAX_ANSWERS]; /* the first is the chat completion */
static int known_count = 1;
static uint64_t unshared, *sent = &unshared;

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

static void chunk(struct answer *a, const char *data, size_t size) {
    if (a->event_count == MAX_EVENTS)
        return;
    char *event = malloc(size + 64);
    int n = sprintf(event, "%zx\r\n", size);
    memcpy(event + n, data, size);
    memcpy(event + n + size, "\r\n0\r\n\r\n", 8); /* the end is sent with the last event only */
    a->events[a->event_count] = event;
    a->event_length[a->event_count++] = n + size + 2;
}

static void whole_body(struct answer *a, const char *body, size_t size) {
    a->whole = malloc(size + 512);
    a->whole_length = sprintf(a->whole,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\n"
        "x-ratelimit-remaining-tokens: 1000000\r\ncontent-length: %zu\r\n\r\n", size);
    memcpy(a->whole + a->whole_length, body, size);
    a->whole_length += size;
}

static void stream_head(struct answer *a, const char *type) {
    a->head_length = snprintf(a->head, sizeof a->head,
        "HTTP/1.1 200 OK\r\ncontent-type: %s\r\ntransfer-encoding: chunked\r\n\r\n", type);
}

static struct answer *answer_named(const char *name, size_t length, int make) {
    for (int i = 1; i < known_count; i++)
        if (strlen(known[i].name) == length && !strncmp(known[i].name, name, length))
            return &known[i];
    if (!make || known_count == MAX_ANSWERS || length >= sizeof known[0].name)
        return NULL;
    memcpy(known[known_count].name, name, length);
    return &known[known_count++];
}

static char *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    *size = ftell(file);
    rewind(file);
    char *data = calloc(1, *size + 1);
    *size = fread(data, 1, *size, file);
    fclose(file);
    return data;
}

static void take_file(const char *folder, const char *file) {
    char path[4096];
    const char *dot = strrchr(file, '.');
    size_t size;
    if (!dot || (strcmp(dot, ".body") && strcmp(dot, ".events")))
        return;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    char *data = read_file(path, &size);
    struct answer *a = data ? answer_named(file, dot - file, 1) : NULL;
    if (!a)
        return;
    if (!strcmp(dot, ".body")) {
        whole_body(a, data, size);
        return;
    }
    char *line = strchr(data, '\n');
    *line = 0;
    stream_head(a, data);
    for (char *at = line + 1, *end; *at; at = end + 3) {
        end = strstr(at, "%%\n");
        if (!end)
            return;
        chunk(a, at, end - at);
    }
}

static void share_count(const char *folder) {
    char path[4096];
    snprintf(path, sizeof path, "%s/count", folder);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, sizeof *sent))
        return;
    void *shared = mmap(NULL, sizeof *sent, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared != MAP_FAILED)
        sent = shared;
    close(fd);
}

static void take_folder(const char *folder) {
    DIR *found = opendir(folder);
    for (struct dirent *entry; found && (entry = readdir(found));)
        take_file(folder, entry->d_name);
}

static void prepare(void) {
    static const char *usage = "\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":50,\"total_tokens\":250,"
                               "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
                               "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0}}";
    char text[700], body[2048], event[512];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    struct answer *chat = &known[0];
    int n = snprintf(body, sizeof body,
        "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"gpt-5-mini-2025-08-07\","
        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null},"
        "\"logprobs\":null,\"finish_reason\":\"stop\"}],%s,\"service_tier\":\"default\"}", text, usage);
    whole_body(chat, body, n);
    stream_head(chat, "text/event-stream");
    const char *chunk_format = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1,"
        "\"model\":\"gpt-5-mini-2025-08-07\",\"choices\":[{\"index\":0,\"delta\":{%s},\"finish_reason\":%s}]}\n\n";
    for (int i = 0; i < DELTAS; i++) {
        snprintf(event, sizeof event, chunk_format, "\"content\":\" token\"", "null");
        chunk(chat, event, strlen(event));
    }
    snprintf(event, sizeof event, chunk_format, "", "\"stop\"");
    chunk(chat, event, strlen(event));
    snprintf(event, sizeof event, "data: {\"id\":\"chatcmpl-bench\",\"model\":\"gpt-5-mini-2025-08-07\",\"choices\":[],%s}\n\n", usage);
    chunk(chat, event, strlen(event));
    chunk(chat, "data: [DONE]\n\n", 14);
}

static void wait_for(struct ring *ring, int fd, struct connection *c, int64_t us) {
    unsigned i = ring->after++ % MAX_FDS;
    ring->waiting[i].fd = fd;
    ring->waiting[i].of = c;
    ring->waiting[i].due_us = now_us() + us;
}

static void next_event(int fd, struct connection *c) {
    struct answer *a = c->answer;
    int last = c->next_event == a->event_count - 1;
    (void)!write(fd, a->events[c->next_event], a->event_length[c->next_event] + (last ? 5 : 0));
    c->next_event++;
    ++*sent;
    if (!last) {
        wait_for(&paces, fd, c, PACE_US);
    } else {
        c->used = 0;
        c->body_left = -1;
    }
}

static void answer(int fd, struct connection *c) {
    if (c->streamed && c->answer->event_count) {
        (void)!write(fd, c->answer->head, c->answer->head_length);
        c->next_event = 0;
        next_event(fd, c);
    } else {
        (void)!write(fd, c->answer->whole, c->answer->whole_length);
        ++*sent;
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

static int64_t sooner(struct ring *ring, int64_t due_us) {
    if (ring->first == ring->after)
        return due_us;
    int64_t first_us = ring->waiting[ring->first % MAX_FDS].due_us;
    return due_us < 0 || first_us < due_us ? first_us : due_us;
}

/* Have the timer end when the next answer or event is due: epoll_wait counts whole milliseconds, and would put all that
 * is due within one together. */
static void wake_when_due(int timer) {
    static int64_t set_us = -1;
    int64_t due_us = sooner(&paces, sooner(&answers, -1));
    if (due_us < 0 || due_us == set_us)
        return;
    struct itimerspec when = {.it_value = {.tv_sec = due_us / 1000000, .tv_nsec = due_us % 1000000 * 1000}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
    set_us = due_us;
}

static void reset(int fd) {
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    shutdown(fd, SHUT_RDWR); /* reading then tells the loop, which forgets it */
}

/* Break this answer if it is its turn; the numbers are the same in every run. */
static int broken(int fd, struct connection *c) {
    static uint64_t state = 88172645463325252u;
    static const char *failed = "HTTP/1.1 500 Oops\r\ncontent-type: application/json\r\ncontent-length: 34\r\n\r\n"
                                "{\"error\":{\"message\":\"overloaded\"}}";
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    if (!c->faulty || state % 10)
        return 0;
    struct answer *a = c->answer;
    switch (state / 10 % 5) {
    case 0:
        break;
    case 1:
        if (c->streamed && a->event_count) {
            (void)!write(fd, a->head, a->head_length);
            (void)!write(fd, a->events[0], a->event_length[0]);
        } else {
            (void)!write(fd, a->whole, a->whole_length / 2);
        }
        break;
    case 2:
        (void)!write(fd, failed, strlen(failed));
        c->used = 0;
        c->body_left = -1;
        return 1;
    case 3:
        (void)!write(fd, "SSH-2.0-OpenSSH_9.2\r\n", 21);
        break;
    default:
        (void)!write(fd, a->whole, 20);
    }
    reset(fd);
    return 1;
}

static void request_complete(int fd, struct connection *c) {
    if (broken(fd, c))
        return;
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
        c->faulty = strcasestr(c->head, "\r\nx-bench-faults:") != NULL;
        c->streamed = strcasestr(c->head, "\r\nx-bench-stream:") != NULL;
        char *name = strcasestr(c->head, "\r\nx-bench-answer: ");
        c->answer = name && name < end ? answer_named(name + 18, strcspn(name + 18, "\r"), 0) : NULL;
        if (!c->answer)
            c->answer = &known[0];
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
    if (argc > 2) {
        take_folder(argv[2]);
        share_count(argv[2]);
    }
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
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    event.data.fd = timer;
    epoll_ctl(poll, EPOLL_CTL_ADD, timer, &event);
    static char data[1 << 18];
    for (;;) {
        wake_when_due(timer);
        int n = epoll_wait(poll, ready, 256, -1);
        run_due(&answers, answer);
        run_due(&paces, next_event);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd == timer) {
                (void)!read(timer, data, sizeof(uint64_t)); /* what is due was done above */
                continue;
            }
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
