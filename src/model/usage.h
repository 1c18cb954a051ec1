/*
 * Usage and cost: what a call used, as each API means it, in one meaning; and what that costs.
 *
 * The APIs differ, and adding up the wrong way bills twice:
 *   Anthropic  input_tokens is what was neither read from nor written to the cache; three numbers add up to the prompt.
 *              The usage of message_delta is cumulative: it replaces what message_start said.
 *   OpenAI     cached_tokens is part of prompt_tokens, reasoning_tokens part of completion_tokens. Some servers count
 *              reasoning only in total_tokens; where that is more than prompt and completion, the rest is output.
 *
 *   U1  input + cache_read + cache_write_5m + cache_write_1h is the whole prompt, each token in exactly one.
 *   U2  reasoning is part of output, told apart only for people.
 *   U3  Numbers from servers are clamped to 0..USAGE_TOKENS_MAX, so sums and costs cannot overflow.
 */
#ifndef CRANNOG_MODEL_USAGE_H
#define CRANNOG_MODEL_USAGE_H

#include "model/prices.h"
#include "text/json.h"

static const int64_t USAGE_TOKENS_MAX = 1000000000;

/* Tokens that a prompt may have beyond its bytes (a server's own template and words about tools), and those of an image,
   whose price does not go by its bytes: the dearest of a known model (gpt-4o-mini's 48,169). */
enum { USAGE_TEMPLATE_TOKENS = 2048, USAGE_IMAGE_TOKENS = 50000 };

struct usage {
    int64_t input, cache_read, cache_write_5m, cache_write_1h; /* U1 */
    int64_t output;
    int64_t reasoning; /* U2 */
    int64_t reported_nusd; /* what the server says it costs (OpenRouter); -1 if it does not */
    bool known; /* some usage was reported; otherwise a settlement is assumed, not exact */
};

#define USAGE_NONE ((struct usage){.reported_nusd = -1})

/* Takes a "usage" object in. OpenAI's replaces what was known; of Anthropic's each number that is there does, unless it is
   smaller (some gateways repeat zeros). Anything else than an object is ignored. */
void usage_add_openai(struct usage *u, const struct json *v);
void usage_add_anthropic(struct usage *u, const struct json *v);
int64_t usage_prompt(const struct usage *u); /* all input tokens (U1) */

/* Nano-dollars, summed exactly and rounded up once. In the long-context tier the whole call has its prices. */
int64_t usage_cost(const struct usage *u, const struct price *p);

/*
 * The most that a call can cost and use, for its reservation (DESIGN §8): the dearest price that can apply, with
 * `known_tokens` for the prefix whose usage was reported last, a token for each byte of the body beyond it
 * (`new_bytes`), USAGE_TEMPLATE_TOKENS, the new images, and the output limit.
 */
struct worst {
    int64_t input_tokens, output_tokens, nusd;
};
struct worst usage_worst(const struct price *p, int64_t known_tokens, int64_t new_bytes, int64_t new_images,
                         int64_t max_output);
/* The largest output limit whose worst case is at most `left_nusd`; 0 if not even the input can be paid. At most `want`. */
int64_t usage_affordable(const struct price *p, int64_t known_tokens, int64_t new_bytes, int64_t new_images,
                         int64_t want, int64_t left_nusd);

#endif
