#include "schema_rig.h"

#include <math.h>
#include <stdio.h>

#include "infer_rig.h"

/* ---- a validator ---- */

static bool equal(const struct json *a, const struct json *b)
{
    BUF_CLEANUP struct buf x = BUF_INIT(1 << 20), y = BUF_INIT(1 << 20);
    json_print(a, &x);
    json_print(b, &y);
    return slice_eq(buf_slice(&x), buf_slice(&y));
}

static bool is_number(const struct json *v)
{
    return json_type(v) == JSON_INT || json_type(v) == JSON_REAL;
}

static bool of_type(const struct json *v, const char *type)
{
    switch (type[0]) {
    case 'o': return json_type(v) == JSON_OBJECT;
    case 'a': return json_type(v) == JSON_ARRAY;
    case 's': return json_type(v) == JSON_TEXT;
    case 'b': return json_type(v) == JSON_BOOL;
    case 'i': return json_type(v) == JSON_INT;
    default: return type[2] == 'l' ? json_type(v) == JSON_NULL : is_number(v);
    }
}

static bool of_some_type(const struct json *types, const struct json *v)
{
    if (json_type(types) == JSON_TEXT)
        return of_type(v, json_text(types).p);
    for (size_t i = 0; i < json_count(types); i++)
        if (of_type(v, json_text(json_at(types, i)).p))
            return true;
    return false;
}

static bool in_list(const struct json *list, const struct json *v)
{
    for (size_t i = 0; i < json_count(list); i++)
        if (equal(json_at(list, i), v))
            return true;
    return false;
}

static bool valid_some(const struct json *list, const struct json *v)
{
    for (size_t i = 0; i < json_count(list); i++)
        if (valid(json_at(list, i), v))
            return true;
    return false;
}

static bool valid_object(const struct json *schema, const struct json *v)
{
    const struct json *properties = json_get(schema, "properties"), *required = json_get(schema, "required"), *value;
    struct json_walk w = {0};
    struct slice key;
    while (json_next(v, &w, &key, &value))
        if (!json_has(properties, key.p) || !valid(json_get(properties, key.p), value))
            return false;
    for (size_t i = 0; i < json_count(required); i++)
        if (!json_has(v, json_text(json_at(required, i)).p))
            return false;
    return true;
}

static bool valid_array(const struct json *schema, const struct json *v)
{
    for (size_t i = 0; json_has(schema, "items") && i < json_count(v); i++)
        if (!valid(json_get(schema, "items"), json_at(v, i)))
            return false;
    return (double)json_count(v) >= json_real(json_get(schema, "minItems"), 0) &&
           (double)json_count(v) <= json_real(json_get(schema, "maxItems"), 1e9);
}

static bool valid_string(const struct json *schema, const struct json *v)
{
    struct slice s = json_text(v);
    double characters = 0;
    for (size_t i = 0; i < s.n; i++) {
        characters += (s.p[i] & 0xc0) != 0x80;
        if (!s.p[i])
            return false;
    }
    return characters >= json_real(json_get(schema, "minLength"), 0) && characters <= json_real(json_get(schema, "maxLength"), 1e9) &&
           slice_is_utf8(s) && slice_find(s, SLICE("\xef\xbf\xbd"), 0) <= s.n;
}

static bool valid_number(const struct json *schema, const struct json *v)
{
    double x = json_real(v, 0);
    return x >= json_real(json_get(schema, "minimum"), -1e300) && x <= json_real(json_get(schema, "maximum"), 1e300) &&
           x > json_real(json_get(schema, "exclusiveMinimum"), -1e300) && x < json_real(json_get(schema, "exclusiveMaximum"), 1e300);
}

bool valid(const struct json *schema, const struct json *v)
{
    if ((json_has(schema, "type") && !of_some_type(json_get(schema, "type"), v)) ||
        (json_has(schema, "enum") && !in_list(json_get(schema, "enum"), v)) ||
        (json_has(schema, "const") && !equal(json_get(schema, "const"), v)) ||
        (json_has(schema, "anyOf") && !valid_some(json_get(schema, "anyOf"), v)))
        return false;
    if (json_has(schema, "enum") || json_has(schema, "const") || json_has(schema, "anyOf"))
        return true;
    switch (json_type(v)) {
    case JSON_OBJECT: return valid_object(schema, v);
    case JSON_ARRAY: return valid_array(schema, v);
    case JSON_TEXT: return valid_string(schema, v);
    case JSON_INT:
    case JSON_REAL: return valid_number(schema, v);
    default: return true;
    }
}

/* ---- random schemas ---- */

static struct json *schema_below(unsigned depth);

static int64_t dice(int64_t n)
{
    return random_u32() % (uint32_t)n;
}

static struct json *random_value(void)
{
    static const char *const texts[] = {"a", "ab", "a\"b", "\xc3\xa9", "\xf0\x9f\x98\x80", "", "/x\\y", "line\n"};
    switch (dice(4)) {
    case 0: return json_new_bool(dice(2));
    case 1: return NULL;
    case 2: return json_new_int(dice(2) ? dice(130) - 20 : dice(3));
    default: return json_new_text(slice_of(texts[dice(8)]));
    }
}

static struct json *list_of(int64_t n, unsigned depth)
{
    struct json *list = json_array();
    for (int64_t i = 0; i < n; i++)
        json_push(list, depth ? schema_below(depth - 1) : random_value());
    return list;
}

static void add_object(struct json *s, unsigned depth)
{
    struct json *properties = json_object(), *required = json_array();
    static const char *const names[] = {"a", "ab", "abc", "b\"c", "\xc3\xa9", "path", "p", "x y"};
    for (int64_t i = 0, n = dice(5); i < n; i++) {
        const char *name = names[dice(8)];
        if (!json_has(properties, name) && dice(2))
            json_push(required, json_new_text(slice_of(name)));
        json_put(properties, name, schema_below(depth - 1));
    }
    json_put(s, "properties", properties);
    json_put(s, "required", required);
}

static void add_bounds(struct json *s, const char *least, const char *most, int64_t from, int64_t range)
{
    int64_t low = from + dice(range), high = low + dice(range);
    if (dice(2))
        json_put_int(s, least, low);
    if (dice(2))
        json_put_int(s, most, high + 2);
}

static void add_type(struct json *s, unsigned depth)
{
    static const char *const types[] = {"string", "integer", "number", "boolean", "null", "array", "object"};
    int64_t type = dice(depth ? 7 : 5);
    json_put_text(s, "type", slice_of(types[type]));
    if (type == 0)
        add_bounds(s, "minLength", "maxLength", 0, 12);
    if (type == 1 || type == 2)
        add_bounds(s, dice(2) ? "minimum" : "exclusiveMinimum", dice(2) ? "maximum" : "exclusiveMaximum", -150, 300);
    if (type == 5) {
        add_bounds(s, "minItems", "maxItems", 0, 4);
        json_put(s, "items", schema_below(depth - 1));
    }
    if (type == 6)
        add_object(s, depth);
}

static struct json *schema_below(unsigned depth)
{
    struct json *s = json_object();
    int64_t what = dice(10);
    if (what == 0) {
        json_put(s, "enum", list_of(1 + dice(6), 0));
    } else if (what == 1) {
        json_put(s, "const", random_value());
    } else if (what == 2 && depth) {
        json_put(s, "anyOf", list_of(1 + dice(2), depth));
    } else if (what == 3) {
        json_put(s, "type", json_array());
        json_push((struct json *)(uintptr_t)json_get(s, "type"), json_new_text(SLICE("integer")));
        json_push((struct json *)(uintptr_t)json_get(s, "type"), json_new_text(SLICE("null")));
    } else {
        add_type(s, depth);
    }
    return s;
}

struct json *random_schema(void)
{
    struct json *s = json_object();
    json_put_text(s, "type", SLICE("object"));
    add_object(s, 4);
    return s;
}
