/* A run of a command; shared by exec and fork. */
#ifndef CRANNOG_CLI_EXEC_H
#define CRANNOG_CLI_EXEC_H

#include "cli/session.h"

struct exec_job {
    char work[PATH_MAX];
    struct stat st;
    char **argv;
    int argc;
    const struct terms *terms;  /* of the session; set by exec_work() */
    bool asks;                  /* its changes wait for a word */
    const struct json *layers;  /* that it begins with, as run.started has them; NULL: none. Borrowed */
    bool copies;                /* those layers were made by copies */
    struct slice services;      /* made by exec_work() */
    const struct json *origin;  /* what it is a fork of; NULL. Borrowed */
};

/* Begins the run, works on it, says what came of it. The exit status of the program. */
int exec_work(struct cli *c, struct exec_job *j);

/* Prints the plan of the jail that the command would get; starts and keeps nothing. */
int exec_show_plan(struct cli *c, const struct exec_job *j);

#endif
