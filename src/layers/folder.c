/*
 * A folder that a step wrote may be nested deeper than there are descriptors, and no path may reach its end. So what is
 * removed is first renamed to a name of its own that no layer has (".trash-…"), and then made flat: each folder found in
 * it is moved up to its top, where it waits to be emptied itself. No recursion, whatever lies there.
 *
 * Another crannog that begins may sweep the same trash while it is emptied: what is gone is gone, whoever did it.
 */
#include "layers/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "layers/walk.h"

enum { NAMES_BYTES = 512 * 1024 * 1024, TRASH_TRIES = 10000 };

static const char trash_prefix[] = ".trash-";

static enum err check_name(const char *name, struct error *e)
{
    struct slice s = slice_of(name);
    enum err err = stamp_check_path(s, e);
    if (!err && (slice_index(s, '/') < s.n || slice_starts(s, slice_of(trash_prefix))))
        return error_set(e, ERR_USAGE, "%s is no name for a layer", name);
    return err;
}

/* ---- removing ---- */

/* One trash while it is emptied. */
struct trash {
    int top;
    unsigned next;  /* names that were tried for what is moved up */
    unsigned again; /* folders that somebody else filled again meanwhile */
};

/* Moves a folder to the top of the trash, under a name that is free there. */
static enum err move_up(int folder, const char *name, struct trash *t, struct error *e)
{
    for (;;) {
        char free_name[32];
        snprintf(free_name, sizeof free_name, "%u", t->next++);
        if (sys->renameat2(folder, name, t->top, free_name, RENAME_NOREPLACE) == 0)
            return OK;
        if (errno != EEXIST)
            return errno == ENOENT ? OK : error_errno(e, errno, "cannot move the folder %s of a layer away", name);
    }
}

/* None where the folder itself is gone. */
static enum err names_of(int folder, struct arena *names, struct slice **ret, size_t *ret_n, struct error *e)
{
    struct error why = {0};
    enum err err = walk_names(folder, names, ret, ret_n, &why);
    if (err == ERR_MISSING)
        *ret_n = 0;
    else if (err && e)
        *e = why;
    return err == ERR_MISSING ? OK : err;
}

/* Removed by somebody else; its name may be that of another trash by now. */
static bool is_gone(int folder)
{
    struct stat st;
    return sys->fstatat(folder, "", &st, AT_EMPTY_PATH) == 0 && st.st_nlink == 0;
}

/* After a failed removal: what the other one has moved up may have the name, or the folder, that was just emptied. Then
   it is found in the next round; but no file system may make us try for ever. */
static bool is_filled_again(struct trash *t)
{
    return (errno == ENOTEMPTY || errno == EEXIST) && t->again++ < TRASH_TRIES;
}

/* Empties the folder `name` of the trash but for folders in it, which are moved up; and removes it. */
static enum err empty_one(struct trash *t, const char *name, struct arena *names, struct error *e)
{
    FD_CLEANUP int fd = walk_open(t->top, name);
    struct slice *v;
    size_t n;
    if (fd < 0)
        return errno == ENOENT ? OK : error_errno(e, errno, "cannot open the folder %s of a layer", name);
    enum err err = names_of(fd, names, &v, &n, e);
    for (size_t i = 0; !err && i < n; i++) {
        if (sys->unlinkat(fd, v[i].p, 0) == 0 || errno == ENOENT)
            continue;
        if (errno != EISDIR && errno != EPERM)
            return error_errno(e, errno, "cannot remove %s of a layer", v[i].p);
        if (sys->fchmodat(fd, v[i].p, 0700) == 0) /* a folder whose ".." changes must be writable itself */
            err = move_up(fd, v[i].p, t, e);
        else if (errno != ENOENT)
            err = error_errno(e, errno, "cannot remove %s of a layer", v[i].p);
    }
    if (!err && sys->unlinkat(t->top, name, AT_REMOVEDIR) < 0 && errno != ENOENT && !is_filled_again(t))
        err = error_errno(e, errno, "cannot remove the folder %s of a layer", name);
    return err;
}

/* Everything in the trash folder `trash`, and itself. */
static enum err empty_trash(int layers, const char *trash, struct error *e)
{
    FD_CLEANUP int top = walk_open(layers, trash);
    if (top < 0 && (errno == ENOTDIR || errno == ELOOP))
        return sys->unlinkat(layers, trash, 0) < 0 ? error_errno(e, errno, "cannot remove %s", trash) : OK;
    if (top < 0)
        return errno == ENOENT ? OK : error_errno(e, errno, "cannot open %s", trash);
    for (struct trash t = {.top = top};;) {
        ARENA_CLEANUP struct arena names = ARENA_INIT(NAMES_BYTES);
        struct slice *v;
        size_t n;
        enum err err = names_of(top, &names, &v, &n, e);
        for (size_t i = 0; !err && i < n; i++) {
            if (sys->unlinkat(top, v[i].p, 0) == 0 || errno == ENOENT)
                continue;
            if (errno != EISDIR && errno != EPERM)
                err = error_errno(e, errno, "cannot remove %s of a layer", v[i].p);
            else if (sys->fchmodat(top, v[i].p, 0700) == 0)
                err = empty_one(&t, v[i].p, &names, e);
            else if (errno != ENOENT)
                err = error_errno(e, errno, "cannot remove %s of a layer", v[i].p);
        }
        if (err)
            return err;
        if (n == 0 && (is_gone(top) || sys->unlinkat(layers, trash, AT_REMOVEDIR) == 0 || errno == ENOENT))
            return OK;
        if (n == 0 && !is_filled_again(&t))
            return error_errno(e, errno, "cannot remove %s", trash);
    }
}

/* Renames to a trash name; *ret_there is false where nothing lies there. */
static enum err throw_away(int layers, int folder, const char *name, char ret[64], bool *ret_there, struct error *e)
{
    struct stat st;
    *ret_there = sys->fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!*ret_there)
        return errno == ENOENT ? OK : error_errno(e, errno, "cannot look at the layer %s", name);
    if (S_ISDIR(st.st_mode) && (st.st_mode & 0700) != 0700 && sys->fchmodat(folder, name, 0700) < 0)
        return error_errno(e, errno, "cannot remove the layer %s", name);
    for (int i = 0; i < TRASH_TRIES; i++) {
        snprintf(ret, 64, "%s%d", trash_prefix, i);
        if (sys->renameat2(folder, name, layers, ret, RENAME_NOREPLACE) == 0)
            return OK;
        if (errno != EEXIST)
            return error_errno(e, errno, "cannot remove the layer %s", name);
    }
    return error_set(e, ERR_LIMIT, "there is too much in the trash of layers");
}

enum err layer_remove(int layers, const char *name, const char *sub, struct error *e)
{
    char trash[64];
    bool there;
    enum err err = check_name(name, e);
    if (!err && sub)
        err = check_name(sub, e);
    if (err)
        return err;
    FD_CLEANUP int folder = sub ? walk_open(layers, name) : -1;
    if (sub && folder < 0)
        return errno == ENOENT ? OK : error_errno(e, errno, "cannot open the layer %s", name);
    err = throw_away(layers, sub ? folder : layers, sub ? sub : name, trash, &there, e);
    return err || !there ? err : empty_trash(layers, trash, e);
}

enum err layer_throw(int layers, const char *name, struct error *e)
{
    char trash[64];
    bool there;
    enum err err = check_name(name, e);
    return err ? err : throw_away(layers, layers, name, trash, &there, e);
}

enum err layer_sweep(int layers, struct error *e)
{
    ARENA_CLEANUP struct arena names = ARENA_INIT(NAMES_BYTES);
    struct slice *v;
    size_t n;
    enum err err = walk_names(layers, &names, &v, &n, e);
    for (size_t i = 0; !err && i < n; i++)
        if (slice_starts(v[i], slice_of(trash_prefix))) {
            if (sys->fchmodat(layers, v[i].p, 0700) == 0)
                err = empty_trash(layers, v[i].p, e);
            else if (errno != ENOENT)
                err = error_errno(e, errno, "cannot remove %s", v[i].p);
        }
    return err;
}

/* ---- making ---- */

static enum err make_folder(int parent, const char *name, uid_t uid, gid_t gid, mode_t mode, struct error *e)
{
    if (sys->mkdirat(parent, name, 0700) < 0)
        return error_errno(e, errno, "cannot make the folder %s of a layer", name);
    FD_CLEANUP int fd = walk_open(parent, name);
    if (fd < 0)
        return error_errno(e, errno, "cannot open the folder %s of a layer", name);
    if (geteuid() == 0 && sys->fchown(fd, uid, gid) < 0)
        return error_errno(e, errno, "cannot give the folder %s of a layer to its owner", name);
    return sys->fchmod(fd, mode & 07777) < 0 ? error_errno(e, errno, "cannot set the mode of a layer's folder %s", name) : OK;
}

enum err layer_make(int layers, const char *name, const char *sub, uid_t uid, gid_t gid, mode_t mode, struct error *e)
{
    enum err err = sub ? check_name(sub, e) : OK;
    if (!err)
        err = layer_remove(layers, name, NULL, e);
    if (!err)
        err = make_folder(layers, name, uid, gid, 0700, e);
    if (err)
        return err;
    FD_CLEANUP int folder = walk_open(layers, name);
    if (folder < 0)
        return error_errno(e, errno, "cannot open the layer %s", name);
    err = make_folder(folder, sub ? sub : "up", uid, gid, mode, e);
    return err || sub ? err : make_folder(folder, "work", uid, gid, 0700, e);
}

enum err layer_sync(int layers, const char *name, struct error *e)
{
    FD_CLEANUP int folder = walk_open(layers, name);
    if (folder < 0)
        return error_errno(e, errno, "cannot open the layer %s", name);
    if (sys->fsync(folder) < 0 || sys->fsync(layers) < 0)
        return error_errno(e, errno, "cannot sync the layer %s", name);
    return OK;
}
