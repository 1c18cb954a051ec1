/*
 * Documents as text that a model is shown: the same words in fewer bytes.
 */
#ifndef CRANNOG_TOOLS_PLAINTEXT_H
#define CRANNOG_TOOLS_PLAINTEXT_H

#include "base/buf.h"

/*
 * Appends the text of a document (text, markdown, source code, a formatted manual page) to `ret`: well-formed UTF-8,
 * lines ended by LF, no control characters but tab and newline. Invalid bytes become U+FFFD (one for each longest
 * beginning of a character, as Unicode advises); terminal escapes, form feeds and a byte order mark go; overstruck
 * characters are there once. Blanks within a line and empty lines come one at a time, none at the end of a line. The
 * indentation of a line stays, but for manual pages, where it is layout.
 *
 * ERR_UNSUPPORTED for bytes that are no text, with their kind where it is known and what to do. `name` is for that
 * message. The result has at most three times the bytes.
 */
enum err MUST_USE plaintext(struct slice bytes, struct slice name, struct buf *ret, struct error *e);

/* Whether bytes are text at all: OK, or ERR_UNSUPPORTED as above. */
enum err MUST_USE plaintext_check(struct slice bytes, struct slice name, struct error *e);

#endif
