#include "tools/near.h"

#include <string.h>

enum { NAME = 255, LEAST = 500 };

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* Of 1000, how many pairs of neighbouring characters both have (Dice's coefficient), whatever their case. */
static unsigned likeness(struct slice a, struct slice b)
{
    unsigned char count[1024] = {0};
    unsigned both = 0;
    for (size_t i = 0; i + 1 < a.n && i < NAME; i++)
        count[(lower(a.p[i]) * 37u + lower(a.p[i + 1])) % sizeof count]++;
    for (size_t i = 0; i + 1 < b.n && i < NAME; i++) {
        unsigned char *c = &count[(lower(b.p[i]) * 37u + lower(b.p[i + 1])) % sizeof count];
        both += *c > 0;
        *c -= *c > 0;
    }
    return a.n + b.n > 2 ? (unsigned)(2000 * both / (a.n + b.n - 2)) : 0;
}

static struct slice stem(struct slice name)
{
    size_t dot = slice_index(slice_sub(name, 1, name.n), '.');
    return slice_sub(name, 0, dot + 1);
}

static unsigned score(struct slice wanted, struct slice name)
{
    bool same_stem = slice_eq(stem(wanted), stem(name)); /* a.md for a.txt */
    return likeness(wanted, name) + (same_stem ? 500 : 0);
}

size_t near_names(struct slice wanted, const struct slice *names, size_t n, struct slice ret[NEAR_MAX])
{
    unsigned scores[NEAR_MAX + 1];
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned s = score(wanted, names[i]);
        size_t at = found;
        if (s < LEAST)
            continue;
        for (; at > 0 && scores[at - 1] < s; at--)
            if (at < NEAR_MAX) {
                scores[at] = scores[at - 1];
                ret[at] = ret[at - 1];
            }
        if (at < NEAR_MAX) {
            scores[at] = s;
            ret[at] = names[i];
            found += found < NEAR_MAX;
        }
    }
    return found;
}
