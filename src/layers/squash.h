/*
 * Squash: many layers become one new folder, so that look-ups stay fast. The old ones are not touched (forks may use
 * them); files are shared with them by hard links. Runs in a jail.
 */
#ifndef CRANNOG_LAYERS_SQUASH_H
#define CRANNOG_LAYERS_SQUASH_H

#include "layers/manifest.h"

enum { SQUASH_ABOVE = 16 /* layers a run keeps at most */ };

/*
 * `flat`: manifest_flatten() of the layers, whose folders are folders[]; `to`: an empty folder on the same file system.
 * Afterwards `to`, as the only overlay layer over the root, shows just what the stack showed: files and links are hard
 * links, folders have the attributes of the newest layer's (their owner too), removed paths are whiteouts (`whiteouts`;
 * without it, for the copy back end, they stand in the manifest only). A path that never was in the root gets none. Durable
 * when OK (Z2). Where a jail's filter refuses to make a whiteout, or a folder's setgid bit, that is ERR_DENIED. May be
 * called again on what a crash left.
 */
enum err MUST_USE squash(const struct manifest *flat, const int *folders, int to, bool whiteouts, struct error *e);

#endif
