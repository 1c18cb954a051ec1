#include "model/usage.h"

static const int64_t MILLION = 1000000;

static int64_t clamp(int64_t v)
{
    return v < 0 ? 0 : v > USAGE_TOKENS_MAX ? USAGE_TOKENS_MAX : v;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t count(const struct json *o, const char *key)
{
    return clamp(json_int(json_get(o, key), 0));
}

/* ---- what the APIs say ---- */

/* Tokens from the cache, by the names that servers have for it. */
static int64_t cached(const struct json *v)
{
    static const char *const names[] = {"prompt_cache_hit_tokens" /* DeepSeek */, "cached_tokens" /* Moonshot */};
    int64_t n = count(json_get(v, "prompt_tokens_details"), "cached_tokens");
    for (size_t i = 0; !n && i < sizeof names / sizeof *names; i++)
        n = count(v, names[i]);
    return n;
}

static int64_t dollars_to_nusd(const struct json *v)
{
    double dollars = json_real(v, -1);
    return dollars >= 0 && dollars < 1e6 ? (int64_t)(dollars * 1e9 + 0.5) : -1;
}

void usage_add_openai(struct usage *u, const struct json *v)
{
    if (json_type(json_get(v, "prompt_tokens")) != JSON_INT && json_type(json_get(v, "completion_tokens")) != JSON_INT)
        return;
    struct usage n = USAGE_NONE;
    int64_t prompt = count(v, "prompt_tokens"), total = count(v, "total_tokens");
    n.cache_read = least(cached(v), prompt);
    n.cache_write_5m = least(count(json_get(v, "prompt_tokens_details"), "cache_write_tokens"), prompt - n.cache_read);
    n.input = prompt - n.cache_read - n.cache_write_5m;
    n.output = most(count(v, "completion_tokens"), total - prompt);
    n.reasoning = least(count(json_get(v, "completion_tokens_details"), "reasoning_tokens"), n.output);
    n.reported_nusd = dollars_to_nusd(json_get(v, "cost"));
    n.known = true;
    *u = n;
}

static void raise(int64_t *to, const struct json *v, const char *key)
{
    *to = most(*to, count(v, key));
}

void usage_add_anthropic(struct usage *u, const struct json *v)
{
    if (json_type(v) != JSON_OBJECT)
        return;
    const struct json *writes = json_get(v, "cache_creation");
    int64_t written = most(count(v, "cache_creation_input_tokens"), u->cache_write_5m + u->cache_write_1h);
    written = most(written, count(writes, "ephemeral_5m_input_tokens") + count(writes, "ephemeral_1h_input_tokens"));
    raise(&u->input, v, "input_tokens");
    raise(&u->cache_read, v, "cache_read_input_tokens");
    raise(&u->output, v, "output_tokens");
    raise(&u->cache_write_1h, writes, "ephemeral_1h_input_tokens");
    u->cache_write_1h = least(u->cache_write_1h, written);
    u->cache_write_5m = written - u->cache_write_1h; /* the sum is what counts; its split came later to the API */
    raise(&u->reasoning, json_get(v, "output_tokens_details"), "thinking_tokens");
    u->reasoning = least(u->reasoning, u->output);
    u->known = true;
}

int64_t usage_prompt(const struct usage *u)
{
    return clamp(u->input) + clamp(u->cache_read) + clamp(u->cache_write_5m) + clamp(u->cache_write_1h);
}

/* ---- what it costs ---- */

static int64_t rounded_up(__int128 nusd_million)
{
    __int128 nusd = (nusd_million + MILLION - 1) / MILLION;
    return nusd > INT64_MAX ? INT64_MAX : (int64_t)nusd;
}

int64_t usage_cost(const struct usage *u, const struct price *p)
{
    bool is_long = p->long_from > 0 && usage_prompt(u) > p->long_from;
    const struct rates *r = is_long ? &p->long_rates : &p->rates;
    __int128 sum = (__int128)clamp(u->input) * r->input + (__int128)clamp(u->cache_read) * r->cache_read +
                   (__int128)clamp(u->cache_write_5m) * r->cache_write_5m +
                   (__int128)clamp(u->cache_write_1h) * r->cache_write_1h + (__int128)clamp(u->output) * r->output;
    return rounded_up(sum);
}

static int64_t dearest_input(const struct rates *r)
{
    return most(most(r->input, r->cache_read), most(r->cache_write_5m, r->cache_write_1h));
}

/* The dearest rates that a prompt of up to n tokens can meet. */
static void dearest(const struct price *p, int64_t n, int64_t *ret_input, int64_t *ret_output)
{
    *ret_input = dearest_input(&p->rates);
    *ret_output = p->rates.output;
    if (p->long_from > 0 && n > p->long_from) {
        *ret_input = most(*ret_input, dearest_input(&p->long_rates));
        *ret_output = most(*ret_output, p->long_rates.output);
    }
}

static int64_t input_bound(int64_t known_tokens, int64_t new_bytes, int64_t new_images)
{
    int64_t images = new_images > USAGE_TOKENS_MAX / USAGE_IMAGE_TOKENS ? USAGE_TOKENS_MAX : clamp(new_images) * USAGE_IMAGE_TOKENS;
    return clamp(clamp(known_tokens) + clamp(new_bytes) + images + USAGE_TEMPLATE_TOKENS);
}

struct worst usage_worst(const struct price *p, int64_t known_tokens, int64_t new_bytes, int64_t new_images, int64_t max_output)
{
    struct worst w = {.input_tokens = input_bound(known_tokens, new_bytes, new_images), .output_tokens = clamp(max_output)};
    int64_t input, output;
    dearest(p, w.input_tokens, &input, &output);
    w.nusd = rounded_up((__int128)w.input_tokens * input + (__int128)w.output_tokens * output);
    return w;
}

int64_t usage_affordable(const struct price *p, int64_t known_tokens, int64_t new_bytes, int64_t new_images, int64_t want,
                         int64_t left_nusd)
{
    int64_t tokens = input_bound(known_tokens, new_bytes, new_images), input, output;
    dearest(p, tokens, &input, &output);
    __int128 left = (__int128)left_nusd * MILLION - (__int128)tokens * input;
    want = clamp(want);
    if (left < 0)
        return 0;
    return output == 0 || left / output >= want ? want : (int64_t)(left / output);
}
