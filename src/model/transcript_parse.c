/* Reading transcripts. Strict: what is not known is an error, never skipped. */
#include "model/base64.h"
#include "model/transcript_internal.h"

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
        p.form = (enum reasoning_form)take_word(&r, "form", reasoning_forms, REASONING_FORMS);
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
    o.choice = (enum tool_choice)take_word(&r, "choice", tool_choices, TOOL_CHOICES);
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
