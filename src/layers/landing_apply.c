/*
 * Landing a whole manifest. The order is what makes it safe to die at any point:
 *
 *   look     every path (landing_look.c); a conflict ends it here, nothing was changed
 *   undo     what will go, complete and durable in the undo folder (landing_undo.c)
 *   make     folders where nothing is, still empty: the mildest change, so that the next step has its places
 *   parts    what is new, complete beside the targets; one sync for all. On an error so far all of it is taken away again
 *   lock     git's own locks of the repositories whose pointers move (landing_git.c)
 *   swap     removals, then types that change, then files: each exchanged, what came out looked at (landing.c's table). A
 *            removed file goes at once, its pre-image is safe; a replaced one waits in the slot
 *   drop     after one sync, what came out
 *   finish   modes and mtimes of folders from the bottom, one sync
 *
 * An attempt that finds work of one before takes each path up where the table of landing.c says. The undo folder knows
 * whether it got past `undo`, and then what was there before.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/sys.h"
#include "layers/landing_set.h"

enum { RANK_LAST = 7 }; /* folders that go */
enum { SYNC_EACH = 20 }; /* up to so many changes are synced one by one, more by syncfs (measured: LAYERS, landing) */

void landing_of(struct apply *ap, struct item *it, struct place *p, struct landing *ret)
{
    *ret = (struct landing){
        .folder = p->folder, .path = it->c->path, .target = p->name, .base = &it->base, .wanted = it->c->after,
        .source_folder = -1, .set = true, .loose_base = it->loose, .durable = true, .sync_part = ap->each || it->late,
        .ours_ino = it->ours_ino, .ours_mtime_ns = it->ours_mtime_ns, .e = ap->e,
    };
    ret->wanted.mode &= 0777;
    landing_name(ret, ap->s->name);
}

static enum err at_place(struct apply *ap, struct item *it, struct place *ret)
{
    return place_find(ap->s->root, it->c->path, O_RDONLY, ret, ap->e);
}

static enum err conflict(struct apply *ap, struct item *it, const char *why)
{
    it->fate = FATE_CONFLICT;
    it->why = arena_str(ap->a, slice_of(why));
    return it->why ? OK : out_of_memory(ap->e);
}

/* ---- make ---- */

/* The place of something new. The manifest names the folders on the way; where it does not, they are made all the same. */
static enum err at_new_place(struct apply *ap, struct item *it, struct place *ret)
{
    enum err err = at_place(ap, it, ret);
    if (err || ret->way != STAMP_ABSENT)
        return err;
    err = landing_make_folders(ap->s->root, it->c->path, ap->e);
    return err ? err : at_place(ap, it, ret);
}

static enum err make_folder(struct apply *ap, struct item *it)
{
    PLACE_CLEANUP struct place p = PLACE_INIT;
    enum err err = at_new_place(ap, it, &p);
    if (err)
        return err;
    if (p.way != STAMP_FILE)
        return conflict(ap, it, "lies in what is no folder any more");
    it->made = sys->mkdirat(p.folder, p.name, 0700) == 0;
    if (!it->made && errno != EEXIST)
        return error_errno(ap->e, errno, "cannot make the folder %.*s", SLICE_ARG(slice_sub(it->c->path, 0, 200)));
    err = node_stat(p.folder, p.name, &it->now, ap->e);
    if (!err && it->now.type != STAMP_FOLDER)
        return conflict(ap, it, "exists already");
    it->fate = FATE_LANDED;
    return err;
}

static enum err make_folders(struct apply *ap)
{
    enum err err = OK;
    for (size_t i = 0; !err && i < ap->n; i++)
        if (ap->v[i].fate == FATE_OPEN && ap->v[i].todo == TODO_MAKE && !ap->v[i].late)
            err = make_folder(ap, &ap->v[i]);
    return err;
}

/* Folders that may not be written, even by us: for as long as this takes. finish() puts back what is in `was`. */
static enum err unlock_folders(struct apply *ap)
{
    enum err err = OK;
    for (size_t i = 0; !err && i < ap->nfolders && geteuid() != 0; i++) {
        const struct old_folder *f = &ap->folders[i];
        if ((f->was.mode & 0300) == 0300)
            continue;
        PLACE_CLEANUP struct place p = PLACE_INIT;
        struct stamp now = {.type = STAMP_ABSENT};
        err = place_find(ap->s->root, f->path, O_PATH, &p, ap->e);
        if (!err && p.way == STAMP_FILE)
            err = node_stat(p.folder, p.name, &now, ap->e);
        if (!err && now.type == STAMP_FOLDER && now.uid == geteuid())
            (void)!sys->fchmodat(p.folder, p.name, (now.mode & 0777) | 0700); /* refused: the next step says so */
    }
    return err;
}

/* ---- parts ---- */

static enum err write_part(struct apply *ap, struct item *it)
{
    PLACE_CLEANUP struct place p = PLACE_INIT;
    PLACE_CLEANUP struct place from = PLACE_INIT;
    enum err err = at_new_place(ap, it, &p);
    if (!err && (it->c->after.type == STAMP_FILE || it->c->after.type == STAMP_LINK))
        err = place_find(ap->s->folders[it->c->layer], it->c->path, O_PATH, &from, ap->e);
    if (err)
        return err;
    if (p.way != STAMP_FILE)
        return conflict(ap, it, "lies in what is no folder any more");
    if (it->c->after.type != STAMP_FOLDER && from.way != STAMP_FILE)
        return error_set(ap->e, ERR_CORRUPT, "the layer does not hold the %.*s that its manifest names",
                         SLICE_ARG(slice_sub(it->c->path, 0, 200)));
    struct landing l;
    landing_of(ap, it, &p, &l);
    l.source_folder = from.folder;
    l.source_name = from.name;
    it->parted = true;
    err = landing_prepare(&l, &it->now);
    it->ours_ino = l.ours_ino;
    it->ours_mtime_ns = l.ours_mtime_ns;
    return err;
}

static bool needs_part(const struct item *it)
{
    return it->fate == FATE_OPEN && it->todo == TODO_LEAF && it->c->after.type != STAMP_ABSENT;
}

static enum err write_parts(struct apply *ap)
{
    enum err err = OK;
    for (size_t i = 0; !err && i < ap->n; i++)
        if (needs_part(&ap->v[i]) && !ap->v[i].late)
            err = write_part(ap, &ap->v[i]);
    if (!err && !ap->each && sys->syncfs(ap->s->root) < 0)
        err = error_errno(ap->e, errno, "cannot sync what is about to land");
    return err;
}

static enum err set_meta(struct apply *ap, struct place *p, uint32_t mode, const int64_t *mtime_ns)
{
    struct stamp now;
    enum err err = node_stat(p->folder, p->name, &now, ap->e);
    if (err || now.type != STAMP_FOLDER)
        return err;
    bool mode_differs = (now.mode & 0777) != (mode & 0777), mtime_differs = mtime_ns && now.mtime_ns != *mtime_ns;
    if (!mode_differs && !mtime_differs)
        return OK;
    if (geteuid() != 0 && (now.mode & 0500) != 0500 && sys->fchmodat(p->folder, p->name, 0700) < 0) /* to be opened */
        return error_errno(ap->e, errno, "cannot set the mode of a folder");
    mode_differs |= (now.mode & 0500) != 0500;
    FD_CLEANUP int fd = sys->openat2(p->folder, p->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, 0);
    if (fd < 0 || (mode_differs && sys->fchmod(fd, mode & 0777) < 0))
        return error_errno(ap->e, errno, "cannot set the mode of a folder");
    if (mtime_differs)
        err = node_mtime(p->folder, p->name, *mtime_ns, ap->e);
    if (!err && ap->each && sys->fsync(fd) < 0)
        err = error_errno(ap->e, errno, "cannot sync a folder");
    return err;
}

/* Folders that unlock_folders() opened and the manifest does not change. */
static enum err lock_folder(struct apply *ap, const struct old_folder *f)
{
    PLACE_CLEANUP struct place p = PLACE_INIT;
    struct stamp now;
    bool changed = f->item && f->item->c->after.type == STAMP_FOLDER && f->item->fate == FATE_LANDED;
    if ((f->was.mode & 0300) == 0300 || changed || geteuid() == 0)
        return OK;
    enum err err = place_find(ap->s->root, f->path, O_PATH, &p, ap->e);
    if (!err && p.way == STAMP_FILE)
        err = node_stat(p.folder, p.name, &now, ap->e);
    if (err || p.way != STAMP_FILE || now.type != STAMP_FOLDER || (now.mode & 0777) != ((f->was.mode & 0777) | 0700))
        return err;
    return set_meta(ap, &p, f->was.mode, NULL);
}

/* Takes away the part of an item, or the folder that was made for it, best effort. */
static void tidy_one(struct apply *ap, struct item *it)
{
    PLACE_CLEANUP struct place p = PLACE_INIT;
    struct landing l;
    if (at_place(ap, it, &p) || p.way != STAMP_FILE)
        return;
    landing_of(ap, it, &p, &l);
    if (it->made)
        (void)sys->unlinkat(p.folder, p.name, AT_REMOVEDIR);
    else
        landing_tidy(&l);
}

/* After an error: takes away what is not in use, best effort. */
static void tidy(struct apply *ap, bool folders)
{
    struct error *e = ap->e;
    ap->e = NULL;
    for (size_t i = ap->n; i; i--)
        if ((ap->v[i - 1].parted && ap->v[i - 1].fate == FATE_OPEN) || (folders && ap->v[i - 1].made))
            tidy_one(ap, &ap->v[i - 1]);
    (void)!git_unlock(ap);
    for (size_t i = ap->nfolders; i; i--)
        (void)!lock_folder(ap, &ap->folders[i - 1]);
    ap->e = e;
}

/* ---- swap ---- */

/* Settled: landed, or a conflict that nobody could see before. */
static enum err settle(struct apply *ap, struct item *it, struct landing *l)
{
    enum landing_result result;
    bool open;
    enum err err = landing_settle(l, &open, &result, &it->now);
    if (err)
        return err;
    if (open)
        return error_set(ap->e, ERR_BUSY, "%.*s kept changing while it was landed; try again",
                         SLICE_ARG(slice_sub(it->c->path, 0, 200)));
    if (result == LANDING_DONE) {
        it->fate = FATE_LANDED;
        return OK;
    }
    char words[512];
    landing_words(l, &it->now, words, sizeof words);
    return conflict(ap, it, words);
}

static enum err swap_leaf(struct apply *ap, struct item *it)
{
    PLACE_CLEANUP struct place p = PLACE_INIT;
    enum err err = it->late ? write_part(ap, it) : OK;
    if (!err && it->fate == FATE_OPEN)
        err = at_place(ap, it, &p);
    if (err || it->fate != FATE_OPEN)
        return err;
    if (p.way != STAMP_FILE && it->c->after.type == STAMP_ABSENT) {
        it->now = (struct stamp){.type = STAMP_ABSENT};
        it->fate = FATE_DONE; /* somebody else was quicker */
        return OK;
    }
    if (p.way != STAMP_FILE)
        return conflict(ap, it, "lies in what is no folder any more");
    struct landing l;
    struct stamp slot;
    bool base;
    landing_of(ap, it, &p, &l);
    err = landing_swap(&l, &it->now);
    if (!err)
        err = landing_came_out(&l, &base, &slot);
    if (err)
        return err;
    if (!base || it->c->after.type == STAMP_ABSENT)
        return settle(ap, it, &l);
    it->fate = FATE_SWAPPED;
    return OK;
}

static enum err remove_folder(struct apply *ap, struct item *it)
{
    PLACE_CLEANUP struct place p = PLACE_INIT;
    enum err err = at_place(ap, it, &p);
    if (!err && p.way == STAMP_FILE && sys->unlinkat(p.folder, p.name, AT_REMOVEDIR) < 0 && errno != ENOENT &&
        errno != ENOTEMPTY && errno != EEXIST && errno != EBUSY && errno != ENOTDIR)
        err = error_errno(ap->e, errno, "cannot remove the folder %.*s", SLICE_ARG(slice_sub(it->c->path, 0, 200)));
    if (!err && p.way == STAMP_FILE)
        err = node_stat(p.folder, p.name, &it->now, ap->e);
    if (err)
        return err;
    if (p.way != STAMP_FILE)
        it->now = (struct stamp){.type = STAMP_ABSENT};
    if (it->now.type != STAMP_ABSENT && it->now.type != STAMP_FOLDER)
        return conflict(ap, it, "was changed by somebody else");
    it->fate = FATE_LANDED;
    return OK;
}

/* What is done by rank, within a rank by path; removals from the bottom. */
static int by_rank(const void *a, const void *b)
{
    const struct item *x = *(struct item *const *)a, *y = *(struct item *const *)b;
    if (x->rank != y->rank)
        return x->rank - y->rank;
    int order = x < y ? -1 : x > y;
    return x->rank == 0 || x->rank >= 6 ? -order : order;
}

/* Under the locks of git, which go before the folders that they lie in. */
static enum err swap(struct apply *ap)
{
    bool locked = true;
    struct item **order = arena_array(ap->a, ap->n + 1, sizeof *order);
    if (!order)
        return out_of_memory(ap->e);
    size_t n = 0;
    for (size_t i = 0; i < ap->n; i++)
        if (ap->v[i].fate == FATE_OPEN && ap->v[i].todo != TODO_META)
            order[n++] = &ap->v[i];
    qsort(order, n, sizeof *order, by_rank);
    enum err err = OK;
    for (size_t i = 0; !err && i < n; i++) {
        if (locked && order[i]->rank == RANK_LAST) {
            err = git_unlock(ap);
            locked = false;
        }
        if (!err)
            err = order[i]->todo == TODO_LEAF     ? swap_leaf(ap, order[i])
                  : order[i]->todo == TODO_REMOVE ? remove_folder(ap, order[i]) : make_folder(ap, order[i]);
    }
    return err || !locked ? err : git_unlock(ap);
}

/* ---- drop ---- */

static enum err sync_folder_of(struct apply *ap, struct item *it)
{
    PLACE_CLEANUP struct place p = PLACE_INIT;
    enum err err = at_place(ap, it, &p);
    if (!err && p.way == STAMP_FILE && sys->fsync(p.folder) < 0)
        err = error_errno(ap->e, errno, "cannot sync the folder of %.*s", SLICE_ARG(slice_sub(it->c->path, 0, 200)));
    return err;
}

/* What has landed so far is durable. */
static enum err sync_all(struct apply *ap)
{
    if (!ap->each)
        return sys->syncfs(ap->s->root) == 0 ? OK : error_errno(ap->e, errno, "cannot sync what has landed");
    enum err err = OK;
    for (size_t i = 0; !err && i < ap->n; i++)
        if (ap->v[i].fate != FATE_LEFT && ap->v[i].fate != FATE_CONFLICT && ap->v[i].todo != TODO_META)
            err = sync_folder_of(ap, &ap->v[i]);
    return err;
}

static enum err drop(struct apply *ap)
{
    enum err err = sync_all(ap);
    for (size_t i = 0; !err && i < ap->n; i++) {
        struct item *it = &ap->v[i];
        PLACE_CLEANUP struct place p = PLACE_INIT;
        if (it->fate != FATE_SWAPPED)
            continue;
        err = at_place(ap, it, &p);
        if (!err && p.way != STAMP_FILE)
            err = conflict(ap, it, "lies in what is no folder any more");
        if (err || it->fate != FATE_SWAPPED)
            continue;
        struct landing l;
        landing_of(ap, it, &p, &l);
        err = settle(ap, it, &l);
    }
    return err;
}

/* ---- finish ---- */

/* Whether the manifest changes what lies directly in the folder of item i. */
static bool changes_within(const struct apply *ap, size_t i)
{
    struct slice folder = ap->v[i].c->path;
    for (size_t k = i + 1; k < ap->n && slice_below(ap->v[k].c->path, folder); k++) {
        const struct change *c = ap->v[k].c;
        bool direct = slice_last_part(c->path) == folder.n + 1;
        if (direct && !(c->before.type == STAMP_FOLDER && c->after.type == STAMP_FOLDER) && ap->v[k].fate != FATE_LEFT)
            return true;
    }
    return false;
}

/* A folder that the manifest makes or changes. */
static enum err finish_item(struct apply *ap, size_t i)
{
    struct item *it = &ap->v[i];
    PLACE_CLEANUP struct place p = PLACE_INIT;
    if (it->c->after.type != STAMP_FOLDER || it->fate == FATE_LEFT || it->fate == FATE_CONFLICT ||
        (it->fate == FATE_DONE && !ap->whole))
        return OK;
    enum err err = at_place(ap, it, &p);
    if (err || p.way != STAMP_FILE)
        return err;
    const struct change *c = it->c;
    bool made = c->before.type != STAMP_FOLDER, mode = ((c->before.mode ^ c->after.mode) & 0777) != 0;
    bool timed = made || mode || ap->s->rewind || !changes_within(ap, i);
    if (it->todo == TODO_META)
        it->fate = FATE_LANDED;
    return set_meta(ap, &p, c->after.mode, timed ? &c->after.mtime_ns : NULL);
}

static enum err finish(struct apply *ap)
{
    enum err err = ap->each ? sync_all(ap) : OK; /* before modes bar the way; set_meta() syncs each for itself */
    for (size_t i = ap->n; !err && i; i--)
        err = finish_item(ap, i - 1);
    for (size_t i = ap->nfolders; !err && i; i--)
        err = lock_folder(ap, &ap->folders[i - 1]);
    return err || ap->each ? err : sync_all(ap);
}

/* ---- the answer ---- */

/* `stopped`: by T1, and so only the conflicts are told. */
static enum err say(struct apply *ap, bool stopped, struct landed *ret)
{
    struct landed r = {.result = LANDING_DONE, .left = arena_array(ap->a, ap->n + 1, sizeof *r.left)};
    const struct item *first = NULL;
    size_t conflicts = 0;
    if (!r.left)
        return out_of_memory(ap->e);
    for (size_t i = 0; i < ap->n; i++)
        if (ap->v[i].fate == FATE_CONFLICT && !ap->v[i].told && !conflicts++)
            first = &ap->v[i];
    for (size_t i = 0; i < ap->n; i++) {
        const struct item *it = &ap->v[i];
        if (it->told && stopped)
            continue;
        if (it->fate == FATE_CONFLICT || (it->fate == FATE_LEFT && !stopped))
            r.left[r.nleft++] = (struct landing_left){.change = it->c, .now = it->now, .why = slice_of(it->why)};
    }
    enum err err = undo_manifest(ap, &r.undo);
    if (err)
        return err;
    if (first) {
        r.result = LANDING_CONFLICT;
        struct slice path = slice_sub(first->c->path, 0, 100);
        error_set(ap->e, ERR_CONFLICT, "%.*s %s (conflicts: %zu)", SLICE_ARG(path), first->why, conflicts);
    }
    *ret = r;
    return OK;
}

static bool has_conflicts(const struct apply *ap)
{
    for (size_t i = 0; i < ap->n; i++)
        if (ap->v[i].fate == FATE_CONFLICT)
            return true;
    return false;
}

static enum err do_it(struct apply *ap)
{
    struct statvfs fs;
    if (fstatvfs(ap->s->root, &fs) == 0 && (fs.f_flag & ST_RDONLY))
        return error_set(ap->e, ERR_DENIED, "the folder's file system is read-only; nothing was changed; make it writable, then go on");
    enum err err = undo_make(ap);
    if (err)
        return err;
    err = unlock_folders(ap);
    if (!err)
        err = make_folders(ap);
    if (!err)
        err = write_parts(ap);
    if (!err)
        err = git_lock(ap);
    for (size_t i = 0; !err && i < ap->n; i++)
        if (ap->v[i].parted && ap->v[i].fate == FATE_CONFLICT)
            tidy_one(ap, &ap->v[i]);
    bool early = err != OK;
    if (!err)
        err = swap(ap);
    if (!err)
        err = drop(ap);
    if (!err)
        return finish(ap);
    tidy(ap, early);
    return err;
}

enum err landing_apply(const struct landing_set *s, struct arena *a, struct landed *ret, struct error *e)
{
    struct apply ap = {.s = s, .a = a, .e = e, .n = s->manifest->n, .each = s->manifest->n <= SYNC_EACH};
    ap.v = arena_array(a, ap.n + 1, sizeof *ap.v);
    if (!ap.v)
        return out_of_memory(e);
    enum err err = undo_is_whole(&ap);
    if (!err && ap.whole && sys->syncfs(s->root) < 0) /* what an attempt that died has exchanged */
        err = error_errno(e, errno, "cannot sync the folder");
    if (!err)
        err = landing_look_set(&ap);
    bool stopped = !err && has_conflicts(&ap);
    if (!err)
        err = git_unlock(&ap); /* of an attempt that died */
    if (stopped)
        err = err ? err : ap.whole ? undo_make(&ap) : OK; /* some may have landed: undo says which */
    else if (!err)
        err = do_it(&ap);
    return err ? err : say(&ap, stopped, ret);
}
