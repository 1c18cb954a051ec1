/*
 * What the attempts' folders hold, seen from outside: an empty one is needed to begin with; one entry is a change; the
 * amount is counted in slices over several looks, files of many names once, holes not at all; one walk that finds too
 * much is not believed; what a link points to is not counted.
 *
 * Planted once and caught: blocks not divided by names; sizes for blocks; the first walk believed; links followed; a walk
 * begun anew at each look.
 */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"
#include "jail/internal.h"

static char top[64], path[300];
static int64_t now_ns = 1;

static const char *at(const char *name)
{
    static char text[400];
    snprintf(text, sizeof text, "%s/%s", path, name);
    return text;
}

static void write_file(const char *name, size_t n)
{
    static char bytes[65536];
    int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    memset(bytes, 'x', sizeof bytes);
    assert_true(fd >= 0);
    for (; n; n -= n < sizeof bytes ? n : sizeof bytes)
        assert_true(write(fd, bytes, n < sizeof bytes ? n : sizeof bytes) > 0);
    fsync(fd); /* so that its blocks are counted */
    close(fd);
}

/* A clock on which a millisecond passes whenever it is read. */
static int64_t slow_clock(void)
{
    return now_ns += 1000000;
}

static struct uppers begin(uint64_t limit)
{
    static unsigned n;
    static struct slice upper;
    struct uppers u;
    struct error e = {.code = OK};
    snprintf(path, sizeof path, "%s/%u", top, n++);
    assert_true(mkdir(path, 0700) == 0 && mkdir(at("up"), 0700) == 0 && mkdir(at("work"), 0700) == 0);
    upper = slice_of(path);
    struct jail_plan p = {.limits.disk = limit, .nmounts = 1};
    p.mounts[0] = (struct jail_mount){.kind = JAIL_LAYERS, .source = SLICE("/"), .target = SLICE("/x"), .upper = upper};
    uppers_init(&u);
    if (uppers_open(&p, &u, &e))
        fail_msg("%s", e.text);
    return u;
}

/* Looks until it is over, at most `most` times; the number of looks, or 0. */
static unsigned looks(struct uppers *u, unsigned most)
{
    for (unsigned i = 1; i <= most; i++) {
        now_ns += UPPERS_EVERY_MS * INT64_C(1000000);
        if (uppers_look(u) == LOOK_OVER)
            return i;
    }
    return 0;
}

static void test_empty_to_begin_with(void **state)
{
    (void)state;
    struct uppers u = begin(0), again;
    struct error e = {.code = OK};
    struct jail_plan p = {.nmounts = 1};
    p.mounts[0].upper = slice_of(path);
    assert_false(uppers_changed(&u));
    write_file("up/.f", 0);
    assert_true(uppers_changed(&u));
    uppers_init(&again);
    assert_int_equal(uppers_open(&p, &again, &e), ERR_USAGE);
    uppers_close(&again);
    uppers_close(&u);
    assert_true(unlink(at("up/.f")) == 0 && rmdir(at("work")) == 0);
    uppers_init(&again);
    assert_int_equal(uppers_open(&p, &again, &e), ERR_USAGE);
    uppers_close(&again);
}

static void test_counting(void **state)
{
    (void)state;
    struct uppers u = begin(1 << 20);
    char name[40];
    write_file("up/f", 600000);
    for (int i = 0; i < 8; i++) {
        char other[400];
        snprintf(name, sizeof name, "up/g%d", i);
        snprintf(other, sizeof other, "%s", at(name));
        assert_int_equal(link(at("up/f"), other), 0);
    }
    assert_int_equal(truncate(at("up/g0"), 600000), 0);
    write_file("up/hole", 0);
    assert_int_equal(truncate(at("up/hole"), 1 << 30), 0);
    write_file("elsewhere", 4 << 20);
    assert_int_equal(symlink("../elsewhere", at("up/l")), 0);
    assert_int_equal(symlink("..", at("up/back")), 0);
    assert_int_equal(looks(&u, 40), 0);
    assert_in_range(u.walked.bytes, 600000, 700000);
    write_file("up/h", 600000);
    assert_int_not_equal(looks(&u, 40), 0);
    uppers_close(&u);
}

/* 3,000 files take several looks, and both walks their time. */
static void test_slices(void **state)
{
    (void)state;
    struct uppers u = begin(11 << 20);
    char name[40];
    for (int i = 0; i < 3000; i++) {
        if (i % 100 == 0) {
            snprintf(name, sizeof name, "up/%d", i / 100);
            assert_int_equal(mkdir(at(name), 0700), 0);
        }
        snprintf(name, sizeof name, "up/%d/%d", i / 100, i % 100);
        int fd = open(at(name), O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0 && posix_fallocate(fd, 0, 4096) == 0);
        close(fd);
    }
    assert_in_range(looks(&u, 60), 2, 8); /* the file system has lost much: in a hurry */
    u.alone[0] = false; /* it does not say */
    u.most_free[0] = (struct extent){0};
    u.walk.over = 0;
    assert_in_range(looks(&u, 60), 9, 40);
    uppers_close(&u);
}

static void test_one_walk_is_not_believed(void **state)
{
    (void)state;
    struct uppers u = begin(1 << 20);
    u.walk.over = 1; /* as if a file had been met at both ends of a rename */
    write_file("up/f", 600000);
    assert_int_equal(looks(&u, 30), 0);
    assert_int_equal(u.walk.over, 0);
    write_file("up/g", 600000);
    u.walk.over = 0;
    u.walked_ns = 0;
    now_ns += INT64_C(2000000000);
    assert_int_equal(uppers_look(&u), LOOK_OVER); /* both walks in one look, where they are short */
    assert_int_equal(u.walk.over, 2);
    uppers_close(&u);
}

static void test_held(void **state)
{
    (void)state;
    struct uppers u = begin(1 << 20);
    u.walked.bytes = 600000;
    assert_false(uppers_held(&u, 400000, false));
    assert_true(uppers_held(&u, 500000, false));
    assert_false(uppers_held(&u, 0, true)); /* hidden, but the file system has lost nothing */
    u.most_free[0].bytes += 64 << 20;
    assert_true(uppers_held(&u, 0, true));
    assert_false(uppers_held(&u, 0, false)); /* somebody else's */
    uppers_close(&u);
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(name);
}

int main(void)
{
    static struct sys slow;
    const char *tmp = getenv("TMPDIR");
    snprintf(top, sizeof top, "%s/crannog-uppers-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/var/tmp");
    if (!mkdtemp(top))
        return 1;
    slow = sys_real;
    slow.boottime_ns = slow_clock;
    sys = &slow;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_to_begin_with), cmocka_unit_test(test_counting), cmocka_unit_test(test_slices),
        cmocka_unit_test(test_one_walk_is_not_believed), cmocka_unit_test(test_held),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return failed;
}
