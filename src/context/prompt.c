#include "context/prompt.h"

#include <string.h>

static const char *const role_names[] = {NULL, "system", "user", "assistant"};

const char *role_name(enum prompt_role r)
{
    return r >= ROLE_SYSTEM && r <= ROLE_ASSISTANT ? role_names[r] : "unknown";
}

enum prompt_role role_from(struct slice name)
{
    for (int i = ROLE_SYSTEM; i <= ROLE_ASSISTANT; i++)
        if (slice_is(name, role_names[i]))
            return (enum prompt_role)i;
    return 0;
}

static bool add_text(struct prompt *p, enum prompt_role role, const char *text)
{
    if (!text || p->n == PROMPT_PARTS_MAX)
        return false;
    p->parts[p->n++] = (struct prompt_part){.role = role, .text = slice_of(text)};
    return true;
}

static bool add_blob(struct prompt *p, const struct hash *blob, uint64_t from, uint64_t to)
{
    if (p->n == PROMPT_PARTS_MAX)
        return false;
    p->parts[p->n++] = (struct prompt_part){.role = ROLE_USER, .blob = *blob, .from = from, .to = to, .stored = true};
    return true;
}

/* "note (this step), briefing": the goal and what is open are put before the model anew at each item. */
static char *goal_and_items(const struct run_state *r, uint32_t item, struct arena *a)
{
    BUF_CLEANUP struct buf b = BUF_INIT(2 * PLAN_TEXT_MAX + PLAN_ITEMS_MAX * 80);
    if (r->plan.goal.n)
        buf_addf(&b, "The goal of the whole work: %.*s\n", SLICE_ARG(r->plan.goal));
    buf_add_text(&b, "Steps that are still open:");
    for (uint32_t i = 0; i < r->plan.nitems; i++)
        if (r->items[i].phase != ITEM_DONE)
            buf_addf(&b, " %.*s%s", SLICE_ARG(r->plan.items[i].name), i == item ? " (this one);" : ";");
    return buf_ok(&b) ? arena_str(a, slice_sub(buf_slice(&b), 0, b.n - 1)) : NULL; /* without the last mark */
}

static bool add_document(struct prompt *p, const struct line *l, const struct want *w)
{
    uint64_t from = l->ncuts > 1 && w->part > 0 ? l->cuts[w->part - 1] : 0;
    uint64_t to = l->ncuts > 1 ? l->cuts[w->part] : 0;
    return add_text(p, ROLE_USER, "The text:") && add_blob(p, &l->text.blob, from, to);
}

/* The answers to the parts of a long document; more than fit in a prompt's parts are left out from the middle. */
static bool add_answers(struct prompt *p, const struct line *l)
{
    size_t room = PROMPT_ANSWERS_MAX;
    ASSERT(p->n + 2 + room <= PROMPT_PARTS_MAX);
    if (!add_text(p, ROLE_USER, "What the parts of a document say, in order:"))
        return false;
    for (size_t i = 0; i < l->nparts; i++) {
        bool middle = l->nparts > room && i >= room / 2 && i < l->nparts - (room - room / 2);
        if (!middle && !add_blob(p, &l->parts[i].blob, 0, 0))
            return false;
    }
    return true;
}

enum err prompt_make(const struct run_state *r, const struct want *w, struct arena *a, struct prompt *ret, struct error *e)
{
    const struct line *l = run_line_const(r, w->item, w->piece);
    const struct plan_item *it = &r->plan.items[w->item];
    *ret = (struct prompt){0};
    BUF_CLEANUP struct buf ask = BUF_INIT(PLAN_EXPANDED_MAX + 1);
    struct slice text = it->text;
    if (text.n && text.p[0] >= 'a' && text.p[0] <= 'z') { /* an item's text begins small after its "name:" */
        buf_add_char(&ask, (char)(text.p[0] - 'a' + 'A'));
        text = slice_sub(text, 1, text.n);
    }
    plan_expand(text, it->var, l->source, false, &ask);
    if (ask.n && !strchr(".?!:", ask.p[ask.n - 1]))
        buf_add_text(&ask, ".");
    bool ok = add_text(ret, ROLE_SYSTEM, "You are a helpful assistant who gives short, faithful answers from the text "
                                         "at hand.") &&
              add_text(ret, ROLE_SYSTEM, goal_and_items(r, w->item, a));
    if (ok && l->source.n)
        ok = w->stage == STAGE_JOIN ? add_answers(ret, l) : add_document(ret, l, w);
    ok = ok && buf_ok(&ask) && add_text(ret, ROLE_USER, arena_str(a, buf_slice(&ask)));
    return ok ? OK : error_set(e, ERR_LIMIT, "the question of item '%.*s' does not fit in a prompt", SLICE_ARG(it->name));
}

static void release(struct prompt_message *messages, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_release(&messages[i].text);
}

size_t prompt_render(unsigned version, const enum prompt_role *roles, const struct slice *texts, size_t n,
                     struct prompt_message *ret, size_t max)
{
    size_t got = 0;
    bool ok = version == PROMPT_RENDER;
    for (size_t i = 0; ok && i < n; i++) {
        bool anew = got == 0 || ret[got - 1].role != roles[i];
        ok = !anew || got < max;
        if (ok && anew)
            ret[got++] = (struct prompt_message){.role = roles[i], .text = BUF_INIT(PROMPT_BYTES_MAX)};
        else if (ok)
            buf_add_text(&ret[got - 1].text, "\n\n");
        if (ok)
            buf_add(&ret[got - 1].text, slice_trim(texts[i]));
        ok = ok && buf_ok(&ret[got - 1].text);
    }
    if (ok)
        return got;
    release(ret, got);
    return 0;
}
