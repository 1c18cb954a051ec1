/*
 * The talk of an agent: what was said, answered and done, in order, and what comes next. Pure; part of the fold.
 *
 * A talk is a list of turns, each a blob in the form of model/transcript.h (turn_print): what a person said, what the model
 * answered, what a tool gave, what the runtime noted. A line of an agent goes round:
 *
 *   SURVEY -> INSTRUCT -> THINK -> [CALL -> (APPLY)]... -> THINK ... -> an answer without calls
 *     attended    then TALK: it waits for a person, for ever if need be
 *     unattended  then VERIFY (its failure is said to the model) -> (COMMIT) -> (APPLY) -> DONE
 *
 * COMPACT comes before a THINK that would not fit the model's window. What a person says waits in the inbox until the next
 * THINK is intended; that intent takes it into the turns, so the turns are the same whoever folds them.
 *
 * K1  Every turn is named by an event; nothing is in the talk that is not in the journal. Compaction moves `from`, the
 *     turns before it stay where they are.
 * K2  Each call of an answer is followed by its result, or by none where it was never carried out (the request says so:
 *     model/request.h Q1).
 * K3  A person's word, said or answered, ends a stop and a hold. After a stop an attended talk does nothing until there is one.
 */
#ifndef CRANNOG_CORE_TALK_H
#define CRANNOG_CORE_TALK_H

#include "base/arena.h"
#include "base/hash.h"
#include "text/json.h"

enum { TALK_INBOX_MAX = 64, TALK_CALLS_MAX = 64, TALK_TURNS_MAX = 20000, TALK_SHRINKS_MAX = 3, TALK_EMPTY_MAX = 2, TALK_SAME_MAX = 8,
       TALK_BYTES_A_TOKEN = 3 /* at least; so that a window is not passed before it is noticed */ };

enum turn_kind { TALK_SAID = 1, TALK_ANSWER, TALK_RESULT, TALK_NOTE };

struct talk_turn {
    struct hash blob;
    uint64_t bytes;
    uint32_t step; /* that brought it; 0: a person */
    enum turn_kind kind;
};

struct talk_waiting {
    struct talk_turn turn;
    bool later; /* when the model has ended its turn, not before */
};

struct talk {
    bool attended;            /* a person is there: it waits for them after each answer */
    bool commits;             /* its result is a commit on a branch of the git repository */
    struct slice verify;      /* command; the run is done when it passes. Empty: when the model says so */
    uint32_t checks, checks_max;
    struct talk_turn *turns;
    size_t nturns, cap;
    size_t from;              /* turns before it stand in the summary */
    struct hash summary;      /* blob of a user's turn; zero: none */
    uint64_t summary_bytes;
    struct slice calls[TALK_CALLS_MAX]; /* names of the tools that the last answer calls */
    struct slice asks[TALK_CALLS_MAX];  /* of `ask`: its question */
    size_t ncalls, next;      /* next: the first one not yet carried out */
    size_t answer;            /* index of the turn that has them */
    struct talk_waiting inbox[TALK_INBOX_MAX];
    size_t ninbox;
    struct hash system;       /* blob of what the model is told first; zero before INSTRUCT */
    uint64_t system_bytes;
    uint64_t context;         /* tokens of the last call, prompt and answer, as the server counted; 0: not known */
    uint64_t fresh;           /* bytes that came since */
    uint64_t narrow;          /* tokens that were too many for the model, whatever its window is said to be; 0: none were */
    bool hold, compact, finished;
    unsigned shrinks, empties, same;
    struct hash last_calls;   /* of the last answer's calls, to see that it goes round in circles */
    int64_t max_output;
};

struct run_state;
struct line;

/* Whether what waits in the inbox at i is taken by a THINK that is intended now. */
bool talk_delivers(const struct talk *t, size_t i);
/* Tokens of the talk that the model is shown at most, as far as is known. */
uint64_t talk_window(const struct talk *t, uint64_t window);
/* Whether the next THINK would not fit, and a compaction can help. */
bool talk_is_due(const struct talk *t, uint64_t window);

#endif
