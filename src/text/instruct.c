#include "text/instruct.h"

#include <string.h>

#include "text/yaml.h"

/* ---- pieces ---- */

/* One line, blanks one at a time, without control characters, at most `max` bytes. */
static struct slice one_line(struct slice s, size_t max, struct arena *a)
{
    BUF_CLEANUP struct buf b = BUF_INIT(3 * s.n + 4), valid = BUF_INIT(3 * s.n + 4);
    buf_add_utf8(&valid, s);
    bool blank = false;
    for (size_t i = 0; i < valid.n; i++) {
        unsigned char c = (unsigned char)valid.p[i];
        if (c <= ' ' || c == 0x7f) {
            blank = b.n > 0;
            continue;
        }
        if (blank)
            buf_add_char(&b, ' ');
        blank = false;
        buf_add_char(&b, (char)c);
    }
    if (b.n <= max)
        return arena_copy(a, buf_slice(&b));
    struct slice cut = slice_cut(buf_slice(&b), max - 3);
    char *text = arena_printf(a, "%.*s…", SLICE_ARG(cut));
    return slice_of(text);
}

/* The name of the folder that SKILL.md lies in. */
static struct slice folder_name(struct slice path)
{
    size_t last = slice_last_part(path);
    struct slice folder = slice_sub(path, 0, last ? last - 1 : 0);
    return slice_sub(folder, slice_last_part(folder), folder.n);
}

/* Cuts front matter off the head; false where there is none. *ret_ended: its last line was there. */
static bool split(struct slice head, struct slice *ret_front, struct slice *ret_body, bool *ret_ended)
{
    struct slice rest = slice_starts(head, SLICE("\xef\xbb\xbf")) ? slice_sub(head, 3, head.n) : head, line;
    *ret_body = rest;
    if (!slice_line(&rest, &line) || !slice_is(slice_trim(line), "---"))
        return false;
    *ret_front = rest;
    *ret_body = SLICE_NONE;
    *ret_ended = false;
    while (slice_line(&rest, &line))
        if (slice_is(slice_trim(line), "---") || slice_is(slice_trim(line), "...")) {
            *ret_front = slice_sub(*ret_front, 0, (size_t)(line.p - ret_front->p));
            *ret_body = rest;
            *ret_ended = true;
            break;
        }
    return true;
}

/* ---- front matter that is no YAML ---- */

static bool is_indented(struct slice line)
{
    return line.n == 0 || line.p[0] == ' ' || line.p[0] == '\t';
}

/* What stands behind `key:` at the beginning of a line, with the indented lines that follow. */
static struct slice by_line(struct slice front, struct slice key)
{
    struct slice line;
    while (slice_line(&front, &line)) {
        if (!slice_starts(line, key) || slice_sub(line, key.n, 1).n == 0 || line.p[key.n] != ':')
            continue;
        struct slice value = slice_sub(line, key.n + 1, line.n), next, rest = front;
        while (slice_line(&rest, &next) && is_indented(next)) {
            value.n = (size_t)(next.p + next.n - value.p);
            front = rest;
        }
        value = slice_trim(value);
        if (value.n && (value.p[0] == '>' || value.p[0] == '|')) /* a block: its head is ">", "|-" or the like */
            value = slice_trim(slice_sub(value, slice_index(value, '\n'), value.n));
        if (value.n > 1 && (value.p[0] == '"' || value.p[0] == '\'') && value.p[value.n - 1] == value.p[0])
            value = slice_sub(value, 1, value.n - 2);
        return value;
    }
    return SLICE_NONE;
}

/* The first lines of a body that are no heading. */
static struct slice first_paragraph(struct slice body)
{
    struct slice line, ret = SLICE_NONE;
    while (slice_line(&body, &line)) {
        struct slice t = slice_trim(line);
        bool none = t.n == 0 || t.p[0] == '#' || slice_starts(t, SLICE("```"));
        if (none && ret.n)
            break;
        if (!none)
            ret = ret.n ? (struct slice){ret.p, (size_t)(t.p + t.n - ret.p)} : t;
    }
    return ret;
}

/* ---- the whole ---- */

struct reading {
    struct slice name, description;
    const char *note;
};

static void read_front(struct slice front, struct reading *r, struct json **ret_tree)
{
    struct json *tree = NULL;
    if (yaml_parse(front, &tree, NULL) == OK && json_type(tree) == JSON_OBJECT) {
        r->name = json_text(json_get(tree, "name"));
        r->description = json_text(json_get(tree, "description"));
        if (json_has(tree, "description") && json_type(json_get(tree, "description")) != JSON_TEXT)
            r->note = "its description is no text";
    } else {
        r->name = by_line(front, SLICE("name"));
        r->description = by_line(front, SLICE("description"));
        r->note = "its front matter is not quite YAML (a value with a colon needs quotes)";
    }
    *ret_tree = tree;
}

enum err skill_read(struct slice head, struct slice path, struct arena *a, struct skill *ret, struct slice *ret_note, struct error *e)
{
    JSON_CLEANUP struct json *tree = NULL;
    struct reading r = {.note = NULL};
    struct slice front = SLICE_NONE, body, folder = folder_name(path);
    bool ended = true;
    if (split(slice_sub(head, 0, SKILL_HEAD_MAX), &front, &body, &ended))
        read_front(front, &r, &tree);
    else
        r.note = "it has no front matter";
    if (!ended)
        r.note = "its front matter has no end";
    struct skill k = {one_line(r.name, SKILL_NAME_MAX, a), one_line(r.description, SKILL_DESCRIPTION_MAX, a), path};
    if (k.description.n == 0) {
        k.description = one_line(first_paragraph(body), SKILL_DESCRIPTION_MAX, a);
        r.note = r.note ? r.note : "it has no description; its first lines stand for one";
    }
    if (k.name.n == 0) {
        k.name = one_line(folder, SKILL_NAME_MAX, a);
        r.note = r.note ? r.note : "it has no name; its folder's stands for it";
    }
    if (!k.name.p || !k.description.p)
        return error_set(e, ERR_MEMORY, "out of memory");
    if (k.description.n == 0)
        return error_set(e, ERR_CORRUPT, "it has no description");
    if (k.name.n == 0)
        return error_set(e, ERR_CORRUPT, "it has no name");
    *ret = k;
    if (!r.note && !slice_eq(ret->name, folder))
        r.note = "its name is not that of its folder";
    *ret_note = slice_of(r.note);
    return OK;
}
