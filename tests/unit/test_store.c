/*
 * store: what was committed is read back and folds to the same state; only the lease's holder appends; a refusal of one
 * run undoes nothing of another; caps are never passed; projections are what a rebuild makes of the events.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"
#include "store_rig.h"

static int make(void **state)
{
    struct rig *g = malloc(sizeof *g);
    rig_make(g);
    *state = g;
    return 0;
}

static int drop(void **state)
{
    rig_remove(*state);
    free(*state);
    return 0;
}

#define WELL(call)                                                     \
    do {                                                               \
        enum err well_err = (call);                                    \
        if (well_err)                                                  \
            fail_msg("%s: %s", #call, g->e.text);                      \
    } while (0)

/* ---- the journal ---- */

static void test_round_trip(void **state)
{
    struct rig *g = *state;
    struct rig_run r;
    rig_start(g, &r, "crannog/main/r1", "{}");
    int steps = rig_walk(&r, 100);
    assert_int_equal(steps, 17); /* list, twice read measure ask ask join look land, then ask and land a briefing */
    struct run_state was = r.r;
    rig_close(g);
    rig_open(g);
    rig_refold(&r);
    assert_int_equal(r.r.seq, 1 + 2 * steps);
    assert_int_equal(was.seq, r.r.seq);
    assert_true(hash_eq(&was.head, &r.r.head));
    assert_int_equal(r.r.used.n[UNIT_TOKENS], 7 * steps);
    size_t done, total;
    run_progress(&r.r, &done, &total);
    assert_int_equal(done, total);
    rig_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
