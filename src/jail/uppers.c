/*
 * The folders that a step writes into, as the outer process sees them: whether it changed anything (uppers), and how much it
 * has written.
 *
 * The amount is what a walk through them adds up (blocks; a file of several names in equal parts; names). A walk costs, so it is
 * made in slices of UPPERS_LOOK_MS (or UPPERS_HURRY_MS) every UPPERS_EVERY_MS, and begun only when the file system has lost as much as a
 * limit, of bytes or of inodes, since it had most free, or a second has passed (btrfs tells late). The file system alone never decides while the
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

/* What is free on the file system of a folder; 0 where it does not say. */
static struct extent free_of(int fd)
{
    struct statvfs st;
    if (fstatvfs(fd, &st) < 0)
        return (struct extent){0};
    return (struct extent){.bytes = (uint64_t)st.f_bfree * st.f_frsize, .entries = st.f_ffree};
}

/* Whether it is more than the limits, where there are any. */
static bool is_over(const struct uppers *u, struct extent a)
{
    return (u->limit.bytes && a.bytes > u->limit.bytes) || (u->limit.entries && a.entries > u->limit.entries);
}

static uint64_t beyond(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static struct extent extent_beyond(struct extent a, struct extent b)
{
    return (struct extent){.bytes = beyond(a.bytes, b.bytes), .entries = beyond(a.entries, b.entries)};
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

/* Each file system is asked once, however many of the folders it has. */
static void find_file_systems(struct uppers *u)
{
    struct stat st;
    dev_t devs[JAIL_MOUNTS_MAX] = {0};
    for (size_t i = 0; i < u->n; i++) {
        devs[i] = fstat(u->fds[i], &st) < 0 ? 0 : st.st_dev;
        u->alone[i] = true;
        for (size_t k = 0; k < i; k++)
            u->alone[i] &= devs[k] != devs[i];
        u->most_free[i] = u->alone[i] ? free_of(u->fds[i]) : (struct extent){0};
    }
}

/* ---- a walk through them ---- */

static void end_walk(struct walk *w)
{
    while (w->depth)
        closedir(w->open[--w->depth]);
    w->next = 0;
}

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
    w->sum.entries++;
    w->sum.bytes += (uint64_t)st.st_blocks * 512 / (folder || st.st_nlink == 0 ? 1 : (uint64_t)st.st_nlink);
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
        walk_into(w, u->fds[w->next], u->upper[w->next] ? "up" : ".");
        w->next++;
        return true;
    }
    const struct dirent *d = next_entry(w->open[w->depth - 1]);
    if (d)
        walk_entry(w, d->d_name);
    else
        closedir(w->open[--w->depth]);
    return true;
}

/* What lies in the folders that are written into as they are is nobody's doing yet. */
static void count_what_is_there(struct uppers *u)
{
    while (walk_step(u))
        continue;
    end_walk(&u->walk);
    u->base = u->walk.sum;
    u->walk = (struct walk){.depth = 0};
}

/* ---- making and ending ---- */

void uppers_init(struct uppers *u)
{
    memset(u, 0, sizeof *u);
}

/* One more folder that is written into: an upper, or one that is bound as it is. */
static enum err add_folder(struct uppers *u, struct slice source, bool upper, struct error *e)
{
    char path[PATH_MAX];
    if (source.n >= sizeof path)
        return error_set(e, ERR_LIMIT, "the path %.200s is too long", source.p);
    memcpy(path, source.p, source.n);
    path[source.n] = '\0';
    int fd = open_folder(AT_FDCWD, path);
    if (fd < 0)
        return error_errno(e, errno, "cannot open %s, where a step's changes go", path);
    u->upper[u->n] = upper;
    u->fds[u->n++] = fd;
    if (upper && (holds(fd, "up") || holds(fd, "work")))
        return error_set(e, ERR_USAGE, "%s does not hold an empty up and work; one attempt's folder serves one jail", path);
    return OK;
}

enum err uppers_open(const struct jail_plan *p, struct uppers *u, struct error *e)
{
    enum err err = OK;
    u->limit = (struct extent){.bytes = p->limits.disk, .entries = p->limits.entries};
    bool counts = u->limit.bytes || u->limit.entries;
    for (size_t i = 0; !err && i < p->nmounts; i++) {
        const struct jail_mount *m = &p->mounts[i];
        if (m->upper.n)
            err = add_folder(u, m->upper, true, e);
        else if (m->kind == JAIL_WRITE && counts)
            err = add_folder(u, m->source, false, e);
    }
    if (!err && counts) {
        find_file_systems(u);
        count_what_is_there(u);
    }
    u->walked_ns = sys->boottime_ns();
    return err;
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
        if (u->upper[i] && holds(u->fds[i], "up"))
            return true;
    return false;
}

/* ---- how much they hold ---- */

/* What the file systems have lost since they had most. */
static struct extent lost_now(struct uppers *u)
{
    struct extent lost = {0};
    for (size_t i = 0; i < u->n; i++) {
        struct extent now = u->alone[i] ? free_of(u->fds[i]) : (struct extent){0}, *most = &u->most_free[i];
        most->bytes = now.bytes > most->bytes ? now.bytes : most->bytes;
        most->entries = now.entries > most->entries ? now.entries : most->entries;
        lost.bytes += most->bytes - now.bytes;
        lost.entries += most->entries - now.entries;
    }
    return lost;
}

/* Whether something that cannot be seen must be large: by the file system's word. */
static bool hides(const struct uppers *u, struct extent lost)
{
    return is_over(u, (struct extent){.bytes = lost.bytes / 2, .entries = lost.entries / 2});
}

/* A walk has ended, or has seen enough. */
static enum look judge(struct uppers *u, struct extent lost)
{
    struct walk *w = &u->walk;
    int64_t now_ns = sys->boottime_ns();
    bool hidden = w->unseen && hides(u, lost);
    u->walked = extent_beyond(w->sum, u->base);
    w->over = is_over(u, u->walked) ? w->over + 1 : 0;
    u->walked_ns = now_ns;
    end_walk(w);
    w->sum = (struct extent){0};
    w->unseen = false;
    if (w->over > 1 || hidden)
        return LOOK_OVER;
    if (w->over || !is_over(u, lost) || now_ns - u->asked_ns < ASK_MS * ms_ns)
        return LOOK_FINE;
    u->asked_ns = now_ns;
    return LOOK_ASK;
}

enum look uppers_look(struct uppers *u)
{
    struct walk *w = &u->walk;
    int64_t began_ns = sys->boottime_ns();
    struct extent lost = lost_now(u);
    bool under_way = w->next || w->over, hurry = is_over(u, lost);
    int64_t until_ns = began_ns + (hurry ? UPPERS_HURRY_MS : UPPERS_LOOK_MS) * ms_ns;
    if (!under_way && !hurry && began_ns - u->walked_ns < IDLE_MS * ms_ns)
        return LOOK_FINE;
    for (unsigned i = 1; i % CLOCK_EVERY || sys->boottime_ns() < until_ns; i++) {
        if (walk_step(u) && !is_over(u, extent_beyond(w->sum, u->base)))
            continue;
        enum look look = judge(u, lost);
        if (look != LOOK_FINE || !w->over)
            return look;
    }
    return LOOK_FINE;
}

bool uppers_held(struct uppers *u, uint64_t held, bool unseen)
{
    struct extent all = u->walked;
    all.bytes += held;
    return is_over(u, all) || (unseen && hides(u, lost_now(u)));
}

bool uppers_of_entries(const struct uppers *u)
{
    return u->limit.entries && u->walked.entries > u->limit.entries;
}
