/*
 * One walk for both back ends. It goes through the layer's folder and compares with the *lower view*: what the step saw
 * before it changed anything.
 *
 *            the lower view is                               names to compare in a folder
 *   overlay  the root, with the layers `below` over it       those of the upper; where the upper's folder does not merge
 *                                                            (opaque, or over no folder), all of the lower view as well
 *   copy     what the index says of every path               those of the copy and of the index
 *
 * `before` is always looked at in the root itself, now.
 */
#include "layers/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/sys.h"
#include "layers/copy_index.h"
#include "layers/internal.h"
#include "layers/landing.h"
#include "layers/walk.h"

enum { NAMES_BYTES = 256 * 1024 * 1024, WHITEOUT_TRIES = 100 };
_Static_assert((int)SEAL_SYNC_EACH == (int)WALK_SYNC_EACH, "one bound");

struct sealing {
    const struct seal *s;
    bool copy;
    const struct manifest *lower; /* overlay: the layers below; copy: the index. NULL: none */
    struct arena *a;              /* the caller's */
    struct arena names;
    void *changes; /* struct change, in `a` */
    size_t n, cap;
    void *seen;    /* struct seen, likewise */
    size_t nseen, seen_cap;
    uint64_t left_out;
    struct slice left_example;
    struct walk_path path;
    struct walk_sync sync;
    struct error *e;
};

/* One folder of the walk. */
struct level {
    int up, root; /* -1: there is none */
    bool lower;   /* the lower view has a folder here */
    bool merged;  /* what the layer does not name is as below */
    bool late;    /* somebody worked in a folder above that the step removed or replaced, while it was at work */
};

enum upper { UP_NOTHING, UP_WHITEOUT, UP_THING, UP_OTHER };

static bool is_late(const struct sealing *w, const struct stamp *root)
{
    return root->type != STAMP_ABSENT && root->ctime_ns >= w->s->began_ns - SEAL_TICK_NS;
}

static enum err out_of_memory(struct sealing *w)
{
    return error_set(w->e, ERR_LIMIT, "a step's changes do not fit in memory (%zu of them)", w->n);
}

/* ---- what lies in the root ---- */

/* Its stat alone: of what cannot be read (OTHER), or does not hold still (no hash: it is like nothing else). */
static enum err root_stat(struct sealing *w, int root, const char *name, enum err why, struct stamp *ret)
{
    struct stat st;
    if (sys->fstatat(root, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(w->e, errno, "cannot look at %s", name);
    *ret = stamp_of_stat(&st);
    if (why == ERR_DENIED)
        ret->type = STAMP_OTHER;
    return OK;
}

static enum err root_look(struct sealing *w, int root, const char *name, struct stamp *ret)
{
    *ret = (struct stamp){.type = STAMP_ABSENT};
    if (root < 0)
        return OK;
    enum err err = look_at(root, name, NULL, ret, w->e);
    return err == ERR_DENIED || err == ERR_BUSY ? root_stat(w, root, name, err, ret) : err;
}

/* ---- what lies in the layer ---- */

static enum err attribute(struct sealing *w, int fd, const char *name, char *ret_first, bool *ret_has)
{
    char value[16];
    ssize_t n = fgetxattr(fd, name, value, sizeof value);
    *ret_has = n >= 0 || errno == ERANGE;
    *ret_first = n == 1 ? value[0] : '\0';
    if (*ret_has || errno == ENODATA || errno == EOPNOTSUPP)
        return OK;
    return error_errno(w->e, errno, "cannot read the attributes of a layer");
}

/* Whether an open folder is opaque; refuses what our mounts never write, for the layer would not mean what it shows. */
static enum err check_attributes(struct sealing *w, int fd, bool *ret_opaque)
{
    static const char *const refused[] = {"user.overlay.redirect", "user.overlay.metacopy"};
    bool has;
    char first;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        enum err err = attribute(w, fd, refused[i], &first, &has);
        if (err)
            return err;
        if (has)
            return error_set(w->e, ERR_CORRUPT, "a layer has the attribute %s, which no jail of crannog makes", refused[i]);
    }
    enum err err = attribute(w, fd, "user.overlay.opaque", &first, &has);
    *ret_opaque = has && first == 'y';
    return err;
}

static enum err file_hash(struct sealing *w, int up, const char *name, const struct stat *st, struct stamp *ret)
{
    WALK_OPEN_CLEANUP struct walk_open o = WALK_OPEN_INIT;
    bool opaque;
    enum err err = walk_open_shut(up, name, st, true, &o, w->e);
    if (!err && !w->copy)
        err = check_attributes(w, o.fd, &opaque);
    if (!err)
        err = walk_shut(&o, w->e);
    if (!err)
        err = walk_hash(o.fd, &ret->hash, w->e);
    if (!err)
        walk_sync_add(&w->sync, o.fd);
    return err;
}

static enum err link_hash(struct sealing *w, int up, const char *name, struct stamp *ret)
{
    char text[STAMP_PATH_MAX + 1];
    ssize_t n = sys->readlinkat(up, name, text, sizeof text);
    if (n < 0)
        return error_errno(w->e, errno, "cannot read the link %s", name);
    ret->hash = hash_of((struct slice){text, (size_t)n});
    return OK;
}

/* The upper's name as it is, without its content. */
static enum err upper_stat(struct sealing *w, int up, const char *name, enum upper *ret, struct stat *ret_st)
{
    *ret = UP_NOTHING;
    if (up < 0)
        return OK;
    if (sys->fstatat(up, name, ret_st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? OK : error_errno(w->e, errno, "cannot look at %s", name);
    struct stamp s = stamp_of_stat(ret_st);
    bool whiteout = S_ISCHR(ret_st->st_mode) && ret_st->st_rdev == makedev(0, 0) && !w->copy;
    *ret = whiteout ? UP_WHITEOUT : s.type == STAMP_OTHER ? UP_OTHER : UP_THING;
    return OK;
}

static enum err upper_node(struct sealing *w, int up, const char *name, enum upper kind, const struct stat *st,
                           struct stamp *ret)
{
    *ret = kind == UP_THING ? stamp_of_stat(st) : (struct stamp){.type = STAMP_ABSENT};
    if (ret->type == STAMP_FILE)
        return file_hash(w, up, name, st, ret);
    return ret->type == STAMP_LINK ? link_hash(w, up, name, ret) : OK;
}

/* ---- what a step left behind and a layer does not keep ---- */

/* A whiteout where a FIFO had taken the place of something: by a rename, so that at no instant what it hid shows again. */
static enum err replace_by_whiteout(struct sealing *w, int up, const char *name)
{
    for (int i = 0; i < WHITEOUT_TRIES; i++) {
        char temporary[32];
        snprintf(temporary, sizeof temporary, ".crannog-gone-%d", i);
        if (sys->mknodat(up, temporary, S_IFCHR, makedev(0, 0)) < 0) {
            if (errno == EEXIST)
                continue;
            if (errno == EPERM)
                return OK; /* a jail's filter: then the thing itself goes on hiding what it hid, and the layer is whole */
            return error_errno(w->e, errno, "cannot make a whiteout");
        }
        if (sys->renameat2(up, temporary, up, name, 0) == 0)
            return OK;
        enum err err = error_errno(w->e, errno, "cannot put a whiteout in the place of %s", name);
        sys->unlinkat(up, temporary, 0);
        return err;
    }
    return error_set(w->e, ERR_LIMIT, "there are too many files like .crannog-gone-1");
}

static enum err leave_out(struct sealing *w, int up, const char *name, bool hides)
{
    if (w->left_out++ == 0)
        w->left_example = arena_copy(w->a, walk_text(&w->path));
    if (w->copy)
        return OK; /* goes with what did not change */
    if (hides)
        return replace_by_whiteout(w, up, name);
    return sys->unlinkat(up, name, 0) < 0 ? error_errno(w->e, errno, "cannot remove %s from a layer", name) : OK;
}

/* ---- comparing one name ---- */

static enum err add_change(struct sealing *w, const struct stamp *before, const struct stamp *after, bool moved)
{
    if (w->n == MANIFEST_CHANGES_MAX)
        return error_set(w->e, ERR_LIMIT, "a step changed more than %d files", MANIFEST_CHANGES_MAX);
    struct slice path = arena_copy(w->a, walk_text(&w->path));
    if (!path.p || !arena_grow(w->a, &w->changes, &w->cap, w->n + 1, sizeof(struct change)))
        return out_of_memory(w);
    ((struct change *)w->changes)[w->n++] =
        (struct change){.path = path, .before = *before, .after = *after, .moved = moved};
    return OK;
}

/* Nobody has touched the copy of this path since it was made: no need to read it. */
static bool untouched(const struct change *index, const struct stamp *now)
{
    const struct stamp *was = &index->after;
    return was->type == now->type && was->ino == now->ino && was->mode == now->mode && was->mtime_ns == now->mtime_ns &&
           was->ctime_ns == now->ctime_ns && was->size == now->size;
}

/* The root's thing is the one that was copied. */
static bool stayed(const struct change *index, const struct stamp *root)
{
    return index->before.type == root->type && index->before.ino == root->ino && index->before.ctime_ns == root->ctime_ns;
}

/* What the step saw at this path before it did anything. */
static struct stamp lower_view(const struct sealing *w, const struct level *lv, const struct change *known,
                               const struct stamp *root)
{
    if (!known)
        return w->copy || !lv->lower ? (struct stamp){.type = STAMP_ABSENT} : *root;
    struct stamp s = known->after;
    if (w->copy && hash_is_zero(&s.hash) && stayed(known, root))
        s.hash = root->hash; /* the index has none for what came from the root */
    return s;
}

static bool is_moved(const struct sealing *w, const struct level *lv, const struct change *known,
                     const struct stamp *root, const struct stamp *lower, const struct stamp *after)
{
    if (root->type == STAMP_FOLDER && after->type == STAMP_FOLDER)
        return false;
    if (root->type != STAMP_ABSENT && lower->type == STAMP_ABSENT && !known)
        return true; /* the step has never seen it: made behind what a layer below took away, or since a copy was made */
    if (w->copy && known && !stayed(known, root) && root->type != STAMP_FOLDER)
        return true;
    return is_late(w, root) || (lv->late && root->type != STAMP_ABSENT);
}

static enum err seal_folder(struct sealing *w, const struct level *lv);

/* `had`: the changes before this folder's own. */
static enum err descend(struct sealing *w, const struct level *lv, const char *name, const struct stat *st,
                        const struct stamp *root, const struct stamp *lower, bool up, size_t had)
{
    WALK_OPEN_CLEANUP struct walk_open o = WALK_OPEN_INIT;
    bool opaque = false;
    if (up) {
        enum err err = walk_open_shut(lv->up, name, st, false, &o, w->e);
        if (!err && !w->copy)
            err = check_attributes(w, o.fd, &opaque);
        if (err)
            return err;
    }
    struct level next = {.up = o.fd, .root = -1, .lower = lower->type == STAMP_FOLDER};
    next.merged = lv->merged && up && !opaque && next.lower;
    next.late = lv->late || (!up && is_late(w, root)) || (opaque && is_late(w, root));
    FD_CLEANUP int folder = root->type == STAMP_FOLDER && lv->root >= 0 ? walk_open(lv->root, name) : -1;
    if (root->type == STAMP_FOLDER && folder < 0 && errno != EACCES && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
        return error_errno(w->e, errno, "cannot open %s", name);
    next.root = folder;
    enum err err = seal_folder(w, &next);
    if (!err && up && w->n != had) /* a copy has many folders in which nothing changed */
        walk_sync_add(&w->sync, o.fd);
    return err ? err : walk_shut(&o, w->e);
}

/* `up` is what the layer has at this name. */
static enum err compare(struct sealing *w, const struct level *lv, const char *name, enum upper up, const struct stat *st,
                        const struct change *known)
{
    struct stamp root, after;
    size_t had = w->n;
    enum err err = root_look(w, lv->root, name, &root);
    if (!err)
        err = upper_node(w, lv->up, name, up, st, &after);
    if (err)
        return err;
    struct stamp lower = lower_view(w, lv, known, &root);
    if (up == UP_OTHER && lower.type == STAMP_OTHER)
        return OK; /* the root's own: a step may change its mode or time, and nothing comes of it */
    if (up == UP_OTHER)
        err = leave_out(w, lv->up, name, lv->merged && lower.type != STAMP_ABSENT);
    bool folder = after.type == STAMP_FOLDER;
    if (!err && !walk_same(&lower, &after))
        err = add_change(w, &root, &after, is_moved(w, lv, known, &root, &lower, &after));
    if (!err && (folder || lower.type == STAMP_FOLDER))
        err = descend(w, lv, name, st, &root, &lower, folder, had);
    return err;
}

static enum err seal_name(struct sealing *w, const struct level *lv, struct slice name)
{
    enum upper up;
    struct stat st = {0};
    if (w->path.depth == 0 && w->s->cover && slice_is(name, w->s->cover))
        return OK;
    enum err err = walk_push(&w->path, name, w->e);
    if (!err)
        err = upper_stat(w, lv->up, name.p, &up, &st);
    if (err)
        return err;
    const struct change *known = w->lower ? manifest_find(w->lower, walk_text(&w->path)) : NULL;
    struct stamp now = stamp_of_stat(&st);
    if (!w->copy || !known || up != UP_THING || now.type == STAMP_FOLDER || !untouched(known, &now))
        err = compare(w, lv, name.p, up, &st, known);
    if (!err) /* otherwise it says where it happened */
        walk_pop(&w->path);
    return err;
}

/* ---- the names of a folder ---- */

/* Of the manifest `lower`: those directly below the path of the walk. */
static enum err lower_names(struct sealing *w, void **v, size_t *n, size_t *cap)
{
    size_t from, to, skip = w->path.n ? w->path.n + 1 : 0;
    struct slice last = SLICE_NONE;
    if (w->path.n)
        walk_range(w->lower, walk_text(&w->path), &from, &to);
    else
        from = 0, to = w->lower->n;
    for (size_t i = from; i < to; i++) {
        struct slice rest = slice_sub(w->lower->v[i].path, skip, SIZE_MAX);
        struct slice name = slice_sub(rest, 0, slice_index(rest, '/'));
        if (last.p && slice_eq(name, last))
            continue;
        last = name;
        name = arena_copy(&w->names, name);
        if (!name.p || !arena_grow(&w->names, v, cap, *n + 1, sizeof name))
            return out_of_memory(w);
        ((struct slice *)*v)[(*n)++] = name;
    }
    return OK;
}

static enum err folder_names(struct sealing *w, int folder, void **v, size_t *n, size_t *cap)
{
    struct slice *more = NULL;
    size_t nmore = 0;
    enum err err = folder < 0 ? OK : walk_names(folder, &w->names, &more, &nmore, w->e);
    if (err)
        return err;
    if (!arena_grow(&w->names, v, cap, *n + nmore, sizeof *more))
        return out_of_memory(w);
    if (nmore)
        memcpy((struct slice *)*v + *n, more, nmore * sizeof *more);
    *n += nmore;
    return OK;
}

static int by_name(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static enum err seal_folder(struct sealing *w, const struct level *lv)
{
    void *v = NULL;
    size_t n = 0, cap = 0;
    enum err err = folder_names(w, lv->up, &v, &n, &cap);
    bool lower = lv->lower && !lv->merged;
    if (!err && lower && !w->copy)
        err = folder_names(w, lv->root, &v, &n, &cap);
    if (!err && lower && w->lower)
        err = lower_names(w, &v, &n, &cap);
    if (!err && n)
        qsort(v, n, sizeof(struct slice), by_name);
    struct slice *names = v;
    for (size_t i = 0; !err && i < n; i++)
        if (i == 0 || !slice_eq(names[i], names[i - 1]))
            err = seal_name(w, lv, names[i]);
    return err;
}

/* ---- what the changes stand on ---- */

/* As the step saw it: where somebody has changed it since, what that was is not known, and is like nothing else. */
static enum err add_seen(struct sealing *w, const char *path)
{
    struct stamp now;
    struct manifest so_far = {.v = w->changes, .n = w->n};
    if (manifest_find(&so_far, slice_of(path)) || (!w->copy && w->lower && manifest_find(w->lower, slice_of(path))))
        return OK;
    if (w->nseen == MANIFEST_SEEN_MAX || stamp_look(w->s->root, slice_of(path), NULL, &now, NULL))
        return OK; /* more repositories than anybody has, or what landing will not get at either */
    struct slice kept = arena_copy(w->a, slice_of(path));
    if (!kept.p || !arena_grow(w->a, &w->seen, &w->seen_cap, w->nseen + 1, sizeof(struct seen)))
        return out_of_memory(w);
    if (is_late(w, &now))
        now.hash = (struct hash){{0}};
    ((struct seen *)w->seen)[w->nseen++] = (struct seen){.path = kept, .was = now};
    return OK;
}

static int seen_by_path(const void *a, const void *b)
{
    return manifest_path_cmp(((const struct seen *)a)->path, ((const struct seen *)b)->path);
}

/* HEAD and packed-refs of each repository whose pointers changed (manifest.h, N5). */
static enum err see(struct sealing *w)
{
    const struct change *v = w->changes;
    struct slice last = SLICE_NONE;
    enum err err = OK;
    for (size_t i = 0; !err && i < w->n; i++) {
        char path[STAMP_PATH_MAX + 1];
        struct slice git = landing_repository(v[i].path);
        if (!git.n || slice_eq(git, last) || !landing_is_pointer(v[i].path) || git.n + 16 > STAMP_PATH_MAX)
            continue;
        last = git;
        snprintf(path, sizeof path, "%.*s/HEAD", SLICE_ARG(git));
        err = add_seen(w, path);
        snprintf(path, sizeof path, "%.*s/packed-refs", SLICE_ARG(git));
        if (!err)
            err = add_seen(w, path);
    }
    if (w->nseen)
        qsort(w->seen, w->nseen, sizeof(struct seen), seen_by_path);
    return err;
}

/* ---- the whole ---- */

static enum err seal(struct sealing *w, struct sealed *ret)
{
    struct level top = {.up = w->s->layer, .root = w->s->root, .lower = true, .merged = !w->copy};
    enum err err = seal_folder(w, &top);
    if (w->n)
        walk_sync_add(&w->sync, w->s->layer);
    if (err)
        return w->e && w->path.n ? error_wrap(w->e, "%.150s", w->path.text) : err;
    err = see(w);
    if (!err)
        err = walk_sync_do(&w->sync, w->s->layer, w->e);
    if (!err)
        *ret = (struct sealed){.manifest = {.v = w->changes, .n = w->n, .seen = w->seen, .nseen = w->nseen}, .left_out = w->left_out,
                               .left_example = w->left_example};
    return err;
}

static void sealing_release(struct sealing *w)
{
    arena_release(&w->names);
    walk_sync_release(&w->sync);
}

#define SEALING_CLEANUP __attribute__((cleanup(sealing_release)))

enum err seal_overlay(const struct seal *s, struct arena *a, struct sealed *ret, struct error *e)
{
    SEALING_CLEANUP struct sealing w = {.s = s, .lower = s->below, .a = a, .names = ARENA_INIT(NAMES_BYTES), .e = e};
    return seal(&w, ret);
}

/* ---- a copy keeps only what changed ---- */

static enum err prune(int folder, const struct manifest *m, struct walk_path *path, struct arena *names, bool *ret_kept);

/* Errors only make the copy larger than it must be: what did not change does no harm where it lies. */
static bool prune_name(int folder, struct slice name, const struct manifest *m, struct walk_path *path, struct arena *names)
{
    struct stat st;
    if (sys->fstatat(folder, name.p, &st, AT_SYMLINK_NOFOLLOW) < 0 || walk_push(path, name, NULL))
        return true;
    const struct change *c = manifest_find(m, walk_text(path));
    bool keep = c && c->after.type != STAMP_ABSENT;
    if (S_ISDIR(st.st_mode)) {
        WALK_OPEN_CLEANUP struct walk_open o = WALK_OPEN_INIT;
        bool kept = true;
        if (walk_open_shut(folder, name.p, &st, false, &o, NULL) || prune(o.fd, m, path, names, &kept))
            kept = true;
        keep |= kept;
        if (keep && o.fd >= 0 && sys->utimensat(folder, name.p, (struct timespec[]){st.st_atim, st.st_mtim}, AT_SYMLINK_NOFOLLOW))
            keep = true; /* a time is not worth an error */
    }
    walk_pop(path);
    return keep || sys->unlinkat(folder, name.p, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) < 0;
}

static enum err prune(int folder, const struct manifest *m, struct walk_path *path, struct arena *names, bool *ret_kept)
{
    struct slice *v;
    size_t n;
    enum err err = walk_names(folder, names, &v, &n, NULL);
    if (err)
        return err;
    *ret_kept = false;
    for (size_t i = 0; i < n; i++)
        *ret_kept |= prune_name(folder, v[i], m, path, names);
    return OK;
}

enum err seal_copy(const struct seal *s, struct slice index, struct arena *a, struct sealed *ret, struct error *e)
{
    ARENA_CLEANUP struct arena scratch = ARENA_INIT(NAMES_BYTES);
    struct manifest known;
    enum err err = copy_index_decode(index, &scratch, &known, e);
    if (err)
        return err;
    SEALING_CLEANUP struct sealing w = {.s = s, .copy = true, .lower = &known, .a = a, .names = ARENA_INIT(NAMES_BYTES), .e = e};
    err = seal(&w, ret);
    if (err)
        return err;
    struct walk_path path = {0};
    bool kept;
    enum err unpruned = prune(s->layer, &ret->manifest, &path, &scratch, &kept);
    (void)unpruned;
    return OK;
}
