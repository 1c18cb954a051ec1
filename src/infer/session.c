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
    lexicon_free(s->lexicon);
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
    struct grammar *grammar; /* has the bytes instead, where there are tools; or NULL */
    size_t cleaned; /* bytes that are in the reply's text */
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

/* Copies what is new and UTF-8; other bytes become U+FFFD, a character that is cut at the end waits for its rest. */
static void clean_text(struct answering *a)
{
    struct slice said = a->grammar ? grammar_text(a->grammar) : buf_slice(&a->bytes), rest;
    while (rest = slice_sub(said, a->cleaned, said.n), rest.n && !cut_off(rest)) {
        uint32_t c;
        size_t n = vocab_character(rest, &c);
        buf_add(&a->reply->text, c == 0xfffd ? SLICE("\xef\xbf\xbd") : slice_sub(rest, 0, n));
        a->cleaned += n;
    }
}

/* ---- token by token ---- */

/* A token of the answer; the grammar has taken it already. */
static void note(struct answering *a, int32_t id)
{
    a->reply->out++;
    tokens_add(&a->said, id);
    if (!a->grammar)
        vocab_decode(a->s->vocab, id, &a->bytes);
}

/* Feeds the last `n` tokens of the answer for the prediction behind them. */
static enum err feed(struct answering *a, size_t n, struct error *e)
{
    struct session *s = a->s;
    if (a->said.failed)
        return error_set(e, ERR_MEMORY, "not enough memory for the answer");
    const int32_t *ids = a->said.id + a->said.n - n;
    for (size_t at = 0, batch; at < n; at += batch) {
        batch = n - at < MODEL_BATCH ? n - at : MODEL_BATCH;
        model_feed(s->model, ids + at, batch, s->fed.n, at + batch == n);
        for (size_t i = 0; i < batch; i++)
            tokens_add(&s->fed, ids[at + i]);
    }
    return s->fed.failed ? error_set(e, ERR_MEMORY, "not enough memory for the answer") : OK;
}

/* How many tokens may still come. */
static size_t left(const struct answering *a)
{
    uint64_t most = a->r->max_tokens - a->reply->out;
    size_t context = model_shape(a->s->model)->context - a->s->fed.n + 1;
    return most < context ? (size_t)most : context;
}

/* Tokens that the grammar leaves no choice for, up to one that it does. They cost a batch, not a step each. */
static size_t take_forced(struct answering *a)
{
    TOKENS_CLEANUP struct tokens forced = {0};
    size_t n = 0, room = left(a);
    if (room > 1)
        grammar_forced(a->grammar, a->s->vocab, room - 1, &forced);
    while (n < forced.n && grammar_take(a->grammar, forced.id[n], room - n - 1))
        note(a, forced.id[n++]);
    return n;
}

/* No further token fits: what has begun is ended without the model. */
static void end_call(struct answering *a)
{
    size_t before = a->said.n;
    grammar_close(a->grammar, &a->said);
    a->reply->out += a->said.n - before;
}

static const uint64_t *allowed(struct answering *a)
{
    if (!a->grammar)
        return NULL;
    uint64_t start = session_wall_ns();
    const uint64_t *bits = grammar_allowed(a->grammar);
    a->reply->mask_ns += session_wall_ns() - start;
    return bits;
}

/* The model's next token. False where the answer ends before it: why is in reply->stop. */
static enum err say_one(struct answering *a, bool *ret_more, struct error *e)
{
    struct session *s = a->s;
    struct reply *reply = a->reply;
    size_t room = left(a);
    *ret_more = false;
    int32_t id = sampler_pick(s->sampler, model_logits(s->model), a->said.id, a->said.n, allowed(a));
    if (id == SAMPLER_NO_NUMBERS)
        return error_set(e, ERR_CORRUPT, "the model's predictions are not numbers; its file may be damaged, get it "
                                         "again");
    if (vocab_is_end(s->vocab, id)) {
        reply->stop = INFER_STOP_END;
        return OK;
    }
    if (a->grammar && (id < 0 || !grammar_take(a->grammar, id, room - 1))) {
        reply->stop = room < a->r->max_tokens - reply->out ? INFER_STOP_CONTEXT : INFER_STOP_LENGTH;
        end_call(a);
        return OK;
    }
    note(a, id);
    reply->stop = INFER_STOP_CONTEXT;
    if (s->fed.n == model_shape(s->model)->context || !buf_ok(&a->bytes))
        return OK;
    *ret_more = true;
    return reply->out == a->r->max_tokens ? OK /* nobody will read another prediction */ : feed(a, 1, e);
}

static enum err decode(struct answering *a, struct error *e)
{
    bool more = !a->grammar || grammar_fits(a->grammar, left(a));
    enum err err = OK;
    a->reply->stop = INFER_STOP_LENGTH;
    while (more && !err) {
        clean_text(a);
        if (interrupted(a))
            return OK;
        a->reply->stop = INFER_STOP_LENGTH;
        if (a->reply->out == a->r->max_tokens)
            return OK;
        size_t forced = a->grammar ? take_forced(a) : 0;
        err = forced ? feed(a, forced, e) : say_one(a, &more, e);
    }
    return err;
}

/* The calls, and how an answer that ended with one stopped: at its end, unless a limit ended the call. */
static void keep_calls(struct answering *a)
{
    struct reply *r = a->reply;
    size_t n = a->grammar ? grammar_calls(a->grammar) : 0, start = 0;
    for (size_t i = 0; i < n; i++)
        buf_add(&r->arguments, grammar_call(a->grammar, i).arguments);
    if (!n || !buf_ok(&r->arguments))
        return;
    for (size_t i = 0; i < n; i++, r->ncalls++) {
        r->calls[i] = grammar_call(a->grammar, i);
        r->calls[i].arguments = slice_sub(buf_slice(&r->arguments), start, r->calls[i].arguments.n);
        start += r->calls[i].arguments.n;
    }
    r->shortened = grammar_shortened(a->grammar);
    if (!r->shortened && grammar_may_end(a->grammar) && (r->stop == INFER_STOP_LENGTH || r->stop == INFER_STOP_CONTEXT))
        r->stop = INFER_STOP_END;
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
    clean_text(a);
    keep_calls(a);
    if (!err)
        err = buf_check(&a->reply->text, "the answer", e);
    return err ? err : buf_check(&a->reply->arguments, "the calls of the answer", e);
}

void reply_release(struct reply *r)
{
    buf_release(&r->text);
    buf_release(&r->arguments);
    r->ncalls = 0;
}

static enum err make_grammar(struct answering *a, struct error *e)
{
    struct session *s = a->s;
    enum err err = OK;
    if (!a->r->tools || !a->r->tools->n)
        return OK;
    if (!s->lexicon)
        err = lexicon_new(s->vocab, model_shape(s->model)->vocab, SLICE(CALL_MARK), &s->lexicon, e);
    return err ? err : grammar_new(a->r->tools, s->lexicon, s->vocab, a->r->choice, &a->grammar, e);
}

enum err session_answer(struct session *s, const struct request *r, struct reply *ret, struct error *e)
{
    TOKENS_CLEANUP struct tokens prompt = {0};
    struct reply reply = {.text = BUF_INIT(REPLY_MAX * 3), .arguments = BUF_INIT(REPLY_MAX)};
    struct answering a = {.s = s, .r = r, .reply = &reply, .bytes = BUF_INIT(REPLY_MAX), .cpu_start = session_cpu_ns()};
    sampler_start(s->sampler, &r->sample);
    struct slice told = r->tools ? buf_slice(&r->tools->text) : SLICE_NONE;
    enum err err = chat_prompt(&s->chat, s->vocab, told, r->turns, r->nturns, &prompt, e);
    if (!err)
        err = make_grammar(&a, e);
    if (!err)
        err = answer(&a, &prompt, e);
    grammar_free(a.grammar);
    tokens_release(&a.said);
    buf_release(&a.bytes);
    if (err)
        reply_release(&reply);
    else
        *ret = reply;
    return err;
}
