/* What goes into the scrollback, but for acts. */
#include "base/sys.h"
#include "cli/screen_internal.h"

enum { SAID_ROWS = 12 };

static void after(struct screen *s)
{
    screen_dirty(s);
    if (s->above.n > ABOVE_DRAW)
        screen_draw(s, true);
    else
        screen_draw(s, false);
}

static void gap(struct screen *s, enum block b)
{
    bool close = b == BLOCK_ACT && s->last == BLOCK_ACT;
    if (s->last != BLOCK_NONE && !close && !s->plain)
        buf_add_char(&s->above, '\n');
    s->last = b;
}

static void end_text(struct screen *s)
{
    if (s->texting)
        markdown_end(&s->text, &s->above);
    s->texting = false;
}

void thought_end(struct screen *s)
{
    BUF_CLEANUP struct buf title = BUF_INIT(200);
    if (!s->thinking_ms)
        return;
    buf_add_text(&title, "thought for ");
    seconds_print(sys->now_ms() - s->thinking_ms, &title);
    s->thinking_ms = 0;
    fold_add(s, buf_slice(&title), buf_slice(&s->thought));
    buf_reset(&s->thought);
    if (s->plain)
        return;
    style_add(&s->above, &s->look, STYLE_DIM);
    buf_add_text(&s->above, sign(&s->look, "∴ ", "* "));
    glyph_add(&s->above, &s->look, buf_slice(&title), s->columns - 2);
    style_add(&s->above, &s->look, 0);
    buf_add_char(&s->above, '\n');
}

void say_begin(struct screen *s, enum block b)
{
    end_text(s);
    thought_end(s);
    gap(s, b);
}

void screen_text(struct screen *s, struct slice delta)
{
    if (!s->texting && !slice_trim(delta).n)
        return; /* what is empty begins nothing */
    if (!s->texting) {
        say_begin(s, BLOCK_TEXT);
        s->texting = true;
    }
    while (delta.n) { /* in parts, so that rows leave as they come */
        struct slice part = slice_sub(delta, 0, 16 << 10);
        markdown_feed(&s->text, part, &s->above);
        delta = slice_sub(delta, part.n, delta.n);
        after(s);
    }
}

void screen_text_end(struct screen *s)
{
    end_text(s);
    thought_end(s);
    after(s);
}

void screen_reasoning(struct screen *s, struct slice delta)
{
    if (!s->thinking_ms) {
        say_begin(s, BLOCK_ACT);
        s->thinking_ms = sys->now_ms();
    }
    if (s->thought.n + delta.n > THOUGHT_MAX) { /* the latest is what is of interest */
        delta = slice_sub(delta, delta.n > THOUGHT_MAX / 2 ? delta.n - THOUGHT_MAX / 2 : 0, delta.n);
        buf_reset(&s->thought);
    }
    buf_add(&s->thought, delta);
    after(s);
}

static void lines(struct screen *s, enum block b, const struct prefix *left, unsigned style, struct slice text)
{
    say_begin(s, b);
    while (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    for (struct slice line; slice_line(&text, &line);) {
        flow_lines(&s->above, &s->look, s->columns, left, left ? 1 : 0, style, line.n ? line : SLICE(" "), false);
        if (s->above.n > ABOVE_DRAW)
            screen_draw(s, true);
    }
    after(s);
}

/* Of a long paste the beginning is enough to know it by. */
static struct slice said_head(struct slice text)
{
    struct slice rest = text, line;
    size_t n = 0, head = text.n;
    while (slice_line(&rest, &line))
        if (++n == SAID_ROWS)
            head = text.n - rest.n;
    return slice_sub(text, 0, n > SAID_ROWS + 4 ? head : text.n);
}

void screen_said(struct screen *s, struct slice text)
{
    struct prefix bar = {sign(&s->look, "▌ ", "> "), STYLE_CYAN, 2};
    struct slice head = said_head(text), rest = slice_sub(text, head.n, text.n), line;
    BUF_CLEANUP struct buf more = BUF_INIT(100);
    size_t n = 0;
    while (slice_line(&rest, &line))
        n++;
    lines(s, BLOCK_SAID, &bar, STYLE_BOLD, s->plain ? text : head);
    if (n == 0 || s->plain)
        return;
    buf_addf(&more, "%s%zu lines more%s", sign(&s->look, "… ", "... "), n, sign(&s->look, " · Ctrl-O", ", Ctrl-O"));
    flow_lines(&s->above, &s->look, s->columns, &bar, 1, STYLE_GREY, buf_slice(&more), false);
    fold_add(s, SLICE("what you said"), text);
    after(s);
}

void screen_note(struct screen *s, struct slice text)
{
    lines(s, BLOCK_NOTE, NULL, STYLE_DIM, text);
}

void screen_error(struct screen *s, struct slice text)
{
    struct prefix mark = {sign(&s->look, "✗ ", "! "), STYLE_RED | STYLE_BOLD, 2};
    lines(s, BLOCK_NOTE, &mark, STYLE_RED, text);
}

void screen_markdown(struct screen *s, struct slice text)
{
    screen_text_end(s);
    screen_text(s, text);
    screen_text_end(s);
}
