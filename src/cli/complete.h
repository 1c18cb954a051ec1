/*
 * What the edit box can complete: files behind "@" by a callback, commands behind "/" by a table.
 */
#ifndef CRANNOG_CLI_COMPLETE_H
#define CRANNOG_CLI_COMPLETE_H

#include "base/slice.h"

enum { COMPLETE_MAX = 32, COMPLETE_TEXT_MAX = 400 };

struct complete_command {
    const char *name; /* without the "/" */
    const char *help; /* some words */
};

struct complete_list {
    size_t n;
    struct complete_item {
        char text[COMPLETE_TEXT_MAX]; /* what the word becomes; NUL-terminated */
        const char *help;             /* or NULL */
    } items[COMPLETE_MAX];
};

/* Adds one; what is too long, not UTF-8, or past the list's end is left out. */
void complete_add(struct complete_list *l, struct slice text, const char *help);
/* Gives paths for what was typed behind "@" (may be empty), best first; folders end with "/". Called at each key: it must be
   fast. The files need no filter, the edit box has one. */
typedef void complete_files_fn(void *arg, struct slice prefix, struct complete_list *ret);

#endif
