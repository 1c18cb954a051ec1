/*
 * Manifests and the index of a copy: any bytes are one or an error (N4). What is one obeys N1, is written again to the
 * same bytes, and comes together with itself without a word of what nobody changed.
 */
#include "base/buf.h"
#include "fuzz.h"
#include "layers/copy_index.h"

static void check_order(const struct manifest *m)
{
    for (size_t i = 0; i < m->n; i++) {
        ASSERT(!stamp_check_path(m->v[i].path, NULL));
        ASSERT(i == 0 || manifest_path_cmp(m->v[i - 1].path, m->v[i].path) < 0);
        ASSERT(manifest_find(m, m->v[i].path) == &m->v[i]);
        ASSERT(m->v[i].before.type <= STAMP_FOLDER && m->v[i].after.type <= STAMP_FOLDER);
    }
    for (size_t i = 0; i < m->nseen; i++)
        ASSERT(!stamp_check_path(m->seen[i].path, NULL) && !manifest_find(m, m->seen[i].path));
}

static void check_manifest(struct slice bytes, struct arena *a)
{
    struct manifest m, flat, again;
    enum err err = manifest_decode(bytes, a, &m, NULL);
    ASSERT(!err || err == ERR_CORRUPT || err == ERR_VERSION || err == ERR_LIMIT || err == ERR_MEMORY);
    if (err)
        return;
    check_order(&m);
    BUF_CLEANUP struct buf out = BUF_INIT(MANIFEST_BYTES_MAX);
    manifest_encode(&m, &out);
    ASSERT(bytes.p[4] == 1 || slice_eq(buf_slice(&out), bytes)); /* the first version is written as the second */
    struct manifest twice[] = {m, m};
    if (manifest_flatten(twice, 2, a, &flat, NULL))
        return;
    check_order(&flat);
    ASSERT(flat.n <= m.n);
    buf_reset(&out);
    manifest_encode(&flat, &out);
    ASSERT(!manifest_decode(buf_slice(&out), a, &again, NULL) && again.n == flat.n);
    (void)manifest_count(&flat);
}

static void check_index(struct slice bytes, struct arena *a)
{
    struct manifest m;
    enum err err = copy_index_decode(bytes, a, &m, NULL);
    ASSERT(!err || err == ERR_CORRUPT || err == ERR_VERSION || err == ERR_LIMIT || err == ERR_MEMORY);
    if (!err)
        check_order(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(64 * 1024 * 1024);
    check_manifest(fuzz_slice(data, size), &a);
    check_index(fuzz_slice(data, size), &a);
    return 0;
}
