#include "base/slice.h"

#include <string.h>

struct slice slice_of(const char *text)
{
    return text ? (struct slice){text, strlen(text)} : SLICE_NONE;
}

struct slice slice_sub(struct slice s, size_t from, size_t n)
{
    if (from > s.n)
        from = s.n;
    if (n > s.n - from)
        n = s.n - from;
    return (struct slice){s.p ? s.p + from : NULL, n};
}

bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool slice_is(struct slice a, const char *text)
{
    return slice_eq(a, slice_of(text));
}

int slice_cmp(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

bool slice_starts(struct slice s, struct slice prefix)
{
    return slice_eq(slice_sub(s, 0, prefix.n), prefix);
}

bool slice_ends(struct slice s, struct slice suffix)
{
    return s.n >= suffix.n && slice_eq(slice_sub(s, s.n - suffix.n, suffix.n), suffix);
}

size_t slice_index(struct slice s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? (size_t)(at - s.p) : s.n;
}

size_t slice_last_part(struct slice path)
{
    size_t at = path.n;
    while (at && path.p[at - 1] != '/')
        at--;
    return at;
}

bool slice_below(struct slice path, struct slice folder)
{
    return folder.n && path.n > folder.n && path.p[folder.n] == '/' && slice_starts(path, folder);
}

bool slice_within(struct slice path, struct slice folder)
{
    return slice_eq(path, folder) || slice_below(path, folder);
}

size_t slice_find(struct slice s, struct slice needle, size_t from)
{
    if (from > s.n || needle.n > s.n - from)
        return s.n;
    if (needle.n == 0)
        return from;
    const char *at = memmem(s.p + from, s.n - from, needle.p, needle.n);
    return at ? (size_t)(at - s.p) : s.n;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice s)
{
    while (s.n && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool slice_line(struct slice *rest, struct slice *ret_line)
{
    if (rest->n == 0)
        return false;
    size_t end = slice_index(*rest, '\n');
    struct slice line = slice_sub(*rest, 0, end);
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    *rest = slice_sub(*rest, end + 1, rest->n);
    *ret_line = line;
    return true;
}

bool slice_int(struct slice s, int64_t *ret)
{
    bool negative = s.n && s.p[0] == '-';
    size_t i = negative;
    if (i == s.n)
        return false;
    int64_t value = 0; /* counted below zero, where there is one number more */
    for (; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, s.p[i] - '0', &value))
            return false;
    if (!negative && value == INT64_MIN)
        return false;
    *ret = negative ? value : -value;
    return true;
}

bool slice_is_utf8(struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t i = 0;
    while (i < s.n) {
        unsigned char c = p[i];
        size_t more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 9;
        if (more == 9 || more >= s.n - i)
            return false;
        for (size_t k = 1; k <= more; k++)
            if ((p[i + k] & 0xc0) != 0x80)
                return false;
        if ((c == 0xe0 && p[i + 1] < 0xa0) || (c == 0xed && p[i + 1] > 0x9f) || (c == 0xf0 && p[i + 1] < 0x90) ||
            (c == 0xf4 && p[i + 1] > 0x8f))
            return false;
        i += more + 1;
    }
    return true;
}

size_t slice_char(struct slice s, bool *ret_valid)
{
    const unsigned char *p = (const unsigned char *)s.p;
    unsigned char c = p[0];
    size_t want = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    size_t i = 1;
    for (; i < want && i < s.n && p[i] >= low && p[i] <= high; i++) {
        low = 0x80;
        high = 0xbf;
    }
    *ret_valid = want && i == want;
    return i;
}

struct slice slice_cut(struct slice s, size_t max)
{
    if (s.n <= max)
        return s;
    while (max && ((unsigned char)s.p[max] & 0xc0) == 0x80)
        max--;
    return slice_sub(s, 0, max);
}
