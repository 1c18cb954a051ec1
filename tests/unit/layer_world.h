/*
 * Trees on the real disk for the tests of layers: made and read by plain calls, never through `sys`; and overlays over
 * them, mounted in a user namespace of the test's own. What is under test runs without capabilities, as in a jail.
 */
#ifndef CRANNOG_TESTS_LAYER_WORLD_H
#define CRANNOG_TESTS_LAYER_WORLD_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"
#include "layers/manifest.h"

static char world_path[64];
static int world = -1;          /* the folder of the test */
static const char *no_overlay;  /* why there is none, or NULL */

/* ---- capabilities ---- */

/* Drops what sets the test apart from a step's uid, or takes it back. */
static inline void caps(bool on)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2];
    assert_int_equal(syscall(SYS_capget, &h, d), 0);
    for (int i = 0; i < 2; i++)
        d[i].effective = on ? d[i].permitted : 0;
    assert_int_equal(syscall(SYS_capset, &h, d), 0);
}

static inline bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return ok;
}

/* A user namespace with one's own ids, to mount in; sets no_overlay where that is refused. */
static inline void world_namespace(void)
{
    char map[64];
    unsigned uid = getuid(), gid = getgid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) {
        no_overlay = "no user namespaces here";
        return;
    }
    snprintf(map, sizeof map, "%u %u 1", uid, uid);
    bool ok = write_text("/proc/self/setgroups", "deny") && write_text("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "%u %u 1", gid, gid);
    if (!ok || !write_text("/proc/self/gid_map", map))
        no_overlay = "the ids of a user namespace are refused";
}

/* ---- trees ---- */

static inline void world_empty(int folder)
{
    DIR *d = fdopendir(openat(folder, ".", O_RDONLY | O_DIRECTORY));
    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d));) {
        if (!strcmp(f->d_name, ".") || !strcmp(f->d_name, "..") || unlinkat(folder, f->d_name, 0) == 0)
            continue;
        fchmodat(folder, f->d_name, 0700, 0);
        int sub = openat(folder, f->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        assert_true(sub >= 0);
        world_empty(sub);
        close(sub);
        assert_int_equal(unlinkat(folder, f->d_name, AT_REMOVEDIR), 0);
    }
    closedir(d);
}

/* A file of this text, new or not. */
static inline void put(int at, const char *path, const char *text)
{
    int fd = openat(at, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static inline int world_make(void **state)
{
    (void)state;
    umask(0);
    snprintf(world_path, sizeof world_path, "/tmp/crannog-layer-XXXXXX");
    if (!mkdtemp(world_path))
        return -1;
    world = open(world_path, O_RDONLY | O_DIRECTORY);
    return world < 0 ? -1 : 0;
}

static inline int world_remove(void **state)
{
    (void)state;
    sys = &sys_real;
    caps(true);
    world_empty(world);
    close(world);
    world = -1;
    umount2(world_path, MNT_DETACH); /* where it lay in memory */
    return rmdir(world_path);
}

/* The world in memory, where a sync costs nothing. */
static inline int world_make_in_memory(void **state)
{
    if (world_make(state) < 0)
        return -1;
    if (no_overlay || mount("tmpfs", world_path, "tmpfs", 0, "size=512m") < 0)
        return 0; /* then on the disk, more slowly */
    close(world);
    world = open(world_path, O_RDONLY | O_DIRECTORY);
    return world < 0 ? -1 : 0;
}

/* A new folder of the world, open. */
static inline int folder(const char *name)
{
    if (mkdirat(world, name, 0755) < 0 && errno != EEXIST)
        fail_msg("mkdir %s: %s", name, strerror(errno));
    int fd = openat(world, name, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    return fd;
}

/* All of a tree as a list in N1's order; `after` holds what lies there, FIFOs and such only with `all`. */
static inline void snapshot_folder(int fd, char *path, size_t n, bool all, struct arena *a, void **v, size_t *nv, size_t *cap)
{
    DIR *d = fdopendir(openat(fd, ".", O_RDONLY | O_DIRECTORY));
    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d));) {
        struct stat st;
        if (!strcmp(f->d_name, ".") || !strcmp(f->d_name, ".."))
            continue;
        if (fstatat(fd, f->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            fail_msg("a name that is listed and is not there: %s", f->d_name);
        size_t m = n + (n ? 1 : 0) + strlen(f->d_name);
        assert_true(m < 4096);
        if (n)
            path[n] = '/';
        memcpy(path + m - strlen(f->d_name), f->d_name, strlen(f->d_name) + 1);
        struct stamp s = {.mode = st.st_mode & 07777, .size = (uint64_t)st.st_size, .ino = st.st_ino, .links = (uint32_t)st.st_nlink,
                          .mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec};
        s.type = S_ISREG(st.st_mode) ? STAMP_FILE : S_ISDIR(st.st_mode) ? STAMP_FOLDER : S_ISLNK(st.st_mode) ? STAMP_LINK : STAMP_OTHER;
        if (s.type == STAMP_FILE) {
            int file = openat(fd, f->d_name, O_RDONLY | O_NOFOLLOW);
            char *bytes = malloc(s.size + 1);
            assert_true(file >= 0 && bytes && pread(file, bytes, s.size + 1, 0) == (ssize_t)s.size);
            s.hash = hash_of((struct slice){bytes, s.size});
            free(bytes);
            close(file);
        }
        if (s.type == STAMP_LINK) {
            char text[4096];
            ssize_t k = readlinkat(fd, f->d_name, text, sizeof text);
            s.hash = hash_of((struct slice){text, (size_t)k});
        }
        if (all || s.type != STAMP_OTHER) {
            assert_true(arena_grow(a, v, cap, *nv + 1, sizeof(struct change)));
            ((struct change *)*v)[(*nv)++] = (struct change){.path = arena_copy(a, (struct slice){path, m}), .after = s};
        }
        if (s.type == STAMP_FOLDER) {
            int sub = openat(fd, f->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
            assert_true(sub >= 0);
            snapshot_folder(sub, path, m, all, a, v, nv, cap);
            close(sub);
        }
    }
    closedir(d);
}

static inline int snapshot_order(const void *a, const void *b)
{
    return manifest_path_cmp(((const struct change *)a)->path, ((const struct change *)b)->path);
}

static inline struct manifest snapshot(int fd, bool all, struct arena *a)
{
    char path[4096];
    void *v = NULL;
    size_t n = 0, cap = 0;
    snapshot_folder(fd, path, 0, all, a, &v, &n, &cap);
    if (n)
        qsort(v, n, sizeof(struct change), snapshot_order);
    return (struct manifest){.v = v, .n = n};
}

/* ---- overlays ---- */

/* Mounts `target` (a folder of the world): `lower` as overlay has it ("newest:…:root", names in the world); upper NULL: all
   read-only. */
static inline void overlay_mount(const char *lower, const char *upper, const char *work, const char *target)
{
    char options[2048], at[256];
    snprintf(options, sizeof options, upper ? "userxattr,volatile,lowerdir=%s,upperdir=%s,workdir=%s" : "userxattr,lowerdir=%s",
             lower, upper, work);
    snprintf(at, sizeof at, "%s/%s", world_path, target);
    char back[4096];
    assert_non_null(getcwd(back, sizeof back));
    assert_int_equal(fchdir(world), 0);
    if (mount("overlay", at, "overlay", 0, options) < 0)
        fail_msg("mount %s: %s", options, strerror(errno));
    assert_int_equal(chdir(back), 0);
}

static inline void overlay_unmount(const char *target)
{
    char at[256];
    snprintf(at, sizeof at, "%s/%s", world_path, target);
    if (umount2(at, 0) < 0)
        fail_msg("umount %s: %s", at, strerror(errno));
}

/* Whether overlays can be mounted; sets no_overlay otherwise. */
static inline void overlay_try(void)
{
    if (no_overlay)
        return;
    char options[512], at[256];
    close(folder("try-l")), close(folder("try-u")), close(folder("try-w")), close(folder("try-m"));
    snprintf(options, sizeof options, "userxattr,volatile,lowerdir=%s/try-l,upperdir=%s/try-u,workdir=%s/try-w", world_path, world_path, world_path);
    snprintf(at, sizeof at, "%s/try-m", world_path);
    if (mount("overlay", at, "overlay", 0, options) < 0)
        no_overlay = "overlays are refused here";
    else
        umount2(at, 0);
}

#endif
