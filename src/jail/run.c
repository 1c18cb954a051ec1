/*
 * The outer process of a jail: reads the plan, starts pid 1 in its namespaces, gives it ids and what only root may
 * open, then sits outside the walls: takes output, watches the wall clock, reports. It keeps nothing secret and does not
 * look at what comes from inside beyond counting it.
 */
#include "jail/run.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"
#include "jail/internal.h"
#include "wire/frame.h"

enum { ENGINE = 3, GRACE_MS = 1000, DRAIN_MAX = 4 * 1024 * 1024, REPLY_HEAD = 8, NO_SYSCALL_CLONE3 = 435 };

struct outer {
    struct frame frame;
    struct buf bytes; /* of the plan */
    struct buf begun; /* and of its beginning, if that was built ahead */
    size_t nbegun;    /* mounts of it */
    struct buf walls; /* of a plan that stays, once it was played */
    struct arena arena;
    struct jail_plan plan;
    struct applets applets;
    bool applet;              /* the plan names one */
    int given[GIVEN_COUNT];   /* for pid 1, until it has them */
    bool root;

    pid_t pid;
    int socket;         /* to pid 1 */
    int out, err, reply; /* read ends, -1 when at their end */
    struct keep kept_out, kept_err;
    struct buf answer;
    int64_t began_ns, deadline_ns; /* 0: none */
    enum { RUNNING, STOPPING, KILLED } stage;
    bool grouped;       /* a control group limits memory and processes */
    struct report done; /* kind 0 until pid 1 has said how it went */
    char note[sizeof((struct report *)NULL)->text];
    uint64_t wall_ns;
    struct uppers uppers;
    struct cgroups groups;
    uint64_t oom_killed, forks_refused;
    int64_t look_ns; /* when the uppers are looked at next; 0: never */
    bool over_disk, no_layers, changed;
    bool stays; /* pid 1 waits for the next plan */
    struct service service;
};

/* ---- the plan ---- */

static enum err decode(struct outer *o, struct error *e)
{
    buf_reset(&o->bytes);
    arena_release(&o->arena);
    enum err err = frame_large(&o->frame, JAIL_PLAN, &o->bytes, e);
    return err ? err : jail_plan_decode(buf_slice(&o->bytes), &o->arena, &o->plan, e);
}

/* Whoever has built a beginning ahead plays only plans that begin so. */
static enum err check_beginning(const struct outer *o, struct error *e)
{
    BUF_CLEANUP struct buf b = BUF_INIT(JAIL_PLAN_MAX);
    if (!o->begun.n)
        return OK;
    jail_plan_beginning(&o->plan, &b);
    return slice_eq(buf_slice(&b), buf_slice(&o->begun)) ? OK : error_set(e, ERR_CORRUPT, "the jail's plan does not begin as what was built");
}

/* Whoever stays plays only plans with the walls that are there. */
static enum err check_walls(struct outer *o, struct error *e)
{
    BUF_CLEANUP struct buf b = BUF_INIT(JAIL_PLAN_MAX);
    jail_plan_walls(&o->plan, &b);
    if (o->walls.n && !slice_eq(buf_slice(&b), buf_slice(&o->walls)))
        return error_set(e, ERR_CORRUPT, "the jail's plan has other walls than the one that was built");
    buf_reset(&o->walls);
    if (o->plan.stays)
        buf_add(&o->walls, buf_slice(&b));
    return buf_check(&b, "a plan's walls", e);
}

static enum err read_plan(struct outer *o, struct error *e)
{
    enum err err = OK;
    if (o->frame.type != JAIL_RUN)
        err = error_set(e, ERR_CORRUPT, "crannog-jail was sent a frame of type %u, not a plan", o->frame.type);
    if (!err)
        err = decode(o, e);
    if (!err)
        err = o->walls.n ? OK : check_beginning(o, e);
    if (!err && (o->plan.stays || o->walls.n))
        err = check_walls(o, e);
    o->applet = !err && o->plan.applet.n;
    if (o->applet && !applet_find(&o->applets, o->plan.applet))
        return error_set(e, ERR_MISSING, "this crannog-jail has no applet %.*s; mend: install crannog and crannog-jail of "
                         "one version", SLICE_ARG(o->plan.applet));
    return err;
}

/* ---- starting ---- */

static enum err make_pipe(int *ret_read, int *ret_write, struct error *e)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_errno(e, errno, "cannot make a pipe for the jail");
    *ret_read = fds[0];
    *ret_write = fds[1];
    /* A writer outside could get hold of the other end and keep it open: never wait for the end of a stream. */
    return fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 ? error_errno(e, errno, "cannot set up a pipe") : OK;
}

/* J1: a folder would be a way to all that lies below it, past the mounts. */
static enum err refuse_folder(int fd, struct error *e)
{
    struct stat st;
    if (sys->fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
        return error_errno(e, errno, "cannot look at the terminal's descriptors");
    return S_ISDIR(st.st_mode) ? error_set(e, ERR_DENIED, "a folder cannot be the standard input or output of a jail; "
                                           "mend: give it a file or a terminal, for example </dev/null") : OK;
}

static enum err make_streams(struct outer *o, struct error *e)
{
    enum err err = OK;
    if (o->plan.terminal) {
        for (int i = 0; !err && i < 3; i++) {
            int fd = o->given[GIVEN_IN + i] = frame_take_fd(&o->frame, (uint16_t)(JAIL_STDIN + i));
            err = fd < 0 ? error_set(e, ERR_USAGE, "a plan for a terminal came without its three descriptors")
                         : refuse_folder(fd, e);
        }
    } else {
        err = make_pipe(&o->out, &o->given[GIVEN_OUT], e);
        err = err ? err : make_pipe(&o->err, &o->given[GIVEN_ERR], e);
    }
    /* so that the program may open its streams by name, as it may outside (/dev/stderr) */
    if (!err && !o->plan.terminal && o->root)
        for (int i = GIVEN_OUT; !err && i <= GIVEN_ERR; i++)
            if (sys->fchown(o->given[i], idmap_outside(&o->plan, o->plan.uid), idmap_outside(&o->plan, o->plan.gid)) < 0)
                err = error_errno(e, errno, "cannot give the jail its streams");
    return err || !o->applet ? err : make_pipe(&o->reply, &o->given[GIVEN_REPLY], e);
}

static void close_given(struct outer *o)
{
    for (size_t i = 0; i < GIVEN_COUNT; i++)
        sys_close_fd(&o->given[i]);
}

/* As fork, into the namespaces that a child can only be born into; pid 1 makes the others itself (init.c), while we
   read the plan, write its id maps and open its sources. */
static pid_t clone_namespaces(int group)
{
    struct clone_args args = {
        .flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | (group < 0 ? 0 : CLONE_INTO_CGROUP),
        .exit_signal = SIGCHLD,
        .cgroup = (uint64_t)(group < 0 ? 0 : group),
    };
    return (pid_t)syscall(NO_SYSCALL_CLONE3, &args, sizeof args);
}

/* Whether the plan is still to come, so that there is time. */
static bool is_early(void)
{
    struct pollfd p = {.fd = ENGINE, .events = POLLIN};
    return sys->poll(&p, 1, 0) == 0;
}

/* pid 1, before there is a plan. Only its socket goes in, and later what is sent over that. */
static enum err bear(struct outer *o, struct error *e)
{
    int pair[2];
    if (sys->socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
        return error_errno(e, errno, "cannot make a socket for the jail");
    o->root = geteuid() == 0;
    cgroups_make(&o->groups);
    o->pid = clone_namespaces(o->groups.groups[CGROUP_UNIFIED]);
    if (o->pid < 0 && o->groups.groups[CGROUP_UNIFIED] >= 0) { /* we may not be counted there */
        cgroups_remove(&o->groups);
        o->groups.limits = false;
        o->pid = clone_namespaces(-1);
    }
    if (o->pid == 0) {
        dup2(pair[1], ENGINE);
        close_range(ENGINE + 1, ~0u, 0);
        init_main(ENGINE, &o->applets);
    }
    int errnum = errno;
    close(pair[1]);
    o->socket = pair[0];
    if (o->pid > 0 && is_early())
        cgroups_move(&o->groups, o->pid);
    return o->pid > 0 ? OK : error_errno(e, errnum, "cannot make the jail's namespaces (%s)", idmap_mend(errnum));
}

static enum err pass(int socket, void *bytes, size_t n, const int *fds, size_t nfds, struct error *e)
{
    return pass_send(socket, bytes, n, fds, nfds) ? OK : error_errno(e, errno, "cannot talk to the jail's first process");
}

static size_t next_pass(size_t left)
{
    return left < JAIL_PASS_MAX ? left : JAIL_PASS_MAX;
}

static enum err send_go(struct outer *o, const struct sources *s, struct error *e)
{
    struct go go = {.root = o->root, .begins = !o->began_ns};
    int fds[GIVEN_COUNT + JAIL_SOURCES_MAX];
    size_t n = 0, sent = 0;
    memcpy(go.link, s->link, sizeof go.link);
    if (!go.begins && !o->stays) {
        o->grouped = cgroups_limit(&o->groups, &o->plan.limits);
        o->given[GIVEN_CPU] = cgroups_open_cpu(&o->groups);
    }
    go.watch_memory = !go.begins && !o->grouped && o->plan.limits.memory_all;
    for (size_t i = 0; i < GIVEN_COUNT + JAIL_SOURCES_MAX; i++) {
        int fd = i < GIVEN_COUNT ? o->given[i] : s->fds[i - GIVEN_COUNT];
        if ((go.have[i] = fd >= 0))
            fds[n++] = fd;
    }
    enum err err = pass(o->socket, &go, sizeof go, fds, next_pass(n), e);
    for (sent = next_pass(n); !err && sent < n; sent += next_pass(n - sent))
        err = pass(o->socket, &(char){0}, 1, fds + sent, next_pass(n - sent), e);
    return err;
}

/* What pid 1 needs: the plan, its id maps, and as root the opened sources. */
static enum err equip(struct outer *o, struct error *e)
{
    struct sources s;
    sources_init(&s);
    o->given[GIVEN_PLAN] = sys_memfd("plan", buf_slice(&o->bytes));
    if (o->given[GIVEN_PLAN] < 0)
        return error_errno(e, errno, "cannot pass the jail's plan on");
    if (o->stays)
        return send_go(o, &s, e);
    enum err err = o->begun.n ? OK : idmap_write(o->pid, &o->plan, o->root, e);
    if (!err && o->root) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/ns/user", (int)o->pid);
        FD_CLEANUP int userns = sys->openat(AT_FDCWD, path, O_RDONLY, 0);
        err = userns < 0 ? error_errno(e, errno, "cannot open %s", path) : mounts_open(&o->plan, o->nbegun, userns, &s, e);
    }
    if (!err)
        err = send_go(o, &s, e);
    o->no_layers = s.no_layers;
    mounts_close(&s);
    return err;
}

/* Builds the beginning of a plan that is still to come. */
static enum err begin(struct outer *o, struct error *e)
{
    enum err err = decode(o, e);
    if (!err)
        err = equip(o, e);
    close_given(o);
    buf_add(&o->begun, buf_slice(&o->bytes));
    o->nbegun = o->plan.nmounts;
    return err ? err : buf_check(&o->begun, "a plan's beginning", e);
}

static void end_child(struct outer *o)
{
    int status;
    if (o->pid <= 0)
        return;
    sys->kill(o->pid, SIGKILL);
    while (sys->waitpid(o->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    o->pid = 0;
    cgroups_remove(&o->groups);
}

/* What pid 1 says of why it has ended is nearer to the cause than that it does not listen. */
static void refused_inside(const struct outer *o, struct error *e)
{
    struct report r;
    if (recv(o->socket, &r, sizeof r, MSG_DONTWAIT) == (ssize_t)sizeof r && r.kind == REPORT_REFUSED)
        (void)error_set(e, ERR_DENIED, "%.*s", (int)sizeof r.text - 1, r.text);
}

static enum err start(struct outer *o, struct error *e)
{
    o->began_ns = sys->boottime_ns();
    enum err err = make_streams(o, e);
    err = err ? err : uppers_open(&o->plan, &o->uppers, e);
    if (err)
        return err;
    err = equip(o, e);
    close_given(o);
    if (err)
        refused_inside(o, e);
    else if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) /* not before: the maps of a child like us could not be written */
        err = error_errno(e, errno, "cannot guard crannog-jail");
    o->service.inside = o->socket;
    return err || !o->plan.service ? err : service_begin(&o->service, e);
}

/* ---- collecting ---- */

/* Takes what there is of one stream, at most `most` bytes; false when that was all for now. */
static bool take(int *fd, struct keep *k, struct buf *b, size_t most)
{
    static char chunk[64 * 1024];
    if (*fd < 0)
        return false;
    ssize_t n = sys->read(*fd, chunk, most < sizeof chunk ? most : sizeof chunk);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        sys_close_fd(fd);
    if (n <= 0)
        return false;
    struct slice s = {chunk, (size_t)n};
    if (k)
        keep_add(k, s);
    else
        buf_add(b, s);
    return true;
}

static void take_all(struct outer *o, size_t most)
{
    take(&o->out, &o->kept_out, NULL, most);
    take(&o->err, &o->kept_err, NULL, most);
    take(&o->reply, NULL, &o->answer, most);
}

static bool say(const struct outer *o, enum word word)
{
    return send(o->socket, &(char){(char)word}, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

/* A limit has passed: first pid 1 is asked to end everything, so that it can still count; then it is killed. */
static void stop(struct outer *o)
{
    if (o->stage == RUNNING && say(o, WORD_STOP)) {
        o->stage = STOPPING;
        o->deadline_ns = sys->boottime_ns() + GRACE_MS * INT64_C(1000000);
        return;
    }
    o->stage = KILLED;
    o->deadline_ns = 0;
    cgroups_kill(&o->groups);
    sys->kill(o->pid, SIGKILL);
}

static void stop_over_disk(struct outer *o)
{
    o->over_disk = true;
    stop(o);
}

static void look_at_uppers(struct outer *o)
{
    enum look look = o->stage == RUNNING ? uppers_look(&o->uppers) : LOOK_FINE;
    if (look == LOOK_OVER)
        stop_over_disk(o);
    if (look == LOOK_ASK)
        (void)say(o, WORD_HELD); /* a full socket: it will be asked again */
    o->look_ns = o->stage == RUNNING ? sys->boottime_ns() + UPPERS_EVERY_MS * INT64_C(1000000) : 0;
}

/* Receives one message with what descriptors come along. */
static ssize_t receive_report(int socket, struct report *ret, int *fds, size_t *nfds)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int) * JAIL_PASS_MAX)];
    } control;
    struct iovec io = {ret, sizeof *ret};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    *nfds = c && c->cmsg_type == SCM_RIGHTS ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
    if (*nfds)
        memcpy(fds, CMSG_DATA(c), *nfds * sizeof *fds);
    return n;
}

/* Reads one report; false when no more will come. */
static bool take_report(struct outer *o)
{
    struct report r;
    int fds[JAIL_PASS_MAX];
    size_t nfds = 0;
    ssize_t n = receive_report(o->socket, &r, fds, &nfds);
    if (n < 0 && errno == EINTR)
        return true;
    if (n != (ssize_t)sizeof r)
        return false;
    r.text[sizeof r.text - 1] = '\0';
    if (r.kind >= REPORT_LISTENERS) {
        service_report(&o->service, &r, fds, nfds);
        return true;
    }
    if (r.kind == REPORT_NOTE) {
        memcpy(o->note, r.text, sizeof o->note);
        return true;
    }
    if (r.kind == REPORT_HELD) {
        if (o->stage == RUNNING && uppers_held(&o->uppers, r.held, r.unseen))
            stop_over_disk(o);
        return true;
    }
    o->done = r;
    return false;
}

static int poll_timeout(const struct outer *o)
{
    const int64_t times[] = {o->deadline_ns, o->look_ns, o->service.look_ns}; /* 0: never */
    int64_t next_ns = 0;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (times[i] && (!next_ns || times[i] < next_ns))
            next_ns = times[i];
    int64_t left_ns = next_ns - sys->boottime_ns();
    return !next_ns ? -1 : left_ns <= 0 ? 0 : (int)(left_ns / 1000000 + 1);
}

static void look_at_clock(struct outer *o)
{
    int64_t now_ns = sys->boottime_ns();
    if (o->deadline_ns && now_ns >= o->deadline_ns)
        stop(o);
    if (o->look_ns && now_ns >= o->look_ns)
        look_at_uppers(o);
    if (o->service.look_ns && now_ns >= o->service.look_ns)
        service_look(&o->service);
}

/* Until pid 1 has said how it went, or is dead. */
static void collect(struct outer *o)
{
    if (o->plan.limits.wall_ms)
        o->deadline_ns = o->began_ns + (int64_t)o->plan.limits.wall_ms * 1000000;
    if ((o->uppers.limit.bytes || o->uppers.limit.entries) && o->uppers.n)
        o->look_ns = o->began_ns + UPPERS_EVERY_MS * INT64_C(1000000);
    for (;;) {
        struct pollfd fds[] = {{.fd = o->socket, .events = POLLIN}, {.fd = o->out, .events = POLLIN},
                               {.fd = o->err, .events = POLLIN}, {.fd = o->reply, .events = POLLIN},
                               {.fd = o->plan.service ? ENGINE : -1, .events = POLLIN},
                               {.fd = o->service.ports.epoll, .events = POLLIN}};
        int timeout = poll_timeout(o), n = sys->poll(fds, sizeof fds / sizeof *fds, timeout);
        if (n < 0 && errno != EINTR)
            sys->die(1); /* and everything inside with us */
        look_at_clock(o);
        if (n <= 0)
            continue;
        if (fds[1].revents | fds[2].revents | fds[3].revents)
            take_all(o, SIZE_MAX);
        if (fds[4].revents && !service_hear(&o->service) && o->stage == RUNNING)
            stop(o);
        if (fds[5].revents)
            ports_work(&o->service.ports);
        if (fds[0].revents && !take_report(o))
            return;
    }
}

/* When all are dead: what is still in the pipes. Bounded, for somebody outside may hold an end and write on. */
static void drain(struct outer *o)
{
    size_t left = DRAIN_MAX;
    uint64_t before;
    do {
        before = o->kept_out.total + o->kept_err.total + o->answer.n;
        take_all(o, left < 65536 ? left : 65536);
        uint64_t got = o->kept_out.total + o->kept_err.total + o->answer.n - before;
        left -= got < left ? (size_t)got : left;
    } while (left && before != o->kept_out.total + o->kept_err.total + o->answer.n);
}

/* pid 1 has ended, or is about to; where it did not say how, the kernel's count is what there is. */
static void count_end(struct outer *o)
{
    struct rusage u;
    int status;
    o->wall_ns = (uint64_t)(sys->boottime_ns() - o->began_ns);
    o->stays = o->plan.stays && o->done.kind == REPORT_DONE && o->done.how == JAIL_EXITED && !o->done.leftover && o->stage == RUNNING;
    if (o->stays)
        return;
    if (!o->done.kind || o->plan.stays)
        sys->kill(o->pid, SIGKILL);
    while (wait4(o->pid, &status, 0, &u) < 0 && errno == EINTR)
        continue;
    o->pid = 0;
    if (o->done.kind)
        return;
    o->done = (struct report){.kind = REPORT_DONE, .how = o->stage == RUNNING ? JAIL_SIGNALLED : JAIL_TIMEOUT,
                              .status = SIGKILL, .cpu_ns = time_ns(u.ru_utime) + time_ns(u.ru_stime),
                              .rss = (uint64_t)u.ru_maxrss * 1024};
    if (o->stage == RUNNING)
        snprintf(o->note, sizeof o->note, "the jail's first process was killed from outside (out of memory?)");
}

static void bury(struct outer *o)
{
    count_end(o);
    if (o->stays)
        return;
    cgroups_counts(&o->groups, &o->oom_killed, &o->forks_refused);
    cgroups_remove(&o->groups);
    if (o->done.kind != REPORT_DONE)
        return;
    if (o->over_disk && o->done.how == JAIL_TIMEOUT)
        o->done.how = uppers_of_entries(&o->uppers) ? JAIL_ENTRIES : JAIL_DISK;
    if (o->oom_killed && o->done.how == JAIL_SIGNALLED && o->done.status == SIGKILL) {
        o->done.how = JAIL_MEMORY;
        o->note[0] = '\0';
    }
    o->changed = uppers_changed(&o->uppers);
}

/* ---- reporting ---- */

static uint32_t le32(const char *p)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < 4; i++)
        v |= (uint32_t)(unsigned char)p[i] << (8 * i);
    return v;
}

/* Takes an applet's answer apart: *ret_reply, and the error's code and text into status and note. */
static void read_answer(struct outer *o, struct slice *ret_reply)
{
    struct slice a = buf_slice(&o->answer);
    uint32_t code = a.n >= REPLY_HEAD ? le32(a.p) : 0, text = a.n >= REPLY_HEAD ? le32(a.p + 4) : 0;
    if (o->done.how != JAIL_EXITED || o->note[0])
        return;
    if (!buf_ok(&o->answer) || a.n < REPLY_HEAD || text > a.n - REPLY_HEAD || text >= sizeof o->note ||
        (code != 0) != (o->done.status != 0)) {
        o->done.status = o->done.status ? o->done.status : ERR_CORRUPT;
        snprintf(o->note, sizeof o->note, "the applet %.*s ended without an answer", SLICE_ARG(o->plan.applet));
        return;
    }
    if (code)
        snprintf(o->note, sizeof o->note, "%.*s", (int)text, a.p + REPLY_HEAD);
    else
        *ret_reply = slice_sub(a, REPLY_HEAD, a.n);
}

static void put_kept(struct outgoing *m, struct keep *k, uint16_t tag, uint16_t dropped_tag)
{
    BUF_CLEANUP struct buf b = BUF_INIT(JAIL_OUTPUT_MAX);
    uint64_t dropped;
    keep_take(k, &b, &dropped);
    outgoing_put_large(m, tag, buf_slice(&b));
    message_put_u64(&m->message, dropped_tag, dropped);
}

/* What the limits did without ending the jail. */
static void put_notes(struct outer *o, struct buf *m)
{
    BUF_CLEANUP struct buf b = BUF_INIT(512);
    const struct jail_limits *l = &o->plan.limits;
    if (o->oom_killed && o->done.how != JAIL_MEMORY)
        buf_addf(&b, "%llu of its processes ended at the limit of %llu MiB of memory for all together",
                 (unsigned long long)o->oom_killed, (unsigned long long)l->memory_all >> 20);
    if (o->forks_refused)
        buf_addf(&b, "%s%llu times no new process or thread was to be had: the limit is %llu at once", b.n ? "; " : "",
                 (unsigned long long)o->forks_refused, (unsigned long long)l->processes);
    message_put(m, JAIL_NOTES, buf_slice(&b));
}

static enum err report(struct outer *o, struct error *e)
{
    OUTGOING_CLEANUP struct outgoing m = outgoing_new();
    struct slice reply = SLICE_NONE;
    if (o->applet && o->done.kind == REPORT_DONE)
        read_answer(o, &reply);
    message_put_u64(&m.message, JAIL_HOW, o->done.how);
    message_put_u64(&m.message, JAIL_STATUS, (uint64_t)o->done.status);
    message_put_u64(&m.message, JAIL_CPU_NS, o->done.cpu_ns);
    message_put_u64(&m.message, JAIL_WALL_NS, o->wall_ns);
    message_put_u64(&m.message, JAIL_RSS, o->done.rss);
    message_put_u64(&m.message, JAIL_LEFTOVER, o->done.leftover);
    message_put(&m.message, JAIL_LEFT_NAMES, slice_of(o->done.kind == REPORT_DONE && o->done.leftover ? o->done.text : ""));
    message_put_u64(&m.message, JAIL_CHANGED, o->changed);
    message_put_u64(&m.message, JAIL_STAYS, o->stays);
    message_put_u64(&m.message, JAIL_LANDLOCK, (uint64_t)landlock_version());
    message_put_u64(&m.message, JAIL_GROUPED, o->grouped);
    message_put(&m.message, JAIL_WHY, slice_of(o->done.kind == REPORT_REFUSED ? o->done.text : o->note));
    put_notes(o, &m.message);
    put_kept(&m, &o->kept_out, JAIL_OUT, JAIL_OUT_DROPPED);
    put_kept(&m, &o->kept_err, JAIL_ERR, JAIL_ERR_DROPPED);
    if (o->applet)
        outgoing_put_large(&m, JAIL_REPLY, reply);
    return frame_send(ENGINE, JAIL_RESULT, o->frame.id, &m, e);
}

static void refused(struct outer *o, const struct error *why)
{
    o->done = (struct report){.kind = REPORT_REFUSED, .how = o->no_layers ? JAIL_NO_LAYERS : JAIL_REFUSED};
    snprintf(o->done.text, sizeof o->done.text, "%s", why->text);
}

/*
 * Nothing of the caller's but the engine's socket, no core file, no signal of a closed pipe. A terminal's Ctrl-C reaches
 * us too, but what it means is the engine's to say: it ends us when it wants, and its death does.
 */
static void tidy(void)
{
    struct rlimit none = {0, 0};
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    close_range(ENGINE + 1, ~0u, 0);
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGPIPE, SIG_IGN);
}

static void play(struct outer *o)
{
    cgroups_sweep(&o->groups); /* while pid 1 builds */
    collect(o);
    service_end(&o->service);
    bury(o);
    drain(o);
}

/* What of the last plan's run is not the next one's. */
static void forget(struct outer *o)
{
    frame_release(&o->frame);
    o->frame = FRAME_INIT;
    keep_release(&o->kept_out);
    keep_release(&o->kept_err);
    buf_reset(&o->answer);
    sys_close_fd(&o->out);
    sys_close_fd(&o->err);
    sys_close_fd(&o->reply);
    o->done = (struct report){.kind = 0};
    o->note[0] = '\0';
    o->deadline_ns = 0;
}

/* A further plan for a jail that stays. Without an answer where pid 1 has ended: nothing was begun then. */
static enum err play_again(struct outer *o, struct error *e)
{
    forget(o);
    enum err err = frame_receive(ENGINE, &o->frame, e);
    if (err == ERR_GONE)
        return err; /* it was not needed any more */
    err = err ? err : read_plan(o, e);
    keep_init(&o->kept_out, o->plan.limits.output);
    keep_init(&o->kept_err, o->plan.limits.output);
    o->began_ns = sys->boottime_ns();
    err = err ? err : make_streams(o, e);
    if (!err && equip(o, e))
        return ERR_GONE;
    close_given(o);
    if (err) {
        o->stays = false;
        refused(o, e);
    } else {
        collect(o);
        if (!o->done.kind)
            return ERR_GONE;
        bury(o);
        drain(o);
    }
    return report(o, e);
}

int jail_main(const struct jail_applet *applets, size_t n)
{
    static struct outer o; /* large */
    o = (struct outer){
        .frame = FRAME_INIT, .bytes = BUF_INIT(JAIL_PLAN_MAX), .begun = BUF_INIT(JAIL_PLAN_MAX), .walls = BUF_INIT(JAIL_PLAN_MAX), .arena = ARENA_INIT(1024 * 1024), .applets = {applets, n},
        .answer = BUF_INIT(JAIL_REPLY_MAX + REPLY_HEAD + 1024), .socket = -1, .out = -1, .err = -1, .reply = -1,
    };
    struct error e = {.code = OK}, unborn = {.code = OK};
    memset(o.given, -1, sizeof o.given);
    cgroups_init(&o.groups);
    tidy();
    enum err born = bear(&o, &unborn), err = frame_receive(ENGINE, &o.frame, &e);
    if (!err && o.frame.type == JAIL_BEGIN) {
        born = born ? born : begin(&o, &unborn);
        frame_release(&o.frame);
        o.frame = FRAME_INIT;
        err = frame_receive(ENGINE, &o.frame, &e);
    }
    if (err && !o.frame.type) { /* nobody to answer: it was kept ready, and not needed, or else a person tries us out */
        end_child(&o);
        if (err != ERR_GONE)
            fprintf(stderr, "crannog-jail: %s; it is started by crannog\n", e.text);
        return err == ERR_GONE ? 0 : 2;
    }
    err = err ? err : read_plan(&o, &e);
    service_init(&o.service);
    o.service.plan = &o.plan;
    o.service.engine = ENGINE;
    o.service.out = &o.kept_out;
    keep_init(&o.kept_out, o.plan.limits.output);
    keep_init(&o.kept_err, o.plan.limits.output);
    if (!err && born) {
        err = born;
        e = unborn;
    }
    err = err ? err : start(&o, &e);
    if (err) {
        end_child(&o);
        refused(&o, &e);
    } else {
        play(&o);
    }
    err = report(&o, &e);
    while (!err && o.stays)
        err = play_again(&o, &e);
    end_child(&o);
    return err && err != ERR_GONE ? 1 : 0;
}
