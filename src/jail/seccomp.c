/*
 * The seccomp filter: a deny list. It closes ways into the kernel that a tool in a jail has no business with; the walls
 * themselves are namespaces, ids and mounts.
 *
 * The program is put together here and not by libseccomp: that takes 0.3 ms of each start (measured, 120 rules), knows
 * no call newer than itself, and would be one more library in the smallest program. A row is a number and what about
 * it is refused: always (an instruction) or with certain arguments (four to twelve). The kernel runs the program once for
 * every system call there is when it is loaded, so its length is felt.
 *
 * Arguments are looked at as the kernel does: it cuts flags, modes, families and ioctl numbers to 32 bits, so only the
 * low half counts (a high half that is set must not hide a forbidden low one).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jail/internal.h"

#if defined(__x86_64__)
enum { ARCH = AUDIT_ARCH_X86_64 };
#elif defined(__aarch64__)
enum { ARCH = AUDIT_ARCH_AARCH64 };
#else
#error "crannog-jail knows the system calls of x86-64 and aarch64 only"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the offsets of the low halves below are for little-endian machines"
#endif

/* Numbers that older headers lack; from 403 on they are the same on every architecture. */
enum {
    NR_clone3 = 435, NR_openat2 = 437, NR_pidfd_getfd = 438, NR_mount_setattr = 442, NR_quotactl_fd = 443,
    NR_fchmodat2 = 452, NR_lsm_set_self_attr = 460, NR_open_tree_attr = 467,
};

enum what {
    ALWAYS,     /* refused */
    ANY_BIT,    /* refused if the argument has one of these bits */
    IS,         /* refused if the argument, within `mask`, is `value` */
    CREATES,    /* refused if the argument before says that a file is made and this one has one of these bits */
    FAMILY,     /* refused unless a socket family of ours, or netlink's routes: what asks which interfaces there are (libuv, Go,
                   Java, psutil) is told of its own loopback, and has no right to change anything */
    TABLES,     /* refused if a socket option is one of the packet filters' */
    DEVICE,     /* refused if a character device; of an applet unless it is 0/0, a whiteout (layers are squashed by one) */
};

enum when { EVERYWHERE, NOT_NESTING, NESTING }; /* of jails that allow a browser's own sandbox (plan.h `nests`) */

struct row {
    int nr;
    enum what what;
    int errnum;
    unsigned arg;
    uint32_t mask, value;
    enum when when;
};

enum { SETID = S_ISUID | S_ISGID };
enum { MADE = O_CREAT | (O_TMPFILE & ~O_DIRECTORY), NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
       CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET, NEWTIME = 0x80,
       NESTED = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET };

static const struct row rows[] = {
    /* changing what is visible */
    {SYS_mount, ALWAYS, EPERM}, {SYS_umount2, ALWAYS, EPERM}, {SYS_pivot_root, ALWAYS, EPERM},
    {SYS_chroot, ALWAYS, EPERM, .when = NOT_NESTING}, {SYS_open_tree, ALWAYS, EPERM}, {SYS_move_mount, ALWAYS, EPERM},
    {SYS_fsopen, ALWAYS, EPERM}, {SYS_fsconfig, ALWAYS, EPERM}, {SYS_fsmount, ALWAYS, EPERM},
    {SYS_fspick, ALWAYS, EPERM}, {NR_mount_setattr, ALWAYS, EPERM}, {NR_open_tree_attr, ALWAYS, EPERM},
    /* new namespaces, and with them capabilities; clone3 hides its flags in memory, libc falls back to clone */
    {SYS_setns, ALWAYS, EPERM}, {NR_clone3, ALWAYS, ENOSYS},
    {SYS_unshare, ANY_BIT, EPERM, 0, NAMESPACES | NEWTIME, 0, NOT_NESTING},
    {SYS_clone, ANY_BIT, EPERM, 0, NAMESPACES, 0, NOT_NESTING},
    {SYS_unshare, ANY_BIT, EPERM, 0, (NAMESPACES | NEWTIME) & ~NESTED, 0, NESTING},
    {SYS_clone, ANY_BIT, EPERM, 0, NAMESPACES & ~NESTED, 0, NESTING},
    /* other processes */
    {SYS_ptrace, ALWAYS, EPERM}, {SYS_process_vm_readv, ALWAYS, EPERM}, {SYS_process_vm_writev, ALWAYS, EPERM},
    {SYS_kcmp, ALWAYS, EPERM}, {NR_pidfd_getfd, ALWAYS, EPERM},
    /* limits and priority of pid 1, which has the program's ids: without descriptors it could not watch CPU time */
    {SYS_prlimit64, IS, EPERM, 0, 0xffffffff, 1}, {SYS_sched_setscheduler, IS, EPERM, 0, 0xffffffff, 1},
    {SYS_sched_setattr, IS, EPERM, 0, 0xffffffff, 1}, {SYS_sched_setparam, IS, EPERM, 0, 0xffffffff, 1},
    {SYS_sched_setaffinity, IS, EPERM, 0, 0xffffffff, 1}, {SYS_setpriority, IS, EPERM, 1, 0xffffffff, 1},
    {SYS_setpriority, IS, EPERM, 0, 0xffffffff, PRIO_USER},
    /* large or old parts of the kernel */
    {SYS_bpf, ALWAYS, EPERM}, {SYS_perf_event_open, ALWAYS, EPERM}, {SYS_userfaultfd, ALWAYS, EPERM},
    {SYS_io_uring_setup, ALWAYS, ENOSYS}, {SYS_io_uring_enter, ALWAYS, ENOSYS},
    {SYS_io_uring_register, ALWAYS, ENOSYS}, {SYS_fanotify_init, ALWAYS, EPERM},
    {SYS_keyctl, ALWAYS, EPERM}, {SYS_add_key, ALWAYS, EPERM}, {SYS_request_key, ALWAYS, EPERM},
    {SYS_personality, ALWAYS, EPERM}, {SYS_lookup_dcookie, ALWAYS, EPERM}, {SYS_nfsservctl, ALWAYS, EPERM},
    {SYS_syslog, ALWAYS, EPERM}, {NR_lsm_set_self_attr, ALWAYS, EPERM},
    /* the machine */
    {SYS_kexec_load, ALWAYS, EPERM}, {SYS_kexec_file_load, ALWAYS, EPERM}, {SYS_init_module, ALWAYS, EPERM},
    {SYS_finit_module, ALWAYS, EPERM}, {SYS_delete_module, ALWAYS, EPERM}, {SYS_reboot, ALWAYS, EPERM},
    {SYS_acct, ALWAYS, EPERM}, {SYS_swapon, ALWAYS, EPERM}, {SYS_swapoff, ALWAYS, EPERM},
    {SYS_quotactl, ALWAYS, EPERM}, {NR_quotactl_fd, ALWAYS, EPERM}, {SYS_vhangup, ALWAYS, EPERM},
    {SYS_settimeofday, ALWAYS, EPERM}, {SYS_clock_settime, ALWAYS, EPERM},
    /* files by handle, past every path */
    {SYS_open_by_handle_at, ALWAYS, EPERM},
    /* typing into a terminal that was passed in */
    {SYS_ioctl, IS, EPERM, 1, 0xffffffff, TIOCSTI}, {SYS_ioctl, IS, EPERM, 1, 0xffffffff, TIOCLINUX},
    /* only sockets that the network namespace holds (vsock, for one, knows no namespace) */
    {SYS_socket, FAMILY, EAFNOSUPPORT, 0}, {SYS_socketpair, FAMILY, EAFNOSUPPORT, 0},
    /* and of a network namespace that somebody inside is the master of, nothing but its sockets: no raw ones, no tables */
    {SYS_socket, IS, EPERM, 1, 0xf, SOCK_RAW, NESTING}, {SYS_setsockopt, TABLES, EPERM, 1, 0, 0, NESTING},
    {SYS_getsockopt, TABLES, EPERM, 1, 0, 0, NESTING},
    /* Devices, and files that would give their owner's rights to whoever runs them outside. The flags of openat2 lie in
       memory: programs have a fallback. Applets are our own code, keep their paths beneath a root with it and have
       none. */
    {SYS_mknodat, ANY_BIT, EPERM, 2, SETID, 0}, {SYS_mknodat, DEVICE, EPERM, 2, S_IFMT, S_IFCHR},
    {SYS_mknodat, IS, EPERM, 2, S_IFMT, S_IFBLK}, {SYS_fchmod, ANY_BIT, EPERM, 1, SETID, 0},
    {SYS_fchmodat, ANY_BIT, EPERM, 2, SETID, 0}, {NR_fchmodat2, ANY_BIT, EPERM, 2, SETID, 0},
    {SYS_openat, CREATES, EPERM, 3, SETID, 0}, {NR_openat2, ALWAYS, ENOSYS},
#ifdef __x86_64__
    {SYS_mknod, ANY_BIT, EPERM, 1, SETID, 0}, {SYS_mknod, IS, EPERM, 1, S_IFMT, S_IFCHR},
    {SYS_mknod, IS, EPERM, 1, S_IFMT, S_IFBLK}, {SYS_chmod, ANY_BIT, EPERM, 1, SETID, 0},
    {SYS_creat, ANY_BIT, EPERM, 1, SETID, 0}, {SYS_open, CREATES, EPERM, 2, SETID, 0},
    {SYS_iopl, ALWAYS, EPERM}, {SYS_ioperm, ALWAYS, EPERM}, {SYS_modify_ldt, ALWAYS, EPERM},
    {SYS_uselib, ALWAYS, EPERM},
#endif
};

enum { NROWS = sizeof rows / sizeof *rows, CODE_MAX = 8 + 8 * NROWS };

struct code {
    struct sock_filter at[CODE_MAX];
    unsigned short n;
    bool applet, nests;
};

static bool applies(const struct code *c, const struct row *r)
{
    return r->when == EVERYWHERE || (r->when == NESTING) == c->nests;
}

static void add(struct code *c, unsigned op, uint32_t k, unsigned yes, unsigned no)
{
    ASSERT(c->n < CODE_MAX && yes < 256 && no < 256);
    c->at[c->n++] = (struct sock_filter){(uint16_t)op, (uint8_t)yes, (uint8_t)no, k};
}

enum { LOAD = BPF_LD | BPF_W | BPF_ABS, RET = BPF_RET | BPF_K, EQ = BPF_JMP | BPF_JEQ | BPF_K,
       BITS = BPF_JMP | BPF_JSET | BPF_K, AND = BPF_ALU | BPF_AND | BPF_K };

static void load_arg(struct code *c, unsigned arg)
{
    add(c, LOAD, (uint32_t)offsetof(struct seccomp_data, args) + 8 * arg, 0, 0);
}

/* With the argument's low half loaded, the instructions that lead on where it is to be refused and skip the one
   `return` behind them where not. */
static void condition(struct code *c, const struct row *r)
{
    switch (r->what) {
    case ALWAYS:
        break;
    case ANY_BIT:
        load_arg(c, r->arg);
        add(c, BITS, r->mask, 0, 1);
        break;
    case IS:
        load_arg(c, r->arg);
        add(c, AND, r->mask, 0, 0);
        add(c, EQ, r->value, 0, 1);
        break;
    case DEVICE:
        load_arg(c, r->arg);
        add(c, AND, r->mask, 0, 0);
        add(c, EQ, r->value, 0, c->applet ? 3 : 1);
        if (c->applet) {
            load_arg(c, r->arg + 1);
            add(c, EQ, 0, 1, 0);
        }
        break;
    case CREATES:
        load_arg(c, r->arg - 1);
        add(c, BITS, MADE, 0, 3);
        load_arg(c, r->arg);
        add(c, BITS, r->mask, 0, 1);
        break;
    case TABLES: /* IPT_SO_SET_REPLACE and its kin: 64 and above of SOL_IP, 64 and 65 of SOL_IPV6 */
        load_arg(c, r->arg);
        add(c, EQ, IPPROTO_IP, 2, 0);
        add(c, EQ, IPPROTO_IPV6, 3, 0);
        add(c, BPF_JMP | BPF_JA, 6, 0, 0);
        load_arg(c, r->arg + 1);
        add(c, BPF_JMP | BPF_JGE | BPF_K, 64, 3, 4);
        load_arg(c, r->arg + 1);
        add(c, AND, ~1u, 0, 0);
        add(c, EQ, 64, 0, 1);
        break;
    case FAMILY:
        load_arg(c, r->arg);
        add(c, EQ, AF_UNIX, 6, 0);
        add(c, EQ, AF_INET, 5, 0);
        add(c, EQ, AF_INET6, 4, 0);
        add(c, EQ, c->nests ? AF_UNIX : AF_NETLINK, 0, 2);
        load_arg(c, r->arg + 2);
        add(c, EQ, NETLINK_ROUTE, 1, 0);
        break;
    }
}

static void add_row(struct code *c, const struct row *r)
{
    unsigned short test = c->n;
    add(c, EQ, (uint32_t)r->nr, 0, 0);
    condition(c, r);
    add(c, RET, SECCOMP_RET_ERRNO | (uint32_t)r->errnum, 0, 0);
    if (r->what != ALWAYS) /* a later row may be about the same call */
        add(c, LOAD, offsetof(struct seccomp_data, nr), 0, 0);
    c->at[test].jf = (uint8_t)(c->n - test - 1);
}

/* Most rows: these numbers are refused, all with the same words. One instruction a number, and one `return`. */
static void add_refused(struct code *c, int errnum)
{
    unsigned short first = c->n;
    for (size_t i = 0; i < NROWS; i++)
        if (rows[i].what == ALWAYS && applies(c, &rows[i]) && rows[i].errnum == errnum && !(c->applet && rows[i].nr == NR_openat2))
            add(c, EQ, (uint32_t)rows[i].nr, 0, 0);
    ASSERT(c->n > first);
    add(c, BPF_JMP | BPF_JA, 1, 0, 0);
    for (unsigned short i = first; i + 1 < c->n; i++)
        c->at[i].jt = (uint8_t)(c->n - i - 1);
    add(c, RET, SECCOMP_RET_ERRNO | (uint32_t)errnum, 0, 0);
}

static void build(struct code *c)
{
    add(c, LOAD, offsetof(struct seccomp_data, arch), 0, 0);
    add(c, EQ, ARCH, 1, 0);
    add(c, RET, SECCOMP_RET_KILL_PROCESS, 0, 0);
    add(c, LOAD, offsetof(struct seccomp_data, nr), 0, 0);
#ifdef __x86_64__
    add(c, BITS, 0x40000000, 0, 1); /* x32 */
    add(c, RET, SECCOMP_RET_KILL_PROCESS, 0, 0);
#endif
    add_refused(c, EPERM);
    add_refused(c, ENOSYS);
    for (size_t i = 0; i < NROWS; i++)
        if (rows[i].what != ALWAYS && applies(c, &rows[i]))
            add_row(c, &rows[i]);
    add(c, RET, SECCOMP_RET_ALLOW, 0, 0);
}

enum err seccomp_install(const struct jail_plan *p, struct error *e)
{
    struct code c = {.applet = p->applet.n > 0, .nests = p->nests};
    build(&c);
    struct sock_fprog program = {c.n, c.at};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
        return error_errno(e, errno, "the kernel refuses the system call filter (it needs CONFIG_SECCOMP_FILTER)");
    return OK;
}
