/* The imports of a CLAUDE.md: `@path` at the beginning of a word, outside of code (Claude Code's memory files). Pure. */
#ifndef CRANNOG_TOOLS_IMPORTS_H
#define CRANNOG_TOOLS_IMPORTS_H

#include "base/slice.h"

struct imports { /* start with {.text = …} */
    struct slice text;
    size_t at;
};

/* The next one: its path, without the @ and without a full stop or bracket behind it, and where it ends in the text. */
bool imports_next(struct imports *w, struct slice *ret_path, size_t *ret_end);
/* Whether somebody who writes @path surely means a file: "docs/a.md", "./a", "~/a", "/a", but not "types/node", "ann". */
bool imports_surely(struct slice path);

#endif
