/*
 * Reasoning that a local server leaves in the text: "<think>…</think>" at its beginning, however the tags are cut.
 * What could still become a tag is held back: that is never more than BLANKS_MAX bytes.
 */
#include "model/stream_internal.h"

enum { BLANKS_MAX = 4096 };
static const struct slice opens = SLICE_INIT("<think>"), closes = SLICE_INIT("</think>");

static struct slice without_blanks(struct slice s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\n' || s.p[0] == '\r' || s.p[0] == '\t'))
        s = slice_sub(s, 1, s.n);
    return s;
}

/* How many bytes at the end of s may be the beginning of a tag. */
static size_t tag_at_end(struct slice s, struct slice tag)
{
    size_t n = s.n < tag.n ? s.n : tag.n - 1;
    while (n && !slice_eq(slice_sub(s, s.n - n, n), slice_sub(tag, 0, n)))
        n--;
    return n;
}

/* One step on what is held; false when it has to wait for more. *rest is what is left of it. */
static bool think_step(struct stream *s, struct slice *rest)
{
    struct slice text = without_blanks(*rest);
    size_t at = slice_find(*rest, closes, 0), keep = tag_at_end(*rest, closes);
    switch (s->think) {
    case THINK_START:
        if (rest->n < BLANKS_MAX && text.n < opens.n && slice_starts(opens, text))
            return false;
        s->think = slice_starts(text, opens) ? THINK_INSIDE : THINK_OVER;
        if (s->think == THINK_INSIDE)
            *rest = slice_sub(text, opens.n, text.n);
        return true;
    case THINK_INSIDE:
        if (at == rest->n) {
            add_reasoning(s, slice_sub(*rest, 0, rest->n - keep));
            *rest = slice_sub(*rest, rest->n - keep, keep);
            return false;
        }
        add_reasoning(s, slice_sub(*rest, 0, at));
        *rest = slice_sub(*rest, at + closes.n, rest->n);
        s->think = THINK_BEHIND;
        return true;
    case THINK_BEHIND:
        *rest = text;
        if (text.n)
            s->think = THINK_OVER;
        return text.n > 0;
    case THINK_OVER:
        add_text(s, *rest);
        *rest = SLICE_NONE;
        return false;
    }
    return false;
}

void think_text(struct stream *s, struct slice text)
{
    if (!(s->setup.quirks & QUIRK_THINK_TAGS) || s->think == THINK_OVER) {
        add_text(s, text);
        return;
    }
    BUF_CLEANUP struct buf all = s->held;
    s->held = BUF_INIT(STREAM_EVENT_MAX);
    buf_add(&all, text);
    if (!buf_ok(&all)) {
        stream_fail(s, FAULT_LIMIT, "there is no memory for the answer");
        return;
    }
    struct slice rest = buf_slice(&all);
    while (think_step(s, &rest))
        continue;
    buf_add(&s->held, rest);
    if (!buf_ok(&s->held))
        stream_fail(s, FAULT_LIMIT, "there is no memory for the answer");
}

void think_flush(struct stream *s)
{
    BUF_CLEANUP struct buf held = s->held;
    s->held = BUF_INIT(STREAM_EVENT_MAX);
    if (held.n && s->think == THINK_INSIDE)
        add_reasoning(s, buf_slice(&held));
    else if (held.n)
        add_text(s, buf_slice(&held));
    if (s->think == THINK_START && (held.n || s->n))
        s->think = THINK_OVER;
}
