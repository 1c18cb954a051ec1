/* What a person does in the talk of an agent (core/talk.h): says, answers, stops, takes back. The rest is in fold_talk.c. */
#include "core/internal.h"

/* Stands still, and what it would do next is the model's to say. */
static bool is_idle(const struct line *l)
{
    return !l->open && (l->stage == STAGE_THINK || l->stage == STAGE_CALL || l->stage == STAGE_COMPACT);
}

static bool is_question_of_failure(const struct line *l)
{
    return l->stage == STAGE_STUCK && (l->question == QUESTION_FAILED || l->question == QUESTION_POISON) && l->resume != STAGE_APPLY;
}

/* What failed is not tried again by itself where a person says something instead: the model decides anew, and a check has all
   its tries again. */
static void leave_question(struct line *l)
{
    struct talk *t = l->talk;
    bool works = l->resume == STAGE_SURVEY || l->resume == STAGE_INSTRUCT || l->resume == STAGE_SQUASH;
    l->stage = works ? l->resume : STAGE_TALK;
    line_unstick(l);
    t->ncalls = t->next = t->checks = 0;
}

/* A word ends a hold, and what was about to come (`now`) or stood still with a stop is decided anew. */
static void go_on(struct run_state *r, struct line *l, bool now)
{
    struct talk *t = l->talk;
    line_out(&r->items[0], l);
    if (is_question_of_failure(l))
        leave_question(l);
    if (now)
        talk_drop_calls(l);
    bool is_check = !l->open && (l->stage == STAGE_VERIFY || l->stage == STAGE_COMMIT);
    if (is_check || (is_idle(l) && (r->status == RUN_STOPPED || (now && l->stage == STAGE_CALL)))) {
        t->ncalls = t->next = 0;
        l->stage = STAGE_TALK;
        l->again = false;
    }
    l->wake_ms = 0;
    t->hold = t->finished = false;
    t->same = 0;
    line_in(&r->items[0], l);
}

/* A person runs a command as the agent would: it stands in the talk, and nobody answers to it. */
static enum err said_command(struct run_state *r, struct line *l, struct talk_turn turn, struct error *e)
{
    struct talk *t = l->talk;
    if (l->stage != STAGE_TALK || t->next < t->ncalls)
        return error_set(e, ERR_CORRUPT, "a command of a person in the middle of the agent's; stop it first");
    turn.kind = TALK_ANSWER;
    enum err err = talk_push_turn(r, t, turn, e);
    if (err)
        return err;
    t->answer = t->nturns - 1;
    t->calls[0] = SLICE("bash");
    t->asks[0] = SLICE_NONE;
    t->ncalls = 1;
    t->next = 0;
    t->hold = true;
    return OK;
}

enum err talk_said(struct run_state *r, const struct json *p, struct error *e)
{
    struct line *l = talk_line(r);
    struct talk_turn turn;
    bool any;
    if (!l || l->stage == STAGE_DONE || l->stage == STAGE_SKIPPED)
        return error_set(e, ERR_CORRUPT, "nobody is there to be told something");
    enum err err = talk_read_turn(p, "turn", "bytes", TALK_SAID, 0, &turn, &any, e);
    if (err || !any)
        return err ? err : error_set(e, ERR_CORRUPT, "nothing was said");
    if (l->talk->ninbox == TALK_INBOX_MAX)
        return error_set(e, ERR_LIMIT, "more than %d messages wait", TALK_INBOX_MAX);
    struct slice when = json_text(json_get(p, "when"));
    go_on(r, l, !slice_is(when, "later") && !slice_is(when, "command"));
    if (slice_is(when, "command"))
        err = said_command(r, l, turn, e);
    else
        l->talk->inbox[l->talk->ninbox++] = (struct talk_waiting){turn, slice_is(when, "later")};
    if (err)
        return err;
    r->touched = 0;
    if (r->status != RUN_NEW)
        r->status = RUN_ACTIVE;
    return OK;
}

/* The answer to an agent's question is the result of its call. */
enum err talk_answered(struct run_state *r, struct line *l, const struct json *p, struct error *e)
{
    struct talk *t = l->talk;
    if (!json_has(p, "turn"))
        return error_set(e, ERR_CORRUPT, "an answer to an agent that says nothing");
    enum err err = talk_push_named(r, t, p, "turn", "bytes", TALK_RESULT, l->step, e);
    if (err)
        return err;
    l->stage = STAGE_TALK;
    l->question = QUESTION_NONE;
    l->why[0] = '\0';
    t->hold = false; /* K3 */
    t->next += t->next < t->ncalls;
    if (talk_said_now(t))
        talk_drop_calls(l);
    talk_ask_if_next(l);
    if (l->stage == STAGE_STUCK) /* the next one has a number of its own: words for the one before are not for it */
        l->question_step = r->next_step++;
    return OK;
}

/* A layer that was squashed stands for steps from `first` on; a landing that is half in the folder is ended first. */
static enum err may_forget(const struct run_state *r, const struct line *l, uint32_t after, struct error *e)
{
    if (l->landing || !hash_is_zero(&r->rest))
        return error_set(e, ERR_CORRUPT, "a part of what it changed is in the folder; what is left is answered first");
    for (size_t i = 0; i < r->nlayers; i++)
        if (r->layers[i].step > after && r->layers[i].first <= after)
            return error_set(e, ERR_CORRUPT, "the changes up to step %u are one layer with those up to step %u and cannot be taken back alone",
                             after, r->layers[i].step);
    return OK;
}

/* Layers and undo layers of steps after one are no longer the run's: their changes are being taken back, or never landed. */
static void forget_layers(struct run_state *r, uint32_t after)
{
    while (r->nundos && r->undos[r->nundos - 1].step > after)
        r->nundos--;
    while (r->nlayers && r->layers[r->nlayers - 1].step > after)
        r->nlayers--;
}

enum err talk_rewound(struct run_state *r, const struct json *p, struct error *e)
{
    struct line *l = talk_line(r);
    int64_t keep = json_int(json_get(p, "turns"), -1), after = json_int(json_get(p, "after"), -1);
    if (!l || r->nopen || keep < 0 || (size_t)keep > l->talk->nturns || after > UINT32_MAX || line_over(l))
        return error_set(e, ERR_CORRUPT, "a talk is taken back further than it goes");
    enum err err = after >= 0 ? may_forget(r, l, (uint32_t)after, e) : OK;
    if (err)
        return err;
    struct talk *t = l->talk;
    line_out(&r->items[0], l);
    t->ncalls = t->next = 0;
    if ((size_t)keep < t->nturns) {
        t->nturns = (size_t)keep;
        t->ninbox = 0;
        if (t->from > t->nturns) { /* what the summary tells of is partly gone: it is made again if it must be */
            t->from = 0;
            t->summary = (struct hash){{0}};
            t->summary_bytes = 0;
        }
        talk_count_anew(t);
    }
    if (after >= 0)
        forget_layers(r, (uint32_t)after);
    t->hold = true;
    t->finished = t->compact = false;
    t->same = t->empties = t->shrinks = t->checks = 0;
    l->wake_ms = 0;
    line_unstick(l);
    l->stage = t->system_bytes ? STAGE_TALK : STAGE_INSTRUCT;
    line_in(&r->items[0], l);
    r->branch++;
    r->touched = 0;
    return OK;
}

/* After a stop it neither goes on nor tries again; also where what was under way ended in another way than by the stop. */
void talk_rest(struct run_state *r, struct line *l)
{
    struct talk *t = l->talk;
    if (!t->attended || r->status != RUN_STOPPED || !is_idle(l))
        return;
    t->ncalls = t->next = 0;
    t->compact = false;
    l->stage = STAGE_TALK;
    l->again = false;
    l->wake_ms = 0;
}

/* K3. What is under way ends, or hears of it (talk_cancelled). */
void talk_stopped(struct run_state *r)
{
    struct line *l = talk_line(r);
    line_out(&r->items[0], l);
    l->talk->hold = true;
    talk_drop_calls(l);
    talk_rest(r, l);
    line_in(&r->items[0], l);
    r->touched = 0;
}

enum err talk_compact_wanted(struct run_state *r, struct error *e)
{
    struct line *l = talk_line(r);
    if (!l || line_over(l))
        return error_set(e, ERR_CORRUPT, "there is no talk to make shorter");
    l->talk->compact = true;
    l->talk->shrinks = 0;
    r->touched = 0;
    if (r->status == RUN_STOPPED)
        r->status = RUN_ACTIVE;
    return OK;
}
