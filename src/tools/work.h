/*
 * The tools of an agent as the engine sees them: arguments for the applets of tools/inside_work.h, and their replies as
 * plain structs. `root` is the work folder, an absolute path inside; `path` is relative to it or absolute, as a model
 * wrote it. What the jail mounts is the wall.
 *
 * A reply comes from inside a jail: outside bytes. Each *_reply() gives ERR_CORRUPT for anything malformed; slices point
 * into the reply unless said otherwise; texts are UTF-8 (checked). What an applet refuses comes as the error of the jail's
 * result, in words that a model can act on ("a.md is not there; near it: b.md"); only work_edit has longer ones (`why`).
 */
#ifndef CRANNOG_TOOLS_WORK_H
#define CRANNOG_TOOLS_WORK_H

#include "base/arena.h"
#include "text/instruct.h"
#include "tools/edit.h"

enum {
    WORK_LINES = 2000,               /* of a read that does not say */
    WORK_BYTES = 48 * 1024,
    WORK_BYTES_MAX = 1024 * 1024,    /* of text in one reply */
    WORK_IMAGE_MAX = 5 * 1000 * 1000,
    WORK_CONTENT_MAX = 8 * 1024 * 1024, /* of a write */
    WORK_INSTRUCTIONS = 64 * 1024,   /* of `instruct`, all texts */
};

struct work_read {
    struct slice text;         /* whole lines, each ended by LF; long ones cut in the middle with a note */
    uint64_t from, to, total;  /* lines, from 1; from > to: none. Of a folder: its entries */
    uint64_t size;             /* bytes on disk */
    bool folder;               /* text is a listing, folders with a slash */
    struct slice media;        /* not empty: text is empty, and image is one of this type ("image/png") */
    struct slice image;
};

struct work_written {
    bool created;              /* there was no such file */
    uint64_t added, removed;   /* lines */
    uint64_t bytes;            /* of the file as it is now */
};

struct work_edited {
    struct slice why;          /* not empty: nothing was changed, and this is why, for the model (lines, to 4 KiB) */
    struct slice note;         /* what was done otherwise than asked (other indentation), for the model; or empty */
    uint64_t replaced, added, removed;
    uint64_t line;             /* the first that changed */
};

struct work_told {             /* arrays and skills in the arena */
    struct instruction *texts; /* from the outermost (the person's own) to the nearest */
    size_t ntexts;
    struct skill *skills;
    size_t nskills;
    struct slice *notes;       /* what could not be read, for people */
    size_t nnotes;
};

/* `offset`: the first line, 0 the beginning; `lines`, `limit` (bytes of text): 0 for WORK_LINES, WORK_BYTES. */
void work_read_args(struct buf *args, struct slice root, struct slice path, uint64_t offset, uint64_t lines, uint64_t limit);
enum err MUST_USE work_read_reply(struct slice reply, struct work_read *ret, struct error *e);
/* `mode`: permission bits of a new file; one that is there keeps its own. */
void work_write_args(struct buf *args, struct slice root, struct slice path, struct slice content, uint32_t mode);
enum err MUST_USE work_write_reply(struct slice reply, struct work_written *ret, struct error *e);
void work_edit_args(struct buf *args, struct slice root, struct slice path, const struct edit *edits, size_t n);
enum err MUST_USE work_edit_reply(struct slice reply, struct work_edited *ret, struct error *e);
/* `cwd`: where in the root the agent works (the root itself: the same path); `extra`: absolute paths of files and skill
   folders of the person's home that the jail shows, outermost first; `limit`: bytes of all texts, 0 for WORK_INSTRUCTIONS. */
void work_instruct_args(struct buf *args, struct slice root, struct slice cwd, const struct slice *extra, size_t n, uint64_t limit);
enum err MUST_USE work_instruct_reply(struct slice reply, struct arena *a, struct work_told *ret, struct error *e);

#endif
