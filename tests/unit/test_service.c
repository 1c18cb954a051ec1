/*
 * Services as a fold of events: what a run begins with, what an agent's call declares, replaces and stops; a port leads to one
 * service (V1), one that falls again and again is not counted anew by its luck (V2), and an end of one that was replaced says
 * nothing of the one that has its name now.
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
#define WITH "\"services\":[{\"name\":\"db\",\"run\":\"serve\",\"ports\":[5432]},{\"name\":\"watch\",\"run\":\"w\",\"ports\":[]}],"

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

static void begin(void)
{
    rig_start_agent(&world, "{\"attended\":true}", WITH, "step");
    WELL(rig_say(&world, "now"));
    rig_step(&world, 0, HEAD, STAGE_SURVEY, OUTCOME_OK, NULL);
    rig_step(&world, 0, HEAD, STAGE_INSTRUCT, OUTCOME_OK, NULL);
}

/* The model calls `serve` once, and this is what comes of it. */
static void called(const char *service)
{
    char result[400];
    snprintf(result, sizeof result, "{\"turn\":\"" RIG_HASH "\",\"bytes\":60,\"ok\":true,\"service\":%s}", service);
    rig_step(&world, 0, HEAD, STAGE_THINK, OUTCOME_OK, "{\"turn\":\"" RIG_HASH "\",\"bytes\":50,\"tokens\":200,\"calls\":[{\"name\":\"serve\"}]}");
    rig_step(&world, 0, HEAD, STAGE_CALL, OUTCOME_OK, result);
}

static const struct service *service(const char *name) { return run_service(&world.r, slice_of(name)); }

static void ended(const char *name, unsigned declared, const char *by, int lived_ms)
{
    char p[300];
    snprintf(p, sizeof p, "{\"v\":0,\"name\":\"%s\",\"declared\":%u,\"by\":\"%s\",\"how\":\"ended with status 1\",\"lived_ms\":%d}", name, declared,
             by, lived_ms);
    WELL(rig_apply(&world, EVENT_SERVICE_ENDED, NULL, p));
}

static void test_a_run_begins_with_them(void **state)
{
    (void)state;
    begin();
    assert_int_equal(world.r.nservices, 2);
    assert_true(service("db")->ports[0] == 5432 && service("db")->step == 0 && slice_is(service("watch")->run, "w"));
    assert_null(service("web"));
}

static void test_a_call_declares_replaces_and_stops(void **state)
{
    (void)state;
    begin();
    called("{\"name\":\"web\",\"run\":\"vite\",\"ports\":[5173,5174],\"writes\":true}");
    uint32_t first = service("web")->step;
    assert_true(service("web")->nports == 2 && service("web")->writes && first > 0);
    called("{\"name\":\"web\",\"run\":\"vite --host\",\"ports\":[5173]}");
    assert_true(service("web")->step > first && service("web")->nports == 1 && world.r.nservices == 3);
    ended("web", first, "itself", 5); /* the one before */
    assert_int_equal(service("web")->falls, 0);
    called("{\"name\":\"web\",\"stop\":true}");
    assert_null(service("web"));
    assert_int_equal(world.r.nservices, 2);
}

static void test_a_port_leads_to_one(void **state)
{
    (void)state;
    begin();
    rig_step(&world, 0, HEAD, STAGE_THINK, OUTCOME_OK, "{\"turn\":\"" RIG_HASH "\",\"bytes\":50,\"tokens\":200,\"calls\":[{\"name\":\"serve\"}]}");
    struct decision d;
    run_decide(&world.r, world.now_ms, &d);
    WELL(rig_intend(&world, &d.wants[0]));
    assert_int_not_equal(rig_finish(&world, OUTCOME_OK, "{\"turn\":\"" RIG_HASH "\",\"bytes\":60,\"service\":{\"name\":\"web\",\"run\":\"x\",\"ports\":[5432]}}", ""), OK);
}

static void test_falls(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 1; i <= 3; i++) {
        ended("db", 0, "itself", 100);
        assert_int_equal(service("db")->falls, i);
    }
    ended("db", 0, "run", 100);
    assert_int_equal(service("db")->falls, 3);
    ended("db", 0, "itself", SERVICE_STEADY_MS); /* it stood */
    assert_int_equal(service("db")->falls, 1);
    assert_string_equal(service("db")->why, "ended with status 1");
    ended("db", 0, "person", 100);
    assert_null(service("db"));
    ended("nobody", 0, "itself", 1);
    assert_int_equal(world.r.status, RUN_ACTIVE);
}

static void test_what_is_no_event(void **state)
{
    (void)state;
    begin();
    WELL(rig_apply(&world, EVENT_SERVICE_OPENED, NULL, "{\"v\":0,\"name\":\"db\",\"at\":5433}"));
    assert_int_equal(service("db")->opened, 5433);
    assert_int_equal(rig_apply(&world, EVENT_SERVICE_OPENED, NULL, "{\"v\":0,\"name\":\"watch\",\"at\":80}"), ERR_CORRUPT); /* it has no port */
}

static enum err config(const char *text, struct error *e)
{
    JSON_CLEANUP struct json *o = NULL, *list = NULL;
    assert_int_equal(json_parse(slice_of(text), &o, NULL), OK);
    return services_from_config(o, &list, e);
}

static void test_settings(void **state)
{
    (void)state;
    static const struct { const char *text, *why; } wrong[] = {
        {"{\"DB\":{\"run\":\"x\"}}", "small letters"}, {"{\"db\":{\"ports\":[1]}}", "needs a command"}, {"{\"db\":\"x\"}", "wants lines"},
        {"{\"db\":{\"run\":\"x\",\"port\":1}}", "knows no 'port'"}, {"{\"db\":{\"run\":\"x\",\"ports\":[0]}}", "from 1 to 65535"},
        {"{\"db\":{\"run\":\"x\",\"ports\":[1,1]}}", "twice"}, {"{\"db\":{\"run\":\"x\",\"in\":\"../y\"}}", "below the work folder"},
        {"{\"a\":{\"run\":\"x\",\"ports\":[1]},\"b\":{\"run\":\"x\",\"ports\":[1]}}", "is that of the service a"},
        {"{\"a\":{\"run\":\"x\",\"ports\":[1,2,3,4,5,6,7,8,9]}}", "at most 8 ports"}, {"[]", "services:"},
        {"{\"a\":{\"run\":\"x\"},\"b\":{\"run\":\"x\"},\"c\":{\"run\":\"x\"},\"d\":{\"run\":\"x\"},\"e\":{\"run\":\"x\"},\"f\":{\"run\":\"x\"},\"g\":{\"run\":\"x\"},"
         "\"h\":{\"run\":\"x\"},\"i\":{\"run\":\"x\"}}", "at most 8 services"}};
    struct error e = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_not_equal(config(wrong[i].text, &e), OK);
        if (!strstr(e.text, wrong[i].why))
            fail_msg("%s: %s", wrong[i].text, e.text);
    }
    assert_int_equal(config("{\"db\":{\"run\":\"x\",\"ports\":5432,\"in\":\"web\",\"writes\":true},\"w\":{\"run\":\"y\"}}", &e), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_run_begins_with_them, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_call_declares_replaces_and_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_port_leads_to_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_falls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_event, setup, teardown),
        cmocka_unit_test(test_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
