#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum err error_set(struct error *e, enum err code, const char *fmt, ...)
{
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(e->text, sizeof e->text, fmt, ap);
        va_end(ap);
        e->code = code;
    }
    return code;
}

enum err err_from_errno(int errnum)
{
    switch (errnum) {
    case 0: return OK;
    case ENOSPC: case EDQUOT: return ERR_NO_SPACE;
    case ENOMEM: return ERR_MEMORY;
    case ENOENT: case ENOTDIR: case ESRCH: return ERR_MISSING;
    case EEXIST: case ENOTEMPTY: return ERR_EXISTS;
    case EACCES: case EPERM: case EROFS: return ERR_DENIED;
    case EAGAIN: case EBUSY: return ERR_BUSY;
    case ETIMEDOUT: return ERR_TIMEOUT;
    case EINTR: case ECANCELED: return ERR_CANCELLED;
    case EPIPE: case ECONNRESET: return ERR_GONE;
    case ENOSYS: case EOPNOTSUPP: return ERR_UNSUPPORTED;
    case ENAMETOOLONG: case E2BIG: case EFBIG: case EMFILE: case ENFILE: return ERR_LIMIT;
    default: return ERR_IO;
    }
}

enum err error_errno(struct error *e, int errnum, const char *fmt, ...)
{
    enum err code = err_from_errno(errnum);
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
        va_end(ap);
        if (n >= 0 && (size_t)n < sizeof e->text)
            snprintf(e->text + n, sizeof e->text - (size_t)n, ": %s", strerror(errnum));
        e->code = code;
    }
    return code;
}

enum err error_wrap(struct error *e, const char *fmt, ...)
{
    ASSERT(e);
    struct error old = *e;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof e->text)
        snprintf(e->text + n, sizeof e->text - (size_t)n, ": %.*s", (int)(sizeof old.text - 1), old.text);
    return e->code;
}

const char *err_name(enum err code)
{
    static const char *const names[] = {
        [OK] = "ok",                   [ERR_USAGE] = "usage",       [ERR_MEMORY] = "memory",
        [ERR_LIMIT] = "limit",         [ERR_IO] = "io",             [ERR_NO_SPACE] = "no-space",
        [ERR_CORRUPT] = "corrupt",     [ERR_VERSION] = "version",   [ERR_MISSING] = "missing",
        [ERR_EXISTS] = "exists",       [ERR_CONFLICT] = "conflict", [ERR_DENIED] = "denied",
        [ERR_BUSY] = "busy",           [ERR_TIMEOUT] = "timeout",   [ERR_CANCELLED] = "cancelled",
        [ERR_GONE] = "gone",           [ERR_UNSUPPORTED] = "unsupported",
    };
    return (unsigned)code < sizeof names / sizeof *names ? names[code] : "unknown";
}

void assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "crannog: internal error: %s at %s:%d\n", what, file, line);
    abort();
}
