/*
 * Talks as bytes: turns that the runtime writes, transcripts put together from blobs, and where a compaction cuts.
 */
#ifndef CRANNOG_ENGINE_TALK_TEXT_H
#define CRANNOG_ENGINE_TALK_TEXT_H

#include "engine/engine.h"
#include "model/transcript.h"

enum { COMPACT_OUTPUT_MAX = 4096 };

#define COMPACT_ASK                                                                                                              \
    "(The talk is about to be cut short, because it is too long for you. Write down, for yourself, what is needed to go on "     \
    "without it: what was asked (word for word where it matters), what was decided and why, what was done and in which files, " \
    "what was tried and failed, what is next. No tools now.)"

/* A user's turn of one text, appended as turn_print() has it. */
void talk_note(struct slice text, struct buf *out);
/* Adds a note to an answer's completion, which becomes the turn after it. */
void talk_put_note(struct engine *g, struct slice text, struct completion *c);
/* The result of a call, likewise; bytes that are not UTF-8 are mended. */
void talk_result(struct slice call_id, struct slice text, bool is_error, struct buf *out);
/* result.calls (names, and the question of `ask`) and result.calls_hash of an answer. */
void talk_put_calls(const struct transcript_turn *turn, struct json *result);
/* The transcript that a THINK's or COMPACT's arguments describe, as transcript_print() writes it. */
enum err MUST_USE talk_transcript(struct store *s, const struct talk *t, const struct json *args, struct buf *ret, struct error *e);
/* How far a compaction goes: turns before it are summed up. What is kept fits a quarter of the window and begins with an answer
   or with what a person said. */
size_t talk_cut(const struct talk *t, uint64_t window);
/*
 * Makes the completion of a COMPACT whole: the goal word for word, then what the model wrote (or, where it wrote nothing that is
 * shorter than what it replaces, a plain list of what the person said), then where the rest can be read.
 */
void talk_compacted_by(struct engine *g, struct run *r, const struct open_step *o, const struct json *args, struct completion *c);
/* The i-th call of an answer: its turn is parsed from the store into the arena. */
enum err MUST_USE talk_call(struct store *s, const struct talk *t, size_t i, struct arena *a, struct transcript_part *ret, struct error *e);

#endif
