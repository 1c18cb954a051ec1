/*
 * The simulated machine behind the table of system calls (base/sys.h).
 *
 * Files work on the simulated disk, clocks and randomness are simulated, memory is real. What has no meaning here
 * (processes, sockets) ends the process with a message; a harness that needs them copies the table and puts its own
 * entries there:
 *
 *     struct sys mine = *sim_machine_sys(w);
 *     mine.kill = my_kill;
 *     sys = &mine;
 *
 * The clocks stand still but for what calls cost: each look at one moves both on by 1 to 50 microseconds, and a poll by
 * its timeout (it returns 0: nothing ever happens; without a timeout it would wait forever, which ends the process).
 * They go on through crashes. Realtime may be stepped, boottime goes forward only.
 *
 * A descriptor below SIM_FD_BASE is a real one: read, write, pread and close pass it on, uncounted (so that logs on
 * standard error and memfds work).
 */
#ifndef CRANNOG_SIM_MACHINE_H
#define CRANNOG_SIM_MACHINE_H

#include "base/sys.h"
#include "sim/disk.h"

/* The table for this world; there is one at a time in a process. */
const struct sys *sim_machine_sys(struct sim_world *w);

/* Time passes: both clocks move on by ns >= 0. */
void sim_clock_pass(struct sim_world *w, int64_t ns);
/* The person sets the clock: realtime steps to now_ms, forward or back. */
void sim_clock_set(struct sim_world *w, int64_t now_ms);
/* What the clocks show, without moving them. */
int64_t sim_clock_now_ms(const struct sim_world *w);
int64_t sim_clock_boottime_ns(const struct sim_world *w);
/* A look at the clock as a program does it: moves on a little. Milliseconds since the epoch. */
int64_t sim_clock_look_ms(struct sim_world *w);
/* Bytes of the machine's randomness: they go on through crashes, so no two runs draw the same. */
void sim_machine_random(struct sim_world *w, void *p, size_t n);

#endif
