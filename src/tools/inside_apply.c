#include "tools/inside_apply.h"

#include "base/sys.h"
#include "layers/landing.h"
#include "tools/inside.h"
#include "tools/inside_args.h"
#include "wire/message.h"

enum { ARENA_BYTES = 1024 * 1024 * 1024 }; /* of address space; what is used is what there is */

/* ---- the answer ---- */

static enum err put_left(struct buf *reply, const struct landed *l, struct error *e)
{
    struct change v[APPLY_LEFT_MAX];
    struct manifest m = {.v = v};
    for (; m.n < l->nleft && m.n < APPLY_LEFT_MAX; m.n++)
        v[m.n] = (struct change){.path = l->left[m.n].change->path, .before = l->left[m.n].now, .after = l->left[m.n].change->after};
    enum err err = inside_put_manifest(reply, APPLY_LEFT, &m, e);
    message_put_u64(reply, APPLY_LEFT_COUNT, l->nleft);
    for (size_t i = 0; i < m.n; i++)
        message_put(reply, APPLY_WHY, l->left[i].why);
    return err;
}

static enum err put_landed(struct buf *reply, const struct landed *l, struct error *e)
{
    message_put_u64(reply, APPLY_RESULT, l->result);
    enum err err = inside_put_manifest(reply, APPLY_UNDO_MANIFEST, &l->undo, e);
    if (!err)
        err = put_left(reply, l, e);
    return err ? err : buf_check(reply, "the answer to a landing", e);
}

enum err inside_apply(struct slice args, struct buf *reply, struct error *e)
{
    FD_CLEANUP int root = -1, undo = -1;
    INSIDE_FOLDERS_CLEANUP struct inside_folders folders = {.n = 0};
    ARENA_CLEANUP struct arena a = ARENA_INIT(ARENA_BYTES);
    struct manifest m;
    struct landed landed;
    uint64_t flags = message_get_u64(args, APPLY_FLAGS, 0);
    struct slice name = message_get(args, APPLY_NAME);
    if (!message_ok(args) || name.n == 0 || (flags & ~(uint64_t)APPLY_FLAGS_ALL))
        return inside_bad("what is no list of arguments", e);
    enum err err = manifest_decode(message_get(args, APPLY_MANIFEST), &a, &m, e);
    if (!err)
        err = inside_open(message_get(args, APPLY_ROOT), &root, e);
    if (!err)
        err = inside_open(message_get(args, APPLY_UNDO), &undo, e);
    if (!err)
        err = inside_open_folders(args, APPLY_FOLDER, &m, &folders, e);
    if (!err)
        err = landing_lock(root, INSIDE_LOCK_MS, e);
    if (err)
        return err;
    struct landing_set s = {
        .root = root, .manifest = &m, .folders = folders.fd, .undo = undo, .name = name,
        .guarded = flags & APPLY_GUARDED, .replace = flags & APPLY_REPLACE, .rewind = flags & APPLY_REWIND,
    };
    struct error why = {.code = OK}; /* a conflict is no error here: its words are in WHY */
    err = landing_apply(&s, &a, &landed, &why);
    if (err && e)
        *e = why;
    return err ? err : put_landed(reply, &landed, e);
}
