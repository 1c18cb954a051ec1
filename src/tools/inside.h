/*
 * File tools as they run inside a jail: applets of crannog-jail. The engine's side is tools/file.h.
 * Arguments and replies are messages with the tags below; those of layers are in tools/inside_layers.h. Paths are relative to ROOT, an absolute path inside.
 */
#ifndef CRANNOG_TOOLS_INSIDE_H
#define CRANNOG_TOOLS_INSIDE_H

#include "jail/run.h"
#include "tools/glob.h"

enum inside_tag {
    INSIDE_ROOT = 1, INSIDE_PATTERN,
    INSIDE_PATH,      /* reply of glob: repeated, sorted bytewise */
    INSIDE_LIMIT,     /* bytes of text (read) or paths (glob) at most */
    INSIDE_TEXT,      /* read: the document as UTF-8 text */
    INSIDE_HASH,      /* 32 bytes: SHA-256 of the file's bytes as they lie on disk */
    INSIDE_SIZE,
    INSIDE_STAMP,     /* stamp_encode */
    INSIDE_CONTENT,   /* look: the file's bytes; land: the new bytes */
    INSIDE_NAME, INSIDE_MODE,
    INSIDE_RESULT,    /* land: enum landing_result */
    INSIDE_WAY,       /* look: bytes of PATH that lead to folders which are there: "" or "a/b" of "a/b/c/d.md" */
    INSIDE_WHY,       /* land: what the conflict is, for people; names a file that was kept */
};

enum { INSIDE_PATHS_MAX = 10000, INSIDE_BYTES_MAX = 16 * 1024 * 1024, INSIDE_LOCK_MS = 10 * 1000 };

/*
 *  glob  ROOT PATTERN LIMIT -> PATH...        the regular files that match (tools/glob.h); ERR_LIMIT for more than LIMIT
 *  read  ROOT PATH LIMIT    -> TEXT HASH SIZE the text of a document (tools/plaintext.h, of a PDF tools/pdf.h);
 *                                             ERR_LIMIT past LIMIT bytes of text or a PDF of INSIDE_BYTES_MAX,
 *                                             ERR_MISSING, ERR_UNSUPPORTED for what is no plain file or no text
 *  look  ROOT PATH LIMIT    -> STAMP WAY CONTENT   CONTENT only for a file within LIMIT
 *  apply: tools/inside_apply.h
 *  land  ROOT PATH STAMP CONTENT NAME MODE -> RESULT STAMP WHY   under the folder's lock (layers/landing.h); WHY only
 *                                             with a conflict
 *
 * LIMIT is lowered to INSIDE_PATHS_MAX and INSIDE_BYTES_MAX. A file that changes while it is read is ERR_BUSY.
 */
extern const struct jail_applet inside_applets[];
extern const size_t inside_napplets;

#endif
