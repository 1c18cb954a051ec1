/*
 * A repository lands as a unit. Its files are done in an order that never shows a name of what is not there: objects, then
 * what names none, then the *pointers* (refs, HEAD, packed-refs, the index); removals the other way round.
 *
 * U1  A pointer that was moved meanwhile is one conflict for the whole .git: one that the step changed, or one that it only
 *     stood on (manifest.seen). Of the repository nothing lands then but folders, which are inert.
 * U2  Pointers are moved under git's own locks (PATH.lock), and looked at under them once more: the person's git moves
 *     none in between, and says that another git is at work.
 * U3  A lock is a symlink, for that is made with its text in one call: its text says which landing holds it. Each attempt ends by
 *     taking away those of its own landing, so what one that was killed left goes with the next.
 *
 * File systems without symlinks have no locks. A bare repository inside the folder is files like others: its HEAD is
 * guarded, and the order of the names is the right one by itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "layers/landing_set.h"

enum { LOCKS_MAX = 64 /* refs of a repository; what is beyond is guarded by the exchange alone */ };

static const char *const always[] = {"HEAD", "index", "packed-refs"};

/* ---- names ---- */

struct slice landing_repository(struct slice path)
{
    for (struct slice rest = path; rest.n;) {
        struct slice part = slice_sub(rest, 0, slice_index(rest, '/'));
        rest = slice_sub(rest, part.n + 1, rest.n);
        if (landing_name_is(part, ".git"))
            return slice_sub(path, 0, (size_t)(part.p - path.p) + part.n);
    }
    return SLICE_NONE;
}

static bool has_part(struct slice rest, const char *name)
{
    while (rest.n) {
        struct slice part = slice_sub(rest, 0, slice_index(rest, '/'));
        if (slice_is(part, name))
            return true;
        rest = slice_sub(rest, part.n + 1, rest.n);
    }
    return false;
}

bool landing_is_pointer(struct slice path)
{
    struct slice git = landing_repository(path), rest = slice_sub(path, git.n + 1, path.n), last = slice_sub(path, slice_last_part(path), path.n);
    return git.n && rest.n &&
           (has_part(rest, "refs") || slice_is(last, "HEAD") || slice_is(last, "index") || slice_is(last, "packed-refs"));
}

int git_rank(struct slice path)
{
    struct slice git = landing_repository(path), rest = slice_sub(path, git.n + 1, path.n);
    if (!git.n || !rest.n)
        return 0;
    return landing_is_pointer(path) ? 5 : has_part(rest, "objects") ? 3 : 4;
}

/* What a person knows best by its name. */
static int renown(struct slice path)
{
    struct slice last = slice_sub(path, slice_last_part(path), path.n);
    return !landing_is_pointer(path) ? 0 : has_part(path, "refs") ? 4 : slice_is(last, "HEAD") ? 3 : slice_is(last, "packed-refs") ? 2 : 1;
}

/* The items of the repository that item i belongs to: [i, *ret_end). *ret_git is none outside of one. */
static void unit_at(const struct apply *ap, size_t i, struct slice *ret_git, size_t *ret_end)
{
    *ret_git = landing_repository(ap->v[i].c->path);
    for (*ret_end = i + 1; ret_git->n && *ret_end < ap->n && slice_below(ap->v[*ret_end].c->path, *ret_git);)
        ++*ret_end;
}

/* ---- U1 ---- */

static bool moves_pointer(const struct item *it)
{
    return it->fate == FATE_OPEN && it->todo == TODO_LEAF && landing_is_pointer(it->c->path);
}

/* What the step stood on and somebody moved since, or NULL. */
static enum err find_moved(struct apply *ap, struct slice git, const struct seen **ret)
{
    const struct manifest *m = ap->s->manifest;
    *ret = NULL;
    for (size_t i = 0; i < m->nseen && !ap->s->replace; i++) {
        const struct seen *s = &m->seen[i];
        struct stamp now;
        if (!slice_below(s->path, git))
            continue;
        enum err err = stamp_look(ap->s->root, s->path, NULL, &now, ap->e);
        if (err)
            return err;
        if (now.type != s->was.type || now.size != s->was.size || !hash_eq(&now.hash, &s->was.hash)) {
            *ret = s;
            return OK;
        }
    }
    return OK;
}

/* The whole unit is a conflict, of which `teller` tells. */
static enum err bar(struct apply *ap, size_t from, size_t to, struct item *teller, const char *why)
{
    for (size_t i = from; i < to; i++) {
        struct item *it = &ap->v[i];
        if (it->fate != FATE_OPEN && it->fate != FATE_CONFLICT)
            continue;
        it->fate = FATE_CONFLICT;
        it->told = it != teller;
        it->why = "belongs to a repository that lands as a whole or not at all";
    }
    teller->why = arena_printf(ap->a, "%s; a repository lands as a whole or not at all", why);
    return teller->why ? OK : out_of_memory(ap->e);
}

static enum err check_unit(struct apply *ap, struct slice git, size_t from, size_t to)
{
    struct item *teller = NULL, *mover = NULL;
    const struct seen *moved;
    for (size_t i = from; i < to; i++) {
        struct item *it = &ap->v[i];
        if (it->fate == FATE_CONFLICT && landing_is_pointer(it->c->path) && (!teller || renown(it->c->path) > renown(teller->c->path)))
            teller = it;
        if (moves_pointer(it) && (!mover || renown(it->c->path) > renown(mover->c->path)))
            mover = it;
    }
    if (teller)
        return bar(ap, from, to, teller, teller->why);
    enum err err = mover ? find_moved(ap, git, &moved) : OK;
    if (err || !mover || !moved)
        return err;
    char words[128];
    snprintf(words, sizeof words, "was made where %.*s was another one",
             SLICE_ARG(slice_sub(moved->path, slice_last_part(moved->path), moved->path.n)));
    return bar(ap, from, to, mover, words);
}

enum err git_check(struct apply *ap)
{
    enum err err = OK;
    struct slice git;
    for (size_t i = 0, end; !err && i < ap->n; i = end) {
        unit_at(ap, i, &git, &end);
        err = git.n ? check_unit(ap, git, i, end) : OK;
    }
    return err;
}

/* ---- U2, U3 ---- */

/* The place of a pointer's lock. *ret_way is false where there is no folder for it, or no room for the name. */
static enum err lock_place(struct apply *ap, struct slice path, struct place *ret, bool *ret_way)
{
    char lock[STAMP_PATH_MAX + 1];
    int n = snprintf(lock, sizeof lock, "%.*s.lock", SLICE_ARG(path));
    *ret_way = n > 0 && (size_t)n < sizeof lock && !stamp_check_path(slice_of(lock), NULL);
    enum err err = *ret_way ? place_find(ap->s->root, slice_of(lock), O_RDONLY, ret, ap->e) : OK;
    *ret_way = *ret_way && !err && ret->way == STAMP_FILE;
    return err;
}

static void lock_text(const struct apply *ap, char ret[128])
{
    snprintf(ret, 128, "crannog:%.*s", SLICE_ARG(slice_sub(ap->s->name, 0, 100)));
}

static bool is_ours(const struct apply *ap, const struct place *p)
{
    char text[128], is[129];
    ssize_t n = sys->readlinkat(p->folder, p->name, is, sizeof is - 1);
    lock_text(ap, text);
    return n > 0 && slice_eq((struct slice){is, (size_t)n}, slice_of(text));
}

static enum err lock(struct apply *ap, struct slice path)
{
    PLACE_CLEANUP struct place p = PLACE_INIT;
    char text[128];
    bool way;
    enum err err = lock_place(ap, path, &p, &way);
    lock_text(ap, text);
    if (err || !way || sys->symlinkat(text, p.folder, p.name) == 0 || errno == EPERM || errno == EOPNOTSUPP)
        return err;
    if (errno != EEXIST)
        return error_errno(ap->e, errno, "cannot lock %.*s", SLICE_ARG(slice_sub(path, 0, 200)));
    if (is_ours(ap, &p))
        return OK;
    return error_set(ap->e, ERR_BUSY, "another git is at work in this repository (%.*s.lock is there); nothing of the repository was "
                     "changed; try again when it is done, or remove that file if no git runs", SLICE_ARG(slice_sub(path, 0, 200)));
}

static enum err unlock(struct apply *ap, struct slice path)
{
    PLACE_CLEANUP struct place p = PLACE_INIT;
    bool way;
    enum err err = lock_place(ap, path, &p, &way);
    if (err || !way || !is_ours(ap, &p) || sys->unlinkat(p.folder, p.name, 0) == 0 || errno == ENOENT)
        return err;
    return error_errno(ap->e, errno, "cannot remove %s", p.name);
}

/* Calls `act` for the pointers of a unit: those that every git moves, and the first `most` of the items that `which` picks. */
static enum err for_pointers(struct apply *ap, struct slice git, size_t from, size_t to, size_t most, bool (*which)(const struct item *it),
                             enum err (*act)(struct apply *ap, struct slice path))
{
    enum err err = OK;
    for (size_t i = 0; !err && i < sizeof always / sizeof *always; i++) {
        char *path = arena_printf(ap->a, "%.*s/%s", SLICE_ARG(git), always[i]);
        err = path ? act(ap, slice_of(path)) : out_of_memory(ap->e);
    }
    size_t n = 0;
    for (size_t i = from; !err && i < to && n < most; i++)
        if (which(&ap->v[i])) {
            err = act(ap, ap->v[i].c->path);
            n++;
        }
    return err;
}

/* A pointer that was moved between the first look and the lock. */
static enum err look_again(struct apply *ap, struct item *it)
{
    PLACE_CLEANUP struct place p = PLACE_INIT;
    struct stamp now = {.type = STAMP_ABSENT};
    enum err err = place_find(ap->s->root, it->c->path, O_PATH, &p, ap->e);
    if (!err && p.way == STAMP_FILE)
        err = node_stat(p.folder, p.name, &now, ap->e);
    if (!err && (now.type != it->now.type || now.ino != it->now.ino || now.size != it->now.size || now.mtime_ns != it->now.mtime_ns ||
                 now.ctime_ns != it->now.ctime_ns)) {
        it->fate = FATE_CONFLICT;
        it->why = "was changed by somebody else just now";
    }
    return err;
}

/* A lock must not lie in a folder that becomes something else. */
static bool is_pointer(const struct item *it)
{
    return it->todo == TODO_LEAF && !it->early && landing_is_pointer(it->c->path);
}

/* Whatever became of the item, the attempt that locked it may have seen it otherwise. */
static bool may_be_locked(const struct item *it)
{
    return landing_is_pointer(it->c->path);
}

static bool stays(const struct item *first, struct slice git)
{
    return !slice_eq(first->c->path, git) || first->c->after.type == STAMP_FOLDER;
}

enum err git_lock(struct apply *ap)
{
    enum err err = OK;
    struct slice git;
    for (size_t i = 0, end; !err && i < ap->n; i = end) {
        unit_at(ap, i, &git, &end);
        bool moves = false;
        for (size_t k = i; git.n && stays(&ap->v[i], git) && k < end; k++)
            moves |= moves_pointer(&ap->v[k]);
        if (!moves)
            continue;
        err = for_pointers(ap, git, i, end, LOCKS_MAX, is_pointer, lock);
        for (size_t k = i; !err && k < end; k++)
            if (moves_pointer(&ap->v[k]))
                err = look_again(ap, &ap->v[k]);
        if (!err)
            err = check_unit(ap, git, i, end);
    }
    return err;
}

enum err git_unlock(struct apply *ap)
{
    enum err err = OK;
    struct slice git;
    for (size_t i = 0, end; !err && i < ap->n; i = end) {
        unit_at(ap, i, &git, &end);
        if (git.n)
            err = for_pointers(ap, git, i, end, SIZE_MAX, may_be_locked, unlock);
    }
    return err;
}
