/*
 * A list to choose from: typing filters it by subsequence, arrows move, Enter takes, Esc leaves. At any width from 20
 * columns and any height from one row. Blocks in a loop of its own; needs no screen.
 */
#ifndef CRANNOG_CLI_PICK_H
#define CRANNOG_CLI_PICK_H

#include "base/slice.h"

struct look;

enum { PICK_ASK_MAX = 32 };

struct pick_item {
    struct slice label;  /* what is typed for */
    struct slice detail; /* dim, behind it or cut; also searched */
};

/* The score of a label for what was typed: 0 no match, else larger is better. Without regard to case; "" matches all. */
unsigned pick_score(struct slice label, struct slice typed);

/*
 * Draws on `out`, reads `in`. *ret is the index, or -1 after Esc, Ctrl-C or hangup. Where one of them is no terminal it prints
 * the items with numbers and reads a line with a number or a label. `look` may be NULL: by the environment.
 */
void pick_run(int in, int out, const struct look *look, struct slice title, const struct pick_item *items, size_t n, long *ret);

#endif
