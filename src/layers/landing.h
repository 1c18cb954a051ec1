/*
 * Landing: the only place where a person's files are changed.
 *
 * L1  A file at the target is the old one or the new one at every instant, whatever dies.
 * L2  Nothing is replaced but what `base` says lay there; anything else is a conflict and stays untouched.
 * L3  Doing it again after a crash gives the same end: new there -> done; base there -> do it; neither -> conflict.
 * L4  The new file is durable (file and folder synced) before landing_file() says LANDED.
 * L5  No symlink is followed and no path leaves the root.
 * L6  A version of a person's is never deleted, whenever it was written: it is at the target, or in a file beside it
 *     that the conflict's text names (landing.c says how, and what remains of the race with an open descriptor).
 *
 * The protocol (DESIGN.md section 5): complete temporary beside the target, synced; RENAME_EXCHANGE (RENAME_NOREPLACE
 * where nothing was); look at what came out; if it is not the base, exchange back.
 */
#ifndef CRANNOG_LAYERS_LANDING_H
#define CRANNOG_LAYERS_LANDING_H

#include "layers/manifest.h"

enum landing_result {
    LANDING_DONE = 1, /* written now, or found written by an attempt that died */
    LANDING_CONFLICT, /* something else lies there; untouched */
};

/*
 * `root`: the folder, opened for reading and locked by landing_lock(). `path`: relative, "a/b.md"; missing parent
 * folders are made (0777 & ~umask); a part that is .git or begins with .crannog is refused (ERR_DENIED). `name`: unique
 * word for the temporaries (run, branch, step: the same for each attempt, so that leftovers are found and dealt with;
 * one name may serve many paths). `mode`: permission bits for a new file, & 0777; a replaced one keeps the old file's
 * mode, owner and group (ERR_DENIED where they cannot be kept).
 *
 * On DONE *ret_now is the new file's stamp. On CONFLICT it is what lies there, OK is returned all the same, and e says
 * in words what is the matter and which file was kept, if one was. ERR_BUSY: another program has the file open for
 * writing right now, nothing was changed, try again later. After any error the same call may be made again.
 */
enum err MUST_USE landing_file(int root, struct slice path, const struct stamp *base, struct slice content,
                               struct slice name, uint32_t mode, enum landing_result *ret, struct stamp *ret_now,
                               struct error *e);

/*
 * Landing of a whole manifest (manifest.h): files, links, folders, removals, changes of type, modes and mtimes.
 *
 * T1  First every path is looked at. New there already: done. The base there: to do. Anything else, and what is `moved`:
 *     a conflict; with one conflict nothing at all is changed.
 * T2  Before the first path changes, all that will be replaced or removed lies complete and durable in the folder `undo`,
 *     at its own path (taken from there again after a crash, never made anew over a file that is already there whole).
 *     So landed->undo with that folder is a layer like any other, and undo is a landing of it.
 * T3  Each path then goes by L1 to L6; a folder is made before and removed after what lies in it. One that still holds
 *     something that the manifest does not name stays, without being a conflict.
 * T4  Doing it again after a crash, with the same arguments, gives the same end (L3 for every path).
 * T5  Guarded paths (landing_guarded) do not land unless `guarded` says so; they are no conflict, they are `left`.
 * T6  Modes lose setuid, setgid and sticky bits; owners are those of the landing process, for a replaced file the old
 *     ones (as landing_file). mtimes of files, links and folders are those of the manifest; a folder that is not in the
 *     manifest and in which something changed keeps the mtime that this gave it, unless `rewind`: then it gets back the
 *     one that it had, as far as the manifest knows it. For that `undo` names such folders too, FOLDER before and after;
 *     a change of that kind that is of the mtime only, of a folder in which the same manifest changes something, is set
 *     with `rewind` and ignored without. (The root itself has no path: its mtime is in no manifest.)
 * T7  Nothing lands at .crannog (ERR_DENIED for the whole set: only a broken manifest names it), and what has a part that
 *     begins with ".crannog-", as our temporaries do, is `left`.
 * T8  A .git lands as a unit, objects first, refs last, under git's own locks: if one of its pointers moved, nothing of it
 *     lands (U1 to U3 in landing_git.c).
 */
struct landing_set {
    int root;                 /* as for landing_file: locked */
    const struct manifest *manifest;
    const int *folders;       /* folders[c->layer] holds `after` of change c */
    int undo;                 /* folder of this landing alone */
    struct slice name;
    bool guarded;             /* a person saw them and said yes */
    bool replace;             /* a person said: also over what is a conflict (what lies there goes into undo), unless a
                                 folder is in the way or a kept file still lies there */
    bool rewind;              /* T6: for undo */
};

struct landing_left { /* a change that did not land */
    const struct change *change;
    struct stamp now;   /* what lies there */
    struct slice why;   /* in words: "was changed by somebody else", "is guarded: …" */
};

struct landed {
    enum landing_result result;  /* CONFLICT: nothing was changed by T1, or a path turned out to be one on the way */
    struct manifest undo;        /* of what landed: before = what lies there now, after = what was there */
    struct landing_left *left;   /* conflicts, guarded paths; on a CONFLICT by T1 only the conflicts */
    size_t nleft;
};

/* Everything in ret lies in `a`. Durable when OK. After any error the same call may be made again. */
enum err MUST_USE landing_apply(const struct landing_set *s, struct arena *a, struct landed *ret, struct error *e);

/* Why a path may take effect with the person's rights by itself when it is changed (git's configuration and hooks, a
   replaced .git, settings of editors, shells and agents, of which the list is data in landing_guard.c), in words; NULL
   for all others. `after`: what it becomes. */
const char *landing_guarded(struct slice path, const struct stamp *after);
/* The same of one name, when its folder is a repository without being a .git (a bare one): that the root says. */
const char *landing_guarded_in_repository(struct slice part);

/* Whether a name is `name` to some file system: in any case of letters, with what nobody sees in it, with dots or blanks
   behind it. Of the other only a beginning. */
bool landing_name_is(struct slice part, const char *name);
bool landing_name_begins(struct slice part, const char *name);

/* A path up to its first .git, that included, or none; and whether it is HEAD, the index, packed-refs or a ref in it. */
struct slice landing_repository(struct slice path);
bool landing_is_pointer(struct slice path);

/* Takes the lock that all crannogs respect: flock on the root folder itself; it goes with the descriptor. Waits at most
   wait_ms (ERR_BUSY then). */
enum err MUST_USE landing_lock(int root, int64_t wait_ms, struct error *e);

#endif
