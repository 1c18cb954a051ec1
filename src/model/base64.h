/* Base64 (RFC 4648 §4, with padding): how bytes stand in JSON. */
#ifndef CRANNOG_MODEL_BASE64_H
#define CRANNOG_MODEL_BASE64_H

#include "base/arena.h"
#include "base/buf.h"

void base64_add(struct buf *out, struct slice bytes);
/* Strict: whole groups, padding only at the end, unused bits zero. *ret lives in the arena. ERR_CORRUPT, ERR_MEMORY. */
enum err MUST_USE base64_read(struct slice text, struct arena *a, struct slice *ret, struct error *e);

#endif
