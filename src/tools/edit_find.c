#include "tools/edit_internal.h"

#include <string.h>

/* ---- line ends ---- */

/* A copy without CRs before LFs. */
static struct slice without_cr(struct slice s, struct arena *a)
{
    char *p = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; p && i < s.n; i++)
        if (s.p[i] != '\r' || i + 1 == s.n || s.p[i + 1] != '\n')
            p[n++] = s.p[i];
    return (struct slice){p, p ? n : 0};
}

/* Where in `s` the byte lies that is at `at` in without_cr(s). At an LF: its CR, so that both are in or out. */
static size_t with_cr(struct slice s, size_t at)
{
    size_t i = 0;
    for (size_t n = 0; n < at; n++, i++)
        i += s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n';
    return i;
}

struct place edit_find_ends(struct slice file, struct slice old, struct arena *a)
{
    struct slice f = without_cr(file, a), o = without_cr(old, a);
    if ((f.n == file.n && o.n == old.n) || !f.p || o.n == 0)
        return (struct place){.found = false};
    size_t at = slice_find(f, o, 0);
    if (at == f.n)
        return (struct place){.found = false};
    return (struct place){.from = with_cr(file, at), .to = with_cr(file, at + o.n), .found = true,
                          .many = slice_find(f, o, at + 1) < f.n};
}

/* ---- whole lines ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct slice without_end(struct slice line)
{
    while (line.n && is_blank(line.p[line.n - 1]))
        line.n--;
    return line;
}

static size_t indent_of(struct slice line)
{
    size_t n = 0;
    while (n < line.n && (line.p[n] == ' ' || line.p[n] == '\t'))
        n++;
    return n;
}

static bool all_are(struct slice s, char c)
{
    return s.n == 0 || (s.p[0] == c && memcmp(s.p, s.p + 1, s.n - 1) == 0);
}

/* How the indentation `to` is made of `from`; false where it is none of our ways. */
static bool indent_between(struct slice from, struct slice to, struct indent *ret)
{
    *ret = (struct indent){.change = INDENT_SAME};
    if (slice_eq(from, to))
        return true;
    if (slice_ends(to, from))
        *ret = (struct indent){.change = INDENT_MORE, .unit = slice_sub(to, 0, to.n - from.n)};
    else if (slice_ends(from, to))
        *ret = (struct indent){.change = INDENT_LESS, .unit = slice_sub(from, 0, from.n - to.n)};
    else if (all_are(from, ' ') && all_are(to, '\t') && from.n % to.n == 0)
        *ret = (struct indent){.change = INDENT_TABS, .width = from.n / to.n};
    else if (all_are(from, '\t') && all_are(to, ' ') && to.n % from.n == 0)
        *ret = (struct indent){.change = INDENT_BLANKS, .width = to.n / from.n};
    return ret->change != INDENT_SAME;
}

/* Whether `to` is what the change makes of `from`. */
static bool indent_fits(struct slice from, struct slice to, const struct indent *in)
{
    switch (in->change) {
    case INDENT_SAME: return slice_eq(from, to);
    case INDENT_MORE: return to.n == in->unit.n + from.n && slice_starts(to, in->unit) && slice_ends(to, from);
    case INDENT_LESS: return from.n == in->unit.n + to.n && slice_starts(from, in->unit) && slice_ends(from, to);
    case INDENT_TABS: return all_are(from, ' ') && all_are(to, '\t') && from.n == to.n * in->width;
    case INDENT_BLANKS: return all_are(from, '\t') && all_are(to, ' ') && to.n == from.n * in->width;
    }
    return false;
}

static void add_many(struct buf *ret, char c, size_t n)
{
    while (n--)
        buf_add_char(ret, c);
}

void edit_indent(struct slice line, const struct indent *in, struct buf *ret)
{
    size_t n = without_end(line).n ? indent_of(line) : 0, k = 0;
    if (n == 0 && without_end(line).n == 0) { /* an empty line stays one */
        buf_add(ret, line);
        return;
    }
    if (in->change == INDENT_MORE)
        buf_add(ret, in->unit);
    else if (in->change == INDENT_LESS)
        k = slice_starts(line, in->unit) ? in->unit.n : n < in->unit.n ? n : 0;
    else if (in->change == INDENT_TABS)
        while (k + in->width <= n && all_are(slice_sub(line, k, in->width), ' ')) {
            buf_add_char(ret, '\t');
            k += in->width;
        }
    else if (in->change == INDENT_BLANKS)
        for (; k < n && line.p[k] == '\t'; k++)
            add_many(ret, ' ', in->width);
    buf_add(ret, slice_sub(line, k, line.n));
}

/* Whether lines of the file match those of `old`; the first that is not empty says how the indentation differs. */
static bool lines_match(const struct slice *file, const struct slice *old, size_t n, bool indent, struct indent *ret)
{
    bool known = false, bare = false;
    *ret = (struct indent){.change = INDENT_SAME};
    for (size_t i = 0; i < n; i++) {
        struct slice f = without_end(file[i]), o = without_end(old[i]);
        size_t fi = indent_of(f), oi = indent_of(o);
        if (!slice_eq(slice_sub(f, fi, f.n), slice_sub(o, oi, o.n)))
            return false;
        struct slice to = slice_sub(f, 0, fi), from = slice_sub(o, 0, oi);
        if (o.n == 0)
            continue;
        /* a line without any indentation fits tabs for blanks too, so it does not say which it is */
        if (indent && !known && !indent_between(from, to, ret))
            return false;
        bare |= from.n == 0 && to.n == 0;
        known |= from.n || to.n || !indent;
        if (!indent_fits(from, to, ret) || (bare && (ret->change == INDENT_MORE || ret->change == INDENT_LESS)))
            return false;
    }
    return true;
}

struct place edit_find_lines(struct slice file, struct slice old, bool indent, struct arena *a)
{
    struct place ret = {.found = false};
    size_t nf, no;
    struct slice *f = lines_split(file, a, &nf), *o = lines_split(old, a, &no);
    if (!f || !o || slice_trim(old).n == 0)
        return ret;
    for (size_t i = 0; i + no <= nf; i++) {
        struct indent in;
        if (!lines_match(f + i, o, no, indent, &in))
            continue;
        if (ret.found) {
            ret.many = true;
            return ret;
        }
        struct slice last = f[i + no - 1];
        size_t to = (size_t)(last.p - file.p) + last.n;
        if (slice_ends(old, SLICE("\n"))) /* the end of its last line belongs to it, where there is one */
            to = slice_find(file, SLICE("\n"), to) + (slice_find(file, SLICE("\n"), to) < file.n);
        ret = (struct place){.from = (size_t)(f[i].p - file.p), .to = to, .indent = in, .found = true};
    }
    return ret;
}

/* ---- what is closest ---- */

enum { SKETCH = 4, CLOSE_LINES = 40, SHOWN_LINES = 24, SHOWN_BYTES = 400 /* of a line */, WORK_MAX = 20 * 1000 * 1000 };

struct sketch { /* which pairs of characters a line has, hashed to 256 bits; blanks do not count */
    uint64_t bits[SKETCH];
    unsigned n;
};

static struct sketch sketch_of(struct slice line)
{
    struct sketch s = {.n = 0};
    unsigned before = 1;
    for (size_t i = 0; i < line.n && i < 2000; i++) {
        unsigned c = (unsigned char)line.p[i];
        if (is_blank((char)c))
            continue;
        unsigned h = (before * 31 + c) * 2654435761u >> 24;
        s.bits[h / 64] |= UINT64_C(1) << h % 64;
        before = c;
    }
    for (int i = 0; i < SKETCH; i++)
        s.n += (unsigned)__builtin_popcountll(s.bits[i]);
    return s;
}

/* From 0 to 1000 (Dice's coefficient). */
static unsigned alike(const struct sketch *a, const struct sketch *b)
{
    unsigned both = 0;
    if (a->n + b->n == 0)
        return 1000;
    for (int i = 0; i < SKETCH; i++)
        both += (unsigned)__builtin_popcountll(a->bits[i] & b->bits[i]);
    return 2000 * both / (a->n + b->n);
}

static struct sketch *sketches(const struct slice *lines, size_t n, struct arena *a)
{
    struct sketch *v = arena_array(a, n + 1, sizeof *v);
    for (size_t i = 0; v && i < n; i++)
        v[i] = sketch_of(lines[i]);
    return v;
}

/* How close `old` is to the lines from here on: each counts by what there is on it. */
static unsigned closeness(const struct sketch *file, size_t left, const struct sketch *old, size_t n)
{
    uint64_t sum = 0, weight = 1;
    for (size_t i = 0; i < n; i++) {
        sum += i < left ? (uint64_t)old[i].n * alike(&file[i], &old[i]) : 0;
        weight += old[i].n;
    }
    return (unsigned)(sum / weight);
}

static void show(struct buf *say, const struct slice *lines, size_t from, size_t n)
{
    for (size_t i = 0; i < n && i < SHOWN_LINES; i++) {
        struct slice line = slice_cut(lines[from + i], SHOWN_BYTES);
        buf_addf(say, "%zu\t", from + i + 1);
        buf_add(say, line);
        buf_add_text(say, line.n < lines[from + i].n ? "…\n" : "\n");
    }
}

void edit_tell_closest(struct slice file, struct slice old, struct arena *a, struct buf *say)
{
    size_t nf, no, at = 0;
    unsigned best = 0;
    struct slice *f = lines_split(file, a, &nf), *o = lines_split(old, a, &no);
    no = no > CLOSE_LINES ? CLOSE_LINES : no;
    size_t most = WORK_MAX / (no + 1); /* of a longer file the first lines */
    nf = nf > most ? most : nf;
    struct sketch *fs = f ? sketches(f, nf, a) : NULL, *os = o ? sketches(o, no, a) : NULL;
    for (size_t i = 0; fs && os && i < nf; i++) {
        unsigned c = closeness(fs + i, nf - i, os, no);
        if (c > best) {
            best = c;
            at = i;
        }
    }
    if (best < 350) {
        buf_add_text(say, "Nothing in it is like it: read the file first.\n");
        return;
    }
    size_t shown = at + no > nf ? nf - at : no;
    if (shown == 1)
        buf_addf(say, "Closest is line %zu", at + 1);
    else
        buf_addf(say, "Closest are lines %zu to %zu", at + 1, at + shown);
    buf_add_text(say, best == 1000 || shown < no ? ":\n" : " (number, tab, line):\n");
    show(say, f, at, shown);
}
