/*
 * The second wall over the same paths: what the plan shows read-only may be read, what it shows writable may be written,
 * and nothing else may be opened, whatever a mount lets by mistake. Names may be listed everywhere inside, which shows only
 * what mounts show.
 *
 * Landlock looks at where a file lies, up through the mounts, so a rule at the root of a mount holds for all of it. An
 * overlay reaches into its layers with pid 1's rights of before, which are not bound. The first version of landlock refuses
 * each rename from one folder to another, which tools do all the time: there (and where the kernel has none at all) this
 * wall is left out, and `doctor` says so.
 *
 * From version 6 on, abstract sockets and signals end at the jail too.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sys.h"
#include "jail/internal.h"

/* The kernel's numbers and layouts: the headers of 6.1 do not know all of them. */
enum { NR_create_ruleset = 444, NR_add_rule = 445, NR_restrict_self = 446, CREATE_VERSION = 1, RULE_PATH_BENEATH = 1 };
enum {
    FS_EXECUTE = 1 << 0, FS_WRITE_FILE = 1 << 1, FS_READ_FILE = 1 << 2, FS_READ_DIR = 1 << 3,
    FS_VERSION_2 = (1 << 14) - 1, FS_TRUNCATE = 1 << 14, FS_IOCTL_DEV = 1 << 15, /* versions 3 and 5 */
    FS_READ = FS_EXECUTE | FS_READ_FILE | FS_READ_DIR,
    FS_USE = FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV, /* a device or a stream */
    FS_OF_FILES = FS_USE | FS_EXECUTE,
    SCOPE_ABSTRACT_SOCKETS = 1, SCOPE_SIGNALS = 2,
};
struct ruleset_attr {
    uint64_t fs, net, scoped;
};
struct path_beneath {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

int landlock_version(void)
{
    int ret = (int)syscall(NR_create_ruleset, NULL, 0, CREATE_VERSION);
    return ret < LANDLOCK_LEAST ? 0 : ret;
}

static uint64_t handled(int version)
{
    return FS_VERSION_2 | (version >= 3 ? FS_TRUNCATE : 0) | (version >= 5 ? FS_IOCTL_DEV : 0);
}

static int allow_fd(int ruleset, int fd, uint64_t access)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -1;
    struct path_beneath rule = {S_ISDIR(st.st_mode) ? access : access & FS_OF_FILES, fd};
    return (int)syscall(NR_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
}

static int allow(int ruleset, struct slice path, uint64_t access)
{
    char text[PATH_MAX];
    if (path.n >= sizeof text) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(text, path.p, path.n);
    text[path.n] = '\0';
    FD_CLEANUP int fd = openat(AT_FDCWD, text, O_PATH | O_CLOEXEC);
    return fd < 0 ? -1 : allow_fd(ruleset, fd, access);
}

static enum err allow_mounts(int ruleset, uint64_t all, const struct jail_plan *p, struct error *e)
{
    for (size_t i = 0; i < p->nmounts; i++) {
        const struct jail_mount *m = &p->mounts[i];
        bool writes = m->kind == JAIL_WRITE || m->kind == JAIL_SCRATCH || m->kind == JAIL_CACHE || m->kind == JAIL_FILE ||
                      (m->kind == JAIL_LAYERS && m->upper.n);
        if (m->kind == JAIL_EMPTY) /* it has the rule of what it lies in, and is read-only */
            continue;
        if (allow(ruleset, m->target, writes ? all : FS_READ) < 0 && !(errno == ENOENT && (m->optional || m->kind == JAIL_SYSTEM || m->kind == JAIL_SHOWN)))
            return error_errno(e, errno, "cannot allow %.*s to the jail by landlock", SLICE_ARG(m->target));
    }
    return OK;
}

enum err landlock_make(const struct jail_plan *p, const int *streams, size_t nstreams, int *ret, struct error *e)
{
    int version = landlock_version();
    *ret = -1;
    if (version == 0)
        return OK;
    struct ruleset_attr attr = {.fs = handled(version),
                                .scoped = version >= LANDLOCK_SCOPES ? SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS : 0};
    size_t size = version >= LANDLOCK_SCOPES ? sizeof attr : version >= 4 ? 16 : 8;
    FD_CLEANUP int ruleset = (int)syscall(NR_create_ruleset, &attr, size, 0);
    if (ruleset < 0)
        return error_errno(e, errno, "cannot make landlock's rules");
    enum err err = allow_mounts(ruleset, attr.fs, p, e);
    if (err)
        return err;
    if (allow(ruleset, SLICE("/"), FS_READ_DIR) < 0 || allow(ruleset, SLICE("/proc"), FS_READ | (p->nests ? FS_WRITE_FILE | (attr.fs & FS_TRUNCATE) : 0)) < 0 ||
        allow(ruleset, SLICE("/dev"), (FS_USE | FS_READ_DIR) & attr.fs) < 0)
        return error_errno(e, errno, "cannot allow /proc and /dev to the jail by landlock");
    for (size_t i = 0; i < nstreams; i++) /* they may be opened again by name, as /dev/stderr; pipes have no place */
        if (streams[i] >= 0 && allow_fd(ruleset, streams[i], FS_USE & attr.fs) < 0 && errno != EBADFD)
            return error_errno(e, errno, "cannot allow the jail its streams by landlock");
    *ret = ruleset;
    ruleset = -1;
    return OK;
}

enum err landlock_enforce(int *ruleset, struct error *e)
{
    if (*ruleset >= 0 && syscall(NR_restrict_self, *ruleset, 0) < 0)
        return error_errno(e, errno, "the kernel refuses landlock's rules");
    sys_close_fd(ruleset);
    return OK;
}
