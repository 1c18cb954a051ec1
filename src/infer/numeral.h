/*
 * Numbers digit by digit: RFC 8259 section 6, within the bounds of a NODE_NUMBER (G1 of infer/schema.h). For
 * infer/automaton.c.
 */
#ifndef CRANNOG_INFER_NUMERAL_H
#define CRANNOG_INFER_NUMERAL_H

#include "infer/automaton.h"

/* True where the byte may come next; p then stands behind it. */
bool numeral_step(const struct node *n, struct place *p, unsigned char c);
/* What has been read is a number that the node accepts. */
bool numeral_complete(const struct node *n, const struct place *p);
/* Bytes until it is, appended to `to`, which may be NULL. */
size_t numeral_close(const struct node *n, const struct place *p, struct buf *to);

#endif
