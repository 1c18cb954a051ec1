/*
 * Start to exit of programs, in turn: median wall time and peak memory (ru_maxrss; this program is small, since the
 * kernel counts the memory of whoever started a program until its exec).
 *
 * usage: bench-start RUNS PROGRAM[ ARGUMENT]...     each operand is a program and at most one argument, by one blank
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/sys.h"

enum { RUNS_MAX = 1000, PROGRAMS_MAX = 4 };

static double wall[PROGRAMS_MAX][RUNS_MAX];
static long rss[PROGRAMS_MAX];

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void once(int which, int run, char *program, char *argument)
{
    static char lang[] = "LANG=C.UTF-8";
    char *argv[] = {program, argument, NULL}, *env[] = {lang, NULL};
    posix_spawn_file_actions_t quiet;
    struct rusage used;
    pid_t pid;
    int status;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", 1, 0);
    int64_t from = sys->boottime_ns();
    if (posix_spawn(&pid, program, &quiet, NULL, argv, env) != 0 || wait4(pid, &status, 0, &used) != pid || status != 0) {
        fprintf(stderr, "bench-start: %s did not end well\n", program);
        exit(1);
    }
    wall[which][run] = (double)(sys->boottime_ns() - from) / 1e6;
    rss[which] = used.ru_maxrss > rss[which] ? used.ru_maxrss : rss[which];
    posix_spawn_file_actions_destroy(&quiet);
}

int main(int argc, char **argv)
{
    int runs = argc > 1 ? atoi(argv[1]) : 0, n = argc - 2;
    char *argument[PROGRAMS_MAX] = {NULL};
    if (runs < 1 || runs > RUNS_MAX || n < 1 || n > PROGRAMS_MAX)
        return 2;
    for (int i = 0; i < n; i++)
        if ((argument[i] = strchr(argv[2 + i], ' ')))
            *argument[i]++ = '\0';
    for (int k = -1; k < runs; k++) /* one to warm up */
        for (int i = 0; i < n; i++)
            once(i, k < 0 ? 0 : k, argv[2 + i], argument[i]);
    for (int i = 0; i < n; i++) {
        qsort(wall[i], (size_t)runs, sizeof wall[i][0], order);
        printf("%s %s: %.2f ms, %.1f MB, median of %d\n", argv[2 + i], argument[i] ? argument[i] : "", wall[i][runs / 2],
               (double)rss[i] / 1024, runs);
    }
    return 0;
}
