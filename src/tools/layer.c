#include "tools/layer.h"

#include <stdio.h>

#include "tools/layer_tags.h"
#include "wire/message.h"

static void put_folders(struct buf *args, const struct slice *folders, size_t n)
{
    for (size_t i = 0; i < n; i++)
        message_put(args, LAYER_FOLDER, folders[i]);
}

static enum err bad(const char *tool, struct error *e)
{
    return error_set(e, ERR_CORRUPT, "the file tool %s gave an answer that is none", tool);
}

/* ---- survey ---- */

void layer_survey_args(struct buf *args, struct slice root, uint32_t uid, uint32_t gid, bool range, struct slice cover)
{
    message_put(args, LAYER_ROOT, root);
    message_put_u64(args, LAYER_UID, uid);
    message_put_u64(args, LAYER_GID, gid);
    message_put_u64(args, LAYER_RANGE, range);
    message_put(args, LAYER_COVER, cover);
}

enum err layer_survey_reply(struct slice reply, struct survey *ret, struct error *e)
{
    struct slice example = message_get(reply, LAYER_EXAMPLE);
    struct field files;
    if (!message_ok(reply) || !message_find(reply, LAYER_FILES, &files) || example.n > SURVEY_EXAMPLE_MAX)
        return bad("survey", e);
    *ret = (struct survey){
        .files = message_get_u64(reply, LAYER_FILES, 0), .folders = message_get_u64(reply, LAYER_FOLDERS, 0),
        .cut = message_get_u64(reply, LAYER_CUT, 0) != 0, .foreign_owner = message_get_u64(reply, LAYER_FOREIGN_OWNER, 0),
        .foreign_group = message_get_u64(reply, LAYER_FOREIGN_GROUP, 0), .special = message_get_u64(reply, LAYER_SPECIAL, 0),
    };
    snprintf(ret->example, sizeof ret->example, "%.*s", SLICE_ARG(example));
    return OK;
}

/* ---- copy ---- */

void layer_copy_args(struct buf *args, struct slice root, struct slice to, struct slice cover, uint64_t bytes_max,
                     struct slice manifest, const struct slice *folders, size_t n)
{
    message_put(args, LAYER_ROOT, root);
    message_put(args, LAYER_TO, to);
    message_put(args, LAYER_COVER, cover);
    message_put_u64(args, LAYER_BYTES_MAX, bytes_max);
    message_put(args, LAYER_MANIFEST, manifest);
    put_folders(args, folders, n);
}

struct slice layer_copy_reply(struct slice reply)
{
    return message_ok(reply) ? message_get(reply, LAYER_INDEX) : SLICE_NONE;
}

/* ---- seal ---- */

void layer_seal_args(struct buf *args, struct slice root, struct slice layer, int64_t began_ns, struct slice cover, bool copies,
                     struct slice index, struct slice below)
{
    message_put(args, LAYER_ROOT, root);
    message_put(args, LAYER_LAYER, layer);
    message_put_u64(args, LAYER_BEGAN, (uint64_t)began_ns);
    message_put(args, LAYER_COVER, cover);
    message_put_u64(args, LAYER_COPIES, copies);
    message_put(args, LAYER_INDEX, index);
    message_put(args, LAYER_MANIFEST, below);
}

enum err layer_seal_reply(struct slice reply, struct layer_seal_answer *ret, struct error *e)
{
    struct field manifest;
    if (!message_ok(reply) || !message_find(reply, LAYER_MANIFEST, &manifest))
        return bad("seal", e);
    *ret = (struct layer_seal_answer){manifest.bytes, message_get_u64(reply, LAYER_LEFT_OUT, 0), message_get(reply, LAYER_EXAMPLE)};
    return OK;
}

/* ---- squash ---- */

void layer_squash_args(struct buf *args, const struct slice *folders, size_t n, struct slice manifest, struct slice to, bool whiteouts)
{
    put_folders(args, folders, n);
    message_put(args, LAYER_MANIFEST, manifest);
    message_put(args, LAYER_TO, to);
    message_put_u64(args, LAYER_WHITEOUTS, whiteouts);
}

/* ---- apply ---- */

void apply_args(struct buf *args, const struct apply_wish *w)
{
    message_put(args, LAYER_ROOT, w->root);
    message_put(args, LAYER_UNDO, w->undo);
    message_put(args, LAYER_NAME, w->name);
    message_put(args, LAYER_MANIFEST, w->manifest);
    put_folders(args, w->folders, w->nfolders);
    message_put_u64(args, LAYER_GUARDED, w->guarded);
    message_put_u64(args, LAYER_REPLACE, w->replace);
    message_put_u64(args, LAYER_REWIND, w->rewind);
}

enum err apply_reply(struct slice reply, struct arena *a, struct apply_answer *ret, struct error *e)
{
    struct message_reader r = message_read(reply);
    struct field f;
    uint64_t result = message_get_u64(reply, LAYER_RESULT, 0);
    *ret = (struct apply_answer){.result = (enum landing_result)result};
    if (!message_ok(reply) || (result != LANDING_DONE && result != LANDING_CONFLICT))
        return bad("apply", e);
    enum err err = manifest_decode(message_get(reply, LAYER_UNDO), a, &ret->undo, e);
    if (!err)
        err = manifest_decode(message_get(reply, LAYER_LEFT), a, &ret->left, e);
    while (!err && message_next(&r, &f) == 1)
        if (f.tag == LAYER_WHY && ret->nwhys < APPLY_WHYS_MAX && slice_is_utf8(f.bytes))
            ret->whys[ret->nwhys++] = f.bytes;
    return err;
}
