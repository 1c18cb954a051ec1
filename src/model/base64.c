#include "model/base64.h"

#include <string.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_add(struct buf *out, struct slice bytes)
{
    if (bytes.n > out->max) { /* before the product below could wrap */
        out->failed = true;
        return;
    }
    char *to = buf_extend(out, (bytes.n + 2) / 3 * 4);
    const unsigned char *p = (const unsigned char *)bytes.p;
    for (size_t i = 0; to && i < bytes.n; i += 3) {
        size_t left = bytes.n - i;
        uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0);
        *to++ = letters[v >> 18];
        *to++ = letters[v >> 12 & 63];
        *to++ = left > 1 ? letters[v >> 6 & 63] : '=';
        *to++ = left > 2 ? letters[v & 63] : '=';
    }
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One group of four letters into ret; the number of bytes it holds, 0 if it is no group. */
static size_t read_group(const char *p, bool last, char ret[3])
{
    size_t n = last && p[3] == '=' ? p[2] == '=' ? 1 : 2 : 3;
    uint32_t v = 0;
    for (size_t i = 0; i < 4; i++) {
        int x = i <= n ? value_of(p[i]) : 0;
        if (x < 0)
            return 0;
        v = v << 6 | (uint32_t)x;
    }
    if (v & ((1u << 8 * (3 - n)) - 1))
        return 0; /* bits that no byte has: two texts would mean the same */
    ret[0] = (char)(v >> 16);
    ret[1] = (char)(v >> 8);
    ret[2] = (char)v;
    return n;
}

enum err base64_read(struct slice text, struct arena *a, struct slice *ret, struct error *e)
{
    if (text.n % 4)
        return error_set(e, ERR_CORRUPT, "base64 of %zu letters, which is no multiple of four", text.n);
    char *bytes = arena_alloc(a, text.n / 4 * 3 + 1);
    if (!bytes)
        return error_set(e, ERR_MEMORY, "no memory for %zu bytes of base64", text.n);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i += 4) {
        char group[3];
        size_t got = read_group(text.p + i, i + 4 == text.n, group);
        if (!got)
            return error_set(e, ERR_CORRUPT, "not base64 at letter %zu", i);
        memcpy(bytes + n, group, got);
        n += got;
    }
    *ret = (struct slice){bytes, n};
    return OK;
}
