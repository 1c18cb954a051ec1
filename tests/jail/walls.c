/*
 * The walls of the jail, tried from inside by real processes in the real program: what a plan shows is there and all
 * else is not (J1), environment and descriptors (J2), network (J3), the end of everything (J4), refusals (J5), limits,
 * owners on disk, answers.
 *
 *   walls root|user CRANNOG-JAIL ATTACKS     ATTACKS is a crannog-jail with the applets of attacks.c
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#undef system /* base/banned.h: a fixed command of the test is fine */

#include "base/sys.h"
#include "rig.h"

/* ---- J1: what is visible ---- */

static void test_outside_is_not_there(void **state)
{
    (void)state;
    attack("outside_files", secret);
    attack("visible", "");
    attack("mounts", "");
    attack("proc_tells", "");
}

/* Terminals of its own, as many as are good for a jail; they are no part of the machine's. */
static void test_terminals_inside(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    struct jail_result r = play_applet(&p, "terminals", "");
    expect(&r, JAIL_EXITED, 0);
    assert_int_equal(message_get_u64(buf_slice(&r.reply), 1, 0), 64);
    jail_result_release(&r);
    p = new_plan();
    assert_string_equal(output(&p, "script -qec 'tty; test -t 0 && stty rows 24 && echo to-tty > /dev/tty; echo /dev/pts/*' /tmp/typescript "
                                   "</dev/null | tr -d '\\r'"), "/dev/pts/0\nto-tty\n/dev/pts/0 /dev/pts/ptmx\n");
}

static void test_read_only_stays_so(void **state)
{
    (void)state;
    attack("read_only", "");
    assert_int_equal(look(below(ro, "file")).st_size, 4);
}

/* What is mounted below a read-only folder is read-only too (as root we can mount something there). */
static void test_submounts_are_read_only(void **state)
{
    (void)state;
    if (!root)
        skip();
    char *sub = below(ro, "sub");
    make_folder(sub, 0700, owner);
    write_text(below(work, "mark"), "", 0600, owner);
    assert_int_equal(mount(work, sub, NULL, MS_BIND, NULL), 0);
    struct jail_plan p = new_plan();
    struct jail_result r = play_shell(&p, "test -e /ro/sub/mark && ! touch /ro/sub/mark && ! touch /ro/sub/x");
    umount2(sub, MNT_DETACH);
    unlink(below(work, "mark"));
    rmdir(sub);
    expect(&r, JAIL_EXITED, 0);
    jail_result_release(&r);
}

static void test_special_files(void **state)
{
    (void)state;
    attack("special_files", "");
    struct jail_plan p = new_plan();
    jail_plan_add(&p, (struct jail_mount){JAIL_READ, slice_of(attacks_path), SLICE("/ro.program"), 0, false});
    output(&p, "/ro.program as-a-program");
    assert_false(exists(below(work, "s")));
    unlink(below(work, "plain"));
}

static void test_empty_covers(void **state)
{
    (void)state;
    char hidden[300];
    snprintf(hidden, sizeof hidden, "%s/.crannog", work);
    make_folder(hidden, 0700, owner);
    write_text(below(hidden, "key"), "k", 0600, owner);
    write_text(below(work, ".env"), "token", 0600, owner);
    struct jail_plan p = new_plan();
    jail_plan_add(&p, (struct jail_mount){JAIL_EMPTY, SLICE_NONE, SLICE("/work/.env"), 0, true});
    assert_string_equal(output(&p, "ls -A .crannog; cat .env; touch .crannog/x 2>/dev/null || echo no; "
                                   "(echo x > .env) 2>/dev/null || echo no; rm -rf .crannog 2>/dev/null || echo no; "
                                   "mv .crannog y 2>/dev/null || echo no"), "no\nno\nno\nno\n");
    assert_int_equal(look(below(work, ".env")).st_size, 5);
    unlink(below(hidden, "key"));
    unlink(below(work, ".env"));
    rmdir(hidden);
    p = new_plan(); /* nothing to cover: nothing is left behind either */
    jail_plan_add(&p, (struct jail_mount){JAIL_EMPTY, SLICE_NONE, SLICE("/work/apps/web/.env"), 0, true});
    output(&p, "true");
    write_text(below(work, "apps"), "a file now", 0600, owner);
    output(&p, "grep -q now apps");
    unlink(below(work, "apps"));
    assert_int_equal(symlink("/ro", below(work, "apps")), 0);
    output(&p, "test -L apps");
    unlink(below(work, "apps"));
    assert_false(exists(below(work, ".crannog")));
}

/* Links that an earlier jail may have laid where something is to be mounted. */
static void test_links_are_not_followed(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    assert_int_equal(symlink("/ro", below(work, ".crannog")), 0);
    struct jail_result r = play_shell(&p, "true");
    unlink(below(work, ".crannog"));
    expect(&r, JAIL_REFUSED, 0);
    assert_non_null(strstr(r.why, "symlink"));
    jail_result_release(&r);
    assert_int_equal(symlink("../usr", below(work, "a")), 0);
    jail_plan_add(&p, (struct jail_mount){JAIL_SCRATCH, SLICE_NONE, SLICE("/work/a/bin"), 4096, false});
    r = play_shell(&p, "true");
    unlink(below(work, "a"));
    expect(&r, JAIL_REFUSED, 0);
    assert_non_null(strstr(r.why, "symlink"));
    jail_result_release(&r);
}

/* J3: who holds a FIFO of the machine open meets nobody through what is shown; one by its own name is not shown; files are, also of what
   is mounted below (as root: an overlay would leave that out without a word). */
static void test_nobody_is_behind_what_is_shown(void **state)
{
    (void)state;
    char shown[300], under[320], held[8] = "";
    snprintf(shown, sizeof shown, "%s/shown", top);
    make_folder(shown, 0755, owner);
    write_text(below(shown, "file"), "f", 0644, owner);
    assert_int_equal(mkfifo(below(shown, "fifo"), 0666), 0);
    assert_int_equal(chmod(below(shown, "fifo"), 0666), 0);
    int fifo = open(below(shown, "fifo"), O_RDWR | O_NONBLOCK);
    assert_true(fifo >= 0 && write(fifo, "held", 4) == 4);
    const enum jail_mount_kind kinds[] = {JAIL_READ, JAIL_SHOWN};
    for (size_t i = 0; i < 2; i++) {
        struct jail_plan p = new_plan();
        jail_plan_add(&p, (struct jail_mount){.kind = kinds[i], .source = slice_of(shown), .target = SLICE("/shown")});
        assert_string_equal(output(&p, "cat /shown/file; ls /shown; dd if=/shown/fifo iflag=nonblock 2>/dev/null; dd of=/shown/fifo oflag=nonblock "
                                       "conv=notrunc if=/shown/file 2>/dev/null || echo no"), "ffifo\nfile\nno\n");
        jail_plan_add(&p, (struct jail_mount){.kind = kinds[i], .source = slice_of(below(shown, "fifo")), .target = SLICE("/fifo")});
        struct jail_result r = play_shell(&p, "true");
        expect(&r, JAIL_REFUSED, 0);
        assert_non_null(strstr(r.why, "a socket or a FIFO"));
        jail_result_release(&r);
    }
    assert_true(read(fifo, held, sizeof held) == 4 && memcmp(held, "held", 4) == 0);
    close(fifo);
    unlink(below(shown, "fifo"));
    snprintf(under, sizeof under, "%s/under", shown);
    make_folder(under, 0755, owner);
    if (root && mount("none", under, "tmpfs", 0, NULL) == 0) {
        write_text(below(under, "file"), "u", 0644, owner);
        struct jail_plan p = new_plan();
        jail_plan_add(&p, (struct jail_mount){.kind = JAIL_SHOWN, .source = slice_of(shown), .target = SLICE("/shown")});
        const char *got = output(&p, "cat /shown/file /shown/under/file; (echo x >/shown/under/file) 2>/dev/null || echo no");
        umount2(under, MNT_DETACH);
        assert_string_equal(got, "funo\n");
    }
    rmdir(under);
    unlink(below(shown, "file"));
    rmdir(shown);
}

static void test_scratch_is_sized(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    assert_string_equal(output(&p, "echo a > /tmp/a && cat /tmp/a; head -c 2000000 /dev/zero > /tmp/b 2>/dev/null || "
                                   "echo full; wc -c < /tmp/b; head -c 100 /dev/urandom | wc -c; echo x > /dev/null"),
                        "a\nfull\n1044480\n100\n");
}

/* Landlock alone keeps what the mounts keep. */
static void test_second_wall(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        execl(attacks_path, "attacks", "second-wall", work, ro, secret, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

/* A stream that was passed in can be opened again by its name. */
static void test_streams_by_name(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    char text[16] = "", path[300];
    snprintf(path, sizeof path, "%s/out", top);
    int out = open(path, O_RDWR | O_CREAT | O_APPEND, 0666), in = open("/dev/null", O_RDONLY);
    assert_true(out >= 0 && in >= 0 && fchmod(out, 0666) == 0);
    words[0] = SLICE("sh");
    words[1] = SLICE("-c");
    words[2] = SLICE("echo a >> /dev/stdout; echo b > /proc/self/fd/2; cat < /dev/stdin");
    p.nargv = 3;
    p.terminal = true;
    const int stdio[3] = {in, out, out};
    struct peer peer = PEER_INIT;
    struct error e;
    assert_int_equal(jail_start(jail_path, &p, stdio, false, &peer, &e), OK);
    struct jail_result r = finish(&peer);
    expect(&r, JAIL_EXITED, 0);
    jail_result_release(&r);
    assert_true(pread(out, text, sizeof text - 1, 0) > 0);
    assert_string_equal(text, "b\n"); /* opened anew it was emptied, as outside */
    close(in), close(out);
    unlink(path);
    p = new_plan();
    assert_string_equal(output(&p, "echo x > /dev/stderr; echo y > /dev/stdout"), "y\n");
}

/* ---- the kernel, other processes, rights ---- */

static void test_kernel_is_closed(void **state)
{
    (void)state;
    attack("mounting", "");
    attack("namespaces", "");
    attack("processes", "");
    attack("kernel", "");
    struct jail_plan p = new_plan();
    struct jail_result r = play_applet(&p, "foreign_call", "");
    expect(&r, JAIL_SIGNALLED, SIGSYS);
    jail_result_release(&r);
}

static void test_no_rights(void **state)
{
    (void)state;
    char uid[16];
    snprintf(uid, sizeof uid, "%u", owner);
    attack("rights", uid);
    struct jail_plan p = new_plan(); /* a setuid program gives nothing */
    assert_string_equal(output(&p, "for f in /usr/bin/su /usr/bin/passwd /usr/bin/mount; do test -u $f && echo setuid "
                                   "&& break; done; mount -t tmpfs x /tmp 2>/dev/null || echo no; "
                                   "su -c id root </dev/null >/dev/null 2>&1 || echo no"), "setuid\nno\nno\n");
}

static void id_map(uint32_t range, unsigned first)
{
    struct jail_plan p = new_plan();
    p.id_range = range;
    struct jail_result r = play_applet(&p, "id_map", "");
    expect(&r, JAIL_EXITED, 0);
    unsigned inside, outside, count;
    struct slice map = message_get(buf_slice(&r.reply), 1);
    assert_int_equal(sscanf(map.p, "%u %u %u", &inside, &outside, &count), 3);
    if (root)
        assert_true(inside == 0 && outside == first && count == 65536);
    else
        assert_true(inside == owner && outside == geteuid() && count == 1);
    jail_result_release(&r);
}

/* Ranges do not meet: the id behind the first one's is there too. */
static void test_ids(void **state)
{
    (void)state;
    id_map(0, 1879048192);
    id_map(1, 1879048192 + 65600);
    id_map(3999, 1879048192 + 3999 * 65600);
}

/* What is written belongs to the owner of `work` on disk, and the owner's private files can be read. */
static void owners(uid_t uid)
{
    char number[16];
    write_text(below(work, "private"), "mine", 0600, uid);
    if (root && chown(work, uid, uid) < 0)
        fail_msg("chown");
    struct jail_plan p = new_plan();
    p.uid = p.gid = uid;
    p.id_range = uid % 7; /* on disk it makes no difference */
    snprintf(number, sizeof number, "%u\nmine", uid);
    assert_string_equal(output(&p, "id -u; cat private; mkdir d; echo x > d/new; echo y >> private; chmod 640 d/new"),
                        number);
    struct stat st = look(below(work, "d/new"));
    assert_true(st.st_uid == uid && st.st_gid == uid && (st.st_mode & 07777) == 0640);
    assert_true(look(below(work, "d")).st_uid == uid && look(below(work, "private")).st_uid == uid);
    unlink(below(work, "d/new"));
    rmdir(below(work, "d"));
    unlink(below(work, "private"));
    if (root && chown(work, owner, owner) < 0)
        fail_msg("chown");
}

static void test_owners_on_disk(void **state)
{
    (void)state;
    owners(owner);
    if (root) {
        owners(0);      /* a folder of root itself */
        owners(300000); /* an id beyond the range */
    }
}

/* As root: files of others keep their walls. */
static void test_files_of_others(void **state)
{
    (void)state;
    if (!root)
        skip();
    write_text(below(work, "roots"), "r", 0600, 0);
    write_text(below(ro, "roots"), "r", 0600, 0);
    char system[128];
    snprintf(system, sizeof system, "%s/sys_only", top);
    make_folder(system, 0755, 0);
    write_text(below(system, "shadow"), "s", 0600, 0);
    write_text(below(system, "open"), "o", 0644, 0);
    struct jail_plan p = new_plan();
    jail_plan_add(&p, (struct jail_mount){JAIL_SYSTEM, slice_of(system), SLICE("/sys_only"), 0, false});
    p.cwd = SLICE("/");
    if (chmod(work, 0755) < 0 || chmod(ro, 0755) < 0)
        fail_msg("chmod");
    const char *script = "cat /work/roots 2>/dev/null || echo no; cat /ro/roots 2>/dev/null || echo no; "
                         "cat /sys_only/shadow 2>/dev/null || echo no; cat /sys_only/open";
    assert_string_equal(output(&p, script), "no\nno\nno\no");
    p.uid = p.gid = 0; /* the number of root opens root's files of the folders given, not those of the system */
    assert_string_equal(output(&p, script), "rrno\no");
    chmod(work, 0700), chmod(ro, 0700);
    unlink(below(work, "roots"));
    unlink(below(ro, "roots"));
    unlink(below(system, "shadow"));
    unlink(below(system, "open"));
    rmdir(system);
}

/* ---- J2 ---- */

static void test_environment_and_input(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    words[0] = SLICE("env");
    p.nargv = 1;
    setenv("CRANNOG_TEST_SECRET", "s", 1);
    signal(SIGHUP, SIG_IGN); /* as under nohup */
    struct jail_result r = play(jail_path, &p);
    expect(&r, JAIL_EXITED, 0);
    assert_string_equal(buf_str(&r.out), "PATH=/usr/bin:/bin\nA=1\n");
    jail_result_release(&r);
    assert_string_equal(output(&p, "wc -c; pwd; ls /proc/self/fd | wc -l; tr '\\0' '\\n' < /proc/self/environ | grep -c SECRET; "
                                   "echo $0"), "0\n/work\n4\n0\nsh\n");
    assert_string_equal(output(&p, "grep -E 'Sig(Blk|Ign)' /proc/self/status"),
                        "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

/* Of pid 1, and through it of whoever started it, nothing can be read by the program, which has its uid. */
static void test_first_process_is_shut(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    setenv("CRANNOG_TEST_SECRET", "s", 1);
    attack("first_process", "");
    assert_string_equal(output(&p, "for f in environ mem maps smaps auxv stack syscall io; do cat /proc/1/$f 2>/dev/null | head -c 9; done; "
                                   "ls /proc/1/fd /proc/1/map_files /proc/1/cwd/ /proc/1/root/ 2>/dev/null; readlink /proc/1/exe; "
                                   "readlink /proc/1/cwd; tr '\\0' ' ' < /proc/1/cmdline"), "crannog-jail ");
}

/* A descriptor that was left open for crannog-jail itself goes no further. */
static void test_inherited_descriptor(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    words[0] = SLICE("sh");
    words[1] = SLICE("-c");
    words[2] = SLICE("cat /proc/self/fd/50; cat <&4; cat <&3; ls /proc/self/fd | wc -l");
    p.nargv = 3;
    BUF_CLEANUP struct buf bytes = BUF_INIT(JAIL_PLAN_MAX);
    jail_plan_encode(&p, &bytes);
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    outgoing_put_large(&o, JAIL_PLAN, buf_slice(&bytes));
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    struct peer peer = {.pid = fork(), .socket = pair[0]};
    if (peer.pid == 0) {
        int fd = open(secret, O_RDONLY);
        dup2(fd, 50);
        dup2(pair[1], 3);
        dup2(50, 4);
        execl(jail_path, "crannog-jail", (char *)NULL);
        _exit(127);
    }
    close(pair[1]);
    struct error e;
    assert_int_equal(frame_send(peer.socket, JAIL_RUN, 1, &o, &e), OK);
    struct jail_result r = finish(&peer);
    assert_int_equal(r.how, JAIL_EXITED);
    assert_string_equal(buf_str(&r.out), "4\n");
    jail_result_release(&r);
}

static void test_terminal(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    int in[2], out[2];
    assert_true(pipe(in) == 0 && pipe(out) == 0 && write(in[1], "typed", 5) == 5);
    close(in[1]);
    words[0] = SLICE("cat");
    p.nargv = 1;
    p.terminal = true;
    const int stdio[3] = {in[0], out[1], out[1]};
    struct peer peer = PEER_INIT;
    struct error e;
    assert_int_equal(jail_start(jail_path, &p, stdio, false, &peer, &e), OK);
    struct jail_result r = finish(&peer);
    expect(&r, JAIL_EXITED, 0);
    char text[16] = "";
    assert_int_equal(read(out[0], text, sizeof text - 1), 5);
    assert_string_equal(text, "typed");
    jail_result_release(&r);
    close(in[0]), close(out[0]), close(out[1]);
}

/* J1: a folder as a descriptor would show all below it. */
static void test_terminal_folder(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    int folder = open("/", O_RDONLY | O_DIRECTORY), null = open("/dev/null", O_RDWR);
    words[0] = SLICE("true");
    p.nargv = 1;
    p.terminal = true;
    for (int i = 0; i < 3; i++) {
        int stdio[3] = {null, null, null};
        struct peer peer = PEER_INIT;
        struct error e;
        stdio[i] = folder;
        assert_int_equal(jail_start(jail_path, &p, stdio, false, &peer, &e), OK);
        struct jail_result r = finish(&peer);
        assert_int_equal(r.how, JAIL_REFUSED);
        assert_non_null(strstr(r.why, "folder"));
        jail_result_release(&r);
    }
    close(folder), close(null);
}

/* ---- J3 ---- */

static void test_network(void **state)
{
    (void)state;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un u = {.sun_family = AF_UNIX};
    socklen_t n = sizeof a;
    char text[200];
    int tcp = socket(AF_INET, SOCK_STREAM, 0), abstract = socket(AF_UNIX, SOCK_STREAM, 0);
    int name = snprintf(u.sun_path + 1, 90, "crannog-walls-%d", (int)getpid());
    assert_true(bind(tcp, (struct sockaddr *)&a, n) == 0 && listen(tcp, 5) == 0 &&
                getsockname(tcp, (struct sockaddr *)&a, &n) == 0);
    assert_true(bind(abstract, (struct sockaddr *)&u, (socklen_t)(sizeof u.sun_family + 1 + (size_t)name)) == 0 &&
                listen(abstract, 5) == 0);
    int check = socket(AF_INET, SOCK_STREAM, 0); /* from outside it can be reached: the refusal below is a wall's */
    assert_int_equal(connect(check, (struct sockaddr *)&a, n), 0);
    snprintf(text, sizeof text, "%u %s", ntohs(a.sin_port), u.sun_path + 1);
    attack("network", text);
    close(check), close(tcp), close(abstract);
}

/* ---- J4 ---- */

static void test_daemons_end(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    struct jail_result r = play_applet(&p, "daemonise", "");
    expect(&r, JAIL_EXITED, 0);
    assert_int_equal(r.leftover, 1);
    jail_result_release(&r);
    p = new_plan();
    r = play_shell(&p, "setsid sh -c 'touch /tmp/a; sleep 0.5; touch late' & "
                       "(trap '' TERM HUP; touch /tmp/b; sleep 0.5; touch late) & "
                       "until test -e /tmp/a -a -e /tmp/b; do sleep 0.01; done");
    expect(&r, JAIL_EXITED, 0);
    assert_true(r.leftover >= 2);
    assert_true(strstr(r.left, "sh") || strstr(r.left, "sleep"));
    jail_result_release(&r);
    p = new_plan(); /* a name is what the process says it is: letters only come through */
    r = play_shell(&p, "cp /usr/bin/sleep \"$(printf '/tmp/a\\033[31m')\" && \"$(printf '/tmp/a\\033[31m')\" 9 & sleep 0.5; exit 0");
    expect(&r, JAIL_EXITED, 0);
    assert_string_equal(r.left, "a.[31m");
    jail_result_release(&r);
    usleep(800000);
    assert_false(exists(below(work, "late")));
}

static off_t grown(const char *path)
{
    off_t before = look(path).st_size;
    usleep(300000);
    return look(path).st_size - before;
}

/* crannog-jail is killed: so is everything inside. */
static void test_dies_with_crannog_jail(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    struct peer peer = PEER_INIT;
    struct error e;
    char *beat = below(work, "beat");
    words[0] = SLICE("sh");
    words[1] = SLICE("-c");
    words[2] = SLICE("setsid sh -c 'while :; do echo x >> beat; sleep 0.02; done' & "
                     "while :; do echo x >> beat; sleep 0.02; done");
    p.nargv = 3;
    assert_int_equal(jail_start(jail_path, &p, NULL, false, &peer, &e), OK);
    for (int i = 0; i < 500 && (!exists(beat) || look(beat).st_size < 10); i++)
        usleep(10000);
    assert_true(grown(beat) > 0);
    peer_kill(&peer);
    usleep(100000);
    assert_int_equal(grown(beat), 0);
    unlink(beat);
}

/* The first process below `pid`, or 0. */
static pid_t child_of(pid_t pid)
{
    char path[64], text[32] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *f = fopen(path, "r");
    int child = f && fgets(text, sizeof text, f) ? atoi(text) : 0;
    if (f)
        fclose(f);
    return child;
}

/* One that waits for its plan has its pid 1 already; it plays the plan when it comes, and without one leaves nothing. */
static void test_kept_ready(void **state)
{
    (void)state;
    struct peer ready = PEER_INIT, peer = PEER_INIT;
    struct error e;
    pid_t inner = 0;
    assert_int_equal(jail_ready(jail_path, SLICE_NONE, &ready, &e), OK);
    for (int i = 0; i < 500 && !(inner = child_of(ready.pid)); i++)
        usleep(10000);
    assert_true(inner > 0);
    struct jail_plan p = new_plan();
    words[0] = SLICE("pwd");
    p.nargv = 1;
    assert_int_equal(jail_start_ready(&ready, jail_path, &p, NULL, false, &peer, &e), OK);
    assert_int_equal(child_of(peer.pid), inner);
    struct jail_result r = finish(&peer);
    expect(&r, JAIL_EXITED, 0);
    assert_string_equal(buf_str(&r.out), "/work\n");
    jail_result_release(&r);
    assert_int_equal(jail_ready(jail_path, SLICE_NONE, &ready, &e), OK);
    for (int i = 0; i < 500 && !(inner = child_of(ready.pid)); i++)
        usleep(10000);
    peer_kill(&ready);
    for (int i = 0; i < 500 && lives(inner); i++)
        usleep(10000);
    assert_false(lives(inner));
}

/* One that has built the beginning of a plan plays plans that begin so, and no other. */
static void test_built_ahead(void **state)
{
    (void)state;
    struct peer ready = PEER_INIT, peer = PEER_INIT;
    struct error e;
    BUF_CLEANUP struct buf beginning = BUF_INIT(JAIL_PLAN_MAX);
    struct jail_plan p = new_plan(), other = p;
    words[0] = SLICE("pwd");
    p.nargv = other.nargv = 1;
    jail_plan_beginning(&p, &beginning);
    assert_int_equal(jail_ready(jail_path, buf_slice(&beginning), &ready, &e), OK);
    assert_int_equal(jail_start_ready(&ready, jail_path, &p, NULL, false, &peer, &e), OK);
    struct jail_result r = finish(&peer);
    expect(&r, JAIL_EXITED, 0);
    assert_string_equal(buf_str(&r.out), "/work\n");
    jail_result_release(&r);
    other.mounts[0].target = SLICE("/elsewhere");
    assert_int_equal(jail_ready(jail_path, buf_slice(&beginning), &ready, &e), OK);
    assert_int_equal(jail_start_ready(&ready, jail_path, &other, NULL, false, &peer, &e), OK);
    r = finish(&peer);
    expect(&r, JAIL_REFUSED, 0);
    assert_non_null(strstr(r.why, "does not begin"));
    jail_result_release(&r);
    other.mounts[0] = (struct jail_mount){JAIL_SYSTEM, SLICE("/not-there"), SLICE("/not-there"), 0, false}; /* it cannot be built: said when the plan comes */
    buf_reset(&beginning);
    jail_plan_beginning(&other, &beginning);
    assert_int_equal(jail_ready(jail_path, buf_slice(&beginning), &ready, &e), OK);
    usleep(50000);
    assert_int_equal(jail_start_ready(&ready, jail_path, &other, NULL, false, &peer, &e), OK);
    r = finish(&peer);
    expect(&r, JAIL_REFUSED, 0);
    assert_non_null(strstr(r.why, "/not-there"));
    jail_result_release(&r);
    assert_int_equal(jail_ready(jail_path, SLICE("no plan"), &ready, &e), OK);
    assert_int_equal(jail_start_ready(&ready, jail_path, &p, NULL, false, &peer, &e), OK);
    r = finish(&peer);
    expect(&r, JAIL_REFUSED, 0);
    jail_result_release(&r);
}

/* An applet in a jail that stays, which is started for the first. ERR_GONE: it did not stay after all. */
static enum err stay(struct peer *jail, struct jail_plan *p, const char *applet, const char *text, struct jail_result *ret)
{
    BUF_CLEANUP struct buf args = BUF_INIT(4096);
    FRAME_CLEANUP struct frame f = FRAME_INIT;
    struct error e = {.code = OK};
    message_put(&args, 1, slice_of(text));
    p->applet = slice_of(applet);
    p->args = buf_slice(&args);
    p->nargv = 0;
    p->stays = true;
    enum err err = jail->pid ? jail_again(jail, p, &e) : jail_start(attacks_path, p, NULL, false, jail, &e);
    err = err ? err : frame_receive(jail->socket, &f, &e);
    if (err == OK && jail_result_parse(&f, ret, &e))
        fail_msg("%s", e.text);
    if (err || !ret->stays)
        peer_kill(jail);
    return err;
}

static void reads(struct peer *jail, struct jail_plan *p, const char *path, const char *want)
{
    struct jail_result r;
    assert_int_equal(stay(jail, p, "read_file", path, &r), OK);
    expect(&r, JAIL_EXITED, 0);
    struct slice got = message_get(buf_slice(&r.reply), 1);
    assert_int_equal(got.n, strlen(want));
    assert_memory_equal(got.p, want, got.n);
    assert_in_range(r.cpu_ns, 0, 200000000); /* its own, not of all */
    assert_true(jail->pid > 0);
    jail_result_release(&r);
}

/* The same view without a folder that can be written. */
static struct jail_plan looking_plan(void)
{
    struct jail_plan p = new_plan();
    for (size_t i = 0; i < p.nmounts; i++)
        if (p.mounts[i].kind == JAIL_WRITE)
            p.mounts[i].kind = JAIL_READ;
    return p;
}

/* A jail that stays plays one applet after the other, each as if it were the first; what no applet should have done ends it. */
static void test_stays(void **state)
{
    (void)state;
    struct peer jail = PEER_INIT;
    struct jail_plan p = looking_plan();
    struct jail_result r;
    p.limits.wall_ms = 300;
    p.limits.cpu_ms = 5000;
    write_text(below(work, "a"), "one\n", 0600, owner);
    reads(&jail, &p, "/work/a", "one\n");
    pid_t same = jail.pid;
    write_text(below(work, "a"), "two\n", 0600, owner);
    reads(&jail, &p, "/work/a", "two\n");
    usleep(400000); /* waiting is not working */
    assert_int_equal(stay(&jail, &p, "fail", "", &r), OK);
    expect(&r, JAIL_EXITED, ERR_MISSING);
    jail_result_release(&r);
    reads(&jail, &p, "/work/a", "two\n");
    assert_int_equal(jail.pid, same);
    assert_int_equal(stay(&jail, &p, "crash", "", &r), OK);
    expect(&r, JAIL_SIGNALLED, SIGSEGV);
    assert_false(r.stays);
    jail_result_release(&r);
    reads(&jail, &p, "/work/a", "two\n");
    p.limits.wall_ms = 20000;
    p.limits.memory = 1 << 30; /* other walls */
    assert_int_equal(stay(&jail, &p, "read_file", "/work/a", &r), OK);
    expect(&r, JAIL_REFUSED, 0);
    assert_non_null(strstr(r.why, "other walls"));
    jail_result_release(&r);
    reads(&jail, &p, "/work/a", "two\n");
    assert_int_equal(stay(&jail, &p, "daemonise", "", &r), OK);
    assert_true(r.leftover > 0);
    assert_false(r.stays);
    jail_result_release(&r);
}

/* Where something was put over what is covered, there is no next one; and nothing stays of one that is let go. */
static void test_stays_covered(void **state)
{
    (void)state;
    struct peer jail = PEER_INIT;
    struct jail_plan p = looking_plan();
    struct jail_result r;
    char from[200], to[200];
    write_text(below(work, "covered"), "secret\n", 0600, owner);
    write_text(below(work, "covered.new"), "secret\n", 0600, owner);
    write_text(below(work, "a"), "one\n", 0600, owner);
    jail_plan_add(&p, (struct jail_mount){JAIL_EMPTY, SLICE_NONE, SLICE("/work/covered"), 0, true});
    jail_plan_add(&p, (struct jail_mount){JAIL_EMPTY, SLICE_NONE, SLICE("/work/not-there"), 0, true});
    reads(&jail, &p, "/work/covered", "");
    reads(&jail, &p, "/work/covered", "");
    snprintf(from, sizeof from, "%s/covered.new", work);
    snprintf(to, sizeof to, "%s/covered", work);
    assert_int_equal(rename(from, to), 0); /* which takes the cover away, also inside */
    assert_int_equal(stay(&jail, &p, "read_file", "/work/covered", &r), ERR_GONE);
    reads(&jail, &p, "/work/covered", "");
    write_text(below(work, "not-there"), "secret\n", 0600, owner);
    assert_int_equal(stay(&jail, &p, "read_file", "/work/not-there", &r), ERR_GONE);
    reads(&jail, &p, "/work/not-there", "");
    pid_t inner = child_of(jail.pid);
    assert_true(inner > 0);
    jail_unready(&jail);
    for (int i = 0; i < 500 && lives(inner); i++)
        usleep(10000);
    assert_false(lives(inner));
    unlink(to);
    snprintf(to, sizeof to, "%s/not-there", work);
    unlink(to);
    p = new_plan(); /* it could keep what an applet wrote */
    assert_int_equal(stay(&jail, &p, "read_file", "/work/a", &r), OK);
    expect(&r, JAIL_REFUSED, 0);
    jail_result_release(&r);
}

static void test_timeout(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    p.limits.wall_ms = 1000;
    struct jail_result r = play_shell(&p, "echo began; trap '' TERM INT; (sleep 9; touch late) & sleep 9; touch late");
    expect(&r, JAIL_TIMEOUT, SIGKILL);
    assert_string_equal(buf_str(&r.out), "began\n");
    assert_in_range(r.wall_ns / 1000000, 1000, 5000);
    jail_result_release(&r);
}

/* ---- limits ---- */

static void test_cpu_limit(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    p.limits.cpu_ms = 300; /* together, though no process has a second */
    struct jail_result r = play_shell(&p, "while :; do :; done & while :; do :; done & while :; do :; done");
    expect(&r, JAIL_CPU, SIGKILL);
    assert_in_range(r.cpu_ns / 1000000, 300, 600);
    jail_result_release(&r);
}

static void test_process_limit(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    p.limits.processes = 20;
    struct jail_result r = play_applet(&p, "fork_many", "");
    expect(&r, JAIL_EXITED, 0);
    assert_int_equal(message_get_u64(buf_slice(&r.reply), 1, 0), 19); /* and itself */
    assert_int_equal(r.leftover, 19);
    jail_result_release(&r);
    p = new_plan();
    p.limits.processes = 50;
    p.limits.wall_ms = 1000;
    r = play_shell(&p, "f() { f | f & }; f; exec sleep 9");
    expect(&r, JAIL_TIMEOUT, SIGKILL);
    jail_result_release(&r);
}

static void test_memory_and_file_limits(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    p.limits.memory = 200 << 20;
    struct jail_result r = play_applet(&p, "allocate", "");
    expect(&r, JAIL_EXITED, 0);
    assert_in_range(message_get_u64(buf_slice(&r.reply), 1, 0), 100, 200);
    assert_in_range(r.rss, 100 << 20, 210 << 20);
    jail_result_release(&r);
    p = new_plan();
    p.limits.memory = 200 << 20;
    r = play_applet(&p, "reserve", "");
    expect(&r, JAIL_EXITED, 0);
    jail_result_release(&r);
    p = new_plan();
    p.limits.file_size = 1000;
    p.limits.files = 20;
    assert_string_equal(output(&p, "ulimit -n; (head -c 5000 /dev/zero > big) 2>/dev/null; wc -c < big; rm big"),
                        "20\n1000\n");
}

/* Whether something below the control groups has the name of a crannog-jail: "*" for any. */
static bool has_group(const char *name)
{
    char command[300];
    snprintf(command, sizeof command, "test -n \"$(find /sys/fs/cgroup -depth -type d -path '*/crannog/%s' -print -quit 2>/dev/null)\"", name);
    return system(command) == 0;
}

/* Memory of all processes together, whether by a control group or by pid 1; the program's own end is told as that. */
static void test_memory_of_all(void **state)
{
    (void)state;
    for (int early = 0; early < 2; early++) {
        struct peer ready = PEER_INIT, peer = PEER_INIT;
        struct error e;
        assert_int_equal(jail_ready(jail_path, SLICE_NONE, &ready, &e), OK);
        usleep(early ? 300000 : 0); /* time to be moved into a group */
        struct jail_plan p = new_plan();
        p.limits.memory_all = 64 << 20;
        p.limits.wall_ms = 40000;
        /* each process alone is far below; none of it goes by itself */
        words[0] = SLICE("sh");
        words[1] = SLICE("-c");
        words[2] = SLICE("for i in 1 2 3 4 5 6; do (x=$(head -c 12000000 /dev/zero | tr '\\0' x); sleep 6; echo $x | wc -c) & done; "
                         "wait; exit 3");
        p.nargv = 3;
        assert_int_equal(jail_start_ready(&ready, jail_path, &p, NULL, false, &peer, &e), OK);
        struct jail_result r = finish(&peer);
        if (r.how == JAIL_EXITED)
            assert_non_null(strstr(r.notes, "64 MiB of memory"));
        else
            expect(&r, JAIL_MEMORY, SIGKILL);
        jail_result_release(&r);
    }
}

/* A fork of many touches little of its own: what is shared is not counted for each. */
static void test_shared_memory_counts_once(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    p.limits.memory_all = 100 << 20;
    jail_plan_add(&p, (struct jail_mount){JAIL_READ, slice_of(attacks_path), SLICE("/ro.program"), 0, false});
    struct jail_result r = play_shell(&p, "exec /ro.program share");
    expect(&r, JAIL_EXITED, 0);
    jail_result_release(&r);
}

/* Nothing is left of control groups: after an end, and after a crannog-jail that was killed when others have started. */
static void test_groups_go(void **state)
{
    (void)state;
    struct peer peer = PEER_INIT;
    struct error e;
    char name[16];
    struct jail_plan p = new_plan();
    words[0] = SLICE("sleep");
    words[1] = SLICE("10");
    p.nargv = 2;
    assert_int_equal(jail_start(jail_path, &p, NULL, false, &peer, &e), OK);
    usleep(300000);
    snprintf(name, sizeof name, "%d", (int)peer.pid);
    bool had = has_group(name);
    peer_kill(&peer);
    if (!had)
        skip(); /* no groups here */
    for (int i = 0; i < 40 && has_group(name); i++)
        output(&p, "true");
    assert_false(has_group(name));
}

static void test_output_is_bounded(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    struct jail_result r = play_shell(&p, "echo first; head -c 20000000 /dev/zero | tr '\\0' x; echo last; echo e >&2");
    expect(&r, JAIL_EXITED, 0);
    assert_int_equal(r.out.n, 4000);
    assert_int_equal(r.out_dropped, 20000000 + 11 - 4000);
    assert_memory_equal(r.out.p, "first\nxxx", 9);
    assert_memory_equal(r.out.p + 4000 - 7, "xxlast\n", 7);
    assert_string_equal(buf_str(&r.err), "e\n");
    jail_result_release(&r);
}

static void test_no_core_file(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    struct jail_result r = play_shell(&p, "ulimit -c unlimited 2>/dev/null; kill -SEGV $$");
    expect(&r, JAIL_SIGNALLED, SIGSEGV);
    assert_false(exists(below(work, "core")));
    jail_result_release(&r);
}

/* ---- ends and answers ---- */

static void test_ends(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    struct jail_result r = play_shell(&p, "exit 7");
    expect(&r, JAIL_EXITED, 7);
    assert_true(r.cpu_ns > 0 && r.wall_ns > 0 && r.rss > 100000 && r.leftover == 0);
    jail_result_release(&r);
    words[0] = SLICE("no-such-program");
    r = play(jail_path, &p);
    expect(&r, JAIL_EXITED, 127);
    assert_non_null(strstr(r.why, "no-such-program"));
    jail_result_release(&r);
    words[0] = SLICE("/ro/file");
    r = play(jail_path, &p);
    expect(&r, JAIL_EXITED, 126);
    jail_result_release(&r);
}

static void test_answers(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    struct jail_result r = play_applet(&p, "big_answer", "20000000");
    expect(&r, JAIL_EXITED, 0);
    assert_int_equal(r.reply.n, 20000000);
    assert_true(r.reply.p[0] == 'r' && r.reply.p[19999999] == 'r');
    jail_result_release(&r);
    r = play_applet(&p, "big_answer", "99000000");
    expect(&r, JAIL_EXITED, ERR_LIMIT);
    jail_result_release(&r);
    r = play_applet(&p, "fail", "");
    expect(&r, JAIL_EXITED, ERR_MISSING);
    assert_string_equal(r.why, "it is not there");
    assert_int_equal(r.reply.n, 0);
    jail_result_release(&r);
    r = play_applet(&p, "no_answer", "");
    expect(&r, JAIL_EXITED, ERR_CORRUPT);
    jail_result_release(&r);
    r = play_applet(&p, "bad_answer", "");
    expect(&r, JAIL_EXITED, ERR_CORRUPT);
    jail_result_release(&r);
    r = play_applet(&p, "two_tongues", "");
    expect(&r, JAIL_EXITED, ERR_CORRUPT);
    jail_result_release(&r);
    r = play_applet(&p, "crash", "");
    expect(&r, JAIL_SIGNALLED, SIGSEGV);
    jail_result_release(&r);
}

/* ---- J5 ---- */

/* What a cache has is found, what is written to it is seen by this jail alone; what is not there is an empty folder. */
static void test_caches(void **state)
{
    (void)state;
    char *cache = below(top, "cache");
    make_folder(cache, 0755, owner);
    write_text(below(cache, "old"), "old", 0644, owner);
    struct jail_plan p = new_plan();
    jail_plan_add(&p, (struct jail_mount){.kind = JAIL_SCRATCH, .target = SLICE("/home"), .bytes = 1 << 20});
    jail_plan_add(&p, (struct jail_mount){.kind = JAIL_CACHE, .source = slice_of(below(top, "cache")), .target = SLICE("/home/x/cache"), .bytes = 1 << 20});
    jail_plan_add(&p, (struct jail_mount){.kind = JAIL_CACHE, .source = SLICE("/no/such/cache"), .target = SLICE("/home/x/none"), .optional = true});
    output(&p, "cd /home/x/cache && test \"$(cat old)\" = old && echo new >old && echo y >new && rm old && ! test -e old && mkdir old && echo z >old/f");
    output(&p, "cd /home/x/cache && test \"$(cat old)\" = old && test $(ls | wc -l) = 1");
    output(&p, "! head -c 3000000 /dev/zero >/home/x/cache/large"); /* it is bounded */
    output(&p, "touch /home/x/beside"); /* folders on the way are the jail's own, as all of a scratch folder is */
    output(&p, "! test -e /home/x/none || touch /home/x/none/f");
    assert_true(exists(below(cache, "old")) && !exists(below(cache, "new")));
}

/* A file of ours can be read and changed, and is there anew in the next jail; where nobody may write there is none. */
static void test_files(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    jail_plan_add(&p, (struct jail_mount){.kind = JAIL_SCRATCH, .target = SLICE("/home/me"), .bytes = 1 << 20});
    jail_plan_add(&p, (struct jail_mount){.kind = JAIL_FILE, .target = SLICE("/home/me/a/file"), .text = SLICE("hello\n")});
    jail_plan_add(&p, (struct jail_mount){.kind = JAIL_FILE, .target = SLICE("/etc/made"), .text = SLICE("x\n")});
    output(&p, "test \"$(cat /home/me/a/file)\" = hello && echo more >>/home/me/a/file && mv /home/me/a/file /home/me/b && test $(cat /etc/made) = x");
    output(&p, "test \"$(cat /home/me/a/file)\" = hello && ! test -e /home/me/b && ! touch /etc/other");
    jail_plan_add(&p, (struct jail_mount){.kind = JAIL_FILE, .target = SLICE("/work/made"), .text = SLICE("x\n")});
    struct jail_result r = play_shell(&p, "true");
    expect(&r, JAIL_REFUSED, 0);
    assert_false(exists(below(work, "made")));
    jail_result_release(&r);
}

static void test_refusals(void **state)
{
    (void)state;
    struct jail_plan p = new_plan();
    jail_plan_add(&p, (struct jail_mount){JAIL_READ, SLICE("/no/such/folder"), SLICE("/x"), 0, true});
    output(&p, "! test -e /x");
    p.mounts[p.nmounts - 1].optional = false;
    struct jail_result r = play_shell(&p, "true");
    expect(&r, JAIL_REFUSED, 0);
    assert_non_null(strstr(r.why, "/no/such/folder"));
    jail_result_release(&r);
    p = new_plan();
    r = play_applet(&p, "no_such_applet", "");
    expect(&r, JAIL_REFUSED, 0);
    jail_result_release(&r);
    p = new_plan(); /* a plan that lost a mount is not played, whoever looked at it before */
    while (jail_plan_add(&p, p.mounts[0]))
        continue;
    struct peer peer = PEER_INIT;
    assert_int_equal(jail_start(jail_path, &p, NULL, false, &peer, NULL), ERR_LIMIT);
    p = new_plan(); /* a mount point is never made in a person's folder */
    jail_plan_add(&p, (struct jail_mount){JAIL_SCRATCH, SLICE_NONE, SLICE("/work/made"), 4096, false});
    r = play_shell(&p, "true");
    expect(&r, JAIL_REFUSED, 0);
    assert_false(exists(below(work, "made")));
    jail_result_release(&r);
    p.uid = UINT32_MAX; /* not a plan */
    r = play_shell(&p, "true");
    expect(&r, JAIL_REFUSED, 0);
    jail_result_release(&r);
}

int main(int argc, char **argv)
{
    int status = rig_start(argc, argv);
    if (status)
        return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outside_is_not_there), cmocka_unit_test(test_read_only_stays_so),
        cmocka_unit_test(test_submounts_are_read_only), cmocka_unit_test(test_special_files),
        cmocka_unit_test(test_empty_covers), cmocka_unit_test(test_nobody_is_behind_what_is_shown), cmocka_unit_test(test_links_are_not_followed),
        cmocka_unit_test(test_scratch_is_sized), cmocka_unit_test(test_terminals_inside), cmocka_unit_test(test_second_wall), cmocka_unit_test(test_streams_by_name),
        cmocka_unit_test(test_kernel_is_closed), cmocka_unit_test(test_no_rights), cmocka_unit_test(test_ids),
        cmocka_unit_test(test_owners_on_disk), cmocka_unit_test(test_files_of_others),
        cmocka_unit_test(test_environment_and_input), cmocka_unit_test(test_inherited_descriptor), cmocka_unit_test(test_first_process_is_shut),
        cmocka_unit_test(test_terminal), cmocka_unit_test(test_terminal_folder), cmocka_unit_test(test_network), cmocka_unit_test(test_daemons_end),
        cmocka_unit_test(test_dies_with_crannog_jail), cmocka_unit_test(test_kept_ready), cmocka_unit_test(test_built_ahead), cmocka_unit_test(test_stays),
        cmocka_unit_test(test_stays_covered), cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_cpu_limit), cmocka_unit_test(test_process_limit),
        cmocka_unit_test(test_memory_and_file_limits), cmocka_unit_test(test_memory_of_all),
        cmocka_unit_test(test_shared_memory_counts_once), cmocka_unit_test(test_groups_go), cmocka_unit_test(test_output_is_bounded),
        cmocka_unit_test(test_no_core_file), cmocka_unit_test(test_ends), cmocka_unit_test(test_answers),
        cmocka_unit_test(test_caches), cmocka_unit_test(test_files), cmocka_unit_test(test_refusals),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tear_down();
    return failed;
}
