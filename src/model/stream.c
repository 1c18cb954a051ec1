/* Bytes to lines, lines to events, events to whom they belong; and the end. */
#include "model/stream.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "model/stream_internal.h"

enum { STRANGE_MAX = 300 };

const char *stop_name(enum stop_reason r)
{
    static const char *const names[] = {"none", "end", "calls", "length", "pause", "refused"};
    return (unsigned)r < sizeof names / sizeof *names ? names[r] : "unknown";
}

/* ---- made and freed ---- */

struct stream *stream_new(const struct stream_setup *setup)
{
    struct stream *s = sys->realloc(NULL, sizeof *s);
    if (!s)
        return NULL;
    *s = (struct stream){
        .setup = *setup,
        .provider = BUF_INIT(TRANSCRIPT_NAME_MAX),
        .line = BUF_INIT(STREAM_EVENT_MAX),
        .data = BUF_INIT(STREAM_EVENT_MAX),
        .strange = BUF_INIT(STRANGE_MAX),
        .usage = USAGE_NONE,
        .fault = {.status = setup->status, .retry_after_ms = setup->retry_after_ms},
        .held = BUF_INIT(STREAM_EVENT_MAX),
        .id = BUF_INIT(TRANSCRIPT_NAME_MAX),
        .model = BUF_INIT(TRANSCRIPT_NAME_MAX),
    };
    buf_add(&s->provider, slice_sub(setup->provider, 0, TRANSCRIPT_NAME_MAX));
    if (buf_ok(&s->provider))
        return s;
    stream_free(s);
    return NULL;
}

void stream_free(struct stream *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++) {
        struct growing *p = &s->parts[i];
        struct buf *all[] = {&p->text, &p->id, &p->name, &p->opaque, &p->input};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            buf_release(all[k]);
    }
    struct buf *all[] = {&s->provider, &s->line, &s->data, &s->strange, &s->held, &s->id, &s->model};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        buf_release(all[k]);
    sys->free(s->parts);
    sys->free(s);
}

static void tell_fault(struct stream *s)
{
    s->over = true;
    if (s->setup.take)
        s->setup.take(s->setup.ctx, &(struct stream_delta){.kind = DELTA_FAULT, .fault = &s->fault});
}

void stream_fail(struct stream *s, enum fault_kind kind, const char *fmt, ...)
{
    if (s->fault.kind)
        return;
    char text[FAULT_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fault_set(&s->fault, kind, "%s", text);
    tell_fault(s);
}

static void fail_as_said(struct stream *s, int status, const struct json *v, struct slice raw)
{
    if (s->fault.kind)
        return;
    fault_from(&s->fault, status, v, raw);
    tell_fault(s);
}

static int status_of(const struct stream *s)
{
    return s->setup.status ? s->setup.status : 200;
}

/* ---- events ---- */

static bool type_starts(const struct json *v, const char *key, const char *prefix)
{
    return slice_starts(json_text(json_get(v, key)), slice_of(prefix));
}

/* Whose words these are; NULL where they could be anybody's. */
static const char *format_of(const struct json *v)
{
    struct slice type = json_text(json_get(v, "type"));
    if (slice_is(type, "message") || type_starts(v, "type", "message_") || type_starts(v, "type", "content_block_"))
        return format_name(FORMAT_ANTHROPIC);
    if (type_starts(v, "type", "response.") || slice_is(json_text(json_get(v, "object")), "response"))
        return "OpenAI Responses";
    if (json_has(v, "choices") || type_starts(v, "object", "chat.completion"))
        return format_name(FORMAT_OPENAI);
    if (json_has(v, "candidates"))
        return "Google Gemini";
    if (json_type(json_get(v, "done")) == JSON_BOOL && json_has(v, "created_at"))
        return "Ollama's own API";
    return NULL;
}

static void take_object(struct stream *s, const struct json *v)
{
    const char *theirs = format_of(v), *ours = format_name(s->setup.format);
    if (json_type(v) == JSON_ARRAY && json_count(v) == 1)
        v = json_at(v, 0); /* Google's way of saying an error */
    if (json_type(v) != JSON_OBJECT) {
        stream_fail(s, FAULT_BROKEN, "the answer is JSON, but no object");
    } else if (fault_is(v)) {
        fail_as_said(s, status_of(s), v, SLICE_NONE);
    } else if (theirs && strcmp(theirs, ours) != 0) {
        stream_fail(s, FAULT_FORMAT, "the server answers in the format of %s, but its entry says %s", theirs, ours);
    } else if (theirs) {
        s->any = true;
        if (s->setup.format == FORMAT_ANTHROPIC)
            read_anthropic(s, v);
        else
            read_openai(s, v);
    }
}

/* Parses; what is not UTF-8 (a character cut in two by the server) is mended first. */
static enum err parse_mended(struct slice text, struct json **ret, struct error *e)
{
    if (slice_is_utf8(text))
        return json_parse(text, ret, e);
    JSON_CLEANUP struct json *mended = json_new_text(text);
    return json_parse(json_text(mended), ret, e);
}

/* The event that has been put together. At the end of the bytes half an event is a cut, otherwise it is nonsense. */
static void take_event(struct stream *s, bool at_end)
{
    JSON_CLEANUP struct json *v = NULL;
    struct error e = {0};
    struct slice data = slice_trim(buf_slice(&s->data));
    bool done = slice_is(data, "[DONE]");
    enum err err = done || !data.n ? OK : parse_mended(data, &v, &e);
    if (done)
        s->over = true;
    else if (err && !at_end)
        stream_fail(s, FAULT_BROKEN, "an event of the answer cannot be read: %s", e.text);
    else if (!err && data.n)
        take_object(s, v);
    if (done && s->any && !s->stop)
        stream_stop(s, STOP_END);
    buf_reset(&s->data);
    s->has_data = false;
}

/* ---- lines ---- */

static bool is_json(struct slice text)
{
    JSON_CLEANUP struct json *v = NULL;
    return parse_mended(text, &v, NULL) == OK;
}

static void add_data(struct stream *s, struct slice value, bool at_end)
{
    if (s->has_data && is_json(buf_slice(&s->data)))
        take_event(s, at_end); /* a server that puts no empty line between its events */
    if (s->over)
        return;
    if (s->has_data)
        buf_add_char(&s->data, '\n');
    buf_add(&s->data, value);
    s->has_data = true;
    if (!buf_ok(&s->data))
        stream_fail(s, FAULT_LIMIT, "an event of the answer is longer than %d bytes", STREAM_EVENT_MAX);
}

static void take_line(struct stream *s, bool at_end)
{
    struct slice line = buf_slice(&s->line);
    size_t colon = slice_index(line, ':');
    struct slice name = slice_sub(line, 0, colon), value = slice_sub(line, colon + 1, line.n);
    if (value.n && value.p[0] == ' ')
        value = slice_sub(value, 1, value.n);
    if (!line.n) {
        if (s->has_data)
            take_event(s, at_end);
    } else if (slice_is(name, "data")) {
        add_data(s, value, at_end);
    } else if (name.n && !slice_is(name, "event") && !slice_is(name, "id") && !slice_is(name, "retry") && !s->strange.n) {
        buf_add(&s->strange, slice_sub(line, 0, STRANGE_MAX));
    }
    buf_reset(&s->line);
}

static void feed_lines(struct stream *s, struct slice b)
{
    size_t from = 0;
    for (size_t i = 0; i < b.n && !s->over; i++) {
        char c = b.p[i];
        bool lf_of_crlf = c == '\n' && s->after_cr;
        s->after_cr = false;
        if (c != '\n' && c != '\r')
            continue;
        buf_add(&s->line, slice_sub(b, from, i - from));
        from = i + 1;
        if (lf_of_crlf)
            continue;
        s->after_cr = c == '\r';
        if (buf_ok(&s->line))
            take_line(s, false);
        else
            break;
    }
    if (!s->over && buf_ok(&s->line))
        buf_add(&s->line, slice_sub(b, from, b.n));
    if (!buf_ok(&s->line))
        stream_fail(s, FAULT_LIMIT, "a line of the answer is longer than %d bytes", STREAM_EVENT_MAX);
}

/* ---- which kind of answer it is ---- */

static bool is_error_status(const struct stream *s)
{
    return status_of(s) >= 300;
}

static void feed_whole(struct stream *s, struct slice b)
{
    size_t room = (is_error_status(s) ? STREAM_ERROR_MAX : STREAM_EVENT_MAX) - s->data.n;
    if (b.n > room && !is_error_status(s))
        stream_fail(s, FAULT_LIMIT, "the answer is longer than %d bytes", STREAM_EVENT_MAX);
    else
        buf_add(&s->data, slice_sub(b, 0, room));
    if (!buf_ok(&s->data))
        stream_fail(s, FAULT_LIMIT, "there is no memory for the answer");
}

/* Looks for the first byte that tells; what stands before it says nothing. */
static struct slice skip_start(struct stream *s, struct slice b)
{
    static const char mark[] = "\xef\xbb\xbf";
    size_t i = 0;
    for (; i < b.n; i++) {
        if (s->mark < 3 && b.p[i] == mark[s->mark])
            s->mark++;
        else if (strchr(" \t\r\n", b.p[i]) && b.p[i])
            s->mark = 3;
        else
            break;
    }
    b = slice_sub(b, i, b.n);
    if (b.n)
        s->mode = is_error_status(s) || strchr("{[<", b.p[0]) ? MODE_WHOLE : MODE_EVENTS;
    return b;
}

bool stream_feed(struct stream *s, struct slice b)
{
    if (s->over)
        return false;
    if (b.n > STREAM_BYTES_MAX - s->bytes) {
        stream_fail(s, FAULT_LIMIT, "the answer is longer than %d bytes", STREAM_BYTES_MAX);
        return false;
    }
    s->bytes += b.n;
    if (s->mode == MODE_START)
        b = skip_start(s, b);
    if (s->mode == MODE_EVENTS)
        feed_lines(s, b);
    else if (s->mode == MODE_WHOLE)
        feed_whole(s, b);
    return !s->over;
}

/* ---- the end ---- */

/* An error that came as an event: the JSON behind "data:". */
static struct slice body_of(const struct stream *s)
{
    struct slice rest = slice_trim(buf_slice(&s->data)), line, all = rest;
    if (!slice_starts(all, SLICE("data:")) && !slice_starts(all, SLICE("event:")))
        return all;
    while (slice_line(&rest, &line))
        if (slice_starts(line, SLICE("data:")))
            return slice_trim(slice_sub(line, 5, line.n));
    return all;
}

static void end_whole(struct stream *s, const char *why)
{
    JSON_CLEANUP struct json *v = NULL;
    struct error e = {0};
    struct slice body = body_of(s);
    enum err err = parse_mended(body, &v, &e);
    const struct json *first = json_type(v) == JSON_ARRAY ? json_at(v, 0) : v;
    struct slice shown = slice_sub(body, 0, 200);
    if (is_error_status(s))
        fail_as_said(s, status_of(s), err ? NULL : first, err ? shown : SLICE_NONE);
    else if (err && why)
        stream_fail(s, FAULT_CUT, "the answer ended before its end: %s", why);
    else if (err)
        stream_fail(s, FAULT_BROKEN, "this is no answer of %s: %.*s", format_name(s->setup.format), SLICE_ARG(shown));
    else
        take_object(s, v);
    if (!s->fault.kind && s->any && !s->stop)
        stream_stop(s, STOP_END); /* it did not say why it ended, but it did */
}

static void end_events(struct stream *s)
{
    take_line(s, true);
    if (!s->over && s->has_data)
        take_event(s, true);
}

/* Nothing that was recognised: perhaps not a model's server at all. */
static void end_strange(struct stream *s, const char *why)
{
    struct slice shown = buf_slice(&s->strange);
    if (why || (!shown.n && !s->bytes))
        stream_fail(s, FAULT_CUT, "the server sent no answer: %s", why ? why : "the connection ended");
    else
        stream_fail(s, FAULT_BROKEN, "this is no answer of %s%s%.*s", format_name(s->setup.format), shown.n ? ": " : "",
                    SLICE_ARG(shown));
}

static void end(struct stream *s, const char *why)
{
    if (!s->over && s->mode == MODE_EVENTS)
        end_events(s);
    else if (!s->over && (s->mode == MODE_WHOLE || is_error_status(s)))
        end_whole(s, why);
    if (!s->over)
        think_flush(s);
    if (!s->fault.kind && !s->any)
        end_strange(s, why);
    else if (!s->fault.kind && !s->stop)
        stream_fail(s, FAULT_CUT, "the answer ended before its end%s%s", why ? ": " : "", why ? why : "");
    s->over = true;
}

static bool copy(struct arena *a, const struct buf *b, struct slice *ret)
{
    *ret = arena_copy(a, buf_slice(b));
    return ret->p != NULL;
}

/* What a call's arguments have come to (stream.h, and R3 of transcript.h). */
static bool finish_call(struct stream *s, const struct growing *g, bool last, struct arena *a, struct transcript_part *p)
{
    bool cut = last && s->stop == STOP_LENGTH && !slice_trim(p->text).n;
    if (!cut && !slice_trim(p->text).n)
        p->text = SLICE("{}");
    p->malformed = cut || !arguments_ok(p->text);
    if (!g->id.n) {
        char *id = arena_printf(a, "call_%zu", (size_t)(g - s->parts));
        p->id = slice_of(id);
        return id != NULL;
    }
    return true;
}

static bool finish_reasoning(struct stream *s, const struct growing *g, struct arena *a, struct transcript_part *p)
{
    p->form = g->form;
    if (g->form == REASONING_DETAILS) {
        char *list = arena_printf(a, "[%s]", buf_str(&g->opaque));
        p->opaque = slice_of(list);
        if (!list)
            return false;
    }
    return copy(a, &s->provider, &p->name);
}

static bool finish_part(struct stream *s, const struct growing *g, struct arena *a, struct transcript_part *p)
{
    p->kind = g->kind;
    if (!copy(a, &g->text, &p->text) || !copy(a, &g->id, &p->id) || !copy(a, &g->name, &p->name) ||
        !copy(a, &g->opaque, &p->opaque))
        return false;
    if (g->kind == PART_CALL)
        return finish_call(s, g, g + 1 == s->parts + s->n, a, p);
    return g->kind != PART_REASONING || finish_reasoning(s, g, a, p);
}

static bool is_wanted(struct stream *s, const struct growing *g, size_t *dropped)
{
    if (g->kind == PART_CALL && (!g->ended || s->fault.kind)) {
        *dropped += !g->ended;
        return g->ended;
    }
    return g->kind && (g->text.n || g->opaque.n || g->kind == PART_CALL);
}

enum err stream_finish(struct stream *s, const char *why, struct arena *a, struct stream_answer *ret, struct error *e)
{
    end(s, why);
    struct stream_answer r = {.turn = {.role = TURN_ASSISTANT}, .stop = s->stop, .usage = s->usage, .fault = s->fault};
    bool well = copy(a, &s->id, &r.id) && copy(a, &s->model, &r.model) &&
                (r.turn.parts = arena_array(a, s->n, sizeof *r.turn.parts)) != NULL;
    for (size_t i = 0; well && i < s->n; i++)
        if (is_wanted(s, &s->parts[i], &r.dropped))
            well = finish_part(s, &s->parts[i], a, &r.turn.parts[r.turn.n++]);
    if (!well)
        return error_set(e, ERR_MEMORY, "no memory for the model's answer");
    *ret = r;
    return OK;
}
