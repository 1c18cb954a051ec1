/*
 * What a person said before: a file of one line an entry, oldest first, mode 0600; newlines and backslashes escaped.
 * Several programs may append at once. At most 1,000 entries of 64 KiB, 8 MiB in all; the file is cut when it is read.
 */
#ifndef CRANNOG_CLI_HISTORY_H
#define CRANNOG_CLI_HISTORY_H

#include "base/buf.h"

enum { HISTORY_MAX = 1000, HISTORY_ENTRY_MAX = 64 << 10, HISTORY_FILE_MAX = 8 << 20 };

struct history {
    const char *path; /* or NULL: only in memory */
    size_t n;
    struct buf *entries; /* HISTORY_MAX of them */
};

/* A file that cannot be read or made is as none. */
void history_init(struct history *h, const char *path);
void history_release(struct history *h);
/* Not what is empty, too long, begins with a blank, or is the last entry again. */
void history_add(struct history *h, struct slice text);
struct slice history_at(const struct history *h, size_t i);

#endif
