/*
 * Sealing, case by case, with uppers made by hand: each kind of thing in an upper is named as it must be and nothing else
 * (Z1); what below layers did is taken into account; what is hostile is refused, left out, or sealed without being followed
 * or waited for (Z3); what a step shut is opened and shut again; `moved` (Z4); how it is made durable (Z2); and whatever
 * system call fails, sealing again gives the same. Real overlays and copies: test_layer_property.c.
 *
 * Planted and caught, one at a time: a ctime at the edge taken for old, a folder taken for moved, a removed folder in which a
 * person worked (test_moved); opaque not looked at (test_opaque, test_below); the layers below not looked at (test_below);
 * mtime not compared (test_kinds); a mode not put back (test_shut, test_seal_faults); no syncfs (test_durable).
 */
#include "layer_world.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "layers/copy.h"
#include "layers/seal.h"
#include "layers/squash.h"

enum { ARENA = 64 * 1024 * 1024 };

static struct arena arena = ARENA_INIT(ARENA);
static int root = -1, up = -1;

static int setup(void **state)
{
    if (world_make_in_memory(state) < 0)
        return -1;
    root = folder("root");
    up = folder("up");
    return 0;
}

static int teardown(void **state)
{
    close(root);
    close(up);
    arena_release(&arena);
    return world_remove(state);
}

/* ---- things ---- */

static void set_time(int at, const char *path, time_t s)
{
    struct timespec t[2] = {{.tv_sec = s}, {.tv_sec = s, .tv_nsec = 5}};
    assert_int_equal(utimensat(at, path, t, AT_SYMLINK_NOFOLLOW), 0);
}

static void dir(int at, const char *path, mode_t mode)
{
    assert_int_equal(mkdirat(at, path, 0700), 0);
    assert_int_equal(fchmodat(at, path, mode, 0), 0);
}

static void whiteout(const char *path)
{
    assert_int_equal(mknodat(up, path, S_IFCHR, makedev(0, 0)), 0);
}

static void attribute(const char *path, const char *name, const char *value)
{
    int fd = openat(up, path, O_RDONLY);
    if (fsetxattr(fd, name, value, strlen(value), 0) < 0) {
        print_message("skipped: no attributes on this file system\n");
        close(fd);
        skip();
    }
    close(fd);
}

static struct seal sealing(void)
{
    return (struct seal){.root = root, .layer = up, .began_ns = INT64_MAX, .cover = ".crannog"};
}

/* The manifest as text: a line a change, "path before>after", with - F O L D for the types and a ! where it is moved. */
static const char *as_text(const struct manifest *m)
{
    struct buf b = BUF_INIT(1024 * 1024);
    for (size_t i = 0; i < m->n; i++)
        buf_addf(&b, "%.*s %c>%c%s\n", SLICE_ARG(m->v[i].path), "-FOLD"[m->v[i].before.type], "-FOLD"[m->v[i].after.type],
                 m->v[i].moved ? "!" : "");
    const char *text = arena_str(&arena, buf_slice(&b));
    buf_release(&b);
    return text;
}

static struct sealed sealed;

static void expect(const struct seal *s, const char *want)
{
    struct error e = {0};
    caps(false);
    enum err err = seal_overlay(s, &arena, &sealed, &e);
    caps(true);
    if (err)
        fail_msg("%s", e.text);
    assert_string_equal(as_text(&sealed.manifest), want);
}

static void expect_error(enum err want)
{
    struct error e = {0};
    struct seal s = sealing();
    caps(false);
    enum err err = seal_overlay(&s, &arena, &sealed, &e);
    caps(true);
    if (err != want || !e.text[0])
        fail_msg("%d, not %d: %s", err, want, e.text);
}

/* ---- what is seen (N5) ---- */

/* HEAD and packed-refs of a repository whose refs changed, as the step saw them; and nothing where no ref did. */
static void test_seen(void **state)
{
    (void)state;
    struct seal s = sealing();
    s.began_ns = INT64_MAX;
    dir(root, ".git", 0755), dir(root, ".git/refs", 0755), put(root, ".git/HEAD", "head"), put(root, ".git/refs/x", "1"), put(root, ".git/log", "1");
    dir(up, ".git", 0755), put(up, ".git/log", "2");
    expect(&s, ".git/log F>F\n");
    assert_int_equal(sealed.manifest.nseen, 0);
    dir(up, ".git/refs", 0755), put(up, ".git/refs/x", "2");
    expect(&s, ".git/log F>F\n.git/refs/x F>F\n");
    assert_int_equal(sealed.manifest.nseen, 2);
    assert_true(slice_is(sealed.manifest.seen[0].path, ".git/HEAD") && sealed.manifest.seen[0].was.size == 4);
    assert_true(!hash_is_zero(&sealed.manifest.seen[0].was.hash));
    assert_true(slice_is(sealed.manifest.seen[1].path, ".git/packed-refs") && sealed.manifest.seen[1].was.type == STAMP_ABSENT);
    s.began_ns = 0; /* somebody worked at it meanwhile: what the step saw is not known */
    expect(&s, ".git/log F>F!\n.git/refs/x F>F!\n");
    assert_true(hash_is_zero(&sealed.manifest.seen[0].was.hash));
    put(up, ".git/HEAD", "other");
    s.began_ns = INT64_MAX;
    expect(&s, ".git/HEAD F>F\n.git/log F>F\n.git/refs/x F>F\n");
    assert_int_equal(sealed.manifest.nseen, 1);
}

/* ---- what is named ---- */

static void test_kinds(void **state)
{
    (void)state;
    struct seal s = sealing();
    put(root, "changed", "old"), put(up, "changed", "new");
    put(root, "gone", "x"), whiteout("gone");
    whiteout("never-was");
    put(up, "new", "x");
    put(root, "same", "x"), put(up, "same", "x"), set_time(root, "same", 100), set_time(up, "same", 100);
    put(root, "touched", "x"), put(up, "touched", "x"), set_time(root, "touched", 100), set_time(up, "touched", 101);
    put(root, "mode", "x"), put(up, "mode", "x"), set_time(root, "mode", 100), set_time(up, "mode", 100), fchmodat(up, "mode", 04755, 0);
    assert_int_equal(symlinkat("/etc/passwd", up, "link"), 0);
    assert_int_equal(symlinkat("loop", up, "loop"), 0);
    put(root, "to-link", "x"), assert_int_equal(symlinkat("new", up, "to-link"), 0);
    dir(root, "folder", 0755), dir(up, "folder", 0755), put(root, "folder/a", "x"), put(up, "folder/b", "x"), set_time(up, "folder", 5);
    dir(root, "folder-mode", 0755), dir(up, "folder-mode", 0700);
    dir(up, "folder-new", 0755);
    put(root, "to-folder", "x"), dir(up, "to-folder", 0755), put(up, "to-folder/in", "x");
    dir(root, "to-file", 0755), put(root, "to-file/in", "x"), put(up, "to-file", "x");
    dir(root, "removed", 0755), dir(root, "removed/sub", 0755), put(root, "removed/sub/x", "x"), whiteout("removed");
    dir(up, ".crannog", 0755), put(up, ".crannog/x", "x"), dir(root, ".crannog", 0755);
    put(up, "\xff\n", "x");
    assert_int_equal(linkat(up, "new", up, "hard", 0), 0);
    expect(&s, "changed F>F\nfolder/b ->F\nfolder-mode D>D\nfolder-new ->D\ngone F>-\nhard ->F\nlink ->L\nloop ->L\nmode F>F\nnew ->F\n"
               "removed D>-\nremoved/sub D>-\nremoved/sub/x F>-\nto-file D>F\nto-file/in F>-\nto-folder F>D\nto-folder/in ->F\n"
               "to-link F>L\ntouched F>F\n\xff\n ->F\n");
    assert_int_equal(sealed.left_out, 0);
    const struct change *c = manifest_find(&sealed.manifest, SLICE("changed"));
    struct hash old = hash_of(SLICE("old")), new = hash_of(SLICE("new"));
    assert_true(hash_eq(&c->before.hash, &old) && hash_eq(&c->after.hash, &new) && c->after.size == 3 && c->before.ino);
    assert_int_equal(manifest_find(&sealed.manifest, SLICE("mode"))->after.mode, 04755);
}

static void test_opaque(void **state)
{
    (void)state;
    struct seal s = sealing();
    dir(root, "d", 0755), dir(root, "d/e", 0755), put(root, "d/e/f", "x"), put(root, "d/a", "x"), put(root, "d/b", "x");
    dir(up, "d", 0755), put(up, "d/a", "y"), put(up, "d/n", "x"), dir(up, "d/e", 0700);
    attribute("d", "user.overlay.opaque", "y");
    expect(&s, "d/a F>F\nd/b F>-\nd/e D>D\nd/e/f F>-\nd/n ->F\n");
    dir(root, "m", 0755), put(root, "m/a", "x"), dir(up, "m", 0755);
    attribute("m", "user.overlay.opaque", "n"); /* means nothing */
    expect(&s, "d/a F>F\nd/b F>-\nd/e D>D\nd/e/f F>-\nd/n ->F\n");
}

static void test_hostile_attributes(void **state)
{
    (void)state;
    put(up, "f", "x"), dir(up, "d", 0755);
    attribute("f", "user.overlay.metacopy", "");
    expect_error(ERR_CORRUPT);
    unlinkat(up, "f", 0);
    attribute("d", "user.overlay.redirect", "/x");
    expect_error(ERR_CORRUPT);
}

/* ---- layers between ---- */

static void test_below(void **state)
{
    (void)state;
    struct seal s = sealing();
    struct manifest below;
    put(root, "taken-back", "x"), set_time(root, "taken-back", 100);
    put(root, "gone-before", "x"), dir(root, "d", 0755), put(root, "d/x", "x"), dir(root, "e", 0755);
    put(up, "taken-back", "y"), put(up, "only-below", "x"), dir(up, "d", 0755), put(up, "d/n", "x"), put(up, "e", "x");
    attribute("d", "user.overlay.opaque", "y");
    whiteout("gone-before");
    expect(&s, "d/n ->F\nd/x F>-\ne D>F\ngone-before F>-\nonly-below ->F\ntaken-back F>F\n");
    below = sealed.manifest;
    s.below = &below;
    int first = up;
    up = s.layer = folder("up2");
    expect(&s, "");
    put(up, "taken-back", "x"), set_time(up, "taken-back", 100); /* as in the root, but not as below */
    whiteout("only-below");
    put(up, "gone-before", "x");
    dir(up, "d", 0755), put(up, "d/x", "x");
    attribute("d", "user.overlay.opaque", "y");
    dir(up, "e", 0755); /* over a file of below: made anew, though the root has the same */
    expect(&s, "d/n ->-\nd/x F>F\ne D>D\ngone-before F>F\nonly-below ->-\ntaken-back F>F\n");
    struct manifest both[] = {below, sealed.manifest}, flat;
    assert_int_equal(manifest_flatten(both, 2, &arena, &flat, NULL), OK);
    assert_string_equal(as_text(&flat), "d/x F>F\ne D>D\ngone-before F>F\n"); /* of mtime */
    whiteout("gone"); /* a folder that a person makes anew behind the whiteout of a layer below, and the step too */
    dir(root, "gone", 0755), put(root, "gone/x", "mine");
    struct change c = {.path = SLICE("gone"), .before = {.type = STAMP_FOLDER}};
    below = (struct manifest){.v = &c, .n = 1};
    unlinkat(up, "gone", 0), dir(up, "gone", 0755), put(up, "gone/x", "new"), put(up, "gone/y", "new");
    caps(false);
    assert_int_equal(seal_overlay(&s, &arena, &sealed, NULL), OK);
    caps(true);
    assert_true(manifest_find(&sealed.manifest, SLICE("gone/x"))->moved && !manifest_find(&sealed.manifest, SLICE("gone/y"))->moved);
    close(first);
}

/* ---- hostile things ---- */

static void test_left_out(void **state)
{
    (void)state;
    struct seal s = sealing();
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    put(root, "was", "x"), dir(up, "d", 0755);
    assert_int_equal(mkfifoat(up, "was", 0644), 0);
    assert_int_equal(mkfifoat(up, "d/fifo", 0644), 0);
    assert_int_equal(mkfifoat(root, "own", 0644) | mkfifoat(up, "own", 0600), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(at.sun_path, sizeof at.sun_path, "%s/up/socket", world_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    expect(&s, "d ->D\nwas F>-\n");
    close(fd);
    assert_int_equal(sealed.left_out, 3);
    assert_string_equal(sealed.left_example.p, "d/fifo");
    struct stat st;
    assert_true(fstatat(up, "was", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == 0);
    assert_true(fstatat(up, "d/fifo", &st, 0) < 0 && fstatat(up, "socket", &st, 0) < 0);
    expect(&s, "d ->D\nwas F>-\n"); /* and again, now that they are gone */
    assert_int_equal(sealed.left_out, 0);
}

static void deep(int at, unsigned depth)
{
    int fd = dup(at);
    for (; depth; depth--) {
        assert_int_equal(mkdirat(fd, "d", 0755), 0);
        int next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    close(fd);
}

static void test_deep(void **state)
{
    (void)state;
    struct seal s = sealing();
    deep(up, 64);
    caps(false);
    assert_int_equal(seal_overlay(&s, &arena, &sealed, NULL), OK);
    caps(true);
    assert_int_equal(sealed.manifest.n, 64);
    world_empty(up);
    deep(up, 65);
    expect_error(ERR_LIMIT);
    world_empty(up);
    deep(root, 65), whiteout("d");
    expect_error(ERR_LIMIT);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(fstatat(up, path, &st, AT_SYMLINK_NOFOLLOW), 0);
    return st.st_mode & 07777;
}

static void test_shut(void **state)
{
    (void)state;
    struct seal s = sealing();
    dir(up, "d", 0755), dir(up, "d/e", 0755), put(up, "d/e/f", "x"), put(up, "d/e/g", "y");
    fchmodat(up, "d/e/f", 0, 0), fchmodat(up, "d/e/g", 0200, 0), fchmodat(up, "d/e", 0, 0), fchmodat(up, "d", 0100, 0);
    for (int i = 0; i < 2; i++) {
        expect(&s, "d ->D\nd/e ->D\nd/e/f ->F\nd/e/g ->F\n");
        assert_true(mode_of("d") == 0100 && mode_of("d/e") == 0 && mode_of("d/e/f") == 0 && mode_of("d/e/g") == 0200);
        assert_int_equal(manifest_find(&sealed.manifest, SLICE("d/e/f"))->after.mode, 0);
        assert_int_equal(manifest_find(&sealed.manifest, SLICE("d/e"))->after.mode, 0);
    }
}

static void test_unreadable_root(void **state)
{
    (void)state;
    struct seal s = sealing();
    put(root, "secret", "x"), fchmodat(root, "secret", 0, 0), put(up, "secret", "y");
    dir(root, "shut", 0755), put(root, "shut/x", "x"), fchmodat(root, "shut", 0, 0), whiteout("shut");
    expect(&s, "secret O>F\nshut D>-\n");
    dir(world, "outside", 0755), put(world, "outside/x", "x");
    assert_int_equal(symlinkat("../outside", root, "way"), 0); /* a person put a link where the step saw a folder */
    dir(up, "way", 0755), put(up, "way/x", "y"), whiteout("way/gone");
    expect(&s, "secret O>F\nshut D>-\nway L>D\nway/x ->F\n");
}

/* ---- moved ---- */

static int64_t ctime_of(int at, const char *path)
{
    struct stat st;
    assert_int_equal(fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW), 0);
    return (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
}

static void test_moved(void **state)
{
    (void)state;
    struct seal s = sealing();
    put(root, "f", "x"), put(up, "f", "y"), put(up, "new", "x"), dir(root, "d", 0755), dir(up, "d", 0700);
    dir(root, "r", 0755), dir(root, "r/s", 0755), put(root, "r/s/x", "x"), whiteout("r");
    s.began_ns = ctime_of(root, "r/s/x") + SEAL_TICK_NS;
    usleep(2 * SEAL_TICK_NS / 1000);
    s.began_ns += SEAL_TICK_NS / 2; /* everything lies before */
    expect(&s, "d D>D\nf F>F\nnew ->F\nr D>-\nr/s D>-\nr/s/x F>-\n");
    s.began_ns = ctime_of(root, "f") + SEAL_TICK_NS; /* at the very edge */
    assert_true(manifest_find(&sealed.manifest, SLICE("f"))->before.ctime_ns == ctime_of(root, "f"));
    caps(false);
    assert_int_equal(seal_overlay(&s, &arena, &sealed, NULL), OK);
    caps(true);
    assert_true(manifest_find(&sealed.manifest, SLICE("f"))->moved);
    s.began_ns++;
    caps(false);
    assert_int_equal(seal_overlay(&s, &arena, &sealed, NULL), OK);
    caps(true);
    assert_false(manifest_find(&sealed.manifest, SLICE("f"))->moved);
    s.began_ns = ctime_of(root, "r/s/x") + SEAL_TICK_NS + SEAL_TICK_NS / 2;
    put(world, "other", "x"), set_time(world, "other", 3);
    usleep(2 * SEAL_TICK_NS / 1000);
    renameat(world, "other", root, "r/s/y"); /* a person works in a folder that the step removed */
    fchmodat(root, "f", 0600, 0);
    fchmodat(root, "d", 0770, 0); /* a folder is never moved */
    expect(&s, "d D>D\nf F>F!\nnew ->F\nr D>-\nr/s D>-!\nr/s/x F>-!\nr/s/y F>-!\n");
}

/* ---- durable ---- */

static unsigned fsyncs, syncfss;

static int count_fsync(int fd)
{
    fsyncs++;
    return fsync(fd);
}

static int count_syncfs(int fd)
{
    syncfss++;
    return syncfs(fd);
}

static void test_durable(void **state)
{
    (void)state;
    struct seal s = sealing();
    struct sys counting = sys_real;
    counting.fsync = count_fsync;
    counting.syncfs = count_syncfs;
    sys = &counting;
    dir(up, "d", 0755), put(up, "d/a", "x"), put(up, "d/b", "x"), whiteout("d/c");
    fsyncs = syncfss = 0;
    caps(false);
    assert_int_equal(seal_overlay(&s, &arena, &sealed, NULL), OK);
    caps(true);
    assert_true(fsyncs == 4 && syncfss == 0); /* two files, their folder, the folder above */
    for (int i = 0; i < SEAL_SYNC_EACH; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        put(up, name, "x");
    }
    fsyncs = syncfss = 0;
    caps(false);
    assert_int_equal(seal_overlay(&s, &arena, &sealed, NULL), OK);
    caps(true);
    assert_true(fsyncs == 0 && syncfss == 1);
    sys = &sys_real;
}

/* ---- faults ---- */

static void fill(void)
{
    put(root, "a", "x"), put(up, "a", "y"), whiteout("b"), put(root, "b", "x");
    dir(root, "d", 0755), put(root, "d/x", "x"), dir(up, "d", 0), dir(root, "r", 0755), put(root, "r/x", "x"), whiteout("r");
    fchmodat(up, "d", 0700, 0), put(up, "d/s", "s"), fchmodat(up, "d/s", 0, 0), fchmodat(up, "d", 0, 0);
    assert_int_equal(symlinkat("x", up, "l"), 0);
    put(root, "fifo", "x"), assert_int_equal(mkfifoat(up, "fifo", 0644), 0);
}

static const int errors[] = {EIO, ENOSPC, ENOMEM, EINTR};

/* No failing call is taken for success, and sealing once more gives what sealing at once would have given. */
static void test_seal_faults(void **state)
{
    (void)state;
    static const char want[] = "a F>F\nb F>-\nd D>D\nd/s ->F\nfifo F>-\nl ->L\nr D>-\nr/x F>-\n";
    struct seal s = sealing();
    for (size_t k = 0; k < sizeof errors / sizeof *errors; k++) {
        fill();
        unsigned failed = 0;
        for (unsigned n = 1;; n++) {
            caps(false);
            sys_fail_nth(n, errors[k], SYS_FAULT_FILE);
            struct error e = {0};
            enum err err = seal_overlay(&s, &arena, &sealed, &e);
            unsigned calls = sys_calls();
            sys_fail_nth(0, 0, 0);
            caps(true);
            if (err)
                assert_true(e.code == err && e.text[0]);
            else
                assert_string_equal(as_text(&sealed.manifest), want);
            failed += err != OK;
            if (mode_of("d") != 0)
                fail_msg("call %u: a folder stays open", n);
            fchmodat(up, "d", 0700, 0);
            if (mode_of("d/s") != 0)
                fail_msg("call %u: a file stays open", n);
            fchmodat(up, "d", 0, 0);
            expect(&s, want);
            arena_release(&arena);
            if (calls < n)
                break;
        }
        assert_true(failed > 20);
        world_empty(root), world_empty(up);
    }
}

static void test_squash_faults(void **state)
{
    (void)state;
    struct seal s = sealing();
    fill();
    caps(false);
    assert_int_equal(seal_overlay(&s, &arena, &sealed, NULL), OK);
    struct manifest first = sealed.manifest, flat;
    caps(true);
    int folders[] = {up, folder("up2")};
    s.layer = folders[1], s.below = &first;
    put(folders[1], "a", "z"), dir(folders[1], "n", 0750), put(folders[1], "n/x", "x"), set_time(folders[1], "n", 77);
    caps(false);
    assert_int_equal(seal_overlay(&s, &arena, &sealed, NULL), OK);
    struct manifest both[] = {first, sealed.manifest};
    caps(true);
    assert_int_equal(manifest_flatten(both, 2, &arena, &flat, NULL), OK);
    unsigned failed = 0, calls = 0;
    for (unsigned n = 1; n == 1 || calls >= n - 1; n++) {
        int to = folder("to");
        caps(false);
        sys_fail_nth(n, EIO, SYS_FAULT_FILE);
        struct error e = {0};
        enum err err = squash(&flat, folders, to, true, &e);
        calls = sys_calls();
        sys_fail_nth(0, 0, 0);
        failed += err != OK;
        assert_true(!err || (e.code == err && e.text[0]));
        if (squash(&flat, folders, to, true, &e))
            fail_msg("call %u: %s", n, e.text);
        caps(true);
        struct stat st;
        assert_true(fstatat(to, "n", &st, 0) == 0 && (st.st_mode & 07777) == 0750 && st.st_mtim.tv_sec == 77);
        assert_true(fstatat(to, "d", &st, 0) == 0 && (st.st_mode & 07777) == 0 && mode_of("d") == 0);
        ARENA_CLEANUP struct arena a = ARENA_INIT(ARENA);
        struct manifest tree = snapshot(to, true, &a);
        struct buf b = BUF_INIT(4096);
        for (size_t i = 0; i < tree.n; i++)
            buf_addf(&b, "%.*s %c\n", SLICE_ARG(tree.v[i].path), "-FOLD"[tree.v[i].after.type]);
        assert_string_equal(buf_str(&b), "a F\nb O\nd D\nd/s F\nfifo O\nl L\nn D\nn/x F\nr O\n");
        buf_release(&b);
        world_empty(to);
        close(to);
    }
    assert_true(failed > 20);
    close(folders[1]);
}

static void test_copy_faults(void **state)
{
    (void)state;
    put(root, "a", "x"), put(root, "b", "x"), dir(root, "d", 0750), put(root, "d/x", "x"), symlinkat("x", root, "l");
    struct seal s = sealing();
    put(up, "a", "y"), put(up, "d2", "x");
    caps(false);
    assert_int_equal(seal_overlay(&s, &arena, &sealed, NULL), OK);
    caps(true);
    struct manifest below = sealed.manifest;
    unsigned failed = 0, calls = 0;
    for (unsigned n = 1; n == 1 || calls >= n - 1; n++) {
        int to = folder("to");
        struct buf index = BUF_INIT(COPY_INDEX_MAX);
        struct error e = {0};
        caps(false);
        sys_fail_nth(n, EIO, SYS_FAULT_FILE);
        enum err err = copy_root(root, to, NULL, &below, &up, 1 << 20, &index, &e);
        calls = sys_calls();
        sys_fail_nth(0, 0, 0);
        failed += err != OK;
        assert_true(!err || (e.code == err && e.text[0]));
        if (err) { /* it starts from an empty folder */
            buf_reset(&index);
            caps(true), world_empty(to), caps(false);
            assert_int_equal(copy_root(root, to, NULL, &below, &up, 1 << 20, &index, NULL), OK);
        }
        caps(true);
        put(to, "b", "z"), unlinkat(to, "d/x", 0), put(to, "n", "x");
        s.layer = to;
        for (unsigned k = 1;; k++) { /* and of its seal */
            caps(false);
            sys_fail_nth(k, EIO, SYS_FAULT_FILE);
            err = seal_copy(&s, buf_slice(&index), &arena, &sealed, &e);
            sys_fail_nth(0, 0, 0);
            caps(true);
            if (!err)
                break;
            if (n > 1)
                k += 7; /* all of them once is enough */
        }
        assert_string_equal(as_text(&sealed.manifest), "b F>F\nd/x F>-\nn ->F\n");
        buf_release(&index);
        world_empty(to);
        close(to);
    }
    assert_true(failed > 20);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_kinds), TEST(test_seen), TEST(test_opaque), TEST(test_hostile_attributes), TEST(test_below), TEST(test_left_out), TEST(test_deep),
        TEST(test_shut), TEST(test_unreadable_root), TEST(test_moved), TEST(test_durable), TEST(test_seal_faults),
        TEST(test_squash_faults), TEST(test_copy_faults),
    };
    world_namespace();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
