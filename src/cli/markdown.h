/*
 * Markdown of a model, drawn for a terminal as it comes: line by line, so that a row which was shown once never changes.
 *
 * Headings, emphasis, code, fences, lists, tables, quotes, links, rules. What is not finished (a line, a table) can be
 * drawn as it stands by markdown_live(), as often as wanted. A line past 16 KiB or a table past 32 KiB is drawn in
 * parts. Any bytes; nothing reaches `out` but through the filter of cli/glyph.h.
 */
#ifndef CRANNOG_CLI_MARKDOWN_H
#define CRANNOG_CLI_MARKDOWN_H

#include "cli/glyph.h"

enum { MARKDOWN_LINE_MAX = 16 << 10, MARKDOWN_TABLE_MAX = 32 << 10 };

struct markdown {
    const struct look *look;
    size_t width;
    struct markdown_state {
        bool any;          /* a row was drawn */
        bool gap;          /* an empty line waits for what follows it */
        bool cut;          /* the line under way began in a part that was drawn */
        bool headless;     /* so did the table */
        char fence;        /* '`' or '~' in a fenced block, else 0 */
        size_t fence_n, fence_indent;
        int code;          /* what language, as far as it is coloured (markdown_code.c) */
    } state;
    struct buf line;       /* unfinished */
    struct buf table;      /* its lines so far */
};

void markdown_init(struct markdown *m, const struct look *look, size_t width);
void markdown_release(struct markdown *m);
/* Appends rows that are finished, each with "\n". */
void markdown_feed(struct markdown *m, struct slice s, struct buf *out);
/* Appends the rows of what is unfinished, without changing anything. */
void markdown_live(const struct markdown *m, struct buf *out);
/* The text ends here: appends the rest; ready for the next text. */
void markdown_end(struct markdown *m, struct buf *out);
bool markdown_idle(const struct markdown *m); /* nothing is unfinished */
/* The style of a line of a diff, by its first characters. */
unsigned diff_style(struct slice line);

#endif
