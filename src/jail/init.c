/*
 * pid 1 of the jail. It builds the walls around itself, starts the program, and from then on only collects: children
 * that end, a word from outside to stop, the CPU time used. When the program has ended, or has to, it ends everything
 * else, counts that, and tells the outer process. If it dies itself, by whatever, the kernel ends the jail (J4).
 *
 * It runs with the program's ids and under its filter, holds nothing worth stealing, and cannot be traced or looked
 * into (not dumpable). A pid 1 gets no signal from inside that it has no handler for, SIGKILL included.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"
#include "jail/internal.h"

enum { LOOK_MS = 20, MEMORY_LOOK_MS = 200 };

static void tell(int socket, const struct report *r)
{
    if (send(socket, r, sizeof *r, MSG_NOSIGNAL) != (ssize_t)sizeof *r)
        _exit(1); /* the outer process is gone: so is the jail */
}

static _Noreturn void refuse(int socket, enum jail_how how, const struct error *e)
{
    struct report r = {.kind = REPORT_REFUSED, .how = how};
    snprintf(r.text, sizeof r.text, "%s", e->text);
    tell(socket, &r);
    _exit(0);
}

/* ---- building ---- */

/* What pid 1 works from. */
struct jail {
    struct jail_plan plan;
    const struct applets *applets;
    const struct jail_applet *applet; /* NULL: run plan.argv */
    int socket;                       /* our end of the pair */
    int given[GIVEN_COUNT];           /* -1 where there is none */
    bool watch_memory;
};

const struct jail_applet *applet_find(const struct applets *a, struct slice name)
{
    for (size_t i = 0; i < a->n; i++)
        if (slice_is(name, a->list[i].name))
            return &a->list[i];
    return NULL;
}

/* Takes one message of the outer process's, which is `n` bytes, and appends its descriptors. */
static enum err receive_pass(int socket, void *bytes, size_t n, int *fds, size_t *nfds, struct error *e)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int) * JAIL_PASS_MAX)];
    } control;
    struct iovec io = {bytes, n};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    if (recvmsg(socket, &m, MSG_CMSG_CLOEXEC) != (ssize_t)n)
        _exit(1); /* the outer process gave up; it knows why */
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    size_t got = c ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
    if (got && *nfds + got <= GIVEN_COUNT + JAIL_SOURCES_MAX) {
        memcpy(fds + *nfds, CMSG_DATA(c), got * sizeof *fds);
        *nfds += got;
    }
    return m.msg_flags & MSG_CTRUNC ? error_set(e, ERR_LIMIT, "too many open files to build the jail") : OK;
}

/* Waits for the plan and the id maps; as root the opened sources come along. */
static enum err receive_go(struct jail *j, struct go *ret, struct sources *ret_sources, struct error *e)
{
    enum { MOST = GIVEN_COUNT + JAIL_SOURCES_MAX };
    int fds[MOST];
    size_t want = 0, got = 0, before = SIZE_MAX, used = 0;
    enum err err = receive_pass(j->socket, ret, sizeof *ret, fds, &got, e);
    for (size_t i = 0; i < MOST; i++)
        want += ret->have[i];
    while (!err && got < want && got != before) {
        before = got;
        err = receive_pass(j->socket, &(char){0}, 1, fds, &got, e);
    }
    sources_init(ret_sources);
    for (size_t i = 0; !err && i < MOST; i++)
        if (ret->have[i] && used < got)
            *(i < GIVEN_COUNT ? &j->given[i] : &ret_sources->fds[i - GIVEN_COUNT]) = fds[used++];
    memcpy(ret_sources->link, ret->link, sizeof ret->link);
    ret_sources->detached = ret->root;
    if (ret->begins)
        return err;
    j->watch_memory = ret->watch_memory;
    return err;
}

/* The outer process has read the same bytes; ours are a copy that nobody else can change. */
static enum err read_plan(struct jail *j, struct error *e)
{
    static struct buf bytes = BUF_INIT(JAIL_PLAN_MAX);
    static struct arena arena = ARENA_INIT(1024 * 1024);
    struct stat st;
    buf_reset(&bytes); /* of a plan's beginning */
    arena_release(&arena);
    int fd = j->given[GIVEN_PLAN];
    char *at = fd >= 0 && fstat(fd, &st) == 0 && st.st_size >= 0 ? buf_extend(&bytes, (size_t)st.st_size) : NULL;
    if (!at || pread(fd, at, (size_t)st.st_size, 0) != st.st_size)
        return error_errno(e, errno, "cannot read the jail's plan");
    sys_close_fd(&j->given[GIVEN_PLAN]);
    enum err err = jail_plan_decode(buf_slice(&bytes), &arena, &j->plan, e);
    j->applet = err ? NULL : applet_find(j->applets, j->plan.applet);
    return err;
}

/* The loopback of the new network namespace is down at first (J3). */
static enum err loopback_up(struct error *e)
{
    FD_CLEANUP int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &r) < 0)
        return error_errno(e, errno, "cannot bring up the jail's loopback (%s)", idmap_mend(errno));
    return OK;
}

/* The namespaces that are not born with us, their name and their loopback. Needs no ids and no plan yet. */
static enum err make_namespaces(struct error *e)
{
    static const char name[] = "crannog";
    if (unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) < 0)
        return error_errno(e, errno, "cannot make the jail's network and other namespaces (%s)", idmap_mend(errno));
    if (sethostname(name, sizeof name - 1) < 0)
        return error_errno(e, errno, "cannot name the jail (%s)", idmap_mend(errno));
    return loopback_up(e);
}

/* A plan, or its beginning: builds what is not built yet. */
static enum err build_next(struct jail *j, struct root *r, struct go *ret_go, struct sources *s, struct error *e)
{
    enum err err = receive_go(j, ret_go, s, e);
    if (!err)
        err = read_plan(j, e);
    if (!err && r->fd < 0)
        err = idmap_enter(ret_go->root, e);
    if (!err && !ret_go->root)
        err = mounts_open(&j->plan, r->built, -1, s, e);
    return err ? err : mounts_build(r, s, e);
}

static enum err build(struct jail *j, enum jail_how *ret_how, struct error *e)
{
    struct go go;
    struct sources sources = {.no_layers = false};
    struct root root;
    root_init(&root, &j->plan);
    enum err err = make_namespaces(e);
    if (!err)
        err = build_next(j, &root, &go, &sources, e);
    if (!err && go.begins)
        err = build_next(j, &root, &go, &sources, e);
    if (!err)
        err = mounts_enter(&root, e);
    if (!err && j->plan.nlisten)
        err = listeners_make(&j->plan, j->socket, e);
    *ret_how = sources.no_layers ? JAIL_NO_LAYERS : JAIL_REFUSED;
    FD_CLEANUP int rules = -1;
    if (!err)
        err = landlock_make(&j->plan, j->given + GIVEN_IN, GIVEN_ERR - GIVEN_IN + 1, &rules, e);
    if (!err)
        err = idmap_drop(&j->plan, go.root, e);
    return err ? err : landlock_enforce(&rules, e);
}

/* Nobody looks into us, and we die with the outer process. After the change of ids, which would undo both. */
static enum err guard(int socket, struct error *e)
{
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || setsid() < 0)
        return error_errno(e, errno, "cannot guard the jail's first process");
    struct pollfd p = {.fd = socket, .events = 0};
    if (poll(&p, 1, 0) > 0) /* it died before the line above */
        _exit(1);
    return OK;
}

/* ---- the program ---- */

static void limit(int what, uint64_t soft, uint64_t hard)
{
    struct rlimit now, r = {.rlim_cur = soft, .rlim_max = hard};
    if (getrlimit(what, &now) == 0 && now.rlim_max != RLIM_INFINITY) { /* never more than outside */
        r.rlim_cur = soft < now.rlim_max ? soft : now.rlim_max;
        r.rlim_max = hard < now.rlim_max ? hard : now.rlim_max;
    }
    if (setrlimit(what, &r) < 0)
        _exit(126);
}

enum { SOFT_FILES = 4096 }; /* who wants more raises it; there are programs that close all that they may have open */

static void set_limits(const struct jail_limits *l)
{
    uint64_t seconds = l->cpu_ms / 1000 + (l->cpu_ms % 1000 != 0);
    limit(RLIMIT_CORE, 0, 0);
    if (l->cpu_ms)
        limit(RLIMIT_CPU, seconds, seconds + 1);
    if (l->memory)
        limit(RLIMIT_DATA, l->memory, l->memory);
    if (l->file_size)
        limit(RLIMIT_FSIZE, l->file_size, l->file_size);
    if (l->files)
        limit(RLIMIT_NOFILE, l->files < SOFT_FILES ? l->files : SOFT_FILES, l->files);
    if (l->processes)
        limit(RLIMIT_NPROC, l->processes + 1, l->processes + 1); /* pid 1 counts too */
}

/* NUL-terminated copies for exec, or NULL. The process ends or execs soon: nothing is freed. */
static char **words(const struct slice *from, size_t n)
{
    char **ret = calloc(n + 1, sizeof *ret);
    for (size_t i = 0; ret && i < n; i++)
        if (!(ret[i] = strndup(from[i].p, from[i].n)))
            return NULL;
    return ret;
}

/* The program's own failure, in words for a person; it then ends like a shell's would. */
static _Noreturn void cannot_run(int socket, const char *what, int errnum)
{
    struct report r = {.kind = REPORT_NOTE};
    snprintf(r.text, sizeof r.text, "cannot run %s inside the jail: %s", what, strerror(errnum));
    tell(socket, &r);
    _exit(errnum == ENOENT || errnum == ENOTDIR ? 127 : 126);
}

static const char *path_of(char *const env[])
{
    for (; *env; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    return "/usr/local/bin:/usr/bin:/bin";
}

/* Looks a name up as a shell does: the first that can be run; "permission denied" is kept over "not found". */
static int exec_search(char *const argv[], char *const env[])
{
    if (strchr(argv[0], '/')) {
        execve(argv[0], argv, env);
        return errno;
    }
    int why = ENOENT;
    struct slice rest = slice_of(path_of(env));
    while (rest.n) {
        size_t n = slice_index(rest, ':');
        char path[4096];
        if ((size_t)snprintf(path, sizeof path, "%.*s/%s", (int)n, rest.p, argv[0]) < sizeof path && n) {
            execve(path, argv, env);
            why = errno != ENOENT && errno != ENOTDIR ? errno : why;
        }
        rest = slice_sub(rest, n + 1, rest.n);
    }
    return why;
}

static void close_from(int low, unsigned flags)
{
    if (close_range((unsigned)low, ~0u, flags) < 0)
        _exit(126);
}

/* Runs an applet and sends u32 code, u32 length of its error text, the text, the reply; little-endian. */
static _Noreturn void run_applet(const struct jail *j)
{
    enum { REPLY_FD = 3 };
    int answer = j->given[GIVEN_REPLY];
    if (answer != REPLY_FD && dup2(answer, REPLY_FD) < 0)
        _exit(126);
    close_from(REPLY_FD + 1, 0);
    struct error e = {.code = OK};
    struct buf reply = BUF_INIT(JAIL_REPLY_MAX), head = BUF_INIT(sizeof e.text + 8);
    enum err err = j->applet->run(j->plan.args, &reply, &e);
    if (!err)
        err = buf_check(&reply, "the answer of an applet", &e);
    struct slice text = err ? slice_of(e.text) : SLICE_NONE;
    buf_add_u32(&head, (uint32_t)err);
    buf_add_u32(&head, (uint32_t)text.n);
    buf_add(&head, text);
    bool sent = !sys_write_all(REPLY_FD, buf_slice(&head), "the answer", NULL) &&
                (err || !sys_write_all(REPLY_FD, buf_slice(&reply), "the answer", NULL));
    _exit(err ? (int)err : sent ? 0 : 126);
}

static void take_streams(const struct jail *j)
{
    int in = j->given[GIVEN_IN] >= 0 ? j->given[GIVEN_IN] : open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (in < 0 || dup2(in, 0) < 0 || dup2(j->given[GIVEN_OUT], 1) < 0 || dup2(j->given[GIVEN_ERR], 2) < 0)
        _exit(126);
}

/* What we and those before us ignore or block is no business of the program's. By the bare call, because libc keeps the
   two signals of its threads (32, 33) to itself, and somebody before us may ignore them. All-zero is SIG_DFL without
   flags in the kernel's struct, however it is laid out. */
static void default_signals(void)
{
    static const unsigned char plain[64];
    sigset_t none;
    for (int i = 1; i < NSIG; i++)
        syscall(SYS_rt_sigaction, i, plain, NULL, 8);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void run_program(const struct jail *j)
{
    const struct jail_plan *p = &j->plan;
    default_signals();
    setsid();
    take_streams(j);
    char **env = words(p->env, p->nenv), **argv = words(p->argv, p->nargv);
    char *cwd = strndup(p->cwd.p, p->cwd.n);
    if (!env || !argv || !cwd)
        cannot_run(j->socket, "the program", ENOMEM);
    if (chdir(cwd) < 0)
        cannot_run(j->socket, cwd, errno);
    environ = env;
    set_limits(&p->limits);
    if (j->applet)
        run_applet(j);
    close_from(3, CLOSE_RANGE_CLOEXEC);
    cannot_run(j->socket, argv[0], exec_search(argv, env));
}

/* ---- collecting ---- */

struct watch {
    struct jail *j;
    int signals;   /* a signalfd of SIGCHLD */
    DIR *proc;     /* to sum up CPU time and what is held, where these are limited */
    uint64_t cpu_before; /* of our group, or of those that were collected, when the program began */
    int64_t memory_ns;   /* when its memory was last looked at closely */
    dev_t devs[JAIL_MOUNTS_MAX]; /* of the overlays, where the disk is limited */
    size_t ndevs;
    pid_t program;
    bool ended;    /* the program has */
    int status;
    struct report done;
};

static uint64_t children_cpu_ns(uint64_t *ret_rss)
{
    struct rusage u;
    getrusage(RUSAGE_CHILDREN, &u);
    if (ret_rss)
        *ret_rss = (uint64_t)u.ru_maxrss * 1024;
    return time_ns(u.ru_utime) + time_ns(u.ru_stime);
}

/* A file of /proc/PID as text; false if it cannot be read. */
static bool read_of_process(int proc, const char *pid, const char *name, char *ret, size_t size)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", pid, name);
    FD_CLEANUP int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);
    ret[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* utime + stime + cutime + cstime of /proc/PID/stat, the 14th to 17th word; 0 if it cannot be read. */
static uint64_t process_cpu_ns(int proc, const char *pid)
{
    char text[1024];
    if (!read_of_process(proc, pid, "stat", text, sizeof text))
        return 0;
    const char *at = strrchr(text, ')'); /* the name before it may hold anything */
    unsigned long long v[4] = {0};
    if (!at || sscanf(at + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu %llu %llu", &v[0], &v[1], &v[2],
                      &v[3]) != 4)
        return 0;
    return (v[0] + v[1] + v[2] + v[3]) * (1000000000u / (unsigned long)sysconf(_SC_CLK_TCK));
}

/* The sum over all processes but ourselves. */
static uint64_t sum_of(DIR *proc, uint64_t (*of)(int proc, const char *pid))
{
    uint64_t sum = 0;
    rewinddir(proc);
    for (const struct dirent *d; (d = readdir(proc));)
        if (d->d_name[0] > '0' && d->d_name[0] <= '9' && strcmp(d->d_name, "1") != 0)
            sum += of(dirfd(proc), d->d_name);
    return sum;
}

/*
 * CPU time of all processes: exactly, where a control group counts it; else of all that lives or was collected, to about
 * 10 ms. Then what a process used that nobody waited for (its parent ignores SIGCHLD) is missing: there the limit of each
 * process and the wall clock remain.
 */
static uint64_t jail_cpu_ns(const struct watch *w)
{
    int count = w->j->given[GIVEN_CPU];
    if (count >= 0) {
        uint64_t now = cgroup_cpu_ns(count);
        return now > w->cpu_before ? now - w->cpu_before : 0; /* it could not be read: the next time */
    }
    return children_cpu_ns(NULL) - w->cpu_before + sum_of(w->proc, process_cpu_ns);
}

/* ---- memory, where no control group limits it ---- */

/* What is in memory of one process and not of a file, by /proc/PID/statm; what it shares with its parent since a fork
   counts with both. */
static uint64_t process_memory(int proc, const char *pid)
{
    char text[200];
    unsigned long long resident, shared;
    if (!read_of_process(proc, pid, "statm", text, sizeof text))
        return 0;
    return sscanf(text, "%*s %llu %llu", &resident, &shared) == 2 && resident > shared
               ? (resident - shared) * (unsigned long long)sysconf(_SC_PAGESIZE) : 0;
}

/* The same with what is shared parted fairly, which costs the kernel a walk through all of it; of a process that does not
   let us look the above. */
static uint64_t process_memory_fair(int proc, const char *pid)
{
    char path[300], text[2048];
    unsigned long long kb;
    snprintf(path, sizeof path, "%s/smaps_rollup", pid);
    FD_CLEANUP int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    const char *at = strstr(text, "Pss_Anon:");
    return at && sscanf(at, "Pss_Anon: %llu", &kb) == 1 ? kb * 1024 : process_memory(proc, pid);
}

static bool over_memory(struct watch *w)
{
    uint64_t most = w->j->plan.limits.memory_all, sum = sum_of(w->proc, process_memory);
    if (sum <= most)
        return false;
    int64_t now_ns = sys->boottime_ns();
    if (sum / 2 <= most && now_ns - w->memory_ns < MEMORY_LOOK_MS * INT64_C(1000000))
        return false;
    w->memory_ns = now_ns;
    return sum_of(w->proc, process_memory_fair) > most;
}

/* Collects whoever has ended. */
static void reap(struct watch *w)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0;)
        if (pid == w->program) {
            w->ended = true;
            w->status = status;
        }
}

/* Ends all others and waits until none is left; how many had to be killed. kill(-1) is atomic: a fork under way does
   not slip through. */
static uint64_t end_all(struct watch *w)
{
    uint64_t killed = 0;
    int status;
    kill(-1, SIGKILL);
    for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) {
        if (pid == w->program) {
            w->ended = true;
            w->status = status;
        } else if (pid > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
            killed++;
        }
    }
    return killed;
}

/* What a process calls itself; anything that a terminal could take for more than a letter is a dot. */
static size_t add_name(int proc, const char *pid, char *ret, size_t size)
{
    char path[300], name[32];
    snprintf(path, sizeof path, "%s/comm", pid);
    FD_CLEANUP int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, name, sizeof name - 1);
    while (n > 0 && name[n - 1] == '\n')
        n--;
    for (ssize_t i = 0; i < n; i++)
        if (name[i] <= ' ' || name[i] > '~')
            name[i] = '.';
    return n <= 0 ? 0 : (size_t)snprintf(ret, size, "%.*s", (int)n, name);
}

/* The names of a few that are still there, when the program itself is not. Mostly there are none, and nothing is opened. */
static void name_leftovers(struct report *r)
{
    enum { NAMES = 5 };
    size_t n = 0, names = 0;
    if (kill(-1, 0) < 0)
        return;
    DIR *proc = opendir("/proc");
    for (const struct dirent *d; proc && names < NAMES && (d = readdir(proc));) {
        if (d->d_name[0] <= '0' || d->d_name[0] > '9' || strcmp(d->d_name, "1") == 0 || sizeof r->text - n < 64)
            continue;
        size_t comma = names ? (size_t)snprintf(r->text + n, sizeof r->text - n, ", ") : 0;
        size_t got = add_name(dirfd(proc), d->d_name, r->text + n + comma, sizeof r->text - n - comma);
        n += got ? comma + got : 0;
        names += got > 0;
        r->text[n] = '\0';
    }
    if (proc)
        closedir(proc);
}

/* Why everything was ended, where it was. */
enum ended_by { BY_ITSELF, BY_WORD, BY_CPU, BY_MEMORY };

static void set_how(struct watch *w, enum ended_by by)
{
    struct report *r = &w->done;
    uint64_t cpu_max = w->j->plan.limits.cpu_ms * 1000000u;
    bool signalled = WIFSIGNALED(w->status);
    r->status = signalled ? WTERMSIG(w->status) : WEXITSTATUS(w->status);
    if (by == BY_WORD)
        r->how = JAIL_TIMEOUT;
    else if (by == BY_MEMORY)
        r->how = JAIL_MEMORY;
    else if (by == BY_CPU || (cpu_max && signalled && r->cpu_ns >= cpu_max))
        r->how = JAIL_CPU;
    else
        r->how = signalled ? JAIL_SIGNALLED : JAIL_EXITED;
}

/* Ends all that is left and tells how it went. */
static void finish(struct watch *w, enum ended_by by)
{
    w->done.kind = REPORT_DONE;
    if (w->ended)
        name_leftovers(&w->done);
    w->done.leftover = end_all(w);
    w->done.cpu_ns = children_cpu_ns(&w->done.rss) - w->cpu_before;
    if (w->j->given[GIVEN_CPU] >= 0)
        w->done.cpu_ns = jail_cpu_ns(w);
    set_how(w, by);
    tell(w->j->socket, &w->done);
}

static _Noreturn void end(struct watch *w, enum ended_by by)
{
    finish(w, by);
    _exit(0);
}

static void tell_held(struct watch *w)
{
    struct report r = {.kind = REPORT_HELD};
    r.held = held_bytes(w->proc, w->devs, w->ndevs, &r.unseen);
    r.unseen &= !w->j->applet; /* our own code is as undumpable as we are */
    tell(w->j->socket, &r);
}

static void tell_look(struct watch *w)
{
    const struct jail_plan *p = &w->j->plan;
    struct report r = {.kind = REPORT_LOOK, .held = listeners_are(p->serves, p->nserves), .cpu_ns = jail_cpu_ns(w)};
    tell(w->j->socket, &r);
}

/* The outer process said something. */
static void hear(struct watch *w)
{
    struct dial d = {.word = 0};
    ssize_t n = recv(w->j->socket, &d, sizeof d, MSG_DONTWAIT);
    if (n == 0)
        _exit(1);
    else if (n == 1 && d.word == WORD_HELD && w->ndevs)
        tell_held(w);
    else if (n == 1 && d.word == WORD_LOOK && w->proc)
        tell_look(w);
    else if (n == (ssize_t)sizeof d)
        dial_answer(w->j->socket, &d);
    else if (n == 1 && d.word == WORD_STOP)
        end(w, BY_WORD);
}

/* Only what is needed is held on: the streams have gone to the program. */
static void let_go(struct jail *j)
{
    for (size_t i = GIVEN_IN; i <= GIVEN_REPLY; i++)
        sys_close_fd(&j->given[i]);
}

static enum err run(struct watch *w, struct error *e)
{
    int count = w->j->given[GIVEN_CPU];
    w->cpu_before = count >= 0 ? cgroup_cpu_ns(count) : children_cpu_ns(NULL);
    w->program = fork();
    if (w->program == 0)
        run_program(w->j);
    if (w->program < 0)
        return error_errno(e, errno, "cannot start the jail's program");
    let_go(w->j);
    return OK;
}

/* What is covered may have come to light since the covers were laid: a mount goes when somebody outside puts another file in the place of
   what it lies on. Ours are of the root's file system. */
static bool covers_hold(const struct jail_plan *p)
{
    struct stat root, st;
    char path[PATH_MAX];
    if (stat("/", &root) < 0)
        return false;
    for (size_t i = 0; i < p->nmounts; i++) {
        if (p->mounts[i].kind != JAIL_EMPTY)
            continue;
        snprintf(path, sizeof path, "%.*s", SLICE_ARG(p->mounts[i].target));
        if (lstat(path, &st) < 0 ? errno != ENOENT && errno != ENOTDIR : st.st_dev != root.st_dev)
            return false;
    }
    return true;
}

/* The next plan of a jail that stays; any other has ended. */
static void go_on(struct watch *w)
{
    struct go go;
    struct sources none;
    struct error e = {.code = OK};
    if (!w->j->plan.stays)
        _exit(0);
    enum err err = receive_go(w->j, &go, &none, &e);
    if (!err)
        err = read_plan(w->j, &e);
    if (!err && !covers_hold(&w->j->plan))
        _exit(0);
    w->ended = false;
    w->done = (struct report){.kind = 0};
    if (!err)
        err = run(w, &e);
    if (err)
        refuse(w->j->socket, JAIL_REFUSED, &e);
}

static _Noreturn void watch(struct watch *w)
{
    uint64_t cpu_max = w->j->plan.limits.cpu_ms * 1000000u;
    struct pollfd fds[2] = {{.fd = w->signals, .events = POLLIN}, {.fd = w->j->socket, .events = POLLIN}};
    for (;;) {
        int n = poll(fds, 2, cpu_max || w->j->watch_memory ? LOOK_MS : -1);
        if (n < 0 && errno != EINTR)
            _exit(1);
        struct signalfd_siginfo info;
        while (n > 0 && read(w->signals, &info, sizeof info) > 0)
            ;
        reap(w);
        if (w->ended) {
            finish(w, BY_ITSELF);
            go_on(w);
            continue;
        }
        if (n > 0 && fds[1].revents & (POLLHUP | POLLERR))
            _exit(1);
        if (n > 0 && fds[1].revents & POLLIN)
            hear(w);
        if (cpu_max && jail_cpu_ns(w) > cpu_max)
            end(w, BY_CPU);
        if (w->j->watch_memory && over_memory(w))
            end(w, BY_MEMORY);
    }
}

/* Targets cannot be moved or replaced: they are mounts. But what leads there can, once the program runs. */
static void find_overlays(struct watch *w)
{
    const struct jail_plan *p = &w->j->plan;
    for (size_t i = 0; p->limits.disk && i < p->nmounts; i++) {
        char path[PATH_MAX];
        struct stat st;
        if (p->mounts[i].upper.n == 0)
            continue;
        snprintf(path, sizeof path, "%.*s", SLICE_ARG(p->mounts[i].target));
        if (stat(path, &st) == 0)
            w->devs[w->ndevs++] = st.st_dev;
    }
}

static enum err start(struct watch *w, struct error *e)
{
    sigset_t chld;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, NULL);
    w->signals = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
    find_overlays(w);
    bool looks = (w->j->plan.limits.cpu_ms && w->j->given[GIVEN_CPU] < 0) || w->ndevs || w->j->watch_memory || w->j->plan.service;
    w->proc = looks ? opendir("/proc") : NULL;
    if (w->signals < 0 || (looks && !w->proc))
        return error_errno(e, errno, "cannot watch the jail's processes");
    return run(w, e);
}

_Noreturn void init_main(int socket, const struct applets *a)
{
    static struct jail j; /* large */
    struct error e = {.code = OK};
    struct watch w = {.j = &j};
    enum jail_how how = JAIL_REFUSED;
    j.socket = socket;
    j.applets = a;
    memset(j.given, -1, sizeof j.given);
    enum err err = build(&j, &how, &e);
    if (!err)
        err = guard(socket, &e);
    if (!err)
        err = seccomp_install(&j.plan, &e);
    if (!err)
        err = start(&w, &e);
    if (err)
        refuse(socket, how, &e);
    watch(&w);
}
