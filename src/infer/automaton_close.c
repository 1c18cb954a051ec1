#include "infer/automaton_close.h"

#include <string.h>

#include "infer/numeral.h"

static size_t put(struct buf *to, struct slice s)
{
    if (to)
        buf_add(to, s);
    return s.n;
}

/* ---- objects and calls ---- */

/* The required properties from `next` on, and the end. */
static size_t close_object(const struct schema *s, const struct node *n, size_t next, bool first, struct buf *to)
{
    size_t bytes = 0;
    for (size_t i = next; n->kind == NODE_OBJECT && i < n->n; i++) {
        struct slice text = n->keys[i].text;
        if (!(n->required >> i & 1))
            continue;
        bytes += put(to, slice_sub(text, first ? KEY_SEPARATOR : 0, text.n));
        bytes += automaton_least(s, n->keys[i].node, to);
        first = false;
    }
    return bytes + put(to, SLICE("}"));
}

static size_t close_value(const struct schema *s, const struct node *n, size_t key, struct buf *to)
{
    size_t bytes = automaton_least(s, n->keys[key].node, to);
    return bytes + close_object(s, n, key + 1, false, to);
}

/* Of the keys that may be meant, the one with the shortest end. */
static size_t close_key(const struct schema *s, const struct node *n, uint64_t keys, size_t at, struct buf *to)
{
    size_t best = 0, least = SIZE_MAX;
    for (size_t i = 0; i < n->n; i++) {
        size_t bytes = keys >> i & 1 ? n->keys[i].text.n - at + close_value(s, n, i, NULL) : SIZE_MAX;
        if (bytes < least) {
            least = bytes;
            best = i;
        }
    }
    if (to) {
        put(to, slice_sub(n->keys[best].text, at, SIZE_MAX));
        close_value(s, n, best, to);
    }
    return least;
}

static size_t object_close(const struct schema *s, const struct node *n, const struct place *p, struct buf *to)
{
    switch (p->phase) {
    case OBJECT_BEGIN:
        if (n->kind == NODE_CALL)
            return close_key(s, n, ~UINT64_C(0), 0, to);
        return put(to, SLICE("{")) + close_object(s, n, 0, true, to);
    case OBJECT_FIRST: return close_object(s, n, 0, true, to);
    case OBJECT_KEY: return close_key(s, n, p->bits, p->at, to);
    case OBJECT_VALUE: return close_value(s, n, p->count, to);
    default: return close_object(s, n, p->count, false, to);
    }
}

/* ---- arrays ---- */

static size_t close_items(const struct schema *s, const struct node *n, size_t count, struct buf *to)
{
    size_t bytes = 0, more = (size_t)n->low > count ? (size_t)n->low - count : 0;
    if (!to)
        return more * (automaton_least(s, n->item, NULL) + 2) - (more && !count ? 2 : 0) + 1;
    for (size_t i = 0; i < more; i++) {
        bytes += put(to, i + count ? SLICE(", ") : SLICE_NONE);
        bytes += automaton_least(s, n->item, to);
    }
    return bytes + put(to, SLICE("]"));
}

static size_t array_close(const struct schema *s, const struct node *n, const struct place *p, struct buf *to)
{
    size_t bytes = 0;
    switch (p->phase) {
    case ARRAY_BEGIN:
        return put(to, SLICE("[")) + close_items(s, n, 0, to);
    case ARRAY_COMMA:
        bytes = put(to, SLICE(" "));
        __attribute__((fallthrough));
    case ARRAY_NEXT:
        bytes += automaton_least(s, n->item, to);
        return bytes + close_items(s, n, p->count + 1, to);
    default:
        return close_items(s, n, p->count, to);
    }
}

/* ---- strings, literals ---- */

static size_t close_hex(const struct place *p, struct buf *to)
{
    /* \u000 ends in 1, all else in zeros: neither NUL nor half a pair */
    size_t n = 4 - p->aux;
    return put(to, slice_sub(p->bits ? SLICE("0000") : SLICE("0001"), 4 - n, n));
}

static size_t close_character(const struct place *p, struct buf *to)
{
    char bytes[3] = {(char)(p->bits & 0xff), (char)0x80, (char)0x80};
    return put(to, (struct slice){bytes, p->aux});
}

static size_t string_close(const struct node *n, const struct place *p, struct buf *to)
{
    size_t bytes = 0, blanks = (size_t)n->low > p->count ? (size_t)n->low - p->count : 0;
    if (p->phase == STRING_BEGIN)
        bytes = put(to, SLICE("\""));
    else if (p->phase == STRING_ESCAPE)
        bytes = put(to, SLICE("n"));
    else if (p->phase == STRING_HEX)
        bytes = close_hex(p, to);
    else if (p->phase == STRING_UTF8)
        bytes = close_character(p, to);
    char *to_fill = to && blanks ? buf_extend(to, blanks) : NULL;
    if (to_fill)
        memset(to_fill, ' ', blanks);
    return bytes + blanks + put(to, SLICE("\""));
}

static size_t literal_close(const struct node *n, const struct place *p, struct buf *to)
{
    size_t from = p->phase == LITERAL_BEGIN ? 0 : p->count, end = p->phase == LITERAL_BEGIN ? n->n : p->bits, best = from;
    for (size_t i = from; i < end; i++)
        if (n->literals[i].n < n->literals[best].n)
            best = i;
    return put(to, slice_sub(n->literals[best], p->at, SIZE_MAX));
}

static size_t any_close(const struct schema *s, const struct node *n, struct buf *to)
{
    size_t best = 0;
    for (size_t i = 1; i < n->n; i++)
        if (automaton_least(s, n->alternatives[i], NULL) < automaton_least(s, n->alternatives[best], NULL))
            best = i;
    return automaton_least(s, n->alternatives[best], to);
}

/* ---- all ---- */

size_t place_close(const struct schema *s, const struct place *p, struct buf *to)
{
    const struct node *n = &s->nodes[p->node];
    switch (n->kind) {
    case NODE_OBJECT:
    case NODE_CALL: return object_close(s, n, p, to);
    case NODE_ARRAY: return array_close(s, n, p, to);
    case NODE_STRING: return string_close(n, p, to);
    case NODE_NUMBER: return numeral_close(n, p, to);
    case NODE_LITERALS: return literal_close(n, p, to);
    case NODE_ANY: return any_close(s, n, to);
    }
    return 0;
}

size_t automaton_least(const struct schema *s, uint16_t node, struct buf *to)
{
    const struct place begin = {.node = node};
    if (!to && s->nodes[node].least)
        return s->nodes[node].least;
    return place_close(s, &begin, to);
}

static size_t close_thread(const struct schema *s, const struct thread *t, struct buf *to)
{
    size_t bytes = 0;
    for (size_t i = t->depth; i; i--)
        bytes += place_close(s, &t->stack[i - 1], to);
    return bytes;
}

size_t automaton_close(const struct schema *s, const struct automaton *a, struct buf *to)
{
    size_t best = 0, least = SIZE_MAX;
    for (size_t i = 0; i < a->n; i++) {
        size_t bytes = close_thread(s, &a->threads[i], NULL);
        if (bytes < least) {
            least = bytes;
            best = i;
        }
    }
    if (to && a->n)
        close_thread(s, &a->threads[best], to);
    return a->n ? least : 0;
}
