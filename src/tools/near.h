/* Which names are like one that is not there. Pure. */
#ifndef CRANNOG_TOOLS_NEAR_H
#define CRANNOG_TOOLS_NEAR_H

#include "base/slice.h"

enum { NEAR_MAX = 3 };

/* Up to NEAR_MAX of the names, the nearest first; those that are like it in nothing are not among them. */
size_t near_names(struct slice wanted, const struct slice *names, size_t n, struct slice ret[NEAR_MAX]);

#endif
