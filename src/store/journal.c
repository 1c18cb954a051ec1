#include <string.h>

#include "store/internal.h"

/* ---- reading ---- */

/* Outside bytes: every field of the row is looked at before it is believed. */
static enum err event_of_row(sqlite3_stmt *st, uint64_t run, struct event *ret, struct error *e)
{
    struct slice salt = store_bytes(st, 1), payload = store_bytes(st, 2);
    if (!event_from_header(store_bytes(st, 0), ret))
        return error_set(e, ERR_CORRUPT, "an event has a damaged header");
    if (ret->key.run != run)
        return error_set(e, ERR_CORRUPT, "an event of r%llu lies among its events", (unsigned long long)ret->key.run);
    ret->redacted = sqlite3_column_type(st, 1) == SQLITE_NULL && sqlite3_column_type(st, 2) == SQLITE_NULL;
    if (ret->redacted)
        return OK;
    if (salt.n != EVENT_SALT_BYTES || payload.n > EVENT_PAYLOAD_MAX)
        return error_set(e, ERR_CORRUPT, "event %llu has a damaged salt or payload", (unsigned long long)ret->seq);
    memcpy(ret->salt, salt.p, EVENT_SALT_BYTES);
    ret->payload = payload;
    return OK;
}

static enum err walk_row(sqlite3_stmt *st, uint64_t run, struct hash *prev, uint64_t *seq, const struct walker *w,
                         struct error *e)
{
    struct event ev;
    enum err err = event_of_row(st, run, &ev, e);
    if (!err)
        err = event_check(&ev, prev, *seq, e);
    if (err)
        return e ? error_wrap(e, "run r%llu cannot be read", (unsigned long long)run) : err;
    *prev = event_hash(&ev);
    *seq = ev.seq;
    return w->each ? w->each(w->ctx, &ev, sqlite3_column_int64(st, 3), e) : OK;
}

enum err journal_walk(struct store *s, uint64_t run, const struct walker *w, struct error *e)
{
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    enum err err = store_query(s, "SELECT header, salt, payload, id FROM event WHERE run = ? ORDER BY seq", &st, e, "i",
                               (int64_t)run);
    struct hash prev = {0};
    uint64_t seq = 0;
    for (bool any = true; !err && any;) {
        err = store_row(s, st, &any, e);
        if (!err && any)
            err = walk_row(st, run, &prev, &seq, w, e);
    }
    if (!err && seq == 0)
        return error_set(e, ERR_MISSING, "there is no run r%llu", (unsigned long long)run);
    return err;
}

struct reading {
    void *ctx;
    enum err (*each)(void *ctx, const struct event *ev, struct error *e);
};

static enum err read_each(void *ctx, const struct event *ev, int64_t id, struct error *e)
{
    const struct reading *r = ctx;
    (void)id;
    return r->each ? r->each(r->ctx, ev, e) : OK;
}

enum err journal_read(struct store *s, uint64_t run, enum err (*each)(void *ctx, const struct event *ev, struct error *e),
                      void *ctx, struct error *e)
{
    struct reading r = {ctx, each};
    return journal_walk(s, run, &(struct walker){&r, read_each}, e);
}

static enum err fold_each(void *ctx, const struct event *ev, int64_t id, struct error *e)
{
    (void)id;
    return run_apply(ctx, ev, e);
}

enum err journal_fold(struct store *s, uint64_t run, struct run_state *ret, struct arena *a, struct error *e)
{
    struct error mine = {0}, *to = e ? e : &mine;
    run_init(ret, run, a);
    enum err err = journal_walk(s, run, &(struct walker){ret, fold_each}, to);
    if (err && err != ERR_MISSING) {
        ret->status = RUN_BROKEN;
        struct slice why = slice_sub(slice_of(to->text), 0, sizeof ret->why - 1);
        memcpy(ret->why, why.p, why.n);
        ret->why[why.n] = '\0';
    }
    return err;
}

enum err journal_next_run(struct store *s, uint64_t after, uint64_t *ret, struct error *e)
{
    int64_t run = 0;
    enum err err = store_number(s, "SELECT min(run) FROM event WHERE run > ?", 0, &run, e, "i", (int64_t)after);
    *ret = (uint64_t)run;
    return err;
}

/* ---- appending ---- */

/* The last stored event of the run must be the one that *r was folded up to: an append on a state whose transaction
   was undone would break the chain for good. */
static enum err check_head(struct store *s, const struct run_state *r, struct error *e)
{
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    enum err err = store_query(s, "SELECT seq, header FROM event WHERE run = ? ORDER BY seq DESC LIMIT 1", &st, e, "i",
                               (int64_t)r->id);
    bool any = false;
    if (!err)
        err = store_row(s, st, &any, e);
    if (err)
        return err;
    struct hash head = {0};
    uint64_t seq = any ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
    if (any)
        head = hash_of(store_bytes(st, 1));
    if (seq != r->seq || !hash_eq(&head, &r->head))
        return error_set(e, ERR_CONFLICT, "run r%llu is at event %llu in the journal and at %llu here; read it again",
                         (unsigned long long)r->id, (unsigned long long)seq, (unsigned long long)r->seq);
    return OK;
}

/* M1 once more, where nothing can come between the look and the booking: the engine clamps to what is left, so this
   refuses only what should never have been asked for. */
static enum err check_caps(struct store *s, const struct run_state *r, const struct json *payload, struct error *e)
{
    struct slice account;
    struct amounts want, left;
    enum unit shortage;
    enum err err = projection_reserves(payload, r, &account, &want, e);
    if (!err)
        err = ledger_left(s, account, &left, e);
    if (!err && !ledger_clamp(&want, &want, &left, &want, &shortage))
        err = error_set(e, ERR_DENIED, "the budget of %.*s does not allow it: %s", SLICE_ARG(account), unit_name(shortage));
    return err;
}

static enum err seal(struct event *ev, const struct run_state *r, const struct step_key *key, struct error *e)
{
    if (key)
        ev->key = *key;
    ev->key.run = r->id;
    ev->key.branch = r->branch;
    ev->seq = r->seq + 1;
    ev->time_ms = sys->now_ms();
    if (sys->random(ev->salt, sizeof ev->salt) < 0)
        return error_set(e, ERR_IO, "the system gives no random bytes");
    event_seal(ev, &r->head);
    return OK;
}

static enum err insert(struct store *s, const struct event *ev, int64_t *ret_id, struct error *e)
{
    uint8_t header[EVENT_HEADER_BYTES];
    event_header(ev, header);
    enum err err = store_do(s, "INSERT INTO event(run, seq, header, salt, payload) VALUES(?, ?, ?, ?, ?)", e, "iibbb",
                            (int64_t)ev->key.run, (int64_t)ev->seq, (struct slice){(const char *)header, sizeof header},
                            (struct slice){(const char *)ev->salt, sizeof ev->salt}, ev->payload);
    *ret_id = sqlite3_last_insert_rowid(s->db);
    return err;
}

static enum err allowed(struct store *s, const struct lease *l, const struct run_state *r, const struct event *ev,
                        struct json **ret_payload, struct error *e)
{
    enum err err = lease_check(s, l, e);
    if (!err && l->run != r->id)
        err = error_set(e, ERR_USAGE, "a lease of r%llu for r%llu", (unsigned long long)l->run, (unsigned long long)r->id);
    if (!err && ev->payload.n > EVENT_PAYLOAD_MAX)
        err = error_set(e, ERR_LIMIT, "an event of %zu bytes; at most %d are allowed", ev->payload.n, EVENT_PAYLOAD_MAX);
    if (!err)
        err = check_head(s, r, e);
    if (!err)
        err = projection_payload(ev, ret_payload, e);
    if (!err && ev->type == EVENT_STEP_INTENDED)
        err = check_caps(s, r, *ret_payload, e);
    return err;
}

enum err journal_append(struct store *s, const struct lease *l, struct run_state *r, enum event_type type,
                        const struct step_key *key, struct slice payload, struct error *e)
{
    ASSERT(s->open);
    struct event ev = {.version = EVENT_VERSION, .type = (uint16_t)type, .payload = payload};
    JSON_CLEANUP struct json *json = NULL;
    enum err err = allowed(s, l, r, &ev, &json, e);
    if (!err)
        err = seal(&ev, r, key, e);
    if (err)
        return err;
    struct projected p = {.ev = &ev, .payload = json, .after = r};
    projection_before(&p, &ev, r);
    err = run_apply(r, &ev, e); /* an event that does not fold never gets into the journal */
    if (!err)
        err = insert(s, &ev, &p.id, e);
    if (!err)
        err = projection_apply(s, &p, e);
    return err;
}
