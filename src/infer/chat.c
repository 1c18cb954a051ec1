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

/* Where a prompt is put together. */
struct prompt {
    const struct chat *c;
    struct vocab *v;
    struct buf words; /* of the turn that is written */
    struct tokens *to;
};

static void end_turn(struct prompt *p)
{
    if (p->c->open >= 0)
        tokens_add(p->to, p->c->open);
    vocab_encode(p->v, buf_slice(&p->words), p->to);
    if (p->c->close >= 0)
        tokens_add(p->to, p->c->close);
    vocab_encode(p->v, p->c->open >= 0 ? SLICE("\n") : SLICE("\n\n"), p->to);
}

static void begin_turn(struct prompt *p, struct slice role)
{
    buf_reset(&p->words);
    if (p->c->open < 0)
        return;
    buf_add(&p->words, role);
    buf_add_char(&p->words, '\n');
}

static void add_turn(struct prompt *p, struct slice role, struct slice text, struct slice tools)
{
    begin_turn(p, role);
    buf_add(&p->words, text);
    buf_add_text(&p->words, text.n && tools.n ? "\n\n" : "");
    buf_add(&p->words, tools);
    end_turn(p);
}

static bool is_result(const struct turn *t)
{
    return slice_is(t->role, "tool");
}

/* Results that come one behind the other, as one turn; returns how many. */
static size_t add_results(struct prompt *p, const struct turn *turns, size_t n)
{
    size_t i = 0;
    begin_turn(p, SLICE("user"));
    for (; i < n && is_result(&turns[i]); i++) {
        buf_add_text(&p->words, i ? "\n<tool_response>\n" : "<tool_response>\n");
        buf_add(&p->words, turns[i].text);
        buf_add_text(&p->words, "\n</tool_response>");
    }
    end_turn(p);
    return i;
}

static void add_turns(struct prompt *p, struct slice tools, const struct turn *turns, size_t n)
{
    bool system = n && slice_is(turns[0].role, "system");
    struct slice own = p->c->open >= 0 ? p->c->system : SLICE_NONE;
    if (n && !system && (own.n || tools.n))
        add_turn(p, SLICE("system"), own, tools);
    for (size_t i = 0; i < n; ) {
        if (is_result(&turns[i])) {
            i += add_results(p, turns + i, n - i);
            continue;
        }
        add_turn(p, turns[i].role, turns[i].text, i == 0 && system ? tools : SLICE_NONE);
        i++;
    }
}

enum err chat_prompt(const struct chat *c, struct vocab *v, struct slice tools, const struct turn *turns, size_t n,
                     struct tokens *to, struct error *e)
{
    struct prompt p = {c, v, BUF_INIT(VOCAB_TEXT_MAX + 4096), to};
    if (vocab_start(v) >= 0 && c->open < 0)
        tokens_add(to, vocab_start(v));
    add_turns(&p, tools, turns, n);
    if (c->open >= 0) {
        tokens_add(to, c->open);
        vocab_encode(v, SLICE("assistant\n"), to);
    }
    bool ok = !to->failed && buf_ok(&p.words);
    buf_release(&p.words);
    return ok ? OK : error_set(e, ERR_MEMORY, "not enough memory for the prompt");
}
