/*
 * A terminal for tests: what it is sent becomes lines. It knows just the sequences that the talking terminal may use, and
 * asserts on any other, on a control character, on malformed text, and on a row that runs into its right edge.
 */
#ifndef CRANNOG_TESTS_SCREEN_TERM_H
#define CRANNOG_TESTS_SCREEN_TERM_H

#include <string.h>

#include "cli/glyph.h"

enum { TERM_LINES = 4000, TERM_WIDTH = 200 };

struct term {
    size_t columns, rows;
    uint32_t cells[TERM_LINES][TERM_WIDTH]; /* 0: blank, 1: the right half of a wide one */
    size_t top;                             /* first line of the screen */
    size_t row, col;                        /* row of TERM_LINES */
    size_t bells;
    bool may_wrap;
    struct buf rest;                        /* of a sequence that is not whole */
};

static inline void term_init(struct term *t, size_t columns, size_t rows)
{
    memset(t, 0, sizeof *t);
    t->columns = columns;
    t->rows = rows;
    t->rest = BUF_INIT(1 << 20);
}

static inline void term_down(struct term *t)
{
    if (t->row + 1 < t->top + t->rows) {
        t->row++;
        return;
    }
    if (t->row + 1 == TERM_LINES) { /* the oldest half goes */
        size_t half = TERM_LINES / 2;
        memmove(t->cells, t->cells[half], sizeof t->cells / 2);
        memset(t->cells[half], 0, sizeof t->cells / 2);
        t->row -= half;
        t->top -= half;
    }
    t->row++;
    t->top++;
}

static inline void term_clear(struct term *t, size_t row, size_t col)
{
    memset(&t->cells[row][col], 0, (TERM_WIDTH - col) * sizeof t->cells[0][0]);
}

static inline void term_put(struct term *t, uint32_t c)
{
    unsigned w = glyph_width(c);
    if (!w)
        return;
    if (t->col + w > t->columns) {
        if (!t->may_wrap) {
            fprintf(stderr, "past column %zu of %zu: ", t->col, t->columns);
            for (size_t i = 0; i < t->columns; i++)
                fprintf(stderr, t->cells[t->row][i] < 0x80 ? "%c" : "?", (char)t->cells[t->row][i]);
        }
        ASSERT(t->may_wrap);
        t->col = 0;
        term_down(t);
    }
    t->cells[t->row][t->col] = c;
    if (w == 2)
        t->cells[t->row][t->col + 1] = 1;
    t->col += w;
}

static inline void term_csi(struct term *t, struct slice body, char final)
{
    size_t n = 0;
    if (body.n && strchr("?><", body.p[0])) {
        ASSERT(slice_is(body, "?2026") || slice_is(body, "?25") || slice_is(body, "?2004") || (slice_is(body, ">1") && final == 'u') ||
               (slice_is(body, "<") && final == 'u'));
        ASSERT(final == 'h' || final == 'l' || final == 'u');
        return;
    }
    for (size_t i = 0; i < body.n; i++) {
        ASSERT((body.p[i] >= '0' && body.p[i] <= '9') || (body.p[i] == ';' && final == 'm'));
        n = n * 10 + (size_t)(body.p[i] - '0');
    }
    n = body.n ? n : 1;
    if (final == 'A')
        t->row = t->row < t->top + n ? t->top : t->row - n;
    else if (final == 'B')
        t->row = t->row + n >= t->top + t->rows ? t->top + t->rows - 1 : t->row + n;
    else if (final == 'C')
        t->col = t->col + n >= t->columns ? t->columns - 1 : t->col + n;
    else if (final == 'K')
        term_clear(t, t->row, body.n ? 0 : t->col >= t->columns ? t->columns - 1 : t->col);
    else if (final == 'J') {
        term_clear(t, t->row, t->col);
        for (size_t i = t->row + 1; i < t->top + t->rows && i < TERM_LINES; i++)
            term_clear(t, i, 0);
    } else
        ASSERT(final == 'm');
}

/* The bytes of a sequence at s; 0 while it is not whole. */
static inline size_t term_escape(struct term *t, struct slice s)
{
    size_t i = 2;
    if (s.n < 3)
        return 0;
    if (slice_starts(s, SLICE("\033]"))) {
        size_t n = slice_index(s, '\a');
        ASSERT(s.p[2] == '9');
        return n < s.n ? n + 1 : 0;
    }
    ASSERT(s.p[1] == '[');
    while (i < s.n && s.p[i] < 0x40)
        i++;
    if (i == s.n)
        return 0;
    term_csi(t, slice_sub(s, 2, i - 2), s.p[i]);
    return i + 1;
}

static inline void term_feed(struct term *t, struct slice bytes)
{
    buf_add(&t->rest, bytes);
    struct slice s = buf_slice(&t->rest);
    while (s.n) {
        size_t n = 1;
        unsigned char c = (unsigned char)s.p[0];
        size_t want = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        if (c == 033)
            n = term_escape(t, s);
        else if (s.n < want)
            n = 0;
        else if (c == '\r')
            t->col = 0;
        else if (c == '\n')
            term_down(t);
        else if (c == '\a')
            t->bells++;
        else {
            uint32_t code = glyph_decode(s, &n);
            ASSERT(!glyph_forbidden(code) && (code != 0xfffd || n == 3));
            term_put(t, code);
        }
        if (!n)
            break;
        s = slice_sub(s, n, s.n);
    }
    size_t left = s.n;
    memmove(t->rest.p ? t->rest.p : (char *)t, s.n ? s.p : (const char *)t, left);
    t->rest.n = left;
}

/* All lines, scrollback first, without blanks at their ends and without empty ones at the end. */
static inline void term_text(const struct term *t, struct buf *ret)
{
    size_t keep = 0;
    for (size_t r = 0; r < t->top + t->rows && r < TERM_LINES; r++) {
        size_t from = ret->n, last = 0;
        for (size_t c = 0; c < TERM_WIDTH; c++) {
            uint32_t u = t->cells[r][c];
            if (u == 1)
                continue;
            if (u < 0x80)
                buf_add_char(ret, u ? (char)u : ' ');
            else
                buf_addf(ret, u < 0x800 ? "%c%c" : u < 0x10000 ? "%c%c%c" : "%c%c%c%c",
                         u < 0x800 ? 0xc0 | u >> 6 : u < 0x10000 ? 0xe0 | u >> 12 : 0xf0 | u >> 18,
                         u < 0x800 ? 0x80 | (u & 0x3f) : u < 0x10000 ? 0x80 | (u >> 6 & 0x3f) : 0x80 | (u >> 12 & 0x3f),
                         u < 0x10000 ? 0x80 | (u & 0x3f) : 0x80 | (u >> 6 & 0x3f), 0x80 | (u & 0x3f));
            if (u && u != ' ')
                last = ret->n - from;
        }
        ret->n = from + last;
        buf_add_char(ret, '\n');
        if (last)
            keep = ret->n;
    }
    ret->n = keep;
    if (ret->p)
        ret->p[keep] = 0;
}

#endif
