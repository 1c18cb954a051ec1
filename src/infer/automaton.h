/*
 * Which bytes may come next in a text that a schema's node accepts: a pushdown automaton that is a plain value.
 *
 * A state is a few threads, one for each way in which the text so far can be understood (more than one only within an
 * anyOf), each a stack of the values that are open. Copying a state is copying it; steps allocate nothing.
 *
 *   B1  From each state that automaton_step() gives, automaton_close() writes a text that ends in acceptance. Where there
 *       would be too many threads the last ones are left out: fewer texts are accepted then, and B1 holds.
 */
#ifndef CRANNOG_INFER_AUTOMATON_H
#define CRANNOG_INFER_AUTOMATON_H

#include "infer/schema.h"

enum { AUTOMATON_DEPTH = SCHEMA_DEPTH + 2, AUTOMATON_THREADS = SCHEMA_ALTERNATIVES };

/* One open value. What the numbers mean is each kind's own (automaton.c). */
struct place {
    uint64_t bits;
    uint32_t at, count;
    uint16_t node;
    uint8_t phase, aux;
    uint32_t unused; /* 0: places are compared as bytes */
};

struct thread {
    size_t depth; /* 0: the value has ended */
    struct place stack[AUTOMATON_DEPTH];
};

struct automaton {
    size_t n; /* threads; 0: these bytes are not accepted */
    struct thread threads[AUTOMATON_THREADS];
};

/* Copies what is in use. */
void automaton_copy(struct automaton *to, const struct automaton *from);
/* Before the first byte of a NODE_CALL. */
void automaton_start(struct automaton *a, uint16_t call);
/* The state behind one more byte; false (and nothing of use in *ret) where it may not come. `ret` is not `a`. */
bool automaton_step(const struct schema *s, const struct automaton *a, unsigned char byte, struct automaton *ret);
/* The text has ended, and no byte may follow. */
bool automaton_ended(const struct automaton *a);
/* The bytes of the shortest end that is known; appends it to `to`, which may be NULL. */
size_t automaton_close(const struct schema *s, const struct automaton *a, struct buf *to);
/* How many characters and bytes may follow in the string that the text stands in, 0 where it stands in none (or in
   several ways, or within a character). */
size_t automaton_room(const struct schema *s, const struct automaton *a);
/* The text stands in a string that SCHEMA_STRING_BYTES is about to end. */
bool automaton_full(const struct schema *s, const struct automaton *a);
/* The shortest text of a node: its length, and it is appended to `to`, which may be NULL. */
size_t automaton_least(const struct schema *s, uint16_t node, struct buf *to);

#endif
