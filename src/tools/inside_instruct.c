/* The applet `instruct`: see inside_work.h for the order, text/instruct.h for skills. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/sys.h"
#include "layers/walk.h"
#include "tools/imports.h"
#include "tools/inside_find.h"
#include "tools/inside_work.h"
#include "tools/work.h"
#include "wire/message.h"

enum {
    FILE_MAX = 32 * 1024, USER_CHARS = 4000, FILES_MAX = 200, EXTRAS_MAX = 64, DEPTH_MAX = 5, NOTES_MAX = 50,
    IMPORTS_MAX = 64 /* of one file */, NAMES_ARENA = 16 * 1024 * 1024,
};

struct telling {
    struct found root, cwd, extra[EXTRAS_MAX];
    size_t nextra;
    struct hash seen[FILES_MAX]; /* contents that were told */
    struct { dev_t dev; ino_t ino; } seen_node[FILES_MAX];
    size_t nseen, notes, skills, left; /* left: bytes of texts */
    struct buf *reply;
};

static void telling_close(struct telling **one)
{
    struct telling *t = *one;
    found_close(&t->root);
    found_close(&t->cwd);
    while (t->nextra)
        found_close(&t->extra[--t->nextra]);
}

/* ---- answers ---- */

static void put_text(struct buf *reply, uint16_t tag, struct slice s)
{
    BUF_CLEANUP struct buf valid = BUF_INIT(3 * s.n + 1);
    buf_add_utf8(&valid, s);
    message_put(reply, tag, buf_slice(&valid));
}

static void note(struct telling *t, struct slice path, const char *why)
{
    BUF_CLEANUP struct buf b = BUF_INIT(1200);
    if (t->notes++ >= NOTES_MAX)
        return;
    buf_addf(&b, "%.*s: %s", SLICE_ARG(slice_cut(path, 300)), why);
    put_text(t->reply, WORK_NOTE, slice_cut(buf_slice(&b), 1000));
}

/* ---- what may be read ---- */

static bool allowed(const struct telling *t, const struct found *f)
{
    bool ret = found_within(f, slice_of(t->root.path));
    for (size_t i = 0; i < t->nextra; i++)
        ret |= found_within(f, slice_of(t->extra[i].path));
    return ret;
}

/* Finds a plain file that may be read. *ret_why, in words, where it is there and may not, or is none. */
static bool find(const struct telling *t, int base, struct slice path, struct found *ret, const char **ret_why)
{
    enum err err = found_find(base, path, ret, NULL);
    *ret_why = err == ERR_MISSING ? "it is not there" : err ? "it cannot be opened" : !allowed(t, ret) ? "it lies outside of the folder" :
               !S_ISREG(ret->st.st_mode) ? "it is no plain file" : NULL;
    return *ret_why == NULL;
}

/* The first `max` bytes, and whether there are more; false where it cannot be read or is no text. */
static bool read_head(const struct found *f, size_t max, struct buf *ret, bool *ret_more, const char **ret_why)
{
    FD_CLEANUP int fd = -1;
    BUF_CLEANUP struct buf bytes = BUF_INIT(max + 4);
    static char chunk[FILE_MAX + 4];
    ssize_t n = 1;
    *ret_why = "it cannot be read";
    if (found_open(f, &fd, NULL))
        return false;
    while (bytes.n < bytes.max && n > 0) {
        size_t want = bytes.max - bytes.n < sizeof chunk ? bytes.max - bytes.n : sizeof chunk;
        n = sys->read(fd, chunk, want);
        if (n < 0)
            return false;
        buf_add(&bytes, (struct slice){chunk, (size_t)n});
    }
    *ret_more = bytes.n > max;
    struct slice head = slice_cut(buf_slice(&bytes), max);
    *ret_why = "it is no text";
    if (slice_index(head, '\0') < head.n)
        return false;
    buf_add_utf8(ret, slice_starts(head, SLICE("\xef\xbb\xbf")) ? slice_sub(head, 3, head.n) : head);
    return buf_ok(ret);
}

/* Whether it was told already: the same node, or the same content. */
static bool is_seen(struct telling *t, const struct found *f, struct slice text)
{
    struct hash h = hash_of(text);
    for (size_t i = 0; i < t->nseen; i++)
        if (hash_eq(&t->seen[i], &h) || (t->seen_node[i].dev == f->st.st_dev && t->seen_node[i].ino == f->st.st_ino))
            return true;
    if (t->nseen < FILES_MAX) {
        t->seen[t->nseen] = h;
        t->seen_node[t->nseen].dev = f->st.st_dev;
        t->seen_node[t->nseen++].ino = f->st.st_ino;
    }
    return false;
}

/* ---- imports ---- */

/* Where an import of the file f leads, absolute; empty for a `~` that no extra is below. */
static struct slice import_path(const struct telling *t, const struct found *f, struct slice path, char ret[INSIDE_PATH_BYTES])
{
    int n = -1;
    struct slice folder = slice_sub(slice_of(f->path), 0, slice_last_part(slice_of(f->path)));
    if (path.n >= INSIDE_PATH_BYTES / 2)
        return SLICE_NONE;
    if (path.p[0] == '/')
        return path;
    if (!slice_starts(path, SLICE("~/"))) {
        n = snprintf(ret, INSIDE_PATH_BYTES, "%.*s%.*s", SLICE_ARG(folder), SLICE_ARG(path));
    } else {
        struct slice rest = slice_sub(path, 1, path.n); /* "/.claude/a.md" below what an extra says is home */
        for (size_t i = 0; n < 0 && i < t->nextra; i++)
            for (size_t k = 2; n < 0 && k <= rest.n; k++)
                if ((k == rest.n || rest.p[k] == '/') && slice_ends(slice_of(t->extra[i].path), slice_sub(rest, 0, k)))
                    n = snprintf(ret, INSIDE_PATH_BYTES, "%s%.*s", t->extra[i].path, SLICE_ARG(slice_sub(rest, k, rest.n)));
    }
    return n > 0 && n < INSIDE_PATH_BYTES ? (struct slice){ret, (size_t)n} : SLICE_NONE;
}

/* Appends the text, with a word behind each import that cannot be read. */
static void mark_imports(const struct telling *t, const struct found *f, struct slice text, unsigned depth, struct buf *ret)
{
    struct imports w = {.text = text};
    struct slice path;
    size_t end, done = 0;
    char abs[INSIDE_PATH_BYTES];
    for (size_t n = 0; n < IMPORTS_MAX && imports_next(&w, &path, &end); n++) {
        FOUND_CLEANUP struct found at = FOUND_INIT;
        const char *why = "its home is not shown here";
        struct slice to = import_path(t, f, path, abs);
        if ((to.n && find(t, AT_FDCWD, to, &at, &why) && depth < DEPTH_MAX) || !imports_surely(path))
            continue;
        buf_add(ret, slice_sub(text, done, end - done));
        buf_addf(ret, " [not read: %s]", why ? why : "imports are followed 5 deep");
        done = end;
    }
    buf_add(ret, slice_sub(text, done, text.n));
}

/* ---- one file ---- */

struct telling_of { /* how a file is told */
    size_t max, chars;   /* of its text; chars 0: no limit */
    bool imports;
    unsigned depth;
};

static struct slice first_chars(struct slice s, size_t chars)
{
    size_t i = 0;
    for (bool valid; chars && i < s.n; chars--)
        i += slice_char(slice_sub(s, i, s.n), &valid);
    return slice_sub(s, 0, i);
}

/* Cut at the end of a line, with what is to be known of that. */
static struct slice cut_text(struct slice text, size_t max, bool *more)
{
    if (text.n > max) {
        text = slice_cut(text, max);
        *more = true;
    }
    if (!*more)
        return text;
    size_t end = text.n;
    while (end && text.p[end - 1] != '\n')
        end--;
    return end ? slice_sub(text, 0, end) : text;
}

static void put_file(struct telling *t, struct slice shown, struct slice text, bool more)
{
    BUF_CLEANUP struct buf b = BUF_INIT(t->left + 512);
    text = cut_text(text, t->left, &more);
    buf_add(&b, text);
    if (more)
        buf_addf(&b, "%s[… the rest is left out for its length; `read` shows it …]\n", b.n && b.p[b.n - 1] != '\n' ? "\n" : "");
    t->left -= text.n;
    put_text(t->reply, WORK_PATH, slice_cut(shown, 1000));
    message_put(t->reply, WORK_TEXT, buf_slice(&b));
}

static void tell(struct telling *t, const struct found *f, struct slice shown, struct telling_of how);

static void tell_imports(struct telling *t, const struct found *f, struct slice text, struct telling_of how)
{
    struct imports w = {.text = text};
    struct slice path;
    size_t end;
    char abs[INSIDE_PATH_BYTES];
    how.depth++;
    for (size_t n = 0; n < IMPORTS_MAX && how.depth <= DEPTH_MAX && imports_next(&w, &path, &end); n++) {
        FOUND_CLEANUP struct found at = FOUND_INIT;
        const char *why;
        struct slice to = import_path(t, f, path, abs);
        if (!to.n || !find(t, AT_FDCWD, to, &at, &why))
            continue;
        struct slice real = slice_of(at.path), root = slice_of(t->root.path);
        tell(t, &at, slice_below(real, root) ? slice_sub(real, root.n + 1, real.n) : real, how);
    }
}

/* Tells a file that was found, unless it was told already, and what it imports. */
static void tell(struct telling *t, const struct found *f, struct slice shown, struct telling_of how)
{
    BUF_CLEANUP struct buf head = BUF_INIT(3 * FILE_MAX + 16), text = BUF_INIT(4 * FILE_MAX + IMPORTS_MAX * 64);
    const char *why;
    bool more;
    if (!read_head(f, how.max, &head, &more, &why)) {
        note(t, shown, why);
        return;
    }
    struct slice whole = how.chars ? first_chars(buf_slice(&head), how.chars) : buf_slice(&head);
    more |= whole.n < head.n;
    if (slice_trim(whole).n == 0 || is_seen(t, f, whole))
        return;
    if (t->left < 64 || t->nseen == FILES_MAX) {
        note(t, shown, "it is left out, because there are more instructions than fit");
        return;
    }
    whole = cut_text(whole, FILE_MAX, &more);
    if (how.imports)
        mark_imports(t, f, whole, how.depth, &text);
    put_file(t, shown, how.imports ? buf_slice(&text) : whole, more);
    if (how.imports)
        tell_imports(t, f, whole, how);
}

static const struct telling_of PLAIN = {.max = FILE_MAX}, CLAUDE = {.max = FILE_MAX, .imports = true},
                               USER = {.max = 4 * USER_CHARS, .chars = USER_CHARS};

/* `folder` ("" or "a/b/") and a name below it, from the root. False where it is not there. */
static bool tell_named(struct telling *t, struct slice folder, const char *name, struct telling_of how)
{
    FOUND_CLEANUP struct found f = FOUND_INIT;
    char path[INSIDE_PATH_BYTES];
    const char *why;
    int n = snprintf(path, sizeof path, "%.*s%s", SLICE_ARG(folder), name);
    struct slice shown = {path, n > 0 && (size_t)n < sizeof path ? (size_t)n : 0};
    if (shown.n == 0)
        return false;
    if (find(t, t->root.fd, shown, &f, &why))
        tell(t, &f, shown, how);
    else if (f.fd >= 0 || !slice_is(slice_of(why), "it is not there"))
        note(t, shown, why);
    return f.fd >= 0;
}

/* ---- folders ---- */

/* Walks the names of a folder below `base`, sorted, if it is there and may be read: each is told to `each`. */
static void for_names(struct telling *t, int base, struct slice folder, void (*each)(struct telling *, int, struct slice, struct slice))
{
    FOUND_CLEANUP struct found f = FOUND_INIT;
    ARENA_CLEANUP struct arena a = ARENA_INIT(NAMES_ARENA);
    struct slice *names;
    size_t n;
    if (found_find(base, folder, &f, NULL))
        return;
    FD_CLEANUP int fd = allowed(t, &f) ? sys->openat(f.fd, ".", O_RDONLY | O_DIRECTORY, 0) : -1;
    if (fd < 0 || walk_names(fd, &a, &names, &n, NULL)) {
        note(t, folder, "it cannot be listed, or lies outside of the folder");
        return;
    }
    for (size_t i = 0; i < n; i++)
        each(t, base, folder, names[i]);
}

static void each_rule(struct telling *t, int base, struct slice folder, struct slice name)
{
    char prefix[64];
    (void)base;
    snprintf(prefix, sizeof prefix, "%.*s/", SLICE_ARG(folder));
    if (slice_ends(name, SLICE(".md")))
        tell_named(t, slice_of(prefix), name.p, CLAUDE);
}

static void tell_skill(struct telling *t, int base, struct slice path)
{
    FOUND_CLEANUP struct found f = FOUND_INIT;
    BUF_CLEANUP struct buf head = BUF_INIT(3 * SKILL_HEAD_MAX + 16);
    const char *why;
    bool more;
    if (!find(t, base, path, &f, &why)) {
        if (!slice_is(slice_of(why), "it is not there"))
            note(t, path, why);
    } else if (!read_head(&f, SKILL_HEAD_MAX, &head, &more, &why)) {
        note(t, path, why);
    } else if (t->skills++ < SKILLS_MAX) {
        put_text(t->reply, WORK_SKILL, slice_cut(path, 1000));
        message_put(t->reply, WORK_HEAD, buf_slice(&head));
    } else if (t->skills == SKILLS_MAX + 1) {
        note(t, path, "it is left out with those that follow, because there are more than 200 skills");
    }
}

static void each_skill(struct telling *t, int base, struct slice folder, struct slice name)
{
    char path[INSIDE_PATH_BYTES];
    int n = snprintf(path, sizeof path, "%.*s/%.*s/SKILL.md", SLICE_ARG(folder), SLICE_ARG(name));
    if (n > 0 && (size_t)n < sizeof path)
        tell_skill(t, base, (struct slice){path, (size_t)n});
}

/* The files of one folder of the way from the root to where the agent works. */
static void tell_folder(struct telling *t, struct slice folder)
{
    if (!tell_named(t, folder, "AGENTS.override.md", PLAIN))
        tell_named(t, folder, "AGENTS.md", PLAIN);
    if (!tell_named(t, folder, "CLAUDE.md", CLAUDE))
        tell_named(t, folder, ".claude/CLAUDE.md", CLAUDE);
    if (folder.n == 0)
        for_names(t, t->root.fd, SLICE(".claude/rules"), each_rule);
    tell_named(t, folder, "CLAUDE.local.md", CLAUDE);
}

/* An OpenClaw workspace has both of these. */
static void tell_workspace(struct telling *t)
{
    struct stat st;
    if (sys->fstatat(t->root.fd, "AGENTS.md", &st, 0) < 0 || sys->fstatat(t->root.fd, "SOUL.md", &st, 0) < 0)
        return;
    tell_named(t, SLICE_NONE, "SOUL.md", PLAIN);
    tell_named(t, SLICE_NONE, "IDENTITY.md", PLAIN);
    tell_named(t, SLICE_NONE, "USER.md", USER);
    tell_named(t, SLICE_NONE, "TOOLS.md", PLAIN);
    if (!tell_named(t, SLICE_NONE, "MEMORY.md", PLAIN))
        tell_named(t, SLICE_NONE, "memory.md", PLAIN);
}

static void tell_way(struct telling *t)
{
    struct slice root = slice_of(t->root.path), cwd = slice_of(t->cwd.path);
    struct slice way = slice_below(cwd, root) ? slice_sub(cwd, root.n + 1, cwd.n) : SLICE_NONE;
    char folder[INSIDE_PATH_BYTES];
    tell_folder(t, SLICE_NONE);
    tell_workspace(t);
    for (size_t i = 0; i <= way.n && way.n; i++)
        if (i == way.n || way.p[i] == '/') {
            snprintf(folder, sizeof folder, "%.*s/", SLICE_ARG(slice_sub(way, 0, i)));
            tell_folder(t, slice_of(folder));
        }
}

static void tell_skills(struct telling *t)
{
    for_names(t, t->root.fd, SLICE(".claude/skills"), each_skill);
    for_names(t, t->root.fd, SLICE(".agents/skills"), each_skill);
    for_names(t, t->root.fd, SLICE("skills"), each_skill);
    for (size_t i = 0; i < t->nextra; i++)
        if (S_ISDIR(t->extra[i].st.st_mode))
            for_names(t, AT_FDCWD, slice_of(t->extra[i].path), each_skill);
}

/* ---- the applet ---- */

static enum err open_all(struct telling *t, struct slice args, struct error *e)
{
    char text[INSIDE_PATH_BYTES];
    struct message_reader r = message_read(args);
    struct slice root = message_get(args, WORK_ROOT), cwd = message_get(args, WORK_CWD);
    if (!message_ok(args))
        return inside_bad("what is no list of arguments", e);
    enum err err = inside_path(root, text, e);
    if (!err)
        err = found_find(AT_FDCWD, root, &t->root, e);
    if (!err)
        err = found_find(t->root.fd, cwd.n ? cwd : SLICE("."), &t->cwd, e);
    for (struct field f; !err && message_next(&r, &f) == 1;) {
        if (f.tag != WORK_EXTRA)
            continue;
        if (t->nextra == EXTRAS_MAX || inside_path(f.bytes, text, NULL))
            return inside_bad("an extra path that is not absolute, or too many", e);
        t->extra[t->nextra] = FOUND_INIT;
        if (found_find(AT_FDCWD, f.bytes, &t->extra[t->nextra], NULL) == OK)
            t->nextra++;
        else
            found_close(&t->extra[t->nextra]);
    }
    return err;
}

enum err inside_instruct(struct slice args, struct buf *reply, struct error *e)
{
    static struct telling one;
    one = (struct telling){.root = FOUND_INIT, .cwd = FOUND_INIT, .reply = reply};
    __attribute__((cleanup(telling_close))) struct telling *t = &one;
    enum err err = open_all(t, args, e);
    if (err)
        return err;
    uint64_t limit = message_get_u64(args, WORK_LIMIT, 0);
    t->left = limit == 0 || limit > WORK_BYTES_MAX / 2 ? WORK_INSTRUCTIONS : (size_t)limit;
    for (size_t i = 0; i < t->nextra; i++)
        if (S_ISREG(t->extra[i].st.st_mode))
            tell(t, &t->extra[i], slice_of(t->extra[i].path),
                 slice_ends(slice_of(t->extra[i].path), SLICE("CLAUDE.md")) ? CLAUDE : PLAIN);
    tell_way(t);
    tell_skills(t);
    return buf_check(reply, "the instructions of a folder", e);
}
