/*
 * Edits as models write them: exact ones, all of them or none; differences in line ends, blanks and indentation are
 * overlooked only where one place can be meant, and the file's own form stays; what is refused says what to do. Lines are
 * counted as a diff counts them. Planted and caught: a second match that is overlooked, a mark that is lost, an edit that
 * stays though a later one fails, tabs put in as blanks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/sys.h"
#include "tools/edit.h"
#include "tools/lines.h"
#include "tools/near.h"

static struct buf out = BUF_INIT(EDIT_BYTES_MAX + 3), say = BUF_INIT(EDIT_SAY_MAX);
static struct edited did;

static enum err apply(struct slice whole, const struct edit *edits, size_t n)
{
    buf_reset(&out);
    buf_reset(&say);
    did = (struct edited){0};
    return edit_apply(whole, SLICE("f.c"), edits, n, &out, &say, &did);
}

static enum err one(const char *whole, const char *old, const char *new, bool all)
{
    struct edit e = {slice_of(old), slice_of(new), all};
    return apply(slice_of(whole), &e, 1);
}

static void becomes(const char *whole, const char *old, const char *new, const char *wanted)
{
    if (one(whole, old, new, false))
        fail_msg("%s", buf_str(&say));
    assert_string_equal(buf_str(&out), wanted);
}

static void refuses(const char *whole, const char *old, const char *new, enum err code, const char *words)
{
    assert_int_equal(one(whole, old, new, false), code);
    assert_int_equal(out.n, 0);
    if (!strstr(buf_str(&say), words) || !strstr(buf_str(&say), "Nothing was changed."))
        fail_msg("not in it: %s\n%s", words, buf_str(&say));
}

static void test_exact(void **state)
{
    (void)state;
    becomes("a\nb\nc\n", "b", "B", "a\nB\nc\n");
    assert_int_equal(did.replaced, 1);
    assert_int_equal(did.line, 2);
    assert_int_equal(did.added, 1);
    assert_int_equal(did.removed, 1);
    assert_int_equal(say.n, 0);
    becomes("a\nb\nc\n", "a\nb\n", "", "c\n");
    assert_int_equal(did.removed, 2);
    assert_int_equal(did.added, 0);
    becomes("a", "a", "b\nc", "b\nc");
    becomes("x = 1; y = 2", "x = 1", "x = 3", "x = 3; y = 2");
    becomes("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80 Gott", "\xf0\x9f\x98\x80", "\xe2\x82\xac", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac Gott");
    becomes("", "", "new\n", "new\n");
    assert_int_equal(did.added, 1);
    becomes("a\0b", "a", "c", "c"); /* slice_of stops there; bytes with NUL are below */
    struct edit nul = {SLICE("\0b"), SLICE("\0c"), false};
    assert_int_equal(apply(SLICE("a\0b\n"), &nul, 1), OK);
    assert_true(slice_eq(buf_slice(&out), SLICE("a\0c\n")));
}

static void test_all(void **state)
{
    (void)state;
    assert_int_equal(one("a b a b a", "a", "aa", true), OK);
    assert_string_equal(buf_str(&out), "aa b aa b aa");
    assert_int_equal(did.replaced, 3);
    assert_int_equal(one("aaaa", "aa", "b", true), OK);
    assert_string_equal(buf_str(&out), "bb");
    assert_int_equal(one("x", "a", "b", true), ERR_MISSING);
    assert_int_equal(one("only one", "one", "two", true), OK);
}

static void test_more_than_one(void **state)
{
    (void)state;
    refuses("x\na\nb\na\n", "a\n", "c\n", ERR_CONFLICT, "2 times, at lines 2 and 4:");
    refuses("aaa", "aa", "b", ERR_CONFLICT, "2 times, at lines 1 and 1:"); /* overlapping */
    refuses("a\na\na\na\na\na\na\na\na\na\n", "a", "b", ERR_CONFLICT, "10 times, at lines 1, 2, 3, 4, 5, 6, 7, 8, …:");
}

static void test_useless(void **state)
{
    (void)state;
    refuses("a", "", "b", ERR_USAGE, "empty");
    refuses("a", "a", "a", ERR_USAGE, "same");
    assert_int_equal(apply(SLICE("a"), NULL, 0), ERR_USAGE);
    static struct edit many[EDITS_MAX + 1];
    assert_int_equal(apply(SLICE("a"), many, EDITS_MAX + 1), ERR_LIMIT);
}

static void test_all_or_none(void **state)
{
    (void)state;
    struct edit two[] = {{SLICE("a"), SLICE("b"), false}, {SLICE("zzz"), SLICE("y"), false}};
    assert_int_equal(apply(SLICE("a\n"), two, 2), ERR_MISSING);
    assert_int_equal(out.n, 0);
    assert_non_null(strstr(buf_str(&say), "Edit 2 of 2: "));
    struct edit chain[] = {{SLICE("a"), SLICE("b"), false}, {SLICE("b"), SLICE("c"), false}, {SLICE("d"), SLICE("e"), true}};
    assert_int_equal(apply(SLICE("a d d"), chain, 3), OK); /* each on what the one before left */
    assert_string_equal(buf_str(&out), "c e e");
    assert_int_equal(did.replaced, 4);
}

static void test_line_ends(void **state)
{
    (void)state;
    becomes("a\r\nb\r\nc\r\n", "a\nb\n", "x\ny\nz\n", "x\r\ny\r\nz\r\nc\r\n");
    assert_non_null(strstr(buf_str(&say), "line ends"));
    becomes("a\r\nb\r\n", "b", "x\ny", "a\r\nx\r\ny\r\n"); /* found as it is, and still with the file's ends */
    becomes("a\r\nb\r\n", "a\r\n", "c\r\n", "c\r\nb\r\n");
    assert_int_equal(say.n, 0);
    becomes("a\nb\nc\n", "a\r\nb\r\n", "x\r\ny\r\n", "x\ny\nc\n");
    becomes("a\nb\r\nc\n", "b\nc", "d\ne", "a\nd\r\ne\n"); /* mixed: as at the place */
    becomes("a\r\nb\r\nc", "b\nc", "c", "a\r\nc");
    refuses("a\r\nb\r\na\r\nb\r\n", "a\nb\n", "x\n", ERR_CONFLICT, "more than one place");
    becomes("\xef\xbb\xbf" "a\nb\n", "a\n", "c\n", "\xef\xbb\xbf" "c\nb\n");
    becomes("\xef\xbb\xbf" "a\nb\n", "\xef\xbb\xbf" "a\n", "c\n", "\xef\xbb\xbf" "c\nb\n");
    becomes("\xef\xbb\xbf" "a\r\nb\r\n", "a\nb\n", "c\n", "\xef\xbb\xbf" "c\r\n");
}

static void test_blanks_at_line_ends(void **state)
{
    (void)state;
    becomes("if (x) {  \n    y();\n}\n", "if (x) {\n    y();\n}", "z();", "z();\n");
    assert_non_null(strstr(buf_str(&say), "blanks at line ends"));
    becomes("a\nb\nc\n", "a  \nb\t\n", "d\n", "d\nc\n");
    becomes("a \nb", "a\nb\n", "c\n", "c\n");
    refuses("a \nb\na \nb\n", "a\nb\n", "c\n", ERR_CONFLICT, "more than one place");
}

static void test_indentation(void **state)
{
    (void)state;
    becomes("f() {\n        if (x)\n            y();\n}\n", "    if (x)\n        y();\n", "    if (z)\n        w();\n\n    v();\n",
            "f() {\n        if (z)\n            w();\n\n        v();\n}\n");
    assert_non_null(strstr(buf_str(&say), "4 blanks more"));
    becomes("class A:\n  def f():\n    pass\n", "def f():\n  pass", "def g():\n  return 1", "class A:\n  def g():\n    return 1\n");
    becomes("a\n\tb\n\t\tc\n", "    b\n        c\n", "    d\n        e\n", "a\n\td\n\t\te\n"); /* tabs for blanks */
    becomes("a\n  b\n    c\n", "\tb\n\t\tc\n", "\td\n\t\te\n", "a\n  d\n    e\n");
    becomes("if a:\n    b\n", "  if a:\n      b\n", "  if c:\n      d\n", "if c:\n    d\n");
    assert_non_null(strstr(buf_str(&say), "2 blanks less"));
    becomes("x {\r\n\t\ta;\r\n\t\tb;\r\n}\r\n", "\ta;\n\tb;\n", "\tc;\n", "x {\r\n\t\tc;\r\n}\r\n");
    refuses("a\n  b\n      c\n", "a\n  b\n    c\n", "x\n", ERR_MISSING, "not found"); /* not uniform */
    refuses("a\n   b\n", "a\nb\n", "x\n", ERR_MISSING, "not found");
    refuses("  a;\n  b;\n    a;\n    b;\n", "a;\nb;\n", "c;\n", ERR_CONFLICT, "more than one place");
    refuses("\n\n\n", "\n  \n", "x", ERR_MISSING, "not found"); /* blanks alone are no place */
}

static void test_not_found_shows_what_is_closest(void **state)
{
    (void)state;
    static const char text[] = "int main(void)\n{\n    int count = 0;\n    for (int i = 0; i < 10; i++)\n        count += i;\n    return count;\n}\n";
    refuses(text, "    for (int i = 0; i <= 10; i++)\n        count += 1;\n", "x", ERR_MISSING, "f.c");
    assert_non_null(strstr(buf_str(&say), "lines 4 to 5"));
    assert_non_null(strstr(buf_str(&say), "4\t    for (int i = 0; i < 10; i++)\n5\t        count += i;\n"));
    refuses(text, "\xe6\x97\xa5\xe6\x9c\xac", "x", ERR_MISSING, "read the file first");
    refuses("", "abc", "x", ERR_MISSING, "read the file first");
    BUF_CLEANUP struct buf wide = BUF_INIT(1 << 20);
    for (int i = 0; i < 100; i++)
        buf_addf(&wide, "%s%c", "\xff\xfe" "a line that is long enough, with no UTF-8 in it; and so on and on and on and on", i % 7 ? ' ' : '\n');
    refuses(buf_str(&wide), "a line that is long enough, with no UTF-8 on it", "x", ERR_MISSING, "not found");
    assert_true(slice_is_utf8(buf_slice(&say)) && say.n <= EDIT_SAY_MAX);
}

static void test_huge(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf big = BUF_INIT(EDIT_BYTES_MAX);
    while (big.n < 2 * 1024 * 1024) /* a sanitizer looks at all that is left at each search */
        buf_addf(&big, "line %zu of a file that is large\n", big.n);
    buf_add_text(&big, "the needle\n");
    int64_t start = sys->boottime_ns();
    struct edit edits[] = {{SLICE("the needle"), SLICE("found"), false}, {SLICE("line 0 of"), SLICE("first of"), false},
                           {SLICE("of a file"), SLICE("of one"), true}};
    assert_int_equal(apply(buf_slice(&big), edits, 3), OK);
    struct edit none = {SLICE("line of file that is larger\nbut not there\n"), SLICE("x"), false};
    assert_int_equal(apply(buf_slice(&big), &none, 1), ERR_MISSING);
    static char much[1024 * 1024];
    memset(much, 'e', sizeof much);
    struct edit grow = {SLICE("e"), {much, sizeof much}, true};
    assert_int_equal(apply(buf_slice(&big), &grow, 1), ERR_LIMIT);
    assert_int_equal(out.n, 0);
    assert_true(sys->boottime_ns() - start < INT64_C(20000000000));
}

/* ---- lines ---- */

static unsigned roll(uint64_t *seed, unsigned n)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((*seed >> 33) % n);
}

/* The longest common subsequence, slowly. */
static size_t slow_common(const char *a, size_t n, const char *b, size_t m)
{
    size_t best[2][64] = {{0}};
    for (size_t i = 1; i <= n; i++)
        for (size_t j = 1; j <= m; j++) {
            size_t up = best[(i - 1) % 2][j], left = best[i % 2][j - 1];
            best[i % 2][j] = a[i - 1] == b[j - 1] ? best[(i - 1) % 2][j - 1] + 1 : up > left ? up : left;
        }
    return best[n % 2][m];
}

static void test_lines_differ(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < 20000; i++) {
        char a[41], b[41];
        size_t added, removed, n = roll(&seed, 20), m = roll(&seed, 20);
        for (size_t k = 0; k < 20; k++) {
            a[2 * k] = (char)('a' + roll(&seed, 4)), a[2 * k + 1] = '\n';
            b[2 * k] = (char)('a' + roll(&seed, 4)), b[2 * k + 1] = '\n';
        }
        lines_differ((struct slice){a, 2 * n}, (struct slice){b, 2 * m}, &added, &removed);
        char as[20], bs[20];
        for (size_t k = 0; k < 20; k++)
            as[k] = a[2 * k], bs[k] = b[2 * k];
        size_t common = slow_common(as, n, bs, m);
        assert_int_equal(added, m - common);
        assert_int_equal(removed, n - common);
    }
    size_t added, removed;
    lines_differ(SLICE("a"), SLICE("a\n"), &added, &removed);
    assert_true(added == 1 && removed == 1);
}

static void assert_page(const char *text, size_t from, size_t lines, size_t limit, const char *wanted, size_t to)
{
    BUF_CLEANUP struct buf b = BUF_INIT(100000);
    struct page p = lines_page(slice_of(text), from, lines, limit, &b);
    assert_string_equal(buf_str(&b), wanted);
    assert_int_equal(p.to, to);
}

static void test_pages(void **state)
{
    (void)state;
    assert_page("a\nb\nc\n", 1, 10, 1000, "a\nb\nc\n", 3);
    assert_page("a\r\nb\nc", 2, 1, 1000, "b\n", 2);
    assert_page("a\nb\nc", 3, 5, 1000, "c\n", 3);
    assert_page("a\nb\nc", 4, 5, 1000, "", 3);
    assert_page("", 1, 5, 1000, "", 0);
    assert_page("aaaa\nbbbb\ncc\n", 1, 5, 10, "aaaa\nbbbb\n", 2);
    BUF_CLEANUP struct buf line = BUF_INIT(100000), b = BUF_INIT(100000);
    for (int i = 0; i < 10000; i++)
        buf_add_text(&line, "\xc3\xa9");
    struct page p = lines_page(buf_slice(&line), 1, 5, 4000, &b);
    assert_true(p.to == 1 && b.n < 1100 && slice_is_utf8(buf_slice(&b)) && strstr(buf_str(&b), "bytes of this line left out …]\xc3\xa9") != NULL);
}

static void test_near(void **state)
{
    (void)state;
    const struct slice names[] = {SLICE("README.md"), SLICE("reader.c"), SLICE("read.c"), SLICE("zebra"), SLICE("config.yaml"), SLICE("x")};
    struct slice near[NEAR_MAX];
    assert_int_equal(near_names(SLICE("readme.md"), names, 6, near), 1);
    assert_true(slice_is(near[0], "README.md"));
    assert_true(near_names(SLICE("config.json"), names, 6, near) >= 1 && slice_is(near[0], "config.yaml"));
    assert_int_equal(near_names(SLICE("reads.c"), names, 6, near), 2);
    assert_true(slice_is(near[0], "read.c") && slice_is(near[1], "reader.c"));
    assert_int_equal(near_names(SLICE("q"), names, 6, near), 0);
    assert_int_equal(near_names(SLICE(""), names, 6, near), 0);
}

/* Any bytes: an error without a result, or a result that an exact edit of the same would give where there is one. */
static void test_anything(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    static const char *const bits[] = {"a", "b", " ", "    ", "\t", "\n", "\r\n", "\r", "\xef\xbb\xbf", "\xff", "{", "x = 1"};
    unsigned done = 0, near = 0;
    for (int i = 0; i < 60000; i++) {
        struct buf b[3] = {BUF_INIT(1000), BUF_INIT(1000), BUF_INIT(1000)};
        for (int k = 0; k < 3; k++)
            for (unsigned n = roll(&seed, k ? 6 : 16); n; n--)
                buf_add_text(&b[k], bits[roll(&seed, 12)]);
        struct edit e = {buf_slice(&b[1]), buf_slice(&b[2]), roll(&seed, 4) == 0};
        enum err err = apply(buf_slice(&b[0]), &e, 1);
        assert_true(slice_is_utf8(buf_slice(&say)) && say.n <= EDIT_SAY_MAX);
        assert_true(err ? say.n && out.n == 0 : did.replaced > 0 && did.line > 0);
        done += !err;
        near += !err && say.n;
        if (err == ERR_MISSING && !slice_starts(e.old, SLICE("\xef\xbb\xbf")))
            assert_true(slice_find(buf_slice(&b[0]), e.old, slice_starts(buf_slice(&b[0]), SLICE("\xef\xbb\xbf")) ? 3 : 0) == b[0].n);
        buf_release(&b[1]), buf_release(&b[2]), buf_release(&b[0]);
    }
    assert_true(done > 5000 && near > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact), cmocka_unit_test(test_all), cmocka_unit_test(test_more_than_one), cmocka_unit_test(test_useless),
        cmocka_unit_test(test_all_or_none), cmocka_unit_test(test_line_ends), cmocka_unit_test(test_blanks_at_line_ends),
        cmocka_unit_test(test_indentation), cmocka_unit_test(test_not_found_shows_what_is_closest), cmocka_unit_test(test_huge),
        cmocka_unit_test(test_lines_differ), cmocka_unit_test(test_pages), cmocka_unit_test(test_near), cmocka_unit_test(test_anything),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_release(&out);
    buf_release(&say);
    return failed;
}
