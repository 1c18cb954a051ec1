/* infer/model, pool, sample on small models: the forward pass is that of the formulas written out plainly, in any batch
   and with any number of threads; work is done once each; choices follow their seed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/model.h"
#include "infer/pool.h"
#include "infer/sample.h"
#include "tiny_gguf.h"

enum { TOKENS = 75 }; /* more than a batch */

struct loaded {
    struct buf file;
    struct gguf gguf;
    struct model *model;
};

static struct loaded load(const struct tiny *t, const struct ops *ops, unsigned threads)
{
    struct loaded l = {.file = tiny_gguf(t)};
    struct error e;
    if (gguf_parse(buf_slice(&l.file), &l.gguf, &e) || model_new(&l.gguf, ops, threads, 0, &l.model, &e))
        fail_msg("%s", e.text);
    return l;
}

static void unload(struct loaded *l)
{
    model_free(l->model);
    gguf_release(&l->gguf);
    buf_release(&l->file);
}

static int32_t token(size_t i)
{
    return (int32_t)(i * i * 7 + 11 * i + 3) % TINY_VOCAB;
}

static void feed(struct model *m, size_t n, size_t batch)
{
    int32_t ids[TOKENS];
    for (size_t i = 0; i < n; i++)
        ids[i] = token(i);
    for (size_t at = 0; at < n; at += batch)
        model_feed(m, ids + at, n - at < batch ? n - at : batch, at, true);
}

/* ---- the formulas, in doubles, one token after the other ---- */

struct plain {
    const struct loaded *l;
    const struct tiny *t;
    size_t head, kv;
    double *keys, *values; /* [layer][position][kv] */
};

static void row_of(const struct plain *p, const char *name, size_t row, double *out)
{
    const struct gguf_tensor *t = gguf_tensor(&p->l->gguf, name);
    float *f = calloc(t->ne[0], sizeof *f);
    dequantise(t->type, t->data.p + row * gguf_type_bytes(t->type, t->ne[0]), t->ne[0], f);
    for (size_t i = 0; i < t->ne[0]; i++)
        out[i] = (double)f[i];
    free(f);
}

static void times(const struct plain *p, const char *name, const double *x, double *out)
{
    const struct gguf_tensor *t = gguf_tensor(&p->l->gguf, name);
    double row[1024];
    for (size_t r = 0; r < t->ne[1]; r++) {
        row_of(p, name, r, row);
        out[r] = 0;
        for (size_t i = 0; i < t->ne[0]; i++)
            out[r] += row[i] * x[i];
    }
}

static const char *layer_name(struct buf *b, size_t layer, const char *part)
{
    buf_reset(b);
    buf_addf(b, "blk.%zu.%s.weight", layer, part);
    return buf_str(b);
}

static void normed(const struct plain *p, const char *name, const double *x, double *out)
{
    double weight[1024], sum = 0;
    row_of(p, name, 0, weight);
    for (size_t i = 0; i < p->t->width; i++)
        sum += x[i] * x[i];
    for (size_t i = 0; i < p->t->width; i++)
        out[i] = x[i] / sqrt(sum / p->t->width + 1e-5) * weight[i];
}

static void turned(const struct plain *p, double *x, size_t heads, size_t position)
{
    for (size_t h = 0; h < heads; h++)
        for (size_t i = 0; i < p->head; i += 2) {
            double angle = (double)position * pow(10000, -(double)i / (double)p->head), *y = x + h * p->head + i;
            double a = y[0] * cos(angle) - y[1] * sin(angle), b = y[0] * sin(angle) + y[1] * cos(angle);
            y[0] = a, y[1] = b;
        }
}

static void plain_attention(const struct plain *p, size_t layer, size_t position, const double *q, double *out)
{
    for (size_t h = 0; h < p->t->heads; h++) {
        double weight[TOKENS], sum = 0, *keys = p->keys + layer * TOKENS * p->kv, *values = p->values + layer * TOKENS * p->kv;
        size_t shared = h / (p->t->heads / p->t->kv_heads) * p->head;
        for (size_t k = 0; k <= position; k++) {
            weight[k] = 0;
            for (size_t i = 0; i < p->head; i++)
                weight[k] += q[h * p->head + i] * keys[k * p->kv + shared + i];
            sum += weight[k] = exp(weight[k] / sqrt((double)p->head));
        }
        for (size_t i = 0; i < p->head; i++) {
            out[h * p->head + i] = 0;
            for (size_t k = 0; k <= position; k++)
                out[h * p->head + i] += weight[k] / sum * values[k * p->kv + shared + i];
        }
    }
}

static void plain_token(const struct plain *p, size_t position, double *logits)
{
    double x[1024], y[1024], q[1024], z[1024], up[1024];
    BUF_CLEANUP struct buf name = BUF_INIT(64);
    row_of(p, "token_embd.weight", (size_t)token(position), x);
    for (size_t l = 0; l < p->t->layers; l++) {
        double *k = p->keys + (l * TOKENS + position) * p->kv, *v = p->values + (l * TOKENS + position) * p->kv;
        normed(p, layer_name(&name, l, "attn_norm"), x, y);
        times(p, layer_name(&name, l, "attn_q"), y, q);
        times(p, layer_name(&name, l, "attn_k"), y, k);
        times(p, layer_name(&name, l, "attn_v"), y, v);
        turned(p, q, p->t->heads, position);
        turned(p, k, p->t->kv_heads, position);
        plain_attention(p, l, position, q, z);
        times(p, layer_name(&name, l, "attn_output"), z, y);
        for (size_t i = 0; i < p->t->width; i++)
            x[i] += y[i];
        normed(p, layer_name(&name, l, "ffn_norm"), x, y);
        times(p, layer_name(&name, l, "ffn_gate"), y, z);
        times(p, layer_name(&name, l, "ffn_up"), y, up);
        for (size_t i = 0; i < p->t->hidden; i++)
            z[i] = z[i] / (1 + exp(-z[i])) * up[i];
        times(p, layer_name(&name, l, "ffn_down"), z, y);
        for (size_t i = 0; i < p->t->width; i++)
            x[i] += y[i];
    }
    normed(p, "output_norm.weight", x, y);
    times(p, p->t->own_output ? "output.weight" : "token_embd.weight", y, logits);
}

static void plain_logits(const struct loaded *l, const struct tiny *t, size_t n, double *logits)
{
    struct plain p = {.l = l, .t = t, .head = t->width / t->heads, .kv = t->width / t->heads * t->kv_heads};
    p.keys = calloc(t->layers * TOKENS * p.kv, sizeof(double));
    p.values = calloc(t->layers * TOKENS * p.kv, sizeof(double));
    for (size_t i = 0; i < n; i++)
        plain_token(&p, i, logits);
    free(p.keys), free(p.values);
}

static double cosine(const double *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++)
        ab += a[i] * (double)b[i], aa += a[i] * a[i], bb += (double)b[i] * (double)b[i];
    return ab / sqrt(aa * bb);
}

/*
 * Inputs of 8 bits and keys and values of half floats are all that stands between the pass and the formulas: float
 * weights are near 1, quantised ones (random, so errors do not average out as in a trained model) a little further.
 */
static void test_forward_is_the_formulas(void **state)
{
    (void)state;
    const uint32_t types[] = {WEIGHT_F32, WEIGHT_F16, WEIGHT_Q8_0, WEIGHT_Q4_1};
    const struct ops *sets[] = {&ops_scalar, ops_avx2()};
    for (size_t i = 0; i < 16; i++) {
        struct tiny t = TINY_INIT;
        t.type = types[i % 4], t.own_output = i % 8 >= 4, t.scale = 0.3f;
        t.width = 96, t.heads = 6, t.kv_heads = i % 2 ? 2 : 6, t.hidden = 160;
        const struct ops *ops = sets[i / 8];
        if (!ops)
            continue;
        struct loaded l = load(&t, ops, 2);
        double logits[TINY_VOCAB];
        plain_logits(&l, &t, TOKENS, logits);
        feed(l.model, TOKENS, MODEL_BATCH);
        double c = cosine(logits, model_logits(l.model), TINY_VOCAB);
        if (!(c > (t.type <= WEIGHT_F16 ? 0.99999 : 0.999)))
            fail_msg("%s, type %u: cosine %.7f", ops->name, t.type, c);
        unload(&l);
    }
}

static const uint32_t formats[] = {WEIGHT_F32, WEIGHT_F16, WEIGHT_BF16, WEIGHT_Q8_0, WEIGHT_Q4_0, WEIGHT_Q4_1,
                                   WEIGHT_Q5_0, WEIGHT_Q5_1, WEIGHT_Q4_K, WEIGHT_Q5_K, WEIGHT_Q6_K};
enum { FORMATS = sizeof formats / sizeof *formats };

static struct tiny tiny_of(uint32_t type)
{
    struct tiny t = TINY_INIT;
    bool grouped = weight_format(type).weights == GROUP;
    t.type = type, t.scale = 0.3f, t.heads = 6, t.kv_heads = 2, t.width = 96, t.hidden = 160;
    if (grouped)
        t.heads = 4, t.width = t.hidden = GROUP, t.scale = 0.2f;
    return t;
}

/*
 * A model in each format beside one whose weights are the same numbers as F32. Weights of 16 bits are multiplied with
 * the same floats, in another order at most. Quantised ones have inputs of 8 bits: rounding to d = most / 127 errs by
 * d / sqrt(12), which with a most of 2.5 times the mean square is 0.6 % of an input; nine products deep (four in each of
 * two layers, and the last) that is 1.7 %, and vectors that far apart have a cosine of 1 - 0.017^2 / 2 = 0.99986. Seven
 * times that angle squared is allowed, 0.999. What is read wrongly anywhere falls far below.
 */
static void test_formats_against_floats(void **state)
{
    (void)state;
    const struct ops *sets[] = {&ops_scalar, ops_avx2()};
    for (size_t i = 0; i < 2 * FORMATS; i++) {
        struct tiny t = tiny_of(formats[i / 2]);
        t.own_output = i % 3 == 0;
        if (!sets[i % 2])
            continue;
        struct loaded own = load(&t, sets[i % 2], 2);
        t.floats = true;
        struct loaded floats = load(&t, sets[i % 2], 2);
        feed(own.model, 20, MODEL_BATCH);
        feed(floats.model, 20, MODEL_BATCH);
        double want[TINY_VOCAB];
        for (size_t l = 0; l < TINY_VOCAB; l++)
            want[l] = (double)model_logits(floats.model)[l];
        double c = cosine(want, model_logits(own.model), TINY_VOCAB);
        if (!(c > (weight_format(t.type).weights == 1 ? 0.999999 : 0.999)))
            fail_msg("%s, %s: cosine %.7f", sets[i % 2]->name, weight_format(t.type).name, c);
        unload(&own), unload(&floats);
    }
}

static void test_batches_and_threads(void **state)
{
    (void)state;
    for (size_t i = 0; i < FORMATS; i++) {
        struct tiny t = tiny_of(formats[i]);
        struct loaded one = load(&t, ops_best(NULL), 1), three = load(&t, ops_best(NULL), 3);
        feed(one.model, TOKENS, 1);
        for (size_t batch = 2; batch <= MODEL_BATCH; batch = batch * 3 - 1) {
            feed(three.model, TOKENS, batch);
            assert_memory_equal(model_logits(one.model), model_logits(three.model), TINY_VOCAB * sizeof(float));
        }
        feed(three.model, 20, MODEL_BATCH); /* going back drops what was behind */
        feed(one.model, 20, 7);
        assert_memory_equal(model_logits(one.model), model_logits(three.model), TINY_VOCAB * sizeof(float));
        unload(&one), unload(&three);
    }
}

/* ---- pool ---- */

enum { COUNT = 1000 };

struct tally {
    atomic_uint done[COUNT];
    atomic_uint wrong_thread;
    unsigned threads;
};

static void count_one(void *arg, size_t i, unsigned thread)
{
    struct tally *t = arg;
    atomic_fetch_add(&t->done[i], 1);
    if (thread >= t->threads)
        atomic_fetch_add(&t->wrong_thread, 1);
}

static void test_pool_does_each_once(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 4; threads++) {
        struct pool *p;
        struct error e;
        static struct tally t;
        memset(&t, 0, sizeof t);
        t.threads = threads;
        assert_int_equal(pool_new(threads, &p, &e), OK);
        assert_int_equal(pool_threads(p), threads);
        for (size_t round = 1; round <= 3000; round++)
            pool_run(p, count_one, &t, round % 7 ? 1 + round % 13 : COUNT);
        for (size_t i = 0; i < COUNT; i++) { /* the count of rounds that were long enough */
            unsigned want = 0;
            for (size_t round = 1; round <= 3000; round++)
                want += i < (round % 7 ? 1 + round % 13 : COUNT);
            assert_int_equal(atomic_load(&t.done[i]), want);
        }
        assert_int_equal(atomic_load(&t.wrong_thread), 0);
        pool_free(p);
    }
}

/* ---- sampling ---- */

static int32_t pick(struct sampler *s, struct sample_settings how, const float *logits, const int32_t *said, size_t n)
{
    float copy[8];
    memcpy(copy, logits, sizeof copy);
    sampler_start(s, &how);
    return sampler_pick(s, copy, said, n, NULL);
}

static void test_sampler(void **state)
{
    (void)state;
    struct sampler *s;
    struct error e;
    assert_int_equal(sampler_new(8, &s, &e), OK);
    const float logits[8] = {0, 1, 5, 4.5f, -2, 3, 0, -1};
    const int32_t said[] = {2, 2, -7, 900};
    struct sample_settings greedy = {.top_p = 1, .repeat = 1}, held = {.top_p = 1, .repeat = 1.2f},
                           hot = {.temperature = 2, .top_p = 0.7f, .repeat = 1};
    assert_int_equal(pick(s, greedy, logits, said, 4), 2);
    assert_int_equal(pick(s, held, logits, said, 4), 3); /* 5 / 1.2 < 4.5, and only once though said twice */
    unsigned seen[8] = {0};
    for (hot.seed = 0; hot.seed < 2000; hot.seed++) {
        int32_t first = pick(s, hot, logits, NULL, 0);
        assert_int_equal(first, pick(s, hot, logits, NULL, 0)); /* the seed decides */
        seen[first]++;
    }
    /* e^(l/2): 12.2 9.5 4.5 1.6 1 1 .6 .4, together 30.8; 0.7 of it is reached by the first two */
    assert_true(seen[2] + seen[3] == 2000);
    assert_in_range(seen[2], 2000 * 12.2 / 21.7 - 150, 2000 * 12.2 / 21.7 + 150);
    hot.top_p = 0.84f; /* the third is needed */
    for (hot.seed = 0; hot.seed < 2000; hot.seed++)
        seen[pick(s, hot, logits, NULL, 0)]++;
    assert_true(seen[5] > 150 && !seen[1] && !seen[4]);
    sampler_free(s);
}

/* As if the others were not there. */
static void test_sampler_picks_what_is_allowed(void **state)
{
    (void)state;
    struct sampler *s;
    struct error e;
    assert_int_equal(sampler_new(8, &s, &e), OK);
    const float logits[8] = {0, 1, 5, 4.5f, -2, 3, 0, -1};
    const uint64_t some = 1 << 1 | 1 << 5 | 1 << 7, one = 1 << 4, none = 0;
    struct sample_settings hot = {.temperature = 2, .top_p = 1, .repeat = 1}, greedy = {.top_p = 1, .repeat = 1.1f};
    unsigned seen[8] = {0};
    for (hot.seed = 0; hot.seed < 2000; hot.seed++) {
        float copy[8];
        memcpy(copy, logits, sizeof copy);
        sampler_start(s, &hot);
        seen[sampler_pick(s, copy, NULL, 0, &some)]++;
    }
    /* e^(l/2): 1.6, 4.5, .6 */
    assert_int_equal(seen[1] + seen[5] + seen[7], 2000);
    assert_in_range(seen[5], 2000 * 4.5 / 6.7 - 150, 2000 * 4.5 / 6.7 + 150);
    float copy[8];
    memcpy(copy, logits, sizeof copy);
    sampler_start(s, &greedy);
    assert_int_equal(sampler_pick(s, copy, NULL, 0, &some), 5);
    assert_int_equal(sampler_pick(s, copy, NULL, 0, &one), 4);
    assert_int_equal(sampler_pick(s, copy, NULL, 0, &none), SAMPLER_NONE_ALLOWED);
    sampler_free(s);
}

static void test_sampler_refuses_what_is_no_number(void **state)
{
    (void)state;
    struct sampler *s;
    struct error e;
    assert_int_equal(sampler_new(8, &s, &e), OK);
    const float bad[] = {NAN, -NAN, INFINITY};
    for (size_t i = 0; i < 24; i++) {
        float logits[8] = {0, 1, 2, 3, 4, 5, 6, 7};
        logits[i % 8] = bad[i / 8];
        for (int hot = 0; hot < 2; hot++) {
            struct sample_settings how = {.temperature = (float)hot, .top_p = 0.9f, .repeat = 1.1f};
            assert_int_equal(pick(s, how, logits, NULL, 0), -1);
        }
    }
    sampler_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward_is_the_formulas),
        cmocka_unit_test(test_formats_against_floats),
        cmocka_unit_test(test_batches_and_threads),
        cmocka_unit_test(test_pool_does_each_once),
        cmocka_unit_test(test_sampler),
        cmocka_unit_test(test_sampler_picks_what_is_allowed),
        cmocka_unit_test(test_sampler_refuses_what_is_no_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
