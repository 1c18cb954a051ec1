/*
 * The body of the crannog-jail program: reads one plan from descriptor 3, plays it, reports, ends.
 */
#ifndef CRANNOG_JAIL_RUN_H
#define CRANNOG_JAIL_RUN_H

#include "base/buf.h"

/* Runs inside the jail, with all walls up, as the plan's uid, in the plan's cwd. Fills `reply` (a message). */
struct jail_applet {
    const char *name;
    enum err (*run)(struct slice args, struct buf *reply, struct error *e);
};

/* Returns the exit status of the program. */
int jail_main(const struct jail_applet *applets, size_t n);

#endif
