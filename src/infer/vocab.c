#include "infer/vocab.h"

#include <string.h>

#include "base/sys.h"
#include "infer/unicode.h"

/* token text -> id, and pair of ids -> merge; both open addressing, a power of two, at most half full */
struct merge {
    int32_t left, right; /* left < 0: empty */
    int32_t rank, joined;
};

struct symbol {
    int32_t id; /* -1: no token for this byte */
    int32_t before, after;
};

/* A pair that may be joined, in a heap with the lowest rank on top, leftmost first. */
struct candidate {
    int32_t rank, at;          /* at: the symbol on the left */
    int32_t left, right;       /* ids when this was found; stale if they have changed */
    int32_t joined;
};

enum { SYMBOLS_MAX = 3 * VOCAB_PIECE_MAX }; /* a wrong byte becomes the three of U+FFFD */

struct vocab {
    struct arena memory;
    struct slice *token; /* [n], as in the file: in the byte alphabet */
    const struct gguf_key *types;
    size_t n;
    int32_t *ids;
    size_t ids_mask;
    struct merge *merges;
    size_t merges_mask;
    int32_t byte_id[256];
    int16_t byte_of[0x144]; /* code point of the byte alphabet -> byte, or -1 */
    bool lone_digits;
    int32_t start, end, end_of_text;
    struct symbol *symbol;
    struct candidate *heap;
    size_t heaped;
};

/* ---- lists of tokens ---- */

void tokens_release(struct tokens *t)
{
    sys->free(t->id);
    *t = (struct tokens){0};
}

void tokens_add(struct tokens *t, int32_t id)
{
    if (t->n == t->cap && !t->failed) {
        size_t cap = t->cap ? 2 * t->cap : 256;
        int32_t *p = sys->realloc(t->id, cap * sizeof *p);
        t->failed = !p;
        if (p) {
            t->id = p;
            t->cap = cap;
        }
    }
    if (!t->failed)
        t->id[t->n++] = id;
}

/* ---- characters and pieces ---- */

size_t vocab_character(struct slice s, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)s.p;
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf8 ? 4 : 0;
    uint32_t c = n == 1 ? p[0] : n ? p[0] & (0x7f >> n) : 0;
    bool good = n && n <= s.n;
    for (size_t i = 1; good && i < n; i++) {
        good = (p[i] & 0xc0) == 0x80;
        c = c << 6 | (p[i] & 0x3f);
    }
    good = good && c >= least[n] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
    *ret = good ? c : 0xfffd;
    return good ? n : 1;
}

/* What stands at a place of the text, for the rules below. */
struct look {
    enum unicode_class class;
    size_t n;   /* bytes of the character */
    bool inside; /* false behind the end, or behind the end of what a digit of its own bounds */
};

static struct look look(const struct vocab *v, struct slice s, size_t at)
{
    uint32_t c;
    if (at >= s.n)
        return (struct look){0};
    struct look l = {.inside = true, .n = vocab_character(slice_sub(s, at, s.n), &c)};
    l.class = unicode_class(c);
    l.inside = !(v->lone_digits && l.class == UNICODE_NUMBER);
    return l;
}

static size_t contraction(struct slice s)
{
    static const char *const endings[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (slice_starts(s, slice_of(endings[i])))
            return strlen(endings[i]);
    return 0;
}

/* The end of a run of characters of one class that starts at `at`. */
static size_t run_end(const struct vocab *v, struct slice s, size_t at, enum unicode_class class)
{
    while (at < VOCAB_PIECE_MAX - 4) {
        struct look l = look(v, s, at);
        if (!l.inside || l.class != class)
            break;
        at += l.n;
    }
    return at;
}

/*
 * The rule of GPT-2, whose pattern is
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * and, where `lone_digits`, each number character is cut out first and bounds what is left and right of it.
 */
static size_t piece_length(const struct vocab *v, struct slice s)
{
    struct look here = look(v, s, 0);
    if (!here.inside)
        return here.n;
    size_t n = contraction(s);
    if (n)
        return n;
    size_t start = s.p[0] == ' ';
    struct look next = start ? look(v, s, 1) : here;
    if (next.inside && next.class != UNICODE_BLANK)
        return run_end(v, s, start, next.class);
    size_t end = run_end(v, s, 0, UNICODE_BLANK), last = 0;
    if (!look(v, s, end).inside)
        return end;
    for (size_t at = 0; at < end; at += look(v, s, at).n)
        last = at;
    return last ? last : end; /* the last blank goes with what follows */
}

bool vocab_piece(const struct vocab *v, struct slice *rest, struct slice *ret_piece)
{
    if (!rest->n)
        return false;
    size_t n = piece_length(v, *rest);
    *ret_piece = slice_sub(*rest, 0, n);
    *rest = slice_sub(*rest, n, rest->n);
    return true;
}

/* ---- joining ---- */

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0x9e3779b97f4a7c15u;
    return x ^ x >> 29;
}

static uint64_t hash_text(struct slice s)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
    return mix(h);
}

static struct merge *merge_slot(const struct vocab *v, int32_t left, int32_t right)
{
    size_t i = mix((uint64_t)(uint32_t)left << 32 | (uint32_t)right) & v->merges_mask;
    while (v->merges[i].left >= 0 && (v->merges[i].left != left || v->merges[i].right != right))
        i = (i + 1) & v->merges_mask;
    return &v->merges[i];
}

static bool before(const struct candidate *a, const struct candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_push(struct vocab *v, struct candidate c)
{
    size_t i = v->heaped++;
    for (; i && before(&c, &v->heap[(i - 1) / 2]); i = (i - 1) / 2)
        v->heap[i] = v->heap[(i - 1) / 2];
    v->heap[i] = c;
}

static struct candidate heap_pop(struct vocab *v)
{
    struct candidate top = v->heap[0], last = v->heap[--v->heaped];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < v->heaped; i = child) {
        if (child + 1 < v->heaped && before(&v->heap[child + 1], &v->heap[child]))
            child++;
        if (!before(&v->heap[child], &last))
            break;
        v->heap[i] = v->heap[child];
    }
    v->heap[i] = last;
    return top;
}

static void consider(struct vocab *v, int32_t at)
{
    const struct symbol *s = &v->symbol[at];
    if (s->after < 0 || s->id < 0 || v->symbol[s->after].id < 0)
        return;
    int32_t right = v->symbol[s->after].id;
    const struct merge *m = merge_slot(v, s->id, right);
    if (m->left >= 0)
        heap_push(v, (struct candidate){m->rank, at, s->id, right, m->joined});
}

static void join_symbols(struct vocab *v)
{
    while (v->heaped) {
        struct candidate c = heap_pop(v);
        struct symbol *left = &v->symbol[c.at];
        if (left->id != c.left || left->after < 0 || v->symbol[left->after].id != c.right)
            continue; /* one of the two has been joined with another */
        struct symbol *right = &v->symbol[left->after];
        left->id = c.joined;
        right->id = -1;
        left->after = right->after;
        if (left->after >= 0)
            v->symbol[left->after].before = c.at;
        if (left->before >= 0)
            consider(v, left->before);
        consider(v, c.at);
    }
}

static size_t add_bytes(struct vocab *v, size_t n, struct slice bytes)
{
    for (size_t i = 0; i < bytes.n; i++, n++)
        v->symbol[n] = (struct symbol){v->byte_id[(unsigned char)bytes.p[i]], (int32_t)n - 1, (int32_t)n + 1};
    return n;
}

void vocab_encode_piece(struct vocab *v, struct slice piece, struct tokens *to)
{
    size_t n = 0;
    uint32_t c;
    piece = slice_sub(piece, 0, VOCAB_PIECE_MAX);
    for (size_t at = 0, length; at < piece.n; at += length) {
        length = vocab_character(slice_sub(piece, at, piece.n), &c);
        bool wrong = c == 0xfffd && length == 1;
        n = add_bytes(v, n, wrong ? SLICE("\xef\xbf\xbd") : slice_sub(piece, at, length));
    }
    if (!n)
        return;
    v->symbol[n - 1].after = -1;
    v->heaped = 0;
    for (size_t i = 0; i + 1 < n; i++)
        consider(v, (int32_t)i);
    join_symbols(v);
    for (int32_t i = 0; i >= 0; i = v->symbol[i].after)
        if (v->symbol[i].id >= 0)
            tokens_add(to, v->symbol[i].id);
}

void vocab_encode(struct vocab *v, struct slice text, struct tokens *to)
{
    struct slice piece;
    while (vocab_piece(v, &text, &piece))
        vocab_encode_piece(v, piece, to);
}

size_t vocab_count(struct vocab *v, struct slice text)
{
    TOKENS_CLEANUP struct tokens t = {0};
    struct slice piece;
    size_t n = 0;
    while (vocab_piece(v, &text, &piece)) {
        t.n = 0;
        vocab_encode_piece(v, piece, &t);
        n += t.failed ? piece.n : t.n; /* without memory: never too few */
    }
    return n;
}

/* ---- tokens by text, text of tokens ---- */

int32_t vocab_find(const struct vocab *v, struct slice token)
{
    size_t i = hash_text(token) & v->ids_mask;
    while (v->ids[i] >= 0 && !slice_eq(v->token[v->ids[i]], token))
        i = (i + 1) & v->ids_mask;
    return v->ids[i];
}

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER, TYPE_UNUSED, TYPE_BYTE };

void vocab_decode(const struct vocab *v, int32_t id, struct buf *to)
{
    if (id < 0 || (size_t)id >= v->n)
        return;
    int32_t type = v->types ? gguf_item_i32(v->types, (uint64_t)id) : TYPE_NORMAL;
    if (type == TYPE_CONTROL || type == TYPE_UNKNOWN)
        return;
    struct slice s = v->token[id];
    uint32_t c;
    for (size_t at = 0, n; at < s.n; at += n) {
        n = vocab_character(slice_sub(s, at, s.n), &c);
        if (c < 0x144 && v->byte_of[c] >= 0)
            buf_add_char(to, (char)v->byte_of[c]);
        else
            buf_add(to, slice_sub(s, at, n));
    }
}

bool vocab_is_end(const struct vocab *v, int32_t id)
{
    return id >= 0 && (id == v->end || id == v->end_of_text);
}

int32_t vocab_start(const struct vocab *v)
{
    return v->start;
}

/* ---- reading the file ---- */

/* Printable characters of Latin-1 stand for themselves, the other bytes for U+0100 and up, in order. */
static void make_byte_alphabet(struct vocab *v)
{
    memset(v->byte_of, -1, sizeof v->byte_of);
    for (unsigned b = 0, other = 0; b < 256; b++) {
        bool itself = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        unsigned c = itself ? b : 256 + other++;
        char text[2] = {(char)c, 0};
        size_t n = 1;
        if (c >= 0x80) {
            text[0] = (char)(0xc0 | c >> 6);
            text[1] = (char)(0x80 | (c & 0x3f));
            n = 2;
        }
        v->byte_of[c] = (int16_t)b;
        v->byte_id[b] = vocab_find(v, (struct slice){text, n});
    }
}

static size_t table_size(size_t n)
{
    size_t size = 16;
    while (size < 2 * n)
        size *= 2;
    return size;
}

static enum err out_of_memory(struct error *e)
{
    return error_set(e, ERR_MEMORY, "not enough memory for the model's vocabulary");
}

static enum err read_tokens(const struct gguf *g, struct vocab *v, struct error *e)
{
    const struct gguf_key *k = gguf_key(g, "tokenizer.ggml.tokens");
    if (!k || k->kind != GGUF_ARRAY || k->item_kind != GGUF_STRING || !k->count || k->count > 1 << 18)
        return error_set(e, ERR_CORRUPT, "the model file has no usable vocabulary (tokenizer.ggml.tokens)");
    v->n = (size_t)k->count;
    v->types = gguf_key(g, "tokenizer.ggml.token_type");
    if (v->types && (v->types->kind != GGUF_ARRAY || v->types->item_kind != GGUF_I32 || v->types->count != k->count))
        return error_set(e, ERR_CORRUPT, "the model file's token types do not fit its tokens");
    size_t size = table_size(v->n);
    v->ids_mask = size - 1;
    v->token = arena_array(&v->memory, v->n, sizeof *v->token);
    v->ids = arena_array(&v->memory, size, sizeof *v->ids);
    if (!v->token || !v->ids)
        return out_of_memory(e);
    memset(v->ids, -1, size * sizeof *v->ids);
    struct slice rest = k->bytes;
    for (size_t id = 0; id < v->n; id++) {
        v->token[id] = gguf_next_string(&rest);
        if (vocab_find(v, v->token[id]) >= 0)
            continue; /* the first of two equal ones counts */
        size_t i = hash_text(v->token[id]) & v->ids_mask;
        while (v->ids[i] >= 0)
            i = (i + 1) & v->ids_mask;
        v->ids[i] = (int32_t)id;
    }
    return OK;
}

static enum err read_merge(struct vocab *v, struct slice text, size_t rank, char *both, struct error *e)
{
    size_t cut = text.n ? slice_find(text, SLICE(" "), 1) : 0; /* neither side is empty */
    struct slice left = slice_sub(text, 0, cut), right = slice_sub(text, cut + 1, text.n);
    if (!left.n || !right.n || text.n > GGUF_NAME_MAX)
        return error_set(e, ERR_CORRUPT, "merge %zu of the model's vocabulary is not two tokens", rank);
    memcpy(both, left.p, left.n);
    memcpy(both + left.n, right.p, right.n);
    struct merge m = {vocab_find(v, left), vocab_find(v, right), (int32_t)rank,
                      vocab_find(v, (struct slice){both, left.n + right.n})};
    if (m.left < 0 || m.right < 0 || m.joined < 0)
        return error_set(e, ERR_CORRUPT, "merge %zu of the model's vocabulary names a token that is not in it", rank);
    struct merge *slot = merge_slot(v, m.left, m.right);
    if (slot->left < 0)
        *slot = m;
    return OK;
}

static enum err read_merges(const struct gguf *g, struct vocab *v, struct error *e)
{
    const struct gguf_key *k = gguf_key(g, "tokenizer.ggml.merges");
    if (!k || k->kind != GGUF_ARRAY || k->item_kind != GGUF_STRING)
        return error_set(e, ERR_CORRUPT, "the model file has no list of merges (tokenizer.ggml.merges)");
    size_t size = table_size((size_t)k->count);
    v->merges_mask = size - 1;
    v->merges = arena_array(&v->memory, size, sizeof *v->merges);
    if (!v->merges)
        return out_of_memory(e);
    memset(v->merges, -1, size * sizeof *v->merges);
    struct slice rest = k->bytes;
    char both[GGUF_NAME_MAX];
    enum err err = OK;
    for (size_t i = 0; !err && i < k->count; i++)
        err = read_merge(v, gguf_next_string(&rest), i, both, e);
    return err;
}

static enum err read_rule(const struct gguf *g, struct vocab *v, struct error *e)
{
    static const char *const digits[] = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"};
    if (!slice_is(gguf_string(g, "tokenizer.ggml.model"), "gpt2"))
        return error_set(e, ERR_UNSUPPORTED, "the model's vocabulary is not byte-level BPE ('gpt2'), the only kind "
                                             "this build reads");
    struct slice rule = gguf_string(g, "tokenizer.ggml.pre");
    for (size_t i = 0; i < sizeof digits / sizeof *digits; i++)
        v->lone_digits = v->lone_digits || slice_is(rule, digits[i]);
    if (!v->lone_digits && !slice_is(rule, "gpt-2"))
        return error_set(e, ERR_UNSUPPORTED, "the model splits text by the rule '%s', which this build does not know",
                         gguf_printable(rule).text);
    return OK;
}

static int32_t special(const struct gguf *g, const struct vocab *v, const char *key)
{
    uint64_t id = gguf_number(g, key, UINT64_MAX);
    return id < v->n ? (int32_t)id : -1;
}

static enum err read_all(const struct gguf *g, struct vocab *v, struct error *e)
{
    enum err err = read_rule(g, v, e);
    if (!err)
        err = read_tokens(g, v, e);
    if (!err)
        err = read_merges(g, v, e);
    if (err)
        return err;
    make_byte_alphabet(v);
    v->start = gguf_bool(g, "tokenizer.ggml.add_bos_token", false) ? special(g, v, "tokenizer.ggml.bos_token_id") : -1;
    v->end = special(g, v, "tokenizer.ggml.eos_token_id");
    v->end_of_text = vocab_find(v, SLICE("<|endoftext|>"));
    v->symbol = arena_array(&v->memory, SYMBOLS_MAX, sizeof *v->symbol);
    v->heap = arena_array(&v->memory, 3 * SYMBOLS_MAX, sizeof *v->heap);
    return v->symbol && v->heap ? OK : out_of_memory(e);
}

enum err vocab_new(const struct gguf *g, struct vocab **ret, struct error *e)
{
    struct vocab *v = sys->realloc(NULL, sizeof *v);
    if (!v)
        return out_of_memory(e);
    *v = (struct vocab){.memory = ARENA_INIT(256 << 20)};
    enum err err = read_all(g, v, e);
    if (err) {
        vocab_free(v);
        return err;
    }
    *ret = v;
    return OK;
}

void vocab_free(struct vocab *v)
{
    if (!v)
        return;
    arena_release(&v->memory);
    sys->free(v);
}
