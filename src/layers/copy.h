/*
 * The second back end: where no overlay can be mounted (Docker's root as the state's place, some containers, a state
 * below the root itself), a step works in a whole copy of the root, with the run's layers applied to it.
 */
#ifndef CRANNOG_LAYERS_COPY_H
#define CRANNOG_LAYERS_COPY_H

#include "layers/manifest.h"

enum { COPY_FILES_MAX = 200000, COPY_INDEX_MAX = 15 * 1024 * 1024 };

/*
 * Copies what lies below `root` into the empty folder `to`: files (by reflink or copy_file_range, holes kept), links,
 * folders, modes (without setuid and setgid, which no jail may give), mtimes; not `cover` (a name directly below root), not
 * sockets, FIFOs, devices, nor what cannot be read. Then applies the changes of `layers` (flattened; `folders[c->layer]`
 * holds what is new). Appends to `index` what is needed to tell later what a step changed (layers/copy_index.h).
 * `bytes_max`: ERR_LIMIT where the root is larger. ERR_NO_SPACE. Nothing is synced: a copy is redone after a crash.
 */
enum err MUST_USE copy_root(int root, int to, const char *cover, const struct manifest *layers, const int *folders,
                            uint64_t bytes_max, struct buf *index, struct error *e);

#endif
