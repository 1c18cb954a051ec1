#include "infer/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "infer/pool.h"

/* rows x columns weights, row by row as in the file. */
struct matrix {
    enum weight_type type;
    size_t rows, columns;
    const char *data;
};

struct layer {
    const float *attention_norm, *feed_norm;
    struct matrix q, k, v, o, gate, up, down;
    uint16_t *keys;   /* [kv_head][cells / KEYS][head][KEYS]: KEYS keys side by side, as `attend` wants its b */
    uint16_t *values; /* [kv_head][cells][head] */
};

struct model {
    struct shape shape;
    size_t cells; /* of the cache: the context in whole groups of KEYS */
    const struct ops *ops;
    struct pool *pool;
    struct arena memory;
    struct matrix embedding, output;
    const float *output_norm;
    struct layer *layers;

    /* One batch in work; [MODEL_BATCH] tokens each. */
    float *stream;                  /* [width] */
    struct input normed;            /* width: input of q, k, v and of gate, up */
    struct input mixed;             /* heads * head: what attention gives */
    struct input gated;             /* hidden */
    float *q, *k, *v, *up, *delta;  /* [heads * head], 2 x [kv_heads * head], [hidden], [width] */
    float *turn;                    /* [rotated]: cosine and sine of each pair */
    float *scores;                  /* [threads][QUERIES_MAX][cells] */
    float *logits;                  /* [vocab], not a batch */
};

/* ---- reading the shape and the weights ---- */

static enum err number(const struct gguf *g, const char *name, uint64_t missing, uint64_t least, uint64_t most,
                       size_t *ret, struct error *e)
{
    uint64_t v = gguf_number(g, name, missing);
    if (v < least || v > most)
        return error_set(e, ERR_CORRUPT, "the model file's '%s' is %s%llu; it must be %llu to %llu", name,
                         gguf_key(g, name) ? "" : "missing or ", (unsigned long long)v, (unsigned long long)least,
                         (unsigned long long)most);
    *ret = (size_t)v;
    return OK;
}

static enum err read_numbers(const struct gguf *g, struct shape *s, struct error *e)
{
    enum err err = number(g, "llama.block_count", 0, 1, MODEL_LAYERS_MAX, &s->layers, e);
    if (!err)
        err = number(g, "llama.embedding_length", 0, KEYS, MODEL_WIDTH_MAX, &s->width, e);
    if (!err)
        err = number(g, "llama.feed_forward_length", 0, 1, ROW_MAX, &s->hidden, e);
    if (!err)
        err = number(g, "llama.attention.head_count", 0, 1, MODEL_HEADS_MAX, &s->heads, e);
    if (!err)
        err = number(g, "llama.attention.head_count_kv", s->heads, 1, s->heads, &s->kv_heads, e);
    if (!err)
        err = number(g, "llama.attention.key_length", s->width / s->heads, KEYS, MODEL_HEAD_MAX, &s->head, e);
    if (!err)
        err = number(g, "llama.rope.dimension_count", s->head, 2, s->head, &s->rotated, e);
    if (!err)
        err = number(g, "llama.context_length", 0, 1, 1 << 24, &s->trained, e);
    return err;
}

/* What some models have and this forward pass does not do must be an error, not a wrong answer. */
static enum err refuse_unknown(const struct gguf *g, struct error *e)
{
    if (!slice_is(gguf_string(g, "general.architecture"), "llama"))
        return error_set(e, ERR_UNSUPPORTED, "the model is not of the architecture 'llama', the only one this build runs");
    struct slice scaling = gguf_string(g, "llama.rope.scaling.type");
    if (scaling.n && !slice_is(scaling, "none"))
        return error_set(e, ERR_UNSUPPORTED, "the model stretches its positions (rope scaling), which this build does "
                                             "not do");
    if (gguf_number(g, "llama.expert_count", 0))
        return error_set(e, ERR_UNSUPPORTED, "the model is a mixture of experts, which this build does not run");
    return OK;
}

static enum err read_shape(const struct gguf *g, size_t context, struct shape *s, struct error *e)
{
    enum err err = refuse_unknown(g, e);
    if (!err)
        err = read_numbers(g, s, e);
    if (err)
        return err;
    s->epsilon = (float)gguf_real(g, "llama.attention.layer_norm_rms_epsilon", 1e-5);
    s->base = (float)gguf_real(g, "llama.rope.freq_base", 10000);
    if (s->heads % s->kv_heads || s->head % KEYS || s->rotated % 2 || s->heads * s->head > ROW_MAX ||
        gguf_number(g, "llama.attention.value_length", s->head) != s->head || !(s->epsilon >= 0) || !(s->base > 1))
        return error_set(e, ERR_UNSUPPORTED, "the model's attention (%zu heads, %zu for keys, %zu wide) is of a shape "
                                             "that this build does not run", s->heads, s->kv_heads, s->head);
    const struct gguf_key *tokens = gguf_key(g, "tokenizer.ggml.tokens");
    if (!tokens || tokens->kind != GGUF_ARRAY || !tokens->count || tokens->count > MODEL_VOCAB_MAX)
        return error_set(e, ERR_CORRUPT, "the model file has no usable vocabulary (tokenizer.ggml.tokens)");
    s->vocab = (size_t)tokens->count;
    size_t most = s->trained < MODEL_CONTEXT_MAX ? s->trained : MODEL_CONTEXT_MAX;
    if (context > most)
        return error_set(e, ERR_USAGE, "a context of %zu tokens is more than the %zu that this model can have", context,
                         most);
    s->context = context ? context : most;
    return OK;
}

static enum err find(const struct gguf *g, const char *name, size_t columns, size_t rows,
                     const struct gguf_tensor **ret, struct error *e)
{
    const struct gguf_tensor *t = gguf_tensor(g, name);
    if (!t)
        return error_set(e, ERR_CORRUPT, "the model file has no tensor '%s'", name);
    if (t->ne[0] != columns || t->ne[1] != rows || t->ne[2] != 1 || t->ne[3] != 1)
        return error_set(e, ERR_CORRUPT, "tensor '%s' of the model file is %llu x %llu; the model needs %zu x %zu", name,
                         (unsigned long long)t->ne[0], (unsigned long long)t->ne[1], columns, rows);
    *ret = t;
    return OK;
}

static enum err find_matrix(const struct gguf *g, const char *name, size_t columns, size_t rows, struct matrix *ret,
                            struct error *e)
{
    const struct gguf_tensor *t;
    enum err err = find(g, name, columns, rows, &t, e);
    if (!err)
        *ret = (struct matrix){.type = t->type, .rows = rows, .columns = columns, .data = t->data.p};
    return err;
}

static enum err find_norm(const struct gguf *g, const char *name, size_t n, const float **ret, struct error *e)
{
    const struct gguf_tensor *t;
    enum err err = find(g, name, n, 1, &t, e);
    if (!err && t->type != WEIGHT_F32)
        return error_set(e, ERR_UNSUPPORTED, "tensor '%s' of the model file is not F32", name);
    if (!err)
        *ret = (const float *)(const void *)t->data.p;
    return err;
}

static enum err find_layer(const struct gguf *g, const struct shape *s, size_t number_of, struct layer *l,
                           struct error *e)
{
    const struct {
        const char *name;
        struct matrix *to;
        size_t columns, rows;
    } matrices[] = {
        {"attn_q", &l->q, s->width, s->heads * s->head},      {"attn_k", &l->k, s->width, s->kv_heads * s->head},
        {"attn_v", &l->v, s->width, s->kv_heads * s->head},   {"attn_output", &l->o, s->heads * s->head, s->width},
        {"ffn_gate", &l->gate, s->width, s->hidden},          {"ffn_up", &l->up, s->width, s->hidden},
        {"ffn_down", &l->down, s->hidden, s->width},
    };
    char name[64];
    snprintf(name, sizeof name, "blk.%zu.attn_norm.weight", number_of);
    enum err err = find_norm(g, name, s->width, &l->attention_norm, e);
    snprintf(name, sizeof name, "blk.%zu.ffn_norm.weight", number_of);
    if (!err)
        err = find_norm(g, name, s->width, &l->feed_norm, e);
    for (size_t i = 0; !err && i < sizeof matrices / sizeof *matrices; i++) {
        snprintf(name, sizeof name, "blk.%zu.%s.weight", number_of, matrices[i].name);
        err = find_matrix(g, name, matrices[i].columns, matrices[i].rows, matrices[i].to, e);
    }
    return err;
}

static enum err find_weights(const struct gguf *g, struct model *m, struct error *e)
{
    const struct shape *s = &m->shape;
    bool tied = !gguf_tensor(g, "output.weight");
    enum err err = find_matrix(g, "token_embd.weight", s->width, s->vocab, &m->embedding, e);
    if (!err)
        err = find_norm(g, "output_norm.weight", s->width, &m->output_norm, e);
    if (!err)
        err = find_matrix(g, tied ? "token_embd.weight" : "output.weight", s->width, s->vocab, &m->output, e);
    for (size_t i = 0; !err && i < s->layers; i++)
        err = find_layer(g, s, i, &m->layers[i], e);
    size_t known = 3 - tied + 9 * s->layers;
    if (!err && g->ntensors != known)
        return error_set(e, ERR_UNSUPPORTED, "the model file has %zu tensors where a plain llama has %zu; it does "
                                             "something that this build does not", g->ntensors, known);
    return err;
}

/* ---- memory ---- */

static bool input_new(struct arena *a, size_t width, struct input *ret)
{
    size_t blocks = (width / BLOCK + LANES - 1) / LANES * LANES;
    *ret = (struct input){
        .width = width,
        .blocks = blocks,
        .x = arena_array(a, MODEL_BATCH * width, sizeof(float)),
        .q = arena_array(a, MODEL_BATCH * width, 1),
        .d = arena_array(a, MODEL_BATCH * blocks, sizeof(float)),
        .s = arena_array(a, MODEL_BATCH * blocks, sizeof(float)),
    };
    return ret->x && ret->q && ret->d && ret->s;
}

/* The cache is not touched before it is used: a short text in a long context costs memory only for itself. */
static bool cache_new(struct model *m)
{
    const struct shape *s = &m->shape;
    size_t each = s->kv_heads * s->head * m->cells;
    uint16_t *all = sys->realloc(NULL, s->layers * 2 * each * sizeof *all);
    if (!all)
        return false;
    for (size_t i = 0; i < s->layers; i++) {
        m->layers[i].keys = all + 2 * i * each;
        m->layers[i].values = all + (2 * i + 1) * each;
    }
    return true;
}

static bool batch_new(struct model *m)
{
    const struct shape *s = &m->shape;
    struct arena *a = &m->memory;
    const struct {
        float **to;
        size_t n;
    } arrays[] = {
        {&m->stream, s->width},          {&m->q, s->heads * s->head}, {&m->k, s->kv_heads * s->head},
        {&m->v, s->kv_heads * s->head},  {&m->up, s->hidden},         {&m->delta, s->width},
        {&m->turn, s->rotated},
    };
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        if (!(*arrays[i].to = arena_array(a, MODEL_BATCH * arrays[i].n, sizeof(float))))
            return false;
    m->scores = arena_array(a, pool_threads(m->pool) * QUERIES_MAX * m->cells, sizeof(float));
    m->logits = arena_array(a, s->vocab, sizeof(float));
    return m->scores && m->logits && input_new(a, s->width, &m->normed) &&
           input_new(a, s->heads * s->head, &m->mixed) && input_new(a, s->hidden, &m->gated);
}

void model_free(struct model *m)
{
    if (!m)
        return;
    pool_free(m->pool);
    if (m->layers)
        sys->free(m->layers[0].keys);
    arena_release(&m->memory);
    sys->free(m);
}

static enum err build(struct model *m, const struct gguf *g, unsigned threads, struct error *e)
{
    m->layers = arena_array(&m->memory, m->shape.layers, sizeof *m->layers);
    if (!m->layers)
        return error_set(e, ERR_MEMORY, "not enough memory for the model");
    enum err err = find_weights(g, m, e);
    if (!err)
        err = pool_new(threads, &m->pool, e);
    if (!err && (!batch_new(m) || !cache_new(m)))
        err = error_set(e, ERR_MEMORY, "not enough memory for a context of %zu tokens; ask for a smaller one",
                        m->shape.context);
    return err;
}

enum err model_new(const struct gguf *g, const struct ops *ops, unsigned threads, size_t context, struct model **ret,
                   struct error *e)
{
    struct shape shape;
    enum err err = read_shape(g, context, &shape, e);
    if (err)
        return err;
    struct model *m = sys->realloc(NULL, sizeof *m);
    if (!m)
        return error_set(e, ERR_MEMORY, "not enough memory for the model");
    *m = (struct model){.shape = shape, .ops = ops, .memory = ARENA_INIT(1 << 30)};
    m->cells = (shape.context + KEYS - 1) / KEYS * KEYS;
    err = build(m, g, threads, e);
    if (err) {
        model_free(m);
        return err;
    }
    *ret = m;
    return OK;
}

const struct shape *model_shape(const struct model *m)
{
    return &m->shape;
}

float *model_logits(struct model *m)
{
    return m->logits;
}

/* ---- the forward pass ---- */

/* What the threads share while they work on one step. */
struct step {
    struct model *m;
    struct layer *layer;
    size_t n, at; /* tokens, position of the first */
    const float *norm;
    struct input *in;
    struct {
        const struct matrix *w;
        float *out; /* [token][w->rows] */
    } products[3];
    size_t nproducts;
};

static void multiply_rows(const struct model *m, const struct matrix *w, size_t row, size_t rows,
                          const struct input *in, size_t n, float *out)
{
    const char *data = w->data + row * gguf_type_bytes(w->type, w->columns);
    m->ops->rows[w->type](data, rows, in, n, out, w->rows);
}

static void multiply_chunk(void *arg, size_t i, unsigned thread)
{
    (void)thread;
    struct step *s = arg;
    for (size_t p = 0; p < s->nproducts; p++) {
        const struct matrix *w = s->products[p].w;
        size_t chunks = (w->rows + ROWS_MAX - 1) / ROWS_MAX, row = i * ROWS_MAX;
        if (i < chunks) {
            size_t rows = w->rows - row < ROWS_MAX ? w->rows - row : ROWS_MAX;
            multiply_rows(s->m, w, row, rows, s->in, s->n, s->products[p].out + row);
            return;
        }
        i -= chunks;
    }
}

/* All of the step's products, which share their input. */
static void multiply(struct step *s)
{
    size_t chunks = 0;
    for (size_t p = 0; p < s->nproducts; p++)
        chunks += (s->products[p].w->rows + ROWS_MAX - 1) / ROWS_MAX;
    pool_run(s->m->pool, multiply_chunk, s, chunks);
}

/* stream + what the last part gave -> stream -> norm -> input */
static void norm_token(void *arg, size_t t, unsigned thread)
{
    (void)thread;
    struct step *s = arg;
    size_t width = s->m->shape.width;
    s->m->ops->rmsnorm(s->in->x + t * width, s->m->stream + t * width, s->norm, width, s->m->shape.epsilon);
    s->m->ops->quantise(s->in, t);
}

static void rotate(const struct shape *shape, float *x, const float *turn)
{
    for (size_t i = 0; i < shape->rotated; i += 2) {
        float a = x[i], b = x[i + 1], c = turn[i], s = turn[i + 1];
        x[i] = a * c - b * s;
        x[i + 1] = a * s + b * c;
    }
}

/* Turns queries and keys by their position and puts keys and values into the cache. */
static void remember_token(void *arg, size_t t, unsigned thread)
{
    (void)thread;
    struct step *s = arg;
    struct model *m = s->m;
    const struct shape *shape = &m->shape;
    size_t head = shape->head, at = s->at + t;
    const float *turn = m->turn + t * shape->rotated;
    float scale = 1 / sqrtf((float)head);
    for (size_t h = 0; h < shape->heads; h++) {
        float *q = m->q + (t * shape->heads + h) * head;
        rotate(shape, q, turn);
        for (size_t i = 0; i < head; i++)
            q[i] *= scale;
    }
    for (size_t h = 0; h < shape->kv_heads; h++) {
        float *k = m->k + (t * shape->kv_heads + h) * head;
        uint16_t half[MODEL_HEAD_MAX];
        rotate(shape, k, turn);
        m->ops->to_half(half, k, head);
        uint16_t *keys = s->layer->keys + (h * m->cells + at / KEYS * KEYS) * head + at % KEYS;
        for (size_t i = 0; i < head; i++)
            keys[i * KEYS] = half[i];
        m->ops->to_half(s->layer->values + (h * m->cells + at) * head, m->v + (t * shape->kv_heads + h) * head,
                        head);
    }
}

/*
 * Attention of QUERIES_MAX queries that share a head of keys. Query i belongs to token i / group, head i % group of
 * the group; it sees the positions up to its token's.
 */
static void attend_queries(void *arg, size_t task, unsigned thread)
{
    struct step *s = arg;
    struct model *m = s->m;
    const struct shape *shape = &m->shape;
    size_t head = shape->head, group = shape->heads / shape->kv_heads, cells = m->cells;
    size_t h = task % shape->kv_heads, first = task / shape->kv_heads * QUERIES_MAX;
    size_t n = s->n * group - first < QUERIES_MAX ? s->n * group - first : QUERIES_MAX;
    size_t seen = s->at + (first + n - 1) / group + 1; /* by the last of them */
    float *scores = m->scores + thread * QUERIES_MAX * cells;
    float q[QUERIES_MAX][MODEL_HEAD_MAX], mix[QUERIES_MAX][MODEL_HEAD_MAX];
    for (size_t i = 0; i < n; i++)
        memcpy(q[i], m->q + ((first + i) / group * shape->heads + h * group + (first + i) % group) * head,
               head * sizeof(float));
    for (size_t key = 0; key < seen; key += KEYS)
        m->ops->attend(n, KEYS, head, q[0], MODEL_HEAD_MAX, s->layer->keys + (h * cells + key) * head, KEYS,
                       scores + key, cells);
    for (size_t i = 0; i < n; i++) {
        size_t own = s->at + (first + i) / group + 1;
        m->ops->softmax(scores + i * cells, own);
        memset(scores + i * cells + own, 0, (seen - own) * sizeof(float));
    }
    m->ops->attend(n, head, seen, scores, cells, s->layer->values + h * cells * head, head, mix[0], MODEL_HEAD_MAX);
    for (size_t i = 0; i < n; i++)
        memcpy(m->mixed.x + ((first + i) / group * shape->heads + h * group + (first + i) % group) * head, mix[i],
               head * sizeof(float));
}

static void quantise_mixed(void *arg, size_t t, unsigned thread)
{
    (void)thread;
    struct step *s = arg;
    s->m->ops->quantise(&s->m->mixed, t);
}

static void gate_token(void *arg, size_t t, unsigned thread)
{
    (void)thread;
    struct step *s = arg;
    struct model *m = s->m;
    size_t hidden = m->shape.hidden;
    m->ops->swiglu(m->gated.x + t * hidden, m->up + t * hidden, hidden);
    m->ops->quantise(&m->gated, t);
}

static void add_delta(struct step *s)
{
    for (size_t i = 0; i < s->n * s->m->shape.width; i++)
        s->m->stream[i] += s->m->delta[i];
}

static void attention(struct step *s)
{
    struct model *m = s->m;
    size_t group = m->shape.heads / m->shape.kv_heads;
    s->norm = s->layer->attention_norm;
    s->in = &m->normed;
    pool_run(m->pool, norm_token, s, s->n);
    s->nproducts = 3;
    s->products[0].w = &s->layer->q, s->products[0].out = m->q;
    s->products[1].w = &s->layer->k, s->products[1].out = m->k;
    s->products[2].w = &s->layer->v, s->products[2].out = m->v;
    multiply(s);
    pool_run(m->pool, remember_token, s, s->n);
    pool_run(m->pool, attend_queries, s, (s->n * group + QUERIES_MAX - 1) / QUERIES_MAX * m->shape.kv_heads);
    pool_run(m->pool, quantise_mixed, s, s->n);
    s->in = &m->mixed;
    s->nproducts = 1;
    s->products[0].w = &s->layer->o, s->products[0].out = m->delta;
    multiply(s);
    add_delta(s);
}

static void feed_forward(struct step *s)
{
    struct model *m = s->m;
    s->norm = s->layer->feed_norm;
    s->in = &m->normed;
    pool_run(m->pool, norm_token, s, s->n);
    s->nproducts = 2;
    s->products[0].w = &s->layer->gate, s->products[0].out = m->gated.x;
    s->products[1].w = &s->layer->up, s->products[1].out = m->up;
    multiply(s);
    pool_run(m->pool, gate_token, s, s->n);
    s->in = &m->gated;
    s->nproducts = 1;
    s->products[0].w = &s->layer->down, s->products[0].out = m->delta;
    multiply(s);
    add_delta(s);
}

/* The prediction after the last token: last norm, output matrix. */
static void predict(struct step *s)
{
    struct model *m = s->m;
    size_t width = m->shape.width;
    memmove(m->stream, m->stream + (s->n - 1) * width, width * sizeof(float));
    s->n = 1;
    s->norm = m->output_norm;
    s->in = &m->normed;
    norm_token(s, 0, 0);
    s->nproducts = 1;
    s->products[0].w = &m->output, s->products[0].out = m->logits;
    multiply(s);
}

static void embed(struct step *s, const int32_t *tokens)
{
    struct model *m = s->m;
    const struct matrix *w = &m->embedding;
    for (size_t t = 0; t < s->n; t++) {
        ASSERT(tokens[t] >= 0 && (size_t)tokens[t] < m->shape.vocab);
        dequantise(w->type, w->data + (size_t)tokens[t] * gguf_type_bytes(w->type, w->columns), w->columns,
                   m->stream + t * w->columns);
        for (size_t i = 0; i < m->shape.rotated; i += 2) {
            float *turn = m->turn + t * m->shape.rotated + i;
            float angle = (float)(s->at + t) * powf(m->shape.base, -(float)i / (float)m->shape.rotated);
            turn[0] = cosf(angle);
            turn[1] = sinf(angle);
        }
    }
}

void model_feed(struct model *m, const int32_t *tokens, size_t n, size_t at, bool logits)
{
    ASSERT(n >= 1 && n <= MODEL_BATCH && at < m->shape.context && n <= m->shape.context - at);
    struct step s = {.m = m, .n = n, .at = at};
    embed(&s, tokens);
    for (size_t i = 0; i < m->shape.layers; i++) {
        s.layer = &m->layers[i];
        attention(&s);
        feed_forward(&s);
    }
    if (logits)
        predict(&s);
}
