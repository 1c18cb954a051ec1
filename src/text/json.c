/* The tree: reading, building and printing. The parser is in json_parse.c. */
#include "text/json.h"

#include <limits.h>
#include <stdio.h>

#include "base/sys.h"
#include "text/internal.h"

/* ---- reading ---- */

/* json-c's readers take no const, but change nothing of what is asked here. */
static struct jsonc_object *inside(const struct json *v)
{
    return (struct jsonc_object *)(uintptr_t)v;
}

static struct json *outside(struct jsonc_object *o)
{
    return (struct json *)(void *)o;
}

void json_free(struct json *root)
{
    json_object_put(inside(root));
}

enum json_type json_type(const struct json *v)
{
    switch (json_object_get_type(inside(v))) {
    case json_type_null: return JSON_NULL;
    case json_type_boolean: return JSON_BOOL;
    case json_type_int: return JSON_INT;
    case json_type_double: return JSON_REAL;
    case json_type_string: return JSON_TEXT;
    case json_type_array: return JSON_ARRAY;
    case json_type_object: return JSON_OBJECT;
    }
    return JSON_NULL;
}

static bool find(const struct json *object, const char *key, struct jsonc_object **ret)
{
    return json_type(object) == JSON_OBJECT && json_object_object_get_ex(inside(object), key, ret);
}

const struct json *json_get(const struct json *object, const char *key)
{
    struct jsonc_object *found;
    return find(object, key, &found) ? outside(found) : NULL;
}

bool json_has(const struct json *object, const char *key)
{
    return find(object, key, NULL);
}

size_t json_count(const struct json *v)
{
    enum json_type type = json_type(v);
    if (type == JSON_ARRAY)
        return json_object_array_length(inside(v));
    return type == JSON_OBJECT ? (size_t)json_object_object_length(inside(v)) : 0;
}

const struct json *json_at(const struct json *array, size_t i)
{
    return json_type(array) == JSON_ARRAY ? outside(json_object_array_get_idx(inside(array), i)) : NULL;
}

bool json_next(const struct json *object, struct json_walk *w, struct slice *ret_key, const struct json **ret_value)
{
    if (json_type(object) != JSON_OBJECT)
        return false;
    const struct lh_entry *last = w->last;
    const struct lh_entry *at = last ? last->next : json_object_get_object(inside(object))->head;
    if (!at)
        return false;
    w->last = at;
    *ret_key = slice_of(lh_entry_k(at));
    *ret_value = lh_entry_v(at);
    return true;
}

const struct json *json_member(const struct json *object, size_t i, struct slice *ret_key)
{
    struct json_walk w = {0};
    const struct json *value;
    struct slice key;
    while (json_next(object, &w, &key, &value))
        if (i-- == 0) {
            *ret_key = key;
            return value;
        }
    *ret_key = SLICE_NONE;
    return NULL;
}

struct slice json_text(const struct json *v)
{
    if (json_type(v) != JSON_TEXT)
        return SLICE_NONE;
    return (struct slice){json_object_get_string(inside(v)), (size_t)json_object_get_string_len(inside(v))};
}

/* Integers beyond int64 are held as uint64. */
static bool is_beyond_int64(const struct json *v)
{
    return json_object_get_uint64(inside(v)) > INT64_MAX; /* which is 0 of a negative one */
}

int64_t json_int(const struct json *v, int64_t missing)
{
    return json_type(v) == JSON_INT && !is_beyond_int64(v) ? json_object_get_int64(inside(v)) : missing;
}

double json_real(const struct json *v, double missing)
{
    if (json_type(v) == JSON_INT && is_beyond_int64(v))
        return (double)json_object_get_uint64(inside(v));
    if (json_type(v) == JSON_INT)
        return (double)json_object_get_int64(inside(v));
    return json_type(v) == JSON_REAL ? json_object_get_double(inside(v)) : missing;
}

bool json_bool(const struct json *v, bool missing)
{
    return json_type(v) == JSON_BOOL ? json_object_get_boolean(inside(v)) : missing;
}

static enum err need(const struct json *o, const char *key, enum json_type type, const char *what, struct error *e)
{
    if (!json_has(o, key))
        return error_set(e, ERR_CORRUPT, "\"%s\" is missing", key);
    if (json_type(json_get(o, key)) != type)
        return error_set(e, ERR_CORRUPT, "\"%s\" must be %s", key, what);
    return OK;
}

enum err json_need_text(const struct json *o, const char *key, struct slice *ret, struct error *e)
{
    enum err err = need(o, key, JSON_TEXT, "a text", e);
    if (!err)
        *ret = json_text(json_get(o, key));
    return err;
}

enum err json_need_int(const struct json *o, const char *key, int64_t *ret, struct error *e)
{
    enum err err = need(o, key, JSON_INT, "an integer", e);
    if (!err && is_beyond_int64(json_get(o, key)))
        err = error_set(e, ERR_CORRUPT, "\"%s\" must be an integer up to %lld", key, (long long)INT64_MAX);
    if (!err)
        *ret = json_int(json_get(o, key), 0);
    return err;
}

/* ---- building ---- */

static _Noreturn void out_of_memory(void)
{
    fputs("crannog: out of memory while building a JSON text\n", stderr);
    sys->die(1);
}

static struct json *must(struct jsonc_object *o)
{
    if (!o)
        out_of_memory();
    return outside(o);
}

struct json *json_object(void)
{
    return must(json_object_new_object());
}

struct json *json_array(void)
{
    return must(json_object_new_array());
}

/* The length of the well-formed character at s.p[i], or 0. */
static size_t utf8_length(struct slice s, size_t i)
{
    for (size_t n = 1; n <= 4 && n <= s.n - i; n++)
        if (slice_is_utf8(slice_sub(s, i, n)))
            return n;
    return 0;
}

size_t utf8_bad_at(struct slice s)
{
    size_t i = 0, n;
    while (i < s.n && (n = utf8_length(s, i)) > 0)
        i += n;
    return i;
}

static void mend_utf8(struct slice s, struct buf *ret)
{
    for (size_t good; s.n; s = slice_sub(s, good + 1, s.n)) {
        good = utf8_bad_at(s);
        buf_add(ret, slice_sub(s, 0, good));
        if (good < s.n)
            buf_add(ret, SLICE("\xef\xbf\xbd"));
    }
    if (!buf_ok(ret))
        out_of_memory();
}

struct json *json_new_text(struct slice s)
{
    ASSERT(s.n <= INT_MAX / 3);
    if (slice_is_utf8(s))
        return must(json_object_new_string_len(s.n ? s.p : "", (int)s.n));
    BUF_CLEANUP struct buf mended = BUF_INIT(3 * s.n);
    mend_utf8(s, &mended);
    return must(json_object_new_string_len(mended.p, (int)mended.n));
}

struct json *json_new_int(int64_t v)
{
    return must(json_object_new_int64(v));
}

struct json *json_new_bool(bool v)
{
    return must(json_object_new_boolean(v));
}

void json_put(struct json *object, const char *key, struct json *value)
{
    ASSERT(json_type(object) == JSON_OBJECT);
    struct slice name = slice_of(key);
    BUF_CLEANUP struct buf mended = BUF_INIT(3 * name.n);
    if (!slice_is_utf8(name)) {
        mend_utf8(name, &mended);
        key = buf_str(&mended);
    }
    if (json_object_object_add(inside(object), key, inside(value)) < 0)
        out_of_memory();
}

void json_put_text(struct json *object, const char *key, struct slice s)
{
    json_put(object, key, json_new_text(s));
}

void json_put_int(struct json *object, const char *key, int64_t v)
{
    json_put(object, key, json_new_int(v));
}

void json_put_bool(struct json *object, const char *key, bool v)
{
    json_put(object, key, json_new_bool(v));
}

void json_put_hash(struct json *object, const char *key, const struct hash *h)
{
    char hex[HASH_HEX + 1];
    hash_hex(h, hex);
    json_put_text(object, key, slice_of(hex));
}

void json_push(struct json *array, struct json *value)
{
    ASSERT(json_type(array) == JSON_ARRAY);
    if (json_object_array_add(inside(array), inside(value)) < 0)
        out_of_memory();
}

struct json *json_clone(const struct json *v)
{
    struct jsonc_object *copy = NULL;
    if (v && json_object_deep_copy(inside(v), &copy, NULL) < 0)
        out_of_memory();
    return outside(copy);
}

/* ---- printing ---- */

void json_print(const struct json *v, struct buf *out)
{
    size_t n = 0;
    const char *text = v ? json_object_to_json_string_length(inside(v), JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n)
                         : "null";
    if (!text)
        out_of_memory();
    buf_add(out, v ? (struct slice){text, n} : SLICE("null"));
}
