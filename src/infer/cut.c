#include "infer/cut.h"

/* The bytes of whole pieces from the start of `text` that make at most `window` tokens. */
static size_t fitting(struct vocab *v, struct slice text, size_t window)
{
    TOKENS_CLEANUP struct tokens t = {0};
    struct slice rest = text, piece;
    size_t used = 0, end = 0;
    while (vocab_piece(v, &rest, &piece)) {
        t.n = 0;
        vocab_encode_piece(v, piece, &t);
        used += t.failed ? piece.n : t.n;
        if (used > window)
            return end;
        end += piece.n;
    }
    return end;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool ends_line(struct slice s, size_t at)
{
    return s.p[at - 1] == '\n';
}

static bool ends_paragraph(struct slice s, size_t at)
{
    if (!ends_line(s, at))
        return false;
    size_t i = at - 1;
    while (i && blank(s.p[i - 1]) && s.p[i - 1] != '\n')
        i--;
    return i && s.p[i - 1] == '\n';
}

static bool ends_word(struct slice s, size_t at)
{
    return blank(s.p[at - 1]) || blank(s.p[at]);
}

/* The best place to cut in (fit / 2, fit], where fit < s.n. */
static size_t best_place(struct slice s, size_t fit)
{
    static bool (*const ends[])(struct slice, size_t) = {ends_paragraph, ends_line, ends_word};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        for (size_t at = fit; at > fit / 2; at--)
            if (ends[i](s, at))
                return at;
    return fit;
}

/* The start of a single piece that is too long: a byte is at most one token, a wrong one three. */
static size_t start_of_piece(struct slice s, size_t window)
{
    size_t end = 0;
    uint32_t c;
    for (size_t n; end < s.n; end += n) {
        n = vocab_character(slice_sub(s, end, s.n), &c);
        if (end + n > window / 3)
            break;
    }
    return end;
}

size_t cut_next(struct vocab *v, struct slice text, size_t window)
{
    ASSERT(text.n && window >= CUT_WINDOW_MIN);
    for (size_t allowed = window; allowed; ) {
        size_t fit = fitting(v, text, allowed);
        if (fit == text.n)
            return fit;
        if (!fit)
            break;
        size_t end = best_place(text, fit);
        size_t count = vocab_count(v, slice_sub(text, 0, end));
        if (count <= window)
            return end;
        /* Standing alone, the blanks at its end are split otherwise and make more tokens. */
        allowed = allowed > count - window ? allowed - (count - window) : 0;
    }
    return start_of_piece(text, window);
}

/* Looks up every some thousand pieces. */
static bool count_tokens(struct vocab *v, struct slice rest, bool (*look_up)(void *arg), void *arg, size_t *ret)
{
    TOKENS_CLEANUP struct tokens t = {0};
    struct slice piece;
    for (size_t pieces = 1; vocab_piece(v, &rest, &piece); pieces++) {
        t.n = 0;
        vocab_encode_piece(v, piece, &t);
        *ret += t.failed ? piece.n : t.n;
        if (pieces % 4096 == 0 && look_up && look_up(arg))
            return false;
    }
    return true;
}

static enum err cancelled(struct error *e)
{
    return error_set(e, ERR_CANCELLED, "the text was not measured to its end");
}

enum err cut_measure(struct vocab *v, struct slice text, size_t window, bool (*look_up)(void *arg), void *arg,
                     struct measure *ret, struct error *e)
{
    if (window < CUT_WINDOW_MIN)
        return error_set(e, ERR_USAGE, "a reading window of %zu tokens is too small, %d is the least", window,
                         CUT_WINDOW_MIN);
    ret->tokens = ret->parts = 0;
    if (!count_tokens(v, text, look_up, arg, &ret->tokens))
        return cancelled(e);
    size_t at = 0;
    do {
        if (ret->parts == CUT_PARTS_MAX)
            return error_set(e, ERR_LIMIT, "the text (%zu tokens) has more than %d parts of %zu tokens; use a larger "
                                           "window or split it", ret->tokens, CUT_PARTS_MAX, window);
        if (look_up && look_up(arg))
            return cancelled(e);
        if (at < text.n)
            at += cut_next(v, slice_sub(text, at, text.n), window);
        ret->end[ret->parts++] = at;
    } while (at < text.n);
    return OK;
}
