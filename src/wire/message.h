/*
 * Messages: the one bounded format that crannog's programs speak to each other.
 *
 * A message is a list of fields, each {u16 tag, u32 length, bytes}, little-endian, no padding, at most
 * MESSAGE_FIELDS_MAX of them. Unknown tags are skipped by readers, a field that does not fit is an error. A message
 * travels as one frame (wire/frame.h).
 */
#ifndef CRANNOG_WIRE_MESSAGE_H
#define CRANNOG_WIRE_MESSAGE_H

#include "base/buf.h"

enum { MESSAGE_FIELDS_MAX = 16384 };

struct message_reader {
    struct slice rest;
    unsigned fields;
};

struct field {
    uint16_t tag;
    struct slice bytes; /* borrowed from the message */
};

/* Append a field; where it does not fit, the buffer has failed (buf_check). */
void message_put(struct buf *m, uint16_t tag, struct slice bytes);
void message_put_u64(struct buf *m, uint16_t tag, uint64_t v);

struct message_reader message_read(struct slice m);
/* The next field: 1 and *ret, 0 at the end, -1 where the bytes are not a message (the reader then stays there). */
int message_next(struct message_reader *r, struct field *ret);
/* The whole message is well-formed. */
bool message_ok(struct slice m);
/* Looks a tag up (first one wins): false where it is absent, or the bytes before it are malformed. */
bool message_find(struct slice m, uint16_t tag, struct field *ret);
/* The same, as bytes (n = 0 where absent: an empty field and none look alike) and as a number (`missing` is given back
   where it is absent or malformed). */
struct slice message_get(struct slice m, uint16_t tag);
uint64_t message_get_u64(struct slice m, uint16_t tag, uint64_t missing);
bool field_u64(struct field f, uint64_t *ret);

#endif
