/*
 * Arenas: memory with a lifetime (process, run, step) and a byte budget.
 *
 * Nothing is freed one by one; error paths are just `return`. An arena over its budget returns NULL, an ordinary error.
 */
#ifndef CRANNOG_BASE_ARENA_H
#define CRANNOG_BASE_ARENA_H

#include "base/slice.h"

struct arena_block;

struct arena {
    struct arena_block *head;
    size_t used;   /* bytes handed out, headers included */
    size_t budget; /* never passed */
};

#define ARENA_INIT(bytes) ((struct arena){.budget = (bytes)})
#define ARENA_CLEANUP __attribute__((cleanup(arena_release)))

void arena_release(struct arena *a); /* frees all; usable again */
/* Zeroed, aligned for any type. NULL if the budget or the memory is used up. */
void *arena_alloc(struct arena *a, size_t bytes);
void *arena_array(struct arena *a, size_t count, size_t size); /* checks count * size */
/* A copy with a NUL behind it; ret.p is NULL on failure (never for an empty slice that fitted). */
struct slice arena_copy(struct arena *a, struct slice s);
char *arena_str(struct arena *a, struct slice s); /* the same as a C string, or NULL */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Grows an array of `size`-byte elements: *items with room for *cap. False if it cannot. Old memory is not reused. */
bool arena_grow(struct arena *a, void **items, size_t *cap, size_t want, size_t size);

#endif
