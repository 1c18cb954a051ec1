/*
 * The fold: run_apply(). Each event is outside input (S1): looked at first, then taken whole, or the run is broken.
 * What a step leaves is in fold_step.c.
 */
#include <string.h>

#include "core/internal.h"

/* ---- lines and their items ---- */

enum stage piece_first_stage(const struct plan_item *p)
{
    return p->glob.n ? STAGE_READ : STAGE_ASK;
}

/* What comes after a stage that went well. */
enum stage line_stage_after(const struct run_state *r, const struct item_state *it, const struct line *l, bool is_head)
{
    const struct plan_item *p = it->plan;
    bool lands = p && is_head == p->gathers;
    enum stage check = p && p->verify.n ? STAGE_VERIFY : STAGE_DONE;
    if (l->talk && l->stage != STAGE_SURVEY)
        return talk_next(r, l);
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
    case STAGE_LAND: return r->nlayers > RUN_LAYERS_KEPT ? STAGE_SQUASH : check;
    case STAGE_SURVEY: return r->nlayers >= RUN_LAYERS_KEPT ? STAGE_SQUASH : l->talk ? STAGE_INSTRUCT : STAGE_EXEC;
    case STAGE_SQUASH: return p ? check : STAGE_EXEC;
    case STAGE_EXEC: return r->nlayers ? STAGE_APPLY : STAGE_DONE;
    default: return STAGE_DONE;
    }
}

/* An item's counts follow its lines: a line is taken out before it changes and put in again after. */
void line_out(struct item_state *it, const struct line *l)
{
    it->nstuck -= l->stage == STAGE_STUCK;
    it->nopen -= l->open;
    it->nover -= l != &it->head && line_over(l);
}

void line_in(struct item_state *it, const struct line *l)
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
static void settle_item(const struct run_state *r, struct item_state *it)
{
    if (it->head.stage == STAGE_PIECES && it->nover == it->npieces)
        it->head.stage = line_stage_after(r, it, &it->head, true);
    it->phase = line_over(&it->head) ? ITEM_DONE : it->nstuck ? ITEM_STUCK : it->started ? ITEM_OPEN : ITEM_WAITING;
}

void line_stick(struct line *l, enum question q, enum stage resume, struct slice why)
{
    l->question = q;
    l->question_step = l->step;
    l->resume = resume;
    l->stage = STAGE_STUCK;
    one_line(l->why, sizeof l->why, why);
}

void line_unstick(struct line *l)
{
    l->question = QUESTION_NONE;
    l->why[0] = '\0';
    l->failures = l->deaths = 0;
    l->again = false; /* what a person wants once more is a new step */
}

/*
 * The last item takes what the layers hold. Without layers it has nothing to do; with `ask` a person says the word first.
 * That needs no step of its own; where the line has none yet, the question takes a number that no step will have.
 */
static void settle_take(struct run_state *r)
{
    struct item_state *it = &r->items[r->nitems - 1];
    struct line *l = &it->head;
    if (it->plan || l->talk || l->stage != STAGE_APPLY || l->open || l->allowed || !item_may_move(r, r->nitems - 1) ||
        (r->nlayers && r->land != LAND_ASK))
        return;
    line_out(it, l);
    if (!r->nlayers) {
        l->stage = STAGE_DONE;
    } else {
        line_stick(l, QUESTION_APPLY, STAGE_APPLY, SLICE("what it changed is not in the folder yet"));
        l->question_step = l->step ? l->step : r->next_step++;
    }
    line_in(it, l);
    settle_item(r, it);
}

/* An agent at rest goes on where something was said, or a step left something to do. */
static void settle_agent(struct run_state *r)
{
    struct item_state *it = r->is_agent && r->nitems ? &r->items[0] : NULL;
    if (!it || !it->head.talk)
        return;
    line_out(it, &it->head);
    talk_settle(r, &it->head);
    line_in(it, &it->head);
    settle_item(r, it);
}

/* ---- reading payloads ---- */

enum err fold_no_memory(struct error *e)
{
    return error_set(e, ERR_MEMORY, "the run is larger than its memory budget of %d MiB", RUN_ARENA_BYTES >> 20);
}

enum err fold_keep(struct run_state *r, struct slice s, struct slice *ret, struct error *e)
{
    *ret = arena_copy(r->arena, s);
    return ret->p ? OK : fold_no_memory(e);
}

/* ---- the plan ---- */

static enum err make_item(struct run_state *r, struct item_state *it, struct error *e)
{
    static const enum stage first[] = {[ITEM_CHECK] = STAGE_VERIFY, [ITEM_COMMAND] = STAGE_SURVEY, [ITEM_TAKE] = STAGE_APPLY,
                                        [ITEM_AGENT] = STAGE_SURVEY};
    const struct plan_item *p = it->plan;
    it->head.stage = !p          ? first[it->kind]
                     : p->ticked ? STAGE_SKIPPED
                     : p->glob.n ? STAGE_LIST
                                 : STAGE_PIECES;
    if (it->head.stage == STAGE_PIECES) {
        it->pieces = arena_array(r->arena, 1, sizeof *it->pieces);
        if (!it->pieces)
            return fold_no_memory(e);
        it->npieces = 1;
        it->pieces[0].stage = piece_first_stage(p);
    }
    settle_item(r, it);
    return OK;
}

static enum item_kind kind_of(const struct run_state *r, size_t i)
{
    if (i < r->plan.nitems)
        return ITEM_OF_PLAN;
    if (i == 0 && r->is_agent)
        return ITEM_AGENT;
    if (r->is_exec)
        return ITEM_COMMAND;
    return i == r->plan.nitems && r->plan.verify.n ? ITEM_CHECK : ITEM_TAKE;
}

/* The plan's items as lines, those that a person ticked as skipped. An item that was started keeps what it has by its
   index, for run_plan_may_change() holds; the plan's own check is made anew, for it checks another plan. */
static enum err make_items(struct run_state *r, struct error *e)
{
    bool takes = !r->is_exec && (r->is_take || r->land != LAND_STEP);
    size_t n = r->plan.nitems + (r->plan.verify.n ? 1 : 0) + (r->is_exec || r->is_agent ? 1 : 0) + (takes ? 1 : 0);
    struct item_state *items = arena_array(r->arena, n, sizeof *items), *old = r->items;
    enum err err = items ? OK : fold_no_memory(e);
    for (size_t i = 0; !err && i < n; i++) {
        bool kept = i < r->nitems && i < r->plan.nitems && old[i].plan && old[i].started;
        if (kept)
            items[i] = old[i];
        items[i].kind = kind_of(r, i);
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
    if (!err && (r->is_exec || r->is_take || r->is_agent))
        err = error_set(e, ERR_CORRUPT, "a run of a command has no plan");
    if (!err)
        err = run_plan_may_change(r, &plan, e);
    if (!err)
        err = fold_keep(r, text, &r->plan_text, e);
    if (err)
        return err;
    r->plan = plan;
    return make_items(r, e);
}

/* ---- layers ---- */

static bool is_layer_name(struct slice s)
{
    bool ok = s.n > 0 && s.n <= RUN_LAYER_NAME_MAX;
    for (size_t i = 0; ok && i < s.n; i++)
        ok = (s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '-';
    return ok;
}

enum err fold_layer(struct run_state *r, const struct json *from, uint32_t step, struct layer_ref *ret, struct error *e)
{
    struct slice name = json_text(json_get(from, "name"));
    struct hash manifest;
    int64_t changes = json_int(json_get(from, "changes"), -1);
    if (!is_layer_name(name) || changes < 0 || !hash_from_hex(json_text(json_get(from, "manifest")), &manifest))
        return error_set(e, ERR_CORRUPT, "a layer without name, manifest or number of changes");
    *ret = (struct layer_ref){.manifest = manifest, .changes = (uint64_t)changes, .step = step, .first = step};
    return fold_keep(r, name, &ret->name, e);
}

enum err fold_push_layer(struct run_state *r, const struct json *from, uint32_t step, struct error *e)
{
    if (!r->layers)
        r->layers = arena_array(r->arena, RUN_LAYERS_MAX, sizeof *r->layers);
    if (!r->layers)
        return fold_no_memory(e);
    if (r->nlayers == RUN_LAYERS_MAX)
        return error_set(e, ERR_CORRUPT, "more than %d layers", RUN_LAYERS_MAX);
    enum err err = fold_layer(r, from, step, &r->layers[r->nlayers], e);
    if (!err)
        r->nlayers++;
    return err;
}

/* ---- run.started ---- */

/* How it lands, the layers that it begins with, and what it comes from if it is an undo or a fork. */
static enum err read_layers(struct run_state *r, const struct json *p, struct error *e)
{
    const struct json *layers = json_get(p, "layers"), *origin = json_get(p, "origin");
    struct slice land = json_text(json_get(p, "land"));
    enum err err = OK;
    if (land.n && !land_from(land, &r->land))
        err = error_set(e, ERR_CORRUPT, "land is not step, end or ask");
    for (size_t i = 0; !err && json_type(layers) == JSON_ARRAY && i < json_count(layers); i++)
        err = fold_push_layer(r, json_at(layers, i), 0, e);
    r->copies = json_bool(json_get(p, "copies"), false);
    if (err || !origin)
        return err;
    r->origin_run = (uint64_t)json_int(json_get(origin, "run"), 0);
    return fold_keep(r, json_text(json_get(origin, "what")), &r->origin, e);
}

static enum err read_take(struct run_state *r, struct error *e)
{
    if (!r->nlayers)
        return error_set(e, ERR_CORRUPT, "it is to take layers and has none");
    r->is_take = true;
    return make_items(r, e);
}

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
        err = fold_keep(r, buf_slice(&text), &r->exec, e);
    return err ? err : make_items(r, e);
}

/* What a person said of the run's jails; what it means is not for here. */
static enum err read_terms(struct run_state *r, const struct json *terms, struct error *e)
{
    BUF_CLEANUP struct buf text = BUF_INIT(64 * 1024);
    if (!terms)
        return OK;
    if (json_type(terms) != JSON_OBJECT)
        return error_set(e, ERR_CORRUPT, "terms are not an object");
    json_print(terms, &text);
    enum err err = buf_check(&text, "the run's terms", e);
    return err ? err : fold_keep(r, buf_slice(&text), &r->terms, e);
}

static enum err read_agent(struct run_state *r, const struct json *p, struct error *e)
{
    r->is_agent = true;
    enum err err = make_items(r, e);
    return err ? err : talk_begin(r, p, e);
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
            err = fold_keep(r, v, texts[i].to, e);
        if (err)
            return err;
    }
    if (!account_ok(r->account))
        return error_set(e, ERR_CORRUPT, "account is not a path of names");
    r->work_dev = (uint64_t)json_int(json_get(p, "work_dev"), 0);
    r->work_ino = (uint64_t)json_int(json_get(p, "work_ino"), 0);
    r->budget = amounts_from_json(json_get(p, "budget"), AMOUNT_UNLIMITED);
    int64_t slots = json_int(json_get(p, "slots"), 1), window = json_int(json_get(p, "window"), 2048);
    if (slots < 1 || slots > RUN_OPEN_MAX || window < 64 || window > 16 << 20)
        return error_set(e, ERR_CORRUPT, "slots or window out of bounds");
    r->slots = (unsigned)slots;
    r->window = (uint64_t)window;
    enum err err = read_layers(r, p, e);
    if (!err)
        err = read_terms(r, json_get(p, "terms"), e);
    if (!err)
        err = fold_services(r, json_get(p, "services"), e);
    if (!err)
        err = json_has(p, "exec")                    ? read_exec(r, json_get(p, "exec"), e)
              : json_has(p, "talk")                   ? read_agent(r, p, e)
              : json_bool(json_get(p, "take"), false) ? read_take(r, e)
                                                      : read_plan(r, p, e);
    if (!err)
        r->status = RUN_ACTIVE;
    return err;
}

/* ---- the others ---- */

static enum err answered_ask(struct run_state *r, uint32_t item, struct line *l, const struct json *p, struct error *e)
{
    r->touched = item;
    line_out(&r->items[item], l);
    enum err err = talk_answered(r, l, p, e);
    line_in(&r->items[item], l);
    return err;
}

/* What an agent changed and a person does not want goes; its line goes on. */
static void leave_changes(struct run_state *r, struct line *l)
{
    r->nlayers = 0;
    r->rest = (struct hash){{0}};
    l->stage = STAGE_TALK;
}

/* The paths that a person chose (zero: all), or what they chose hunk by hunk (NULL: nothing of that kind). */
static enum err read_choice(struct run_state *r, const struct json *p, struct hash *ret_only, const struct chosen **ret, struct error *e)
{
    const struct json *from = json_get(p, "chosen");
    struct slice part = json_text(json_get(from, "part"));
    struct chosen *c;
    *ret_only = (struct hash){{0}};
    *ret = NULL;
    if (json_has(p, "only") && !hash_from_hex(json_text(json_get(p, "only")), ret_only))
        return error_set(e, ERR_CORRUPT, "an answer for chosen paths without them");
    if (!json_has(p, "chosen"))
        return OK;
    if (!(*ret = c = arena_alloc(r->arena, sizeof *c)))
        return fold_no_memory(e);
    if (!hash_from_hex(json_text(json_get(from, "of")), &c->of) || !hash_from_hex(json_text(json_get(from, "manifest")), &c->lands) ||
        (json_has(from, "rest") && !hash_from_hex(json_text(json_get(from, "rest")), &c->rest)) ||
        (json_has(from, "part") && !is_layer_name(part)))
        return error_set(e, ERR_CORRUPT, "an answer for chosen hunks without them");
    return fold_keep(r, part, &c->part, e);
}

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
    if (l->talk && r->status == RUN_STOPPED) /* K3 */
        r->status = RUN_ACTIVE;
    if (l->question == QUESTION_ASK)
        return answered_ask(r, item, l, p, e);
    bool skip = slice_is(answer, "skip") || slice_is(answer, "keep"), replace = slice_is(answer, "replace");
    bool lands = l->question == QUESTION_CONFLICT || l->question == QUESTION_APPLY;
    if ((!skip && !replace && !slice_is(answer, l->question == QUESTION_APPLY ? "apply" : "retry")) || (l->talk && !lands && (skip || replace)))
        return error_set(e, ERR_CORRUPT, "an unknown answer");
    struct hash only;
    const struct chosen *chosen;
    err = read_choice(r, p, &only, &chosen, e);
    if (err)
        return err;
    r->touched = item;
    line_out(&r->items[item], l);
    l->stage = skip ? STAGE_SKIPPED : l->resume;
    if (l->talk && !lands)
        l->talk->hold = false; /* K3 */
    if (skip && l->talk)
        leave_changes(r, l);
    if (!l->landing) { /* else it ends as it began, whatever is said now; what is left is asked about again */
        l->only = only;
        l->chosen = chosen;
        l->replace = replace && l->question == QUESTION_CONFLICT;
        l->allowed = l->stage == STAGE_APPLY;
    }
    line_unstick(l);
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

/* An attended agent waits for a word then; anything else goes on when its run is continued. */
static enum err apply_stopped(struct run_state *r)
{
    r->status = RUN_STOPPED;
    if (r->is_agent && r->items[0].head.talk->attended)
        talk_stopped(r);
    return OK;
}

/* An attended agent waits for a word after a stop; anything else goes on. */
static enum err apply_continued(struct run_state *r)
{
    r->status = RUN_ACTIVE;
    if (r->is_agent && !r->items[0].head.talk->attended)
        r->items[0].head.talk->hold = false;
    return OK;
}

static enum err apply_typed(struct run_state *r, const struct event *ev, const struct json *p, struct error *e)
{
    if (ev->type != EVENT_RUN_STARTED && r->status == RUN_NEW)
        return error_set(e, ERR_CORRUPT, "the run does not begin with its start");
    if (r->status == RUN_DONE || r->status == RUN_FAILED)
        return error_set(e, ERR_CORRUPT, "the run goes on after its end");
    bool keeps_why = ev->type == EVENT_STEP_INTENDED || ev->type == EVENT_STEP_FINISHED || ev->type == EVENT_SERVICE_ENDED ||
                     ev->type == EVENT_SERVICE_OPENED;
    if (!keeps_why)
        one_line(r->why, sizeof r->why, json_text(json_get(p, "why")));
    r->touched = UINT32_MAX;
    switch (ev->type) {
    case EVENT_RUN_STARTED: return apply_started(r, p, e);
    case EVENT_RUN_CONTINUED: return apply_continued(r);
    case EVENT_RUN_STOPPED: return apply_stopped(r);
    case EVENT_RUN_BLOCKED: r->status = RUN_BLOCKED; return OK;
    case EVENT_RUN_ENDED: return apply_ended(r, p, e);
    case EVENT_PLAN_CHANGED: return read_plan(r, p, e);
    case EVENT_STEP_INTENDED: return fold_intended(r, ev, p, e);
    case EVENT_STEP_FINISHED: return fold_finished(r, ev, p, e);
    case EVENT_ANSWERED: return apply_answered(r, p, e);
    case EVENT_SAID: return talk_said(r, p, e);
    case EVENT_REWOUND: return talk_rewound(r, p, e);
    case EVENT_MODEL_CHANGED: return talk_model_changed(r, p, e);
    case EVENT_COMPACT_WANTED: return talk_compact_wanted(r, e);
    case EVENT_SERVICE_ENDED: return fold_service_ended(r, p, e);
    case EVENT_SERVICE_OPENED: return fold_service_opened(r, p, e);
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
        settle_item(r, &r->items[r->touched]);
    settle_agent(r);
    settle_take(r);
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
