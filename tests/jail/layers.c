/*
 * Layers in the real jail, as root and as a user: a step writes into its upper and nowhere else; layers show as they
 * were stacked; what a step leaves is what CHANGED says; owners and modes are those outside; the host's sockets are cut
 * off; everyday tools work; the disk limit ends a step, and only its own; an overlay that cannot be is NO_LAYERS; nothing
 * of its pieces is seen inside.
 *
 * Planted once and caught: layers in the wrong order; `userxattr` left out; the upper's clone read-only; a read-only
 * overlay not noticed; no nosuid and nodev; CHANGED always 0, always 1; descriptors past the first message forgotten; a
 * refusal that is not NO_LAYERS; the disk decided by free space alone; no look at it, none at removed files, at closed
 * and at deep folders; a file counted once a holder.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fs.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#undef system /* base/banned.h: a fixed command of the test is fine */

#include "base/sys.h"
#include "rig.h"

static char state[128]; /* where layers lie; only crannog's */

/* ---- plans with layers ---- */

static void run_outside(const char *script)
{
    char command[800];
    snprintf(command, sizeof command, "cd %s && export W=%s S=%s && %s", top, work, state, script);
    if (system(command) != 0)
        fail_msg("this failed outside: %s", script);
}

/* The folder of a layer, made anew, for as long as the program runs. */
static const char *layer_path(const char *name, const char *sub)
{
    static char paths[512][160];
    static unsigned turn;
    char *ret = paths[turn++ % 512];
    snprintf(ret, 160, "%s/%s%s", state, name, sub);
    return ret;
}

static const char *new_layer(const char *name)
{
    char up[200], inner[200];
    const char *path = layer_path(name, "");
    snprintf(up, sizeof up, "%s/up", path);
    snprintf(inner, sizeof inner, "%s/work", path);
    make_folder(path, 0700, root ? 0 : owner);
    make_folder(up, 0700, owner);
    make_folder(inner, 0700, owner);
    return path;
}

/* `names`: of layers, oldest first, blanks between; they live as long as the next call. */
static struct jail_mount overlay(const char *target, const char *names, const char *upper)
{
    static struct slice layers[16][JAIL_LAYERS_MAX];
    static unsigned turn;
    struct jail_mount m = {.kind = JAIL_LAYERS, .source = slice_of(work), .target = slice_of(target),
                           .layers = layers[turn++ % 16]};
    for (const char *at = names; *at;) {
        char name[64];
        size_t n = strcspn(at, " ");
        snprintf(name, sizeof name, "%.*s", (int)n, at);
        m.layers[m.nlayers++] = slice_of(layer_path(name, "/up"));
        at += n + strspn(at + n, " ");
    }
    m.upper = upper ? slice_of(upper) : SLICE_NONE;
    return m;
}

static struct jail_plan new_layered(const char *names, const char *upper)
{
    struct jail_plan p = new_plan();
    p.nmounts -= 3; /* /work, /ro, the cover */
    jail_plan_add(&p, overlay("/work", names, upper));
    jail_plan_add(&p, (struct jail_mount){.kind = JAIL_EMPTY, .target = SLICE("/work/.crannog"), .optional = true});
    return p;
}

/* A step: its output, static. *ret_changed may be NULL. */
static const char *step(const char *names, const char *upper, const char *script, bool *ret_changed)
{
    static char text[8192];
    struct jail_plan p = new_layered(names, upper);
    struct jail_result r = play_shell(&p, script);
    expect(&r, JAIL_EXITED, 0);
    snprintf(text, sizeof text, "%s", buf_str(&r.out));
    if (ret_changed)
        *ret_changed = r.changed;
    jail_result_release(&r);
    return text;
}

static int clean(void **state_)
{
    (void)state_;
    run_outside("chmod -R u+rwx $S && find $W $S -mindepth 1 -delete");
    return 0;
}

static bool is_whiteout(const char *path)
{
    struct stat st = look(path);
    return S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

/* ---- what is written, and where ---- */

static void test_writes_go_to_the_upper(void **state_)
{
    (void)state_;
    write_text(below(work, "a"), "a\n", 0640, owner);
    write_text(below(work, "gone"), "g\n", 0600, owner);
    const char *upper = new_layer("1");
    bool changed = false;
    assert_string_equal(step("", upper, "cat a gone; echo b >> a; echo n > new; rm gone; mkdir d; echo d > d/f; cat a; ls",
                             &changed), "a\ng\na\nb\na\nd\nnew\n");
    assert_true(changed);
    assert_int_equal(look(below(work, "a")).st_size, 2);
    assert_true(exists(below(work, "gone")) && !exists(below(work, "new")) && !exists(below(work, "d")));
    assert_int_equal(look(below(upper, "up/a")).st_size, 4);
    assert_int_equal(look(below(upper, "up/a")).st_mode & 07777, 0640);
    assert_int_equal(look(below(upper, "up/d/f")).st_size, 2);
    assert_true(is_whiteout(below(upper, "up/gone")));
}

static void test_stack(void **state_)
{
    (void)state_;
    make_folder(below(work, "d"), 0755, owner);
    write_text(below(work, "d/low"), "low", 0600, owner);
    write_text(below(work, "f"), "0", 0600, owner);
    step("", new_layer("1"), "printf 1 > f; printf 1 > one; printf 1 > d/one; printf 1 > away", NULL);
    step("1", new_layer("2"), "printf 2 > f; rm away; rm -rf d; mkdir d; printf 2 > d/two", NULL);
    step("1 2", new_layer("3"), "printf 3 > d/three; test ! -e away -a ! -e d/low -a ! -e d/one", NULL);
    const char *look_script = "cat f one; ls; ls d; cat d/two d/three";
    assert_string_equal(step("1 2 3", NULL, look_script, NULL), "21d\nf\none\nthree\ntwo\n23");
    assert_string_equal(step("1", NULL, "cat f; ls; ls d", NULL), "1away\nd\nf\none\nlow\none\n");
    assert_string_equal(step("", NULL, "cat f; ls; ls d", NULL), "0d\nf\nlow\n");
    assert_string_equal(step("1 2 3", new_layer("4"), look_script, NULL), "21d\nf\none\nthree\ntwo\n23");
}

static void test_read_only_without_upper(void **state_)
{
    (void)state_;
    write_text(below(work, "f"), "0", 0600, owner);
    step("", new_layer("1"), "echo x > x", NULL);
    const char *script = "for s in 'echo > new' 'echo >> f' 'rm f' 'mkdir d' 'chmod 700 f' 'touch f' 'mv f g' 'ln f g'; do "
                         "(eval \"$s\") 2>&1 | grep -q 'Read-only file system' || echo \"let: $s\"; done";
    bool changed = true;
    assert_string_equal(step("1", NULL, script, &changed), "");
    assert_false(changed);
    assert_string_equal(step("", NULL, script, NULL), "");
    assert_int_equal(look(layer_path("1", "/up")).st_nlink, 2);
}

static void test_nothing_changed(void **state_)
{
    (void)state_;
    bool changed = true;
    make_folder(below(work, "d"), 0755, owner);
    write_text(below(work, "d/f"), "text", 0600, owner);
    make_folder(below(work, ".crannog"), 0700, owner);
    write_text(below(work, ".crannog/key"), "k", 0600, owner);
    step("", new_layer("1"), "true", &changed);
    assert_false(changed);
    assert_string_equal(step("", new_layer("2"), "cat d/f; ls -laR >/dev/null; find . -type f | wc -l; exec 3<d/f; stat . >/dev/null; "
                             "echo x > /tmp/x; ls -A .crannog; (echo x > .crannog/x) 2>/dev/null || echo no; "
                             "rm -rf .crannog 2>/dev/null || echo no; mv .crannog y 2>/dev/null || echo no", &changed),
                        "text1\nno\nno\nno\n");
    assert_false(changed);
    step("", new_layer("3"), "touch d/f", &changed);
    assert_true(changed);
    step("", new_layer("4"), "rmdir d 2>/dev/null; rm d/f", &changed);
    assert_true(changed);
    struct jail_plan p = new_layered("", new_layer("5")); /* also of one that is ended */
    p.limits.wall_ms = 500;
    struct jail_result r = play_shell(&p, "echo x > x; sleep 9");
    expect(&r, JAIL_TIMEOUT, SIGKILL);
    assert_true(r.changed);
    jail_result_release(&r);
}

static void test_folders(void **state_)
{
    (void)state_;
    run_outside("mkdir -p $W/a/b $W/c && echo 1 > $W/a/b/f && echo 2 > $W/a/g && echo 3 > $W/c/h && chown -R --reference=$W $W");
    assert_string_equal(step("", new_layer("1"), "rm -rf a; mkdir a; ls -A a; mv c/h c/i; cat c/i; mv c e; cat e/i; ls; "
                             "mkdir -p n/m; mv n o; ls o; ln e/i e/j; cat e/j; ln -s e/j k; cat k", NULL),
                        "3\n3\na\ne\nm\n3\n3\n");
    assert_string_equal(step("1", NULL, "ls -A . a e o; cat k", NULL),
                        ".:\na\ne\nk\no\n\na:\n\ne:\ni\nj\n\no:\nm\n3\n");
    assert_true(exists(below(work, "a/b/f")) && exists(below(work, "c/h")));
}

/* ---- owners ---- */

static void owners(const char *name, uid_t uid)
{
    char text[100];
    bool is_root = root;
    const char *upper = new_layer(name);
    write_text(below(work, "mine"), "m", 0604, uid);
    if (is_root && (chown(work, uid, uid) < 0 || chown(below(upper, "up"), uid, uid) < 0 ||
                    chown(below(upper, "work"), uid, uid) < 0))
        fail_msg("chown");
    struct jail_plan p = new_layered("", upper);
    p.uid = p.gid = uid;
    snprintf(text, sizeof text, "%u:%u 604\n%u:%u 640\n%u:%u 700\n", uid, uid, uid, uid, uid, uid);
    assert_string_equal(output(&p, "umask 077; echo x > new; chmod 640 new; mkdir d; echo y >> mine; "
                                   "stat -c '%u:%g %a' mine new d"), text);
    const char *const names[] = {"up/mine", "up/new", "up/d"};
    for (size_t i = 0; i < 3; i++) {
        struct stat st = look(below(upper, names[i]));
        assert_true(st.st_uid == uid && st.st_gid == uid);
    }
    if (is_root && chown(work, owner, owner) < 0)
        fail_msg("chown");
}

static void test_owners(void **state_)
{
    (void)state_;
    owners("1", owner);
    if (!root)
        return;
    owners("2", 0);
    owners("3", 300000); /* beyond the range */
    write_text(below(work, "roots"), "r", 0644, 0); /* others' files are as outside */
    write_text(below(work, "shut"), "s", 0600, 0);
    assert_string_equal(step("", new_layer("4"), "stat -c %u roots; cat roots; (cat shut; echo >> roots; chmod 600 roots) "
                             "2>/dev/null || echo no; rm roots; ls", NULL), "0\nrno\nmine\nshut\n");
}

/* ---- walls ---- */

static int listen_at(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || chmod(path, 0777) < 0 || listen(fd, 5) < 0)
        fail_msg("cannot listen at %s: %s", path, strerror(errno));
    return fd;
}

static void test_host_sockets_are_cut(void **state_)
{
    (void)state_;
    char *fifo = below(work, "s.fifo");
    int fd = listen_at(below(work, "s"));
    assert_true(mkfifo(fifo, 0666) == 0 && chmod(fifo, 0666) == 0);
    int reader = open(fifo, O_RDONLY | O_NONBLOCK);
    struct jail_plan p = new_plan(); /* a plain mount lets it through: the test reaches what it means to */
    struct jail_result r = play_applet(&p, "host_socket", "/work/s");
    expect(&r, JAIL_EXITED, ERR_DENIED);
    jail_result_release(&r);
    p = new_layered("", new_layer("1"));
    r = play_applet(&p, "host_socket", "/work/s");
    expect(&r, JAIL_EXITED, 0);
    assert_false(r.changed);
    jail_result_release(&r);
    step("", new_layer("2"), "echo x > x", NULL);
    p = new_layered("2", NULL);
    r = play_applet(&p, "host_socket", "/work/s");
    expect(&r, JAIL_EXITED, 0);
    jail_result_release(&r);
    close(fd), close(reader);
}

static void attack_layered(const char *applet, const char *text, const char *upper_name)
{
    struct jail_plan p = new_layered("1", new_layer(upper_name));
    struct jail_result r = play_applet(&p, applet, text);
    expect(&r, JAIL_EXITED, 0);
    jail_result_release(&r);
}

static void test_pieces_are_not_seen(void **state_)
{
    (void)state_;
    step("", new_layer("1"), "echo x > x", NULL);
    attack_layered("pieces", top, "2");
    attack_layered("mounts", "", "3");
    attack_layered("outside_files", secret, "4");
    attack_layered("outside_files", state, "5");
    attack_layered("mounting", "", "6");
    attack_layered("visible", "", "7");
    attack_layered("overlay_attributes", "", "8");
    assert_string_equal(step("1 8", NULL, "ls attr; cat attr/f; cat x; ls /dev | wc -l", NULL), "f\nx\n13\n");
}

/* Links and devices that a jail left in its layer are nothing more to the next than what they are. */
static void test_hostile_layers(void **state_)
{
    (void)state_;
    step("", new_layer("1"), "ln -s /etc/shadow l; ln -s ../../../secret s; ln -s / r; mkfifo p; mkdir d; chmod 0 d", NULL);
    assert_string_equal(step("1", new_layer("2"), "cat l s 2>/dev/null; ls -d r/*/shadow 2>/dev/null; readlink l; rm -f l s; "
                             "chmod 700 d; ls", NULL), "/etc/shadow\nd\np\nr\n");
    step("1", new_layer("3"), "chmod 000 .", NULL);
}

static void refused(struct jail_plan *p, enum jail_how how, const char *word)
{
    struct jail_result r = play_shell(p, "true");
    if (r.how != how || !strstr(r.why, word))
        fail_msg("ended as %d, not %d with '%s': %s", r.how, how, word, r.why);
    assert_false(r.changed);
    jail_result_release(&r);
}

static void test_refusals(void **state_)
{
    (void)state_;
    char inner[300];
    snprintf(inner, sizeof inner, "%s/layers", work);
    make_folder(inner, 0755, owner);
    make_folder(below(inner, "up"), 0755, owner);
    struct slice below_source = slice_of(below(inner, "up"));
    struct jail_plan p = new_layered("", new_layer("1"));
    struct jail_mount *m = &p.mounts[p.nmounts - 2];
    m->layers[0] = below_source;
    m->nlayers = 1;
    refused(&p, JAIL_NO_LAYERS, "below that folder itself");
    refused(&p, JAIL_REFUSED, "empty"); /* the kernel has left something in the upper */
    m->upper = slice_of(new_layer("2"));
    m->layers[0] = SLICE("/no/such/layer");
    refused(&p, JAIL_REFUSED, "/no/such/layer");
    m->nlayers = 0;
    m->upper = SLICE("/no/such/upper");
    refused(&p, JAIL_REFUSED, "/no/such/upper");
    m->upper = slice_of(layer_path("1", "/up")); /* holds no up and work */
    refused(&p, JAIL_REFUSED, "1/up");
    m->upper = slice_of(layer_path("2", ""));
    m->source = SLICE("/no/such/source");
    refused(&p, JAIL_REFUSED, "/no/such/source");
    m->optional = true;
    p.cwd = SLICE("/");
    output(&p, "test ! -e /work/layers");
    m->source = slice_of(work);
    output(&p, "test -e /work/layers");
}

/* As root, who can mount such things: an upper where an overlay cannot be written, and one in memory, where it can. */
static void test_other_file_systems(void **state_)
{
    (void)state_;
    if (!root)
        skip();
    make_folder(below(state, "m"), 0755, 0);
    char *at = below(state, "m");
    char options[600];
    snprintf(options, sizeof options, "lowerdir=%s:%s", work, ro);
    assert_int_equal(mount("overlay", at, "overlay", 0, options), 0);
    struct jail_plan p = new_layered("m", NULL);
    p.mounts[p.nmounts - 2].layers[0] = slice_of(at);
    struct jail_result r = play_shell(&p, "true");
    assert_int_equal(r.how, JAIL_NO_LAYERS);
    jail_result_release(&r);
    assert_int_equal(umount2(at, MNT_DETACH), 0);
    const char *const kinds[] = {"ramfs", "tmpfs"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(mount("x", at, kinds[i], 0, NULL), 0);
        const char *upper = new_layer(i ? "m/t" : "m/r");
        p = new_layered("", upper);
        r = play_shell(&p, "echo x > x");
        bool ok = i ? r.how == JAIL_EXITED || r.how == JAIL_NO_LAYERS : r.how == JAIL_NO_LAYERS && r.why[0];
        umount2(at, MNT_DETACH);
        assert_true(ok);
        jail_result_release(&r);
    }
}

static bool set_immutable(const char *path, bool on)
{
    FD_CLEANUP int fd = open(path, O_RDONLY | O_DIRECTORY);
    int flags = 0;
    if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        return false;
    flags = on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
    return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

/* The kernel mounts an overlay that it cannot write read-only and says nothing. */
static void test_upper_that_cannot_be_written(void **state_)
{
    (void)state_;
    char inner[300];
    const char *upper = new_layer("1");
    snprintf(inner, sizeof inner, "%s/work", upper);
    if (!root || !set_immutable(inner, true))
        skip();
    struct jail_plan p = new_layered("", upper);
    struct jail_result r = play_shell(&p, "true");
    set_immutable(inner, false);
    assert_int_equal(r.how, JAIL_NO_LAYERS);
    assert_non_null(strstr(r.why, "cannot write"));
    jail_result_release(&r);
}

/* What is mounted below the source is not seen through an overlay. */
static void test_submounts(void **state_)
{
    (void)state_;
    if (!root)
        skip();
    char *sub = below(work, "sub");
    make_folder(sub, 0755, owner);
    assert_int_equal(mount(ro, sub, NULL, MS_BIND, NULL), 0);
    struct jail_plan p = new_layered("", new_layer("1"));
    struct jail_result r = play_shell(&p, "ls sub; echo x > sub/x");
    umount2(sub, MNT_DETACH);
    expect(&r, JAIL_EXITED, 0);
    assert_int_equal(r.out.n, 0);
    assert_false(exists(below(ro, "x")));
    jail_result_release(&r);
}

/* A user's kernel refuses a source with mounts below it (/dev has some on most machines), and the reason is said. */
static void test_submounts_of_a_user(void **state_)
{
    (void)state_;
    struct stat dev = look("/dev"), shm = {.st_dev = dev.st_dev};
    if (root || stat("/dev/shm", &shm) < 0 || shm.st_dev == dev.st_dev)
        skip();
    struct jail_plan p = new_layered("", new_layer("1"));
    p.mounts[p.nmounts - 2].source = SLICE("/dev");
    refused(&p, JAIL_NO_LAYERS, "mounted below /dev");
}

/* More pieces than one message takes: eight overlays of 32 layers. */
static void test_many_layers(void **state_)
{
    (void)state_;
    char names[200] = "", script[400] = "";
    for (int i = 0; i < JAIL_LAYERS_MAX; i++) {
        char name[16], path[200];
        snprintf(name, sizeof name, "%d", i);
        snprintf(path, sizeof path, "%s/up/%d", new_layer(name), i);
        write_text(path, name, 0644, owner);
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s ", name);
    }
    struct jail_plan p = new_layered(names, new_layer("u"));
    static char targets[7][16], uppers[7][16];
    for (int i = 0; i < 7; i++) {
        snprintf(targets[i], sizeof targets[i], "/more%d", i);
        snprintf(uppers[i], sizeof uppers[i], "u%d", i);
        jail_plan_add(&p, overlay(targets[i], names, new_layer(uppers[i])));
        snprintf(script + strlen(script), sizeof script - strlen(script), "ls /more%d | wc -l; echo %d > /more%d/31; ", i, i, i);
    }
    snprintf(script + strlen(script), sizeof script - strlen(script), "ls | wc -l; cat /more*/31 31");
    assert_string_equal(output(&p, script), "32\n32\n32\n32\n32\n32\n32\n32\n0\n1\n2\n3\n4\n5\n6\n31");
    assert_int_equal(look(layer_path("u6", "/up/31")).st_size, 2);
    assert_false(exists(layer_path("u", "/up/31")));
}

/* ---- the disk ---- */

static uint64_t blocks;

static int add_blocks(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)path, (void)type, (void)at;
    blocks += (uint64_t)st->st_blocks;
    return 0;
}

static uint64_t held(const char *upper)
{
    blocks = 0;
    nftw(below(upper, "up"), add_blocks, 16, FTW_PHYS);
    return blocks * 512;
}

static void over_disk(const char *name, uint64_t limit, const char *script, uint64_t most)
{
    const char *upper = new_layer(name);
    struct jail_plan p = new_layered("", upper);
    p.limits.disk = limit;
    struct jail_result r = play_shell(&p, script);
    expect(&r, JAIL_DISK, SIGKILL);
    assert_true(r.changed);
    assert_in_range(held(upper), limit, most);
    print_message("over its disk limit after %d ms with %d MB\n", (int)(r.wall_ns / 1000000), (int)(held(upper) >> 20));
    jail_result_release(&r);
}

static void test_disk_limit(void **state_)
{
    (void)state_;
    over_disk("1", 64 << 20, "dd if=/dev/zero of=big bs=1M count=10240 2>/dev/null", 1 << 30);
    unlink(layer_path("1", "/up/big"));
    over_disk("2", 8 << 20, "mkdir -p a/b/c; i=0; while :; do head -c 100000 /dev/zero > a/b/c/$i; i=$((i+1)); done", 1 << 30);
    over_disk("3", 8 << 20, "head -c 20000000 /dev/zero > f; sleep 9", 1 << 30);
    unlink(layer_path("3", "/up/f"));
    struct jail_plan p = new_layered("", new_layer("5")); /* under it: nothing happens; one file of many names is one */
    p.limits.disk = 8 << 20;
    output(&p, "head -c 5000000 /dev/zero > f; for i in 1 2 3 4 5 6 7 8 9; do ln f g$i; done; sleep 1.3; "
               "rm f g*; head -c 5000000 /dev/zero > h; sleep 0.3; truncate -s 1G sparse; sleep 0.3");
}

/* Empty files, folders, links and what marks removed ones: they cost no blocks, but the file system has not many. */
static void test_entries_limit(void **state_)
{
    (void)state_;
    const char *const scripts[] = {
        "i=0; while :; do mkdir $i; ln -s x $i/l; : > $i/f; i=$((i+1)); done",
        "mkdir d; cd d; i=0; while :; do : > f; ln f $i; i=$((i+1)); done",
    };
    for (size_t i = 0; i < 2; i++) {
        struct jail_plan p = new_layered("", new_layer(i ? "2" : "1"));
        p.limits.entries = 2000;
        struct jail_result r = play_shell(&p, scripts[i]);
        expect(&r, JAIL_ENTRIES, SIGKILL);
        jail_result_release(&r);
    }
    struct jail_plan p = new_layered("", new_layer("3")); /* under it, and what is gone again */
    p.limits.entries = 2000;
    output(&p, "for k in 1 2 3; do i=0; while test $i -lt 900; do : > $i; i=$((i+1)); done; sleep 1.1; rm -f [0-9]*; done");
}

/* A folder that is written into as it is, because there are no overlays: what lay there before does not count. */
static void test_limits_without_layers(void **state_)
{
    (void)state_;
    struct jail_plan p = new_layered("", "");
    struct jail_mount *m = &p.mounts[p.nmounts - 2]; /* /work */
    char copy[300];
    snprintf(copy, sizeof copy, "%s/as-it-is", top);
    assert_true(mkdir(copy, 0755) == 0 && chown(copy, p.uid, p.gid) == 0);
    *m = (struct jail_mount){.kind = JAIL_WRITE, .source = slice_of(copy), .target = m->target};
    output(&p, "head -c 6000000 /dev/zero > there; i=0; while test $i -lt 900; do : > $i; i=$((i+1)); done");
    p.limits.disk = 8 << 20;
    p.limits.entries = 1000;
    output(&p, "head -c 6000000 /dev/zero > more; sleep 1.3; rm more");
    struct jail_result r = play_shell(&p, "head -c 20000000 /dev/zero > more; sleep 9");
    expect(&r, JAIL_DISK, SIGKILL);
    jail_result_release(&r);
    r = play_shell(&p, "rm more; i=0; while :; do : > more$i; i=$((i+1)); done");
    expect(&r, JAIL_ENTRIES, SIGKILL);
    jail_result_release(&r);
}

/* Files that were removed and are still open, by whichever process. */
static void test_disk_limit_without_names(void **state_)
{
    (void)state_;
    const char *const scripts[] = {
        "exec 3>f; rm f; dd if=/dev/zero bs=1M count=64 >&3 2>/dev/null; sleep 9",
        "(exec 3>f; rm f; dd if=/dev/zero bs=1M count=64 >&3 2>/dev/null; sleep 9) & sleep 9",
    };
    for (size_t i = 0; i < 2; i++) {
        struct jail_plan p = new_layered("", new_layer(i ? "2" : "1"));
        p.limits.disk = 8 << 20;
        struct jail_result r = play_shell(&p, scripts[i]);
        expect(&r, JAIL_DISK, SIGKILL);
        jail_result_release(&r);
    }
}

/* Hidden in a folder that nobody may enter; root looks in, a user is taken at the file system's word. */
static void test_disk_limit_of_what_is_hidden(void **state_)
{
    (void)state_;
    struct jail_plan p = new_layered("", new_layer("1"));
    p.limits.disk = 8 << 20;
    struct jail_result r = play_shell(&p, "mkdir d; exec 3>d/f; chmod 000 d; dd if=/dev/zero bs=1M count=64 >&3 2>/dev/null; sleep 9");
    expect(&r, JAIL_DISK, SIGKILL);
    jail_result_release(&r);
    p = new_layered("", new_layer("2"));
    p.limits.disk = 8 << 20;
    r = play_shell(&p, "i=0; while test $i -lt 80; do mkdir d; cd d; i=$((i+1)); done; head -c 64000000 /dev/zero > f; sleep 9");
    expect(&r, JAIL_DISK, SIGKILL);
    jail_result_release(&r);
}

/* Somebody else fills the disk: no business of the step's, though many of its processes hold one removed file. */
static void test_disk_of_others(void **state_)
{
    (void)state_;
    char other[300];
    snprintf(other, sizeof other, "%s/other", top);
    struct jail_plan p = new_layered("", new_layer("1"));
    p.limits.disk = 4 << 20;
    words[0] = SLICE("sh");
    words[1] = SLICE("-c");
    words[2] = SLICE("exec 3>x; rm x; head -c 3000000 /dev/zero >&3; mkdir d; sleep 1 & sleep 1 & sleep 1.1");
    p.nargv = 3;
    struct peer peer = PEER_INIT;
    struct error e;
    assert_int_equal(jail_start(jail_path, &p, NULL, false, &peer, &e), OK);
    usleep(150000);
    int fd = open(other, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0 && posix_fallocate(fd, 0, 64 << 20) == 0);
    struct jail_result r = finish(&peer);
    close(fd), unlink(other);
    expect(&r, JAIL_EXITED, 0);
    jail_result_release(&r);
}

/* ---- everyday tools ---- */

/* Plays `script` over a fresh layer twice: the second on top of the first. Skipped where `tool` is not in /usr. */
static void tool(const char *program, const char *script, const char *again)
{
    struct jail_plan p = new_layered("", new_layer("1"));
    char command[100];
    snprintf(command, sizeof command, "command -v %s >/dev/null || exit 9", program);
    struct jail_result r = play_shell(&p, command);
    bool there = r.how == JAIL_EXITED && r.status == 0;
    jail_result_release(&r);
    if (!there) {
        print_message("skipped: %s is not in the jail's /usr\n", program);
        skip();
    }
    static struct slice env[] = {{"PATH=/usr/bin:/bin", 18}, {"HOME=/tmp", 9}};
    p = new_layered("", new_layer("2"));
    p.env = env;
    p.mounts[p.nmounts - 3].bytes = 64 << 20; /* /tmp */
    output(&p, script);
    p = new_layered("2", new_layer("3"));
    p.env = env;
    p.mounts[p.nmounts - 3].bytes = 64 << 20;
    output(&p, again);
}

static void test_git(void **state_)
{
    (void)state_;
    tool("git", "git init -q . && git config user.name n && git config user.email e@x && echo a > a && git add a && "
                "git commit -qm 1",
         "test -z \"$(git status --porcelain)\" && echo b >> a && git commit -qam 2 && git stash list && git gc -q && "
         "git checkout -q HEAD~1 && test \"$(cat a)\" = a && git fsck 2>&1 && git clone -q --no-hardlinks . /tmp/c");
}

static void test_make_and_gcc(void **state_)
{
    (void)state_;
    run_outside("printf 'int f(void);int main(void){return f();}' > $W/m.c && printf 'int f(void){return 0;}' > $W/f.c && "
                "printf 'p: m.o f.o\\n\\tcc -o $@ $^\\n%%.o: %%.c\\n\\tcc -c $<\\n' > $W/Makefile && chown -R --reference=$W $W");
    tool("gcc", "make && ./p && make -q", "make -q && touch f.c && ! make -q && make 2>&1 | grep -c 'cc -c' | grep -x 1 && ./p");
}

static void test_sqlite(void **state_)
{
    (void)state_;
    tool("sqlite3", "sqlite3 d 'pragma journal_mode=wal; create table t(x); insert into t values(1);'",
         "sqlite3 d 'insert into t values(2); select sum(x) from t; pragma integrity_check;' | tr '\\n' , | grep -x '3,ok,' && "
         "sqlite3 d 'pragma wal_checkpoint(truncate); vacuum;'");
}

static void test_python_venv(void **state_)
{
    (void)state_;
    tool("/usr/bin/python3", "/usr/bin/python3 -m venv --without-pip v && v/bin/python -c 'import sys; print(sys.prefix)'",
         "v/bin/python -c 'import json, sqlite3' && /usr/bin/python3 -m venv --without-pip --clear v && v/bin/python -c 1 && "
         "rm -rf v");
}

static void test_npm(void **state_)
{
    (void)state_;
    tool("npm", "mkdir dep app && echo '{\"name\":\"dep\",\"version\":\"1.0.0\",\"main\":\"i.js\"}' > dep/package.json && "
                "echo 'module.exports=7' > dep/i.js && echo '{\"name\":\"app\",\"version\":\"1.0.0\"}' > app/package.json && cd app && "
                "npm install --offline --no-audit --no-fund --install-links ../dep && node -e 'process.exit(require(\"dep\")-7)'",
         "cd app && npm install --offline --no-audit --no-fund --install-links ../dep && npm rm --offline --no-audit dep && "
         "test ! -e node_modules/dep");
}

/* ---- many at once ---- */

static void test_many_jails(void **state_)
{
    (void)state_;
    enum { JAILS = 200 };
    static struct peer peers[JAILS];
    struct error e;
    write_text(below(work, "f"), "x", 0644, owner);
    for (int i = 0; i < JAILS; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        struct jail_plan p = new_layered("", new_layer(name));
        words[0] = SLICE("sh");
        words[1] = SLICE("-c");
        words[2] = SLICE("cat f >> g; sleep 0.5; cat f >> g; rm f");
        p.limits.wall_ms = 120000;
        p.nargv = 3;
        peers[i] = PEER_INIT;
        if (jail_start(jail_path, &p, NULL, false, &peers[i], &e))
            fail_msg("%s", e.text);
    }
    for (int i = 0; i < JAILS; i++) {
        char name[16];
        struct jail_result r = finish(&peers[i]);
        expect(&r, JAIL_EXITED, 0);
        assert_true(r.changed);
        jail_result_release(&r);
        snprintf(name, sizeof name, "%d", i);
        assert_int_equal(look(layer_path(name, "/up/g")).st_size, 2);
    }
    assert_true(exists(below(work, "f")));
}

/* Whether the machine would let us, asked for without crannog-jail. */
static bool machine_can(void)
{
    char map[64], options[700];
    const char *upper = new_layer("asked");
    int status = 1;
    pid_t pid = fork();
    if (pid == 0) {
        snprintf(map, sizeof map, "0 %u 1", geteuid());
        snprintf(options, sizeof options, "userxattr,lowerdir=%s,upperdir=%s/up,workdir=%s/work", ro, upper, upper);
        int fd = unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? -1 : open("/proc/self/uid_map", O_WRONLY);
        _exit(fd < 0 || write(fd, map, strlen(map)) < 0 || mount("overlay", work, "overlay", 0, options) < 0);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* 0, or the status to end with: skipped where no overlay can be had, failed where only ours cannot. */
static int possible_here(void)
{
    struct jail_plan p = new_layered("", new_layer("first"));
    struct jail_result r = play_shell(&p, "true");
    int ret = r.how != JAIL_NO_LAYERS ? 0 : machine_can() ? 1 : SKIPPED;
    if (ret)
        printf("%s: %s\n", ret == SKIPPED ? "skipped" : "failed", r.why);
    jail_result_release(&r);
    return ret;
}

int main(int argc, char **argv)
{
    int status = rig_start(argc, argv);
    if (status)
        return status;
    snprintf(state, sizeof state, "%s/layers", top);
    make_folder(state, 0700, root ? 0 : owner);
#define TEST(f) cmocka_unit_test_setup(f, clean)
    const struct CMUnitTest tests[] = {
        TEST(test_writes_go_to_the_upper), TEST(test_stack), TEST(test_read_only_without_upper), TEST(test_nothing_changed),
        TEST(test_folders), TEST(test_owners), TEST(test_host_sockets_are_cut), TEST(test_pieces_are_not_seen),
        TEST(test_hostile_layers), TEST(test_refusals), TEST(test_other_file_systems), TEST(test_upper_that_cannot_be_written), TEST(test_submounts), TEST(test_submounts_of_a_user),
        TEST(test_many_layers), TEST(test_disk_limit), TEST(test_entries_limit), TEST(test_limits_without_layers), TEST(test_disk_limit_without_names),
        TEST(test_disk_limit_of_what_is_hidden), TEST(test_disk_of_others), TEST(test_git), TEST(test_make_and_gcc),
        TEST(test_sqlite), TEST(test_python_venv), TEST(test_npm), TEST(test_many_jails),
    };
    int failed = possible_here();
    failed = failed ? failed : cmocka_run_group_tests(tests, NULL, NULL);
    clean(NULL);
    tear_down();
    return failed;
}
