/*
 * Parsing, by json-c's tokener in its strict mode, with a look at the text before and at the tree after for what that
 * mode still takes (measured on 0.16): raw control characters in strings, single quotes, NaN and Infinity in any
 * spelling, \u0000 in keys (they end there), duplicate keys (the last wins), numbers that are cut to fit.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/internal.h"
#include "text/json.h"

struct look {
    struct slice s;
    size_t at;
    size_t colons; /* members that the tree must have, else a key stood there twice */
    struct error *e;
};

static enum err bad(const struct look *l, enum err code, const char *what)
{
    return error_set(l->e, code, "JSON: %s at offset %zu", what, l->at);
}

static bool is_one_of(char c, const char *set)
{
    return c && strchr(set, c);
}

/* From behind the opening quote to behind the closing one. */
static enum err look_at_string(struct look *l)
{
    size_t start = l->at;
    bool has_nul = false;
    for (; l->at < l->s.n; l->at++) {
        char c = l->s.p[l->at];
        if ((unsigned char)c < 0x20)
            return bad(l, ERR_CORRUPT, "a control character in a string");
        if (c == '"')
            break;
        if (c == '\\' && l->at + 1 < l->s.n) {
            has_nul |= slice_starts(slice_sub(l->s, l->at, l->s.n), SLICE("\\u0000"));
            l->at++;
        }
    }
    if (l->at >= l->s.n) {
        l->at = start;
        return bad(l, ERR_CORRUPT, "a string without an end");
    }
    l->at++;
    size_t next = l->at;
    while (next < l->s.n && is_one_of(l->s.p[next], " \t\r\n"))
        next++;
    if (has_nul && next < l->s.n && l->s.p[next] == ':')
        return bad(l, ERR_CORRUPT, "\\u0000 in a key");
    return OK;
}

static enum err look_at_word(struct look *l)
{
    size_t n = 0;
    while (l->at + n < l->s.n && ((l->s.p[l->at + n] | 32) >= 'a' && (l->s.p[l->at + n] | 32) <= 'z'))
        n++;
    struct slice word = slice_sub(l->s, l->at, n);
    if (!slice_is(word, "true") && !slice_is(word, "false") && !slice_is(word, "null"))
        return bad(l, ERR_CORRUPT, "an unknown word");
    l->at += n;
    return OK;
}

/* RFC 8259: -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?, and within what json-c can hold. */
static enum err look_at_number(struct look *l)
{
    size_t start = l->at, i = l->at + (l->s.p[l->at] == '-'), digits = i;
    bool real = false, well = i < l->s.n;
    char text[400];
    while (i < l->s.n && l->s.p[i] >= '0' && l->s.p[i] <= '9')
        i++;
    well = well && i > digits && !(l->s.p[digits] == '0' && i > digits + 1);
    for (size_t from; well && i < l->s.n && is_one_of(l->s.p[i], real ? "eE" : ".eE"); well = i > from) {
        bool exponent = l->s.p[i] != '.';
        i++;
        if (exponent && i < l->s.n && is_one_of(l->s.p[i], "+-"))
            i++;
        for (from = i; i < l->s.n && l->s.p[i] >= '0' && l->s.p[i] <= '9';)
            i++;
        real = true;
        if (exponent)
            break;
    }
    if (!well || (i < l->s.n && !is_one_of(l->s.p[i], ",]} \t\r\n")))
        return bad(l, ERR_CORRUPT, "not a number");
    l->at = i;
    if (i - start >= sizeof text)
        return bad(l, ERR_LIMIT, "a number with too many digits");
    memcpy(text, l->s.p + start, i - start);
    text[i - start] = '\0';
    errno = 0;
    if (real ? !isfinite(strtod(text, NULL)) : text[0] == '-' ? (strtoll(text, NULL, 10), errno != 0) : (strtoull(text, NULL, 10), errno != 0)) {
        l->at = start;
        return bad(l, ERR_LIMIT, "a number that is too large");
    }
    return OK;
}

static enum err look_at_text(struct look *l)
{
    unsigned depth = 0;
    while (l->at < l->s.n) {
        char c = l->s.p[l->at];
        enum err err = OK;
        if (c == '[' || c == '{')
            depth++;
        if (depth > JSON_DEPTH_MAX)
            return bad(l, ERR_LIMIT, "too deep");
        if ((c == ']' || c == '}') && depth > 0)
            depth--;
        l->colons += c == ':';
        if (c == '"') {
            l->at++;
            err = look_at_string(l);
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            err = look_at_number(l);
        } else if ((c | 32) >= 'a' && (c | 32) <= 'z') {
            err = look_at_word(l);
        } else if (is_one_of(c, "[]{},: \t\r\n")) {
            l->at++;
        } else {
            err = bad(l, ERR_CORRUPT, "an unknown character");
        }
        if (err)
            return err;
    }
    return OK;
}

/* Members of all objects of a tree. Depth is bounded. */
static size_t count_members(const struct json *v)
{
    size_t n = 0;
    struct json_walk w = {0};
    struct slice key;
    const struct json *value;
    if (json_type(v) == JSON_ARRAY)
        for (size_t i = 0; i < json_count(v); i++)
            n += count_members(json_at(v, i));
    else
        while (json_next(v, &w, &key, &value))
            n += 1 + count_members(value);
    return n;
}

static enum err tokenize(struct look *l, struct jsonc_object **ret)
{
    struct json_tokener *t = json_tokener_new_ex(JSON_DEPTH_MAX + 1);
    if (!t)
        return error_set(l->e, ERR_MEMORY, "no memory for a JSON text of %zu bytes", l->s.n);
    json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    *ret = json_tokener_parse_ex(t, l->s.p, (int)l->s.n);
    enum json_tokener_error why = json_tokener_get_error(t);
    l->at = json_tokener_get_parse_end(t);
    if (why == json_tokener_continue) { /* a number or word at the very end: the tokener waits for what follows it */
        *ret = json_tokener_parse_ex(t, "", 1);
        why = json_tokener_get_error(t);
        l->at = l->s.n;
    }
    json_tokener_free(t);
    if (why == json_tokener_continue)
        return bad(l, ERR_CORRUPT, "the text ends too early");
    if (why != json_tokener_success)
        return bad(l, why == json_tokener_error_depth ? ERR_LIMIT : ERR_CORRUPT, json_tokener_error_desc(why));
    if (slice_trim(slice_sub(l->s, l->at, l->s.n)).n) {
        json_object_put(*ret);
        return bad(l, ERR_CORRUPT, "text behind the value");
    }
    return OK;
}

enum err json_parse(struct slice text, struct json **ret, struct error *e)
{
    struct look l = {.s = text, .e = e};
    struct jsonc_object *root = NULL;
    if (text.n > JSON_BYTES_MAX)
        return error_set(e, ERR_LIMIT, "JSON: a text of %zu bytes; at most %d are read", text.n, JSON_BYTES_MAX);
    if (!slice_is_utf8(text)) {
        l.at = utf8_bad_at(text);
        return bad(&l, ERR_CORRUPT, "not UTF-8");
    }
    if (slice_trim(text).n == 0)
        return bad(&l, ERR_CORRUPT, "there is no value");
    enum err err = look_at_text(&l);
    if (!err)
        err = tokenize(&l, &root);
    if (!err && count_members((const struct json *)(void *)root) != l.colons) {
        json_object_put(root);
        l.at = 0;
        err = bad(&l, ERR_CORRUPT, "a key stands twice in an object that begins");
    }
    if (!err)
        *ret = (struct json *)(void *)root;
    return err;
}
