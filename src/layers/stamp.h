/*
 * Stamps: what lay at a path when it was looked at, so that it can be told later whether somebody changed it.
 */
#ifndef CRANNOG_LAYERS_STAMP_H
#define CRANNOG_LAYERS_STAMP_H

#include <sys/stat.h>

#include "base/buf.h"
#include "base/hash.h"

/* Bounds of every path below a root; names are bytes, not text. */
enum { STAMP_PATH_MAX = 4095, STAMP_NAME_MAX = 255, STAMP_DEPTH_MAX = 64 };

enum stamp_type {
    STAMP_ABSENT = 0, STAMP_FILE = 1,
    STAMP_OTHER = 2, /* device, FIFO, socket: never landed over; on the way to a path: what is no folder */
    STAMP_LINK = 3,  /* symlink; size and hash are those of its text */
    STAMP_FOLDER = 4,
};

struct stamp { /* all zero but the type where nothing is there */
    enum stamp_type type;
    uint32_t mode, uid, gid; /* mode: permission bits only */
    uint32_t links;          /* names that the file has; one with several is never landed over either */
    uint64_t ino, size;
    int64_t mtime_ns, ctime_ns;
    struct hash hash; /* SHA-256 of the bytes of a FILE, of the text of a LINK */
};

/* Whether a path may be looked at: relative, no empty, "." or ".." part, no NUL, within the bounds; else ERR_USAGE and
   why. */
enum err MUST_USE stamp_check_path(struct slice path, struct error *e);
/*
 * Looks at `path` below the folder `root`. With `content`, a file's bytes are appended to it as well (ERR_LIMIT past
 * its maximum). Reads the file and checks afterwards that it did not change meanwhile (three tries, then ERR_BUSY).
 * A missing folder on the way is ABSENT, a file on the way is OTHER, a symlink on the way ERR_DENIED. Never waits, and
 * opens nothing but regular files.
 */
enum err MUST_USE stamp_look(int root, struct slice path, struct buf *content, struct stamp *ret, struct error *e);
/* The same thing untouched (type, ino, size, mtime, links, hash; ctime moves by our own exchange and is not compared).
   Of a FOLDER only type and ino: what lies in it has paths of its own. */
bool stamp_same(const struct stamp *a, const struct stamp *b);
/* What stat tells; the hash is missing. */
struct stamp stamp_of_stat(const struct stat *st);
/* A time of a stamp as calls take it, before 1970 too. */
struct timespec stamp_time(int64_t ns);
/* As a message (wire/message.h fields), for intents and applets. Decoding takes any bytes. */
void stamp_encode(const struct stamp *s, struct buf *ret);
bool stamp_decode(struct slice bytes, struct stamp *ret);
/* The same as hex digits, for JSON. */
void stamp_to_hex(const struct stamp *s, struct buf *ret);
bool stamp_from_hex(struct slice hex, struct stamp *ret);

#endif
