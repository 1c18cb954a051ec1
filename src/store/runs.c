/* Runs as a list: ids, rows, the latest of a plan, and what was landed. */
#include <string.h>

#include "store/internal.h"

/* An id is never given twice, also after a journal lost its last rows. */
enum err store_new_run(struct store *s, uint64_t *ret, struct error *e)
{
    ASSERT(s->open);
    int64_t run = 0;
    enum err err = store_number(s, "UPDATE meta SET value = max(value, (SELECT coalesce(max(run), 0) FROM event)) + 1 "
                                "WHERE key = 'last_run' RETURNING value", 0, &run, e, "");
    if (!err && run <= 0)
        err = error_set(e, ERR_CORRUPT, "the journal %s/journal.db has lost its counter of runs; run `crannog doctor --audit`",
                        s->path);
    *ret = (uint64_t)run;
    return err;
}

static void fill_row(sqlite3_stmt *st, struct run_row *ret)
{
    int64_t status = sqlite3_column_int64(st, 8);
    *ret = (struct run_row){
        .id = (uint64_t)sqlite3_column_int64(st, 0),
        .plan_path = store_text(st, 1), .work = store_text(st, 2),
        .work_dev = (uint64_t)sqlite3_column_int64(st, 3), .work_ino = (uint64_t)sqlite3_column_int64(st, 4),
        .goal = store_text(st, 5), .agent = store_text(st, 6), .account = store_text(st, 7),
        .status = status >= RUN_NEW && status <= RUN_BROKEN ? (enum run_status)status : RUN_BROKEN,
        .why = store_text(st, 9),
        .started_ms = sqlite3_column_int64(st, 10), .updated_ms = sqlite3_column_int64(st, 11),
        .done = sqlite3_column_int64(st, 12), .total = sqlite3_column_int64(st, 13),
        .questions = sqlite3_column_int64(st, 14),
    };
}

enum err run_each(struct store *s, void (*each)(void *ctx, const struct run_row *r), void *ctx, struct error *e)
{
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    enum err err = store_query(s, "SELECT id, plan_path, work, work_dev, work_ino, goal, agent, account, status, why, started, "
                               "updated, done, total, questions FROM run ORDER BY id", &st, e, "");
    for (bool any = true; !err;) {
        struct run_row row;
        err = store_row(s, st, &any, e);
        if (err || !any)
            break;
        fill_row(st, &row);
        each(ctx, &row);
    }
    return err;
}

enum err run_of_plan(struct store *s, uint64_t work_dev, uint64_t work_ino, struct slice plan_path, uint64_t *ret, struct error *e)
{
    int64_t run = 0;
    enum err err = store_number(s, "SELECT max(id) FROM run WHERE work_dev = ? AND work_ino = ? AND plan_path = ?", 0, &run, e,
                                "iit", (int64_t)work_dev, (int64_t)work_ino, plan_path);
    *ret = (uint64_t)run;
    return err;
}

bool landed_last(struct store *s, uint64_t work_dev, uint64_t work_ino, struct slice path, struct hash *ret)
{
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    bool any = false;
    if (store_query(s, "SELECT hash FROM landed WHERE work_dev = ? AND work_ino = ? AND path = ?", &st, NULL, "iit",
                    (int64_t)work_dev, (int64_t)work_ino, path) || store_row(s, st, &any, NULL) || !any)
        return false;
    struct slice hash = store_bytes(st, 0);
    if (hash.n != HASH_BYTES)
        return false;
    memcpy(ret->b, hash.p, HASH_BYTES);
    return true;
}
