/* The applets that work on layers, inside a jail (tools/layer.h). Each is a process of its own: what it opens ends with it. */
#include "tools/inside_layer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/sys.h"
#include "layers/copy.h"
#include "layers/seal.h"
#include "layers/squash.h"
#include "tools/layer.h"
#include "tools/layer_tags.h"
#include "wire/message.h"

enum { FOLDERS_MAX = 64, LOCK_MS = 10 * 1000 };
static const size_t ARENA_BYTES = (size_t)1536 * 1024 * 1024;

static enum err open_folder(struct slice args, enum layer_tag tag, const char *what, int *ret, struct error *e)
{
    char text[4096];
    struct slice path = message_get(args, (uint16_t)tag);
    if (path.n == 0 || path.n >= sizeof text || path.p[0] != '/' || slice_index(path, '\0') < path.n)
        return error_set(e, ERR_CORRUPT, "a file tool was called without its %s", what);
    memcpy(text, path.p, path.n);
    text[path.n] = '\0';
    *ret = sys->openat(AT_FDCWD, text, O_RDONLY | O_DIRECTORY, 0);
    return *ret < 0 ? error_errno(e, errno, "cannot open the %s", what) : OK;
}

/* The folders of layers, as many as the changes of a manifest may name. */
static enum err open_folders(struct slice args, int ret[FOLDERS_MAX], size_t *ret_n, struct error *e)
{
    struct message_reader r = message_read(args);
    struct field f;
    size_t n = 0;
    while (message_next(&r, &f) == 1) {
        if (f.tag != LAYER_FOLDER)
            continue;
        BUF_CLEANUP struct buf one = BUF_INIT(8192);
        if (n == FOLDERS_MAX)
            return error_set(e, ERR_LIMIT, "more than %d layers at once", FOLDERS_MAX);
        message_put(&one, LAYER_FOLDER, f.bytes);
        enum err err = open_folder(buf_slice(&one), LAYER_FOLDER, "folder of a layer", &ret[n++], e);
        if (err)
            return err;
    }
    *ret_n = n;
    return OK;
}

/* A manifest whose changes lie in these layers; an absent one is empty. */
static enum err get_manifest(struct slice args, size_t nfolders, struct arena *a, struct manifest *ret, struct error *e)
{
    struct slice bytes = message_get(args, LAYER_MANIFEST);
    *ret = (struct manifest){0};
    enum err err = bytes.n ? manifest_decode(bytes, a, ret, e) : OK;
    for (size_t i = 0; !err && nfolders != SIZE_MAX && i < ret->n; i++)
        if (ret->v[i].layer >= nfolders)
            err = error_set(e, ERR_CORRUPT, "a change of a layer that is not there");
    return err;
}

static const char *get_cover(struct slice args, char ret[STAMP_NAME_MAX + 1])
{
    struct slice cover = message_get(args, LAYER_COVER);
    if (!cover.n || cover.n > STAMP_NAME_MAX || slice_index(cover, '\0') < cover.n)
        return NULL;
    memcpy(ret, cover.p, cover.n);
    ret[cover.n] = '\0';
    return ret;
}

static enum err check(struct slice args, struct error *e)
{
    return message_ok(args) ? OK : error_set(e, ERR_CORRUPT, "a file tool was called with bytes that are no message");
}

/* A manifest as one field. */
static void put_manifest(struct buf *reply, enum layer_tag tag, const struct manifest *m)
{
    BUF_CLEANUP struct buf bytes = BUF_INIT(MANIFEST_BYTES_MAX);
    manifest_encode(m, &bytes);
    reply->failed |= bytes.failed;
    message_put(reply, (uint16_t)tag, buf_slice(&bytes));
}

enum err inside_survey(struct slice args, struct buf *reply, struct error *e)
{
    char cover[STAMP_NAME_MAX + 1];
    struct survey s;
    int root;
    enum err err = check(args, e);
    if (!err)
        err = open_folder(args, LAYER_ROOT, "folder", &root, e);
    if (!err)
        err = survey_root(root, (uint32_t)message_get_u64(args, LAYER_UID, 0), (uint32_t)message_get_u64(args, LAYER_GID, 0),
                          message_get_u64(args, LAYER_RANGE, 0) != 0, get_cover(args, cover), &s, e);
    if (err)
        return err;
    message_put_u64(reply, LAYER_FILES, s.files);
    message_put_u64(reply, LAYER_FOLDERS, s.folders);
    message_put_u64(reply, LAYER_CUT, s.cut);
    message_put_u64(reply, LAYER_FOREIGN_OWNER, s.foreign_owner);
    message_put_u64(reply, LAYER_FOREIGN_GROUP, s.foreign_group);
    message_put_u64(reply, LAYER_SPECIAL, s.special);
    message_put(reply, LAYER_EXAMPLE, slice_of(s.example));
    return buf_check(reply, "the answer of a survey", e);
}

enum err inside_copy(struct slice args, struct buf *reply, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(ARENA_BYTES);
    BUF_CLEANUP struct buf index = BUF_INIT(COPY_INDEX_MAX);
    char cover[STAMP_NAME_MAX + 1];
    int root, to, folders[FOLDERS_MAX];
    size_t n = 0;
    struct manifest m;
    enum err err = check(args, e);
    if (!err)
        err = open_folder(args, LAYER_ROOT, "folder", &root, e);
    if (!err)
        err = open_folder(args, LAYER_TO, "place for a copy", &to, e);
    if (!err)
        err = open_folders(args, folders, &n, e);
    if (!err)
        err = get_manifest(args, n, &a, &m, e);
    if (!err)
        err = copy_root(root, to, get_cover(args, cover), &m, folders, message_get_u64(args, LAYER_BYTES_MAX, 0), &index, e);
    if (err)
        return err;
    message_put(reply, LAYER_INDEX, buf_slice(&index));
    return buf_check(reply, "the index of a copy", e);
}

enum err inside_seal(struct slice args, struct buf *reply, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(ARENA_BYTES);
    char cover[STAMP_NAME_MAX + 1];
    struct manifest below;
    struct seal s = {.began_ns = (int64_t)message_get_u64(args, LAYER_BEGAN, 0), .cover = get_cover(args, cover)};
    struct sealed sealed;
    enum err err = check(args, e);
    if (!err)
        err = open_folder(args, LAYER_ROOT, "folder", &s.root, e);
    if (!err)
        err = open_folder(args, LAYER_LAYER, "folder of a layer", &s.layer, e);
    if (!err)
        err = get_manifest(args, SIZE_MAX, &a, &below, e);
    s.below = below.n ? &below : NULL;
    if (!err)
        err = message_get_u64(args, LAYER_COPIES, 0) ? seal_copy(&s, message_get(args, LAYER_INDEX), &a, &sealed, e)
                                                     : seal_overlay(&s, &a, &sealed, e);
    if (err)
        return err;
    put_manifest(reply, LAYER_MANIFEST, &sealed.manifest);
    message_put_u64(reply, LAYER_LEFT_OUT, sealed.left_out);
    message_put(reply, LAYER_EXAMPLE, sealed.left_example);
    return buf_check(reply, "the manifest of a layer", e);
}

enum err inside_squash(struct slice args, struct buf *reply, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(ARENA_BYTES);
    int to, folders[FOLDERS_MAX];
    size_t n = 0;
    struct manifest m;
    (void)reply;
    enum err err = check(args, e);
    if (!err)
        err = open_folders(args, folders, &n, e);
    if (!err)
        err = open_folder(args, LAYER_TO, "folder of the new layer", &to, e);
    if (!err)
        err = get_manifest(args, n, &a, &m, e);
    return err ? err : squash(&m, folders, to, message_get_u64(args, LAYER_WHITEOUTS, 0) != 0, e);
}

/* What did not land: as a manifest of what lies there now and what was wanted, and why, in words, for the first ones. */
static enum err put_left(struct buf *reply, const struct landed *l, struct arena *a, struct error *e)
{
    struct manifest left = {arena_array(a, l->nleft ? l->nleft : 1, sizeof *left.v), l->nleft};
    if (!left.v)
        return error_set(e, ERR_MEMORY, "no memory for what did not land");
    for (size_t i = 0; i < l->nleft; i++) {
        left.v[i] = *l->left[i].change;
        left.v[i].before = l->left[i].now;
    }
    put_manifest(reply, LAYER_LEFT, &left);
    for (size_t i = 0; i < l->nleft && i < APPLY_WHYS_MAX; i++)
        message_put(reply, LAYER_WHY, l->left[i].why);
    return OK;
}

enum err inside_apply(struct slice args, struct buf *reply, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(ARENA_BYTES);
    int folders[FOLDERS_MAX];
    size_t n = 0;
    struct manifest m;
    struct landing_set s = {.manifest = &m, .folders = folders, .name = message_get(args, LAYER_NAME),
                            .guarded = message_get_u64(args, LAYER_GUARDED, 0) != 0,
                            .replace = message_get_u64(args, LAYER_REPLACE, 0) != 0,
                            .rewind = message_get_u64(args, LAYER_REWIND, 0) != 0};
    struct landed landed;
    enum err err = check(args, e);
    if (!err)
        err = open_folder(args, LAYER_ROOT, "folder", &s.root, e);
    if (!err)
        err = open_folder(args, LAYER_UNDO, "folder of what is replaced", &s.undo, e);
    if (!err)
        err = open_folders(args, folders, &n, e);
    if (!err)
        err = get_manifest(args, n, &a, &m, e);
    if (!err)
        err = landing_lock(s.root, LOCK_MS, e);
    if (!err)
        err = landing_apply(&s, &a, &landed, e);
    if (!err)
        err = put_left(reply, &landed, &a, e);
    if (err)
        return err;
    message_put_u64(reply, LAYER_RESULT, landed.result);
    put_manifest(reply, LAYER_UNDO, &landed.undo);
    return buf_check(reply, "the answer of a landing", e);
}
