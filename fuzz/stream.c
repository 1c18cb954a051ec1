/*
 * Streams: any bytes end in an answer, the same however they are split, and what came can be written as a turn.
 * The first byte says the format, the status and how to split.
 */
#include "fuzz.h"
#include "model/stream.h"

static void note(void *ctx, const struct stream_delta *d)
{
    struct buf *b = ctx;
    buf_addf(b, "%d %zu %d %zu %zu %zu;", (int)d->kind, d->part, (int)d->stop, d->id.n, d->name.n, d->text.n);
    buf_add(b, d->text);
    ASSERT((d->kind == DELTA_FAULT) == (d->fault != NULL) && (d->kind == DELTA_USAGE) == (d->usage != NULL));
}

static void look(const struct stream_answer *r, struct buf *out)
{
    const struct usage *u = &r->usage;
    ASSERT(r->fault.kind != FAULT_NONE || r->stop != STOP_NONE);
    ASSERT(r->fault.kind == FAULT_NONE || (r->fault.text[0] && slice_is_utf8(slice_of(r->fault.text))));
    ASSERT(u->input >= 0 && u->cache_read >= 0 && u->cache_write_5m >= 0 && u->cache_write_1h >= 0 && u->reasoning >= 0);
    ASSERT(u->reasoning <= u->output && u->output <= USAGE_TOKENS_MAX && usage_prompt(u) <= 4 * USAGE_TOKENS_MAX);
    ASSERT(turn_print(&r->turn, out, NULL) == OK);
    buf_addf(out, "%d %d %s %lld %lld", (int)r->stop, (int)r->fault.kind, r->fault.text, (long long)usage_prompt(u), (long long)u->output);
}

static void play(uint8_t how, struct slice s, size_t step, struct buf *out)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(64 << 20);
    struct stream_setup setup = {.format = how & 1 ? FORMAT_ANTHROPIC : FORMAT_OPENAI, .provider = SLICE("p"),
                                 .status = how & 2 ? 429 : 200, .quirks = how & 128 ? QUIRK_THINK_TAGS : 0, .retry_after_ms = -1, .take = note, .ctx = out};
    struct stream *st = stream_new(&setup);
    struct stream_answer r;
    ASSERT(st);
    for (size_t at = 0; at < s.n; at += step)
        stream_feed(st, slice_sub(s, at, step));
    ASSERT(stream_finish(st, NULL, &a, &r, NULL) == OK);
    look(&r, out);
    stream_free(st);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice s = slice_sub(fuzz_slice(data, size), 1, size);
    BUF_CLEANUP struct buf whole = BUF_INIT(64 << 20), split = BUF_INIT(64 << 20), bytes = BUF_INIT(64 << 20);
    play(data[0], s, s.n + 1, &whole);
    play(data[0], s, 1 + (data[0] >> 2), &split);
    play(data[0], s, 1, &bytes);
    ASSERT(buf_ok(&whole) && slice_eq(buf_slice(&whole), buf_slice(&split)) && slice_eq(buf_slice(&whole), buf_slice(&bytes)));
    return 0;
}
