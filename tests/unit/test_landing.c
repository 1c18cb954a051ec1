/*
 * Landing without faults: what lands is whole, has the right mode and owner, and nothing is replaced but the base
 * (L2, L4, L5); every way out of the root is refused; stamps tell what they must. Crashes and concurrent people are in
 * test_landing_crash.c.
 */
#include "landing_world.h"

#include <sys/socket.h>
#include <sys/un.h>

static enum landing_result result;
static struct stamp now;
static struct error why;

static enum err land(const char *path, struct stamp base, const char *text, uint32_t mode)
{
    why = (struct error){0};
    result = 0;
    return landing_file(world, slice_of(path), &base, slice_of(text), SLICE("run7.main.3"), mode, &result, &now, &why);
}

static void assert_done(const char *path, const char *text)
{
    assert_int_equal(result, LANDING_DONE);
    assert_true(holds(path, slice_of(text)));
    struct stamp seen = look(path);
    assert_true(stamp_same(&seen, &now));
    assert_int_equal(count(".crannog-"), 0);
}

static void test_new_file(void **state)
{
    (void)state;
    world_empty(world);
    mode_t mask = umask(077); /* a file's mode is what was asked for; only folders heed the umask */
    assert_int_equal(land("a.md", look("a.md"), "one", 06644), OK);
    assert_done("a.md", "one");
    assert_int_equal(now.mode, 0644); /* and never setuid */
    assert_int_equal(land("b/c/d.md", look("b/c/d.md"), "two", 0600), OK);
    assert_done("b/c/d.md", "two");
    umask(mask);
    struct stat st;
    assert_int_equal(fstatat(world, "b/c", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(land("empty", look("empty"), "", 0644), OK);
    assert_done("empty", "");
}

static void test_replaced_file_keeps_mode_and_owner(void **state)
{
    (void)state;
    world_empty(world);
    put("a.md", SLICE("old"));
    bool root = geteuid() == 0;
    assert_int_equal(fchownat(world, "a.md", root ? 1234 : geteuid(), root ? 4321 : getegid(), 0), 0);
    assert_int_equal(fchmodat(world, "a.md", 04751, 0), 0);
    struct stamp base = look("a.md");
    assert_int_equal(base.mode, 04751);
    assert_int_equal(land("a.md", base, "new", 0600), OK);
    assert_done("a.md", "new");
    assert_int_equal(now.mode, 0751);
    assert_int_equal(now.uid, base.uid);
    assert_int_equal(now.gid, base.gid);
    /* again, as after a crash: found done, and the same inode */
    struct stamp first = now;
    assert_int_equal(land("a.md", base, "new", 0600), OK);
    assert_done("a.md", "new");
    assert_true(stamp_same(&first, &now));
}

static void test_large_file(void **state)
{
    (void)state;
    world_empty(world);
    size_t n = 3 * 1024 * 1024 + 7;
    char *text = malloc(n);
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(i * 31 + i / 997);
    struct stamp base = look("big");
    assert_int_equal(landing_file(world, SLICE("big"), &base, (struct slice){text, n}, SLICE("n"), 0644, &result, &now,
                                  &why), OK);
    assert_int_equal(result, LANDING_DONE);
    BUF_CLEANUP struct buf back = BUF_INIT(n);
    assert_int_equal(stamp_look(world, SLICE("big"), &back, &now, &why), OK);
    assert_true(slice_eq(buf_slice(&back), (struct slice){text, n}));
    BUF_CLEANUP struct buf small = BUF_INIT(n - 1);
    buf_add_text(&small, "kept");
    assert_int_equal(stamp_look(world, SLICE("big"), &small, &now, &why), ERR_LIMIT);
    assert_true(slice_is(buf_slice(&small), "kept") && buf_ok(&small));
    free(text);
}

static void assert_conflict(const char *words)
{
    assert_int_equal(result, LANDING_CONFLICT);
    if (!strstr(why.text, words))
        fail_msg("\"%s\" is not in \"%s\"", words, why.text);
    assert_int_equal(count(".crannog-"), 0);
    assert_int_equal(count("a.md.kept"), 0);
}

static void test_changed_files_stay(void **state)
{
    (void)state;
    world_empty(world);
    struct stamp absent = look("a.md");
    put("a.md", SLICE("old"));
    struct stamp base = look("a.md");

    assert_int_equal(land("a.md", absent, "new", 0644), OK);
    assert_conflict("exists already");
    assert_true(holds("a.md", SLICE("old")));
    assert_true(stamp_same(&now, &base));

    put("a.md", SLICE("ned")); /* the same size, perhaps within the same tick of the clock */
    assert_int_equal(land("a.md", base, "new", 0644), OK);
    assert_conflict("changed by somebody else");
    assert_true(holds("a.md", SLICE("ned")));

    base = look("a.md");
    put_by_rename("a.md", SLICE("ned")); /* the same bytes, another file */
    assert_int_equal(land("a.md", base, "new", 0644), OK);
    assert_conflict("changed by somebody else");

    base = look("a.md");
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000000000}};
    assert_int_equal(utimensat(world, "a.md", times, 0), 0);
    assert_int_equal(land("a.md", base, "new", 0644), OK);
    assert_conflict("changed by somebody else");

    base = look("a.md");
    unlinkat(world, "a.md", 0);
    assert_int_equal(land("a.md", base, "new", 0644), OK);
    assert_conflict("no longer there");
    assert_int_equal(now.type, STAMP_ABSENT);
    assert_int_equal(count(NULL), 0);
}

static void test_only_plain_files_are_replaced(void **state)
{
    (void)state;
    world_empty(world);
    put("elsewhere", SLICE("precious"));
    put("a.md", SLICE("old"));
    struct stamp base = look("a.md");
    unlinkat(world, "a.md", 0);
    for (int i = 0; i < 5; i++) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        snprintf(at.sun_path, sizeof at.sun_path, "%s/a.md", world_path);
        int s = socket(AF_UNIX, SOCK_STREAM, 0);
        int made = i == 0   ? symlinkat("elsewhere", world, "a.md")
                   : i == 1 ? mkdirat(world, "a.md", 0755)
                   : i == 2 ? mkfifoat(world, "a.md", 0644)
                   : i == 3 ? linkat(world, "elsewhere", world, "a.md", 0)
                            : bind(s, (struct sockaddr *)&at, sizeof at);
        assert_int_equal(made, 0);
        close(s);
        struct stamp other = look("a.md"), bases[] = {base, other, {.type = STAMP_ABSENT}};
        assert_int_equal(other.type, i == 0 ? STAMP_LINK : i == 1 ? STAMP_FOLDER : i == 3 ? STAMP_FILE : STAMP_OTHER);
        for (size_t k = 0; k < 3; k++) { /* even where the stamp says that just this lay there */
            assert_int_equal(land("a.md", bases[k], "new", 0644), OK);
            assert_conflict(i == 3 ? "several names" : "folder, a link or a device");
            struct stamp still = look("a.md");
            assert_true(stamp_same(&still, &other));
        }
        assert_int_equal(unlinkat(world, "a.md", i == 1 ? AT_REMOVEDIR : 0), 0);
    }
    assert_true(holds("elsewhere", SLICE("precious")));
}

static void test_paths_that_are_refused(void **state)
{
    (void)state;
    world_empty(world);
    char deep[65 * 2] = "", name[257] = "";
    for (int i = 0; i < 65 * 2 - 1; i++)
        deep[i] = i % 2 ? '/' : 'd';
    memset(name, 'n', 256);
    static const char *const bad[] = {"", "/etc/passwd", "..", "../a", "a/../b", "a//b", "a/", ".", "./a", "a/./b"};
    struct stamp absent = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(land(bad[i], absent, "x", 0644), ERR_USAGE);
    assert_int_equal(land(deep, absent, "x", 0644), ERR_USAGE);
    assert_int_equal(land(deep + 2, absent, "x", 0644), OK);
    assert_int_equal(land(name, absent, "x", 0644), ERR_USAGE);
    assert_int_equal(land(name + 1, absent, "x", 0644), OK);
    assert_done(name + 1, "x");
    assert_int_equal(landing_file(world, (struct slice){"a\0b", 3}, &absent, SLICE("x"), SLICE("n"), 0644, &result, &now,
                                  &why), ERR_USAGE);
    static const char *const ours[] = {".git", ".git/config", "a/.git/hooks/pre-commit", ".GIT/x", ".crannog/journal",
                                       "a/.crannog", ".crannog-0123.slot"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        assert_int_equal(land(ours[i], absent, "x", 0644), ERR_DENIED);
        assert_non_null(strstr(why.text, ours[i]));
    }
    assert_int_equal(land(".gitignore", absent, "x", 0644), OK);
    assert_int_equal(count(NULL), 3); /* d, the long name, .gitignore */
}

static void test_no_link_is_followed_on_the_way(void **state)
{
    (void)state;
    world_empty(world);
    assert_int_equal(mkdirat(world, "real", 0755), 0);
    put("real/a.md", SLICE("old"));
    put("file", SLICE("x"));
    assert_int_equal(symlinkat("real", world, "link"), 0);
    assert_int_equal(symlinkat("/etc", world, "etc"), 0);
    struct stamp base = look("real/a.md"), s;
    assert_int_equal(land("link/a.md", base, "new", 0644), ERR_DENIED);
    assert_int_equal(land("link/b.md", (struct stamp){0}, "new", 0644), ERR_DENIED);
    assert_int_equal(land("link/sub/b.md", (struct stamp){0}, "new", 0644), ERR_DENIED);
    assert_int_equal(stamp_look(world, SLICE("etc/passwd"), NULL, &s, &why), ERR_DENIED);
    assert_non_null(strstr(why.text, "symbolic link"));
    assert_true(holds("real/a.md", SLICE("old")));
    /* a file where a folder should be */
    assert_int_equal(look("file/a.md").type, STAMP_OTHER);
    assert_int_equal(land("file/a.md", (struct stamp){0}, "new", 0644), OK);
    assert_conflict("no folder");
    assert_int_equal(land("file/b/a.md", (struct stamp){0}, "new", 0644), OK);
    assert_conflict("no folder");
    /* a folder that went away with the base */
    assert_int_equal(land("gone/a.md", base, "new", 0644), OK);
    assert_conflict("no longer there");
    assert_int_equal(count("gone"), 0);
}

static void test_open_for_writing_is_busy(void **state)
{
    (void)state;
    world_empty(world);
    put("a.md", SLICE("old"));
    struct stamp base = look("a.md");
    int editor = openat(world, "a.md", O_RDWR);
    int probe = openat(world, "a.md", O_RDONLY);
    bool leases = fcntl(probe, F_SETLEASE, F_RDLCK) < 0 && errno == EAGAIN;
    close(probe);
    if (!leases) {
        close(editor);
        skip(); /* a file system without leases */
    }
    assert_int_equal(land("a.md", base, "new", 0644), ERR_BUSY);
    assert_non_null(strstr(why.text, "open for writing"));
    struct stamp same = look("a.md");
    assert_true(stamp_same(&base, &same));
    assert_int_equal(count(".crannog-"), 0);
    close(editor);
    assert_int_equal(land("a.md", base, "new", 0644), OK);
    assert_done("a.md", "new");
}

static void test_a_folder_that_cannot_be_written(void **state)
{
    (void)state;
    world_empty(world);
    assert_int_equal(fchmod(world, 0555), 0);
    bool root = geteuid() == 0;
    if (root)
        assert_int_equal(seteuid(65534), 0); /* root may write anywhere */
    enum err err = land("a.md", (struct stamp){0}, "x", 0644);
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(fchmod(world, 0700), 0);
    assert_int_equal(err, ERR_DENIED);
    assert_non_null(strstr(why.text, "a.md"));
    assert_int_equal(count(NULL), 0);
}

static void test_lock(void **state)
{
    (void)state;
    int ours = open(world_path, O_RDONLY | O_DIRECTORY), theirs = open(world_path, O_RDONLY | O_DIRECTORY);
    assert_int_equal(landing_lock(ours, 0, &why), OK);
    int64_t start = sys->boottime_ns();
    assert_int_equal(landing_lock(theirs, 60, &why), ERR_BUSY);
    assert_true(sys->boottime_ns() - start >= 60 * 1000000);
    pid_t pid = fork(); /* another one waits, and gets it when ours goes */
    if (pid == 0) {
        close(ours);
        _exit((int)landing_lock(theirs, 5000, NULL));
    }
    usleep(50000);
    int status = -1;
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    close(ours);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(theirs);
}

static void test_stamps_as_messages(void **state)
{
    (void)state;
    world_empty(world);
    put("a.md", SLICE("text"));
    assert_int_equal(mkdirat(world, "d", 0755), 0);
    struct stamp stamps[] = {look("a.md"), look("none"), look("d")};
    for (size_t i = 0; i < 3; i++) {
        BUF_CLEANUP struct buf m = BUF_INIT(4096);
        stamp_encode(&stamps[i], &m);
        struct stamp back;
        assert_true(buf_ok(&m) && stamp_decode(buf_slice(&m), &back));
        assert_true(stamp_same(&back, &stamps[i]));
        assert_true(back.mode == stamps[i].mode && back.uid == stamps[i].uid && back.gid == stamps[i].gid &&
                    back.ctime_ns == stamps[i].ctime_ns);
        for (size_t cut = 0; cut < m.n; cut++) /* no beginning of a stamp is a stamp */
            assert_false(stamp_decode(slice_sub(buf_slice(&m), 0, cut), &back));
        m.p[6] = STAMP_FOLDER + 1; /* no such type */
        assert_false(stamp_decode(buf_slice(&m), &back));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_file),
        cmocka_unit_test(test_replaced_file_keeps_mode_and_owner),
        cmocka_unit_test(test_large_file),
        cmocka_unit_test(test_changed_files_stay),
        cmocka_unit_test(test_only_plain_files_are_replaced),
        cmocka_unit_test(test_paths_that_are_refused),
        cmocka_unit_test(test_no_link_is_followed_on_the_way),
        cmocka_unit_test(test_open_for_writing_is_busy),
        cmocka_unit_test(test_a_folder_that_cannot_be_written),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_stamps_as_messages),
    };
    return cmocka_run_group_tests(tests, world_make, world_remove);
}
