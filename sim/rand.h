/*
 * Randomness that can be replayed: named streams from one seed.
 *
 * Each consumer has a stream of its own (`sim_rand_init(r, seed, "clock")`), so that asking the clock once more does
 * not change what the disk tears. The generator is SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom
 * number generators", OOPSLA 2014): one word of state, so a stream lies in shared memory and in snapshots as it is. It
 * is no source of secrets.
 */
#ifndef CRANNOG_SIM_RAND_H
#define CRANNOG_SIM_RAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_rand {
    uint64_t state;
};

/* Starts the stream `name` of `seed`. The same two give the same numbers on every machine. */
void sim_rand_init(struct sim_rand *r, uint64_t seed, const char *name);
uint64_t sim_rand_next(struct sim_rand *r);
/* 0 <= value < n, without bias; 0 for n = 0. */
uint64_t sim_rand_below(struct sim_rand *r, uint64_t n);
/* True `num` times in `den`. */
bool sim_rand_chance(struct sim_rand *r, unsigned num, unsigned den);
void sim_rand_fill(struct sim_rand *r, void *p, size_t n);
/* One word out of two, well spread: for hashes of traces and for deriving seeds. */
uint64_t sim_mix(uint64_t a, uint64_t b);

#endif
