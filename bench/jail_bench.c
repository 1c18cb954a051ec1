/*
 * How long a jail takes from start to exit, beside another launcher, in one run: `jail_bench CRANNOG-JAIL FOLDER RUNS
 * CMD...` starts `true` in our jail by jail_start(), in our jail with an empty layer of a folder (and with sixteen below
 * it), in both by one that was kept ready, without any jail, and by CMD (a full command line that runs `true` its own
 * way), in turn, RUNS times each, and prints medians, the 95th percentile and the ratios. Without CMD only ours are timed. FOLDER is new and is the caller's to remove; layers
 * are made and left in it, outside what is timed.
 *
 * Ours is timed from before jail_start() until the result is parsed and the process collected; theirs from before
 * fork() until it is collected. Both walls are asked for the same: all namespaces, /usr read-only, /proc, /dev. The
 * other launcher has no layer.
 *
 * Then a file of 2 kB read by the agent's file tool, in a jail that was kept ready and in one that stayed, from the call until the answer.
 *
 * Then two hundred jails at once, without and with a layer: until all `true` have ended, and what each takes of
 * memory at rest (MemAvailable, of `sleep`s and what started them).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"
#include "jail/client.h"
#include "tools/work.h"

enum { RUNS_MAX = 100000, DEEP = 16, AT_ONCE = 200 };

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "jail_bench: %s\n", what);
    exit(1);
}

/* The same view as the other launcher's command line: no more mounts and no fewer. */
static struct jail_plan bench_plan(void)
{
    static struct slice argv[] = {{"true", 4}}, env[] = {{"PATH=/usr/bin", 13}};
    struct jail_plan p = {.uid = 1000, .gid = 1000, .argv = argv, .nargv = 1, .env = env, .nenv = 1, .cwd = SLICE("/")};
    const char *const paths[] = {"/usr", "/bin", "/lib", "/lib64"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        jail_plan_add(&p, (struct jail_mount){JAIL_SYSTEM, slice_of(paths[i]), slice_of(paths[i]), 0, true});
    return p;
}

/* ---- layers ---- */

static char folder[200];

/* The path lives as long as the bench. */
static struct slice make_folder(const char *name, const char *sub)
{
    char *path = malloc(300);
    if (!path)
        fail("no memory");
    snprintf(path, 300, "%s/%s%s", folder, name, sub);
    if (mkdir(path, 0755) < 0 || (geteuid() == 0 && chown(path, 1000, 1000) < 0))
        fail(path);
    return slice_of(path);
}

/* The folder of an attempt, which serves one jail. */
static struct slice new_upper(void)
{
    static unsigned n;
    char name[32];
    snprintf(name, sizeof name, "u%u", n++);
    struct slice ret = make_folder(name, "");
    make_folder(name, "/up");
    make_folder(name, "/work");
    return ret;
}

/* `deep` layers, with the upper left for the caller to fill in. */
static void add_layers(struct jail_plan *p, size_t deep)
{
    static struct slice layers[DEEP];
    static char work[300];
    snprintf(work, sizeof work, "%s/work", folder);
    for (size_t i = 0; i < deep; i++) {
        char name[32];
        snprintf(name, sizeof name, "l%zu", i);
        make_folder(name, "");
        layers[i] = make_folder(name, "/up");
    }
    jail_plan_add(p, (struct jail_mount){.kind = JAIL_LAYERS, .source = slice_of(work), .target = SLICE("/work"),
                                         .layers = layers, .nlayers = deep});
    p->cwd = SLICE("/work");
}

static void fresh_upper(struct jail_plan *p)
{
    p->mounts[p->nmounts - 1].upper = new_upper();
}

/* ---- one at a time ---- */

/* `ready`: by one that has been kept ready long enough to be so. */
static double ours(const char *program, const struct jail_plan *p, bool ready)
{
    struct peer peer = PEER_INIT, waiting = PEER_INIT;
    struct error e = {.code = OK};
    FRAME_CLEANUP struct frame f = FRAME_INIT;
    struct jail_result r;
    BUF_CLEANUP struct buf beginning = BUF_INIT(JAIL_PLAN_MAX);
    if (ready)
        jail_plan_beginning(p, &beginning);
    if (ready && jail_ready(program, buf_slice(&beginning), &waiting, &e))
        fail(e.text);
    if (ready)
        usleep(30000);
    int64_t began = sys->boottime_ns();
    if (jail_start_ready(&waiting, program, p, NULL, false, &peer, &e) || frame_receive(peer.socket, &f, &e) ||
        jail_result_parse(&f, &r, &e))
        fail(e.text);
    int status;
    while (sys->waitpid(peer.pid, &status, 0) < 0 && errno == EINTR)
        continue;
    double ms = (double)(sys->boottime_ns() - began) / 1e6;
    if (r.how != JAIL_EXITED || r.status != 0)
        fail(r.why[0] ? r.why : "true did not end well in our jail");
    peer.pid = 0;
    peer_kill(&peer);
    jail_result_release(&r);
    return ms;
}

static double theirs(char *const argv[])
{
    int64_t began = sys->boottime_ns();
    pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    double ms = (double)(sys->boottime_ns() - began) / 1e6;
    if (status != 0)
        fail("the other launcher's command failed");
    return ms;
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double print(const char *name, double *ms, size_t n)
{
    qsort(ms, n, sizeof *ms, by_size);
    printf("%-22s %6.2f ms median  %6.2f p95  %6.2f least  (%zu runs)\n", name, ms[n / 2], ms[n * 95 / 100], ms[0], n);
    return ms[n / 2];
}

static void one_at_a_time(const char *program, char **other, size_t n, const struct jail_plan plans[3])
{
    enum { KINDS = 7 };
    static const char *const names[KINDS] = {"crannog-jail", "crannog-jail, a layer", "crannog-jail, 1 on 16", "ready",
                                             "ready, a layer", "fork and exec alone", NULL};
    static const struct { int plan; bool ready; } how[5] = {{0, false}, {1, false}, {2, false}, {0, true}, {1, true}};
    char bare_name[] = "true", *bare[] = {bare_name, NULL};
    double *ms[KINDS], median[KINDS];
    for (size_t k = 0; k < KINDS; k++)
        if (!(ms[k] = calloc(n, sizeof **ms)))
            fail("no memory");
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < 5; k++) {
            struct jail_plan p = plans[how[k].plan];
            if (how[k].plan)
                fresh_upper(&p);
            ms[k][i] = ours(program, &p, how[k].ready);
        }
        ms[5][i] = theirs(bare);
        if (*other)
            ms[6][i] = theirs(other);
    }
    for (size_t k = 0; k < (*other ? 7 : 6); k++)
        median[k] = print(k < 6 ? names[k] : *other, ms[k], n);
    printf("a layer costs %.2f ms\n", median[1] - median[0]);
    for (size_t k = 0; *other && k < 5; k++)
        printf("%s: %.2f of %s\n", names[k], median[k] / median[6], *other);
    for (size_t k = 0; k < KINDS; k++)
        free(ms[k]);
}

/* ---- a file tool ---- */

enum { READ_BYTES = 2000 };

static struct slice read_args(struct buf *args)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/work/file", folder);
    FILE *f = fopen(path, "w");
    for (int i = 0; f && i < READ_BYTES / 20; i++)
        fputs("nineteen characters\n", f);
    if (!f || fclose(f))
        fail(path);
    snprintf(path, sizeof path, "/work");
    work_read_args(args, slice_of(path), SLICE("file"), 1, 1000, 48 * 1024);
    return buf_slice(args);
}

/* Until the answer is there. */
static double answer(struct peer *jail, struct jail_result *r, int64_t began)
{
    struct error e;
    FRAME_CLEANUP struct frame f = FRAME_INIT;
    if (frame_receive(jail->socket, &f, &e) || jail_result_parse(&f, r, &e))
        fail(e.text);
    double ms = (double)(sys->boottime_ns() - began) / 1e6;
    if (r->how != JAIL_EXITED || r->status != 0 || r->reply.n < READ_BYTES)
        fail(r->why[0] ? r->why : "the file was not read");
    jail_result_release(r);
    return ms;
}

static void file_tool(const char *program, size_t n)
{
    BUF_CLEANUP struct buf args = BUF_INIT(4096), beginning = BUF_INIT(JAIL_PLAN_MAX);
    struct jail_plan p = bench_plan();
    struct peer ready, jail = PEER_INIT, warm = PEER_INIT;
    struct jail_result r;
    struct error e;
    char path[300];
    double *ms[2] = {calloc(n, sizeof **ms), calloc(n, sizeof **ms)};
    snprintf(path, sizeof path, "%s/work", folder);
    jail_plan_add(&p, (struct jail_mount){JAIL_READ, slice_of(path), SLICE("/work"), 0, false});
    p.applet = SLICE("work-read");
    p.args = read_args(&args);
    p.nargv = 0;
    p.stays = true;
    jail_plan_beginning(&p, &beginning);
    if (!ms[0] || !ms[1] || jail_start(program, &p, NULL, false, &warm, &e))
        fail("cannot begin");
    (void)answer(&warm, &r, 0);
    for (size_t i = 0; i < n; i++) {
        if (jail_ready(program, buf_slice(&beginning), &ready, &e))
            fail(e.text);
        usleep(30000);
        int64_t began = sys->boottime_ns();
        if (jail_start_ready(&ready, program, &p, NULL, false, &jail, &e))
            fail(e.text);
        ms[0][i] = answer(&jail, &r, began);
        peer_kill(&jail);
        began = sys->boottime_ns();
        if (jail_again(&warm, &p, &e))
            fail(e.text);
        ms[1][i] = answer(&warm, &r, began);
    }
    peer_kill(&warm);
    double one = print("a file read, ready", ms[0], n), two = print("a file read, warm", ms[1], n);
    printf("warm: %.2f of ready\n", two / one);
    free(ms[0]);
    free(ms[1]);
}

/* ---- many at once ---- */

static double available_mb(void)
{
    char line[200];
    unsigned long long kb = 0;
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return (double)kb / 1024;
}

static void start_all(const char *program, const struct jail_plan *plan, bool layer, struct peer *peers)
{
    struct error e;
    for (size_t i = 0; i < AT_ONCE; i++) {
        struct jail_plan p = *plan;
        if (layer)
            fresh_upper(&p);
        peers[i] = PEER_INIT;
        if (jail_start(program, &p, NULL, false, &peers[i], &e))
            fail(e.text);
    }
}

static void end_all(struct peer *peers, bool results)
{
    struct error e;
    for (size_t i = 0; i < AT_ONCE; i++) {
        FRAME_CLEANUP struct frame f = FRAME_INIT;
        if (results && frame_receive(peers[i].socket, &f, &e))
            fail(e.text);
        peer_kill(&peers[i]);
    }
}

static void at_once(const char *name, const char *program, struct jail_plan p, bool layer)
{
    static struct slice sleeper[] = {{"sleep", 5}, {"60", 2}};
    static struct peer peers[AT_ONCE];
    int64_t began = sys->boottime_ns();
    start_all(program, &p, layer, peers);
    end_all(peers, true);
    double ms = (double)(sys->boottime_ns() - began) / 1e6, before = available_mb();
    p.argv = sleeper;
    p.nargv = 2;
    start_all(program, &p, layer, peers);
    usleep(1500000); /* until all sleep */
    double after = available_mb();
    end_all(peers, false);
    printf("%-22s %6.0f ms for %d at once  %5.2f MB each at rest\n", name, ms, AT_ONCE, (before - after) / AT_ONCE);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        fail("usage: jail_bench CRANNOG-JAIL FOLDER RUNS [CMD...]");
    size_t n = strtoul(argv[3], NULL, 10);
    if (n < 1 || n > RUNS_MAX)
        fail("RUNS is a number from 1");
    snprintf(folder, sizeof folder, "%s", argv[2]);
    if (mkdir(folder, 0755) < 0)
        fail("FOLDER must not be there yet");
    make_folder("work", "");
    struct jail_plan plans[3] = {bench_plan(), bench_plan(), bench_plan()};
    add_layers(&plans[1], 0);
    add_layers(&plans[2], DEEP);
    one_at_a_time(argv[1], argv + 4, n, plans);
    file_tool(argv[1], n);
    at_once("crannog-jail", argv[1], plans[0], false);
    at_once("crannog-jail, a layer", argv[1], plans[1], true);
    return 0;
}
