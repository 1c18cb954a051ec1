/* What the tests of infer's arithmetic share: numbers that look random and are always the same, all sets of this machine. */
#ifndef CRANNOG_TESTS_INFER_RIG_H
#define CRANNOG_TESTS_INFER_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "infer/ops.h"

static uint32_t random_state = 1;

static inline uint32_t random_u32(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8 ^ random_state << 11;
}

static inline float random_float(void) /* in [-1, 1] */
{
    return (float)(int32_t)random_u32() * 0x1p-31f;
}

/* All sets of this machine; the scalar one too: it must agree with the formula in doubles. */
static inline size_t all_sets(const struct ops *sets[2])
{
    sets[0] = &ops_scalar;
    sets[1] = ops_avx2();
    return sets[1] ? 2 : 1;
}

static inline void *array(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size); /* exact, so that a sanitizer sees the first byte behind it */
    assert_non_null(p);
    return p;
}

#endif
