#include "cli/pick.h"

#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/area.h"
#include "cli/keys.h"
#include "cli/tty.h"

enum { PICK_MAX = 10000, PICK_ROWS = 12, TYPED_MAX = 200 };

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static bool part_begins(struct slice s, size_t at)
{
    return at == 0 || strchr(" /-_.:", s.p[at - 1]);
}

/* Greedy from the left: letters that follow one another and begin a part count more, late ones less. */
unsigned pick_score(struct slice label, struct slice typed)
{
    unsigned score = 1000;
    size_t at = 0, last = 0;
    for (size_t i = 0; i < typed.n; i++) {
        if (typed.p[i] == ' ')
            continue;
        while (at < label.n && lower(label.p[at]) != lower(typed.p[i]))
            at++;
        if (at == label.n)
            return 0;
        score += i && at == last + 1 ? 8 : 0;
        score += part_begins(label, at) ? 6 : 0;
        last = at++;
    }
    size_t late = typed.n && at > typed.n ? at - typed.n : 0;
    unsigned off = late < 500 ? (unsigned)late : 500;
    return score - off;
}

struct pick {
    const struct look *look;
    struct tty tty;
    struct area area;
    struct keys keys;
    struct slice title;
    const struct pick_item *items;
    size_t n;
    struct buf typed;
    size_t *shown;   /* indexes that match, best first */
    size_t nshown, chosen, top;
    size_t columns, rows;
};

static unsigned score_of(const struct pick *p, size_t i)
{
    struct slice typed = buf_slice(&p->typed);
    unsigned a = pick_score(p->items[i].label, typed), b = pick_score(p->items[i].detail, typed);
    return a ? a + 500 : b > 500 ? b - 500 : b;
}

/* By score, the order of the list between equals: a merge by insertion, since most lists are short. */
static void filter(struct pick *p)
{
    unsigned *scores = sys->realloc(NULL, (p->n + 1) * sizeof *scores);
    p->nshown = p->chosen = p->top = 0;
    if (!scores)
        return;
    for (size_t i = 0; i < p->n; i++) {
        unsigned score = score_of(p, i);
        if (!score)
            continue;
        size_t k = p->nshown++, back = 0;
        for (; p->typed.n && k && scores[k - 1] < score && back < 2000; k--, back++) {
            scores[k] = scores[k - 1];
            p->shown[k] = p->shown[k - 1];
        }
        scores[k] = score;
        p->shown[k] = i;
    }
    sys->free(scores);
}

static void draw_item(const struct pick *p, size_t k, struct buf *out)
{
    const struct pick_item *it = &p->items[p->shown[k]];
    bool chosen = k == p->chosen;
    size_t width = p->columns - 1;
    style_put(out, p->look, STYLE_CYAN | STYLE_BOLD, chosen ? sign(p->look, "▸ ", "> ") : "  ");
    style_add(out, p->look, chosen ? STYLE_BOLD : 0);
    size_t col = 2 + glyph_add(out, p->look, it->label, width > 2 ? width - 2 : 1);
    style_add(out, p->look, 0);
    if (it->detail.n && col + 8 < width) {
        for (size_t to = col < 26 && width > 60 ? 28 : col + 2; col < to; col++)
            buf_add_char(out, ' ');
        style_add(out, p->look, STYLE_DIM);
        glyph_add(out, p->look, it->detail, width - col);
        style_add(out, p->look, 0);
    }
    buf_add_char(out, '\n');
}

static size_t draw_head(const struct pick *p, struct buf *out)
{
    size_t width = p->columns - 1, col = 0;
    if (p->title.n && width > 24) {
        style_add(out, p->look, STYLE_BOLD);
        col = glyph_add(out, p->look, p->title, width - 14) + 2;
        style_add(out, p->look, 0);
        buf_add_text(out, "  ");
    }
    style_put(out, p->look, STYLE_CYAN | STYLE_BOLD, sign(p->look, "› ", "> "));
    col += 2 + glyph_add(out, p->look, buf_slice(&p->typed), width > col + 4 ? width - col - 4 : 1);
    size_t at = col;
    if (width > col + 32 && !p->typed.n) {
        buf_add_text(out, "  ");
        style_put(out, p->look, STYLE_GREY, sign(p->look, "type to search · Esc", "type to search, Esc"));
    }
    buf_add_char(out, '\n');
    return at;
}

static void draw(struct pick *p)
{
    BUF_CLEANUP struct buf rows = BUF_INIT(AREA_BYTES);
    size_t most = p->rows > 3 ? p->rows - 2 : p->rows > 1 ? p->rows - 1 : 0, i, row = 0, col = 0;
    bool more;
    if (most > PICK_ROWS)
        most = PICK_ROWS;
    if (p->title.n && p->columns <= 25 && p->rows > 4) {
        style_add(&rows, p->look, STYLE_BOLD);
        glyph_add(&rows, p->look, p->title, p->columns - 1);
        style_add(&rows, p->look, 0);
        buf_add_char(&rows, '\n');
        row++;
        most -= most > 1;
    }
    col = draw_head(p, &rows);
    if (p->chosen >= p->top + most)
        p->top = p->chosen - most + (most > 0);
    if (p->chosen < p->top)
        p->top = p->chosen;
    for (i = p->top; i < p->nshown && i < p->top + most; i++)
        draw_item(p, i, &rows);
    more = i < p->nshown || p->top || !p->nshown;
    if (more && p->rows > most + 2) {
        style_add(&rows, p->look, STYLE_GREY);
        buf_addf(&rows, p->nshown ? "  %zu of %zu" : "  nothing matches", p->chosen + 1, p->nshown);
        style_add(&rows, p->look, 0);
        buf_add_char(&rows, '\n');
    }
    area_draw(&p->area, SLICE_NONE, buf_slice(&rows), row, col < p->columns ? col : p->columns - 1, &p->tty.pending);
    tty_flush(&p->tty);
}

static void step(struct pick *p, long by)
{
    if (!p->nshown)
        return;
    long to = (long)p->chosen + by, last = (long)p->nshown - 1;
    if (by == 1 || by == -1)
        to = to < 0 ? last : to > last ? 0 : to;
    p->chosen = (size_t)(to < 0 ? 0 : to > last ? last : to);
}

/* True when it is over, with *ret. */
static bool take_key(struct pick *p, const struct key *k, long *ret)
{
    bool ctrl = k->kind == KEY_CHAR && (k->mods & KEY_CTRL);
    *ret = -1;
    if (k->kind == KEY_ESC || (ctrl && strchr("cdg", (int)k->code)))
        return true;
    if (k->kind == KEY_ENTER) {
        if (p->nshown)
            *ret = (long)p->shown[p->chosen];
        return p->nshown > 0;
    }
    if (k->kind == KEY_UP || (ctrl && k->code == 'p') || (k->kind == KEY_TAB && (k->mods & KEY_SHIFT)))
        step(p, -1);
    else if (k->kind == KEY_DOWN || k->kind == KEY_TAB || (ctrl && k->code == 'n'))
        step(p, 1);
    else if (k->kind == KEY_PAGE_UP || k->kind == KEY_PAGE_DOWN)
        step(p, k->kind == KEY_PAGE_UP ? -(long)PICK_ROWS : (long)PICK_ROWS);
    else if (k->kind == KEY_HOME || k->kind == KEY_END)
        step(p, k->kind == KEY_HOME ? -(long)PICK_MAX : (long)PICK_MAX);
    else if (ctrl && k->code == 'u')
        buf_reset(&p->typed);
    else if (k->kind == KEY_BACKSPACE && p->typed.n)
        while (--p->typed.n && ((unsigned char)p->typed.p[p->typed.n] & 0xc0) == 0x80)
            ;
    else if (k->kind == KEY_CHAR && !k->mods && k->code < 0x80)
        buf_add_char(&p->typed, (char)k->code);
    else
        return false;
    if (p->typed.failed)
        buf_reset(&p->typed);
    if (k->kind == KEY_CHAR || k->kind == KEY_BACKSPACE)
        filter(p);
    return false;
}

static bool wait_input(struct pick *p)
{
    char bytes[512];
    size_t n = 0, room = keys_room(&p->keys);
    int wait = keys_wait_ms(&p->keys, sys->now_ms());
    struct pollfd f = {.fd = p->tty.in, .events = POLLIN};
    sys->poll(&f, 1, p->tty.pending.n ? 20 : wait < 0 ? 500 : wait);
    if (!tty_read(&p->tty, bytes, room < sizeof bytes ? room : sizeof bytes, &n))
        return false;
    if (n)
        keys_feed(&p->keys, (struct slice){bytes, n}, sys->now_ms());
    return true;
}

static void look_at_size(struct pick *p)
{
    size_t was = p->columns;
    tty_size(p->tty.out, &p->columns, &p->rows);
    if (was && was != p->columns)
        area_reflow(&p->area, p->columns, &p->tty.pending);
    p->area.columns = p->columns;
}

static void run(struct pick *p, long *ret)
{
    bool over = false;
    struct key k;
    filter(p);
    while (!over && !p->tty.gone) {
        look_at_size(p);
        draw(p);
        if (!wait_input(p))
            break;
        while (!over && keys_next(&p->keys, sys->now_ms(), &k))
            over = take_key(p, &k, ret);
    }
    if (!over)
        *ret = -1;
    area_erase(&p->area, &p->tty.pending);
}

/* ---- without a terminal ---- */

static void print_items(const struct pick *p)
{
    BUF_CLEANUP struct buf out = BUF_INIT(4 << 20);
    struct error e;
    glyph_add(&out, p->look, p->title, 1000);
    buf_add_char(&out, '\n');
    for (size_t i = 0; i < p->n; i++) {
        buf_addf(&out, "%3zu  ", i + 1);
        glyph_add(&out, p->look, p->items[i].label, 1000);
        buf_add_text(&out, p->items[i].detail.n ? "  " : "");
        glyph_add(&out, p->look, p->items[i].detail, 1000);
        buf_add_char(&out, '\n');
    }
    buf_add_text(&out, "> ");
    if (sys_write_all(p->tty.out, buf_slice(&out), "the list", &e) != OK)
        return; /* the answer is read all the same */
}

static void run_plain(const struct pick *p, long *ret)
{
    BUF_CLEANUP struct buf line = BUF_INIT(4096);
    char c;
    int64_t n;
    *ret = -1;
    print_items(p);
    while (buf_ok(&line) && sys->read(p->tty.in, &c, 1) == 1 && c != '\n')
        buf_add_char(&line, c);
    struct slice typed = slice_trim(buf_slice(&line));
    if (!typed.n)
        return;
    if (slice_int(typed, &n)) {
        *ret = n >= 1 && (uint64_t)n <= p->n ? (long)n - 1 : -1;
        return;
    }
    for (size_t i = 0; i < p->n && *ret < 0; i++)
        if (slice_eq(p->items[i].label, typed))
            *ret = (long)i;
    for (size_t i = 0; i < p->n && *ret < 0; i++)
        if (slice_starts(p->items[i].label, typed))
            *ret = (long)i;
}

void pick_run(int in, int out, const struct look *look, struct slice title, const struct pick_item *items, size_t n, long *ret)
{
    struct look own = {tty_color(out), tty_utf8()};
    struct pick p = {.look = look ? look : &own, .title = title, .items = items, .n = n < PICK_MAX ? n : PICK_MAX, .typed = BUF_INIT(TYPED_MAX)};
    *ret = -1;
    p.shown = sys->realloc(NULL, (p.n + 1) * sizeof *p.shown);
    if (!p.shown)
        return;
    tty_init(&p.tty, in, out);
    keys_init(&p.keys);
    area_init(&p.area, 80);
    if (tty_is(in, out)) {
        tty_raw(&p.tty);
        run(&p, ret);
    } else {
        run_plain(&p, ret);
    }
    tty_release(&p.tty);
    keys_release(&p.keys);
    area_release(&p.area);
    buf_release(&p.typed);
    sys->free(p.shown);
}
