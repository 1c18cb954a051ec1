#include "tiny_gguf.h"

#include <stdlib.h>
#include <string.h>

#include "infer/gguf.h"
#include "infer/ops.h"

enum { ALIGNMENT = 32, FILE_MAX = 64 << 20, TENSORS_MAX = 128 };

struct tensor {
    char name[64];
    uint32_t type, made_as; /* in the file; the format in which its weights are made up */
    uint64_t columns, rows, offset;
};

struct writer {
    const struct tiny *t;
    struct buf keys;
    uint64_t nkeys;
    struct tensor tensors[TENSORS_MAX];
    size_t ntensors;
};

static bool same(const char *a, const char *b)
{
    return a && b && !strcmp(a, b);
}

static void put_string(struct buf *b, struct slice s)
{
    buf_add_u64(b, s.n);
    buf_add(b, s);
}

/* True as often as the key is to be written. */
static unsigned start_key(struct writer *w, const char *name)
{
    return same(w->t->without, name) ? 0 : same(w->t->twice, name) ? 2 : 1;
}

static void key(struct writer *w, const char *name, uint32_t kind)
{
    put_string(&w->keys, slice_of(name));
    buf_add_u32(&w->keys, kind);
    w->nkeys++;
}

static void key_u32(struct writer *w, const char *name, uint32_t v)
{
    for (unsigned i = start_key(w, name); i; i--) {
        key(w, name, GGUF_U32);
        buf_add_u32(&w->keys, v);
    }
}

static void key_f32(struct writer *w, const char *name, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    for (unsigned i = start_key(w, name); i; i--) {
        key(w, name, GGUF_F32);
        buf_add_u32(&w->keys, bits);
    }
}

static void key_string(struct writer *w, const char *name, const char *v)
{
    for (unsigned i = start_key(w, name); i; i--) {
        key(w, name, GGUF_STRING);
        put_string(&w->keys, slice_of(v));
    }
}

static void start_array(struct writer *w, const char *name, uint32_t kind, uint64_t n)
{
    key(w, name, GGUF_ARRAY);
    buf_add_u32(&w->keys, kind);
    buf_add_u64(&w->keys, n);
}

/* ---- vocabulary: the byte alphabet has other letters for a blank and a newline ---- */

#define BLANK "\xc4\xa0"
#define LINE "\xc4\x8a"
static const char *const merges[][2] = {{"t", "h"}, {"th", "e"}, {BLANK, "the"}, {"i", "n"}, {"in", "g"}, {BLANK, BLANK},
                                       {"n", "t"}, {LINE, BLANK}, {LINE, LINE BLANK}, {LINE, LINE LINE BLANK}};
enum { MERGES = sizeof merges / sizeof *merges };

static void byte_token(struct buf *b, unsigned byte)
{
    unsigned other = 0;
    for (unsigned i = 0; i <= byte; i++) {
        bool itself = (i >= 33 && i <= 126) || (i >= 161 && i <= 172) || i >= 174;
        unsigned c = itself ? i : 256 + other++;
        char text[2] = {(char)(c < 0x80 ? c : 0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))};
        if (i == byte)
            put_string(b, (struct slice){text, c < 0x80 ? 1 : 2});
    }
}

static void vocabulary(struct writer *w)
{
    const char *const controls[] = {"<|im_start|>", "<|im_end|>", w->t->endless ? "<|other|>" : "<|endoftext|>"};
    if (start_key(w, "tokenizer.ggml.tokens")) {
        start_array(w, "tokenizer.ggml.tokens", GGUF_STRING, TINY_VOCAB);
        for (unsigned i = 0; i < 256; i++)
            byte_token(&w->keys, i);
        for (size_t i = 0; i < MERGES; i++) {
            buf_add_u64(&w->keys, strlen(merges[i][0]) + strlen(merges[i][1]));
            buf_add_text(&w->keys, merges[i][0]);
            buf_add_text(&w->keys, merges[i][1]);
        }
        for (size_t i = 0; i < 3; i++)
            put_string(&w->keys, slice_of(controls[i]));
    }
    if (start_key(w, "tokenizer.ggml.merges")) {
        start_array(w, "tokenizer.ggml.merges", GGUF_STRING, MERGES);
        for (size_t i = 0; i < MERGES; i++) {
            buf_add_u64(&w->keys, strlen(merges[i][0]) + strlen(merges[i][1]) + 1);
            buf_addf(&w->keys, "%s %s", merges[i][0], merges[i][1]);
        }
    }
    start_array(w, "tokenizer.ggml.token_type", GGUF_I32, TINY_VOCAB);
    for (int i = 0; i < TINY_VOCAB; i++)
        buf_add_u32(&w->keys, i < TINY_OPEN ? 1 : 3);
}

static void all_keys(struct writer *w)
{
    const struct tiny *t = w->t;
    key_string(w, "general.architecture", "llama");
    key_string(w, "general.name", "tiny");
    key_u32(w, "llama.block_count", t->layers);
    key_u32(w, "llama.context_length", t->context);
    key_u32(w, "llama.embedding_length", t->width);
    key_u32(w, "llama.feed_forward_length", t->hidden);
    key_u32(w, "llama.attention.head_count", t->heads);
    key_u32(w, "llama.attention.head_count_kv", t->kv_heads);
    key_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    key_f32(w, "llama.rope.freq_base", 10000);
    key_string(w, "tokenizer.ggml.model", "gpt2");
    key_string(w, "tokenizer.ggml.pre", "smollm");
    vocabulary(w);
    if (!t->endless)
        key_u32(w, "tokenizer.ggml.eos_token_id", TINY_CLOSE);
    if (!t->no_template)
        key_string(w, "tokenizer.chat_template", "{% if first %}{{ '<|im_start|>system\nBe kind<|im_end|>\n' }}{% endif %}");
}

/* ---- weights ---- */

static void tensor(struct writer *w, const char *name, uint32_t type, uint64_t columns, uint64_t rows)
{
    unsigned times = start_key(w, name);
    rows -= same(w->t->short_by_a_row, name);
    for (unsigned i = 0; i < times; i++) {
        struct tensor *n = &w->tensors[w->ntensors++];
        *n = (struct tensor){.type = w->t->floats ? WEIGHT_F32 : type, .made_as = type, .columns = columns, .rows = rows};
        memcpy(n->name, name, strlen(name));
    }
}

static void all_tensors(struct writer *w)
{
    const struct tiny *t = w->t;
    uint64_t head = t->width / t->heads, kv = head * t->kv_heads;
    tensor(w, "token_embd.weight", t->type, t->width, TINY_VOCAB);
    for (uint32_t i = 0; i < t->layers; i++) {
        const struct {
            const char *name;
            uint64_t columns, rows;
        } parts[] = {
            {"attn_norm", t->width, 0}, {"ffn_norm", t->width, 0}, {"attn_q", t->width, t->width},
            {"attn_k", t->width, kv}, {"attn_v", t->width, kv}, {"attn_output", t->width, t->width},
            {"ffn_gate", t->width, t->hidden}, {"ffn_up", t->width, t->hidden}, {"ffn_down", t->hidden, t->width},
        };
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
            BUF_CLEANUP struct buf name = BUF_INIT(64);
            buf_addf(&name, "blk.%u.%s.weight", i, parts[p].name);
            tensor(w, buf_str(&name), parts[p].rows ? t->type : WEIGHT_F32, parts[p].columns, parts[p].rows ? parts[p].rows : 1);
        }
    }
    tensor(w, "output_norm.weight", WEIGHT_F32, t->width, 1);
    if (t->own_output)
        tensor(w, "output.weight", t->type, t->width, TINY_VOCAB);
}

static float weight(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(int32_t)*state * 0x1p-31f;
}

static void write_f32(struct buf *b, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    buf_add_u32(b, bits);
}

static void write_bf16(struct buf *b, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    buf_add_u16(b, (uint16_t)(bits >> 16));
}

/* The half floats that a block of random bits has, and where: weights are around zero and mostly below `scale`. The
   scales of 6 bits are 31.5 on average, the small integers 7.5 and 15.5. */
static void write_scales(struct buf *b, uint32_t type, float scale)
{
    float d = type == WEIGHT_Q4_K ? scale / 500 : scale / 1000;
    switch (type) {
    case WEIGHT_Q4_0: buf_add_u16(b, float_to_half(scale / 8)); break;
    case WEIGHT_Q5_0: buf_add_u16(b, float_to_half(scale / 16)); break;
    case WEIGHT_Q8_0: buf_add_u16(b, float_to_half(scale / 127)); break;
    case WEIGHT_Q6_K: buf_add_u16(b, float_to_half(scale / 4000)); break; /* 32 * 128 */
    case WEIGHT_Q4_1:
    case WEIGHT_Q5_1:
        buf_add_u16(b, float_to_half(scale / (type == WEIGHT_Q4_1 ? 8 : 16)));
        buf_add_u16(b, float_to_half(-scale));
        break;
    default:
        buf_add_u16(b, float_to_half(d));
        buf_add_u16(b, float_to_half(d * (type == WEIGHT_Q4_K ? 7.5f : 15.5f)));
    }
}

static void write_block(struct buf *b, uint32_t type, float scale, uint32_t *state)
{
    size_t start = b->n, all = weight_format(type).bytes;
    if (type != WEIGHT_Q6_K)
        write_scales(b, type, scale);
    for (size_t n = all - (type == WEIGHT_Q6_K ? 2 : b->n - start); n; n--) {
        float w = weight(state);
        buf_add_char(b, type == WEIGHT_Q4_1 || type == WEIGHT_Q8_0 ? (char)(int)(w * 127) : (char)(*state >> 24));
    }
    if (type == WEIGHT_Q6_K)
        write_scales(b, type, scale);
}

/* The row that has just been written, as floats. */
static void make_floats(struct buf *b, size_t start, uint32_t type, uint64_t columns)
{
    float *row = malloc(columns * sizeof *row), *aligned = malloc(b->n - start);
    if (!row || !aligned || !buf_ok(b))
        abort();
    memcpy(aligned, b->p + start, b->n - start);
    dequantise(type, aligned, columns, row);
    b->n = start;
    for (uint64_t i = 0; i < columns; i++)
        write_f32(b, row[i]);
    free(row), free(aligned);
}

static void write_row(struct buf *b, const struct tensor *n, float scale, uint32_t *state)
{
    bool norm = strstr(n->name, "norm") != NULL;
    for (uint64_t i = 0; i < n->columns; i++) {
        if (n->made_as == WEIGHT_F32)
            write_f32(b, norm ? 1 + weight(state) / 4 : weight(state) * scale);
        else if (n->made_as == WEIGHT_F16)
            buf_add_u16(b, float_to_half(weight(state) * scale));
        else if (n->made_as == WEIGHT_BF16)
            write_bf16(b, weight(state) * scale);
        else if (i % weight_format(n->made_as).weights == 0)
            write_block(b, n->made_as, scale, state);
    }
}

static void write_weights(struct buf *b, const struct tensor *n, float scale)
{
    uint32_t state = 7;
    for (const char *p = n->name; *p; p++)
        state = state * 31 + (unsigned char)*p;
    for (uint64_t r = 0; r < n->rows; r++) {
        size_t start = b->n;
        write_row(b, n, scale, &state);
        if (n->type != n->made_as)
            make_floats(b, start, n->made_as, n->columns);
    }
    while (b->n % ALIGNMENT)
        buf_add_char(b, 0);
}

static void describe(struct buf *b, struct writer *w)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < w->ntensors; i++) {
        struct tensor *n = &w->tensors[i];
        put_string(b, slice_of(n->name));
        buf_add_u32(b, n->rows == 1 ? 1 : 2);
        buf_add_u64(b, n->columns);
        if (n->rows != 1)
            buf_add_u64(b, n->rows);
        buf_add_u32(b, n->type);
        buf_add_u64(b, offset);
        offset += (gguf_type_bytes(n->type, n->columns) * n->rows + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    while (b->n % ALIGNMENT)
        buf_add_char(b, 0);
}

struct buf tiny_gguf(const struct tiny *t)
{
    struct buf b = BUF_INIT(FILE_MAX);
    struct writer w = {.t = t, .keys = BUF_INIT(1 << 20)};
    all_keys(&w);
    all_tensors(&w);
    buf_add_text(&b, "GGUF");
    buf_add_u32(&b, 3);
    buf_add_u64(&b, w.ntensors);
    buf_add_u64(&b, w.nkeys);
    buf_add(&b, buf_slice(&w.keys));
    describe(&b, &w);
    for (size_t i = 0; i < w.ntensors; i++)
        write_weights(&b, &w.tensors[i], t->scale > 0 ? t->scale : 1);
    buf_release(&w.keys);
    if (!buf_ok(&b))
        abort();
    return b;
}
