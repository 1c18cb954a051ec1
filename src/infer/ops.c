#include "infer/ops.h"

#include <math.h>
#include <string.h>

/* ---- the reference ---- */

static void quantise(const struct input *in, size_t token)
{
    const float *x = in->x + token * in->width;
    int8_t *q = in->q + token * in->width;
    float *d = in->d + token * in->blocks, *s = in->s + token * in->blocks;
    for (size_t b = 0; b < in->blocks; b++) {
        d[b] = s[b] = 0;
        if (b >= in->width / BLOCK)
            continue;
        float most = 0;
        bool sane = true;
        int sum = 0;
        for (size_t i = b * BLOCK; i < (b + 1) * BLOCK; i++) {
            most = fmaxf(most, fabsf(x[i]));
            sane = sane && fabsf(x[i]) <= 1e30f; /* not where it is NaN */
        }
        float scale = most > 1e-30f ? 127 / most : 0; /* less counts as nothing: 127 / most must be a number */
        for (size_t i = b * BLOCK; i < (b + 1) * BLOCK; i++) {
            q[i] = sane ? (int8_t)rintf(x[i] * scale) : 0;
            sum += q[i];
        }
        d[b] = sane ? (scale > 0 ? most / 127 : 0) : NAN; /* not a number in, not a number out */
        s[b] = d[b] * (float)sum;
    }
}

static void rows_q4_1(const void *weights, size_t rows, const struct input *in, size_t tokens, float *out, size_t stride)
{
    size_t n = in->width / BLOCK;
    for (size_t t = 0; t < tokens; t++) {
        for (size_t r = 0; r < rows; r++) {
            const struct block_q4_1 *w = (const struct block_q4_1 *)weights + r * n;
            float sum = 0;
            for (size_t b = 0; b < n; b++) {
                const int8_t *q = in->q + t * in->width + b * BLOCK;
                int dot = 0;
                for (size_t i = 0; i < BLOCK / 2; i++)
                    dot += (w[b].w[i] & 15) * q[i] + (w[b].w[i] >> 4) * q[i + 16];
                sum += half_to_float(w[b].d) * in->d[t * in->blocks + b] * (float)dot +
                       half_to_float(w[b].m) * in->s[t * in->blocks + b];
            }
            out[t * stride + r] = sum;
        }
    }
}

static void rows_q8_0(const void *weights, size_t rows, const struct input *in, size_t tokens, float *out, size_t stride)
{
    size_t n = in->width / BLOCK;
    for (size_t t = 0; t < tokens; t++) {
        for (size_t r = 0; r < rows; r++) {
            const struct block_q8_0 *w = (const struct block_q8_0 *)weights + r * n;
            float sum = 0;
            for (size_t b = 0; b < n; b++) {
                const int8_t *q = in->q + t * in->width + b * BLOCK;
                int dot = 0;
                for (size_t i = 0; i < BLOCK; i++)
                    dot += w[b].w[i] * q[i];
                sum += half_to_float(w[b].d) * in->d[t * in->blocks + b] * (float)dot;
            }
            out[t * stride + r] = sum;
        }
    }
}

/* The other quantised formats: 32 weights at a time, unpacked as weights.h says. */
static void rows_blocks(enum weight_type type, const void *weights, size_t rows, const struct input *in, size_t tokens,
                        float *out, size_t stride)
{
    struct weight_format format = weight_format(type);
    size_t n = in->width / BLOCK, row_bytes = in->width / format.weights * format.bytes;
    for (size_t r = 0; r < rows; r++) {
        for (size_t t = 0; t < tokens; t++)
            out[t * stride + r] = 0;
        for (size_t b = 0; b < n; b++) {
            struct weights w;
            weights_unpack(type, (const char *)weights + r * row_bytes, b, &w);
            for (size_t t = 0; t < tokens; t++) {
                const int8_t *q = in->q + t * in->width + b * BLOCK;
                int dot = 0;
                for (size_t i = 0; i < BLOCK; i++)
                    dot += w.w[i] * q[i];
                out[t * stride + r] += w.d * in->d[t * in->blocks + b] * (float)dot + w.m * in->s[t * in->blocks + b];
            }
        }
    }
}

#define ROWS(name, type)                                                                                              \
    static void rows_##name(const void *weights, size_t rows, const struct input *in, size_t tokens, float *out,      \
                            size_t stride)                                                                            \
    {                                                                                                                 \
        rows_blocks(type, weights, rows, in, tokens, out, stride);                                                    \
    }
ROWS(q4_0, WEIGHT_Q4_0)
ROWS(q5_0, WEIGHT_Q5_0)
ROWS(q5_1, WEIGHT_Q5_1)
ROWS(q4_k, WEIGHT_Q4_K)
ROWS(q5_k, WEIGHT_Q5_K)
ROWS(q6_k, WEIGHT_Q6_K)

static void rows_f16(const void *weights, size_t rows, const struct input *in, size_t tokens, float *out, size_t stride)
{
    const uint16_t *w = weights;
    for (size_t t = 0; t < tokens; t++) {
        for (size_t r = 0; r < rows; r++) {
            float sum = 0;
            for (size_t i = 0; i < in->width; i++)
                sum += half_to_float(w[r * in->width + i]) * in->x[t * in->width + i];
            out[t * stride + r] = sum;
        }
    }
}

static void rows_bf16(const void *weights, size_t rows, const struct input *in, size_t tokens, float *out, size_t stride)
{
    const uint16_t *w = weights;
    for (size_t t = 0; t < tokens; t++) {
        for (size_t r = 0; r < rows; r++) {
            float sum = 0;
            for (size_t i = 0; i < in->width; i++)
                sum += bf16_to_float(w[r * in->width + i]) * in->x[t * in->width + i];
            out[t * stride + r] = sum;
        }
    }
}

static void rows_f32(const void *weights, size_t rows, const struct input *in, size_t tokens, float *out, size_t stride)
{
    const float *w = weights;
    for (size_t t = 0; t < tokens; t++) {
        for (size_t r = 0; r < rows; r++) {
            float sum = 0;
            for (size_t i = 0; i < in->width; i++)
                sum += w[r * in->width + i] * in->x[t * in->width + i];
            out[t * stride + r] = sum;
        }
    }
}

static void attend(size_t m, size_t n, size_t k, const float *a, size_t lda, const uint16_t *b, size_t ldb, float *c,
                   size_t ldc)
{
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++)
            c[i * ldc + j] = 0;
        for (size_t l = 0; l < k; l++)
            for (size_t j = 0; j < n; j++)
                c[i * ldc + j] += a[i * lda + l] * half_to_float(b[l * ldb + j]);
    }
}

static void softmax(float *x, size_t n)
{
    float most = x[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > most)
            most = x[i];
    for (size_t i = 0; i < n; i++) {
        x[i] = expf(x[i] - most);
        sum += x[i];
    }
    for (size_t i = 0; i < n; i++)
        x[i] /= sum;
}

static void swiglu(float *x, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] / (1 + expf(-x[i])) * up[i];
}

static void rmsnorm(float *out, const float *x, const float *weight, size_t n, float epsilon)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    float scale = 1 / sqrtf(sum / (float)n + epsilon);
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] * scale * weight[i];
}

static void to_half(uint16_t *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = float_to_half(x[i]);
}

const struct ops ops_scalar = {
    .name = "scalar", .quantise = quantise, .attend = attend, .softmax = softmax, .swiglu = swiglu, .rmsnorm = rmsnorm,
    .to_half = to_half,
    .rows = {[WEIGHT_F32] = rows_f32, [WEIGHT_F16] = rows_f16, [WEIGHT_BF16] = rows_bf16, [WEIGHT_Q8_0] = rows_q8_0,
             [WEIGHT_Q4_0] = rows_q4_0, [WEIGHT_Q4_1] = rows_q4_1, [WEIGHT_Q5_0] = rows_q5_0, [WEIGHT_Q5_1] = rows_q5_1,
             [WEIGHT_Q4_K] = rows_q4_k, [WEIGHT_Q5_K] = rows_q5_k, [WEIGHT_Q6_K] = rows_q6_k},
};

/* ---- the choice ---- */

#ifndef HAVE_OPS_AVX2
const struct ops *ops_avx2(void)
{
    return NULL;
}
#endif

const struct ops *ops_best(const char *forced)
{
    const struct ops *fast = ops_avx2();
    if (!forced || !*forced)
        return fast ? fast : &ops_scalar;
    if (!strcmp(forced, ops_scalar.name))
        return &ops_scalar;
    return fast && !strcmp(forced, fast->name) ? fast : NULL;
}
