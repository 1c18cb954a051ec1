#include "infer/sample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/sys.h"

enum { SAID_MAX = 256 }; /* how far back a repetition is seen */

struct choice {
    float p;
    int32_t id;
};

struct sampler {
    struct sample_settings settings;
    uint64_t random;
    size_t vocab;
    struct choice choice[];
};

enum err sampler_new(size_t vocab, struct sampler **ret, struct error *e)
{
    struct sampler *s = sys->realloc(NULL, sizeof *s + vocab * sizeof s->choice[0]);
    if (!s)
        return error_set(e, ERR_MEMORY, "not enough memory for sampling");
    *s = (struct sampler){.vocab = vocab};
    *ret = s;
    return OK;
}

void sampler_free(struct sampler *s)
{
    sys->free(s);
}

void sampler_start(struct sampler *s, const struct sample_settings *settings)
{
    s->settings = *settings;
    s->random = settings->seed;
}

/* In [0, 1), by SplitMix64. */
static double next_random(struct sampler *s)
{
    uint64_t z = s->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

/* Each token that was said counts once, however often. */
static void hold_back(float *logits, size_t vocab, const int32_t *said, size_t n, float factor)
{
    if (n > SAID_MAX) {
        said += n - SAID_MAX;
        n = SAID_MAX;
    }
    for (size_t i = 0; i < n; i++) {
        bool again = said[i] < 0 || (size_t)said[i] >= vocab;
        for (size_t j = 0; j < i && !again; j++)
            again = said[j] == said[i];
        float *l = &logits[again ? 0 : said[i]];
        if (!again)
            *l = *l > 0 ? *l / factor : *l * factor;
    }
}

static bool is_allowed(const uint64_t *allowed, size_t i)
{
    return !allowed || (allowed[i / 64] >> i % 64 & 1);
}

/* The likeliest of those that are allowed. */
static int32_t best(const float *logits, size_t n, const uint64_t *allowed)
{
    int32_t at = SAMPLER_NONE_ALLOWED;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(logits[i]))
            return SAMPLER_NO_NUMBERS;
        if (is_allowed(allowed, i) && (at < 0 || logits[i] > logits[at]))
            at = (int32_t)i;
    }
    return at;
}

static int by_likelihood(const void *a, const void *b)
{
    const struct choice *x = a, *y = b;
    if (x->p != y->p)
        return x->p < y->p ? 1 : -1;
    return x->id < y->id ? -1 : 1;
}

/* Puts tokens that can be among the most likely `top_p` in order; returns how many. */
static size_t rank(struct sampler *s, const float *logits, float most, const uint64_t *allowed)
{
    float sum = 0, top_p = s->settings.top_p;
    for (size_t i = 0; i < s->vocab; i++)
        if (is_allowed(allowed, i))
            sum += expf((logits[i] - most) / s->settings.temperature);
    /* Fewer than this each, and even all together they are not needed to reach top_p. */
    float least = top_p < 1 ? (1 - top_p) / (float)s->vocab : 0;
    size_t n = 0;
    for (size_t i = 0; i < s->vocab; i++) {
        float p = is_allowed(allowed, i) ? expf((logits[i] - most) / s->settings.temperature) / sum : -1;
        if (p >= least)
            s->choice[n++] = (struct choice){p, (int32_t)i};
    }
    qsort(s->choice, n, sizeof s->choice[0], by_likelihood);
    return n;
}

static int32_t draw(struct sampler *s, const float *logits, float most, const uint64_t *allowed)
{
    size_t n = rank(s, logits, most, allowed), last = 0;
    double mass = 0, sum = 0;
    for (last = 0; last < n; ) {
        mass += s->choice[last++].p;
        if (mass >= s->settings.top_p)
            break;
    }
    double at = next_random(s) * mass;
    for (size_t i = 0; i < last; i++) {
        sum += s->choice[i].p;
        if (at < sum)
            return s->choice[i].id;
    }
    return s->choice[0].id;
}

int32_t sampler_pick(struct sampler *s, float *logits, const int32_t *said, size_t nsaid, const uint64_t *allowed)
{
    int32_t top = best(logits, s->vocab, allowed);
    if (top < 0)
        return top;
    if (s->settings.repeat > 1) {
        hold_back(logits, s->vocab, said, nsaid, s->settings.repeat);
        top = best(logits, s->vocab, allowed);
    }
    return s->settings.temperature > 0 ? draw(s, logits, logits[top], allowed) : top;
}
