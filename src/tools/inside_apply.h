/*
 * The applet that lands whole manifests (layers/landing.h) inside a jail. The engine's side is tools/apply.h. Arguments
 * and replies are messages with the tags below; paths are absolute inside.
 *
 *  apply  ROOT MANIFEST FOLDER... UNDO NAME FLAGS -> RESULT UNDO_MANIFEST LEFT LEFT_COUNT WHY...
 *         under the folder's lock. A FOLDER a layer, in order. LEFT: a manifest of what did not land, `before` what lies
 *         there now, `after` what was wanted, at most APPLY_LEFT_MAX of them with a WHY each; LEFT_COUNT is how many
 *         there were
 */
#ifndef CRANNOG_TOOLS_INSIDE_APPLY_H
#define CRANNOG_TOOLS_INSIDE_APPLY_H

#include "base/buf.h"

enum inside_apply_tag {
    APPLY_ROOT = 200, APPLY_MANIFEST, APPLY_FOLDER, APPLY_UNDO, APPLY_NAME, APPLY_FLAGS,
    APPLY_RESULT, APPLY_UNDO_MANIFEST, APPLY_LEFT, APPLY_LEFT_COUNT, APPLY_WHY,
};

enum apply_flags { APPLY_GUARDED = 1, APPLY_REPLACE = 2, APPLY_REWIND = 4, APPLY_FLAGS_ALL = 7 };
enum { APPLY_LEFT_MAX = 100 };

enum err MUST_USE inside_apply(struct slice args, struct buf *reply, struct error *e);

#endif
