/* Wishes of other terminals for a run (stop, answer). Not part of any chain: the holder of the lease makes events of
   them, and takes them in the transaction of those events, so a wish is neither lost nor folded twice. */
#include <stdio.h>

#include "store/internal.h"

enum err request_put(struct store *s, uint64_t run, const char *verb, struct slice args, struct error *e)
{
    struct request limits;
    struct slice v = slice_of(verb);
    if (v.n == 0 || v.n >= sizeof limits.verb || args.n >= sizeof limits.args)
        return error_set(e, ERR_LIMIT, "a request is longer than %zu bytes", sizeof limits.args - 1);
    bool own;
    enum err err = store_enter(s, &own, e);
    if (!err)
        err = store_do(s, "INSERT INTO request(run, verb, args) VALUES(?, ?, ?)", e, "itt", (int64_t)run, v, args);
    return store_end(s, own, err, e);
}

enum err request_take(struct store *s, uint64_t run, struct request *ret, bool *ret_any, struct error *e)
{
    ASSERT(s->open);
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    bool any = false;
    enum err err = store_query(s, "SELECT id, verb, args FROM request WHERE run = ? ORDER BY id LIMIT 1", &st, e, "i",
                               (int64_t)run);
    if (!err)
        err = store_row(s, st, &any, e);
    if (!err)
        *ret_any = any;
    if (err || !any)
        return err;
    *ret = (struct request){.id = sqlite3_column_int64(st, 0), .run = run};
    snprintf(ret->verb, sizeof ret->verb, "%.*s", SLICE_ARG(store_text(st, 1)));
    snprintf(ret->args, sizeof ret->args, "%.*s", SLICE_ARG(store_text(st, 2)));
    return store_do(s, "DELETE FROM request WHERE id = ?", e, "i", ret->id);
}

bool request_waiting(struct store *s, uint64_t run)
{
    int64_t any = 0;
    return !store_number(s, "SELECT EXISTS(SELECT 1 FROM request WHERE run = ?)", 0, &any, NULL, "i", (int64_t)run) && any;
}

bool request_any(struct store *s)
{
    int64_t any = 0;
    return !store_number(s, "SELECT EXISTS(SELECT 1 FROM request)", 0, &any, NULL, "") && any;
}
