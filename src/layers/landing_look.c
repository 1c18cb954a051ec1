/* The first pass of landing a set: every path is looked at, and nothing is changed but what an attempt that died left. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "layers/landing_set.h"

static bool is_leaf(const struct stamp *s)
{
    return s->type == STAMP_FILE || s->type == STAMP_LINK;
}

static enum err conflict(struct item *it, const char *why)
{
    it->fate = FATE_CONFLICT;
    it->why = why;
    return OK;
}

static enum err open_as(struct item *it, enum todo todo)
{
    it->fate = FATE_OPEN;
    it->todo = todo;
    return OK;
}

/* ---- what may not land at all ---- */

static bool is_ours(struct slice part)
{
    return landing_name_begins(part, ".crannog-");
}

/* Whether the first n bytes of a path are a folder with a HEAD in the root: to git a repository, whatever its name. */
static bool is_repository(const struct apply *ap, struct slice path, size_t n)
{
    char head[STAMP_PATH_MAX + 1];
    struct stamp s;
    int len = snprintf(head, sizeof head, "%.*sHEAD", (int)n, path.p);
    return len > 0 && (size_t)len < sizeof head && stamp_look(ap->s->root, slice_of(head), NULL, &s, NULL) == OK &&
           (s.type == STAMP_FILE || s.type == STAMP_LINK);
}

/* The configuration and hooks of a person's bare repository. */
static const char *guarded_bare(const struct apply *ap, const struct change *c)
{
    struct slice path = c->path;
    for (size_t at = 0; at < path.n && c->after.type != STAMP_ABSENT;) { /* what goes runs nothing */
        struct slice rest = slice_sub(path, at, path.n), part = slice_sub(rest, 0, slice_index(rest, '/'));
        const char *why = landing_guarded_in_repository(part);
        if (why && is_repository(ap, path, at))
            return why;
        at += part.n + 1;
    }
    return NULL;
}

static const char *refused(const struct apply *ap, const struct change *c)
{
    for (struct slice rest = c->path; rest.n;) {
        struct slice part = slice_sub(rest, 0, slice_index(rest, '/'));
        if (is_ours(part))
            return "has a name that is crannog's own";
        rest = slice_sub(rest, part.n + 1, rest.n);
    }
    if (ap->s->guarded)
        return NULL;
    const char *why = landing_guarded(c->path, &c->after);
    return why ? why : guarded_bare(ap, c);
}

static enum err check_broken(const struct change *c, struct error *e)
{
    struct slice first = slice_sub(c->path, 0, slice_index(c->path, '/'));
    enum err err = stamp_check_path(c->path, e);
    if (!err && landing_name_is(first, ".crannog"))
        return error_set(e, ERR_DENIED, "this layer wants to change %.*s, where crannog keeps its own state; nothing was "
                         "changed; drop the layer", SLICE_ARG(slice_sub(c->path, 0, 200)));
    if (!err && (c->after.type == STAMP_OTHER || (c->before.type == STAMP_ABSENT && c->after.type == STAMP_ABSENT)))
        return error_set(e, ERR_CORRUPT, "the change of %.*s in a manifest is none", SLICE_ARG(slice_sub(c->path, 0, 200)));
    return err;
}

/* ---- files and links, and folders that become such or were such ---- */

/* Over a conflict, if a person said so: what lies there now is the base. */
static enum err replace(struct apply *ap, struct landing *l, struct item *it, bool *ret_open)
{
    struct stamp kept;
    enum err err = node_stat(l->folder, l->kept, &kept, ap->e);
    if (err || kept.type != STAMP_ABSENT || !(is_leaf(&it->now) || it->now.type == STAMP_ABSENT))
        return err;
    it->base = it->now;
    it->loose = true;
    *ret_open = true;
    return OK;
}

/* The same text, mode and mtime under another inode (an undo brought it back, a checkout went there and back) is the base
   too: nobody's version is lost with it. */
static bool is_alike(const struct item *it, const struct stamp *now)
{
    return is_leaf(now) && now->links == 1 && node_same(now, &it->c->before);
}

/* What an attempt before took for the base, with `replace` or because it was alike, lies in the undo folder: nothing else
   may be replaced now. */
static enum err base_of_before(struct apply *ap, struct item *it)
{
    struct stamp was;
    if (!ap->whole)
        return OK;
    enum err err = undo_look(ap, it->c->path, &was);
    if (!err && was.type == STAMP_OTHER) /* the mark of an absent one (landing_undo.c) */
        was = (struct stamp){.type = STAMP_ABSENT};
    if (!err && was.type != STAMP_FOLDER && (ap->s->replace || is_alike(it, &was))) {
        it->base = was;
        it->loose = was.type != STAMP_ABSENT;
    }
    return err;
}

static enum err look_leaf(struct apply *ap, struct item *it, struct place *p)
{
    struct landing l;
    enum landing_result result;
    bool open;
    enum err err = base_of_before(ap, it);
    if (err)
        return err;
    landing_of(ap, it, p, &l);
    err = landing_take_up(&l, &open, &result, &it->now);
    if (err)
        return err;
    if (!open && result == LANDING_DONE) {
        it->fate = FATE_DONE;
        it->todo = TODO_LEAF;
        return OK;
    }
    if (!open && !ap->whole && (ap->s->replace || is_alike(it, &it->now)))
        err = replace(ap, &l, it, &open);
    if (open && it->c->moved && !ap->s->replace && it->c->before.type != STAMP_FOLDER)
        return conflict(it, "was changed by somebody else while the step was at work");
    if (err || open)
        return err ? err : open_as(it, TODO_LEAF);
    char words[512];
    landing_words(&l, &it->now, words, sizeof words);
    char *why = arena_str(ap->a, slice_of(words));
    return why ? conflict(it, why) : out_of_memory(ap->e);
}

/* ---- folders ---- */

/* `after` is a folder, and nothing or a folder was there. */
static enum err look_folder(struct apply *ap, struct item *it, struct place *p)
{
    enum stamp_type now = it->now.type;
    if (now == STAMP_FOLDER) {
        it->base = it->now;
        if (ap->whole) { /* was it there before us? */
            struct stamp was;
            enum err err = undo_look(ap, it->c->path, &was);
            if (err)
                return err;
            it->base.type = was.type == STAMP_FOLDER ? STAMP_FOLDER : STAMP_ABSENT;
        }
        return open_as(it, TODO_META);
    }
    if (now == STAMP_ABSENT && (it->c->before.type == STAMP_ABSENT || ap->s->replace)) {
        it->base = it->now;
        return open_as(it, TODO_MAKE);
    }
    return now == STAMP_ABSENT ? conflict(it, "is no longer there") : look_leaf(ap, it, p);
}

/* A folder that goes. */
static enum err look_removed(struct apply *ap, struct item *it, struct place *p)
{
    it->todo = TODO_REMOVE;
    if (it->now.type == STAMP_ABSENT) {
        it->fate = FATE_DONE;
        return OK;
    }
    if (it->now.type != STAMP_FOLDER)
        return look_leaf(ap, it, p);
    it->base = it->now; /* another inode is no matter: what lies in it is looked at path by path */
    return open_as(it, TODO_REMOVE);
}

/* There is no folder that the path could lie in. `fresh`: one will be made there. */
static enum err look_without_place(struct apply *ap, struct item *it, enum stamp_type way, bool fresh)
{
    const struct change *c = it->c;
    enum todo todo = c->after.type == STAMP_FOLDER ? TODO_MAKE : TODO_LEAF;
    it->now = (struct stamp){.type = STAMP_ABSENT};
    if (c->after.type == STAMP_ABSENT) {
        it->fate = FATE_DONE;
        it->todo = c->before.type == STAMP_FOLDER ? TODO_REMOVE : TODO_LEAF;
        return OK;
    }
    it->late = fresh;
    if ((fresh || way == STAMP_ABSENT) && (c->before.type == STAMP_ABSENT || ap->s->replace)) {
        it->base = it->now;
        return open_as(it, todo);
    }
    it->now.type = way == STAMP_ABSENT ? STAMP_ABSENT : STAMP_OTHER;
    return conflict(it, way == STAMP_ABSENT ? "is no longer there, and neither is its folder" : "lies in what is no folder any more");
}

static enum err look_one(struct apply *ap, struct item *it, bool fresh)
{
    const struct change *c = it->c;
    PLACE_CLEANUP struct place p = PLACE_INIT;
    enum err err = place_find(ap->s->root, c->path, O_RDONLY, &p, ap->e);
    if (err)
        return err;
    if (p.way != STAMP_FILE)
        return look_without_place(ap, it, p.way, fresh);
    bool was_folder = c->before.type == STAMP_FOLDER, was_absent = c->before.type == STAMP_ABSENT;
    bool folder = c->after.type == STAMP_FOLDER && (was_folder || was_absent);
    bool removed = c->after.type == STAMP_ABSENT && was_folder;
    if (!folder && !removed)
        return look_leaf(ap, it, &p);
    err = node_stat(p.folder, p.name, &it->now, ap->e);
    return err ? err : folder ? look_folder(ap, it, &p) : look_removed(ap, it, &p);
}

/* ---- what was a folder and becomes a file or a link: nothing may lie in it that the manifest does not remove ---- */

static enum err stranger_in(struct apply *ap, struct slice folder, struct slice *ret, struct error *e);

/* One name of such a folder: *ret is its path if it would stay. */
static enum err stranger_at(struct apply *ap, struct slice folder, const char *name, struct slice *ret, struct error *e)
{
    struct slice path = slice_of(arena_printf(ap->a, "%.*s/%s", SLICE_ARG(folder), name));
    if (!path.p)
        return out_of_memory(e);
    const struct change *c = manifest_find(ap->s->manifest, path);
    const struct item *it = c ? &ap->v[c - ap->s->manifest->v] : NULL;
    if (!it || c->after.type != STAMP_ABSENT || it->fate == FATE_LEFT) {
        *ret = path;
        return OK;
    }
    return it->now.type == STAMP_FOLDER ? stranger_in(ap, path, ret, e) : OK;
}

static enum err stranger_in(struct apply *ap, struct slice folder, struct slice *ret, struct error *e)
{
    PLACE_CLEANUP struct place p = PLACE_INIT;
    enum err err = place_find(ap->s->root, folder, O_RDONLY, &p, e);
    if (err || p.way != STAMP_FILE)
        return err;
    int fd = sys->openat2(p.folder, p.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, 0);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        int why = errno;
        sys_close_fd(&fd);
        return why == ENOENT || why == ENOTDIR ? OK : error_errno(e, why, "cannot list the folder %.*s", SLICE_ARG(folder));
    }
    for (struct dirent *f; !err && !ret->p && (f = readdir(d));)
        if (strcmp(f->d_name, ".") && strcmp(f->d_name, ".."))
            err = stranger_at(ap, folder, f->d_name, ret, e);
    closedir(d);
    return err;
}

static enum err check_emptied(struct apply *ap, size_t i)
{
    struct item *it = &ap->v[i];
    struct slice stranger = SLICE_NONE;
    enum err err = stranger_in(ap, it->c->path, &stranger, ap->e);
    if (err || !stranger.p)
        return err;
    const struct change *c = manifest_find(ap->s->manifest, stranger);
    const char *why = arena_printf(ap->a, "holds %.*s, which %s", SLICE_ARG(stranger), c ? "is left" : "nobody has looked at");
    if (!why)
        return out_of_memory(ap->e);
    it->fate = c && c->after.type == STAMP_ABSENT ? FATE_LEFT : FATE_CONFLICT;
    it->why = why;
    for (size_t k = i + 1; it->fate == FATE_LEFT && k < ap->n && slice_below(ap->v[k].c->path, it->c->path); k++) {
        ap->v[k].fate = FATE_LEFT; /* they go together with it or not at all */
        ap->v[k].why = why;
    }
    return OK;
}

/* ---- the order of doing ---- */

static int rank_of(const struct item *it)
{
    int git = git_rank(it->c->path);
    if (it->todo == TODO_REMOVE)
        return it->early ? 0 : 7;
    if (it->c->after.type == STAMP_ABSENT)
        return it->early || !git ? 0 : 6;
    if (it->c->after.type == STAMP_FOLDER)
        return 1;
    return git ? git : 2;
}

/* ---- all of them ---- */

struct above { /* the innermost changes, of those before, that say something about what lies below them */
    struct slice fresh, turned, left;
    const char *why;
};

static enum err look_at_item(struct apply *ap, struct item *it, struct above *above)
{
    const struct change *c = it->c;
    enum err err = check_broken(c, ap->e);
    if (err)
        return err;
    it->base = c->before;
    const char *why = slice_below(c->path, above->left) ? above->why : refused(ap, c);
    if (why) {
        it->fate = FATE_LEFT;
        it->why = why;
        bool turns = (c->before.type == STAMP_FOLDER) != (c->after.type == STAMP_FOLDER);
        if (turns && !slice_below(c->path, above->left)) {
            above->left = c->path;
            above->why = "belongs to a folder that is guarded";
        }
        if (stamp_look(ap->s->root, c->path, NULL, &it->now, NULL))
            it->now = (struct stamp){.type = STAMP_OTHER};
        return OK;
    }
    it->early = slice_below(c->path, above->turned);
    err = look_one(ap, it, slice_below(c->path, above->fresh));
    if (err)
        return ap->e ? error_wrap(ap->e, "%.*s", SLICE_ARG(slice_sub(c->path, 0, 200))) : err;
    if (it->fate == FATE_OPEN && it->todo == TODO_LEAF && c->after.type == STAMP_FOLDER)
        above->fresh = c->path;
    if (c->before.type == STAMP_FOLDER && is_leaf(&c->after) && !slice_below(c->path, above->turned))
        above->turned = c->path;
    return OK;
}

enum err landing_look_set(struct apply *ap)
{
    struct above above = {.why = NULL};
    enum err err = OK;
    for (size_t i = 0; !err && i < ap->n; i++) {
        ap->v[i].c = &ap->s->manifest->v[i];
        err = look_at_item(ap, &ap->v[i], &above);
    }
    for (size_t i = 0; !err && i < ap->n; i++)
        if (ap->v[i].fate == FATE_OPEN && ap->v[i].todo == TODO_LEAF && ap->v[i].base.type == STAMP_FOLDER)
            err = check_emptied(ap, i);
    for (size_t i = 0; !err && i < ap->n; i++)
        ap->v[i].rank = rank_of(&ap->v[i]);
    return err ? err : git_check(ap);
}
