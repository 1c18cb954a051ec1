#include "tools/edit_internal.h"

#include <string.h>

static const struct slice BOM = SLICE_INIT("\xef\xbb\xbf");

struct editing {
    struct slice file;  /* as it is by now, without its mark */
    struct slice name;
    bool crlf;          /* all its lines end in CRLF, and there are some */
    const struct edit *edit;
    size_t number, count; /* of this edit, of all */
    size_t replaced;
    struct arena *a;    /* of this edit */
    struct buf *say;
};

/* ---- words ---- */

static void tell(struct editing *d)
{
    if (d->count > 1)
        buf_addf(d->say, "Edit %zu of %zu: ", d->number, d->count);
}

static enum err refuse(struct editing *d, enum err code, const char *why)
{
    tell(d);
    buf_addf(d->say, "%s Nothing was changed.\n", why);
    return code;
}

static enum err refuse_many(struct editing *d, size_t places, const size_t *lines)
{
    tell(d);
    buf_addf(d->say, "`old` is in %.*s %zu times, at lines ", SLICE_ARG(slice_cut(d->name, 200)), places);
    size_t shown = places < EDIT_PLACES_MAX ? places : EDIT_PLACES_MAX;
    for (size_t i = 0; i < shown; i++)
        buf_addf(d->say, "%s%zu", i == 0 ? "" : i + 1 == places ? " and " : ", ", lines[i]);
    buf_addf(d->say, "%s: give more of the lines around the one you mean, or set all. Nothing was changed.\n",
             places > shown ? ", …" : "");
    return ERR_CONFLICT;
}

static enum err refuse_missing(struct editing *d, const struct place *p)
{
    tell(d);
    if (p->many) {
        buf_addf(d->say, "`old` was not found as it is in %.*s, and more than one place differs only in blanks: copy its lines "
                 "exactly, with more around them. Nothing was changed.\n", SLICE_ARG(slice_cut(d->name, 200)));
        return ERR_CONFLICT;
    }
    buf_addf(d->say, "`old` was not found in %.*s. Nothing was changed.\n", SLICE_ARG(slice_cut(d->name, 200)));
    edit_tell_closest(d->file, d->edit->old, d->a, d->say);
    return ERR_MISSING;
}

static void note(struct editing *d, const struct indent *indent, const char *what)
{
    size_t unit = indent ? indent->unit.n : 0;
    bool tab = unit && indent->unit.p[0] == '\t';
    tell(d);
    buf_addf(d->say, "`old` was found but for %s", what);
    if (indent && (indent->change == INDENT_MORE || indent->change == INDENT_LESS))
        buf_addf(d->say, " (the file has %zu %s %s)", unit, tab ? unit == 1 ? "tab" : "tabs" : unit == 1 ? "blank" : "blanks",
                 indent->change == INDENT_MORE ? "more" : "less");
    buf_addf(d->say, "; `new` was put in with the file's own.\n");
}

/* ---- putting it in ---- */

/* `new` with the line ends (`crlf`) and the indentation of the place. */
static void add_fitted(struct slice new, bool crlf, const struct indent *indent, struct buf *ret)
{
    while (new.n) {
        size_t end = slice_index(new, '\n');
        struct slice line = slice_sub(new, 0, end);
        bool ended = end < new.n;
        if (ended && line.n && line.p[line.n - 1] == '\r')
            line.n--;
        edit_indent(line, indent, ret);
        if (ended)
            buf_add_text(ret, crlf ? "\r\n" : "\n");
        new = slice_sub(new, end + 1, new.n);
    }
}

/* In a file of CRLF alone, lines that come new end so too. */
static void add_new(const struct editing *d, struct buf *ret)
{
    struct indent same = {.change = INDENT_SAME};
    if (d->crlf && slice_index(d->edit->new, '\n') < d->edit->new.n)
        add_fitted(d->edit->new, true, &same, ret);
    else
        buf_add(ret, d->edit->new);
}

/* Line ends at a place: those of its first line, else those of the file. */
static bool crlf_at(const struct editing *d, const struct place *p)
{
    size_t end = slice_find(d->file, SLICE("\n"), p->from);
    return end < d->file.n ? end > 0 && d->file.p[end - 1] == '\r' : d->crlf;
}

static enum err replace_near(struct editing *d, struct buf *ret)
{
    static const char *const what[] = {"its line ends", "blanks at line ends", "its indentation"};
    struct place p = {.found = false};
    size_t how = 0;
    for (; how < 3; how++) {
        p = how == 0 ? edit_find_ends(d->file, d->edit->old, d->a) : edit_find_lines(d->file, d->edit->old, how == 2, d->a);
        if (p.found)
            break;
    }
    if (!p.found || p.many)
        return refuse_missing(d, &p);
    buf_add(ret, slice_sub(d->file, 0, p.from));
    add_fitted(d->edit->new, crlf_at(d, &p), &p.indent, ret);
    buf_add(ret, slice_sub(d->file, p.to, d->file.n));
    note(d, how == 2 ? &p.indent : NULL, what[how]);
    d->replaced++;
    return OK;
}

/* How many places there are, overlapping ones too, and the lines of the first ones. */
static size_t count_places(const struct editing *d, size_t lines[EDIT_PLACES_MAX])
{
    size_t n = 0, at = slice_find(d->file, d->edit->old, 0);
    for (; at < d->file.n; at = slice_find(d->file, d->edit->old, at + 1)) {
        if (n < EDIT_PLACES_MAX)
            lines[n] = lines_at(d->file, at);
        n++;
    }
    return n;
}

static enum err replace(struct editing *d, struct buf *ret)
{
    size_t lines[EDIT_PLACES_MAX], done = 0;
    struct slice old = d->edit->old;
    size_t at = slice_find(d->file, old, 0);
    if (at == d->file.n)
        return replace_near(d, ret);
    if (!d->edit->all) {
        size_t places = count_places(d, lines);
        if (places > 1)
            return refuse_many(d, places, lines);
    }
    for (; at < d->file.n && buf_ok(ret); at = slice_find(d->file, old, done)) {
        buf_add(ret, slice_sub(d->file, done, at - done));
        add_new(d, ret);
        done = at + old.n;
        d->replaced++;
        if (done == d->file.n)
            break;
    }
    buf_add(ret, slice_sub(d->file, done, d->file.n));
    return OK;
}

static enum err edit_one(struct editing *d, struct buf *ret)
{
    if (slice_eq(d->edit->old, d->edit->new))
        return refuse(d, ERR_USAGE, "`old` and `new` are the same.");
    if (d->edit->old.n == 0 && d->file.n)
        return refuse(d, ERR_USAGE, "`old` is empty, so it says no place. To add lines, give the line before them as `old`, and "
                      "that line with them as `new`.");
    if (d->edit->old.n == 0) {
        buf_add(ret, d->edit->new);
        d->replaced++;
        return OK;
    }
    return replace(d, ret);
}

/* ---- the whole ---- */

static bool is_crlf(struct slice file)
{
    size_t ends = 0;
    for (size_t i = 0; (i = slice_find(file, SLICE("\n"), i)) < file.n; i++, ends++)
        if (i == 0 || file.p[i - 1] != '\r')
            return false;
    return ends > 0;
}

static struct slice without_mark(struct slice s)
{
    return slice_starts(s, BOM) ? slice_sub(s, BOM.n, s.n) : s;
}

static size_t first_change(struct slice a, struct slice b)
{
    size_t i = 0;
    while (i < a.n && i < b.n && a.p[i] == b.p[i])
        i++;
    return lines_at(b, i);
}

static enum err edit_all(struct editing *d, const struct edit *edits, struct buf work[2])
{
    for (size_t i = 0; i < d->count; i++) {
        ARENA_CLEANUP struct arena a = ARENA_INIT((size_t)EDIT_ARENA);
        struct edit edit = {without_mark(edits[i].old), without_mark(edits[i].new), edits[i].all};
        struct buf *to = &work[i % 2];
        d->edit = &edit;
        d->number = i + 1;
        d->a = &a;
        d->crlf = is_crlf(d->file);
        buf_reset(to);
        enum err err = edit_one(d, to);
        if (err)
            return err;
        if (!buf_ok(to))
            return refuse(d, to->refused ? ERR_MEMORY : ERR_LIMIT, "The file would become too large.");
        d->file = buf_slice(to);
    }
    return OK;
}

/* `say` holds what is there of a file and of its name: made valid, and cut where it must be. */
static void add_said(struct slice said, struct buf *say)
{
    BUF_CLEANUP struct buf valid = BUF_INIT(3 * said.n + 1);
    buf_add_utf8(&valid, said);
    buf_add(say, slice_cut(buf_slice(&valid), EDIT_SAY_MAX));
}

enum err edit_apply(struct slice whole, struct slice name, const struct edit *edits, size_t n, struct buf *ret, struct buf *say,
                    struct edited *ret_edited)
{
    BUF_CLEANUP struct buf said = BUF_INIT(256 * 1024);
    struct buf work[2] = {BUF_INIT(EDIT_BYTES_MAX), BUF_INIT(EDIT_BYTES_MAX)};
    struct slice before = without_mark(whole);
    struct editing d = {.file = before, .name = name, .count = n, .say = &said};
    enum err err = n == 0 ? refuse(&d, ERR_USAGE, "There is no edit.") : OK;
    if (!err && (n > EDITS_MAX || whole.n > EDIT_BYTES_MAX))
        err = refuse(&d, ERR_LIMIT, "That are too many edits, or the file is too large for edits.");
    if (!err)
        err = edit_all(&d, edits, work);
    add_said(buf_slice(&said), say);
    if (!err) {
        *ret_edited = (struct edited){.replaced = d.replaced, .line = first_change(before, d.file)};
        lines_differ(before, d.file, &ret_edited->added, &ret_edited->removed);
        buf_add(ret, slice_sub(whole, 0, whole.n - before.n));
        buf_add(ret, d.file);
    }
    buf_release(&work[0]);
    buf_release(&work[1]);
    return err ? err : buf_check(ret, "the edited file", NULL);
}
