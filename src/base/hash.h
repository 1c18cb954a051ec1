/* SHA-256 (FIPS 180-4), by libcrypto. */
#ifndef CRANNOG_BASE_HASH_H
#define CRANNOG_BASE_HASH_H

#include "base/slice.h"

enum { HASH_BYTES = 32, HASH_HEX = 64 };

struct hash {
    uint8_t b[HASH_BYTES];
};

struct hasher; /* opaque; for bytes that come in pieces */

struct hash hash_of(struct slice s);
struct hash hash_of2(struct slice a, struct slice b); /* of a followed by b: salt and payload */
bool hash_eq(const struct hash *a, const struct hash *b);
bool hash_is_zero(const struct hash *h);
void hash_hex(const struct hash *h, char ret[HASH_HEX + 1]); /* lower case, NUL-terminated */
bool hash_from_hex(struct slice hex, struct hash *ret);      /* exactly 64 hex digits */

struct hasher *hasher_new(void);
void hasher_add(struct hasher *h, struct slice s);
struct hash hasher_end(struct hasher *h); /* frees h */

#endif
