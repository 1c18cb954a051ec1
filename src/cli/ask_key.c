#include "cli/ask_key.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/sys.h"

enum { ROOM = ASK_KEY_MAX + 4096 };

static enum err room_for_key(struct ask_key *ret, struct error *e)
{
    /* no core of this program, and nobody who traces it, until it ends */
    (void)prctl(PR_SET_DUMPABLE, 0);
    void *p = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return error_errno(e, errno, "no memory for the key");
    (void)mlock(p, ROOM); /* a small limit of locked memory is no reason to ask for nothing */
    (void)madvise(p, ROOM, MADV_DONTDUMP);
    *ret = (struct ask_key){p, 0};
    return OK;
}

void ask_key_release(struct ask_key *k)
{
    if (k->p) {
        explicit_bzero(k->p, ROOM);
        munmap(k->p, ROOM);
    }
    *k = (struct ask_key){0};
}

/* ---- the terminal ---- */

static volatile sig_atomic_t signalled;

static void on_signal(int sig)
{
    signalled = sig;
}

static const int watched[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
enum { WATCHED = sizeof watched / sizeof *watched };

/* Reads to the end, or with `before` to the end of a line; then a signal ends it, which comes only while it waits: `before` are those that
   are blocked then. */
static enum err read_bytes(const sigset_t *before, struct ask_key *k, struct error *e)
{
    struct pollfd in = {.fd = 0, .events = POLLIN};
    while (!signalled) {
        if (before && ppoll(&in, 1, NULL, before) < 0 && errno == EINTR)
            continue;
        ssize_t n = sys->read(0, k->p + k->n, ROOM - k->n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(e, errno, "cannot read the key");
        k->n += (size_t)n;
        if (n == 0 || (before && k->n && k->p[k->n - 1] == '\n'))
            return OK;
        if (k->n > ASK_KEY_MAX)
            return error_set(e, ERR_LIMIT, "that is longer than a key can be (%d bytes)", ASK_KEY_MAX);
    }
    return error_set(e, ERR_CANCELLED, "no key was given; nothing was changed");
}

static enum err read_terminal(const char *prompt, struct ask_key *k, struct error *e)
{
    struct sigaction watch = {.sa_handler = on_signal}, before[WATCHED];
    struct termios usual, quiet;
    sigset_t blocked, mask;
    if (tcgetattr(0, &usual) < 0)
        return error_errno(e, errno, "cannot turn the terminal's echo off");
    sigemptyset(&blocked);
    for (int i = 0; i < WATCHED; i++)
        sigaddset(&blocked, watched[i]);
    sigprocmask(SIG_BLOCK, &blocked, &mask);
    for (int i = 0; i < WATCHED; i++)
        sigaction(watched[i], &watch, &before[i]);
    quiet = usual;
    quiet.c_lflag = (quiet.c_lflag & ~(tcflag_t)(ECHO | ECHOE | ECHOK)) | ECHONL | ICANON | ISIG;
    enum err err = tcsetattr(0, TCSAFLUSH, &quiet) < 0 ? error_errno(e, errno, "cannot turn the terminal's echo off") : OK;
    if (!err) {
        fputs(prompt, stderr);
        fflush(stderr);
        err = read_bytes(&mask, k, e);
    }
    tcsetattr(0, TCSAFLUSH, &usual);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    for (int i = 0; i < WATCHED; i++)
        sigaction(watched[i], &before[i], NULL);
    if (signalled) {
        fputc('\n', stderr);
        explicit_bzero(k->p, ROOM);
        raise(signalled); /* ends this program as it would have */
    }
    return err;
}

/* ---- keys ---- */

static enum err check(struct slice s, struct error *e)
{
    if (s.n > ASK_KEY_MAX)
        return error_set(e, ERR_LIMIT, "that is longer than a key can be (%d bytes)", ASK_KEY_MAX);
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return error_set(e, ERR_USAGE, "a key is one line of letters, digits and signs without blanks; nothing was changed");
    return OK;
}

enum err ask_key(const char *prompt, struct ask_key *ret, struct error *e)
{
    ASK_KEY_CLEANUP struct ask_key k = {0};
    enum err err = room_for_key(&k, e);
    if (!err)
        err = isatty(0) ? read_terminal(prompt, &k, e) : read_bytes(NULL, &k, e);
    struct slice s = slice_trim((struct slice){k.p, k.n});
    if (!err)
        err = check(s, e);
    if (err)
        return err;
    if (s.n)
        memmove(k.p, s.p, s.n);
    k.n = s.n;
    *ret = k;
    k = (struct ask_key){0};
    return OK;
}

bool ask_key_looks_like_one(struct slice s)
{
    static const char *const begins[] = {"sk-", "sk_", "gsk_", "xai-", "ghp_", "gho_", "github_pat_", "AIza", "hf_", "pplx-", "Bearer "};
    bool digit = false, letter = false, plain = true;
    for (size_t i = 0; s.n >= 12 && i < sizeof begins / sizeof *begins; i++)
        if (slice_starts(s, slice_of(begins[i])))
            return true;
    for (size_t i = 0; i < s.n; i++) {
        bool is_digit = s.p[i] >= '0' && s.p[i] <= '9', is_letter = (s.p[i] | 32) >= 'a' && (s.p[i] | 32) <= 'z';
        digit |= is_digit;
        letter |= is_letter;
        plain &= is_digit || is_letter || s.p[i] == '-' || s.p[i] == '_';
    }
    return s.n >= 32 && plain && digit && letter;
}
