/*
 * How long it takes to land n small files (2 kB) over n old ones, and to undo that, on a real disk with all syncs: wall time
 * and the CPU time in it. Use a fresh file system: ext4 passes over inodes that were freed within the last minute, so a
 * second run after an `rm -rf` of the first is many times slower, whoever makes the files.
 *
 * usage: bench-landing FOLDER FILES     FOLDER is made, filled and left for the caller to remove
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/sys.h"
#include "layers/landing.h"

enum { BYTES = 2048, FILES_MAX = 100000, A_FOLDER = 100 };

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "bench-landing: %s\n", what);
    exit(1);
}

static int make_folder(int at, const char *name)
{
    mkdirat(at, name, 0755);
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        give_up(name);
    return fd;
}

static void name_of(int i, char ret[32])
{
    snprintf(ret, 32, "d%04d/f%02d", i / A_FOLDER, i % A_FOLDER);
}

static void fill(int folder, int n, char letter)
{
    char text[BYTES], name[32];
    memset(text, letter, sizeof text);
    for (int i = 0; i < n; i++) {
        name_of(i, name);
        if (i % A_FOLDER == 0) {
            *strchr(name, '/') = '\0';
            mkdirat(folder, name, 0755);
            name_of(i, name);
        }
        snprintf(text, sizeof text, "%d", i); /* no two alike */
        int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (fd < 0 || write(fd, text, sizeof text) != (ssize_t)sizeof text)
            give_up(name);
        close(fd);
    }
}

static struct stamp look(int folder, const char *name)
{
    struct stamp s;
    struct error e = {.code = OK};
    if (stamp_look(folder, slice_of(name), NULL, &s, &e))
        give_up(e.text);
    return s;
}

static double cpu_ms(void)
{
    return (double)clock() * 1000 / CLOCKS_PER_SEC;
}

static double land(const struct landing_set *s, struct arena *a, struct landed *ret)
{
    struct error e = {.code = OK};
    int64_t from = sys->boottime_ns();
    if (landing_apply(s, a, ret, &e) || ret->result != LANDING_DONE)
        give_up(e.text);
    return (double)(sys->boottime_ns() - from) / 1e6;
}

int main(int argc, char **argv)
{
    int n = argc == 3 ? atoi(argv[2]) : 0;
    if (n < 1 || n > FILES_MAX)
        return 2;
    ARENA_CLEANUP struct arena a = ARENA_INIT(1024u * 1024 * 1024);
    int at = make_folder(AT_FDCWD, argv[1]);
    int root = make_folder(at, "root"), layer = make_folder(at, "layer"), undo = make_folder(at, "undo"), redo = make_folder(at, "redo");
    fill(root, n, 'a');
    fill(layer, n, 'b');
    struct manifest m = {.v = arena_array(&a, (size_t)n, sizeof *m.v), .n = (size_t)n};
    for (int i = 0; i < n; i++) {
        char name[32];
        name_of(i, name);
        m.v[i] = (struct change){.path = arena_copy(&a, slice_of(name)), .before = look(root, name), .after = look(layer, name)};
    }
    syncfs(at);
    struct landed done, undone;
    struct landing_set s = {.root = root, .manifest = &m, .folders = &layer, .undo = undo, .name = SLICE("bench")};
    double cpu = cpu_ms(), landed_ms = land(&s, &a, &done), landed_cpu = cpu_ms() - cpu;
    struct landing_set u = {.root = root, .manifest = &done.undo, .folders = &undo, .undo = redo, .name = SLICE("back"), .rewind = true};
    cpu = cpu_ms();
    double undone_ms = land(&u, &a, &undone);
    printf("%d files of %d bytes: landed %.1f ms (CPU %.1f), undone %.1f ms (CPU %.1f)\n", n, BYTES, landed_ms, landed_cpu,
           undone_ms, cpu_ms() - cpu);
    return 0;
}
