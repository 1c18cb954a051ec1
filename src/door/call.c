#include "door/call.h"

#include <string.h>

#include "base/sys.h"
#include "door/name.h"
#include "door/protocol.h"

enum { ANSWER_ARENA = 24 * 1024 * 1024, TRANSCRIPT_ARENA = 256 * 1024 * 1024 };

/* ---- the table ---- */

static struct call **bucket_of(struct server *s, uint64_t id)
{
    return &s->buckets[(id ^ id >> 32) % SERVER_BUCKETS];
}

static struct call *find(struct server *s, uint64_t id)
{
    struct call *c = *bucket_of(s, id);
    while (c && c->id != id)
        c = c->chain;
    return c;
}

static struct call *make(struct server *s, const struct frame *f)
{
    struct call *c = sys->realloc(NULL, sizeof *c);
    if (!c)
        return NULL;
    *c = (struct call){.server = s, .id = f->id, .look = f->type == DOOR_LOOK, .retry_ms = -1, .begun_ns = sys->boottime_ns(),
                       .arena = ARENA_INIT(ANSWER_ARENA), .body = BUF_INIT(CALL_LOOK_MAX), .raw = scrub_new(SLICE_NONE),
                       .words = scrub_new(SLICE_NONE), .answer = {.usage = USAGE_NONE}};
    struct call **bucket = bucket_of(s, c->id);
    c->chain = *bucket;
    *bucket = c;
    c->next = s->calls;
    if (s->calls)
        s->calls->prev = c;
    s->calls = c;
    s->ncalls++;
    return c;
}

static void unlink_call(struct call *c)
{
    struct server *s = c->server;
    struct call **at = bucket_of(s, c->id);
    while (*at != c)
        at = &(*at)->chain;
    *at = c->chain;
    *(c->prev ? &c->prev->next : &s->calls) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    s->ncalls--;
}

/* What an answer does not need any more. */
static void release_request(struct call *c)
{
    transfer_stop(c);
    model_request_release(&c->request);
    stream_free(c->stream);
    c->stream = NULL;
    scrub_release(&c->raw);
    scrub_release(&c->words);
    curl_url_cleanup(c->url);
    c->url = NULL;
    credential_drop(c->credential);
    c->credential = NULL;
}

void call_free(struct call *c)
{
    release_request(c);
    unlink_call(c);
    for (size_t i = c->told; i < c->ndeltas; i++) {
        buf_release(&c->deltas[i].text);
        buf_release(&c->deltas[i].id);
        buf_release(&c->deltas[i].name);
    }
    sys->free(c->deltas);
    buf_release(&c->body);
    arena_release(&c->arena);
    sys->free(c);
}

/* ---- the beginning ---- */

static int64_t read_ms(const struct frame *f, enum door_tag tag, uint64_t missing)
{
    uint64_t ms = message_get_u64(f->message, tag, 0);
    ms = ms == 0 ? missing : ms;
    return (int64_t)(ms < CALL_MS_MAX ? ms : CALL_MS_MAX) * 1000000;
}

static bool refuse(struct call *c, enum fault_kind kind, const char *text)
{
    if (!c->fault.kind)
        fault_set(&c->fault, kind, "%s", text);
    return false;
}

/* The transcript of an ASK becomes the body of a request. */
static bool read_transcript(struct call *c, const struct frame *f)
{
    struct transcript t;
    struct error e;
    BUF_CLEANUP struct buf text = BUF_INIT(FRAME_LARGE_MAX);
    ARENA_CLEANUP struct arena a = ARENA_INIT(TRANSCRIPT_ARENA);
    enum err err = frame_large(f, DOOR_TRANSCRIPT, &text, &e);
    if (!err)
        err = transcript_parse(buf_slice(&text), &a, &t, &e);
    if (!err) {
        c->quirks = provider_quirks(c->provider, t.options.model) | (uint32_t)message_get_u64(f->message, DOOR_QUIRKS, 0);
        err = model_request_make(&t, c->provider, c->quirks, &c->request, &e);
    }
    if (err)
        return refuse(c, err == ERR_LIMIT ? FAULT_TOO_LARGE : FAULT_REQUEST, e.text);
    return true;
}

static bool read_where(struct call *c, const struct frame *f)
{
    struct error e;
    struct slice base = message_get(f->message, DOOR_BASE), path = c->request.path;
    if (!base.n)
        base = c->provider->base;
    if (c->look)
        path = c->provider->format == FORMAT_ANTHROPIC ? SLICE("/v1/models") : SLICE("/models");
    if (where_parse(base, path, &c->url, &c->origin, &e))
        return refuse(c, FAULT_NO_MODEL, e.text);
    return true;
}

/* D1, and no secret in clear over a network. */
static bool read_secret(struct call *c, const struct frame *f)
{
    struct slice name = message_get(f->message, DOOR_SECRET_NAME);
    if (!name.n)
        return true;
    struct credential *found = credential_find(&c->server->credentials, name);
    if (!found) {
        fault_set(&c->fault, FAULT_AUTH, "there is no secret %.*s", (int)(name.n < CREDENTIAL_NAME_MAX ? name.n : CREDENTIAL_NAME_MAX), name.p);
        return false;
    }
    if (!origin_eq(&found->origin, &c->origin)) {
        fault_set(&c->fault, FAULT_AUTH, "the secret %s is for %s and is not sent to %s", found->name,
                  origin_text(&found->origin).text, origin_text(&c->origin).text);
        return false;
    }
    c->credential = credential_hold(found);
    struct slice value = {found->value, found->n};
    c->raw = scrub_new(value);
    c->words = scrub_new(value);
    return true;
}

static bool read_call(struct call *c, struct frame *f)
{
    c->provider = provider_find(message_get(f->message, DOOR_PROVIDER));
    c->connect_ns = read_ms(f, DOOR_CONNECT_MS, CALL_CONNECT_MS);
    c->idle_ns = read_ms(f, DOOR_IDLE_MS, CALL_IDLE_MS);
    c->total_ns = read_ms(f, DOOR_TOTAL_MS, CALL_TOTAL_MS);
    if (!c->provider)
        return refuse(c, FAULT_NO_MODEL, "the provider is not known here");
    return (c->look || read_transcript(c, f)) && read_where(c, f) && read_secret(c, f);
}

void call_open(struct server *s, struct frame *f)
{
    struct error e;
    bool twice = find(s, f->id) != NULL;
    struct call *c = make(s, f);
    if (!c) {
        error_set(&e, ERR_MEMORY, "no memory for a call");
        server_fail(s, f->id, &e);
        return;
    }
    if (twice)
        refuse(c, FAULT_REQUEST, "a call of this number is under way already");
    else if (s->ncalls > SERVER_CALLS_MAX)
        refuse(c, FAULT_OVERLOADED, "too many calls are under way");
    if (c->fault.kind || !read_call(c, f))
        call_finish(c, NULL);
    else
        call_dial(c);
}

/* ---- the address ---- */

/* A name may have several addresses; those that may not be dialled are left out. */
static bool resolved(struct call *c, const struct name_answer *r)
{
    BUF_CLEANUP struct buf list = BUF_INIT(1024);
    size_t kept = 0;
    buf_addf(&list, "%s:%u:", c->origin.host, c->origin.port);
    for (size_t i = 0; i < r->n; i++) {
        enum address_kind kind;
        if (address_parse(r->addresses[i], &kind) && kind != ADDRESS_REFUSED)
            buf_addf(&list, "%s%s", kept++ ? "," : "", r->addresses[i]);
    }
    if (!kept) {
        fault_set(&c->fault, FAULT_NO_MODEL, "%s leads to an address that is never dialled (link-local, or of a cloud's metadata)", c->origin.host);
        return false;
    }
    c->resolve = curl_slist_append(NULL, buf_str(&list));
    return c->resolve || refuse(c, FAULT_SERVER, "no memory for an address");
}

void call_dial(struct call *c)
{
    struct name_answer r = {.state = NAME_KNOWN};
    bool well = true;
    if (host_is_name(c->origin.host)) {
        names_look(c->origin.host, &r);
        if (r.state == NAME_ASKED) {
            c->stage = CALL_NAME;
            server_alarm(c->server, c->begun_ns + c->connect_ns);
            return;
        }
        if (r.state == NAME_FAILED)
            fault_set(&c->fault, r.may_pass ? FAULT_SERVER : FAULT_NO_MODEL, "the host %s cannot be found: %s", c->origin.host, r.why);
        well = r.state == NAME_KNOWN && resolved(c, &r);
    }
    if (!well || !transfer_start(c)) {
        call_finish(c, NULL);
        return;
    }
    c->stage = CALL_MOVING;
    server_alarm(c->server, c->begun_ns + c->total_ns);
}

/* ---- the end ---- */

void call_finish(struct call *c, const char *why)
{
    if (c->stage == CALL_ENDED)
        return;
    answer_finish(c, why);
    c->wall_ns = sys->boottime_ns() - c->begun_ns;
    c->stage = CALL_ENDED;
    release_request(c);
    server_dirty(c->server, c);
}

void call_cancel(struct server *s, uint64_t id)
{
    struct call *c = find(s, id);
    if (!c || c->stage == CALL_ENDED)
        return;
    fault_set(&c->fault, FAULT_CUT, "stopped on request");
    call_finish(c, NULL);
}

static int64_t deadline(const struct call *c)
{
    int64_t at = c->begun_ns + (c->stage == CALL_NAME && c->connect_ns < c->total_ns ? c->connect_ns : c->total_ns);
    if (c->over && c->end_ns < at)
        at = c->end_ns;
    if (c->sent && !c->paused && !c->over && c->last_ns + c->idle_ns < at)
        at = c->last_ns + c->idle_ns;
    return at;
}

static void time_is_up(struct call *c, int64_t now_ns)
{
    const struct origin_text where = origin_text(&c->origin);
    if (c->over)
        return call_finish(c, NULL);
    if (now_ns >= c->begun_ns + c->total_ns)
        fault_set(&c->fault, FAULT_TIMEOUT, "the answer of %s was not there within %lld ms", where.text, (long long)(c->total_ns / 1000000));
    else if (c->stage == CALL_NAME)
        fault_set(&c->fault, FAULT_TIMEOUT, "the address of %s was not there within %lld ms", where.text, (long long)(c->connect_ns / 1000000));
    else
        fault_set(&c->fault, FAULT_TIMEOUT, "%s said nothing for %lld ms", where.text, (long long)(c->idle_ns / 1000000));
    call_finish(c, NULL);
}

int64_t calls_alarm(struct server *s, int64_t now_ns)
{
    int64_t soonest = -1;
    for (struct call *c = s->calls, *next; c; c = next) {
        next = c->next;
        if (c->stage == CALL_ENDED)
            continue;
        int64_t at = deadline(c);
        if (at <= now_ns)
            time_is_up(c, now_ns);
        else if (soonest < 0 || at < soonest)
            soonest = at;
    }
    return soonest;
}
