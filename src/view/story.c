#include "view/story.h"

#include <stdio.h>

#include "view/turn.h"
#include "view/view.h"

void story_init(struct story *t, struct store *s, uint64_t run)
{
    *t = (struct story){.store = s, .run = run, .budget = amounts_unlimited()};
}

void story_release(struct story *t)
{
    for (size_t i = 0; i < t->nopen; i++)
        json_free(t->open[i].intent);
    t->nopen = 0;
}

/* ---- turns, which are blobs ---- */

/* The turn that `from` names under "turn"; false where it is not kept any more. */
static bool read_turn(struct store *s, const struct json *from, struct arena *a, struct transcript_turn *ret)
{
    struct hash h;
    *ret = (struct transcript_turn){0};
    return hash_from_hex(json_text(json_get(from, "turn")), &h) && turn_read(s, &h, a, ret, NULL) == OK;
}

static void put_words(struct json *o, const char *key, const struct transcript_turn *turn, enum part_kind kind, enum part_kind or_kind)
{
    BUF_CLEANUP struct buf text = BUF_INIT(2 * TURN_BYTES_MAX);
    for (size_t i = 0; i < turn->n; i++)
        if (turn->parts[i].kind == kind || turn->parts[i].kind == or_kind) {
            if (text.n && text.p[text.n - 1] != '\n')
                buf_add_char(&text, '\n');
            buf_add(&text, turn->parts[i].text);
        }
    if (text.n)
        json_put_text(o, key, buf_slice(&text));
}

static void put_images(struct json *o, const struct transcript_turn *turn)
{
    int64_t n = 0;
    for (size_t i = 0; i < turn->n; i++)
        n += turn->parts[i].kind == PART_IMAGE;
    if (n)
        json_put_int(o, "images", n);
}

/* Arguments as the model wrote them: an object, or text where they are none. */
static void put_arguments(struct json *o, struct slice text)
{
    struct json *args = NULL;
    if (json_parse(text, &args, NULL) == OK && json_type(args) == JSON_OBJECT) {
        json_put(o, "arguments", args);
        return;
    }
    json_free(args);
    json_put_text(o, "arguments", text);
}

static const struct transcript_part *call_at(const struct transcript_turn *turn, int64_t index)
{
    for (size_t i = 0; i < turn->n; i++)
        if (turn->parts[i].kind == PART_CALL && index-- == 0)
            return &turn->parts[i];
    return NULL;
}

/* ---- entries ---- */

static struct json *entry_new(const struct event *ev, const char *kind)
{
    struct json *o = json_object();
    json_put_int(o, "seq", (int64_t)ev->seq);
    json_put_int(o, "time_ms", ev->time_ms);
    json_put_text(o, "kind", slice_of(kind));
    return o;
}

static void copy(struct json *to, const struct json *from, const char *key)
{
    const struct json *v = json_get(from, key);
    if (v && (json_type(v) != JSON_TEXT || json_text(v).n))
        json_put(to, key, json_clone(v));
}

static const char *kind_of(struct slice stage)
{
    static const struct { const char *stage, *kind; } known[] = {
        {"think", "model"}, {"call", "call"}, {"verify", "check"}, {"commit", "commit"}, {"apply", "landing"}, {"compact", "compact"},
        {"instruct", "instructions"}, {"survey", "survey"}, {"squash", "squash"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (slice_is(stage, known[i].stage))
            return known[i].kind;
    return "step";
}

/* Why it might begin. */
static struct json *allowed(const struct story_open *o)
{
    struct json *a = json_object();
    copy(a, o->intent, "account");
    json_put_int(a, "grant", json_int(json_get(json_get(o->intent, "grant"), "v"), 0));
    copy(a, o->intent, "rule");
    struct amounts reserved = amounts_from_json(json_get(o->intent, "amounts"), 0);
    amounts_print(&reserved, a, "reserved");
    caps_print(&o->left, a, "left");
    return a;
}

static void put_call(struct store *s, const struct json *args, struct json *o)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(TURN_ARENA);
    struct transcript_turn turn;
    const struct transcript_part *call = NULL;
    if (read_turn(s, args, &a, &turn))
        call = call_at(&turn, json_int(json_get(args, "call"), -1));
    struct slice tool = json_text(json_get(args, "tool"));
    json_put_text(o, "tool", tool.n || !call ? tool : call->name);
    if (call)
        put_arguments(o, call->text);
}

/* What the intent says of a step that is told. */
static void put_intent(struct store *store, const struct story_open *s, struct json *o)
{
    const struct json *args = json_get(s->intent, "args");
    json_put_int(o, "step", s->step);
    json_put_int(o, "attempt", s->attempt);
    if (slice_is(json_text(json_get(s->intent, "stage")), "call"))
        put_call(store, args, o);
    copy(o, args, "command");
    if (slice_is(json_text(json_get(s->intent, "act")), "think")) {
        copy(o, args, "provider");
        copy(o, args, "model");
    }
    json_put(o, "allowed", allowed(s));
}

static void put_finish(struct story *t, const struct json *p, struct slice kind, struct json *o)
{
    static const char *const told[] = {"in", "cache_read", "cache_write", "out", "reasoning", "first_ms", "stop", "calls", "fault", "ok", "added",
                                       "removed", "lines", "status", "output", "landed", "left", "made", "upto", "files", "skills", "notes",
                                       "backend"};
    ARENA_CLEANUP struct arena a = ARENA_INIT(TURN_ARENA);
    struct transcript_turn turn;
    const struct json *res = json_get(p, "result");
    static const char *const of_finish[] = {"outcome", "why", "final", "after_ms", "used", "how"};
    for (size_t i = 0; i < sizeof of_finish / sizeof *of_finish; i++)
        copy(o, p, of_finish[i]);
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        copy(o, res, told[i]);
    if (json_type(json_get(p, "layer")) == JSON_OBJECT)
        copy(o, json_get(p, "layer"), "changes");
    if (slice_is(kind, "commit"))
        json_put_text(o, "commit", slice_trim(json_text(json_get(res, "tail"))));
    if (read_turn(t->store, res, &a, &turn)) {
        put_words(o, "text", &turn, PART_TEXT, PART_RESULT);
        put_images(o, &turn);
    }
    if (slice_is(kind, "model")) {
        struct json *thought = json_object();
        put_words(thought, "thought", &turn, PART_REASONING, PART_REASONING);
        if (json_has(thought, "thought")) /* beside the number of its tokens */
            copy(o, thought, "thought");
        json_free(thought);
    }
}

static struct amounts less(struct amounts a, const struct amounts *b)
{
    for (int u = 0; u < UNITS; u++)
        if (a.n[u] != AMOUNT_UNLIMITED)
            a.n[u] = a.n[u] > b->n[u] ? a.n[u] - b->n[u] : 0;
    return a;
}

static void intended(struct story *t, const struct event *ev, struct json *p)
{
    struct amounts reserved = amounts_from_json(json_get(p, "amounts"), 0);
    if (t->nopen == RUN_OPEN_MAX) {
        json_free(p);
        return;
    }
    struct story_open *o = &t->open[t->nopen++];
    *o = (struct story_open){ev->key.step, ev->key.attempt, ev->time_ms, p, less(less(t->budget, &t->used), &t->held)};
    t->held = amounts_add(t->held, reserved);
}

static struct json *finished(struct story *t, const struct event *ev, const struct json *p)
{
    size_t i = 0;
    while (i < t->nopen && (t->open[i].step != ev->key.step || t->open[i].attempt != ev->key.attempt))
        i++;
    if (i == t->nopen)
        return NULL;
    struct story_open s = t->open[i];
    const char *kind = kind_of(json_text(json_get(s.intent, "stage")));
    struct json *o = entry_new(ev, kind);
    struct amounts used = amounts_from_json(json_get(p, "used"), 0), reserved = amounts_from_json(json_get(s.intent, "amounts"), 0);
    put_intent(t->store, &s, o);
    json_put_int(o, "took_ms", ev->time_ms - s.time_ms);
    put_finish(t, p, slice_of(kind), o);
    t->used = amounts_add(t->used, used);
    t->held = less(t->held, &reserved);
    json_free(s.intent);
    t->open[i] = t->open[--t->nopen];
    return o;
}

static struct json *said(struct story *t, const struct event *ev, const struct json *p)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(TURN_ARENA);
    struct transcript_turn turn;
    struct json *o = entry_new(ev, "said");
    copy(o, p, "when");
    if (!read_turn(t->store, p, &a, &turn))
        return o;
    const struct transcript_part *call = call_at(&turn, 0);
    struct json *args = NULL;
    if (call && json_parse(call->text, &args, NULL) == OK)
        json_put_text(o, "text", json_text(json_get(args, "command")));
    else
        put_words(o, "text", &turn, PART_TEXT, PART_TEXT);
    json_free(args);
    put_images(o, &turn);
    return o;
}

static struct json *answered(struct story *t, const struct event *ev, const struct json *p)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(TURN_ARENA);
    struct transcript_turn turn;
    struct json *o = entry_new(ev, "answered");
    copy(o, p, "question");
    copy(o, p, "answer");
    if (read_turn(t->store, p, &a, &turn))
        put_words(o, "text", &turn, PART_RESULT, PART_TEXT);
    return o;
}

static struct json *started(struct story *t, const struct event *ev, const struct json *p)
{
    static const char *const told[] = {"goal", "model", "land", "work", "account", "budget", "origin"};
    struct json *o = entry_new(ev, "started");
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        copy(o, p, told[i]);
    copy(o, json_get(p, "talk"), "attended");
    copy(o, json_get(p, "talk"), "verify");
    t->budget = amounts_from_json(json_get(p, "budget"), AMOUNT_UNLIMITED);
    return o;
}

/* An event that says all it has to say itself. */
static struct json *plain(const struct event *ev, const struct json *p)
{
    static const char *const kinds[EVENT_TYPES] = {[EVENT_RUN_CONTINUED] = "continued", [EVENT_RUN_STOPPED] = "stopped",
        [EVENT_RUN_BLOCKED] = "blocked", [EVENT_RUN_ENDED] = "ended", [EVENT_REWOUND] = "rewound", [EVENT_MODEL_CHANGED] = "model_changed",
        [EVENT_COMPACT_WANTED] = "compact_wanted",
        [EVENT_SERVICE_ENDED] = "service_ended", [EVENT_SERVICE_OPENED] = "service_opened"};
    static const char *const told[] = {"why", "status", "unit", "account", "turns", "after", "provider", "model", "name", "by", "how", "at"};
    if (ev->type >= EVENT_TYPES || !kinds[ev->type])
        return NULL;
    struct json *o = entry_new(ev, kinds[ev->type]);
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        copy(o, p, told[i]);
    return o;
}

struct telling {
    struct story *t;
    struct json *entries;
};

static enum err tell_event(void *ctx, const struct event *ev, struct error *e)
{
    struct telling *k = ctx;
    JSON_CLEANUP struct json *p = NULL;
    struct json *o = NULL;
    (void)e;
    if (ev->seq <= k->t->seq)
        return OK;
    k->t->seq = ev->seq;
    if (ev->redacted || json_parse(ev->payload, &p, NULL))
        return OK;
    switch (ev->type) {
    case EVENT_RUN_STARTED: o = started(k->t, ev, p); break;
    case EVENT_SAID: o = said(k->t, ev, p); break;
    case EVENT_ANSWERED: o = answered(k->t, ev, p); break;
    case EVENT_STEP_INTENDED:
        intended(k->t, ev, p);
        p = NULL;
        break;
    case EVENT_STEP_FINISHED: o = finished(k->t, ev, p); break;
    default: o = plain(ev, p);
    }
    if (o)
        json_push(k->entries, o);
    return OK;
}

enum err story_tell(struct story *t, struct json *entries, struct error *e)
{
    struct telling k = {t, entries};
    return journal_read(t->store, t->run, tell_event, &k, e);
}

void story_under_way(const struct story *t, struct json *entries)
{
    for (size_t i = 0; i < t->nopen; i++) {
        const struct story_open *s = &t->open[i];
        struct json *o = json_object();
        json_put_int(o, "time_ms", s->time_ms);
        json_put_text(o, "kind", slice_of(kind_of(json_text(json_get(s->intent, "stage")))));
        json_put_bool(o, "open", true);
        put_intent(t->store, s, o);
        json_push(entries, o);
    }
}

/* ---- undos, which are runs of their own ---- */

struct undoing {
    char goal[48];
    struct json *list;
};

static void find_undo(void *ctx, const struct run_row *r)
{
    struct undoing *u = ctx;
    char id[32];
    if (r->plan_path.n || !slice_is(r->goal, u->goal))
        return;
    struct json *o = json_object();
    snprintf(id, sizeof id, "r%llu", (unsigned long long)r->id);
    json_put_text(o, "run", slice_of(id));
    json_put_text(o, "status", slice_of(run_status_name(r->status)));
    json_put_int(o, "time_ms", r->started_ms);
    json_push(u->list, o);
}

static enum err put_undos(struct store *s, uint64_t run, struct json *o, struct error *e)
{
    struct undoing u = {.list = json_array()};
    snprintf(u.goal, sizeof u.goal, "undo of r%llu", (unsigned long long)run);
    enum err err = run_each(s, find_undo, &u, e);
    json_put(o, "taken_back", u.list);
    return err;
}

enum err view_story(struct store *s, uint64_t run, struct json **ret, struct error *e)
{
    struct story t;
    struct json *whole = NULL, *entries = json_array();
    story_init(&t, s, run);
    enum err err = view_run(s, run, &whole, e);
    if (!err)
        err = story_tell(&t, entries, e);
    if (!err)
        err = put_undos(s, run, whole, e);
    if (!err) {
        story_under_way(&t, entries);
        json_put(whole, "entries", entries);
        *ret = whole;
    } else {
        json_free(entries);
        json_free(whole);
    }
    story_release(&t);
    return err;
}
