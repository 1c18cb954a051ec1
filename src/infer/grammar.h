/*
 * What an answer with tools may look like, token by token: free text, then calls (infer/tools.h), then the end.
 *
 *     TEXT ──<tool_call>──▶ CALL ──</tool_call>──▶ the end, or a line end and the next CALL
 *
 *   K1  A call that is counted is complete, and its arguments are JSON that its tool's schema accepts.
 *   K2  While a call is under way its shortest end fits into the tokens that are left: a token after which it would not
 *       is refused, and grammar_close() then ends the call. A call that could not be ended from the start never begins.
 *   K3  Text has no mark of a call in it, and none that has begun at its end.
 *   K4  What may not come next is never taken, whatever the model wants; copies are values, and a refusal changes nothing.
 *
 * A grammar is for one answer and one thread.
 */
#ifndef CRANNOG_INFER_GRAMMAR_H
#define CRANNOG_INFER_GRAMMAR_H

#include "infer/automaton.h"
#include "infer/lexicon.h"
#include "infer/tools.h"

enum { GRAMMAR_CALLS_MAX = 8 };

/* May the model call tools, must it, or may it not (but is told of them)? */
enum grammar_choice { CHOICE_AUTO, CHOICE_ANY, CHOICE_NONE };

struct said_call {
    struct slice name, arguments; /* of the tools; of the grammar */
};

struct grammar;

/* `t` (which has tools) and `l` must outlive it. The lexicon's mark is CALL_MARK. ERR_MEMORY. */
enum err MUST_USE grammar_new(const struct tools *t, const struct lexicon *l, const struct vocab *v, enum grammar_choice choice,
                              struct grammar **ret, struct error *e);
void grammar_free(struct grammar *g); /* NULL is fine */

/* The tokens that may come next, one bit each, those that end the answer where it may end; NULL: all. */
const uint64_t *grammar_allowed(struct grammar *g);
/* Takes a token of which `left` more may follow; false where it may not come (K2, K4). */
bool grammar_take(struct grammar *g, int32_t token, size_t left);
/* Appends the tokens of what must come next, whatever the model says, but for the last one, which may have more to it;
   at most `left`. They are for the caller to take. */
void grammar_forced(struct grammar *g, struct vocab *v, size_t left, struct tokens *to);
/* True where the call that is under way, if any, can be ended within so many tokens. */
bool grammar_fits(const struct grammar *g, size_t left);
/* Ends the call that is under way in the shortest way and appends the tokens of that. */
void grammar_close(struct grammar *g, struct tokens *to);

/* The answer may end here. */
bool grammar_may_end(const struct grammar *g);
/* The text so far, without what may become the mark of a call. */
struct slice grammar_text(const struct grammar *g);
size_t grammar_calls(const struct grammar *g);
struct said_call grammar_call(const struct grammar *g, size_t i); /* valid until the next token is taken */
/* The last call says less than the model would have: grammar_close() ended it, or a string reached a bound that is ours. */
bool grammar_shortened(const struct grammar *g);

#endif
