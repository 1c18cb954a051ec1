/*
 * What must be in the new folder follows from the flat manifest alone: what is new, and a whiteout for each path that the
 * root has and the stack does not show, unless a folder above it hides it already. Folders come by themselves, as the way
 * to these; a last walk gives them the attributes that they have in the newest layer that has them.
 */
#include "layers/squash.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "base/sys.h"
#include "layers/chain.h"
#include "layers/internal.h"

enum { NAMES_BYTES = 256 * 1024 * 1024 };

struct squashing {
    const struct manifest *flat;
    const int *folders;
    size_t layers; /* that the manifest names */
    struct chain from, to;
    struct walk_sync sync;
    struct arena names;
    struct walk_path path;
    struct error *e;
};

static void squashing_release(struct squashing *w)
{
    chain_release(&w->from);
    chain_release(&w->to);
    walk_sync_release(&w->sync);
    arena_release(&w->names);
}

/* ---- files, links, whiteouts ---- */

static bool is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

/* The layer's file is what the manifest says, as far as can be told without reading it. */
static enum err check_source(struct squashing *w, int folder, const char *name, const struct change *c, struct stat *ret)
{
    if (folder < 0 || sys->fstatat(folder, name, ret, AT_SYMLINK_NOFOLLOW) < 0) {
        if (folder < 0 || errno == ENOENT)
            return error_set(w->e, ERR_CORRUPT, "layer %u does not hold %s, which its list of changes names", c->layer, name);
        return error_errno(w->e, errno, "cannot look at %s", name);
    }
    struct stamp s = stamp_of_stat(ret);
    if (s.type == c->after.type && s.size == c->after.size && s.mtime_ns == c->after.mtime_ns && s.mode == c->after.mode)
        return OK;
    return error_set(w->e, ERR_CORRUPT, "%s in layer %u is not what its list of changes says", name, c->layer);
}

static enum err link_in(struct squashing *w, const struct change *c, int to, const char *name)
{
    char same[STAMP_NAME_MAX + 1];
    int from;
    struct stat st, there;
    enum err err = chain_go_parent(&w->from, w->folders[c->layer], c->path, false, &from, same, w->e);
    if (!err)
        err = check_source(w, from, name, c, &st);
    if (err)
        return err;
    if (sys->linkat(from, name, to, name, 0) == 0)
        return OK;
    if (errno != EEXIST)
        return error_errno(w->e, errno, "cannot link %s into a layer", name);
    if (sys->fstatat(to, name, &there, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(w->e, errno, "cannot look at %s", name);
    if (there.st_ino == st.st_ino && there.st_dev == st.st_dev)
        return OK; /* by an attempt that died */
    return error_set(w->e, ERR_EXISTS, "the new folder of a layer is not empty: %s", name);
}

static enum err whiteout(struct squashing *w, int to, const char *name)
{
    struct stat st;
    if (sys->mknodat(to, name, S_IFCHR, makedev(0, 0)) == 0)
        return OK;
    if (errno != EEXIST)
        return error_errno(w->e, errno, "cannot make a whiteout for %s", name);
    if (sys->fstatat(to, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(w->e, errno, "cannot look at %s", name);
    return is_whiteout(&st) ? OK : error_set(w->e, ERR_EXISTS, "the new folder of a layer is not empty: %s", name);
}

static enum err place(struct squashing *w, const struct change *c, int base)
{
    char name[STAMP_NAME_MAX + 1];
    int to;
    if (c->after.type == STAMP_FOLDER)
        return chain_go(&w->to, base, c->path, true, &to, w->e);
    enum err err = chain_go_parent(&w->to, base, c->path, true, &to, name, w->e);
    if (!err && to < 0)
        err = error_set(w->e, ERR_EXISTS, "the new folder of a layer is not empty");
    if (err)
        return err;
    return c->after.type == STAMP_ABSENT ? whiteout(w, to, name) : link_in(w, c, to, name);
}

static enum err place_all(struct squashing *w, int base, bool whiteouts)
{
    const struct change *apart = NULL; /* the topmost folder above that does not merge with one of the root */
    for (size_t i = 0; i < w->flat->n; i++) {
        const struct change *c = &w->flat->v[i];
        bool hidden = apart && slice_below(c->path, apart->path);
        bool absent = c->after.type == STAMP_ABSENT;
        if (!hidden)
            apart = c->after.type != STAMP_FOLDER || c->before.type != STAMP_FOLDER ? c : NULL;
        if (absent && (!whiteouts || hidden || c->before.type == STAMP_ABSENT))
            continue;
        enum err err = place(w, c, base);
        if (err)
            return w->e ? error_wrap(w->e, "%.*s", SLICE_ARG(slice_sub(c->path, 0, 150))) : err;
    }
    return OK;
}

/* ---- folders ---- */

/* The newest layer's folder at the walk's path; false where none has one (a whiteout's parents in a copy's layer). */
static enum err newest(struct squashing *w, struct stat *ret, bool *ret_there)
{
    *ret_there = false;
    for (size_t i = w->layers; i && !*ret_there; i--) {
        int fd;
        enum err err = chain_go(&w->from, w->folders[i - 1], walk_text(&w->path), false, &fd, w->e);
        if (err)
            return err;
        if (fd < 0)
            continue;
        if (sys->fstatat(fd, "", ret, AT_EMPTY_PATH) < 0)
            return error_errno(w->e, errno, "cannot look at a folder of a layer");
        const struct walk_open *o = w->path.depth ? &w->from.v[w->path.depth - 1] : NULL;
        if (o && o->opened) /* by us, for now */
            ret->st_mode = (ret->st_mode & S_IFMT) | o->mode;
        *ret_there = true;
    }
    return OK;
}

static enum err give_attributes(struct squashing *w, int folder)
{
    struct stat st, now;
    bool there;
    enum err err = newest(w, &st, &there);
    if (err || !there)
        return err;
    if (sys->fstatat(folder, "", &now, AT_EMPTY_PATH) < 0)
        return error_errno(w->e, errno, "cannot look at a folder");
    if ((now.st_uid != st.st_uid || now.st_gid != st.st_gid) && sys->fchown(folder, st.st_uid, st.st_gid) < 0 && errno != EPERM && errno != EINVAL)
        return error_errno(w->e, errno, "cannot give a folder its owner");
    if (sys->fchmod(folder, st.st_mode & 07777) < 0)
        return error_errno(w->e, errno, "cannot give a folder its mode");
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    if (sys->utimensat(folder, "", times, AT_EMPTY_PATH) < 0)
        return error_errno(w->e, errno, "cannot give a folder its time");
    walk_sync_add(&w->sync, folder);
    return OK;
}

static enum err finish(struct squashing *w, int folder);

static enum err finish_name(struct squashing *w, int folder, struct slice name)
{
    WALK_OPEN_CLEANUP struct walk_open o = WALK_OPEN_INIT;
    struct stat st;
    if (sys->fstatat(folder, name.p, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(w->e, errno, "cannot look at %s", name.p);
    if (!S_ISDIR(st.st_mode))
        return OK;
    enum err err = walk_push(&w->path, name, w->e);
    if (!err)
        err = walk_open_shut(folder, name.p, &st, false, &o, w->e);
    if (!err)
        err = finish(w, o.fd);
    if (!err)
        o.opened = false; /* it has its own mode now */
    walk_pop(&w->path);
    return err;
}

static enum err finish(struct squashing *w, int folder)
{
    struct slice *v;
    size_t n;
    enum err err = walk_names(folder, &w->names, &v, &n, w->e);
    for (size_t i = 0; !err && i < n; i++)
        err = finish_name(w, folder, v[i]);
    return err ? err : give_attributes(w, folder);
}

enum err squash(const struct manifest *flat, const int *folders, int to, bool whiteouts, struct error *e)
{
    __attribute__((cleanup(squashing_release))) struct squashing w = {
        .flat = flat, .folders = folders, .from = CHAIN_INIT, .to = CHAIN_INIT, .names = ARENA_INIT(NAMES_BYTES), .e = e,
    };
    for (size_t i = 0; i < flat->n; i++)
        w.layers = flat->v[i].layer >= w.layers ? flat->v[i].layer + 1u : w.layers;
    enum err err = place_all(&w, to, whiteouts);
    chain_release(&w.to);
    if (!err)
        err = finish(&w, to);
    return err ? err : walk_sync_do(&w.sync, to, e);
}
