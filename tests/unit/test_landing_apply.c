/*
 * Landing of sets without crashes: random trees land and are undone, to the mtime of every folder; one conflict and nothing
 * changes (T1); what is guarded is left; what a person lets be replaced lies in undo (T2); folders that hold something
 * stay (T3); holes stay holes; what cannot be read or is open is said before anything changes; two crannogs take turns.
 * Crashes and people are in test_landing_apply_crash.c, where the planted bugs are listed.
 */
#include "landing_tree.h"

#include <sys/xattr.h>
#include <time.h>

#include "tools/apply.h"
#include "tools/inside.h"
#include "tools/inside_apply.h"

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
    int rounds = many ? atoi(many) : 60;
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

/* ---- one thing at a time ---- */

static char *before_text;
static struct arena arena = {.budget = ARENA_BYTES};
static struct manifest manifest;

static void fresh(void)
{
    if (root >= 0) {
        unlock(root);
        unlock(wanted);
        unlock(undo);
    }
    new_folders();
    arena_release(&arena);
    free(before_text);
    before_text = NULL;
}

/* The manifest root -> wanted; what root is now is remembered. */
static void compare(void)
{
    manifest = difference(root, wanted, &arena);
    before_text = tree_text(root, WITH_TIMES);
}

static struct landed land(struct landing_set s)
{
    return apply(s, &arena);
}

static void undo_all(const struct landed *l)
{
    int undo2 = -1;
    new_folder("undo2", &undo2);
    struct landed u = apply(set_of(&l->undo, &undo, undo2), &arena);
    if (u.result != LANDING_DONE || u.nleft)
        fail_msg("undo: %s", why.text);
    unlock(undo2);
    world_empty(undo2);
    close(undo2);
}

static bool text_is(int at, const char *path, const char *text)
{
    char got[4096];
    int fd = openat(at, path, O_RDONLY | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof got);
    close(fd);
    return n >= 0 && slice_eq((struct slice){got, (size_t)n}, slice_of(text));
}

/* Every kind of conflict: nothing changes, only the conflicts are named, and undo has nothing to do. */
static void test_one_conflict_and_nothing_lands(void **state)
{
    (void)state;
    static const char *const whys[] = {"was changed by somebody else", "exists already", "is no longer there", "was changed by somebody else",
                                       "is a folder now", "no folder any more", "nobody has looked at", "hard links", "while the step was at work"};
    for (int i = 0; i < 9; i++) {
        fresh();
        put_at(root, "a", "a", 0644);
        put_at(root, "b", "b", 0644);
        folder_at(root, "d", 0755);
        put_at(root, "d/x", "x", 0644);
        copy_tree(root, wanted);
        put_at(wanted, "a", "a2", 0644);
        put_at(wanted, "c", "c", 0644);
        unlinkat(wanted, "b", 0);
        if (i == 6) {
            unlinkat(wanted, "d/x", 0);
            unlinkat(wanted, "d", AT_REMOVEDIR);
            put_at(wanted, "d", "d", 0644);
        } else {
            put_at(wanted, "d/y", "y", 0644);
        }
        manifest = difference(root, wanted, &arena);
        if (i == 0)
            put_at(root, "a", "a3", 0644);
        if (i == 1)
            put_at(root, "c", "other", 0644);
        if (i == 2)
            unlinkat(root, "a", 0);
        if (i == 3)
            put_at(root, "b", "b3", 0644);
        if (i == 4)
            folder_at(root, "c", 0755);
        if (i == 5) {
            renameat(root, "d", root, "e");
            assert_int_equal(symlinkat("e", root, "d"), 0);
        }
        if (i == 6)
            put_at(root, "d/mine", "mine", 0644);
        if (i == 7)
            linkat(root, "a", root, "a2", 0);
        for (size_t k = 0; i == 8 && k < manifest.n; k++)
            manifest.v[k].moved = slice_is(manifest.v[k].path, "a");
        before_text = tree_text(root, WITH_TIMES);
        struct landed l = land(set_of(&manifest, &wanted, undo));
        assert_int_equal(l.result, LANDING_CONFLICT);
        assert_int_equal(l.undo.n, 0);
        assert_true(l.nleft >= 1);
        bool said = false;
        for (size_t k = 0; k < l.nleft; k++)
            said |= slice_find(l.left[k].why, slice_of(whys[i]), 0) < l.left[k].why.n;
        if (!said)
            fail_msg("%d: %.*s %s", i, SLICE_ARG(l.left[0].change->path), l.left[0].why.p);
        assert_tree(root, before_text, WITH_TIMES, "in a conflict");
        assert_non_null(strstr(why.text, "conflicts"));
    }
}

/* The same conflicts, and a person says yes: what lay there is in undo. A folder in the way stays a conflict. */
static bool has_attribute(int at, const char *path, const char *name, const char *value)
{
    char got[64];
    int fd = openat(at, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fgetxattr(fd, name, got, sizeof got);
    close(fd);
    return value ? n == (ssize_t)strlen(value) && memcmp(got, value, (size_t)n) == 0 : n < 0;
}

static void set_attribute(int at, const char *path, const char *name, const void *value, size_t n)
{
    int fd = openat(at, path, O_RDONLY | O_CLOEXEC);
    if (fsetxattr(fd, name, value, n, 0) < 0 && errno == EOPNOTSUPP)
        skip(); /* a file system without any */
    close(fd);
}

/* A file's own attributes and access list come with its new version, and back with the old one; what an overlay keeps does not. */
static void test_attributes(void **state)
{
    (void)state;
    static const char list[] = "system.posix_acl_access";
    const struct { uint32_t version; struct { uint16_t tag, perm; uint32_t id; } of[5]; } acl = {
        2, {{1, 6, UINT32_MAX}, {2, 4, getuid()}, {4, 4, UINT32_MAX}, {16, 4, UINT32_MAX}, {32, 0, UINT32_MAX}}};
    char kept[64];
    fresh();
    put_at(root, "a", "a", 0640);
    put_at(root, "b", "b", 0640);
    set_attribute(root, "a", "user.tag", "old", 3);
    set_attribute(root, "a", list, &acl, sizeof acl);
    copy_tree(root, wanted);
    put_at(wanted, "a", "a2", 0640);
    put_at(wanted, "n", "n", 0600);
    set_attribute(wanted, "a", "user.tag", "newer", 5);
    set_attribute(wanted, "a", list, &acl, sizeof acl);
    set_attribute(wanted, "a", "user.overlay.origin", "x", 1);
    set_attribute(wanted, "n", "user.made", "1", 1);
    manifest = difference(root, wanted, &arena);
    struct landing_set s = set_of(&manifest, &wanted, undo);
    struct landed l = land(s);
    assert_int_equal(l.result, LANDING_DONE);
    assert_true(text_is(root, "a", "a2") && has_attribute(root, "a", "user.tag", "newer") && has_attribute(root, "n", "user.made", "1"));
    assert_true(has_attribute(root, "a", "user.overlay.origin", NULL) && has_attribute(root, "b", "user.tag", NULL));
    int fd = openat(root, "a", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fgetxattr(fd, list, kept, sizeof kept), sizeof acl);
    assert_memory_equal(kept, &acl, sizeof acl);
    close(fd);
    undo_all(&l);
    assert_true(text_is(root, "a", "a") && has_attribute(root, "a", "user.tag", "old"));
    fd = openat(root, "a", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fgetxattr(fd, list, kept, sizeof kept), sizeof acl);
    close(fd);
}

static void test_replace(void **state)
{
    (void)state;
    fresh();
    put_at(root, "a", "a", 0644);
    put_at(root, "b", "b", 0644);
    put_at(root, "gone", "gone", 0644);
    put_at(root, "moved", "moved", 0644);
    copy_tree(root, wanted);
    put_at(wanted, "a", "a2", 0644);
    put_at(wanted, "c", "c", 0755);
    put_at(wanted, "gone", "gone2", 0644);
    put_at(wanted, "moved", "moved2", 0644);
    unlinkat(wanted, "b", 0);
    manifest = difference(root, wanted, &arena);
    for (size_t k = 0; k < manifest.n; k++)
        manifest.v[k].moved = slice_is(manifest.v[k].path, "moved");
    put_at(root, "a", "a3", 0600);
    put_at(root, "b", "b3", 0644);
    assert_int_equal(symlinkat("x", root, "c"), 0);
    unlinkat(root, "gone", 0);
    before_text = tree_text(root, WITH_TIMES);
    struct landing_set s = set_of(&manifest, &wanted, undo);
    s.replace = true;
    struct landed l = land(s);
    if (l.result != LANDING_DONE || l.nleft)
        fail_msg("%s", why.text);
    char *after = tree_text(wanted, WITH_TIMES);
    assert_tree(root, after, WITH_TIMES, "replaced");
    free(after);
    assert_true(text_is(undo, "a", "a3") && text_is(undo, "b", "b3"));
    struct landed twice = land(s); /* asked again: the same answer, and undo still has what was there */
    assert_int_equal(twice.result, LANDING_DONE);
    assert_true(text_is(undo, "a", "a3"));
    undo_all(&l);
    assert_tree(root, before_text, WITH_TIMES, "undone");

    new_folder("undo", &undo);
    unlinkat(root, "a", 0);
    folder_at(root, "a", 0755);
    l = land(s);
    assert_int_equal(l.result, LANDING_CONFLICT);
    assert_int_equal(l.nleft, 1);
    assert_true(text_is(root, "b", "b3"));
}

static void test_guarded(void **state)
{
    (void)state;
    static const char *const yes[] = {".git/config", "sub/.git/hooks/pre-commit", ".GIT/HOOKS/x", ".git/objects/info/alternates",
        ".git/modules/m/config", ".git/modules/a/b/hooks/x", ".git/worktrees/w/config.worktree", ".githooks/x", ".husky/_/h",
        ".vscode/tasks.json", "a/.idea/x.xml", ".envrc", "a/b/.BashRC", ".zshenv", ".vimrc", ".dir-locals.el", ".npmrc", ".yarnrc",
        ".yarnrc.yml", ".ssh/authorized_keys", ".mcp.json", ".claude/settings.json", ".cursor/mcp.json", ".git", ".codex", ".envrc/x",
        "HEAD", "docs/HEAD", ".devcontainer.json", ".git/foo/config", ".git/foo/hooks/x", ".git/foo/HEAD", ".git/a/b/HEAD", ".git/index.lock",
        ".git/refs/heads/x.LOCK", ".git/modules/m/objects/info/alternates",
        ".git/modules/docs/refs/config", ".git/modules/m/refs/heads/hooks", /* a submodule may be called docs/refs */ ".hg/hgrc", ".hg/sharedpath",
        /* to a file system that folds case, skips what nobody sees, or cuts off what is behind */
        ".git /config", ".git./hooks/x", ".git. . /hooks", ".g\u200cit/hooks/x", ".git\u200d/config", "\ufeff.git/config", ".GIT\u2066/HOOKS",
        ".git/con\ufb01g", ".git/hook\u017f/x", ".hus\u212ay/x", ".envrc ", ".b\u00adashrc", "GIT~1/config", "git~2/hooks/x", ".git::$INDEX_ALLOCATION/config",
        ".git/config:x", ".vscode\xf3\xa0\x81\x81/tasks.json", ".git\u200c"};
    static const char *const no[] = {"CLAUDE.md", "AGENTS.md", "a/AGENTS.md", ".gitmodules", ".gitignore", ".git/objects/ab/cd",
        ".git/refs/heads/config", ".git/HEAD", ".git/info/exclude", ".git/info/attributes", ".git/modules/m/refs/heads/main", ".git/modules/m/HEAD", ".git/worktrees/w/HEAD", ".git/logs/HEAD", "config",
        "hooks/pre-commit", "vscode/x", ".env", "Makefile", ".github/workflows/x.yml", "npmrc", "a.npmrc", "head", "HEAD/x", "docs/config", "HEADER",
        "git~1x/config", "git ~1/config", "xgit~1/config", ".git\xff/config", ".git\xe2\x80/config", ".gi\u0442/config", ".git x/config", "...", " ", ":x"};
    char padded[200];
    snprintf(padded, sizeof padded, ".git%120s/config", "");
    assert_true(landing_name_is(SLICE(".Crannog\u200b"), ".crannog") && landing_name_begins(SLICE(".cr\u00adannog-x"), ".crannog-"));
    struct stamp file = {.type = STAMP_FILE}, folder = {.type = STAMP_FOLDER}, absent = {.type = STAMP_ABSENT}, link = {.type = STAMP_LINK};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        const char *words = landing_guarded(slice_of(yes[i]), &file);
        if (!words || strncmp(words, "is guarded", 10))
            fail_msg("%s is not guarded", yes[i]);
        assert_non_null(landing_guarded(slice_of(yes[i]), &link));
    }
    assert_non_null(landing_guarded(slice_of(padded), &file));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (landing_guarded(slice_of(no[i]), &file))
            fail_msg("%s is guarded", no[i]);
    assert_null(landing_guarded(SLICE(".git"), &folder));
    assert_non_null(landing_guarded(SLICE(".git"), &absent));
    assert_null(landing_guarded(SLICE(".vscode"), &folder));
    assert_non_null(landing_guarded(SLICE(".git/config"), &absent));
    static const char *const written[] = {".git/index", ".git/logs/HEAD", ".git/COMMIT_EDITMSG", ".git/modules", ".git/objects/info", ".git/refs/heads/main"};
    for (size_t i = 0; i < sizeof written / sizeof *written; i++) { /* git writes there, and a link would say where */
        assert_non_null(landing_guarded(slice_of(written[i]), &link));
        assert_null(landing_guarded(slice_of(written[i]), i == 3 || i == 4 ? &folder : &file));
    }
    assert_non_null(landing_guarded(SLICE("x.git/HEAD"), &absent)); /* what is beside it would not be looked at any more */
    assert_null(landing_guarded(SLICE(".git/index.lock"), &absent));

    fresh(); /* in a landing: left, with all that hangs on it; the rest lands */
    folder_at(root, ".git", 0755);
    put_at(root, ".git/config", "old", 0644);
    put_at(root, ".git/HEAD", "ref", 0644);
    folder_at(root, "sub", 0755);
    folder_at(root, "sub/.git", 0755);
    put_at(root, "sub/.git/HEAD", "ref", 0644);
    folder_at(root, "bare", 0755);
    put_at(root, "bare/HEAD", "ref", 0644);
    put_at(root, "bare/config", "old", 0644);
    put_at(root, "bare/packed-refs", "old", 0644);
    copy_tree(root, wanted);
    put_at(wanted, "bare/config", "new", 0644);
    remove_at(wanted, "bare/packed-refs");
    put_at(wanted, ".git/config", "new", 0644);
    put_at(wanted, ".git/HEAD", "ref2", 0644);
    put_at(wanted, "a", "a", 0644);
    put_at(wanted, ".crannog-0123.slot", "x", 0644);
    remove_at(wanted, "sub/.git");
    put_at(wanted, "sub/.git", "gitdir: /elsewhere", 0644);
    compare();
    struct landing_set s = set_of(&manifest, &wanted, undo);
    struct landed l = land(s);
    assert_int_equal(l.result, LANDING_DONE);
    assert_int_equal(l.nleft, 5); /* .crannog-…, config, that of bare, sub/.git, sub/.git/HEAD */
    assert_true(text_is(root, "bare/config", "old"));
    assert_true(text_is(root, ".git/config", "old") && text_is(root, ".git/HEAD", "ref2") && text_is(root, "a", "a"));
    assert_true(text_is(root, "sub/.git/HEAD", "ref"));
    undo_all(&l);
    assert_tree(root, before_text, WITH_TIMES, "undone");
    new_folder("undo", &undo);
    s.guarded = true;
    manifest = difference(root, wanted, &arena);
    l = land(s);
    assert_int_equal(l.result, LANDING_DONE);
    assert_int_equal(l.nleft, 1);
    assert_true(text_is(root, ".git/config", "new") && text_is(root, "sub/.git", "gitdir: /elsewhere"));
}

static const char *kept_head = "ref: refs/heads/main\n";

/* A repository in which the step has committed. */
static void committed(struct seen seen[2])
{
    fresh();
    folder_at(root, "sub", 0755);
    folder_at(root, "sub/.git", 0755);
    folder_at(root, "sub/.git/refs", 0755);
    folder_at(root, "sub/.git/objects", 0755);
    put_at(root, "sub/.git/HEAD", kept_head, 0644);
    put_at(root, "sub/.git/index", "one", 0644);
    put_at(root, "sub/.git/log", "one", 0644);
    put_at(root, "sub/.git/refs/main", "1", 0644);
    put_at(root, "file", "one", 0644);
    copy_tree(root, wanted);
    put_at(wanted, "sub/.git/objects/2", "two", 0444);
    put_at(wanted, "sub/.git/index", "two", 0644);
    put_at(wanted, "sub/.git/log", "two", 0644);
    put_at(wanted, "sub/.git/refs/main", "2", 0644);
    put_at(wanted, "sub/.git/refs/new", "2", 0644);
    put_at(wanted, "file", "two", 0644);
    age_folders(root);
    age_folders(wanted);
    compare();
    seen[0] = (struct seen){SLICE("sub/.git/HEAD"), look_in(root, SLICE("sub/.git/HEAD"))};
    seen[1] = (struct seen){SLICE("sub/.git/packed-refs"), {.type = STAMP_ABSENT}};
    manifest.seen = seen;
    manifest.nseen = 2;
}

/* A repository is one conflict, told by what a person knows best, whatever of it moved; of its locks nothing stays, and a git
   that is at work is waited for. */
static void test_git_is_a_unit(void **state)
{
    (void)state;
    static const struct {
        const char *path, *told, *why;
    } cases[] = {
        {"sub/.git/refs/main", "sub/.git/refs/main", "was changed by somebody else; a repository lands as a whole"},
        {"sub/.git/refs/new", "sub/.git/refs/new", "exists already; a repository lands as a whole"},
        {"sub/.git/index", "sub/.git/index", "a repository lands as a whole"},
        {"sub/.git/HEAD", "sub/.git/refs/main", "was made where HEAD was another one; a repository"},
        {"sub/.git/packed-refs", "sub/.git/refs/main", "was made where packed-refs was another one; a repository"},
    };
    static const char *const locks[] = {"sub/.git/index.lock", "sub/.git/HEAD.lock", "sub/.git/packed-refs.lock", "sub/.git/refs/main.lock",
                                        "sub/.git/refs/new.lock"};
    struct seen seen[2];
    char text[200];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        committed(seen);
        struct landing_set s = set_of(&manifest, &wanted, undo);
        snprintf(text, sizeof text, "crannog:%.*s", SLICE_ARG(s.name));
        put_at(root, cases[i].path, "by somebody else", 0644);
        if (i == 0) /* as a commit of theirs would */
            put_at(root, "sub/.git/index", "by somebody else", 0644);
        for (size_t k = 0; k < sizeof locks / sizeof *locks; k++) /* of an attempt that died, before somebody moved something */
            assert_int_equal(symlinkat(text, root, locks[k]), 0);
        struct landed l = land(s);
        assert_int_equal(l.result, LANDING_CONFLICT);
        assert_int_equal(l.nleft, 1);
        for (size_t k = 0; k < sizeof locks / sizeof *locks; k++)
            if (fstatat(root, locks[k], &(struct stat){0}, AT_SYMLINK_NOFOLLOW) == 0)
                fail_msg("%s: %s stays", cases[i].path, locks[k]);
        assert_true(slice_is(l.left[0].change->path, cases[i].told));
        if (!strstr(l.left[0].why.p, cases[i].why))
            fail_msg("%s: %s", cases[i].path, l.left[0].why.p);
        age_folders(root);
        char *mine = tree_text(root, WITH_TIMES);
        l = land(s);
        assert_int_equal(l.result, LANDING_CONFLICT);
        assert_tree(root, mine, WITH_TIMES, "nothing landed");
        s.replace = true;
        l = land(s);
        assert_int_equal(l.result, LANDING_DONE);
        assert_true(text_is(root, "sub/.git/refs/main", "2") && text_is(root, "sub/.git/index", "two"));
        undo_all(&l);
        assert_tree(root, mine, WITH_TIMES, "replaced and undone");
        free(mine);
    }
    committed(seen);
    struct landing_set s = set_of(&manifest, &wanted, undo);
    put_at(root, "sub/.git/HEAD", "other", 0644); /* and back, as a checkout may */
    put_at(root, "sub/.git/HEAD", kept_head, 0644);
    struct landed l = land(s);
    assert_int_equal(l.result, LANDING_DONE);
    undo_all(&l);
    committed(seen);
    s = set_of(&manifest, &wanted, undo);
    put_at(root, "sub/.git/index.lock", "", 0644);
    why = (struct error){0};
    assert_int_equal(landing_apply(&s, &arena, &l, &why), ERR_BUSY);
    assert_non_null(strstr(why.text, "index.lock"));
    assert_true(text_is(root, "sub/.git/index", "one") && text_is(root, "file", "one"));
    unlinkat(root, "sub/.git/index.lock", 0);
    l = land(s);
    assert_int_equal(l.result, LANDING_DONE);
    assert_true(text_is(root, "sub/.git/index", "two") && text_is(root, "file", "two"));
    undo_all(&l);
    assert_true(text_is(root, "sub/.git/index", "one") && text_is(root, "sub/.git/refs/main", "1") && text_is(root, "file", "one"));
}

static void test_what_a_broken_manifest_wants(void **state)
{
    (void)state;
    fresh();
    put_at(wanted, "a", "a", 0644);
    folder_at(wanted, ".Crannog", 0755);
    compare();
    struct landed ret;
    struct landing_set s = set_of(&manifest, &wanted, undo);
    assert_int_equal(landing_apply(&s, &arena, &ret, &why), ERR_DENIED);
    assert_tree(root, "", WITH_TIMES, "refused");
    remove_at(wanted, ".Crannog");
    manifest = difference(root, wanted, &arena);
    put_at(wanted, "a", "b", 0644); /* the layer does not hold what was sealed */
    assert_int_equal(landing_apply(&s, &arena, &ret, &why), ERR_CORRUPT);
    assert_tree(root, "", WITH_TIMES, "not the layer");
    unlinkat(wanted, "a", 0);
    assert_int_equal(mkfifoat(wanted, "a", 0644), 0); /* nothing is waited for */
    assert_int_equal(landing_apply(&s, &arena, &ret, &why), ERR_CORRUPT);
    unlinkat(wanted, "a", 0);
    assert_int_equal(symlinkat("/etc/hostname", wanted, "a"), 0);
    assert_int_equal(landing_apply(&s, &arena, &ret, &why), ERR_CORRUPT);
    assert_tree(root, "", WITH_TIMES, "not the layer");
}

/* T3, and an rm -rf that is undone. */
static void test_folders_that_go(void **state)
{
    (void)state;
    fresh();
    folder_at(root, "d", 0755);
    folder_at(root, "d/e", 0711);
    put_at(root, "d/e/\xff\n", "x", 0640);
    assert_int_equal(symlinkat("/nowhere", root, "d/link"), 0);
    put_at(root, "d/a", "a", 0644);
    linkat(root, "d/a", root, "d/b", 0); /* one of several names may go */
    age_folders(root);
    compare();
    struct landing_set s = set_of(&manifest, &wanted, undo);
    struct landed l = land(s);
    assert_int_equal(l.result, LANDING_DONE);
    assert_tree(root, "", WITH_TIMES, "removed");
    undo_all(&l);
    assert_tree(root, before_text, WITH_TIMES, "undone");

    new_folder("undo", &undo);
    manifest = difference(root, wanted, &arena);
    put_at(root, "d/e/mine", "mine", 0644);
    l = land(s);
    assert_int_equal(l.result, LANDING_DONE);
    assert_int_equal(l.nleft, 0);
    assert_true(text_is(root, "d/e/mine", "mine"));
    assert_int_equal(look_in(root, SLICE("d/a")).type, STAMP_ABSENT);
    undo_all(&l);
    assert_true(text_is(root, "d/e/mine", "mine") && text_is(root, "d/a", "a"));
}

/* T6: without `rewind`, a folder keeps the mtime that the landing gave it. */
static void test_rewind(void **state)
{
    (void)state;
    for (int rewind = 0; rewind < 2; rewind++) {
        fresh();
        folder_at(root, "d", 0755);
        put_at(root, "d/a", "a", 0644);
        folder_at(root, "touched", 0755);
        age_folders(root);
        copy_tree(root, wanted);
        put_at(wanted, "d/b", "b", 02755);
        time_at(wanted, "d", 1600000001, 7);
        time_at(wanted, "touched", 1600000002, 7);
        compare();
        struct landing_set s = set_of(&manifest, &wanted, undo);
        s.rewind = rewind;
        struct landed l = land(s);
        struct stamp d = look_in(root, SLICE("d")), t = look_in(root, SLICE("touched"));
        assert_int_equal(look_in(root, SLICE("d/b")).mode, 0755);
        assert_int_equal(t.mtime_ns, 1600000002000000007);
        if (rewind)
            assert_int_equal(d.mtime_ns, 1600000001000000007);
        else
            assert_true(d.mtime_ns > 1700000000000000000);
        undo_all(&l);
        assert_tree(root, before_text, WITH_TIMES, "undone");
    }
}

static void test_holes_stay_holes(void **state)
{
    (void)state;
    fresh();
    const off_t size = (off_t)4 << 30;
    struct stat st;
    int fd = openat(wanted, "sparse", O_WRONLY | O_CREAT, 0644);
    if (ftruncate(fd, size) < 0 || pwrite(fd, "data", 4, (off_t)1 << 31) != 4)
        skip(); /* no room for it here */
    close(fd);
    struct stamp seen;
    assert_int_equal(stamp_look(wanted, SLICE("sparse"), NULL, &seen, &why), OK);
    struct change c = {.path = SLICE("sparse"), .after = seen};
    manifest = (struct manifest){.v = &c, .n = 1};
    int64_t from = sys->boottime_ns();
    struct landed l = land(set_of(&manifest, &wanted, undo));
    print_message("4 GiB of holes: %.1f s\n", (double)(sys->boottime_ns() - from) / 1e9);
    assert_int_equal(l.result, LANDING_DONE);
    assert_int_equal(fstatat(root, "sparse", &st, 0), 0);
    assert_int_equal(st.st_size, size);
    assert_true(st.st_blocks < 4096);
    char got[4];
    fd = openat(root, "sparse", O_RDONLY);
    assert_int_equal(pread(fd, got, 4, (off_t)1 << 31), 4);
    assert_memory_equal(got, "data", 4);
    close(fd);
}

/* Large enough for copy_file_range, with data at both ends; and where that call is refused. */
static ssize_t no_copy(int a, off_t *x, int b, off_t *y, size_t n)
{
    (void)a, (void)x, (void)b, (void)y, (void)n;
    errno = EXDEV;
    return -1;
}

static void test_large_files(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        fresh();
        int fd = openat(wanted, "large", O_WRONLY | O_CREAT, 0644);
        char block[4096];
        for (int k = 0; k < 600; k++) {
            memset(block, k, sizeof block);
            assert_int_equal(pwrite(fd, block, sizeof block - 5, (off_t)k * 8192), sizeof block - 5);
        }
        close(fd);
        compare();
        struct sys by_hand = *sys;
        const struct sys *old = sys;
        by_hand.copy_file_range = no_copy;
        sys = i ? &by_hand : sys;
        struct landed l = land(set_of(&manifest, &wanted, undo));
        sys = old;
        char *after = tree_text(wanted, WITHOUT_FOLDER_TIMES);
        assert_tree(root, after, WITHOUT_FOLDER_TIMES, "large");
        free(after);
        undo_all(&l);
        assert_tree(root, "", WITHOUT_FOLDER_TIMES, "undone");
    }
}

/* What cannot be read, or is open for writing, is said before anything changes. */
static void test_said_before_anything_changes(void **state)
{
    (void)state;
    fresh();
    put_at(root, "a", "a", 0644);
    put_at(root, "z", "z", 0644);
    folder_at(root, "d", 0755);
    copy_tree(root, wanted);
    put_at(wanted, "a", "a2", 0644);
    put_at(wanted, "z", "z2", 0644);
    put_at(wanted, "d/new", "new", 0644);
    folder_at(wanted, "new", 0755);
    compare();
    struct landed ret;
    struct landing_set s = set_of(&manifest, &wanted, undo);
    int editor = openat(root, "z", O_RDWR);
    assert_int_equal(landing_apply(&s, &arena, &ret, &why), ERR_BUSY);
    assert_non_null(strstr(why.text, "z is open for writing"));
    assert_tree(root, before_text, WITH_TIMES, "busy");
    close(editor);
    if (geteuid() == 0) {
        assert_int_equal(fchmodat(root, "z", 0, 0), 0);
        assert_int_equal(fchmod(world, 0755) | fchmod(root, 0777) | fchmod(undo, 0777), 0);
        assert_int_equal(seteuid(65534), 0);
        enum err err = landing_apply(&s, &arena, &ret, &why);
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(err, ERR_DENIED);
        assert_non_null(strstr(why.text, "z: "));
        assert_int_equal(fchmodat(root, "z", 0644, 0), 0);
        assert_int_equal(fchmod(root, 0755), 0);
        assert_tree(root, before_text, WITH_TIMES, "unreadable");
    }
    assert_int_equal(landing_apply(&s, &arena, &ret, &why), OK);
    assert_int_equal(ret.result, LANDING_DONE);
}

/* ---- through the applet ---- */

static enum err run_apply(struct slice args, struct buf *reply)
{
    for (size_t i = 0; i < inside_napplets; i++)
        if (!strcmp(inside_applets[i].name, "apply"))
            return inside_applets[i].run(args, reply, &why);
    fail();
    return OK;
}

static void args_of(struct buf *ret, const char *root_name, const char *undo_name, const struct manifest *m, unsigned flags)
{
    BUF_CLEANUP struct buf bytes = BUF_INIT(MANIFEST_BYTES_MAX);
    char paths[3][128];
    snprintf(paths[0], sizeof paths[0], "%s/%s", world_path, root_name);
    snprintf(paths[1], sizeof paths[1], "%s/wanted", world_path);
    snprintf(paths[2], sizeof paths[2], "%s/%s", world_path, undo_name);
    struct slice folder = slice_of(paths[1]);
    manifest_encode(m, &bytes);
    apply_args(ret, slice_of(paths[0]), buf_slice(&bytes), &folder, 1, slice_of(paths[2]), SLICE("r.b.1"), flags);
}

static void test_applet(void **state)
{
    (void)state;
    fresh();
    BUF_CLEANUP struct buf args = BUF_INIT(1 << 20);
    BUF_CLEANUP struct buf reply = BUF_INIT(1 << 20);
    ARENA_CLEANUP struct arena a = ARENA_INIT(ARENA_BYTES);
    for (int i = 0; i < 150; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%03d", i);
        put_at(wanted, name, name, 0644);
        put_at(root, name, "in the way", 0644);
    }
    put_at(wanted, "a", "a", 0644);
    put_at(wanted, ".envrc", "evil", 0644);
    int empty = -1;
    new_folder("empty", &empty);
    manifest = difference(empty, wanted, &arena);
    close(empty);
    args_of(&args, "root", "undo", &manifest, 0);
    assert_int_equal(run_apply(buf_slice(&args), &reply), OK);
    struct apply_landed l;
    assert_int_equal(apply_reply(buf_slice(&reply), &a, &l, &why), OK);
    assert_int_equal(l.result, LANDING_CONFLICT);
    assert_int_equal(l.left_count, 150);
    assert_int_equal(l.nleft, APPLY_LEFT_MAX);
    assert_true(slice_is(l.left[7].change.path, "f007") && l.left[7].change.before.size == 10 && l.left[7].change.after.size == 4);
    assert_true(slice_is(l.left[7].why, "exists already"));
    assert_int_equal(l.undo.n, 0);
    for (size_t cut = 0; cut < reply.n; cut += 97) /* no beginning of a reply is one */
        assert_int_equal(apply_reply(slice_sub(buf_slice(&reply), 0, cut), &a, &l, &why), ERR_CORRUPT);
    buf_reset(&args);
    buf_reset(&reply);
    args_of(&args, "root", "undo", &manifest, APPLY_REPLACE);
    assert_int_equal(run_apply(buf_slice(&args), &reply), OK);
    assert_int_equal(apply_reply(buf_slice(&reply), &a, &l, &why), OK);
    assert_int_equal(l.result, LANDING_DONE);
    assert_int_equal(l.undo.n, 151);
    assert_int_equal(l.nleft, 1);
    assert_true(slice_is(l.left[0].change.path, ".envrc"));
    assert_int_equal(run_apply(SLICE("junk"), &reply), ERR_CORRUPT);
    manifest.v[0].layer = 1; /* which nobody gave */
    buf_reset(&args);
    args_of(&args, "root", "undo", &manifest, 0);
    assert_int_equal(run_apply(buf_slice(&args), &reply), ERR_CORRUPT);
}

/* Two crannogs land at once, over the same files and some of their own: one after the other, so that one is a conflict
   as a whole, and never a mixture. */
static void test_two_at_once(void **state)
{
    (void)state;
    for (int round = 0; round < 8; round++) {
        fresh();
        for (int i = 0; i < 30; i++) {
            char name[16];
            snprintf(name, sizeof name, "f%03d", i);
            put_at(root, name, "old", 0644);
            put_at(wanted, name, "new", 0644);
        }
        int undo2 = -1;
        new_folder("undo2", &undo2);
        manifest = difference(root, wanted, &arena);
        pid_t pids[2];
        for (int k = 0; k < 2; k++) {
            pids[k] = fork();
            if (pids[k] == 0) {
                BUF_CLEANUP struct buf args = BUF_INIT(1 << 20);
                BUF_CLEANUP struct buf reply = BUF_INIT(1 << 20);
                struct apply_landed l;
                for (size_t i = 0; k && i < manifest.n; i++) /* the other wants other modes */
                    manifest.v[i].after.mode = 0600;
                args_of(&args, "root", k ? "undo2" : "undo", &manifest, 0);
                bool ok = run_apply(buf_slice(&args), &reply) == OK && apply_reply(buf_slice(&reply), &arena, &l, NULL) == OK;
                _exit(!ok ? 2 : l.result == LANDING_DONE ? 0 : l.undo.n ? 3 : 1);
            }
        }
        int status[2];
        for (int k = 0; k < 2; k++) {
            assert_int_equal(waitpid(pids[k], &status[k], 0), pids[k]);
            assert_true(WIFEXITED(status[k]) && WEXITSTATUS(status[k]) < 2);
        }
        assert_int_equal(WEXITSTATUS(status[0]) + WEXITSTATUS(status[1]), 1);
        struct lines l = walk(root);
        assert_int_equal(l.n, 30);
        for (size_t i = 0; i < l.n; i++)
            assert_int_equal(l.v[i].s.mode, WEXITSTATUS(status[0]) ? 0600 : 0644);
        lines_free(&l);
        world_empty(undo2);
        close(undo2);
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

static int teardown(void **state)
{
    arena_release(&arena);
    free(before_text);
    unlock(world);
    return world_remove(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_trees),
        cmocka_unit_test(test_one_conflict_and_nothing_lands),
        cmocka_unit_test(test_attributes), cmocka_unit_test(test_replace),
        cmocka_unit_test(test_guarded),
        cmocka_unit_test(test_git_is_a_unit),
        cmocka_unit_test(test_what_a_broken_manifest_wants),
        cmocka_unit_test(test_folders_that_go),
        cmocka_unit_test(test_rewind),
        cmocka_unit_test(test_holes_stay_holes),
        cmocka_unit_test(test_large_files),
        cmocka_unit_test(test_said_before_anything_changes),
        cmocka_unit_test(test_applet),
        cmocka_unit_test(test_two_at_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
