/* Proves of hunks that all of them make the new text and none the old one, to the byte, whatever the texts; that any choice is
   the old text with those changes and lands line by line; and of parted manifests that what lands and what waits on are
   manifests that together make the whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "layers/manifest_part.h"
#include "tools/hunks.h"

static uint64_t seed = 1;

static size_t any(size_t n)
{
    seed = seed * 6364136223846793005 + 1442695040888963407;
    return n ? (size_t)(seed >> 33) % n : 0;
}

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena = ARENA_INIT(256 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

static struct hunks find(struct slice before, struct slice after)
{
    struct hunks h;
    struct error e;
    if (hunks_find(before, after, &arena, &h, &e))
        fail_msg("%s", e.text);
    return h;
}

static void joins(const struct hunks *h, const bool *taken, const char *text)
{
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    hunks_join(h, taken, &b);
    assert_string_equal(buf_str(&b), text);
}

/* ---- texts ---- */

static void test_known_ones(void **state)
{
    (void)state;
    bool both[] = {true, true}, first[] = {true, false}, second[] = {false, true};
    struct hunks h = find(SLICE("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n"), SLICE("one\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n"));
    assert_int_equal(h.n, 2);
    joins(&h, first, "one\n2\n3\n4\n5\n6\n7\n8\n9\n10\n");
    joins(&h, second, "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n");
    joins(&h, both, "one\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n");
    h = find(SLICE("1\n2\n3\n4\n5\n6\n7\n8\n"), SLICE("one\n2\n3\n4\n5\n6\n7\neight\n")); /* six lines between: one hunk, as in a diff */
    assert_int_equal(h.n, 1);
    assert_int_equal(h.v[0].nedits, 2);
    h = find(SLICE("a\r\nb\r\n"), SLICE("a\r\nb\n"));
    assert_int_equal(h.n, 1);
    assert_int_equal(h.v[0].all.a, 1);
    h = find(SLICE("a\nb"), SLICE("a\nb\n"));
    assert_int_equal(h.n, 1);
    joins(&h, both, "a\nb\n");
    h = find(SLICE(""), SLICE("a"));
    joins(&h, both, "a");
    joins(&h, second, "");
    assert_int_equal(find(SLICE("a\nb"), SLICE("a\nb")).n, 0);
    assert_int_equal(find(SLICE(""), SLICE("")).n, 0);
}

static void test_what_is_shown(void **state)
{
    (void)state;
    struct hunks h = find(SLICE("1\n2\n3\n4\n5\n6\n"), SLICE("1\n2\n3\n4\nfive\n6\n"));
    struct hunk_line *v;
    struct edit at;
    size_t n;
    BUF_CLEANUP struct buf b = BUF_INIT(1000);
    assert_int_equal(hunks_show(&h, 0, &arena, &at, &v, &n, NULL), OK);
    for (size_t i = 0; i < n; i++)
        buf_addf(&b, "%c%.*s", v[i].sign, SLICE_ARG(v[i].text));
    assert_string_equal(buf_str(&b), " 2\n 3\n 4\n-5\n+five\n 6\n");
    assert_true(at.a == 1 && at.na == 5 && at.b == 1 && at.nb == 5);
}

/* A text of few different lines, so that many stand for each other; some end in CRLF, the last perhaps in nothing. */
static struct slice any_text(size_t most)
{
    static const char *const lines[] = {"a", "b", "", "c\r", "}", "\xff\x01", "a b"};
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    for (size_t n = any(most); n; n--)
        buf_addf(&b, "%s\n", lines[any(7)]);
    if (any(3) == 0)
        buf_add_text(&b, lines[any(2)]);
    return arena_copy(&arena, buf_slice(&b));
}

/* The same text with a few lines changed here and there. */
static struct slice like(struct slice text)
{
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    while (text.n) {
        size_t end = slice_index(text, '\n');
        struct slice line = slice_sub(text, 0, end + (end < text.n));
        text = slice_sub(text, line.n, text.n);
        size_t what = any(12);
        if (what == 0)
            continue;
        if (what == 1)
            buf_add_text(&b, "new\n");
        buf_add(&b, what == 2 ? SLICE("other\n") : line);
    }
    return arena_copy(&arena, buf_slice(&b));
}

/* In a text of some hunks only the last line may have no end (H2), and what it holds are lines of the two. */
static void check_subset(const struct hunks *h, const bool *taken)
{
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    hunks_join(h, taken, &b);
    size_t lines = h->na, seen = 0;
    for (size_t i = 0; i < h->n; i++)
        lines = taken[i] ? lines - h->v[i].all.na + h->v[i].all.nb : lines;
    for (struct slice rest = buf_slice(&b); rest.n; seen++) {
        size_t end = slice_index(rest, '\n');
        rest = slice_sub(rest, end + 1, rest.n);
    }
    assert_int_equal(seen, lines);
    /* what is left to take of it is what was not taken: both together are the new text */
    struct slice part = arena_copy(&arena, buf_slice(&b)), after = SLICE_NONE;
    BUF_CLEANUP struct buf all = BUF_INIT(1 << 20);
    for (size_t i = 0; i < h->nb; i++)
        buf_add(&all, h->b[i]);
    after = buf_slice(&all);
    struct hunks rest = find(part, after);
    bool *every = arena_array(&arena, rest.n + 1, sizeof *every);
    memset(every, true, rest.n);
    BUF_CLEANUP struct buf again = BUF_INIT(1 << 20);
    hunks_join(&rest, every, &again);
    assert_true(slice_eq(buf_slice(&again), after));
}

static void test_any_texts(void **state)
{
    (void)state;
    for (int round = 0; round < 4000; round++) {
        arena_release(&arena);
        struct slice before = any_text(round % 10 == 0 ? 200 : 30), after = any(3) ? like(before) : any_text(30);
        struct hunks h = find(before, after);
        bool *taken = arena_array(&arena, h.n + 1, sizeof *taken);
        BUF_CLEANUP struct buf none = BUF_INIT(1 << 20), all = BUF_INIT(1 << 20);
        hunks_join(&h, taken, &none);
        assert_true(slice_eq(buf_slice(&none), before));
        memset(taken, true, h.n);
        hunks_join(&h, taken, &all);
        assert_true(slice_eq(buf_slice(&all), after));
        assert_true((h.n == 0) == slice_eq(before, after));
        for (size_t i = 0; i < h.n; i++) { /* H1 */
            const struct edit *t = &h.v[i].all;
            assert_true(t->na + t->nb > 0 && t->a + t->na <= h.na && t->b + t->nb <= h.nb);
            if (i)
                assert_true(t->a > h.v[i - 1].all.a + h.v[i - 1].all.na + 2 * HUNKS_CONTEXT);
            taken[i] = any(2);
        }
        check_subset(&h, taken);
    }
}

/* Where too much differs it is one hunk, and still to the byte. */
static void test_too_much(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf a = BUF_INIT(1 << 20), b = BUF_INIT(1 << 20), got = BUF_INIT(1 << 20);
    for (int i = 0; i < 5000; i++) {
        buf_addf(&a, "%d\n", i);
        buf_addf(&b, "%d\n", i % 2 ? i : -i);
    }
    struct hunks h = find(buf_slice(&a), buf_slice(&b));
    bool taken[] = {true};
    assert_int_equal(h.n, 1);
    hunks_join(&h, taken, &got);
    assert_true(slice_eq(buf_slice(&got), buf_slice(&b)));
}

/* ---- manifests ---- */

static struct stamp of(enum stamp_type type, unsigned text)
{
    struct stamp s = {.type = type, .mode = type == STAMP_FOLDER ? 0755 : 0644, .ino = type ? 100 + text : 0, .size = type ? text : 0,
                      .links = 1, .mtime_ns = (int64_t)text + 1};
    s.hash.b[0] = (unsigned char)text;
    return type ? s : (struct stamp){.type = STAMP_ABSENT};
}

enum { N = STAMP_ABSENT, F = STAMP_FILE, L = STAMP_LINK, D = STAMP_FOLDER };

static const struct shape { const char *path; int before, after; bool asked; } shapes[] = {
    {"a", F, F, true}, {"gone", D, N, false}, {"gone/x", F, N, true}, {"gone/y", D, N, true}, {"new", N, D, false}, {"new/x", N, F, true},
    {"new/y", N, D, false}, {"new/y/z", N, F, true}, {"time", D, D, false}, {"turn", D, F, true}, {"turn/x", F, N, false},
    {"turn/y", D, N, false}, {"turn/y/z", F, N, false}, {"up", F, D, false}, {"up/x", N, F, true}, {"z", N, D, true},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static struct manifest make(struct change v[SHAPES])
{
    for (unsigned i = 0; i < SHAPES; i++)
        v[i] = (struct change){.path = slice_of(shapes[i].path), .before = of((enum stamp_type)shapes[i].before, i),
                               .after = of((enum stamp_type)shapes[i].after, 50 + i)};
    return (struct manifest){.v = v, .n = SHAPES};
}

static void test_what_is_asked(void **state)
{
    (void)state;
    struct change v[SHAPES];
    struct manifest m = make(v);
    struct part *parts;
    assert_int_equal(part_begin(&m, &arena, &parts, NULL), OK);
    for (size_t i = 0; i < SHAPES; i++)
        if (parts[i].asked != shapes[i].asked)
            fail_msg("%s", shapes[i].path);
    part_spread(&m, parts);
    for (size_t i = 0; i < SHAPES; i++)
        assert_int_equal(parts[i].taken, PART_NOT);
    for (size_t i = 0; i < SHAPES; i++)
        parts[i].taken = parts[i].asked ? PART_ALL : PART_NOT;
    part_spread(&m, parts);
    for (size_t i = 0; i < SHAPES; i++)
        assert_int_equal(parts[i].taken, PART_ALL);
}

static bool left_all(const void *ctx, struct slice path)
{
    (void)ctx;
    (void)path;
    return true;
}

static bool left_none(const void *ctx, struct slice path)
{
    (void)ctx;
    (void)path;
    return false;
}

static bool same(const struct manifest *a, const struct manifest *b)
{
    BUF_CLEANUP struct buf x = BUF_INIT(1 << 20), y = BUF_INIT(1 << 20);
    manifest_encode(a, &x); /* asserts N1 */
    manifest_encode(b, &y);
    return buf_ok(&x) && slice_eq(buf_slice(&x), buf_slice(&y));
}

/* G2: what is taken of a folder needs it, and one that goes is empty then. */
static void check_folders(const struct manifest *m, const struct part *v)
{
    for (size_t i = 0; i < m->n; i++)
        for (size_t k = i + 1; k < m->n && slice_below(m->v[k].path, m->v[i].path); k++) {
            bool made = m->v[i].before.type != STAMP_FOLDER, goes = m->v[i].after.type != STAMP_FOLDER;
            assert_false(made && v[k].taken != PART_NOT && v[i].taken == PART_NOT);
            assert_false(goes && v[i].taken == PART_ALL && v[k].taken != PART_ALL);
        }
}

static void test_any_choice(void **state)
{
    (void)state;
    for (int round = 0; round < 2000; round++) {
        struct change v[SHAPES], w[SHAPES];
        struct manifest m = make(v), lands, rest, left, joined, none = {.v = w};
        struct part *parts;
        arena_release(&arena);
        assert_int_equal(part_begin(&m, &arena, &parts, NULL), OK);
        for (size_t i = 0; i < SHAPES; i++)
            if (parts[i].asked && any(2))
                parts[i].taken = PART_ALL;
        size_t some = any(2);
        if (some)
            parts[0] = (struct part){.taken = PART_SOME, .after = of(STAMP_FILE, 99), .asked = true, .unit = 0};
        part_spread(&m, parts);
        check_folders(&m, parts);
        assert_int_equal(part_split(&m, parts, 7, &arena, &lands, &rest, NULL), OK);
        assert_true(lands.n + rest.n == SHAPES + some); /* G1 */
        assert_int_equal(part_join(&rest, &lands, left_all, NULL, &none, &arena, &left, NULL), OK);
        assert_true(same(&left, &m)); /* nothing of it landed: all of it waits on, as it was */
        struct manifest both[] = {lands, rest};
        assert_int_equal(manifest_flatten(both, 2, &arena, &joined, NULL), OK); /* one after the other: the whole */
        assert_int_equal(joined.n, SHAPES);
        for (size_t i = 0; i < SHAPES; i++)
            assert_true(stamp_same(&joined.v[i].before, &m.v[i].before) && stamp_same(&joined.v[i].after, &m.v[i].after));
        if (some) {
            w[0] = (struct change){.path = SLICE("a"), .before = of(STAMP_FILE, 99), .after = v[0].before};
            w[0].before.ino = 4711;
            assert_int_equal(part_join(&rest, &lands, left_none, NULL, &(struct manifest){.v = w, .n = 1}, &arena, &left, NULL), OK);
            assert_true(left.n == rest.n && left.v[0].before.ino == 4711 && lands.v[0].layer == 7 && rest.v[0].layer == 0);
            w[0].before.hash.b[0] = 1; /* a person was quicker: theirs is no base */
            assert_int_equal(part_join(&rest, &lands, left_none, NULL, &(struct manifest){.v = w, .n = 1}, &arena, &left, NULL), OK);
            assert_true(left.v[0].before.ino == 0 && left.v[0].before.hash.b[0] == 99);
        }
    }
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_known_ones), T(test_what_is_shown), T(test_any_texts), T(test_too_much), T(test_what_is_asked), T(test_any_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
