/*
 * Buffers: bytes that grow up to a mandatory maximum.
 *
 * A buffer whose maximum is passed, or whose memory is refused, becomes *failed* and stays so: appends do nothing
 * and buf_ok() says no. So a writer may append freely and check once at the end.
 */
#ifndef CRANNOG_BASE_BUF_H
#define CRANNOG_BASE_BUF_H

#include "base/slice.h"

struct buf {
    char *p;      /* NULL while empty; a NUL follows the last byte otherwise */
    size_t n;     /* bytes used */
    size_t cap;   /* bytes allocated */
    size_t max;   /* n never passes this */
    bool failed;
    bool refused; /* failed for want of memory, not for its maximum */
};

#define BUF_INIT(maximum) ((struct buf){.max = (maximum)})
#define BUF_CLEANUP __attribute__((cleanup(buf_release)))

void buf_release(struct buf *b);                  /* frees; the buffer is empty and usable again */
void buf_reset(struct buf *b);                    /* empty and not failed, memory kept */
void buf_add(struct buf *b, struct slice s);
void buf_add_text(struct buf *b, const char *text);
void buf_add_char(struct buf *b, char c);
void buf_add_utf8(struct buf *b, struct slice s); /* with U+FFFD for what is no UTF-8 (slice_char), at most three times the bytes */
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_add_u16(struct buf *b, uint16_t v);      /* little-endian, like the other two */
void buf_add_u32(struct buf *b, uint32_t v);
void buf_add_u64(struct buf *b, uint64_t v);
/* Room for n more bytes, uninitialised, counted as used; NULL if the buffer failed. */
char *buf_extend(struct buf *b, size_t n);
bool buf_ok(const struct buf *b);
struct slice buf_slice(const struct buf *b);
/* ERR_LIMIT or ERR_MEMORY with the name of what was being built, or OK. */
enum err MUST_USE buf_check(const struct buf *b, const char *what, struct error *e);
/* The text as a NUL-terminated string, "" while empty; valid until the next append. */
const char *buf_str(const struct buf *b);

#endif
