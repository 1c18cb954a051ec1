/*
 * How weights lie in a model file: the formats that this build reads, block by block.
 *
 * Source of the layouts: the public descriptions of GGUF and of the types of GGML; numbers are little-endian. A row is
 * whole blocks, one behind the other, without padding. A weight is scale * w + minimum, where w is a small integer; the
 * minimum is 0 or follows from the scale for some formats. A minimum and a scale are half floats (IEEE 754 binary16).
 *
 * "Halves of bytes": 16 bytes hold 32 numbers of 4 bits, the low half of byte j is number j, its high half number j + 16.
 */
#ifndef CRANNOG_INFER_WEIGHTS_H
#define CRANNOG_INFER_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

enum {
    BLOCK = 32,  /* weights that share a scale */
    GROUP = 256, /* weights of a block of the K formats: eight blocks of 32 whose scales have a scale of their own */
};

/* The numbers are those of GGUF. */
enum weight_type {
    WEIGHT_F32 = 0,
    WEIGHT_F16 = 1,
    WEIGHT_Q4_0 = 2,
    WEIGHT_Q4_1 = 3,
    WEIGHT_Q5_0 = 6,
    WEIGHT_Q5_1 = 7,
    WEIGHT_Q8_0 = 8,
    WEIGHT_Q4_K = 12,
    WEIGHT_Q5_K = 13,
    WEIGHT_Q6_K = 14,
    WEIGHT_BF16 = 30, /* the upper half of a float's bits */
    WEIGHT_TYPES
};

struct block_q4_0 {
    uint16_t d;           /* weight = d * (w - 8) */
    uint8_t w[BLOCK / 2]; /* halves of bytes */
};

struct block_q4_1 {
    uint16_t d, m;        /* half floats: weight = d * w + m */
    uint8_t w[BLOCK / 2]; /* low halves: weights 0-15; high halves: 16-31 */
};

struct block_q5_0 {
    uint16_t d;           /* weight = d * (w - 16) */
    uint8_t h[BLOCK / 8]; /* bit j: the fifth bit of w j */
    uint8_t w[BLOCK / 2]; /* halves of bytes: the lower four bits */
};

struct block_q5_1 {
    uint16_t d, m;        /* weight = d * w + m */
    uint8_t h[BLOCK / 8]; /* as in q5_0 */
    uint8_t w[BLOCK / 2];
};

struct block_q8_0 {
    uint16_t d; /* half float: weight = d * w */
    int8_t w[BLOCK];
};

/*
 * Q4_K and Q5_K: block b of 32 has a scale and a minimum of 6 bits each: weight = d * scale[b] * w - m * minimum[b].
 * 12 bytes hold them: for b < 4 the scale is the low 6 bits of byte b, the minimum those of byte b + 4; for b >= 4 their
 * low four bits are the low and the high half of byte b + 4, their two upper bits the upper ones of byte b - 4 and b.
 */
enum { GROUP_SCALES = 12 };

struct block_q4_k {
    uint16_t d, m;
    uint8_t scales[GROUP_SCALES];
    uint8_t w[GROUP / 2]; /* 32 bytes for two blocks: byte j has in its low half w j of the first, in its high of the second */
};

struct block_q5_k {
    uint16_t d, m;
    uint8_t scales[GROUP_SCALES];
    uint8_t h[BLOCK];     /* bit b of byte j: the fifth bit of w j of block b */
    uint8_t w[GROUP / 2]; /* the lower four bits, as in q4_k */
};

/* Each half of the group, 128 weights in four blocks of 32, has 64 bytes of w, 32 of h. A scale is for 16 weights. */
struct block_q6_k {
    uint8_t w[GROUP / 2]; /* the lower four bits: low halves of the 64 bytes for its blocks 0 and 1, high ones for 2, 3 */
    uint8_t h[GROUP / 4]; /* bits 2b and 2b + 1 of byte j: the upper two bits of w j of its block b */
    int8_t scales[GROUP / 16]; /* weight = d * scale * (w - 32) */
    uint16_t d;
};

/* Their names, for a message. */
#define WEIGHT_FORMATS "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K"

struct weight_format {
    const char *name; /* "?" for a number that GGUF does not know */
    size_t weights;   /* a block; 0 where this build does not read it */
    size_t bytes;     /* a block */
};
struct weight_format weight_format(uint32_t type);

/* 32 weights as integers: weight = d * w + m. Exact, in every format: d, m and d * w need no more digits than a float
   has. For Q6_K a w is its scale * (w - 32), at most 128 * 32. */
struct weights {
    float d, m;
    int16_t w[BLOCK];
};
/* Weights 32 * block and further of a row of Q4_0, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K. */
void weights_unpack(enum weight_type type, const void *row, size_t block, struct weights *ret);

/* One row of weights as floats. */
void dequantise(enum weight_type type, const void *row, size_t n, float *out);

float half_to_float(uint16_t h);
uint16_t float_to_half(float f); /* to the nearest, ties to even; too large: infinity */
float bf16_to_float(uint16_t h);

#endif
