#include "tools/inside_find.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/sys.h"

enum { SHOWN = 200 }; /* bytes of a path in a message */

static struct slice shown(struct slice path)
{
    return slice_cut(path, SHOWN);
}

/* ---- finding ---- */

void found_close(struct found *f)
{
    sys_close_fd(&f->fd);
}

static void own_path(int fd, char ret[40])
{
    snprintf(ret, 40, "/proc/self/fd/%d", fd);
}

/* Where a descriptor lies, and what it is. */
static enum err ask(struct found *f, struct error *e)
{
    char own[40];
    own_path(f->fd, own);
    ssize_t n = sys->readlinkat(AT_FDCWD, own, f->path, sizeof f->path - 1);
    if (n < 0 || sys->fstatat(f->fd, "", &f->st, AT_EMPTY_PATH) < 0)
        return error_errno(e, errno, "it cannot be looked at");
    f->path[n] = '\0';
    return f->path[0] == '/' && (size_t)n < sizeof f->path - 1 ? OK : error_set(e, ERR_LIMIT, "its path is too long");
}

static enum err check_path(struct slice path, char text[INSIDE_PATH_BYTES], struct error *e)
{
    if (path.n == 0)
        return error_set(e, ERR_USAGE, "the path is empty");
    if (path.n >= INSIDE_PATH_BYTES || slice_index(path, '\0') < path.n)
        return error_set(e, ERR_USAGE, "%.*s… is no path: too long, or with a NUL", SLICE_ARG(shown(path)));
    memcpy(text, path.p, path.n);
    text[path.n] = '\0';
    return OK;
}

static enum err not_found(struct slice path, int errnum, struct error *e)
{
    if (errnum == ENOENT || errnum == ENOTDIR)
        return error_set(e, ERR_MISSING, "%.*s is not there", SLICE_ARG(shown(path)));
    if (errnum == ELOOP)
        return error_set(e, ERR_UNSUPPORTED, "%.*s is a link that goes round in circles", SLICE_ARG(shown(path)));
    return error_errno(e, errnum, "%.*s cannot be opened", SLICE_ARG(shown(path)));
}

enum err found_find(int root, struct slice path, struct found *ret, struct error *e)
{
    char text[INSIDE_PATH_BYTES];
    enum err err = check_path(path, text, e);
    if (err)
        return err;
    ret->fd = sys->openat(root, text, O_PATH, 0);
    return ret->fd < 0 ? not_found(path, errno, e) : ask(ret, e);
}

bool found_within(const struct found *f, struct slice folder)
{
    return slice_is(folder, "/") || slice_is(folder, f->path) || slice_below(slice_of(f->path), folder);
}

/* ---- reading ---- */

static const char *what_it_is(mode_t mode)
{
    return S_ISDIR(mode) ? "a folder" : S_ISFIFO(mode) ? "a FIFO" : S_ISSOCK(mode) ? "a socket" : "a device";
}

enum err found_open(const struct found *f, int *ret, struct error *e)
{
    char own[40];
    struct statfs fs;
    if (!S_ISREG(f->st.st_mode))
        return error_set(e, ERR_UNSUPPORTED, "%.*s is no file but %s", SLICE_ARG(shown(slice_of(f->path))), what_it_is(f->st.st_mode));
    if (fstatfs(f->fd, &fs) < 0 || fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC)
        return error_set(e, ERR_UNSUPPORTED, "%.*s is no file on a disk; a command can look at it", SLICE_ARG(shown(slice_of(f->path))));
    own_path(f->fd, own);
    *ret = sys->openat(AT_FDCWD, own, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    return *ret < 0 ? error_errno(e, errno, "%.*s cannot be read", SLICE_ARG(shown(slice_of(f->path)))) : OK;
}

static enum err read_all(int fd, struct buf *ret, struct error *e)
{
    static char chunk[64 * 1024];
    for (;;) {
        ssize_t n = sys->read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(e, errno, "the file cannot be read");
        if (n == 0)
            return buf_check(ret, "a file", e);
        buf_add(ret, (struct slice){chunk, (size_t)n});
        if (!buf_ok(ret))
            return buf_check(ret, "a file", e);
    }
}

enum err found_read(const struct found *f, struct buf *ret, struct error *e)
{
    FD_CLEANUP int fd = -1;
    if (S_ISREG(f->st.st_mode) && (uint64_t)f->st.st_size > ret->max)
        return error_set(e, ERR_LIMIT, "%.*s has %llu bytes, more than the %zu that can be taken at once; use a command (sed -n, "
                         "grep, tail)", SLICE_ARG(shown(slice_of(f->path))), (unsigned long long)f->st.st_size, ret->max);
    enum err err = found_open(f, &fd, e);
    return err ? err : read_all(fd, ret, e);
}

/* ---- writing ---- */

void spot_close(struct spot *s)
{
    found_close(&s->folder);
}

static enum err check_inside(const struct found *root, const struct found *f, struct slice path, struct error *e)
{
    if (found_within(f, slice_of(root->path)) || found_within(f, SLICE("/tmp")))
        return OK;
    return error_set(e, ERR_DENIED, "%.*s lies outside of the work folder; only files below %.*s and /tmp can be written",
                     SLICE_ARG(shown(path)), SLICE_ARG(shown(slice_of(root->path))));
}

/* Goes into the folder `name` of s->folder, which is made where it is missing. A link here appeared meanwhile. */
static enum err step_into(struct spot *s, const char *name, struct slice path, struct error *e)
{
    FOUND_CLEANUP struct found next = FOUND_INIT;
    if (sys->mkdirat(s->folder.fd, name, 0755) < 0 && errno != EEXIST)
        return error_errno(e, errno, "%.*s: the folder %s cannot be made", SLICE_ARG(shown(path)), name);
    next.fd = sys->openat(s->folder.fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
    if (next.fd < 0 && (errno == ENOTDIR || errno == ELOOP))
        return error_set(e, ERR_USAGE, "%.*s cannot be: %s is no folder, or a link that leads nowhere", SLICE_ARG(shown(path)), name);
    if (next.fd < 0)
        return error_errno(e, errno, "%.*s: the folder %s cannot be opened", SLICE_ARG(shown(path)), name);
    enum err err = ask(&next, e);
    if (!err) {
        struct found old = s->folder;
        s->folder = next;
        next = old;
    }
    return err;
}

static enum err check_name(struct slice name, struct slice path, struct error *e)
{
    if (slice_is(name, "..") || slice_is(name, ".") || name.n == 0 || name.n > 255)
        return error_set(e, ERR_USAGE, "%.*s does not name a file", SLICE_ARG(shown(path)));
    return OK;
}

/* Makes the folders of `rest` ("a/b/") below s->folder. */
static enum err make_way(struct spot *s, struct slice rest, struct slice path, struct error *e)
{
    while (rest.n) {
        char name[256];
        size_t end = slice_index(rest, '/');
        struct slice part = slice_sub(rest, 0, end);
        rest = slice_sub(rest, end + 1, rest.n);
        if (part.n == 0 || slice_is(part, "."))
            continue;
        enum err err = check_name(part, path, e);
        if (err)
            return err;
        snprintf(name, sizeof name, "%.*s", SLICE_ARG(part));
        err = step_into(s, name, path, e);
        if (err)
            return err;
    }
    return OK;
}

/* Opens the folder a file goes into: as much of the way as is there, links followed, and the rest made. */
static enum err open_way(const struct found *root, struct slice way, struct slice path, bool make, struct spot *s, struct error *e)
{
    struct slice there = way;
    for (;;) {
        struct error why = {.code = OK};
        enum err err = found_find(root->fd, there.n ? there : SLICE("."), &s->folder, &why);
        if (!err)
            break;
        while (there.n && there.p[there.n - 1] == '/')
            there.n--;
        if (err != ERR_MISSING || !make || there.n == 0)
            return error_set(e, err, "%s", why.text);
        there.n = slice_last_part(there);
    }
    if (!S_ISDIR(s->folder.st.st_mode))
        return error_set(e, ERR_USAGE, "%.*s cannot be: %.*s is no folder", SLICE_ARG(shown(path)), SLICE_ARG(shown(there)));
    enum err err = check_inside(root, &s->folder, path, e);
    return err ? err : make_way(s, slice_sub(way, there.n, way.n), path, e);
}

/* The last name of the way is a link: goes to where it leads, once and for all. */
static enum err follow(const struct found *root, struct slice path, struct spot *s, struct error *e)
{
    FOUND_CLEANUP struct found at = FOUND_INIT;
    if (found_find(s->folder.fd, slice_of(s->name), &at, NULL))
        return error_set(e, ERR_DENIED, "%.*s is a link that leads nowhere, or out of the work folder", SLICE_ARG(shown(path)));
    struct slice real = slice_of(at.path);
    size_t last = slice_last_part(real);
    found_close(&s->folder);
    enum err err = found_find(root->fd, slice_sub(real, 0, last), &s->folder, e);
    if (!err)
        err = check_inside(root, &s->folder, path, e);
    if (err)
        return err;
    snprintf(s->name, sizeof s->name, "%s", at.path + last);
    return sys->fstatat(s->folder.fd, s->name, &s->st, AT_SYMLINK_NOFOLLOW) < 0 ? not_found(path, errno, e) : OK;
}

/* What is at the end of the way: nothing, a file, or a link. */
static enum err look_at_end(const struct found *root, struct slice path, struct spot *s, struct error *e)
{
    if (sys->fstatat(s->folder.fd, s->name, &s->st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? OK : error_errno(e, errno, "%.*s cannot be looked at", SLICE_ARG(shown(path)));
    enum err err = S_ISLNK(s->st.st_mode) ? follow(root, path, s, e) : OK;
    if (!err && !S_ISREG(s->st.st_mode))
        err = error_set(e, ERR_UNSUPPORTED, "%.*s is no file but %s", SLICE_ARG(shown(path)), what_it_is(s->st.st_mode));
    s->exists = !err;
    return err;
}

enum err spot_find(const struct found *root, struct slice path, bool make, struct spot *ret, struct error *e)
{
    char text[INSIDE_PATH_BYTES];
    size_t last = slice_last_part(path);
    struct slice name = slice_sub(path, last, path.n);
    enum err err = check_path(path, text, e);
    if (!err)
        err = check_name(name, path, e);
    if (!err && slice_starts(path, SLICE("~/")))
        err = error_set(e, ERR_USAGE, "`~` stands for nothing here: give the whole path, or one relative to the work folder");
    if (!err)
        err = open_way(root, slice_sub(path, 0, last), path, make, ret, e);
    if (err)
        return err;
    snprintf(ret->name, sizeof ret->name, "%.*s", SLICE_ARG(name));
    return look_at_end(root, path, ret, e);
}

enum err spot_read(const struct spot *s, struct buf *ret, struct error *e)
{
    FOUND_CLEANUP struct found f = FOUND_INIT;
    f.fd = sys->openat(s->folder.fd, s->name, O_PATH | O_NOFOLLOW, 0);
    if (f.fd < 0)
        return error_errno(e, errno, "%s cannot be opened", s->name);
    enum err err = ask(&f, e);
    return err ? err : found_read(&f, ret, e);
}

/* A whole file under a name of its own, in the folder. */
static enum err write_part(const struct spot *s, const char *part, struct slice content, mode_t mode, struct error *e)
{
    FD_CLEANUP int fd = sys->openat(s->folder.fd, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_errno(e, errno, "%s cannot be written", s->name);
    enum err err = sys_write_all(fd, content, s->name, e);
    if (err)
        return err;
    return sys->fchmod(fd, mode) < 0 ? error_errno(e, errno, "%s cannot be given its mode", s->name) : OK;
}

enum err spot_write(const struct spot *s, struct slice content, mode_t mode, struct error *e)
{
    uint64_t nonce;
    char part[48];
    if (sys->random(&nonce, sizeof nonce) < 0)
        return error_errno(e, errno, "no name for %s can be had", s->name);
    snprintf(part, sizeof part, ".crannog-write-%016llx", (unsigned long long)nonce);
    enum err err = write_part(s, part, content, (s->exists ? s->st.st_mode : mode) & 0777, e);
    if (!err && sys->renameat2(s->folder.fd, part, s->folder.fd, s->name, 0) < 0)
        err = error_errno(e, errno, "%s cannot be replaced", s->name);
    if (err)
        sys->unlinkat(s->folder.fd, part, 0);
    return err;
}
