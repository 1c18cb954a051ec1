/* What edit.c (what to do) and edit_find.c (where) share. */
#ifndef CRANNOG_TOOLS_EDIT_INTERNAL_H
#define CRANNOG_TOOLS_EDIT_INTERNAL_H

#include "tools/edit.h"
#include "tools/lines.h"

enum { EDIT_PLACES_MAX = 8 /* that are told */, EDIT_ARENA = 1024 * 1024 * 1024 /* of address space */ };

enum indent_change { INDENT_SAME, INDENT_MORE, INDENT_LESS, INDENT_TABS, INDENT_BLANKS };

struct indent { /* how the file's indentation is made from that of `old` */
    enum indent_change change;
    struct slice unit; /* MORE, LESS: what the file has more, or less */
    size_t width;      /* TABS, BLANKS: blanks for a tab */
};

struct place {
    size_t from, to;      /* bytes of the file */
    struct indent indent;
    bool found, many;     /* many: and it is not the only one */
};

/* Where a file that has CRLF, or an `old` that has, is the same but for line ends. The arena holds temporary copies. */
struct place edit_find_ends(struct slice file, struct slice old, struct arena *a);
/* Whole lines that are the same but for blanks at their ends, or, with `indent`, but for a uniform indentation too. */
struct place edit_find_lines(struct slice file, struct slice old, bool indent, struct arena *a);
/* Appends one line of `new` with its indentation changed in that way. */
void edit_indent(struct slice line, const struct indent *indent, struct buf *ret);
/* Says which lines are closest to `old`, with their numbers and text. */
void edit_tell_closest(struct slice file, struct slice old, struct arena *a, struct buf *say);

#endif
