/*
 * The edit box: each key does what it does in a shell, over wide and combined characters; pastes become one character past
 * their bounds and come back whole; history with prefix and search; completion; keys are told apart however their bytes are
 * split, unknown sequences do nothing; any bytes leave a text without controls, drawn within its columns.
 *
 * Planted once and caught: an Esc before a split sequence taken for the key; half a paste mark deleted; the draft lost
 * on the way up and down; an end of a paste that came in two pieces not seen.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"
#include "cli/lineedit.h"
#include "unit/screen_check.h"

static const struct look bare = {false, true};
static const struct complete_command commands[] = {{"model", "choose"}, {"mode", NULL}, {"quit", "leave"}};

static void files(void *arg, struct slice prefix, struct complete_list *ret)
{
    static const char *const names[] = {"src/", "src/a.c", "src/b.c", "README.md"};
    (void)arg;
    for (size_t i = 0; i < 4; i++)
        if (slice_starts(slice_of(names[i]), prefix))
            complete_add(ret, slice_of(names[i]), NULL);
    complete_add(ret, SLICE("bad\033name"), NULL); /* is left out */
}

static bool picture(struct slice pasted, struct buf *ret)
{
    buf_add(ret, pasted);
    return slice_ends(pasted, SLICE(".png"));
}

static struct lineedit *box(const char *history)
{
    struct edit_options o = {.look = &bare, .history = history, .commands = commands, .ncommands = 3, .files = files, .picture = picture};
    return lineedit_new(&o);
}

/* Types bytes; what the last key wished. */
static enum edit_wish type_bytes(struct lineedit *e, struct slice bytes, size_t step)
{
    struct keys k;
    struct key key;
    enum edit_wish wish = EDIT_NOTHING, w;
    int64_t now = 1000;
    keys_init(&k);
    while (bytes.n) {
        struct slice part = slice_sub(bytes, 0, step < keys_room(&k) ? step : keys_room(&k));
        keys_feed(&k, part, now);
        bytes = slice_sub(bytes, part.n, bytes.n);
        while (keys_next(&k, now, &key))
            if ((w = lineedit_key(e, &key)))
                wish = w;
    }
    while (keys_next(&k, now + 5000, &key))
        if ((w = lineedit_key(e, &key)))
            wish = w;
    keys_release(&k);
    return wish;
}

static const char *text_of(struct lineedit *e)
{
    static char text[100000];
    BUF_CLEANUP struct buf b = BUF_INIT(EDIT_TEXT_MAX + EDIT_PASTES_BYTES);
    lineedit_text(e, &b);
    snprintf(text, sizeof text, "%s", buf_str(&b));
    return text;
}

static const struct {
    const char *name, *keys, *want;
    enum edit_wish wish;
} cases[] = {
    {"letters", "abc", "abc", 0},
    {"enter", "a\r", "a", EDIT_SUBMIT},
    {"alt-enter", "a\033\r", "a", EDIT_QUEUE},
    {"alt-enter, CSI u", "a\033[13;3u", "a", EDIT_QUEUE},
    {"shift-enter", "a\033[13;2ub", "a\nb", 0},
    {"shift-enter, xterm", "a\033[27;2;13~b", "a\nb", 0},
    {"ctrl-j", "a\nb", "a\nb", 0},
    {"backslash enter", "a\\\rb", "a\nb", 0},
    {"left, home, end", "bc\033[Da\033[Hx\033[Fy", "xbacy", 0},
    {"home and end of other terminals", "b\033OHa\033OFc\033[1~x\033[4~y", "xabcy", 0},
    {"ctrl-a -e -b -f", "b\001a\005d\002c\006e", "abcde", 0},
    {"kill and yank", "one two\001\013\031\031", "one twoone two", 0},
    {"ctrl-u", "one two\025x", "x", 0},
    {"ctrl-w", "one two\027x", "one x", 0},
    {"alt-backspace", "one two\033\177x", "one x", 0},
    {"alt-b, alt-d", "one two three\033b\033b\033d", "one  three", 0},
    {"alt-f", "one two\001\033fX", "oneX two", 0},
    {"ctrl-left", "one two\033[1;5DX", "one Xtwo", 0},
    {"ctrl-t", "ab\024", "ba", 0},
    {"ctrl-t in the midst", "abc\002\024", "acb", 0},
    {"ctrl-d deletes", "ab\001\004", "b", 0},
    {"delete", "ab\001\033[3~", "b", 0},
    {"ctrl-h", "ab\010", "a", 0},
    {"ctrl-d on nothing", "\004", "", EDIT_EOF},
    {"undo", "one\027\037", "one", 0},
    {"undo of words", "one two\037", "one", 0},
    {"wide and combined", "漢e\xcc\x81z\002\002\002x", "x漢e\xcc\x81z", 0},
    {"backspace over a cluster", "a\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb\177", "a", 0},
    {"up and down in lines", "abc\nde\033[AX\033[BY", "abXc\ndeY", 0},
    {"escape", "a\033", "a", EDIT_ESC},
    {"ctrl-c", "a\003", "a", EDIT_INTERRUPT},
    {"ctrl-c, CSI u", "a\033[99;5u", "a", EDIT_INTERRUPT},
    {"ctrl-x ctrl-e", "a\030\005", "a", EDIT_EDITOR},
    {"ctrl-g", "a\007", "a", EDIT_EDITOR},
    {"ctrl-l", "\014", "", EDIT_MODEL},
    {"ctrl-o", "\017", "", EDIT_DETAIL},
    {"alt-up", "\033[1;3A", "", EDIT_TAKE_BACK},
    {"alt-up of old terminals", "\033\033[A", "", EDIT_TAKE_BACK},
    {"unknown sequences", "a\033[99z\033[?1;2c\033]11;rgb:0/0/0\033\\\033P1$r\033\\\033[200;1Rb\033[57441u\033Oxc", "abc", 0},
    {"controls and C1", "a\x1c\x1d\xc2\x9b" "b\xff\xc0", "ab", 0},
    {"paste", "\033[200~a\r\nb\033[31m\tc\033[201~d", "a\nb[31m\tcd", 0},
    {"a paste that never ends", "\033[200~abc", "abc", 0},
    {"command", "/mod\t\t\r", "/mode ", 0},
    {"one command", "/q\t", "/quit ", 0},
    {"file", "see @R\tok", "see @README.md ok", 0},
    {"folder", "@src/\t\t\t\t", "@src/", 0},
    {"no completion in words", "a@R\t", "a@R", 0},
};

static void test_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t step = 1; step < 100; step = step < 4 ? step + 1 : 100) {
            struct lineedit *e = box(NULL);
            enum edit_wish wish = type_bytes(e, slice_of(cases[i].keys), step == 100 ? 1000 : step);
            if (strcmp(text_of(e), cases[i].want) != 0 || wish != cases[i].wish)
                fail_msg("%s, step %zu: \"%s\" and %d", cases[i].name, step, text_of(e), wish);
            lineedit_free(e);
        }
    }
}

static void draw(struct lineedit *e, size_t width, size_t rows, struct buf *ret, size_t *row, size_t *col)
{
    buf_reset(ret);
    lineedit_draw(e, width, rows, 6, ret, row, col);
    check_rows(buf_slice(ret), &bare, width < 8 ? 8 : width);
}

static void test_draw(void **state)
{
    (void)state;
    struct lineedit *e = box(NULL);
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    size_t row, col;
    draw(e, 20, 5, &b, &row, &col);
    type_bytes(e, slice_of("one\n漢字漢字漢字漢字漢字x"), 7);
    draw(e, 20, 5, &b, &row, &col);
    assert_string_equal(buf_str(&b), "› one\n  漢字漢字漢字漢字漢\n  字x\n");
    assert_int_equal(row, 2);
    assert_int_equal(col, 5);
    draw(e, 20, 1, &b, &row, &col);
    assert_string_equal(buf_str(&b), "  字x\n");
    assert_int_equal(row, 0);
    type_bytes(e, slice_of("\033[A\033[A\033[A"), 10);
    draw(e, 20, 2, &b, &row, &col);
    assert_int_equal(row, 0);
    lineedit_clear(e);
    type_bytes(e, slice_of("/mo"), 10);
    draw(e, 40, 5, &b, &row, &col);
    assert_string_equal(buf_str(&b), "› /mo\n  model  choose\n  mode\n");
    type_bytes(e, slice_of("\t"), 10);
    draw(e, 40, 5, &b, &row, &col);
    assert_string_equal(buf_str(&b), "› /model\n▸ model  choose\n  mode\n");
    type_bytes(e, slice_of("\033"), 10);
    draw(e, 40, 5, &b, &row, &col);
    assert_string_equal(buf_str(&b), "› /model\n");
    lineedit_free(e);
}

static void test_pastes(void **state)
{
    (void)state;
    struct lineedit *e = box(NULL);
    BUF_CLEANUP struct buf big = BUF_INIT(4 << 20), out = BUF_INIT(8 << 20), paths = BUF_INIT(10000), b = BUF_INIT(1 << 20);
    size_t n, row, col;
    buf_add_text(&big, "see \033[200~");
    for (int i = 0; i < 214; i++)
        buf_addf(&big, "line %d\n", i);
    buf_add_text(&big, "\033[201~ and \033[200~/tmp/a b.png\033[201~ ok");
    type_bytes(e, buf_slice(&big), 1000);
    draw(e, 80, 5, &b, &row, &col);
    assert_string_equal(buf_str(&b), "› see [pasted 214 lines #1] and [picture #2] ok\n");
    type_bytes(e, SLICE("\002\002\002\177"), 10); /* the picture, in one piece */
    draw(e, 80, 5, &b, &row, &col);
    assert_string_equal(buf_str(&b), "› see [pasted 214 lines #1] and  ok\n");
    type_bytes(e, SLICE("\037"), 10);
    lineedit_take(e, &out, &paths, &n);
    assert_int_equal(n, 1);
    assert_string_equal(buf_str(&paths), "/tmp/a b.png");
    assert_true(slice_starts(buf_slice(&out), SLICE("see line 0\nline 1\n")));
    assert_true(slice_ends(buf_slice(&out), SLICE("line 213\n and [picture #1] ok")));
    assert_true(lineedit_empty(e));

    buf_reset(&big); /* 3 MiB: cut at one, said so */
    buf_add_text(&big, "\033[200~");
    while (big.n < 3 << 20)
        buf_add_text(&big, "0123456789abcde\n");
    buf_add_text(&big, "\033[201~!");
    type_bytes(e, buf_slice(&big), 8000);
    buf_reset(&out);
    lineedit_text(e, &out);
    assert_true(out.n > 1 << 20 && out.n < (1 << 20) + 100);
    assert_true(slice_ends(buf_slice(&out), SLICE("[cut at 1 MiB]\n!")));
    for (int i = 0; i < 10; i++)
        type_bytes(e, buf_slice(&big), 8000);
    buf_reset(&out);
    lineedit_text(e, &out);
    assert_true(out.n <= EDIT_PASTES_BYTES + EDIT_TEXT_MAX);
    lineedit_free(e);
}

static void say(struct lineedit *e, const char *text)
{
    BUF_CLEANUP struct buf out = BUF_INIT(1 << 20), paths = BUF_INIT(100);
    size_t n;
    type_bytes(e, slice_of(text), 100);
    lineedit_take(e, &out, &paths, &n);
}

static void test_history(void **state)
{
    (void)state;
    char path[] = "/var/tmp/crannog-history-XXXXXX";
    int fd = mkstemp(path);
    struct stat st;
    close(fd);
    unlink(path);
    struct lineedit *e = box(path);
    say(e, "git status");
    say(e, "make\n\\n test");
    say(e, "make\n\\n test");
    say(e, "git diff");
    say(e, " secret");
    lineedit_free(e);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    e = box(path);
    type_bytes(e, SLICE("dr\033[A"), 10); /* nothing begins so */
    assert_string_equal(text_of(e), "dr");
    type_bytes(e, SLICE("\025gi\033[A"), 10);
    assert_string_equal(text_of(e), "git diff");
    type_bytes(e, SLICE("\033[A"), 10);
    assert_string_equal(text_of(e), "git status");
    type_bytes(e, SLICE("\033[A\033[B\033[B"), 10);
    assert_string_equal(text_of(e), "gi");
    type_bytes(e, SLICE("\025\020\020"), 10);
    assert_string_equal(text_of(e), "make\n\\n test");
    type_bytes(e, SLICE("\025\016\016\025\022git\022\r"), 10);
    assert_string_equal(text_of(e), "git status");
    lineedit_clear(e);
    type_bytes(e, SLICE("keep\022zzz\033"), 100);
    assert_string_equal(text_of(e), "keep");
    lineedit_free(e);
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 5000; i++)
        fprintf(f, "entry %d\n", i);
    fclose(f);
    lineedit_free(box(path));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 1000 * 11);
    unlink(path);
}

static void test_any_bytes(void **state)
{
    (void)state;
    static const char *const often[] = {"\033[A", "\033[B", "\033[C", "\033[D", "\033b", "\033d", "\177", "\037", "\031", "\013", "\027", "漢", "e\xcc\x81", " ",
        "word", "@", "/", "\t", "\022", "\r", "\033[200~", "\033[201~", "x.png", "\n", "\024", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb", "\033[13;2u"};
    for (int round = 0; round < 1500; round++) {
        struct lineedit *one = box(NULL), *two = box(NULL);
        BUF_CLEANUP struct buf bytes = BUF_INIT(1 << 20), b = BUF_INIT(4 << 20), a1 = BUF_INIT(8 << 20), a2 = BUF_INIT(8 << 20);
        size_t row, col, width = 8 + check_random() % 60;
        for (unsigned i = check_random() % 120; i; i--) {
            uint32_t r = check_random();
            if (r % 8 == 0)
                buf_add_char(&bytes, (char)(r >> 8));
            else
                buf_add_text(&bytes, often[(r >> 8) % (sizeof often / sizeof *often)]);
        }
        type_bytes(one, buf_slice(&bytes), 5000);
        type_bytes(two, buf_slice(&bytes), 1 + check_random() % 5);
        lineedit_text(one, &a1);
        lineedit_text(two, &a2);
        assert_true(slice_eq(buf_slice(&a1), buf_slice(&a2)));
        for (struct slice rest = buf_slice(&a1); rest.n;) {
            size_t n;
            uint32_t c = glyph_decode(rest, &n);
            assert_true(c == '\n' || c == '\t' || !glyph_forbidden(c));
            rest = slice_sub(rest, n, rest.n);
        }
        size_t max = 1 + check_random() % 6;
        draw(one, width, max, &b, &row, &col);
        assert_true(row < max && col < width);
        lineedit_free(one);
        lineedit_free(two);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys), cmocka_unit_test(test_draw), cmocka_unit_test(test_pastes), cmocka_unit_test(test_history),
        cmocka_unit_test(test_any_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
