/*
 * Tables: columns as wide as their cells where that fits, the widest ones narrower where it does not, their cells then
 * wrapped; and where even that would leave no room, a row as lines of "header: cell".
 */
#include <string.h>

#include "cli/markdown_internal.h"

enum { COLUMNS_MAX = 24, CELL_MIN = 6, CELL_COLUMNS_MAX = 2000 };

struct table {
    const struct look *look;
    struct buf *out;
    size_t width;
    size_t n; /* columns */
    size_t columns[COLUMNS_MAX];
    char align[COLUMNS_MAX]; /* 'l', 'r', 'c' */
};

struct row {
    size_t n;
    struct slice cells[COLUMNS_MAX];
};

bool markdown_is_row(struct slice line)
{
    line = slice_trim(line);
    return line.n > 1 && line.p[0] == '|';
}

bool markdown_is_delimiter(struct slice line)
{
    size_t dashes = 0;
    line = slice_trim(line);
    for (size_t i = 0; i < line.n; i++) {
        if (!line.p[i] || !strchr("|-: \t", line.p[i]))
            return false;
        dashes += line.p[i] == '-';
    }
    return dashes > 0 && markdown_is_row(line);
}

/* A "|" in a code span divides nothing. */
static void split_row(struct slice line, struct row *ret)
{
    bool ticks = true; /* a span may begin */
    ret->n = 0;
    line = slice_trim(line);
    if (line.n && line.p[0] == '|')
        line = slice_sub(line, 1, line.n);
    if (line.n && line.p[line.n - 1] == '|' && !(line.n > 1 && line.p[line.n - 2] == '\\'))
        line.n--;
    size_t from = 0;
    for (size_t i = 0; i <= line.n && ret->n < COLUMNS_MAX; i++) {
        if (i < line.n && line.p[i] == '\\') {
            i++;
        } else if (i < line.n && line.p[i] == '`' && ticks) {
            size_t n = slice_index(slice_sub(line, i + 1, line.n), '`');
            ticks = i + 1 + n < line.n;
            i += ticks ? n + 1 : 0;
        } else if (i == line.n || line.p[i] == '|') {
            ret->cells[ret->n++] = slice_trim(slice_sub(line, from, i - from));
            from = i + 1;
        }
    }
}

/* A cell as rows of at most `width` columns. */
static void draw_cell(const struct table *t, struct slice cell, unsigned style, size_t width, struct buf *ret)
{
    struct flow f;
    flow_begin(&f, ret, t->look, width, NULL, 0, NULL, 0);
    markdown_inline(&f, style, cell);
    flow_end(&f);
    if (ret->n)
        ret->p[--ret->n] = '\0';
}

static void measure(struct table *t, const struct row *r)
{
    for (size_t i = 0; i < r->n; i++) {
        BUF_CLEANUP struct buf b = BUF_INIT(64 << 10);
        draw_cell(t, r->cells[i], 0, CELL_COLUMNS_MAX, &b);
        size_t n = row_columns(slice_sub(buf_slice(&b), 0, slice_index(buf_slice(&b), '\n')), t->look);
        if (n > t->columns[i])
            t->columns[i] = n;
    }
    if (r->n > t->n)
        t->n = r->n;
}

static size_t whole_width(const struct table *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++)
        n += t->columns[i] + (i ? 3 : 0);
    return n;
}

/* Takes columns off the widest until all fit; false where they cannot. */
static bool fit(struct table *t)
{
    while (whole_width(t) > t->width) {
        size_t widest = 0;
        for (size_t i = 1; i < t->n; i++)
            if (t->columns[i] > t->columns[widest])
                widest = i;
        if (t->columns[widest] <= CELL_MIN)
            return false;
        t->columns[widest]--;
    }
    return true;
}

static void put_blanks(struct buf *out, size_t n)
{
    while (n--)
        buf_add_char(out, ' ');
}

static void put_piece(const struct table *t, size_t i, struct slice piece)
{
    size_t n = row_columns(piece, t->look), room = t->columns[i] > n ? t->columns[i] - n : 0;
    size_t left = t->align[i] == 'r' ? room : t->align[i] == 'c' ? room / 2 : 0;
    if (i) {
        buf_add_char(t->out, ' ');
        style_put(t->out, t->look, STYLE_GREY, sign(t->look, "│", "|"));
        buf_add_char(t->out, ' ');
    }
    put_blanks(t->out, left);
    buf_add(t->out, piece);
    if (i + 1 < t->n)
        put_blanks(t->out, room - left);
}

static void draw_row(const struct table *t, const struct row *r, unsigned style)
{
    struct buf cells[COLUMNS_MAX];
    struct slice rest[COLUMNS_MAX];
    bool more = true;
    for (size_t i = 0; i < t->n; i++) {
        cells[i] = BUF_INIT(64 << 10);
        draw_cell(t, i < r->n ? r->cells[i] : SLICE_NONE, style, t->columns[i], &cells[i]);
        rest[i] = buf_slice(&cells[i]);
    }
    while (more) {
        more = false;
        for (size_t i = 0; i < t->n; i++) {
            struct slice piece = SLICE_NONE;
            slice_line(&rest[i], &piece);
            put_piece(t, i, piece);
            more |= rest[i].n > 0;
        }
        buf_add_char(t->out, '\n');
    }
    for (size_t i = 0; i < t->n; i++)
        buf_release(&cells[i]);
}

static void draw_delimiter(const struct table *t)
{
    style_add(t->out, t->look, STYLE_GREY);
    for (size_t i = 0; i < t->n; i++) {
        buf_add_text(t->out, i ? sign(t->look, "─┼─", "-+-") : "");
        for (size_t k = 0; k < t->columns[i]; k++)
            buf_add_text(t->out, sign(t->look, "─", "-"));
    }
    style_add(t->out, t->look, 0);
    buf_add_char(t->out, '\n');
}

/* No room for columns. */
static void draw_record(const struct table *t, const struct row *head, const struct row *r)
{
    static const struct prefix hang = {"  ", 0, 2};
    for (size_t i = 0; i < r->n; i++) {
        struct flow f;
        flow_begin(&f, t->out, t->look, t->width, &hang, i ? 1 : 0, &hang, 1);
        if (i < head->n && head->cells[i].n) {
            markdown_inline(&f, STYLE_BOLD, head->cells[i]);
            flow_text(&f, 0, SLICE(": "));
        }
        markdown_inline(&f, 0, r->cells[i]);
        flow_end(&f);
    }
}

static void read_alignment(struct table *t, struct slice line)
{
    struct row r;
    split_row(line, &r);
    for (size_t i = 0; i < r.n; i++) {
        bool left = slice_starts(r.cells[i], SLICE(":")), right = slice_ends(r.cells[i], SLICE(":"));
        t->align[i] = left && right ? 'c' : right ? 'r' : 'l';
    }
}

void markdown_table(struct slice lines, bool headless, const struct look *look, size_t width, struct buf *out)
{
    struct table t = {.look = look, .out = out, .width = width};
    struct row head = {0}, row;
    struct slice rest = lines, line;
    if (!headless && slice_line(&rest, &line)) {
        split_row(line, &head);
        measure(&t, &head);
        if (slice_line(&rest, &line))
            read_alignment(&t, line);
    }
    for (struct slice all = rest; slice_line(&all, &line);) {
        split_row(line, &row);
        measure(&t, &row);
    }
    bool columns = fit(&t);
    if (columns && !headless) {
        draw_row(&t, &head, STYLE_BOLD);
        draw_delimiter(&t);
    }
    while (slice_line(&rest, &line)) {
        split_row(line, &row);
        if (columns)
            draw_row(&t, &row, 0);
        else
            draw_record(&t, &head, &row);
    }
}
