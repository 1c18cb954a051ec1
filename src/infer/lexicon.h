/*
 * The vocabulary by the bytes of its tokens: which of them a state of an automaton can take, without asking each.
 *
 * Tokens lie in two trees, one byte a node, in the order in which a walk from the root meets them; `next` is where that
 * walk goes on when it leaves a node's subtree out. *Plain* tokens are whole characters that may stand in a JSON string as
 * they are: within a string most of the vocabulary is allowed by one bitmap, and only the others are walked.
 *
 * Control tokens, those that end an answer, and those longer than LEXICON_TOKEN_MAX are in none: they are never allowed.
 */
#ifndef CRANNOG_INFER_LEXICON_H
#define CRANNOG_INFER_LEXICON_H

#include "infer/vocab.h"

enum { LEXICON_TOKEN_MAX = 128, LEXICON_ENDS_MAX = 8 };

struct leaf { /* a node */
    int32_t token;  /* that ends here, or -1 */
    uint32_t next;
    uint8_t byte, depth; /* depth: bytes up to here */
};

struct tree {
    struct leaf *leaves;
    size_t n;
};

struct lexicon {
    struct tree plain, other;
    uint64_t *plain_bits;          /* one bit a token */
    size_t words;                  /* of a bitmap over the vocabulary */
    size_t longest_plain;          /* bytes */
    struct slice mark;             /* LEXICON_MARK */
    bool mark_in_token, mark_in_longer_token; /* a token has the mark in it; and goes on behind it */
    int32_t ends[LEXICON_ENDS_MAX]; /* tokens that end an answer */
    size_t nends;
};

/* `mark`: see mark_in_token; must outlive the lexicon. ERR_MEMORY. */
enum err MUST_USE lexicon_new(const struct vocab *v, size_t vocab, struct slice mark, struct lexicon **ret, struct error *e);
void lexicon_free(struct lexicon *l); /* NULL is fine */
/* Tokens that stand for these very bytes, the longest first; false where there are none for some. Not how a model would
   have been taught to write them, but few. Appends to `to`, which may be NULL; counts in *ret_n. */
bool lexicon_spell(const struct lexicon *l, struct slice bytes, struct tokens *to, size_t *ret_n);

#endif
