#include "text/yaml.h"

#include <string.h>
#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    struct slice text;
    struct error *e;
};

#define EVENT_CLEANUP __attribute__((cleanup(yaml_event_delete)))

/* ---- errors ---- */

static enum err MUST_USE fail_at(struct reader *r, yaml_mark_t mark, const char *what)
{
    return error_set(r->e, ERR_CORRUPT, "line %zu, column %zu: %s", mark.line + 1, mark.column + 1, what);
}

/* The place of a byte, in lines and characters. */
static yaml_mark_t place_of(struct slice text, size_t offset)
{
    yaml_mark_t mark = {.index = offset};
    for (size_t i = 0; i < offset && i < text.n; i++) {
        if (text.p[i] == '\n') {
            mark.line++;
            mark.column = 0;
        } else if (((unsigned char)text.p[i] & 0xc0) != 0x80) {
            mark.column++;
        }
    }
    return mark;
}

static enum err MUST_USE fail_of_libyaml(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return error_set(r->e, ERR_MEMORY, "no memory for a YAML text of %zu bytes", r->text.n);
    yaml_mark_t mark = p->error == YAML_READER_ERROR ? place_of(r->text, p->problem_offset) : p->problem_mark;
    return fail_at(r, mark, p->problem ? p->problem : "this is no YAML");
}

static enum err MUST_USE next(struct reader *r, yaml_event_t *ret)
{
    return yaml_parser_parse(&r->parser, ret) ? OK : fail_of_libyaml(r);
}

/* ---- scalars ---- */

static bool is_one_of(struct slice s, const char *const words[3])
{
    return slice_is(s, words[0]) || slice_is(s, words[1]) || slice_is(s, words[2]);
}

/* -9223372036854775808 stays text: slice_int() wants the positive number to fit as well. */
static bool is_integer(struct slice s, int64_t *ret)
{
    struct slice digits = slice_sub(s, s.n && s.p[0] == '-', s.n);
    return (digits.n == 1 || (digits.n > 1 && digits.p[0] != '0')) && slice_int(s, ret);
}

static struct json *plain_value(struct slice s)
{
    static const char *const yes[] = {"true", "True", "TRUE"}, *const no[] = {"false", "False", "FALSE"},
                             *const none[] = {"null", "Null", "NULL"};
    int64_t v;
    if (is_one_of(s, yes) || is_one_of(s, no))
        return json_new_bool(is_one_of(s, yes));
    if (s.n == 0 || slice_is(s, "~") || is_one_of(s, none))
        return NULL;
    return is_integer(s, &v) ? json_new_int(v) : json_new_text(s);
}

static struct slice scalar_text(const yaml_event_t *ev)
{
    return (struct slice){(const char *)ev->data.scalar.value, ev->data.scalar.length};
}

static struct json *scalar_value(const yaml_event_t *ev)
{
    bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return plain ? plain_value(scalar_text(ev)) : json_new_text(scalar_text(ev));
}

/* ---- nodes ---- */

static enum err MUST_USE build(struct reader *r, const yaml_event_t *ev, unsigned depth, struct json **ret);

/* What every node may not have. */
static enum err MUST_USE check_node(struct reader *r, const yaml_event_t *ev, unsigned depth)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (ev->type == YAML_ALIAS_EVENT)
        return fail_at(r, ev->start_mark, "aliases (*name) are not allowed here");
    if (ev->type == YAML_SCALAR_EVENT) {
        anchor = ev->data.scalar.anchor;
        tag = ev->data.scalar.tag;
    } else if (ev->type == YAML_SEQUENCE_START_EVENT) {
        anchor = ev->data.sequence_start.anchor;
        tag = ev->data.sequence_start.tag;
    } else if (ev->type == YAML_MAPPING_START_EVENT) {
        anchor = ev->data.mapping_start.anchor;
        tag = ev->data.mapping_start.tag;
    }
    if (anchor)
        return fail_at(r, ev->start_mark, "anchors (&name) are not allowed here");
    if (tag)
        return fail_at(r, ev->start_mark, "tags (!name) are not allowed here");
    if (ev->type != YAML_SCALAR_EVENT && depth == YAML_DEPTH_MAX)
        return error_set(r->e, ERR_LIMIT, "line %zu, column %zu: more than %d levels deep", ev->start_mark.line + 1,
                         ev->start_mark.column + 1, YAML_DEPTH_MAX);
    return OK;
}

static enum err MUST_USE check_key(struct reader *r, const yaml_event_t *ev, const struct json *map)
{
    if (ev->type != YAML_SCALAR_EVENT && ev->type != YAML_ALIAS_EVENT)
        return fail_at(r, ev->start_mark, "a key must be a single word or text");
    enum err err = check_node(r, ev, 0);
    if (err)
        return err;
    if (memchr(ev->data.scalar.value, '\0', ev->data.scalar.length))
        return fail_at(r, ev->start_mark, "a key with a NUL character");
    if (json_has(map, (const char *)ev->data.scalar.value))
        return fail_at(r, ev->start_mark, "a key that is there twice");
    return OK;
}

static enum err MUST_USE build_value(struct reader *r, unsigned depth, struct json **ret)
{
    EVENT_CLEANUP yaml_event_t ev = {0};
    enum err err = next(r, &ev);
    return err ? err : build(r, &ev, depth, ret);
}

static enum err MUST_USE build_map(struct reader *r, unsigned depth, struct json *map)
{
    for (;;) {
        EVENT_CLEANUP yaml_event_t key = {0};
        enum err err = next(r, &key);
        if (err || key.type == YAML_MAPPING_END_EVENT)
            return err;
        err = check_key(r, &key, map);
        struct json *value = NULL;
        if (!err)
            err = build_value(r, depth, &value);
        if (err)
            return err;
        json_put(map, (const char *)key.data.scalar.value, value);
    }
}

static enum err MUST_USE build_list(struct reader *r, unsigned depth, struct json *list)
{
    for (;;) {
        EVENT_CLEANUP yaml_event_t ev = {0};
        enum err err = next(r, &ev);
        if (err || ev.type == YAML_SEQUENCE_END_EVENT)
            return err;
        struct json *value = NULL;
        err = build(r, &ev, depth, &value);
        if (err)
            return err;
        json_push(list, value);
    }
}

/* The node that `ev` starts; `depth` is how many it lies in. */
static enum err build(struct reader *r, const yaml_event_t *ev, unsigned depth, struct json **ret)
{
    enum err err = check_node(r, ev, depth);
    if (err)
        return err;
    if (ev->type == YAML_SCALAR_EVENT) {
        *ret = scalar_value(ev);
        return OK;
    }
    bool map = ev->type == YAML_MAPPING_START_EVENT;
    struct json *node = map ? json_object() : json_array();
    err = map ? build_map(r, depth + 1, node) : build_list(r, depth + 1, node);
    if (err)
        json_free(node);
    else
        *ret = node;
    return err;
}

/* ---- the document ---- */

static bool is_nothing(const yaml_event_t *ev)
{
    return ev->type == YAML_STREAM_END_EVENT ||
           (ev->type == YAML_SCALAR_EVENT && ev->data.scalar.length == 0 && !ev->data.scalar.tag &&
            !ev->data.scalar.anchor && ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE);
}

/* From behind the document's node to the end of the stream. */
static enum err MUST_USE check_end(struct reader *r)
{
    EVENT_CLEANUP yaml_event_t document_end = {0}, end = {0};
    enum err err = next(r, &document_end);
    if (!err)
        err = next(r, &end);
    if (!err && end.type != YAML_STREAM_END_EVENT)
        return fail_at(r, end.start_mark, "a second document (---) is not allowed here");
    return err;
}

static enum err MUST_USE build_document(struct reader *r, struct json **ret)
{
    EVENT_CLEANUP yaml_event_t stream = {0}, document = {0}, first = {0};
    enum err err = next(r, &stream);
    if (!err)
        err = next(r, &document);
    if (!err && document.type == YAML_STREAM_END_EVENT) {
        *ret = json_object();
        return OK;
    }
    if (!err)
        err = next(r, &first);
    if (err)
        return err;
    struct json *root = NULL;
    if (is_nothing(&first))
        root = json_object();
    else
        err = build(r, &first, 0, &root);
    if (!err)
        err = check_end(r);
    if (err)
        json_free(root);
    else
        *ret = root;
    return err;
}

/*
 * The offset of a %TAG directive, or the text's size. They are looked for before libyaml sees them, because it compares
 * each with all before it: a text of a megabyte full of them took it forty seconds. A directive starts a line, and the
 * line breaks (CR, LF, U+0085, U+2028, U+2029, also a byte order mark behind one) are no printable ASCII.
 */
static size_t tag_directive_at(struct slice text)
{
    size_t at = 0;
    while ((at = slice_find(text, SLICE("%TAG"), at)) < text.n) {
        unsigned char before = at ? (unsigned char)text.p[at - 1] : '\n';
        if (before < ' ' || before >= 0x7f)
            break;
        at++;
    }
    return at;
}

enum err yaml_parse(struct slice text, struct json **ret, struct error *e)
{
    struct reader r = {.text = text, .e = e};
    if (text.n > YAML_BYTES_MAX)
        return error_set(e, ERR_LIMIT, "a YAML text of %zu bytes; %d are the most", text.n, YAML_BYTES_MAX);
    size_t directive = tag_directive_at(text);
    if (directive < text.n)
        return fail_at(&r, place_of(text, directive), "tags (%TAG) are not allowed here");
    if (!yaml_parser_initialize(&r.parser))
        return error_set(e, ERR_MEMORY, "no memory to read YAML");
    /* Said, since libyaml would guess UTF-16 from a mark; it checks that the bytes are UTF-8. */
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.n ? text.p : ""), text.n);
    enum err err = build_document(&r, ret);
    yaml_parser_delete(&r.parser);
    return err;
}
