#include "door/scrub.h"

#include <string.h>

enum { HELD_MAX = 128 * 1024 * 1024 };

struct scrub scrub_new(struct slice secret)
{
    return (struct scrub){.secret = secret.n >= SCRUB_MIN ? secret : SLICE_NONE, .held = BUF_INIT(HELD_MAX)};
}

void scrub_release(struct scrub *s)
{
    if (s->held.p)
        explicit_bzero(s->held.p, s->held.cap);
    buf_release(&s->held);
}

/* A star; for a secret that has stars a blank, which no secret has: what is put in its place must not look like its beginning. */
static int fill_of(struct slice secret)
{
    return slice_index(secret, '*') == secret.n ? '*' : ' ';
}

static void star(struct slice secret, char *text, size_t n)
{
    for (char *at = text; (at = memmem(at, n - (size_t)(at - text), secret.p, secret.n)); at += secret.n)
        memset(at, fill_of(secret), secret.n);
}

/* How many bytes at the end of a text begin the secret, without being it. */
static size_t beginning(struct slice secret, struct slice text)
{
    size_t n = text.n < secret.n - 1 ? text.n : secret.n - 1;
    for (; n; n--)
        if (memcmp(text.p + text.n - n, secret.p, n) == 0)
            return n;
    return 0;
}

void scrub_feed(struct scrub *s, struct slice bytes, struct buf *out)
{
    if (!s->secret.n) {
        buf_add(out, bytes);
        return;
    }
    size_t before = out->n;
    buf_add(out, buf_slice(&s->held));
    buf_add(out, bytes);
    buf_reset(&s->held);
    if (!buf_ok(out) || out->n == before)
        return;
    star(s->secret, out->p + before, out->n - before);
    struct slice end = slice_sub(buf_slice(out), before, out->n);
    end = slice_sub(end, end.n - beginning(s->secret, end), end.n);
    buf_add(&s->held, end);
    if (!buf_ok(&s->held)) { /* no memory to remember it: then it is not said */
        memset(out->p + out->n - end.n, fill_of(s->secret), end.n);
        buf_reset(&s->held);
        return;
    }
    out->n -= end.n;
}

void scrub_flush(struct scrub *s, struct buf *out)
{
    buf_add(out, buf_slice(&s->held));
    buf_reset(&s->held);
}

void scrub_text(struct slice secret, char *text, size_t n)
{
    if (secret.n < SCRUB_MIN || !n)
        return;
    star(secret, text, n);
    size_t cut = beginning(secret, (struct slice){text, n});
    if (cut >= SCRUB_MIN)
        memset(text + n - cut, fill_of(secret), cut);
}
