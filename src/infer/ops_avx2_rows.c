/*
 * Products with quantised weights by AVX2, one body for all formats: it is compiled once for each, with the format a
 * constant.
 *
 * How it works. vpmaddubsw takes 32 weights and 32 numbers of the input, all bytes, to 16 sums of two products in 16
 * bits. Weights must be unsigned for it: those of 4 and 5 bits are (0..31, where the format means w - 8 or w - 16 that
 * is in the minimum); for Q8_0 and Q6_K the sign of a weight is moved to the input. 8 blocks, which have 8 scales, give
 * 8 such registers; a tree of shuffles and adds folds them into one with a lane for each block, and only then are they
 * converted and multiplied by their scales. (Converting each block by itself is simpler and took 2.5 times as long.)
 * A group of the K formats is just 8 blocks; the two scales of a block of Q6_K are multiplied in, in integers, on the way
 * to 32 bits.
 *
 * Nothing overflows. 4 bits: a sum of two is at most 2 * 15 * 127 = 3810, and the tree adds 8 of those, 30480.
 * 5 bits: 2 * 31 * 127 = 7874; the tree adds 4 of those in 16 bits, 31496, and goes on in 32. Q8_0: 2 * 128 * 127 =
 * 32512, so all of the tree works on 32 bits. Q6_K: 2 * 32 * 127 = 8128; times a scale of at most 128 a block comes to
 * 32 * 32 * 127 * 128 < 2^24, so that the float it becomes is exact.
 */
#include <string.h>

#include "infer/ops_avx2.h"

enum { TOKENS = 32 }; /* whose inputs stay in the first cache while rows go by */

/* ---- what formats differ in ---- */

INLINE bool is_grouped(enum weight_type type)
{
    return type == WEIGHT_Q4_K || type == WEIGHT_Q5_K || type == WEIGHT_Q6_K;
}

INLINE bool has_minimum(enum weight_type type)
{
    return type != WEIGHT_Q8_0 && type != WEIGHT_Q6_K;
}

/* How long sums stay in 16 bits: through the whole tree, or until its last step. */
INLINE bool is_four_bits(enum weight_type type)
{
    return type == WEIGHT_Q4_0 || type == WEIGHT_Q4_1 || type == WEIGHT_Q4_K;
}

INLINE bool is_five_bits(enum weight_type type)
{
    return type == WEIGHT_Q5_0 || type == WEIGHT_Q5_1 || type == WEIGHT_Q5_K;
}

/* ---- weights as bytes ---- */

INLINE __m256i load_bytes(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

INLINE __m256i unpack_halves(const uint8_t *halves)
{
    __m128i two = _mm_loadu_si128((const __m128i *)(const void *)halves);
    __m256i w = _mm256_inserti128_si256(_mm256_castsi128_si256(two), _mm_srli_epi16(two, 4), 1);
    return _mm256_and_si256(w, _mm256_set1_epi8(15));
}

/* 32 bits -> 16 in each byte whose bit is set: each byte of the bits to eight places, and there all but one bit away. */
INLINE __m256i fifth_bits(const uint8_t *bits)
{
    const __m256i place = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201ull);
    int all;
    memcpy(&all, bits, sizeof all);
    __m256i spread = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(all), place), bit);
    return _mm256_and_si256(_mm256_cmpeq_epi8(spread, bit), _mm256_set1_epi8(16));
}

/* Bytes moved n bits down, or up where n < 0; what comes over from a neighbour must be masked away. */
INLINE __m256i shift(__m256i v, int n)
{
    return n < 0 ? _mm256_slli_epi16(v, -n) : _mm256_srli_epi16(v, n);
}

INLINE __m256i unpack_grouped(enum weight_type type, const void *row, size_t group, int i)
{
    const __m256i low = _mm256_set1_epi8(15);
    if (type == WEIGHT_Q6_K) {
        const struct block_q6_k *g = (const struct block_q6_k *)row + group;
        __m256i w = _mm256_and_si256(shift(load_bytes(g->w + i / 4 * 64 + i % 2 * 32), i % 4 / 2 * 4), low);
        __m256i h = _mm256_and_si256(shift(load_bytes(g->h + i / 4 * 32), i % 4 * 2 - 4), _mm256_set1_epi8(48));
        return _mm256_sub_epi8(_mm256_or_si256(w, h), _mm256_set1_epi8(32));
    }
    const uint8_t *bytes = type == WEIGHT_Q4_K ? ((const struct block_q4_k *)row + group)->w
                                               : ((const struct block_q5_k *)row + group)->w;
    __m256i w = _mm256_and_si256(shift(load_bytes(bytes + i / 2 * 32), i % 2 * 4), low);
    if (type == WEIGHT_Q4_K)
        return w;
    __m256i h = load_bytes(((const struct block_q5_k *)row + group)->h);
    return _mm256_or_si256(w, _mm256_and_si256(shift(h, i - 4), _mm256_set1_epi8(16)));
}

/* Block `block + i`; `block` is a multiple of 8. */
INLINE __m256i unpack(enum weight_type type, const void *row, size_t block, size_t i)
{
    const size_t b = block + i;
    switch (type) {
    case WEIGHT_Q8_0: return load_bytes(((const struct block_q8_0 *)row)[b].w);
    case WEIGHT_Q4_0: return unpack_halves(((const struct block_q4_0 *)row)[b].w);
    case WEIGHT_Q4_1: return unpack_halves(((const struct block_q4_1 *)row)[b].w);
    case WEIGHT_Q5_0: {
        const struct block_q5_0 *w = (const struct block_q5_0 *)row + b;
        return _mm256_or_si256(unpack_halves(w->w), fifth_bits(w->h));
    }
    case WEIGHT_Q5_1: {
        const struct block_q5_1 *w = (const struct block_q5_1 *)row + b;
        return _mm256_or_si256(unpack_halves(w->w), fifth_bits(w->h));
    }
    default: return unpack_grouped(type, row, block / 8, (int)i);
    }
}

/* Products of one block: 16 sums of two, or 8 sums of four. */
INLINE __m256i products(enum weight_type type, __m256i w, __m256i factor, const int8_t *q)
{
    __m256i x = load_bytes(q);
    if (is_four_bits(type) || is_five_bits(type))
        return _mm256_maddubs_epi16(w, x);
    return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)), factor);
}

/* What sums of two are multiplied with on the way to 32 bits: 1, or the scales of block i of a group of Q6_K. */
INLINE __m256i factor(enum weight_type type, __m256i scales, size_t i)
{
    if (type != WEIGHT_Q6_K)
        return _mm256_set1_epi16(1);
    return _mm256_shuffle_epi8(scales, _mm256_set1_epi16((short)(2 * i | (2 * i + 1) << 8)));
}

/* The 16 scales of a group: those of the first halves of its blocks in the low lane, those of the second in the high. */
INLINE __m256i factors(enum weight_type type, const void *row, size_t group)
{
    if (type != WEIGHT_Q6_K)
        return _mm256_setzero_si256();
    __m128i s = _mm_loadu_si128((const __m128i *)(const void *)((const struct block_q6_k *)row + group)->scales);
    s = _mm_shuffle_epi8(s, _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15));
    return _mm256_cvtepi8_epi16(s);
}

INLINE __m256i add(enum weight_type type, __m256i a, __m256i b)
{
    return is_four_bits(type) || is_five_bits(type) ? _mm256_add_epi16(a, b) : _mm256_add_epi32(a, b);
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

INLINE __m256i widen(__m256i sums)
{
    return _mm256_madd_epi16(sums, _mm256_set1_epi16(1));
}

/* abcd abcd, efgh efgh -> abcd efgh, each lane's whole sum, as a float. */
INLINE __m256 fold8(enum weight_type type, __m256i abcd, __m256i efgh)
{
    if (is_five_bits(type))
        abcd = widen(abcd), efgh = widen(efgh);
    __m256i a = _mm256_permute2x128_si256(abcd, efgh, 0x20), b = _mm256_permute2x128_si256(abcd, efgh, 0x31);
    return _mm256_cvtepi32_ps(is_four_bits(type) ? widen(_mm256_add_epi16(a, b)) : _mm256_add_epi32(a, b));
}

/* The same where the tree ends at abab abab. */
INLINE __m256 whole2(enum weight_type type, __m256i sums)
{
    return _mm256_cvtepi32_ps(is_four_bits(type) || is_five_bits(type) ? widen(sums) : sums);
}

/* ---- scales ---- */

/* Scale and, where one lies there, minimum of a block as they lie in the file; 0 behind the last. */
INLINE int scale_bits(enum weight_type type, const void *row, size_t block, size_t end)
{
    int both = 0;
    if (block >= end)
        return 0;
    switch (type) {
    case WEIGHT_Q8_0: return ((const struct block_q8_0 *)row)[block].d;
    case WEIGHT_Q4_0: return ((const struct block_q4_0 *)row)[block].d;
    case WEIGHT_Q5_0: return ((const struct block_q5_0 *)row)[block].d;
    case WEIGHT_Q5_1: return memcpy(&both, (const struct block_q5_1 *)row + block, sizeof both), both;
    default: return memcpy(&both, (const struct block_q4_1 *)row + block, sizeof both), both;
    }
}

/* Scales and minima of 8 blocks as floats; zero from block `end` on. */
INLINE void scales(enum weight_type type, const void *row, size_t block, size_t end, __m256 *d, __m256 *m)
{
#define BITS(i) scale_bits(type, row, block + i, end)
    __m256i v = _mm256_setr_epi32(BITS(0), BITS(1), BITS(2), BITS(3), BITS(4), BITS(5), BITS(6), BITS(7));
    __m256i halves = _mm256_packus_epi32(_mm256_and_si256(v, _mm256_set1_epi32(0xffff)), _mm256_srli_epi32(v, 16));
    halves = _mm256_permute4x64_epi64(halves, 0xd8); /* the pack has worked in each half by itself */
    *d = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
    if (type == WEIGHT_Q4_0 || type == WEIGHT_Q5_0) /* the minimum follows from the scale */
        *m = _mm256_mul_ps(*d, _mm256_set1_ps(type == WEIGHT_Q4_0 ? -8 : -16));
    else
        *m = _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1));
}

/* Bytes as floats, times a number. */
INLINE __m256 times_bytes(float by, uint64_t bytes)
{
    __m256i wide = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)bytes));
    return _mm256_mul_ps(_mm256_set1_ps(by), _mm256_cvtepi32_ps(wide));
}

/* Four 6-bit numbers of Q4_K and Q5_K a word, a byte each: first the low six bits, then halves and upper bits joined. */
INLINE void scales_grouped(enum weight_type type, const void *row, size_t group, __m256 *d, __m256 *m)
{
    if (type == WEIGHT_Q6_K) {
        *d = _mm256_set1_ps(_cvtsh_ss(((const struct block_q6_k *)row)[group].d));
        *m = _mm256_setzero_ps();
        return;
    }
    const struct block_q4_k *g4 = (const struct block_q4_k *)row + group;
    const struct block_q5_k *g5 = (const struct block_q5_k *)row + group;
    bool five = type == WEIGHT_Q5_K;
    const uint32_t six = 0x3f3f3f3f, four = 0x0f0f0f0f, two = 0x30303030;
    uint32_t s[3];
    memcpy(s, five ? g5->scales : g4->scales, sizeof s);
    uint64_t scale = (s[0] & six) | (uint64_t)((s[2] & four) | (s[0] >> 2 & two)) << 32;
    uint64_t minimum = (s[1] & six) | (uint64_t)((s[2] >> 4 & four) | (s[1] >> 2 & two)) << 32;
    *d = times_bytes(_cvtsh_ss(five ? g5->d : g4->d), scale);
    *m = times_bytes(-_cvtsh_ss(five ? g5->m : g4->m), minimum);
}

/* ---- rows ---- */

/* sum[t] += 8 blocks of a row times those of each token. */
INLINE void add_group(enum weight_type type, const void *row, const struct input *in, size_t t0, size_t tokens,
                      size_t block, __m256 *sum)
{
    const size_t width = in->width, blocks = in->blocks;
    const int8_t *q = in->q + t0 * width + block * BLOCK;
    const float *din = in->d + t0 * blocks + block, *sin = in->s + t0 * blocks + block;
    __m256i w[8], ab[4];
    __m256 d, m;
    if (is_grouped(type))
        scales_grouped(type, row, block / 8, &d, &m);
    else
        scales(type, row, block, block + 8, &d, &m);
    const __m256i by = factors(type, row, block / 8);
    UNROLL for (size_t i = 0; i < 8; i++)
        w[i] = unpack(type, row, block, i);
    for (size_t t = 0; t < tokens; t++, q += width, din += blocks, sin += blocks) {
        UNROLL for (size_t i = 0; i < 4; i++)
            ab[i] = fold2(type, products(type, w[2 * i], factor(type, by, 2 * i), q + 2 * i * BLOCK),
                          products(type, w[2 * i + 1], factor(type, by, 2 * i + 1), q + (2 * i + 1) * BLOCK));
        __m256 all = fold8(type, fold4(type, ab[0], ab[1]), fold4(type, ab[2], ab[3]));
        sum[t] = _mm256_fmadd_ps(all, _mm256_mul_ps(d, _mm256_loadu_ps(din)), sum[t]);
        if (has_minimum(type))
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
    const __m256i one = _mm256_set1_epi16(1);
    float d[8];
    __m256 dw, m;
    scales(type, row, block, block + n, &dw, &m);
    _mm256_storeu_ps(d, dw);
    for (size_t i = 0; i < n; i += 2) {
        bool two = i + 1 < n;
        __m256i a = unpack(type, row, block, i), b = two ? unpack(type, row, block, i + 1) : _mm256_setzero_si256();
        __m256 scale = broadcast_pair(d + i);
        const int8_t *q = in->q + t0 * width + (block + i) * BLOCK;
        const float *din = in->d + t0 * blocks + block + i;
        for (size_t t = 0; t < tokens; t++, q += width, din += blocks) {
            __m256i ab = fold2(type, products(type, a, one, q), products(type, b, one, q + two * BLOCK));
            sum[t] = _mm256_fmadd_ps(whole2(type, ab), _mm256_mul_ps(scale, broadcast_pair(din)), sum[t]);
        }
    }
    for (size_t t = 0; has_minimum(type) && t < tokens; t++)
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
            const void *row = (const char *)weights + r * (is_grouped(type) ? n / 8 : n) * block_bytes;
            for (size_t t = 0; t < count; t++)
                sum[t] = _mm256_setzero_ps();
            for (size_t b = 0; b < whole_groups; b += 8)
                add_group(type, row, in, t0, count, b, sum);
            if (!is_grouped(type) && whole_groups < n)
                add_rest(type, row, in, t0, count, whole_groups, n - whole_groups, sum);
            for (size_t t = 0; t < count; t++)
                out[(t0 + t) * stride + r] = sum8(sum[t]);
        }
    }
}

#define BODY(type, block)                                                                                             \
    {                                                                                                                 \
        if (tokens == 1) /* the constant lets the compiler keep the sum in a register */                              \
            rows_quantised(type, sizeof(block), weights, rows, in, 1, out, stride);                                   \
        else                                                                                                          \
            rows_quantised(type, sizeof(block), weights, rows, in, tokens, out, stride);                              \
    }
ROWS(q4_0) BODY(WEIGHT_Q4_0, struct block_q4_0)
ROWS(q4_1) BODY(WEIGHT_Q4_1, struct block_q4_1)
ROWS(q5_0) BODY(WEIGHT_Q5_0, struct block_q5_0)
ROWS(q5_1) BODY(WEIGHT_Q5_1, struct block_q5_1)
ROWS(q8_0) BODY(WEIGHT_Q8_0, struct block_q8_0)
ROWS(q4_k) BODY(WEIGHT_Q4_K, struct block_q4_k)
ROWS(q5_k) BODY(WEIGHT_Q5_K, struct block_q5_k)
ROWS(q6_k) BODY(WEIGHT_Q6_K, struct block_q6_k)
