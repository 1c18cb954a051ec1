/*
 * Globs: which files of a folder a pattern names.
 *
 * A pattern is relative, its parts divided by "/": "*" (any run), "?" (one character), "[a-z]" "[!a]" (one of, one not
 * of) and "\" (the next character as it is) within a name; a part "**" is any number of folders, at the end any file
 * below. A name that begins with a dot is matched only by a part that begins with one; names that are .git or begin
 * with .crannog never are. Characters are UTF-8; a byte that is not counts as one.
 */
#ifndef CRANNOG_TOOLS_GLOB_H
#define CRANNOG_TOOLS_GLOB_H

#include "base/arena.h"

enum { GLOB_PATTERN_MAX = 1024, GLOB_DEPTH_MAX = 64, GLOB_BYTES_MAX = 4 * 1024 * 1024, GLOB_SEEN_MAX = 1000 * 1000 };

/* Whether a path (relative, normalised) matches. Pure; takes time in proportion to pattern times path at most. */
bool glob_match(struct slice pattern, struct slice path);
/* Whether a file below the folder `path` might match: false spares the walk into it. Pure, like the above. */
bool glob_below(struct slice pattern, struct slice path);

/*
 * All regular files below the folder `root` that match, sorted bytewise, in `a`. No symlink is followed. ERR_LIMIT for
 * more than `limit` files or the bounds above: never a part of the answer. ERR_USAGE for a pattern that is absolute,
 * empty, too long, or has a part ".", ".." or "".
 */
enum err MUST_USE glob_files(int root, struct slice pattern, size_t limit, struct arena *a, struct slice **ret,
                             size_t *ret_n, struct error *e);

#endif
