/*
 * The terminal: a bar that lives on the last line of standard error, and plain lines where there is no terminal.
 */
#ifndef CRANNOG_CLI_TERM_H
#define CRANNOG_CLI_TERM_H

#include "engine/engine.h"

enum { BAR_ITEMS_MAX = PLAN_ITEMS_MAX + 1 }; /* the plan's own check is the last */

struct bar {
    bool live;          /* standard error is a terminal */
    bool color;
    size_t shown;       /* columns of the bar on the screen */
    int64_t drawn_ms;
    uint32_t *told[BAR_ITEMS_MAX]; /* of each line of an item, what was reported */
    size_t ntold[BAR_ITEMS_MAX];
    size_t done_at_start, questions;
    int64_t started_ms;
    size_t moved;       /* what was done when the bar last went on, and when that was */
    int64_t moved_ms;
    struct amounts budget; /* what the run may have used at most, by its own cap or one above it */
};

/* `left`: what the caps leave it now. */
void bar_begin(struct bar *b, const struct run_state *r, const struct amounts *left);
/* Called after each turn: reports pieces that are done or stuck since, and redraws at most ten times a second. */
void bar_update(struct bar *b, const struct engine *g, const struct run *r);
/* Takes the bar off the screen and tells what was not told yet. */
void bar_end(struct bar *b, const struct run_state *r);
/* "0:42", "1:03:10". */
void time_print(int64_t ms, struct buf *out);

#endif
