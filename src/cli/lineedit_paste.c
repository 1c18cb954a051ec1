#include <stdio.h>
#include <string.h>

#include "cli/lineedit_internal.h"

void paste_clean(struct slice s, struct buf *ret)
{
    while (s.n) {
        size_t n;
        uint32_t c = glyph_decode(s, &n);
        bool keep = c == '\t' || c == '\n' || (!glyph_forbidden(c) && (c != 0xfffd || n == 3));
        if (c == '\r')
            buf_add_char(ret, '\n');
        else if (keep)
            buf_add(ret, slice_sub(s, 0, n));
        if (c == '\r' && s.n > 1 && s.p[1] == '\n')
            n = 2;
        s = slice_sub(s, n, s.n);
    }
}

bool paste_number(const struct lineedit *e, size_t at, size_t *ret)
{
    if (at + 1 >= e->text.n || (unsigned char)e->text.p[at] != PASTE_MARK)
        return false;
    *ret = (size_t)((unsigned char)e->text.p[at + 1] - PASTE_FIRST);
    return *ret < EDIT_PASTES;
}

void paste_label(const struct lineedit *e, size_t i, struct buf *ret)
{
    const struct paste *p = &e->pastes[i];
    if (p->picture)
        buf_addf(ret, "[picture #%zu]", i + 1);
    else if (p->lines > 1)
        buf_addf(ret, "[pasted %zu lines #%zu]", p->lines, i + 1);
    else
        buf_addf(ret, "[pasted %zu bytes #%zu]", p->text.n, i + 1);
}

static size_t lines_of(struct slice s)
{
    size_t n = s.n && s.p[s.n - 1] != '\n';
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '\n';
    return n;
}

static void put_mark(struct lineedit *e, struct buf *text, bool picture)
{
    size_t used = text->n, i;
    for (i = 0; i < EDIT_PASTES; i++)
        used += e->pastes[i].text.n;
    for (i = 0; i < EDIT_PASTES && e->pastes[i].text.n; i++)
        ;
    if (i == EDIT_PASTES || used > EDIT_PASTES_BYTES) {
        buf_release(text);
        return;
    }
    e->pastes[i] = (struct paste){.text = *text, .lines = lines_of(buf_slice(text)), .picture = picture};
    char mark[2] = {(char)PASTE_MARK, (char)(PASTE_FIRST + i)};
    edit_replace(e, e->at, e->at, (struct slice){mark, 2});
}

void paste_add(struct lineedit *e, const struct key *k)
{
    struct buf text = BUF_INIT(2 * KEYS_PASTE_MAX), path = BUF_INIT(4096);
    edit_remember(e);
    if (e->o.picture && k->paste.n < 4096 && e->o.picture(k->paste, &path) && path.n) {
        put_mark(e, &path, true);
        return;
    }
    buf_release(&path);
    paste_clean(k->paste, &text);
    if (k->cut)
        buf_add_text(&text, "\n[cut at 1 MiB]\n");
    if (lines_of(buf_slice(&text)) > EDIT_PASTE_LINES || text.n > EDIT_PASTE_BYTES) {
        put_mark(e, &text, false);
        return;
    }
    edit_replace(e, e->at, e->at, buf_slice(&text));
    buf_release(&text);
}

void paste_expand(const struct lineedit *e, struct buf *ret, struct buf *ret_paths, size_t *ret_npaths)
{
    size_t i = 0, n;
    *ret_npaths = 0;
    while (i < e->text.n) {
        if (!paste_number(e, i, &n)) {
            buf_add_char(ret, e->text.p[i++]);
            continue;
        }
        const struct paste *p = &e->pastes[n];
        if (p->picture)
            buf_addf(ret, "[picture #%zu]", ++*ret_npaths);
        else
            buf_add(ret, buf_slice(&p->text));
        if (p->picture && ret_paths) {
            buf_add(ret_paths, buf_slice(&p->text));
            buf_add_char(ret_paths, '\0');
        }
        i += 2;
    }
}

void paste_clear(struct lineedit *e)
{
    for (size_t i = 0; i < EDIT_PASTES; i++) {
        buf_release(&e->pastes[i].text);
        e->pastes[i] = (struct paste){0};
    }
}
