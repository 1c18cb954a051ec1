/*
 * Which wall of its jail a command may have run into, and the line that would allow it: advice, made after its end from how it ended and from
 * the last of what it printed. What it printed is outside bytes, so nothing is decided by this, and nothing outside is looked at for it (whether a
 * path exists there is not told to who made it up). Of limits it is certain, of all else it says "perhaps".
 */
#ifndef CRANNOG_TOOLS_DENIAL_H
#define CRANNOG_TOOLS_DENIAL_H

#include "jail/client.h"
#include "tools/place.h"

enum { DENIALS_MAX = 3, DENIAL_TAIL = 8 * 1024, DENIAL_WORDS = 2048 };

struct denials {
    const char *walls[DENIALS_MAX]; /* "network", "read-only", "not shown", "time", ...: to be counted */
    size_t n;
    struct buf words;               /* a line each; the caller releases */
};

/* `out`: what it printed, of which the last DENIAL_TAIL bytes are read; may be empty. `place` says what it could see. */
void denial_find(const struct jail_result *r, struct slice out, const struct place *place, struct denials *ret);

#endif
