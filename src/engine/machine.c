#include "engine/machine.h"

#include <fcntl.h>

#include "base/sys.h"
#include "engine/service.h"

/* What can be done while the others work, so that it is not in the way of what follows from their end. */
static void use_the_wait(struct machine *m)
{
    layer_sweep_litter(m);
    if (!m->door.pid) /* whom a model answers, that one has a tool to run */
        return;
    if (!m->ready.pid)
        (void)!jail_ready(buf_str(&m->jail_path), SLICE_NONE, &m->ready, NULL);
    if (m->begun.pid && !slice_eq(buf_slice(&m->begun_with), buf_slice(&m->begins)))
        jail_unready(&m->begun);
    if (!m->begun.pid && m->begins.n) {
        buf_reset(&m->begun_with);
        buf_add(&m->begun_with, buf_slice(&m->begins));
        (void)!jail_ready(buf_str(&m->jail_path), buf_slice(&m->begun_with), &m->begun, NULL);
    }
}

static size_t machine_watch(struct engine *g, struct pollfd *fds, size_t max, int64_t *timeout_ms)
{
    struct machine *m = g->acts.ctx;
    size_t n = 0;
    int64_t settle_ms = m->nqueue ? tool_settle_ms(m) : 0;
    if (!g->ndone && *timeout_ms > 0)
        use_the_wait(m);
    tool_cool(m, timeout_ms);
    if (settle_ms && settle_ms < *timeout_ms)
        *timeout_ms = settle_ms;
    if (m->infer.pid && n < max)
        fds[n++] = (struct pollfd){.fd = m->infer.socket, .events = POLLIN};
    if (m->door.pid && n < max)
        fds[n++] = (struct pollfd){.fd = m->door.socket, .events = POLLIN};
    for (size_t i = 0; i < MACHINE_JOBS_MAX && n < max; i++)
        if (m->jails[i].peer.pid)
            fds[n++] = (struct pollfd){.fd = m->jails[i].peer.socket, .events = POLLIN};
    return n + services_watch(g, fds + n, max - n, timeout_ms);
}

static void machine_collect(struct engine *g, const struct pollfd *fds, size_t n)
{
    struct machine *m = g->acts.ctx;
    for (size_t k = 0; k < n; k++) {
        if (!fds[k].revents || services_collect(g, fds[k].fd))
            continue;
        if (m->infer.pid && fds[k].fd == m->infer.socket)
            model_collect(g);
        if (m->door.pid && fds[k].fd == m->door.socket)
            think_collect(g);
        for (size_t i = 0; i < MACHINE_JOBS_MAX; i++)
            if (m->jails[i].peer.pid && fds[k].fd == m->jails[i].peer.socket) {
                tool_collect(g, &m->jails[i]);
                break;
            }
    }
    services_due(g);
    tool_start_queued(g);
}

static void machine_end(struct engine *g)
{
    struct machine *m = g->acts.ctx;
    peer_kill(&m->infer);
    peer_kill(&m->door);
    jail_unready(&m->ready);
    jail_unready(&m->begun);
    jail_unready(&m->warm);
    buf_release(&m->begun_with);
    buf_release(&m->begins);
    for (size_t i = 0; i < m->nthinks; i++)
        if (m->thinks[i].id && !m->thinks[i].sent)
            outgoing_release(&m->thinks[i].out);
    sys->free(m->thinks);
    m->thinks = NULL;
    m->nthinks = 0;
    sys->free(m->queue);
    m->queue = NULL;
    m->nqueue = m->cap_queue = 0;
    services_kill(m);
    for (size_t i = 0; i < MACHINE_JOBS_MAX; i++) {
        tool_drop(m, &m->jails[i]);
        if (m->calls[i].id && !m->calls[i].sent)
            outgoing_release(&m->calls[i].out);
        m->calls[i].id = 0;
    }
}

enum err machine_open(struct machine *m, const char *model_file, const char *state, struct act_table *ret, struct error *e)
{
    *m = (struct machine){.jail_path = BUF_INIT(4096), .infer_path = BUF_INIT(4096), .meter_path = BUF_INIT(4096),
                          .model_file = model_file, .state = state, .infer = PEER_INIT, .door = PEER_INIT, .ready = PEER_INIT, .begun = PEER_INIT, .warm = PEER_INIT, .begun_with = BUF_INIT(JAIL_PLAN_MAX), .begins = BUF_INIT(JAIL_PLAN_MAX), .threads = 2, .next_id = 1, .layers = -1};
    for (size_t i = 0; i < MACHINE_JOBS_MAX; i++)
        m->jails[i].peer = PEER_INIT;
    for (size_t i = 0; i < MACHINE_SERVICES_MAX; i++)
        m->services[i] = (struct service_jail){.peer = PEER_INIT};
    enum err err = peer_find("crannog-jail", &m->jail_path, e);
    if (!err)
        err = peer_find("crannog-infer", &m->infer_path, e);
    *ret = (struct act_table){
        .rows = {[ACT_TOOL] = &act_tool, [ACT_MODEL] = &act_model, [ACT_MEASURE] = &act_measure, [ACT_LANDING] = &act_landing,
                 [ACT_THINK] = &act_think},
        .ctx = m, .watch = machine_watch, .collect = machine_collect, .close = machine_end,
        .settle = services_settle, .open_service = service_open, .end_service = service_end};
    return err;
}

void machine_close(struct machine *m)
{
    layer_sweep_litter(m);
    sys_close_fd(&m->layers);
    if (m->meter_path.n)
        sys->unlinkat(AT_FDCWD, buf_str(&m->meter_path), 0);
    buf_release(&m->meter_path);
    buf_release(&m->jail_path);
    buf_release(&m->infer_path);
}

void machine_take_door(struct machine *m, struct peer *door)
{
    if (m->door.pid)
        peer_kill(door);
    else
        m->door = *door;
    *door = PEER_INIT;
}
