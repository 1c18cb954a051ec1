/*
 * The grammar of RFC 8259, by descent, into json-c's values. The whole text is known to be UTF-8 before it starts.
 *
 * Every function starts with `at` on the first byte of what it reads and leaves it behind the last; at an error it
 * stays at the offset that the message names. `text` is a stack of decoded strings: who pushes one takes it off again,
 * so that a key waits there while its value is read.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "text/internal.h"
#include "text/json.h"

struct parser {
    struct slice s;
    size_t at;
    unsigned depth;
    struct buf text;
    struct error *e;
};

static enum err MUST_USE parse_value(struct parser *p, struct jsonc_object **ret);

static enum err MUST_USE fail(const struct parser *p, const char *what)
{
    return error_set(p->e, ERR_CORRUPT, "JSON: %s at offset %zu", what, p->at);
}

static enum err MUST_USE fail_memory(const struct parser *p)
{
    return error_set(p->e, ERR_MEMORY, "no memory for a JSON text of %zu bytes", p->s.n);
}

/* The byte at `at`; NUL at the end, which no rule takes. */
static char peek(const struct parser *p)
{
    return p->at < p->s.n ? p->s.p[p->at] : '\0';
}

static bool take(struct parser *p, char c)
{
    if (p->at == p->s.n || p->s.p[p->at] != c)
        return false;
    p->at++;
    return true;
}

static void skip_blanks(struct parser *p)
{
    while (peek(p) == ' ' || peek(p) == '\t' || peek(p) == '\n' || peek(p) == '\r')
        p->at++;
}

/* ---- strings ---- */

static bool hex4(const struct parser *p, size_t at, unsigned *ret)
{
    unsigned v = 0;
    for (size_t i = at; i < at + 4; i++) {
        char c = i < p->s.n ? p->s.p[i] : '\0';
        if (c >= '0' && c <= '9')
            v = v * 16 + (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v * 16 + (unsigned)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            v = v * 16 + (unsigned)(c - 'A') + 10;
        else
            return false;
    }
    *ret = v;
    return true;
}

static void add_utf8(struct buf *b, unsigned c)
{
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    unsigned bytes = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    buf_add_char(b, (char)(bytes == 1 ? c : lead[bytes] | c >> 6 * (bytes - 1)));
    for (unsigned left = bytes - 1; left-- > 0;)
        buf_add_char(b, (char)(0x80 | (c >> 6 * left & 0x3f)));
}

/* After "\u". Two escapes that are a surrogate pair make one character; half of one is U+FFFD. */
static enum err MUST_USE parse_unicode_escape(struct parser *p)
{
    unsigned c, low;
    if (!hex4(p, p->at, &c))
        return fail(p, "four hexadecimal digits were expected");
    p->at += 4;
    if (c >= 0xd800 && c <= 0xdbff && peek(p) == '\\' && p->at + 1 < p->s.n && p->s.p[p->at + 1] == 'u' &&
        hex4(p, p->at + 2, &low) && low >= 0xdc00 && low <= 0xdfff) {
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        p->at += 6;
    }
    add_utf8(&p->text, c >= 0xd800 && c <= 0xdfff ? 0xfffd : c);
    return OK;
}

/* After the backslash. */
static enum err MUST_USE parse_escape(struct parser *p)
{
    char c = peek(p);
    switch (c) {
    case '"': case '\\': case '/': break;
    case 'b': c = '\b'; break;
    case 'f': c = '\f'; break;
    case 'n': c = '\n'; break;
    case 'r': c = '\r'; break;
    case 't': c = '\t'; break;
    case 'u': p->at++; return parse_unicode_escape(p);
    default: return fail(p, "an escape that does not exist");
    }
    p->at++;
    buf_add_char(&p->text, c);
    return OK;
}

/* Decodes a string onto the stack. */
static enum err MUST_USE parse_string(struct parser *p)
{
    if (!take(p, '"'))
        return fail(p, "a string in double quotes was expected");
    for (;;) {
        size_t from = p->at;
        while (p->at < p->s.n && (unsigned char)p->s.p[p->at] >= 0x20 && p->s.p[p->at] != '"' && p->s.p[p->at] != '\\')
            p->at++;
        buf_add(&p->text, slice_sub(p->s, from, p->at - from));
        if (take(p, '"'))
            return buf_ok(&p->text) ? OK : fail_memory(p);
        if (p->at == p->s.n)
            return fail(p, "a string does not end");
        if (!take(p, '\\'))
            return fail(p, "a raw control character in a string");
        enum err err = parse_escape(p);
        if (err)
            return err;
    }
}

/* ---- scalars ---- */

static enum err MUST_USE parse_text(struct parser *p, struct jsonc_object **ret)
{
    size_t mark = p->text.n;
    enum err err = parse_string(p);
    if (err)
        return err;
    const char *from = p->text.n > mark ? p->text.p + mark : "";
    *ret = json_object_new_string_len(from, (int)(p->text.n - mark));
    p->text.n = mark;
    return *ret ? OK : fail_memory(p);
}

static size_t skip_digits(struct parser *p)
{
    size_t from = p->at;
    while (peek(p) >= '0' && peek(p) <= '9')
        p->at++;
    return p->at - from;
}

/* The value of a number that the grammar has taken; `digits` ends in NUL. NULL where it is too large, or for memory. */
static struct jsonc_object *number_of(const char *digits, bool real, bool *ret_large)
{
    errno = 0;
    if (real) {
        double d = strtod(digits, NULL);
        *ret_large = !isfinite(d);
        return *ret_large ? NULL : json_object_new_double_s(d, digits);
    }
    long long v = strtoll(digits, NULL, 10);
    if (errno == 0)
        return json_object_new_int64(v);
    errno = 0;
    unsigned long long u = strtoull(digits, NULL, 10);
    *ret_large = errno != 0 || digits[0] == '-';
    return *ret_large ? NULL : json_object_new_uint64(u);
}

static enum err MUST_USE parse_number(struct parser *p, struct jsonc_object **ret)
{
    size_t from = p->at, mark = p->text.n;
    take(p, '-');
    if (!take(p, '0') && skip_digits(p) == 0)
        return fail(p, "a digit was expected");
    bool real = peek(p) == '.';
    if (take(p, '.') && skip_digits(p) == 0)
        return fail(p, "a digit was expected after the point");
    if (take(p, 'e') || take(p, 'E')) {
        real = true;
        if (!take(p, '+'))
            take(p, '-');
        if (skip_digits(p) == 0)
            return fail(p, "a digit was expected in the exponent");
    }
    buf_add(&p->text, slice_sub(p->s, from, p->at - from));
    if (!buf_ok(&p->text))
        return fail_memory(p);
    bool large = false;
    *ret = number_of(p->text.p + mark, real, &large);
    p->text.n = mark;
    if (large)
        return error_set(p->e, ERR_LIMIT, "JSON: a number larger than can be held at offset %zu", from);
    return *ret ? OK : fail_memory(p);
}

static enum err MUST_USE parse_word(struct parser *p, struct slice word)
{
    if (!slice_starts(slice_sub(p->s, p->at, p->s.n), word))
        return fail(p, "a value was expected");
    p->at += word.n;
    return OK;
}

static enum err MUST_USE parse_bool(struct parser *p, bool value, struct jsonc_object **ret)
{
    enum err err = parse_word(p, value ? SLICE("true") : SLICE("false"));
    if (err)
        return err;
    *ret = json_object_new_boolean(value);
    return *ret ? OK : fail_memory(p);
}

/* ---- arrays and objects ---- */

/* One more level, past its bracket; the caller goes up again. */
static enum err MUST_USE go_down(struct parser *p)
{
    if (p->depth == JSON_DEPTH_MAX)
        return error_set(p->e, ERR_LIMIT, "JSON: more than %d levels deep at offset %zu", JSON_DEPTH_MAX, p->at);
    p->depth++;
    p->at++;
    skip_blanks(p);
    return OK;
}

/* After a value: true and on to the next one, or false with `close` taken or an error. */
static bool goes_on(struct parser *p, char close, enum err *ret_err)
{
    skip_blanks(p);
    if (take(p, ',')) {
        skip_blanks(p);
        return true;
    }
    if (!take(p, close))
        *ret_err = fail(p, close == ']' ? "a comma or ] was expected" : "a comma or } was expected");
    return false;
}

static enum err MUST_USE parse_element(struct parser *p, struct jsonc_object *array)
{
    struct jsonc_object *value = NULL;
    enum err err = parse_value(p, &value);
    if (err)
        return err;
    if (json_object_array_add(array, value) < 0) {
        json_object_put(value);
        return fail_memory(p);
    }
    return OK;
}

static enum err MUST_USE parse_array(struct parser *p, struct jsonc_object **ret)
{
    enum err err = go_down(p);
    if (err)
        return err;
    if (!(*ret = json_object_new_array()))
        return fail_memory(p);
    if (!take(p, ']'))
        do
            err = parse_element(p, *ret);
        while (!err && goes_on(p, ']', &err));
    p->depth--;
    return err;
}

/* Pushes the key and a NUL. A key is a C string to json-c, so one with a NUL inside would be another key. */
static enum err MUST_USE parse_key(struct parser *p, struct jsonc_object *object)
{
    size_t mark = p->text.n, from = p->at;
    enum err err = parse_string(p);
    if (err)
        return err;
    buf_add_char(&p->text, '\0');
    if (!buf_ok(&p->text))
        return fail_memory(p);
    struct slice key = slice_sub(buf_slice(&p->text), mark, p->text.n - 1 - mark);
    if (slice_index(key, '\0') < key.n || json_object_object_get_ex(object, p->text.p + mark, NULL)) {
        p->at = from;
        return fail(p, slice_index(key, '\0') < key.n ? "a key with \\u0000" : "a key that is there twice");
    }
    return OK;
}

static enum err MUST_USE parse_member(struct parser *p, struct jsonc_object *object)
{
    size_t mark = p->text.n;
    enum err err = parse_key(p, object);
    if (err)
        return err;
    skip_blanks(p);
    if (!take(p, ':'))
        return fail(p, "a colon was expected");
    skip_blanks(p);
    struct jsonc_object *value = NULL;
    err = parse_value(p, &value);
    if (err)
        return err;
    if (json_object_object_add_ex(object, p->text.p + mark, value, JSON_C_OBJECT_ADD_KEY_IS_NEW) < 0) {
        json_object_put(value);
        return fail_memory(p);
    }
    p->text.n = mark;
    return OK;
}

static enum err MUST_USE parse_object(struct parser *p, struct jsonc_object **ret)
{
    enum err err = go_down(p);
    if (err)
        return err;
    if (!(*ret = json_object_new_object()))
        return fail_memory(p);
    if (!take(p, '}'))
        do
            err = parse_member(p, *ret);
        while (!err && goes_on(p, '}', &err));
    p->depth--;
    return err;
}

/* *ret is NULL for null. What was built before an error is freed here, at every level. */
static enum err parse_value(struct parser *p, struct jsonc_object **ret)
{
    struct jsonc_object *value = NULL;
    enum err err;
    switch (peek(p)) {
    case '{': err = parse_object(p, &value); break;
    case '[': err = parse_array(p, &value); break;
    case '"': err = parse_text(p, &value); break;
    case 't': err = parse_bool(p, true, &value); break;
    case 'f': err = parse_bool(p, false, &value); break;
    case 'n': err = parse_word(p, SLICE("null")); break;
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        err = parse_number(p, &value);
        break;
    default: err = fail(p, "a value was expected");
    }
    if (err)
        json_object_put(value);
    else
        *ret = value;
    return err;
}

enum err json_parse(struct slice text, struct json **ret, struct error *e)
{
    if (text.n > JSON_BYTES_MAX)
        return error_set(e, ERR_LIMIT, "a JSON text of %zu bytes; %d are the most", text.n, JSON_BYTES_MAX);
    struct parser p = {.s = text, .text = BUF_INIT(text.n + JSON_DEPTH_MAX), .e = e};
    if (!slice_is_utf8(text)) {
        p.at = utf8_bad_at(text);
        return fail(&p, "bytes that are not UTF-8");
    }
    struct jsonc_object *root = NULL;
    skip_blanks(&p);
    enum err err = parse_value(&p, &root);
    skip_blanks(&p);
    if (!err && p.at < text.n) {
        err = fail(&p, "more text after the value");
        json_object_put(root);
    }
    buf_release(&p.text);
    if (!err)
        *ret = (struct json *)(void *)root;
    return err;
}
