/*
 * infer/weights and the products of infer/ops with them: each format is read as its description says, each product is
 * that of the weights read, for every pattern of bits; a row that is no whole number of blocks has no size.
 *
 * Planted once, and caught here: the tree of 5-bit sums left in 16 bits to its end; the two scales of a block of Q6_K
 * exchanged; upper bits of the 6-bit scales or minima left out; the fifth bits of Q5_K a block off, those of Q5_0 a byte
 * off or left out; the minimum of Q5_0 that of Q4_0; the end of a row of BF16 left out; half of the upper bits of Q6_K;
 * a K format's multiple taken as 32.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/gguf.h"
#include "infer_rig.h"

static const enum weight_type formats[] = {WEIGHT_BF16, WEIGHT_Q4_0, WEIGHT_Q5_0, WEIGHT_Q5_1, WEIGHT_Q4_K, WEIGHT_Q5_K,
                                           WEIGHT_Q6_K, WEIGHT_Q4_1, WEIGHT_Q8_0};
enum { FORMATS = sizeof formats / sizeof *formats };

/* ---- the descriptions again, from one weight's number to bytes and bits, without the code under test ---- */

struct plain {
    double d, m, w; /* the weight is d * w + m */
};

static double half_at(const uint8_t *p)
{
    return (double)half_to_float((uint16_t)(p[0] | p[1] << 8));
}

static unsigned bits_at(const uint8_t *p, size_t first, unsigned n)
{
    unsigned v = 0;
    for (unsigned i = 0; i < n; i++)
        v |= (p[(first + i) / 8] >> (first + i) % 8 & 1u) << i;
    return v;
}

/* A 6-bit number is four bits somewhere and two bits somewhere. */
static struct plain plain_group(const uint8_t *g, size_t i, unsigned five)
{
    const uint8_t *s = g + 4, *high = g + 16, *low = five ? high + 32 : high;
    size_t b = i / 32, j = i % 32, c = b % 4;
    unsigned scale = b < 4 ? bits_at(s + c, 0, 6) : bits_at(s + 8 + c, 0, 4) + 16 * bits_at(s + c, 6, 2);
    unsigned least = b < 4 ? bits_at(s + 4 + c, 0, 6) : bits_at(s + 8 + c, 4, 4) + 16 * bits_at(s + 4 + c, 6, 2);
    unsigned w = bits_at(low + b / 2 * 32 + j, b % 2 * 4, 4) + (five ? 16 * bits_at(high + j, b, 1) : 0);
    return (struct plain){half_at(g) * scale, -half_at(g + 2) * least, w};
}

static struct plain plain_q6_k(const uint8_t *g, size_t i)
{
    static const unsigned char byte[] = {0, 32, 0, 32}, shift[] = {0, 0, 4, 4};
    size_t half = i / 128, quarter = i % 128 / 32, j = i % 32;
    unsigned low = bits_at(g + half * 64 + byte[quarter] + j, shift[quarter], 4);
    unsigned high = bits_at(g + 128 + half * 32 + j, 2 * quarter, 2);
    return (struct plain){half_at(g + 208), 0, (int8_t)g[192 + i / 16] * ((int)(low + 16 * high) - 32)};
}

static struct plain plain_weight(enum weight_type type, const uint8_t *row, size_t i)
{
    const uint8_t *b = row + i / weight_format(type).weights * weight_format(type).bytes;
    size_t j = i % weight_format(type).weights, byte = j % 16;
    unsigned nibble = j >= 16 ? 4 : 0;
    uint32_t bits;
    float f;
    switch (type) {
    case WEIGHT_BF16:
        bits = (uint32_t)b[0] << 16 | (uint32_t)b[1] << 24;
        memcpy(&f, &bits, sizeof f);
        return (struct plain){1, 0, (double)f};
    case WEIGHT_Q4_0: return (struct plain){half_at(b), -8 * half_at(b), bits_at(b + 2 + byte, nibble, 4)};
    case WEIGHT_Q4_1: return (struct plain){half_at(b), half_at(b + 2), bits_at(b + 4 + byte, nibble, 4)};
    case WEIGHT_Q5_0:
        return (struct plain){half_at(b), -16 * half_at(b), bits_at(b + 6 + byte, nibble, 4) + 16 * bits_at(b + 2, j, 1)};
    case WEIGHT_Q5_1:
        return (struct plain){half_at(b), half_at(b + 2), bits_at(b + 8 + byte, nibble, 4) + 16 * bits_at(b + 4, j, 1)};
    case WEIGHT_Q8_0: return (struct plain){half_at(b), 0, (int8_t)b[2 + j]};
    case WEIGHT_Q6_K: return plain_q6_k(b, j);
    default: return plain_group(b, j, type == WEIGHT_Q5_K);
    }
}

/* ---- bytes of weights ---- */

enum pattern { ANY, ZERO, ONES, ALL_ONES, LARGEST, LEAST, INFINITE, ONLY_LAST, PATTERNS };

static size_t scale_places(enum weight_type type, size_t places[2])
{
    places[0] = type == WEIGHT_Q6_K ? 208 : 0;
    places[1] = 2;
    bool one = type == WEIGHT_Q4_0 || type == WEIGHT_Q5_0 || type == WEIGHT_Q8_0 || type == WEIGHT_Q6_K;
    return type == WEIGHT_BF16 ? 0 : one ? 1 : 2;
}

static uint16_t scale_of(enum pattern p)
{
    uint16_t sign = (uint16_t)(random_u32() & 0x8000);
    switch (p) {
    case LARGEST: return sign | 0x7bff;
    case LEAST: return sign | (uint16_t)(random_u32() & 3); /* subnormal, zero among them */
    case INFINITE: return sign | (random_u32() % 3 ? 0x3c00 : 0x7c00);
    case ALL_ONES: return 0xffff; /* not a number */
    case ZERO: return 0;
    default: return float_to_half(random_float() * 10);
    }
}

/* All bits of a block but its half floats after the pattern, those by scale_of(). BF16 is only half floats of its kind. */
static void fill(enum weight_type type, enum pattern p, uint8_t *bytes, size_t weights)
{
    struct weight_format f = weight_format(type);
    size_t blocks = weights / f.weights, places[2];
    for (size_t b = 0; b < blocks; b++) {
        uint8_t *at = bytes + b * f.bytes;
        enum pattern now = p == ONLY_LAST && b + 1 < blocks ? ZERO : p == ONLY_LAST ? ANY : p;
        for (size_t i = 0; i < f.bytes; i++)
            at[i] = now == ZERO ? 0 : now == ONES || now == ALL_ONES ? 0xff : (uint8_t)random_u32();
        if (type == WEIGHT_BF16) {
            static const uint16_t each[PATTERNS] = {0x3f80, 0, 0x3fff, 0xffff, 0x5f7f, 0x0001, 0x7f80, 0x3f80};
            uint32_t mix = random_u32() & (now == ANY ? 0x80ff : now == LARGEST ? 0x8000 : 0);
            uint16_t v = (uint16_t)(each[now] ^ mix);
            memcpy(at, &v, sizeof v);
            continue;
        }
        for (size_t n = scale_places(type, places); n--;) {
            uint16_t v = scale_of(now);
            memcpy(at + places[n], &v, sizeof v);
        }
    }
}

/* ---- reading ---- */

/* To the bit: a scale times an integer is exact in a float, and the minimum is then added with one rounding. */
static void test_weights_are_those_of_the_description(void **state)
{
    (void)state;
    enum { N = 4 * GROUP };
    float out[N];
    for (size_t f = 0; f < FORMATS; f++)
        for (int p = ANY; p < PATTERNS; p++) {
            uint8_t *bytes = array((size_t)gguf_type_bytes(formats[f], N), 1);
            fill(formats[f], (enum pattern)p, bytes, N);
            dequantise(formats[f], bytes, N, out);
            for (size_t i = 0; i < N; i++) {
                struct plain w = plain_weight(formats[f], bytes, i);
                float want = (float)(w.d * w.w + w.m);
                if (!(out[i] == want || (isnan(out[i]) && isnan(want))))
                    fail_msg("%s, pattern %d, weight %zu: %g instead of %g", weight_format(formats[f]).name, p, i,
                             (double)out[i], (double)want);
            }
            free(bytes);
        }
}

/* The same rows read by another program: made-up bytes, and the numbers that the Python package gguf 0.19.0 (its
   quants.dequantize) makes of them, as a sum (FNV-1a, a word at a time) over their bits. */
static void test_weights_are_those_of_another_reader(void **state)
{
    (void)state;
    enum { N = 8192 };
    static float out[N];
    const struct {
        enum weight_type type;
        uint32_t sum;
    } others[] = {
        {WEIGHT_BF16, 0x4eb61dc5}, {WEIGHT_Q4_0, 0x265badc5}, {WEIGHT_Q5_0, 0x2ed79dc5}, {WEIGHT_Q5_1, 0x05afc731},
        {WEIGHT_Q4_K, 0xb89773a6}, {WEIGHT_Q5_K, 0x65061bd3}, {WEIGHT_Q6_K, 0x7109a5bf}, {WEIGHT_Q4_1, 0x529d25d6},
        {WEIGHT_Q8_0, 0x793c4805},
    };
    for (size_t f = 0; f < sizeof others / sizeof *others; f++) {
        size_t n = (size_t)gguf_type_bytes(others[f].type, N), each = weight_format(others[f].type).bytes, places[2] = {0};
        size_t nplaces = others[f].type == WEIGHT_BF16 ? 1 : scale_places(others[f].type, places);
        uint8_t *bytes = array(n, 1);
        uint32_t made = 12345, sum = 2166136261u, bits;
        for (size_t i = 0; i < n; i++) {
            made = made * 1664525u + 1013904223u;
            bytes[i] = (uint8_t)(made >> 24);
        }
        for (size_t b = 0; b < n; b += each)
            for (size_t p = 0; p < nplaces; p++)
                bytes[b + places[p] + 1] &= 0xbf; /* scales are numbers, below 2 */
        dequantise(others[f].type, bytes, N, out);
        for (size_t i = 0; i < N; i++) {
            float v = out[i] + 0.0f; /* no zero with a sign */
            memcpy(&bits, &v, sizeof bits);
            sum = (sum ^ bits) * 16777619u;
        }
        if (sum != others[f].sum)
            fail_msg("%s: 0x%08x", weight_format(others[f].type).name, sum);
        free(bytes);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    const struct {
        uint32_t type;
        uint64_t n, bytes;
    } sizes[] = {
        {WEIGHT_BF16, 33, 66},  {WEIGHT_Q4_0, 64, 36}, {WEIGHT_Q4_0, 48, 0},    {WEIGHT_Q5_0, 32, 22},
        {WEIGHT_Q5_0, 31, 0},   {WEIGHT_Q5_1, 96, 72}, {WEIGHT_Q5_1, 97, 0},    {WEIGHT_Q4_K, 512, 288},
        {WEIGHT_Q4_K, 32, 0},   {WEIGHT_Q5_K, 256, 176}, {WEIGHT_Q5_K, 288, 0}, {WEIGHT_Q6_K, 256, 210},
        {WEIGHT_Q6_K, 128, 0},  {9, 256, 0},           {10, 256, 0},            {4, 256, 0},
        {WEIGHT_TYPES, 256, 0}, {UINT32_MAX, 256, 0},  {WEIGHT_Q6_K, INT32_MAX - 255ull, (INT32_MAX - 255ull) / 256 * 210},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_int_equal(gguf_type_bytes(sizes[i].type, sizes[i].n), sizes[i].bytes);
    assert_string_equal(weight_format(11).name, "Q3_K");
    assert_string_equal(weight_format(4).name, "?");
}

/* ---- products ---- */

struct bench {
    struct input in;
    float *out;
    uint8_t *weights;
    size_t rows, tokens, row_bytes;
    enum weight_type type;
};

static struct bench bench_new(enum weight_type type, size_t width, size_t rows, size_t tokens)
{
    struct bench b = {.type = type, .rows = rows, .tokens = tokens, .row_bytes = (size_t)gguf_type_bytes(type, width)};
    b.in.width = width;
    b.in.blocks = (width / BLOCK + LANES - 1) / LANES * LANES;
    b.in.x = array(tokens * width, sizeof(float));
    b.in.q = array(tokens * width, 1);
    b.in.d = array(tokens * b.in.blocks, sizeof(float));
    b.in.s = array(tokens * b.in.blocks, sizeof(float));
    b.out = array(tokens * rows, sizeof(float));
    b.weights = array(rows * b.row_bytes, 1);
    return b;
}

static void bench_free(struct bench *b)
{
    free(b->in.x), free(b->in.q), free(b->in.d), free(b->in.s), free(b->out), free(b->weights);
}

/* Ordinary numbers; all at the upper end, and at either end as the signs of the first row's weights are, which makes the
   largest sums there can be; large and tiny ones in turn. */
static void fill_input(struct bench *b, size_t kind)
{
    for (size_t t = 0; t < b->tokens; t++)
        for (size_t i = 0; i < b->in.width; i++) {
            float *x = &b->in.x[t * b->in.width + i];
            switch ((kind + t) % 4) {
            case 0: *x = random_float() * (i % 7 ? 1 : 20); break;
            case 1: *x = 3; break;
            case 2: *x = plain_weight(b->type, b->weights, i).w < 0 ? -3 : 3; break;
            default: *x = random_float() * (i / BLOCK % 2 ? 1e15f : 1e-25f); break;
            }
        }
}

/*
 * What a product may differ by. Integers are exact, so a block adds two terms, d * din * dot and m * s, each of at most
 * three roundings (d * din, times dot; s, times m); n blocks are added in some order with at most 2n + 3 roundings on
 * any term's way. With u = 2^-24 for one rounding that is (2n + 6) * u * sum |terms|. Blocks behind the last whole eight
 * may be added in parts (the fast set has four), whose sizes are together at most the sum of |w * q|. Where a product of
 * scales falls below 2^-126 a rounding is absolute, at most 2^-150, then times at most 2^24: 2^-126 a block. BF16 has a
 * term a weight.
 */
static double block_term(const struct bench *b, size_t row, size_t token, size_t block, double *sum)
{
    double d = (double)b->in.d[token * b->in.blocks + block], dot = 0, parts = 0, s = 0;
    struct plain w = {0};
    for (size_t i = block * BLOCK; i < (block + 1) * BLOCK; i++) {
        w = plain_weight(b->type, b->weights + row * b->row_bytes, i);
        dot += w.w * b->in.q[token * b->in.width + i];
        parts += fabs(w.w * b->in.q[token * b->in.width + i]);
        s += b->in.q[token * b->in.width + i];
    }
    *sum += w.d * d * dot + w.m * d * s;
    bool whole = block < b->in.width / BLOCK / LANES * LANES;
    return fabs(w.d * d * (whole ? dot : parts)) + fabs(w.m * d * s);
}

static double wanted(const struct bench *b, size_t row, size_t token, double *allowed)
{
    double sum = 0, size = 0;
    size_t n = b->type == WEIGHT_BF16 ? b->in.width : b->in.width / BLOCK;
    for (size_t i = 0; i < n; i++) {
        if (b->type == WEIGHT_BF16) {
            double one = plain_weight(b->type, b->weights + row * b->row_bytes, i).w * (double)b->in.x[token * n + i];
            sum += one, size += fabs(one);
        } else {
            size += block_term(b, row, token, i, &sum);
        }
    }
    *allowed = (2 * (double)n + 6) * 0x1p-24 * size + (double)n * 0x1p-126;
    return sum;
}

static void check(const struct ops *o, const struct bench *b, int pattern)
{
    for (size_t r = 0; r < b->rows; r++)
        for (size_t t = 0; t < b->tokens; t++) {
            double allowed, want = wanted(b, r, t, &allowed), got = (double)b->out[t * b->rows + r];
            if (isfinite(want) && fabs(want) < (double)FLT_MAX / 2 ? !(fabs(got - want) <= allowed) : isfinite(got))
                fail_msg("%s, %s, pattern %d, width %zu, row %zu of %zu, token %zu of %zu: %.9g instead of %.9g +- %.2g",
                         o->name, weight_format(b->type).name, pattern, b->in.width, r, b->rows, t, b->tokens, got, want,
                         allowed);
        }
}

static void multiply(const struct ops *o, struct bench *b)
{
    for (size_t i = 0; i < b->tokens; i++)
        o->quantise(&b->in, i);
    o->rows[b->type](b->weights, b->rows, &b->in, b->tokens, b->out, b->rows);
}

static void test_products(void **state)
{
    (void)state;
    const size_t widths[] = {32, 64, 96, 224, 256, 288, 512, 544, 1024, 1536}, counts[] = {1, 2, 33};
    const struct ops *sets[2];
    size_t n = all_sets(sets), round = 0;
    for (size_t i = 0; i < 2 * n * FORMATS * PATTERNS; i++)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++, round++) {
            enum weight_type type = formats[i / n % FORMATS];
            size_t width = widths[w] + (type == WEIGHT_BF16 ? w % 9 : 0);
            if (!gguf_type_bytes(type, width) || (width > 544 && round % 3))
                continue;
            struct bench b = bench_new(type, width, 1 + round % 4, counts[round % 3]);
            fill(type, (enum pattern)(i / n / FORMATS % PATTERNS), b.weights, b.rows * width);
            fill_input(&b, round);
            multiply(sets[i % n], &b);
            check(sets[i % n], &b, (int)(i / n / FORMATS % PATTERNS));
            bench_free(&b);
        }
}

/* One token alone, and the same token among others: the same bits. */
static void test_one_token_does_not_depend_on_the_others(void **state)
{
    (void)state;
    const struct ops *sets[2];
    for (size_t s = 0; s < all_sets(sets); s++)
        for (size_t f = 0; f < FORMATS; f++) {
            size_t width = weight_format(formats[f]).weights == GROUP ? 768 : 544;
            struct bench many = bench_new(formats[f], width, ROWS_MAX, 67), one = bench_new(formats[f], width, ROWS_MAX, 1);
            fill(formats[f], ANY, many.weights, ROWS_MAX * width);
            memcpy(one.weights, many.weights, ROWS_MAX * many.row_bytes);
            fill_input(&many, 0);
            multiply(sets[s], &many);
            for (size_t i = 0; i < 67; i++) {
                memcpy(one.in.x, many.in.x + i * width, width * sizeof(float));
                multiply(sets[s], &one);
                assert_memory_equal(one.out, many.out + i * ROWS_MAX, ROWS_MAX * sizeof(float));
            }
            bench_free(&many), bench_free(&one);
        }
}

/* A weight type that the reader lets through has its product in every set, and no other. */
static void test_every_format_has_its_product(void **state)
{
    (void)state;
    const struct ops *sets[2];
    for (size_t s = 0; s < all_sets(sets); s++)
        for (uint32_t type = 0; type < WEIGHT_TYPES; type++)
            assert_true((sets[s]->rows[type] != NULL) == (weight_format(type).weights != 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_are_those_of_the_description),
        cmocka_unit_test(test_weights_are_those_of_another_reader),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_one_token_does_not_depend_on_the_others),
        cmocka_unit_test(test_every_format_has_its_product),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
