#include "sim/vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/internal.h"
#include "sim/machine.h"

enum { PATH_MAX_BYTES = 512, REGIONS = 64 };

static struct sim_world *world;

/* The WAL index of one file, shared by its connections. */
struct index {
    unsigned inode;
    int users;
    void *regions[REGIONS];
    struct index *next;
};

struct file {
    sqlite3_file base; /* first: SQLite sees this */
    int fd;
    unsigned inode;
    int lock; /* SQLITE_LOCK_* */
    bool sync_folder;      /* new journal or WAL: the first sync makes its name durable as well */
    bool delete_on_close;
    struct index *index;
    unsigned shared, exclusive; /* locks of the WAL index, one bit each */
    struct file *next;
    char path[PATH_MAX_BYTES];
};

static struct file *files;
static struct index *indexes;

/* ---- contents ---- */

static int io_error(int other)
{
    return errno == ENOSPC || errno == EFBIG ? SQLITE_FULL : other;
}

static int folder_sync(const char *path)
{
    char folder[PATH_MAX_BYTES];
    const char *slash = strrchr(path, '/');
    size_t n = slash && slash > path ? (size_t)(slash - path) : 1;
    memcpy(folder, path, n);
    folder[n] = '\0';
    int fd = sim_open(world, AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return SQLITE_CANTOPEN;
    int failed = sim_sync(world, fd);
    sim_close(world, fd);
    return failed < 0 ? SQLITE_IOERR_DIR_FSYNC : SQLITE_OK;
}

static int vfs_read(sqlite3_file *base, void *p, int n, sqlite3_int64 at)
{
    struct file *f = (struct file *)base;
    ssize_t got = sim_pread(world, f->fd, p, (size_t)n, at);
    if (got < 0)
        return SQLITE_IOERR_READ;
    memset((char *)p + got, 0, (size_t)(n - got));
    return got < n ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
}

static int vfs_write(sqlite3_file *base, const void *p, int n, sqlite3_int64 at)
{
    struct file *f = (struct file *)base;
    for (int done = 0; done < n;) {
        ssize_t part = sim_pwrite(world, f->fd, (const char *)p + done, (size_t)(n - done), at + done);
        if (part < 0)
            return io_error(SQLITE_IOERR_WRITE);
        done += (int)part;
    }
    return SQLITE_OK;
}

static int vfs_truncate(sqlite3_file *base, sqlite3_int64 n)
{
    return sim_truncate(world, ((struct file *)base)->fd, n) < 0 ? SQLITE_IOERR_TRUNCATE : SQLITE_OK;
}

static int vfs_sync(sqlite3_file *base, int flags)
{
    (void)flags;
    struct file *f = (struct file *)base;
    if (world->h.bugs & SIM_BUG_VFS_SYNC) {
        if (sim_op(world, SIM_OP_SYNC, f->inode) < 0)
            return SQLITE_IOERR_FSYNC;
        sim_op_done(world);
    } else if (sim_sync(world, f->fd) < 0) {
        return SQLITE_IOERR_FSYNC;
    }
    if (!f->sync_folder)
        return SQLITE_OK;
    f->sync_folder = false;
    return folder_sync(f->path);
}

static int vfs_size(sqlite3_file *base, sqlite3_int64 *ret)
{
    struct stat st;
    if (sim_stat(world, ((struct file *)base)->fd, "", &st, AT_EMPTY_PATH) < 0)
        return SQLITE_IOERR_FSTAT;
    *ret = st.st_size;
    return SQLITE_OK;
}

/* ---- locks between connections ---- */

/* The highest lock that another connection has on the same file. */
static int others_lock(const struct file *f)
{
    int most = SQLITE_LOCK_NONE;
    for (const struct file *o = files; o; o = o->next)
        if (o != f && o->inode == f->inode && o->lock > most)
            most = o->lock;
    return most;
}

static int vfs_lock(sqlite3_file *base, int want)
{
    struct file *f = (struct file *)base;
    int others = others_lock(f);
    if (f->lock >= want)
        return SQLITE_OK;
    if (want == SQLITE_LOCK_SHARED && others >= SQLITE_LOCK_PENDING)
        return SQLITE_BUSY;
    if (want >= SQLITE_LOCK_RESERVED && others >= SQLITE_LOCK_RESERVED)
        return SQLITE_BUSY;
    if (want == SQLITE_LOCK_EXCLUSIVE && others >= SQLITE_LOCK_SHARED) {
        f->lock = SQLITE_LOCK_PENDING; /* keeps new readers out until the present ones are gone */
        return SQLITE_BUSY;
    }
    f->lock = want;
    return SQLITE_OK;
}

static int vfs_unlock(sqlite3_file *base, int to)
{
    struct file *f = (struct file *)base;
    if (f->lock > to)
        f->lock = to;
    return SQLITE_OK;
}

static int vfs_check_reserved(sqlite3_file *base, int *ret)
{
    struct file *f = (struct file *)base;
    *ret = f->lock >= SQLITE_LOCK_RESERVED || others_lock(f) >= SQLITE_LOCK_RESERVED;
    return SQLITE_OK;
}

/* ---- the WAL index ---- */

static struct index *index_of(unsigned inode)
{
    for (struct index *x = indexes; x; x = x->next)
        if (x->inode == inode) {
            x->users++;
            return x;
        }
    struct index *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    *x = (struct index){.inode = inode, .users = 1, .next = indexes};
    return indexes = x;
}

static void index_release(struct index *x)
{
    if (--x->users > 0)
        return;
    struct index **at = &indexes;
    while (*at != x)
        at = &(*at)->next;
    *at = x->next;
    for (int i = 0; i < REGIONS; i++)
        free(x->regions[i]);
    free(x);
}

static int vfs_shm_map(sqlite3_file *base, int region, int size, int extend, void volatile **ret)
{
    struct file *f = (struct file *)base;
    *ret = NULL;
    if (!f->index && !(f->index = index_of(f->inode)))
        return SQLITE_NOMEM;
    if (region < 0 || region >= REGIONS)
        return SQLITE_IOERR_SHMMAP;
    void **at = &f->index->regions[region];
    if (!*at && extend && !(*at = calloc(1, (size_t)size)))
        return SQLITE_NOMEM;
    *ret = *at;
    return SQLITE_OK;
}

static int vfs_shm_lock(sqlite3_file *base, int first, int n, int flags)
{
    struct file *f = (struct file *)base;
    unsigned mask = ((1u << n) - 1) << first;
    if (flags & SQLITE_SHM_UNLOCK) {
        f->shared &= ~mask;
        f->exclusive &= ~mask;
        return SQLITE_OK;
    }
    bool alone = flags & SQLITE_SHM_EXCLUSIVE;
    for (const struct file *o = files; o; o = o->next)
        if (o != f && o->index && o->index == f->index && (o->exclusive | (alone ? o->shared : 0)) & mask)
            return SQLITE_BUSY;
    *(alone ? &f->exclusive : &f->shared) |= mask;
    return SQLITE_OK;
}

static void vfs_shm_barrier(sqlite3_file *base)
{
    (void)base;
    __sync_synchronize();
}

static int vfs_shm_unmap(sqlite3_file *base, int delete)
{
    (void)delete;
    struct file *f = (struct file *)base;
    f->shared = f->exclusive = 0;
    if (f->index)
        index_release(f->index);
    f->index = NULL;
    return SQLITE_OK;
}

/* ---- the rest of a file's methods ---- */

static int vfs_close(sqlite3_file *base)
{
    struct file *f = (struct file *)base;
    vfs_shm_unmap(base, 0);
    struct file **at = &files;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    sim_close(world, f->fd);
    if (f->delete_on_close && f->path[0])
        sim_unlink(world, AT_FDCWD, f->path, 0);
    return SQLITE_OK;
}

static int vfs_control(sqlite3_file *base, int op, void *arg)
{
    if (op == SQLITE_FCNTL_LOCKSTATE) {
        *(int *)arg = ((struct file *)base)->lock;
        return SQLITE_OK;
    }
    if (op == SQLITE_FCNTL_VFSNAME) {
        *(char **)arg = sqlite3_mprintf("%s", SIM_VFS);
        return SQLITE_OK;
    }
    return SQLITE_NOTFOUND;
}

static int vfs_sector(sqlite3_file *base)
{
    (void)base;
    return SIM_SECTOR;
}

static int vfs_characteristics(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2, .xClose = vfs_close, .xRead = vfs_read, .xWrite = vfs_write, .xTruncate = vfs_truncate,
    .xSync = vfs_sync, .xFileSize = vfs_size, .xLock = vfs_lock, .xUnlock = vfs_unlock,
    .xCheckReservedLock = vfs_check_reserved, .xFileControl = vfs_control, .xSectorSize = vfs_sector,
    .xDeviceCharacteristics = vfs_characteristics, .xShmMap = vfs_shm_map, .xShmLock = vfs_shm_lock,
    .xShmBarrier = vfs_shm_barrier, .xShmUnmap = vfs_shm_unmap,
};

/* ---- the file system ---- */

static int open_file(const char *path, int flags)
{
    if (!path)
        return sim_open_nameless(world);
    int how = flags & SQLITE_OPEN_READONLY ? O_RDONLY : O_RDWR;
    how |= flags & SQLITE_OPEN_CREATE ? O_CREAT : 0;
    how |= flags & SQLITE_OPEN_EXCLUSIVE ? O_EXCL : 0;
    return sim_open(world, AT_FDCWD, path, how, 0644);
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *ret_flags)
{
    (void)vfs;
    struct file *f = (struct file *)base;
    *f = (struct file){.fd = -1}; /* no methods: SQLite does not close what did not open */
    if (path && strlen(path) >= sizeof f->path)
        return SQLITE_CANTOPEN;
    f->fd = open_file(path, flags);
    if (f->fd < 0)
        return errno == ENOSPC ? SQLITE_FULL : SQLITE_CANTOPEN;
    f->inode = sim_disk_inode(world, f->fd);
    f->sync_folder = path && flags & SQLITE_OPEN_CREATE &&
                     flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL);
    f->delete_on_close = path && flags & SQLITE_OPEN_DELETEONCLOSE;
    if (path)
        memcpy(f->path, path, strlen(path) + 1);
    f->next = files;
    files = f;
    f->base.pMethods = &methods;
    if (ret_flags)
        *ret_flags = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_folder)
{
    (void)vfs;
    if (sim_unlink(world, AT_FDCWD, path, 0) < 0)
        return errno == ENOENT ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
    return sync_folder ? folder_sync(path) : SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
    (void)vfs;
    struct stat st;
    bool there = sim_stat(world, AT_FDCWD, path, &st, 0) == 0;
    if (!there && errno != ENOENT && errno != ENOTDIR)
        return SQLITE_IOERR_ACCESS;
    *ret = there && (flags != SQLITE_ACCESS_EXISTS || !S_ISREG(st.st_mode) || st.st_size > 0);
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int n, char *ret)
{
    (void)vfs;
    int used = snprintf(ret, (size_t)n, "%s%s", path[0] == '/' ? "" : "/", path);
    return used < 0 || used >= n ? SQLITE_CANTOPEN : SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *vfs, int n, char *p)
{
    (void)vfs;
    sim_machine_random(world, p, (size_t)n);
    return n;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    sim_clock_pass(world, (int64_t)us * 1000);
    return us;
}

static int vfs_time(sqlite3_vfs *vfs, sqlite3_int64 *ret)
{
    (void)vfs;
    static const int64_t epoch_ms = 210866760000000; /* 1970-01-01 in milliseconds of the Julian day */
    *ret = epoch_ms + sim_clock_look_ms(world);
    return SQLITE_OK;
}

static int vfs_time_days(sqlite3_vfs *vfs, double *ret)
{
    sqlite3_int64 ms = 0;
    vfs_time(vfs, &ms);
    *ret = (double)ms / 86400000.0;
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int n, char *text)
{
    (void)vfs, (void)n, (void)text;
    return errno;
}

static sqlite3_vfs sim_vfs = {
    .iVersion = 2, .szOsFile = sizeof(struct file), .mxPathname = PATH_MAX_BYTES - 1, .zName = SIM_VFS,
    .xOpen = vfs_open, .xDelete = vfs_delete, .xAccess = vfs_access, .xFullPathname = vfs_full_path,
    .xRandomness = vfs_randomness, .xSleep = vfs_sleep, .xCurrentTime = vfs_time_days,
    .xGetLastError = vfs_last_error, .xCurrentTimeInt64 = vfs_time,
};

void sim_vfs_register(struct sim_world *w)
{
    world = w;
    ASSERT(sqlite3_vfs_register(&sim_vfs, 1) == SQLITE_OK);
    sqlite3_randomness(0, NULL); /* forgets what it drew: the next draw asks the simulated machine */
}
