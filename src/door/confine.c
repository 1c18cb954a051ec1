#include "door/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/filter.h"
#include "base/sys.h"

#ifdef FILTER_ARCH
enum { OPEN_WRITES = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND };

static struct sock_filter filter[] = {
    LOAD(arch),
    IF_IS(FILTER_ARCH, 1, 0),
    ANSWER(SECCOMP_RET_KILL_PROCESS),
    LOAD(nr),
    /* the descriptors that it has; a vault is written in place */
    ALLOW(SYS_recvmsg), ALLOW(SYS_sendmsg), ALLOW(SYS_recvfrom), ALLOW(SYS_sendto), ALLOW(SYS_sendmmsg), ALLOW(SYS_recvmmsg),
    ALLOW(SYS_read), ALLOW(SYS_write), ALLOW(SYS_readv), ALLOW(SYS_writev), ALLOW(SYS_pread64), ALLOW(SYS_pwrite64),
    ALLOW(SYS_lseek), ALLOW(SYS_fstat), ALLOW(SYS_newfstatat), ALLOW(SYS_fcntl), ALLOW(SYS_close), ALLOW(SYS_ftruncate),
    ALLOW(SYS_fsync), ALLOW(SYS_fdatasync), ALLOW(SYS_flock), ALLOW(SYS_memfd_create), ALLOW(SYS_ppoll),
    ALLOW(SYS_epoll_create1), ALLOW(SYS_epoll_ctl), ALLOW(SYS_epoll_pwait), ALLOW(SYS_eventfd2), ALLOW(SYS_pipe2), ALLOW(SYS_socketpair),
#ifdef SYS_poll
    ALLOW(SYS_poll), ALLOW(SYS_epoll_wait),
#endif
    IF_NR(SYS_ioctl, 4), LOAD(args[1]), IF_IS(FIONREAD, 0, 1), ANSWER(SECCOMP_RET_ALLOW), REFUSE(EPERM),
    /* files are read */
    IF_NR(SYS_openat, 4), LOAD(args[2]), IF_BITS(OPEN_WRITES, 0, 1), REFUSE(EPERM), ANSWER(SECCOMP_RET_ALLOW),
    /* the internet, and the kernel's list of our own addresses; nobody is let in */
    IF_NR(SYS_socket, 6), LOAD(args[0]), IF_IS(AF_INET, 3, 0), IF_IS(AF_INET6, 2, 0), IF_IS(AF_NETLINK, 1, 0), REFUSE(EACCES),
    ANSWER(SECCOMP_RET_ALLOW),
    ALLOW(SYS_connect), ALLOW(SYS_bind), ALLOW(SYS_getsockopt), ALLOW(SYS_setsockopt), ALLOW(SYS_getsockname), ALLOW(SYS_getpeername),
    ALLOW(SYS_shutdown),
    /* memory, never executable */
    ALLOW(SYS_munmap), ALLOW(SYS_mremap), ALLOW(SYS_madvise), ALLOW(SYS_brk), ALLOW(SYS_mlock), ALLOW(SYS_munlock),
    IF_NR(SYS_mmap, 4), LOAD(args[2]), IF_BITS(PROT_EXEC, 0, 1), REFUSE(EPERM), ANSWER(SECCOMP_RET_ALLOW),
    IF_NR(SYS_mprotect, 4), LOAD(args[2]), IF_BITS(PROT_EXEC, 0, 1), REFUSE(EPERM), ANSWER(SECCOMP_RET_ALLOW),
    /* threads, not processes; the flags of clone3 cannot be looked at, and libc then takes clone */
    IF_NR(SYS_clone, 4), LOAD(args[0]), IF_BITS(CLONE_THREAD, 1, 0), REFUSE(EPERM), ANSWER(SECCOMP_RET_ALLOW),
    IF_NR(SYS_clone3, 1), REFUSE(ENOSYS),
    ALLOW(SYS_futex), ALLOW(SYS_set_robust_list), ALLOW(SYS_rseq), ALLOW(SYS_sched_yield), ALLOW(SYS_sched_getaffinity),
    /* clocks, who it is, signals to itself, the end */
    ALLOW(SYS_clock_gettime), ALLOW(SYS_clock_nanosleep), ALLOW(SYS_gettimeofday), ALLOW(SYS_getrandom), ALLOW(SYS_uname), ALLOW(SYS_sysinfo),
    ALLOW(SYS_getuid), ALLOW(SYS_geteuid), ALLOW(SYS_getgid), ALLOW(SYS_getegid), ALLOW(SYS_getpid), ALLOW(SYS_gettid),
    ALLOW(SYS_rt_sigaction), ALLOW(SYS_rt_sigprocmask), ALLOW(SYS_rt_sigreturn), ALLOW(SYS_sigaltstack), ALLOW(SYS_restart_syscall),
    ALLOW(SYS_exit), ALLOW(SYS_exit_group),
    IF_NR(SYS_tgkill, 1), ANSWER(SECCOMP_RET_KILL_PROCESS), /* only abort() does that here */
    REFUSE(EPERM),
};

static enum err set_filter(struct error *e)
{
    const struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return error_errno(e, errno, "cannot limit the system calls of crannog-door");
    return OK;
}
#else
static enum err set_filter(struct error *e)
{
    return error_set(e, ERR_UNSUPPORTED, "this build cannot limit its system calls");
}
#endif

/* ---- which files may be read: where the kernel has landlock; else the filter alone holds ---- */

#ifdef FILTER_ARCH
static void allow(int rules, const char *path)
{
    struct stat st;
    FD_CLEANUP int fd = open(path, O_PATH | O_CLOEXEC);
    bool folder = fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
    const struct landlock_path_beneath_attr below = {
        .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | (folder ? LANDLOCK_ACCESS_FS_READ_DIR : 0), .parent_fd = fd};
    if (fd >= 0)
        (void)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0);
}

static void limit_files(void)
{
    const struct landlock_ruleset_attr attr = {.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1}; /* all of the first version */
    FD_CLEANUP int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    /* The two files also where they are links to elsewhere. */
    static const char *const readable[] = {"/etc", "/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt", "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/usr/share/ca-certificates",
                                           "/usr/local/share/ca-certificates", "/usr/lib/ssl", "/usr/share/zoneinfo"};
    if (rules < 0)
        return;
    for (size_t i = 0; i < sizeof readable / sizeof *readable; i++)
        allow(rules, readable[i]);
    (void)syscall(SYS_landlock_restrict_self, rules, 0);
}
#endif

enum err confine(struct error *e)
{
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_errno(e, errno, "cannot give up the privileges of crannog-door");
#ifdef FILTER_ARCH
    limit_files();
#endif
    return set_filter(e);
}
