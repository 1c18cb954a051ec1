/*
 * Three rounds: what the root has and no layer replaces; what the layers made; then, when nothing more comes into them,
 * the folders' modes and times, deepest first. Each thing is noted when it is made, with the root's stat of just then, so
 * that whatever a person does from that moment on shows as a difference (seal.c).
 */
#include "layers/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/sys.h"
#include "layers/chain.h"
#include "layers/copy_index.h"
#include "layers/internal.h"

enum {
    NOTES_BYTES = 512 * 1024 * 1024, COPY_TRIES = 3,
    MODE = 01777, /* no setuid, no setgid: no jail may give them */
};

struct copying {
    int root, to;
    const char *cover;
    const struct manifest *layers;
    const int *folders;
    uint64_t bytes, bytes_max;
    struct arena notes; /* names, paths, what was made */
    void *v;            /* struct change: before is the root's, after the copy's */
    size_t n, cap;
    struct walk_path path;
    struct chain from, parents;
    struct error *e;
};

static void copying_release(struct copying *w)
{
    chain_release(&w->from);
    chain_release(&w->parents);
    arena_release(&w->notes);
}

static enum err note(struct copying *w, struct slice path, const struct stamp *before, const struct stamp *after)
{
    if (w->n == COPY_FILES_MAX)
        return error_set(w->e, ERR_LIMIT, "the folder has more than %d files, too many to work in a copy of it; use a file system "
                         "that carries an overlay", COPY_FILES_MAX);
    path = arena_copy(&w->notes, path);
    if (!path.p || !arena_grow(&w->notes, &w->v, &w->cap, w->n + 1, sizeof(struct change)))
        return error_set(w->e, ERR_MEMORY, "no memory for a copy of %zu files", w->n);
    ((struct change *)w->v)[w->n++] = (struct change){.path = path, .before = *before, .after = *after};
    return OK;
}

/* ---- one thing made ---- */

static enum err set_time(struct copying *w, int folder, const char *name, const struct timespec *mtime)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, *mtime};
    return sys->utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? error_errno(w->e, errno, "cannot give %s its time", name)
                                                                      : OK;
}

/* What was made, as it lies there now. */
static enum err look_back(struct copying *w, int folder, const char *name, struct stamp *ret)
{
    struct stat st;
    if (sys->fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(w->e, errno, "cannot look at the copy of %s", name);
    *ret = stamp_of_stat(&st);
    return OK;
}

static enum err make_file(struct copying *w, int from, const struct stat *st, int to, const char *name)
{
    uint64_t size = (uint64_t)st->st_size, held = (uint64_t)st->st_blocks * 512;
    w->bytes += held < size ? held : size; /* holes are kept */
    if (w->bytes > w->bytes_max)
        return error_set(w->e, ERR_LIMIT, "the folder holds more than %llu bytes, too much to work in a copy of it; use a file "
                         "system that carries an overlay, or allow more", (unsigned long long)w->bytes_max);
    FD_CLEANUP int fd = sys->openat(to, name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_errno(w->e, errno, "cannot make the copy of %s", name);
    enum err err = walk_copy(from, fd, size, name, w->e);
    if (!err)
        err = walk_copy_attributes(from, fd, name, w->e);
    if (!err && sys->fchmod(fd, st->st_mode & MODE) < 0)
        err = error_errno(w->e, errno, "cannot give the copy of %s its mode", name);
    return err ? err : set_time(w, to, name, &st->st_mtim);
}

static enum err make_link(struct copying *w, int from, const struct stat *st, int to, const char *name)
{
    char text[STAMP_PATH_MAX + 1];
    ssize_t n = sys->readlinkat(from, name, text, sizeof text - 1);
    if (n < 0)
        return error_errno(w->e, errno, "cannot read the link %s", name);
    text[n] = '\0';
    if (sys->symlinkat(text, to, name) < 0)
        return error_errno(w->e, errno, "cannot make the copy of the link %s", name);
    return set_time(w, to, name, &st->st_mtim);
}

/* ---- the root ---- */

/* A file that a person may be writing to: copied until it held still. *ret_st is its stat then; *ret_there says whether
   there is a file that can be read. */
static enum err copy_steady(struct copying *w, int root, int to, const char *name, struct stat *ret_st, bool *ret_there)
{
    for (int i = 0; i < COPY_TRIES; i++) {
        struct stat after;
        uint64_t bytes = w->bytes;
        FD_CLEANUP int fd = look_open(root, name);
        *ret_there = fd >= 0;
        if (fd < 0)
            return errno == EACCES || errno == ENOENT || errno == ELOOP || errno == ENXIO
                       ? OK : error_errno(w->e, errno, "cannot open %s", name);
        if (sys->fstatat(fd, "", ret_st, AT_EMPTY_PATH) < 0)
            return error_errno(w->e, errno, "cannot look at %s", name);
        *ret_there = S_ISREG(ret_st->st_mode);
        enum err err = *ret_there ? make_file(w, fd, ret_st, to, name) : OK;
        if (err || !*ret_there)
            return err;
        if (sys->fstatat(fd, "", &after, AT_EMPTY_PATH) < 0)
            return error_errno(w->e, errno, "cannot look at %s", name);
        struct stamp a = stamp_of_stat(ret_st), b = stamp_of_stat(&after);
        if (a.ctime_ns == b.ctime_ns && a.size == b.size)
            return OK;
        w->bytes = bytes;
    }
    return error_set(w->e, ERR_BUSY, "%s keeps changing while it is copied; try again when nobody writes to it", name);
}

static enum err copy_folder(struct copying *w, int root, int to);

/* `mode`: what the layers made of it, or the root's. What cannot be entered is left out. */
static enum err copy_sub(struct copying *w, int root, int to, const char *name, const struct stat *st, const struct change *c)
{
    FD_CLEANUP int from = walk_open(root, name);
    if (from < 0)
        return errno == EACCES || errno == ENOENT || errno == ENOTDIR || errno == ELOOP
                   ? OK : error_errno(w->e, errno, "cannot open %s", name);
    if (sys->mkdirat(to, name, 0700) < 0)
        return error_errno(w->e, errno, "cannot make the copy of the folder %s", name);
    FD_CLEANUP int sub = walk_open(to, name);
    if (sub < 0)
        return error_errno(w->e, errno, "cannot open the copy of the folder %s", name);
    struct stamp before = stamp_of_stat(st), after;
    enum err err = look_back(w, to, name, &after);
    after.mode = (c ? c->after.mode : before.mode) & MODE;
    after.mtime_ns = c ? c->after.mtime_ns : before.mtime_ns;
    if (!err)
        err = note(w, walk_text(&w->path), &before, &after);
    return err ? err : copy_folder(w, from, sub);
}

static enum err copy_thing(struct copying *w, int root, int to, const char *name, struct stat *st)
{
    bool there = true;
    enum err err = S_ISREG(st->st_mode) ? copy_steady(w, root, to, name, st, &there) : make_link(w, root, st, to, name);
    if (err || !there)
        return err;
    struct stamp before = stamp_of_stat(st), after;
    err = look_back(w, to, name, &after);
    return err ? err : note(w, walk_text(&w->path), &before, &after);
}

static enum err copy_name(struct copying *w, int root, int to, struct slice name)
{
    struct stat st;
    if (w->path.depth == 0 && w->cover && slice_is(name, w->cover))
        return OK;
    enum err err = walk_push(&w->path, name, w->e);
    if (err)
        return err;
    const struct change *c = manifest_find(w->layers, walk_text(&w->path));
    bool there = sys->fstatat(root, name.p, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there && errno != ENOENT)
        err = error_errno(w->e, errno, "cannot look at %s", name.p);
    else if (there && S_ISDIR(st.st_mode) && (!c || c->after.type == STAMP_FOLDER))
        err = copy_sub(w, root, to, name.p, &st, c);
    else if (there && !c && (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)))
        err = copy_thing(w, root, to, name.p, &st);
    if (!err)
        walk_pop(&w->path);
    return err;
}

static enum err copy_folder(struct copying *w, int root, int to)
{
    struct slice *v;
    size_t n;
    enum err err = walk_names(root, &w->notes, &v, &n, w->e);
    for (size_t i = 0; !err && i < n; i++)
        err = copy_name(w, root, to, v[i]);
    return err;
}

/* ---- the layers ---- */

static enum err find_source(struct copying *w, const struct change *c, int *ret_folder, const char *name, struct stat *ret)
{
    char same[STAMP_NAME_MAX + 1];
    enum err err = chain_go_parent(&w->from, w->folders[c->layer], c->path, false, ret_folder, same, w->e);
    if (err)
        return err;
    if (*ret_folder >= 0 && sys->fstatat(*ret_folder, name, ret, AT_SYMLINK_NOFOLLOW) == 0 && stamp_of_stat(ret).type == c->after.type)
        return OK;
    return error_set(w->e, ERR_CORRUPT, "layer %u does not hold %s, which its list of changes names", c->layer, name);
}

static enum err apply_thing(struct copying *w, const struct change *c, int to, const char *name)
{
    WALK_OPEN_CLEANUP struct walk_open o = WALK_OPEN_INIT;
    struct stat st;
    int from;
    enum err err = find_source(w, c, &from, name, &st);
    if (err || c->after.type == STAMP_LINK)
        return err ? err : make_link(w, from, &st, to, name);
    err = walk_open_shut(from, name, &st, true, &o, w->e);
    if (!err)
        err = walk_shut(&o, w->e);
    return err ? err : make_file(w, o.fd, &st, to, name);
}

/* The root's stat at the path of a layer's change, for the index. */
static struct stamp root_stat(const struct copying *w, struct slice path)
{
    PLACE_CLEANUP struct place p = PLACE_INIT;
    struct stat st;
    if (place_open(w->root, path, O_PATH, &p, NULL) || p.folder < 0 || sys->fstatat(p.folder, p.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return (struct stamp){.type = STAMP_ABSENT};
    return stamp_of_stat(&st);
}

static enum err apply(struct copying *w, const struct change *c)
{
    char name[STAMP_NAME_MAX + 1];
    struct stamp after, before = root_stat(w, c->path);
    struct stat st;
    int to;
    enum err err = chain_go_parent(&w->parents, w->to, c->path, true, &to, name, w->e);
    if (!err && to < 0)
        err = error_set(w->e, ERR_CORRUPT, "the layers' changes do not go together");
    if (err)
        return err;
    bool folder = c->after.type == STAMP_FOLDER;
    if (folder && sys->fstatat(to, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        return OK; /* the root has it too: made and noted */
    if (folder && sys->mkdirat(to, name, 0700) < 0)
        return error_errno(w->e, errno, "cannot make the copy of the folder %s", name);
    err = folder ? OK : apply_thing(w, c, to, name);
    if (!err)
        err = look_back(w, to, name, &after);
    if (err)
        return err;
    after.mode = c->after.mode & MODE;
    after.mtime_ns = c->after.mtime_ns;
    after.hash = c->after.hash;
    return note(w, c->path, &before, &after);
}

static enum err apply_layers(struct copying *w)
{
    for (size_t i = 0; i < w->layers->n; i++) {
        const struct change *c = &w->layers->v[i];
        enum err err = c->after.type == STAMP_ABSENT ? OK : apply(w, c);
        if (err)
            return w->e ? error_wrap(w->e, "%.*s", SLICE_ARG(slice_sub(c->path, 0, 150))) : err;
    }
    return OK;
}

/* ---- folders, index ---- */

static int by_path(const void *a, const void *b)
{
    return manifest_path_cmp(((const struct change *)a)->path, ((const struct change *)b)->path);
}

static enum err finish_folder(struct copying *w, const struct change *c)
{
    char name[STAMP_NAME_MAX + 1];
    int parent;
    enum err err = chain_go_parent(&w->parents, w->to, c->path, false, &parent, name, w->e);
    struct timespec mtime = stamp_time(c->after.mtime_ns);
    if (!err)
        err = set_time(w, parent, name, &mtime);
    if (!err && sys->fchmodat(parent, name, c->after.mode) < 0)
        err = error_errno(w->e, errno, "cannot give the copy of the folder %s its mode", name);
    return err;
}

static enum err finish(struct copying *w, struct buf *index)
{
    struct change *v = w->v;
    struct slice last = SLICE_NONE;
    if (w->n)
        qsort(v, w->n, sizeof *v, by_path);
    for (size_t i = w->n; i; i--) {
        enum err err = v[i - 1].after.type == STAMP_FOLDER ? finish_folder(w, &v[i - 1]) : OK;
        if (err)
            return err;
    }
    copy_index_begin(index);
    for (size_t i = 0; i < w->n; last = v[i++].path)
        copy_index_add(index, last, &v[i]);
    return buf_check(index, "the index of a copy", w->e);
}

enum err copy_root(int root, int to, const char *cover, const struct manifest *layers, const int *folders,
                   uint64_t bytes_max, struct buf *index, struct error *e)
{
    __attribute__((cleanup(copying_release))) struct copying w = {
        .root = root, .to = to, .cover = cover, .layers = layers, .folders = folders, .bytes_max = bytes_max,
        .notes = ARENA_INIT(NOTES_BYTES), .from = CHAIN_INIT, .parents = CHAIN_INIT, .e = e,
    };
    enum err err = copy_folder(&w, root, to);
    if (err)
        return e && w.path.n ? error_wrap(e, "%.150s", w.path.text) : err;
    err = apply_layers(&w);
    return err ? err : finish(&w, index);
}
