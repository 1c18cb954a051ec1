#include "infer/lexicon.h"

#include <stdlib.h>
#include <string.h>

#include "base/sys.h"

struct word {
    struct slice bytes;
    int32_t token;
};

static int by_bytes(const void *a, const void *b)
{
    const struct word *x = a, *y = b;
    int c = slice_cmp(x->bytes, y->bytes);
    return c ? c : x->token < y->token ? -1 : 1;
}

static bool is_plain(struct slice s)
{
    if (!slice_is_utf8(s))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == '"' || s.p[i] == '\\')
            return false;
    return true;
}

static size_t common(struct slice a, struct slice b)
{
    size_t n = 0;
    while (n < a.n && n < b.n && a.p[n] == b.p[n])
        n++;
    return n;
}

/* ---- making ---- */

/* The first word's bytes from `depth` on become nodes; nodes of the way to the last word that are not on it end here. */
static void add_word(struct tree *t, const struct word *w, size_t shared, uint32_t *open)
{
    for (size_t depth = shared; depth < w->bytes.n; depth++) {
        open[depth] = (uint32_t)t->n;
        t->leaves[t->n++] = (struct leaf){.token = -1, .byte = (uint8_t)w->bytes.p[depth], .depth = (uint8_t)(depth + 1)};
    }
    if (t->leaves[open[w->bytes.n - 1]].token < 0)
        t->leaves[open[w->bytes.n - 1]].token = w->token;
}

static void close_from(struct tree *t, size_t from, size_t to, const uint32_t *open)
{
    for (size_t depth = from; depth < to; depth++)
        t->leaves[open[depth]].next = (uint32_t)t->n;
}

static bool make_tree(const struct word *words, size_t n, struct tree *ret)
{
    uint32_t open[LEXICON_TOKEN_MAX];
    size_t nodes = 1, last = 0;
    for (size_t i = 0; i < n; i++)
        nodes += words[i].bytes.n - (i ? common(words[i - 1].bytes, words[i].bytes) : 0);
    ret->leaves = sys->realloc(NULL, nodes * sizeof *ret->leaves);
    for (size_t i = 0; ret->leaves && i < n; i++) {
        size_t shared = i ? common(words[i - 1].bytes, words[i].bytes) : 0;
        close_from(ret, shared, last, open);
        add_word(ret, &words[i], shared, open);
        last = words[i].bytes.n;
    }
    if (ret->leaves)
        close_from(ret, 0, last, open);
    return ret->leaves != NULL;
}

struct making {
    struct lexicon *l;
    struct buf bytes;
    size_t *end; /* of each token in bytes */
    struct word *words; /* plain ones from the front, others from the back */
    size_t vocab, nplain, nother;
};

static void note_token(struct making *m, const struct vocab *v, int32_t id)
{
    struct lexicon *l = m->l;
    size_t start = m->bytes.n;
    if (vocab_is_end(v, id)) {
        if (l->nends < LEXICON_ENDS_MAX)
            l->ends[l->nends++] = id;
    } else {
        vocab_decode(v, id, &m->bytes);
    }
    if (m->bytes.n - start > LEXICON_TOKEN_MAX)
        m->bytes.n = start;
    m->end[id] = m->bytes.n;
}

static void sort_out(struct making *m, int32_t id)
{
    struct lexicon *l = m->l;
    size_t start = id ? m->end[id - 1] : 0;
    struct slice s = slice_sub(buf_slice(&m->bytes), start, m->end[id] - start);
    size_t at = slice_find(s, l->mark, 0);
    if (!s.n)
        return;
    l->mark_in_token = l->mark_in_token || at < s.n;
    l->mark_in_longer_token = l->mark_in_longer_token || (at < s.n && at + l->mark.n < s.n);
    if (!is_plain(s)) {
        m->words[m->vocab - ++m->nother] = (struct word){s, id};
        return;
    }
    m->words[m->nplain++] = (struct word){s, id};
    l->plain_bits[id / 64] |= UINT64_C(1) << id % 64;
    l->longest_plain = s.n > l->longest_plain ? s.n : l->longest_plain;
}

static bool make(struct making *m, const struct vocab *v)
{
    struct lexicon *l = m->l;
    l->words = (m->vocab + 63) / 64;
    l->plain_bits = sys->realloc(NULL, l->words * sizeof *l->plain_bits);
    m->end = sys->realloc(NULL, m->vocab * sizeof *m->end);
    m->words = sys->realloc(NULL, m->vocab * sizeof *m->words);
    if (!l->plain_bits || !m->end || !m->words)
        return false;
    memset(l->plain_bits, 0, l->words * sizeof *l->plain_bits);
    for (size_t id = 0; id < m->vocab; id++)
        note_token(m, v, (int32_t)id);
    if (!buf_ok(&m->bytes))
        return false;
    for (size_t id = 0; id < m->vocab; id++)
        sort_out(m, (int32_t)id);
    struct word *others = m->words + m->vocab - m->nother;
    qsort(m->words, m->nplain, sizeof *m->words, by_bytes);
    qsort(others, m->nother, sizeof *others, by_bytes);
    return make_tree(m->words, m->nplain, &l->plain) && make_tree(others, m->nother, &l->other);
}

enum err lexicon_new(const struct vocab *v, size_t vocab, struct slice mark, struct lexicon **ret, struct error *e)
{
    struct making m = {.l = sys->realloc(NULL, sizeof *m.l), .bytes = BUF_INIT(64 << 20), .vocab = vocab};
    if (m.l)
        *m.l = (struct lexicon){.mark = mark};
    bool made = m.l && make(&m, v);
    buf_release(&m.bytes);
    sys->free(m.end);
    sys->free(m.words);
    if (!made) {
        lexicon_free(m.l);
        return error_set(e, ERR_MEMORY, "not enough memory for the tokens by their bytes");
    }
    *ret = m.l;
    return OK;
}

void lexicon_free(struct lexicon *l)
{
    if (!l)
        return;
    sys->free(l->plain.leaves);
    sys->free(l->other.leaves);
    sys->free(l->plain_bits);
    sys->free(l);
}

/* ---- spelling ---- */

/* The longest token at the beginning of `s`: its length, 0 where there is none. */
static size_t longest(const struct tree *t, struct slice s, int32_t *ret)
{
    size_t found = 0, at = 0, end = t->n;
    for (size_t depth = 0; depth < s.n; depth++) {
        while (at < end && t->leaves[at].byte != (unsigned char)s.p[depth])
            at = t->leaves[at].next;
        if (at >= end)
            break;
        if (t->leaves[at].token >= 0) {
            *ret = t->leaves[at].token;
            found = depth + 1;
        }
        end = t->leaves[at].next;
        at++;
    }
    return found;
}

bool lexicon_spell(const struct lexicon *l, struct slice bytes, struct tokens *to, size_t *ret_n)
{
    size_t n = 0;
    for (size_t length; bytes.n; bytes = slice_sub(bytes, length, bytes.n), n++) {
        int32_t plain = -1, other = -1;
        size_t a = longest(&l->plain, bytes, &plain), b = longest(&l->other, bytes, &other);
        length = a > b ? a : b;
        if (!length)
            return false;
        if (to)
            tokens_add(to, a > b ? plain : other);
    }
    *ret_n = n;
    return true;
}
