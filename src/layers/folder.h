/*
 * The folders of layers, in a crannog's state: layers/NAME/, mode 0700, never below a root. NAME is run, branch, step and
 * attempt ("r7-1-3-1"), so an orphan of a killed attempt never mixes with the next one. In it:
 *     up/    what is new (an overlay's upper folder; after sealing never written again)
 *     work/  overlay's own, gone after sealing          copy/, index    of the copy back end while it works
 *
 * What lies in these folders was written by a jail: it is walked without following links, and never trusted.
 */
#ifndef CRANNOG_LAYERS_FOLDER_H
#define CRANNOG_LAYERS_FOLDER_H

#include <sys/types.h>

#include "base/buf.h"

/* Makes NAME/up and NAME/work, or NAME/SUB only; an older NAME is removed first. Owner (where we are root) and mode are
   those of the root's folder, for its look is that of the merged folder. */
enum err MUST_USE layer_make(int layers, const char *name, const char *sub, uid_t uid, gid_t gid, mode_t mode, struct error *e);
/* Removes NAME and all below it, also folders that nobody may enter (kernel's work/work has mode 000), or NAME/SUB only.
   Not there: OK. Renamed to a trash name first, so that a half-removed one is never taken for a layer. */
enum err MUST_USE layer_remove(int layers, const char *name, const char *sub, struct error *e);
/* Only the renaming: NAME is gone, and its trash stays for layer_sweep(). Not there: OK. */
enum err MUST_USE layer_throw(int layers, const char *name, struct error *e);
/* Empties the trash: of layer_throw(), and of a killed layer_remove(). */
enum err MUST_USE layer_sweep(int layers, struct error *e);
/* Makes the folder NAME and its entry durable (the sealing jail has synced what lies in it). */
enum err MUST_USE layer_sync(int layers, const char *name, struct error *e);

#endif
