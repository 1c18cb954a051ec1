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

#include "layers/stamp.h"

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
/* Takes the lock that all crannogs respect: flock on the root folder itself; it goes with the descriptor. Waits at most
   wait_ms (ERR_BUSY then). */
enum err MUST_USE landing_lock(int root, int64_t wait_ms, struct error *e);

#endif
