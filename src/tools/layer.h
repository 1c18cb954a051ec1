/*
 * The engine's side of the applets that work on layers (inside_layer.c): arguments and replies, which come from inside a
 * jail and are outside bytes. All paths are absolute, as the jail sees them.
 *
 *   survey  what of a root a step could not write                                    layers/survey.h
 *   copy    a root with layers applied, for a step that has no overlay               layers/copy.h
 *   seal    what a step changed; its layer is durable then                           layers/seal.h
 *   squash  many layers into one                                                     layers/squash.h
 *   apply   a manifest into the root, under the root's lock                          layers/landing.h
 */
#ifndef CRANNOG_TOOLS_LAYER_H
#define CRANNOG_TOOLS_LAYER_H

#include "layers/landing.h"
#include "layers/survey.h"

void layer_survey_args(struct buf *args, struct slice root, uint32_t uid, uint32_t gid, bool range, struct slice cover);
enum err MUST_USE layer_survey_reply(struct slice reply, struct survey *ret, struct error *e);

/* `manifest`: of the layers together, encoded; empty where there are none. `folders`: those of the layers. */
void layer_copy_args(struct buf *args, struct slice root, struct slice to, struct slice cover, uint64_t bytes_max,
                     struct slice manifest, const struct slice *folders, size_t n);
/* The index of the copy, for sealing. Borrowed from the reply. */
struct slice layer_copy_reply(struct slice reply);

/* `below`: the manifest of the layers below together, encoded; empty where there were none. `index`: of a copy. */
void layer_seal_args(struct buf *args, struct slice root, struct slice layer, int64_t began_ns, struct slice cover, bool copies,
                     struct slice index, struct slice below);
struct layer_seal_answer {
    struct slice manifest; /* encoded, not checked; borrowed from the reply, like the example */
    uint64_t left_out;     /* sockets, FIFOs, devices */
    struct slice left_example;
};
enum err MUST_USE layer_seal_reply(struct slice reply, struct layer_seal_answer *ret, struct error *e);

void layer_squash_args(struct buf *args, const struct slice *folders, size_t n, struct slice manifest, struct slice to, bool whiteouts);

struct apply_wish {
    struct slice root, undo, name;
    struct slice manifest; /* encoded */
    const struct slice *folders;
    size_t nfolders;
    bool guarded, replace, rewind; /* struct landing_set */
};
void apply_args(struct buf *args, const struct apply_wish *w);
enum { APPLY_WHYS_MAX = 100 };
struct apply_answer {
    enum landing_result result;
    struct manifest undo; /* what of it landed, as what takes it back */
    struct manifest left; /* what did not: `before` is what lies there now */
    struct slice whys[APPLY_WHYS_MAX]; /* of the first ones, in words */
    size_t nwhys;
};
/* Checked; slices point into the reply, the rest lies in `a`. */
enum err MUST_USE apply_reply(struct slice reply, struct arena *a, struct apply_answer *ret, struct error *e);

#endif
