/*
 * JSON on json-c, strict: RFC 8259, UTF-8, no byte order mark, no NaN, no single quotes, no raw control characters in
 * strings, no duplicate keys, no \u0000 in keys, no trailing text, depth at most JSON_DEPTH_MAX (json_parse.c says what is
 * looked at beside json-c's strict mode). Integers are kept exactly from -2^63 to 2^64 - 1 and refused beyond; reals keep their text and are refused where a
 * double cannot hold them. An escaped lone surrogate becomes U+FFFD.
 *
 * A value is owned by its root; json_free() on the root frees all. The value null is NULL, as is what is absent
 * (json_has() tells them apart): readers take NULL, so look-ups chain.
 * Building: json_put() and json_push() take ownership of the value they are given. Memory refused while building ends
 * the process with a plain message (json_parse returns ERR_MEMORY): no caller has a sensible way on without a text that
 * it meant to write. A tree is for one thread at a time.
 */
#ifndef CRANNOG_TEXT_JSON_H
#define CRANNOG_TEXT_JSON_H

#include "base/buf.h"
#include "base/hash.h"

enum { JSON_DEPTH_MAX = 32, JSON_BYTES_MAX = 16 * 1024 * 1024 };

struct json; /* a value; the root owns its children */

enum json_type { JSON_NULL, JSON_BOOL, JSON_INT, JSON_REAL, JSON_TEXT, JSON_ARRAY, JSON_OBJECT };

/* ERR_CORRUPT; ERR_LIMIT for too long, too deep, or a number too large. The error's text says the offset. */
enum err MUST_USE json_parse(struct slice text, struct json **ret, struct error *e);
void json_free(struct json *root);
static inline void json_cleanup(struct json **root) { json_free(*root); }
#define JSON_CLEANUP __attribute__((cleanup(json_cleanup)))

enum json_type json_type(const struct json *v); /* JSON_NULL for NULL */
const struct json *json_get(const struct json *object, const char *key); /* NULL if absent or not an object */
bool json_has(const struct json *object, const char *key);               /* also where its value is null */
size_t json_count(const struct json *array_or_object);                   /* 0 for anything else */
const struct json *json_at(const struct json *array, size_t i);
/* The i-th member of an object in the order written; takes i steps, so walk objects of unknown size by json_next. */
const struct json *json_member(const struct json *object, size_t i, struct slice *ret_key);
/* Walks an object: start with {0}; false at the end. The object must not change meanwhile. */
struct json_walk {
    const void *last;
};
bool json_next(const struct json *object, struct json_walk *w, struct slice *ret_key, const struct json **ret_value);
struct slice json_text(const struct json *v);               /* empty if it is not text */
int64_t json_int(const struct json *v, int64_t missing);    /* `missing` too for an integer beyond int64 */
double json_real(const struct json *v, double missing);     /* of a real or an integer */
bool json_bool(const struct json *v, bool missing);
/* Look-ups that complain: ERR_CORRUPT naming the key where it is absent or of another type. */
enum err MUST_USE json_need_text(const struct json *o, const char *key, struct slice *ret, struct error *e);
enum err MUST_USE json_need_int(const struct json *o, const char *key, int64_t *ret, struct error *e);

struct json *json_object(void);
struct json *json_array(void);
struct json *json_new_text(struct slice s); /* each byte that is not UTF-8 becomes U+FFFD; also in keys */
struct json *json_new_int(int64_t v);
struct json *json_new_bool(bool v);
/* Replaces a member of that name, which keeps its place. */
void json_put(struct json *object, const char *key, struct json *value);
void json_put_text(struct json *object, const char *key, struct slice s);
void json_put_int(struct json *object, const char *key, int64_t v);
void json_put_bool(struct json *object, const char *key, bool v);
void json_put_hash(struct json *object, const char *key, const struct hash *h); /* as hash_hex() writes it */
void json_push(struct json *array, struct json *value);
/* A deep copy that its taker owns. */
struct json *json_clone(const struct json *v);
/* One line, no spaces, keys in the order put, forward slashes not escaped. Appends. */
void json_print(const struct json *v, struct buf *out);

#endif
