/*
 * Model calls and measuring, by crannog-infer. Their class is `again`: a call that died is settled and asked anew.
 *
 * A call's worst case: its input bounded by the measured tokens of the document's part and one token a byte of all else,
 * its output by the limit that is sent, lowered to what the budget still buys; CPU time by a limit that crannog-infer
 * keeps. So what is reserved is never passed (M2).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "context/prompt.h"
#include "engine/commit.h"
#include "engine/machine.h"
#include "engine/talk_text.h"
#include "infer/meter.h"
#include "infer/protocol.h"

enum { ANSWER_TOKENS = 280, ANSWER_FLOOR = 32, MESSAGE_TOKENS = 16, CONTEXT_TOKENS = 4096, ANSWER_BYTES_MAX = 256 * 1024,
       DOCUMENT_TEXT_MAX = 8 * 1024 * 1024, METER_NAME = 16 /* letters of its file's name */ };
static const uint64_t READ_NS_MIN = 50000000;
static const int64_t SECOND_NS = 1000000000, MODEL_CPU_SECONDS = 600, MEASURE_CPU_SECONDS = 60;

/* ---- the meter ---- */

static void meter_key(const struct step_key *k, uint8_t ret[METER_KEY_BYTES])
{
    memset(ret, 0, METER_KEY_BYTES);
    memcpy(ret, &k->run, 8);
    memcpy(ret + 8, &k->branch, 4);
    memcpy(ret + 12, &k->step, 4);
    memcpy(ret + 16, &k->attempt, 4);
}

/* The name stands in each intent, so whoever recovers it finds the file without looking around. */
static struct slice meter_name(const struct machine *m)
{
    struct slice path = buf_slice(&m->meter_path);
    return slice_sub(path, slice_last_part(path), path.n);
}

/* Makes this engine's meter; without one (a full disk) calls that die are settled as assumed. */
static void meter_make(struct machine *m)
{
    uint64_t word;
    if (m->meter_path.n || !m->state || sys->random(&word, sizeof word) < 0)
        return;
    buf_addf(&m->meter_path, "%s/meters/%016llx", m->state, (unsigned long long)word);
    FD_CLEANUP int fd = sys->openat(AT_FDCWD, buf_str(&m->meter_path), O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0 || sys->ftruncate(fd, sizeof(struct meter)) < 0)
        buf_reset(&m->meter_path);
}

/* What a call that died had used, if the meter at `path` tells. */
static bool meter_read(const char *path, const struct step_key *k, struct amounts *ret)
{
    struct meter m;
    uint8_t key[METER_KEY_BYTES];
    FD_CLEANUP int fd = sys->openat(AT_FDCWD, path, O_RDONLY, 0);
    meter_key(k, key);
    if (fd < 0 || sys->pread(fd, &m, sizeof m, 0) != sizeof m || memcmp(m.key, key, sizeof key) != 0)
        return false;
    *ret = (struct amounts){.n = {[UNIT_TOKENS] = (int64_t)(m.in + m.out), [UNIT_CPU_NS] = (int64_t)m.cpu_ns, [UNIT_CALLS] = 1}};
    return true;
}

/* ---- prepare ---- */

static enum err store_part(struct engine *g, const struct prompt_part *part, struct json *parts, struct error *e)
{
    struct hash h = part->blob;
    enum err err = part->stored ? OK : blob_put(g->store, part->text, &h, e);
    struct json *o = json_object();
    json_put_text(o, "role", slice_of(role_name(part->role)));
    json_put_hash(o, "blob", &h);
    if (part->to) {
        json_put_int(o, "from", (int64_t)part->from);
        json_put_int(o, "to", (int64_t)part->to);
    }
    json_put_int(o, "label", 0);
    json_push(parts, o);
    return err;
}

/* Tokens that the input can have at most. */
static int64_t input_bound(const struct run_state *r, const struct line *l, const struct want *w, const struct prompt *p)
{
    int64_t n = MESSAGE_TOKENS;
    for (size_t i = 0; i < p->n; i++) {
        n += MESSAGE_TOKENS;
        if (!p->parts[i].stored)
            n += (int64_t)p->parts[i].text.n;
        else if (w->stage == STAGE_ASK)
            n += (int64_t)(l->tokens < r->window ? l->tokens : r->window) + MESSAGE_TOKENS;
    }
    for (size_t i = 0; w->stage == STAGE_JOIN && i < l->nparts; i++)
        n += (int64_t)l->parts[i].bytes;
    return n;
}

static void model_clamp(struct json *args, const struct amounts *granted, const struct amounts *floor)
{
    int64_t input = floor->n[UNIT_TOKENS] - ANSWER_FLOOR;
    json_put_int(args, "max_tokens", granted->n[UNIT_TOKENS] - input);
    json_put_int(args, "cpu_ns", granted->n[UNIT_CPU_NS]);
}

static enum err model_prepare(struct engine *g, struct run *r, const struct want *w, struct intent *ret, struct error *e)
{
    const struct line *l = run_line(&r->state, w->item, w->piece);
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    struct prompt p;
    enum err err = prompt_make(&r->state, w, &a, &p, e);
    struct json *parts = json_array();
    for (size_t i = 0; !err && i < p.n; i++)
        err = store_part(g, &p.parts[i], parts, e);
    if (err) {
        json_free(parts);
        return err;
    }
    ret->args = json_object();
    meter_make(g->acts.ctx);
    json_put_text(ret->args, "meter", meter_name(g->acts.ctx));
    json_put_text(ret->args, "model", g->model);
    json_put_int(ret->args, "render", PROMPT_RENDER);
    json_put(ret->args, "parts", parts);
    json_put_int(ret->args, "seed", (int64_t)w->step);
    json_put_int(ret->args, "temperature_milli", l->failures ? 700 : 0); /* the same question gives the same answer */
    json_put_int(ret->args, "top_p_milli", 900);
    json_put_int(ret->args, "repeat_milli", 1100);
    int64_t input = input_bound(&r->state, l, w, &p);
    ret->worst = (struct amounts){.n = {[UNIT_TOKENS] = input + ANSWER_TOKENS, [UNIT_CPU_NS] = MODEL_CPU_SECONDS * SECOND_NS, [UNIT_CALLS] = 1}};
    ret->floor = (struct amounts){.n = {[UNIT_TOKENS] = input + ANSWER_FLOOR, [UNIT_CPU_NS] = SECOND_NS, [UNIT_CALLS] = 1}};
    ret->clamp = model_clamp;
    return OK;
}

/* The output limit stands in its arguments; the budget's CPU seconds are sent too. */
static void think_cpu(struct json *args, const struct amounts *granted, const struct amounts *floor)
{
    int64_t want = json_int(json_get(args, "max_output"), ANSWER_FLOOR), most = granted->n[UNIT_TOKENS] - (floor->n[UNIT_TOKENS] - ANSWER_FLOOR);
    json_put_int(args, "max_output", want < most ? want : most);
    json_put_int(args, "cpu_ns", granted->n[UNIT_CPU_NS]);
}

void model_intend(struct engine *g, const struct run_state *r, struct intent *ret)
{
    int64_t output = json_int(json_get(ret->args, "max_output"), ANSWER_TOKENS), input = (int64_t)r->window;
    meter_make(g->acts.ctx);
    json_put_text(ret->args, "meter", meter_name(g->acts.ctx));
    ret->worst = (struct amounts){.n = {[UNIT_TOKENS] = input + output, [UNIT_CPU_NS] = MODEL_CPU_SECONDS * SECOND_NS, [UNIT_CALLS] = 1}};
    ret->floor = (struct amounts){.n = {[UNIT_TOKENS] = input + ANSWER_FLOOR, [UNIT_CPU_NS] = SECOND_NS, [UNIT_CALLS] = 1}};
    ret->clamp = think_cpu;
}

static enum err measure_prepare(struct engine *g, struct run *r, const struct want *w, struct intent *ret, struct error *e)
{
    const struct line *l = run_line(&r->state, w->item, w->piece);
    (void)e;
    ret->args = json_object();
    meter_make(g->acts.ctx);
    json_put_text(ret->args, "meter", meter_name(g->acts.ctx));
    json_put_hash(ret->args, "text", &l->text.blob);
    json_put_int(ret->args, "window", (int64_t)r->state.window);
    ret->worst.n[UNIT_CPU_NS] = MEASURE_CPU_SECONDS * SECOND_NS;
    ret->floor.n[UNIT_CPU_NS] = SECOND_NS / 10;
    return OK;
}

/* ---- the program ---- */

static enum err infer_start(struct machine *m, struct error *e)
{
    static char name[] = "crannog-infer", lang[] = "LANG=C.UTF-8";
    char *argv[] = {name, NULL}, *env[] = {lang, NULL};
    if (!m->model_file)
        return error_set(e, ERR_MISSING, "there is no model yet; give it one with `crannog model get FILE.gguf`");
    FD_CLEANUP int fd = sys->openat(AT_FDCWD, m->model_file, O_RDONLY, 0);
    if (fd < 0)
        return error_errno(e, errno, "cannot open the model %s", m->model_file);
    FD_CLEANUP int meter = m->meter_path.n ? sys->openat(AT_FDCWD, buf_str(&m->meter_path), O_RDWR, 0) : -1;
    enum err err = peer_start(buf_str(&m->infer_path), argv, env, &meter, meter >= 0, true, &m->infer, e);
    if (err)
        return err;
    OUTGOING_CLEANUP struct outgoing load = outgoing_new();
    outgoing_put_fd(&load, INFER_FD, fd);
    message_put_u64(&load.message, INFER_THREADS, m->threads);
    message_put_u64(&load.message, INFER_CONTEXT, CONTEXT_TOKENS);
    err = frame_send(m->infer.socket, INFER_LOAD, m->next_id++, &load, e);
    m->infer_stage = INFER_STARTING;
    if (err)
        peer_kill(&m->infer);
    return err;
}

/* A call that was not sent ends here. */
static void give_up(struct engine *g, struct infer_job *job, enum outcome outcome, const char *why)
{
    struct completion c = {.key = job->key, .outcome = outcome};
    outgoing_release(&job->out);
    job->id = 0;
    snprintf(c.why, sizeof c.why, "%.239s", why);
    engine_complete(g, &c);
}

static void send_waiting(struct engine *g)
{
    struct machine *m = g->acts.ctx;
    for (size_t i = 0; m->infer_stage == INFER_READY && i < MACHINE_JOBS_MAX; i++) {
        struct infer_job *job = &m->calls[i];
        struct error e;
        if (!job->id || job->sent)
            continue;
        enum err err = frame_send(m->infer.socket, job->stage == STAGE_MEASURE ? INFER_MEASURE : INFER_GENERATE, job->id, &job->out, &e);
        if (err == ERR_BUSY || err == ERR_GONE)
            return; /* full: when it has read; dead: the receive will say so */
        if (err) {
            give_up(g, job, OUTCOME_FAILED, e.text);
            continue;
        }
        outgoing_release(&job->out);
        job->sent = true;
        if (job->stage != STAGE_MEASURE)
            g->live.model_since_ms = sys->now_ms();
    }
}

/* ---- start ---- */

static struct infer_job *free_call(struct machine *m)
{
    for (size_t i = 0; i < MACHINE_JOBS_MAX; i++)
        if (!m->calls[i].id)
            return &m->calls[i];
    return NULL;
}

enum err model_begin(struct engine *g, const struct open_step *o, struct outgoing *out, struct error *e)
{
    struct machine *m = g->acts.ctx;
    struct infer_job *job = free_call(m);
    enum err err = job ? OK : error_set(e, ERR_LIMIT, "more than %d model calls at once", MACHINE_JOBS_MAX);
    if (!err && out->failed)
        err = error_set(e, ERR_LIMIT, "a model call that is too large to send");
    if (!err && !m->infer.pid)
        err = infer_start(m, e);
    if (err)
        return err;
    uint8_t key[METER_KEY_BYTES];
    meter_key(&o->key, key);
    message_put(&out->message, INFER_METER_KEY, (struct slice){(const char *)key, sizeof key});
    *job = (struct infer_job){.key = o->key, .id = m->next_id++, .stage = o->stage, .out = *out};
    *out = outgoing_new();
    send_waiting(g);
    return OK;
}

static enum err add_messages(struct engine *g, const struct json *args, struct outgoing *out, struct error *e)
{
    const struct json *parts = json_get(args, "parts");
    size_t n = json_count(parts);
    enum prompt_role roles[PROMPT_PARTS_MAX];
    struct slice texts[PROMPT_PARTS_MAX];
    struct prompt_message messages[PROMPT_PARTS_MAX];
    ARENA_CLEANUP struct arena a = ARENA_INIT(32 << 20);
    if (n == 0 || n > PROMPT_PARTS_MAX)
        return error_set(e, ERR_CORRUPT, "a model call with %zu parts", n);
    for (size_t i = 0; i < n; i++) {
        const struct json *p = json_at(parts, i);
        struct hash h;
        BUF_CLEANUP struct buf bytes = BUF_INIT(DOCUMENT_TEXT_MAX);
        roles[i] = role_from(json_text(json_get(p, "role")));
        if (!roles[i] || !hash_from_hex(json_text(json_get(p, "blob")), &h))
            return error_set(e, ERR_CORRUPT, "a model call with a part that is none");
        enum err err = blob_get(g->store, &h, &bytes, e);
        if (err)
            return err;
        int64_t from = json_int(json_get(p, "from"), 0), to = json_int(json_get(p, "to"), 0);
        struct slice all = buf_slice(&bytes);
        texts[i] = arena_copy(&a, to > from && from >= 0 ? slice_sub(all, (size_t)from, (size_t)(to - from)) : all);
        if (!texts[i].p)
            return error_set(e, ERR_MEMORY, "a prompt that does not fit in memory");
    }
    size_t got = prompt_render((unsigned)json_int(json_get(args, "render"), 0), roles, texts, n, messages, PROMPT_PARTS_MAX);
    for (size_t i = 0; i < got; i++) {
        message_put(&out->message, INFER_ROLE, slice_of(role_name(messages[i].role)));
        outgoing_put_large(out, INFER_TEXT, buf_slice(&messages[i].text));
        buf_release(&messages[i].text);
    }
    return got ? OK : error_set(e, ERR_VERSION, "a prompt of an unknown form");
}

static enum err model_start(struct engine *g, struct run *r, const struct open_step *o, struct error *e)
{
    JSON_CLEANUP struct json *args = NULL;
    OUTGOING_CLEANUP struct outgoing out = outgoing_new();
    (void)r;
    enum err err = json_parse(o->args, &args, e);
    if (!err)
        err = add_messages(g, args, &out, e);
    if (err)
        return err;
    static const struct { const char *key; uint16_t tag; } numbers[] = {
        {"max_tokens", INFER_MAX_TOKENS}, {"seed", INFER_SEED}, {"temperature_milli", INFER_TEMPERATURE_MILLI},
        {"top_p_milli", INFER_TOP_P_MILLI}, {"repeat_milli", INFER_REPEAT_MILLI}, {"cpu_ns", INFER_CPU_LIMIT_NS}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        message_put_u64(&out.message, numbers[i].tag, (uint64_t)json_int(json_get(args, numbers[i].key), 0));
    return model_begin(g, o, &out, e);
}

static enum err measure_start(struct engine *g, struct run *r, const struct open_step *o, struct error *e)
{
    JSON_CLEANUP struct json *args = NULL;
    OUTGOING_CLEANUP struct outgoing out = outgoing_new();
    BUF_CLEANUP struct buf text = BUF_INIT(DOCUMENT_TEXT_MAX);
    struct hash h;
    (void)r;
    enum err err = json_parse(o->args, &args, e);
    if (!err && !hash_from_hex(json_text(json_get(args, "text")), &h))
        err = error_set(e, ERR_CORRUPT, "nothing to measure");
    if (!err)
        err = blob_get(g->store, &h, &text, e);
    if (err)
        return err;
    outgoing_put_large(&out, INFER_TEXT, buf_slice(&text));
    message_put_u64(&out.message, INFER_WINDOW, (uint64_t)json_int(json_get(args, "window"), 0));
    return model_begin(g, o, &out, e);
}

/* ---- cancel, recover ---- */

void model_cancel(struct engine *g, struct run *r, const struct open_step *o)
{
    struct machine *m = g->acts.ctx;
    (void)r;
    for (size_t i = 0; i < MACHINE_JOBS_MAX; i++) {
        struct infer_job *job = &m->calls[i];
        if (!job->id || job->key.run != o->key.run || job->key.step != o->key.step)
            continue;
        job->cancelled = true;
        if (!job->sent)
            give_up(g, job, OUTCOME_CANCELLED, "stopped before it began");
        else /* it answers with what was used; if it cannot hear, its end or its death says that */
            (void)!frame_send(m->infer.socket, INFER_CANCEL, job->id, NULL, NULL);
        return;
    }
}

enum recovery model_recover(struct engine *g, struct run *r, const struct open_step *o, struct amounts *ret_used, bool *ret_exact)
{
    const struct machine *m = g->acts.ctx;
    JSON_CLEANUP struct json *args = NULL;
    BUF_CLEANUP struct buf path = BUF_INIT(4096);
    (void)r;
    if (!m->state || json_parse(o->args, &args, NULL))
        return RECOVER_AGAIN;
    struct slice name = json_text(json_get(args, "meter"));
    if (name.n != METER_NAME || slice_index(name, '/') != name.n)
        return RECOVER_AGAIN;
    buf_addf(&path, "%s/meters/%.*s", m->state, SLICE_ARG(name));
    *ret_exact = meter_read(buf_str(&path), &o->key, ret_used);
    if (*ret_exact)
        sys->unlinkat(AT_FDCWD, buf_str(&path), 0);
    return RECOVER_AGAIN;
}

/* ---- collect ---- */

/* An answer that ran into its limit ends with its last whole sentence, if it has one. */
static struct slice whole_sentences(struct slice s)
{
    for (size_t n = s.n; n > 0; n--)
        if (strchr(".!?", s.p[n - 1]) && (n == s.n || s.p[n] == ' ' || s.p[n] == '\n'))
            return slice_sub(s, 0, n);
    return s;
}

/* A number of crannog-infer's, which may be any. What is past a reservation is cut to it, never read as negative. */
static int64_t amount(uint64_t n)
{
    return n < INT64_MAX ? (int64_t)n : INT64_MAX;
}

/* What an answer used, and how fast it came. */
static void count(struct engine *g, const struct frame *f, struct completion *c)
{
    uint64_t in = message_get_u64(f->message, INFER_IN, 0), out = message_get_u64(f->message, INFER_OUT, 0);
    uint64_t prefill = message_get_u64(f->message, INFER_PREFILL_NS, 0), decode = message_get_u64(f->message, INFER_DECODE_NS, 0);
    c->used = (struct amounts){.n = {[UNIT_TOKENS] = amount(in + out < in ? UINT64_MAX : in + out), [UNIT_CALLS] = 1,
                                     [UNIT_CPU_NS] = amount(message_get_u64(f->message, INFER_CPU_NS, 0))}};
    if (prefill > READ_NS_MIN) /* less was nearly all in the cache, and says nothing of its speed */
        g->live.in_per_s = (double)in * 1e9 / (double)prefill;
    if (decode)
        g->live.out_per_s = (double)out * 1e9 / (double)decode;
    g->live.tokens_in = g->live.tokens_out = 0;
    g->live.model_since_ms = 0;
}

/* What came whole is taken, also where somebody had asked to stop meanwhile: it is there, and paid for. */
static void generated(const struct frame *f, struct completion *c)
{
    struct error e;
    BUF_CLEANUP struct buf text = BUF_INIT(ANSWER_BYTES_MAX);
    uint64_t stop = message_get_u64(f->message, INFER_STOP, 0);
    if (frame_large(f, INFER_TEXT, &text, &e)) {
        c->outcome = OUTCOME_FAILED;
        snprintf(c->why, sizeof c->why, "%.200s", e.text);
        return;
    }
    struct slice answer = slice_trim(buf_slice(&text));
    if (stop == INFER_STOP_LENGTH)
        answer = whole_sentences(answer);
    c->result = json_object();
    json_put_int(c->result, "in", (int64_t)message_get_u64(f->message, INFER_IN, 0));
    json_put_int(c->result, "out", (int64_t)message_get_u64(f->message, INFER_OUT, 0));
    json_put_int(c->result, "stop", (int64_t)stop);
    json_put_int(c->result, "bytes", (int64_t)answer.n);
    buf_add(&c->blob, answer);
    c->blob_key = "text";
    const char *why = stop == INFER_STOP_CANCELLED ? "stopped"
                      : stop == INFER_STOP_CPU     ? "the CPU seconds of the budget ended in the middle of the answer"
                      : answer.n == 0              ? "the model answered nothing"
                                                   : NULL;
    if (why) {
        c->outcome = stop == INFER_STOP_CANCELLED ? OUTCOME_CANCELLED : OUTCOME_FAILED;
        snprintf(c->why, sizeof c->why, "%s", why);
    }
}

static void measured(struct frame *f, struct completion *c)
{
    struct message_reader r = message_read(f->message);
    struct json *cuts = json_array();
    struct field field;
    uint64_t v;
    while (message_next(&r, &field) == 1)
        if (field.tag == INFER_CUT && field_u64(field, &v) && v <= INT64_MAX)
            json_push(cuts, json_new_int((int64_t)v));
    c->result = json_object();
    json_put_int(c->result, "tokens", (int64_t)message_get_u64(f->message, INFER_TOKENS, 0));
    json_put(c->result, "cuts", cuts);
    if (json_count(cuts) > RUN_PARTS_MAX) { /* a question for a person, not the end of the run */
        c->outcome = OUTCOME_FAILED;
        c->final = true;
        snprintf(c->why, sizeof c->why, "the document is too long: %zu parts, at most %d are read", json_count(cuts), RUN_PARTS_MAX);
    }
    c->used.n[UNIT_CPU_NS] = amount(message_get_u64(f->message, INFER_CPU_NS, 0));
}

/* Its code says what it means: what was stopped is done again, what there was no memory for is tried again, and the
   rest is for a person. */
static void failed(struct frame *f, struct completion *c)
{
    BUF_CLEANUP struct buf text = BUF_INIT(4096);
    enum err err = frame_large(f, INFER_TEXT, &text, NULL);
    uint64_t code = message_get_u64(f->message, INFER_CODE, 0);
    c->outcome = code == ERR_CANCELLED ? OUTCOME_CANCELLED : OUTCOME_FAILED;
    c->final = code != ERR_CANCELLED && code != ERR_MEMORY && code != ERR_BUSY;
    snprintf(c->why, sizeof c->why, "%.239s", err ? "crannog-infer failed without saying why" : buf_str(&text));
}

/* Every call that was with a crannog-infer that died, or that it could not load a model for. */
static void complete_all(struct engine *g, enum outcome outcome, const char *why)
{
    struct machine *m = g->acts.ctx;
    for (size_t i = 0; i < MACHINE_JOBS_MAX; i++) {
        struct infer_job *job = &m->calls[i];
        if (!job->id)
            continue;
        struct run *r = engine_find(g, job->key.run);
        const struct open_step *o = r ? engine_step(r, &job->key) : NULL;
        struct completion c = {.key = job->key, .outcome = outcome, .final = outcome == OUTCOME_FAILED};
        if (job->cancelled)
            c.outcome = OUTCOME_CANCELLED;
        if (outcome == OUTCOME_LOST && o && job->sent && !(m->meter_path.n && meter_read(buf_str(&m->meter_path), &o->key, &c.used))) {
            c.used = o->held;
            c.assumed = true;
        }
        if (!job->sent)
            outgoing_release(&job->out);
        job->id = 0;
        snprintf(c.why, sizeof c.why, "%.239s", why);
        engine_complete(g, &c);
    }
    g->live = (struct live){0};
}

static void infer_died(struct engine *g, const char *why)
{
    struct machine *m = g->acts.ctx;
    bool loading = m->infer_stage == INFER_STARTING;
    BUF_CLEANUP struct buf text = BUF_INIT(512), how = BUF_INIT(200);
    peer_ended(&m->infer, &how);
    peer_kill(&m->infer);
    m->infer_stage = INFER_OFF;
    buf_addf(&text, "crannog-infer died %s: %s %s", loading ? "while it loaded the model" : "in the middle of a call", why, buf_str(&how));
    complete_all(g, OUTCOME_LOST, buf_str(&text));
}

static void loaded(struct engine *g)
{
    struct machine *m = g->acts.ctx;
    m->infer_stage = INFER_READY;
    send_waiting(g);
}

static void progress(struct engine *g, struct frame *f)
{
    g->live.tokens_in = message_get_u64(f->message, INFER_IN, 0);
    g->live.tokens_out = message_get_u64(f->message, INFER_OUT, 0);
}

/* An agent's answer is a turn; a talk is made shorter without the model where that fails, as where the door asks. */
static void thought(struct engine *g, const struct frame *f, struct run *r, const struct open_step *o, bool stopped, struct completion *c)
{
    JSON_CLEANUP struct json *args = NULL;
    if (f->type == INFER_GENERATED)
        think_generated(g, f, o, stopped, c);
    else if (!c->result)
        c->result = json_object();
    if (o->stage == STAGE_COMPACT && c->outcome != OUTCOME_CANCELLED && json_parse(o->args, &args, NULL) == OK)
        talk_compacted_by(g, r, o, args, c);
}

static void answered(struct engine *g, struct frame *f)
{
    struct machine *m = g->acts.ctx;
    struct infer_job *job = NULL;
    for (size_t i = 0; i < MACHINE_JOBS_MAX; i++)
        if (m->calls[i].id && m->calls[i].id == f->id && m->calls[i].sent)
            job = &m->calls[i];
    if (!job) {
        if (f->type == INFER_FAILED && m->infer_stage == INFER_STARTING) {
            struct completion c = {.blob = BUF_INIT(0)};
            failed(f, &c);
            peer_kill(&m->infer);
            m->infer_stage = INFER_OFF;
            complete_all(g, OUTCOME_FAILED, c.why);
        }
        return; /* an answer to something that was given up */
    }
    struct completion c = {.key = job->key, .outcome = OUTCOME_OK, .blob = BUF_INIT(ANSWER_BYTES_MAX)};
    struct run *r = engine_find(g, job->key.run);
    const struct open_step *o = r ? engine_step(r, &job->key) : NULL;
    bool thinks = o && (job->stage == STAGE_THINK || job->stage == STAGE_COMPACT);
    if (f->type == INFER_GENERATED)
        count(g, f, &c);
    if (f->type == INFER_GENERATED && !thinks)
        generated(f, &c);
    else if (f->type == INFER_MEASURED)
        measured(f, &c);
    else if (f->type != INFER_GENERATED)
        failed(f, &c);
    if (f->type == INFER_FAILED && m->meter_path.n) /* the meter tells what it had used until then */
        (void)!meter_read(buf_str(&m->meter_path), &job->key, &c.used);
    if (thinks)
        thought(g, f, r, o, job->cancelled, &c);
    job->id = 0;
    engine_complete(g, &c);
}

/* What an agent's model says while it says it. */
static void heard(struct engine *g, const struct frame *f)
{
    struct machine *m = g->acts.ctx;
    BUF_CLEANUP struct buf text = BUF_INIT(ANSWER_BYTES_MAX);
    for (size_t i = 0; i < MACHINE_JOBS_MAX; i++) {
        struct run *r = m->calls[i].id && m->calls[i].id == f->id ? engine_find(g, m->calls[i].key.run) : NULL;
        if (r && g->hear && m->calls[i].stage == STAGE_THINK && frame_large(f, INFER_TEXT, &text, NULL) == OK)
            g->hear(g->hear_ctx, r, &(struct heard){.kind = HEARD_TEXT, .text = buf_slice(&text)});
    }
}

enum err model_warm(struct engine *g, struct error *e)
{
    struct machine *m = g->acts.ctx;
    struct frame f;
    meter_make(m);
    enum err err = m->infer.pid ? OK : infer_start(m, e);
    while (!err && m->infer_stage == INFER_STARTING) {
        struct pollfd p = {.fd = m->infer.socket, .events = POLLIN};
        if (sys->poll(&p, 1, -1) < 0 && errno != EINTR)
            return error_errno(e, errno, "cannot wait for crannog-infer");
        err = frame_receive(m->infer.socket, &f, e);
        if (err == ERR_BUSY) {
            err = OK;
            continue;
        }
        if (err) { /* a death is nothing that a person can mend; the first call starts another one */
            infer_died(g, "");
            return OK;
        }
        if (f.type == INFER_LOADED) {
            loaded(g);
        } else {
            struct completion c = {.blob = BUF_INIT(0)};
            failed(&f, &c);
            peer_kill(&m->infer);
            m->infer_stage = INFER_OFF;
            err = error_set(e, ERR_CORRUPT, "the model %.200s cannot be used: %.230s", m->model_file, c.why);
        }
        frame_release(&f);
    }
    return err;
}

void model_collect(struct engine *g)
{
    struct machine *m = g->acts.ctx;
    for (;;) {
        struct frame f;
        struct error e = {0};
        enum err err = frame_receive(m->infer.socket, &f, &e);
        if (err == ERR_BUSY)
            break;
        if (err) {
            infer_died(g, e.text);
            return;
        }
        if (f.type == INFER_LOADED)
            loaded(g);
        else if (f.type == INFER_DELTA)
            heard(g, &f);
        else if (f.type == INFER_PROGRESS)
            progress(g, &f);
        else
            answered(g, &f);
        frame_release(&f);
        if (!m->infer.pid)
            return;
    }
    send_waiting(g);
}

const struct act_row act_model = {model_prepare, model_start, model_cancel, model_recover};
const struct act_row act_measure = {measure_prepare, measure_start, model_cancel, model_recover};
