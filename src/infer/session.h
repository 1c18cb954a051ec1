/*
 * A loaded model and what it remembers: everything that stands between the protocol and the forward pass.
 *
 * One request at a time. A request's tokens stay in the cache; the next one is only fed from where it differs.
 */
#ifndef CRANNOG_INFER_SESSION_H
#define CRANNOG_INFER_SESSION_H

#include "infer/chat.h"
#include "infer/grammar.h"
#include "infer/model.h"
#include "infer/protocol.h"
#include "infer/sample.h"

struct session {
    struct slice file; /* mapped */
    struct gguf gguf;
    struct vocab *vocab;
    struct model *model;
    struct sampler *sampler;
    struct chat chat;
    const struct ops *ops;
    struct tokens fed; /* what the cache holds */
    struct lexicon *lexicon; /* NULL before the first request with tools */
};

/* Maps and loads the model behind a descriptor (borrowed). context: tokens, 0 for the model's own. kernel: NULL or a
   name for ops_best(). On failure *ret holds nothing. */
enum err MUST_USE session_open(int fd, unsigned threads, size_t context, const char *kernel, struct session *ret,
                               struct error *e);
void session_close(struct session *s); /* closing an empty (zeroed) one is fine */

struct reply {
    struct buf text;
    uint64_t in, out; /* tokens */
    uint64_t cpu_ns;  /* of all threads, since the request began */
    uint64_t prefill_ns, decode_ns; /* wall */
    uint64_t mask_ns;  /* of decode_ns: finding which tokens may come next */
    enum infer_stop stop;
    struct said_call calls[GRAMMAR_CALLS_MAX]; /* names are the tools', arguments lie in `arguments` */
    size_t ncalls;
    bool shortened; /* the last call was ended by a limit (grammar_shortened) */
    struct buf arguments;
};

void reply_release(struct reply *r);

struct request {
    const struct turn *turns;
    size_t nturns;
    const struct tools *tools; /* NULL: none */
    enum grammar_choice choice;
    uint64_t max_tokens;
    uint64_t cpu_limit_ns; /* 0: none */
    struct sample_settings sample;
    /* Called between batches and between tokens; true stops the request. May be NULL. */
    bool (*look_up)(void *arg, const struct reply *so_far);
    void *arg;
};

enum { REPLY_MAX = 1 << 20 };

/* Answers a request. What was said before a limit or a cancellation is kept in the reply; its text is always UTF-8.
   The text only grows while it is made, so what look_up() sees of it stays. With tools the answer is one that
   infer/grammar.h describes, and a call that was not complete when the work was stopped is left out. The caller releases
   the reply. */
enum err MUST_USE session_answer(struct session *s, const struct request *r, struct reply *ret, struct error *e);

uint64_t session_cpu_ns(void);  /* used by this process so far, all threads */
uint64_t session_wall_ns(void); /* monotonic */

#endif
