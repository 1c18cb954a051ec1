/*
 * The engine's side of crannog-door: start it, give it what it holds, ask small things and wait.
 *
 * Model calls are not here: engine/act_think.c sends DOOR_ASK frames on the peer's socket itself and reads what arrives.
 */
#ifndef CRANNOG_DOOR_CLIENT_H
#define CRANNOG_DOOR_CLIENT_H

#include "base/arena.h"
#include "wire/peer.h"

/* A variable of the person's environment that holds a key, and whose it is. */
struct door_variable {
    const char *name;     /* "ANTHROPIC_API_KEY"; also the name of the secret */
    const char *provider; /* model/provider.h */
};
const struct door_variable *door_variable_at(size_t i); /* NULL past the end */

/*
 * Takes the known keys out of this process's environment: they are kept in locked memory for the door and wiped from environ.
 * Called once, first thing in main(). door_has_variable() says afterwards whether one was there.
 */
void door_take_environment(void);
bool door_has_variable(const char *name);

/*
 * Starts the program and gives it the environment's keys and, where there is one, the vault <state>/vault with its key
 * <state>/vault.key (opened here by descriptor, never read here; `make_vault` makes both, mode 0600). `state` is a crannog's
 * .crannog, or NULL: no vault. The names that the door knows then are appended to ret_names (an arena's), if not NULL. Our end of
 * the socket is nonblocking afterwards. After an error nothing is left running.
 */
enum err MUST_USE door_start(const char *program_path, const char *state, bool make_vault, struct arena *a, struct peer *ret,
                             struct slice **ret_names, size_t *ret_n, struct error *e);
/* The two that `crannog login` needs; they wait for the answer. `value` is sent and not kept. `base` empty: the provider's. */
enum err MUST_USE door_store(struct peer *p, struct slice name, struct slice value, struct slice base, struct error *e);
enum err MUST_USE door_forget(struct peer *p, struct slice name, struct error *e);

struct door_look {
    struct slice provider, base, secret; /* in */
    struct slice *models;                /* out, in the arena */
    size_t n;
    bool answered; /* the server is there and said which models it has */
    char why[240]; /* else */
    enum err code; /* else: ERR_DENIED where the server refuses the key, or wants one */
};
/* Asks several servers at once which models they have; waits at most timeout_ms in all. */
enum err MUST_USE door_look_at(struct peer *p, struct door_look *v, size_t n, int timeout_ms, struct arena *a, struct error *e);

#endif
