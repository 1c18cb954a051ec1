/*
 * File tools as the engine sees them: arguments for the applets of tools/inside.h, and their replies as plain structs.
 *
 * A reply comes from inside a jail: outside bytes. Each *_reply() gives ERR_CORRUPT for anything malformed; slices
 * point into the reply.
 */
#ifndef CRANNOG_TOOLS_FILE_H
#define CRANNOG_TOOLS_FILE_H

#include "base/arena.h"
#include "layers/landing.h"

struct file_text { /* read: a document as text */
    struct slice text;
    struct hash hash; /* of its bytes on disk */
    uint64_t size;
};

struct file_look {
    struct stamp stamp;
    struct slice content;
    bool has_content;
    uint64_t way; /* bytes of the path whose folders are there; UINT64_MAX: not told */
};

struct file_landed {
    enum landing_result result;
    struct stamp now;
    struct slice why; /* with a conflict: what is the matter, for people; names a file that was kept beside the target */
};

void file_glob_args(struct buf *args, struct slice root, struct slice pattern, uint64_t limit);
enum err MUST_USE file_glob_reply(struct slice reply, struct arena *a, struct slice **ret_paths, size_t *ret_n, struct error *e);
void file_read_args(struct buf *args, struct slice root, struct slice path, uint64_t limit);
enum err MUST_USE file_read_reply(struct slice reply, struct file_text *ret, struct error *e);
void file_look_args(struct buf *args, struct slice root, struct slice path, uint64_t limit);
enum err MUST_USE file_look_reply(struct slice reply, struct file_look *ret, struct error *e);
/* `name` is the same for each attempt of a step (layers/landing.h); `mode` for a new file. */
void file_land_args(struct buf *args, struct slice root, struct slice path, const struct stamp *base, struct slice content,
                    struct slice name, uint32_t mode);
enum err MUST_USE file_land_reply(struct slice reply, struct file_landed *ret, struct error *e);

#endif
