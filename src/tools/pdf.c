#include "tools/pdf.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"

enum { INPUT = 3, OUTPUT = 4, NOT_RUN = 127 }; /* its descriptors, and how sys->spawn says that it could not start */

bool pdf_is(struct slice bytes)
{
    return slice_starts(bytes, SLICE("%PDF-"));
}

/* ---- running it ---- */

/* Without a shell or a search path: the name is fixed, and both files are its own descriptors. */
static int spawn(int in, int out, pid_t *ret)
{
    char *argv[] = {"pdftotext", "-q", "-enc", "UTF-8", "-eol", "unix", "-nopgbrk", "/proc/self/fd/3", "/proc/self/fd/4", NULL};
    char *env[] = {NULL};
    int fds[] = {in, out};
    _Static_assert(INPUT == 3 && OUTPUT == 4, "the paths above name them");
    return sys->spawn("/usr/bin/pdftotext", argv, env, fds, 2, ret);
}

static enum err start(struct slice bytes, pid_t *ret, int *ret_out, struct error *e)
{
    int pipe[2];
    FD_CLEANUP int in = sys_memfd("document", bytes);
    if (in < 0 || pipe2(pipe, O_CLOEXEC) < 0)
        return error_errno(e, errno, "cannot be handed to pdftotext");
    FD_CLEANUP int write_end = pipe[1];
    if (spawn(in, write_end, ret) < 0) {
        enum err err = error_errno(e, errno, "cannot be read, because pdftotext does not start");
        sys_close_fd(&pipe[0]);
        return err;
    }
    struct rlimit cpu = {PDF_CPU_S, PDF_CPU_S + 1};
    prlimit(*ret, RLIMIT_CPU, &cpu, NULL); /* if it is refused, the jail's own limit remains */
    *ret_out = pipe[0];
    return OK;
}

/* Takes what it writes until it ends, until there is more than `text` may hold, or until time is up (ERR_TIMEOUT). */
static enum err take(int fd, struct buf *text, struct error *e)
{
    int64_t end_ns = sys->boottime_ns() + PDF_WALL_MS * INT64_C(1000000);
    while (buf_ok(text)) {
        static char chunk[64 * 1024];
        int64_t left_ns = end_ns - sys->boottime_ns();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left_ns <= 0)
            return error_set(e, ERR_TIMEOUT, "takes longer than %d seconds to read", PDF_WALL_MS / 1000);
        if (sys->poll(&p, 1, (int)(left_ns / 1000000 + 1)) <= 0)
            continue;
        ssize_t n = sys->read(fd, chunk, sizeof chunk);
        if (n < 0 && errno != EINTR)
            return error_errno(e, errno, "cannot be read, because what pdftotext writes cannot be");
        if (n == 0)
            return OK;
        if (n > 0)
            buf_add(text, (struct slice){chunk, (size_t)n});
    }
    return text->refused ? buf_check(text, "the text of a PDF", e)
                         : error_set(e, ERR_LIMIT, "has more than %zu bytes of text: split it", text->max);
}

/* ---- what came of it ---- */

static bool holds(struct slice bytes, struct slice word)
{
    return slice_find(bytes, word, 0) < bytes.n;
}

/* pdftotext tells a document that it cannot open from one whose password it lacks only in words; the key that makes a
   document encrypted stands in the clear. */
static enum err refused(struct slice bytes, struct error *e)
{
    if (holds(bytes, SLICE("/Encrypt")))
        return error_set(e, ERR_UNSUPPORTED, "is encrypted; save it without its password (qpdf --decrypt)");
    return error_set(e, ERR_UNSUPPORTED, "is damaged: pdftotext cannot read it; save it anew from a viewer, or get it again");
}

static enum err judge(struct slice bytes, int status, struct error *e)
{
    if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL))
        return error_set(e, ERR_LIMIT, "takes more than %d CPU seconds, or the memory of its jail, to read: split it", PDF_CPU_S);
    if (WIFSIGNALED(status))
        return refused(bytes, e);
    switch (WEXITSTATUS(status)) {
    case 0: return OK;
    case 3: return error_set(e, ERR_UNSUPPORTED, "forbids that its text is copied");
    case NOT_RUN:
        return error_set(e, ERR_MISSING, "is a PDF, and there is no /usr/bin/pdftotext to read it: apt-get install poppler-utils");
    default: return refused(bytes, e);
    }
}

/* U+FB00 to U+FB06: typesetters' one character for several letters, which no reader spells that way. */
static const char *const LIGATURES[] = {"ff", "fi", "fl", "ffi", "ffl", "st", "st"};

/* Without NUL bytes, which a broken font can yield. */
static void add_words(struct slice text, struct buf *out)
{
    buf_add_char(out, '\n');
    for (size_t i = 0; i < text.n; i++) {
        unsigned char third = i + 2 < text.n ? (unsigned char)text.p[i + 2] : 0;
        if (text.p[i] == '\xef' && third >= 0x80 && third <= 0x86 && text.p[i + 1] == '\xac') {
            buf_add_text(out, LIGATURES[third - 0x80]);
            i += 2;
        } else if (text.p[i]) {
            buf_add_char(out, text.p[i]);
        }
    }
}

static enum err read_text(struct slice bytes, struct buf *text, struct error *e)
{
    FD_CLEANUP int out = -1;
    pid_t child;
    int status;
    enum err err = start(bytes, &child, &out, e);
    if (err)
        return err;
    err = take(out, text, e);
    if (err)
        sys->kill(child, SIGKILL);
    while (sys->waitpid(child, &status, 0) < 0) /* one that closed its pipe and sleeps on is ended with the jail */
        if (errno != EINTR)
            return error_errno(e, errno, "cannot be read, because pdftotext cannot be waited for");
    err = err ? err : judge(bytes, status, e);
    if (!err && slice_trim(buf_slice(text)).n == 0)
        err = error_set(e, ERR_UNSUPPORTED, "has no text, perhaps because its pages are pictures (scans): run text "
                        "recognition over it first (ocrmypdf)");
    return err;
}

enum err pdf_text(struct slice bytes, struct slice name, struct buf *ret, struct error *e)
{
    BUF_CLEANUP struct buf text = BUF_INIT(ret->max);
    struct error why = {.code = OK};
    enum err err = read_text(bytes, &text, &why);
    if (err) {
        struct slice shown = slice_sub(name, 0, 120);
        return error_set(e, err, "%.*s %s", SLICE_ARG(shown), why.text);
    }
    add_words(buf_slice(&text), ret);
    return buf_check(ret, "the text of a PDF", e);
}
