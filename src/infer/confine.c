#include "infer/confine.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/filter.h"

#ifdef FILTER_ARCH
static struct sock_filter filter[] = {
    LOAD(arch),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCH, 1, 0),
    ANSWER(SECCOMP_RET_KILL_PROCESS),
    LOAD(nr),
    /* the descriptors that it has */
    ALLOW(SYS_recvmsg), ALLOW(SYS_sendmsg), ALLOW(SYS_ppoll), ALLOW(SYS_read), ALLOW(SYS_write), ALLOW(SYS_pread64),
    ALLOW(SYS_lseek), ALLOW(SYS_fstat), ALLOW(SYS_newfstatat), ALLOW(SYS_fcntl), ALLOW(SYS_close), ALLOW(SYS_ftruncate),
    ALLOW(SYS_memfd_create),
#ifdef SYS_poll
    ALLOW(SYS_poll),
#endif
    /* memory, never executable */
    ALLOW(SYS_munmap), ALLOW(SYS_mremap), ALLOW(SYS_madvise), ALLOW(SYS_brk),
    IF_NR(SYS_mmap, 4), LOAD(args[2]), IF_BITS(PROT_EXEC, 0, 1), REFUSE(EPERM), ANSWER(SECCOMP_RET_ALLOW),
    IF_NR(SYS_mprotect, 4), LOAD(args[2]), IF_BITS(PROT_EXEC, 0, 1), REFUSE(EPERM), ANSWER(SECCOMP_RET_ALLOW),
    /* threads, not processes; the flags of clone3 cannot be looked at, and libc then takes clone */
    IF_NR(SYS_clone, 4), LOAD(args[0]), IF_BITS(CLONE_THREAD, 1, 0), REFUSE(EPERM), ANSWER(SECCOMP_RET_ALLOW),
    IF_NR(SYS_clone3, 1), REFUSE(ENOSYS),
    ALLOW(SYS_futex), ALLOW(SYS_set_robust_list), ALLOW(SYS_rseq), ALLOW(SYS_sched_yield),
    /* clocks, signals to itself, the end */
    ALLOW(SYS_clock_gettime), ALLOW(SYS_getrandom), ALLOW(SYS_rt_sigaction), ALLOW(SYS_rt_sigprocmask),
    ALLOW(SYS_rt_sigreturn), ALLOW(SYS_restart_syscall), ALLOW(SYS_getpid), ALLOW(SYS_gettid), ALLOW(SYS_exit),
    ALLOW(SYS_exit_group),
    IF_NR(SYS_tgkill, 1), ANSWER(SECCOMP_RET_KILL_PROCESS), /* only abort() does that here */
    REFUSE(EPERM),
};

static enum err set_filter(struct error *e)
{
    const struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return error_errno(e, errno, "cannot limit the system calls of crannog-infer");
    return OK;
}
#else
static enum err set_filter(struct error *e)
{
    return error_set(e, ERR_UNSUPPORTED, "this build cannot limit its system calls");
}
#endif

enum err confine(struct error *e)
{
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_errno(e, errno, "cannot give up the privileges of crannog-infer");
    return set_filter(e);
}
