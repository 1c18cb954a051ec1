/*
 * The run of an agent as a story: what was said, answered and done, in order, as JSON. Nothing here takes a lease or writes.
 *
 * Each entry is {seq, time_ms, kind, ...}. Of a step also: step, attempt, outcome, why, took_ms, used, how ("exact", "assumed"), and
 * `allowed`: {account, grant, rule, reserved, left}, why it might begin: left is what the run's own budget had before it.
 *
 *   started       goal, model, land, attended, verify, budget       said      text, when ("now", "later", "command"), images
 *   model         text, reasoning, calls, in, cache_read, cache_write, out, fault, after_ms
 *   call          tool, arguments, ok, text, output (blob of all of it), added, removed, lines, status, changes
 *   check         command, text     commit  commit     landing  landed, left, changes     compact  made, upto, text
 *   instructions  files, skills, notes     survey, squash
 *   answered      answer, text (of a question)     model_changed  model     rewound  turns, after
 *   compact_wanted, continued, stopped, blocked, ended (why, status)
 *
 * A step under way has no outcome, and `open`. A story can be told on: what came since the last call is appended.
 */
#ifndef CRANNOG_VIEW_STORY_H
#define CRANNOG_VIEW_STORY_H

#include "store/store.h"

struct story {
    struct store *store;
    uint64_t run, seq;                /* seq: of the last event that was told */
    struct amounts budget, used, held;
    struct story_open {
        uint32_t step, attempt;
        int64_t time_ms;
        struct json *intent;          /* its payload */
        struct amounts left;          /* before it */
    } open[RUN_OPEN_MAX];
    size_t nopen;
};

void story_init(struct story *t, struct store *s, uint64_t run);
void story_release(struct story *t);
/* Appends what the events since the last call tell. */
enum err MUST_USE story_tell(struct story *t, struct json *entries, struct error *e);
/* Appends the steps that are under way. */
void story_under_way(const struct story *t, struct json *entries);
/* The whole: what view_run() gives, "entries", and "taken_back": the undos of it, {run, status, time_ms}. */
enum err MUST_USE view_story(struct store *s, uint64_t run, struct json **ret, struct error *e);

#endif
