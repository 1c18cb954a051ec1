/*
 * What follows from an event in the tables run, reservation, balance, budget and landed. Appending and rebuilding come
 * through here with the same arguments, so they cannot disagree (J3).
 *
 * A run's own budget (run.started) becomes a cap on its account in the table `budget`, a projection. What a person sets
 * with ledger_set_cap() is in the table `cap`, which is configuration and not touched here; for the same account and
 * unit it wins over the run's own.
 *
 * A reservation counts in the day and month in which it was made, also when it is settled later.
 */
#include "store/internal.h"

/* ---- money ---- */

struct booking {
    struct slice account;
    enum unit unit;
    int64_t exact, assumed, held; /* changes */
};

static enum err book(struct store *s, const struct booking *b, struct error *e)
{
    struct slice path;
    enum err err = OK;
    for (size_t i = 0; !err && account_ancestor(b->account, i, &path); i++)
        err = store_do(s, "INSERT INTO balance VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(account, unit) DO UPDATE SET "
                       "exact = exact + ?3, assumed = assumed + ?4, held = held + ?5", e, "tiiii", path, (int64_t)b->unit,
                       b->exact, b->assumed, b->held);
    return err;
}

enum err projection_reserves(const struct json *payload, const struct run_state *r, struct slice *ret_account,
                             struct amounts *ret, struct error *e)
{
    const struct json *account = json_get(payload, "account");
    *ret_account = account ? json_text(account) : r->account;
    *ret = amounts_from_json(json_get(payload, "amounts"), 0);
    return account_ok(*ret_account) ? OK : error_set(e, ERR_CORRUPT, "an intent's account is not a path of names");
}

static enum err reserve(struct store *s, const struct projected *p, struct error *e)
{
    const struct step_key *k = &p->ev->key;
    struct slice account;
    struct amounts a;
    enum err err = projection_reserves(p->payload, p->after, &account, &a, e);
    for (int u = 0; !err && u < UNITS; u++) {
        if (!a.n[u])
            continue;
        err = store_do(s, "INSERT INTO reservation VALUES(?, ?, ?, ?, ?, ?, ?, 0, '', 1, ?)", e, "iiiiitii", (int64_t)k->run,
                       (int64_t)k->branch, (int64_t)k->step, (int64_t)k->attempt, (int64_t)u, account, a.n[u], p->ev->time_ms);
        if (!err)
            err = book(s, &(struct booking){account, (enum unit)u, .held = a.n[u]}, e);
    }
    return err;
}

/* One unit of a finished step: what was held is given back, what was used stays. */
static enum err settle_unit(struct store *s, const struct step_key *k, enum unit u, int64_t used, bool assumed, struct error *e)
{
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    enum err err = store_query(s, "UPDATE reservation SET settled = ?6, how = ?7, open = 0 WHERE run = ?1 AND branch = ?2 AND "
                               "step = ?3 AND attempt = ?4 AND unit = ?5 AND open = 1 RETURNING account, held", &st, e,
                               "iiiiiit", (int64_t)k->run, (int64_t)k->branch, (int64_t)k->step, (int64_t)k->attempt,
                               (int64_t)u, used, assumed ? SLICE("assumed") : SLICE("exact"));
    bool any = false;
    if (!err)
        err = store_row(s, st, &any, e);
    if (err || !any)
        return err;
    struct booking b = {store_text(st, 0), u, assumed ? 0 : used, assumed ? used : 0, -sqlite3_column_int64(st, 1)};
    return book(s, &b, e); /* SQLite does all of an UPDATE before it returns the first row */
}

static enum err settle(struct store *s, const struct projected *p, struct error *e)
{
    struct amounts used = amounts_from_json(json_get(p->payload, "used"), 0);
    bool assumed = slice_is(json_text(json_get(p->payload, "how")), "assumed");
    enum err err = OK;
    for (int u = 0; !err && u < UNITS; u++)
        if (p->open.held.n[u]) /* M2: nothing is used of what was not held (run_apply has refused it) */
            err = settle_unit(s, &p->ev->key, (enum unit)u, used.n[u], assumed, e);
    return err;
}

static enum err set_budget(struct store *s, const struct projected *p, struct error *e)
{
    const struct run_state *r = p->after;
    enum err err = OK;
    for (int u = 0; !err && u < UNITS; u++)
        if (r->budget.n[u] != AMOUNT_UNLIMITED)
            err = store_do(s, "INSERT INTO budget VALUES(?, ?, ?, ?) ON CONFLICT(account, unit) DO UPDATE SET "
                           "amount = excluded.amount, event = excluded.event WHERE excluded.event > event", e, "tiii",
                           r->account, (int64_t)u, r->budget.n[u], p->id);
    return err;
}

/* ---- files ---- */

static enum err land(struct store *s, const struct projected *p, struct error *e)
{
    const struct run_state *r = p->after;
    const struct line *l = run_line_const(r, p->open.item, p->open.piece);
    if (!l || !l->target.n)
        return OK;
    return store_do(s, "INSERT INTO landed VALUES(?, ?, ?, ?, ?) ON CONFLICT(work_dev, work_ino, path) DO UPDATE SET "
                    "hash = excluded.hash, event = excluded.event WHERE excluded.event > event", e, "iithi",
                    (int64_t)r->work_dev, (int64_t)r->work_ino, l->target, &l->landed, p->id);
}

static enum err finish(struct store *s, const struct projected *p, struct error *e)
{
    enum err err = p->closes ? settle(s, p, e) : OK;
    bool landed = p->closes && p->open.stage == STAGE_LAND &&
                  outcome_from(json_text(json_get(p->payload, "outcome"))) == OUTCOME_OK;
    return !err && landed ? land(s, p, e) : err;
}

/* ---- the list of runs ---- */

static int64_t open_questions(const struct run_state *r)
{
    int64_t n = 0;
    for (size_t i = 0; i < r->nitems; i++)
        n += (int64_t)r->items[i].nstuck;
    return n;
}

static enum err start_row(struct store *s, const struct run_state *r, struct error *e)
{
    return store_do(s, "INSERT INTO run(id, plan_path, work, work_dev, work_ino, goal, agent, account, status, started) "
                    "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", e, "ittiitttii", (int64_t)r->id, r->plan_path, r->work,
                    (int64_t)r->work_dev, (int64_t)r->work_ino, r->goal, r->agent, r->account, (int64_t)r->status,
                    r->started_ms);
}

static enum err update_row(struct store *s, const struct run_state *r, struct error *e)
{
    size_t done, total;
    run_progress(r, &done, &total);
    return store_do(s, "UPDATE run SET status = ?, why = ?, updated = ?, done = ?, total = ?, questions = ?, seq = ?, head = ? "
                    "WHERE id = ?", e, "itiiiiihi", (int64_t)r->status, slice_of(r->why), r->updated_ms, (int64_t)done,
                    (int64_t)total, open_questions(r), (int64_t)r->seq, &r->head, (int64_t)r->id);
}

/* ---- an event ---- */

void projection_before(struct projected *p, const struct event *ev, const struct run_state *before)
{
    p->closes = false;
    for (size_t i = 0; ev->type == EVENT_STEP_FINISHED && i < before->nopen; i++)
        if (before->open[i].key.step == ev->key.step && before->open[i].key.attempt == ev->key.attempt) {
            p->closes = true;
            p->open = before->open[i];
        }
}

enum err projection_payload(const struct event *ev, struct json **ret, struct error *e)
{
    *ret = NULL;
    bool wanted = ev->type == EVENT_STEP_INTENDED || ev->type == EVENT_STEP_FINISHED;
    return wanted && !ev->redacted ? json_parse(ev->payload, ret, e) : OK;
}

enum err projection_apply(struct store *s, const struct projected *p, struct error *e)
{
    enum err err = OK;
    if (p->ev->type == EVENT_STEP_INTENDED)
        err = reserve(s, p, e);
    if (!err && p->ev->type == EVENT_STEP_FINISHED)
        err = finish(s, p, e);
    if (!err && p->ev->type == EVENT_RUN_STARTED)
        err = start_row(s, p->after, e);
    if (!err && p->ev->type == EVENT_RUN_STARTED)
        err = set_budget(s, p, e);
    return err ? err : update_row(s, p->after, e);
}
