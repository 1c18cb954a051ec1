#include "core/state.h"

#include <stdio.h>
#include <string.h>

static const char *const stage_names[STAGES] = {"list", "pieces", "read", "measure", "ask",   "join", "look",
                                                "land", "verify", "exec", "done",    "stuck", "skipped"};
static const char *const status_names[] = {"new",     "active", "waiting", "stopped",
                                           "blocked", "done",   "failed",  "broken"};
static const char *const outcome_names[OUTCOMES] = {NULL,        "ok",       "failed",     "lost",
                                                    "cancelled", "conflict", "unconfirmed"};
static const char *const act_names[ACT_KINDS] = {NULL, "tool", "model", "measure", "landing"};
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
    return -1;
}

enum outcome outcome_from(struct slice name)
{
    int i = index_of(name, outcome_names, OUTCOMES);
    return i > 0 ? (enum outcome)i : 0;
}

void run_init(struct run_state *r, uint64_t id, struct arena *a)
{
    *r = (struct run_state){.id = id, .branch = 1, .next_step = 1, .arena = a, .slots = 1, .window = 2048};
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

const struct line *run_question(const struct run_state *r, uint32_t question_step, uint32_t *ret_item)
{
    for (uint32_t i = 0; i < r->nitems; i++)
        for (int32_t k = HEAD; k < (int32_t)r->items[i].npieces; k++) {
            const struct line *l = run_line_const(r, i, k);
            if (l->stage == STAGE_STUCK && l->question_step == question_step) {
                if (ret_item)
                    *ret_item = i;
                return l;
            }
        }
    return NULL;
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

static bool line_over(const struct line *l)
{
    return l->stage == STAGE_DONE || l->stage == STAGE_SKIPPED;
}

/* Whether a step may be intended for it. */
static bool line_wants(const struct line *l)
{
    return !l->open && !line_over(l) && l->stage != STAGE_STUCK && l->stage != STAGE_PIECES;
}

void run_progress(const struct run_state *r, size_t *ret_done, size_t *ret_total)
{
    *ret_done = *ret_total = 0;
    for (size_t i = 0; i < r->nitems; i++) {
        const struct item_state *it = &r->items[i];
        if (it->npieces == 0) {
            (*ret_total)++;
            *ret_done += line_over(&it->head);
        }
        for (size_t k = 0; k < it->npieces; k++) {
            (*ret_total)++;
            *ret_done += line_over(&it->pieces[k]);
        }
    }
}

enum err run_plan_may_change(const struct run_state *r, const struct plan *to, struct error *e)
{
    for (size_t i = 0; i < r->plan.nitems; i++) {
        const struct plan_item *old = &r->plan.items[i];
        if (r->items[i].phase == ITEM_WAITING)
            continue;
        if (i >= to->nitems || !plan_item_same(old, &to->items[i]))
            return error_set(e, ERR_CONFLICT,
                             "item '%.*s' of the plan has been started and was changed since (was: %.*s); put it back, or "
                             "start anew with --again", SLICE_ARG(old->name), SLICE_ARG(slice_sub(old->text, 0, 120)));
    }
    return OK;
}

/* ---- stages ---- */

static enum stage first_piece_stage(const struct plan_item *p)
{
    return p->glob.n ? STAGE_READ : STAGE_ASK;
}

static bool has_join(const struct line *l)
{
    return l->ncuts > 1;
}

/* What comes after a stage that went well. */
static enum stage stage_after(const struct item_state *it, const struct line *l, bool is_head)
{
    const struct plan_item *p = it->plan;
    bool lands = p && (is_head ? p->gathers : !p->gathers);
    switch (l->stage) {
    case STAGE_LIST: return STAGE_PIECES;
    case STAGE_PIECES: return lands ? STAGE_LOOK : STAGE_DONE;
    case STAGE_READ: return STAGE_MEASURE;
    case STAGE_MEASURE: return STAGE_ASK;
    case STAGE_ASK:
        if (l->ncuts && l->nparts < l->ncuts)
            return STAGE_ASK;
        return has_join(l) ? STAGE_JOIN : lands ? STAGE_LOOK : STAGE_DONE;
    case STAGE_JOIN: return lands ? STAGE_LOOK : STAGE_DONE;
    case STAGE_LOOK: return STAGE_LAND;
    case STAGE_LAND: return p && p->verify.n ? STAGE_VERIFY : STAGE_DONE;
    default: return STAGE_DONE;
    }
}

static void act_of(enum stage s, enum act_kind *ret_act, enum act_class *ret_class)
{
    *ret_act = s == STAGE_ASK || s == STAGE_JOIN ? ACT_MODEL
               : s == STAGE_MEASURE              ? ACT_MEASURE
               : s == STAGE_LAND                 ? ACT_LANDING
                                                 : ACT_TOOL;
    *ret_class = *ret_act == ACT_LANDING ? CLASS_REDO : *ret_act == ACT_TOOL ? CLASS_READS : CLASS_AGAIN;
}

/* The phase follows from the lines: recomputed after every event about the item, so it cannot disagree with them. */
static void settle_item(struct item_state *it)
{
    bool started = it->head.step != 0, stuck = it->head.stage == STAGE_STUCK, all_over = true;
    for (size_t k = 0; k < it->npieces; k++) {
        const struct line *l = &it->pieces[k];
        started |= l->step != 0;
        stuck |= l->stage == STAGE_STUCK;
        all_over &= line_over(l);
    }
    if (it->head.stage == STAGE_PIECES && all_over)
        it->head.stage = stage_after(it, &it->head, true);
    it->phase = line_over(&it->head) ? ITEM_DONE : stuck ? ITEM_STUCK : started ? ITEM_OPEN : ITEM_WAITING;
}

static void stick(struct line *l, enum question q, enum stage resume, struct slice why)
{
    l->question = q;
    l->question_step = l->step;
    l->resume = resume;
    l->stage = STAGE_STUCK;
    snprintf(l->why, sizeof l->why, "%.*s", SLICE_ARG(why));
}

/* ---- the fold ---- */

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_MEMORY, "the run is larger than its memory budget of %d MiB", RUN_ARENA_BYTES >> 20);
}

static enum err keep(struct run_state *r, struct slice s, struct slice *ret, struct error *e)
{
    *ret = arena_copy(r->arena, s);
    return ret->p ? OK : no_memory(e);
}

static enum err get_hash(const struct json *o, const char *key, struct hash *ret, struct error *e)
{
    struct slice hex;
    enum err err = json_need_text(o, key, &hex, e);
    if (!err && !hash_from_hex(hex, ret))
        err = error_set(e, ERR_CORRUPT, "%s is not a hash", key);
    return err;
}

/* The plan's items as lines; those that a person ticked count as done. Existing progress is kept by index. */
static enum err make_items(struct run_state *r, struct error *e)
{
    size_t n = r->plan.nitems + (r->plan.verify.n ? 1 : 0) + (r->is_exec ? 1 : 0), kept = r->nitems;
    struct item_state *items = arena_array(r->arena, n, sizeof *items), *old = r->items;
    if (!items)
        return no_memory(e);
    for (size_t i = 0; i < n; i++) {
        struct item_state *it = &items[i];
        if (i < kept && i < r->plan.nitems && old[i].plan && old[i].phase != ITEM_WAITING)
            *it = old[i];
        it->plan = i < r->plan.nitems ? &r->plan.items[i] : NULL;
        if (it->head.step || it->npieces)
            continue;
        it->head.stage = !it->plan           ? (r->is_exec ? STAGE_EXEC : STAGE_VERIFY)
                         : it->plan->ticked  ? STAGE_SKIPPED
                         : it->plan->glob.n  ? STAGE_LIST
                                             : STAGE_PIECES;
        if (it->plan && !it->plan->glob.n && !it->plan->ticked) {
            it->pieces = arena_array(r->arena, 1, sizeof *it->pieces);
            if (!it->pieces)
                return no_memory(e);
            it->npieces = 1;
            it->pieces[0].stage = first_piece_stage(it->plan);
        }
        settle_item(it);
    }
    r->items = items;
    r->nitems = n;
    return OK;
}

static enum err read_plan(struct run_state *r, const struct json *p, struct error *e)
{
    struct slice text;
    enum err err = json_need_text(p, "plan", &text, e);
    if (!err)
        err = keep(r, text, &r->plan_text, e);
    if (!err)
        err = plan_parse(r->plan_text, "plan", r->arena, &r->plan, e);
    return err ? err : make_items(r, e);
}

static enum err apply_started(struct run_state *r, const struct json *p, struct error *e)
{
    if (r->status != RUN_NEW)
        return error_set(e, ERR_CORRUPT, "the run starts twice");
    struct { const char *key; struct slice *to; } texts[] = {{"plan_path", &r->plan_path}, {"work", &r->work},
        {"goal", &r->goal}, {"account", &r->account}, {"agent", &r->agent}, {"model", &r->model}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct slice v;
        enum err err = json_need_text(p, texts[i].key, &v, e);
        if (!err)
            err = keep(r, v, texts[i].to, e);
        if (err)
            return err;
    }
    if (!account_ok(r->account))
        return error_set(e, ERR_CORRUPT, "account is not a path of names");
    r->work_dev = (uint64_t)json_int(json_get(p, "work_dev"), 0);
    r->work_ino = (uint64_t)json_int(json_get(p, "work_ino"), 0);
    r->budget = amounts_from_json(json_get(p, "budget"), AMOUNT_UNLIMITED);
    int64_t slots = json_int(json_get(p, "slots"), 1), window = json_int(json_get(p, "window"), 2048);
    if (slots < 1 || slots > RUN_OPEN_MAX || window < 64 || window > 1 << 20)
        return error_set(e, ERR_CORRUPT, "slots or window out of bounds");
    r->slots = (unsigned)slots;
    r->window = (uint64_t)window;
    r->is_exec = json_get(p, "exec") != NULL;
    r->status = RUN_ACTIVE;
    if (!r->is_exec)
        return read_plan(r, p, e);
    BUF_CLEANUP struct buf words = BUF_INIT(EVENT_PAYLOAD_MAX);
    json_print(json_get(p, "exec"), &words);
    enum err err = keep(r, buf_slice(&words), &r->exec, e);
    return err ? err : make_items(r, e);
}

static enum err apply_intended(struct run_state *r, const struct event *ev, const struct json *p, struct error *e)
{
    int64_t item, piece;
    enum err err = json_need_int(p, "item", &item, e);
    if (!err)
        err = json_need_int(p, "piece", &piece, e);
    if (err)
        return err;
    int act = index_of(json_text(json_get(p, "act")), act_names, ACT_KINDS);
    int class = index_of(json_text(json_get(p, "class")), class_names, CLASSES);
    struct line *l = item < 0 || item > UINT32_MAX || piece < HEAD || piece > RUN_PIECES_MAX
                         ? NULL
                         : run_line(r, (uint32_t)item, (int32_t)piece);
    if (!l || !line_wants(l) || act < 0 || class < 0 || !slice_is(json_text(json_get(p, "stage")), stage_name(l->stage)))
        return error_set(e, ERR_CORRUPT, "an intent that does not fit the run's state");
    if (r->nopen == RUN_OPEN_MAX)
        return error_set(e, ERR_CORRUPT, "more than %d steps open", RUN_OPEN_MAX);
    bool again = ev->key.step == l->step && l->step && ev->key.attempt == l->attempt + 1;
    bool fresh = ev->key.step == r->next_step && ev->key.attempt == 1;
    if ((!again && !fresh) || ev->key.branch != r->branch)
        return error_set(e, ERR_CORRUPT, "an intent with a key that is not the next one");
    struct open_step *o = &r->open[r->nopen];
    *o = (struct open_step){.key = ev->key, .item = (uint32_t)item, .piece = (int32_t)piece,
                            .stage = l->stage, .act = (enum act_kind)act, .class = (enum act_class)class,
                            .held = amounts_from_json(json_get(p, "amounts"), 0)};
    BUF_CLEANUP struct buf args = BUF_INIT(EVENT_PAYLOAD_MAX);
    json_print(json_get(p, "args"), &args);
    err = keep(r, buf_slice(&args), &o->args, e);
    if (err)
        return err;
    if (l->stage == STAGE_LOOK || l->stage == STAGE_LAND) {
        struct slice path = json_text(json_get(json_get(p, "args"), "path"));
        if (!plan_path_ok(path))
            return error_set(e, ERR_CORRUPT, "an intent with a bad path");
        if (l->stage == STAGE_LAND)
            err = get_hash(json_get(p, "args"), "content", &l->landed, e);
        if (!err)
            err = keep(r, path, &l->target, e);
    }
    r->nopen++;
    r->touched = (uint32_t)item;
    l->open = true;
    l->step = ev->key.step;
    l->attempt = ev->key.attempt;
    if (fresh)
        r->next_step++;
    return err;
}

static enum err result_list(struct run_state *r, struct item_state *it, const struct json *res, struct error *e)
{
    const struct json *paths = json_get(res, "paths");
    size_t n = json_count(paths);
    if (n > RUN_PIECES_MAX)
        return error_set(e, ERR_LIMIT, "more than %d files", RUN_PIECES_MAX);
    it->pieces = arena_array(r->arena, n ? n : 1, sizeof *it->pieces);
    if (!it->pieces)
        return no_memory(e);
    for (size_t i = 0; i < n; i++) {
        struct slice path = json_text(json_at(paths, i));
        if (!plan_path_ok(path))
            return error_set(e, ERR_CORRUPT, "a listed path is not one");
        enum err err = keep(r, path, &it->pieces[i].source, e);
        if (err)
            return err;
        it->pieces[i].stage = first_piece_stage(it->plan);
    }
    it->npieces = n;
    return OK;
}

static enum err result_answer(struct run_state *r, struct line *l, const struct json *res, struct error *e)
{
    struct answer_ref a = {.bytes = (uint64_t)json_int(json_get(res, "bytes"), 0)};
    enum err err = get_hash(res, "text", &a.blob, e);
    if (err)
        return err;
    if (l->stage == STAGE_ASK && l->ncuts > 1) {
        if (!l->parts)
            l->parts = arena_array(r->arena, l->ncuts, sizeof *l->parts);
        if (!l->parts)
            return no_memory(e);
        if (l->nparts == l->ncuts)
            return error_set(e, ERR_CORRUPT, "more answers than parts");
        l->parts[l->nparts++] = a;
        return OK;
    }
    l->nparts = l->ncuts;
    l->answer = a;
    return OK;
}

static enum err result_measure(struct run_state *r, struct line *l, const struct json *res, struct error *e)
{
    const struct json *cuts = json_get(res, "cuts");
    size_t n = json_count(cuts);
    if (n < 1 || n > RUN_PARTS_MAX)
        return error_set(e, n ? ERR_LIMIT : ERR_CORRUPT, "a document in %zu parts (at most %d)", n, RUN_PARTS_MAX);
    l->cuts = arena_array(r->arena, n, sizeof *l->cuts);
    if (!l->cuts)
        return no_memory(e);
    for (size_t i = 0; i < n; i++) {
        l->cuts[i] = (uint64_t)json_int(json_at(cuts, i), 0);
        if ((i ? l->cuts[i] <= l->cuts[i - 1] : l->cuts[i] == 0 && n > 1) || l->cuts[i] > l->text.bytes)
            return error_set(e, ERR_CORRUPT, "the cuts of a document do not ascend");
    }
    l->ncuts = n;
    l->nparts = 0;
    l->parts = NULL;
    l->tokens = (uint64_t)json_int(json_get(res, "tokens"), 0);
    return OK;
}

/* What a step that went well leaves in its line. */
static enum err apply_result(struct run_state *r, struct item_state *it, struct line *l, const struct json *res, struct error *e)
{
    switch (l->stage) {
    case STAGE_LIST: return result_list(r, it, res, e);
    case STAGE_READ: {
        enum err err = get_hash(res, "hash", &l->source_hash, e);
        l->text.bytes = (uint64_t)json_int(json_get(res, "bytes"), 0);
        return err ? err : get_hash(res, "text", &l->text.blob, e);
    }
    case STAGE_MEASURE: return result_measure(r, l, res, e);
    case STAGE_ASK:
    case STAGE_JOIN: return result_answer(r, l, res, e);
    case STAGE_LOOK: return keep(r, json_text(json_get(res, "stamp")), &l->base, e);
    default: return OK;
    }
}

static const int64_t BACKOFF_MAX_MS = 60000;

/* When to try again after a failure: in 1, 2, 4 ... seconds, at most a minute. */
static int64_t backoff(unsigned failures, int64_t now_ms)
{
    int64_t at, ms = failures > 6 ? BACKOFF_MAX_MS : 500LL << failures;
    return __builtin_add_overflow(now_ms, ms, &at) ? INT64_MAX : at;
}

/* A moment further off than any backoff: the clock was stepped back meanwhile, so there is nothing to wait for. */
static bool is_due(int64_t wake_ms, int64_t now_ms)
{
    return wake_ms <= now_ms || (uint64_t)wake_ms - (uint64_t)now_ms > (uint64_t)BACKOFF_MAX_MS;
}

static void line_failed(struct item_state *it, struct line *l, const struct json *p, int64_t now)
{
    unsigned retries = it->plan ? it->plan->retries : 0;
    struct slice why = json_text(json_get(p, "why"));
    /* An answer that did not pass its check is asked for again; anything else is tried again as it is. */
    bool ask_again = l->stage == STAGE_VERIFY && it->plan && l != &it->head;
    enum stage resume = ask_again ? (l->ncuts > 1 ? STAGE_JOIN : STAGE_ASK) : l->stage;
    bool final = json_bool(json_get(p, "final"), false);
    l->failures++;
    if (!final && l->failures <= retries) {
        l->stage = resume;
        l->wake_ms = ask_again ? 0 : backoff(l->failures, now);
    } else {
        stick(l, QUESTION_FAILED, resume, why);
    }
}

static enum err apply_finished(struct run_state *r, const struct event *ev, const struct json *p, struct error *e)
{
    size_t i = 0;
    while (i < r->nopen && (r->open[i].key.step != ev->key.step || r->open[i].key.attempt != ev->key.attempt))
        i++;
    if (i == r->nopen || ev->key.branch != r->branch)
        return error_set(e, ERR_CORRUPT, "a finish without its intent");
    struct open_step o = r->open[i];
    struct item_state *it = &r->items[o.item];
    struct line *l = run_line(r, o.item, o.piece);
    enum outcome outcome = outcome_from(json_text(json_get(p, "outcome")));
    if (!outcome)
        return error_set(e, ERR_CORRUPT, "an unknown outcome");
    r->open[i] = r->open[--r->nopen];
    r->touched = o.item;
    l->open = false;
    struct amounts used = amounts_from_json(json_get(p, "used"), 0);
    for (int u = 0; u < UNITS; u++)
        if (used.n[u] > o.held.n[u])
            return error_set(e, ERR_CORRUPT, "more %s settled than was reserved", unit_name(u));
    r->used = amounts_add(r->used, used);
    if (slice_is(json_text(json_get(p, "how")), "assumed"))
        r->assumed = amounts_add(r->assumed, used);
    enum err err = OK;
    switch (outcome) {
    case OUTCOME_OK:
        err = apply_result(r, it, l, json_get(p, "result"), e);
        l->deaths = 0;
        if (!err)
            l->stage = stage_after(it, l, o.piece == HEAD);
        break;
    case OUTCOME_LOST:
        if (++l->deaths >= RUN_DEATHS_MAX)
            stick(l, QUESTION_POISON, l->stage, SLICE("crannog or one of its programs died three times in this step"));
        break;
    case OUTCOME_CANCELLED: break;
    case OUTCOME_CONFLICT: /* what the person is asked about: `replace` is for that and nothing newer */
        err = keep(r, json_text(json_get(json_get(p, "result"), "stamp")), &l->base, e);
        stick(l, QUESTION_CONFLICT, STAGE_LOOK, json_text(json_get(p, "why")));
        break;
    default:
        l->deaths = 0; /* it came to an end: what follows is a new step, also where an attempt of it had died */
        line_failed(it, l, p, ev->time_ms);
        break;
    }
    return err;
}

static enum err apply_answered(struct run_state *r, const struct json *p, struct error *e)
{
    int64_t step;
    enum err err = json_need_int(p, "question", &step, e);
    if (err)
        return err;
    uint32_t item = 0;
    const struct line *found = step > 0 && step <= UINT32_MAX ? run_question(r, (uint32_t)step, &item) : NULL;
    if (!found)
        return error_set(e, ERR_CORRUPT, "an answer to a question that is not open");
    struct line *l = found == &r->items[item].head ? &r->items[item].head : &r->items[item].pieces[found - r->items[item].pieces];
    struct slice answer = json_text(json_get(p, "answer"));
    r->touched = item;
    if (slice_is(answer, "skip") || slice_is(answer, "keep")) {
        l->stage = STAGE_SKIPPED;
    } else if (slice_is(answer, "retry") || slice_is(answer, "replace")) {
        l->replace = slice_is(answer, "replace");
        l->stage = l->resume;
        l->failures = l->deaths = 0;
        l->wake_ms = 0;
    } else {
        return error_set(e, ERR_CORRUPT, "an unknown answer");
    }
    l->question = QUESTION_NONE;
    return OK;
}

static enum err apply_typed(struct run_state *r, const struct event *ev, const struct json *p, struct error *e)
{
    if (ev->type != EVENT_RUN_STARTED && r->status == RUN_NEW)
        return error_set(e, ERR_CORRUPT, "the run does not begin with its start");
    if (ev->type != EVENT_STEP_INTENDED && ev->type != EVENT_STEP_FINISHED)
        snprintf(r->why, sizeof r->why, "%.*s", SLICE_ARG(json_text(json_get(p, "why"))));
    r->touched = UINT32_MAX;
    switch (ev->type) {
    case EVENT_RUN_STARTED: return apply_started(r, p, e);
    case EVENT_RUN_CONTINUED: r->status = RUN_ACTIVE; return OK;
    case EVENT_RUN_STOPPED: r->status = RUN_STOPPED; return OK;
    case EVENT_RUN_BLOCKED: r->status = RUN_BLOCKED; return OK;
    case EVENT_RUN_ENDED:
        r->status = slice_is(json_text(json_get(p, "status")), "done") ? RUN_DONE : RUN_FAILED;
        return OK;
    case EVENT_PLAN_CHANGED: return read_plan(r, p, e);
    case EVENT_STEP_INTENDED: return apply_intended(r, ev, p, e);
    case EVENT_STEP_FINISHED: return apply_finished(r, ev, p, e);
    default: return apply_answered(r, p, e);
    }
}

enum err run_apply(struct run_state *r, const struct event *ev, struct error *e)
{
    JSON_CLEANUP struct json *p = NULL;
    enum err err = ev->redacted ? error_set(e, ERR_CORRUPT, "its payload was redacted") : json_parse(ev->payload, &p, e);
    if (!err)
        err = apply_typed(r, ev, p, e);
    if (err) {
        r->status = RUN_BROKEN;
        return e ? error_wrap(e, "run r%llu, event %llu (%s)", (unsigned long long)r->id, (unsigned long long)ev->seq,
                              event_type_name(ev->type))
                 : err;
    }
    if (r->touched < r->nitems)
        settle_item(&r->items[r->touched]);
    if (r->status == RUN_ACTIVE || r->status == RUN_WAITING) {
        struct decision d;
        run_decide(r, INT64_MAX, &d);
        r->status = d.what == DECIDE_ASK ? RUN_WAITING : RUN_ACTIVE;
    }
    if (!r->started_ms)
        r->started_ms = ev->time_ms;
    r->updated_ms = ev->time_ms;
    r->seq = ev->seq;
    r->head = event_hash(ev);
    return OK;
}

/* ---- what next ---- */

static bool needs_met(const struct run_state *r, size_t item)
{
    const struct plan_item *p = r->items[item].plan;
    for (size_t i = 0; p && i < p->nneeds; i++)
        if (r->items[p->needs[i]].phase != ITEM_DONE)
            return false;
    for (size_t i = 0; !p && i < item; i++) /* the plan's own check comes when all else is done */
        if (r->items[i].phase != ITEM_DONE)
            return false;
    return true;
}

struct deciding {
    const struct run_state *r;
    struct decision *d;
    int64_t now;
    uint32_t next_step;
    bool waits, stuck;
};

static void consider(struct deciding *k, uint32_t item, int32_t piece)
{
    const struct line *l = run_line_const(k->r, item, piece);
    struct decision *d = k->d;
    k->stuck |= l->stage == STAGE_STUCK;
    k->waits |= l->open;
    if (!line_wants(l) || k->r->nopen + d->nwants >= k->r->slots)
        return;
    if (!is_due(l->wake_ms, k->now)) {
        d->wake_ms = d->wake_ms && d->wake_ms < l->wake_ms ? d->wake_ms : l->wake_ms;
        k->waits = true;
        return;
    }
    struct want *w = &d->wants[d->nwants++];
    *w = (struct want){.item = item, .piece = piece, .stage = l->stage, .part = l->ncuts > 1 ? (uint32_t)l->nparts : 0};
    act_of(l->stage, &w->act, &w->class);
    /* A step that was lost or cancelled is tried again under its own number; anything else is a new step. */
    bool again = l->step && l->deaths && l->attempt;
    w->step = again ? l->step : k->next_step++;
    w->attempt = again ? l->attempt + 1 : 1;
}

void run_decide(const struct run_state *r, int64_t now_ms, struct decision *ret)
{
    *ret = (struct decision){.what = DECIDE_REST};
    if (r->status != RUN_ACTIVE && r->status != RUN_WAITING)
        return;
    struct deciding k = {.r = r, .d = ret, .now = now_ms, .next_step = r->next_step};
    bool all_done = true;
    for (uint32_t i = 0; i < r->nitems; i++) {
        const struct item_state *it = &r->items[i];
        all_done &= it->phase == ITEM_DONE;
        if (it->phase == ITEM_DONE || !needs_met(r, i))
            continue;
        consider(&k, i, HEAD);
        for (size_t p = 0; p < it->npieces; p++)
            consider(&k, i, (int32_t)p);
        if (ret->nwants || k.waits)
            break; /* items start in order: the next one when nothing of this one can move */
    }
    ret->what = ret->nwants ? DECIDE_INTEND : k.waits ? DECIDE_WAIT : all_done ? DECIDE_DONE : DECIDE_ASK;
}
