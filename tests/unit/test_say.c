/*
 * What a person does in a talk, over a real store: what is said, asked and answered stands in the journal, and an event that the
 * fold refuses, or that could not be written, leaves the run as it was.
 *
 * Planted and caught: the state in memory stays ahead of the journal; an answer of another terminal without its words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/say.h"
#include "engine/talk_text.h"

#undef system /* base/banned.h: a fixed command of the test is fine */

static struct {
    struct engine g;
    struct store *s;
    struct run *r;
    struct error e;
    char folder[40];
    struct completion done;
    bool any, hangs;                /* hangs: steps stay open */
    const struct transcript_turn *thinks; /* what the next THINK answers */
} world;

#define WELL(call) do { if (call) fail_msg("%s: %s", #call, world.e.text); } while (0)

/* ---- acts that end at once ---- */

static enum err prepare(struct engine *g, struct run *r, const struct want *w, struct intent *ret, struct error *e)
{
    (void)g, (void)r, (void)w, (void)e;
    ret->args = json_object();
    return OK;
}

static void give_turn(const struct transcript_turn *turn, const char *key)
{
    WELL(turn_print(turn, &world.done.blob, &world.e));
    json_put_int(world.done.result, "bytes", (int64_t)world.done.blob.n);
    world.done.blob_key = key;
}

static enum err start(struct engine *g, struct run *r, const struct open_step *o, struct error *e)
{
    (void)g, (void)r, (void)e;
    static struct transcript_part text = {.kind = PART_TEXT, .text = {"well", 4}}, result = {.kind = PART_RESULT, .id = {"c", 1}, .text = {"ok", 2}};
    static const struct transcript_turn says = {TURN_ASSISTANT, &text, 1}, gives = {TURN_USER, &result, 1};
    if (world.hangs)
        return OK;
    world.done = (struct completion){.key = o->key, .outcome = OUTCOME_OK, .result = json_object(), .blob = BUF_INIT(1 << 16)};
    if (o->stage == STAGE_INSTRUCT)
        give_turn(&says, "system");
    if (o->stage == STAGE_CALL)
        give_turn(&gives, "turn");
    if (o->stage == STAGE_THINK) {
        const struct transcript_turn *turn = world.thinks ? world.thinks : &says;
        give_turn(turn, "turn");
        talk_put_calls(turn, world.done.result);
        world.thinks = NULL;
    }
    world.any = true;
    return OK;
}

static void cancel(struct engine *g, struct run *r, const struct open_step *o)
{
    (void)r;
    struct completion c = {.key = o->key, .outcome = OUTCOME_CANCELLED};
    engine_complete(g, &c);
}

static enum recovery recover(struct engine *g, struct run *r, const struct open_step *o, struct amounts *used, bool *exact)
{
    (void)g, (void)r, (void)o, (void)used, (void)exact;
    return RECOVER_AGAIN;
}

static size_t watch(struct engine *g, struct pollfd *fds, size_t max, int64_t *timeout_ms)
{
    (void)g, (void)fds, (void)max;
    *timeout_ms = 0;
    return 0;
}

static void collect(struct engine *g, const struct pollfd *fds, size_t n)
{
    (void)fds, (void)n;
    if (world.any)
        engine_complete(g, &world.done);
    world.any = false;
}

/* ---- a talk ---- */

static struct slice payload(void *ctx, uint64_t run, struct buf *out)
{
    (void)ctx, (void)run;
    buf_add_text(out, "{\"v\":0,\"talk\":{\"attended\":true},\"server\":{\"provider\":\"openai\",\"model\":\"m\",\"window\":4000,\"max_output\":100},"
                      "\"plan_path\":\"//talk\",\"work\":\"/w\",\"goal\":\"g\",\"account\":\"crannog/main/r1\",\"agent\":\"main\",\"model\":\"m\","
                      "\"budget\":{},\"land\":\"step\"}");
    return buf_slice(out);
}

static void turn(void)
{
    bool more;
    WELL(engine_turn(&world.g, &more, &world.e));
}

static void rest(void) { WELL(engine_run(&world.g, &world.e)); }

static void say(const char *text) { WELL(engine_say_text(&world.g, world.r, slice_of(text), false, &world.e)); }

static const struct line *line(void) { return run_line_const(&world.r->state, 0, HEAD); }
static const struct talk *talk(void) { return line()->talk; }

static int setup(void **state)
{
    (void)state;
    static const struct act_row row = {prepare, start, cancel, recover};
    const struct act_table acts = {.rows = {NULL, &row, &row, &row, &row, &row}, .watch = watch, .collect = collect};
    memset(&world, 0, sizeof world);
    snprintf(world.folder, sizeof world.folder, "/tmp/crannog-say-XXXXXX");
    assert_non_null(mkdtemp(world.folder));
    WELL(store_open(world.folder, true, &(struct store_options){.no_reserve = true}, &world.s, &world.e));
    WELL(engine_open(&world.g, world.s, &acts, &world.e));
    WELL(engine_start_run(&world.g, payload, NULL, &world.r, &world.e));
    say("hello");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[64];
    engine_close(&world.g);
    store_close(world.s);
    snprintf(command, sizeof command, "rm -rf %s", world.folder);
    return system(command);
}

/* What the journal says is what is in memory. */
static void is_journaled(void)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(RUN_ARENA_BYTES);
    struct run_state r;
    run_init(&r, 1, &a);
    WELL(journal_fold(world.s, 1, &r, &a, &world.e));
    assert_true(r.seq == world.r->state.seq && hash_eq(&r.head, &world.r->state.head) && r.status == world.r->state.status);
    assert_int_equal(r.items[0].head.talk->nturns, talk()->nturns);
    assert_int_equal(r.items[0].head.stage, line()->stage);
}

static void last_turn_is(enum turn_kind kind, const char *text)
{
    BUF_CLEANUP struct buf bytes = BUF_INIT(1 << 16);
    const struct talk_turn *t = &talk()->turns[talk()->nturns - 1];
    assert_int_equal(t->kind, kind);
    WELL(blob_get(world.s, &t->blob, &bytes, &world.e));
    if (slice_find(buf_slice(&bytes), slice_of(text), 0) == bytes.n)
        fail_msg("%.*s does not have %s", SLICE_ARG(buf_slice(&bytes)), text);
}

static void test_words_and_commands(void **state)
{
    (void)state;
    rest();
    last_turn_is(TALK_ANSWER, "well");
    WELL(engine_say_command(&world.g, world.r, SLICE("ls"), &world.e));
    rest();
    last_turn_is(TALK_RESULT, "ok");
    say("and?");
    rest();
    last_turn_is(TALK_ANSWER, "well");
    assert_int_equal(talk()->nturns, 6);
    WELL(engine_rewind(&world.g, world.r, 2, -1, &world.e));
    assert_int_equal(talk()->nturns, 2);
    is_journaled();
}

/* Each is refused in words, and the talk goes on as if nothing had been tried. */
static void test_what_is_refused_leaves_the_run_as_it_was(void **state)
{
    (void)state;
    world.hangs = true;
    turn();
    assert_int_equal(world.r->state.nopen, 1);
    assert_int_equal(engine_say_command(&world.g, world.r, SLICE("ls"), &world.e), ERR_CORRUPT);
    assert_int_equal(engine_rewind(&world.g, world.r, 0, -1, &world.e), ERR_CORRUPT);
    assert_int_equal(engine_rewind(&world.g, world.r, 99, -1, &world.e), ERR_CORRUPT);
    assert_int_equal(engine_answer_ask(&world.g, world.r, SLICE("yes"), &world.e), ERR_MISSING);
    struct json *server = json_object();
    json_put_int(server, "window", 3);
    assert_int_equal(engine_change_model(&world.g, world.r, server, &world.e), ERR_CORRUPT);
    assert_int_equal(engine_append(&world.g, world.r, EVENT_PLAN_CHANGED, SLICE("{\"v\":0,\"plan\":\"- [ ] a: b\\n  writes: x\\n\"}"), &world.e), ERR_CORRUPT);
    is_journaled();
    assert_true(!world.r->broken && world.r->state.status == RUN_ACTIVE && world.r->state.nopen == 1);
    const struct step_key key = world.r->state.open[0].key;
    struct completion c = {.key = key, .outcome = OUTCOME_LOST};
    engine_complete(&world.g, &c);
    world.hangs = false;
    rest();
    last_turn_is(TALK_ANSWER, "well");
    is_journaled();
}

static struct transcript_part asks = {.kind = PART_CALL, .id = {"call_7", 6}, .name = {"ask", 3}, .text = {"{\"question\":\"Which?\"}", 21}};
static const struct transcript_turn asking = {TURN_ASSISTANT, &asks, 1};

static void test_a_question_is_answered_here(void **state)
{
    (void)state;
    world.thinks = &asking;
    rest();
    assert_int_equal(line()->question, QUESTION_ASK);
    WELL(engine_answer_ask(&world.g, world.r, SLICE("the \"left\" one"), &world.e));
    last_turn_is(TALK_RESULT, "call_7");
    last_turn_is(TALK_RESULT, "left");
    rest();
    last_turn_is(TALK_ANSWER, "well");
    is_journaled();
}

/* The model hears the words: they are the result of its call. */
static void test_a_question_is_answered_from_another_terminal(void **state)
{
    (void)state;
    char text[100];
    world.thinks = &asking;
    rest();
    snprintf(text, sizeof text, "{\"v\":0,\"question\":%u,\"answer\":\"the left one\"}", line()->question_step);
    WELL(request_put(world.s, 1, "answer", slice_of(text), &world.e));
    WELL(request_put(world.s, 1, "answer", slice_of(text), &world.e)); /* twice: the second one finds nothing */
    bool more = true;
    while (talk()->nturns < 4 && more)
        WELL(engine_turn(&world.g, &more, &world.e));
    assert_int_equal(talk()->turns[2].kind, TALK_RESULT);
    rest();
    last_turn_is(TALK_ANSWER, "well");
    WELL(engine_rewind(&world.g, world.r, 3, -1, &world.e));
    last_turn_is(TALK_RESULT, "the left one");
    is_journaled();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_words_and_commands),
        TEST(test_what_is_refused_leaves_the_run_as_it_was),
        TEST(test_a_question_is_answered_here),
        TEST(test_a_question_is_answered_from_another_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
