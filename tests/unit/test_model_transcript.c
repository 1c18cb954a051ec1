/*
 * Transcripts: what is written is read back equal (R1), what is read is strict and bounded and says the place (R2), and
 * malformed arguments are kept (R3). Base64 is exact both ways and has one spelling.
 *
 * Planted once and caught: an unknown key that is skipped; a mark that is not written; the opaque bytes written as text;
 * a result taken in an assistant's turn; base64 whose unused bits are not looked at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/base64.h"
#include "model/transcript.h"

static uint64_t seed = 1;
static unsigned noise(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

/* ---- transcripts made by chance ---- */

static struct slice some_text(struct arena *a)
{
    static const char *const words[] = {"", "a", "\n", "\xe2\x82\xac", "\"\\", "\x01\x1f", "</script>", "\xf0\x9f\x98\x80", "{}", "x y"};
    char *p = arena_alloc(a, 64);
    size_t n = 0;
    for (unsigned i = noise(6); i > 0; i--) {
        const char *w = words[noise(10)];
        memcpy(p + n, w, strlen(w));
        n += strlen(w);
    }
    if (noise(9) == 0)
        p[n++] = '\0';
    return (struct slice){p, n};
}

static struct slice some_bytes(struct arena *a)
{
    size_t n = noise(40);
    char *p = arena_alloc(a, n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)noise(256);
    return (struct slice){p, n};
}

static struct transcript_part some_part(struct arena *a, enum turn_role role)
{
    static const enum part_kind users[] = {PART_TEXT, PART_IMAGE, PART_RESULT}, assistants[] = {PART_TEXT, PART_CALL, PART_REASONING};
    struct transcript_part p = {.kind = role == TURN_USER ? users[noise(3)] : assistants[noise(3)], .text = some_text(a), .cache = noise(4) == 0};
    if (p.kind == PART_CALL || p.kind == PART_RESULT)
        p.id = slice_of(arena_printf(a, "id%u", noise(100)));
    if (p.kind == PART_IMAGE)
        p.text = some_bytes(a);
    if (p.kind == PART_CALL || p.kind == PART_IMAGE || p.kind == PART_REASONING)
        p.name = some_text(a);
    if (p.kind == PART_CALL && !(p.malformed = noise(2)))
        p.text = SLICE("{\"a\": 1.0}");
    if (p.kind == PART_RESULT)
        p.is_error = noise(2);
    if (p.kind == PART_REASONING) {
        p.form = (enum reasoning_form)(1 + noise(4));
        p.opaque = some_bytes(a);
    }
    return p;
}

static struct transcript some_transcript(struct arena *a)
{
    struct transcript t = {.nsystem = noise(4), .ntools = noise(4), .nturns = noise(6), .options = TRANSCRIPT_OPTIONS};
    for (size_t i = 0; i < t.nsystem; i++) {
        t.system[i] = some_text(a);
        t.system_cache[i] = noise(2);
    }
    t.tools = arena_array(a, t.ntools, sizeof *t.tools);
    for (size_t i = 0; i < t.ntools; i++)
        t.tools[i] = (struct transcript_tool){SLICE("tool"), some_text(a), some_text(a)};
    t.turns = arena_array(a, t.nturns, sizeof *t.turns);
    for (size_t i = 0; i < t.nturns; i++) {
        struct transcript_turn *turn = &t.turns[i];
        *turn = (struct transcript_turn){.role = (enum turn_role)(1 + noise(2)), .n = noise(5)};
        turn->parts = arena_array(a, turn->n, sizeof *turn->parts);
        for (size_t k = 0; k < turn->n; k++)
            turn->parts[k] = some_part(a, turn->role);
    }
    struct transcript_options *o = &t.options;
    o->model = some_text(a);
    o->max_output = noise(5000);
    o->temperature_milli = (int64_t)noise(3) * 500 - (noise(2) ? 0 : 1);
    o->temperature_milli = o->temperature_milli < 0 ? -1 : o->temperature_milli;
    o->seed = noise(2) ? -1 : (int64_t)noise(1000);
    o->thinking_tokens = noise(2) * 2000;
    o->effort = noise(2) ? SLICE("low") : SLICE_NONE;
    o->nstops = noise(TRANSCRIPT_STOPS_MAX + 1);
    for (size_t i = 0; i < o->nstops; i++)
        o->stops[i] = some_text(a);
    o->choice = (enum tool_choice)noise(4);
    o->tool = o->choice == CHOICE_ONE ? SLICE("tool") : SLICE_NONE;
    o->serial = noise(2);
    o->cache_tools = noise(2);
    o->cache_hour = noise(2);
    return t;
}

static bool same_part(const struct transcript_part *x, const struct transcript_part *y)
{
    return x->kind == y->kind && slice_eq(x->text, y->text) && slice_eq(x->id, y->id) && slice_eq(x->name, y->name) &&
           slice_eq(x->opaque, y->opaque) && x->form == y->form && x->malformed == y->malformed && x->is_error == y->is_error &&
           x->cache == y->cache;
}

static void assert_same_turn(const struct transcript_turn *x, const struct transcript_turn *y)
{
    assert_int_equal(x->role, y->role);
    assert_int_equal(x->n, y->n);
    for (size_t i = 0; i < x->n; i++)
        assert_true(same_part(&x->parts[i], &y->parts[i]));
}

static void assert_same_options(const struct transcript_options *x, const struct transcript_options *y)
{
    assert_true(slice_eq(x->model, y->model) && x->max_output == y->max_output && x->temperature_milli == y->temperature_milli &&
                x->seed == y->seed && x->thinking_tokens == y->thinking_tokens && slice_eq(x->effort, y->effort) &&
                x->nstops == y->nstops && x->choice == y->choice && slice_eq(x->tool, y->tool) && x->serial == y->serial &&
                x->cache_tools == y->cache_tools && x->cache_hour == y->cache_hour);
    for (size_t i = 0; i < x->nstops; i++)
        assert_true(slice_eq(x->stops[i], y->stops[i]));
}

static void test_round_trips(void **state)
{
    (void)state;
    for (int round = 0; round < 2000; round++) {
        ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20), b = ARENA_INIT(1 << 20);
        BUF_CLEANUP struct buf text = BUF_INIT(1 << 20), again = BUF_INIT(1 << 20);
        struct transcript t = some_transcript(&a), got;
        struct error e;
        if (transcript_print(&t, &text, &e) || transcript_parse(buf_slice(&text), &b, &got, &e))
            fail_msg("%s: %s", e.text, buf_str(&text));
        assert_int_equal(got.nsystem, t.nsystem);
        assert_int_equal(got.ntools, t.ntools);
        assert_int_equal(got.nturns, t.nturns);
        for (size_t i = 0; i < t.nsystem; i++)
            assert_true(slice_eq(got.system[i], t.system[i]) && got.system_cache[i] == t.system_cache[i]);
        for (size_t i = 0; i < t.ntools; i++)
            assert_true(slice_eq(got.tools[i].name, t.tools[i].name) && slice_eq(got.tools[i].schema, t.tools[i].schema) &&
                        slice_eq(got.tools[i].description, t.tools[i].description));
        for (size_t i = 0; i < t.nturns; i++) {
            BUF_CLEANUP struct buf one = BUF_INIT(1 << 20);
            struct transcript_turn turn;
            assert_same_turn(&t.turns[i], &got.turns[i]);
            assert_int_equal(turn_print(&t.turns[i], &one, NULL), OK);
            assert_int_equal(turn_parse(buf_slice(&one), &b, &turn, NULL), OK);
            assert_same_turn(&t.turns[i], &turn);
        }
        assert_same_options(&t.options, &got.options);
        assert_int_equal(transcript_print(&got, &again, NULL), OK);
        assert_true(slice_eq(buf_slice(&text), buf_slice(&again)));
    }
}

/* ---- strictness ---- */

#define OPTIONS "\"options\":{\"max_output\":1,\"stops\":[],\"choice\":\"auto\"}"
#define REST "\"system\":[],\"tools\":[]," OPTIONS
#define TURN(parts) "{\"v\":1," REST ",\"turns\":[{\"role\":\"user\",\"parts\":[" parts "]}]}"

static const struct {
    const char *text;
    enum err err;
    const char *says;
} bad[] = {
    {"", ERR_CORRUPT, "no value"},
    {"[]", ERR_CORRUPT, "\"v\""},
    {"{\"v\":2}", ERR_VERSION, "newer"},
    {"{\"v\":0}", ERR_CORRUPT, "version 0"},
    {"{\"v\":1," REST "}", ERR_CORRUPT, "\"turns\""},
    {"{\"v\":1," REST ",\"turns\":{}}", ERR_CORRUPT, "\"turns\""},
    {"{\"v\":1," REST ",\"turns\":[],\"more\":1}", ERR_CORRUPT, "not known"},
    {"{\"v\":1,\"system\":[{\"text\":\"a\",\"x\":1}],\"tools\":[]," OPTIONS ",\"turns\":[]}", ERR_CORRUPT, "system[0]"},
    {"{\"v\":1,\"system\":[1],\"tools\":[]," OPTIONS ",\"turns\":[]}", ERR_CORRUPT, "system[0]"},
    {"{\"v\":1,\"system\":[],\"tools\":[{\"name\":\"\",\"description\":\"\",\"schema\":\"{}\"}]," OPTIONS ",\"turns\":[]}", ERR_CORRUPT, "tools[0]"},
    {"{\"v\":1,\"system\":[],\"tools\":[{\"name\":\"a\",\"schema\":\"{}\"}]," OPTIONS ",\"turns\":[]}", ERR_CORRUPT, "tools[0]"},
    {"{\"v\":1,\"system\":[],\"tools\":[],\"turns\":[]}", ERR_CORRUPT, "options"},
    {"{\"v\":1,\"system\":[],\"tools\":[],\"turns\":[],\"options\":{\"max_output\":-1,\"stops\":[],\"choice\":\"auto\"}}", ERR_CORRUPT, "max_output"},
    {"{\"v\":1,\"system\":[],\"tools\":[],\"turns\":[],\"options\":{\"max_output\":1,\"stops\":[1],\"choice\":\"auto\"}}", ERR_CORRUPT, "stops"},
    {"{\"v\":1,\"system\":[],\"tools\":[],\"turns\":[],\"options\":{\"max_output\":1,\"stops\":[\"1\",\"2\",\"3\",\"4\",\"5\"],\"choice\":\"auto\"}}", ERR_LIMIT, "stops"},
    {"{\"v\":1,\"system\":[],\"tools\":[],\"turns\":[],\"options\":{\"max_output\":1,\"stops\":[],\"choice\":\"never\"}}", ERR_CORRUPT, "choice"},
    {"{\"v\":1,\"system\":[],\"tools\":[],\"turns\":[],\"options\":{\"max_output\":1.5,\"stops\":[],\"choice\":\"auto\"}}", ERR_CORRUPT, "max_output"},
    {"{\"v\":1,\"system\":[],\"tools\":[],\"turns\":[],\"options\":{\"max_output\":1,\"stops\":[],\"choice\":\"auto\",\"serial\":1}}", ERR_CORRUPT, "serial"},
    {"{\"v\":1," REST ",\"turns\":[{\"role\":\"system\",\"parts\":[]}]}", ERR_CORRUPT, "turns[0]"},
    {"{\"v\":1," REST ",\"turns\":[{\"role\":\"user\"}]}", ERR_CORRUPT, "parts"},
    {TURN("{}"), ERR_CORRUPT, "turns[0]: parts[0]"},
    {TURN("{\"text\":1}"), ERR_CORRUPT, "parts[0]"},
    {TURN("{\"text\":\"a\",\"name\":\"b\"}"), ERR_CORRUPT, "not known"},
    {TURN("{\"text\":\"a\"},{\"image\":\"!!!!\",\"type\":\"image/png\"}"), ERR_CORRUPT, "parts[1]"},
    {TURN("{\"image\":\"QQ==\"}"), ERR_CORRUPT, "type"},
    {TURN("{\"result\":\"\",\"text\":\"a\"}"), ERR_CORRUPT, "without an id"},
    {TURN("{\"call\":\"a\",\"name\":\"b\",\"arguments\":\"{}\"}"), ERR_CORRUPT, "role"},
    {TURN("{\"reasoning\":\"a\",\"form\":\"plain\"}"), ERR_CORRUPT, "role"},
    {"{\"v\":1," REST ",\"turns\":[{\"role\":\"assistant\",\"parts\":[{\"result\":\"a\",\"text\":\"b\"}]}]}", ERR_CORRUPT, "role"},
    {"{\"v\":1," REST ",\"turns\":[{\"role\":\"assistant\",\"parts\":[{\"call\":\"a\",\"name\":\"b\",\"arguments\":\"{\"}]}]}", ERR_CORRUPT, "malformed"},
    {"{\"v\":1," REST ",\"turns\":[{\"role\":\"assistant\",\"parts\":[{\"reasoning\":\"a\",\"form\":\"deep\"}]}]}", ERR_CORRUPT, "form"},
};

static void test_strict(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
        struct transcript t;
        struct error e = {0};
        enum err err = transcript_parse(slice_of(bad[i].text), &a, &t, &e);
        if (err != bad[i].err || e.code != err || !strstr(e.text, bad[i].says))
            fail_msg("%s: %s %s", bad[i].text, err_name(err), e.text);
        assert_int_equal(transcript_parse(slice_of(bad[i].text), &a, &t, NULL), err);
    }
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    struct transcript t;
    assert_int_equal(transcript_parse(SLICE(TURN("{\"text\":\"\"},{\"image\":\"QQ==\",\"type\":\"\"},{\"result\":\"a\",\"text\":\"\"}")), &a, &t, NULL), OK);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct slice text = SLICE(TURN("{\"text\":\"a\"},{\"image\":\"QQ==\",\"type\":\"image/png\"}"));
    enum err err = ERR_MEMORY;
    for (size_t budget = 0; err == ERR_MEMORY; budget += 16) {
        ARENA_CLEANUP struct arena a = ARENA_INIT(budget);
        struct transcript t;
        err = transcript_parse(text, &a, &t, NULL);
        assert_true(err == OK || err == ERR_MEMORY);
    }
}

static void test_what_is_not_written(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf b = BUF_INIT(64 << 20);
    struct error e;
    struct transcript_part part = {.kind = PART_CALL, .id = SLICE("a"), .name = SLICE("f"), .text = SLICE("{}")};
    struct transcript_turn turn = {TURN_USER, &part, 1};
    assert_int_equal(turn_print(&turn, &b, &e), ERR_USAGE); /* a call of a user's */
    turn.role = TURN_ASSISTANT;
    assert_int_equal(turn_print(&turn, &b, &e), OK);
    part.text = SLICE("{");
    assert_int_equal(turn_print(&turn, &b, &e), ERR_USAGE);
    part.malformed = true;
    assert_int_equal(turn_print(&turn, &b, &e), OK);
    char *big = calloc(1, JSON_BYTES_MAX + 1);
    part.text = (struct slice){big, JSON_BYTES_MAX + 1};
    assert_int_equal(turn_print(&turn, &b, &e), ERR_LIMIT);
    part.text.n = JSON_BYTES_MAX / 2; /* fits by itself, but not with its escapes */
    assert_int_equal(turn_print(&turn, &b, &e), ERR_LIMIT);
    part = (struct transcript_part){.kind = PART_IMAGE, .text = {big, JSON_BYTES_MAX - 10}, .name = SLICE("image/png")};
    turn.role = TURN_USER;
    assert_int_equal(turn_print(&turn, &b, &e), ERR_LIMIT);
    free(big);
}

/* ---- base64 ---- */

static void test_base64(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfd", "//79"}, {"\xfb\xff", "+/8="}};
    static const char *const wrong[] = {"Z", "Zg", "Zg=", "Zg==Zg==", "====", "Zg=a", "Z===", "Zh==", "Zm9=", "Zm9v\n", "Zm 9", "Zm-_"};
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    struct slice got;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        BUF_CLEANUP struct buf b = BUF_INIT(100);
        base64_add(&b, slice_of(pairs[i][0]));
        assert_string_equal(buf_str(&b), pairs[i][1]);
        assert_int_equal(base64_read(slice_of(pairs[i][1]), &a, &got, NULL), OK);
        assert_true(slice_is(got, pairs[i][0]));
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (base64_read(slice_of(wrong[i]), &a, &got, NULL) != ERR_CORRUPT)
            fail_msg("took %s", wrong[i]);
    BUF_CLEANUP struct buf small = BUF_INIT(4);
    base64_add(&small, SLICE("four"));
    assert_false(buf_ok(&small));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips), cmocka_unit_test(test_strict), cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_what_is_not_written), cmocka_unit_test(test_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
