/*
 * What is visible inside (J1).
 *
 * Two steps, because they need different rights. mounts_open() clones every source as a detached tree and sets its
 * flags; as root that is done outside, where folders of mode 0700 can be passed and clones be idmapped. mounts_build()
 * runs as pid 1: it puts the trees into a fresh tmpfs, pivots into that and lets the old root go.
 *
 * Mount points are made only in that tmpfs: a plan that wants something on top of a bound folder must name a path that
 * is there, for nothing of ours may be left in a person's folder. Targets are walked without following symlinks: what
 * lies in a bound folder was perhaps written by an earlier jail.
 *
 * All calls exist since Linux 5.12.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/sys.h"
#include "jail/internal.h"

/* `tty` is the terminal that a program has made its own: of those of the jail, for it starts without one. */
static const struct {
    const char *name;
    unsigned major, minor;
} devices[JAIL_DEVICES] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

/*
 * What /proc would tell of the machine to everybody, beside what programs need (cpuinfo, meminfo, stat, uptime, loadavg,
 * version, filesystems, sys ...). The rest of it belongs to root, whom nobody inside is (kcore, kmsg, sysrq-trigger,
 * slabinfo ...). A mask costs some 10 us, so only what is readable has one.
 */
static const char *const proc_masks[] = {
    "cmdline", "config.gz", "consoles", "diskstats", "interrupts", "iomem", "ioports", "kallsyms", "key-users", "keys",
    "locks", "mdstat", "modules", "partitions", "sched_debug", "softirqs", "swaps", "timer_list", "acpi", "asound", "bus",
    "driver", "dynamic_debug", "fs", "irq", "pressure", "scsi", "sys/debug", "sys/dev/cdrom", "sys/dev/raid", "sys/kernel/keys",
};

enum { PTS_MAX = 64 };
enum { LINK_MAX_BYTES = PATH_MAX, SCRATCH_DEFAULT = 64 * 1024 * 1024 };

/* ---- opening ---- */

int mounts_clone(const char *path, uint64_t attr, unsigned recursive, int userns)
{
    FD_CLEANUP int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive);
    if (fd < 0)
        return -1;
    struct mount_attr set = {.attr_set = attr | MOUNT_ATTR_NOSUID, .propagation = MS_PRIVATE};
    if (userns >= 0) {
        set.attr_set |= MOUNT_ATTR_IDMAP;
        set.userns_fd = (uint64_t)userns;
    }
    if (mount_setattr(fd, "", AT_EMPTY_PATH | recursive, &set, sizeof set) < 0)
        return -1;
    int ret = fd;
    fd = -1;
    return ret;
}

static enum err open_device(size_t i, int *ret, struct error *e)
{
    char path[32];
    snprintf(path, sizeof path, "/dev/%s", devices[i].name);
    *ret = mounts_clone(path, MOUNT_ATTR_NOEXEC, AT_RECURSIVE, -1);
    if (*ret < 0)
        return error_errno(e, errno, "cannot show %s inside the jail (%s)", path, idmap_mend(errno));
    struct stat st;
    if (fstat(*ret, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(devices[i].major, devices[i].minor))
        return error_set(e, ERR_UNSUPPORTED, "%s of this machine is not the device of that name; mend: mknod", path);
    return OK;
}

static bool is_link(const char *path)
{
    struct stat st;
    return sys->fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

enum err mounts_open_failed(const struct jail_mount *m, const char *path, int errnum, int userns, struct error *e)
{
    if (errnum == ENOENT || errnum == ENOTDIR || errnum == EACCES)
        return error_errno(e, errnum, "cannot show %s inside the jail", path);
    if (userns >= 0 && m->kind != JAIL_SYSTEM && m->kind != JAIL_SHOWN)
        return error_errno(e, errnum, "the file system of %s takes no idmapped mount, so its owners could not be kept; "
                           "mend: move the folder to ext4, xfs or btrfs, or run as the user who owns it", path);
    return error_errno(e, errnum, "cannot show %s inside the jail (%s)", path, idmap_mend(errnum));
}

/* A socket or FIFO: by a bind it is the machine's. */
static bool has_somebody_behind(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && (S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode));
}

static enum err open_mount(const struct jail_mount *m, int userns, int *ret, bool *ret_link, struct error *e)
{
    if (m->kind == JAIL_EMPTY || m->kind == JAIL_SCRATCH || m->kind == JAIL_FILE)
        return OK;
    if (m->kind == JAIL_CACHE)
        return overlay_open_cache(m, userns, ret, e);
    char path[PATH_MAX];
    if (m->source.n >= sizeof path)
        return error_set(e, ERR_LIMIT, "a path of %zu bytes cannot be shown inside the jail", m->source.n);
    memcpy(path, m->source.p, m->source.n);
    path[m->source.n] = '\0';
    bool theirs = m->kind == JAIL_SYSTEM || m->kind == JAIL_SHOWN;
    *ret_link = theirs && is_link(path);
    if (*ret_link)
        return OK;
    uint64_t attr = MOUNT_ATTR_NODEV | (m->kind == JAIL_WRITE ? 0 : MOUNT_ATTR_RDONLY);
    *ret = mounts_clone(path, attr, AT_RECURSIVE, theirs ? -1 : userns);
    if (*ret >= 0 && has_somebody_behind(*ret))
        return error_set(e, ERR_DENIED, "%s is a socket or a FIFO, and who is behind it lies outside the jail; mend: do not show it", path);
    if (*ret >= 0 || (errno == ENOENT && m->optional))
        return OK;
    return mounts_open_failed(m, path, errno, userns, e);
}

enum err mounts_open(const struct jail_plan *p, size_t from, int userns, struct sources *ret, struct error *e)
{
    sources_init(ret);
    ret->detached = userns >= 0;
    enum err err = OK;
    for (size_t i = 0; !err && from == 0 && i < JAIL_DEVICES; i++)
        err = open_device(i, &ret->fds[i], e);
    for (size_t i = from; !err && i < p->nmounts; i++)
        if (overlay_is(&p->mounts[i]))
            err = overlay_open(&p->mounts[i], userns, &ret->fds[JAIL_DEVICES + i], sources_pieces(ret, i),
                               &ret->no_layers, e);
        else
            err = open_mount(&p->mounts[i], userns, &ret->fds[JAIL_DEVICES + i], &ret->link[i], e);
    if (err)
        mounts_close(ret);
    return err;
}

void sources_init(struct sources *s)
{
    memset(s, 0, sizeof *s);
    memset(s->fds, -1, sizeof s->fds);
}

void mounts_close(struct sources *s)
{
    for (size_t i = 0; i < JAIL_SOURCES_MAX; i++)
        sys_close_fd(&s->fds[i]);
}

/* ---- building ---- */

/* A new file system, detached, with options "key=value", NULL-terminated; or -1. */
static int fs_new(const char *type, const char *const options[][2], unsigned attr)
{
    FD_CLEANUP int fs = fsopen(type, FSOPEN_CLOEXEC);
    if (fs < 0)
        return -1;
    for (size_t i = 0; options[i][0]; i++)
        if (fsconfig(fs, FSCONFIG_SET_STRING, options[i][0], options[i][1], 0) < 0)
            return -1;
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -1;
    return fsmount(fs, FSMOUNT_CLOEXEC, attr);
}

static int add_ours(struct root *r, int tree)
{
    struct stat st;
    if (fstat(tree, &st) < 0)
        return -1;
    r->ours[r->nours++] = st.st_dev;
    return 0;
}

/* The new root, attached over /proc, which is there on every machine that got this far. It need not stay. */
static enum err root_make(struct root *r, struct error *e)
{
    static const char *const options[][2] = {{"mode", "0755"}, {"size", "4m"}, {"nr_inodes", "4096"}, {NULL, NULL}};
    r->fd = fs_new("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    if (r->fd < 0 || add_ours(r, r->fd) < 0 ||
        move_mount(r->fd, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return error_errno(e, errno, "cannot make the jail's root (%s)", idmap_mend(errno));
    return OK;
}

#define EMPTY_FOLDER ".crannog-empty-folder"
#define EMPTY_FILE ".crannog-empty-file"

/* One name, never through a symlink: of that it gives the link itself, or ENOTDIR where a folder is wanted. */
static int open_nolink(int dir, const char *name, int flags)
{
    return openat(dir, name, flags | O_PATH | O_CLOEXEC | O_NOFOLLOW);
}

/* Copies the next name of an absolute path to `name`; false at the end. */
static bool next_name(struct slice *rest, char name[NAME_MAX + 1])
{
    while (rest->n && *rest->p == '/')
        *rest = slice_sub(*rest, 1, rest->n);
    size_t n = slice_index(*rest, '/');
    if (n == 0 || n > NAME_MAX)
        return false;
    memcpy(name, rest->p, n);
    name[n] = '\0';
    *rest = slice_sub(*rest, n, rest->n);
    return true;
}

enum make { MAKE_FILE, MAKE_FOLDER };

static bool is_ours(const struct root *r, int dir)
{
    struct stat st;
    if (fstat(dir, &st) == 0)
        for (size_t i = 0; i < r->nours; i++)
            if (r->ours[i] == st.st_dev)
                return true;
    return false;
}

static bool is_root(const struct root *r, int dir)
{
    struct stat st;
    return fstat(dir, &st) == 0 && st.st_dev == r->ours[0];
}

static int make_in_root(const struct root *r, int dir, const char *name, enum make make)
{
    if (!is_ours(r, dir)) { /* a bound folder: nothing of ours is left in it */
        errno = ENOENT;
        return -1;
    }
    if ((make == MAKE_FOLDER ? mkdirat(dir, name, 0755) : mknodat(dir, name, S_IFREG | 0644, 0)) < 0)
        return -1;
    /* in a scratch folder they are the jail's own; those of the root are nobody's to write */
    return is_root(r, dir) ? 0 : fchownat(dir, name, r->plan->uid, r->plan->gid, AT_SYMLINK_NOFOLLOW);
}

/* The parent folder of `target` inside, its folders made where they may be; the last name in `name`. */
static int open_parent(const struct root *r, struct slice target, char name[NAME_MAX + 1])
{
    int dir = fcntl(r->fd, F_DUPFD_CLOEXEC, 0);
    struct slice rest = target;
    if (!next_name(&rest, name))
        errno = EINVAL;
    for (char next[NAME_MAX + 1]; dir >= 0 && next_name(&rest, next);) {
        FD_CLEANUP int up = dir;
        dir = open_nolink(up, name, O_DIRECTORY);
        if (dir < 0 && errno == ENOENT && make_in_root(r, up, name, MAKE_FOLDER) == 0)
            dir = open_nolink(up, name, O_DIRECTORY);
        memcpy(name, next, sizeof next);
    }
    return dir;
}

/* The place `target` inside, made as asked if it is missing. */
static int open_target(const struct root *r, struct slice target, enum make make)
{
    char name[NAME_MAX + 1];
    FD_CLEANUP int dir = open_parent(r, target, name);
    if (dir < 0)
        return -1;
    int fd = open_nolink(dir, name, 0);
    if (fd < 0 && errno == ENOENT && make_in_root(r, dir, name, make) == 0)
        fd = open_nolink(dir, name, 0);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISLNK(st.st_mode)) {
        sys_close_fd(&fd);
        errno = ELOOP;
    }
    return fd;
}

static int attach(int tree, int at)
{
    return move_mount(tree, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static bool is_folder(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static int attach_tree(const struct root *r, struct slice target, int tree)
{
    FD_CLEANUP int at = open_target(r, target, is_folder(tree) ? MAKE_FOLDER : MAKE_FILE);
    return at < 0 ? -1 : attach(tree, at);
}

/* A detached tmpfs that the jail may write into, or -1. */
static int scratch_new(const struct jail_plan *p, const struct jail_mount *m)
{
    char size[24], inodes[24], uid[16], gid[16];
    uint64_t bytes = m->bytes ? m->bytes : SCRATCH_DEFAULT;
    snprintf(size, sizeof size, "%llu", (unsigned long long)bytes);
    snprintf(inodes, sizeof inodes, "%llu", (unsigned long long)(1024 + bytes / 1024)); /* empty files cost too */
    snprintf(uid, sizeof uid, "%u", p->uid);
    snprintf(gid, sizeof gid, "%u", p->gid);
    const char *const options[][2] = {{"mode", "1777"}, {"size", size}, {"nr_inodes", inodes}, {"uid", uid},
                                      {"gid", gid}, {NULL, NULL}};
    return fs_new("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

static int attach_scratch(struct root *r, const struct jail_mount *m)
{
    FD_CLEANUP int tree = scratch_new(r->plan, m);
    return tree < 0 || attach_tree(r, m->target, tree) < 0 ? -1 : add_ours(r, tree);
}

/* What the caches write goes into one tmpfs; it lies on the old root's /dev as the pieces of overlays do, and goes with it. */
static int cache_upper(struct root *r, const struct jail_mount *m)
{
    if (r->caches < 0 && (r->caches = scratch_new(r->plan, m)) >= 0 &&
        move_mount(r->caches, "", AT_FDCWD, "/dev", MOVE_MOUNT_F_EMPTY_PATH) < 0)
        sys_close_fd(&r->caches);
    return r->caches;
}

static int attach_cache(struct root *r, const struct jail_mount *m, int source, bool detached)
{
    int upper = source < 0 ? -1 : cache_upper(r, m);
    FD_CLEANUP int tree = upper < 0 ? -1 : overlay_mount_cache(r->fd, r->plan, source, upper, r->ncaches++, detached);
    return tree < 0 ? attach_scratch(r, m) : attach_tree(r, m->target, tree);
}

static int attach_file(const struct root *r, const struct jail_mount *m)
{
    char name[NAME_MAX + 1];
    FD_CLEANUP int dir = open_parent(r, m->target, name);
    if (dir < 0 || !is_ours(r, dir)) {
        errno = dir < 0 ? errno : EROFS;
        return -1;
    }
    FD_CLEANUP int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0 || fchown(fd, r->plan->uid, r->plan->gid) < 0)
        return -1;
    return sys_write_all(fd, m->text, "a file", NULL) ? -1 : 0;
}

/* An empty read-only folder, or file, over what is there: clones of two that are unlinked at the end. */
static int cover(const struct root *r, int at)
{
    FD_CLEANUP int tree = open_tree(r->fd, is_folder(at) ? EMPTY_FOLDER : EMPTY_FILE,
                                    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    struct mount_attr set = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                             MOUNT_ATTR_NOEXEC};
    if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &set, sizeof set) < 0)
        return -1;
    return attach(tree, at);
}

static int attach_empty(const struct root *r, const struct jail_mount *m)
{
    FD_CLEANUP int at = open_target(r, m->target, MAKE_FOLDER);
    if (at < 0)
        return (errno == ENOENT || errno == ENOTDIR) && m->optional ? 0 : -1; /* no such way (any more): nothing there to cover */
    return cover(r, at);
}

static int attach_link(const struct root *r, const struct jail_mount *m)
{
    char source[PATH_MAX], text[LINK_MAX_BYTES], name[NAME_MAX + 1];
    if (m->source.n >= sizeof source)
        return -1;
    memcpy(source, m->source.p, m->source.n);
    source[m->source.n] = '\0';
    ssize_t n = readlink(source, text, sizeof text - 1);
    if (n < 0)
        return -1;
    text[n] = '\0';
    FD_CLEANUP int dir = open_parent(r, m->target, name);
    if (dir < 0)
        return -1;
    if (!is_ours(r, dir)) {
        errno = EROFS;
        return -1;
    }
    return symlinkat(text, dir, name);
}

/* Whether it is one (J3). Our own applets connect to nothing, and start faster without; a service watches the work folder, of whose
   changes an overlay would not tell it. */
static bool is_view(const struct root *r, const struct jail_mount *m, int tree)
{
    bool shown = m->kind == JAIL_SHOWN, work = (m->kind == JAIL_READ || m->kind == JAIL_LAYERS) && !r->plan->service;
    return !r->plan->applet.n && (shown || work) && tree >= 0 && is_folder(tree);
}

/* What of the machine is shown through an overlay has its files, and not who listens there. What is to be attached, or -1: where the
   kernel refuses that, or something is mounted below, what there was. */
static int view(const struct root *r, const struct jail_mount *m, int tree, bool detached)
{
    int ret = overlay_mount_view(r->fd, m, tree, r->empty, detached);
    return ret >= 0 ? ret : open_tree(tree, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

static enum err attach_mount(struct root *r, size_t i, struct sources *s, struct error *e)
{
    const struct jail_mount *m = &r->plan->mounts[i];
    int tree = s->fds[JAIL_DEVICES + i], done = 0;
    FD_CLEANUP int merged = -1;
    if (overlay_is(m) && tree >= 0) {
        enum err err = overlay_mount(r->fd, m, tree, sources_pieces(s, i), s->detached, &merged, &s->no_layers, e);
        if (err)
            return err;
        tree = merged;
    } else if (is_view(r, m, tree)) {
        tree = merged = view(r, m, tree, s->detached);
        done = merged < 0 ? -1 : 0;
    }
    if (m->kind == JAIL_SCRATCH)
        done = attach_scratch(r, m);
    else if (m->kind == JAIL_CACHE)
        done = attach_cache(r, m, tree, s->detached);
    else if (m->kind == JAIL_FILE)
        done = attach_file(r, m);
    else if (m->kind == JAIL_EMPTY)
        done = attach_empty(r, m);
    else if (s->link[i])
        done = attach_link(r, m);
    else if (tree >= 0)
        done = attach_tree(r, m->target, tree);
    if (done == 0)
        return OK;
    if (errno == ELOOP || errno == ENOTDIR)
        return error_set(e, ERR_DENIED, "%.*s cannot be a place of the jail: something on the way is a symlink "
                         "or a file; mend: remove that", SLICE_ARG(m->target));
    return error_errno(e, errno, "cannot put %.*s into the jail", SLICE_ARG(m->target));
}

/* Terminals of the jail's own, below /dev/pts. */
static int make_terminals(const struct root *r)
{
    char max[16];
    snprintf(max, sizeof max, "%d", PTS_MAX);
    const char *const options[][2] = {{"ptmxmode", "0666"}, {"mode", "0620"}, {"max", max}, {NULL, NULL}};
    FD_CLEANUP int tree = fs_new("devpts", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    return tree < 0 ? -1 : attach_tree(r, SLICE("/dev/pts"), tree);
}

static enum err make_devices(const struct root *r, struct sources *s, struct error *e)
{
    static const char *const links[][2] = {
        {"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
        {"/proc/self/fd/2", "stderr"}, {"/tmp", "shm"}, {"pts/ptmx", "ptmx"},
    };
    FD_CLEANUP int dev = mkdirat(r->fd, "dev", 0755) < 0 ? -1 : open_nolink(r->fd, "dev", O_DIRECTORY);
    for (size_t i = 0; i < JAIL_DEVICES; i++)
        if (dev < 0 || mknodat(dev, devices[i].name, S_IFREG | 0644, 0) < 0 ||
            move_mount(s->fds[i], "", dev, devices[i].name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
            return error_errno(e, errno, "cannot put /dev/%s into the jail", devices[i].name);
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (symlinkat(links[i][0], dev, links[i][1]) < 0)
            return error_errno(e, errno, "cannot make /dev/%s in the jail", links[i][1]);
    if (make_terminals(r) < 0)
        return error_errno(e, errno, "cannot make terminals for the jail (%s)", idmap_mend(errno));
    return OK;
}

/* What the owner of a namespace may set is set by nobody. */
static int seal_sysctls(int proc)
{
    FD_CLEANUP int sys_fd = open_tree(proc, "sys", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    struct mount_attr set = {.attr_set = MOUNT_ATTR_RDONLY};
    return sys_fd < 0 || mount_setattr(sys_fd, "", AT_EMPTY_PATH, &set, sizeof set) < 0 ? -1
               : move_mount(sys_fd, "", proc, "sys", MOVE_MOUNT_F_EMPTY_PATH);
}

/* /proc of the new pid namespace; read-only, so that nothing below /proc/sys can be set. A browser writes the maps of ids of its own
   namespaces there: then that folder alone is read-only. */
static enum err make_proc(struct root *r, struct error *e)
{
    static const char *const none[][2] = {{NULL, NULL}};
    FD_CLEANUP int tree = fs_new("proc", none, (r->plan->nests ? 0 : MOUNT_ATTR_RDONLY) | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                 MOUNT_ATTR_NOEXEC);
    r->empty = mkdirat(r->fd, "proc", 0755) < 0 ? -1 : open_nolink(r->fd, "proc", O_DIRECTORY);
    if (tree < 0 || r->empty < 0 || attach_tree(r, SLICE("/proc"), tree) < 0 || (r->plan->nests && seal_sysctls(tree) < 0))
        return error_errno(e, errno, "cannot mount the jail's own /proc (%s)", idmap_mend(errno));
    for (size_t i = 0; i < sizeof proc_masks / sizeof *proc_masks; i++) {
        FD_CLEANUP int at = openat(tree, proc_masks[i], O_PATH | O_CLOEXEC | O_NOFOLLOW);
        if (at < 0 ? errno != ENOENT : cover(r, at) < 0)
            return error_errno(e, errno, "cannot hide /proc/%s from the jail", proc_masks[i]);
    }
    return OK;
}

static enum err make_empties(const struct root *r, struct error *e)
{
    if (mknodat(r->fd, EMPTY_FILE, S_IFREG | 0444, 0) < 0 || mkdirat(r->fd, EMPTY_FOLDER, 0555) < 0)
        return error_errno(e, errno, "cannot make an empty folder for the jail");
    return OK;
}

/* Makes the root read-only and goes into it; the old one is let go with everything on it. */
static enum err enter(const struct root *r, struct error *e)
{
    struct mount_attr set = {.attr_set = MOUNT_ATTR_RDONLY};
    if (unlinkat(r->fd, EMPTY_FILE, 0) < 0 || unlinkat(r->fd, EMPTY_FOLDER, AT_REMOVEDIR) < 0 ||
        mount_setattr(r->fd, "", AT_EMPTY_PATH, &set, sizeof set) < 0)
        return error_errno(e, errno, "cannot make the jail's root read-only");
    if (fchdir(r->fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
        chdir("/") < 0)
        return error_errno(e, errno, "cannot leave the machine's root (%s)", idmap_mend(errno));
    return OK;
}

void root_init(struct root *r, const struct jail_plan *p)
{
    *r = (struct root){.fd = -1, .plan = p, .caches = -1, .empty = -1};
}

static enum err begin(struct root *r, struct sources *s, struct error *e)
{
    enum err err = root_make(r, e);
    if (!err)
        err = make_empties(r, e);
    if (!err)
        err = make_devices(r, s, e);
    return err ? err : make_proc(r, e);
}

enum err mounts_build(struct root *r, struct sources *s, struct error *e)
{
    enum err err = r->fd < 0 ? begin(r, s, e) : OK;
    for (; !err && r->built < r->plan->nmounts; r->built += !err)
        err = attach_mount(r, r->built, s, e);
    mounts_close(s);
    return err;
}

enum err mounts_enter(struct root *r, struct error *e)
{
    enum err err = enter(r, e);
    sys_close_fd(&r->empty);
    sys_close_fd(&r->caches);
    sys_close_fd(&r->fd);
    return err;
}
