#include "tools/inside_work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "layers/walk.h"
#include "tools/edit.h"
#include "tools/inside_find.h"
#include "tools/lines.h"
#include "tools/near.h"
#include "tools/pdf.h"
#include "tools/plaintext.h"
#include "tools/work.h"
#include "wire/message.h"

enum { READ_MAX = 64 * 1024 * 1024, LISTED_MAX = 1000, NAMES_ARENA = 64 * 1024 * 1024 };

/* ---- arguments ---- */

static enum err begin(struct slice args, struct found *root, struct slice *path, struct error *e)
{
    char text[INSIDE_PATH_BYTES];
    struct field f;
    if (!message_ok(args) || !message_find(args, WORK_PATH, &f))
        return inside_bad("what is no list of arguments", e);
    *path = f.bytes;
    struct slice folder = message_get(args, WORK_ROOT);
    enum err err = inside_path(folder, text, e);
    return err ? err : found_find(AT_FDCWD, folder, root, e);
}

static uint64_t at_most(struct slice args, uint16_t tag, uint64_t missing, uint64_t most)
{
    uint64_t v = message_get_u64(args, tag, 0);
    return v == 0 ? missing : v < most ? v : most;
}

/* ---- what is not there ---- */

static void add_near(int folder, struct slice name, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(NAMES_ARENA);
    FD_CLEANUP int fd = sys->openat(folder, ".", O_RDONLY | O_DIRECTORY, 0);
    struct slice *names, near[NEAR_MAX];
    size_t n, k = 0;
    if (fd >= 0 && walk_names(fd, &a, &names, &n, NULL) == OK)
        k = near_names(name, names, n, near);
    for (size_t i = 0; i < k; i++) {
        size_t used = strlen(e->text);
        snprintf(e->text + used, sizeof e->text - used, "%s%.*s", i ? ", " : "; near it: ", SLICE_ARG(slice_cut(near[i], 60)));
    }
}

/* The deepest folder of the way that is there, and what is like the name that is not. */
static enum err missing(const struct found *root, struct slice path, struct error *e)
{
    struct slice way = path;
    if (slice_starts(path, SLICE("~/")))
        return error_set(e, ERR_MISSING, "%.*s is not there: `~` stands for nothing here, give the whole path", SLICE_ARG(slice_cut(path, 100)));
    for (;;) {
        FOUND_CLEANUP struct found folder = FOUND_INIT;
        while (way.n && way.p[way.n - 1] == '/')
            way.n--;
        struct slice name = slice_sub(way, slice_last_part(way), way.n);
        way = slice_sub(way, 0, slice_last_part(way));
        if (found_find(root->fd, way.n ? way : SLICE("."), &folder, NULL) && way.n)
            continue;
        error_set(e, ERR_MISSING, "%.*s is not there", SLICE_ARG(slice_cut(path, 150)));
        if (e && folder.fd >= 0 && S_ISDIR(folder.st.st_mode))
            add_near(folder.fd, name, e);
        return ERR_MISSING;
    }
}

/* ---- read ---- */

struct reading {
    struct found root, at;
    struct slice path;
    uint64_t from, lines, limit;
    struct buf *reply;
};

static void reading_close(struct reading *r)
{
    found_close(&r->root);
    found_close(&r->at);
}

static enum err put_page(const struct reading *r, struct slice text, struct error *e)
{
    BUF_CLEANUP struct buf page = BUF_INIT(4 * WORK_BYTES_MAX);
    struct page p = lines_page(text, r->from, r->lines, r->limit, &page);
    if (p.from > p.to && p.from > 1)
        return error_set(e, ERR_USAGE, "%.*s has only %zu lines", SLICE_ARG(slice_cut(r->path, 200)), p.total);
    message_put(r->reply, WORK_TEXT, buf_slice(&page));
    message_put_u64(r->reply, WORK_FROM, p.from);
    message_put_u64(r->reply, WORK_TO, p.to);
    message_put_u64(r->reply, WORK_TOTAL, p.total);
    message_put_u64(r->reply, WORK_SIZE, (uint64_t)r->at.st.st_size);
    return buf_check(&page, "a page of a file", e);
}

/* "name", "name/", "name -> where"; crannog's own folder is not told. */
static void add_entry(int folder, struct slice name, struct buf *text)
{
    struct stat st = {.st_mode = 0};
    char to[200];
    sys->fstatat(folder, name.p, &st, AT_SYMLINK_NOFOLLOW);
    buf_add_utf8(text, name);
    if (S_ISDIR(st.st_mode))
        buf_add_char(text, '/');
    ssize_t n = S_ISLNK(st.st_mode) ? sys->readlinkat(folder, name.p, to, sizeof to) : 0;
    if (n > 0) {
        buf_add_text(text, " -> ");
        buf_add_utf8(text, (struct slice){to, (size_t)n});
    }
    buf_add_char(text, '\n');
}

static enum err read_folder(const struct reading *r, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(NAMES_ARENA);
    BUF_CLEANUP struct buf text = BUF_INIT(4 * WORK_BYTES_MAX);
    FD_CLEANUP int fd = sys->openat(r->at.fd, ".", O_RDONLY | O_DIRECTORY, 0);
    struct slice *names;
    size_t n;
    if (fd < 0)
        return error_errno(e, errno, "%.*s cannot be read", SLICE_ARG(slice_cut(r->path, 200)));
    enum err err = walk_names(fd, &a, &names, &n, e);
    if (err)
        return err;
    size_t shown = n < LISTED_MAX ? n : LISTED_MAX;
    for (size_t i = 0; i < shown; i++)
        if (!slice_is(names[i], ".crannog"))
            add_entry(fd, names[i], &text);
    if (shown < n)
        buf_addf(&text, "[… %zu more entries …]\n", n - shown);
    message_put(r->reply, WORK_TEXT, buf_slice(&text));
    message_put_u64(r->reply, WORK_FROM, 1);
    message_put_u64(r->reply, WORK_TO, shown);
    message_put_u64(r->reply, WORK_TOTAL, n);
    message_put_u64(r->reply, WORK_SIZE, 0);
    message_put_u64(r->reply, WORK_FOLDER, 1);
    return buf_check(&text, "the list of a folder", e);
}

static const char *image_type(struct slice bytes)
{
    if (slice_starts(bytes, SLICE("\x89PNG\r\n\x1a\n")))
        return "image/png";
    if (slice_starts(bytes, SLICE("\xff\xd8\xff")))
        return "image/jpeg";
    if (slice_starts(bytes, SLICE("GIF87a")) || slice_starts(bytes, SLICE("GIF89a")))
        return "image/gif";
    if (slice_starts(bytes, SLICE("RIFF")) && slice_is(slice_sub(bytes, 8, 4), "WEBP"))
        return "image/webp";
    return NULL;
}

static enum err put_image(const struct reading *r, struct slice bytes, const char *type, struct error *e)
{
    if (bytes.n > WORK_IMAGE_MAX)
        return error_set(e, ERR_LIMIT, "%.*s is an image of %zu bytes; at most %d can be looked at: make it smaller",
                         SLICE_ARG(slice_cut(r->path, 200)), bytes.n, WORK_IMAGE_MAX);
    message_put(r->reply, WORK_MEDIA, slice_of(type));
    message_put(r->reply, WORK_IMAGE, bytes);
    message_put_u64(r->reply, WORK_SIZE, bytes.n);
    return OK;
}

static enum err read_file(const struct reading *r, struct error *e)
{
    BUF_CLEANUP struct buf bytes = BUF_INIT(READ_MAX), text = BUF_INIT((size_t)3 * READ_MAX);
    enum err err = found_read(&r->at, &bytes, e);
    if (err)
        return err;
    struct slice whole = buf_slice(&bytes);
    const char *type = image_type(whole);
    if (type)
        return put_image(r, whole, type, e);
    if (pdf_is(whole)) {
        BUF_CLEANUP struct buf words = BUF_INIT(16 * 1024 * 1024);
        err = pdf_text(whole, r->path, &words, e);
        if (!err)
            err = plaintext(buf_slice(&words), r->path, &text, e);
    } else {
        err = plaintext_check(whole, r->path, e);
        if (!err)
            buf_add_utf8(&text, whole);
        if (!err)
            err = buf_check(&text, "the text of a file", e);
    }
    return err ? err : put_page(r, buf_slice(&text), e);
}

enum err inside_work_read(struct slice args, struct buf *reply, struct error *e)
{
    __attribute__((cleanup(reading_close))) struct reading r = {.root = FOUND_INIT, .at = FOUND_INIT, .reply = reply};
    enum err err = begin(args, &r.root, &r.path, e);
    if (err)
        return err;
    r.from = at_most(args, WORK_OFFSET, 1, UINT32_MAX);
    r.lines = at_most(args, WORK_LINES_MAX, WORK_LINES, UINT32_MAX);
    r.limit = at_most(args, WORK_LIMIT, WORK_BYTES, WORK_BYTES_MAX);
    err = found_find(r.root.fd, r.path, &r.at, e);
    if (err == ERR_MISSING)
        return missing(&r.root, r.path, e);
    if (!err)
        err = S_ISDIR(r.at.st.st_mode) ? read_folder(&r, e) : read_file(&r, e);
    return err ? err : buf_check(reply, "the answer to a read", e);
}

/* ---- write ---- */

/* Replaces what is at the spot, where it differs, and says what that came to. */
static enum err put_file(const struct spot *s, struct slice content, mode_t mode, struct buf *reply, struct error *e)
{
    BUF_CLEANUP struct buf old = BUF_INIT(READ_MAX);
    size_t added, removed;
    bool known = s->exists && spot_read(s, &old, NULL) == OK;
    if (!known || !slice_eq(buf_slice(&old), content)) {
        enum err err = spot_write(s, content, mode, e);
        if (err)
            return err;
    }
    lines_differ(known ? buf_slice(&old) : SLICE_NONE, content, &added, &removed);
    message_put_u64(reply, WORK_CREATED, !s->exists);
    message_put_u64(reply, WORK_ADDED, added);
    message_put_u64(reply, WORK_REMOVED, removed);
    message_put_u64(reply, WORK_SIZE, content.n);
    return OK;
}

static mode_t mode_of(struct slice args)
{
    return (mode_t)message_get_u64(args, WORK_MODE, 0644) & 0777;
}

enum err inside_work_write(struct slice args, struct buf *reply, struct error *e)
{
    FOUND_CLEANUP struct found root = FOUND_INIT;
    SPOT_CLEANUP struct spot spot = SPOT_INIT;
    struct slice path;
    struct field content;
    enum err err = begin(args, &root, &path, e);
    if (!err && (!message_find(args, WORK_CONTENT, &content) || content.bytes.n > WORK_CONTENT_MAX))
        err = inside_bad("no content, or too much of it", e);
    if (!err)
        err = spot_find(&root, path, true, &spot, e);
    if (!err)
        err = put_file(&spot, content.bytes, mode_of(args), reply, e);
    return err ? err : buf_check(reply, "the answer to a write", e);
}

/* ---- edit ---- */

static enum err get_edits(struct slice args, struct edit edits[EDITS_MAX], size_t *ret_n, struct error *e)
{
    static const uint16_t order[] = {WORK_OLD, WORK_NEW, WORK_ALL};
    struct message_reader r = message_read(args);
    size_t part = 0, n = 0;
    uint64_t all;
    for (struct field f; message_next(&r, &f) == 1;) {
        if (f.tag != WORK_OLD && f.tag != WORK_NEW && f.tag != WORK_ALL)
            continue;
        if (f.tag != order[part] || n == EDITS_MAX || (f.tag == WORK_ALL && !field_u64(f, &all)))
            return inside_bad("edits that are none, or too many", e);
        if (f.tag == WORK_OLD)
            edits[n].old = f.bytes;
        else if (f.tag == WORK_NEW)
            edits[n].new = f.bytes;
        else
            edits[n++].all = all;
        part = (part + 1) % 3;
    }
    *ret_n = n;
    return n && part == 0 ? OK : inside_bad("edits that are none", e);
}

static enum err edit_file(const struct spot *s, struct slice path, const struct edit *edits, size_t n, mode_t mode, struct buf *reply,
                          struct error *e)
{
    BUF_CLEANUP struct buf old = BUF_INIT(EDIT_BYTES_MAX), new = BUF_INIT(EDIT_BYTES_MAX + 3), say = BUF_INIT(EDIT_SAY_MAX);
    struct edited did;
    enum err err = s->exists ? spot_read(s, &old, e) : OK;
    if (err)
        return err;
    if (edit_apply(buf_slice(&old), path, edits, n, &new, &say, &did)) {
        message_put(reply, WORK_WHY, say.n ? buf_slice(&say) : SLICE("There was not enough memory for the edit. Nothing was changed.\n"));
        return OK;
    }
    err = spot_write(s, buf_slice(&new), mode, e);
    if (err)
        return err;
    if (say.n)
        message_put(reply, WORK_NOTE, buf_slice(&say));
    message_put_u64(reply, WORK_REPLACED, did.replaced);
    message_put_u64(reply, WORK_ADDED, did.added);
    message_put_u64(reply, WORK_REMOVED, did.removed);
    message_put_u64(reply, WORK_LINE, did.line);
    return OK;
}

enum err inside_work_edit(struct slice args, struct buf *reply, struct error *e)
{
    static struct edit edits[EDITS_MAX];
    FOUND_CLEANUP struct found root = FOUND_INIT;
    SPOT_CLEANUP struct spot spot = SPOT_INIT;
    struct slice path;
    size_t n = 0;
    enum err err = begin(args, &root, &path, e);
    if (!err)
        err = get_edits(args, edits, &n, e);
    if (err)
        return err;
    bool makes = n == 1 && edits[0].old.n == 0; /* as some models make files */
    err = spot_find(&root, path, makes, &spot, e);
    if (err == ERR_MISSING || (!err && !spot.exists && !makes))
        return missing(&root, path, e);
    if (!err)
        err = edit_file(&spot, path, edits, n, mode_of(args), reply, e);
    return err ? err : buf_check(reply, "the answer to an edit", e);
}
