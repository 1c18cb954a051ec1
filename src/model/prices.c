/*
 * The catalogue. A row stands here only where its maker's own page says all of it; models whose price goes by the hour
 * (DeepSeek's), or whose page we have not seen (OpenAI's among them), have none yet: a person gives such a row. A row's
 * date is the day for which we know it.
 */
#include "model/prices.h"

#include <string.h>

/* Dollars for a million tokens, by thousandths, so that the table reads as the pages do: 3000 is $3. */
#define MILLI(n) ((int64_t)(n) * 1000000)
/* Anthropic: input, output, read, write for 5 minutes, write for an hour. */
#define CLAUDE(name, in, out, read, five, hour, window, most) \
    {.provider = SLICE_INIT("anthropic"), .model = SLICE_INIT(name), \
     .rates = {MILLI(in), MILLI(out), MILLI(read), MILLI(five), MILLI(hour)}, .context = window, .max_output = most, \
     .day = SLICE_INIT("2026-11-25"), .source = SLICE_INIT("https://platform.claude.com/docs/en/about-claude/pricing")}
#define FREE(server) \
    {.provider = SLICE_INIT(server), .model = SLICE_INIT("*"), .day = SLICE_INIT("2026-11-25"), \
     .source = SLICE_INIT("runs on a machine of your own")}

static const struct price catalogue[] = {
    CLAUDE("claude-fable-5-1", 10000, 50000, 250, 12500, 20000, 1000000, 128000),
    CLAUDE("claude-fable-5", 10000, 50000, 1000, 12500, 20000, 1000000, 128000),
    CLAUDE("claude-opus-5", 5000, 25000, 500, 6250, 10000, 1000000, 128000),
    CLAUDE("claude-opus-4-8", 5000, 25000, 500, 6250, 10000, 1000000, 128000),
    CLAUDE("claude-opus-4-7", 5000, 25000, 500, 6250, 10000, 0, 0),
    CLAUDE("claude-opus-4-6", 5000, 25000, 500, 6250, 10000, 0, 0),
    CLAUDE("claude-opus-4-5", 5000, 25000, 500, 6250, 10000, 200000, 64000),
    CLAUDE("claude-opus-4-1", 15000, 75000, 1500, 18750, 30000, 200000, 32000),
    CLAUDE("claude-sonnet-5-5", 2000, 10000, 200, 2500, 4000, 1000000, 128000),
    CLAUDE("claude-sonnet-5", 2000, 10000, 200, 2500, 4000, 1000000, 128000),
    CLAUDE("claude-sonnet-4-6", 3000, 15000, 300, 3750, 6000, 0, 0),
    CLAUDE("claude-sonnet-4-5", 3000, 15000, 300, 3750, 6000, 200000, 64000),
    CLAUDE("claude-haiku-4-5", 1000, 5000, 100, 1250, 2000, 200000, 64000),
    CLAUDE("claude-3-5-haiku", 800, 4000, 80, 1000, 1600, 200000, 8192),
    CLAUDE("claude-3-haiku", 250, 1250, 30, 300, 500, 200000, 4096),
    FREE("ollama"),
    FREE("lmstudio"),
    FREE("llama.cpp"),
    FREE("vllm"),
};
enum { CATALOGUE = sizeof catalogue / sizeof *catalogue };

static bool all_digits(struct slice s, size_t n)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n == n;
}

/* What may stand behind a model's name: "", "-20250929", "@20250929", "-2025-08-07", "-latest". */
static bool is_version(struct slice s)
{
    if (s.n == 0 || slice_is(s, "-latest"))
        return true;
    struct slice rest = slice_sub(s, 1, s.n);
    if (s.p[0] == '@' || (s.p[0] == '-' && rest.n == 8))
        return all_digits(rest, 8);
    return s.p[0] == '-' && rest.n == 10 && rest.p[4] == '-' && rest.p[7] == '-' && all_digits(slice_sub(rest, 0, 4), 4) &&
           all_digits(slice_sub(rest, 5, 2), 2) && all_digits(slice_sub(rest, 8, 2), 2);
}

static bool row_fits(const struct price *p, struct slice provider, struct slice model)
{
    if (p->provider.n && !slice_eq(p->provider, provider))
        return false;
    if (slice_ends(p->model, SLICE("*")))
        return slice_starts(model, slice_sub(p->model, 0, p->model.n - 1));
    return p->model.n && slice_starts(model, p->model) && is_version(slice_sub(model, p->model.n, model.n));
}

/* The more of a name it says the better; to the letter or to its version is better than a '*'. */
static size_t weight(const struct price *p)
{
    return slice_ends(p->model, SLICE("*")) ? 2 * (p->model.n - 1) : 2 * p->model.n + 1;
}

static const struct price *longest(const struct price *rows, size_t n, struct slice provider, struct slice model)
{
    const struct price *best = NULL;
    for (size_t i = 0; i < n; i++)
        if (row_fits(&rows[i], provider, model) && (!best || weight(&rows[i]) > weight(best)))
            best = &rows[i];
    return best;
}

const struct price *price_find(const struct price *own, size_t n, struct slice provider, struct slice model)
{
    const struct price *p = longest(own, n, provider, model);
    return p ? p : longest(catalogue, CATALOGUE, provider, model);
}

const struct price *price_at(size_t i)
{
    return i < CATALOGUE ? &catalogue[i] : NULL;
}

static bool rates_ok(const struct rates *r)
{
    const int64_t all[] = {r->input, r->output, r->cache_read, r->cache_write_5m, r->cache_write_1h};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] < 0 || all[i] > PRICE_MAX)
            return false;
    return true;
}

bool price_ok(const struct price *p)
{
    return rates_ok(&p->rates) && rates_ok(&p->long_rates) && p->long_from >= 0 && p->context >= 0 && p->max_output >= 0;
}
