/*
 * The table of acts: all that the engine knows about doing something. A row per kind; sim/ brings its own table.
 *
 *   prepare  makes the intent of a want once, before its commit: arguments, worst case, class. Reads and stores blobs,
 *            looks at nothing outside. Its arguments alone decide what `start` does.
 *   start    begins the act outside any transaction; its end arrives as a completion.
 *   cancel   asks for an early end; a completion still arrives.
 *   recover  says what a step that was open when the engine died becomes.
 *
 * A1  An act is started only after the commit of its intent.
 * A2  Each start gives exactly one completion, or the engine dies first.
 */
#ifndef CRANNOG_ENGINE_ACT_H
#define CRANNOG_ENGINE_ACT_H

#include <poll.h>

#include "store/store.h"

struct engine;
struct run;

/* What `prepare` makes. args is consumed by the engine; amounts are the worst case, floor the least that makes sense. */
struct intent {
    struct json *args;
    struct amounts worst, floor;
    /* Puts the amounts that were granted (clamped) into args, e.g. the output limit; may be NULL. */
    void (*clamp)(struct json *args, const struct amounts *granted, const struct amounts *floor);
};

struct completion {
    struct step_key key;
    enum event_type event;   /* not 0: no step has ended, but this event is appended, with `result` as its payload */
    enum outcome outcome;
    bool final;              /* FAILED: trying again will not help */
    int64_t after_ms;        /* FAILED: not tried again before (a server asked for it) */
    char why[240];
    struct amounts used;     /* cut to what was reserved by the engine */
    bool assumed;
    struct json *result;     /* object, or NULL; owned */
    struct buf blob;         /* stored under its hash, which becomes result[blob_key]; empty: none */
    const char *blob_key;
    struct buf more;         /* the same, a second one */
    const char *more_key;
    char layer[RUN_LAYER_NAME_MAX + 1]; /* the sealed layer that it made, whose manifest is `manifest`; "" for none */
    struct buf manifest;
    uint64_t changes;
};

enum recovery { RECOVER_AGAIN, RECOVER_UNCONFIRMED };

struct act_row {
    enum err (*prepare)(struct engine *g, struct run *r, const struct want *w, struct intent *ret, struct error *e);
    enum err (*start)(struct engine *g, struct run *r, const struct open_step *o, struct error *e);
    void (*cancel)(struct engine *g, struct run *r, const struct open_step *o);
    enum recovery (*recover)(struct engine *g, struct run *r, const struct open_step *o, struct amounts *ret_used, bool *ret_exact);
};

struct act_table {
    const struct act_row *rows[ACT_KINDS]; /* by enum act_kind; [0] unused */
    void *ctx;
    /* Descriptors to wait for; fills at most max, returns how many. *timeout_ms may be lowered. */
    size_t (*watch)(struct engine *g, struct pollfd *fds, size_t max, int64_t *timeout_ms);
    /* After the wait: turns what arrived into completions (engine_complete). */
    void (*collect)(struct engine *g, const struct pollfd *fds, size_t n);
    void (*close)(struct engine *g); /* ends what still runs */
    /* For services (service.h); all may be NULL where there are none. */
    bool (*settle)(struct engine *g, struct run *r); /* asks a run's to end; true: none is left */
    /* A person lets a port of the machine lead to one: the port that was wanted (0: its own) or another, in *ret_at. */
    enum err (*open_service)(struct engine *g, struct run *r, struct slice name, uint16_t wanted, uint16_t *ret_at, struct error *e);
    bool (*end_service)(struct engine *g, struct run *r, struct slice name); /* false: it does not run */
};

#endif
