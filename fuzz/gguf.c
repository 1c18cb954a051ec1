/*
 * Model files: any bytes are loaded or refused in one line; what loads can be fed. An input is a whole file where it
 * starts with 'G', else changes to a small good one, in the format that its size picks: four bytes each, a place (24
 * bits) and a value, and a length first.
 */
#include <stdlib.h>
#include <string.h>

#include "../tests/unit/tiny_gguf.c"
#include "fuzz.h"
#include "infer/session.h"

static const enum weight_type formats[] = {WEIGHT_Q8_0, WEIGHT_Q5_1, WEIGHT_BF16, WEIGHT_Q4_K, WEIGHT_Q6_K};
enum { FORMATS = sizeof formats / sizeof *formats };

static struct buf made[FORMATS];

static struct buf good_file(size_t format)
{
    uint32_t width = weight_format(formats[format]).weights == GROUP ? GROUP : 32;
    const struct tiny t = {.type = formats[format], .width = width, .hidden = width, .heads = 2, .kv_heads = 1, .layers = 1,
                           .context = 8};
    if (!made[format].p)
        made[format] = tiny_gguf(&t);
    return made[format];
}

static struct slice changed(struct buf good, const uint8_t *data, size_t size, char *copy)
{
    size_t n = good.n;
    memcpy(copy, good.p, good.n);
    if (size >= 3 && data[0] & 1) /* every other one is cut */
        n = (data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16) % good.n;
    for (size_t i = 3; i + 4 <= size; i += 4)
        copy[(data[i] | (size_t)data[i + 1] << 8 | (size_t)data[i + 2] << 16) % good.n] = (char)data[i + 3];
    return (struct slice){copy, n};
}

static void feed(struct model *m, uint8_t first)
{
    const struct shape *s = model_shape(m);
    int32_t ids[3] = {0, first % (int32_t)s->vocab, (int32_t)s->vocab - 1};
    struct sample_settings how = {.temperature = (float)(first & 1), .top_p = 0.9f, .repeat = 1.1f};
    struct sampler *sampler;
    size_t n = s->context < 3 ? s->context : 3;
    if (sampler_new(s->vocab, &sampler, NULL))
        return;
    model_feed(m, ids, n, 0, true);
    sampler_start(sampler, &how);
    int32_t id = sampler_pick(sampler, model_logits(m), ids, n, NULL);
    ASSERT(id >= -1 && id < (int32_t)s->vocab);
    sampler_free(sampler);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf good = good_file(size / 2 % FORMATS);
    bool whole = size && data[0] == 'G';
    char *copy = malloc(whole ? size : good.n); /* of its own, so that the first read behind its end is seen */
    ASSERT(copy);
    struct slice file = whole ? (struct slice){memcpy(copy, data, size), size} : changed(good, data, size, copy);
    struct gguf g;
    struct vocab *v = NULL;
    struct model *m = NULL;
    struct error e = {0};
    enum err err = gguf_parse(file, &g, &e);
    if (!err) {
        err = vocab_new(&g, &v, &e);
        if (!err)
            err = model_new(&g, size % 2 ? &ops_scalar : ops_best(NULL), 1, 0, &m, &e);
        if (!err)
            feed(m, size ? data[0] : 0);
        model_free(m);
        vocab_free(v);
        gguf_release(&g);
    }
    ASSERT(!err || (e.code == err && e.text[0] && !strchr(e.text, '\n')));
    free(copy);
    return 0;
}
