/*
 * The vault: what is put is there again, after any torn write the old or the new is (V1), any changed bit and any other key is
 * an error with what to do (V2), two that hold one vault lose nothing of each other (V4), what was removed is gone (V5), and
 * each call of the system may fail.
 *
 * Planted and caught, one at a time: the first slot written and never the second (test_torn, test_sectors); no fsync (test_order);
 * the earlier of two generations taken, a torn first write called damage (test_torn); a change that was cut left as it is
 * (test_cut); no reload before a change (test_two); a key made over a vault that has lost its own (test_key).
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"
#include "door/vault_format.h"

/* ---- two files in memory, opened anew each time ---- */

static int vault_file = -1, key_file = -1;

static int again(int fd)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int opened = open(path, O_RDWR | O_CLOEXEC);
    assert_true(opened >= 0);
    return opened;
}

static int set_up(void **state)
{
    (void)state;
    vault_file = memfd_create("vault", MFD_CLOEXEC);
    key_file = memfd_create("vault.key", MFD_CLOEXEC);
    return vault_file < 0 || key_file < 0;
}

static int tear_down(void **state)
{
    (void)state;
    sys = &sys_real;
    sys_fail_nth(0, 0, 0);
    close(vault_file);
    close(key_file);
    return 0;
}

static enum err try_open(struct vault **ret, struct error *e)
{
    int fd = again(vault_file), key = again(key_file);
    enum err err = vault_open(fd, key, ret, e);
    if (err) {
        close(fd);
        close(key);
    }
    return err;
}

static struct vault *opened(void)
{
    struct vault *v = NULL;
    struct error e = {0};
    if (try_open(&v, &e))
        fail_msg("%s", e.text);
    return v;
}

static void put(struct vault *v, const char *name, const char *value)
{
    struct error e = {0};
    if (vault_put(v, slice_of(name), slice_of(value), SLICE("https://api.example"), &e))
        fail_msg("%s", e.text);
}

/* The value of a name; NULL if it is not there. */
static const char *value_of(struct vault *v, const char *name)
{
    static char text[VAULT_VALUE_MAX + 1];
    struct vault_entry entry;
    for (size_t i = 0; vault_at(v, i, &entry); i++)
        if (slice_is(entry.name, name)) {
            memcpy(text, entry.value.p, entry.value.n);
            text[entry.value.n] = '\0';
            return text;
        }
    return NULL;
}

static size_t size_of(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return (size_t)st.st_size;
}

static void bytes_of(int fd, struct buf *ret)
{
    char *p = buf_extend(ret, size_of(fd));
    assert_true(p || size_of(fd) == 0);
    assert_int_equal(pread(fd, p, ret->n, 0), (ssize_t)ret->n);
}

static void set_bytes(int fd, struct slice s)
{
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, s.p, s.n, 0), (ssize_t)s.n);
}

/* ---- */

static void test_keeps(void **state)
{
    (void)state;
    struct vault *v = opened();
    struct vault_entry entry;
    assert_int_equal(vault_count(v), 0);
    put(v, "A", "first");
    put(v, "B", "second");
    put(v, "A", "third");
    vault_close(v);
    v = opened();
    assert_int_equal(vault_count(v), 2);
    assert_true(vault_at(v, 0, &entry));
    assert_true(slice_is(entry.name, "A") && slice_is(entry.value, "third") && slice_is(entry.base, "https://api.example"));
    assert_string_equal(value_of(v, "B"), "second");
    assert_int_equal(vault_remove(v, SLICE("A"), NULL), OK);
    assert_int_equal(vault_remove(v, SLICE("A"), NULL), ERR_MISSING);
    vault_close(v);
    v = opened();
    assert_int_equal(vault_count(v), 1);
    assert_null(value_of(v, "A"));
    vault_close(v);
    assert_true(size_of(vault_file) < 256); /* at rest it is one record */
}

static void test_bounds(void **state)
{
    (void)state;
    static char large[VAULT_VALUE_MAX + 1];
    struct vault *v = opened();
    struct error e;
    memset(large, 'x', sizeof large);
    assert_int_equal(vault_put(v, SLICE("A"), (struct slice){large, VAULT_VALUE_MAX + 1}, SLICE_NONE, &e), ERR_LIMIT);
    assert_int_equal(vault_put(v, SLICE("A"), SLICE_NONE, SLICE_NONE, &e), ERR_USAGE);
    assert_int_equal(vault_put(v, SLICE("a b"), SLICE("x"), SLICE_NONE, &e), ERR_USAGE);
    assert_int_equal(vault_put(v, SLICE(""), SLICE("x"), SLICE_NONE, &e), ERR_USAGE);
    assert_int_equal(vault_put(v, (struct slice){large, VAULT_NAME_MAX + 1}, SLICE("x"), SLICE_NONE, &e), ERR_USAGE);
    assert_int_equal(vault_put(v, SLICE("A"), SLICE("x"), (struct slice){large, VAULT_BASE_MAX + 1}, &e), ERR_USAGE);
    for (int i = 0; i < VAULT_ENTRIES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "N%d", i);
        assert_int_equal(vault_put(v, slice_of(name), (struct slice){large, i < 250 ? 1 : VAULT_VALUE_MAX}, SLICE_NONE, NULL), OK);
    }
    assert_int_equal(vault_put(v, SLICE("ONE_MORE"), SLICE("x"), SLICE_NONE, &e), ERR_LIMIT);
    assert_int_equal(vault_put(v, SLICE("N7"), SLICE("new"), SLICE_NONE, &e), OK);
    vault_close(v);
    v = opened();
    assert_int_equal(vault_count(v), VAULT_ENTRIES_MAX);
    assert_string_equal(value_of(v, "N7"), "new");
    vault_close(v);
}

static void test_sealed(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf all = BUF_INIT(1 << 20), key = BUF_INIT(64);
    struct vault *v = opened();
    put(v, "OPENAI_API_KEY", "sk-no-one-may-read-this");
    vault_close(v);
    bytes_of(vault_file, &all);
    assert_int_equal(slice_find(buf_slice(&all), SLICE("sk-no-one"), 0), all.n);
    assert_int_equal(slice_find(buf_slice(&all), SLICE("OPENAI"), 0), all.n);
    bytes_of(key_file, &key);
    assert_int_equal(key.n, VAULT_KEY);
}

static void test_removed(void **state) /* V5, told by what the file's bytes were while it was there */
{
    (void)state;
    BUF_CLEANUP struct buf before = BUF_INIT(1 << 20), after = BUF_INIT(1 << 20);
    struct vault *v = opened();
    put(v, "A", "a secret that is longer than what comes after it");
    bytes_of(vault_file, &before);
    assert_int_equal(vault_remove(v, SLICE("A"), NULL), OK);
    vault_close(v);
    bytes_of(vault_file, &after);
    struct slice sealed = slice_sub(buf_slice(&before), VAULT_HEADER, 16);
    assert_int_equal(slice_find(buf_slice(&after), sealed, 0), after.n);
    assert_true(after.n < before.n);
}

/* ---- torn writes: the table of calls stops writing after so many bytes ---- */

static size_t bytes_left; /* that may still be written; a truncation costs one */
static bool stopped;

static ssize_t torn_pwrite(int fd, const void *p, size_t n, off_t at)
{
    size_t now = n < bytes_left ? n : bytes_left;
    bytes_left -= now;
    if (now && pwrite(fd, p, now, at) != (ssize_t)now)
        return -1;
    if (now == n)
        return (ssize_t)n;
    stopped = true;
    errno = EIO;
    return -1;
}

static int torn_truncate(int fd, off_t n)
{
    if (bytes_left == 0) {
        stopped = true;
        errno = EIO;
        return -1;
    }
    bytes_left--;
    return ftruncate(fd, n);
}

static const struct sys *torn_after(size_t bytes)
{
    static struct sys torn;
    torn = sys_real;
    torn.pwrite = torn_pwrite;
    torn.ftruncate = torn_truncate;
    bytes_left = bytes;
    stopped = false;
    return &torn;
}

/* The state after a change that was cut at each byte: `old` or `new` of A, and B always. */
static bool cut_at(size_t bytes, const char *old, const char *new)
{
    set_bytes(vault_file, SLICE_NONE);
    struct vault *v = opened();
    if (old) {
        put(v, "B", "stays");
        put(v, "A", old);
    }
    sys = torn_after(bytes);
    enum err err = vault_put(v, SLICE("A"), slice_of(new), SLICE_NONE, NULL);
    sys = &sys_real;
    bool cut = stopped;
    vault_close(v);
    for (int i = 0; i < 2; i++) { /* the second time it is at rest */
        v = opened();
        const char *a = value_of(v, "A");
        bool is_new = a && strcmp(a, new) == 0;
        assert_true(is_new || (err && (old ? a && strcmp(a, old) == 0 : !a)));
        assert_true(!old || strcmp(value_of(v, "B"), "stays") == 0);
        vault_close(v);
    }
    v = opened();
    put(v, "C", "goes on");
    assert_string_equal(value_of(v, "C"), "goes on");
    vault_close(v);
    assert_true(size_of(vault_file) < VAULT_SLOT);
    return cut;
}

static void test_torn(void **state)
{
    (void)state;
    size_t n = 0;
    while (cut_at(n, "the value before, which is a good deal longer", "after"))
        n++;
    assert_true(n > 2 * VAULT_HEADER);
    for (n = 0; cut_at(n, "short", "a value that is longer than the one before");)
        n++;
    for (n = 0; cut_at(n, NULL, "the very first");)
        n++;
}

/* Opening after a cut settles the vault: that may be cut as well. */
static void test_cut(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf bytes = BUF_INIT(2 * VAULT_SLOT);
    struct vault *v = opened();
    put(v, "A", "old");
    sys = torn_after(VAULT_HEADER + VAULT_TAG + 64); /* the second slot whole, the first begun */
    put(v, "A", "new");
    sys = &sys_real;
    vault_close(v);
    assert_true(stopped);
    bytes_of(vault_file, &bytes);
    for (size_t n = 0, cut = 1; cut; n++) {
        set_bytes(vault_file, buf_slice(&bytes));
        sys = torn_after(n);
        v = opened();
        assert_string_equal(value_of(v, "A"), "new");
        sys = &sys_real;
        cut = stopped;
        vault_close(v);
        v = opened();
        assert_string_equal(value_of(v, "A"), "new");
        vault_close(v);
        assert_true(size_of(vault_file) < VAULT_SLOT);
    }
}

/* Sectors that were written in another order than the bytes: any part of the second slot may be missing. */
static void test_sectors(void **state)
{
    (void)state;
    static char zeros[64];
    BUF_CLEANUP struct buf bytes = BUF_INIT(2 * VAULT_SLOT);
    struct vault *v = opened();
    put(v, "A", "old");
    sys = torn_after(size_of(vault_file)); /* the second slot whole, the first as it was */
    put(v, "A", "new");
    sys = &sys_real;
    vault_close(v);
    bytes_of(vault_file, &bytes);
    assert_true(stopped && bytes.n > VAULT_SLOT);
    for (size_t at = VAULT_SLOT; at < bytes.n; at += 16) {
        set_bytes(vault_file, buf_slice(&bytes));
        assert_true(pwrite(vault_file, zeros, 16, (off_t)at) == 16);
        v = opened();
        assert_string_equal(value_of(v, "A"), "old");
        vault_close(v);
    }
}

/* Each write is followed by an fsync before the other slot is touched. */
static int dirty = -1; /* the slot that is not durable yet */

static ssize_t ordered_pwrite(int fd, const void *p, size_t n, off_t at)
{
    int slot = at >= VAULT_SLOT;
    assert_true(dirty == -1 || dirty == slot);
    dirty = slot;
    return pwrite(fd, p, n, at);
}

static int ordered_truncate(int fd, off_t n)
{
    assert_int_equal(dirty, -1);
    return ftruncate(fd, n);
}

static int ordered_fsync(int fd)
{
    dirty = -1;
    return fsync(fd);
}

static void test_order(void **state)
{
    (void)state;
    struct sys ordered = sys_real;
    ordered.pwrite = ordered_pwrite;
    ordered.ftruncate = ordered_truncate;
    ordered.fsync = ordered_fsync;
    dirty = -1;
    sys = &ordered;
    struct vault *v = opened();
    put(v, "A", "one");
    put(v, "A", "two");
    assert_int_equal(vault_remove(v, SLICE("A"), NULL), OK);
    vault_close(v);
    sys = &sys_real;
    assert_int_equal(dirty, -1);
}

/* ---- damage ---- */

static void test_flips(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf bytes = BUF_INIT(1 << 20);
    struct vault *v = opened();
    struct error e;
    put(v, "A", "a value");
    vault_close(v);
    bytes_of(vault_file, &bytes);
    for (size_t bit = 0; bit < bytes.n * 8; bit++) {
        bytes.p[bit / 8] = (char)(bytes.p[bit / 8] ^ (1 << bit % 8));
        set_bytes(vault_file, buf_slice(&bytes));
        enum err err = try_open(&v, &e);
        assert_true(err == ERR_CORRUPT || (err == ERR_VERSION && bit / 8 >= 8 && bit / 8 < 12));
        assert_non_null(strstr(e.text, "crannog login"));
        bytes.p[bit / 8] = (char)(bytes.p[bit / 8] ^ (1 << bit % 8));
    }
    for (size_t n = 1; n < bytes.n; n++) {
        set_bytes(vault_file, slice_sub(buf_slice(&bytes), 0, n));
        assert_int_equal(try_open(&v, &e), ERR_CORRUPT);
    }
}

static void test_key(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf key = BUF_INIT(64);
    struct vault *v = opened();
    struct error e;
    put(v, "A", "a value");
    vault_close(v);
    bytes_of(key_file, &key);
    for (size_t n = 0; n < VAULT_KEY; n++) { /* lost or cut: no fresh one is made */
        set_bytes(key_file, slice_sub(buf_slice(&key), 0, n));
        assert_int_equal(try_open(&v, &e), ERR_CORRUPT);
        assert_non_null(strstr(e.text, n ? "damaged" : "gone"));
        assert_int_equal(size_of(key_file), n);
    }
    key.p[5] ^= 1;
    set_bytes(key_file, buf_slice(&key));
    assert_int_equal(try_open(&v, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "not sealed with the key"));
    key.p[5] ^= 1;
    buf_add_char(&key, 'x');
    set_bytes(key_file, buf_slice(&key));
    assert_int_equal(try_open(&v, &e), ERR_CORRUPT);
    set_bytes(key_file, slice_sub(buf_slice(&key), 0, VAULT_KEY));
    v = opened();
    assert_string_equal(value_of(v, "A"), "a value");
    vault_close(v);
    set_bytes(vault_file, SLICE_NONE); /* an empty vault takes a fresh key for one that was cut */
    set_bytes(key_file, slice_sub(buf_slice(&key), 0, 7));
    v = opened();
    put(v, "A", "again");
    vault_close(v);
    assert_int_equal(size_of(key_file), VAULT_KEY);
}

/* ---- several, and refused calls ---- */

static void test_two(void **state)
{
    (void)state;
    struct vault *a = opened(), *b = opened();
    put(a, "A", "of a");
    put(b, "B", "of b");
    put(a, "C", "of a");
    assert_string_equal(value_of(a, "B"), "of b");
    assert_int_equal(vault_remove(b, SLICE("C"), NULL), OK);
    vault_close(a);
    vault_close(b);
    a = opened();
    assert_int_equal(vault_count(a), 2);
    vault_close(a);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const values[] = {"one", "two"};
    struct vault *v = opened();
    put(v, "B", "stays");
    put(v, "A", "one");
    vault_close(v);
    for (unsigned n = 1, now = 0;; n++) {
        sys_fail_nth(n, EIO, SYS_FAULT_FILE | SYS_FAULT_MEMORY);
        enum err err = try_open(&v, NULL);
        if (!err) {
            err = vault_put(v, SLICE("A"), slice_of(values[!now]), SLICE_NONE, NULL);
            vault_close(v);
        }
        unsigned calls = sys_calls();
        sys_fail_nth(0, 0, 0);
        v = opened();
        const char *a = value_of(v, "A");
        now = strcmp(a, values[1]) == 0;
        assert_true(now || strcmp(a, values[0]) == 0);
        assert_string_equal(value_of(v, "B"), "stays");
        vault_close(v);
        if (!err && calls < n)
            break;
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {T(test_keeps), T(test_bounds), T(test_sealed), T(test_removed), T(test_torn), T(test_cut),
                                       T(test_sectors), T(test_order), T(test_flips), T(test_key), T(test_two), T(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
