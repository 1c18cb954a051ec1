/*
 * store on the simulated disk: killed or cut from power at every change of the disk, and again while it recovers, it
 * has lost no commit that was acknowledged, holds no half of one, has every blob that an event names, and gives out its
 * leases again with a higher token (J1 to J5). The same with errors instead of crashes. Lies of the disk are noticed,
 * or the crashes would prove nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/machine.h"
#include "sim/vfs.h"
#include "store/store.h"

/* A fork takes ten times as long with the address sanitizer: there, only some of the crash points are tried. */
#if defined(__SANITIZE_ADDRESS__)
#define SLOWER 13
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLOWER 13
#endif
#endif
#ifndef SLOWER
#define SLOWER 1
#endif

enum { RUNS = 2, TURNS = 5 };
enum verdict { FINE = 0, LOST = 1, WRONG = 2, REFUSED = 3, ILL = 4 };

/* What somebody outside was told. */
struct outside {
    uint64_t acked[RUNS], started[RUNS]; /* the last event of each run: committed, and under way */
    uint64_t token[RUNS];
    char why[400];
};

static struct outside *outside_of(struct sim_world *w)
{
    return sim_outside(w, sizeof(struct outside));
}

struct work {
    struct sim_world *w;
    struct store *s;
    struct error e;
    struct run_state runs[RUNS];
    struct arena arenas[RUNS];
    struct lease leases[RUNS];
};

static enum verdict say(struct work *k, enum verdict v, const char *what)
{
    snprintf(outside_of(k->w)->why, sizeof outside_of(k->w)->why, "%s: %s", what, k->e.text);
    return v;
}

/* What the disk refused, as far as the store can tell (a folder that is there but cannot be looked at "exists"). */
static enum verdict failed(struct work *k, const char *what)
{
    return say(k, k->e.code == ERR_IO || k->e.code == ERR_EXISTS ? REFUSED : WRONG, what);
}

/* ---- looking ---- */

/* Everything that was acknowledged is there, and nothing that was not begun. Run i is known by its folder. */
static enum verdict look_at_run(struct work *k, int i)
{
    const struct outside *o = outside_of(k->w);
    uint64_t id;
    if (run_of_plan(k->s, (uint64_t)i + 1, 9, SLICE_NONE, &id, &k->e))
        return say(k, REFUSED, "looking for the run");
    k->arenas[i] = ARENA_INIT(RUN_ARENA_BYTES);
    run_init(&k->runs[i], 0, &k->arenas[i]);
    if (id && journal_fold(k->s, id, &k->runs[i], &k->arenas[i], &k->e))
        return failed(k, "fold");
    if (k->runs[i].seq < o->acked[i])
        return say(k, LOST, "acknowledged events are gone");
    if (k->runs[i].seq > o->started[i])
        return say(k, WRONG, "events that nobody wrote");
    return FINE;
}

static enum verdict look(struct work *k)
{
    BUF_CLEANUP struct buf findings = BUF_INIT(10000);
    for (int i = 0; i < RUNS; i++) {
        enum verdict v = look_at_run(k, i);
        if (v)
            return v;
    }
    if (store_audit(k->s, &findings, &k->e))
        return say(k, REFUSED, "audit");
    return findings.n ? say(k, WRONG, buf_str(&findings)) : FINE;
}

/* ---- working ---- */

static enum err append(struct work *k, int i, enum event_type type, const struct step_key *key, const char *payload)
{
    return journal_append(k->s, &k->leases[i], &k->runs[i], type, key, slice_of(payload), &k->e);
}

static enum err put_blob(struct work *k, int i, char ret[HASH_HEX + 1])
{
    static char bytes[BLOB_INLINE_MAX + 3000];
    struct hash h;
    size_t n = k->runs[i].seq % 4 < 2 ? 1000 : sizeof bytes; /* a row, then a file */
    memset(bytes, (int)(k->runs[i].seq + (uint64_t)i * 100), n);
    enum err err = blob_put(k->s, (struct slice){bytes, n}, &h, &k->e);
    hash_hex(&h, ret);
    return err;
}

static enum err finish(struct work *k, int i)
{
    char hex[HASH_HEX + 1], text[400];
    enum err err = put_blob(k, i, hex);
    if (err)
        return err;
    snprintf(text, sizeof text, "{\"v\":0,\"outcome\":\"cancelled\",\"used\":{\"tokens\":%d},\"how\":\"exact\","
             "\"result\":{\"text\":\"%s\"}}", 10 + i, hex);
    struct step_key key = k->runs[i].open[0].key;
    return append(k, i, EVENT_STEP_FINISHED, &key, text);
}

static enum err start_or_intend(struct work *k, int i)
{
    char text[400];
    if (k->runs[i].status == RUN_NEW) {
        snprintf(text, sizeof text, "{\"v\":0,\"exec\":[\"x\"],\"plan_path\":\"\",\"work\":\"/w\",\"work_dev\":%d,\"work_ino\":9,"
                 "\"goal\":\"\",\"account\":\"crannog/r%d\",\"agent\":\"main\",\"model\":\"\",\"budget\":{\"tokens\":1000},"
                 "\"slots\":1,\"window\":2048}", i + 1, i);
        return append(k, i, EVENT_RUN_STARTED, NULL, text);
    }
    struct decision d;
    run_decide(&k->runs[i], INT64_MAX, &d);
    snprintf(text, sizeof text, "{\"v\":0,\"item\":0,\"piece\":-1,\"stage\":\"survey\",\"act\":\"tool\",\"class\":\"reads\",\"args\":{},"
             "\"amounts\":{\"tokens\":50},\"account\":\"crannog/r%d\"}", i);
    return append(k, i, EVENT_STEP_INTENDED, &(struct step_key){.step = d.wants[0].step, .attempt = d.wants[0].attempt}, text);
}

/* One run's part of the group. */
static enum err part(struct work *k, int i)
{
    enum err err = store_savepoint(k->s, &k->e);
    if (!err && k->runs[i].nopen)
        err = finish(k, i);
    if (!err)
        err = start_or_intend(k, i);
    if (!err)
        err = store_release(k->s, &k->e);
    return err;
}

static enum err turn(struct work *k)
{
    struct outside *o = outside_of(k->w);
    enum err err = store_begin(k->s, &k->e);
    for (int i = 0; !err && i < RUNS; i++) {
        err = part(k, i);
        if (k->runs[i].seq > o->started[i])
            o->started[i] = k->runs[i].seq;
    }
    if (!err)
        err = store_commit(k->s, &k->e);
    for (int i = 0; !err && i < RUNS; i++)
        o->acked[i] = k->runs[i].seq;
    return err;
}

static enum err take_lease(struct work *k, int i)
{
    uint64_t id = k->runs[i].id;
    enum err err = OK;
    if (!id) {
        err = store_begin(k->s, &k->e);
        if (!err)
            err = store_new_run(k->s, &id, &k->e);
        if (!err)
            err = store_commit(k->s, &k->e);
        run_init(&k->runs[i], id, &k->arenas[i]);
    }
    return err ? err : lease_take(k->s, id, &k->leases[i], &k->e);
}

static int work(struct sim_world *w, void *arg)
{
    struct work *k = calloc(1, sizeof *k);
    k->w = w;
    (void)arg;
    sys = sim_machine_sys(w);
    sim_vfs_register(w);
    struct store_options o = {.vfs = SIM_VFS, .no_reserve = true, .pid = 7};
    if (store_open("/home/crannog", true, &o, &k->s, &k->e))
        return (int)failed(k, "open");
    enum verdict v = look(k);
    for (int i = 0; !v && i < RUNS; i++) {
        if (take_lease(k, i))
            return (int)failed(k, "lease");
        if (k->runs[i].seq && k->leases[i].token <= outside_of(w)->token[i])
            return (int)say(k, WRONG, "a token that was there before");
        outside_of(w)->token[i] = k->leases[i].token;
    }
    while (!v && (k->runs[0].seq < 2 * TURNS || k->runs[1].seq < 2 * TURNS))
        if (turn(k))
            return (int)failed(k, "turn");
    if (!v && outside_of(w)->acked[0] % 4 < 2)
        store_close(k->s); /* else it just ends */
    return (int)v;
}

/* ---- sweeps ---- */

static struct sim_world *world(uint64_t seed)
{
    struct sim_world *w = sim_world_new(seed);
    assert_non_null(w);
    sim_mkdir(w, AT_FDCWD, "/home", 0755);
    sim_disk_put(w, "/etc/machine-id", SLICE("0123456789abcdef0123456789abcdef\n"));
    sim_disk_settle(w);
    outside_of(w);
    return w;
}

static enum verdict judge(const struct sim_result *r)
{
    return r->how == SIM_CRASHED ? FINE : r->how == SIM_DIED ? ILL : (enum verdict)r->status;
}

/* Crash at change k, recover and crash in it twice, recover and finish. */
static enum verdict crash_thrice(struct sim_world *w, uint64_t k, enum sim_crash mode)
{
    struct sim_result r = sim_run(w, k, mode, work, NULL);
    enum verdict v = judge(&r);
    for (int again = 0; !v && r.how == SIM_CRASHED && again < 2; again++) {
        r = sim_run(w, 1 + sim_rand_below(sim_world_rand(w), again ? 60 : 15), mode, work, NULL);
        v = judge(&r);
    }
    if (!v) {
        r = sim_run(w, 0, mode, work, NULL);
        v = judge(&r);
    }
    return v;
}

/* How many of the crash points ended with LOST or WRONG; with expect_fine, the first of them is the end. */
static int sweep(uint64_t seed, enum sim_crash mode, unsigned bugs, unsigned stride, bool expect_fine)
{
    struct sim_world *w = world(seed);
    sim_bugs(w, bugs);
    struct sim_snapshot *start = sim_world_snapshot(w);
    struct sim_result r = sim_run(w, 0, mode, work, NULL);
    if (judge(&r))
        fail_msg("seed %llu without a crash: %d %d: %s", (unsigned long long)seed, r.how, r.status, outside_of(w)->why);
    assert_true(r.changes > 100);
    int bad = 0;
    for (uint64_t k = 1; k <= r.changes; k += (uint64_t)stride * SLOWER) {
        sim_world_restore(w, start);
        sim_world_reseed(w, seed + k);
        enum verdict v = crash_thrice(w, k, mode);
        if (v && expect_fine)
            fail_msg("seed %llu crash at %llu mode %d: verdict %d: %s", (unsigned long long)seed, (unsigned long long)k, mode, v,
                     outside_of(w)->why);
        bad += v == LOST || v == WRONG;
    }
    sim_world_restore(w, start);
    assert_int_equal(sim_run(w, 0, mode, work, NULL).trace, r.trace); /* a failing crash can be replayed */
    sim_snapshot_free(start);
    sim_world_free(w);
    return bad;
}

static void test_killed_at_every_change(void **state)
{
    (void)state;
    sweep(1, SIM_KILL, 0, 1, true);
}

static void test_power_cut_at_every_change(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++)
        sweep(seed * 1000, SIM_POWER, 0, 1, true);
}

/* Each operation fails once, or from then on. The process ends, as an engine does; the next one finds all. */
static void test_every_operation_fails(void **state)
{
    (void)state;
    struct sim_world *w = world(5);
    struct sim_snapshot *start = sim_world_snapshot(w);
    struct sim_result r = sim_run(w, 0, SIM_KILL, work, NULL);
    assert_int_equal(judge(&r), FINE);
    int refused = 0;
    for (uint64_t n = 1; n <= r.ops; n += SLOWER)
        for (uint64_t times = 1; times < 1000; times += 998) {
            sim_world_restore(w, start);
            sim_fail(w, n, times, EIO);
            struct sim_result f = sim_run(w, 0, SIM_KILL, work, NULL);
            enum verdict v = judge(&f);
            sim_fail(w, 0, 0, 0);
            refused += v == REFUSED;
            if (v != FINE && v != REFUSED)
                fail_msg("operation %llu failed %llu times: verdict %d: %s", (unsigned long long)n, (unsigned long long)times, v,
                         outside_of(w)->why);
            sim_world_crash(w, SIM_POWER);
            f = sim_run(w, 0, SIM_KILL, work, NULL);
            v = judge(&f);
            if (v != FINE)
                fail_msg("after operation %llu failed %llu times and a power cut: verdict %d: %s", (unsigned long long)n,
                         (unsigned long long)times, v, outside_of(w)->why);
        }
    assert_true(refused > 50 / SLOWER);
    sim_snapshot_free(start);
    sim_world_free(w);
}

/* The lies of a disk that the sweeps above would show. */
static void test_lies_are_noticed(void **state)
{
    (void)state;
    if (SLOWER > 1)
        skip();
    assert_true(sweep(7000, SIM_POWER, SIM_BUG_VFS_SYNC, 5, false) > 0);
    assert_true(sweep(8000, SIM_POWER, SIM_BUG_SYS_SYNC, 2, false) > 0);
    assert_true(sweep(9000, SIM_POWER, SIM_BUG_FOLDER_SYNC, 2, false) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_at_every_change),
        cmocka_unit_test(test_power_cut_at_every_change),
        cmocka_unit_test(test_every_operation_fails),
        cmocka_unit_test(test_lies_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
