/*
 * Streams: the bytes of a model's answer, fed as they come, into deltas and, at the end, the assistant's turn. Pure.
 *
 * What is read: Server-Sent Events of either format (LF, CRLF or CR, a byte order mark, comments), a whole JSON answer
 * from servers that ignore stream:true, and errors of either format with any status. Which of them it is, is seen from the
 * first byte, not from headers.
 *
 *   S1  The same bytes give the same deltas and the same answer, however they are split.
 *   S2  Any bytes end in an answer: whole, or with a fault. Nothing asserts, everything is bounded (below).
 *   S3  Deltas come in the order of the stream. A part's deltas name it by `part`; a CALL_BEGIN comes before its ARGUMENTS, one
 *       CALL_END after them, or none where the answer was cut in it. The deltas of a part joined are its text in the
 *       turn (but empty arguments, which become "{}").
 *   S4  An answer with a fault has what came until then, for people. Its unfinished calls are dropped and counted; none of its
 *       calls may be carried out.
 *   S5  What is unknown (events, blocks, fields) is skipped. Words, calls and blocks of the wrong type are FAULT_BROKEN.
 *   S6  An answer is whole when its stop reason was seen, or [DONE] or message_stop; usage may come after that until the
 *       bytes end. What follows [DONE] or message_stop is not looked at.
 *
 * Bytes that are not UTF-8 become U+FFFD. A call without id gets one ("call_0", by its place). Arguments that are no JSON
 * object are kept as text and flagged (transcript.h R3), as is the last call of an answer cut by its length where its
 * arguments are empty.
 */
#ifndef CRANNOG_MODEL_STREAM_H
#define CRANNOG_MODEL_STREAM_H

#include "model/fault.h"
#include "model/provider.h"
#include "model/transcript.h"
#include "model/usage.h"

enum {
    STREAM_BYTES_MAX = 256 * 1024 * 1024, /* of a whole stream */
    STREAM_EVENT_MAX = 8 * 1024 * 1024,   /* of a line, an event, or a whole JSON answer */
    STREAM_ANSWER_MAX = 2 * 1024 * 1024,  /* of all parts together; so that turn_print() takes every answer */
    STREAM_ARGUMENTS_MAX = 1024 * 1024,   /* of one call */
    STREAM_PARTS_MAX = TRANSCRIPT_PARTS_MAX,
    STREAM_ERROR_MAX = 64 * 1024,         /* of an answer with an error status; more is not looked at */
};

enum stop_reason {
    STOP_NONE = 0, /* not said */
    STOP_END,      /* the turn is over, or a stop text was met */
    STOP_CALLS,    /* it waits for results */
    STOP_LENGTH,   /* cut by the limit of output or by the context */
    STOP_PAUSE,    /* send the turn back to let it go on */
    STOP_REFUSED,  /* by the model or a filter */
};

enum delta_kind {
    DELTA_TEXT = 1, DELTA_REASONING, DELTA_CALL_BEGIN, DELTA_CALL_ARGUMENTS, DELTA_CALL_END, DELTA_USAGE, DELTA_STOP,
    DELTA_FAULT
};

struct stream_delta {
    enum delta_kind kind;
    size_t part;           /* TEXT, REASONING, CALL_*: which part, counted from 0 in the order they began */
    struct slice text;     /* TEXT, REASONING, CALL_ARGUMENTS */
    struct slice id, name; /* CALL_BEGIN */
    enum stop_reason stop; /* STOP */
    const struct usage *usage; /* USAGE: all that is known so far */
    const struct fault *fault; /* FAULT: the last delta */
};

struct stream_setup {
    enum model_format format;
    uint32_t quirks;        /* of which QUIRK_THINK_TAGS matters here */
    struct slice provider;  /* whose name stands on its reasoning; copied */
    int status;             /* of the HTTP answer; 0: taken for 200 */
    int64_t retry_after_ms; /* from its Retry-After; -1: none */
    /* Called from stream_feed() and stream_finish(); may be NULL. Slices are borrowed for the call. */
    void (*take)(void *ctx, const struct stream_delta *d);
    void *ctx;
};

struct stream_answer {
    struct transcript_turn turn; /* an assistant's; may be empty */
    enum stop_reason stop;
    struct usage usage;
    struct fault fault;    /* kind FAULT_NONE: the answer is whole */
    struct slice id, model; /* as the server names them, or empty */
    size_t dropped;        /* calls without an end (S4) */
};

struct stream; /* one answer; about what it has received so far plus one event in memory */

struct stream *stream_new(const struct stream_setup *setup); /* NULL without memory */
void stream_free(struct stream *s);
/* False when no more bytes are wanted: the answer is over or has a fault. Feeding on does nothing. */
bool stream_feed(struct stream *s, struct slice bytes);
/* The bytes have ended. `why` is NULL, or why the connection broke, for the text of a fault. Slices of *ret live in the arena.
   Only ERR_MEMORY. Call once. */
enum err MUST_USE stream_finish(struct stream *s, const char *why, struct arena *a, struct stream_answer *ret, struct error *e);
const char *stop_name(enum stop_reason r); /* "end", "calls", …; never NULL */

#endif
