/*
 * What everything that goes through a layer's folder shares. Such a folder was written by a step: no link is followed,
 * nothing is opened but folders and plain files, nothing is waited for, and what the step has shut (mode 000) is opened
 * for as long as it is needed, for the process has the step's uid and no more rights than it.
 */
#ifndef CRANNOG_LAYERS_WALK_H
#define CRANNOG_LAYERS_WALK_H

#include <sys/stat.h>

#include "layers/manifest.h"

/* ---- names and nodes ---- */

/* The names in a folder, sorted bytewise, each with a NUL behind it. `names` is a temporary arena: ERR_LIMIT past it. */
enum err MUST_USE walk_names(int folder, struct arena *names, struct slice **ret, size_t *ret_n, struct error *e);
/* The same thing for whoever sees it: type, mode, and for files and links content and mtime. */
bool walk_same(const struct stamp *a, const struct stamp *b);
/* The changes of `m` that lie below the folder `path`: [*ret_from, *ret_to). */
void walk_range(const struct manifest *m, struct slice path, size_t *ret_from, size_t *ret_to);

/* ---- the path of a walk ---- */

struct walk_path {
    char text[STAMP_PATH_MAX + 1];
    size_t n, depth;
};

/* ERR_LIMIT where the path would break the bounds of stamp_check_path(). */
enum err MUST_USE walk_push(struct walk_path *p, struct slice name, struct error *e);
void walk_pop(struct walk_path *p);
struct slice walk_text(const struct walk_path *p);

/* ---- opening ---- */

/* A folder, without following: -1 and errno (ENOTDIR, ELOOP where it is none). */
int walk_open(int parent, const char *name);

/* A folder or file that may have been shut: `mode` is put back by walk_close(), also after an error. */
struct walk_open {
    int fd; /* -1: not open */
    mode_t mode;
    bool opened; /* mode was changed */
};
#define WALK_OPEN_INIT ((struct walk_open){.fd = -1})
#define WALK_OPEN_CLEANUP __attribute__((cleanup(walk_close)))

/* `name` is a folder (or plain file, `file`) of a layer, as `st` says. */
enum err MUST_USE walk_open_shut(int parent, const char *name, const struct stat *st, bool file, struct walk_open *ret,
                                 struct error *e);
/* Puts the mode back, and says whether it could. walk_close() does it as well. */
enum err MUST_USE walk_shut(struct walk_open *o, struct error *e);
void walk_close(struct walk_open *o);

/* ---- bytes ---- */

/* SHA-256 of an open file, from its beginning, holes included. */
enum err MUST_USE walk_hash(int fd, struct hash *ret, struct error *e);
/* The next data of an open file at or after `at`: [*ret_from, *ret_to), empty at `size` when there is none. Without holes: all. */
void walk_extent(int fd, off_t at, off_t size, off_t *ret_from, off_t *ret_to);
/* All bytes of `from` into the new file `to`, holes kept; by copy_file_range() where that works (extents are shared where the
   file system can). `what` is what errors call it. If `from` becomes shorter meanwhile, the rest is a hole. */
enum err MUST_USE walk_copy(int from, int to, uint64_t size, const char *what, struct error *e);

/* The attributes of a file's own, `user.*` and its access list, are those of `from`; nothing else is carried over (security.*, trusted.*, what
   overlays keep). A file system without any is fine. ERR_DENIED where an access list names people who are nobody here: without it more
   might be allowed to others. Set the mode afterwards. */
enum err MUST_USE walk_copy_attributes(int from, int to, const char *what, struct error *e);

/* ---- durability ---- */

enum { WALK_SYNC_EACH = 20 };

struct walk_sync { /* what must be synced: its descriptors, or, past WALK_SYNC_EACH, everything */
    int fd[WALK_SYNC_EACH];
    size_t n;
    bool all;
};
#define WALK_SYNC_CLEANUP __attribute__((cleanup(walk_sync_release)))

void walk_sync_add(struct walk_sync *s, int fd); /* keeps a duplicate */
enum err MUST_USE walk_sync_do(struct walk_sync *s, int folder, struct error *e);
void walk_sync_release(struct walk_sync *s);

#endif
