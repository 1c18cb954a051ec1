/* What a landing is made of: files copied with their holes, links, times, and leases on files of others. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "layers/internal.h"
#include "layers/landing_path.h"
#include "layers/walk.h"

enum { CHUNK = 64 * 1024, SMALL = 1024 * 1024 };

enum lease lease_take(int fd)
{
    (void)fcntl(fd, F_SETSIG, SIGURG); /* the notice of a break: ignored by default, where SIGIO would kill us */
    if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
        return LEASE_HELD;
    return errno == EAGAIN ? LEASE_REFUSED : LEASE_NONE;
}

bool lease_broken(int fd, enum lease lease)
{
    return lease == LEASE_HELD && fcntl(fd, F_GETLEASE) != F_RDLCK;
}

/* The same mtime, as far as a file system keeps it: some know only tenths of microseconds, seconds or two of them. */
static bool same_time(int64_t a, int64_t b)
{
    static const int64_t grains_ns[] = {1, 100, 1000, 1000000000, 2000000000};
    for (size_t i = 0; i < sizeof grains_ns / sizeof *grains_ns; i++) {
        int64_t grain = grains_ns[i];
        if ((a % grain == 0 && b - b % grain == a) || (b % grain == 0 && a - a % grain == b))
            return true;
    }
    return false;
}

bool node_same(const struct stamp *a, const struct stamp *b)
{
    if (a->type != b->type || a->type == STAMP_ABSENT)
        return a->type == b->type;
    if (!same_time(a->mtime_ns, b->mtime_ns))
        return false;
    return a->type == STAMP_LINK || a->type == STAMP_FILE
               ? a->size == b->size && hash_eq(&a->hash, &b->hash) &&
                     (a->type == STAMP_LINK || ((a->mode ^ b->mode) & 0777) == 0)
               : ((a->mode ^ b->mode) & 0777) == 0;
}

/* ---- small files: read, hash and write in one go ---- */

static enum err copy_small(int from, int to, const char *what, struct hash *ret, uint64_t *ret_size, struct error *e)
{
    struct hasher *h = hasher_new();
    enum err err = OK;
    for (*ret_size = 0; !err;) {
        char chunk[CHUNK];
        ssize_t n = sys->read(from, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            err = error_errno(e, errno, "cannot read %s", what);
        if (n <= 0)
            break;
        hasher_add(h, (struct slice){chunk, (size_t)n});
        *ret_size += (uint64_t)n;
        err = sys_write_all(to, (struct slice){chunk, (size_t)n}, what, e);
    }
    *ret = hasher_end(h);
    return err;
}

/* ---- large files: extents by copy_file_range (shared where the file system can), then the copy is read ---- */

static void hash_zeros(struct hasher *h, off_t n)
{
    static const char zeros[CHUNK];
    for (; n > 0; n -= CHUNK)
        hasher_add(h, (struct slice){zeros, n < CHUNK ? (size_t)n : CHUNK});
}

/* The hash of `size` bytes of an open file; holes are not read. */
static enum err hash_sparse(int fd, off_t size, const char *what, struct hash *ret, struct error *e)
{
    struct hasher *h = hasher_new();
    enum err err = OK;
    off_t at = 0, from, to;
    while (!err && at < size) {
        walk_extent(fd, at, size, &from, &to);
        hash_zeros(h, from - at);
        for (at = from; !err && at < to;) {
            char chunk[CHUNK];
            ssize_t n = sys->pread(fd, chunk, to - at < CHUNK ? (size_t)(to - at) : CHUNK, at);
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                err = error_errno(e, n ? errno : EIO, "cannot read %s", what);
            else
                hasher_add(h, (struct slice){chunk, (size_t)n});
            at += n > 0 ? n : 0;
        }
    }
    *ret = hasher_end(h);
    return err;
}

enum err node_copy(int from, int to, const struct stamp *is, const char *what, bool *ret_same, struct error *e)
{
    struct stat st;
    struct hash hash = {{0}};
    uint64_t size = 0;
    if (sys->fstatat(from, "", &st, AT_EMPTY_PATH) < 0)
        return error_errno(e, errno, "cannot look at %s", what);
    *ret_same = false;
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != is->size)
        return OK;
    enum err err;
    if (is->size <= SMALL) {
        err = copy_small(from, to, what, &hash, &size, e);
    } else {
        size = is->size;
        err = walk_copy(from, to, size, what, e);
        if (!err)
            err = hash_sparse(to, (off_t)size, what, &hash, e);
    }
    *ret_same = !err && size == is->size && hash_eq(&hash, &is->hash);
    return err;
}

enum err node_link(int from_folder, const char *from_name, int folder, const char *name, const struct stamp *is,
                   bool *ret_same, struct error *e)
{
    char text[STAMP_PATH_MAX + 2];
    *ret_same = false;
    ssize_t n = sys->readlinkat(from_folder, from_name, text, sizeof text - 1);
    if (n < 0)
        return errno == ENOENT || errno == EINVAL ? OK : error_errno(e, errno, "cannot read the link %s", from_name);
    struct hash hash = hash_of((struct slice){text, (size_t)n});
    if ((uint64_t)n != is->size || !hash_eq(&hash, &is->hash) || memchr(text, '\0', (size_t)n))
        return OK;
    text[n] = '\0';
    if (sys->symlinkat(text, folder, name) < 0)
        return error_errno(e, errno, "cannot make the link %s", name);
    *ret_same = true;
    return OK;
}

enum err node_mtime(int folder, const char *name, int64_t mtime_ns, struct error *e)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, stamp_time(mtime_ns)};
    if (sys->utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW) == 0)
        return OK;
    return error_errno(e, errno, "cannot set the time of %s", name);
}

enum err node_stat(int folder, const char *name, struct stamp *ret, struct error *e)
{
    struct stat st;
    *ret = (struct stamp){.type = STAMP_ABSENT};
    if (sys->fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? OK : error_errno(e, errno, "cannot look at %s", name);
    *ret = stamp_of_stat(&st);
    return OK;
}
