#include "layers/manifest.h"

#include <string.h>

enum {
    VERSION = 2, VERSION_WITHOUT_SEEN = 1, HEADER = 4 + 2 + 4, FLAG_MOVED = 1,
    CHANGE_MIN = 2 + 1 + 1 + 2 + 1 + 1, /* bytes: a path of one letter, nothing before, nothing after */
};

static const char magic[4] = {'c', 'r', 'n', 'm'};

/* ---- order ---- */

/* A slash sorts before every byte that a name can have, so whole paths compare as their parts do. */
static int weight(unsigned char c)
{
    return c == '/' ? 0 : 1 + c;
}

int manifest_path_cmp(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    for (size_t i = 0; i < n; i++)
        if (a.p[i] != b.p[i])
            return weight((unsigned char)a.p[i]) - weight((unsigned char)b.p[i]);
    return (a.n > b.n) - (a.n < b.n);
}

const struct change *manifest_find(const struct manifest *m, struct slice path)
{
    size_t low = 0, high = m->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = manifest_path_cmp(path, m->v[middle].path);
        if (order == 0)
            return &m->v[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* ---- as bytes ---- */

static bool has_hash(const struct stamp *s)
{
    return s->type == STAMP_FILE || s->type == STAMP_LINK;
}

static void put_node(const struct stamp *s, struct buf *ret)
{
    buf_add_char(ret, (char)s->type);
    if (s->type == STAMP_ABSENT)
        return;
    buf_add_u32(ret, s->mode);
    buf_add_u32(ret, s->uid);
    buf_add_u32(ret, s->gid);
    buf_add_u32(ret, s->links);
    buf_add_u64(ret, s->ino);
    buf_add_u64(ret, s->size);
    buf_add_u64(ret, (uint64_t)s->mtime_ns);
    buf_add_u64(ret, (uint64_t)s->ctime_ns);
    if (has_hash(s))
        buf_add(ret, (struct slice){(const char *)s->hash.b, HASH_BYTES});
}

void manifest_encode(const struct manifest *m, struct buf *ret)
{
    ASSERT(m->n <= MANIFEST_CHANGES_MAX);
    buf_add(ret, (struct slice){magic, sizeof magic});
    buf_add_u16(ret, VERSION);
    buf_add_u32(ret, (uint32_t)m->n);
    for (size_t i = 0; i < m->n; i++) {
        const struct change *c = &m->v[i];
        ASSERT(!stamp_check_path(c->path, NULL) && c->after.type != STAMP_OTHER);
        ASSERT(i == 0 || manifest_path_cmp(m->v[i - 1].path, c->path) < 0);
        buf_add_u16(ret, (uint16_t)c->path.n);
        buf_add(ret, c->path);
        buf_add_char(ret, c->moved ? FLAG_MOVED : 0);
        buf_add_u16(ret, c->layer);
        put_node(&c->before, ret);
        put_node(&c->after, ret);
    }
    ASSERT(m->nseen <= MANIFEST_SEEN_MAX);
    buf_add_u16(ret, (uint16_t)m->nseen);
    for (size_t i = 0; i < m->nseen; i++) {
        buf_add_u16(ret, (uint16_t)m->seen[i].path.n);
        buf_add(ret, m->seen[i].path);
        put_node(&m->seen[i].was, ret);
    }
}

/* What is left to read. `short_` once more was asked for than there is; from then on everything reads as zero. */
struct reader {
    struct slice rest;
    bool short_;
};

static struct slice take(struct reader *r, size_t n)
{
    if (r->short_ || n > r->rest.n) {
        r->short_ = true;
        return SLICE_NONE;
    }
    struct slice got = slice_sub(r->rest, 0, n);
    r->rest = slice_sub(r->rest, n, r->rest.n);
    return got;
}

static uint64_t take_number(struct reader *r, size_t bytes)
{
    struct slice s = take(r, bytes);
    uint64_t v = 0;
    for (size_t i = s.n; i; i--)
        v = v << 8 | (unsigned char)s.p[i - 1];
    return v;
}

static const char *take_node(struct reader *r, struct stamp *ret)
{
    uint64_t type = take_number(r, 1);
    if (type > STAMP_FOLDER)
        return "has a kind of thing that does not exist";
    *ret = (struct stamp){.type = (enum stamp_type)type};
    if (type == STAMP_ABSENT)
        return NULL;
    ret->mode = (uint32_t)take_number(r, 4);
    ret->uid = (uint32_t)take_number(r, 4);
    ret->gid = (uint32_t)take_number(r, 4);
    ret->links = (uint32_t)take_number(r, 4);
    ret->ino = take_number(r, 8);
    ret->size = take_number(r, 8);
    ret->mtime_ns = (int64_t)take_number(r, 8);
    ret->ctime_ns = (int64_t)take_number(r, 8);
    struct slice hash = has_hash(ret) ? take(r, HASH_BYTES) : SLICE_NONE;
    if (hash.n)
        memcpy(ret->hash.b, hash.p, HASH_BYTES);
    return ret->mode > 07777 ? "has a mode that is none" : NULL;
}

static const char *take_change(struct reader *r, const struct change *last, struct change *ret)
{
    struct change c = {.path = take(r, (size_t)take_number(r, 2))};
    uint64_t flags = take_number(r, 1);
    c.moved = flags & FLAG_MOVED;
    c.layer = (uint16_t)take_number(r, 2);
    const char *fault = take_node(r, &c.before);
    if (!fault)
        fault = take_node(r, &c.after);
    if (r->short_)
        return "is cut off";
    if (fault)
        return fault;
    if (flags & ~(uint64_t)FLAG_MOVED)
        return "has a mark that does not exist";
    if (c.after.type == STAMP_OTHER)
        return "wants to make a device, FIFO or socket";
    if (stamp_check_path(c.path, NULL))
        return "names a path that is none";
    if (last && manifest_path_cmp(last->path, c.path) >= 0)
        return "is not in order";
    *ret = c;
    return NULL;
}

/* What was seen, behind the changes. */
static const char *take_seen(struct reader *r, struct arena *a, struct manifest *ret)
{
    size_t n = (size_t)take_number(r, 2);
    if (n > MANIFEST_SEEN_MAX)
        return "has seen more than it may";
    struct seen *v = arena_array(a, n + 1, sizeof *v);
    if (!v)
        return "does not fit into memory";
    for (size_t i = 0; i < n; i++) {
        v[i].path = take(r, (size_t)take_number(r, 2));
        const char *fault = take_node(r, &v[i].was);
        if (r->short_)
            return "is cut off";
        if (fault)
            return fault;
        if (stamp_check_path(v[i].path, NULL) || (i && manifest_path_cmp(v[i - 1].path, v[i].path) >= 0) || manifest_find(ret, v[i].path))
            return "has seen a path that is none";
    }
    ret->seen = v;
    ret->nseen = n;
    return NULL;
}

static enum err corrupt(const char *fault, struct error *e)
{
    return error_set(e, ERR_CORRUPT, "a layer's list of changes %s", fault);
}

enum err manifest_decode(struct slice bytes, struct arena *a, struct manifest *ret, struct error *e)
{
    if (bytes.n > MANIFEST_BYTES_MAX)
        return error_set(e, ERR_LIMIT, "a layer's list of changes has %zu bytes, more than %d", bytes.n, MANIFEST_BYTES_MAX);
    if (bytes.n < HEADER || memcmp(bytes.p, magic, sizeof magic) != 0)
        return corrupt("does not begin like one", e);
    struct reader r = {.rest = slice_sub(bytes, sizeof magic, bytes.n)};
    uint64_t version = take_number(&r, 2);
    if (version != VERSION && version != VERSION_WITHOUT_SEEN)
        return error_set(e, ERR_VERSION, "a layer's list of changes has version %llu, this crannog knows %d; use a newer one",
                         (unsigned long long)version, VERSION);
    size_t n = (size_t)take_number(&r, 4);
    if (n > MANIFEST_CHANGES_MAX)
        return error_set(e, ERR_LIMIT, "a layer has %zu changes, more than %d", n, MANIFEST_CHANGES_MAX);
    if (n > r.rest.n / CHANGE_MIN) /* before memory is taken for what cannot be there */
        return corrupt("is cut off", e);
    struct change *v = arena_array(a, n, sizeof *v);
    if (!v)
        return error_set(e, ERR_MEMORY, "no memory for %zu changes of a layer", n);
    for (size_t i = 0; i < n; i++) {
        const char *fault = take_change(&r, i ? &v[i - 1] : NULL, &v[i]);
        if (fault)
            return corrupt(fault, e);
    }
    struct manifest m = {.v = v, .n = n};
    const char *fault = version == VERSION_WITHOUT_SEEN ? NULL : take_seen(&r, a, &m);
    if (fault)
        return corrupt(fault, e);
    if (r.rest.n || r.short_)
        return corrupt(r.short_ ? "is cut off" : "has bytes behind its end", e);
    *ret = m;
    return OK;
}

/* ---- together ---- */

/* Nothing is different from what lay there. Of folders only an undo layer names times that differ, to bring them back. */
static bool unchanged(const struct change *c)
{
    const struct stamp *a = &c->before, *b = &c->after;
    if (a->type != b->type)
        return false;
    if (a->type == STAMP_ABSENT || a->type == STAMP_FOLDER)
        return a->mode == b->mode && a->mtime_ns == b->mtime_ns;
    return a->size == b->size && hash_eq(&a->hash, &b->hash) && a->mtime_ns == b->mtime_ns && a->mode == b->mode;
}

/* One more layer over what is together so far: `below` and `above` in order, into `ret` (room for both). */
static size_t lay_over(const struct change *below, size_t nbelow, const struct manifest *above, uint16_t layer,
                       struct change *ret)
{
    const struct change *gone = NULL; /* of `above`: no folder now, so nothing of `below` is left in it */
    size_t n = 0, i = 0, k = 0;
    while (i < nbelow || k < above->n) {
        int order = i == nbelow ? 1 : k == above->n ? -1 : manifest_path_cmp(below[i].path, above->v[k].path);
        struct change c = order < 0 ? below[i] : above->v[k];
        if (order < 0 && gone && slice_below(c.path, gone->path))
            c.after = (struct stamp){.type = STAMP_ABSENT};
        if (order == 0) {
            c.before = below[i].before;
            c.moved = below[i].moved;
        }
        if (order >= 0) {
            c.layer = layer;
            bool within = gone && slice_below(c.path, gone->path);
            gone = within ? gone : c.after.type != STAMP_FOLDER ? &above->v[k] : NULL;
        }
        i += order <= 0;
        k += order >= 0;
        ret[n++] = c;
    }
    return n;
}

/* Only at the very end: while a layer may still come on top, a path whose change was taken back keeps the `before` that
   its oldest layer saw, so that what a person made of it since is not taken for it. */
static size_t drop_unchanged(struct change *v, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (!unchanged(&v[i]))
            v[kept++] = v[i];
    return kept;
}

/* What any of the layers stood on, as the oldest of them saw it; not what the layers themselves change. */
static enum err gather_seen(const struct manifest *m, size_t n, struct arena *a, struct manifest *ret, struct error *e)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += m[i].nseen;
    struct seen *v = arena_array(a, total + 1, sizeof *v);
    if (!v)
        return error_set(e, ERR_MEMORY, "no memory for the changes of %zu layers", n);
    ret->seen = v;
    for (size_t i = 0; i < n && ret->n; i++)
        for (size_t k = 0; k < m[i].nseen && ret->nseen < MANIFEST_SEEN_MAX; k++) {
            size_t at = 0;
            while (at < ret->nseen && manifest_path_cmp(v[at].path, m[i].seen[k].path) < 0)
                at++;
            if ((at < ret->nseen && slice_eq(v[at].path, m[i].seen[k].path)) || manifest_find(ret, m[i].seen[k].path))
                continue;
            memmove(v + at + 1, v + at, (ret->nseen++ - at) * sizeof *v);
            v[at] = m[i].seen[k];
        }
    return OK;
}

enum err manifest_flatten(const struct manifest *m, size_t n, struct arena *a, struct manifest *ret, struct error *e)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += m[i].n;
    if (n > UINT16_MAX)
        return error_set(e, ERR_LIMIT, "%zu layers are too many", n);
    struct change *from = arena_array(a, total, sizeof *from), *to = arena_array(a, total, sizeof *to);
    if (!from || !to)
        return error_set(e, ERR_MEMORY, "no memory for %zu changes of %zu layers", total, n);
    size_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum = lay_over(from, sum, &m[i], (uint16_t)i, to);
        struct change *spare = from;
        from = to;
        to = spare;
    }
    sum = drop_unchanged(from, sum);
    if (sum > MANIFEST_CHANGES_MAX)
        return error_set(e, ERR_LIMIT, "%zu layers have %zu changes together, more than %d; land or drop them first", n, sum,
                         MANIFEST_CHANGES_MAX);
    *ret = (struct manifest){.v = from, .n = sum};
    return gather_seen(m, n, a, ret, e);
}

struct manifest_count manifest_count(const struct manifest *m)
{
    struct manifest_count sum = {0};
    for (size_t i = 0; i < m->n; i++) {
        const struct stamp *before = &m->v[i].before, *after = &m->v[i].after;
        bool was = before->type == STAMP_FILE || before->type == STAMP_LINK || before->type == STAMP_OTHER;
        bool is = has_hash(after);
        sum.added += is && !was;
        sum.changed += is && was;
        sum.removed += was && !is;
        sum.bytes += after->type == STAMP_FILE ? after->size : 0;
    }
    return sum;
}
