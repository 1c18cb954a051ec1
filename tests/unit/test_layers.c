/*
 * The other parts of layers: a copy keeps what it must (holes, modes, times), leaves out what it must, knows its bound and
 * tells what a person changed meanwhile; a squash refuses a layer that is not what its manifest says, and shares files; a
 * survey counts; the folders of layers come and go whatever a step left in them; and the applets do the same by messages.
 *
 * Planted and caught, one at a time: holes filled (test_copy); a person's change after the copy not noticed
 * (test_copy_moved); ctime not compared (test_copy_hidden_change); a source that is not looked at, a whiteout for what never
 * was (test_squash_refuses); folders that are shut not opened (test_folders); what is gone meanwhile an error
 * (test_two_empty_one_trash).
 */
#include "layer_world.h"

#include <sys/wait.h>

#include "layers/copy.h"
#include "layers/folder.h"
#include "layers/seal.h"
#include "layers/squash.h"
#include "layers/survey.h"
#include "tools/inside_layers.h"
#include "tools/layer.h"
#include "wire/message.h"

enum { ARENA = 64 * 1024 * 1024 };

static struct arena arena = ARENA_INIT(ARENA);
static struct buf idx = BUF_INIT(COPY_INDEX_MAX), args = BUF_INIT(1 << 20), reply = BUF_INIT(1 << 24);
static struct error why;
static int root = -1, to = -1;

static int setup(void **state)
{
    if (world_make(state) < 0)
        return -1;
    root = folder("root");
    to = folder("to");
    return 0;
}

static int teardown(void **state)
{
    close(root);
    close(to);
    buf_release(&idx), buf_release(&args), buf_release(&reply);
    arena_release(&arena);
    return world_remove(state);
}

static bool has(int at, const char *path)
{
    struct stat st;
    return fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void ok(enum err err)
{
    if (err)
        fail_msg("%s", why.text);
}

static const struct manifest none = {0};

static enum err copy(uint64_t bytes_max)
{
    caps(false);
    buf_reset(&idx);
    enum err err = copy_root(root, to, ".crannog", &none, NULL, bytes_max, &idx, &why);
    caps(true);
    return err;
}

/* ---- copies ---- */

static void test_copy(void **state)
{
    (void)state;
    struct stat st;
    mkdirat(root, ".crannog", 0755), put(root, ".crannog/x", "x"), mkdirat(root, "d", 0755), mkdirat(root, "d/.crannog", 0755);
    mkfifoat(root, "fifo", 0644), put(root, "secret", "x"), fchmodat(root, "secret", 0, 0);
    mkdirat(root, "shut", 0000), symlinkat("/", root, "link"), symlinkat("loop", root, "loop");
    int fd = openat(root, "sparse", O_RDWR | O_CREAT, 0600);
    assert_true(ftruncate(fd, 100 << 20) == 0 && pwrite(fd, "middle", 6, 50 << 20) == 6 && fchmod(fd, 04750) == 0);
    close(fd);
    ok(copy(1 << 20));
    assert_true(!has(to, ".crannog") && has(to, "d/.crannog") && !has(to, "fifo") && !has(to, "secret") && !has(to, "shut"));
    assert_int_equal(fstatat(to, "sparse", &st, 0), 0);
    assert_true(st.st_size == 100 << 20 && st.st_blocks < 2000 && (st.st_mode & 07777) == 0750);
    char text[7] = "";
    fd = openat(to, "sparse", O_RDONLY);
    assert_true(pread(fd, text, 6, 50 << 20) == 6 && !strcmp(text, "middle") && pread(fd, text, 1, 1 << 20) == 1 && !text[0]);
    close(fd);
    char target[8] = "";
    assert_true(readlinkat(to, "link", target, 7) == 1 && target[0] == '/' && has(to, "loop"));
}

static void test_copy_bounds(void **state)
{
    (void)state;
    put(root, "a", "12345678"), put(root, "b", "12345678");
    assert_int_equal(copy(15), ERR_LIMIT);
    world_empty(to);
    ok(copy(16));
}

/* What a person does to the root after the copy was made shows, whatever the clock says. */
static void test_copy_moved(void **state)
{
    (void)state;
    struct seal s = {.root = root, .layer = to, .began_ns = INT64_MAX};
    struct sealed sealed;
    static const char *const names[] = {"edited", "left", "removed", "untouched"};
    for (size_t i = 0; i < 4; i++)
        put(root, names[i], "x");
    ok(copy(1 << 20));
    for (size_t i = 0; i < 3; i++)
        put(to, names[i], "y");
    put(to, "made", "y");
    put(root, "edited", "z"), unlinkat(root, "removed", 0), put(root, "untouched", "z");
    ok(seal_copy(&s, buf_slice(&idx), &arena, &sealed, &why));
    assert_int_equal(sealed.manifest.n, 4);
    for (size_t i = 0; i < 4; i++) {
        struct slice path = sealed.manifest.v[i].path;
        assert_int_equal(sealed.manifest.v[i].moved, slice_is(path, "edited") || slice_is(path, "removed"));
    }
    assert_true(has(to, "left") && !has(to, "untouched"));
    for (size_t n = 0; n < idx.n; n++) { /* any cut of the index is refused, or is an index of less */
        enum err err = seal_copy(&s, slice_sub(buf_slice(&idx), 0, n), &arena, &sealed, NULL);
        assert_true(err == ERR_CORRUPT || (!err && n >= 6));
    }
}

/* A step that hides its change: the same size, and the old mtime put back. */
static void test_copy_hidden_change(void **state)
{
    (void)state;
    struct seal s = {.root = root, .layer = to, .began_ns = INT64_MAX};
    struct sealed sealed;
    struct stat st;
    put(root, "f", "x");
    ok(copy(1 << 20));
    assert_int_equal(fstatat(to, "f", &st, 0), 0);
    usleep(10000); /* past the clock's grain */
    put(to, "f", "y");
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(utimensat(to, "f", times, 0), 0);
    ok(seal_copy(&s, buf_slice(&idx), &arena, &sealed, &why));
    assert_int_equal(sealed.manifest.n, 1);
}

/* ---- squash ---- */

static void test_squash_refuses(void **state)
{
    (void)state;
    struct seal s = {.root = root, .layer = folder("up"), .began_ns = INT64_MAX};
    struct sealed sealed;
    struct stat a, b;
    put(s.layer, "f", "x"), put(s.layer, "g", "x");
    ok(seal_overlay(&s, &arena, &sealed, &why));
    ok(squash(&sealed.manifest, &s.layer, to, true, &why));
    assert_true(fstatat(s.layer, "f", &a, 0) == 0 && fstatat(to, "f", &b, 0) == 0 && a.st_ino == b.st_ino);
    world_empty(to);
    struct change never = {.path = SLICE("never")};
    ok(squash(&(struct manifest){.v = &never, .n = 1}, &s.layer, to, true, &why));
    assert_false(has(to, "never")); /* a whiteout over nothing would be seen where a folder does not merge */
    put(to, "g", "y");
    assert_int_equal(squash(&sealed.manifest, &s.layer, to, true, &why), ERR_EXISTS);
    world_empty(to);
    put(s.layer, "f", "longer");
    assert_int_equal(squash(&sealed.manifest, &s.layer, to, true, &why), ERR_CORRUPT);
    unlinkat(s.layer, "f", 0);
    assert_int_equal(squash(&sealed.manifest, &s.layer, to, true, &why), ERR_CORRUPT);
    close(s.layer);
}

/* ---- survey ---- */

/* Each look at it is a second later. */
static int64_t slow_clock(void)
{
    static int64_t now;
    return now += 1000000000;
}

static void test_survey(void **state)
{
    (void)state;
    struct survey s;
    mkdirat(root, ".crannog", 0755), put(root, ".crannog/x", "x"), mkdirat(root, "d", 0755), put(root, "d/f", "x");
    put(root, "g", "x"), mkfifoat(root, "p", 0644), symlinkat("g", root, "l"), mkdirat(root, "shut", 0);
    caps(false);
    ok(survey_root(root, getuid(), getgid(), false, ".crannog", &s, &why));
    assert_true(s.files == 4 && s.folders == 2 && s.special == 1 && !s.cut && !s.foreign_owner && !s.foreign_group && !s.example[0]);
    ok(survey_root(root, getuid(), getgid() + 1, false, ".crannog", &s, &why));
    assert_true(s.foreign_owner == 0 && s.foreign_group == 6 && !strcmp(s.example, "d"));
    ok(survey_root(root, getuid() + 1, getgid() + 1, false, ".crannog", &s, &why));
    assert_true(s.foreign_owner == 6 && s.foreign_group == 0);
    ok(survey_root(root, getuid() + 1, getgid() + 1, true, ".crannog", &s, &why));
    assert_true(s.foreign_owner == 0 && !s.example[0] && !s.files); /* nothing can be foreign: nothing is looked at */
    struct sys slow = sys_real;
    slow.boottime_ns = slow_clock;
    sys = &slow;
    ok(survey_root(root, getuid() + 1, getgid(), false, ".crannog", &s, &why));
    sys = &sys_real;
    assert_true(s.cut && s.foreign_owner == 0);
    caps(true);
}

/* ---- folders ---- */

static void deep(int at, unsigned depth)
{
    int fd = dup(at);
    for (; depth; depth--) {
        assert_int_equal(mkdirat(fd, "0", 0755), 0);
        int next = openat(fd, "0", O_RDONLY | O_DIRECTORY);
        if (depth % 3 == 0)
            put(fd, "f", "x"), fchmod(fd, depth % 2 ? 0 : 0500);
        close(fd);
        fd = next;
    }
    close(fd);
}

static unsigned count(int at)
{
    struct arena a = ARENA_INIT(ARENA);
    struct manifest m = snapshot(at, true, &a);
    arena_release(&a);
    return (unsigned)m.n;
}

static void test_folders(void **state)
{
    (void)state;
    struct stat st;
    caps(false);
    ok(layer_make(to, "r7", NULL, getuid(), getgid(), 0750, &why));
    assert_true(fstatat(to, "r7", &st, 0) == 0 && (st.st_mode & 07777) == 0700);
    assert_true(fstatat(to, "r7/up", &st, 0) == 0 && (st.st_mode & 07777) == 0750 && has(to, "r7/work"));
    ok(layer_sync(to, "r7", &why));
    int up = openat(to, "r7/up", O_RDONLY | O_DIRECTORY);
    caps(true);
    deep(up, 3000);
    mkdirat(up, "1", 0), mkdirat(up, "shut", 0), symlinkat("../..", up, "way-out"), mkfifoat(up, "p", 0);
    close(up);
    caps(false);
    ok(layer_remove(to, "r7", "work", &why));
    assert_true(has(to, "r7/up") && !has(to, "r7/work"));
    ok(layer_make(to, "r7", "copy", getuid(), getgid(), 0755, &why)); /* an older one goes */
    assert_true(has(to, "r7/copy") && !has(to, "r7/up"));
    ok(layer_remove(to, "r7", NULL, &why));
    ok(layer_remove(to, "r7", NULL, &why));
    ok(layer_remove(to, "r7", "up", &why));
    assert_int_equal(count(to), 0);
    static const char *const bad[] = {"", ".", "..", "a/b", "/", ".trash-0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(layer_make(to, bad[i], NULL, 0, 0, 0755, &why), ERR_USAGE);
        assert_int_equal(layer_remove(to, bad[i], NULL, &why), ERR_USAGE);
    }
    caps(true);
}

/* Whatever call fails: after another try, or a sweep, it is gone and nothing else is. */
static void test_folder_faults(void **state)
{
    (void)state;
    unsigned failed = 0, calls = 0;
    for (unsigned n = 1; n == 1 || calls >= n - 1; n++) {
        ok(layer_make(to, "other", "up", getuid(), getgid(), 0755, &why));
        ok(layer_make(to, "r1", "up", getuid(), getgid(), 0755, &why));
        int up = openat(to, "r1/up", O_RDONLY | O_DIRECTORY);
        deep(up, 7);
        close(up);
        caps(false);
        sys_fail_nth(n, EIO, SYS_FAULT_FILE);
        enum err err = layer_remove(to, "r1", NULL, &why);
        calls = sys_calls();
        sys_fail_nth(0, 0, 0);
        failed += err != OK;
        if (err && n % 2)
            ok(layer_remove(to, "r1", NULL, &why));
        ok(layer_sweep(to, &why));
        caps(true);
        if (has(to, "r1"))
            ok(layer_remove(to, "r1", NULL, &why));
        assert_int_equal(count(to), 2);
    }
    assert_true(failed > 10);
}

/* A crannog that begins sweeps what another one is removing: both get through, and nothing is left. */
static void test_two_empty_one_trash(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        mkdirat(to, ".trash-0", 0755);
        for (int i = 0; i < 600; i++) { /* 200 times three folders in one another */
            char name[64];
            snprintf(name, sizeof name, ".trash-0/%d%s", i / 3, i % 3 == 0 ? "" : i % 3 == 1 ? "/x" : "/x/y");
            mkdirat(to, name, 0755);
        }
        int status = -1;
        pid_t other = fork();
        enum err err = layer_sweep(to, &why);
        if (other == 0)
            _exit(err ? 1 : 0);
        ok(err);
        assert_true(other > 0 && waitpid(other, &status, 0) == other);
        assert_int_equal(status, 0);
        assert_int_equal(count(to), 0);
    }
}

/* ---- applets ---- */

static struct slice path_of(const char *name)
{
    return slice_of(arena_printf(&arena, "%s/%s", world_path, name));
}

static enum err call(enum err (*applet)(struct slice, struct buf *, struct error *))
{
    buf_reset(&reply);
    caps(false);
    enum err err = applet(buf_slice(&args), &reply, &why);
    caps(true);
    buf_reset(&args);
    return err;
}

static void test_applets(void **state)
{
    (void)state;
    struct layer_sealed sealed, second;
    struct slice index, folders[2] = {path_of("up"), path_of("to")};
    int up = folder("up");
    put(root, "a", "x"), put(up, "a", "y"), put(up, "n", "x"), mkfifoat(up, "p", 0644);
    layer_seal_args(&args, path_of("root"), folders[0], INT64_MAX, SLICE(".crannog"), SLICE_NONE);
    ok(call(inside_seal));
    ok(layer_seal_reply(arena_copy(&arena, buf_slice(&reply)), &arena, &sealed, &why));
    assert_true(sealed.manifest.n == 2 && sealed.left_out == 1 && slice_is(sealed.left_example, "p"));

    layer_copy_args(&args, path_of("root"), folders[1], SLICE(".crannog"), 1 << 20, sealed.bytes, folders, 1);
    ok(call(inside_copy));
    ok(layer_copy_reply(arena_copy(&arena, buf_slice(&reply)), &index, &why));
    assert_true(has(to, "n"));
    put(to, "b", "x");
    layer_seal_copy_args(&args, path_of("root"), folders[1], INT64_MAX, SLICE(".crannog"), index);
    ok(call(inside_seal));
    ok(layer_seal_reply(arena_copy(&arena, buf_slice(&reply)), &arena, &second, &why));
    assert_true(second.manifest.n == 1 && slice_is(second.manifest.v[0].path, "b") && has(to, "b") && !has(to, "a"));

    struct manifest both[] = {sealed.manifest, second.manifest}, flat;
    ok(manifest_flatten(both, 2, &arena, &flat, &why));
    struct buf bytes = BUF_INIT(MANIFEST_BYTES_MAX);
    manifest_encode(&flat, &bytes);
    int squashed = folder("squashed");
    layer_squash_args(&args, folders, 2, buf_slice(&bytes), path_of("squashed"), true);
    ok(call(inside_squash));
    ok(layer_squash_reply(buf_slice(&reply), &why));
    assert_true(has(squashed, "a") && has(squashed, "b") && has(squashed, "n"));
    layer_squash_args(&args, folders, 1, buf_slice(&bytes), path_of("squashed"), true); /* a layer that is not given */
    assert_int_equal(call(inside_squash), ERR_CORRUPT);
    buf_release(&bytes);
    close(squashed), close(up);

    struct survey s;
    struct credentials masked;
    int secret = openat(root, ".env", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(secret >= 0 && close(secret) == 0);
    layer_survey_args(&args, path_of("root"), getuid(), getgid() + 1, false, SLICE(".crannog"));
    ok(call(inside_survey));
    ok(layer_survey_reply(buf_slice(&reply), &s, &masked, &why));
    assert_true(s.files == 2 && s.foreign_group == 2 && !strcmp(s.example, ".env"));
    assert_true(masked.n == 1 && !masked.cut && slice_is(masked.paths[0], ".env"));
    message_put(&reply, LAYER_MASKED, SLICE("../.env"));
    assert_int_equal(layer_survey_reply(buf_slice(&reply), &s, &masked, &why), ERR_CORRUPT);
    message_put(&args, LAYER_ROOT, SLICE("root"));
    assert_int_equal(call(inside_survey), ERR_CORRUPT);
    buf_add_text(&args, "no message");
    assert_int_equal(call(inside_seal), ERR_CORRUPT);
    assert_int_equal(layer_survey_reply(SLICE(""), &s, &masked, &why), ERR_CORRUPT);
    assert_int_equal(layer_seal_reply(SLICE(""), &arena, &sealed, &why), ERR_CORRUPT);
    assert_int_equal(layer_copy_reply(SLICE(""), &index, &why), ERR_CORRUPT);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_copy), TEST(test_copy_bounds), TEST(test_copy_moved), TEST(test_copy_hidden_change), TEST(test_squash_refuses), TEST(test_survey), TEST(test_folders),
        TEST(test_folder_faults), TEST(test_two_empty_one_trash), TEST(test_applets),
    };
    world_namespace();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
