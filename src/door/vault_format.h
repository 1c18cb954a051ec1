/*
 * The bytes of a vault (vault.h has the format): one record sealed and opened, its payload read and written. Pure but for
 * the nonce. Only vault.c and its fuzz target are the callers.
 */
#ifndef CRANNOG_DOOR_VAULT_FORMAT_H
#define CRANNOG_DOOR_VAULT_FORMAT_H

#include "base/buf.h"
#include "door/vault.h"

enum {
    VAULT_HEADER = 64,
    VAULT_KEY = 32,
    VAULT_TAG = 16,
    VAULT_PAYLOAD_MAX = 4 + VAULT_ENTRIES_MAX * (8 + VAULT_NAME_MAX + VAULT_BASE_MAX + VAULT_VALUE_MAX),
    VAULT_SLOT = 8 * 1024 * 1024, /* where the second slot begins */
};

/* Bytes in memory that is locked, not dumped and wiped by secret_release. */
struct secret {
    uint8_t *p;
    size_t n;
};
/* ERR_MEMORY; sodium_init() comes before. */
enum err MUST_USE secret_alloc(size_t n, struct secret *ret, struct error *e);
void secret_release(struct secret *s);
#define SECRET_CLEANUP __attribute__((cleanup(secret_release)))

struct vault_header {
    uint32_t version, bytes; /* bytes: of what follows the header */
    uint64_t generation;
};
/* Whether 64 bytes begin as a record does; its fields are not yet to be trusted, but for `bytes`, which is in bounds if the
   version is ours. */
bool vault_header_read(const uint8_t header[static VAULT_HEADER], struct vault_header *ret);
/* Whether the record was sealed with this key, by the name of the key in it. */
bool vault_header_key(const uint8_t header[static VAULT_HEADER], const struct secret *key);

/* Appends a record. */
enum err MUST_USE vault_seal(const struct secret *key, uint64_t generation, const struct secret *payload, struct buf *ret,
                             struct error *e);
/* Opens a whole record (header and `bytes` behind it). ERR_CORRUPT without a text where it was not sealed with the key. */
enum err MUST_USE vault_unseal(const struct secret *key, struct slice record, struct secret *ret, struct error *e);

/* The entries of a payload, as slices of it. False for any bytes that vault_payload_write would not have written. */
bool vault_payload_read(const struct secret *payload, struct vault_entry ret[static VAULT_ENTRIES_MAX], size_t *ret_n);
enum err MUST_USE vault_payload_write(const struct vault_entry *v, size_t n, struct secret *ret, struct error *e);
/* ERR_USAGE or ERR_LIMIT in words for what cannot be an entry. */
enum err MUST_USE vault_entry_check(const struct vault_entry *v, struct error *e);

#endif
