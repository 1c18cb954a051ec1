/*
 * What a person chose hunk by hunk, made ready to land before their answer is in the journal: parts of files as a layer of
 * our own, complete and durable, and the two manifests (layers/manifest_part.h) as blobs. The answer names them
 * (core/state.h, "chosen"), so the landing needs nothing else, and one that dies goes on with the same.
 */
#ifndef CRANNOG_ENGINE_CHOSEN_H
#define CRANNOG_ENGINE_CHOSEN_H

#include "engine/machine.h"
#include "layers/manifest_part.h"

/* Of a change of which a part is taken: the file that lands. */
struct chosen_file {
    struct slice text;
    uint32_t mode;
    int64_t mtime_ns; /* 0: now */
};

/*
 * `flat`: what waits (layer_flatten); `parts`: what was taken of it, spread; files[i] is read where parts[i] is PART_SOME.
 * Whoever calls holds the run's lease, and no landing of it is under way. *ret is the "chosen" of the answer to `question`; the
 * caller frees it.
 */
enum err MUST_USE chosen_put(struct engine *g, const struct run_state *r, uint32_t question, const struct manifest *flat, struct part *parts,
                             const struct chosen_file *files, struct json **ret, struct error *e);

#endif
