/*
 * Usage as each API means it, and what it costs, to the nano-dollar; the worst case bounds every bill; prices are found by
 * name and never by a cheaper sister's.
 *
 * Planted once and caught: cached tokens billed beside prompt_tokens; reasoning added to completion_tokens; usage of
 * message_delta added; the hour's cache writes billed as five minutes'; the tier asked by input without the cache;
 * rounding down; rounding each line; "gpt-5" found for "gpt-5-pro"; the person's row asked last.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/usage.h"

static uint64_t seed = 1;
static unsigned noise(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

static struct json *parse(const char *text)
{
    struct json *v = NULL;
    assert_int_equal(json_parse(slice_of(text), &v, NULL), OK);
    return v;
}

/* Rows as a person would give them: what GPT-like models cost here is made up for these sums. */
#define GPT(name, in, out, read) \
    {.provider = SLICE_INIT("openai"), .model = SLICE_INIT(name), \
     .rates = {in * 1000000LL, out * 1000000LL, read * 1000000LL, in * 1000000LL, in * 1000000LL}}
static const struct price rows[] = {
    GPT("gpt-5", 1250, 10000, 125), GPT("gpt-5-nano", 50, 400, 5), GPT("gpt-4.1", 2000, 8000, 500), GPT("gpt-4o", 2500, 10000, 1250),
    GPT("gpt-4o-2024-05-13", 5000, 15000, 5000), GPT("gpt-4o-mini", 150, 600, 75),
};
static const size_t row_count = sizeof rows / sizeof *rows;

/* A sample: what an API said, one object after the other, and the bill that was worked out by hand. */
static const struct {
    const char *provider, *model, *said[2];
    struct usage want;
    int64_t nusd;
} samples[] = {
    /* 2,095 at $3, 503 at $15: 6,285,000 + 7,545,000 */
    {"anthropic", "claude-sonnet-4-5-20250929", {"{\"input_tokens\":2095,\"output_tokens\":503}"},
     {.input = 2095, .output = 503}, 13830000},
    /* cumulative: the 1 of the beginning is part of the 15. 25 at $3, 1,000 at 0.30, 60 at 3.75, 40 at 6, 15 at 15 */
    {"anthropic", "claude-sonnet-4-5",
     {"{\"input_tokens\":25,\"cache_creation_input_tokens\":100,\"cache_read_input_tokens\":1000,\"output_tokens\":1,"
      "\"cache_creation\":{\"ephemeral_5m_input_tokens\":60,\"ephemeral_1h_input_tokens\":40}}",
      "{\"output_tokens\":15}"},
     {.input = 25, .cache_read = 1000, .cache_write_5m = 60, .cache_write_1h = 40, .output = 15}, 75000 + 300000 + 225000 + 240000 + 225000},
    /* without a split, writes are for five minutes: 188,086 at 6.25, 21 at 5, 393 at 25 */
    {"anthropic", "claude-opus-4-5", {"{\"input_tokens\":21,\"cache_creation_input_tokens\":188086,\"cache_read_input_tokens\":0,\"output_tokens\":393}"},
     {.input = 21, .cache_write_5m = 188086, .output = 393}, 105000 + 1175537500 + 9825000},
    /* a split without its sum: 10 at $3.75, 20 at 6 */
    {"anthropic", "claude-sonnet-4-5", {"{\"output_tokens\":0,\"cache_creation\":{\"ephemeral_5m_input_tokens\":10,\"ephemeral_1h_input_tokens\":20}}"},
     {.cache_write_5m = 10, .cache_write_1h = 20}, 37500 + 120000},
    /* zeros that a gateway repeats lower nothing */
    {"anthropic", "claude-haiku-4-5", {"{\"input_tokens\":10,\"cache_read_input_tokens\":7,\"output_tokens\":1}", "{\"input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":3}"},
     {.input = 10, .cache_read = 7, .output = 3}, 10000 + 700 + 15000},
    /* cached is part of prompt, reasoning part of completion: 982 at $1.25, 1,024 at 0.125, 300 at 10 */
    {"openai", "gpt-5-2025-08-07",
     {"{\"prompt_tokens\":2006,\"completion_tokens\":300,\"total_tokens\":2306,\"prompt_tokens_details\":{\"cached_tokens\":1024,\"audio_tokens\":0},"
      "\"completion_tokens_details\":{\"reasoning_tokens\":192}}"},
     {.input = 982, .cache_read = 1024, .output = 300, .reasoning = 192}, 1227500 + 128000 + 3000000},
    {"openai", "gpt-4o-mini", {"{\"prompt_tokens\":19,\"completion_tokens\":10,\"total_tokens\":29}"}, {.input = 19, .output = 10}, 2850 + 6000},
    /* 1 at $0.05 is 50 nano-dollars, 1 cached at 0.005 is 5 */
    {"openai", "gpt-5-nano", {"{\"prompt_tokens\":2,\"completion_tokens\":0,\"prompt_tokens_details\":{\"cached_tokens\":1}}"}, {.input = 1, .cache_read = 1}, 55},
    /* the last of several counts */
    {"openai", "gpt-4.1", {"{\"prompt_tokens\":8,\"completion_tokens\":1}", "{\"prompt_tokens\":8,\"completion_tokens\":4}"}, {.input = 8, .output = 4}, 16000 + 32000},
    /* DeepSeek's and Moonshot's names; reasoning only in the total (xAI, Gemini): 100 + 10 + 90 */
    {"ollama", "x", {"{\"prompt_tokens\":50,\"completion_tokens\":1,\"prompt_cache_hit_tokens\":48,\"prompt_cache_miss_tokens\":2}"}, {.input = 2, .cache_read = 48, .output = 1}, 0},
    {"vllm", "x", {"{\"prompt_tokens\":50,\"completion_tokens\":1,\"cached_tokens\":20}"}, {.input = 30, .cache_read = 20, .output = 1}, 0},
    {"openai", "gpt-4.1", {"{\"prompt_tokens\":100,\"completion_tokens\":10,\"total_tokens\":200,\"completion_tokens_details\":{\"reasoning_tokens\":90}}"},
     {.input = 100, .output = 100, .reasoning = 90}, 200000 + 800000},
    /* lies are clamped: more cached than there is, less than nothing */
    {"openai", "gpt-4.1", {"{\"prompt_tokens\":10,\"completion_tokens\":-5,\"prompt_tokens_details\":{\"cached_tokens\":99,\"cache_write_tokens\":7}}"}, {.cache_read = 10}, 5000},
    {"openai", "gpt-4.1", {"{\"prompt_tokens\":10,\"completion_tokens\":1,\"prompt_tokens_details\":{\"cached_tokens\":4,\"cache_write_tokens\":5}}"},
     {.input = 1, .cache_read = 4, .cache_write_5m = 5, .output = 1}, 2000 + 2000 + 10000 + 8000},
};

static void test_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct usage u = USAGE_NONE;
        const struct usage *w = &samples[i].want;
        for (size_t k = 0; k < 2 && samples[i].said[k]; k++) {
            JSON_CLEANUP struct json *v = parse(samples[i].said[k]);
            if (strcmp(samples[i].provider, "anthropic") == 0)
                usage_add_anthropic(&u, v);
            else
                usage_add_openai(&u, v);
        }
        if (u.input != w->input || u.cache_read != w->cache_read || u.cache_write_5m != w->cache_write_5m ||
            u.cache_write_1h != w->cache_write_1h || u.output != w->output || u.reasoning != w->reasoning || !u.known)
            fail_msg("sample %zu: %lld %lld %lld %lld %lld %lld", i, (long long)u.input, (long long)u.cache_read,
                     (long long)u.cache_write_5m, (long long)u.cache_write_1h, (long long)u.output, (long long)u.reasoning);
        const struct price *p = price_find(rows, row_count, slice_of(samples[i].provider), slice_of(samples[i].model));
        assert_non_null(p);
        if (usage_cost(&u, p) != samples[i].nusd)
            fail_msg("sample %zu costs %lld, not %lld", i, (long long)usage_cost(&u, p), (long long)samples[i].nusd);
    }
}

static void test_what_is_no_usage(void **state)
{
    (void)state;
    static const char *const none[] = {"null", "7", "[]", "{}", "{\"prompt_tokens\":null}", "{\"prompt_tokens\":1.5}"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        struct usage u = {.input = 5, .reported_nusd = -1};
        JSON_CLEANUP struct json *v = parse(none[i]);
        usage_add_openai(&u, v);
        assert_true(u.input == 5 && !u.known);
    }
    struct usage u = USAGE_NONE;
    JSON_CLEANUP struct json *cost = parse("{\"prompt_tokens\":1,\"cost\":0.00014}"), *wild = parse("{\"prompt_tokens\":9223372036854775807,\"cost\":1e30}");
    usage_add_openai(&u, cost);
    assert_int_equal(u.reported_nusd, 140000);
    usage_add_openai(&u, wild);
    assert_int_equal(u.reported_nusd, -1);
    assert_int_equal(u.input, USAGE_TOKENS_MAX);
}

/* A long prompt is billed whole by the dearer rates; the cache counts into how long it is. */
static void test_long_context(void **state)
{
    (void)state;
    const struct price p = {.rates = {3000000000, 15000000000, 300000000, 3750000000, 6000000000},
                            .long_from = 200000,
                            .long_rates = {6000000000, 22500000000, 600000000, 7500000000, 12000000000}};
    struct usage u = {.input = 100, .cache_read = 199900, .output = 10};
    assert_int_equal(usage_cost(&u, &p), 300000 + 59970000 + 150000);
    u.input = 101;
    assert_int_equal(usage_cost(&u, &p), 606000 + 119940000 + 225000);
    assert_int_equal(usage_worst(&p, 197000, 0, 0, 0).nusd, (int64_t)(197000 + USAGE_TEMPLATE_TOKENS) * 6000);
    assert_int_equal(usage_worst(&p, 198000, 0, 0, 1).nusd, (int64_t)(198000 + USAGE_TEMPLATE_TOKENS) * 12000 + 22500);
}

static void test_rounding(void **state)
{
    (void)state;
    const struct price p = {.rates = {.input = 300000, .output = 300000, .cache_read = 400000}}; /* thirds of a nano-dollar */
    assert_int_equal(usage_cost(&(struct usage){.input = 1}, &p), 1);
    assert_int_equal(usage_cost(&(struct usage){.input = 1, .output = 1, .cache_read = 1}, &p), 1);
    assert_int_equal(usage_cost(&(struct usage){.input = 1, .output = 2, .cache_read = 1}, &p), 2);
    const struct price dear = {.rates = {PRICE_MAX, PRICE_MAX, PRICE_MAX, PRICE_MAX, PRICE_MAX}};
    struct usage most = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, 0, 0, true};
    assert_true(price_ok(&dear) && usage_cost(&most, &dear) == 5 * (PRICE_MAX / 1000000) * USAGE_TOKENS_MAX);
    assert_false(price_ok(&(struct price){.rates = {.input = -1}}) || price_ok(&(struct price){.long_rates = {.output = PRICE_MAX + 1}}));
}

/* No bill of a call within its bounds passes its worst case; what is affordable is, and one token more is not. */
static void test_worst_case(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct price p = {.rates = {noise(1 << 30), noise(1 << 30), noise(1 << 30), noise(1 << 30), noise(1 << 30)},
                          .long_from = noise(3) ? 0 : 1 + noise(100000),
                          .long_rates = {noise(1 << 30), noise(1 << 30), noise(1 << 30), noise(1 << 30), noise(1 << 30)}};
        int64_t known = noise(50000), bytes = noise(50000), images = noise(3), limit = noise(10000);
        struct worst w = usage_worst(&p, known, bytes, images, limit);
        int64_t left = known + bytes + images * USAGE_IMAGE_TOKENS + noise(USAGE_TEMPLATE_TOKENS + 1);
        struct usage u = USAGE_NONE;
        int64_t *const kinds[] = {&u.input, &u.cache_read, &u.cache_write_5m, &u.cache_write_1h};
        for (int k = 0; k < 3; k++) {
            *kinds[k] = noise((unsigned)left + 1);
            left -= *kinds[k];
        }
        *kinds[3] = left;
        u.output = limit ? noise((unsigned)limit + 1) : 0;
        assert_true(usage_prompt(&u) <= w.input_tokens && usage_cost(&u, &p) <= w.nusd);
        int64_t budget = w.nusd ? (int64_t)(noise(1000) / 1000.0 * (double)w.nusd) : 0;
        int64_t n = usage_affordable(&p, known, bytes, images, limit, budget);
        assert_true(n >= 0 && n <= limit);
        assert_true(n == 0 || usage_worst(&p, known, bytes, images, n).nusd <= budget);
        assert_true(n == limit || usage_worst(&p, known, bytes, images, n + 1).nusd > budget);
    }
    const struct price p = {.rates = {1000000000, 1000000000, 0, 0, 0}};
    assert_int_equal(usage_affordable(&p, 0, 0, 0, 100, -5), 0);
    assert_int_equal(usage_affordable(&p, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX), USAGE_TOKENS_MAX);
}

/* ---- prices ---- */

static const char *found(const struct price *own, size_t n, const char *provider, const char *model)
{
    const struct price *p = price_find(own, n, slice_of(provider), slice_of(model));
    return p ? p->model.p : NULL;
}

static void test_price_of_a_name(void **state)
{
    (void)state;
    assert_string_equal(found(rows, row_count, "openai", "gpt-5"), "gpt-5");
    assert_string_equal(found(rows, row_count, "openai", "gpt-5-2025-08-07"), "gpt-5");
    assert_string_equal(found(rows, row_count, "openai", "gpt-4o-2024-08-06"), "gpt-4o");
    assert_string_equal(found(rows, row_count, "openai", "gpt-4o-2024-05-13"), "gpt-4o-2024-05-13");
    assert_string_equal(found(rows, row_count, "anthropic", "claude-3-5-haiku-latest"), "claude-3-5-haiku");
    assert_string_equal(found(rows, row_count, "anthropic", "claude-opus-4-5@20251101"), "claude-opus-4-5");
    assert_string_equal(found(rows, row_count, "anthropic", "claude-sonnet-5-5"), "claude-sonnet-5-5");
    assert_string_equal(found(rows, row_count, "ollama", "qwen3:8b"), "*");
    static const char *const none[][2] = {{"openai", "gpt-5-pro"}, {"openai", "gpt-5.9"}, {"openai", "gpt-5-"}, {"openai", "gpt-5-2025-08"}, {"openai", ""},
                                          {"openai", "gpt-4o-audio-preview"}, {"anthropic", "claude-opus-4-9"}, {"anthropic", "gpt-5"}, {"nobody", "gpt-5"}};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (found(rows, row_count, none[i][0], none[i][1]))
            fail_msg("%s has the price of %s", none[i][1], found(rows, row_count, none[i][0], none[i][1]));
}

static void test_own_prices_first(void **state)
{
    (void)state;
    static const struct price own[] = {
        {.provider = SLICE_INIT("openai"), .model = SLICE_INIT("gpt-5")},
        {.model = SLICE_INIT("gpt-5*")},
        {.model = SLICE_INIT("house-*")},
    };
    assert_ptr_equal(price_find(own, 3, SLICE("openai"), SLICE("gpt-5-2025-08-07")), &own[0]);
    assert_ptr_equal(price_find(own, 3, SLICE("openai"), SLICE("gpt-5-pro")), &own[1]);
    assert_ptr_equal(price_find(own, 1, SLICE("openai"), SLICE("gpt-5")), &own[0]);
    assert_ptr_equal(price_find(own, 3, SLICE("any"), SLICE("house-7b")), &own[2]);
    assert_string_equal(found(own, 3, "anthropic", "claude-sonnet-5"), "claude-sonnet-5");
}

static void test_catalogue(void **state)
{
    (void)state;
    size_t n = 0;
    for (const struct price *p; (p = price_at(n)); n++) {
        assert_true(price_ok(p) && p->provider.n && p->model.n && p->day.n == 10 && p->source.n);
        assert_true(p->rates.cache_read <= p->rates.input && p->rates.output >= p->rates.input);
        if (!slice_is(p->model, "*")) /* every row is found by its own name */
            assert_ptr_equal(price_find(NULL, 0, p->provider, p->model), p);
    }
    assert_true(n > 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples), cmocka_unit_test(test_what_is_no_usage), cmocka_unit_test(test_long_context), cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_worst_case), cmocka_unit_test(test_price_of_a_name), cmocka_unit_test(test_own_prices_first), cmocka_unit_test(test_catalogue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
