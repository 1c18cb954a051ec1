/*
 * Replacing text in a text, the way models ask for it. Pure.
 *
 * Edits are taken in order, each on what the one before left; all of them happen or none. An `old` is looked for as it is.
 * Where it is not there, and only if then exactly one place matches, these differences are overlooked, and `new` is
 * brought into the file's own form: line ends (CRLF, LF), blanks at line ends, an indentation that differs in the same
 * way on every line. A byte order mark stays; in a file whose lines all end in CRLF new lines do too.
 */
#ifndef CRANNOG_TOOLS_EDIT_H
#define CRANNOG_TOOLS_EDIT_H

#include "base/buf.h"

enum { EDITS_MAX = 100, EDIT_BYTES_MAX = 16 * 1024 * 1024 /* of the file, before and after */, EDIT_SAY_MAX = 4096 };

struct edit {
    struct slice old, new;
    bool all; /* every place, at least one */
};

struct edited {
    size_t replaced;
    size_t added, removed; /* lines */
    size_t line;           /* the first that changed, from 1 */
};

/*
 * Appends the new text to `ret` (max EDIT_BYTES_MAX will do). `say` gets what a model should know, in lines of UTF-8, at most EDIT_SAY_MAX bytes: on
 * success notes, or nothing; on an error why nothing was changed: that it was not found, and the closest lines with their
 * numbers (ERR_MISSING); the lines of all places where there is more than one (ERR_CONFLICT); an empty or useless edit
 * (ERR_USAGE). ERR_LIMIT for what is too large. `name` is what the text is called.
 */
enum err MUST_USE edit_apply(struct slice whole, struct slice name, const struct edit *edits, size_t n, struct buf *ret, struct buf *say,
                             struct edited *ret_edited);

#endif
