#include "infer/weights.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

_Static_assert(sizeof(struct block_q4_0) == 18 && sizeof(struct block_q4_1) == 20 && sizeof(struct block_q5_0) == 22 &&
                   sizeof(struct block_q5_1) == 24 && sizeof(struct block_q8_0) == 34,
               "blocks lie in the file without padding");
_Static_assert(sizeof(struct block_q4_k) == 144 && sizeof(struct block_q5_k) == 176 && sizeof(struct block_q6_k) == 210,
               "so do groups");

struct weight_format weight_format(uint32_t type)
{
    static const struct weight_format known[] = {
        [WEIGHT_F32] = {"F32", 1, 4},
        [WEIGHT_F16] = {"F16", 1, 2},
        [WEIGHT_Q4_0] = {"Q4_0", BLOCK, sizeof(struct block_q4_0)},
        [WEIGHT_Q4_1] = {"Q4_1", BLOCK, sizeof(struct block_q4_1)},
        [WEIGHT_Q5_0] = {"Q5_0", BLOCK, sizeof(struct block_q5_0)},
        [WEIGHT_Q5_1] = {"Q5_1", BLOCK, sizeof(struct block_q5_1)},
        [WEIGHT_Q8_0] = {"Q8_0", BLOCK, sizeof(struct block_q8_0)},
        [9] = {"Q8_1", 0, 0},
        [10] = {"Q2_K", 0, 0},
        [11] = {"Q3_K", 0, 0},
        [WEIGHT_Q4_K] = {"Q4_K", GROUP, sizeof(struct block_q4_k)},
        [WEIGHT_Q5_K] = {"Q5_K", GROUP, sizeof(struct block_q5_k)},
        [WEIGHT_Q6_K] = {"Q6_K", GROUP, sizeof(struct block_q6_k)},
        [15] = {"Q8_K", 0, 0},
        [WEIGHT_BF16] = {"BF16", 1, 2},
    };
    bool named = type < sizeof known / sizeof *known && known[type].name;
    return named ? known[type] : (struct weight_format){"?", 0, 0};
}

/* ---- half floats (IEEE 754 binary16) ---- */

float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 0x3ff;
    float f;
    if (exponent == 0) { /* zero and subnormal: fraction * 2^-24 */
        f = (float)fraction * 0x1p-24f;
        return sign ? -f : f;
    }
    uint32_t bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
    memcpy(&f, &bits, sizeof f);
    return f;
}

uint16_t float_to_half(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) /* NaN */
        return sign | 0x7e00;
    if (bits >= 0x477ff000) /* 65520 and more round to infinity */
        return sign | 0x7c00;
    if (bits < 0x38800000) { /* below 2^-14: adding 0.5 leaves the rounded fraction in the low bits */
        float small = fabsf(f) + 0.5f;
        memcpy(&bits, &small, sizeof bits);
        return (uint16_t)(sign | (bits - 0x3f000000));
    }
    bits += 0xfff + (bits >> 13 & 1);
    return (uint16_t)(sign | ((bits >> 13) - (112 << 10)));
}

float bf16_to_float(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* ---- blocks of 32 ---- */

static void unpack_halves(const uint8_t *bytes, int16_t *w)
{
    for (size_t j = 0; j < BLOCK / 2; j++) {
        w[j] = bytes[j] & 15;
        w[j + 16] = bytes[j] >> 4;
    }
}

static void add_fifth_bits(const uint8_t *bits, int16_t *w)
{
    for (size_t j = 0; j < BLOCK; j++)
        w[j] = (int16_t)(w[j] + (bits[j / 8] >> j % 8 & 1) * 16);
}

static void unpack_q4_0(const struct block_q4_0 *b, struct weights *ret)
{
    ret->d = half_to_float(b->d);
    ret->m = -8 * ret->d;
    unpack_halves(b->w, ret->w);
}

static void unpack_q5_0(const struct block_q5_0 *b, struct weights *ret)
{
    ret->d = half_to_float(b->d);
    ret->m = -16 * ret->d;
    unpack_halves(b->w, ret->w);
    add_fifth_bits(b->h, ret->w);
}

static void unpack_q5_1(const struct block_q5_1 *b, struct weights *ret)
{
    ret->d = half_to_float(b->d);
    ret->m = half_to_float(b->m);
    unpack_halves(b->w, ret->w);
    add_fifth_bits(b->h, ret->w);
}

/* ---- groups of 256, of which block b is wanted ---- */

static void unpack_scales(uint16_t d, uint16_t m, const uint8_t *s, size_t b, struct weights *ret)
{
    int scale = b < 4 ? s[b] & 63 : (s[b + 4] & 15) | s[b - 4] >> 6 << 4;
    int minimum = b < 4 ? s[b + 4] & 63 : s[b + 4] >> 4 | s[b] >> 6 << 4;
    ret->d = half_to_float(d) * (float)scale;
    ret->m = -(half_to_float(m) * (float)minimum);
}

static void unpack_q4_k(const struct block_q4_k *g, size_t b, struct weights *ret)
{
    unpack_scales(g->d, g->m, g->scales, b, ret);
    for (size_t j = 0; j < BLOCK; j++)
        ret->w[j] = g->w[b / 2 * BLOCK + j] >> b % 2 * 4 & 15;
}

static void unpack_q5_k(const struct block_q5_k *g, size_t b, struct weights *ret)
{
    unpack_scales(g->d, g->m, g->scales, b, ret);
    for (size_t j = 0; j < BLOCK; j++)
        ret->w[j] = (int16_t)((g->w[b / 2 * BLOCK + j] >> b % 2 * 4 & 15) + (g->h[j] >> b & 1) * 16);
}

static void unpack_q6_k(const struct block_q6_k *g, size_t b, struct weights *ret)
{
    size_t half = b / 4, quarter = b % 4;
    ret->d = half_to_float(g->d);
    ret->m = 0;
    for (size_t j = 0; j < BLOCK; j++) {
        int low = g->w[half * 64 + quarter % 2 * BLOCK + j] >> quarter / 2 * 4 & 15;
        int high = g->h[half * 32 + j] >> quarter * 2 & 3;
        ret->w[j] = (int16_t)(g->scales[b * 2 + j / 16] * ((low | high << 4) - 32));
    }
}

void weights_unpack(enum weight_type type, const void *row, size_t block, struct weights *ret)
{
    size_t group = block / (GROUP / BLOCK), b = block % (GROUP / BLOCK);
    switch (type) {
    case WEIGHT_Q4_0: unpack_q4_0((const struct block_q4_0 *)row + block, ret); break;
    case WEIGHT_Q5_0: unpack_q5_0((const struct block_q5_0 *)row + block, ret); break;
    case WEIGHT_Q5_1: unpack_q5_1((const struct block_q5_1 *)row + block, ret); break;
    case WEIGHT_Q4_K: unpack_q4_k((const struct block_q4_k *)row + group, b, ret); break;
    case WEIGHT_Q5_K: unpack_q5_k((const struct block_q5_k *)row + group, b, ret); break;
    case WEIGHT_Q6_K: unpack_q6_k((const struct block_q6_k *)row + group, b, ret); break;
    default: *ret = (struct weights){.d = 0}; break; /* not asked for */
    }
}

/* ---- rows ---- */

static void dequantise_blocks(enum weight_type type, const void *row, size_t n, float *out)
{
    for (size_t b = 0; b < n / BLOCK; b++) {
        struct weights w;
        weights_unpack(type, row, b, &w);
        for (size_t i = 0; i < BLOCK; i++)
            out[b * BLOCK + i] = w.d * (float)w.w[i] + w.m;
    }
}

static void dequantise_q8_0(const struct block_q8_0 *b, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = half_to_float(b[i / BLOCK].d) * b[i / BLOCK].w[i % BLOCK];
}

static void dequantise_q4_1(const struct block_q4_1 *b, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t both = b[i / BLOCK].w[i % 16];
        out[i] = half_to_float(b[i / BLOCK].d) * (i % BLOCK < 16 ? both & 15 : both >> 4) + half_to_float(b[i / BLOCK].m);
    }
}

void dequantise(enum weight_type type, const void *row, size_t n, float *out)
{
    const uint16_t *half = row;
    switch (type) {
    case WEIGHT_F32: memcpy(out, row, n * sizeof *out); break;
    case WEIGHT_F16:
        for (size_t i = 0; i < n; i++)
            out[i] = half_to_float(half[i]);
        break;
    case WEIGHT_BF16:
        for (size_t i = 0; i < n; i++)
            out[i] = bf16_to_float(half[i]);
        break;
    case WEIGHT_Q8_0: dequantise_q8_0(row, n, out); break;
    case WEIGHT_Q4_1: dequantise_q4_1(row, n, out); break;
    default: dequantise_blocks(type, row, n, out); break;
    }
}
