/*
 * Keys out of the bytes of a terminal: characters, control keys, the sequences of xterm, of the CSI-u protocols, and
 * bracketed pastes. Unknown sequences are swallowed. An Esc with nothing behind it for 50 ms is the key.
 */
#ifndef CRANNOG_CLI_KEYS_H
#define CRANNOG_CLI_KEYS_H

#include "base/buf.h"

enum { KEYS_PASTE_MAX = 1 << 20, KEYS_ESC_MS = 50, KEYS_PASTE_MS = 2000, KEYS_PENDING_MAX = 8192 };

enum key_kind {
    KEY_CHAR = 1, /* code, not a control character; with KEY_CTRL lower case */
    KEY_ENTER, KEY_TAB, KEY_BACKSPACE, KEY_DELETE, KEY_ESC,
    KEY_UP, KEY_DOWN, KEY_LEFT, KEY_RIGHT, KEY_HOME, KEY_END, KEY_PAGE_UP, KEY_PAGE_DOWN,
    KEY_PASTE,
};
enum { KEY_SHIFT = 1, KEY_ALT = 2, KEY_CTRL = 4 };

struct key {
    enum key_kind kind;
    unsigned mods;
    uint32_t code;
    struct slice paste; /* valid until the next call; at most KEYS_PASTE_MAX */
    bool cut;           /* the paste was longer */
};

struct keys {
    struct buf in;    /* not yet understood */
    struct buf paste;
    bool pasting, cut;
    bool skipping;    /* in a string that a terminal sends (OSC, DCS), until it ends */
    int64_t last_ms;  /* when bytes came last */
};

void keys_init(struct keys *k);
void keys_release(struct keys *k);
/* How many bytes keys_feed() takes now. */
size_t keys_room(const struct keys *k);
void keys_feed(struct keys *k, struct slice bytes, int64_t now_ms);
bool keys_next(struct keys *k, int64_t now_ms, struct key *ret);
/* When to call keys_next() though nothing came; -1: need not. */
int keys_wait_ms(const struct keys *k, int64_t now_ms);

#endif
