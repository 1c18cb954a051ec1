/*
 * Many agents of one process that wait for a model: what each takes of memory, in the engine and in crannog-door together, and
 * how long it takes from a person's Enter to the request on the wire, alone and beside the others.
 *
 * The store is real and on the disk of FOLDER, the machine is the real one (jails, crannog-door, sockets); the model is a server
 * of this program's own, in a process of its own: it answers a talk at once and holds what is asked by runs that wait.
 *
 * usage: bench-waiting FOLDER [RUNS]     FOLDER is new; the programs of crannog lie beside this one
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/sys.h"
#include "door/client.h"
#include "engine/machine.h"
#include "engine/say.h"
#include "text/json.h"

enum { SAYS = 200, BUFFER = 64 * 1024, EVENTS = 256 };

static const char marker[] = "wait for ever"; /* in the goal of a run whose question is held */

static struct shared { /* with the server */
    _Atomic uint64_t asked, answered;
    _Atomic int64_t held; /* requests that wait now */
    _Atomic int64_t came_ns; /* the first byte of the last request */
} *seen;

static void must(bool well, const char *what)
{
    if (well)
        return;
    fprintf(stderr, "bench-waiting: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void fine(enum err err, const struct error *e, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "bench-waiting: %s: %s\n", what, e->text);
    exit(1);
}

/* ---- the model's server ---- */

struct connection {
    int fd;
    int64_t came_ns;
    size_t got;
    char *bytes; /* BUFFER of them while a request comes, else none */
    bool holds;
};

static void answer(struct connection *c)
{
    static const char body[] = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Yes.\"},\"finish_reason\":null}]}\n\n"
                               "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
                               "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":700,\"completion_tokens\":2,\"total_tokens\":702}}\n\n"
                               "data: [DONE]\n\n";
    char whole[1024];
    int n = snprintf(whole, sizeof whole, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %zu\r\n\r\n%s", sizeof body - 1, body);
    must(write(c->fd, whole, (size_t)n) == n, "the server cannot answer");
    seen->answered++;
}

/* Takes what came; a whole request is counted, and answered unless it waits. False at the connection's end. */
static bool take(struct connection *c)
{
    if (!c->bytes) {
        c->bytes = malloc(BUFFER);
        c->got = 0;
        c->came_ns = sys->boottime_ns();
    }
    ssize_t n = c->bytes ? read(c->fd, c->bytes + c->got, BUFFER - 1 - c->got) : -1;
    if (n <= 0)
        return false;
    c->got += (size_t)n;
    c->bytes[c->got] = '\0';
    const char *end = strstr(c->bytes, "\r\n\r\n"), *length = strcasestr(c->bytes, "content-length:");
    size_t want = end && length ? (size_t)(end + 4 - c->bytes) + strtoul(length + 15, NULL, 10) : SIZE_MAX;
    if (c->got < want)
        return true;
    c->holds = strstr(c->bytes, marker) != NULL;
    free(c->bytes);
    c->bytes = NULL;
    seen->came_ns = c->came_ns;
    seen->asked++;
    if (c->holds)
        seen->held++;
    else
        answer(c);
    return true;
}

static void take_connections(int listener, int epoll)
{
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;) {
        struct connection *c = calloc(1, sizeof *c);
        must(c != NULL, "the server has no memory");
        c->fd = fd;
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
        must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) == 0, "the server cannot watch");
    }
}

static _Noreturn void serve_model(int listener)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event first = {.events = EPOLLIN}, events[EVENTS];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    must(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &first) == 0, "the server cannot watch");
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                take_connections(listener, epoll);
            } else if (!take(c)) {
                seen->held -= c->holds;
                close(c->fd);
                free(c->bytes);
                free(c);
            }
        }
    }
}

/* Starts it; its port. */
static int start_model(pid_t *ret)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&a, n) == 0 && listen(fd, 4096) == 0 && getsockname(fd, (struct sockaddr *)&a, &n) == 0,
         "cannot listen");
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(seen != MAP_FAILED, "no memory to share");
    *ret = fork();
    if (*ret == 0)
        serve_model(fd);
    must(*ret > 0, "cannot fork");
    close(fd);
    return ntohs(a.sin_port);
}

/* ---- runs, as cli/agent.c makes them ---- */

struct job {
    const char *work;
    struct stat st;
    bool attended;
    char base[64];
};

static struct slice started(void *ctx, uint64_t run, struct buf *out)
{
    const struct job *j = ctx;
    char account[64];
    JSON_CLEANUP struct json *p = json_object();
    struct json *server = json_object(), *talk = json_object(), *budget = json_object();
    snprintf(account, sizeof account, "crannog/main/r%llu", (unsigned long long)run);
    json_put_int(p, "v", 0);
    json_put_text(p, "work", slice_of(j->work));
    json_put_int(p, "work_dev", (int64_t)j->st.st_dev);
    json_put_int(p, "work_ino", (int64_t)j->st.st_ino);
    json_put_text(p, "account", slice_of(account));
    json_put_text(p, "agent", SLICE("main"));
    json_put_text(server, "provider", SLICE("openai-compatible"));
    json_put_text(server, "model", SLICE("mock"));
    json_put_text(server, "base", slice_of(j->base));
    json_put_text(server, "secret", SLICE(""));
    json_put_int(server, "window", 128000);
    json_put_int(server, "max_output", 16384);
    json_put_bool(talk, "attended", j->attended);
    json_put_int(talk, "checks", 1);
    json_put_text(p, "plan_path", SLICE("//talk"));
    json_put_text(p, "goal", SLICE("bench"));
    json_put_text(p, "model", SLICE("box/mock"));
    json_put(p, "server", server);
    json_put(p, "talk", talk);
    json_put(p, "budget", budget);
    json_put_text(p, "land", SLICE("end"));
    json_print(p, out);
    return buf_slice(out);
}

/* ---- figures ---- */

static int64_t pss_kib(pid_t pid)
{
    char path[64];
    BUF_CLEANUP struct buf text = BUF_INIT(65536);
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    const char *at = sys_read_file(AT_FDCWD, path, &text, NULL) == OK ? strstr(buf_str(&text), "\nPss:") : NULL;
    return at ? strtoll(at + 5, NULL, 10) : 0;
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void turn(struct engine *g)
{
    struct error e = {0};
    bool more;
    fine(engine_turn(g, &more, &e), &e, "a turn");
}

/* Says something in a talk until it was answered; ms from there to the request. */
static double say(struct engine *g, struct run *r, const char *words)
{
    struct error e = {0};
    uint64_t asked = seen->asked;
    int64_t from = sys->boottime_ns();
    fine(engine_say_text(g, r, slice_of(words), false, &e), &e, "saying");
    while (seen->asked == asked || r->state.items[0].head.stage != STAGE_TALK)
        turn(g);
    return (double)(seen->came_ns - from) / 1e6;
}

static void say_often(struct engine *g, struct run *r, const char *what)
{
    double ms[SAYS];
    for (int i = 0; i < SAYS; i++)
        ms[i] = say(g, r, "Well?");
    qsort(ms, SAYS, sizeof *ms, compare);
    printf("from Enter to the request, %s: %.2f ms median, %.2f p95 (%d times)\n", what, ms[SAYS / 2], ms[SAYS * 95 / 100], SAYS);
}

static void wait_all(struct engine *g, struct job *j, size_t n)
{
    struct error e = {0};
    uint64_t answered = seen->answered;
    int64_t from = sys->boottime_ns();
    j->attended = false;
    for (size_t i = 0; i < n; i++) {
        struct run *r;
        fine(engine_start_run(g, started, j, &r, &e), &e, "a run");
        fine(engine_say_text(g, r, slice_of(marker), false, &e), &e, "its goal");
    }
    double begun = (double)(sys->boottime_ns() - from) / 1e9;
    while (seen->held < (int64_t)n)
        turn(g);
    must(seen->answered == answered, "what should wait was answered");
    printf("%zu runs: begun in %.2f s, all wait after %.2f s\n", n, begun, (double)(sys->boottime_ns() - from) / 1e9);
}

int main(int argc, char **argv)
{
    struct store *s = NULL;
    struct machine m;
    struct act_table acts;
    static struct engine g;
    struct run *r;
    struct error e = {0};
    struct peer door = PEER_INIT;
    struct job job = {.attended = true};
    pid_t model;
    BUF_CLEANUP struct buf state = BUF_INIT(4096), program = BUF_INIT(4096), work = BUF_INIT(4096);
    size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
    struct rlimit files;
    must(argc > 1 && n > 0, "usage: bench-waiting FOLDER [RUNS]");
    must(getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max > n + 100, "not enough open files are allowed for so many runs");
    files.rlim_cur = files.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &files) == 0, "cannot open more files");
    signal(SIGPIPE, SIG_IGN);
    snprintf(job.base, sizeof job.base, "http://127.0.0.1:%d/v1", start_model(&model));
    buf_addf(&work, "%s/work", argv[1]);
    buf_addf(&state, "%s/.crannog", argv[1]);
    fine(sys_mkdirs(buf_str(&work), 0700, &e), &e, "the folder");
    job.work = realpath(buf_str(&work), NULL);
    must(job.work && stat(job.work, &job.st) == 0, "the folder");
    fine(store_open(argv[1], true, &(struct store_options){.no_reserve = true}, &s, &e), &e, "the store");
    char *real = realpath(buf_str(&state), NULL);
    must(real != NULL, "the store");
    fine(machine_open(&m, NULL, real, &acts, &e), &e, "the machine");
    fine(peer_find("crannog-door", &program, &e), &e, "the door");
    fine(door_start(buf_str(&program), real, false, NULL, &door, NULL, NULL, &e), &e, "the door");
    pid_t door_pid = door.pid;
    machine_take_door(&m, &door);
    fine(engine_open(&g, s, &acts, &e), &e, "the engine");
    fine(engine_start_run(&g, started, &job, &r, &e), &e, "a talk");
    say(&g, r, "Hello.");
    say_often(&g, r, "alone");
    int64_t mine = pss_kib(getpid()), its = pss_kib(door_pid);
    wait_all(&g, &job, n);
    double engine_kib = (double)(pss_kib(getpid()) - mine) / (double)n, door_kib = (double)(pss_kib(door_pid) - its) / (double)n;
    printf("each takes %.1f KiB: engine %.1f, door %.1f (before: engine %lld KiB, door %lld KiB)\n", engine_kib + door_kib, engine_kib,
           door_kib, (long long)mine, (long long)its);
    say_often(&g, r, "beside them");
    fflush(stdout);
    kill(model, SIGKILL); /* their runs go on another time: it is theirs that their server has gone */
    _exit(0);
}
