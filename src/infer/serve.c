#include "infer/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>

#include "base/sys.h"
#include "infer/cut.h"
#include "infer/meter.h"
#include "infer/session.h"
#include "wire/frame.h"

enum { PROGRESS_NS = 100 * 1000 * 1000, DELTA_NS = PROGRESS_NS / 3, THREADS = 2, ANSWER_TOKENS = 256, MILLI_MAX = 100 * 1000 };

struct server {
    int socket;
    const char *kernel;
    bool gone;                          /* the other side, or our way to it */
    struct session session;             /* .model is NULL before the first LOAD */
    struct frame queue[SERVE_QUEUE_MAX]; /* waiting, oldest first */
    size_t waiting;
    uint64_t current;                   /* id of what is worked on */
    bool cancelled;
    uint64_t cpu_start, last_progress_ns, last_delta_ns;
    bool stream;
    size_t streamed;                    /* bytes of the answer's text that have been sent */
    volatile struct meter *meter;       /* shared with whoever outlives us; NULL: none was given */
};

/* ---- the meter (infer/meter.h) ---- */

static volatile struct meter *meter_map(void)
{
    struct stat st;
    if (sys->fstatat(METER_FD, "", &st, AT_EMPTY_PATH) < 0 || !S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(struct meter))
        return NULL;
    void *p = mmap(NULL, sizeof(struct meter), PROT_READ | PROT_WRITE, MAP_SHARED, METER_FD, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void meter_count(const struct server *s, uint64_t in, uint64_t out, uint64_t cpu_ns)
{
    if (!s->meter)
        return;
    s->meter->in = in;
    s->meter->out = out;
    s->meter->cpu_ns = cpu_ns;
}

static void meter_begin(const struct server *s, const struct frame *f)
{
    struct slice key = message_get(f->message, INFER_METER_KEY);
    for (size_t i = 0; s->meter && i < METER_KEY_BYTES; i++)
        s->meter->key[i] = 0;
    meter_count(s, 0, 0, 0);
    for (size_t i = 0; s->meter && key.n == METER_KEY_BYTES && i < key.n; i++)
        s->meter->key[i] = (uint8_t)key.p[i];
}

/* ---- answers ---- */

static void fail(struct server *s, uint64_t id, const struct error *why)
{
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    message_put_u64(&o.message, INFER_CODE, why->code);
    outgoing_put_large(&o, INFER_TEXT, slice_of(why->text));
    if (frame_send(s->socket, INFER_FAILED, id, &o, NULL))
        s->gone = true;
}

/* An answer that cannot be sent becomes a failure that can. */
static void say(struct server *s, enum infer_frame type, uint64_t id, const struct outgoing *o)
{
    struct error e;
    enum err err = frame_send(s->socket, type, id, o, &e);
    if (err == ERR_GONE)
        s->gone = true;
    else if (err && type != INFER_PROGRESS)
        fail(s, id, &e);
}

static void send_reply(struct server *s, uint64_t id, const struct reply *r)
{
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    outgoing_put_large(&o, INFER_TEXT, buf_slice(&r->text));
    for (size_t i = 0; i < r->ncalls; i++) {
        message_put(&o.message, INFER_CALL_NAME, r->calls[i].name);
        outgoing_put_large(&o, INFER_ARGUMENTS, r->calls[i].arguments);
    }
    if (r->ncalls)
        message_put_u64(&o.message, INFER_SHORTENED, r->shortened);
    message_put_u64(&o.message, INFER_IN, r->in);
    message_put_u64(&o.message, INFER_OUT, r->out);
    message_put_u64(&o.message, INFER_CPU_NS, r->cpu_ns);
    message_put_u64(&o.message, INFER_STOP, r->stop);
    message_put_u64(&o.message, INFER_PREFILL_NS, r->prefill_ns);
    message_put_u64(&o.message, INFER_DECODE_NS, r->decode_ns);
    say(s, INFER_GENERATED, id, &o);
}

static void cancel_waiting(struct server *s, struct frame *f)
{
    const struct reply nothing = {.stop = INFER_STOP_CANCELLED};
    struct error e;
    if (f->type == INFER_GENERATE) {
        send_reply(s, f->id, &nothing);
        return;
    }
    error_set(&e, ERR_CANCELLED, "stopped before it began");
    fail(s, f->id, &e);
}

/* ---- the socket ---- */

static void cancel(struct server *s, uint64_t id)
{
    if (id == s->current)
        s->cancelled = true;
    for (size_t i = 0; i < s->waiting; i++) {
        if (s->queue[i].id != id)
            continue;
        cancel_waiting(s, &s->queue[i]);
        frame_release(&s->queue[i]);
        s->waiting--;
        for (; i < s->waiting; i++)
            s->queue[i] = s->queue[i + 1];
    }
}

static void take_frame(struct server *s)
{
    struct frame f;
    struct error e;
    enum err err = frame_receive(s->socket, &f, &e);
    if (err == ERR_BUSY)
        return;
    if (err) { /* the end; or somebody speaks another language, and there is no use in going on */
        s->gone = true;
        return;
    }
    if (f.type == INFER_CANCEL) {
        cancel(s, f.id);
    } else if (s->waiting == SERVE_QUEUE_MAX) {
        error_set(&e, ERR_BUSY, "%d requests are waiting already", SERVE_QUEUE_MAX);
        fail(s, f.id, &e);
    } else {
        s->queue[s->waiting++] = f;
        return;
    }
    frame_release(&f);
}

static bool socket_can(const struct server *s, short what, int timeout_ms)
{
    struct pollfd p = {.fd = s->socket, .events = what};
    return sys->poll(&p, 1, timeout_ms) > 0 && p.revents;
}

/* Takes what has come without waiting; true where the current work is to stop. */
static bool stopped(void *arg)
{
    struct server *s = arg;
    while (!s->gone && socket_can(s, POLLIN, 0))
        take_frame(s);
    return s->gone || s->cancelled;
}

/* What has come to the text; the rest of it comes with the answer. A frame holds a delta of any size. */
static void stream(struct server *s, struct slice text, uint64_t now)
{
    if (!s->stream || text.n == s->streamed || now - s->last_delta_ns < DELTA_NS || !socket_can(s, POLLOUT, 0))
        return;
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    outgoing_put_large(&o, INFER_TEXT, slice_sub(text, s->streamed, text.n));
    s->last_delta_ns = now;
    s->streamed = text.n;
    say(s, INFER_DELTA, s->current, &o);
}

static bool look_up(void *arg, const struct reply *so_far)
{
    struct server *s = arg;
    uint64_t now = session_wall_ns();
    meter_count(s, so_far->in, so_far->out, so_far->cpu_ns);
    stream(s, buf_slice(&so_far->text), now);
    /* A full socket must not hold up the work: then there is no news this time. */
    if (now - s->last_progress_ns >= PROGRESS_NS && socket_can(s, POLLOUT, 0)) {
        OUTGOING_CLEANUP struct outgoing o = outgoing_new();
        s->last_progress_ns = now;
        message_put_u64(&o.message, INFER_IN, so_far->in);
        message_put_u64(&o.message, INFER_OUT, so_far->out);
        message_put_u64(&o.message, INFER_CPU_NS, so_far->cpu_ns);
        say(s, INFER_PROGRESS, s->current, &o);
    }
    return stopped(s);
}

/* ---- requests ---- */

static enum err load(struct server *s, struct frame *f, struct error *e)
{
    FD_CLEANUP int fd = frame_take_fd(f, INFER_FD);
    uint64_t threads = message_get_u64(f->message, INFER_THREADS, THREADS);
    uint64_t context = message_get_u64(f->message, INFER_CONTEXT, 0);
    if (fd < 0)
        return error_set(e, ERR_USAGE, "a LOAD without a model file");
    session_close(&s->session);
    enum err err = session_open(fd, threads > 1000 ? 1000 : (unsigned)threads, context > SIZE_MAX / 2 ? SIZE_MAX / 2 : (size_t)context,
                                s->kernel, &s->session, e);
    if (err)
        return err;
    const struct shape *shape = model_shape(s->session.model);
    struct gguf_printable name = gguf_printable(gguf_string(&s->session.gguf, "general.name"));
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    message_put(&o.message, INFER_NAME, slice_of(name.text));
    message_put(&o.message, INFER_ARCH, gguf_string(&s->session.gguf, "general.architecture"));
    message_put_u64(&o.message, INFER_LAYERS, shape->layers);
    message_put_u64(&o.message, INFER_WIDTH, shape->width);
    message_put_u64(&o.message, INFER_VOCAB, shape->vocab);
    message_put_u64(&o.message, INFER_CONTEXT, shape->context);
    message_put_u64(&o.message, INFER_BYTES, s->session.file.n);
    message_put(&o.message, INFER_KERNEL, slice_of(s->session.ops->name));
    message_put_u64(&o.message, INFER_SLOTS, 1);
    say(s, INFER_LOADED, f->id, &o);
    return OK;
}

static enum err measure(struct server *s, struct frame *f, struct error *e)
{
    BUF_CLEANUP struct buf text = BUF_INIT(VOCAB_TEXT_MAX);
    struct measure m;
    uint64_t window = message_get_u64(f->message, INFER_WINDOW, 0);
    enum err err = frame_large(f, INFER_TEXT, &text, e);
    if (!err)
        err = cut_measure(s->session.vocab, buf_slice(&text), window < SIZE_MAX / 2 ? (size_t)window : SIZE_MAX / 2,
                          stopped, s, &m, e);
    if (err)
        return err;
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    uint64_t cpu_ns = session_cpu_ns() - s->cpu_start;
    meter_count(s, 0, 0, cpu_ns);
    message_put_u64(&o.message, INFER_TOKENS, m.tokens);
    message_put_u64(&o.message, INFER_CPU_NS, cpu_ns);
    for (size_t i = 0; i < m.parts; i++)
        message_put_u64(&o.message, INFER_CUT, m.end[i]);
    say(s, INFER_MEASURED, f->id, &o);
    return OK;
}

/* The turns of a GENERATE; texts are one behind the other in `all`. */
struct conversation {
    struct buf all;
    struct turn turns[SERVE_TURNS_MAX];
    size_t end[SERVE_TURNS_MAX]; /* of each text in `all`, which may move while it grows */
    size_t n;
};

static bool known_role(struct slice role)
{
    return slice_is(role, "system") || slice_is(role, "user") || slice_is(role, "assistant") || slice_is(role, "tool");
}

static enum err read_turns(const struct frame *f, struct conversation *c, struct error *e)
{
    struct message_reader r = message_read(f->message);
    struct field field;
    struct slice role = SLICE_NONE;
    while (message_next(&r, &field) > 0) {
        if (field.tag == INFER_ROLE)
            role = field.bytes;
        if (field.tag != INFER_TEXT)
            continue;
        if (!known_role(role) || c->n == SERVE_TURNS_MAX)
            return error_set(e, ERR_USAGE, "turn %zu of the conversation is by nobody known, or one too many", c->n + 1);
        enum err err = frame_field_large(f, field, &c->all, e);
        if (err)
            return err;
        c->turns[c->n].role = role;
        c->end[c->n++] = c->all.n;
        role = SLICE_NONE;
    }
    for (size_t i = 0, start = 0; i < c->n; start = c->end[i++])
        c->turns[i].text = slice_sub(buf_slice(&c->all), start, c->end[i] - start);
    return c->n ? OK : error_set(e, ERR_USAGE, "a GENERATE without a turn");
}

static float milli(const struct frame *f, enum infer_tag tag, uint64_t missing)
{
    uint64_t v = message_get_u64(f->message, tag, missing);
    return (float)(v < MILLI_MAX ? v : MILLI_MAX) / 1000;
}

static enum err read_choice(const struct frame *f, enum grammar_choice *ret, struct error *e)
{
    struct slice choice = message_get(f->message, INFER_CHOICE);
    bool none = slice_is(choice, "none"), any = slice_is(choice, "any");
    if (choice.n && !none && !any && !slice_is(choice, "auto"))
        return error_set(e, ERR_USAGE, "the choice of tools is none of auto, any and none");
    *ret = none ? CHOICE_NONE : any ? CHOICE_ANY : CHOICE_AUTO;
    return OK;
}

/* *ret is empty where the frame has none. */
static enum err read_tools(const struct frame *f, struct tools *ret, struct error *e)
{
    BUF_CLEANUP struct buf json = BUF_INIT(TOOLS_BYTES_MAX);
    struct field field;
    if (!message_find(f->message, INFER_TOOLS, &field))
        return OK;
    enum err err = frame_field_large(f, field, &json, e);
    return err ? err : tools_read(buf_slice(&json), ret, e);
}

static enum err answer(struct server *s, const struct frame *f, const struct conversation *c, const struct tools *tools, struct error *e)
{
    struct reply reply;
    struct request r = {
        .turns = c->turns,
        .nturns = c->n,
        .tools = tools,
        .max_tokens = message_get_u64(f->message, INFER_MAX_TOKENS, ANSWER_TOKENS),
        .cpu_limit_ns = message_get_u64(f->message, INFER_CPU_LIMIT_NS, 0),
        .sample = {.temperature = milli(f, INFER_TEMPERATURE_MILLI, 0), .top_p = milli(f, INFER_TOP_P_MILLI, 1000),
                   .repeat = milli(f, INFER_REPEAT_MILLI, 1000), .seed = message_get_u64(f->message, INFER_SEED, 0)},
        .look_up = look_up,
        .arg = s,
    };
    enum err err = read_choice(f, &r.choice, e);
    if (!err)
        err = session_answer(&s->session, &r, &reply, e);
    if (err)
        return err;
    meter_count(s, reply.in, reply.out, reply.cpu_ns);
    send_reply(s, f->id, &reply);
    reply_release(&reply);
    return OK;
}

static enum err generate(struct server *s, struct frame *f, struct error *e)
{
    struct conversation *c = sys->realloc(NULL, sizeof *c);
    if (!c)
        return error_set(e, ERR_MEMORY, "not enough memory for the conversation");
    *c = (struct conversation){.all = BUF_INIT(VOCAB_TEXT_MAX)};
    struct tools tools = {0}; /* the schema in it points into it */
    s->stream = message_get_u64(f->message, INFER_STREAM, 0) != 0;
    s->streamed = 0;
    enum err err = read_turns(f, c, e);
    if (!err)
        err = read_tools(f, &tools, e);
    if (!err)
        err = answer(s, f, c, &tools, e);
    tools_release(&tools);
    buf_release(&c->all);
    sys->free(c);
    return err;
}

static enum err handle(struct server *s, struct frame *f, struct error *e)
{
    if (f->type == INFER_LOAD)
        return load(s, f, e);
    if (f->type != INFER_MEASURE && f->type != INFER_GENERATE)
        return error_set(e, ERR_UNSUPPORTED, "crannog-infer does not know requests of type %u", f->type);
    if (!s->session.model)
        return error_set(e, ERR_USAGE, "no model is loaded");
    return f->type == INFER_MEASURE ? measure(s, f, e) : generate(s, f, e);
}

static void work(struct server *s)
{
    struct frame f = s->queue[0];
    struct error e;
    s->waiting--;
    for (size_t i = 0; i < s->waiting; i++)
        s->queue[i] = s->queue[i + 1];
    s->current = f.id;
    s->cancelled = false;
    s->cpu_start = session_cpu_ns();
    s->last_progress_ns = session_wall_ns();
    meter_begin(s, &f);
    if (handle(s, &f, &e) && !s->gone)
        fail(s, f.id, &e);
    s->current = 0;
    frame_release(&f);
}

int serve(int socket, const char *kernel)
{
    struct server *s = sys->realloc(NULL, sizeof *s);
    if (!s)
        return 1;
    *s = (struct server){.socket = socket, .kernel = kernel, .meter = meter_map()};
    while (!s->gone) {
        if (s->waiting)
            work(s);
        else if (socket_can(s, POLLIN, -1))
            take_frame(s);
        else if (errno != EINTR)
            break;
    }
    int status = !s->gone;
    for (size_t i = 0; i < s->waiting; i++)
        frame_release(&s->queue[i]);
    session_close(&s->session);
    sys->free(s);
    return status;
}
