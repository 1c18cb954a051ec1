/* The calls: paths, handles, and each operation between sim_op and sim_op_done. */
#include "sim/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "sim/internal.h"

/* ---- handles ---- */

static struct sim_handle *handle(const struct sim_world *w, int fd)
{
    bool ours = fd >= SIM_FD_BASE && fd < SIM_FD_BASE + SIM_HANDLES;
    const struct sim_handle *h = ours ? &w->h.handles[fd - SIM_FD_BASE] : NULL;
    if (h && h->used && h->process == sim_process)
        return (struct sim_handle *)(uintptr_t)h;
    errno = EBADF;
    return NULL;
}

/* The same for a call on contents: a file, not a folder. */
static struct sim_handle *file_handle(const struct sim_world *w, int fd, bool write)
{
    struct sim_handle *h = handle(w, fd);
    if (!h)
        return NULL;
    int access = h->flags & O_ACCMODE;
    errno = w->h.inodes[h->inode].kind == SIM_FOLDER ? EISDIR : EBADF;
    if (errno == EISDIR || (write ? access == O_RDONLY : access == O_WRONLY) || h->flags & O_PATH)
        return NULL;
    return h;
}

static int handle_new(struct sim_world *w, unsigned inode, int flags)
{
    for (int i = 0; i < SIM_HANDLES; i++)
        if (!w->h.handles[i].used) {
            w->h.handles[i] = (struct sim_handle){.used = true, .process = sim_process, .inode = (uint16_t)inode,
                                                  .flags = flags};
            w->h.inodes[inode].opens++;
            return SIM_FD_BASE + i;
        }
    errno = EMFILE;
    return -1;
}

static void handle_free(struct sim_world *w, struct sim_handle *h)
{
    w->h.inodes[h->inode].opens--;
    h->used = false;
}

void handles_drop(struct sim_world *w, bool all, uint32_t process)
{
    for (int i = 0; i < SIM_HANDLES; i++)
        if (w->h.handles[i].used && (all || w->h.handles[i].process == process))
            handle_free(w, &w->h.handles[i]);
    inodes_collect(w);
}

unsigned sim_disk_inode(const struct sim_world *w, int fd)
{
    const struct sim_handle *h = handle(w, fd);
    return h ? h->inode : 0;
}

/* ---- paths ---- */

/* Where a path leads. For a path that ends in "/", "." or "..", or is empty, `text` is empty: the folder itself. */
struct spot {
    unsigned dir, inode; /* the folder of the last name; what lies there, or 0 */
    char text[SIM_NAME_MAX + 1];
};

static int enter(const struct sim_world *w, unsigned *dir, const char *text)
{
    unsigned to = strcmp(text, "..") == 0 ? name_parent(&w->seen, *dir) : name_find(&w->seen, *dir, text);
    errno = ENOENT;
    if (!to)
        return -1;
    errno = ENOTDIR;
    if (w->h.inodes[to].kind != SIM_FOLDER)
        return -1;
    *dir = to;
    return 0;
}

static int start_of(const struct sim_world *w, int dir, const char *path, unsigned *ret)
{
    *ret = SIM_ROOT;
    if (path[0] == '/' || dir == AT_FDCWD)
        return 0;
    const struct sim_handle *h = handle(w, dir);
    if (!h)
        return -1;
    *ret = h->inode;
    const struct sim_inode *f = &w->h.inodes[h->inode];
    errno = f->kind == SIM_FOLDER ? ENOENT : ENOTDIR;
    return f->kind == SIM_FOLDER && f->links ? 0 : -1; /* nothing is found or made in a folder that was removed */
}

static int spot_find(const struct sim_world *w, int dir, const char *path, struct spot *s)
{
    *s = (struct spot){0};
    errno = ENOENT;
    if (!path[0] || start_of(w, dir, path, &s->dir) < 0)
        return -1;
    while (*path) {
        size_t n = strcspn(path, "/");
        if (n == 0 || (n == 1 && path[0] == '.')) {
            path += n ? n : 1;
            continue;
        }
        if (s->text[0] && enter(w, &s->dir, s->text) < 0)
            return -1;
        errno = ENAMETOOLONG;
        if (n > SIM_NAME_MAX)
            return -1;
        memcpy(s->text, path, n);
        s->text[n] = '\0';
        path += n;
        if (strcmp(s->text, "..") == 0) {
            if (enter(w, &s->dir, s->text) < 0)
                return -1;
            s->text[0] = '\0';
        }
    }
    s->inode = s->text[0] ? name_find(&w->seen, s->dir, s->text) : s->dir;
    return 0;
}

static struct sim_name spot_name(const struct spot *s, unsigned inode)
{
    struct sim_name n = {.dir = (uint16_t)s->dir, .inode = (uint16_t)inode};
    memcpy(n.text, s->text, sizeof n.text);
    return n;
}

/* Puts `inode` (0: nothing) at a spot. */
static int spot_set(struct sim_world *w, const struct spot *s, unsigned inode)
{
    errno = ENOSPC;
    if (inode && !s->inode && w->seen.n >= SIM_NAMES)
        return -1;
    struct sim_change c = {.n = 1, .was = {(uint16_t)s->inode}, .set = {spot_name(s, inode)}};
    name_change(w, &c);
    return 0;
}

/* ---- opening and closing ---- */

static int open_refused(const struct sim_world *w, const struct spot *s, int flags)
{
    bool folder = s->inode && w->h.inodes[s->inode].kind == SIM_FOLDER;
    if ((flags & O_TMPFILE) == O_TMPFILE)
        return EOPNOTSUPP;
    if (!s->inode)
        return flags & O_CREAT ? (flags & O_DIRECTORY ? EINVAL : 0) : ENOENT;
    if ((flags & O_CREAT) && (flags & O_EXCL))
        return EEXIST;
    if (folder && ((flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC)))
        return EISDIR;
    return !folder && flags & O_DIRECTORY ? ENOTDIR : 0;
}

static void set_size(struct sim_world *w, unsigned inode, int64_t n)
{
    page_cut_tail(w, inode, n);
    w->h.inodes[inode].cur.size = n;
    inode_touch(w, inode, true);
}

int sim_open(struct sim_world *w, int dir, const char *path, int flags, mode_t mode)
{
    struct spot s;
    int found = spot_find(w, dir, path, &s);
    int refused = found < 0 ? errno : open_refused(w, &s, flags);
    bool creates = !refused && !s.inode, cuts = !refused && s.inode && flags & O_TRUNC;
    if (sim_op(w, creates || cuts ? SIM_OP_CREATE : SIM_OP_OPEN, 0) < 0)
        return -1;
    unsigned inode = s.inode;
    errno = refused;
    if (refused || (creates && !(inode = inode_new(w, SIM_FILE, mode))))
        return -1;
    int fd = handle_new(w, inode, flags);
    if (fd < 0)
        return -1;
    if (creates && spot_set(w, &s, inode) < 0) {
        handle_free(w, handle(w, fd));
        errno = ENOSPC;
        return -1;
    }
    if (cuts)
        set_size(w, inode, 0);
    sim_op_done(w);
    return fd;
}

int sim_open_nameless(struct sim_world *w)
{
    if (sim_op(w, SIM_OP_OPEN, 0) < 0)
        return -1;
    unsigned inode = inode_new(w, SIM_FILE, 0600);
    return inode ? handle_new(w, inode, O_RDWR) : -1;
}

int sim_close(struct sim_world *w, int fd)
{
    struct sim_handle *h = handle(w, fd);
    if (!h)
        return -1;
    handle_free(w, h);
    return 0;
}

/* ---- contents ---- */

ssize_t sim_pread(struct sim_world *w, int fd, void *p, size_t n, int64_t at)
{
    if (sim_op(w, SIM_OP_READ, n) < 0)
        return -1;
    struct sim_handle *h = file_handle(w, fd, false);
    if (!h)
        return -1;
    int64_t size = w->h.inodes[h->inode].cur.size;
    if (at < 0 || at >= size)
        return 0;
    if ((uint64_t)(size - at) < n)
        n = (size_t)(size - at);
    page_read(w, h->inode, p, n, at);
    return (ssize_t)n;
}

ssize_t sim_read(struct sim_world *w, int fd, void *p, size_t n)
{
    struct sim_handle *h = file_handle(w, fd, false);
    if (!h)
        return -1;
    ssize_t got = sim_pread(w, fd, p, n, h->at);
    h->at += got > 0 ? got : 0;
    return got;
}

/* How much of a write that dies has been done: up to the edge of some sector, perhaps nothing, never all. */
static size_t torn_part(struct sim_world *w, size_t n, int64_t at)
{
    int64_t end = at + (int64_t)sim_rand_below(&w->h.disk, n);
    end -= end % SIM_SECTOR;
    return end > at ? (size_t)(end - at) : 0;
}

ssize_t sim_pwrite(struct sim_world *w, int fd, const void *p, size_t n, int64_t at)
{
    if (sim_op(w, SIM_OP_WRITE, sim_mix((uint64_t)at, n)) < 0)
        return -1;
    struct sim_handle *h = file_handle(w, fd, true);
    if (!h)
        return -1;
    struct sim_inode *f = &w->h.inodes[h->inode];
    int64_t most = (int64_t)SIM_FILE_PAGES * SIM_PAGE;
    errno = at < 0 ? EINVAL : EFBIG;
    if (at < 0 || at > most || (at == most && n))
        return -1;
    if (n > (uint64_t)(most - at))
        n = (size_t)(most - at);
    size_t done = page_write(w, h->inode, p, op_torn(w) ? torn_part(w, n, at) : n, at);
    if (done && at + (int64_t)done > f->cur.size)
        f->cur.size = at + (int64_t)done;
    if (done)
        inode_touch(w, h->inode, true);
    sim_op_done(w);
    if (n && !done)
        errno = ENOSPC;
    return n && !done ? -1 : (ssize_t)done;
}

ssize_t sim_write(struct sim_world *w, int fd, const void *p, size_t n)
{
    struct sim_handle *h = file_handle(w, fd, true);
    if (!h)
        return -1;
    if (h->flags & O_APPEND)
        h->at = w->h.inodes[h->inode].cur.size;
    ssize_t done = sim_pwrite(w, fd, p, n, h->at);
    h->at += done > 0 ? done : 0;
    return done;
}

int sim_truncate(struct sim_world *w, int fd, int64_t n)
{
    if (sim_op(w, SIM_OP_TRUNCATE, (uint64_t)n) < 0)
        return -1;
    struct sim_handle *h = file_handle(w, fd, true);
    if (!h) {
        errno = errno == EBADF && handle(w, fd) ? EINVAL : errno; /* what ftruncate says of a handle for reading */
        return -1;
    }
    errno = n < 0 ? EINVAL : EFBIG;
    if (n < 0 || n > (int64_t)SIM_FILE_PAGES * SIM_PAGE)
        return -1;
    set_size(w, h->inode, n);
    sim_op_done(w);
    return 0;
}

int sim_fallocate(struct sim_world *w, int fd, int mode, int64_t at, int64_t n)
{
    if (sim_op(w, SIM_OP_ALLOCATE, (uint64_t)n) < 0)
        return -1;
    struct sim_handle *h = file_handle(w, fd, true);
    if (!h)
        return -1;
    int64_t most = (int64_t)SIM_FILE_PAGES * SIM_PAGE;
    errno = at < 0 || n <= 0 ? EINVAL : mode & ~FALLOC_FL_KEEP_SIZE ? EOPNOTSUPP : EFBIG;
    if (at < 0 || n <= 0 || mode & ~FALLOC_FL_KEEP_SIZE || at > most || n > most - at)
        return -1;
    struct sim_inode *f = &w->h.inodes[h->inode];
    if (page_allocate(w, h->inode, at, n) < 0)
        return -1; /* what was allocated so far stays, as on ext4 */
    if (!(mode & FALLOC_FL_KEEP_SIZE) && at + n > f->cur.size)
        f->cur.size = at + n;
    inode_touch(w, h->inode, false);
    sim_op_done(w);
    return 0;
}

/* ---- durability ---- */

int sim_sync(struct sim_world *w, int fd)
{
    struct sim_handle *h = handle(w, fd);
    int failed = sim_op(w, SIM_OP_SYNC, h ? h->inode : 0);
    if (failed < 0 && errno == EIO && h && w->h.inodes[h->inode].kind == SIM_FILE) {
        page_sync_some(w, h->inode, true);
        errno = EIO;
    }
    if (failed < 0)
        return -1;
    if (!h) {
        errno = EBADF;
        return -1;
    }
    bool folder = w->h.inodes[h->inode].kind == SIM_FOLDER;
    if (op_torn(w))
        page_sync_some(w, h->inode, false);
    else if (!folder)
        page_sync(w, h->inode);
    else if (!(w->h.bugs & SIM_BUG_FOLDER_SYNC)) {
        page_sync(w, h->inode);
        name_sync(w, h->inode);
    }
    sim_op_done(w);
    return 0;
}

int sim_sync_all(struct sim_world *w, int fd)
{
    if (sim_op(w, SIM_OP_SYNC_ALL, 0) < 0)
        return -1;
    if (!handle(w, fd))
        return -1;
    bool torn = op_torn(w);
    for (unsigned i = 1; i < SIM_INODES; i++)
        if (torn)
            page_sync_some(w, i, false);
        else
            page_sync(w, i);
    if (!torn)
        name_sync_all(w);
    sim_op_done(w);
    return 0;
}

void disk_write_back(struct sim_world *w)
{
    if (!sim_rand_chance(&w->h.disk, 1, 8))
        return;
    unsigned first = (unsigned)sim_rand_below(&w->h.disk, SIM_INODES);
    if (sim_rand_chance(&w->h.disk, 1, 4))
        name_write_back(w);
    for (unsigned k = 0; k < SIM_INODES; k++) {
        unsigned i = (first + k) % SIM_INODES;
        if (w->h.inodes[i].dirty || w->h.inodes[i].meta_dirty) {
            page_write_back(w, i);
            return;
        }
    }
}

/* ---- names ---- */

static void stat_fill(const struct sim_world *w, unsigned inode, struct stat *st)
{
    const struct sim_inode *f = &w->h.inodes[inode];
    bool folder = f->kind == SIM_FOLDER;
    *st = (struct stat){
        .st_dev = 1, .st_ino = inode + 1, .st_mode = (folder ? S_IFDIR : S_IFREG) | f->cur.mode,
        .st_nlink = folder ? 2 : f->links, .st_uid = getuid(), .st_gid = getgid(),
        .st_size = folder ? SIM_PAGE : f->cur.size, .st_blksize = SIM_PAGE, .st_blocks = f->blocks * SIM_SECTORS,
    };
    st->st_mtim = (struct timespec){f->cur.mtime_ns / 1000000000, f->cur.mtime_ns % 1000000000};
    st->st_ctim = (struct timespec){f->cur.ctime_ns / 1000000000, f->cur.ctime_ns % 1000000000};
    st->st_atim = st->st_mtim;
}

int sim_stat(struct sim_world *w, int dir, const char *path, struct stat *st, int flags)
{
    if (sim_op(w, SIM_OP_STAT, 0) < 0)
        return -1;
    struct spot s = {0};
    if (!path[0] && flags & AT_EMPTY_PATH) {
        const struct sim_handle *h = dir == AT_FDCWD ? NULL : handle(w, dir);
        if (!h && dir != AT_FDCWD)
            return -1;
        s.inode = h ? h->inode : SIM_ROOT;
    } else if (spot_find(w, dir, path, &s) < 0) {
        return -1;
    }
    errno = ENOENT;
    if (!s.inode)
        return -1;
    size_t n = strlen(path);
    errno = ENOTDIR;
    if (n && path[n - 1] == '/' && w->h.inodes[s.inode].kind != SIM_FOLDER)
        return -1;
    stat_fill(w, s.inode, st);
    return 0;
}

int sim_mkdir(struct sim_world *w, int dir, const char *path, mode_t mode)
{
    struct spot s;
    int refused = spot_find(w, dir, path, &s) < 0 ? errno : s.inode ? EEXIST : 0;
    if (sim_op(w, refused ? SIM_OP_STAT : SIM_OP_MKDIR, 0) < 0)
        return -1;
    errno = refused ? refused : ENOSPC;
    if (refused || page_used(w) >= w->h.capacity)
        return -1;
    unsigned inode = inode_new(w, SIM_FOLDER, mode);
    if (!inode || spot_set(w, &s, inode) < 0)
        return -1;
    sim_op_done(w);
    return 0;
}

static int unlink_refused(const struct sim_world *w, const struct spot *s, int flags)
{
    if (!s->inode)
        return ENOENT;
    bool folder = w->h.inodes[s->inode].kind == SIM_FOLDER;
    if (!(flags & AT_REMOVEDIR))
        return folder ? EISDIR : 0;
    return !folder ? ENOTDIR : !s->text[0] ? EBUSY : name_any(&w->seen, s->inode) ? ENOTEMPTY : 0;
}

int sim_unlink(struct sim_world *w, int dir, const char *path, int flags)
{
    struct spot s;
    int refused = spot_find(w, dir, path, &s) < 0 ? errno : unlink_refused(w, &s, flags);
    if (sim_op(w, refused ? SIM_OP_STAT : SIM_OP_UNLINK, 0) < 0)
        return -1;
    errno = refused;
    if (refused)
        return -1;
    inode_touch(w, s.inode, false);
    spot_set(w, &s, 0);
    sim_op_done(w);
    return 0;
}

static bool inside(const struct sim_world *w, unsigned dir, unsigned folder)
{
    for (; dir != SIM_ROOT; dir = name_parent(&w->seen, dir))
        if (dir == folder)
            return true;
    return false;
}

static int rename_refused(const struct sim_world *w, const struct spot *a, const struct spot *b, unsigned flags)
{
    if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE) || flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
        return EINVAL;
    if (!a->inode || (flags & RENAME_EXCHANGE && !b->inode))
        return ENOENT;
    if (!a->text[0] || !b->text[0])
        return EBUSY;
    if (b->inode && flags & RENAME_NOREPLACE)
        return EEXIST;
    bool from_folder = w->h.inodes[a->inode].kind == SIM_FOLDER;
    bool to_folder = b->inode && w->h.inodes[b->inode].kind == SIM_FOLDER;
    if ((from_folder && inside(w, b->dir, a->inode)) ||
        (flags & RENAME_EXCHANGE && to_folder && inside(w, a->dir, b->inode)))
        return EINVAL;
    if (flags & RENAME_EXCHANGE || !b->inode)
        return 0;
    if (from_folder != to_folder)
        return to_folder ? EISDIR : ENOTDIR;
    return to_folder && name_any(&w->seen, b->inode) ? ENOTEMPTY : 0;
}

int sim_rename(struct sim_world *w, int olddir, const char *old, int newdir, const char *new, unsigned flags)
{
    struct spot a, b;
    bool found = spot_find(w, olddir, old, &a) == 0 && spot_find(w, newdir, new, &b) == 0;
    int refused = found ? rename_refused(w, &a, &b, flags) : errno;
    if (sim_op(w, refused ? SIM_OP_STAT : SIM_OP_RENAME, flags) < 0)
        return -1;
    errno = refused;
    if (refused)
        return -1;
    if (a.inode != b.inode) {
        struct sim_change c = {.n = 2, .was = {(uint16_t)a.inode, (uint16_t)b.inode}};
        c.set[0] = spot_name(&a, flags & RENAME_EXCHANGE ? b.inode : 0);
        c.set[1] = spot_name(&b, a.inode);
        inode_touch(w, a.inode, false);
        if (b.inode)
            inode_touch(w, b.inode, false);
        name_change(w, &c);
    }
    sim_op_done(w);
    return 0;
}

int sim_flock(struct sim_world *w, int fd, int op)
{
    if (sim_op(w, SIM_OP_LOCK, (uint64_t)op) < 0)
        return -1;
    struct sim_handle *h = handle(w, fd);
    if (!h)
        return -1;
    int want = op & ~LOCK_NB;
    errno = EINVAL;
    if (want != LOCK_UN && want != LOCK_SH && want != LOCK_EX)
        return -1;
    for (int i = 0; want != LOCK_UN && i < SIM_HANDLES; i++) {
        const struct sim_handle *o = &w->h.handles[i];
        if (o == h || !o->used || o->inode != h->inode || !o->lock || (want == LOCK_SH && o->lock == LOCK_SH))
            continue;
        if (!(op & LOCK_NB)) {
            fprintf(stderr, "simulated flock would wait forever: nobody else runs\n");
            abort();
        }
        errno = EWOULDBLOCK;
        return -1;
    }
    h->lock = want == LOCK_UN ? 0 : want;
    return 0;
}
