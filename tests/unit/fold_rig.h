/* A run in memory, driven by hand-written payloads: no store, no engine, only the fold and what it wants next. */
#ifndef CRANNOG_TESTS_FOLD_RIG_H
#define CRANNOG_TESTS_FOLD_RIG_H

#include "core/state.h"

enum { RIG_EVENTS_MAX = 4096, RIG_WINDOW = 4000 };

struct rig {
    struct run_state r;
    struct arena arena;
    struct event events[RIG_EVENTS_MAX]; /* those that were taken; payloads on the heap */
    size_t n;
    int64_t now_ms;
    struct error e;
    bool keeps_none; /* events are folded and not kept */
    size_t pick;     /* which open step rig_finish() finishes */
    struct hash content; /* of what the next landing writes; zero: RIG_HASH */
    bool changes;        /* the command changes something: its end has a layer */
    bool lands_nothing;  /* a landing leaves all as rest: its end has no undo layer */
    bool refused;        /* a landing of layers cannot be prepared: its intent names no manifest */
};

/* cmocka fails with the error's text where a call that must go well does not. */
void rig_start(struct rig *g, const char *plan, const char *more); /* more: further members, "" or "\"slots\":2," */
void rig_start_exec(struct rig *g, const char *words);
/* The same, landing "end" or "ask"; or what only takes a layer. */
void rig_start_landing(struct rig *g, const char *plan, const char *more, const char *land);
void rig_start_exec_landing(struct rig *g, const char *words, const char *land);
void rig_start_take(struct rig *g, const char *land);
/* An agent with this talk: {"attended":true}; a window of RIG_WINDOW tokens. */
void rig_start_agent(struct rig *g, const char *talk, const char *more, const char *land);
void rig_end(struct rig *g);
enum err rig_apply(struct rig *g, enum event_type type, const struct step_key *key, const char *payload);
/* The intent of one want, as the engine would write it. */
enum err rig_intend(struct rig *g, const struct want *w);
/* Finishes an open step: the first, or `pick`. result: an object or NULL; more: further members, as above. */
enum err rig_finish(struct rig *g, enum outcome outcome, const char *result, const char *more);
/* The first want is this one; it is intended and ends like that. */
void rig_step(struct rig *g, uint32_t item, int32_t piece, enum stage stage, enum outcome outcome, const char *result);
enum decision_what rig_what(const struct rig *g);
void rig_answer(struct rig *g, uint32_t question, const char *answer);
/* A person says something: "now", "later", "command". */
enum err rig_say(struct rig *g, const char *when);
/* A usual result of a stage, `bytes` long where that says something. */
const char *rig_result(enum stage stage);
/* Folds the first n events anew. */
enum err rig_fold(const struct rig *g, size_t n, struct run_state *ret, struct arena *a, struct error *e);

#define RIG_HASH "00000000000000000000000000000000000000000000000000000000000000ab"
/* What of the state can be seen, as text: equal states, equal texts. */
void rig_dump(const struct run_state *r, struct buf *out);

#endif
