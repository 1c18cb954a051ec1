/*
 * The table of system calls that can fail in interesting ways: memory, files, clocks, random, locks, processes,
 * sockets, poll, and the process's own end. Everything above base calls them through `sys`, so a simulation
 * (sim/) can put its own disk and clock there, and a test can make the n-th call fail.
 *
 * Each entry behaves as the call of its name: -1 (or NULL) and errno on failure. EINTR is retried by the helpers
 * below where that is right.
 */
#ifndef CRANNOG_BASE_SYS_H
#define CRANNOG_BASE_SYS_H

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/buf.h"

struct sys {
    void *(*realloc)(void *p, size_t n); /* realloc(NULL, n) allocates */
    void (*free)(void *p);

    int (*openat)(int dir, const char *path, int flags, mode_t mode); /* O_CLOEXEC is always added */
    /* The raw call with O_CLOEXEC added; `resolve` are the RESOLVE_ flags of linux/openat2.h. */
    int (*openat2)(int dir, const char *path, int flags, mode_t mode, uint64_t resolve);
    int (*close)(int fd);
    ssize_t (*read)(int fd, void *p, size_t n);
    ssize_t (*write)(int fd, const void *p, size_t n);
    ssize_t (*pread)(int fd, void *p, size_t n, off_t at);
    ssize_t (*pwrite)(int fd, const void *p, size_t n, off_t at);
    int (*ftruncate)(int fd, off_t n);
    int (*fchmod)(int fd, mode_t mode);
    int (*fchown)(int fd, uid_t uid, gid_t gid);
    int (*fsync)(int fd);
    int (*syncfs)(int fd);
    int (*fstatat)(int dir, const char *path, struct stat *st, int flags);
    ssize_t (*readlinkat)(int dir, const char *path, char *ret, size_t n);
    int (*mkdirat)(int dir, const char *path, mode_t mode);
    int (*symlinkat)(const char *text, int dir, const char *path);
    int (*linkat)(int olddir, const char *old, int newdir, const char *new, int flags);
    int (*mknodat)(int dir, const char *path, mode_t mode, dev_t dev);
    int (*fchmodat)(int dir, const char *path, mode_t mode); /* follows a link: look first */
    int (*utimensat)(int dir, const char *path, const struct timespec times[2], int flags);
    ssize_t (*copy_file_range)(int in, off_t *in_at, int out, off_t *out_at, size_t n);
    int (*unlinkat)(int dir, const char *path, int flags);
    int (*renameat2)(int olddir, const char *old, int newdir, const char *new, unsigned flags);
    int (*fallocate)(int fd, int mode, off_t at, off_t n);
    int (*flock)(int fd, int op);

    int64_t (*now_ms)(void);      /* CLOCK_REALTIME, milliseconds since the epoch */
    int64_t (*boottime_ns)(void); /* CLOCK_BOOTTIME: goes on through sleep, never steps back */
    int (*random)(void *p, size_t n); /* fills all of it, or -1 */

    int (*socketpair)(int domain, int type, int protocol, int fds[2]);
    ssize_t (*sendmsg)(int fd, const struct msghdr *m, int flags);
    ssize_t (*recvmsg)(int fd, struct msghdr *m, int flags);
    int (*poll)(struct pollfd *fds, nfds_t n, int timeout_ms);
    /* Starts a program: argv[0] is looked up as a path, the environment is exactly `env`, fds[i] becomes descriptor
       3 + i and nothing else but 1 and 2 is inherited; 0 is /dev/null. The child gets SIGKILL when the calling thread
       ends. What fails after the fork (the program is missing, say) shows as exit status 127. */
    int (*spawn)(const char *path, char *const argv[], char *const env[], const int *fds, size_t nfds, pid_t *ret);
    pid_t (*waitpid)(pid_t pid, int *status, int flags);
    int (*kill)(pid_t pid, int sig);
    __attribute__((noreturn)) void (*die)(int status); /* ends the process without flushing or unwinding */
};

extern const struct sys sys_real;
extern const struct sys *sys; /* &sys_real unless a test or the simulation set it, before threads start */

/*
 * Fault injection: after this, the n-th call (from 1) of any fallible entry of sys_real fails with `errnum` and does
 * nothing; n = 0 puts sys_real back. sys_calls() says how many fallible calls have been made since. `mask` picks
 * what counts.
 */
enum sys_fault_kind { SYS_FAULT_MEMORY = 1, SYS_FAULT_FILE = 2, SYS_FAULT_PROCESS = 4, SYS_FAULT_ALL = 7 };
void sys_fail_nth(unsigned n, int errnum, unsigned mask);
unsigned sys_calls(void);

/* ---- helpers over the table ---- */

/* Closes if >= 0; keeps errno. For __attribute__((cleanup)). */
void sys_close_fd(int *fd);
#define FD_CLEANUP __attribute__((cleanup(sys_close_fd)))

/* Writes all bytes or fails; short writes are continued. */
enum err MUST_USE sys_write_all(int fd, struct slice s, const char *what, struct error *e);
/* Reads the whole file, ERR_LIMIT if it is larger than what `ret` may hold. Appends to ret. */
enum err MUST_USE sys_read_file(int dir, const char *path, struct buf *ret, struct error *e);
/* Creates or replaces a small file so that a crash leaves the old or the new one: temporary, fsync, rename, fsync of
   the folder. */
enum err MUST_USE sys_replace_file(int dir, const char *path, struct slice text, mode_t mode, struct error *e);
/* A sealed, read-only memfd with these bytes (for sending by descriptor), or -1 and errno. */
int sys_memfd(const char *name, struct slice bytes);
/* mkdir that does not mind if it is there; makes missing parents. */
enum err MUST_USE sys_mkdirs(const char *path, mode_t mode, struct error *e);

#endif
