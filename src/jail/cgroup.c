/*
 * A control group of the jail's own, where one can be had: below ours, or as near above it as processes may be counted.
 *
 *   v2   pid 1 is born into it, which costs nothing. Memory and processes are limited where the controllers are handed on;
 *        CPU time is counted, and everything ends by one write, wherever the kernel lets us make a group at all.
 *   v1   a process must be moved, and the kernel lets a mover wait for some 10 ms. So that is done only while there is no
 *        plan yet (a jail that is kept ready). Used for what v2 has not.
 *
 * What no group limits is limited otherwise: processes by RLIMIT_NPROC, memory by pid 1's looking (init.c), CPU time by
 * its adding up. Groups are named by the pid of crannog-jail and lie in a folder `crannog`; whoever starts a jail now and
 * then removes those of crannog-jails that are no more.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"
#include "jail/internal.h"

enum { SWEEP_EVERY = 8, SWEEP_FEW = 32, TEXT_MAX = 4096 };
static const char parent_name[] = "crannog";

/* ---- small files ---- */

static bool write_file(int group, const char *name, const char *text)
{
    FD_CLEANUP int fd = group < 0 ? -1 : openat(group, name, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool write_number(int group, const char *name, uint64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    return write_file(group, name, text);
}

static bool read_file(int group, const char *name, char ret[TEXT_MAX])
{
    FD_CLEANUP int fd = group < 0 ? -1 : openat(group, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, ret, TEXT_MAX - 1);
    ret[n > 0 ? n : 0] = '\0';
    return n >= 0;
}

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = text; (at = strstr(at, word)); at += n)
        if ((at == text || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\n' || at[n] == '\0'))
            return true;
    return false;
}

/* The number behind `key` at the beginning of a line; 0 without it. */
static uint64_t number_of(int group, const char *name, const char *key)
{
    char text[TEXT_MAX];
    if (!read_file(group, name, text))
        return 0;
    for (const char *at = text; at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
        if (strncmp(at, key, strlen(key)) == 0 && at[strlen(key)] == ' ')
            return strtoull(at + strlen(key), NULL, 10);
    return 0;
}

/* ---- making ---- */

static int open_folder(int dir, const char *path)
{
    return openat(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Whether groups below `dir` get memory and processes to limit, and we may put processes there. */
static bool hands_on(int dir)
{
    char text[TEXT_MAX];
    return faccessat(dir, "cgroup.procs", W_OK, AT_EACCESS) == 0 && read_file(dir, "cgroup.subtree_control", text) &&
           has_word(text, "memory") && has_word(text, "pids");
}

/* The nearest group from `own` up to the mount that hands on its controllers; the root of all may be told to. Else our own
   one, which is good for counting. */
static int open_base(const char *own, size_t top, bool *ret_limits)
{
    char path[PATH_MAX], text[TEXT_MAX];
    snprintf(path, sizeof path, "%s", own);
    for (size_t n = strlen(path);; path[n] = '\0') {
        int dir = open_folder(AT_FDCWD, path);
        bool root = n <= top && dir >= 0 && read_file(dir, "cgroup.controllers", text) && has_word(text, "memory") &&
                    has_word(text, "pids");
        if (dir >= 0 && (hands_on(dir) || (root && write_file(dir, "cgroup.subtree_control", "+memory +pids")))) {
            *ret_limits = true;
            return dir;
        }
        sys_close_fd(&dir);
        while (n > top && path[--n] != '/')
            continue;
        if (n <= top && path[n] == '\0')
            break;
    }
    *ret_limits = false;
    int dir = open_folder(AT_FDCWD, own);
    if (dir >= 0 && faccessat(dir, "cgroup.procs", W_OK, AT_EACCESS) < 0)
        sys_close_fd(&dir);
    return dir;
}

/* A new group below base/crannog. Another one's end may remove that folder in between. */
static bool make_group(struct cgroups *c, enum cgroup_kind kind, int base)
{
    for (int tries = 0; tries < 3; tries++) {
        if (mkdirat(base, parent_name, 0755) < 0 && errno != EEXIST)
            return false;
        int parent = open_folder(base, parent_name), made = -1;
        if (parent >= 0 && (made = mkdirat(parent, c->name, 0755)) < 0 && errno == EEXIST && /* of one with our pid, dead */
            unlinkat(parent, c->name, AT_REMOVEDIR) == 0)
            made = mkdirat(parent, c->name, 0755);
        c->groups[kind] = made < 0 ? -1 : open_folder(parent, c->name);
        c->parents[kind] = parent;
        if (c->groups[kind] >= 0)
            return true;
        sys_close_fd(&c->parents[kind]);
        if (errno != ENOENT)
            return false;
    }
    return false;
}

static void make_unified(struct cgroups *c, const struct cgroup_place *place)
{
    bool limits;
    FD_CLEANUP int base = open_base(place->own[CGROUP_UNIFIED], place->top, &limits);
    if (base < 0 || !make_group(c, CGROUP_UNIFIED, base) || !limits)
        return;
    int group = c->groups[CGROUP_UNIFIED];
    if (faccessat(group, "memory.max", W_OK, AT_EACCESS) < 0)
        (void)write_file(c->parents[CGROUP_UNIFIED], "cgroup.subtree_control", "+memory +pids");
    c->limits = faccessat(group, "memory.max", W_OK, AT_EACCESS) == 0 && faccessat(group, "pids.max", W_OK, AT_EACCESS) == 0;
}

static void read_all(const char *path, struct buf *ret)
{
    struct error e;
    if (sys_read_file(AT_FDCWD, path, ret, &e))
        buf_reset(ret);
}

void cgroups_init(struct cgroups *c)
{
    memset(c, 0, sizeof *c);
    memset(c->groups, -1, sizeof c->groups);
    memset(c->parents, -1, sizeof c->parents);
}

void cgroups_make(struct cgroups *c)
{
    BUF_CLEANUP struct buf own = BUF_INIT(64 * 1024), mounts = BUF_INIT(1024 * 1024);
    snprintf(c->name, sizeof c->name, "%d", (int)getpid());
    read_all("/proc/self/cgroup", &own);
    read_all("/proc/self/mountinfo", &mounts);
    cgroup_find(buf_slice(&own), buf_slice(&mounts), &c->place);
    if (*c->place.own[CGROUP_UNIFIED])
        make_unified(c, &c->place);
}

void cgroups_move(struct cgroups *c, pid_t pid)
{
    for (enum cgroup_kind kind = CGROUP_MEMORY; kind < CGROUP_KINDS && !c->limits; kind++) {
        if (!*c->place.own[kind] || (kind == CGROUP_CPUACCT && c->groups[CGROUP_UNIFIED] >= 0))
            continue;
        FD_CLEANUP int base = open_folder(AT_FDCWD, c->place.own[kind]);
        if (base >= 0 && make_group(c, kind, base) && !write_number(c->groups[kind], "cgroup.procs", (uint64_t)pid)) {
            unlinkat(c->parents[kind], c->name, AT_REMOVEDIR);
            sys_close_fd(&c->groups[kind]);
            sys_close_fd(&c->parents[kind]);
        }
    }
}

/* ---- limits, and what came of them ---- */

bool cgroups_limit(struct cgroups *c, const struct jail_limits *l)
{
    int both = c->limits ? c->groups[CGROUP_UNIFIED] : -1, memory = c->groups[CGROUP_MEMORY], pids = c->groups[CGROUP_PIDS];
    bool limited = false;
    if (l->processes)
        (void)write_number(both >= 0 ? both : pids, "pids.max", l->processes + 1); /* pid 1 counts too */
    if (l->memory_all && both >= 0) {
        limited = write_number(both, "memory.max", l->memory_all);
        (void)write_number(both, "memory.swap.max", 0);
    } else if (l->memory_all && memory >= 0) {
        limited = write_number(memory, "memory.limit_in_bytes", l->memory_all);
        (void)write_number(memory, "memory.memsw.limit_in_bytes", l->memory_all);
    }
    return limited;
}

int cgroups_open_cpu(const struct cgroups *c)
{
    int unified = c->groups[CGROUP_UNIFIED], acct = c->groups[CGROUP_CPUACCT];
    return unified >= 0 ? openat(unified, "cpu.stat", O_RDONLY | O_CLOEXEC)
                        : acct >= 0 ? openat(acct, "cpuacct.usage", O_RDONLY | O_CLOEXEC) : -1;
}

uint64_t cgroup_cpu_ns(int fd)
{
    char text[64] = "";
    unsigned long long v = 0;
    if (pread(fd, text, sizeof text - 1, 0) <= 0)
        return 0;
    if (sscanf(text, "usage_usec %llu", &v) == 1)
        return v * 1000;
    return sscanf(text, "%llu", &v) == 1 ? v : 0;
}

void cgroups_counts(const struct cgroups *c, uint64_t *ret_killed, uint64_t *ret_refused)
{
    int both = c->limits ? c->groups[CGROUP_UNIFIED] : -1;
    *ret_killed = both >= 0 ? number_of(both, "memory.events", "oom_kill")
                            : number_of(c->groups[CGROUP_MEMORY], "memory.oom_control", "oom_kill");
    *ret_refused = number_of(both >= 0 ? both : c->groups[CGROUP_PIDS], "pids.events", "max");
}

/* ---- ends ---- */

void cgroups_kill(const struct cgroups *c)
{
    (void)write_file(c->groups[CGROUP_UNIFIED], "cgroup.kill", "1");
}

void cgroups_remove(struct cgroups *c)
{
    for (size_t i = 0; i < CGROUP_KINDS; i++) {
        if (c->parents[i] < 0)
            continue;
        unlinkat(c->parents[i], c->name, AT_REMOVEDIR);
        unlinkat(c->parents[i], "../crannog", AT_REMOVEDIR); /* refused while there are others */
        sys_close_fd(&c->groups[i]);
        sys_close_fd(&c->parents[i]);
    }
}

static void sweep_folder(int parent)
{
    int fd = open_folder(parent, ".");
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d)
        sys_close_fd(&fd);
    for (const struct dirent *e; d && (e = readdir(d));) {
        int pid = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? atoi(e->d_name) : 0;
        if (pid > 0 && kill(pid, 0) < 0 && errno == ESRCH)
            unlinkat(parent, e->d_name, AT_REMOVEDIR); /* one that still holds processes stays */
    }
    if (d)
        closedir(d);
}

void cgroups_sweep(const struct cgroups *c)
{
    struct stat st;
    for (size_t i = 0; i < CGROUP_KINDS; i++) {
        if (c->parents[i] < 0 || fstat(c->parents[i], &st) < 0 || st.st_nlink <= 3) /* two of its own, and our group */
            continue;
        if (st.st_nlink <= SWEEP_FEW || getpid() % SWEEP_EVERY == 0) /* where there are many, not each looks at all */
            sweep_folder(c->parents[i]);
    }
}
