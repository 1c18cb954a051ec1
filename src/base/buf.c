#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"

void buf_release(struct buf *b)
{
    if (!b)
        return;
    sys->free(b->p);
    *b = BUF_INIT(b->max);
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->failed = b->refused = false;
    if (b->p)
        b->p[0] = '\0';
}

char *buf_extend(struct buf *b, size_t n)
{
    if (b->failed)
        return NULL;
    if (n > b->max - b->n) {
        b->failed = true;
        return NULL;
    }
    if (b->n + n + 1 > b->cap) {
        size_t cap = b->cap ? b->cap : 64;
        while (cap < b->n + n + 1)
            cap *= 2;
        char *p = sys->realloc(b->p, cap);
        if (!p) {
            b->failed = b->refused = true;
            return NULL;
        }
        b->p = p;
        b->cap = cap;
    }
    char *at = b->p + b->n;
    b->n += n;
    b->p[b->n] = '\0';
    return at;
}

void buf_add(struct buf *b, struct slice s)
{
    char *at = s.n ? buf_extend(b, s.n) : NULL;
    if (at)
        memcpy(at, s.p, s.n);
}

void buf_add_text(struct buf *b, const char *text)
{
    buf_add(b, slice_of(text));
}

void buf_add_char(struct buf *b, char c)
{
    buf_add(b, (struct slice){&c, 1});
}

void buf_add_utf8(struct buf *b, struct slice s)
{
    size_t from = 0;
    for (size_t i = 0; i < s.n;) {
        bool valid;
        size_t n = slice_char(slice_sub(s, i, s.n), &valid);
        if (!valid) {
            buf_add(b, slice_sub(s, from, i - from));
            buf_add(b, SLICE("\xef\xbf\xbd"));
            from = i + n;
        }
        i += n;
    }
    buf_add(b, slice_sub(s, from, s.n));
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *at = n > 0 ? buf_extend(b, (size_t)n) : NULL;
    if (at)
        vsnprintf(at, (size_t)n + 1, fmt, again);
    va_end(again);
}

static void add_le(struct buf *b, uint64_t v, size_t bytes)
{
    char *at = buf_extend(b, bytes);
    for (size_t i = 0; at && i < bytes; i++)
        at[i] = (char)(v >> (8 * i));
}

void buf_add_u16(struct buf *b, uint16_t v)
{
    add_le(b, v, 2);
}

void buf_add_u32(struct buf *b, uint32_t v)
{
    add_le(b, v, 4);
}

void buf_add_u64(struct buf *b, uint64_t v)
{
    add_le(b, v, 8);
}

bool buf_ok(const struct buf *b)
{
    return !b->failed;
}

struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->p, b->n};
}

const char *buf_str(const struct buf *b)
{
    return b->p ? b->p : "";
}

enum err buf_check(const struct buf *b, const char *what, struct error *e)
{
    if (!b->failed)
        return OK;
    if (b->refused)
        return error_set(e, ERR_MEMORY, "no memory for %s", what);
    return error_set(e, ERR_LIMIT, "%s is larger than %zu bytes", what, b->max);
}
