/*
 * Characters of a terminal: how wide they are, and which may be shown at all.
 *
 * glyph_next() is the one filter between outside bytes and the terminal. What it gives is printable: UTF-8 without
 * controls, C1, bidi overrides, separators and tags, or a visible stand-in for them; in ASCII only, where there is no
 * UTF-8.
 */
#ifndef CRANNOG_CLI_GLYPH_H
#define CRANNOG_CLI_GLYPH_H

#include "base/buf.h"

/* What a terminal can show. */
struct look {
    bool color;
    bool utf8;
};

struct glyph {
    char bytes[12]; /* to be written as they are */
    uint8_t n;
    uint8_t width;  /* columns: 0 (goes onto the one before), 1, 2, more for stand-ins such as "\x1b" */
    bool odd;       /* a stand-in for what may not be shown */
    uint32_t code;  /* what it was, U+FFFD for malformed bytes */
};

/* The code point at s (s.n > 0) and its bytes in *ret_n; 0xFFFD and 1 where it is malformed. */
uint32_t glyph_decode(struct slice s, size_t *ret_n);
/* Columns of a code point that is printable. */
unsigned glyph_width(uint32_t code);
/* Whether it must not reach a terminal: controls, C1, bidi overrides, separators, tags, surrogates, no characters. */
bool glyph_forbidden(uint32_t code);
/* Takes one character off *s, which is not empty. A tab is a stand-in of four blanks, a newline one too. */
struct glyph glyph_next(struct slice *s, const struct look *look);

/* Appends a text through the filter, cut at `width` columns with "…" (SIZE_MAX: whole); newlines become blanks. Returns its
   columns. */
size_t glyph_add(struct buf *out, const struct look *look, struct slice s, size_t width);
size_t glyph_columns(struct slice s, const struct look *look);
/* The bytes from `at` to behind the character there: with its combining marks, joined emoji, variation. */
size_t glyph_cluster(struct slice s, size_t at);
/* Where the cluster before `at` begins. */
size_t glyph_cluster_before(struct slice s, size_t at);

/* ---- styles: escape sequences of our own ---- */

enum {
    STYLE_BOLD = 1, STYLE_DIM = 2, STYLE_ITALIC = 4, STYLE_UNDER = 8, STYLE_STRIKE = 16, STYLE_REVERSE = 32,
    STYLE_RED = 0x100, STYLE_GREEN = 0x200, STYLE_YELLOW = 0x300, STYLE_BLUE = 0x400, STYLE_MAGENTA = 0x500, STYLE_CYAN = 0x600,
    STYLE_GREY = 0x700, STYLE_COLORS = 0x700,
};

/* Appends the sequence that sets exactly this style; nothing where there are no colours. */
void style_add(struct buf *out, const struct look *look, unsigned style);
/* A text of our own between its style and none. */
void style_put(struct buf *out, const struct look *look, unsigned style, const char *text);
/* One of two spellings of our own signs. */
const char *sign(const struct look *look, const char *utf8, const char *ascii);

#endif
