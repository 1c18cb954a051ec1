/*
 * Errors: one code for programs, one text for people.
 *
 * A function that can fail returns `enum err` (0 is success) and takes an optional `struct error *`.
 * The text is filled once, where the failure is known, in words that a user can act on: what happened,
 * where, and what to do. Callers add context with error_wrap() or pass the error on untouched.
 */
#ifndef CRANNOG_BASE_ERR_H
#define CRANNOG_BASE_ERR_H

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

enum err {
    OK = 0,
    ERR_USAGE,       /* the caller (a person) asked for something that makes no sense */
    ERR_MEMORY,      /* allocation refused, or an arena's budget used up */
    ERR_LIMIT,       /* a bound of ours was hit: too long, too deep, too many */
    ERR_IO,          /* the system refused a read or write */
    ERR_NO_SPACE,    /* the disk is full */
    ERR_CORRUPT,     /* outside bytes that are not what they must be */
    ERR_VERSION,     /* written by a newer crannog */
    ERR_MISSING,     /* no such thing */
    ERR_EXISTS,      /* is there already */
    ERR_CONFLICT,    /* somebody else changed it */
    ERR_DENIED,      /* permission, grant or budget refuses */
    ERR_BUSY,        /* held by another process */
    ERR_TIMEOUT,     /* took longer than allowed */
    ERR_CANCELLED,   /* stopped on request */
    ERR_GONE,        /* the other side of a connection has died */
    ERR_UNSUPPORTED, /* known, but not by this build or this machine */
};

struct error {
    enum err code;
    char text[480]; /* one line, NUL-terminated, no trailing newline */
};

/* Fills *e (which may be NULL) and returns `code`. */
enum err error_set(struct error *e, enum err code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The same from an errno value: picks the code, appends ": " and the system's words for it. */
enum err error_errno(struct error *e, int errnum, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "<context>: " before the text of an error that is already set; returns its code. That code stands nowhere else,
   so e is not NULL here: who has only an optional one writes `return e ? error_wrap(e, …) : err`. */
enum err error_wrap(struct error *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A short name for a code ("io", "conflict"), for logs and JSON. Never NULL. */
const char *err_name(enum err code);

/* The code that an errno value maps to. */
enum err err_from_errno(int errnum);

/* A programming error: prints where and ends the process, in release builds too. Outside bytes never get here. */
#define ASSERT(cond) ((cond) ? (void)0 : assert_failed(#cond, __FILE__, __LINE__))
_Noreturn void assert_failed(const char *what, const char *file, int line);

#endif
