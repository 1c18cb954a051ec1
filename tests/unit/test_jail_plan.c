/* jail plan: what is encoded is decoded, every cut and every bad value is refused, an unknown field is not skipped;
   and what is kept of a long output is its head and its tail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jail/internal.h"
#include "wire/message.h"

static struct slice argv[] = {{"sh", 2}, {"-c", 2}, {"", 0}}, env[] = {{"A=", 2}, {"PATH=/bin", 9}};

static uint16_t listen_ports[] = {1, 65535}, serve_ports[] = {5432};
static struct slice layers[] = {{"/l/1/up", 7}, {"/l/2/up", 7}};

static struct jail_plan sample(void)
{
    struct jail_plan p = {.uid = 1000, .gid = 4294967294, .argv = argv, .nargv = 3, .env = env, .nenv = 2,
                          .cwd = SLICE("/work"), .limits = {1, 2, 3, 4, 5, 6, 12, 7, 8, 9}, .terminal = true, .id_range = 3999, .listen = listen_ports, .nlisten = 2};
    jail_plan_add(&p, (struct jail_mount){JAIL_WRITE, SLICE("/home/x"), SLICE("/work"), 0, false});
    jail_plan_add(&p, (struct jail_mount){JAIL_SCRATCH, SLICE_NONE, SLICE("/tmp"), 4096, false});
    jail_plan_add(&p, (struct jail_mount){JAIL_EMPTY, SLICE_NONE, SLICE("/work/.crannog"), 0, true});
    jail_plan_add(&p, (struct jail_mount){JAIL_LAYERS, SLICE("/home/y"), SLICE("/y"), 0, false, layers, 2, SLICE("/l/3")});
    jail_plan_add(&p, (struct jail_mount){.kind = JAIL_FILE, .target = SLICE("/tmp/f"), .text = SLICE("a\n")});
    jail_plan_add(&p, (struct jail_mount){.kind = JAIL_CACHE, .source = SLICE("/c"), .target = SLICE("/d"), .bytes = 9});
    return p;
}

static enum err decode(struct slice bytes, struct jail_plan *ret, struct arena *a)
{
    struct error e = {.code = OK};
    enum err err = jail_plan_decode(bytes, a, ret, &e);
    if (err)
        assert_true(e.code == err && e.text[0]);
    return err;
}

static enum err decode_plan(const struct jail_plan *p)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    BUF_CLEANUP struct buf b = BUF_INIT(JAIL_PLAN_MAX);
    struct jail_plan got;
    jail_plan_encode(p, &b);
    assert_true(buf_ok(&b));
    return decode(buf_slice(&b), &got, &a);
}

/* A service is a plan of a program without a terminal, and only one serves; ports are none twice and none 0. */
static void test_service(void **state)
{
    (void)state;
    uint16_t twice[] = {80, 80}, nothing[] = {0};
    struct jail_plan p = sample();
    p.terminal = false;
    p.serves = serve_ports;
    p.nserves = 1;
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
    p.service = true;
    assert_int_equal(decode_plan(&p), OK);
    p.terminal = true;
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
    p.terminal = false;
    p.serves = twice;
    p.nserves = 2;
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
    p.serves = serve_ports;
    p.nserves = 1;
    p.listen = nothing;
    p.nlisten = 1;
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
}

/* What could keep something from one applet to the next does not stay; walls are all but the applet. */
static void test_stays(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    BUF_CLEANUP struct buf b = BUF_INIT(JAIL_PLAN_MAX), walls = BUF_INIT(JAIL_PLAN_MAX), others = BUF_INIT(JAIL_PLAN_MAX);
    struct jail_plan p = {.cwd = SLICE("/"), .applet = SLICE("read"), .stays = true}, got;
    jail_plan_add_system(&p);
    jail_plan_encode(&p, &b);
    assert_int_equal(decode(buf_slice(&b), &got, &a), OK);
    assert_true(got.stays);
    jail_plan_walls(&p, &walls);
    got.applet = SLICE("look");
    jail_plan_walls(&got, &others);
    assert_true(slice_eq(buf_slice(&walls), buf_slice(&others)));
    got.limits.files++;
    buf_reset(&others);
    jail_plan_walls(&got, &others);
    assert_false(slice_eq(buf_slice(&walls), buf_slice(&others)));
    struct jail_plan bad = p;
    jail_plan_add(&bad, (struct jail_mount){JAIL_WRITE, SLICE("/work"), SLICE("/work"), 0, false});
    assert_int_equal(decode_plan(&bad), ERR_CORRUPT);
    bad.mounts[bad.nmounts - 1] = (struct jail_mount){.kind = JAIL_LAYERS, .source = SLICE("/work"), .target = SLICE("/work"), .upper = SLICE("/up")};
    assert_int_equal(decode_plan(&bad), ERR_CORRUPT);
    bad = p;
    bad.listen = (uint16_t[]){80};
    bad.nlisten = 1;
    assert_int_equal(decode_plan(&bad), ERR_CORRUPT);
    bad = p;
    bad.applet = SLICE_NONE;
    bad.argv = (struct slice[]){SLICE_INIT("true")};
    bad.nargv = 1;
    assert_int_equal(decode_plan(&bad), ERR_CORRUPT);
}

/* A browser's sandbox is for programs. */
static void test_nests(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    BUF_CLEANUP struct buf b = BUF_INIT(JAIL_PLAN_MAX);
    struct jail_plan p = sample(), got;
    p.nests = true;
    jail_plan_encode(&p, &b);
    assert_int_equal(decode(buf_slice(&b), &got, &a), OK);
    assert_true(got.nests);
    p.applet = SLICE("seal");
    p.nargv = 0;
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
}

static void test_round_trip(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    BUF_CLEANUP struct buf b = BUF_INIT(JAIL_PLAN_MAX), again = BUF_INIT(JAIL_PLAN_MAX);
    struct jail_plan p = sample(), got;
    jail_plan_encode(&p, &b);
    assert_int_equal(decode(buf_slice(&b), &got, &a), OK);
    jail_plan_encode(&got, &again);
    assert_true(slice_eq(buf_slice(&b), buf_slice(&again)));
    assert_true(got.id_range == 3999 && got.uid == 1000 && got.gid == 4294967294 && got.terminal && got.limits.output == 9 && got.limits.disk == 6 && got.limits.memory_all == 3 && got.limits.entries == 12);
    assert_true(slice_is(got.mounts[4].text, "a\n") && got.mounts[5].kind == JAIL_CACHE && got.mounts[5].bytes == 9);
    assert_true(got.nmounts == 6 && got.mounts[1].bytes == 4096 && got.mounts[2].optional);
    assert_true(got.nargv == 3 && got.argv[2].n == 0 && slice_is(got.env[1], "PATH=/bin"));
    assert_true(got.nlisten == 2 && got.listen[1] == 65535 && !got.service);
    assert_true(slice_is(got.cwd, "/work") && slice_is(got.mounts[0].source, "/home/x"));
    assert_true(got.mounts[3].kind == JAIL_LAYERS && got.mounts[3].nlayers == 2 && got.mounts[0].nlayers == 0);
    assert_true(slice_is(got.mounts[3].layers[0], "/l/1/up") && slice_is(got.mounts[3].layers[1], "/l/2/up"));
    assert_true(slice_is(got.mounts[3].upper, "/l/3") && got.mounts[0].upper.n == 0);
}

/* Text belongs to FILE alone, is bounded, and FILE has no source. */
static void test_texts(void **state)
{
    (void)state;
    static char long_text[JAIL_TEXT_MAX + 1];
    struct jail_plan p = sample();
    p.mounts[4].text = (struct slice){long_text, JAIL_TEXT_MAX};
    assert_int_equal(decode_plan(&p), OK);
    p.mounts[4].text.n++;
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
    p = sample();
    p.mounts[0].text = SLICE("x");
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
    p = sample();
    p.mounts[4].source = SLICE("/x");
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
    p = sample();
    p.mounts[5].source = SLICE_NONE;
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
}

/* Layers and an upper are paths, belong to LAYERS alone, are bounded, and an upper is there once. */
static void test_layers(void **state)
{
    (void)state;
    const char *const bad[] = {"/", "l", "/l/", "/l/../m", "/l//m", "/l/."};
    static struct slice one[1];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct jail_plan p = sample();
        p.mounts[3].upper = slice_of(bad[i]);
        assert_int_equal(decode_plan(&p), ERR_CORRUPT);
        p = sample();
        one[0] = slice_of(bad[i]);
        p.mounts[3].layers = one;
        p.mounts[3].nlayers = 1;
        assert_int_equal(decode_plan(&p), ERR_CORRUPT);
    }
    one[0] = SLICE("/l/1/up");
    for (int kind = JAIL_READ; kind <= JAIL_SHOWN; kind++) {
        struct slice source = kind == JAIL_EMPTY || kind == JAIL_SCRATCH || kind == JAIL_FILE ? SLICE_NONE : SLICE("/s");
        for (int what = 0; what < 3; what++) {
            struct jail_plan p = sample();
            p.mounts[0] = (struct jail_mount){.kind = (enum jail_mount_kind)kind, .source = source, .target = SLICE("/t"),
                                              .layers = one, .nlayers = what == 1, .upper = what == 2 ? SLICE("/u") : SLICE_NONE};
            assert_int_equal(decode_plan(&p), what == 0 || kind == JAIL_LAYERS ? OK : ERR_CORRUPT);
        }
    }
    struct jail_plan p = sample();
    p.mounts[3].source = SLICE_NONE;
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
    p = sample();
    p.mounts[0] = p.mounts[3];
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
    p.mounts[0].upper = SLICE("/l/4");
    assert_int_equal(decode_plan(&p), OK);
    static struct slice many[JAIL_LAYERS_MAX + 1];
    for (size_t i = 0; i <= JAIL_LAYERS_MAX; i++)
        many[i] = SLICE("/l");
    p.mounts[3].layers = many;
    p.mounts[3].nlayers = JAIL_LAYERS_MAX;
    assert_int_equal(decode_plan(&p), OK);
    p.mounts[3].nlayers++;
    assert_int_equal(decode_plan(&p), ERR_LIMIT);
}

static void test_applet_round_trip(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    BUF_CLEANUP struct buf b = BUF_INIT(JAIL_PLAN_MAX), args = BUF_INIT(JAIL_PLAN_MAX);
    char *big = calloc(1, 1 << 20);
    message_put(&args, 9, (struct slice){big, 1 << 20});
    struct jail_plan p = {.applet = SLICE("land"), .args = buf_slice(&args), .cwd = SLICE("/")}, got;
    jail_plan_encode(&p, &b);
    assert_int_equal(decode(buf_slice(&b), &got, &a), OK);
    assert_true(slice_is(got.applet, "land") && slice_eq(got.args, p.args) && got.nargv == 0);
    free(big);
}

static void test_every_cut_is_refused(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(JAIL_PLAN_MAX);
    struct jail_plan p = sample(), got;
    jail_plan_encode(&p, &b);
    for (size_t n = 0; n < b.n; n++) {
        ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
        assert_int_not_equal(decode(slice_sub(buf_slice(&b), 0, n), &got, &a), OK);
    }
    buf_add_char(&b, 'x');
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    assert_int_equal(decode(buf_slice(&b), &got, &a), ERR_CORRUPT);
}

static void test_unknown_field_is_refused(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    BUF_CLEANUP struct buf b = BUF_INIT(JAIL_PLAN_MAX), whole = BUF_INIT(JAIL_PLAN_MAX);
    struct jail_plan p = sample(), got;
    message_put_u64(&b, 999, 1);
    jail_plan_encode(&p, &b);
    assert_int_equal(decode(buf_slice(&b), &got, &a), ERR_VERSION);
    jail_plan_encode(&p, &whole); /* and a field twice */
    buf_reset(&b);
    message_put_u64(&b, 1, 0);
    buf_add(&b, buf_slice(&whole));
    assert_int_equal(decode(buf_slice(&b), &got, &a), ERR_CORRUPT);
}

static void test_paths(void **state)
{
    (void)state;
    const struct {
        const char *path;
        bool target, source;
    } cases[] = {{"/a", true, true}, {"/a/b.c/..d", true, true}, {"/", false, true}, {"", false, false},
                 {"a", false, false}, {"/a/", false, false}, {"//a", false, false}, {"/a//b", false, false},
                 {"/..", false, false}, {"/a/../b", false, false}, {"/a/.", false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct jail_plan p = sample();
        p.mounts[0].target = slice_of(cases[i].path);
        assert_int_equal(decode_plan(&p) == OK, cases[i].target);
        p = sample();
        p.mounts[0].source = slice_of(cases[i].path);
        assert_int_equal(decode_plan(&p) == OK, cases[i].source);
    }
    struct jail_plan p = sample();
    p.mounts[0].target = (struct slice){"/a\0b", 4};
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
    char deep[JAIL_PATH_MAX + 2];
    memset(deep, 'x', sizeof deep);
    deep[0] = '/';
    p.mounts[0].target = (struct slice){deep, JAIL_PATH_MAX};
    assert_int_equal(decode_plan(&p), OK);
    p.mounts[0].target.n++;
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
}

static void test_values(void **state)
{
    (void)state;
    struct jail_plan p = sample();
    p.mounts[1].source = SLICE("/x"); /* a scratch folder has none */
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
    p = sample();
    p.mounts[0].kind = (enum jail_mount_kind)(JAIL_SHOWN + 1);
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
    p = sample();
    p.uid = UINT32_MAX;
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
    p = sample();
    p.applet = SLICE("and a program too");
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
    p = sample();
    p.nargv = 0;
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
    p = sample();
    p.limits.wall_ms = UINT64_MAX;
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
    p = sample();
    p.id_range = JAIL_ID_RANGES;
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
    static struct slice bad[] = {{"=x", 2}};
    p = sample();
    p.env = bad;
    p.nenv = 1;
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
    bad[0] = SLICE("x");
    assert_int_equal(decode_plan(&p), ERR_CORRUPT);
}

static void test_counts(void **state)
{
    (void)state;
    static struct slice words[JAIL_WORDS_MAX + 1];
    for (size_t i = 0; i <= JAIL_WORDS_MAX; i++)
        words[i] = SLICE("w=");
    struct jail_plan p = sample();
    p.argv = p.env = words;
    p.nargv = p.nenv = JAIL_WORDS_MAX;
    assert_int_equal(decode_plan(&p), OK);
    p.nargv++;
    assert_int_equal(decode_plan(&p), ERR_LIMIT);
    p.nargv--;
    p.nenv++;
    assert_int_equal(decode_plan(&p), ERR_LIMIT);
    p = sample();
    while (p.nmounts < JAIL_MOUNTS_MAX)
        assert_true(jail_plan_add(&p, p.mounts[0]));
    assert_int_equal(jail_plan_whole(&p, NULL), OK);
    assert_false(jail_plan_add(&p, p.mounts[0])); /* what did not fit is not forgotten */
    struct error e = {0};
    assert_int_equal(jail_plan_whole(&p, &e), ERR_LIMIT);
    assert_non_null(strstr(e.text, "more than 128 mounts"));
    assert_int_equal(p.nmounts, JAIL_MOUNTS_MAX);
    assert_int_equal(decode_plan(&p), OK);
    BUF_CLEANUP struct buf b = BUF_INIT(JAIL_PLAN_MAX), two = BUF_INIT(JAIL_PLAN_MAX);
    jail_plan_encode(&p, &b); /* one more mount than fits, put before the plan */
    struct field f;
    struct message_reader r = message_read(buf_slice(&b));
    unsigned before = 0; /* a mount is the first field that is there again */
    while (message_next(&r, &f) > 0 && f.tag != before)
        before = f.tag;
    message_put(&two, f.tag, f.bytes);
    buf_add(&two, buf_slice(&b));
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    struct jail_plan got;
    assert_int_equal(decode(buf_slice(&two), &got, &a), ERR_LIMIT);
}

/* For every length around the bounds and every way of cutting it up: the head, then the tail, and the rest counted. */
static void test_keep(void **state)
{
    (void)state;
    char text[200];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('0' + i % 75);
    for (size_t limit = 1; limit <= 12; limit++)
        for (size_t n = 0; n <= 40; n++)
            for (size_t piece = 1; piece <= n + 1; piece++) {
                struct keep k;
                BUF_CLEANUP struct buf got = BUF_INIT(100);
                uint64_t dropped;
                keep_init(&k, limit);
                for (size_t at = 0; at < n; at += piece)
                    keep_add(&k, slice_sub((struct slice){text, n}, at, piece));
                keep_take(&k, &got, &dropped);
                size_t kept = n < limit ? n : limit, tail = n <= limit ? 0 : limit / 2;
                assert_int_equal(got.n, kept);
                assert_int_equal(dropped, n - kept);
                assert_memory_equal(got.p ? got.p : "", text, kept - tail);
                if (tail)
                    assert_memory_equal(got.p + kept - tail, text + n - tail, tail);
                keep_release(&k);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nests), cmocka_unit_test(test_stays), cmocka_unit_test(test_round_trip), cmocka_unit_test(test_service),
        cmocka_unit_test(test_applet_round_trip),
        cmocka_unit_test(test_every_cut_is_refused),
        cmocka_unit_test(test_unknown_field_is_refused),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_layers), cmocka_unit_test(test_texts),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_keep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
