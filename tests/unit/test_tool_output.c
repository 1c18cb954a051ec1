/*
 * What a model is shown of a tool's output: whatever the bytes, it is valid UTF-8 without escapes, within its bound, the
 * same when it is made of itself, begins and ends like the whole, and counts what is left out. Planted and caught: a cut
 * within a character, a head that takes the tail's room, a carriage return before a newline that eats its line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "context/output.h"

static struct buf out = BUF_INIT(1 << 22);

static bool cut(struct slice s, size_t max)
{
    bool ret = false;
    buf_reset(&out);
    assert_int_equal(output_cut(s, max, "read step:17", &out, &ret), OK);
    return ret;
}

static void shows(struct slice in, const char *wanted)
{
    assert_false(cut(in, 100000));
    assert_string_equal(buf_str(&out), wanted);
}

static void test_clean(void **state)
{
    (void)state;
    shows(SLICE(""), "");
    shows(SLICE("a\nb"), "a\nb");
    shows(SLICE("a\r\nb\r\n"), "a\nb\n");
    shows(SLICE(" 1%\r 50%\r100%\ndone\n"), "100%\ndone\n");
    shows(SLICE("wait\r"), "wait");
    shows(SLICE("\x1b[1;31mred\x1b[0m \x1b]0;title\x07x\x1b]8;;http://a\x1b\\link\x1b(B \x1b"), "red xlink ");
    shows(SLICE("\x1bP1$r\x1b\\a\x1b[2Kb"), "ab");
    shows(SLICE("a\0b\x01\x07\x7f\xc2\x9b" "c\td"), "abc\td");
    shows(SLICE("ab\b\bcd \xc3\xa9\bx"), "cd x");
    shows(SLICE("\b\bx\n\by"), "x\ny");
    shows(SLICE("a\xff" "b\xe2\x82 \xed\xa0\x80"), "a\xef\xbf\xbd" "b\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    shows(SLICE("10%\r\x1b[K20%\r\n"), "20%\n");
}

static void test_cut(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    for (int i = 1; i <= 2000; i++)
        buf_addf(&b, "line %d\n", i);
    assert_true(cut(buf_slice(&b), 1000));
    assert_true(out.n <= 1000 && out.n > 800);
    assert_memory_equal(out.p, "line 1\nline 2\n", 14);
    assert_true(slice_ends(buf_slice(&out), SLICE("\nline 1999\nline 2000\n")));
    const char *middle = strstr(buf_str(&out), "[… ");
    assert_non_null(middle);
    assert_true(middle > buf_str(&out) && middle[-1] == '\n');
    unsigned k, bytes, kl, lines;
    assert_int_equal(sscanf(middle, "[… %u,%u bytes (%u,%u lines) left out: read step:17 …]\nline ", &k, &bytes, &kl, &lines), 4);
    size_t kept = out.n - (size_t)(strstr(middle, "\nline") + 1 - middle);
    assert_int_equal(k * 1000 + bytes, b.n - kept);
    size_t head = (size_t)(middle - buf_str(&out));
    assert_in_range(head, 200, 400); /* the tail gets more */
    assert_true(cut(buf_slice(&b), 0)); /* the least */
    assert_true(out.n <= OUTPUT_MIN && strstr(buf_str(&out), "left out"));
}

static void test_long_lines(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    for (int i = 0; i < 100000; i++)
        buf_add_text(&b, "\xe2\x82\xac");
    assert_true(cut(buf_slice(&b), 5000));
    assert_true(slice_is_utf8(buf_slice(&out)) && out.n <= 5000 && out.n > 4800);
    BUF_CLEANUP struct buf words = BUF_INIT(10000);
    for (int i = 0; i < 1000; i++)
        buf_add_text(&words, "\xc3\xa9");
    buf_reset(&out);
    assert_int_equal(output_cut(buf_slice(&b), 300, buf_str(&words), &out, NULL), OK);
    assert_true(slice_is_utf8(buf_slice(&out)) && out.n <= 300);
    BUF_CLEANUP struct buf small = BUF_INIT(100);
    assert_int_equal(output_cut(buf_slice(&b), 300, "x", &small, NULL), ERR_LIMIT);
}

static unsigned roll(uint64_t *seed, unsigned n)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((*seed >> 33) % n);
}

static void test_anything(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    static const char *const bits[] = {"word ", "\n", "\r\n", "\r", "\b", "\x1b[1m", "\x1b]0;t\x07", "\xc3\xa9", "\xe2\x82", "\xff", "\x1b", "\xf0\x9f\x98\x80",
                                       "a long line of words that goes on ", "\x1bP", "\xc2\x9b", "\t"};
    unsigned cuts = 0;
    for (int i = 0; i < 20000; i++) {
        BUF_CLEANUP struct buf in = BUF_INIT(100000), first = BUF_INIT(300000);
        size_t max = roll(&seed, 1200);
        for (unsigned n = roll(&seed, 200); n; n--)
            buf_add_text(&in, bits[roll(&seed, 16)]);
        cuts += cut(buf_slice(&in), max);
        buf_add(&first, buf_slice(&out));
        assert_true(slice_is_utf8(buf_slice(&first)));
        assert_true(first.n <= (max < OUTPUT_MIN ? OUTPUT_MIN : max));
        for (size_t k = 0; k < first.n; k++)
            assert_true((unsigned char)first.p[k] >= 0x20 || first.p[k] == '\n' || first.p[k] == '\t');
        assert_false(cut(buf_slice(&first), max)); /* the same of itself */
        assert_string_equal(buf_str(&out), buf_str(&first));
    }
    assert_in_range(cuts, 1000, 19000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_clean), cmocka_unit_test(test_cut), cmocka_unit_test(test_long_lines),
                                       cmocka_unit_test(test_anything)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_release(&out);
    return failed;
}
