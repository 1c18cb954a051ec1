/*
 * The simulated machine does what sim/world.h and machine.h say: locks go with their process, clocks and randomness go
 * on, the same seed gives the same world; and sys_replace_file leaves the old file or the new one at every crash point,
 * while replacements that leave out a sync are caught.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim/machine.h"

enum { KIB = 1024 };

static struct sim_world *world_new(uint64_t seed)
{
    struct sim_world *w = sim_world_new(seed);
    assert_non_null(w);
    return w;
}

static int open_file(struct sim_world *w, const char *path, int flags)
{
    int fd = sim_open(w, AT_FDCWD, path, flags, 0644);
    assert_true(fd >= SIM_FD_BASE);
    return fd;
}

static void put_durable(struct sim_world *w, const char *path, char fill, size_t n)
{
    char *bytes = malloc(n + 1);
    memset(bytes, fill, n);
    assert_int_equal(sim_disk_put(w, path, (struct slice){bytes, n}), 0);
    sim_disk_settle(w);
    free(bytes);
}

static bool is_text(struct sim_world *w, const char *path, const char *text)
{
    BUF_CLEANUP struct buf b = BUF_INIT(64 * KIB);
    return sim_disk_get(w, path, &b) && slice_is(buf_slice(&b), text);
}

static void put_text(struct sim_world *w, const char *path, const char *text)
{
    assert_int_equal(sim_disk_put(w, path, slice_of(text)), 0);
}

/* ---- processes, locks, clocks ---- */

static int lock_and_die(struct sim_world *w, void *arg)
{
    (void)arg;
    int a = sim_open(w, AT_FDCWD, "/lock", O_RDWR, 0), b = sim_open(w, AT_FDCWD, "/lock", O_RDWR, 0);
    if (sim_flock(w, a, LOCK_EX | LOCK_NB) < 0)
        return 1;
    if (sim_flock(w, b, LOCK_SH | LOCK_NB) != -1 || errno != EWOULDBLOCK)
        return 2;
    if (sim_flock(w, a, LOCK_SH) < 0 || sim_flock(w, b, LOCK_SH) < 0 || sim_flock(w, b, LOCK_EX | LOCK_NB) != -1)
        return 3;
    if (sim_close(w, a) < 0 || sim_flock(w, b, LOCK_EX | LOCK_NB) < 0)
        return 4;
    return 0;
}

static void test_locks_go_with_their_process(void **state)
{
    (void)state;
    struct sim_world *w = world_new(1);
    put_durable(w, "/lock", 0, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sim_run(w, 0, SIM_KILL, lock_and_die, NULL).status, 0);
    int mine = open_file(w, "/lock", O_RDWR); /* another terminal */
    assert_int_equal(sim_flock(w, mine, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(sim_run(w, 0, SIM_KILL, lock_and_die, NULL).status, 1);
    assert_int_equal(sim_flock(w, mine, LOCK_UN), 0);
    assert_int_equal(sim_run(w, 0, SIM_KILL, lock_and_die, NULL).status, 0);
    sim_world_free(w);
}

struct seen {
    int64_t boot_ns, now_ms;
    unsigned char random[8];
};

static int look_around(struct sim_world *w, void *arg)
{
    (void)arg;
    sys = sim_machine_sys(w);
    struct seen *s = sim_outside(w, sizeof *s);
    int64_t before = sys->boottime_ns(), start_ms = sys->now_ms();
    if (before <= s->boot_ns)
        return 1;
    if (sys->poll(NULL, 0, 2500) != 0 || sys->boottime_ns() - before < 2500000000 || sys->now_ms() - start_ms < 2500)
        return 2;
    s->now_ms = sys->now_ms();
    s->boot_ns = sys->boottime_ns();
    return sys->random(s->random, sizeof s->random) < 0 ? 3 : 0;
}

static void test_clocks_and_randomness_go_on(void **state)
{
    (void)state;
    struct sim_world *w = world_new(1);
    struct seen *s = sim_outside(w, sizeof *s), before;
    assert_int_equal(sim_run(w, 0, SIM_POWER, look_around, NULL).status, 0);
    before = *s;
    sim_world_crash(w, SIM_POWER);
    assert_int_equal(sim_run(w, 0, SIM_POWER, look_around, NULL).status, 0);
    assert_true(s->boot_ns > before.boot_ns && s->now_ms > before.now_ms);
    assert_memory_not_equal(s->random, before.random, sizeof before.random);
    before = *s;
    sim_clock_set(w, before.now_ms - 3600000); /* the person turns the clock back */
    assert_int_equal(sim_run(w, 0, SIM_POWER, look_around, NULL).status, 0);
    assert_true(s->boot_ns > before.boot_ns && s->now_ms < before.now_ms);
    sim_world_free(w);
}

static int end_badly(struct sim_world *w, void *arg)
{
    (void)w, (void)arg;
    raise(SIGABRT);
    return 0;
}

static void test_a_child_that_dies_is_told(void **state)
{
    (void)state;
    struct sim_world *w = world_new(1);
    struct sim_result r = sim_run(w, 0, SIM_KILL, end_badly, NULL);
    assert_true(r.how == SIM_DIED && r.status == SIGABRT);
    sim_world_free(w);
}

static int fail_then_write(struct sim_world *w, void *arg)
{
    (void)arg;
    if (sim_mkdir(w, AT_FDCWD, "/d", 0755) != -1 || errno != ENOSPC)
        return 1;
    sim_open(w, AT_FDCWD, "/after", O_RDWR | O_CREAT, 0600);
    return 0;
}

/* A change that was to die and fails by itself instead: nothing is changed any more. */
static void test_a_failing_change_crashes_too(void **state)
{
    (void)state;
    for (int when = SIM_ANYWHERE; when <= SIM_AFTER; when++) {
        struct sim_world *w = world_new(1);
        struct stat st;
        put_text(w, "/f", "x");
        sim_capacity(w, SIM_PAGE);
        sim_world_when(w, when);
        assert_int_equal(sim_run(w, 1, SIM_KILL, fail_then_write, NULL).how, SIM_CRASHED);
        assert_int_equal(sim_stat(w, AT_FDCWD, "/after", &st, 0), -1);
        sim_world_free(w);
    }
}

/* ---- replacing a file ---- */

enum how { WITH_ALL, WITHOUT_FILE_SYNC, WITHOUT_FOLDER_SYNC };

static bool replace_carelessly(const char *text, enum how how)
{
    int fd = sys->openat(AT_FDCWD, "/d/f.new", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    bool ok = fd >= 0 && !sys_write_all(fd, slice_of(text), "it", NULL) &&
              (how == WITHOUT_FILE_SYNC || sys->fsync(fd) == 0) &&
              sys->renameat2(AT_FDCWD, "/d/f.new", AT_FDCWD, "/d/f", 0) == 0;
    sys_close_fd(&fd);
    FD_CLEANUP int dir = sys->openat(AT_FDCWD, "/d", O_RDONLY | O_DIRECTORY, 0);
    return ok && (how == WITHOUT_FOLDER_SYNC || sys->fsync(dir) == 0);
}

static void text_of(int version, char *ret, size_t n)
{
    memset(ret, 'a' + version, n - 1); /* longer with each version, so that old and new differ in size and bytes */
    ret[(size_t)(version + 1) * 1500] = '\0';
}

static int replace_file(struct sim_world *w, void *arg)
{
    enum how how = *(enum how *)arg;
    sys = sim_machine_sys(w);
    int *acked = sim_outside(w, sizeof *acked);
    for (int v = *acked + 1; v <= 3; v++) {
        char text[8000];
        text_of(v, text, sizeof text);
        bool ok = how == WITH_ALL ? sys_replace_file(AT_FDCWD, "/d/f", slice_of(text), 0644, NULL) == OK
                                  : replace_carelessly(text, how);
        if (!ok)
            return 1;
        *acked = v;
    }
    return 0;
}

/* Crashes at every change; returns how often the file was neither the acknowledged version nor the one after it. */
static int replace_sweep(enum how how, enum sim_crash mode, unsigned bugs, enum sim_when when)
{
    int bad = 0, crashes = 0;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct sim_world *w = world_new(seed);
        char old[8000], new[8000];
        int *acked = sim_outside(w, sizeof *acked);
        text_of(0, old, sizeof old);
        put_text(w, "/d/f", old);
        sim_disk_settle(w);
        sim_bugs(w, bugs);
        sim_world_when(w, when);
        struct sim_snapshot *start = sim_world_snapshot(w);
        uint64_t n = sim_run(w, 0, mode, replace_file, &how).changes;
        assert_int_equal(*acked, 3);
        for (uint64_t k = 1; k <= n; k++) {
            sim_world_restore(w, start);
            crashes += sim_run(w, k, mode, replace_file, &how).how == SIM_CRASHED;
            text_of(*acked, old, sizeof old);
            text_of(*acked < 3 ? *acked + 1 : 3, new, sizeof new);
            bad += !is_text(w, "/d/f", old) && !is_text(w, "/d/f", new);
            assert_int_equal(sim_run(w, 0, mode, replace_file, &how).status, 0);
            text_of(3, new, sizeof new);
            assert_true(is_text(w, "/d/f", new));
        }
        sim_snapshot_free(start);
        sim_world_free(w);
    }
    assert_true(crashes >= 6 * 12);
    return bad;
}

static void test_replace_file_is_old_or_new(void **state)
{
    (void)state;
    for (int when = SIM_ANYWHERE; when <= SIM_AFTER; when++) {
        assert_int_equal(replace_sweep(WITH_ALL, SIM_KILL, 0, when), 0);
        assert_int_equal(replace_sweep(WITH_ALL, SIM_POWER, 0, when), 0);
    }
    assert_true(replace_sweep(WITHOUT_FILE_SYNC, SIM_POWER, 0, SIM_ANYWHERE) > 0);
    assert_true(replace_sweep(WITHOUT_FOLDER_SYNC, SIM_POWER, 0, SIM_ANYWHERE) > 0);
    assert_true(replace_sweep(WITH_ALL, SIM_POWER, SIM_BUG_SYS_SYNC, SIM_ANYWHERE) > 0);
    assert_true(replace_sweep(WITH_ALL, SIM_POWER, SIM_BUG_FOLDER_SYNC, SIM_ANYWHERE) > 0);
    assert_int_equal(replace_sweep(WITHOUT_FILE_SYNC, SIM_KILL, 0, SIM_ANYWHERE), 0);
}

/* ---- the same again ---- */

static int busy(struct sim_world *w, void *arg)
{
    enum how how = WITH_ALL;
    (void)arg;
    *(int *)sim_outside(w, sizeof(int)) = 0;
    struct sim_rand *r = sim_world_rand(w);
    for (int i = 0; i < 20; i++) {
        char path[20], bytes[3000];
        snprintf(path, sizeof path, "/d/%d", (int)sim_rand_below(r, 6));
        sim_machine_random(w, bytes, sizeof bytes);
        sim_disk_put(w, path, (struct slice){bytes, sim_rand_below(r, sizeof bytes)});
    }
    return replace_file(w, &how);
}

struct end {
    uint64_t trace, digest, changes;
};

static struct end end_of(struct sim_world *w, uint64_t crash_at)
{
    struct sim_result r = sim_run(w, crash_at, SIM_POWER, busy, NULL);
    assert_int_equal(r.how, SIM_CRASHED);
    uint64_t trace = r.trace;
    r = sim_run(w, 0, SIM_POWER, busy, NULL);
    return (struct end){sim_mix(trace, r.trace), sim_world_digest(w), r.changes};
}

static void test_the_same_seed_gives_the_same_world(void **state)
{
    (void)state;
    int differ = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_world *a = world_new(seed), *b = world_new(seed), *c = world_new(seed + 1000);
        struct sim_snapshot *start = sim_world_snapshot(a);
        struct end first = end_of(a, 17 + seed), second = end_of(b, 17 + seed), other = end_of(c, 17 + seed);
        assert_memory_equal(&first, &second, sizeof first);
        differ += first.trace != other.trace && first.digest != other.digest;
        sim_world_restore(a, start);
        struct end again = end_of(a, 17 + seed);
        assert_memory_equal(&first, &again, sizeof first);
        sim_snapshot_free(start);
        sim_world_free(a);
        sim_world_free(b);
        sim_world_free(c);
    }
    assert_int_equal(differ, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_locks_go_with_their_process),
        cmocka_unit_test(test_clocks_and_randomness_go_on),
        cmocka_unit_test(test_a_child_that_dies_is_told),
        cmocka_unit_test(test_a_failing_change_crashes_too),
        cmocka_unit_test(test_replace_file_is_old_or_new),
        cmocka_unit_test(test_the_same_seed_gives_the_same_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
