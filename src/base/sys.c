#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void *real_realloc(void *p, size_t n)
{
    return realloc(p, n);
}

static void real_free(void *p)
{
    free(p);
}

static int real_openat(int dir, const char *path, int flags, mode_t mode)
{
    return openat(dir, path, flags | O_CLOEXEC, mode);
}

static int real_openat2(int dir, const char *path, int flags, mode_t mode, uint64_t resolve)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .mode = mode, .resolve = resolve};
    return (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
}

static int64_t clock_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t real_now_ms(void)
{
    return clock_ns(CLOCK_REALTIME) / 1000000;
}

static int64_t real_boottime_ns(void)
{
    return clock_ns(CLOCK_BOOTTIME);
}

static int real_random(void *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = getrandom((char *)p + at, n - at, 0);
        if (got < 0 && errno != EINTR)
            return -1;
        at += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static int real_socketpair(int domain, int type, int protocol, int fds[2])
{
    return socketpair(domain, type | SOCK_CLOEXEC, protocol, fds);
}

static int real_renameat2(int olddir, const char *old, int newdir, const char *new, unsigned flags)
{
    return renameat2(olddir, old, newdir, new, flags);
}

static int real_fchmodat(int dir, const char *path, mode_t mode)
{
    return fchmodat(dir, path, mode, 0);
}

static ssize_t real_copy_file_range(int in, off_t *in_at, int out, off_t *out_at, size_t n)
{
    return copy_file_range(in, in_at, out, out_at, n, 0);
}

/* Standard input reads as empty: a program that asks there must not eat what a person types to crannog. */
static void empty_stdin(void)
{
    int fd = open("/dev/null", O_RDONLY);
    if (fd < 0 || (fd > 0 && dup2(fd, 0) < 0))
        _exit(127);
    if (fd > 0)
        close(fd);
}

/* In the child of a fork: only calls that are safe there. Ends the process if anything is refused. */
static void spawn_child(const char *path, char *const argv[], char *const env[], int *fds, size_t nfds,
                        pid_t parent)
{
    enum { FIRST = 3 };
    int high = FIRST + (int)nfds;
    for (size_t i = 0; i < nfds; i++) /* out of the way first, so that no target is overwritten before it is used */
        if (fds[i] < high && fds[i] != FIRST + (int)i) {
            int moved = fcntl(fds[i], F_DUPFD, high);
            if (moved < 0)
                _exit(127);
            fds[i] = moved;
        }
    empty_stdin();
    for (size_t i = 0; i < nfds; i++) {
        int to = FIRST + (int)i;
        if (fds[i] == to ? fcntl(to, F_SETFD, 0) < 0 : dup2(fds[i], to) < 0)
            _exit(127);
    }
    if (close_range((unsigned)high, ~0u, 0) < 0)
        _exit(127);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        _exit(127);
    execve(path, argv, env);
    _exit(127);
}

static int real_spawn(const char *path, char *const argv[], char *const env[], const int *fds, size_t nfds,
                      pid_t *ret)
{
    int copy[16];
    if (nfds > sizeof copy / sizeof *copy) {
        errno = E2BIG;
        return -1;
    }
    memcpy(copy, fds, nfds * sizeof *copy);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        spawn_child(path, argv, env, copy, nfds, parent);
    if (pid < 0)
        return -1;
    *ret = pid;
    return 0;
}

static pid_t real_waitpid(pid_t pid, int *status, int flags)
{
    return waitpid(pid, status, flags);
}

static __attribute__((noreturn)) void real_die(int status)
{
    _exit(status);
}

/* What never fails by injection: giving back, clocks, collecting a child, and the end. */
#define SURE_ENTRIES                                                                                              \
    .free = real_free, .close = close, .now_ms = real_now_ms, .boottime_ns = real_boottime_ns,                    \
    .waitpid = real_waitpid, .kill = kill, .die = real_die

const struct sys sys_real = {
    SURE_ENTRIES,
    .realloc = real_realloc, .openat = real_openat, .read = read, .write = write, .pread = pread, .pwrite = pwrite,
    .openat2 = real_openat2, .fchmod = fchmod, .fchown = fchown,
    .ftruncate = ftruncate, .fsync = fsync, .syncfs = syncfs, .fstatat = fstatat, .mkdirat = mkdirat,
    .readlinkat = readlinkat, .symlinkat = symlinkat, .linkat = linkat, .mknodat = mknodat, .fchmodat = real_fchmodat,
    .utimensat = utimensat, .copy_file_range = real_copy_file_range,
    .unlinkat = unlinkat, .renameat2 = real_renameat2, .fallocate = fallocate, .flock = flock,
    .random = real_random, .socketpair = real_socketpair, .sendmsg = sendmsg, .recvmsg = recvmsg, .poll = poll,
    .spawn = real_spawn,
};
const struct sys *sys = &sys_real;

/* ---- fault injection: the same table with a counter in front ---- */

static unsigned fault_calls, fault_at, fault_mask;
static int fault_errno;

static bool fault_now(enum sys_fault_kind kind)
{
    if (!(fault_mask & kind))
        return false;
    if (++fault_calls != fault_at)
        return false;
    errno = fault_errno;
    return true;
}

static void *faulty_realloc(void *p, size_t n)
{
    return fault_now(SYS_FAULT_MEMORY) ? NULL : realloc(p, n);
}

#define FAULTY(kind, ret, name, params, args)                        \
    static ret faulty_##name params                                  \
    {                                                                \
        return fault_now(kind) ? -1 : sys_real.name args;            \
    }
FAULTY(SYS_FAULT_FILE, int, openat, (int d, const char *p, int f, mode_t m), (d, p, f, m))
FAULTY(SYS_FAULT_FILE, int, openat2, (int d, const char *p, int f, mode_t m, uint64_t r), (d, p, f, m, r))
FAULTY(SYS_FAULT_FILE, ssize_t, read, (int fd, void *p, size_t n), (fd, p, n))
FAULTY(SYS_FAULT_FILE, ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))
FAULTY(SYS_FAULT_FILE, ssize_t, pread, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
FAULTY(SYS_FAULT_FILE, ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
FAULTY(SYS_FAULT_FILE, int, ftruncate, (int fd, off_t n), (fd, n))
FAULTY(SYS_FAULT_FILE, int, fchmod, (int fd, mode_t m), (fd, m))
FAULTY(SYS_FAULT_FILE, int, fchown, (int fd, uid_t u, gid_t g), (fd, u, g))
FAULTY(SYS_FAULT_FILE, int, fsync, (int fd), (fd))
FAULTY(SYS_FAULT_FILE, int, syncfs, (int fd), (fd))
FAULTY(SYS_FAULT_FILE, int, fstatat, (int d, const char *p, struct stat *s, int f), (d, p, s, f))
FAULTY(SYS_FAULT_FILE, int, mkdirat, (int d, const char *p, mode_t m), (d, p, m))
FAULTY(SYS_FAULT_FILE, ssize_t, readlinkat, (int d, const char *p, char *r, size_t n), (d, p, r, n))
FAULTY(SYS_FAULT_FILE, int, symlinkat, (const char *t, int d, const char *p), (t, d, p))
FAULTY(SYS_FAULT_FILE, int, linkat, (int a, const char *o, int b, const char *n, int f), (a, o, b, n, f))
FAULTY(SYS_FAULT_FILE, int, mknodat, (int d, const char *p, mode_t m, dev_t v), (d, p, m, v))
FAULTY(SYS_FAULT_FILE, int, fchmodat, (int d, const char *p, mode_t m), (d, p, m))
FAULTY(SYS_FAULT_FILE, int, utimensat, (int d, const char *p, const struct timespec t[2], int f), (d, p, t, f))
FAULTY(SYS_FAULT_FILE, ssize_t, copy_file_range, (int a, off_t *x, int b, off_t *y, size_t n), (a, x, b, y, n))
FAULTY(SYS_FAULT_FILE, int, unlinkat, (int d, const char *p, int f), (d, p, f))
FAULTY(SYS_FAULT_FILE, int, renameat2, (int a, const char *o, int b, const char *n, unsigned f), (a, o, b, n, f))
FAULTY(SYS_FAULT_FILE, int, fallocate, (int fd, int m, off_t at, off_t n), (fd, m, at, n))
FAULTY(SYS_FAULT_FILE, int, flock, (int fd, int op), (fd, op))
FAULTY(SYS_FAULT_PROCESS, int, random, (void *p, size_t n), (p, n))
FAULTY(SYS_FAULT_PROCESS, int, socketpair, (int d, int t, int p, int f[2]), (d, t, p, f))
FAULTY(SYS_FAULT_PROCESS, ssize_t, sendmsg, (int fd, const struct msghdr *m, int f), (fd, m, f))
FAULTY(SYS_FAULT_PROCESS, ssize_t, recvmsg, (int fd, struct msghdr *m, int f), (fd, m, f))
FAULTY(SYS_FAULT_PROCESS, int, poll, (struct pollfd *p, nfds_t n, int t), (p, n, t))
FAULTY(SYS_FAULT_PROCESS, int, spawn,
       (const char *p, char *const a[], char *const e[], const int *f, size_t n, pid_t *r), (p, a, e, f, n, r))

static const struct sys sys_faulty = {
    SURE_ENTRIES,
    .realloc = faulty_realloc,
    .openat = faulty_openat, .read = faulty_read, .write = faulty_write, .pread = faulty_pread, .pwrite = faulty_pwrite,
    .openat2 = faulty_openat2, .fchmod = faulty_fchmod, .fchown = faulty_fchown,
    .ftruncate = faulty_ftruncate, .fsync = faulty_fsync, .syncfs = faulty_syncfs, .fstatat = faulty_fstatat,
    .readlinkat = faulty_readlinkat, .symlinkat = faulty_symlinkat, .linkat = faulty_linkat,
    .mknodat = faulty_mknodat, .fchmodat = faulty_fchmodat, .utimensat = faulty_utimensat,
    .copy_file_range = faulty_copy_file_range,
    .mkdirat = faulty_mkdirat, .unlinkat = faulty_unlinkat, .renameat2 = faulty_renameat2,
    .fallocate = faulty_fallocate, .flock = faulty_flock, .random = faulty_random,
    .socketpair = faulty_socketpair, .sendmsg = faulty_sendmsg, .recvmsg = faulty_recvmsg, .poll = faulty_poll,
    .spawn = faulty_spawn,
};

void sys_fail_nth(unsigned n, int errnum, unsigned mask)
{
    fault_calls = 0;
    fault_at = n;
    fault_errno = errnum;
    fault_mask = mask;
    sys = n ? &sys_faulty : &sys_real;
}

unsigned sys_calls(void)
{
    return fault_calls;
}

/* ---- helpers ---- */

void sys_close_fd(int *fd)
{
    int keep = errno;
    if (*fd >= 0)
        sys->close(*fd);
    *fd = -1;
    errno = keep;
}

enum err sys_write_all(int fd, struct slice s, const char *what, struct error *e)
{
    while (s.n) {
        ssize_t n = sys->write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_errno(e, n ? errno : EIO, "cannot write %s", what);
        s = slice_sub(s, (size_t)n, s.n);
    }
    return OK;
}

enum err sys_read_file(int dir, const char *path, struct buf *ret, struct error *e)
{
    FD_CLEANUP int fd = sys->openat(dir, path, O_RDONLY | O_NOCTTY, 0);
    if (fd < 0)
        return error_errno(e, errno, "cannot open %s", path);
    for (;;) {
        char chunk[16384];
        ssize_t n = sys->read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(e, errno, "cannot read %s", path);
        if (n == 0)
            return buf_check(ret, path, e);
        buf_add(ret, (struct slice){chunk, (size_t)n});
    }
}

enum err sys_replace_file(int dir, const char *path, struct slice text, mode_t mode, struct error *e)
{
    BUF_CLEANUP struct buf tmp = BUF_INIT(4096), parent = BUF_INIT(4096);
    buf_addf(&tmp, "%s.new", path);
    const char *slash = strrchr(path, '/');
    buf_add(&parent, slash ? (struct slice){path, slash == path ? 1 : (size_t)(slash - path)} : SLICE("."));
    enum err err = buf_check(&tmp, "path", e);
    if (err)
        return err;
    FD_CLEANUP int fd = sys->openat(dir, buf_str(&tmp), O_WRONLY | O_CREAT | O_TRUNC, mode);
    if (fd < 0)
        return error_errno(e, errno, "cannot create %s", buf_str(&tmp));
    err = sys_write_all(fd, text, buf_str(&tmp), e);
    if (!err && sys->fsync(fd) < 0)
        err = error_errno(e, errno, "cannot sync %s", buf_str(&tmp));
    if (!err && sys->renameat2(dir, buf_str(&tmp), dir, path, 0) < 0)
        err = error_errno(e, errno, "cannot replace %s", path);
    if (err) {
        sys->unlinkat(dir, buf_str(&tmp), 0);
        return err;
    }
    FD_CLEANUP int folder = sys->openat(dir, buf_str(&parent), O_RDONLY | O_DIRECTORY, 0);
    if (folder < 0 || sys->fsync(folder) < 0)
        return error_errno(e, errno, "cannot sync the folder of %s", path);
    return OK;
}

int sys_memfd(const char *name, struct slice bytes)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    if (sys_write_all(fd, bytes, name, NULL) || lseek(fd, 0, SEEK_SET) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        sys_close_fd(&fd);
    return fd;
}

/* A new folder's own name is durable when the folder above it is synced. */
static enum err sync_parent(struct slice path, struct error *e)
{
    BUF_CLEANUP struct buf parent = BUF_INIT(4096);
    size_t n = slice_last_part(path);
    buf_add(&parent, n ? slice_sub(path, 0, n) : SLICE("."));
    FD_CLEANUP int fd = sys->openat(AT_FDCWD, buf_str(&parent), O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0 || sys->fsync(fd) < 0)
        return error_errno(e, errno, "cannot sync the folder %s", buf_str(&parent));
    return OK;
}

enum err sys_mkdirs(const char *path, mode_t mode, struct error *e)
{
    BUF_CLEANUP struct buf part = BUF_INIT(4096);
    struct slice whole = slice_of(path);
    for (size_t i = 1; i <= whole.n; i++) {
        struct stat st;
        if (i < whole.n && whole.p[i] != '/')
            continue;
        buf_reset(&part);
        buf_add(&part, slice_sub(whole, 0, i));
        enum err err = buf_check(&part, "path", e);
        int refused = err || sys->mkdirat(AT_FDCWD, buf_str(&part), mode) == 0 ? 0 : errno;
        if (!err && !refused)
            err = sync_parent(buf_slice(&part), e);
        if (refused && (sys->fstatat(AT_FDCWD, buf_str(&part), &st, 0) < 0 || !S_ISDIR(st.st_mode)))
            err = error_errno(e, refused, "cannot make the folder %s", buf_str(&part));
        if (err)
            return err;
    }
    return OK;
}
