/*
 * Threads for one kind of work: a function called for each number below a count.
 *
 * Numbers are claimed one at a time, by the helpers and by the caller, so a thread that comes late takes less and one
 * that never comes is not missed. Who finds nothing to do spins for some microseconds and then sleeps: where another
 * process takes a core, nobody burns the other one waiting.
 *
 *   P1  pool_run() returns when every number has been worked on; what the work wrote is then visible to the caller.
 *   P2  The caller never waits for a helper that has not claimed anything.
 */
#ifndef CRANNOG_INFER_POOL_H
#define CRANNOG_INFER_POOL_H

#include "base/err.h"

#include <stddef.h>

enum { POOL_THREADS_MAX = 64 };

struct pool;

/* `threads` counts the caller: 1 makes no helper at all. Helpers end with pool_free(). */
enum err MUST_USE pool_new(unsigned threads, struct pool **ret, struct error *e);
void pool_free(struct pool *p); /* NULL is fine */

/* Calls work(arg, i, thread) for i in 0 .. count - 1 (below 2^32), in no order; `thread` is 0 for the caller. One
   pool_run() at a time. */
void pool_run(struct pool *p, void (*work)(void *arg, size_t i, unsigned thread), void *arg, size_t count);
unsigned pool_threads(const struct pool *p);

#endif
