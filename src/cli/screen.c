#include "cli/screen.h"

#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/screen_internal.h"

bool screen_color_wanted(int out)
{
    return tty_color(out);
}

bool screen_utf8_wanted(void)
{
    return tty_utf8();
}

static void measure(struct screen *s)
{
    tty_size(s->tty.out, &s->columns, &s->rows);
    if (s->o.columns)
        s->columns = s->o.columns;
    if (s->o.rows)
        s->rows = s->o.rows;
    if (s->columns < SCREEN_COLUMNS_MIN)
        s->columns = SCREEN_COLUMNS_MIN;
    if (s->plain && !isatty(s->tty.out) && !s->o.columns)
        s->columns = 100000;
}

static void init_buffers(struct screen *s)
{
    s->above = BUF_INIT(ABOVE_MAX);
    s->thought = BUF_INIT(THOUGHT_MAX);
    s->state = s->model = BUF_INIT(200);
    s->hint = BUF_INIT(400);
    s->line = BUF_INIT(KEYS_PASTE_MAX);
    s->event_text = BUF_INIT(EDIT_TEXT_MAX + EDIT_PASTES_BYTES + 4096);
    s->event_paths = BUF_INIT(EDIT_PASTES * 4200);
    s->status = (struct screen_status){.used_nusd = -1, .cap_nusd = -1};
}

struct screen *screen_new(int in, int out, const struct screen_options *o)
{
    struct screen *s = sys->realloc(NULL, sizeof *s);
    if (!s)
        return NULL;
    memset(s, 0, sizeof *s);
    s->o = *o;
    s->plain = o->plain || !tty_is(in, out);
    s->look = (struct look){o->color && !s->plain, o->utf8};
    init_buffers(s);
    tty_init(&s->tty, in, out);
    measure(s);
    keys_init(&s->keys);
    area_init(&s->area, s->columns);
    markdown_init(&s->text, &s->look, s->columns);
    struct edit_options eo = {&s->look, o->history, o->commands, o->ncommands, o->files, o->files_arg, o->plain_pastes ? NULL : input_is_picture};
    s->edit = lineedit_new(&eo);
    if (!s->edit) {
        screen_free(s);
        return NULL;
    }
    if (!s->plain)
        tty_raw(&s->tty);
    s->dirty = s->urgent = true;
    return s;
}

static void release_buffers(struct screen *s)
{
    struct buf *all[] = {&s->above, &s->thought, &s->state, &s->model, &s->hint, &s->line, &s->event_text, &s->event_paths};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buf_release(all[i]);
    for (size_t i = 0; i < SCREEN_QUEUE_MAX; i++)
        buf_release(&s->queue[i]);
    for (size_t i = 0; i < s->nacts; i++) {
        buf_release(&s->acts[i].tool);
        buf_release(&s->acts[i].title);
        buf_release(&s->acts[i].note);
    }
    for (size_t i = 0; i < s->nfolds; i++) {
        buf_release(&s->folds[i].title);
        buf_release(&s->folds[i].text);
    }
}

void screen_free(struct screen *s)
{
    if (!s)
        return;
    if (s->edit)
        screen_text_end(s);
    screen_suspend(s);
    tty_release(&s->tty);
    lineedit_free(s->edit);
    keys_release(&s->keys);
    area_release(&s->area);
    markdown_release(&s->text);
    release_buffers(s);
    sys->free(s);
}

void screen_restore(void)
{
    tty_restore();
}

void screen_suspend(struct screen *s)
{
    if (s->given_away)
        return;
    if (s->edit)
        screen_draw(s, true);
    if (!s->plain)
        area_erase(&s->area, &s->tty.pending);
    s->given_away = true;
    tty_drain(&s->tty, 1000);
    tty_cooked(&s->tty);
}

void screen_resume(struct screen *s)
{
    if (!s->given_away)
        return;
    s->given_away = false;
    if (!s->plain)
        tty_raw(&s->tty);
    screen_resize(s);
    s->urgent = true;
}

int screen_fd(const struct screen *s)
{
    return s->tty.in;
}

size_t screen_columns(const struct screen *s)
{
    return s->columns;
}

void screen_resize(struct screen *s)
{
    size_t columns = s->columns;
    measure(s);
    s->text.width = s->columns;
    if (s->columns != columns && !s->plain)
        area_reflow(&s->area, s->columns, &s->tty.pending);
    screen_dirty(s);
    s->urgent = true;
}

static int sooner(int a, int64_t b)
{
    int64_t least = b < 0 ? 0 : b;
    return a < 0 || least < a ? (int)least : a;
}

int screen_wait_ms(const struct screen *s)
{
    int64_t now = sys->now_ms();
    int wait = s->exited ? -1 : keys_wait_ms(&s->keys, now);
    if (s->eof && !s->exited)
        return 0;
    if (s->tty.pending.n)
        wait = sooner(wait, 10);
    if (s->dirty)
        wait = sooner(wait, s->urgent ? 0 : s->drawn_ms + FRAME_MS - now);
    if (!s->plain && (s->nacts || s->thinking_ms || (s->status.since_ms && s->status.busy) || s->flash))
        wait = sooner(wait, s->drawn_ms + SPIN_MS - now);
    return wait;
}

bool screen_next(struct screen *s, struct screen_event *ret)
{
    *ret = (struct screen_event){0};
    if (s->given_away)
        return false;
    bool got = s->plain ? input_plain(s, ret) : input_keys(s, ret);
    screen_draw(s, false);
    return got;
}

void screen_edit(struct screen *s, struct slice text, bool keep)
{
    lineedit_set(s->edit, text, keep);
    screen_dirty(s);
    s->urgent = true;
}

static void set(struct buf *b, struct slice s)
{
    buf_reset(b);
    buf_add(b, slice_sub(s, 0, b->max - 1));
}

void screen_status(struct screen *s, const struct screen_status *st)
{
    set(&s->state, st->state);
    set(&s->model, st->model);
    set(&s->hint, st->hint);
    s->status = *st;
    screen_dirty(s);
}

void screen_queue(struct screen *s, const struct slice *texts, size_t n)
{
    s->nqueue = n < SCREEN_QUEUE_MAX ? n : SCREEN_QUEUE_MAX;
    for (size_t i = 0; i < s->nqueue; i++) {
        s->queue[i].max = TITLE_MAX;
        set(&s->queue[i], texts[i]);
    }
    screen_dirty(s);
}

void screen_bell(struct screen *s, const char *text)
{
    if (!s->o.bell || s->plain)
        return;
    buf_add_text(&s->tty.pending, "\033]9;");
    glyph_add(&s->tty.pending, &(struct look){false, s->look.utf8}, slice_of(text), 200);
    buf_add_text(&s->tty.pending, "\a\a"); /* ends it, and rings */
    tty_flush(&s->tty);
}

void screen_pick(struct screen *s, struct slice title, const struct pick_item *items, size_t n, long *ret)
{
    screen_draw(s, true);
    if (!s->plain)
        area_erase(&s->area, &s->tty.pending);
    tty_drain(&s->tty, 1000);
    pick_run(s->tty.in, s->tty.out, &s->look, title, items, n, ret);
    screen_dirty(s);
    s->urgent = true;
}

void screen_ask(struct screen *s, struct slice question, const struct slice *choices, size_t n, long *ret)
{
    struct pick_item items[PICK_ASK_MAX];
    if (n > PICK_ASK_MAX)
        n = PICK_ASK_MAX;
    for (size_t i = 0; i < n; i++)
        items[i] = (struct pick_item){.label = choices[i]};
    screen_pick(s, question, items, n, ret);
}
