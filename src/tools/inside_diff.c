/* The applet `diff`, inside a jail: see diff.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"
#include "tools/diff.h"
#include "tools/diff_tags.h"
#include "tools/inside_args.h"
#include "wire/message.h"

enum { ARENA_BYTES = 256 * 1024 * 1024 };

struct diffing {
    int root;
    struct inside_folders folders;
    int a, b; /* scratch folders: before and after */
    uint64_t bytes; /* copied so far */
    uint64_t flags;
};

/* Makes the folders on the way to a path below a scratch folder; paths were checked when the manifest was decoded. */
static enum err make_way(int to, char *path, struct error *e)
{
    for (char *at = strchr(path, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        int made = sys->mkdirat(to, path, 0700);
        *at = '/';
        if (made < 0 && errno != EEXIST)
            return error_errno(e, errno, "cannot make a scratch folder");
    }
    return OK;
}

static enum err put_text(int to, const char *path, struct slice text, uint32_t mode, struct error *e)
{
    FD_CLEANUP int fd = sys->openat(to, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode & 0100 ? 0755 : 0644);
    if (fd < 0)
        return error_errno(e, errno, "cannot make a scratch file");
    return sys_write_all(fd, text, "a scratch file", e);
}

static enum err put_link(int from, int to, const char *path, struct error *e)
{
    char text[STAMP_PATH_MAX + 1];
    FD_CLEANUP int fd = sys->openat2(from, path, O_PATH | O_NOFOLLOW, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    ssize_t n = fd < 0 ? -1 : sys->readlinkat(fd, "", text, sizeof text - 1);
    if (n < 0)
        return put_text(to, path, SLICE("(a link that is gone)\n"), 0, e);
    text[n] = '\0';
    return sys->symlinkat(text, to, path) < 0 ? error_errno(e, errno, "cannot make a scratch link") : OK;
}

/* A file as it lies in `from`; one that is too large is told by what is known of it. */
static enum err put_file(struct diffing *d, int from, int to, const char *path, const struct stamp *s, struct error *e)
{
    BUF_CLEANUP struct buf bytes = BUF_INIT(DIFF_FILE_MAX), line = BUF_INIT(256);
    struct stamp now;
    char hex[HASH_HEX + 1];
    bool large = s->size > DIFF_FILE_MAX || d->bytes + s->size > DIFF_ALL_MAX;
    if (!large && stamp_look(from, slice_of(path), &bytes, &now, NULL) == OK && now.type == STAMP_FILE) {
        d->bytes += bytes.n;
        return put_text(to, path, buf_slice(&bytes), now.mode, e);
    }
    hash_hex(&s->hash, hex);
    buf_addf(&line, "(%llu bytes, SHA-256 %s)\n", (unsigned long long)s->size, hex);
    return put_text(to, path, buf_slice(&line), s->mode, e);
}

static enum err put(struct diffing *d, int from, int to, struct slice path, const struct stamp *s, struct error *e)
{
    char name[STAMP_PATH_MAX + 1];
    if (s->type != STAMP_FILE && s->type != STAMP_LINK)
        return OK;
    memcpy(name, path.p, path.n);
    name[path.n] = '\0';
    enum err err = make_way(to, name, e);
    if (err)
        return err;
    return s->type == STAMP_LINK ? put_link(from, to, name, e) : put_file(d, from, to, name, s, e);
}

static enum err put_change(struct diffing *d, const struct change *c, struct error *e)
{
    bool back = d->flags & DIFF_TAKEN_BACK;
    enum err err = put(d, d->root, back ? d->b : d->a, c->path, &c->before, e);
    return err ? err : put(d, d->folders.fd[c->layer], back ? d->a : d->b, c->path, &c->after, e);
}

static enum err compare(const struct diffing *d, uint64_t columns, struct error *e)
{
    static char git[] = "git", diff[] = "diff", no_index[] = "--no-index", no_ext[] = "--no-ext-diff", no_conv[] = "--no-textconv",
                no_prefix[] = "--no-prefix",
                no_ws[] = "--ws-error-highlight=none" /* one colour less for whoever shows it to tell apart */, a[] = "a", b[] = "b", run[] = "-ruN", nolink[] = "--no-dereference", home[] = "HOME=/nonexistent",
                lang[] = "LANG=C.UTF-8", nosys[] = "GIT_CONFIG_NOSYSTEM=1", color[] = "--color=always", plain[] = "--color=never";
    char stat[40];
    snprintf(stat, sizeof stat, "--stat=%llu", (unsigned long long)columns);
    char *with_git[] = {git, diff, no_index, no_ext, no_conv, no_prefix, no_ws, d->flags & DIFF_COLOR ? color : plain, a, b, NULL, NULL},
         *with_diff[] = {diff, run, nolink, d->flags & DIFF_COLOR ? color : plain, a, b, NULL}, *env[] = {home, lang, nosys, NULL};
    if (d->flags & DIFF_STAT) {
        with_git[10] = b;
        with_git[9] = a;
        with_git[8] = stat;
    }
    bool has_git = access("/usr/bin/git", X_OK) == 0;
    pid_t pid;
    int status = 0;
    if (sys->spawn(has_git ? "/usr/bin/git" : "/usr/bin/diff", has_git ? with_git : with_diff, env, NULL, 0, &pid) < 0)
        return error_errno(e, errno, "cannot start git");
    while (sys->waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) && WEXITSTATUS(status) <= 1 ? OK : error_set(e, ERR_IO, "%s could not compare the files", has_git ? "git" : "diff");
}

static enum err open_all(struct diffing *d, struct slice args, const struct manifest *m, struct error *e)
{
    enum err err = inside_open(message_get(args, DIFF_ROOT), &d->root, e);
    if (!err)
        err = inside_open_folders(args, DIFF_FOLDER, m, &d->folders, e);
    if (!err && chdir("/tmp") == 0 && sys->mkdirat(AT_FDCWD, "a", 0700) == 0 && sys->mkdirat(AT_FDCWD, "b", 0700) == 0) {
        d->a = sys->openat(AT_FDCWD, "a", O_RDONLY | O_DIRECTORY, 0);
        d->b = sys->openat(AT_FDCWD, "b", O_RDONLY | O_DIRECTORY, 0);
    }
    return err || (d->a >= 0 && d->b >= 0) ? err : error_errno(e, errno, "cannot open the folders to compare");
}

enum err inside_diff(struct slice args, struct buf *reply, struct error *e)
{
    static struct diffing d = {.root = -1, .a = -1, .b = -1}; /* a process for one call: its descriptors end with it */
    ARENA_CLEANUP struct arena a = ARENA_INIT(ARENA_BYTES);
    struct manifest m;
    (void)reply;
    if (!message_ok(args))
        return inside_bad("bytes that are no message", e);
    d.flags = message_get_u64(args, DIFF_FLAGS, 0);
    enum err err = manifest_decode(message_get(args, DIFF_MANIFEST), &a, &m, e);
    if (!err)
        err = open_all(&d, args, &m, e);
    for (size_t i = 0; !err && i < m.n; i++)
        err = put_change(&d, &m.v[i], e);
    return err ? err : compare(&d, message_get_u64(args, DIFF_COLUMNS, 80), e);
}
