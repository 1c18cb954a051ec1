/*
 * Plans: what is right is read as meant, what is wrong is refused with the line where it stands (P1); nothing is left out
 * silently. Names of files are hostile: no template makes a path outside of the folder (P2) or a second shell command.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/plan.h"

static struct arena arena = ARENA_INIT(64 << 20);

static enum err parse(struct slice text, struct plan *ret, struct error *e)
{
    arena_release(&arena);
    return plan_parse(text, "PLAN.md", &arena, ret, e);
}

static const char full[] =
    "---\n"
    "goal: to know\n"
    "verify: make check   # a comment of YAML's\n"
    "land: end\n"
    "budget: 200000tok 90cpu-s\n"
    "---\n"
    "# A title, and [a link](x)\n"
    "\n"
    "- [ ] note: for each `sources/*` as SRC, say in at most\n"
    "      120 words what it is about\n"
    "      writes: notes/{SRC.stem}.md\n"
    "      verify: test -s notes/{SRC.stem}.md\n"
    "      retries: 0\n"
    "\n"
    "      and who wrote it\n"
    "- [x] old: is done\n"
    "  writes: old.md\n"
    "Some words for people.\n"
    "- [ ] brief-2: for each `notes/*.md`, its point\n"
    "\twrites: brief.md\n"
    "\tneeds: note, old\n"
    "\tagent: main\n"
    "\tmodel: small\n"
    "\task: me\n"
    "\tbudget: 5calls\n"
    "- [X] free: think\n"
    "      writes: a/b.md"; /* no newline at the end */

static void check_full(const struct plan *p)
{
    const struct plan_item *it = p->items;
    assert_int_equal(p->nitems, 4);
    assert_true(slice_is(p->goal, "to know") && slice_is(p->verify, "make check") && slice_is(p->land, "end"));
    assert_true(p->budget.n[UNIT_TOKENS] == 200000 && p->budget.n[UNIT_NUSD] == AMOUNT_UNLIMITED);
    assert_true(slice_is(it[0].name, "note") && it[0].line == 9 && it[0].retries == 0 && !it[0].ticked && !it[0].gathers);
    assert_true(slice_is(it[0].text, "say in at most 120 words what it is about and who wrote it"));
    assert_true(slice_is(it[0].glob, "sources/*") && slice_is(it[0].var, "SRC"));
    assert_true(slice_is(it[0].writes, "notes/{SRC.stem}.md") && slice_is(it[0].verify, "test -s notes/{SRC.stem}.md"));
    assert_true(slice_is(it[1].name, "old") && it[1].ticked && it[1].gathers && it[1].glob.n == 0 && it[1].retries == 2);
    assert_true(slice_is(it[2].name, "brief-2") && slice_is(it[2].var, "FILE") && it[2].gathers && it[2].line == 19);
    assert_true(it[2].nneeds == 2 && it[2].needs[0] == 0 && it[2].needs[1] == 1 && it[2].budget.n[UNIT_CALLS] == 5);
    assert_true(slice_is(it[2].agent, "main") && slice_is(it[2].model, "small") && slice_is(it[2].ask, "me"));
    assert_true(it[3].ticked && slice_is(it[3].writes, "a/b.md"));
}

static void test_a_plan_is_read(void **state)
{
    (void)state;
    struct plan p;
    struct error e = {0};
    if (parse(slice_of(full), &p, &e))
        fail_msg("%s", e.text);
    check_full(&p);
    struct hash h = hash_of(slice_of(full));
    assert_true(hash_eq(&h, &p.hash));
}

static void test_crlf_and_a_byte_order_mark_change_nothing(void **state)
{
    (void)state;
    struct plan p;
    struct error e = {0};
    BUF_CLEANUP struct buf crlf = BUF_INIT(10000);
    buf_add_text(&crlf, "\xef\xbb\xbf");
    for (const char *c = full; *c; c++) {
        if (*c == '\n')
            buf_add_char(&crlf, '\r');
        buf_add_char(&crlf, *c);
    }
    if (parse(buf_slice(&crlf), &p, &e))
        fail_msg("%s", e.text);
    check_full(&p);
}

#define ITEM "- [ ] a: for each `s/*` as SRC, say it\n"
#define WRITES "  writes: n/{SRC.stem}.md\n"

/* Each with the whole message, because a person has nothing else to go by. */
static const struct { const char *text, *error; } wrong[] = {
    {"", "PLAN.md has no items; write one as \"- [ ] name: what to do\""},
    {"\n\n# only a title\n", "PLAN.md has no items; write one as \"- [ ] name: what to do\""},
    {"- [ ]\n", "PLAN.md:1: an item starts with \"- [ ] name: what to do\", not '- [ ]'"},
    {"# x\n- [y] a: b\n", "PLAN.md:2: an item starts with \"- [ ] name: what to do\", not '- [y] a: b'"},
    {"-[ ] a: b\n", "PLAN.md:1: an item starts with \"- [ ] name: what to do\", not '-[ ] a: b'"},
    {"* [ ] a: b\n", "PLAN.md:1: an item starts with \"- [ ] name: what to do\", not '* [ ] a: b'"},
    {" - [ ] a: b\n", "PLAN.md:1: an item stands at the margin; this one is indented: '- [ ] a: b'"},
    {ITEM WRITES "  - [ ] b: c\n", "PLAN.md:3: an item stands at the margin; this one is indented: '- [ ] b: c'"},
    {"\t- [ ] a: b\n", "PLAN.md:1: an item stands at the margin; this one is indented: '- [ ] a: b'"},
    {"- [ ] no name\n", "PLAN.md:1: an item has a short name in small letters and a colon first, like \"note: …\", not 'no name'"},
    {"- [ ] Note: x\n", "PLAN.md:1: an item has a short name in small letters and a colon first, like \"note: …\", not 'Note: x'"},
    {"- [ ] a:\n  writes: x\n", "PLAN.md:1: nothing to do stands in item 'a'"},
    {"- [ ] a: b\n  writes: x\n\n- [ ] a: c\n", "PLAN.md:4: two items have the name 'a'"},
    {"- [ ] a: b\n", "PLAN.md:1: an item without `writes:` needs an agent with tools, which this version does not have; say what "
                     "file it writes. Item 'a'"},
    {ITEM WRITES "  colour: red\n", "PLAN.md:3: unknown key (writes, verify, needs, retries are known): 'colour'"},
    {ITEM WRITES "  Verify: x\n", "PLAN.md:3: a key is written in small letters, with a colon and a blank behind it, not 'Verify: x'"},
    {ITEM WRITES "  verify:x\n", "PLAN.md:3: a key is written in small letters, with a colon and a blank behind it, not 'verify:x'"},
    {ITEM WRITES "  verify : x\n", "PLAN.md:3: a key is written in small letters, with a colon and a blank behind it, not 'verify : x'"},
    {ITEM WRITES "  verify:\n", "PLAN.md:3: nothing stands behind 'verify'"},
    {ITEM WRITES WRITES, "PLAN.md:3: said twice: 'writes'"},
    {ITEM WRITES "  retries: 1\n  retries: 2\n", "PLAN.md:4: said twice: 'retries'"},
    {ITEM WRITES "  retries: 21\n", "PLAN.md:3: retries is a number from 0 to 20, not '21'"},
    {ITEM WRITES "  retries: -1\n", "PLAN.md:3: retries is a number from 0 to 20, not '-1'"},
    {ITEM WRITES "  budget: much\n", "PLAN.md:3: 'much' is not a budget; write 5 (dollars), 200000tok, 90cpu-s or 30calls"},
    {ITEM WRITES "A remark\n  verify: x\n", "PLAN.md:4: this line belongs to no item (another line at the margin ended it): 'verify: x'"},
    {ITEM WRITES "  needs: b\n- [ ] b: c\n  writes: x\n", "PLAN.md:1: needs an earlier item; there is none with the name 'b'"},
    {ITEM WRITES "  needs: a\n", "PLAN.md:1: needs an earlier item; there is none with the name 'a'"},
    {"- [ ] a: for each `s/* as SRC, x\n" WRITES, "PLAN.md:1: the file pattern has no closing `"},
    {"- [ ] a: for each `/etc/*` as SRC, x\n" WRITES, "PLAN.md:1: a file pattern is relative to the plan's folder, not '/etc/*'"},
    {"- [ ] a: for each `../*` as SRC, x\n" WRITES, "PLAN.md:1: not a file pattern that can be used (no '.', '..' or empty parts): '../*'"},
    {"- [ ] a: for each `` as SRC, x\n" WRITES, "PLAN.md:1: not a file pattern that can be used (no '.', '..' or empty parts):"},
    {"- [ ] a: for each `s/*` as src, x\n" WRITES, "PLAN.md:1: a variable is in capitals, like SRC, not 'src'"},
    {"- [ ] a: For each `s/*` as src, x\n" WRITES, "PLAN.md:1: a variable is in capitals, like SRC, not 'src'"},
    {"- [ ] a: for each `s/*` as SRC x\n" WRITES, "PLAN.md:1: write: for each `pattern` as NAME, what to do; a comma is missing before ' x'"},
    {ITEM "  writes: n/{SRC.stm}.md\n", "PLAN.md:1: unknown variable '{SRC.stm}'"},
    {ITEM "  writes: n/{SCR}.md\n", "PLAN.md:1: unknown variable '{SCR}'"},
    {ITEM "  writes: n/{.md\n", "PLAN.md:1: unknown variable '{.md'"},
    {"- [ ] a: b\n  writes: {SRC}\n", "PLAN.md:1: a variable comes from \"for each `pattern` as NAME,\" at the start of the item's text; none gives '{SRC}'"},
    {ITEM WRITES "  verify: test -s {SRC.stm}\n", "PLAN.md:1: unknown variable '{SRC.stm}'"},
    {ITEM WRITES "  verify: test -s {SCR}\n", "PLAN.md:1: unknown variable '{SCR}'"},
    {"- [ ] a: for each `s/*` as SRC, say what {SRC.stm} is\n" WRITES, "PLAN.md:1: unknown variable '{SRC.stm}'"},
    {ITEM WRITES "  verify: test -s \"n/{SRC.stem}.md\"\n", "PLAN.md:1: a variable quotes itself: write it without $, outside of quotes, "
     "backquotes and comments: '{SRC.stem}'"},
    {ITEM "  writes: ../{SRC.stem}.md\n", "PLAN.md:1: writes: wants a path below the plan's folder, not '../{SRC.stem}.md'"},
    {ITEM "  writes: /etc/{SRC.stem}\n", "PLAN.md:1: writes: wants a path below the plan's folder, not '/etc/{SRC.stem}'"},
    {ITEM "  writes: n//{SRC.stem}\n", "PLAN.md:1: writes: wants a path below the plan's folder, not 'n//{SRC.stem}'"},
    {ITEM "  writes: n/\n", "PLAN.md:1: writes: wants a path below the plan's folder, not 'n/'"},
    {"---\ngoal: x\n", "PLAN.md:1: the front matter has no closing ---"},
    {"---\ngoals: x\n---\n", "PLAN.md:1: unknown key in the front matter (goal, verify, land, budget, services are known): 'goals'"},
    {"---\ngoal: [x]\n---\n", "PLAN.md:1: text is wanted in the front matter for 'goal'"},
    {"---\ngoal:\n---\n", "PLAN.md:1: text is wanted in the front matter for 'goal'"},
    {"---\nonly text\n---\n", "PLAN.md:1: the front matter is not made of lines like \"goal: …\""},
    {"---\n- goal: x\n---\n", "PLAN.md:1: the front matter is not made of lines like \"goal: …\""},
    {"---\nland: never\n---\n", "PLAN.md:1: land is step, end or ask, not 'never'"},
    {"---\nbudget: much\n---\n", "PLAN.md: front matter: 'much' is not a budget; write 5 (dollars), 200000tok, 90cpu-s or 30calls"},
    {"---\nbudget: -5\n---\n", "PLAN.md: front matter: '-5' is not a budget; write 5 (dollars), 200000tok, 90cpu-s or 30calls"},
    {"---\nbudget: 5,50\n---\n", "PLAN.md: front matter: '50' is the second amount of its unit in the budget; a fraction is written 5.50"},
    {"---\nbudget: 5\n\n  or\n---\n", "PLAN.md: front matter: '5 or' is not a budget; write 5 (dollars), 200000tok, 90cpu-s or "
                                        "30calls"},
    {"- [ ] a: \xff\n", "PLAN.md is not UTF-8 text"},
    {"- [ ] a\x1b[31m: x\n", "PLAN.md:1: an item has a short name in small letters and a colon first, like \"note: …\", not 'a [31m: x'"},
};

static void test_what_is_wrong_is_refused_with_its_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct plan p = {.nitems = 77};
        struct error e = {0};
        if (parse(slice_of(wrong[i].text), &p, &e) != ERR_USAGE || strcmp(e.text, wrong[i].error) != 0)
            fail_msg("of:\n%s\nnot: %s\nbut: %s: %s", wrong[i].text, wrong[i].error, err_name(e.code), e.text);
        assert_int_equal(p.nitems, 77);
        assert_int_equal(parse(slice_of(wrong[i].text), &p, NULL), ERR_USAGE);
    }
    struct error e;
    struct plan p;
    assert_int_equal(parse((struct slice){"- [ ] a: \0", 10}, &p, &e), ERR_USAGE);
    assert_int_equal(parse(SLICE("---\ngoal: x\n  bad: [\n---\n"), &p, &e), ERR_USAGE);
    assert_non_null(strstr(e.text, "PLAN.md: front matter (counted from its first line): "));
    assert_non_null(strstr(e.text, "line "));
}

/* What might be taken for a mistake and is none. */
static void test_what_is_right_is_taken(void **state)
{
    (void)state;
    static const char *const texts[] = {
        (ITEM WRITES "  verify: awk '{print $1}' n/{SRC.stem}.md\n"),
        (ITEM WRITES "  verify: test \"${HOME}\" != x && test -s {SRC}\n"),
        (ITEM WRITES "  verify: test $(wc -l < {SRC}) -gt 0\n"), "- [ ] a: say {this}, as JSON {\"X\": 1}\n  writes: x\n",
        (ITEM WRITES "  verify: grep '#' {SRC}\n"), (ITEM WRITES "  verify: test \"a\\\"b\" != {SRC}\n"),
        "- [ ] a: for each chapter, a line\n  writes: x\n", ("- [ ] a: For each  `s/*` as SRC,x\n" WRITES),
        "---\n---\n- [ ] a: b\n  writes: x\n", "---\nbudget: 1.5\n---\n- [ ] a: b\n  writes: x\n",
        "    writes code as an example\n- [ ] a: b\n  writes: x\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct plan p;
        struct error e = {0};
        if (parse(slice_of(texts[i]), &p, &e))
            fail_msg("of:\n%s\n%s", texts[i], e.text);
    }
}

static void test_limits(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    struct plan p;
    struct error e;
    for (int i = 0; i < PLAN_ITEMS_MAX; i++)
        buf_addf(&b, "- [ ] i%d: x\n  writes: x\n", i);
    assert_int_equal(parse(buf_slice(&b), &p, &e), OK);
    buf_add_text(&b, "- [ ] more: x\n  writes: x\n");
    assert_int_equal(parse(buf_slice(&b), &p, &e), ERR_USAGE);
    assert_string_equal(e.text, "PLAN.md:401: more than 200 items");

    buf_reset(&b);
    for (int i = 0; i < 18; i++)
        buf_addf(&b, "- [ ] i%d: x\n  writes: x\n", i);
    buf_add_text(&b, "  needs:");
    for (int i = 0; i < 17; i++)
        buf_addf(&b, " i%d", i);
    assert_int_equal(parse(buf_slice(&b), &p, &e), ERR_USAGE);
    assert_string_equal(e.text, "PLAN.md:35: needs more than 16 items");

    buf_reset(&b);
    buf_add_text(&b, "- [ ] a: x\n  writes: x\n"); /* half of 256 KiB in small lines: no quadratic heap of copies */
    for (int i = 0; i < 60000; i++)
        buf_add_text(&b, " a\n");
    assert_int_equal(parse(buf_slice(&b), &p, &e), ERR_USAGE);
    assert_string_equal(e.text, "PLAN.md:4098: the text is longer than 8,192 bytes in item 'a'");

    buf_reset(&b);
    buf_add_text(&b, ITEM WRITES "  verify: test");
    for (int i = 0; i < 50; i++)
        buf_add_text(&b, " {SRC}");
    assert_int_equal(parse(buf_slice(&b), &p, &e), ERR_USAGE);
    assert_non_null(strstr(e.text, "PLAN.md:1: too long with the names of files put in"));

    buf_reset(&b);
    while (b.n <= PLAN_BYTES_MAX)
        buf_add_text(&b, "# words for people\n");
    assert_int_equal(parse(buf_slice(&b), &p, &e), ERR_LIMIT);

    ARENA_CLEANUP struct arena small = ARENA_INIT(1000);
    assert_int_equal(plan_parse(slice_of(full), "PLAN.md", &small, &p, &e), ERR_MEMORY);
}

static void test_templates(void **state)
{
    (void)state;
    static const struct { const char *template, *path, *want; } table[] = {
        {"{SRC}", "a/b.c.md", "a/b.c.md"}, {"{SRC.name}", "a/b.c.md", "b.c.md"}, {"{SRC.stem}", "a/b.c.md", "b.c"},
        {"{SRC.dir}", "a/b.c.md", "a"}, {"{SRC.dir}", "a/b/c", "a/b"}, {"{SRC.dir}", "c", "."}, {"{SRC.stem}", "c", "c"},
        {"{SRC.stem}", "a.b/c", "c"}, {"{SRC.stem}", ".bashrc", ".bashrc"}, {"{SRC.stem}", "d/.a.b", ".a"},
        {"{SRC.stem}", "x.", "x"}, {"{SRC.stem}", "..md", "..md"}, {"{SRC.stem}", "...", "..."}, {"{SRC.stem}", "..a.md", "..a"},
        {"n/{SRC.stem}-{SRC.stem}.md", "a.x", "n/a-a.md"}, {"{SRC}{SRC}", "a", "aa"}, {"{SRC2}{SR}{src}{SRC", "a", "{SRC2}{SR}{src}{SRC"},
        {"{SRC}", "{SRC}", "{SRC}"}, {"", "a", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        BUF_CLEANUP struct buf b = BUF_INIT(1000);
        plan_expand(slice_of(table[i].template), SLICE("SRC"), slice_of(table[i].path), false, &b);
        if (strcmp(buf_str(&b), table[i].want) != 0)
            fail_msg("'%s' of '%s' gives '%s'", table[i].template, table[i].path, buf_str(&b));
    }
}

static int run_shell(const char *command, char *ret, size_t max)
{
    int ends[2], status = -1;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], 1);
        close(ends[0]);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    size_t n = 0;
    for (ssize_t got; n < max - 1 && (got = read(ends[0], ret + n, max - 1 - n)) > 0;)
        n += (size_t)got;
    ret[n] = '\0';
    close(ends[0]);
    waitpid(pid, &status, 0);
    return status;
}

/* A real sh, in every place of a command where a plan may put a name, gets the name back as one word and does nothing else. */
static void test_a_shell_gets_hostile_names_as_they_are(void **state)
{
    (void)state;
    static const char *const names[] = {
        "a'; rm -rf ~ #", "$(touch hacked)", "`touch hacked`", "a\nb", "a b\tc", "'", "''", "\\", "\\'", "a\\nb", "-n", "*", "~",
        "\"", "$HOME", "a;b|c&d>e<f(g)h", "{SRC}", "#x", "!x", "\n", "'$(touch hacked)'", "\xff\xfe",
    };
    static const char *const commands[] = { /* each prints what it got, behind a mark */
        "printf '=%s' {SRC}", "X={SRC}; printf '=%s' \"$X\"", "X=$(printf '%s.' {SRC}); printf '=%s' \"${X%.}\"",
        "printf '=%s' \"a\\\"b\" >/dev/null; printf '=%s' {SRC}",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t k = 0; k < sizeof commands / sizeof *commands; k++) {
            BUF_CLEANUP struct buf b = BUF_INIT(10000);
            char got[1000] = "", want[1000];
            plan_expand(slice_of(commands[k]), SLICE("SRC"), slice_of(names[i]), true, &b);
            assert_int_equal(run_shell(buf_str(&b), got, sizeof got), 0);
            snprintf(want, sizeof want, "=%s", names[i]);
            assert_string_equal(got, want);
        }
}

static void test_a_variable_within_quotes_is_refused(void **state)
{
    (void)state;
    static const char *const commands[] = {
        "test '{SRC}'", "test \"{SRC}\"", "test \"$(cat {SRC})\"", "test `cat {SRC}`", "test \\{SRC}", "test ${SRC}", "true # {SRC}",
        "test \"`cat \"x\"` {SRC}\"", "test \"$(echo \"a\" {SRC})\"", "test $'a\\'{SRC}'", "test 'a'\"b\"'{SRC}'", "test \"\\\"{SRC}\"",
        "true;#{SRC}", "test $(({SRC})) = 1", "X=1; echo $(( X + {SRC} ))",
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        BUF_CLEANUP struct buf b = BUF_INIT(10000);
        struct plan p;
        struct error e = {0};
        buf_addf(&b, ITEM WRITES "  verify: %s\n", commands[i]);
        if (parse(buf_slice(&b), &p, &e) != ERR_USAGE || !strstr(e.text, "quotes itself"))
            fail_msg("%s: %s", commands[i], e.text);
    }
}

static void test_paths(void **state)
{
    (void)state;
    static const struct { const char *path; bool ok; } table[] = {
        {"a", true}, {"a/b.md", true}, {"...", true}, {".a", true}, {"a b", true}, {"a\nb", true}, {"", false}, {"/", false}, {"/a", false},
        {"a/", false}, {"a//b", false}, {".", false}, {"..", false}, {"a/../b", false}, {"./a", false}, {"a/.", false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (plan_path_ok(slice_of(table[i].path)) != table[i].ok)
            fail_msg("'%s'", table[i].path);
    char longest[1026];
    memset(longest, 'x', sizeof longest);
    assert_true(plan_path_ok((struct slice){longest, 255}));
    assert_false(plan_path_ok((struct slice){longest, 256}));
    for (size_t i = 255; i < sizeof longest; i += 256)
        longest[i] = '/';
    assert_true(plan_path_ok((struct slice){longest, 1023}) && plan_path_ok((struct slice){longest, 1022}));
    assert_false(plan_path_ok((struct slice){longest, 1025}));
    assert_false(plan_path_ok((struct slice){"a\0b", 3}));
}

static enum err targets(const char *writes, const char *const *names, size_t n, struct error *e)
{
    struct slice paths[4];
    struct plan p;
    BUF_CLEANUP struct buf b = BUF_INIT(1000);
    buf_addf(&b, ITEM "  writes: %s\n", writes);
    assert_int_equal(parse(buf_slice(&b), &p, e), OK);
    for (size_t i = 0; i < n; i++)
        paths[i] = slice_of(names[i]);
    return plan_targets_check(&p.items[0], paths, n, e);
}

static void test_two_files_never_share_a_target(void **state)
{
    (void)state;
    struct error e;
    const char *same[] = {"s/b", "s/a.txt", "s/a.md"}, *deep[] = {"x.md"}, *apart[] = {"s/..md", "s/.md", "s/md."};
    assert_int_equal(targets("n/{SRC.stem}.md", same, 3, &e), ERR_CONFLICT);
    assert_string_equal(e.text, "s/a.txt and s/a.md would both be written to n/a.md; use {SRC.name}, or rename one");
    assert_int_equal(targets("n/{SRC.name}.md", same, 3, &e), OK);
    assert_int_equal(targets("all.md", same, 3, &e), OK); /* gathered */
    assert_int_equal(targets("n/{SRC.dir}/{SRC.name}", deep, 1, &e), ERR_USAGE);
    assert_string_equal(e.text, "for x.md the item would write n/./x.md, which is not a path that can be used");
    assert_int_equal(targets("n/{SRC.stem}", apart, 3, &e), OK);
    assert_int_equal(targets("n/{SRC.stem}", NULL, 0, &e), OK);
}

static void test_what_makes_an_item_another(void **state)
{
    (void)state;
    static const char one[] = "- [ ] z: b\n  writes: z\n- [ ] a: for each `s/*` as SRC, t\n  writes: {SRC}\n  verify: v\n  agent: g\n  model: m\n";
    static const struct { const char *from, *to; bool same; } edits[] = {
        {"a: for", "b: for", false}, {", t\n", ", u\n", false}, {"`s/*`", "`r/*`", false}, {"SRC", "CRS", false},
        {"writes: {", "writes: x/{", false}, {"verify: v", "verify: w", false}, {"agent: g", "agent: h", false},
        {"model: m\n", "", false}, {"model: m", "model: m\n  needs: z", false}, {"- [ ] a", "- [x] a", true},
        {"model: m", "model: m\n  retries: 9", true}, {"z: b", "z: c", true},
    };
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
        struct plan p, q;
        BUF_CLEANUP struct buf b = BUF_INIT(1000);
        for (const char *c = one; *c;)
            if (strncmp(c, edits[i].from, strlen(edits[i].from)) == 0) {
                buf_add_text(&b, edits[i].to);
                c += strlen(edits[i].from);
            } else {
                buf_add_char(&b, *c++);
            }
        assert_int_equal(plan_parse(slice_of(one), "x", &a, &p, NULL), OK);
        assert_int_equal(plan_parse(buf_slice(&b), "x", &a, &q, NULL), OK);
        if (plan_item_same(&p.items[1], &q.items[1]) != edits[i].same)
            fail_msg("%s", buf_str(&b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plan_is_read),
        cmocka_unit_test(test_crlf_and_a_byte_order_mark_change_nothing),
        cmocka_unit_test(test_what_is_wrong_is_refused_with_its_line),
        cmocka_unit_test(test_what_is_right_is_taken),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_a_shell_gets_hostile_names_as_they_are),
        cmocka_unit_test(test_a_variable_within_quotes_is_refused),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_two_files_never_share_a_target),
        cmocka_unit_test(test_what_makes_an_item_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
