#include "infer/grammar.h"

#include <string.h>

#include "base/sys.h"

enum { TEXT_MAX = 1 << 20, FORCED_MAX = 4096 };

enum phase {
    IN_TEXT,    /* `at` bytes of the mark are what it ends in */
    IN_OPEN,    /* `at` bytes of CALL_OPEN have come */
    IN_CALL,
    IN_CLOSE,   /* `at` bytes of CALL_CLOSE have come */
    AFTER_CALL,
    AFTER_LINE, /* and a line end */
};

struct state {
    enum phase phase;
    size_t at, calls;
    struct automaton call;
};

struct grammar {
    const struct tools *tools;
    const struct lexicon *lexicon;
    const struct vocab *vocab;
    enum grammar_choice choice;
    struct state now;
    struct state *walk;   /* [LEXICON_TOKEN_MAX + 1], of the bytes of a token */
    uint64_t *allowed;
    struct buf bytes;     /* of the token that is looked at */
    struct buf text;      /* of the phase IN_TEXT, with what may become a mark */
    struct buf calls;     /* all calls, one behind the other */
    size_t ends[GRAMMAR_CALLS_MAX]; /* of each in it */
    bool shortened;
};

/* ---- the automaton around the calls ---- */

static void copy_state(struct state *to, const struct state *from)
{
    to->phase = from->phase;
    to->at = from->at;
    to->calls = from->calls;
    if (from->phase == IN_CALL)
        automaton_copy(&to->call, &from->call);
}

/* The mark begins with its only '<', so a byte that does not go on with it can only begin it anew. */
static bool text_step(const struct grammar *g, struct state *to, unsigned char c)
{
    struct slice mark = SLICE(CALL_MARK);
    to->at = c == (unsigned char)mark.p[to->at] ? to->at + 1 : c == '<';
    if (to->at < mark.n)
        return true;
    to->phase = IN_OPEN;
    return g->choice != CHOICE_NONE;
}

static bool open_step(const struct grammar *g, struct state *to, unsigned char c)
{
    struct slice open = SLICE(CALL_OPEN);
    bool fits = c == (unsigned char)open.p[to->at++];
    if (to->at == open.n) {
        to->phase = IN_CALL;
        automaton_start(&to->call, g->tools->call);
    }
    return fits;
}

static bool call_step(const struct grammar *g, const struct state *from, struct state *to, unsigned char c)
{
    bool fits = automaton_step(&g->tools->schema, &from->call, c, &to->call);
    if (fits && automaton_ended(&to->call)) {
        to->phase = IN_CLOSE;
        to->at = 0;
    }
    return fits;
}

static bool close_step(struct state *to, unsigned char c)
{
    struct slice close = SLICE(CALL_CLOSE);
    bool fits = c == (unsigned char)close.p[to->at++];
    if (to->at == close.n) {
        to->phase = AFTER_CALL;
        to->calls++;
    }
    return fits;
}

/* One byte more; `to` is not `from`. */
static bool state_step(const struct grammar *g, const struct state *from, unsigned char c, struct state *to)
{
    to->phase = from->phase;
    to->at = from->at;
    to->calls = from->calls;
    switch (from->phase) {
    case IN_TEXT: return text_step(g, to, c);
    case IN_OPEN: return open_step(g, to, c);
    case IN_CALL: return call_step(g, from, to, c);
    case IN_CLOSE: return close_step(to, c);
    case AFTER_CALL:
        to->phase = AFTER_LINE;
        return c == '\n' && from->calls < GRAMMAR_CALLS_MAX;
    case AFTER_LINE:
        to->phase = IN_OPEN;
        to->at = 1;
        return c == CALL_MARK[0];
    }
    return false;
}

static bool may_end(const struct state *s)
{
    return s->phase == IN_TEXT || s->phase == AFTER_CALL || s->phase == AFTER_LINE;
}

/* The shortest end of the call that is under way, appended to `to`, which may be NULL; 0 where there is none. */
static size_t state_close(const struct grammar *g, const struct state *s, struct buf *to)
{
    struct slice open = SLICE(CALL_OPEN), close = SLICE(CALL_CLOSE), part = SLICE_NONE;
    size_t bytes = 0;
    if (may_end(s))
        return 0;
    if (s->phase == IN_OPEN)
        part = slice_sub(open, s->at, open.n);
    if (to)
        buf_add(to, part);
    bytes += part.n;
    if (s->phase == IN_OPEN)
        bytes += automaton_least(&g->tools->schema, g->tools->call, to);
    else if (s->phase == IN_CALL)
        bytes += automaton_close(&g->tools->schema, &s->call, to);
    part = slice_sub(close, s->phase == IN_CLOSE ? s->at : 0, close.n);
    if (to)
        buf_add(to, part);
    return bytes + part.n;
}

static bool state_fits(const struct grammar *g, const struct state *s, size_t left)
{
    size_t tokens = 0;
    if (state_close(g, s, NULL) <= left) /* a token has a byte at least */
        return true;
    BUF_CLEANUP struct buf end = BUF_INIT(TEXT_MAX);
    state_close(g, s, &end);
    return buf_ok(&end) && lexicon_spell(g->lexicon, buf_slice(&end), NULL, &tokens) && tokens <= left;
}

/* ---- making ---- */

enum err grammar_new(const struct tools *t, const struct lexicon *l, const struct vocab *v, enum grammar_choice choice,
                     struct grammar **ret, struct error *e)
{
    struct grammar *g = sys->realloc(NULL, sizeof *g);
    if (!g)
        return error_set(e, ERR_MEMORY, "not enough memory for the tools' grammar");
    *g = (struct grammar){.tools = t, .lexicon = l, .vocab = v, .choice = choice, .bytes = BUF_INIT(1 << 16),
                          .text = BUF_INIT(TEXT_MAX), .calls = BUF_INIT(TEXT_MAX)};
    g->now.phase = choice == CHOICE_ANY ? IN_OPEN : IN_TEXT;
    g->walk = sys->realloc(NULL, (LEXICON_TOKEN_MAX + 1) * sizeof *g->walk);
    g->allowed = sys->realloc(NULL, l->words * sizeof *g->allowed);
    if (!g->walk || !g->allowed) {
        grammar_free(g);
        return error_set(e, ERR_MEMORY, "not enough memory for the tools' grammar");
    }
    *ret = g;
    return OK;
}

void grammar_free(struct grammar *g)
{
    if (!g)
        return;
    buf_release(&g->bytes);
    buf_release(&g->text);
    buf_release(&g->calls);
    sys->free(g->walk);
    sys->free(g->allowed);
    sys->free(g);
}

/* ---- which tokens ---- */

static void walk(struct grammar *g, const struct tree *t)
{
    for (uint32_t i = 0; i < t->n; ) {
        const struct leaf *leaf = &t->leaves[i];
        if (!state_step(g, &g->walk[leaf->depth - 1], leaf->byte, &g->walk[leaf->depth])) {
            i = leaf->next;
            continue;
        }
        if (leaf->token >= 0)
            g->allowed[leaf->token / 64] |= UINT64_C(1) << leaf->token % 64;
        i++;
    }
}

const uint64_t *grammar_allowed(struct grammar *g)
{
    const struct lexicon *l = g->lexicon;
    bool cannot_break = g->choice == CHOICE_NONE ? !l->mark_in_token : !l->mark_in_longer_token;
    if (g->now.phase == IN_TEXT && g->now.at == 0 && cannot_break)
        return NULL;
    bool all_plain = g->now.phase == IN_CALL && automaton_room(&g->tools->schema, &g->now.call) >= l->longest_plain;
    copy_state(&g->walk[0], &g->now);
    if (all_plain)
        memcpy(g->allowed, l->plain_bits, l->words * sizeof *g->allowed);
    else
        memset(g->allowed, 0, l->words * sizeof *g->allowed);
    if (!all_plain)
        walk(g, &l->plain);
    walk(g, &l->other);
    for (size_t i = 0; may_end(&g->now) && i < l->nends; i++)
        g->allowed[l->ends[i] / 64] |= UINT64_C(1) << l->ends[i] % 64;
    return g->allowed;
}

/* ---- taking ---- */

/* What a byte was that brought `from` to `to`. */
static void keep(struct grammar *g, const struct state *from, const struct state *to, char c)
{
    if (from->phase == IN_TEXT)
        buf_add_char(&g->text, c);
    if (from->phase == IN_TEXT && to->phase == IN_OPEN)
        g->text.n -= buf_ok(&g->text) ? SLICE(CALL_MARK).n : 0;
    if (from->phase == IN_CALL)
        buf_add_char(&g->calls, c);
    if (from->phase == IN_CALL && to->phase == IN_CALL && automaton_full(&g->tools->schema, &to->call))
        g->shortened = true;
    if (to->calls > from->calls)
        g->ends[from->calls] = g->calls.n;
    if (from->phase != IN_OPEN && to->phase == IN_OPEN)
        g->shortened = false; /* it is said of the last one */
}

static bool take_bytes(struct grammar *g, struct slice bytes)
{
    for (size_t i = 0; i < bytes.n; i++) {
        struct state *next = &g->walk[0];
        if (!state_step(g, &g->now, (unsigned char)bytes.p[i], next))
            return false;
        keep(g, &g->now, next, bytes.p[i]);
        copy_state(&g->now, next);
    }
    return buf_ok(&g->text) && buf_ok(&g->calls);
}

/* The state behind the bytes, in walk[]; NULL where they may not come. */
static const struct state *look_ahead(struct grammar *g, struct slice bytes)
{
    if (bytes.n > LEXICON_TOKEN_MAX)
        return NULL;
    copy_state(&g->walk[0], &g->now);
    for (size_t i = 0; i < bytes.n; i++)
        if (!state_step(g, &g->walk[i], (unsigned char)bytes.p[i], &g->walk[i + 1]))
            return NULL;
    return &g->walk[bytes.n];
}

bool grammar_take(struct grammar *g, int32_t token, size_t left)
{
    buf_reset(&g->bytes);
    vocab_decode(g->vocab, token, &g->bytes);
    /* In text any token will do, also one without bytes and one that is too long to be looked up. */
    if (g->now.phase == IN_TEXT && g->now.at == 0 && !grammar_allowed(g) && g->bytes.n > LEXICON_TOKEN_MAX)
        return take_bytes(g, buf_slice(&g->bytes));
    const struct state *next = look_ahead(g, buf_slice(&g->bytes));
    if (!next || !state_fits(g, next, left) || (!g->bytes.n && g->now.phase != IN_TEXT))
        return false;
    return take_bytes(g, buf_slice(&g->bytes));
}

/* The only byte that may come next, or -1. */
static int only_byte(const struct grammar *g, const struct state *s, struct state *ret)
{
    int found = -1;
    struct state *next = &g->walk[LEXICON_TOKEN_MAX];
    for (int c = 0; c < 256 && !may_end(s); c++) {
        if (!state_step(g, s, (unsigned char)c, next))
            continue;
        if (found >= 0)
            return -1;
        found = c;
        copy_state(ret, next);
    }
    return found;
}

void grammar_forced(struct grammar *g, struct vocab *v, size_t left, struct tokens *to)
{
    BUF_CLEANUP struct buf run = BUF_INIT(FORCED_MAX);
    struct state *s = &g->walk[0], *next = &g->walk[1];
    copy_state(s, &g->now);
    for (int c; run.n < FORCED_MAX && (c = only_byte(g, s, next)) >= 0; copy_state(s, next))
        buf_add_char(&run, (char)c);
    size_t start = to->n, at = 0, kept = 0;
    vocab_encode(v, buf_slice(&run), to);
    /* What was cut within a character is not what the tokens stand for. */
    for (; start + kept + 1 < to->n && kept < left && !to->failed; kept++) {
        buf_reset(&g->bytes);
        vocab_decode(g->vocab, to->id[start + kept], &g->bytes);
        if (!g->bytes.n || !slice_eq(slice_sub(buf_slice(&run), at, g->bytes.n), buf_slice(&g->bytes)))
            break;
        at += g->bytes.n;
    }
    to->n = to->failed ? to->n : start + kept;
}

bool grammar_fits(const struct grammar *g, size_t left)
{
    return state_fits(g, &g->now, left);
}

void grammar_close(struct grammar *g, struct tokens *to)
{
    BUF_CLEANUP struct buf end = BUF_INIT(TEXT_MAX);
    size_t tokens;
    state_close(g, &g->now, &end);
    if (!end.n || !buf_ok(&end) || !lexicon_spell(g->lexicon, buf_slice(&end), to, &tokens))
        return;
    g->shortened = take_bytes(g, buf_slice(&end));
}

/* ---- what has been said ---- */

bool grammar_may_end(const struct grammar *g)
{
    return may_end(&g->now);
}

struct slice grammar_text(const struct grammar *g)
{
    return slice_sub(buf_slice(&g->text), 0, g->text.n - (g->now.phase == IN_TEXT ? g->now.at : 0));
}

size_t grammar_calls(const struct grammar *g)
{
    return g->now.calls;
}

struct said_call grammar_call(const struct grammar *g, size_t i)
{
    size_t start = i ? g->ends[i - 1] : 0;
    struct slice call = slice_sub(buf_slice(&g->calls), start, g->ends[i] - start);
    const struct node *n = &g->tools->schema.nodes[g->tools->call];
    for (size_t k = 0; k < n->n; k++) { /* no key's text begins another's */
        size_t begins = n->keys[k].text.n;
        if (slice_starts(call, n->keys[k].text))
            return (struct said_call){g->tools->names[k], slice_sub(call, begins, call.n - begins - 1)};
    }
    ASSERT(!"a call is of some tool"); /* K1 */
    return (struct said_call){SLICE_NONE, SLICE_NONE};
}

bool grammar_shortened(const struct grammar *g)
{
    return g->shortened && g->now.calls;
}
