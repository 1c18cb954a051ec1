#include "tools/layer.h"

#include <string.h>

#include "layers/copy.h"
#include "tools/inside_layers.h"
#include "wire/message.h"

static enum err bad(const char *tool, struct error *e)
{
    return error_set(e, ERR_CORRUPT, "the layer tool %s gave an answer that is none", tool);
}

static bool get_number(struct slice reply, enum inside_layer_tag tag, uint64_t max, uint64_t *ret)
{
    struct field f;
    return message_find(reply, (uint16_t)tag, &f) && field_u64(f, ret) && *ret <= max;
}

/* ---- seal ---- */

static void put_seal(struct buf *args, struct slice root, struct slice layer, int64_t began_ns, struct slice cover,
                     enum layer_backend backend)
{
    message_put(args, LAYER_ROOT, root);
    message_put(args, LAYER_LAYER, layer);
    message_put_u64(args, LAYER_BEGAN_NS, (uint64_t)began_ns);
    message_put(args, LAYER_COVER, cover);
    message_put_u64(args, LAYER_BACKEND, backend);
}

void layer_seal_args(struct buf *args, struct slice root, struct slice layer, int64_t began_ns, struct slice cover,
                     struct slice below)
{
    put_seal(args, root, layer, began_ns, cover, LAYER_OVERLAY);
    message_put(args, LAYER_MANIFEST, below);
}

void layer_seal_copy_args(struct buf *args, struct slice root, struct slice layer, int64_t began_ns, struct slice cover,
                          struct slice index)
{
    put_seal(args, root, layer, began_ns, cover, LAYER_COPY);
    message_put(args, LAYER_INDEX, index);
}

enum err layer_seal_reply(struct slice reply, struct arena *a, struct layer_sealed *ret, struct error *e)
{
    struct layer_sealed s = {.bytes = message_get(reply, LAYER_MANIFEST), .left_example = message_get(reply, LAYER_EXAMPLE)};
    if (!message_ok(reply) || !get_number(reply, LAYER_LEFT_OUT, UINT64_MAX, &s.left_out))
        return bad("seal", e);
    if (s.left_example.n && stamp_check_path(s.left_example, NULL))
        return bad("seal", e);
    enum err err = manifest_decode(s.bytes, a, &s.manifest, e);
    for (size_t i = 0; !err && i < s.manifest.n; i++)
        if (s.manifest.v[i].layer != 0)
            return bad("seal", e);
    if (!err)
        *ret = s;
    return err == ERR_VERSION || err == ERR_LIMIT ? bad("seal", e) : err; /* both are programs of one build */
}

/* ---- copy, squash ---- */

static void put_folders(struct buf *args, const struct slice *folders, size_t n)
{
    for (size_t i = 0; i < n; i++)
        message_put(args, LAYER_FOLDER, folders[i]);
}

void layer_copy_args(struct buf *args, struct slice root, struct slice to, struct slice cover, uint64_t bytes_max,
                     struct slice manifest, const struct slice *folders, size_t nfolders)
{
    message_put(args, LAYER_ROOT, root);
    message_put(args, LAYER_TO, to);
    message_put(args, LAYER_COVER, cover);
    message_put_u64(args, LAYER_BYTES_MAX, bytes_max);
    message_put(args, LAYER_MANIFEST, manifest);
    put_folders(args, folders, nfolders);
}

/* What the index says is for a jail to read again, which checks it (seal_copy). */
enum err layer_copy_reply(struct slice reply, struct slice *ret_index, struct error *e)
{
    struct slice index = message_get(reply, LAYER_INDEX);
    if (!message_ok(reply) || index.n == 0 || index.n > COPY_INDEX_MAX)
        return bad("copy", e);
    *ret_index = index;
    return OK;
}

void layer_squash_args(struct buf *args, const struct slice *folders, size_t nfolders, struct slice manifest, struct slice to,
                       bool whiteouts)
{
    put_folders(args, folders, nfolders);
    message_put(args, LAYER_MANIFEST, manifest);
    message_put(args, LAYER_TO, to);
    message_put_u64(args, LAYER_WHITEOUTS, whiteouts);
}

enum err layer_squash_reply(struct slice reply, struct error *e)
{
    return message_ok(reply) ? OK : bad("squash", e);
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

static enum err take_masked(struct slice reply, struct credentials *ret)
{
    struct message_reader r = message_read(reply);
    struct field f;
    uint64_t cut;
    *ret = (struct credentials){.n = 0};
    while (message_next(&r, &f) > 0) {
        if (f.tag != LAYER_MASKED)
            continue;
        if (ret->n == CREDENTIALS_MAX || !slice_is_utf8(f.bytes) || stamp_check_path(f.bytes, NULL))
            return ERR_CORRUPT;
        ret->paths[ret->n++] = f.bytes;
    }
    bool ok = get_number(reply, LAYER_MASKED_CUT, 1, &cut);
    ret->cut = ok && cut;
    return ok ? OK : ERR_CORRUPT;
}

enum err layer_survey_reply(struct slice reply, struct survey *ret, struct credentials *ret_masked, struct error *e)
{
    struct survey s = {0};
    struct slice example = message_get(reply, LAYER_EXAMPLE);
    uint64_t cut;
    uint64_t most = SURVEY_FILES_MAX;
    bool ok = message_ok(reply) && get_number(reply, LAYER_FILES, most, &s.files) && get_number(reply, LAYER_FOLDERS, most, &s.folders) &&
              get_number(reply, LAYER_CUT, 1, &cut) && get_number(reply, LAYER_OWNER, most, &s.foreign_owner) &&
              get_number(reply, LAYER_GROUP, most, &s.foreign_group) && get_number(reply, LAYER_SPECIAL, most, &s.special) &&
              example.n <= SURVEY_EXAMPLE_MAX && slice_index(example, '\0') == example.n && take_masked(reply, ret_masked) == OK;
    if (!ok)
        return bad("survey", e);
    s.cut = cut;
    if (example.n)
        memcpy(s.example, example.p, example.n);
    *ret = s;
    return OK;
}
