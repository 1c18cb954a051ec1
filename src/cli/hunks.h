/* crannog apply --hunks: shows what waits change by change, asks which of it is to land, and lands that. */
#ifndef CRANNOG_CLI_HUNKS_H
#define CRANNOG_CLI_HUNKS_H

#include "cli/cli.h"

/* The whole command for a run (NULL: the latest). `only`: about what is at or below these paths, a line each; empty: all.
   Nothing is journaled, and nobody is kept from the run, before all answers are there. Returns the exit code. */
int hunks_apply(struct cli *c, const char *named, struct slice only);

#endif
