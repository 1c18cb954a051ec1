/* infer/ops: each set of arithmetic gives what the formula gives, for odd sizes, extreme scales, and inputs that are not
   numbers; one token's result does not depend on the others. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/ops.h"

static uint32_t random_state = 1;

static uint32_t random_u32(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8 ^ random_state << 11;
}

static float random_float(void) /* in [-1, 1] */
{
    return (float)(int32_t)random_u32() * 0x1p-31f;
}

/* All sets of this machine; the scalar one too: it must agree with the formula in doubles. */
static size_t all_sets(const struct ops *sets[2])
{
    sets[0] = &ops_scalar;
    sets[1] = ops_avx2();
    return sets[1] ? 2 : 1;
}

struct bench {
    struct input in;
    float *out;
    void *weights;
    size_t rows, tokens;
};

static void *array(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size); /* exact, so that a sanitizer sees the first byte behind it */
    assert_non_null(p);
    return p;
}

static struct bench bench_new(size_t width, size_t rows, size_t tokens)
{
    struct bench b = {.rows = rows, .tokens = tokens};
    b.in.width = width;
    b.in.blocks = (width / BLOCK + LANES - 1) / LANES * LANES;
    b.in.x = array(tokens * width, sizeof(float));
    b.in.q = array(tokens * width, 1);
    b.in.d = array(tokens * b.in.blocks, sizeof(float));
    b.in.s = array(tokens * b.in.blocks, sizeof(float));
    b.out = array(tokens * rows, sizeof(float));
    b.weights = array(rows * width, sizeof(float));
    for (size_t i = 0; i < tokens * width; i++)
        b.in.x[i] = random_float() * (i % 7 ? 1 : 20);
    return b;
}

static void bench_free(struct bench *b)
{
    free(b->in.x), free(b->in.q), free(b->in.d), free(b->in.s), free(b->out), free(b->weights);
}

/* Every bit pattern but scales that are not numbers; blocks of zero, of the largest and the least weights among them. */
static void fill_weights(struct bench *b, enum weight_type type)
{
    size_t n = b->rows * b->in.width;
    for (size_t i = 0; i < n && type == WEIGHT_F32; i++)
        ((float *)b->weights)[i] = random_float();
    for (size_t i = 0; i < n && type == WEIGHT_F16; i++)
        ((uint16_t *)b->weights)[i] = float_to_half(random_float());
    for (size_t i = 0; i < n / BLOCK && type == WEIGHT_Q4_1; i++) {
        struct block_q4_1 *w = (struct block_q4_1 *)b->weights + i;
        *w = (struct block_q4_1){float_to_half(random_float() * 10), float_to_half(random_float() * 10), {0}};
        for (size_t j = 0; j < sizeof w->w; j++)
            w->w[j] = i % 5 == 0 ? 0xff : i % 5 == 1 ? 0 : (uint8_t)random_u32();
    }
    for (size_t i = 0; i < n / BLOCK && type == WEIGHT_Q8_0; i++) {
        struct block_q8_0 *w = (struct block_q8_0 *)b->weights + i;
        w->d = float_to_half(random_float() * 10);
        for (size_t j = 0; j < BLOCK; j++)
            w->w[j] = i % 5 == 0 ? -128 : i % 5 == 1 ? 127 : (int8_t)random_u32();
    }
}

static void multiply(const struct ops *o, enum weight_type type, struct bench *b)
{
    void (*rows)(const void *, size_t, const struct input *, size_t, float *, size_t) =
        type == WEIGHT_Q4_1 ? o->rows_q4_1 : type == WEIGHT_Q8_0 ? o->rows_q8_0 : type == WEIGHT_F16 ? o->rows_f16 : o->rows_f32;
    rows(b->weights, b->rows, &b->in, b->tokens, b->out, b->rows);
}

static size_t row_bytes(enum weight_type type, size_t width)
{
    return type == WEIGHT_Q4_1   ? width / BLOCK * sizeof(struct block_q4_1)
           : type == WEIGHT_Q8_0 ? width / BLOCK * sizeof(struct block_q8_0)
                                 : width * (type == WEIGHT_F16 ? 2 : 4);
}

/* out against the sum in doubles over what the input really is for this type: quantised, or float. */
static void check_product(enum weight_type type, const struct bench *b)
{
    bool quantised = type == WEIGHT_Q4_1 || type == WEIGHT_Q8_0;
    float *w = array(b->in.width, sizeof *w);
    for (size_t r = 0; r < b->rows; r++) {
        dequantise(type, (const char *)b->weights + r * row_bytes(type, b->in.width), b->in.width, w);
        for (size_t t = 0; t < b->tokens; t++) {
            double sum = 0, size = 0;
            for (size_t i = 0; i < b->in.width; i++) {
                double x = b->in.x[t * b->in.width + i];
                if (quantised)
                    x = (double)b->in.d[t * b->in.blocks + i / BLOCK] * b->in.q[t * b->in.width + i];
                sum += x * (double)w[i];
                size += fabs(x * (double)w[i]);
            }
            /* Floats are added in another order: some units in the last place of what is added. Q4_1's two parts of a
               weight are added apart, and each can be larger than the weight. */
            double allowed = (type == WEIGHT_Q4_1 ? 40 : 4) * 2e-6 * size + 1e-6;
            assert_true(fabs((double)b->out[t * b->rows + r] - sum) <= allowed);
        }
    }
    free(w);
}

static void test_products(void **state)
{
    (void)state;
    const enum weight_type types[] = {WEIGHT_F32, WEIGHT_F16, WEIGHT_Q4_1, WEIGHT_Q8_0};
    const size_t widths[] = {32, 64, 96, 224, 256, 288, 544, 576, 1536}, counts[] = {1, 2, 7, 8, 9, 64, 67};
    const struct ops *sets[2];
    for (size_t s = 0; s < all_sets(sets); s++)
        for (size_t t = 0; t < 4; t++)
            for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
                for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
                    struct bench b = bench_new(widths[w], 1 + (w + c) % ROWS_MAX, counts[c]);
                    fill_weights(&b, types[t]);
                    for (size_t i = 0; i < b.tokens; i++)
                        sets[s]->quantise(&b.in, i);
                    multiply(sets[s], types[t], &b);
                    check_product(types[t], &b);
                    bench_free(&b);
                }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
