#include "cli/markdown.h"

#include <string.h>

#include "cli/markdown_internal.h"

void markdown_init(struct markdown *m, const struct look *look, size_t width)
{
    *m = (struct markdown){.look = look, .width = width, .line = BUF_INIT(MARKDOWN_LINE_MAX + 1), .table = BUF_INIT(MARKDOWN_TABLE_MAX + MARKDOWN_LINE_MAX + 2)};
}

void markdown_release(struct markdown *m)
{
    buf_release(&m->line);
    buf_release(&m->table);
}

bool markdown_idle(const struct markdown *m)
{
    return !m->line.n && !m->table.n;
}

/* What a line is drawn with. */
struct pen {
    const struct markdown *m;
    struct markdown_state *st;
    struct buf *out;
};

static void begin_block(const struct pen *p)
{
    if (p->st->gap && p->st->any)
        buf_add_char(p->out, '\n');
    p->st->gap = false;
    p->st->any = true;
}

static size_t indent_of(struct slice s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'); i++)
        n += s.p[i] == '\t' ? 4 : 1;
    return n;
}

static struct slice unindent(struct slice s)
{
    size_t i = 0;
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'))
        i++;
    return slice_sub(s, i, s.n);
}

static size_t run_of(struct slice s, char c)
{
    size_t n = 0;
    while (n < s.n && s.p[n] == c)
        n++;
    return n;
}

static const char *blanks(size_t n)
{
    static const char text[] = "                                ";
    size_t most = sizeof text - 1;
    return text + (most - (n < most ? n : most));
}

static size_t capped(size_t indent)
{
    return indent < 24 ? indent : 24;
}

/* ---- fences ---- */

static bool open_fence(const struct pen *p, struct slice text, size_t indent)
{
    char c = text.n ? text.p[0] : 0;
    size_t n = run_of(text, c);
    struct slice info = slice_trim(slice_sub(text, n, text.n));
    if ((c != '`' && c != '~') || n < 3 || (c == '`' && slice_index(info, '`') < info.n))
        return false;
    begin_block(p);
    p->st->fence = c;
    p->st->fence_n = n;
    p->st->fence_indent = indent;
    info = slice_sub(info, 0, slice_index(info, ' '));
    p->st->code = markdown_language(info);
    if (info.n) {
        struct flow f;
        struct prefix left = {blanks(capped(indent) + 2), 0, capped(indent) + 2};
        flow_begin(&f, p->out, p->m->look, p->m->width, &left, 1, &left, 1);
        flow_text(&f, STYLE_GREY | STYLE_ITALIC, info);
        flow_end(&f);
    }
    return true;
}

static void fenced_line(const struct pen *p, struct slice line, struct slice text)
{
    struct markdown_state *st = p->st;
    size_t n = run_of(text, st->fence);
    if (n >= st->fence_n && !slice_trim(slice_sub(text, n, text.n)).n && !st->cut) {
        st->fence = 0;
        st->gap = true;
        return;
    }
    size_t off = indent_of(line) < st->fence_indent ? indent_of(line) : st->fence_indent;
    for (size_t i = 0; i < off && line.n && line.p[0] == ' '; i++)
        line = slice_sub(line, 1, line.n);
    struct flow f;
    struct prefix left = {blanks(capped(st->fence_indent) + 2), 0, capped(st->fence_indent) + 2};
    flow_begin(&f, p->out, p->m->look, p->m->width, &left, 1, &left, 1);
    f.hard = true;
    markdown_code(&f, st->code, line);
    flow_end(&f);
}

/* ---- lines ---- */

static bool heading(const struct pen *p, struct slice text)
{
    static const unsigned styles[] = {STYLE_BOLD | STYLE_UNDER, STYLE_BOLD, STYLE_BOLD | STYLE_DIM};
    size_t level = run_of(text, '#');
    if (!level || level > 6 || (text.n > level && text.p[level] != ' '))
        return false;
    struct slice words = slice_trim(slice_sub(text, level, text.n));
    while (words.n && words.p[words.n - 1] == '#')
        words.n--;
    struct flow f;
    struct prefix mark = {&"######"[6 - level], 0, level}, blank = {" ", 0, 1};
    p->st->gap = true;
    begin_block(p);
    struct prefix marks[] = {mark, blank};
    flow_begin(&f, p->out, p->m->look, p->m->width, marks, p->m->look->color ? 0 : 2, NULL, 0);
    markdown_inline(&f, styles[level < 3 ? level - 1 : 2], slice_trim(words));
    flow_end(&f);
    return true;
}

static bool rule(const struct pen *p, struct slice text)
{
    size_t n = 0;
    if (!text.n || !strchr("-*_", text.p[0]))
        return false;
    for (size_t i = 0; i < text.n; i++) {
        n += text.p[i] == text.p[0];
        if (text.p[i] != text.p[0] && text.p[i] != ' ')
            return false;
    }
    if (n < 3)
        return false;
    begin_block(p);
    style_add(p->out, p->m->look, STYLE_GREY);
    for (size_t i = 0; i < p->m->width && i < 40; i++)
        buf_add_text(p->out, sign(p->m->look, "─", "-"));
    style_add(p->out, p->m->look, 0);
    buf_add_char(p->out, '\n');
    return true;
}

/* The bytes of "- ", "12. " with its blank, or 0. */
static size_t marker_of(struct slice text)
{
    size_t n = 0;
    if (text.n && strchr("-*+", text.p[0]))
        n = 1;
    while (n < text.n && n < 9 && text.p[n] >= '0' && text.p[n] <= '9')
        n++;
    if (n && text.p[0] >= '0' && text.p[0] <= '9')
        n = n < text.n && (text.p[n] == '.' || text.p[n] == ')') ? n + 1 : 0;
    else if (n > 1)
        n = 0;
    return n && n < text.n && text.p[n] == ' ' ? n + 1 : 0;
}

static void task_box(const struct look *look, struct slice *text, struct prefix *ret)
{
    bool done = slice_starts(*text, SLICE("[x] ")) || slice_starts(*text, SLICE("[X] "));
    if (!done && !slice_starts(*text, SLICE("[ ] ")))
        return;
    *text = slice_sub(*text, 4, text->n);
    *ret = done ? (struct prefix){sign(look, "☑ ", "[x] "), STYLE_GREEN, look->utf8 ? 2 : 4}
                : (struct prefix){sign(look, "☐ ", "[ ] "), 0, look->utf8 ? 2 : 4};
}

static bool list_item(const struct pen *p, struct slice text, size_t indent)
{
    const struct look *look = p->m->look;
    char number[12];
    size_t n = marker_of(text), left = capped(indent);
    if (!n)
        return false;
    bool bullet = n == 2 && strchr("-*+", text.p[0]);
    memcpy(number, text.p, n);
    number[n] = '\0';
    text = unindent(slice_sub(text, n, text.n));
    struct prefix first[2] = {{blanks(left), 0, left}, {bullet ? sign(look, "• ", "- ") : number, STYLE_CYAN, n}};
    task_box(look, &text, &first[1]); /* in place of its bullet */
    size_t hang = left + first[1].columns;
    struct prefix rest = {blanks(hang), 0, hang};
    struct flow f;
    begin_block(p);
    flow_begin(&f, p->out, look, p->m->width, first, 2, &rest, 1);
    markdown_inline(&f, 0, text);
    flow_end(&f);
    return true;
}

static bool quote(const struct pen *p, struct slice text)
{
    struct prefix bars[4];
    size_t n = 0;
    while (text.n && text.p[0] == '>') {
        if (n < 4)
            bars[n++] = (struct prefix){sign(p->m->look, "│ ", "| "), STYLE_GREY, 2};
        text = unindent(slice_sub(text, 1, text.n));
    }
    if (!n)
        return false;
    struct flow f;
    begin_block(p);
    flow_begin(&f, p->out, p->m->look, p->m->width, bars, n, bars, n);
    markdown_inline(&f, STYLE_DIM, text);
    flow_end(&f);
    return true;
}

static void paragraph(const struct pen *p, struct slice text, size_t indent)
{
    struct flow f;
    struct prefix left = {blanks(capped(indent)), 0, capped(indent)};
    begin_block(p);
    flow_begin(&f, p->out, p->m->look, p->m->width, &left, 1, &left, 1);
    markdown_inline(&f, 0, text);
    flow_end(&f);
}

static void draw_line(const struct pen *p, struct slice line)
{
    size_t indent = indent_of(line);
    struct slice text = unindent(line);
    while (text.n && strchr(" \t\r", text.p[text.n - 1]))
        text.n--;
    if (p->st->fence)
        fenced_line(p, line, text);
    else if (p->st->cut)
        paragraph(p, text, 0);
    else if (!text.n)
        p->st->gap = true;
    else if (!open_fence(p, text, indent) && !heading(p, text) && !rule(p, text) && !list_item(p, text, indent) && !quote(p, text))
        paragraph(p, text, indent);
}

/* ---- tables, which are held back until they are complete ---- */

static void draw_held(const struct pen *p, struct slice lines)
{
    struct slice rest = lines, line, second;
    if (!slice_line(&rest, &line))
        return;
    bool is_table = p->st->headless || (slice_line(&rest, &second) && markdown_is_delimiter(second));
    if (is_table) {
        begin_block(p);
        markdown_table(lines, p->st->headless, p->m->look, p->m->width, p->out);
        return;
    }
    while (slice_line(&lines, &line))
        draw_line(p, line);
}

static bool holds(const struct markdown *m, struct slice line)
{
    return !m->state.fence && !m->state.cut && markdown_is_row(line);
}

static void take_line(struct markdown *m, struct slice line, struct buf *out)
{
    struct pen p = {m, &m->state, out};
    if (holds(m, line)) {
        buf_add(&m->table, line);
        buf_add_char(&m->table, '\n');
        if (m->table.n <= MARKDOWN_TABLE_MAX)
            return;
    }
    bool held = m->table.n, full = m->table.n > MARKDOWN_TABLE_MAX;
    if (held)
        draw_held(&p, buf_slice(&m->table));
    buf_reset(&m->table);
    m->state.headless = full;
    if (!full)
        draw_line(&p, line);
}

/* A line that is too long is drawn up to its last blank, or as it is. */
static void take_part(struct markdown *m, struct buf *out)
{
    size_t n = m->line.n;
    while (n > MARKDOWN_LINE_MAX / 2 && m->line.p[n - 1] != ' ')
        n--;
    if (n <= MARKDOWN_LINE_MAX / 2)
        for (n = m->line.n; n > m->line.n - 4 && ((unsigned char)m->line.p[n - 1] & 0xc0) == 0x80; n--) /* no character in two */
            ;
    if (n > 0 && (unsigned char)m->line.p[n - 1] >= 0xc0)
        n--;
    take_line(m, slice_sub(buf_slice(&m->line), 0, n), out);
    m->state.cut = true;
    memmove(m->line.p, m->line.p + n, m->line.n - n);
    m->line.n -= n;
}

void markdown_feed(struct markdown *m, struct slice s, struct buf *out)
{
    while (s.n) {
        size_t n = slice_index(s, '\n');
        bool whole = n < s.n;
        size_t room = MARKDOWN_LINE_MAX - m->line.n;
        if (n > room) {
            buf_add(&m->line, slice_sub(s, 0, room));
            s = slice_sub(s, room, s.n);
            take_part(m, out);
            continue;
        }
        buf_add(&m->line, slice_sub(s, 0, n));
        s = slice_sub(s, n + whole, s.n);
        if (!whole)
            return;
        take_line(m, buf_slice(&m->line), out);
        m->state.cut = false;
        buf_reset(&m->line);
    }
}

void markdown_live(const struct markdown *m, struct buf *out)
{
    struct markdown_state st = m->state;
    struct pen p = {m, &st, out};
    struct slice line = buf_slice(&m->line);
    BUF_CLEANUP struct buf lines = BUF_INIT(m->table.max + m->line.max + 1);
    buf_add(&lines, buf_slice(&m->table));
    if (line.n && holds(m, line)) {
        buf_add(&lines, line);
        line = SLICE_NONE;
    }
    if (lines.n)
        draw_held(&p, buf_slice(&lines));
    if (line.n)
        draw_line(&p, line);
}

void markdown_end(struct markdown *m, struct buf *out)
{
    struct pen p = {m, &m->state, out};
    if (m->line.n)
        take_line(m, buf_slice(&m->line), out);
    if (m->table.n)
        draw_held(&p, buf_slice(&m->table));
    buf_reset(&m->line);
    buf_reset(&m->table);
    m->state = (struct markdown_state){0};
}
