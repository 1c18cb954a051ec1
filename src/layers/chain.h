/*
 * The folders on the way to a path, kept open while paths are worked off in order, so that each folder is opened once.
 * As walk.h has it: no link is followed, and what a step has shut is open only as long as it is on the way.
 */
#ifndef CRANNOG_LAYERS_CHAIN_H
#define CRANNOG_LAYERS_CHAIN_H

#include "layers/walk.h"

struct chain {
    int base; /* borrowed */
    struct walk_path path;
    struct walk_open v[STAMP_DEPTH_MAX];
};
#define CHAIN_INIT ((struct chain){.base = -1})
#define CHAIN_CLEANUP __attribute__((cleanup(chain_release)))

/*
 * Goes to `folder` below `base` ("" is base itself): *ret is its descriptor, borrowed until the next call, or -1 where no
 * folder lies there. `make`: folders that are not there are made (0700).
 */
enum err MUST_USE chain_go(struct chain *c, int base, struct slice folder, bool make, int *ret, struct error *e);
/* The same for the folder of `path`; *ret_name is its last part, with a NUL behind it. */
enum err MUST_USE chain_go_parent(struct chain *c, int base, struct slice path, bool make, int *ret,
                                  char ret_name[STAMP_NAME_MAX + 1], struct error *e);
void chain_release(struct chain *c);

#endif
