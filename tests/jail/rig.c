#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#undef system /* base/banned.h: a fixed command of the test is fine */

#include "base/sys.h"

enum { OWNER = 1000, USER = 1234 };

char top[64], jail_path[128], attacks_path[128], work[128], ro[128], secret[128];
bool root;
uid_t owner;
struct slice words[16];

/* ---- playing plans ---- */

static struct slice environment[] = {{"PATH=/usr/bin:/bin", 18}, {"A=1", 3}};

struct jail_plan new_plan(void)
{
    struct jail_plan p = {.uid = owner, .gid = owner, .cwd = SLICE("/work"), .argv = words, .env = environment,
                          .nenv = 2, .limits = {.wall_ms = 20000, .output = 4000}};
    jail_plan_add_system(&p);
    jail_plan_add(&p, (struct jail_mount){JAIL_SCRATCH, SLICE_NONE, SLICE("/tmp"), 1 << 20, false});
    jail_plan_add(&p, (struct jail_mount){JAIL_WRITE, slice_of(work), SLICE("/work"), 0, false});
    jail_plan_add(&p, (struct jail_mount){JAIL_READ, slice_of(ro), SLICE("/ro"), 0, false});
    jail_plan_add(&p, (struct jail_mount){JAIL_EMPTY, SLICE_NONE, SLICE("/work/.crannog"), 0, true});
    return p;
}

struct jail_result finish(struct peer *peer)
{
    struct error e = {.code = OK};
    FRAME_CLEANUP struct frame f = FRAME_INIT;
    struct jail_result r = {.how = 0};
    if (frame_receive(peer->socket, &f, &e) || jail_result_parse(&f, &r, &e))
        fail_msg("%s", e.text);
    peer_kill(peer);
    return r;
}

/* Every other one by a jail that has built the plan's beginning ahead, which makes no difference (JAIL_AHEAD=1: each). */
struct jail_result play(const char *program, const struct jail_plan *p)
{
    static unsigned n;
    struct error e = {.code = OK};
    struct peer ready = PEER_INIT, peer = PEER_INIT;
    BUF_CLEANUP struct buf beginning = BUF_INIT(JAIL_PLAN_MAX), whole = BUF_INIT(JAIL_PLAN_MAX);
    jail_plan_encode(p, &whole);
    jail_plan_beginning(p, &beginning);
    if ((n++ % 2 || getenv("JAIL_AHEAD")) && buf_ok(&whole) && jail_ready(program, buf_slice(&beginning), &ready, &e))
        fail_msg("%s", e.text);
    if (jail_start_ready(&ready, program, p, NULL, false, &peer, &e))
        fail_msg("%s", e.text);
    return finish(&peer);
}

/* `sh -c script` in the real program. */
struct jail_result play_shell(struct jail_plan *p, const char *script)
{
    words[0] = SLICE("sh");
    words[1] = SLICE("-c");
    words[2] = slice_of(script);
    p->nargv = 3;
    return play(jail_path, p);
}

struct jail_result play_applet(struct jail_plan *p, const char *applet, const char *text)
{
    BUF_CLEANUP struct buf args = BUF_INIT(4096);
    message_put(&args, 1, slice_of(text));
    p->applet = slice_of(applet);
    p->args = buf_slice(&args);
    p->nargv = 0;
    return play(attacks_path, p);
}

void expect(struct jail_result *r, enum jail_how how, uint64_t status)
{
    if (r->how != how || r->status != status)
        fail_msg("ended as %d with %d: %s %.*s %.*s", r->how, (int)r->status, r->why, SLICE_ARG(buf_slice(&r->out)),
                 SLICE_ARG(buf_slice(&r->err)));
}

void attack(const char *applet, const char *text)
{
    struct jail_plan p = new_plan();
    struct jail_result r = play_applet(&p, applet, text);
    expect(&r, JAIL_EXITED, 0);
    jail_result_release(&r);
}

/* The output of a script that must succeed; static. */
const char *output(struct jail_plan *p, const char *script)
{
    static char text[8192];
    struct jail_result r = play_shell(p, script);
    expect(&r, JAIL_EXITED, 0);
    snprintf(text, sizeof text, "%s", buf_str(&r.out));
    jail_result_release(&r);
    return text;
}

/* ---- files around the jail ---- */

char *below(const char *folder, const char *name)
{
    static char paths[4][300];
    static unsigned turn;
    char text[300];
    snprintf(text, sizeof text, "%s/%s", folder, name);
    char *ret = paths[turn++ % 4];
    memcpy(ret, text, sizeof text);
    return ret;
}

void write_text(const char *path, const char *text, mode_t mode, uid_t uid)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    if (fd < 0 || write(fd, text, strlen(text)) < 0 || fchmod(fd, mode) < 0 || (root && fchown(fd, uid, uid) < 0))
        fail_msg("cannot write %s: %s", path, strerror(errno));
    close(fd);
}

void make_folder(const char *path, mode_t mode, uid_t uid)
{
    if (mkdir(path, mode) < 0 || (root && chown(path, uid, uid) < 0))
        fail_msg("cannot make %s: %s", path, strerror(errno));
}

bool lives(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    const char *end = f && fgets(text, sizeof text, f) ? strrchr(text, ')') : NULL;
    if (f)
        fclose(f);
    return end && end[1] == ' ' && end[2] != 'Z' && end[2] != 'X';
}

bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

struct stat look(const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        fail_msg("%s is not there", path);
    return st;
}

/* ---- setting up ---- */

static void copy_program(const char *from, char to[128], const char *name)
{
    BUF_CLEANUP struct buf b = BUF_INIT(64 << 20);
    struct error e;
    snprintf(to, 128, "%s/%s", top, name);
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL, 0755);
    if (sys_read_file(AT_FDCWD, from, &b, &e) || fd < 0 || sys_write_all(fd, buf_slice(&b), to, &e)) {
        fprintf(stderr, "cannot copy %s to %s\n", from, to);
        exit(1);
    }
    close(fd);
}

static void set_up(bool as_root, char **programs)
{
    /* not /tmp: where that is a tmpfs, kernels before 6.3 take no idmapped mount on it */
    snprintf(top, sizeof top, "/var/tmp/crannog-walls-XXXXXX");
    if (!mkdtemp(top))
        exit(1);
    copy_program(programs[0], jail_path, "crannog-jail");
    copy_program(programs[1], attacks_path, "attacks");
    if (!as_root && geteuid() == 0 &&
        (chown(top, USER, USER) < 0 || setgroups(0, NULL) < 0 || setgid(USER) < 0 || setuid(USER) < 0))
        exit(1);
    root = as_root;
    owner = root ? OWNER : geteuid();
    snprintf(work, sizeof work, "%s/work", top);
    snprintf(ro, sizeof ro, "%s/ro", top);
    snprintf(secret, sizeof secret, "%s/secret", top);
    make_folder(work, 0700, owner);
    make_folder(ro, 0700, owner);
    write_text(below(ro, "file"), "text", 0600, owner);
    write_text(secret, "secret", 0600, root ? 0 : owner);
}

void tear_down(void)
{
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", top);
    if (system(command) != 0)
        fprintf(stderr, "%s was not removed\n", top);
}

/* Whether the machine would let us: namespaces and a /proc of one's own, asked for without crannog-jail. */
static bool machine_can(void)
{
    int status = 1;
    pid_t pid = fork();
    if (pid == 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                    CLONE_NEWCGROUP) < 0)
            _exit(1);
        pid_t inner = fork();
        if (inner == 0)
            _exit(mount("proc", "/proc", "proc", 0, NULL) < 0);
        _exit(inner < 0 || waitpid(inner, &status, 0) < 0 || status != 0);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* 0, or the status to end with: skipped where the machine has no walls, failed where only ours cannot be built. */
static int possible(void)
{
    struct jail_plan p = new_plan();
    struct jail_result r = play_shell(&p, "true");
    int ret = r.how != JAIL_REFUSED ? 0 : machine_can() ? 1 : SKIPPED;
    if (ret)
        printf("%s: %s\n", ret == SKIPPED ? "skipped" : "failed", r.why);
    jail_result_release(&r);
    return ret;
}

int rig_start(int argc, char **argv)
{
    bool as_root = argc == 4 && strcmp(argv[1], "root") == 0;
    if (argc != 4)
        return 2;
    if (as_root && geteuid() != 0) {
        printf("skipped: not root\n");
        return SKIPPED;
    }
    set_up(as_root, argv + 2);
    int status = possible();
    if (status)
        tear_down();
    return status;
}
