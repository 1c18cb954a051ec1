/*
 * Cutting a document into parts that fit a reading window.
 *
 * A part ends at a paragraph, else at a line, else at a word, as far as one of these lies in the second half of what
 * would fit; never inside a character. Parts are contiguous and cover every byte.
 */
#ifndef CRANNOG_INFER_CUT_H
#define CRANNOG_INFER_CUT_H

#include "infer/vocab.h"

enum { CUT_WINDOW_MIN = 16 }; /* tokens: room for any character */

/* The length in bytes of the next part: at most `window` tokens when it stands alone, at least one byte.
   text.n > 0, window >= CUT_WINDOW_MIN. */
size_t cut_next(struct vocab *v, struct slice text, size_t window);

#endif
