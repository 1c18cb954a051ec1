#include "door/net.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/sys.h"

enum { EVENTS = 256, WAIT_MAX_MS = 3600 * 1000 };

/* What an epoll event is about: the low half a socket, above it one of these. */
enum owner { OWNER_HTTP = 0, OWNER_HTTPS, OWNER_ENGINE, OWNER_NAMES };

static uint64_t tag(enum owner owner, int fd)
{
    return (uint64_t)owner << 32 | (uint32_t)fd;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *known)
{
    (void)easy;
    struct net_multi *m = ctx;
    struct epoll_event ev = {.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u),
                             .data.u64 = tag(m->tls ? OWNER_HTTPS : OWNER_HTTP, fd)};
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(*m->epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    if (epoll_ctl(*m->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev) < 0 && errno == ENOENT)
        epoll_ctl(*m->epoll, EPOLL_CTL_ADD, fd, &ev);
    curl_multi_assign(m->multi, fd, m);
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *ctx)
{
    (void)multi;
    struct net_multi *m = ctx;
    m->timer_ns = ms < 0 ? -1 : sys->boottime_ns() + (int64_t)ms * 1000000;
    return 0;
}

static bool set_up(struct net_multi *m, bool tls, int *epoll)
{
    *m = (struct net_multi){.multi = curl_multi_init(), .epoll = epoll, .timer_ns = -1, .tls = tls};
    CURLM *c = m->multi;
    if (!c)
        return false;
    bool well = curl_multi_setopt(c, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
                curl_multi_setopt(c, CURLMOPT_SOCKETDATA, m) == CURLM_OK &&
                curl_multi_setopt(c, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
                curl_multi_setopt(c, CURLMOPT_TIMERDATA, m) == CURLM_OK &&
                curl_multi_setopt(c, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX) == CURLM_OK &&
                curl_multi_setopt(c, CURLMOPT_MAXCONNECTS, (long)NET_IDLE_MAX) == CURLM_OK;
    return well && (!tls || curl_multi_setopt(c, CURLMOPT_MAX_HOST_CONNECTIONS, (long)NET_HOST_MAX) == CURLM_OK);
}

static bool watch(int epoll, int op, int fd, enum owner owner, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.u64 = tag(owner, fd)};
    return epoll_ctl(epoll, op, fd, &ev) == 0;
}

enum err net_open(struct net *n, int engine_fd, int names_fd, struct error *e)
{
    *n = (struct net){.epoll = epoll_create1(EPOLL_CLOEXEC)};
    if (n->epoll < 0 || !watch(n->epoll, EPOLL_CTL_ADD, engine_fd, OWNER_ENGINE, EPOLLIN) ||
        !watch(n->epoll, EPOLL_CTL_ADD, names_fd, OWNER_NAMES, EPOLLIN))
        return error_errno(e, errno, "cannot watch descriptors");
    for (int i = 0; i < 2; i++)
        if (!set_up(&n->multis[i], i == 1, &n->epoll))
            return error_set(e, ERR_MEMORY, "libcurl could not be set up");
    return OK;
}

void net_close(struct net *n)
{
    for (int i = 0; i < 2; i++)
        curl_multi_cleanup(n->multis[i].multi);
    sys_close_fd(&n->epoll);
}

void net_watch(struct net *n, int engine_fd, bool in, bool out)
{
    watch(n->epoll, EPOLL_CTL_MOD, engine_fd, OWNER_ENGINE, (in ? EPOLLIN : 0u) | (out ? EPOLLOUT : 0u));
}

bool net_add(struct net *n, CURL *easy, bool tls)
{
    return curl_multi_add_handle(n->multis[tls].multi, easy) == CURLM_OK;
}

void net_remove(struct net *n, CURL *easy, bool tls)
{
    curl_multi_remove_handle(n->multis[tls].multi, easy);
}

/* ---- waiting ---- */

static int timeout_of(const struct net *n, int64_t until_ns)
{
    for (int i = 0; i < 2; i++)
        if (n->multis[i].timer_ns >= 0 && (until_ns < 0 || n->multis[i].timer_ns < until_ns))
            until_ns = n->multis[i].timer_ns;
    if (until_ns < 0)
        return -1;
    int64_t left = until_ns - sys->boottime_ns();
    int64_t ms = left <= 0 ? 0 : (left + 999999) / 1000000;
    return ms > WAIT_MAX_MS ? WAIT_MAX_MS : (int)ms;
}

static unsigned handle(struct net *n, const struct epoll_event *ev)
{
    enum owner owner = (enum owner)(ev->data.u64 >> 32);
    int running, fd = (int)(uint32_t)ev->data.u64;
    if (owner == OWNER_NAMES)
        return NET_NAMES;
    if (owner == OWNER_ENGINE)
        return (ev->events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? NET_ENGINE : 0u) |
               (ev->events & (EPOLLOUT | EPOLLHUP | EPOLLERR) ? NET_ENGINE_OUT : 0u);
    int how = (ev->events & EPOLLIN ? CURL_CSELECT_IN : 0) | (ev->events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
              (ev->events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    curl_multi_socket_action(n->multis[owner].multi, fd, how, &running);
    return 0;
}

unsigned net_wait(struct net *n, int64_t until_ns)
{
    struct epoll_event events[EVENTS];
    unsigned seen = 0;
    int got = epoll_wait(n->epoll, events, EVENTS, timeout_of(n, until_ns));
    for (int i = 0; i < got; i++)
        seen |= handle(n, &events[i]);
    for (int i = 0; i < 2; i++) {
        struct net_multi *m = &n->multis[i];
        int running;
        if (m->timer_ns < 0 || m->timer_ns > sys->boottime_ns())
            continue;
        m->timer_ns = -1; /* libcurl says anew when */
        curl_multi_socket_action(m->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    return seen;
}

CURL *net_ended(struct net *n, CURLcode *ret)
{
    for (int i = 0; i < 2; i++) {
        int left;
        for (struct CURLMsg *m; (m = curl_multi_info_read(n->multis[i].multi, &left));)
            if (m->msg == CURLMSG_DONE) {
                *ret = m->data.result;
                return m->easy_handle;
            }
    }
    return NULL;
}
