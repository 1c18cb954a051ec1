/* What events do to the talk of an agent (core/talk.h); what a person does to it is in fold_person.c. */
#include <string.h>

#include "core/internal.h"

enum { TALK_BYTES_MAX = 1 << 30, NAME_MAX_BYTES = 256, TEXT_MAX_BYTES = 4096 };

/* ---- what comes next ---- */

struct line *talk_line(struct run_state *r)
{
    return r->is_agent && r->nitems ? &r->items[0].head : NULL;
}

/* An answer whose calls a word has dropped looks as if it were the last; that word is answered before what was to be said later. */
bool talk_delivers(const struct talk *t, size_t i)
{
    bool over = !t->nturns || t->turns[t->nturns - 1].kind == TALK_ANSWER;
    return !t->inbox[i].later || (over && t->next >= t->ncalls && !talk_said_now(t));
}

static bool has_word(const struct talk *t)
{
    for (size_t i = 0; i < t->ninbox; i++)
        if (talk_delivers(t, i))
            return true;
    return false;
}

static uint64_t tokens_of(const struct talk *t)
{
    return t->context + t->fresh / TALK_BYTES_A_TOKEN;
}

uint64_t talk_window(const struct talk *t, uint64_t window)
{
    return t->narrow && t->narrow < window ? t->narrow : window;
}

/* Servers whose windows are smaller than anybody said are many: the model's own word counts. */
void talk_overflowed(struct talk *t)
{
    uint64_t n = tokens_of(t);
    t->narrow = !t->narrow || n < t->narrow ? n : t->narrow;
    t->compact = true;
}

bool talk_can_shrink(const struct talk *t)
{
    return t->nturns > t->from + 2 && t->shrinks < TALK_SHRINKS_MAX;
}

bool talk_is_due(const struct talk *t, uint64_t window)
{
    uint64_t next = tokens_of(t);
    bool is_long = next + (uint64_t)t->max_output > window || (t->narrow && next >= t->narrow && !t->shrinks);
    return (t->compact || is_long) && talk_can_shrink(t);
}

enum stage talk_next(const struct run_state *r, const struct line *l)
{
    const struct talk *t = l->talk;
    if (!t->system_bytes)
        return STAGE_INSTRUCT;
    if (r->nlayers && r->land == LAND_STEP)
        return STAGE_APPLY;
    if (r->nlayers > RUN_LAYERS_KEPT)
        return STAGE_SQUASH;
    if (t->finished)
        return t->commits && hash_is_zero(&r->rest) && r->nlayers ? STAGE_COMMIT : STAGE_DONE;
    if (t->next < t->ncalls) /* on hold it is a command that the person runs themselves: all others were dropped */
        return STAGE_CALL;
    if (t->compact && t->hold && talk_is_due(t, r->window)) /* a person's wish, before their next word */
        return STAGE_COMPACT;
    if (t->hold)
        return STAGE_TALK;
    bool answered = !t->nturns || t->turns[t->nturns - 1].kind == TALK_ANSWER;
    if (!answered || has_word(t))
        return talk_is_due(t, r->window) ? STAGE_COMPACT : STAGE_THINK;
    if (t->compact && talk_is_due(t, r->window))
        return STAGE_COMPACT;
    return t->attended || !t->nturns || !t->verify.n ? STAGE_TALK : STAGE_VERIFY;
}

/* An unattended agent whose check is empty is done when the model says so. */
static void settle_finished(struct talk *t)
{
    bool over = t->nturns && t->turns[t->nturns - 1].kind == TALK_ANSWER && t->next >= t->ncalls && !t->ninbox;
    if (over && !t->attended && !t->verify.n && !t->hold)
        t->finished = true;
}

void talk_settle(struct run_state *r, struct line *l)
{
    struct talk *t = l->talk;
    if (!t || l->open || l->stage != STAGE_TALK)
        return;
    settle_finished(t);
    l->stage = talk_next(r, l);
}

/* ---- turns ---- */

enum err talk_push_turn(struct run_state *r, struct talk *t, struct talk_turn turn, struct error *e)
{
    void *items = t->turns;
    if (t->nturns == TALK_TURNS_MAX)
        return error_set(e, ERR_LIMIT, "more than %d turns; begin a new talk", TALK_TURNS_MAX);
    if (!arena_grow(r->arena, &items, &t->cap, t->nturns + 1, sizeof *t->turns))
        return fold_no_memory(e);
    t->turns = items;
    t->turns[t->nturns++] = turn;
    t->fresh += turn.bytes;
    return OK;
}

void talk_count_anew(struct talk *t)
{
    t->context = 0;
    t->fresh = t->system_bytes + t->summary_bytes;
    for (size_t i = t->from; i < t->nturns; i++)
        t->fresh += t->turns[i].bytes;
}

enum err talk_read_turn(const struct json *o, const char *key, const char *bytes, enum turn_kind kind, uint32_t step,
                        struct talk_turn *ret, bool *ret_any, struct error *e)
{
    int64_t n = json_int(json_get(o, bytes), 0);
    *ret_any = json_has(o, key);
    *ret = (struct talk_turn){.step = step, .kind = kind, .bytes = (uint64_t)n};
    if (*ret_any && (n < 0 || n > TALK_BYTES_MAX || !hash_from_hex(json_text(json_get(o, key)), &ret->blob)))
        return error_set(e, ERR_CORRUPT, "a turn without its hash or size");
    return OK;
}

enum err talk_push_named(struct run_state *r, struct talk *t, const struct json *o, const char *key, const char *bytes,
                          enum turn_kind kind, uint32_t step, struct error *e)
{
    struct talk_turn turn;
    bool any;
    enum err err = talk_read_turn(o, key, bytes, kind, step, &turn, &any, e);
    return err || !any ? err : talk_push_turn(r, t, turn, e);
}

/* What was said while the model was busy becomes turns, in the order it was said. */
enum err talk_deliver(struct run_state *r, struct talk *t, struct error *e)
{
    size_t kept = 0;
    enum err err = OK;
    bool takes[TALK_INBOX_MAX];
    for (size_t i = 0; i < t->ninbox; i++)
        takes[i] = talk_delivers(t, i); /* all as it is now: the first one said does not open the way for those behind it */
    for (size_t i = 0; i < t->ninbox; i++)
        if (err || !takes[i])
            t->inbox[kept++] = t->inbox[i];
        else
            err = talk_push_turn(r, t, t->inbox[i].turn, e);
    t->ninbox = kept;
    return err;
}

void talk_drop_calls(struct line *l)
{
    struct talk *t = l->talk;
    bool asked = l->stage == STAGE_STUCK && (l->question == QUESTION_ASK || l->resume == STAGE_CALL);
    bool busy = asked || (l->open && l->stage == STAGE_CALL);
    if (t->next < t->ncalls)
        t->ncalls = t->next + (busy ? 1 : 0);
}

bool talk_said_now(const struct talk *t)
{
    for (size_t i = 0; i < t->ninbox; i++)
        if (!t->inbox[i].later)
            return true;
    return false;
}

void talk_ask_if_next(struct line *l)
{
    struct talk *t = l->talk;
    if (t->next < t->ncalls && slice_is(t->calls[t->next], "ask"))
        line_stick(l, QUESTION_ASK, STAGE_TALK, t->asks[t->next]);
}

/* ---- results ---- */

static enum err read_calls(struct run_state *r, struct talk *t, const struct json *calls, struct error *e)
{
    size_t n = json_type(calls) == JSON_ARRAY ? json_count(calls) : 0;
    if (n > TALK_CALLS_MAX)
        return error_set(e, ERR_LIMIT, "more than %d calls in one answer", TALK_CALLS_MAX);
    t->ncalls = t->next = 0;
    for (size_t i = 0; i < n; i++) {
        struct slice name = json_text(json_get(json_at(calls, i), "name"));
        struct slice ask = json_text(json_get(json_at(calls, i), "question"));
        enum err err = fold_keep(r, slice_sub(name, 0, NAME_MAX_BYTES), &t->calls[i], e);
        if (!err)
            err = fold_keep(r, slice_sub(ask, 0, TEXT_MAX_BYTES), &t->asks[i], e);
        if (err)
            return err;
    }
    t->ncalls = n;
    return OK;
}

/* The same calls again and again: nobody is served by paying for that all night. */
static bool goes_round(struct talk *t, const struct json *res)
{
    struct hash h;
    if (!t->ncalls || !hash_from_hex(json_text(json_get(res, "calls_hash")), &h))
        return false;
    t->same = hash_eq(&h, &t->last_calls) ? t->same + 1 : 1;
    t->last_calls = h;
    return t->same >= TALK_SAME_MAX;
}

enum err talk_thought(struct run_state *r, struct line *l, uint32_t step, const struct json *res, struct error *e)
{
    struct talk *t = l->talk;
    int64_t tokens = json_int(json_get(res, "tokens"), 0);
    size_t before = t->nturns;
    enum err err = talk_push_named(r, t, res, "turn", "bytes", TALK_ANSWER, step, e);
    if (!err && t->nturns == before && json_count(json_get(res, "calls")))
        err = error_set(e, ERR_CORRUPT, "calls of no answer");
    if (!err)
        err = read_calls(r, t, json_get(res, "calls"), e);
    if (err)
        return err;
    t->answer = t->nturns ? t->nturns - 1 : 0;
    t->context = tokens > 0 && tokens <= TALK_BYTES_MAX ? (uint64_t)tokens : 0;
    if (t->context)
        t->fresh = 0;
    t->shrinks = 0;
    t->empties = t->nturns == before ? t->empties + 1 : 0;
    err = talk_push_named(r, t, res, "note", "note_bytes", TALK_NOTE, step, e);
    if (err)
        return err;
    if (t->empties > TALK_EMPTY_MAX) {
        t->empties = 0;
        line_stick(l, QUESTION_FAILED, STAGE_THINK, SLICE("the model answers with nothing"));
    } else if (goes_round(t, res)) {
        t->same = 0;
        t->ncalls = t->next = 0;
        line_stick(l, QUESTION_FAILED, STAGE_THINK, SLICE("the model makes the same call again and again; say what it should do instead"));
    } else {
        if (t->hold || talk_said_now(t)) /* it was stopped or told something, and had ended before it heard */
            talk_drop_calls(l);
        talk_ask_if_next(l);
    }
    return OK;
}

enum err talk_called(struct run_state *r, struct line *l, uint32_t step, const struct json *res, struct error *e)
{
    struct talk *t = l->talk;
    if (t->next >= t->ncalls)
        return error_set(e, ERR_CORRUPT, "a result without a call");
    enum err err = talk_push_named(r, t, res, "turn", "bytes", TALK_RESULT, step, e);
    if (err)
        return err;
    t->next++;
    talk_ask_if_next(l); /* a word that came meanwhile has dropped the others */
    return OK;
}

enum err talk_instructed(struct line *l, const struct json *res, struct error *e)
{
    struct talk_turn system;
    bool any;
    enum err err = talk_read_turn(res, "system", "bytes", TALK_NOTE, 0, &system, &any, e);
    if (err || !any)
        return err ? err : error_set(e, ERR_CORRUPT, "instructions without a text");
    l->talk->system = system.blob;
    l->talk->system_bytes = system.bytes;
    l->talk->fresh += system.bytes;
    return OK;
}

enum err talk_compacted(struct line *l, const struct json *res, struct error *e)
{
    struct talk *t = l->talk;
    int64_t upto = json_int(json_get(res, "upto"), -1);
    struct talk_turn s;
    bool any;
    enum err err = talk_read_turn(res, "turn", "bytes", TALK_NOTE, 0, &s, &any, e);
    if (err)
        return err;
    if (!any || upto <= (int64_t)t->from || upto > (int64_t)t->nturns)
        return error_set(e, ERR_CORRUPT, "a compaction of nothing");
    t->from = (size_t)upto;
    t->summary = s.blob;
    t->summary_bytes = s.bytes;
    talk_count_anew(t);
    t->compact = false;
    t->shrinks++;
    return OK;
}

/* It cannot be made shorter now. What comes next is decided anew when a person says so: with another model it may fit. */
void talk_compact_failed(struct line *l)
{
    l->talk->compact = false;
    l->talk->shrinks++;
    if (l->stage == STAGE_STUCK)
        l->resume = STAGE_TALK;
}

/* The check of an unattended agent failed: the model is told, as often as its tries go. True: it goes on. */
bool talk_check_failed(struct run_state *r, struct line *l, uint32_t step, const struct json *res)
{
    struct talk *t = l->talk;
    t->checks++;
    bool told = json_has(res, "turn") && talk_push_named(r, t, res, "turn", "bytes", TALK_NOTE, step, NULL) == OK;
    return told && t->checks < t->checks_max;
}

/* An attended act that was stopped is over: what came of an answer stays, calls that were to come are dropped. */
enum err talk_cancelled(struct run_state *r, struct line *l, uint32_t step, const struct json *res, struct error *e)
{
    struct talk *t = l->talk;
    l->again = false;
    if (l->stage == STAGE_APPLY)
        return OK;
    enum err err = l->stage == STAGE_THINK ? talk_push_named(r, t, res, "turn", "bytes", TALK_ANSWER, step, e) : OK;
    t->ncalls = t->next = 0;
    t->compact = false;
    l->stage = l->talk->system_bytes ? STAGE_TALK : l->stage;
    return err;
}

/* ---- its beginning ---- */

enum err talk_read_server(struct run_state *r, const struct json *o, struct error *e)
{
    struct { const char *key; struct slice *to; } texts[] = {{"provider", &r->server.provider}, {"model", &r->server.model},
                                                             {"base", &r->server.base}, {"secret", &r->server.secret}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct slice v = json_text(json_get(o, texts[i].key));
        if (v.n > TEXT_MAX_BYTES)
            return error_set(e, ERR_CORRUPT, "%s of a server is too long", texts[i].key);
        enum err err = fold_keep(r, v, texts[i].to, e);
        if (err)
            return err;
    }
    int64_t window = json_int(json_get(o, "window"), 0), output = json_int(json_get(o, "max_output"), 0);
    if (window < 512 || window > 16 << 20 || output < 1 || output > window)
        return error_set(e, ERR_CORRUPT, "window or output of a model out of bounds");
    if (json_has(o, "name")) {
        enum err err = fold_keep(r, slice_sub(json_text(json_get(o, "name")), 0, TEXT_MAX_BYTES), &r->model, e);
        if (err)
            return err;
    }
    r->server.quirks = (uint32_t)json_int(json_get(o, "quirks"), 0);
    r->window = (uint64_t)window;
    struct talk *t = talk_line(r)->talk; /* asked of agents only, and there is one then */
    t->max_output = output;
    t->narrow = 0;
    return OK;
}

/* Another model counts other tokens of the same text: what the one before said bounds nothing. */
enum err talk_model_changed(struct run_state *r, const struct json *p, struct error *e)
{
    struct line *l = talk_line(r);
    if (!l)
        return error_set(e, ERR_CORRUPT, "another model for what has none");
    enum err err = talk_read_server(r, p, e);
    if (!err)
        talk_count_anew(l->talk);
    return err;
}

/* The talk of a fork begins where the other one stands. */
static enum err read_turns(struct run_state *r, struct talk *t, const struct json *a, struct error *e)
{
    const struct json *turns = json_get(a, "turns");
    int64_t from = json_int(json_get(a, "from"), 0);
    struct talk_turn turn;
    bool any;
    enum err err = OK;
    for (size_t i = 0; !err && json_type(turns) == JSON_ARRAY && i < json_count(turns); i++) {
        const struct json *o = json_at(turns, i);
        int64_t kind = json_int(json_get(o, "kind"), 0);
        err = talk_read_turn(o, "turn", "bytes", (enum turn_kind)kind, 0, &turn, &any, e);
        if (!err && (!any || kind < TALK_SAID || kind > TALK_NOTE))
            err = error_set(e, ERR_CORRUPT, "a fork of a talk with a turn that is none");
        if (!err)
            err = talk_push_turn(r, t, turn, e);
    }
    if (!err && (from < 0 || (size_t)from > t->nturns))
        err = error_set(e, ERR_CORRUPT, "a fork of a talk that was cut past its end");
    if (!err)
        err = talk_read_turn(a, "summary", "summary_bytes", TALK_NOTE, 0, &turn, &any, e);
    if (err)
        return err;
    t->from = (size_t)from;
    t->summary = any ? turn.blob : t->summary;
    t->summary_bytes = any ? turn.bytes : 0;
    talk_count_anew(t);
    t->hold = true;
    return OK;
}

enum err talk_begin(struct run_state *r, const struct json *p, struct error *e)
{
    const struct json *a = json_get(p, "talk");
    struct talk *t = arena_alloc(r->arena, sizeof *t);
    struct line *l = talk_line(r);
    if (!t)
        return fold_no_memory(e);
    int64_t checks = json_int(json_get(a, "checks"), 1);
    if (!l || checks < 1 || checks > 1000)
        return error_set(e, ERR_CORRUPT, "an agent without an item, or with no number of checks");
    *t = (struct talk){.attended = json_bool(json_get(a, "attended"), false), .commits = json_bool(json_get(a, "commits"), false),
                       .checks_max = (uint32_t)checks};
    l->talk = t;
    enum err err = fold_keep(r, json_text(json_get(a, "verify")), &t->verify, e);
    if (!err && json_has(a, "turns"))
        err = read_turns(r, t, a, e);
    return err ? err : talk_read_server(r, json_get(p, "server"), e);
}
