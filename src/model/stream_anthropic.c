/* Messages: named events over numbered blocks, or a whole message. The type in the data is what counts. */
#include "model/stream_internal.h"

static const struct stop_word stops[] = {
    {"end_turn", STOP_END},      {"stop_sequence", STOP_END}, {"tool_use", STOP_CALLS},
    {"max_tokens", STOP_LENGTH}, {"model_context_window_exceeded", STOP_LENGTH},
    {"pause_turn", STOP_PAUSE},  {"refusal", STOP_REFUSED},
};

static void wrong(struct stream *s, const char *field)
{
    stream_fail(s, FAULT_BROKEN, "\"%s\" of the answer is not what %s has there", field, format_name(FORMAT_ANTHROPIC));
}

static bool is_type(const struct json *v, const char *type)
{
    return slice_is(json_text(json_get(v, "type")), type);
}

static struct growing *block_of(struct stream *s, int64_t index)
{
    for (size_t i = s->n; i-- > 0;)
        if (s->parts[i].index == index && !s->parts[i].ended)
            return &s->parts[i];
    return NULL;
}

/* ---- a block ---- */

static void begin_call(struct stream *s, struct growing *p, const struct json *v)
{
    const struct json *input = json_get(v, "input");
    part_keep(s, &p->id, json_text(json_get(v, "id")));
    part_keep(s, &p->name, json_text(json_get(v, "name")));
    if (json_type(input) != JSON_OBJECT && json_type(input) != JSON_NULL)
        wrong(s, "input");
    if (json_type(input) == JSON_OBJECT && json_count(input))
        json_print(input, &p->input);
    if (!buf_ok(&p->input))
        stream_fail(s, FAULT_LIMIT, "arguments of more than %d bytes", STREAM_ARGUMENTS_MAX);
    if (!s->over)
        call_begin(s, p);
}

static void begin_block(struct stream *s, int64_t index, const struct json *v)
{
    bool redacted = is_type(v, "redacted_thinking");
    enum part_kind kind = is_type(v, "text") ? PART_TEXT : is_type(v, "tool_use") ? PART_CALL
                          : redacted || is_type(v, "thinking") ? PART_REASONING : 0;
    if (json_type(v) != JSON_OBJECT) {
        wrong(s, "content_block");
        return;
    }
    struct growing *p = part_add(s, kind, index);
    if (!p)
        return;
    if (kind == PART_TEXT)
        part_say(s, p, json_text(json_get(v, "text")));
    if (kind == PART_CALL)
        begin_call(s, p, v);
    if (kind == PART_REASONING) {
        p->form = redacted ? REASONING_REDACTED : REASONING_SIGNED;
        part_say(s, p, json_text(json_get(v, "thinking")));
        part_keep(s, &p->opaque, json_text(json_get(v, redacted ? "data" : "signature")));
    }
}

static void end_block(struct stream *s, struct growing *p)
{
    if (!p)
        return;
    call_end(s, p);
    p->ended = true;
}

/* A delta's kind, the field that its text is in, and the part that it belongs to. */
static const struct {
    const char *type, *field;
    enum part_kind kind;
} deltas[] = {
    {"text_delta", "text", PART_TEXT},
    {"input_json_delta", "partial_json", PART_CALL},
    {"thinking_delta", "thinking", PART_REASONING},
    {"signature_delta", "signature", PART_REASONING},
};

static void read_delta(struct stream *s, int64_t index, const struct json *v)
{
    struct growing *p = block_of(s, index);
    for (size_t i = 0; i < sizeof deltas / sizeof *deltas; i++) {
        if (!is_type(v, deltas[i].type) || (p && !p->kind))
            continue;
        if (json_type(json_get(v, deltas[i].field)) != JSON_TEXT || (p && p->kind != deltas[i].kind)) {
            wrong(s, "delta");
            return;
        }
        if (!p && deltas[i].kind == PART_TEXT)
            p = part_add(s, PART_TEXT, index); /* a server that does not say where blocks begin */
        if (!p)
            return;
        struct slice text = json_text(json_get(v, deltas[i].field));
        if (i == 3)
            part_keep(s, &p->opaque, text);
        else
            part_say(s, p, text);
        return;
    }
}

/* ---- an event ---- */

static void read_stop(struct stream *s, const struct json *v)
{
    enum stop_reason stop = stop_of(stops, sizeof stops / sizeof *stops, json_get(v, "stop_reason"));
    if (stop)
        stream_stop(s, stop);
}

static void read_head(struct stream *s, const struct json *message)
{
    stream_name(s, json_get(message, "id"), json_get(message, "model"));
    usage_add_anthropic(&s->usage, json_get(message, "usage"));
}

static void read_whole(struct stream *s, const struct json *v)
{
    const struct json *content = json_get(v, "content");
    if (json_type(content) != JSON_ARRAY) {
        wrong(s, "content");
        return;
    }
    read_head(s, v);
    for (size_t i = 0; i < json_count(content); i++) {
        begin_block(s, (int64_t)i, json_at(content, i));
        end_block(s, block_of(s, (int64_t)i));
    }
    read_stop(s, v);
}

void read_anthropic(struct stream *s, const struct json *v)
{
    const struct usage before = s->usage;
    int64_t index = json_int(json_get(v, "index"), 0);
    if (is_type(v, "message_start")) {
        read_head(s, json_get(v, "message"));
    } else if (is_type(v, "content_block_start")) {
        begin_block(s, index, json_get(v, "content_block"));
    } else if (is_type(v, "content_block_delta")) {
        read_delta(s, index, json_get(v, "delta"));
    } else if (is_type(v, "content_block_stop")) {
        end_block(s, block_of(s, index));
    } else if (is_type(v, "message_delta")) {
        usage_add_anthropic(&s->usage, json_get(v, "usage"));
        read_stop(s, json_get(v, "delta"));
    } else if (is_type(v, "message_stop")) {
        if (!s->stop)
            stream_stop(s, STOP_END);
        s->over = true;
    } else if (is_type(v, "message")) {
        read_whole(s, v);
    }
    stream_usage(s, &before);
}
