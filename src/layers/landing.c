/*
 * How a file lands, and how a landing that died is taken up again.
 *
 * Beside the target lie, while a landing is under way, files of ours with names made from `name` and path:
 *   part  the new bytes while they are being written. Never goes through an exchange.
 *   slot  part, once complete and synced, under its second name; after the exchange, what came out of the target.
 *   back  what must go back to the target, under its third name; after the exchange, what came out that time.
 * So where a file lies says what it can be: a half-written leftover is never taken for a person's file (with one name
 * for all, a person's text that happens to be the beginning of ours would be thrown away as "half-written"), and what a
 * person saved over our new file is never taken for the new file that was not used yet.
 *
 * settle() looks at all of them and makes one move at a time until nothing of ours lies there. First slot:
 *
 *   slot \ target   new                       base       absent         anything else
 *   nothing         done                      go on      conflict       conflict
 *   new bytes       drop it                   drop it    drop it        drop it
 *   the base        sync, drop it: done       keep it    keep it        keep it
 *   anything else   becomes back              keep it    becomes back   keep it
 *
 * Then back: exchanged with a target that is new (unless it is new itself), put where the target is absent, else kept.
 * After the exchange it holds our new file, and is kept as well, unless it is the very inode that this call has written.
 *
 * What is wanted may also be a link, a folder (an empty one, where a file or a link was) or nothing: then "new" is a
 * target that is absent, the exchange is a rename away, and what goes back is renamed back, over nothing. The base may be
 * a folder as well, if it is empty: it goes by rmdir, and what somebody has put into it meanwhile takes it back.
 *
 * To keep is to rename to a visible name beside the target ("a.md.kept-1a2b3c4d5e6f") that the conflict names; while it
 * is there, this landing is a conflict. Each move is one rename, or one unlink of a file whose bytes were just compared,
 * so dying between two moves leaves another row of the table. The first attempt uses the same table after its own
 * exchange: the path taken after a crash is the path taken always.
 *
 * A person's editor may hold the old file open while it is exchanged, and write into what came out. A read lease
 * (fcntl(2)) on it tells: it is refused while anybody has the file open for writing, and broken if somebody is about to.
 * Then the exchange is undone (ERR_BUSY) instead of the file dropped. What remains: a program that was stopped inside
 * open(2), after the kernel looked the name up and before it counted the writer, for as long as our exchange, compare
 * and unlink take together; and file systems without leases. Such a write goes into a file that has no name.
 */
#include "layers/landing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/sys.h"
#include "layers/internal.h"
#include "layers/landing_path.h"

enum { MOVES_MAX = 16, KEPT_MAX = 99, LOCK_POLL_MS = 20 };

/* What lies at one of the names, as far as a landing cares. */
enum kind { NOTHING, NEW, OLD /* the base */, FOREIGN };

static bool is_wanted(const struct landing *l, const struct stamp *s)
{
    if (s->type != l->wanted.type)
        return false;
    if (s->type == STAMP_FOLDER || s->type == STAMP_ABSENT)
        return true;
    return l->set ? node_same(s, &l->wanted) : s->size == l->wanted.size && hash_eq(&s->hash, &l->wanted.hash);
}

static bool is_base(const struct landing *l, const struct stamp *s)
{
    if (l->base->type != STAMP_FILE && !(l->set && (l->base->type == STAMP_LINK || l->base->type == STAMP_FOLDER)))
        return false;
    if (l->base->type == STAMP_FOLDER)
        return stamp_same(s, l->base);
    if (l->loose_base)
        return node_same(s, l->base);
    struct stamp is = *s;
    if (l->set && l->wanted.type == STAMP_ABSENT) /* one of several names may go: the text stays at the others */
        is.links = l->base->links;
    return (is.links == 1 || l->wanted.type == STAMP_ABSENT) && stamp_same(&is, l->base);
}

static enum kind kind_of(const struct landing *l, const struct stamp *s)
{
    if (is_wanted(l, s))
        return NEW;
    return s->type == STAMP_ABSENT ? NOTHING : is_base(l, s) ? OLD : FOREIGN;
}

/* Looks at a name. The node that this landing has made itself is not read again: anybody who writes to it gives it
   another mtime than the one that it was given. */
static enum err look(const struct landing *l, const char *name, struct stamp *ret)
{
    struct stamp s;
    if (l->set && l->ours_ino) {
        enum err err = node_stat(l->folder, name, &s, l->e);
        if (err)
            return err;
        bool ours = s.type == l->wanted.type && s.ino == l->ours_ino && s.mtime_ns == l->ours_mtime_ns &&
                    s.size == l->wanted.size;
        if (ours && s.type != STAMP_FOLDER)
            s.hash = l->wanted.hash;
        if (ours || s.type == STAMP_ABSENT) {
            *ret = s;
            return OK;
        }
    }
    return look_at(l->folder, name, NULL, ret, l->e);
}

/* ---- moves ---- */

static enum err sync_folder(struct landing *l)
{
    if (l->durable || sys->fsync(l->folder) == 0)
        return OK;
    return error_errno(l->e, errno, "cannot sync the folder of %.*s", SLICE_ARG(l->path));
}

/* Renames within the folder. A name that is in the way, or has gone, is not an error: *ret_moved says no. */
static enum err move(struct landing *l, const char *from, const char *to, unsigned flags, bool *ret_moved)
{
    *ret_moved = sys->renameat2(l->folder, from, l->folder, to, flags) == 0;
    if (*ret_moved || errno == EEXIST || errno == ENOENT)
        return OK;
    if (errno == EINVAL || errno == ENOSYS)
        return error_set(l->e, ERR_UNSUPPORTED, "cannot land %.*s: this file system cannot exchange two files; "
                         "use a folder on a local disk", SLICE_ARG(l->path));
    return error_errno(l->e, errno, "cannot land %.*s", SLICE_ARG(l->path));
}

enum dropped { DROPPED, DROP_BUSY, DROP_CHANGED };

/* A file beside the target that is no plain one: a link, or a folder that nothing may lie in. */
static enum err drop_other(struct landing *l, const char *name, const struct stamp *is, enum dropped *ret)
{
    struct stamp now;
    enum err err = look_at(l->folder, name, NULL, &now, l->e);
    if (err)
        return err;
    *ret = stamp_same(&now, is) ? DROPPED : DROP_CHANGED;
    if (*ret == DROPPED && sys->unlinkat(l->folder, name, is->type == STAMP_FOLDER ? AT_REMOVEDIR : 0) < 0) {
        if (is->type != STAMP_FOLDER || (errno != ENOTEMPTY && errno != EEXIST && errno != EBUSY))
            return error_errno(l->e, errno, "cannot remove %s beside %.*s", name, SLICE_ARG(l->path));
        *ret = DROP_BUSY;
    }
    return OK;
}

/* Removes what lies beside the target if it is still what `is` says and nobody can be writing to it. */
static enum err drop(struct landing *l, const char *name, const struct stamp *is, enum dropped *ret)
{
    if (is->type == STAMP_LINK || is->type == STAMP_FOLDER)
        return drop_other(l, name, is, ret);
    FD_CLEANUP int fd = look_open(l->folder, name);
    if (fd < 0) {
        *ret = errno == EAGAIN ? DROP_BUSY : DROP_CHANGED; /* EAGAIN: held by somebody else's lease */
        return errno == EAGAIN || errno == ENOENT ? OK : error_errno(l->e, errno, "cannot open %s", name);
    }
    enum lease lease = lease_take(fd);
    struct stamp now;
    enum err err = look_at(l->folder, name, NULL, &now, l->e);
    if (err)
        return err;
    *ret = !stamp_same(&now, is) ? DROP_CHANGED
           : lease == LEASE_REFUSED || lease_broken(fd, lease) ? DROP_BUSY : DROPPED;
    if (*ret == DROPPED && sys->unlinkat(l->folder, name, 0) < 0)
        return error_errno(l->e, errno, "cannot remove %s beside %.*s", name, SLICE_ARG(l->path));
    return OK;
}

/* Renames a file of ours to the visible name; a number is added where a kept file lies there already. */
static enum err keep(struct landing *l, const char *name)
{
    for (int i = 1; i <= KEPT_MAX; i++) {
        char to[STAMP_NAME_MAX + 1];
        snprintf(to, sizeof to, i == 1 ? "%s" : "%s-%d", l->kept, i);
        bool moved;
        enum err err = move(l, name, to, RENAME_NOREPLACE, &moved);
        if (err || moved)
            return err;
    }
    return error_set(l->e, ERR_LIMIT, "there are too many files like %s; look at them and remove them", l->kept);
}

static enum err drop_or_keep(struct landing *l, const char *name, const struct stamp *is)
{
    enum dropped dropped = DROP_BUSY;
    enum err err = is->type == STAMP_OTHER ? OK : drop(l, name, is, &dropped);
    return err || dropped != DROP_BUSY ? err : keep(l, name);
}

/* The new file is in place; what it replaced may go once that is durable. */
static enum err drop_base(struct landing *l, const struct stamp *slot)
{
    enum dropped dropped;
    enum err err = sync_folder(l);
    if (!err)
        err = drop(l, l->slot, slot, &dropped);
    if (err || dropped != DROP_BUSY)
        return err;
    l->busy = slot->type != STAMP_FOLDER; /* they would go on writing to a file without a name: it goes back to its own */
    l->filled = slot->type == STAMP_FOLDER;
    bool moved;
    return move(l, l->slot, l->back, RENAME_NOREPLACE, &moved);
}

/* The rows of the table above. */
static enum err move_slot(struct landing *l, const struct stamp *slot, enum kind target)
{
    bool moved;
    enum kind kind = kind_of(l, slot);
    if (kind == NEW)
        return drop_or_keep(l, l->slot, slot);
    if (kind == OLD && target == NEW)
        return drop_base(l, slot);
    if (kind == FOREIGN && (target == NEW || target == NOTHING))
        return move(l, l->slot, l->back, RENAME_NOREPLACE, &moved);
    return keep(l, l->slot);
}

static enum err move_back(struct landing *l, const struct stamp *back, enum kind target)
{
    bool moved;
    enum kind kind = kind_of(l, back);
    if (kind != NEW && target == NEW)
        return move(l, l->back, l->target, l->wanted.type == STAMP_ABSENT ? RENAME_NOREPLACE : RENAME_EXCHANGE, &moved);
    if (kind == FOREIGN && target == NOTHING && l->base->type != STAMP_ABSENT)
        return move(l, l->back, l->target, RENAME_NOREPLACE, &moved);
    if (kind == NEW && back->ino == l->ours_ino && back->mtime_ns == l->ours_mtime_ns)
        return drop_or_keep(l, l->back, back);
    return keep(l, l->back);
}

/* ---- what it comes to ---- */

static enum err find_kept(const struct landing *l, bool *ret)
{
    struct stat st;
    *ret = sys->fstatat(l->folder, l->kept, &st, AT_SYMLINK_NOFOLLOW) == 0;
    return *ret || errno == ENOENT ? OK : error_errno(l->e, errno, "cannot look at %s", l->kept);
}

static const char *conflict_words(const struct landing *l, const struct stamp *now)
{
    if (now->type == STAMP_ABSENT)
        return l->wanted.type == STAMP_ABSENT ? "has gone" : "is no longer there";
    if (l->filled)
        return "is a folder in which something lies that nobody has looked at";
    if (now->type == STAMP_OTHER || (!l->set && now->type != STAMP_FILE))
        return "is a folder, a link or a device";
    if (now->type == STAMP_FOLDER)
        return l->base->type == STAMP_FOLDER ? "was replaced by another folder" : "is a folder now";
    if (now->links > 1 && l->wanted.type != STAMP_ABSENT)
        return "has several names (hard links), which landing would part";
    return l->base->type == STAMP_ABSENT ? "exists already" : "was changed by somebody else";
}

void landing_words(const struct landing *l, const struct stamp *now, char *ret, size_t n)
{
    struct stat st;
    bool kept = sys->fstatat(l->folder, l->kept, &st, AT_SYMLINK_NOFOLLOW) == 0;
    bool now_new = kind_of(l, now) == NEW;
    snprintf(ret, n, "%s%s%s%s", now_new ? "was landed" : conflict_words(l, now),
             kept ? "; another version of it is beside it as " : "", kept ? l->kept : "",
             kept ? ": look at both, then remove that one" : "");
}

/* The end of a long path, so that the message fits with the name of a kept file. */
static struct slice shown_tail(struct slice path)
{
    size_t from = path.n > 100 ? path.n - 100 : 0;
    while (from && from < path.n && ((unsigned char)path.p[from] & 0xc0) == 0x80)
        from++;
    return slice_sub(path, from, path.n);
}

static void say_conflict(const struct landing *l, const struct stamp *now, bool kept)
{
    struct slice path = shown_tail(l->path);
    error_set(l->e, ERR_CONFLICT, "%.*s %s; it was left as it is%s%s%s", SLICE_ARG(path), conflict_words(l, now),
              kept ? "; another version of it is beside it as " : "", kept ? l->kept : "",
              kept ? ": look at both, then remove that one" : "");
}

/* Nothing of ours lies beside the target any more. *ret_open: the base lies there, so the landing can be done. */
static enum err verdict(struct landing *l, const struct stamp *now, bool *ret_open, enum landing_result *ret,
                        struct stamp *ret_now)
{
    enum kind t = kind_of(l, now);
    bool kept;
    enum err err = find_kept(l, &kept);
    if (err)
        return err;
    bool base = t == OLD || (t == NOTHING && l->base->type == STAMP_ABSENT);
    *ret_open = base && !kept && !l->busy && !l->filled;
    if (*ret_open) {
        *ret_now = *now;
        return OK;
    }
    if (base && !kept && !l->filled)
        return error_set(l->e, ERR_BUSY, "%.*s is open for writing in another program; nothing was changed; "
                         "close it there and go on", SLICE_ARG(l->path));
    err = sync_folder(l);
    if (err)
        return err;
    *ret = t == NEW && !kept ? LANDING_DONE : LANDING_CONFLICT;
    *ret_now = *now;
    if (*ret == LANDING_CONFLICT)
        say_conflict(l, now, kept);
    return OK;
}

enum err landing_settle(struct landing *l, bool *ret_open, enum landing_result *ret, struct stamp *ret_now)
{
    for (int i = 0; i < MOVES_MAX; i++) {
        struct stamp slot, back, target;
        enum err err = look(l, l->slot, &slot);
        if (!err)
            err = look(l, l->back, &back);
        if (!err)
            err = look(l, l->target, &target);
        if (err)
            return err;
        if (slot.type == STAMP_ABSENT && back.type == STAMP_ABSENT)
            return verdict(l, &target, ret_open, ret, ret_now);
        bool first = back.type == STAMP_ABSENT; /* never two on their way back */
        err = first ? move_slot(l, &slot, kind_of(l, &target)) : move_back(l, &back, kind_of(l, &target));
        if (err)
            return err;
    }
    return error_set(l->e, ERR_BUSY, "%.*s keeps changing; try again when nobody writes to it", SLICE_ARG(l->path));
}

/* ---- the attempt itself ---- */

/* Whether an old folder is empty, and so may be exchanged. */
static enum err is_empty(struct landing *l, bool *ret)
{
    FD_CLEANUP int fd = sys->openat2(l->folder, l->target, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, 0);
    int own = fd < 0 ? -1 : dup(fd);
    DIR *d = own < 0 ? NULL : fdopendir(own);
    if (!d) {
        sys_close_fd(&own);
        return error_errno(l->e, errno, "cannot list the folder %.*s", SLICE_ARG(l->path));
    }
    *ret = true;
    for (struct dirent *f; *ret && (f = readdir(d));)
        *ret = !strcmp(f->d_name, ".") || !strcmp(f->d_name, "..");
    closedir(d);
    return OK;
}

static enum err exchange(struct landing *l)
{
    bool moved;
    if (l->wanted.type == STAMP_ABSENT)
        return move(l, l->target, l->slot, RENAME_NOREPLACE, &moved);
    return move(l, l->slot, l->target, RENAME_EXCHANGE, &moved);
}

/* The last look before the exchange: in vain is what it would be if somebody was there first. */
static enum err look_last(struct landing *l, const struct stamp *known, struct stamp *ret)
{
    struct stamp s;
    enum err err = known ? node_stat(l->folder, l->target, &s, l->e) : OK;
    if (err || !known || s.ino != known->ino || s.ctime_ns != known->ctime_ns || s.mtime_ns != known->mtime_ns ||
        s.size != known->size || s.type != known->type)
        return err ? err : look_at(l->folder, l->target, NULL, ret, l->e);
    *ret = *known;
    return OK;
}

static enum err swap_file(struct landing *l, const struct stamp *known)
{
    FD_CLEANUP int fd = look_open(l->folder, l->target);
    if (fd < 0)
        return errno == ENOENT || errno == ELOOP || errno == EAGAIN || errno == ENXIO
                   ? OK : error_errno(l->e, errno, "cannot open %.*s", SLICE_ARG(l->path));
    enum lease lease = lease_take(fd);
    struct stamp now;
    enum err err = look_last(l, known, &now);
    if (err || kind_of(l, &now) != OLD)
        return err;
    l->busy = lease == LEASE_REFUSED || lease_broken(fd, lease);
    return l->busy ? OK : exchange(l);
}

/* The exchange, unless a last look shows that it would be in vain. Whatever happens here, settle() finds out. */
static enum err swap(struct landing *l, const struct stamp *known)
{
    bool moved, empty = true;
    struct stamp now;
    if (l->base->type == STAMP_ABSENT)
        return move(l, l->slot, l->target, RENAME_NOREPLACE, &moved);
    if (l->base->type == STAMP_FILE)
        return swap_file(l, known);
    enum err err = look_at(l->folder, l->target, NULL, &now, l->e);
    if (err || kind_of(l, &now) != OLD)
        return err;
    if (now.type == STAMP_FOLDER)
        err = is_empty(l, &empty);
    l->filled = !empty;
    return err || l->filled ? err : exchange(l);
}

enum err landing_swap(struct landing *l, const struct stamp *known)
{
    bool moved;
    enum err err = l->wanted.type == STAMP_ABSENT ? OK : move(l, l->part, l->slot, RENAME_NOREPLACE, &moved);
    return err ? err : swap(l, known);
}

enum err landing_came_out(struct landing *l, bool *ret_base, struct stamp *ret_slot)
{
    enum err err = look(l, l->slot, ret_slot);
    if (!err)
        *ret_base = ret_slot->type == STAMP_ABSENT ? l->base->type == STAMP_ABSENT : kind_of(l, ret_slot) == OLD;
    return err;
}

/* After a failed attempt: takes a complete but unused slot away, best effort. An exchange that happened although the
   call failed leaves something else there, for the next attempt to settle. */
void landing_tidy(struct landing *l)
{
    struct error *e = l->e;
    struct stamp slot;
    enum dropped dropped;
    l->e = NULL;
    if (look_at(l->folder, l->slot, NULL, &slot, NULL) == OK && slot.type != STAMP_ABSENT && kind_of(l, &slot) == NEW)
        (void)!drop(l, l->slot, &slot, &dropped);
    if (l->set && look_at(l->folder, l->part, NULL, &slot, NULL) == OK && slot.type != STAMP_ABSENT)
        (void)!drop(l, l->part, &slot, &dropped);
    l->e = e;
}

enum err landing_take_up(struct landing *l, bool *ret_open, enum landing_result *ret, struct stamp *ret_now)
{
    struct stamp part;
    enum err err = look_at(l->folder, l->part, NULL, &part, l->e);
    if (!err && part.type != STAMP_ABSENT)
        err = drop_or_keep(l, l->part, &part);
    return err ? err : landing_settle(l, ret_open, ret, ret_now);
}

static enum err attempt(struct landing *l)
{
    struct stamp old;
    enum err err = look_at(l->folder, l->target, NULL, &old, l->e);
    if (!err)
        err = landing_prepare(l, &old);
    return err ? err : landing_swap(l, NULL);
}

static enum err land(struct landing *l, enum landing_result *ret, struct stamp *ret_now)
{
    bool open = false;
    enum err err = landing_take_up(l, &open, ret, ret_now);
    if (err || !open)
        return err;
    err = attempt(l);
    if (err)
        landing_tidy(l);
    else
        err = landing_settle(l, &open, ret, ret_now);
    if (!err && open)
        return error_set(l->e, ERR_BUSY, "%.*s kept changing while it was landed; try again", SLICE_ARG(l->path));
    return err;
}

/* ---- names and folders ---- */

static enum err check_target(struct slice path, struct error *e)
{
    enum err err = stamp_check_path(path, e);
    for (struct slice rest = path; !err && rest.n;) {
        struct slice part = slice_sub(rest, 0, slice_index(rest, '/'));
        if (landing_name_is(part, ".git") || landing_name_begins(part, ".crannog"))
            err = error_set(e, ERR_DENIED, "%.*s cannot be written: nothing lands in .git, and names that begin with "
                            ".crannog are crannog's own; choose another path", SLICE_ARG(slice_sub(path, 0, 200)));
        rest = slice_sub(rest, part.n + 1, rest.n);
    }
    return err;
}

enum err landing_file(int root, struct slice path, const struct stamp *base, struct slice content, struct slice name,
                      uint32_t mode, enum landing_result *ret, struct stamp *ret_now, struct error *e)
{
    enum err err = check_target(path, e);
    if (!err && base->type == STAMP_ABSENT)
        err = landing_make_folders(root, path, e);
    PLACE_CLEANUP struct place p = PLACE_INIT;
    if (!err)
        err = place_open(root, path, O_RDONLY, &p, e);
    if (err)
        return err;
    if (p.way != STAMP_FILE) {
        *ret = LANDING_CONFLICT;
        *ret_now = (struct stamp){.type = p.way};
        error_set(e, ERR_CONFLICT, "the folder of %.*s %s; nothing was changed", SLICE_ARG(slice_sub(path, 0, 200)),
                  p.way == STAMP_ABSENT ? "is no longer there" : "is no folder");
        return OK;
    }
    struct landing l = {
        .folder = p.folder, .path = path, .target = p.name, .base = base, .content = content, .source_folder = -1,
        .wanted = {.type = STAMP_FILE, .size = content.n, .hash = hash_of(content), .mode = mode}, .sync_part = true,
        .e = e,
    };
    landing_name(&l, name);
    return land(&l, ret, ret_now);
}

enum err landing_lock(int root, int64_t wait_ms, struct error *e)
{
    int64_t end_ns = sys->boottime_ns() + wait_ms * 1000000;
    for (;;) {
        if (sys->flock(root, LOCK_EX | LOCK_NB) == 0)
            return OK;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_errno(e, errno, "cannot lock the folder");
        if (sys->boottime_ns() >= end_ns)
            return error_set(e, ERR_BUSY, "another crannog is changing this folder; try again when it is done");
        (void)sys->poll(NULL, 0, LOCK_POLL_MS);
    }
}
