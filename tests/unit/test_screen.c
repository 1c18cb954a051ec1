/*
 * The talking terminal on a real pseudo-terminal, read by a small one (screen_term.h): what is said stays in the scrollback
 * in order and once, the live area below it is in place after each frame; whatever comes from models, tools and keys at
 * whatever size, nothing but our own sequences goes out (V1) and no row runs over the edge (V5); splits change nothing (V2);
 * ten megabytes are drawn in seconds; a terminal that takes nothing or goes away stops nobody; pipes get plain lines.
 *
 * Planted once and caught: a row of the live area left in the scrollback; the last column erased behind a full row; a
 * summary, a queued message wider than the terminal; rows dropped for a terminal that is stuck, and not a word of it.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"
#include "cli/pick.h"
#include "cli/screen.h"
#include "unit/screen_check.h"
#include "unit/screen_term.h"

static struct term term;

struct rig {
    int master, slave;
    struct screen *s;
};

static void set_size(struct rig *r, size_t columns, size_t rows)
{
    struct winsize w = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};
    assert_int_equal(ioctl(r->master, TIOCSWINSZ, &w), 0);
}

static struct rig rig_new(size_t columns, size_t rows, bool color, bool utf8)
{
    struct rig r = {.master = posix_openpt(O_RDWR | O_NOCTTY)};
    char name[100];
    screen_restore(); /* of a test that failed */
    assert_true(r.master >= 0 && grantpt(r.master) == 0 && unlockpt(r.master) == 0);
    assert_int_equal(ptsname_r(r.master, name, sizeof name), 0);
    r.slave = open(name, O_RDWR | O_NOCTTY);
    assert_true(r.slave >= 0);
    fcntl(r.master, F_SETFL, O_NONBLOCK);
    set_size(&r, columns, rows);
    buf_release(&term.rest);
    term_init(&term, columns, rows);
    struct screen_options o = {.color = color, .utf8 = utf8, .bell = true};
    r.s = screen_new(r.slave, r.slave, &o);
    assert_non_null(r.s);
    return r;
}

static size_t read_output(struct rig *r)
{
    char bytes[4096];
    ssize_t n;
    size_t all = 0;
    for (; (n = read(r->master, bytes, sizeof bytes)) > 0; all += (size_t)n)
        term_feed(&term, (struct slice){bytes, (size_t)n});
    return all;
}

/* Until it is drawn and read. */
static void settle(struct rig *r)
{
    struct screen_event e;
    size_t quiet = 0;
    for (int i = 0; i < 2000 && quiet < 2; i++) {
        usleep(quiet ? 34000 : 1000);
        while (screen_next(r->s, &e))
            ;
        quiet = read_output(r) ? 0 : quiet + 1;
    }
}

static void rig_free(struct rig *r)
{
    screen_free(r->s);
    read_output(r);
    close(r->slave);
    close(r->master);
}

static const char *shown(void)
{
    static struct buf b;
    b.max = 8 << 20;
    buf_reset(&b);
    term_text(&term, &b);
    return buf_str(&b);
}

static void type_keys(struct rig *r, const char *keys)
{
    assert_int_equal(write(r->master, keys, strlen(keys)), strlen(keys));
    usleep(5000);
}

static struct screen_event next_event(struct rig *r)
{
    struct screen_event e;
    for (int i = 0; i < 200; i++) {
        if (screen_next(r->s, &e))
            return e;
        read_output(r);
        usleep(1000);
    }
    return (struct screen_event){0};
}

static void test_conversation(void **state)
{
    (void)state;
    struct rig r = rig_new(60, 24, true, true);
    screen_said(r.s, SLICE("fix it"));
    screen_reasoning(r.s, SLICE("hm"));
    settle(&r);
    screen_act_begin(r.s, 7, SLICE("bash"), SLICE("make\ttest"));
    settle(&r);
    assert_non_null(strstr(shown(), "bash  make    test  0.0 s"));
    screen_act_end(r.s, 7, SCREEN_FAILED, SLICE("exit 1"), SLICE("1\n2\n3\n4\n5\n"));
    screen_text(r.s, SLICE("It is **do"));
    settle(&r);
    screen_text(r.s, SLICE("ne**.\n"));
    screen_text_end(r.s);
    screen_error(r.s, SLICE("no \033 more"));
    struct screen_status st = {.model = SLICE("m-1"), .used_nusd = 120000000, .cap_nusd = 5000000000, .tokens = 4500, .context_used = 1, .context_window = 4};
    screen_status(r.s, &st);
    settle(&r);
    const char *want = "▌ fix it\n\n∴ thought for 0.0 s\n✗ bash  make    test  exit 1\n  … 2 lines before · Ctrl-O\n  │ 3\n  │ 4\n  │ 5\n\nIt is done.\n\n"
                       "✗ no ␛ more\n\n────────────────────────────────────────────────────────────\n›\nm-1  $0.12 of $5.00  ctx 25%  4.5k tok   @ file · / command\n";
    char got[8000];
    snprintf(got, sizeof got, "%s", shown());
    for (char *p = strstr(got, "for 0."); p && p[6] != '0'; p[6] = '0')
        ;
    assert_string_equal(got, want);
    st.state = SLICE("waiting for you"); /* a full row that is drawn again alone */
    st.waiting = true;
    screen_status(r.s, &st);
    settle(&r);
    assert_non_null(strstr(shown(), "─ ● waiting for you ────────────────────────────────────────\n"));
    type_keys(&r, "\017");
    settle(&r);
    assert_non_null(strstr(shown(), "▾ make    test\n  │ 1\n  │ 2\n  │ 3\n"));
    rig_free(&r);
    assert_null(strstr(shown(), "$0.12")); /* the live area is gone */
}

static void test_events(void **state)
{
    (void)state;
    struct rig r = rig_new(60, 24, true, true);
    struct screen_event e;
    type_keys(&r, "hello\r");
    e = next_event(&r);
    assert_int_equal(e.kind, SCREEN_SUBMIT);
    assert_true(slice_is(e.text, "hello"));
    type_keys(&r, "later\033\r");
    e = next_event(&r);
    assert_int_equal(e.kind, SCREEN_QUEUE);
    assert_true(slice_is(e.text, "later"));
    type_keys(&r, "\r  \r");
    assert_int_equal(next_event(&r).kind, 0);
    struct screen_status st = {.busy = true, .state = SLICE("thinking"), .since_ms = 1};
    screen_status(r.s, &st);
    type_keys(&r, "\033");
    assert_int_equal(next_event(&r).kind, SCREEN_STOP);
    type_keys(&r, "\033");
    assert_int_equal(next_event(&r).kind, SCREEN_UNDO);
    st.busy = false;
    screen_status(r.s, &st);
    type_keys(&r, "\033\033");
    assert_int_equal(next_event(&r).kind, SCREEN_UNDO);
    type_keys(&r, "\033[1;3A\014");
    assert_int_equal(next_event(&r).kind, SCREEN_TAKE_BACK);
    assert_int_equal(next_event(&r).kind, SCREEN_PICK_MODEL);
    screen_edit(r.s, SLICE("back"), false);
    type_keys(&r, "\007");
    e = next_event(&r);
    assert_int_equal(e.kind, SCREEN_EDITOR);
    assert_true(slice_is(e.text, "back"));
    type_keys(&r, "\003");
    assert_int_equal(next_event(&r).kind, 0);
    type_keys(&r, "\003");
    assert_int_equal(next_event(&r).kind, 0);
    type_keys(&r, "\003");
    assert_int_equal(next_event(&r).kind, SCREEN_EXIT);
    screen_bell(r.s, "waits\a");
    settle(&r);
    assert_int_equal(term.bells, 1);
    type_keys(&r, "\033[200~/dev/null.png\033[201~\004");
    assert_int_equal(next_event(&r).kind, 0); /* no such picture, and not empty */
    rig_free(&r);
}

static void test_picture(void **state)
{
    (void)state;
    char path[] = "/var/tmp/crannog a-XXXXXX.png", keys[200];
    close(mkstemps(path, 4));
    struct rig r = rig_new(60, 24, true, true);
    snprintf(keys, sizeof keys, "see \033[200~'%s' \033[201~\r", path);
    type_keys(&r, keys);
    struct screen_event e = next_event(&r);
    assert_int_equal(e.kind, SCREEN_SUBMIT);
    assert_true(slice_is(e.text, "see [picture #1]"));
    assert_int_equal(e.nattachments, 1);
    assert_true(slice_is(e.attachments[0], path));
    rig_free(&r);
    unlink(path);
}

static void random_text(struct buf *b, size_t n)
{
    static const char *const often[] = {"\n", "**", "```\n", "| a | b |\n|--|--|\n", "- ", "word ", "漢字", "e\xcc\x81", "\033[2J", "\033]0;x\a", ("\xc2\x9b" "2J"), "\xe2\x80\xae",
        "\xff", "\r", "\t", "+1\n", "@@ -1 +1 @@\n", "# h\n", "long long long line of words that goes on and on "};
    while (n--) {
        uint32_t x = check_random();
        if (x % 5 == 0)
            buf_add_char(b, (char)(x >> 8));
        else
            buf_add_text(b, often[(x >> 8) % (sizeof often / sizeof *often)]);
    }
}

static void random_call(struct rig *r, size_t *columns)
{
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    uint32_t x = check_random();
    uint64_t id = 1 + x / 64 % 5;
    struct screen_status st = {.busy = x & 64, .waiting = x & 128, .since_ms = x & 256 ? 1 : 0, .used_nusd = x, .cap_nusd = x & 512 ? 7 : -1, .tokens = x,
        .context_used = x & 1023, .context_window = 1024};
    random_text(&b, check_random() % 40);
    struct slice t = buf_slice(&b);
    switch (x % 14) {
    case 0: case 1: case 2: screen_text(r->s, t); break;
    case 3: screen_text_end(r->s); break;
    case 4: screen_reasoning(r->s, t); break;
    case 5: screen_act_begin(r->s, id, t, t); break;
    case 6: screen_act_end(r->s, id, (enum screen_act)(x >> 8 & 1), slice_sub(t, 0, 30), t); break;
    case 7: screen_act_note(r->s, id, t); break;
    case 8: screen_said(r->s, t); break;
    case 9: screen_note(r->s, t); break;
    case 10: st.state = st.model = st.hint = t; screen_status(r->s, &st); break;
    case 11: screen_queue(r->s, (struct slice[]){t, t, t, t, t}, x >> 8 & 3); break;
    case 12: {
        size_t n = t.n < 200 ? t.n : 200;
        assert_int_equal(write(r->master, t.p, n), n);
        break;
    }
    default:
        if (x % 3)
            break;
        settle(r);
        term.columns = *columns = 8 + check_random() % 100;
        set_size(r, *columns, term.rows);
        term.may_wrap = true;
        screen_resize(r->s);
        read_output(r);
        term.may_wrap = false;
        settle(r);
    }
    struct screen_event e;
    while (screen_next(r->s, &e))
        ;
    read_output(r);
}

static void test_anything(void **state)
{
    (void)state;
    static const size_t sizes[][2] = {{80, 24}, {20, 10}, {200, 50}, {20, 1}, {80, 2}, {40, 3}, {8, 1}, {33, 5}, {8, 4}};
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        size_t columns = sizes[i % 9][0];
        struct rig r = rig_new(columns, sizes[i % 9][1], i % 2, i % 3 != 2);
        for (int k = 0; k < 150; k++)
            random_call(&r, &columns);
        settle(&r);
        rig_free(&r);
    }
}

/* What stays is the same however it came. */
static void test_splits(void **state)
{
    (void)state;
    char first[20000] = "";
    const struct slice text = SLICE("# Head\n\nSome *words* that go on beyond the width of it, `code`, 漢字.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```c\nint x;\n```\n- end\n");
    for (size_t step = 1; step < 200; step = step * 3 / 2 + 1) {
        struct rig r = rig_new(40, 8, true, true);
        for (struct slice rest = text; rest.n; rest = slice_sub(rest, step, rest.n)) {
            struct screen_event e;
            screen_text(r.s, slice_sub(rest, 0, step));
            usleep(step < 10 ? 3000 : 35000);
            screen_next(r.s, &e);
            read_output(&r);
        }
        rig_free(&r);
        if (!*first)
            snprintf(first, sizeof first, "%s", shown());
        assert_string_equal(shown(), first);
    }
    assert_string_equal(first, "Head\n\nSome words that go on beyond the width\nof it, code, 漢字.\n\na │ b\n──┼──\n1 │ 2\n\n  c\n  int x;\n\n• end\n");
}

static void test_long_answer(void **state)
{
    (void)state;
    struct rig r = rig_new(80, 24, true, true);
    int64_t start = sys->now_ms();
    size_t fed = 0;
    for (int i = 0; fed < 10 << 20; i++) {
        char line[100];
        int n = snprintf(line, sizeof line, "line %d of **many**, which are all alike\n", i);
        screen_text(r.s, (struct slice){line, (size_t)n});
        fed += (size_t)n;
        if (i % 100 == 0)
            read_output(&r);
    }
    screen_text_end(r.s);
    settle(&r);
    assert_true(sys->now_ms() - start < 30000);
    assert_non_null(strstr(shown(), "which are all alike\n\n────"));
    rig_free(&r);
}

static void test_stuck(void **state)
{
    (void)state;
    struct rig r = rig_new(80, 24, true, true);
    int64_t start = sys->now_ms();
    for (int i = 0; i < 200000; i++) /* nobody reads */
        screen_text(r.s, SLICE("a line that nobody will ever see, or perhaps somebody\n"));
    assert_true(sys->now_ms() - start < 20000);
    for (int i = 0; i < 400; i++) {
        struct screen_event e;
        read_output(&r);
        screen_next(r.s, &e);
    }
    screen_text(r.s, SLICE("awake\n"));
    screen_text_end(r.s);
    settle(&r);
    assert_non_null(strstr(shown(), "rows are not shown"));
    assert_non_null(strstr(shown(), "awake"));
    rig_free(&r);
}

static void test_hangup(void **state)
{
    (void)state;
    struct rig r = rig_new(80, 24, true, true);
    settle(&r);
    close(r.master);
    screen_text(r.s, SLICE("who is there?\n"));
    struct screen_event e = {0};
    for (int i = 0; i < 100 && !e.kind; i++)
        screen_next(r.s, &e);
    assert_int_equal(e.kind, SCREEN_EXIT);
    assert_false(screen_next(r.s, &e));
    screen_free(r.s);
    close(r.slave);
}

static void test_pipes(void **state)
{
    (void)state;
    int in[2], out[2];
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    struct screen_options o = {.color = true, .utf8 = true};
    struct screen *s = screen_new(in[0], out[1], &o);
    struct screen_event e;
    assert_int_equal(write(in[1], "one\r\n\ntwo\033[A\nthree", 19), 19);
    close(in[1]);
    assert_true(screen_next(s, &e) && e.kind == SCREEN_SUBMIT && slice_is(e.text, "one"));
    assert_true(screen_next(s, &e) && e.kind == SCREEN_SUBMIT && slice_is(e.text, "two[A"));
    assert_true(screen_next(s, &e) && e.kind == SCREEN_SUBMIT && slice_is(e.text, "three"));
    assert_true(screen_next(s, &e) && e.kind == SCREEN_EXIT);
    assert_false(screen_next(s, &e));
    screen_said(s, SLICE("q"));
    screen_text(s, SLICE("**an"));
    screen_text(s, SLICE("swer**\n"));
    screen_act_begin(s, 1, SLICE("bash"), SLICE("ls"));
    screen_act_end(s, 1, SCREEN_OK, SLICE("0.1 s"), SLICE("a\n"));
    screen_free(s);
    char got[1000];
    ssize_t n = read(out[0], got, sizeof got - 1);
    assert_true(n > 0);
    got[n] = '\0';
    assert_string_equal(got, "▌ q\nanswer\n✓ bash  ls  0.1 s\n  │ a\n");
    close(in[0]);
    close(out[0]);
    close(out[1]);
}

static void test_scores(void **state)
{
    (void)state;
    const struct slice s = SLICE("claude-sonnet-4-6");
    assert_int_equal(pick_score(s, SLICE("xyz")), 0);
    assert_true(pick_score(s, SLICE("")) > 0);
    assert_true(pick_score(s, SLICE("CS46")) > 0);
    assert_true(pick_score(SLICE("sonnet"), SLICE("son")) > pick_score(SLICE("some own"), SLICE("son")));
}

static const struct pick_item items[] = {{SLICE_INIT("alpha"), SLICE_INIT("first\033[2J")}, {SLICE_INIT("beta"), SLICE_INIT("")}, {SLICE_INIT("gamma ray"), SLICE_INIT("third")}};

/* Keys are typed before it runs, since it blocks. */
static void test_pick(void **state)
{
    (void)state;
    static const struct { const char *keys; long want; } cases[] = {
        {"\r", 0}, {"\033[B\r", 1}, {"\033[A\r", 2}, {"gr\r", 2}, {"zzz\r\177\177\177be\r", 1}, {"\033[B\033[B\033[B\r", 0}, {"\003", -1}, {"third\r", 2}, {"\033", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t k = 0; k < 3; k++) {
            struct rig r = rig_new((size_t[]){80, 20, 8}[k], (size_t[]){24, 3, 1}[k], k != 1, k != 2);
            long got = -2;
            type_keys(&r, cases[i].keys);
            screen_pick(r.s, SLICE("Which?\033"), items, 3, &got);
            assert_int_equal(got, cases[i].want);
            settle(&r);
            rig_free(&r);
        }
    }
}

int main(void)
{
    setenv("TERM", "xterm-256color", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conversation), cmocka_unit_test(test_events), cmocka_unit_test(test_picture), cmocka_unit_test(test_anything),
        cmocka_unit_test(test_splits), cmocka_unit_test(test_long_answer), cmocka_unit_test(test_stuck), cmocka_unit_test(test_hangup),
        cmocka_unit_test(test_pipes), cmocka_unit_test(test_scores), cmocka_unit_test(test_pick)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
