/*
 * An agent that thinks with the model in crannog-infer: the same transcript as the door gets, as messages of its chat template;
 * its answer comes held to the tools' schemas, so no call is malformed.
 */
#include <stdio.h>
#include <string.h>

#include "engine/machine.h"
#include "engine/talk_text.h"
#include "infer/protocol.h"
#include "model/transcript.h"

enum { TRANSCRIPT_MAX = 32 << 20, TURN_MAX = 8 << 20, MESSAGES_MAX = 2000 };

/* ---- the question ---- */

static void put_message(struct outgoing *out, const char *role, struct slice text)
{
    message_put(&out->message, INFER_ROLE, slice_of(role));
    outgoing_put_large(out, INFER_TEXT, text);
}

/* A call as the model wrote it, for the turns that it is shown again (infer/tools.h says where the form is from). */
static void add_call(const struct transcript_part *p, struct buf *text)
{
    JSON_CLEANUP struct json *name = json_new_text(p->name);
    buf_add_text(text, text->n ? "\n<tool_call>\n{\"name\": " : "<tool_call>\n{\"name\": ");
    json_print(name, text);
    buf_add_text(text, ", \"arguments\": ");
    buf_add(text, p->malformed ? SLICE("{}") : p->text);
    buf_add_text(text, "}\n</tool_call>");
}

/* Turns of one role that follow one another are one message; each result is one of the role "tool". */
static void put_turn(const struct transcript_turn *turn, struct buf *user, struct outgoing *out)
{
    BUF_CLEANUP struct buf said = BUF_INIT(TURN_MAX);
    for (size_t i = 0; i < turn->n; i++) {
        const struct transcript_part *p = &turn->parts[i];
        if (p->kind == PART_CALL) {
            add_call(p, &said);
        } else if (p->kind == PART_RESULT) {
            put_message(out, "tool", p->text);
        } else if (p->kind == PART_TEXT) {
            struct buf *to = turn->role == TURN_USER ? user : &said;
            buf_add_text(to, to->n ? "\n\n" : "");
            buf_add(to, p->text);
        }
    }
    if (said.n)
        put_message(out, "assistant", buf_slice(&said));
}

static void put_messages(const struct transcript *t, struct outgoing *out)
{
    BUF_CLEANUP struct buf user = BUF_INIT(TURN_MAX);
    put_message(out, "system", t->nsystem ? t->system[0] : SLICE_NONE);
    for (size_t i = 0; i < t->nturns && i < MESSAGES_MAX; i++) {
        put_turn(&t->turns[i], &user, out);
        bool more = i + 1 < t->nturns && t->turns[i + 1].role == TURN_USER && t->turns[i + 1].n && t->turns[i + 1].parts[0].kind == PART_TEXT;
        if (user.n && !more) {
            put_message(out, "user", buf_slice(&user));
            buf_reset(&user);
        }
    }
}

static void put_tools(const struct transcript *t, struct outgoing *out)
{
    JSON_CLEANUP struct json *list = json_array();
    BUF_CLEANUP struct buf text = BUF_INIT(1 << 20);
    for (size_t i = 0; i < t->ntools; i++) {
        struct json *o = json_object(), *schema = NULL;
        json_put_text(o, "name", t->tools[i].name);
        json_put_text(o, "description", t->tools[i].description);
        if (json_parse(t->tools[i].schema, &schema, NULL) == OK)
            json_put(o, "parameters", schema);
        json_push(list, o);
    }
    json_print(list, &text);
    outgoing_put_large(out, INFER_TOOLS, buf_slice(&text));
}

/* The last word is the person's: a small model would rather talk about the work than begin it. */
static bool begins_work(const struct transcript *t)
{
    const struct transcript_turn *last = t->nturns ? &t->turns[t->nturns - 1] : NULL;
    return last && last->role == TURN_USER && last->n && last->parts[0].kind == PART_TEXT;
}

enum err think_embedded(struct engine *g, struct run *r, const struct open_step *o, const struct json *args, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(64 << 20);
    BUF_CLEANUP struct buf text = BUF_INIT(TRANSCRIPT_MAX);
    OUTGOING_CLEANUP struct outgoing out = outgoing_new();
    struct transcript t;
    enum err err = talk_transcript(g->store, run_line(&r->state, o->item, o->piece)->talk, args, &text, e);
    if (!err)
        err = transcript_parse(buf_slice(&text), &a, &t, e);
    if (err)
        return err;
    put_messages(&t, &out);
    if (o->stage == STAGE_THINK)
        put_tools(&t, &out);
    if (o->stage == STAGE_THINK && begins_work(&t) && !run_line(&r->state, o->item, o->piece)->talk->attended)
        message_put(&out.message, INFER_CHOICE, SLICE("any"));
    message_put_u64(&out.message, INFER_STREAM, 1);
    message_put_u64(&out.message, INFER_MAX_TOKENS, (uint64_t)json_int(json_get(args, "max_output"), 256));
    message_put_u64(&out.message, INFER_SEED, o->key.step);
    message_put_u64(&out.message, INFER_TEMPERATURE_MILLI, (uint64_t)json_int(json_get(args, "temperature_milli"), 0));
    message_put_u64(&out.message, INFER_TOP_P_MILLI, 900);
    message_put_u64(&out.message, INFER_REPEAT_MILLI, 1100);
    message_put_u64(&out.message, INFER_CPU_LIMIT_NS, (uint64_t)json_int(json_get(args, "cpu_ns"), 0));
    return model_begin(g, o, &out, e);
}

/* ---- the answer ---- */

enum { PARTS_MAX = 1 + TALK_CALLS_MAX };

/* Text and calls of a GENERATED, as the parts of a turn; all lies in the arena. */
static enum err read_parts(const struct frame *f, const struct step_key *key, struct arena *a, struct transcript_part *parts, size_t *ret_n,
                           struct error *e)
{
    struct message_reader m = message_read(f->message);
    struct field field;
    struct slice name = SLICE_NONE;
    size_t n = 0, calls = 0;
    while (message_next(&m, &field) == 1) {
        BUF_CLEANUP struct buf bytes = BUF_INIT(TURN_MAX);
        if (field.tag == INFER_CALL_NAME)
            name = arena_copy(a, field.bytes);
        if ((field.tag != INFER_TEXT && field.tag != INFER_ARGUMENTS) || n == PARTS_MAX)
            continue;
        enum err err = frame_field_large(f, field, &bytes, e);
        struct slice kept = arena_copy(a, field.tag == INFER_TEXT ? slice_trim(buf_slice(&bytes)) : buf_slice(&bytes));
        if (err || !kept.p)
            return err ? err : error_set(e, ERR_MEMORY, "no memory for an answer");
        if (field.tag == INFER_TEXT && kept.n)
            parts[n++] = (struct transcript_part){.kind = PART_TEXT, .text = kept};
        else if (field.tag == INFER_ARGUMENTS)
            parts[n++] = (struct transcript_part){.kind = PART_CALL, .name = name, .text = kept, .malformed = !arguments_ok(kept),
                                                  .id = slice_of(arena_printf(a, "call_%u_%zu", key->step, calls++))};
    }
    *ret_n = n;
    return OK;
}

void think_generated(struct engine *g, const struct frame *f, const struct open_step *o, bool stopped, struct completion *c)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(32 << 20);
    struct transcript_part *parts = arena_array(&a, PARTS_MAX, sizeof *parts);
    struct error e = {0};
    uint64_t stop = message_get_u64(f->message, INFER_STOP, 0);
    size_t n = 0;
    c->result = json_object();
    json_put_int(c->result, "in", (int64_t)message_get_u64(f->message, INFER_IN, 0));
    json_put_int(c->result, "out", (int64_t)message_get_u64(f->message, INFER_OUT, 0));
    json_put_int(c->result, "tokens", (int64_t)(message_get_u64(f->message, INFER_IN, 0) + message_get_u64(f->message, INFER_OUT, 0)));
    if (!parts || read_parts(f, &o->key, &a, parts, &n, &e)) {
        c->outcome = OUTCOME_FAILED;
        snprintf(c->why, sizeof c->why, "%.200s", e.text);
        return;
    }
    if (n && parts[n - 1].kind == PART_CALL && message_get_u64(f->message, INFER_SHORTENED, 0))
        parts[n - 1].malformed = true; /* it says less than it should: not carried out, and the model is told */
    struct transcript_turn turn = {TURN_ASSISTANT, parts, n};
    c->blob = BUF_INIT(TURN_MAX);
    if (n && turn_print(&turn, &c->blob, &e) == OK) {
        c->blob_key = "turn";
        json_put_int(c->result, "bytes", (int64_t)c->blob.n);
    }
    talk_put_calls(&turn, c->result);
    json_put_text(c->result, "stop", stop == INFER_STOP_LENGTH ? SLICE("length") : SLICE("end"));
    if (stopped || stop == INFER_STOP_CANCELLED) {
        c->outcome = OUTCOME_CANCELLED;
        snprintf(c->why, sizeof c->why, "stopped");
    } else if (stop == INFER_STOP_CPU) {
        c->outcome = OUTCOME_FAILED;
        c->final = true;
        snprintf(c->why, sizeof c->why, "the CPU seconds of the budget ended in the middle of the answer");
    } else if (stop == INFER_STOP_CONTEXT && !n) {
        c->outcome = OUTCOME_FAILED;
        json_put_bool(c->result, "overflow", true);
        snprintf(c->why, sizeof c->why, "the talk is longer than what the model can see");
    } else if (o->stage == STAGE_THINK && !n) {
        talk_put_note(g, SLICE("(You answered with nothing. Go on with what was asked, or say that you are done and why.)"), c);
    }
}
