#include "view/view.h"

#include <stdio.h>
#include <string.h>

#include "layers/stamp.h"

static void put_id(struct json *o, const char *key, uint64_t run, uint32_t question)
{
    char id[48];
    if (question)
        snprintf(id, sizeof id, "r%llu.%u", (unsigned long long)run, question);
    else
        snprintf(id, sizeof id, "r%llu", (unsigned long long)run);
    json_put_text(o, key, slice_of(id));
}

enum run_status run_status_from(struct slice name)
{
    for (int i = RUN_NEW; i <= RUN_BROKEN; i++)
        if (slice_is(name, run_status_name((enum run_status)i)))
            return (enum run_status)i;
    return RUN_BROKEN;
}

const char *view_status_words(enum run_status s, bool held, bool is_exec)
{
    if (is_exec && !held && (s == RUN_ACTIVE || s == RUN_STOPPED)) /* nothing goes on with a command */
        return "cut short";
    switch (s) {
    case RUN_ACTIVE: return held ? "running" : "interrupted, run it again";
    case RUN_WAITING: return "waiting for you";
    case RUN_STOPPED: return held ? "stopping" : "stopped, run it again";
    case RUN_BLOCKED: return "out of budget";
    case RUN_DONE: return "done";
    case RUN_FAILED: return "failed";
    case RUN_BROKEN: return "broken, see doctor --audit";
    default: return "new";
    }
}

/* ---- runs ---- */

struct listing {
    struct store *store;
    struct json *rows[1024];
    uint64_t ids[1024];
    size_t n;
};

static void add_run(void *ctx, const struct run_row *r)
{
    struct listing *l = ctx;
    struct json *o = json_object();
    put_id(o, "id", r->id, 0);
    json_put_text(o, "goal", r->goal);
    json_put_text(o, "plan", r->plan_path);
    json_put_text(o, "work", r->work);
    json_put_text(o, "agent", r->agent);
    json_put_text(o, "account", r->account);
    json_put_text(o, "status", slice_of(run_status_name(r->status)));
    json_put_text(o, "why", r->why);
    json_put_int(o, "done", r->done);
    json_put_int(o, "total", r->total);
    json_put_int(o, "questions", r->questions);
    json_put_int(o, "started_ms", r->started_ms);
    json_put_int(o, "updated_ms", r->updated_ms);
    if (l->n == sizeof l->rows / sizeof *l->rows) { /* the oldest make room: run_each goes upward */
        json_free(l->rows[0]);
        memmove(l->rows, l->rows + 1, (l->n - 1) * sizeof *l->rows);
        memmove(l->ids, l->ids + 1, (l->n - 1) * sizeof *l->ids);
        l->n--;
    }
    l->ids[l->n] = r->id;
    l->rows[l->n++] = o;
}

enum err view_runs(struct store *s, struct json **ret, struct error *e)
{
    struct listing l = {.store = s};
    enum err err = run_each(s, add_run, &l, e);
    struct json *list = json_array();
    for (size_t i = l.n; i > 0; i--) {
        json_put_int(l.rows[i - 1], "holder", lease_holder(s, l.ids[i - 1]));
        json_push(list, l.rows[i - 1]);
    }
    *ret = json_object();
    json_put(*ret, "runs", list);
    if (err) {
        json_free(*ret);
        *ret = NULL;
    }
    return err;
}

/* ---- one run ---- */

/* What a person had at the target is kept by its hash: as `there` while it is asked about, as `replaced` afterwards. */
static void put_kept(struct json *o, const struct line *l)
{
    bool asked = l->stage == STAGE_STUCK && l->question == QUESTION_CONFLICT;
    struct stamp had;
    if (stamp_from_hex(asked ? l->base : l->replaced, &had) && had.type == STAMP_FILE)
        json_put_hash(o, asked ? "there" : "replaced", &had.hash);
}

static struct json *line_json(const struct run_state *r, const struct line *l)
{
    struct json *o = json_object();
    json_put_text(o, "stage", slice_of(stage_name(l->stage)));
    if (l->source.n)
        json_put_text(o, "source", l->source);
    if (l->target.n)
        json_put_text(o, "writes", l->target);
    if (l->open)
        json_put_bool(o, "open", true);
    if (l->tokens)
        json_put_int(o, "tokens", (int64_t)l->tokens);
    if (l->ncuts > 1)
        json_put_int(o, "parts", (int64_t)l->ncuts);
    if (l->failures)
        json_put_int(o, "failures", l->failures);
    if (l->stage == STAGE_STUCK) {
        put_id(o, "question", r->id, l->question_step);
        static const char *const kinds[] = {"", "failed", "conflict", "poison", "apply", "ask"};
        json_put_text(o, "kind", slice_of(kinds[l->question]));
        json_put_text(o, "answers", slice_of(question_words(l)));
        json_put_text(o, "why", slice_of(l->why));
        json_put_text(o, "resume", slice_of(stage_name(l->resume)));
    }
    put_kept(o, l);
    return o;
}

static const char *phase_name(enum item_phase p)
{
    static const char *const names[] = {"waiting", "open", "done", "stuck"};
    return names[p];
}

static struct json *item_json(const struct run_state *r, const struct item_state *it)
{
    struct json *o = json_object(), *pieces = json_array();
    json_put_text(o, "name", item_name(it));
    if (it->plan)
        json_put_text(o, "text", it->plan->text);
    json_put_text(o, "phase", slice_of(phase_name(it->phase)));
    json_put(o, "head", line_json(r, &it->head));
    for (size_t i = 0; i < it->npieces; i++)
        json_push(pieces, line_json(r, &it->pieces[i]));
    json_put(o, "pieces", pieces);
    return o;
}

/* What caps the run by itself: what it began with, or what a person set since. */
struct own_caps {
    const struct run_state *run;
    struct amounts caps;
};

static void own_cap(void *ctx, const struct cap *c)
{
    struct own_caps *o = ctx;
    if (slice_is(o->run->account, c->account) && strcmp(c->window, "total") == 0)
        o->caps.n[c->unit] = c->amount;
}

static struct json *budget_json(struct store *s, const struct run_state *r)
{
    struct own_caps o = {r, amounts_unlimited()};
    JSON_CLEANUP struct json *holder = json_object();
    if (cap_each(s, own_cap, &o, NULL))
        o.caps = r->budget;
    caps_print(&o.caps, holder, "budget");
    return json_clone(json_get(holder, "budget"));
}

/* Changes that are not in the folder yet, or that can be taken back. */
static void put_layers(struct json *o, const char *key, const struct layer_ref *v, size_t n)
{
    struct json *list = json_array();
    for (size_t i = 0; i < n; i++) {
        struct json *one = json_object();
        json_put_text(one, "name", v[i].name);
        json_put_int(one, "changes", (int64_t)v[i].changes);
        json_put_int(one, "step", v[i].step);
        json_push(list, one);
    }
    json_put(o, key, list);
}

static void put_agent(struct json *o, const struct run_state *r)
{
    const struct talk *t = run_talk(r);
    json_put_bool(o, "agent", true);
    json_put_text(o, "model", r->model);
    json_put_bool(o, "attended", t->attended);
    json_put_text(o, "verify", t->verify);
    json_put_int(o, "turns", (int64_t)t->nturns);
    json_put_int(o, "context", (int64_t)(t->context + t->fresh / TALK_BYTES_A_TOKEN));
    json_put_int(o, "window", (int64_t)r->window);
}

/* Which walls its commands may have met, and how often. */
static enum err count_met(void *ctx, const struct event *ev, struct error *e)
{
    struct json *counts = ctx;
    JSON_CLEANUP struct json *p = NULL;
    (void)e;
    if (ev->type != EVENT_STEP_FINISHED || ev->redacted || json_parse(ev->payload, &p, NULL))
        return OK;
    const struct json *met = json_get(json_get(p, "result"), "met");
    for (size_t i = 0; i < json_count(met); i++) {
        char name[32];
        snprintf(name, sizeof name, "%.*s", SLICE_ARG(json_text(json_at(met, i))));
        json_put_int(counts, name, json_int(json_get(counts, name), 0) + 1);
    }
    return OK;
}

enum err view_run(struct store *s, uint64_t run, struct json **ret, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(RUN_ARENA_BYTES);
    struct run_state r;
    struct error why = {0};
    size_t done = 0, total = 0;
    run_init(&r, run, &a);
    enum err err = journal_fold(s, run, &r, &a, &why);
    if (err && err != ERR_CORRUPT && err != ERR_VERSION) {
        if (e)
            *e = why;
        return err;
    }
    struct json *o = json_object(), *items = json_array();
    put_id(o, "id", run, 0);
    json_put_text(o, "status", slice_of(err ? "broken" : run_status_name(r.status)));
    json_put_text(o, "why", slice_of(err ? why.text : r.why));
    json_put_text(o, "goal", r.goal);
    json_put_text(o, "plan", r.plan_path);
    json_put_text(o, "work", r.work);
    json_put_text(o, "account", r.account);
    json_put_bool(o, "exec", r.is_exec);
    if (run_talk(&r))
        put_agent(o, &r);
    json_put_text(o, "land", slice_of(land_name(r.land)));
    if (r.origin.n) {
        json_put_text(o, "origin", r.origin);
        put_id(o, "of", r.origin_run, 0);
    }
    put_layers(o, "layers", r.layers, r.nlayers);
    put_layers(o, "undos", r.undos, r.nundos);
    json_put_int(o, "holder", lease_holder(s, run));
    run_progress(&r, &done, &total);
    json_put_int(o, "done", (int64_t)done);
    json_put_int(o, "total", (int64_t)total);
    amounts_print(&r.used, o, "used");
    amounts_print(&r.assumed, o, "assumed");
    json_put(o, "budget", budget_json(s, &r));
    json_put_int(o, "started_ms", r.started_ms);
    json_put_int(o, "updated_ms", r.updated_ms);
    json_put_int(o, "events", (int64_t)r.seq);
    for (size_t i = 0; i < r.nitems; i++)
        json_push(items, item_json(&r, &r.items[i]));
    json_put(o, "items", items);
    struct json *met = json_object();
    (void)!journal_read(s, run, count_met, met, NULL);
    if (json_count(met))
        json_put(o, "met", met);
    else
        json_free(met);
    *ret = o;
    return OK;
}

static enum err add_event(void *ctx, const struct event *ev, struct error *e)
{
    struct json *o = json_object(), *payload = NULL;
    (void)e;
    json_put_int(o, "seq", (int64_t)ev->seq);
    json_put_int(o, "time_ms", ev->time_ms);
    json_put_text(o, "type", slice_of(event_type_name(ev->type)));
    if (ev->key.step) {
        json_put_int(o, "branch", ev->key.branch);
        json_put_int(o, "step", ev->key.step);
        json_put_int(o, "attempt", ev->key.attempt);
    }
    if (!ev->redacted && json_parse(ev->payload, &payload, NULL) == OK)
        json_put(o, "payload", payload);
    json_push(ctx, o);
    return OK;
}

enum err view_history(struct store *s, uint64_t run, struct json **ret, struct error *e)
{
    struct json *events = json_array();
    enum err err = journal_read(s, run, add_event, events, e);
    *ret = json_object();
    json_put(*ret, "events", events);
    if (err) {
        json_free(*ret);
        *ret = NULL;
    }
    return err;
}

/* ---- spend ---- */

static void add_balance(void *ctx, const struct balance *b)
{
    struct json *o = json_object();
    json_put_text(o, "account", b->account);
    json_put_text(o, "unit", slice_of(unit_name(b->unit)));
    json_put_int(o, "exact", b->exact);
    json_put_int(o, "assumed", b->assumed);
    json_put_int(o, "held", b->held);
    if (b->cap != AMOUNT_UNLIMITED)
        json_put_int(o, "cap", b->cap);
    json_push(ctx, o);
}

static void add_cap(void *ctx, const struct cap *c)
{
    struct json *o = json_object();
    json_put_text(o, "account", slice_of(c->account));
    json_put_text(o, "window", slice_of(c->window));
    json_put_text(o, "unit", slice_of(unit_name(c->unit)));
    json_put_int(o, "amount", c->amount);
    json_put_int(o, "used", c->used);
    json_push(ctx, o);
}

enum err view_spend(struct store *s, struct json **ret, struct error *e)
{
    struct json *accounts = json_array(), *caps = json_array();
    enum err err = ledger_each(s, add_balance, accounts, e);
    if (!err)
        err = cap_each(s, add_cap, caps, e);
    *ret = json_object();
    json_put(*ret, "accounts", accounts);
    json_put(*ret, "caps", caps);
    if (err) {
        json_free(*ret);
        *ret = NULL;
    }
    return err;
}
