#include "tools/inside.h"

#include "base/sys.h"
#include "layers/landing.h"
#include "tools/diff.h"
#include "tools/inside_apply.h"
#include "tools/inside_args.h"
#include "tools/inside_layers.h"
#include "tools/inside_work.h"
#include "tools/pdf.h"
#include "tools/plaintext.h"
#include "wire/message.h"

enum { GLOB_ARENA = 32 * 1024 * 1024 };

/* ---- arguments ---- */

static enum err get(struct slice args, enum inside_tag tag, const char *what, struct slice *ret, struct error *e)
{
    struct field f;
    if (!message_find(args, (uint16_t)tag, &f))
        return error_set(e, ERR_CORRUPT, "a file tool was called without its %s", what);
    *ret = f.bytes;
    return OK;
}

static size_t get_limit(struct slice args, size_t most)
{
    uint64_t limit = message_get_u64(args, INSIDE_LIMIT, most);
    return limit < most ? (size_t)limit : most;
}

/* Opens ROOT and finds a second argument. The caller closes *ret_root, also after an error. */
static enum err begin(struct slice args, enum inside_tag tag, const char *what, int *ret_root, struct slice *ret,
                      struct error *e)
{
    struct slice root;
    if (!message_ok(args))
        return inside_bad("bytes that are no message", e);
    enum err err = get(args, INSIDE_ROOT, "folder", &root, e);
    if (!err)
        err = get(args, tag, what, ret, e);
    if (err)
        return err;
    return inside_open(root, ret_root, e);
}

/* ---- the applets ---- */

static enum err run_glob(struct slice args, struct buf *reply, struct error *e)
{
    FD_CLEANUP int root = -1;
    ARENA_CLEANUP struct arena a = ARENA_INIT(GLOB_ARENA);
    struct slice pattern, *paths = NULL;
    size_t n = 0;
    enum err err = begin(args, INSIDE_PATTERN, "pattern", &root, &pattern, e);
    if (!err)
        err = glob_files(root, pattern, get_limit(args, INSIDE_PATHS_MAX), &a, &paths, &n, e);
    for (size_t i = 0; !err && i < n; i++)
        message_put(reply, INSIDE_PATH, paths[i]);
    return err ? err : buf_check(reply, "the answer to a glob", e);
}

/* Text by what a file is, not by its name. A PDF is mostly fonts and pictures: `limit` is for its words. */
static enum err to_text(struct slice bytes, struct slice path, size_t limit, struct buf *ret, struct error *e)
{
    struct slice shown = slice_sub(path, 0, 200);
    if (pdf_is(bytes)) {
        BUF_CLEANUP struct buf words = BUF_INIT(limit + 1); /* its empty line in front does not count */
        enum err err = pdf_text(bytes, path, &words, e);
        return err ? err : plaintext(buf_slice(&words), path, ret, e);
    }
    if (bytes.n > limit)
        return error_set(e, ERR_LIMIT, "%.*s has %zu bytes, more than the %zu that are allowed here: split it",
                         SLICE_ARG(shown), bytes.n, limit);
    return plaintext(bytes, path, ret, e);
}

static enum err run_read(struct slice args, struct buf *reply, struct error *e)
{
    FD_CLEANUP int root = -1;
    struct slice path;
    enum err err = begin(args, INSIDE_PATH, "path", &root, &path, e);
    if (err)
        return err;
    BUF_CLEANUP struct buf bytes = BUF_INIT(INSIDE_BYTES_MAX), text = BUF_INIT(3 * INSIDE_BYTES_MAX);
    struct stamp s;
    err = stamp_look(root, path, &bytes, &s, e);
    if (err)
        return err;
    struct slice shown = slice_sub(path, 0, 200);
    if (s.type == STAMP_ABSENT)
        return error_set(e, ERR_MISSING, "%.*s is not there", SLICE_ARG(shown));
    if (s.type != STAMP_FILE)
        return error_set(e, ERR_UNSUPPORTED, "%.*s is no file but a folder, a link or a device; name a plain file",
                         SLICE_ARG(shown));
    err = to_text(buf_slice(&bytes), path, get_limit(args, INSIDE_BYTES_MAX), &text, e);
    if (err)
        return err;
    message_put(reply, INSIDE_TEXT, buf_slice(&text));
    message_put(reply, INSIDE_HASH, (struct slice){(const char *)s.hash.b, HASH_BYTES});
    message_put_u64(reply, INSIDE_SIZE, s.size);
    return buf_check(reply, "the text of a document", e);
}

static void put_stamp(struct buf *reply, const struct stamp *s)
{
    BUF_CLEANUP struct buf bytes = BUF_INIT(1024);
    stamp_encode(s, &bytes);
    reply->failed |= bytes.failed;
    message_put(reply, INSIDE_STAMP, buf_slice(&bytes));
}

/* How much of the way to a path is there as folders. */
static size_t way_there(int root, struct slice path)
{
    size_t there = 0;
    struct stamp s;
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] == '/') {
            if (stamp_look(root, slice_sub(path, 0, i), NULL, &s, NULL) || s.type != STAMP_FOLDER)
                break;
            there = i;
        }
    return there;
}

static enum err run_look(struct slice args, struct buf *reply, struct error *e)
{
    FD_CLEANUP int root = -1;
    struct slice path;
    enum err err = begin(args, INSIDE_PATH, "path", &root, &path, e);
    if (err)
        return err;
    BUF_CLEANUP struct buf bytes = BUF_INIT(get_limit(args, INSIDE_BYTES_MAX));
    struct stamp s;
    err = stamp_look(root, path, &bytes, &s, e);
    bool large = err == ERR_LIMIT;
    if (large)
        err = stamp_look(root, path, NULL, &s, e);
    if (err)
        return err;
    put_stamp(reply, &s);
    message_put_u64(reply, INSIDE_WAY, way_there(root, path));
    if (s.type == STAMP_FILE && !large)
        message_put(reply, INSIDE_CONTENT, buf_slice(&bytes));
    return buf_check(reply, "the answer to a look", e);
}

static enum err run_land(struct slice args, struct buf *reply, struct error *e)
{
    FD_CLEANUP int root = -1;
    struct slice path, stamp, content, name;
    struct stamp base, now;
    enum landing_result result;
    enum err err = begin(args, INSIDE_PATH, "path", &root, &path, e);
    if (!err)
        err = get(args, INSIDE_STAMP, "stamp", &stamp, e);
    if (!err)
        err = get(args, INSIDE_CONTENT, "content", &content, e);
    if (!err)
        err = get(args, INSIDE_NAME, "name", &name, e);
    if (!err && !stamp_decode(stamp, &base))
        err = inside_bad("a stamp that is none", e);
    if (!err)
        err = landing_lock(root, INSIDE_LOCK_MS, e);
    if (err)
        return err;
    struct error why = {.code = OK};
    err = landing_file(root, path, &base, content, name, (uint32_t)message_get_u64(args, INSIDE_MODE, 0644) & 0777,
                       &result, &now, &why);
    if (err) {
        if (e)
            *e = why;
        return err;
    }
    message_put_u64(reply, INSIDE_RESULT, result);
    put_stamp(reply, &now);
    if (result == LANDING_CONFLICT)
        message_put(reply, INSIDE_WHY, slice_of(why.text));
    return buf_check(reply, "the answer to a landing", e);
}

const struct jail_applet inside_applets[] = {
    {"glob", run_glob},
    {"read", run_read},
    {"look", run_look},
    {"land", run_land},
    {"diff", inside_diff},
    {"survey", inside_survey},
    {"copy", inside_copy},
    {"seal", inside_seal},
    {"squash", inside_squash},
    {"apply", inside_apply},
    {"work-read", inside_work_read},
    {"work-write", inside_work_write},
    {"work-edit", inside_work_edit},
    {"instruct", inside_instruct},
};
const size_t inside_napplets = sizeof inside_applets / sizeof *inside_applets;
