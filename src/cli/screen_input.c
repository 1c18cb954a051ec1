/* What the person does: keys become changes of the edit box, or events. */
#include <fcntl.h>
#include <string.h>

#include "base/sys.h"
#include "cli/screen_internal.h"

/* ---- pictures that are pasted as a path ---- */

/* A path as terminals and file managers put it: quoted, with backslashes, or as a file URL. */
static void unquote(struct slice s, struct buf *ret)
{
    bool url = slice_starts(s, SLICE("file://"));
    if (url)
        s = slice_sub(s, 7, s.n);
    if (s.n > 1 && (s.p[0] == '\'' || s.p[0] == '"') && s.p[s.n - 1] == s.p[0])
        s = slice_sub(s, 1, s.n - 2);
    for (size_t i = 0; i < s.n; i++) {
        static const char hex[] = "0123456789abcdefABCDEF";
        const char *a = url && s.p[i] == '%' && i + 2 < s.n && s.p[i + 1] ? strchr(hex, s.p[i + 1]) : NULL;
        const char *b = a && s.p[i + 2] ? strchr(hex, s.p[i + 2]) : NULL;
        if (b) {
            size_t hi = (size_t)(a - hex), lo = (size_t)(b - hex);
            buf_add_char(ret, (char)((hi > 15 ? hi - 6 : hi) << 4 | (lo > 15 ? lo - 6 : lo)));
            i += 2;
        } else {
            i += !url && s.p[i] == '\\' && i + 1 < s.n;
            buf_add_char(ret, s.p[i]);
        }
    }
}

bool input_is_picture(struct slice pasted, struct buf *ret_path)
{
    static const char *const kinds[] = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".pdf", ".PNG", ".JPG", ".JPEG"};
    struct stat st;
    pasted = slice_trim(pasted);
    if (!pasted.n || pasted.n > 4000 || slice_index(pasted, '\n') < pasted.n || slice_index(pasted, '\0') < pasted.n)
        return false;
    unquote(pasted, ret_path);
    bool kind = false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        kind |= slice_ends(buf_slice(ret_path), slice_of(kinds[i]));
    return kind && buf_ok(ret_path) && strlen(buf_str(ret_path)) == ret_path->n && sys->fstatat(AT_FDCWD, buf_str(ret_path), &st, 0) == 0 &&
           S_ISREG(st.st_mode);
}

/* ---- events ---- */

static bool give(struct screen *s, enum screen_event_kind kind, struct screen_event *ret)
{
    ret->kind = kind;
    ret->text = buf_slice(&s->event_text);
    return true;
}

static bool give_text(struct screen *s, enum screen_event_kind kind, struct screen_event *ret)
{
    size_t n = 0;
    buf_reset(&s->event_text);
    buf_reset(&s->event_paths);
    lineedit_take(s->edit, &s->event_text, &s->event_paths, &n);
    struct slice rest = buf_slice(&s->event_paths);
    for (size_t i = 0; i < n && i < SCREEN_ATTACHMENTS_MAX && rest.n; i++) {
        size_t end = slice_index(rest, '\0');
        ret->attachments[ret->nattachments++] = slice_sub(rest, 0, end);
        rest = slice_sub(rest, end + 1, rest.n);
    }
    if (!slice_trim(buf_slice(&s->event_text)).n)
        return false; /* nothing was said */
    return give(s, kind, ret);
}

static void flash(struct screen *s, const char *text)
{
    s->flash = text;
    s->flash_ms = sys->now_ms();
}

static bool escape(struct screen *s, struct screen_event *ret)
{
    int64_t now = sys->now_ms();
    bool twice = s->esc_ms && now - s->esc_ms <= TWICE_MS && now >= s->esc_ms;
    s->esc_ms = twice ? 0 : now;
    if (twice) {
        s->flash = NULL;
        return give(s, SCREEN_UNDO, ret);
    }
    flash(s, "Esc again: what to take back");
    return s->status.busy && give(s, SCREEN_STOP, ret);
}

static bool interrupt(struct screen *s, struct screen_event *ret)
{
    int64_t now = sys->now_ms();
    bool twice = s->ctrl_c_ms && now - s->ctrl_c_ms <= TWICE_MS && now >= s->ctrl_c_ms;
    bool empty = lineedit_empty(s->edit);
    s->ctrl_c_ms = 0;
    if (!empty) {
        lineedit_clear(s->edit);
        return false;
    }
    if (twice)
        return give(s, SCREEN_EXIT, ret);
    s->ctrl_c_ms = now;
    flash(s, "Ctrl-C again leaves");
    return s->status.busy && give(s, SCREEN_STOP, ret);
}

static bool act_on(struct screen *s, enum edit_wish wish, struct screen_event *ret)
{
    buf_reset(&s->event_text);
    if (wish != EDIT_ESC)
        s->esc_ms = 0;
    switch (wish) {
    case EDIT_SUBMIT: return give_text(s, SCREEN_SUBMIT, ret);
    case EDIT_QUEUE: return give_text(s, SCREEN_QUEUE, ret);
    case EDIT_ESC: return escape(s, ret);
    case EDIT_INTERRUPT: return interrupt(s, ret);
    case EDIT_EOF: return give(s, SCREEN_EXIT, ret);
    case EDIT_TAKE_BACK: return give(s, SCREEN_TAKE_BACK, ret);
    case EDIT_EDITOR: lineedit_text(s->edit, &s->event_text); return give(s, SCREEN_EDITOR, ret);
    case EDIT_MODEL: return give(s, SCREEN_PICK_MODEL, ret);
    case EDIT_SUSPEND: return give(s, SCREEN_SUSPEND, ret);
    case EDIT_DETAIL: fold_show(s); return false;
    default: return false;
    }
}

static void read_input(struct screen *s)
{
    char bytes[4096];
    size_t n = 1, room = keys_room(&s->keys);
    if (s->eof || !room)
        return;
    if (!tty_read(&s->tty, bytes, room < sizeof bytes ? room : sizeof bytes, &n))
        s->eof = true;
    if (n)
        keys_feed(&s->keys, (struct slice){bytes, n}, sys->now_ms());
}

static bool leave(struct screen *s, struct screen_event *ret)
{
    buf_reset(&s->event_text);
    if (!s->eof || s->exited)
        return false;
    s->exited = true;
    return give(s, SCREEN_EXIT, ret);
}

/* At most so many reads at a time, so that nobody who types for ever keeps the caller from its other work. */
bool input_keys(struct screen *s, struct screen_event *ret)
{
    for (int reads = 0; reads < 64; reads++) {
        struct key k;
        read_input(s);
        if (!keys_next(&s->keys, sys->now_ms(), &k)) {
            struct pollfd more = {.fd = s->tty.in, .events = POLLIN};
            if (s->eof || sys->poll(&more, 1, 0) <= 0)
                break;
            continue;
        }
        do {
            s->dirty = s->urgent = true;
            if (act_on(s, lineedit_key(s->edit, &k), ret))
                return true;
        } while (keys_next(&s->keys, sys->now_ms(), &k));
    }
    return leave(s, ret);
}

/* ---- without a terminal ---- */

static bool give_line(struct screen *s, size_t n, size_t skip, struct screen_event *ret)
{
    buf_reset(&s->event_text);
    struct slice line = slice_sub(buf_slice(&s->line), 0, n);
    if (slice_ends(line, SLICE("\r")))
        line.n--;
    paste_clean(line, &s->event_text);
    memmove(s->line.p, s->line.p + n + skip, s->line.n - n - skip);
    s->line.n -= n + skip;
    s->prompted = false;
    s->dirty = true;
    return slice_trim(buf_slice(&s->event_text)).n && give(s, SCREEN_SUBMIT, ret);
}

bool input_plain(struct screen *s, struct screen_event *ret)
{
    for (;;) {
        size_t nl = slice_index(buf_slice(&s->line), '\n'), n = 0;
        bool full = s->line.n >= KEYS_PASTE_MAX - 4096;
        if (nl < s->line.n || full) {
            if (give_line(s, nl, nl < s->line.n, ret))
                return true;
            continue;
        }
        char bytes[4096];
        if (!s->eof && !tty_read(&s->tty, bytes, sizeof bytes, &n))
            s->eof = true;
        buf_add(&s->line, (struct slice){bytes, n});
        if (s->eof && s->line.n && give_line(s, s->line.n, 0, ret))
            return true;
        if (!n)
            return leave(s, ret);
    }
}
