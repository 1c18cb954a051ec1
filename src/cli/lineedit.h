/*
 * The edit box: keys in, a text of several lines with a cursor, drawn as rows. No descriptors and no clock.
 *
 * The text is UTF-8 without control characters but newline and tab. A large paste or a picture is one character in it
 * (two bytes that UTF-8 never has, PASTE_MARK and a number), shown as "[pasted 214 lines #1]", put in its place on submit.
 *
 * Limits: typed 256 KiB, 32 pastes of together 4 MiB, 64 steps of undo of together 2 MiB.
 */
#ifndef CRANNOG_CLI_LINEEDIT_H
#define CRANNOG_CLI_LINEEDIT_H

#include "cli/complete.h"
#include "cli/glyph.h"
#include "cli/history.h"
#include "cli/keys.h"

enum {
    EDIT_TEXT_MAX = 256 << 10,
    EDIT_PASTES = 32,
    EDIT_PASTES_BYTES = 4 << 20,
    EDIT_PASTE_LINES = 10, EDIT_PASTE_BYTES = 2000, /* past these a paste is one character */
    EDIT_UNDOS = 64,
    EDIT_UNDO_BYTES = 2 << 20,
    EDIT_LIST_ROWS = 6,
    PASTE_MARK = 0xff, PASTE_FIRST = 0x80,
};

/* What a key asks of the owner; the text stays until lineedit_take() or lineedit_set(). */
enum edit_wish {
    EDIT_NOTHING, /* draw anew, perhaps */
    EDIT_SUBMIT, EDIT_QUEUE, EDIT_ESC, EDIT_INTERRUPT, EDIT_EOF, EDIT_TAKE_BACK, EDIT_EDITOR, EDIT_MODEL, EDIT_DETAIL, EDIT_SUSPEND,
};

struct edit_options {
    const struct look *look;
    const char *history;
    const struct complete_command *commands;
    size_t ncommands;
    complete_files_fn *files;
    void *files_arg;
    /* Whether what was pasted is a picture; writes its path. Or NULL. */
    bool (*picture)(struct slice pasted, struct buf *ret_path);
};

struct lineedit;

struct lineedit *lineedit_new(const struct edit_options *o); /* NULL without memory */
void lineedit_free(struct lineedit *e);
enum edit_wish lineedit_key(struct lineedit *e, const struct key *k);
bool lineedit_empty(const struct lineedit *e);
/* The text with pastes in their places; paths of pictures. Clears the box and remembers the text in the history. */
void lineedit_take(struct lineedit *e, struct buf *ret, struct buf *ret_paths, size_t *ret_npaths);
/* The same without clearing. */
void lineedit_text(const struct lineedit *e, struct buf *ret);
/* Puts a text into the box, filtered; the old one goes behind it where `keep`. The cursor is at its end. */
void lineedit_set(struct lineedit *e, struct slice text, bool keep);
void lineedit_clear(struct lineedit *e);
/* Rows of at most `width` columns, each with "\n", at most max_rows of text (the cursor's is among them) and below them the
   list of completions, at most list_rows. The cursor is where it stands, from 0. */
void lineedit_draw(struct lineedit *e, size_t width, size_t max_rows, size_t list_rows, struct buf *ret, size_t *ret_row, size_t *ret_col);
/* Appends typed or pasted text as it may stand in the box: CR and CRLF become LF, other controls and what is malformed goes. */
void paste_clean(struct slice s, struct buf *ret);

#endif
