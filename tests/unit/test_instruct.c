/*
 * What a folder tells an agent, read from real trees by the applet itself: the order, what stands twice, imports with
 * cycles and depths, cuts; nothing from outside whatever links say, nothing that is no plain file; skills as they are
 * found in the wild. Planted and caught: an import in a code block, a link out of the tree, a cycle, a FIFO, a name of
 * a skill twice.
 */
#include "work_rig.h"

#include "tools/imports.h"
#include "wire/message.h"

static struct arena arena = ARENA_INIT(64 << 20);
static struct work_told told;
static struct slice extra[8];
static size_t nextra;

static void tell(const char *cwd, uint64_t limit)
{
    BUF_CLEANUP struct buf args = BUF_INIT(1 << 16);
    arena_release(&arena);
    work_instruct_args(&args, slice_of(rig_root), slice_of(cwd), extra, nextra, limit);
    if (rig_call(inside_instruct, &args) || work_instruct_reply(buf_slice(&rig_reply), &arena, &told, &why))
        fail_msg("%s", why.text);
}

/* The paths that were told, a blank behind each. */
static void paths_are(const char *wanted)
{
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 16);
    for (size_t i = 0; i < told.ntexts; i++) {
        struct slice p = told.texts[i].path;
        bool out = slice_starts(p, slice_of(rig_other));
        buf_addf(&b, "%s%.*s ", out ? "~" : "", SLICE_ARG(out ? slice_sub(p, strlen(rig_other), p.n) : p));
    }
    assert_string_equal(buf_str(&b), wanted);
}

static bool noted(const char *a, const char *b)
{
    for (size_t i = 0; i < told.nnotes; i++)
        if (slice_find(told.notes[i], slice_of(a), 0) < told.notes[i].n && slice_find(told.notes[i], slice_of(b), 0) < told.notes[i].n)
            return true;
    for (size_t i = 0; i < told.nnotes; i++)
        print_message("note: %.*s\n", SLICE_ARG(told.notes[i]));
    return false;
}

static bool text_has(size_t i, const char *words)
{
    return i < told.ntexts && slice_find(told.texts[i].text, slice_of(words), 0) < told.texts[i].text.n;
}

static int clean(void **state)
{
    nextra = 0;
    return rig_clean(state);
}

/* ---- which files, in which order ---- */

static void test_order(void **state)
{
    (void)state;
    tell("", 0);
    assert_true(told.ntexts == 0 && told.nskills == 0 && told.nnotes == 0);
    put("AGENTS.md", "agents\n"), put("CLAUDE.md", "claude\n"), put("CLAUDE.local.md", "local\n");
    put(".claude/rules/b.md", "rule b\n"), put(".claude/rules/a.md", "rule a\n"), put(".claude/rules/c.txt", "no\n");
    put("pkg/AGENTS.md", "pkg\n"), put("pkg/deep/.claude/CLAUDE.md", "deep\n"), put("elsewhere/AGENTS.md", "no\n");
    put("/.claude/CLAUDE.md", "home\n"), put("/.codex/AGENTS.md", "codex\n");
    char a[128], b[128], c[128];
    snprintf(a, sizeof a, "%s", rig_path("/.claude/CLAUDE.md")), snprintf(b, sizeof b, "%s", rig_path("/.codex/AGENTS.md"));
    snprintf(c, sizeof c, "%s", rig_path("/.pi/none.md"));
    extra[0] = slice_of(a), extra[1] = slice_of(b), extra[2] = slice_of(c);
    nextra = 3;
    tell(rig_path("pkg/deep"), 0);
    paths_are("~/.claude/CLAUDE.md ~/.codex/AGENTS.md AGENTS.md CLAUDE.md .claude/rules/a.md .claude/rules/b.md CLAUDE.local.md "
              "pkg/AGENTS.md pkg/deep/.claude/CLAUDE.md ");
    put("AGENTS.override.md", "over\n");
    tell("", 0);
    paths_are("~/.claude/CLAUDE.md ~/.codex/AGENTS.md AGENTS.override.md CLAUDE.md .claude/rules/a.md .claude/rules/b.md CLAUDE.local.md ");
    assert_true(slice_is(told.texts[2].text, "over\n"));
}

static void test_once(void **state)
{
    (void)state;
    put("AGENTS.md", "the same\n"), put("CLAUDE.md", "the same\n");
    tell("", 0);
    paths_are("AGENTS.md ");
    unlink(rig_path("CLAUDE.md"));
    put_link("AGENTS.md", "CLAUDE.md");
    tell("", 0);
    paths_are("AGENTS.md ");
    unlink(rig_path("CLAUDE.md"));
    put("CLAUDE.md", "@AGENTS.md\nmore\n");
    tell("", 0);
    paths_are("AGENTS.md CLAUDE.md ");
    put_link(rig_path("AGENTS.md"), "CLAUDE.local.md"); /* absolute, and inside */
    tell("", 0);
    paths_are("AGENTS.md CLAUDE.md ");
    assert_int_equal(told.nnotes, 0);
}

static void test_openclaw(void **state)
{
    (void)state;
    put("SOUL.md", "soul\n"), put("USER.md", "user\n"), put("TOOLS.md", "tools\n"), put("MEMORY.md", "memory\n"), put("IDENTITY.md", "id\n");
    tell("", 0);
    paths_are("");
    put("AGENTS.md", "agents\n");
    BUF_CLEANUP struct buf b = BUF_INIT(100000);
    for (int i = 0; i < 5000; i++)
        buf_add_text(&b, "\xc3\xa9");
    put_bytes("USER.md", buf_slice(&b));
    tell("", 0);
    paths_are("AGENTS.md SOUL.md IDENTITY.md USER.md TOOLS.md MEMORY.md ");
    assert_true(text_has(3, "left out") && told.texts[3].text.n < 8100 && told.texts[3].text.n > 8000);
}

static void test_cuts(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(11 << 20);
    while (b.n < 10 << 20)
        buf_addf(&b, "line %zu\n", b.n);
    put_bytes("AGENTS.md", buf_slice(&b));
    put("CLAUDE.md", "short\n");
    tell("", 0);
    paths_are("AGENTS.md CLAUDE.md ");
    assert_true(told.texts[0].text.n <= 32 * 1024 + 100 && told.texts[0].text.n > 32000 && text_has(0, "\n[… the rest is left out"));
    put_bytes("CLAUDE.md", slice_sub(buf_slice(&b), 100, b.n)), put_bytes("CLAUDE.local.md", slice_sub(buf_slice(&b), 200, b.n));
    tell("", 0);
    size_t all = 0;
    for (size_t i = 0; i < told.ntexts; i++)
        all += told.texts[i].text.n;
    assert_true(all < WORK_INSTRUCTIONS + 300 && all > 60000);
    tell("", 1000);
    assert_true(told.texts[0].text.n < 1100);
    assert_true(noted("CLAUDE.md", "more instructions than fit"));
}

/* ---- imports ---- */

static void imports_are(const char *text, const char *wanted)
{
    struct imports w = {.text = slice_of(text)};
    struct slice path;
    size_t end;
    BUF_CLEANUP struct buf b = BUF_INIT(1000);
    while (imports_next(&w, &path, &end)) {
        buf_addf(&b, "%.*s|", SLICE_ARG(path));
        assert_true(end <= w.text.n && path.p + path.n == w.text.p + end);
    }
    assert_string_equal(buf_str(&b), wanted);
}

static void test_imports_are_found(void **state)
{
    (void)state;
    imports_are("see @a.md and @docs/b.md.\n@./c.md, (@no) mail a@b.c @ x\n", "a.md|docs/b.md|./c.md|");
    imports_are("`@a.md` ``x ` @b.md`` @c.md `open @d.md", "c.md|d.md|");
    imports_are("```\n@a.md\n```\n@b.md\n~~~md\n@c.md\n```\n~~~\n@d.md\n", "b.md|d.md|");
    imports_are("````\n```\n@a.md\n````\n  ```\n@x\n  ```\n@b.md\n```\n@c.md", "b.md|");
    imports_are("a `span\nover @lines.md` @e.md\n\n`ends\n\n@f.md`", "e.md|f.md|");
    imports_are("```one line``` @a.md\n@", "a.md|");
    assert_true(imports_surely(SLICE("docs/a.md")) && imports_surely(SLICE("~/a")) && imports_surely(SLICE("/a")));
    assert_false(imports_surely(SLICE("types/node")) || imports_surely(SLICE("ann")) || imports_surely(SLICE_NONE));
}

static void test_imports(void **state)
{
    (void)state;
    put("CLAUDE.md", "first @docs/a.md then @docs/none.md by @ann with @types/node `@docs/b.md`\n@/etc/passwd\n@../other/secret.md\n@docs\n");
    put("docs/a.md", "a, which wants @b.md\n"), put("docs/b.md", "b\n"), put("/secret.md", "secret\n");
    tell("", 0);
    paths_are("CLAUDE.md docs/a.md docs/b.md ");
    assert_true(text_has(0, "@docs/a.md then @docs/none.md [not read: it is not there] by @ann with @types/node `@docs/b.md`\n"));
    assert_true(text_has(0, "@/etc/passwd [not read: it lies outside of the folder]\n"));
    assert_true(text_has(0, "@../other/secret.md [not read: it lies outside of the folder]\n@docs\n"));
}

static void test_import_cycles_and_depth(void **state)
{
    (void)state;
    put("CLAUDE.md", "@a.md @CLAUDE.md\n"), put("a.md", "a @b.md @a.md\n"), put("b.md", "b @a.md @CLAUDE.md\n");
    tell("", 0);
    paths_are("CLAUDE.md a.md b.md ");
    assert_int_equal(told.nnotes, 0);
    put("CLAUDE.md", "@1.md\n");
    for (int i = 1; i < 9; i++) {
        char name[16], text[32];
        snprintf(name, sizeof name, "%d.md", i), snprintf(text, sizeof text, "%d @%d.md\n", i, i + 1);
        put(name, text);
    }
    tell("", 0);
    paths_are("CLAUDE.md 1.md 2.md 3.md 4.md 5.md ");
    assert_true(text_has(5, "@6.md [not read: imports are followed 5 deep]"));
}

static void test_imports_at_home(void **state)
{
    (void)state;
    put("/.claude/CLAUDE.md", "@~/.claude/mine.md @skills/x.md @~/.ssh/id_rsa @other.md\n");
    put("/.claude/mine.md", "mine\n"), put("/.claude/skills/x.md", "x\n"), put("/.claude/other.md", "other\n"), put("/.ssh/id_rsa", "key\n");
    char a[128], b[128], c[128];
    snprintf(a, sizeof a, "%s", rig_path("/.claude/CLAUDE.md")), snprintf(b, sizeof b, "%s", rig_path("/.claude/mine.md"));
    snprintf(c, sizeof c, "%s", rig_path("/.claude/skills"));
    extra[0] = slice_of(a), extra[1] = slice_of(b), extra[2] = slice_of(c);
    nextra = 3;
    tell("", 0);
    paths_are("~/.claude/CLAUDE.md ~/.claude/mine.md ~/.claude/skills/x.md ");
    assert_true(text_has(0, "@~/.ssh/id_rsa [not read: its home is not shown here] @other.md [not read: it lies outside of the folder]"));
}

/* ---- hostile folders ---- */

static void test_hostile(void **state)
{
    (void)state;
    put("/secret.md", "secret\n"), put("/skills/evil/SKILL.md", "---\nname: evil\ndescription: d\n---\n");
    put_link("../other/secret.md", "AGENTS.md");
    put_link("/etc/passwd", "CLAUDE.local.md");
    assert_int_equal(mkfifo(rig_path("CLAUDE.md"), 0644), 0);
    put_link(rig_other, ".claude");
    put_link("../other/skills", "skills");
    tell("", 0);
    paths_are("");
    assert_int_equal(told.nskills, 0);
    assert_true(noted("AGENTS.md", "outside") && noted("CLAUDE.local.md", "outside") && noted("CLAUDE.md", "no plain file") && noted("skills", "outside"));
    rig_clean(NULL);
    put_bytes("AGENTS.md", SLICE("a\0b"));
    put("CLAUDE.md", "@loop @dev.md @fifo.md\n");
    put_link("loop", "loop");
    put_link("/dev/zero", "dev.md");
    assert_int_equal(mkfifo(rig_path("fifo.md"), 0644), 0);
    tell("", 0);
    paths_are("CLAUDE.md ");
    assert_true(noted("AGENTS.md", "no text") && text_has(0, "@dev.md [not read: it lies outside") && text_has(0, "@fifo.md [not read: it is no plain file]"));
    put("CLAUDE.md", "x\n");
    assert_int_equal(chmod(rig_path("CLAUDE.md"), 0), 0);
    tell("", 0);
    if (geteuid() != 0)
        assert_true(told.ntexts == 0 && noted("CLAUDE.md", "cannot be read"));
}

static void test_many_imports(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(100000);
    for (int i = 0; i < 3000; i++)
        buf_addf(&b, "@f%d.md ", i);
    put_bytes("CLAUDE.md", buf_slice(&b));
    for (int i = 0; i < 300; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d.md", i);
        put_bytes(name, slice_sub(buf_slice(&b), (size_t)i * 8, 8000));
    }
    tell("", 0);
    assert_true(told.ntexts < 250);
}

/* ---- skills ---- */

static void test_skills(void **state)
{
    (void)state;
    put(".claude/skills/pdf/SKILL.md", "---\nname: pdf\ndescription: >-\n  Fill in\n  forms.\nlicense: MIT\nmetadata: {\"openclaw\": {\"emoji\": \"x\"}}\n---\n# Body\n");
    put(".claude/skills/README.md", "no skill\n"), put(".claude/skills/empty/x", "");
    put(".agents/skills/a/SKILL.md", "---\nname: other-name\ndescription: Use when: there is a colon\n---\n");
    put("skills/pdf/SKILL.md", "---\nname: pdf\ndescription: hidden by the nearer one\n---\n");
    put("skills/plain/SKILL.md", "# Plain\n\nDoes this\nand that.\n\nMore.\n");
    put("skills/void/SKILL.md", "---\nname: void\n---\n");
    put("/mine/z/SKILL.md", "---\r\nname: z\r\ndescription: \"at home\"\r\n---\r\n");
    char c[128];
    snprintf(c, sizeof c, "%s", rig_path("/mine"));
    extra[0] = slice_of(c);
    nextra = 1;
    tell("", 0);
    static const char *const wanted[][2] = {{"pdf", "Fill in forms."}, {"other-name", "Use when: there is a colon"}, {"plain", "Does this and that."},
                                            {"z", "at home"}};
    assert_int_equal(told.nskills, 4);
    for (size_t i = 0; i < 4; i++)
        assert_true(slice_is(told.skills[i].name, wanted[i][0]) && slice_is(told.skills[i].description, wanted[i][1]));
    assert_true(slice_is(told.skills[0].path, ".claude/skills/pdf/SKILL.md") && slice_is(told.skills[3].path, rig_path("/mine/z/SKILL.md")));
    assert_true(noted(".agents/skills/a", "not quite YAML") && noted("skills/pdf", "another skill") && noted("skills/plain", "no front matter") &&
                noted("skills/void", "no description"));
}

static struct skill skill;
static struct slice note;

static enum err read_skill(struct slice head)
{
    arena_release(&arena);
    return skill_read(head, SLICE("skills/s/SKILL.md"), &arena, &skill, &note, &why);
}

static void test_front_matter(void **state)
{
    (void)state;
    assert_int_equal(read_skill(SLICE("\xef\xbb\xbf---\nname: s\ndescription: d\n...\n")), OK);
    assert_true(slice_is(skill.description, "d") && note.n == 0);
    assert_int_equal(read_skill(SLICE("---\ndescription: d\n---\n")), OK);
    assert_true(slice_is(skill.name, "s") && note.n);
    assert_int_equal(read_skill(SLICE("---\nname: s\ndescription: d\n")), OK);
    assert_true(slice_is(note, "its front matter has no end"));
    assert_int_equal(read_skill(SLICE("---\nname: 's'\ndescription: |\n  a: b\n  c: [\n bad: : x\nx: {\n---\n")), OK);
    assert_true(slice_is(skill.name, "s") && slice_starts(skill.description, SLICE("a: b c: [")));
    assert_int_equal(read_skill(SLICE("---\nname: s\ndescription: [a]\n---\nbody\n")), OK);
    assert_true(slice_is(skill.description, "body"));
    assert_int_equal(read_skill(SLICE("")), ERR_CORRUPT);
    assert_int_equal(read_skill(SLICE("---\n---\n")), ERR_CORRUPT);
    assert_int_equal(read_skill(SLICE("---\nname: \"\\x01\"\ndescription: \"\\x02\"\n---\n\x01\n")), ERR_CORRUPT); /* nothing that is seen */
    BUF_CLEANUP struct buf b = BUF_INIT(100000);
    buf_add_text(&b, "---\nname: s\ndescription: ");
    for (int i = 0; i < 2000; i++)
        buf_add_text(&b, "\xc3\xa9");
    buf_add_text(&b, "\n---\n");
    assert_int_equal(read_skill(buf_slice(&b)), OK);
    assert_true(skill.description.n <= SKILL_DESCRIPTION_MAX && slice_is_utf8(skill.description) && slice_ends(skill.description, SLICE("…")));
}

static void test_many_skills(void **state)
{
    (void)state;
    for (int i = 0; i < 210; i++) {
        char name[64], text[64];
        snprintf(name, sizeof name, "skills/s%03d/SKILL.md", i), snprintf(text, sizeof text, "---\nname: s%03d\ndescription: d\n---\n", i);
        put(name, text);
    }
    tell("", 0);
    assert_true(told.nskills == SKILLS_MAX && noted("skills/s200", "more than 200"));
}

static void test_replies_that_are_none(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf m = BUF_INIT(1000);
    assert_int_equal(work_instruct_reply(SLICE(""), &arena, &told, &why), OK);
    message_put(&m, WORK_PATH, SLICE("a"));
    assert_int_equal(work_instruct_reply(buf_slice(&m), &arena, &told, &why), ERR_CORRUPT);
    message_put(&m, WORK_HEAD, SLICE("a"));
    assert_int_equal(work_instruct_reply(buf_slice(&m), &arena, &told, &why), ERR_CORRUPT);
    buf_reset(&m);
    message_put(&m, WORK_PATH, SLICE("a")), message_put(&m, WORK_TEXT, SLICE("\xff"));
    assert_int_equal(work_instruct_reply(buf_slice(&m), &arena, &told, &why), ERR_CORRUPT);
}

static int end(void **state)
{
    arena_release(&arena);
    return rig_end(state);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, clean)
    const struct CMUnitTest tests[] = {
        TEST(test_order), TEST(test_once), TEST(test_openclaw), TEST(test_cuts), TEST(test_imports_are_found), TEST(test_imports),
        TEST(test_import_cycles_and_depth), TEST(test_imports_at_home), TEST(test_hostile), TEST(test_many_imports), TEST(test_skills),
        TEST(test_front_matter), TEST(test_many_skills), TEST(test_replies_that_are_none),
    };
    return cmocka_run_group_tests(tests, rig_start, end);
}
