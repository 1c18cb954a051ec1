/*
 * File tools as they run inside a jail: applets of crannog-jail. The engine's side is tools/file.h.
 * Arguments and replies are messages with the tags below. Paths are relative to ROOT, an absolute path inside.
 */
#ifndef CRANNOG_TOOLS_INSIDE_H
#define CRANNOG_TOOLS_INSIDE_H

#include "jail/run.h"

enum inside_tag {
    INSIDE_ROOT = 1, INSIDE_PATTERN,
    INSIDE_PATH,      /* reply of glob: repeated, sorted bytewise */
    INSIDE_LIMIT,     /* bytes (read) or paths (glob) at most */
    INSIDE_TEXT,      /* read: the document as UTF-8 text */
    INSIDE_HASH,      /* 32 bytes: SHA-256 of the file's bytes as they lie on disk */
    INSIDE_SIZE,
    INSIDE_STAMP,     /* stamp_encode */
    INSIDE_CONTENT,   /* look: the file's bytes; land: the new bytes */
    INSIDE_NAME, INSIDE_MODE,
    INSIDE_RESULT,    /* land: enum landing_result */
};

/*
 *  glob  ROOT PATTERN LIMIT -> PATH...        "*", "?", "[...]" within a name, "**" for folders; regular files only,
 *                                             hidden names only where the pattern names the dot; no symlink followed
 *  read  ROOT PATH LIMIT    -> TEXT HASH SIZE the text of a document by its type (text and markdown; others are an error
 *                                             that says so); invalid UTF-8 becomes U+FFFD, control characters go
 *  look  ROOT PATH LIMIT    -> STAMP CONTENT  CONTENT only for a file within LIMIT
 *  land  ROOT PATH STAMP CONTENT NAME MODE -> RESULT STAMP
 */
extern const struct jail_applet inside_applets[];
extern const size_t inside_napplets;

/* Whether a path (relative, normalised) matches a glob pattern as above. Pure. */
bool glob_match(struct slice pattern, struct slice path);

#endif
