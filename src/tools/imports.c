#include "tools/imports.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t run_of(struct slice s, size_t at, char c)
{
    size_t n = 0;
    while (at + n < s.n && s.p[at + n] == c)
        n++;
    return n;
}

static size_t line_end(struct slice s, size_t at)
{
    size_t end = slice_find(s, SLICE("\n"), at);
    return end < s.n ? end + 1 : s.n;
}

/* The fence (three or more ` or ~) that a line begins with: its length, or 0. */
static size_t fence_at(struct slice s, size_t at, char *ret_c)
{
    while (at < s.n && (s.p[at] == ' ' || s.p[at] == '\t'))
        at++;
    if (at == s.n || (s.p[at] != '`' && s.p[at] != '~'))
        return 0;
    size_t n = run_of(s, at, s.p[at]), end = line_end(s, at);
    *ret_c = s.p[at];
    /* ```a``` on one line is a code span */
    bool span = *ret_c == '`' && memchr(s.p + at + n, '`', end - at - n);
    return n >= 3 && !span ? n : 0;
}

/* Behind the block that a fence at the line `at` opens. */
static size_t skip_block(struct slice s, size_t at, size_t n, char c)
{
    char with;
    for (at = line_end(s, at); at < s.n; at = line_end(s, at))
        if (fence_at(s, at, &with) >= n && with == c)
            return line_end(s, at);
    return s.n;
}

/* Behind the code span that n backquotes at `at` open, which ends with its paragraph; behind the backquotes if it opens none. */
static size_t skip_span(struct slice s, size_t at, size_t n)
{
    for (size_t i = at + n; i < s.n;) {
        if (s.p[i] == '\n' && i + 1 < s.n && s.p[i + 1] == '\n')
            break;
        size_t run = run_of(s, i, '`');
        if (run == n)
            return i + n;
        i += run ? run : 1;
    }
    return at + n;
}

static struct slice word_at(struct slice s, size_t at)
{
    size_t end = at;
    while (end < s.n && !is_blank(s.p[end]) && s.p[end] != '`')
        end++;
    while (end > at && strchr(".,;:!?)]}>\"'*", s.p[end - 1]))
        end--;
    return slice_sub(s, at, end - at);
}

bool imports_next(struct imports *w, struct slice *ret_path, size_t *ret_end)
{
    struct slice s = w->text;
    while (w->at < s.n) {
        size_t at = w->at;
        char c;
        size_t fence = at == 0 || s.p[at - 1] == '\n' ? fence_at(s, at, &c) : 0;
        if (fence) {
            w->at = skip_block(s, at, fence, c);
        } else if (s.p[at] == '`') {
            w->at = skip_span(s, at, run_of(s, at, '`'));
        } else if (s.p[at] == '@' && (at == 0 || is_blank(s.p[at - 1]))) {
            *ret_path = word_at(s, at + 1);
            w->at = *ret_end = at + 1 + ret_path->n;
            if (ret_path->n)
                return true;
        } else {
            w->at++;
        }
    }
    return false;
}

bool imports_surely(struct slice path)
{
    struct slice name = slice_sub(path, slice_last_part(path), path.n);
    return path.n && (strchr("./~", path.p[0]) || slice_index(name, '.') < name.n);
}
