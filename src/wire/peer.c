#include "wire/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"

enum { PATH_MAX_BYTES = 4096 };

/* ---- finding ---- */

/* The folder of the running executable, without the last slash; empty where the system does not say. */
static struct slice own_folder(char *link, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", link, size);
    struct slice path = {link, n > 0 && (size_t)n < size ? (size_t)n : 0};
    size_t last = slice_last_part(path);
    return slice_sub(path, 0, last ? last - 1 : 0);
}

static bool is_program(const char *path)
{
    struct stat st;
    return sys->fstatat(AT_FDCWD, path, &st, 0) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

enum err peer_find(const char *name, struct buf *ret, struct error *e)
{
    char link[PATH_MAX_BYTES];
#ifdef CRANNOG_LIBEXEC
    const struct slice installed = SLICE(CRANNOG_LIBEXEC);
#else
    const struct slice installed = SLICE_NONE;
#endif
    /* Beside us first: a program from a build folder must not start one of another, installed build. */
    const struct slice folders[] = {own_folder(link, sizeof link), installed};
    BUF_CLEANUP struct buf looked = BUF_INIT(2 * PATH_MAX_BYTES);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (folders[i].n == 0)
            continue;
        buf_reset(ret);
        buf_addf(ret, "%.*s/%s", SLICE_ARG(folders[i]), name);
        enum err err = buf_check(ret, "the path of a program", e);
        if (err || is_program(buf_str(ret)))
            return err;
        buf_addf(&looked, "%s%.*s", looked.n ? " and " : "", SLICE_ARG(folders[i]));
    }
    buf_reset(ret);
    return error_set(e, ERR_MISSING, "%s is not in %s; install it beside crannog", name,
                     looked.n ? buf_str(&looked) : "any known folder");
}

/* ---- life ---- */

enum err peer_start(const char *path, char *const argv[], char *const env[], const int *fds, size_t nfds,
                    bool nonblocking, struct peer *ret, struct error *e)
{
    int given[PEER_FDS_MAX + 1], pair[2];
    if (nfds > PEER_FDS_MAX)
        return error_set(e, ERR_LIMIT, "%s: more than %d descriptors to pass", path, PEER_FDS_MAX);
    if (sys->socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
        return error_errno(e, errno, "cannot make a socket for %s", path);
    FD_CLEANUP int ours = pair[0];
    FD_CLEANUP int theirs = pair[1];
    if (nonblocking && fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
        return error_errno(e, errno, "cannot set up the socket of %s", path);
    given[0] = theirs;
    if (nfds)
        memcpy(given + 1, fds, nfds * sizeof *fds);
    pid_t pid;
    if (sys->spawn(path, argv, env, given, nfds + 1, &pid) < 0)
        return error_errno(e, errno, "cannot start %s", path);
    *ret = (struct peer){.pid = pid, .socket = ours};
    ours = -1;
    return OK;
}

static void describe_end(int status, struct buf *ret)
{
    if (WIFSIGNALED(status))
        buf_addf(ret, "killed by signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status) == 127)
        buf_add_text(ret, "exit status 127: the program could not be started");
    else
        buf_addf(ret, "exit status %d", WEXITSTATUS(status));
}

bool peer_ended(struct peer *p, struct buf *ret_how)
{
    if (p->pid == 0) {
        buf_add_text(ret_how, "not running");
        return true;
    }
    int status = 0;
    pid_t got = sys->waitpid(p->pid, &status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR))
        return false;
    if (got < 0)
        buf_add_text(ret_how, "ended; how is not known");
    else
        describe_end(status, ret_how);
    p->pid = 0;
    return true;
}

void peer_kill(struct peer *p)
{
    if (!p)
        return;
    if (p->pid > 0) {
        sys->kill(p->pid, SIGKILL);
        int status;
        while (sys->waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
            continue;
    }
    sys_close_fd(&p->socket);
    *p = PEER_INIT;
}
