/*
 * What the processes of a jail hold of files that have no name any more. Asked of pid 1, which sees just those processes
 * and has their uid; a process that made itself undumpable does not let it look, and that is said.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "jail/internal.h"

enum { SEEN_MAX = 4096 }; /* files; beyond, some are left out rather than counted twice */

struct seen {
    const dev_t *devs;
    size_t ndevs;
    uint64_t bytes;
    ino_t inos[SEEN_MAX]; /* a hash table; 0: free */
};

/* Whether a file is met for the first time: a descriptor is shared by whoever was forked since. */
static bool is_new(struct seen *s, ino_t ino)
{
    for (size_t i = 0; i < 16; i++) {
        ino_t *at = &s->inos[(ino * 2654435761u + i) % SEEN_MAX];
        if (*at == ino)
            return false;
        if (*at == 0) {
            *at = ino;
            return true;
        }
    }
    return false;
}

static void count_file(struct seen *s, const struct stat *st)
{
    if (!S_ISREG(st->st_mode) || st->st_nlink > 0)
        return;
    for (size_t i = 0; i < s->ndevs; i++)
        if (s->devs[i] == st->st_dev && is_new(s, st->st_ino)) {
            s->bytes += (uint64_t)st->st_blocks * 512;
            return;
        }
}

/* The descriptors of one process; false where it does not let us look. */
static bool count_process(struct seen *s, int proc, const char *pid)
{
    char path[300];
    snprintf(path, sizeof path, "%s/fd", pid);
    int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        sys_close_fd(&fd);
        return errno != EACCES && errno != EPERM;
    }
    struct stat st;
    for (const struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.' && fstatat(fd, e->d_name, &st, 0) == 0)
            count_file(s, &st);
    closedir(d);
    return true;
}

uint64_t held_bytes(DIR *proc, const dev_t *devs, size_t ndevs, bool *ret_unseen)
{
    static struct seen s; /* large, and used once in a while */
    memset(&s, 0, sizeof s);
    s.devs = devs;
    s.ndevs = ndevs;
    *ret_unseen = false;
    rewinddir(proc);
    for (const struct dirent *e; (e = readdir(proc));)
        if (e->d_name[0] > '0' && e->d_name[0] <= '9' && strcmp(e->d_name, "1") != 0 &&
            !count_process(&s, dirfd(proc), e->d_name))
            *ret_unseen = true;
    return s.bytes;
}
