/*
 * What a person does in a talk between two turns of the engine, each a commit of its own: says something, answers what an
 * agent asks, takes back the end, takes another model.
 */
#ifndef CRANNOG_ENGINE_SAY_H
#define CRANNOG_ENGINE_SAY_H

#include "engine/engine.h"
#include "model/transcript.h"

/* A user's turn; `later`: when the model has ended its own, not before. The run is active again. */
enum err MUST_USE engine_say(struct engine *g, struct run *r, const struct transcript_turn *turn, bool later, struct error *e);
/* The same for words alone. */
enum err MUST_USE engine_say_text(struct engine *g, struct run *r, struct slice text, bool later, struct error *e);
/* A command that the person runs as the agent would, in the same jail; it and what it printed stand in the talk. */
enum err MUST_USE engine_say_command(struct engine *g, struct run *r, struct slice command, struct error *e);
/* What `answered` says of a question (v, question, answer, by): more may be put into it. The caller frees it, or gives it to
   engine_answer(), which takes it. */
struct json *answer_word(uint32_t question, struct slice word);
enum err MUST_USE engine_answer(struct engine *g, struct run *r, struct json *answer, struct error *e);
/* The answer to the question of `ask` that is open. ERR_MISSING: none is. */
enum err MUST_USE engine_answer_ask(struct engine *g, struct run *r, struct slice text, struct error *e);
/* The event that answers an agent's question `l` with these words; the result that they become is stored, in the open transaction
   or one of its own. The caller frees *ret. */
enum err MUST_USE answer_payload(struct store *s, const struct line *l, struct slice words, struct json **ret, struct error *e);
/* Keeps the first `turns` of the talk; changes of steps after `after_step` are no longer the run's (-1: they stay). Nothing
   may be under way. */
enum err MUST_USE engine_rewind(struct engine *g, struct run *r, size_t turns, int64_t after_step, struct error *e);
/* `server` as in run.started: provider, model, base, secret, quirks, window, max_output; it is taken. */
enum err MUST_USE engine_change_model(struct engine *g, struct run *r, struct json *server, struct error *e);
/* The talk is made shorter before the next question, where it can be; a run that was stopped is active for that. */
enum err MUST_USE engine_want_compact(struct engine *g, struct run *r, struct error *e);

#endif
