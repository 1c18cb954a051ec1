/* What the parts of `crannog doctor` share. */
#ifndef CRANNOG_CLI_DOCTOR_H
#define CRANNOG_CLI_DOCTOR_H

#include "cli/cli.h"

struct findings {
    struct json *list;
    bool json, bad;
};

/* Tells of one thing that was tried: a line, or an object of the list. What is not ok makes the command fail. */
void found(struct findings *f, bool ok, const char *what, const char *text);

/* doctor_jail.c: each wall of the jail by an attempt from inside. */
void doctor_jail(struct findings *f);
/* doctor_fix.c: writes what the machine lacks; `root`: the folder of another system, or NULL for this one. */
void doctor_fix(struct findings *f, const char *root);

#endif
