/*
 * The simulated disk does what sim/disk.h says: the calls behave as real ones, a cut tears what it may and nothing
 * else, errors and a full disk are like Linux's.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/disk.h"

enum { KIB = 1024 };

static struct sim_world *world_new(uint64_t seed)
{
    struct sim_world *w = sim_world_new(seed);
    assert_non_null(w);
    return w;
}

static int open_file(struct sim_world *w, const char *path, int flags)
{
    int fd = sim_open(w, AT_FDCWD, path, flags, 0644);
    assert_true(fd >= SIM_FD_BASE);
    return fd;
}

static void put_durable(struct sim_world *w, const char *path, char fill, size_t n)
{
    char *bytes = malloc(n + 1);
    memset(bytes, fill, n);
    assert_int_equal(sim_disk_put(w, path, (struct slice){bytes, n}), 0);
    sim_disk_settle(w);
    free(bytes);
}

static bool is_text(struct sim_world *w, const char *path, const char *text)
{
    BUF_CLEANUP struct buf b = BUF_INIT(64 * KIB);
    return sim_disk_get(w, path, &b) && slice_is(buf_slice(&b), text);
}

static bool is_there(struct sim_world *w, const char *path)
{
    struct stat st;
    return sim_stat(w, AT_FDCWD, path, &st, 0) == 0;
}

static void put_text(struct sim_world *w, const char *path, const char *text)
{
    assert_int_equal(sim_disk_put(w, path, slice_of(text)), 0);
}

static void rename_path(struct sim_world *w, const char *old, const char *new)
{
    assert_int_equal(sim_rename(w, AT_FDCWD, old, AT_FDCWD, new, 0), 0);
}

static void sync_path(struct sim_world *w, const char *path)
{
    int fd = open_file(w, path, O_RDONLY);
    assert_int_equal(sim_sync(w, fd), 0);
    sim_close(w, fd);
}

/* ---- randomness ---- */

static void test_streams(void **state)
{
    (void)state;
    struct sim_rand a, b, c;
    sim_rand_init(&a, 7, "disk");
    sim_rand_init(&b, 7, "disk");
    sim_rand_init(&c, 7, "clock");
    unsigned counts[10] = {0}, equal = 0;
    for (int i = 0; i < 10000; i++) {
        uint64_t v = sim_rand_below(&a, 10);
        assert_true(v < 10 && v == sim_rand_below(&b, 10));
        equal += v == sim_rand_below(&c, 10);
        counts[v]++;
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(counts[i], 900, 1100);
    assert_in_range(equal, 800, 1200);
    assert_int_equal(sim_rand_below(&a, 0), 0);
}

/* ---- the calls, without crashes ---- */

static void fails_with(int result, int errnum)
{
    int got = errno;
    assert_int_equal(result, -1);
    assert_int_equal(got, errnum);
}

static void test_paths_and_refusals(void **state)
{
    (void)state;
    struct sim_world *w = world_new(1);
    int root = AT_FDCWD;
    put_text(w, "/a/b/f", "text");
    put_text(w, "/a/g", "other");
    assert_true(is_text(w, "/a/./b/../b//f", "text") && is_text(w, "a/g", "other"));
    int a = open_file(w, "/a", O_RDONLY | O_DIRECTORY), f = sim_open(w, a, "b/f", O_RDONLY, 0);
    assert_true(f >= 0);
    struct stat st;
    assert_int_equal(sim_stat(w, f, "", &st, AT_EMPTY_PATH), 0);
    assert_true(S_ISREG(st.st_mode) && st.st_size == 4 && st.st_nlink == 1 && (st.st_mode & 07777) == 0644);
    fails_with((int)sim_write(w, f, "x", 1), EBADF);
    fails_with(sim_truncate(w, f, 0), EINVAL);
    fails_with((int)sim_pread(w, a, &st, 1, 0), EISDIR);
    fails_with(sim_open(w, root, "/a/missing", O_RDONLY, 0), ENOENT);
    fails_with(sim_open(w, root, "/a/g/x", O_RDONLY, 0), ENOTDIR);
    fails_with(sim_open(w, root, "/a", O_RDWR, 0), EISDIR);
    fails_with(sim_open(w, root, "/a/g", O_RDONLY | O_DIRECTORY, 0), ENOTDIR);
    fails_with(sim_open(w, root, "/a/g", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
    fails_with(sim_mkdir(w, root, "/a", 0755), EEXIST);
    fails_with(sim_unlink(w, root, "/a", AT_REMOVEDIR), ENOTEMPTY);
    fails_with(sim_unlink(w, root, "/a", 0), EISDIR);
    fails_with(sim_rename(w, root, "/a", root, "/a/b/a", 0), EINVAL);
    fails_with(sim_rename(w, root, "/a/g", root, "/a/b/f", RENAME_NOREPLACE), EEXIST);
    fails_with(sim_rename(w, root, "/a/g", root, "/a/h", RENAME_EXCHANGE), ENOENT);
    fails_with(sim_rename(w, root, "/a/g", root, "/a/b", 0), EISDIR);
    assert_int_equal(sim_rename(w, a, "g", a, "b/f", RENAME_EXCHANGE), 0);
    assert_true(is_text(w, "/a/g", "text") && is_text(w, "/a/b/f", "other"));
    assert_int_equal(sim_rename(w, a, "g", a, "b/f", 0), 0);
    assert_true(!is_there(w, "/a/g") && is_text(w, "/a/b/f", "text"));
    assert_int_equal(sim_mkdir(w, root, "/gone", 0755), 0);
    int gone = open_file(w, "/gone", O_RDONLY | O_DIRECTORY);
    int append = open_file(w, "/log", O_WRONLY | O_CREAT | O_APPEND);
    assert_int_equal(sim_unlink(w, root, "/gone", AT_REMOVEDIR), 0);
    fails_with(sim_open(w, gone, "x", O_RDWR | O_CREAT, 0600), ENOENT);
    put_text(w, "/log", "12345");
    assert_true(sim_write(w, append, "6", 1) == 1 && sim_write(w, append, "7", 1) == 1);
    assert_true(is_text(w, "/log", "1234567"));
    char name[200];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    fails_with(sim_open(w, root, name, O_RDWR | O_CREAT, 0600), ENAMETOOLONG);
    sim_close(w, f);
    fails_with((int)sim_read(w, f, name, 1), EBADF);
    sim_world_free(w);
}

static void note_path(void *arg, const char *path, bool folder)
{
    buf_addf(arg, "%s%s ", path, folder ? "/" : "");
}

static void test_list(void **state)
{
    (void)state;
    struct sim_world *w = world_new(1);
    put_text(w, "/b/y", "");
    put_text(w, "/b/x", "");
    put_text(w, "/a", "");
    BUF_CLEANUP struct buf b = BUF_INIT(1000);
    sim_disk_list(w, note_path, &b);
    assert_string_equal(buf_str(&b), "/a /b/ /b/x /b/y ");
    sim_world_free(w);
}

/* One random operation on the file and on an array of bytes that says what it must hold. */
struct reference {
    unsigned char bytes[64 * KIB];
    int64_t size;
};

static void one_operation(struct sim_world *w, struct sim_rand *r, int fd, struct reference *ref)
{
    unsigned char data[9000];
    int64_t at = (int64_t)sim_rand_below(r, sizeof ref->bytes - sizeof data);
    size_t n = sim_rand_below(r, sim_rand_chance(r, 1, 2) ? 600 : sizeof data);
    switch (sim_rand_below(r, 8)) {
    case 0:
        assert_int_equal(sim_truncate(w, fd, at), 0);
        if (at < ref->size)
            memset(ref->bytes + at, 0, (size_t)(ref->size - at));
        ref->size = at;
        break;
    case 1:
        assert_int_equal(sim_fallocate(w, fd, 0, at, (int64_t)n + 1), 0);
        ref->size = at + (int64_t)n + 1 > ref->size ? at + (int64_t)n + 1 : ref->size;
        break;
    case 2:
        assert_int_equal(sim_sync(w, fd), 0);
        break;
    default:
        sim_rand_fill(r, data, n);
        assert_int_equal(sim_pwrite(w, fd, data, n, at), n);
        memcpy(ref->bytes + at, data, n);
        ref->size = n && at + (int64_t)n > ref->size ? at + (int64_t)n : ref->size;
    }
}

static void assert_same(struct sim_world *w, const char *path, const struct reference *ref)
{
    BUF_CLEANUP struct buf b = BUF_INIT(sizeof ref->bytes);
    assert_true(sim_disk_get(w, path, &b));
    assert_int_equal(b.n, ref->size);
    assert_true(b.n == 0 || memcmp(b.p, ref->bytes, b.n) == 0);
}

/* Whatever is done to a file, it reads as an array of bytes does; what was synced stays as it is through any cut. */
static void test_contents_are_an_array_of_bytes(void **state)
{
    (void)state;
    static struct reference ref;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct sim_world *w = world_new(seed);
        struct sim_rand *r = sim_world_rand(w);
        memset(&ref, 0, sizeof ref);
        put_durable(w, "/f", 0, 0);
        for (int round = 0; round < 8; round++) {
            int fd = open_file(w, "/f", O_RDWR);
            for (int i = 0; i < 12; i++)
                one_operation(w, r, fd, &ref);
            sim_world_crash(w, SIM_KILL);
            assert_same(w, "/f", &ref);
            assert_int_equal(sim_sync(w, fd), 0);
            sim_world_crash(w, SIM_POWER); /* closes fd as well */
            assert_same(w, "/f", &ref);
        }
        assert_true(sim_used(w) <= 2 * sizeof ref.bytes);
        sim_world_free(w);
    }
}

/* ---- cuts ---- */

/* D1: each sector is the old one or the new one; bytes beside the written range stay; mixtures happen. */
static void test_sectors_are_torn_whole(void **state)
{
    (void)state;
    enum { N = 8 * KIB, FROM = 700, TO = 7000 };
    int mixed = 0, all_old = 0, all_new = 0;
    struct sim_world *w = world_new(1);
    put_durable(w, "/f", 'o', N);
    struct sim_snapshot *start = sim_world_snapshot(w);
    for (uint64_t seed = 1; seed <= 200; seed++) {
        char bytes[N];
        sim_world_restore(w, start);
        sim_world_reseed(w, seed);
        int fd = open_file(w, "/f", O_RDWR);
        memset(bytes, 'n', N);
        assert_int_equal(sim_pwrite(w, fd, bytes, TO - FROM, FROM), TO - FROM);
        sim_world_crash(w, SIM_POWER);
        fd = open_file(w, "/f", O_RDONLY);
        assert_int_equal(sim_pread(w, fd, bytes, N, 0), N);
        int news = 0, sectors = 0;
        for (int s = FROM / SIM_SECTOR; s * SIM_SECTOR < TO; s++, sectors++) {
            int from = s * SIM_SECTOR < FROM ? FROM : s * SIM_SECTOR;
            int to = (s + 1) * SIM_SECTOR > TO ? TO : (s + 1) * SIM_SECTOR;
            news += bytes[from] == 'n';
            for (int i = from; i < to; i++)
                assert_int_equal(bytes[i], bytes[from]);
        }
        for (int i = 0; i < N; i++)
            assert_true(bytes[i] == 'o' || (i >= FROM && i < TO && bytes[i] == 'n'));
        all_old += news == 0;
        all_new += news == sectors;
        mixed += news > 0 && news < sectors;
    }
    assert_true(all_old > 20 && all_new > 20 && mixed > 20);
    sim_snapshot_free(start);
    sim_world_free(w);
}

static int write_once(struct sim_world *w, void *arg)
{
    char bytes[5 * SIM_SECTOR];
    (void)arg;
    memset(bytes, 'n', sizeof bytes);
    return sim_pwrite(w, sim_open(w, AT_FDCWD, "/f", O_RDWR, 0), bytes, sizeof bytes, 0) < 0;
}

/* A process killed in a write has written its first sectors, maybe none, never all. */
static void test_killed_write_is_a_prefix(void **state)
{
    (void)state;
    unsigned seen[6] = {0};
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct sim_world *w = world_new(seed);
        put_durable(w, "/f", 0, 0);
        sim_world_when(w, SIM_TORN);
        assert_int_equal(sim_run(w, 1, SIM_KILL, write_once, NULL).how, SIM_CRASHED);
        BUF_CLEANUP struct buf b = BUF_INIT(8 * KIB);
        assert_true(sim_disk_get(w, "/f", &b) && b.n % SIM_SECTOR == 0 && b.n < 5 * SIM_SECTOR);
        seen[b.n / SIM_SECTOR]++;
        sim_world_free(w);
    }
    for (int i = 0; i < 5; i++)
        assert_true(seen[i] > 5);
}

static int write_versions(struct sim_world *w, void *arg)
{
    (void)arg;
    int fd = sim_open(w, AT_FDCWD, "/f", O_RDWR, 0);
    for (int v = 1; v <= 3; v++) {
        char bytes[SIM_SECTOR];
        memset(bytes, '0' + v, sizeof bytes);
        for (int again = 0; again < 6; again++)
            if (sim_pwrite(w, fd, bytes, sizeof bytes, 0) < 0)
                return 1;
    }
    return 0;
}

/* The kernel writes back when it likes: a cut may show what was there in the middle. */
static void test_middle_versions_are_seen(void **state)
{
    (void)state;
    unsigned seen[4] = {0};
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct sim_world *w = world_new(seed);
        put_durable(w, "/f", '0', SIM_SECTOR);
        assert_int_equal(sim_run(w, 0, SIM_KILL, write_versions, NULL).status, 0);
        sim_world_crash(w, SIM_POWER);
        BUF_CLEANUP struct buf b = BUF_INIT(8 * KIB);
        assert_true(sim_disk_get(w, "/f", &b) && b.n == SIM_SECTOR);
        assert_in_range(b.p[0], '0', '3');
        seen[b.p[0] - '0']++;
        sim_world_free(w);
    }
    for (int v = 0; v < 4; v++)
        assert_true(seen[v] > 5);
}

/* D2: a file that grew may have any size between, and zeros where sectors were lost. */
static void test_sizes_are_torn(void **state)
{
    (void)state;
    int old = 0, new = 0, between = 0, zeros = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct sim_world *w = world_new(seed);
        put_durable(w, "/f", 'o', 1000);
        int fd = open_file(w, "/f", O_RDWR);
        char bytes[3000];
        memset(bytes, 'n', sizeof bytes);
        assert_int_equal(sim_pwrite(w, fd, bytes, sizeof bytes, 1000), sizeof bytes);
        sim_world_crash(w, SIM_POWER);
        BUF_CLEANUP struct buf b = BUF_INIT(8 * KIB);
        assert_true(sim_disk_get(w, "/f", &b));
        assert_in_range(b.n, 1000, 4000);
        for (size_t i = 0; i < b.n; i++)
            assert_true(i < 1000 ? b.p[i] == 'o' : b.p[i] == 'n' || b.p[i] == 0);
        old += b.n == 1000;
        new += b.n == 4000;
        between += b.n > 1000 && b.n < 4000;
        zeros += b.n > 2600 && b.p[2500] == 0;
        sim_world_free(w);
    }
    assert_true(old > 20 && new > 20 && between > 10 && zeros > 10);
}

/* D3, D4: changes of names are whole, unordered unless related; a file's sync is not its name's; a folder's sync is. */
static void test_names_are_torn(void **state)
{
    (void)state;
    int first_only = 0, second_only = 0, moved = 0, stayed = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct sim_world *w = world_new(seed);
        put_text(w, "/d/a", "a");
        put_text(w, "/d/b", "b");
        put_text(w, "/e/c", "c");
        sim_disk_settle(w);
        put_text(w, "/d/one", "1");
        put_text(w, "/e/two", "2");
        sync_path(w, "/d/one");
        sync_path(w, "/e/two");
        rename_path(w, "/d/a", "/d/b");
        rename_path(w, "/d/b", "/e/b");
        assert_int_equal(sim_unlink(w, AT_FDCWD, "/e/c", 0), 0);
        sync_path(w, "/e/two");
        sim_world_crash(w, SIM_POWER);
        bool one = is_there(w, "/d/one"), two = is_there(w, "/e/two");
        first_only += one && !two;
        second_only += two && !one;
        assert_true(!two || is_text(w, "/e/two", "2")); /* where there is a name, there is what was synced */
        bool in_a = is_text(w, "/d/a", "a"), in_b = is_text(w, "/d/b", "a"), in_e = is_text(w, "/e/b", "a");
        assert_int_equal(in_a + in_b + in_e, 1);
        assert_true(!in_a || is_text(w, "/d/b", "b"));
        moved += in_e;
        stayed += in_a;
        sim_world_free(w);
    }
    assert_true(first_only > 10 && second_only > 10 && moved > 10 && stayed > 10);
}

static void test_folder_sync_keeps_names(void **state)
{
    (void)state;
    int lost = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct sim_world *w = world_new(seed);
        put_text(w, "/d/a", "a");
        put_text(w, "/e/x", "x");
        sim_disk_settle(w);
        rename_path(w, "/d/a", "/e/b"); /* durable with either of its folders, and as a whole */
        put_text(w, "/new/f", "f");
        sync_path(w, "/e");
        sync_path(w, "/new/f");
        sync_path(w, "/new"); /* but not its own name */
        sim_world_crash(w, SIM_POWER);
        assert_true(!is_there(w, "/d/a") && is_text(w, "/e/b", "a"));
        lost += !is_there(w, "/new");
        assert_true(!is_there(w, "/new") || is_text(w, "/new/f", "f"));
        assert_int_equal(sim_used(w), (is_there(w, "/new") ? 3 : 2) * SIM_PAGE); /* what is lost takes no room */
        sim_world_free(w);
    }
    assert_true(lost > 10);
}

/* ---- errors ---- */

static int sync_fails(struct sim_world *w, void *arg)
{
    bool again = *(bool *)arg;
    int fd = sim_open(w, AT_FDCWD, "/f", O_RDWR, 0);
    char bytes[4 * KIB], seen[4 * KIB];
    memset(bytes, 'n', sizeof bytes);
    if (sim_pwrite(w, fd, bytes, sizeof bytes, 0) != sizeof bytes || sim_sync(w, fd) != -1 || errno != EIO)
        return 1;
    if (sim_pread(w, fd, seen, sizeof seen, 0) != sizeof seen || memcmp(seen, bytes, sizeof seen) != 0)
        return 2;
    if (again && sim_pwrite(w, fd, bytes, sizeof bytes, 0) != sizeof bytes)
        return 3;
    return sim_sync(w, fd) == 0 ? 0 : 4; /* says yes, and without a new write has not written what failed */
}

static int lost_after_failed_sync(bool again)
{
    int lost = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_world *w = world_new(seed);
        put_durable(w, "/f", 'o', 4 * KIB);
        sim_fail(w, 3, 1, EIO);
        struct sim_result r = sim_run(w, 0, SIM_KILL, sync_fails, &again);
        assert_true(r.how == SIM_FINISHED && r.status == 0 && sim_failed(w) == 1);
        sim_world_crash(w, SIM_POWER);
        BUF_CLEANUP struct buf b = BUF_INIT(8 * KIB);
        assert_true(sim_disk_get(w, "/f", &b));
        lost += memchr(b.p, 'o', b.n) != NULL;
        sim_world_free(w);
    }
    return lost;
}

static void test_failed_sync_is_not_healed_by_another(void **state)
{
    (void)state;
    assert_true(lost_after_failed_sync(false) > 15);
    assert_int_equal(lost_after_failed_sync(true), 0);
}

static void test_full_disk(void **state)
{
    (void)state;
    struct sim_world *w = world_new(1);
    char bytes[16 * KIB] = {0};
    int keep = open_file(w, "/reserve", O_RDWR | O_CREAT);
    assert_int_equal(sim_fallocate(w, keep, 0, 0, 8 * KIB), 0);
    assert_int_equal(sim_used(w), 8 * KIB);
    sim_capacity(w, 20 * KIB);
    int fd = open_file(w, "/f", O_RDWR | O_CREAT);
    assert_int_equal(sim_write(w, fd, bytes, sizeof bytes), 12 * KIB); /* as much as fits, then nothing */
    fails_with((int)sim_write(w, fd, bytes, 1), ENOSPC);
    fails_with(sim_mkdir(w, AT_FDCWD, "/d", 0755), ENOSPC);
    assert_int_equal(sim_pwrite(w, fd, bytes, 100, 50), 100); /* in place */
    assert_int_equal(sim_unlink(w, AT_FDCWD, "/reserve", 0), 0);
    fails_with((int)sim_write(w, fd, bytes, 1), ENOSPC); /* still open */
    sim_close(w, keep);
    assert_int_equal(sim_write(w, fd, bytes, 8 * KIB), 8 * KIB);
    sim_capacity(w, 0);
    fails_with((int)sim_pwrite(w, fd, bytes, 1, 8 * KIB * KIB), EFBIG);
    sim_world_free(w);
}

/* A full disk of which each page has two versions is more than the pool holds: then it is written back. */
static void test_pool_is_enough(void **state)
{
    (void)state;
    enum { FILES = 32, BYTES = 1024 * KIB };
    struct sim_world *w = world_new(1);
    static char bytes[BYTES];
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < FILES; i++) {
            char path[20];
            snprintf(path, sizeof path, "/f%d", i);
            memset(bytes, 'a' + round, sizeof bytes);
            int fd = open_file(w, path, O_RDWR | O_CREAT);
            assert_int_equal(sim_pwrite(w, fd, bytes, sizeof bytes, 0), sizeof bytes);
            if (round == 0)
                assert_int_equal(sim_sync(w, fd), 0);
            sim_close(w, fd);
        }
    assert_int_equal(sim_used(w), FILES * BYTES);
    BUF_CLEANUP struct buf b = BUF_INIT(sizeof bytes);
    assert_true(sim_disk_get(w, "/f31", &b) && b.n == sizeof bytes && b.p[0] == 'd' && b.p[b.n - 1] == 'd');
    sim_world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_paths_and_refusals),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_contents_are_an_array_of_bytes),
        cmocka_unit_test(test_sectors_are_torn_whole),
        cmocka_unit_test(test_killed_write_is_a_prefix),
        cmocka_unit_test(test_middle_versions_are_seen),
        cmocka_unit_test(test_sizes_are_torn),
        cmocka_unit_test(test_names_are_torn),
        cmocka_unit_test(test_folder_sync_keeps_names),
        cmocka_unit_test(test_failed_sync_is_not_healed_by_another),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_pool_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
