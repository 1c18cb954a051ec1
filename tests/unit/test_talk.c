/*
 * The talk of an agent as a fold of events: its rounds, what a person does in the middle of one, what ends it, what is made
 * shorter and taken back. A round is written as what the run wants and how that ends; the turns then stand as a word,
 * S said, A answer, R result, N note.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/fold_rig.h"

static struct rig world;

#define WELL(call) do { if (call) fail_msg("%s: %s", #call, world.e.text); } while (0)
#define CALL_OF(name) "{\"name\":\"" name "\"}"
#define ASKS(calls) "{\"turn\":\"" RIG_HASH "\",\"bytes\":50,\"tokens\":200,\"calls\":[" calls "]}"

static int setup(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_end(&world);
    return 0;
}

static const struct line *line(void) { return run_line_const(&world.r, 0, HEAD); }
static const struct talk *talk(void) { return line()->talk; }

/* The turns are these, from the first on. */
static void turns_are(const char *want)
{
    static const char kinds[] = "?SARN";
    char is[200] = "";
    for (size_t i = 0; i < talk()->nturns && i < sizeof is - 1; i++)
        is[i] = kinds[talk()->turns[i].kind];
    assert_string_equal(is, want);
}

static void step(enum stage stage, enum outcome outcome, const char *result)
{
    rig_step(&world, 0, HEAD, stage, outcome, result);
}

static void well(enum stage stage) { step(stage, OUTCOME_OK, NULL); }

/* An agent that has its instructions and was told one thing. */
static void begin_landing(const char *how, const char *land)
{
    rig_start_agent(&world, how, "", land);
    WELL(rig_say(&world, "now"));
    well(STAGE_SURVEY);
    well(STAGE_INSTRUCT);
}

static void begin(const char *how) { begin_landing(how, "end"); }

#define ATTENDED "{\"attended\":true}"
#define GOAL "{\"checks\":1}"
#define CHECKED "{\"verify\":\"make check\",\"checks\":3}"

/* Intends the next step of this stage and leaves it open. */
static void open_step(enum stage stage)
{
    struct decision d;
    run_decide(&world.r, world.now_ms, &d);
    assert_int_equal(d.what, DECIDE_INTEND);
    assert_string_equal(stage_name(d.wants[0].stage), stage_name(stage));
    WELL(rig_intend(&world, &d.wants[0]));
}

static void close_step(enum outcome outcome, const char *result)
{
    WELL(rig_finish(&world, outcome, result, ""));
}

static void stop(void)
{
    WELL(rig_apply(&world, EVENT_RUN_STOPPED, NULL, "{\"v\":0,\"why\":\"stopped\"}"));
}

static void go_on(void)
{
    WELL(rig_apply(&world, EVENT_RUN_CONTINUED, NULL, "{\"v\":0,\"by\":\"terminal\"}"));
}

static void rewind_to(int turns, int after)
{
    char text[100];
    snprintf(text, sizeof text, "{\"v\":0,\"turns\":%d,\"after\":%d}", turns, after);
    WELL(rig_apply(&world, EVENT_REWOUND, NULL, text));
}

/* It waits for a person: nothing is wanted, nothing is over. */
static void waits(void)
{
    assert_string_equal(stage_name(line()->stage), "talk");
    assert_int_equal(rig_what(&world), DECIDE_ASK);
}

/* ---- rounds ---- */

static void test_an_attended_round(void **state)
{
    (void)state;
    begin(ATTENDED);
    turns_are("");
    open_step(STAGE_THINK);
    turns_are("S"); /* taken in by the intent */
    close_step(OUTCOME_OK, ASKS(CALL_OF("read") "," CALL_OF("bash")));
    well(STAGE_CALL);
    turns_are("SAR");
    well(STAGE_CALL);
    well(STAGE_THINK);
    turns_are("SARRA");
    waits();
    assert_int_equal(world.r.status, RUN_WAITING);
    assert_true(talk()->context == 200 && talk()->fresh == 0);
    WELL(rig_say(&world, "now"));
    well(STAGE_THINK);
    turns_are("SARRASA");
    waits();
}

static void test_an_agent_without_a_word_waits(void **state)
{
    (void)state;
    rig_start_agent(&world, GOAL, "", "end");
    well(STAGE_SURVEY);
    well(STAGE_INSTRUCT);
    waits();
}

static void test_a_goal_is_done_when_the_model_says_so(void **state)
{
    (void)state;
    begin(GOAL);
    well(STAGE_THINK);
    assert_int_equal(rig_what(&world), DECIDE_DONE);
    WELL(rig_apply(&world, EVENT_RUN_ENDED, NULL, "{\"v\":0,\"status\":\"done\"}"));
    assert_int_equal(rig_say(&world, "now"), ERR_CORRUPT);
}

static void test_changes_land_at_the_end_or_step_by_step(void **state)
{
    (void)state;
    begin(GOAL);
    world.changes = true;
    step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash")));
    well(STAGE_CALL);
    assert_int_equal(world.r.nlayers, 1);
    well(STAGE_THINK);
    rig_step(&world, 1, HEAD, STAGE_APPLY, OUTCOME_OK, NULL);
    assert_int_equal(rig_what(&world), DECIDE_DONE);
    rig_end(&world);

    begin_landing(ATTENDED, "step");
    world.changes = true;
    step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash") "," CALL_OF("write")));
    well(STAGE_CALL);
    well(STAGE_APPLY);
    well(STAGE_CALL);
    well(STAGE_APPLY);
    assert_true(world.r.nlayers == 0 && world.r.nundos == 2);
    world.changes = false;
    well(STAGE_THINK);
    waits();
}

static void test_a_commit_is_the_last_step(void **state)
{
    (void)state;
    begin("{\"verify\":\"make check\",\"checks\":3,\"commits\":true}");
    world.changes = true;
    step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash")));
    well(STAGE_CALL);
    well(STAGE_THINK);
    well(STAGE_VERIFY);
    well(STAGE_COMMIT);
    assert_false(hash_is_zero(&world.r.rest));
    rig_step(&world, 1, HEAD, STAGE_APPLY, OUTCOME_OK, NULL);
    assert_int_equal(rig_what(&world), DECIDE_DONE);
}

static void test_an_agent_that_changed_nothing_makes_no_commit(void **state)
{
    (void)state;
    begin("{\"checks\":1,\"commits\":true}");
    well(STAGE_THINK);
    assert_int_equal(rig_what(&world), DECIDE_DONE);
}

static void test_a_question_of_the_model(void **state)
{
    (void)state;
    begin(ATTENDED);
    step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("read") ",{\"name\":\"ask\",\"question\":\"Which\\u001b one?\"}," CALL_OF("bash")));
    well(STAGE_CALL);
    assert_true(line()->question == QUESTION_ASK && rig_what(&world) == DECIDE_ASK);
    assert_string_equal(line()->why, "Which  one?");
    assert_string_equal(question_words(line()), "your words");
    char text[200];
    snprintf(text, sizeof text, "{\"v\":0,\"question\":%u,\"answer\":\"that\",\"turn\":\"" RIG_HASH "\",\"bytes\":20}", line()->question_step);
    WELL(rig_apply(&world, EVENT_ANSWERED, NULL, text));
    turns_are("SARR");
    well(STAGE_CALL);
    well(STAGE_THINK);
    turns_are("SARRRA");
}

/* ---- failures ---- */

static void test_a_check_that_fails_is_told_and_then_asked_about(void **state)
{
    (void)state;
    begin(CHECKED);
    for (int i = 0; i < 2; i++) {
        well(STAGE_THINK);
        step(STAGE_VERIFY, OUTCOME_FAILED, "{\"turn\":\"" RIG_HASH "\",\"bytes\":80}");
    }
    turns_are("SANAN");
    well(STAGE_THINK);
    step(STAGE_VERIFY, OUTCOME_FAILED, "{\"turn\":\"" RIG_HASH "\",\"bytes\":80}");
    assert_true(line()->question == QUESTION_FAILED && line()->resume == STAGE_VERIFY && rig_what(&world) == DECIDE_ASK);
    turns_are("SANANAN"); /* also the last time: whoever goes on knows why */
    rig_answer(&world, line()->question_step, "retry");
    well(STAGE_VERIFY);
    assert_int_equal(rig_what(&world), DECIDE_DONE);
}

static void test_a_server_that_fails_is_asked_again_later(void **state)
{
    (void)state;
    begin(ATTENDED);
    for (int i = 0; i < 5; i++) {
        step(STAGE_THINK, OUTCOME_FAILED, NULL);
        assert_true(rig_what(&world) == DECIDE_WAIT && line()->wake_ms >= world.now_ms + 500);
        world.now_ms = line()->wake_ms;
    }
    open_step(STAGE_THINK);
    WELL(rig_finish(&world, OUTCOME_FAILED, NULL, "\"after_ms\":40000,"));
    assert_int_equal(line()->question, QUESTION_FAILED);
    rig_answer(&world, line()->question_step, "retry");
    open_step(STAGE_THINK);
    WELL(rig_finish(&world, OUTCOME_FAILED, NULL, "\"after_ms\":40000,"));
    assert_int_equal(line()->wake_ms, world.now_ms + 40000);
    world.now_ms += 40000;
    well(STAGE_THINK);
    turns_are("SA");
}

static void test_deaths_in_a_row_are_poison(void **state)
{
    (void)state;
    begin(ATTENDED);
    for (int i = 0; i < RUN_DEATHS_MAX; i++)
        step(STAGE_THINK, OUTCOME_LOST, NULL);
    assert_int_equal(line()->question, QUESTION_POISON);
    rig_answer(&world, line()->question_step, "retry");
    well(STAGE_THINK);
    turns_are("SA"); /* what was said is delivered once, by the first of the attempts */
}

static void test_empty_answers(void **state)
{
    (void)state;
    begin(ATTENDED);
    for (int i = 0; i < 3; i++)
        step(STAGE_THINK, OUTCOME_OK, "{\"note\":\"" RIG_HASH "\",\"note_bytes\":90,\"calls\":[]}");
    turns_are("SNNN");
    assert_true(line()->question == QUESTION_FAILED && line()->resume == STAGE_THINK);
    WELL(rig_say(&world, "now"));
    well(STAGE_THINK);
    turns_are("SNNNSA");
}

static void test_the_same_call_again_and_again(void **state)
{
    (void)state;
    static const char same[] = "{\"turn\":\"" RIG_HASH "\",\"bytes\":50,\"calls_hash\":\"" RIG_HASH "\",\"calls\":[" CALL_OF("bash") "]}";
    begin(ATTENDED);
    for (int i = 1; i < TALK_SAME_MAX; i++) {
        step(STAGE_THINK, OUTCOME_OK, same);
        well(STAGE_CALL);
    }
    step(STAGE_THINK, OUTCOME_OK, same);
    assert_true(line()->question == QUESTION_FAILED && talk()->ncalls == 0);
    rig_answer(&world, line()->question_step, "retry");
    step(STAGE_THINK, OUTCOME_OK, same); /* counted anew */
    well(STAGE_CALL);
}

/* ---- a person, in the middle ---- */

static void test_a_word_now_drops_what_was_to_come(void **state)
{
    (void)state;
    begin(ATTENDED);
    step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("read") "," CALL_OF("bash") "," CALL_OF("bash")));
    open_step(STAGE_CALL);
    WELL(rig_say(&world, "now"));
    close_step(OUTCOME_OK, rig_result(STAGE_CALL));
    open_step(STAGE_THINK);
    turns_are("SARS");
    close_step(OUTCOME_OK, rig_result(STAGE_THINK));
    waits();
}

static void test_a_word_for_later_waits_for_the_end(void **state)
{
    (void)state;
    begin(ATTENDED);
    step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("read") "," CALL_OF("bash")));
    open_step(STAGE_CALL);
    WELL(rig_say(&world, "later"));
    WELL(rig_say(&world, "later"));
    close_step(OUTCOME_OK, rig_result(STAGE_CALL));
    well(STAGE_CALL);
    well(STAGE_THINK);
    turns_are("SARRA");
    well(STAGE_THINK);
    turns_are("SARRASSA");
}

static void test_a_stop_keeps_what_was_answered(void **state)
{
    (void)state;
    begin(ATTENDED);
    open_step(STAGE_THINK);
    stop();
    close_step(OUTCOME_CANCELLED, ASKS(CALL_OF("bash")));
    turns_are("SA");
    assert_true(talk()->ncalls == 0 && world.r.status == RUN_STOPPED);
    go_on();
    waits();
    WELL(rig_say(&world, "now"));
    well(STAGE_THINK);
    turns_are("SASA");
}

static void test_a_stop_in_a_call(void **state)
{
    (void)state;
    begin(ATTENDED);
    step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash") "," CALL_OF("bash")));
    open_step(STAGE_CALL);
    stop();
    close_step(OUTCOME_CANCELLED, NULL);
    turns_are("SA");
    go_on();
    waits();
    WELL(rig_say(&world, "now"));
    well(STAGE_THINK);
    turns_are("SASA");
}

static void test_an_unattended_agent_goes_on_where_it_was_stopped(void **state)
{
    (void)state;
    begin(GOAL);
    step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash") "," CALL_OF("bash")));
    open_step(STAGE_CALL);
    stop();
    close_step(OUTCOME_CANCELLED, NULL);
    go_on();
    well(STAGE_CALL);
    well(STAGE_CALL);
    turns_are("SARR");
}

static void test_a_command_of_the_person(void **state)
{
    (void)state;
    begin(ATTENDED);
    well(STAGE_THINK);
    WELL(rig_say(&world, "command"));
    well(STAGE_CALL);
    turns_are("SAAR");
    waits(); /* nobody answers to it */
    WELL(rig_say(&world, "now"));
    well(STAGE_THINK);
    turns_are("SAARSA");
}

static void test_a_blocked_budget(void **state)
{
    (void)state;
    begin(ATTENDED);
    step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash")));
    WELL(rig_apply(&world, EVENT_RUN_BLOCKED, NULL, "{\"v\":0,\"why\":\"no tokens\"}"));
    assert_int_equal(rig_what(&world), DECIDE_REST);
    WELL(rig_say(&world, "later"));
    well(STAGE_CALL); /* the call was not refused, only not paid for yet */
    well(STAGE_THINK);
    well(STAGE_THINK);
    turns_are("SARASA");
}

static void test_conflicts_of_a_landing(void **state)
{
    (void)state;
    begin_landing(ATTENDED, "step");
    world.changes = true;
    step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash") "," CALL_OF("bash") "," CALL_OF("bash")));
    well(STAGE_CALL);
    step(STAGE_APPLY, OUTCOME_CONFLICT, NULL);
    assert_int_equal(line()->question, QUESTION_CONFLICT);
    rig_answer(&world, line()->question_step, "retry");
    step(STAGE_APPLY, OUTCOME_CONFLICT, NULL);
    rig_answer(&world, line()->question_step, "replace");
    assert_true(line()->replace && line()->allowed);
    well(STAGE_APPLY);
    well(STAGE_CALL);
    step(STAGE_APPLY, OUTCOME_CONFLICT, NULL);
    rig_answer(&world, line()->question_step, "skip"); /* of these changes; the talk goes on */
    assert_int_equal(world.r.nlayers, 0);
    well(STAGE_CALL);
    well(STAGE_APPLY);
    world.changes = false;
    well(STAGE_THINK);
    waits();
}

/* K3. A landing under way is not stopped: the stop stands before its question, whose answer is a word. */
static void test_an_answer_about_a_landing_after_a_stop(void **state)
{
    (void)state;
    begin_landing(ATTENDED, "step");
    world.changes = true;
    step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash") "," CALL_OF("bash")));
    well(STAGE_CALL);
    step(STAGE_APPLY, OUTCOME_CONFLICT, NULL);
    stop();
    rig_answer(&world, line()->question_step, "replace");
    well(STAGE_APPLY);
    assert_true(world.r.nlayers == 0 && talk()->hold);
    waits();
    WELL(rig_say(&world, "now"));
    well(STAGE_THINK);
    turns_are("SARSA");
}

/* K3. Between two steps, and where a step had ended before it heard of the stop. */
static void test_nothing_follows_a_stop(void **state)
{
    (void)state;
    for (int when = 0; when < 9; when++) {
        begin(ATTENDED);
        if (when == 0) { /* a retry waits for its time */
            step(STAGE_THINK, OUTCOME_FAILED, NULL);
            stop();
        } else if (when == 1) { /* it ends with calls all the same */
            open_step(STAGE_THINK);
            stop();
            close_step(OUTCOME_OK, ASKS(CALL_OF("bash") ",{\"name\":\"ask\",\"question\":\"?\"}"));
        } else {
            step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash") "," CALL_OF("bash") ",{\"name\":\"ask\",\"question\":\"?\"}"));
            if (when > 3 && when < 8)
                open_step(STAGE_CALL);
            if (when == 5)
                close_step(OUTCOME_LOST, NULL);
            stop();
            if (when == 4)
                close_step(OUTCOME_OK, rig_result(STAGE_CALL));
            if (when == 6)
                close_step(OUTCOME_LOST, NULL); /* its crannog died before it heard */
            if (when == 7)
                close_step(OUTCOME_CANCELLED, NULL);
        }
        assert_int_equal(world.r.status, RUN_STOPPED);
        go_on();
        waits();
        WELL(rig_say(&world, "now"));
        well(STAGE_THINK);
        waits();
        rig_end(&world);
    }
    begin(ATTENDED);
    well(STAGE_THINK);
    WELL(rig_say(&world, "command")); /* the person's own, too */
    stop();
    go_on();
    waits();
}

/* Wherever the round stands, no call begins after the word but the one that is under way. */
static void test_a_word_now_before_the_next_call(void **state)
{
    (void)state;
    for (int when = 0; when < 4; when++) {
        begin_landing(ATTENDED, when == 3 ? "step" : "end");
        world.changes = when == 3;
        if (when == 0) { /* the model is still at it */
            open_step(STAGE_THINK);
            WELL(rig_say(&world, "now"));
            close_step(OUTCOME_OK, ASKS(CALL_OF("bash") ",{\"name\":\"ask\",\"question\":\"?\"}"));
        } else {
            step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash") "," CALL_OF("bash")));
            if (when == 2)
                step(STAGE_CALL, OUTCOME_LOST, NULL); /* it would be done again */
            if (when == 3)
                well(STAGE_CALL);
            WELL(rig_say(&world, "now"));
            if (when == 3)
                well(STAGE_APPLY);
        }
        world.changes = false;
        well(STAGE_THINK);
        turns_are(when == 3 ? "SARSA" : "SASA");
        waits();
        rig_end(&world);
    }
    begin(ATTENDED);
}

/* It would run the same check again, and the model would never hear the word. */
static void test_a_word_instead_of_an_answer(void **state)
{
    (void)state;
    static const enum stage stuck[] = {STAGE_VERIFY, STAGE_THINK, STAGE_CALL};
    for (size_t i = 0; i < 3; i++) {
        begin("{\"verify\":\"make check\",\"checks\":1}");
        if (stuck[i] != STAGE_THINK)
            step(STAGE_THINK, OUTCOME_OK, stuck[i] == STAGE_CALL ? ASKS(CALL_OF("bash")) : NULL);
        for (int k = 0; k < RUN_DEATHS_MAX; k++)
            step(stuck[i], OUTCOME_LOST, NULL);
        assert_true(line()->question == QUESTION_POISON && line()->resume == stuck[i]);
        WELL(rig_say(&world, i == 1 ? "later" : "now"));
        well(STAGE_THINK);
        if (i == 1)
            well(STAGE_THINK);
        well(STAGE_VERIFY);
        assert_int_equal(rig_what(&world), DECIDE_DONE);
        rig_end(&world);
    }
    begin(CHECKED);
    for (int i = 0; i < 3; i++) {
        well(STAGE_THINK);
        step(STAGE_VERIFY, OUTCOME_FAILED, "{\"turn\":\"" RIG_HASH "\",\"bytes\":80}");
    }
    assert_int_equal(line()->question, QUESTION_FAILED);
    WELL(rig_say(&world, "now"));
    for (int i = 0; i < 3; i++) { /* all its tries, once more */
        well(STAGE_THINK);
        step(STAGE_VERIFY, OUTCOME_FAILED, "{\"turn\":\"" RIG_HASH "\",\"bytes\":80}");
    }
    assert_int_equal(line()->question, QUESTION_FAILED);
}

static void test_a_word_while_it_is_checked_or_committed(void **state)
{
    (void)state;
    static const enum stage last[] = {STAGE_VERIFY, STAGE_COMMIT};
    for (size_t i = 0; i < 4; i++) {
        begin("{\"verify\":\"make check\",\"checks\":3,\"commits\":true}");
        world.changes = true;
        step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash")));
        well(STAGE_CALL);
        well(STAGE_THINK);
        if (last[i % 2] == STAGE_COMMIT)
            well(STAGE_VERIFY);
        open_step(last[i % 2]);
        WELL(rig_say(&world, i < 2 ? "now" : "later"));
        close_step(OUTCOME_OK, rig_result(last[i % 2]));
        assert_true(hash_is_zero(&world.r.rest));
        well(STAGE_THINK);
        well(STAGE_VERIFY);
        well(STAGE_COMMIT);
        rig_step(&world, 1, HEAD, STAGE_APPLY, OUTCOME_OK, NULL);
        assert_int_equal(rig_what(&world), DECIDE_DONE);
        rig_end(&world);
    }
    begin(ATTENDED);
}

static void test_a_command_of_the_person_waits_for_the_agent(void **state)
{
    (void)state;
    for (int when = 0; when < 4; when++) {
        begin(ATTENDED);
        if (when == 0)
            open_step(STAGE_THINK);
        if (when == 1)
            step(STAGE_THINK, OUTCOME_FAILED, NULL);
        if (when > 1)
            step(STAGE_THINK, OUTCOME_OK, when == 2 ? ASKS(CALL_OF("bash")) : ASKS("{\"name\":\"ask\",\"question\":\"?\"}"));
        assert_int_equal(rig_say(&world, "command"), ERR_CORRUPT);
        rig_end(&world);
    }
    begin(ATTENDED);
}

static const char *answer_of(const char *more)
{
    static char text[200];
    snprintf(text, sizeof text, "{\"v\":0,\"question\":%u,\"answer\":\"that\"%s}", line()->question_step, more);
    return text;
}

static void test_answers_to_a_question_of_the_model(void **state)
{
    (void)state;
    static const char turn[] = ",\"turn\":\"" RIG_HASH "\",\"bytes\":20";
    for (int what = 0; what < 5; what++) {
        begin(ATTENDED);
        step(STAGE_THINK, OUTCOME_OK, ASKS("{\"name\":\"ask\",\"question\":\"a?\"},{\"name\":\"ask\",\"question\":\"b?\"}," CALL_OF("bash")));
        if (what == 0) { /* its result would be missing */
            assert_int_equal(rig_apply(&world, EVENT_ANSWERED, NULL, answer_of("")), ERR_CORRUPT);
        } else if (what == 1) { /* two in a row */
            WELL(rig_apply(&world, EVENT_ANSWERED, NULL, answer_of(turn)));
            assert_true(strcmp(line()->why, "b?") == 0 && line()->question_step == 4 && world.r.next_step == 5);
            WELL(rig_apply(&world, EVENT_ANSWERED, NULL, answer_of(turn)));
            well(STAGE_CALL);
            turns_are("SARRR");
        } else if (what == 2) { /* a word beside the answer drops the rest */
            WELL(rig_say(&world, "now"));
            assert_int_equal(line()->question, QUESTION_ASK);
            WELL(rig_apply(&world, EVENT_ANSWERED, NULL, answer_of(turn)));
            well(STAGE_THINK);
            turns_are("SARSA");
        } else { /* an answer is a word: it ends a hold, and the stop, whether or not another process has come */
            stop();
            if (what == 3)
                go_on();
            assert_int_equal(line()->question, QUESTION_ASK);
            WELL(rig_apply(&world, EVENT_ANSWERED, NULL, answer_of(turn)));
            well(STAGE_THINK);
            turns_are("SARA");
        }
        rig_end(&world);
    }
    begin(ATTENDED);
}

/* What cannot be left out: to leave an agent is to stop it. Its changes are not dropped by the way. */
static void test_a_failure_of_an_agent_is_not_skipped(void **state)
{
    (void)state;
    static const char *const words[] = {"skip", "keep", "replace", "apply"};
    for (size_t i = 0; i < 4; i++) {
        begin(GOAL);
        world.changes = true;
        step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash")));
        well(STAGE_CALL);
        open_step(STAGE_THINK);
        WELL(rig_finish(&world, OUTCOME_FAILED, NULL, "\"final\":true,"));
        char text[100];
        snprintf(text, sizeof text, "{\"v\":0,\"question\":%u,\"answer\":\"%s\"}", line()->question_step, words[i]);
        assert_int_equal(rig_apply(&world, EVENT_ANSWERED, NULL, text), ERR_CORRUPT);
        rig_end(&world);
    }
    begin(ATTENDED);
}

/* ---- making it shorter ---- */

static const char *compacted(size_t upto)
{
    static char text[200];
    snprintf(text, sizeof text, "{\"turn\":\"" RIG_HASH "\",\"bytes\":100,\"upto\":%zu,\"made\":\"model\"}", upto);
    return text;
}

#define LONG(calls) "{\"turn\":\"" RIG_HASH "\",\"bytes\":50,\"tokens\":3950,\"calls\":[" calls "]}"

static void test_a_full_window_is_made_shorter_first(void **state)
{
    (void)state;
    begin(ATTENDED);
    step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("read")));
    well(STAGE_CALL);
    step(STAGE_THINK, OUTCOME_OK, LONG(CALL_OF("read")));
    well(STAGE_CALL);
    step(STAGE_COMPACT, OUTCOME_OK, compacted(3));
    assert_true(talk()->from == 3 && talk()->context == 0 && talk()->fresh == 300 + 100 + 50 + 60 && talk()->summary_bytes == 100);
    well(STAGE_THINK);
    turns_are("SARARA");
}

static void test_an_overflow_is_made_shorter_at_most_so_often(void **state)
{
    (void)state;
    begin(ATTENDED);
    for (int i = 0; i < 8; i++) {
        step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("read")));
        well(STAGE_CALL);
    }
    for (size_t i = 0; i < TALK_SHRINKS_MAX; i++) {
        open_step(STAGE_THINK);
        WELL(rig_finish(&world, OUTCOME_FAILED, "{\"overflow\":true}", "\"final\":true,"));
        step(STAGE_COMPACT, OUTCOME_OK, compacted(3 + 2 * i));
    }
    open_step(STAGE_THINK);
    WELL(rig_finish(&world, OUTCOME_FAILED, "{\"overflow\":true}", "\"final\":true,"));
    assert_true(line()->question == QUESTION_FAILED && talk()->nturns == 17);
}

static void test_a_wish_to_make_it_shorter(void **state)
{
    (void)state;
    begin(ATTENDED);
    step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("read")));
    well(STAGE_CALL);
    well(STAGE_THINK);
    WELL(rig_apply(&world, EVENT_COMPACT_WANTED, NULL, "{\"v\":0}"));
    step(STAGE_COMPACT, OUTCOME_OK, compacted(4));
    waits();
    assert_true(talk()->from == 4 && talk()->nturns == 4);
    WELL(rig_apply(&world, EVENT_COMPACT_WANTED, NULL, "{\"v\":0}"));
    waits(); /* nothing is left to be told shorter */
}

/* The person asked for less, not for more. */
static void test_a_wish_to_make_it_shorter_ends_no_hold(void **state)
{
    (void)state;
    begin(ATTENDED);
    step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("read")));
    well(STAGE_CALL);
    open_step(STAGE_THINK);
    stop();
    close_step(OUTCOME_CANCELLED, NULL);
    turns_are("SAR");
    WELL(rig_apply(&world, EVENT_COMPACT_WANTED, NULL, "{\"v\":0}"));
    step(STAGE_COMPACT, OUTCOME_OK, compacted(1));
    waits();
    WELL(rig_say(&world, "now"));
    well(STAGE_THINK);
    turns_are("SARSA");
}

/* What was too long for one model fits another; and each try at the old one ends. */
static void test_what_cannot_be_made_shorter(void **state)
{
    (void)state;
    begin(ATTENDED);
    step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("read")));
    well(STAGE_CALL);
    open_step(STAGE_THINK);
    WELL(rig_finish(&world, OUTCOME_FAILED, "{\"overflow\":true}", "\"final\":true,"));
    for (int i = 0; i < 2; i++) {
        open_step(STAGE_COMPACT);
        WELL(rig_finish(&world, OUTCOME_FAILED, NULL, "\"final\":true,"));
        assert_true(line()->question == QUESTION_FAILED && line()->resume == STAGE_TALK);
        rig_answer(&world, line()->question_step, "retry");
        open_step(STAGE_THINK);
        WELL(rig_finish(&world, OUTCOME_FAILED, "{\"overflow\":true}", "\"final\":true,"));
    }
    open_step(STAGE_COMPACT);
    WELL(rig_finish(&world, OUTCOME_FAILED, NULL, "\"final\":true,"));
    WELL(rig_apply(&world, EVENT_MODEL_CHANGED, NULL, "{\"v\":0,\"window\":200000,\"max_output\":8000}"));
    WELL(rig_say(&world, "now"));
    well(STAGE_THINK);
    waits();
}

/* A server whose window is smaller than it was said to be: what was too much once is too much again. */
static void test_a_window_that_is_smaller_than_it_is_said_to_be(void **state)
{
    (void)state;
    begin(ATTENDED);
    for (int i = 0; i < 3; i++) {
        step(STAGE_THINK, OUTCOME_OK, "{\"turn\":\"" RIG_HASH "\",\"bytes\":50,\"tokens\":1000,\"calls\":[" CALL_OF("read") "]}");
        step(STAGE_CALL, OUTCOME_OK, "{\"turn\":\"" RIG_HASH "\",\"bytes\":600}");
    }
    open_step(STAGE_THINK);
    WELL(rig_finish(&world, OUTCOME_FAILED, "{\"overflow\":true}", "\"final\":true,"));
    assert_true(talk()->narrow == 1200 && talk_window(talk(), world.r.window) == 1200);
    step(STAGE_COMPACT, OUTCOME_OK, compacted(5));
    step(STAGE_THINK, OUTCOME_OK, "{\"turn\":\"" RIG_HASH "\",\"bytes\":50,\"tokens\":1190,\"calls\":[" CALL_OF("read") "]}");
    well(STAGE_CALL);
    step(STAGE_COMPACT, OUTCOME_OK, compacted(7)); /* before it is told so once more */
    well(STAGE_THINK);
    WELL(rig_apply(&world, EVENT_MODEL_CHANGED, NULL, "{\"v\":0,\"window\":4000,\"max_output\":100}"));
    assert_int_equal(talk()->narrow, 0);
}

/* ---- taking back, other models, forks ---- */

static void test_rewinding_to_each_turn(void **state)
{
    (void)state;
    for (int keep = 0; keep <= 7; keep++) {
        begin(ATTENDED);
        step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("read")));
        well(STAGE_CALL);
        well(STAGE_THINK);
        WELL(rig_apply(&world, EVENT_COMPACT_WANTED, NULL, "{\"v\":0}"));
        step(STAGE_COMPACT, OUTCOME_OK, compacted(3));
        WELL(rig_say(&world, "now"));
        step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("read")));
        well(STAGE_CALL);
        turns_are("SARASAR");
        rewind_to(keep, -1);
        assert_true(talk()->nturns == (size_t)keep && talk()->from == (keep >= 3 ? 3 : 0) && world.r.branch == 2);
        assert_int_equal(talk()->summary_bytes, keep >= 3 ? 100 : 0);
        waits(); /* whatever comes last: a person says what comes next */
        WELL(rig_say(&world, "now"));
        well(STAGE_THINK);
        waits();
        assert_int_equal(talk()->nturns, keep + 2);
        rig_end(&world);
    }
    begin(ATTENDED);
}

static void test_rewinding_forgets_layers_and_undos(void **state)
{
    (void)state;
    begin(GOAL);
    world.changes = true;
    for (int i = 0; i < 3; i++) {
        step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash")));
        well(STAGE_CALL);
    }
    assert_true(world.r.nlayers == 3 && world.r.layers[1].step == 6);
    rewind_to(3, 5);
    assert_true(world.r.nlayers == 1 && world.r.layers[0].step == 4);
    rig_end(&world);

    begin_landing(ATTENDED, "step");
    world.changes = true;
    for (int i = 0; i < 3; i++) {
        step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash")));
        well(STAGE_CALL);
        well(STAGE_APPLY);
    }
    assert_true(world.r.nundos == 3 && world.r.undos[2].step == 11);
    rewind_to(1, 5);
    assert_int_equal(world.r.nundos, 1);
    waits();
}

static void test_another_model(void **state)
{
    (void)state;
    begin(ATTENDED);
    well(STAGE_THINK);
    WELL(rig_apply(&world, EVENT_MODEL_CHANGED, NULL, "{\"v\":0,\"provider\":\"anthropic\",\"model\":\"x\",\"name\":\"anthropic/x\","
                                                      "\"window\":200000,\"max_output\":8000}"));
    assert_true(world.r.window == 200000 && talk()->max_output == 8000 && slice_is(world.r.model, "anthropic/x"));
    assert_true(talk()->context == 0 && talk()->fresh >= talk()->system_bytes); /* what the one before counted bounds nothing */
    assert_int_equal(rig_apply(&world, EVENT_MODEL_CHANGED, NULL, "{\"v\":0,\"window\":100}"), ERR_CORRUPT);
}

#define TURN(kind) "{\"turn\":\"" RIG_HASH "\",\"bytes\":40,\"kind\":" kind "}"

static void test_a_fork_begins_where_the_other_stands(void **state)
{
    (void)state;
    rig_start_agent(&world, "{\"attended\":true,\"turns\":[" TURN("1") "," TURN("2") "," TURN("3") "," TURN("2") "],\"from\":3,\"summary\":\"" RIG_HASH
                    "\",\"summary_bytes\":70}", "", "end");
    well(STAGE_SURVEY);
    well(STAGE_INSTRUCT);
    turns_are("SARA");
    assert_true(talk()->from == 3 && talk()->summary_bytes == 70);
    assert_int_equal(talk()->fresh, 300 + 70 + 40); /* instructions, summary, the turn behind it: not what it sums up */
    waits();
    WELL(rig_say(&world, "now"));
    well(STAGE_THINK);
    turns_are("SARASA");
}

/* Its items would be others, and the first one without a talk. */
static void test_an_agent_has_no_plan_and_a_plan_no_talk(void **state)
{
    (void)state;
    begin(ATTENDED);
    well(STAGE_THINK);
    assert_int_equal(rig_apply(&world, EVENT_PLAN_CHANGED, NULL, "{\"v\":0,\"plan\":\"- [ ] a: b\\n  writes: x\\n\"}"), ERR_CORRUPT);
    static const struct { enum event_type type; const char *payload; } of_talks[] = {
        {EVENT_SAID, "{\"v\":0,\"turn\":\"" RIG_HASH "\",\"bytes\":3}"}, {EVENT_REWOUND, "{\"v\":0,\"turns\":0,\"after\":0}"},
        {EVENT_MODEL_CHANGED, "{\"v\":0,\"window\":4000,\"max_output\":10}"}, {EVENT_COMPACT_WANTED, "{\"v\":0}"}};
    for (size_t i = 0; i < 4; i++) {
        rig_end(&world);
        rig_start(&world, "- [ ] a: b\n  writes: x\n", "");
        assert_int_equal(rig_apply(&world, of_talks[i].type, NULL, of_talks[i].payload), ERR_CORRUPT);
    }
}

/* All turns stay and only files are taken back (or a crannog that died is carried past a landing): the calls that were to come
   do not come. */
static void test_rewinding_drops_the_calls_that_were_to_come(void **state)
{
    (void)state;
    for (int what = 0; what < 2; what++) {
        begin(ATTENDED);
        step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash") ",{\"name\":\"ask\",\"question\":\"?\"}"));
        if (what)
            well(STAGE_CALL);
        rewind_to((int)talk()->nturns, what - 1);
        waits();
        WELL(rig_say(&world, "now"));
        well(STAGE_THINK);
        waits();
        rig_end(&world);
    }
    begin_landing(ATTENDED, "step");
    world.changes = true;
    step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash") "," CALL_OF("bash")));
    well(STAGE_CALL);
    step(STAGE_APPLY, OUTCOME_LOST, NULL);
    rewind_to(3, -1);
    well(STAGE_APPLY);
    waits();
}

static void test_rewinding_a_goal_holds_it(void **state)
{
    (void)state;
    begin(GOAL);
    step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash")));
    well(STAGE_CALL);
    step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash")));
    rewind_to(2, -1); /* ends with an answer, and is not done for that */
    waits();
    WELL(rig_say(&world, "now"));
    well(STAGE_THINK);
    assert_int_equal(rig_what(&world), DECIDE_DONE);
}

/* Sixteen steps' changes are one layer: none of them can go alone. */
static void test_rewinding_into_what_was_squashed(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) {
        begin(ATTENDED);
        world.changes = true;
        for (size_t i = 0; i <= RUN_LAYERS_KEPT; i++) {
            step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash")));
            well(STAGE_CALL);
        }
        well(STAGE_SQUASH);
        assert_true(world.r.nlayers == 1 && world.r.layers[0].first == 4 && world.r.layers[0].step == 37);
        if (what == 0)
            assert_int_equal(rig_apply(&world, EVENT_REWOUND, NULL, "{\"v\":0,\"turns\":1,\"after\":20}"), ERR_CORRUPT);
        else
            rewind_to(1, what == 1 ? 3 : 37);
        if (what)
            assert_int_equal(world.r.nlayers, what - 1);
        rig_end(&world);
    }
    begin_landing(ATTENDED, "step"); /* nor what is half in the folder */
    world.changes = true;
    step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("bash")));
    well(STAGE_CALL);
    step(STAGE_APPLY, OUTCOME_LOST, NULL);
    assert_int_equal(rig_apply(&world, EVENT_REWOUND, NULL, "{\"v\":0,\"turns\":1,\"after\":2}"), ERR_CORRUPT);
}

/* ---- what cannot be ---- */

static void test_illegal_events(void **state)
{
    (void)state;
    static const struct { enum stage at; enum event_type type; const char *payload; } cases[] = {
        {STAGE_THINK, EVENT_STEP_FINISHED, "{\"v\":0,\"outcome\":\"ok\",\"used\":{},\"result\":{\"turn\":\"xx\"}}"},
        {STAGE_THINK, EVENT_STEP_FINISHED, "{\"v\":0,\"outcome\":\"ok\",\"used\":{},\"result\":{\"turn\":\"" RIG_HASH "\",\"bytes\":-1}}"},
        {STAGE_THINK, EVENT_STEP_FINISHED, "{\"v\":0,\"outcome\":\"ok\",\"used\":{},\"result\":{\"calls\":[{\"name\":\"bash\"}]}}"},
        {STAGE_THINK, EVENT_STEP_FINISHED, "{\"v\":0,\"outcome\":\"conflict\",\"used\":{},\"result\":{}}"},
        {STAGE_THINK, EVENT_REWOUND, "{\"v\":0,\"turns\":0}"}, /* a step is open */
        {STAGE_THINK, EVENT_REWOUND, "{\"v\":0,\"turns\":-1}"},
        {STAGE_THINK, EVENT_SAID, "{\"v\":0}"},
        {STAGE_THINK, EVENT_SAID, "{\"v\":0,\"turn\":7,\"bytes\":3}"},
        {STAGE_THINK, EVENT_ANSWERED, "{\"v\":0,\"question\":3,\"answer\":\"x\"}"},
        {STAGE_THINK, EVENT_MODEL_CHANGED, "{\"v\":0,\"window\":4000,\"max_output\":5000}"},
        {STAGE_THINK, EVENT_RUN_ENDED, "{\"v\":0,\"status\":\"done\"}"},
        {STAGE_COMPACT, EVENT_STEP_FINISHED, "{\"v\":0,\"outcome\":\"ok\",\"used\":{},\"result\":{\"turn\":\"" RIG_HASH "\",\"bytes\":9,\"upto\":0}}"},
        {STAGE_COMPACT, EVENT_STEP_FINISHED, "{\"v\":0,\"outcome\":\"ok\",\"used\":{},\"result\":{\"turn\":\"" RIG_HASH "\",\"bytes\":9,\"upto\":99}}"},
        {STAGE_COMPACT, EVENT_STEP_FINISHED, "{\"v\":0,\"outcome\":\"ok\",\"used\":{},\"result\":{\"upto\":3}}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin(ATTENDED);
        step(STAGE_THINK, OUTCOME_OK, ASKS(CALL_OF("read")));
        well(STAGE_CALL);
        if (cases[i].at == STAGE_COMPACT) {
            well(STAGE_THINK);
            WELL(rig_apply(&world, EVENT_COMPACT_WANTED, NULL, "{\"v\":0}"));
        }
        open_step(cases[i].at);
        struct step_key key = world.r.open[0].key;
        enum err err = rig_apply(&world, cases[i].type, cases[i].type == EVENT_STEP_FINISHED ? &key : NULL, cases[i].payload);
        if (err != ERR_CORRUPT)
            fail_msg("case %zu: %d", i, err);
        assert_int_equal(world.r.status, RUN_BROKEN);
        rig_end(&world);
    }
    begin(ATTENDED);
}

static void test_bad_beginnings(void **state)
{
    (void)state;
    static const char *const talks[] = {"{\"checks\":0}", "{\"checks\":5000}", "{\"turns\":[{}]}", "{\"turns\":[" TURN("9") "]}",
                                        "{\"turns\":[" TURN("1") "],\"from\":2}", "{\"turns\":[],\"from\":-1}", "{\"turns\":[],\"summary\":\"q\"}"};
    BUF_CLEANUP struct buf b = BUF_INIT(4096);
    for (size_t i = 0; i < sizeof talks / sizeof *talks; i++) {
        struct arena a = ARENA_INIT(RUN_ARENA_BYTES);
        memset(&world, 0, sizeof world);
        run_init(&world.r, 7, &a);
        buf_reset(&b);
        buf_addf(&b, "{\"v\":0,\"talk\":%s,\"server\":{\"window\":4000,\"max_output\":10},\"plan_path\":\"\",\"work\":\"/w\",\"goal\":\"\",\"account\":"
                 "\"crannog/main/r7\",\"agent\":\"main\",\"model\":\"m\"}", talks[i]);
        if (rig_apply(&world, EVENT_RUN_STARTED, NULL, buf_str(&b)) != ERR_CORRUPT)
            fail_msg("taken: %s", talks[i]);
        arena_release(&a);
    }
    begin(ATTENDED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_attended_round),
        TEST(test_an_agent_without_a_word_waits),
        TEST(test_a_goal_is_done_when_the_model_says_so),
        TEST(test_changes_land_at_the_end_or_step_by_step),
        TEST(test_a_commit_is_the_last_step),
        TEST(test_an_agent_that_changed_nothing_makes_no_commit),
        TEST(test_a_question_of_the_model),
        TEST(test_a_check_that_fails_is_told_and_then_asked_about),
        TEST(test_a_server_that_fails_is_asked_again_later),
        TEST(test_deaths_in_a_row_are_poison),
        TEST(test_empty_answers),
        TEST(test_the_same_call_again_and_again),
        TEST(test_a_word_now_drops_what_was_to_come),
        TEST(test_a_word_for_later_waits_for_the_end),
        TEST(test_a_stop_keeps_what_was_answered),
        TEST(test_a_stop_in_a_call),
        TEST(test_an_unattended_agent_goes_on_where_it_was_stopped),
        TEST(test_a_command_of_the_person),
        TEST(test_a_blocked_budget),
        TEST(test_conflicts_of_a_landing),
        TEST(test_a_full_window_is_made_shorter_first),
        TEST(test_an_overflow_is_made_shorter_at_most_so_often),
        TEST(test_a_wish_to_make_it_shorter),
        TEST(test_rewinding_to_each_turn),
        TEST(test_rewinding_forgets_layers_and_undos),
        TEST(test_another_model),
        TEST(test_a_fork_begins_where_the_other_stands),
        TEST(test_an_agent_has_no_plan_and_a_plan_no_talk),
        TEST(test_an_answer_about_a_landing_after_a_stop),
        TEST(test_nothing_follows_a_stop),
        TEST(test_a_word_now_before_the_next_call),
        TEST(test_a_word_instead_of_an_answer),
        TEST(test_a_word_while_it_is_checked_or_committed),
        TEST(test_a_command_of_the_person_waits_for_the_agent),
        TEST(test_rewinding_drops_the_calls_that_were_to_come),
        TEST(test_rewinding_a_goal_holds_it),
        TEST(test_rewinding_into_what_was_squashed),
        TEST(test_a_wish_to_make_it_shorter_ends_no_hold),
        TEST(test_what_cannot_be_made_shorter),
        TEST(test_answers_to_a_question_of_the_model),
        TEST(test_a_failure_of_an_agent_is_not_skipped),
        TEST(test_a_window_that_is_smaller_than_it_is_said_to_be),
        TEST(test_illegal_events),
        TEST(test_bad_beginnings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
