#include "sim/rand.h"

#include <string.h>

static uint64_t spread(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t sim_mix(uint64_t a, uint64_t b)
{
    return spread(spread(a + 0x9e3779b97f4a7c15u) ^ (b + 0x632be59bd9b4e019u));
}

void sim_rand_init(struct sim_rand *r, uint64_t seed, const char *name)
{
    r->state = spread(seed);
    for (; *name; name++)
        r->state = sim_mix(r->state, (unsigned char)*name);
}

uint64_t sim_rand_next(struct sim_rand *r)
{
    r->state += 0x9e3779b97f4a7c15u;
    return spread(r->state);
}

uint64_t sim_rand_below(struct sim_rand *r, uint64_t n)
{
    if (n == 0)
        return 0;
    uint64_t limit = UINT64_MAX - UINT64_MAX % n; /* a multiple of n: values from here on would favour the small ones */
    uint64_t v;
    do
        v = sim_rand_next(r);
    while (v >= limit);
    return v % n;
}

bool sim_rand_chance(struct sim_rand *r, unsigned num, unsigned den)
{
    return sim_rand_below(r, den) < num;
}

void sim_rand_fill(struct sim_rand *r, void *p, size_t n)
{
    for (size_t at = 0; at < n; at += 8) {
        uint64_t v = sim_rand_next(r);
        memcpy((char *)p + at, &v, n - at < 8 ? n - at : 8);
    }
}
