/* The parts of an answer while they grow, and what is told of them. */
#include <stdio.h>

#include "base/sys.h"
#include "model/stream_internal.h"

static void tell(struct stream *s, struct stream_delta d)
{
    if (s->setup.take && !s->over)
        s->setup.take(s->setup.ctx, &d);
}

static size_t number(const struct stream *s, const struct growing *p)
{
    return (size_t)(p - s->parts);
}

struct growing *part_add(struct stream *s, enum part_kind kind, int64_t index)
{
    if (s->over)
        return NULL;
    if (s->n >= STREAM_PARTS_MAX) {
        stream_fail(s, FAULT_LIMIT, "the answer has more than %d parts", STREAM_PARTS_MAX);
        return NULL;
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 4;
        struct growing *grown = sys->realloc(s->parts, cap * sizeof *grown);
        if (!grown) {
            stream_fail(s, FAULT_LIMIT, "there is no memory for the answer");
            return NULL;
        }
        s->parts = grown;
        s->cap = cap;
    }
    struct growing *p = &s->parts[s->n++];
    *p = (struct growing){
        .kind = kind,
        .index = index,
        .text = BUF_INIT(kind == PART_CALL ? STREAM_ARGUMENTS_MAX : STREAM_ANSWER_MAX),
        .id = BUF_INIT(TRANSCRIPT_ID_MAX),
        .name = BUF_INIT(TRANSCRIPT_NAME_MAX),
        .opaque = BUF_INIT(STREAM_ANSWER_MAX),
        .input = BUF_INIT(STREAM_ARGUMENTS_MAX),
    };
    return p;
}

struct growing *part_last(struct stream *s, enum part_kind kind)
{
    struct growing *p = s->n ? &s->parts[s->n - 1] : NULL;
    return p && p->kind == kind ? p : NULL;
}

void part_keep(struct stream *s, struct buf *to, struct slice bytes)
{
    if (s->over)
        return;
    s->kept += bytes.n;
    if (s->kept <= STREAM_ANSWER_MAX)
        buf_add(to, bytes);
    if (s->kept > STREAM_ANSWER_MAX || !buf_ok(to))
        stream_fail(s, FAULT_LIMIT, "the answer, or a name, id or arguments in it, are longer than is read here");
}

static enum delta_kind delta_of(const struct growing *p)
{
    return p->kind == PART_TEXT ? DELTA_TEXT : p->kind == PART_REASONING ? DELTA_REASONING : DELTA_CALL_ARGUMENTS;
}

void part_say(struct stream *s, struct growing *p, struct slice text)
{
    if (!text.n || p->ended)
        return;
    part_keep(s, &p->text, text);
    if (p->kind != PART_CALL || p->begun)
        tell(s, (struct stream_delta){.kind = delta_of(p), .part = number(s, p), .text = text});
}

void call_begin(struct stream *s, struct growing *p)
{
    char id[32];
    if (p->begun)
        return;
    p->begun = true;
    snprintf(id, sizeof id, "call_%zu", number(s, p));
    tell(s, (struct stream_delta){.kind = DELTA_CALL_BEGIN, .part = number(s, p), .id = p->id.n ? buf_slice(&p->id) : slice_of(id),
                                  .name = buf_slice(&p->name)});
    if (p->text.n)
        tell(s, (struct stream_delta){.kind = DELTA_CALL_ARGUMENTS, .part = number(s, p), .text = buf_slice(&p->text)});
}

void call_end(struct stream *s, struct growing *p)
{
    if (p->kind != PART_CALL || p->ended || s->over)
        return;
    call_begin(s, p); /* a call that nobody named */
    if (!p->text.n && p->input.n) {
        part_keep(s, &p->text, buf_slice(&p->input));
        tell(s, (struct stream_delta){.kind = DELTA_CALL_ARGUMENTS, .part = number(s, p), .text = buf_slice(&p->input)});
    }
    p->ended = true;
    tell(s, (struct stream_delta){.kind = DELTA_CALL_END, .part = number(s, p)});
}

void stream_stop(struct stream *s, enum stop_reason stop)
{
    bool calls = false, was_over = s->over;
    if (s->stop || s->fault.kind)
        return;
    s->over = false; /* what [DONE] ended still has this to tell */
    think_flush(s);
    for (size_t i = 0; i < s->n; i++) {
        call_end(s, &s->parts[i]);
        calls |= s->parts[i].kind == PART_CALL;
    }
    if (s->refused)
        stop = STOP_REFUSED;
    else if (stop == STOP_END && calls)
        stop = STOP_CALLS; /* some servers say "stop" with calls */
    else if (stop == STOP_CALLS && !calls)
        stop = STOP_END;
    s->stop = stop;
    tell(s, (struct stream_delta){.kind = DELTA_STOP, .stop = stop});
    s->over |= was_over;
}

static bool same_usage(const struct usage *a, const struct usage *b)
{
    return a->input == b->input && a->cache_read == b->cache_read && a->cache_write_5m == b->cache_write_5m &&
           a->cache_write_1h == b->cache_write_1h && a->output == b->output && a->reasoning == b->reasoning &&
           a->reported_nusd == b->reported_nusd && a->known == b->known;
}

void stream_usage(struct stream *s, const struct usage *before)
{
    if (!same_usage(before, &s->usage))
        tell(s, (struct stream_delta){.kind = DELTA_USAGE, .usage = &s->usage});
}

void stream_name(struct stream *s, const struct json *id, const struct json *model)
{
    if (!s->id.n)
        buf_add(&s->id, slice_sub(json_text(id), 0, TRANSCRIPT_NAME_MAX));
    if (!s->model.n)
        buf_add(&s->model, slice_sub(json_text(model), 0, TRANSCRIPT_NAME_MAX));
    if (!buf_ok(&s->id) || !buf_ok(&s->model))
        stream_fail(s, FAULT_LIMIT, "there is no memory for the answer");
}

enum stop_reason stop_of(const struct stop_word *words, size_t n, const struct json *v)
{
    for (size_t i = 0; i < n; i++)
        if (slice_is(json_text(v), words[i].word))
            return words[i].stop;
    return json_text(v).n ? STOP_END : STOP_NONE;
}
