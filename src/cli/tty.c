#include "cli/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/sys.h"

/* What tty_restore() puts back: of the terminal that was made raw last. */
static struct termios restore_to;
static volatile int restore_in = -1, restore_out = -1;

static const char begin_keys[] = "\033[?2004h", end_keys[] = "\033[?2004l\033[?25h\033[?2026l";
static const char begin_keyboard[] = "\033[>1u", end_keyboard[] = "\033[<u";

static bool dumb(void)
{
    const char *term = getenv("TERM");
    return !term || !*term || strcmp(term, "dumb") == 0;
}

bool tty_is(int in, int out)
{
    return isatty(in) && isatty(out) && !dumb();
}

bool tty_color(int out)
{
    const char *no = getenv("NO_COLOR");
    return isatty(out) && !dumb() && !(no && *no);
}

bool tty_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *v = getenv(names[i]);
        if (v && *v)
            return strstr(v, "UTF-8") || strstr(v, "utf8") || strstr(v, "UTF8") || strstr(v, "utf-8");
    }
    return false;
}

void tty_size(int out, size_t *ret_columns, size_t *ret_rows)
{
    struct winsize w = {0};
    if (ioctl(out, TIOCGWINSZ, &w) != 0)
        w = (struct winsize){0};
    *ret_columns = w.ws_col ? w.ws_col : 80;
    *ret_rows = w.ws_row ? w.ws_row : 24;
}

/* Not blocking is a property of an open file that all who inherited it share, so it needs one of our own. */
void tty_init(struct tty *t, int in, int out)
{
    char path[40];
    *t = (struct tty){.in = in, .out = out, .pending = BUF_INIT(TTY_PENDING_MAX)};
    if (!isatty(out))
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", out);
    int fd = sys->openat(AT_FDCWD, path, O_WRONLY | O_NOCTTY | O_NONBLOCK, 0);
    if (fd < 0)
        return;
    t->out = fd;
    t->own = true;
}

void tty_release(struct tty *t)
{
    tty_drain(t, 1000);
    tty_cooked(t);
    if (t->own)
        sys->close(t->out);
    buf_release(&t->pending);
}

void tty_raw(struct tty *t)
{
    const char *term = getenv("TERM");
    if (restore_in >= 0) /* it is raw: who made it so undoes it */
        return;
    if (tcgetattr(t->in, &t->before) != 0)
        return;
    struct termios raw = t->before;
    raw.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR | IXON | ISTRIP | BRKINT);
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ECHONL | ISIG | IEXTEN);
    raw.c_cflag |= CS8;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    restore_to = t->before;
    restore_in = t->in;
    restore_out = t->out;
    tcsetattr(t->in, TCSADRAIN, &raw);
    t->raw = true;
    t->keyboard = !(term && strcmp(term, "linux") == 0); /* whose console takes it for something else */
    buf_add_text(&t->pending, begin_keys);
    buf_add_text(&t->pending, t->keyboard ? begin_keyboard : "");
    tty_flush(t);
}

void tty_cooked(struct tty *t)
{
    if (!t->raw)
        return;
    buf_add_text(&t->pending, t->keyboard ? end_keyboard : "");
    buf_add_text(&t->pending, end_keys);
    tty_drain(t, 1000);
    tcsetattr(t->in, TCSADRAIN, &t->before);
    t->raw = false;
    restore_in = restore_out = -1;
}

void tty_restore(void)
{
    int in = restore_in, out = restore_out, error = errno;
    if (in < 0)
        return;
    restore_in = restore_out = -1;
    ssize_t n = write(out, end_keyboard, sizeof end_keyboard - 1);
    n += write(out, end_keys, sizeof end_keys - 1);
    n += write(out, "\r\n", 2);
    (void)n;
    tcsetattr(in, TCSANOW, &restore_to);
    errno = error;
}

/* One write; false where the terminal takes nothing now. */
static bool write_some(struct tty *t)
{
    ssize_t n = sys->write(t->out, t->pending.p + t->sent, t->pending.n - t->sent);
    if (n < 0 && errno == EINTR)
        return true;
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n < 0) { /* nobody looks any more */
        t->gone = true;
        n = (ssize_t)(t->pending.n - t->sent);
    }
    t->sent += (size_t)n;
    if (t->sent == t->pending.n) {
        buf_reset(&t->pending);
        t->sent = 0;
    }
    return true;
}

bool tty_flush(struct tty *t)
{
    struct pollfd p = {.fd = t->out, .events = POLLOUT};
    bool full;
    while (t->sent < t->pending.n && write_some(t))
        t->stuck = false;
    while ((full = t->pending.n - t->sent > TTY_PENDING_WAIT) && !t->stuck)
        if (sys->poll(&p, 1, TTY_STUCK_MS) <= 0 || !write_some(t))
            t->stuck = true;
    if (t->sent > TTY_PENDING_WAIT) {
        memmove(t->pending.p, t->pending.p + t->sent, t->pending.n - t->sent);
        t->pending.n -= t->sent;
        t->sent = 0;
    }
    return !full;
}

void tty_drain(struct tty *t, int timeout_ms)
{
    int64_t until = sys->now_ms() + timeout_ms;
    while (t->sent < t->pending.n) {
        int64_t left = until - sys->now_ms();
        struct pollfd p = {.fd = t->out, .events = POLLOUT};
        if (!write_some(t) && (left <= 0 || left > timeout_ms || sys->poll(&p, 1, (int)left) <= 0))
            return;
    }
}

bool tty_read(struct tty *t, char *p, size_t max, size_t *ret_n)
{
    struct pollfd f = {.fd = t->in, .events = POLLIN};
    *ret_n = 0;
    if (!max || sys->poll(&f, 1, 0) <= 0)
        return true;
    ssize_t n = sys->read(t->in, p, max);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    *ret_n = (size_t)n;
    return n > 0;
}
