/* A turn of a talk, as its blob in the store has it: for those who show talks, and those who go on with them. */
#ifndef CRANNOG_VIEW_TURN_H
#define CRANNOG_VIEW_TURN_H

#include "model/transcript.h"
#include "store/store.h"

enum {
    TURN_BYTES_MAX = 32 * 1024 * 1024, /* a message with six pictures */
    TURN_ARENA = 64 * 1024 * 1024,     /* enough for one turn */
};

/* All of *ret lives in the arena. ERR_MISSING: it is not kept any more. */
enum err MUST_USE turn_read(struct store *s, const struct hash *h, struct arena *a, struct transcript_turn *ret, struct error *e);
/* Appends its texts, without results and calls, as long as `out` has less than max bytes. */
void turn_text(const struct transcript_turn *turn, size_t max, struct buf *out);

#endif
