/*
 * Two texts, parted at the first NUL: all hunks make the second, none the first, to the byte; what some of them make has no line
 * without an end but its last, and each hunk can be shown.
 */
#include <string.h>

#include "fuzz.h"
#include "tools/hunks.h"

static bool joins(const struct hunks *h, const bool *taken, struct slice text)
{
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 22);
    hunks_join(h, taken, &b);
    return buf_ok(&b) && slice_eq(buf_slice(&b), text);
}

static void show_all(const struct hunks *h, struct arena *a)
{
    for (size_t i = 0; i < h->n; i++) {
        struct edit at;
        struct hunk_line *v;
        size_t n, before = 0, after = 0;
        ASSERT(hunks_show(h, i, a, &at, &v, &n, NULL) == OK);
        for (size_t k = 0; k < n; k++) {
            before += v[k].sign != '+';
            after += v[k].sign != '-';
            ASSERT(v[k].text.n > 0);
        }
        ASSERT(before == at.na && after == at.nb && at.a + at.na <= h->na && at.b + at.nb <= h->nb);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = fuzz_slice(data, size), before = slice_sub(all, 0, slice_index(all, '\0')), after = slice_sub(all, before.n + 1, all.n);
    ARENA_CLEANUP struct arena a = ARENA_INIT(256 << 20);
    struct hunks h;
    if (size > 1 << 20 || hunks_find(before, after, &a, &h, NULL))
        return 0;
    bool *taken = arena_array(&a, h.n + 1, sizeof *taken);
    ASSERT(taken && joins(&h, taken, before));
    memset(taken, true, h.n);
    ASSERT(joins(&h, taken, after) && (h.n == 0) == slice_eq(before, after));
    show_all(&h, &a);
    BUF_CLEANUP struct buf some = BUF_INIT(1 << 22);
    size_t lines = h.na, ends = 0;
    for (size_t i = 0; i < h.n; i++) {
        taken[i] = (h.v[i].all.a + i) % 2;
        lines = taken[i] ? lines - h.v[i].all.na + h.v[i].all.nb : lines;
    }
    hunks_join(&h, taken, &some);
    for (size_t i = 0; i < some.n; i++)
        ends += some.p[i] == '\n';
    ASSERT(lines == ends + (some.n && some.p[some.n - 1] != '\n'));
    return 0;
}
