/* What is left of the caps on an account's path. Balances are kept by projection.c. */
#include <stdio.h>
#include <string.h>

#include "base/sys.h"

#include "store/internal.h"

/* ---- windows: days and months are UTC ---- */

static const int64_t DAY_MS = 86400000;

static int64_t days_since_epoch(int64_t ms)
{
    int64_t d = ms / DAY_MS;
    return ms % DAY_MS < 0 ? d - 1 : d;
}

/* The day of the month of a day since 1970-01-01, from 0: the civil calendar shifted so that a year begins in March
   and its leap day is its last (the usual era arithmetic: 146,097 days in 400 years). */
static int64_t day_of_month(int64_t days)
{
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    return doy - (153 * mp + 2) / 5;
}

static int64_t window_start(struct slice span, int64_t now_ms)
{
    int64_t day = days_since_epoch(now_ms);
    return (slice_is(span, "month") ? day - day_of_month(day) : day) * DAY_MS;
}

static enum err spent_since(struct store *s, struct slice account, enum unit u, int64_t since_ms, int64_t *ret, struct error *e)
{
    return store_number(s, "SELECT sum(iif(open, held, settled)) FROM reservation WHERE time >= ?3 AND unit = ?2 AND "
                        "(account = ?1 OR (account > ?1 || '/' AND account < ?1 || '0'))", 0, ret, e, "tii", account,
                        (int64_t)u, since_ms); /* '0' comes after '/' */
}

/* ---- what is left ---- */

static void lower(struct amounts *a, int64_t unit, int64_t cap, int64_t spent)
{
    if (unit < 0 || unit >= UNITS || cap == AMOUNT_UNLIMITED)
        return;
    int64_t left = spent < cap ? cap - spent : 0;
    if (left < a->n[unit])
        a->n[unit] = left;
}

/* Caps over all time: a person's, else the run's own. */
static enum err left_total(struct store *s, struct slice account, struct amounts *ret, struct error *e)
{
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    enum err err = store_query(s,
        "SELECT c.unit, c.amount, coalesce(b.exact + b.assumed + b.held, 0) FROM ("
        "  SELECT unit, amount FROM cap WHERE account = ?1 AND span = 'total' UNION ALL"
        "  SELECT unit, amount FROM budget WHERE account = ?1 AND NOT EXISTS("
        "    SELECT 1 FROM cap WHERE cap.account = ?1 AND cap.unit = budget.unit AND cap.span = 'total')) c"
        " LEFT JOIN balance b ON b.account = ?1 AND b.unit = c.unit", &st, e, "t", account);
    for (bool any = true; !err && any;) {
        err = store_row(s, st, &any, e);
        if (!err && any)
            lower(ret, sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1), sqlite3_column_int64(st, 2));
    }
    return err;
}

static enum err left_windows(struct store *s, struct slice account, struct amounts *ret, struct error *e)
{
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    enum err err = store_query(s, "SELECT unit, span, amount FROM cap WHERE account = ? AND span <> 'total'", &st, e, "t",
                               account);
    for (bool any = true; !err && any;) {
        int64_t spent = 0;
        err = store_row(s, st, &any, e);
        if (err || !any)
            break;
        int64_t unit = sqlite3_column_int64(st, 0);
        err = spent_since(s, account, (enum unit)unit, window_start(store_text(st, 1), sys->now_ms()), &spent, e);
        if (!err)
            lower(ret, unit, sqlite3_column_int64(st, 2), spent);
    }
    return err;
}

enum err ledger_left(struct store *s, struct slice account, struct amounts *ret, struct error *e)
{
    struct amounts left = amounts_unlimited();
    struct slice path;
    if (!account_ok(account))
        return error_set(e, ERR_USAGE, "'%.*s' is not an account; write names joined by /",
                         SLICE_ARG(slice_sub(account, 0, 100)));
    enum err err = OK;
    for (size_t i = 0; !err && account_ancestor(account, i, &path); i++) {
        err = left_total(s, path, &left, e);
        if (!err)
            err = left_windows(s, path, &left, e);
    }
    *ret = left;
    return err;
}

/* ---- caps ---- */

/* Lifting a run's own budget needs a row that says so: without one the budget would count again. */
static enum err lift(struct store *s, struct slice account, enum unit u, struct slice span, struct error *e)
{
    int64_t own = 0;
    enum err err = store_number(s, "SELECT count(*) FROM budget WHERE account = ? AND unit = ?", 0, &own, e, "ti", account,
                                (int64_t)u);
    if (err)
        return err;
    if (own && slice_is(span, "total"))
        return store_do(s, "INSERT OR REPLACE INTO cap VALUES(?, ?, ?, ?)", e, "titi", account, (int64_t)u, span,
                        AMOUNT_UNLIMITED);
    return store_do(s, "DELETE FROM cap WHERE account = ? AND unit = ? AND span = ?", e, "tit", account, (int64_t)u, span);
}

enum err ledger_set_cap(struct store *s, struct slice account, enum unit u, const char *window, int64_t cap, struct error *e)
{
    struct slice span = slice_of(window);
    if (!account_ok(account) || (unsigned)u >= UNITS || cap < 0)
        return error_set(e, ERR_USAGE, "a cap wants an account (names joined by /), a unit and an amount that is not negative");
    if (!slice_is(span, "total") && !slice_is(span, "day") && !slice_is(span, "month"))
        return error_set(e, ERR_USAGE, "a cap is for total, day or month, not for '%.*s'", SLICE_ARG(slice_sub(span, 0, 40)));
    bool own;
    enum err err = store_enter(s, &own, e);
    if (err)
        return err;
    if (cap == AMOUNT_UNLIMITED)
        err = lift(s, account, u, span, e);
    else
        err = store_do(s, "INSERT OR REPLACE INTO cap VALUES(?, ?, ?, ?)", e, "titi", account, (int64_t)u, span, cap);
    return store_end(s, own, err, e);
}

/* Where an account's whole history counts, its balance is the sum. */
static enum err cap_used(struct store *s, struct cap *c, struct error *e)
{
    struct slice account = slice_of(c->account), window = slice_of(c->window);
    if (slice_is(window, "total"))
        return store_number(s, "SELECT exact + assumed + held FROM balance WHERE account = ? AND unit = ?", 0, &c->used, e, "ti",
                            account, (int64_t)c->unit);
    return spent_since(s, account, c->unit, window_start(window, sys->now_ms()), &c->used, e);
}

enum err cap_each(struct store *s, void (*each)(void *ctx, const struct cap *c), void *ctx, struct error *e)
{
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    enum err err = store_query(s,
        "SELECT account, unit, span, amount FROM cap WHERE amount <> ?1 UNION ALL"
        " SELECT account, unit, 'total', amount FROM budget g WHERE NOT EXISTS("
        "  SELECT 1 FROM cap WHERE cap.account = g.account AND cap.unit = g.unit AND cap.span = 'total')"
        " ORDER BY 1, 2, 3", &st, e, "i", AMOUNT_UNLIMITED);
    for (bool any = true; !err;) {
        err = store_row(s, st, &any, e);
        if (err || !any)
            break;
        int64_t unit = sqlite3_column_int64(st, 1);
        struct slice account = store_text(st, 0), window = store_text(st, 2);
        struct cap c = {.unit = (enum unit)unit, .amount = sqlite3_column_int64(st, 3)};
        if (unit < 0 || unit >= UNITS || !account_ok(account))
            continue;
        snprintf(c.account, sizeof c.account, "%.*s", SLICE_ARG(account));
        snprintf(c.window, sizeof c.window, "%.*s", SLICE_ARG(slice_sub(window, 0, sizeof c.window - 1)));
        err = cap_used(s, &c, e);
        if (!err)
            each(ctx, &c);
    }
    return err;
}

struct tightest {
    struct slice account;
    enum unit unit;
    struct cap *best;
};

static void tighter(void *ctx, const struct cap *c)
{
    struct tightest *t = ctx;
    struct slice path;
    if (c->unit != t->unit)
        return;
    for (size_t i = 0; account_ancestor(t->account, i, &path); i++)
        if (slice_is(path, c->account) && (!*t->best->account || c->amount - c->used < t->best->amount - t->best->used))
            *t->best = *c;
}

enum err cap_tightest(struct store *s, struct slice account, enum unit u, struct cap *ret, struct error *e)
{
    struct tightest t = {account, u, ret};
    *ret = (struct cap){.unit = u};
    return cap_each(s, tighter, &t, e);
}

enum err ledger_each(struct store *s, void (*each)(void *ctx, const struct balance *b), void *ctx, struct error *e)
{
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    enum err err = store_query(s,
        "WITH k AS (SELECT account, unit FROM balance UNION SELECT account, unit FROM budget UNION"
        "           SELECT account, unit FROM cap WHERE span = 'total')"
        " SELECT k.account, k.unit, coalesce(b.exact, 0), coalesce(b.assumed, 0), coalesce(b.held, 0),"
        "   coalesce(c.amount, g.amount) FROM k"
        " LEFT JOIN balance b ON b.account = k.account AND b.unit = k.unit"
        " LEFT JOIN cap c ON c.account = k.account AND c.unit = k.unit AND c.span = 'total'"
        " LEFT JOIN budget g ON g.account = k.account AND g.unit = k.unit ORDER BY k.account, k.unit", &st, e, "");
    for (bool any = true; !err;) {
        err = store_row(s, st, &any, e);
        if (err || !any)
            break;
        int64_t unit = sqlite3_column_int64(st, 1);
        struct balance b = {store_text(st, 0), (enum unit)unit, sqlite3_column_int64(st, 2), sqlite3_column_int64(st, 3),
                            sqlite3_column_int64(st, 4),
                            sqlite3_column_type(st, 5) == SQLITE_NULL ? AMOUNT_UNLIMITED : sqlite3_column_int64(st, 5)};
        if (unit >= 0 && unit < UNITS)
            each(ctx, &b);
    }
    return err;
}
