/*
 * An agent's tools in the real jail, as root and as a user, over a folder that its owner has prepared against them: links to
 * what the jail does not show, a FIFO, devices, /proc, dots. What is written lies in the layer, and nowhere else; what is
 * told comes from the folder alone. Planted once and caught: a link out of the folder that is written through, one that is
 * told.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#undef system /* base/banned.h: a fixed command of the test is fine */

#include "base/sys.h"
#include "rig.h"
#include "tools/work.h"

static char upper[128], mine[128]; /* where a step writes; a file of the person's home */
static struct jail_result last;
static struct error why;
static struct arena arena = ARENA_INIT(16 << 20);

static void outside(const char *script)
{
    char command[900];
    snprintf(command, sizeof command, "cd %s && export W=%s && %s", top, work, script);
    if (system(command) != 0)
        fail_msg("this failed outside: %s", script);
}

/* The work folder at its own path, in an overlay that takes what is written, or read-only; and `mine`. */
static struct jail_plan new_tools(bool layered)
{
    struct jail_plan p = new_plan();
    p.nmounts -= 3; /* /work, /ro, the cover */
    p.cwd = slice_of(work);
    struct jail_mount m = {.kind = layered ? JAIL_LAYERS : JAIL_READ, .source = slice_of(work), .target = slice_of(work)};
    if (layered)
        m.upper = slice_of(upper);
    jail_plan_add(&p, m);
    jail_plan_add(&p, (struct jail_mount){.kind = JAIL_READ, .source = slice_of(mine), .target = slice_of(mine)});
    return p;
}

/* The code that the applet ended with; its words are in `why`. */
static enum err call(const char *applet, const struct buf *args, bool layered)
{
    if (layered) {
        snprintf(upper, sizeof upper, "%s/upper", top);
        outside("{ test ! -e upper || chmod -R u+rwx upper; } && rm -rf upper && mkdir upper upper/up upper/work && chmod 700 upper && chown --reference=$W upper/up upper/work");
    }
    struct jail_plan p = new_tools(layered);
    p.applet = slice_of(applet);
    p.args = buf_slice(args);
    p.nargv = 0;
    jail_result_release(&last);
    last = play(jail_path, &p);
    if (last.how == JAIL_NO_LAYERS) {
        print_message("skipped: no overlay here\n");
        skip();
    }
    if (last.how != JAIL_EXITED)
        fail_msg("ended as %d: %s", last.how, last.why);
    snprintf(why.text, sizeof why.text, "%s", last.why);
    return (enum err)last.status;
}

static enum err read_it(const char *path, struct work_read *ret)
{
    BUF_CLEANUP struct buf args = BUF_INIT(8192);
    work_read_args(&args, slice_of(work), slice_of(path), 0, 0, 0);
    enum err err = call("work-read", &args, false);
    if (!err && work_read_reply(buf_slice(&last.reply), ret, &why))
        fail_msg("%s", why.text);
    return err;
}

static enum err write_it(const char *path, bool layered)
{
    BUF_CLEANUP struct buf args = BUF_INIT(8192);
    struct work_written w;
    work_write_args(&args, slice_of(work), slice_of(path), SLICE("written\n"), 0644);
    enum err err = call("work-write", &args, layered);
    if (!err && work_write_reply(buf_slice(&last.reply), &w, &why))
        fail_msg("%s", why.text);
    return err;
}

static void says(enum err err, enum err wanted, const char *said)
{
    if (err != wanted || !strstr(why.text, said))
        fail_msg("%d: %s (and not %d: %s)", err, why.text, wanted, said);
}

static int hostile(void **state)
{
    (void)state;
    snprintf(mine, sizeof mine, "%s/mine.md", top);
    outside("find $W -mindepth 1 -delete; cd $W && mkdir sub skills skills/s && printf 'a\\nb\\n' > a.md && printf 'instead\\n' > CLAUDE.md && "
            "printf -- '---\\nname: s\\ndescription: d\\n---\\n' > skills/s/SKILL.md && "
            "ln -s ../secret out && ln -s /etc/passwd passwd && ln -s /etc/shadow shadow && ln -s ../.. up && ln -s a.md in && ln -s /proc/self/environ env && "
            "ln -s /proc/1/root/etc root && ln -s /etc/passwd AGENTS.md && mkfifo fifo && "
            "printf 'mine\\n' > ../mine.md && chmod 644 ../mine.md && chown -Rh --reference=$W $W ../mine.md");
    return 0;
}

static void test_read(void **state)
{
    (void)state;
    struct work_read r;
    assert_int_equal(read_it("a.md", &r), OK);
    assert_true(slice_is(r.text, "a\nb\n") && r.total == 2);
    assert_int_equal(read_it(below(work, "in"), &r), OK);
    assert_int_equal(read_it(".", &r), OK);
    assert_true(r.folder && slice_find(r.text, SLICE("sub/\n"), 0) < r.text.n);
    says(read_it("shadow", &r), ERR_MISSING, "is not there");
    says(read_it("out", &r), ERR_MISSING, "out is not there");
    says(read_it(secret, &r), ERR_MISSING, "is not there");
    says(read_it("up/secret", &r), ERR_MISSING, "is not there");
    says(read_it("env", &r), ERR_UNSUPPORTED, "no file on a disk");
    says(read_it("/proc/self/mem", &r), ERR_UNSUPPORTED, "no file on a disk");
    says(read_it("/dev/zero", &r), ERR_UNSUPPORTED, "a device");
    says(read_it("fifo", &r), ERR_UNSUPPORTED, "a FIFO");
    assert_int_not_equal(read_it("root/shadow", &r), OK);
    assert_int_not_equal(read_it("/proc/1/root/etc/shadow", &r), OK);
    says(read_it("a.mb", &r), ERR_MISSING, "near it: a.md");
}

static void test_write(void **state)
{
    (void)state;
    assert_int_equal(write_it("new/deep/f.md", true), OK);
    assert_int_equal(look(below(upper, "up/new/deep/f.md")).st_size, 8);
    assert_int_equal(look(below(upper, "up/new/deep/f.md")).st_uid, owner);
    assert_false(exists(below(work, "new")));
    assert_int_equal(write_it("in", true), OK);
    assert_true(exists(below(upper, "up/a.md")) && !exists(below(upper, "up/in")));
    assert_int_equal(look(below(work, "a.md")).st_size, 4);
    assert_int_equal(write_it("/tmp/x/y", true), OK);
    says(write_it("out", true), ERR_DENIED, "");
    says(write_it("up/x", true), ERR_DENIED, "outside");
    says(write_it("passwd", true), ERR_DENIED, "outside");
    says(write_it("/etc/x", true), ERR_DENIED, "outside");
    says(write_it(below(top, "x"), true), ERR_DENIED, "outside");
    says(write_it("/proc/self/cwd/../x", true), ERR_DENIED, "outside");
    says(write_it("../x", true), ERR_DENIED, "outside");
    says(write_it("fifo", true), ERR_UNSUPPORTED, "a FIFO");
    says(write_it("env", true), ERR_DENIED, "");
    assert_int_not_equal(write_it("a.md", false), OK); /* a read-only folder */
    assert_int_equal(look(below(work, "a.md")).st_size, 4);
    assert_false(exists(below(top, "x")));
}

static void test_edit(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf args = BUF_INIT(8192);
    struct edit e = {SLICE("b\n"), SLICE("c\nd\n"), false};
    struct work_edited did;
    work_edit_args(&args, slice_of(work), SLICE("a.md"), &e, 1);
    assert_int_equal(call("work-edit", &args, true), OK);
    assert_int_equal(work_edit_reply(buf_slice(&last.reply), &did, &why), OK);
    assert_true(did.replaced == 1 && did.added == 2 && did.removed == 1 && did.line == 2 && !did.why.n);
    assert_int_equal(look(below(upper, "up/a.md")).st_size, 6);
    assert_int_equal(look(below(work, "a.md")).st_size, 4);
}

static void test_instruct(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf args = BUF_INIT(8192);
    struct slice extra[] = {slice_of(mine), slice_of(secret)};
    struct work_told t;
    work_instruct_args(&args, slice_of(work), slice_of(work), extra, 2, 0);
    assert_int_equal(call("instruct", &args, false), OK);
    assert_int_equal(work_instruct_reply(buf_slice(&last.reply), &arena, &t, &why), OK);
    assert_int_equal(t.ntexts, 2);
    assert_true(slice_is(t.texts[0].path, mine) && slice_is(t.texts[0].text, "mine\n"));
    assert_true(slice_is(t.texts[1].path, "CLAUDE.md") && slice_is(t.texts[1].text, "instead\n"));
    assert_true(t.nskills == 1 && slice_is(t.skills[0].path, "skills/s/SKILL.md"));
}

int main(int argc, char **argv)
{
    int status = rig_start(argc, argv);
    if (status)
        return status;
#define TEST(f) cmocka_unit_test_setup(f, hostile)
    const struct CMUnitTest tests[] = {TEST(test_read), TEST(test_write), TEST(test_edit), TEST(test_instruct)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    jail_result_release(&last);
    arena_release(&arena);
    outside("test ! -e upper || chmod -R u+rwx upper");
    tear_down();
    return failed;
}
