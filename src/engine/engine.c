#include "engine/engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "engine/commit.h"

static const int64_t SETTLE_NS = 3000000000;

enum err engine_open(struct engine *g, struct store *s, const struct act_table *acts, struct error *e)
{
    (void)e;
    *g = (struct engine){.store = s, .acts = *acts, .also = -1, .also_ms = -1};
    return OK;
}

static void run_free(struct engine *g, struct run *r)
{
    if (!r)
        return;
    lease_release(g->store, &r->lease);
    arena_release(&r->arena);
    sys->free(r);
}

void engine_close(struct engine *g)
{
    if (g->acts.close)
        g->acts.close(g);
    for (size_t i = 0; i < g->ndone; i++)
        completion_release(&g->done[i]);
    for (size_t i = 0; i < g->nruns; i++)
        run_free(g, g->runs[i]);
    sys->free(g->done);
    sys->free(g->runs);
    sys->free(g->ready);
    *g = (struct engine){0};
}

/* Where a run is, or would be. */
static size_t place_of(const struct engine *g, uint64_t run)
{
    size_t low = 0, high = g->nruns;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (g->runs[middle]->state.id < run)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct run *engine_find(struct engine *g, uint64_t run)
{
    size_t i = place_of(g, run);
    return i < g->nruns && g->runs[i]->state.id == run ? g->runs[i] : NULL;
}

const struct open_step *engine_step(const struct run *r, const struct step_key *key)
{
    for (size_t i = 0; i < r->state.nopen; i++)
        if (r->state.open[i].key.step == key->step && r->state.open[i].key.attempt == key->attempt)
            return &r->state.open[i];
    return NULL;
}

void engine_complete(struct engine *g, struct completion *c)
{
    struct run *r = engine_find(g, c->key.run);
    ASSERT(g->ndone < g->cap_done); /* at most RUN_OPEN_MAX steps are open in a run, one completion each (A2) */
    if (r)
        r->ended = true;
    g->done[g->ndone++] = *c;
    *c = (struct completion){0};
}

/* ---- runs come in ---- */

static bool grow(void *array, size_t n, size_t size)
{
    void *p, *old;
    memcpy(&old, array, sizeof old);
    if (!(p = sys->realloc(old, n * size)))
        return false;
    memcpy(array, &p, sizeof p);
    return true;
}

/* Room for one run more, so that nothing that happens in it later can want memory here. */
static bool make_room(struct engine *g)
{
    size_t n = g->cap_runs ? 2 * g->cap_runs : 8;
    if (g->nruns < g->cap_runs)
        return true;
    if (!grow(&g->runs, n, sizeof(struct run *)) || !grow(&g->ready, n, sizeof(struct run *)) ||
        !grow(&g->done, n * ENGINE_ENDS_MAX, sizeof *g->done))
        return false;
    g->cap_runs = n;
    g->cap_done = n * ENGINE_ENDS_MAX;
    return true;
}

static void put_in(struct engine *g, struct run *r)
{
    size_t i = place_of(g, r->state.id);
    memmove(g->runs + i + 1, g->runs + i, (g->nruns - i) * sizeof *g->runs);
    g->runs[i] = r;
    g->nruns++;
}

static struct run *run_new(struct engine *g, uint64_t id, struct error *e)
{
    struct run *r = g->nruns < ENGINE_RUNS_MAX && make_room(g) ? sys->realloc(NULL, sizeof *r) : NULL;
    if (!r) {
        error_set(e, ERR_LIMIT, "no room for another run (at most %d in one process)", ENGINE_RUNS_MAX);
        return NULL;
    }
    *r = (struct run){.arena = ARENA_INIT(RUN_ARENA_BYTES)};
    run_init(&r->state, id, &r->arena);
    return r;
}

enum err engine_start_run(struct engine *g, struct slice (*payload)(void *ctx, uint64_t run, struct buf *out), void *ctx,
                          struct run **ret, struct error *e)
{
    uint64_t id = 0;
    enum err err = store_begin(g->store, e);
    if (err)
        return err;
    err = store_new_run(g->store, &id, e);
    if (!err)
        err = store_commit(g->store, e);
    else
        store_rollback(g->store);
    struct run *r = err ? NULL : run_new(g, id, e);
    if (!r)
        return err ? err : ERR_LIMIT;
    err = lease_take(g->store, id, &r->lease, e);
    BUF_CLEANUP struct buf text = BUF_INIT(EVENT_PAYLOAD_MAX);
    struct slice first = err ? SLICE_NONE : payload(ctx, id, &text);
    if (!err)
        err = buf_check(&text, "the first event of a run", e);
    if (!err)
        err = engine_append(g, r, EVENT_RUN_STARTED, first, e);
    if (err) {
        run_free(g, r);
        return err;
    }
    put_in(g, *ret = r);
    return OK;
}

enum err engine_append(struct engine *g, struct run *r, enum event_type type, struct slice payload, struct error *e)
{
    enum err err = store_begin(g->store, e);
    return err ? err : engine_append_open(g, r, type, payload, e);
}

enum err engine_append_open(struct engine *g, struct run *r, enum event_type type, struct slice payload, struct error *e)
{
    struct step_key key = {.run = r->state.id, .branch = r->state.branch};
    enum err err = journal_append(g->store, &r->lease, &r->state, type, &key, payload, e);
    if (err)
        store_rollback(g->store);
    else
        err = store_commit(g->store, e);
    r->resting = err && r->resting;
    if (err && commit_refold(g, r, NULL)) /* the run is as it was */
        r->broken = r->resting = true;
    return err;
}

/* Steps that were open when their engine died: each is finished as lost, at what it may have cost. */
static enum err recover_open(struct engine *g, struct run *r, struct error *e)
{
    enum err err = store_begin(g->store, e);
    if (err)
        return err;
    while (!err && r->state.nopen) {
        struct open_step o = r->state.open[0];
        struct completion c = {.key = o.key, .outcome = OUTCOME_LOST, .used = o.held, .assumed = true};
        bool exact = false;
        if (g->acts.rows[o.act]->recover(g, r, &o, &c.used, &exact) == RECOVER_UNCONFIRMED)
            c.outcome = OUTCOME_UNCONFIRMED;
        c.assumed = !exact;
        snprintf(c.why, sizeof c.why, "crannog died while it was under way");
        err = commit_finish(g, r, &c, e);
        completion_release(&c);
    }
    struct step_key key = {.run = r->state.id, .branch = r->state.branch};
    bool over = r->state.status == RUN_DONE || r->state.status == RUN_FAILED;
    if (!err && !over) /* a stop that its holder did not live to take was for that holder, not for us */
        err = commit_requests(g, r, e);
    if (!err && !over)
        err = journal_append(g->store, &r->lease, &r->state, EVENT_RUN_CONTINUED, &key,
                             SLICE("{\"v\":0,\"by\":\"terminal\"}"), e);
    if (!err)
        return store_commit(g->store, e);
    store_rollback(g->store);
    return err;
}

enum err engine_resume_run(struct engine *g, uint64_t id, struct run **ret, struct error *e)
{
    struct run *r = run_new(g, id, e);
    if (!r)
        return ERR_LIMIT;
    enum err err = lease_take(g->store, id, &r->lease, e);
    if (!err)
        err = journal_fold(g->store, id, &r->state, &r->arena, e);
    if (!err)
        err = recover_open(g, r, e);
    if (err) {
        run_free(g, r);
        return err;
    }
    put_in(g, *ret = r);
    return OK;
}

void engine_let_go(struct engine *g, struct run *r)
{
    size_t i = place_of(g, r->state.id);
    ASSERT(r->broken || r->state.nopen == 0); /* what is under way in a broken run was cancelled, and its ends are dropped */
    ASSERT(i < g->nruns && g->runs[i] == r);
    memmove(g->runs + i, g->runs + i + 1, (--g->nruns - i) * sizeof *g->runs);
    run_free(g, r);
}

/* ---- the turn ---- */

void engine_decide(struct run *r, int64_t now_ms, struct decision *ret)
{
    if (r->waits_seq == r->state.seq && r->waits_seq && r->state.nopen && (!r->wake_ms || now_ms < r->wake_ms)) {
        ret->what = DECIDE_WAIT;
        ret->wake_ms = r->wake_ms;
        ret->nwants = 0;
        return;
    }
    run_decide(&r->state, now_ms, ret);
    r->waits_seq = ret->what == DECIDE_WAIT ? r->state.seq : 0;
    r->wake_ms = ret->wake_ms;
}

static int64_t soonest_ms(struct engine *g)
{
    int64_t now = sys->now_ms(), least = 250; /* other terminals' requests and the bar are looked at this often */
    if (g->ndone)
        return 0;
    for (size_t i = 0; i < g->nruns; i++) {
        struct decision d;
        if (g->runs[i]->resting || g->runs[i]->settling)
            continue;
        engine_decide(g->runs[i], now, &d);
        if (d.what == DECIDE_INTEND || d.what == DECIDE_DONE)
            return 0;
        if (d.wake_ms && d.wake_ms - now < least)
            least = d.wake_ms > now ? d.wake_ms - now : 0;
    }
    return least;
}

static enum err wait_and_collect(struct engine *g, struct error *e)
{
    struct pollfd fds[ENGINE_FDS_MAX];
    int64_t timeout = soonest_ms(g);
    size_t n = g->acts.watch(g, fds, ENGINE_FDS_MAX - 1, &timeout), also = n;
    if (g->also >= 0)
        fds[also++] = (struct pollfd){.fd = g->also, .events = POLLIN};
    if (g->also_ms >= 0 && timeout > g->also_ms)
        timeout = g->also_ms;
    if (g->ndone)
        timeout = 0;
    if (sys->poll(fds, also, (int)timeout) < 0 && errno != EINTR)
        return error_errno(e, errno, "cannot wait for the other programs");
    g->acts.collect(g, fds, n);
    return OK;
}

static void start_intended(struct engine *g)
{
    for (size_t i = 0; i < g->nready; i++) {
        struct run *r = g->ready[i];
        for (size_t k = 0; k < r->nstart; k++) {
            const struct open_step *o = engine_step(r, &r->start[k]);
            struct error e = {0};
            enum err err = o ? g->acts.rows[o->act]->start(g, r, o, &e) : OK;
            if (!err)
                continue;
            struct completion c = {.key = r->start[k], .outcome = OUTCOME_FAILED};
            snprintf(c.why, sizeof c.why, "%.239s", e.text);
            engine_complete(g, &c);
        }
        r->nstart = 0;
    }
}

static bool anything_more(struct engine *g)
{
    for (size_t i = 0; i < g->nruns; i++)
        if (!g->runs[i]->broken && (!g->runs[i]->resting || g->runs[i]->state.nopen))
            return true;
    return g->ndone > 0;
}

static void stop_if_wanted(struct engine *g)
{
    if (!g->stop_wanted || !*g->stop_wanted || g->stopping)
        return;
    g->stopping = true;
    for (size_t i = 0; i < g->nruns; i++)
        g->runs[i]->stop = true;
}

enum err engine_turn(struct engine *g, bool *ret_more, struct error *e)
{
    enum err err = wait_and_collect(g, e);
    stop_if_wanted(g);
    if (!err)
        err = commit_turn(g, e);
    if (!err)
        start_intended(g);
    if (g->watch)
        g->watch(g->watch_ctx, g);
    *ret_more = !err && anything_more(g);
    return err;
}

void engine_settle(struct engine *g)
{
    int64_t until = sys->boottime_ns() + SETTLE_NS;
    bool none = !g->acts.settle;
    g->closing = true;
    while (!none) {
        struct error e = {0};
        bool more;
        none = true;
        for (size_t i = 0; i < g->nruns; i++)
            none &= g->acts.settle(g, g->runs[i]);
        if ((none && !g->ndone) || sys->boottime_ns() > until || engine_turn(g, &more, &e))
            return;
        none = false;
    }
}

enum err engine_run(struct engine *g, struct error *e)
{
    bool more = true;
    enum err err = OK;
    while (!err && more)
        err = engine_turn(g, &more, e);
    return err;
}
