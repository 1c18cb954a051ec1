/*
 * Schemas: any JSON is nodes or an error in words; whatever the automaton then takes, and wherever it is closed, is JSON, and
 * closing costs what it was said to. The first eight bytes choose what is said.
 */
#include <string.h>

#include "fuzz.h"
#include "infer/automaton.h"

enum { CHOICES = 8, STEPS = 400 };

static void say(const struct schema *s, uint16_t call, uint64_t choices)
{
    struct automaton a, b;
    BUF_CLEANUP struct buf text = BUF_INIT(1 << 20);
    JSON_CLEANUP struct json *v = NULL;
    automaton_start(&a, call);
    for (int i = 0; i < STEPS && !automaton_ended(&a); i++) {
        unsigned char can[256];
        size_t n = 0;
        for (int c = 0; c < 256; c++)
            if (automaton_step(s, &a, (unsigned char)c, &b))
                can[n++] = (unsigned char)c;
        ASSERT(n);
        choices = choices * 6364136223846793005u + 1442695040888963407u;
        unsigned char c = can[(choices >> 33) % n];
        ASSERT(automaton_step(s, &a, c, &b));
        automaton_copy(&a, &b);
        buf_add_char(&text, (char)c);
    }
    size_t before = text.n, least = automaton_close(s, &a, &text);
    ASSERT(buf_ok(&text) && text.n - before == least && least == automaton_close(s, &a, NULL));
    /* A literal of a schema may be as deep as a schema can be, and stands two values deeper in a call. */
    enum err err = json_parse(buf_slice(&text), &v, NULL);
    ASSERT(err == OK || err == ERR_LIMIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t choices;
    JSON_CLEANUP struct json *json = NULL;
    ARENA_CLEANUP struct arena memory = ARENA_INIT(4 << 20);
    struct schema s;
    struct error e = {0};
    struct node_key tool = {.text = SLICE("t")};
    uint16_t call;
    if (size < CHOICES || json_parse(fuzz_slice(data + CHOICES, size - CHOICES), &json, NULL))
        return 0;
    memcpy(&choices, data, sizeof choices);
    ASSERT(schema_init(&memory, &s, &e) == OK);
    enum err err = schema_add(&s, json, &tool.node, &e);
    ASSERT(!err || ((err == ERR_UNSUPPORTED || err == ERR_LIMIT || err == ERR_MEMORY) && e.code == err && e.text[0]));
    if (err)
        return 0;
    ASSERT(schema_add_calls(&s, &tool, 1, &call, &e) == OK);
    for (uint64_t i = 0; i < 3; i++)
        say(&s, call, choices + i);
    return 0;
}
