/*
 * What the parts of the store share: the connection, its statements, and how SQLite's errors become ours.
 *
 * I1  While `open` is set, all statements run in that one transaction; if SQLite undoes it by itself (a full disk, an
 *     I/O error), `lost` says why and every statement up to the end of the transaction is refused. Else the rest of
 *     the group would be committed piece by piece.
 * I2  Nobody opens journal.db but SQLite: closing another descriptor of it would drop SQLite's locks (POSIX locks
 *     belong to the process).
 */
#ifndef CRANNOG_STORE_INTERNAL_H
#define CRANNOG_STORE_INTERNAL_H

#include <sqlite3.h>

#include "base/sys.h"
#include "store/store.h"

enum { STORE_STATEMENTS_MAX = 96, STORE_PATH_MAX = 4096, STORE_APPLICATION = 0x63726e67 /* "crng" */ };

struct store {
    sqlite3 *db;
    char path[STORE_PATH_MAX]; /* of .crannog, for messages and SQLite */
    int dir;                   /* of .crannog */
    bool read_only, no_reserve;
    bool open;                 /* between store_begin and its end */
    bool part;                 /* between store_savepoint and its end */
    bool dead;                 /* store_is_dead() */
    struct error lost;         /* I1; code OK otherwise */
    int64_t pid, holder;       /* holder: 0 until the first lease */
    int holder_fd;             /* locked; -1 without a holder */
    bool blobs_synced;         /* the names of blobs/ and of its folders below are known to be durable */
    bool blobs_ab_synced[256];
    struct {
        const char *sql; /* a literal: its address is the key */
        sqlite3_stmt *st;
    } kept[STORE_STATEMENTS_MAX];
    size_t nkept;
};

/* ---- statements and transactions (db.c) ---- */

/* What SQLite last complained of, in words that a person can act on. */
enum err MUST_USE store_failed(struct store *s, struct error *e);
/*
 * A statement ready to step. `sql` is a literal that is kept prepared. `types` names the values: i int64_t, t struct
 * slice as text, b struct slice as bytes, h const struct hash *. They are borrowed until the statement is reset.
 */
enum err MUST_USE store_query(struct store *s, const char *sql, sqlite3_stmt **ret, struct error *e, const char *types, ...);
/* The next row; *ret_any is false at the end. */
enum err MUST_USE store_row(struct store *s, sqlite3_stmt *st, bool *ret_any, struct error *e);
/* Runs a statement that gives no rows. */
enum err MUST_USE store_do(struct store *s, const char *sql, struct error *e, const char *types, ...);
/* One number; `missing` if there is no row or it is NULL. */
enum err MUST_USE store_number(struct store *s, const char *sql, int64_t missing, int64_t *ret, struct error *e,
                               const char *types, ...);
void store_reset(sqlite3_stmt **st);
#define STMT_CLEANUP __attribute__((cleanup(store_reset)))
struct slice store_text(sqlite3_stmt *st, int column);  /* valid until the next step */
struct slice store_bytes(sqlite3_stmt *st, int column);

/* Begins a transaction unless one is open; *ret_own says whether store_end() has to end it. */
enum err MUST_USE store_enter(struct store *s, bool *ret_own, struct error *e);
/* Commits (err == OK) or undoes what store_enter() began; returns err or the commit's. */
enum err MUST_USE store_end(struct store *s, bool own, enum err err, struct error *e);

/* ---- schema.c ---- */
/* Empty temporary tables, for this connection, in the place of the projections; gone with the open transaction. */
enum err MUST_USE store_shadow_projections(struct store *s, struct error *e);

/* ---- journal.c ---- */
struct walker {
    void *ctx;
    enum err (*each)(void *ctx, const struct event *ev, int64_t id, struct error *e);
};
/* journal_read() with the row's number, the order of commits across runs. ERR_MISSING if the run has no events. */
enum err MUST_USE journal_walk(struct store *s, uint64_t run, const struct walker *w, struct error *e);
/* The first run after `after` that has events, 0 if there is none. */
enum err MUST_USE journal_next_run(struct store *s, uint64_t after, uint64_t *ret, struct error *e);

/* ---- projection.c ---- */
struct projected {
    const struct event *ev;
    const struct json *payload;    /* parsed; of projection_payload() */
    int64_t id;                    /* the event's row */
    const struct run_state *after; /* the event is folded in */
    bool closes;                   /* the event finishes `open` */
    struct open_step open;         /* as it was before */
};
/* Parses the payload of an event, if its projection wants it; the caller frees *ret. */
enum err MUST_USE projection_payload(const struct event *ev, struct json **ret, struct error *e);
/* Notes what the event will close; before run_apply(). */
void projection_before(struct projected *p, const struct event *ev, const struct run_state *before);
/* Writes what follows from an event. ERR_CORRUPT comes before anything was written. */
enum err MUST_USE projection_apply(struct store *s, const struct projected *p, struct error *e);
/* The account and the amounts that an intent reserves. */
enum err MUST_USE projection_reserves(const struct json *payload, const struct run_state *r, struct slice *ret_account,
                                      struct amounts *ret, struct error *e);
/* store_rebuild() within an open transaction. */
enum err MUST_USE projection_rebuild(struct store *s, struct error *e);

/* ---- lease.c ---- */
enum err MUST_USE lease_check(struct store *s, const struct lease *l, struct error *e);
void lease_close(struct store *s); /* releases all and removes the holder */

/* ---- identity.c ---- */
/* Compares (or with `adopt`, or in a new crannog, writes) the machine that the crannog belongs to. */
enum err MUST_USE identity_check(struct store *s, bool adopt, struct error *e);

#endif
