/* What the files of this folder share with each other only. */
#ifndef CRANNOG_CORE_INTERNAL_H
#define CRANNOG_CORE_INTERNAL_H

#include "core/state.h"

/* As much of s as fits, cut between characters, on one line and without what moves a terminal's cursor. NUL-terminated. */
static inline void one_line(char *ret, size_t max, struct slice s)
{
    size_t n = s.n < max - 1 ? s.n : max - 1;
    while (n && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++)
        ret[i] = (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f ? ' ' : s.p[i];
    ret[n] = '\0';
}

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
    return !l->open && !line_over(l) && l->stage != STAGE_STUCK && l->stage != STAGE_PIECES && l->stage != STAGE_TALK;
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

/* ---- the fold ---- */

enum stage piece_first_stage(const struct plan_item *p);
/* What comes after a stage of this line that went well. */
enum stage line_stage_after(const struct run_state *r, const struct item_state *it, const struct line *l, bool is_head);
/* An item's counts follow its lines: a line is taken out before it changes and put in again after. */
void line_out(struct item_state *it, const struct line *l);
void line_in(struct item_state *it, const struct line *l);
/* A person must say what happens. */
void line_stick(struct line *l, enum question q, enum stage resume, struct slice why);
/* They have said: no question is open, what went wrong before counts no more, and what comes is a new step. */
void line_unstick(struct line *l);
/* A copy in the run's arena. */
enum err MUST_USE fold_keep(struct run_state *r, struct slice s, struct slice *ret, struct error *e);
enum err fold_no_memory(struct error *e);
/* One more layer on a list of at most RUN_LAYERS_MAX (undos: as many as there is memory for), from {name, manifest, changes}. */
enum err MUST_USE fold_layer(struct run_state *r, const struct json *from, uint32_t step, struct layer_ref *ret, struct error *e);
enum err MUST_USE fold_push_layer(struct run_state *r, const struct json *from, uint32_t step, struct error *e);
enum err MUST_USE fold_intended(struct run_state *r, const struct event *ev, const struct json *p, struct error *e);
enum err MUST_USE fold_finished(struct run_state *r, const struct event *ev, const struct json *p, struct error *e);

/* ---- services, in fold_service.c: those a run begins with, what a call declares or stops, their ends, a person's word ---- */

enum err MUST_USE fold_services(struct run_state *r, const struct json *list, struct error *e);
enum err MUST_USE fold_service_called(struct run_state *r, const struct json *o, uint32_t step, struct error *e);
enum err MUST_USE fold_service_ended(struct run_state *r, const struct json *p, struct error *e);
enum err MUST_USE fold_service_opened(struct run_state *r, const struct json *p, struct error *e);

/* ---- talks: what comes next, turns, results of an agent's stages and its beginning in fold_talk.c ---- */

/* The line of an agent's run; NULL in others. */
struct line *talk_line(struct run_state *r);

enum stage talk_next(const struct run_state *r, const struct line *l);
/* Whether a compaction can help: there is something to sum up, and it was not tried too often since the last answer. */
bool talk_can_shrink(const struct talk *t);
/* A line at TALK goes on where there is something to do. */
void talk_settle(struct run_state *r, struct line *l);
enum err MUST_USE talk_deliver(struct run_state *r, struct talk *t, struct error *e);
enum err MUST_USE talk_begin(struct run_state *r, const struct json *p, struct error *e);
enum err MUST_USE talk_read_server(struct run_state *r, const struct json *o, struct error *e);
enum err MUST_USE talk_instructed(struct line *l, const struct json *res, struct error *e);
enum err MUST_USE talk_thought(struct run_state *r, struct line *l, uint32_t step, const struct json *res, struct error *e);
enum err MUST_USE talk_called(struct run_state *r, struct line *l, uint32_t step, const struct json *res, struct error *e);
enum err MUST_USE talk_compacted(struct line *l, const struct json *res, struct error *e);
enum err MUST_USE talk_cancelled(struct run_state *r, struct line *l, uint32_t step, const struct json *res, struct error *e);
void talk_compact_failed(struct line *l);
bool talk_check_failed(struct run_state *r, struct line *l, uint32_t step, const struct json *res);
void talk_overflowed(struct talk *t);

enum err MUST_USE talk_push_turn(struct run_state *r, struct talk *t, struct talk_turn turn, struct error *e);
/* A turn that an event names: its blob under `key`, its bytes under `bytes`. Absent: none (*ret_any). */
enum err MUST_USE talk_read_turn(const struct json *o, const char *key, const char *bytes, enum turn_kind kind, uint32_t step,
                                 struct talk_turn *ret, bool *ret_any, struct error *e);
/* Both; nothing where none is named. */
enum err MUST_USE talk_push_named(struct run_state *r, struct talk *t, const struct json *o, const char *key, const char *bytes,
                                  enum turn_kind kind, uint32_t step, struct error *e);
/* After its beginning or its end has gone, what the model is shown is counted by bytes, until a server counts it again. */
void talk_count_anew(struct talk *t);
/* Calls that will not be carried out any more: all that were to come. One that is under way, or asked about, is not one. */
void talk_drop_calls(struct line *l);
/* Whether something waits that is for now, not for later. */
bool talk_said_now(const struct talk *t);
/* An agent's question stops its line until a person answers. */
void talk_ask_if_next(struct line *l);

/* ---- what a person does, in fold_person.c ---- */

enum err MUST_USE talk_said(struct run_state *r, const struct json *p, struct error *e);
enum err MUST_USE talk_answered(struct run_state *r, struct line *l, const struct json *p, struct error *e);
enum err MUST_USE talk_rewound(struct run_state *r, const struct json *p, struct error *e);
void talk_stopped(struct run_state *r);
void talk_rest(struct run_state *r, struct line *l);
enum err MUST_USE talk_model_changed(struct run_state *r, const struct json *p, struct error *e);
enum err MUST_USE talk_compact_wanted(struct run_state *r, struct error *e);

enum act_kind act_from(struct slice name); /* 0 if it is none */
enum act_class class_from(struct slice name);

#endif
