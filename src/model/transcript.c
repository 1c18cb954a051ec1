/*
 * What may stand in a transcript, and the JSON form, version 1 (transcript_parse.c reads it):
 *
 *     {"v":1,"system":[{"text":"…","cache":true}],"tools":[{"name":"…","description":"…","schema":"{…}"}],
 *      "turns":[{"role":"user","parts":[…]}],"options":{"model":"…","max_output":4096,…}}
 *
 * A part is known by its first key: {"text":…} {"image":BASE64,"type":…} {"call":ID,"name":…,"arguments":…}
 * {"result":ID,"text":…} {"reasoning":TEXT,"provider":…,"form":…,"opaque":BASE64}. Booleans that are false, and options
 * that are not set, are not written. Schemas and arguments are text, so that they keep every byte.
 */
#include "model/transcript.h"

#include <stdio.h>
#include <string.h>

#include "model/base64.h"
#include "model/transcript_internal.h"

const char *const reasoning_forms[REASONING_FORMS] = {NULL, "plain", "signed", "redacted", "details"};
const char *const tool_choices[TOOL_CHOICES] = {"auto", "none", "any", "one"};

bool arguments_ok(struct slice text)
{
    JSON_CLEANUP struct json *v = NULL;
    return json_parse(text, &v, NULL) == OK && json_type(v) == JSON_OBJECT;
}

/* ---- what may stand in it ---- */

static bool fits(enum turn_role role, enum part_kind kind)
{
    switch (kind) {
    case PART_TEXT: return true;
    case PART_IMAGE:
    case PART_RESULT: return role == TURN_USER;
    case PART_CALL:
    case PART_REASONING: return role == TURN_ASSISTANT;
    }
    return false;
}

/* What is wrong with a part, or NULL. */
static const char *part_wrong(enum turn_role role, const struct transcript_part *p)
{
    if (!fits(role, p->kind))
        return "a part that this role cannot have";
    if (p->name.n > TRANSCRIPT_NAME_MAX)
        return "a name that is too long";
    if (p->id.n > TRANSCRIPT_ID_MAX)
        return "an id that is too long";
    if ((p->kind == PART_CALL || p->kind == PART_RESULT) && p->id.n == 0)
        return "a call or result without an id";
    if (p->kind == PART_CALL && !p->malformed && !arguments_ok(p->text))
        return "arguments that are no JSON object, and not marked as malformed";
    if (p->kind == PART_REASONING && (p->form < REASONING_PLAIN || p->form > REASONING_DETAILS))
        return "reasoning of no known form";
    return NULL;
}

enum err turn_check(const struct transcript_turn *t, enum err code, struct error *e)
{
    if (t->role != TURN_USER && t->role != TURN_ASSISTANT)
        return error_set(e, code, "a turn of no known role");
    if (t->n > TRANSCRIPT_PARTS_MAX)
        return error_set(e, ERR_LIMIT, "%zu parts; a turn has at most %d", t->n, TRANSCRIPT_PARTS_MAX);
    for (size_t i = 0; i < t->n; i++) {
        const char *wrong = part_wrong(t->role, &t->parts[i]);
        if (wrong)
            return error_set(e, code, "parts[%zu]: %s", i, wrong);
    }
    return OK;
}

static enum err options_check(const struct transcript_options *o, enum err code, struct error *e)
{
    if (o->nstops > TRANSCRIPT_STOPS_MAX)
        return error_set(e, ERR_LIMIT, "options: at most %d stop texts", TRANSCRIPT_STOPS_MAX);
    if (o->model.n > TRANSCRIPT_NAME_MAX || o->effort.n > TRANSCRIPT_NAME_MAX || o->tool.n > TRANSCRIPT_NAME_MAX)
        return error_set(e, ERR_LIMIT, "options: a name of more than %d bytes", TRANSCRIPT_NAME_MAX);
    if (o->choice > CHOICE_ONE || o->max_output < 0 || o->thinking_tokens < 0 || o->temperature_milli < -1 || o->seed < -1)
        return error_set(e, code, "options: a value that makes no sense");
    return OK;
}

enum err transcript_check(const struct transcript *t, enum err code, struct error *e)
{
    char place[32];
    enum err err = options_check(&t->options, code, e);
    if (err)
        return err;
    if (t->nsystem > TRANSCRIPT_SYSTEM_MAX || t->ntools > TRANSCRIPT_TOOLS_MAX || t->nturns > TRANSCRIPT_TURNS_MAX)
        return error_set(e, ERR_LIMIT, "at most %d system texts, %d tools and %d turns", TRANSCRIPT_SYSTEM_MAX,
                         TRANSCRIPT_TOOLS_MAX, TRANSCRIPT_TURNS_MAX);
    for (size_t i = 0; i < t->ntools; i++)
        if (t->tools[i].name.n == 0 || t->tools[i].name.n > TRANSCRIPT_NAME_MAX)
            return error_set(e, code, "tools[%zu]: a name of 1 to %d bytes", i, TRANSCRIPT_NAME_MAX);
    for (size_t i = 0; i < t->nturns; i++) {
        err = turn_check(&t->turns[i], code, e);
        snprintf(place, sizeof place, "turns[%zu]", i);
        if (err)
            return e ? error_wrap(e, "%s", place) : err;
    }
    return OK;
}

/* ---- writing ---- */

static void put_flag(struct json *o, const char *key, bool v)
{
    if (v)
        json_put_bool(o, key, true);
}

static void put_some(struct json *o, const char *key, struct slice s)
{
    if (s.n)
        json_put_text(o, key, s);
}

/* False if it is too long for a text of JSON. */
static bool put_bytes(struct json *o, const char *key, struct slice bytes)
{
    BUF_CLEANUP struct buf b = BUF_INIT(JSON_BYTES_MAX);
    base64_add(&b, bytes);
    json_put_text(o, key, buf_slice(&b));
    return buf_ok(&b);
}

static bool part_to_json(const struct transcript_part *p, struct json *o)
{
    bool well = true;
    switch (p->kind) {
    case PART_TEXT: json_put_text(o, "text", p->text); break;
    case PART_IMAGE:
        well = put_bytes(o, "image", p->text);
        json_put_text(o, "type", p->name);
        break;
    case PART_CALL:
        json_put_text(o, "call", p->id);
        json_put_text(o, "name", p->name);
        json_put_text(o, "arguments", p->text);
        put_flag(o, "malformed", p->malformed);
        break;
    case PART_RESULT:
        json_put_text(o, "result", p->id);
        json_put_text(o, "text", p->text);
        put_flag(o, "error", p->is_error);
        break;
    case PART_REASONING:
        json_put_text(o, "reasoning", p->text);
        put_some(o, "provider", p->name);
        json_put_text(o, "form", slice_of(reasoning_forms[p->form]));
        well = !p->opaque.n || put_bytes(o, "opaque", p->opaque);
        break;
    }
    put_flag(o, "cache", p->cache);
    return well;
}

static bool is_too_long(struct slice s)
{
    return s.n > JSON_BYTES_MAX;
}

static enum err turn_to_json(const struct transcript_turn *t, struct json *o, struct error *e)
{
    json_put_text(o, "role", t->role == TURN_USER ? SLICE("user") : SLICE("assistant"));
    struct json *parts = json_array();
    json_put(o, "parts", parts);
    for (size_t i = 0; i < t->n; i++) {
        struct json *part = json_object();
        json_push(parts, part);
        if (is_too_long(t->parts[i].text) || is_too_long(t->parts[i].opaque) || !part_to_json(&t->parts[i], part))
            return error_set(e, ERR_LIMIT, "parts[%zu]: more than %d bytes", i, JSON_BYTES_MAX);
    }
    return OK;
}

static struct json *options_to_json(const struct transcript_options *o)
{
    struct json *v = json_object();
    put_some(v, "model", o->model);
    json_put_int(v, "max_output", o->max_output);
    if (o->temperature_milli >= 0)
        json_put_int(v, "temperature_milli", o->temperature_milli);
    if (o->seed >= 0)
        json_put_int(v, "seed", o->seed);
    if (o->thinking_tokens)
        json_put_int(v, "thinking_tokens", o->thinking_tokens);
    put_some(v, "effort", o->effort);
    struct json *stops = json_array();
    for (size_t i = 0; i < o->nstops; i++)
        json_push(stops, json_new_text(o->stops[i]));
    json_put(v, "stops", stops);
    json_put_text(v, "choice", slice_of(tool_choices[o->choice]));
    put_some(v, "tool", o->tool);
    put_flag(v, "serial", o->serial);
    put_flag(v, "cache_tools", o->cache_tools);
    put_flag(v, "cache_hour", o->cache_hour);
    return v;
}

static struct json *system_to_json(const struct transcript *t)
{
    struct json *list = json_array();
    for (size_t i = 0; i < t->nsystem; i++) {
        struct json *o = json_object();
        json_put_text(o, "text", slice_sub(t->system[i], 0, JSON_BYTES_MAX));
        put_flag(o, "cache", t->system_cache[i]);
        json_push(list, o);
    }
    return list;
}

static struct json *tools_to_json(const struct transcript *t)
{
    struct json *list = json_array();
    for (size_t i = 0; i < t->ntools; i++) {
        struct json *o = json_object();
        json_put_text(o, "name", t->tools[i].name);
        json_put_text(o, "description", slice_sub(t->tools[i].description, 0, JSON_BYTES_MAX));
        json_put_text(o, "schema", slice_sub(t->tools[i].schema, 0, JSON_BYTES_MAX));
        json_push(list, o);
    }
    return list;
}

/* What is longer than a reader takes would be lost for ever. */
static enum err print_bounded(const struct json *v, struct buf *out, struct error *e)
{
    size_t before = out->n;
    json_print(v, out);
    if (!buf_ok(out))
        return buf_check(out, "a transcript", e);
    if (out->n - before > JSON_BYTES_MAX)
        return error_set(e, ERR_LIMIT, "a transcript of %zu bytes; at most %d are read", out->n - before, JSON_BYTES_MAX);
    return OK;
}

enum err turn_print(const struct transcript_turn *turn, struct buf *out, struct error *e)
{
    JSON_CLEANUP struct json *o = json_object();
    enum err err = turn_check(turn, ERR_USAGE, e);
    if (!err)
        err = turn_to_json(turn, o, e);
    return err ? err : print_bounded(o, out, e);
}

enum err transcript_print(const struct transcript *t, struct buf *out, struct error *e)
{
    JSON_CLEANUP struct json *o = json_object();
    enum err err = transcript_check(t, ERR_USAGE, e);
    if (err)
        return err;
    json_put_int(o, "v", TRANSCRIPT_VERSION);
    json_put(o, "system", system_to_json(t));
    json_put(o, "tools", tools_to_json(t));
    struct json *turns = json_array();
    json_put(o, "turns", turns);
    for (size_t i = 0; !err && i < t->nturns; i++) {
        struct json *turn = json_object();
        json_push(turns, turn);
        err = turn_to_json(&t->turns[i], turn, e);
    }
    json_put(o, "options", options_to_json(&t->options));
    return err ? err : print_bounded(o, out, e);
}
