/*
 * Scrubbing: a secret that a server says back is replaced by stars of equal length before anybody sees it. Pure.
 *
 * Bytes are fed as they come; an end that may be the secret's beginning is held back until it is known. A secret shorter than
 * SCRUB_MIN is left alone: people give local servers keys like "none". One that has a star itself becomes blanks.
 */
#ifndef CRANNOG_DOOR_SCRUB_H
#define CRANNOG_DOOR_SCRUB_H

#include "base/buf.h"

enum { SCRUB_MIN = 8 };

struct scrub {
    struct slice secret; /* borrowed */
    struct buf held;
};

struct scrub scrub_new(struct slice secret);
void scrub_release(struct scrub *s); /* wipes what is held */
/* Appends to `out` what is known to be harmless by now. */
void scrub_feed(struct scrub *s, struct slice bytes, struct buf *out);
/* … and the rest. */
void scrub_flush(struct scrub *s, struct buf *out);
/* All of a text in place; a secret's beginning of at least SCRUB_MIN bytes that ends the text goes too: it may have been cut there. */
void scrub_text(struct slice secret, char *text, size_t n);

#endif
