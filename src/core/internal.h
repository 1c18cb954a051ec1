/* What the files of this folder share with each other only. */
#ifndef CRANNOG_CORE_INTERNAL_H
#define CRANNOG_CORE_INTERNAL_H

#include "core/state.h"

enum template_kind {
    TEMPLATE_PATH,  /* every "{" must begin a variable: a typo would become a file name */
    TEMPLATE_SHELL, /* what looks like a variable must be one, and stand where its quotes hold */
    TEMPLATE_TEXT,  /* what looks like a variable must be one, in an item that has one */
};

/* The first place in a template that is wrong, and why; false if there is none. */
bool template_wrong(struct slice template, struct slice var, enum template_kind kind, struct slice *ret_where,
                    const char **ret_why);
bool template_has(struct slice template, struct slice var);

/* ---- lines ---- */

enum { BACKOFF_MAX_MS = 60000 };

static inline bool line_over(const struct line *l)
{
    return l->stage == STAGE_DONE || l->stage == STAGE_SKIPPED;
}

/* Whether a step may be intended for it. */
static inline bool line_wants(const struct line *l)
{
    return !l->open && !line_over(l) && l->stage != STAGE_STUCK && l->stage != STAGE_PIECES;
}

/* Whether its document is read in parts, whose answers are joined. */
static inline bool line_in_parts(const struct line *l)
{
    return l->ncuts > 1;
}

/* Where the line stands that asks this question. */
bool line_of_question(const struct run_state *r, uint32_t question_step, uint32_t *ret_item, int32_t *ret_piece);
/* Not done, and all that it needs is. */
bool item_may_move(const struct run_state *r, size_t item);

enum act_kind act_from(struct slice name);
enum act_class class_from(struct slice name);

#endif
