/*
 * OpenAI Chat Completions: https://platform.openai.com/docs/api-reference/chat, and what its imitators make of it,
 * by the flags of provider.h.
 */
#include <string.h>

#include "model/internal.h"

#define NO_IMAGE "(An image was left out: this model takes none.)"

/* ---- content: a plain string where it can be one, because some servers take nothing else ---- */

static struct json *text_part(struct slice text)
{
    struct json *o = json_object();
    json_put_text(o, "type", SLICE("text"));
    json_put_text(o, "text", text);
    return o;
}

static struct json *image_part(struct script *s, const struct transcript_part *p)
{
    BUF_CLEANUP struct buf b = BUF_INIT(TRANSCRIPT_NAME_MAX + 32);
    buf_addf(&b, "data:%.*s;base64,", (int)(p->name.n < TRANSCRIPT_NAME_MAX ? p->name.n : TRANSCRIPT_NAME_MAX), p->name.p);
    struct json *o = json_object(), *url = json_object();
    json_put_text(o, "type", SLICE("image_url"));
    put_base64(s, url, "url", written(s, &b), p->text);
    json_put(o, "image_url", url);
    return o;
}

/* What a message says, as it grows: texts joined by an empty line, or parts. */
struct content {
    struct script *s;
    struct buf text;
    struct json *parts; /* NULL while a string will do */
};

static void content_to_parts(struct content *c)
{
    if (c->parts)
        return;
    c->parts = json_array();
    if (written(c->s, &c->text).n)
        json_push(c->parts, text_part(buf_slice(&c->text)));
    buf_reset(&c->text);
}

static void content_add(struct content *c, struct slice text, bool mark)
{
    if (mark && script_has(c->s, QUIRK_CACHE_CONTROL))
        content_to_parts(c);
    if (c->parts) {
        struct json *part = text_part(text);
        if (mark && script_has(c->s, QUIRK_CACHE_CONTROL))
            json_put(part, "cache_control", cache_control(c->s->t));
        json_push(c->parts, part);
        return;
    }
    if (c->text.n)
        buf_add_text(&c->text, "\n\n");
    buf_add(&c->text, text);
}

static void content_add_image(struct content *c, const struct item *it)
{
    if (script_has(c->s, QUIRK_NO_IMAGES)) {
        content_add(c, SLICE(NO_IMAGE), it->mark);
        return;
    }
    content_to_parts(c);
    struct json *part = image_part(c->s, it->part);
    if (it->mark && script_has(c->s, QUIRK_CACHE_CONTROL))
        json_put(part, "cache_control", cache_control(c->s->t));
    json_push(c->parts, part);
}

static bool content_is_empty(const struct content *c)
{
    return !c->parts && !written(c->s, &c->text).n;
}

/* Puts it and lets go of it. */
static void content_put(struct content *c, struct json *message)
{
    struct slice text = written(c->s, &c->text);
    if (c->parts)
        json_put(message, "content", c->parts);
    else
        json_put_text(message, "content", text);
    buf_release(&c->text);
    c->parts = NULL;
}

static struct json *message_of(const char *role)
{
    struct json *m = json_object();
    json_put_text(m, "role", slice_of(role));
    return m;
}

/* ---- a user's turn: results, then words ---- */

static void add_result_text(struct content *c, const struct item *it)
{
    BUF_CLEANUP struct buf b = BUF_INIT(REQUEST_BYTES_MAX);
    if (it->kind == ITEM_PART && script_has(c->s, QUIRK_RESULTS_AS_USER))
        buf_addf(&b, "[%.*s returned]\n", SLICE_ARG(it->name));
    if (it->part->is_error)
        buf_add_text(&b, "error: ");
    buf_add(&b, it->part->text);
    content_add(c, written(c->s, &b), it->mark);
}

static void push_result(struct script *s, struct json *list, const struct item *it)
{
    struct content c = {.s = s, .text = BUF_INIT(REQUEST_BYTES_MAX)};
    struct json *m = message_of("tool");
    json_put_text(m, "tool_call_id", it->id);
    if (script_has(s, QUIRK_RESULT_NAME))
        json_put_text(m, "name", it->name);
    add_result_text(&c, it);
    content_put(&c, m);
    json_push(list, m);
}

static void push_user(struct script *s, struct json *list, const struct message *from, struct slice before)
{
    struct content c = {.s = s, .text = BUF_INIT(REQUEST_BYTES_MAX)};
    bool results = false;
    if (before.n)
        content_add(&c, before, false);
    for (size_t i = 0; i < from->n; i++) {
        const struct item *it = &from->items[i];
        bool result = it->part->kind == PART_RESULT;
        if (result && it->kind == ITEM_PART && !script_has(s, QUIRK_RESULTS_AS_USER)) {
            push_result(s, list, it);
            results = true;
        } else if (result) {
            add_result_text(&c, it);
        } else if (it->part->kind == PART_IMAGE) {
            content_add_image(&c, it);
        } else {
            content_add(&c, it->part->text, it->mark);
        }
    }
    if (content_is_empty(&c))
        return; /* or it was refused: noted, and nothing will be sent */
    if (results && script_has(s, QUIRK_ASSISTANT_AFTER_RESULT)) {
        struct json *m = message_of("assistant");
        json_put_text(m, "content", SLICE("OK."));
        json_push(list, m);
    }
    struct json *m = message_of("user");
    content_put(&c, m);
    json_push(list, m);
}

/* ---- an assistant's turn ---- */

static struct json *call_json(struct script *s, const struct item *it)
{
    BUF_CLEANUP struct buf text = BUF_INIT(REQUEST_BYTES_MAX);
    struct json *o = json_object(), *f = json_object();
    json_put_text(o, "id", it->id);
    json_put_text(o, "type", SLICE("function"));
    json_put_text(f, "name", it->name);
    if (!it->part->malformed && arguments_ok(it->part->text)) {
        json_put_text(f, "arguments", it->part->text);
    } else {
        JSON_CLEANUP struct json *v = call_arguments(it->part);
        json_print(v, &text);
        json_put_text(f, "arguments", written(s, &text));
    }
    json_put(o, "function", f);
    return o;
}

static void add_call_text(struct content *c, const struct item *it)
{
    BUF_CLEANUP struct buf b = BUF_INIT(REQUEST_BYTES_MAX);
    buf_addf(&b, "[%.*s was called with ", SLICE_ARG(it->name));
    buf_add(&b, it->part->text);
    buf_add_char(&b, ']');
    content_add(c, written(c->s, &b), it->mark);
}

/* Reasoning that is here may be sent (script.c); it stands in the field that the server has for it. */
static void put_reasoning(struct script *s, struct json *m, const struct message *from)
{
    BUF_CLEANUP struct buf text = BUF_INIT(REQUEST_BYTES_MAX);
    struct json *details = json_array();
    for (size_t i = 0; i < from->n; i++) {
        const struct transcript_part *p = from->items[i].part;
        if (p->kind != PART_REASONING)
            continue;
        JSON_CLEANUP struct json *list = p->form == REASONING_DETAILS ? json_of(p->opaque) : NULL;
        for (size_t k = 0; k < json_count(list) && json_type(list) == JSON_ARRAY; k++)
            json_push(details, json_clone(json_at(list, k)));
        if (p->form == REASONING_PLAIN)
            buf_add(&text, p->text);
    }
    if (json_count(details))
        json_put(m, "reasoning_details", details);
    else
        json_free(details);
    if (written(s, &text).n)
        json_put_text(m, script_has(s, QUIRK_REASONING_CONTENT) ? "reasoning_content" : "reasoning", buf_slice(&text));
}

static void push_assistant(struct script *s, struct json *list, const struct message *from)
{
    struct content c = {.s = s, .text = BUF_INIT(REQUEST_BYTES_MAX)};
    struct json *m = message_of("assistant"), *calls = json_array();
    bool as_text = script_has(s, QUIRK_RESULTS_AS_USER);
    for (size_t i = 0; i < from->n; i++) {
        const struct item *it = &from->items[i];
        if (it->part->kind == PART_TEXT)
            content_add(&c, it->part->text, it->mark);
        else if (it->part->kind == PART_CALL && as_text)
            add_call_text(&c, it);
        else if (it->part->kind == PART_CALL)
            json_push(calls, call_json(s, it));
    }
    if (content_is_empty(&c) && !script_has(s, QUIRK_EMPTY_CONTENT))
        json_put(m, "content", NULL);
    else
        content_put(&c, m);
    put_reasoning(s, m, from);
    if (json_count(calls))
        json_put(m, "tool_calls", calls);
    else
        json_free(calls);
    json_push(list, m);
}

/* ---- the list of messages ---- */

static void add_system(struct script *s, struct content *c)
{
    for (size_t i = 0; i < s->t->nsystem; i++)
        if (slice_trim(s->t->system[i]).n)
            content_add(c, s->t->system[i], s->system_mark[i]);
}

static struct json *messages(struct script *s)
{
    struct content system = {.s = s, .text = BUF_INIT(REQUEST_BYTES_MAX)};
    BUF_CLEANUP struct buf before = BUF_INIT(REQUEST_BYTES_MAX);
    struct json *list = json_array();
    if (script_has(s, QUIRK_SYSTEM_AS_USER))
        memset(s->system_mark, 0, sizeof s->system_mark); /* so that it stays a string */
    add_system(s, &system);
    if (script_has(s, QUIRK_SYSTEM_AS_USER)) {
        buf_add(&before, written(s, &system.text));
        written(s, &before);
        buf_release(&system.text);
    } else if (!content_is_empty(&system)) {
        struct json *m = message_of(script_has(s, QUIRK_DEVELOPER_ROLE) ? "developer" : "system");
        content_put(&system, m);
        json_push(list, m);
    }
    for (size_t i = 0; i < s->n; i++)
        if (s->messages[i].role == TURN_ASSISTANT)
            push_assistant(s, list, &s->messages[i]);
        else
            push_user(s, list, &s->messages[i], i == 0 ? buf_slice(&before) : SLICE_NONE);
    return list;
}

/* ---- tools and options ---- */

static void put_tools(struct script *s, struct json *body)
{
    if (!sends_tools(s) && !(s->has_calls && script_has(s, QUIRK_TOOLS_WITH_HISTORY)))
        return;
    struct json *list = json_array();
    for (size_t i = 0; sends_tools(s) && i < s->t->ntools; i++) {
        const struct transcript_tool *tool = &s->t->tools[i];
        struct json *o = json_object(), *f = json_object();
        json_put_text(o, "type", SLICE("function"));
        json_put_text(f, "name", tool->name);
        json_put_text(f, "description", tool->description);
        json_put(f, "parameters", json_of(tool->schema));
        json_put(o, "function", f);
        if (s->tools_mark && i + 1 == s->t->ntools && script_has(s, QUIRK_CACHE_CONTROL))
            json_put(o, "cache_control", cache_control(s->t));
        json_push(list, o);
    }
    json_put(body, "tools", list);
}

static void put_choice(struct script *s, struct json *body)
{
    const struct transcript_options *o = &s->t->options;
    if (!sends_tools(s))
        return;
    if (o->serial && !script_has(s, QUIRK_NO_PARALLEL_FIELD))
        json_put_bool(body, "parallel_tool_calls", false);
    if (script_has(s, QUIRK_NO_TOOL_CHOICE) || (o->choice != CHOICE_NONE && !is_forced(s)))
        return; /* "auto" is what they do without it */
    if (o->choice != CHOICE_ONE) {
        json_put_text(body, "tool_choice", o->choice == CHOICE_NONE ? SLICE("none") : SLICE("required"));
        return;
    }
    struct json *v = json_object(), *f = json_object();
    json_put_text(v, "type", SLICE("function"));
    json_put_text(f, "name", o->tool);
    json_put(v, "function", f);
    json_put(body, "tool_choice", v);
}

static void put_effort(struct script *s, struct json *body)
{
    struct slice effort = s->t->options.effort;
    if (!effort.n || script_has(s, QUIRK_NO_EFFORT))
        return;
    if (!script_has(s, QUIRK_EFFORT_OBJECT)) {
        json_put_text(body, "reasoning_effort", effort);
        return;
    }
    struct json *o = json_object();
    json_put_text(o, "effort", effort);
    json_put(body, "reasoning", o);
}

static void put_options(struct script *s, struct json *body)
{
    const struct transcript_options *o = &s->t->options;
    json_put_int(body, script_has(s, QUIRK_MAX_COMPLETION_TOKENS) ? "max_completion_tokens" : "max_tokens", o->max_output);
    if (o->temperature_milli >= 0 && !script_has(s, QUIRK_NO_TEMPERATURE))
        json_put(body, "temperature", json_milli(o->temperature_milli));
    if (o->seed >= 0 && !script_has(s, QUIRK_NO_SEED))
        json_put_int(body, script_has(s, QUIRK_RANDOM_SEED) ? "random_seed" : "seed", o->seed);
    if (o->nstops && !script_has(s, QUIRK_NO_STOP)) {
        struct json *stops = json_array();
        for (size_t i = 0; i < o->nstops; i++)
            json_push(stops, json_new_text(o->stops[i]));
        json_put(body, "stop", stops);
    }
    put_effort(s, body);
}

struct json *body_openai(struct script *s)
{
    struct json *body = json_object();
    bool stream = !script_has(s, QUIRK_NO_STREAM);
    json_put_text(body, "model", s->t->options.model);
    json_put_bool(body, "stream", stream);
    if (stream && !script_has(s, QUIRK_NO_STREAM_OPTIONS)) {
        struct json *o = json_object();
        json_put_bool(o, "include_usage", true);
        json_put(body, "stream_options", o);
    }
    put_options(s, body);
    put_tools(s, body);
    put_choice(s, body);
    json_put(body, "messages", messages(s));
    return body;
}
