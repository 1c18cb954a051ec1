#include "cli/flow.h"

#include <string.h>

enum { WORD_MAX = 4096, MARKS_MAX = 8 };

/* How many of the prefixes leave room for text, and their columns. */
static size_t fitting(const struct prefix *p, size_t n, size_t width, size_t *ret_columns)
{
    size_t i = 0;
    *ret_columns = 0;
    for (; i < n && *ret_columns + p[i].columns + 4 <= width; i++)
        *ret_columns += p[i].columns;
    return i;
}

static void put_prefixes(struct flow *f, const struct prefix *p, size_t n)
{
    n = fitting(p, n, f->width, &f->col);
    for (size_t i = 0; i < n; i++) {
        if (p[i].style)
            style_put(f->out, f->look, p[i].style, p[i].text);
        else
            buf_add_text(f->out, p[i].text);
    }
    f->empty = true;
    f->drawn = 0;
    f->blanks = 0;
}

void flow_begin(struct flow *f, struct buf *out, const struct look *look, size_t width, const struct prefix *first, size_t nfirst,
                const struct prefix *rest, size_t nrest)
{
    *f = (struct flow){.out = out, .look = look, .width = width < 4 ? 4 : width, .word = BUF_INIT(WORD_MAX)};
    f->nrest = nrest < 4 ? nrest : 4;
    for (size_t i = 0; i < f->nrest; i++)
        f->rest[i] = rest[i];
    size_t a, b;
    fitting(first, nfirst, f->width, &a);
    fitting(f->rest, f->nrest, f->width, &b);
    f->room = f->width - (a > b ? a : b);
    put_prefixes(f, first, nfirst);
}

static void set_style(struct flow *f, unsigned style)
{
    if (f->drawn != style)
        style_add(f->out, f->look, style);
    f->drawn = style;
}

static void end_row(struct flow *f)
{
    set_style(f, 0);
    buf_add_char(f->out, '\n');
}

static void next_row(struct flow *f)
{
    end_row(f);
    put_prefixes(f, f->rest, f->nrest);
}

/* Blanks between words of one style carry it (a link's line goes on under them); else they are bare. */
static void put_blanks(struct flow *f)
{
    if (f->blanks && f->drawn != f->word_first)
        set_style(f, 0);
    for (; f->blanks; f->blanks--, f->col++)
        buf_add_char(f->out, ' ');
}

static void put_word(struct flow *f)
{
    if (!f->word.n)
        return;
    if (f->col + f->blanks + f->word_columns > f->width && !f->empty)
        next_row(f);
    if (f->col + f->blanks + f->word_columns > f->width)
        f->blanks = 0;
    put_blanks(f);
    set_style(f, f->word_first);
    buf_add(f->out, buf_slice(&f->word));
    f->drawn = f->word_last;
    f->col += f->word_columns;
    f->empty = false;
    buf_reset(&f->word);
    f->word_columns = 0;
}

static void add_blank(struct flow *f)
{
    put_word(f);
    if (f->hard && f->col + f->blanks >= f->width)
        next_row(f);
    f->blanks++;
    if (f->blanks > f->width)
        f->blanks = f->width;
}

static void add_glyph(struct flow *f, unsigned style, const struct glyph *g)
{
    f->marks = g->width ? 0 : f->marks + 1;
    if (f->marks > MARKS_MAX)
        return;
    bool breaks = g->width == 2 || f->hard; /* between wide characters a line may be broken */
    if (g->width && (breaks || f->word_columns + g->width > f->room || f->word.n > WORD_MAX - 64))
        put_word(f);
    if (!f->word.n) {
        f->word_first = style;
    } else if (style != f->word_last) {
        style_add(&f->word, f->look, style);
    }
    f->word_last = style;
    buf_add(&f->word, (struct slice){g->bytes, g->n});
    f->word_columns += g->width;
}

void flow_text(struct flow *f, unsigned style, struct slice s)
{
    while (s.n) {
        struct glyph g = glyph_next(&s, f->look);
        if (g.code == ' ' || g.code == '\t' || g.code == '\n') {
            for (size_t i = 0; i < g.n; i++)
                add_blank(f);
        } else if (g.width > 1 && g.bytes[0] > 0) { /* a stand-in may be wider than a row */
            for (size_t i = 0; i < g.n; i++)
                add_glyph(f, style, &(struct glyph){.bytes = {g.bytes[i]}, .n = 1, .width = 1});
        } else {
            add_glyph(f, style, &g);
        }
    }
}

void flow_end(struct flow *f)
{
    put_word(f);
    end_row(f);
    buf_release(&f->word);
}

size_t row_columns(struct slice row, const struct look *look)
{
    size_t n = 0;
    while (row.n) {
        if (row.p[0] == '\033')
            row = slice_sub(row, slice_index(row, 'm') + 1, row.n);
        else
            n += glyph_next(&row, look).width;
    }
    return n;
}

void flow_lines(struct buf *out, const struct look *look, size_t width, const struct prefix *each, size_t n, unsigned style,
                struct slice text, bool hard)
{
    struct slice line;
    while (slice_line(&text, &line)) {
        struct flow f;
        flow_begin(&f, out, look, width, each, n, each, n);
        f.hard = hard;
        flow_text(&f, style, line);
        flow_end(&f);
    }
}
