/*
 * Survey: what of a root a step could not write, known before the first write. Runs in a jail, as the user of the step.
 */
#ifndef CRANNOG_LAYERS_SURVEY_H
#define CRANNOG_LAYERS_SURVEY_H

#include "layers/stamp.h"

enum { SURVEY_FILES_MAX = 100000, SURVEY_MS_MAX = 100 /* a step waits for it */, SURVEY_EXAMPLE_MAX = 255 };

struct survey {
    uint64_t files, folders;
    bool cut;                /* more than SURVEY_FILES_MAX, or than SURVEY_MS_MAX were enough for: the rest was not looked at */
    uint64_t foreign_owner;  /* belong to another user: cannot be changed */
    uint64_t foreign_group;  /* own, but in a group that the step's user cannot give: an ordinary user's overlay refuses
                                every write to them with EOVERFLOW */
    uint64_t special;        /* sockets, FIFOs, devices: a step cannot reach what is behind them */
    char example[SURVEY_EXAMPLE_MAX + 1]; /* path of the first file of a foreign owner or group, "" if there is none */
};

/* `uid`, `gid`: those of the step. `range`: the jail has a whole range of ids (root), so no file is foreign, and none is looked at. */
enum err MUST_USE survey_root(int root, uint32_t uid, uint32_t gid, bool range, const char *cover, struct survey *ret,
                              struct error *e);

#endif
