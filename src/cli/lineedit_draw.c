#include <string.h>

#include "cli/flow.h"
#include "cli/lineedit_internal.h"

enum { INDENT = 2 };

/* The rows of the text as it is laid out; only those from `top` on are kept. */
struct layout {
    struct lineedit *e;
    struct buf *out;      /* NULL: only measured */
    size_t width, top, rows;
    size_t row, col;      /* under way */
    size_t at_row, at_col;
};

static bool visible(const struct layout *l)
{
    return l->out && l->row >= l->top && l->row < l->top + l->rows;
}

static void begin_row(struct layout *l)
{
    const struct look *look = l->e->o.look;
    l->col = INDENT;
    if (!visible(l))
        return;
    if (l->row == 0)
        style_put(l->out, look, STYLE_BOLD | STYLE_CYAN, sign(look, "›", ">"));
    else
        buf_add_char(l->out, ' ');
    buf_add_char(l->out, ' ');
}

static void next_row(struct layout *l)
{
    if (visible(l))
        buf_add_char(l->out, '\n');
    l->row++;
    begin_row(l);
}

static void put(struct layout *l, struct slice s, unsigned style)
{
    while (s.n) {
        struct glyph g = glyph_next(&s, l->e->o.look);
        if (l->col + g.width > l->width)
            next_row(l);
        if (visible(l) && style)
            style_add(l->out, l->e->o.look, style);
        if (visible(l))
            buf_add(l->out, (struct slice){g.bytes, g.n});
        if (visible(l) && style)
            style_add(l->out, l->e->o.look, 0);
        l->col += g.width;
    }
}

static void lay_out(struct layout *l)
{
    struct lineedit *e = l->e;
    BUF_CLEANUP struct buf label = BUF_INIT(100);
    size_t n;
    begin_row(l);
    for (size_t i = 0; i <= e->text.n;) {
        if (i == e->at) {
            if (l->col >= l->width) /* the cursor needs a column */
                next_row(l);
            l->at_row = l->row;
            l->at_col = l->col;
        }
        if (i == e->text.n)
            break;
        size_t end = edit_right(e, i);
        if (paste_number(e, i, &n)) {
            buf_reset(&label);
            paste_label(e, n, &label);
            put(l, buf_slice(&label), STYLE_CYAN);
        } else if (e->text.p[i] == '\n') {
            next_row(l);
        } else {
            put(l, slice_sub(edit_slice(e), i, end - i), 0);
        }
        i = end;
    }
    if (visible(l))
        buf_add_char(l->out, '\n');
    l->row++;
}

static void draw_text(struct lineedit *e, size_t width, size_t max_rows, struct buf *ret, size_t *ret_row, size_t *ret_col)
{
    struct layout all = {.e = e, .width = width};
    lay_out(&all);
    struct layout l = {.e = e, .out = ret, .width = width, .rows = max_rows};
    if (all.at_row >= max_rows)
        l.top = all.at_row - max_rows + 1;
    if (all.row > max_rows && l.top + max_rows < all.row && all.row - max_rows < l.top)
        l.top = all.row - max_rows;
    lay_out(&l);
    *ret_row = l.at_row - l.top;
    *ret_col = l.at_col;
}

static void draw_search(struct lineedit *e, size_t width, struct buf *ret, size_t *ret_col)
{
    const struct look *look = e->o.look;
    bool found = e->found < e->history.n;
    style_put(ret, look, found || !e->query.n ? STYLE_CYAN : STYLE_RED, width >= 24 ? "search " : "? ");
    size_t col = width >= 24 ? 7 : 2;
    col += glyph_add(ret, look, buf_slice(&e->query), width - col - 1);
    *ret_col = col;
    if (found && col + 8 < width) {
        buf_add_text(ret, "  ");
        style_add(ret, look, STYLE_DIM);
        glyph_add(ret, look, history_at(&e->history, e->found), width - col - 3);
        style_add(ret, look, 0);
    }
    buf_add_char(ret, '\n');
}

static void draw_item(const struct lineedit *e, size_t i, size_t width, size_t names, struct buf *ret)
{
    const struct look *look = e->o.look;
    const struct complete_item *it = &e->list.items[i];
    bool chosen = i == e->chosen;
    buf_add_text(ret, chosen ? sign(look, "▸ ", "> ") : "  ");
    style_add(ret, look, chosen ? STYLE_BOLD | STYLE_CYAN : 0);
    size_t col = 2 + glyph_add(ret, look, slice_of(it->text), width - 2);
    style_add(ret, look, 0);
    if (it->help && col + 6 < width) {
        for (; col < names + 4 && col + 6 < width; col++)
            buf_add_char(ret, ' ');
        style_add(ret, look, STYLE_DIM);
        glyph_add(ret, look, slice_of(it->help), width - col);
        style_add(ret, look, 0);
    }
    buf_add_char(ret, '\n');
}

static void draw_list(struct lineedit *e, size_t width, size_t rows, struct buf *ret)
{
    size_t names = 0, n = e->list.n < rows ? e->list.n : rows;
    for (size_t i = 0; i < e->list.n; i++) {
        size_t w = glyph_columns(slice_of(e->list.items[i].text), e->o.look);
        names = w > names ? w : names;
    }
    if (e->chosen < e->list.n && e->chosen >= e->list_top + n)
        e->list_top = e->chosen - n + 1;
    if (e->chosen < e->list_top)
        e->list_top = e->chosen;
    if (e->list_top + n > e->list.n)
        e->list_top = e->list.n - n;
    for (size_t i = 0; i < n; i++)
        draw_item(e, e->list_top + i, width, names < 30 ? names : 30, ret);
}

void lineedit_draw(struct lineedit *e, size_t width, size_t max_rows, size_t list_rows, struct buf *ret, size_t *ret_row, size_t *ret_col)
{
    if (width < 8)
        width = 8;
    *ret_row = 0;
    if (e->searching) {
        draw_search(e, width, ret, ret_col);
        return;
    }
    draw_text(e, width, max_rows ? max_rows : 1, ret, ret_row, ret_col);
    if (list_rows > EDIT_LIST_ROWS)
        list_rows = EDIT_LIST_ROWS;
    if (e->list.n && list_rows)
        draw_list(e, width, list_rows, ret);
}
