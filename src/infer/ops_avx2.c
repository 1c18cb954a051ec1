/*
 * The fast set: AVX2, FMA, F16C. This file alone is compiled for them, and nothing in it runs before ops_avx2() has
 * asked the processor.
 *
 * How a product works. 32 weights as bytes times 32 bytes of input: vpmaddubsw gives 16 sums of two products, vpmaddwd
 * with ones 8 sums of four; these become floats and are added, times both scales, to 8 running sums. Weights must be
 * unsigned for vpmaddubsw: those of Q4_1 are (0..15); for Q8_0 the sign of a weight is moved to the input.
 * Neither can overflow 16 bits: 2 * 15 * 127 and 2 * 128 * 127 are below 32768.
 * Unpacking a block is paid once for up to 8 tokens, and the half-float scales of a row once for all tokens.
 */
#include <cpuid.h>
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "infer/ops.h"

#define INLINE static inline __attribute__((always_inline))

/* ---- sums across lanes, always in this order (O1) ---- */

INLINE float sum8(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

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
    __m256 scale = _mm256_set1_ps(sane && top > 0 ? 127 / top : 0);
    __m256i w[4], sum = _mm256_setzero_si256();
    for (int i = 0; i < 4; i++) {
        w[i] = sane ? _mm256_cvtps_epi32(_mm256_mul_ps(v[i], scale)) : _mm256_setzero_si256();
        sum = _mm256_add_epi32(sum, w[i]);
    }
    /* Both packs work in each half by itself; the permutation puts the groups of four back in order. */
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(w[0], w[1]), _mm256_packs_epi32(w[2], w[3]));
    bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)(void *)q, bytes);
    *d = sane ? top / 127 : NAN;
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

/* ---- quantised rows ---- */

/* The scales of one row as floats; zero behind the last block. */
struct scales {
    float d[BLOCKS_MAX], m[BLOCKS_MAX];
};

INLINE __m256i unpack_q4_1(const struct block_q4_1 *b)
{
    __m128i two = _mm_loadu_si128((const __m128i *)(const void *)b->w);
    __m256i w = _mm256_inserti128_si256(_mm256_castsi128_si256(two), _mm_srli_epi16(two, 4), 1);
    return _mm256_and_si256(w, _mm256_set1_epi8(15));
}

INLINE __m256 dot_unsigned(__m256i w, __m256i q)
{
    __m256i pairs = _mm256_maddubs_epi16(w, q);
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* One row times `count` tokens from token t on; count is a constant where this is called. */
INLINE void row_q4_1(const struct block_q4_1 *w, const struct scales *of, const struct input *in, size_t t,
                     size_t count, float *out, size_t stride)
{
    float scale[8][BLOCKS_MAX];
    __m256 sum[8];
    for (size_t i = 0; i < count; i++) {
        sum[i] = _mm256_setzero_ps();
        const float *d = in->d + (t + i) * in->blocks, *s = in->s + (t + i) * in->blocks;
        for (size_t b = 0; b < in->blocks; b += LANES) {
            _mm256_storeu_ps(scale[i] + b, _mm256_mul_ps(_mm256_loadu_ps(of->d + b), _mm256_loadu_ps(d + b)));
            sum[i] = _mm256_fmadd_ps(_mm256_loadu_ps(of->m + b), _mm256_loadu_ps(s + b), sum[i]);
        }
    }
    const int8_t *q = in->q + t * in->width;
    for (size_t b = 0; b < in->width / BLOCK; b++) {
        __m256i weights = unpack_q4_1(w + b);
        for (size_t i = 0; i < count; i++) {
            __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(q + i * in->width + b * BLOCK));
            sum[i] = _mm256_fmadd_ps(dot_unsigned(weights, x), _mm256_broadcast_ss(&scale[i][b]), sum[i]);
        }
    }
    for (size_t i = 0; i < count; i++)
        out[(t + i) * stride] = sum8(sum[i]);
}

static void rows_q4_1(const void *weights, size_t rows, const struct input *in, size_t tokens, float *out, size_t stride)
{
    size_t n = in->width / BLOCK;
    struct scales of;
    for (size_t r = 0; r < rows; r++) {
        const struct block_q4_1 *w = (const struct block_q4_1 *)weights + r * n;
        for (size_t b = 0; b < in->blocks; b++) {
            of.d[b] = b < n ? _cvtsh_ss(w[b].d) : 0;
            of.m[b] = b < n ? _cvtsh_ss(w[b].m) : 0;
        }
        size_t t = 0;
        for (; t + 8 <= tokens; t += 8)
            row_q4_1(w, &of, in, t, 8, out + r, stride);
        for (; t < tokens; t++)
            row_q4_1(w, &of, in, t, 1, out + r, stride);
    }
}

INLINE void row_q8_0(const struct block_q8_0 *w, const struct scales *of, const struct input *in, size_t t,
                     size_t count, float *out, size_t stride)
{
    float scale[8][BLOCKS_MAX];
    __m256 sum[8];
    for (size_t i = 0; i < count; i++) {
        sum[i] = _mm256_setzero_ps();
        const float *d = in->d + (t + i) * in->blocks;
        for (size_t b = 0; b < in->blocks; b += LANES)
            _mm256_storeu_ps(scale[i] + b, _mm256_mul_ps(_mm256_loadu_ps(of->d + b), _mm256_loadu_ps(d + b)));
    }
    const int8_t *q = in->q + t * in->width;
    for (size_t b = 0; b < in->width / BLOCK; b++) {
        __m256i weights = _mm256_loadu_si256((const __m256i *)(const void *)w[b].w);
        __m256i plain = _mm256_abs_epi8(weights);
        for (size_t i = 0; i < count; i++) {
            __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(q + i * in->width + b * BLOCK));
            x = _mm256_sign_epi8(x, weights);
            sum[i] = _mm256_fmadd_ps(dot_unsigned(plain, x), _mm256_broadcast_ss(&scale[i][b]), sum[i]);
        }
    }
    for (size_t i = 0; i < count; i++)
        out[(t + i) * stride] = sum8(sum[i]);
}

static void rows_q8_0(const void *weights, size_t rows, const struct input *in, size_t tokens, float *out, size_t stride)
{
    size_t n = in->width / BLOCK;
    struct scales of;
    for (size_t r = 0; r < rows; r++) {
        const struct block_q8_0 *w = (const struct block_q8_0 *)weights + r * n;
        for (size_t b = 0; b < in->blocks; b++)
            of.d[b] = b < n ? _cvtsh_ss(w[b].d) : 0;
        size_t t = 0;
        for (; t + 8 <= tokens; t += 8)
            row_q8_0(w, &of, in, t, 8, out + r, stride);
        for (; t < tokens; t++)
            row_q8_0(w, &of, in, t, 1, out + r, stride);
    }
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

static void softmax(float *x, size_t n)
{
    const __m256 least = _mm256_set1_ps(-INFINITY);
    __m256 most = least, sum = _mm256_setzero_ps();
    for (size_t i = 0; i < n; i += LANES) {
        __m256i in = first(n - i < LANES ? n - i : LANES);
        most = _mm256_max_ps(_mm256_blendv_ps(least, _mm256_maskload_ps(x + i, in), _mm256_castsi256_ps(in)), most);
    }
    most = _mm256_set1_ps(max8(most));
    for (size_t i = 0; i < n; i += LANES) {
        __m256i in = first(n - i < LANES ? n - i : LANES);
        __m256 v = exp8(_mm256_sub_ps(_mm256_maskload_ps(x + i, in), most));
        _mm256_maskstore_ps(x + i, in, v);
        sum = _mm256_add_ps(sum, _mm256_and_ps(v, _mm256_castsi256_ps(in)));
    }
    __m256 scale = _mm256_set1_ps(1 / sum8(sum));
    for (size_t i = 0; i < n; i += LANES) {
        __m256i in = first(n - i < LANES ? n - i : LANES);
        _mm256_maskstore_ps(x + i, in, _mm256_mul_ps(_mm256_maskload_ps(x + i, in), scale));
    }
}

static void swiglu(float *x, const float *up, size_t n)
{
    const __m256 one = _mm256_set1_ps(1);
    for (size_t i = 0; i < n; i += LANES) {
        __m256i in = first(n - i < LANES ? n - i : LANES);
        __m256 v = _mm256_maskload_ps(x + i, in), u = _mm256_maskload_ps(up + i, in);
        __m256 below = _mm256_add_ps(one, exp8(_mm256_sub_ps(_mm256_setzero_ps(), v)));
        _mm256_maskstore_ps(x + i, in, _mm256_mul_ps(_mm256_div_ps(v, below), u));
    }
}

static void rmsnorm(float *out, const float *x, const float *weight, size_t n, float epsilon)
{
    __m256 sum = _mm256_setzero_ps();
    for (size_t i = 0; i < n; i += LANES) {
        __m256 v = _mm256_maskload_ps(x + i, first(n - i < LANES ? n - i : LANES));
        sum = _mm256_fmadd_ps(v, v, sum);
    }
    __m256 scale = _mm256_set1_ps(1 / sqrtf(sum8(sum) / (float)n + epsilon));
    for (size_t i = 0; i < n; i += LANES) {
        __m256i in = first(n - i < LANES ? n - i : LANES);
        __m256 v = _mm256_mul_ps(_mm256_maskload_ps(x + i, in), scale);
        _mm256_maskstore_ps(out + i, in, _mm256_mul_ps(v, _mm256_maskload_ps(weight + i, in)));
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
    .name = "avx2", .quantise = quantise, .rows_q4_1 = rows_q4_1, .rows_q8_0 = rows_q8_0, .rows_f16 = rows_f16,
    .rows_f32 = rows_f32, .attend = attend, .softmax = softmax, .swiglu = swiglu, .rmsnorm = rmsnorm, .to_half = to_half,
};

const struct ops *ops_avx2(void)
{
    /* The first two also ask whether the system saves the wide registers. Not every compiler knows "f16c" by name. */
    unsigned a, b, c = 0, d;
    bool half = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
    return half && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &set : NULL;
}
