#include <string.h>

#include "cli/lineedit_internal.h"

void recall_reset(struct lineedit *e)
{
    e->history_pos = e->history.n;
    buf_reset(&e->draft);
    e->prefix = 0;
}

static void show(struct lineedit *e, struct slice text)
{
    buf_reset(&e->text);
    paste_clean(text, &e->text);
    e->at = e->text.n;
}

/* Up and down through entries that begin with what stood before the cursor; the draft is behind the last. */
void recall_step(struct lineedit *e, int by)
{
    if (e->history_pos >= e->history.n) {
        if (by > 0)
            return;
        buf_reset(&e->draft);
        buf_add(&e->draft, edit_slice(e));
        e->prefix = e->at;
        e->history_pos = e->history.n;
        edit_remember(e);
    }
    struct slice prefix = slice_sub(buf_slice(&e->draft), 0, e->prefix);
    size_t pos = e->history_pos;
    while (by < 0 ? pos > 0 : pos < e->history.n) {
        pos += by < 0 ? (size_t)-1 : 1;
        if (pos < e->history.n && slice_starts(history_at(&e->history, pos), prefix)) {
            show(e, history_at(&e->history, pos));
            e->history_pos = pos;
            return;
        }
    }
    if (by < 0)
        return;
    e->history_pos = e->history.n;
    buf_reset(&e->text);
    buf_add(&e->text, buf_slice(&e->draft)); /* as it was, marks of pastes with it */
    e->at = e->prefix < e->text.n ? e->prefix : e->text.n;
}

/* ---- Ctrl-R ---- */

void search_begin(struct lineedit *e)
{
    e->searching = true;
    buf_reset(&e->query);
    e->found = e->history.n;
}

static void find_older(struct lineedit *e, size_t from)
{
    for (size_t i = from; i-- > 0;) {
        struct slice s = history_at(&e->history, i);
        if (slice_find(s, buf_slice(&e->query), 0) < s.n) {
            e->found = i;
            return;
        }
    }
}

static void find_again(struct lineedit *e)
{
    e->found = e->history.n;
    if (e->query.n)
        find_older(e, e->history.n);
}

static void search_end(struct lineedit *e, bool take)
{
    e->searching = false;
    if (!take || e->found >= e->history.n)
        return;
    edit_remember(e);
    show(e, history_at(&e->history, e->found));
    recall_reset(e);
}

static void type_query(struct lineedit *e, const struct key *k)
{
    char bytes[4];
    size_t n = 0;
    if (k->code < 0x80)
        bytes[n++] = (char)k->code;
    else
        return; /* a search by ASCII is enough of a search */
    buf_add(&e->query, (struct slice){bytes, n});
    find_again(e);
}

bool search_key(struct lineedit *e, const struct key *k)
{
    if (!e->searching)
        return false;
    if (k->kind == KEY_CHAR && k->mods == KEY_CTRL && k->code == 'r') {
        find_older(e, e->found);
    } else if (k->kind == KEY_CHAR && !(k->mods & (KEY_CTRL | KEY_ALT))) {
        type_query(e, k);
    } else if (k->kind == KEY_BACKSPACE && e->query.n) {
        e->query.n--;
        find_again(e);
    } else if (k->kind == KEY_ESC || k->kind == KEY_BACKSPACE || (k->kind == KEY_CHAR && k->mods == KEY_CTRL && strchr("cg", (int)k->code))) {
        search_end(e, false);
    } else {
        search_end(e, true);
        return k->kind == KEY_ENTER || k->kind == KEY_TAB; /* any other key also does what it does */
    }
    return true;
}
