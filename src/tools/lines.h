/* Texts as lines, for tools that show and count them. A line has no line end of its own; a last LF begins no further line. Pure. */
#ifndef CRANNOG_TOOLS_LINES_H
#define CRANNOG_TOOLS_LINES_H

#include "base/arena.h"
#include "base/buf.h"

/* How many lines there are. */
size_t lines_count(struct slice text);
/* Which line the byte at `at` is on, from 1. */
size_t lines_at(struct slice text, size_t at);
/* All lines, without LF or CRLF, in the arena; NULL where it is full (an empty text has an array too). */
struct slice *lines_split(struct slice text, struct arena *a, size_t *ret_n);
/* How many lines a diff would add and remove; the fewest while that is found in bounded time, else a bit more. */
void lines_differ(struct slice before, struct slice after, size_t *ret_added, size_t *ret_removed);

struct page {
    size_t from, to; /* lines, from 1; from > to: none */
    size_t total;
};
/*
 * Appends lines `from` (1 the first), at most `lines` of them and about `limit` bytes, each ended by LF; at least one if
 * there is one. Of a line longer than a quarter of the limit the middle is left out, with a note. `text` is UTF-8.
 */
struct page lines_page(struct slice text, size_t from, size_t lines, size_t limit, struct buf *ret);

#endif
