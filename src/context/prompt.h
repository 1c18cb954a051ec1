/*
 * What a model is shown: a list of parts, ordered stable -> slow -> fast, so that prefixes stay byte-identical from
 * call to call; and the pure, versioned function that renders them into messages.
 *
 * A part names bytes by content (a blob, or a range of one), so nothing is stored twice and a call can be replayed.
 * PROMPT_RENDER is frozen per number: an old intent renders to the same bytes for ever.
 */
#ifndef CRANNOG_CONTEXT_PROMPT_H
#define CRANNOG_CONTEXT_PROMPT_H

#include "core/state.h"

enum { PROMPT_RENDER = 1, PROMPT_PARTS_MAX = 16, PROMPT_ANSWERS_MAX = 12 /* that a JOIN sees */, PROMPT_BYTES_MAX = 4 * 1024 * 1024 };

enum prompt_role { ROLE_SYSTEM = 1, ROLE_USER, ROLE_ASSISTANT };

struct prompt_part {
    enum prompt_role role;
    struct slice text; /* what to store as a blob ... */
    struct hash blob;  /* ... or a stored one, where `stored` */
    uint64_t from, to; /* range of the blob; to 0: all of it */
    bool stored;
};

struct prompt {
    struct prompt_part parts[PROMPT_PARTS_MAX];
    size_t n;
};

/*
 * The parts of the question that a line's next model call asks: rules, goal and what is open, then the document's
 * part (or the answers to its parts, for a JOIN) and the item's text. Texts live in the arena.
 * ERR_LIMIT if it does not fit.
 */
enum err MUST_USE prompt_make(const struct run_state *r, const struct want *w, struct arena *a, struct prompt *ret, struct error *e);

struct prompt_message {
    enum prompt_role role;
    struct buf text;
};
/* Render 1: neighbouring parts of one role become one message, joined by an empty line. `texts[i]` are the bytes of
   part i. Returns the number of messages put into ret (at most max); the caller releases them. 0, and nothing to release,
   if it does not fit or the version is unknown. */
size_t prompt_render(unsigned version, const enum prompt_role *roles, const struct slice *texts, size_t n,
                     struct prompt_message *ret, size_t max);

const char *role_name(enum prompt_role r);
enum prompt_role role_from(struct slice name); /* 0 if it is none */

#endif
