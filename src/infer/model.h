/*
 * A llama: token embedding, then per layer attention and a gated feed-forward net, each behind an RMS norm and added
 * to the stream, then a last norm and the output matrix. Rotary positions, grouped queries, tied or own output matrix.
 *
 * The weights stay in the mapped file. Keys and values of past positions are kept in half floats; feeding position n
 * needs 0 .. n - 1 to have been fed before, and drops what was there from n on.
 *
 *   M1  After model_new() has said OK every weight that is used has the shape that the forward pass takes it for.
 *   M2  The same tokens give the same logits, bit for bit, in any split into model_feed() calls and with any number of
 *       threads.
 */
#ifndef CRANNOG_INFER_MODEL_H
#define CRANNOG_INFER_MODEL_H

#include "infer/gguf.h"
#include "infer/ops.h"

enum {
    MODEL_BATCH = 64,     /* tokens worked on together: each weight is read once a batch */
    MODEL_LAYERS_MAX = 256,
    MODEL_WIDTH_MAX = 8192,
    MODEL_HEADS_MAX = 128,
    MODEL_HEAD_MAX = 256, /* numbers of one head */
    MODEL_VOCAB_MAX = 1 << 18,
    MODEL_CONTEXT_MAX = 8192,
};

struct shape {
    size_t layers, width, hidden, heads, kv_heads, head, rotated, vocab;
    size_t context; /* positions that can be fed */
    size_t trained; /* context that the model was made for */
    float epsilon, base;
};

struct model;

/* `g` and its file must outlive the model. context 0: what the model was made for, at most MODEL_CONTEXT_MAX. */
enum err MUST_USE model_new(const struct gguf *g, const struct ops *ops, unsigned threads, size_t context,
                            struct model **ret, struct error *e);
void model_free(struct model *m); /* NULL is fine */
const struct shape *model_shape(const struct model *m);

/* Feeds n <= MODEL_BATCH tokens at positions `at`, at + 1, …. Tokens must be below vocab, positions below context:
   callers check (ASSERT). With `logits` the prediction after the last of them can be read afterwards. */
void model_feed(struct model *m, const int32_t *tokens, size_t n, size_t at, bool logits);
/* One number a vocabulary entry; may be changed by the caller; valid until the next model_feed(). */
float *model_logits(struct model *m);

#endif
