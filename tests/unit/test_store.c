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
#include <time.h>
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
    assert_int_equal(steps, 18); /* list; twice read measure ask ask join look land; the briefing's ask look land */
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

static enum err count_events(void *ctx, const struct event *ev, struct error *e)
{
    uint64_t *n = ctx;
    assert_int_equal(ev->seq, ++*n);
    assert_int_equal(ev->key.run, 1);
    return *n == 5 ? error_set(e, ERR_CANCELLED, "enough") : OK;
}

static void test_read_in_order_and_stop(void **state)
{
    struct rig *g = *state;
    struct rig_run r;
    uint64_t n = 0;
    rig_start(g, &r, "crannog/main/r1", "{}");
    rig_walk(&r, 4);
    assert_int_equal(journal_read(g->s, 1, count_events, &n, &g->e), ERR_CANCELLED);
    assert_int_equal(n, 5);
    assert_int_equal(journal_read(g->s, 9, NULL, NULL, &g->e), ERR_MISSING);
    rig_end(&r);
}

static void test_rollback_leaves_nothing(void **state)
{
    struct rig *g = *state;
    struct rig_run r;
    enum err err = OK;
    rig_start(g, &r, "crannog/main/r1", "{}");
    char *before = rig_dump(g);
    WELL(store_begin(g->s, &g->e));
    assert_true(rig_intend(&r, "{\"tokens\":5}", &err));
    assert_int_equal(err, OK);
    store_rollback(g->s);
    char *after = rig_dump(g);
    assert_string_equal(before, after);
    /* The state that went ahead of the journal is refused, or the chain would have a hole. */
    WELL(store_begin(g->s, &g->e));
    assert_int_equal(rig_finish(&r, "ok", "{}", "exact"), ERR_CONFLICT);
    store_rollback(g->s);
    rig_refold(&r);
    assert_int_equal(r.r.nopen, 0);
    assert_int_equal(rig_walk(&r, 1), 1);
    free(before);
    free(after);
    rig_end(&r);
}

static void test_same_number_other_event(void **state)
{
    struct rig *g = *state;
    struct rig_run r, other = {0};
    enum err err = OK;
    rig_start_exec(g, &r, "crannog/main/r1", "{}");
    WELL(store_begin(g->s, &g->e));
    assert_true(rig_intend(&r, "{\"tokens\":5}", &err) && !err);
    store_rollback(g->s); /* r is now at event 2, which is not stored */
    other.g = g;
    other.lease = r.lease;
    other.r.id = 1;
    rig_refold(&other);
    WELL(store_begin(g->s, &g->e));
    assert_true(rig_intend(&other, "{\"tokens\":6}", &err) && !err);
    WELL(store_commit(g->s, &g->e)); /* an event 2, but another one */
    WELL(store_begin(g->s, &g->e));
    assert_int_equal(rig_finish(&r, "cancelled", "{}", "exact"), ERR_CONFLICT);
    store_rollback(g->s);
    arena_release(&other.arena);
    rig_end(&r);
}

static void test_refusals_leave_the_state(void **state)
{
    struct rig *g = *state;
    struct rig_run r;
    rig_start_exec(g, &r, "crannog/main/r1", "{}");
    uint64_t seq = r.r.seq;
    char *large = calloc(1, EVENT_PAYLOAD_MAX + 2);
    memset(large, ' ', EVENT_PAYLOAD_MAX + 1);
    WELL(store_begin(g->s, &g->e));
    assert_int_equal(rig_append(&r, EVENT_RUN_CONTINUED, NULL, large), ERR_LIMIT);
    assert_int_equal(r.r.seq, seq);
    assert_int_equal(rig_append(&r, EVENT_RUN_CONTINUED, NULL, "{\"v\":0}"), OK);
    /* One that does not fold is not stored. */
    assert_int_equal(rig_append(&r, EVENT_STEP_FINISHED, &(struct step_key){.step = 9, .attempt = 1},
                                "{\"v\":0,\"outcome\":\"ok\"}"), ERR_CORRUPT);
    WELL(store_commit(g->s, &g->e));
    rig_refold(&r);
    assert_int_equal(r.r.seq, seq + 1);
    free(large);
    rig_end(&r);
}

/* A group: the intent of one run is refused, the finish of its neighbour stays (J5). */
static void test_savepoint_spares_the_neighbour(void **state)
{
    struct rig *g = *state;
    struct rig_run a, b;
    enum err err = OK;
    rig_start_exec(g, &a, "crannog/main/r1", "{}");
    rig_start_exec(g, &b, "crannog/main/r2", "{\"tokens\":10}");
    WELL(store_begin(g->s, &g->e));
    assert_true(rig_intend(&a, "{\"tokens\":5}", &err) && !err);
    WELL(store_commit(g->s, &g->e));

    WELL(store_begin(g->s, &g->e));
    WELL(store_savepoint(g->s, &g->e));
    WELL(rig_finish(&a, "cancelled", "{\"tokens\":3}", "exact"));
    WELL(store_release(g->s, &g->e));
    WELL(store_savepoint(g->s, &g->e));
    WELL(rig_append(&b, EVENT_RUN_CONTINUED, NULL, "{\"v\":0}"));
    assert_true(rig_intend(&b, "{\"tokens\":11}", &err));
    assert_int_equal(err, ERR_DENIED);
    store_cancel(g->s);
    rig_refold(&b);
    WELL(store_savepoint(g->s, &g->e));
    WELL(rig_append(&b, EVENT_RUN_BLOCKED, NULL, "{\"v\":0,\"why\":\"no tokens left\",\"unit\":\"tokens\"}"));
    WELL(store_release(g->s, &g->e));
    WELL(store_commit(g->s, &g->e));

    rig_refold(&a);
    rig_refold(&b);
    assert_int_equal(a.r.seq, 3);
    assert_int_equal(a.r.nopen, 0);
    assert_int_equal(b.r.seq, 2);
    assert_int_equal(b.r.status, RUN_BLOCKED);
    char *found = rig_audit(g);
    assert_string_equal(found, "");
    free(found);
    rig_end(&a);
    rig_end(&b);
}

/* ---- projections ---- */

static void test_rebuild_gives_the_same(void **state)
{
    struct rig *g = *state;
    struct rig_run a, b, c;
    enum err err = OK;
    rig_start(g, &a, "crannog/main/r1", "{\"tokens\":100000}");
    rig_start(g, &b, "crannog/main/r2", "{}");
    rig_start_exec(g, &c, "crannog/shop/r3", "{\"nusd\":5,\"calls\":9}");
    rig_walk(&a, 4);
    rig_walk(&b, 100); /* lands the same paths as a, before a does */
    rig_walk(&a, 100);
    WELL(store_begin(g->s, &g->e));
    assert_true(rig_intend(&c, "{\"nusd\":5,\"calls\":2}", &err) && !err);
    WELL(store_commit(g->s, &g->e));
    WELL(ledger_set_cap(g->s, SLICE("crannog"), UNIT_TOKENS, "day", 1000000, &g->e));
    char *live = rig_dump(g);
    assert_non_null(strstr(live, "reservation|3|1|1|1|0|crannog/shop/r3|5|0||1|"));
    assert_non_null(strstr(live, "landed|3|4|notes/0-1.md|"));
    WELL(store_rebuild(g->s, &g->e));
    char *again = rig_dump(g);
    assert_string_equal(live, again);
    /* From nothing, and from nonsense. */
    rig_sql(g, "DELETE FROM balance; DELETE FROM landed; UPDATE run SET done = 99, why = 'x'; UPDATE reservation SET held = 1;"
               "INSERT INTO budget VALUES('nobody', 0, 1, 1)");
    char *wrong = rig_dump(g), *found = rig_audit(g);
    assert_string_not_equal(live, wrong);
    assert_non_null(strstr(found, "lists and books are not what the events say"));
    WELL(store_rebuild(g->s, &g->e));
    char *mended = rig_dump(g), *quiet = rig_audit(g);
    assert_string_equal(live, mended);
    assert_string_equal(quiet, "");
    for (char **p = (char *[]){live, again, wrong, found, mended, quiet, NULL}; *p; p++)
        free(*p);
    assert_int_equal(rig_count(g, "SELECT count(*) FROM cap"), 1); /* what a person set stays */
    rig_end(&a);
    rig_end(&b);
    rig_end(&c);
}

struct seen {
    int n;
    struct run_row last;
    char goal[32], plan_path[32];
};

static void see_run(void *ctx, const struct run_row *row)
{
    struct seen *s = ctx;
    s->n++;
    s->last = *row;
    snprintf(s->goal, sizeof s->goal, "%.*s", SLICE_ARG(row->goal));
    snprintf(s->plan_path, sizeof s->plan_path, "%.*s", SLICE_ARG(row->plan_path));
}

static void test_list_of_runs(void **state)
{
    struct rig *g = *state;
    struct rig_run a, b;
    struct seen s = {0};
    uint64_t run = 77;
    struct hash landed, expected = hash_of(SLICE("what is written"));
    rig_start(g, &a, "crannog/main/r1", "{}");
    rig_start(g, &b, "crannog/main/r2", "{}");
    rig_walk(&b, 9); /* list, and the first file's steps but its landing: read measure ask ask join look land = 8 */
    WELL(run_each(g->s, see_run, &s, &g->e));
    assert_int_equal(s.n, 2);
    assert_int_equal(s.last.id, 2);
    assert_int_equal(s.last.status, RUN_ACTIVE);
    assert_string_equal(s.goal, "to know");
    assert_string_equal(s.plan_path, "PLAN.md");
    assert_int_equal(s.last.total, 3);
    assert_int_equal(s.last.work_ino, 4);
    assert_true(s.last.updated_ms >= s.last.started_ms && s.last.started_ms > 1600000000000);
    WELL(run_of_plan(g->s, 3, 4, SLICE("PLAN.md"), &run, &g->e));
    assert_int_equal(run, 2);
    WELL(run_of_plan(g->s, 3, 5, SLICE("PLAN.md"), &run, &g->e));
    assert_int_equal(run, 0);
    WELL(run_of_plan(g->s, 3, 4, SLICE("OTHER.md"), &run, &g->e));
    assert_int_equal(run, 0);
    assert_false(landed_last(g->s, 3, 4, SLICE("nothing"), &landed));
    rig_walk(&b, 100);
    assert_true(landed_last(g->s, 3, 4, SLICE("notes/0-0.md"), &landed));
    assert_true(hash_eq(&landed, &expected));
    assert_false(landed_last(g->s, 3, 5, SLICE("notes/0-0.md"), &landed));
    rig_end(&a);
    rig_end(&b);
}

static void test_open_questions_are_counted(void **state)
{
    struct rig *g = *state;
    struct rig_run r;
    struct seen s = {0};
    enum err err = OK;
    rig_start_exec(g, &r, "crannog/main/r1", "{}");
    WELL(store_begin(g->s, &g->e));
    assert_true(rig_intend(&r, "{}", &err) && !err);
    WELL(rig_finish(&r, "failed", "{}", "exact")); /* a command has no second try */
    WELL(store_commit(g->s, &g->e));
    WELL(run_each(g->s, see_run, &s, &g->e));
    assert_int_equal(s.last.questions, 1);
    assert_int_equal(s.last.status, RUN_WAITING);
    WELL(store_begin(g->s, &g->e));
    WELL(rig_append(&r, EVENT_ANSWERED, NULL, "{\"v\":0,\"question\":1,\"answer\":\"skip\",\"by\":\"terminal\"}"));
    WELL(store_commit(g->s, &g->e));
    WELL(run_each(g->s, see_run, &s, &g->e));
    assert_int_equal(s.last.questions, 0);
    assert_int_equal(s.last.done, 1);
    rig_end(&r);
}

/* ---- the ledger ---- */

static uint64_t seed;
static unsigned below(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

/* M1 for every capped account, unit and window, from the reservations themselves. */
static void check_caps_hold(struct rig *g)
{
    static const char over[] =
        "SELECT count(*) FROM cap c WHERE c.amount < (SELECT coalesce(sum(iif(open, held, settled)), 0) FROM reservation r"
        " WHERE r.unit = c.unit AND (r.account = c.account OR r.account LIKE c.account || '/%'))";
    static const char over_own[] =
        "SELECT count(*) FROM budget c WHERE c.amount < (SELECT coalesce(sum(iif(open, held, settled)), 0) FROM reservation r"
        " WHERE r.unit = c.unit AND (r.account = c.account OR r.account LIKE c.account || '/%'))";
    static const char unbalanced[] = /* M3 */
        "SELECT count(*) FROM balance b WHERE exact + assumed + held <> (SELECT coalesce(sum(iif(open, held, settled)), 0)"
        " FROM reservation r WHERE r.unit = b.unit AND (r.account = b.account OR r.account LIKE b.account || '/%'))";
    static const char oversettled[] = "SELECT count(*) FROM reservation WHERE settled > held OR settled < 0 OR held < 0"; /* M2 */
    assert_int_equal(rig_count(g, over), 0);
    assert_int_equal(rig_count(g, over_own), 0);
    assert_int_equal(rig_count(g, unbalanced), 0);
    assert_int_equal(rig_count(g, oversettled), 0);
}

static void one_step(struct rig *g, struct rig_run *r)
{
    enum err err = OK;
    char amounts[64], used[64];
    WELL(store_begin(g->s, &g->e));
    if (r->r.nopen) {
        int64_t held = r->r.open[0].held.n[UNIT_TOKENS];
        snprintf(used, sizeof used, "{\"tokens\":%u}", held ? below((unsigned)held + 1) : 0);
        WELL(rig_finish(r, below(3) ? "cancelled" : "lost", used, below(2) ? "exact" : "assumed"));
        if (r->r.status == RUN_WAITING) /* three deaths: the person says again */
            WELL(rig_append(r, EVENT_ANSWERED, NULL, ({
                static char answer[80];
                snprintf(answer, sizeof answer, "{\"v\":0,\"question\":%u,\"answer\":\"retry\"}", r->r.items[0].head.question_step);
                answer;
            })));
        WELL(store_commit(g->s, &g->e));
        return;
    }
    struct amounts left;
    unsigned want = below(400);
    WELL(ledger_left(g->s, r->r.account, &left, &g->e));
    snprintf(amounts, sizeof amounts, "{\"tokens\":%u}", want);
    uint64_t seq = r->r.seq;
    assert_true(rig_intend(r, amounts, &err));
    assert_int_equal(err, want <= left.n[UNIT_TOKENS] ? OK : ERR_DENIED);
    assert_int_equal(r->r.seq, seq + !err); /* a refusal leaves the state */
    WELL(store_commit(g->s, &g->e));
}

/* Caps at every level and over every window, runs that want more than there is, people who change caps. */
static void test_caps_are_never_passed(void **state)
{
    struct rig *g = *state;
    struct rig_run runs[4];
    static const char *const accounts[] = {"crannog/a/r1", "crannog/a/r2", "crannog/b/r3", "crannog/ab/r4"};
    static const char *const budgets[] = {"{\"tokens\":2000}", "{}", "{\"tokens\":900}", "{\"tokens\":5000}"};
    seed = 42;
    for (int i = 0; i < 4; i++)
        rig_start_exec(g, &runs[i], accounts[i], budgets[i]);
    WELL(ledger_set_cap(g->s, SLICE("crannog/a"), UNIT_TOKENS, "total", 3000, &g->e));
    WELL(ledger_set_cap(g->s, SLICE("crannog"), UNIT_TOKENS, "day", 6000, &g->e));
    WELL(ledger_set_cap(g->s, SLICE("crannog/ab"), UNIT_TOKENS, "month", 2500, &g->e));
    for (int i = 0; i < 400; i++) {
        one_step(g, &runs[below(4)]);
        if (i % 20 == 0)
            check_caps_hold(g);
    }
    check_caps_hold(g);
    /* The caps were reached, or this proves nothing. */
    assert_in_range(rig_count(g, "SELECT exact + assumed + held FROM balance WHERE account = 'crannog' AND unit = 1"), 5000, 6000);
    char *found = rig_audit(g);
    assert_string_equal(found, "");
    free(found);
    for (int i = 0; i < 4; i++)
        rig_end(&runs[i]);
}

static void test_windows(void **state)
{
    struct rig *g = *state;
    struct rig_run r, elsewhere;
    struct amounts left;
    rig_start_exec(g, &r, "crannog/main/r1", "{}");
    rig_walk(&r, 1); /* 7 tokens, 1 call, now */
    rig_start_exec(g, &elsewhere, "crannog/main2/r2", "{}"); /* not below crannog/main, though it begins like it */
    rig_walk(&elsewhere, 1);
    WELL(ledger_left(g->s, SLICE("crannog/main/r1"), &left, &g->e));
    assert_true(left.n[UNIT_TOKENS] == AMOUNT_UNLIMITED);
    WELL(ledger_set_cap(g->s, SLICE("crannog"), UNIT_TOKENS, "month", 100, &g->e));
    WELL(ledger_set_cap(g->s, SLICE("crannog/main"), UNIT_TOKENS, "day", 50, &g->e));
    WELL(ledger_left(g->s, SLICE("crannog/main/r1"), &left, &g->e));
    assert_int_equal(left.n[UNIT_TOKENS], 43);
    assert_true(left.n[UNIT_CALLS] == AMOUNT_UNLIMITED);
    WELL(ledger_left(g->s, SLICE("crannog/other"), &left, &g->e));
    assert_int_equal(left.n[UNIT_TOKENS], 86);
    /* What was booked 40 days ago is in neither window, but in the total. */
    rig_sql(g, "UPDATE reservation SET time = time - 40 * 86400000");
    WELL(ledger_set_cap(g->s, SLICE("crannog"), UNIT_TOKENS, "total", 1000, &g->e));
    WELL(ledger_left(g->s, SLICE("crannog/main/r1"), &left, &g->e));
    assert_int_equal(left.n[UNIT_TOKENS], 50);
    WELL(ledger_set_cap(g->s, SLICE("crannog/main"), UNIT_TOKENS, "day", AMOUNT_UNLIMITED, &g->e));
    WELL(ledger_set_cap(g->s, SLICE("crannog"), UNIT_TOKENS, "month", AMOUNT_UNLIMITED, &g->e));
    WELL(ledger_left(g->s, SLICE("crannog/main/r1"), &left, &g->e));
    assert_int_equal(left.n[UNIT_TOKENS], 986);
    WELL(ledger_set_cap(g->s, SLICE("crannog"), UNIT_TOKENS, "total", 3, &g->e)); /* below what is spent */
    WELL(ledger_left(g->s, SLICE("crannog/main/r1"), &left, &g->e));
    assert_int_equal(left.n[UNIT_TOKENS], 0);
    assert_int_equal(ledger_set_cap(g->s, SLICE("crannog"), UNIT_TOKENS, "week", 3, &g->e), ERR_USAGE);
    assert_int_equal(ledger_set_cap(g->s, SLICE("a//b"), UNIT_TOKENS, "day", 3, &g->e), ERR_USAGE);
    assert_int_equal(ledger_left(g->s, SLICE("a b"), &left, &g->e), ERR_USAGE);
    rig_end(&r);
    rig_end(&elsewhere);
}

static int64_t fixed_ms;
static int64_t fixed_now(void)
{
    return fixed_ms;
}

/* What 7 tokens spent at one moment leave of 100 at another. */
static int64_t left_after(struct rig *g, const char *window, int64_t spent_ms, int64_t now_ms)
{
    char sql[100];
    struct amounts left;
    snprintf(sql, sizeof sql, "UPDATE reservation SET time = %lld", (long long)spent_ms);
    rig_sql(g, sql);
    fixed_ms = now_ms;
    WELL(ledger_set_cap(g->s, SLICE("crannog"), UNIT_TOKENS, window, 100, &g->e));
    WELL(ledger_left(g->s, SLICE("crannog"), &left, &g->e));
    WELL(ledger_set_cap(g->s, SLICE("crannog"), UNIT_TOKENS, window, AMOUNT_UNLIMITED, &g->e));
    return left.n[UNIT_TOKENS];
}

/* Days and months, leap years and not, by a clock that stands at their edges; the calendar is libc's. */
static void test_windows_begin_in_utc(void **state)
{
    struct rig *g = *state;
    struct rig_run r;
    rig_start_exec(g, &r, "crannog/main/r1", "{}");
    rig_walk(&r, 1);
    struct sys clocked = *sys;
    clocked.now_ms = fixed_now;
    sys = &clocked;
    for (int month = 0; month < 26; month++) { /* from January 1999 to February 2001: 2000 had a leap day */
        struct tm first = {.tm_year = 99, .tm_mon = month, .tm_mday = 1}, next = {.tm_year = 99, .tm_mon = month + 1, .tm_mday = 1};
        int64_t from = timegm(&first) * 1000ll, to = timegm(&next) * 1000ll;
        assert_int_equal(left_after(g, "month", from - 1, from), 100);
        assert_int_equal(left_after(g, "month", from, to - 1), 93);
    }
    int64_t noon = 951825600000; /* 2000-02-29 12:00 */
    assert_int_equal(left_after(g, "day", noon - 43200000, noon), 93);
    assert_int_equal(left_after(g, "day", noon - 43200001, noon), 100);
    assert_int_equal(left_after(g, "day", noon - 43200000, noon + 43199999), 93);
    sys = &sys_real;
    rig_end(&r);
}

struct books {
    int n;
    struct balance run; /* of crannog/main/r1, tokens */
    bool capped_only;   /* crannog/new, without any spending */
};

static void see_balance(void *ctx, const struct balance *b)
{
    struct books *k = ctx;
    k->n++;
    if (slice_is(b->account, "crannog/main/r1") && b->unit == UNIT_TOKENS)
        k->run = *b;
    k->capped_only |= slice_is(b->account, "crannog/new") && b->cap == 5 && b->exact + b->assumed + b->held == 0;
}

/* The run's own budget is a cap; a person's cap on the same account wins, also when it lifts it; a rebuild keeps that. */
static void test_own_budget_and_a_persons_cap(void **state)
{
    struct rig *g = *state;
    struct rig_run r;
    struct amounts left;
    struct books k = {0};
    rig_start_exec(g, &r, "crannog/main/r1", "{\"tokens\":500}");
    rig_walk(&r, 1);
    WELL(ledger_left(g->s, SLICE("crannog/main/r1"), &left, &g->e));
    assert_int_equal(left.n[UNIT_TOKENS], 493);
    WELL(ledger_set_cap(g->s, SLICE("crannog/new"), UNIT_NUSD, "total", 5, &g->e));
    WELL(ledger_each(g->s, see_balance, &k, &g->e));
    assert_int_equal(k.run.cap, 500);
    assert_int_equal(k.run.assumed, 7); /* the rig's first step is settled so */
    assert_int_equal(k.run.exact, 0);
    assert_true(k.capped_only);
    WELL(ledger_set_cap(g->s, SLICE("crannog/main/r1"), UNIT_TOKENS, "total", 1000, &g->e));
    WELL(ledger_left(g->s, SLICE("crannog/main/r1"), &left, &g->e));
    assert_int_equal(left.n[UNIT_TOKENS], 993);
    WELL(ledger_set_cap(g->s, SLICE("crannog/main/r1"), UNIT_TOKENS, "total", AMOUNT_UNLIMITED, &g->e));
    WELL(store_rebuild(g->s, &g->e));
    WELL(ledger_left(g->s, SLICE("crannog/main/r1"), &left, &g->e));
    assert_true(left.n[UNIT_TOKENS] == AMOUNT_UNLIMITED);
    rig_end(&r);
}

/* Amounts that would overflow the books are refused, not turned into something else. */
static void test_books_do_not_overflow(void **state)
{
    struct rig *g = *state;
    struct rig_run a, b;
    enum err err = OK;
    rig_start_exec(g, &a, "crannog/main/r1", "{}");
    rig_start_exec(g, &b, "crannog/main/r2", "{}");
    WELL(store_begin(g->s, &g->e));
    assert_true(rig_intend(&a, "{\"tokens\":9223372036854775807}", &err));
    assert_int_equal(err, OK);
    WELL(store_commit(g->s, &g->e));
    WELL(store_begin(g->s, &g->e));
    assert_true(rig_intend(&b, "{\"tokens\":1}", &err));
    assert_int_equal(err, ERR_LIMIT);
    store_rollback(g->s);
    rig_end(&a);
    rig_end(&b);
}

/* ---- leases ---- */

static struct lease child_lease(struct rig *g, uint64_t run, pid_t *ret_pid)
{
    int p[2];
    struct lease l = {0};
    assert_int_equal(pipe(p), 0);
    *ret_pid = fork();
    if (*ret_pid == 0) {
        struct store *s;
        struct error e;
        if (store_open(g->crannog, false, NULL, &s, &e) || lease_take(s, run, &l, &e) || write(p[1], &l, sizeof l) < 0)
            _exit(1);
        for (;;)
            pause();
    }
    close(p[1]);
    assert_int_equal(read(p[0], &l, sizeof l), sizeof l);
    close(p[0]);
    return l;
}

static void bury_child(pid_t pid)
{
    int status;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void test_second_process_waits_its_turn(void **state)
{
    struct rig *g = *state;
    struct rig_run r;
    struct lease mine;
    pid_t pid;
    char want[64];
    rig_start_exec(g, &r, "crannog/main/r1", "{}");
    lease_release(g->s, &r.lease);
    WELL(store_begin(g->s, &g->e));
    assert_int_equal(rig_append(&r, EVENT_RUN_CONTINUED, NULL, "{}"), ERR_DENIED); /* given back is given back */
    store_rollback(g->s);
    rig_close(g); /* SQLite's connections do not go through a fork */
    struct lease theirs = child_lease(g, 1, &pid);
    rig_open(g);
    assert_true(theirs.token > r.lease.token);
    assert_int_equal(lease_take(g->s, 1, &mine, &g->e), ERR_BUSY);
    snprintf(want, sizeof want, "process %d;", (int)pid);
    assert_non_null(strstr(g->e.text, want));
    assert_int_equal(lease_holder(g->s, 1), pid);
    assert_int_equal(lease_holder(g->s, 2), 0);
    bury_child(pid);
    assert_int_equal(lease_holder(g->s, 1), 0);
    WELL(lease_take(g->s, 1, &mine, &g->e));
    assert_int_equal(mine.token, theirs.token + 1);
    assert_int_equal(lease_holder(g->s, 1), getpid());
    assert_int_equal(rig_count(g, "SELECT count(*) FROM holder"), 1);
    rig_end(&r);
}

/* The holder is not dead, but its lease was taken over all the same (its lock did not hold): its token is refused. */
static void test_old_token_is_refused(void **state)
{
    struct rig *g = *state;
    struct rig_run r;
    struct store *other;
    struct lease theirs;
    char name[64];
    rig_start_exec(g, &r, "crannog/main/r1", "{}");
    WELL(store_open(g->crannog, false, NULL, &other, &g->e));
    assert_int_equal(lease_take(other, 1, &theirs, &g->e), ERR_BUSY); /* two holders in one process are two holders */
    snprintf(name, sizeof name, "holders/%lld", (long long)rig_count(g, "SELECT holder FROM lease WHERE run = 1"));
    assert_int_equal(unlink(rig_path(g, name)), 0);
    assert_int_equal(lease_take(other, 1, &theirs, &g->e), ERR_BUSY); /* its file is gone, the process is there */
    rig_sql(g, "UPDATE holder SET start = start + 1"); /* another process of the same number */
    WELL(lease_take(other, 1, &theirs, &g->e));
    assert_int_equal(theirs.token, r.lease.token + 1);
    WELL(store_begin(g->s, &g->e));
    assert_int_equal(rig_append(&r, EVENT_RUN_CONTINUED, NULL, "{\"v\":0}"), ERR_DENIED);
    assert_non_null(strstr(g->e.text, "taken over run r1"));
    store_rollback(g->s);
    lease_release(g->s, &r.lease); /* of the old token: changes nothing */
    assert_int_equal(lease_holder(other, 1), getpid());
    rig_refold(&r);
    struct rig_run again = r;
    struct rig g2 = {.s = other};
    again.g = &g2;
    again.lease = theirs;
    WELL(store_begin(other, &g->e));
    assert_int_equal(rig_append(&again, EVENT_RUN_CONTINUED, NULL, "{\"v\":0}"), OK);
    WELL(store_commit(other, &g->e));
    store_close(other);
    rig_end(&r);
}

static void test_lease_twice_and_token_never_back(void **state)
{
    struct rig *g = *state;
    struct lease a, b;
    WELL(lease_take(g->s, 7, &a, &g->e));
    WELL(lease_take(g->s, 7, &b, &g->e)); /* ours already */
    assert_int_equal(a.token, b.token);
    lease_release(g->s, &a);
    assert_int_equal(lease_holder(g->s, 7), 0);
    rig_close(g);
    rig_open(g);
    WELL(lease_take(g->s, 7, &b, &g->e));
    assert_int_equal(b.token, a.token + 1);
}

/* The same process took the lease anew: what still holds the old one is refused all the same. */
static void test_old_token_of_our_own(void **state)
{
    struct rig *g = *state;
    struct rig_run r;
    struct lease anew;
    rig_start_exec(g, &r, "crannog/main/r1", "{}");
    lease_release(g->s, &r.lease);
    WELL(lease_take(g->s, 1, &anew, &g->e));
    WELL(store_begin(g->s, &g->e));
    assert_int_equal(rig_append(&r, EVENT_RUN_CONTINUED, NULL, "{\"v\":0}"), ERR_DENIED);
    r.lease = anew;
    WELL(rig_append(&r, EVENT_RUN_CONTINUED, NULL, "{\"v\":0}"));
    WELL(store_commit(g->s, &g->e));
    rig_end(&r);
}

/* A child of a dying holder that never ran exec must not keep the lock: descriptors are closed on exec only, so this
   says what holds, an exec'd child, as the jail is. */
static void test_lock_does_not_pass_exec(void **state)
{
    struct rig *g = *state;
    pid_t pid, sleeper = 0;
    int p[2];
    rig_close(g);
    assert_int_equal(pipe(p), 0);
    pid = fork();
    if (pid == 0) {
        struct store *s;
        struct lease l;
        pid_t child;
        if (store_open(g->crannog, false, NULL, &s, NULL) || lease_take(s, 1, &l, NULL))
            _exit(1);
        child = fork();
        if (child == 0) {
            execl("/bin/sleep", "sleep", "20", (char *)NULL);
            _exit(1);
        }
        usleep(100000);
        if (write(p[1], &child, sizeof child) < 0)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(p[0], &sleeper, sizeof sleeper), sizeof sleeper);
    bury_child(pid);
    rig_open(g);
    struct lease l;
    WELL(lease_take(g->s, 1, &l, &g->e));
    kill(sleeper, SIGKILL);
    close(p[0]);
    close(p[1]);
}

/* ---- blobs ---- */

static void round_trip_blob(struct rig *g, size_t n)
{
    char *bytes = malloc(n + 1);
    struct hash h, twice, expected;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(i * 31 + n);
    struct slice s = {bytes, n};
    expected = hash_of(s);
    WELL(blob_put(g->s, s, &h, &g->e));
    WELL(blob_put(g->s, s, &twice, &g->e));
    assert_true(hash_eq(&h, &expected) && hash_eq(&twice, &h));
    struct buf b = BUF_INIT(BLOB_BYTES_MAX + 1);
    buf_add_text(&b, "before");
    WELL(blob_get(g->s, &h, &b, &g->e));
    assert_int_equal(b.n, n + 6);
    assert_memory_equal(b.p + 6, bytes, n);
    buf_release(&b);
    free(bytes);
}

static void test_blobs(void **state)
{
    struct rig *g = *state;
    static const size_t sizes[] = {0, 1, BLOB_INLINE_MAX, BLOB_INLINE_MAX + 1, 3 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        round_trip_blob(g, sizes[i]);
    assert_int_equal(rig_count(g, "SELECT count(*) FROM blob"), 5); /* the same bytes are kept once */
    assert_int_equal(rig_count(g, "SELECT sum(refs) FROM blob"), 10);
    assert_int_equal(rig_count(g, "SELECT count(*) FROM blob WHERE data IS NULL"), 2);
    struct hash none = hash_of(SLICE("nobody put this"));
    BUF_CLEANUP struct buf b = BUF_INIT(10);
    assert_int_equal(blob_get(g->s, &none, &b, &g->e), ERR_MISSING);
    struct hash h;
    WELL(blob_put(g->s, SLICE("twelve bytes"), &h, &g->e));
    assert_int_equal(blob_get(g->s, &h, &b, &g->e), ERR_LIMIT);
}

static void test_blob_of_an_undone_transaction(void **state)
{
    struct rig *g = *state;
    struct hash h;
    static char large[BLOB_INLINE_MAX + 7];
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    WELL(store_begin(g->s, &g->e));
    WELL(blob_put(g->s, (struct slice){large, sizeof large}, &h, &g->e));
    store_rollback(g->s);
    assert_int_equal(blob_get(g->s, &h, &b, &g->e), ERR_MISSING); /* its file lies there, but nothing names it */
    WELL(blob_put(g->s, (struct slice){large, sizeof large}, &h, &g->e));
    WELL(blob_get(g->s, &h, &b, &g->e));
    assert_int_equal(b.n, sizeof large);
}

/* ---- requests ---- */

static void test_requests(void **state)
{
    struct rig *g = *state;
    struct request q;
    struct store *other;
    bool any;
    char longest[300];
    memset(longest, 'x', sizeof longest);
    WELL(store_open(g->crannog, false, NULL, &other, &g->e));
    assert_false(request_waiting(g->s, 1));
    WELL(request_put(other, 1, "stop", SLICE("{}"), &g->e));
    WELL(request_put(other, 2, "stop", SLICE("{}"), &g->e));
    WELL(request_put(other, 1, "answer", SLICE("{\"question\":3}"), &g->e));
    assert_int_equal(request_put(other, 1, "answer", (struct slice){longest, 256}, &g->e), ERR_LIMIT);
    WELL(request_put(other, 3, "answer", (struct slice){longest, 255}, &g->e));
    assert_true(request_waiting(g->s, 1));
    WELL(store_begin(g->s, &g->e));
    WELL(request_take(g->s, 1, &q, &any, &g->e));
    assert_true(any);
    assert_string_equal(q.verb, "stop");
    store_rollback(g->s); /* its event was not committed: the wish is still there */
    WELL(store_begin(g->s, &g->e));
    WELL(request_take(g->s, 1, &q, &any, &g->e));
    assert_string_equal(q.verb, "stop");
    WELL(request_take(g->s, 1, &q, &any, &g->e));
    assert_string_equal(q.verb, "answer");
    assert_string_equal(q.args, "{\"question\":3}");
    WELL(request_take(g->s, 1, &q, &any, &g->e));
    assert_false(any);
    WELL(store_commit(g->s, &g->e));
    assert_false(request_waiting(g->s, 1));
    assert_true(request_waiting(g->s, 2));
    store_close(other);
}

/* ---- opening ---- */

static void test_read_only(void **state)
{
    struct rig *g = *state;
    struct rig_run r;
    struct store *ro;
    struct seen s = {0};
    struct lease l;
    rig_start(g, &r, "crannog/main/r1", "{}");
    rig_walk(&r, 2);
    WELL(store_open(g->crannog, true, &(struct store_options){.read_only = true}, &ro, &g->e));
    WELL(run_each(ro, see_run, &s, &g->e));
    assert_int_equal(s.n, 1);
    assert_int_equal(lease_holder(ro, 1), getpid());
    assert_int_equal(lease_take(ro, 1, &l, &g->e), ERR_DENIED);
    assert_int_equal(request_put(ro, 1, "stop", SLICE("{}"), &g->e), ERR_DENIED);
    rig_walk(&r, 1); /* the writer goes on beside it */
    /* The audit finds the same as on a store that may write, in the middle of the writer's transaction. */
    BUF_CLEANUP struct buf found = BUF_INIT(10000);
    WELL(store_begin(g->s, &g->e));
    WELL(store_audit(ro, &found, &g->e));
    store_rollback(g->s);
    assert_string_equal(buf_str(&found), "");
    rig_sql(g, "UPDATE balance SET exact = exact + 1 WHERE account = 'crannog'");
    WELL(store_audit(ro, &found, &g->e));
    assert_non_null(strstr(buf_str(&found), "lists and books are not what the events say"));
    assert_int_equal(rig_count(g, "SELECT count(*) FROM run"), 1);
    WELL(run_each(ro, see_run, &s, &g->e)); /* the connection's own tables are back */
    assert_int_equal(s.n, 2);
    store_close(ro);
    rig_end(&r);
    rig_close(g);
    WELL(store_open(g->crannog, false, &(struct store_options){.read_only = true}, &ro, &g->e)); /* nobody else has it open */
    WELL(run_each(ro, see_run, &s, &g->e));
    assert_int_equal(s.n, 3);
    store_close(ro);
}

static void test_nothing_there(void **state)
{
    struct rig *g = *state;
    struct store *s;
    assert_int_equal(store_open("/tmp/no-such-crannog", false, NULL, &s, &g->e), ERR_MISSING);
    assert_int_equal(store_open("/tmp/no-such-crannog", true, &(struct store_options){.read_only = true}, &s, &g->e), ERR_MISSING);
    assert_int_equal(store_open("/dev/null", true, NULL, &s, &g->e), ERR_EXISTS);
}

static void test_other_machine(void **state)
{
    struct rig *g = *state;
    struct store *s;
    rig_close(g);
    rig_sql(g, "UPDATE meta SET value = 'another' WHERE key = 'machine'");
    assert_int_equal(store_open(g->crannog, false, NULL, &s, &g->e), ERR_DENIED);
    assert_non_null(strstr(g->e.text, "another machine"));
    WELL(store_open(g->crannog, false, &(struct store_options){.read_only = true}, &s, &g->e));
    store_close(s);
    WELL(store_open(g->crannog, false, &(struct store_options){.adopt = true}, &s, &g->e));
    store_close(s);
    rig_open(g);
}

static void test_reserve(void **state)
{
    struct rig *g = *state;
    struct stat st;
    rig_close(g);
    WELL(store_open(g->crannog, false, NULL, &g->s, &g->e));
    assert_int_equal(stat(rig_path(g, "reserve"), &st), 0);
    assert_true(st.st_blocks * 512 >= RESERVE_BYTES); /* not a hole */
    assert_true(store_free_reserve(g->s));
    assert_int_equal(stat(rig_path(g, "reserve"), &st), -1);
    assert_false(store_free_reserve(g->s));
    store_make_reserve(g->s);
    assert_int_equal(stat(rig_path(g, "reserve"), &st), 0);
}

/* Ids are not given twice, whatever became of the run. */
static void test_run_ids(void **state)
{
    struct rig *g = *state;
    uint64_t a, b;
    WELL(store_begin(g->s, &g->e));
    WELL(store_new_run(g->s, &a, &g->e));
    WELL(store_new_run(g->s, &b, &g->e));
    WELL(store_commit(g->s, &g->e));
    assert_true(a == 1 && b == 2);
    rig_close(g);
    rig_open(g);
    WELL(store_begin(g->s, &g->e));
    WELL(store_new_run(g->s, &b, &g->e));
    WELL(store_commit(g->s, &g->e));
    assert_int_equal(b, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip),
        TEST(test_read_in_order_and_stop),
        TEST(test_rollback_leaves_nothing),
        TEST(test_same_number_other_event),
        TEST(test_refusals_leave_the_state),
        TEST(test_savepoint_spares_the_neighbour),
        TEST(test_rebuild_gives_the_same),
        TEST(test_list_of_runs),
        TEST(test_open_questions_are_counted),
        TEST(test_caps_are_never_passed),
        TEST(test_windows),
        TEST(test_windows_begin_in_utc),
        TEST(test_own_budget_and_a_persons_cap),
        TEST(test_books_do_not_overflow),
        TEST(test_second_process_waits_its_turn),
        TEST(test_old_token_is_refused),
        TEST(test_lease_twice_and_token_never_back),
        TEST(test_old_token_of_our_own),
        TEST(test_lock_does_not_pass_exec),
        TEST(test_blobs),
        TEST(test_blob_of_an_undone_transaction),
        TEST(test_requests),
        TEST(test_read_only),
        TEST(test_nothing_there),
        TEST(test_other_machine),
        TEST(test_reserve),
        TEST(test_run_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
