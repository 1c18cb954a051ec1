/*
 * Manifests: what a layer changed, as data. The one description that landing, undo, squash, the copy back end and `diff`
 * work from; the layer's folder only holds the bytes of what is new.
 *
 * FORMAT, little-endian, no padding: "crnm", u16 version (2), u32 number of changes, then each change:
 *     u16 length, path bytes   u8 flags (1: moved)   u16 layer   before   after
 * a node (before, after): u8 type; and unless that is ABSENT: u32 mode  u32 uid  u32 gid  u32 links  u64 ino  u64 size
 *     i64 mtime_ns  i64 ctime_ns; and for FILE and LINK: 32 bytes hash.
 * Then u16 number of paths that were seen, each u16 length, path bytes, a node. Version 1 ends before that.
 *
 * N1  Changes stand in ascending order of their paths, compared part by part (so a folder stands before what lies in it,
 *     and all of that before its next sibling); no path twice; each path obeys stamp_check_path().
 * N2  `before` is what lay in the root itself (not in layers below) when the layer was sealed. A folder that the layer
 *     removed or made anew is followed by a change for everything that lay below it, so nothing is removed that no
 *     manifest names.
 * N3  `after` of FILE: the layer's folder holds it at the same path, with this hash, mode and mtime. LINK: likewise.
 *     FOLDER: mode and mtime. ABSENT: there is nothing. OTHER never (a socket, FIFO or device that a step left behind is
 *     not kept; seal counts them).
 *     Both are ABSENT where a layer took away what only layers below it had made.
 * N5  `seen`: paths that are not among the changes, in N1's order, on which the changes stand: HEAD and packed-refs of a
 *     repository whose refs changed. Landing takes it for a conflict if they are others by then.
 * N4  Any bytes are a manifest or an error: decoding checks all of this.
 */
#ifndef CRANNOG_LAYERS_MANIFEST_H
#define CRANNOG_LAYERS_MANIFEST_H

#include "base/arena.h"
#include "layers/stamp.h"

enum { MANIFEST_SEEN_MAX = 1000, MANIFEST_CHANGES_MAX = 200000, MANIFEST_BYTES_MAX = 15 * 1024 * 1024 /* so that it fits in a jail's plan */ };

struct change {
    struct slice path;
    struct stamp before, after;
    bool moved;     /* somebody changed `before` while the step was at work: what the step saw is not known */
    uint16_t layer; /* which of several layers holds `after` (manifest_flatten); 0 where there is one */
};

struct seen { /* of `was` only type, size and hash count */
    struct slice path;
    struct stamp was;
};

struct manifest {
    struct change *v;
    size_t n;
    struct seen *seen;
    size_t nseen;
};

/* N1's order: <0, 0, >0. */
int manifest_path_cmp(struct slice a, struct slice b);
/* The change of a path, or NULL. */
const struct change *manifest_find(const struct manifest *m, struct slice path);
/* Appends the format; m must obey N1 (asserted). The buffer fails past its maximum. */
void manifest_encode(const struct manifest *m, struct buf *ret);
/* Slices point into `bytes`, the array lies in `a`. ERR_CORRUPT, ERR_VERSION, ERR_LIMIT, ERR_MEMORY. */
enum err MUST_USE manifest_decode(struct slice bytes, struct arena *a, struct manifest *ret, struct error *e);
/*
 * What layers 0..n-1 (oldest first) come to together: `before` of the oldest that names a path, `after` of the newest, and
 * in `layer` the number of the layer that holds it. A path that came to what it was before (made and removed again;
 * content, mode and mtime put back; of a folder the mode) is left out. A later layer's removal of a folder removes what
 * older layers put into it. `moved` of the oldest that names the path counts. What the oldest has seen counts, if nothing
 * changes it. Slices point where those of `m` do.
 */
enum err MUST_USE manifest_flatten(const struct manifest *m, size_t n, struct arena *a, struct manifest *ret, struct error *e);

struct manifest_count {
    size_t added, changed, removed; /* files and links; folders are not counted */
    uint64_t bytes;                 /* of the files in `after` */
};
struct manifest_count manifest_count(const struct manifest *m);

#endif
