/*
 * Attacks from inside, as applets of a crannog-jail made for the tests: each tries what a wall forbids and fails (with
 * the name of what worked) if it was let. Run by walls.c. The argument is a message: text under tag 1.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "jail/internal.h"
#include "wire/message.h"

enum { NR_io_uring_setup = 425, NR_open_tree = 428, NR_fsopen = 430, NR_clone3 = 435, NR_openat2 = 437,
       NR_pidfd_getfd = 438, NR_mount_setattr = 442 };

#define MUST(cond, what)                                                                                         \
    do {                                                                                                         \
        errno = 0;                                                                                               \
        if (!(cond))                                                                                             \
            return error_set(e, ERR_DENIED, "%s (errno %d)", what, errno);                                       \
    } while (0)
/* The call must fail with just this errno: that of the wall meant, not of some luck. */
#define REFUSED(call, why) MUST((long)(call) == -1 && errno == (why), "not refused as it should be: " #call)
#define FAILS(call) MUST((long)(call) == -1, "let: " #call)

static void text_of(struct slice args, char ret[512])
{
    struct slice s = message_get(args, 1);
    snprintf(ret, 512, "%.*s", SLICE_ARG(s));
}

/* ---- files ---- */

/* The caller's secret and the machine's, by every name there is for them. */
static enum err outside_files(struct slice args, struct buf *reply, struct error *e)
{
    (void)reply;
    char secret[512], path[1024];
    text_of(args, secret);
    const char *const paths[] = {"/etc/shadow", "/etc/crannog", "/root", "/home", "/var", "/run", "/sys",
                                 "/boot",
                                 "/proc/1/root", "/proc/1/environ", "/proc/1/mem", "/proc/1/fd", "/proc/1/cwd",
                                 "/proc/1/exe", "/proc/1/maps", "/dev/vda", "/dev/sda", "/dev/mem", "/dev/kmsg",
                                 "/dev/tty", "/dev/pts/0", "/dev/pts/1", "/dev/tty0", "/dev/console", "/dev/fuse", "/dev/net/tun", "/dev/kvm"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        MUST(open(paths[i], O_RDONLY | O_NONBLOCK) < 0, paths[i]);
    const char *const prefixes[] = {"", "/proc/self/root", "/proc/self/cwd/../../../../../../..", "/proc/1/root",
                                    "/proc/thread-self/root", "/../../..", "/proc/self/task/2/root"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        snprintf(path, sizeof path, "%s%s", prefixes[i], secret);
        MUST(open(path, O_RDONLY) < 0, path);
    }
    return OK;
}

static enum err only_names(const char *folder, const char *names, struct error *e)
{
    DIR *d = opendir(folder);
    MUST(d, folder);
    for (const struct dirent *n; (n = readdir(d));) {
        char padded[300];
        snprintf(padded, sizeof padded, " %s ", n->d_name);
        if (!strstr(names, padded))
            return error_set(e, ERR_DENIED, "%s/%s is visible", folder, n->d_name);
    }
    closedir(d);
    return OK;
}

/* J1: the names at the top, in /dev and in /etc; and the processes. */
static enum err visible(struct slice args, struct buf *reply, struct error *e)
{
    (void)args, (void)reply;
    enum err err = only_names("/", " . .. usr bin sbin lib lib32 lib64 libx32 nix etc dev proc tmp work ro sys_only ", e);
    err = err ? err : only_names("/dev", " . .. null zero full random urandom fd stdin stdout stderr shm tty pts ptmx ", e);
    err = err ? err : only_names("/dev/pts", " . .. ptmx ", e);
    err = err ? err : only_names("/etc", " . .. passwd group nsswitch.conf hosts localtime ld.so.cache alternatives ssl "
                                         "pki os-release services protocols manpath.config java-11-openjdk java-17-openjdk java-21-openjdk ", e);
    for (int pid = 3; !err && pid < 40000; pid++) /* 1 and we */
        if (kill(pid, 0) == 0 || errno != ESRCH)
            err = error_set(e, ERR_DENIED, "process %d of somebody else is visible", pid);
    return err;
}

/* What /proc tells of the machine: nothing, or it cannot be opened; and what programs need is there. */
static enum err proc_tells(struct slice args, struct buf *reply, struct error *e)
{
    (void)args, (void)reply;
    const char *const hidden[] = {"kcore", "kmsg", "kallsyms", "keys", "key-users", "cmdline", "config.gz", "sched_debug",
                                  "timer_list", "interrupts", "iomem", "ioports", "partitions", "diskstats", "modules",
                                  "swaps", "locks", "slabinfo", "vmallocinfo", "consoles", "softirqs", "mdstat",
                                  "kpagecount", "kpageflags", "pagetypeinfo", "sys/kernel/usermodehelper/bset"};
    const char *const folders[] = {"acpi", "asound", "bus", "driver", "dynamic_debug", "fs", "irq", "pressure", "scsi",
                                   "sys/debug", "sys/dev/cdrom", "sys/dev/raid", "sys/kernel/keys"};
    const char *const needed[] = {"cpuinfo", "meminfo", "stat", "uptime", "loadavg", "version", "filesystems", "mounts",
                                  "net/dev", "sys/vm/overcommit_memory", "sys/kernel/random/uuid", "sys/kernel/osrelease",
                                  "sys/kernel/pid_max", "sys/fs/inotify/max_user_watches"};
    char path[100], text[64];
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
        snprintf(path, sizeof path, "/proc/%s", hidden[i]);
        int fd = open(path, O_RDONLY | O_NONBLOCK);
        MUST(fd < 0 || read(fd, text, sizeof text) <= 0, path);
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "/proc/%s", folders[i]);
        if (access(path, F_OK) == 0 && only_names(path, " . .. ", e))
            return ERR_DENIED;
    }
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        snprintf(path, sizeof path, "/proc/%s", needed[i]);
        int fd = open(path, O_RDONLY);
        MUST(fd >= 0 && read(fd, text, sizeof text) > 0, path);
    }
    FAILS(open("/proc/sysrq-trigger", O_WRONLY));
    return OK;
}

static enum err first_process(struct slice args, struct buf *reply, struct error *e)
{
    (void)args, (void)reply;
    const char *const files[] = {"environ", "mem", "maps", "smaps", "smaps_rollup", "numa_maps", "auxv", "syscall", "stack", "io",
                                 "fd", "fdinfo/0", "map_files", "cwd", "root", "exe", "ns/net", "pagemap", "clear_refs", "timers"};
    char path[100], link[100], text[64];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "/proc/1/%s", files[i]);
        int fd = open(path, O_RDONLY | O_NONBLOCK);
        MUST(fd < 0 || read(fd, text, sizeof text) <= 0, path);
        MUST(readlink(path, link, sizeof link) < 0, path);
    }
    MUST(open("/proc/1/mem", O_RDWR) < 0, "its memory cannot be written");
    return OK;
}

/* How many terminals can be opened. */
static enum err terminals(struct slice args, struct buf *reply, struct error *e)
{
    (void)args;
    uint64_t n = 0;
    while (n < 200 && open("/dev/ptmx", O_RDWR | O_NOCTTY) >= 0)
        n++;
    MUST(open("/dev/tty", O_RDWR) < 0 && errno == ENXIO, "none of them is ours");
    message_put_u64(reply, 1, n);
    return OK;
}

/* Every mount by its line in mountinfo: at a place that the plan names, nosuid, and read-only but for three. */
static enum err mounts(struct slice args, struct buf *reply, struct error *e)
{
    (void)args, (void)reply;
    char line[2048], place[1024], options[512];
    FILE *f = fopen("/proc/self/mountinfo", "r");
    MUST(f, "mountinfo can be read");
    int seen = 0;
    for (; fgets(line, sizeof line, f); seen++) {
        const char *const named[] = {"/usr", "/etc/", "/lib", "/bin", "/sbin", "/nix", "/ro", "/work", "/tmp", "/proc", "/dev/"};
        MUST(sscanf(line, "%*s %*s %*s %*s %1023s %511s", place, options) == 2, line);
        bool known = strcmp(place, "/") == 0, device = strncmp(place, "/dev/", 5) == 0;
        for (size_t i = 0; i < sizeof named / sizeof *named; i++)
            known |= strncmp(place, named[i], strlen(named[i])) == 0;
        bool writable = strcmp(place, "/work") == 0 || strcmp(place, "/tmp") == 0 || device;
        if (!known || !strstr(options, "nosuid") || (!device && !strstr(options, "nodev")) ||
            (!writable && strncmp(options, "ro,", 3) != 0))
            return error_set(e, ERR_DENIED, "a mount that should not be, or not so: %s", line);
    }
    fclose(f);
    MUST(seen > 8, "mounts are listed");
    return OK;
}

static enum err read_only(struct slice args, struct buf *reply, struct error *e)
{
    (void)args, (void)reply;
    REFUSED(open("/ro/new", O_WRONLY | O_CREAT, 0600), EROFS);
    REFUSED(open("/ro/file", O_WRONLY), EROFS);
    REFUSED(truncate("/ro/file", 0), EROFS);
    REFUSED(mkdir("/ro/d", 0700), EROFS);
    REFUSED(unlink("/ro/file"), EROFS);
    REFUSED(rename("/ro/file", "/ro/g"), EROFS);
    REFUSED(link("/ro/file", "/ro/g"), EROFS);
    REFUSED(symlink("x", "/ro/g"), EROFS);
    REFUSED(chmod("/ro/file", 0777), EROFS);
    REFUSED(utimensat(AT_FDCWD, "/ro/file", NULL, 0), EROFS);
    REFUSED(setxattr("/ro/file", "user.x", "y", 1, 0), EROFS);
    FAILS(open("/ro/sub/new", O_WRONLY | O_CREAT, 0600)); /* a folder mounted below it, where there is one */
    FAILS(open("/usr/bin/new", O_WRONLY | O_CREAT, 0600));
    FAILS(open("/etc/passwd", O_WRONLY));
    REFUSED(open("/new", O_WRONLY | O_CREAT, 0600), EROFS);
    REFUSED(open("/dev/new", O_WRONLY | O_CREAT, 0600), EROFS);
    FAILS(open("/proc/sys/kernel/core_pattern", O_WRONLY));
    FAILS(open("/proc/sys/net/ipv4/ip_forward", O_WRONLY));
    FAILS(open("/proc/sysrq-trigger", O_WRONLY));
    FAILS(open("/proc/self/uid_map", O_WRONLY));
    int fd = open("/ro/file", O_RDONLY);
    MUST(fd >= 0, "a read-only file can be read");
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    REFUSED(open(path, O_RDWR), EROFS);
    return OK;
}

static enum err write_file(struct slice args, struct buf *reply, struct error *e)
{
    (void)reply;
    char path[512];
    text_of(args, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    if (fd < 0 || write(fd, "inside\n", 7) != 7)
        return error_errno(e, errno, "cannot write %s", path);
    close(fd);
    return OK;
}

static enum err read_file(struct slice args, struct buf *reply, struct error *e)
{
    char path[512], text[512];
    text_of(args, path);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (n < 0)
        return error_errno(e, errno, "cannot read %s", path);
    message_put(reply, 1, (struct slice){text, (size_t)n});
    return OK;
}

/* Nothing that would act outside with its owner's rights, and no device. */
static enum err special_files(struct slice args, struct buf *reply, struct error *e)
{
    (void)args, (void)reply;
    REFUSED(mknod("/work/c", S_IFCHR | 0666, makedev(1, 3)), EPERM);
    REFUSED(mknod("/work/c", S_IFCHR | 0666, makedev(0, 1)), EPERM);
    REFUSED(syscall(SYS_mknodat, AT_FDCWD, "/work/c", S_IFCHR | 0666, 0x100000000ul | makedev(1, 3)), EPERM);
    MUST(mknod("/work/w", S_IFCHR | 0600, makedev(0, 0)) == 0, "our own code makes whiteouts");
    MUST(unlink("/work/w") == 0, "and removes them");
    REFUSED(mknod("/work/b", S_IFBLK | 0666, makedev(254, 0)), EPERM);
    REFUSED(mknod("/work/s", S_IFREG | 04755, 0), EPERM);
    REFUSED(mknod("/tmp/c", S_IFCHR | 0666, makedev(1, 3)), EPERM);
    REFUSED(open("/work/s", O_WRONLY | O_CREAT, 04755), EPERM);
    REFUSED(syscall(SYS_openat, AT_FDCWD, "/work/s", O_WRONLY | O_CREAT, 02755), EPERM);
    REFUSED(open("/work", O_WRONLY | O_TMPFILE, 04755), EPERM);
    REFUSED(creat("/work/s", 04755), EPERM);
    int fd = open("/work/plain", O_RDWR | O_CREAT, 0755);
    MUST(fd >= 0, "an ordinary file can be made");
    REFUSED(fchmod(fd, 04755), EPERM);
    REFUSED(chmod("/work/plain", 06755), EPERM);
    REFUSED(fchmodat(AT_FDCWD, "/work/plain", 02755, 0), EPERM);
    REFUSED(syscall(452, AT_FDCWD, "/work/plain", 04755, 0), EPERM);
    MUST(chmod("/work/plain", 0700) == 0, "an ordinary mode can be set");
    MUST(syscall(SYS_openat, AT_FDCWD, "/work/plain", O_RDONLY, 04755) >= 0, "the mode is nothing where no file is made");
    FAILS(chown("/work/plain", 4321, 4321));
    FAILS(setxattr("/work/plain", "security.capability", "\1\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, 0));
    FAILS(setxattr("/work/plain", "trusted.x", "y", 1, 0));
    return OK;
}

/* A socket or FIFO of the host's at a path that an overlay shows: the file is there, nobody is behind it. */
static enum err host_socket(struct slice args, struct buf *reply, struct error *e)
{
    (void)reply;
    char path[512];
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    text_of(args, path);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    REFUSED(connect(fd, (struct sockaddr *)&a, sizeof a), ECONNREFUSED);
    snprintf(path + strlen(path), 8, ".fifo");
    MUST(open(path, O_WRONLY | O_NONBLOCK) < 0 && (errno == ENXIO || errno == EACCES), "nobody reads a FIFO of the host's");
    return OK;
}

/* What an overlay was made of cannot be named: neither by the folder where it was laid nor by what mountinfo says. The
   argument: a folder of the host's that no line may name. */
static enum err pieces(struct slice args, struct buf *reply, struct error *e)
{
    char host[512], line[4096];
    text_of(args, host);
    enum err err = only_names("/", " . .. usr bin sbin lib lib32 lib64 libx32 nix etc dev proc tmp work ", e);
    FILE *f = fopen("/proc/self/mountinfo", "r");
    MUST(f, "mountinfo can be read");
    while (!err && fgets(line, sizeof line, f))
        if (strstr(line, " overlay ")) {
            if (strstr(line, host))
                err = error_set(e, ERR_DENIED, "mountinfo names the host's folder: %s", line);
            message_put(reply, 1, slice_of(line));
        }
    fclose(f);
    for (int fd = 3; !err && fd < 100; fd++) {
        char names[3][64];
        snprintf(names[0], 64, "/proc/self/fd/%d/up", fd);
        snprintf(names[1], 64, "/proc/1/fd/%d/up", fd);
        snprintf(names[2], 64, "/proc/1/fd/%d", fd);
        for (int i = 0; i < 3; i++)
            MUST(open(names[i], O_RDONLY) < 0, names[i]);
    }
    return err;
}

/* Nothing but the merged folder is written, and nothing of it with rights that the program has not. */
static enum err overlay_attributes(struct slice args, struct buf *reply, struct error *e)
{
    (void)args, (void)reply;
    MUST(mkdir("/work/attr", 0700) == 0, "a folder can be made");
    MUST(close(open("/work/attr/f", O_WRONLY | O_CREAT, 0600)) == 0, "a file can be made");
    setxattr("/work/attr", "user.overlay.opaque", "y", 1, 0); /* let or not: it is kept under another name */
    FAILS(setxattr("/work/attr", "trusted.overlay.opaque", "y", 1, 0));
    FAILS(setxattr("/work/attr/f", "trusted.overlay.redirect", "/", 1, 0));
    setxattr("/work/attr/f", "user.overlay.redirect", "/etc/shadow", 11, 0);
    setxattr("/work/attr/f", "user.overlay.metacopy", "", 0, 0);
    char found[64];
    REFUSED(open("/work/attr", O_WRONLY | O_TMPFILE, 04755), EPERM);
    REFUSED(mknod("/work/attr/d", S_IFCHR | 0666, makedev(1, 3)), EPERM);
    MUST(getxattr("/work", "trusted.overlay.origin", found, sizeof found) < 0, "overlay's own attributes are not shown");
    return OK;
}

/* ---- the kernel ---- */

static enum err mounting(struct slice args, struct buf *reply, struct error *e)
{
    (void)args, (void)reply;
    struct mount_attr clear = {.attr_clr = MOUNT_ATTR_RDONLY};
    REFUSED(mount("x", "/tmp", "tmpfs", 0, ""), EPERM);
    REFUSED(mount(NULL, "/ro", NULL, MS_REMOUNT | MS_BIND, NULL), EPERM);
    REFUSED(mount("/", "/tmp", NULL, MS_BIND, NULL), EPERM);
    REFUSED(umount2("/proc", MNT_DETACH), EPERM);
    REFUSED(umount2("/work/.crannog", MNT_DETACH), EPERM);
    REFUSED(syscall(NR_mount_setattr, AT_FDCWD, "/ro", 0, &clear, sizeof clear), EPERM);
    REFUSED(syscall(NR_open_tree, AT_FDCWD, "/", 1), EPERM);
    REFUSED(syscall(NR_fsopen, "tmpfs", 0), EPERM);
    REFUSED(syscall(SYS_pivot_root, "/tmp", "/tmp"), EPERM);
    REFUSED(chroot("/tmp"), EPERM);
    return OK;
}

static enum err namespaces(struct slice args, struct buf *reply, struct error *e)
{
    (void)args, (void)reply;
    const int flags[] = {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS,
                         CLONE_NEWCGROUP, 0x80};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        REFUSED(unshare(flags[i]), EPERM);
        REFUSED(unshare(flags[i] | CLONE_FS), EPERM);
        if (flags[i] != 0x80)
            REFUSED(syscall(SYS_clone, flags[i] | SIGCHLD, 0, 0, 0, 0), EPERM);
        if (flags[i] != 0x80)
            REFUSED(syscall(SYS_clone, (1ul << 32) | (unsigned)flags[i] | SIGCHLD, 0, 0, 0, 0), EPERM);
    }
    char zeros[88] = {0};
    REFUSED(syscall(NR_clone3, zeros, sizeof zeros), ENOSYS);
    int fd = open("/proc/self/ns/user", O_RDONLY);
    MUST(fd >= 0, "our own namespace can be named");
    REFUSED(setns(fd, 0), EPERM);
    return OK;
}

static enum err processes(struct slice args, struct buf *reply, struct error *e)
{
    (void)args, (void)reply;
    char byte;
    struct { void *p; size_t n; } io = {&byte, 1};
    REFUSED(ptrace(PTRACE_ATTACH, 1, 0, 0), EPERM);
    REFUSED(ptrace(PTRACE_SEIZE, getppid(), 0, 0), EPERM);
    REFUSED(ptrace(PTRACE_TRACEME, 0, 0, 0), EPERM);
    REFUSED(syscall(SYS_process_vm_readv, 1, &io, 1, &io, 1, 0), EPERM);
    REFUSED(syscall(SYS_process_vm_writev, 1, &io, 1, &io, 1, 0), EPERM);
    REFUSED(syscall(SYS_kcmp, 1, getpid(), 0, 0, 0), EPERM);
    int fd = (int)syscall(SYS_pidfd_open, 1, 0);
    MUST(fd >= 0, "pid 1 can be named");
    REFUSED(syscall(NR_pidfd_getfd, fd, 3, 0), EPERM);
    struct rlimit none = {0, 0}; /* pid 1 counts our CPU time: it must not be blinded or starved */
    struct sched_param idle = {0};
    REFUSED(prlimit(1, RLIMIT_NOFILE, &none, NULL), EPERM);
    REFUSED(syscall(SYS_prlimit64, 0x100000001ul, RLIMIT_CPU, &none, NULL), EPERM);
    REFUSED(sched_setscheduler(1, SCHED_IDLE, &idle), EPERM);
    REFUSED(sched_setparam(1, &idle), EPERM);
    REFUSED(syscall(SYS_sched_setattr, 1, &idle, 0), EPERM);
    REFUSED(syscall(SYS_sched_setaffinity, 1, sizeof io, &io), EPERM);
    REFUSED(setpriority(PRIO_PROCESS, 1, 19), EPERM);
    REFUSED(setpriority(PRIO_PGRP, 1, 19), EPERM);
    REFUSED(setpriority(PRIO_USER, 0, 19), EPERM);
    MUST(setpriority(PRIO_PROCESS, 0, 19) == 0, "its own priority a process may lower");
    const int signals[] = {SIGKILL, SIGSTOP, SIGTERM, SIGSEGV, SIGCHLD};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        kill(1, signals[i]); /* is dropped: had it worked, no answer of ours would arrive */
    usleep(20000);
    MUST(kill(1, 0) == 0, "pid 1 lives");
    return OK;
}

static enum err kernel(struct slice args, struct buf *reply, struct error *e)
{
    (void)args, (void)reply;
    char zeros[256] = {0};
    REFUSED(syscall(SYS_bpf, 0, zeros, sizeof zeros), EPERM);
    REFUSED(syscall(SYS_perf_event_open, zeros, 0, -1, -1, 0), EPERM);
    REFUSED(syscall(NR_io_uring_setup, 1, zeros), ENOSYS);
    REFUSED(syscall(SYS_keyctl, 0, -3, 0), EPERM);
    REFUSED(syscall(SYS_add_key, "user", "x", "y", 1, -3), EPERM);
    REFUSED(syscall(SYS_request_key, "user", "x", 0, -3), EPERM);
    REFUSED(syscall(SYS_userfaultfd, 1), EPERM);
    REFUSED(syscall(SYS_personality, 0x0040000), EPERM);
    REFUSED(syscall(SYS_open_by_handle_at, 3, zeros, 0), EPERM);
    REFUSED(syscall(SYS_init_module, zeros, 1, ""), EPERM);
    REFUSED(syscall(SYS_finit_module, 0, "", 0), EPERM);
    REFUSED(syscall(SYS_delete_module, "x", 0), EPERM);
    REFUSED(syscall(SYS_kexec_load, 0, 0, 0, 0), EPERM);
    REFUSED(syscall(SYS_acct, 0), EPERM);
    REFUSED(syscall(SYS_swapon, "/tmp/x", 0), EPERM);
    REFUSED(syscall(SYS_quotactl, 0, 0, 0, 0), EPERM);
    REFUSED(syscall(SYS_syslog, 3, zeros, sizeof zeros), EPERM);
    REFUSED(syscall(SYS_fanotify_init, 0, 0), EPERM);
    REFUSED(ioctl(0, TIOCSTI, "x"), EPERM);
    REFUSED(ioctl(0, TIOCLINUX, zeros), EPERM);
    REFUSED(syscall(SYS_ioctl, 0, 0x100000000ul | TIOCSTI, "x"), EPERM);
    return OK;
}

static enum err foreign_call(struct slice args, struct buf *reply, struct error *e)
{
    (void)args, (void)reply;
#ifdef __x86_64__
    syscall(0x40000000 | SYS_getpid); /* x32: must end us */
#else
    raise(SIGSYS);
#endif
    return error_set(e, ERR_DENIED, "a call of another architecture was let");
}

/* ---- network ---- */

static int connect_to(uint32_t ip, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(ip)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int got = connect(fd, (struct sockaddr *)&a, sizeof a), why = errno;
    close(fd);
    errno = why;
    return got;
}

static int connect_abstract(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t n = strlen(name);
    memcpy(a.sun_path + 1, name, n);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return connect(fd, (struct sockaddr *)&a, (socklen_t)(sizeof a.sun_family + 1 + n));
}

/* J3. The argument: "PORT NAME" of two listeners of the host. */
static enum err network(struct slice args, struct buf *reply, struct error *e)
{
    (void)reply;
    char text[512], name[100];
    unsigned port;
    text_of(args, text);
    MUST(sscanf(text, "%u %99s", &port, name) == 2, "an argument");
    REFUSED(connect_to(INADDR_LOOPBACK, (uint16_t)port), ECONNREFUSED);
    REFUSED(connect_to(0x01010101, 53), ENETUNREACH);
    REFUSED(connect_to(0xa9fea9fe, 80), ENETUNREACH);
    REFUSED(connect_abstract(name), ECONNREFUSED);
    for (int protocol = 1; protocol < 32; protocol++) /* of netlink only its routes (0), which are the jail's own */
        REFUSED(socket(AF_NETLINK, SOCK_RAW, protocol), EAFNOSUPPORT);
    REFUSED(syscall(SYS_socket, AF_NETLINK, SOCK_RAW, (1ul << 32) | 15), EAFNOSUPPORT);
    struct if_nameindex *interfaces = if_nameindex();
    MUST(interfaces && interfaces[0].if_name && strcmp(interfaces[0].if_name, "lo") == 0 && !interfaces[1].if_name, "one interface, the loopback");
    if_freenameindex(interfaces);
    const int families[] = {AF_PACKET, AF_VSOCK, AF_ALG, AF_BLUETOOTH, AF_UNSPEC, AF_KEY, AF_TIPC, 45, 99};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        REFUSED(socket(families[i], SOCK_DGRAM, 0), EAFNOSUPPORT);
        REFUSED(syscall(SYS_socket, (1ul << 32) | (unsigned)families[i], SOCK_DGRAM, 0), EAFNOSUPPORT);
    }
    FAILS(socket(AF_INET, SOCK_RAW, 1));
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    MUST(bind(fd, (struct sockaddr *)&a, n) == 0 && listen(fd, 1) == 0 &&
         getsockname(fd, (struct sockaddr *)&a, &n) == 0 && connect_to(INADDR_LOOPBACK, ntohs(a.sin_port)) == 0,
         "the jail's own loopback works");
    return OK;
}

/* ---- rights ---- */

static enum err rights(struct slice args, struct buf *reply, struct error *e)
{
    (void)reply;
    char text[512];
    text_of(args, text);
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct caps[2];
    struct rlimit core;
    gid_t groups[64];
    MUST(syscall(SYS_capget, &head, caps) == 0 && !caps[0].permitted && !caps[0].effective && !caps[0].inheritable &&
         !caps[1].permitted && !caps[1].effective && !caps[1].inheritable, "no capability");
    for (int i = 0; i < 41; i++)
        MUST(prctl(PR_CAPBSET_READ, i, 0, 0, 0) <= 0, "an empty bounding set");
    MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1, "no new privileges");
    MUST(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) & 1, "root is nobody");
    MUST(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2, "a filter");
    MUST(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0, "no core file");
    MUST(getenv("A") && strcmp(getenv("A"), "1") == 0 && environ[2] == NULL, "just the plan's environment");
    MUST(getsid(0) == getpid(), "a session of its own");
    MUST(getuid() == 0 || setuid(0) < 0, "not root");
    MUST(getgid() == 0 || setgid(0) < 0, "not the group of root");
    FAILS(setgroups(1, groups));
    MUST((int)getuid() == atoi(text) && geteuid() == getuid(), "the plan's uid");
    for (int fd = 0; fd < 1024; fd++)
        MUST((fcntl(fd, F_GETFD) >= 0) == (fd <= 3), "descriptors 0, 1, 2, and the answer's");
    char host[64];
    MUST(gethostname(host, sizeof host) == 0 && strcmp(host, "crannog") == 0, "the jail's own host name");
    return OK;
}

static enum err id_map(struct slice args, struct buf *reply, struct error *e)
{
    (void)args;
    char text[200];
    int fd = open("/proc/self/uid_map", O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    MUST(n > 0, "the id map can be read");
    message_put(reply, 1, (struct slice){text, (size_t)n});
    return OK;
}

/* ---- processes and limits ---- */

/* How many children at once; they sleep until the end of the jail. */
static enum err fork_many(struct slice args, struct buf *reply, struct error *e)
{
    (void)args, (void)e;
    uint64_t n = 0;
    for (pid_t pid; n < 5000 && (pid = fork()) != -1; n++)
        if (pid == 0)
            for (;;)
                pause();
    message_put_u64(reply, 1, n);
    return OK;
}

/* Leaves a process behind in a session of its own that would write a file a little later. */
static enum err daemonise(struct slice args, struct buf *reply, struct error *e)
{
    (void)args, (void)reply;
    pid_t between = fork();
    if (between == 0) {
        setsid();
        if (fork() == 0) { /* the one in between ends at once */
            signal(SIGTERM, SIG_IGN);
            usleep(300000);
            close(open("/work/late", O_WRONLY | O_CREAT, 0600));
            for (;;)
                pause();
        }
        _exit(0);
    }
    int status;
    MUST(waitpid(between, &status, 0) == between, "the one in between");
    return OK;
}

static enum err allocate(struct slice args, struct buf *reply, struct error *e)
{
    (void)args;
    uint64_t mib = 0;
    char *last = NULL;
    for (char *p; mib < 1024 && (p = malloc(1 << 20)); mib++) {
        memset(p, 1, 1 << 20);
        last = p;
    }
    free(last); /* room for the answer */
    if (mib == 1024)
        return error_set(e, ERR_LIMIT, "1 GiB was given");
    message_put_u64(reply, 1, mib);
    return OK;
}

/* As a program: nine processes that share 40 MiB since a fork. */
static int share(void)
{
    char *p = malloc(40 << 20);
    if (!p)
        return 1;
    memset(p, 1, 40 << 20);
    for (int i = 0; i < 8; i++)
        if (fork() == 0)
            for (;;)
                pause();
    usleep(500000);
    return p[12345] != 1;
}

/* Address space that is only set aside is nobody's loss. */
static enum err reserve(struct slice args, struct buf *reply, struct error *e)
{
    (void)args, (void)reply;
    size_t much = (size_t)64 << 30;
    void *p = mmap(NULL, much, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MUST(p != MAP_FAILED, "address space may be set aside");
    MUST(mprotect(p, 1 << 20, PROT_READ | PROT_WRITE) == 0, "and some of it used");
    MUST(mprotect(p, much, PROT_READ | PROT_WRITE) < 0 && errno == ENOMEM, "all of it is too much");
    return OK;
}

/* ---- answers ---- */

static enum err big_answer(struct slice args, struct buf *reply, struct error *e)
{
    (void)e;
    char text[512];
    text_of(args, text);
    size_t n = strtoul(text, NULL, 10);
    char *at = buf_extend(reply, n);
    if (at)
        memset(at, 'r', n);
    return OK;
}

static enum err fail_applet(struct slice args, struct buf *reply, struct error *e)
{
    (void)args;
    buf_add_text(reply, "not to be seen");
    return error_set(e, ERR_MISSING, "it is not there");
}

static enum err no_answer(struct slice args, struct buf *reply, struct error *e)
{
    (void)args, (void)reply, (void)e;
    _exit(0);
}

static enum err bad_answer(struct slice args, struct buf *reply, struct error *e)
{
    (void)args, (void)reply, (void)e;
    static const char lie[] = "\0\0\0\0\xff\xff\xff\xff" "text";
    if (write(3, lie, sizeof lie) < 0)
        _exit(1);
    _exit(0);
}

/* Says an error but ends as if there were none. */
static enum err two_tongues(struct slice args, struct buf *reply, struct error *e)
{
    (void)args, (void)reply, (void)e;
    static const char lie[8] = {ERR_MISSING};
    if (write(3, lie, sizeof lie) < 0)
        _exit(1);
    _exit(0);
}

static enum err crash(struct slice args, struct buf *reply, struct error *e)
{
    (void)args, (void)reply;
    raise(SIGSEGV);
    return error_set(e, ERR_DENIED, "alive");
}

static const struct jail_applet attacks[] = {
    {"outside_files", outside_files}, {"visible", visible}, {"mounts", mounts}, {"proc_tells", proc_tells}, {"terminals", terminals}, {"first_process", first_process}, {"read_only", read_only}, {"write_file", write_file},
    {"read_file", read_file}, {"special_files", special_files}, {"mounting", mounting}, {"namespaces", namespaces},
    {"processes", processes}, {"kernel", kernel}, {"foreign_call", foreign_call}, {"network", network},
    {"rights", rights}, {"id_map", id_map}, {"fork_many", fork_many}, {"daemonise", daemonise}, {"allocate", allocate}, {"reserve", reserve},
    {"big_answer", big_answer}, {"fail", fail_applet}, {"no_answer", no_answer}, {"bad_answer", bad_answer}, {"two_tongues", two_tongues},
    {"crash", crash}, {"host_socket", host_socket}, {"pieces", pieces}, {"overlay_attributes", overlay_attributes},
};

/* Run as a program inside, not as an applet: 0 if openat2, whose mode no filter sees, is refused, and whiteouts too. */
static int as_program(void)
{
    struct { uint64_t flags, mode, resolve; } how = {O_WRONLY | O_CREAT, 04755, 0};
    if (mknod("/work/w", S_IFCHR | 0600, makedev(0, 0)) == 0 || errno != EPERM)
        return 1;
    return !(syscall(NR_openat2, AT_FDCWD, "/work/s", &how, sizeof how) == -1 && errno == ENOSYS);
}

/*
 * The second wall alone, with no mount in its way: landlock's rules for a plan, in a process as any other. `work` is
 * writable, `ro` has a file and is not, `secret` is in no plan. 77 where the kernel has no version that is of use.
 */
static enum err second_wall(const char *work, const char *ro, const char *secret, struct error *e)
{
    static struct jail_plan p;
    char path[4][600];
    int rules = -1, null = open("/dev/null", O_RDWR);
    jail_plan_add_system(&p);
    jail_plan_add(&p, (struct jail_mount){JAIL_WRITE, slice_of(work), slice_of(work), 0, false});
    jail_plan_add(&p, (struct jail_mount){JAIL_READ, slice_of(ro), slice_of(ro), 0, false});
    snprintf(path[0], 600, "%s/a", work);
    snprintf(path[1], 600, "%s/b", work);
    snprintf(path[2], 600, "%s/file", ro);
    snprintf(path[3], 600, "%s/new", ro);
    MUST(mkdir(path[1], 0700) == 0 && close(open(path[0], O_WRONLY | O_CREAT, 0600)) == 0, "files to try it on");
    enum err err = landlock_make(&p, &null, 1, &rules, e);
    MUST(err || rules >= 0, "rules");
    MUST(err || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges");
    err = err ? err : landlock_enforce(&rules, e);
    if (err)
        return err;
    REFUSED(open(secret, O_RDONLY), EACCES);
    REFUSED(open(path[2], O_WRONLY), EACCES);
    REFUSED(truncate(path[2], 0), EACCES);
    REFUSED(open(path[3], O_WRONLY | O_CREAT, 0600), EACCES);
    REFUSED(mkdir(path[3], 0700), EACCES);
    REFUSED(unlink(path[2]), EACCES);
    REFUSED(symlink("x", path[3]), EACCES);
    FAILS(rename(path[2], path[0]));
    FAILS(link(path[2], path[3]));
    REFUSED(open("/usr/bin/new", O_WRONLY | O_CREAT, 0600), EACCES);
    REFUSED(open("/etc/shadow", O_RDONLY), EACCES);
    FAILS(open("/var/log/lastlog", O_RDONLY));
    FAILS(mount("x", "/tmp", "tmpfs", 0, ""));
    MUST(open(path[2], O_RDONLY) >= 0 && open("/usr/bin/env", O_RDONLY) >= 0, "what is shown can be read");
    MUST(open("/proc/self/stat", O_RDONLY) >= 0 && open("/dev/null", O_WRONLY | O_TRUNC) >= 0, "and what programs need");
    int fd = open(path[0], O_WRONLY | O_TRUNC);
    MUST(fd >= 0 && write(fd, "x", 1) == 1, "what is writable can be written");
    snprintf(path[3], 600, "%s/c", path[1]);
    MUST(rename(path[0], path[3]) == 0, "a file goes from folder to folder");
    MUST(unlink(path[3]) == 0 && rmdir(path[1]) == 0, "and can be removed");
    if (landlock_version() >= LANDLOCK_SCOPES)
        REFUSED(kill(getppid(), 0), EPERM);
    return OK;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "second-wall") == 0) {
        struct error e = {.code = OK};
        if (landlock_version() == 0)
            return 77;
        if (second_wall(argv[2], argv[3], argv[4], &e))
            fprintf(stderr, "%s\n", e.text);
        return e.code != OK;
    }
    if (argc > 1 && strcmp(argv[1], "share") == 0)
        return share();
    return argc > 1 ? as_program() : jail_main(attacks, sizeof attacks / sizeof *attacks);
}
