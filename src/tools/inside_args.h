/*
 * What the applets of a jail (tools/inside*.h) find in their arguments: folders by their absolute paths inside, the
 * folders of layers, lists of changes. The bytes come from the engine, but nothing of them is taken for granted.
 */
#ifndef CRANNOG_TOOLS_INSIDE_ARGS_H
#define CRANNOG_TOOLS_INSIDE_ARGS_H

#include "layers/manifest.h"

enum { INSIDE_FOLDERS_MAX = 64, INSIDE_PATH_BYTES = 4096 };

/* ERR_CORRUPT: a tool was called with `what`. */
enum err inside_bad(const char *what, struct error *e);
/* The path of a folder as a string. ERR_CORRUPT where it is not absolute, or too long. */
enum err MUST_USE inside_path(struct slice path, char ret[INSIDE_PATH_BYTES], struct error *e);
/* Opens a folder; the caller closes it. */
enum err MUST_USE inside_open(struct slice path, int *ret, struct error *e);

/* The folders of layers, each open. */
struct inside_folders {
    int fd[INSIDE_FOLDERS_MAX];
    size_t n;
};
void inside_folders_close(struct inside_folders *f);
#define INSIDE_FOLDERS_CLEANUP __attribute__((cleanup(inside_folders_close)))
/* Opens every folder that the arguments give under `tag`, in their order. ERR_CORRUPT where `m` names one that is not there.
   Also after an error the caller closes *ret. */
enum err MUST_USE inside_open_folders(struct slice args, uint16_t tag, const struct manifest *m, struct inside_folders *ret, struct error *e);

/* Appends a list of changes to a reply. */
enum err MUST_USE inside_put_manifest(struct buf *reply, uint16_t tag, const struct manifest *m, struct error *e);

#endif
