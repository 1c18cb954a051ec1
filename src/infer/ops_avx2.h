/* What the files of the fast set share; only they include it. */
#ifndef CRANNOG_INFER_OPS_AVX2_H
#define CRANNOG_INFER_OPS_AVX2_H

#include <immintrin.h>

#include "infer/ops.h"

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* The sum across lanes, always in this order (O1). */
INLINE float sum8(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

/* ops.rows of the quantised formats. */
#define ROWS(name)                                                                                                    \
    void ops_avx2_##name(const void *weights, size_t rows, const struct input *in, size_t tokens, float *out, size_t stride)
ROWS(q4_0);
ROWS(q4_1);
ROWS(q5_0);
ROWS(q5_1);
ROWS(q8_0);
ROWS(q4_k);
ROWS(q5_k);
ROWS(q6_k);

#endif
