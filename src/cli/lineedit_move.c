#include <string.h>

#include "cli/lineedit_internal.h"

static bool word_byte(const struct lineedit *e, size_t at)
{
    unsigned char c = (unsigned char)e->text.p[at];
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

size_t edit_left(const struct lineedit *e, size_t at)
{
    size_t n;
    if (at >= 2 && paste_number(e, at - 2, &n))
        return at - 2;
    return glyph_cluster_before(edit_slice(e), at);
}

size_t edit_right(const struct lineedit *e, size_t at)
{
    size_t n;
    if (paste_number(e, at, &n))
        return at + 2;
    return at + glyph_cluster(edit_slice(e), at);
}

size_t edit_word_left(const struct lineedit *e, size_t at)
{
    while (at && !word_byte(e, at - 1))
        at--;
    while (at && word_byte(e, at - 1))
        at--;
    return at;
}

size_t edit_word_right(const struct lineedit *e, size_t at)
{
    while (at < e->text.n && !word_byte(e, at))
        at++;
    while (at < e->text.n && word_byte(e, at))
        at++;
    return at;
}

size_t edit_line_start(const struct lineedit *e, size_t at)
{
    while (at && e->text.p[at - 1] != '\n')
        at--;
    return at;
}

size_t edit_line_end(const struct lineedit *e, size_t at)
{
    while (at < e->text.n && e->text.p[at] != '\n')
        at++;
    return at;
}

bool edit_move_row(struct lineedit *e, int by)
{
    size_t start = edit_line_start(e, e->at), end = edit_line_end(e, e->at), col = 0;
    if (by < 0 ? start == 0 : end == e->text.n)
        return false;
    for (size_t i = start; i < e->at; i = edit_right(e, i))
        col++;
    size_t at = by < 0 ? edit_line_start(e, start - 1) : end + 1;
    size_t last = edit_line_end(e, at);
    while (col-- && at < last)
        at = edit_right(e, at);
    e->at = at;
    return true;
}
