/* What a harness does to the disk and asks of it, in the parent: the last part of sim/disk.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/internal.h"


void sim_disk_settle(struct sim_world *w)
{
    for (unsigned i = 1; i < SIM_INODES; i++)
        page_sync(w, i);
    name_sync_all(w);
    inodes_collect(w);
}

static int make_parents(struct sim_world *w, const char *path)
{
    char part[1024];
    for (size_t i = 1; path[i]; i++) {
        if (path[i] != '/')
            continue;
        errno = ENAMETOOLONG;
        if (i >= sizeof part)
            return -1;
        memcpy(part, path, i);
        part[i] = '\0';
        if (sim_mkdir(w, AT_FDCWD, part, 0755) < 0 && errno != EEXIST)
            return -1;
    }
    return 0;
}

int sim_disk_put(struct sim_world *w, const char *path, struct slice bytes)
{
    if (make_parents(w, path) < 0)
        return -1;
    int fd = sim_open(w, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
        return -1;
    ssize_t n = sim_pwrite(w, fd, bytes.p, bytes.n, 0);
    sim_close(w, fd);
    return n == (ssize_t)bytes.n ? 0 : -1;
}

bool sim_disk_get(struct sim_world *w, const char *path, struct buf *ret)
{
    int fd = sim_open(w, AT_FDCWD, path, O_RDONLY, 0);
    if (fd < 0)
        return false;
    size_t n = (size_t)w->h.inodes[sim_disk_inode(w, fd)].cur.size;
    char *p = n ? buf_extend(ret, n) : NULL;
    bool ok = n == 0 || (p && sim_pread(w, fd, p, n, 0) == (ssize_t)n);
    sim_close(w, fd);
    return ok;
}

static int by_name(const void *a, const void *b)
{
    const struct sim_name *x = a, *y = b;
    return strcmp(x->text, y->text);
}

static void list_folder(struct sim_world *w, unsigned dir, const char *path, void (*fn)(void *, const char *, bool),
                        void *arg)
{
    struct sim_name sorted[SIM_NAMES];
    unsigned n = 0;
    for (unsigned i = 0; i < w->seen.n && n < SIM_NAMES; i++)
        if (w->seen.v[i].dir == dir)
            sorted[n++] = w->seen.v[i];
    qsort(sorted, n, sizeof *sorted, by_name);
    for (unsigned i = 0; i < n; i++) {
        char whole[1024];
        bool folder = w->h.inodes[sorted[i].inode].kind == SIM_FOLDER;
        snprintf(whole, sizeof whole, "%s/%s", path, sorted[i].text);
        fn(arg, whole, folder);
        if (folder)
            list_folder(w, sorted[i].inode, whole, fn, arg);
    }
}

void sim_disk_list(struct sim_world *w, void (*fn)(void *, const char *, bool), void *arg)
{
    list_folder(w, SIM_ROOT, "", fn, arg);
}
