/* Asking a person for a key: at a terminal without echo, else from standard input. Keys lie in memory that is not swapped,
   not dumped, and wiped. */
#ifndef CRANNOG_CLI_ASK_KEY_H
#define CRANNOG_CLI_ASK_KEY_H

#include "base/slice.h"

enum { ASK_KEY_MAX = 16384 };

struct ask_key {
    char *p; /* a mapping of its own */
    size_t n;
};

/*
 * One line of visible ASCII, without blanks at its ends; empty if none was given. Prompts on standard error. What was given and
 * cannot be a key is ERR_USAGE, its text without a byte of it. A signal that ends the program gives the terminal its echo back
 * first.
 */
enum err MUST_USE ask_key(const char *prompt, struct ask_key *ret, struct error *e);
void ask_key_release(struct ask_key *k); /* wipes */
#define ASK_KEY_CLEANUP __attribute__((cleanup(ask_key_release)))

/* Whether a word of the command line looks like a key, which everybody on this machine could have read there. */
bool ask_key_looks_like_one(struct slice word);

#endif
