/*
 * Agents in a play: what their acts give (answers with any calls, empty ones, faults, compactions by the real
 * talk_compacted_by), and the people who talk with them: who say things in the middle, stop, take back and answer.
 */
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "engine/say.h"
#include "engine/talk_text.h"
#include "sim/play.h"

enum { TURNS_WITH_CALLS = 24, SAID_MAX = 40, TEXT_OF_TURN = 9000 };

static uint64_t draw(const struct play *p, const char *what, const struct step_key *k, uint64_t n)
{
    return play_below(p, n, what, k->run, k->step, k->attempt);
}

static uint64_t dice(struct stage_set *t, uint64_t n)
{
    return sim_rand_below(sim_world_rand(t->w), n);
}

/* ---- the first event ---- */

void agent_payload(const struct plan_spec *s, struct json *o)
{
    struct json *talk = json_object(), *server = json_object();
    json_put_bool(talk, "attended", s->attended);
    json_put_bool(talk, "commits", s->commits);
    json_put_int(talk, "checks", 1 + s->nitems % 3);
    json_put_text(talk, "verify", s->verify ? SLICE("all good") : SLICE_NONE);
    json_put_text(server, "provider", SLICE("openai"));
    json_put_text(server, "model", SLICE("liar"));
    json_put_int(server, "window", 512 + (int64_t)s->window);
    json_put_int(server, "max_output", 100);
    json_put(o, "talk", talk);
    json_put(o, "server", server);
}

/* ---- acts ---- */

static const struct talk *talk_of(struct stage_set *t, const struct step_key *k)
{
    struct run *r = engine_find(&t->g, k->run);
    return r && r->state.is_agent ? r->state.items[0].head.talk : NULL;
}

/* As act_think.c and act_call.c: which turns, which call. */
void agent_prepare(const struct run_state *r, const struct talk *talk, enum stage stage, struct json *args)
{
    size_t to = talk->nturns;
    for (size_t i = 0; stage == STAGE_THINK && i < talk->ninbox; i++)
        to += talk_delivers(talk, i);
    if (stage == STAGE_COMPACT)
        to = talk_cut(talk, r->window);
    json_put_int(args, "from", (int64_t)talk->from);
    json_put_int(args, "to", (int64_t)to);
    if (stage != STAGE_CALL)
        return;
    uint32_t step = talk->turns[talk->answer].step; /* 0: a command of the person's, told by its place */
    json_put_int(args, "answer", step ? (int64_t)step : 1000000 + (int64_t)r->branch * 10000 + (int64_t)talk->answer);
    json_put_int(args, "call", (int64_t)talk->next);
}

/* I6 */
void agent_check_start(struct play *p, struct start *log, const struct json *args)
{
    log->answer = (uint32_t)json_int(json_get(args, "answer"), 0);
    log->call = (int16_t)json_int(json_get(args, "call"), -1);
    for (uint32_t i = 0; i < p->nstarts && log->stage == STAGE_CALL; i++) {
        const struct start *s = &p->starts[i];
        CHECK(p, s == log || s->run != log->run || s->stage != STAGE_CALL || s->answer != log->answer || s->call != log->call ||
                     s->how != START_FOLDED || s->outcome != OUTCOME_OK, "I6",
              "r%u: call %d of the answer of step %u was carried out by step %u and is again by step %u", log->run, log->call, log->answer,
              s->step, log->step);
    }
}

static void put_turn(struct stage_set *t, const struct transcript_turn *turn, struct completion *c)
{
    struct error e = {0};
    must(t, turn_print(turn, &c->blob, &e), &e, "printing a turn");
    json_put_int(c->result, "bytes", (int64_t)c->blob.n);
    c->blob_key = "turn";
}

static struct transcript_part any_call(struct stage_set *t, const struct step_key *k, unsigned i, char *words, size_t max)
{
    static const char *const names[] = {"bash", "bash", "write", "read", "read", "ask", "dance"};
    uint64_t n = sim_mix(play_draw(t->p, "call", k->run, k->step, k->attempt), i);
    const char *name = names[n % (sizeof names / sizeof *names)];
    struct transcript_part part = {.kind = PART_CALL, .name = slice_of(name), .malformed = n % 11 == 0};
    snprintf(words, max, strcmp(name, "bash") == 0    ? "{\"command\":\"do %u\"}"
                         : strcmp(name, "write") == 0 ? "{\"path\":\"a\",\"content\":\"%u\"}"
                         : strcmp(name, "ask") == 0   ? "{\"question\":\"Which, %u?\"}"
                                                      : "{\"path\":\"file%u\"}", k->step + i);
    part.text = part.malformed ? SLICE("{\"pa") : slice_of(words);
    return part;
}

static void answers_with_nothing(struct stage_set *t, struct completion *c)
{
    (void)t;
    c->more = BUF_INIT(4096);
    talk_note(SLICE("(You answered with nothing.)"), &c->more);
    c->more_key = "note";
    json_put_int(c->result, "note_bytes", (int64_t)c->more.n);
    json_put(c->result, "calls", json_array());
}

static void answers(struct stage_set *t, struct job *j, size_t ncalls, struct completion *c)
{
    BUF_CLEANUP struct buf text = BUF_INIT(1 << 20);
    struct transcript_part parts[5] = {{.kind = PART_TEXT}};
    struct transcript_turn turn = {TURN_ASSISTANT, parts, 1};
    char words[4][80], ids[4][24];
    buf_addf(&text, "step %u says: ", j->key.step);
    text_write(t->p, draw(t->p, "answer", &j->key, UINT64_MAX), &text);
    parts[0].text = slice_sub(buf_slice(&text), 0, TEXT_OF_TURN);
    for (unsigned i = 0; i < ncalls; i++) {
        parts[turn.n] = any_call(t, &j->key, i, words[i], sizeof words[i]);
        snprintf(ids[i], sizeof ids[i], "call_%u_%u", j->key.step, i);
        parts[turn.n++].id = slice_of(ids[i]);
    }
    put_turn(t, &turn, c);
    talk_put_calls(&turn, c->result);
}

static void result_think(struct stage_set *t, struct job *j, struct completion *c)
{
    const struct talk *talk = talk_of(t, &j->key);
    size_t ncalls = talk->nturns < TURNS_WITH_CALLS && draw(t->p, "calls", &j->key, 3) ? draw(t->p, "calls, how many", &j->key, 5) : 0;
    if (!t->p->calm && draw(t->p, "nothing", &j->key, 12) == 0)
        answers_with_nothing(t, c);
    else
        answers(t, j, ncalls, c);
    if (draw(t->p, "counts", &j->key, 4))
        json_put_int(c->result, "tokens", (int64_t)(100 + (talk->fresh + c->blob.n) / 3));
    t->p->seen.thoughts++;
}

/* Some calls change files; what they wrote is kept, as by a command. */
static void result_call(struct stage_set *t, struct job *j, struct completion *c)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(8 << 20);
    const struct talk *talk = talk_of(t, &j->key);
    struct transcript_part call;
    struct error e = {0};
    must(t, talk_call(t->s, talk, talk->next, &a, &call, &e), &e, "reading a call");
    BUF_CLEANUP struct buf text = BUF_INIT(1 << 20);
    text_write(t->p, draw(t->p, "output", &j->key, UINT64_MAX), &text);
    talk_result(call.id, slice_sub(buf_slice(&text), 0, TEXT_OF_TURN), draw(t->p, "error", &j->key, 4) == 0, &c->blob);
    json_put_int(c->result, "bytes", (int64_t)c->blob.n);
    c->blob_key = "turn";
    if (slice_is(call.name, "bash") || slice_is(call.name, "write")) {
        c->more = BUF_INIT(BLOB_BYTES_MAX);
        c->more_key = "output";
        rows_change(t, j, &c->more, c);
    }
    t->p->seen.calls++;
}

static void result_compact(struct stage_set *t, struct job *j, struct completion *c)
{
    JSON_CLEANUP struct json *args = NULL;
    struct run *r = engine_find(&t->g, j->key.run);
    const struct open_step *o = engine_step(r, &j->key);
    struct error e = {0};
    must(t, json_parse(o->args, &args, &e), &e, "reading arguments");
    if (draw(t->p, "list", &j->key, 3) == 0)
        c->outcome = OUTCOME_FAILED;
    else
        answers(t, j, 0, c);
    talk_compacted_by(&t->g, r, o, args, c);
    t->p->seen.compacted += c->outcome == OUTCOME_OK;
}

bool agent_result(struct stage_set *t, struct job *j, struct completion *c)
{
    switch (j->stage) {
    case STAGE_INSTRUCT:
        buf_add_text(&c->blob, "You are an agent of a simulation.");
        json_put_int(c->result, "bytes", (int64_t)c->blob.n);
        c->blob_key = "system";
        return true;
    case STAGE_THINK: result_think(t, j, c); return true;
    case STAGE_CALL: result_call(t, j, c); return true;
    case STAGE_COMPACT: result_compact(t, j, c); return true;
    case STAGE_COMMIT:
        buf_addf(&c->blob, "commit of r%llu", (unsigned long long)j->key.run);
        c->blob_key = "rest";
        return true;
    default: return false;
    }
}

/* What a stop leaves of an answer; what a failure says. */
void agent_ended_otherwise(struct stage_set *t, struct job *j, struct completion *c)
{
    if (j->stage == STAGE_THINK && c->outcome == OUTCOME_CANCELLED && draw(t->p, "a part of it", &j->key, 2)) {
        answers(t, j, draw(t->p, "calls, how many", &j->key, 3), c);
    } else if (j->stage == STAGE_THINK && c->outcome == OUTCOME_FAILED && draw(t->p, "overflow", &j->key, 3) == 0) {
        json_put_bool(c->result, "overflow", true);
        c->final = true;
    } else if (j->stage == STAGE_VERIFY && c->outcome == OUTCOME_FAILED && talk_of(t, &j->key)) {
        talk_note(SLICE("You are not done."), &c->blob);
        json_put_int(c->result, "bytes", (int64_t)c->blob.n);
        c->blob_key = "turn";
    }
}

/* ---- people ---- */

/* What they do is refused or done, never half done: the run is as its journal says afterwards (commit_refold). */
static void did(struct stage_set *t, struct run *r, enum err err, bool may_be_refused, const struct error *e, const char *what)
{
    play_tell("  a person %s r%llu: %s", what, (unsigned long long)r->state.id, err ? e->text : "done");
    if (!err) {
        acknowledge(t->p, &r->state);
        return;
    }
    bool refused = may_be_refused && (err == ERR_CORRUPT || err == ERR_LIMIT);
    CHECK(t->p, refused || excused(t) || t->p->fenced[r->state.id] || t->usurped, "I4", "a person %s r%llu: %s", what,
          (unsigned long long)r->state.id, e->text);
    CHECK(t->p, !refused || excused(t) || (!r->broken && r->state.status != RUN_BROKEN), "I4", "r%llu is parked, because a person %s it: %s", (unsigned long long)r->state.id, what,
          e->text);
}

static bool is_talking(const struct run *r)
{
    return !r->broken && r->state.is_agent && r->state.status != RUN_DONE && r->state.items[0].head.stage != STAGE_DONE;
}

static void says(struct stage_set *t, struct run *r)
{
    struct play *p = t->p;
    struct error e = {0};
    char text[60];
    if (p->said[r->state.id] >= SAID_MAX)
        return;
    snprintf(text, sizeof text, "word %u of r%llu", p->said[r->state.id] + 1, (unsigned long long)r->state.id);
    enum err err = engine_say_text(&t->g, r, slice_of(text), dice(t, 3) == 0, &e);
    did(t, r, err, false, &e, "says something to");
    p->said[r->state.id] += !err;
    p->seen.said += !err;
}

static void takes_back(struct stage_set *t, struct run *r)
{
    struct error e = {0};
    size_t n = r->state.items[0].head.talk->nturns;
    enum err err = engine_rewind(&t->g, r, dice(t, n + 1), dice(t, 2) ? -1 : (int64_t)dice(t, r->state.next_step), &e);
    did(t, r, err, true, &e, "takes back");
    t->p->seen.rewound += !err;
}

static void changes_model(struct stage_set *t, struct run *r)
{
    struct error e = {0};
    struct json *server = json_object();
    json_put_text(server, "provider", SLICE("openai"));
    json_put_text(server, "model", SLICE("another"));
    json_put_int(server, "window", 512 + (int64_t)dice(t, 6000));
    json_put_int(server, "max_output", 100 + (int64_t)dice(t, 500)); /* sometimes more than the window */
    did(t, r, engine_change_model(&t->g, r, server, &e), true, &e, "changes the model of");
}

void agent_meddle(struct stage_set *t, struct run *r)
{
    struct error e = {0};
    if (!is_talking(r))
        return;
    switch (dice(t, 8)) {
    case 0: takes_back(t, r); break;
    case 1: changes_model(t, r); break;
    case 2: did(t, r, engine_want_compact(&t->g, r, &e), false, &e, "wants less of"); break;
    case 3: did(t, r, engine_say_command(&t->g, r, SLICE("make"), &e), true, &e, "runs a command in"); break;
    case 4: r->stop = true; break;
    case 5: /* several at once, for now and for later */
        says(t, r);
        says(t, r);
        break;
    default: says(t, r);
    }
}

/* What it was to do is said when nobody has said it yet. */
void agent_begin(struct stage_set *t, struct run *r)
{
    const struct talk *talk = is_talking(r) ? r->state.items[0].head.talk : NULL;
    if (!talk)
        return;
    bool said = talk->ninbox > 0;
    for (size_t i = 0; i < talk->nturns; i++)
        said |= talk->turns[i].kind == TALK_SAID;
    if (!said || (talk->attended && t->p->calm && dice(t, 2)))
        says(t, r);
    if (!t->p->calm && dice(t, 100) < t->p->work.meddling)
        takes_back(t, r);
}

bool agent_at_rest(const struct run *r)
{
    const struct line *l = r->state.is_agent ? &r->state.items[0].head : NULL;
    return l && l->talk->attended && l->stage == STAGE_TALK && r->state.status == RUN_WAITING;
}

/* ---- what must hold (I6) ---- */

struct hash agent_turns(const struct run_state *r)
{
    BUF_CLEANUP struct buf all = BUF_INIT(8 << 20);
    const struct talk *t = r->is_agent ? r->items[0].head.talk : NULL;
    for (size_t i = 0; t && i < t->nturns; i++) {
        buf_add(&all, (struct slice){(const char *)t->turns[i].blob.b, HASH_BYTES});
        buf_addf(&all, "%d", t->turns[i].kind);
    }
    return hash_of(buf_slice(&all));
}
