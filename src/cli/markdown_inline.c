/*
 * What stands inside a line. Whether a mark opens something is asked only where the same mark closes it later on the
 * line; where the last search found none, or one further on, is remembered, so that no line takes quadratic time.
 */
#include <string.h>

#include "cli/markdown_internal.h"

enum { TICKS_MAX = 8, LINK_TEXT_MAX = 512, LINK_URL_MAX = 2048 };

/* The kinds of emphasis, the longer marks first. */
static const struct mark {
    const char *text;
    size_t n;
    unsigned style;
    bool in_words; /* may stand between letters */
} marks[] = {
    {"**", 2, STYLE_BOLD, true}, {"__", 2, STYLE_BOLD, false}, {"~~", 2, STYLE_STRIKE, true},
    {"*", 1, STYLE_ITALIC, false}, {"_", 1, STYLE_ITALIC, false},
};
enum { NMARKS = sizeof marks / sizeof *marks };

struct inline_state {
    struct flow *f;
    struct slice s;
    size_t at;
    unsigned base;
    bool open[NMARKS];
    size_t closer[NMARKS];           /* where one is that is known, s.n: there is none any more, 0: not looked for */
    size_t ticks[TICKS_MAX + 1];     /* the same of runs of so many backticks */
    size_t brackets;                 /* of "](" */
};

static bool word_char(unsigned char c)
{
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool blank_at(const struct inline_state *t, size_t at)
{
    return at >= t->s.n || t->s.p[at] == ' ' || t->s.p[at] == '\t';
}

static bool can_open(const struct inline_state *t, const struct mark *m, size_t at)
{
    bool word_before = at && word_char((unsigned char)t->s.p[at - 1]);
    if (m->n == 1 && at + 1 < t->s.n && t->s.p[at + 1] == m->text[0])
        return false;
    return !blank_at(t, at + m->n) && (m->in_words || !word_before);
}

static bool can_close(const struct inline_state *t, const struct mark *m, size_t at)
{
    bool word_after = at + m->n < t->s.n && word_char((unsigned char)t->s.p[at + m->n]);
    return at && !blank_at(t, at - 1) && (m->in_words || !word_after);
}

static bool mark_at(const struct inline_state *t, const struct mark *m, size_t at)
{
    return at + m->n <= t->s.n && memcmp(t->s.p + at, m->text, m->n) == 0;
}

/* Whether something behind `at` closes the mark. */
static bool closes_later(struct inline_state *t, size_t k, size_t at)
{
    const struct mark *m = &marks[k];
    if (t->closer[k] > at)
        return t->closer[k] < t->s.n;
    for (size_t i = at + 1; i + m->n <= t->s.n; i++) {
        if (t->s.p[i] == '\\') {
            i++;
        } else if (mark_at(t, m, i)) {
            bool twice = m->n == 1 && i + 1 < t->s.n && t->s.p[i + 1] == m->text[0];
            if (!twice && can_close(t, m, i)) {
                t->closer[k] = i;
                return true;
            }
            i += twice;
        }
    }
    t->closer[k] = t->s.n;
    return false;
}

static unsigned style_now(const struct inline_state *t)
{
    unsigned style = t->base;
    for (size_t k = 0; k < NMARKS; k++)
        style |= t->open[k] ? marks[k].style : 0;
    return style;
}

static void put(struct inline_state *t, unsigned style, struct slice s)
{
    flow_text(t->f, style, s);
}

/* Where the run of exactly n backticks behind `from` begins, or s.n. */
static size_t ticks_close(struct inline_state *t, size_t n, size_t from)
{
    if (t->ticks[n] >= from)
        return t->ticks[n];
    for (size_t i = from; i < t->s.n;) {
        size_t k = 0;
        while (i + k < t->s.n && t->s.p[i + k] == '`')
            k++;
        if (k == n)
            return t->ticks[n] = i;
        i += k ? k : 1;
    }
    return t->ticks[n] = t->s.n;
}

static bool code_span(struct inline_state *t)
{
    size_t n = 0;
    while (t->at + n < t->s.n && t->s.p[t->at + n] == '`')
        n++;
    size_t from = t->at + n, to = n && n <= TICKS_MAX ? ticks_close(t, n, from) : t->s.n;
    if (!n)
        return false;
    if (to == t->s.n) {
        put(t, style_now(t), slice_sub(t->s, t->at, n));
        t->at = from;
        return true;
    }
    struct slice code = slice_sub(t->s, from, to - from);
    if (code.n > 2 && code.p[0] == ' ' && code.p[code.n - 1] == ' ')
        code = slice_sub(code, 1, code.n - 2);
    bool bare = !t->f->look->color;
    put(t, 0, bare ? SLICE("`") : SLICE_NONE);
    put(t, (style_now(t) & ~(unsigned)(STYLE_COLORS | STYLE_DIM)) | STYLE_CYAN, code);
    put(t, 0, bare ? SLICE("`") : SLICE_NONE);
    t->at = to + n;
    return true;
}

static bool emphasis(struct inline_state *t)
{
    for (size_t k = 0; k < NMARKS; k++) {
        const struct mark *m = &marks[k];
        if (!mark_at(t, m, t->at))
            continue;
        if (t->open[k] && can_close(t, m, t->at)) {
            t->open[k] = false;
        } else if (!t->open[k] && can_open(t, m, t->at) && closes_later(t, k, t->at + m->n - 1)) {
            t->open[k] = true;
        } else {
            continue;
        }
        t->at += m->n;
        return true;
    }
    return false;
}

/* The length of "text](url)" behind a "[", with its parts; 0 where it is none. */
static size_t link_parts(struct inline_state *t, size_t from, struct slice *ret_text, struct slice *ret_url)
{
    if (t->brackets < from)
        t->brackets = slice_find(t->s, SLICE("]("), from);
    size_t mid = t->brackets;
    if (mid == t->s.n || mid - from > LINK_TEXT_MAX)
        return 0;
    size_t depth = 1, i = mid + 2;
    for (; i < t->s.n && i < mid + LINK_URL_MAX && t->s.p[i] != ' '; i++) {
        depth += t->s.p[i] == '(';
        depth -= t->s.p[i] == ')';
        if (!depth)
            break;
    }
    size_t end = i;
    if (i < t->s.n && t->s.p[i] == ' ') /* a title, which is not shown */
        end = i + slice_index(slice_sub(t->s, i, LINK_TEXT_MAX), ')');
    if (end >= t->s.n || t->s.p[end] != ')')
        return 0;
    *ret_text = slice_sub(t->s, from, mid - from);
    *ret_url = slice_sub(t->s, mid + 2, i - mid - 2);
    return end + 1 - from;
}

static bool named_link(struct inline_state *t)
{
    bool image = t->s.p[t->at] == '!' && t->at + 1 < t->s.n && t->s.p[t->at + 1] == '[';
    struct slice text, url;
    if (!image && t->s.p[t->at] != '[')
        return false;
    size_t from = t->at + 1 + image, n = link_parts(t, from, &text, &url);
    if (!n || slice_index(text, '[') < text.n)
        return false;
    unsigned style = style_now(t);
    if (text.n)
        put(t, style | STYLE_UNDER, text);
    if (url.n && !slice_eq(text, url)) {
        put(t, style, text.n ? SLICE(" ") : SLICE_NONE);
        put(t, STYLE_GREY, SLICE("("));
        put(t, STYLE_GREY, url);
        put(t, STYLE_GREY, SLICE(")"));
    }
    t->at = from + n;
    return true;
}

static bool autolink(struct inline_state *t)
{
    struct slice rest = slice_sub(t->s, t->at + 1, LINK_URL_MAX);
    if (t->s.p[t->at] != '<' || !(slice_starts(rest, SLICE("http://")) || slice_starts(rest, SLICE("https://"))))
        return false;
    size_t n = slice_index(rest, '>');
    if (n == rest.n || slice_index(rest, ' ') < n)
        return false;
    put(t, style_now(t) | STYLE_UNDER, slice_sub(rest, 0, n));
    t->at += n + 2;
    return true;
}

static bool escape(struct inline_state *t)
{
    static const struct { struct slice name, text; } entities[] = {
        {SLICE_INIT("&amp;"), SLICE_INIT("&")}, {SLICE_INIT("&lt;"), SLICE_INIT("<")}, {SLICE_INIT("&gt;"), SLICE_INIT(">")},
        {SLICE_INIT("&quot;"), SLICE_INIT("\"")}, {SLICE_INIT("&nbsp;"), SLICE_INIT(" ")}};
    struct slice rest = slice_sub(t->s, t->at, t->s.n);
    if (rest.n > 1 && rest.p[0] == '\\' && strchr("\\`*_{}[]()#+-.!~|<>\"'&$", rest.p[1]) && rest.p[1]) {
        put(t, style_now(t), slice_sub(rest, 1, 1));
        t->at += 2;
        return true;
    }
    for (size_t i = 0; rest.p[0] == '&' && i < sizeof entities / sizeof *entities; i++)
        if (slice_starts(rest, entities[i].name)) {
            put(t, style_now(t), entities[i].text);
            t->at += entities[i].name.n;
            return true;
        }
    return false;
}

void markdown_inline(struct flow *f, unsigned style, struct slice s)
{
    struct inline_state t = {.f = f, .s = s, .base = style};
    while (t.at < s.n) {
        size_t n = t.at;
        while (n < s.n && !strchr("`*_~[!<\\&", s.p[n]))
            n++;
        n += n < s.n && !s.p[n]; /* strchr finds the NUL as well */
        put(&t, style_now(&t), slice_sub(s, t.at, n - t.at));
        t.at = n;
        if (t.at >= s.n || strchr("`*_~[!<\\&", s.p[n]) == NULL || code_span(&t) || emphasis(&t) || named_link(&t) || autolink(&t) || escape(&t))
            continue;
        put(&t, style_now(&t), slice_sub(s, t.at, 1));
        t.at++;
    }
}
