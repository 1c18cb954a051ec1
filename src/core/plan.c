#include "core/plan.h"

#include <string.h>

#include "text/yaml.h"

struct parser {
    const char *name;
    struct slice rest;
    unsigned line;
    struct arena *arena;
    struct plan *plan;
    size_t cap;
    struct slice raw_needs[PLAN_ITEMS_MAX];
    struct error *e;
};

static enum err bad(struct parser *p, unsigned line, const char *what, struct slice about)
{
    char clean[80];
    size_t n = about.n < sizeof clean - 1 ? about.n : sizeof clean - 1;
    for (size_t i = 0; i < n; i++)
        clean[i] = (unsigned char)about.p[i] < 0x20 || about.p[i] == 0x7f ? '?' : about.p[i];
    clean[n] = '\0';
    return error_set(p->e, ERR_USAGE, "%s:%u: %s%s%s%s", p->name, line, what, n ? " '" : "", clean, n ? "'" : "");
}

static bool next_line(struct parser *p, struct slice *ret)
{
    if (!slice_line(&p->rest, ret))
        return false;
    p->line++;
    return true;
}

static bool is_name(struct slice s, char low, char high, const char *more)
{
    if (s.n == 0 || s.n > 64 || s.p[0] < low || s.p[0] > high)
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (!((s.p[i] >= low && s.p[i] <= high) || (s.p[i] >= '0' && s.p[i] <= '9') || strchr(more, s.p[i])))
            return false;
    return true;
}

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

/* ---- templates ---- */

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

static bool variable_value(struct slice field, struct slice path, struct slice *ret)
{
    size_t slash = path.n;
    while (slash && path.p[slash - 1] != '/')
        slash--;
    struct slice name = slice_sub(path, slash, path.n);
    size_t dot = name.n;
    while (dot && name.p[dot - 1] != '.')
        dot--;
    if (field.n == 0)
        *ret = path;
    else if (slice_is(field, ".name"))
        *ret = name;
    else if (slice_is(field, ".stem"))
        *ret = dot > 1 ? slice_sub(name, 0, dot - 1) : name;
    else if (slice_is(field, ".dir"))
        *ret = slash ? slice_sub(path, 0, slash - 1) : SLICE(".");
    else
        return false;
    return true;
}

/* The length of "{VAR…}" at the start of s, 0 if it is none; *ret_field is what stands behind the name. */
static size_t variable_at(struct slice s, struct slice var, struct slice *ret_field)
{
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

static bool has_variable(struct slice template, struct slice var)
{
    struct slice field;
    for (size_t i = 0; i < template.n; i++)
        if (variable_at(slice_sub(template, i, template.n), var, &field))
            return true;
    return false;
}

/* Every "{" in a template must be a variable of this item: a typo would otherwise become a file name. */
static enum err check_template(struct parser *p, unsigned line, struct slice t, struct slice var)
{
    for (size_t i = 0; i < t.n; i++) {
        struct slice field = SLICE_NONE, value, rest = slice_sub(t, i, t.n);
        if (t.p[i] != '{')
            continue;
        size_t n = variable_at(rest, var, &field);
        if (!n || !variable_value(field, SLICE("x"), &value))
            return bad(p, line, "unknown variable", slice_sub(rest, 0, slice_index(rest, '}') + 1));
    }
    return OK;
}

/* ---- front matter ---- */

static enum err front_value(struct parser *p, struct slice key, const struct json *v)
{
    struct plan *plan = p->plan;
    struct slice *to = slice_is(key, "goal")     ? &plan->goal
                       : slice_is(key, "verify") ? &plan->verify
                       : slice_is(key, "land")   ? &plan->land
                                                 : NULL;
    if (to) {
        if (json_type(v) != JSON_TEXT)
            return bad(p, 1, "text is wanted in the front matter for", key);
        *to = arena_copy(p->arena, json_text(v));
        return to->p ? OK : error_set(p->e, ERR_MEMORY, "%s: too large", p->name);
    }
    if (!slice_is(key, "budget"))
        return bad(p, 1, "unknown key in the front matter (goal, verify, land, budget are known):", key);
    BUF_CLEANUP struct buf number = BUF_INIT(64);
    struct slice text = json_text(v);
    if (json_type(v) == JSON_INT) {
        buf_addf(&number, "%lld", (long long)json_int(v, 0));
        text = buf_slice(&number);
    }
    enum err err = budget_parse(text, &plan->budget, p->e);
    return err ? error_wrap(p->e, "%s: front matter", p->name) : OK;
}

static enum err parse_front(struct parser *p)
{
    struct slice look = p->rest, line;
    if (!slice_line(&look, &line) || !slice_is(line, "---"))
        return OK;
    next_line(p, &line);
    struct slice yaml = {p->rest.p, 0};
    for (;;) {
        if (!next_line(p, &line))
            return bad(p, 1, "the front matter has no closing ---", SLICE_NONE);
        if (slice_is(line, "---"))
            break;
        yaml.n = (size_t)(p->rest.p - yaml.p);
    }
    JSON_CLEANUP struct json *front = NULL;
    enum err err = yaml_parse(yaml, &front, p->e);
    if (err) {
        p->e->code = ERR_USAGE;
        return error_wrap(p->e, "%s: front matter (counted from its first line)", p->name);
    }
    for (size_t i = 0; !err && i < json_count(front); i++) {
        struct slice key;
        const struct json *v = json_member(front, i, &key);
        err = front_value(p, key, v);
    }
    if (!err && p->plan->land.n && !slice_is(p->plan->land, "step") &&
        !slice_is(p->plan->land, "end") && !slice_is(p->plan->land, "ask"))
        err = bad(p, 1, "land is step, end or ask, not", p->plan->land);
    return err;
}

/* ---- items ---- */

static size_t indent_of(struct slice line)
{
    size_t n = 0;
    while (n < line.n && (line.p[n] == ' ' || line.p[n] == '\t'))
        n++;
    return n;
}

/* "for each `GLOB` as VAR, TEXT" → glob, var and the text behind. */
static enum err parse_each(struct parser *p, struct plan_item *it)
{
    static const struct slice opening = {"for each `", 10};
    if (!slice_starts(it->text, opening))
        return OK;
    struct slice s = slice_sub(it->text, opening.n, it->text.n);
    size_t tick = slice_index(s, '`');
    struct slice after = slice_sub(s, tick + 1, s.n);
    if (tick == s.n)
        return bad(p, it->line, "the file pattern has no closing `", SLICE_NONE);
    it->glob = slice_sub(s, 0, tick);
    if (it->glob.n && it->glob.p[0] == '/')
        return bad(p, it->line, "a file pattern is relative to the plan's folder, not", it->glob);
    if (!plan_path_ok(it->glob))
        return bad(p, it->line, "not a file pattern that can be used (no '.', '..' or empty parts):", it->glob);
    if (slice_starts(after, SLICE(" as "))) {
        after = slice_sub(after, 4, after.n);
        size_t n = 0;
        while (n < after.n && after.p[n] != ',' && after.p[n] != ' ')
            n++;
        it->var = slice_sub(after, 0, n);
        if (!is_name(it->var, 'A', 'Z', "_"))
            return bad(p, it->line, "a variable is in capitals, like SRC, not", it->var);
        after = slice_sub(after, n, after.n);
    } else {
        it->var = SLICE("FILE");
    }
    if (!slice_starts(after, SLICE(",")))
        return bad(p, it->line, "write: for each `pattern` as NAME, what to do; a comma is missing before",
                   slice_sub(after, 0, 20));
    it->text = slice_trim(slice_sub(after, 1, after.n));
    return OK;
}

static enum err set_key(struct parser *p, struct plan_item *it, struct slice key, struct slice value, size_t index)
{
    struct { const char *key; struct slice *to; } texts[] = {
        {"writes", &it->writes}, {"verify", &it->verify}, {"agent", &it->agent}, {"model", &it->model},
        {"ask", &it->ask},       {"needs", &p->raw_needs[index]}};
    int64_t n;
    if (value.n == 0)
        return bad(p, p->line, "nothing stands behind", key);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (slice_is(key, texts[i].key)) {
            if (texts[i].to->n)
                return bad(p, p->line, "said twice:", key);
            *texts[i].to = value;
            return OK;
        }
    if (slice_is(key, "budget")) {
        enum err err = budget_parse(value, &it->budget, p->e);
        return err ? error_wrap(p->e, "%s:%u", p->name, p->line) : OK;
    }
    if (slice_is(key, "retries")) {
        if (!slice_int(value, &n) || n < 0 || n > PLAN_RETRIES_MAX)
            return bad(p, p->line, "retries is a number from 0 to 20, not", value);
        it->retries = (unsigned)n;
        return OK;
    }
    return bad(p, p->line, "unknown key (writes, verify, needs, agent, model, budget, retries, ask are known):", key);
}

/* An indented line: "key: value" where the first word is all lower case and ends with a colon, else more text. */
static enum err item_line(struct parser *p, struct plan_item *it, struct slice line, size_t index)
{
    struct slice s = slice_trim(line);
    size_t n = 0;
    while (n < s.n && s.p[n] >= 'a' && s.p[n] <= 'z')
        n++;
    if (n && n < s.n && s.p[n] == ':' && (n + 1 == s.n || s.p[n + 1] == ' '))
        return set_key(p, it, slice_sub(s, 0, n), slice_trim(slice_sub(s, n + 1, s.n)), index);
    char *joined = arena_printf(p->arena, "%.*s %.*s", SLICE_ARG(it->text), SLICE_ARG(s));
    if (!joined)
        return error_set(p->e, ERR_MEMORY, "%s: too large", p->name);
    it->text = slice_trim(slice_of(joined));
    return OK;
}

static enum err start_item(struct parser *p, struct slice line)
{
    struct plan *plan = p->plan;
    if (line.n < 6 || line.p[4] != ']' || line.p[5] != ' ' || !strchr(" xX", line.p[3]))
        return bad(p, p->line, "an item starts with \"- [ ] name: what to do\", not", slice_sub(line, 0, 20));
    struct slice s = slice_trim(slice_sub(line, 6, line.n));
    size_t colon = slice_index(s, ':');
    struct slice name = slice_trim(slice_sub(s, 0, colon));
    if (colon == s.n || !is_name(name, 'a', 'z', "-"))
        return bad(p, p->line, "an item has a short name in small letters and a colon first, like \"note: …\", not",
                   slice_sub(s, 0, 30));
    for (size_t i = 0; i < plan->nitems; i++)
        if (slice_eq(plan->items[i].name, name))
            return bad(p, p->line, "two items have the name", name);
    if (plan->nitems == PLAN_ITEMS_MAX)
        return bad(p, p->line, "more than 200 items", SLICE_NONE);
    void *items = plan->items;
    if (!arena_grow(p->arena, &items, &p->cap, plan->nitems + 1, sizeof *plan->items))
        return error_set(p->e, ERR_MEMORY, "%s: too large", p->name);
    plan->items = items;
    plan->items[plan->nitems++] = (struct plan_item){
        .name = name, .text = slice_trim(slice_sub(s, colon + 1, s.n)), .ticked = line.p[3] != ' ',
        .retries = 2, .line = p->line, .budget = amounts_unlimited()};
    return OK;
}

static enum err resolve_needs(struct parser *p, size_t index)
{
    struct plan_item *it = &p->plan->items[index];
    struct slice s = p->raw_needs[index];
    while (s.n) {
        size_t n = 0;
        while (n < s.n && s.p[n] != ' ' && s.p[n] != ',')
            n++;
        struct slice name = slice_sub(s, 0, n);
        s = slice_sub(s, n + 1, s.n);
        if (name.n == 0)
            continue;
        size_t i = 0;
        while (i < index && !slice_eq(p->plan->items[i].name, name))
            i++;
        if (i == index)
            return bad(p, it->line, "needs an earlier item; there is none with the name", name);
        if (it->nneeds == PLAN_NEEDS_MAX)
            return bad(p, it->line, "needs more than 16 items", SLICE_NONE);
        it->needs[it->nneeds++] = (uint32_t)i;
    }
    return OK;
}

static enum err finish_item(struct parser *p, size_t index)
{
    struct plan_item *it = &p->plan->items[index];
    enum err err = parse_each(p, it);
    if (!err && it->text.n == 0)
        err = bad(p, it->line, "nothing to do stands in item", it->name);
    if (!err && it->writes.n == 0)
        err = bad(p, it->line,
                  "an item without `writes:` needs an agent with tools, which this version does not have; say what file "
                  "it writes. Item", it->name);
    if (!err)
        err = check_template(p, it->line, it->writes, it->var);
    if (!err)
        err = check_template(p, it->line, it->verify, it->var);
    if (err)
        return err;
    it->gathers = !has_variable(it->writes, it->var);
    BUF_CLEANUP struct buf example = BUF_INIT(4096);
    plan_expand(it->writes, it->var, SLICE("x/y.z"), false, &example);
    if (!plan_path_ok(buf_slice(&example)))
        return bad(p, it->line, "writes: wants a path below the plan's folder, not", it->writes);
    return resolve_needs(p, index);
}

enum err plan_parse(struct slice text, const char *name, struct arena *a, struct plan *ret, struct error *e)
{
    struct error ignored;
    struct plan plan = {.hash = hash_of(text), .budget = amounts_unlimited()};
    struct parser p = {.name = name, .arena = a, .plan = &plan, .e = e ? e : &ignored};
    if (text.n > PLAN_BYTES_MAX)
        return error_set(e, ERR_LIMIT, "%s is larger than 256 KiB", name);
    if (!slice_is_utf8(text) || (text.n && memchr(text.p, '\0', text.n)))
        return error_set(e, ERR_USAGE, "%s is not UTF-8 text", name);
    p.rest = arena_copy(a, text);
    if (text.n && !p.rest.p)
        return error_set(e, ERR_MEMORY, "%s: too large", name);
    enum err err = parse_front(&p);
    bool in_item = false;
    for (struct slice line; !err && next_line(&p, &line);) {
        if (slice_trim(line).n == 0)
            continue;
        if (slice_starts(line, SLICE("- [")) || slice_starts(line, SLICE("-["))) {
            err = start_item(&p, line);
            in_item = true;
        } else if (in_item && indent_of(line) >= 2) {
            err = item_line(&p, &plan.items[plan.nitems - 1], line, plan.nitems - 1);
        } else if (indent_of(line) >= 2 && slice_starts(slice_trim(line), SLICE("- ["))) {
            err = bad(&p, p.line, "an item stands at the margin; this one is indented:", slice_trim(line));
        } else {
            in_item = false;
        }
    }
    for (size_t i = 0; !err && i < plan.nitems; i++)
        err = finish_item(&p, i);
    if (!err && plan.nitems == 0)
        err = error_set(e, ERR_USAGE, "%s has no items; write one as \"- [ ] name: what to do\"", name);
    if (!err)
        *ret = plan;
    return err;
}

bool plan_item_same(const struct plan_item *a, const struct plan_item *b)
{
    return slice_eq(a->name, b->name) && slice_eq(a->text, b->text) && slice_eq(a->glob, b->glob) &&
           slice_eq(a->var, b->var) && slice_eq(a->writes, b->writes) && slice_eq(a->verify, b->verify) &&
           slice_eq(a->agent, b->agent) && slice_eq(a->model, b->model) && a->nneeds == b->nneeds &&
           memcmp(a->needs, b->needs, a->nneeds * sizeof *a->needs) == 0;
}
