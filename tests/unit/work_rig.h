/* A work folder on the real disk, something outside of it, and the applets called directly by the engine's own words. */
#ifndef CRANNOG_TESTS_WORK_RIG_H
#define CRANNOG_TESTS_WORK_RIG_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"
#include "tools/inside_work.h"
#include "tools/work.h"

static char rig_top[64], rig_root[80], rig_other[80]; /* not below /tmp, where tools may write */
static struct buf rig_reply = BUF_INIT(64 * 1024 * 1024);
static struct error why;

static inline void rig_empty(const char *path)
{
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d));) {
        char sub[4096];
        if (!strcmp(f->d_name, ".") || !strcmp(f->d_name, ".."))
            continue;
        snprintf(sub, sizeof sub, "%s/%s", path, f->d_name);
        if (unlink(sub) == 0)
            continue;
        rig_empty(sub);
        assert_int_equal(rmdir(sub), 0);
    }
    closedir(d);
}

static inline int rig_start(void **state)
{
    (void)state;
    snprintf(rig_top, sizeof rig_top, "/var/tmp/crannog-tools-XXXXXX");
    if (!mkdtemp(rig_top))
        return -1;
    snprintf(rig_root, sizeof rig_root, "%s/root", rig_top);
    snprintf(rig_other, sizeof rig_other, "%s/other", rig_top);
    return mkdir(rig_root, 0755) | mkdir(rig_other, 0755);
}

static inline int rig_end(void **state)
{
    (void)state;
    rig_empty(rig_top);
    rmdir(rig_top);
    buf_release(&rig_reply);
    return 0;
}

static inline int rig_clean(void **state)
{
    (void)state;
    rig_empty(rig_root);
    rig_empty(rig_other);
    return 0;
}

/* A path of four that take turns: "a" is below the root, "/a" below the other folder. */
static inline char *rig_path(const char *path)
{
    static char paths[4][512];
    static unsigned turn;
    char *ret = paths[turn++ % 4];
    snprintf(ret, 512, "%s/%s", path[0] == '/' ? rig_other : rig_root, path[0] == '/' ? path + 1 : path);
    return ret;
}

static inline void put_bytes(const char *path, struct slice s)
{
    char *text = rig_path(path);
    for (char *at = text + strlen(rig_top) + 1; (at = strchr(at, '/')); *at++ = '/') {
        *at = '\0';
        mkdir(text, 0755);
    }
    int fd = open(text, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, s.n ? s.p : "", s.n), (ssize_t)s.n);
    close(fd);
}

static inline void put(const char *path, const char *text)
{
    put_bytes(path, slice_of(text));
}

static inline void put_link(const char *to, const char *path)
{
    assert_int_equal(symlink(to, rig_path(path)), 0);
}

static inline void is_file(const char *path, const char *text)
{
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    assert_int_equal(sys_read_file(AT_FDCWD, rig_path(path), &b, &why), OK);
    assert_string_equal(buf_str(&b), text);
}

static inline bool is_there(const char *path)
{
    struct stat st;
    return lstat(rig_path(path), &st) == 0;
}

static inline enum err rig_call(enum err (*applet)(struct slice, struct buf *, struct error *), const struct buf *args)
{
    assert_true(buf_ok(args));
    buf_reset(&rig_reply);
    why = (struct error){.code = OK};
    return applet(buf_slice(args), &rig_reply, &why);
}

#endif
