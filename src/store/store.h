/*
 * The store: a crannog's journal, blobs, leases and requests, on SQLite (WAL, synchronous=FULL), one file a crannog.
 *
 *     <crannog>/.crannog/journal.db   events and projections       blobs/ab/cdef…  payloads over 64 KiB, by content
 *                        holders/N    locks of living processes    reserve         freed when the disk is full
 *
 * J1  A commit that store_commit() said OK to survives kill -9 and power cuts.
 * J2  Each run's events form a chain (core/event.h E1); only the holder of the run's lease appends to it, and each
 *     append checks its fencing token in the same transaction.
 * J3  Projections (run, reservation, balance, landed) change only in the transaction of the event they follow from;
 *     store_rebuild() makes them anew from the events, and store_dump() of both is equal.
 * J4  Blobs that an event names are durable before the commit of the event.
 * J5  A group is one transaction with a savepoint per run: what is refused for one run never undoes another's finish.
 *
 * One thread. Several processes may have the same crannog open; SQLite serialises their commits.
 */
#ifndef CRANNOG_STORE_STORE_H
#define CRANNOG_STORE_STORE_H

#include "core/state.h"

enum { STORE_SCHEMA = 1, BLOB_INLINE_MAX = 64 * 1024, BLOB_BYTES_MAX = 64 * 1024 * 1024, RESERVE_BYTES = 16 * 1024 * 1024 };

struct store;

struct store_options {
    const char *vfs;    /* NULL: SQLite's own. sim/ gives its name */
    bool read_only;     /* for ls, show, spend: takes no lease, writes nothing */
    bool no_reserve;    /* tests: no reserve file */
    bool adopt;         /* a person said: this machine is the crannog's from now on */
    int64_t pid;        /* what the holder's row says; 0: this process's own (sim/ gives a constant) */
};

/*
 * Opens (or with `create` makes) the journal below the folder `crannog`. ERR_MISSING: no crannog there; ERR_VERSION:
 * written by a newer one; ERR_CORRUPT: damaged, with what to do; ERR_DENIED: its machine is another one.
 */
enum err MUST_USE store_open(const char *crannog, bool create, const struct store_options *o, struct store **ret, struct error *e);
void store_close(struct store *s); /* releases this process's leases; NULL is fine */

/* ---- transactions ---- */
enum err MUST_USE store_begin(struct store *s, struct error *e);
/* On error nothing of the transaction remains, unless store_is_dead(). ERR_NO_SPACE: the disk is full, see
   store_free_reserve(). */
enum err MUST_USE store_commit(struct store *s, struct error *e);
void store_rollback(struct store *s);
/* A transaction that only reads (one moment of the journal, beside whoever writes) and may make temporary tables; it ends
   with store_rollback(). Many small reads are faster in one. */
enum err MUST_USE store_begin_reading(struct store *s, struct error *e);
/* A run's part of a group: all between is undone by store_cancel(). They do not nest. */
enum err MUST_USE store_savepoint(struct store *s, struct error *e);
enum err MUST_USE store_release(struct store *s, struct error *e);
void store_cancel(struct store *s);
/* The disk refused to make something durable, so nobody knows whether the last commit is there. All calls are refused
   from then on; the caller ends the process, because opening anew (recovery) is the only way to know. */
bool store_is_dead(const struct store *s);

/* ---- runs and leases ---- */
struct lease {
    uint64_t run, token;
};

/* A new run's id, in a transaction; it exists when its first event is appended. */
enum err MUST_USE store_new_run(struct store *s, uint64_t *ret, struct error *e);
/* Takes the lease of a run (its own transaction). ERR_BUSY names the living process that holds it. */
enum err MUST_USE lease_take(struct store *s, uint64_t run, struct lease *ret, struct error *e);
void lease_release(struct store *s, const struct lease *l);
/* The pid of the living holder of a run's lease, 0 if there is none. */
int64_t lease_holder(struct store *s, uint64_t run);

/* ---- the journal ---- */
/*
 * Appends one event in the open transaction: seals it onto r's chain (seq, prev, salt, time), checks the token, stores
 * it, updates the projections and folds it into *r. The time is the clock's. `key` is NULL for events that are not
 * about a step (of a key, run and branch are those of *r).
 *
 * Refusals that leave *r as it was: ERR_DENIED (the token is no longer the run's, or an intent would pass a cap: M1),
 * ERR_LIMIT (payload over EVENT_PAYLOAD_MAX), ERR_CONFLICT (*r is not the fold of what is stored: its transaction or
 * savepoint was undone). After any other error, and whenever the transaction or savepoint is undone, *r is not to be
 * used further: fold it again.
 */
enum err MUST_USE journal_append(struct store *s, const struct lease *l, struct run_state *r, enum event_type type,
                                 const struct step_key *key, struct slice payload, struct error *e);
/* Reads a run's events in order and checks the chain; `each` may be NULL. Stops at the first error. */
enum err MUST_USE journal_read(struct store *s, uint64_t run,
                               enum err (*each)(void *ctx, const struct event *ev, struct error *e), void *ctx,
                               struct error *e);
/* The fold of a run. On ERR_CORRUPT/ERR_VERSION the run is broken (status says so) and the rest of the crannog goes on. */
enum err MUST_USE journal_fold(struct store *s, uint64_t run, struct run_state *ret, struct arena *a, struct error *e);

/* ---- blobs ---- */
/* Stores bytes under their hash, as a row or (over BLOB_INLINE_MAX) as a synced file with a row; in the open transaction,
   else in one of its own. ERR_LIMIT over BLOB_BYTES_MAX. */
enum err MUST_USE blob_put(struct store *s, struct slice bytes, struct hash *ret, struct error *e);
/* Appends a blob to *ret and checks its hash. ERR_MISSING, ERR_CORRUPT. */
enum err MUST_USE blob_get(struct store *s, const struct hash *h, struct buf *ret, struct error *e);

/* ---- the ledger ---- */
/* What is left for `account` on its whole path: cap - exact - assumed - held, the least of all ancestors, total, day
   and month, AMOUNT_UNLIMITED where there is no cap. */
enum err MUST_USE ledger_left(struct store *s, struct slice account, struct amounts *ret, struct error *e);
/* Sets a cap (AMOUNT_UNLIMITED removes it); window: "total", "day", "month". Its own transaction unless one is open. */
enum err MUST_USE ledger_set_cap(struct store *s, struct slice account, enum unit u, const char *window, int64_t cap, struct error *e);

struct balance {
    struct slice account; /* valid during the callback */
    enum unit unit;
    int64_t exact, assumed, held, cap; /* cap: AMOUNT_UNLIMITED without one */
};
/* A cap that counts: a person's, or a run's own budget where no person's `total` stands before it. */
struct cap {
    char account[LEDGER_DEPTH_MAX * 65];
    char window[8]; /* "total", "day", "month" */
    enum unit unit;
    int64_t amount, used; /* used: exact + assumed + held in the window that runs now (days and months are UTC) */
};
enum err MUST_USE cap_each(struct store *s, void (*each)(void *ctx, const struct cap *c), void *ctx, struct error *e);
/* The cap on an account's path that leaves least of a unit; ret->account is empty where there is none. */
enum err MUST_USE cap_tightest(struct store *s, struct slice account, enum unit u, struct cap *ret, struct error *e);
enum err MUST_USE ledger_each(struct store *s, void (*each)(void *ctx, const struct balance *b), void *ctx, struct error *e);

/* ---- runs as a list ---- */
struct run_row { /* slices are valid during the callback */
    uint64_t id;
    struct slice goal, plan_path, work, agent, account, why;
    enum run_status status;
    uint64_t work_dev, work_ino;
    int64_t started_ms, updated_ms;
    int64_t done, total; /* pieces */
    int64_t questions;   /* open ones */
};
/* Here and in ledger_each a callback may call any other function of the store, but not the same one. */
enum err MUST_USE run_each(struct store *s, void (*each)(void *ctx, const struct run_row *r), void *ctx, struct error *e);
/* The latest run of a plan (Q1: the same folder by device and inode, the same path in it); 0 if there is none. */
enum err MUST_USE run_of_plan(struct store *s, uint64_t work_dev, uint64_t work_ino, struct slice plan_path, uint64_t *ret, struct error *e);
/* The hash of what a crannog landed last at a path of a folder; false if nothing. */
bool landed_last(struct store *s, uint64_t work_dev, uint64_t work_ino, struct slice path, struct hash *ret);

/* ---- requests of other terminals ---- */
struct request {
    int64_t id;
    uint64_t run;
    char verb[16];   /* "stop", "answer" */
    char args[256];  /* JSON */
};
enum err MUST_USE request_put(struct store *s, uint64_t run, const char *verb, struct slice args, struct error *e);
/* Takes the oldest one for a run, in the open transaction; false if there is none. */
enum err MUST_USE request_take(struct store *s, uint64_t run, struct request *ret, bool *ret_any, struct error *e);
/* Whether there is one for a run, or for any, without a transaction (cheap; once a turn). */
bool request_waiting(struct store *s, uint64_t run);
bool request_any(struct store *s);

/* ---- upkeep ---- */
/* Gives the reserve back to the file system so that what is in flight can be finished. False if it is gone already. */
bool store_free_reserve(struct store *s);
/* Makes it again when there is room. */
void store_make_reserve(struct store *s);
/* Clears all projections and makes them from the events, in one transaction. A run that cannot be folded is kept as
   broken, with its books up to the event where it breaks. Caps that a person set are configuration and stay. */
enum err MUST_USE store_rebuild(struct store *s, struct error *e);
/* The canonical text of all projections: equal states give equal bytes. */
enum err MUST_USE store_dump(struct store *s, struct buf *ret, struct error *e);
/* PRAGMA integrity_check, every chain, every blob, the projections beside a rebuild in memory. Lines of findings are
   appended; OK means the check could run. Works on a store opened for reading and beside runs that go on. */
enum err MUST_USE store_audit(struct store *s, struct buf *ret_findings, struct error *e);

#endif
