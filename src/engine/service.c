#include "engine/service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "engine/act_call.h"
#include "jail/client.h"

static const int64_t MS_NS = 1000000;
enum { SERVICE_ATTEMPTS = 1 << 20 }; /* their folders are named as attempts of the step that declared them, past any real one */

/* ---- places ---- */

static bool is_place_of(const struct service_jail *s, uint64_t run, struct slice name)
{
    return s->run == run && slice_is(name, s->name);
}

/* The one that runs for a declaration, else the one that is remembered. */
static struct service_jail *find(const struct machine *m, uint64_t run, struct slice name, uint32_t step)
{
    const struct service_jail *last = NULL;
    for (size_t i = 0; i < MACHINE_SERVICES_MAX; i++) {
        const struct service_jail *s = &m->services[i];
        if (!is_place_of(s, run, name) || s->step != step)
            continue;
        if (s->peer.pid)
            return (struct service_jail *)(uintptr_t)s;
        last = s;
    }
    return (struct service_jail *)(uintptr_t)last;
}

static bool lives(const struct service_jail *s)
{
    return s && s->peer.pid && !s->by;
}

static void clear(struct service_jail *s)
{
    buf_release(&s->tail);
    *s = (struct service_jail){.peer = PEER_INIT, .tail = BUF_INIT(SERVICE_SHOWN_BYTES + 1)};
}

/* Its own remembered place, a free one, or one that is only remembered. */
static struct service_jail *take_place(struct machine *m, uint64_t run, struct slice name, uint32_t step)
{
    struct service_jail *free_one = NULL, *own = find(m, run, name, step);
    size_t of_run = 0, alive = 0;
    for (size_t i = 0; i < MACHINE_SERVICES_MAX; i++) {
        struct service_jail *s = &m->services[i];
        of_run += s->run == run && s->peer.pid;
        alive += s->run == run && lives(s);
        if (!s->peer.pid && (!free_one || (free_one->run && !s->run)))
            free_one = s;
    }
    struct service_jail *s = own && !own->peer.pid ? own : free_one;
    return alive < RUN_SERVICES_MAX && of_run < 2 * RUN_SERVICES_MAX ? s : NULL; /* those that are ending count to that */
}

static void keep_tail(struct service_jail *s, struct slice out)
{
    buf_reset(&s->tail);
    buf_add(&s->tail, out.n > SERVICE_SHOWN_BYTES ? slice_sub(out, out.n - SERVICE_SHOWN_BYTES, out.n) : out);
}

/* ---- starting ---- */

static bool has_port(const struct service *s, uint16_t port)
{
    for (size_t i = 0; i < s->nports; i++)
        if (s->ports[i] == port)
            return true;
    return false;
}

bool services_join(const struct run_state *r, struct arena *a, struct jail_plan *ret)
{
    ret->listen = arena_array(a, (size_t)RUN_SERVICES_MAX * SERVICE_PORTS_MAX, sizeof *ret->listen);
    for (size_t i = 0; ret->listen && i < r->nservices; i++)
        for (size_t k = 0; k < r->services[i].nports; k++)
            ret->listen[ret->nlisten++] = r->services[i].ports[k];
    return ret->listen;
}

/* Those of the others: it may itself want a database. */
static bool join_others(const struct run_state *r, const struct service *d, struct arena *a, struct jail_plan *ret)
{
    size_t n = 0;
    if (!services_join(r, a, ret))
        return false;
    for (size_t i = 0; i < ret->nlisten; i++) {
        const struct service *own = run_service(r, d->name);
        if (!has_port(d, ret->listen[i]) && !(own && has_port(own, ret->listen[i])))
            ret->listen[n++] = ret->listen[i];
    }
    ret->nlisten = n;
    return true;
}

/*
 * What it sees: the work folder as it lies there, so that what lands is seen; where the run has layers that have not landed,
 * these over it, as they are now. One that writes has an upper of its own, which never becomes a layer.
 */
static enum err see(struct machine *m, struct run *r, const struct service *d, struct service_jail *s, struct arena *a, struct place *p,
                    struct error *e)
{
    JSON_CLEANUP struct json *args = json_object();
    struct jail_job job = {.key = {r->state.id, r->state.branch, d->step, SERVICE_ATTEMPTS + ++m->service_turn}, .writes = d->writes};
    if (r->state.copies && d->writes)
        return error_set(e, ERR_UNSUPPORTED, "a service that writes needs overlays, and there are none here");
    if (r->state.copies || (!d->writes && !r->state.nlayers))
        return OK;
    if (p->holds_state && d->writes)
        return error_set(e, ERR_UNSUPPORTED, "a service cannot write where the folder holds its crannog");
    if (p->holds_state)
        return OK;
    layer_put_names(&r->state, args);
    enum err err = layer_see(m, args, &job, a, p, e);
    memcpy(s->layer, job.layer, sizeof s->layer);
    return err;
}

static enum err start_jail(struct engine *g, struct run *r, const struct service *d, struct service_jail *s, struct error *e)
{
    struct machine *m = g->acts.ctx;
    ARENA_CLEANUP struct arena a = ARENA_INIT(64 << 20);
    struct place place;
    struct terms terms;
    struct jail_plan plan;
    struct slice words[3] = {SLICE("/bin/bash"), SLICE("-c"), slice_of(arena_printf(&a, "exec 2>&1\n%.*s", SLICE_ARG(d->run)))};
    char *work = arena_str(&a, r->state.work);
    if (!work || !words[2].p)
        return error_set(e, ERR_MEMORY, "no memory for a service");
    enum err err = place_look(work, m->state, &place, e);
    if (!err && (place.dev != r->state.work_dev || place.ino != r->state.work_ino))
        err = error_set(e, ERR_CONFLICT, "%.160s is not the folder that this run began in", work);
    if (!err)
        err = see(m, r, d, s, &a, &place, e);
    if (err)
        return err;
    err = tool_terms(&r->state, &a, &terms, e);
    place.terms = &terms;
    place.setting = m->setting; /* the same toolchains as a step's */
    err = err ? err : tool_masked(&r->state, &a, &place, e);
    err = err ? err : place_command(&place, words, 3, 0, 0, &a, &plan, e);
    if (err)
        return err;
    plan.limits.output = SERVICE_LOG_BYTES;
    plan.service = true;
    plan.serves = s->ports;
    plan.nserves = s->nports;
    if (d->in.n)
        plan.cwd = slice_of(arena_printf(&a, "%s/%.*s", work, SLICE_ARG(d->in)));
    if (!plan.cwd.p || !join_others(&r->state, d, &a, &plan))
        return error_set(e, ERR_MEMORY, "no memory for a service");
    return jail_start(buf_str(&m->jail_path), &plan, NULL, true, &s->peer, e);
}

static void offer_machine_port(struct service_jail *s, const struct service *d);

/* Starts one in a place, or leaves there why not. */
static struct service_jail *start(struct engine *g, struct run *r, const struct service *d, const struct step_key *tried, struct error *e)
{
    struct machine *m = g->acts.ctx;
    struct service_jail *s = take_place(m, r->state.id, d->name, d->step);
    if (!s) {
        error_set(e, ERR_LIMIT, "there are too many services (%d at once, %d of a run)", MACHINE_SERVICES_MAX, RUN_SERVICES_MAX);
        return NULL;
    }
    clear(s);
    s->run = r->state.id;
    s->step = d->step;
    s->tried = *tried;
    s->began_ns = sys->boottime_ns();
    s->deadline_ns = s->began_ns + SERVICE_UP_MS * MS_NS;
    snprintf(s->name, sizeof s->name, "%.*s", SLICE_ARG(d->name));
    memcpy(s->ports, d->ports, sizeof s->ports);
    s->nports = d->nports;
    s->writes = d->writes;
    if (start_jail(g, r, d, s, e)) {
        snprintf(s->how, sizeof s->how, "could not be started: %.80s", e->text);
        layer_drop(m, s->layer);
        s->layer[0] = '\0';
    } else if (d->opened) {
        offer_machine_port(s, d);
    }
    return s;
}

bool services_used(const struct open_step *o, const struct json *args)
{
    return o->stage == STAGE_EXEC || o->stage == STAGE_VERIFY ||
           (o->stage == STAGE_CALL && slice_is(json_text(json_get(args, "tool")), tool_name(TOOL_BASH)));
}

static bool same_key(const struct step_key *a, const struct step_key *b)
{
    return a->run == b->run && a->step == b->step && a->attempt == b->attempt;
}

bool services_ready(struct engine *g, struct run *r, const struct open_step *o)
{
    const struct machine *m = g->acts.ctx;
    bool ready = true;
    for (size_t i = 0; i < r->state.nservices; i++) {
        const struct service *d = &r->state.services[i];
        struct service_jail *s = find(m, r->state.id, d->name, d->step);
        struct error why = {0};
        if (s && s->peer.pid && s->by) { /* the end of that one comes first, and wakes us */
            ready = false;
            continue;
        }
        bool tried = s && same_key(&s->tried, &o->key);
        if (!lives(s) && !tried && d->falls < SERVICE_FALLS_MAX)
            s = start(g, r, d, &o->key, &why);
        if (lives(s) && !s->up && sys->boottime_ns() < s->deadline_ns)
            ready = false;
    }
    return ready;
}

/* ---- what they are sent ---- */

static void kill_it(struct engine *g, struct service_jail *s);

static bool send_to(const struct service_jail *s, enum jail_frame type, const struct outgoing *o)
{
    return frame_send(s->peer.socket, type, 1, o, NULL) == OK;
}

static void look(const struct service_jail *s, uint64_t show)
{
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    message_put_u64(&o.message, JAIL_SHOW, show);
    (void)send_to(s, JAIL_LOOK, &o);
}

void services_ask(struct machine *m, uint64_t run)
{
    for (size_t i = 0; i < MACHINE_SERVICES_MAX; i++)
        if (m->services[i].run == run && lives(&m->services[i]))
            look(&m->services[i], 0);
}

void service_look(struct machine *m, uint64_t run, struct slice name)
{
    for (size_t i = 0; i < MACHINE_SERVICES_MAX; i++)
        if (is_place_of(&m->services[i], run, name) && lives(&m->services[i])) {
            buf_reset(&m->services[i].tail);
            look(&m->services[i], SERVICE_SHOWN_BYTES);
        }
}

static struct service_jail *at_port(struct machine *m, uint64_t run, uint64_t port)
{
    for (size_t i = 0; i < MACHINE_SERVICES_MAX; i++)
        for (size_t k = 0; m->services[i].run == run && lives(&m->services[i]) && k < m->services[i].nports; k++)
            if (m->services[i].ports[k] == port)
                return &m->services[i];
    return NULL;
}

static void give(const struct service_jail *s, uint64_t port, int v4, int v6, int life)
{
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    message_put_u64(&o.message, JAIL_PORT, port);
    if (v4 >= 0)
        outgoing_put_fd(&o, JAIL_V4, v4);
    if (v6 >= 0)
        outgoing_put_fd(&o, JAIL_V6, v6);
    if (life >= 0)
        outgoing_put_fd(&o, JAIL_LIFE, life);
    (void)send_to(s, JAIL_OFFER, &o);
}

void services_offer(struct machine *m, uint64_t run, struct frame *f)
{
    uint64_t port = message_get_u64(f->message, JAIL_PORT, 0);
    FD_CLEANUP int v4 = frame_take_fd(f, JAIL_V4);
    FD_CLEANUP int v6 = frame_take_fd(f, JAIL_V6);
    FD_CLEANUP int life = frame_take_fd(f, JAIL_LIFE);
    const struct service_jail *s = at_port(m, run, port);
    if (s && life >= 0) /* else nobody holds it: who connects there is refused */
        give(s, port, v4, v6, life);
}

static void stop_it(struct engine *g, struct service_jail *s, const char *by)
{
    s->by = by;
    if (!send_to(s, JAIL_STOP, NULL))
        kill_it(g, s);
}

/* ---- what comes of them ---- */

static void put_how(struct service_jail *s, const struct jail_result *res)
{
    unsigned long long status = res ? res->status : 0;
    if (s->by)
        snprintf(s->how, sizeof s->how, "was stopped%s", strcmp(s->by, "run") == 0 ? " with its run" : "");
    else if (!res)
        snprintf(s->how, sizeof s->how, "its jail died");
    else if (res->how == JAIL_EXITED)
        snprintf(s->how, sizeof s->how, "ended with status %llu%s%.60s", status, *res->why ? ": " : "", res->why);
    else if (res->how == JAIL_SIGNALLED)
        snprintf(s->how, sizeof s->how, "was ended by signal %llu", status);
    else if (res->how == JAIL_DISK || res->how == JAIL_ENTRIES)
        snprintf(s->how, sizeof s->how, "wrote more than its limit and was ended");
    else
        snprintf(s->how, sizeof s->how, "%.110s", *res->why ? res->why : "was ended at a limit");
}

/* The step that waits is answered. */
static void answer(struct engine *g, struct service_jail *s, bool ok)
{
    enum service_wait waits = s->waits;
    struct step_key key = s->waiter;
    struct run *r = engine_find(g, key.run);
    const struct open_step *o = r ? engine_step(r, &key) : NULL;
    struct completion c = {.key = key, .outcome = OUTCOME_OK, .blob = BUF_INIT(BLOB_BYTES_MAX)};
    BUF_CLEANUP struct buf text = BUF_INIT(2 * SERVICE_SHOWN_BYTES);
    struct error e = {0};
    s->waits = WAITS_NOT;
    if (!waits || !o)
        return;
    if (!s->peer.pid)
        buf_addf(&text, "%s %s", s->name, s->how);
    else if (s->up)
        buf_addf(&text, "%s is up%s", s->name, s->nports ? " and listens on localhost" : "");
    else
        buf_addf(&text, "%s runs, but does not listen at all its ports yet", s->name);
    if (s->tail.n)
        buf_addf(&text, "\n%.*s", SLICE_ARG(buf_slice(&s->tail)));
    if (!ok && !s->writes) /* what a request would have to say each time */
        buf_add_text(&text, "\n(it sees the work folder read-only; `writes`: true gives it a copy of its own. /tmp is its own)");
    c.result = json_object();
    if (call_served(g, r, o, buf_slice(&text), ok, &c, &e)) {
        c.outcome = OUTCOME_FAILED;
        snprintf(c.why, sizeof c.why, "%.239s", e.text);
    }
    engine_complete(g, &c);
}

/* Its jail is gone: said to who waits, and an event with what it printed. */
static void ended(struct engine *g, struct service_jail *s, struct jail_result *res)
{
    struct completion c = {.key = {.run = s->run}, .event = EVENT_SERVICE_ENDED, .result = json_object()};
    peer_kill(&s->peer);
    put_how(s, res);
    if (res)
        keep_tail(s, buf_slice(&res->out));
    if (res && res->cpu_ns > s->cpu_ns)
        s->cpu_ns = res->cpu_ns;
    layer_drop(g->acts.ctx, s->layer);
    s->layer[0] = '\0';
    json_put_int(c.result, "v", 0);
    json_put_text(c.result, "name", slice_of(s->name));
    json_put_int(c.result, "declared", s->step);
    json_put_text(c.result, "by", slice_of(s->by ? s->by : "itself"));
    json_put_text(c.result, "how", slice_of(s->how));
    json_put_int(c.result, "lived_ms", (sys->boottime_ns() - s->began_ns) / MS_NS);
    json_put_int(c.result, "cpu_ms", (int64_t)s->cpu_ns / MS_NS);
    if (res && res->out.n) {
        json_put_int(c.result, "dropped", (int64_t)res->out_dropped);
        c.blob = res->out;
        c.blob_key = "log";
        res->out = BUF_INIT(0);
    }
    answer(g, s, s->waits == WAITS_END);
    engine_complete(g, &c);
}

static void kill_it(struct engine *g, struct service_jail *s)
{
    ended(g, s, NULL);
}

static void take_state(struct engine *g, struct service_jail *s, const struct frame *f)
{
    BUF_CLEANUP struct buf out = BUF_INIT(JAIL_SHOW_MAX + 1);
    uint64_t cpu_ns = message_get_u64(f->message, JAIL_CPU_NS, 0);
    bool news = !s->up;
    s->up |= message_get_u64(f->message, JAIL_UP, 0) != 0;
    s->cpu_ns = cpu_ns > s->cpu_ns ? cpu_ns : s->cpu_ns;
    bool shown = frame_large(f, JAIL_OUT, &out, NULL) == OK;
    if (shown)
        keep_tail(s, buf_slice(&out));
    if (s->waits == WAITS_UP && s->up && news)
        answer(g, s, true);
    else if (s->waits == WAITS_OUTPUT && shown)
        answer(g, s, true);
}

static void take_result(struct engine *g, struct service_jail *s, const struct frame *f)
{
    struct jail_result res = {0};
    if (jail_result_parse(f, &res, NULL))
        ended(g, s, NULL);
    else
        ended(g, s, &res);
    jail_result_release(&res);
}

static void collect(struct engine *g, struct service_jail *s)
{
    while (s->peer.pid) {
        FRAME_CLEANUP struct frame f = FRAME_INIT;
        enum err err = frame_receive(s->peer.socket, &f, NULL);
        if (err == ERR_BUSY)
            return;
        if (err)
            ended(g, s, NULL);
        else if (f.type == JAIL_LISTENER)
            services_offer(g->acts.ctx, s->run, &f);
        else if (f.type == JAIL_STATE)
            take_state(g, s, &f);
        else
            take_result(g, s, &f);
    }
}

bool services_collect(struct engine *g, int fd)
{
    struct machine *m = g->acts.ctx;
    for (size_t i = 0; i < MACHINE_SERVICES_MAX; i++)
        if (m->services[i].peer.pid && m->services[i].peer.socket == fd) {
            collect(g, &m->services[i]);
            return true;
        }
    return false;
}

/* ---- their time ---- */

void services_due(struct engine *g)
{
    struct machine *m = g->acts.ctx;
    int64_t now = sys->boottime_ns();
    for (size_t i = 0; i < MACHINE_SERVICES_MAX; i++)
        if (m->services[i].waits == WAITS_UP && now >= m->services[i].deadline_ns)
            answer(g, &m->services[i], true);
}

/* D1. Whether a run may have it still. A person at a terminal who stops an agent stops what it does, and goes on looking at what runs. */
static const char *why_end(const struct run *r, const struct service_jail *s)
{
    const struct service *d = run_service(&r->state, slice_of(s->name));
    const struct talk *t = run_talk(&r->state);
    enum run_status status = r->state.status;
    if (s->waits == WAITS_UP)
        return NULL;
    if (!d || d->step != s->step)
        return "agent";
    bool over = status == RUN_DONE || status == RUN_FAILED || status == RUN_BLOCKED || (status == RUN_STOPPED && !(t && t->attended));
    return over ? "run" : NULL;
}

static void tend(struct engine *g, struct service_jail *s)
{
    struct run *r = engine_find(g, s->run);
    const char *why = r && !r->broken ? why_end(r, s) : NULL;
    if (!r || r->broken)
        peer_kill(&s->peer); /* there is no journal to say it in */
    else if (why && !s->by)
        stop_it(g, s, why);
}

size_t services_watch(struct engine *g, struct pollfd *fds, size_t max, int64_t *timeout_ms)
{
    struct machine *m = g->acts.ctx;
    int64_t now = sys->boottime_ns();
    size_t n = 0;
    for (size_t i = 0; i < MACHINE_SERVICES_MAX; i++) {
        struct service_jail *s = &m->services[i];
        if (s->peer.pid)
            tend(g, s);
        if (!s->peer.pid)
            continue;
        int64_t left_ms = s->up || s->deadline_ns <= now ? *timeout_ms : (s->deadline_ns - now) / MS_NS + 1;
        *timeout_ms = left_ms < *timeout_ms ? left_ms : *timeout_ms;
        if (n < max)
            fds[n++] = (struct pollfd){.fd = s->peer.socket, .events = POLLIN};
    }
    if (g->ndone)
        *timeout_ms = 0;
    return n;
}

bool services_settle(struct engine *g, struct run *r)
{
    struct machine *m = g->acts.ctx;
    bool none = true;
    for (size_t i = 0; i < MACHINE_SERVICES_MAX; i++) {
        struct service_jail *s = &m->services[i];
        if (s->run != r->state.id || !s->peer.pid)
            continue;
        if (!s->by)
            stop_it(g, s, "run");
        none = false;
    }
    return none;
}

void services_kill(struct machine *m)
{
    for (size_t i = 0; i < MACHINE_SERVICES_MAX; i++) {
        peer_kill(&m->services[i].peer);
        layer_drop(m, m->services[i].layer);
        clear(&m->services[i]);
    }
}

uint64_t services_cpu(struct machine *m, uint64_t run, uint64_t room)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < MACHINE_SERVICES_MAX; i++) {
        struct service_jail *s = &m->services[i];
        uint64_t due = s->run == run ? s->cpu_ns - s->settled_ns : 0;
        due = due < room - sum ? due : room - sum;
        s->settled_ns += due;
        sum += due;
    }
    return sum;
}

/* ---- what is said of them ---- */

static void add_end(struct slice text, size_t most, struct buf *out)
{
    text = slice_trim(text);
    buf_add(out, text.n > most ? slice_sub(text, text.n - most, text.n) : text);
    if (text.n)
        buf_add_char(out, '\n');
}

void services_tell(const struct machine *m, const struct run_state *r, struct buf *out)
{
    for (size_t i = 0; i < r->nservices; i++) {
        const struct service *d = &r->services[i];
        const struct service_jail *s = find(m, r->id, d->name, d->step);
        if (lives(s) && s->up)
            continue;
        if (lives(s))
            buf_addf(out, "[the service %s runs, but does not listen at all its ports]\n", s->name);
        else if (d->falls >= SERVICE_FALLS_MAX)
            buf_addf(out, "[the service %.*s does not stay up: it ended %u times in a row and is not started again until it is declared "
                     "anew; it %s]\n", SLICE_ARG(d->name), d->falls, d->why);
        else
            buf_addf(out, "[the service %.*s is not up: it %s]\n", SLICE_ARG(d->name), s ? s->how : "was not started");
        if (s)
            add_end(buf_slice(&s->tail), 1000, out);
    }
}

void service_last(const struct machine *m, const struct run_state *r, struct slice name, struct buf *out)
{
    const struct service *d = run_service(r, name);
    const struct service_jail *s = d ? find(m, r->id, name, d->step) : NULL;
    const char *how = s && *s->how ? s->how : d && *d->why ? d->why : "was not started yet";
    buf_addf(out, "%.*s does not run: it %s. It is started again before the next command\n", SLICE_ARG(name), how);
    if (s)
        add_end(buf_slice(&s->tail), SERVICE_SHOWN_BYTES, out);
}

bool service_state(const struct machine *m, uint64_t run, struct slice name, bool *ret_up, struct slice *ret_tail)
{
    for (size_t i = 0; i < MACHINE_SERVICES_MAX; i++)
        if (is_place_of(&m->services[i], run, name) && lives(&m->services[i])) {
            *ret_up = m->services[i].up;
            *ret_tail = buf_slice(&m->services[i].tail);
            return true;
        }
    return false;
}

/* ---- calls ---- */

static void wait_for(struct service_jail *s, enum service_wait what, const struct open_step *o)
{
    s->waits = what;
    s->waiter = o->key;
}

enum err service_begin(struct engine *g, struct run *r, const struct open_step *o, const struct service *d, struct error *e)
{
    struct machine *m = g->acts.ctx;
    const struct service *old = run_service(&r->state, d->name);
    struct service_jail *before = old ? find(m, r->state.id, old->name, old->step) : NULL;
    struct error why = {0};
    if (lives(before))
        stop_it(g, before, "agent");
    struct service_jail *s = start(g, r, d, &o->key, &why);
    if (!s || !s->peer.pid) {
        if (s)
            s->run = 0;
        return error_set(e, why.code ? why.code : ERR_IO, "%.300s", why.text);
    }
    wait_for(s, WAITS_UP, o);
    return OK;
}

static struct service_jail *running(struct engine *g, struct run *r, struct slice name)
{
    const struct service *d = run_service(&r->state, name);
    struct service_jail *s = d ? find(g->acts.ctx, r->state.id, name, d->step) : NULL;
    return lives(s) && !s->waits ? s : NULL;
}

enum err service_show(struct engine *g, struct run *r, const struct open_step *o, struct slice name, struct error *e)
{
    struct service_jail *s = running(g, r, name);
    if (!s)
        return error_set(e, ERR_MISSING, "the service %.*s does not run", SLICE_ARG(name));
    wait_for(s, WAITS_OUTPUT, o);
    look(s, SERVICE_SHOWN_BYTES);
    return OK;
}

enum err service_stop(struct engine *g, struct run *r, const struct open_step *o, struct slice name, struct error *e)
{
    struct service_jail *s = running(g, r, name);
    if (!s)
        return error_set(e, ERR_MISSING, "the service %.*s does not run", SLICE_ARG(name));
    wait_for(s, WAITS_END, o);
    stop_it(g, s, "agent");
    return OK;
}

bool service_cancel(struct engine *g, const struct open_step *o)
{
    struct machine *m = g->acts.ctx;
    for (size_t i = 0; i < MACHINE_SERVICES_MAX; i++) {
        struct service_jail *s = &m->services[i];
        if (!s->waits || !same_key(&s->waiter, &o->key))
            continue;
        struct completion c = {.key = o->key, .outcome = OUTCOME_CANCELLED, .why = "stopped"};
        bool begun = s->waits == WAITS_UP;
        s->waits = WAITS_NOT;
        engine_complete(g, &c);
        if (begun && s->peer.pid)
            stop_it(g, s, "agent");
        return true;
    }
    return false;
}

/* ---- people ---- */

/* A listener at the machine's own loopback, at a port or (0) at one that is free. -1 and errno. */
static int machine_listener(uint16_t wanted, uint16_t *ret)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(wanted), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof at;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, n) < 0 || listen(fd, 128) < 0 || getsockname(fd, (struct sockaddr *)&at, &n) < 0) {
        int why = errno;
        sys_close_fd(&fd);
        errno = why;
    }
    *ret = ntohs(at.sin_port);
    return fd;
}

/* A service that was opened and is started again leads to the same port, where that is still free. */
static void offer_machine_port(struct service_jail *s, const struct service *d)
{
    uint16_t at;
    FD_CLEANUP int fd = machine_listener(d->opened, &at);
    if (fd >= 0) {
        give(s, d->ports[0], fd, -1, -1);
        s->opened = at;
    }
}

enum err service_open(struct engine *g, struct run *r, struct slice name, uint16_t wanted, uint16_t *ret_at, struct error *e)
{
    const struct service *d = run_service(&r->state, name);
    struct step_key nobody = {.run = r->state.id};
    struct error why = {0};
    if (!d || !d->nports)
        return error_set(e, ERR_MISSING, "r%llu has no service %.*s with a port", (unsigned long long)r->state.id, SLICE_ARG(slice_cut(name, 40)));
    struct service_jail *s = find(g->acts.ctx, r->state.id, name, d->step);
    if (s && s->peer.pid && s->by)
        return error_set(e, ERR_BUSY, "the service %.*s is just ending; once more in a moment", SLICE_ARG(name));
    if (!lives(s))
        s = start(g, r, d, &nobody, &why);
    if (!lives(s))
        return error_set(e, ERR_IO, "the service %.*s cannot be started: %.200s", SLICE_ARG(name), why.text);
    if (s->opened && (!wanted || wanted == s->opened)) {
        *ret_at = s->opened;
        return OK;
    }
    FD_CLEANUP int fd = machine_listener(wanted ? wanted : d->ports[0], ret_at);
    if (fd < 0 && !wanted)
        fd = machine_listener(0, ret_at);
    if (fd < 0)
        return error_errno(e, errno, "cannot listen at port %u of this machine", wanted ? wanted : d->ports[0]);
    give(s, d->ports[0], fd, -1, -1);
    s->opened = *ret_at;
    return OK;
}

bool service_end(struct engine *g, struct run *r, struct slice name)
{
    struct service_jail *s = running(g, r, name);
    if (s)
        stop_it(g, s, "person");
    return s;
}
