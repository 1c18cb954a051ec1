/*
 * Where a path of an agent leads, inside a jail. A path is opened without rights (O_PATH), links followed, and then the
 * kernel is asked where it came to lie (/proc/self/fd); whoever uses it uses this descriptor, so nothing can be exchanged
 * between the look and the use. Nothing is opened for its bytes that is no plain file, so nothing waits.
 */
#ifndef CRANNOG_TOOLS_INSIDE_FIND_H
#define CRANNOG_TOOLS_INSIDE_FIND_H

#include <sys/stat.h>

#include "tools/inside_args.h"

struct found {
    int fd;                       /* O_PATH */
    char path[INSIDE_PATH_BYTES]; /* absolute, where it lies */
    struct stat st;
};
#define FOUND_INIT ((struct found){.fd = -1})
#define FOUND_CLEANUP __attribute__((cleanup(found_close)))
void found_close(struct found *f);

/* Finds `path` from the folder `root` (or absolute). ERR_MISSING, ERR_USAGE (empty, NUL, too long), ERR_DENIED, ERR_IO: its
   text begins with the path. */
enum err MUST_USE found_find(int root, struct slice path, struct found *ret, struct error *e);
/* Opens it for reading; the caller closes *ret. ERR_UNSUPPORTED for what is no plain file, or lies in /proc or /sys. */
enum err MUST_USE found_open(const struct found *f, int *ret, struct error *e);
/* Its bytes. ERR_LIMIT where there are more than `ret` may hold. */
enum err MUST_USE found_read(const struct found *f, struct buf *ret, struct error *e);
/* Whether it lies below the folder, or is it. */
bool found_within(const struct found *f, struct slice folder);

/* A place for a file: the folder it goes into and its name. */
struct spot {
    struct found folder;      /* open, below ROOT or /tmp */
    char name[256];
    bool exists;              /* then a plain file */
    struct stat st;           /* of it */
};
#define SPOT_INIT ((struct spot){.folder = FOUND_INIT})
#define SPOT_CLEANUP __attribute__((cleanup(spot_close)))
void spot_close(struct spot *s);
/*
 * Finds where writing to `path` writes, links followed. With `make`, missing folders on the way are made; without, they
 * are ERR_MISSING. ERR_DENIED for what lies neither below `root` nor below /tmp, ERR_UNSUPPORTED for what is there and no plain file.
 */
enum err MUST_USE spot_find(const struct found *root, struct slice path, bool make, struct spot *ret, struct error *e);
/* The file there, opened; the caller closes *ret. */
enum err MUST_USE spot_read(const struct spot *s, struct buf *ret, struct error *e);
/* Replaces or makes the file in one step. */
enum err MUST_USE spot_write(const struct spot *s, struct slice content, mode_t mode, struct error *e);

#endif
