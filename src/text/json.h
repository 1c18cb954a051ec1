/*
 * JSON on json-c, strict: RFC 8259, UTF-8, no NaN, no single quotes, no raw control characters in strings, no
 * duplicate keys, no trailing text, depth at most JSON_DEPTH_MAX. 64-bit integers are kept exactly.
 *
 * A value is owned by its root; json_free() on the root frees all. Readers take NULL for "absent", so look-ups chain.
 * Building: json_put() and json_push() take ownership of the value they are given.
 */
#ifndef CRANNOG_TEXT_JSON_H
#define CRANNOG_TEXT_JSON_H

#include "base/buf.h"

enum { JSON_DEPTH_MAX = 32, JSON_BYTES_MAX = 16 * 1024 * 1024 };

struct json; /* a value; the root owns its children */

enum json_type { JSON_NULL, JSON_BOOL, JSON_INT, JSON_REAL, JSON_TEXT, JSON_ARRAY, JSON_OBJECT };

/* The error's text says the offset. */
enum err MUST_USE json_parse(struct slice text, struct json **ret, struct error *e);
void json_free(struct json *root);
static inline void json_cleanup(struct json **root) { json_free(*root); }
#define JSON_CLEANUP __attribute__((cleanup(json_cleanup)))

enum json_type json_type(const struct json *v); /* JSON_NULL for NULL */
const struct json *json_get(const struct json *object, const char *key); /* NULL if absent or not an object */
size_t json_count(const struct json *array_or_object);                   /* 0 for anything else */
const struct json *json_at(const struct json *array, size_t i);
/* The i-th member of an object in the order written. */
const struct json *json_member(const struct json *object, size_t i, struct slice *ret_key);
struct slice json_text(const struct json *v);               /* empty if it is not text */
int64_t json_int(const struct json *v, int64_t missing);
bool json_bool(const struct json *v, bool missing);
/* Look-ups that complain: ERR_CORRUPT naming the key where it is absent or of another type. */
enum err MUST_USE json_need_text(const struct json *o, const char *key, struct slice *ret, struct error *e);
enum err MUST_USE json_need_int(const struct json *o, const char *key, int64_t *ret, struct error *e);

struct json *json_object(void);
struct json *json_array(void);
struct json *json_new_text(struct slice s); /* bytes that are not UTF-8 become U+FFFD */
struct json *json_new_int(int64_t v);
struct json *json_new_bool(bool v);
void json_put(struct json *object, const char *key, struct json *value);
void json_put_text(struct json *object, const char *key, struct slice s);
void json_put_int(struct json *object, const char *key, int64_t v);
void json_put_bool(struct json *object, const char *key, bool v);
void json_push(struct json *array, struct json *value);
/* A deep copy that its taker owns. */
struct json *json_clone(const struct json *v);
/* One line, no spaces, keys in the order put, forward slashes not escaped. Appends. */
void json_print(const struct json *v, struct buf *out);

#endif
