/*
 * Rows at the bottom of a terminal that are drawn again in place. What goes above them goes into the scrollback.
 *
 * Only rows that changed are written, each frame as one synchronized update (CSI ? 2026). All moves are relative, so it works
 * wherever the cursor was, without asking the terminal.
 */
#ifndef CRANNOG_CLI_AREA_H
#define CRANNOG_CLI_AREA_H

#include "cli/glyph.h"

enum { AREA_BYTES = 1 << 20 };

struct area {
    size_t columns;
    struct buf rows;       /* as drawn, each with "\n" */
    size_t nrows;
    size_t row, col;       /* where the cursor was left, from 0 */
};

void area_init(struct area *a, size_t columns);
void area_release(struct area *a);
/* Appends to `out` what puts `above` (rows with "\n", or nothing) into the scrollback and `rows` below it, no more of them
   than the terminal has, none wider than it. */
void area_draw(struct area *a, struct slice above, struct slice rows, size_t row, size_t col, struct buf *out);
/* Takes them off; the cursor stands where the first was. */
void area_erase(struct area *a, struct buf *out);
/* The terminal has another width and has wrapped what was drawn: takes it off. */
void area_reflow(struct area *a, size_t columns, struct buf *out);

#endif
