/* From turns to messages: merging, pairing, ids, cache marks. */
#include <string.h>

#include "model/internal.h"

/* ---- what is sent at all ---- */

static bool is_blank(struct slice s)
{
    return slice_trim(s).n == 0;
}

static bool reasoning_is_sent(const struct script *s, const struct transcript_part *p)
{
    if (!slice_eq(p->name, s->provider->name))
        return false;
    switch (p->form) {
    case REASONING_SIGNED: /* without its signature it was cut */
    case REASONING_REDACTED: return s->provider->format == FORMAT_ANTHROPIC && p->opaque.n;
    case REASONING_DETAILS: return s->provider->format == FORMAT_OPENAI && script_has(s, QUIRK_REASONING_DETAILS) && p->opaque.n;
    case REASONING_PLAIN:
        return s->provider->format == FORMAT_OPENAI && script_has(s, QUIRK_REASONING | QUIRK_REASONING_CONTENT) &&
               !is_blank(p->text);
    }
    return false;
}

static bool is_sent(const struct script *s, const struct transcript_part *p)
{
    return p->kind == PART_TEXT ? !is_blank(p->text) : p->kind == PART_REASONING ? reasoning_is_sent(s, p) : true;
}

static bool turn_says_something(const struct script *s, const struct transcript_turn *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->parts[i].kind != PART_REASONING && is_sent(s, &t->parts[i]))
            return true;
    return false;
}

/* ---- messages ---- */

static struct message *add_message(struct script *s, struct arena *a, enum turn_role role)
{
    if (!arena_grow(a, (void **)&s->messages, &s->cap, s->n + 1, sizeof *s->messages))
        return NULL;
    s->messages[s->n] = (struct message){.role = role};
    return &s->messages[s->n++];
}

static bool add_item(struct message *m, struct arena *a, struct item item)
{
    if (!arena_grow(a, (void **)&m->items, &m->cap, m->n + 1, sizeof *m->items))
        return false;
    m->items[m->n++] = item;
    return true;
}

/* Turns of one role in a row, and those that only turns without words stood between, become one message. */
static bool group(struct script *s, struct arena *a)
{
    for (size_t i = 0; i < s->t->nturns; i++) {
        const struct transcript_turn *t = &s->t->turns[i];
        struct message *m = s->n ? &s->messages[s->n - 1] : NULL;
        if (!turn_says_something(s, t))
            continue;
        if ((!m || m->role != t->role) && !(m = add_message(s, a, t->role)))
            return false;
        for (size_t k = 0; k < t->n; k++)
            if (is_sent(s, &t->parts[k]) && !add_item(m, a, (struct item){.kind = ITEM_PART, .part = &t->parts[k]}))
                return false;
    }
    return true;
}

/* ---- ids and names ---- */

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static bool id_is_taken_by_server(const struct script *s, struct slice id)
{
    bool nine = script_has(s, QUIRK_ID_NINE);
    size_t max = nine ? 9 : script_has(s, QUIRK_ID_FORTY) ? 40 : s->provider->format == FORMAT_ANTHROPIC ? 128 : TRANSCRIPT_ID_MAX;
    if (id.n == 0 || id.n > max || (nine && id.n != 9))
        return false;
    for (size_t i = 0; (nine || s->provider->format == FORMAT_ANTHROPIC) && i < id.n; i++)
        if (!is_word_char(id.p[i]) || (nine && (id.p[i] == '_' || id.p[i] == '-')))
            return false;
    return true;
}

/* The ids that were given out: an open table, never more than half full. */
struct seen {
    struct slice *slots;
    size_t mask;
};

static bool seen_add(struct seen *seen, struct slice id)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < id.n; i++)
        h = (h ^ (unsigned char)id.p[i]) * 1099511628211u;
    for (size_t at = h & seen->mask;; at = (at + 1) & seen->mask) {
        if (!seen->slots[at].p) {
            seen->slots[at] = id;
            return true;
        }
        if (slice_eq(seen->slots[at], id))
            return false;
    }
}

static bool seen_make(struct script *s, struct arena *a, struct seen *ret)
{
    size_t calls = 1, slots = 16;
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < s->messages[i].n; k++)
            calls += s->messages[i].items[k].part->kind == PART_CALL;
    while (slots < 2 * calls)
        slots *= 2;
    *ret = (struct seen){arena_array(a, slots, sizeof(struct slice)), slots - 1};
    return ret->slots != NULL;
}

/* The id that a call is sent with: its own where it can be, else one that is made of it and how often it was there. */
static bool give_id(const struct script *s, struct arena *a, struct seen *seen, struct item *call)
{
    call->id = call->part->id;
    if (id_is_taken_by_server(s, call->id) && seen_add(seen, call->id))
        return true;
    for (unsigned again = 0;; again++) {
        char hex[HASH_HEX + 1], number[16] = {0};
        memcpy(number, &again, sizeof again);
        struct hash h = hash_of2(call->part->id, (struct slice){number, sizeof number});
        hash_hex(&h, hex);
        char *id = script_has(s, QUIRK_ID_NINE) ? arena_printf(a, "%.9s", hex) : arena_printf(a, "call_%.24s", hex);
        if (!id)
            return false;
        call->id = slice_of(id);
        if (seen_add(seen, call->id))
            return true;
    }
}

static bool give_name(struct arena *a, struct item *call)
{
    struct slice name = slice_sub(call->part->name, 0, REQUEST_TOOL_NAME_MAX);
    char *p = arena_str(a, name.n ? name : SLICE("unknown"));
    if (!p)
        return false;
    for (char *c = p; *c; c++)
        if (!is_word_char(*c))
            *c = '_';
    call->name = p[0] ? slice_of(p) : SLICE("unknown");
    return true;
}

static bool name_calls(struct script *s, struct arena *a, struct message *m, struct seen *seen)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->items[i].part->kind == PART_CALL) {
            s->has_calls = true;
            if (!give_id(s, a, seen, &m->items[i]) || !give_name(a, &m->items[i]))
                return false;
        }
    return true;
}

/* ---- pairing ---- */

static const struct transcript_part no_result = {
    .kind = PART_RESULT, .text = SLICE_INIT(REQUEST_NO_RESULT), .is_error = true};
static const struct transcript_part opening = {.kind = PART_TEXT, .text = SLICE_INIT(REQUEST_OPENING)};

/* The first result for a call that no other call has taken; what is taken gets an id. */
static const struct transcript_part *take_result(struct message *from, const struct item *call)
{
    for (size_t i = 0; from && i < from->n; i++) {
        struct item *it = &from->items[i];
        if (it->part->kind == PART_RESULT && !it->id.n && slice_eq(it->part->id, call->part->id)) {
            it->id = call->id;
            return it->part;
        }
    }
    return NULL;
}

/* `to` becomes: a result for each call of `calls`, in their order, then what else `from` has. `from` may be NULL. */
static bool answer(struct script *s, struct arena *a, const struct message *calls, struct message *from, struct message *to)
{
    for (size_t i = 0; calls && i < calls->n; i++) {
        const struct item *call = &calls->items[i];
        if (call->part->kind != PART_CALL)
            continue;
        const struct transcript_part *result = take_result(from, call);
        s->filled += !result;
        if (!add_item(to, a, (struct item){ITEM_PART, result ? result : &no_result, call->id, call->name, false}))
            return false;
    }
    for (size_t i = 0; from && i < from->n; i++) {
        struct item it = from->items[i];
        if (it.part->kind == PART_RESULT && it.id.n)
            continue;
        if (it.part->kind == PART_RESULT)
            it.kind = ITEM_STRAY;
        if (!add_item(to, a, it))
            return false;
    }
    return true;
}

static bool has_call(const struct message *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->items[i].part->kind == PART_CALL)
            return true;
    return false;
}

/* Copies the messages, with what was missing between them. */
static bool pair(struct script *s, struct arena *a)
{
    struct message *old = s->messages, *m;
    size_t n = s->n;
    struct seen seen;
    if (!seen_make(s, a, &seen))
        return false;
    s->messages = NULL;
    s->n = s->cap = 0;
    if (n && old[0].role == TURN_ASSISTANT &&
        (!(m = add_message(s, a, TURN_USER)) || !add_item(m, a, (struct item){.kind = ITEM_PART, .part = &opening})))
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct message *before = i && old[i - 1].role == TURN_ASSISTANT ? &old[i - 1] : NULL;
        if (!(m = add_message(s, a, old[i].role)))
            return false;
        if (old[i].role == TURN_USER) {
            if (!answer(s, a, before, &old[i], m))
                return false;
            continue;
        }
        if (!name_calls(s, a, &old[i], &seen))
            return false;
        *m = old[i];
        if (i + 1 == n && has_call(&old[i]) && (!(m = add_message(s, a, TURN_USER)) || !answer(s, a, &old[i], NULL, m)))
            return false;
    }
    return true;
}

/* ---- cache marks ---- */

static void place_marks(struct script *s)
{
    int left = 4;
    s->tools_mark = s->t->options.cache_tools && s->t->ntools && left-- > 0;
    for (size_t i = 0; i < s->t->nsystem; i++)
        s->system_mark[i] = s->t->system_cache[i] && !is_blank(s->t->system[i]) && left > 0 && left--;
    for (size_t i = s->n; i-- > 0;)
        for (size_t k = s->messages[i].n; left > 0 && k-- > 0;) {
            struct item *it = &s->messages[i].items[k];
            it->mark = it->part->cache && it->part->kind != PART_REASONING;
            left -= it->mark;
        }
}

/* ---- all of it ---- */

/* Whether all texts together are below what a body may have, so that nothing that is made of them can wrap. */
static bool is_bounded(const struct transcript *t)
{
    size_t left = REQUEST_BYTES_MAX;
#define TAKE(s) \
    if ((s).n > left) \
        return false; \
    left -= (s).n
    for (size_t i = 0; i < t->nsystem; i++) {
        TAKE(t->system[i]);
    }
    for (size_t i = 0; i < t->ntools; i++) {
        TAKE(t->tools[i].description);
        TAKE(t->tools[i].schema);
    }
    for (size_t i = 0; i < t->nturns; i++)
        for (size_t k = 0; k < t->turns[i].n; k++) {
            TAKE(t->turns[i].parts[k].text);
            TAKE(t->turns[i].parts[k].opaque);
            TAKE(t->turns[i].parts[k].id);
        }
#undef TAKE
    return true;
}

static void count_images(struct script *s)
{
    for (size_t i = 0; !script_has(s, QUIRK_NO_IMAGES) && i < s->n; i++)
        for (size_t k = 0; k < s->messages[i].n; k++)
            s->images += s->messages[i].items[k].part->kind == PART_IMAGE;
}

enum err script_make(struct script *s, struct arena *a, struct error *e)
{
    if (!is_bounded(s->t))
        return error_set(e, ERR_LIMIT, "the conversation is longer than the %d bytes that a request may have", REQUEST_BYTES_MAX);
    if (!group(s, a) || !pair(s, a))
        return error_set(e, ERR_MEMORY, "no memory for a request of %zu turns", s->t->nturns);
    if (s->n == 0)
        return error_set(e, ERR_USAGE, "there is nothing to say: the conversation has no words yet");
    place_marks(s);
    count_images(s);
    return OK;
}
