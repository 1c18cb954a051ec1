/*
 * The meter: what the call in progress has used so far, in a file that both the engine and crannog-infer outlive.
 *
 * crannog-infer maps descriptor 4 (if it was given one) and keeps one record in it. A process that is killed leaves its
 * pages to the kernel, so the next engine settles a call that died exactly; after a power cut the record may be old or
 * empty, and the call is settled at its reservation, as assumed.
 *
 * Written field by field, the key last and cleared first: a record whose key matches is whole.
 */
#ifndef CRANNOG_INFER_METER_H
#define CRANNOG_INFER_METER_H

#include <stdint.h>

enum { METER_KEY_BYTES = 24, METER_FD = 4 };

struct meter {
    uint8_t key[METER_KEY_BYTES]; /* run, branch, step, attempt as the engine put them; opaque here */
    uint64_t in, out, cpu_ns;
};

#endif
