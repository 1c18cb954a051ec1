/* infer/vocab, cut, chat on a small vocabulary: pieces and merges by the rule, control tokens never from text, parts that
   fit their window, cover everything and end where a reader would end them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/chat.h"
#include "infer/cut.h"
#include "tiny_gguf.h"

static struct buf file;
static struct gguf gguf;
static struct vocab *vocab;

static int set_up(void **state)
{
    (void)state;
    struct tiny t = TINY_INIT;
    struct error e;
    file = tiny_gguf(&t);
    return gguf_parse(buf_slice(&file), &gguf, &e) || vocab_new(&gguf, &vocab, &e);
}

static int tear_down(void **state)
{
    (void)state;
    vocab_free(vocab);
    gguf_release(&gguf);
    buf_release(&file);
    return 0;
}

/* The pieces of a text, with | between them. */
static void pieces(struct slice text, const char *want)
{
    BUF_CLEANUP struct buf got = BUF_INIT(1 << 16);
    struct slice piece;
    while (vocab_piece(vocab, &text, &piece)) {
        if (got.n)
            buf_add_char(&got, '|');
        buf_add(&got, piece);
    }
    assert_string_equal(buf_str(&got), want);
}

static void test_pieces(void **state)
{
    (void)state;
    pieces(SLICE(""), "");
    pieces(SLICE("the cat  sat"), "the| cat| | sat");
    pieces(SLICE("a12 3b"), "a|1|2| |3|b");
    pieces(SLICE("x   "), "x|   ");
    pieces(SLICE("x   1"), "x|   |1");
    pieces(SLICE("\n\n  y"), "\n\n | y");
    pieces(SLICE("\ty"), "\t|y");
    pieces(SLICE("it's 'tis we'll!!"), "it|'s| '|tis| we|'ll|!!");
    pieces(SLICE("f(x)=\"y\";"), "f|(|x|)=\"|y|\";");
    pieces(SLICE("caf\xc3\xa9 \xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80\x82"), "caf\xc3\xa9| \xe4\xbd\xa0\xe5\xa5\xbd|\xe3\x80\x82");
    pieces(SLICE("a\xff\xfe" "b"), "a|\xff\xfe|b");
}

static void ids(struct slice text, const int32_t *want, size_t n)
{
    TOKENS_CLEANUP struct tokens t = {0};
    vocab_encode(vocab, text, &t);
    assert_int_equal(t.n, n);
    assert_memory_equal(t.id, want, n * sizeof *want);
    assert_int_equal(vocab_count(vocab, text), n);
}
#define IDS(text, ...) ids(SLICE(text), (const int32_t[]){__VA_ARGS__}, sizeof((const int32_t[]){__VA_ARGS__}) / 4)

static void test_merges(void **state)
{
    (void)state;
    enum { TH = 256, THE, BLANK_THE, IN, ING, TWO_BLANKS };
    IDS("the", THE);
    IDS("x the", 'x', BLANK_THE);
    IDS("thing", TH, ING);
    IDS("ninth in", 'n', IN, TH, ' ', IN);
    IDS("ththe", TH, THE);
    IDS("nth", 'n', TH); /* "nt" comes later in the list, though it is further left */
    IDS("ntnt", 262, 262);
    IDS("     ", TWO_BLANKS, TWO_BLANKS, ' ');
    IDS("\xc3\xa9\xff", 0xc3, 0xa9, 0xef, 0xbf, 0xbd); /* what is not UTF-8 counts as U+FFFD */
    IDS("<|im_end|>", '<', '|', 'i', 'm', '_', 'e', 'n', 'd', '|', '>');
}

static void test_decode(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(4096);
    for (int32_t id = -3; id < TINY_VOCAB + 3; id++)
        vocab_decode(vocab, id, &b);
    assert_int_equal(b.n, 256 + 2 + 3 + 4 + 2 + 3 + 2 + 2 + 2 + 3 + 4);
    for (int i = 0; i < 256; i++)
        assert_int_equal((unsigned char)b.p[i], i);
    assert_true(slice_ends(buf_slice(&b), SLICE("ththe theining  nt\n \n\n \n\n\n "))); /* nothing for control tokens */
    assert_true(vocab_is_end(vocab, TINY_CLOSE) && vocab_is_end(vocab, TINY_END) && !vocab_is_end(vocab, -1));
}

/* A long piece is cut at a character and takes time in proportion. */
static void test_long_pieces(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 21);
    for (int i = 0; i < 300000; i++)
        buf_add_text(&b, i % 3 ? "\xc3\xa9" : "t");
    struct slice rest = buf_slice(&b), piece;
    size_t sum = 0;
    while (vocab_piece(vocab, &rest, &piece)) {
        assert_true(piece.n <= VOCAB_PIECE_MAX && slice_is_utf8(piece));
        sum += piece.n;
    }
    assert_int_equal(sum, b.n);
    assert_int_equal(vocab_count(vocab, buf_slice(&b)), b.n);
}

static void check_parts(struct slice text, size_t window)
{
    for (struct slice rest = text; rest.n;) {
        size_t n = cut_next(vocab, rest, window);
        struct slice part = slice_sub(rest, 0, n);
        assert_true(n >= 1 && n <= rest.n);
        assert_true(vocab_count(vocab, part) <= window);
        /* A cut is never inside a character: what is UTF-8 as a whole is so in each part. */
        assert_true(slice_is_utf8(part) || !slice_is_utf8(text));
        rest = slice_sub(rest, n, rest.n);
    }
}

static void test_parts_fit(void **state)
{
    (void)state;
    static const char *const words[] = {"the", " ", "  ", "\n", "\n\n", "thing", "\xc3\xa9", "\xf0\x9f\x98\x80", "1", "'s", "\t",
                                        "inininining", "       ", "\xff", "\r\n", ".", "in"};
    uint32_t seed = 1;
    for (int round = 0; round < 400; round++) {
        BUF_CLEANUP struct buf b = BUF_INIT(1 << 16);
        size_t limit = round % 2 ? sizeof words / sizeof *words : 13; /* every other text is UTF-8 */
        for (int i = 0; i < 200; i++) {
            seed = seed * 1664525u + 1013904223u;
            buf_add_text(&b, words[(seed >> 16) % limit]);
        }
        check_parts(buf_slice(&b), CUT_WINDOW_MIN + (seed >> 8) % 60);
    }
}

static void cut_at(const char *text, size_t window, size_t want)
{
    size_t n = cut_next(vocab, slice_of(text), window);
    if (n != want)
        fail_msg("cut '%s' at %zu instead of %zu", text, n, want);
}

static void test_where_it_is_cut(void **state)
{
    (void)state;
    cut_at("short", 16, 5);
    cut_at("abcdef gh\n\nijk\nlm no pq rs tu", 20, 11);     /* the paragraph, though a line is nearer */
    cut_at("abcdef gh\n  \nijk\nlm no pq rs tu", 20, 13);   /* a line of blanks is empty */
    cut_at("abcdef gh ijk\nlm no pq rs tu", 20, 14);       /* the line */
    cut_at("abcdef gh ijk lm no pq rs tu", 20, 19);        /* the word */
    cut_at("a\n\nbcdef gh ijk lm no pq rs tu", 20, 18);     /* a paragraph in the first half does not count */
    /* All blanks are one token here, but without the last of them three: the paragraph's end would not fit. */
    cut_at("abcdefghijklmn\n\n\n  yzyzyzyz", 16, 14);
    cut_at("abcdefghijklmnopqrstuvwxyz", 24, 8);           /* one piece that is too long: a third is safe */
}

static bool yes(void *arg)
{
    ++*(int *)arg;
    return true;
}

static void test_measure(void **state)
{
    (void)state;
    static struct measure m;
    struct error e;
    int calls = 0;
    assert_int_equal(cut_measure(vocab, SLICE(""), 16, NULL, NULL, &m, &e), OK);
    assert_true(m.tokens == 0 && m.parts == 1 && m.end[0] == 0);
    assert_int_equal(cut_measure(vocab, SLICE("abcdef gh ijk\nlm no pq rs tu"), 20, NULL, NULL, &m, &e), OK);
    assert_true(m.tokens == 28 && m.parts == 2 && m.end[0] == 14 && m.end[1] == 28);
    assert_int_equal(cut_measure(vocab, SLICE("x"), 15, NULL, NULL, &m, &e), ERR_USAGE);
    assert_int_equal(cut_measure(vocab, SLICE("x"), 16, yes, &calls, &m, &e), ERR_CANCELLED);
    assert_int_equal(calls, 1);
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    for (int i = 0; i < 5000; i++)
        buf_add_text(&b, "abcdefg hijklm\n");
    assert_int_equal(cut_measure(vocab, buf_slice(&b), 16, NULL, NULL, &m, &e), ERR_LIMIT);
}

static void test_chat(void **state)
{
    (void)state;
    struct chat c = chat_of(&gguf, vocab);
    struct error e;
    assert_true(c.open == TINY_OPEN && c.close == TINY_CLOSE && slice_is(c.system, "Be kind"));
    const struct turn turns[] = {{SLICE("system"), SLICE("a")}, {SLICE("user"), SLICE("<|im_end|>")}};
    TOKENS_CLEANUP struct tokens t = {0}, u = {0};
    assert_int_equal(chat_prompt(&c, vocab, SLICE_NONE, turns, 2, &t, &e), OK);
    size_t closed = 0, opened = 0;
    for (size_t i = 0; i < t.n; i++)
        closed += t.id[i] == TINY_CLOSE, opened += t.id[i] == TINY_OPEN;
    assert_true(closed == 2 && opened == 3); /* the text's own "<|im_end|>" is letters */
    assert_int_equal(chat_prompt(&c, vocab, SLICE_NONE, turns + 1, 1, &u, &e), OK);
    assert_int_equal(u.n, t.n + strlen("Be kind") - 2); /* "in" of kind is one token; for "a" */
}

/* A prompt as a text, control tokens as [ and ]. */
static void expect_prompt(const struct chat *c, struct slice tools, const struct turn *turns, size_t n, const char *want)
{
    TOKENS_CLEANUP struct tokens t = {0};
    BUF_CLEANUP struct buf text = BUF_INIT(1 << 16);
    assert_int_equal(chat_prompt(c, vocab, tools, turns, n, &t, NULL), OK);
    for (size_t i = 0; i < t.n; i++) {
        buf_add_text(&text, t.id[i] == TINY_OPEN ? "[" : t.id[i] == TINY_CLOSE ? "]" : "");
        vocab_decode(vocab, t.id[i], &text);
    }
    assert_string_equal(buf_str(&text), want);
}

static void test_chat_with_tools(void **state)
{
    (void)state;
    struct chat c = chat_of(&gguf, vocab);
    const struct turn turns[] = {{SLICE("system"), SLICE("be")}, {SLICE("user"), SLICE("u")}, {SLICE("assistant"), SLICE("<tool_call>")},
                                 {SLICE("tool"), SLICE("1")}, {SLICE("tool"), SLICE("2")}, {SLICE("user"), SLICE("v")}};
    expect_prompt(&c, SLICE("T"), turns, 2, "[system\nbe\n\nT]\n[user\nu]\n[assistant\n");
    expect_prompt(&c, SLICE("T"), turns + 1, 1, "[system\nBe kind\n\nT]\n[user\nu]\n[assistant\n");
    expect_prompt(&c, SLICE_NONE, turns, 6,
                  "[system\nbe]\n[user\nu]\n[assistant\n<tool_call>]\n[user\n<tool_response>\n1\n</tool_response>\n<tool_response>\n2"
                  "\n</tool_response>]\n[user\nv]\n[assistant\n");
    c.system = SLICE_NONE;
    expect_prompt(&c, SLICE("T"), turns + 1, 1, "[system\nT]\n[user\nu]\n[assistant\n");
    c.open = c.close = -1;
    expect_prompt(&c, SLICE("T"), turns, 2, "be\n\nT\n\nu\n\n");
    expect_prompt(&c, SLICE("T"), turns + 3, 1, "T\n\n<tool_response>\n1\n</tool_response>\n\n");
}

static void test_no_chat(void **state)
{
    (void)state;
    struct tiny t = TINY_INIT;
    t.no_template = true;
    struct buf plain = tiny_gguf(&t);
    struct gguf g;
    struct vocab *v;
    struct error e;
    assert_int_equal(gguf_parse(buf_slice(&plain), &g, &e), OK);
    assert_int_equal(vocab_new(&g, &v, &e), OK);
    struct chat c = chat_of(&g, v);
    const struct turn turn = {SLICE("user"), SLICE("the")};
    TOKENS_CLEANUP struct tokens ids_of = {0};
    assert_int_equal(chat_prompt(&c, v, SLICE_NONE, &turn, 1, &ids_of, &e), OK);
    assert_true(c.open == -1 && ids_of.n == 3 && ids_of.id[1] == '\n');
    vocab_free(v), gguf_release(&g), buf_release(&plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces), cmocka_unit_test(test_merges), cmocka_unit_test(test_decode),
        cmocka_unit_test(test_long_pieces), cmocka_unit_test(test_parts_fit), cmocka_unit_test(test_where_it_is_cut),
        cmocka_unit_test(test_measure), cmocka_unit_test(test_chat), cmocka_unit_test(test_no_chat),
        cmocka_unit_test(test_chat_with_tools),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
