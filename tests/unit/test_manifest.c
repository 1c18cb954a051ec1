/*
 * Manifests: what is written is read again, any cut or damage is an error and never a different manifest (N4), the order
 * is that of N1, and what layers come to together is what a map of paths says that replays them one by one.
 *
 * Planted and caught, one at a time: a slash that sorts as itself (the encoder's assertion); `before` of the newest layer,
 * `moved` of the newest, what lay in a removed folder kept, a change taken back that is dropped before the last layer is on
 * (test_flatten_against_a_map); folders counted (test_count).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/buf.h"
#include "layers/manifest.h"

enum { ARENA = 64 * 1024 * 1024 };

static uint64_t seed = 1;

static unsigned roll(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((seed >> 33) % n);
}

static struct stamp node(enum stamp_type type, unsigned what)
{
    if (type == STAMP_ABSENT)
        return (struct stamp){.type = STAMP_ABSENT};
    struct stamp s = {.type = type, .mode = 0600 + what % 8, .uid = what, .gid = 7, .links = 1, .ino = 100 + what,
                      .size = what, .mtime_ns = -1 - (int64_t)what, .ctime_ns = INT64_MAX - what};
    if (type == STAMP_FILE || type == STAMP_LINK)
        s.hash.b[what % HASH_BYTES] = (uint8_t)(1 + what);
    return s;
}

static bool node_eq(const struct stamp *a, const struct stamp *b)
{
    return a->type == b->type && a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->links == b->links &&
           a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns &&
           hash_eq(&a->hash, &b->hash);
}

static bool change_eq(const struct change *a, const struct change *b)
{
    return slice_eq(a->path, b->path) && a->moved == b->moved && a->layer == b->layer &&
           node_eq(&a->before, &b->before) && node_eq(&a->after, &b->after);
}

/* One of every kind of thing. */
static struct change sample[] = {
    {.path = SLICE_INIT("a"), .moved = true},
    {.path = SLICE_INIT("a/b"), .layer = 3},
    {.path = SLICE_INIT("a/b/c\xff\n")},
    {.path = SLICE_INIT("a!"), .layer = UINT16_MAX},
    {.path = SLICE_INIT("b")},
};

static struct seen sample_seen[] = {{.path = SLICE_INIT("a/b/HEAD")}, {.path = SLICE_INIT("a/b/packed-refs")}};

static struct manifest sample_make(void)
{
    sample_seen[0].was = node(STAMP_FILE, 9);
    sample[0].before = node(STAMP_FOLDER, 1), sample[0].after = node(STAMP_FOLDER, 2);
    sample[1].before = node(STAMP_FILE, 3), sample[1].after = node(STAMP_LINK, 4);
    sample[2].before = node(STAMP_LINK, 5), sample[2].after = node(STAMP_FILE, 6);
    sample[3].before = node(STAMP_OTHER, 7);
    sample[4].after = node(STAMP_FILE, 8);
    return (struct manifest){.v = sample, .n = sizeof sample / sizeof *sample, .seen = sample_seen, .nseen = 2};
}

static void test_round_trip(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(ARENA);
    BUF_CLEANUP struct buf bytes = BUF_INIT(MANIFEST_BYTES_MAX), again = BUF_INIT(MANIFEST_BYTES_MAX);
    struct manifest m = sample_make(), got;
    manifest_encode(&m, &bytes);
    assert_int_equal(manifest_decode(buf_slice(&bytes), &a, &got, NULL), OK);
    assert_int_equal(got.n, m.n);
    for (size_t i = 0; i < m.n; i++) {
        assert_true(change_eq(&m.v[i], &got.v[i]));
        assert_ptr_equal(manifest_find(&got, m.v[i].path), &got.v[i]);
    }
    assert_int_equal(got.nseen, m.nseen);
    for (size_t i = 0; i < m.nseen; i++)
        assert_true(slice_eq(m.seen[i].path, got.seen[i].path) && node_eq(&m.seen[i].was, &got.seen[i].was));
    assert_null(manifest_find(&got, SLICE("a/b/c")));
    assert_null(manifest_find(&got, SLICE("")));
    assert_null(manifest_find(&got, SLICE("z")));
    manifest_encode(&got, &again);
    assert_true(slice_eq(buf_slice(&bytes), buf_slice(&again)));
    struct manifest none = {0};
    buf_reset(&bytes);
    manifest_encode(&none, &bytes);
    assert_int_equal(manifest_decode(buf_slice(&bytes), &a, &got, NULL), OK);
    assert_int_equal(got.n, 0);
}

static void test_order(void **state)
{
    (void)state;
    static const char *const ordered[] = {"A", "a", "a/\x01", "a/b", "a/b/c", "a/b!", "a\x01", "a!", "a!/x", "a.b", "aa", "b", "\xff"};
    size_t n = sizeof ordered / sizeof *ordered;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            int order = manifest_path_cmp(slice_of(ordered[i]), slice_of(ordered[k]));
            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
        }
}

/* The bytes are refused, with words, and nothing is written. */
static void refused(struct slice bytes, enum err want)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(ARENA);
    struct manifest got = {.n = 77};
    struct error e = {0};
    assert_int_equal(manifest_decode(bytes, &a, &got, &e), want);
    assert_true(got.n == 77 && e.code == want && e.text[0]);
}

static void test_damage(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(ARENA);
    BUF_CLEANUP struct buf bytes = BUF_INIT(MANIFEST_BYTES_MAX), again = BUF_INIT(MANIFEST_BYTES_MAX);
    struct manifest m = sample_make(), got;
    manifest_encode(&m, &bytes);
    for (size_t n = 0; n < bytes.n; n++)
        refused(slice_sub(buf_slice(&bytes), 0, n), ERR_CORRUPT);
    for (size_t i = 0; i < bytes.n * 8; i++) { /* a flipped bit is an error, or what it says now and nothing hidden */
        bytes.p[i / 8] = (char)(bytes.p[i / 8] ^ 1 << i % 8);
        if (!manifest_decode(buf_slice(&bytes), &a, &got, NULL)) {
            buf_reset(&again);
            manifest_encode(&got, &again);
            assert_true(slice_eq(buf_slice(&bytes), buf_slice(&again)));
        }
        bytes.p[i / 8] = (char)(bytes.p[i / 8] ^ 1 << i % 8);
    }
    buf_add_char(&bytes, '\0');
    refused(buf_slice(&bytes), ERR_CORRUPT);
    bytes.p[4] = 3;
    refused(buf_slice(&bytes), ERR_VERSION);
    m.nseen = 0;
    buf_reset(&bytes);
    manifest_encode(&m, &bytes);
    bytes.p[4] = 1; /* the first version ends before what was seen */
    refused(buf_slice(&bytes), ERR_CORRUPT);
    assert_int_equal(manifest_decode(slice_sub(buf_slice(&bytes), 0, bytes.n - 2), &a, &got, NULL), OK);
    assert_true(got.n == m.n && got.nseen == 0);
    bytes.p[4] = 2, bytes.p[8] = 100;
    refused(buf_slice(&bytes), ERR_LIMIT);
}

/* What layers stood on: as the oldest saw it, and not what one of them changes. */
static void test_seen(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(ARENA);
    struct manifest flat;
    struct change one = {.path = SLICE_INIT("g/refs/x"), .after = node(STAMP_FILE, 1)}, head = {.path = SLICE_INIT("h/HEAD"), .after = node(STAMP_FILE, 2)};
    struct seen old[] = {{SLICE_INIT("g/HEAD"), node(STAMP_FILE, 3)}, {SLICE_INIT("h/HEAD"), node(STAMP_FILE, 4)}};
    struct seen new[] = {{SLICE_INIT("a/HEAD"), node(STAMP_FILE, 5)}, {SLICE_INIT("g/HEAD"), node(STAMP_FILE, 6)}};
    struct manifest both[] = {{.v = &one, .n = 1, .seen = old, .nseen = 2}, {.v = &head, .n = 1, .seen = new, .nseen = 2}};
    assert_int_equal(manifest_flatten(both, 2, &a, &flat, NULL), OK);
    assert_int_equal(flat.nseen, 2);
    assert_true(slice_is(flat.seen[0].path, "a/HEAD") && slice_is(flat.seen[1].path, "g/HEAD") && flat.seen[1].was.size == 3);
    one.before = one.after, head.before = head.after;
    assert_int_equal(manifest_flatten(both, 2, &a, &flat, NULL), OK);
    assert_true(flat.n == 0 && flat.nseen == 0);
}

static void wrong(struct change *v, size_t n, size_t at, const char *patch, size_t npatch)
{
    BUF_CLEANUP struct buf bytes = BUF_INIT(MANIFEST_BYTES_MAX);
    struct manifest m = {.v = v, .n = n};
    manifest_encode(&m, &bytes);
    assert_true(at + npatch <= bytes.n);
    memcpy(bytes.p + at, patch, npatch);
    refused(buf_slice(&bytes), ERR_CORRUPT);
}

static void test_rules(void **state)
{
    (void)state;
    struct change two[] = {{.path = SLICE_INIT("b")}, {.path = SLICE_INIT("c")}};
    enum { FIRST = 10, SECOND = FIRST + 2 + 1 + 1 + 2 + 2 }; /* where the changes begin */
    wrong(two, 2, SECOND + 2, "b", 1); /* twice */
    wrong(two, 2, SECOND + 2, "a", 1);
    wrong(two, 2, FIRST + 2, "/", 1);
    wrong(two, 2, FIRST + 2, ".", 1);
    wrong(two, 2, FIRST + 2, "\0", 1);
    wrong(two, 2, FIRST, "\0\0", 2);
    wrong(two, 2, FIRST + 3, "\2", 1);  /* an unknown mark */
    wrong(two, 2, FIRST + 6, "\5", 1);  /* an unknown type */
    two[0].after = node(STAMP_FOLDER, 1);
    wrong(two, 2, FIRST + 7, "\2", 1);  /* OTHER after */
    wrong(two, 2, FIRST + 9, "\xff", 1); /* mode */
}

/* ---- flatten ---- */

enum { DEPTH = 3, NAMES = 3, PATHS = NAMES + NAMES * NAMES + NAMES * NAMES * NAMES, LAYERS = 5 };

static char path_text[PATHS][8];

static struct slice path_of(size_t i)
{
    return slice_of(path_text[i]);
}

static int by_path(const void *a, const void *b)
{
    return manifest_path_cmp(slice_of(a), slice_of(b));
}

static void paths_make(void)
{
    size_t n = 0;
    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(path_text[n++], 8, "%c", "a!~"[i]);
        for (unsigned j = 0; j < NAMES; j++) {
            snprintf(path_text[n++], 8, "%c/%c", "a!~"[i], "a!~"[j]);
            for (unsigned k = 0; k < NAMES; k++)
                snprintf(path_text[n++], 8, "%c/%c/%c", "a!~"[i], "a!~"[j], "a!~"[k]);
        }
    }
    assert_int_equal(n, PATHS);
    qsort(path_text, PATHS, sizeof *path_text, by_path);
}

/* What the map knows of a path. */
struct cell {
    bool named, moved;
    struct stamp before, after;
    uint16_t layer;
};

static bool below_path(size_t i, size_t folder)
{
    size_t n = strlen(path_text[folder]);
    return !strncmp(path_text[i], path_text[folder], n) && path_text[i][n] == '/';
}

static void layer_make(struct change *v, struct manifest *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < PATHS; i++)
        if (roll(3) == 0)
            v[n++] = (struct change){.path = path_of(i), .moved = roll(4) == 0,
                .before = node((enum stamp_type[]){STAMP_ABSENT, STAMP_FILE, STAMP_OTHER, STAMP_LINK, STAMP_FOLDER}[roll(5)], roll(3)),
                .after = node((enum stamp_type[]){STAMP_ABSENT, STAMP_FILE, STAMP_FOLDER, STAMP_LINK}[roll(4)], roll(3))};
    *ret = (struct manifest){.v = v, .n = n};
}

/* A layer over the map, the plain way: all that lies below what is no folder now goes first, then each change stands. */
static void map_apply(struct cell *map, const struct manifest *m, uint16_t layer)
{
    for (size_t k = 0; k < m->n; k++)
        for (size_t i = 0; i < PATHS && m->v[k].after.type != STAMP_FOLDER; i++)
            for (size_t f = 0; f < PATHS; f++)
                if (slice_eq(path_of(f), m->v[k].path) && below_path(i, f))
                    map[i].after = (struct stamp){.type = STAMP_ABSENT};
    for (size_t k = 0; k < m->n; k++)
        for (size_t i = 0; i < PATHS; i++)
            if (slice_eq(path_of(i), m->v[k].path)) {
                if (!map[i].named)
                    map[i] = (struct cell){.named = true, .before = m->v[k].before, .moved = m->v[k].moved};
                map[i].after = m->v[k].after;
                map[i].layer = layer;
            }
}

static bool map_changed(const struct cell *c)
{
    const struct stamp *a = &c->before, *b = &c->after;
    if (!c->named)
        return false;
    if (a->type != b->type || a->mode != b->mode)
        return true;
    return a->type != STAMP_ABSENT && a->type != STAMP_FOLDER &&
           (a->size != b->size || a->mtime_ns != b->mtime_ns || !hash_eq(&a->hash, &b->hash));
}

static void test_flatten_against_a_map(void **state)
{
    (void)state;
    static struct change v[LAYERS][PATHS];
    paths_make();
    size_t left_out = 0;
    for (int round = 0; round < 3000; round++) {
        ARENA_CLEANUP struct arena a = ARENA_INIT(ARENA);
        struct manifest m[LAYERS], flat;
        struct cell map[PATHS] = {0};
        size_t n = roll(LAYERS + 1), at = 0;
        for (size_t i = 0; i < n; i++) {
            layer_make(v[i], &m[i]);
            map_apply(map, &m[i], (uint16_t)i);
        }
        assert_int_equal(manifest_flatten(m, n, &a, &flat, NULL), OK);
        for (size_t i = 0; i < PATHS; i++) {
            if (!map_changed(&map[i])) {
                left_out += map[i].named;
                continue;
            }
            assert_true(at < flat.n);
            struct change want = {.path = path_of(i), .before = map[i].before, .after = map[i].after, .moved = map[i].moved,
                                  .layer = map[i].layer};
            if (!change_eq(&flat.v[at++], &want))
                fail_msg("round %d: %s", round, path_text[i]);
        }
        assert_int_equal(at, flat.n);
    }
    assert_true(left_out > 1000);
}

static void test_count(void **state)
{
    (void)state;
    struct manifest m = sample_make();
    struct manifest_count c = manifest_count(&m);
    assert_true(c.added == 1 && c.changed == 2 && c.removed == 1 && c.bytes == 6 + 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_order), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_seen),
        cmocka_unit_test(test_rules), cmocka_unit_test(test_flatten_against_a_map), cmocka_unit_test(test_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
