#include "layers/copy_index.h"

#include <string.h>

#include "layers/copy.h"

enum { VERSION = 1, HEADER = 4 + 2, FLAG_HASH = 1, FIXED = 2 + 2 + 3 + 4 + 6 * 8 };

static const char magic[4] = {'c', 'r', 'n', 'i'};

void copy_index_begin(struct buf *index)
{
    buf_add(index, (struct slice){magic, sizeof magic});
    buf_add_u16(index, VERSION);
}

void copy_index_add(struct buf *index, struct slice last, const struct change *c)
{
    size_t shared = 0;
    while (shared < last.n && shared < c->path.n && last.p[shared] == c->path.p[shared])
        shared++;
    bool hash = !hash_is_zero(&c->after.hash);
    buf_add_u16(index, (uint16_t)shared);
    buf_add_u16(index, (uint16_t)(c->path.n - shared));
    buf_add(index, slice_sub(c->path, shared, c->path.n));
    buf_add_char(index, (char)c->after.type);
    buf_add_char(index, (char)c->before.type);
    buf_add_char(index, hash ? FLAG_HASH : 0);
    buf_add_u32(index, c->after.mode);
    buf_add_u64(index, c->after.ino);
    buf_add_u64(index, c->after.size);
    buf_add_u64(index, (uint64_t)c->after.mtime_ns);
    buf_add_u64(index, (uint64_t)c->after.ctime_ns);
    buf_add_u64(index, c->before.ino);
    buf_add_u64(index, (uint64_t)c->before.ctime_ns);
    if (hash)
        buf_add(index, (struct slice){(const char *)c->after.hash.b, HASH_BYTES});
}

static uint64_t take(struct slice *rest, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = bytes; i; i--)
        v = v << 8 | (unsigned char)rest->p[i - 1];
    *rest = slice_sub(*rest, bytes, rest->n);
    return v;
}

/* One path; false for bytes that are none. */
static bool take_path(struct slice *rest, struct slice last, struct arena *a, struct slice *ret)
{
    size_t shared = take(rest, 2), n = take(rest, 2);
    if (shared > last.n || shared + n > STAMP_PATH_MAX || n + FIXED - 4 > rest->n)
        return false;
    char *path = arena_alloc(a, shared + n + 1);
    if (!path)
        return false;
    if (shared)
        memcpy(path, last.p, shared);
    memcpy(path + shared, rest->p, n);
    *rest = slice_sub(*rest, n, rest->n);
    *ret = (struct slice){path, shared + n};
    return !stamp_check_path(*ret, NULL) && (!last.p || manifest_path_cmp(last, *ret) < 0);
}

static bool take_entry(struct slice *rest, struct slice last, struct arena *a, struct change *ret)
{
    if (rest->n < FIXED || !take_path(rest, last, a, &ret->path))
        return false;
    uint64_t type = take(rest, 1), root = take(rest, 1), flags = take(rest, 1);
    ret->after.mode = (uint32_t)take(rest, 4);
    ret->after.ino = take(rest, 8);
    ret->after.size = take(rest, 8);
    ret->after.mtime_ns = (int64_t)take(rest, 8);
    ret->after.ctime_ns = (int64_t)take(rest, 8);
    ret->before.ino = take(rest, 8);
    ret->before.ctime_ns = (int64_t)take(rest, 8);
    if (type == STAMP_ABSENT || type > STAMP_FOLDER || root > STAMP_FOLDER || flags > FLAG_HASH || ret->after.mode > 07777)
        return false;
    ret->after.type = (enum stamp_type)type;
    ret->before.type = (enum stamp_type)root;
    if (flags && rest->n < HASH_BYTES)
        return false;
    if (flags)
        memcpy(ret->after.hash.b, rest->p, HASH_BYTES);
    *rest = slice_sub(*rest, flags ? HASH_BYTES : 0, rest->n);
    return true;
}

enum err copy_index_decode(struct slice bytes, struct arena *a, struct manifest *ret, struct error *e)
{
    void *v = NULL;
    size_t n = 0, cap = 0;
    if (bytes.n > COPY_INDEX_MAX)
        return error_set(e, ERR_LIMIT, "the index of a copy has %zu bytes, more than %d", bytes.n, COPY_INDEX_MAX);
    if (bytes.n < HEADER || memcmp(bytes.p, magic, sizeof magic) != 0)
        return error_set(e, ERR_CORRUPT, "the index of a copy does not begin like one");
    struct slice rest = slice_sub(bytes, sizeof magic, bytes.n);
    uint64_t version = take(&rest, 2);
    if (version != VERSION)
        return error_set(e, ERR_VERSION, "the index of a copy has version %llu, this crannog knows %d; use a newer one",
                         (unsigned long long)version, VERSION);
    while (rest.n) {
        struct slice last = n ? ((struct change *)v)[n - 1].path : SLICE_NONE;
        if (n == COPY_FILES_MAX)
            return error_set(e, ERR_LIMIT, "the index of a copy has more than %d paths", COPY_FILES_MAX);
        if (!arena_grow(a, &v, &cap, n + 1, sizeof(struct change)))
            return error_set(e, ERR_MEMORY, "no memory for the index of a copy");
        if (!take_entry(&rest, last, a, &((struct change *)v)[n]))
            return error_set(e, ERR_CORRUPT, "the index of a copy is damaged at its path %zu", n + 1);
        n++;
    }
    *ret = (struct manifest){.v = v, .n = n};
    return OK;
}
