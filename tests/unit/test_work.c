/*
 * An agent's file tools, called directly: pages of texts, folders, images, PDF; words for what is not there; nothing but
 * plain files is opened, and nothing waits; writes stay below the root and /tmp whatever links and dots say, replace in one
 * step and keep modes; edits go through to the disk or leave it. Replies that are none are refused. Planted and caught: a
 * link out of the root that is written through, a FIFO that is opened, a temporary that stays, a lost mode.
 */
#include "work_rig.h"

#include "wire/message.h"

static struct work_read got;
static struct work_written wrote;
static struct work_edited edited;

static enum err read_from(const char *path, uint64_t offset, uint64_t lines, uint64_t limit)
{
    BUF_CLEANUP struct buf args = BUF_INIT(8192);
    work_read_args(&args, slice_of(rig_root), slice_of(path), offset, lines, limit);
    enum err err = rig_call(inside_work_read, &args);
    if (!err && work_read_reply(buf_slice(&rig_reply), &got, &why))
        fail_msg("%s", why.text);
    return err;
}

static enum err write_to(const char *path, struct slice content)
{
    BUF_CLEANUP struct buf args = BUF_INIT(1 << 20);
    work_write_args(&args, slice_of(rig_root), slice_of(path), content, 0640);
    enum err err = rig_call(inside_work_write, &args);
    if (!err && work_write_reply(buf_slice(&rig_reply), &wrote, &why))
        fail_msg("%s", why.text);
    return err;
}

static enum err edit_in(const char *path, const struct edit *edits, size_t n)
{
    BUF_CLEANUP struct buf args = BUF_INIT(1 << 20);
    work_edit_args(&args, slice_of(rig_root), slice_of(path), edits, n);
    enum err err = rig_call(inside_work_edit, &args);
    if (!err && work_edit_reply(buf_slice(&rig_reply), &edited, &why))
        fail_msg("%s", why.text);
    return err;
}

static void says(enum err err, enum err wanted, const char *words)
{
    if (err != wanted || !strstr(why.text, words))
        fail_msg("%d: %s (and not %d: %s)", err, why.text, wanted, words);
}

/* ---- read ---- */

static void test_pages(void **state)
{
    (void)state;
    put("a.md", "one\ntwo\r\nthree\n");
    assert_int_equal(read_from("a.md", 0, 0, 0), OK);
    assert_true(slice_is(got.text, "one\ntwo\nthree\n"));
    assert_true(got.from == 1 && got.to == 3 && got.total == 3 && got.size == 15 && !got.folder && !got.media.n);
    assert_int_equal(read_from(rig_path("a.md"), 2, 1, 0), OK);
    assert_true(slice_is(got.text, "two\n") && got.from == 2 && got.to == 2 && got.total == 3);
    says(read_from("a.md", 9, 0, 0), ERR_USAGE, "a.md has only 3 lines");
    put("empty", "");
    assert_int_equal(read_from("empty", 0, 0, 0), OK);
    assert_true(got.text.n == 0 && got.from == 1 && got.to == 0 && got.total == 0);
    put("bad", "some words, mostly in order \xff here\n");
    assert_int_equal(read_from("bad", 0, 0, 0), OK);
    assert_true(slice_is(got.text, "some words, mostly in order \xef\xbf\xbd here\n"));
    assert_int_equal(read_from("./bad", 0, 0, 0), OK);
    put_link("a.md", "l");
    assert_int_equal(read_from("l", 0, 0, 0), OK);
    put("/out.md", "x\n"); /* what the jail shows may be read */
    assert_int_equal(read_from("../other/out.md", 0, 0, 0), OK);
}

static void test_defaults(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 22);
    for (int i = 0; i < 3000; i++)
        buf_addf(&b, "%d\n", i);
    put_bytes("n", buf_slice(&b));
    assert_int_equal(read_from("n", 0, 0, 0), OK);
    assert_true(got.to == WORK_LINES && got.total == 3000);
    buf_reset(&b);
    for (int i = 0; i < 2000; i++)
        buf_addf(&b, "%d a line that is a bit longer, so that bytes come to an end before lines\n", i);
    put_bytes("n", buf_slice(&b));
    assert_int_equal(read_from("n", 0, 0, 0), OK);
    assert_true(got.text.n <= WORK_BYTES && got.text.n > WORK_BYTES - 100 && got.to < 2000 && got.total == 2000);
    assert_int_equal(read_from("n", 0, 100000, UINT64_MAX), OK);
    assert_int_equal(got.to, 2000);
    buf_reset(&b);
    for (int i = 0; i < 200000; i++)
        buf_add_text(&b, "x,y;");
    put_bytes("n", buf_slice(&b));
    assert_int_equal(read_from("n", 0, 0, 0), OK);
    assert_true(got.total == 1 && got.text.n < WORK_BYTES && slice_find(got.text, SLICE("bytes of this line left out"), 0) < got.text.n);
}

static void test_folder(void **state)
{
    (void)state;
    put("b/x", "");
    put("a.md", "");
    put(".hidden", "");
    put(".crannog/x", "");
    put_link("a.md", "l");
    assert_int_equal(read_from(".", 0, 0, 0), OK);
    assert_true(got.folder && slice_is(got.text, ".hidden\na.md\nb/\nl -> a.md\n"));
    assert_int_equal(read_from("b/", 0, 0, 0), OK);
    assert_true(slice_is(got.text, "x\n"));
    for (int i = 0; i < 1100; i++) {
        char name[32];
        snprintf(name, sizeof name, "b/%04d", i);
        put(name, "");
    }
    assert_int_equal(read_from("b", 0, 0, 0), OK);
    assert_true(got.total == 1101 && got.to == 1000 && slice_ends(got.text, SLICE("0999\n[… 101 more entries …]\n")));
}

static void test_kinds(void **state)
{
    (void)state;
    put_bytes("p", SLICE("\x89PNG\r\n\x1a\n\0\0"));
    assert_int_equal(read_from("p", 0, 0, 0), OK);
    assert_true(slice_is(got.media, "image/png") && slice_eq(got.image, SLICE("\x89PNG\r\n\x1a\n\0\0")) && got.text.n == 0);
    put_bytes("w", SLICE("RIFF\1\2\3\4WEBPVP8 "));
    assert_int_equal(read_from("w", 0, 0, 0), OK);
    assert_true(slice_is(got.media, "image/webp"));
    put_bytes("j", SLICE("\xff\xd8\xff\xe0"));
    assert_int_equal(read_from("j", 0, 0, 0), OK);
    assert_true(slice_is(got.media, "image/jpeg"));
    BUF_CLEANUP struct buf big = BUF_INIT(6000000);
    buf_add_text(&big, "GIF89a");
    while (big.n <= WORK_IMAGE_MAX)
        buf_add_text(&big, "................................................................");
    put_bytes("g", buf_slice(&big));
    says(read_from("g", 0, 0, 0), ERR_LIMIT, "make it smaller");
    put_bytes("n", SLICE("a\0b"));
    says(read_from("n", 0, 0, 0), ERR_UNSUPPORTED, "no text");
    put_bytes("z", SLICE("PK\3\4"));
    says(read_from("z", 0, 0, 0), ERR_UNSUPPORTED, "ZIP");
    put_bytes("d.pdf", SLICE("%PDF-1.4 broken"));
    enum err err = read_from("d.pdf", 0, 0, 0);
    assert_true(err == ERR_UNSUPPORTED || err == ERR_MISSING); /* pdftotext says so, or is not here */
}

static void test_what_is_no_file(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(rig_path("fifo"), 0644), 0);
    says(read_from("fifo", 0, 0, 0), ERR_UNSUPPORTED, "is no file but a FIFO");
    says(read_from("/dev/zero", 0, 0, 0), ERR_UNSUPPORTED, "is no file but a device");
    says(read_from("/proc/self/environ", 0, 0, 0), ERR_UNSUPPORTED, "no file on a disk");
    says(read_from("/proc/self/mem", 0, 0, 0), ERR_UNSUPPORTED, "no file on a disk");
    put_link("/proc/self/environ", "e");
    says(read_from("e", 0, 0, 0), ERR_UNSUPPORTED, "no file on a disk");
    put_link("loop", "loop");
    says(read_from("loop", 0, 0, 0), ERR_UNSUPPORTED, "circles");
    says(read_from("", 0, 0, 0), ERR_USAGE, "empty");
    BUF_CLEANUP struct buf args = BUF_INIT(8192);
    work_read_args(&args, slice_of(rig_root), SLICE("a\0b"), 0, 0, 0);
    says(rig_call(inside_work_read, &args), ERR_USAGE, "NUL");
    int fd = open(rig_path("huge"), O_WRONLY | O_CREAT, 0644);
    assert_int_equal(ftruncate(fd, INT64_C(1) << 40), 0);
    close(fd);
    says(read_from("huge", 0, 0, 0), ERR_LIMIT, "use a command");
}

static void test_missing(void **state)
{
    (void)state;
    put("README.md", "");
    put("src/engine/machine.c", "");
    put("src/engine/commit.c", "");
    says(read_from("readme.md", 0, 0, 0), ERR_MISSING, "readme.md is not there; near it: README.md");
    says(read_from("src/engine/machne.c", 0, 0, 0), ERR_MISSING, "near it: machine.c");
    says(read_from("src/engin/machine.c", 0, 0, 0), ERR_MISSING, "near it: engine");
    says(read_from("README.md/x", 0, 0, 0), ERR_MISSING, "is not there");
    says(read_from("q", 0, 0, 0), ERR_MISSING, "q is not there");
    assert_null(strstr(why.text, "near"));
    says(read_from("~/x", 0, 0, 0), ERR_MISSING, "stands for nothing");
    says(read_from("/nowhere/at/all", 0, 0, 0), ERR_MISSING, "is not there");
}

/* ---- write ---- */

static unsigned names_in_root(void)
{
    unsigned n = 0;
    DIR *d = opendir(rig_root);
    for (struct dirent *f; (f = readdir(d));)
        n += f->d_name[0] != '.' || !strncmp(f->d_name, ".crannog", 8);
    closedir(d);
    return n;
}

static void test_write(void **state)
{
    (void)state;
    struct stat st;
    assert_int_equal(write_to("a/b/c.md", SLICE("one\ntwo\n")), OK);
    assert_true(wrote.created && wrote.added == 2 && wrote.removed == 0 && wrote.bytes == 8);
    is_file("a/b/c.md", "one\ntwo\n");
    assert_true(stat(rig_path("a/b/c.md"), &st) == 0 && (st.st_mode & 07777) == 0640);
    assert_int_equal(chmod(rig_path("a/b/c.md"), 0755), 0);
    assert_int_equal(write_to(rig_path("a/b/c.md"), SLICE("one\n2\n3\n")), OK);
    assert_true(!wrote.created && wrote.added == 2 && wrote.removed == 1);
    assert_true(stat(rig_path("a/b/c.md"), &st) == 0 && (st.st_mode & 07777) == 0755);
    assert_int_equal(write_to("./e.md", SLICE("")), OK);
    is_file("e.md", "");
    assert_int_equal(write_to("a/../f.md", SLICE("f")), OK);
    is_file("f.md", "f");
    assert_int_equal(write_to("e.md", SLICE("")), OK);
    assert_true(!wrote.created && wrote.added == 0 && wrote.bytes == 0);
    assert_int_equal(names_in_root(), 3); /* no temporary is left */
    char text[64];
    snprintf(text, sizeof text, "/tmp/crannog-test-%d/x", getpid());
    assert_int_equal(write_to(text, SLICE("t")), OK);
    assert_int_equal(unlink(text), 0);
    *strrchr(text, '/') = '\0';
    assert_int_equal(rmdir(text), 0);
}

static void test_write_stays_inside(void **state)
{
    (void)state;
    put("/out.md", "theirs\n");
    put("sub/in.md", "ours\n");
    put_link("../other/out.md", "out.md");
    put_link(rig_other, "away");
    put_link("sub/in.md", "in.md");
    put_link(rig_path("sub"), "inner"); /* absolute, and inside */
    put_link("nowhere", "dangling");
    put_link("../other/new.md", "new.md");
    says(write_to("out.md", SLICE("x")), ERR_DENIED, "outside of the work folder");
    says(write_to("away/n.md", SLICE("x")), ERR_DENIED, "outside of the work folder");
    says(write_to("away/deep/n.md", SLICE("x")), ERR_DENIED, "outside of the work folder");
    says(write_to("dangling", SLICE("x")), ERR_DENIED, "leads nowhere");
    says(write_to("new.md", SLICE("x")), ERR_DENIED, "leads nowhere");
    says(write_to("dangling/x", SLICE("x")), ERR_USAGE, "leads nowhere");
    says(write_to("../other/n.md", SLICE("x")), ERR_DENIED, "outside");
    says(write_to(rig_path("/n.md"), SLICE("x")), ERR_DENIED, "outside");
    says(write_to("/etc/crannog-test", SLICE("x")), ERR_DENIED, "outside");
    assert_int_equal(chdir("/"), 0); /* a checkout may lie below /tmp, where it may write */
    says(write_to("/proc/self/cwd/x", SLICE("x")), ERR_DENIED, "outside");
    says(write_to("none/../../other/n.md", SLICE("x")), ERR_USAGE, "name");
    says(write_to("sub/", SLICE("x")), ERR_USAGE, "does not name a file");
    says(write_to("..", SLICE("x")), ERR_USAGE, "does not name a file");
    says(write_to("~/x", SLICE("x")), ERR_USAGE, "`~`");
    says(write_to("sub", SLICE("x")), ERR_UNSUPPORTED, "a folder");
    says(write_to("sub/in.md/x", SLICE("x")), ERR_USAGE, "in.md is no folder");
    is_file("/out.md", "theirs\n");
    assert_false(is_there("/n.md") || is_there("/new.md") || is_there("/deep"));
    assert_int_equal(write_to("in.md", SLICE("through\n")), OK); /* a link within is followed, and stays */
    is_file("sub/in.md", "through\n");
    struct stat st;
    assert_true(lstat(rig_path("in.md"), &st) == 0 && S_ISLNK(st.st_mode));
    assert_int_equal(write_to("inner/n.md", SLICE("n")), OK);
    is_file("sub/n.md", "n");
    assert_int_equal(mkfifo(rig_path("fifo"), 0644), 0);
    says(write_to("fifo", SLICE("x")), ERR_UNSUPPORTED, "a FIFO");
}

/* Each system call of a write fails once: an error and the old file, or the new one; no temporary. */
static void test_write_that_fails(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf args = BUF_INIT(8192);
    work_write_args(&args, slice_of(rig_root), SLICE("a.md"), SLICE("new\n"), 0644);
    for (unsigned n = 1; n < 200; n++) {
        put("a.md", "old\n");
        sys_fail_nth(n, EIO, SYS_FAULT_FILE);
        enum err err = rig_call(inside_work_write, &args);
        unsigned calls = sys_calls();
        sys_fail_nth(0, 0, 0);
        is_file("a.md", err ? "old\n" : "new\n");
        assert_int_equal(names_in_root(), 1);
        if (calls < n)
            return;
    }
    fail_msg("it never ends");
}

/* ---- edit ---- */

static void test_edit(void **state)
{
    (void)state;
    put("a.c", "int a;\r\nint b;\r\n");
    assert_int_equal(chmod(rig_path("a.c"), 0600), 0);
    struct edit edits[] = {{SLICE("int a;\nint b;\n"), SLICE("int c;\n"), false}, {SLICE("c"), SLICE("d"), false}};
    assert_int_equal(edit_in("a.c", edits, 2), OK);
    is_file("a.c", "int d;\r\n");
    assert_true(edited.replaced == 2 && edited.added == 1 && edited.removed == 2 && edited.line == 1 && edited.note.n && !edited.why.n);
    struct stat st;
    assert_true(stat(rig_path("a.c"), &st) == 0 && (st.st_mode & 07777) == 0600);
    edits[0] = (struct edit){SLICE("d"), SLICE("e"), false};
    edits[1] = (struct edit){SLICE("int q;"), SLICE("x"), false};
    assert_int_equal(edit_in("a.c", edits, 2), OK);
    assert_true(edited.why.n && slice_find(edited.why, SLICE("1\tint e;"), 0) < edited.why.n);
    is_file("a.c", "int d;\r\n");
    edits[0] = (struct edit){SLICE(""), SLICE("new\n"), false};
    assert_int_equal(edit_in("n/new.c", edits, 1), OK); /* a file that is not there is made by an empty old */
    is_file("n/new.c", "new\n");
    edits[0] = (struct edit){SLICE("x"), SLICE("y"), false};
    says(edit_in("a.cc", edits, 1), ERR_MISSING, "near it: a.c");
    assert_false(is_there("a.cc"));
    says(edit_in("q/a.c", edits, 1), ERR_MISSING, "is not there");
    assert_false(is_there("q"));
    put("/o", "x");
    put_link("../other/o", "o");
    says(edit_in("o", edits, 1), ERR_DENIED, "outside");
    is_file("/o", "x");
    says(edit_in("n", edits, 1), ERR_UNSUPPORTED, "a folder");
}

/* ---- outside bytes ---- */

static void test_arguments_that_are_none(void **state)
{
    (void)state;
    put("a", "a");
    BUF_CLEANUP struct buf args = BUF_INIT(1000);
    struct edit e = {SLICE("a"), SLICE("b"), false};
    enum err (*const applets[])(struct slice, struct buf *, struct error *) = {inside_work_read, inside_work_write, inside_work_edit, inside_instruct};
    for (size_t i = 0; i < 4; i++) {
        buf_reset(&args);
        assert_int_equal(rig_call(applets[i], &args), ERR_CORRUPT);
        buf_add_text(&args, "xyz");
        assert_int_equal(rig_call(applets[i], &args), ERR_CORRUPT);
    }
    buf_reset(&args);
    work_edit_args(&args, slice_of(rig_root), SLICE("a"), &e, 1);
    message_put(&args, WORK_OLD, SLICE("x"));
    assert_int_equal(rig_call(inside_work_edit, &args), ERR_CORRUPT);
    buf_reset(&args);
    work_read_args(&args, SLICE("relative"), SLICE("a"), 0, 0, 0);
    assert_int_equal(rig_call(inside_work_read, &args), ERR_CORRUPT);
}

static void test_replies_that_are_none(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf m = BUF_INIT(1000);
    assert_int_equal(work_read_reply(SLICE(""), &got, &why), ERR_CORRUPT);
    message_put(&m, WORK_TEXT, SLICE("\xff"));
    message_put_u64(&m, WORK_FROM, 1), message_put_u64(&m, WORK_TO, 1), message_put_u64(&m, WORK_TOTAL, 1), message_put_u64(&m, WORK_SIZE, 1);
    assert_int_equal(work_read_reply(buf_slice(&m), &got, &why), ERR_CORRUPT);
    buf_reset(&m);
    message_put_u64(&m, WORK_FROM, 1), message_put_u64(&m, WORK_TO, 2), message_put_u64(&m, WORK_TOTAL, 1), message_put_u64(&m, WORK_SIZE, 1);
    assert_int_equal(work_read_reply(buf_slice(&m), &got, &why), ERR_CORRUPT);
    buf_reset(&m);
    message_put(&m, WORK_MEDIA, SLICE("image/svg+xml")), message_put(&m, WORK_IMAGE, SLICE("x")), message_put_u64(&m, WORK_SIZE, 1);
    assert_int_equal(work_read_reply(buf_slice(&m), &got, &why), ERR_CORRUPT);
    assert_int_equal(work_write_reply(SLICE(""), &wrote, &why), ERR_CORRUPT);
    assert_int_equal(work_edit_reply(SLICE(""), &edited, &why), ERR_CORRUPT);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, rig_clean)
    const struct CMUnitTest tests[] = {
        TEST(test_pages), TEST(test_defaults), TEST(test_folder), TEST(test_kinds), TEST(test_what_is_no_file), TEST(test_missing),
        TEST(test_write), TEST(test_write_stays_inside), TEST(test_write_that_fails), TEST(test_edit),
        TEST(test_arguments_that_are_none), TEST(test_replies_that_are_none),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_end);
}
