/*
 * The fast set: AVX2, FMA, F16C. This file and ops_avx2_rows.c (products with quantised weights) alone are compiled for
 * them, and nothing in them runs before ops_avx2() has asked the processor.
 */
#include <cpuid.h>
#include <math.h>
#include <string.h>

#include "infer/ops_avx2.h"

/* ---- across lanes, always in this order (O1) ---- */

INLINE float max8(__m256 v)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

/* All ones in the first n lanes. */
INLINE __m256i first(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* ---- inputs ---- */

static void quantise_block(const float *x, int8_t *q, float *d, float *s)
{
    const __m256 positive = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    __m256 v[4], most = _mm256_setzero_ps(), odd = _mm256_setzero_ps();
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_loadu_ps(x + 8 * i);
        most = _mm256_max_ps(most, _mm256_and_ps(v[i], positive));
        odd = _mm256_or_ps(odd, _mm256_cmp_ps(v[i], v[i], _CMP_UNORD_Q)); /* vmaxps forgets a NaN */
    }
    float top = max8(most);
    bool sane = top <= 1e30f && !_mm256_movemask_ps(odd);
    __m256 scale = _mm256_set1_ps(top > 1e-30f ? 127 / top : 0);
    __m256i w[4], sum = _mm256_setzero_si256();
    for (int i = 0; i < 4; i++) {
        w[i] = sane ? _mm256_cvtps_epi32(_mm256_mul_ps(v[i], scale)) : _mm256_setzero_si256();
        sum = _mm256_add_epi32(sum, w[i]);
    }
    /* Both packs work in each half by itself; the permutation puts the groups of four back in order. */
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(w[0], w[1]), _mm256_packs_epi32(w[2], w[3]));
    bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)(void *)q, bytes);
    *d = sane ? (top > 1e-30f ? top / 127 : 0) : NAN;
    *s = *d * sum8(_mm256_cvtepi32_ps(sum));
}

static void quantise(const struct input *in, size_t token)
{
    float *d = in->d + token * in->blocks, *s = in->s + token * in->blocks;
    size_t n = in->width / BLOCK;
    for (size_t b = 0; b < n; b++)
        quantise_block(in->x + token * in->width + b * BLOCK, in->q + token * in->width + b * BLOCK, &d[b], &s[b]);
    for (size_t b = n; b < in->blocks; b++)
        d[b] = s[b] = 0;
}

/* ---- rows of floats ---- */

INLINE __m256 load_half(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

static void rows_f16(const void *weights, size_t rows, const struct input *in, size_t tokens, float *out, size_t stride)
{
    for (size_t t = 0; t < tokens; t++) {
        const float *x = in->x + t * in->width;
        for (size_t r = 0; r < rows; r++) {
            const uint16_t *w = (const uint16_t *)weights + r * in->width;
            __m256 sum = _mm256_setzero_ps();
            size_t i = 0;
            for (; i + 8 <= in->width; i += 8)
                sum = _mm256_fmadd_ps(load_half(w + i), _mm256_loadu_ps(x + i), sum);
            float rest = 0;
            for (; i < in->width; i++)
                rest += _cvtsh_ss(w[i]) * x[i];
            out[t * stride + r] = sum8(sum) + rest;
        }
    }
}

INLINE __m256 load_bf16(const uint16_t *p)
{
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

static void rows_bf16(const void *weights, size_t rows, const struct input *in, size_t tokens, float *out, size_t stride)
{
    for (size_t t = 0; t < tokens; t++) {
        const float *x = in->x + t * in->width;
        for (size_t r = 0; r < rows; r++) {
            const uint16_t *w = (const uint16_t *)weights + r * in->width;
            __m256 sum = _mm256_setzero_ps();
            size_t i = 0;
            for (; i + 8 <= in->width; i += 8)
                sum = _mm256_fmadd_ps(load_bf16(w + i), _mm256_loadu_ps(x + i), sum);
            float rest = 0;
            for (; i < in->width; i++)
                rest += bf16_to_float(w[i]) * x[i];
            out[t * stride + r] = sum8(sum) + rest;
        }
    }
}

static void rows_f32(const void *weights, size_t rows, const struct input *in, size_t tokens, float *out, size_t stride)
{
    for (size_t t = 0; t < tokens; t++) {
        const float *x = in->x + t * in->width;
        for (size_t r = 0; r < rows; r++) {
            const float *w = (const float *)weights + r * in->width;
            __m256 sum = _mm256_setzero_ps();
            size_t i = 0;
            for (; i + 8 <= in->width; i += 8)
                sum = _mm256_fmadd_ps(_mm256_loadu_ps(w + i), _mm256_loadu_ps(x + i), sum);
            float rest = 0;
            for (; i < in->width; i++)
                rest += w[i] * x[i];
            out[t * stride + r] = sum8(sum) + rest;
        }
    }
}

/* ---- attention: four rows of a by sixteen columns of b stay in eight registers ---- */

INLINE void attend_tile(size_t m, size_t k, const float *a, size_t lda, const uint16_t *b, size_t ldb, float *c,
                        size_t ldc)
{
    __m256 sum[QUERIES_MAX][2];
    for (size_t i = 0; i < m; i++)
        sum[i][0] = sum[i][1] = _mm256_setzero_ps();
    for (size_t l = 0; l < k; l++) {
        __m256 left = load_half(b + l * ldb), right = load_half(b + l * ldb + 8);
        for (size_t i = 0; i < m; i++) {
            __m256 x = _mm256_broadcast_ss(a + i * lda + l);
            sum[i][0] = _mm256_fmadd_ps(x, left, sum[i][0]);
            sum[i][1] = _mm256_fmadd_ps(x, right, sum[i][1]);
        }
    }
    for (size_t i = 0; i < m; i++) {
        _mm256_storeu_ps(c + i * ldc, sum[i][0]);
        _mm256_storeu_ps(c + i * ldc + 8, sum[i][1]);
    }
}

static void attend(size_t m, size_t n, size_t k, const float *a, size_t lda, const uint16_t *b, size_t ldb, float *c,
                   size_t ldc)
{
    for (size_t j = 0; j < n; j += KEYS) {
        switch (m) { /* so that each count is a constant */
        case 4: attend_tile(4, k, a, lda, b + j, ldb, c + j, ldc); break;
        case 3: attend_tile(3, k, a, lda, b + j, ldb, c + j, ldc); break;
        case 2: attend_tile(2, k, a, lda, b + j, ldb, c + j, ldc); break;
        default: attend_tile(1, k, a, lda, b + j, ldb, c + j, ldc); break;
        }
    }
}

/* ---- element by element ---- */

/*
 * e^x: 2^(x / ln 2) split into a whole power n and a rest r in [-ln2/2, ln2/2], whose exponential is its Taylor
 * polynomial of degree 7 (the next term is below 2^-27). ln 2 is subtracted in two parts to keep r exact.
 * Clamped so that 2^n is a normal number: below -87 the result is about 1e-38 instead of less.
 */
INLINE __m256 exp8(__m256 x)
{
    x = _mm256_min_ps(_mm256_set1_ps(88), _mm256_max_ps(_mm256_set1_ps(-87), x)); /* in this order a NaN stays */
    __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
    __m256 p = _mm256_set1_ps(1.0f / 5040);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 720));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1));
    __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(p, _mm256_castsi256_ps(power));
}

/* The next n numbers, at most 8; lanes behind them are 0. Masked moves are slow, so only an end has them. */
INLINE __m256 load_some(const float *p, size_t n)
{
    return n >= LANES ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first(n));
}

INLINE void store_some(float *p, size_t n, __m256 v)
{
    if (n >= LANES)
        _mm256_storeu_ps(p, v);
    else
        _mm256_maskstore_ps(p, first(n), v);
}

/* v in the first n lanes, `other` behind them. */
INLINE __m256 some(size_t n, __m256 v, __m256 other)
{
    return n >= LANES ? v : _mm256_blendv_ps(other, v, _mm256_castsi256_ps(first(n)));
}

static void softmax(float *x, size_t n)
{
    const __m256 least = _mm256_set1_ps(-INFINITY);
    __m256 most = least, sum = _mm256_setzero_ps();
    for (size_t i = 0; i < n; i += LANES)
        most = _mm256_max_ps(some(n - i, load_some(x + i, n - i), least), most);
    most = _mm256_set1_ps(max8(most));
    for (size_t i = 0; i < n; i += LANES) {
        __m256 v = exp8(_mm256_sub_ps(load_some(x + i, n - i), most));
        store_some(x + i, n - i, v);
        sum = _mm256_add_ps(sum, some(n - i, v, _mm256_setzero_ps()));
    }
    __m256 scale = _mm256_set1_ps(1 / sum8(sum));
    for (size_t i = 0; i < n; i += LANES)
        store_some(x + i, n - i, _mm256_mul_ps(load_some(x + i, n - i), scale));
}

static void swiglu(float *x, const float *up, size_t n)
{
    const __m256 one = _mm256_set1_ps(1);
    for (size_t i = 0; i < n; i += LANES) {
        __m256 v = load_some(x + i, n - i);
        __m256 below = _mm256_add_ps(one, exp8(_mm256_sub_ps(_mm256_setzero_ps(), v)));
        store_some(x + i, n - i, _mm256_mul_ps(_mm256_div_ps(v, below), load_some(up + i, n - i)));
    }
}

static void rmsnorm(float *out, const float *x, const float *weight, size_t n, float epsilon)
{
    __m256 sum = _mm256_setzero_ps();
    for (size_t i = 0; i < n; i += LANES) {
        __m256 v = load_some(x + i, n - i);
        sum = _mm256_fmadd_ps(v, v, sum);
    }
    __m256 scale = _mm256_set1_ps(1 / sqrtf(sum8(sum) / (float)n + epsilon));
    for (size_t i = 0; i < n; i += LANES) {
        __m256 v = _mm256_mul_ps(load_some(x + i, n - i), scale);
        store_some(out + i, n - i, _mm256_mul_ps(v, load_some(weight + i, n - i)));
    }
}

static void to_half(uint16_t *out, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(void *)(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < n; i++)
        out[i] = _cvtss_sh(x[i], _MM_FROUND_TO_NEAREST_INT);
}

static const struct ops set = {
    .name = "avx2", .quantise = quantise, .attend = attend, .softmax = softmax, .swiglu = swiglu, .rmsnorm = rmsnorm,
    .to_half = to_half,
    .rows = {[WEIGHT_F32] = rows_f32, [WEIGHT_F16] = rows_f16, [WEIGHT_BF16] = rows_bf16,
             [WEIGHT_Q8_0] = ops_avx2_q8_0, [WEIGHT_Q4_0] = ops_avx2_q4_0, [WEIGHT_Q4_1] = ops_avx2_q4_1,
             [WEIGHT_Q5_0] = ops_avx2_q5_0, [WEIGHT_Q5_1] = ops_avx2_q5_1, [WEIGHT_Q4_K] = ops_avx2_q4_k,
             [WEIGHT_Q5_K] = ops_avx2_q5_k, [WEIGHT_Q6_K] = ops_avx2_q6_k},
};

const struct ops *ops_avx2(void)
{
    /* The first two also ask whether the system saves the wide registers. Not every compiler knows "f16c" by name. */
    unsigned a, b, c = 0, d;
    bool half = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
    return half && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &set : NULL;
}
