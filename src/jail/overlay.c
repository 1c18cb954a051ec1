/*
 * Overlays: what JAIL_LAYERS shows.
 *
 * One way for root and for everybody: pid 1 mounts the overlay in its own user namespace, with `userxattr`, so whiteouts
 * and opaque folders are the same on disk whoever made them. Its pieces (the source, the layers, the attempt's folder)
 * are named to the kernel by descriptors, as "12:11:9" below /proc/self/fd of the jail's own /proc: short, never in need
 * of quoting, and all that the jail's mountinfo ever says of them. (Options that take a descriptor itself are new; the
 * value of one is at most 255 bytes. Tried on 6.1 and 6.18.)
 *
 *   as a user   they are opened here; pid 1's mount namespace has what the caller's has
 *   as root     they come as detached idmapped clones, and an overlay takes only what is attached in its own namespace.
 *               They are laid one over the other on the old root's /dev, which goes with that root before the program
 *               starts. The devices of the jail have been taken from there already.
 *
 * Either way the overlay keeps private clones of its own, without what is mounted below the source: that is not seen
 * through it, and a user's kernel refuses such a source (what lies under a mount could be hidden from that user).
 *
 * Known behaviour of the kernel: with an upper that it cannot write it mounts read-only and says so in its log only, so
 * that is looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/sys.h"
#include "jail/internal.h"

enum { OPTION_MAX = 256 };

bool overlay_is(const struct jail_mount *m)
{
    return m->kind == JAIL_LAYERS && (m->nlayers || m->upper.n);
}

/* ---- opening ---- */

/* On an error *ret_idmap says whether it is one of the file system's: it takes no idmapped mount. */
static enum err open_piece(const struct jail_mount *m, struct slice path, bool writable, int userns, int *ret,
                           bool *ret_idmap, struct error *e)
{
    char text[PATH_MAX];
    if (path.n >= sizeof text)
        return error_set(e, ERR_LIMIT, "a path of %zu bytes cannot be shown inside the jail", path.n);
    memcpy(text, path.p, path.n);
    text[path.n] = '\0';
    *ret = userns < 0 ? sys->openat(AT_FDCWD, text, O_PATH | O_DIRECTORY, 0)
                      : mounts_clone(text, writable ? 0 : MOUNT_ATTR_RDONLY, 0, userns);
    if (*ret >= 0 || (errno == ENOENT && m->optional && path.p == m->source.p))
        return OK;
    *ret_idmap = userns >= 0 && (errno == EINVAL || errno == EOPNOTSUPP);
    return mounts_open_failed(m, text, errno, userns, e);
}

enum err overlay_open(const struct jail_mount *m, int userns, int *ret_source, int ret_pieces[JAIL_PIECES],
                      bool *ret_no_layers, struct error *e)
{
    bool idmap = false; /* the source is refused as it would be for READ: only of layers one may do without */
    enum err err = open_piece(m, m->source, false, userns, ret_source, &idmap, e);
    if (err || *ret_source < 0)
        return err;
    for (size_t i = 0; !err && i < m->nlayers; i++)
        err = open_piece(m, m->layers[i], false, userns, &ret_pieces[i], ret_no_layers, e);
    if (!err && m->upper.n)
        err = open_piece(m, m->upper, true, userns, &ret_pieces[JAIL_LAYERS_MAX], ret_no_layers, e);
    return err;
}

/* ---- why it is refused ---- */

/* Whether a mountinfo's place, in which blanks and backslashes are octal, lies below `folder`. */
static bool lies_below(const char *place, struct slice folder)
{
    size_t i = 0;
    for (; i < folder.n && *place; i++, place++) {
        char c = *place;
        unsigned octal;
        if (c == '\\' && sscanf(place + 1, "%3o", &octal) == 1) {
            c = (char)octal;
            place += 3;
        }
        if (c != folder.p[i])
            return false;
    }
    return i == folder.n && *place == '/';
}

static bool has_mounts_below(struct slice folder)
{
    FILE *f = fopen("../mountinfo", "r"); /* from /proc/self/fd: the old /proc is covered */
    char line[PATH_MAX + 256], place[PATH_MAX];
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f))
        found = sscanf(line, "%*s %*s %*s %*s %4095s", place) == 1 && lies_below(place, folder);
    if (f)
        fclose(f);
    return found;
}

static enum err refused(const struct jail_mount *m, int errnum, struct error *e)
{
    struct slice above = m->upper.n ? m->upper : m->layers[m->nlayers - 1];
    if (errnum == ENODEV)
        return error_set(e, ERR_UNSUPPORTED, "this kernel has no overlay file system; mend: modprobe overlay");
    if (errnum == ELOOP)
        return error_set(e, ERR_UNSUPPORTED, "a layer of %.*s lies below that folder itself; mend: keep crannog's state "
                         "elsewhere", SLICE_ARG(m->source));
    if (errnum == EPERM || errnum == EACCES)
        return error_errno(e, errnum, "the kernel refuses an overlay over %.*s in a user namespace (%s)",
                           SLICE_ARG(m->source), idmap_mend(errnum));
    if (errnum == EINVAL && has_mounts_below(m->source))
        return error_set(e, ERR_UNSUPPORTED, "something is mounted below %.*s, which cannot be seen through an overlay",
                         SLICE_ARG(m->source));
    const char *mend = errnum != EINVAL && errnum != EOPNOTSUPP ? "" : " (its file system is perhaps one that cannot hold "
                       "layers: an overlay, a network share; mend: keep crannog's state on ext4, xfs or btrfs)";
    return error_errno(e, errnum, "no overlay can be mounted of %.*s over %.*s%s", SLICE_ARG(above), SLICE_ARG(m->source),
                       mend);
}

/* ---- mounting ---- */

/* The pieces as the kernel finds them from /proc/self/fd: newest layer first, the source last. */
static bool name_lowers(const struct jail_mount *m, int source, const int pieces[JAIL_PIECES], char ret[OPTION_MAX])
{
    size_t n = 0;
    for (size_t i = m->nlayers; i-- > 0 && n < OPTION_MAX;)
        n += (size_t)snprintf(ret + n, OPTION_MAX - n, "%d:", pieces[i]);
    if (n < OPTION_MAX)
        n += (size_t)snprintf(ret + n, OPTION_MAX - n, "%d", source);
    return n < OPTION_MAX;
}

static int set(int fs, const char *key, const char *value)
{
    return fsconfig(fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, value, 0);
}

static int set_upper(int fs, int upper)
{
    char up[32], work[32];
    snprintf(up, sizeof up, "%d/up", upper);
    snprintf(work, sizeof work, "%d/work", upper);
    return set(fs, "upperdir", up) < 0 || set(fs, "workdir", work) < 0 ? -1 : set(fs, "volatile", NULL);
}

/* The detached overlay, or -1. */
static int make(const struct jail_mount *m, const char *lowers, int upper)
{
    FD_CLEANUP int fs = fsopen("overlay", FSOPEN_CLOEXEC);
    if (fs < 0 || set(fs, "userxattr", NULL) < 0 || set(fs, "index", "off") < 0 || set(fs, "lowerdir", lowers) < 0)
        return -1;
    if (m->upper.n && set_upper(fs, upper) < 0)
        return -1;
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -1;
    return fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (m->upper.n ? 0 : MOUNT_ATTR_RDONLY));
}

/* As root: what was cloned outside is of use only when it is attached in this mount namespace. */
static enum err attach_pieces(int source, const int pieces[JAIL_PIECES], struct error *e)
{
    bool ok = move_mount(source, "", AT_FDCWD, "/dev", MOVE_MOUNT_F_EMPTY_PATH) == 0;
    for (size_t i = 0; ok && i < JAIL_PIECES; i++)
        ok = pieces[i] < 0 || move_mount(pieces[i], "", AT_FDCWD, "/dev", MOVE_MOUNT_F_EMPTY_PATH) == 0;
    return ok ? OK : error_errno(e, errno, "cannot bring the layers into the jail (%s)", idmap_mend(errno));
}

enum err overlay_mount(int root, const struct jail_mount *m, int source, const int pieces[JAIL_PIECES], bool detached,
                       int *ret, bool *ret_no_layers, struct error *e)
{
    char lowers[OPTION_MAX];
    struct statvfs st;
    FD_CLEANUP int names = openat(root, "proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (names < 0 || fchdir(names) < 0)
        return error_errno(e, errno, "cannot enter the jail's own /proc");
    if (!name_lowers(m, source, pieces, lowers))
        return error_set(e, ERR_LIMIT, "too many open files to lay %zu layers over a folder of the jail", m->nlayers);
    enum err err = detached ? attach_pieces(source, pieces, e) : OK;
    if (err)
        return err;
    FD_CLEANUP int tree = make(m, lowers, pieces[JAIL_LAYERS_MAX]);
    if (tree < 0) {
        bool short_of = errno == ENOMEM || errno == EMFILE || errno == ENFILE || errno == ENOSPC || errno == EIO;
        *ret_no_layers = !short_of; /* that says nothing about overlays */
        return refused(m, errno, e);
    }
    if (m->upper.n && (fstatvfs(tree, &st) < 0 || st.f_flag & ST_RDONLY)) {
        *ret_no_layers = true;
        return error_set(e, ERR_UNSUPPORTED, "the kernel cannot write an overlay's layer in %.*s; mend: keep crannog's state "
                         "on ext4, xfs or btrfs", SLICE_ARG(m->upper));
    }
    *ret = tree;
    tree = -1;
    return OK;
}

/* ---- views ---- */

int overlay_mount_view(int root, const struct jail_mount *m, int source, int empty, bool detached)
{
    char lowers[32];
    const struct jail_mount none = {0};
    FD_CLEANUP int names = openat(root, "proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    snprintf(lowers, sizeof lowers, "%d:%d", source, empty); /* the kernel wants two */
    if (names < 0 || fchdir(names) < 0 || move_mount(source, "", AT_FDCWD, "/dev", MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
        (detached && has_mounts_below(m->source))) /* these would not be seen; of a user's source the kernel says so */
        return -1;
    return make(&none, lowers, -1);
}

/* ---- caches ---- */

enum err overlay_open_cache(const struct jail_mount *m, int userns, int *ret, struct error *e)
{
    bool idmap = false;
    struct error mine = {0};
    enum err err = open_piece(m, m->source, false, userns, ret, &idmap, &mine);
    if (err && e)
        *e = mine;
    return idmap ? OK : err;
}

/* Whether what overlays write about their files can be kept there: a tmpfs keeps it from Linux 6.6 on, and the mount would do
   without until the first folder is made. */
static bool keeps_marks(int upper)
{
    FD_CLEANUP int fd = openat(upper, "up", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsetxattr(fd, "user.overlay.mark", "", 0, 0) == 0 && fremovexattr(fd, "user.overlay.mark") == 0;
}

/* `name` and what an overlay wants in it, its `up` as the jail's own. */
static int make_upper(int dir, const char *name, const struct jail_plan *p)
{
    FD_CLEANUP int upper = mkdirat(dir, name, 0700) < 0 ? -1 : openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (upper < 0 || mkdirat(upper, "up", 0755) < 0 || mkdirat(upper, "work", 0755) < 0 ||
        !keeps_marks(upper) || fchownat(upper, "up", p->uid, p->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    int ret = upper;
    upper = -1;
    return ret;
}

int overlay_mount_cache(int root, const struct jail_plan *p, int source, int upper, unsigned n, bool detached)
{
    char name[16], lower[16];
    FD_CLEANUP int names = openat(root, "proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    snprintf(name, sizeof name, "%u", n);
    snprintf(lower, sizeof lower, "%d", source);
    FD_CLEANUP int up = make_upper(upper, name, p);
    if (up < 0 || names < 0 || fchdir(names) < 0 ||
        (detached && move_mount(source, "", AT_FDCWD, "/dev", MOVE_MOUNT_F_EMPTY_PATH) < 0))
        return -1;
    const struct jail_mount m = {.upper = SLICE("-")}; /* it has one */
    return make(&m, lower, up);
}
