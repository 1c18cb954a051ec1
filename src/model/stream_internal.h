/* A stream from inside: what its bytes have become so far, for the readers of the two formats. */
#ifndef CRANNOG_MODEL_STREAM_INTERNAL_H
#define CRANNOG_MODEL_STREAM_INTERNAL_H

#include "model/stream.h"

enum stream_mode { MODE_START = 0, MODE_EVENTS, MODE_WHOLE /* one JSON text, or an error's body */ };

/* A part of the turn while it grows. */
struct growing {
    enum part_kind kind; /* 0: a block of a kind that is not known here, whose deltas are skipped */
    int64_t index;       /* as the API counts; -1: it did not say */
    struct buf text, id, name, opaque;
    struct buf input;    /* a call's arguments that came whole at its beginning, for where no others come */
    enum reasoning_form form;
    bool begun, ended;   /* its CALL_BEGIN and CALL_END were said */
};

struct stream {
    struct stream_setup setup;
    struct buf provider;
    enum stream_mode mode;
    size_t bytes;        /* received so far */
    unsigned mark;       /* bytes of the byte order mark seen */
    struct buf line, data, strange;
    bool after_cr, has_data;
    struct growing *parts;
    size_t n, cap, kept; /* kept: bytes in all parts */
    enum stop_reason stop;
    bool refused;        /* by the field, not by the stop reason */
    bool over;           /* nothing more is wanted */
    enum { THINK_START = 0, THINK_INSIDE, THINK_BEHIND, THINK_OVER } think; /* where in <think>…</think> the text is */
    struct buf held;     /* text that may yet turn out to be a tag */
    bool any;            /* an event of this format was seen */
    struct usage usage;
    struct fault fault;
    struct buf id, model;
};

/* Ends the stream with a fault; the first one stays. */
void stream_fail(struct stream *s, enum fault_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Parts. NULL where the stream has failed on it. */
struct growing *part_add(struct stream *s, enum part_kind kind, int64_t index);
struct growing *part_last(struct stream *s, enum part_kind kind); /* the last part, if it is of this kind */
void part_say(struct stream *s, struct growing *p, struct slice text); /* appends and tells; empty: nothing */
void part_keep(struct stream *s, struct buf *to, struct slice bytes);  /* appends without telling */
void call_begin(struct stream *s, struct growing *p); /* once it has a name; tells what it had before, too */
void call_end(struct stream *s, struct growing *p);
void stream_stop(struct stream *s, enum stop_reason stop); /* the turn is whole: ends all calls */
void stream_usage(struct stream *s, const struct usage *before); /* tells it where it changed */
void stream_name(struct stream *s, const struct json *id, const struct json *model);
struct stop_word {
    const char *word;
    enum stop_reason stop;
};
/* STOP_END for a word that is not known, STOP_NONE for none. */
enum stop_reason stop_of(const struct stop_word *words, size_t n, const struct json *v);

/* Text of Chat Completions: to the part that it belongs to. */
void add_text(struct stream *s, struct slice text);
void add_reasoning(struct stream *s, struct slice text);
/* The same for text that may have tags (QUIRK_THINK_TAGS); think_flush() says what was held back. */
void think_text(struct stream *s, struct slice text);
void think_flush(struct stream *s);

/* One event, or a whole answer. */
void read_openai(struct stream *s, const struct json *v);
void read_anthropic(struct stream *s, const struct json *v);

#endif
