/* An agent's stages in a jail, as act_tool.c carries them out: a tool's call, its instructions, its check. */
#ifndef CRANNOG_ENGINE_ACT_CALL_H
#define CRANNOG_ENGINE_ACT_CALL_H

#include "context/tools.h"
#include "engine/machine.h"

/* The arguments of the next call's intent, and how many CPU seconds it may take. */
enum err MUST_USE call_prepare(struct engine *g, struct run *r, const struct want *w, struct json *args, int64_t *ret_seconds, struct error *e);
/* A call that needs no jail (it is malformed, or asks for what the journal keeps) is completed here: *ret_done. */
enum err MUST_USE call_at_once(struct engine *g, struct run *r, const struct open_step *o, struct completion *c, bool *ret_done,
                               struct error *e);
/* A call of `serve` is begun here, or answered at once: *ret_is; services.h completes it. */
enum err MUST_USE call_serve(struct engine *g, struct run *r, const struct open_step *o, bool *ret_is, struct error *e);
/* The turn of such a call, and what it declares or stops; c->result is there. `ok`: it came up, or stopped, as it was to. */
enum err MUST_USE call_served(struct engine *g, struct run *r, const struct open_step *o, struct slice text, bool ok, struct completion *c,
                              struct error *e);
/* Puts a call into a plan that place_plan() made; what is borrowed lies in `a`, `words` and `message`. */
enum err MUST_USE call_plan(struct engine *g, struct run *r, const struct open_step *o, const struct place *place, struct arena *a,
                            struct slice *words, struct buf *message, struct jail_plan *ret, struct error *e);
/* The turn that a jail's result becomes. */
enum err MUST_USE call_result(struct engine *g, struct run *r, const struct open_step *o, const struct jail_result *res, struct completion *c,
                              struct error *e);
/* The files that tell an agent something: shown to a jail, read there, and what the model is told first. */
enum err MUST_USE instruct_plan(const struct machine *m, const struct place *place, struct arena *a, struct buf *message, struct jail_plan *ret,
                                struct error *e);
/* What such a jail found, as the system's text; which files it was and what was wrong with them stands in the result. */
enum err MUST_USE instruct_result(struct run *r, struct slice reply, struct completion *c, struct error *e);
/* What an unattended agent is told when its check failed. */
void check_told(const struct talk *t, const struct jail_result *res, struct completion *c);

/* ---- the result as a commit, in act_commit.c ---- */
/* The command of the commit: at most JAIL_WORDS_MAX words, in `a`. ERR_LIMIT: the run changed more files than fit. */
enum err MUST_USE commit_words(struct engine *g, const struct run_state *r, struct arena *a, struct slice *words, size_t *ret_n, struct error *e);
/* Shows the person's .git to the jail, beside the one of the layers. False: no memory, or no room in the plan. */
bool MUST_USE commit_mount(const struct place *place, struct arena *a, struct jail_plan *ret);
/* Of what this step made in .git, the objects and the branch: what a landing takes. */
enum err MUST_USE commit_rest(struct engine *g, const struct run_state *r, struct completion *c, struct error *e);

#endif
