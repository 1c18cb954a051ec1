/*
 * The ledger: money and everything else that can run out, in one book.
 *
 * An account is a path of names ("crannog/main/r7"); what an act costs is booked on the account and all its ancestors.
 * A paid act reserves its worst case in the commit that intends it and settles in the commit that finishes it.
 *
 * M1  For each account, unit and capped window: exact + assumed + held <= cap, at every commit.
 * M2  settled <= held for each reservation: what was not reserved is not spent.
 * M3  A balance is the sum of its reservations; a rebuild from the journal gives the same.
 */
#ifndef CRANNOG_CORE_LEDGER_H
#define CRANNOG_CORE_LEDGER_H

#include "text/json.h"

enum unit { UNIT_NUSD, UNIT_TOKENS, UNIT_CPU_NS, UNIT_CALLS, UNITS }; /* nano-dollars, tokens, CPU nanoseconds, model calls */

enum { LEDGER_DEPTH_MAX = 8 };

struct amounts {
    int64_t n[UNITS]; /* never negative */
};

/* Where a budget is not set. */
#define AMOUNT_UNLIMITED INT64_MAX
struct amounts amounts_unlimited(void);

const char *unit_name(enum unit u); /* "nusd", "tokens", "cpu_ns", "calls" */
/* {"tokens":12,"cpu_ns":5}; zero units are left out (unlimited ones too). */
void amounts_print(const struct amounts *a, struct json *into, const char *key);
/* The same for caps: a cap of zero is one, only unlimited units are left out. */
void caps_print(const struct amounts *a, struct json *into, const char *key);
struct amounts amounts_from_json(const struct json *v, int64_t missing);
struct amounts amounts_add(struct amounts a, struct amounts b); /* saturating */

/* The i-th ancestor path of an account, from the root ("crannog") down to itself; false past the end. */
bool account_ancestor(struct slice account, size_t i, struct slice *ret);
/* 1..LEDGER_DEPTH_MAX names of [A-Za-z0-9._-], joined by '/'. */
bool account_ok(struct slice account);

/*
 * What may be reserved: `want` where `left` allows it, else what is left. False where even `floor` (at most `want`) is
 * not to be had; *ret_short is the unit that ran out. left: AMOUNT_UNLIMITED without a cap, below zero where it was
 * lowered after the fact. `ret` may be one of the others.
 */
bool ledger_clamp(const struct amounts *want, const struct amounts *floor, const struct amounts *left,
                  struct amounts *ret, enum unit *ret_short);

/* "5" dollars, "200000tok", "90cpu-s", "30calls", several by blanks or commas, each unit once. Fills only the units
   named. */
enum err MUST_USE budget_parse(struct slice text, struct amounts *ret, struct error *e);
/* "$0.0123", "12,345 tokens", "4.2 CPU seconds": for people. */
void amount_print(enum unit u, int64_t n, struct buf *out);

#endif
