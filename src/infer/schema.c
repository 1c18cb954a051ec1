#include "infer/schema.h"

#include <math.h>
#include <stdlib.h>

#include "infer/automaton.h"

enum { PATH_BYTES = 200 };
static const char *const simple[] = {"string", "number", "boolean", "null"}; /* what has no type */

/* What is under way: where in the schema, for errors; how deep. */
struct compiler {
    struct schema *s;
    struct buf path; /* "properties.edits.items" */
    unsigned depth;  /* of values */
    struct error *e;
};

/* ---- errors ---- */

static enum err out_of_memory(struct error *e)
{
    return error_set(e, ERR_MEMORY, "the tools' schemas need more memory than they may have");
}

static enum err refuse(const struct compiler *c, enum err code, const char *what, const char *name)
{
    return error_set(c->e, code, "the schema at '%s': %s%s", c->path.n ? c->path.p : "the top", what, name);
}

static enum err unsupported(const struct compiler *c, const char *what)
{
    return refuse(c, ERR_UNSUPPORTED, what, "");
}

/* ---- nodes ---- */

static enum err new_node(struct compiler *c, struct node n, uint16_t *ret)
{
    if (c->s->n == SCHEMA_NODES)
        return refuse(c, ERR_LIMIT, "there are too many values in all schemas together", "");
    c->s->nodes[c->s->n] = n;
    *ret = (uint16_t)c->s->n++;
    size_t least = automaton_least(c->s, *ret, NULL);
    if (least > SCHEMA_LEAST_MAX)
        return refuse(c, ERR_LIMIT, "even the shortest value is too long", "");
    c->s->nodes[*ret].least = least;
    return OK;
}

static enum err compile(struct compiler *c, const struct json *json, uint16_t *ret);
static enum err compile_types(struct compiler *c, const struct json *json, const char *const *types, size_t count, uint16_t *ret);

/* The same one step deeper in the schema. */
static enum err compile_below(struct compiler *c, const struct json *json, struct slice name, uint16_t *ret)
{
    size_t n = c->path.n;
    if (n)
        buf_add_char(&c->path, '.');
    buf_add(&c->path, slice_sub(name, 0, 40));
    bool long_path = !buf_ok(&c->path);
    enum err err = long_path ? error_set(c->e, ERR_LIMIT, "a schema is nested too deeply, or its names are too long")
                             : compile(c, json, ret);
    if (!long_path) {
        c->path.n = n;
        c->path.p[n] = '\0';
    }
    return err;
}

/* A bound that must be a whole number, at most `most`. */
static enum err bound(const struct compiler *c, const struct json *json, const char *key, int64_t missing, int64_t most, int64_t *ret)
{
    *ret = missing;
    if (!json_has(json, key))
        return OK;
    double v = json_real(json_get(json, key), -1);
    if (!(v >= 0))
        return refuse(c, ERR_UNSUPPORTED, "no number that counts something is its ", key);
    *ret = v < (double)most ? (int64_t)v : most;
    return OK;
}

/* ---- literals ---- */

static int by_bytes(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static bool is_whole(const struct json *v)
{
    return json_type(v) == JSON_INT || (json_type(v) == JSON_REAL && floor(json_real(v, 0.5)) == json_real(v, 0.5));
}

static bool has_type(const struct json *v, const char *type)
{
    static const char *const names[] = {[JSON_NULL] = "null", [JSON_BOOL] = "boolean", [JSON_INT] = "number", [JSON_REAL] = "number",
                                        [JSON_TEXT] = "string", [JSON_ARRAY] = "array", [JSON_OBJECT] = "object"};
    return !type || slice_is(slice_of(names[json_type(v)]), type) || (slice_is(SLICE("integer"), type) && is_whole(v));
}

static enum err add_literal(struct compiler *c, struct node *n, const struct json *v)
{
    BUF_CLEANUP struct buf text = BUF_INIT(SCHEMA_LEAST_MAX);
    json_print(v, &text);
    struct slice kept = buf_ok(&text) ? arena_copy(c->s->memory, buf_slice(&text)) : SLICE_NONE;
    if (!kept.p)
        return out_of_memory(c->e);
    n->literals[n->n++] = kept;
    return OK;
}

/* values: an array, or one value where `alone`. */
static enum err compile_literals(struct compiler *c, const struct json *values, bool alone, const char *type, uint16_t *ret)
{
    size_t count = alone ? 1 : json_count(values);
    if (!alone && json_type(values) != JSON_ARRAY)
        return unsupported(c, "its enum is no list");
    if (count > SCHEMA_LITERALS)
        return refuse(c, ERR_LIMIT, "its enum is too long", "");
    struct node n = {.kind = NODE_LITERALS, .literals = arena_array(c->s->memory, count + 1, sizeof(struct slice))};
    if (!n.literals)
        return out_of_memory(c->e);
    for (size_t i = 0; i < count; i++) {
        const struct json *v = alone ? values : json_at(values, i);
        enum err err = has_type(v, type) ? add_literal(c, &n, v) : OK;
        if (err)
            return err;
    }
    if (!n.n)
        return unsupported(c, "none of its enum is of its type");
    qsort(n.literals, n.n, sizeof *n.literals, by_bytes);
    size_t kept = 1;
    for (size_t i = 1; i < n.n; i++)
        if (!slice_eq(n.literals[i], n.literals[kept - 1]))
            n.literals[kept++] = n.literals[i];
    n.n = kept;
    return new_node(c, n, ret);
}

static enum err compile_words(struct compiler *c, const char *const *words, size_t count, uint16_t *ret)
{
    struct node n = {.kind = NODE_LITERALS, .n = count, .literals = arena_array(c->s->memory, count, sizeof(struct slice))};
    if (!n.literals)
        return out_of_memory(c->e);
    for (size_t i = 0; i < count; i++)
        n.literals[i] = slice_of(words[i]);
    return new_node(c, n, ret);
}

/* ---- strings, numbers ---- */

static enum err compile_string(struct compiler *c, const struct json *json, uint16_t *ret)
{
    struct node n = {.kind = NODE_STRING, .bounded = json_has(json, "maxLength")};
    enum err err = bound(c, json, "minLength", 0, SCHEMA_STRING_MAX + 1, &n.low);
    if (!err)
        err = bound(c, json, "maxLength", SCHEMA_STRING_BYTES, SCHEMA_STRING_MAX, &n.high);
    if (err)
        return err;
    if (n.low > n.high)
        return unsupported(c, "its minLength is more than its length may be");
    return new_node(c, n, ret);
}

#define NUMBER_MOST INT64_C(999999999999999999)

static int64_t clamp(double v)
{
    return v >= (double)NUMBER_MOST ? NUMBER_MOST : v <= -(double)NUMBER_MOST ? -NUMBER_MOST : (int64_t)v;
}

/* The whole number that is nearest to a bound from inside: sign 1 from above, -1 from below; not the bound itself where
   that is excluded. */
static int64_t inside(const struct json *bound, int sign, bool excluded)
{
    double v = json_real(bound, 0), x = sign > 0 ? ceil(v) : floor(v);
    int64_t whole = json_type(bound) == JSON_INT ? json_int(bound, NUMBER_MOST) : clamp(x);
    if (excluded && x == v)
        whole += whole > INT64_MIN + 1 && whole < INT64_MAX ? sign : 0;
    return whole > NUMBER_MOST ? NUMBER_MOST : whole < -NUMBER_MOST ? -NUMBER_MOST : whole;
}

static enum err compile_number(struct compiler *c, const struct json *json, bool whole, uint16_t *ret)
{
    static const char *const keys[] = {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"};
    struct node n = {.kind = NODE_NUMBER, .whole = whole, .low = -NUMBER_MOST, .high = NUMBER_MOST};
    for (int i = 0; i < 4; i++) {
        const struct json *v = json_get(json, keys[i]);
        if (!json_has(json, keys[i]))
            continue;
        if (json_type(v) != JSON_INT && json_type(v) != JSON_REAL)
            return refuse(c, ERR_UNSUPPORTED, "no number is its ", keys[i]);
        int64_t bound = inside(v, i < 2 ? 1 : -1, i % 2);
        n.bounded = true;
        if (i < 2)
            n.low = bound > n.low ? bound : n.low;
        else
            n.high = bound < n.high ? bound : n.high;
    }
    if (n.low > n.high)
        return unsupported(c, "there is no whole number between its bounds");
    return new_node(c, n, ret);
}

/* ---- arrays, objects ---- */

static enum err compile_array(struct compiler *c, const struct json *json, uint16_t *ret)
{
    struct node n = {.kind = NODE_ARRAY};
    enum err err = bound(c, json, "minItems", 0, SCHEMA_LEAST_MAX, &n.low);
    if (!err)
        err = bound(c, json, "maxItems", SCHEMA_ITEMS, SCHEMA_LEAST_MAX, &n.high);
    if (!err && n.low > n.high)
        err = unsupported(c, "its minItems is more than it may have");
    if (!err && json_has(json, "items"))
        err = compile_below(c, json_get(json, "items"), SLICE("items"), &n.item);
    else if (!err)
        err = compile_types(c, NULL, simple, 4, &n.item);
    return err ? err : new_node(c, n, ret);
}

/* `, "name": `, the name as JSON. */
static enum err key_text(struct compiler *c, const char *before, struct slice name, const char *after, struct slice *ret)
{
    BUF_CLEANUP struct buf text = BUF_INIT(SCHEMA_LEAST_MAX);
    JSON_CLEANUP struct json *json = json_new_text(name);
    buf_add_text(&text, before);
    json_print(json, &text);
    buf_add_text(&text, after);
    *ret = buf_ok(&text) ? arena_copy(c->s->memory, buf_slice(&text)) : SLICE_NONE;
    return ret->p ? OK : out_of_memory(c->e);
}

static enum err read_required(struct compiler *c, const struct json *json, const struct json *properties, struct node *n)
{
    const struct json *required = json_get(json, "required");
    if (json_has(json, "required") && json_type(required) != JSON_ARRAY)
        return unsupported(c, "its list of what is required is none");
    for (size_t i = 0; i < json_count(required); i++) {
        struct slice name = json_text(json_at(required, i)), key;
        struct json_walk w = {0};
        const struct json *value;
        size_t at = 0;
        bool found = false;
        for (; json_next(properties, &w, &key, &value); at += !found)
            found = found || slice_eq(key, name);
        if (!found)
            return refuse(c, ERR_UNSUPPORTED, "it requires a property that it does not declare: ", name.p ? name.p : "");
        n->required |= UINT64_C(1) << at;
    }
    return OK;
}

static enum err compile_object(struct compiler *c, const struct json *json, uint16_t *ret)
{
    const struct json *properties = json_get(json, "properties"), *value;
    struct node n = {.kind = NODE_OBJECT};
    struct json_walk w = {0};
    struct slice key;
    if (json_has(json, "properties") && json_type(properties) != JSON_OBJECT)
        return unsupported(c, "its properties are none");
    if (json_count(properties) > SCHEMA_KEYS)
        return refuse(c, ERR_LIMIT, "it has too many properties", "");
    n.keys = arena_array(c->s->memory, json_count(properties) + 1, sizeof *n.keys);
    if (!n.keys)
        return out_of_memory(c->e);
    enum err err = read_required(c, json, properties, &n);
    for (; !err && json_next(properties, &w, &key, &value); n.n++) {
        err = compile_below(c, value, key, &n.keys[n.n].node);
        if (!err)
            err = key_text(c, ", ", key, ": ", &n.keys[n.n].text);
    }
    return err ? err : new_node(c, n, ret);
}

/* ---- one of several ---- */

static enum err add_alternative(struct compiler *c, struct node *n, uint16_t node)
{
    const struct node *a = &c->s->nodes[node];
    size_t count = a->kind == NODE_ANY ? a->n : 1;
    if (n->n + count > SCHEMA_ALTERNATIVES)
        return refuse(c, ERR_LIMIT, "it has too many alternatives", "");
    for (size_t i = 0; i < count; i++)
        n->alternatives[n->n++] = a->kind == NODE_ANY ? a->alternatives[i] : node;
    return OK;
}

static struct node new_alternatives(struct compiler *c)
{
    return (struct node){.kind = NODE_ANY, .alternatives = arena_array(c->s->memory, SCHEMA_ALTERNATIVES, sizeof(uint16_t))};
}

static enum err compile_any(struct compiler *c, const struct json *list, uint16_t *ret)
{
    struct node n = new_alternatives(c);
    if (!n.alternatives)
        return out_of_memory(c->e);
    if (!json_count(list) || json_type(list) != JSON_ARRAY)
        return unsupported(c, "it has no alternatives");
    for (size_t i = 0; i < json_count(list); i++) {
        uint16_t node;
        enum err err = compile_below(c, json_at(list, i), SLICE("anyOf"), &node);
        if (!err)
            err = add_alternative(c, &n, node);
        if (err)
            return err;
    }
    return new_node(c, n, ret);
}

static enum err compile_type(struct compiler *c, const struct json *json, struct slice type, uint16_t *ret)
{
    static const char *const truths[] = {"false", "true"}, *const nothing[] = {"null"};
    if (slice_is(type, "object"))
        return compile_object(c, json, ret);
    if (slice_is(type, "array"))
        return compile_array(c, json, ret);
    if (slice_is(type, "string"))
        return compile_string(c, json, ret);
    if (slice_is(type, "number") || slice_is(type, "integer"))
        return compile_number(c, json, slice_is(type, "integer"), ret);
    if (slice_is(type, "boolean"))
        return compile_words(c, truths, 2, ret);
    if (slice_is(type, "null"))
        return compile_words(c, nothing, 1, ret);
    return refuse(c, ERR_UNSUPPORTED, "there is no type ", type.n < 40 && type.p ? type.p : "of that name");
}

static enum err compile_typed(struct compiler *c, const struct json *json, struct slice type, uint16_t *ret)
{
    if (json_has(json, "const"))
        return compile_literals(c, json_get(json, "const"), true, type.p, ret);
    if (json_has(json, "enum"))
        return compile_literals(c, json_get(json, "enum"), false, type.p, ret);
    return compile_type(c, json, type, ret);
}

static enum err compile_types(struct compiler *c, const struct json *json, const char *const *types, size_t count, uint16_t *ret)
{
    struct node n = new_alternatives(c);
    if (!n.alternatives)
        return out_of_memory(c->e);
    for (size_t i = 0; i < count; i++) {
        uint16_t node;
        enum err err = compile_typed(c, json, slice_of(types[i]), &node);
        if (!err)
            err = add_alternative(c, &n, node);
        if (err)
            return err;
    }
    return new_node(c, n, ret);
}

/* ---- a schema ---- */

/* Keywords that restrict and are not read. */
static enum err check_keywords(const struct compiler *c, const struct json *json, bool alternatives)
{
    static const char *const unread[] = {
        "$ref", "$dynamicRef", "$recursiveRef", "allOf", "not", "if", "then", "else", "dependentSchemas", "dependentRequired",
        "dependencies", "prefixItems", "additionalItems", "contains", "minContains", "maxContains", "patternProperties",
        "propertyNames", "unevaluatedItems", "unevaluatedProperties", "pattern", "multipleOf", "uniqueItems", "minProperties",
        "maxProperties"};
    static const char *const beside[] = {"type", "properties", "required", "items", "enum", "const"};
    if (json_type(json) != JSON_OBJECT)
        return unsupported(c, "it is neither an object nor true");
    for (size_t i = 0; i < sizeof unread / sizeof *unread; i++) {
        const struct json *v = json_get(json, unread[i]);
        if (json_has(json, unread[i]) && !(json_type(v) == JSON_BOOL && !json_bool(v, true)))
            return refuse(c, ERR_UNSUPPORTED, "a local model cannot be held to its ", unread[i]);
    }
    for (size_t i = 0; alternatives && i < sizeof beside / sizeof *beside; i++)
        if (json_has(json, beside[i]))
            return refuse(c, ERR_UNSUPPORTED, "a local model cannot be held to alternatives and also to its ", beside[i]);
    return json_has(json, "anyOf") && json_has(json, "oneOf") ? unsupported(c, "it has anyOf and oneOf") : OK;
}

static enum err compile_list(struct compiler *c, const struct json *json, const struct json *list, uint16_t *ret)
{
    const char *types[SCHEMA_ALTERNATIVES];
    size_t n = json_count(list);
    if (!n || n > SCHEMA_ALTERNATIVES)
        return unsupported(c, "its list of types is empty or too long");
    for (size_t i = 0; i < n; i++) {
        types[i] = json_text(json_at(list, i)).p;
        if (!types[i])
            return unsupported(c, "its list of types has one that is no name");
    }
    return compile_types(c, json, types, n, ret);
}

/* What has no type: its other keywords tell, or else it is any of the simple ones. */
static enum err compile_untyped(struct compiler *c, const struct json *json, uint16_t *ret)
{
    if (json_has(json, "const") || json_has(json, "enum"))
        return compile_typed(c, json, SLICE_NONE, ret);
    if (json_has(json, "properties") || json_has(json, "required"))
        return compile_object(c, json, ret);
    if (json_has(json, "items"))
        return compile_array(c, json, ret);
    return compile_types(c, json, simple, 4, ret);
}

static enum err compile_any_kind(struct compiler *c, const struct json *json, uint16_t *ret)
{
    const struct json *type = json_get(json, "type");
    const char *alternatives = json_has(json, "anyOf") ? "anyOf" : json_has(json, "oneOf") ? "oneOf" : NULL;
    enum err err = check_keywords(c, json, alternatives);
    if (err)
        return err;
    if (alternatives)
        return compile_any(c, json_get(json, alternatives), ret);
    if (json_type(type) == JSON_ARRAY)
        return compile_list(c, json, type, ret);
    if (json_has(json, "type"))
        return compile_typed(c, json, json_text(type), ret);
    return compile_untyped(c, json, ret);
}

static enum err compile(struct compiler *c, const struct json *json, uint16_t *ret)
{
    if (c->depth == SCHEMA_DEPTH)
        return refuse(c, ERR_LIMIT, "it is nested too deeply", "");
    c->depth++;
    enum err err = json_type(json) == JSON_BOOL && json_bool(json, false) ? compile_types(c, NULL, simple, 4, ret)
                                                                          : compile_any_kind(c, json, ret);
    c->depth--;
    return err;
}

enum err schema_init(struct arena *memory, struct schema *ret, struct error *e)
{
    struct node *nodes = arena_array(memory, SCHEMA_NODES, sizeof *nodes);
    if (!nodes)
        return out_of_memory(e);
    *ret = (struct schema){.nodes = nodes, .memory = memory};
    return OK;
}

enum err schema_add(struct schema *s, const struct json *json, uint16_t *ret, struct error *e)
{
    struct compiler c = {.s = s, .path = BUF_INIT(PATH_BYTES), .e = e};
    enum err err = compile(&c, json, ret);
    buf_release(&c.path);
    return err;
}

enum err schema_add_calls(struct schema *s, const struct node_key *tools, size_t count, uint16_t *ret, struct error *e)
{
    struct compiler c = {.s = s, .e = e};
    struct node n = {.kind = NODE_CALL, .n = count, .keys = arena_array(s->memory, count + 1, sizeof *n.keys)};
    if (!n.keys)
        return out_of_memory(e);
    if (!count || count > SCHEMA_KEYS)
        return error_set(e, ERR_LIMIT, "%zu tools; a local model takes from 1 to %d", count, SCHEMA_KEYS);
    enum err err = OK;
    for (size_t i = 0; !err && i < count; i++) {
        n.keys[i].node = tools[i].node;
        err = key_text(&c, "{\"name\": ", tools[i].text, ", \"arguments\": ", &n.keys[i].text);
    }
    return err ? err : new_node(&c, n, ret);
}
