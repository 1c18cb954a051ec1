/* How a person is asked about changes, one by one, at a terminal: what is shown and what they answer (cli/hunks.c). */
#ifndef CRANNOG_CLI_HUNKS_ASK_H
#define CRANNOG_CLI_HUNKS_ASK_H

#include "layers/manifest.h"
#include "tools/hunks.h"

enum hunks_word { HUNKS_YES = 'y', HUNKS_NO = 'n', HUNKS_ALL = 'a', HUNKS_NONE = 'd', HUNKS_QUIT = 'q' };

/* What of one path is asked about, in its order; most have one. */
struct hunks_asked {
    const char *what;  /* "the new file ", "hunk " where there are several */
    size_t n, of;      /* the n-th of so many hunks; of 1: it needs no number */
};

/* Prints the question and reads the answer to it; what is none gets the help. The end of input is `q`. */
enum hunks_word hunks_ask(struct slice path, const struct hunks_asked *about, bool color);
/* The head of a path: its name, and why it should be looked at. */
void hunks_print_head(const struct change *c, bool color);
/* A hunk, coloured as git does. ERR_MEMORY. */
enum err MUST_USE hunks_print(const struct hunks *h, size_t i, bool color, struct error *e);
/* What a change that is taken whole is called. */
const char *hunks_kind(const struct change *c);
/* "mode 644 -> 755", "only its time changes": what a diff of contents does not show; nothing where there is none. */
void hunks_print_meta(const struct change *c);

#endif
