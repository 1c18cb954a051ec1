/*
 * Anthropic Messages, version 2023-06-01: https://platform.claude.com/docs/en/api/messages
 *
 * Thinking wants max_tokens above its budget, a budget of at least 1,024, no temperature, and no forced tool.
 */
#include "model/internal.h"

enum { THINKING_MIN = 1024 };

static struct json *block(const char *type)
{
    struct json *o = json_object();
    json_put_text(o, "type", slice_of(type));
    return o;
}

static struct json *text_block(struct slice text)
{
    struct json *o = block("text");
    json_put_text(o, "text", text);
    return o;
}

static struct json *image_block(struct script *s, const struct transcript_part *p)
{
    if (script_has(s, QUIRK_NO_IMAGES))
        return text_block(SLICE("(An image was left out: this model takes none.)"));
    struct json *o = block("image"), *source = block("base64");
    json_put_text(source, "media_type", p->name);
    put_base64(s, source, "data", SLICE_NONE, p->text);
    json_put(o, "source", source);
    return o;
}

static struct json *reasoning_block(const struct transcript_part *p)
{
    struct json *o = block(p->form == REASONING_REDACTED ? "redacted_thinking" : "thinking");
    if (p->form == REASONING_REDACTED) {
        json_put_text(o, "data", p->opaque);
        return o;
    }
    json_put_text(o, "thinking", p->text);
    json_put_text(o, "signature", p->opaque);
    return o;
}

static struct json *call_block(const struct item *it)
{
    struct json *o = block("tool_use");
    json_put_text(o, "id", it->id);
    json_put_text(o, "name", it->name);
    json_put(o, "input", call_arguments(it->part));
    return o;
}

static struct json *result_block(const struct item *it)
{
    if (it->kind == ITEM_STRAY)
        return text_block(it->part->text.n ? it->part->text : SLICE("(A result without words.)"));
    struct json *o = block("tool_result");
    json_put_text(o, "tool_use_id", it->id);
    json_put_text(o, "content", it->part->is_error && !it->part->text.n ? SLICE("error") : it->part->text);
    if (it->part->is_error) /* which must say something */
        json_put_bool(o, "is_error", true);
    return o;
}

static struct json *item_block(struct script *s, const struct item *it)
{
    struct json *o = NULL;
    switch (it->part->kind) {
    case PART_TEXT: o = text_block(it->part->text); break;
    case PART_IMAGE: o = image_block(s, it->part); break;
    case PART_CALL: o = call_block(it); break;
    case PART_RESULT: o = result_block(it); break;
    case PART_REASONING: o = reasoning_block(it->part); break;
    }
    if (it->mark)
        json_put(o, "cache_control", cache_control(s->t));
    return o;
}

static struct json *messages(struct script *s)
{
    struct json *list = json_array();
    for (size_t i = 0; i < s->n; i++) {
        struct json *m = json_object(), *content = json_array();
        json_put_text(m, "role", s->messages[i].role == TURN_USER ? SLICE("user") : SLICE("assistant"));
        for (size_t k = 0; k < s->messages[i].n; k++)
            json_push(content, item_block(s, &s->messages[i].items[k]));
        json_put(m, "content", content);
        json_push(list, m);
    }
    return list;
}

static void put_system(struct script *s, struct json *body)
{
    struct json *list = json_array();
    for (size_t i = 0; i < s->t->nsystem; i++) {
        if (!slice_trim(s->t->system[i]).n)
            continue;
        struct json *o = text_block(s->t->system[i]);
        if (s->system_mark[i])
            json_put(o, "cache_control", cache_control(s->t));
        json_push(list, o);
    }
    if (json_count(list))
        json_put(body, "system", list);
    else
        json_free(list);
}

static void put_tools(struct script *s, struct json *body)
{
    struct json *list = json_array();
    for (size_t i = 0; sends_tools(s) && i < s->t->ntools; i++) {
        const struct transcript_tool *tool = &s->t->tools[i];
        struct json *o = json_object();
        json_put_text(o, "name", tool->name);
        json_put_text(o, "description", tool->description);
        json_put(o, "input_schema", json_of(tool->schema));
        if (s->tools_mark && i + 1 == s->t->ntools)
            json_put(o, "cache_control", cache_control(s->t));
        json_push(list, o);
    }
    if (sends_tools(s) || (s->has_calls && script_has(s, QUIRK_TOOLS_WITH_HISTORY)))
        json_put(body, "tools", list);
    else
        json_free(list);
}

static void put_choice(struct script *s, struct json *body)
{
    const struct transcript_options *o = &s->t->options;
    if (!s->t->ntools || script_has(s, QUIRK_NO_TOOL_CHOICE) || (o->choice == CHOICE_AUTO && !o->serial))
        return;
    struct json *v = block(o->choice == CHOICE_NONE ? "none" : !is_forced(s) ? "auto" : o->choice == CHOICE_ANY ? "any" : "tool");
    if (o->choice == CHOICE_ONE && is_forced(s))
        json_put_text(v, "name", o->tool);
    if (o->serial && o->choice != CHOICE_NONE && !script_has(s, QUIRK_NO_PARALLEL_FIELD))
        json_put_bool(v, "disable_parallel_tool_use", true);
    json_put(body, "tool_choice", v);
}

/* True if the model will think, so that what thinking forbids is left out. */
static bool put_thinking(struct script *s, struct json *body)
{
    const struct transcript_options *o = &s->t->options;
    bool adapts = script_has(s, QUIRK_ADAPTIVE_THINKING);
    int64_t budget = o->thinking_tokens < o->max_output ? o->thinking_tokens : o->max_output - 1;
    if (o->effort.n && !script_has(s, QUIRK_NO_EFFORT)) {
        struct json *v = json_object();
        json_put_text(v, "effort", o->effort);
        json_put(body, "output_config", v);
    }
    if (o->thinking_tokens == 0 || (!adapts && budget < THINKING_MIN))
        return false;
    struct json *v = block(adapts ? "adaptive" : "enabled");
    if (!adapts)
        json_put_int(v, "budget_tokens", budget);
    json_put(body, "thinking", v);
    return true;
}

struct json *body_anthropic(struct script *s)
{
    const struct transcript_options *o = &s->t->options;
    struct json *body = json_object();
    json_put_text(body, "model", o->model);
    json_put_int(body, "max_tokens", o->max_output);
    json_put_bool(body, "stream", !script_has(s, QUIRK_NO_STREAM));
    put_tools(s, body);
    put_system(s, body);
    put_choice(s, body);
    if (!put_thinking(s, body) && o->temperature_milli >= 0 && !script_has(s, QUIRK_NO_TEMPERATURE))
        json_put(body, "temperature", json_milli(o->temperature_milli));
    if (o->nstops && !script_has(s, QUIRK_NO_STOP)) {
        struct json *stops = json_array();
        for (size_t i = 0; i < o->nstops; i++)
            json_push(stops, json_new_text(o->stops[i]));
        json_put(body, "stop_sequences", stops);
    }
    json_put(body, "messages", messages(s));
    return body;
}
