/*
 * The landing of layers as the engine sees it: arguments for the applet of tools/inside_apply.h, and its reply as plain
 * structs. A reply comes from inside a jail: outside bytes. ERR_CORRUPT for anything malformed; slices point into it.
 */
#ifndef CRANNOG_TOOLS_APPLY_H
#define CRANNOG_TOOLS_APPLY_H

#include "layers/landing.h"

struct apply_left {
    struct change change; /* `before` is what lies there now, `after` what was wanted */
    struct slice why;     /* for people; empty where a name in it is no UTF-8 */
};

struct apply_landed {
    enum landing_result result;
    struct manifest undo;     /* array in the arena */
    struct slice undo_bytes;  /* the same as it was encoded, to be stored */
    struct apply_left *left;  /* at most APPLY_LEFT_MAX of them */
    size_t nleft;
    uint64_t left_count;      /* how many there were */
};

/* `manifest`: encoded bytes; `folders`: a folder a layer, in order; `undo`: that of this landing alone; `name`: the same
   for each attempt (layers/landing.h); `flags`: enum apply_flags. */
void apply_args(struct buf *args, struct slice root, struct slice manifest, const struct slice *folders, size_t nfolders,
                struct slice undo, struct slice name, unsigned flags);
enum err MUST_USE apply_reply(struct slice reply, struct arena *a, struct apply_landed *ret, struct error *e);

#endif
