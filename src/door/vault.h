/*
 * The vault: a crannog's secrets, sealed at rest in one small file, with its key in another beside it (both mode 0600).
 *
 * The key keeps the vault unreadable where only one of the two files is seen: in a backup, a synchronised folder, a disk
 * image of the vault's alone. Who can read both can read the secrets; agents can read neither (jail/plan.h).
 *
 * Only descriptors are used, so the door, which opens no files, can write what it was given.
 *
 * V1  What is put or removed is durable when the call returns. A crash or a torn write at any moment leaves the vault as it was
 *     before or as it is after, never less.
 * V2  Damage is an error: any changed bit of a vault at rest, or another key. Never an older vault, never a partial one.
 * V3  Secrets lie in memory that is locked, left out of core dumps and wiped; no error text holds one.
 * V4  Several processes may hold one vault: each change begins with what the file says by then, under a lock.
 * V5  Once a secret was removed, the vault's file does not hold it any more, also not sealed (its disk may, for a while).
 *
 * The file, little-endian. It has two slots, at 0 and at VAULT_SLOT; in each may stand a record:
 *     magic "crnvault", u32 version (1), u32 bytes that follow the header, u64 generation, 8 bytes that name the key,
 *     24 bytes nonce, 8 bytes zero; then XChaCha20-Poly1305 (IETF) of the payload, with these 64 bytes as associated data.
 * The payload: u32 entries; each u16, u16, u32 (bytes of name, base, value) and then those three.
 * The key file is 32 random bytes.
 *
 * A change writes the next generation to the second slot, which counts once it is durable; then the same to the first, and
 * cuts the file behind it. So a vault at rest is one record at 0. Of two good records the later generation counts. An empty
 * file is an empty vault; so is a first slot of zeros before a second slot that is no record: the very first write, torn.
 *
 * One thread at a time.
 */
#ifndef CRANNOG_DOOR_VAULT_H
#define CRANNOG_DOOR_VAULT_H

#include "base/slice.h"

enum { VAULT_ENTRIES_MAX = 256, VAULT_NAME_MAX = 128, VAULT_BASE_MAX = 1024, VAULT_VALUE_MAX = 16384 };

struct vault;

struct vault_entry {
    struct slice name;  /* "ANTHROPIC_API_KEY": visible ASCII */
    struct slice value; /* any bytes, not none */
    struct slice base;  /* the one server that it is for (protocol.h, D1); empty: its provider's own */
};

/*
 * `fd` is the vault, `key_fd` its key, both open for reading and writing; on success both are the vault's to close. A key
 * file without a key gets a fresh one, durable before use, where the vault holds nothing yet. ERR_CORRUPT and ERR_VERSION with
 * what to do; ERR_BUSY when another process has held its lock for seconds.
 */
enum err MUST_USE vault_open(int fd, int key_fd, struct vault **ret, struct error *e);
void vault_close(struct vault *v); /* wipes; NULL is fine */

size_t vault_count(const struct vault *v);
/* The i-th entry, in the order put; false past the end. It lives until the next put, remove or close. */
bool vault_at(const struct vault *v, size_t i, struct vault_entry *ret);

/* Adds an entry or replaces the one of that name. ERR_LIMIT, ERR_USAGE for what is no name, base or value. After an error
   the vault is as it was, or (where the disk failed while syncing) has the change all the same. */
enum err MUST_USE vault_put(struct vault *v, struct slice name, struct slice value, struct slice base, struct error *e);
/* ERR_MISSING if there is none of that name. */
enum err MUST_USE vault_remove(struct vault *v, struct slice name, struct error *e);

#endif
