/* infer/ops: each set of arithmetic gives what the formula gives, for odd sizes, extreme scales, and inputs that are not
   numbers; one token's result does not depend on the others. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer_rig.h"

struct bench {
    struct input in;
    float *out;
    void *weights;
    size_t rows, tokens;
};

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
    o->rows[type](b->weights, b->rows, &b->in, b->tokens, b->out, b->rows);
}

static size_t row_bytes(enum weight_type type, size_t width)
{
    return width / weight_format(type).weights * weight_format(type).bytes;
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

/* One token alone, and the same token among others: the same bits. */
static void test_one_token_does_not_depend_on_the_others(void **state)
{
    (void)state;
    const enum weight_type types[] = {WEIGHT_F32, WEIGHT_F16, WEIGHT_Q4_1, WEIGHT_Q8_0};
    const struct ops *sets[2];
    for (size_t s = 0; s < all_sets(sets); s++)
        for (size_t t = 0; t < 4; t++) {
            struct bench many = bench_new(544, ROWS_MAX, 67), one = bench_new(544, ROWS_MAX, 1);
            fill_weights(&many, types[t]);
            memcpy(one.weights, many.weights, ROWS_MAX * row_bytes(types[t], 544));
            for (size_t i = 0; i < 67; i++)
                sets[s]->quantise(&many.in, i);
            multiply(sets[s], types[t], &many);
            for (size_t i = 0; i < 67; i++) {
                memcpy(one.in.x, many.in.x + i * 544, 544 * sizeof(float));
                sets[s]->quantise(&one.in, 0);
                multiply(sets[s], types[t], &one);
                assert_memory_equal(one.out, many.out + i * ROWS_MAX, ROWS_MAX * sizeof(float));
            }
            bench_free(&many), bench_free(&one);
        }
}

/* Integers exactly the same in every set; an input that is no number gives a result that is none. */
static void test_quantise(void **state)
{
    (void)state;
    const struct ops *sets[2];
    size_t n = all_sets(sets);
    for (int round = 0; round < 200; round++) {
        struct bench a = bench_new(96, 1, 1), b = bench_new(96, 1, 1);
        for (size_t i = 0; i < 96; i++)
            a.in.x[i] = round % 5 == 0 ? 0 : random_float() * powf(10, (float)(round % 67) - 42);
        memcpy(b.in.x, a.in.x, 96 * sizeof(float));
        sets[0]->quantise(&a.in, 0);
        sets[n - 1]->quantise(&b.in, 0);
        assert_memory_equal(a.in.q, b.in.q, 96);
        assert_memory_equal(a.in.d, b.in.d, LANES * sizeof(float));
        assert_memory_equal(a.in.s, b.in.s, LANES * sizeof(float));
        for (size_t i = 0; i < 96; i++)
            assert_true(fabsf(a.in.x[i] - a.in.d[i / BLOCK] * a.in.q[i]) <= a.in.d[i / BLOCK] * 0.5001f + 1e-30f);
        bench_free(&a), bench_free(&b);
    }
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY, 3e38f};
    for (size_t i = 0; i < n * 5 * 64; i++) {
        struct bench b = bench_new(64, 1, 1);
        fill_weights(&b, WEIGHT_Q8_0);
        b.in.x[i % 64] = bad[i / 64 % 5];
        sets[i / 320]->quantise(&b.in, 0);
        multiply(sets[i / 320], WEIGHT_Q8_0, &b);
        assert_true(isnan(b.out[0]));
        bench_free(&b);
    }
}

static void test_attend(void **state)
{
    (void)state;
    const struct ops *sets[2];
    enum { K = 75, N = 3 * KEYS };
    for (size_t s = 0; s < all_sets(sets); s++)
        for (size_t m = 1; m <= QUERIES_MAX; m++)
            for (size_t k = 1; k <= K; k += 37) {
                float a[QUERIES_MAX][K], c[QUERIES_MAX][N];
                static uint16_t b[K][N];
                for (size_t i = 0; i < QUERIES_MAX * K; i++)
                    a[i / K][i % K] = random_float();
                for (size_t i = 0; i < K * N; i++)
                    b[i / N][i % N] = float_to_half(random_float());
                sets[s]->attend(m, N, k, a[0], K, b[0], N, c[0], N);
                for (size_t i = 0; i < m * N; i++) {
                    double sum = 0;
                    for (size_t l = 0; l < k; l++)
                        sum += (double)a[i / N][l] * (double)half_to_float(b[l][i % N]);
                    assert_true(fabs(sum - (double)c[i / N][i % N]) < 2e-5);
                }
            }
}

/* Each length up to some blocks, from an array that ends where it ends. */
static void test_elements(void **state)
{
    (void)state;
    const struct ops *sets[2];
    for (size_t s = 0; s < all_sets(sets); s++)
        for (size_t n = 1; n <= 40; n++) {
            float *x = array(n, 4), *y = array(n, 4), *z = array(n, 4), *w = array(n, 4);
            double sum = 0, squares = 0, most = -1e9;
            for (size_t i = 0; i < n; i++) {
                x[i] = y[i] = random_float() * 30;
                w[i] = random_float();
                most = fmax(most, (double)x[i]);
                squares += (double)x[i] * (double)x[i];
            }
            for (size_t i = 0; i < n; i++)
                sum += exp((double)x[i] - most);
            sets[s]->softmax(y, n);
            for (size_t i = 0; i < n; i++)
                assert_true(fabs((double)y[i] - exp((double)x[i] - most) / sum) < 1e-6);
            sets[s]->rmsnorm(z, x, w, n, 1e-5f);
            for (size_t i = 0; i < n; i++)
                assert_true(fabs((double)z[i] - (double)x[i] / sqrt(squares / (double)n + 1e-5) * (double)w[i]) < 1e-5);
            memcpy(y, x, n * sizeof *y);
            sets[s]->swiglu(y, w, n);
            for (size_t i = 0; i < n; i++)
                assert_true(fabs((double)y[i] - (double)x[i] / (1 + exp(-(double)x[i])) * (double)w[i]) < 1e-5);
            free(x), free(y), free(z), free(w);
        }
}

/* All half floats there and back; floats to the nearest one, in every set. */
static void test_half_floats(void **state)
{
    (void)state;
    const struct ops *sets[2];
    size_t n = all_sets(sets);
    for (uint32_t h = 0; h < 0x10000; h++) {
        float f = half_to_float((uint16_t)h);
        if (isnan(f))
            assert_true((h & 0x7c00) == 0x7c00 && (h & 0x3ff) && isnan(half_to_float(float_to_half(f))));
        else
            assert_int_equal(float_to_half(f), h);
    }
    assert_true(half_to_float(0x3c00) == 1 && half_to_float(1) == 0x1p-24f && half_to_float(0x7bff) == 65504);
    assert_int_equal(float_to_half(65519), 0x7bff);
    assert_int_equal(float_to_half(65520), 0x7c00);
    for (int round = 0; round < 20000; round++) {
        uint32_t bits = random_u32();
        float f[9];
        uint16_t out[9];
        for (size_t i = 0; i < 9; i++, bits = bits * 2654435761u + 12345)
            memcpy(&f[i], &bits, sizeof bits);
        sets[n - 1]->to_half(out, f, 9);
        for (size_t i = 0; i < 9; i++)
            assert_true(out[i] == float_to_half(f[i]) || isnan(f[i]));
    }
}

static void test_choice(void **state)
{
    (void)state;
    assert_ptr_equal(ops_best("scalar"), &ops_scalar);
    assert_ptr_equal(ops_best(NULL), ops_avx2() ? ops_avx2() : &ops_scalar);
    assert_ptr_equal(ops_best("avx2"), ops_avx2());
    assert_null(ops_best("mmx"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_one_token_does_not_depend_on_the_others),
        cmocka_unit_test(test_quantise),
        cmocka_unit_test(test_attend),
        cmocka_unit_test(test_elements),
        cmocka_unit_test(test_half_floats),
        cmocka_unit_test(test_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
