/*
 * Text: pieces make up the text again, tokens stand for its bytes, and parts fit their window, cover everything and cut no
 * character. The first byte is the window.
 */
#include <stdlib.h>

#include "../tests/unit/tiny_gguf.c"
#include "fuzz.h"
#include "infer/cut.h"

static struct vocab *vocab;

static void set_up(void)
{
    static struct buf file;
    static struct gguf g;
    const struct tiny t = TINY_INIT;
    file = tiny_gguf(&t);
    ASSERT(gguf_parse(buf_slice(&file), &g, NULL) == OK && vocab_new(&g, &vocab, NULL) == OK);
}

/* What tokens must stand for: bytes that are not UTF-8 count as U+FFFD. */
static void clean(struct slice s, struct buf *to)
{
    uint32_t c;
    for (size_t at = 0, n; at < s.n; at += n) {
        n = vocab_character(slice_sub(s, at, s.n), &c);
        buf_add(to, c == 0xfffd ? SLICE("\xef\xbf\xbd") : slice_sub(s, at, n));
    }
}

static void check_tokens(struct slice text)
{
    BUF_CLEANUP struct buf want = BUF_INIT(1 << 24), got = BUF_INIT(1 << 24);
    TOKENS_CLEANUP struct tokens t = {0};
    struct slice rest = text, piece;
    size_t sum = 0;
    while (vocab_piece(vocab, &rest, &piece)) {
        ASSERT(piece.n && piece.n <= VOCAB_PIECE_MAX && piece.p == text.p + sum);
        sum += piece.n;
    }
    vocab_encode(vocab, text, &t);
    ASSERT(sum == text.n && t.n == vocab_count(vocab, text));
    for (size_t i = 0; i < t.n; i++)
        vocab_decode(vocab, t.id[i], &got);
    clean(text, &want);
    ASSERT(slice_eq(buf_slice(&got), buf_slice(&want)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!vocab)
        set_up();
    if (!size)
        return 0;
    struct slice text = fuzz_slice(data + 1, size - 1);
    size_t window = CUT_WINDOW_MIN + data[0];
    check_tokens(text);
    bool clean_text = slice_is_utf8(text);
    for (struct slice rest = text; rest.n;) {
        size_t n = cut_next(vocab, rest, window);
        ASSERT(n && n <= rest.n && vocab_count(vocab, slice_sub(rest, 0, n)) <= window);
        ASSERT(!clean_text || slice_is_utf8(slice_sub(rest, 0, n)));
        rest = slice_sub(rest, n, rest.n);
    }
    return 0;
}
