/*
 * The world of a simulation: one shared mapping that outlives the processes which run in it.
 *
 * The code under test runs in a forked child. Everything that outlives a process - the disk, the clock, the streams of
 * randomness, the harness' own record of what happened outside - lies in a `struct sim_world`, a mapping shared by
 * parent and child. A crash is the child's _exit in the middle of an operation; the parent then does to the disk what
 * that crash does (sim/disk.h), and forks again for recovery. So globals start fresh, nothing leaks, and no code under
 * test needs to know.
 *
 * A sweep over all crash points reads:
 *
 *     struct sim_world *w = sim_world_new(seed);
 *     struct sim_snapshot *start = sim_world_snapshot(w);
 *     uint64_t n = sim_run(w, 0, SIM_POWER, child, arg).changes;
 *     for (uint64_t k = 1; k <= n; k++) {
 *         sim_world_restore(w, start);
 *         sim_run(w, k, SIM_POWER, child, arg);       ends in the middle of change k; the power cut is applied
 *         sim_run(w, 0, SIM_POWER, recover, arg);     may itself be crashed, at any k of its own
 *         ... look at sim_outside() and at the disk ...
 *     }
 *
 * W1  The same seed, the same calls on the world and the same child give the same operations, the same trace, the same
 *     end. All choices come from streams in the mapping; no time, address or process id enters.
 * W2  Operations are numbered from 1 in each run. `ops` counts all that can fail (sim_fail uses it), `changes` those
 *     after which something outside the process's own memory is different (crash_at uses it). A crash at a read is the
 *     same as one before the next change, so nothing is left out by crashing at changes only - as long as the harness
 *     wraps what it does outside in sim_op()/sim_op_done() too.
 * W3  Only one child at a time. The parent ("process 0") may use the disk too; its operations are neither counted nor
 *     crashed nor failed. Its handles and locks stay through runs (another terminal that holds a lock), until a power
 *     cut. It must not keep a SQLite connection over a run: the child would inherit it.
 */
#ifndef CRANNOG_SIM_WORLD_H
#define CRANNOG_SIM_WORLD_H

#include "sim/rand.h"

struct sim_world;
struct sim_snapshot;

enum sim_crash {
    SIM_KILL = 1, /* the process dies: what it wrote stays visible */
    SIM_POWER,    /* the machine dies: what was not synced is kept or lost piece by piece */
};

/* Where in the operation a crash comes. SIM_ANYWHERE takes one of the others by seed and number. */
enum sim_when { SIM_ANYWHERE, SIM_BEFORE, SIM_TORN, SIM_AFTER };

enum sim_op_kind {
    SIM_OP_OPEN = 1, SIM_OP_READ, SIM_OP_STAT, SIM_OP_LOCK, SIM_OP_RANDOM, /* these change nothing that outlives us */
    SIM_OP_CREATE, SIM_OP_WRITE, SIM_OP_TRUNCATE, SIM_OP_SYNC, SIM_OP_SYNC_ALL, SIM_OP_MKDIR, SIM_OP_UNLINK,
    SIM_OP_RENAME, SIM_OP_ALLOCATE, SIM_OP_WAIT,
    SIM_OP_ACT, /* the harness' own: an effect on its outside */
};

/* Planted bugs that a simulation of any worth must catch. Bits; 0 is an honest machine. */
enum sim_bug {
    SIM_BUG_VFS_SYNC = 1,    /* SQLite's syncs do nothing and say yes */
    SIM_BUG_SYS_SYNC = 2,    /* fsync of a file through the table of system calls: the same */
    SIM_BUG_FOLDER_SYNC = 4, /* the sync of a folder: the same, by both ways */
};

enum sim_end {
    SIM_FINISHED, /* the child returned or ended itself; `status` is its value (0..255) */
    SIM_CRASHED,  /* at crash_at; the crash has been applied to the disk */
    SIM_DIED,     /* of a signal (assertion, segfault, 60 s of hanging), `status`. For the disk that is a kill */
};

struct sim_result {
    enum sim_end how;
    int status;
    uint64_t ops, changes; /* how far it came */
    uint64_t trace;        /* hash of all operations and their sizes, in order */
};

/* NULL if the machine refuses the mapping (70 MiB of address space, of which only what is used costs memory). */
struct sim_world *sim_world_new(uint64_t seed);
void sim_world_free(struct sim_world *w);

/* Runs child(w, arg) in a forked process. crash_at = 0: to its end; k: up to change k. */
struct sim_result sim_run(struct sim_world *w, uint64_t crash_at, enum sim_crash mode,
                          int (*child)(struct sim_world *w, void *arg), void *arg);
/* What sim_run does after a crash; also for a power cut between two runs. */
void sim_world_crash(struct sim_world *w, enum sim_crash mode);

/* The whole state, in the parent's heap. Restoring costs a copy of what was in use. Config (below) is part of it. */
struct sim_snapshot *sim_world_snapshot(const struct sim_world *w);
void sim_world_restore(struct sim_world *w, const struct sim_snapshot *s);
void sim_snapshot_free(struct sim_snapshot *s);
/* A hash of names, contents, sizes, modes and times of all that is on the disk, visible and durable, and of outside. */
uint64_t sim_world_digest(const struct sim_world *w);

/* ---- what the harness sets, between runs ---- */

/* The first n bytes (at most 1 MiB) of a zeroed area that crashes do not touch: what happened outside. */
void *sim_outside(struct sim_world *w, size_t n);
/* Another seed for all that comes: the same start, other tearing, other clock. */
void sim_world_reseed(struct sim_world *w, uint64_t seed);
void sim_world_when(struct sim_world *w, enum sim_when when);
/*
 * From operation `at` of each later run on, `times` operations fail with `errnum` and do nothing; at = 0: none. EIO
 * can come to any; ENOSPC only to those that need room (others pass and are not counted as failed). A sync that
 * fails with EIO leaves what Linux leaves: some of it durable, the rest clean in the cache and never written again.
 */
void sim_fail(struct sim_world *w, uint64_t at, uint64_t times, int errnum);
/* How many operations failed by it in the last run. */
uint64_t sim_failed(const struct sim_world *w);
/* Room on the disk in bytes, rounded down to 4 KiB; 0: back to all of it (32 MiB). May be less than what is used. */
void sim_capacity(struct sim_world *w, uint64_t bytes);
uint64_t sim_used(const struct sim_world *w); /* bytes, whole pages, of what can be reached */
void sim_bugs(struct sim_world *w, unsigned bugs);

/* ---- for what runs inside: the machine's parts, and acts of the harness ---- */

/*
 * Every operation that can fail begins with sim_op: 0 to go on, or -1 and errno; or it does not come back. A change
 * ends with sim_op_done, which does not come back either if the crash belongs after it. `detail` (a size, a number)
 * goes into the trace.
 */
int sim_op(struct sim_world *w, enum sim_op_kind kind, uint64_t detail);
void sim_op_done(struct sim_world *w);
/* A stream for the harness' workload, in the mapping, so that it goes on after a crash and is part of snapshots. */
struct sim_rand *sim_world_rand(struct sim_world *w);

#endif
