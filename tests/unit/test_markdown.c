/*
 * Markdown for a terminal: what each construct looks like, with and without colours, at 60 and 20 columns; however the bytes
 * are split the rows are the same (V2); any bytes give only printable text and our own styles (V1), no row wider than the
 * terminal (V5); the time is linear, an unfinished text as well.
 *
 * Planted once and caught: a filter that lets C1 through; a continuation row whose prefix is wider than the first one's; a
 * part of a long line cut in the midst of a character; a table's row taken out where it fills the buffer; the closing mark
 * searched for anew at each opening one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sys.h"
#include "cli/flow.h"
#include "cli/markdown.h"
#include "unit/screen_check.h"

static const struct look bare = {false, true}, ascii = {false, false}, full = {true, true};

static void draw(const struct look *look, size_t width, struct slice text, size_t step, struct buf *ret)
{
    struct markdown m;
    markdown_init(&m, look, width);
    while (text.n) {
        size_t n = step ? step : text.n;
        markdown_feed(&m, slice_sub(text, 0, n), ret);
        text = slice_sub(text, n, text.n);
    }
    markdown_end(&m, ret);
    markdown_release(&m);
}

static const struct {
    const char *name, *text, *want;
    size_t width;
} cases[] = {
    {"words wrap", "one two three four\n", "one two\nthree four\n", 10},
    {"a long word breaks", "abcdefghijklmnop\n", "abcdefghij\nklmnop\n", 10},
    {"wide characters break anywhere", "漢字漢字漢字\n", "漢字漢\n字漢字\n", 7},
    {"a combining mark stays", "e\xcc\x81" "e\n", "e\xcc\x81" "e\n", 10},
    {"heading", "a\n# Head `x` ##\nb", "a\n\n# Head `x`\nb\n", 40},
    {"no heading", "#no\n", "#no\n", 40},
    {"emphasis", "**b** *i* _u_ ~~s~~ ***x***\n", "b i u s x\n", 40},
    {"no emphasis", "2*3*4 a_b_c ** x * y `\n", "2*3*4 a_b_c ** x * y `\n", 40},
    {"open emphasis", "**open\n", "**open\n", 40},
    {"escapes", "\\*a\\* &lt;b&gt; &amp;\n", "*a* <b> &\n", 40},
    {"code span", "`a *b*` ``c ` d``\n", "`a *b*` `c ` d`\n", 40},
    {"list", "- a\n  - b c d e f\n1. one\n* [x] t\n", "• a\n  • b c\n    d e\n    f\n1. one\n☑ t\n", 8},
    {"quote", "> a b c d\n>> e\n", "│ a b c\n│ d\n│ │ e\n", 8},
    {"link", "[t](http://u/a_(b)) [x](x) ![p](q \"t\") <https://z>\n", "t (http://u/a_(b)) x p (q) https://z\n", 60},
    {"no link", "[t] (u) [a\n", "[t] (u) [a\n", 60},
    {"fence", "```c\nint  a;\n\n  b\n```\nz\n", "  c\n  int  a;\n  \n    b\n\nz\n", 40},
    {"fence in a list", "- a\n  ```\n  x\n  ```\n", "• a\n    x\n", 40},
    {"tilde fence with backticks", "~~~\n```\n~~~\n", "  ```\n", 40},
    {"open fence", "```\nx", "  x\n", 40},
    {"rule", "---\n* * *\n", "──────\n──────\n", 6},
    {"empty lines are one", "a\n\n\n\nb\n\n", "a\n\nb\n", 40},
    {"table", "| a | b |\n|---|--:|\n| 1 | 22 |\n| `x|y` | 3 |\n", "a     │  b\n──────┼───\n1     │ 22\n`x|y` │  3\n", 40},
    {"table aligned", "|a|b|\n|:-:|--:|\n|xxx|1|\n|y|22|\n\nz\n", " a  │  b\n────┼───\nxxx │  1\n y  │ 22\n\nz\n", 40},
    {"table wrapped", "|a|b|\n|-|-|\n|one|two three four|\n", "a   │ b\n────┼──────────\none │ two three\n    │ four\n", 15},
    {"table as records", "|a|b|c|\n|-|-|-|\n|one more|two again|three|\n", "a: one more\n  b: two again\n  c: three\n", 14},
    {"a long word in a record", "|a|b|c|\n|-|-|-|\n|abcdefghijklmnopqrstu|yyyyyyy|zzzzzzz|\n", "a:\n  abcdefghijkl\n  mnopqrstu\n  b: yyyyyyy\n  c: zzzzzzz\n", 14},
    {"no table", "| a |\nb\n", "| a |\nb\n", 40},
    {"controls", "a\033[31mb\x07" "c\x7f\n", "a␛[31mb␇c␡\n", 40},
    {"C1, bidi, malformed", "\xc2\x9b \xe2\x80\xae \xff \xc0\x80\n", "\\x9b \\u{202e} \xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\n", 40},
    {"carriage return", "a\rb\r\n", "a␍b\n", 40},
    {"tab", "a\tb\n", "a    b\n", 40},
};

static void test_looks(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t step = 0; step < 4; step++) {
            BUF_CLEANUP struct buf b = BUF_INIT(10000);
            draw(&bare, cases[i].width, slice_of(cases[i].text), step, &b);
            if (!slice_is(buf_slice(&b), cases[i].want))
                fail_msg("%s, step %zu:\n%s--- instead of\n%s", cases[i].name, step, buf_str(&b), cases[i].want);
        }
    }
}

static void test_styles(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(10000);
    draw(&full, 40, SLICE("**b `c` d**\n```diff\n+a\n-b\n```\n"), 0, &b);
    assert_string_equal(buf_str(&b), "\033[0;1mb\033[m \033[0;1;36mc\033[m \033[0;1md\033[m\n  \033[0;3;90mdiff\033[m\n  \033[0;32m+a\033[m\n  \033[0;31m-b\033[m\n");
}

static void test_ascii(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(10000);
    draw(&ascii, 40, SLICE("- “a” → b… \xf0\x9f\x98\x80 é \033 \xc2\x9b \xff\n> q\n"), 0, &b);
    assert_string_equal(buf_str(&b), "- \"a\" -> b... ? ? \\x1b \\x9b \\xff\n| q\n");
}

/* Bytes of every kind, marks of markdown more often. */
static void noise(struct buf *ret, size_t n)
{
    static const char *const often[] = {"**", "*", "_", "`", "```", "\n", "\n\n", "| a | b |\n", "|--|--|\n", "- ", "1. ", "> ", "# ", "[", "](", ")", " ", "漢字",
        "e\xcc\x81", "\033[2J", "\xc2\x9b", "\xe2\x80\xae", "word ", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb", "\\", "~~~", "    ", "\t", "---\n", "&lt;"};
    while (n--) {
        uint32_t r = check_random();
        if (r % 4 == 0)
            buf_add_char(ret, (char)(r >> 8));
        else
            buf_add_text(ret, often[(r >> 8) % (sizeof often / sizeof *often)]);
    }
}

static void test_any_bytes(void **state)
{
    (void)state;
    for (int round = 0; round < 3000; round++) {
        BUF_CLEANUP struct buf text = BUF_INIT(1 << 20), whole = BUF_INIT(8 << 20), parts = BUF_INIT(8 << 20), live = BUF_INIT(8 << 20);
        const struct look *look = round % 3 == 0 ? &bare : round % 3 == 1 ? &full : &ascii;
        size_t width = 4 + check_random() % 60;
        noise(&text, check_random() % 200);
        draw(look, width, buf_slice(&text), 0, &whole);
        draw(look, width, buf_slice(&text), 1 + check_random() % 7, &parts);
        assert_true(slice_eq(buf_slice(&whole), buf_slice(&parts)));
        check_rows(buf_slice(&whole), look, width);
        struct markdown m;
        markdown_init(&m, look, width);
        BUF_CLEANUP struct buf rows = BUF_INIT(8 << 20);
        markdown_feed(&m, buf_slice(&text), &rows);
        markdown_live(&m, &live);
        check_rows(buf_slice(&live), look, width);
        size_t before = rows.n;
        buf_add(&rows, buf_slice(&live));
        markdown_end(&m, &whole); /* what is shown live is what comes in the end */
        assert_true(before + live.n == rows.n);
        markdown_release(&m);
        buf_reset(&whole);
        draw(look, width, buf_slice(&text), 0, &whole);
        assert_true(slice_eq(buf_slice(&whole), buf_slice(&rows)));
    }
}

static void test_long_line(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf text = BUF_INIT(1 << 20), whole = BUF_INIT(8 << 20), parts = BUF_INIT(8 << 20);
    for (int i = 0; i < 40000; i++)
        buf_add_text(&text, i % 5 ? "漢字" : "é");
    draw(&full, 33, buf_slice(&text), 0, &whole);
    draw(&full, 33, buf_slice(&text), 4099, &parts);
    assert_true(slice_eq(buf_slice(&whole), buf_slice(&parts)));
    check_rows(buf_slice(&whole), &full, 33);
    assert_true(slice_find(buf_slice(&whole), SLICE("\xef\xbf\xbd"), 0) == whole.n);
}

static void test_long_table(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf text = BUF_INIT(4 << 20), out = BUF_INIT(16 << 20);
    buf_add_text(&text, "| row | twice |\n|---|---|\n");
    for (int i = 0; i < 20000; i++)
        buf_addf(&text, "| %d | %d |\n", i, 2 * i);
    draw(&bare, 40, buf_slice(&text), 1000, &out);
    size_t rows = 0, bars = 0;
    for (size_t i = 0; i < out.n; i++) {
        rows += out.p[i] == '\n';
        bars += slice_starts(slice_sub(buf_slice(&out), i, 3), SLICE("│"));
    }
    assert_int_equal(rows, 20002);
    assert_int_equal(bars, 20001);
}

/* Each would take minutes if it were quadratic. */
static void test_linear(void **state)
{
    (void)state;
    static const char *const bad[] = {"*a ", "`", "`` ` ", "[", "[a](", "**", "_a *b **c ", "| ", "a", "> ", "\\", "&", "<http://", "```\n", "|a|\n|-|\n", "~~a ", "](", "\xcc\x81"};
    int64_t start = sys->now_ms();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        BUF_CLEANUP struct buf text = BUF_INIT(2 << 20);
        struct markdown m;
        while (text.n < 1 << 20)
            buf_add_text(&text, bad[i]);
        markdown_init(&m, &full, 80);
        for (struct slice rest = buf_slice(&text); rest.n; rest = slice_sub(rest, 64, rest.n)) {
            BUF_CLEANUP struct buf out = BUF_INIT(8 << 20);
            markdown_feed(&m, slice_sub(rest, 0, 64), &out);
            if (rest.n % (64 << 10) < 64)
                markdown_live(&m, &out);
            assert_true(buf_ok(&out));
        }
        markdown_release(&m);
    }
    assert_true(sys->now_ms() - start < 40000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_looks), cmocka_unit_test(test_styles), cmocka_unit_test(test_ascii), cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_long_line), cmocka_unit_test(test_long_table), cmocka_unit_test(test_linear)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
