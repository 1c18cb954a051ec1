#include "landing_tree.h"

#include <time.h>

static struct error why;

static struct landing_set set_of(const struct manifest *m, const int *layer, int undo_folder)
{
    return (struct landing_set){.root = root, .manifest = m, .folders = layer, .undo = undo_folder, .name = SLICE("r.b.1"), .rewind = true};
}

static struct landed apply(struct landing_set s, struct arena *a)
{
    struct landed ret = {0};
    why = (struct error){0};
    if (landing_apply(&s, a, &ret, &why))
        fail_msg("landing: %s", why.text);
    return ret;
}

static uint64_t seed;
static unsigned roll(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed >> 16) % n);
}

static void random_path(char ret[64])
{
    static const char *const names[] = {"a", "b", "c\n", "\xff\xfe", "d e", "a."};
    unsigned depth = 1 + roll(3);
    *ret = '\0';
    for (unsigned i = 0; i < depth; i++)
        snprintf(ret + strlen(ret), 64 - strlen(ret), "%s%s", i ? "/" : "", names[roll(6)]);
}

/* So that who is not root may empty a folder too. */
static void unlock(int at)
{
    assert_int_equal(fchmod(at, 0755), 0);
    DIR *d = fdopendir(openat(at, ".", O_RDONLY | O_DIRECTORY));
    for (struct dirent *f; (f = readdir(d));) {
        int sub = strcmp(f->d_name, ".") && strcmp(f->d_name, "..") ? openat(at, f->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) : -1;
        if (sub >= 0)
            unlock(sub);
        close(sub);
    }
    closedir(d);
}

static void remove_at(int at, const char *path)
{
    struct stat st;
    if (fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    if (!S_ISDIR(st.st_mode)) {
        assert_int_equal(unlinkat(at, path, 0), 0);
        return;
    }
    int fd = open_folder_at(at, path);
    unlock(fd);
    world_empty(fd);
    close(fd);
    assert_int_equal(unlinkat(at, path, AT_REMOVEDIR), 0);
}

static void random_change_in(int at, const char *path);

/* With its folder writable meanwhile, as a program would that is no root. */
static void random_change(int at)
{
    char path[64], parent[64];
    struct stat st;
    random_path(path);
    memcpy(parent, path, sizeof parent);
    char *slash = strrchr(parent, '/');
    if (!slash) {
        random_change_in(at, path);
        return;
    }
    *slash = '\0';
    if (fstatat(at, parent, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
        return;
    assert_int_equal(fchmodat(at, parent, 0755, 0), 0);
    random_change_in(at, path);
    assert_int_equal(fchmodat(at, parent, st.st_mode & 0777, 0), 0);
}

static void random_change_in(int at, const char *path)
{
    static const mode_t modes[] = {0644, 0755, 0600, 0444};
    static const mode_t folder_modes[] = {0755, 0700, 0555};
    char text[64];
    struct stat st;
    bool there = fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
    switch (roll(there ? 8 : 5)) {
    case 0:
    case 1:
        remove_at(at, path);
        snprintf(text, sizeof text, "text %u", roll(5));
        put_at(at, path, text, modes[roll(4)]);
        break;
    case 2:
        remove_at(at, path);
        snprintf(text, sizeof text, "../%u", roll(3));
        assert_int_equal(symlinkat(text, at, path), 0);
        break;
    case 3:
    case 4:
        if (!there || !S_ISDIR(st.st_mode))
            remove_at(at, path);
        if (!there || !S_ISDIR(st.st_mode))
            folder_at(at, path, folder_modes[roll(3)]);
        break;
    case 5:
        remove_at(at, path);
        return;
    case 6:
        if (!S_ISLNK(st.st_mode))
            assert_int_equal(fchmodat(at, path, S_ISDIR(st.st_mode) ? folder_modes[roll(3)] : modes[roll(4)], 0), 0);
        break;
    default:
        break;
    }
    if (roll(2))
        time_at(at, path, 1600000000 + roll(5), roll(1000000000));
}

/* Long ago: a step in the same tick of the clock would leave no trace at a folder. */
static void age_folders(int at)
{
    struct lines l = walk(at);
    for (size_t i = l.n; i--;)
        if (l.v[i].s.type == STAMP_FOLDER)
            time_at(at, l.v[i].path, 1500000000 + roll(9), roll(1000000000));
    lines_free(&l);
}

static struct stamp look_in(int at, struct slice path)
{
    struct stamp s;
    struct error e = {0};
    if (stamp_look(at, path, NULL, &s, &e))
        fail_msg("%s", e.text);
    return s;
}

/* Random trees: landed is wanted, undone is as before, to the mtime of every folder. */
static void test_random_trees(void **state)
{
    (void)state;
    const char *asked = getenv("CRANNOG_SEED"), *many = getenv("CRANNOG_ROUNDS");
    uint64_t first = asked ? strtoull(asked, NULL, 10) : (uint64_t)time(NULL) * 1000003;
    int rounds = many ? atoi(many) : 150;
    print_message("seed %llu\n", (unsigned long long)first);
    for (int i = 0; i < rounds; i++) {
        ARENA_CLEANUP struct arena a = ARENA_INIT(ARENA_BYTES);
        seed = (first + (uint64_t)i) * 0x9e3779b97f4a7c15u + 1;
        if (root >= 0) {
            unlock(root);
            unlock(wanted);
            unlock(undo);
        }
        new_folders();
        for (unsigned k = roll(40); k; k--)
            random_change(root);
        age_folders(root);
        copy_tree(root, wanted);
        for (unsigned k = roll(25); k; k--)
            random_change(wanted);
        char *before = tree_text(root, WITH_TIMES), *after = tree_text(wanted, WITHOUT_FOLDER_TIMES);
        struct manifest m = difference(root, wanted, &a);
        struct landed l = apply(set_of(&m, &wanted, undo), &a);
        if (l.result != LANDING_DONE)
            fail_msg("seed %llu: %s", (unsigned long long)first + (uint64_t)i, why.text);
        assert_int_equal(l.nleft, 0);
        char what[64];
        snprintf(what, sizeof what, "seed %llu landed", (unsigned long long)first + (uint64_t)i);
        assert_tree(root, after, WITHOUT_FOLDER_TIMES, what);
        for (size_t k = 0; k < m.n; k++) /* the others keep what landing gave them (T6) */
            if (m.v[k].after.type == STAMP_FOLDER)
                assert_int_equal(look_in(root, m.v[k].path).mtime_ns, m.v[k].after.mtime_ns);
        for (size_t k = 1; k < l.undo.n; k++)
            assert_true(manifest_path_cmp(l.undo.v[k - 1].path, l.undo.v[k].path) < 0);
        int undo2 = -1;
        new_folder("undo2", &undo2);
        struct landed u = apply(set_of(&l.undo, &undo, undo2), &a);
        if (u.result != LANDING_DONE)
            fail_msg("seed %llu undo: %s", (unsigned long long)first + (uint64_t)i, why.text);
        snprintf(what, sizeof what, "seed %llu undone", (unsigned long long)first + (uint64_t)i);
        assert_tree(root, before, WITH_TIMES, what);
        unlock(undo2);
        world_empty(undo2);
        close(undo2);
        free(before);
        free(after);
    }
}

static int no_sync(int fd)
{
    return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
}
static struct sys quick; /* a disk would need minutes; the order of syncs is in test_landing_apply_crash.c */

static int setup(void **state)
{
    quick = sys_real;
    quick.fsync = quick.syncfs = no_sync;
    sys = &quick;
    return world_make(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_trees),
    };
    return cmocka_run_group_tests(tests, setup, world_remove);
}
