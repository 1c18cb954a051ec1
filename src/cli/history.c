#include "cli/history.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/sys.h"

static void escape(struct slice s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\n' || s.p[i] == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, s.p[i] == '\n' ? 'n' : s.p[i]);
    }
    buf_add_char(out, '\n');
}

static void unescape(struct slice s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        bool escaped = s.p[i] == '\\' && i + 1 < s.n;
        i += escaped;
        buf_add_char(out, escaped && s.p[i] == 'n' ? '\n' : s.p[i]);
    }
}

/* Keeps it as the latest. */
static void keep(struct history *h, struct slice text, bool escaped)
{
    if (!h->entries)
        return;
    if (h->n == HISTORY_MAX) {
        buf_release(&h->entries[0]);
        memmove(h->entries, h->entries + 1, (HISTORY_MAX - 1) * sizeof *h->entries);
        h->n--;
    }
    struct buf *b = &h->entries[h->n];
    *b = BUF_INIT(HISTORY_ENTRY_MAX);
    if (escaped)
        unescape(text, b);
    else
        buf_add(b, text);
    if (buf_ok(b) && b->n)
        h->n++;
    else
        buf_release(b);
}

static void shorten(const struct history *h)
{
    BUF_CLEANUP struct buf all = BUF_INIT(HISTORY_FILE_MAX);
    struct error e;
    for (size_t i = 0; i < h->n; i++)
        escape(history_at(h, i), &all);
    if (buf_ok(&all) && sys_replace_file(AT_FDCWD, h->path, buf_slice(&all), 0600, &e) != OK)
        return; /* it stays long, which only costs time */
}

void history_init(struct history *h, const char *path)
{
    BUF_CLEANUP struct buf file = BUF_INIT(HISTORY_FILE_MAX);
    struct error e;
    *h = (struct history){.path = path, .entries = sys->realloc(NULL, HISTORY_MAX * sizeof *h->entries)};
    if (!path || sys_read_file(AT_FDCWD, path, &file, &e) != OK)
        return;
    size_t lines = 0;
    for (struct slice rest = buf_slice(&file), line; slice_line(&rest, &line); lines++)
        keep(h, line, true);
    if (lines > HISTORY_MAX + HISTORY_MAX / 2)
        shorten(h);
}

void history_release(struct history *h)
{
    for (size_t i = 0; i < h->n; i++)
        buf_release(&h->entries[i]);
    sys->free(h->entries);
    *h = (struct history){0};
}

struct slice history_at(const struct history *h, size_t i)
{
    return buf_slice(&h->entries[i]);
}

void history_add(struct history *h, struct slice text)
{
    BUF_CLEANUP struct buf line = BUF_INIT(2 * HISTORY_ENTRY_MAX + 1);
    struct error e;
    if (!text.n || text.n > HISTORY_ENTRY_MAX || text.p[0] == ' ' || (h->n && slice_eq(history_at(h, h->n - 1), text)))
        return;
    keep(h, text, false);
    if (!h->path)
        return;
    FD_CLEANUP int fd = sys->openat(AT_FDCWD, h->path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600);
    escape(text, &line);
    if (fd >= 0 && sys_write_all(fd, buf_slice(&line), h->path, &e) != OK)
        return; /* it is only not remembered */
}
