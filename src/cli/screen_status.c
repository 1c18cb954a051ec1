/* The rule above the edit box, which says what goes on, and the line of figures below it. */
#include <string.h>

#include "base/sys.h"
#include "cli/screen_internal.h"

static void put_line(const struct screen *s, size_t n, struct buf *out)
{
    style_add(out, &s->look, STYLE_GREY);
    while (n--)
        buf_add_text(out, sign(&s->look, "─", "-"));
    style_add(out, &s->look, 0);
}

/* "── ⠹ thinking 12 s ─────────". */
void status_rule(const struct screen *s, struct buf *out)
{
    const struct screen_status *st = &s->status;
    BUF_CLEANUP struct buf words = BUF_INIT(400);
    int64_t now = sys->now_ms();
    size_t width = s->columns, col = 0;
    buf_add(&words, buf_slice(&s->state));
    if (st->since_ms && s->state.n) {
        buf_add_char(&words, ' ');
        seconds_print(now - st->since_ms, &words);
    }
    if (words.n && width >= 12) {
        unsigned style = st->waiting ? STYLE_BOLD | STYLE_YELLOW : st->busy ? STYLE_CYAN : STYLE_DIM;
        put_line(s, 1, out);
        buf_add_char(out, ' ');
        style_add(out, &s->look, style);
        buf_add_text(out, st->waiting ? sign(&s->look, "●", "*") : st->busy ? spinner(&s->look, st->since_ms, now) : sign(&s->look, "·", "-"));
        buf_add_char(out, ' ');
        col = 5 + glyph_add(out, &s->look, buf_slice(&words), width - 6);
        style_add(out, &s->look, 0);
        buf_add_char(out, ' ');
    }
    put_line(s, width - col, out);
    buf_add_char(out, '\n');
}

/* ---- the figures ---- */

static void money(int64_t nusd, struct buf *out)
{
    double usd = (double)nusd / 1e9;
    buf_addf(out, usd > 0 && usd < 0.01 ? "$%.4f" : "$%.2f", usd);
}

static void amount(int64_t n, struct buf *out)
{
    if (n < 1000)
        buf_addf(out, "%lld", (long long)n);
    else if (n < 100000)
        buf_addf(out, "%.1fk", (double)n / 1e3);
    else if (n < 1000000)
        buf_addf(out, "%lldk", (long long)n / 1000);
    else
        buf_addf(out, "%.1fM", (double)n / 1e6);
}

static unsigned alarm_style(double share)
{
    return share >= 0.95 ? STYLE_RED : share >= 0.8 ? STYLE_YELLOW : STYLE_DIM;
}

static unsigned figure(const struct screen *s, int which, bool narrow, struct buf *out)
{
    const struct screen_status *st = &s->status;
    switch (which) {
    case 0:
        glyph_add(out, &s->look, buf_slice(&s->model), narrow ? 12 : 40);
        return STYLE_DIM;
    case 1:
        if (st->used_nusd < 0)
            return 0;
        money(st->used_nusd, out);
        if (st->cap_nusd < 0)
            return STYLE_DIM;
        buf_add_text(out, narrow ? "/" : " of ");
        money(st->cap_nusd, out);
        return alarm_style(st->cap_nusd ? (double)st->used_nusd / (double)st->cap_nusd : 1);
    case 2:
        if (st->context_window <= 0)
            return 0;
        buf_addf(out, "ctx %lld%%", (long long)((double)st->context_used * 100 / (double)st->context_window));
        return alarm_style((double)st->context_used / (double)st->context_window);
    default:
        if (st->tokens <= 0)
            return 0;
        amount(st->tokens, out);
        buf_add_text(out, " tok");
        return STYLE_DIM;
    }
}

static size_t put_figures(const struct screen *s, size_t width, struct buf *out)
{
    static const int order[] = {0, 1, 2, 3}; /* the first are dropped last, but for money, which comes before all */
    size_t col = 0;
    bool narrow = width < 50;
    for (size_t i = 0; i < 4; i++) {
        BUF_CLEANUP struct buf text = BUF_INIT(400);
        unsigned style = figure(s, narrow ? (int[]){1, 2, 0, 3}[i] : order[i], narrow, &text);
        size_t n = glyph_columns(buf_slice(&text), &s->look), gap = col ? 2 : 0;
        if (!n || col + gap + n > width)
            continue;
        buf_add_text(out, gap ? "  " : "");
        style_put(out, &s->look, style, buf_str(&text));
        col += gap + n;
    }
    return col;
}

/* What of a hint fits: its parts between "·" go from the end. */
static struct slice hint_fitting(const struct screen *s, struct slice hint, size_t room)
{
    while (hint.n && glyph_columns(hint, &s->look) > room) {
        size_t cut = 0;
        for (size_t i = 1; i + 3 < hint.n; i++)
            if (memcmp(hint.p + i, " · ", 4) == 0)
                cut = i;
        hint.n = cut;
    }
    return hint;
}

void status_line(const struct screen *s, struct buf *out)
{
    size_t width = s->columns - 1;
    struct slice hint = s->flash ? slice_of(s->flash) : buf_slice(&s->hint);
    if (!hint.n)
        hint = s->status.busy ? SLICE("Esc stops · Enter steers · Alt-Enter queues") : SLICE("@ file · / command · ! shell");
    size_t col = 0;
    if (s->flash) {
        style_add(out, &s->look, STYLE_YELLOW);
        glyph_add(out, &s->look, hint, width);
        style_add(out, &s->look, 0);
        buf_add_char(out, '\n');
        return;
    }
    col = put_figures(s, width, out);
    hint = hint_fitting(s, hint, width > col + 2 ? width - col - 2 : 0);
    if (hint.n) {
        size_t n = glyph_columns(hint, &s->look);
        for (; col + n < width; col++)
            buf_add_char(out, ' ');
        style_add(out, &s->look, STYLE_GREY);
        glyph_add(out, &s->look, hint, width);
        style_add(out, &s->look, 0);
    }
    buf_add_char(out, '\n');
}
