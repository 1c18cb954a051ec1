/*
 * The folder `undo` of a landing: what was there before, at its own paths.
 *
 * It is filled before the first path changes, and is whole from then on: its own mtime says so. It is set to MARK_NS
 * when everything in it is durable, and since anything that is made in it changes that again, what is not whole is never
 * taken for it. An attempt that finds it whole takes from it what was there, whatever lies in the root by then: pre-images,
 * and modes and mtimes of folders. One that does not has changed nothing yet. Where nothing lay although the manifest says
 * that something did (`replace`), a FIFO stands for that: no manifest names it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "layers/landing_set.h"
#include "layers/walk.h"

static const int64_t MARK_NS = 1000000001; /* a second and a bit after the epoch: no clock says that */

enum err out_of_memory(struct error *e)
{
    return error_set(e, ERR_MEMORY, "no memory for so many changes; land fewer at a time");
}

enum err undo_is_whole(struct apply *ap)
{
    struct stat st;
    if (sys->fstatat(ap->s->undo, "", &st, AT_EMPTY_PATH) < 0)
        return error_errno(ap->e, errno, "cannot look at the folder for undo");
    ap->whole = st.st_mtim.tv_sec == MARK_NS / 1000000000 && st.st_mtim.tv_nsec == MARK_NS % 1000000000;
    return OK;
}

enum err undo_look(struct apply *ap, struct slice path, struct stamp *ret)
{
    PLACE_CLEANUP struct place p = PLACE_INIT;
    enum err err = place_find(ap->s->undo, path, O_PATH, &p, ap->e);
    *ret = (struct stamp){.type = STAMP_ABSENT};
    return err || p.way != STAMP_FILE ? err : look_at(p.folder, p.name, NULL, ret, ap->e);
}

/* ---- the folders of the root that the set touches ---- */

static enum err add_folder(struct apply *ap, struct slice path, const struct item *it)
{
    void *v = ap->folders;
    if (!arena_grow(ap->a, &v, &ap->folders_cap, ap->nfolders + 1, sizeof *ap->folders))
        return out_of_memory(ap->e);
    ap->folders = v;
    struct old_folder f = {.path = path, .item = it};
    PLACE_CLEANUP struct place p = PLACE_INIT;
    enum err err = place_find(ap->whole ? ap->s->undo : ap->s->root, path, O_PATH, &p, ap->e);
    if (!err && p.way == STAMP_FILE)
        err = node_stat(p.folder, p.name, &f.was, ap->e);
    if (!err && f.was.type == STAMP_FOLDER)
        ap->folders[ap->nfolders++] = f;
    return err;
}

/* All folders on the way to what changes, and those that change themselves, each once, in the manifest's order: `last`
   is the path before, and what both lie in is there already. */
static enum err list_folders(struct apply *ap)
{
    struct slice last = SLICE_NONE;
    enum err err = OK;
    for (size_t i = 0; !err && i < ap->n; i++) {
        struct item *it = &ap->v[i];
        if (it->fate != FATE_OPEN && !(ap->whole && it->fate == FATE_DONE))
            continue;
        struct slice path = it->c->path;
        for (size_t cut = 0; !err && cut < path.n; cut++) {
            struct slice folder = slice_sub(path, 0, cut);
            if (path.p[cut] == '/' && !slice_eq(folder, last) && !slice_below(last, folder))
                err = add_folder(ap, folder, NULL);
        }
        if (!err && (it->base.type == STAMP_FOLDER || it->c->before.type == STAMP_FOLDER))
            err = add_folder(ap, path, it);
        last = path;
    }
    return err;
}

/* ---- filling it ---- */

static enum err open_in_undo(struct apply *ap, struct slice path, struct place *ret)
{
    enum err err = place_find(ap->s->undo, path, O_RDONLY, ret, ap->e);
    if (!err && ret->way != STAMP_FILE)
        return error_set(ap->e, ERR_CORRUPT, "something lies in the way of %.*s in the folder for undo; use an empty folder",
                         SLICE_ARG(slice_sub(path, 0, 200)));
    return err;
}

static enum err make_folders(struct apply *ap)
{
    enum err err = OK;
    for (size_t i = 0; !err && i < ap->nfolders; i++) {
        PLACE_CLEANUP struct place p = PLACE_INIT;
        err = open_in_undo(ap, ap->folders[i].path, &p);
        if (!err && sys->mkdirat(p.folder, p.name, 0700) < 0 && (errno != EEXIST || sys->fchmodat(p.folder, p.name, 0700) < 0))
            err = error_errno(ap->e, errno, "cannot make a folder for undo");
    }
    return err;
}

static enum err changed_meanwhile(struct apply *ap, struct slice path)
{
    return error_set(ap->e, ERR_BUSY, "%.*s was changed while it was looked at; nothing was landed; try again",
                     SLICE_ARG(slice_sub(path, 0, 200)));
}

static enum err fill_file(struct apply *ap, struct item *it, struct place *from, struct place *to, int fd)
{
    FD_CLEANUP int source = look_open(from->folder, from->name);
    if (source < 0 && (errno == ENOENT || errno == ELOOP || errno == ENXIO))
        return changed_meanwhile(ap, it->c->path);
    if (source < 0 && errno != EAGAIN)
        return error_errno(ap->e, errno, "cannot open %.*s", SLICE_ARG(slice_sub(it->c->path, 0, 200)));
    if (source < 0 || lease_take(source) == LEASE_REFUSED)
        return error_set(ap->e, ERR_BUSY, "%.*s is open for writing in another program; nothing was landed; close it there "
                         "and go on", SLICE_ARG(slice_sub(it->c->path, 0, 200)));
    bool same;
    enum err err = node_copy(source, fd, &it->base, "a file for undo", &same, ap->e);
    if (!err && !same)
        return changed_meanwhile(ap, it->c->path);
    if (!err)
        err = walk_copy_attributes(source, fd, from->name, ap->e);
    if (!err && sys->fchmod(fd, it->base.mode & 0777) < 0)
        err = error_errno(ap->e, errno, "cannot set a mode for undo");
    if (!err)
        err = node_mtime(to->folder, to->name, it->base.mtime_ns, ap->e);
    if (!err && ap->each && sys->fsync(fd) < 0)
        err = error_errno(ap->e, errno, "cannot sync a file for undo");
    return err;
}

static enum err fill_link(struct apply *ap, struct item *it, struct place *from, struct place *to)
{
    bool same;
    enum err err = node_link(from->folder, from->name, to->folder, to->name, &it->base, &same, ap->e);
    if (!err && !same)
        return changed_meanwhile(ap, it->c->path);
    return err ? err : node_mtime(to->folder, to->name, it->base.mtime_ns, ap->e);
}

/* What an attempt before has left at a pre-image's place: kept if it is whole, or out of the way. */
static enum err clear_old(struct apply *ap, struct item *it, struct place *to, bool *ret_kept)
{
    struct stamp old;
    enum err err = look_at(to->folder, to->name, NULL, &old, ap->e);
    *ret_kept = !err && node_same(&old, &it->base);
    if (err || old.type == STAMP_ABSENT || *ret_kept)
        return err;
    if (sys->unlinkat(to->folder, to->name, old.type == STAMP_FOLDER ? AT_REMOVEDIR : 0) < 0)
        return error_errno(ap->e, errno, "cannot remove an unfinished file for undo");
    return OK;
}

static enum err sync_old(struct apply *ap, struct place *to)
{
    FD_CLEANUP int fd = look_open(to->folder, to->name);
    if (fd >= 0 && sys->fsync(fd) < 0) /* a link has nothing but its name */
        return error_errno(ap->e, errno, "cannot sync a file for undo");
    return OK;
}

static enum err keep_leaf(struct apply *ap, struct item *it)
{
    PLACE_CLEANUP struct place from = PLACE_INIT;
    PLACE_CLEANUP struct place to = PLACE_INIT;
    bool kept = false;
    enum err err = place_open(ap->s->root, it->c->path, O_PATH, &from, ap->e);
    if (!err)
        err = open_in_undo(ap, it->c->path, &to);
    if (!err && from.way != STAMP_FILE)
        return changed_meanwhile(ap, it->c->path);
    if (!err)
        err = clear_old(ap, it, &to, &kept);
    if (err || kept)
        return err ? err : ap->each ? sync_old(ap, &to) : OK;
    if (it->base.type == STAMP_LINK)
        return fill_link(ap, it, &from, &to);
    FD_CLEANUP int fd = sys->openat(to.folder, to.name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_errno(ap->e, errno, "cannot make a file for undo");
    return fill_file(ap, it, &from, &to, fd);
}

/* That nothing was there, where it cannot be told from the manifest. */
static enum err keep_absence(struct apply *ap, struct item *it)
{
    PLACE_CLEANUP struct place to = PLACE_INIT;
    enum err err = place_find(ap->s->undo, it->c->path, O_PATH, &to, ap->e);
    if (err || to.way != STAMP_FILE || sys->mknodat(to.folder, to.name, S_IFIFO | 0600, 0) == 0)
        return err;
    return error_errno(ap->e, errno, "cannot make a file for undo");
}

/* Takes away what an attempt that did not get through has left of paths that have changed since. It has landed nothing. */
static enum err clear_stale(struct apply *ap)
{
    enum err err = OK;
    for (size_t i = ap->n; !err && i;) {
        const struct item *it = &ap->v[--i];
        PLACE_CLEANUP struct place p = PLACE_INIT;
        struct stamp old = {.type = STAMP_ABSENT};
        err = place_find(ap->s->undo, it->c->path, O_PATH, &p, ap->e);
        if (!err && p.way == STAMP_FILE)
            err = node_stat(p.folder, p.name, &old, ap->e);
        if (err || old.type == STAMP_ABSENT || (it->fate == FATE_OPEN && it->base.type == old.type))
            continue;
        if (sys->unlinkat(p.folder, p.name, old.type == STAMP_FOLDER ? AT_REMOVEDIR : 0) < 0 && errno != ENOTEMPTY && errno != EEXIST)
            err = error_errno(ap->e, errno, "cannot remove an unfinished file for undo");
    }
    return err;
}

/* Modes and mtimes of the folders, from the bottom; each synced with its entries. */
static enum err finish_folders(struct apply *ap)
{
    enum err err = OK;
    for (size_t i = ap->nfolders; !err && i;) {
        const struct old_folder *f = &ap->folders[--i];
        PLACE_CLEANUP struct place p = PLACE_INIT;
        err = open_in_undo(ap, f->path, &p);
        FD_CLEANUP int fd = err ? -1 : sys->openat2(p.folder, p.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, 0);
        if (!err && (fd < 0 || sys->fchmod(fd, f->was.mode & 0777) < 0))
            err = error_errno(ap->e, errno, "cannot finish a folder for undo");
        if (!err)
            err = node_mtime(p.folder, p.name, f->was.mtime_ns, ap->e);
        if (!err && ap->each && sys->fsync(fd) < 0)
            err = error_errno(ap->e, errno, "cannot sync a folder for undo");
    }
    return err;
}

static enum err mark(struct apply *ap)
{
    if ((ap->each ? sys->fsync(ap->s->undo) : sys->syncfs(ap->s->undo)) < 0)
        return error_errno(ap->e, errno, "cannot sync the folder for undo");
    enum err err = node_mtime(ap->s->undo, ".", MARK_NS, ap->e);
    if (!err && sys->fsync(ap->s->undo) < 0)
        err = error_errno(ap->e, errno, "cannot sync the folder for undo");
    return err;
}

enum err undo_make(struct apply *ap)
{
    enum err err = list_folders(ap);
    if (err || ap->whole)
        return err;
    err = clear_stale(ap);
    if (!err)
        err = make_folders(ap);
    for (size_t i = 0; !err && i < ap->n; i++) {
        enum stamp_type was = ap->v[i].base.type;
        if (ap->v[i].fate == FATE_OPEN && (was == STAMP_FILE || was == STAMP_LINK))
            err = keep_leaf(ap, &ap->v[i]);
        else if (ap->v[i].fate == FATE_OPEN && was == STAMP_ABSENT && ap->v[i].c->before.type != STAMP_ABSENT)
            err = keep_absence(ap, &ap->v[i]);
    }
    if (!err)
        err = finish_folders(ap);
    return err ? err : mark(ap);
}

/* ---- its manifest ---- */

/* A node as the undo folder holds it. */
static struct stamp as_kept(struct stamp was)
{
    was.mode &= 0777;
    return was;
}

/* What was at an item's path before. *ret_known is false where this landing has not changed it. */
static enum err what_was(struct apply *ap, const struct item *it, struct stamp *ret, bool *ret_known)
{
    *ret_known = it->fate == FATE_LANDED;
    *ret = it->base;
    if (!*ret_known && ap->whole && it->fate == FATE_OPEN && it->todo == TODO_META)
        *ret_known = it->base.type == STAMP_ABSENT; /* an attempt before made it */
    if (*ret_known || it->fate != FATE_DONE || !ap->whole)
        return OK;
    enum err err = undo_look(ap, it->c->path, ret);
    *ret_known = ret->type != STAMP_ABSENT || it->c->before.type == STAMP_ABSENT;
    if (ret->type == STAMP_OTHER)
        *ret = (struct stamp){.type = STAMP_ABSENT};
    if (ret->type == STAMP_FOLDER && it->c->before.type != STAMP_FOLDER)
        *ret_known = false; /* only the way to others */
    return err;
}

static struct stamp was_of(const struct apply *ap, const struct item *it, struct stamp was)
{
    for (size_t low = 0, high = ap->nfolders; was.type == STAMP_FOLDER && low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = manifest_path_cmp(it->c->path, ap->folders[middle].path);
        if (order == 0)
            return ap->folders[middle].was;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return was;
}

static int by_path(const void *a, const void *b)
{
    return manifest_path_cmp(((const struct change *)a)->path, ((const struct change *)b)->path);
}

static enum err folder_now(struct apply *ap, struct slice path, struct stamp *ret)
{
    PLACE_CLEANUP struct place p = PLACE_INIT;
    enum err err = place_find(ap->s->root, path, O_PATH, &p, ap->e);
    *ret = (struct stamp){.type = STAMP_ABSENT};
    return err || p.way != STAMP_FILE ? err : node_stat(p.folder, p.name, ret, ap->e);
}

/* What was landed stands on what lies there now. */
static enum err see_again(struct apply *ap, struct manifest *m)
{
    const struct manifest *from = ap->s->manifest;
    m->seen = arena_array(ap->a, from->nseen + 1, sizeof *m->seen);
    if (!m->seen)
        return out_of_memory(ap->e);
    for (; m->nseen < from->nseen; m->nseen++) {
        struct seen *s = &m->seen[m->nseen];
        *s = from->seen[m->nseen];
        enum err err = stamp_look(ap->s->root, s->path, NULL, &s->was, ap->e);
        if (err)
            return err;
    }
    return OK;
}

enum err undo_manifest(struct apply *ap, struct manifest *ret)
{
    struct manifest m = {.v = arena_array(ap->a, ap->n + ap->nfolders + 1, sizeof *m.v)};
    if (!m.v)
        return out_of_memory(ap->e);
    enum err err = see_again(ap, &m);
    for (size_t i = 0; !err && i < ap->n; i++) {
        struct stamp was;
        bool known;
        err = what_was(ap, &ap->v[i], &was, &known);
        struct stamp now = ap->v[i].now;
        if (!err && known && now.type == STAMP_FOLDER)
            err = folder_now(ap, ap->v[i].c->path, &now);
        was = was_of(ap, &ap->v[i], was);
        bool both = was.type == STAMP_FOLDER && now.type == STAMP_FOLDER;
        bool neither = was.type == STAMP_ABSENT && now.type == STAMP_ABSENT;
        if (!err && known && !both && !neither && was.type != STAMP_OTHER)
            m.v[m.n++] = (struct change){.path = ap->v[i].c->path, .before = now, .after = as_kept(was)};
    }
    for (size_t i = 0; !err && i < ap->nfolders; i++) {
        const struct old_folder *f = &ap->folders[i];
        struct stamp now;
        err = folder_now(ap, f->path, &now);
        if (!err && now.type == STAMP_FOLDER && (now.mtime_ns != f->was.mtime_ns || ((now.mode ^ f->was.mode) & 0777)))
            m.v[m.n++] = (struct change){.path = f->path, .before = now, .after = as_kept(f->was)};
    }
    qsort(m.v, m.n, sizeof *m.v, by_path);
    *ret = m;
    return err;
}
