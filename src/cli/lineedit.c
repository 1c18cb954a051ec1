#include "cli/lineedit.h"

#include <string.h>

#include "base/sys.h"
#include "cli/lineedit_internal.h"

struct lineedit *lineedit_new(const struct edit_options *o)
{
    struct lineedit *e = sys->realloc(NULL, sizeof *e);
    if (!e)
        return NULL;
    memset(e, 0, sizeof *e);
    e->o = *o;
    e->text = BUF_INIT(EDIT_TEXT_MAX);
    e->killed = BUF_INIT(EDIT_TEXT_MAX);
    e->draft = BUF_INIT(EDIT_TEXT_MAX);
    e->query = BUF_INIT(256);
    history_init(&e->history, o->history);
    recall_reset(e);
    return e;
}

void lineedit_free(struct lineedit *e)
{
    if (!e)
        return;
    paste_clear(e);
    for (size_t i = 0; i < e->nundos; i++)
        buf_release(&e->undos[i].text);
    buf_release(&e->text);
    buf_release(&e->killed);
    buf_release(&e->draft);
    buf_release(&e->query);
    history_release(&e->history);
    sys->free(e);
}

struct slice edit_slice(const struct lineedit *e)
{
    return buf_slice(&e->text);
}

bool lineedit_empty(const struct lineedit *e)
{
    return !e->text.n;
}

/* ---- changes ---- */

static void forget_oldest(struct lineedit *e)
{
    buf_release(&e->undos[0].text);
    e->nundos--;
    memmove(e->undos, e->undos + 1, e->nundos * sizeof *e->undos);
}

void edit_remember(struct lineedit *e)
{
    size_t bytes = e->text.n;
    for (size_t i = 0; i < e->nundos; i++)
        bytes += e->undos[i].text.n;
    for (; e->nundos && (e->nundos == EDIT_UNDOS || bytes > EDIT_UNDO_BYTES); forget_oldest(e))
        bytes -= e->undos[0].text.n;
    struct snapshot *s = &e->undos[e->nundos++];
    *s = (struct snapshot){.text = BUF_INIT(EDIT_TEXT_MAX), .at = e->at};
    buf_add(&s->text, edit_slice(e));
    e->typing = false;
}

static void undo(struct lineedit *e)
{
    if (!e->nundos)
        return;
    struct snapshot *s = &e->undos[--e->nundos];
    buf_release(&e->text);
    e->text = s->text;
    e->at = s->at;
}

void edit_replace(struct lineedit *e, size_t from, size_t to, struct slice with)
{
    if (e->text.n - (to - from) + with.n > EDIT_TEXT_MAX - 1)
        return; /* full: as if it had not been typed */
    size_t old = e->text.n, tail = old - to;
    if (with.n > to - from && !buf_extend(&e->text, with.n - (to - from))) {
        e->text.n = old;
        e->text.failed = false;
        return;
    }
    if (tail)
        memmove(e->text.p + from + with.n, e->text.p + to, tail);
    if (with.n)
        memcpy(e->text.p + from, with.p, with.n);
    e->text.n = from + with.n + tail;
    e->at = from + with.n;
}

static void delete_range(struct lineedit *e, size_t from, size_t to)
{
    if (from < to) {
        edit_remember(e);
        edit_replace(e, from, to, SLICE_NONE);
    }
}

static void kill_range(struct lineedit *e, size_t from, size_t to)
{
    if (from >= to)
        return;
    buf_reset(&e->killed);
    buf_add(&e->killed, slice_sub(edit_slice(e), from, to - from));
    delete_range(e, from, to);
}

static void insert(struct lineedit *e, struct slice s)
{
    edit_remember(e);
    edit_replace(e, e->at, e->at, s);
}

static void type_char(struct lineedit *e, uint32_t c)
{
    char b[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6)
        b[i] = (char)(0x80 | (c & 0x3f));
    b[0] = (char)(lead[n] | c);
    bool word = b[0] != ' ';
    if (!e->typing || !word)
        edit_remember(e);
    e->typing = true;
    edit_replace(e, e->at, e->at, (struct slice){b, n});
}

static void transpose(struct lineedit *e)
{
    size_t end = e->at == e->text.n || e->text.p[e->at] == '\n' ? e->at : edit_right(e, e->at);
    if (edit_line_start(e, end) == end)
        return;
    size_t mid = edit_left(e, end);
    if (edit_line_start(e, mid) == mid)
        return;
    size_t from = edit_left(e, mid);
    BUF_CLEANUP struct buf b = BUF_INIT(EDIT_TEXT_MAX);
    buf_add(&b, slice_sub(edit_slice(e), mid, end - mid));
    buf_add(&b, slice_sub(edit_slice(e), from, mid - from));
    edit_remember(e);
    edit_replace(e, from, end, buf_slice(&b));
}

/* ---- keys ---- */

static enum edit_wish after_ctrl_x(struct lineedit *e, const struct key *k)
{
    e->ctrl_x = false;
    if (k->kind == KEY_CHAR && k->mods == KEY_CTRL && k->code == 'u')
        undo(e);
    return k->kind == KEY_CHAR && k->mods == KEY_CTRL && k->code == 'e' ? EDIT_EDITOR : EDIT_NOTHING;
}

static enum edit_wish ctrl_key(struct lineedit *e, uint32_t c)
{
    size_t end = edit_line_end(e, e->at);
    switch (c) {
    case 'a': e->at = edit_line_start(e, e->at); break;
    case 'e': e->at = end; break;
    case 'b': e->at = edit_left(e, e->at); break;
    case 'f': e->at = edit_right(e, e->at); break;
    case 'h': delete_range(e, edit_left(e, e->at), e->at); break;
    case 'k': kill_range(e, e->at, end == e->at && end < e->text.n ? end + 1 : end); break;
    case 'u': kill_range(e, edit_line_start(e, e->at), e->at); break;
    case 'w': kill_range(e, edit_word_left(e, e->at), e->at); break;
    case 'y': insert(e, buf_slice(&e->killed)); break;
    case 't': transpose(e); break;
    case 'j': insert(e, SLICE("\n")); break;
    case 'p': recall_step(e, -1); break;
    case 'n': recall_step(e, 1); break;
    case 'r': search_begin(e); break;
    case '_': case '7': case '/': case '-': undo(e); break;
    case 'x': e->ctrl_x = true; break;
    case 'd':
        if (!e->text.n)
            return EDIT_EOF;
        delete_range(e, e->at, edit_right(e, e->at));
        break;
    case 'c': return EDIT_INTERRUPT;
    case 'g': return EDIT_EDITOR;
    case 'l': return EDIT_MODEL;
    case 'o': return EDIT_DETAIL;
    case 'z': return EDIT_SUSPEND;
    default: break;
    }
    return EDIT_NOTHING;
}

static void alt_key(struct lineedit *e, uint32_t c)
{
    switch (c) {
    case 'b': e->at = edit_word_left(e, e->at); break;
    case 'f': e->at = edit_word_right(e, e->at); break;
    case 'd': kill_range(e, e->at, edit_word_right(e, e->at)); break;
    case '<': e->at = 0; break;
    case '>': e->at = e->text.n; break;
    default: break;
    }
}

/* Shift-Enter, and a "\" before Enter, add a line. */
static enum edit_wish enter(struct lineedit *e, unsigned mods)
{
    if (mods & KEY_ALT)
        return EDIT_QUEUE;
    if (mods & (KEY_SHIFT | KEY_CTRL)) {
        insert(e, SLICE("\n"));
        return EDIT_NOTHING;
    }
    if (e->at && e->text.p[e->at - 1] == '\\' && e->at == edit_line_end(e, e->at)) {
        edit_remember(e);
        edit_replace(e, e->at - 1, e->at, SLICE("\n"));
        return EDIT_NOTHING;
    }
    return EDIT_SUBMIT;
}

static void arrow(struct lineedit *e, const struct key *k)
{
    bool word = k->mods & (KEY_ALT | KEY_CTRL);
    switch (k->kind) {
    case KEY_LEFT: e->at = word ? edit_word_left(e, e->at) : edit_left(e, e->at); break;
    case KEY_RIGHT: e->at = word ? edit_word_right(e, e->at) : edit_right(e, e->at); break;
    case KEY_HOME: e->at = word ? 0 : edit_line_start(e, e->at); break;
    case KEY_END: e->at = word ? e->text.n : edit_line_end(e, e->at); break;
    case KEY_UP:
        if (e->history_pos < e->history.n || !edit_move_row(e, -1))
            recall_step(e, -1);
        break;
    case KEY_DOWN:
        if (e->history_pos < e->history.n || !edit_move_row(e, 1))
            recall_step(e, 1);
        break;
    default: break;
    }
}

static enum edit_wish plain_key(struct lineedit *e, const struct key *k)
{
    bool word = k->mods & (KEY_ALT | KEY_CTRL);
    switch (k->kind) {
    case KEY_CHAR:
        if (k->mods & KEY_CTRL)
            return ctrl_key(e, k->code);
        if (k->mods & KEY_ALT)
            alt_key(e, k->code);
        else
            type_char(e, k->code);
        break;
    case KEY_ENTER: return enter(e, k->mods);
    case KEY_BACKSPACE:
        if (word)
            kill_range(e, edit_word_left(e, e->at), e->at);
        else
            delete_range(e, edit_left(e, e->at), e->at);
        break;
    case KEY_DELETE: delete_range(e, e->at, edit_right(e, e->at)); break;
    case KEY_PASTE: paste_add(e, k); break;
    case KEY_ESC: return EDIT_ESC;
    case KEY_UP:
        if (k->mods & KEY_ALT)
            return EDIT_TAKE_BACK;
        /* fall through */
    default: arrow(e, k);
    }
    return EDIT_NOTHING;
}

static bool is_recall(const struct key *k)
{
    return k->kind == KEY_UP || k->kind == KEY_DOWN || (k->kind == KEY_CHAR && k->mods == KEY_CTRL && (k->code == 'p' || k->code == 'n'));
}

enum edit_wish lineedit_key(struct lineedit *e, const struct key *k)
{
    if (e->ctrl_x)
        return after_ctrl_x(e, k);
    if (search_key(e, k) || completion_key(e, k))
        return EDIT_NOTHING;
    if (k->kind != KEY_CHAR || k->mods)
        e->typing = false;
    if (!is_recall(k))
        recall_reset(e);
    size_t was = e->text.n, at = e->at;
    enum edit_wish wish = plain_key(e, k);
    if (e->text.n != was || e->at != at || wish)
        completion_update(e);
    if (is_recall(k))
        e->list.n = 0;
    return wish;
}

/* ---- for the owner ---- */

void lineedit_text(const struct lineedit *e, struct buf *ret)
{
    size_t n;
    paste_expand(e, ret, NULL, &n);
}

void lineedit_clear(struct lineedit *e)
{
    if (e->text.n)
        edit_remember(e);
    e->text.n = e->at = 0;
    e->list.n = 0;
    recall_reset(e);
}

void lineedit_take(struct lineedit *e, struct buf *ret, struct buf *ret_paths, size_t *ret_npaths)
{
    paste_expand(e, ret, ret_paths, ret_npaths);
    history_add(&e->history, buf_slice(ret));
    for (; e->nundos; e->nundos--)
        buf_release(&e->undos[e->nundos - 1].text);
    lineedit_clear(e);
    for (; e->nundos; e->nundos--) /* marks would lead nowhere */
        buf_release(&e->undos[e->nundos - 1].text);
    paste_clear(e);
    buf_reset(&e->killed);
}

void lineedit_set(struct lineedit *e, struct slice text, bool keep)
{
    BUF_CLEANUP struct buf all = BUF_INIT(EDIT_TEXT_MAX);
    edit_remember(e);
    paste_clean(slice_sub(text, 0, EDIT_TEXT_MAX / 2), &all);
    size_t at = all.n;
    if (keep && e->text.n) {
        buf_add_char(&all, '\n');
        buf_add(&all, edit_slice(e));
    }
    edit_replace(e, 0, e->text.n, buf_slice(&all));
    e->at = at < e->text.n ? at : e->text.n;
    e->list.n = 0;
    recall_reset(e);
}
