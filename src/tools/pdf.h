/*
 * The text of a PDF, by the program pdftotext (Debian: poppler-utils), which is started inside the jail that we are in.
 *
 * A PDF is a program for an old and large machine, so nobody of ours takes it apart: pdftotext gets the bytes as a
 * sealed descriptor, no environment, no other descriptor but a pipe to write to, and what the jail allows (no network,
 * the limits of RLIMIT_*). It lives under the applets' system call filter, which leaves openat2 open; a jail that reads
 * has no folder in which a file that it makes would outlive it.
 */
#ifndef CRANNOG_TOOLS_PDF_H
#define CRANNOG_TOOLS_PDF_H

#include "base/buf.h"

enum {
    PDF_CPU_S = 10,        /* of one document, below the limit of its jail, so that the answer can say what happened */
    PDF_WALL_MS = 25 * 1000,
};

bool pdf_is(struct slice bytes);
/*
 * Appends the words of a PDF, page by page in reading order, as UTF-8 with an empty line in front (so that no text
 * looks like the beginning of another kind of file); ligatures are there as letters. `name` is for messages. Errors:
 * ERR_MISSING (no pdftotext here), ERR_UNSUPPORTED (encrypted, damaged, or without text), ERR_LIMIT (more than `ret` may
 * hold, or PDF_CPU_S), ERR_TIMEOUT (PDF_WALL_MS), each with what to do.
 */
enum err MUST_USE pdf_text(struct slice bytes, struct slice name, struct buf *ret, struct error *e);

#endif
