#include "door/vault_format.h"

#include <sodium.h>
#include <string.h>

#include "base/sys.h"

enum { VERSION = 1, AT_VERSION = 8, AT_BYTES = 12, AT_GENERATION = 16, AT_KEY = 24, KEY_NAME = 8, AT_NONCE = 32, NONCE = 24 };
static const char magic[AT_VERSION] = {'c', 'r', 'n', 'v', 'a', 'u', 'l', 't'};

_Static_assert(VAULT_HEADER + VAULT_PAYLOAD_MAX + VAULT_TAG <= VAULT_SLOT, "a slot holds the largest record");
_Static_assert(crypto_aead_xchacha20poly1305_ietf_KEYBYTES == VAULT_KEY, "the key file is one key");
_Static_assert(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES == NONCE, "the header has room for the nonce");
_Static_assert(crypto_aead_xchacha20poly1305_ietf_ABYTES == VAULT_TAG, "the tag");

enum err secret_alloc(size_t n, struct secret *ret, struct error *e)
{
    uint8_t *p = sodium_malloc(n);
    if (!p)
        return error_set(e, ERR_MEMORY, "no memory for secrets (%zu bytes)", n);
    *ret = (struct secret){p, n};
    return OK;
}

void secret_release(struct secret *s)
{
    sodium_free(s->p);
    *s = (struct secret){0};
}

/* ---- numbers ---- */

static void put_le(uint8_t *p, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_le(const uint8_t *p, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

/* ---- records ---- */

/* A hash names the key and gives none of it away. */
static void key_name(const struct secret *key, uint8_t ret[static KEY_NAME])
{
    static const char what[] = "crannog vault key";
    uint8_t hash[crypto_generichash_BYTES];
    crypto_generichash(hash, sizeof hash, (const uint8_t *)what, sizeof what - 1, key->p, key->n);
    memcpy(ret, hash, KEY_NAME);
}

bool vault_header_read(const uint8_t header[static VAULT_HEADER], struct vault_header *ret)
{
    ret->version = (uint32_t)get_le(header + AT_VERSION, 4);
    ret->bytes = (uint32_t)get_le(header + AT_BYTES, 4);
    ret->generation = get_le(header + AT_GENERATION, 8);
    if (memcmp(header, magic, sizeof magic) != 0 || ret->version < VERSION)
        return false;
    return ret->version > VERSION || (ret->bytes >= VAULT_TAG + 4 && ret->bytes <= VAULT_TAG + VAULT_PAYLOAD_MAX);
}

bool vault_header_key(const uint8_t header[static VAULT_HEADER], const struct secret *key)
{
    uint8_t name[KEY_NAME];
    key_name(key, name);
    return memcmp(header + AT_KEY, name, KEY_NAME) == 0;
}

enum err vault_seal(const struct secret *key, uint64_t generation, const struct secret *payload, struct buf *ret, struct error *e)
{
    uint8_t *p = (uint8_t *)buf_extend(ret, VAULT_HEADER + payload->n + VAULT_TAG);
    if (!p)
        return buf_check(ret, "the vault", e);
    memset(p, 0, VAULT_HEADER);
    memcpy(p, magic, sizeof magic);
    put_le(p + AT_VERSION, VERSION, 4);
    put_le(p + AT_BYTES, payload->n + VAULT_TAG, 4);
    put_le(p + AT_GENERATION, generation, 8);
    key_name(key, p + AT_KEY);
    if (sys->random(p + AT_NONCE, NONCE) < 0)
        return error_set(e, ERR_IO, "the system has no random bytes to seal the vault with");
    crypto_aead_xchacha20poly1305_ietf_encrypt(p + VAULT_HEADER, NULL, payload->p, payload->n, p, VAULT_HEADER, NULL,
                                               p + AT_NONCE, key->p);
    return OK;
}

enum err vault_unseal(const struct secret *key, struct slice record, struct secret *ret, struct error *e)
{
    SECRET_CLEANUP struct secret plain = {0};
    const uint8_t *p = (const uint8_t *)record.p;
    if (record.n < VAULT_HEADER + VAULT_TAG)
        return ERR_CORRUPT;
    enum err err = secret_alloc(record.n - VAULT_HEADER - VAULT_TAG, &plain, e);
    if (err)
        return err;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain.p, NULL, NULL, p + VAULT_HEADER, record.n - VAULT_HEADER, p,
                                                   VAULT_HEADER, p + AT_NONCE, key->p) != 0)
        return ERR_CORRUPT;
    *ret = plain;
    plain = (struct secret){0};
    return OK;
}

/* ---- payloads ---- */

static bool is_visible(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return true;
}

enum err vault_entry_check(const struct vault_entry *v, struct error *e)
{
    if (v->name.n == 0 || v->name.n > VAULT_NAME_MAX || !is_visible(v->name))
        return error_set(e, ERR_USAGE, "the name of a secret is 1 to %d letters, digits and signs, without blanks", VAULT_NAME_MAX);
    if (v->base.n > VAULT_BASE_MAX || !is_visible(v->base))
        return error_set(e, ERR_USAGE, "the address of a secret's server has at most %d letters, digits and signs, without blanks",
                         VAULT_BASE_MAX);
    if (v->value.n == 0)
        return error_set(e, ERR_USAGE, "a secret is not empty");
    return v->value.n <= VAULT_VALUE_MAX ? OK : error_set(e, ERR_LIMIT, "a secret has at most %d bytes", VAULT_VALUE_MAX);
}

/* The next n bytes; false where there are not so many. */
static bool take(struct slice *rest, size_t n, struct slice *ret)
{
    if (n > rest->n)
        return false;
    *ret = slice_sub(*rest, 0, n);
    *rest = slice_sub(*rest, n, rest->n);
    return true;
}

static bool read_entry(struct slice *rest, struct vault_entry *ret)
{
    struct slice sizes;
    if (!take(rest, 8, &sizes))
        return false;
    const uint8_t *p = (const uint8_t *)sizes.p;
    return take(rest, get_le(p, 2), &ret->name) && take(rest, get_le(p + 2, 2), &ret->base) &&
           take(rest, get_le(p + 4, 4), &ret->value) && vault_entry_check(ret, NULL) == OK;
}

static bool is_new(const struct vault_entry *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (slice_eq(v[i].name, v[n].name))
            return false;
    return true;
}

bool vault_payload_read(const struct secret *payload, struct vault_entry ret[static VAULT_ENTRIES_MAX], size_t *ret_n)
{
    struct slice rest = {(const char *)payload->p, payload->n}, count;
    if (!take(&rest, 4, &count))
        return false;
    size_t n = get_le((const uint8_t *)count.p, 4);
    if (n > VAULT_ENTRIES_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!read_entry(&rest, &ret[i]) || !is_new(ret, i))
            return false;
    *ret_n = n;
    return rest.n == 0;
}

static uint8_t *write_bytes(uint8_t *p, struct slice s)
{
    if (s.n)
        memcpy(p, s.p, s.n);
    return p + s.n;
}

enum err vault_payload_write(const struct vault_entry *v, size_t n, struct secret *ret, struct error *e)
{
    size_t bytes = 4;
    for (size_t i = 0; i < n; i++)
        bytes += 8 + v[i].name.n + v[i].base.n + v[i].value.n;
    enum err err = secret_alloc(bytes, ret, e);
    if (err)
        return err;
    uint8_t *p = ret->p;
    put_le(p, n, 4);
    p += 4;
    for (size_t i = 0; i < n; i++) {
        put_le(p, v[i].name.n, 2);
        put_le(p + 2, v[i].base.n, 2);
        put_le(p + 4, v[i].value.n, 4);
        p = write_bytes(write_bytes(write_bytes(p + 8, v[i].name), v[i].base), v[i].value);
    }
    return OK;
}
