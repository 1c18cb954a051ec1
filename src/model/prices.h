/*
 * Prices: what models cost, as data with the day and the place where each row was read.
 *
 * PRICES MOVE. The catalogue is what was true on its day; a person's own rows are asked first and override it. A model that
 * has no row has no price: a run with a budget in money asks instead of guessing. Local servers cost nothing and
 * have a row that says so.
 */
#ifndef CRANNOG_MODEL_PRICES_H
#define CRANNOG_MODEL_PRICES_H

#include "base/slice.h"

/* Nano-dollars for a million tokens: 3 dollars are 3,000,000,000. At most PRICE_MAX (a dollar a token). */
struct rates {
    int64_t input, output, cache_read, cache_write_5m, cache_write_1h;
};

static const int64_t PRICE_MAX = 1000000000000000;

struct price {
    struct slice provider; /* as in provider.h; empty: any */
    struct slice model;    /* a name, or its beginning with a '*' behind it */
    struct rates rates;
    int64_t long_from;     /* a prompt of more tokens than this is billed by `long_rates`; 0: there is no such tier */
    struct rates long_rates;
    int64_t context, max_output; /* tokens; 0: not known */
    struct slice day, source;    /* "2025-11-25", "https://…" */
};

/*
 * The row for a model: first among the person's own, then in the catalogue; in each the longest name. Without a '*' a name
 * stands for itself and its dated versions ("-20250929", "-2025-08-07", "@20250929", "-latest") and nothing else, so that
 * a dearer sister ("gpt-5-pro") is never billed at the price of its family. NULL if there is none.
 */
const struct price *price_find(const struct price *own, size_t n, struct slice provider, struct slice model);
const struct price *price_at(size_t i); /* of the catalogue; NULL past the end */
/* Whether a row can be billed by: rates within 0..PRICE_MAX, limits not negative. */
bool price_ok(const struct price *p);

#endif
