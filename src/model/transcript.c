/*
 * The JSON form, version 1:
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

static const char *const forms[] = {NULL, "plain", "signed", "redacted", "details"};
static const char *const choices[] = {"auto", "none", "any", "one"};
enum { FORMS = sizeof forms / sizeof *forms, CHOICES = sizeof choices / sizeof *choices };

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

static enum err turn_check(const struct transcript_turn *t, enum err code, struct error *e)
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

static enum err transcript_check(const struct transcript *t, enum err code, struct error *e)
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
        json_put_text(o, "form", slice_of(forms[p->form]));
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
    json_put_text(v, "choice", slice_of(choices[o->choice]));
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

/* ---- reading ---- */

/*
 * A reader of one object: each take_*() reads a member and counts it; at the end all members must have been taken, so
 * that an unknown key is an error. The first failure stays.
 */
struct reader {
    const struct json *o;
    struct arena *a;
    size_t taken;
    enum err err;
    struct error *e;
};

static void fail(struct reader *r, enum err code, const char *key, const char *what)
{
    if (!r->err)
        r->err = error_set(r->e, code, "\"%s\" %s", key, what);
}

static struct slice keep(struct reader *r, const char *key, struct slice s)
{
    struct slice copy = arena_copy(r->a, s);
    if (!copy.p)
        fail(r, ERR_MEMORY, key, "does not fit in memory");
    return copy;
}

static struct slice take_text(struct reader *r, const char *key, bool needed)
{
    if (!json_has(r->o, key)) {
        if (needed)
            fail(r, ERR_CORRUPT, key, "is missing");
        return SLICE_NONE;
    }
    const struct json *v = json_get(r->o, key);
    r->taken++;
    if (json_type(v) != JSON_TEXT)
        fail(r, ERR_CORRUPT, key, "must be a text");
    return keep(r, key, json_text(v));
}

static bool take_flag(struct reader *r, const char *key)
{
    if (!json_has(r->o, key))
        return false;
    r->taken++;
    if (json_type(json_get(r->o, key)) != JSON_BOOL)
        fail(r, ERR_CORRUPT, key, "must be true or false");
    return json_bool(json_get(r->o, key), false);
}

static int64_t take_int(struct reader *r, const char *key, int64_t missing)
{
    if (!json_has(r->o, key))
        return missing;
    int64_t v = json_int(json_get(r->o, key), -1);
    r->taken++;
    if (v < 0)
        fail(r, ERR_CORRUPT, key, "must be a number from 0");
    return v;
}

static const struct json *take_array(struct reader *r, const char *key, size_t max)
{
    const struct json *v = json_get(r->o, key);
    if (json_type(v) != JSON_ARRAY)
        fail(r, ERR_CORRUPT, key, "must be an array");
    else if (json_count(v) > max)
        fail(r, ERR_LIMIT, key, "has too many elements");
    r->taken++;
    return r->err ? NULL : v;
}

static struct slice take_bytes(struct reader *r, const char *key)
{
    struct slice bytes = SLICE_NONE;
    if (!json_has(r->o, key))
        return bytes;
    r->taken++;
    if (!r->err && (r->err = base64_read(json_text(json_get(r->o, key)), r->a, &bytes, r->e)) && r->e)
        r->err = error_wrap(r->e, "\"%s\"", key);
    return bytes;
}

/* The index of a word in a list; 0 and a failure if it is not there. */
static int take_word(struct reader *r, const char *key, const char *const *words, int n)
{
    struct slice s = take_text(r, key, true);
    for (int i = 0; i < n; i++)
        if (words[i] && slice_is(s, words[i]))
            return i;
    fail(r, ERR_CORRUPT, key, "is no word that is known here");
    return 0;
}

static enum err finish(struct reader *r)
{
    if (!r->err && json_type(r->o) != JSON_OBJECT)
        r->err = error_set(r->e, ERR_CORRUPT, "must be an object");
    if (!r->err && json_count(r->o) != r->taken)
        r->err = error_set(r->e, ERR_CORRUPT, "has a key that is not known here");
    return r->err;
}

static enum err part_from_json(const struct json *v, struct arena *a, struct transcript_part *ret, struct error *e)
{
    struct reader r = {.o = v, .a = a, .e = e};
    struct transcript_part p = {0};
    if (json_has(v, "image")) {
        p.kind = PART_IMAGE;
        p.text = take_bytes(&r, "image");
        p.name = take_text(&r, "type", true);
    } else if (json_has(v, "call")) {
        p.kind = PART_CALL;
        p.id = take_text(&r, "call", true);
        p.name = take_text(&r, "name", true);
        p.text = take_text(&r, "arguments", true);
        p.malformed = take_flag(&r, "malformed");
    } else if (json_has(v, "result")) {
        p.kind = PART_RESULT;
        p.id = take_text(&r, "result", true);
        p.text = take_text(&r, "text", true);
        p.is_error = take_flag(&r, "error");
    } else if (json_has(v, "reasoning")) {
        p.kind = PART_REASONING;
        p.text = take_text(&r, "reasoning", true);
        p.name = take_text(&r, "provider", false);
        p.form = (enum reasoning_form)take_word(&r, "form", forms, FORMS);
        p.opaque = take_bytes(&r, "opaque");
    } else {
        p.kind = PART_TEXT;
        p.text = take_text(&r, "text", true);
    }
    p.cache = take_flag(&r, "cache");
    enum err err = finish(&r);
    if (!err)
        *ret = p;
    return err;
}

static enum err turn_from_json(const struct json *v, struct arena *a, struct transcript_turn *ret, struct error *e)
{
    static const char *const roles[] = {NULL, "user", "assistant"};
    struct reader r = {.o = v, .a = a, .e = e};
    struct transcript_turn t = {.role = (enum turn_role)take_word(&r, "role", roles, 3)};
    const struct json *parts = take_array(&r, "parts", TRANSCRIPT_PARTS_MAX);
    t.n = json_count(parts);
    t.parts = arena_array(a, t.n, sizeof *t.parts);
    if (!t.parts)
        fail(&r, ERR_MEMORY, "parts", "do not fit in memory");
    for (size_t i = 0; !r.err && i < t.n; i++)
        if ((r.err = part_from_json(json_at(parts, i), a, &t.parts[i], e)) && e)
            r.err = error_wrap(e, "parts[%zu]", i);
    enum err err = finish(&r);
    if (!err)
        err = turn_check(&t, ERR_CORRUPT, e);
    if (!err)
        *ret = t;
    return err;
}

static enum err options_from_json(const struct json *v, struct arena *a, struct transcript_options *ret, struct error *e)
{
    struct reader r = {.o = v, .a = a, .e = e};
    struct transcript_options o = TRANSCRIPT_OPTIONS;
    o.model = take_text(&r, "model", false);
    o.max_output = take_int(&r, "max_output", 0);
    o.temperature_milli = take_int(&r, "temperature_milli", -1);
    o.seed = take_int(&r, "seed", -1);
    o.thinking_tokens = take_int(&r, "thinking_tokens", 0);
    o.effort = take_text(&r, "effort", false);
    const struct json *stops = take_array(&r, "stops", TRANSCRIPT_STOPS_MAX);
    for (size_t i = 0; i < json_count(stops); i++) {
        if (json_type(json_at(stops, i)) != JSON_TEXT)
            fail(&r, ERR_CORRUPT, "stops", "must be texts");
        o.stops[o.nstops++] = keep(&r, "stops", json_text(json_at(stops, i)));
    }
    o.choice = (enum tool_choice)take_word(&r, "choice", choices, CHOICES);
    o.tool = take_text(&r, "tool", false);
    o.serial = take_flag(&r, "serial");
    o.cache_tools = take_flag(&r, "cache_tools");
    o.cache_hour = take_flag(&r, "cache_hour");
    enum err err = finish(&r);
    if (!err)
        *ret = o;
    return err;
}

static enum err system_from_json(const struct json *list, struct arena *a, struct transcript *t, struct error *e)
{
    for (size_t i = 0; i < json_count(list); i++) {
        struct reader r = {.o = json_at(list, i), .a = a, .e = e};
        t->system[i] = take_text(&r, "text", true);
        t->system_cache[i] = take_flag(&r, "cache");
        if (finish(&r))
            return e ? error_wrap(e, "system[%zu]", i) : r.err;
    }
    t->nsystem = json_count(list);
    return OK;
}

static enum err tools_from_json(const struct json *list, struct arena *a, struct transcript *t, struct error *e)
{
    t->ntools = json_count(list);
    t->tools = arena_array(a, t->ntools, sizeof *t->tools);
    if (!t->tools)
        return error_set(e, ERR_MEMORY, "no memory for %zu tools", t->ntools);
    for (size_t i = 0; i < t->ntools; i++) {
        struct reader r = {.o = json_at(list, i), .a = a, .e = e};
        t->tools[i].name = take_text(&r, "name", true);
        t->tools[i].description = take_text(&r, "description", true);
        t->tools[i].schema = take_text(&r, "schema", true);
        if (finish(&r))
            return e ? error_wrap(e, "tools[%zu]", i) : r.err;
    }
    return OK;
}

static enum err turns_from_json(const struct json *list, struct arena *a, struct transcript *t, struct error *e)
{
    t->nturns = json_count(list);
    t->turns = arena_array(a, t->nturns, sizeof *t->turns);
    if (!t->turns)
        return error_set(e, ERR_MEMORY, "no memory for %zu turns", t->nturns);
    for (size_t i = 0; i < t->nturns; i++) {
        enum err err = turn_from_json(json_at(list, i), a, &t->turns[i], e);
        if (err)
            return e ? error_wrap(e, "turns[%zu]", i) : err;
    }
    return OK;
}

static enum err version_check(const struct json *v, struct error *e)
{
    int64_t version = 0;
    enum err err = json_need_int(v, "v", &version, e);
    if (!err && version > TRANSCRIPT_VERSION)
        err = error_set(e, ERR_VERSION, "a transcript of version %lld, written by a newer crannog", (long long)version);
    if (!err && version != TRANSCRIPT_VERSION)
        err = error_set(e, ERR_CORRUPT, "a transcript of version %lld", (long long)version);
    return err;
}

enum err transcript_parse(struct slice text, struct arena *a, struct transcript *ret, struct error *e)
{
    JSON_CLEANUP struct json *v = NULL;
    enum err err = json_parse(text, &v, e);
    if (!err)
        err = version_check(v, e);
    if (err)
        return err;
    struct reader r = {.o = v, .a = a, .taken = 2 /* v, options */, .e = e};
    struct transcript t = {0};
    const struct json *system = take_array(&r, "system", TRANSCRIPT_SYSTEM_MAX);
    const struct json *tools = take_array(&r, "tools", TRANSCRIPT_TOOLS_MAX);
    const struct json *turns = take_array(&r, "turns", TRANSCRIPT_TURNS_MAX);
    if (!r.err && (r.err = options_from_json(json_get(v, "options"), a, &t.options, e)) && e)
        r.err = error_wrap(e, "options");
    if (!r.err)
        r.err = system_from_json(system, a, &t, e);
    if (!r.err)
        r.err = tools_from_json(tools, a, &t, e);
    if (!r.err)
        r.err = turns_from_json(turns, a, &t, e);
    err = finish(&r);
    if (!err)
        err = transcript_check(&t, ERR_CORRUPT, e);
    if (!err)
        *ret = t;
    return err;
}

enum err turn_parse(struct slice text, struct arena *a, struct transcript_turn *ret, struct error *e)
{
    JSON_CLEANUP struct json *v = NULL;
    enum err err = json_parse(text, &v, e);
    return err ? err : turn_from_json(v, a, ret, e);
}
