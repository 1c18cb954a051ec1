/*
 * Faults: why a model's answer is none, in kinds that say what to do. Each is a result that a run survives.
 *
 * The kind comes from the HTTP status, the error's type or code, and words in its message, by tables in fault.c.
 */
#ifndef CRANNOG_MODEL_FAULT_H
#define CRANNOG_MODEL_FAULT_H

#include "text/json.h"

enum fault_kind {
    FAULT_NONE = 0,
    FAULT_AUTH,       /* the key is missing, wrong, or may not do this */
    FAULT_BILLING,    /* no credit left with the provider */
    FAULT_RATE_LIMIT, /* again after a while */
    FAULT_OVERLOADED, /* again after a while */
    FAULT_SERVER,     /* the server failed; again may help */
    FAULT_TIMEOUT,    /* the server gave up; again may help */
    FAULT_CONTEXT,    /* the prompt, or prompt and limit, are too long: compact */
    FAULT_TOO_LARGE,  /* too many bytes */
    FAULT_NO_MODEL,   /* no such model or address */
    FAULT_REFUSED,    /* a filter of the provider's */
    FAULT_REQUEST,    /* the request is not what the server takes: a quirk that is missing, or a bug of ours */
    FAULT_FORMAT,     /* the server speaks another format than its entry says */
    FAULT_BROKEN,     /* the answer is not what the format says: no JSON, no sense */
    FAULT_CUT,        /* the answer ended before its end */
    FAULT_LIMIT,      /* the answer passed a bound of ours */
    FAULTS
};

enum { FAULT_TEXT_MAX = 600 };

struct fault {
    enum fault_kind kind;
    int status;             /* HTTP; 0 if not known */
    int64_t retry_after_ms; /* what the caller had from the Retry-After header; -1: none */
    char text[FAULT_TEXT_MAX]; /* one line for people, control characters made blanks */
};

const char *fault_name(enum fault_kind k); /* "rate_limit", …; "none" for FAULT_NONE; never NULL */
bool fault_may_pass(enum fault_kind k);    /* whether asking the same again later can help */

/* Fills kind and text from what an error answer says. `v` is its JSON, or NULL where it is none; then `raw` is shown. */
void fault_from(struct fault *f, int status, const struct json *v, struct slice raw);
/* Whether an object of an otherwise good answer is an error: has a member "error" that says something, or the type. */
bool fault_is(const struct json *v);
void fault_set(struct fault *f, enum fault_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
