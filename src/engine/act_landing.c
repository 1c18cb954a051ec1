/*
 * Landing: what an item wrote becomes a file of the person's. Its class is `redo`: the same intent is carried out again
 * and each path says by its stamp what is left to do (layers/landing.h L3).
 *
 * Two stages: LAND is one document, straight into the folder, or (`land: end`, `ask`) into a layer; APPLY is all that the
 * run's layers hold, or what a person chose of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "context/document.h"
#include "engine/commit.h"
#include "engine/machine.h"
#include "layers/folder.h"
#include "layers/landing.h"
#include "layers/manifest_part.h"
#include "tools/apply.h"
#include "tools/inside_apply.h"

enum { LAYERS_ARENA = 256 * 1024 * 1024, ONLY_BYTES_MAX = 1024 * 1024, TOLD_MAX = 20 };

/* What a line answered, as it may stand in a document. */
static enum err answer_of(struct engine *g, const struct line *l, struct arena *a, struct slice *ret, struct error *e)
{
    BUF_CLEANUP struct buf text = BUF_INIT(DOCUMENT_BYTES_MAX), source = BUF_INIT(DOCUMENT_BYTES_MAX),
                           clean = BUF_INIT(DOCUMENT_BYTES_MAX);
    enum err err = l->answer.bytes ? blob_get(g->store, &l->answer.blob, &text, e) : OK;
    if (!err && l->text.bytes)
        err = blob_get(g->store, &l->text.blob, &source, e);
    if (err)
        return err;
    document_without_invented_links(buf_slice(&text), buf_slice(&source), &clean);
    *ret = arena_copy(a, buf_slice(&clean));
    return ret->p ? buf_check(&clean, "an answer", e) : error_set(e, ERR_MEMORY, "the answers do not fit in memory");
}

static enum err compose(struct engine *g, struct run *r, const struct want *w, struct buf *out, struct error *e)
{
    const struct item_state *it = &r->state.items[w->item];
    const struct line *l = run_line(&r->state, w->item, w->piece);
    ARENA_CLEANUP struct arena a = ARENA_INIT(2 * (size_t)DOCUMENT_BYTES_MAX);
    enum err err = OK;
    if (w->piece != HEAD) {
        struct slice answer;
        err = answer_of(g, l, &a, &answer, e);
        if (!err)
            document_note(answer, l, out);
        return err;
    }
    struct slice *answers = arena_array(&a, it->npieces, sizeof *answers);
    if (!answers)
        return error_set(e, ERR_MEMORY, "the answers do not fit in memory");
    for (size_t i = 0; !err && i < it->npieces; i++)
        if (it->pieces[i].stage == STAGE_DONE)
            err = answer_of(g, &it->pieces[i], &a, &answers[i], e);
    if (!err && it->npieces == 1 && !it->pieces[0].source.n)
        document_note(answers[0], &it->pieces[0], out);
    else if (!err)
        document_gathered(&r->state, w->item, answers, out);
    return err;
}

static enum err land_prepare(struct engine *g, struct run *r, const struct want *w, struct intent *ret, struct error *e)
{
    const struct line *l = run_line(&r->state, w->item, w->piece);
    BUF_CLEANUP struct buf text = BUF_INIT(DOCUMENT_BYTES_MAX);
    struct hash content;
    enum err err = compose(g, r, w, &text, e);
    if (!err)
        err = buf_check(&text, "what the item writes", e);
    if (!err)
        err = blob_put(g->store, buf_slice(&text), &content, e);
    if (err)
        return err;
    json_put_text(ret->args, "path", l->target);
    json_put_text(ret->args, "base", l->base);
    json_put_hash(ret->args, "content", &content);
    if (r->state.land != LAND_STEP)
        json_put_bool(ret->args, "layer", true);
    return OK;
}

/* ---- what a person chose ---- */

static bool at_or_below(struct slice path, struct slice folder)
{
    return slice_eq(path, folder) || slice_below(path, folder);
}

/* Whether a path is one of the lines, or lies below one. */
static bool is_chosen(struct slice path, struct slice lines)
{
    struct slice line;
    while (slice_line(&lines, &line)) {
        if (line.n && line.p[line.n - 1] == '/')
            line.n--;
        if (at_or_below(path, line))
            return true;
    }
    return false;
}

/* Says of each change whether it is chosen. A new folder goes with what is chosen in it, else undo would not know that
   it is to go again. What lies in a folder comes right after it, so from the end one look back is enough. */
static void mark_chosen(const struct manifest *flat, struct slice lines, bool *ret)
{
    const struct change *last = NULL;
    for (size_t i = flat->n; i; i--) {
        const struct change *c = &flat->v[i - 1];
        bool new_folder = c->before.type != STAMP_FOLDER && c->after.type == STAMP_FOLDER;
        ret[i - 1] = is_chosen(c->path, lines) || (new_folder && last && at_or_below(last->path, c->path));
        if (ret[i - 1])
            last = c;
    }
}

/* Parts `flat` by a person's choice; without one all of it is chosen. */
static enum err choose(struct engine *g, const struct line *l, const struct manifest *flat, struct arena *a, struct manifest *ret,
                       struct manifest *ret_rest, struct error *e)
{
    BUF_CLEANUP struct buf only = BUF_INIT(ONLY_BYTES_MAX);
    *ret = *flat;
    *ret_rest = (struct manifest){.seen = flat->seen, .nseen = flat->nseen};
    if (hash_is_zero(&l->only))
        return OK;
    enum err err = blob_get(g->store, &l->only, &only, e);
    if (err)
        return err;
    ret->v = arena_array(a, flat->n, sizeof *ret->v);
    ret_rest->v = arena_array(a, flat->n, sizeof *ret->v);
    bool *marks = arena_array(a, flat->n, sizeof *marks);
    if (!ret->v || !ret_rest->v || !marks)
        return error_set(e, ERR_MEMORY, "the changes do not fit into memory");
    mark_chosen(flat, buf_slice(&only), marks);
    ret->n = 0;
    for (size_t i = 0; i < flat->n; i++) {
        struct manifest *to = marks[i] ? ret : ret_rest;
        to->v[to->n++] = flat->v[i];
    }
    return ret->n ? OK : error_set(e, ERR_MISSING, "none of the changes is at or below the paths that were named");
}

/* What was chosen hunk by hunk was parted then (chosen.h), and holds for what it was chosen from. */
static enum err put_chosen(const struct chosen *c, const struct manifest *flat, struct json *args, struct error *e)
{
    BUF_CLEANUP struct buf bytes = BUF_INIT(MANIFEST_BYTES_MAX);
    manifest_encode(flat, &bytes);
    struct hash h = hash_of(buf_slice(&bytes));
    if (!buf_ok(&bytes) || !hash_eq(&h, &c->of))
        return error_set(e, ERR_CONFLICT, "what waits has changed since you chose from it; choose again");
    json_put_hash(args, "manifest", &c->lands);
    if (!hash_is_zero(&c->rest))
        json_put_hash(args, "rest", &c->rest);
    if (c->part.n)
        json_put_text(args, "part", c->part);
    return OK;
}

static enum err apply_prepare(struct engine *g, struct run *r, const struct want *w, struct intent *ret, struct error *e)
{
    const struct run_state *s = &r->state;
    const struct line *l = run_line(&r->state, w->item, w->piece);
    ARENA_CLEANUP struct arena a = ARENA_INIT(LAYERS_ARENA);
    struct manifest flat, chosen, rest;
    char undo[RUN_LAYER_NAME_MAX + 1];
    layer_put_names(s, ret->args);
    snprintf(undo, sizeof undo, "r%llu-%u-%u-undo", (unsigned long long)s->id, s->branch, l->landing ? l->landing : w->step);
    json_put_text(ret->args, "undo", slice_of(undo));
    json_put_bool(ret->args, "guarded", l->allowed || s->is_take); /* a person has said so */
    json_put_bool(ret->args, "replace", l->replace);
    json_put_bool(ret->args, "rewind", slice_is(s->origin, "undo"));
    enum err err = layer_flatten(g, s, &a, &flat, e);
    if (!err && l->chosen)
        return put_chosen(l->chosen, &flat, ret->args, e);
    if (!err)
        err = choose(g, l, &flat, &a, &chosen, &rest, e);
    if (!err)
        err = layer_put_manifest(g, &chosen, ret->args, "manifest", e);
    if (!err && rest.n)
        err = layer_put_manifest(g, &rest, ret->args, "rest", e);
    return err;
}

static enum err landing_prepare(struct engine *g, struct run *r, const struct want *w, struct intent *ret, struct error *e)
{
    bool apply = w->stage == STAGE_APPLY;
    ret->args = json_object();
    json_put_text(ret->args, "root", SLICE("work"));
    ret->worst.n[UNIT_CPU_NS] = apply ? 600000000000 : 5000000000;
    ret->floor.n[UNIT_CPU_NS] = 100000000;
    ret->clamp = tool_clamp;
    return apply ? apply_prepare(g, r, w, ret, e) : land_prepare(g, r, w, ret, e);
}

/* ---- start ---- */

/* The undo folder of a landing: made once, and found again by every attempt. Durable before anything is replaced (T2): what
   the jail syncs in it is of no use without its own name. */
static enum err undo_folder(struct machine *m, const char *name, const struct place *p, struct error *e)
{
    char up[RUN_LAYER_NAME_MAX + 8];
    struct stat st;
    int folder;
    snprintf(up, sizeof up, "%s/up", name);
    enum err err = layer_folder(m, &folder, e);
    if (err || sys->fstatat(folder, up, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return err;
    if (errno != ENOENT)
        return error_errno(e, errno, "cannot look at the layer %s", up);
    err = layer_make(folder, name, "up", p->uid, p->gid, 0700, e);
    return err ? err : layer_sync(folder, name, e);
}

enum err apply_plan(struct engine *g, const struct json *args, struct arena *a, const struct place *p, struct buf *message,
                    struct jail_plan *ret, struct error *e)
{
    struct machine *m = g->acts.ctx;
    BUF_CLEANUP struct buf manifest = BUF_INIT(MANIFEST_BYTES_MAX);
    struct slice undo = json_text(json_get(args, "undo")), *inside, name;
    struct hash h;
    size_t n;
    if (!hash_from_hex(json_text(json_get(args, "manifest")), &h) || undo.n < 6 || undo.n > RUN_LAYER_NAME_MAX)
        return error_set(e, ERR_CORRUPT, "a landing without manifest or undo");
    char *folder = arena_str(a, undo), *up = arena_printf(a, "%s/layers/%.*s/up", m->state, SLICE_ARG(undo));
    place_plan(p, true, ret);
    enum err err = folder && up ? undo_folder(m, folder, p, e) : error_set(e, ERR_MEMORY, "no memory for a landing");
    if (!err)
        err = layer_add_stack(m, args, a, ret, &inside, &n, e);
    if (!err)
        err = blob_get(g->store, &h, &manifest, e);
    if (err)
        return err;
    jail_plan_add(ret, (struct jail_mount){.kind = JAIL_WRITE, .source = slice_of(up), .target = SLICE("/undo")});
    int64_t cpu_ms = json_int(json_get(args, "cpu_ms"), 600000);
    ret->limits.cpu_ms = cpu_ms > 0 ? (uint64_t)cpu_ms : 1;
    ret->limits.wall_ms = 0;
    ret->limits.file_size = 0;
    ret->applet = SLICE("apply");
    name = slice_sub(undo, 0, undo.n - 5); /* without "-undo" */
    unsigned flags = (json_bool(json_get(args, "guarded"), false) ? APPLY_GUARDED : 0u) |
                     (json_bool(json_get(args, "replace"), false) ? APPLY_REPLACE : 0u) |
                     (json_bool(json_get(args, "rewind"), false) ? APPLY_REWIND : 0u);
    apply_args(message, slice_of(p->work), buf_slice(&manifest), inside, n, SLICE("/undo"), name, flags);
    ret->args = buf_slice(message);
    return buf_check(message, "a landing's arguments", e);
}

/* ---- what it answered ---- */

/* What did not land, for the journal and for people. */
static void tell_left(const struct apply_landed *a, struct completion *c)
{
    struct json *left = json_array();
    for (size_t i = 0; i < a->nleft && i < TOLD_MAX; i++) {
        struct json *one = json_object();
        if (slice_is_utf8(a->left[i].change.path))
            json_put_text(one, "path", a->left[i].change.path);
        json_put_text(one, "why", a->left[i].why);
        json_push(left, one);
    }
    json_put(c->result, "left", left);
    if (!a->nleft)
        return;
    struct slice path = slice_is_utf8(a->left[0].change.path) ? a->left[0].change.path : SLICE("a file");
    snprintf(c->why, sizeof c->why, "%.*s %.*s", SLICE_ARG(slice_sub(path, 0, 80)), SLICE_ARG(slice_sub(a->left[0].why, 0, 120)));
    if (a->left_count > 1) {
        size_t n = strlen(c->why);
        snprintf(c->why + n, sizeof c->why - n, "; and %llu more", (unsigned long long)a->left_count - 1);
    }
}

/* Whether a chosen change did not land. More than are told one by one: then what the undo layer does not name. */
static bool is_left(const void *ctx, struct slice path)
{
    const struct apply_landed *a = ctx;
    if (a->left_count > a->nleft)
        return !manifest_find(&a->undo, path);
    for (size_t i = 0; i < a->nleft; i++)
        if (slice_eq(a->left[i].change.path, path))
            return true;
    return false;
}

/* What is left after this landing: what was not chosen, and what did not land of what was. */
static enum err put_rest(struct engine *g, const struct json *args, const struct manifest *chosen, const struct apply_landed *landed,
                         struct arena *a, struct completion *c, struct error *e)
{
    struct manifest rest = {0}, all;
    struct hash h;
    enum err err = OK;
    if (hash_from_hex(json_text(json_get(args, "rest")), &h))
        err = layer_get_manifest(g->store, &h, a, &rest, e);
    if (!err)
        err = part_join(&rest, chosen, is_left, landed, &landed->undo, a, &all, e);
    if (err || !all.n)
        return err;
    c->blob = BUF_INIT(MANIFEST_BYTES_MAX);
    manifest_encode(&all, &c->blob);
    c->blob_key = "rest";
    struct manifest_count n = manifest_count(&all);
    size_t files = n.added + n.changed + n.removed;
    BUF_CLEANUP struct buf why = BUF_INIT(400);
    buf_addf(&why, "%zu of its changes %s not in the folder yet", files, files == 1 ? "is" : "are");
    if (*c->why)
        buf_addf(&why, ": %s", c->why);
    json_put_text(c->result, "why", slice_is_utf8(buf_slice(&why)) ? buf_slice(&why) : SLICE("some of its changes are not in the folder yet"));
    return OK;
}

static enum err take_answer(struct engine *g, const struct open_step *o, struct slice reply, struct completion *c, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(LAYERS_ARENA);
    JSON_CLEANUP struct json *args = NULL;
    struct apply_landed answer;
    struct manifest chosen;
    struct hash h;
    int folder;
    enum err err = apply_reply(reply, &a, &answer, e);
    if (!err)
        err = json_parse(o->args, &args, e);
    if (!err && !hash_from_hex(json_text(json_get(args, "manifest")), &h))
        err = error_set(e, ERR_CORRUPT, "a landing without its manifest");
    if (!err)
        err = layer_get_manifest(g->store, &h, &a, &chosen, e);
    if (err)
        return err;
    tell_left(&answer, c);
    json_put_int(c->result, "landed", (int64_t)answer.undo.n);
    if (answer.result == LANDING_CONFLICT && !answer.undo.n) {
        c->outcome = OUTCOME_CONFLICT;
        return OK;
    }
    err = put_rest(g, args, &chosen, &answer, &a, c, e);
    if (err || !answer.undo.n)
        return err;
    c->manifest = BUF_INIT(MANIFEST_BYTES_MAX);
    manifest_encode(&answer.undo, &c->manifest);
    c->changes = answer.undo.n;
    snprintf(c->layer, sizeof c->layer, "%.*s", SLICE_ARG(slice_sub(json_text(json_get(args, "undo")), 0, RUN_LAYER_NAME_MAX)));
    err = layer_folder(g->acts.ctx, &folder, e);
    return err ? err : layer_sync(folder, c->layer, e);
}

void apply_done(struct engine *g, struct run *r, const struct open_step *o, struct slice reply, struct completion *c)
{
    struct error e = {0};
    (void)r;
    if (take_answer(g, o, reply, c, &e) == OK)
        return;
    c->outcome = OUTCOME_FAILED;
    c->layer[0] = '\0';
    snprintf(c->why, sizeof c->why, "%.239s", e.text);
}

/* ---- a document into a layer ---- */

/* The manifest of one file and the folders on its way. */
static enum err one_file(struct slice path, const struct stamp *before, const struct stamp *after, const struct place *p, struct completion *c,
                         struct error *e)
{
    struct change v[STAMP_DEPTH_MAX + 1];
    struct manifest m = {.v = v};
    for (size_t i = 0; i < path.n && m.n < STAMP_DEPTH_MAX; i++)
        if (path.p[i] == '/')
            v[m.n++] = (struct change){.path = slice_sub(path, 0, i),
                                       .after = {.type = STAMP_FOLDER, .mode = 0755, .uid = p->uid, .gid = p->gid, .mtime_ns = after->mtime_ns}};
    v[m.n++] = (struct change){.path = path, .before = *before, .after = *after};
    c->manifest = BUF_INIT(MANIFEST_BYTES_MAX);
    manifest_encode(&m, &c->manifest);
    c->changes = m.n;
    return buf_check(&c->manifest, "a manifest", e);
}

static enum err write_layer(struct engine *g, struct run *r, const struct open_step *o, struct completion *c, struct error *e)
{
    struct machine *m = g->acts.ctx;
    JSON_CLEANUP struct json *args = NULL;
    BUF_CLEANUP struct buf bytes = BUF_INIT(DOCUMENT_BYTES_MAX);
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 16);
    struct place place;
    struct stamp before, after;
    struct hash content;
    int folder = -1;
    FD_CLEANUP int dir = -1;
    char *work = arena_str(&a, r->state.work);
    enum err err = work ? json_parse(o->args, &args, e) : error_set(e, ERR_MEMORY, "no memory for a layer");
    struct slice path = json_text(json_get(args, "path"));
    if (!err && (!hash_from_hex(json_text(json_get(args, "content")), &content) ||
                 !stamp_from_hex(json_text(json_get(args, "base")), &before) || stamp_check_path(path, NULL)))
        err = error_set(e, ERR_CORRUPT, "a landing without content, base or path");
    if (!err)
        err = place_look(work, m->state, &place, e);
    if (!err)
        err = blob_get(g->store, &content, &bytes, e);
    layer_name_of(&o->key, c->layer);
    if (!err)
        err = layer_new(m, c->layer, &place, &folder, &dir, e);
    if (!err)
        err = layer_put_file(dir, path, buf_slice(&bytes), &place, 0644, 0, &after, e);
    if (!err)
        err = one_file(path, &before, &after, &place, c, e);
    return err ? err : layer_sync(folder, c->layer, e);
}

static enum err layer_write(struct engine *g, struct run *r, const struct open_step *o, struct error *e)
{
    struct completion c = {.key = o->key, .outcome = OUTCOME_OK, .result = json_object()};
    enum err err = write_layer(g, r, o, &c, e);
    if (err) {
        layer_drop(g->acts.ctx, c.layer);
        completion_release(&c);
        return err;
    }
    engine_complete(g, &c);
    return OK;
}

/* Into a layer it is done here and now; everything else is a jail's. */
static enum err landing_start(struct engine *g, struct run *r, const struct open_step *o, struct error *e)
{
    JSON_CLEANUP struct json *args = NULL;
    enum err err = json_parse(o->args, &args, e);
    if (err)
        return err;
    return json_bool(json_get(args, "layer"), false) ? layer_write(g, r, o, e) : tool_start(g, r, o, e);
}

const struct act_row act_landing = {landing_prepare, landing_start, tool_cancel, tool_recover};
