#include "engine/say.h"

#include <stdio.h>

#include "engine/commit.h"
#include "engine/talk_text.h"
#include "model/usage.h"
#include "view/turn.h"

static struct json *said_by_terminal(void)
{
    struct json *p = json_object();
    json_put_int(p, "v", 0);
    json_put_text(p, "by", SLICE("terminal"));
    return p;
}

/* Prints and frees `p`; a transaction is open, and ends here. */
static enum err append_open(struct engine *g, struct run *r, enum event_type type, struct json *p, struct error *e)
{
    JSON_CLEANUP struct json *payload = p;
    BUF_CLEANUP struct buf text = BUF_INIT(EVENT_PAYLOAD_MAX);
    json_print(payload, &text);
    enum err err = buf_check(&text, "an event", e);
    if (!err)
        return engine_append_open(g, r, type, buf_slice(&text), e);
    store_rollback(g->store);
    return err;
}

static enum err append_json(struct engine *g, struct run *r, enum event_type type, struct json *p, struct error *e)
{
    enum err err = store_begin(g->store, e);
    if (!err)
        return append_open(g, r, type, p, e);
    json_free(p);
    return err;
}

/* Stores a turn and appends the event that names it, as one commit. */
static enum err append_said(struct engine *g, struct run *r, const char *when, struct slice turn, int64_t weight, struct error *e)
{
    struct hash h;
    enum err err = store_begin(g->store, e);
    if (err)
        return err;
    err = blob_put(g->store, turn, &h, e);
    if (err) {
        store_rollback(g->store);
        return err;
    }
    struct json *p = said_by_terminal();
    json_put_text(p, "when", slice_of(when));
    json_put_hash(p, "turn", &h);
    json_put_int(p, "bytes", (int64_t)turn.n + weight);
    return append_open(g, r, EVENT_SAID, p, e);
}

enum err engine_say(struct engine *g, struct run *r, const struct transcript_turn *turn, bool later, struct error *e)
{
    BUF_CLEANUP struct buf bytes = BUF_INIT(TURN_BYTES_MAX);
    int64_t images = 0;
    for (size_t i = 0; i < turn->n; i++)
        images += turn->parts[i].kind == PART_IMAGE;
    enum err err = turn_print(turn, &bytes, e);
    if (err)
        return err;
    return append_said(g, r, later ? "later" : "now", buf_slice(&bytes), images * USAGE_IMAGE_TOKENS * TALK_BYTES_A_TOKEN, e);
}

enum err engine_say_text(struct engine *g, struct run *r, struct slice text, bool later, struct error *e)
{
    struct transcript_part part = {.kind = PART_TEXT, .text = text};
    struct transcript_turn turn = {TURN_USER, &part, 1};
    return engine_say(g, r, &turn, later, e);
}

enum err engine_say_command(struct engine *g, struct run *r, struct slice command, struct error *e)
{
    BUF_CLEANUP struct buf arguments = BUF_INIT(TURN_BYTES_MAX), bytes = BUF_INIT(TURN_BYTES_MAX);
    JSON_CLEANUP struct json *o = json_object();
    char id[40];
    snprintf(id, sizeof id, "person_%llu", (unsigned long long)r->state.seq);
    json_put_text(o, "command", command);
    json_print(o, &arguments);
    struct transcript_part parts[2] = {{.kind = PART_TEXT, .text = SLICE("(The person runs this themselves:)")},
                                       {.kind = PART_CALL, .id = slice_of(id), .name = SLICE("bash"), .text = buf_slice(&arguments)}};
    struct transcript_turn turn = {TURN_ASSISTANT, parts, 2};
    enum err err = turn_print(&turn, &bytes, e);
    if (err)
        return err;
    return append_said(g, r, "command", buf_slice(&bytes), 0, e);
}

struct json *answer_word(uint32_t question, struct slice word)
{
    struct json *p = json_object();
    json_put_int(p, "v", 0);
    json_put_int(p, "question", question);
    json_put_text(p, "answer", word);
    json_put_text(p, "by", SLICE("terminal"));
    return p;
}

enum err engine_answer(struct engine *g, struct run *r, struct json *answer, struct error *e)
{
    return append_json(g, r, EVENT_ANSWERED, answer, e);
}

enum err answer_payload(struct store *s, const struct line *l, struct slice words, struct json **ret, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(32 << 20);
    BUF_CLEANUP struct buf bytes = BUF_INIT(TURN_BYTES_MAX);
    struct transcript_part call;
    struct hash h;
    enum err err = talk_call(s, l->talk, l->talk->next, &a, &call, e);
    if (err)
        return err;
    talk_result(call.id, words, false, &bytes);
    err = buf_check(&bytes, "an answer", e);
    if (!err)
        err = blob_put(s, buf_slice(&bytes), &h, e);
    if (err)
        return err;
    struct json *p = *ret = answer_word(l->question_step, slice_cut(words, 200));
    json_put_hash(p, "turn", &h);
    json_put_int(p, "bytes", (int64_t)bytes.n);
    return OK;
}

enum err engine_answer_ask(struct engine *g, struct run *r, struct slice text, struct error *e)
{
    const struct line *l = r->state.is_agent ? &r->state.items[0].head : NULL;
    struct json *p = NULL;
    if (!l || l->stage != STAGE_STUCK || l->question != QUESTION_ASK)
        return error_set(e, ERR_MISSING, "r%llu asks nothing", (unsigned long long)r->state.id);
    enum err err = store_begin(g->store, e);
    if (err)
        return err;
    err = answer_payload(g->store, l, text, &p, e);
    if (!err)
        return append_open(g, r, EVENT_ANSWERED, p, e);
    store_rollback(g->store);
    return err;
}

enum err engine_rewind(struct engine *g, struct run *r, size_t turns, int64_t after_step, struct error *e)
{
    struct json *p = said_by_terminal();
    json_put_int(p, "turns", (int64_t)turns);
    if (after_step >= 0)
        json_put_int(p, "after", after_step);
    return append_json(g, r, EVENT_REWOUND, p, e);
}

enum err engine_change_model(struct engine *g, struct run *r, struct json *server, struct error *e)
{
    json_put_int(server, "v", 0);
    return append_json(g, r, EVENT_MODEL_CHANGED, server, e);
}

enum err engine_want_compact(struct engine *g, struct run *r, struct error *e)
{
    return append_json(g, r, EVENT_COMPACT_WANTED, said_by_terminal(), e);
}
