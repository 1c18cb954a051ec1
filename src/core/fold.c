/* The fold: run_apply(). Each event is outside input (S1): looked at first, then taken whole, or the run is broken. */
#include <string.h>

#include "core/internal.h"

enum { TEXT_BYTES_MAX = 1 << 30 }; /* larger than any document or answer that is stored */

/* ---- lines and their items ---- */

static enum stage first_stage(const struct plan_item *p)
{
    return p->glob.n ? STAGE_READ : STAGE_ASK;
}

/* What comes after a stage that went well. */
static enum stage stage_after(const struct item_state *it, const struct line *l, bool is_head)
{
    const struct plan_item *p = it->plan;
    bool lands = p && is_head == p->gathers;
    switch (l->stage) {
    case STAGE_LIST: return STAGE_PIECES;
    case STAGE_PIECES: return lands ? STAGE_LOOK : STAGE_DONE;
    case STAGE_READ: return STAGE_MEASURE;
    case STAGE_MEASURE: return STAGE_ASK;
    case STAGE_ASK:
        if (line_in_parts(l))
            return l->nparts < l->ncuts ? STAGE_ASK : STAGE_JOIN;
        return lands ? STAGE_LOOK : STAGE_DONE;
    case STAGE_JOIN: return lands ? STAGE_LOOK : STAGE_DONE;
    case STAGE_LOOK: return STAGE_LAND;
    case STAGE_LAND: return p && p->verify.n ? STAGE_VERIFY : STAGE_DONE;
    default: return STAGE_DONE;
    }
}

/* An item's counts follow its lines: a line is taken out before it changes and put in again after. */
static void line_out(struct item_state *it, const struct line *l)
{
    it->nstuck -= l->stage == STAGE_STUCK;
    it->nopen -= l->open;
    it->nover -= l != &it->head && line_over(l);
}

static void line_in(struct item_state *it, const struct line *l)
{
    it->nstuck += l->stage == STAGE_STUCK;
    it->nopen += l->open;
    it->started |= l->step != 0;
    if (l == &it->head)
        return;
    size_t index = (size_t)(l - it->pieces);
    it->nover += line_over(l);
    if (index < it->first)
        it->first = index;
    while (it->first < it->npieces && (line_over(&it->pieces[it->first]) || it->pieces[it->first].stage == STAGE_STUCK))
        it->first++;
}

/* The phase follows from the counts: found anew after every event about the item, so it cannot disagree with them. */
static void settle_item(struct item_state *it)
{
    if (it->head.stage == STAGE_PIECES && it->nover == it->npieces)
        it->head.stage = stage_after(it, &it->head, true);
    it->phase = line_over(&it->head) ? ITEM_DONE : it->nstuck ? ITEM_STUCK : it->started ? ITEM_OPEN : ITEM_WAITING;
}

/* Cut between characters; what a tool or a model said must not move somebody's cursor. */
static void put_why(char *ret, size_t max, struct slice why)
{
    size_t n = why.n < max - 1 ? why.n : max - 1;
    while (n && n < why.n && ((unsigned char)why.p[n] & 0xc0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++)
        ret[i] = (unsigned char)why.p[i] < 0x20 || why.p[i] == 0x7f ? ' ' : why.p[i];
    ret[n] = '\0';
}

static void stick(struct line *l, enum question q, enum stage resume, struct slice why)
{
    l->question = q;
    l->question_step = l->step;
    l->resume = resume;
    l->stage = STAGE_STUCK;
    put_why(l->why, sizeof l->why, why);
}

/* ---- reading payloads ---- */

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

/* A number of bytes or tokens; 0 where it is not said. */
static enum err get_size(const struct json *o, const char *key, uint64_t *ret, struct error *e)
{
    int64_t n = json_int(json_get(o, key), 0);
    if (n < 0 || n > TEXT_BYTES_MAX)
        return error_set(e, ERR_CORRUPT, "%s is out of bounds", key);
    *ret = (uint64_t)n;
    return OK;
}

static enum err get_ref(const struct json *res, struct answer_ref *ret, struct error *e)
{
    enum err err = get_size(res, "bytes", &ret->bytes, e);
    return err ? err : get_hash(res, "text", &ret->blob, e);
}

/* ---- the plan ---- */

static enum err make_item(struct run_state *r, struct item_state *it, struct error *e)
{
    const struct plan_item *p = it->plan;
    it->head.stage = !p           ? (r->is_exec ? STAGE_EXEC : STAGE_VERIFY)
                     : p->ticked  ? STAGE_SKIPPED
                     : p->glob.n  ? STAGE_LIST
                                  : STAGE_PIECES;
    if (it->head.stage == STAGE_PIECES) {
        it->pieces = arena_array(r->arena, 1, sizeof *it->pieces);
        if (!it->pieces)
            return no_memory(e);
        it->npieces = 1;
        it->pieces[0].stage = first_stage(p);
    }
    settle_item(it);
    return OK;
}

/* The plan's items as lines, those that a person ticked as skipped. An item that was started keeps what it has by its
   index, for run_plan_may_change() holds; the plan's own check is made anew, for it checks another plan. */
static enum err make_items(struct run_state *r, struct error *e)
{
    size_t n = r->plan.nitems + (r->plan.verify.n ? 1 : 0) + (r->is_exec ? 1 : 0);
    struct item_state *items = arena_array(r->arena, n, sizeof *items), *old = r->items;
    enum err err = items ? OK : no_memory(e);
    for (size_t i = 0; !err && i < n; i++) {
        bool kept = i < r->nitems && i < r->plan.nitems && old[i].plan && old[i].started;
        if (kept)
            items[i] = old[i];
        items[i].plan = i < r->plan.nitems ? &r->plan.items[i] : NULL;
        if (!kept)
            err = make_item(r, &items[i], e);
    }
    if (err)
        return err;
    r->items = items;
    r->nitems = n;
    return OK;
}

static enum err read_plan(struct run_state *r, const struct json *p, struct error *e)
{
    struct slice text;
    struct plan plan;
    enum err err = json_need_text(p, "plan", &text, e);
    if (!err)
        err = plan_parse(text, "plan", r->arena, &plan, e);
    if (!err && r->nopen)
        err = error_set(e, ERR_CORRUPT, "the plan changes while a step is open");
    if (!err && r->is_exec)
        err = error_set(e, ERR_CORRUPT, "a run of a command has no plan");
    if (!err)
        err = run_plan_may_change(r, &plan, e);
    if (!err)
        err = keep(r, text, &r->plan_text, e);
    if (err)
        return err;
    r->plan = plan;
    return make_items(r, e);
}

/* ---- run.started ---- */

static enum err read_exec(struct run_state *r, const struct json *words, struct error *e)
{
    BUF_CLEANUP struct buf text = BUF_INIT(EVENT_PAYLOAD_MAX);
    bool ok = json_type(words) == JSON_ARRAY && json_count(words) > 0;
    for (size_t i = 0; ok && i < json_count(words); i++)
        ok = json_type(json_at(words, i)) == JSON_TEXT;
    if (!ok)
        return error_set(e, ERR_CORRUPT, "exec is not a list of words");
    json_print(words, &text);
    r->is_exec = true;
    enum err err = buf_check(&text, "the command", e);
    if (!err)
        err = keep(r, buf_slice(&text), &r->exec, e);
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
    enum err err = json_has(p, "exec") ? read_exec(r, json_get(p, "exec"), e) : read_plan(r, p, e);
    if (!err)
        r->status = RUN_ACTIVE;
    return err;
}

/* ---- step.intended ---- */

/* The arguments of an open step. Their memory is used again for later steps: a long run has many of them, few at once. */
static enum err keep_args(struct run_state *r, struct open_step *o, const struct json *args, struct error *e)
{
    BUF_CLEANUP struct buf text = BUF_INIT(EVENT_PAYLOAD_MAX);
    json_print(args, &text);
    enum err err = buf_check(&text, "a step's arguments", e);
    if (err)
        return err;
    if (text.n + 1 > o->args_room) {
        size_t room = 1024;
        while (room < text.n + 1)
            room *= 2;
        o->args_memory = arena_alloc(r->arena, room);
        o->args_room = o->args_memory ? room : 0;
    }
    if (!o->args_memory)
        return no_memory(e);
    memcpy(o->args_memory, buf_str(&text), text.n + 1);
    o->args = (struct slice){o->args_memory, text.n};
    return OK;
}

/* The path of a look or landing. A landing goes where the look before it looked. */
static enum err keep_target(struct run_state *r, struct line *l, struct open_step *o, const struct json *args, struct error *e)
{
    struct slice path = json_text(json_get(args, "path"));
    bool same = slice_eq(path, l->target);
    if (!plan_path_ok(path) || (l->stage == STAGE_LAND && !same))
        return error_set(e, ERR_CORRUPT, "an intent with a bad path");
    enum err err = l->stage == STAGE_LAND ? get_hash(args, "content", &o->content, e) : OK;
    return err || same ? err : keep(r, path, &l->target, e);
}

/* The line that an intent is about, if it may have one now. */
static struct line *line_of_intent(struct run_state *r, const struct json *p, uint32_t *ret_item, int32_t *ret_piece)
{
    int64_t item = json_int(json_get(p, "item"), -1), piece = json_int(json_get(p, "piece"), HEAD - 1);
    if (item < 0 || item >= (int64_t)r->nitems || piece < HEAD || piece > RUN_PIECES_MAX || !item_may_move(r, (size_t)item))
        return NULL;
    *ret_item = (uint32_t)item;
    *ret_piece = (int32_t)piece;
    struct line *l = run_line(r, *ret_item, *ret_piece);
    return l && line_wants(l) && slice_is(json_text(json_get(p, "stage")), stage_name(l->stage)) ? l : NULL;
}

static enum err apply_intended(struct run_state *r, const struct event *ev, const struct json *p, struct error *e)
{
    uint32_t item = 0;
    int32_t piece = HEAD;
    struct line *l = line_of_intent(r, p, &item, &piece);
    enum act_kind act = act_from(json_text(json_get(p, "act")));
    enum act_class class = class_from(json_text(json_get(p, "class")));
    if (!l || !act || !class || (r->status != RUN_ACTIVE && r->status != RUN_WAITING))
        return error_set(e, ERR_CORRUPT, "an intent that does not fit the run's state");
    if (r->nopen == r->slots)
        return error_set(e, ERR_CORRUPT, "more than %u steps open", r->slots);
    bool again = l->again && ev->key.step == l->step && ev->key.attempt == l->attempt + 1;
    bool fresh = ev->key.step == r->next_step && ev->key.attempt == 1;
    if ((!again && !fresh) || ev->key.branch != r->branch)
        return error_set(e, ERR_CORRUPT, "an intent with a key that is not the next one");
    struct open_step *o = &r->open[r->nopen];
    *o = (struct open_step){.key = ev->key, .item = item, .piece = piece, .stage = l->stage, .act = act, .class = class,
                            .held = amounts_from_json(json_get(p, "amounts"), 0),
                            .args_memory = o->args_memory, .args_room = o->args_room};
    enum err err = keep_args(r, o, json_get(p, "args"), e);
    if (!err && (l->stage == STAGE_LOOK || l->stage == STAGE_LAND))
        err = keep_target(r, l, o, json_get(p, "args"), e);
    if (err)
        return err;
    r->nopen++;
    r->next_step += fresh;
    r->touched = item;
    line_out(&r->items[item], l);
    l->open = true;
    l->again = false;
    l->wake_ms = 0;
    l->step = ev->key.step;
    l->attempt = ev->key.attempt;
    line_in(&r->items[item], l);
    return OK;
}

/* ---- step.finished ---- */

static enum err result_list(struct run_state *r, struct item_state *it, const struct json *res, struct error *e)
{
    const struct json *paths = json_get(res, "paths");
    size_t n = json_type(paths) == JSON_ARRAY ? json_count(paths) : 0;
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
        it->pieces[i].stage = first_stage(it->plan);
    }
    it->npieces = n;
    return OK;
}

static enum err result_answer(struct run_state *r, struct line *l, const struct json *res, struct error *e)
{
    struct answer_ref a;
    enum err err = get_ref(res, &a, e);
    if (err)
        return err;
    if (l->stage == STAGE_JOIN || !line_in_parts(l)) {
        l->answer = a;
        return OK;
    }
    if (!l->parts)
        l->parts = arena_array(r->arena, l->ncuts, sizeof *l->parts);
    if (!l->parts)
        return no_memory(e);
    l->parts[l->nparts++] = a; /* the stage is ASK only as long as one is missing */
    return OK;
}

static enum err result_measure(struct run_state *r, struct line *l, const struct json *res, struct error *e)
{
    const struct json *cuts = json_get(res, "cuts");
    size_t n = json_type(cuts) == JSON_ARRAY ? json_count(cuts) : 0;
    if (n < 1 || n > RUN_PARTS_MAX)
        return error_set(e, n ? ERR_LIMIT : ERR_CORRUPT, "a document in %zu parts (at most %d)", n, RUN_PARTS_MAX);
    l->cuts = arena_array(r->arena, n, sizeof *l->cuts);
    if (!l->cuts)
        return no_memory(e);
    int64_t from = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t to = json_int(json_at(cuts, i), -1);
        if (to <= from || (uint64_t)to > l->text.bytes)
            return error_set(e, ERR_CORRUPT, "the cuts of a document do not ascend");
        l->cuts[i] = (uint64_t)(from = to);
    }
    if ((uint64_t)from != l->text.bytes)
        return error_set(e, ERR_CORRUPT, "the cuts of a document leave out its end");
    l->ncuts = n;
    l->nparts = 0;
    l->parts = NULL;
    return get_size(res, "tokens", &l->tokens, e);
}

/* What a step that went well leaves in its line. */
static enum err apply_result(struct run_state *r, const struct open_step *o, struct item_state *it, struct line *l,
                             const struct json *res, struct error *e)
{
    struct slice stamp;
    enum err err;
    switch (o->stage) {
    case STAGE_LIST: return result_list(r, it, res, e);
    case STAGE_READ:
        err = get_hash(res, "hash", &l->source_hash, e);
        return err ? err : get_ref(res, &l->text, e);
    case STAGE_MEASURE: return result_measure(r, l, res, e);
    case STAGE_ASK:
    case STAGE_JOIN: return result_answer(r, l, res, e);
    case STAGE_LOOK:
        err = json_need_text(res, "stamp", &stamp, e);
        return err ? err : keep(r, stamp, &l->base, e);
    case STAGE_LAND:
        l->landed = o->content;
        l->replace = false; /* it was allowed for what lay there then */
        return OK;
    default: return OK;
    }
}

/* Backoff after a failure: 1, 2, 4 ... seconds, at most a minute. */
static int64_t wake_after(unsigned failures, int64_t now)
{
    int64_t wait = failures > 6 ? BACKOFF_MAX_MS : 500LL << failures, wake;
    return __builtin_add_overflow(now, wait, &wake) ? INT64_MAX : wake;
}

static void line_failed(struct item_state *it, struct line *l, const struct json *p, int64_t now)
{
    unsigned retries = it->plan ? it->plan->retries : 0;
    /* An answer that did not pass its check is asked for again; anything else is tried again as it is. */
    bool ask_again = l->stage == STAGE_VERIFY && l != &it->head;
    enum stage resume = !ask_again ? l->stage : line_in_parts(l) ? STAGE_JOIN : STAGE_ASK;
    bool final = json_bool(json_get(p, "final"), false);
    l->failures++;
    if (final || l->failures > retries) {
        stick(l, QUESTION_FAILED, resume, json_text(json_get(p, "why")));
        return;
    }
    l->stage = resume;
    l->wake_ms = ask_again ? 0 : wake_after(l->failures, now);
}

/* Failures count until the answer stands: from the last call of the model on, a check may send the line back to it, and
   what went wrong before has nothing to do with that. */
static bool failures_end(const struct line *l)
{
    return l->stage < STAGE_ASK || (l->stage == STAGE_ASK && line_in_parts(l));
}

static enum err line_went_well(struct run_state *r, const struct open_step *o, struct item_state *it, struct line *l,
                               const struct json *res, struct error *e)
{
    enum err err = apply_result(r, o, it, l, res, e);
    if (err)
        return err;
    if (failures_end(l))
        l->failures = 0;
    l->stage = stage_after(it, l, o->piece == HEAD);
    return OK;
}

static enum err apply_outcome(struct run_state *r, const struct open_step *o, const struct event *ev, const struct json *p,
                              struct error *e)
{
    struct item_state *it = &r->items[o->item];
    struct line *l = run_line(r, o->item, o->piece);
    enum outcome outcome = outcome_from(json_text(json_get(p, "outcome")));
    struct slice why = json_text(json_get(p, "why"));
    l->again = outcome == OUTCOME_LOST || outcome == OUTCOME_CANCELLED;
    if (!l->again)
        l->deaths = 0;
    switch (outcome) {
    case OUTCOME_OK: return line_went_well(r, o, it, l, json_get(p, "result"), e);
    case OUTCOME_FAILED: line_failed(it, l, p, ev->time_ms); return OK;
    case OUTCOME_LOST:
        if (++l->deaths >= RUN_DEATHS_MAX)
            stick(l, QUESTION_POISON, l->stage, SLICE("crannog or one of its programs died three times in this step"));
        return OK;
    case OUTCOME_CANCELLED: return OK;
    case OUTCOME_CONFLICT:
        if (l->stage != STAGE_LOOK && l->stage != STAGE_LAND)
            return error_set(e, ERR_CORRUPT, "a conflict where nothing is written");
        stick(l, QUESTION_CONFLICT, STAGE_LOOK, why); /* `replace` is for what the person is asked about, nothing newer */
        return keep(r, json_text(json_get(json_get(p, "result"), "stamp")), &l->base, e);
    case OUTCOME_UNCONFIRMED: /* nobody knows whether it happened: never again by itself */
        stick(l, QUESTION_FAILED, l->stage, why);
        return OK;
    default: return error_set(e, ERR_CORRUPT, "an unknown outcome");
    }
}

static enum err settle(struct run_state *r, const struct open_step *o, const struct json *p, struct error *e)
{
    struct amounts used = amounts_from_json(json_get(p, "used"), 0);
    for (int u = 0; u < UNITS; u++)
        if (used.n[u] > o->held.n[u])
            return error_set(e, ERR_CORRUPT, "more %s settled than was reserved", unit_name((enum unit)u));
    r->used = amounts_add(r->used, used);
    if (slice_is(json_text(json_get(p, "how")), "assumed"))
        r->assumed = amounts_add(r->assumed, used);
    return OK;
}

static enum err apply_finished(struct run_state *r, const struct event *ev, const struct json *p, struct error *e)
{
    size_t i = 0;
    while (i < r->nopen && (r->open[i].key.step != ev->key.step || r->open[i].key.attempt != ev->key.attempt))
        i++;
    if (i == r->nopen || ev->key.branch != r->branch)
        return error_set(e, ERR_CORRUPT, "a finish without its intent");
    struct open_step o = r->open[i];
    enum err err = settle(r, &o, p, e);
    if (err)
        return err;
    r->open[i] = r->open[--r->nopen];
    r->open[r->nopen] = o; /* its memory is for the next one */
    r->touched = o.item;
    struct item_state *it = &r->items[o.item];
    struct line *l = run_line(r, o.item, o.piece);
    line_out(it, l);
    l->open = false;
    err = apply_outcome(r, &o, ev, p, e);
    if (!err)
        line_in(it, l);
    return err;
}

/* ---- the others ---- */

static enum err apply_answered(struct run_state *r, const struct json *p, struct error *e)
{
    int64_t step;
    uint32_t item;
    int32_t piece;
    enum err err = json_need_int(p, "question", &step, e);
    if (err)
        return err;
    if (step <= 0 || step > UINT32_MAX || !line_of_question(r, (uint32_t)step, &item, &piece))
        return error_set(e, ERR_CORRUPT, "an answer to a question that is not open");
    struct line *l = run_line(r, item, piece);
    struct slice answer = json_text(json_get(p, "answer"));
    bool skip = slice_is(answer, "skip") || slice_is(answer, "keep"), replace = slice_is(answer, "replace");
    if (!skip && !replace && !slice_is(answer, "retry"))
        return error_set(e, ERR_CORRUPT, "an unknown answer");
    r->touched = item;
    line_out(&r->items[item], l);
    l->stage = skip ? STAGE_SKIPPED : l->resume;
    l->replace = replace && l->question == QUESTION_CONFLICT;
    l->question = QUESTION_NONE;
    l->why[0] = '\0';
    l->failures = l->deaths = 0;
    l->again = false; /* what a person wants once more is a new step */
    line_in(&r->items[item], l);
    return OK;
}

static enum err apply_ended(struct run_state *r, const struct json *p, struct error *e)
{
    struct slice status = json_text(json_get(p, "status"));
    bool done = slice_is(status, "done"), all_done = true;
    for (size_t i = 0; i < r->nitems; i++)
        all_done &= r->items[i].phase == ITEM_DONE;
    if (r->nopen || (done ? !all_done : !slice_is(status, "failed")))
        return error_set(e, ERR_CORRUPT, "an end that does not fit the run's state");
    r->status = done ? RUN_DONE : RUN_FAILED;
    return OK;
}

static enum err apply_typed(struct run_state *r, const struct event *ev, const struct json *p, struct error *e)
{
    if (ev->type != EVENT_RUN_STARTED && r->status == RUN_NEW)
        return error_set(e, ERR_CORRUPT, "the run does not begin with its start");
    if (r->status == RUN_DONE || r->status == RUN_FAILED)
        return error_set(e, ERR_CORRUPT, "the run goes on after its end");
    if (ev->type != EVENT_STEP_INTENDED && ev->type != EVENT_STEP_FINISHED)
        put_why(r->why, sizeof r->why, json_text(json_get(p, "why")));
    r->touched = UINT32_MAX;
    switch (ev->type) {
    case EVENT_RUN_STARTED: return apply_started(r, p, e);
    case EVENT_RUN_CONTINUED: r->status = RUN_ACTIVE; return OK;
    case EVENT_RUN_STOPPED: r->status = RUN_STOPPED; return OK;
    case EVENT_RUN_BLOCKED: r->status = RUN_BLOCKED; return OK;
    case EVENT_RUN_ENDED: return apply_ended(r, p, e);
    case EVENT_PLAN_CHANGED: return read_plan(r, p, e);
    case EVENT_STEP_INTENDED: return apply_intended(r, ev, p, e);
    case EVENT_STEP_FINISHED: return apply_finished(r, ev, p, e);
    case EVENT_ANSWERED: return apply_answered(r, p, e);
    default: return error_set(e, ERR_CORRUPT, "an event of an unknown type");
    }
}

static enum err apply_payload(struct run_state *r, const struct event *ev, struct error *e)
{
    JSON_CLEANUP struct json *p = NULL;
    if (r->status == RUN_BROKEN)
        return error_set(e, ERR_CORRUPT, "the run was broken before");
    if (ev->redacted)
        return error_set(e, ERR_CORRUPT, "its payload was redacted");
    if (ev->key.run != r->id)
        return error_set(e, ERR_CORRUPT, "it is of run r%llu", (unsigned long long)ev->key.run);
    enum err err = json_parse(ev->payload, &p, e);
    if (!err && json_type(p) != JSON_OBJECT)
        err = error_set(e, ERR_CORRUPT, "its payload is not an object");
    if (!err && json_int(json_get(p, "v"), 0) > 0)
        err = error_set(e, ERR_VERSION, "its payload was written by a newer crannog");
    return err ? err : apply_typed(r, ev, p, e);
}

enum err run_apply(struct run_state *r, const struct event *ev, struct error *e)
{
    enum err err = apply_payload(r, ev, e);
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
