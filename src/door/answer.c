/* What the engine hears of a call: deltas while they come, one last frame, none of it with the call's secret in it. */
#include <string.h>

#include "base/sys.h"
#include "door/call.h"
#include "door/protocol.h"

enum { TURN_MAX = 64 * 1024 * 1024, MODELS_MAX = 1000 };

static struct slice secret_of(const struct call *c)
{
    return c->credential ? (struct slice){c->credential->value, c->credential->n} : SLICE_NONE;
}

/* ---- deltas ---- */

/* A new delta behind the others, or NULL without memory: then the call will not be whole, and must not seem so. */
static struct delta *add_delta(struct call *c, enum delta_kind kind, size_t part)
{
    if (c->told == c->ndeltas)
        c->told = c->ndeltas = 0;
    if (c->ndeltas == c->deltas_cap) {
        size_t cap = c->deltas_cap ? 2 * c->deltas_cap : 4;
        struct delta *more = sys->realloc(c->deltas, cap * sizeof *more);
        if (!more) {
            fault_set(&c->fault, FAULT_LIMIT, "no memory for the answer");
            return NULL;
        }
        c->deltas = more;
        c->deltas_cap = cap;
    }
    struct delta *d = &c->deltas[c->ndeltas++];
    *d = (struct delta){.kind = kind, .part = part, .text = BUF_INIT(FRAME_LARGE_MAX), .id = BUF_INIT(FRAME_INLINE_MAX),
                        .name = BUF_INIT(FRAME_INLINE_MAX)};
    c->queued += sizeof *d;
    return d;
}

static void add_text(struct call *c, enum delta_kind kind, size_t part, struct slice text)
{
    struct delta *d = c->ndeltas > c->told ? &c->deltas[c->ndeltas - 1] : NULL;
    if (!text.n)
        return;
    if (!d || d->kind != kind || d->part != part || d->text.n + text.n > CALL_DELTA_MAX)
        d = add_delta(c, kind, part);
    if (!d)
        return;
    buf_add(&d->text, text);
    c->queued += text.n;
}

void answer_flush_words(struct call *c)
{
    BUF_CLEANUP struct buf rest = BUF_INIT(FRAME_LARGE_MAX);
    scrub_flush(&c->words, &rest);
    add_text(c, c->words_kind, c->words_part, buf_slice(&rest));
}

static void take_text(struct call *c, const struct stream_delta *d)
{
    BUF_CLEANUP struct buf clean = BUF_INIT(FRAME_LARGE_MAX);
    if (c->words_kind != d->kind || c->words_part != d->part)
        answer_flush_words(c);
    c->words_kind = d->kind;
    c->words_part = d->part;
    if (!c->words.secret.n) {
        add_text(c, d->kind, d->part, d->text);
        return;
    }
    scrub_feed(&c->words, d->text, &clean);
    add_text(c, d->kind, d->part, buf_slice(&clean));
}

static void take_other(struct call *c, const struct stream_delta *d)
{
    answer_flush_words(c);
    struct delta *mine = add_delta(c, d->kind, d->part);
    if (!mine)
        return;
    buf_add(&mine->id, d->id);
    buf_add(&mine->name, d->name);
    scrub_text(secret_of(c), mine->id.p, mine->id.n);
    scrub_text(secret_of(c), mine->name.p, mine->name.n);
    c->queued += d->id.n + d->name.n;
}

void answer_take(void *call, const struct stream_delta *d)
{
    struct call *c = call;
    if (d->kind == DELTA_TEXT || d->kind == DELTA_REASONING || d->kind == DELTA_CALL_ARGUMENTS)
        take_text(c, d);
    else if (d->kind == DELTA_CALL_BEGIN || d->kind == DELTA_CALL_END)
        take_other(c, d);
    else
        return;
    if (!c->first_ns)
        c->first_ns = sys->boottime_ns();
    server_dirty(c->server, c);
}

/* ---- the end ---- */

/* The arena's bytes are ours to change; what points into them says const. */
static void scrub_slice(const struct call *c, struct slice s)
{
    char *p;
    memcpy(&p, &s.p, sizeof p);
    if (s.n)
        scrub_text(secret_of(c), p, s.n);
}

static void scrub_answer(struct call *c)
{
    struct stream_answer *r = &c->answer;
    if (!c->credential)
        return;
    for (size_t i = 0; i < r->turn.n; i++) {
        const struct transcript_part *p = &r->turn.parts[i];
        scrub_slice(c, p->text);
        scrub_slice(c, p->id);
        scrub_slice(c, p->name);
        scrub_slice(c, p->opaque);
    }
    scrub_slice(c, r->model);
    scrub_text(secret_of(c), r->fault.text, strlen(r->fault.text));
}

/* What we know goes before what the stream guessed from bytes that stopped; a whole answer stays one, unless it was stopped. */
static void settle_fault(struct call *c)
{
    struct fault *f = &c->answer.fault;
    bool whole = c->stream && f->kind == FAULT_NONE && c->fault.kind == FAULT_TIMEOUT;
    bool vague = f->kind == FAULT_NONE || f->kind == FAULT_CUT || f->kind == FAULT_BROKEN;
    if (c->fault.kind && vague && !whole) {
        f->kind = c->fault.kind;
        memcpy(f->text, c->fault.text, sizeof f->text);
    }
    f->status = f->status ? f->status : c->status;
    if (c->status >= 300 && c->status < 400)
        fault_set(f, FAULT_NO_MODEL, "%s sends us to another address (HTTP %d), and that is not followed", origin_text(&c->origin).text, c->status);
}

void answer_finish(struct call *c, const char *why)
{
    struct error e;
    if (c->look) {
        scrub_text(secret_of(c), c->body.p, c->body.n);
        return;
    }
    if (c->stream) {
        BUF_CLEANUP struct buf rest = BUF_INIT(FRAME_LARGE_MAX);
        scrub_flush(&c->raw, &rest);
        stream_feed(c->stream, buf_slice(&rest));
        if (stream_finish(c->stream, c->fault.kind ? c->fault.text : why, &c->arena, &c->answer, &e)) {
            c->answer = (struct stream_answer){.usage = USAGE_NONE};
            fault_set(&c->answer.fault, FAULT_LIMIT, "%s", e.text);
        }
        answer_flush_words(c);
    } else if (!c->fault.kind) {
        fault_set(&c->fault, FAULT_CUT, "%s broke off before it answered%s%s", origin_text(&c->origin).text, why ? ": " : "", why ? why : "");
    }
    settle_fault(c);
    scrub_answer(c);
}

/* ---- frames ---- */

static void put_usage(struct buf *m, const struct usage *u)
{
    message_put_u64(m, DOOR_IN, (uint64_t)u->input);
    message_put_u64(m, DOOR_CACHE_READ, (uint64_t)u->cache_read);
    message_put_u64(m, DOOR_CACHE_5M, (uint64_t)u->cache_write_5m);
    message_put_u64(m, DOOR_CACHE_1H, (uint64_t)u->cache_write_1h);
    message_put_u64(m, DOOR_OUT, (uint64_t)u->output);
    message_put_u64(m, DOOR_REASONING, (uint64_t)u->reasoning);
    if (u->reported_nusd >= 0)
        message_put_u64(m, DOOR_NUSD, (uint64_t)u->reported_nusd);
    message_put_u64(m, DOOR_KNOWN, u->known);
}

static void put_turn(struct call *c, struct outgoing *o)
{
    BUF_CLEANUP struct buf turn = BUF_INIT(TURN_MAX);
    struct error e;
    if (!c->answer.turn.n)
        return;
    if (turn_print(&c->answer.turn, &turn, &e) == OK)
        outgoing_put_large(o, DOOR_TURN, buf_slice(&turn));
    else if (!c->answer.fault.kind)
        fault_set(&c->answer.fault, FAULT_LIMIT, "%s", e.text);
}

static bool send_answered(struct call *c)
{
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    const struct stream_answer *r = &c->answer;
    put_turn(c, &o);
    message_put_u64(&o.message, DOOR_STOP, r->stop);
    message_put_u64(&o.message, DOOR_FAULT, r->fault.kind);
    message_put_u64(&o.message, DOOR_STATUS, (uint64_t)r->fault.status);
    if (c->retry_ms >= 0)
        message_put_u64(&o.message, DOOR_RETRY_MS, (uint64_t)c->retry_ms);
    if (r->fault.kind)
        outgoing_put_large(&o, DOOR_TEXT, slice_of(r->fault.text));
    put_usage(&o.message, &r->usage);
    message_put(&o.message, DOOR_MODEL, slice_sub(r->model, 0, TRANSCRIPT_NAME_MAX));
    message_put_u64(&o.message, DOOR_DROPPED, r->dropped);
    message_put_u64(&o.message, DOOR_SENT, c->sent);
    message_put_u64(&o.message, DOOR_FIRST_NS, c->first_ns ? (uint64_t)(c->first_ns - c->begun_ns) : 0);
    message_put_u64(&o.message, DOOR_WALL_NS, (uint64_t)c->wall_ns);
    return server_send(c->server, DOOR_ANSWERED, c->id, &o);
}

static enum err code_of(enum fault_kind k)
{
    return k == FAULT_AUTH || k == FAULT_BILLING  ? ERR_DENIED
           : k == FAULT_TIMEOUT                   ? ERR_TIMEOUT
           : k == FAULT_NO_MODEL                  ? ERR_MISSING
           : k == FAULT_BROKEN || k == FAULT_FORMAT ? ERR_CORRUPT
                                                  : ERR_IO;
}

/* {"data":[{"id":"…"}]}; a server that has none is there all the same. */
static bool put_models(struct call *c, struct outgoing *o)
{
    JSON_CLEANUP struct json *v = NULL;
    bool good = c->status == 200 && json_parse(slice_trim(buf_slice(&c->body)), &v, NULL) == OK;
    const struct json *data = json_get(v, "data");
    if (!c->fault.kind && c->status >= 300)
        fault_from(&c->fault, c->status, NULL, slice_sub(buf_slice(&c->body), 0, 300));
    if (!c->fault.kind && (!good || json_type(v) != JSON_OBJECT || (data && json_type(data) != JSON_ARRAY)))
        fault_set(&c->fault, FAULT_FORMAT, "%s does not say which models it has", origin_text(&c->origin).text);
    for (size_t i = 0; !c->fault.kind && i < json_count(data) && i < MODELS_MAX; i++) {
        struct slice id = json_text(json_get(json_at(data, i), "id"));
        if (id.n && id.n <= TRANSCRIPT_NAME_MAX && o->message.n + id.n < FRAME_INLINE_MAX)
            message_put(&o->message, DOOR_NAME, id);
    }
    return !c->fault.kind;
}

static bool send_models(struct call *c)
{
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    if (put_models(c, &o))
        return server_send(c->server, DOOR_MODELS, c->id, &o);
    message_put_u64(&o.message, DOOR_CODE, code_of(c->fault.kind));
    outgoing_put_large(&o, DOOR_TEXT, slice_of(c->fault.text));
    return server_send(c->server, DOOR_FAILED, c->id, &o);
}

static bool send_delta(struct call *c, struct delta *d)
{
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    message_put_u64(&o.message, DOOR_KIND, d->kind);
    message_put_u64(&o.message, DOOR_PART, d->part);
    if (d->id.n)
        message_put(&o.message, DOOR_CALL, buf_slice(&d->id));
    if (d->name.n)
        message_put(&o.message, DOOR_NAME, buf_slice(&d->name));
    outgoing_put_large(&o, DOOR_TEXT, buf_slice(&d->text));
    if (!server_send(c->server, DOOR_DELTA, c->id, &o))
        return false;
    c->queued -= sizeof *d + d->text.n + d->id.n + d->name.n;
    buf_release(&d->text);
    buf_release(&d->id);
    buf_release(&d->name);
    return true;
}

static void release_deltas(struct call *c)
{
    sys->free(c->deltas);
    c->deltas = NULL;
    c->told = c->ndeltas = c->deltas_cap = c->queued = 0;
}

bool answer_send(struct call *c)
{
    for (; c->told < c->ndeltas; c->told++)
        if (!send_delta(c, &c->deltas[c->told]))
            return false;
    release_deltas(c);
    if (c->stage == CALL_ENDED) {
        if (!(c->look ? send_models(c) : send_answered(c)))
            return false;
        call_free(c);
    } else if (c->paused) {
        c->paused = false;
        c->last_ns = sys->boottime_ns();
        server_alarm(c->server, c->last_ns + c->idle_ns);
        curl_easy_pause(c->easy, CURLPAUSE_CONT);
    }
    return true;
}
