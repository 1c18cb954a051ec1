/* What stamps and landings share: a path below a root taken apart, and one name in a folder looked at. */
#ifndef CRANNOG_LAYERS_INTERNAL_H
#define CRANNOG_LAYERS_INTERNAL_H

#include "layers/stamp.h"

struct place {
    enum stamp_type way; /* FILE: the folder is open; ABSENT: there is none; OTHER: no folder lies there */
    int folder;          /* owned; -1 unless way is FILE */
    char name[STAMP_NAME_MAX + 1];
};

#define PLACE_CLEANUP __attribute__((cleanup(place_close)))
#define PLACE_INIT ((struct place){.folder = -1})

/* Opens the folder of `path` (`flags`: O_PATH to look, O_RDONLY to sync it too). No symlink is followed. */
enum err MUST_USE place_open(int root, struct slice path, int flags, struct place *ret, struct error *e);
/* The same; a symlink on the way is no error but `way`: LINK. */
enum err MUST_USE place_find(int root, struct slice path, int flags, struct place *ret, struct error *e);
void place_close(struct place *p);

/* Opens a regular file of a folder for reading, without waiting and without following. -1 and errno. */
int look_open(int folder, const char *name);
/* stamp_look() of one name in an open folder. */
enum err MUST_USE look_at(int folder, const char *name, struct buf *content, struct stamp *ret, struct error *e);

#endif
