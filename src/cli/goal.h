/* `crannog run "goal"`: an agent works on it without anybody watching. */
#ifndef CRANNOG_CLI_GOAL_H
#define CRANNOG_CLI_GOAL_H

#include "cli/session.h"

struct goal_options {
    const char *goal, *in, *budget, *model, *verify; /* NULL: not said */
    unsigned tries;                                  /* of the check; 0: not said */
    bool yes, no_branch, again;
    const char *land;                                /* "end", "ask", "step"; NULL: by what the folder is */
};

/* Whether what `run` was given is meant as a goal and not as the path of a plan. */
bool goal_is(const char *text);
/* Begins it, or goes on with the unfinished run of the same words in the same folder. Returns the exit code. */
int goal_run(struct cli *c, const struct goal_options *o);
/* Works on s->run, an agent's that nobody attends, until it rests, and says what came of it. Returns the exit code. */
int goal_go_on(struct cli *c, struct session *s);

#endif
