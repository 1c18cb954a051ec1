#include "base/hash.h"

#include <string.h>

/* The old functions on purpose: they are the bare algorithm, for all processors that libcrypto knows. The new ones
   (EVP) bring providers, a configuration file and 4 MB into crannog-jail, which is linked statically. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "base/sys.h"

struct hasher {
    SHA256_CTX c;
};

static void add(SHA256_CTX *c, struct slice s)
{
    if (s.n)
        SHA256_Update(c, s.p, s.n);
}

static struct hash end(SHA256_CTX *c)
{
    struct hash h;
    SHA256_Final(h.b, c);
    return h;
}

struct hash hash_of2(struct slice a, struct slice b)
{
    SHA256_CTX c;
    SHA256_Init(&c);
    add(&c, a);
    add(&c, b);
    return end(&c);
}

struct hash hash_of(struct slice s)
{
    return hash_of2(s, SLICE_NONE);
}

struct hasher *hasher_new(void)
{
    struct hasher *h = sys_real.realloc(NULL, sizeof *h);
    ASSERT(h);
    SHA256_Init(&h->c);
    return h;
}

void hasher_add(struct hasher *h, struct slice s)
{
    add(&h->c, s);
}

struct hash hasher_end(struct hasher *h)
{
    struct hash out = end(&h->c);
    sys_real.free(h);
    return out;
}

bool hash_eq(const struct hash *a, const struct hash *b)
{
    return memcmp(a->b, b->b, HASH_BYTES) == 0;
}

bool hash_is_zero(const struct hash *h)
{
    return hash_eq(h, &(struct hash){{0}});
}

void hash_hex(const struct hash *h, char ret[HASH_HEX + 1])
{
    for (int i = 0; i < HASH_BYTES; i++) {
        ret[2 * i] = "0123456789abcdef"[h->b[i] >> 4];
        ret[2 * i + 1] = "0123456789abcdef"[h->b[i] & 15];
    }
    ret[HASH_HEX] = '\0';
}

static int nibble(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hash_from_hex(struct slice hex, struct hash *ret)
{
    if (hex.n != HASH_HEX)
        return false;
    struct hash h;
    for (int i = 0; i < HASH_BYTES; i++) {
        int hi = nibble(hex.p[2 * i]), lo = nibble(hex.p[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        h.b[i] = (uint8_t)(hi << 4 | lo);
    }
    *ret = h;
    return true;
}
