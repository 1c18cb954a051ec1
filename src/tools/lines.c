#include "tools/lines.h"

#include <stdlib.h>
#include <string.h>

#include "base/sys.h"

size_t lines_count(struct slice text)
{
    size_t n = 0;
    for (struct slice line; slice_line(&text, &line);)
        n++;
    return n;
}

size_t lines_at(struct slice text, size_t at)
{
    size_t n = 1;
    struct slice before = slice_sub(text, 0, at);
    for (size_t i = 0; (i = slice_find(before, SLICE("\n"), i)) < before.n; i++)
        n++;
    return n;
}

struct slice *lines_split(struct slice text, struct arena *a, size_t *ret_n)
{
    size_t n = lines_count(text), i = 0;
    struct slice *v = arena_array(a, n + 1, sizeof *v);
    for (struct slice line; v && slice_line(&text, &line);)
        v[i++] = line;
    *ret_n = v ? n : 0;
    return v;
}

/* ---- what a diff would count ---- */

enum { DIFF_FAR = 2000 /* lines that differ, before counting becomes coarse */, DIFF_STEPS = 8 * 1000 * 1000 };

/* FNV-1a over the line and its end: a count needs no more. */
static uint64_t line_hash(struct slice line)
{
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < line.n; i++)
        h = (h ^ (unsigned char)line.p[i]) * 0x100000001b3;
    return h;
}

static uint64_t *hash_lines(struct slice text, size_t *ret_n)
{
    size_t n = 0, cap = lines_count(text);
    uint64_t *v = sys->realloc(NULL, (cap + 1) * sizeof *v);
    while (v && text.n) {
        size_t end = slice_index(text, '\n') + 1;
        v[n++] = line_hash(slice_sub(text, 0, end));
        text = slice_sub(text, end, text.n);
    }
    *ret_n = n;
    return v;
}

/* The length of the shortest script from a to b (E. Myers, "An O(ND) difference algorithm", 1986), or SIZE_MAX where it
   is longer than DIFF_FAR or takes too long. */
static size_t distance(const uint64_t *a, size_t n, const uint64_t *b, size_t m)
{
    static ptrdiff_t far[2 * DIFF_FAR + 3];
    size_t steps = 0;
    memset(far, 0, sizeof far);
    for (ptrdiff_t d = 0; d <= DIFF_FAR; d++)
        for (ptrdiff_t k = -d; k <= d; k += 2) {
            ptrdiff_t *v = far + DIFF_FAR + 1 + k;
            ptrdiff_t x = k == -d || (k != d && v[-1] < v[1]) ? v[1] : v[-1] + 1;
            while (x < (ptrdiff_t)n && x - k < (ptrdiff_t)m && x - k >= 0 && a[x] == b[x - k]) {
                x++;
                steps++;
            }
            *v = x;
            if (x >= (ptrdiff_t)n && x - k >= (ptrdiff_t)m)
                return (size_t)d;
            if (++steps > DIFF_STEPS)
                return SIZE_MAX;
        }
    return SIZE_MAX;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Without order: how many lines of each have no partner in the other. Sorts both. */
static size_t partners(uint64_t *a, size_t n, uint64_t *b, size_t m)
{
    size_t i = 0, j = 0, same = 0;
    qsort(a, n, sizeof *a, by_value);
    qsort(b, m, sizeof *b, by_value);
    while (i < n && j < m) {
        same += a[i] == b[j];
        uint64_t x = a[i], y = b[j];
        i += x <= y;
        j += y <= x;
    }
    return same;
}

void lines_differ(struct slice before, struct slice after, size_t *ret_added, size_t *ret_removed)
{
    size_t n, m, from = 0;
    uint64_t *a = hash_lines(before, &n), *b = hash_lines(after, &m);
    *ret_added = a && b ? 0 : lines_count(after);
    *ret_removed = a && b ? 0 : lines_count(before);
    if (a && b) {
        while (from < n && from < m && a[from] == b[from])
            from++;
        while (n > from && m > from && a[n - 1] == b[m - 1])
            n--, m--;
        n -= from, m -= from;
        size_t d = distance(a + from, n, b + from, m);
        size_t same = d == SIZE_MAX ? partners(a + from, n, b + from, m) : (n + m - d) / 2;
        *ret_added = m - same;
        *ret_removed = n - same;
    }
    sys->free(a);
    sys->free(b);
}

/* ---- pages ---- */

static struct slice tail_of(struct slice line, size_t n)
{
    size_t at = line.n - n;
    while (at < line.n && ((unsigned char)line.p[at] & 0xc0) == 0x80)
        at++;
    return slice_sub(line, at, line.n);
}

static void add_line(struct slice line, size_t most, struct buf *ret)
{
    if (line.n > most) {
        struct slice head = slice_cut(line, most * 2 / 3), tail = tail_of(line, most / 4);
        buf_add(ret, head);
        buf_addf(ret, "[… %zu bytes of this line left out …]", line.n - head.n - tail.n);
        buf_add(ret, tail);
    } else {
        buf_add(ret, line);
    }
    buf_add_char(ret, '\n');
}

struct page lines_page(struct slice text, size_t from, size_t lines, size_t limit, struct buf *ret)
{
    size_t number = 0, begin = ret->n, most = limit / 4 > 200 ? limit / 4 : 200;
    struct page p = {.from = from ? from : 1};
    bool full = false;
    for (struct slice line; slice_line(&text, &line);) {
        number++;
        if (number < p.from || full || number - p.from >= lines)
            continue;
        size_t bytes = line.n < most ? line.n : most;
        if (number > p.from && ret->n - begin + bytes + 1 > limit) {
            full = true;
            continue;
        }
        add_line(line, most, ret);
        p.to = number;
    }
    p.total = number;
    if (!p.to)
        p.to = p.from - 1;
    return p;
}
