/* A folder on the real disk for the landing tests, and what a person does in it. Persons use plain calls, never `sys`. */
#ifndef CRANNOG_TESTS_LANDING_WORLD_H
#define CRANNOG_TESTS_LANDING_WORLD_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"
#include "layers/landing.h"

enum { TEXT_MAX = 256 };

static char world_path[64];
static int world = -1; /* the root folder */

static inline int world_make(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(world_path, sizeof world_path, "%s/crannog-landing-XXXXXX", tmp && strlen(tmp) < 32 ? tmp : "/tmp");
    if (!mkdtemp(world_path))
        return -1;
    world = open(world_path, O_RDONLY | O_DIRECTORY);
    return world < 0 ? -1 : 0;
}

/* Removes everything below a folder. */
static inline void world_empty(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY);
    DIR *d = fdopendir(fd);
    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d));) {
        if (!strcmp(f->d_name, ".") || !strcmp(f->d_name, ".."))
            continue;
        if (unlinkat(folder, f->d_name, 0) == 0)
            continue;
        int sub = openat(folder, f->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        world_empty(sub);
        close(sub);
        assert_int_equal(unlinkat(folder, f->d_name, AT_REMOVEDIR), 0);
    }
    closedir(d);
}

static inline int world_remove(void **state)
{
    (void)state;
    sys = &sys_real;
    world_empty(world);
    close(world);
    return rmdir(world_path);
}

static inline void put(const char *name, struct slice text)
{
    int fd = openat(world, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.p ? text.p : "", text.n), (ssize_t)text.n);
    close(fd);
}

/* As editors do: a new file, renamed over the old one. */
static inline void put_by_rename(const char *name, struct slice text)
{
    put("editor~", text);
    assert_int_equal(renameat(world, "editor~", world, name), 0);
}

/* True if a regular file lies there with exactly these bytes. */
static inline bool holds(const char *name, struct slice text)
{
    char got[TEXT_MAX + 1];
    int fd = openat(world, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, got, sizeof got);
    close(fd);
    return n >= 0 && slice_eq((struct slice){got, (size_t)n}, text);
}

/* The number of names in the root folder; of those that begin with `prefix` if it is given. */
static inline int count(const char *prefix)
{
    int n = 0, fd = openat(world, ".", O_RDONLY | O_DIRECTORY);
    DIR *d = fdopendir(fd);
    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d));)
        n += strcmp(f->d_name, ".") && strcmp(f->d_name, "..") &&
             (!prefix || !strncmp(f->d_name, prefix, strlen(prefix)));
    closedir(d);
    return n;
}

/* The visible file with these bytes: its name in ret, or false. */
static inline bool find_text(struct slice text, char ret[256])
{
    int fd = openat(world, ".", O_RDONLY | O_DIRECTORY);
    DIR *d = fdopendir(fd);
    assert_non_null(d);
    bool found = false;
    for (struct dirent *f; !found && (f = readdir(d));)
        if (f->d_name[0] != '.' && holds(f->d_name, text)) {
            found = true;
            snprintf(ret, 256, "%s", f->d_name);
        }
    closedir(d);
    return found;
}

static inline struct stamp look(const char *name)
{
    struct stamp s;
    struct error e = {0};
    if (stamp_look(world, slice_of(name), NULL, &s, &e))
        fail_msg("stamp_look %s: %s", name, e.text);
    return s;
}

#endif
