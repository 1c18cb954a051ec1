/*
 * What it costs to end a step: `bench-layers FOLDER` seals an upper folder with 1, 100 and 10,000 files of 2 kB changed,
 * each over a root that has them all, and prints medians; in the same run, as the floor, the time that reading and hashing the
 * same files takes with nothing around it. Then, for 10,000 files, a copy of the root, its seal with one change, and the
 * squash of two layers. The files are written anew before each measurement, so what a seal syncs is dirty.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "layers/copy.h"
#include "layers/folder.h"
#include "layers/seal.h"
#include "layers/squash.h"

enum { RUNS = 3, FILES = 10000, FOLDERS = 100, BYTES = 2048, ARENA = 512 * 1024 * 1024 };

static int place = -1;
static struct error e;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "bench-layers: %s: %s\n", what, e.text);
    exit(1);
}

static void must(enum err err, const char *what)
{
    if (err)
        fail(what);
}

static void name_of(int i, char ret[32])
{
    snprintf(ret, 32, "d%d/f%d", i % FOLDERS, i / FOLDERS);
}

/* A folder with n files whose bytes depend on `what`. */
static int tree(const char *name, int n, int what)
{
    char bytes[BYTES], path[32];
    must(layer_remove(place, name, NULL, &e), "remove");
    if (mkdirat(place, name, 0755) < 0)
        fail("mkdir");
    int fd = openat(place, name, O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "d%d", i % FOLDERS);
        if (i < FOLDERS && mkdirat(fd, path, 0755) < 0)
            fail("mkdir");
        name_of(i, path);
        memset(bytes, 'a' + i % 26, sizeof bytes);
        snprintf(bytes, 32, "%d %d\n", i, what);
        int file = openat(fd, path, O_WRONLY | O_CREAT | O_EXCL, 0644);
        if (file < 0 || write(file, bytes, sizeof bytes) != sizeof bytes)
            fail("write");
        close(file);
    }
    return fd;
}

static double since(int64_t from)
{
    return (double)(sys->boottime_ns() - from) / 1e6;
}

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double ms[RUNS])
{
    qsort(ms, RUNS, sizeof *ms, order);
    return ms[RUNS / 2];
}

static double floor_of(const int trees[2], int n)
{
    int64_t from = sys->boottime_ns();
    for (int i = 0; i < 2 * n; i++) {
        char path[32], bytes[BYTES + 1];
        name_of(i / 2, path);
        int fd = openat(trees[i % 2], path, O_RDONLY);
        ssize_t got = read(fd, bytes, sizeof bytes);
        struct hash h = hash_of((struct slice){bytes, (size_t)got});
        if (hash_is_zero(&h))
            fail("hash");
        close(fd);
    }
    return since(from);
}

static void seals(int n)
{
    double ms[RUNS], least[RUNS];
    int root = tree("root", n, 0);
    for (int i = 0; i < RUNS; i++) {
        struct arena a = ARENA_INIT(ARENA);
        struct sealed sealed;
        int up = tree("up", n, 1 + i);
        struct seal s = {.root = root, .layer = up, .began_ns = INT64_MAX};
        int64_t from = sys->boottime_ns();
        must(seal_overlay(&s, &a, &sealed, &e), "seal");
        ms[i] = since(from);
        if (sealed.manifest.n != (size_t)(n + (n < FOLDERS ? n : FOLDERS)) && sealed.manifest.n != (size_t)n)
            fail("count");
        least[i] = floor_of((int[]){root, up}, n);
        arena_release(&a);
        close(up);
    }
    printf("seal %5d changed files: %8.2f ms, reading and hashing alone %8.2f ms\n", n, median(ms), median(least));
    close(root);
}

static void copies(void)
{
    double copy[RUNS], seal[RUNS];
    struct manifest none = {0};
    int root = tree("root", FILES, 0);
    for (int i = 0; i < RUNS; i++) {
        struct arena a = ARENA_INIT(ARENA);
        struct buf index = BUF_INIT(COPY_INDEX_MAX);
        struct sealed sealed;
        int to = tree("up", 0, 0);
        int64_t from = sys->boottime_ns();
        must(copy_root(root, to, NULL, &none, NULL, UINT64_MAX, &index, &e), "copy");
        copy[i] = since(from);
        if (unlinkat(to, "d7/f7", 0) < 0)
            fail("unlink");
        struct seal s = {.root = root, .layer = to, .began_ns = INT64_MAX};
        from = sys->boottime_ns();
        must(seal_copy(&s, buf_slice(&index), &a, &sealed, &e), "seal");
        seal[i] = since(from);
        buf_release(&index);
        arena_release(&a);
        close(to);
    }
    printf("copy of %d files: %.1f ms, its seal with one change: %.1f ms\n", FILES, median(copy), median(seal));
    close(root);
}

static void squashes(void)
{
    double ms[RUNS];
    struct arena a = ARENA_INIT(ARENA);
    int root = tree("root", 0, 0), up[] = {tree("up", FILES, 0), tree("up2", 100, 1)};
    struct manifest m[2], flat;
    for (int i = 0; i < 2; i++) {
        struct seal s = {.root = root, .layer = up[i], .began_ns = INT64_MAX};
        struct sealed sealed;
        must(seal_overlay(&s, &a, &sealed, &e), "seal");
        m[i] = sealed.manifest;
    }
    must(manifest_flatten(m, 2, &a, &flat, &e), "flatten");
    for (int i = 0; i < RUNS; i++) {
        int to = tree("to", 0, 0);
        int64_t from = sys->boottime_ns();
        must(squash(&flat, up, to, true, &e), "squash");
        ms[i] = since(from);
        close(to);
    }
    printf("squash of %d and 100 files: %.1f ms\n", FILES, median(ms));
    arena_release(&a);
    close(root), close(up[0]), close(up[1]);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"root", "up", "up2", "to"};
    if (argc != 2 || sys_mkdirs(argv[1], 0700, &e) || (place = open(argv[1], O_RDONLY | O_DIRECTORY)) < 0) {
        fprintf(stderr, "usage: bench-layers FOLDER\n");
        return 2;
    }
    seals(1);
    seals(100);
    seals(FILES);
    copies();
    squashes();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        must(layer_remove(place, names[i], NULL, &e), "remove");
    return 0;
}
