/* What must hold of all that is drawn: rows of printable characters and our own styles, none wider than the terminal. */
#ifndef CRANNOG_TESTS_SCREEN_CHECK_H
#define CRANNOG_TESTS_SCREEN_CHECK_H

#include <string.h>

#include "cli/flow.h"

static uint64_t check_seed = 1;

static inline uint32_t check_random(void)
{
    check_seed = check_seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(check_seed >> 32);
}

/* The bytes of a style of ours at s, or 0. */
static inline size_t check_style(struct slice s)
{
    size_t i = 2;
    if (!slice_starts(s, SLICE("\033[")))
        return 0;
    while (i < s.n && ((s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == ';'))
        i++;
    return i < s.n && s.p[i] == 'm' ? i + 1 : 0;
}

static inline void check_rows(struct slice rows, const struct look *look, size_t width)
{
    struct slice row;
    ASSERT(slice_is_utf8(rows));
    ASSERT(!rows.n || rows.p[rows.n - 1] == '\n');
    while (slice_line(&rows, &row)) {
        if (row_columns(row, look) > width)
            fprintf(stderr, "%zu columns: %.*s\n", width, SLICE_ARG(row));
        ASSERT(row_columns(row, look) <= width);
        while (row.n) {
            size_t n = look->color ? check_style(row) : 0;
            if (!n) {
                uint32_t c = glyph_decode(row, &n);
                ASSERT(!glyph_forbidden(c) && (look->utf8 || c < 0x80));
            }
            row = slice_sub(row, n, row.n);
        }
    }
}

#endif
