/* The entries of a story (view/story.h) as lines for people. Every text of a model, a tool or a file goes through cli_print_safe()
   or the filter of cli/glyph.h. */
#ifndef CRANNOG_CLI_STORY_PRINT_H
#define CRANNOG_CLI_STORY_PRINT_H

#include "cli/glyph.h"
#include "text/json.h"

enum { STORY_LINES = 6 /* of an output, where not all is shown */ };

struct story_look {
    struct look look;
    size_t width;   /* columns; SIZE_MAX: lines are not cut */
    bool markdown;  /* what the model says is drawn, not printed */
    bool all;       /* whole outputs, and why each step was allowed */
    bool cut;       /* set: something was left out that `all` shows */
    int64_t day;    /* of the last time that was printed, so that a new day is told */
};

/* The run in a few lines: what view_run() gives. */
void story_head(struct story_look *k, const struct json *run, struct buf *out);
void story_entry(struct story_look *k, const struct json *entry, struct buf *out);
/* What waits for a person and how it is answered; how to see more. */
void story_foot(struct story_look *k, const struct json *run, struct buf *out);

#endif
