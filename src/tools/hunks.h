/*
 * How one text becomes another, as hunks that can be taken one by one. A line here has its line end, so a CRLF that becomes a
 * LF is a line that differs, and a last line without an end one that differs from the same with it. Pure; any bytes.
 *
 * H1  The hunks in order, none of them overlapping: all of them taken give `after`, none `before`, to the byte.
 * H2  A text of some of them has no line without an end but its last.
 *
 * Changes with at most twice HUNKS_CONTEXT lines between them are one hunk, as in a diff. Past HUNKS_FAR lines that differ
 * (or the time for them) everything between the first and the last is one.
 */
#ifndef CRANNOG_TOOLS_HUNKS_H
#define CRANNOG_TOOLS_HUNKS_H

#include "base/arena.h"
#include "base/buf.h"

enum { HUNKS_CONTEXT = 3, HUNKS_FAR = 3000 };

/* Lines a.. of `before` become lines b.. of `after`. */
struct edit {
    size_t a, na, b, nb;
};

struct hunk {
    struct edit all;       /* from its first change to its last */
    size_t edit, nedits;   /* its changes, of hunks.edits */
};

struct hunks {
    struct slice *a, *b;   /* lines of `before` and `after` */
    size_t na, nb;
    struct edit *edits;
    size_t nedits;
    struct hunk *v;
    size_t n;
};

struct hunk_line {
    char sign; /* ' ', '-', '+' */
    struct slice text;
};

/* Everything lies in the arena, lines point into the texts. ERR_MEMORY. */
enum err MUST_USE hunks_find(struct slice before, struct slice after, struct arena *a, struct hunks *ret, struct error *e);
/* `before` with the hunks that are taken. */
void hunks_join(const struct hunks *h, const bool *taken, struct buf *ret);
/* Hunk i as a diff shows it, with its context; *ret_shown are the lines that it shows, from 0. ERR_MEMORY. */
enum err MUST_USE hunks_show(const struct hunks *h, size_t i, struct arena *a, struct edit *ret_shown, struct hunk_line **ret, size_t *ret_n,
                             struct error *e);

#endif
