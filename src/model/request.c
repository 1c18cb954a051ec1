#include "model/request.h"

#include <string.h>

#include "model/base64.h"
#include "model/internal.h"

enum { SCRATCH_BYTES = 64 * 1024 * 1024 };

void model_request_release(struct model_request *r)
{
    if (r)
        buf_release(&r->body);
}

/* ---- what both formats write ---- */

struct json *json_of(struct slice text)
{
    struct json *v = NULL;
    return json_parse(text, &v, NULL) ? NULL : v;
}

struct json *call_arguments(const struct transcript_part *call)
{
    struct json *v = call->malformed ? NULL : json_of(call->text);
    if (json_type(v) == JSON_OBJECT)
        return v;
    json_free(v);
    v = json_object();
    json_put_text(v, "malformed_arguments", call->text);
    return v;
}

struct json *cache_control(const struct transcript *t)
{
    struct json *o = json_object();
    json_put_text(o, "type", SLICE("ephemeral"));
    if (t->options.cache_hour)
        json_put_text(o, "ttl", SLICE("1h"));
    return o;
}

struct slice written(struct script *s, const struct buf *b)
{
    s->too_long |= !buf_ok(b) && !b->refused;
    s->no_memory |= b->refused;
    return buf_slice(b);
}

void put_base64(struct script *s, struct json *o, const char *key, struct slice prefix, struct slice bytes)
{
    BUF_CLEANUP struct buf b = BUF_INIT(REQUEST_BYTES_MAX);
    buf_add(&b, prefix);
    base64_add(&b, bytes);
    json_put_text(o, key, written(s, &b));
}

bool is_forced(const struct script *s)
{
    const struct transcript_options *o = &s->t->options;
    bool thinks = s->provider->format == FORMAT_ANTHROPIC && o->thinking_tokens > 0;
    return (o->choice == CHOICE_ANY || o->choice == CHOICE_ONE) && !thinks && !script_has(s, QUIRK_NO_FORCED_CHOICE);
}

struct json *json_milli(int64_t v)
{
    BUF_CLEANUP struct buf b = BUF_INIT(32);
    buf_addf(&b, "%lld.%03d", (long long)(v / 1000), (int)(v % 1000));
    return json_of(buf_slice(&b));
}

bool sends_tools(const struct script *s)
{
    return s->t->ntools && !(s->t->options.choice == CHOICE_NONE && script_has(s, QUIRK_NO_TOOL_CHOICE));
}

/* ---- checks ---- */

static bool name_ok(struct slice name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return name.n >= 1 && name.n <= REQUEST_TOOL_NAME_MAX;
}

static enum err check_tools(const struct transcript *t, struct error *e)
{
    bool chosen = t->options.choice != CHOICE_ONE;
    for (size_t i = 0; i < t->ntools; i++) {
        const struct transcript_tool *tool = &t->tools[i];
        struct slice shown = slice_sub(tool->name, 0, REQUEST_TOOL_NAME_MAX);
        if (!name_ok(tool->name))
            return error_set(e, ERR_USAGE, "tool \"%.*s\": a name has 1 to %d letters, digits, '_' and '-'", SLICE_ARG(shown),
                             REQUEST_TOOL_NAME_MAX);
        if (!arguments_ok(tool->schema))
            return error_set(e, ERR_USAGE, "tool \"%.*s\": its schema is no JSON object", SLICE_ARG(shown));
        chosen |= slice_eq(tool->name, t->options.tool);
    }
    if (!chosen)
        return error_set(e, ERR_USAGE, "the tool to be called is not among the tools that are offered");
    return OK;
}

static enum err check(const struct transcript *t, struct error *e)
{
    if (!t->options.model.n)
        return error_set(e, ERR_USAGE, "no model is named");
    if (t->options.max_output < 1)
        return error_set(e, ERR_USAGE, "a request needs a limit of output tokens");
    if (t->options.nstops > TRANSCRIPT_STOPS_MAX || t->nsystem > TRANSCRIPT_SYSTEM_MAX || t->ntools > TRANSCRIPT_TOOLS_MAX)
        return error_set(e, ERR_USAGE, "too many stop texts, system texts or tools");
    return check_tools(t, e);
}

/* ---- the request ---- */

static void add_header(struct model_request *r, struct slice name, struct slice value)
{
    ASSERT(r->nheaders < REQUEST_HEADERS_MAX);
    r->headers[r->nheaders++] = (struct request_header){name, value};
}

static void address(struct model_request *r, enum model_format format)
{
    add_header(r, SLICE("content-type"), SLICE("application/json"));
    add_header(r, SLICE("accept"), r->stream ? SLICE("text/event-stream") : SLICE("application/json"));
    if (format == FORMAT_ANTHROPIC)
        add_header(r, SLICE("anthropic-version"), SLICE("2023-06-01"));
    r->path = format == FORMAT_ANTHROPIC ? SLICE("/v1/messages") : SLICE("/chat/completions");
}

static enum err print(struct script *s, struct buf *to, struct error *e)
{
    JSON_CLEANUP struct json *v = s->provider->format == FORMAT_ANTHROPIC ? body_anthropic(s) : body_openai(s);
    json_print(v, to);
    if (s->no_memory)
        return error_set(e, ERR_MEMORY, "no memory for a request");
    if (s->too_long)
        return error_set(e, ERR_LIMIT, "a request of more than %d bytes", REQUEST_BYTES_MAX);
    return buf_check(to, "a request", e);
}

enum err model_request_make(const struct transcript *t, const struct provider *p, uint32_t quirks, struct model_request *ret,
                            struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(SCRATCH_BYTES);
    struct script s = {.t = t, .provider = p, .quirks = quirks};
    struct model_request r = {.body = BUF_INIT(REQUEST_BYTES_MAX), .stream = !(quirks & QUIRK_NO_STREAM)};
    enum err err = check(t, e);
    if (!err)
        err = script_make(&s, &a, e);
    if (!err)
        err = print(&s, &r.body, e);
    if (err) {
        model_request_release(&r);
        return err;
    }
    address(&r, p->format);
    r.filled = s.filled;
    r.images = s.images;
    *ret = r;
    return OK;
}
