/*
 * A manifest parted by a person's choice: what lands, and what waits on. Of a file a part may land: then something else
 * than `after` does, made by the caller, and `after` waits on over that. Pure.
 *
 * G1  What lands and what waits on are manifests (N1), and together name every path once, or twice where a part lands.
 * G2  Folders go with what lies in them: a new one with the first thing that is chosen in it, one that goes with the last.
 *     What becomes a file and was a folder goes with all that lay in it.
 */
#ifndef CRANNOG_LAYERS_MANIFEST_PART_H
#define CRANNOG_LAYERS_MANIFEST_PART_H

#include "layers/manifest.h"

enum part_taken { PART_NOT, PART_ALL, PART_SOME };

struct part {
    enum part_taken taken;
    struct stamp after; /* PART_SOME: of the file that lands */
    bool asked;         /* a person is asked about this change; the others follow from the answers (G2) */
    size_t unit;        /* the change that it goes with in any case; itself */
};

/* One for each change, none taken yet. ERR_MEMORY. */
enum err MUST_USE part_begin(const struct manifest *m, struct arena *a, struct part **ret, struct error *e);
/* Settles the changes that nobody was asked about. */
void part_spread(const struct manifest *m, struct part *v);
/* The two manifests. `layer`: the number of the one that holds what PART_SOME lands. ERR_MEMORY. */
enum err MUST_USE part_split(const struct manifest *m, const struct part *v, uint16_t layer, struct arena *a, struct manifest *ret_lands,
                             struct manifest *ret_rest, struct error *e);
/*
 * What waits on after a landing: `rest`, and of `lands` what is `left`. A path of both landed in part, or waits as a whole; where
 * it landed, and `now` (what took it back) knows it with the same content, its base is what was seen there. ERR_MEMORY.
 */
enum err MUST_USE part_join(const struct manifest *rest, const struct manifest *lands, bool (*left)(const void *ctx, struct slice path),
                            const void *ctx, const struct manifest *now, struct arena *a, struct manifest *ret, struct error *e);

#endif
