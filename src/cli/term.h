/*
 * The terminal: a bar that lives on the last line of standard error, and plain lines where there is no terminal.
 */
#ifndef CRANNOG_CLI_TERM_H
#define CRANNOG_CLI_TERM_H

#include "engine/engine.h"

struct bar {
    bool live;          /* standard error is a terminal */
    bool color;
    size_t shown;       /* columns of the bar on the screen */
    int64_t drawn_ms;
    size_t printed;     /* pieces that were reported */
    size_t done_at_start, questions;
    int64_t started_ms;
    struct amounts used_at_start;
};

void bar_begin(struct bar *b, const struct run_state *r);
/* Called after each turn: reports pieces that are done or stuck since, and redraws at most ten times a second. */
void bar_update(struct bar *b, const struct engine *g, const struct run *r);
/* Takes the bar off the screen. */
void bar_end(struct bar *b);
/* "0:42", "1:03:10". */
void time_print(int64_t ms, struct buf *out);

#endif
