#include "tools/file.h"

#include <string.h>

#include "tools/inside.h"
#include "wire/message.h"

static void put_path(struct buf *args, struct slice root, struct slice path, uint64_t limit)
{
    message_put(args, INSIDE_ROOT, root);
    message_put(args, INSIDE_PATH, path);
    if (limit)
        message_put_u64(args, INSIDE_LIMIT, limit);
}

static enum err bad(const char *tool, struct error *e)
{
    return error_set(e, ERR_CORRUPT, "the file tool %s gave an answer that is none", tool);
}

static bool get_stamp(struct slice reply, struct stamp *ret)
{
    return stamp_decode(message_get(reply, INSIDE_STAMP), ret);
}

void file_glob_args(struct buf *args, struct slice root, struct slice pattern, uint64_t limit)
{
    message_put(args, INSIDE_ROOT, root);
    message_put(args, INSIDE_PATTERN, pattern);
    message_put_u64(args, INSIDE_LIMIT, limit);
}

enum err file_glob_reply(struct slice reply, struct arena *a, struct slice **ret_paths, size_t *ret_n, struct error *e)
{
    struct message_reader r = message_read(reply);
    struct field f;
    void *paths = NULL;
    size_t n = 0, cap = 0;
    int got;
    while ((got = message_next(&r, &f)) == 1) {
        if (f.tag != INSIDE_PATH)
            continue;
        if (stamp_check_path(f.bytes, NULL))
            return bad("glob", e);
        if (!arena_grow(a, &paths, &cap, n + 1, sizeof(struct slice)))
            return error_set(e, ERR_LIMIT, "more files than fit in memory");
        ((struct slice *)paths)[n++] = f.bytes;
    }
    if (got < 0)
        return bad("glob", e);
    *ret_paths = paths;
    *ret_n = n;
    return OK;
}

void file_read_args(struct buf *args, struct slice root, struct slice path, uint64_t limit)
{
    put_path(args, root, path, limit);
}

enum err file_read_reply(struct slice reply, struct file_text *ret, struct error *e)
{
    struct slice hash = message_get(reply, INSIDE_HASH);
    struct field text, size;
    uint64_t bytes;
    if (!message_ok(reply) || hash.n != HASH_BYTES || !message_find(reply, INSIDE_TEXT, &text) ||
        !message_find(reply, INSIDE_SIZE, &size) || !field_u64(size, &bytes))
        return bad("read", e);
    *ret = (struct file_text){.text = text.bytes, .size = bytes};
    memcpy(ret->hash.b, hash.p, HASH_BYTES);
    return slice_is_utf8(ret->text) ? OK : bad("read", e);
}

void file_look_args(struct buf *args, struct slice root, struct slice path, uint64_t limit)
{
    put_path(args, root, path, limit);
}

enum err file_look_reply(struct slice reply, struct file_look *ret, struct error *e)
{
    *ret = (struct file_look){0};
    if (!message_ok(reply) || !get_stamp(reply, &ret->stamp))
        return bad("look", e);
    ret->way = message_get_u64(reply, INSIDE_WAY, UINT64_MAX);
    ret->content = message_get(reply, INSIDE_CONTENT);
    ret->has_content = ret->content.p != NULL;
    return OK;
}

void file_land_args(struct buf *args, struct slice root, struct slice path, const struct stamp *base, struct slice content,
                    struct slice name, uint32_t mode)
{
    BUF_CLEANUP struct buf stamp = BUF_INIT(1024);
    stamp_encode(base, &stamp);
    put_path(args, root, path, 0);
    message_put(args, INSIDE_STAMP, buf_slice(&stamp));
    message_put(args, INSIDE_CONTENT, content);
    message_put(args, INSIDE_NAME, name);
    message_put_u64(args, INSIDE_MODE, mode);
}

enum err file_land_reply(struct slice reply, struct file_landed *ret, struct error *e)
{
    uint64_t result = message_get_u64(reply, INSIDE_RESULT, 0);
    if (!message_ok(reply) || !get_stamp(reply, &ret->now) || (result != LANDING_DONE && result != LANDING_CONFLICT))
        return bad("land", e);
    ret->result = (enum landing_result)result;
    struct slice why = message_get(reply, INSIDE_WHY);
    ret->why = slice_is_utf8(why) ? why : SLICE_NONE; /* a name in it may be in an older encoding */
    return result == LANDING_DONE && ret->now.type != STAMP_FILE ? bad("land", e) : OK;
}
