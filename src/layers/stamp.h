/*
 * Stamps: what lay at a path when it was looked at, so that it can be told later whether somebody changed it.
 */
#ifndef CRANNOG_LAYERS_STAMP_H
#define CRANNOG_LAYERS_STAMP_H

#include "base/hash.h"

enum stamp_type { STAMP_ABSENT = 0, STAMP_FILE = 1, STAMP_OTHER = 2 /* folder, link, device: never landed over */ };

struct stamp {
    enum stamp_type type;
    uint32_t mode, uid, gid; /* mode: permission bits only */
    uint64_t ino, size;
    int64_t mtime_ns, ctime_ns;
    struct hash hash; /* SHA-256 of the bytes of a FILE */
};

/* Looks at `path` (relative, no "..", no symlink followed) below the folder `root`. With `content`, a file's bytes are
   appended to it as well (ERR_LIMIT past its maximum). Reads the file and checks afterwards that it did not change
   meanwhile (three tries, then ERR_BUSY). */
enum err MUST_USE stamp_look(int root, struct slice path, struct buf *content, struct stamp *ret, struct error *e);
/* The same file untouched (type, ino, size, mtime, hash; ctime moves by our own exchange and is not compared). */
bool stamp_same(const struct stamp *a, const struct stamp *b);
/* As a message (wire/message.h fields), for intents and applets. */
void stamp_encode(const struct stamp *s, struct buf *ret);
bool stamp_decode(struct slice bytes, struct stamp *ret);

#endif
