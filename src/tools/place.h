/*
 * Where a tool call happens: a run's work folder turned into a jail plan. The one place that knows what a jail of ours
 * looks like.
 */
#ifndef CRANNOG_TOOLS_PLACE_H
#define CRANNOG_TOOLS_PLACE_H

#include "jail/plan.h"
#include "tools/setting.h"
#include "tools/terms.h"

struct place {
    const char *work; /* absolute path of the work folder, the same inside */
    uint64_t dev, ino; /* of the folder itself */
    uint32_t uid, gid; /* of its owner */
    char cover[JAIL_PATH_MAX + 1]; /* its .crannog, which no jail shows, */
    const char *state;             /* nor the state of the crannog at work, if that lies in it by another way; or NULL */
    bool holds_state;      /* it does lie in it */
    uint32_t id_range;     /* of that crannog's jails, by its path: those of two crannogs are strangers to each other */
    /* how a step sees the folder; none of these: as it is */
    struct slice *layers;  /* under these layers (jail/plan.h JAIL_LAYERS), */
    size_t nlayers;
    struct slice upper;    /* and what it writes goes here; */
    struct slice copy;     /* or it works in this copy instead. Absolute paths, borrowed */
    struct slice *masked;  /* files of it that are seen empty: absolute paths, borrowed */
    size_t nmasked;
    const struct terms *terms;     /* what was said of a run's commands; NULL: nothing. Borrowed */
    const struct setting *setting; /* what a command finds around it; NULL: the bare system. Borrowed */
};

/* Looks at the folder. `state` is the real path of the crannog's own .crannog (borrowed), or NULL. ERR_MISSING, ERR_USAGE (not a folder) or ERR_LIMIT (its path is too long) with its name. */
enum err MUST_USE place_look(const char *work, const char *state, struct place *ret, struct error *e);
/* Hides files of the work folder, paths below it. What it needs lies in the arena. ERR_MEMORY. */
enum err MUST_USE place_mask(struct place *p, const struct slice *below, size_t n, struct arena *a, struct error *e);
/* A plan with the system's view, a scratch /tmp, and `work`: as the place says, or as it is and then read-only or
   writable; limits as for a short file tool. It borrows *p. */
void place_plan(const struct place *p, bool writable, struct jail_plan *ret);
/* The same for a command: its words (borrowed), `cpu_ms` of CPU and `wall_ms` of time, its setting and terms (but those of CPU and time,
   which the caller has looked at); in layers or a copy it may
   write up to PLACE_DISK_GIB in PLACE_FILES files; of memory PLACE_MEMORY_GIB, or three quarters of the machine. What the plan needs beyond *p lies in the arena. ERR_MEMORY; ERR_LIMIT where it
   has more mounts than a plan may. */
enum { PLACE_DISK_GIB = 8, PLACE_FILES = 1000000, PLACE_MEMORY_GIB = 8 };
enum err MUST_USE place_command(const struct place *p, struct slice *argv, size_t n, uint64_t cpu_ms, uint64_t wall_ms, struct arena *a,
                                struct jail_plan *ret, struct error *e);

#endif
