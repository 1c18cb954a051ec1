/* A run's state: its words, what can be asked of it, and whether its plan may change. The fold is in fold.c. */
#include "core/internal.h"

static const char *const stage_names[STAGES] = {"list", "pieces", "read", "measure", "ask",   "join", "look",
                                                "land", "verify", "survey", "squash", "exec", "apply",
                                                "instruct", "think", "call", "compact", "commit", "talk", "done", "stuck", "skipped"};
static const char *const status_names[] = {"new",     "active", "waiting", "stopped",
                                           "blocked", "done",   "failed",  "broken"};
static const char *const outcome_names[OUTCOMES] = {NULL,        "ok",       "failed",     "lost",
                                                    "cancelled", "conflict", "unconfirmed"};
static const char *const act_names[ACT_KINDS] = {NULL, "tool", "model", "measure", "landing", "think"};
static const char *const class_names[CLASSES] = {NULL, "reads", "again", "redo", "once"};

const char *stage_name(enum stage s) { return (unsigned)s < STAGES ? stage_names[s] : "unknown"; }
const char *run_status_name(enum run_status s) { return (unsigned)s <= RUN_BROKEN ? status_names[s] : "unknown"; }
const char *outcome_name(enum outcome o) { return o && (unsigned)o < OUTCOMES ? outcome_names[o] : "unknown"; }
const char *act_name(enum act_kind k) { return k && (unsigned)k < ACT_KINDS ? act_names[k] : "unknown"; }
const char *class_name(enum act_class c) { return c && (unsigned)c < CLASSES ? class_names[c] : "unknown"; }

static int index_of(struct slice name, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (names[i] && slice_is(name, names[i]))
            return i;
    return 0;
}

enum outcome outcome_from(struct slice name) { return (enum outcome)index_of(name, outcome_names, OUTCOMES); }
enum act_kind act_from(struct slice name) { return (enum act_kind)index_of(name, act_names, ACT_KINDS); }
enum act_class class_from(struct slice name) { return (enum act_class)index_of(name, class_names, CLASSES); }

static const char *const land_names[] = {"step", "end", "ask"};

const char *land_name(enum land_mode m) { return (unsigned)m <= LAND_ASK ? land_names[m] : "unknown"; }

bool land_from(struct slice name, enum land_mode *ret)
{
    for (unsigned i = 0; i <= LAND_ASK; i++)
        if (slice_is(name, land_names[i])) {
            *ret = (enum land_mode)i;
            return true;
        }
    return false;
}

struct slice item_name(const struct item_state *it)
{
    static const char *const names[] = {NULL, "verify", "exec", "apply", "agent"};
    return it->plan ? it->plan->name : slice_of(names[it->kind]);
}

void run_init(struct run_state *r, uint64_t id, struct arena *a)
{
    *r = (struct run_state){.id = id, .branch = 1, .next_step = 1, .arena = a, .slots = 1, .window = 2048};
}

/* ---- questions ---- */

const char *question_words(const struct line *l)
{
    if (l->question == QUESTION_ASK)
        return "your words";
    if (l->talk && l->question != QUESTION_CONFLICT && l->question != QUESTION_APPLY)
        return "retry"; /* to leave it is to stop the run */
    if (l->question == QUESTION_APPLY)
        return "apply | skip";
    if (l->question == QUESTION_CONFLICT)
        return l->resume == STAGE_APPLY ? "retry | replace | skip" : "keep | replace";
    return "retry | skip";
}

bool question_takes(const struct line *l, struct slice word)
{
    if (l->question == QUESTION_ASK)
        return word.n > 0;
    for (struct slice rest = slice_of(question_words(l)); rest.n;) {
        size_t n = slice_index(rest, ' ');
        if (slice_eq(slice_sub(rest, 0, n), word))
            return true;
        rest = slice_sub(rest, n + 3, rest.n);
    }
    return false;
}

/* ---- look-ups ---- */

const struct line *run_line_const(const struct run_state *r, uint32_t item, int32_t piece)
{
    if (item >= r->nitems)
        return NULL;
    const struct item_state *it = &r->items[item];
    if (piece == HEAD)
        return &it->head;
    return piece >= 0 && (size_t)piece < it->npieces ? &it->pieces[piece] : NULL;
}

struct line *run_line(struct run_state *r, uint32_t item, int32_t piece)
{
    if (item >= r->nitems)
        return NULL;
    struct item_state *it = &r->items[item];
    if (piece == HEAD)
        return &it->head;
    return piece >= 0 && (size_t)piece < it->npieces ? &it->pieces[piece] : NULL;
}

const struct talk *run_talk(const struct run_state *r)
{
    return r->is_agent && r->nitems ? r->items[0].head.talk : NULL;
}

bool line_of_question(const struct run_state *r, uint32_t question_step, uint32_t *ret_item, int32_t *ret_piece)
{
    for (uint32_t i = 0; i < r->nitems; i++)
        for (int32_t k = HEAD; r->items[i].nstuck && k < (int32_t)r->items[i].npieces; k++) {
            const struct line *l = run_line_const(r, i, k);
            if (l->stage == STAGE_STUCK && l->question_step == question_step) {
                *ret_item = i;
                *ret_piece = k;
                return true;
            }
        }
    return false;
}

const struct line *run_question(const struct run_state *r, uint32_t question_step, uint32_t *ret_item)
{
    uint32_t item;
    int32_t piece;
    if (!line_of_question(r, question_step, &item, &piece))
        return NULL;
    if (ret_item)
        *ret_item = item;
    return run_line_const(r, item, piece);
}

const struct line *run_writer_of(const struct run_state *r, struct slice path)
{
    for (size_t i = 0; i < r->nitems; i++)
        for (size_t k = 0; k < r->items[i].npieces; k++) {
            const struct line *l = &r->items[i].pieces[k];
            if (l->target.n && slice_eq(l->target, path) && !hash_is_zero(&l->landed))
                return l;
        }
    return NULL;
}

void run_progress(const struct run_state *r, size_t *ret_done, size_t *ret_total)
{
    *ret_done = *ret_total = 0;
    for (size_t i = 0; i < r->nitems; i++) {
        const struct item_state *it = &r->items[i];
        *ret_total += it->npieces ? it->npieces : 1;
        *ret_done += it->npieces ? it->nover : line_over(&it->head);
    }
}

struct json *layer_ref_print(const struct layer_ref *l)
{
    struct json *o = json_object();
    json_put_text(o, "name", l->name);
    json_put_int(o, "changes", (int64_t)l->changes);
    json_put_hash(o, "manifest", &l->manifest);
    return o;
}

/* ---- the plan ---- */

/* Whether its layers are partly in the folder: what another item would add to them could not be told from that. */
static bool lands_in_parts(const struct run_state *r)
{
    const struct item_state *last = r->nitems ? &r->items[r->nitems - 1] : NULL;
    return last && last->phase != ITEM_DONE && (!hash_is_zero(&r->rest) || last->head.landing);
}

enum err run_plan_may_change(const struct run_state *r, const struct plan *to, struct error *e)
{
    if (lands_in_parts(r))
        return error_set(e, ERR_CONFLICT, "a part of what the run changed is in the folder already, the rest waits: `crannog apply "
                         "r%llu` or `crannog answer r%llu skip`, or start anew with --again", (unsigned long long)r->id, (unsigned long long)r->id);
    for (size_t i = 0; i < r->plan.nitems; i++) {
        const struct plan_item *old = &r->plan.items[i];
        if (r->items[i].started && (i >= to->nitems || !plan_item_same(old, &to->items[i])))
            return error_set(e, ERR_CONFLICT,
                             "item '%.*s' of the plan has been started and was changed or moved since (was: %.*s); put it "
                             "back, or start anew with --again", SLICE_ARG(old->name), SLICE_ARG(slice_sub(old->text, 0, 120)));
    }
    return OK;
}
