#include "engine/commit.h"

#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "engine/say.h"
#include "text/json.h"

void completion_release(struct completion *c)
{
    json_free(c->result);
    buf_release(&c->blob);
    buf_release(&c->more);
    buf_release(&c->manifest);
    *c = (struct completion){0};
}

static enum err append(struct engine *g, struct run *r, enum event_type type, const struct step_key *key,
                       const struct json *payload, struct error *e)
{
    BUF_CLEANUP struct buf text = BUF_INIT(EVENT_PAYLOAD_MAX);
    json_print(payload, &text);
    enum err err = buf_check(&text, "an event", e);
    if (!err)
        err = journal_append(g->store, &r->lease, &r->state, type, key, buf_slice(&text), e);
    if (!err && g->tell)
        g->tell(g->tell_ctx, r, type, key, payload);
    return err;
}

static struct step_key run_key(const struct run *r)
{
    return (struct step_key){.run = r->state.id, .branch = r->state.branch};
}

static struct json *payload_new(void)
{
    struct json *p = json_object();
    json_put_int(p, "v", 0);
    return p;
}

/* Version 0 of grant and labels: there, opaque, without rules yet (DESIGN.md section 9 comes over them). */
static void put_opaque(struct json *p, const char *key)
{
    json_put(p, key, payload_new());
}

/* ---- finishes ---- */

/* Stores bytes that a step made; their hash becomes into[key]. Without a key there are none. */
static enum err keep_blob(struct engine *g, const char *key, const struct buf *b, struct json *into, struct error *e)
{
    struct hash h;
    if (!key)
        return OK;
    enum err err = buf_check(b, "what a step made", e);
    if (!err)
        err = blob_put(g->store, buf_slice(b), &h, e);
    if (!err)
        json_put_hash(into, key, &h);
    return err;
}

/* What is no step's end but an event of its own; one whose run is over says nothing any more. */
static enum err commit_event(struct engine *g, struct run *r, struct completion *c, struct error *e)
{
    struct step_key key = run_key(r);
    if (r->state.status == RUN_DONE || r->state.status == RUN_FAILED)
        return OK;
    enum err err = keep_blob(g, c->blob_key, &c->blob, c->result, e);
    return err ? err : append(g, r, c->event, &key, c->result, e);
}

enum err commit_finish(struct engine *g, struct run *r, struct completion *c, struct error *e)
{
    if (c->event)
        return commit_event(g, r, c, e);
    const struct open_step *o = engine_step(r, &c->key);
    if (!o)
        return OK; /* settled before: a completion that came after a cancel */
    JSON_CLEANUP struct json *p = payload_new();
    json_put_text(p, "outcome", slice_of(outcome_name(c->outcome)));
    json_put_text(p, "why", slice_of(c->why));
    if (c->final)
        json_put_bool(p, "final", true);
    if (c->after_ms)
        json_put_int(p, "after_ms", c->after_ms);
    for (int u = 0; u < UNITS; u++) /* M2: what was not reserved is not spent */
        if (c->used.n[u] > o->held.n[u])
            c->used.n[u] = o->held.n[u];
    amounts_print(&c->used, p, "used");
    json_put_text(p, "how", slice_of(c->assumed ? "assumed" : "exact"));
    struct json *result = c->result ? json_clone(c->result) : json_object(), *layer = NULL;
    enum err err = keep_blob(g, c->blob_key, &c->blob, result, e);
    if (!err)
        err = keep_blob(g, c->more_key, &c->more, result, e);
    if (!err && *c->layer) {
        layer = json_object();
        json_put_text(layer, "name", slice_of(c->layer));
        json_put_int(layer, "changes", (int64_t)c->changes);
        err = keep_blob(g, "manifest", &c->manifest, layer, e);
    }
    json_put(p, "result", result);
    json_put(p, "layer", layer);
    put_opaque(p, "labels");
    json_put(p, "effects", json_array());
    return err ? err : append(g, r, EVENT_STEP_FINISHED, &c->key, p, e);
}

/* ---- intents ---- */

/* Says whose budget it is: that of the run, or a cap further up, for all time or for today. */
static void why_blocked(const struct cap *c, int64_t needed, struct buf *out)
{
    const char *left = strcmp(c->window, "total") == 0 ? "" : strcmp(c->window, "day") == 0 ? " today" : " this month";
    buf_addf(out, "the budget of %s has ", c->account);
    amount_print(c->unit, c->amount > c->used ? c->amount - c->used : 0, out);
    buf_addf(out, " left%s, the next step may need ", left);
    amount_print(c->unit, needed, out);
    buf_addf(out, "; `crannog spend set %s BUDGET%s%s` changes it, then run again", c->account, *left ? " --per " : "", *left ? c->window : "");
}

static enum err block(struct engine *g, struct run *r, enum unit unit, int64_t needed, struct error *e)
{
    struct cap c;
    enum err err = cap_tightest(g->store, r->state.account, unit, &c, e);
    if (err)
        return err;
    JSON_CLEANUP struct json *p = payload_new();
    BUF_CLEANUP struct buf why = BUF_INIT(2048);
    why_blocked(&c, needed, &why);
    json_put_text(p, "why", buf_slice(&why));
    json_put_text(p, "unit", slice_of(unit_name(unit)));
    json_put_text(p, "account", r->state.account);
    struct step_key key = run_key(r);
    return append(g, r, EVENT_RUN_BLOCKED, &key, p, e);
}

/* Appends the intent of a want; takes args. */
static enum err append_intent(struct engine *g, struct run *r, const struct want *w, struct json *args,
                              const struct amounts *granted, const struct step_key *key, struct error *e)
{
    JSON_CLEANUP struct json *p = payload_new();
    struct json *layers = json_array();
    for (size_t i = 0; i < r->state.nlayers; i++)
        json_push(layers, json_new_text(r->state.layers[i].name));
    json_put_int(p, "item", w->item);
    json_put_text(p, "name", item_name(&r->state.items[w->item]));
    json_put_int(p, "piece", w->piece);
    json_put_text(p, "stage", slice_of(stage_name(w->stage)));
    json_put_text(p, "act", slice_of(act_name(w->act)));
    json_put_text(p, "class", slice_of(class_name(w->class)));
    json_put(p, "args", args);
    amounts_print(granted, p, "amounts");
    json_put_text(p, "account", r->state.account);
    json_put(p, "base_layers", layers);
    put_opaque(p, "grant");
    put_opaque(p, "labels");
    json_put(p, "rule", NULL);
    return append(g, r, EVENT_STEP_INTENDED, key, p, e);
}

/* Not this run's fault: the whole group is tried again or given up. */
static bool is_everybodys(enum err err)
{
    return err == ERR_NO_SPACE || err == ERR_IO || err == ERR_MEMORY || err == ERR_BUSY;
}

/*
 * What cannot even be prepared (a document too large to land, a damaged blob) is a step that failed for good: a question
 * on its line, told in the journal, and the rest of the run goes on.
 */
static enum err intend_refused(struct engine *g, struct run *r, const struct want *w, const struct step_key *key,
                               const char *why, struct error *e)
{
    static const struct amounts nothing;
    const struct line *l = run_line_const(&r->state, w->item, w->piece);
    struct json *args = json_object();
    json_put_text(args, "root", SLICE("work"));
    if (w->stage == STAGE_LAND) {
        json_put_text(args, "path", l->target);
        json_put_text(args, "base", l->base);
    }
    enum err err = append_intent(g, r, w, args, &nothing, key, e);
    struct completion c = {.key = *key, .outcome = OUTCOME_FAILED, .final = true};
    snprintf(c.why, sizeof c.why, "%.239s", why);
    return err ? err : commit_finish(g, r, &c, e);
}

static enum err intend(struct engine *g, struct run *r, const struct want *w, struct error *e)
{
    const struct step_key key = {.run = r->state.id, .branch = r->state.branch, .step = w->step, .attempt = w->attempt};
    struct intent in = {0};
    struct amounts left, granted;
    enum unit ran_out = UNITS;
    struct error why = {0};
    enum err err = g->acts.rows[w->act]->prepare(g, r, w, &in, &why);
    if (err) {
        json_free(in.args);
        if (!is_everybodys(err) && w->stage != STAGE_LOOK)
            return intend_refused(g, r, w, &key, why.text, e);
        if (e)
            *e = why;
        return err;
    }
    err = ledger_left(g->store, r->state.account, &left, e);
    if (!err && !ledger_clamp(&in.worst, &in.floor, &left, &granted, &ran_out)) {
        json_free(in.args);
        return block(g, r, ran_out, in.floor.n[ran_out], e);
    }
    if (err) {
        json_free(in.args);
        return err;
    }
    if (in.clamp)
        in.clamp(in.args, &granted, &in.floor);
    err = append_intent(g, r, w, in.args, &granted, &key, e);
    if (!err)
        r->start[r->nstart++] = key;
    return err;
}

static enum err end_run(struct engine *g, struct run *r, struct error *e)
{
    JSON_CLEANUP struct json *p = payload_new();
    json_put_text(p, "status", slice_of("done"));
    struct step_key key = run_key(r);
    return append(g, r, EVENT_RUN_ENDED, &key, p, e);
}

/* What comes next for one run, as far as it goes without waiting. */
static enum err decide_run(struct engine *g, struct run *r, struct error *e)
{
    struct decision d;
    run_decide(&r->state, sys->now_ms(), &d);
    r->resting = d.what == DECIDE_ASK || d.what == DECIDE_REST || ((g->full || g->closing) && r->state.nopen == 0);
    r->settling = d.what == DECIDE_DONE && g->acts.settle && !g->acts.settle(g, r);
    if (r->settling)
        return OK;
    if (d.what == DECIDE_DONE) {
        r->resting = true;
        return end_run(g, r, e);
    }
    enum err err = OK;
    for (size_t i = 0; !err && d.what == DECIDE_INTEND && !g->full && !g->closing && i < d.nwants && r->state.status == RUN_ACTIVE; i++)
        err = intend(g, r, &d.wants[i], e);
    if (r->state.status == RUN_BLOCKED)
        r->resting = true;
    return err;
}

/* ---- wishes ---- */

static void cancel_all(struct engine *g, struct run *r)
{
    for (size_t i = 0; i < r->state.nopen; i++)
        g->acts.rows[r->state.open[i].act]->cancel(g, r, &r->state.open[i]);
}

/*
 * A landing under way is not stopped: half of it may be in the folder. It takes as long as its files take to be written, and
 * the wish is kept until then. What it waits for ends by itself as well (the folder's lock).
 */
static bool is_landing(const struct run *r)
{
    for (size_t i = 0; i < r->state.nopen; i++)
        if (r->state.open[i].act == ACT_LANDING)
            return true;
    return false;
}

/* With its last landing a run is over, and nothing is left to be stopped. */
static bool is_over(const struct run *r)
{
    struct decision d;
    run_decide(&r->state, sys->now_ms(), &d);
    return d.what == DECIDE_DONE;
}

static enum err stop_run(struct engine *g, struct run *r, const char *why, struct error *e)
{
    if (r->state.status != RUN_ACTIVE && r->state.status != RUN_WAITING)
        return OK;
    JSON_CLEANUP struct json *p = payload_new();
    json_put_text(p, "why", slice_of(why));
    struct step_key key = run_key(r);
    enum err err = append(g, r, EVENT_RUN_STOPPED, &key, p, e);
    if (!err)
        cancel_all(g, r);
    return err;
}

/* Words for an agent's question: of the blob that the request names, for a request is short; else they stand in it. */
static enum err take_words(struct engine *g, struct run *r, const struct line *l, const struct json *args, struct error *e)
{
    JSON_CLEANUP struct json *p = NULL;
    BUF_CLEANUP struct buf words = BUF_INIT(BLOB_BYTES_MAX);
    struct hash h;
    struct step_key key = run_key(r);
    if (!hash_from_hex(json_text(json_get(args, "words")), &h) || blob_get(g->store, &h, &words, NULL)) {
        buf_reset(&words);
        buf_add(&words, json_text(json_get(args, "answer")));
    }
    enum err err = answer_payload(g->store, l, buf_slice(&words), &p, e);
    return err ? err : append(g, r, EVENT_ANSWERED, &key, p, e);
}

static enum err take_answer(struct engine *g, struct run *r, const struct request *q, struct error *e)
{
    JSON_CLEANUP struct json *args = NULL;
    enum err err = json_parse(slice_of(q->args), &args, e);
    int64_t question = json_int(json_get(args, "question"), 0);
    const struct line *l = err || question <= 0 || question > UINT32_MAX ? NULL : run_question(&r->state, (uint32_t)question, NULL);
    if (!l || !question_takes(l, json_text(json_get(args, "answer"))))
        return OK; /* answered meanwhile (another question may have its number since), or nonsense: nothing to do */
    struct step_key key = run_key(r);
    if (l->question == QUESTION_ASK)
        return take_words(g, r, l, args, e);
    return append(g, r, EVENT_ANSWERED, &key, args, e);
}

/* A port of this machine leads to a service from now on: said where it is journaled, for whoever asked reads it there. */
static enum err take_open(struct engine *g, struct run *r, const struct json *args, struct error *e)
{
    struct error why = {0};
    uint16_t at = 0;
    int64_t wanted = json_int(json_get(args, "port"), 0);
    struct step_key key = run_key(r);
    struct slice name = json_text(json_get(args, "name"));
    if (!g->acts.open_service || wanted < 0 || wanted > UINT16_MAX || g->acts.open_service(g, r, name, (uint16_t)wanted, &at, &why))
        return OK; /* it has gone meanwhile: nothing to do */
    JSON_CLEANUP struct json *p = payload_new();
    json_put_text(p, "name", name);
    json_put_int(p, "at", at);
    json_put_text(p, "by", slice_of("terminal"));
    return append(g, r, EVENT_SERVICE_OPENED, &key, p, e);
}

/* One that runs is ended, and its end is an event; one that does not is only no longer declared. */
static enum err take_end(struct engine *g, struct run *r, const struct json *args, struct error *e)
{
    const struct service *s = run_service(&r->state, json_text(json_get(args, "name")));
    struct step_key key = run_key(r);
    if (!s || (g->acts.end_service && g->acts.end_service(g, r, s->name)))
        return OK;
    JSON_CLEANUP struct json *p = payload_new();
    json_put_text(p, "name", s->name);
    json_put_int(p, "declared", s->step);
    json_put_text(p, "by", slice_of("person"));
    json_put_text(p, "how", slice_of("was stopped"));
    json_put_int(p, "lived_ms", 0);
    return append(g, r, EVENT_SERVICE_ENDED, &key, p, e);
}

static enum err take_service(struct engine *g, struct run *r, const struct request *q, bool opens, struct error *e)
{
    JSON_CLEANUP struct json *args = NULL;
    enum err err = json_parse(slice_of(q->args), &args, e);
    if (err || r->state.status == RUN_DONE || r->state.status == RUN_FAILED)
        return err;
    return opens ? take_open(g, r, args, e) : take_end(g, r, args, e);
}

enum err commit_requests(struct engine *g, struct run *r, struct error *e)
{
    bool any = true;
    enum err err = OK;
    while (!err && any) {
        struct request q;
        err = request_take(g->store, r->state.id, &q, &any, e);
        if (err || !any)
            break;
        if (strcmp(q.verb, "stop") == 0 && is_landing(r))
            r->stop = true;
        else if (strcmp(q.verb, "stop") == 0)
            err = stop_run(g, r, "stopped from another terminal", e);
        else if (strcmp(q.verb, "answer") == 0)
            err = take_answer(g, r, &q, e);
        else if (strcmp(q.verb, "open") == 0 || strcmp(q.verb, "end") == 0)
            err = take_service(g, r, &q, *q.verb == 'o', e);
    }
    return err;
}

/* ---- the group ---- */

/* `asked`: another terminal wants something of some run. */
static bool is_ready(struct engine *g, struct run *r, bool asked, int64_t now_ms)
{
    struct decision d;
    if (r->broken)
        return false;
    if (r->ended || r->stop || (asked && request_waiting(g->store, r->state.id)))
        return true;
    if (r->settling)
        return false;
    engine_decide(r, now_ms, &d);
    if (d.what == DECIDE_ASK || d.what == DECIDE_REST || ((g->full || g->closing) && r->state.nopen == 0))
        r->resting = true;
    return d.what == DECIDE_DONE || (d.what == DECIDE_INTEND && !g->full && !g->closing);
}

static enum err step_run(struct engine *g, struct run *r, struct error *e)
{
    enum err err = OK;
    r->nstart = 0;
    r->ended = false;
    for (size_t i = 0; !err && i < g->ndone; i++)
        if (g->done[i].key.run == r->state.id)
            err = commit_finish(g, r, &g->done[i], e);
    if (!err && r->stop && !is_landing(r)) {
        r->stop = false;
        err = is_over(r) ? OK : stop_run(g, r, "stopped at the terminal", e);
    }
    if (!err)
        err = commit_requests(g, r, e);
    return err ? err : decide_run(g, r, e);
}

enum err commit_refold(struct engine *g, struct run *r, struct error *e)
{
    uint64_t id = r->state.id;
    arena_release(&r->arena);
    run_init(&r->state, id, &r->arena);
    r->nstart = 0;
    r->waits_seq = 0;
    r->broken = false;
    return journal_fold(g->store, id, &r->state, &r->arena, e);
}

static enum err commit_group(struct engine *g, struct run **ready, size_t n, struct error *e)
{
    enum err err = store_begin(g->store, e);
    if (err)
        return err;
    for (size_t i = 0; !err && i < n; i++) {
        err = store_savepoint(g->store, e);
        if (err)
            break;
        struct error why = {0};
        enum err refused = step_run(g, ready[i], &why);
        if (!refused) {
            err = store_release(g->store, e);
            continue;
        }
        store_cancel(g->store);
        if (is_everybodys(refused)) {
            err = refused; /* not this run's fault: the whole group is tried again or given up */
            if (e)
                *e = why;
        } else {
            ready[i]->broken = ready[i]->resting = true; /* J5: parked, the neighbours go on */
            ready[i]->nstart = 0; /* A1: what it intended here is undone */
            cancel_all(g, ready[i]);
            ready[i]->state.status = RUN_BROKEN;
            snprintf(ready[i]->state.why, sizeof ready[i]->state.why, "%.239s", why.text);
        }
    }
    if (!err)
        return store_commit(g->store, e);
    store_rollback(g->store);
    return err;
}

/* The first n are committed; what came while the turn committed (an act that was cancelled by it) waits for the next. */
static void drop_completions(struct engine *g, size_t n)
{
    for (size_t i = 0; i < n; i++)
        completion_release(&g->done[i]);
    memmove(g->done, g->done + n, (g->ndone - n) * sizeof *g->done);
    g->ndone -= n;
}

enum err commit_turn(struct engine *g, struct error *e)
{
    struct run **ready = g->ready;
    size_t n = 0, had = g->ndone;
    bool asked = request_any(g->store);
    int64_t now = sys->now_ms();
    for (size_t i = 0; i < g->nruns; i++)
        if (is_ready(g, g->runs[i], asked, now))
            ready[n++] = g->runs[i];
    g->nready = n;
    if (n == 0) {
        drop_completions(g, had); /* of runs that are parked */
        return OK;
    }
    enum err err = commit_group(g, ready, n, e);
    if (err == ERR_NO_SPACE && store_free_reserve(g->store)) {
        g->full = true; /* finish what is in flight, begin nothing */
        err = OK;
        for (size_t i = 0; !err && i < n; i++)
            err = commit_refold(g, ready[i], e);
        if (!err)
            err = commit_group(g, ready, n, e);
    }
    if (!err)
        drop_completions(g, had);
    return err;
}
