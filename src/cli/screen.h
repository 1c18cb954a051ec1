/*
 * The talking terminal: what is said and done goes into the terminal's own scrollback; below it lives a small area (what
 * is being written, what runs, what waits, the edit box, a status line) that is redrawn in place.
 *
 * It knows no engine, store or model: the caller tells what happens and asks what the person did. One thread; nothing
 * here blocks but screen_pick() and screen_ask(). The loop of a caller:
 *
 *     poll(screen_fd(s), …, screen_wait_ms(s));
 *     while (screen_next(s, &e)) …
 *
 * V1  Every byte from a model, a file, a tool or a person's paste passes one filter (cli/glyph.h): no control character,
 *     escape sequence, C1, bidi override or malformed UTF-8 reaches the terminal. The only escapes are our own.
 * V2  Where bytes are split changes nothing of what is shown in the end.
 * V3  Memory is bounded whatever is fed (limits below), and time is linear in it.
 * V4  The terminal is as it was before after screen_free() and screen_restore().
 * V5  No row of the live area is wider than the terminal, nor are there more rows than it has.
 *
 * Without a terminal, or with TERM=dumb: plain lines, no live area, no colours; each line read is a SCREEN_SUBMIT.
 *
 * Limits: what is typed 256 KiB, a paste 1 MiB, pastes of one message 4 MiB; an unfinished line of the model is shown
 * in parts of 16 KiB; 32 acts at once; 16 folded details of together 1 MiB.
 */
#ifndef CRANNOG_CLI_SCREEN_H
#define CRANNOG_CLI_SCREEN_H

#include "base/buf.h"
#include "cli/complete.h"

enum {
    SCREEN_COLUMNS_MIN = 8, /* narrower terminals wrap what is drawn for these */
    SCREEN_ACTS_MAX = 32,
    SCREEN_ATTACHMENTS_MAX = 16,
    SCREEN_QUEUE_MAX = 64,
};

struct screen;

/* What is not set is off. Strings are borrowed for the life of the screen. */
struct screen_options {
    const char *history;  /* path of the history file, or NULL */
    bool plain;           /* lines only, as with TERM=dumb or without a terminal, which are noticed without it */
    bool color;           /* screen_color_wanted() */
    bool utf8;            /* screen_utf8_wanted() */
    bool bell;            /* screen_bell() makes a sound and a notification */
    bool plain_pastes;    /* a path that is pasted stays text also where it is a picture's */
    size_t columns, rows; /* of the terminal where not 0; else it is asked */
    const struct complete_command *commands; /* for "/" at the start of a message */
    size_t ncommands;
    complete_files_fn *files; /* for "@", or NULL */
    void *files_arg;
};

bool screen_color_wanted(int out); /* a terminal, no NO_COLOR, not dumb */
bool screen_utf8_wanted(void);     /* by LC_ALL, LC_CTYPE, LANG */

/* Takes the terminal over. NULL without memory. `in` and `out` stay the caller's. */
struct screen *screen_new(int in, int out, const struct screen_options *o);
void screen_free(struct screen *s);
/* Puts the terminal back from a signal handler or before the process dies; no screen is needed. */
void screen_restore(void);
/* For the time of another program ($EDITOR, a shell, Ctrl-Z): gives the terminal away and takes it back. */
void screen_suspend(struct screen *s);
void screen_resume(struct screen *s);

int screen_fd(const struct screen *s);        /* readable: call screen_next() */
int screen_wait_ms(const struct screen *s);   /* call screen_next() at the latest then: a clock, a timeout, output that waits; -1: never */
void screen_resize(struct screen *s);         /* after SIGWINCH; not from the handler */
size_t screen_columns(const struct screen *s);

/* ---- what the person did ---- */

enum screen_event_kind {
    SCREEN_SUBMIT = 1, /* Enter: text, attachments */
    SCREEN_QUEUE,      /* Alt-Enter: the same, for after what runs now */
    SCREEN_STOP,       /* Esc or Ctrl-C while busy */
    SCREEN_UNDO,       /* Esc Esc (while busy the first was a STOP) */
    SCREEN_TAKE_BACK,  /* Alt-Up: answer with screen_edit() of the last queued message */
    SCREEN_EDITOR,     /* Ctrl-G, Ctrl-X Ctrl-E: text is the draft; suspend, run $EDITOR, resume, screen_edit() */
    SCREEN_PICK_MODEL, /* Ctrl-L */
    SCREEN_SUSPEND,    /* Ctrl-Z: suspend, raise(SIGSTOP), resume */
    SCREEN_EXIT,       /* Ctrl-D on an empty line, Ctrl-C twice on an empty line, the terminal is gone */
};

struct screen_event {
    enum screen_event_kind kind;
    struct slice text;               /* valid until the next call; pastes are in it. `!command` and `/command` are left in */
    size_t nattachments;
    struct slice attachments[SCREEN_ATTACHMENTS_MAX]; /* paths of pictures and PDFs that were pasted or dragged: "[picture #1]" in text */
};

/* Reads what is there, draws what is due, gives the next event; false where there is none. Never blocks. */
bool screen_next(struct screen *s, struct screen_event *ret);
/* Puts a text into the edit box, in place of what is there; what is there goes behind it where `keep`. */
void screen_edit(struct screen *s, struct slice text, bool keep);

/* ---- what happened: goes into the scrollback ---- */

void screen_text(struct screen *s, struct slice delta);      /* markdown of the model, as it comes */
void screen_text_end(struct screen *s);                      /* also implied by everything below */
void screen_reasoning(struct screen *s, struct slice delta); /* one live line; folded when something else comes */
void screen_said(struct screen *s, struct slice text);       /* a message of the person, with a bar */
void screen_note(struct screen *s, struct slice text);       /* plain dim lines */
void screen_error(struct screen *s, struct slice text);
void screen_markdown(struct screen *s, struct slice text);   /* a whole text: help, a summary */

enum screen_act { SCREEN_OK, SCREEN_FAILED, SCREEN_STOPPED };
/* An act begins: "bash", "make test". Ids are the caller's, not 0; past SCREEN_ACTS_MAX an act is shown only at its end. */
void screen_act_begin(struct screen *s, uint64_t id, struct slice tool, struct slice title);
void screen_act_note(struct screen *s, uint64_t id, struct slice last_line); /* what it printed last; shown live only */
/* `summary`: "+12 -3 · 0.4 s · $0.002"; `detail`: its output: the first lines are shown, the rest by Ctrl-O. Lines of a
   diff are coloured. An id that is not known is a note. */
void screen_act_end(struct screen *s, uint64_t id, enum screen_act how, struct slice summary, struct slice detail);

/* ---- the live area ---- */

struct screen_status {
    bool busy;              /* Esc stops, Enter steers */
    bool waiting;           /* for the person: the state word is drawn so */
    struct slice state;     /* "thinking", "running bash", "waiting for you", "" */
    int64_t since_ms;       /* CLOCK_REALTIME (sys->now_ms) when that began; 0: no clock */
    struct slice model;
    int64_t used_nusd;      /* nano-dollars; -1 not known */
    int64_t cap_nusd;       /* -1 none */
    int64_t tokens;
    int64_t context_used, context_window; /* tokens; window 0: not known */
    struct slice hint;      /* "Enter steers · Alt-Enter queues · Esc stops"; empty: by `busy` */
};
void screen_status(struct screen *s, const struct screen_status *st); /* copied */
void screen_queue(struct screen *s, const struct slice *texts, size_t n); /* messages that wait; copied */
/* BEL and OSC 9 with a text of our own: "crannog waits for you". */
void screen_bell(struct screen *s, const char *text);

/* ---- questions ---- */

struct pick_item; /* cli/pick.h */
/* A list to choose from by typing, arrows and Enter, in place of the live area. Blocks. *ret is -1 after Esc. */
void screen_pick(struct screen *s, struct slice title, const struct pick_item *items, size_t n, long *ret);
/* The same for a question of some words: choices are also taken by their first letter or number. */
void screen_ask(struct screen *s, struct slice question, const struct slice *choices, size_t n, long *ret);

#endif
