#include "engine/undo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/sys.h"
#include "layers/folder.h"
#include "text/json.h"

enum { DOCUMENTS_MAX = 20000, STEPS_ARENA = 64 << 20 };

/* A path that documents were landed at: what lay there before the first, and what the last left. */
struct document {
    struct slice path;
    struct stamp before, now;
    struct hash content; /* blob of the bytes before */
    size_t way;          /* bytes of the path whose folders were there before */
    bool landed;
};

struct collecting {
    struct arena *a;
    uint32_t after;
    struct document *v;
    size_t n, cap;
    struct intended { uint32_t step; bool look; struct slice path, base; } open; /* one at a time: slots of a plan is 1 */
};

static struct document *document_of(struct collecting *k, struct slice path, struct error *e)
{
    void *items = k->v;
    for (size_t i = 0; i < k->n; i++)
        if (slice_eq(k->v[i].path, path))
            return &k->v[i];
    struct slice kept = arena_copy(k->a, path);
    if (k->n == DOCUMENTS_MAX || !kept.p || !arena_grow(k->a, &items, &k->cap, k->n + 1, sizeof *k->v)) {
        error_set(e, ERR_LIMIT, "more documents than can be taken back at once");
        return NULL;
    }
    k->v = items;
    k->v[k->n] = (struct document){.path = kept};
    return &k->v[k->n++];
}

static enum err saw_intent(struct collecting *k, const struct event *ev, const struct json *p, struct error *e)
{
    const struct json *args = json_get(p, "args");
    struct slice stage = json_text(json_get(p, "stage"));
    bool look = slice_is(stage, "look"), land = slice_is(stage, "land") && !json_bool(json_get(args, "layer"), false);
    k->open.step = 0;
    if (!look && !land)
        return OK;
    k->open = (struct intended){.step = ev->key.step, .look = look, .path = arena_copy(k->a, json_text(json_get(args, "path"))),
                                .base = arena_copy(k->a, json_text(json_get(args, "base")))};
    return k->open.path.p && k->open.base.p ? OK : error_set(e, ERR_MEMORY, "the run is too large to be taken back");
}

/* The first look before the first landing says what was there; every landing says what is there since. */
static enum err saw_finish(struct collecting *k, const struct event *ev, const struct json *p, struct error *e)
{
    const struct json *result = json_get(p, "result");
    bool ok = slice_is(json_text(json_get(p, "outcome")), "ok"), conflict = slice_is(json_text(json_get(p, "outcome")), "conflict");
    if (k->open.step != ev->key.step || !k->open.path.n || (!ok && !(conflict && k->open.look)) || ev->key.step <= k->after)
        return OK;
    if (stamp_check_path(k->open.path, NULL))
        return error_set(e, ERR_CORRUPT, "a document landed at what is no path");
    struct document *d = document_of(k, k->open.path, e);
    if (!d)
        return ERR_LIMIT;
    struct hash content;
    if (k->open.look && !d->landed && hash_from_hex(json_text(json_get(result, "content")), &content))
        d->content = content;
    if (k->open.look && !d->landed)
        d->way = (size_t)json_int(json_get(result, "way"), (int64_t)d->path.n);
    if (k->open.look || !ok)
        return OK;
    if (!d->landed && !stamp_from_hex(k->open.base, &d->before))
        return error_set(e, ERR_CORRUPT, "a landing without its base");
    d->landed = true;
    return stamp_from_hex(json_text(json_get(result, "stamp")), &d->now) ? OK : error_set(e, ERR_CORRUPT, "a landing without its stamp");
}

static enum err saw(void *ctx, const struct event *ev, struct error *e)
{
    JSON_CLEANUP struct json *p = NULL;
    if (ev->redacted || (ev->type != EVENT_STEP_INTENDED && ev->type != EVENT_STEP_FINISHED))
        return OK;
    enum err err = json_parse(ev->payload, &p, e);
    if (err)
        return err;
    return ev->type == EVENT_STEP_INTENDED ? saw_intent(ctx, ev, p, e) : saw_finish(ctx, ev, p, e);
}

static int by_path(const void *a, const void *b)
{
    return manifest_path_cmp(((const struct change *)a)->path, ((const struct change *)b)->path);
}

/* The folders that a landing made on its way are to go, where nothing else lies in them. */
static size_t add_made(const struct document *d, struct change *v, size_t n)
{
    for (size_t i = d->way + 1; i < d->path.n; i++) {
        struct slice folder = slice_sub(d->path, 0, i);
        bool known = d->path.p[i] != '/';
        for (size_t k = 0; !known && k < n; k++)
            known = slice_eq(v[k].path, folder);
        if (!known)
            v[n++] = (struct change){.path = folder, .before = {.type = STAMP_FOLDER, .mode = 0755}};
    }
    return n;
}

/* A folder on the way to one document may have become another document meanwhile. */
static size_t drop_doubles(struct change *v, size_t n)
{
    size_t kept = 0;
    qsort(v, n, sizeof *v, by_path);
    for (size_t i = 0; i < n; i++) {
        bool again = kept && slice_eq(v[i].path, v[kept - 1].path);
        if (!again)
            v[kept++] = v[i];
        else if (v[i].before.type != STAMP_FOLDER)
            v[kept - 1] = v[i];
    }
    return kept;
}

/* What takes the documents back, as changes in order; the bytes that were there go into the folder `up`. */
static enum err write_back(struct engine *g, const struct collecting *k, int up, const struct place *p, struct change *v, size_t *ret_n,
                           struct error *e)
{
    size_t n = 0;
    enum err err = OK;
    for (size_t i = 0; !err && i < k->n; i++) {
        const struct document *d = &k->v[i];
        BUF_CLEANUP struct buf bytes = BUF_INIT(BLOB_BYTES_MAX);
        if (!d->landed || stamp_same(&d->before, &d->now))
            continue;
        v[n] = (struct change){.path = d->path, .before = d->now};
        if (d->before.type == STAMP_FILE) {
            err = blob_get(g->store, &d->content, &bytes, e);
            if (!err)
                err = layer_put_file(up, d->path, buf_slice(&bytes), p, d->before.mode, d->before.mtime_ns, &v[n].after, e);
        }
        n = add_made(d, v, n + 1);
    }
    *ret_n = n;
    return err;
}

static enum err put_layer(struct engine *g, const char *name, const struct manifest *m, struct json *list, struct error *e)
{
    struct json *one = json_object();
    json_put_text(one, "name", slice_of(name));
    json_put_int(one, "changes", (int64_t)m->n);
    enum err err = layer_put_manifest(g, m, one, "manifest", e);
    json_push(list, one);
    return err;
}

/* The layer of the documents. */
static enum err documents_layer(struct engine *g, const struct run_state *r, struct collecting *k, uint64_t undo_run, struct json *list,
                                struct error *e)
{
    struct machine *mc = g->acts.ctx;
    size_t parts = 0;
    for (size_t i = 0; i < k->n; i++)
        parts += STAMP_DEPTH_MAX < k->v[i].path.n ? STAMP_DEPTH_MAX : k->v[i].path.n;
    struct change *v = arena_array(k->a, k->n + parts, sizeof *v);
    char name[RUN_LAYER_NAME_MAX + 1], *work = arena_str(k->a, r->work);
    struct place place;
    struct manifest m = {.v = v};
    int folder = -1;
    FD_CLEANUP int dir = -1;
    if (!v || !work)
        return error_set(e, ERR_MEMORY, "the run is too large to be taken back");
    snprintf(name, sizeof name, "r%llu-documents", (unsigned long long)undo_run);
    enum err err = place_look(work, mc->state, &place, e);
    if (!err)
        err = layer_new(mc, name, &place, &folder, &dir, e);
    if (!err)
        err = write_back(g, k, dir, &place, v, &m.n, e);
    if (!err)
        err = layer_sync(folder, name, e);
    m.n = drop_doubles(v, m.n);
    if (!err && m.n)
        err = put_layer(g, name, &m, list, e);
    if (err || !m.n) /* no event will name it */
        layer_drop(mc, name);
    return err;
}

enum err undo_layers(struct engine *g, const struct run_state *r, uint32_t after, uint64_t undo_run, struct json **ret, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(STEPS_ARENA);
    struct collecting k = {.a = &a, .after = after};
    struct json *list = json_array();
    for (size_t i = r->nundos; i > 0; i--) { /* the last landing is taken back first */
        const struct layer_ref *u = &r->undos[i - 1];
        if (u->step > after)
            json_push(list, layer_ref_print(u));
    }
    enum err err = json_count(list) > RUN_LAYERS_MAX ? error_set(e, ERR_LIMIT, "r%llu has more than %d landings; take the last ones "
                                                                 "back first, with --to STEP", (unsigned long long)r->id, RUN_LAYERS_MAX) : OK;
    if (!err)
        err = journal_read(g->store, r->id, saw, &k, e);
    if (!err && k.n)
        err = documents_layer(g, r, &k, undo_run, list, e);
    if (err)
        json_free(list);
    else
        *ret = list;
    return err;
}
