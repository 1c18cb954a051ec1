#include "infer/ops.h"

#include <math.h>
#include <string.h>

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

void dequantise(enum weight_type type, const void *row, size_t n, float *out)
{
    const struct block_q4_1 *q4 = row;
    const struct block_q8_0 *q8 = row;
    const uint16_t *half = row;
    for (size_t i = 0; i < n; i++) {
        size_t b = i / BLOCK, j = i % BLOCK;
        switch (type) {
        case WEIGHT_F32: out[i] = ((const float *)row)[i]; break;
        case WEIGHT_F16: out[i] = half_to_float(half[i]); break;
        case WEIGHT_Q8_0: out[i] = half_to_float(q8[b].d) * q8[b].w[j]; break;
        case WEIGHT_Q4_1:
            out[i] = half_to_float(q4[b].d) * (j < 16 ? q4[b].w[j] & 15 : q4[b].w[j - 16] >> 4) + half_to_float(q4[b].m);
            break;
        }
    }
}

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
    .name = "scalar", .quantise = quantise, .rows_q4_1 = rows_q4_1, .rows_q8_0 = rows_q8_0, .rows_f16 = rows_f16,
    .rows_f32 = rows_f32, .attend = attend, .softmax = softmax, .swiglu = swiglu, .rmsnorm = rmsnorm, .to_half = to_half,
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
