/*
 * Layers as the engine sees them: arguments for the applets of tools/inside_layers.h, and their replies as plain structs.
 * Paths are absolute, inside the jail. `cover` is a name directly below root, or empty.
 *
 * A reply comes from inside a jail: outside bytes. Each *_reply() gives ERR_CORRUPT for anything malformed; slices
 * point into the reply.
 */
#ifndef CRANNOG_TOOLS_LAYER_H
#define CRANNOG_TOOLS_LAYER_H

#include "layers/manifest.h"
#include "layers/survey.h"
#include "tools/credential.h"

struct layer_sealed {
    struct manifest manifest;  /* array in the arena */
    struct slice bytes;        /* the same as it was encoded, to be stored */
    uint64_t left_out;         /* as struct sealed has it */
    struct slice left_example;
};

/* `below`: the bytes of the flattened manifest of the layers below, or empty where there are none (seal.h). */
void layer_seal_args(struct buf *args, struct slice root, struct slice layer, int64_t began_ns, struct slice cover,
                     struct slice below);
/* The same for a copy: `index` is what layer_copy_reply() gave. */
void layer_seal_copy_args(struct buf *args, struct slice root, struct slice layer, int64_t began_ns, struct slice cover,
                          struct slice index);
enum err MUST_USE layer_seal_reply(struct slice reply, struct arena *a, struct layer_sealed *ret, struct error *e);

/* `manifest`: the bytes of the flattened manifest of the layers, empty where there are none; `folders`: one a layer. */
void layer_copy_args(struct buf *args, struct slice root, struct slice to, struct slice cover, uint64_t bytes_max,
                     struct slice manifest, const struct slice *folders, size_t nfolders);
enum err MUST_USE layer_copy_reply(struct slice reply, struct slice *ret_index, struct error *e);

void layer_squash_args(struct buf *args, const struct slice *folders, size_t nfolders, struct slice manifest, struct slice to,
                       bool whiteouts);
enum err MUST_USE layer_squash_reply(struct slice reply, struct error *e);

void layer_survey_args(struct buf *args, struct slice root, uint32_t uid, uint32_t gid, bool range, struct slice cover);
/* What a step could not write, and which files hold credentials: their paths point into the reply. */
enum err MUST_USE layer_survey_reply(struct slice reply, struct survey *ret, struct credentials *ret_masked, struct error *e);

#endif
