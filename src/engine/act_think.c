/*
 * An agent's model calls: the talk so far becomes one neutral transcript, crannog-door asks a server with it, and what came is
 * the next turn. Their class is `again`: a call that died is settled and asked anew.
 *
 * Nothing is stored twice: the intent names the turns by their range, each turn is a blob in the form that a transcript has
 * them in, so a request is put together by copying. Its worst case is bounded by what the server counted last time and a
 * token a byte of what came since; its output by the limit that is sent, lowered to what the budget still buys.
 */
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "context/tools.h"
#include "door/client.h"
#include "door/protocol.h"
#include "engine/machine.h"
#include "engine/talk_text.h"
#include "model/stream.h"

enum { OUTPUT_FLOOR = 256, REQUEST_MAX = 48 * 1024 * 1024, TURN_MAX = 8 * 1024 * 1024, CONNECT_MS = 20000, IDLE_MS = 300000,
       TOTAL_MS = 3600000, TOOLS_VERSION = 1, TOOLS_BYTES = 2048 };

/* Whether a call's arguments are for the model in crannog-infer. */
static bool is_embedded(const struct json *args)
{
    return slice_is(json_text(json_get(args, "provider")), "embedded");
}

/* ---- prepare ---- */

static const struct price *price_of(struct slice provider, struct slice model)
{
    return price_find(NULL, 0, provider, model);
}

static void put_server(struct json *args, const struct server *s)
{
    json_put_text(args, "provider", s->provider);
    json_put_text(args, "model", s->model);
    json_put_text(args, "base", s->base);
    json_put_text(args, "secret", s->secret);
    json_put_int(args, "quirks", s->quirks);
}

/* The bounds of a call in the units that can run out; see usage_worst(). */
static void put_worst(struct json *args, const struct price *p, int64_t known, int64_t fresh, int64_t output, struct intent *ret)
{
    static const struct price free_price;
    struct worst most = usage_worst(p ? p : &free_price, known, fresh, 0, output),
                 least = usage_worst(p ? p : &free_price, known, fresh, 0, output < OUTPUT_FLOOR ? output : OUTPUT_FLOOR);
    json_put_int(args, "known", known);
    json_put_int(args, "fresh", fresh);
    json_put_int(args, "max_output", output);
    ret->worst = (struct amounts){.n = {[UNIT_NUSD] = most.nusd, [UNIT_TOKENS] = most.input_tokens + most.output_tokens, [UNIT_CALLS] = 1}};
    ret->floor = (struct amounts){.n = {[UNIT_NUSD] = least.nusd, [UNIT_TOKENS] = least.input_tokens + least.output_tokens, [UNIT_CALLS] = 1}};
}

/* The output limit that is sent is lowered to what was granted. */
static void think_clamp(struct json *args, const struct amounts *granted, const struct amounts *floor)
{
    int64_t want = json_int(json_get(args, "max_output"), OUTPUT_FLOOR), known = json_int(json_get(args, "known"), 0),
            fresh = json_int(json_get(args, "fresh"), 0), least = want < OUTPUT_FLOOR ? want : OUTPUT_FLOOR;
    int64_t by_tokens = granted->n[UNIT_TOKENS] - (floor->n[UNIT_TOKENS] - least);
    const struct price *p = price_of(json_text(json_get(args, "provider")), json_text(json_get(args, "model")));
    if (by_tokens < want)
        want = by_tokens;
    if (p)
        want = usage_affordable(p, known, fresh, 0, want, granted->n[UNIT_NUSD]);
    json_put_int(args, "max_output", want > least ? want : least);
}

/* Where a price is not known, a cap in money cannot be kept: say so instead of spending. */
static enum err check_price(struct engine *g, const struct run_state *r, const struct price *p, struct error *e)
{
    struct amounts left;
    if (p || slice_is(r->server.provider, "embedded"))
        return OK;
    enum err err = ledger_left(g->store, r->account, &left, e);
    if (!err && left.n[UNIT_NUSD] != AMOUNT_UNLIMITED)
        err = error_set(e, ERR_DENIED, "nobody knows what %.*s/%.*s costs, so the budget in dollars cannot be kept; give one in tokens "
                        "instead (--budget 500000tok), or take another model", SLICE_ARG(r->server.provider),
                        SLICE_ARG(slice_sub(r->server.model, 0, 100)));
    return err;
}

static enum err think_prepare(struct engine *g, struct run *r, const struct want *w, struct intent *ret, struct error *e)
{
    const struct run_state *s = &r->state;
    const struct talk *t = run_line(&r->state, w->item, w->piece)->talk;
    const struct price *p = price_of(s->server.provider, s->server.model);
    enum err err = check_price(g, s, p, e);
    if (err)
        return err;
    struct json *args = ret->args = json_object();
    uint64_t fresh = t->fresh, to = t->nturns;
    int64_t output = t->max_output;
    for (size_t i = 0; w->stage == STAGE_THINK && i < t->ninbox; i++)
        if (talk_delivers(t, i)) {
            fresh += t->inbox[i].turn.bytes;
            to++;
        }
    if (w->stage == STAGE_COMPACT) {
        to = talk_cut(t, s->window);
        output = output < COMPACT_OUTPUT_MAX ? output : COMPACT_OUTPUT_MAX;
        json_put_text(args, "ask", SLICE(COMPACT_ASK));
        fresh += sizeof COMPACT_ASK;
    }
    put_server(args, &s->server);
    json_put_hash(args, "system", &t->system);
    if (!hash_is_zero(&t->summary))
        json_put_hash(args, "summary", &t->summary);
    json_put_int(args, "tools", TOOLS_VERSION);
    json_put_int(args, "from", (int64_t)t->from);
    json_put_int(args, "to", (int64_t)to);
    put_worst(args, p, (int64_t)t->context, (int64_t)fresh + TOOLS_BYTES, output, ret);
    ret->clamp = think_clamp;
    if (is_embedded(args))
        model_intend(g, s, ret);
    return OK;
}

/* ---- the door ---- */

static enum err door_ready(struct machine *m, struct error *e)
{
    BUF_CLEANUP struct buf path = BUF_INIT(4096);
    if (m->door.pid)
        return OK;
    enum err err = peer_find("crannog-door", &path, e);
    return err ? err : door_start(buf_str(&path), m->state, false, NULL, &m->door, NULL, NULL, e);
}

static enum err thinks_room(struct machine *m, struct think_job **ret, struct error *e)
{
    for (size_t i = 0; i < m->nthinks; i++)
        if (!m->thinks[i].id) {
            *ret = &m->thinks[i];
            return OK;
        }
    size_t n = m->nthinks ? 2 * m->nthinks : 4;
    struct think_job *v = sys->realloc(m->thinks, n * sizeof *v);
    if (!v)
        return error_set(e, ERR_MEMORY, "no memory for a model call");
    memset(v + m->nthinks, 0, (n - m->nthinks) * sizeof *v);
    *ret = &v[m->nthinks];
    m->thinks = v;
    m->nthinks = n;
    return OK;
}

static void put_ask(const struct json *args, struct slice transcript, struct outgoing *out)
{
    message_put(&out->message, DOOR_PROVIDER, json_text(json_get(args, "provider")));
    message_put(&out->message, DOOR_BASE, json_text(json_get(args, "base")));
    message_put(&out->message, DOOR_SECRET_NAME, json_text(json_get(args, "secret")));
    message_put_u64(&out->message, DOOR_QUIRKS, (uint64_t)json_int(json_get(args, "quirks"), 0));
    message_put_u64(&out->message, DOOR_CONNECT_MS, CONNECT_MS);
    message_put_u64(&out->message, DOOR_IDLE_MS, IDLE_MS);
    message_put_u64(&out->message, DOOR_TOTAL_MS, TOTAL_MS);
    outgoing_put_large(out, DOOR_TRANSCRIPT, transcript);
}

/* Sends what waits for the door to read; a full socket is tried again after the next turn. */
void think_send(struct engine *g)
{
    struct machine *m = g->acts.ctx;
    for (size_t i = 0; i < m->nthinks; i++) {
        struct think_job *job = &m->thinks[i];
        struct error e = {0};
        if (!job->id || job->sent)
            continue;
        enum err err = frame_send(m->door.socket, DOOR_ASK, job->id, &job->out, &e);
        if (err == ERR_BUSY || err == ERR_GONE)
            return; /* full: when it has read; dead: the receive will say so */
        outgoing_release(&job->out);
        job->sent = true;
        if (err) {
            struct completion c = {.key = job->key, .outcome = OUTCOME_FAILED};
            snprintf(c.why, sizeof c.why, "%.239s", e.text);
            job->id = 0;
            engine_complete(g, &c);
        }
    }
}

static enum err think_start(struct engine *g, struct run *r, const struct open_step *o, struct error *e)
{
    struct machine *m = g->acts.ctx;
    JSON_CLEANUP struct json *args = NULL;
    BUF_CLEANUP struct buf transcript = BUF_INIT(REQUEST_MAX);
    struct think_job *job = NULL;
    enum err err = json_parse(o->args, &args, e);
    if (!err && is_embedded(args))
        return think_embedded(g, r, o, args, e);
    if (!err)
        err = door_ready(m, e);
    if (!err)
        err = store_begin_reading(g->store, e);
    if (!err) {
        err = talk_transcript(g->store, run_line(&r->state, o->item, o->piece)->talk, args, &transcript, e);
        store_rollback(g->store);
    }
    if (!err)
        err = thinks_room(m, &job, e);
    if (err)
        return err;
    *job = (struct think_job){.key = o->key, .id = m->next_id++, .stage = o->stage, .out = outgoing_new()};
    put_ask(args, buf_slice(&transcript), &job->out);
    g->live.model_since_ms = sys->now_ms();
    think_send(g);
    return OK;
}

static void think_cancel(struct engine *g, struct run *r, const struct open_step *o)
{
    struct machine *m = g->acts.ctx;
    (void)r;
    for (size_t i = 0; i < m->nthinks; i++) {
        struct think_job *job = &m->thinks[i];
        if (!job->id || job->key.run != o->key.run || job->key.step != o->key.step)
            continue;
        job->cancelled = true;
        if (job->sent) { /* it answers with what came until now; if it cannot hear, its death says that */
            (void)!frame_send(m->door.socket, DOOR_CANCEL, job->id, NULL, NULL);
            return;
        }
        struct completion c = {.key = job->key, .outcome = OUTCOME_CANCELLED};
        outgoing_release(&job->out);
        job->id = 0;
        snprintf(c.why, sizeof c.why, "stopped before it was sent");
        engine_complete(g, &c);
        return;
    }
    model_cancel(g, r, o); /* an embedded one */
}

/* Nobody knows how far it got: what was reserved is taken for spent. */
static enum recovery think_recover(struct engine *g, struct run *r, const struct open_step *o, struct amounts *ret_used, bool *ret_exact)
{
    JSON_CLEANUP struct json *args = NULL;
    if (json_parse(o->args, &args, NULL) == OK && is_embedded(args))
        return model_recover(g, r, o, ret_used, ret_exact);
    return RECOVER_AGAIN;
}

/* ---- what it answers ---- */

static int64_t number(const struct frame *f, enum door_tag tag)
{
    uint64_t v = message_get_u64(f->message, tag, 0);
    return v <= (uint64_t)USAGE_TOKENS_MAX ? (int64_t)v : USAGE_TOKENS_MAX;
}

static struct usage usage_of(const struct frame *f)
{
    struct field field;
    uint64_t nusd;
    struct usage u = {.input = number(f, DOOR_IN), .cache_read = number(f, DOOR_CACHE_READ), .cache_write_5m = number(f, DOOR_CACHE_5M),
                      .cache_write_1h = number(f, DOOR_CACHE_1H), .output = number(f, DOOR_OUT), .reasoning = number(f, DOOR_REASONING),
                      .reported_nusd = -1, .known = message_get_u64(f->message, DOOR_KNOWN, 0) != 0};
    if (message_find(f->message, DOOR_NUSD, &field) && field_u64(field, &nusd) && nusd <= INT64_MAX)
        u.reported_nusd = (int64_t)nusd;
    return u;
}

/* What the call used; where the server did not say, all that was reserved, unless nothing was sent, or it was refused before
   it began: what was told until an error came was made, and is paid for. */
static void settle(const struct frame *f, const struct open_step *o, const struct json *args, struct completion *c)
{
    struct usage u = usage_of(f);
    const struct price *p = price_of(json_text(json_get(args, "provider")), json_text(json_get(args, "model")));
    bool sent = message_get_u64(f->message, DOOR_SENT, 1) != 0, began = message_get_u64(f->message, DOOR_FIRST_NS, 0) != 0;
    enum fault_kind fault = (enum fault_kind)message_get_u64(f->message, DOOR_FAULT, FAULT_NONE);
    json_put_int(c->result, "in", usage_prompt(&u));
    json_put_int(c->result, "cache_read", u.cache_read);
    json_put_int(c->result, "cache_write", u.cache_write_5m + u.cache_write_1h);
    json_put_int(c->result, "out", u.output);
    json_put_int(c->result, "reasoning", u.reasoning);
    if (u.known && usage_prompt(&u) > 0) { /* no prompt is of no tokens: who says so has not counted */
        c->used = (struct amounts){.n = {[UNIT_NUSD] = p ? usage_cost(&u, p) : 0, [UNIT_TOKENS] = usage_prompt(&u) + u.output, [UNIT_CALLS] = 1}};
        json_put_int(c->result, "tokens", usage_prompt(&u) + u.output);
    } else if (sent && (began || fault == FAULT_NONE || fault == FAULT_CUT || fault == FAULT_TIMEOUT || fault == FAULT_LIMIT || fault == FAULT_BROKEN)) {
        c->used = o->held;
        c->assumed = true;
    } else {
        c->used.n[UNIT_CALLS] = 1; /* it was refused: nothing was made */
    }
}

/* The turn is stored as it came; what of it the fold must know stands in the result. */
static void answered(struct engine *g, const struct frame *f, const struct think_job *job, struct completion *c)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(32 << 20);
    struct transcript_turn turn = {0};
    struct error e = {0};
    enum stop_reason stop = (enum stop_reason)message_get_u64(f->message, DOOR_STOP, STOP_NONE);
    enum err err = frame_large(f, DOOR_TURN, &c->blob, &e);
    if (err == ERR_MISSING)
        err = OK;
    else if (!err)
        err = turn_parse(buf_slice(&c->blob), &a, &turn, &e);
    if (err) {
        c->outcome = OUTCOME_FAILED;
        buf_reset(&c->blob);
        snprintf(c->why, sizeof c->why, "crannog-door gave a turn that is none: %.180s", e.text);
        return;
    }
    talk_put_calls(&turn, c->result);
    json_put_text(c->result, "stop", slice_of(stop_name(stop)));
    bool says = false, calls = json_count(json_get(c->result, "calls")) > 0;
    for (size_t i = 0; i < turn.n; i++)
        says |= turn.parts[i].kind == PART_TEXT && slice_trim(turn.parts[i].text).n > 0;
    if (turn.n && (says || calls)) {
        json_put_int(c->result, "bytes", (int64_t)c->blob.n);
        c->blob_key = "turn";
    }
    if (job->stage != STAGE_THINK || c->outcome != OUTCOME_OK)
        return;
    if (!says && !calls)
        talk_put_note(g, SLICE("(You answered with nothing. Go on with what was asked, or say that you are done and why.)"), c);
    else if (stop == STOP_LENGTH && !calls)
        talk_put_note(g, SLICE("(Your answer was cut by its length limit. Go on from where it ends, in smaller parts.)"), c);
    else if (stop == STOP_PAUSE && !calls)
        talk_put_note(g, SLICE("(Go on.)"), c);
}

static void faulted(const struct frame *f, struct completion *c)
{
    enum fault_kind kind = (enum fault_kind)message_get_u64(f->message, DOOR_FAULT, FAULT_NONE);
    uint64_t after = message_get_u64(f->message, DOOR_RETRY_MS, 0);
    BUF_CLEANUP struct buf text = BUF_INIT(4096);
    (void)!frame_large(f, DOOR_TEXT, &text, NULL);
    c->outcome = OUTCOME_FAILED;
    c->final = !fault_may_pass(kind) && kind != FAULT_CUT && kind != FAULT_BROKEN;
    json_put_text(c->result, "fault", slice_of(fault_name(kind)));
    if (kind == FAULT_CONTEXT)
        json_put_bool(c->result, "overflow", true);
    c->after_ms = after < INT32_MAX ? (int64_t)after : INT32_MAX;
    snprintf(c->why, sizeof c->why, "%.239s", text.n ? buf_str(&text) : fault_name(kind));
}

static void answer(struct engine *g, struct frame *f, struct think_job *job)
{
    struct run *r = engine_find(g, job->key.run);
    const struct open_step *o = r ? engine_step(r, &job->key) : NULL;
    JSON_CLEANUP struct json *args = NULL;
    struct completion c = {.key = job->key, .outcome = OUTCOME_OK, .blob = BUF_INIT(TURN_MAX), .result = json_object()};
    if (o && json_parse(o->args, &args, NULL) == OK) {
        settle(f, o, args, &c);
        if (job->cancelled)
            c.outcome = OUTCOME_CANCELLED;
        else if (message_get_u64(f->message, DOOR_FAULT, FAULT_NONE) != FAULT_NONE)
            faulted(f, &c);
        if (c.outcome != OUTCOME_FAILED)
            answered(g, f, job, &c);
        if (job->cancelled)
            snprintf(c.why, sizeof c.why, "stopped");
        if (job->stage == STAGE_COMPACT && c.outcome != OUTCOME_CANCELLED)
            talk_compacted_by(g, r, o, args, &c);
    }
    json_put_int(c.result, "first_ms", (int64_t)(message_get_u64(f->message, DOOR_FIRST_NS, 0) / 1000000));
    job->id = 0;
    g->live.model_since_ms = 0;
    engine_complete(g, &c);
}

static void heard(struct engine *g, const struct frame *f, const struct think_job *job)
{
    BUF_CLEANUP struct buf text = BUF_INIT(STREAM_ANSWER_MAX);
    struct run *r = engine_find(g, job->key.run);
    if (!g->hear || !r || job->stage != STAGE_THINK || frame_large(f, DOOR_TEXT, &text, NULL) == ERR_LIMIT)
        return;
    struct heard h = {.kind = (enum heard_kind)message_get_u64(f->message, DOOR_KIND, 0), .part = message_get_u64(f->message, DOOR_PART, 0),
                      .text = buf_slice(&text), .name = message_get(f->message, DOOR_NAME)};
    g->hear(g->hear_ctx, r, &h);
}

static void door_died(struct engine *g, const char *why)
{
    struct machine *m = g->acts.ctx;
    BUF_CLEANUP struct buf how = BUF_INIT(200);
    peer_ended(&m->door, &how);
    peer_kill(&m->door);
    for (size_t i = 0; i < m->nthinks; i++) {
        struct think_job *job = &m->thinks[i];
        if (!job->id)
            continue;
        struct run *r = engine_find(g, job->key.run);
        const struct open_step *o = r ? engine_step(r, &job->key) : NULL;
        enum outcome outcome = job->cancelled ? OUTCOME_CANCELLED : job->sent ? OUTCOME_LOST : OUTCOME_FAILED;
        struct completion c = {.key = job->key, .outcome = outcome, .assumed = job->sent};
        if (o && job->sent)
            c.used = o->held;
        if (!job->sent) /* nobody was asked: tried again, and no death of this call */
            outgoing_release(&job->out);
        snprintf(c.why, sizeof c.why, "crannog-door died %s: %.100s %.80s", job->sent ? "in the middle of a call" : "before a call", why,
                 buf_str(&how));
        job->id = 0;
        engine_complete(g, &c);
    }
}

void think_collect(struct engine *g)
{
    struct machine *m = g->acts.ctx;
    while (m->door.pid) {
        struct frame f;
        struct error e = {0};
        enum err err = frame_receive(m->door.socket, &f, &e);
        if (err == ERR_BUSY)
            break;
        if (err) {
            door_died(g, e.text);
            return;
        }
        for (size_t i = 0; i < m->nthinks; i++)
            if (m->thinks[i].id && m->thinks[i].id == f.id) {
                if (f.type == DOOR_DELTA)
                    heard(g, &f, &m->thinks[i]);
                else
                    answer(g, &f, &m->thinks[i]);
                break;
            }
        frame_release(&f);
    }
    think_send(g);
}

const struct act_row act_think = {think_prepare, think_start, think_cancel, think_recover};
