/*
 * Credentials: the secrets that this process knows, each bound to one origin (protocol.h, D1), in locked memory.
 *
 * A call holds what it uses (credential_hold), so that one may be replaced or forgotten meanwhile. Those of the
 * environment go before those of the vault. Nothing here appears in a text of an error.
 */
#ifndef CRANNOG_DOOR_CREDENTIAL_H
#define CRANNOG_DOOR_CREDENTIAL_H

#include "door/where.h"

enum { CREDENTIALS_MAX = 512, CREDENTIAL_NAME_MAX = 128, CREDENTIAL_VALUE_MAX = 16384 };

struct credential {
    struct credential *next;
    unsigned held;
    bool from_vault;
    struct origin origin;
    char name[CREDENTIAL_NAME_MAX + 1];
    char *value; /* read-only, NUL-terminated, wiped and freed with the last holder */
    size_t n;
};

struct credentials {
    struct credential *first;
    size_t n;
};

/* Adds one, or replaces that of the same name and place. ERR_USAGE for a value that no header can carry (anything but visible
   ASCII), a name or a base that is none; ERR_LIMIT; ERR_MEMORY. */
enum err MUST_USE credential_put(struct credentials *all, struct slice name, struct slice value, struct slice base, bool from_vault,
                                 struct error *e);
void credential_remove(struct credentials *all, struct slice name, bool from_vault);
struct credential *credential_find(const struct credentials *all, struct slice name); /* NULL if there is none */
struct credential *credential_hold(struct credential *c);
void credential_drop(struct credential *c); /* NULL is fine */
void credentials_release(struct credentials *all);

#endif
