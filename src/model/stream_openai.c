/*
 * Chat Completions: chunks with `delta`, or a whole answer with `message`; both have the same fields.
 *
 * Servers differ in how they tell calls apart: by `index` (OpenAI), by `id` alone, with the same index for all of them
 * (some gateways to Gemini), or by nothing but a new name.
 */
#include "model/stream_internal.h"

static const struct stop_word stops[] = {
    {"stop", STOP_END},         {"eos", STOP_END},          {"tool_calls", STOP_CALLS},       {"function_call", STOP_CALLS},
    {"length", STOP_LENGTH},    {"max_tokens", STOP_LENGTH}, {"model_length", STOP_LENGTH},   {"content_filter", STOP_REFUSED},
};

static void wrong(struct stream *s, const char *field)
{
    stream_fail(s, FAULT_BROKEN, "\"%s\" of the answer is not what %s has there", field, format_name(FORMAT_OPENAI));
}

/* ---- text and reasoning ---- */

void add_text(struct stream *s, struct slice text)
{
    struct growing *p = part_last(s, PART_TEXT);
    if (text.n && (p || (p = part_add(s, PART_TEXT, -1))))
        part_say(s, p, text);
}

static struct growing *reasoning_part(struct stream *s)
{
    struct growing *p = part_last(s, PART_REASONING);
    if (!p && (p = part_add(s, PART_REASONING, -1)))
        p->form = REASONING_PLAIN;
    return p;
}

void add_reasoning(struct stream *s, struct slice text)
{
    struct growing *p = text.n ? reasoning_part(s) : NULL;
    if (p)
        part_say(s, p, text);
}

/* Content as a list: Mistral's way of telling thinking from text. */
static void add_content_list(struct stream *s, const struct json *list)
{
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *o = json_at(list, i), *thinking = json_get(o, "thinking");
        if (slice_is(json_text(json_get(o, "type")), "text"))
            add_text(s, json_text(json_get(o, "text")));
        add_reasoning(s, json_text(thinking));
        for (size_t k = 0; json_type(thinking) == JSON_ARRAY && k < json_count(thinking); k++)
            add_reasoning(s, json_text(json_get(json_at(thinking, k), "text")));
    }
}

static void read_content(struct stream *s, const struct json *v)
{
    switch (json_type(v)) {
    case JSON_NULL: break;
    case JSON_TEXT: think_text(s, json_text(v)); break;
    case JSON_ARRAY: add_content_list(s, v); break;
    default: wrong(s, "content");
    }
}

/* The pieces are sent back as they came, one after the other, in one list. */
static void read_details(struct stream *s, const struct json *list)
{
    struct growing *p = NULL;
    if (json_type(list) != JSON_ARRAY || !json_count(list))
        return;
    for (size_t i = s->n; i-- > 0 && !p;)
        if (s->parts[i].kind == PART_REASONING)
            p = &s->parts[i];
    if (!p && !(p = part_add(s, PART_REASONING, -1)))
        return;
    p->form = REASONING_DETAILS;
    for (size_t i = 0; i < json_count(list); i++) {
        BUF_CLEANUP struct buf b = BUF_INIT(STREAM_EVENT_MAX);
        json_print(json_at(list, i), &b);
        if (!buf_ok(&b))
            stream_fail(s, FAULT_LIMIT, "there is no memory for the answer");
        if (p->opaque.n)
            part_keep(s, &p->opaque, SLICE(","));
        part_keep(s, &p->opaque, buf_slice(&b));
    }
}

static void read_reasoning(struct stream *s, const struct json *o)
{
    static const char *const names[] = {"reasoning_content", "reasoning", "reasoning_text"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct slice text = json_text(json_get(o, names[i]));
        if (text.n) { /* some say it under two names */
            add_reasoning(s, text);
            break;
        }
    }
    read_details(s, json_get(o, "reasoning_details"));
}

/* ---- calls ---- */

static bool is_other(const struct buf *known, struct slice said)
{
    return known->n && said.n && !slice_eq(buf_slice(known), said);
}

/* The call that a piece belongs to; NULL where it begins a new one. */
static struct growing *call_of(struct stream *s, int64_t index, struct slice id, struct slice name)
{
    for (size_t i = s->n; i-- > 0;) {
        struct growing *p = &s->parts[i];
        if (p->kind != PART_CALL || p->ended || (index >= 0 && p->index != index))
            continue;
        if (is_other(&p->id, id))
            return NULL;
        return index < 0 && name.n && !id.n ? NULL : p;
    }
    return NULL;
}

static void read_arguments(struct stream *s, struct growing *p, const struct json *v)
{
    BUF_CLEANUP struct buf b = BUF_INIT(STREAM_EVENT_MAX);
    switch (json_type(v)) {
    case JSON_NULL: break;
    case JSON_TEXT: part_say(s, p, json_text(v)); break;
    case JSON_OBJECT: /* not what the format says, but what it means is clear */
        json_print(v, &b);
        if (!buf_ok(&b))
            stream_fail(s, FAULT_LIMIT, "there is no memory for the answer");
        part_say(s, p, buf_slice(&b));
        break;
    default: wrong(s, "arguments");
    }
}

static void read_call(struct stream *s, const struct json *v)
{
    const struct json *f = json_get(v, "function");
    struct slice id = json_text(json_get(v, "id")), name = json_text(json_get(f, "name"));
    int64_t index = json_int(json_get(v, "index"), -1);
    if (json_type(v) != JSON_OBJECT) {
        wrong(s, "tool_calls");
        return;
    }
    struct growing *p = call_of(s, index, id, name);
    if (!p && !(p = part_add(s, PART_CALL, index)))
        return;
    if (!p->id.n && !p->begun)
        part_keep(s, &p->id, id);
    if (!p->name.n)
        part_keep(s, &p->name, name);
    if (p->name.n)
        call_begin(s, p);
    read_arguments(s, p, json_get(f, "arguments"));
}

static void read_calls(struct stream *s, const struct json *list)
{
    if (json_type(list) != JSON_ARRAY && json_type(list) != JSON_NULL)
        wrong(s, "tool_calls");
    if (json_count(list))
        think_flush(s);
    for (size_t i = 0; json_type(list) == JSON_ARRAY && i < json_count(list); i++)
        read_call(s, json_at(list, i));
}

/* ---- a chunk ---- */

static void read_choice(struct stream *s, const struct json *choice)
{
    const struct json *o = json_get(choice, json_get(choice, "delta") ? "delta" : "message");
    if (json_int(json_get(choice, "index"), 0) != 0)
        return; /* we ask for one */
    struct slice refusal = json_text(json_get(o, "refusal"));
    read_reasoning(s, o);
    read_content(s, json_get(o, "content"));
    s->refused |= refusal.n > 0;
    add_text(s, refusal);
    read_calls(s, json_get(o, "tool_calls"));
    enum stop_reason stop = stop_of(stops, sizeof stops / sizeof *stops, json_get(choice, "finish_reason"));
    if (stop)
        stream_stop(s, stop);
}

void read_openai(struct stream *s, const struct json *v)
{
    const struct json *choices = json_get(v, "choices");
    const struct usage before = s->usage;
    if (json_type(choices) != JSON_ARRAY && json_type(choices) != JSON_NULL) {
        wrong(s, "choices");
        return;
    }
    stream_name(s, json_get(v, "id"), json_get(v, "model"));
    for (size_t i = 0; json_type(choices) == JSON_ARRAY && i < json_count(choices); i++) {
        read_choice(s, json_at(choices, i));
        usage_add_openai(&s->usage, json_get(json_at(choices, i), "usage")); /* Moonshot's place for it */
    }
    usage_add_openai(&s->usage, json_get(v, "usage"));
    stream_usage(s, &before);
}
