/*
 * The arithmetic of a forward pass, twice: a scalar reference that reads like the formula (ops.c) and one set for AVX2,
 * FMA and F16C (ops_avx2.c). ops_best() picks once at start.
 *
 * Matrices are rows of weights as they lie in the model file. Their input is kept in two forms: floats, and the same
 * rounded to 8 bits in blocks of 32 (x ~ d * q), so that a product with quantised weights is a sum of small integers:
 *
 *     row . x = sum over blocks of  dw * d * (sum of w * q)  +  mw * d * (sum of q)
 *
 * where a weight is dw * w + mw (mw is 0 for Q8_0 and Q6_K; a w of Q6_K has its scale in it). Integer parts are exact in
 * every set, so sets differ only by the order in which floats are added.
 *
 *   O1  The result for one token does not depend on how many tokens are worked on together.
 *   O2  No input trips an assertion or leaves an array, NaN and infinity included.
 */
#ifndef CRANNOG_INFER_OPS_H
#define CRANNOG_INFER_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "infer/weights.h"

enum {
    ROW_MAX = 16384, /* longest row of a matrix */
    BLOCKS_MAX = ROW_MAX / BLOCK,
    ROWS_MAX = 16,   /* rows of a matrix worked on together */
    LANES = 8,       /* counts of blocks are rounded up to this, the rest is zero */
    KEYS = 16,       /* keys of the cache that lie side by side */
    QUERIES_MAX = 4, /* rows of `attend` */
};

/* What a matrix is multiplied with: `width` numbers a token. */
struct input {
    size_t width;  /* a multiple of BLOCK for quantised weights, of GROUP for the K formats */
    size_t blocks; /* width / BLOCK rounded up to LANES */
    float *x;      /* [token][width] */
    int8_t *q;     /* [token][width] */
    float *d;      /* [token][blocks]: scale; zero behind the last block */
    float *s;      /* [token][blocks]: scale times the sum of q */
};

struct ops {
    const char *name;
    /* Fills q, d and s of one token from its x. */
    void (*quantise)(const struct input *in, size_t token);
    /* out[token * stride + row] = weights[row] . x[token], for rows <= ROWS_MAX rows that lie one behind the other. */
    void (*rows[WEIGHT_TYPES])(const void *weights, size_t rows, const struct input *in, size_t tokens, float *out,
                               size_t stride); /* NULL where this build does not read the type */
    /* c[i][j] = sum over k of a[i][k] * b[k][j]: i < m <= QUERIES_MAX, j < n (a multiple of KEYS), b in half floats.
       lda, ldb, ldc: numbers from one row to the next. */
    void (*attend)(size_t m, size_t n, size_t k, const float *a, size_t lda, const uint16_t *b, size_t ldb, float *c,
                   size_t ldc);
    void (*softmax)(float *x, size_t n);
    /* x[i] = x[i] * sigmoid(x[i]) * up[i] */
    void (*swiglu)(float *x, const float *up, size_t n);
    /* out = x / rms(x) * weight */
    void (*rmsnorm)(float *out, const float *x, const float *weight, size_t n, float epsilon);
    void (*to_half)(uint16_t *out, const float *x, size_t n);
};

extern const struct ops ops_scalar;
const struct ops *ops_avx2(void); /* NULL where this processor or build has none */
/* The fastest set, or the one that `forced` names ("scalar", "avx2"); NULL where that is not to be had. */
const struct ops *ops_best(const char *forced);

#endif
