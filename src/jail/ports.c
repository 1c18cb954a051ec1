#include "jail/ports.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sys.h"

enum { EVENTS = 64, ROUNDS = 4, ACCEPTS = 16, OTHER_FDS = 64 };
/* What an event is about: the kind, which end of it, and its place; of a connection, its id. */
enum { LISTENS, LIVES, CONNECTED };
enum { CAME, WANTED }; /* the sides of a connection */

struct ports_offer {
    bool used;
    uint16_t port;
    int fds[2], life; /* -1 where there is none */
};

struct end {
    int fd;
    uint32_t waits;  /* events that it is watched for; 0: not watched */
    bool ended;      /* nothing more can be read from it, */
    bool passed;     /* and the other side knows */
    char *left;      /* read from it, not yet written to the other side: PORTS_CHUNK bytes, or NULL */
    size_t at, n;    /* of them these are left */
};

struct ports_connection {
    enum { FREE, ASKED, DIALS, OPEN } state;
    uint32_t id;
    unsigned offer;
    bool six;
    struct end ends[2];
};

static uint64_t name_of(unsigned kind, unsigned side, size_t place)
{
    return (uint64_t)kind << 40 | (uint64_t)side << 32 | place;
}

static void watch(struct ports *p, int fd, uint32_t *had, uint32_t wants, uint64_t name)
{
    struct epoll_event ev = {.events = wants, .data.u64 = name};
    if (*had != wants)
        (void)epoll_ctl(p->epoll, !wants ? EPOLL_CTL_DEL : *had ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev);
    *had = wants;
}

/* Out of the set by hand: somebody else may hold the same socket open. */
static void shut(struct ports *p, int *fd)
{
    if (*fd >= 0)
        (void)epoll_ctl(p->epoll, EPOLL_CTL_DEL, *fd, NULL);
    sys_close_fd(fd);
}

enum err ports_begin(struct ports *p, struct error *e)
{
    struct rlimit files;
    p->offers = sys->realloc(NULL, PORTS_OFFERS_MAX * sizeof *p->offers);
    p->connections = sys->realloc(NULL, PORTS_CONNECTIONS_MAX * sizeof *p->connections);
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!p->offers || !p->connections || p->epoll < 0 || getrlimit(RLIMIT_NOFILE, &files) < 0)
        return error_set(e, ERR_MEMORY, "no memory for the ports of a service");
    memset(p->offers, 0, PORTS_OFFERS_MAX * sizeof *p->offers);
    memset(p->connections, 0, PORTS_CONNECTIONS_MAX * sizeof *p->connections);
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) < 0 && getrlimit(RLIMIT_NOFILE, &files) < 0)
        return error_errno(e, errno, "cannot raise the limit of open files");
    rlim_t room = files.rlim_cur > 2 * OTHER_FDS ? (files.rlim_cur - OTHER_FDS) / 4 : 1; /* two each; listeners and what is on its way */
    p->most = room < PORTS_CONNECTIONS_MAX ? (unsigned)room : PORTS_CONNECTIONS_MAX;
    return OK;
}

/* ---- connections ---- */

static struct ports_connection *find(struct ports *p, uint32_t id)
{
    struct ports_connection *c = &p->connections[id % PORTS_CONNECTIONS_MAX];
    return c->state != FREE && c->id == id ? c : NULL;
}

static void take_in(struct ports *p, bool yes)
{
    for (unsigned i = 0; i < PORTS_OFFERS_MAX; i++)
        for (unsigned k = 0; p->offers[i].used && k < 2; k++) {
            uint32_t had = yes ? 0 : EPOLLIN;
            if (p->offers[i].fds[k] >= 0)
                watch(p, p->offers[i].fds[k], &had, yes ? EPOLLIN : 0, name_of(LISTENS, k, i));
        }
    p->full = !yes;
}

/* R1: who is too many is not accepted; they wait in the queue of the listener. */
static void settle(struct ports *p)
{
    bool full = p->n >= p->most || p->asked >= PORTS_ASKED_MAX;
    if (full != p->full)
        take_in(p, !full);
}

static void drop(struct ports *p, struct ports_connection *c)
{
    p->asked -= c->state == ASKED;
    p->n--;
    for (unsigned i = 0; i < 2; i++) {
        shut(p, &c->ends[i].fd);
        sys->free(c->ends[i].left);
    }
    *c = (struct ports_connection){.state = FREE};
    settle(p);
}

static bool ask(struct ports *p, struct ports_connection *c, bool six)
{
    p->asked += c->state != ASKED;
    c->state = ASKED;
    c->six = six;
    return p->ask(p->ctx, c->id, p->offers[c->offer].port, six);
}

static void begin(struct ports *p, unsigned offer, int fd)
{
    uint32_t place = 0;
    while (p->connections[place].state != FREE) /* there is a free one: `most` */
        place++;
    struct ports_connection *c = &p->connections[place];
    *c = (struct ports_connection){.id = (p->turn++ % (UINT32_MAX / PORTS_CONNECTIONS_MAX)) * PORTS_CONNECTIONS_MAX + place, .offer = offer,
                                   .ends = {{.fd = fd}, {.fd = -1}}};
    p->n++;
    if (!ask(p, c, false))
        drop(p, c);
}

/* Programs listen at one of the two: `localhost` means either. */
static void refused(struct ports *p, struct ports_connection *c)
{
    shut(p, &c->ends[WANTED].fd);
    c->ends[WANTED] = (struct end){.fd = -1};
    if (c->six || !ask(p, c, true))
        drop(p, c);
}

void ports_connected(struct ports *p, uint32_t id, int fd)
{
    struct ports_connection *c = find(p, id);
    if (!c || c->state != ASKED) { /* it has gone meanwhile */
        sys_close_fd(&fd);
        return;
    }
    if (fd < 0) {
        refused(p, c);
        return;
    }
    p->asked--;
    c->state = DIALS;
    c->ends[WANTED].fd = fd;
    watch(p, fd, &c->ends[WANTED].waits, EPOLLOUT, name_of(CONNECTED, WANTED, id));
    settle(p);
}

/* ---- copying ---- */

/* Writes what is held; false: the other side is gone. */
static bool write_left(struct end *from, const struct end *to)
{
    ssize_t n = send(to->fd, from->left + from->at, from->n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    from->at += (size_t)n;
    from->n -= (size_t)n;
    if (!from->n) {
        sys->free(from->left);
        from->left = NULL;
    }
    return true;
}

static bool write_new(struct end *from, const struct end *to, const char *bytes, size_t n)
{
    ssize_t sent = send(to->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        return false;
    size_t done = sent < 0 ? 0 : (size_t)sent;
    if (done == n)
        return true;
    if (!(from->left = sys->realloc(NULL, n - done)))
        return false;
    memcpy(from->left, bytes + done, from->n = n - done);
    from->at = 0;
    return true;
}

/* R2. Copies one way as far as it goes; false: the connection is over. */
static bool copy(struct end *from, const struct end *to)
{
    static char chunk[PORTS_CHUNK];
    if (from->n && !write_left(from, to))
        return false;
    for (int i = 0; i < ROUNDS && !from->n && !from->ended; i++) {
        ssize_t n = recv(from->fd, chunk, sizeof chunk, MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        from->ended = n == 0;
        if (n > 0 && !write_new(from, to, chunk, (size_t)n))
            return false;
    }
    if (from->ended && !from->n && !from->passed) {
        from->passed = true;
        return shutdown(to->fd, SHUT_WR) == 0;
    }
    return true;
}

static void move(struct ports *p, struct ports_connection *c)
{
    struct end *a = &c->ends[CAME], *b = &c->ends[WANTED];
    if (!copy(a, b) || !copy(b, a) || (a->passed && b->passed)) {
        drop(p, c);
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        struct end *it = &c->ends[i], *other = &c->ends[1 - i];
        uint32_t wants = (!it->ended && !it->n ? (uint32_t)EPOLLIN : 0) | (other->n ? (uint32_t)EPOLLOUT : 0);
        watch(p, it->fd, &it->waits, wants, name_of(CONNECTED, i, c->id));
    }
}

static void dialled(struct ports *p, struct ports_connection *c)
{
    int why = 0;
    socklen_t n = sizeof why;
    if (getsockopt(c->ends[WANTED].fd, SOL_SOCKET, SO_ERROR, &why, &n) < 0 || why) {
        refused(p, c);
        return;
    }
    c->state = OPEN;
    move(p, c);
}

/* ---- offers ---- */

static void withdraw(struct ports *p, unsigned place)
{
    struct ports_offer *o = &p->offers[place];
    for (unsigned i = 0; i < PORTS_CONNECTIONS_MAX; i++)
        if (p->connections[i].state != FREE && p->connections[i].offer == place)
            drop(p, &p->connections[i]);
    shut(p, &o->fds[0]);
    shut(p, &o->fds[1]);
    shut(p, &o->life);
    *o = (struct ports_offer){.used = false};
}

void ports_offer(struct ports *p, uint16_t port, int v4, int v6, int life)
{
    unsigned place = 0;
    uint32_t had[3] = {0};
    while (place < PORTS_OFFERS_MAX && p->offers[place].used)
        place++;
    if (place == PORTS_OFFERS_MAX) { /* who connects there is refused */
        sys_close_fd(&v4);
        sys_close_fd(&v6);
        sys_close_fd(&life);
        return;
    }
    p->offers[place] = (struct ports_offer){.used = true, .port = port, .fds = {v4, v6}, .life = life};
    for (unsigned k = 0; k < 2; k++) {
        int fd = p->offers[place].fds[k];
        if (fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && !p->full)
            watch(p, fd, &had[k], EPOLLIN, name_of(LISTENS, k, place));
    }
    if (life >= 0) { /* a hang-up is always told: nothing has to be asked for, but 0 would mean not watched */
        struct epoll_event ev = {.events = 0, .data.u64 = name_of(LIVES, 0, place)};
        (void)epoll_ctl(p->epoll, EPOLL_CTL_ADD, life, &ev);
    }
}

static void accept_some(struct ports *p, unsigned place, unsigned which)
{
    for (unsigned i = 0; i < ACCEPTS && !p->full && p->offers[place].used && p->offers[place].fds[which] >= 0; i++) {
        int fd = accept4(p->offers[place].fds[which], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        begin(p, place, fd);
        settle(p);
    }
}

/* ---- the whole ---- */

void ports_work(struct ports *p)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(p->epoll, events, EVENTS, 0);
    for (int i = 0; i < n; i++) {
        uint64_t name = events[i].data.u64;
        unsigned kind = (unsigned)(name >> 40), side = (unsigned)(name >> 32) & 0xff;
        uint32_t place = (uint32_t)name;
        struct ports_connection *c = kind == CONNECTED ? find(p, place) : NULL;
        if (kind == LISTENS)
            accept_some(p, place, side);
        else if (kind == LIVES && p->offers[place].used)
            withdraw(p, place);
        else if (c && c->state == DIALS)
            dialled(p, c);
        else if (c && c->state == OPEN)
            move(p, c);
    }
}

void ports_end(struct ports *p)
{
    for (unsigned i = 0; p->offers && p->connections && i < PORTS_OFFERS_MAX; i++)
        if (p->offers[i].used)
            withdraw(p, i);
    sys_close_fd(&p->epoll);
    sys->free(p->offers);
    sys->free(p->connections);
    *p = PORTS_INIT;
}
