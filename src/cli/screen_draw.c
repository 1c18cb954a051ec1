/* The live area, from the top: what is being written, thoughts, acts, the queue, a rule with the state, the edit box, a
   line of figures. Where the terminal is low, the upper rows go first. */
#include "base/sys.h"
#include "cli/screen_internal.h"

enum { QUEUE_ROWS = 3, ACT_ROWS = 8 };

const char *spinner(const struct look *look, int64_t since_ms, int64_t now_ms)
{
    static const char *const braille[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
    static const char *const ascii[] = {"|", "/", "-", "\\"};
    uint64_t n = (uint64_t)(now_ms > since_ms ? now_ms - since_ms : 0) / SPIN_MS;
    return look->utf8 ? braille[n % 10] : ascii[n % 4];
}

void seconds_print(int64_t ms, struct buf *out)
{
    long long t = ms < 0 ? 0 : ms;
    if (t < 10000)
        buf_addf(out, "%lld.%lld s", t / 1000, t / 100 % 10);
    else if (t < 60000)
        buf_addf(out, "%lld s", t / 1000);
    else if (t < 3600000)
        buf_addf(out, "%lld:%02lld", t / 60000, t / 1000 % 60);
    else
        buf_addf(out, "%lld:%02lld:%02lld", t / 3600000, t / 60000 % 60, t / 1000 % 60);
}

void screen_dirty(struct screen *s)
{
    s->dirty = true;
}

static size_t count_rows(const struct buf *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        n += b->p[i] == '\n';
    return n;
}

/* The last n rows. */
static struct slice last_rows(const struct buf *b, size_t n)
{
    size_t i = b->n;
    while (i && n) {
        i--;
        while (i && b->p[i - 1] != '\n')
            i--;
        n--;
    }
    return slice_sub(buf_slice(b), i, b->n);
}

static void draw_thought(const struct screen *s, int64_t now, struct buf *out)
{
    BUF_CLEANUP struct buf time = BUF_INIT(64);
    struct slice all = buf_slice(&s->thought), tail = slice_trim(slice_sub(all, all.n > 400 ? all.n - 400 : 0, 400));
    for (size_t nl = slice_index(tail, '\n'); nl < tail.n; nl = slice_index(tail, '\n')) /* its last line */
        tail = slice_trim(slice_sub(tail, nl + 1, tail.n));
    while (tail.n && ((unsigned char)tail.p[0] & 0xc0) == 0x80)
        tail = slice_sub(tail, 1, tail.n);
    seconds_print(now - s->thinking_ms, &time);
    style_put(out, &s->look, STYLE_MAGENTA, spinner(&s->look, s->thinking_ms, now));
    style_add(out, &s->look, STYLE_DIM);
    size_t col = 1 + glyph_add(out, &s->look, SLICE(" thinking "), s->columns - 1);
    col += s->columns > col ? glyph_add(out, &s->look, buf_slice(&time), s->columns - col) : 0;
    if (col + 10 < s->columns) {
        buf_add_text(out, "  ");
        glyph_add(out, &s->look, tail, s->columns - col - 3);
    }
    style_add(out, &s->look, 0);
    buf_add_char(out, '\n');
}

static void draw_queue(const struct screen *s, struct buf *out)
{
    for (size_t i = 0; i < s->nqueue && i < QUEUE_ROWS; i++) {
        BUF_CLEANUP struct buf more = BUF_INIT(100);
        bool last = i == QUEUE_ROWS - 1 && s->nqueue > QUEUE_ROWS;
        buf_addf(&more, "%zu more wait", s->nqueue - i);
        style_add(out, &s->look, STYLE_DIM);
        buf_add_text(out, i ? "  " : sign(&s->look, "↳ ", "> "));
        glyph_add(out, &s->look, last ? buf_slice(&more) : buf_slice(&s->queue[i]), s->columns - 3);
        style_add(out, &s->look, 0);
        buf_add_char(out, '\n');
    }
}

static void draw_upper(const struct screen *s, struct buf *out)
{
    int64_t now = sys->now_ms();
    if (s->texting)
        markdown_live(&s->text, out);
    if (s->thinking_ms)
        draw_thought(s, now, out);
    for (size_t i = s->nacts > ACT_ROWS ? s->nacts - ACT_ROWS : 0; i < s->nacts; i++)
        act_live(&s->acts[i], s, now, out);
    if (s->rows >= 12)
        buf_add_char(out, '\n');
    draw_queue(s, out);
}

struct lower {
    struct buf rows;
    size_t n, row, col;
};

static void draw_lower(const struct screen *s, struct lower *l)
{
    bool rule = s->rows >= 4, line = s->rows >= 3;
    size_t left = s->rows - rule - line, half = s->rows / 2;
    if (rule)
        status_rule(s, &l->rows);
    size_t text = half > left || !half ? left : half;
    lineedit_draw(s->edit, s->columns, text, left > 4 ? left - 3 : 0, &l->rows, &l->row, &l->col);
    l->row += rule;
    while (count_rows(&l->rows) > s->rows - line) { /* a list that found no room */
        l->rows.n--;
        while (l->rows.n && l->rows.p[l->rows.n - 1] != '\n')
            l->rows.n--;
    }
    if (line)
        status_line(s, &l->rows);
    l->n = count_rows(&l->rows);
    if (l->col >= s->columns)
        l->col = s->columns - 1;
}

static void draw_live(struct screen *s)
{
    struct lower l = {.rows = BUF_INIT(AREA_BYTES / 2)};
    BUF_CLEANUP struct buf upper = BUF_INIT(4 << 20), all = BUF_INIT(AREA_BYTES);
    draw_lower(s, &l);
    draw_upper(s, &upper);
    struct slice fits = last_rows(&upper, s->rows > l.n ? s->rows - l.n : 0);
    size_t above = 0;
    for (size_t i = 0; i < fits.n; i++)
        above += fits.p[i] == '\n';
    buf_add(&all, fits);
    buf_add(&all, buf_slice(&l.rows));
    if (buf_ok(&all))
        area_draw(&s->area, buf_slice(&s->above), buf_slice(&all), above + l.row, l.col, &s->tty.pending);
    buf_release(&l.rows);
}

/* Nothing more can wait for the terminal: what is said is counted, not kept. */
static void lose(struct screen *s)
{
    s->lost += count_rows(&s->above);
    buf_reset(&s->above);
}

static void tell_lost(struct screen *s)
{
    BUF_CLEANUP struct buf all = BUF_INIT(ABOVE_MAX + 200);
    if (!s->lost)
        return;
    buf_addf(&all, "(%zu rows are not shown: the terminal took nothing)\n", s->lost);
    buf_add(&all, buf_slice(&s->above));
    buf_reset(&s->above);
    buf_add(&s->above, buf_slice(&all));
    s->lost = 0;
}

static void draw_plain(struct screen *s)
{
    buf_add(&s->tty.pending, buf_slice(&s->above));
    if (s->above.n)
        s->prompted = false;
    if (!s->prompted && !s->status.busy && isatty(s->tty.in) && !s->given_away && !s->texting)
        buf_add_text(&s->tty.pending, "> ");
    s->prompted = !s->status.busy;
}

void screen_draw(struct screen *s, bool now)
{
    int64_t ms = sys->now_ms(), since = ms - s->drawn_ms;
    bool moves = s->nacts || s->thinking_ms || (s->status.since_ms && s->status.busy) || s->flash;
    bool due = s->dirty && (s->urgent || since >= FRAME_MS || since < 0);
    if (s->flash && ms - s->flash_ms > TWICE_MS) {
        s->flash = NULL;
        due = true;
    }
    bool takes = tty_flush(&s->tty);
    if (!takes && s->above.n > ABOVE_DRAW)
        lose(s);
    if (!takes || s->given_away || !(now || due || (moves && since >= SPIN_MS)))
        return;
    bool slow = s->tty.pending.n && !now; /* the terminal has not taken the last frame yet */
    if (slow && s->above.n < ABOVE_DRAW)
        return;
    tell_lost(s);
    if (s->plain)
        draw_plain(s);
    else
        draw_live(s);
    buf_reset(&s->above);
    s->dirty = s->urgent = false;
    s->drawn_ms = ms;
    tty_flush(&s->tty);
    s->eof |= s->tty.gone;
}
