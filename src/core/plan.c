#include "core/service.h"
#include "core/plan.h"

#include <string.h>
#include <strings.h>

#include "core/internal.h"
#include "text/yaml.h"

struct parser {
    const char *name;
    struct slice rest;
    unsigned line;
    struct arena *arena;
    struct plan *plan;
    size_t cap;
    struct slice raw_needs[PLAN_ITEMS_MAX];
    unsigned said[PLAN_ITEMS_MAX]; /* keys of an item, a bit each */
    struct error *e;
};

static enum err bad(struct parser *p, unsigned line, const char *what, struct slice about)
{
    char clean[80];
    one_line(clean, sizeof clean, about);
    return error_set(p->e, ERR_USAGE, "%s:%u: %s%s%s%s", p->name, line, what, *clean ? " '" : "", clean,
                     *clean ? "'" : "");
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

static enum err check_template(struct parser *p, unsigned line, struct slice t, struct slice var, enum template_kind kind)
{
    struct slice where;
    const char *why;
    if (!template_wrong(t, var, kind, &where, &why))
        return OK;
    return bad(p, line, var.n ? why : "a variable comes from \"for each `pattern` as NAME,\" at the start of the item's text; none gives", where);
}

/* ---- front matter ---- */

static enum err front_services(struct parser *p, const struct json *v)
{
    JSON_CLEANUP struct json *list = NULL;
    BUF_CLEANUP struct buf text = BUF_INIT(PLAN_BYTES_MAX);
    enum err err = services_from_config(v, &list, p->e);
    if (err)
        return error_wrap(p->e, "%s: front matter", p->name);
    json_print(list, &text);
    p->plan->services = arena_copy(p->arena, buf_slice(&text));
    return p->plan->services.p ? OK : error_set(p->e, ERR_MEMORY, "%s: too large", p->name);
}

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
        if (json_text(v).n > PLAN_TEXT_MAX)
            return bad(p, 1, "longer than 8,192 bytes in the front matter:", key);
        *to = arena_copy(p->arena, json_text(v));
        return to->p ? OK : error_set(p->e, ERR_MEMORY, "%s: too large", p->name);
    }
    if (slice_is(key, "services"))
        return front_services(p, v);
    if (!slice_is(key, "budget"))
        return bad(p, 1, "unknown key in the front matter (goal, verify, land, budget, services are known):", key);
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
    if (json_type(front) != JSON_OBJECT)
        return bad(p, 1, "the front matter is not made of lines like \"goal: …\"", SLICE_NONE);
    struct json_walk walk = {0};
    const struct json *v;
    for (struct slice key; !err && json_next(front, &walk, &key, &v);)
        err = front_value(p, key, v);
    struct slice land = p->plan->land;
    if (!err && land.n && !slice_is(land, "step") && !slice_is(land, "end") && !slice_is(land, "ask"))
        err = bad(p, 1, "land is step, end or ask, not", land);
    return err;
}

/* ---- items ---- */

/* "for each `GLOB` as VAR, TEXT" → glob, var and the text behind. */
static enum err parse_each(struct parser *p, struct plan_item *it)
{
    if (!slice_starts(it->text, SLICE("for each")) && !slice_starts(it->text, SLICE("For each")))
        return OK;
    struct slice s = slice_trim(slice_sub(it->text, 8, it->text.n));
    if (s.n == 0 || s.p[0] != '`')
        return OK; /* "for each chapter": no files are meant */
    s = slice_sub(s, 1, s.n);
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

static const char *const keys[] = {"writes", "verify", "needs", "agent", "model", "ask", "budget", "retries"};
enum { KEY_TEXTS = 6, KEY_BUDGET = 6, KEYS = 8 }; /* the first ones are texts */

/* The number of a key that is written in small letters, or in others with `loose`; KEYS if it is none. */
static size_t key_index(struct slice word, bool loose)
{
    size_t i = 0;
    while (i < KEYS && !(slice_is(word, keys[i]) ||
                         (loose && word.n == strlen(keys[i]) && strncasecmp(word.p, keys[i], word.n) == 0)))
        i++;
    return i;
}

static enum err set_key(struct parser *p, struct plan_item *it, struct slice key, struct slice value, size_t index)
{
    struct slice *const texts[KEY_TEXTS] = {&it->writes, &it->verify, &p->raw_needs[index],
                                            &it->agent,  &it->model,  &it->ask};
    size_t k = key_index(key, false);
    int64_t n;
    if (k == KEYS)
        return bad(p, p->line, "unknown key (writes, verify, needs, retries are known):", key);
    if (value.n == 0)
        return bad(p, p->line, "nothing stands behind", key);
    if (value.n > PLAN_TEXT_MAX)
        return bad(p, p->line, "longer than 8,192 bytes:", key);
    if (p->said[index] & 1u << k)
        return bad(p, p->line, "said twice:", key);
    p->said[index] |= 1u << k;
    if (k < KEY_TEXTS) {
        *texts[k] = value;
        return OK;
    }
    if (k == KEY_BUDGET) {
        enum err err = budget_parse(value, &it->budget, p->e);
        return err ? error_wrap(p->e, "%s:%u", p->name, p->line) : OK;
    }
    if (!slice_int(value, &n) || n < 0 || n > PLAN_RETRIES_MAX)
        return bad(p, p->line, "retries is a number from 0 to 20, not", value);
    it->retries = (unsigned)n;
    return OK;
}

/* "- [ ] …", also with * and +, which are no items of ours but look like some. */
static bool is_box(struct slice s)
{
    return s.n >= 5 && strchr("-*+", s.p[0]) && s.p[1] == ' ' && s.p[2] == '[' && s.p[4] == ']';
}

/* The word before a colon at the start of a line; empty if there is none. *ret_value is what stands behind. */
static struct slice key_of(struct slice s, struct slice *ret_value)
{
    size_t n = 0, colon;
    while (n < s.n && ((s.p[n] >= 'a' && s.p[n] <= 'z') || (s.p[n] >= 'A' && s.p[n] <= 'Z')))
        n++;
    for (colon = n; colon < s.n && s.p[colon] == ' ';)
        colon++;
    if (n == 0 || colon == s.n || s.p[colon] != ':')
        return SLICE_NONE;
    *ret_value = slice_sub(s, colon + 1, s.n);
    return slice_sub(s, 0, n);
}

static bool is_small(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 'a' || s.p[i] > 'z')
            return false;
    return s.n > 0;
}

/* An indented line: "key: value" where the first word is all lower case and ends with a colon, else more text. */
static enum err item_line(struct parser *p, struct plan_item *it, struct slice line, size_t index)
{
    struct slice s = slice_trim(line), value = SLICE_NONE, key = key_of(s, &value);
    bool well = is_small(key) && s.p[key.n] == ':' && (value.n == 0 || value.p[0] == ' ' || value.p[0] == '\t');
    if (is_box(s))
        return bad(p, p->line, "an item stands at the margin; this one is indented:", s);
    if (well)
        return set_key(p, it, key, slice_trim(value), index);
    if (key_index(key, true) < KEYS) /* "Verify: …" would silently become a part of the text */
        return bad(p, p->line, "a key is written in small letters, with a colon and a blank behind it, not", s);
    if (it->text.n + 1 + s.n > PLAN_TEXT_MAX)
        return bad(p, p->line, "the text is longer than 8,192 bytes in item", it->name);
    char *joined = arena_printf(p->arena, "%.*s %.*s", SLICE_ARG(it->text), SLICE_ARG(s));
    if (!joined)
        return error_set(p->e, ERR_MEMORY, "%s: too large", p->name);
    it->text = slice_trim(slice_of(joined));
    return OK;
}

/* A line that belongs to no item is for people, unless it looks as if it were meant for us. */
static enum err other_line(struct parser *p, struct slice line)
{
    struct slice s = slice_trim(line), value, key = key_of(s, &value);
    if (is_box(s))
        return bad(p, p->line, s.p[0] == '-' ? "an item stands at the margin; this one is indented:"
                                             : "an item starts with \"- [ ] name: what to do\", not", s);
    if (s.p != line.p && key_index(key, true) < KEYS)
        return bad(p, p->line, "this line belongs to no item (another line at the margin ended it):", s);
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

/* The templates put together for the longest and worst name: what the engine makes of them later stays bounded. */
static enum err check_expanded(struct parser *p, const struct plan_item *it, struct slice t, bool shell)
{
    char worst[1024];
    BUF_CLEANUP struct buf out = BUF_INIT(PLAN_EXPANDED_MAX);
    memset(worst, '\'', sizeof worst);
    plan_expand(t, it->var, (struct slice){worst, sizeof worst}, shell, &out);
    return buf_ok(&out) ? OK : bad(p, it->line, "too long with the names of files put in:", slice_sub(t, 0, 40));
}

static enum err check_item(struct parser *p, const struct plan_item *it)
{
    if (it->text.n == 0)
        return bad(p, it->line, "nothing to do stands in item", it->name);
    if (it->text.n > PLAN_TEXT_MAX)
        return bad(p, it->line, "the text is longer than 8,192 bytes in item", it->name);
    if (it->writes.n == 0)
        return bad(p, it->line, "an item without `writes:` needs an agent with tools, which this version does not have; "
                                "say what file it writes. Item", it->name);
    enum err err = check_template(p, it->line, it->writes, it->var, TEMPLATE_PATH);
    if (!err)
        err = check_template(p, it->line, it->verify, it->var, TEMPLATE_SHELL);
    if (!err)
        err = check_template(p, it->line, it->text, it->var, TEMPLATE_TEXT);
    if (!err)
        err = check_expanded(p, it, it->verify, true);
    if (!err)
        err = check_expanded(p, it, it->text, false);
    return err;
}

static enum err finish_item(struct parser *p, size_t index)
{
    struct plan_item *it = &p->plan->items[index];
    enum err err = parse_each(p, it);
    if (!err)
        err = check_item(p, it);
    if (err)
        return err;
    it->gathers = !template_has(it->writes, it->var);
    BUF_CLEANUP struct buf example = BUF_INIT(4096);
    plan_expand(it->writes, it->var, SLICE("x/y.z"), false, &example);
    if (!buf_ok(&example) || !plan_path_ok(buf_slice(&example)))
        return bad(p, it->line, "writes: wants a path below the plan's folder, not", it->writes);
    return resolve_needs(p, index);
}

static enum err parse_lines(struct parser *p)
{
    struct plan *plan = p->plan;
    enum err err = OK;
    bool in_item = false;
    for (struct slice line; !err && next_line(p, &line);) {
        if (slice_trim(line).n == 0)
            continue;
        bool indented = line.p[0] == ' ' || line.p[0] == '\t';
        bool starts = slice_starts(line, SLICE("- [")) || slice_starts(line, SLICE("-["));
        if (starts)
            err = start_item(p, line);
        else if (in_item && indented)
            err = item_line(p, &plan->items[plan->nitems - 1], line, plan->nitems - 1);
        else
            err = other_line(p, line);
        in_item = starts || (in_item && indented);
    }
    return err;
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
    if (slice_starts(text, SLICE("\xef\xbb\xbf"))) /* the mark that some editors put in front */
        text = slice_sub(text, 3, text.n);
    p.rest = arena_copy(a, text);
    if (!p.rest.p)
        return error_set(e, ERR_MEMORY, "%s: too large", name);
    enum err err = parse_front(&p);
    if (!err)
        err = parse_lines(&p);
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
