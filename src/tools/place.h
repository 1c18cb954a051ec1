/*
 * Where a tool call happens: a run's work folder turned into a jail plan. The one place that knows what a jail of ours
 * looks like.
 */
#ifndef CRANNOG_TOOLS_PLACE_H
#define CRANNOG_TOOLS_PLACE_H

#include "jail/plan.h"

struct place {
    const char *work; /* absolute path of the work folder, the same inside */
    uint32_t uid, gid; /* of its owner */
    uint64_t dev, ino; /* which folder it is, whatever lies at the path later */
    bool has_state;   /* a .crannog lies in it and is covered */
    const char *state; /* absolute path of the crannog's own .crannog: covered too where it lies deeper; may be NULL */
};

/* Looks at the folder. ERR_MISSING or ERR_USAGE (not a folder) with its name. */
enum err MUST_USE place_look(const char *work, struct place *ret, struct error *e);
/* A plan with the system's view, a scratch /tmp, and `work` read-only or writable; limits as for a short file tool. */
void place_plan(const struct place *p, bool writable, struct jail_plan *ret);
/* The same for a command: its words (borrowed), `cpu_ms` of CPU and `wall_ms` of time. */
void place_command(const struct place *p, struct slice *argv, size_t n, uint64_t cpu_ms, uint64_t wall_ms, struct jail_plan *ret);

#endif
