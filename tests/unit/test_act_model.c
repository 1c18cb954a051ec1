/* The row of model calls, beside a crannog-infer that is played by this test: what was stopped is never a failure, what
   came whole is taken, a call that died is settled by its meter, and no frame of a peer's trips an assertion. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"
#include "engine/machine.h"
#include "infer/meter.h"
#include "infer/protocol.h"

/* An engine with one run that has one call under way, and the other end of its socket. */
static struct machine machine;
static struct engine engine;
static struct run run;
static int infer = -1;
static const struct step_key KEY = {.run = 7, .branch = 1, .step = 3, .attempt = 1};
enum { CALL = 5, HELD = 100 };

static void begin(enum stage stage, bool sent)
{
    static char path[] = "/bin/sleep", forever[] = "600";
    char *argv[] = {path, forever, NULL}, *env[] = {NULL};
    int pair[2];
    struct error e;
    if (peer_start(path, argv, env, NULL, 0, true, &machine.infer, &e)) /* somebody whose pid can be ended */
        fail_msg("%s", e.text);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    close(machine.infer.socket);
    machine.infer.socket = pair[0];
    infer = pair[1];
    machine.infer_stage = INFER_READY;
    machine.calls[0] = (struct infer_job){.key = KEY, .id = CALL, .stage = stage, .sent = sent, .out = outgoing_new()};
    run.state.id = KEY.run;
    run.state.nopen = 1;
    run.state.open[0] = (struct open_step){.key = KEY, .stage = stage, .held = {.n = {[UNIT_TOKENS] = HELD}}};
    engine.acts.ctx = &machine;
    static struct run *runs[1];
    runs[0] = &run;
    engine.runs = runs;
    engine.nruns = 1;
    engine.cap_done = RUN_OPEN_MAX;
    engine.done = calloc(engine.cap_done, sizeof *engine.done);
}

static int setup(void **state)
{
    (void)state;
    machine = (struct machine){.meter_path = BUF_INIT(4096), .infer = PEER_INIT};
    engine = (struct engine){0};
    run = (struct run){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    peer_kill(&machine.infer);
    sys_close_fd(&infer);
    for (size_t i = 0; i < engine.ndone; i++) {
        json_free(engine.done[i].result);
        buf_release(&engine.done[i].blob);
    }
    free(engine.done);
    buf_release(&machine.meter_path);
    return 0;
}

static void infer_says(enum infer_frame type, uint64_t id, uint64_t stop, uint64_t code)
{
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    outgoing_put_large(&o, INFER_TEXT, SLICE("It is about jails."));
    message_put_u64(&o.message, INFER_IN, 11);
    message_put_u64(&o.message, INFER_OUT, 4);
    message_put_u64(&o.message, INFER_STOP, stop);
    message_put_u64(&o.message, INFER_CODE, code);
    assert_int_equal(frame_send(infer, (uint16_t)type, id, &o, NULL), OK);
}

static const struct completion *only(void)
{
    assert_int_equal(engine.ndone, 1);
    assert_memory_equal(&engine.done[0].key, &KEY, sizeof KEY);
    assert_int_equal(machine.calls[0].id, 0);
    return &engine.done[0];
}

static void stop(void)
{
    act_model.cancel(&engine, &run, &run.state.open[0]);
}

static void test_a_stopped_answer(void **state)
{
    (void)state;
    struct frame f;
    begin(STAGE_ASK, true);
    stop();
    assert_int_equal(engine.ndone, 0); /* it answers with what it used */
    assert_int_equal(frame_receive(infer, &f, NULL), OK);
    assert_true(f.type == INFER_CANCEL && f.id == CALL);
    frame_release(&f);
    infer_says(INFER_GENERATED, CALL, INFER_STOP_CANCELLED, 0);
    model_collect(&engine);
    assert_int_equal(only()->outcome, OUTCOME_CANCELLED);
    assert_int_equal(only()->used.n[UNIT_TOKENS], 15);
}

static void test_an_answer_that_was_whole_before_the_stop(void **state)
{
    (void)state;
    begin(STAGE_ASK, true);
    infer_says(INFER_GENERATED, CALL, INFER_STOP_END, 0);
    stop();
    model_collect(&engine);
    assert_int_equal(only()->outcome, OUTCOME_OK);
    assert_true(slice_is(buf_slice(&only()->blob), "It is about jails."));
}

static void test_a_stopped_measure_is_no_question(void **state)
{
    (void)state;
    begin(STAGE_MEASURE, true);
    stop();
    infer_says(INFER_FAILED, CALL, 0, ERR_CANCELLED);
    model_collect(&engine);
    assert_int_equal(only()->outcome, OUTCOME_CANCELLED);
    assert_false(only()->final);
}

static void test_what_is_tried_again(void **state)
{
    (void)state;
    static const struct { enum err code; bool final; } table[] = {
        {ERR_MEMORY, false}, {ERR_BUSY, false}, {ERR_LIMIT, true}, {ERR_CORRUPT, true}, {ERR_USAGE, true}, {OK, true}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        setup(NULL);
        begin(STAGE_ASK, true);
        infer_says(INFER_FAILED, CALL, 0, table[i].code);
        model_collect(&engine);
        assert_int_equal(only()->outcome, OUTCOME_FAILED);
        assert_int_equal(only()->final, table[i].final);
        teardown(NULL);
    }
    setup(NULL);
}

static void test_stopped_before_it_was_sent(void **state)
{
    (void)state;
    begin(STAGE_ASK, false);
    stop();
    assert_int_equal(only()->outcome, OUTCOME_CANCELLED);
    assert_int_equal(only()->used.n[UNIT_TOKENS], 0);
}

/* A stop that crannog-infer cannot hear any more: what it used is settled by its death, not as nothing. */
static void test_stopped_when_dead(void **state)
{
    (void)state;
    begin(STAGE_ASK, true);
    sys_close_fd(&infer);
    stop();
    assert_int_equal(engine.ndone, 0);
    model_collect(&engine);
    assert_int_equal(only()->outcome, OUTCOME_CANCELLED);
    assert_int_equal(only()->used.n[UNIT_TOKENS], HELD);
    assert_true(only()->assumed);
}

static void test_dead_with_a_meter(void **state)
{
    (void)state;
    char path[] = "/tmp/unit-act-model-XXXXXX";
    struct meter m = {.in = 20, .out = 3, .cpu_ns = 9};
    memcpy(m.key, &KEY.run, 8);
    memcpy(m.key + 8, &KEY.branch, 4);
    memcpy(m.key + 12, &KEY.step, 4);
    memcpy(m.key + 16, &KEY.attempt, 4);
    int fd = mkstemp(path);
    assert_int_equal(write(fd, &m, sizeof m), sizeof m);
    close(fd);
    buf_add_text(&machine.meter_path, path);
    begin(STAGE_ASK, true);
    sys_close_fd(&infer);
    model_collect(&engine);
    unlink(path);
    assert_int_equal(only()->outcome, OUTCOME_LOST);
    assert_int_equal(only()->used.n[UNIT_TOKENS], 23);
    assert_false(only()->assumed);
}

/* A call that cannot be sent at all fails; it does not wait for ever. */
static void test_unsendable(void **state)
{
    (void)state;
    begin(STAGE_ASK, false);
    machine.calls[0].out.message.failed = true;
    infer_says(INFER_PROGRESS, CALL, 0, 0);
    model_collect(&engine);
    assert_int_equal(only()->outcome, OUTCOME_FAILED);
}

/* Free places have the number 0 too; a peer that answers that number answers nobody. */
static void test_frames_for_nobody(void **state)
{
    (void)state;
    begin(STAGE_ASK, true);
    infer_says(INFER_GENERATED, CALL, INFER_STOP_END, 0);
    for (int i = 0; i < 3; i++) {
        infer_says(INFER_GENERATED, 0, INFER_STOP_END, 0);
        infer_says(INFER_GENERATED, CALL, INFER_STOP_END, 0);
        infer_says(INFER_FAILED, 99, 0, ERR_LIMIT);
    }
    model_collect(&engine);
    assert_int_equal(only()->outcome, OUTCOME_OK);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_stopped_answer), T(test_an_answer_that_was_whole_before_the_stop), T(test_a_stopped_measure_is_no_question),
        T(test_what_is_tried_again), T(test_stopped_before_it_was_sent), T(test_stopped_when_dead), T(test_dead_with_a_meter),
        T(test_unsendable), T(test_frames_for_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
