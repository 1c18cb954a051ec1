#include "tools/inside_layers.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/sys.h"
#include "layers/copy.h"
#include "layers/seal.h"
#include "layers/squash.h"
#include "layers/survey.h"
#include "tools/credential.h"
#include "tools/inside_args.h"
#include "wire/message.h"

enum { ARENA_BYTES = 1024 * 1024 * 1024 }; /* of address space; what is used is what there is */

/* ---- arguments ---- */

/* The layer's own folder, which the step may have shut. Its mode is in no manifest, so it is simply opened. */
static enum err open_own(struct slice path, int *ret, struct error *e)
{
    char text[INSIDE_PATH_BYTES];
    struct stat st;
    enum err err = inside_path(path, text, e);
    if (!err && sys->fstatat(AT_FDCWD, text, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 0700) != 0700 &&
        sys->fchmodat(AT_FDCWD, text, (st.st_mode & 0777) | 0700) < 0)
        err = error_errno(e, errno, "cannot open the folder %s", text);
    return err ? err : inside_open(path, ret, e);
}

static enum err open_tag(struct slice args, enum inside_layer_tag tag, int *ret, struct error *e)
{
    return message_ok(args) ? inside_open(message_get(args, (uint16_t)tag), ret, e) : inside_bad("bytes that are no message", e);
}

/* The name of the covered folder, or NULL in *ret_cover where there is none. */
static enum err get_cover(struct slice args, char name[STAMP_NAME_MAX + 1], const char **ret_cover, struct error *e)
{
    struct slice cover = message_get(args, LAYER_COVER);
    *ret_cover = NULL;
    if (cover.n == 0)
        return OK;
    if (stamp_check_path(cover, NULL) || slice_index(cover, '/') < cover.n)
        return inside_bad("a covered folder that is no name", e);
    memcpy(name, cover.p, cover.n);
    name[cover.n] = '\0';
    *ret_cover = name;
    return OK;
}

static enum err get_manifest(struct slice args, struct arena *a, struct manifest *ret, struct error *e)
{
    struct slice bytes = message_get(args, LAYER_MANIFEST);
    *ret = (struct manifest){0};
    return bytes.n ? manifest_decode(bytes, a, ret, e) : OK;
}

/* ---- the applets ---- */

static enum err reply_sealed(const struct sealed *s, struct buf *reply, struct error *e)
{
    enum err err = inside_put_manifest(reply, LAYER_MANIFEST, &s->manifest, e);
    if (err)
        return err;
    message_put_u64(reply, LAYER_LEFT_OUT, s->left_out);
    message_put(reply, LAYER_EXAMPLE, s->left_example);
    return buf_check(reply, "the answer to a seal", e);
}

enum err inside_seal(struct slice args, struct buf *reply, struct error *e)
{
    FD_CLEANUP int root = -1, layer = -1;
    ARENA_CLEANUP struct arena a = ARENA_INIT(ARENA_BYTES);
    char cover[STAMP_NAME_MAX + 1];
    struct seal s = {.began_ns = (int64_t)message_get_u64(args, LAYER_BEGAN_NS, 0)};
    struct manifest below;
    struct sealed sealed;
    enum err err = open_tag(args, LAYER_ROOT, &root, e);
    if (!err)
        err = open_own(message_get(args, LAYER_LAYER), &layer, e);
    if (!err)
        err = get_cover(args, cover, &s.cover, e);
    if (!err)
        err = get_manifest(args, &a, &below, e);
    if (err)
        return err;
    s.root = root;
    s.layer = layer;
    s.below = &below;
    if (message_get_u64(args, LAYER_BACKEND, LAYER_OVERLAY) == LAYER_COPY)
        err = seal_copy(&s, message_get(args, LAYER_INDEX), &a, &sealed, e);
    else
        err = seal_overlay(&s, &a, &sealed, e);
    return err ? err : reply_sealed(&sealed, reply, e);
}

enum err inside_copy(struct slice args, struct buf *reply, struct error *e)
{
    FD_CLEANUP int root = -1, to = -1;
    INSIDE_FOLDERS_CLEANUP struct inside_folders folders = {.n = 0};
    ARENA_CLEANUP struct arena a = ARENA_INIT(ARENA_BYTES);
    BUF_CLEANUP struct buf index = BUF_INIT(COPY_INDEX_MAX);
    char name[STAMP_NAME_MAX + 1];
    const char *cover;
    struct manifest m;
    enum err err = open_tag(args, LAYER_ROOT, &root, e);
    if (!err)
        err = open_tag(args, LAYER_TO, &to, e);
    if (!err)
        err = get_cover(args, name, &cover, e);
    if (!err)
        err = get_manifest(args, &a, &m, e);
    if (!err)
        err = inside_open_folders(args, LAYER_FOLDER, &m, &folders, e);
    if (!err)
        err = copy_root(root, to, cover, &m, folders.fd, message_get_u64(args, LAYER_BYTES_MAX, UINT64_MAX), &index, e);
    if (err)
        return err;
    message_put(reply, LAYER_INDEX, buf_slice(&index));
    return buf_check(reply, "the index of a copy", e);
}

enum err inside_squash(struct slice args, struct buf *reply, struct error *e)
{
    FD_CLEANUP int to = -1;
    INSIDE_FOLDERS_CLEANUP struct inside_folders folders = {.n = 0};
    ARENA_CLEANUP struct arena a = ARENA_INIT(ARENA_BYTES);
    struct manifest m;
    (void)reply;
    enum err err = open_tag(args, LAYER_TO, &to, e);
    if (!err)
        err = get_manifest(args, &a, &m, e);
    if (!err)
        err = inside_open_folders(args, LAYER_FOLDER, &m, &folders, e);
    return err ? err : squash(&m, folders.fd, to, message_get_u64(args, LAYER_WHITEOUTS, 0) != 0, e);
}

enum err inside_survey(struct slice args, struct buf *reply, struct error *e)
{
    FD_CLEANUP int root = -1;
    char name[STAMP_NAME_MAX + 1];
    const char *cover;
    struct survey s;
    struct credentials found;
    ARENA_CLEANUP struct arena a = ARENA_INIT(CREDENTIALS_MAX * (STAMP_PATH_MAX + 64));
    enum err err = open_tag(args, LAYER_ROOT, &root, e);
    if (!err)
        err = get_cover(args, name, &cover, e);
    if (!err)
        err = survey_root(root, (uint32_t)message_get_u64(args, LAYER_UID, 0), (uint32_t)message_get_u64(args, LAYER_GID, 0),
                          message_get_u64(args, LAYER_RANGE, 0) != 0, cover, &s, e);
    if (!err)
        err = credentials_find(root, cover, &a, &found, e);
    if (err)
        return err;
    message_put_u64(reply, LAYER_FILES, s.files);
    message_put_u64(reply, LAYER_FOLDERS, s.folders);
    message_put_u64(reply, LAYER_CUT, s.cut);
    message_put_u64(reply, LAYER_OWNER, s.foreign_owner);
    message_put_u64(reply, LAYER_GROUP, s.foreign_group);
    message_put_u64(reply, LAYER_SPECIAL, s.special);
    message_put(reply, LAYER_EXAMPLE, slice_of(s.example));
    for (size_t i = 0; i < found.n; i++)
        message_put(reply, LAYER_MASKED, found.paths[i]);
    message_put_u64(reply, LAYER_MASKED_CUT, found.cut);
    return buf_check(reply, "the answer to a survey", e);
}
