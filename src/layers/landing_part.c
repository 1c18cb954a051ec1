/* The part of a landing: what is wanted, made complete under a hidden name beside the target; and the names there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "layers/internal.h"
#include "layers/landing_path.h"
#include "layers/walk.h"

/* ---- names and folders ---- */

/* Makes the folders that are missing, and each durable, those of an attempt that died as well. */
enum err landing_make_folders(int root, struct slice path, struct error *e)
{
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] != '/')
            continue;
        PLACE_CLEANUP struct place p = PLACE_INIT;
        enum err err = place_open(root, slice_sub(path, 0, i), O_RDONLY, &p, e);
        if (err || p.way != STAMP_FILE)
            return err; /* a file in the way: the landing itself says so */
        if ((sys->mkdirat(p.folder, p.name, 0777) < 0 && errno != EEXIST) || sys->fsync(p.folder) < 0)
            return error_errno(e, errno, "cannot make the folder %.*s", SLICE_ARG(slice_sub(path, 0, i)));
    }
    return OK;
}

void landing_name(struct landing *l, struct slice name)
{
    char hex[HASH_HEX + 1];
    struct hash h = hash_of(name);
    h = hash_of2((struct slice){(const char *)h.b, HASH_BYTES}, l->path);
    hash_hex(&h, hex);
    snprintf(l->part, sizeof l->part, ".crannog-%.32s.part", hex);
    snprintf(l->slot, sizeof l->slot, ".crannog-%.32s.slot", hex);
    snprintf(l->back, sizeof l->back, ".crannog-%.32s.back", hex);
    size_t n = strlen(l->target);
    if (n > 120)
        for (n = 120; n > 100 && ((unsigned char)l->target[n] & 0xc0) == 0x80;)
            n--; /* not in the middle of a character */
    snprintf(l->kept, sizeof l->kept, "%.*s.kept-%.12s", (int)n, l->target, hex);
}

/* ---- what is wanted ---- */

/* Remembers the inode: its bytes are written, neither changes any more. */
static enum err ours(struct landing *l)
{
    struct stamp s;
    enum err err = node_stat(l->folder, l->part, &s, l->e);
    l->ours_ino = s.ino;
    l->ours_mtime_ns = s.mtime_ns;
    return err;
}

/* Mode, and for a replaced file owner and group, of the new file. */
static enum err fit(struct landing *l, int fd, const struct stamp *old)
{
    struct stat st;
    if (sys->fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
        return error_errno(l->e, errno, "cannot look at %s", l->part);
    bool replaced = old->type == STAMP_FILE;
    if (replaced && (st.st_uid != old->uid || st.st_gid != old->gid) && sys->fchown(fd, old->uid, old->gid) < 0)
        return error_set(l->e, err_from_errno(errno) == ERR_IO ? ERR_IO : ERR_DENIED,
                         "%.*s belongs to user %u, group %u, which a new version of it cannot be given (%s); give the "
                         "file to user %u, group %u", SLICE_ARG(l->path), old->uid, old->gid, strerror(errno),
                         (unsigned)st.st_uid, (unsigned)st.st_gid);
    if (sys->fchmod(fd, (replaced && !l->set ? old->mode : l->wanted.mode) & 0777) < 0)
        return error_errno(l->e, errno, "cannot set the mode of %s", l->part);
    return OK;
}

static enum err not_the_layer(struct landing *l)
{
    return error_set(l->e, ERR_CORRUPT, "the layer does not hold the %.*s that its manifest names",
                     SLICE_ARG(slice_sub(l->path, 0, 200)));
}

static enum err fill_file(struct landing *l, int fd)
{
    if (l->source_folder < 0)
        return sys_write_all(fd, l->content, l->part, l->e);
    FD_CLEANUP int from = look_open(l->source_folder, l->source_name);
    if (from < 0 && (errno == ENOENT || errno == ELOOP || errno == ENXIO))
        return not_the_layer(l);
    if (from < 0)
        return error_errno(l->e, errno, "cannot open the layer's %.*s", SLICE_ARG(slice_sub(l->path, 0, 200)));
    bool same;
    enum err err = node_copy(from, fd, &l->wanted, l->part, &same, l->e);
    if (!err && same)
        err = walk_copy_attributes(from, fd, l->target, l->e);
    return err ? err : same ? OK : not_the_layer(l);
}

static enum err write_file(struct landing *l, const struct stamp *old)
{
    FD_CLEANUP int fd = sys->openat(l->folder, l->part, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_errno(l->e, errno, "cannot create a file beside %.*s", SLICE_ARG(l->path));
    enum err err = fill_file(l, fd);
    if (!err)
        err = fit(l, fd, old);
    if (!err && l->set)
        err = node_mtime(l->folder, l->part, l->wanted.mtime_ns, l->e);
    if (!err && l->sync_part && sys->fsync(fd) < 0)
        err = error_errno(l->e, errno, "cannot sync %s", l->part);
    return err;
}

static enum err write_link(struct landing *l)
{
    bool same;
    enum err err = node_link(l->source_folder, l->source_name, l->folder, l->part, &l->wanted, &same, l->e);
    if (!err && !same)
        err = not_the_layer(l);
    return err ? err : node_mtime(l->folder, l->part, l->wanted.mtime_ns, l->e);
}

enum err landing_prepare(struct landing *l, const struct stamp *old)
{
    enum err err = OK;
    if (l->wanted.type == STAMP_ABSENT)
        return OK;
    if (l->wanted.type == STAMP_FILE)
        err = write_file(l, old);
    else if (l->wanted.type == STAMP_LINK)
        err = write_link(l);
    else if (sys->mkdirat(l->folder, l->part, 0700) < 0)
        err = error_errno(l->e, errno, "cannot make a folder beside %.*s", SLICE_ARG(l->path));
    if (!err)
        err = ours(l);
    if (err) /* gives the room back on a full disk; settled later if even that fails */
        (void)sys->unlinkat(l->folder, l->part, l->wanted.type == STAMP_FOLDER ? AT_REMOVEDIR : 0);
    return err;
}
