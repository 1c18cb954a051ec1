#include "engine/talk_text.h"

#include <stdio.h>
#include <string.h>

#include "context/tools.h"
#include "view/turn.h"

enum { TURN_MAX = 8 * 1024 * 1024, GOAL_MAX = 16 * 1024, HEAD_MAX = 400, HEADS_MAX = 40, SUMMARY_MAX = 256 * 1024 };

/* ---- turns that the runtime writes ---- */

static void print_one(enum turn_role role, struct transcript_part part, struct buf *out)
{
    struct transcript_turn turn = {role, &part, 1};
    (void)!turn_print(&turn, out, NULL); /* bounded by its caller; out then has failed */
}

void talk_note(struct slice text, struct buf *out)
{
    print_one(TURN_USER, (struct transcript_part){.kind = PART_TEXT, .text = text}, out);
}

void talk_put_note(struct engine *g, struct slice text, struct completion *c)
{
    struct hash h;
    BUF_CLEANUP struct buf turn = BUF_INIT(8192);
    talk_note(text, &turn);
    if (blob_put(g->store, buf_slice(&turn), &h, NULL))
        return;
    json_put_hash(c->result, "note", &h);
    json_put_int(c->result, "note_bytes", (int64_t)turn.n);
}

void talk_result(struct slice call_id, struct slice text, bool is_error, struct buf *out)
{
    print_one(TURN_USER, (struct transcript_part){.kind = PART_RESULT, .id = call_id, .text = text, .is_error = is_error}, out);
}

void talk_put_calls(const struct transcript_turn *turn, struct json *result)
{
    struct json *calls = json_array();
    BUF_CLEANUP struct buf all = BUF_INIT(TURN_MAX);
    char hex[HASH_HEX + 1];
    for (size_t i = 0; i < turn->n && json_count(calls) < TALK_CALLS_MAX; i++) {
        const struct transcript_part *p = &turn->parts[i];
        ARENA_CLEANUP struct arena a = ARENA_INIT(4 << 20);
        struct tool_call call;
        if (p->kind != PART_CALL)
            continue;
        struct json *o = json_object();
        bool known = !p->malformed && tool_call_parse(p->name, p->text, &a, &call, NULL) == OK;
        json_put_text(o, "name", known ? slice_of(tool_name(call.tool)) : p->name);
        if (known && call.tool == TOOL_ASK)
            json_put_text(o, "question", slice_sub(call.question, 0, 4096));
        else if (!known && slice_is(p->name, "ask")) /* a broken question is a call that fails, not one that waits */
            json_put_text(o, "name", SLICE("ask "));
        json_push(calls, o);
        buf_add(&all, p->name);
        buf_add_char(&all, '\n');
        buf_add(&all, p->text);
        buf_add_char(&all, '\n');
    }
    struct hash h = hash_of(buf_slice(&all));
    hash_hex(&h, hex);
    if (json_count(calls))
        json_put_text(result, "calls_hash", slice_of(hex));
    json_put(result, "calls", calls);
}

/* ---- transcripts ---- */

static enum err add_blob(struct store *s, const struct hash *h, bool *first, struct buf *out, struct error *e)
{
    if (!*first)
        buf_add_char(out, ',');
    *first = false;
    return blob_get(s, h, out, e);
}

/* The last turn, with the mark behind which a provider's cache ends. */
static enum err add_marked(struct store *s, const struct hash *h, bool *first, struct buf *out, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(TURN_ARENA);
    struct transcript_turn turn;
    enum err err = turn_read(s, h, &a, &turn, e);
    if (err)
        return err;
    if (turn.n)
        turn.parts[turn.n - 1].cache = true;
    if (!*first)
        buf_add_char(out, ',');
    *first = false;
    return turn_print(&turn, out, e);
}

static enum err add_turns(struct store *s, const struct talk *t, const struct json *args, struct buf *out, struct error *e)
{
    struct hash h;
    bool first = true;
    struct slice ask = json_text(json_get(args, "ask"));
    size_t from = (size_t)json_int(json_get(args, "from"), 0), to = (size_t)json_int(json_get(args, "to"), 0);
    if (from > to || to > t->nturns)
        return error_set(e, ERR_CORRUPT, "a model call about turns that are not there");
    enum err err = OK;
    if (json_has(args, "summary") && !hash_from_hex(json_text(json_get(args, "summary")), &h))
        err = error_set(e, ERR_CORRUPT, "a summary without its hash");
    else if (json_has(args, "summary"))
        err = add_blob(s, &h, &first, out, e);
    for (size_t i = from; !err && i < to; i++)
        err = i + 1 == to && !ask.n ? add_marked(s, &t->turns[i].blob, &first, out, e) : add_blob(s, &t->turns[i].blob, &first, out, e);
    if (!err && ask.n) {
        buf_add_text(out, first ? "" : ",");
        talk_note(ask, out);
    }
    return err;
}

static void head_of(const struct json *args, struct slice system, struct transcript *ret, struct transcript_tool tools[TOOLS])
{
    for (size_t i = 0; i < TOOLS; i++)
        tools[i] = (struct transcript_tool){slice_of(tool_rows[i].name), slice_of(tool_rows[i].description), slice_of(tool_rows[i].schema)};
    *ret = (struct transcript){.system = {system}, .system_cache = {true}, .nsystem = 1, .tools = tools, .ntools = TOOLS,
                               .options = TRANSCRIPT_OPTIONS};
    ret->options.model = json_text(json_get(args, "model"));
    ret->options.max_output = json_int(json_get(args, "max_output"), 1);
    if (json_has(args, "ask"))
        ret->options.choice = CHOICE_NONE;
}

enum err talk_transcript(struct store *s, const struct talk *t, const struct json *args, struct buf *ret, struct error *e)
{
    static const char hole[] = "\"turns\":["; /* within a text its quotes are escaped, so there is one */
    BUF_CLEANUP struct buf system = BUF_INIT(1 << 20), head = BUF_INIT(4 << 20);
    struct transcript_tool tools[TOOLS];
    struct transcript tr;
    struct hash h;
    if (!hash_from_hex(json_text(json_get(args, "system")), &h))
        return error_set(e, ERR_CORRUPT, "a model call without instructions");
    enum err err = blob_get(s, &h, &system, e);
    head_of(args, buf_slice(&system), &tr, tools);
    if (!err)
        err = transcript_print(&tr, &head, e);
    if (err)
        return err;
    size_t at = slice_find(buf_slice(&head), slice_of(hole), 0) + sizeof hole - 1;
    buf_add(ret, slice_sub(buf_slice(&head), 0, at));
    err = add_turns(s, t, args, ret, e);
    buf_add(ret, slice_sub(buf_slice(&head), at, head.n));
    return err ? err : buf_check(ret, "a request", e);
}

enum err talk_call(struct store *s, const struct talk *t, size_t i, struct arena *a, struct transcript_part *ret, struct error *e)
{
    struct transcript_turn turn;
    if (t->answer >= t->nturns)
        return error_set(e, ERR_CORRUPT, "a call of no answer");
    enum err err = turn_read(s, &t->turns[t->answer].blob, a, &turn, e);
    for (size_t k = 0; !err && k < turn.n; k++)
        if (turn.parts[k].kind == PART_CALL && i-- == 0) {
            *ret = turn.parts[k];
            return OK;
        }
    return err ? err : error_set(e, ERR_CORRUPT, "a call that its answer has not");
}

/* ---- compaction ---- */

size_t talk_cut(const struct talk *t, uint64_t window)
{
    uint64_t room = talk_window(t, window) / 4 * TALK_BYTES_A_TOKEN, kept = 0;
    size_t at = t->nturns;
    while (at > t->from + 1 && kept + t->turns[at - 1].bytes <= room)
        kept += t->turns[--at].bytes;
    while (at < t->nturns && t->turns[at].kind == TALK_RESULT) /* its call would be missing */
        at++;
    return at > t->from ? at : t->from + 1;
}

/* What a person said is never dropped: the first word for word, the others by their beginnings. */
static void add_said(struct store *s, const struct talk *t, size_t upto, struct buf *out)
{
    size_t n = 0;
    for (size_t i = 0; i < upto; i++) {
        ARENA_CLEANUP struct arena a = ARENA_INIT(TURN_ARENA);
        BUF_CLEANUP struct buf text = BUF_INIT(GOAL_MAX + 1024);
        struct transcript_turn turn;
        if (t->turns[i].kind != TALK_SAID)
            continue;
        if (turn_read(s, &t->turns[i].blob, &a, &turn, NULL) == OK)
            turn_text(&turn, n ? HEAD_MAX : GOAL_MAX, &text);
        if (n == 0)
            buf_add_text(out, "What was asked first, word for word:\n");
        else if (n == 1)
            buf_add_text(out, "\n\nWhat the person said after that (beginnings):");
        if (n++ < HEADS_MAX) {
            buf_add_text(out, n > 1 ? "\n- " : "");
            buf_add(out, buf_slice(&text));
        }
    }
}

static uint64_t bytes_dropped(const struct talk *t, size_t upto)
{
    uint64_t n = t->summary_bytes;
    for (size_t i = t->from; i < upto; i++)
        n += t->turns[i].bytes;
    return n;
}

static void compose(struct store *s, const struct talk *t, size_t upto, struct slice summary, struct buf *ret)
{
    BUF_CLEANUP struct buf text = BUF_INIT(SUMMARY_MAX + GOAL_MAX + HEADS_MAX * (HEAD_MAX + 16) + 4096);
    buf_add_text(&text, "(The beginning of this talk was cut to make room.)\n");
    add_said(s, t, upto, &text);
    if (summary.n) {
        buf_add_text(&text, "\n\nWhat you wrote down about it:\n");
        buf_add(&text, slice_sub(summary, 0, SUMMARY_MAX));
    }
    buf_addf(&text, "\n\n(All of it is kept: `read` the path turn:1 to turn:%zu.)", upto);
    buf_reset(ret);
    talk_note(buf_slice(&text), ret);
}

void talk_compacted_by(struct engine *g, struct run *r, const struct open_step *o, const struct json *args, struct completion *c)
{
    const struct talk *t = run_line(&r->state, o->item, o->piece)->talk;
    size_t upto = (size_t)json_int(json_get(args, "to"), 0);
    BUF_CLEANUP struct buf turn = BUF_INIT(TURN_MAX), said = BUF_INIT(SUMMARY_MAX + 1024);
    ARENA_CLEANUP struct arena a = ARENA_INIT(64 << 20);
    struct transcript_turn answer = {0};
    if (c->outcome == OUTCOME_OK && c->blob.n && turn_parse(buf_slice(&c->blob), &a, &answer, NULL) == OK)
        turn_text(&answer, SUMMARY_MAX, &said);
    compose(g->store, t, upto, slice_trim(buf_slice(&said)), &turn);
    if (turn.n >= bytes_dropped(t, upto)) /* what is no shorter is no compaction */
        compose(g->store, t, upto, SLICE_NONE, &turn);
    json_put(c->result, "calls", NULL);
    if (turn.n >= bytes_dropped(t, upto)) {
        c->outcome = OUTCOME_FAILED;
        c->final = true;
        snprintf(c->why, sizeof c->why, "the talk cannot be made shorter; begin a new one, or take a model with a larger window");
        return;
    }
    json_put_text(c->result, "made", c->outcome == OUTCOME_OK && said.n ? SLICE("model") : SLICE("list"));
    c->outcome = OUTCOME_OK;
    c->final = false;
    c->why[0] = '\0';
    json_put_int(c->result, "upto", (int64_t)upto);
    json_put_int(c->result, "bytes", (int64_t)turn.n);
    buf_release(&c->blob);
    c->blob = BUF_INIT(TURN_MAX);
    buf_add(&c->blob, buf_slice(&turn));
    c->blob_key = "turn";
}
