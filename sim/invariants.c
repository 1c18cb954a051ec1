/* What must hold (sim/play.h says it by name), read from the journal by means of its own. */
#include <stdio.h>
#include <string.h>

#include "sim/play.h"

enum { STEPS_MAX = 2000, BOOKS_MAX = 64, DAYS_MAX = 32 };

/* ---- what turns acknowledge ---- */

void acknowledge(struct play *p, const struct run_state *r)
{
    CHECK(p, r->id < RUNS_MAX, "harness", "too many runs");
    struct acked *a = &p->acked[r->id];
    CHECK(p, !p->fenced[r->id] || r->seq <= a->seq, "I2", "r%llu is written by a process that lost its lease",
          (unsigned long long)r->id);
    CHECK(p, r->seq >= a->seq, "I1", "r%llu went back from event %llu to %llu", (unsigned long long)r->id,
          (unsigned long long)a->seq, (unsigned long long)r->seq);
    *a = (struct acked){r->seq, r->head, agent_turns(r)};
}

/* A completion that the engine took is in the state that it has committed. */
static void check_handed(struct stage_set *t)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->nhanded; i++) {
        struct handed h = t->handed[i];
        const struct run *r = engine_find(&t->g, h.key.run);
        if (h.late) {
            h.late = false;
            t->handed[kept++] = h;
            continue;
        }
        if (r->broken)
            continue;
        CHECK(t->p, !engine_step(r, &h.key), "I4", "r%llu step %u: a completion was not folded in by its turn",
              (unsigned long long)h.key.run, h.key.step);
        t->p->starts[h.log].how = START_FOLDED;
    }
    t->nhanded = kept;
}

void check_turn(struct stage_set *t)
{
    for (size_t i = 0; i < t->g.nruns; i++) {
        const struct run *r = t->g.runs[i];
        uint64_t id = r->state.id;
        /* on a store that is dead it cannot even be read again: the process ends (sim/session.c) */
        CHECK(t->p, !r->broken || t->provoked[id] || t->p->fenced[id] || store_is_dead(t->s), "I4", "r%llu is parked: %s", (unsigned long long)id,
              r->state.why);
        if (!r->broken)
            acknowledge(t->p, &r->state);
    }
    check_handed(t);
}

/* ---- the books, by ourselves ---- */

struct book {
    char account[64];
    int64_t exact[UNITS], assumed[UNITS], held[UNITS], spent[UNITS];
};

struct day {
    int64_t day;
    int64_t n[UNITS];
};

struct step_seen {
    uint32_t attempt;
    enum outcome outcome;
    bool open;
    uint32_t item;
    int32_t piece;
    enum stage stage;
    struct amounts held;
    int64_t time_ms;
    size_t layers; /* that its arguments name */
};

struct talked { /* an agent's run, from its events alone */
    size_t ncalls, next; /* of the last answer: its calls, and the first that has no result */
    int64_t answer;      /* which one that is, as intents name it */
    size_t words;        /* said so far */
    bool quiet;          /* an attended one was stopped, and nobody has said anything since */
};

struct looking {
    struct stage_set *t;
    const char *when;
    uint64_t run;
    struct run_state state;
    struct step_seen steps[STEPS_MAX];
    bool landed[ITEMS_MAX + 2][PIECES_MAX + 1]; /* and not asked anew since */
    size_t layers;     /* made and not taken, counted from the events alone */
    struct talked talk;
    bool word;         /* a person said what happens to them, since the last landing */
    uint64_t last;
    struct book books[BOOKS_MAX];
    size_t nbooks;
    struct day days[DAYS_MAX];
    size_t ndays;
    uint64_t ids[RUNS_MAX];
    size_t nids;
};

static struct book *book_of(struct looking *k, struct slice account)
{
    for (size_t i = 0; i < k->nbooks; i++)
        if (slice_is(account, k->books[i].account))
            return &k->books[i];
    CHECK(k->t->p, k->nbooks < BOOKS_MAX && account.n < sizeof k->books[0].account, "harness", "too many accounts");
    struct book *b = &k->books[k->nbooks++];
    *b = (struct book){0};
    memcpy(b->account, account.p, account.n);
    return b;
}

static void book(struct looking *k, struct slice account, const struct amounts *exact, const struct amounts *assumed,
                 const struct amounts *held, int sign, const struct amounts *spent)
{
    struct slice path;
    for (size_t i = 0; account_ancestor(account, i, &path); i++) {
        struct book *b = book_of(k, path);
        for (int u = 0; u < UNITS; u++) {
            b->exact[u] += exact ? exact->n[u] : 0;
            b->assumed[u] += assumed ? assumed->n[u] : 0;
            b->held[u] += held ? sign * held->n[u] : 0;
            b->spent[u] += spent ? spent->n[u] : 0;
        }
    }
}

static void book_day(struct looking *k, int64_t time_ms, const struct amounts *a, int sign)
{
    int64_t day = time_ms / 86400000;
    size_t i = 0;
    while (i < k->ndays && k->days[i].day != day)
        i++;
    if (i == DAYS_MAX)
        return;
    if (i == k->ndays)
        k->days[k->ndays++] = (struct day){.day = day};
    for (int u = 0; u < UNITS; u++)
        k->days[i].n[u] += sign * a->n[u];
}

/* ---- an event ---- */

static struct step_seen *seen(struct looking *k, const struct event *ev)
{
    CHECK(k->t->p, ev->key.step && ev->key.step < STEPS_MAX, "I4", "r%llu has come to step %u", (unsigned long long)k->run,
          ev->key.step);
    return &k->steps[ev->key.step];
}

/* A piece that landed lands again only after it was asked anew, or a person answered, or changed the plan. */
static bool *landed_of(struct looking *k, uint32_t item, int32_t piece)
{
    CHECK(k->t->p, item < ITEMS_MAX + 2 && piece < PIECES_MAX, "harness", "item %u piece %d", item, piece);
    return &k->landed[item][piece + 1];
}

static void look_at_intent(struct looking *k, const struct event *ev, const struct json *p)
{
    struct play *play = k->t->p;
    struct step_seen *s = seen(k, ev);
    unsigned long long run = k->run;
    const struct open_step *o = &k->state.open[k->state.nopen - 1]; /* the fold has just put it there */
    bool again = s->outcome == OUTCOME_LOST || s->outcome == OUTCOME_CANCELLED;
    CHECK(play, !s->open, "I2", "r%llu step %u is intended while it is under way", run, ev->key.step);
    CHECK(play, !s->attempt || again, "I2", "r%llu step %u, finished as %s, is intended again", run, ev->key.step,
          outcome_name(s->outcome));
    CHECK(play, ev->key.attempt == s->attempt + 1, "I2", "r%llu step %u: attempt %u after %u", run, ev->key.step, ev->key.attempt,
          s->attempt);
    CHECK(play, !s->attempt || (s->item == o->item && s->piece == o->piece && s->stage == o->stage), "I2",
          "r%llu step %u was %s and is now %s", run, ev->key.step, stage_name(s->stage), stage_name(o->stage));
    *s = (struct step_seen){.attempt = ev->key.attempt, .open = true, .item = o->item, .piece = o->piece, .stage = o->stage,
                            .held = amounts_from_json(json_get(p, "amounts"), 0), .time_ms = ev->time_ms};
    CHECK(play, o->stage != STAGE_LAND || !*landed_of(k, o->item, o->piece), "I2",
          "r%llu step %u lands item %u piece %d, which has landed", run, ev->key.step, o->item, o->piece);
    s->layers = json_count(json_get(json_get(p, "args"), "layers"));
    bool refused = !json_has(json_get(p, "args"), "layers"); /* it could not be prepared, and fails at once */
    CHECK(play, o->stage != STAGE_APPLY || refused || s->layers == k->layers, "I2", "r%llu step %u takes %zu layers of %zu that were made", run,
          ev->key.step, s->layers, k->layers);
    CHECK(play, o->stage != STAGE_APPLY || k->state.land != LAND_ASK || k->word, "I2", "r%llu step %u takes layers without a person's word",
          run, ev->key.step);
    book(k, json_text(json_get(p, "account")), NULL, NULL, &s->held, 1, NULL);
    book_day(k, ev->time_ms, &s->held, 1);
}

static const struct start *start_of(const struct play *p, const struct event *ev)
{
    for (uint32_t i = 0; i < p->nstarts; i++)
        if (p->starts[i].run == ev->key.run && p->starts[i].step == ev->key.step && p->starts[i].attempt == ev->key.attempt)
            return &p->starts[i];
    return NULL;
}

static void look_at_finish(struct looking *k, const struct event *ev, const struct json *p)
{
    struct play *play = k->t->p;
    struct step_seen *s = seen(k, ev);
    unsigned long long run = k->run;
    struct amounts used = amounts_from_json(json_get(p, "used"), 0);
    bool assumed = slice_is(json_text(json_get(p, "how")), "assumed");
    const struct start *o = start_of(play, ev);
    struct hash text;
    CHECK(play, s->open && s->attempt == ev->key.attempt, "I2", "r%llu step %u finishes twice", run, ev->key.step);
    for (int u = 0; u < UNITS; u++)
        CHECK(play, used.n[u] <= s->held.n[u], "I3", "r%llu step %u: more %s settled than held", run, ev->key.step, unit_name(u));
    s->open = false;
    s->outcome = outcome_from(json_text(json_get(p, "outcome")));
    if (s->outcome == OUTCOME_OK) {
        CHECK(play, o && o->how != START_UNDER_WAY && o->outcome == OUTCOME_OK, "I2",
              "r%llu step %u is finished and was never carried out", run, ev->key.step);
        const struct json *res = json_get(p, "result");
        bool given = hash_from_hex(json_text(json_get(res, "text")), &text) || hash_from_hex(json_text(json_get(res, "turn")), &text);
        if (given)
            CHECK(play, hash_eq(&text, &o->text), "I1", "r%llu step %u has another text than it was given", run, ev->key.step);
    }
    book(k, k->state.account, assumed ? NULL : &used, assumed ? &used : NULL, &s->held, -1, NULL);
    book_day(k, s->time_ms, &s->held, -1);
    book_day(k, s->time_ms, &used, 1);
    if (s->outcome != OUTCOME_OK)
        return;
    if ((s->stage == STAGE_EXEC || s->stage == STAGE_LAND || s->stage == STAGE_CALL) && json_type(json_get(p, "layer")) == JSON_OBJECT)
        k->layers++;
    if (s->stage == STAGE_SQUASH)
        k->layers -= s->layers - 1;
    if (s->stage == STAGE_APPLY)
        k->layers -= s->layers;
    if (s->stage == STAGE_APPLY)
        k->word = false;
    if (s->stage == STAGE_LAND)
        *landed_of(k, s->item, s->piece) = true;
    if (s->stage == STAGE_ASK || s->stage == STAGE_JOIN)
        *landed_of(k, s->item, s->piece) = false;
}

/* ---- talks (I6) ---- */

static void look_at_talk_intent(struct looking *k, const struct event *ev, const struct json *p)
{
    struct play *play = k->t->p;
    const struct open_step *o = &k->state.open[k->state.nopen - 1];
    const struct talk *t = k->state.items[0].head.talk;
    unsigned long long run = k->run;
    const struct json *args = json_get(p, "args");
    bool refused = !json_has(args, "to"); /* it could not be prepared, and fails at once */
    bool works = o->item == 0 && (o->stage == STAGE_THINK || o->stage == STAGE_CALL);
    CHECK(play, !works || !k->talk.quiet, "I6", "r%llu step %u (%s) begins after a stop and before a word", run, ev->key.step,
          stage_name(o->stage));
    for (size_t i = 0; i < t->ninbox && o->stage == STAGE_THINK; i++)
        CHECK(play, t->inbox[i].later, "I6", "r%llu step %u: the model is not told what was said", run, ev->key.step);
    CHECK(play, o->stage != STAGE_THINK || refused || json_int(json_get(args, "to"), 0) == (int64_t)t->nturns, "I6",
          "r%llu step %u asks the model about %lld turns of %zu", run, ev->key.step, (long long)json_int(json_get(args, "to"), 0), t->nturns);
    if (o->stage != STAGE_CALL || refused)
        return;
    int64_t answer = json_int(json_get(args, "answer"), 0), call = json_int(json_get(args, "call"), -1);
    if (answer > 1000000 && answer != k->talk.answer) /* a command of the person's */
        k->talk.ncalls = 1, k->talk.next = 0, k->talk.answer = answer;
    CHECK(play, answer == k->talk.answer && call == (int64_t)k->talk.next && k->talk.next < k->talk.ncalls, "I6",
          "r%llu step %u carries out call %lld of step %lld; of %zu calls of step %lld, %zu were", run, ev->key.step, (long long)call,
          (long long)answer, k->talk.ncalls, (long long)k->talk.answer, k->talk.next);
}

static void look_at_talk_finish(struct looking *k, const struct event *ev, const struct json *p)
{
    const struct step_seen *s = &k->steps[ev->key.step];
    const struct json *res = json_get(p, "result");
    if (s->item != 0 || s->outcome != OUTCOME_OK)
        return;
    if (s->stage == STAGE_THINK)
        k->talk.ncalls = json_count(json_get(res, "calls")), k->talk.next = 0, k->talk.answer = ev->key.step;
    k->talk.next += s->stage == STAGE_CALL;
}

static void look_at_talk(struct looking *k, const struct event *ev, const struct json *p)
{
    struct play *play = k->t->p;
    const struct talk *t = k->state.items[0].head.talk;
    size_t words = t->ninbox;
    unsigned long long run = k->run;
    if (ev->type == EVENT_STEP_INTENDED)
        look_at_talk_intent(k, ev, p);
    if (ev->type == EVENT_STEP_FINISHED)
        look_at_talk_finish(k, ev, p);
    for (size_t i = 0; i < t->nturns; i++)
        words += t->turns[i].kind == TALK_SAID;
    if (ev->type == EVENT_REWOUND) { /* what was said there is gone, and no call that was to come comes */
        k->talk.words = words;
        k->talk.ncalls = k->talk.next = 0;
        k->talk.quiet = t->attended;
    }
    k->talk.words += ev->type == EVENT_SAID && !slice_is(json_text(json_get(p, "when")), "command");
    CHECK(play, words == k->talk.words, "I6", "r%llu has %zu words after event %llu; %zu were said", run, words, (unsigned long long)ev->seq,
          k->talk.words);
    k->talk.next += ev->type == EVENT_ANSWERED && json_has(p, "turn"); /* of `ask` */
    if (ev->type == EVENT_SAID || ev->type == EVENT_ANSWERED)
        k->talk.quiet = false;
    k->talk.quiet |= ev->type == EVENT_RUN_STOPPED && t->attended;
    if (ev->type == EVENT_REWOUND || ev->type == EVENT_ANSWERED) /* what is taken back, or left out by a person */
        k->layers = k->state.nlayers;
}

/* I5: the state is one that can be lived with. */
static void look_at_state(struct looking *k, const struct event *ev)
{
    const struct run_state *r = &k->state;
    struct play *play = k->t->p;
    unsigned long long run = k->run, seq = ev->seq;
    size_t open = 0, done, total;
    struct decision d;
    for (uint32_t i = 0; i < r->nitems; i++)
        for (int32_t n = HEAD; n < (int32_t)r->items[i].npieces; n++)
            open += run_line_const(r, i, n)->open;
    CHECK(play, r->status != RUN_BROKEN && r->status != RUN_NEW, "I5", "r%llu is %s after event %llu", run,
          run_status_name(r->status), seq);
    CHECK(play, open == r->nopen && open <= r->slots, "I5", "r%llu has %zu lines open and %zu steps after event %llu", run, open,
          r->nopen, seq);
    run_progress(r, &done, &total);
    CHECK(play, done <= total && (r->status != RUN_DONE || done == total), "I5", "r%llu: %zu of %zu after event %llu", run, done,
          total, seq);
    CHECK(play, r->status != RUN_DONE || !k->layers || r->items[r->nitems - 1].head.stage == STAGE_SKIPPED, "I2",
          "r%llu is done, and %zu layers of it were neither taken nor left out by a person", run, k->layers);
    run_decide(r, ev->time_ms, &d);
    CHECK(play, d.nwants + r->nopen <= r->slots, "I5", "r%llu wants too much after event %llu", run, seq);
    for (size_t i = 0; i < d.nwants; i++) {
        const struct want *w = &d.wants[i];
        const struct line *l = run_line_const(r, w->item, w->piece);
        const struct step_seen *s = &k->steps[w->step < STEPS_MAX ? w->step : 0];
        CHECK(play, l && !l->open && l->stage == w->stage, "I5", "r%llu wants what cannot be after event %llu", run, seq);
        CHECK(play, !s->attempt || s->outcome == OUTCOME_LOST || s->outcome == OUTCOME_CANCELLED, "I2",
              "r%llu wants step %u again, which finished as %s, after event %llu", run, w->step, outcome_name(s->outcome), seq);
    }
}

static enum err look_at(void *ctx, const struct event *ev, struct error *e)
{
    struct looking *k = ctx;
    struct play *play = k->t->p;
    const struct acked *a = &play->acked[k->run];
    JSON_CLEANUP struct json *p = NULL;
    struct hash head = event_hash(ev);
    enum err err = run_apply(&k->state, ev, e);
    CHECK(play, !err, "I5", "%s", e->text);
    err = json_parse(ev->payload, &p, e);
    CHECK(play, !err, "I5", "%s", e->text);
    k->last = ev->seq;
    CHECK(play, ev->seq != a->seq || hash_eq(&head, &a->head), "I1", "event %llu of r%llu is not the one that was acknowledged",
          (unsigned long long)ev->seq, (unsigned long long)k->run);
    play_tell("    r%llu %llu %s %u.%u: %s", (unsigned long long)k->run, (unsigned long long)ev->seq, event_type_name(ev->type),
              ev->key.step, ev->key.attempt, run_status_name(k->state.status));
    if (ev->type == EVENT_STEP_INTENDED)
        look_at_intent(k, ev, p);
    if (ev->type == EVENT_STEP_FINISHED)
        look_at_finish(k, ev, p);
    if (k->state.is_agent)
        look_at_talk(k, ev, p);
    struct hash turns = agent_turns(&k->state);
    CHECK(play, ev->seq != a->seq || hash_eq(&turns, &a->turns), "I6", "the turns of r%llu are others than before the crash",
          (unsigned long long)k->run);
    k->word |= ev->type == EVENT_ANSWERED;
    if (ev->type == EVENT_ANSWERED || ev->type == EVENT_PLAN_CHANGED)
        memset(k->landed, 0, sizeof k->landed);
    look_at_state(k, ev);
    play->seen.events++;
    return OK;
}

/* ---- a run ---- */

static void look_at_run(struct looking *k, uint64_t run)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(RUN_ARENA_BYTES);
    struct stage_set *t = k->t;
    struct error e = {0};
    CHECK(t->p, run < RUNS_MAX, "harness", "too many runs");
    memset(k->steps, 0, sizeof k->steps);
    memset(k->landed, 0, sizeof k->landed);
    k->run = run;
    k->last = 0;
    k->layers = 0;
    k->word = false;
    k->talk = (struct talked){0};
    run_init(&k->state, run, &a);
    must(t, journal_read(t->s, run, look_at, k, &e), &e, k->when);
    CHECK(t->p, k->last >= t->p->acked[run].seq, "I1", "r%llu was acknowledged up to event %llu; the journal has %llu (%s)",
          (unsigned long long)run, (unsigned long long)t->p->acked[run].seq, (unsigned long long)k->last, k->when);
    for (uint32_t i = 0; i < t->p->nstarts; i++) {
        const struct start *s = &t->p->starts[i];
        CHECK(t->p, s->run != run || k->steps[s->step].attempt >= s->attempt, "I2", "r%llu step %u.%u was started and is not intended",
              (unsigned long long)run, s->step, s->attempt);
    }
    book(k, k->state.account, NULL, NULL, NULL, 0, &t->p->spent[run]);
}

static void note_run(void *ctx, const struct run_row *r)
{
    struct looking *k = ctx;
    if (k->nids < RUNS_MAX)
        k->ids[k->nids++] = r->id;
}

/* ---- the ledger ---- */

static void look_at_balance(void *ctx, const struct balance *b)
{
    struct looking *k = ctx;
    struct play *p = k->t->p;
    const struct book *o = book_of(k, b->account);
    char name[64];
    snprintf(name, sizeof name, "%.*s", SLICE_ARG(b->account));
    CHECK(p, b->exact == o->exact[b->unit] && b->assumed == o->assumed[b->unit] && b->held == o->held[b->unit], "I3",
          "%s %s: the ledger says %lld exact, %lld assumed, %lld held; the events say %lld, %lld, %lld", name, unit_name(b->unit),
          (long long)b->exact, (long long)b->assumed, (long long)b->held, (long long)o->exact[b->unit],
          (long long)o->assumed[b->unit], (long long)o->held[b->unit]);
    int64_t booked = b->exact + b->assumed + b->held;
    CHECK(p, booked >= o->spent[b->unit], "I3", "%s %s: %lld were spent, %lld are booked", name, unit_name(b->unit),
          (long long)o->spent[b->unit], (long long)booked);
    CHECK(p, b->cap == AMOUNT_UNLIMITED || booked <= b->cap, "I3", "%s %s: %lld booked over a cap of %lld", name,
          unit_name(b->unit), (long long)booked, (long long)b->cap);
    k->books[o - k->books].spent[b->unit] = -1;
}

static void look_at_ledger(struct looking *k)
{
    struct play *p = k->t->p;
    struct error e = {0};
    must(k->t, ledger_each(k->t->s, look_at_balance, k, &e), &e, "reading the ledger");
    for (size_t i = 0; i < k->nbooks; i++)
        for (int u = 0; u < UNITS; u++)
            CHECK(p, k->books[i].spent[u] <= 0, "I3", "%s %s is spent and in no book", k->books[i].account, unit_name(u));
}

/* The day's cap is of crannog/main; a play with one has no other account, or the days of both would be one sum. */
static void look_at_days(struct looking *k)
{
    const struct play *p = k->t->p;
    for (unsigned i = 0; i < p->work.nplans; i++)
        if (p->calm || p->work.plans[i].side)
            return;
    for (size_t i = 0; i < k->ndays; i++)
        for (int u = 0; u < UNITS; u++)
            CHECK(k->t->p, k->days[i].n[u] <= p->work.day.n[u], "I3", "%lld %s booked on a day with a cap of %lld",
                  (long long)k->days[i].n[u], unit_name(u), (long long)p->work.day.n[u]);
}

/* ---- blobs ---- */

static void look_at_bytes(struct looking *k, const struct hash *h, const char *what)
{
    BUF_CLEANUP struct buf bytes = BUF_INIT(BLOB_BYTES_MAX);
    struct error e = {0};
    must(k->t, blob_get(k->t->s, h, &bytes, &e), &e, what);
}

/* What lies in the person's folder from us, and what a person let us replace, can be brought back. */
static void look_at_files(struct looking *k)
{
    const struct play *p = k->t->p;
    for (uint32_t i = 0; i < p->nfiles; i++)
        if (p->files[i].there && !p->files[i].person)
            look_at_bytes(k, &p->files[i].hash, "reading the blob of what was landed");
    for (uint32_t i = 0; i < p->nreplaced; i++)
        look_at_bytes(k, &p->replaced[i], "reading the blob of what a person let us replace");
}

/* Pages, chains, blobs that events name, and books that are made anew: the store's own audit must find nothing. */
static void look_by_audit(struct looking *k)
{
    BUF_CLEANUP struct buf findings = BUF_INIT(1 << 20);
    struct error e = {0};
    struct slice first, all;
    must(k->t, store_audit(k->t->s, &findings, &e), &e, "auditing");
    all = buf_slice(&findings);
    if (slice_line(&all, &first) && !excused(k->t))
        play_fail(k->t->p, slice_find(first, SLICE("books"), 0) < first.n ? "I3" : "I1", "%s, the audit finds: %.*s", k->when,
                  SLICE_ARG(slice_sub(first, 0, 400)));
}

void check_store(struct stage_set *t, const char *when)
{
    static struct looking looking;
    struct looking *k = &looking;
    struct error e = {0};
    k->t = t;
    k->when = when;
    k->nbooks = k->ndays = k->nids = 0;
    must(t, run_each(t->s, note_run, k, &e), &e, "listing runs");
    for (size_t i = 0; i < k->nids; i++)
        look_at_run(k, k->ids[i]);
    for (uint64_t run = 0; run < RUNS_MAX; run++) {
        bool there = false;
        for (size_t i = 0; i < k->nids; i++)
            there |= k->ids[i] == run;
        CHECK(t->p, there || !t->p->acked[run].seq, "I1", "r%llu was acknowledged and is gone (%s)", (unsigned long long)run, when);
    }
    look_at_ledger(k);
    look_at_days(k);
    look_at_files(k);
    look_by_audit(k);
}
