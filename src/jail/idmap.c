/*
 * Ids. The number inside is always the plan's; what is behind it depends on who we are:
 *   as root           a range that owns nothing outside; files keep their true owners by idmapped mounts (mounts.c)
 *   as anybody else   the one id of the caller
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sys.h"
#include "jail/internal.h"

static enum err write_proc(pid_t child, const char *name, const char *text, struct error *e)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)child, name);
    FD_CLEANUP int fd = sys->openat(AT_FDCWD, path, O_WRONLY, 0);
    ssize_t n = fd < 0 ? -1 : sys->write(fd, text, strlen(text));
    if (n == (ssize_t)strlen(text))
        return OK;
    return error_errno(e, errno, "cannot write %s of the jail's user namespace (%s)", name, idmap_mend(errno));
}

uint32_t idmap_outside(const struct jail_plan *p, uint32_t id)
{
    uint32_t first = (uint32_t)JAIL_ID_BASE + p->id_range * (uint32_t)JAIL_ID_STRIDE;
    return first + (id < JAIL_ID_COUNT ? id : (uint32_t)JAIL_ID_COUNT);
}

/* One map: the whole range, and the plan's id if it is not in there; or a single id. */
static enum err write_map(pid_t child, const char *name, const struct jail_plan *p, uint32_t inside, uint32_t outside,
                          bool root, struct error *e)
{
    char text[128];
    unsigned first = idmap_outside(p, 0);
    if (!root)
        snprintf(text, sizeof text, "%u %u 1\n", inside, outside);
    else if (inside < JAIL_ID_COUNT)
        snprintf(text, sizeof text, "0 %u %u\n", first, (unsigned)JAIL_ID_COUNT);
    else
        snprintf(text, sizeof text, "0 %u %u\n%u %u 1\n", first, (unsigned)JAIL_ID_COUNT, inside, idmap_outside(p, inside));
    return write_proc(child, name, text, e);
}

enum err idmap_write(pid_t child, const struct jail_plan *p, bool root, struct error *e)
{
    enum err err = write_map(child, "uid_map", p, p->uid, geteuid(), root, e);
    if (!err && !root) /* the kernel asks for it before an unprivileged gid_map */
        err = write_proc(child, "setgroups", "deny", e);
    return err ? err : write_map(child, "gid_map", p, p->gid, getegid(), root, e);
}

enum err idmap_enter(bool root, struct error *e)
{
    if (!root)
        return OK;
    if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return error_errno(e, errno, "cannot take the jail's ids");
    return OK;
}

static int drop_bounding_set(void)
{
    for (int cap = 0; cap < 64; cap++)
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            return errno == EINVAL && cap > CAP_AUDIT_READ ? 0 : -1; /* past the last that this kernel knows */
    return 0;
}

static int drop_capabilities(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    return (int)syscall(SYS_capset, &head, none);
}

enum err idmap_drop(const struct jail_plan *p, bool root, struct error *e)
{
    /* NOROOT: being number 0 inside gives nothing; the locks keep it so. */
    const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                               SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
                               SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
    if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0 || drop_bounding_set() < 0)
        return error_errno(e, errno, "cannot empty the jail's capabilities");
    if (root && (setresgid(p->gid, p->gid, p->gid) < 0 || setresuid(p->uid, p->uid, p->uid) < 0))
        return error_errno(e, errno, "cannot take the ids %u and %u inside the jail", p->uid, p->gid);
    if (drop_capabilities() < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_errno(e, errno, "cannot drop the jail's capabilities");
    return OK;
}

/* Whether the first byte of a sysctl file is `c`. */
static bool sysctl_is(const char *path, char c)
{
    FD_CLEANUP int fd = sys->openat(AT_FDCWD, path, O_RDONLY, 0);
    char first = 0;
    return fd >= 0 && sys->read(fd, &first, 1) == 1 && first == c;
}

const char *idmap_mend(int errnum)
{
    if (sysctl_is("/proc/sys/kernel/unprivileged_userns_clone", '0'))
        return "mend: sudo crannog doctor --fix, or sysctl -w kernel.unprivileged_userns_clone=1";
    if (sysctl_is("/proc/sys/user/max_user_namespaces", '0'))
        return "mend: sudo crannog doctor --fix, or sysctl -w user.max_user_namespaces=10000";
    if (sysctl_is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", '1'))
        return "mend: sudo crannog doctor --fix, which gives AppArmor a profile that allows userns to crannog-jail";
    if (errnum == ENOSPC || errnum == EUSERS)
        return "mend: raise the limits in /proc/sys/user/";
    return "in a container or a chroot: mend it by starting that with the right to make namespaces and mount /proc "
           "(Docker: --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt "
           "systempaths=unconfined)";
}
