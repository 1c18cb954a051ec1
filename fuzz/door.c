/*
 * The door's own readers of outside bytes: a header line is a time or none; what is scrubbed has no secret in it, is as long as it was,
 * and the same however it was split; an address is an origin or an error.
 */
#include <string.h>

#include "door/retry.h"
#include "door/scrub.h"
#include "door/where.h"
#include "fuzz.h"

static void scrub_pieces(struct slice secret, struct slice s, size_t step, struct buf *out)
{
    struct scrub scrub = scrub_new(secret);
    for (size_t at = 0; at < s.n; at += step)
        scrub_feed(&scrub, slice_sub(s, at, step), out);
    scrub_flush(&scrub, out);
    scrub_release(&scrub);
    ASSERT(buf_ok(out) && out->n == s.n);
}

/* The secret is the beginning of the bytes, so that they often have it. */
static void play_scrub(struct slice s, size_t n, size_t step)
{
    BUF_CLEANUP struct buf whole = BUF_INIT(16 << 20), split = BUF_INIT(16 << 20);
    struct slice secret = slice_sub(s, 0, n), text = slice_sub(s, n / 2, s.n);
    if (slice_index(secret, ' ') < secret.n) /* credential.c takes none with a blank */
        return;
    scrub_pieces(secret, text, text.n + 1, &whole);
    scrub_pieces(secret, text, step, &split);
    ASSERT(slice_eq(buf_slice(&whole), buf_slice(&split)));
    if (secret.n >= SCRUB_MIN)
        ASSERT(slice_find(buf_slice(&whole), secret, 0) == whole.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool exact;
    struct origin origin, again;
    if (size < 2)
        return 0;
    struct slice s = slice_sub(fuzz_slice(data, size), 2, size);
    int64_t ms = retry_read(s, (int64_t)data[0] << 33, &exact);
    ASSERT(ms >= -1 && ms <= RETRY_MAX_MS);
    play_scrub(s, data[0] % 40, 1 + data[1] % 16);
    if (where_parse(s, SLICE("/chat/completions"), NULL, &origin, NULL) == OK) {
        const struct origin_text text = origin_text(&origin);
        ASSERT(origin.port && origin.host[0]);
        ASSERT(where_parse(slice_of(text.text), SLICE_NONE, NULL, &again, NULL) == OK && origin_eq(&origin, &again));
    }
    return 0;
}
