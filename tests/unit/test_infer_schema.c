/* Schemas and their automaton: whatever bytes are taken, and wherever a text is closed, it is JSON that the schema accepts,
   by a validator of its own; closing costs what it was said to; what cannot be held to is refused in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/automaton.h"
#include "infer_rig.h"
#include "schema_rig.h"

struct world {
    struct arena memory;
    struct schema schema;
    struct json *json;
    uint16_t call;
};

static void world_init(struct world *w, struct json *json)
{
    struct error e = {0};
    struct node_key tool = {.text = SLICE("t")};
    *w = (struct world){.memory = ARENA_INIT(4 << 20), .json = json};
    assert_int_equal(schema_init(&w->memory, &w->schema, &e), OK);
    if (schema_add(&w->schema, json, &tool.node, &e) || schema_add_calls(&w->schema, &tool, 1, &w->call, &e)) {
        BUF_CLEANUP struct buf text = BUF_INIT(1 << 20);
        json_print(json, &text);
        fail_msg("%s in %s", e.text, buf_str(&text));
    }
}

static void world_release(struct world *w)
{
    arena_release(&w->memory);
    json_free(w->json);
}

static struct json *parse(const char *text)
{
    struct json *v;
    struct error e;
    if (json_parse(slice_of(text), &v, &e))
        fail_msg("%s: %s", text, e.text);
    return v;
}

/* A random byte of those that may come; where a string or a number could go on for long, its end is likely. */
static int next_byte(const struct world *w, const struct automaton *a, struct automaton *ret)
{
    unsigned char can[256];
    size_t n = 0;
    for (int c = 0; c < 256; c++)
        if (automaton_step(&w->schema, a, (unsigned char)c, ret))
            can[n++] = (unsigned char)c;
    assert_true(n > 0); /* B1 */
    unsigned char c = can[random_u32() % n];
    if (memchr(can, '"', n) && random_u32() % 6 == 0)
        c = '"';
    assert_true(automaton_step(&w->schema, a, c, ret));
    return c;
}

static void check(const struct world *w, const struct buf *text)
{
    JSON_CLEANUP struct json *v = NULL;
    struct error e;
    if (json_parse(buf_slice(text), &v, &e))
        fail_msg("%s: %s", buf_str((struct buf *)(uintptr_t)text), e.text);
    if (valid(w->json, json_get(v, "arguments")) && slice_is(json_text(json_get(v, "name")), "t"))
        return;
    BUF_CLEANUP struct buf schema = BUF_INIT(1 << 20);
    json_print(w->json, &schema);
    fail_msg("%s is not what %s says", buf_str((struct buf *)(uintptr_t)text), buf_str(&schema));
}

/* Takes up to `steps` random bytes, then closes. */
static void random_walk(const struct world *w, size_t steps)
{
    struct automaton a, b;
    BUF_CLEANUP struct buf text = BUF_INIT(1 << 20);
    automaton_start(&a, w->call);
    while (!automaton_ended(&a) && steps--) {
        buf_add_char(&text, (char)next_byte(w, &a, &b));
        automaton_copy(&a, &b);
    }
    size_t before = text.n, least = automaton_close(&w->schema, &a, NULL);
    assert_int_equal(automaton_close(&w->schema, &a, &text), least);
    assert_int_equal(text.n - before, least);
    for (size_t i = before; i < text.n; i++) { /* what closing writes is itself accepted */
        assert_true(automaton_step(&w->schema, &a, (unsigned char)text.p[i], &b));
        automaton_copy(&a, &b);
    }
    bool ended = false;
    for (size_t i = 0; i < a.n; i++)
        ended = ended || !a.threads[i].depth;
    assert_true(ended);
    check(w, &text);
}

static void test_random_schemas(void **state)
{
    (void)state;
    for (int i = 0; i < 400; i++) {
        struct world w;
        world_init(&w, random_schema());
        for (int j = 0; j < 30; j++)
            random_walk(&w, j < 10 ? 10000 : random_u32() % 300);
        world_release(&w);
    }
}

static bool accepts(const char *schema, const char *value)
{
    struct world w;
    struct automaton a, b;
    BUF_CLEANUP struct buf text = BUF_INIT(1 << 16), wrapped = BUF_INIT(1 << 16);
    buf_addf(&wrapped, "{\"type\":\"object\",\"required\":[\"v\"],\"properties\":{\"v\":%s}}", schema);
    world_init(&w, parse(buf_str(&wrapped)));
    buf_addf(&text, "{\"name\": \"t\", \"arguments\": {\"v\": %s}}", value);
    automaton_start(&a, w.call);
    bool good = true;
    for (size_t i = 0; good && i < text.n; i++) {
        good = automaton_step(&w.schema, &a, (unsigned char)text.p[i], &b);
        automaton_copy(&a, &b);
    }
    world_release(&w);
    return good && automaton_ended(&a);
}

static void expect_end(const char *schema, const char *begun, const char *end)
{
    struct world w;
    struct automaton a, b;
    BUF_CLEANUP struct buf text = BUF_INIT(1 << 16), wrapped = BUF_INIT(1 << 16), closed = BUF_INIT(1 << 16);
    buf_addf(&wrapped, "{\"type\":\"object\",\"required\":[\"v\"],\"properties\":{\"v\":%s}}", schema);
    world_init(&w, parse(buf_str(&wrapped)));
    buf_addf(&text, "{\"name\": \"t\", \"arguments\": {\"v\": %s", begun);
    automaton_start(&a, w.call);
    for (size_t i = 0; i < text.n; i++) {
        assert_true(automaton_step(&w.schema, &a, (unsigned char)text.p[i], &b));
        automaton_copy(&a, &b);
    }
    automaton_close(&w.schema, &a, &closed);
    closed.n -= 2; /* "}}" */
    closed.p[closed.n] = '\0';
    assert_string_equal(buf_str(&closed), end);
    world_release(&w);
}

static void test_ends(void **state)
{
    (void)state;
    expect_end("{\"type\":\"string\"}", "\"\\u", "0001\"");
    expect_end("{\"type\":\"string\"}", "\"\\u000", "1\"");
    expect_end("{\"type\":\"string\"}", "\"\\ud", "000\"");
    expect_end("{\"type\":\"string\"}", "\"\\", "n\"");
    expect_end("{\"type\":\"string\"}", "\"\xf0", "\x90\x80\x80\"");
    expect_end("{\"type\":\"string\",\"minLength\":3}", "\"\xe0\xa0", "\x80  \"");
    expect_end("{\"type\":\"number\"}", "-0", ".0");
    expect_end("{\"type\":\"number\"}", "1e-", "0");
    expect_end("{\"type\":\"integer\",\"minimum\":345,\"maximum\":1100}", "1", "000");
    expect_end("{\"type\":\"integer\",\"minimum\":-20,\"maximum\":-11}", "-", "11");
    expect_end("{\"enum\":[\"abc\",\"ab\",\"b\"]}", "\"a", "b\"");
    expect_end("{\"type\":\"array\",\"minItems\":2,\"items\":{\"type\":\"null\"}}", "[null,", " null]");
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *good[6], *bad[8];
    } rows[] = {
        {"{\"type\":\"integer\"}", {"0", "-7", "123456789012345678"}, {"-0", "01", "1.0", "1e3", "+1", "1234567890123456789"}},
        {"{\"type\":\"integer\",\"minimum\":5,\"maximum\":120}", {"5", "9", "12", "120"}, {"4", "0", "-5", "121", "500", "1200"}},
        {"{\"type\":\"integer\",\"exclusiveMinimum\":-3,\"exclusiveMaximum\":0.5}", {"-2", "-1", "0"}, {"-3", "1", "-21"}},
        {"{\"type\":\"number\"}", {"0.5", "-0.25", "1e9", "2.5E-3", "12"}, {".5", "1.", "1e", "1e100", "NaN", "-"}},
        {"{\"type\":\"number\",\"minimum\":0,\"maximum\":1}", {"0", "0.7", "1"}, {"1.1", "-0.1", "2", "0e1"}},
        {"{\"type\":\"string\",\"maxLength\":2}", {"\"\"", "\"\xc3\xa9x\"", "\"\\n\\u00e9\""}, {"\"abc\"", "\"\\ud800\"", "\"\\u0000\"", "\"\xff\"", "\"\xed\xa0\x80\"", "\"\n\""}},
        {"{\"type\":\"string\",\"minLength\":2}", {"\"ab\""}, {"\"a\"", "\"\xc3\xa9\""}},
        {"{\"enum\":[\"a\",\"ab\",1,12,null]}", {"\"a\"", "\"ab\"", "1", "12", "null"}, {"\"b\"", "2", "\"abc\"", "123"}},
        {"{\"type\":\"integer\",\"enum\":[\"a\",1]}", {"1"}, {"\"a\""}},
        {"{\"const\":{\"a\":[1]}}", {"{\"a\":[1]}"}, {"{\"a\":[2]}", "{}"}},
        {"{\"type\":\"array\",\"items\":{\"type\":\"boolean\"},\"minItems\":1,\"maxItems\":2}", {"[true]", "[true, false]"}, {"[]", "[true, true, true]", "[1]", "[true,false]"}},
        {"{\"type\":\"array\"}", {"[]", "[1, \"a\", null]"}, {"[[]]", "[{}]"}},
        {"{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"number\"},{\"type\":\"null\"}]}", {"1", "1.5", "null"}, {"true"}},
        {"{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1},\"b\":{\"type\":\"null\"}},\"required\":[\"a\"]},"
         "{\"type\":\"object\",\"properties\":{\"a\":{\"const\":12}}}]}", {"{\"a\": 1}", "{\"a\": 12}", "{\"a\": 1, \"b\": null}", "{}"}, {"{\"a\": 12, \"b\": null}", "{\"b\": null}"}},
        {"{\"type\":[\"string\",\"null\"],\"format\":\"uri\",\"description\":\"x\",\"default\":3}", {"\"a\"", "null"}, {"3"}},
        {"true", {"1", "\"x\"", "null"}, {"{}"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t j = 0; j < 6 && rows[i].good[j]; j++)
            if (!accepts(rows[i].schema, rows[i].good[j]))
                fail_msg("%s should take %s", rows[i].schema, rows[i].good[j]);
        for (size_t j = 0; j < 8 && rows[i].bad[j]; j++)
            if (accepts(rows[i].schema, rows[i].bad[j]))
                fail_msg("%s should not take %s", rows[i].schema, rows[i].bad[j]);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *schema;
        enum err code;
        const char *words;
    } rows[] = {
        {"{\"$ref\":\"#\"}", ERR_UNSUPPORTED, "the schema at 'the top': a local model cannot be held to its $ref"},
        {"{\"properties\":{\"a\":{\"type\":\"string\",\"pattern\":\"x\"}}}", ERR_UNSUPPORTED, "at 'a': a local model cannot be held to its pattern"},
        {"{\"type\":\"text\"}", ERR_UNSUPPORTED, "no type text"},
        {"{\"type\":\"object\",\"required\":[\"a\"]}", ERR_UNSUPPORTED, "does not declare: a"},
        {"{\"type\":\"object\",\"anyOf\":[{\"type\":\"null\"}]}", ERR_UNSUPPORTED, "alternatives and also to its type"},
        {"{\"type\":\"integer\",\"minimum\":3,\"maximum\":2}", ERR_UNSUPPORTED, "no whole number"},
        {"{\"type\":\"number\",\"minimum\":0.2,\"maximum\":0.8}", ERR_UNSUPPORTED, "no whole number"},
        {"{\"type\":\"string\",\"minLength\":9,\"maxLength\":2}", ERR_UNSUPPORTED, "minLength"},
        {"{\"type\":\"string\",\"minLength\":100000,\"maxLength\":200000}", ERR_LIMIT, "too long"},
        {"{\"type\":\"array\",\"minItems\":5,\"maxItems\":2}", ERR_UNSUPPORTED, "minItems"},
        {"{\"type\":\"string\",\"maxLength\":-1}", ERR_UNSUPPORTED, "maxLength"},
        {"{\"enum\":[]}", ERR_UNSUPPORTED, "none of its enum"},
        {"{\"anyOf\":[]}", ERR_UNSUPPORTED, "no alternatives"},
        {"{\"type\":[]}", ERR_UNSUPPORTED, "list of types"},
        {"[]", ERR_UNSUPPORTED, "neither an object"},
        {"{\"type\":\"array\",\"items\":false}", ERR_UNSUPPORTED, "at 'items': it is neither"},
        {"{\"items\":{\"items\":{\"items\":{\"items\":{\"items\":{\"items\":{\"items\":{\"items\":{}}}}}}}}}", ERR_LIMIT, "too deeply"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_CLEANUP struct arena memory = ARENA_INIT(4 << 20);
        JSON_CLEANUP struct json *json = parse(rows[i].schema);
        struct schema s;
        struct error e = {0};
        uint16_t node;
        assert_int_equal(schema_init(&memory, &s, &e), OK);
        enum err err = schema_add(&s, json, &node, &e);
        if (err != rows[i].code || !strstr(e.text, rows[i].words))
            fail_msg("%s gives %d '%s'", rows[i].schema, err, err ? e.text : "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_schemas),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
