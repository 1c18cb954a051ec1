/*
 * What a model is shown, frozen per version; and the documents made of its answers, whose references only the runtime
 * writes: the examples' own check.sh reads them.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "context/document.h"
#include "context/prompt.h"
#include "unit/fold_rig.h"

static struct rig world;

static const char plan[] = "---\ngoal: how processes\n---\n"
                           "- [ ] note: for each `sources/*` as SRC, say what {SRC.name} is about\n  writes: notes/{SRC.stem}.md\n"
                           "- [ ] briefing: for each `notes/*.md` as NOTE, its main point?\n  needs: note\n  writes: briefing.md\n"
                           "- [x] gone: x\n  writes: y\n";

static int teardown(void **state)
{
    (void)state;
    rig_end(&world);
    return 0;
}

static const struct line *line(uint32_t item, int32_t piece)
{
    return run_line_const(&world.r, item, piece);
}

/* The prompt of the first want, each part in a line "role text" or "role <blob from to>". */
static enum err show(struct buf *out, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    struct decision d;
    struct prompt p;
    run_decide(&world.r, world.now_ms, &d);
    assert_int_equal(d.what, DECIDE_INTEND);
    enum err err = prompt_make(&world.r, &d.wants[0], &a, &p, e);
    for (size_t i = 0; !err && i < p.n; i++) {
        if (p.parts[i].stored)
            buf_addf(out, "%s <%02x %llu %llu>\n", role_name(p.parts[i].role), p.parts[i].blob.b[31], (unsigned long long)p.parts[i].from,
                     (unsigned long long)p.parts[i].to);
        else
            buf_addf(out, "%s %.*s\n", role_name(p.parts[i].role), SLICE_ARG(p.parts[i].text));
    }
    return err;
}

#define RULES "system You are a helpful assistant who gives short, faithful answers from the text at hand.\n"

static void test_a_prompt_goes_from_stable_to_fast(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(100000);
    rig_start(&world, plan, "");
    rig_step(&world, 0, HEAD, STAGE_LIST, OUTCOME_OK, "{\"paths\":[\"sources/a.txt\"]}");
    rig_step(&world, 0, 0, STAGE_READ, OUTCOME_OK, NULL);
    rig_step(&world, 0, 0, STAGE_MEASURE, OUTCOME_OK, NULL);
    assert_int_equal(show(&b, NULL), OK);
    assert_string_equal(buf_str(&b), RULES "system The goal of the whole work: how processes\nSteps that are still open: note (this one); "
                                           "briefing\nuser The text:\nuser <ab 0 0>\nuser Say what a.txt is about.\n");
    rig_step(&world, 0, 0, STAGE_ASK, OUTCOME_OK, NULL);
    rig_step(&world, 0, 0, STAGE_LOOK, OUTCOME_OK, NULL);
    rig_step(&world, 0, 0, STAGE_LAND, OUTCOME_OK, NULL);
    rig_step(&world, 1, HEAD, STAGE_LIST, OUTCOME_OK, "{\"paths\":[\"notes/a.md\"]}");
    rig_step(&world, 1, 0, STAGE_READ, OUTCOME_OK, NULL);
    rig_step(&world, 1, 0, STAGE_MEASURE, OUTCOME_OK, NULL);
    buf_reset(&b);
    assert_int_equal(show(&b, NULL), OK);
    assert_string_equal(buf_str(&b), RULES "system The goal of the whole work: how processes\nSteps that are still open: briefing (this one)\n"
                                           "user The text:\nuser <ab 0 0>\nuser Its main point?\n");
}

static void test_parts_and_their_join(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(100000), result = BUF_INIT(1000);
    rig_start(&world, plan, "");
    rig_step(&world, 0, HEAD, STAGE_LIST, OUTCOME_OK, "{\"paths\":[\"sources/a.txt\"]}");
    rig_step(&world, 0, 0, STAGE_READ, OUTCOME_OK, NULL);
    buf_add_text(&result, "{\"tokens\":9,\"cuts\":[1");
    for (int i = 1; i < 20; i++)
        buf_addf(&result, ",%d", i < 19 ? i * 4 : 90);
    buf_add_text(&result, "]}");
    rig_step(&world, 0, 0, STAGE_MEASURE, OUTCOME_OK, buf_str(&result));
    for (int i = 0; i < 20; i++) {
        static const char *const ranges[] = {"<ab 0 1>", "<ab 1 4>", "<ab 4 8>"};
        buf_reset(&b);
        assert_int_equal(show(&b, NULL), OK);
        if (!strstr(buf_str(&b), i < 3 ? ranges[i] : i == 19 ? "<ab 72 90>" : "<ab "))
            fail_msg("part %d: %s", i, buf_str(&b));
        buf_reset(&result);
        buf_addf(&result, "{\"text\":\"%064x\",\"bytes\":5}", i);
        rig_step(&world, 0, 0, STAGE_ASK, OUTCOME_OK, buf_str(&result));
    }
    buf_reset(&b); /* twelve of the twenty answers fit: the first six and the last six */
    assert_int_equal(show(&b, NULL), OK);
    const char *notes = strstr(buf_str(&b), "user What the parts");
    assert_non_null(notes);
    assert_string_equal(notes, "user What the parts of a document say, in order:\nuser <00 0 0>\nuser <01 0 0>\nuser <02 0 0>\n"
                               "user <03 0 0>\nuser <04 0 0>\nuser <05 0 0>\nuser <0e 0 0>\nuser <0f 0 0>\nuser <10 0 0>\nuser <11 0 0>\n"
                               "user <12 0 0>\nuser <13 0 0>\nuser Say what a.txt is about.\n");
}

/* The largest plan that is taken gives a prompt that is made: else its run would break in the middle. */
static void test_the_largest_plan_fits(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf text = BUF_INIT(1 << 20), b = BUF_INIT(1 << 20), name = BUF_INIT(2000), list = BUF_INIT(4000);
    buf_add_text(&text, "---\ngoal: ");
    for (int i = 0; i < PLAN_TEXT_MAX; i++)
        buf_add_char(&text, 'g');
    buf_add_text(&text, "\n---\n- [ ] first: for each `*` as F, ");
    for (int i = 0; i < 60; i++)
        buf_add_text(&text, "{F} ");
    buf_add_text(&text, "\n  writes: {F}\n");
    for (int i = 1; i < PLAN_ITEMS_MAX; i++)
        buf_addf(&text, "- [ ] a%063d: x\n  writes: x\n", i);
    for (int i = 0; i < 1024; i++)
        buf_add_char(&name, i % 200 == 199 ? '/' : 'n');
    rig_start(&world, buf_str(&text), "");
    buf_addf(&list, "{\"paths\":[\"%s\"]}", buf_str(&name));
    rig_step(&world, 0, HEAD, STAGE_LIST, OUTCOME_OK, buf_str(&list));
    rig_step(&world, 0, 0, STAGE_READ, OUTCOME_OK, NULL);
    rig_step(&world, 0, 0, STAGE_MEASURE, OUTCOME_OK, NULL);
    struct error e = {0};
    if (show(&b, &e))
        fail_msg("%s", e.text);
    assert_true(b.n > 60 * 1024 + PLAN_TEXT_MAX + 64 * (PLAN_ITEMS_MAX - 1));
}

static void test_no_memory_is_said(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(100);
    struct decision d;
    struct prompt p;
    struct error e;
    rig_start(&world, "- [ ] a: b\n  writes: x\n", "");
    run_decide(&world.r, 0, &d);
    assert_int_equal(prompt_make(&world.r, &d.wants[0], &a, &p, &e), ERR_LIMIT);
    assert_string_equal(e.text, "the question of item 'a' does not fit in a prompt");
}

/* ---- rendering ---- */

static void test_rendering_is_frozen(void **state)
{
    (void)state;
    static const enum prompt_role roles[] = {ROLE_SYSTEM, ROLE_SYSTEM, ROLE_USER, ROLE_USER, ROLE_USER, ROLE_ASSISTANT, ROLE_USER};
    const struct slice texts[] = {SLICE("Rules."), SLICE(" goal\nopen: a \n"), SLICE("The text:"), SLICE("\n\nbody\r\n"), SLICE_NONE,
                                  SLICE("yes"), SLICE("Why?")};
    struct prompt_message m[7];
    BUF_CLEANUP struct buf all = BUF_INIT(1000);
    assert_int_equal(prompt_render(1, roles, texts, 7, m, 7), 4);
    for (size_t i = 0; i < 4; i++) {
        buf_addf(&all, "<%s>%s", role_name(m[i].role), buf_str(&m[i].text));
        buf_release(&m[i].text);
    }
    assert_string_equal(buf_str(&all), "<system>Rules.\n\ngoal\nopen: a<user>The text:\n\nbody\n\n<assistant>yes<user>Why?");
    char hex[HASH_HEX + 1];
    struct hash h = hash_of(buf_slice(&all));
    hash_hex(&h, hex); /* an old intent renders to these bytes for ever: not to be changed, give it a new number */
    assert_string_equal(hex, "f7fc4ebdca7a7a8f9d5eb380a294787e4525adff43401c9e260bcc1b7127aef1");
}

static void test_what_does_not_fit_is_not_rendered(void **state)
{
    (void)state;
    static const enum prompt_role roles[] = {ROLE_SYSTEM, ROLE_USER, ROLE_USER};
    struct prompt_message m[3];
    struct slice texts[] = {SLICE("a"), SLICE("b"), SLICE("c")};
    assert_int_equal(prompt_render(2, roles, texts, 3, m, 3), 0);
    assert_int_equal(prompt_render(0, roles, texts, 3, m, 3), 0);
    assert_int_equal(prompt_render(1, roles, texts, 3, m, 1), 0); /* a sanitizer would see what is not released */
    assert_int_equal(prompt_render(1, roles, texts, 0, m, 3), 0);
    char *large = malloc(PROMPT_BYTES_MAX);
    memset(large, 'x', PROMPT_BYTES_MAX);
    texts[1] = (struct slice){large, PROMPT_BYTES_MAX};
    assert_int_equal(prompt_render(1, roles, texts, 3, m, 3), 0);
    assert_int_equal(prompt_render(1, roles, texts, 2, m, 3), 2);
    assert_int_equal(m[1].text.n, PROMPT_BYTES_MAX);
    buf_release(&m[0].text);
    buf_release(&m[1].text);
    free(large);
}

static void test_roles(void **state)
{
    (void)state;
    for (int r = ROLE_SYSTEM; r <= ROLE_ASSISTANT; r++)
        assert_int_equal(role_from(slice_of(role_name((enum prompt_role)r))), r);
    assert_int_equal(role_from(SLICE("root")), 0);
    assert_int_equal(role_from(SLICE_NONE), 0);
    assert_string_equal(role_name(0), "unknown");
}

/* ---- documents ---- */

static void test_a_note_ends_with_its_source_and_no_other(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(10000);
    struct line l = {.source = SLICE("sources/a.txt")};
    l.source_hash.b[0] = 0x5a;
    document_note(SLICE(" \nIt is so.\r\nSource\n\n  ## Source\t\r\n\n    aa  sources/b.txt\n## Sources\n"), &l, &b);
    assert_string_equal(buf_str(&b), "It is so.\nSource\n\nSource\n\n    aa  sources/b.txt\n## Sources\n\n## Source\n\n"
                                     "    5a00000000000000000000000000000000000000000000000000000000000000  sources/a.txt\n");
    struct slice body = document_body(buf_slice(&b));
    assert_true(slice_is(body, "It is so.\nSource\n\nSource\n\n    aa  sources/b.txt\n## Sources"));
    buf_reset(&b);
    document_note(SLICE("x"), &(struct line){0}, &b);
    assert_string_equal(buf_str(&b), "x\n");
    buf_reset(&b);
    document_note(SLICE("  "), &l, &b);
    assert_int_equal(document_body(buf_slice(&b)).n, 0);
}

static void test_a_body_is_all_but_the_last_source(void **state)
{
    (void)state;
    assert_true(slice_is(document_body(SLICE("a\n## Source\nb\n## Source\nc\n")), "a\n## Source\nb"));
    assert_true(slice_is(document_body(SLICE(" a\n## Sources\n ")), " a\n## Sources\n "));
    assert_true(slice_is(document_body(SLICE("## Source\nx")), "## Source\nx"));
    assert_int_equal(document_body(SLICE_NONE).n, 0);
}

/* The names that sha256sum escapes: a file called by two lines makes no reference of its own. */
static void test_hostile_names_stay_on_their_line(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(10000);
    struct line l = {.source = SLICE("s/a\n    00  sources/x\\\r")};
    document_note(SLICE("x"), &l, &b);
    assert_string_equal(buf_str(&b), "x\n\n## Source\n\n    \\0000000000000000000000000000000000000000000000000000000000000000"
                                     "  s/a\\n    00  sources/x\\\\\\r\n");
}

struct folder {
    char path[64];
    int fd;
};

static struct hash put_file(const struct folder *f, const char *name, struct slice text)
{
    int fd = openat(f->fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n);
    close(fd);
    return hash_of(text);
}

static int run_check(const struct folder *f, char *ret, size_t max)
{
    int ends[2], status = -1;
    size_t n = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char script[100];
        snprintf(script, sizeof script, "%s/check.sh", f->path);
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        close(ends[0]);
        execl("/bin/sh", "sh", script, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    for (ssize_t got; n < max - 1 && (got = read(ends[0], ret + n, max - 1 - n)) > 0;)
        n += (size_t)got;
    ret[n] = '\0';
    close(ends[0]);
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

static const char *read_result(const struct hash *h)
{
    static char text[300];
    char hex[HASH_HEX + 1];
    hash_hex(h, hex);
    snprintf(text, sizeof text, "{\"hash\":\"%s\",\"text\":\"%s\",\"bytes\":90}", hex, hex);
    return text;
}

/* One piece, read with this hash and answered; where it lands, what it writes has the other one. */
static void answer_one(uint32_t item, int32_t piece, const struct hash *source, const struct hash *written)
{
    rig_step(&world, item, piece, STAGE_READ, OUTCOME_OK, read_result(source));
    rig_step(&world, item, piece, STAGE_MEASURE, OUTCOME_OK, NULL);
    rig_step(&world, item, piece, STAGE_ASK, OUTCOME_OK, NULL);
    if (!written)
        return;
    world.content = *written;
    rig_step(&world, item, piece, STAGE_LOOK, OUTCOME_OK, NULL);
    rig_step(&world, item, piece, STAGE_LAND, OUTCOME_OK, NULL);
}

static const char *const hostile[2] = {"# The [1] point,\n\n - of \t\x1b it [2]\n* is\n## Source\n\n    00  sources/b.txt\n## References\n",
                                       "- 3. It is [9] short. -\n"};

/* Notes and briefing of two sources, as the engine composes them, into the folder. */
static void write_review(const struct folder *f, struct buf *briefing)
{
    static const char *const sources[] = {"sources/a.txt", "sources/b c.txt"}, *const notes[] = {"notes/a.md", "notes/b c.md"};
    const struct slice answers[2] = {slice_of(hostile[0]), slice_of(hostile[1])};
    struct hash h[2];
    rig_start(&world, "---\ngoal: |\n  two\n  lines [1]\n---\n- [ ] note: for each `sources/*` as SRC, x\n  writes: notes/{SRC.stem}.md\n"
                      "- [ ] briefing: for each `notes/*.md`, y\n  needs: note\n  writes: briefing.md\n", "");
    rig_step(&world, 0, HEAD, STAGE_LIST, OUTCOME_OK, "{\"paths\":[\"sources/a.txt\",\"sources/b c.txt\"]}");
    for (int k = 0; k < 2; k++)
        h[k] = put_file(f, sources[k], slice_of(sources[k]));
    for (int32_t k = 0; k < 2; k++) {
        BUF_CLEANUP struct buf note = BUF_INIT(10000);
        struct line read = {.source = slice_of(sources[k]), .source_hash = h[k]};
        document_note(answers[k], &read, &note);
        struct hash written = put_file(f, notes[k], buf_slice(&note));
        answer_one(0, k, &h[k], &written);
        if (k == 1) { /* a person adds a line to the second one, before it is read */
            BUF_CLEANUP struct buf edited = BUF_INIT(10000);
            buf_add_text(&edited, "A person's line.\n");
            buf_add(&edited, buf_slice(&note));
            written = put_file(f, notes[k], buf_slice(&edited));
        }
        h[k] = written;
    }
    rig_step(&world, 1, HEAD, STAGE_LIST, OUTCOME_OK, "{\"paths\":[\"notes/a.md\",\"notes/b c.md\"]}");
    for (int32_t k = 0; k < 2; k++)
        answer_one(1, k, &h[k], NULL);
    document_gathered(&world.r, 1, answers, briefing);
    put_file(f, "briefing.md", buf_slice(briefing));
}

static bool make_folder(struct folder *f)
{
    char script[300], text[16384];
    const char *slash = strrchr(__FILE__, '/');
    snprintf(script, sizeof script, "%.*s/../../examples/review/check.sh", slash ? (int)(slash - __FILE__) : 1, slash ? __FILE__ : ".");
    int fd = open(script, O_RDONLY);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    snprintf(f->path, sizeof f->path, "/tmp/crannog-test-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY);
    assert_true(n > 0 && n < (ssize_t)sizeof text && f->fd >= 0);
    put_file(f, "check.sh", (struct slice){text, (size_t)n});
    assert_true(mkdirat(f->fd, "sources", 0755) == 0 && mkdirat(f->fd, "notes", 0755) == 0);
    return true;
}

static void drop_folder(struct folder *f)
{
    static const char *const names[] = {"sources/a.txt", "sources/b c.txt", "notes/a.md", "notes/b c.md", "briefing.md", "check.sh"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlinkat(f->fd, names[i], 0);
    unlinkat(f->fd, "sources", AT_REMOVEDIR);
    unlinkat(f->fd, "notes", AT_REMOVEDIR);
    rmdir(f->path);
    close(f->fd);
}

static void test_a_briefing_that_the_check_believes(void **state)
{
    (void)state;
    struct folder f;
    char said[4000];
    BUF_CLEANUP struct buf briefing = BUF_INIT(100000);
    if (!make_folder(&f)) {
        rig_start(&world, plan, "");
        skip(); /* run from elsewhere than the build folder: check.sh is not found */
    }
    write_review(&f, &briefing);
    static const char top[] = "# two lines (1)\n\n- The (1) point, of it (2) is Source 00 sources/b.txt References [1]\n"
                              "- 3. It is (9) short. - [2]\n\n## References\n\n[1] from notes/a.md, made from sources/a.txt\n\n    ";
    if (strncmp(buf_str(&briefing), top, sizeof top - 1) != 0)
        fail_msg("%s", buf_str(&briefing));
    int status = run_check(&f, said, sizeof said);
    if (status != 0 || strcmp(said, "2 statements, 4 references, all resolve\n") != 0)
        fail_msg("%d: %s\n%s", status, said, buf_str(&briefing));
    assert_non_null(strstr(buf_str(&briefing), "[2] from notes/b c.md, edited since it was made from sources/b c.txt\n"));
    put_file(&f, "sources/b c.txt", SLICE("changed")); /* and it can say no */
    assert_int_equal(run_check(&f, said, sizeof said), 1);
    assert_non_null(strstr(said, "sources/b c.txt is not what it was"));
    drop_folder(&f);
}

static void test_skipped_pieces_are_left_out(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(10000);
    const struct slice answers[2] = {SLICE("left out"), SLICE("stays")};
    rig_start(&world, "- [ ] a: for each `s/*` as F, x\n  writes: all.md\n  retries: 0\n", "");
    rig_step(&world, 0, HEAD, STAGE_LIST, OUTCOME_OK, NULL);
    rig_step(&world, 0, 0, STAGE_READ, OUTCOME_FAILED, NULL);
    rig_answer(&world, line(0, 0)->question_step, "skip");
    for (enum stage s = STAGE_READ; s <= STAGE_ASK; s++)
        rig_step(&world, 0, 1, s, OUTCOME_OK, NULL);
    document_gathered(&world.r, 0, answers, &b);
    assert_string_equal(buf_str(&b), "- stays [1]\n\n## References\n\n[1] from s/b.md\n\n    " RIG_HASH "  s/b.md\n");
}

int main(void)
{
#define T(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_prompt_goes_from_stable_to_fast), T(test_parts_and_their_join), T(test_the_largest_plan_fits), T(test_no_memory_is_said),
        cmocka_unit_test(test_rendering_is_frozen), cmocka_unit_test(test_what_does_not_fit_is_not_rendered), cmocka_unit_test(test_roles),
        cmocka_unit_test(test_a_note_ends_with_its_source_and_no_other), cmocka_unit_test(test_a_body_is_all_but_the_last_source),
        cmocka_unit_test(test_hostile_names_stay_on_their_line), T(test_a_briefing_that_the_check_believes),
        T(test_skipped_pieces_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
