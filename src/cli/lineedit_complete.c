#include <string.h>

#include "cli/lineedit_internal.h"

void complete_add(struct complete_list *l, struct slice text, const char *help)
{
    if (l->n == COMPLETE_MAX || !text.n || text.n >= COMPLETE_TEXT_MAX || !slice_is_utf8(text))
        return;
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
            return; /* nobody could type it */
    struct complete_item *it = &l->items[l->n++];
    memcpy(it->text, text.p, text.n);
    it->text[text.n] = '\0';
    it->help = help;
}

static bool blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t';
}

/* The word before the cursor: "/com" at the start of the text, or "@fi" anywhere. */
static char word_before(const struct lineedit *e, size_t *ret)
{
    size_t from = e->at;
    while (from && !blank(e->text.p[from - 1]))
        from--;
    *ret = from;
    if (from == e->at)
        return 0;
    return (e->text.p[from] == '/' && from == 0) || e->text.p[from] == '@' ? e->text.p[from] : 0;
}

static void list_commands(struct lineedit *e, struct slice typed)
{
    for (size_t i = 0; i < e->o.ncommands; i++)
        if (slice_starts(slice_of(e->o.commands[i].name), typed))
            complete_add(&e->list, slice_of(e->o.commands[i].name), e->o.commands[i].help);
}

void completion_update(struct lineedit *e)
{
    size_t from;
    char kind = word_before(e, &from);
    e->list.n = 0;
    e->list_top = 0;
    if (!kind)
        e->closed = false;
    if (!kind || e->closed)
        return;
    struct slice typed = slice_sub(edit_slice(e), from + 1, e->at - from - 1);
    if (kind == '/')
        list_commands(e, typed);
    else if (e->o.files)
        e->o.files(e->o.files_arg, typed, &e->list);
    if (e->list.n == 1 && slice_is(typed, e->list.items[0].text))
        e->list.n = 0; /* it is complete */
    e->word = from + 1;
    e->chosen = e->list.n;
}

static void choose(struct lineedit *e, size_t i)
{
    if (e->chosen == e->list.n)
        edit_remember(e);
    e->chosen = i;
    edit_replace(e, e->word, e->at, slice_of(e->list.items[i].text));
}

/* A folder is gone into, anything else is done with. */
static void accept(struct lineedit *e)
{
    bool folder = e->at && e->text.p[e->at - 1] == '/';
    if (folder) {
        completion_update(e);
        return;
    }
    if (e->at == e->text.n)
        edit_replace(e, e->at, e->at, SLICE(" "));
    e->list.n = 0;
}

bool completion_key(struct lineedit *e, const struct key *k)
{
    size_t n = e->list.n;
    if (!n)
        return false;
    bool back = k->kind == KEY_TAB && (k->mods & KEY_SHIFT);
    if (k->kind == KEY_ESC) {
        e->closed = true;
        e->list.n = 0;
    } else if (k->kind == KEY_TAB && n == 1) {
        choose(e, 0);
        accept(e);
    } else if (k->kind == KEY_TAB || k->kind == KEY_DOWN || k->kind == KEY_UP) {
        bool up = back || k->kind == KEY_UP;
        choose(e, up ? (e->chosen && e->chosen <= n - 1 ? e->chosen - 1 : n - 1) : e->chosen + 1 < n ? e->chosen + 1 : 0);
    } else if (k->kind == KEY_ENTER && !k->mods && e->chosen < n) {
        accept(e);
    } else {
        return false;
    }
    return true;
}
