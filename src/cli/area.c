#include "cli/area.h"

#include "cli/flow.h"

static const struct look any = {true, true};

void area_init(struct area *a, size_t columns)
{
    *a = (struct area){.columns = columns, .rows = BUF_INIT(AREA_BYTES)};
}

void area_release(struct area *a)
{
    buf_release(&a->rows);
}

static void move(struct buf *out, size_t n, char to)
{
    if (n)
        buf_addf(out, "\033[%zu%c", n, to);
}

/* Behind a full row the cursor hangs at its last column, and what is erased from there would be that column. */
static void put_row(const struct area *a, struct slice row, struct buf *out)
{
    buf_add(out, row);
    if (row_columns(row, &any) < a->columns)
        buf_add_text(out, "\033[K");
}

static void place_cursor(struct area *a, size_t from_row, size_t row, size_t col, struct buf *out)
{
    buf_add_char(out, '\r');
    if (from_row > row)
        move(out, from_row - row, 'A');
    else
        move(out, row - from_row, 'B');
    move(out, col, 'C');
    a->row = row;
    a->col = col;
}

static void remember(struct area *a, struct slice rows)
{
    buf_reset(&a->rows);
    buf_add(&a->rows, rows);
    a->nrows = 0;
    for (size_t i = 0; i < rows.n; i++)
        a->nrows += rows.p[i] == '\n';
}

/* All of it anew, each row erased as a whole first: some terminals take what is erased from within a row for blanks in it when
   they wrap it anew. Returns the row where the cursor is. */
static size_t draw_all(struct area *a, struct slice above, struct slice rows, struct buf *out)
{
    struct slice row;
    size_t n = 0;
    buf_add_char(out, '\r');
    move(out, a->row, 'A');
    while (slice_line(&above, &row)) {
        buf_add_text(out, "\033[2K");
        buf_add(out, row);
        buf_add_text(out, "\r\n");
    }
    for (; slice_line(&rows, &row); n++) {
        buf_add_text(out, n ? "\r\n" : "");
        buf_add_text(out, rows.n ? "\033[2K" : "\033[J");
        buf_add(out, row);
    }
    if (!n)
        buf_add_text(out, "\033[J");
    return n ? n - 1 : 0;
}

static size_t draw_changed(struct area *a, struct slice rows, struct buf *out)
{
    struct slice old = buf_slice(&a->rows), row, was;
    size_t at = a->row, i = 0;
    for (; slice_line(&rows, &row); i++) {
        bool had = slice_line(&old, &was);
        if (had && slice_eq(row, was))
            continue;
        place_cursor(a, at, had || !i ? i : i - 1, 0, out);
        if (!had && i)
            buf_add_text(out, "\r\n");
        put_row(a, row, out);
        at = i;
    }
    return at;
}

void area_draw(struct area *a, struct slice above, struct slice rows, size_t row, size_t col, struct buf *out)
{
    size_t n = 0, at = a->row;
    for (size_t i = 0; i < rows.n; i++)
        n += rows.p[i] == '\n';
    bool same = !above.n && slice_eq(rows, buf_slice(&a->rows));
    if (same && row == a->row && col == a->col)
        return;
    buf_add_text(out, "\033[?2026h\033[?25l");
    if (above.n || n < a->nrows || !a->nrows)
        at = draw_all(a, above, rows, out);
    else if (!same)
        at = draw_changed(a, rows, out);
    place_cursor(a, at, row, col, out);
    buf_add_text(out, "\033[?25h\033[?2026l");
    remember(a, rows);
}

void area_erase(struct area *a, struct buf *out)
{
    if (a->nrows) {
        buf_add_char(out, '\r');
        move(out, a->row, 'A');
        buf_add_text(out, "\033[J");
    }
    remember(a, SLICE_NONE);
    a->row = a->col = 0;
}

void area_reflow(struct area *a, size_t columns, struct buf *out)
{
    struct slice rest = buf_slice(&a->rows), row;
    size_t up = a->col / (columns ? columns : 1);
    for (size_t i = 0; i < a->row && slice_line(&rest, &row); i++) {
        size_t n = row_columns(row, &any);
        up += n ? (n - 1) / (columns ? columns : 1) + 1 : 1;
    }
    a->row = up;
    a->columns = columns;
    area_erase(a, out);
}
