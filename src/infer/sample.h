/*
 * Choosing the next token from the model's numbers: the best one, or at random with a seed. The same numbers, settings
 * and seed give the same choice on any machine.
 */
#ifndef CRANNOG_INFER_SAMPLE_H
#define CRANNOG_INFER_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct sample_settings {
    float temperature; /* 0: always the best one */
    float top_p;       /* of the probability, most likely first; 1 and more: all */
    float repeat;      /* > 1: what was already said is less likely by this factor; 1: off */
    uint64_t seed;
};

struct sampler;

enum err MUST_USE sampler_new(size_t vocab, struct sampler **ret, struct error *e);
void sampler_free(struct sampler *s); /* NULL is fine */
void sampler_start(struct sampler *s, const struct sample_settings *settings);

enum { SAMPLER_NO_NUMBERS = -1, SAMPLER_NONE_ALLOWED = -2 };

/* The id of the next token; `said` is what has been said in this answer; `allowed`: one bit a token, NULL for all. Changes
   the logits. Where they are not numbers or nothing is allowed, one of the above. */
int32_t sampler_pick(struct sampler *s, float *logits, const int32_t *said, size_t nsaid, const uint64_t *allowed);

#endif
