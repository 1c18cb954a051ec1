/*
 * A vault's file: any bytes are a vault or an error with words. The first byte says how the rest is meant: as the file itself,
 * which no fuzzer gets past the seal, or as a payload that is sealed before. What opens can be changed and opens again.
 */
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/sys.h"
#include "door/vault_format.h"
#include "fuzz.h"

static int file_of(struct slice s)
{
    int fd = memfd_create("vault", MFD_CLOEXEC);
    ASSERT(fd >= 0 && write(fd, s.p, s.n) == (ssize_t)s.n);
    return fd;
}

static enum err open_it(int fd, struct vault **ret, struct error *e)
{
    static const char key[VAULT_KEY] = "a key of thirty-two bytes, known";
    int key_fd = file_of((struct slice){key, sizeof key});
    enum err err = vault_open(fd, key_fd, ret, e);
    if (err)
        close(key_fd);
    return err;
}

static void seal_it(struct slice payload, struct buf *ret)
{
    static const char key_bytes[VAULT_KEY] = "a key of thirty-two bytes, known";
    SECRET_CLEANUP struct secret key = {0}, plain = {0};
    if (payload.n < 4)
        payload = SLICE("\0\0\0\0");
    ASSERT(!secret_alloc(VAULT_KEY, &key, NULL) && !secret_alloc(payload.n, &plain, NULL));
    memcpy(key.p, key_bytes, VAULT_KEY);
    memcpy(plain.p, payload.p, payload.n);
    ASSERT(!vault_seal(&key, 7, &plain, ret, NULL));
}

static void check(struct vault *v)
{
    struct vault_entry entry;
    size_t n = vault_count(v);
    ASSERT(n <= VAULT_ENTRIES_MAX);
    for (size_t i = 0; i < n; i++)
        ASSERT(vault_at(v, i, &entry) && !vault_entry_check(&entry, NULL));
    ASSERT(!vault_at(v, n, &entry));
    enum err err = vault_put(v, SLICE("ADDED"), SLICE("x"), SLICE_NONE, NULL);
    ASSERT(!err || (err == ERR_LIMIT && n == VAULT_ENTRIES_MAX));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BUF_CLEANUP struct buf bytes = BUF_INIT(VAULT_SLOT);
    struct vault *v;
    struct error e;
    ASSERT(sodium_init() >= 0);
    if (size && (data[0] & 1))
        seal_it(fuzz_slice(data + 1, size - 1), &bytes);
    else if (size)
        buf_add(&bytes, fuzz_slice(data + 1, size - 1));
    int fd = file_of(buf_slice(&bytes)), again = dup(fd);
    enum err err = open_it(fd, &v, &e);
    ASSERT(!err || ((err == ERR_CORRUPT || err == ERR_VERSION) && e.text[0]));
    if (err) {
        close(fd);
        close(again);
        return 0;
    }
    check(v);
    vault_close(v);
    ASSERT(!open_it(again, &v, NULL));
    vault_close(v);
    return 0;
}
