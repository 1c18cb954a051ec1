/*
 * The story of an agent's run (view/story.h): told on from where it was, each event gives its entry once; what was left of the
 * budget before a step is the budget less what was used and what other steps hold; a step under way is told as such; a turn that is not kept any more leaves
 * its entry without words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/transcript.h"
#include "store_rig.h"
#include "view/story.h"

#define WELL(call) assert_int_equal((call), OK)

struct talk_rig {
    struct rig g;
    struct rig_run run;
};

static void append(struct talk_rig *t, enum event_type type, uint32_t step, const char *payload)
{
    struct step_key key = {.run = t->run.r.id, .branch = 1, .step = step, .attempt = step ? 1 : 0};
    WELL(store_begin(t->g.s, &t->g.e));
    enum err err = rig_append(&t->run, type, &key, payload);
    if (err)
        fail_msg("%s", t->g.e.text);
    WELL(store_commit(t->g.s, &t->g.e));
}

static void start(struct talk_rig *t)
{
    char payload[1024];
    rig_make(&t->g);
    t->run = (struct rig_run){.g = &t->g, .arena = ARENA_INIT(RUN_ARENA_BYTES)};
    uint64_t id = 0;
    WELL(store_begin(t->g.s, &t->g.e));
    WELL(store_new_run(t->g.s, &id, &t->g.e));
    WELL(store_commit(t->g.s, &t->g.e));
    run_init(&t->run.r, id, &t->run.arena);
    WELL(lease_take(t->g.s, id, &t->run.lease, &t->g.e));
    snprintf(payload, sizeof payload,
             "{\"v\":0,\"plan_path\":\"//talk\",\"work\":\"/w\",\"goal\":\"g\",\"account\":\"crannog/main/r1\",\"agent\":\"main\",\"model\":\"box/m\","
             "\"server\":{\"provider\":\"openai-compatible\",\"model\":\"m\",\"base\":\"http://x/v1\",\"secret\":\"\",\"window\":8000,\"max_output\":500},"
             "\"talk\":{\"attended\":false,\"commits\":false,\"verify\":\"\",\"checks\":1},\"budget\":{\"tokens\":1000,\"calls\":9},\"land\":\"end\"}");
    append(t, EVENT_RUN_STARTED, 0, payload);
}

static void end(struct talk_rig *t)
{
    rig_end(&t->run);
    rig_remove(&t->g);
}

/* The name of a turn of one part in the store, as hex. */
static const char *put_turn(struct talk_rig *t, enum turn_role role, struct transcript_part part)
{
    static char hex[HASH_HEX + 1];
    struct transcript_turn turn = {role, &part, 1};
    BUF_CLEANUP struct buf bytes = BUF_INIT(1 << 20);
    struct hash h;
    WELL(turn_print(&turn, &bytes, &t->g.e));
    WELL(blob_put(t->g.s, buf_slice(&bytes), &h, &t->g.e));
    hash_hex(&h, hex);
    return hex;
}

static void say(struct talk_rig *t, const char *hex)
{
    char payload[400];
    snprintf(payload, sizeof payload, "{\"v\":0,\"when\":\"now\",\"turn\":\"%s\",\"bytes\":40}", hex);
    append(t, EVENT_SAID, 0, payload);
}

static void intend(struct talk_rig *t, uint32_t step, const char *stage, const char *act, const char *args, const char *amounts)
{
    char payload[1024];
    snprintf(payload, sizeof payload,
             "{\"v\":0,\"item\":0,\"name\":\"agent\",\"piece\":-1,\"stage\":\"%s\",\"act\":\"%s\",\"class\":\"again\",\"args\":%s,\"amounts\":%s,"
             "\"account\":\"crannog/main/r1\",\"grant\":{\"v\":0},\"rule\":null}", stage, act, args, amounts);
    append(t, EVENT_STEP_INTENDED, step, payload);
}

static void finish(struct talk_rig *t, uint32_t step, const char *used, const char *result)
{
    char payload[1024];
    snprintf(payload, sizeof payload, "{\"v\":0,\"outcome\":\"ok\",\"why\":\"\",\"used\":%s,\"how\":\"exact\",\"result\":%s,\"layer\":null}", used, result);
    append(t, EVENT_STEP_FINISHED, step, payload);
}

static void to_think(struct talk_rig *t)
{
    start(t);
    say(t, put_turn(t, TURN_USER, (struct transcript_part){.kind = PART_TEXT, .text = SLICE("do it")}));
    intend(t, 1, "survey", "tool", "{\"layers\":[]}", "{\"cpu_ns\":5}");
    finish(t, 1, "{\"cpu_ns\":1}", "{\"backend\":\"overlay\"}");
    intend(t, 2, "instruct", "tool", "{}", "{}");
    finish(t, 2, "{}", "{\"files\":[\"AGENTS.md\"],\"skills\":0,\"bytes\":3,\"system\":\"00000000000000000000000000000000000000000000000000000000000000ab\"}");
}

static bool kind_is(const struct json *entries, size_t i, const char *kind)
{
    return slice_is(json_text(json_get(json_at(entries, i), "kind")), kind);
}

static int64_t left(const struct json *entry, const char *unit)
{
    return json_int(json_get(json_get(json_get(entry, "allowed"), "left"), unit), -1);
}

static void test_told_on(void **state)
{
    struct talk_rig t;
    struct story s;
    struct json *entries = json_array();
    char result[600];
    (void)state;
    to_think(&t);
    story_init(&s, t.g.s, t.run.r.id);
    WELL(story_tell(&s, entries, &t.g.e));
    assert_int_equal(json_count(entries), 4);
    assert_true(kind_is(entries, 0, "started") && kind_is(entries, 1, "said") && kind_is(entries, 2, "survey") &&
                kind_is(entries, 3, "instructions"));
    assert_true(slice_is(json_text(json_get(json_at(entries, 1), "text")), "do it"));
    WELL(story_tell(&s, entries, &t.g.e));
    assert_int_equal(json_count(entries), 4); /* nothing new */

    intend(&t, 3, "think", "think", "{\"model\":\"m\",\"provider\":\"p\"}", "{\"tokens\":300,\"calls\":1}");
    WELL(story_tell(&s, entries, &t.g.e));
    assert_int_equal(json_count(entries), 4); /* told when it has ended */
    struct json *open = json_array();
    story_under_way(&s, open);
    assert_int_equal(json_count(open), 1);
    assert_true(kind_is(open, 0, "model") && json_bool(json_get(json_at(open, 0), "open"), false));
    assert_int_equal(left(json_at(open, 0), "tokens"), 1000);
    json_free(open);

    snprintf(result, sizeof result, "{\"in\":100,\"out\":20,\"tokens\":120,\"calls\":[{\"name\":\"ask\",\"question\":\"why?\"}],\"bytes\":9,\"turn\":\"%s\"}",
             put_turn(&t, TURN_ASSISTANT, (struct transcript_part){.kind = PART_CALL, .id = SLICE("c1"), .name = SLICE("ask"),
                                                                   .text = SLICE("{\"question\":\"why?\"}")}));
    finish(&t, 3, "{\"tokens\":120,\"calls\":1}", result);
    WELL(story_tell(&s, entries, &t.g.e));
    assert_int_equal(json_count(entries), 5);
    assert_int_equal(json_int(json_get(json_at(entries, 4), "in"), 0), 100);
    assert_int_equal(s.used.n[UNIT_TOKENS], 120);
    assert_int_equal(s.held.n[UNIT_TOKENS], 0);
    open = json_array();
    story_under_way(&s, open);
    assert_int_equal(json_count(open), 0);
    json_free(open);

    snprintf(result, sizeof result, "{\"v\":0,\"question\":3,\"answer\":\"because\",\"turn\":\"%s\",\"bytes\":9}",
             put_turn(&t, TURN_USER, (struct transcript_part){.kind = PART_RESULT, .id = SLICE("c1"), .text = SLICE("because")}));
    append(&t, EVENT_ANSWERED, 0, result);
    intend(&t, 4, "think", "think", "{\"model\":\"m\"}", "{\"tokens\":300,\"calls\":1}");
    WELL(story_tell(&s, entries, &t.g.e));
    assert_true(kind_is(entries, 5, "answered") && slice_is(json_text(json_get(json_at(entries, 5), "text")), "because"));
    assert_int_equal(s.open[0].left.n[UNIT_TOKENS], 880);
    assert_int_equal(s.open[0].left.n[UNIT_CALLS], 8);
    json_free(entries);
    story_release(&s);
    end(&t);
}

static void test_turn_that_is_gone(void **state)
{
    struct talk_rig t;
    struct story s;
    struct json *entries = json_array();
    (void)state;
    start(&t);
    say(&t, "00000000000000000000000000000000000000000000000000000000000000cd");
    story_init(&s, t.g.s, t.run.r.id);
    WELL(story_tell(&s, entries, &t.g.e));
    assert_int_equal(json_count(entries), 2);
    assert_false(json_has(json_at(entries, 1), "text"));
    json_free(entries);
    story_release(&s);
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_told_on), cmocka_unit_test(test_turn_that_is_gone)};
    return cmocka_run_group_tests_name("story", tests, NULL, NULL);
}
