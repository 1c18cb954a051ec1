/*
 * The turn: wait -> collect completions -> step each ready run -> one commit -> start what was intended.
 *
 * Completions never run a run's logic: they are stored, and the turn folds them in. A run's place is data (core/state.h),
 * so stopping at any line of this file and starting again loses nothing that was committed.
 *
 * One thread, one turn at a time. Suspend points: sys->poll in engine_turn(), and nothing else.
 */
#ifndef CRANNOG_ENGINE_ENGINE_H
#define CRANNOG_ENGINE_ENGINE_H

#include "engine/act.h"

enum { ENGINE_ENDS_MAX = RUN_OPEN_MAX + 2 * RUN_SERVICES_MAX };
enum { ENGINE_RUNS_MAX = 16384, ENGINE_FDS_MAX = 128 };

struct run {
    struct run_state state;
    struct arena arena;
    struct lease lease;
    struct step_key start[RUN_OPEN_MAX]; /* intended in the last commit, to be started */
    size_t nstart;
    bool stop;    /* a person at this terminal wants it to stop */
    bool resting; /* nothing to do until a person or another process acts */
    bool broken;  /* an event was refused by its own fold: parked */
    uint64_t waits_seq; /* as of this event it waits for what is open, and */
    int64_t wake_ms;    /* until then (0: for nothing else): there is nothing to decide */
    bool ended;   /* an act of it has ended, and the turn has not yet taken that */
    bool settling; /* all is done; it ends when its services have */
};

/* What is going on right now, for the bar; never journaled. */
struct live {
    uint64_t tokens_in, tokens_out; /* of the model call in flight */
    double in_per_s, out_per_s;     /* of the last finished one, wall time */
    int64_t model_since_ms;         /* when the call in flight began, 0: none */
};

/* What a model says while it says it; shown, never journaled. `part` tells one part of an answer from the next. */
enum heard_kind { HEARD_TEXT = 1, HEARD_REASONING, HEARD_CALL, HEARD_ARGUMENTS, HEARD_CALL_END };

struct heard {
    enum heard_kind kind;
    uint64_t part;
    struct slice text; /* TEXT, REASONING, ARGUMENTS */
    struct slice name; /* CALL */
};

struct engine {
    struct store *store;
    struct act_table acts;
    struct run **runs; /* by their numbers */
    struct run **ready; /* those of the last turn; as many places as runs */
    size_t nruns, cap_runs, nready;
    struct completion *done; /* ENGINE_ENDS_MAX places a run: each open step ends once (A2), each service's jail too, and that of one it replaced */
    size_t ndone, cap_done;
    struct live live;
    struct slice model; /* name of the model in use; for intents */
    /* Called after every turn, and at least four times a second; NULL: nobody looks. */
    void (*watch)(void *ctx, struct engine *g);
    void *watch_ctx;
    void (*hear)(void *ctx, struct run *r, const struct heard *h); /* NULL: nobody listens */
    void *hear_ctx;
    /* Called for each event of a run as it is appended; what it says may be undone with its group. NULL: nobody asks. */
    void (*tell)(void *ctx, struct run *r, enum event_type type, const struct step_key *key, const struct json *payload);
    void *tell_ctx;
    int also;                  /* a descriptor of the caller's that ends the wait of a turn; -1: none */
    int also_ms;               /* and the longest wait; below 0: no bound of the caller's */
    const volatile int *stop_wanted; /* set by a signal handler: stop all runs gracefully; may be NULL */
    bool stopping;
    bool full;                 /* the disk is full: finish what is in flight, intend nothing */
    bool closing;              /* the same, because it is being closed */
};

enum err MUST_USE engine_open(struct engine *g, struct store *s, const struct act_table *acts, struct error *e);
void engine_close(struct engine *g); /* ends acts, releases leases; the store stays open */
/* Ends the services of all runs, so that what they said is journaled; waits a few seconds at most. Before engine_close(). */
void engine_settle(struct engine *g);

/*
 * Begins a new run: `payload` prints its first event (run.started) when the run's number is known, for that stands in
 * its account. Takes its lease and commits it. *ret is owned by the engine.
 */
enum err MUST_USE engine_start_run(struct engine *g, struct slice (*payload)(void *ctx, uint64_t run, struct buf *out),
                                   void *ctx, struct run **ret, struct error *e);
/* Goes on with a run: takes its lease, folds it, recovers what was open, and journals that it was continued. */
enum err MUST_USE engine_resume_run(struct engine *g, uint64_t run, struct run **ret, struct error *e);
/* Lets go of a run that has no step open, or is broken, between turns: its lease is free again, for this process too. */
void engine_let_go(struct engine *g, struct run *r);
/* Appends one event to a run between turns (plan changed, answered), in a commit of its own; what comes next is decided anew. After an
   error the run is as it was. */
enum err MUST_USE engine_append(struct engine *g, struct run *r, enum event_type type, struct slice payload, struct error *e);
/* The same in the transaction that is open (blobs that the event names are stored in it), which ends here in any case. */
enum err MUST_USE engine_append_open(struct engine *g, struct run *r, enum event_type type, struct slice payload, struct error *e);

/* One turn. *ret_more: something can still happen without a person. Errors end the engine: run again to go on. */
enum err MUST_USE engine_turn(struct engine *g, bool *ret_more, struct error *e);
/* Turns until every run rests. */
enum err MUST_USE engine_run(struct engine *g, struct error *e);

/* For acts: hands a completion over (its buffers are taken). */
void engine_complete(struct engine *g, struct completion *c);
struct run *engine_find(struct engine *g, uint64_t run);
/* run_decide(), but not again where nothing has changed since a run was found to wait. */
void engine_decide(struct run *r, int64_t now_ms, struct decision *ret);
/* The open step of a key, or NULL. */
const struct open_step *engine_step(const struct run *r, const struct step_key *key);

#endif
