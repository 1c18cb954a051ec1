/* base: bounds hold, parsers refuse what they must, the fault switch fails exactly the n-th call. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/sys.h"

static void test_last_part(void **state)
{
    (void)state;
    static const struct { const char *path; size_t at; } table[] = {{"", 0}, {"a", 0}, {"/", 1}, {"/a", 1}, {"a/b.md", 2}, {"a/b/", 4}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(slice_last_part(slice_of(table[i].path)), table[i].at);
    assert_int_equal(slice_last_part(SLICE_NONE), 0);
    assert_true(slice_below(SLICE("a/b"), SLICE("a")) && slice_below(SLICE("a/b/c"), SLICE("a/b")));
    assert_false(slice_below(SLICE("a"), SLICE("a")) || slice_below(SLICE("ab"), SLICE("a")) || slice_below(SLICE("b/a"), SLICE("a")) ||
                 slice_below(SLICE("a"), SLICE("a/b")) || slice_below(SLICE("a"), SLICE_NONE) || slice_below(SLICE_NONE, SLICE("a")));
}

static void test_slice_int(void **state)
{
    (void)state;
    int64_t v = 7;
    assert_true(slice_int(SLICE("9223372036854775807"), &v) && v == INT64_MAX);
    assert_false(slice_int(SLICE("9223372036854775808"), &v));
    assert_true(slice_int(SLICE("-12"), &v) && v == -12);
    assert_true(slice_int(SLICE("-9223372036854775808"), &v) && v == INT64_MIN);
    assert_false(slice_int(SLICE("-9223372036854775809"), &v));
    assert_false(slice_int(SLICE("99999999999999999999999"), &v));
    assert_true(slice_int(SLICE("-0"), &v) && v == 0);
    assert_false(slice_int(SLICE(""), &v));
    assert_false(slice_int(SLICE("-"), &v));
    assert_false(slice_int(SLICE("1 "), &v));
}

static void test_slice_utf8(void **state)
{
    (void)state;
    assert_true(slice_is_utf8(SLICE("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
    assert_false(slice_is_utf8(SLICE("\xc0\xaf")));         /* overlong */
    assert_false(slice_is_utf8(SLICE("\xed\xa0\x80")));     /* surrogate */
    assert_false(slice_is_utf8(SLICE("\xf4\x90\x80\x80"))); /* past U+10FFFF */
    assert_false(slice_is_utf8(SLICE("\xe2\x82")));         /* cut */
}

static void test_slice_lines(void **state)
{
    (void)state;
    struct slice rest = SLICE("one\r\n\ntwo"), line;
    assert_true(slice_line(&rest, &line) && slice_is(line, "one"));
    assert_true(slice_line(&rest, &line) && line.n == 0);
    assert_true(slice_line(&rest, &line) && slice_is(line, "two"));
    assert_false(slice_line(&rest, &line));
}

static void test_buf_keeps_its_maximum(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(8);
    buf_add_text(&b, "12345678");
    assert_true(buf_ok(&b));
    buf_add_char(&b, '9');
    assert_false(buf_ok(&b));
    assert_int_equal(b.n, 8);
    struct error e;
    assert_int_equal(buf_check(&b, "it", &e), ERR_LIMIT);
}

static void test_buf_says_when_memory_was_refused(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    struct error e;
    sys_fail_nth(1, ENOMEM, SYS_FAULT_MEMORY);
    buf_add_text(&b, "some bytes");
    sys_fail_nth(0, 0, 0);
    assert_int_equal(buf_check(&b, "it", &e), ERR_MEMORY);
    assert_string_equal(e.text, "no memory for it");
    buf_reset(&b);
    assert_int_equal(buf_check(&b, "it", &e), OK);
}

static void test_error_wrap_keeps_the_code(void **state)
{
    (void)state;
    struct error e;
    assert_int_equal(error_set(&e, ERR_CONFLICT, "%d is odd", 3), ERR_CONFLICT);
    assert_int_equal(error_wrap(&e, "line %d", 7), ERR_CONFLICT);
    assert_string_equal(e.text, "line 7: 3 is odd");
}

static void test_arena_keeps_its_budget(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(64 * 1024);
    size_t got = 0;
    while (arena_alloc(&a, 1000))
        got += 1000;
    assert_in_range(got, 45000, 64 * 1024);
    assert_null(arena_array(&a, SIZE_MAX / 2, 3));
}

static void test_hash_known_answer(void **state)
{
    (void)state;
    char hex[HASH_HEX + 1];
    struct hash h = hash_of(SLICE("abc")), back; /* FIPS 180-4 example */
    hash_hex(&h, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_true(hash_from_hex(slice_of(hex), &back) && hash_eq(&h, &back));
    h = hash_of2(SLICE("a"), SLICE("bc"));
    assert_true(hash_eq(&h, &back));
}

/* A replaced file is the old or the new one whichever call fails, and the failure is always reported. */
static void test_replace_file_under_every_fault(void **state)
{
    (void)state;
    char dir[] = "/tmp/crannog-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    int d = open(dir, O_RDONLY | O_DIRECTORY);
    assert_int_equal(sys_replace_file(d, "f", SLICE("old"), 0600, NULL), OK);
    unsigned n = 1;
    for (;; n++) {
        struct error e = {0};
        sys_fail_nth(n, EIO, SYS_FAULT_FILE | SYS_FAULT_MEMORY);
        enum err err = sys_replace_file(d, "f", SLICE("new"), 0600, &e);
        bool reached = sys_calls() >= n;
        sys_fail_nth(0, 0, 0);
        BUF_CLEANUP struct buf now = BUF_INIT(16);
        assert_int_equal(sys_read_file(d, "f", &now, NULL), OK);
        assert_true(slice_is(buf_slice(&now), "old") || slice_is(buf_slice(&now), "new"));
        if (!reached) {
            assert_int_equal(err, OK);
            break;
        }
        assert_int_not_equal(err, OK);
        assert_int_equal(sys_replace_file(d, "f", SLICE("old"), 0600, NULL), OK);
    }
    assert_in_range(n, 7, 20);
    unlinkat(d, "f", 0);
    close(d);
    rmdir(dir);
}

/* What is said is why the folder could not be made, not that it is not there afterwards. */
static void test_mkdirs_says_why(void **state)
{
    (void)state;
    struct error e;
    char path[] = "/tmp/crannog-base-XXXXXX", below[64];
    assert_non_null(mkdtemp(path));
    snprintf(below, sizeof below, "%s/below", path);
    unsigned n = 0, calls, refused = 0;
    do {
        rmdir(below);
        sys_fail_nth(++n, EACCES, SYS_FAULT_FILE);
        enum err err = sys_mkdirs(below, 0700, &e);
        calls = sys_calls();
        sys_fail_nth(0, 0, 0);
        assert_true(err == OK || err == ERR_DENIED || err == ERR_EXISTS); /* EXISTS: it is there, but cannot be looked at */
        refused += err != OK;
    } while (calls >= n);
    assert_true(refused > 2);
    rmdir(below);
    rmdir(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_part),
        cmocka_unit_test(test_slice_int),
        cmocka_unit_test(test_slice_utf8),
        cmocka_unit_test(test_slice_lines),
        cmocka_unit_test(test_buf_keeps_its_maximum),
        cmocka_unit_test(test_buf_says_when_memory_was_refused),
        cmocka_unit_test(test_error_wrap_keeps_the_code),
        cmocka_unit_test(test_arena_keeps_its_budget),
        cmocka_unit_test(test_hash_known_answer),
        cmocka_unit_test(test_replace_file_under_every_fault),
        cmocka_unit_test(test_mkdirs_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
