#include "tools/inside_apply.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/sys.h"
#include "layers/landing.h"
#include "tools/inside.h"
#include "wire/message.h"

enum { ARENA_BYTES = 1024 * 1024 * 1024, PATH_BYTES = 4096 }; /* of address space; what is used is what there is */

static enum err bad(const char *what, struct error *e)
{
    return error_set(e, ERR_CORRUPT, "the landing of layers was called with %s", what);
}

static enum err open_path(struct slice path, int *ret, struct error *e)
{
    char text[PATH_BYTES];
    if (path.n == 0 || path.n >= sizeof text || path.p[0] != '/' || slice_index(path, '\0') < path.n)
        return bad("a folder that is no absolute path", e);
    memcpy(text, path.p, path.n);
    text[path.n] = '\0';
    *ret = sys->openat(AT_FDCWD, text, O_RDONLY | O_DIRECTORY, 0);
    return *ret < 0 ? error_errno(e, errno, "cannot open the folder %s", text) : OK;
}

/* Everything that is open. */
struct open {
    int root, undo, folders[APPLY_FOLDERS_MAX];
    size_t nfolders;
};

static void close_all(struct open *o)
{
    while (o->nfolders)
        sys_close_fd(&o->folders[--o->nfolders]);
    sys_close_fd(&o->undo);
    sys_close_fd(&o->root);
}

#define OPEN_CLEANUP __attribute__((cleanup(close_all)))
#define OPEN_INIT ((struct open){.root = -1, .undo = -1})

static enum err open_folders(struct slice args, const struct manifest *m, struct open *o, struct error *e)
{
    struct message_reader r = message_read(args);
    struct field f;
    while (message_next(&r, &f) == 1) {
        if (f.tag != APPLY_FOLDER)
            continue;
        if (o->nfolders == APPLY_FOLDERS_MAX)
            return error_set(e, ERR_LIMIT, "there are more than %d layers", APPLY_FOLDERS_MAX);
        enum err err = open_path(f.bytes, &o->folders[o->nfolders], e);
        if (err)
            return err;
        o->nfolders++;
    }
    for (size_t i = 0; i < m->n; i++)
        if (m->v[i].layer >= o->nfolders)
            return bad("a list of changes that names a layer that is not there", e);
    return OK;
}

/* ---- the answer ---- */

static enum err put_manifest(struct buf *reply, enum inside_apply_tag tag, const struct manifest *m, struct error *e)
{
    BUF_CLEANUP struct buf bytes = BUF_INIT(MANIFEST_BYTES_MAX);
    manifest_encode(m, &bytes);
    enum err err = buf_check(&bytes, "a list of changes", e);
    if (!err)
        message_put(reply, (uint16_t)tag, buf_slice(&bytes));
    return err;
}

static enum err put_left(struct buf *reply, const struct landed *l, struct error *e)
{
    struct change v[APPLY_LEFT_MAX];
    struct manifest m = {.v = v};
    for (; m.n < l->nleft && m.n < APPLY_LEFT_MAX; m.n++)
        v[m.n] = (struct change){.path = l->left[m.n].change->path, .before = l->left[m.n].now, .after = l->left[m.n].change->after};
    enum err err = put_manifest(reply, APPLY_LEFT, &m, e);
    message_put_u64(reply, APPLY_LEFT_COUNT, l->nleft);
    for (size_t i = 0; i < m.n; i++)
        message_put(reply, APPLY_WHY, l->left[i].why);
    return err;
}

static enum err put_landed(struct buf *reply, const struct landed *l, struct error *e)
{
    message_put_u64(reply, APPLY_RESULT, l->result);
    enum err err = put_manifest(reply, APPLY_UNDO_MANIFEST, &l->undo, e);
    if (!err)
        err = put_left(reply, l, e);
    return err ? err : buf_check(reply, "the answer to a landing", e);
}

enum err inside_apply(struct slice args, struct buf *reply, struct error *e)
{
    OPEN_CLEANUP struct open o = OPEN_INIT;
    ARENA_CLEANUP struct arena a = ARENA_INIT(ARENA_BYTES);
    struct manifest m;
    struct landed landed;
    uint64_t flags = message_get_u64(args, APPLY_FLAGS, 0);
    struct slice name = message_get(args, APPLY_NAME);
    if (!message_ok(args) || name.n == 0 || (flags & ~(uint64_t)APPLY_FLAGS_ALL))
        return bad("what is no list of arguments", e);
    enum err err = manifest_decode(message_get(args, APPLY_MANIFEST), &a, &m, e);
    if (!err)
        err = open_path(message_get(args, APPLY_ROOT), &o.root, e);
    if (!err)
        err = open_path(message_get(args, APPLY_UNDO), &o.undo, e);
    if (!err)
        err = open_folders(args, &m, &o, e);
    if (!err)
        err = landing_lock(o.root, INSIDE_LOCK_MS, e);
    if (err)
        return err;
    struct landing_set s = {
        .root = o.root, .manifest = &m, .folders = o.folders, .undo = o.undo, .name = name,
        .guarded = flags & APPLY_GUARDED, .replace = flags & APPLY_REPLACE, .rewind = flags & APPLY_REWIND,
    };
    struct error why = {.code = OK}; /* a conflict is no error here: its words are in WHY */
    err = landing_apply(&s, &a, &landed, &why);
    if (err && e)
        *e = why;
    return err ? err : put_landed(reply, &landed, e);
}
