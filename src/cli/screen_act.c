/* Acts: a live row with a spinner, then a row for good with the first of what it printed; the rest is folded. */
#include <string.h>

#include "base/sys.h"
#include "cli/screen_internal.h"

enum { DETAIL_ROWS = 3, DIFF_ROWS = 10 };

static void set(struct buf *b, struct slice s)
{
    *b = BUF_INIT(TITLE_MAX);
    buf_add(b, slice_sub(s, 0, TITLE_MAX - 1));
}

static struct act *find(struct screen *s, uint64_t id)
{
    for (size_t i = 0; i < s->nacts; i++)
        if (s->acts[i].id == id)
            return &s->acts[i];
    return NULL;
}

void screen_act_begin(struct screen *s, uint64_t id, struct slice tool, struct slice title)
{
    say_begin(s, BLOCK_ACT);
    if (s->nacts == SCREEN_ACTS_MAX || find(s, id))
        return;
    struct act *a = &s->acts[s->nacts++];
    *a = (struct act){.id = id, .since_ms = sys->now_ms()};
    set(&a->tool, tool);
    set(&a->title, title);
    a->note = BUF_INIT(TITLE_MAX);
    screen_dirty(s);
    screen_draw(s, false);
}

void screen_act_note(struct screen *s, uint64_t id, struct slice last_line)
{
    struct act *a = find(s, id);
    if (!a)
        return;
    buf_reset(&a->note);
    buf_add(&a->note, slice_sub(slice_trim(last_line), 0, TITLE_MAX - 1));
    screen_dirty(s);
    screen_draw(s, false);
}

/* "bash  make test", cut; returns its columns. */
static size_t put_name(const struct screen *s, const struct act *a, size_t room, struct buf *out)
{
    style_add(out, &s->look, STYLE_BOLD);
    size_t col = glyph_add(out, &s->look, buf_slice(&a->tool), room);
    style_add(out, &s->look, 0);
    if (col + 4 < room && a->title.n) {
        buf_add_text(out, "  ");
        col += 2 + glyph_add(out, &s->look, buf_slice(&a->title), room - col - 2);
    }
    return col;
}

void act_live(const struct act *a, const struct screen *s, int64_t now_ms, struct buf *out)
{
    BUF_CLEANUP struct buf time = BUF_INIT(64);
    seconds_print(now_ms - a->since_ms, &time);
    size_t width = s->columns - 1, col = 2, keep = time.n + 2;
    style_put(out, &s->look, STYLE_CYAN, spinner(&s->look, a->since_ms, now_ms));
    buf_add_char(out, ' ');
    col += put_name(s, a, width > col + keep ? width - col - keep : 1, out);
    style_add(out, &s->look, STYLE_DIM);
    if (col + keep <= width) {
        buf_add_text(out, "  ");
        buf_add(out, buf_slice(&time));
        col += keep;
    }
    if (a->note.n && col + 12 < width) {
        buf_add_text(out, "  ");
        glyph_add(out, &s->look, buf_slice(&a->note), width - col - 2);
    }
    style_add(out, &s->look, 0);
    buf_add_char(out, '\n');
}

/* ---- folded details ---- */

static void forget_oldest(struct screen *s)
{
    buf_release(&s->folds[0].title);
    buf_release(&s->folds[0].text);
    memmove(s->folds, s->folds + 1, (FOLDS - 1) * sizeof *s->folds);
    s->nfolds--;
}

void fold_add(struct screen *s, struct slice title, struct slice text)
{
    if (!slice_trim(text).n || s->plain)
        return;
    if (s->nfolds == FOLDS)
        forget_oldest(s);
    struct fold *f = &s->folds[s->nfolds++];
    *f = (struct fold){.title = BUF_INIT(TITLE_MAX), .text = BUF_INIT(FOLD_MAX)};
    buf_add(&f->title, slice_sub(title, 0, TITLE_MAX - 1));
    if (text.n > FOLD_MAX - 100) { /* its beginning and its end */
        buf_add(&f->text, slice_sub(text, 0, FOLD_MAX / 2 - 100));
        buf_addf(&f->text, "\n… %zu bytes …\n", text.n - FOLD_MAX + 200);
        buf_add(&f->text, slice_sub(text, text.n - FOLD_MAX / 2 + 100, text.n));
    } else {
        buf_add(&f->text, text);
    }
}

/* Nothing but lines that came and went: what an edit shows. */
static bool is_marked(struct slice text)
{
    struct slice line;
    bool any = false;
    while (slice_line(&text, &line)) {
        if (!slice_starts(line, SLICE("+")) && !slice_starts(line, SLICE("-")))
            return false;
        any = true;
    }
    return any;
}

static bool is_diff(struct slice text)
{
    return is_marked(text) || slice_starts(text, SLICE("@@ ")) || slice_starts(text, SLICE("diff ")) || slice_starts(text, SLICE("--- ")) ||
           slice_find(text, SLICE("\n@@ "), 0) < text.n;
}

static unsigned line_style(const struct screen *s, bool diff, struct slice line)
{
    unsigned style = diff ? diff_style(line) : 0;
    return style && s->look.color ? style : STYLE_DIM;
}

void fold_show(struct screen *s)
{
    struct prefix left[] = {{"  ", 0, 2}, {sign(&s->look, "│ ", "| "), STYLE_GREY, 2}};
    size_t i = s->nfolds;
    while (i && s->folds[i - 1].shown)
        i--;
    if (!i) {
        s->flash = s->nfolds ? "nothing more is folded" : "nothing is folded";
        s->flash_ms = sys->now_ms();
        return;
    }
    struct fold *f = &s->folds[i - 1];
    struct slice text = buf_slice(&f->text), line;
    bool diff = is_diff(text);
    f->shown = true;
    say_begin(s, BLOCK_NOTE);
    style_add(&s->above, &s->look, STYLE_BOLD);
    buf_add_text(&s->above, sign(&s->look, "▾ ", "v "));
    glyph_add(&s->above, &s->look, buf_slice(&f->title), s->columns - 3);
    style_add(&s->above, &s->look, 0);
    buf_add_char(&s->above, '\n');
    while (slice_line(&text, &line)) {
        flow_lines(&s->above, &s->look, s->columns, left, 2, line_style(s, diff, line), line.n ? line : SLICE(" "), true);
        if (s->above.n > ABOVE_DRAW)
            screen_draw(s, true);
    }
}

/* ---- the end of an act ---- */

static void put_end(struct screen *s, const struct act *a, enum screen_act how, struct slice summary)
{
    static const struct { const char *utf8, *ascii; unsigned style; } signs[] = {
        {"✓", "+", STYLE_GREEN}, {"✗", "!", STYLE_RED | STYLE_BOLD}, {"■", "-", STYLE_YELLOW}};
    struct buf *out = &s->above;
    size_t width = s->columns, n = glyph_columns(summary, &s->look), keep = n && n + 14 < width ? n + 2 : 0;
    style_put(out, &s->look, signs[how].style, sign(&s->look, signs[how].utf8, signs[how].ascii));
    buf_add_char(out, ' ');
    size_t col = 2 + put_name(s, a, width > 2 + keep ? width - 2 - keep : 1, out);
    style_add(out, &s->look, STYLE_DIM);
    if (n && !keep) { /* on a row of its own */
        style_add(out, &s->look, 0);
        buf_add_text(out, "\n  ");
        style_add(out, &s->look, STYLE_DIM);
        col = 0;
    }
    if (n) {
        buf_add_text(out, keep ? "  " : "");
        glyph_add(out, &s->look, summary, width - (keep ? col + 2 : 2));
    }
    style_add(out, &s->look, 0);
    buf_add_char(out, '\n');
}

static void put_detail_line(struct screen *s, bool diff, struct slice line)
{
    struct buf *out = &s->above;
    buf_add_text(out, "  ");
    style_put(out, &s->look, STYLE_GREY, sign(&s->look, "│ ", "| "));
    style_add(out, &s->look, line_style(s, diff, line));
    glyph_add(out, &s->look, line, s->columns > 4 ? s->columns - 4 : 1);
    style_add(out, &s->look, 0);
    buf_add_char(out, '\n');
}

static void put_more(struct screen *s, size_t n, const char *where)
{
    struct buf *out = &s->above;
    BUF_CLEANUP struct buf text = BUF_INIT(100);
    if (!n)
        return;
    buf_addf(&text, "%s %zu %s%s", sign(&s->look, "…", "..."), n, n == 1 ? "line" : "lines", where);
    buf_add_text(&text, s->plain ? "" : sign(&s->look, " · Ctrl-O", ", Ctrl-O"));
    buf_add_text(out, "  ");
    style_add(out, &s->look, STYLE_GREY);
    glyph_add(out, &s->look, buf_slice(&text), s->columns > 4 ? s->columns - 3 : 1);
    style_add(out, &s->look, 0);
    buf_add_char(out, '\n');
}

/* The first lines, of a diff more; of what failed the last. */
static void put_detail(struct screen *s, enum screen_act how, struct slice detail)
{
    size_t n = 0, i = 0;
    bool diff = is_diff(detail);
    while (detail.n && detail.p[detail.n - 1] == '\n')
        detail.n--;
    struct slice rest = detail, line;
    while (slice_line(&rest, &line))
        n++;
    size_t most = diff ? DIFF_ROWS : DETAIL_ROWS, show = n <= most + 1 ? n : most;
    size_t from = how == SCREEN_FAILED ? n - show : 0;
    put_more(s, from, " before");
    for (; slice_line(&detail, &line); i++)
        if (i >= from && i < from + show)
            put_detail_line(s, diff, line);
    put_more(s, n - from - show, " more");
}

void screen_act_end(struct screen *s, uint64_t id, enum screen_act how, struct slice summary, struct slice detail)
{
    struct act *a = find(s, id), none = {0};
    say_begin(s, BLOCK_ACT);
    put_end(s, a ? a : &none, how, summary);
    put_detail(s, how, detail);
    fold_add(s, a ? buf_slice(&a->title) : SLICE_NONE, detail);
    if (a) {
        buf_release(&a->tool);
        buf_release(&a->title);
        buf_release(&a->note);
        memmove(a, a + 1, (size_t)(&s->acts[s->nacts] - (a + 1)) * sizeof *a);
        s->nacts--;
    }
    screen_dirty(s);
    screen_draw(s, false);
}
