/* What the outer process of a jail does for ports that lead out of it, and for a service beside running it. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/sys.h"
#include "jail/internal.h"
#include "wire/frame.h"

void service_init(struct service *s)
{
    *s = (struct service){.engine = -1, .inside = -1, .life = -1, .ports = PORTS_INIT};
}

static bool ask_inside(void *ctx, uint32_t id, uint16_t port, bool six)
{
    const struct service *s = ctx;
    struct dial d = {.word = WORD_DIAL, .six = six, .port = port, .id = id};
    return send(s->inside, &d, sizeof d, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof d;
}

enum err service_begin(struct service *s, struct error *e)
{
    s->ports.ask = ask_inside;
    s->ports.ctx = s;
    s->began_ns = sys->boottime_ns();
    s->look_ns = s->began_ns + SERVICE_LOOK_MS * INT64_C(1000000);
    return ports_begin(&s->ports, e);
}

void service_end(struct service *s)
{
    if (s->ports.epoll >= 0)
        ports_end(&s->ports);
    sys_close_fd(&s->life);
}

/* ---- pid 1 ---- */

void service_look(struct service *s)
{
    char word = WORD_LOOK;
    bool sent = send(s->inside, &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1; /* else the next time */
    s->look_ns = s->up && sent ? 0 : sys->boottime_ns() + SERVICE_LOOK_MS * INT64_C(1000000);
}

static void put_output(struct service *s, struct outgoing *m)
{
    BUF_CLEANUP struct buf all = BUF_INIT(JAIL_OUTPUT_MAX);
    uint64_t dropped;
    if (!s->show)
        return;
    keep_take(s->out, &all, &dropped);
    size_t n = all.n < s->show ? all.n : s->show;
    outgoing_put_large(m, JAIL_OUT, slice_sub(buf_slice(&all), all.n - n, all.n));
    s->show = 0;
}

static void looked(struct service *s, const struct report *r)
{
    OUTGOING_CLEANUP struct outgoing m = outgoing_new();
    bool old_enough = s->plan->nserves || sys->boottime_ns() - s->began_ns >= SERVICE_GRACE_MS * INT64_C(1000000);
    bool up = r->held && old_enough, news = up && !s->up;
    s->up |= up;
    if (!news && !s->asked)
        return;
    message_put_u64(&m.message, JAIL_UP, up);
    message_put_u64(&m.message, JAIL_CPU_NS, r->cpu_ns);
    put_output(s, &m);
    if (s->up)
        s->look_ns = 0;
    s->asked = false;
    if (frame_send(s->engine, JAIL_STATE, 0, &m, NULL) == ERR_GONE)
        sys->die(1);
}

/* Each port of ours as a frame of its own, and a pipe that hangs up when we end. */
static void hand_out(struct service *s, const struct report *r, const int *fds, size_t n)
{
    int life[2] = {-1, -1};
    size_t at = 0;
    if (s->life >= 0 || pipe2(life, O_CLOEXEC) < 0)
        return;
    s->life = life[1];
    for (size_t i = 0; i < s->plan->nlisten && at < n; i++) {
        OUTGOING_CLEANUP struct outgoing m = outgoing_new();
        bool both = (r->held >> i & 1) && at + 1 < n;
        message_put_u64(&m.message, JAIL_PORT, s->plan->listen[i]);
        outgoing_put_fd(&m, JAIL_V4, fds[at]);
        if (both)
            outgoing_put_fd(&m, JAIL_V6, fds[at + 1]);
        outgoing_put_fd(&m, JAIL_LIFE, life[0]);
        at += both ? 2 : 1;
        if (frame_send(s->engine, JAIL_LISTENER, 0, &m, NULL))
            break;
    }
    sys_close_fd(&life[0]);
}

void service_report(struct service *s, const struct report *r, int *fds, size_t n)
{
    if (r->kind == REPORT_LISTENERS)
        hand_out(s, r, fds, n);
    else if (r->kind == REPORT_LOOK && s->plan->service)
        looked(s, r);
    else if (r->kind == REPORT_DIALLED && s->plan->service) {
        ports_connected(&s->ports, (uint32_t)r->held, n ? fds[0] : -1);
        if (n)
            fds[0] = -1;
    }
    for (size_t i = 0; i < n; i++)
        sys_close_fd(&fds[i]);
}

/* ---- the engine ---- */

bool service_hear(struct service *s)
{
    FRAME_CLEANUP struct frame f = FRAME_INIT;
    struct error e = {.code = OK};
    enum err err = frame_receive(s->engine, &f, &e);
    if (err == ERR_GONE)
        sys->die(1); /* and everything inside with us */
    if (err)
        return true;
    if (f.type == JAIL_OFFER) {
        uint64_t port = message_get_u64(f.message, JAIL_PORT, 0);
        ports_offer(&s->ports, (uint16_t)port, frame_take_fd(&f, JAIL_V4), frame_take_fd(&f, JAIL_V6), frame_take_fd(&f, JAIL_LIFE));
    } else if (f.type == JAIL_LOOK) {
        uint64_t show = message_get_u64(f.message, JAIL_SHOW, 0);
        show = show < JAIL_SHOW_MAX ? show : JAIL_SHOW_MAX;
        s->show = show > s->show ? (size_t)show : s->show; /* one that wants none must not take it from who does */
        s->asked = true;
        service_look(s);
    }
    return f.type != JAIL_STOP;
}
