/*
 * Layers of steps: where their folders lie, what a step sees of them, and the jails before and after its own.
 *
 * A step that writes works in up to three jails, one after another, as one act with one completion:
 *
 *     COPY   only without overlays: the root and the run's layers are copied
 *     RUN    the step itself
 *     SEAL   only if something changed: what is it? The answer is the layer's manifest
 *
 * Whatever dies on the way leaves a folder named after the attempt, which recovery removes; the next attempt has another.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "engine/machine.h"
#include "layers/copy.h"
#include "layers/folder.h"
#include "tools/layer.h"

static const int64_t MS_NS = 1000000;

void layer_name_of(const struct step_key *k, char ret[RUN_LAYER_NAME_MAX + 1])
{
    snprintf(ret, RUN_LAYER_NAME_MAX + 1, "r%llu-%u-%u-%u", (unsigned long long)k->run, k->branch, k->step, k->attempt);
}

enum err layer_folder(struct machine *m, int *ret, struct error *e)
{
    BUF_CLEANUP struct buf path = BUF_INIT(4096);
    if (m->layers >= 0) {
        *ret = m->layers;
        return OK;
    }
    if (!m->state)
        return error_set(e, ERR_UNSUPPORTED, "this crannog has no place for layers");
    buf_addf(&path, "%s/layers", m->state);
    enum err err = buf_check(&path, "the path of the layers", e);
    if (err)
        return err;
    /* 0711: as root each layer belongs to the owner of its root, who must get there; .crannog itself lets nobody in */
    bool made = sys->mkdirat(AT_FDCWD, buf_str(&path), 0711) == 0;
    if (!made && errno != EEXIST)
        return error_errno(e, errno, "cannot make %s", buf_str(&path));
    FD_CLEANUP int state = made ? sys->openat(AT_FDCWD, m->state, O_RDONLY | O_DIRECTORY, 0) : -1;
    if (made && (state < 0 || sys->fsync(state) < 0)) /* J4: what an event names lies below it */
        return error_errno(e, errno, "cannot sync %.160s", m->state);
    m->layers = sys->openat(AT_FDCWD, buf_str(&path), O_RDONLY | O_DIRECTORY, 0);
    if (m->layers < 0)
        return error_errno(e, errno, "cannot open %s", buf_str(&path));
    *ret = m->layers;
    return layer_sweep(m->layers, e);
}

static enum err path_of(const struct machine *m, struct arena *a, struct slice name, const char *sub, struct slice *ret,
                        struct error *e)
{
    char *path = arena_printf(a, "%s/layers/%.*s%s", m->state, SLICE_ARG(name), sub);
    *ret = slice_of(path);
    return path ? OK : error_set(e, ERR_MEMORY, "no memory for the path of a layer");
}

static enum err paths_of(const struct machine *m, const struct slice *names, size_t n, struct arena *a, struct slice **ret,
                         struct error *e)
{
    struct slice *paths = arena_array(a, n ? n : 1, sizeof *paths);
    enum err err = paths ? OK : error_set(e, ERR_MEMORY, "no memory for the paths of layers");
    for (size_t i = 0; !err && i < n; i++)
        err = path_of(m, a, names[i], "/up", &paths[i], e);
    if (!err)
        *ret = paths;
    return err;
}

void layer_put_names(const struct run_state *r, struct json *args)
{
    struct json *names = json_array();
    for (size_t i = 0; i < r->nlayers; i++)
        json_push(names, json_new_text(r->layers[i].name));
    json_put(args, "layers", names);
}

enum { STACK_MAX = RUN_LAYERS_MAX + 1 };

/* Those names again, oldest first, then that of parts of files (engine/chosen.h); slices of the arguments. */
static enum err names_of(const struct json *args, struct slice ret[STACK_MAX], size_t *ret_n, struct error *e)
{
    const struct json *names = json_get(args, "layers");
    size_t n = json_type(names) == JSON_ARRAY ? json_count(names) : 0;
    if (n > RUN_LAYERS_MAX)
        return error_set(e, ERR_CORRUPT, "a step of %zu layers", n);
    for (size_t i = 0; i < n; i++)
        ret[i] = json_text(json_at(names, i));
    if (json_has(args, "part"))
        ret[n++] = json_text(json_get(args, "part"));
    *ret_n = n;
    return OK;
}

/* Makes the folder of this attempt, `sub` in it or what an overlay wants, and remembers it in the job. */
static enum err make(struct machine *m, struct jail_job *job, const struct place *p, const char *sub, struct error *e)
{
    struct stat st;
    int folder;
    layer_name_of(&job->key, job->layer);
    if (sys->fstatat(AT_FDCWD, p->work, &st, 0) < 0)
        return error_errno(e, errno, "cannot look at %.160s", p->work);
    enum err err = layer_folder(m, &folder, e);
    return err ? err : layer_make(folder, job->layer, sub, p->uid, p->gid, st.st_mode & 0777, e);
}

void layer_drop(struct machine *m, const char *name)
{
    int folder;
    if (*name && layer_folder(m, &folder, NULL) == OK)
        m->litter |= layer_throw(folder, name, NULL) == OK;
}

void layer_sweep_litter(struct machine *m)
{
    if (m->litter)
        (void)!layer_sweep(m->layers, NULL);
    m->litter = false;
}

enum err layer_share(struct machine *m, struct slice name, struct error *e)
{
    char path[RUN_LAYER_NAME_MAX + 16];
    int folder;
    snprintf(path, sizeof path, "%.*s/shared", SLICE_ARG(slice_sub(name, 0, RUN_LAYER_NAME_MAX)));
    enum err err = layer_folder(m, &folder, e);
    if (err)
        return err;
    FD_CLEANUP int fd = sys->openat(folder, path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == ENOENT)
        return error_set(e, ERR_MISSING, "the changes in %.*s are gone: they were put into the folder meanwhile", SLICE_ARG(name));
    if (fd < 0 || sys->fsync(fd) < 0)
        return error_errno(e, errno, "cannot mark the layer %.*s as shared", SLICE_ARG(name));
    path[strlen(path) - strlen("/shared")] = '\0';
    return layer_sync(folder, path, e);
}

static bool is_named(struct slice name, const struct layer_ref *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (slice_eq(v[i].name, name))
            return true;
    return false;
}

/* Parts of files that are to land. */
static bool is_part(struct slice name, const struct run_state *r)
{
    for (size_t i = 0; i < r->nitems; i++)
        if (r->items[i].head.chosen && slice_eq(r->items[i].head.chosen->part, name))
            return true;
    return false;
}

/* Of this run, not of another whose number begins like its own. */
static bool is_of_run(struct slice name, uint64_t run)
{
    char head[32];
    snprintf(head, sizeof head, "r%llu-", (unsigned long long)run);
    return slice_starts(name, slice_of(head));
}

void layer_tidy(struct machine *m, const struct run_state *r)
{
    int folder;
    if (r->nopen || layer_folder(m, &folder, NULL))
        return;
    FD_CLEANUP int copy = fcntl(folder, F_DUPFD_CLOEXEC, 0);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    if (!d)
        return;
    copy = -1;
    rewinddir(d);
    for (struct dirent *f; (f = readdir(d));) {
        struct slice name = slice_of(f->d_name);
        char mark[sizeof f->d_name + 8];
        struct stat st;
        snprintf(mark, sizeof mark, "%s/shared", f->d_name);
        bool wanted = !is_of_run(name, r->id) || is_named(name, r->layers, r->nlayers) || is_named(name, r->undos, r->nundos) ||
                      is_part(name, r) || sys->fstatat(folder, mark, &st, AT_SYMLINK_NOFOLLOW) == 0;
        if (!wanted)
            layer_drop(m, f->d_name);
    }
    closedir(d);
}

enum err layer_see(struct machine *m, const struct json *args, struct jail_job *job, struct arena *a, struct place *p,
                   struct error *e)
{
    if (job->plain)
        return OK;
    if (job->copies)
        return path_of(m, a, slice_of(job->layer), "/copy", &p->copy, e);
    struct slice names[STACK_MAX];
    enum err err = names_of(args, names, &p->nlayers, e);
    if (!err)
        err = paths_of(m, names, p->nlayers, a, &p->layers, e);
    if (err || !job->writes)
        return err;
    err = make(m, job, p, NULL, e);
    return err ? err : path_of(m, a, slice_of(job->layer), "", &p->upper, e);
}

/* ---- the other jails ---- */

enum err layer_show(const struct machine *m, const struct slice *names, size_t n, struct arena *a, struct jail_plan *plan,
                    struct slice *ret_inside, struct error *e)
{
    struct slice *paths;
    enum err err = paths_of(m, names, n, a, &paths, e);
    for (size_t i = 0; !err && i < n; i++) {
        char *inside = arena_printf(a, "/layers/%zu", i);
        ret_inside[i] = slice_of(inside);
        if (!inside || !jail_plan_add(plan, (struct jail_mount){.kind = JAIL_READ, .source = paths[i], .target = ret_inside[i]}))
            err = error_set(e, ERR_LIMIT, "more layers than one jail can show");
    }
    return err;
}

/* What looks through whole folders may take long. */
static void allow_time(struct jail_plan *plan, uint64_t cpu_ms)
{
    plan->limits.cpu_ms = cpu_ms;
    plan->limits.wall_ms = 0;
    plan->limits.file_size = 0;
}

enum err layer_add_stack(const struct machine *m, const struct json *args, struct arena *a, struct jail_plan *plan,
                         struct slice **ret_inside, size_t *ret_n, struct error *e)
{
    struct slice names[STACK_MAX];
    enum err err = names_of(args, names, ret_n, e);
    if (err)
        return err;
    *ret_inside = arena_array(a, *ret_n ? *ret_n : 1, sizeof **ret_inside);
    return *ret_inside ? layer_show(m, names, *ret_n, a, plan, *ret_inside, e) : error_set(e, ERR_MEMORY, "no memory for the paths of layers");
}

static enum err manifest_arg(struct engine *g, const struct json *args, const char *key, struct buf *ret, struct error *e)
{
    struct hash h;
    if (!json_has(args, key))
        return OK;
    if (!hash_from_hex(json_text(json_get(args, key)), &h))
        return error_set(e, ERR_CORRUPT, "%s is not a hash", key);
    return blob_get(g->store, &h, ret, e);
}

enum err layer_copy_plan(struct engine *g, const struct json *args, struct jail_job *job, struct arena *a, const struct place *p,
                         struct buf *message, struct jail_plan *ret, struct error *e)
{
    struct machine *m = g->acts.ctx;
    BUF_CLEANUP struct buf manifest = BUF_INIT(MANIFEST_BYTES_MAX);
    struct slice to, *inside;
    size_t n;
    place_plan(p, false, ret);
    enum err err = make(m, job, p, "copy", e);
    if (!err)
        err = path_of(m, a, slice_of(job->layer), "/copy", &to, e);
    if (!err)
        err = layer_add_stack(m, args, a, ret, &inside, &n, e);
    if (!err)
        err = manifest_arg(g, args, "manifest", &manifest, e);
    if (err)
        return err;
    jail_plan_add(ret, (struct jail_mount){.kind = JAIL_WRITE, .source = to, .target = SLICE("/copy")});
    allow_time(ret, 600000);
    ret->applet = SLICE("copy");
    layer_copy_args(message, slice_of(p->work), SLICE("/copy"), SLICE(".crannog"), (uint64_t)PLACE_DISK_GIB << 30, buf_slice(&manifest),
                    inside, n);
    return OK;
}

enum err layer_seal_plan(struct engine *g, const struct json *args, const struct jail_job *job, struct arena *a, const struct place *p,
                         struct buf *message, struct jail_plan *ret, struct error *e)
{
    struct machine *m = g->acts.ctx;
    BUF_CLEANUP struct buf below = BUF_INIT(MANIFEST_BYTES_MAX);
    struct slice from;
    enum err err = path_of(m, a, slice_of(job->layer), job->copies ? "/copy" : "/up", &from, e);
    if (!err)
        err = manifest_arg(g, args, "manifest", &below, e);
    if (err)
        return err;
    place_plan(p, false, ret);
    jail_plan_add(ret, (struct jail_mount){.kind = JAIL_WRITE, .source = from, .target = SLICE("/layer")});
    allow_time(ret, 600000);
    ret->applet = SLICE("seal");
    if (job->copies)
        layer_seal_copy_args(message, slice_of(p->work), SLICE("/layer"), job->began_ms * MS_NS, SLICE(".crannog"), buf_slice(&job->index));
    else
        layer_seal_args(message, slice_of(p->work), SLICE("/layer"), job->began_ms * MS_NS, SLICE(".crannog"), buf_slice(&below));
    return OK;
}

enum err layer_squash_plan(struct engine *g, const struct json *args, struct jail_job *job, struct arena *a, const struct place *p,
                           struct buf *message, struct jail_plan *ret, struct error *e)
{
    struct machine *m = g->acts.ctx;
    BUF_CLEANUP struct buf manifest = BUF_INIT(MANIFEST_BYTES_MAX);
    struct slice names[STACK_MAX], inside[STACK_MAX], all;
    size_t n = 0;
    char *to = NULL;
    enum err err = names_of(args, names, &n, e);
    if (!err)
        err = make(m, job, p, "up", e);
    if (!err)
        err = manifest_arg(g, args, "manifest", &manifest, e);
    if (!err)
        err = path_of(m, a, SLICE(""), "", &all, e);
    for (size_t i = 0; !err && i < n; i++) {
        inside[i] = slice_of(arena_printf(a, "/layers/%.*s/up", SLICE_ARG(names[i])));
        err = inside[i].n ? OK : ERR_MEMORY;
    }
    if (!err && !(to = arena_printf(a, "/layers/%s/up", job->layer)))
        err = error_set(e, ERR_MEMORY, "no memory for a squash");
    if (err)
        return err;
    place_plan(p, false, ret);
    /* one mount for all: a hard link does not lead from one mount to another */
    jail_plan_add(ret, (struct jail_mount){.kind = JAIL_WRITE, .source = slice_sub(all, 0, all.n - 1), .target = SLICE("/layers")});
    allow_time(ret, 600000);
    ret->applet = SLICE("squash");
    layer_squash_args(message, inside, n, buf_slice(&manifest), slice_of(to), !json_bool(json_get(args, "copies"), false));
    return OK;
}

/* ---- what they answer ---- */

static enum err keep_folder(struct machine *m, const struct jail_job *job, struct error *e)
{
    int folder;
    enum err err = layer_folder(m, &folder, e);
    char from[RUN_LAYER_NAME_MAX + 16], to[RUN_LAYER_NAME_MAX + 16];
    snprintf(from, sizeof from, "%s/copy", job->layer);
    snprintf(to, sizeof to, "%s/up", job->layer);
    if (!err && job->copies && sys->renameat2(folder, from, folder, to, 0) < 0)
        err = error_errno(e, errno, "cannot keep the layer %s", job->layer);
    if (!err && !job->copies)
        err = layer_remove(folder, job->layer, "work", e);
    return err ? err : layer_sync(folder, job->layer, e);
}

enum err layer_sealed(struct machine *m, struct jail_job *job, struct slice reply, struct completion *c, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT((size_t)MANIFEST_CHANGES_MAX * sizeof(struct change) + 4096);
    struct layer_sealed s;
    enum err err = layer_seal_reply(reply, &a, &s, e);
    if (!err && s.left_out)
        json_put_int(c->result, "left_out", (int64_t)s.left_out);
    if (err || s.manifest.n == 0) /* touched and put back: no layer */
        return err;
    c->manifest = BUF_INIT(MANIFEST_BYTES_MAX);
    buf_add(&c->manifest, s.bytes);
    c->changes = s.manifest.n;
    err = buf_check(&c->manifest, "a manifest", e);
    if (!err)
        err = keep_folder(m, job, e);
    if (!err)
        snprintf(c->layer, sizeof c->layer, "%s", job->layer);
    return err;
}

enum err layer_squashed(struct engine *g, const struct open_step *o, struct jail_job *job, struct completion *c, struct error *e)
{
    struct machine *m = g->acts.ctx;
    JSON_CLEANUP struct json *args = NULL;
    BUF_CLEANUP struct buf flat = BUF_INIT(MANIFEST_BYTES_MAX);
    int folder;
    enum err err = json_parse(o->args, &args, e);
    if (!err)
        err = manifest_arg(g, args, "manifest", &flat, e);
    if (!err)
        err = layer_flat_as_one(buf_slice(&flat), c, e);
    if (!err)
        err = layer_folder(m, &folder, e);
    if (!err)
        err = layer_sync(folder, job->layer, e);
    if (!err)
        snprintf(c->layer, sizeof c->layer, "%s", job->layer);
    return err;
}

enum err layer_flat_as_one(struct slice flat, struct completion *c, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT((size_t)MANIFEST_CHANGES_MAX * sizeof(struct change) + 4096);
    struct manifest m;
    enum err err = manifest_decode(flat, &a, &m, e);
    if (err)
        return err;
    for (size_t i = 0; i < m.n; i++)
        m.v[i].layer = 0;
    c->manifest = BUF_INIT(MANIFEST_BYTES_MAX);
    manifest_encode(&m, &c->manifest);
    c->changes = m.n;
    return buf_check(&c->manifest, "a manifest", e);
}

/* ---- manifests of a run ---- */

enum err layer_get_manifest(struct store *s, const struct hash *h, struct arena *a, struct manifest *ret, struct error *e)
{
    BUF_CLEANUP struct buf bytes = BUF_INIT(MANIFEST_BYTES_MAX);
    enum err err = blob_get(s, h, &bytes, e);
    struct slice kept = err ? SLICE_NONE : arena_copy(a, buf_slice(&bytes));
    if (err)
        return err;
    return kept.p ? manifest_decode(kept, a, ret, e) : error_set(e, ERR_MEMORY, "the changes do not fit into memory");
}

enum err layer_flatten(struct engine *g, const struct run_state *r, struct arena *a, struct manifest *ret, struct error *e)
{
    struct manifest m[RUN_LAYERS_MAX];
    enum err err = OK;
    if (!hash_is_zero(&r->rest))
        return layer_get_manifest(g->store, &r->rest, a, ret, e);
    for (size_t i = 0; !err && i < r->nlayers; i++)
        err = layer_get_manifest(g->store, &r->layers[i].manifest, a, &m[i], e);
    return err ? err : manifest_flatten(m, r->nlayers, a, ret, e);
}

enum err layer_put_manifest(struct engine *g, const struct manifest *m, struct json *args, const char *key, struct error *e)
{
    BUF_CLEANUP struct buf bytes = BUF_INIT(MANIFEST_BYTES_MAX);
    struct hash h;
    manifest_encode(m, &bytes);
    enum err err = buf_check(&bytes, "a manifest", e);
    if (!err)
        err = blob_put(g->store, buf_slice(&bytes), &h, e);
    if (!err)
        json_put_hash(args, key, &h);
    return err;
}

/* ---- files that we put into a layer ourselves ---- */

enum err layer_new(struct machine *m, const char *name, const struct place *p, int *ret_folder, int *ret_up, struct error *e)
{
    char up[RUN_LAYER_NAME_MAX + 8];
    snprintf(up, sizeof up, "%s/up", name);
    enum err err = layer_folder(m, ret_folder, e);
    if (!err)
        err = layer_make(*ret_folder, name, "up", p->uid, p->gid, 0755, e);
    if (!err && (*ret_up = sys->openat(*ret_folder, up, O_RDONLY | O_DIRECTORY, 0)) < 0)
        err = error_errno(e, errno, "cannot open the layer %s", name);
    return err;
}

/* Makes the folders on the way to a path below a fresh folder of ours; owners as inside. */
static enum err make_way(int up, char *name, const struct place *p, struct error *e)
{
    for (size_t i = 0; name[i]; i++) {
        if (name[i] != '/')
            continue;
        name[i] = '\0';
        int made = sys->mkdirat(up, name, 0755);
        FD_CLEANUP int dir = made < 0 && errno != EEXIST ? -1 : sys->openat(up, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (dir < 0 || (geteuid() == 0 && sys->fchown(dir, p->uid, p->gid) < 0))
            return error_errno(e, errno, "cannot make the folder %.160s of a layer", name);
        name[i] = '/';
    }
    return OK;
}

/* The entries on the way to a path, when all of them are there. */
static enum err sync_way(int up, char *name, struct error *e)
{
    for (size_t i = 0; name[i]; i++) {
        if (name[i] != '/')
            continue;
        name[i] = '\0';
        FD_CLEANUP int dir = sys->openat(up, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (dir < 0 || sys->fsync(dir) < 0)
            return error_errno(e, errno, "cannot sync the folder %.160s of a layer", name);
        name[i] = '/';
    }
    return sys->fsync(up) < 0 ? error_errno(e, errno, "cannot sync a layer") : OK;
}

static enum err finish_file(int fd, const char *name, const struct place *p, uint32_t mode, int64_t mtime_ns, struct stat *ret, struct error *e)
{
    char self[40];
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, stamp_time(mtime_ns)};
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if ((geteuid() == 0 && sys->fchown(fd, p->uid, p->gid) < 0) || sys->fchmod(fd, mode & 0777) < 0 ||
        (mtime_ns && sys->utimensat(AT_FDCWD, self, times, 0) < 0) || sys->fsync(fd) < 0 || sys->fstatat(fd, "", ret, AT_EMPTY_PATH) < 0)
        return error_errno(e, errno, "cannot finish %.160s in a layer", name);
    return OK;
}

enum err layer_put_file(int up, struct slice path, struct slice bytes, const struct place *p, uint32_t mode, int64_t mtime_ns,
                        struct stamp *ret, struct error *e)
{
    char name[STAMP_PATH_MAX + 1];
    struct stat st;
    memcpy(name, path.p, path.n);
    name[path.n] = '\0';
    enum err err = make_way(up, name, p, e);
    if (err)
        return err;
    FD_CLEANUP int fd = sys->openat(up, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_errno(e, errno, "cannot make %.160s in a layer", name);
    err = sys_write_all(fd, bytes, name, e);
    if (!err)
        err = finish_file(fd, name, p, mode, mtime_ns, &st, e);
    if (!err)
        err = sync_way(up, name, e);
    if (err)
        return err;
    *ret = stamp_of_stat(&st);
    ret->uid = p->uid;
    ret->gid = p->gid;
    ret->hash = hash_of(bytes);
    return OK;
}
