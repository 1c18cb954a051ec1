/*
 * Sealing: a step has ended, nothing is mounted or running any more; what did it change? Runs in a jail (tools/inside.c)
 * that sees the root read-only and the layer's folder.
 *
 * Two back ends leave two kinds of folder:
 *   overlay   the upper folder of an overlay mounted with `userxattr`: changed files whole, whiteouts (character device
 *             0/0), folders with user.overlay.opaque=y
 *   copy      a whole copy of the root in which the step worked (copy.h): changes are found by comparing with the index
 *             taken when it was made
 *
 * Z1  The manifest names every difference between what the step saw at its end and what lay below its layer (the root
 *     with the layers between), and nothing else.
 * Z2  When a seal function says OK, everything that the manifest needs is durable (files and folders synced: one by one
 *     below SEAL_SYNC_EACH files, with one syncfs above).
 * Z3  The folder is hostile input: no link is followed, no device opened, nothing waited for, every count bounded.
 * Z4  A change is `moved` where the root's file has a ctime at or after `began_ns` (CLOCK_REALTIME when the step's mount
 *     was made, less SEAL_TICK_NS for the clock's grain): a person wrote to it while the step was at work. As DESIGN.md
 *     section 5 has it: a clock that was stepped counts as moved.
 */
#ifndef CRANNOG_LAYERS_SEAL_H
#define CRANNOG_LAYERS_SEAL_H

#include "layers/manifest.h"

enum { SEAL_SYNC_EACH = 20, SEAL_TICK_NS = 10 * 1000 * 1000 };

struct seal {
    int root;          /* the root folder (O_RDONLY | O_DIRECTORY) */
    int layer;         /* the folder that holds what is new: overlay's upper, or the copy */
    int64_t began_ns;  /* see Z4 */
    /* The layers that were below this one, flattened, or NULL where there were none. For seal_overlay() alone: without it a
       layer that takes back what an older one did looks like one that did nothing. */
    const struct manifest *below;
    const char *cover; /* the name directly below root that no jail shows and no layer changes (".crannog"), or NULL */
};

struct sealed {
    struct manifest manifest;
    uint64_t left_out;         /* sockets, FIFOs, devices that the step left: not part of the layer */
    struct slice left_example; /* one of their paths, or empty */
};

/*
 * Of an overlay's upper folder. Everything in ret lies in `a`. Sockets, FIFOs and devices are removed from the layer (a
 * whiteout takes their place where they had replaced something). What of the root cannot be read stands as OTHER in
 * `before`: it is never landed over. ERR_LIMIT past MANIFEST_CHANGES_MAX and for paths that break a bound, ERR_CORRUPT for an
 * upper that a crannog's jail cannot have made (redirect or metacopy attributes), ERR_IO, ERR_NO_SPACE.
 */
enum err MUST_USE seal_overlay(const struct seal *s, struct arena *a, struct sealed *ret, struct error *e);
/*
 * Of a copy. `index` is what copy_root() gave. Changed files stay in the copy at their paths, so that afterwards the
 * copy is a folder as N3 wants it (what did not change is removed from it, and so are folders without changes in them).
 * After an error it may be called again; but where the process was killed, it may have been removing already: make the
 * copy anew.
 */
enum err MUST_USE seal_copy(const struct seal *s, struct slice index, struct arena *a, struct sealed *ret, struct error *e);

#endif
