/*
 * Requests: the bodies of both formats to the byte; pairing, merging, ids, names, marks, reasoning (Q1–Q7); every quirk
 * changes what it says; what a format adds to a first request is small.
 *
 * Planted once and caught: a missing result that is not filled; a result used twice; ids that stand
 * twice sent as they are; reasoning sent to another provider; a thinking block without its signature; five cache marks;
 * malformed arguments sent as they are; a turn of blanks that keeps two user turns apart; an image cut by the limit of its base64;
 * a system text left out because there was no memory for it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sys.h"
#include "model/request.h"

#define TEXT(s) {.kind = PART_TEXT, .text = SLICE_INIT(s)}
#define CALL(i, f, a) {.kind = PART_CALL, .id = SLICE_INIT(i), .name = SLICE_INIT(f), .text = SLICE_INIT(a)}
#define RESULT(i, s) {.kind = PART_RESULT, .id = SLICE_INIT(i), .text = SLICE_INIT(s)}
#define THOUGHT(who, how, s, o) \
    {.kind = PART_REASONING, .name = SLICE_INIT(who), .form = how, .text = SLICE_INIT(s), .opaque = SLICE_INIT(o)}
#define TURN(r, list) {.role = r, .parts = list, .n = sizeof list / sizeof *list}

static struct transcript_tool tools[] = {
    {SLICE_INIT("bash"), SLICE_INIT("Runs."), SLICE_INIT("{\"type\":\"object\",\"properties\":{\"command\":{\"type\":\"string\"}},\"required\":[\"command\"]}")},
};

static struct transcript talk(struct transcript_turn *turns, size_t n)
{
    struct transcript t = {.nsystem = 1, .system = {SLICE("Be brief.")}, .turns = turns, .nturns = n, .options = TRANSCRIPT_OPTIONS};
    t.options.model = SLICE("m");
    t.options.max_output = 100;
    return t;
}

static const char *body(const struct transcript *t, const char *provider, uint32_t quirks)
{
    static char text[65536];
    MODEL_REQUEST_CLEANUP struct model_request r = {0};
    struct error e;
    if (model_request_make(t, provider_find(slice_of(provider)), quirks, &r, &e))
        fail_msg("%s", e.text);
    snprintf(text, sizeof text, "%s", buf_str(&r.body));
    return text;
}

/* Only the messages, which are last. */
static const char *messages(const struct transcript *t, const char *provider, uint32_t quirks)
{
    const char *at = strstr(body(t, provider, quirks), "\"messages\":");
    assert_non_null(at);
    return at + strlen("\"messages\":");
}

/* ---- whole bodies ---- */

static struct transcript_part ask[] = {TEXT("List it.")}, act[] = {TEXT("Sure."), CALL("a1", "bash", "{\"command\":\"ls\"}"), CALL("a2", "bash", "{ \"command\" : 1.50 }")},
                              told[] = {RESULT("a2", "two"), TEXT("Go on."), {.kind = PART_RESULT, .id = SLICE_INIT("a1"), .text = SLICE_INIT("no"), .is_error = true}};
static struct transcript_turn work[] = {TURN(TURN_USER, ask), TURN(TURN_ASSISTANT, act), TURN(TURN_USER, told)};

static void test_openai_body(void **state)
{
    (void)state;
    struct transcript t = talk(work, 3);
    t.tools = tools;
    t.ntools = 1;
    t.options.temperature_milli = 700;
    t.options.seed = 7;
    t.options.stops[t.options.nstops++] = SLICE("END");
    t.options.effort = SLICE("low");
    assert_string_equal(
        body(&t, "vllm", 0),
        "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"max_tokens\":100,\"temperature\":0.700,\"seed\":7,\"stop\":[\"END\"],"
        "\"reasoning_effort\":\"low\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"bash\",\"description\":\"Runs.\",\"parameters\":"
        "{\"type\":\"object\",\"properties\":{\"command\":{\"type\":\"string\"}},\"required\":[\"command\"]}}}],"
        "\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"List it.\"},"
        "{\"role\":\"assistant\",\"content\":\"Sure.\",\"tool_calls\":[{\"id\":\"a1\",\"type\":\"function\",\"function\":{\"name\":\"bash\",\"arguments\":\"{\\\"command\\\":\\\"ls\\\"}\"}},"
        "{\"id\":\"a2\",\"type\":\"function\",\"function\":{\"name\":\"bash\",\"arguments\":\"{ \\\"command\\\" : 1.50 }\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"a1\",\"content\":\"error: no\"},{\"role\":\"tool\",\"tool_call_id\":\"a2\",\"content\":\"two\"},"
        "{\"role\":\"user\",\"content\":\"Go on.\"}]}");
}

static void test_anthropic_body(void **state)
{
    (void)state;
    struct transcript t = talk(work, 3);
    t.tools = tools;
    t.ntools = 1;
    t.options.temperature_milli = 1000;
    t.options.seed = 7; /* which it does not know */
    t.options.stops[t.options.nstops++] = SLICE("END");
    assert_string_equal(
        body(&t, "anthropic", 0),
        "{\"model\":\"m\",\"max_tokens\":100,\"stream\":true,\"tools\":[{\"name\":\"bash\",\"description\":\"Runs.\",\"input_schema\":"
        "{\"type\":\"object\",\"properties\":{\"command\":{\"type\":\"string\"}},\"required\":[\"command\"]}}],"
        "\"system\":[{\"type\":\"text\",\"text\":\"Be brief.\"}],\"temperature\":1.000,\"stop_sequences\":[\"END\"],"
        "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"List it.\"}]},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"Sure.\"},{\"type\":\"tool_use\",\"id\":\"a1\",\"name\":\"bash\",\"input\":{\"command\":\"ls\"}},"
        "{\"type\":\"tool_use\",\"id\":\"a2\",\"name\":\"bash\",\"input\":{\"command\":1.50}}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"a1\",\"content\":\"no\",\"is_error\":true},"
        "{\"type\":\"tool_result\",\"tool_use_id\":\"a2\",\"content\":\"two\"},{\"type\":\"text\",\"text\":\"Go on.\"}]}]}");
}

static void test_address(void **state)
{
    (void)state;
    struct transcript t = talk(work, 1);
    struct model_request r;
    assert_int_equal(model_request_make(&t, provider_find(SLICE("anthropic")), 0, &r, NULL), OK);
    assert_true(slice_is(r.path, "/v1/messages") && r.nheaders == 3 && r.stream);
    assert_true(slice_is(r.headers[2].name, "anthropic-version") && slice_is(r.headers[2].value, "2023-06-01"));
    model_request_release(&r);
    assert_int_equal(model_request_make(&t, provider_find(SLICE("ollama")), QUIRK_NO_STREAM, &r, NULL), OK);
    assert_true(slice_is(r.path, "/chat/completions") && r.nheaders == 2 && !r.stream && slice_is(r.headers[1].value, "application/json"));
    assert_non_null(strstr(buf_str(&r.body), "\"stream\":false,\"max_tokens\""));
    model_request_release(&r);
    model_request_release(NULL);
}

/* ---- pairing and merging ---- */

static void test_missing_stray_and_double_results(void **state)
{
    (void)state;
    struct transcript_part calls[] = {CALL("a", "f", "{}"), CALL("b", "f", "{}")}, mixed[] = {RESULT("x", "stray"), RESULT("b", "1"), RESULT("b", "2")}, more[] = {CALL("c", "f", "{}")};
    struct transcript_turn turns[] = {TURN(TURN_USER, ask), TURN(TURN_ASSISTANT, calls), TURN(TURN_USER, mixed), TURN(TURN_ASSISTANT, more)};
    struct transcript t = talk(turns, 4);
    t.nsystem = 0;
    MODEL_REQUEST_CLEANUP struct model_request r = {0};
    assert_int_equal(model_request_make(&t, provider_find(SLICE("anthropic")), 0, &r, NULL), OK);
    assert_int_equal(r.filled, 2);
    assert_string_equal(messages(&t, "anthropic", 0),
        "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"List it.\"}]},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}},{\"type\":\"tool_use\",\"id\":\"b\",\"name\":\"f\",\"input\":{}}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"content\":\"" REQUEST_NO_RESULT "\",\"is_error\":true},"
        "{\"type\":\"tool_result\",\"tool_use_id\":\"b\",\"content\":\"1\"},{\"type\":\"text\",\"text\":\"stray\"},{\"type\":\"text\",\"text\":\"2\"}]},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{}}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"c\",\"content\":\"" REQUEST_NO_RESULT "\",\"is_error\":true}]}]}");
    assert_string_equal(messages(&t, "vllm", 0) + strlen("[{\"role\":\"user\",\"content\":\"List it.\"},"),
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"error: " REQUEST_NO_RESULT "\"},{\"role\":\"tool\",\"tool_call_id\":\"b\",\"content\":\"1\"},{\"role\":\"user\",\"content\":\"stray\\n\\n2\"},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"error: " REQUEST_NO_RESULT "\"}]}");
}

static void test_merging(void **state)
{
    (void)state;
    struct transcript_part blank[] = {TEXT(" \n"), TEXT("")}, one[] = {TEXT("1"), TEXT("2")}, said[] = {TEXT("yes")},
                           thought[] = {THOUGHT("anthropic", REASONING_SIGNED, "hm", "s")};
    struct transcript_turn turns[] = {TURN(TURN_ASSISTANT, said), TURN(TURN_USER, ask), TURN(TURN_ASSISTANT, blank), TURN(TURN_USER, one),
                                      TURN(TURN_ASSISTANT, thought), TURN(TURN_USER, ask), TURN(TURN_ASSISTANT, said), TURN(TURN_ASSISTANT, said)};
    struct transcript t = talk(turns, 8);
    t.nsystem = 0;
    assert_string_equal(messages(&t, "vllm", 0), "[{\"role\":\"user\",\"content\":\"" REQUEST_OPENING "\"},{\"role\":\"assistant\",\"content\":\"yes\"},"
                                                 "{\"role\":\"user\",\"content\":\"List it.\\n\\n1\\n\\n2\\n\\nList it.\"},{\"role\":\"assistant\",\"content\":\"yes\\n\\nyes\"}]}");
    assert_null(strstr(messages(&t, "anthropic", 0), "thinking"));
}

/* A longer conversation begins with the bytes of the shorter one, whatever had to be mended in it. */
static void test_prefixes_stay(void **state)
{
    (void)state;
    struct transcript_part c1[] = {CALL("same", "f", "{}")}, r1[] = {RESULT("same", "1")}, c2[] = {CALL("same", "f g!", "{}")}, r2[] = {RESULT("same", "2")};
    struct transcript_turn turns[] = {TURN(TURN_USER, ask), TURN(TURN_ASSISTANT, c1), TURN(TURN_USER, r1), TURN(TURN_ASSISTANT, c2), TURN(TURN_USER, r2), TURN(TURN_ASSISTANT, c2), TURN(TURN_USER, r2)};
    static const char *const who[] = {"anthropic", "vllm", "mistral"};
    for (size_t p = 0; p < 3; p++) {
        uint32_t quirks = provider_find(slice_of(who[p]))->quirks;
        char shorter[16384];
        struct transcript t = talk(turns, 5);
        snprintf(shorter, sizeof shorter, "%s", messages(&t, who[p], quirks));
        t.nturns = 7;
        const char *longer = messages(&t, who[p], quirks);
        shorter[strlen(shorter) - 2] = '\0'; /* its "]}" */
        assert_memory_equal(shorter, longer, strlen(shorter));
        assert_null(strstr(longer, "f g!"));
        assert_non_null(strstr(longer, "f_g_"));
    }
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        n++;
    return n;
}

static void test_ids(void **state)
{
    (void)state;
    struct transcript_part calls[] = {CALL("a|b", "f", "{}"), CALL("a|b", "f", "{}"), CALL("0123456789012345678901234567890123456789x", "", "{}")},
                           results[] = {RESULT("a|b", "1"), RESULT("a|b", "2"), RESULT("0123456789012345678901234567890123456789x", "3")};
    struct transcript_turn turns[] = {TURN(TURN_USER, ask), TURN(TURN_ASSISTANT, calls), TURN(TURN_USER, results)};
    struct transcript t = talk(turns, 3);
    const char *m = messages(&t, "anthropic", 0);
    assert_null(strstr(m, "a|b"));
    assert_int_equal(count(m, "0123456789012345678901234567890123456789x"), 2);
    assert_int_equal(count(m, "\"name\":\"unknown\""), 1);
    assert_int_equal(count(m, "tool_result"), 3);
    m = messages(&t, "vllm", 0); /* the first as it is, the second is another one */
    assert_int_equal(count(m, "\"a|b\""), 2);
    m = messages(&t, "openai", QUIRK_ID_FORTY);
    assert_int_equal(count(m, "9x"), 0);
    m = messages(&t, "mistral", QUIRK_ID_NINE);
    for (const char *at = m; (at = strstr(at, "\"tool_call_id\":\"")); at++)
        assert_true(strspn(at + 16, "0123456789abcdef") == 9 && at[25] == '"');
    for (int i = 1; i <= 3; i++) { /* each result still belongs to its call */
        char want[64], id[64] = "";
        snprintf(want, sizeof want, "\",\"content\":\"%d\"", i);
        const char *at = strstr(m, want);
        assert_non_null(at);
        memcpy(id, at - 9, 9);
        assert_int_equal(strspn(id, "0123456789abcdef"), 9);
        assert_int_equal(count(m, id), 2);
    }
}

static void test_malformed_arguments(void **state)
{
    (void)state;
    struct transcript_part calls[] = {{.kind = PART_CALL, .id = SLICE_INIT("a"), .name = SLICE_INIT("f"), .text = SLICE_INIT("{\"x\": "), .malformed = true},
                                      {.kind = PART_CALL, .id = SLICE_INIT("b"), .name = SLICE_INIT("f"), .text = SLICE_INIT("{}"), .malformed = true}};
    struct transcript_turn turns[] = {TURN(TURN_USER, ask), TURN(TURN_ASSISTANT, calls)};
    struct transcript t = talk(turns, 2);
    assert_non_null(strstr(messages(&t, "anthropic", 0), "\"input\":{\"malformed_arguments\":\"{\\\"x\\\": \"}"));
    assert_non_null(strstr(messages(&t, "anthropic", 0), "\"input\":{\"malformed_arguments\":\"{}\"}"));
    assert_non_null(strstr(messages(&t, "vllm", 0), "\"arguments\":\"{\\\"malformed_arguments\\\":\\\"{\\\\\\\"x\\\\\\\": \\\"}\""));
}

/* ---- reasoning ---- */

static void test_reasoning_goes_home(void **state)
{
    (void)state;
    struct transcript_part said[] = {THOUGHT("anthropic", REASONING_SIGNED, "think", "sig+/="), THOUGHT("anthropic", REASONING_REDACTED, "", "red=="),
                                     THOUGHT("anthropic", REASONING_SIGNED, "cut", ""), THOUGHT("deepseek", REASONING_PLAIN, "deep", ""),
                                     THOUGHT("openrouter", REASONING_DETAILS, "r", "[{\"n\":1.0},{\"n\":2}]"), TEXT("so")};
    struct transcript_turn turns[] = {TURN(TURN_USER, ask), TURN(TURN_ASSISTANT, said)};
    struct transcript t = talk(turns, 2);
    const char *m = messages(&t, "anthropic", 0);
    assert_non_null(strstr(m, "\"content\":[{\"type\":\"thinking\",\"thinking\":\"think\",\"signature\":\"sig+/=\"},{\"type\":\"redacted_thinking\",\"data\":\"red==\"},{\"type\":\"text\",\"text\":\"so\"}]"));
    m = messages(&t, "deepseek", QUIRK_REASONING_CONTENT);
    assert_non_null(strstr(m, "{\"role\":\"assistant\",\"content\":\"so\",\"reasoning_content\":\"deep\"}"));
    m = messages(&t, "deepseek", 0);
    assert_non_null(strstr(m, "{\"role\":\"assistant\",\"content\":\"so\"}"));
    m = messages(&t, "openrouter", provider_find(SLICE("openrouter"))->quirks);
    assert_non_null(strstr(m, "{\"role\":\"assistant\",\"content\":\"so\",\"reasoning_details\":[{\"n\":1.0},{\"n\":2}]}"));
    m = messages(&t, "vllm", QUIRK_REASONING | QUIRK_REASONING_DETAILS);
    assert_non_null(strstr(m, "{\"role\":\"assistant\",\"content\":\"so\"}"));
}

static void test_thinking_options(void **state)
{
    (void)state;
    struct transcript t = talk(work, 1);
    t.tools = tools;
    t.ntools = 1;
    t.options.temperature_milli = 500;
    t.options.max_output = 5000;
    t.options.thinking_tokens = 9000;
    t.options.choice = CHOICE_ANY;
    t.options.serial = true;
    const char *b = body(&t, "anthropic", QUIRK_NO_EFFORT);
    assert_non_null(strstr(b, "\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true},\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":4999},\"messages\""));
    t.options.effort = SLICE("high");
    uint32_t quirks = provider_quirks(provider_find(SLICE("anthropic")), SLICE("claude-opus-4-8"));
    b = body(&t, "anthropic", quirks);
    assert_non_null(strstr(b, "\"output_config\":{\"effort\":\"high\"},\"thinking\":{\"type\":\"adaptive\"},\"messages\""));
    t.options.max_output = 1000; /* too little to think in */
    b = body(&t, "anthropic", QUIRK_NO_EFFORT);
    assert_true(!strstr(b, "\"thinking\"") && strstr(b, "\"temperature\":0.500"));
    t.options.thinking_tokens = 0;
    assert_non_null(strstr(body(&t, "anthropic", 0), "\"tool_choice\":{\"type\":\"any\""));
    assert_non_null(strstr(body(&t, "anthropic", QUIRK_NO_FORCED_CHOICE), "\"tool_choice\":{\"type\":\"auto\""));
    t.options.choice = CHOICE_ONE;
    t.options.tool = SLICE("bash");
    assert_non_null(strstr(body(&t, "anthropic", 0), "\"tool_choice\":{\"type\":\"tool\",\"name\":\"bash\""));
    assert_non_null(strstr(body(&t, "vllm", 0), "\"parallel_tool_calls\":false,\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"bash\"}}"));
    t.options.choice = CHOICE_NONE;
    assert_non_null(strstr(body(&t, "anthropic", 0), "\"tool_choice\":{\"type\":\"none\"}"));
}

/* ---- cache marks, images ---- */

static void test_marks(void **state)
{
    (void)state;
    struct transcript_part u[5][1] = {{TEXT("u0")}, {TEXT("u1")}, {TEXT("u2")}, {TEXT("u3")}, {TEXT("u4")}};
    struct transcript_turn turns[5];
    struct transcript_part a[1] = {TEXT("yes")};
    for (int i = 0; i < 5; i++) {
        turns[i] = i % 2 ? (struct transcript_turn)TURN(TURN_ASSISTANT, a) : (struct transcript_turn)TURN(TURN_USER, u[i]);
        u[i][0].cache = true;
    }
    struct transcript t = talk(turns, 5);
    t.tools = tools;
    t.ntools = 1;
    t.options.cache_tools = t.system_cache[0] = true;
    const char *b = body(&t, "anthropic", 0);
    assert_int_equal(count(b, "\"cache_control\":{\"type\":\"ephemeral\"}"), 4);
    assert_non_null(strstr(b, "[\"command\"]},\"cache_control\""));
    assert_non_null(strstr(b, "\"text\":\"Be brief.\",\"cache_control\""));
    assert_null(strstr(b, "\"text\":\"u0\",\"cache_control\""));
    assert_non_null(strstr(b, "\"text\":\"u2\",\"cache_control\""));
    assert_non_null(strstr(b, "\"text\":\"u4\",\"cache_control\""));
    t.options.cache_hour = true;
    assert_int_equal(count(body(&t, "anthropic", 0), "{\"type\":\"ephemeral\",\"ttl\":\"1h\"}"), 4);
    assert_null(strstr(body(&t, "openai", 0), "cache_control"));
    uint32_t quirks = provider_quirks(provider_find(SLICE("openrouter")), SLICE("anthropic/claude-x"));
    assert_non_null(strstr(body(&t, "openrouter", quirks), "{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"Be brief.\",\"cache_control\""));
    assert_int_equal(count(body(&t, "openrouter", quirks), "cache_control"), 4);
}

static void test_images(void **state)
{
    (void)state;
    struct transcript_part look[] = {TEXT("See."), {.kind = PART_IMAGE, .name = SLICE_INIT("image/png"), .text = SLICE_INIT("\x89PNG")}, TEXT("Well?")};
    struct transcript_turn turns[] = {TURN(TURN_USER, look)};
    struct transcript t = talk(turns, 1);
    MODEL_REQUEST_CLEANUP struct model_request r = {0};
    assert_int_equal(model_request_make(&t, provider_find(SLICE("anthropic")), 0, &r, NULL), OK);
    assert_int_equal(r.images, 1);
    assert_non_null(strstr(messages(&t, "anthropic", 0), "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"iVBORw==\"}}"));
    assert_non_null(strstr(messages(&t, "vllm", 0), "\"content\":[{\"type\":\"text\",\"text\":\"See.\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,iVBORw==\"}},{\"type\":\"text\",\"text\":\"Well?\"}]"));
    assert_non_null(strstr(messages(&t, "vllm", QUIRK_NO_IMAGES), "\"content\":\"See.\\n\\n(An image was left out: this model takes none.)\\n\\nWell?\""));
    assert_null(strstr(messages(&t, "anthropic", QUIRK_NO_IMAGES), "base64"));
}

/* ---- quirks ---- */

static const struct {
    const char *provider;
    uint32_t quirk;
    const char *with, *without; /* what stands there only with it, and only without it; NULL: nothing */
} quirks[] = {
    {"vllm", QUIRK_MAX_COMPLETION_TOKENS, "\"max_completion_tokens\":100", "\"max_tokens\":100"},
    {"vllm", QUIRK_NO_STREAM, "\"stream\":false", "\"stream\":true"},
    {"anthropic", QUIRK_NO_STREAM, "\"stream\":false", "\"stream\":true"},
    {"vllm", QUIRK_NO_STREAM_OPTIONS, NULL, "\"stream_options\""},
    {"vllm", QUIRK_NO_PARALLEL_FIELD, NULL, "\"parallel_tool_calls\":false"},
    {"anthropic", QUIRK_NO_PARALLEL_FIELD, NULL, "disable_parallel_tool_use"},
    {"vllm", QUIRK_DEVELOPER_ROLE, "{\"role\":\"developer\",\"content\":\"Be brief.\"}", "{\"role\":\"system\""},
    {"vllm", QUIRK_SYSTEM_AS_USER, "[{\"role\":\"user\",\"content\":\"Be brief.\\n\\nList it.\"}", "\"system\""},
    {"vllm", QUIRK_RESULTS_AS_USER, "{\"role\":\"user\",\"content\":\"[bash returned]\\nerror: no\\n\\n[bash returned]\\ntwo\\n\\nGo on.\"}", "\"tool\""},
    {"vllm", QUIRK_RESULTS_AS_USER, "Sure.\\n\\n[bash was called with {\\\"command\\\":\\\"ls\\\"}]", "\"tool_calls\""},
    {"vllm", QUIRK_RESULT_NAME, "\"tool_call_id\":\"a1\",\"name\":\"bash\"", NULL},
    {"vllm", QUIRK_ASSISTANT_AFTER_RESULT, "{\"role\":\"assistant\",\"content\":\"OK.\"},{\"role\":\"user\",\"content\":\"Go on.\"}", NULL},
    {"vllm", QUIRK_EFFORT_OBJECT, "\"reasoning\":{\"effort\":\"low\"}", "\"reasoning_effort\""},
    {"vllm", QUIRK_NO_EFFORT, NULL, "\"reasoning_effort\":\"low\""},
    {"anthropic", QUIRK_NO_EFFORT, NULL, "\"output_config\""},
    {"vllm", QUIRK_NO_TEMPERATURE, NULL, "\"temperature\":0.700"},
    {"anthropic", QUIRK_NO_TEMPERATURE, NULL, "\"temperature\":0.700"},
    {"vllm", QUIRK_NO_SEED, NULL, "\"seed\":7"},
    {"vllm", QUIRK_RANDOM_SEED, "\"random_seed\":7", "\"seed\":7"},
    {"vllm", QUIRK_NO_STOP, NULL, "\"stop\":[\"END\"]"},
    {"anthropic", QUIRK_NO_STOP, NULL, "\"stop_sequences\":[\"END\"]"},
    {"vllm", QUIRK_NO_TOOL_CHOICE, NULL, "\"tool_choice\":\"required\""},
    {"vllm", QUIRK_NO_FORCED_CHOICE, NULL, "\"tool_choice\":\"required\""},
    {"vllm", QUIRK_ID_NINE, NULL, "\"a1\""},
};

static void test_quirks(void **state)
{
    (void)state;
    struct transcript t = talk(work, 3);
    t.tools = tools;
    t.ntools = 1;
    t.options.serial = true;
    t.options.choice = CHOICE_ANY;
    t.options.temperature_milli = 700;
    t.options.seed = 7;
    t.options.stops[t.options.nstops++] = SLICE("END");
    t.options.effort = SLICE("low");
    for (size_t i = 0; i < sizeof quirks / sizeof *quirks; i++) {
        char without[16384];
        snprintf(without, sizeof without, "%s", body(&t, quirks[i].provider, 0));
        const char *with = body(&t, quirks[i].provider, quirks[i].quirk);
        if ((quirks[i].with && (!strstr(with, quirks[i].with) || strstr(without, quirks[i].with))) ||
            (quirks[i].without && (strstr(with, quirks[i].without) || !strstr(without, quirks[i].without))))
            fail_msg("%s of %s:\n%s\n%s", quirk_name(quirks[i].quirk), quirks[i].provider, without, with);
    }
    t.ntools = 0;
    assert_null(strstr(body(&t, "vllm", 0), "\"tools\""));
    assert_non_null(strstr(body(&t, "vllm", QUIRK_TOOLS_WITH_HISTORY), "\"tools\":[]"));
    assert_non_null(strstr(body(&t, "anthropic", QUIRK_TOOLS_WITH_HISTORY), "\"tools\":[]"));
    struct transcript_part only[] = {CALL("a", "f", "{}")};
    struct transcript_turn turns[] = {TURN(TURN_USER, ask), TURN(TURN_ASSISTANT, only)};
    t = talk(turns, 2);
    assert_non_null(strstr(body(&t, "vllm", QUIRK_EMPTY_CONTENT), "\"content\":\"\",\"tool_calls\""));
    t.tools = tools;
    t.ntools = 1;
    t.options.choice = CHOICE_NONE;
    assert_null(strstr(body(&t, "vllm", QUIRK_NO_TOOL_CHOICE), "\"tools\""));
    assert_non_null(strstr(body(&t, "vllm", 0), "\"tool_choice\":\"none\""));
}

static void test_quirk_names(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit <= 27; bit++) {
        assert_non_null(quirk_name(1u << bit));
        assert_int_equal(quirk_from(slice_of(quirk_name(1u << bit))), 1u << bit);
    }
    assert_null(quirk_name(1u << 28));
    assert_int_equal(quirk_from(SLICE("")), 0);
    for (size_t i = 0; provider_at(i); i++)
        assert_ptr_equal(provider_find(provider_at(i)->name), provider_at(i));
    const struct provider *o = provider_find(SLICE("openai"));
    assert_true(provider_quirks(o, SLICE("gpt-5-mini")) & QUIRK_NO_TEMPERATURE);
    assert_false(provider_quirks(o, SLICE("gpt-4.1")) & QUIRK_NO_TEMPERATURE);
    assert_true(provider_quirks(provider_find(SLICE("anthropic")), SLICE("claude-haiku-4-5")) == QUIRK_NO_EFFORT); /* the longest counts */
}

/* What a request has beside the agent's own words: of the 2,400 bytes that a first one may have, a quarter at most. */
static void test_small(void **state)
{
    (void)state;
    struct transcript_tool five[] = {tools[0], tools[0], tools[0], tools[0], tools[0]};
    struct transcript t = talk(work, 1);
    t.tools = five;
    t.ntools = 5;
    size_t words = strlen("Be brief.List it.") + 5 * (tools[0].name.n + tools[0].description.n + tools[0].schema.n);
    assert_in_range(strlen(body(&t, "vllm", 0)) - words, 1, 600);
    assert_in_range(strlen(body(&t, "anthropic", 0)) - words, 1, 480);
}

/* ---- what is refused ---- */

static void test_refused(void **state)
{
    (void)state;
    const struct provider *p = provider_find(SLICE("vllm"));
    struct model_request r;
    struct error e;
    struct transcript t = talk(work, 0);
    assert_int_equal(model_request_make(&t, p, 0, &r, &e), ERR_USAGE);
    t = talk(work, 1);
    t.options.max_output = 0;
    assert_int_equal(model_request_make(&t, p, 0, &r, &e), ERR_USAGE);
    t = talk(work, 1);
    t.options.model = SLICE_NONE;
    assert_int_equal(model_request_make(&t, p, 0, &r, &e), ERR_USAGE);
    struct transcript_tool odd[] = {{SLICE_INIT("a b"), SLICE_INIT(""), SLICE_INIT("{}")}};
    t = talk(work, 1);
    t.tools = odd;
    t.ntools = 1;
    assert_int_equal(model_request_make(&t, p, 0, &r, &e), ERR_USAGE);
    assert_non_null(strstr(e.text, "a b"));
    odd[0] = (struct transcript_tool){SLICE("a"), SLICE(""), SLICE("[]")};
    assert_int_equal(model_request_make(&t, p, 0, &r, &e), ERR_USAGE);
    odd[0].schema = SLICE("{}");
    t.options.choice = CHOICE_ONE;
    t.options.tool = SLICE("b");
    assert_int_equal(model_request_make(&t, p, 0, &r, &e), ERR_USAGE);
    char *big = malloc(REQUEST_BYTES_MAX);
    memset(big, 1, REQUEST_BYTES_MAX);
    struct transcript_part much[] = {{.kind = PART_IMAGE, .name = SLICE_INIT("image/png"), .text = {big, REQUEST_BYTES_MAX - 100}}};
    struct transcript_turn turns[] = {TURN(TURN_USER, much)};
    t = talk(turns, 1);
    assert_int_equal(model_request_make(&t, p, 0, &r, &e), ERR_LIMIT); /* by its base64 */
    much[0].kind = PART_TEXT;
    assert_int_equal(model_request_make(&t, p, 0, &r, &e), ERR_LIMIT); /* by its escapes */
    much[0].text.n = REQUEST_BYTES_MAX;
    much[0].text.n++;
    assert_int_equal(model_request_make(&t, p, 0, &r, &e), ERR_LIMIT); /* before anything is made */
    free(big);
}

/* Memory that is refused anywhere gives no request, never one that lacks something. */
static void test_no_memory(void **state)
{
    (void)state;
    static const char *const who[] = {"vllm", "anthropic", "openrouter", "mistral"};
    struct transcript_part look[] = {TEXT("See."), {.kind = PART_IMAGE, .name = SLICE_INIT("image/png"), .text = SLICE_INIT("\x89PNG")}, TEXT("Well?")},
                           said[] = {THOUGHT("vllm", REASONING_PLAIN, "hm", ""), TEXT("So."), {.kind = PART_CALL, .id = SLICE_INIT("a"), .name = SLICE_INIT("f"), .text = SLICE_INIT("{"), .malformed = true}};
    struct transcript_turn turns[] = {TURN(TURN_USER, look), TURN(TURN_ASSISTANT, said), TURN(TURN_USER, told)};
    struct transcript t = talk(turns, 3);
    for (size_t p = 0; p < 8; p++) {
        uint32_t flags = p < 4 ? QUIRK_REASONING : QUIRK_SYSTEM_AS_USER | QUIRK_RESULTS_AS_USER | QUIRK_NO_IMAGES;
        char want[16384];
        snprintf(want, sizeof want, "%s", body(&t, who[p % 4], flags));
        for (unsigned n = 1;; n++) {
            struct model_request r = {0};
            struct error e;
            sys_fail_nth(n, ENOMEM, SYS_FAULT_MEMORY);
            enum err err = model_request_make(&t, provider_find(slice_of(who[p % 4])), flags, &r, &e);
            bool reached = sys_calls() >= n;
            sys_fail_nth(0, 0, 0);
            if (err)
                assert_int_equal(err, ERR_MEMORY);
            else
                assert_string_equal(buf_str(&r.body), want);
            model_request_release(&r);
            if (!reached)
                break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openai_body), cmocka_unit_test(test_anthropic_body), cmocka_unit_test(test_address),
        cmocka_unit_test(test_missing_stray_and_double_results), cmocka_unit_test(test_merging), cmocka_unit_test(test_prefixes_stay),
        cmocka_unit_test(test_ids), cmocka_unit_test(test_malformed_arguments), cmocka_unit_test(test_reasoning_goes_home),
        cmocka_unit_test(test_thinking_options), cmocka_unit_test(test_marks), cmocka_unit_test(test_images),
        cmocka_unit_test(test_quirks), cmocka_unit_test(test_quirk_names), cmocka_unit_test(test_small), cmocka_unit_test(test_refused), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
