/* What the intent and the finish of a step do to the run (fold.c). */
#include <string.h>

#include "core/internal.h"

enum { TEXT_BYTES_MAX = 1 << 30 /* larger than any document or answer that is stored */, APPLY_RETRIES = 2, THINK_RETRIES = 5,
       NIGHT_RETRIES = 200 /* nobody is there to try again: some three hours */ };

/* ---- reading results ---- */

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

/* ---- step.intended ---- */

/* The arguments of an open step. Their memory is used again: a long run has many of them, few at once. */
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
        return fold_no_memory(e);
    memcpy(o->args_memory, buf_str(&text), text.n + 1);
    o->args = (struct slice){o->args_memory, text.n};
    return OK;
}

/* The path of a look or landing. A landing goes where the look before it looked. */
static enum err keep_target(struct run_state *r, struct line *l, struct open_step *o, const struct json *args,
                            struct error *e)
{
    struct slice path = json_text(json_get(args, "path"));
    bool same = slice_eq(path, l->target);
    if (!plan_path_ok(path) || (l->stage == STAGE_LAND && !same))
        return error_set(e, ERR_CORRUPT, "an intent with a bad path");
    /* a landing that could not even be put together has no content (engine/commit.c intend_refused) */
    enum err err = l->stage == STAGE_LAND && json_has(args, "content") ? get_hash(args, "content", &o->content, e) : OK;
    return err || same ? err : fold_keep(r, path, &l->target, e);
}

/* The line that an intent is about, if it may have one now. */
static struct line *line_of_intent(struct run_state *r, const struct json *p, uint32_t *ret_item, int32_t *ret_piece)
{
    int64_t item = json_int(json_get(p, "item"), -1), piece = json_int(json_get(p, "piece"), HEAD - 1);
    bool exists = item >= 0 && item < (int64_t)r->nitems && piece >= HEAD && piece <= RUN_PIECES_MAX;
    if (!exists || !item_may_move(r, (size_t)item))
        return NULL;
    *ret_item = (uint32_t)item;
    *ret_piece = (int32_t)piece;
    struct line *l = run_line(r, *ret_item, *ret_piece);
    return l && line_wants(l) && slice_is(json_text(json_get(p, "stage")), stage_name(l->stage)) ? l : NULL;
}

enum err fold_intended(struct run_state *r, const struct event *ev, const struct json *p, struct error *e)
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
    if (l->stage == STAGE_THINK)
        err = talk_deliver(r, l->talk, e);
    if (err)
        return err;
    if (l->stage == STAGE_APPLY && !l->landing && json_has(json_get(p, "args"), "manifest")) /* else it could not be prepared */
        l->landing = ev->key.step;
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
        return fold_no_memory(e);
    for (size_t i = 0; i < n; i++) {
        struct slice path = json_text(json_at(paths, i));
        if (!plan_path_ok(path))
            return error_set(e, ERR_CORRUPT, "a listed path is not one");
        enum err err = fold_keep(r, path, &it->pieces[i].source, e);
        if (err)
            return err;
        it->pieces[i].stage = piece_first_stage(it->plan);
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
        return fold_no_memory(e);
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
        return fold_no_memory(e);
    int64_t from = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t to = json_int(json_at(cuts, i), -1);
        bool empty = n == 1 && to == 0 && l->text.bytes == 0; /* a text of nothing is one part of nothing */
        if ((to <= from && !empty) || (uint64_t)to > l->text.bytes)
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

/* ---- layers ---- */

/* The names that the step's intent knew stand first in the list: what was pushed meanwhile comes after them. */
static enum err layers_known(const struct run_state *r, const struct open_step *o, size_t *ret, struct error *e)
{
    JSON_CLEANUP struct json *args = NULL;
    enum err err = json_parse(o->args, &args, e);
    const struct json *names = json_get(args, "layers");
    size_t n = json_type(names) == JSON_ARRAY ? json_count(names) : 0;
    bool same = n <= r->nlayers;
    for (size_t i = 0; !err && same && i < n; i++)
        same = slice_eq(json_text(json_at(names, i)), r->layers[i].name);
    if (!err && !same)
        err = error_set(e, ERR_CORRUPT, "a step of other layers than the run has");
    *ret = n;
    return err;
}

static void layers_drop(struct run_state *r, size_t n)
{
    if (n)
        memmove(r->layers, r->layers + n, (r->nlayers - n) * sizeof *r->layers);
    r->nlayers -= n;
}

/* Many layers have become one, which stands where they stood. */
static enum err result_squash(struct run_state *r, const struct open_step *o, const struct json *layer, struct error *e)
{
    size_t known;
    struct layer_ref one;
    enum err err = layers_known(r, o, &known, e);
    if (!err && !known)
        err = error_set(e, ERR_CORRUPT, "a squash of nothing");
    if (!err)
        err = fold_layer(r, layer, o->key.step, &one, e);
    if (err)
        return err;
    one.first = r->layers[0].first;
    layers_drop(r, known - 1);
    r->layers[0] = one;
    return OK;
}

/* What the jails hide from now on; which files are meant is for those who make the plans. */
static enum err result_masked(struct run_state *r, const struct json *list, struct error *e)
{
    BUF_CLEANUP struct buf text = BUF_INIT(RUN_MASKED_BYTES);
    if (!list)
        return OK;
    if (json_type(list) != JSON_ARRAY)
        return error_set(e, ERR_CORRUPT, "what is hidden is not a list");
    json_print(list, &text);
    enum err err = buf_check(&text, "what is hidden", e);
    return err ? err : fold_keep(r, buf_slice(&text), &r->masked, e);
}

/* A landing: what it replaced is an undo layer; what did not land is the rest, about which a person decides. */
static enum err result_apply(struct run_state *r, const struct open_step *o, struct line *l, const struct json *undo,
                             const struct json *res, struct error *e)
{
    size_t known;
    void *undos = r->undos;
    enum err err = layers_known(r, o, &known, e);
    bool any = !err && undo, left = json_has(res, "rest");
    if (any && (r->nundos & (r->nundos - 1)) == 0) { /* 0, 1, 2, 4 …: room for as many again */
        undos = arena_array(r->arena, r->nundos ? 2 * r->nundos : 1, sizeof *r->undos);
        if (!undos)
            return fold_no_memory(e);
        if (r->nundos)
            memcpy(undos, r->undos, r->nundos * sizeof *r->undos);
        r->undos = undos;
    }
    if (any)
        err = fold_layer(r, undo, o->key.step, &r->undos[r->nundos], e);
    if (!err && any)
        r->nundos++;
    r->rest = (struct hash){{0}};
    l->allowed = l->replace = false;
    l->only = (struct hash){{0}}; /* for this landing */
    l->chosen = NULL;
    l->landing = 0;
    if (!err && left)
        err = get_hash(res, "rest", &r->rest, e);
    if (!err && left)
        line_stick(l, QUESTION_APPLY, STAGE_APPLY, json_text(json_get(res, "why")));
    if (!err && !left)
        layers_drop(r, known);
    return err;
}

/* The commit is a layer; of all of them only what the rest names is taken (the branch), not the files. */
static enum err result_commit(struct run_state *r, const struct open_step *o, const struct line *l, const struct json *layer,
                              const struct json *res, struct error *e)
{
    struct hash rest;
    enum err err = layer ? fold_push_layer(r, layer, o->key.step, e) : OK;
    if (!err)
        err = get_hash(res, "rest", &rest, e);
    if (!err && l->talk->finished) /* else something was said meanwhile: it goes on, and the commit is made again */
        r->rest = rest;
    return err;
}

/* What a step that went well leaves in its line. */
static enum err apply_result(struct run_state *r, const struct open_step *o, struct item_state *it, struct line *l,
                             const struct json *p, struct error *e)
{
    const struct json *res = json_get(p, "result"), *layer = json_type(json_get(p, "layer")) == JSON_OBJECT ? json_get(p, "layer") : NULL;
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
        return err ? err : fold_keep(r, stamp, &l->base, e);
    case STAGE_LAND:
        if (hash_eq(&o->content, &(struct hash){{0}}))
            return error_set(e, ERR_CORRUPT, "something landed that has no content");
        l->landed = o->content;
        if (l->replace)
            l->replaced = l->base;
        l->replace = false; /* it was allowed for what lay there then */
        return layer ? fold_push_layer(r, layer, o->key.step, e) : OK;
    case STAGE_SURVEY:
        r->copies |= slice_is(json_text(json_get(res, "backend")), "copy"); /* layers of copies have no whiteouts: their forks copy too */
        return result_masked(r, json_get(res, "masked"), e);
    case STAGE_SQUASH: return result_squash(r, o, layer, e);
    case STAGE_EXEC: return layer ? fold_push_layer(r, layer, o->key.step, e) : OK;
    case STAGE_APPLY: return result_apply(r, o, l, layer, res, e);
    case STAGE_INSTRUCT: return talk_instructed(l, res, e);
    case STAGE_THINK: return talk_thought(r, l, o->key.step, res, e);
    case STAGE_COMPACT: return talk_compacted(l, res, e);
    case STAGE_CALL:
        err = talk_called(r, l, o->key.step, res, e);
        if (!err && json_has(res, "service"))
            err = fold_service_called(r, json_get(res, "service"), o->key.step, e);
        return err || !layer ? err : fold_push_layer(r, layer, o->key.step, e);
    case STAGE_COMMIT: return result_commit(r, o, l, layer, res, e);
    case STAGE_VERIFY:
        if (l->talk)
            l->talk->finished = !l->talk->ninbox; /* what was said while it ran comes first */
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
    unsigned retries = it->plan                                 ? it->plan->retries
                       : l->stage == STAGE_APPLY                ? APPLY_RETRIES
                       : l->stage == STAGE_THINK && l->talk     ? l->talk->attended ? THINK_RETRIES : NIGHT_RETRIES
                                                                : 0;
    /* An answer that did not pass its check is asked for again; anything else is tried again as it is. */
    bool ask_again = l->stage == STAGE_VERIFY && l != &it->head; /* an agent's check is agent_goes_on() */
    enum stage resume = !ask_again ? l->stage : line_in_parts(l) ? STAGE_JOIN : STAGE_ASK;
    bool final = json_bool(json_get(p, "final"), false);
    l->failures++;
    if (final || l->failures > retries) {
        line_stick(l, QUESTION_FAILED, resume, json_text(json_get(p, "why")));
        return;
    }
    l->stage = resume;
    int64_t least = json_int(json_get(p, "after_ms"), 0); /* what a server asked for */
    l->wake_ms = ask_again ? 0 : wake_after(l->failures, now);
    if (least > 0 && least <= BACKOFF_MAX_MS && l->wake_ms < now + least)
        l->wake_ms = now + least;
}

/* Failures count until the answer stands: from the last call of the model on, a check may send the line back to it, and
   what went wrong before has nothing to do with that. */
static bool failures_end(const struct line *l)
{
    return l->stage < STAGE_ASK || (l->stage == STAGE_ASK && line_in_parts(l));
}

static enum err line_went_well(struct run_state *r, const struct open_step *o, struct item_state *it, struct line *l,
                               const struct json *p, struct error *e)
{
    enum err err = apply_result(r, o, it, l, p, e);
    if (err || l->stage == STAGE_STUCK)
        return err;
    if (failures_end(l))
        l->failures = 0;
    l->stage = line_stage_after(r, it, l, o->piece == HEAD);
    if (l->talk)
        l->failures = 0;
    return OK;
}

/* Failures that an agent goes on from by itself: a check that it is told of, a talk that is too long for its model. */
static bool agent_goes_on(struct run_state *r, const struct open_step *o, struct line *l, const struct json *res)
{
    if (!l->talk)
        return false;
    bool check = o->stage == STAGE_VERIFY && talk_check_failed(r, l, o->key.step, res);
    bool long_ = o->stage == STAGE_THINK && json_bool(json_get(res, "overflow"), false) && talk_can_shrink(l->talk);
    if (long_)
        talk_overflowed(l->talk);
    if (check || long_)
        l->stage = talk_next(r, l);
    return check || long_;
}

static enum err apply_outcome(struct run_state *r, const struct open_step *o, const struct event *ev,
                              const struct json *p, struct error *e)
{
    struct item_state *it = &r->items[o->item];
    struct line *l = run_line(r, o->item, o->piece);
    enum outcome outcome = outcome_from(json_text(json_get(p, "outcome")));
    struct slice why = json_text(json_get(p, "why"));
    l->again = outcome == OUTCOME_LOST || outcome == OUTCOME_CANCELLED;
    if (!l->again)
        l->deaths = 0;
    switch (outcome) {
    case OUTCOME_OK: return line_went_well(r, o, it, l, p, e);
    case OUTCOME_FAILED:
        if (!agent_goes_on(r, o, l, json_get(p, "result")))
            line_failed(it, l, p, ev->time_ms);
        if (l->talk && o->stage == STAGE_COMPACT)
            talk_compact_failed(l);
        return OK;
    case OUTCOME_LOST:
        if (++l->deaths >= RUN_DEATHS_MAX)
            line_stick(l, QUESTION_POISON, l->stage,
                       SLICE("crannog or one of its programs died three times in this step"));
        return OK;
    case OUTCOME_CANCELLED:
        return l->talk && l->talk->attended ? talk_cancelled(r, l, o->key.step, json_get(p, "result"), e) : OK;
    case OUTCOME_CONFLICT:
        if (l->stage == STAGE_APPLY) {
            line_stick(l, QUESTION_CONFLICT, STAGE_APPLY, why);
            l->allowed = false;
            l->chosen = NULL;
            l->landing = 0; /* nothing of it is in the folder */
            return OK;
        }
        if (l->stage != STAGE_LOOK && l->stage != STAGE_LAND)
            return error_set(e, ERR_CORRUPT, "a conflict where nothing is written");
        line_stick(l, QUESTION_CONFLICT, STAGE_LOOK, why); /* `replace` is for what lies there now, nothing newer */
        return fold_keep(r, json_text(json_get(json_get(p, "result"), "stamp")), &l->base, e);
    case OUTCOME_UNCONFIRMED: /* nobody knows whether it happened: never again by itself */
        line_stick(l, QUESTION_FAILED, l->stage, why);
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

enum err fold_finished(struct run_state *r, const struct event *ev, const struct json *p, struct error *e)
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
    if (!err && l->talk)
        talk_rest(r, l);
    if (!err)
        line_in(it, l);
    return err;
}
