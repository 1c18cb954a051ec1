/*
 * store, when things go wrong: damaged, newer, cut and empty files are told in words and hurt one run only; each system
 * call may fail once (SQLite's and ours) without a crash or a loss; a full disk loses nothing; a process killed at any
 * moment has lost nothing that it was told is committed.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"
#include "store_rig.h"

/* ---- the n-th write or sync of SQLite fails: these stand before libc's for libsqlite3 too ---- */

static unsigned disk_calls, disk_fail_at;
static int disk_errno = EIO;
static bool disk_syncs_only;

static bool disk_fails(bool is_sync)
{
    if (!disk_fail_at || (disk_syncs_only && !is_sync) || ++disk_calls != disk_fail_at)
        return false;
    errno = disk_errno;
    return true;
}

int fdatasync(int fd)
{
    return disk_fails(true) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return disk_fails(true) ? -1 : (int)syscall(SYS_fsync, fd);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    return disk_fails(false) ? -1 : syscall(SYS_pwrite64, fd, p, n, at);
}

static void disk_fail(unsigned at, int errnum, bool syncs_only)
{
    disk_calls = 0;
    disk_fail_at = at;
    disk_errno = errnum;
    disk_syncs_only = syncs_only;
}

static int make(void **state)
{
    struct rig *g = malloc(sizeof *g);
    rig_make(g);
    *state = g;
    return 0;
}

static int drop(void **state)
{
    disk_fail(0, 0, false);
    sys_fail_nth(0, 0, 0);
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

static uint64_t seed;
static unsigned below(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static enum err fold(struct rig *g, uint64_t run, uint64_t *ret_seq, enum run_status *ret_status)
{
    struct arena a = ARENA_INIT(RUN_ARENA_BYTES);
    struct run_state r;
    enum err err = journal_fold(g->s, run, &r, &a, &g->e);
    *ret_seq = r.seq;
    *ret_status = r.status;
    arena_release(&a);
    return err;
}

/* ---- damaged events ---- */

/* Three runs; the middle one is damaged by `sql`. It is broken, with these words; the others are not touched by it. */
static void one_broken(struct rig *g, const char *sql, enum err expected, const char *words)
{
    struct rig_run r[3];
    uint64_t seq;
    enum run_status status;
    for (int i = 0; i < 3; i++) {
        char account[32];
        snprintf(account, sizeof account, "crannog/main/r%d", i + 1);
        rig_start(g, &r[i], account, "{}");
        rig_walk(&r[i], 5);
        rig_end(&r[i]);
    }
    rig_sql(g, sql);
    assert_int_equal(fold(g, 2, &seq, &status), expected);
    assert_int_equal(status, RUN_BROKEN);
    if (!strstr(g->e.text, words))
        fail_msg("'%s' is not in: %s", words, g->e.text);
    for (uint64_t run = 1; run <= 3; run += 2) {
        assert_int_equal(fold(g, run, &seq, &status), OK);
        assert_int_equal(status, RUN_ACTIVE);
        assert_int_equal(seq, 11);
    }
    char *found = rig_audit(g);
    assert_non_null(strstr(found, words));
    assert_null(strstr(found, "run r1"));
    assert_null(strstr(found, "run r3"));
    free(found);
    WELL(store_rebuild(g->s, &g->e)); /* goes on with the others */
    assert_int_equal(rig_count(g, "SELECT status FROM run WHERE id = 2"), RUN_BROKEN);
    assert_int_equal(rig_count(g, "SELECT count(*) FROM run WHERE status = 1"), 2);
    assert_int_equal(rig_count(g, "SELECT count(*) FROM reservation WHERE run = 3 AND open = 0"), 10);
}

static void test_changed_payload(void **state)
{
    one_broken(*state, "UPDATE event SET payload = replace(payload, '\"tokens\":7', '\"tokens\":6') WHERE run = 2 AND seq = 7",
               ERR_CORRUPT, "the payload of event 7 was changed");
}

static void test_missing_event(void **state)
{
    one_broken(*state, "DELETE FROM event WHERE run = 2 AND seq = 6", ERR_CORRUPT, "event 6 is missing");
}

static void test_first_event_gone(void **state)
{
    one_broken(*state, "DELETE FROM event WHERE run = 2 AND seq = 1", ERR_CORRUPT, "event 1 is missing");
}

static void test_cut_header(void **state)
{
    one_broken(*state, "UPDATE event SET header = substr(header, 1, 100) WHERE run = 2 AND seq = 6", ERR_CORRUPT,
               "damaged header");
}

static void test_changed_time_breaks_the_chain(void **state)
{
    one_broken(*state, "UPDATE event SET header = CAST(substr(header, 1, 32) || x'00' || substr(header, 34) AS BLOB) WHERE run = 2 "
                       "AND seq = 6", ERR_CORRUPT, "the chain is broken before event 7");
}

static void test_newer_event(void **state)
{
    one_broken(*state, "UPDATE event SET header = CAST(x'0200' || substr(header, 3) AS BLOB) WHERE run = 2 AND seq = 6", ERR_VERSION,
               "newer crannog");
}

static void test_event_of_another_run(void **state)
{
    one_broken(*state, "UPDATE event SET header = (SELECT header FROM event WHERE run = 1 AND seq = 6) WHERE run = 2 AND seq = 6",
               ERR_CORRUPT, "an event of r1 lies among its events");
}

static void test_salt_without_payload(void **state)
{
    one_broken(*state, "UPDATE event SET salt = NULL WHERE run = 2 AND seq = 6", ERR_CORRUPT, "damaged salt or payload");
}

/* The end cut off leaves a chain that holds; the list of runs still knows better. */
static void test_lost_end_is_found_by_the_audit(void **state)
{
    struct rig *g = *state;
    struct rig_run r;
    rig_start(g, &r, "crannog/main/r1", "{}");
    rig_walk(&r, 5);
    rig_sql(g, "DELETE FROM event WHERE seq > 9");
    char *found = rig_audit(g);
    assert_non_null(strstr(found, "lists and books are not what the events say"));
    free(found);
    rig_end(&r);
}

/* E2: payload and salt dropped together leave the chain whole. */
static void test_redacted(void **state)
{
    struct rig *g = *state;
    struct rig_run r;
    uint64_t seq;
    enum run_status status;
    rig_start(g, &r, "crannog/main/r1", "{}");
    rig_walk(&r, 5);
    rig_sql(g, "UPDATE event SET payload = NULL, salt = NULL WHERE seq = 6");
    WELL(journal_read(g->s, 1, NULL, NULL, &g->e));
    assert_int_equal(fold(g, 1, &seq, &status), ERR_CORRUPT);
    assert_non_null(strstr(g->e.text, "redacted"));
    rig_end(&r);
}

/* ---- damaged files ---- */

static struct slice read_journal(struct rig *g, struct buf *to)
{
    assert_int_equal(sys_read_file(AT_FDCWD, rig_path(g, "journal.db"), to, NULL), OK);
    return buf_slice(to);
}

static void write_journal(struct rig *g, struct slice bytes)
{
    unlink(rig_path(g, "journal.db-wal"));
    unlink(rig_path(g, "journal.db-shm"));
    FILE *f = fopen(rig_path(g, "journal.db"), "w");
    assert_int_equal(fwrite(bytes.p, 1, bytes.n, f), bytes.n);
    fclose(f);
}

static enum err try_open(struct rig *g, bool create)
{
    memset(&g->e, 0, sizeof g->e);
    return store_open(g->crannog, create, &(struct store_options){.no_reserve = true}, &g->s, &g->e);
}

static void fill(struct rig *g)
{
    struct rig_run r[3];
    for (int i = 0; i < 3; i++) {
        rig_start(g, &r[i], "crannog/main", "{}");
        rig_walk(&r[i], 100);
        rig_end(&r[i]);
    }
    rig_close(g);
}

static void test_garbage_and_empty(void **state)
{
    struct rig *g = *state;
    char garbage[8192];
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 24);
    fill(g);
    struct slice whole = read_journal(g, &b);
    seed = 3;
    for (size_t i = 0; i < sizeof garbage; i++)
        garbage[i] = (char)below(256);
    for (int create = 0; create < 2; create++) { /* creating must never make a new one over it */
        write_journal(g, (struct slice){garbage, sizeof garbage});
        assert_int_equal(try_open(g, create), ERR_CORRUPT);
        assert_non_null(strstr(g->e.text, "is damaged: file is not a database; run `crannog doctor --audit`"));
        write_journal(g, SLICE_NONE);
        assert_int_equal(try_open(g, create), ERR_CORRUPT);
        assert_non_null(strstr(g->e.text, "is empty"));
        unlink(rig_path(g, "journal.db"));
        assert_int_equal(try_open(g, create), ERR_CORRUPT);
        assert_non_null(strstr(g->e.text, "is gone"));
        assert_int_equal(access(rig_path(g, "journal.db"), F_OK), -1);
    }
    write_journal(g, whole);
    rig_open(g);
}

/* An empty database of SQLite's, or one of somebody else. */
static void test_other_databases(void **state)
{
    struct rig *g = *state;
    fill(g);
    unlink(rig_path(g, "journal.db"));
    rig_sql(g, "PRAGMA journal_mode=DELETE; CREATE TABLE x(y); DROP TABLE x");
    assert_int_equal(try_open(g, true), ERR_CORRUPT);
    assert_non_null(strstr(g->e.text, "lost its tables"));
    rig_sql(g, "CREATE TABLE photos(y)");
    assert_int_equal(try_open(g, true), ERR_CORRUPT);
    assert_non_null(strstr(g->e.text, "is not a crannog's journal"));
}

static void test_newer_schema(void **state)
{
    struct rig *g = *state;
    char sql[64];
    rig_close(g);
    snprintf(sql, sizeof sql, "PRAGMA user_version=%d", STORE_SCHEMA + 1);
    rig_sql(g, sql);
    assert_int_equal(try_open(g, true), ERR_VERSION);
    assert_non_null(strstr(g->e.text, "newer crannog"));
    rig_sql(g, "PRAGMA user_version=0");
    assert_int_equal(try_open(g, true), ERR_VERSION);
}

static void test_lost_table(void **state)
{
    struct rig *g = *state;
    uint64_t seq;
    enum run_status status;
    fill(g);
    rig_sql(g, "DROP TABLE event");
    rig_open(g);
    assert_int_equal(fold(g, 1, &seq, &status), ERR_CORRUPT);
    assert_non_null(strstr(g->e.text, "is damaged: no such table"));
}

/* Any damage: an error in words or the truth, never a crash, never another history. */
static void look_through(struct rig *g, const uint64_t *seqs, int *told)
{
    enum err err = try_open(g, true);
    if (err) {
        assert_true(err == ERR_CORRUPT || err == ERR_IO || err == ERR_VERSION || err == ERR_DENIED);
        assert_true(strlen(g->e.text) > 20);
        (*told)++;
        return;
    }
    BUF_CLEANUP struct buf findings = BUF_INIT(1 << 20);
    for (uint64_t run = 1; run <= 3; run++) {
        uint64_t seq;
        enum run_status status;
        err = fold(g, run, &seq, &status);
        if (!err)
            assert_in_range(seq, 1, seqs[run - 1]); /* less only where the end was lost: the audit sees that */
    }
    err = store_audit(g->s, &findings, &g->e);
    *told += err || findings.n;
    for (uint64_t run = 1; !err && !findings.n && run <= 3; run++) {
        uint64_t seq;
        enum run_status status;
        assert_int_equal(fold(g, run, &seq, &status), OK);
        assert_int_equal(seq, seqs[run - 1]);
    }
    rig_close(g);
}

static void test_cut_and_flipped(void **state)
{
    struct rig *g = *state;
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 24), copy = BUF_INIT(1 << 24);
    uint64_t seqs[3] = {37, 37, 37};
    int cuts_told = 0, flips_told = 0, cuts = 0;
    fill(g);
    struct slice whole = read_journal(g, &b);
    for (size_t n = 1; n < whole.n; n += n < 4096 ? 1365 : 12288 + below(4096), cuts++) {
        write_journal(g, slice_sub(whole, 0, n));
        look_through(g, seqs, &cuts_told);
    }
    assert_int_equal(cuts_told, cuts); /* a cut file is always seen */
    for (int i = 0; i < 150; i++) {
        buf_reset(&copy);
        buf_add(&copy, whole);
        for (unsigned k = 0, many = 1 + below(4); k < many; k++)
            copy.p[below((unsigned)copy.n)] ^= (char)(1 << below(8));
        write_journal(g, buf_slice(&copy));
        look_through(g, seqs, &flips_told);
    }
    assert_true(flips_told > 30); /* the others hit free space, or what is not compared (the names of machines, leases) */
    write_journal(g, whole);
    rig_open(g);
}

/* ---- blobs ---- */

static void test_damaged_blobs(void **state)
{
    struct rig *g = *state;
    static char large[BLOB_INLINE_MAX + 9];
    struct hash small, big, gone;
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    char hex[HASH_HEX + 1], name[128];
    WELL(blob_put(g->s, SLICE("twelve bytes"), &small, &g->e));
    WELL(blob_put(g->s, (struct slice){large, sizeof large}, &big, &g->e));
    WELL(blob_put(g->s, (struct slice){large, sizeof large - 1}, &gone, &g->e));
    char *quiet = rig_audit(g);
    assert_string_equal(quiet, "");
    rig_sql(g, "UPDATE blob SET data = CAST('twelve Bytes' AS BLOB) WHERE data IS NOT NULL");
    hash_hex(&big, hex);
    snprintf(name, sizeof name, "blobs/%.2s/%s", hex, hex + 2);
    int fd = open(rig_path(g, name), O_WRONLY);
    assert_int_equal(write(fd, "!", 1), 1);
    close(fd);
    hash_hex(&gone, hex);
    snprintf(name, sizeof name, "blobs/%.2s/%s", hex, hex + 2);
    assert_int_equal(unlink(rig_path(g, name)), 0);
    assert_int_equal(blob_get(g->s, &small, &b, &g->e), ERR_CORRUPT);
    assert_int_equal(blob_get(g->s, &big, &b, &g->e), ERR_CORRUPT);
    assert_int_equal(blob_get(g->s, &gone, &b, &g->e), ERR_CORRUPT);
    assert_non_null(strstr(g->e.text, "has lost its file"));
    assert_int_equal(b.n, 0);
    char *found = rig_audit(g);
    int lines = 0;
    for (const char *p = found; (p = strchr(p, '\n')); p++)
        lines++;
    assert_int_equal(lines, 3);
    free(found);
    free(quiet);
}

/* J4, seen from the outside: a payload names what is not there. */
static void test_missing_blob_is_found(void **state)
{
    struct rig *g = *state;
    struct rig_run r;
    rig_start(g, &r, "crannog/main/r1", "{}");
    rig_walk(&r, 100);
    rig_sql(g, "DELETE FROM blob WHERE CAST(data AS TEXT) = 'some text'");
    char *found = rig_audit(g);
    assert_non_null(strstr(found, "run r1, event 5: its blob "));
    assert_non_null(strstr(found, " is not there"));
    free(found);
    rig_end(&r);
}

/* ---- faults ---- */

static enum err all_of_it(struct rig *g)
{
    static char large[BLOB_INLINE_MAX + 100];
    struct lease l;
    struct hash h;
    enum err err = store_open(g->crannog, true, NULL, &g->s, &g->e);
    if (!err)
        err = lease_take(g->s, 1, &l, &g->e);
    if (!err)
        err = blob_put(g->s, (struct slice){large, sizeof large}, &h, &g->e);
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    return err ? err : blob_get(g->s, &h, &b, &g->e);
}

/* Our own calls, one after the other. Some may fail without harm (the reserve; who we are is then less certain). */
static void test_each_system_call_fails(void **state)
{
    struct rig *g = *state;
    int refused = 0;
    for (unsigned n = 1;; n++) {
        rig_remove(g);
        memset(g, 0, sizeof *g);
        snprintf(g->crannog, sizeof g->crannog, "/tmp/crannog-store-XXXXXX");
        assert_non_null(mkdtemp(g->crannog));
        sys_fail_nth(n, EIO, SYS_FAULT_FILE | SYS_FAULT_MEMORY);
        enum err err = all_of_it(g);
        unsigned calls = sys_calls();
        if (err) {
            assert_true(strlen(g->e.text) > 10);
            refused++;
        }
        rig_close(g);
        sys_fail_nth(0, 0, 0);
        err = all_of_it(g);
        if (err)
            fail_msg("after call %u failed, opening again says: %s", n, g->e.text);
        char *found = rig_audit(g);
        assert_string_equal(found, "");
        free(found);
        if (calls < n)
            break;
    }
    assert_true(refused > 15);
}

static void append_some(struct rig *g, struct rig_run *r, uint64_t *acknowledged, enum err *ret)
{
    enum err err = store_begin(g->s, &g->e);
    if (!err)
        rig_intend(r, "{\"tokens\":5}", &err);
    if (!err)
        err = rig_finish(r, "cancelled", "{\"tokens\":2}", "exact");
    if (!err)
        err = store_commit(g->s, &g->e);
    else
        store_rollback(g->s);
    if (!err)
        *acknowledged = r->r.seq;
    *ret = err;
}

/* The n-th write or sync of SQLite fails, in a run that goes on until it is refused. Then: nothing that was
   acknowledged is gone, and where the store is not dead, nothing that was refused is there. */
static void disk_sweep(struct rig *g, int errnum, bool syncs_only, int *ret_dead, int *ret_refused)
{
    struct rig_run r;
    rig_start_exec(g, &r, "crannog/main/r1", "{}");
    uint64_t id = r.r.id, acknowledged = r.r.seq;
    for (unsigned n = 1; n <= 40; n++) {
        enum err err = OK;
        disk_fail(n, errnum, syncs_only);
        for (int i = 0; i < 6 && !err; i++)
            append_some(g, &r, &acknowledged, &err);
        disk_fail(0, 0, false);
        bool dead = store_is_dead(g->s);
        *ret_refused += err != OK;
        *ret_dead += dead;
        if (dead) {
            assert_int_equal(store_begin(g->s, &g->e), ERR_IO);
            assert_non_null(strstr(g->e.text, "refused to make a commit durable"));
            assert_int_equal(lease_take(g->s, 5, &(struct lease){0}, &g->e), ERR_IO);
        }
        rig_close(g);
        rig_open(g);
        WELL(lease_take(g->s, id, &r.lease, &g->e));
        rig_refold(&r);
        assert_true(r.r.seq == acknowledged || (dead && r.r.seq == acknowledged + 2));
        acknowledged = r.r.seq;
    }
    char *found = rig_audit(g);
    assert_string_equal(found, "");
    free(found);
    rig_end(&r);
}

static void test_each_sync_fails(void **state)
{
    int dead = 0, refused = 0;
    disk_sweep(*state, EIO, true, &dead, &refused);
    assert_true(dead > 5);
    assert_int_equal(dead, refused);
}

static void test_each_write_fails(void **state)
{
    int dead = 0, refused = 0;
    disk_sweep(*state, EIO, false, &dead, &refused);
    assert_true(refused > 20);
}

static void test_disk_full_now_and_then(void **state)
{
    int dead = 0, refused = 0;
    disk_sweep(*state, ENOSPC, false, &dead, &refused);
    assert_true(refused > 20);
}

/* I1: SQLite undoes a transaction by itself when the disk is full; what comes after must not be committed alone. */
static void test_lost_transaction_stays_lost(void **state)
{
    struct rig *g = *state;
    struct rig_run r;
    enum err err = OK;
    static char bytes[60000];
    struct hash h;
    rig_start_exec(g, &r, "crannog/main/r1", "{}");
    uint64_t seq = r.r.seq;
    WELL(store_begin(g->s, &g->e));
    assert_true(rig_intend(&r, "{\"tokens\":5}", &err) && !err);
    disk_fail(1, ENOSPC, false);
    for (unsigned i = 0; !err && i < 2000; i++) { /* until the cache is full and pages are written in mid-transaction */
        memcpy(bytes, &i, sizeof i);
        err = blob_put(g->s, (struct slice){bytes, sizeof bytes}, &h, &g->e);
    }
    disk_fail(0, 0, false);
    assert_int_equal(err, ERR_NO_SPACE);
    assert_int_equal(request_put(g->s, 1, "stop", SLICE("{}"), &g->e), ERR_NO_SPACE);
    assert_int_equal(store_savepoint(g->s, &g->e), ERR_NO_SPACE);
    assert_int_equal(store_commit(g->s, &g->e), ERR_NO_SPACE);
    assert_false(request_waiting(g->s, 1));
    rig_refold(&r);
    assert_int_equal(r.r.seq, seq);
    append_some(g, &r, &seq, &err);
    assert_int_equal(err, OK);
    rig_end(&r);
}

/* ---- a disk that is really full ---- */

/* In a mount namespace of its own; exit code 0 well, 99 the machine does not allow it. */
static int on_a_small_disk(struct rig *g)
{
    struct rig_run r;
    uint64_t acknowledged = 0;
    enum err err = OK;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", g->crannog, "tmpfs", 0, "size=20m,mode=0700") < 0)
        return 99;
    if (store_open(g->crannog, true, NULL, &g->s, &g->e))
        return 2;
    if (access(rig_path(g, "reserve"), F_OK))
        return 3;
    rig_start_exec(g, &r, "crannog/main/r1", "{}");
    static char bytes[60000];
    for (unsigned i = 0; i < 1000 && !err; i++) {
        struct hash h;
        memcpy(bytes, &i, sizeof i);
        append_some(g, &r, &acknowledged, &err);
        if (!err)
            err = blob_put(g->s, (struct slice){bytes, sizeof bytes}, &h, &g->e);
    }
    if (err != ERR_NO_SPACE || store_is_dead(g->s))
        return 4;
    /* What is in flight can be finished with the reserve. */
    rig_refold(&r);
    if (r.r.seq < acknowledged)
        return 5;
    if (!store_free_reserve(g->s))
        return 6;
    append_some(g, &r, &acknowledged, &err);
    if (err)
        return 7;
    rig_end(&r);
    rig_close(g);
    if (store_open(g->crannog, false, NULL, &g->s, &g->e))
        return 8;
    uint64_t seq;
    enum run_status status;
    if (fold(g, 1, &seq, &status) || seq != acknowledged)
        return 9;
    char *found = rig_audit(g);
    int clean = strcmp(found, "");
    free(found);
    return clean ? 10 : 0;
}

static void test_full_disk(void **state)
{
    struct rig *g = *state;
    int status;
    rig_close(g);
    pid_t pid = fork();
    if (pid == 0)
        _exit(on_a_small_disk(g));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    rig_open(g);
    if (WEXITSTATUS(status) == 99) {
        print_message("skipped: no right to mount a small disk\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- several processes; kill -9 ---- */

static void work_until_killed(struct rig *g, int to)
{
    struct rig_run r;
    uint64_t seq[2];
    enum err err = OK;
    if (store_open(g->crannog, true, &(struct store_options){.no_reserve = true}, &g->s, &g->e)) {
        fprintf(stderr, "%s\n", g->e.text);
        _exit(1);
    }
    rig_start_exec(g, &r, "crannog/main/r1", "{}");
    seq[0] = r.r.id;
    for (int i = 0; i < 400 && !err; i++) {
        append_some(g, &r, &seq[1], &err);
        if (!err && write(to, seq, sizeof seq) < 0)
            _exit(1);
    }
    rig_end(&r);
    rig_close(g);
    _exit(err ? 1 : 0);
}

static pid_t start_worker(struct rig *g, int *ret_from)
{
    int p[2];
    assert_int_equal(pipe(p), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(p[0]);
        work_until_killed(g, p[1]);
    }
    close(p[1]);
    *ret_from = p[0];
    return pid;
}

/* Four make the same crannog at once and work in it; each is killed at some moment (or not). J1. */
static void test_killed_workers_lose_nothing(void **state)
{
    struct rig *g = *state;
    seed = 11;
    for (int round = 0; round < 6; round++) {
        rig_remove(g);
        snprintf(g->crannog, sizeof g->crannog, "/tmp/crannog-store-XXXXXX");
        assert_non_null(mkdtemp(g->crannog));
        int from[4], status;
        pid_t pids[4];
        for (int i = 0; i < 4; i++)
            pids[i] = start_worker(g, &from[i]);
        for (int i = 0; i < 4; i++) {
            usleep(1000 * below(120));
            kill(pids[i], SIGKILL);
        }
        for (int i = 0; i < 4; i++) {
            assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
            assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        }
        assert_int_equal(try_open(g, true), OK);
        for (int i = 0; i < 4; i++) {
            uint64_t said[2], last[2] = {0, 0}, seq;
            enum run_status run_status;
            while (read(from[i], said, sizeof said) == (ssize_t)sizeof said)
                memcpy(last, said, sizeof last);
            close(from[i]);
            if (!last[0])
                continue;
            assert_int_equal(fold(g, last[0], &seq, &run_status), OK);
            assert_in_range(seq, last[1], last[1] + 2); /* one may have been committed and not said */
            struct lease l;
            WELL(lease_take(g->s, last[0], &l, &g->e)); /* at once: the kernel freed the lock */
        }
        char *found = rig_audit(g);
        assert_string_equal(found, "");
        free(found);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_changed_payload),
        TEST(test_missing_event),
        TEST(test_first_event_gone),
        TEST(test_cut_header),
        TEST(test_changed_time_breaks_the_chain),
        TEST(test_newer_event),
        TEST(test_event_of_another_run),
        TEST(test_salt_without_payload),
        TEST(test_lost_end_is_found_by_the_audit),
        TEST(test_redacted),
        TEST(test_garbage_and_empty),
        TEST(test_other_databases),
        TEST(test_newer_schema),
        TEST(test_lost_table),
        TEST(test_cut_and_flipped),
        TEST(test_damaged_blobs),
        TEST(test_missing_blob_is_found),
        TEST(test_each_system_call_fails),
        TEST(test_each_sync_fails),
        TEST(test_each_write_fails),
        TEST(test_disk_full_now_and_then),
        TEST(test_lost_transaction_stays_lost),
        TEST(test_full_disk),
        TEST(test_killed_workers_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
