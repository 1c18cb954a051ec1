/* What the files of the edit box share. */
#ifndef CRANNOG_CLI_LINEEDIT_INTERNAL_H
#define CRANNOG_CLI_LINEEDIT_INTERNAL_H

#include "cli/lineedit.h"

struct snapshot {
    struct buf text;
    size_t at;
};

struct lineedit {
    struct edit_options o;
    struct history history;
    struct buf text;
    size_t at;

    struct paste {
        struct buf text; /* of a picture its path */
        size_t lines;
        bool picture;
    } pastes[EDIT_PASTES]; /* those that are used have bytes */

    struct snapshot undos[EDIT_UNDOS];
    size_t nundos;
    bool typing;            /* the last key typed a character: one step with the next */
    struct buf killed;
    bool ctrl_x;            /* was the last key */

    size_t history_pos;     /* n of the history: the draft */
    struct buf draft;       /* what stood there before going up */
    size_t prefix;          /* bytes of it that entries must begin with */

    bool searching;         /* Ctrl-R */
    struct buf query;
    size_t found;           /* entry, n: none */

    struct complete_list list; /* below the text while n > 0 */
    size_t word;            /* where the word begins that it completes */
    size_t chosen;          /* n: none yet */
    size_t list_top;
    bool closed;            /* by Esc, until the word is another */
};

/* ---- lineedit.c ---- */
void edit_remember(struct lineedit *e);                             /* before a change: for undo */
void edit_replace(struct lineedit *e, size_t from, size_t to, struct slice with); /* the cursor goes behind it */
struct slice edit_slice(const struct lineedit *e);

/* ---- lineedit_move.c ---- */
size_t edit_left(const struct lineedit *e, size_t at);
size_t edit_right(const struct lineedit *e, size_t at);
size_t edit_word_left(const struct lineedit *e, size_t at);
size_t edit_word_right(const struct lineedit *e, size_t at);
size_t edit_line_start(const struct lineedit *e, size_t at);
size_t edit_line_end(const struct lineedit *e, size_t at);
bool edit_move_row(struct lineedit *e, int by);                     /* false at the first or last line */

/* ---- lineedit_recall.c: history and search ---- */
void recall_reset(struct lineedit *e);
void recall_step(struct lineedit *e, int by);
bool search_key(struct lineedit *e, const struct key *k);           /* true: the key was for the search */
void search_begin(struct lineedit *e);

/* ---- lineedit_complete.c ---- */
void completion_update(struct lineedit *e);
bool completion_key(struct lineedit *e, const struct key *k);

/* ---- lineedit_paste.c ---- */
void paste_add(struct lineedit *e, const struct key *k);
bool paste_number(const struct lineedit *e, size_t at, size_t *ret); /* whether a paste's mark stands there */
void paste_label(const struct lineedit *e, size_t i, struct buf *ret);
void paste_expand(const struct lineedit *e, struct buf *ret, struct buf *ret_paths, size_t *ret_npaths);
void paste_clear(struct lineedit *e);

#endif
