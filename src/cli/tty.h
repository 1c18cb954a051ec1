/*
 * The terminal as a device: raw mode and its end, size, what it can show, bytes out without ever waiting for long.
 */
#ifndef CRANNOG_CLI_TTY_H
#define CRANNOG_CLI_TTY_H

#include <termios.h>

#include "cli/glyph.h"

enum { TTY_PENDING_MAX = 8 << 20, TTY_PENDING_WAIT = 1 << 20, TTY_STUCK_MS = 3000 };

struct tty {
    int in, out;
    bool own;              /* `out` is a descriptor of ours: not blocking, which nobody else notices */
    bool raw;
    bool keyboard;         /* asks for the keys that only the newer protocols tell apart */
    bool gone;
    bool stuck;            /* has taken nothing for TTY_STUCK_MS, and nothing since */
    struct termios before;
    struct buf pending;    /* to be written */
    size_t sent;           /* of it */
};

bool tty_is(int in, int out);           /* both terminals, and not dumb */
bool tty_color(int out);                /* no NO_COLOR, a terminal that is not dumb */
bool tty_utf8(void);                    /* by LC_ALL, LC_CTYPE, LANG */
/* Columns and rows, each at least 1; 80 and 24 where they are not known. */
void tty_size(int out, size_t *ret_columns, size_t *ret_rows);

void tty_init(struct tty *t, int in, int out);
void tty_release(struct tty *t);        /* writes what waits, within a second */
void tty_raw(struct tty *t);            /* also bracketed paste; remembered for tty_restore(). Nothing where it is so already */
void tty_cooked(struct tty *t);
void tty_restore(void);                 /* async-signal-safe */
/* Writes what the terminal takes now. Past TTY_PENDING_WAIT it waits for it, TTY_STUCK_MS at most; false while it is stuck:
   then nothing more should be added. */
bool tty_flush(struct tty *t);
void tty_drain(struct tty *t, int timeout_ms);
/* Appends what there is to read now, at most `max` bytes; false at the end of input. */
bool tty_read(struct tty *t, char *p, size_t max, size_t *ret_n);

#endif
