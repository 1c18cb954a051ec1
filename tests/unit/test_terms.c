/* terms: what a person says of jails is read in their units, bounded, refused in words, and comes back from the journal the same;
   the flag counts over the file; all of it reaches the plan, where it narrows and widens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/place.h"

static enum err say(struct terms *t, const char *name, const char *value)
{
    struct error e = {.code = OK};
    enum err err = terms_set_limit(t, slice_of(name), slice_of(value), &e);
    assert_true(err == OK || (err == ERR_USAGE && e.text[0]));
    return err;
}

static void test_words(void **state)
{
    (void)state;
    static const struct { const char *name, *value; enum limit limit; uint64_t want; } good[] = {
        {"memory", "8G", LIMIT_MEMORY, 8ULL << 30}, {"memory", "512m", LIMIT_MEMORY, 512 << 20}, {"memory", "2GiB", LIMIT_MEMORY, 2ULL << 30},
        {"disk", "20GB", LIMIT_DISK, 20ULL << 30}, {"cpu", "2h", LIMIT_CPU, 7200000}, {"time", "90s", LIMIT_TIME, 90000}, {"time", "90", LIMIT_TIME, 90000},
        {"time", "30m", LIMIT_TIME, 1800000}, {"processes", "2000", LIMIT_PROCESSES, 2000}, {"open-files", "64", LIMIT_OPEN_FILES, 64},
        {"output", "256K", LIMIT_OUTPUT, 256 << 10}, {"tmp", "4g", LIMIT_TMP, 4ULL << 30}, {"file-size", "1048576", LIMIT_FILE_SIZE, 1 << 20}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct terms t = {.nshow = 0};
        assert_int_equal(say(&t, good[i].name, good[i].value), OK);
        assert_true(t.limits[good[i].limit] == good[i].want);
    }
    static const char *const bad[][2] = {{"memory", ""}, {"memory", "0"}, {"memory", "-1G"}, {"memory", "8X"}, {"memory", "99999999999999999999G"}, {"memory", "9223372036854775807T"},
                                         {"memory", "1M"}, {"memory", "2h"}, {"cpu", "8G"}, {"cpu", "100d"}, {"processes", "8G"}, {"processes", "0"}, {"nothing", "1"},
                                         {"", "1"}, {"output", "1G"}, {"memory", "B"}, {"memory", "1.5G"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct terms t = {.nshow = 0};
        assert_int_equal(say(&t, bad[i][0], bad[i][1]), ERR_USAGE);
        for (size_t k = 0; k < LIMITS; k++)
            assert_true(t.limits[k] == 0);
    }
}

static void test_journal(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 16);
    struct terms t = {.nshow = 0}, over = {.nshow = 0}, got;
    assert_null(terms_print(&t));
    assert_int_equal(say(&t, "memory", "8G"), OK);
    assert_int_equal(say(&t, "cpu", "2h"), OK);
    assert_int_equal(say(&over, "memory", "1G"), OK);
    assert_int_equal(terms_add_show(&t, SLICE("/opt/a"), NULL), OK);
    assert_int_equal(terms_add_show(&over, SLICE("/opt/b"), NULL), OK);
    assert_int_equal(terms_add_show(&over, SLICE("/opt/a"), NULL), OK);
    assert_int_equal(terms_merge(&t, &over, NULL), OK);
    assert_true(t.limits[LIMIT_MEMORY] == 1ULL << 30 && t.limits[LIMIT_CPU] == 7200000 && t.nshow == 2);
    JSON_CLEANUP struct json *v = terms_print(&t);
    assert_int_equal(terms_read(v, &a, &got, NULL), OK);
    assert_memory_equal(got.limits, t.limits, sizeof t.limits);
    assert_true(got.nshow == 2 && slice_is(got.show[0], "/opt/a") && slice_is(got.show[1], "/opt/b"));
    assert_int_equal(terms_read(NULL, &a, &got, NULL), OK);
    assert_true(got.nshow == 0 && terms_limit(&got, LIMIT_CPU, 7) == 7 && terms_limit(NULL, LIMIT_CPU, 8) == 8);
    t.nshow = 0;
    assert_true(terms_add_show(&t, SLICE("apps"), NULL) == OK && terms_add_show(&t, SLICE(".env"), NULL) == OK);
    JSON_CLEANUP struct json *named = terms_print(&t);
    assert_int_equal(terms_read(named, &a, &got, NULL), OK);
    assert_true(terms_names(&got, SLICE("apps/.env")) && terms_names(&got, SLICE(".env")) && !terms_names(&got, SLICE("app/.env")) &&
                !terms_names(&got, SLICE(".env.local")));
    const char *const damaged[] = {"{\"limits\":{\"memory\":-1}}", "{\"limits\":{\"memory\":1}}", "{\"show\":[1]}", "{\"show\":[\"../relative\"]}",
                                   "{\"show\":[\"/a\",\"/b\",\"/c\",\"/d\",\"/e\",\"/f\",\"/g\",\"/h\",\"/i\"]}"};
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        JSON_CLEANUP struct json *bad = NULL;
        assert_int_equal(json_parse(slice_of(damaged[i]), &bad, NULL), OK);
        assert_int_equal(terms_read(bad, &a, &got, NULL), ERR_CORRUPT);
    }
}

static void test_plan(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 16);
    struct terms t = {.nshow = 0};
    struct place p = {.work = "/work/x", .terms = &t, .upper = SLICE("/up")};
    struct jail_plan plan;
    const char *const said[][2] = {{"memory", "16G"}, {"processes", "9"}, {"open-files", "77"}, {"disk", "1G"}, {"files", "700"}, {"tmp", "3M"}, {"output", "5K"}};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        assert_int_equal(say(&t, said[i][0], said[i][1]), OK);
    assert_int_equal(terms_add_show(&t, SLICE("/opt/tool"), NULL), OK);
    assert_int_equal(terms_add_show(&t, SLICE("/work/x/below"), NULL), OK);
    assert_int_equal(place_command(&p, NULL, 0, 5, 6, &a, &plan, NULL), OK);
    assert_true(plan.limits.memory_all == 16ULL << 30 && plan.limits.processes == 9 && plan.limits.files == 77 && plan.limits.disk == 1 << 30 && plan.limits.entries == 700 &&
                plan.limits.file_size == 1 << 30 && plan.limits.output == 5 << 10 && plan.limits.cpu_ms == 5 && plan.limits.wall_ms == 6);
    size_t tools = 0;
    for (size_t i = 0; i < plan.nmounts; i++) {
        tools += slice_is(plan.mounts[i].target, "/opt/tool") && plan.mounts[i].kind == JAIL_SHOWN;
        assert_false(slice_is(plan.mounts[i].target, "/work/x/below"));
        assert_true(plan.mounts[i].kind != JAIL_SCRATCH || plan.mounts[i].bytes == 3 << 20);
    }
    assert_int_equal(tools, 1);
    struct slice masked[JAIL_MOUNTS_MAX]; /* a wall that does not fit is a refusal, not a plan without it */
    for (size_t i = 0; i < JAIL_MOUNTS_MAX; i++)
        masked[i] = SLICE("/work/x/.env");
    p.masked = masked;
    p.nmasked = JAIL_MOUNTS_MAX;
    assert_int_equal(place_command(&p, NULL, 0, 5, 6, &a, &plan, NULL), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words), cmocka_unit_test(test_journal), cmocka_unit_test(test_plan)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
