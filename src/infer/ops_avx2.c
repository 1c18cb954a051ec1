/*
 * The fast set: AVX2, FMA, F16C. This file alone is compiled for them, and nothing in it runs before ops_avx2() has
 * asked the processor.
 *
 * How a product with quantised weights works. vpmaddubsw takes 32 weights and 32 numbers of the input, all bytes, to
 * 16 sums of two products in 16 bits. Weights must be unsigned for it: those of Q4_1 are (0..15); for Q8_0 the sign of
 * a weight is moved to the input. 8 blocks, which have 8 scales, give 8 such registers; a tree of shuffles and adds
 * folds them into one with a lane for each block, and only then are they converted and multiplied by their scales.
 * (Converting each block by itself is simpler and took 2.5 times as long.)
 *
 * Nothing overflows: a sum of two is at most 2 * 15 * 127 = 3810 for Q4_1, and the tree adds 8 of those, 30480; for
 * Q8_0 it is 2 * 128 * 127 = 32512, so the tree works on 32 bits there.
 */
#include <cpuid.h>
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "infer/ops.h"

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

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

/* ---- quantised rows ---- */

enum { TOKENS = 32 }; /* whose inputs stay in the first cache while rows go by */

INLINE __m256i load_bytes(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

INLINE __m256i unpack(enum weight_type type, const void *row, size_t block)
{
    if (type == WEIGHT_Q8_0)
        return load_bytes(((const struct block_q8_0 *)row)[block].w);
    const uint8_t *halves = ((const struct block_q4_1 *)row)[block].w;
    __m128i two = _mm_loadu_si128((const __m128i *)(const void *)halves);
    __m256i w = _mm256_inserti128_si256(_mm256_castsi128_si256(two), _mm_srli_epi16(two, 4), 1);
    return _mm256_and_si256(w, _mm256_set1_epi8(15));
}

/* Products of one block: 16 sums of two, or 8 sums of four. */
INLINE __m256i products(enum weight_type type, __m256i w, const int8_t *q)
{
    __m256i x = load_bytes(q);
    if (type == WEIGHT_Q4_1)
        return _mm256_maddubs_epi16(w, x);
    return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)), _mm256_set1_epi16(1));
}

INLINE __m256i add(enum weight_type type, __m256i a, __m256i b)
{
    return type == WEIGHT_Q4_1 ? _mm256_add_epi16(a, b) : _mm256_add_epi32(a, b);
}

/* Letters are blocks, in lanes of 32 bits: a, b -> abab abab */
INLINE __m256i fold2(enum weight_type type, __m256i a, __m256i b)
{
    return add(type, _mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
}

/* abab abab, cdcd cdcd -> abcd abcd */
INLINE __m256i fold4(enum weight_type type, __m256i ab, __m256i cd)
{
    return add(type, _mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
}

/* abcd abcd, efgh efgh -> abcd efgh */
INLINE __m256i fold8(enum weight_type type, __m256i abcd, __m256i efgh)
{
    return add(type, _mm256_permute2x128_si256(abcd, efgh, 0x20), _mm256_permute2x128_si256(abcd, efgh, 0x31));
}

/* Each lane's whole sum, as a float. */
INLINE __m256 whole(enum weight_type type, __m256i sums)
{
    return _mm256_cvtepi32_ps(type == WEIGHT_Q4_1 ? _mm256_madd_epi16(sums, _mm256_set1_epi16(1)) : sums);
}

/* Scale and minimum of a block, as they lie in the file; 0 behind the last. */
INLINE int scale_bits(enum weight_type type, const void *row, size_t block, size_t end)
{
    int both = 0;
    if (block >= end)
        return 0;
    if (type == WEIGHT_Q8_0)
        return ((const struct block_q8_0 *)row)[block].d;
    memcpy(&both, (const struct block_q4_1 *)row + block, sizeof both);
    return both;
}

/* Scales and minima of 8 blocks as floats; zero from block `end` on. */
INLINE void scales(enum weight_type type, const void *row, size_t block, size_t end, __m256 *d, __m256 *m)
{
#define BITS(i) scale_bits(type, row, block + i, end)
    __m256i v = _mm256_setr_epi32(BITS(0), BITS(1), BITS(2), BITS(3), BITS(4), BITS(5), BITS(6), BITS(7));
    __m256i halves = _mm256_packus_epi32(_mm256_and_si256(v, _mm256_set1_epi32(0xffff)), _mm256_srli_epi32(v, 16));
    halves = _mm256_permute4x64_epi64(halves, 0xd8); /* the pack has worked in each half by itself */
    *d = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
    *m = _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1));
}

/* sum[t] += 8 blocks of a row times those of each token. */
INLINE void add_group(enum weight_type type, const void *row, const struct input *in, size_t t0, size_t tokens,
                      size_t block, __m256 *sum)
{
    const size_t width = in->width, blocks = in->blocks;
    const int8_t *q = in->q + t0 * width + block * BLOCK;
    const float *din = in->d + t0 * blocks + block, *sin = in->s + t0 * blocks + block;
    __m256i w[8], ab[4];
    __m256 d, m;
    scales(type, row, block, block + 8, &d, &m);
    UNROLL for (size_t i = 0; i < 8; i++)
        w[i] = unpack(type, row, block + i);
    for (size_t t = 0; t < tokens; t++, q += width, din += blocks, sin += blocks) {
        UNROLL for (size_t i = 0; i < 4; i++)
            ab[i] = fold2(type, products(type, w[2 * i], q + 2 * i * BLOCK),
                          products(type, w[2 * i + 1], q + (2 * i + 1) * BLOCK));
        __m256i all = fold8(type, fold4(type, ab[0], ab[1]), fold4(type, ab[2], ab[3]));
        sum[t] = _mm256_fmadd_ps(whole(type, all), _mm256_mul_ps(d, _mm256_loadu_ps(din)), sum[t]);
        if (type == WEIGHT_Q4_1)
            sum[t] = _mm256_fmadd_ps(m, _mm256_loadu_ps(sin), sum[t]);
    }
}

INLINE __m256 broadcast_pair(const float *p)
{
    double two;
    memcpy(&two, p, sizeof two);
    return _mm256_castpd_ps(_mm256_set1_pd(two));
}

/* The same for the n < 8 blocks that are left at the end of a row, two at a time. */
INLINE void add_rest(enum weight_type type, const void *row, const struct input *in, size_t t0, size_t tokens,
                     size_t block, size_t n, __m256 *sum)
{
    const size_t width = in->width, blocks = in->blocks;
    float d[8];
    __m256 dw, m;
    scales(type, row, block, block + n, &dw, &m);
    _mm256_storeu_ps(d, dw);
    for (size_t i = 0; i < n; i += 2) {
        bool two = i + 1 < n;
        __m256i a = unpack(type, row, block + i), b = two ? unpack(type, row, block + i + 1) : _mm256_setzero_si256();
        __m256 scale = broadcast_pair(d + i);
        const int8_t *q = in->q + t0 * width + (block + i) * BLOCK;
        const float *din = in->d + t0 * blocks + block + i;
        for (size_t t = 0; t < tokens; t++, q += width, din += blocks) {
            __m256i ab = fold2(type, products(type, a, q), products(type, b, q + two * BLOCK));
            sum[t] = _mm256_fmadd_ps(whole(type, ab), _mm256_mul_ps(scale, broadcast_pair(din)), sum[t]);
        }
    }
    for (size_t t = 0; type == WEIGHT_Q4_1 && t < tokens; t++)
        sum[t] = _mm256_fmadd_ps(m, _mm256_loadu_ps(in->s + (t0 + t) * blocks + block), sum[t]);
}

INLINE void rows_quantised(enum weight_type type, size_t block_bytes, const void *weights, size_t rows,
                           const struct input *in, size_t tokens, float *out, size_t stride)
{
    size_t n = in->width / BLOCK, whole_groups = n / 8 * 8;
    __m256 sum[TOKENS];
    for (size_t t0 = 0; t0 < tokens; t0 += TOKENS) {
        size_t count = tokens - t0 < TOKENS ? tokens - t0 : TOKENS;
        for (size_t r = 0; r < rows; r++) {
            const void *row = (const char *)weights + r * n * block_bytes;
            for (size_t t = 0; t < count; t++)
                sum[t] = _mm256_setzero_ps();
            for (size_t b = 0; b < whole_groups; b += 8)
                add_group(type, row, in, t0, count, b, sum);
            if (whole_groups < n)
                add_rest(type, row, in, t0, count, whole_groups, n - whole_groups, sum);
            for (size_t t = 0; t < count; t++)
                out[(t0 + t) * stride + r] = sum8(sum[t]);
        }
    }
}

static void rows_q4_1(const void *weights, size_t rows, const struct input *in, size_t tokens, float *out, size_t stride)
{
    if (tokens == 1) /* the constant lets the compiler keep the sum in a register */
        rows_quantised(WEIGHT_Q4_1, sizeof(struct block_q4_1), weights, rows, in, 1, out, stride);
    else
        rows_quantised(WEIGHT_Q4_1, sizeof(struct block_q4_1), weights, rows, in, tokens, out, stride);
}

static void rows_q8_0(const void *weights, size_t rows, const struct input *in, size_t tokens, float *out, size_t stride)
{
    if (tokens == 1) /* the constant lets the compiler keep the sum in a register */
        rows_quantised(WEIGHT_Q8_0, sizeof(struct block_q8_0), weights, rows, in, 1, out, stride);
    else
        rows_quantised(WEIGHT_Q8_0, sizeof(struct block_q8_0), weights, rows, in, tokens, out, stride);
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
