/* Making the projections anew from the events, and printing them so that two makings can be compared (J3). */
#include "store/internal.h"

struct rebuilding {
    struct store *s;
    struct run_state state;
    bool failed; /* the store itself refused; not a fault of the run */
};

static enum err rebuild_event(void *ctx, const struct event *ev, int64_t id, struct error *e)
{
    struct rebuilding *b = ctx;
    JSON_CLEANUP struct json *payload = NULL;
    struct projected p = {.ev = ev, .id = id, .after = &b->state};
    projection_before(&p, ev, &b->state);
    enum err err = projection_payload(ev, &payload, e);
    if (!err)
        err = run_apply(&b->state, ev, e);
    if (err)
        return err;
    p.payload = payload;
    err = projection_apply(b->s, &p, e);
    b->failed = err && err != ERR_CORRUPT;
    return err;
}

/* The run stays in the list, up to the event where it breaks. */
static enum err mark_broken(struct store *s, uint64_t run, const char *why, struct error *e)
{
    return store_do(s, "INSERT INTO run(id, status, why) VALUES(?1, ?2, ?3) ON CONFLICT(id) DO UPDATE SET status = ?2, why = ?3",
                    e, "iit", (int64_t)run, (int64_t)RUN_BROKEN, slice_of(why));
}

static enum err rebuild_run(struct store *s, uint64_t run, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(RUN_ARENA_BYTES);
    struct error why = {0};
    struct rebuilding b = {.s = s};
    run_init(&b.state, run, &a);
    enum err err = journal_walk(s, run, &(struct walker){&b, rebuild_event}, &why);
    if (!err)
        return OK;
    if (!b.failed && err != ERR_IO && err != ERR_NO_SPACE && err != ERR_BUSY)
        return mark_broken(s, run, why.text, e);
    if (e)
        *e = why;
    return err;
}

enum err projection_rebuild(struct store *s, struct error *e)
{
    static const char *const clear[] = {"DELETE FROM run", "DELETE FROM reservation", "DELETE FROM balance",
                                        "DELETE FROM budget", "DELETE FROM landed"};
    enum err err = OK;
    for (size_t i = 0; !err && i < sizeof clear / sizeof *clear; i++)
        err = store_do(s, clear[i], e, "");
    uint64_t run = 0;
    do {
        if (!err)
            err = journal_next_run(s, run, &run, e);
        if (!err && run)
            err = rebuild_run(s, run, e);
    } while (!err && run);
    return err;
}

enum err store_rebuild(struct store *s, struct error *e)
{
    bool own;
    enum err err = store_enter(s, &own, e);
    return err ? err : store_end(s, own, projection_rebuild(s, e), e);
}

/* ---- the canonical text ---- */

/* What would make two different rows one text is escaped. */
static void dump_text(struct slice t, struct buf *ret)
{
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i];
        if (c < 0x20 || c == '\\' || c == '|' || c == 0x7f)
            buf_addf(ret, "\\x%02x", c);
        else
            buf_add_char(ret, (char)c);
    }
}

static void dump_value(sqlite3_stmt *st, int column, struct buf *ret)
{
    struct slice v;
    switch (sqlite3_column_type(st, column)) {
    case SQLITE_INTEGER: buf_addf(ret, "|%lld", (long long)sqlite3_column_int64(st, column)); return;
    case SQLITE_TEXT:
        buf_add_char(ret, '|');
        dump_text(store_text(st, column), ret);
        return;
    case SQLITE_BLOB:
        v = store_bytes(st, column);
        buf_add_text(ret, "|x");
        for (size_t i = 0; i < v.n; i++)
            buf_addf(ret, "%02x", (unsigned char)v.p[i]);
        return;
    default: buf_add_text(ret, "|-");
    }
}

static enum err dump_table(struct store *s, const char *name, const char *sql, struct buf *ret, struct error *e)
{
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    enum err err = store_query(s, sql, &st, e, "");
    for (bool any = true; !err;) {
        err = store_row(s, st, &any, e);
        if (err || !any)
            break;
        buf_add_text(ret, name);
        for (int i = 0; i < sqlite3_column_count(st); i++)
            dump_value(st, i, ret);
        buf_add_char(ret, '\n');
    }
    return err;
}

enum err store_dump(struct store *s, struct buf *ret, struct error *e)
{
    enum err err = dump_table(s, "run", "SELECT * FROM run ORDER BY id", ret, e);
    if (!err)
        err = dump_table(s, "reservation", "SELECT * FROM reservation ORDER BY run, branch, step, attempt, unit", ret, e);
    if (!err)
        err = dump_table(s, "balance", "SELECT * FROM balance ORDER BY account, unit", ret, e);
    if (!err)
        err = dump_table(s, "budget", "SELECT * FROM budget ORDER BY account, unit", ret, e);
    if (!err)
        err = dump_table(s, "landed", "SELECT * FROM landed ORDER BY work_dev, work_ino, path", ret, e);
    return err ? err : buf_check(ret, "the dump", e);
}
