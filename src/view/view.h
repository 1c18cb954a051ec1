/*
 * Read-only answers about a crannog, as JSON trees: what the command line prints, and later the page and the API give.
 * Nothing here takes a lease or writes.
 */
#ifndef CRANNOG_VIEW_VIEW_H
#define CRANNOG_VIEW_VIEW_H

#include "store/store.h"

/* {"runs":[{id,goal,plan,work,status,done,total,questions,started_ms,updated_ms,holder,why}...]}, newest first. */
enum err MUST_USE view_runs(struct store *s, struct json **ret, struct error *e);
/* One run: its items with their pieces, open questions, what it used. A broken run gives what is known and why. */
enum err MUST_USE view_run(struct store *s, uint64_t run, struct json **ret, struct error *e);
/* {"events":[{seq,time_ms,type,step,attempt,payload}...]} of a run. */
enum err MUST_USE view_history(struct store *s, uint64_t run, struct json **ret, struct error *e);
/* {"accounts":[{account,unit,exact,assumed,held,cap}...],"caps":[{account,window,unit,amount,used}...]} in account order. */
enum err MUST_USE view_spend(struct store *s, struct json **ret, struct error *e);

/* The status of run_status_name(); broken for any other name. */
enum run_status run_status_from(struct slice name);
/* "waiting for you", "running", …: status and whether somebody works on it, in people's words. */
const char *view_status_words(enum run_status s, bool held, bool is_exec);

#endif
