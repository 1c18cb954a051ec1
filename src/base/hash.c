#include "base/hash.h"

#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

struct hash hash_of(struct slice s)
{
    struct hash h;
    SHA256((const unsigned char *)(s.p ? s.p : ""), s.n, h.b);
    return h;
}

struct hash hash_of2(struct slice a, struct slice b)
{
    struct hasher *h = hasher_new();
    hasher_add(h, a);
    hasher_add(h, b);
    return hasher_end(h);
}

struct hasher *hasher_new(void)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    ASSERT(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL));
    return (struct hasher *)ctx;
}

void hasher_add(struct hasher *h, struct slice s)
{
    if (s.n)
        ASSERT(EVP_DigestUpdate((EVP_MD_CTX *)h, s.p, s.n));
}

struct hash hasher_end(struct hasher *h)
{
    struct hash out;
    ASSERT(EVP_DigestFinal_ex((EVP_MD_CTX *)h, out.b, NULL));
    EVP_MD_CTX_free((EVP_MD_CTX *)h);
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
