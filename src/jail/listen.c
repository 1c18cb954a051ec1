/* What pid 1 does for ports that lead out of its jail, or into it (jail/ports.h). */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "jail/internal.h"

enum { QUEUE = 128 };

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

static socklen_t loopback(uint16_t port, bool six, union address *ret)
{
    *ret = (union address){.six = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT}};
    if (six)
        return sizeof ret->six;
    *ret = (union address){.four = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}}};
    return sizeof ret->four;
}

static int open_socket(bool six)
{
    return socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int listener(uint16_t port, bool six)
{
    union address to;
    socklen_t n = loopback(port, six, &to);
    int on = 1, fd = open_socket(six);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, &to.any, n) < 0 || listen(fd, QUEUE) < 0)
        sys_close_fd(&fd);
    return fd;
}

bool pass_send(int socket, void *bytes, size_t n, const int *fds, size_t nfds)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(JAIL_PASS_MAX * sizeof(int))];
    } control;
    struct iovec io = {bytes, n};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
    if (nfds) {
        memset(&control, 0, sizeof control);
        m.msg_control = &control;
        m.msg_controllen = CMSG_SPACE(nfds * sizeof *fds);
        control.head = (struct cmsghdr){CMSG_LEN(nfds * sizeof *fds), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.head), fds, nfds * sizeof *fds);
    }
    return sendmsg(socket, &m, MSG_NOSIGNAL) == (ssize_t)n;
}

void report_pass(int socket, const struct report *r, int *fds, size_t n)
{
    struct report copy = *r;
    n = n == 1 && fds[0] < 0 ? 0 : n;
    if (!pass_send(socket, &copy, sizeof copy, fds, n))
        _exit(1);
    for (size_t i = 0; i < n; i++)
        sys_close_fd(&fds[i]);
}

enum err listeners_make(const struct jail_plan *p, int socket, struct error *e)
{
    int fds[2 * JAIL_PORTS_MAX];
    size_t n = 0;
    struct report r = {.kind = REPORT_LISTENERS};
    for (size_t i = 0; i < p->nlisten; i++) {
        uint16_t port = p->listen[i];
        if ((fds[n] = listener(port, false)) < 0)
            return error_errno(e, errno, "cannot listen at the jail's port %u", port);
        if ((fds[++n] = listener(port, true)) >= 0) { /* not everywhere is IPv6 */
            r.held |= UINT64_C(1) << i;
            n++;
        }
    }
    if (n)
        report_pass(socket, &r, fds, n);
    return OK;
}

void dial_answer(int socket, const struct dial *d)
{
    union address to;
    socklen_t n = loopback(d->port, d->six, &to);
    int fd = open_socket(d->six);
    if (fd >= 0 && connect(fd, &to.any, n) < 0 && errno != EINPROGRESS)
        sys_close_fd(&fd);
    report_pass(socket, &(struct report){.kind = REPORT_DIALLED, .held = d->id}, &fd, 1);
}

/* Takes the ports that a table of the kernel's names as listened at off the list. */
static void strike(const char *table, bool *listens, const uint16_t *ports, size_t n)
{
    FILE *f = fopen(table, "re");
    char line[512];
    while (f && fgets(line, sizeof line, f)) {
        unsigned port, state;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x", &port, &state) != 2 || state != 0x0a)
            continue;
        for (size_t i = 0; i < n; i++)
            listens[i] |= ports[i] == port;
    }
    if (f)
        fclose(f);
}

bool listeners_are(const uint16_t *ports, size_t n)
{
    bool listens[JAIL_PORTS_MAX] = {false}, all = true;
    if (n)
        strike("/proc/self/net/tcp", listens, ports, n);
    if (n)
        strike("/proc/self/net/tcp6", listens, ports, n);
    for (size_t i = 0; i < n; i++)
        all &= listens[i];
    return all;
}
