/*
 * The vocabulary: text to token ids and back, by byte-level byte-pair encoding.
 *
 * Text is first split into pieces (words with the blank before them, single digits, punctuation, runs of blanks; the
 * rule is named by the model file), then the bytes of each piece are joined pair by pair in the order of the file's
 * list of merges. Control tokens such as <|im_end|> are never made from text: outside text cannot speak for the
 * template. Bytes that are not UTF-8 count as U+FFFD. A byte that the vocabulary has no token for is left out.
 *
 * A vocabulary has scratch memory of its own: one thread at a time.
 */
#ifndef CRANNOG_INFER_VOCAB_H
#define CRANNOG_INFER_VOCAB_H

#include "base/buf.h"
#include "infer/gguf.h"

enum {
    VOCAB_PIECE_MAX = 4096, /* bytes; a longer piece is cut (at a character), which bounds the time for any text */
    VOCAB_TEXT_MAX = 64 << 20,
};

struct vocab;

/* A growing list of token ids. */
struct tokens {
    int32_t *id;
    size_t n, cap;
    bool failed; /* memory was refused; stays so */
};

#define TOKENS_CLEANUP __attribute__((cleanup(tokens_release)))
void tokens_release(struct tokens *t);
void tokens_add(struct tokens *t, int32_t id);

/* `g` and its file must outlive the vocabulary. */
enum err MUST_USE vocab_new(const struct gguf *g, struct vocab **ret, struct error *e);
void vocab_free(struct vocab *v); /* NULL is fine */

/* Cuts the next piece off *rest; false at the end. */
bool vocab_piece(const struct vocab *v, struct slice *rest, struct slice *ret_piece);
/* Appends the tokens of one piece, or of a whole text. */
void vocab_encode_piece(struct vocab *v, struct slice piece, struct tokens *to);
void vocab_encode(struct vocab *v, struct slice text, struct tokens *to);
size_t vocab_count(struct vocab *v, struct slice text); /* tokens of a text */

/* Appends the bytes that a token stands for; nothing for control tokens and ids out of range. */
void vocab_decode(const struct vocab *v, int32_t id, struct buf *to);
/* The id of a token by its text in the file, or -1. */
int32_t vocab_find(const struct vocab *v, struct slice token);
bool vocab_is_end(const struct vocab *v, int32_t id); /* the model says that it has finished */
int32_t vocab_start(const struct vocab *v);           /* put before every text, or -1 */

/* The length of the first character of s (1 where its bytes are not UTF-8) and its code point (U+FFFD then). */
size_t vocab_character(struct slice s, uint32_t *ret);

#endif
