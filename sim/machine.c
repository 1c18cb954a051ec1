#include "sim/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sim/internal.h"

static struct sim_world *world;

/* ---- clocks and randomness ---- */

void sim_clock_pass(struct sim_world *w, int64_t ns)
{
    w->h.boot_ns += ns > 0 ? ns : 0;
}

void sim_clock_set(struct sim_world *w, int64_t now_ms)
{
    w->h.real_ns = now_ms * 1000000 - w->h.boot_ns;
}

int64_t sim_clock_now_ms(const struct sim_world *w)
{
    return (w->h.real_ns + w->h.boot_ns) / 1000000;
}

int64_t sim_clock_boottime_ns(const struct sim_world *w)
{
    return w->h.boot_ns;
}

static void look(struct sim_world *w)
{
    if (sim_process) /* the harness' own looks cost nothing */
        w->h.boot_ns += 1000 + (int64_t)sim_rand_below(&w->h.clock, 49000);
}

int64_t sim_clock_look_ms(struct sim_world *w)
{
    look(w);
    return sim_clock_now_ms(w);
}

void sim_machine_random(struct sim_world *w, void *p, size_t n)
{
    sim_rand_fill(&w->h.machine, p, n);
}

static int64_t machine_now_ms(void)
{
    return sim_clock_look_ms(world);
}

static int64_t machine_boottime_ns(void)
{
    look(world);
    return world->h.boot_ns;
}

static int machine_random(void *p, size_t n)
{
    if (sim_op(world, SIM_OP_RANDOM, n) < 0)
        return -1;
    sim_machine_random(world, p, n);
    return 0;
}

static int machine_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    if (timeout_ms < 0) {
        fprintf(stderr, "simulated poll without a timeout would wait forever\n");
        abort();
    }
    if (sim_op(world, SIM_OP_WAIT, (uint64_t)timeout_ms) < 0)
        return -1;
    for (nfds_t i = 0; i < n; i++)
        fds[i].revents = 0;
    sim_clock_pass(world, (int64_t)timeout_ms * 1000000);
    sim_op_done(world);
    return 0;
}

/* ---- files ---- */

static int machine_openat(int dir, const char *path, int flags, mode_t mode)
{
    return sim_open(world, dir, path, flags, mode);
}

static int machine_close(int fd)
{
    return fd < SIM_FD_BASE ? close(fd) : sim_close(world, fd);
}

static ssize_t machine_read(int fd, void *p, size_t n)
{
    return fd < SIM_FD_BASE ? read(fd, p, n) : sim_read(world, fd, p, n);
}

static ssize_t machine_write(int fd, const void *p, size_t n)
{
    return fd < SIM_FD_BASE ? write(fd, p, n) : sim_write(world, fd, p, n);
}

static ssize_t machine_pread(int fd, void *p, size_t n, off_t at)
{
    return fd < SIM_FD_BASE ? pread(fd, p, n, at) : sim_pread(world, fd, p, n, at);
}

static int machine_ftruncate(int fd, off_t n)
{
    return sim_truncate(world, fd, n);
}

static int lie(enum sim_op_kind kind)
{
    if (sim_op(world, kind, 0) < 0)
        return -1;
    sim_op_done(world);
    return 0;
}

static bool is_file(int fd)
{
    unsigned inode = sim_disk_inode(world, fd);
    return inode && world->h.inodes[inode].kind == SIM_FILE;
}

static int machine_fsync(int fd)
{
    return world->h.bugs & SIM_BUG_SYS_SYNC && is_file(fd) ? lie(SIM_OP_SYNC) : sim_sync(world, fd);
}

static int machine_syncfs(int fd)
{
    return world->h.bugs & SIM_BUG_SYS_SYNC ? lie(SIM_OP_SYNC_ALL) : sim_sync_all(world, fd);
}

static int machine_fstatat(int dir, const char *path, struct stat *st, int flags)
{
    return sim_stat(world, dir, path, st, flags);
}

static int machine_mkdirat(int dir, const char *path, mode_t mode)
{
    return sim_mkdir(world, dir, path, mode);
}

static int machine_unlinkat(int dir, const char *path, int flags)
{
    return sim_unlink(world, dir, path, flags);
}

static int machine_renameat2(int olddir, const char *old, int newdir, const char *new, unsigned flags)
{
    return sim_rename(world, olddir, old, newdir, new, flags);
}

static int machine_fallocate(int fd, int mode, off_t at, off_t n)
{
    return sim_fallocate(world, fd, mode, at, n);
}

static int machine_flock(int fd, int op)
{
    return sim_flock(world, fd, op);
}

/* ---- what is not simulated ---- */

static _Noreturn void absent(const char *what)
{
    fprintf(stderr, "the simulated machine has no %s: the harness must bring its own\n", what);
    abort();
}

static int machine_socketpair(int domain, int type, int protocol, int fds[2])
{
    (void)domain, (void)type, (void)protocol, (void)fds;
    absent("socketpair");
}

static ssize_t machine_sendmsg(int fd, const struct msghdr *m, int flags)
{
    (void)fd, (void)m, (void)flags;
    absent("sendmsg");
}

static ssize_t machine_recvmsg(int fd, struct msghdr *m, int flags)
{
    (void)fd, (void)m, (void)flags;
    absent("recvmsg");
}

static int machine_spawn(const char *path, char *const argv[], char *const env[], const int *fds, size_t n, pid_t *ret)
{
    (void)path, (void)argv, (void)env, (void)fds, (void)n, (void)ret;
    absent("spawn");
}

static pid_t machine_waitpid(pid_t pid, int *status, int flags)
{
    (void)pid, (void)status, (void)flags;
    absent("waitpid");
}

static int machine_kill(pid_t pid, int sig)
{
    (void)pid, (void)sig;
    absent("kill");
}

static __attribute__((noreturn)) void machine_die(int status)
{
    fflush(NULL);
    _exit(status);
}

static void *machine_realloc(void *p, size_t n)
{
    return realloc(p, n);
}

static void machine_free(void *p)
{
    free(p);
}

static const struct sys machine = {
    .realloc = machine_realloc, .free = machine_free,
    .openat = machine_openat, .close = machine_close, .read = machine_read, .write = machine_write,
    .pread = machine_pread, .ftruncate = machine_ftruncate, .fsync = machine_fsync, .syncfs = machine_syncfs,
    .fstatat = machine_fstatat, .mkdirat = machine_mkdirat, .unlinkat = machine_unlinkat,
    .renameat2 = machine_renameat2, .fallocate = machine_fallocate, .flock = machine_flock,
    .now_ms = machine_now_ms, .boottime_ns = machine_boottime_ns, .random = machine_random,
    .socketpair = machine_socketpair, .sendmsg = machine_sendmsg, .recvmsg = machine_recvmsg, .poll = machine_poll,
    .spawn = machine_spawn, .waitpid = machine_waitpid, .kill = machine_kill, .die = machine_die,
};

const struct sys *sim_machine_sys(struct sim_world *w)
{
    world = w;
    return &machine;
}
