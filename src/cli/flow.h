/*
 * Text that flows: styled words are wrapped at a width, with a prefix on each row. Rows end with "\n", their styles with
 * them. All text but prefixes passes the filter of cli/glyph.h.
 */
#ifndef CRANNOG_CLI_FLOW_H
#define CRANNOG_CLI_FLOW_H

#include "cli/glyph.h"

/* What stands in front of a row: a text of our own, its style, its columns. */
struct prefix {
    const char *text;
    unsigned style;
    size_t columns;
};

struct flow {
    struct buf *out;
    const struct look *look;
    size_t width;
    struct prefix rest[4]; /* in front of further rows, from the left */
    size_t nrest;
    bool hard;             /* broken at the width only, blanks kept: code */

    size_t col;            /* columns on this row */
    size_t room;           /* columns that a word may have to stay whole */
    bool empty;            /* nothing on this row but its prefix */
    unsigned drawn;        /* the style that is set */
    size_t blanks;         /* that wait for a word */
    size_t marks;          /* zero-width characters in a row */
    struct buf word;
    size_t word_columns;
    unsigned word_first, word_last; /* its styles at both ends */
};

/* Begins a paragraph. `first` in front of its first row, `rest` in front of the others; both are copied. Width is at least 4. */
void flow_begin(struct flow *f, struct buf *out, const struct look *look, size_t width, const struct prefix *first, size_t nfirst,
                const struct prefix *rest, size_t nrest);
void flow_text(struct flow *f, unsigned style, struct slice s);
/* Ends its last row and frees. */
void flow_end(struct flow *f);
/* Columns of a row that was made here: our own styles count nothing. */
size_t row_columns(struct slice row, const struct look *look);
/* Lines of plain text in one style, each a paragraph (hard: broken anywhere). */
void flow_lines(struct buf *out, const struct look *look, size_t width, const struct prefix *each, size_t n, unsigned style,
                struct slice text, bool hard);

#endif
