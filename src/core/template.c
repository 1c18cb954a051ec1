/*
 * Templates: "{VAR}" and its parts in what an item writes, checks and asks. What is put in is the name of a file, which
 * anybody may have made.
 */
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

enum { VARIABLE_BYTES_MAX = 128 };

bool plan_path_ok(struct slice path)
{
    if (path.n == 0 || path.n > 1024 || memchr(path.p, '\0', path.n))
        return false;
    for (size_t from = 0; from <= path.n;) {
        struct slice part = slice_sub(path, from, slice_index(slice_sub(path, from, path.n), '/'));
        if (part.n == 0 || part.n > 255 || slice_is(part, ".") || slice_is(part, ".."))
            return false;
        from += part.n + 1;
    }
    return true;
}

/* ---- values ---- */

static void add_value(struct slice v, bool shell, struct buf *out)
{
    if (!shell) {
        buf_add(out, v);
        return;
    }
    buf_add_char(out, '\'');
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] == '\'')
            buf_add_text(out, "'\\''");
        else
            buf_add_char(out, v.p[i]);
    buf_add_char(out, '\'');
}

/* A name without its extension; a name of dots only, or with the one dot in front, is its own stem (P2). */
static struct slice stem_of(struct slice name)
{
    size_t dot = name.n, dots = 0;
    while (dot && name.p[dot - 1] != '.')
        dot--;
    while (dots < name.n && name.p[dots] == '.')
        dots++;
    return dot > dots ? slice_sub(name, 0, dot - 1) : name;
}

static bool variable_value(struct slice field, struct slice path, struct slice *ret)
{
    size_t slash = slice_last_part(path);
    struct slice name = slice_sub(path, slash, path.n);
    if (field.n == 0)
        *ret = path;
    else if (slice_is(field, ".name"))
        *ret = name;
    else if (slice_is(field, ".stem"))
        *ret = stem_of(name);
    else if (slice_is(field, ".dir"))
        *ret = slash ? slice_sub(path, 0, slash - 1) : SLICE(".");
    else
        return false;
    return true;
}

/* The length of "{VAR…}" at the start of s, 0 if it is none; *ret_field is what stands behind the name. */
static size_t variable_at(struct slice s, struct slice var, struct slice *ret_field)
{
    s = slice_sub(s, 0, VARIABLE_BYTES_MAX);
    if (s.n == 0 || s.p[0] != '{' || var.n == 0 || !slice_eq(slice_sub(s, 1, var.n), var))
        return 0;
    size_t close = slice_index(s, '}');
    if (close == s.n || close < 1 + var.n)
        return 0;
    *ret_field = slice_sub(s, 1 + var.n, close - 1 - var.n);
    return close + 1;
}

void plan_expand(struct slice template, struct slice var, struct slice path, bool shell, struct buf *out)
{
    for (size_t i = 0; i < template.n;) {
        struct slice field, value;
        size_t n = variable_at(slice_sub(template, i, template.n), var, &field);
        if (n && variable_value(field, path, &value)) {
            add_value(value, shell, out);
            i += n;
        } else {
            buf_add_char(out, template.p[i++]);
        }
    }
}

/* ---- checks ---- */

/* The length of a right variable at the start of s, or 0. */
static size_t right_variable(struct slice s, struct slice var)
{
    struct slice field, value;
    size_t n = variable_at(s, var, &field);
    return n && variable_value(field, SLICE("x"), &value) ? n : 0;
}

bool template_has(struct slice template, struct slice var)
{
    for (size_t i = 0; i < template.n; i++)
        if (right_variable(slice_sub(template, i, template.n), var))
            return true;
    return false;
}

static bool in_name(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* "{NAME}", "{NAME.field}", or the item's own name with anything behind it. */
static bool looks_like_variable(struct slice s, struct slice var)
{
    size_t n = 1;
    if (s.n < 3 || s.p[0] != '{' || s.p[1] < 'A' || s.p[1] > 'Z')
        return false;
    while (n < s.n && in_name(s.p[n]))
        n++;
    bool own = var.n && slice_eq(slice_sub(s, 1, n - 1), var);
    if (n < s.n && s.p[n] == '.')
        for (n++; n < s.n && s.p[n] >= 'a' && s.p[n] <= 'z';)
            n++;
    return own || (n < s.n && s.p[n] == '}');
}

struct shell {
    char within; /* 0, one of ' and ", or 'x': somewhere that quotes cannot be told any more */
    bool escaped;
};

/* Quotes as sh sees them. What is hard to tell (commands within quotes, comments) is called 'x' to the end. */
static void shell_step(struct shell *sh, struct slice t, size_t i)
{
    char c = t.p[i], before = i ? t.p[i - 1] : ' ';
    bool was_escaped = sh->escaped;
    sh->escaped = !was_escaped && c == '\\' && sh->within != '\'';
    if (was_escaped || sh->escaped || sh->within == 'x')
        return;
    if (sh->within == '\'' || (sh->within == '"' && c == '"'))
        sh->within = c == sh->within ? 0 : sh->within;
    else if (c == '`' || (sh->within && c == '(' && before == '$') || (c == '(' && before == '(' && i > 1 && t.p[i - 2] == '$'))
        sh->within = 'x'; /* in arithmetic, $((, quotes do not quote */
    else if (!sh->within && c == '\'')
        sh->within = before == '$' ? 'x' : c;
    else if (!sh->within && c == '"')
        sh->within = c;
    else if (!sh->within && c == '#' && strchr(" \t;&|()<>", before))
        sh->within = 'x';
}

bool template_wrong(struct slice t, struct slice var, enum template_kind kind, struct slice *ret_where,
                    const char **ret_why)
{
    struct shell sh = {0};
    for (size_t i = 0; i < t.n; i++) {
        struct slice rest = slice_sub(t, i, t.n);
        bool dollar = kind == TEMPLATE_SHELL && i && t.p[i - 1] == '$';
        size_t n = right_variable(rest, var);
        *ret_where = slice_sub(rest, 0, slice_index(slice_sub(rest, 0, VARIABLE_BYTES_MAX), '}') + 1);
        *ret_why = "unknown variable";
        if (!n && t.p[i] == '{' && (kind == TEMPLATE_PATH || (!dollar && looks_like_variable(rest, var))))
            return kind != TEMPLATE_TEXT || var.n;
        *ret_why = "a variable quotes itself: write it without $, outside of quotes, backquotes and comments:";
        if (n && kind == TEMPLATE_SHELL && (dollar || sh.within || sh.escaped))
            return true;
        shell_step(&sh, t, i);
    }
    return false;
}

/* ---- targets ---- */

struct target {
    struct slice path;
    size_t index;
};

static int target_order(const void *a, const void *b)
{
    const struct target *x = a, *y = b;
    int order = slice_cmp(x->path, y->path);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

static enum err bad_target(struct slice path, struct slice target, struct error *e)
{
    char a[81], b[81];
    one_line(a, sizeof a, path);
    one_line(b, sizeof b, target);
    return error_set(e, ERR_USAGE, "for %s the item would write %s, which is not a path that can be used", a, b);
}

static enum err same_target(const struct plan_item *it, struct slice one, struct slice other, struct slice target, struct error *e)
{
    char a[61], b[61], c[61];
    one_line(a, sizeof a, one);
    one_line(b, sizeof b, other);
    one_line(c, sizeof c, target);
    return error_set(e, ERR_CONFLICT, "%s and %s would both be written to %s; use {%.*s.name}, or rename one", a, b, c,
                     SLICE_ARG(it->var));
}

enum err plan_targets_check(const struct plan_item *it, const struct slice *paths, size_t n, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(64 << 20);
    struct target *targets = arena_array(&a, n + 1, sizeof *targets);
    for (size_t i = 0; targets && i < n; i++) {
        BUF_CLEANUP struct buf path = BUF_INIT(64 * 1024);
        plan_expand(it->writes, it->var, paths[i], false, &path);
        if (!buf_ok(&path) || !plan_path_ok(buf_slice(&path)))
            return bad_target(paths[i], buf_slice(&path), e);
        targets[i] = (struct target){arena_copy(&a, buf_slice(&path)), i};
        if (!targets[i].path.p)
            targets = NULL;
    }
    if (!targets)
        return error_set(e, ERR_MEMORY, "no memory for the paths of %zu files", n);
    if (it->gathers)
        return OK;
    qsort(targets, n, sizeof *targets, target_order);
    for (size_t i = 1; i < n; i++)
        if (slice_eq(targets[i].path, targets[i - 1].path))
            return same_target(it, paths[targets[i - 1].index], paths[targets[i].index], targets[i].path, e);
    return OK;
}
