/*
 * The attempts' folders, as the outer process sees them: whether a step changed anything, and how much it has written.
 *
 * The amount is what a walk through `up` adds up (blocks; a file of several names in equal parts). A walk costs, so it is
 * made in slices of UPPERS_LOOK_MS every UPPERS_EVERY_MS, and begun only when the file system has lost as much as the
 * limit since it had most free, or a second has passed (btrfs tells late). The file system alone never decides while the
 * walk sees everything: it may be somebody else who fills it. Files move while we walk, so only a second walk that finds
 * too much is believed.
 *
 * Files that were removed and are still open have no name: where a walk finds less than the file system has lost, pid 1
 * is asked what the processes inside hold (held.c). What lies in a folder that cannot be entered, or too deep, or with a
 * process that does not let us look, is not seen; who hides things that way is taken at the file system's word, at twice
 * the limit. Known gaps: what only a mapping or a message under way still holds, and a copy-up under way, which is
 * bounded by the folder's own largest file.
 *
 * The folders were written by a jail: no link is followed, nothing is opened but folders.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/sys.h"
#include "jail/internal.h"

enum { IDLE_MS = 1000, ASK_MS = 1000, CLOCK_EVERY = 64 };
static const int64_t ms_ns = 1000000;

static int open_folder(int dir, const char *name)
{
    return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* Bytes free on the file system of an upper; 0 where it does not say. */
static uint64_t free_bytes(int fd)
{
    struct statvfs st;
    return fstatvfs(fd, &st) < 0 ? 0 : (uint64_t)st.f_bfree * st.f_frsize;
}

/* The next entry, or NULL. */
static const struct dirent *next_entry(DIR *d)
{
    const struct dirent *ret;
    do
        ret = readdir(d);
    while (ret && (strcmp(ret->d_name, ".") == 0 || strcmp(ret->d_name, "..") == 0));
    return ret;
}

/* Whether `up` or `work` of one holds something, or cannot be looked into. */
static bool holds(int upper, const char *name)
{
    int fd = open_folder(upper, name);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        sys_close_fd(&fd);
        return true;
    }
    bool ret = next_entry(d) != NULL;
    closedir(d);
    return ret;
}

/* Each file system is asked once, however many uppers it has. */
static void find_file_systems(struct uppers *u)
{
    struct stat st;
    dev_t devs[JAIL_MOUNTS_MAX] = {0};
    for (size_t i = 0; i < u->n; i++) {
        devs[i] = fstat(u->fds[i], &st) < 0 ? 0 : st.st_dev;
        u->alone[i] = true;
        for (size_t k = 0; k < i; k++)
            u->alone[i] &= devs[k] != devs[i];
        u->most_free[i] = u->alone[i] ? free_bytes(u->fds[i]) : 0;
    }
}

void uppers_init(struct uppers *u)
{
    memset(u, 0, sizeof *u);
}

enum err uppers_open(const struct jail_plan *p, struct uppers *u, struct error *e)
{
    u->limit = p->limits.disk;
    u->walked_ns = sys->boottime_ns();
    for (size_t i = 0; i < p->nmounts; i++) {
        char path[PATH_MAX];
        struct slice upper = p->mounts[i].upper;
        if (upper.n == 0 || upper.n >= sizeof path)
            continue;
        memcpy(path, upper.p, upper.n);
        path[upper.n] = '\0';
        int fd = open_folder(AT_FDCWD, path);
        if (fd < 0)
            return error_errno(e, errno, "cannot open %s, where a step's changes go", path);
        u->fds[u->n++] = fd;
        if (holds(fd, "up") || holds(fd, "work"))
            return error_set(e, ERR_USAGE, "%s does not hold an empty up and work; one attempt's folder serves one jail", path);
    }
    if (u->limit)
        find_file_systems(u);
    return OK;
}

static void end_walk(struct walk *w)
{
    while (w->depth)
        closedir(w->open[--w->depth]);
    w->next = 0;
}

void uppers_close(struct uppers *u)
{
    end_walk(&u->walk);
    while (u->n)
        sys_close_fd(&u->fds[--u->n]);
}

bool uppers_changed(const struct uppers *u)
{
    for (size_t i = 0; i < u->n; i++)
        if (holds(u->fds[i], "up"))
            return true;
    return false;
}

/* ---- how much they hold ---- */

/* Goes into a folder; one that is gone was moved or removed meanwhile. */
static void walk_into(struct walk *w, int dir, const char *name)
{
    int fd = w->depth < UPPERS_DEPTH_MAX ? open_folder(dir, name) : -1;
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d)
        w->open[w->depth++] = d;
    else
        w->unseen |= w->depth == UPPERS_DEPTH_MAX || errno != ENOENT;
    if (!d)
        sys_close_fd(&fd);
}

static void walk_entry(struct walk *w, const char *name)
{
    int dir = dirfd(w->open[w->depth - 1]);
    struct stat st;
    if (sys->fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    bool folder = S_ISDIR(st.st_mode);
    w->bytes += (uint64_t)st.st_blocks * 512 / (folder || st.st_nlink == 0 ? 1 : (uint64_t)st.st_nlink);
    if (folder)
        walk_into(w, dir, name);
}

/* One step of a walk; false at its end. */
static bool walk_step(struct uppers *u)
{
    struct walk *w = &u->walk;
    if (w->depth == 0) {
        if (w->next == u->n)
            return false;
        walk_into(w, u->fds[w->next++], "up");
        return true;
    }
    const struct dirent *d = next_entry(w->open[w->depth - 1]);
    if (d)
        walk_entry(w, d->d_name);
    else
        closedir(w->open[--w->depth]);
    return true;
}

/* Bytes that the file systems of the uppers have lost since they had most. */
static uint64_t bytes_lost(struct uppers *u)
{
    uint64_t lost = 0;
    for (size_t i = 0; i < u->n; i++) {
        uint64_t now = u->alone[i] ? free_bytes(u->fds[i]) : 0;
        if (now > u->most_free[i])
            u->most_free[i] = now;
        lost += u->most_free[i] - now;
    }
    return lost;
}

/* Whether something that cannot be seen must be large: by the file system's word. */
static bool hides(const struct uppers *u, uint64_t lost)
{
    return lost / 2 > u->limit;
}

/* A walk has ended, or has seen enough. */
static enum look judge(struct uppers *u, uint64_t lost)
{
    struct walk *w = &u->walk;
    int64_t now_ns = sys->boottime_ns();
    bool hidden = w->unseen && hides(u, lost);
    w->over = w->bytes > u->limit ? w->over + 1 : 0;
    u->walked = w->bytes;
    u->walked_ns = now_ns;
    end_walk(w);
    w->bytes = 0;
    w->unseen = false;
    if (w->over > 1 || hidden)
        return LOOK_OVER;
    if (w->over || lost < u->limit || now_ns - u->asked_ns < ASK_MS * ms_ns)
        return LOOK_FINE;
    u->asked_ns = now_ns;
    return LOOK_ASK;
}

enum look uppers_look(struct uppers *u)
{
    struct walk *w = &u->walk;
    int64_t began_ns = sys->boottime_ns();
    uint64_t lost = bytes_lost(u);
    bool under_way = w->next || w->over;
    if (!under_way && lost < u->limit && began_ns - u->walked_ns < IDLE_MS * ms_ns)
        return LOOK_FINE;
    for (unsigned i = 1; i % CLOCK_EVERY || sys->boottime_ns() - began_ns < UPPERS_LOOK_MS * ms_ns; i++) {
        if (walk_step(u) && w->bytes <= u->limit)
            continue;
        enum look look = judge(u, lost);
        if (look != LOOK_FINE || !w->over)
            return look;
    }
    return LOOK_FINE;
}

bool uppers_held(struct uppers *u, uint64_t held, bool unseen)
{
    return u->walked + held > u->limit || (unseen && hides(u, bytes_lost(u)));
}
