#include "infer/gguf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "infer/weights.h"

/* A cursor that never leaves the file: after a short read everything further is zero and `bad` stays set. */
struct cursor {
    struct slice rest;
    bool bad;
};

static struct slice take(struct cursor *c, uint64_t n)
{
    if (c->bad || n > c->rest.n) {
        c->bad = true;
        return SLICE_NONE;
    }
    struct slice s = {c->rest.p, (size_t)n};
    c->rest = (struct slice){c->rest.p + n, c->rest.n - (size_t)n};
    return s;
}

static uint64_t little(struct slice s)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++)
        v |= (uint64_t)(unsigned char)s.p[i] << (8 * i);
    return v;
}

static uint32_t take_u32(struct cursor *c)
{
    return (uint32_t)little(take(c, 4));
}

static uint64_t take_u64(struct cursor *c)
{
    return little(take(c, 8));
}

static struct slice take_string(struct cursor *c)
{
    return take(c, take_u64(c));
}

struct gguf_printable gguf_printable(struct slice s)
{
    struct gguf_printable r;
    size_t n = s.n < sizeof r.text - 1 ? s.n : sizeof r.text - 1;
    for (size_t i = 0; i < n; i++)
        r.text[i] = s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '?';
    r.text[n] = 0;
    return r;
}

static unsigned kind_bytes(uint32_t kind)
{
    static const unsigned char bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return kind < sizeof bytes ? bytes[kind] : 0;
}

uint64_t gguf_type_bytes(uint32_t type, uint64_t n)
{
    struct weight_format f = weight_format(type);
    return !f.weights || n % f.weights ? 0 : n / f.weights * f.bytes;
}

/* ---- keys ---- */

static enum err parse_array(struct cursor *c, struct gguf_key *k, struct error *e)
{
    k->item_kind = take_u32(c);
    k->count = take_u64(c);
    if (k->count > GGUF_ITEMS_MAX)
        return error_set(e, ERR_CORRUPT, "the model file's key '%s' says it has %llu items, more than %d",
                         gguf_printable(k->name).text, (unsigned long long)k->count, GGUF_ITEMS_MAX);
    const char *start = c->rest.p;
    if (k->item_kind == GGUF_STRING) {
        for (uint64_t i = 0; i < k->count && !c->bad; i++)
            take_string(c);
        k->bytes = (struct slice){start, c->bad ? 0 : (size_t)(c->rest.p - start)};
        return OK;
    }
    if (!kind_bytes(k->item_kind))
        return error_set(e, ERR_CORRUPT, "the model file's key '%s' is an array of unknown kind %u",
                         gguf_printable(k->name).text, k->item_kind);
    k->bytes = take(c, k->count * kind_bytes(k->item_kind));
    return OK;
}

static enum err parse_key(struct cursor *c, struct gguf_key *k, struct error *e)
{
    k->name = take_string(c);
    if (!c->bad && (!k->name.n || k->name.n > GGUF_NAME_MAX))
        return error_set(e, ERR_CORRUPT, "the model file has a key with a name of %zu bytes", k->name.n);
    k->kind = take_u32(c);
    if (k->kind == GGUF_ARRAY)
        return parse_array(c, k, e);
    if (k->kind == GGUF_STRING)
        k->bytes = take_string(c);
    else if (kind_bytes(k->kind))
        k->bytes = take(c, kind_bytes(k->kind));
    else
        return error_set(e, ERR_CORRUPT, "the model file's key '%s' is of unknown kind %u", gguf_printable(k->name).text,
                         k->kind);
    return OK;
}

/* ---- tensors ---- */

static enum err parse_shape(struct cursor *c, struct gguf_tensor *t, struct error *e)
{
    uint32_t dims = take_u32(c);
    if (!c->bad && (dims < 1 || dims > GGUF_DIMS_MAX))
        return error_set(e, ERR_CORRUPT, "tensor '%s' of the model file has %u dimensions", gguf_printable(t->name).text,
                         dims);
    uint64_t all = 1;
    for (uint32_t i = 0; i < GGUF_DIMS_MAX; i++) {
        t->ne[i] = i < dims ? take_u64(c) : 1;
        if (c->bad)
            return OK; /* the caller reports the truncation */
        if (!t->ne[i] || t->ne[i] > INT32_MAX || all > INT64_MAX / 8 / t->ne[i])
            return error_set(e, ERR_CORRUPT, "tensor '%s' of the model file has an impossible size",
                             gguf_printable(t->name).text);
        all *= t->ne[i];
    }
    return OK;
}

/* Leaves the offset in data.n until the start of the weights is known. */
static enum err parse_tensor(struct cursor *c, struct gguf_tensor *t, struct error *e)
{
    t->name = take_string(c);
    if (!c->bad && (!t->name.n || t->name.n > GGUF_NAME_MAX))
        return error_set(e, ERR_CORRUPT, "the model file has a tensor with a name of %zu bytes", t->name.n);
    enum err err = parse_shape(c, t, e);
    if (err)
        return err;
    t->type = take_u32(c);
    t->data.n = take_u64(c);
    if (c->bad || gguf_type_bytes(t->type, t->ne[0]))
        return OK;
    struct weight_format f = weight_format(t->type);
    if (f.weights)
        return error_set(e, ERR_CORRUPT, "tensor '%s' of the model file has rows of %llu weights, no multiple of %zu as %s "
                         "needs", gguf_printable(t->name).text, (unsigned long long)t->ne[0], f.weights, f.name);
    return error_set(e, ERR_UNSUPPORTED,
                     "tensor '%s' of the model file has weights of type %u (%s); this build reads " WEIGHT_FORMATS,
                     gguf_printable(t->name).text, t->type, f.name);
}

/* Turns offsets into slices of the file. */
static enum err place_tensors(struct gguf *g, struct cursor *c, struct error *e)
{
    uint64_t align = gguf_number(g, "general.alignment", 32);
    if (align < 8 || align > 65536 || (align & (align - 1)))
        return error_set(e, ERR_CORRUPT, "the model file asks for an alignment of %llu", (unsigned long long)align);
    size_t start = g->file.n - c->rest.n;
    take(c, (align - start % align) % align);
    struct slice weights = c->rest;
    for (size_t i = 0; i < g->ntensors; i++) {
        struct gguf_tensor *t = &g->tensors[i];
        uint64_t at = t->data.n;
        uint64_t bytes = gguf_type_bytes(t->type, t->ne[0]) * t->ne[1] * t->ne[2] * t->ne[3];
        if (c->bad || at > weights.n || bytes > weights.n - at)
            return error_set(e, ERR_CORRUPT,
                             "the model file ends before the weights of '%s'; it is cut short, get it again",
                             gguf_printable(t->name).text);
        if (at % align)
            return error_set(e, ERR_CORRUPT, "the weights of '%s' start at an odd place in the model file",
                             gguf_printable(t->name).text);
        t->data = (struct slice){weights.p + at, (size_t)bytes};
    }
    return OK;
}

/* ---- the whole ---- */

static int by_key_name(const void *a, const void *b)
{
    return slice_cmp(((const struct gguf_key *)a)->name, ((const struct gguf_key *)b)->name);
}

static int by_tensor_name(const void *a, const void *b)
{
    return slice_cmp(((const struct gguf_tensor *)a)->name, ((const struct gguf_tensor *)b)->name);
}

static enum err cut_short(struct error *e)
{
    return error_set(e, ERR_CORRUPT, "the model file ends in the middle of its description; it is cut short, get it "
                                     "again");
}

/* Sorts both indexes, so that a look-up is a binary search and equal names are neighbours. */
static enum err sort_names(struct gguf *g, struct error *e)
{
    qsort(g->keys, g->nkeys, sizeof *g->keys, by_key_name);
    qsort(g->tensors, g->ntensors, sizeof *g->tensors, by_tensor_name);
    for (size_t i = 1; i < g->nkeys; i++)
        if (slice_eq(g->keys[i - 1].name, g->keys[i].name))
            return error_set(e, ERR_CORRUPT, "the model file has the key '%s' twice", gguf_printable(g->keys[i].name).text);
    for (size_t i = 1; i < g->ntensors; i++)
        if (slice_eq(g->tensors[i - 1].name, g->tensors[i].name))
            return error_set(e, ERR_CORRUPT, "the model file has the tensor '%s' twice",
                             gguf_printable(g->tensors[i].name).text);
    return OK;
}

static enum err parse_head(struct cursor *c, struct gguf *g, struct error *e)
{
    struct slice magic = take(c, 4);
    if (!slice_is(magic, "GGUF"))
        return error_set(e, ERR_CORRUPT, "this is not a GGUF model file (it does not start with 'GGUF')");
    uint32_t version = take_u32(c);
    if (!c->bad && version != 2 && version != 3)
        return error_set(e, ERR_VERSION, "the model file is GGUF version %u; this build reads 2 and 3", version);
    uint64_t ntensors = take_u64(c), nkeys = take_u64(c);
    if (c->bad)
        return cut_short(e);
    if (ntensors > GGUF_TENSORS_MAX || nkeys > GGUF_KEYS_MAX)
        return error_set(e, ERR_CORRUPT, "the model file says it has %llu tensors and %llu keys, more than %d and %d",
                         (unsigned long long)ntensors, (unsigned long long)nkeys, GGUF_TENSORS_MAX, GGUF_KEYS_MAX);
    g->ntensors = (size_t)ntensors;
    g->nkeys = (size_t)nkeys;
    g->keys = arena_array(&g->memory, g->nkeys + 1, sizeof *g->keys);
    g->tensors = arena_array(&g->memory, g->ntensors + 1, sizeof *g->tensors);
    return g->keys && g->tensors ? OK : error_set(e, ERR_MEMORY, "not enough memory to read the model file");
}

static enum err parse_all(struct cursor *c, struct gguf *g, struct error *e)
{
    enum err err = parse_head(c, g, e);
    for (size_t i = 0; !err && i < g->nkeys; i++)
        err = c->bad ? cut_short(e) : parse_key(c, &g->keys[i], e);
    for (size_t i = 0; !err && i < g->ntensors; i++)
        err = c->bad ? cut_short(e) : parse_tensor(c, &g->tensors[i], e);
    if (!err && c->bad)
        err = cut_short(e);
    if (!err)
        err = sort_names(g, e);
    return err ? err : place_tensors(g, c, e);
}

enum err gguf_parse(struct slice file, struct gguf *ret, struct error *e)
{
    struct gguf g = {.file = file, .memory = ARENA_INIT(4 << 20)};
    struct cursor c = {.rest = file};
    enum err err = parse_all(&c, &g, e);
    if (err) {
        arena_release(&g.memory);
        return err;
    }
    *ret = g;
    return OK;
}

void gguf_release(struct gguf *g)
{
    if (!g)
        return;
    arena_release(&g->memory);
    *g = (struct gguf){.memory = ARENA_INIT(0)};
}

enum err gguf_map(int fd, struct slice *ret, struct error *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return error_errno(e, errno, "cannot look at the model file");
    if (!S_ISREG(st.st_mode) || st.st_size <= 0)
        return error_set(e, ERR_CORRUPT, "the model file is %s", S_ISREG(st.st_mode) ? "empty" : "not a regular file");
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return error_errno(e, errno, "cannot map the model file");
    *ret = (struct slice){p, (size_t)st.st_size};
    return OK;
}

void gguf_unmap(struct slice file)
{
    union {
        const char *c;
        void *v;
    } p = {.c = file.p}; /* munmap wants it without const */
    if (file.p)
        munmap(p.v, file.n);
}

/* ---- look-up ---- */

const struct gguf_key *gguf_key(const struct gguf *g, const char *name)
{
    struct gguf_key want = {.name = slice_of(name)};
    return g->nkeys ? bsearch(&want, g->keys, g->nkeys, sizeof want, by_key_name) : NULL;
}

const struct gguf_tensor *gguf_tensor(const struct gguf *g, const char *name)
{
    struct gguf_tensor want = {.name = slice_of(name)};
    return g->ntensors ? bsearch(&want, g->tensors, g->ntensors, sizeof want, by_tensor_name) : NULL;
}

uint64_t gguf_number(const struct gguf *g, const char *name, uint64_t missing)
{
    const struct gguf_key *k = gguf_key(g, name);
    if (!k || k->kind == GGUF_F64 || k->kind == GGUF_F32 || k->kind == GGUF_BOOL || !kind_bytes(k->kind))
        return missing;
    return little(k->bytes);
}

double gguf_real(const struct gguf *g, const char *name, double missing)
{
    const struct gguf_key *k = gguf_key(g, name);
    float f;
    double d;
    if (k && k->kind == GGUF_F32)
        return memcpy(&f, k->bytes.p, sizeof f), f;
    if (k && k->kind == GGUF_F64)
        return memcpy(&d, k->bytes.p, sizeof d), d;
    return missing;
}

bool gguf_bool(const struct gguf *g, const char *name, bool missing)
{
    const struct gguf_key *k = gguf_key(g, name);
    return k && k->kind == GGUF_BOOL ? k->bytes.p[0] != 0 : missing;
}

struct slice gguf_string(const struct gguf *g, const char *name)
{
    const struct gguf_key *k = gguf_key(g, name);
    return k && k->kind == GGUF_STRING ? k->bytes : SLICE_NONE;
}

struct slice gguf_next_string(struct slice *rest)
{
    struct cursor c = {.rest = *rest};
    struct slice s = take_string(&c);
    *rest = c.rest;
    return s;
}

int32_t gguf_item_i32(const struct gguf_key *key, uint64_t i)
{
    uint32_t v = (uint32_t)little(slice_sub(key->bytes, (size_t)i * 4, 4));
    return (int32_t)v;
}
