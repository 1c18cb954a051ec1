/* Statements, transactions, and SQLite's errors as ours. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "store/internal.h"

bool store_is_dead(const struct store *s)
{
    return s->dead;
}

/* The store may be used: not dead, transaction not lost. */
static enum err guard(struct store *s, struct error *e)
{
    if (s->dead)
        return error_set(e, ERR_IO, "the disk refused to make a commit durable in %s; end this process and start again: "
                         "only what lies on the disk now counts", s->path);
    if (s->open && s->lost.code) {
        if (e)
            *e = s->lost;
        return s->lost.code;
    }
    return OK;
}

static enum err may_write(struct store *s, struct error *e)
{
    return s->read_only ? error_set(e, ERR_DENIED, "%s was opened for reading only", s->path) : OK;
}

static enum err io_failed(struct store *s, int code, struct error *e)
{
    int why = sqlite3_system_errno(s->db);
    if (why == ENOSPC || why == EDQUOT)
        return error_set(e, ERR_NO_SPACE, "the disk of %s is full; make room on it", s->path);
    const char *words = why ? strerror(why) : sqlite3_errstr(code);
    return error_set(e, ERR_IO, "cannot read or write %s/journal.db: %s (SQLite says %d)", s->path, words, code);
}

static enum err translate(struct store *s, int code, struct error *e)
{
    const char *says = sqlite3_errmsg(s->db);
    switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_ERROR:    /* our statements are right; so a table or column is not */
    case SQLITE_MISMATCH:
        return error_set(e, ERR_CORRUPT, "the journal %s/journal.db is damaged: %s; run `crannog doctor --audit`", s->path, says);
    case SQLITE_FULL:
        return error_set(e, ERR_NO_SPACE, "the disk of %s is full; make room on it", s->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(e, ERR_BUSY, "another process has been writing to %s/journal.db for too long; try again", s->path);
    case SQLITE_NOMEM:
        return error_set(e, ERR_MEMORY, "no memory for the journal %s/journal.db", s->path);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return error_set(e, ERR_DENIED, "cannot write the journal %s/journal.db: %s", s->path, says);
    case SQLITE_CONSTRAINT:
        return error_set(e, ERR_LIMIT, "the journal %s/journal.db refuses a row: %s", s->path, says);
    case SQLITE_TOOBIG:
        return error_set(e, ERR_LIMIT, "a row is too large for the journal %s/journal.db", s->path);
    default:
        return io_failed(s, code, e);
    }
}

enum err store_failed(struct store *s, struct error *e)
{
    struct error mine = {0}, *to = e ? e : &mine;
    enum err err = translate(s, sqlite3_extended_errcode(s->db), to);
    if (s->open && sqlite3_get_autocommit(s->db) && !s->lost.code)
        s->lost = *to;
    return err;
}

/* ---- statements ---- */

void store_reset(sqlite3_stmt **st)
{
    if (*st)
        sqlite3_reset(*st);
    *st = NULL;
}

static enum err keep_statement(struct store *s, const char *sql, sqlite3_stmt **ret, struct error *e)
{
    for (size_t i = 0; i < s->nkept; i++)
        if (s->kept[i].sql == sql) {
            *ret = s->kept[i].st;
            ASSERT(!sqlite3_stmt_busy(*ret)); /* a callback called the function that calls it */
            return OK;
        }
    ASSERT(s->nkept < STORE_STATEMENTS_MAX);
    if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) != SQLITE_OK)
        return store_failed(s, e);
    s->kept[s->nkept].sql = sql;
    s->kept[s->nkept++].st = *ret;
    return OK;
}

static void bind_text(sqlite3_stmt *st, int i, struct slice v)
{
    sqlite3_bind_text64(st, i, v.p ? v.p : "", v.n, SQLITE_STATIC, SQLITE_UTF8);
}

static void bind_bytes(sqlite3_stmt *st, int i, struct slice v)
{
    sqlite3_bind_blob64(st, i, v.p ? v.p : "", v.n, SQLITE_STATIC);
}

static void bind_all(sqlite3_stmt *st, const char *types, va_list args)
{
    for (int i = 1; *types; types++, i++)
        switch (*types) {
        case 'i': sqlite3_bind_int64(st, i, va_arg(args, int64_t)); break;
        case 't': bind_text(st, i, va_arg(args, struct slice)); break;
        case 'b': bind_bytes(st, i, va_arg(args, struct slice)); break;
        case 'h': sqlite3_bind_blob(st, i, va_arg(args, const struct hash *)->b, HASH_BYTES, SQLITE_STATIC); break;
        default: ASSERT(!"a type of store_query");
        }
}

static enum err query_v(struct store *s, const char *sql, sqlite3_stmt **ret, struct error *e, const char *types,
                        va_list args)
{
    *ret = NULL;
    enum err err = guard(s, e);
    if (!err)
        err = keep_statement(s, sql, ret, e);
    if (!err)
        bind_all(*ret, types, args);
    return err;
}

enum err store_query(struct store *s, const char *sql, sqlite3_stmt **ret, struct error *e, const char *types, ...)
{
    va_list args;
    va_start(args, types);
    enum err err = query_v(s, sql, ret, e, types, args);
    va_end(args);
    return err;
}

enum err store_row(struct store *s, sqlite3_stmt *st, bool *ret_any, struct error *e)
{
    enum err err = guard(s, e);
    if (err)
        return err;
    int rc = sqlite3_step(st);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return store_failed(s, e);
    *ret_any = rc == SQLITE_ROW;
    return OK;
}

enum err store_do(struct store *s, const char *sql, struct error *e, const char *types, ...)
{
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    va_list args;
    va_start(args, types);
    enum err err = query_v(s, sql, &st, e, types, args);
    va_end(args);
    bool any;
    return err ? err : store_row(s, st, &any, e);
}

enum err store_number(struct store *s, const char *sql, int64_t missing, int64_t *ret, struct error *e, const char *types, ...)
{
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    va_list args;
    va_start(args, types);
    enum err err = query_v(s, sql, &st, e, types, args);
    va_end(args);
    bool any = false;
    if (!err)
        err = store_row(s, st, &any, e);
    if (!err)
        *ret = any && sqlite3_column_type(st, 0) != SQLITE_NULL ? sqlite3_column_int64(st, 0) : missing;
    while (!err && any) /* to the end: an UPDATE ... RETURNING has written only then */
        err = store_row(s, st, &any, e);
    return err;
}

struct slice store_bytes(sqlite3_stmt *st, int column)
{
    const char *p = sqlite3_column_blob(st, column);
    int n = sqlite3_column_bytes(st, column);
    return p && n > 0 ? (struct slice){p, (size_t)n} : SLICE_NONE;
}

struct slice store_text(sqlite3_stmt *st, int column)
{
    return store_bytes(st, column); /* stored as UTF-8, so the bytes are the same */
}

/* ---- transactions ---- */

enum err store_begin(struct store *s, struct error *e)
{
    ASSERT(!s->open);
    s->lost = (struct error){0};
    enum err err = may_write(s, e);
    if (!err)
        err = store_do(s, "BEGIN IMMEDIATE", e, "");
    s->open = !err;
    return err;
}

enum err store_begin_reading(struct store *s, struct error *e)
{
    ASSERT(!s->open);
    s->lost = (struct error){0};
    enum err err = store_do(s, "BEGIN", e, "");
    s->open = !err;
    return err;
}

/* An error in a COMMIT leaves open whether its record reached the disk: whole, torn, or not. A full disk does not: the
   record is written last. */
static enum err commit_failed(struct store *s, struct error *e)
{
    int code = sqlite3_extended_errcode(s->db) & 0xff;
    s->open = false;
    enum err err = store_failed(s, e);
    s->dead |= code == SQLITE_IOERR;
    if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return err;
}

enum err store_commit(struct store *s, struct error *e)
{
    ASSERT(s->open && !s->part);
    enum err err = guard(s, e);
    if (err) {
        store_rollback(s);
        return err;
    }
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    err = keep_statement(s, "COMMIT", &st, e);
    if (err) {
        store_rollback(s);
        return err;
    }
    if (sqlite3_step(st) != SQLITE_DONE)
        return commit_failed(s, e);
    s->open = false;
    return OK;
}

void store_rollback(struct store *s)
{
    s->open = s->part = false;
    if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

enum err store_savepoint(struct store *s, struct error *e)
{
    ASSERT(s->open && !s->part);
    enum err err = store_do(s, "SAVEPOINT part", e, "");
    s->part = !err;
    return err;
}

enum err store_release(struct store *s, struct error *e)
{
    ASSERT(s->part);
    s->part = false;
    return store_do(s, "RELEASE part", e, "");
}

void store_cancel(struct store *s)
{
    ASSERT(s->part);
    s->part = false;
    /* If this fails, the transaction is lost (I1) and its commit says so. */
    struct error e;
    if (store_do(s, "ROLLBACK TO part", &e, "") || store_do(s, "RELEASE part", &e, ""))
        if (!s->lost.code)
            s->lost = e;
}

enum err store_enter(struct store *s, bool *ret_own, struct error *e)
{
    *ret_own = !s->open;
    return s->open ? guard(s, e) : store_begin(s, e);
}

enum err store_end(struct store *s, bool own, enum err err, struct error *e)
{
    if (!own || !s->open)
        return err;
    if (!err)
        return store_commit(s, e);
    store_rollback(s);
    return err;
}
