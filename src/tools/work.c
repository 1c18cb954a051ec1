#include "tools/work.h"

#include <string.h>

#include "tools/inside_work.h"
#include "wire/message.h"

static enum err bad(const char *tool, struct error *e)
{
    return error_set(e, ERR_CORRUPT, "the tool %s gave an answer that is none", tool);
}

static bool get_number(struct slice reply, enum inside_work_tag tag, uint64_t *ret)
{
    struct field f;
    return message_find(reply, (uint16_t)tag, &f) && field_u64(f, ret);
}

static void put_path(struct buf *args, struct slice root, struct slice path)
{
    message_put(args, WORK_ROOT, root);
    message_put(args, WORK_PATH, path);
}

/* ---- read ---- */

void work_read_args(struct buf *args, struct slice root, struct slice path, uint64_t offset, uint64_t lines, uint64_t limit)
{
    put_path(args, root, path);
    message_put_u64(args, WORK_OFFSET, offset);
    message_put_u64(args, WORK_LINES_MAX, lines);
    message_put_u64(args, WORK_LIMIT, limit);
}

static bool is_media(struct slice s)
{
    return slice_is(s, "image/png") || slice_is(s, "image/jpeg") || slice_is(s, "image/gif") || slice_is(s, "image/webp");
}

enum err work_read_reply(struct slice reply, struct work_read *ret, struct error *e)
{
    struct work_read r = {.text = message_get(reply, WORK_TEXT), .media = message_get(reply, WORK_MEDIA)};
    uint64_t folder = message_get_u64(reply, WORK_FOLDER, 0);
    if (!message_ok(reply) || !get_number(reply, WORK_SIZE, &r.size) || folder > 1)
        return bad("read", e);
    r.folder = folder;
    if (r.media.n) {
        r.image = message_get(reply, WORK_IMAGE);
        if (!is_media(r.media) || r.text.n || r.folder || r.image.n == 0 || r.image.n > WORK_IMAGE_MAX)
            return bad("read", e);
    } else if (!get_number(reply, WORK_FROM, &r.from) || !get_number(reply, WORK_TO, &r.to) || !get_number(reply, WORK_TOTAL, &r.total) ||
               r.from == 0 || r.to > r.total || !slice_is_utf8(r.text)) {
        return bad("read", e);
    }
    *ret = r;
    return OK;
}

/* ---- write, edit ---- */

void work_write_args(struct buf *args, struct slice root, struct slice path, struct slice content, uint32_t mode)
{
    put_path(args, root, path);
    message_put(args, WORK_CONTENT, content);
    message_put_u64(args, WORK_MODE, mode);
}

enum err work_write_reply(struct slice reply, struct work_written *ret, struct error *e)
{
    struct work_written r;
    uint64_t created;
    if (!message_ok(reply) || !get_number(reply, WORK_CREATED, &created) || created > 1 || !get_number(reply, WORK_ADDED, &r.added) ||
        !get_number(reply, WORK_REMOVED, &r.removed) || !get_number(reply, WORK_SIZE, &r.bytes))
        return bad("write", e);
    r.created = created;
    *ret = r;
    return OK;
}

void work_edit_args(struct buf *args, struct slice root, struct slice path, const struct edit *edits, size_t n)
{
    put_path(args, root, path);
    for (size_t i = 0; i < n; i++) {
        message_put(args, WORK_OLD, edits[i].old);
        message_put(args, WORK_NEW, edits[i].new);
        message_put_u64(args, WORK_ALL, edits[i].all);
    }
}

enum err work_edit_reply(struct slice reply, struct work_edited *ret, struct error *e)
{
    struct work_edited r = {.why = message_get(reply, WORK_WHY), .note = message_get(reply, WORK_NOTE)};
    if (!message_ok(reply) || r.why.n > EDIT_SAY_MAX || r.note.n > EDIT_SAY_MAX || !slice_is_utf8(r.why) || !slice_is_utf8(r.note))
        return bad("edit", e);
    if (r.why.n == 0 && (!get_number(reply, WORK_REPLACED, &r.replaced) || !get_number(reply, WORK_ADDED, &r.added) ||
                         !get_number(reply, WORK_REMOVED, &r.removed) || !get_number(reply, WORK_LINE, &r.line)))
        return bad("edit", e);
    *ret = r;
    return OK;
}

/* ---- instruct ---- */

void work_instruct_args(struct buf *args, struct slice root, struct slice cwd, const struct slice *extra, size_t n, uint64_t limit)
{
    message_put(args, WORK_ROOT, root);
    message_put(args, WORK_CWD, cwd);
    for (size_t i = 0; i < n; i++)
        message_put(args, WORK_EXTRA, extra[i]);
    message_put_u64(args, WORK_LIMIT, limit);
}

/* A path or text of a reply, each in front of another: `second` follows `first`. */
static bool is_text(struct slice s, size_t max)
{
    return s.n <= max && slice_is_utf8(s) && slice_index(s, '\0') == s.n;
}

static enum err add_note(struct slice note, struct arena *a, struct work_told *t, size_t *cap, struct error *e)
{
    void *v = t->notes;
    if (!arena_grow(a, &v, cap, t->nnotes + 1, sizeof note))
        return error_set(e, ERR_LIMIT, "there is more to tell than fits in memory");
    t->notes = v;
    t->notes[t->nnotes++] = note;
    return OK;
}

/* The name of a skill that is there already, nearer, hides it. */
static bool is_known(const struct work_told *t, struct slice name)
{
    for (size_t i = 0; i < t->nskills; i++)
        if (slice_eq(t->skills[i].name, name))
            return true;
    return false;
}

static enum err add_skill(struct slice path, struct slice head, struct arena *a, struct work_told *t, size_t *cap, struct error *e)
{
    struct skill s;
    struct slice note;
    struct error why = {.code = OK};
    char *words = NULL;
    enum err err = skill_read(head, path, a, &s, &note, &why);
    if (err == ERR_MEMORY)
        return error_set(e, err, "%s", why.text);
    if (err)
        words = arena_printf(a, "%.*s: %s", SLICE_ARG(slice_cut(path, 300)), why.text);
    else if (is_known(t, s.name))
        words = arena_printf(a, "%.*s: there is another skill of the name %.*s", SLICE_ARG(slice_cut(path, 300)), SLICE_ARG(s.name));
    else if (note.n)
        words = arena_printf(a, "%.*s: %.*s", SLICE_ARG(slice_cut(path, 300)), SLICE_ARG(note));
    if (!err && !is_known(t, s.name) && t->nskills < SKILLS_MAX)
        t->skills[t->nskills++] = s;
    return words ? add_note(slice_of(words), a, t, cap, e) : OK;
}

enum err work_instruct_reply(struct slice reply, struct arena *a, struct work_told *ret, struct error *e)
{
    struct work_told t = {.skills = arena_array(a, SKILLS_MAX, sizeof *t.skills)};
    struct message_reader r = message_read(reply);
    struct field f;
    struct slice first = SLICE_NONE;
    uint16_t want = 0; /* what must follow */
    size_t texts_cap = 0, notes_cap = 0;
    enum err err = t.skills ? OK : error_set(e, ERR_MEMORY, "out of memory");
    int got = 0;
    while (!err && (got = message_next(&r, &f)) == 1) {
        bool second = want != 0;
        if (second ? f.tag != want : f.tag != WORK_PATH && f.tag != WORK_SKILL && f.tag != WORK_NOTE)
            return bad("instruct", e);
        if (!is_text(f.bytes, second ? WORK_BYTES_MAX : 4096))
            return bad("instruct", e);
        want = second ? 0 : f.tag == WORK_PATH ? WORK_TEXT : f.tag == WORK_SKILL ? WORK_HEAD : 0;
        if (!second)
            first = f.bytes;
        if (f.tag == WORK_NOTE)
            err = add_note(f.bytes, a, &t, &notes_cap, e);
        else if (f.tag == WORK_HEAD)
            err = add_skill(first, f.bytes, a, &t, &notes_cap, e);
        else if (f.tag == WORK_TEXT) {
            void *v = t.texts;
            if (!arena_grow(a, &v, &texts_cap, t.ntexts + 1, sizeof *t.texts))
                return error_set(e, ERR_LIMIT, "there are more instructions than fit in memory");
            t.texts = v;
            t.texts[t.ntexts++] = (struct instruction){first, f.bytes};
        }
    }
    if (!err && (got < 0 || want))
        return bad("instruct", e);
    if (!err)
        *ret = t;
    return err;
}
