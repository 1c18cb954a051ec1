/*
 * How long a jail takes from start to exit, beside another launcher, in one run: `jail_bench CRANNOG-JAIL RUNS CMD...`
 * starts `true` in our jail by jail_start() and CMD (a full command line that runs `true` its own way), in turn, RUNS
 * times each, and prints medians, the 95th percentile and the ratio. Without CMD only ours is timed.
 *
 * Ours is timed from before jail_start() until the result is parsed and the process collected; theirs from before
 * fork() until it is collected. Both walls are asked for the same: all namespaces, /usr read-only, /proc, /dev.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"
#include "jail/client.h"

enum { RUNS_MAX = 100000 };

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

static double ours(const char *program, const struct jail_plan *p)
{
    struct peer peer = PEER_INIT;
    struct error e = {.code = OK};
    FRAME_CLEANUP struct frame f = FRAME_INIT;
    struct jail_result r;
    int64_t began = sys->boottime_ns();
    if (jail_start(program, p, NULL, false, &peer, &e) || frame_receive(peer.socket, &f, &e) ||
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
    printf("%-14s %6.2f ms median  %6.2f p95  %6.2f least  (%zu runs)\n", name, ms[n / 2], ms[n * 95 / 100], ms[0], n);
    return ms[n / 2];
}

int main(int argc, char **argv)
{
    if (argc < 3)
        fail("usage: jail_bench CRANNOG-JAIL RUNS [CMD...]");
    size_t n = strtoul(argv[2], NULL, 10);
    if (n < 1 || n > RUNS_MAX)
        fail("RUNS is a number from 1");
    double *a = calloc(n, sizeof *a), *b = calloc(n, sizeof *b);
    struct jail_plan p = bench_plan();
    if (!a || !b)
        fail("no memory");
    for (size_t i = 0; i < n; i++) {
        a[i] = ours(argv[1], &p);
        if (argc > 3)
            b[i] = theirs(argv + 3);
    }
    double x = print("crannog-jail", a, n);
    if (argc > 3)
        printf("ratio %.2f\n", x / print(argv[3], b, n));
    free(a);
    free(b);
    return 0;
}
