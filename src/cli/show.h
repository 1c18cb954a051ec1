/* What `crannog show` shows of a run of an agent: show_story.c. */
#ifndef CRANNOG_CLI_SHOW_H
#define CRANNOG_CLI_SHOW_H

#include "cli/cli.h"

struct show_options {
    bool all;    /* whole outputs, and why each step was allowed */
    bool follow; /* what comes as it comes, until the run rests */
};

/* Prints it; the store is closed here. Returns the exit code. */
int show_story(struct cli *c, struct store *s, uint64_t run, const struct show_options *o);
/* "  what     text", with the text made safe; nothing for an empty one. */
void show_field(const char *what, struct slice text, struct buf *out);
/* The walls that the run's commands may have met, by how often. */
void show_walls(const struct json *run, struct buf *out);
void show_amounts(const char *what, const struct json *v, struct buf *out);

#endif
