/*
 * What a tool printed, as a model is shown it: its end above all, and its beginning. Pure.
 */
#ifndef CRANNOG_CONTEXT_OUTPUT_H
#define CRANNOG_CONTEXT_OUTPUT_H

#include "base/buf.h"

enum { OUTPUT_MIN = 256 /* the least maximum */ };

/*
 * Appends `whole` as UTF-8 (U+FFFD for what is none) without terminal escapes and control characters but tab and newline,
 * of a line that a carriage return wrote over only what stayed. What has more than `max` bytes then keeps a third from the
 * head and the rest from the tail, on line borders where there are any, and one line in between that counts what was left
 * out and says `how_to_read_rest` ("read step:17"). At most `max` (raised to OUTPUT_MIN) bytes are appended. The same for
 * what it made itself. *ret_cut (may be NULL): something was left out. ERR_LIMIT, ERR_MEMORY: `ret` may not hold it.
 */
enum err MUST_USE output_cut(struct slice whole, size_t max, const char *how_to_read_rest, struct buf *ret, bool *ret_cut);

#endif
