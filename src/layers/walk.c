#include "layers/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/sys.h"

enum { CHUNK = 64 * 1024, COPY_STEP = 1 << 30 };

static const uint64_t INSIDE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

/* ---- names and nodes ---- */

static int by_name(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static void close_dir(DIR **d)
{
    if (*d)
        closedir(*d);
}

static enum err read_names(DIR *d, struct arena *names, struct slice **ret, size_t *ret_n, struct error *e)
{
    void *v = NULL;
    size_t n = 0, cap = 0;
    for (;;) {
        errno = 0;
        struct dirent *f = readdir(d);
        if (!f && errno)
            return error_errno(e, errno, "cannot read a folder");
        if (!f)
            break;
        if (!strcmp(f->d_name, ".") || !strcmp(f->d_name, ".."))
            continue;
        struct slice name = arena_copy(names, slice_of(f->d_name));
        if (!name.p || !arena_grow(names, &v, &cap, n + 1, sizeof(struct slice)))
            return error_set(e, ERR_LIMIT, "there are more files than fit in memory (%zu bytes of names)", names->used);
        ((struct slice *)v)[n++] = name;
    }
    if (n)
        qsort(v, n, sizeof(struct slice), by_name);
    *ret = v;
    *ret_n = n;
    return OK;
}

enum err walk_names(int folder, struct arena *names, struct slice **ret, size_t *ret_n, struct error *e)
{
    int fd = sys->openat(folder, ".", O_RDONLY | O_DIRECTORY, 0);
    __attribute__((cleanup(close_dir))) DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d)
        return read_names(d, names, ret, ret_n, e);
    enum err err = error_errno(e, errno, "cannot read a folder");
    sys_close_fd(&fd);
    return err;
}

bool walk_same(const struct stamp *a, const struct stamp *b)
{
    if (a->type != b->type || a->type == STAMP_OTHER)
        return false;
    if (a->type == STAMP_ABSENT || a->type == STAMP_FOLDER)
        return a->mode == b->mode;
    return a->size == b->size && a->mode == b->mode && a->mtime_ns == b->mtime_ns && hash_eq(&a->hash, &b->hash);
}

void walk_range(const struct manifest *m, struct slice path, size_t *ret_from, size_t *ret_to)
{
    size_t low = 0, high = m->n;
    while (low < high) { /* the first that comes after the folder itself */
        size_t middle = low + (high - low) / 2;
        if (manifest_path_cmp(m->v[middle].path, path) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_from = low;
    while (low < m->n && slice_below(m->v[low].path, path))
        low++;
    *ret_to = low;
}

/* ---- the path of a walk ---- */

enum err walk_push(struct walk_path *p, struct slice name, struct error *e)
{
    size_t slash = p->n ? 1 : 0;
    struct slice shown = slice_sub((struct slice){p->text, p->n}, 0, 200);
    if (p->depth == STAMP_DEPTH_MAX)
        return error_set(e, ERR_LIMIT, "something lies more than %d folders deep, in %.*s…; such paths are not kept",
                         STAMP_DEPTH_MAX, SLICE_ARG(shown));
    if (name.n > STAMP_NAME_MAX || p->n + slash + name.n > STAMP_PATH_MAX)
        return error_set(e, ERR_LIMIT, "a path is longer than %d bytes, in %.*s…", STAMP_PATH_MAX, SLICE_ARG(shown));
    if (slash)
        p->text[p->n++] = '/';
    memcpy(p->text + p->n, name.p, name.n);
    p->n += name.n;
    p->text[p->n] = '\0';
    p->depth++;
    return OK;
}

void walk_pop(struct walk_path *p)
{
    size_t cut = slice_last_part(walk_text(p));
    p->n = cut ? cut - 1 : 0;
    p->text[p->n] = '\0';
    p->depth--;
}

struct slice walk_text(const struct walk_path *p)
{
    return (struct slice){p->text, p->n};
}

/* ---- opening ---- */

static int open_retry(int parent, const char *name, int flags)
{
    int fd;
    int tries = 8; /* EAGAIN: something was renamed while the kernel made sure that the path stays below */
    do
        fd = sys->openat2(parent, name, flags | O_NOFOLLOW, 0, INSIDE);
    while (fd < 0 && (errno == EAGAIN || errno == EINTR) && --tries);
    return fd;
}

int walk_open(int parent, const char *name)
{
    return open_retry(parent, name, O_RDONLY | O_DIRECTORY);
}

enum err walk_open_shut(int parent, const char *name, const struct stat *st, bool file, struct walk_open *ret,
                        struct error *e)
{
    mode_t need = file ? 0400 : 0700;
    struct walk_open o = {.fd = -1, .mode = st->st_mode & 07777};
    /* Where it may not be changed (another's, in a jail of many ids) it may be open enough all the same. */
    if ((o.mode & need) != need && sys->fchmodat(parent, name, o.mode | need) == 0)
        o.opened = true;
    o.fd = open_retry(parent, name, O_RDONLY | O_NOCTTY | (file ? O_NONBLOCK : O_DIRECTORY));
    if (o.fd >= 0) {
        *ret = o;
        return OK;
    }
    enum err err = error_errno(e, errno, "cannot open %s", name);
    if (o.opened && sys->fchmodat(parent, name, o.mode) < 0)
        return err; /* the first trouble is the one to tell */
    return err;
}

enum err walk_shut(struct walk_open *o, struct error *e)
{
    if (!o->opened)
        return OK;
    if (sys->fchmod(o->fd, o->mode) < 0)
        return error_errno(e, errno, "cannot put back the mode of a file");
    o->opened = false;
    return OK;
}

void walk_close(struct walk_open *o)
{
    if (o->fd >= 0 && walk_shut(o, NULL)) /* once more: a single refusal must not leave it open */
        (void)!sys->fchmod(o->fd, o->mode);
    sys_close_fd(&o->fd);
}

/* ---- attributes ---- */

static const char ACCESS_LIST[] = "system.posix_acl_access";
enum { ATTRIBUTES_BYTES = 64 * 1024 }; /* of all names, and of a value: what Linux allows */

static bool is_carried(const char *name)
{
    bool own = strncmp(name, "user.", 5) == 0 && strncmp(name, "user.overlay.", 13) != 0;
    return own || strcmp(name, ACCESS_LIST) == 0;
}

static enum err copy_attribute(int from, int to, const char *name, char *value, const char *what, struct error *e)
{
    ssize_t n = fgetxattr(from, name, value, ATTRIBUTES_BYTES);
    if (n < 0)
        return errno == ENODATA ? OK : error_errno(e, errno, "cannot read the attribute %s of %s", name, what);
    if (fsetxattr(to, name, value, (size_t)n, 0) == 0 || errno == EOPNOTSUPP)
        return OK;
    if (errno == EINVAL || errno == EPERM)
        return error_set(e, ERR_DENIED, "%.200s has %s that a new version of it cannot be given here; set it outside, or remove it", what,
                         strcmp(name, ACCESS_LIST) == 0 ? "an access list (getfacl)" : name);
    return error_errno(e, errno, "cannot give %s its attribute %s", what, name);
}

enum err walk_copy_attributes(int from, int to, const char *what, struct error *e)
{
    static char names[ATTRIBUTES_BYTES], value[ATTRIBUTES_BYTES];
    ssize_t n = flistxattr(from, names, sizeof names);
    enum err err = OK;
    if (n < 0)
        return errno == EOPNOTSUPP ? OK : error_errno(e, errno, "cannot list the attributes of %s", what);
    for (ssize_t at = 0; !err && at < n; at += (ssize_t)strlen(names + at) + 1)
        if (is_carried(names + at))
            err = copy_attribute(from, to, names + at, value, what, e);
    return err;
}

/* ---- bytes ---- */

enum err walk_hash(int fd, struct hash *ret, struct error *e)
{
    struct hasher *hasher = hasher_new();
    enum err err = OK;
    for (off_t at = 0;;) {
        char chunk[CHUNK];
        ssize_t n = sys->pread(fd, chunk, sizeof chunk, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            err = error_errno(e, errno, "cannot read a file");
        if (n <= 0)
            break;
        hasher_add(hasher, (struct slice){chunk, (size_t)n});
        at += n;
    }
    *ret = hasher_end(hasher);
    return err;
}

/* The bytes [at, end) by hand, where copy_file_range will not. */
static enum err copy_plainly(int from, int to, off_t at, off_t end, const char *what, struct error *e)
{
    enum err err = lseek(to, at, SEEK_SET) < 0 ? error_errno(e, errno, "cannot write %s", what) : OK;
    while (!err && at < end) {
        char chunk[CHUNK];
        ssize_t n = sys->pread(from, chunk, end - at < CHUNK ? (size_t)(end - at) : CHUNK, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(e, errno, "cannot read %s", what);
        if (n == 0)
            break; /* it became shorter: the comparison says so */
        err = sys_write_all(to, (struct slice){chunk, (size_t)n}, what, e);
        at += n;
    }
    return err;
}

static enum err copy_extent(int from, int to, off_t at, off_t end, const char *what, struct error *e)
{
    while (at < end) {
        off_t in = at, out = at;
        ssize_t n = sys->copy_file_range(from, &in, to, &out, end - at < COPY_STEP ? (size_t)(end - at) : COPY_STEP);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EFBIG))
            return error_errno(e, errno, "cannot write %s", what);
        if (n <= 0)
            return copy_plainly(from, to, at, end, what, e);
        at += n;
    }
    return OK;
}

void walk_extent(int fd, off_t at, off_t size, off_t *ret_from, off_t *ret_to)
{
    off_t from = lseek(fd, at, SEEK_DATA);
    if (from < 0)
        from = errno == ENXIO ? size : at;
    off_t to = from < size ? lseek(fd, from, SEEK_HOLE) : size;
    *ret_from = from < size ? from : size;
    *ret_to = to > from && to < size ? to : size;
}

enum err walk_copy(int from, int to, uint64_t size, const char *what, struct error *e)
{
    enum err err = OK;
    for (off_t at = 0, data, end; !err && at < (off_t)size; at = end) {
        walk_extent(from, at, (off_t)size, &data, &end);
        err = copy_extent(from, to, data, end, what, e);
    }
    return err || sys->ftruncate(to, (off_t)size) == 0 ? err : error_errno(e, errno, "cannot write %s", what);
}

/* ---- durability ---- */

void walk_sync_add(struct walk_sync *s, int fd)
{
    int copy = s->all || s->n == WALK_SYNC_EACH ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy >= 0) {
        s->fd[s->n++] = copy;
        return;
    }
    walk_sync_release(s);
    s->all = true; /* also where there are no more descriptors: everything is more than enough */
}

enum err walk_sync_do(struct walk_sync *s, int folder, struct error *e)
{
    if (s->all)
        return sys->syncfs(folder) < 0 ? error_errno(e, errno, "cannot sync a layer") : OK;
    for (size_t i = 0; i < s->n; i++)
        if (sys->fsync(s->fd[i]) < 0)
            return error_errno(e, errno, "cannot sync a layer");
    return OK;
}

void walk_sync_release(struct walk_sync *s)
{
    while (s->n)
        sys_close_fd(&s->fd[--s->n]);
}
