#include "tools/apply.h"

#include "tools/inside_apply.h"
#include "wire/message.h"

static enum err bad(struct error *e)
{
    return error_set(e, ERR_CORRUPT, "the landing of layers gave an answer that is none");
}

void apply_args(struct buf *args, struct slice root, struct slice manifest, const struct slice *folders, size_t nfolders,
                struct slice undo, struct slice name, unsigned flags)
{
    message_put(args, APPLY_ROOT, root);
    message_put(args, APPLY_MANIFEST, manifest);
    for (size_t i = 0; i < nfolders; i++)
        message_put(args, APPLY_FOLDER, folders[i]);
    message_put(args, APPLY_UNDO, undo);
    message_put(args, APPLY_NAME, name);
    message_put_u64(args, APPLY_FLAGS, flags);
}

/* One WHY for each change that was left, in the same order. */
static enum err get_left(struct slice reply, const struct manifest *m, struct arena *a, struct apply_landed *l, struct error *e)
{
    struct message_reader r = message_read(reply);
    struct field f;
    l->left = arena_array(a, m->n + 1, sizeof *l->left);
    if (!l->left)
        return error_set(e, ERR_MEMORY, "no memory for what did not land");
    while (message_next(&r, &f) == 1) {
        if (f.tag != APPLY_WHY)
            continue;
        if (l->nleft == m->n)
            return bad(e);
        l->left[l->nleft] = (struct apply_left){.change = m->v[l->nleft], .why = slice_is_utf8(f.bytes) ? f.bytes : SLICE_NONE};
        l->nleft++;
    }
    return l->nleft == m->n && l->left_count >= l->nleft ? OK : bad(e);
}

enum err apply_reply(struct slice reply, struct arena *a, struct apply_landed *ret, struct error *e)
{
    struct apply_landed l = {.undo_bytes = message_get(reply, APPLY_UNDO_MANIFEST)};
    struct manifest left;
    struct field count;
    uint64_t result = message_get_u64(reply, APPLY_RESULT, 0);
    if (!message_ok(reply) || (result != LANDING_DONE && result != LANDING_CONFLICT) ||
        !message_find(reply, APPLY_LEFT_COUNT, &count) || !field_u64(count, &l.left_count))
        return bad(e);
    l.result = (enum landing_result)result;
    enum err err = manifest_decode(l.undo_bytes, a, &l.undo, e);
    if (!err)
        err = manifest_decode(message_get(reply, APPLY_LEFT), a, &left, e);
    if (err)
        return err == ERR_MEMORY ? err : bad(e); /* both are programs of one build */
    for (size_t i = 0; i < l.undo.n; i++)
        if (l.undo.v[i].layer != 0)
            return bad(e);
    if (left.n > APPLY_LEFT_MAX || (l.result == LANDING_CONFLICT && left.n == 0))
        return bad(e);
    err = get_left(reply, &left, a, &l, e);
    if (!err)
        *ret = l;
    return err;
}
