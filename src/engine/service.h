/*
 * The jails of services (core/service.h), as the machine has them. A jail is a cache of what is declared: it is started before
 * a step that could use it, ends with its run, and dies with the engine. Its end is an event of its own (service.ended) with
 * what it printed; its CPU time is settled with the steps that are at work while it runs, as far as what they hold goes.
 *
 * D1  A run's services and no others are reached from its steps, at the ports that were declared.
 * D2  A step waits SERVICE_UP_MS at most for one to be up, and starts it once; then it is told that it is not.
 * D3  A run ends behind its services (act_table.settle), so that what they said stands in its journal.
 */
#ifndef CRANNOG_ENGINE_SERVICE_H
#define CRANNOG_ENGINE_SERVICE_H

#include "engine/machine.h"

enum { SERVICE_UP_MS = 10000, SERVICE_LOG_BYTES = 1 << 20, SERVICE_TAIL_BYTES = 4096, SERVICE_SHOWN_BYTES = 16 * 1024 };

/* ---- for steps ---- */

/* Whether what this step runs could use services. */
bool services_used(const struct open_step *o, const struct json *args);
/* Starts what is missing of its run's; false: one is not up yet, and the step waits. */
bool MUST_USE services_ready(struct engine *g, struct run *r, const struct open_step *o);
/* Their ports, for a step's plan. False: no memory. */
bool MUST_USE services_join(const struct run_state *r, struct arena *a, struct jail_plan *ret);
/* Asks them what they have used so far; services_cpu() gives what was not settled, at most `room` nanoseconds. */
void services_ask(struct machine *m, uint64_t run);
uint64_t services_cpu(struct machine *m, uint64_t run, uint64_t room);
/* A JAIL_LISTENER of a jail of that run: goes to whom it is for. */
void services_offer(struct machine *m, uint64_t run, struct frame *f);
/* Says which of the run's are not up, and their last words; nothing where all are. */
void services_tell(const struct machine *m, const struct run_state *r, struct buf *out);

/* ---- an agent's call of `serve`; each completes its step (call_served) ---- */

enum err MUST_USE service_begin(struct engine *g, struct run *r, const struct open_step *o, const struct service *s, struct error *e);
/* ERR_MISSING: it does not run. */
enum err MUST_USE service_show(struct engine *g, struct run *r, const struct open_step *o, struct slice name, struct error *e);
enum err MUST_USE service_stop(struct engine *g, struct run *r, const struct open_step *o, struct slice name, struct error *e);
/* What is remembered of one that does not run: how it ended, its last words. */
void service_last(const struct machine *m, const struct run_state *r, struct slice name, struct buf *out);
/* The step that waits is stopped; false: none waits for a service. */
bool service_cancel(struct engine *g, const struct open_step *o);

/* ---- for people ---- */

/* Whether it runs, is up, and the end of what it has printed: empty after service_look(), until a turn has brought it. */
bool service_state(const struct machine *m, uint64_t run, struct slice name, bool *ret_up, struct slice *ret_tail);
void service_look(struct machine *m, uint64_t run, struct slice name);

/* ---- for the machine ---- */

size_t services_watch(struct engine *g, struct pollfd *fds, size_t max, int64_t *timeout_ms);
/* False: the descriptor is none of theirs. */
bool services_collect(struct engine *g, int fd);
/* Looks at the clock for those who wait. */
void services_due(struct engine *g);
/* act_table: settle, open_service, end_service. */
bool services_settle(struct engine *g, struct run *r);
enum err MUST_USE service_open(struct engine *g, struct run *r, struct slice name, uint16_t wanted, uint16_t *ret_at, struct error *e);
bool service_end(struct engine *g, struct run *r, struct slice name);
void services_kill(struct machine *m);

#endif
