/* A run driven by hand-written events through whole plans: each path that a line can take, and each word it leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "unit/fold_rig.h"

static struct rig world;

#define NOTE "- [ ] note: for each `s/*` as SRC, say it\n  writes: n/{SRC.stem}.md\n  verify: test -s n/{SRC.stem}.md\n"
#define PLAIN "- [ ] think: say it\n  writes: t.md\n  retries: 0\n"

static const struct line *line(uint32_t item, int32_t piece)
{
    return run_line_const(&world.r, item, piece);
}

static int teardown(void **state)
{
    (void)state;
    rig_end(&world);
    return 0;
}

static void step_ok(uint32_t item, int32_t piece, enum stage stage)
{
    rig_step(&world, item, piece, stage, OUTCOME_OK, NULL);
}

static void up_to(uint32_t item, int32_t piece, enum stage stage)
{
    static const enum stage way[] = {STAGE_READ, STAGE_MEASURE, STAGE_ASK, STAGE_LOOK, STAGE_LAND, STAGE_VERIFY};
    for (size_t i = 0; way[i] != stage; i++)
        step_ok(item, piece, way[i]);
}

static void listed(const char *plan, const char *more)
{
    rig_start(&world, plan, more);
    step_ok(0, HEAD, STAGE_LIST);
}

static void is_progress(size_t done, size_t total)
{
    size_t d, t;
    run_progress(&world.r, &d, &t);
    assert_int_equal(d, done);
    assert_int_equal(t, total);
}

static void refused(enum event_type type, const struct step_key *key, const char *payload, enum err code, const char *why)
{
    enum err err = rig_apply(&world, type, key, payload);
    if (err != code || !strstr(world.e.text, why))
        fail_msg("%s, not %s: %s", err_name(err), why, world.e.text);
    assert_int_equal(world.r.status, RUN_BROKEN);
    assert_int_equal(rig_what(&world), DECIDE_REST);
}

static void test_a_note_and_a_briefing(void **state)
{
    (void)state;
    listed("---\ngoal: g\nverify: make check\n---\n" NOTE "- [ ] brief: for each `n/*` as N, its point\n  needs: note\n  writes: b.md\n", "");
    is_progress(0, 4);
    assert_int_equal(world.r.items[0].phase, ITEM_OPEN);
    assert_int_equal(world.r.items[1].phase, ITEM_WAITING);
    for (int32_t k = 0; k < 2; k++) {
        up_to(0, k, STAGE_VERIFY);
        assert_true(slice_is(line(0, k)->target, k ? "n/b.md" : "n/a.md") && slice_is(line(0, k)->base, "00ff"));
        step_ok(0, k, STAGE_VERIFY);
        is_progress((size_t)k + 1, 4);
    }
    assert_int_equal(world.r.items[0].phase, ITEM_DONE);
    rig_step(&world, 1, HEAD, STAGE_LIST, OUTCOME_OK, "{\"paths\":[\"n/a.md\",\"n/b.md\"]}");
    is_progress(2, 5);
    for (int32_t k = 0; k < 2; k++)
        for (enum stage s = STAGE_READ; s <= STAGE_ASK; s++)
            step_ok(1, k, s);
    is_progress(4, 5);
    assert_int_equal(line(1, 0)->stage, STAGE_DONE);
    step_ok(1, HEAD, STAGE_LOOK);
    step_ok(1, HEAD, STAGE_LAND);
    assert_true(slice_is(line(1, HEAD)->target, "b.md"));
    assert_true(run_writer_of(&world.r, SLICE("n/b.md")) == line(0, 1));
    assert_null(run_writer_of(&world.r, SLICE("b.md"))); /* of pieces only */
    step_ok(2, HEAD, STAGE_VERIFY);
    assert_int_equal(rig_what(&world), DECIDE_DONE);
    is_progress(5, 5);
    assert_int_equal(rig_apply(&world, EVENT_RUN_ENDED, NULL, "{\"v\":0,\"status\":\"done\"}"), OK);
    assert_int_equal(world.r.status, RUN_DONE);
    assert_int_equal(rig_what(&world), DECIDE_REST);
    assert_int_equal(world.r.used.n[UNIT_TOKENS], 7 * 23);
    refused(EVENT_RUN_CONTINUED, NULL, "{}", ERR_CORRUPT, "run r7, event 49 (run.continued): the run goes on after its end");
}

static void test_a_long_document_is_read_in_parts_and_joined(void **state)
{
    (void)state;
    struct decision d;
    listed(NOTE, "");
    step_ok(0, 0, STAGE_READ);
    rig_step(&world, 0, 0, STAGE_MEASURE, OUTCOME_OK, "{\"tokens\":99,\"cuts\":[30,60,90]}");
    for (uint32_t part = 0; part < 3; part++) {
        run_decide(&world.r, world.now_ms, &d);
        assert_int_equal(d.wants[0].part, part);
        assert_int_equal(d.wants[0].act, ACT_MODEL);
        step_ok(0, 0, STAGE_ASK);
    }
    step_ok(0, 0, STAGE_JOIN);
    assert_int_equal(line(0, 0)->nparts, 3);
    step_ok(0, 0, STAGE_LOOK);
    step_ok(0, 0, STAGE_LAND);
    rig_step(&world, 0, 0, STAGE_VERIFY, OUTCOME_FAILED, NULL);
    step_ok(0, 0, STAGE_JOIN); /* the parts' answers stand; only their join is made anew */
    step_ok(0, 0, STAGE_LOOK);
    step_ok(0, 0, STAGE_LAND);
    step_ok(0, 0, STAGE_VERIFY);
    assert_int_equal(line(0, 0)->stage, STAGE_DONE);
}

static void test_an_item_without_files(void **state)
{
    (void)state;
    rig_start(&world, PLAIN, "");
    is_progress(0, 1);
    step_ok(0, 0, STAGE_ASK);
    is_progress(1, 1);
    step_ok(0, HEAD, STAGE_LOOK);
    step_ok(0, HEAD, STAGE_LAND);
    assert_int_equal(rig_what(&world), DECIDE_DONE);
}

static void test_no_files_at_all(void **state)
{
    (void)state;
    rig_start(&world, NOTE, "");
    rig_step(&world, 0, HEAD, STAGE_LIST, OUTCOME_OK, "{\"paths\":[]}");
    assert_int_equal(rig_what(&world), DECIDE_DONE);
    is_progress(1, 1);
}

static void test_a_check_that_fails_asks_again_and_then_a_person(void **state)
{
    (void)state;
    listed(NOTE, "");
    up_to(0, 0, STAGE_VERIFY);
    uint32_t asked = 0;
    for (int i = 0; i < 3; i++) { /* the first try and two more */
        if (i) {
            asked = line(0, 0)->step;
            step_ok(0, 0, STAGE_ASK);
            assert_int_equal(line(0, 0)->failures, i);
            step_ok(0, 0, STAGE_LOOK);
            step_ok(0, 0, STAGE_LAND);
        }
        rig_step(&world, 0, 0, STAGE_VERIFY, OUTCOME_FAILED, NULL);
    }
    assert_true(asked > 0);
    assert_int_equal(line(0, 0)->stage, STAGE_STUCK);
    assert_int_equal(line(0, 0)->question, QUESTION_FAILED);
    assert_string_equal(line(0, 0)->why, "because");
    assert_int_equal(world.r.items[0].phase, ITEM_STUCK);
    assert_int_equal(world.r.status, RUN_ACTIVE); /* the other piece goes on */
    up_to(0, 1, STAGE_VERIFY);
    step_ok(0, 1, STAGE_VERIFY);
    assert_int_equal(rig_what(&world), DECIDE_ASK);
    assert_int_equal(world.r.status, RUN_WAITING);
    uint32_t item = 9, question = line(0, 0)->question_step;
    assert_true(run_question(&world.r, question, &item) == line(0, 0) && item == 0);
    assert_null(run_question(&world.r, question + 100, NULL));
    rig_answer(&world, question, "retry");
    assert_int_equal(world.r.status, RUN_ACTIVE);
    assert_true(line(0, 0)->failures == 0 && line(0, 0)->why[0] == '\0');
    step_ok(0, 0, STAGE_ASK);
    assert_null(run_question(&world.r, question, NULL));
    step_ok(0, 0, STAGE_LOOK);
    step_ok(0, 0, STAGE_LAND);
    step_ok(0, 0, STAGE_VERIFY);
    assert_int_equal(rig_what(&world), DECIDE_DONE);
}

static void test_skip_goes_on_without_it(void **state)
{
    (void)state;
    rig_start(&world, PLAIN "- [ ] next: say\n  needs: think\n  writes: x\n", "");
    rig_step(&world, 0, 0, STAGE_ASK, OUTCOME_FAILED, NULL);
    assert_int_equal(rig_what(&world), DECIDE_ASK); /* what needs it waits, too */
    rig_answer(&world, line(0, 0)->question_step, "skip");
    is_progress(1, 2);
    step_ok(0, HEAD, STAGE_LOOK); /* of what there is; nothing, here */
    rig_step(&world, 0, HEAD, STAGE_LAND, OUTCOME_FAILED, NULL);
    rig_answer(&world, line(0, HEAD)->question_step, "skip");
    assert_int_equal(world.r.items[0].phase, ITEM_DONE);
    step_ok(1, 0, STAGE_ASK);
}

static void test_a_failure_waits_and_a_wait_ends(void **state)
{
    (void)state;
    struct decision d;
    rig_start(&world, "- [ ] a: b\n  writes: x\n  retries: 20\n", "");
    int64_t waits[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        rig_step(&world, 0, 0, STAGE_ASK, OUTCOME_FAILED, NULL);
        run_decide(&world.r, world.now_ms, &d);
        assert_int_equal(d.what, DECIDE_WAIT);
        assert_int_equal(d.wake_ms, world.now_ms + waits[i]);
        run_decide(&world.r, d.wake_ms - 1, &d);
        assert_int_equal(d.what, DECIDE_WAIT);
        assert_int_equal(world.r.status, RUN_ACTIVE); /* waiting is for persons */
        world.now_ms = d.wake_ms;
    }
    rig_step(&world, 0, 0, STAGE_ASK, OUTCOME_FAILED, NULL);
    run_decide(&world.r, world.now_ms - 3600000, &d); /* the clock was put back by an hour */
    assert_int_equal(d.what, DECIDE_INTEND);
    world.now_ms = INT64_MAX; /* or stands at its end: no overflow */
    rig_step(&world, 0, 0, STAGE_ASK, OUTCOME_FAILED, NULL);
    assert_int_equal(line(0, 0)->wake_ms, INT64_MAX);
    world.now_ms = INT64_MIN;
    run_decide(&world.r, world.now_ms, &d);
    assert_int_equal(d.what, DECIDE_INTEND);
}

static void test_final_failures_are_not_tried_again(void **state)
{
    (void)state;
    struct decision d;
    rig_start(&world, NOTE, "");
    run_decide(&world.r, 0, &d);
    assert_int_equal(rig_intend(&world, &d.wants[0]), OK);
    assert_int_equal(rig_finish(&world, OUTCOME_FAILED, NULL, "\"final\":true,"), OK);
    assert_int_equal(line(0, HEAD)->question, QUESTION_FAILED);
    assert_int_equal(rig_what(&world), DECIDE_ASK);
    rig_answer(&world, line(0, HEAD)->question_step, "skip");
    assert_int_equal(rig_what(&world), DECIDE_DONE);
}

static void test_what_went_wrong_before_does_not_count_against_the_answer(void **state)
{
    (void)state;
    listed(NOTE, "");
    for (int i = 0; i < 2; i++) {
        rig_step(&world, 0, 0, STAGE_READ, OUTCOME_FAILED, NULL);
        world.now_ms += 5000;
    }
    step_ok(0, 0, STAGE_READ);
    assert_int_equal(line(0, 0)->failures, 0);
    rig_step(&world, 0, 0, STAGE_MEASURE, OUTCOME_OK, "{\"tokens\":9,\"cuts\":[40,90]}");
    for (int i = 0; i < 2; i++) {
        rig_step(&world, 0, 0, STAGE_ASK, OUTCOME_FAILED, NULL);
        world.now_ms += 5000;
        step_ok(0, 0, STAGE_ASK);
        assert_int_equal(line(0, 0)->failures, 0);
    }
    rig_step(&world, 0, 0, STAGE_JOIN, OUTCOME_FAILED, NULL);
    world.now_ms += 5000;
    step_ok(0, 0, STAGE_JOIN);
    assert_int_equal(line(0, 0)->failures, 1); /* a check may send it back here: these count on */
}

static void test_deaths_in_a_row_are_poison(void **state)
{
    (void)state;
    rig_start(&world, PLAIN, "");
    for (int i = 0; i < 3; i++) {
        rig_step(&world, 0, 0, STAGE_ASK, i == 1 ? OUTCOME_CANCELLED : OUTCOME_LOST, NULL);
        assert_int_equal(line(0, 0)->step, 1); /* tried again under its own number */
        assert_int_equal(line(0, 0)->attempt, i + 1);
    }
    assert_int_equal(line(0, 0)->deaths, 2); /* stopping it is no death, and does not make up for one */
    rig_step(&world, 0, 0, STAGE_ASK, OUTCOME_LOST, NULL);
    assert_int_equal(line(0, 0)->question, QUESTION_POISON);
    assert_string_equal(line(0, 0)->why, "crannog or one of its programs died three times in this step");
    assert_int_equal(world.r.assumed.n[UNIT_TOKENS], 21);
    rig_answer(&world, 1, "retry");
    rig_step(&world, 0, 0, STAGE_ASK, OUTCOME_LOST, NULL);
    assert_true(line(0, 0)->step == 2 && line(0, 0)->deaths == 1);
    step_ok(0, 0, STAGE_ASK);
    assert_true(line(0, 0)->step == 2 && line(0, 0)->attempt == 2 && line(0, 0)->deaths == 0);
}

static void test_a_failure_ends_a_row_of_deaths_and_the_step(void **state)
{
    (void)state;
    listed(NOTE, "");
    up_to(0, 0, STAGE_VERIFY);
    rig_step(&world, 0, 0, STAGE_VERIFY, OUTCOME_LOST, NULL);
    uint32_t verify = line(0, 0)->step;
    rig_step(&world, 0, 0, STAGE_VERIFY, OUTCOME_FAILED, NULL);
    assert_true(line(0, 0)->step == verify && line(0, 0)->attempt == 2);
    step_ok(0, 0, STAGE_ASK); /* another stage: never under the number of the check */
    assert_true(line(0, 0)->step == verify + 1 && line(0, 0)->attempt == 1 && line(0, 0)->deaths == 0);
}

static void test_unconfirmed_is_never_tried_again_by_itself(void **state)
{
    (void)state;
    rig_start(&world, "- [ ] a: b\n  writes: x\n  retries: 20\n", "");
    rig_step(&world, 0, 0, STAGE_ASK, OUTCOME_UNCONFIRMED, NULL);
    assert_int_equal(line(0, 0)->stage, STAGE_STUCK);
    assert_int_equal(rig_what(&world), DECIDE_ASK);
}

static void test_conflicts(void **state)
{
    (void)state;
    listed(NOTE, "");
    up_to(0, 0, STAGE_LOOK);
    rig_step(&world, 0, 0, STAGE_LOOK, OUTCOME_CONFLICT, NULL);
    assert_int_equal(line(0, 0)->question, QUESTION_CONFLICT);
    rig_answer(&world, line(0, 0)->question_step, "replace");
    assert_true(line(0, 0)->replace);
    step_ok(0, 0, STAGE_LOOK);
    assert_true(line(0, 0)->replace);
    rig_step(&world, 0, 0, STAGE_LAND, OUTCOME_CONFLICT, NULL); /* changed just now */
    assert_int_equal(line(0, 0)->replaced.n, 0);
    assert_null(run_writer_of(&world.r, SLICE("n/a.md")));       /* intended is not written */
    rig_answer(&world, line(0, 0)->question_step, "retry");
    assert_false(line(0, 0)->replace);
    rig_step(&world, 0, 0, STAGE_LOOK, OUTCOME_CONFLICT, NULL);
    rig_answer(&world, line(0, 0)->question_step, "replace");
    step_ok(0, 0, STAGE_LOOK);
    step_ok(0, 0, STAGE_LAND);
    assert_false(line(0, 0)->replace); /* allowed once: what a person writes after this landing is theirs again */
    assert_true(slice_is(line(0, 0)->replaced, "00ff")); /* and what gave way can be told as long as the run is there */
    rig_step(&world, 0, 0, STAGE_VERIFY, OUTCOME_FAILED, NULL);
    step_ok(0, 0, STAGE_ASK);
    rig_step(&world, 0, 0, STAGE_LOOK, OUTCOME_CONFLICT, NULL);
    rig_answer(&world, line(0, 0)->question_step, "keep");
    assert_int_equal(line(0, 0)->stage, STAGE_SKIPPED);
    assert_true(run_writer_of(&world.r, SLICE("n/a.md")) == line(0, 0)); /* it did write it, before */
}

static void test_replace_is_for_conflicts_only(void **state)
{
    (void)state;
    rig_start(&world, PLAIN, "");
    rig_step(&world, 0, 0, STAGE_ASK, OUTCOME_FAILED, NULL);
    rig_answer(&world, line(0, 0)->question_step, "replace");
    assert_false(line(0, 0)->replace);
    step_ok(0, 0, STAGE_ASK);
}

static void test_stop_and_continue(void **state)
{
    (void)state;
    struct decision d;
    rig_start(&world, PLAIN, "");
    run_decide(&world.r, 0, &d);
    assert_int_equal(rig_intend(&world, &d.wants[0]), OK);
    assert_int_equal(rig_what(&world), DECIDE_WAIT);
    assert_int_equal(rig_apply(&world, EVENT_RUN_STOPPED, NULL, "{\"v\":0,\"why\":\"stopped at the\\u001b[2J terminal\"}"), OK);
    assert_int_equal(rig_what(&world), DECIDE_REST);
    assert_string_equal(world.r.why, "stopped at the [2J terminal");
    assert_int_equal(rig_finish(&world, OUTCOME_CANCELLED, NULL, ""), OK);
    assert_int_equal(world.r.status, RUN_STOPPED);
    assert_int_equal(rig_apply(&world, EVENT_RUN_CONTINUED, NULL, "{\"v\":0,\"by\":\"terminal\"}"), OK);
    assert_string_equal(world.r.why, "");
    step_ok(0, 0, STAGE_ASK);
    assert_int_equal(rig_apply(&world, EVENT_RUN_BLOCKED, NULL, "{\"v\":0,\"why\":\"no tokens\",\"unit\":\"tokens\"}"), OK);
    assert_int_equal(rig_what(&world), DECIDE_REST);
    assert_int_equal(world.r.status, RUN_BLOCKED);
}

static void test_a_stopped_run_intends_nothing(void **state)
{
    (void)state;
    struct decision d;
    rig_start(&world, PLAIN, "");
    run_decide(&world.r, 0, &d);
    assert_int_equal(rig_apply(&world, EVENT_RUN_STOPPED, NULL, "{}"), OK);
    assert_int_equal(rig_intend(&world, &d.wants[0]), ERR_CORRUPT);
}

static void test_exec(void **state)
{
    (void)state;
    rig_start_exec(&world, "[\"echo\",\"a b\"]");
    assert_true(slice_is(world.r.exec, "[\"echo\",\"a b\"]") && world.r.is_exec);
    rig_step(&world, 0, HEAD, STAGE_SURVEY, OUTCOME_OK, NULL);
    rig_step(&world, 0, HEAD, STAGE_EXEC, OUTCOME_LOST, NULL);
    rig_step(&world, 0, HEAD, STAGE_EXEC, OUTCOME_OK, "{\"status\":3}");
    assert_int_equal(rig_what(&world), DECIDE_DONE);
    is_progress(1, 1);
    refused(EVENT_PLAN_CHANGED, NULL, "{\"v\":0,\"plan\":\"- [ ] a: b\\n  writes: x\"}", ERR_CORRUPT, "a run of a command has no plan");
}

/* What a command changed is taken at once, or after a person's word; what is left of it is asked about again. */
static void test_layers_of_a_command(void **state)
{
    (void)state;
    rig_start_exec(&world, "[\"true\"]");
    world.changes = true;
    rig_step(&world, 0, HEAD, STAGE_SURVEY, OUTCOME_OK, "{\"backend\":\"copy\"}");
    assert_true(world.r.copies);
    rig_step(&world, 0, HEAD, STAGE_EXEC, OUTCOME_OK, NULL);
    assert_true(world.r.nlayers == 1 && slice_is(world.r.layers[0].name, "r7-1-2-1") && world.r.layers[0].changes == 3);
    rig_step(&world, 0, HEAD, STAGE_APPLY, OUTCOME_OK, NULL);
    assert_true(world.r.nlayers == 0 && world.r.nundos == 1 && world.r.undos[0].step == 3);
    assert_int_equal(rig_what(&world), DECIDE_DONE);
    rig_end(&world);

    rig_start_exec_landing(&world, "[\"true\"]", "ask");
    world.changes = true;
    rig_step(&world, 0, HEAD, STAGE_SURVEY, OUTCOME_OK, NULL);
    rig_step(&world, 0, HEAD, STAGE_EXEC, OUTCOME_OK, NULL);
    assert_true(rig_what(&world) == DECIDE_ASK && world.r.items[0].head.question == QUESTION_APPLY);
    refused(EVENT_ANSWERED, NULL, "{\"v\":0,\"question\":2,\"answer\":\"retry\"}", ERR_CORRUPT, "an unknown answer");
}

static void test_a_part_is_taken(void **state)
{
    (void)state;
    rig_start_exec_landing(&world, "[\"true\"]", "ask");
    world.changes = true;
    rig_step(&world, 0, HEAD, STAGE_SURVEY, OUTCOME_OK, NULL);
    rig_step(&world, 0, HEAD, STAGE_EXEC, OUTCOME_OK, NULL);
    assert_int_equal(rig_apply(&world, EVENT_ANSWERED, NULL, "{\"v\":0,\"question\":2,\"answer\":\"apply\",\"only\":\"" RIG_HASH "\"}"), OK);
    assert_false(hash_is_zero(&world.r.items[0].head.only));
    world.lands_nothing = true;
    rig_step(&world, 0, HEAD, STAGE_APPLY, OUTCOME_OK, "{\"rest\":\"" RIG_HASH "\",\"why\":\"2 left\"}");
    world.lands_nothing = false;
    assert_true(rig_what(&world) == DECIDE_ASK && world.r.nlayers == 1 && !hash_is_zero(&world.r.rest) && world.r.nundos == 0);
    assert_string_equal(world.r.items[0].head.why, "2 left");
    rig_answer(&world, 3, "apply");
    assert_true(hash_is_zero(&world.r.items[0].head.only));
    rig_step(&world, 0, HEAD, STAGE_APPLY, OUTCOME_CONFLICT, NULL);
    assert_int_equal(rig_what(&world), DECIDE_ASK);
    rig_answer(&world, 4, "replace");
    assert_true(world.r.items[0].head.replace);
    rig_step(&world, 0, HEAD, STAGE_APPLY, OUTCOME_OK, NULL);
    assert_true(rig_what(&world) == DECIDE_DONE && world.r.nlayers == 0 && hash_is_zero(&world.r.rest));
}

#define CHOSEN "\"chosen\":{\"of\":\"" RIG_HASH "\",\"manifest\":\"" RIG_HASH "\""

/* What was chosen hunk by hunk is for the next landing, until that has an end: then it waits on, or it was in the way. */
static void test_hunks_are_taken(void **state)
{
    (void)state;
    rig_start_take(&world, "ask");
    static const char *const bad[] = {"\"chosen\":1", "\"chosen\":{\"of\":\"" RIG_HASH "\"}", CHOSEN ",\"rest\":\"x\"}", CHOSEN ",\"part\":\"../x\"}",
                                      CHOSEN ",\"part\":7}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[400];
        snprintf(text, sizeof text, "{\"v\":0,\"question\":1,\"answer\":\"apply\",%s}", bad[i]);
        refused(EVENT_ANSWERED, NULL, text, ERR_CORRUPT, "chosen hunks without them");
        rig_end(&world);
        rig_start_take(&world, "ask");
    }
    const struct line *l = &world.r.items[0].head;
    assert_int_equal(rig_apply(&world, EVENT_ANSWERED, NULL, "{\"v\":0,\"question\":1,\"answer\":\"apply\"," CHOSEN ",\"rest\":\"" RIG_HASH
                               "\",\"part\":\"r7-1-1-part\"}}"), OK);
    assert_true(l->chosen && slice_is(l->chosen->part, "r7-1-1-part") && !hash_is_zero(&l->chosen->rest));
    rig_step(&world, 0, HEAD, STAGE_APPLY, OUTCOME_LOST, NULL);
    for (int i = 0; i < 3; i++) {
        rig_step(&world, 0, HEAD, STAGE_APPLY, OUTCOME_FAILED, NULL);
        world.now_ms += 60000;
    }
    assert_true(l->question == QUESTION_FAILED && l->landing == 2 && l->chosen);
    rig_answer(&world, l->question_step, "retry");
    assert_true(l->chosen && slice_is(l->chosen->part, "r7-1-1-part")); /* it ends as it began */
    rig_step(&world, 0, HEAD, STAGE_APPLY, OUTCOME_OK, "{\"rest\":\"" RIG_HASH "\",\"why\":\"2 left\"}");
    assert_true(l->question == QUESTION_APPLY && !l->chosen && !hash_is_zero(&world.r.rest) && world.r.nlayers == 1 && world.r.nundos == 1);
    char text[400];
    snprintf(text, sizeof text, "{\"v\":0,\"question\":%u,\"answer\":\"apply\"," CHOSEN "}}", l->question_step);
    assert_int_equal(rig_apply(&world, EVENT_ANSWERED, NULL, text), OK);
    assert_true(l->chosen && !l->chosen->part.n && hash_is_zero(&l->chosen->rest));
    rig_step(&world, 0, HEAD, STAGE_APPLY, OUTCOME_CONFLICT, NULL);
    assert_true(l->question == QUESTION_CONFLICT && !l->chosen && !hash_is_zero(&world.r.rest) && world.r.nundos == 1);
    rig_answer(&world, l->question_step, "retry");
    assert_null(l->chosen);
    rig_step(&world, 0, HEAD, STAGE_APPLY, OUTCOME_OK, NULL);
    assert_true(rig_what(&world) == DECIDE_DONE && world.r.nlayers == 0 && world.r.nundos == 2);
}

/* Paths that were chosen are for one landing: an agent's next one takes all again. */
static void test_a_choice_is_for_one_landing(void **state)
{
    (void)state;
    rig_start_take(&world, "ask");
    assert_int_equal(rig_apply(&world, EVENT_ANSWERED, NULL, "{\"v\":0,\"question\":1,\"answer\":\"apply\",\"only\":\"" RIG_HASH "\"}"), OK);
    rig_step(&world, 0, HEAD, STAGE_APPLY, OUTCOME_OK, NULL);
    assert_true(hash_is_zero(&world.r.items[0].head.only));
}

static void test_a_plan_that_lands_at_its_end(void **state)
{
    (void)state;
    for (int asks = 0; asks < 2; asks++) {
        rig_start_landing(&world, "---\nverify: make check\n---\n- [ ] a: b\n  writes: x.md\n", "", asks ? "ask" : "end");
        rig_step(&world, 0, 0, STAGE_ASK, OUTCOME_OK, NULL);
        rig_step(&world, 0, HEAD, STAGE_LOOK, OUTCOME_OK, NULL);
        rig_step(&world, 0, HEAD, STAGE_LAND, OUTCOME_OK, NULL);
        assert_int_equal(world.r.nlayers, 1);
        rig_step(&world, 1, HEAD, STAGE_VERIFY, OUTCOME_OK, NULL);
        assert_int_equal(rig_what(&world), asks ? DECIDE_ASK : DECIDE_INTEND);
        if (asks) {
            assert_int_equal(world.r.items[2].head.question_step, 5);
            rig_answer(&world, 5, "skip");
            assert_int_equal(world.r.nlayers, 1); /* a fork can still take it */
        } else {
            rig_step(&world, 2, HEAD, STAGE_APPLY, OUTCOME_OK, NULL);
            assert_int_equal(world.r.nlayers, 0);
        }
        assert_int_equal(rig_what(&world), DECIDE_DONE);
        if (!asks)
            rig_end(&world);
    }
}

/* A landing that failed half way is ended as it began, over the undo folder of the step that began it: another folder would
   not have what was replaced so far. */
static void test_a_landing_that_failed_is_ended_first(void **state)
{
    (void)state;
    rig_start_take(&world, "ask");
    const struct line *l = &world.r.items[0].head;
    assert_int_equal(rig_apply(&world, EVENT_ANSWERED, NULL, "{\"v\":0,\"question\":1,\"answer\":\"apply\",\"only\":\"" RIG_HASH "\"}"), OK);
    rig_step(&world, 0, HEAD, STAGE_APPLY, OUTCOME_LOST, NULL);
    for (int i = 0; i < 3; i++) {
        assert_true(l->landing == 2 && l->stage == STAGE_APPLY);
        rig_step(&world, 0, HEAD, STAGE_APPLY, OUTCOME_FAILED, NULL);
        world.now_ms += 60000;
    }
    assert_true(l->question == QUESTION_FAILED && l->landing == 2);
    rig_answer(&world, l->question_step, "retry");
    assert_true(l->landing == 2 && l->allowed && !hash_is_zero(&l->only)); /* all of it, it says now: after this */
    rig_step(&world, 0, HEAD, STAGE_APPLY, OUTCOME_OK, "{\"rest\":\"" RIG_HASH "\",\"why\":\"2 left\"}");
    assert_true(l->question == QUESTION_APPLY && l->landing == 0);
    rig_answer(&world, l->question_step, "apply");
    assert_true(hash_is_zero(&l->only));
    rig_step(&world, 0, HEAD, STAGE_APPLY, OUTCOME_CONFLICT, NULL);
    assert_int_equal(l->landing, 0);
    rig_answer(&world, l->question_step, "replace");
    uint32_t began = world.r.next_step;
    rig_step(&world, 0, HEAD, STAGE_APPLY, OUTCOME_FAILED, NULL);
    assert_true(l->landing == began && l->replace);
}

/* What a changed plan adds would be a layer that the rest of the last landing does not know: it would never land. */
static void test_a_plan_stays_while_a_part_of_it_is_in_the_folder(void **state)
{
    (void)state;
    static const char plan[] = "- [ ] a: b\n  writes: x.md\n", changed[] = "{\"v\":0,\"plan\":\"- [ ] a: b\\n  writes: x.md\\n- [ ] c: d\\n  writes: y.md\\n\"}";
    for (int how = 0; how < 3; how++) {
        rig_start_landing(&world, plan, "", "ask");
        rig_step(&world, 0, 0, STAGE_ASK, OUTCOME_OK, NULL);
        rig_step(&world, 0, HEAD, STAGE_LOOK, OUTCOME_OK, NULL);
        rig_step(&world, 0, HEAD, STAGE_LAND, OUTCOME_OK, NULL);
        rig_answer(&world, 4, "apply");
        if (how == 0)
            rig_step(&world, 1, HEAD, STAGE_APPLY, OUTCOME_OK, "{\"rest\":\"" RIG_HASH "\",\"why\":\"2 left\"}");
        else
            rig_step(&world, 1, HEAD, STAGE_APPLY, how == 1 ? OUTCOME_LOST : OUTCOME_CONFLICT, NULL);
        assert_int_equal(rig_apply(&world, EVENT_PLAN_CHANGED, NULL, changed), how == 2 ? OK : ERR_CONFLICT);
        rig_end(&world);
    }
    rig_start_landing(&world, plan, "", "ask"); /* for the teardown */
}

/* What could not even be prepared has not begun. */
static void test_a_landing_that_was_refused_has_not_begun(void **state)
{
    (void)state;
    rig_start_take(&world, "step");
    world.refused = true;
    rig_step(&world, 0, HEAD, STAGE_APPLY, OUTCOME_FAILED, NULL);
    assert_int_equal(world.r.items[0].head.landing, 0);
}

/* Past sixteen they become one, also when another line has pushed one meanwhile. */
static void test_many_layers_are_squashed(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf plan = BUF_INIT(1 << 16);
    for (int i = 0; i < 18; i++)
        buf_addf(&plan, "- [ ] a%d: b\n  writes: x%d.md\n", i, i);
    rig_start_landing(&world, buf_str(&plan), "", "end");
    for (uint32_t i = 0; i < 18; i++) {
        rig_step(&world, i, 0, STAGE_ASK, OUTCOME_OK, NULL);
        rig_step(&world, i, HEAD, STAGE_LOOK, OUTCOME_OK, NULL);
        rig_step(&world, i, HEAD, STAGE_LAND, OUTCOME_OK, NULL);
        if (i == RUN_LAYERS_KEPT) {
            assert_int_equal(world.r.nlayers, RUN_LAYERS_KEPT + 1);
            rig_step(&world, i, HEAD, STAGE_SQUASH, OUTCOME_LOST, NULL);
            rig_step(&world, i, HEAD, STAGE_SQUASH, OUTCOME_OK, NULL);
            assert_int_equal(world.r.nlayers, 1);
        }
    }
    assert_int_equal(world.r.nlayers, 2);
}

static void test_what_only_takes(void **state)
{
    (void)state;
    rig_start_take(&world, "step");
    assert_true(world.r.is_take && world.r.origin_run == 3 && slice_is(world.r.origin, "undo"));
    rig_step(&world, 0, HEAD, STAGE_APPLY, OUTCOME_FAILED, NULL);
    world.now_ms += 5000;
    rig_step(&world, 0, HEAD, STAGE_APPLY, OUTCOME_OK, NULL);
    assert_int_equal(rig_what(&world), DECIDE_DONE);
    rig_end(&world);
    rig_start_take(&world, "ask");
    assert_int_equal(rig_what(&world), DECIDE_ASK);
    rig_answer(&world, 1, "apply");
    rig_step(&world, 0, HEAD, STAGE_APPLY, OUTCOME_OK, NULL);
}

static void test_slots(void **state)
{
    (void)state;
    struct decision d;
    listed(NOTE, "\"slots\":2,");
    run_decide(&world.r, 0, &d);
    assert_true(d.nwants == 2 && d.wants[0].step == 2 && d.wants[1].step == 3 && d.wants[1].piece == 1);
    assert_int_equal(rig_intend(&world, &d.wants[0]), OK);
    assert_int_equal(rig_intend(&world, &d.wants[1]), OK);
    assert_int_equal(rig_what(&world), DECIDE_WAIT);
    const char *args = world.r.open[1].args.p;
    assert_int_equal(rig_finish(&world, OUTCOME_OK, rig_result(STAGE_READ), ""), OK);
    assert_true(world.r.nopen == 1 && world.r.open[0].piece == 1 && world.r.open[0].args.p == args);
    assert_true(slice_is(world.r.open[0].args, "{}"));
    run_decide(&world.r, 0, &d);
    assert_true(d.nwants == 1 && d.wants[0].stage == STAGE_MEASURE && d.wants[0].step == 4);
    assert_int_equal(rig_intend(&world, &d.wants[0]), OK);
    assert_true(slice_is(world.r.open[0].args, "{}") && world.r.open[0].args.p != world.r.open[1].args.p);
}

static void test_items_start_in_order_unless_one_cannot_move(void **state)
{
    (void)state;
    struct decision d;
    rig_start(&world, PLAIN "- [ ] b: say\n  writes: b\n  retries: 5\n- [ ] c: say\n  writes: c\n", "\"slots\":4,");
    run_decide(&world.r, world.now_ms, &d);
    assert_true(d.nwants == 1 && d.wants[0].item == 0);
    rig_step(&world, 0, 0, STAGE_ASK, OUTCOME_FAILED, NULL);
    rig_step(&world, 1, 0, STAGE_ASK, OUTCOME_FAILED, NULL);
    run_decide(&world.r, world.now_ms, &d); /* b waits only for its time */
    assert_int_equal(d.what, DECIDE_WAIT);
    rig_answer(&world, line(0, 0)->question_step, "retry");
    run_decide(&world.r, world.now_ms, &d);
    assert_true(d.nwants == 1 && d.wants[0].item == 0);
}

/* ---- changes of the plan ---- */

static enum err change(const char *plan)
{
    BUF_CLEANUP struct buf b = BUF_INIT(10000);
    JSON_CLEANUP struct json *o = json_object();
    json_put_text(o, "plan", slice_of(plan));
    json_print(o, &b);
    return rig_apply(&world, EVENT_PLAN_CHANGED, NULL, buf_str(&b));
}

static void test_a_plan_changes_behind_what_was_started(void **state)
{
    (void)state;
    listed("---\nverify: v\n---\n" NOTE "- [ ] old: x\n  writes: o\n", "");
    up_to(0, 0, STAGE_LAND);
    assert_int_equal(change("---\nverify: v\n---\n" NOTE "- [ ] new: for each `t/*`, x\n  writes: o\n- [ ] more: y\n  writes: p\n"), OK);
    assert_int_equal(world.r.nitems, 4);
    assert_true(slice_is(line(0, 0)->source, "s/a.md") && slice_is(world.r.items[0].plan->name, "note"));
    assert_true(world.r.items[3].plan == NULL && line(3, HEAD)->stage == STAGE_VERIFY && line(1, HEAD)->stage == STAGE_LIST);
    step_ok(0, 0, STAGE_LAND);
    assert_int_equal(change(NOTE), OK);
    assert_int_equal(world.r.nitems, 1);
    step_ok(0, 0, STAGE_VERIFY);
    up_to(0, 1, STAGE_VERIFY);
    step_ok(0, 1, STAGE_VERIFY);
    assert_int_equal(rig_what(&world), DECIDE_DONE);
    assert_int_equal(change("---\nverify: v\n---\n" NOTE), OK); /* a check is added when all is done */
    rig_step(&world, 1, HEAD, STAGE_VERIFY, OUTCOME_FAILED, NULL);
    uint32_t question = line(1, HEAD)->question_step;
    assert_int_equal(rig_what(&world), DECIDE_ASK);
    assert_int_equal(change("---\nverify: v\n---\n" NOTE "- [ ] mend: x\n  writes: m\n"), OK); /* its place shifts */
    assert_null(run_question(&world.r, question, NULL)); /* another plan is checked anew */
    assert_int_equal(world.r.status, RUN_ACTIVE);
    step_ok(1, 0, STAGE_ASK);
    step_ok(1, HEAD, STAGE_LOOK);
    step_ok(1, HEAD, STAGE_LAND);
    step_ok(2, HEAD, STAGE_VERIFY);
    assert_int_equal(rig_what(&world), DECIDE_DONE);
}

static void test_what_was_started_does_not_change(void **state)
{
    (void)state;
    listed(NOTE "- [ ] next: x\n  writes: o\n", "");
    refused(EVENT_PLAN_CHANGED, NULL, "{\"plan\":\"- [ ] next: x\\n  writes: o\\n\"}", ERR_CONFLICT,
            "item 'note' of the plan has been started and was changed or moved since (was: say it); put it back, or start anew with --again");
}

static void test_no_change_while_a_step_is_open(void **state)
{
    (void)state;
    struct decision d;
    rig_start(&world, "---\nverify: v\n---\n" PLAIN, "");
    run_decide(&world.r, 0, &d);
    assert_int_equal(rig_intend(&world, &d.wants[0]), OK);
    refused(EVENT_PLAN_CHANGED, NULL, "{\"plan\":\"- [ ] think: say it\\n  writes: t.md\\n\"}", ERR_CORRUPT, "while a step is open");
}

static void test_ticks(void **state)
{
    (void)state;
    rig_start(&world, "- [x] a: b\n  writes: x\n- [ ] c: d\n  needs: a\n  writes: y\n", "");
    assert_true(world.r.items[0].phase == ITEM_DONE && !world.r.items[0].started);
    is_progress(1, 2);
    step_ok(1, 0, STAGE_ASK); /* what is ticked is not in the way */
    assert_int_equal(change("- [ ] a: other\n  writes: z\n- [ ] c: d\n  needs: a\n  writes: y\n"), OK); /* unticked, and changed */
    is_progress(1, 2);
    step_ok(0, 0, STAGE_ASK);
    step_ok(0, HEAD, STAGE_LOOK);
    assert_int_equal(change("- [x] a: other\n  writes: z\n- [x] c: d\n  needs: a\n  writes: y\n"), OK);
    step_ok(0, HEAD, STAGE_LAND); /* a tick does not undo what was begun */
}

/* ---- what the fold refuses ---- */

static void test_payloads_that_do_not_fit(void **state)
{
    (void)state;
    static const struct { enum event_type type; const char *payload, *why; enum err code; } table[] = {
        {EVENT_RUN_STARTED, "{}", "starts twice", ERR_CORRUPT},
        {EVENT_RUN_STOPPED, "[]", "payload is not an object", ERR_CORRUPT},
        {EVENT_RUN_STOPPED, "{", "offset", ERR_CORRUPT},
        {EVENT_RUN_STOPPED, "", "offset", ERR_CORRUPT},
        {EVENT_RUN_STOPPED, "{\"v\":1}", "written by a newer crannog", ERR_VERSION},
        {EVENT_RUN_ENDED, "{\"status\":\"done\"}", "an end that does not fit", ERR_CORRUPT},
        {EVENT_RUN_ENDED, "{\"status\":\"well\"}", "an end that does not fit", ERR_CORRUPT},
        {EVENT_PLAN_CHANGED, "{}", "plan", ERR_CORRUPT},
        {EVENT_PLAN_CHANGED, "{\"plan\":\"no items\"}", "plan has no items", ERR_USAGE},
        {EVENT_STEP_FINISHED, "{\"outcome\":\"ok\"}", "a finish without its intent", ERR_CORRUPT},
        {EVENT_ANSWERED, "{\"question\":1,\"answer\":\"retry\"}", "a question that is not open", ERR_CORRUPT},
        {EVENT_ANSWERED, "{\"answer\":\"retry\"}", "question", ERR_CORRUPT},
        {EVENT_ANSWERED, "{\"question\":-1,\"answer\":\"retry\"}", "a question that is not open", ERR_CORRUPT},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        rig_start(&world, NOTE, "");
        refused(table[i].type, NULL, table[i].payload, table[i].code, table[i].why);
        if (i + 1 < sizeof table / sizeof *table)
            rig_end(&world);
    }
}

static void test_intents_that_do_not_fit(void **state)
{
    (void)state;
    static const char well[] = "\"item\":0,\"piece\":-1,\"stage\":\"list\",\"act\":\"tool\",\"class\":\"reads\"";
    static const struct { const char *what; struct step_key key; const char *why; } table[] = {
        {"\"item\":1,\"piece\":-1,\"stage\":\"list\",\"act\":\"tool\",\"class\":\"reads\"", {7, 1, 1, 1}, "run's state"},
        {"\"item\":0,\"piece\":0,\"stage\":\"list\",\"act\":\"tool\",\"class\":\"reads\"", {7, 1, 1, 1}, "run's state"},
        {"\"item\":0,\"piece\":-2,\"stage\":\"list\",\"act\":\"tool\",\"class\":\"reads\"", {7, 1, 1, 1}, "run's state"},
        {"\"item\":-1,\"piece\":-1,\"stage\":\"list\",\"act\":\"tool\",\"class\":\"reads\"", {7, 1, 1, 1}, "run's state"},
        {"\"item\":4294967296,\"piece\":-1,\"stage\":\"list\",\"act\":\"tool\",\"class\":\"reads\"", {7, 1, 1, 1}, "run's state"},
        {"\"item\":0,\"piece\":4294967295,\"stage\":\"list\",\"act\":\"tool\",\"class\":\"reads\"", {7, 1, 1, 1}, "run's state"},
        {"\"item\":0,\"piece\":-1,\"stage\":\"read\",\"act\":\"tool\",\"class\":\"reads\"", {7, 1, 1, 1}, "run's state"},
        {"\"item\":0,\"piece\":-1,\"stage\":\"list\",\"act\":\"magic\",\"class\":\"reads\"", {7, 1, 1, 1}, "run's state"},
        {"\"item\":0,\"piece\":-1,\"stage\":\"list\",\"act\":\"tool\",\"class\":\"\"", {7, 1, 1, 1}, "run's state"},
        {"\"item\":\"0\",\"piece\":-1,\"stage\":\"list\",\"act\":\"tool\",\"class\":\"reads\"", {7, 1, 1, 1}, "run's state"},
        {well, {7, 1, 2, 1}, "a key that is not the next one"}, {well, {7, 1, 1, 2}, "a key that is not the next one"},
        {well, {7, 1, 0, 1}, "a key that is not the next one"}, {well, {7, 2, 1, 1}, "a key that is not the next one"},
        {well, {8, 1, 1, 1}, "it is of run r8"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        BUF_CLEANUP struct buf b = BUF_INIT(1000);
        rig_start(&world, NOTE, "");
        buf_addf(&b, "{\"v\":0,%s,\"args\":{}}", table[i].what);
        refused(EVENT_STEP_INTENDED, &table[i].key, buf_str(&b), ERR_CORRUPT, table[i].why);
        if (i + 1 < sizeof table / sizeof *table)
            rig_end(&world);
    }
}

static void test_results_that_do_not_fit(void **state)
{
    (void)state;
    static const struct { enum stage at; enum outcome outcome; const char *result, *why; } table[] = {
        {STAGE_READ, OUTCOME_OK, "{\"text\":\"" RIG_HASH "\",\"bytes\":9}", "hash"},
        {STAGE_READ, OUTCOME_OK, "{\"hash\":\"" RIG_HASH "\",\"text\":\"00\",\"bytes\":9}", "text is not a hash"},
        {STAGE_READ, OUTCOME_OK, "{\"hash\":\"" RIG_HASH "\",\"text\":\"" RIG_HASH "\",\"bytes\":-1}", "bytes is out of bounds"},
        {STAGE_READ, OUTCOME_CONFLICT, "{}", "a conflict where nothing is written"},
        {STAGE_MEASURE, OUTCOME_OK, "{}", "a document in 0 parts"},
        {STAGE_MEASURE, OUTCOME_OK, "{\"cuts\":{\"a\":90}}", "a document in 0 parts"},
        {STAGE_MEASURE, OUTCOME_OK, "{\"cuts\":[0,90]}", "do not ascend"},
        {STAGE_MEASURE, OUTCOME_OK, "{\"cuts\":[50,50,90]}", "do not ascend"},
        {STAGE_MEASURE, OUTCOME_OK, "{\"cuts\":[91]}", "do not ascend"},
        {STAGE_MEASURE, OUTCOME_OK, "{\"cuts\":[\"90\"]}", "do not ascend"},
        {STAGE_MEASURE, OUTCOME_OK, "{\"cuts\":[50,89]}", "leave out its end"},
        {STAGE_MEASURE, OUTCOME_OK, "{\"cuts\":[90],\"tokens\":-5}", "tokens is out of bounds"},
        {STAGE_ASK, OUTCOME_OK, "{}", "text"},
        {STAGE_LOOK, OUTCOME_OK, "{}", "stamp"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct decision d;
        listed(NOTE, "");
        up_to(0, 0, table[i].at);
        run_decide(&world.r, 0, &d);
        assert_int_equal(rig_intend(&world, &d.wants[0]), OK);
        enum err err = rig_finish(&world, table[i].outcome, table[i].result, "");
        if (err != ERR_CORRUPT || !strstr(world.e.text, table[i].why))
            fail_msg("%s: %s", table[i].result, world.e.text);
        if (i + 1 < sizeof table / sizeof *table)
            rig_end(&world);
    }
}

static void test_more_files_or_parts_than_allowed(void **state)
{
    (void)state;
    struct decision d;
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    buf_add_text(&b, "{\"paths\":[\"a\"");
    for (int i = 0; i < RUN_PIECES_MAX; i++)
        buf_add_text(&b, ",\"a\"");
    buf_add_text(&b, "]}");
    rig_start(&world, NOTE, "");
    run_decide(&world.r, 0, &d);
    assert_int_equal(rig_intend(&world, &d.wants[0]), OK);
    assert_int_equal(rig_finish(&world, OUTCOME_OK, buf_str(&b), ""), ERR_LIMIT);
    rig_end(&world);

    listed(NOTE, "");
    up_to(0, 0, STAGE_MEASURE);
    run_decide(&world.r, 0, &d);
    assert_int_equal(rig_intend(&world, &d.wants[0]), OK);
    buf_reset(&b);
    buf_add_text(&b, "{\"cuts\":[1");
    for (int i = 0; i < RUN_PARTS_MAX; i++)
        buf_addf(&b, ",%d", i + 2);
    buf_add_text(&b, "]}");
    assert_int_equal(rig_finish(&world, OUTCOME_OK, buf_str(&b), ""), ERR_LIMIT);
}

static void test_more_is_settled_than_was_held(void **state)
{
    (void)state;
    struct decision d;
    rig_start(&world, NOTE, "");
    run_decide(&world.r, 0, &d);
    assert_int_equal(rig_intend(&world, &d.wants[0]), OK);
    refused(EVENT_STEP_FINISHED, &(struct step_key){7, 1, 1, 1}, "{\"outcome\":\"ok\",\"used\":{\"tokens\":101},\"result\":{\"paths\":[]}}",
            ERR_CORRUPT, "more tokens settled than was reserved");
}

static void test_a_landing_goes_where_the_look_was(void **state)
{
    (void)state;
    struct step_key key = {7, 1, 0, 1};
    listed(NOTE, "");
    up_to(0, 0, STAGE_LAND);
    key.step = world.r.next_step;
    refused(EVENT_STEP_INTENDED, &key, "{\"item\":0,\"piece\":0,\"stage\":\"land\",\"act\":\"landing\",\"class\":\"redo\",\"args\":{\"path\":"
            "\"n/other.md\",\"content\":\"" RIG_HASH "\"}}", ERR_CORRUPT, "a bad path");
}

static void test_words_are_cut_between_characters(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(2000);
    rig_start(&world, NOTE, "");
    buf_add_text(&b, "{\"why\":\"x");
    for (int i = 0; i < 200; i++)
        buf_add_text(&b, "\xe2\x82\xac");
    buf_add_text(&b, "\"}");
    assert_int_equal(rig_apply(&world, EVENT_RUN_STOPPED, NULL, buf_str(&b)), OK);
    assert_int_equal(strlen(world.r.why), 1 + 3 * 79);
    assert_true(slice_is_utf8(slice_of(world.r.why)));
}

static void test_names(void **state)
{
    (void)state;
    for (enum outcome o = OUTCOME_OK; o < OUTCOMES; o++)
        assert_int_equal(outcome_from(slice_of(outcome_name(o))), o);
    assert_int_equal(outcome_from(SLICE("unknown")), 0);
    assert_int_equal(outcome_from(SLICE_NONE), 0);
    assert_string_equal(stage_name(STAGE_SKIPPED), "skipped");
    assert_string_equal(stage_name(STAGES), "unknown");
    assert_string_equal(run_status_name(RUN_BROKEN), "broken");
    assert_string_equal(act_name(0), "unknown");
    assert_string_equal(class_name(CLASS_ONCE), "once");
}

/* A large run stays in its memory, and what one more event costs does not grow with what was done (reported only). */
static void test_ten_thousand_pieces(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    struct timespec from, to;
    double half = 0, all;
    rig_start(&world, NOTE, "");
    world.keeps_none = true;
    buf_add_text(&b, "{\"paths\":[\"s/0.md\"");
    for (int i = 1; i < RUN_PIECES_MAX; i++)
        buf_addf(&b, ",\"s/%d.md\"", i);
    buf_add_text(&b, "]}");
    clock_gettime(CLOCK_MONOTONIC, &from);
    rig_step(&world, 0, HEAD, STAGE_LIST, OUTCOME_OK, buf_str(&b));
    for (int32_t k = 0; k < RUN_PIECES_MAX; k++) {
        if (k == 0)
            rig_step(&world, 0, 0, STAGE_READ, OUTCOME_UNCONFIRMED, NULL); /* a stuck one in front of all others */
        else {
            up_to(0, k, STAGE_VERIFY);
            step_ok(0, k, STAGE_VERIFY);
        }
        clock_gettime(CLOCK_MONOTONIC, &to);
        half = k < RUN_PIECES_MAX / 2 ? (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9 : half;
    }
    all = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    print_message("%llu events made and folded in %.2f s, the first half in %.2f s; %zu KiB of memory\n", (unsigned long long)world.r.seq,
                  all, half, world.arena.used >> 10);
    assert_int_equal(rig_what(&world), DECIDE_ASK);
    is_progress(RUN_PIECES_MAX - 1, RUN_PIECES_MAX);
    assert_true(world.arena.used < RUN_ARENA_BYTES / 3);
}

int main(void)
{
#define T(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_note_and_a_briefing), T(test_a_long_document_is_read_in_parts_and_joined), T(test_an_item_without_files),
        T(test_no_files_at_all), T(test_a_check_that_fails_asks_again_and_then_a_person), T(test_skip_goes_on_without_it),
        T(test_a_failure_waits_and_a_wait_ends), T(test_final_failures_are_not_tried_again),
        T(test_what_went_wrong_before_does_not_count_against_the_answer), T(test_deaths_in_a_row_are_poison),
        T(test_a_failure_ends_a_row_of_deaths_and_the_step), T(test_unconfirmed_is_never_tried_again_by_itself), T(test_conflicts),
        T(test_replace_is_for_conflicts_only), T(test_stop_and_continue), T(test_a_stopped_run_intends_nothing), T(test_exec), T(test_slots),
        T(test_layers_of_a_command), T(test_a_part_is_taken), T(test_a_plan_that_lands_at_its_end), T(test_many_layers_are_squashed),
        T(test_what_only_takes), T(test_hunks_are_taken), T(test_a_choice_is_for_one_landing), T(test_a_landing_that_failed_is_ended_first), T(test_a_landing_that_was_refused_has_not_begun),
        T(test_a_plan_stays_while_a_part_of_it_is_in_the_folder),
        T(test_items_start_in_order_unless_one_cannot_move), T(test_a_plan_changes_behind_what_was_started),
        T(test_what_was_started_does_not_change), T(test_no_change_while_a_step_is_open), T(test_ticks), T(test_payloads_that_do_not_fit),
        T(test_intents_that_do_not_fit), T(test_results_that_do_not_fit), T(test_more_files_or_parts_than_allowed),
        T(test_more_is_settled_than_was_held), T(test_a_landing_goes_where_the_look_was), T(test_words_are_cut_between_characters),
        cmocka_unit_test(test_names), T(test_ten_thousand_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
