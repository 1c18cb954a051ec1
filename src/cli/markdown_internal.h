/* What the files of the markdown renderer share. */
#ifndef CRANNOG_CLI_MARKDOWN_INTERNAL_H
#define CRANNOG_CLI_MARKDOWN_INTERNAL_H

#include "cli/flow.h"
#include "cli/markdown.h"

/* Emphasis, code, links and escapes of one line. Linear in its length but for links, which look 2 KiB ahead. */
void markdown_inline(struct flow *f, unsigned style, struct slice s);

/* Whether lines can be rows of a table; whether the second line makes it one ("|---|:-:|"). */
bool markdown_is_row(struct slice line);
bool markdown_is_delimiter(struct slice line);
/* Draws lines as a table. `headless`: they go on with one, without header and delimiter. */
void markdown_table(struct slice lines, bool headless, const struct look *look, size_t width, struct buf *out);

/* The language behind a fence as a number for markdown_code(); 0 is not coloured. */
int markdown_language(struct slice info);
/* One line of code. */
void markdown_code(struct flow *f, int language, struct slice line);

#endif
