/*
 * Landing: the only place where a person's files are changed.
 *
 * L1  A file at the target is the old one or the new one at every instant, whatever dies.
 * L2  Nothing is replaced but what `base` says lay there; anything else is a conflict and stays untouched.
 * L3  Doing it again after a crash gives the same end: new there -> done; base there -> do it; neither -> conflict.
 * L4  The new file is durable (file and folder synced) before landing_file() says LANDED.
 * L5  No symlink is followed and no path leaves the root.
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
 * `root`: the folder, locked by landing_lock(). `path`: relative, "a/b.md"; missing parent folders are made (0777 &
 * ~umask). `name`: unique word for the temporary (run, branch, step: the same for each attempt, so a leftover is found
 * and removed). `mode`: permission bits for a new file; a replaced one keeps the old file's. On CONFLICT *ret_now says
 * what lies there, on DONE it is the new file's stamp.
 */
enum err MUST_USE landing_file(int root, struct slice path, const struct stamp *base, struct slice content,
                               struct slice name, uint32_t mode, enum landing_result *ret, struct stamp *ret_now,
                               struct error *e);
/* Takes the lock that all crannogs respect: flock on the root folder itself. Waits at most wait_ms (ERR_BUSY then). */
enum err MUST_USE landing_lock(int root, int64_t wait_ms, struct error *e);

#endif
