/*
 * The index of a copy: what lay where when the copy was made (copy.h), to be compared when its step has ended (seal.h).
 *
 * FORMAT, little-endian: "crni", u16 version (1), then to its end each path in N1's order (manifest.h):
 *     u16 bytes shared with the path before   u16 length, the other bytes   u8 type in the copy   u8 type in the root
 *     u8 flags (1: a hash follows)   u32 mode   u64 ino   u64 size   i64 mtime_ns   i64 ctime_ns   (of the copy)
 *     u64 ino   i64 ctime_ns (of the root)   32 bytes hash
 * The hash stands where a layer made the path; what came from the root is compared with the root, and not read for this.
 */
#ifndef CRANNOG_LAYERS_COPY_INDEX_H
#define CRANNOG_LAYERS_COPY_INDEX_H

#include "layers/manifest.h"

void copy_index_begin(struct buf *index);
/* `c->before`: the root's stamp, `c->after`: the copy's; `last`: the path before, empty for the first. */
void copy_index_add(struct buf *index, struct slice last, const struct change *c);
/* Any bytes (ERR_CORRUPT, ERR_VERSION, ERR_LIMIT, ERR_MEMORY). All in `a`. Of `before` only type, ino and ctime are known. */
enum err MUST_USE copy_index_decode(struct slice bytes, struct arena *a, struct manifest *ret, struct error *e);

#endif
