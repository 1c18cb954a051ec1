#include "engine/chosen.h"

#include <stdio.h>
#include <unistd.h>

#include "base/sys.h"
#include "layers/folder.h"

enum { CHOSEN_ARENA = 256 << 20 };

static bool any_part(const struct manifest *flat, const struct part *parts)
{
    for (size_t i = 0; i < flat->n; i++)
        if (parts[i].taken == PART_SOME)
            return true;
    return false;
}

static enum err write_parts(const struct manifest *flat, struct part *parts, const struct chosen_file *files, int up, const struct place *p,
                            struct error *e)
{
    enum err err = OK;
    for (size_t i = 0; !err && i < flat->n; i++)
        if (parts[i].taken == PART_SOME)
            err = layer_put_file(up, flat->v[i].path, files[i].text, p, files[i].mode, files[i].mtime_ns, &parts[i].after, e);
    return err;
}

/* The layer of the parts. One of an attempt that died before its answer was there is made anew. */
static enum err put_layer(struct machine *m, const struct run_state *r, const char *name, const struct manifest *flat, struct part *parts,
                          const struct chosen_file *files, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 16);
    struct place place;
    int folder = -1;
    FD_CLEANUP int up = -1;
    char *work = arena_str(&a, r->work);
    enum err err = work ? place_look(work, m->state, &place, e) : error_set(e, ERR_MEMORY, "no memory for a layer");
    if (!err)
        err = layer_new(m, name, &place, &folder, &up, e);
    if (!err)
        err = write_parts(flat, parts, files, up, &place, e);
    return err ? err : layer_sync(folder, name, e);
}

static enum err put_manifests(struct engine *g, const struct run_state *r, const struct manifest *flat, const struct part *parts,
                              struct json *out, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(CHOSEN_ARENA);
    BUF_CLEANUP struct buf bytes = BUF_INIT(MANIFEST_BYTES_MAX);
    struct manifest lands, rest;
    manifest_encode(flat, &bytes);
    enum err err = buf_check(&bytes, "a manifest", e);
    struct hash of = hash_of(buf_slice(&bytes));
    json_put_hash(out, "of", &of);
    if (!err)
        err = part_split(flat, parts, (uint16_t)r->nlayers, &a, &lands, &rest, e);
    if (!err)
        err = layer_put_manifest(g, &lands, out, "manifest", e);
    if (!err && rest.n)
        err = layer_put_manifest(g, &rest, out, "rest", e);
    return err;
}

enum err chosen_put(struct engine *g, const struct run_state *r, uint32_t question, const struct manifest *flat, struct part *parts,
                    const struct chosen_file *files, struct json **ret, struct error *e)
{
    char name[RUN_LAYER_NAME_MAX + 1];
    struct json *out = json_object();
    enum err err = OK;
    snprintf(name, sizeof name, "r%llu-%u-%u-part", (unsigned long long)r->id, r->branch, question);
    if (any_part(flat, parts)) {
        json_put_text(out, "part", slice_of(name));
        err = put_layer(g->acts.ctx, r, name, flat, parts, files, e);
    }
    if (!err)
        err = put_manifests(g, r, flat, parts, out, e);
    if (err) {
        layer_drop(g->acts.ctx, name);
        json_free(out);
        return err;
    }
    *ret = out;
    return OK;
}
