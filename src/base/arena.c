#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"

struct arena_block {
    struct arena_block *next;
    size_t n, cap;
    _Alignas(max_align_t) char bytes[];
};

enum { BLOCK_BYTES = 16 * 1024 };

void arena_release(struct arena *a)
{
    if (!a)
        return;
    for (struct arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        sys->free(b);
    }
    *a = ARENA_INIT(a->budget);
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    size_t align = _Alignof(max_align_t);
    if (bytes > a->budget)
        return NULL;
    bytes = (bytes + align - 1) / align * align;
    if (bytes == 0)
        bytes = align;
    struct arena_block *b = a->head;
    if (!b || bytes > b->cap - b->n) {
        size_t cap = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        if (cap + sizeof *b > a->budget - a->used)
            cap = bytes;
        if (cap + sizeof *b > a->budget - a->used)
            return NULL;
        b = sys->realloc(NULL, sizeof *b + cap);
        if (!b)
            return NULL;
        *b = (struct arena_block){.next = a->head, .cap = cap};
        a->head = b;
        a->used += cap + sizeof *b;
    }
    void *p = b->bytes + b->n;
    b->n += bytes;
    return memset(p, 0, bytes);
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    return size && count > SIZE_MAX / size ? NULL : arena_alloc(a, count * size);
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    char *p = arena_str(a, s);
    return p ? (struct slice){p, s.n} : SLICE_NONE;
}

char *arena_str(struct arena *a, struct slice s)
{
    char *p = arena_alloc(a, s.n + 1);
    if (p && s.n)
        memcpy(p, s.p, s.n);
    return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

bool arena_grow(struct arena *a, void **items, size_t *cap, size_t want, size_t size)
{
    if (want <= *cap)
        return true;
    size_t grown = *cap ? *cap * 2 : 8;
    if (grown < want)
        grown = want;
    void *p = arena_array(a, grown, size);
    if (!p)
        return false;
    if (*cap)
        memcpy(p, *items, *cap * size);
    *items = p;
    *cap = grown;
    return true;
}
