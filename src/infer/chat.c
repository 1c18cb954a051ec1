#include "infer/chat.h"

struct chat chat_of(const struct gguf *g, const struct vocab *v)
{
    struct slice template = gguf_string(g, "tokenizer.chat_template"), mark = SLICE("<|im_start|>system");
    struct chat c = {vocab_find(v, SLICE("<|im_start|>")), vocab_find(v, SLICE("<|im_end|>")), SLICE_NONE};
    if (c.open < 0 || c.close < 0 || slice_find(template, SLICE("<|im_start|>"), 0) == template.n)
        return (struct chat){-1, -1, SLICE_NONE};
    size_t start = slice_find(template, mark, 0) + mark.n;
    if (start >= template.n)
        return c;
    size_t end = slice_find(template, SLICE("<|im_end|>"), start);
    struct slice text = slice_sub(template, start, end < template.n ? end - start : 0);
    /* The newline is one character in some files and a backslash and an n in others. */
    text = slice_sub(text, slice_starts(text, SLICE("\\n")) ? 2 : slice_starts(text, SLICE("\n")) ? 1 : 0, text.n);
    if (text.n && slice_index(text, '\'') == text.n && slice_index(text, '{') == text.n)
        c.system = text; /* plain words, no piece of the template's program */
    return c;
}

static void add_turn(const struct chat *c, struct vocab *v, struct slice role, struct slice text, struct buf *words,
                     struct tokens *to)
{
    buf_reset(words);
    buf_add(words, role);
    buf_add_char(words, '\n');
    buf_add(words, text);
    tokens_add(to, c->open);
    vocab_encode(v, buf_slice(words), to);
    tokens_add(to, c->close);
    vocab_encode(v, SLICE("\n"), to);
}

enum err chat_prompt(const struct chat *c, struct vocab *v, const struct turn *turns, size_t n, struct tokens *to,
                     struct error *e)
{
    BUF_CLEANUP struct buf words = BUF_INIT(VOCAB_TEXT_MAX + 4096);
    if (vocab_start(v) >= 0 && c->open < 0)
        tokens_add(to, vocab_start(v));
    if (c->open >= 0 && c->system.n && n && !slice_is(turns[0].role, "system"))
        add_turn(c, v, SLICE("system"), c->system, &words, to);
    for (size_t i = 0; i < n; i++) {
        if (c->open >= 0)
            add_turn(c, v, turns[i].role, turns[i].text, &words, to);
        else
            vocab_encode(v, turns[i].text, to), vocab_encode(v, SLICE("\n\n"), to);
    }
    if (c->open >= 0) {
        tokens_add(to, c->open);
        vocab_encode(v, SLICE("assistant\n"), to);
    }
    if (to->failed || !buf_ok(&words))
        return error_set(e, ERR_MEMORY, "not enough memory for the prompt");
    return OK;
}
