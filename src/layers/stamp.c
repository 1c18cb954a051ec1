#include "layers/stamp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>

#include "base/sys.h"
#include "layers/internal.h"
#include "wire/message.h"

enum { LOOK_TRIES = 3, LOOK_CHUNK = 64 * 1024 };

static const uint64_t INSIDE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

/* ---- paths ---- */

static const char *part_fault(struct slice part)
{
    if (part.n == 0)
        return "has an empty part or begins or ends with a slash";
    if (slice_is(part, ".") || slice_is(part, ".."))
        return "has a part \".\" or \"..\"";
    if (part.n > STAMP_NAME_MAX)
        return "has a name of more than 255 bytes";
    return memchr(part.p, '\0', part.n) ? "has a NUL byte" : NULL;
}

static const char *path_fault(struct slice path)
{
    if (path.n > STAMP_PATH_MAX)
        return "is longer than 4095 bytes";
    for (size_t depth = 1, at = 0;; depth++) {
        struct slice rest = slice_sub(path, at, path.n);
        struct slice part = slice_sub(rest, 0, slice_index(rest, '/'));
        const char *fault = depth > STAMP_DEPTH_MAX ? "is more than 64 folders deep" : part_fault(part);
        if (fault || part.n == rest.n)
            return fault;
        at += part.n + 1;
    }
}

enum err stamp_check_path(struct slice path, struct error *e)
{
    const char *fault = path_fault(path);
    if (!fault)
        return OK;
    struct slice shown = slice_sub(path, 0, 200);
    return error_set(e, ERR_USAGE, "the path \"%.*s\" %s; a path is relative to its folder, like notes/a.md",
                     SLICE_ARG(shown), fault);
}

static int open_folder(int root, const char *path, int flags)
{
    int fd;
    int tries = 8; /* EAGAIN: something was renamed while the kernel made sure that the path stays below root */
    do
        fd = sys->openat2(root, path, flags | O_DIRECTORY, 0, INSIDE);
    while (fd < 0 && (errno == EAGAIN || errno == EINTR) && --tries);
    return fd;
}

enum err place_find(int root, struct slice path, int flags, struct place *ret, struct error *e)
{
    enum err err = stamp_check_path(path, e);
    if (err)
        return err;
    char folder[STAMP_PATH_MAX + 1] = ".";
    size_t cut = slice_last_part(path);
    if (cut) {
        memcpy(folder, path.p, cut - 1);
        folder[cut - 1] = '\0';
    }
    struct place p = {.way = STAMP_FILE};
    memcpy(p.name, path.p + cut, path.n - cut);
    p.folder = open_folder(root, folder, flags);
    struct slice shown = slice_sub(path, 0, 200);
    if (p.folder < 0 && errno == ENOSYS)
        return error_set(e, ERR_UNSUPPORTED, "cannot open the folder of %.*s: openat2 is missing (Linux 5.6 or newer "
                         "is needed, and a container must allow it)", SLICE_ARG(shown));
    if (p.folder < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
        return error_errno(e, errno, "cannot open the folder of %.*s", SLICE_ARG(shown));
    if (p.folder < 0)
        p.way = errno == ENOENT ? STAMP_ABSENT : errno == ELOOP ? STAMP_LINK : STAMP_OTHER;
    *ret = p;
    return OK;
}

enum err place_open(int root, struct slice path, int flags, struct place *ret, struct error *e)
{
    struct place p = PLACE_INIT;
    enum err err = place_find(root, path, flags, &p, e);
    if (!err && p.way == STAMP_LINK)
        return error_set(e, ERR_DENIED, "the way to %.*s leads through a symbolic link, which is never followed; "
                         "name the real folder", SLICE_ARG(slice_sub(path, 0, 200)));
    if (!err)
        *ret = p;
    return err;
}

void place_close(struct place *p)
{
    sys_close_fd(&p->folder);
}

/* ---- looking ---- */

static int64_t time_ns(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct timespec stamp_time(int64_t ns)
{
    int64_t s = ns / 1000000000, rest = ns % 1000000000;
    return (struct timespec){.tv_sec = s - (rest < 0), .tv_nsec = rest + (rest < 0 ? 1000000000 : 0)};
}

struct stamp stamp_of_stat(const struct stat *st)
{
    return (struct stamp){
        .type = S_ISREG(st->st_mode)   ? STAMP_FILE
                : S_ISLNK(st->st_mode) ? STAMP_LINK
                : S_ISDIR(st->st_mode) ? STAMP_FOLDER
                                       : STAMP_OTHER,
        .mode = st->st_mode & 07777, .uid = st->st_uid, .gid = st->st_gid,
        .links = (uint32_t)st->st_nlink, .ino = st->st_ino, .size = (uint64_t)st->st_size,
        .mtime_ns = time_ns(st->st_mtim), .ctime_ns = time_ns(st->st_ctim),
    };
}

int look_open(int folder, const char *name)
{
    int fd;
    do
        fd = sys->openat2(folder, name, O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0, INSIDE);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* Reads up to `size` bytes and says whether the file ends exactly there. */
static enum err read_all(int fd, const char *name, uint64_t size, struct buf *content, struct hash *ret,
                         bool *ret_exact, struct error *e)
{
    struct hasher *hasher = hasher_new();
    uint64_t total = 0;
    enum err err = OK;
    while (total <= size) {
        char chunk[LOOK_CHUNK];
        ssize_t n = sys->read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            err = error_errno(e, errno, "cannot read %s", name);
        if (n <= 0)
            break;
        struct slice got = {chunk, (size_t)n};
        if (content) /* never past the size that was found to fit */
            buf_add(content, slice_sub(got, 0, (size_t)(size - total)));
        hasher_add(hasher, got);
        total += got.n;
    }
    *ret = hasher_end(hasher);
    *ret_exact = total == size;
    return err;
}

/* The same inode and the same text as far as the kernel can tell: nobody wrote to it or moved it meanwhile. */
static bool unmoved(const struct stat *st, const struct stamp *was)
{
    struct stamp is = stamp_of_stat(st);
    is.hash = was->hash;
    return stamp_same(&is, was) && is.ctime_ns == was->ctime_ns;
}

/* What a failed call means for the look: the file has just gone or changed its kind (look again), or an error. */
static enum err look_failed(const char *name, bool *ret_steady, struct error *e)
{
    int why = errno;
    *ret_steady = false;
    if (why == ENOENT || why == ELOOP || why == ENXIO || why == EAGAIN)
        return OK;
    return error_errno(e, why, "cannot look at %s", name);
}

static enum err look_again(bool *ret_steady)
{
    *ret_steady = false;
    return OK;
}

/* The text of a link; what is another link by now is looked at again. */
static enum err read_link(int folder, const char *name, struct stamp *ret, bool *ret_steady, struct error *e)
{
    char text[STAMP_PATH_MAX + 1];
    struct stat st;
    ssize_t n = sys->readlinkat(folder, name, text, sizeof text);
    if (n < 0 || sys->fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == EINVAL ? look_again(ret_steady) : look_failed(name, ret_steady, e);
    ret->hash = hash_of((struct slice){text, (size_t)n});
    *ret_steady = unmoved(&st, ret);
    return OK;
}

/* `*ret_steady` is false where the file moved under our eyes and must be looked at again. */
static enum err look_once(int folder, const char *name, struct buf *content, struct stamp *ret, bool *ret_steady,
                          struct error *e)
{
    struct stat st;
    *ret_steady = true;
    *ret = (struct stamp){.type = STAMP_ABSENT};
    if (sys->fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? OK : look_failed(name, ret_steady, e);
    *ret = stamp_of_stat(&st);
    if (ret->type == STAMP_LINK)
        return read_link(folder, name, ret, ret_steady, e);
    if (ret->type != STAMP_FILE)
        return OK;
    if (content && ret->size > content->max - content->n)
        return error_set(e, ERR_LIMIT, "%s has %llu bytes, more than the %zu that are allowed here", name,
                         (unsigned long long)ret->size, content->max - content->n);
    FD_CLEANUP int fd = look_open(folder, name);
    if (fd < 0 || sys->fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
        return look_failed(name, ret_steady, e);
    *ret_steady = unmoved(&st, ret); /* before reading: it may be a device by now */
    enum err err = *ret_steady ? read_all(fd, name, ret->size, content, &ret->hash, ret_steady, e) : OK;
    if (err || !*ret_steady)
        return err;
    struct stat by_name;
    if (sys->fstatat(fd, "", &st, AT_EMPTY_PATH) < 0 || sys->fstatat(folder, name, &by_name, AT_SYMLINK_NOFOLLOW) < 0)
        return look_failed(name, ret_steady, e);
    *ret_steady = unmoved(&st, ret) && unmoved(&by_name, ret);
    return content ? buf_check(content, name, e) : OK;
}

enum err look_at(int folder, const char *name, struct buf *content, struct stamp *ret, struct error *e)
{
    size_t start = content ? content->n : 0;
    for (int i = 0; i < LOOK_TRIES; i++) {
        struct stamp now;
        bool steady;
        enum err err = look_once(folder, name, content, &now, &steady, e);
        if (!err && steady) {
            *ret = now;
            return OK;
        }
        if (content && content->p) {
            content->n = start;
            content->p[start] = '\0';
        }
        if (err)
            return err;
    }
    return error_set(e, ERR_BUSY, "%s keeps changing while it is read; try again when nobody writes to it", name);
}

enum err stamp_look(int root, struct slice path, struct buf *content, struct stamp *ret, struct error *e)
{
    PLACE_CLEANUP struct place p = PLACE_INIT;
    enum err err = place_open(root, path, O_PATH, &p, e);
    if (err)
        return err;
    *ret = (struct stamp){.type = p.way};
    return p.way == STAMP_FILE ? look_at(p.folder, p.name, content, ret, e) : OK;
}

bool stamp_same(const struct stamp *a, const struct stamp *b)
{
    if (a->type == STAMP_FOLDER)
        return b->type == STAMP_FOLDER && a->ino == b->ino;
    return a->type == b->type && a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns &&
           a->links == b->links && hash_eq(&a->hash, &b->hash);
}

/* ---- as a message ---- */

enum stamp_tag {
    TAG_TYPE = 1, TAG_MODE, TAG_UID, TAG_GID, TAG_LINKS, TAG_INO, TAG_SIZE, TAG_MTIME, TAG_CTIME, TAG_HASH,
};

void stamp_encode(const struct stamp *s, struct buf *ret)
{
    message_put_u64(ret, TAG_TYPE, s->type);
    message_put_u64(ret, TAG_MODE, s->mode);
    message_put_u64(ret, TAG_UID, s->uid);
    message_put_u64(ret, TAG_GID, s->gid);
    message_put_u64(ret, TAG_LINKS, s->links);
    message_put_u64(ret, TAG_INO, s->ino);
    message_put_u64(ret, TAG_SIZE, s->size);
    message_put_u64(ret, TAG_MTIME, (uint64_t)s->mtime_ns);
    message_put_u64(ret, TAG_CTIME, (uint64_t)s->ctime_ns);
    message_put(ret, TAG_HASH, (struct slice){(const char *)s->hash.b, HASH_BYTES});
}

static bool get_number(struct slice m, enum stamp_tag tag, uint64_t max, uint64_t *ret)
{
    struct field f;
    return message_find(m, (uint16_t)tag, &f) && field_u64(f, ret) && *ret <= max;
}

bool stamp_decode(struct slice m, struct stamp *ret)
{
    struct field hash;
    uint64_t type, mode, uid, gid, links, ino, size, mtime, ctime;
    bool ok = message_ok(m) && get_number(m, TAG_TYPE, STAMP_FOLDER, &type) && get_number(m, TAG_MODE, 07777, &mode) &&
              get_number(m, TAG_UID, UINT32_MAX, &uid) && get_number(m, TAG_GID, UINT32_MAX, &gid) &&
              get_number(m, TAG_LINKS, UINT32_MAX, &links) && get_number(m, TAG_INO, UINT64_MAX, &ino) &&
              get_number(m, TAG_SIZE, UINT64_MAX, &size) && get_number(m, TAG_MTIME, UINT64_MAX, &mtime) &&
              get_number(m, TAG_CTIME, UINT64_MAX, &ctime) && message_find(m, TAG_HASH, &hash) &&
              hash.bytes.n == HASH_BYTES;
    if (!ok)
        return false;
    struct stamp s = {
        .type = (enum stamp_type)type, .mode = (uint32_t)mode, .uid = (uint32_t)uid, .gid = (uint32_t)gid,
        .links = (uint32_t)links, .ino = ino, .size = size,
        .mtime_ns = (int64_t)mtime, .ctime_ns = (int64_t)ctime,
    };
    memcpy(s.hash.b, hash.bytes.p, HASH_BYTES);
    *ret = type == STAMP_ABSENT ? (struct stamp){.type = STAMP_ABSENT} : s;
    return true;
}

void stamp_to_hex(const struct stamp *s, struct buf *ret)
{
    BUF_CLEANUP struct buf raw = BUF_INIT(1024);
    stamp_encode(s, &raw);
    for (size_t i = 0; i < raw.n; i++)
        buf_addf(ret, "%02x", (unsigned char)raw.p[i]);
}

bool stamp_from_hex(struct slice hex, struct stamp *ret)
{
    static const char digits[] = "0123456789abcdef";
    BUF_CLEANUP struct buf raw = BUF_INIT(1024);
    if (hex.n % 2)
        return false;
    for (size_t i = 0; i < hex.n; i += 2) {
        const char *hi = memchr(digits, hex.p[i], 16), *lo = memchr(digits, hex.p[i + 1], 16);
        if (!hi || !lo)
            return false;
        buf_add_char(&raw, (char)((hi - digits) << 4 | (lo - digits)));
    }
    return buf_ok(&raw) && stamp_decode(buf_slice(&raw), ret);
}
