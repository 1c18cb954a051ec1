/*
 * The simulated disk and SQLite check each other: SQLite, told to be durable, must lose nothing in any simulated crash
 * (else the disk is too cruel, or the VFS wrong), and must be caught when it is told not to be, or when syncs are lies
 * (else the disk is too kind). A workload of transactions is crashed at every change, recovered, crashed again inside
 * the recovery, recovered again and finished; each time the content is compared with a model in memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "sim/machine.h"
#include "sim/vfs.h"

/* A fork takes ten times as long with the address sanitizer: there, only some of the crash points are tried. */
#if defined(__SANITIZE_ADDRESS__)
#define SLOWER 11
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLOWER 11
#endif
#endif
#ifndef SLOWER
#define SLOWER 1
#endif

/* ---- the model: what the database holds after `applied` steps, the first of which makes the tables ---- */

enum { KEYS = 10, MAX_BYTES = 9000 };

struct model {
    int64_t n[KEYS]; /* bytes, or -1 for no such key */
    unsigned char fill[KEYS];
    int64_t log_bytes;
};

struct put {
    int key;
    int64_t n; /* -1: delete */
    unsigned char fill;
};

/* The puts of transaction t: none, one or several; lengths from nothing to several pages. */
static size_t transaction(uint64_t seed, int t, struct put *ret)
{
    struct sim_rand r;
    sim_rand_init(&r, sim_mix(seed, (uint64_t)t), "transaction");
    size_t n = sim_rand_below(&r, 5);
    for (size_t i = 0; i < n; i++) {
        static const int lengths[] = {0, 1, 100, 511, 4096, MAX_BYTES};
        int64_t most = lengths[sim_rand_below(&r, 6)];
        ret[i].key = (int)sim_rand_below(&r, KEYS);
        ret[i].n = sim_rand_chance(&r, 1, 6) ? -1 : (int64_t)sim_rand_below(&r, (uint64_t)most + 1);
        ret[i].fill = (unsigned char)sim_rand_next(&r);
    }
    return n;
}

static struct model model_of(uint64_t seed, int applied)
{
    struct model m = {.log_bytes = 0};
    for (int k = 0; k < KEYS; k++)
        m.n[k] = -1;
    for (int t = 1; t < applied; t++) {
        struct put puts[5];
        size_t n = transaction(seed, t, puts);
        for (size_t i = 0; i < n; i++) {
            m.n[puts[i].key] = puts[i].n;
            m.fill[puts[i].key] = puts[i].fill;
        }
        m.log_bytes += t * 7 % 300;
    }
    return m;
}

/* ---- the child ---- */

enum verdict { FINE = 0, LOST = 1, WRONG = 2, REFUSED = 3, ILL = 4 };

struct outside {
    int acked;   /* steps whose COMMIT returned */
    int started; /* steps whose COMMIT was begun */
    char why[300];
};

struct job {
    uint64_t seed;
    int steps;
    const char *journal, *sync;
    int checkpoint; /* wal_autocheckpoint */
    bool only_look;
    bool give_up_on_error; /* an error is the end, as for an engine; else it is a failure of the test */
};

static struct outside *outside_of(struct sim_world *w)
{
    return sim_outside(w, sizeof(struct outside));
}

static enum verdict say(struct sim_world *w, enum verdict v, const char *what, int64_t a, int64_t b)
{
    snprintf(outside_of(w)->why, sizeof outside_of(w)->why, "%s (%lld, %lld)", what, (long long)a, (long long)b);
    return v;
}

static bool run_sql(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* The first column of the first row as a number; `none` if there is no row, -1000 on an error. */
static int64_t number(sqlite3 *db, const char *sql, int64_t none)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
        return -1000;
    int rc = sqlite3_step(s);
    int64_t v = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : rc == SQLITE_DONE ? none : -1000;
    sqlite3_finalize(s);
    return v;
}

static bool whole(sqlite3 *db)
{
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_prepare_v2(db, "pragma integrity_check", -1, &s, NULL) == SQLITE_OK &&
              sqlite3_step(s) == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(s, 0), "ok") == 0;
    sqlite3_finalize(s);
    return ok;
}

static bool same_values(sqlite3 *db, const struct model *m)
{
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_prepare_v2(db, "select k, v from kv order by k", -1, &s, NULL) == SQLITE_OK;
    int next = 0;
    while (ok && sqlite3_step(s) == SQLITE_ROW) {
        int k = sqlite3_column_int(s, 0);
        while (next < k && next < KEYS)
            ok &= m->n[next++] == -1;
        next = k + 1;
        const unsigned char *v = sqlite3_column_blob(s, 1);
        ok &= k < KEYS && sqlite3_column_bytes(s, 1) == m->n[k];
        for (int i = 0; ok && i < m->n[k]; i++)
            ok &= v[i] == m->fill[k];
    }
    while (next < KEYS)
        ok &= m->n[next++] == -1;
    sqlite3_finalize(s);
    return ok;
}

/* Compares the database with the model. *ret: the steps that it holds. */
static enum verdict look(struct sim_world *w, sqlite3 *db, const struct job *job, int *ret)
{
    const struct outside *o = outside_of(w);
    int64_t tables = number(db, "select count(*) from sqlite_schema where name in ('kv', 'log', 'meta')", 0);
    int64_t applied = tables == 3 ? number(db, "select n from meta", -1) : 0;
    if ((tables != 0 && tables != 3) || applied < 0)
        return say(w, WRONG, "tables, applied", tables, applied);
    if (applied > o->started)
        return say(w, WRONG, "applied, started", applied, o->started);
    if (!whole(db))
        return say(w, WRONG, "integrity_check", applied, 0);
    struct model m = model_of(job->seed, (int)applied);
    if (applied && (!same_values(db, &m) || number(db, "select count(*) from log", 0) != applied - 1 ||
                    number(db, "select coalesce(sum(length(t)), 0) from log", 0) != m.log_bytes))
        return say(w, WRONG, "content at step", applied, o->acked);
    if (applied < o->acked)
        return say(w, LOST, "applied, acknowledged", applied, o->acked);
    *ret = (int)applied;
    return FINE;
}

static bool put(sqlite3 *db, const struct put *p)
{
    char sql[200], bytes[MAX_BYTES];
    memset(bytes, p->fill, sizeof bytes);
    const char *what = p->n < 0 ? "delete from kv where k = %d" : "insert or replace into kv values (%d, ?)";
    snprintf(sql, sizeof sql, what, p->key);
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK &&
              (p->n < 0 || sqlite3_bind_blob(s, 1, bytes, (int)p->n, SQLITE_STATIC) == SQLITE_OK) &&
              sqlite3_step(s) == SQLITE_DONE;
    sqlite3_finalize(s);
    return ok;
}

static bool apply(sqlite3 *db, const struct job *job, int t)
{
    if (t == 0)
        return run_sql(db, "create table kv(k integer primary key, v blob);"
                           "create table log(i integer primary key, t text);"
                           "create index log_t on log(t); create table meta(n); insert into meta values (1)");
    char sql[200];
    struct put puts[5];
    size_t n = transaction(job->seed, t, puts);
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) /* no further after a failure: SQLite may have rolled back by itself */
        ok = put(db, &puts[i]);
    snprintf(sql, sizeof sql,
             "insert into log(t) values (hex(zeroblob(%d)) || substr('x', 1, %d)); update meta set n = %d",
             t * 7 % 300 / 2, t * 7 % 300 % 2, t + 1);
    return ok && run_sql(db, sql);
}

/* One step, sometimes after one that is rolled back, sometimes with a checkpoint behind it. */
static bool step(struct sim_world *w, sqlite3 *db, const struct job *job, int t)
{
    struct sim_rand r;
    struct outside *o = outside_of(w);
    sim_rand_init(&r, sim_mix(job->seed, (uint64_t)t), "around");
    if (sim_rand_chance(&r, 1, 5))
        if (!run_sql(db, "begin") || !apply(db, job, t) || !run_sql(db, "rollback"))
            return false;
    if (!run_sql(db, "begin immediate") || !apply(db, job, t))
        return false;
    if (o->started < t + 1)
        o->started = t + 1;
    if (!run_sql(db, "commit"))
        return false;
    if (o->acked < t + 1)
        o->acked = t + 1;
    if (sim_rand_chance(&r, 1, 6))
        run_sql(db, sim_rand_chance(&r, 1, 2) ? "pragma wal_checkpoint(truncate)" : "pragma wal_checkpoint(passive)");
    return true;
}

static int work(struct sim_world *w, void *arg)
{
    const struct job *job = arg;
    sqlite3 *db = NULL;
    char pragmas[300];
    sim_vfs_register(w);
    snprintf(pragmas, sizeof pragmas,
             "pragma cache_size = %d; pragma journal_mode = %s; pragma synchronous = %s;"
             "pragma wal_autocheckpoint = %d",
             job->seed % 3 ? 100 : 3, job->journal, job->sync, job->checkpoint);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    if (sqlite3_open_v2("/state/j.db", &db, flags, SIM_VFS) || !run_sql(db, pragmas))
        return say(w, REFUSED, sqlite3_errmsg(db), sqlite3_extended_errcode(db), 0), REFUSED;
    int applied = 0;
    enum verdict v = look(w, db, job, &applied);
    if (v && job->give_up_on_error && sqlite3_errcode(db) != SQLITE_OK && sqlite3_errcode(db) != SQLITE_CORRUPT)
        return REFUSED;
    for (int t = applied; !v && !job->only_look && t < job->steps; t++)
        if (!step(w, db, job, t))
            return say(w, REFUSED, sqlite3_errmsg(db), sqlite3_extended_errcode(db), t), REFUSED;
    if (job->seed % 2) /* half of the runs end without a last checkpoint */
        sqlite3_close(db);
    return v;
}

/* ---- sweeps ---- */

struct tally {
    int crashes, verdicts[5];
};

static void settle_start(struct sim_world *w)
{
    sim_mkdir(w, AT_FDCWD, "/state", 0755);
    sim_disk_settle(w);
    outside_of(w);
}

static enum verdict judge(struct tally *t, const struct sim_result *r)
{
    enum verdict v = r->how == SIM_CRASHED ? FINE : r->how == SIM_DIED ? ILL : (enum verdict)r->status;
    t->crashes += r->how == SIM_CRASHED;
    t->verdicts[v]++;
    return v;
}

/* Crash at change k, recover and crash in it, recover and finish. The first verdict that is not FINE ends it. */
static enum verdict crash_thrice(struct sim_world *w, struct job *job, uint64_t k, enum sim_crash mode, struct tally *t)
{
    struct sim_result r = sim_run(w, k, mode, work, job);
    enum verdict v = judge(t, &r);
    for (int again = 0; !v && r.how == SIM_CRASHED && again < 2; again++) {
        r = sim_run(w, 1 + sim_rand_below(sim_world_rand(w), again ? 40 : 12), mode, work, job);
        v = judge(t, &r);
    }
    if (!v) {
        r = sim_run(w, 0, mode, work, job);
        v = judge(t, &r);
    }
    return v;
}

/* Crashes at every change (or each `stride`th). With `expect_fine`, stops and tells at the first that is not. */
static struct tally sweep(struct job *job, enum sim_crash mode, enum sim_when when, unsigned bugs, int stride,
                          bool expect_fine)
{
    struct tally t = {0};
    struct sim_world *w = sim_world_new(job->seed);
    assert_non_null(w);
    settle_start(w);
    sim_world_when(w, when);
    sim_bugs(w, bugs);
    struct sim_snapshot *start = sim_world_snapshot(w);
    struct sim_result r = sim_run(w, 0, mode, work, job);
    if (r.how != SIM_FINISHED || r.status != FINE)
        fail_msg("seed %llu without a crash: %d %d: %s", (unsigned long long)job->seed, r.how, r.status,
                 outside_of(w)->why);
    for (uint64_t k = 1; k <= r.changes; k += (uint64_t)stride * (expect_fine ? SLOWER : 1)) {
        sim_world_restore(w, start);
        enum verdict v = crash_thrice(w, job, k, mode, &t);
        if (v && expect_fine)
            fail_msg("seed %llu crash at %llu mode %d when %d: verdict %d: %s", (unsigned long long)job->seed,
                     (unsigned long long)k, mode, when, v, outside_of(w)->why);
    }
    sim_world_restore(w, start);
    assert_int_equal(sim_run(w, 0, mode, work, job).trace, r.trace); /* a failing crash can be replayed */
    sim_snapshot_free(start);
    sim_world_free(w);
    return t;
}

static struct job job_of(uint64_t seed)
{
    return (struct job){.seed = seed, .steps = 9, .journal = "wal", .sync = "full", .checkpoint = seed % 2 ? 6 : 1000};
}

static void test_wal_full_survives_every_crash(void **state)
{
    (void)state;
    int crashes = 0;
    for (uint64_t seed = 1; seed <= 2; seed++)
        for (int mode = SIM_KILL; mode <= SIM_POWER; mode++) {
            struct job job = job_of(seed);
            crashes += sweep(&job, mode, SIM_ANYWHERE, 0, 1, true).crashes;
        }
    for (int when = SIM_BEFORE; when <= SIM_AFTER; when++) {
        struct job job = job_of(7);
        crashes += sweep(&job, SIM_POWER, when, 0, 1, true).crashes;
    }
    print_message("%d crashes, each recovered and compared\n", crashes);
    assert_true(crashes > 1000 / SLOWER);
}

/* The rollback journal goes other ways: folder syncs, deleting, hot journals. EXTRA syncs the folder after deleting. */
static void test_delete_extra_survives_every_crash(void **state)
{
    (void)state;
    for (uint64_t seed = 11; seed <= 12; seed++) {
        struct job job = job_of(seed);
        job.journal = "delete";
        job.sync = "extra";
        job.steps = 5;
        sweep(&job, SIM_POWER, SIM_ANYWHERE, 0, 1, true);
        sweep(&job, SIM_KILL, SIM_ANYWHERE, 0, 3, true);
    }
}

static struct tally power_sweeps(const char *journal, const char *sync, unsigned bugs, enum sim_crash mode)
{
    struct tally all = {0};
    for (uint64_t seed = 21; seed <= 22; seed++) {
        struct job job = job_of(seed);
        job.journal = journal;
        job.sync = sync;
        struct tally t = sweep(&job, mode, SIM_ANYWHERE, bugs, 3, false);
        for (int i = 0; i < 5; i++)
            all.verdicts[i] += t.verdicts[i];
    }
    print_message("%s %s bugs %u mode %d: fine %d lost %d wrong %d refused %d ill %d\n", journal, sync, bugs, mode,
                  all.verdicts[FINE], all.verdicts[LOST], all.verdicts[WRONG], all.verdicts[REFUSED],
                  all.verdicts[ILL]);
    return all;
}

static void test_ignored_syncs_are_caught_by_power_cuts_only(void **state)
{
    (void)state;
    struct tally power = power_sweeps("wal", "full", SIM_BUG_VFS_SYNC, SIM_POWER);
    assert_true(power.verdicts[LOST] > 0);
    assert_true(power.verdicts[WRONG] + power.verdicts[REFUSED] > 0); /* checkpoints tear the database as well */
    struct tally kill = power_sweeps("wal", "full", SIM_BUG_VFS_SYNC, SIM_KILL);
    assert_int_equal(kill.verdicts[LOST] + kill.verdicts[WRONG] + kill.verdicts[REFUSED] + kill.verdicts[ILL], 0);
}

static void test_weaker_promises_are_seen(void **state)
{
    (void)state;
    assert_true(power_sweeps("wal", "off", 0, SIM_POWER).verdicts[LOST] > 0);
    struct tally normal = power_sweeps("wal", "normal", 0, SIM_POWER); /* loses the last commits, never more */
    assert_true(normal.verdicts[LOST] > 0);
    assert_int_equal(normal.verdicts[WRONG] + normal.verdicts[REFUSED], 0);
    struct tally full = power_sweeps("delete", "full", 0, SIM_POWER); /* a deleted journal may come back */
    assert_true(full.verdicts[LOST] > 0);
    assert_int_equal(full.verdicts[WRONG] + full.verdicts[REFUSED], 0);
    assert_true(power_sweeps("delete", "extra", SIM_BUG_FOLDER_SYNC, SIM_POWER).verdicts[LOST] > 0);
}

/* ---- failing operations ---- */

/* Each operation in turn fails once; the process gives up, another looks, and goes on after a power cut. */
static void fail_each(uint64_t seed, int errnum, int stride)
{
    struct job job = job_of(seed), after = job_of(seed);
    job.give_up_on_error = true;
    struct sim_world *w = sim_world_new(seed);
    settle_start(w);
    struct sim_snapshot *start = sim_world_snapshot(w);
    uint64_t ops = sim_run(w, 0, SIM_POWER, work, &job).ops, failures = 0, refused = 0;
    for (uint64_t n = 1; n <= ops; n += (uint64_t)stride * SLOWER) {
        sim_world_restore(w, start);
        sim_fail(w, n, 1, errnum);
        struct sim_result r = sim_run(w, 0, SIM_POWER, work, &job);
        failures += sim_failed(w);
        refused += r.status == REFUSED;
        sim_fail(w, 0, 0, 0);
        if (n % 3)
            sim_world_crash(w, SIM_POWER);
        struct sim_result s = sim_run(w, 0, SIM_POWER, work, &after);
        if (r.how != SIM_FINISHED || (r.status != FINE && r.status != REFUSED) || s.how != SIM_FINISHED || s.status)
            fail_msg("seed %llu errno %d at operation %llu: %d/%d then %d/%d: %s", (unsigned long long)seed, errnum,
                     (unsigned long long)n, r.how, r.status, s.how, s.status, outside_of(w)->why);
    }
    print_message("errno %d: %llu operations failed, %llu were told\n", errnum, (unsigned long long)failures,
                  (unsigned long long)refused);
    assert_true(failures > 50 / SLOWER && refused > 20 / SLOWER);
    sim_snapshot_free(start);
    sim_world_free(w);
}

static void test_each_operation_may_fail(void **state)
{
    (void)state;
    fail_each(31, EIO, 2);
    fail_each(32, ENOSPC, 1);
}

/* The disk is full for a while: commits are refused, nothing is lost, and room lets it go on. */
static void test_full_disk(void **state)
{
    (void)state;
    struct job job = job_of(41);
    job.steps = 30;
    struct sim_world *w = sim_world_new(41);
    settle_start(w);
    int refused = 0;
    for (uint64_t pages = 2; pages < 60; pages += 3) {
        sim_capacity(w, pages * SIM_PAGE);
        struct sim_result r = sim_run(w, 0, SIM_POWER, work, &job);
        assert_true(r.how == SIM_FINISHED && (r.status == FINE || r.status == REFUSED));
        refused += r.status == REFUSED;
        assert_true(sim_used(w) <= pages * SIM_PAGE);
        sim_world_crash(w, SIM_POWER);
    }
    assert_true(refused > 2 && outside_of(w)->acked > 1);
    sim_capacity(w, 0);
    assert_int_equal(sim_run(w, 0, SIM_POWER, work, &job).status, FINE);
    assert_int_equal(outside_of(w)->acked, 30);
    sim_world_free(w);
}

/* ---- two connections ---- */

static int two_holders(struct sim_world *w, void *arg)
{
    (void)arg;
    sqlite3 *a = NULL, *b = NULL;
    sim_vfs_register(w);
    if (sqlite3_open("/state/j.db", &a) || sqlite3_open("/state/j.db", &b))
        return 1;
    if (!run_sql(a, "pragma journal_mode = wal; create table t(v); insert into t values (1)") ||
        number(b, "select v from t", 0) != 1)
        return 2;
    if (!run_sql(a, "begin immediate; update t set v = 2") || run_sql(b, "begin immediate") ||
        sqlite3_errcode(b) != SQLITE_BUSY)
        return 3; /* one writer */
    if (!run_sql(b, "begin") || number(b, "select v from t", 0) != 1 || !run_sql(a, "commit"))
        return 4; /* a reader is not in its way */
    if (number(b, "select v from t", 0) != 1 || run_sql(b, "update t set v = 3"))
        return 5; /* and keeps its snapshot, from which it may not write */
    if (number(a, "pragma wal_checkpoint(truncate)", 0) != 1)
        return 10; /* nor is the log cut off under it */
    if (!run_sql(b, "rollback; update t set v = v + 10") || number(a, "select v from t", 0) != 12)
        return 6;
    int64_t before = sim_clock_boottime_ns(w);
    sqlite3_busy_timeout(b, 500);
    if (!run_sql(a, "begin immediate") || run_sql(b, "begin immediate") ||
        sim_clock_boottime_ns(w) - before < 400000000)
        return 7; /* waiting takes simulated time only */
    run_sql(a, "rollback");
    if (!run_sql(a, "begin exclusive; create temp table s as select 1; commit; vacuum") || !whole(b))
        return 8;
    return sqlite3_close(a) || sqlite3_close(b) ? 9 : 0;
}

/* The same with a rollback journal, where the locks are those of the database file. */
static int two_holders_of_a_journal(struct sim_world *w, void *arg)
{
    (void)arg;
    sqlite3 *a = NULL, *b = NULL;
    sim_vfs_register(w);
    if (sqlite3_open("/state/r.db", &a) || sqlite3_open("/state/r.db", &b) ||
        !run_sql(a, "create table t(v); insert into t values (1)"))
        return 1;
    if (!run_sql(a, "begin immediate; update t set v = 2") || run_sql(b, "begin immediate"))
        return 2;
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(b, "select v from t", -1, &s, NULL) || sqlite3_step(s) != SQLITE_ROW || run_sql(a, "commit"))
        return 3; /* a reader is in its way here */
    sqlite3_finalize(s);
    if (number(b, "select v from t", 0) != -1000 || sqlite3_errcode(b) != SQLITE_BUSY)
        return 4; /* and no new one comes in once the writer waits */
    if (!run_sql(a, "commit") || number(b, "select v from t", 0) != 2)
        return 5;
    return sqlite3_close(a) || sqlite3_close(b) ? 6 : 0;
}

static void test_two_connections_are_two_holders(void **state)
{
    (void)state;
    struct sim_world *w = sim_world_new(51);
    settle_start(w);
    struct sim_result r = sim_run(w, 0, SIM_KILL, two_holders, NULL);
    assert_int_equal(r.how, SIM_FINISHED);
    assert_int_equal(r.status, 0);
    r = sim_run(w, 0, SIM_KILL, two_holders_of_a_journal, NULL);
    assert_int_equal(r.how, SIM_FINISHED);
    assert_int_equal(r.status, 0);
    sim_world_free(w);
}

/*
 * What a process reads after a kill is not yet durable: the commit that the dead one was syncing is visible to its
 * successor, and a power cut takes it back - until the successor commits something itself. Who acts on what it has read
 * must commit first. (This is why the engine's recovery begins with a commit.)
 */
static void test_what_a_kill_leaves_is_not_durable(void **state)
{
    (void)state;
    int taken_back = 0;
    for (uint64_t seed = 61; seed < 65; seed++) {
        struct job job = job_of(seed), only_look = job_of(seed);
        only_look.only_look = true;
        struct sim_world *w = sim_world_new(seed);
        settle_start(w);
        struct sim_snapshot *start = sim_world_snapshot(w);
        uint64_t changes = sim_run(w, 0, SIM_KILL, work, &job).changes;
        for (uint64_t k = 1; k <= changes; k++) {
            sim_world_restore(w, start);
            sim_run(w, k, SIM_KILL, work, &job);
            sim_run(w, 0, SIM_KILL, work, &only_look);
            struct outside *o = outside_of(w);
            int acked = o->acked;
            o->acked = o->started; /* as if the reader had relied on it */
            if (sim_run(w, 0, SIM_KILL, work, &only_look).status == FINE && o->started > acked) {
                sim_world_crash(w, SIM_POWER);
                taken_back += sim_run(w, 0, SIM_KILL, work, &only_look).status == LOST;
            }
        }
        sim_snapshot_free(start);
        sim_world_free(w);
    }
    print_message("%d commits were seen after a kill and gone after a power cut\n", taken_back);
    assert_true(taken_back > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wal_full_survives_every_crash),
        cmocka_unit_test(test_delete_extra_survives_every_crash),
        cmocka_unit_test(test_ignored_syncs_are_caught_by_power_cuts_only),
        cmocka_unit_test(test_weaker_promises_are_seen),
        cmocka_unit_test(test_each_operation_may_fail),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_two_connections_are_two_holders),
        cmocka_unit_test(test_what_a_kill_leaves_is_not_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
