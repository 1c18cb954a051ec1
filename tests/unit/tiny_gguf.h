/*
 * A model file made by hand for tests: real format, made-up weights, small enough to make thousands of.
 *
 * Its vocabulary: the 256 bytes, then merges that join "th", "the", " the", "in", "ing", "  ", "nt", "\n ",
 * "\n\n ", "\n\n\n ", and <|im_start|>, <|im_end|>, <|endoftext|>.
 */
#ifndef TINY_GGUF_H
#define TINY_GGUF_H

#include "base/buf.h"

struct tiny {
    uint32_t type;       /* of the matrices: enum weight_type */
    /* K formats need a width and a hidden of whole groups of 256. */
    uint32_t width, hidden, heads, kv_heads, layers, context;
    bool own_output;     /* an output matrix beside the embedding */
    bool no_template;    /* not a chat model */
    bool endless;        /* has no token that ends an answer */
    bool floats;         /* the same weights, but written as F32 */
    float scale;         /* of the weights; 0: 1 */
    /* What to spoil, for those who test refusals: */
    const char *without; /* leaves the key or tensor of that name out */
    const char *twice;   /* writes it a second time */
    const char *short_by_a_row; /* a tensor with one row less than the model needs */
};

#define TINY_INIT ((struct tiny){.type = 0, .width = 32, .hidden = 64, .heads = 2, .kv_heads = 1, .layers = 2, .context = 96})
enum { TINY_VOCAB = 256 + 10 + 3, TINY_OPEN = 266, TINY_CLOSE, TINY_END };

/* The whole file; the caller releases it. */
struct buf tiny_gguf(const struct tiny *t);

#endif
