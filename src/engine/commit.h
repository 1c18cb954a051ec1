/*
 * The commit of a turn: the finishes of all acts that ended, the wishes of other terminals, and the next intents of
 * every run that is ready, in one transaction with a savepoint per run.
 */
#ifndef CRANNOG_ENGINE_COMMIT_H
#define CRANNOG_ENGINE_COMMIT_H

#include "engine/engine.h"

/* One commit for all runs that have something to say; none where there is nothing. On success each run's start[] names
   the steps that may begin. A full disk: the reserve is freed, finishes are committed without new intents, and g->full
   says so from then on; only where that does not help either it is an error. */
enum err MUST_USE commit_turn(struct engine *g, struct error *e);
/* Appends the finish of one step in the open transaction. */
enum err MUST_USE commit_finish(struct engine *g, struct run *r, struct completion *c, struct error *e);
/* Takes the wishes of other terminals for a run into the open transaction. */
enum err MUST_USE commit_requests(struct engine *g, struct run *r, struct error *e);
/* Back to what the journal says: after a refused event, savepoint or commit the state in memory is ahead of it. Steps that were
   to be started are not. */
enum err MUST_USE commit_refold(struct engine *g, struct run *r, struct error *e);
void completion_release(struct completion *c);

#endif
