#include "tools/glob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"

/* ---- within a name ---- */

/* One character at s[*at]: its code point, or a number past Unicode for a byte that is no UTF-8. */
static uint32_t next_char(struct slice s, size_t *at)
{
    unsigned char c = (unsigned char)s.p[*at];
    size_t n = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (n == 0 || n > s.n - *at || !slice_is_utf8(slice_sub(s, *at, n))) {
        *at += 1;
        return 0x110000 + c;
    }
    uint32_t value = n == 1 ? c : c & (0x7fu >> n);
    for (size_t i = 1; i < n; i++)
        value = value << 6 | ((unsigned char)s.p[*at + i] & 0x3f);
    *at += n;
    return value;
}

/* One character of the pattern; a backslash before it is passed over. */
static uint32_t next_literal(struct slice pattern, size_t *at)
{
    if (pattern.p[*at] == '\\' && *at + 1 < pattern.n)
        *at += 1;
    return next_char(pattern, at);
}

/* The "[...]" at pattern[*at] against c. False and *at untouched where it is not closed: then "[" is a plain character. */
static bool match_set(struct slice pattern, size_t *at, uint32_t c, bool *ret_match)
{
    size_t i = *at + 1;
    bool negated = i < pattern.n && (pattern.p[i] == '!' || pattern.p[i] == '^'), match = false;
    i += negated;
    for (size_t first = i; i < pattern.n && (pattern.p[i] != ']' || i == first);) {
        uint32_t from = next_literal(pattern, &i), to = from;
        if (i + 1 < pattern.n && pattern.p[i] == '-' && pattern.p[i + 1] != ']') {
            i++;
            to = next_literal(pattern, &i);
        }
        match |= from <= c && c <= to;
    }
    if (i >= pattern.n)
        return false;
    *at = i + 1;
    *ret_match = match != negated;
    return true;
}

/* One step of the pattern against one character; false where they differ. */
static bool match_one(struct slice pattern, size_t *at, uint32_t c)
{
    bool match = true;
    if (pattern.p[*at] == '?') {
        *at += 1;
        return true;
    }
    if (pattern.p[*at] == '[' && match_set(pattern, at, c, &match))
        return match;
    return next_literal(pattern, at) == c;
}

/* Greedy with one way back: a later "*" makes every earlier one settled, so there is never more than one to widen. */
static bool match_name(struct slice pattern, struct slice name)
{
    size_t p = 0, n = 0, star = SIZE_MAX, resume = 0;
    while (n < name.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = ++p;
            resume = n;
            continue;
        }
        size_t next_p = p, next_n = n;
        uint32_t c = next_char(name, &next_n);
        if (p < pattern.n && match_one(pattern, &next_p, c)) {
            p = next_p;
            n = next_n;
        } else if (star != SIZE_MAX) {
            (void)next_char(name, &resume);
            p = star;
            n = resume;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

/* ---- parts ---- */

struct parts {
    struct slice at[GLOB_DEPTH_MAX + 1];
    size_t n;
};

static bool split(struct slice s, struct parts *ret)
{
    for (ret->n = 0; ret->n < GLOB_DEPTH_MAX;) {
        struct slice part = slice_sub(s, 0, slice_index(s, '/'));
        ret->at[ret->n++] = part;
        if (part.n == s.n)
            return true;
        s = slice_sub(s, part.n + 1, s.n);
    }
    return false;
}

/* A "**" at the end stands for any file below: as if "*" followed. */
static bool split_pattern(struct slice pattern, struct parts *ret)
{
    if (pattern.n > GLOB_PATTERN_MAX || !split(pattern, ret))
        return false;
    if (slice_is(ret->at[ret->n - 1], "**"))
        ret->at[ret->n++] = SLICE("*");
    return true;
}

static bool dotted(struct slice part)
{
    return slice_starts(part, SLICE(".")) || slice_starts(part, SLICE("\\."));
}

/* Ours and git's own: in no glob, whatever the pattern says. */
static bool never(struct slice name)
{
    return slice_is(name, ".git") || slice_starts(name, SLICE(".crannog"));
}

static bool match_part(struct slice pattern, struct slice name)
{
    return name.n && !never(name) && (!dotted(name) || dotted(pattern)) && match_name(pattern, name);
}

/*
 * The same walk as match_name, a part a step. One way back is enough here too, although "**" takes no hidden folder:
 * what stops the last "**" stops every earlier one at the same name, unless a part with a dot is to match that, and
 * such a part can match at no other place.
 */
bool glob_match(struct slice pattern, struct slice path)
{
    struct parts want, names;
    if (!split_pattern(pattern, &want) || !split(path, &names))
        return false;
    size_t p = 0, n = 0, star = SIZE_MAX, resume = 0;
    while (n < names.n) {
        if (p < want.n && slice_is(want.at[p], "**")) {
            star = ++p;
            resume = n;
        } else if (p < want.n && match_part(want.at[p], names.at[n])) {
            p++;
            n++;
        } else if (star != SIZE_MAX && names.at[resume].n && !dotted(names.at[resume])) {
            p = star;
            n = ++resume;
        } else {
            return false;
        }
    }
    return p == want.n;
}

static bool any_dotted(const struct parts *want, size_t from)
{
    bool any = false;
    for (size_t i = from; i < want->n; i++)
        any |= dotted(want->at[i]);
    return any;
}

bool glob_below(struct slice pattern, struct slice path)
{
    struct parts want, names;
    if (!split_pattern(pattern, &want) || !split(path, &names))
        return false;
    size_t n = 0;
    for (; n < names.n && n < want.n && !slice_is(want.at[n], "**"); n++)
        if (n + 1 == want.n || !match_part(want.at[n], names.at[n]))
            return false;
    for (size_t i = n; i < names.n; i++) /* from a "**" on anything may be, but what no part can match */
        if (never(names.at[i]) || (dotted(names.at[i]) && !any_dotted(&want, n)))
            return false;
    return true;
}

/* ---- the walk ---- */

struct walk {
    struct slice pattern;
    struct arena *a;
    struct slice *found;
    size_t nfound, cap, limit, bytes, seen;
    struct buf path; /* of the folder being read, with a slash behind it unless it is the root */
    struct error *e;
};

static enum err too_much(struct walk *w, const char *what, size_t limit)
{
    return error_set(w->e, ERR_LIMIT, "the glob %.*s %s than %zu; make it narrower", SLICE_ARG(w->pattern), what, limit);
}

static enum err take_file(struct walk *w)
{
    struct slice path = buf_slice(&w->path);
    if (w->nfound == w->limit)
        return too_much(w, "names more files", w->limit);
    w->bytes += path.n;
    if (w->bytes > GLOB_BYTES_MAX)
        return too_much(w, "names files whose paths together have more bytes", GLOB_BYTES_MAX);
    void *items = w->found;
    if (!arena_grow(w->a, &items, &w->cap, w->nfound + 1, sizeof *w->found))
        return error_set(w->e, ERR_MEMORY, "no memory for the files of the glob %.*s", SLICE_ARG(w->pattern));
    w->found = items;
    struct slice copy = arena_copy(w->a, path);
    if (!copy.p)
        return error_set(w->e, ERR_MEMORY, "no memory for the files of the glob %.*s", SLICE_ARG(w->pattern));
    w->found[w->nfound++] = copy;
    return OK;
}

static enum err walk_folder(struct walk *w, int folder, unsigned depth);

/* The folder whose name was just put into w->path. One that has gone meanwhile, or is a folder no more, is passed over. */
static enum err enter(struct walk *w, int parent, const char *name, unsigned depth)
{
    if (depth == GLOB_DEPTH_MAX)
        return too_much(w, "leads into more folders within each other", GLOB_DEPTH_MAX);
    int fd = sys->openat2(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                          RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
        return OK;
    if (fd < 0)
        return error_errno(w->e, errno, "cannot read the folder %s for the glob %.*s", buf_str(&w->path),
                           SLICE_ARG(w->pattern));
    buf_add_char(&w->path, '/');
    return walk_folder(w, fd, depth);
}

static enum err visit(struct walk *w, int folder, const struct dirent *f, unsigned depth)
{
    if (++w->seen > GLOB_SEEN_MAX)
        return too_much(w, "leads past more files", GLOB_SEEN_MAX);
    buf_add_text(&w->path, f->d_name);
    if (!buf_ok(&w->path))
        return error_set(w->e, ERR_LIMIT, "a path below %.100s is longer than %zu bytes", buf_str(&w->path), w->path.max);
    bool file = glob_match(w->pattern, buf_slice(&w->path)), below = glob_below(w->pattern, buf_slice(&w->path));
    struct stat st;
    if ((!file && !below) || sys->fstatat(folder, f->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return OK; /* gone meanwhile */
    if (file && S_ISREG(st.st_mode))
        return take_file(w);
    return below && S_ISDIR(st.st_mode) ? enter(w, folder, f->d_name, depth + 1) : OK;
}

/* Takes over `folder`. */
static enum err walk_folder(struct walk *w, int folder, unsigned depth)
{
    size_t length = w->path.n;
    DIR *d = fdopendir(folder);
    if (!d) {
        enum err err = error_errno(w->e, errno, "cannot read the folder %s", buf_str(&w->path));
        sys->close(folder);
        return err;
    }
    enum err err = OK;
    while (!err) {
        errno = 0;
        const struct dirent *f = readdir(d);
        if (!f && errno)
            err = error_errno(w->e, errno, "cannot read the folder %s", buf_str(&w->path));
        if (!f)
            break;
        if (strcmp(f->d_name, ".") && strcmp(f->d_name, ".."))
            err = visit(w, folder, f, depth);
        if (!err) {
            w->path.n = length;
            w->path.failed = false;
        }
    }
    closedir(d);
    return err;
}

static int by_bytes(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    return slice_cmp(*x, *y);
}

static const char *pattern_fault(struct slice pattern)
{
    struct parts parts;
    if (pattern.n == 0)
        return "is empty";
    if (pattern.n > GLOB_PATTERN_MAX || !split(pattern, &parts))
        return "is too long";
    for (size_t i = 0; i < parts.n; i++)
        if (parts.at[i].n == 0 || slice_is(parts.at[i], ".") || slice_is(parts.at[i], ".."))
            return "is not relative to its folder (no leading slash, no \".\", \"..\" or empty part)";
    return memchr(pattern.p, '\0', pattern.n) ? "has a NUL byte" : NULL;
}

enum err glob_files(int root, struct slice pattern, size_t limit, struct arena *a, struct slice **ret, size_t *ret_n,
                    struct error *e)
{
    const char *fault = pattern_fault(pattern);
    if (fault)
        return error_set(e, ERR_USAGE, "the glob \"%.*s\" %s; write it like sources/*.md",
                         SLICE_ARG(slice_sub(pattern, 0, 200)), fault);
    struct walk w = {.pattern = pattern, .a = a, .limit = limit, .path = BUF_INIT(4096), .e = e};
    int top = sys->openat2(root, ".", O_RDONLY | O_DIRECTORY, 0, RESOLVE_BENEATH);
    enum err err = top < 0 ? error_errno(e, errno, "cannot read the folder of the glob") : walk_folder(&w, top, 0);
    buf_release(&w.path);
    if (err)
        return err;
    if (w.nfound)
        qsort(w.found, w.nfound, sizeof *w.found, by_bytes);
    *ret = w.found;
    *ret_n = w.nfound;
    return OK;
}
