#include "infer/automaton.h"

#include <string.h>

#include "infer/automaton_close.h"
#include "infer/numeral.h"

enum outcome {
    NOT_ACCEPTED,
    MORE,      /* taken */
    ENDS,      /* taken, and the value has ended with it */
    ENDED,     /* not of this value, which had ended before: of the one around it */
    VALUE,     /* the first byte of a value in this one */
};

/* ---- threads ---- */

static void copy_thread(struct thread *to, const struct thread *from, size_t depth)
{
    to->depth = depth;
    memcpy(to->stack, from->stack, depth * sizeof *to->stack);
}

void automaton_copy(struct automaton *to, const struct automaton *from)
{
    to->n = from->n;
    for (size_t i = 0; i < from->n; i++)
        copy_thread(&to->threads[i], &from->threads[i], from->threads[i].depth);
}

void automaton_start(struct automaton *a, uint16_t call)
{
    a->n = 1;
    a->threads[0].depth = 1;
    a->threads[0].stack[0] = (struct place){.node = call};
}

/* Where one way of understanding an object ends all do, for none of its beginnings is a whole object. */
bool automaton_ended(const struct automaton *a)
{
    return a->n && !a->threads[0].depth;
}

/* ---- objects and calls: bits are the keys that may be meant, at how much of theirs has been read, count the next one ---- */

/* Keys that may come when those below `next` have come or been left out. */
static uint64_t candidates(const struct node *n, size_t next)
{
    uint64_t left = next < 64 ? ~UINT64_C(0) << next : 0, all = n->n < 64 ? (UINT64_C(1) << n->n) - 1 : ~UINT64_C(0);
    uint64_t required = n->required & left & all;
    return left & all & (required ? (required & -required) | ((required & -required) - 1) : ~UINT64_C(0));
}

static bool may_close(const struct node *n, size_t next)
{
    return !(next < 64 ? n->required >> next : 0);
}

static enum outcome key_step(const struct node *n, struct place *p, unsigned char c)
{
    uint64_t left = 0;
    for (size_t i = 0; i < n->n; i++) {
        struct slice text = n->keys[i].text;
        if (!(p->bits >> i & 1) || p->at >= text.n || (unsigned char)text.p[p->at] != c)
            continue;
        left |= UINT64_C(1) << i;
        if (p->at + 1 == text.n) { /* no key's text begins another's */
            p->phase = OBJECT_VALUE;
            p->count = (uint32_t)i;
            return MORE;
        }
    }
    p->bits = left;
    p->phase = OBJECT_KEY;
    p->at++;
    return left ? MORE : NOT_ACCEPTED;
}

static enum outcome object_step(const struct node *n, struct place *p, unsigned char c)
{
    switch (p->phase) {
    case OBJECT_BEGIN:
        p->phase = OBJECT_FIRST;
        return c == '{' ? MORE : NOT_ACCEPTED;
    case OBJECT_FIRST:
    case OBJECT_AFTER:
        if (c == '}')
            return may_close(n, p->count) ? ENDS : NOT_ACCEPTED;
        p->bits = candidates(n, p->count);
        p->at = p->phase == OBJECT_FIRST ? KEY_SEPARATOR : 0;
        return key_step(n, p, c);
    case OBJECT_KEY:
        return key_step(n, p, c);
    default:
        return VALUE;
    }
}

static enum outcome call_step(const struct node *n, struct place *p, unsigned char c)
{
    switch (p->phase) {
    case OBJECT_BEGIN:
        p->bits = candidates(n, 0);
        return key_step(n, p, c);
    case OBJECT_KEY:
        return key_step(n, p, c);
    case OBJECT_AFTER:
        return c == '}' ? ENDS : NOT_ACCEPTED;
    default:
        return VALUE;
    }
}

/* ---- arrays: count is how many items have begun ---- */

static enum outcome array_step(const struct node *n, struct place *p, unsigned char c)
{
    switch (p->phase) {
    case ARRAY_BEGIN:
        p->phase = ARRAY_FIRST;
        return c == '[' ? MORE : NOT_ACCEPTED;
    case ARRAY_FIRST:
        if (c == ']')
            return n->low == 0 ? ENDS : NOT_ACCEPTED;
        return n->high > 0 ? VALUE : NOT_ACCEPTED;
    case ARRAY_AFTER:
        if (c == ']')
            return p->count >= n->low ? ENDS : NOT_ACCEPTED;
        p->phase = ARRAY_COMMA;
        return c == ',' && p->count < n->high ? MORE : NOT_ACCEPTED;
    case ARRAY_COMMA:
        p->phase = ARRAY_NEXT;
        return c == ' ' ? MORE : NOT_ACCEPTED;
    default:
        return VALUE;
    }
}

/* ---- literals: those from count up to bits may be meant, at how much has been read ---- */

static enum outcome literal_step(const struct node *n, struct place *p, unsigned char c)
{
    size_t from = p->phase == LITERAL_BEGIN ? 0 : p->count, to = p->phase == LITERAL_BEGIN ? n->n : p->bits;
    bool ended = n->literals[from].n == p->at; /* the shortest is the first in order */
    while (from < to && (n->literals[from].n <= p->at || (unsigned char)n->literals[from].p[p->at] != c))
        from++;
    size_t end = from;
    while (end < to && n->literals[end].n > p->at && (unsigned char)n->literals[end].p[p->at] == c)
        end++;
    if (from == end)
        return ended ? ENDED : NOT_ACCEPTED;
    *p = (struct place){.node = p->node, .phase = LITERAL_IN, .count = (uint32_t)from, .bits = end, .at = p->at + 1};
    return MORE;
}

/* ---- strings: at bytes and count characters have been read ---- */

static enum outcome plain(const struct node *n, struct place *p, uint32_t bytes)
{
    p->at += bytes;
    p->count++;
    p->phase = STRING_BODY;
    return p->count <= n->high && (n->bounded || p->at <= SCHEMA_STRING_BYTES) ? MORE : NOT_ACCEPTED;
}

/* The first byte of a character of RFC 3629; aux bytes follow, the next of them from the low to the high byte of bits. */
static enum outcome lead(const struct node *n, struct place *p, unsigned char c)
{
    unsigned more = c < 0xc2 || c > 0xf4 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    unsigned low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (!more || plain(n, p, more + 1) != MORE)
        return NOT_ACCEPTED;
    p->phase = STRING_UTF8;
    p->aux = (uint8_t)more;
    p->bits = low | high << 8;
    return MORE;
}

static enum outcome body_step(const struct node *n, struct place *p, unsigned char c)
{
    if (c == '"')
        return p->count >= n->low ? ENDS : NOT_ACCEPTED;
    if (c >= 0x80)
        return lead(n, p, c);
    if (c != '\\')
        return c >= ' ' ? plain(n, p, 1) : NOT_ACCEPTED;
    if (plain(n, p, ESCAPE_BYTES) != MORE)
        return NOT_ACCEPTED;
    p->phase = STRING_ESCAPE;
    return MORE;
}

static enum outcome hex_step(struct place *p, unsigned char c)
{
    int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0 || (p->aux == 1 && p->bits == 0xd && digit > 7) || (p->aux == 3 && p->bits == 0 && digit == 0))
        return NOT_ACCEPTED; /* half a pair of surrogates, or NUL */
    p->bits = p->bits << 4 | (unsigned)digit;
    p->phase = ++p->aux == 4 ? STRING_BODY : STRING_HEX;
    return MORE;
}

static enum outcome string_step(const struct node *n, struct place *p, unsigned char c)
{
    switch (p->phase) {
    case STRING_BEGIN:
        p->phase = STRING_BODY;
        return c == '"' ? MORE : NOT_ACCEPTED;
    case STRING_BODY:
        return body_step(n, p, c);
    case STRING_ESCAPE:
        p->phase = c == 'u' ? STRING_HEX : STRING_BODY;
        p->aux = 0, p->bits = 0;
        return c && strchr("\"\\/bfnrtu", c) ? MORE : NOT_ACCEPTED;
    case STRING_HEX:
        return hex_step(p, c);
    default:
        if (c < (p->bits & 0xff) || c > p->bits >> 8)
            return NOT_ACCEPTED;
        p->bits = 0xbf80;
        p->phase = --p->aux ? STRING_UTF8 : STRING_BODY;
        return MORE;
    }
}

/* ---- steps ---- */

static enum outcome number_step(const struct node *n, struct place *p, unsigned char c)
{
    struct place next = *p;
    if (!numeral_step(n, &next, c))
        return numeral_complete(n, p) ? ENDED : NOT_ACCEPTED;
    *p = next;
    return MORE;
}

static enum outcome place_step(const struct node *n, struct place *p, unsigned char c)
{
    switch (n->kind) {
    case NODE_OBJECT: return object_step(n, p, c);
    case NODE_CALL: return call_step(n, p, c);
    case NODE_ARRAY: return array_step(n, p, c);
    case NODE_STRING: return string_step(n, p, c);
    case NODE_NUMBER: return number_step(n, p, c);
    case NODE_LITERALS: return literal_step(n, p, c);
    case NODE_ANY: break; /* never on the stack */
    }
    return NOT_ACCEPTED;
}

/* Keeps the thread behind the last one, unless it is where another one is. */
static void keep(struct automaton *to)
{
    const struct thread *t = &to->threads[to->n];
    for (size_t i = 0; i < to->n; i++) {
        const struct thread *other = &to->threads[i];
        if (other->depth == t->depth && !memcmp(other->stack, t->stack, t->depth * sizeof *t->stack))
            return;
    }
    to->n++;
}

static void take(const struct schema *s, const struct thread *from, size_t depth, unsigned char c, struct automaton *to);

/* Opens a value of the place on top, and gives it its first byte. */
static void open_value(const struct schema *s, const struct thread *t, unsigned char c, struct automaton *to)
{
    struct thread opened;
    copy_thread(&opened, t, t->depth);
    struct place *p = &opened.stack[opened.depth - 1];
    const struct node *n = &s->nodes[p->node];
    bool array = n->kind == NODE_ARRAY;
    uint16_t value = array ? n->item : n->keys[p->count].node;
    p->phase = array ? ARRAY_AFTER : OBJECT_AFTER;
    p->count++;
    ASSERT(opened.depth < AUTOMATON_DEPTH); /* by SCHEMA_DEPTH */
    const struct node *inner = &s->nodes[value];
    for (size_t i = 0; i < (inner->kind == NODE_ANY ? inner->n : 1); i++) {
        opened.stack[opened.depth] = (struct place){.node = inner->kind == NODE_ANY ? inner->alternatives[i] : value};
        take(s, &opened, opened.depth + 1, c, to);
    }
}

/* Adds what becomes of a thread's lowest `depth` values with one more byte. */
static void take(const struct schema *s, const struct thread *from, size_t depth, unsigned char c, struct automaton *to)
{
    if (!depth || to->n == AUTOMATON_THREADS)
        return;
    struct thread *t = &to->threads[to->n];
    copy_thread(t, from, depth);
    struct place *p = &t->stack[depth - 1];
    switch (place_step(&s->nodes[p->node], p, c)) {
    case NOT_ACCEPTED: break;
    case MORE: keep(to); break;
    case ENDS: t->depth--, keep(to); break;
    case ENDED: take(s, from, depth - 1, c, to); break;
    case VALUE: open_value(s, t, c, to); break;
    }
}

bool automaton_step(const struct schema *s, const struct automaton *a, unsigned char byte, struct automaton *ret)
{
    ret->n = 0;
    for (size_t i = 0; i < a->n; i++)
        take(s, &a->threads[i], a->threads[i].depth, byte, ret);
    return ret->n > 0;
}

/* The place of the string that the text stands in, behind a whole character; NULL where there is none. */
static const struct place *string_place(const struct schema *s, const struct automaton *a)
{
    if (a->n != 1 || !a->threads[0].depth)
        return NULL;
    const struct place *p = &a->threads[0].stack[a->threads[0].depth - 1];
    return s->nodes[p->node].kind == NODE_STRING && p->phase == STRING_BODY ? p : NULL;
}

size_t automaton_room(const struct schema *s, const struct automaton *a)
{
    const struct place *p = string_place(s, a);
    if (!p)
        return 0;
    const struct node *n = &s->nodes[p->node];
    size_t characters = (size_t)n->high - p->count;
    return n->bounded || characters < SCHEMA_STRING_BYTES - p->at ? characters : SCHEMA_STRING_BYTES - p->at;
}

bool automaton_full(const struct schema *s, const struct automaton *a)
{
    const struct place *p = string_place(s, a);
    return p && !s->nodes[p->node].bounded && p->at + ESCAPE_BYTES > SCHEMA_STRING_BYTES;
}
