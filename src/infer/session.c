#include "infer/session.h"

#include <time.h>

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t session_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t session_wall_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

/* ---- loading ---- */

static enum err load(struct session *s, int fd, unsigned threads, size_t context, const char *kernel, struct error *e)
{
    s->ops = ops_best(kernel);
    if (!s->ops)
        return error_set(e, ERR_UNSUPPORTED, "CRANNOG_KERNEL=%s is not to be had on this machine; leave it unset or "
                                             "say scalar", kernel);
    enum err err = gguf_map(fd, &s->file, e);
    if (!err)
        err = gguf_parse(s->file, &s->gguf, e);
    if (!err)
        err = vocab_new(&s->gguf, &s->vocab, e);
    if (!err)
        err = model_new(&s->gguf, s->ops, threads, context, &s->model, e);
    if (!err)
        err = sampler_new(model_shape(s->model)->vocab, &s->sampler, e);
    if (!err)
        s->chat = chat_of(&s->gguf, s->vocab);
    return err;
}

enum err session_open(int fd, unsigned threads, size_t context, const char *kernel, struct session *ret, struct error *e)
{
    struct session s = {0};
    enum err err = load(&s, fd, threads, context, kernel, e);
    if (err)
        session_close(&s);
    else
        *ret = s;
    return err;
}

void session_close(struct session *s)
{
    sampler_free(s->sampler);
    model_free(s->model);
    vocab_free(s->vocab);
    gguf_release(&s->gguf);
    gguf_unmap(s->file);
    tokens_release(&s->fed);
    *s = (struct session){0};
}

/* ---- answering ---- */

struct answering {
    struct session *s;
    const struct request *r;
    struct reply *reply;
    struct tokens said;
    struct buf bytes; /* what the tokens stand for, not yet known to be UTF-8 */
    uint64_t cpu_start;
};

/* True where the request is over for a reason that is not the model's. */
static bool interrupted(struct answering *a)
{
    a->reply->cpu_ns = session_cpu_ns() - a->cpu_start;
    if (a->r->cpu_limit_ns && a->reply->cpu_ns >= a->r->cpu_limit_ns)
        a->reply->stop = INFER_STOP_CPU;
    else if (a->r->look_up && a->r->look_up(a->r->arg, a->reply))
        a->reply->stop = INFER_STOP_CANCELLED;
    else
        return false;
    return true;
}

static size_t common(const struct tokens *a, const struct tokens *b)
{
    size_t n = 0;
    while (n < a->n && n < b->n && a->id[n] == b->id[n])
        n++;
    return n;
}

/* Feeds the prompt but for what the cache has already; the last token always, for its prediction. */
static bool prefill(struct answering *a, const struct tokens *prompt)
{
    struct session *s = a->s;
    size_t at = common(&s->fed, prompt);
    if (at == prompt->n)
        at--;
    s->fed.n = at;
    a->reply->in = at;
    while (at < prompt->n) {
        if (interrupted(a))
            return false;
        size_t n = prompt->n - at < MODEL_BATCH ? prompt->n - at : MODEL_BATCH;
        model_feed(s->model, prompt->id + at, n, at, at + n == prompt->n);
        for (size_t i = 0; i < n; i++)
            tokens_add(&s->fed, prompt->id[at + i]);
        at += n;
        a->reply->in = at;
    }
    return true;
}

static enum err decode(struct answering *a, struct error *e)
{
    struct session *s = a->s;
    struct reply *reply = a->reply;
    for (;;) {
        if (interrupted(a))
            return OK;
        reply->stop = INFER_STOP_LENGTH;
        if (reply->out == a->r->max_tokens)
            return OK;
        int32_t id = sampler_pick(s->sampler, model_logits(s->model), a->said.id, a->said.n);
        if (id < 0)
            return error_set(e, ERR_CORRUPT, "the model's predictions are not numbers; its file may be damaged, get it "
                                             "again");
        reply->stop = INFER_STOP_END;
        if (vocab_is_end(s->vocab, id))
            return OK;
        reply->out++;
        tokens_add(&a->said, id);
        vocab_decode(s->vocab, id, &a->bytes);
        reply->stop = INFER_STOP_CONTEXT;
        if (s->fed.n == model_shape(s->model)->context || !buf_ok(&a->bytes))
            return OK;
        if (reply->out == a->r->max_tokens)
            continue; /* nobody will read another prediction */
        model_feed(s->model, &id, 1, s->fed.n, true);
        tokens_add(&s->fed, id);
        if (s->fed.failed || a->said.failed)
            return error_set(e, ERR_MEMORY, "not enough memory for the answer");
    }
}

/* The rest of a text is the beginning of one character. */
static bool cut_off(struct slice rest)
{
    unsigned char first = (unsigned char)rest.p[0];
    size_t whole = first < 0xc2 || first > 0xf4 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    for (size_t i = 1; i < rest.n; i++)
        if ((rest.p[i] & 0xc0) != 0x80)
            return false;
    return rest.n < whole;
}

/* Copies what is UTF-8; other bytes become U+FFFD, a character that was cut at the end is left out. */
static void clean_text(struct slice s, struct buf *to)
{
    for (struct slice rest = s; rest.n && !cut_off(rest); ) {
        uint32_t c;
        size_t n = vocab_character(rest, &c);
        buf_add(to, c == 0xfffd ? SLICE("\xef\xbf\xbd") : slice_sub(rest, 0, n));
        rest = slice_sub(rest, n, rest.n);
    }
}

static enum err answer(struct answering *a, const struct tokens *prompt, struct error *e)
{
    size_t context = model_shape(a->s->model)->context;
    if (prompt->n > context)
        return error_set(e, ERR_LIMIT, "the prompt is %zu tokens long, the model's context holds %zu", prompt->n, context);
    if (!prompt->n)
        return error_set(e, ERR_USAGE, "the prompt is empty");
    uint64_t start = session_wall_ns();
    bool read = prefill(a, prompt);
    uint64_t middle = session_wall_ns();
    a->reply->prefill_ns = middle - start;
    enum err err = read ? decode(a, e) : OK;
    a->reply->decode_ns = session_wall_ns() - middle;
    a->reply->cpu_ns = session_cpu_ns() - a->cpu_start;
    if (a->s->fed.failed) { /* what the cache holds is no longer known */
        tokens_release(&a->s->fed);
        err = error_set(e, ERR_MEMORY, "not enough memory for the prompt");
    }
    clean_text(buf_slice(&a->bytes), &a->reply->text);
    return err ? err : buf_check(&a->reply->text, "the answer", e);
}

enum err session_answer(struct session *s, const struct request *r, struct reply *ret, struct error *e)
{
    TOKENS_CLEANUP struct tokens prompt = {0};
    struct reply reply = {.text = BUF_INIT(REPLY_MAX * 3)};
    struct answering a = {.s = s, .r = r, .reply = &reply, .bytes = BUF_INIT(REPLY_MAX), .cpu_start = session_cpu_ns()};
    sampler_start(s->sampler, &r->sample);
    enum err err = chat_prompt(&s->chat, s->vocab, r->turns, r->nturns, &prompt, e);
    if (!err)
        err = answer(&a, &prompt, e);
    tokens_release(&a.said);
    buf_release(&a.bytes);
    if (err)
        buf_release(&reply.text);
    else
        *ret = reply;
    return err;
}
