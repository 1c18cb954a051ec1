/* What the files of this folder share with each other only. */
#ifndef CRANNOG_CORE_INTERNAL_H
#define CRANNOG_CORE_INTERNAL_H

#include "core/plan.h"

enum template_kind {
    TEMPLATE_PATH,  /* every "{" must begin a variable: a typo would become a file name */
    TEMPLATE_SHELL, /* what looks like a variable must be one, and stand where its quotes hold */
    TEMPLATE_TEXT,  /* what looks like a variable must be one, in an item that has one */
};

/* The first place in a template that is wrong, and why; false if there is none. */
bool template_wrong(struct slice template, struct slice var, enum template_kind kind, struct slice *ret_where,
                    const char **ret_why);
bool template_has(struct slice template, struct slice var);

#endif
