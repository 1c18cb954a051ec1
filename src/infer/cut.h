/*
 * Measuring a document: its tokens, and where to cut it into parts that fit a reading window.
 *
 * A part ends at a paragraph, else at a line, else at a word, as far as one of these lies in the second half of what
 * would fit; never inside a character. Parts are contiguous and cover every byte.
 */
#ifndef CRANNOG_INFER_CUT_H
#define CRANNOG_INFER_CUT_H

#include "infer/vocab.h"

enum {
    CUT_WINDOW_MIN = 16, /* tokens: room for any character */
    CUT_PARTS_MAX = 4000,
};

/* The length in bytes of the next part: at most `window` tokens when it stands alone, at least one byte.
   text.n > 0, window >= CUT_WINDOW_MIN. */
size_t cut_next(struct vocab *v, struct slice text, size_t window);

struct measure {
    size_t tokens; /* of the whole text in one piece */
    size_t parts;
    size_t end[CUT_PARTS_MAX]; /* byte offsets, ascending, the last is the size; one part of nothing for no text */
};

/* `look_up` is called now and then, true stops it (ERR_CANCELLED); may be NULL. ERR_USAGE for a window below
   CUT_WINDOW_MIN, ERR_LIMIT for too many parts. */
enum err MUST_USE cut_measure(struct vocab *v, struct slice text, size_t window, bool (*look_up)(void *arg), void *arg,
                              struct measure *ret, struct error *e);

#endif
