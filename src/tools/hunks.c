#include "tools/hunks.h"

#include <string.h>

#include "base/sys.h"

enum { STEPS_MAX = 20 * 1000 * 1000 };

static enum err out_of_memory(struct error *e)
{
    return error_set(e, ERR_MEMORY, "the lines of a file do not fit into memory");
}

/* ---- lines ---- */

static bool next_line(struct slice *text, struct slice *ret)
{
    size_t end = slice_index(*text, '\n');
    *ret = slice_sub(*text, 0, end + (end < text->n));
    *text = slice_sub(*text, ret->n, text->n);
    return ret->n > 0;
}

static struct slice *split(struct slice text, struct arena *a, size_t *ret_n)
{
    size_t n = 0;
    for (struct slice rest = text, line; next_line(&rest, &line);)
        n++;
    struct slice *v = arena_array(a, n + 1, sizeof *v);
    n = 0;
    for (struct slice line; v && next_line(&text, &line);)
        v[n++] = line;
    *ret_n = n;
    return v;
}

/* ---- the shortest way from a to b (E. Myers, "An O(ND) difference algorithm", 1986) ---- */

struct search {
    const struct slice *a, *b;
    size_t n, m;
    int32_t *far[HUNKS_FAR + 1]; /* after d lines that differ: how far in a on each diagonal -d, -d + 2 … */
    size_t steps;
};

/* Where diagonal k begins after d steps, from what d - 1 reached; *ret_down: by a line of b. */
static int32_t enter(const struct search *s, int32_t d, int32_t k, bool *ret_down)
{
    if (d == 0) {
        *ret_down = false;
        return 0;
    }
    const int32_t *v = s->far[d - 1]; /* diagonal j of d - 1 at (j + d - 1) / 2 */
    int32_t above = k == d ? -1 : v[(k + d) / 2], left = k == -d ? -1 : v[(k + d) / 2 - 1];
    *ret_down = k == -d || (k != d && left < above);
    return *ret_down ? above : left + 1;
}

static int32_t slide(struct search *s, int32_t x, int32_t k)
{
    while (x >= 0 && x - k >= 0 && (size_t)x < s->n && (size_t)(x - k) < s->m && slice_eq(s->a[x], s->b[x - k])) {
        x++;
        s->steps++;
    }
    return x;
}

/* The number of lines that differ, or -1: too many, too long, or no memory. */
static int32_t search(struct search *s, struct arena *a)
{
    for (int32_t d = 0; d <= HUNKS_FAR; d++) {
        s->far[d] = arena_array(a, (size_t)d + 1, sizeof *s->far[d]);
        if (!s->far[d])
            return -1;
        for (int32_t k = -d; k <= d; k += 2) {
            bool down;
            int32_t x = slide(s, enter(s, d, k, &down), k);
            s->far[d][(k + d) / 2] = x;
            if ((size_t)x >= s->n && x - k >= 0 && (size_t)(x - k) >= s->m)
                return d;
            if (++s->steps > STEPS_MAX)
                return -1;
        }
    }
    return -1;
}

/* Back from the end, marking the lines that have no partner. */
static void mark(const struct search *s, int32_t d, bool *gone, bool *come)
{
    for (int32_t k = (int32_t)s->n - (int32_t)s->m; d > 0; d--) {
        bool down;
        int32_t x = enter(s, d, k, &down);
        if (down)
            come[x - k - 1] = true;
        else
            gone[x - 1] = true;
        k += down ? 1 : -1;
    }
}

/* ---- edits and hunks ---- */

/* Runs of marked lines as edits; where nothing is marked, lines stand for each other. */
static enum err add_edits(const bool *gone, const bool *come, struct arena *a, struct hunks *h, struct error *e)
{
    void *v = NULL;
    size_t cap = 0;
    for (size_t i = 0, k = 0; i < h->na || k < h->nb;) {
        struct edit t = {.a = i, .b = k};
        while (i < h->na && gone[i])
            i++;
        while (k < h->nb && come[k])
            k++;
        t.na = i - t.a;
        t.nb = k - t.b;
        if (!t.na && !t.nb) {
            i++;
            k++;
            continue;
        }
        if (!arena_grow(a, &v, &cap, h->nedits + 1, sizeof *h->edits))
            return out_of_memory(e);
        h->edits = v;
        h->edits[h->nedits++] = t;
    }
    return OK;
}

static enum err group(struct arena *a, struct hunks *h, struct error *e)
{
    h->v = arena_array(a, h->nedits + 1, sizeof *h->v);
    if (!h->v)
        return out_of_memory(e);
    for (size_t i = 0; i < h->nedits; i++) {
        const struct edit *t = &h->edits[i];
        struct hunk *last = h->n ? &h->v[h->n - 1] : NULL;
        if (last && t->a - (last->all.a + last->all.na) <= 2 * HUNKS_CONTEXT) {
            last->all.na = t->a + t->na - last->all.a;
            last->all.nb = t->b + t->nb - last->all.b;
            last->nedits++;
        } else {
            h->v[h->n++] = (struct hunk){.all = *t, .edit = i, .nedits = 1};
        }
    }
    return OK;
}

/* Marks what differs; what is the same at both ends is left out of the search. */
static enum err compare(struct hunks *h, bool *gone, bool *come, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(64 << 20);
    struct search *s = arena_alloc(&a, sizeof *s);
    size_t from = 0, n = h->na, m = h->nb;
    if (!s)
        return out_of_memory(e);
    while (from < n && from < m && slice_eq(h->a[from], h->b[from]))
        from++;
    while (n > from && m > from && slice_eq(h->a[n - 1], h->b[m - 1]))
        n--, m--;
    *s = (struct search){.a = h->a + from, .b = h->b + from, .n = n - from, .m = m - from};
    int32_t d = s->n < INT32_MAX / 2 && s->m < INT32_MAX / 2 ? search(s, &a) : -1;
    if (d >= 0) {
        mark(s, d, gone + from, come + from);
    } else {
        memset(gone + from, true, n - from);
        memset(come + from, true, m - from);
    }
    return OK;
}

enum err hunks_find(struct slice before, struct slice after, struct arena *a, struct hunks *ret, struct error *e)
{
    struct hunks h = {.n = 0};
    h.a = split(before, a, &h.na);
    h.b = split(after, a, &h.nb);
    bool *gone = arena_array(a, h.na + 1, sizeof *gone), *come = arena_array(a, h.nb + 1, sizeof *come);
    if (!h.a || !h.b || !gone || !come)
        return out_of_memory(e);
    enum err err = compare(&h, gone, come, e);
    if (!err)
        err = add_edits(gone, come, a, &h, e);
    if (!err)
        err = group(a, &h, e);
    if (!err)
        *ret = h;
    return err;
}

/* ---- some of them ---- */

static void add_lines(const struct slice *v, size_t n, struct buf *ret)
{
    for (size_t i = 0; i < n; i++)
        buf_add(ret, v[i]);
}

void hunks_join(const struct hunks *h, const bool *taken, struct buf *ret)
{
    size_t at = 0;
    for (size_t i = 0; i < h->n; i++) {
        const struct edit *t = &h->v[i].all;
        add_lines(h->a + at, t->a - at, ret);
        if (taken[i])
            add_lines(h->b + t->b, t->nb, ret);
        else
            add_lines(h->a + t->a, t->na, ret);
        at = t->a + t->na;
    }
    add_lines(h->a + at, h->na - at, ret);
}

static void show_lines(char sign, const struct slice *v, size_t n, struct hunk_line *ret, size_t *at)
{
    for (size_t i = 0; i < n; i++)
        ret[(*at)++] = (struct hunk_line){sign, v[i]};
}

enum err hunks_show(const struct hunks *h, size_t i, struct arena *a, struct edit *ret_shown, struct hunk_line **ret, size_t *ret_n,
                    struct error *e)
{
    const struct hunk *k = &h->v[i];
    size_t before = k->all.a < HUNKS_CONTEXT ? k->all.a : HUNKS_CONTEXT, end = k->all.a + k->all.na;
    size_t after = h->na - end < HUNKS_CONTEXT ? h->na - end : HUNKS_CONTEXT;
    size_t at = k->all.a - before, n = 0;
    *ret_shown = (struct edit){at, before + k->all.na + after, k->all.b - before, before + k->all.nb + after};
    struct hunk_line *v = arena_array(a, ret_shown->na + k->all.nb + 1, sizeof *v);
    if (!v)
        return out_of_memory(e);
    for (size_t t = k->edit; t < k->edit + k->nedits; t++) {
        const struct edit *one = &h->edits[t];
        show_lines(' ', h->a + at, one->a - at, v, &n);
        show_lines('-', h->a + one->a, one->na, v, &n);
        show_lines('+', h->b + one->b, one->nb, v, &n);
        at = one->a + one->na;
    }
    show_lines(' ', h->a + at, end + after - at, v, &n);
    *ret = v;
    *ret_n = n;
    return OK;
}
