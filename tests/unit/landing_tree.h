/*
 * Trees for the tests of landing a set. Four folders lie in the world: root, wanted (what root shall become; it serves as
 * the layer, for it holds everything at its own path), undo, and start (what root was). A manifest is what differs
 * between two of them; a tree is compared as text, a line a path.
 */
#ifndef CRANNOG_TESTS_LANDING_TREE_H
#define CRANNOG_TESTS_LANDING_TREE_H

#include "landing_world.h"

enum { ARENA_BYTES = 64 * 1024 * 1024 };

static int root = -1, wanted = -1, undo = -1;

static inline int open_folder_at(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (fd < 0)
        fail_msg("cannot open the folder %s: %s", name, strerror(errno));
    return fd;
}

/* Plain calls on a path below a folder; parents must be there. */
static inline void put_at(int at, const char *path, const char *text, mode_t mode)
{
    int fd = openat(at, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    if (fd < 0)
        fail_msg("cannot write %s: %s", path, strerror(errno));
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static inline void folder_at(int at, const char *path, mode_t mode)
{
    assert_int_equal(mkdirat(at, path, 0700), 0);
    assert_int_equal(fchmodat(at, path, mode, 0), 0);
}

static inline void time_at(int at, const char *path, int64_t s, int64_t ns)
{
    struct timespec t[2] = {{.tv_sec = s, .tv_nsec = ns}, {.tv_sec = s, .tv_nsec = ns}};
    assert_int_equal(utimensat(at, path, t, AT_SYMLINK_NOFOLLOW), 0);
}

/* ---- a tree as text ---- */

struct line {
    char *path;
    struct stamp s;
};
struct lines {
    struct line *v;
    size_t n, cap;
};

static inline void lines_free(struct lines *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i].path);
    free(l->v);
    *l = (struct lines){0};
}

static inline void walk_into(int at, const char *prefix, struct lines *ret)
{
    DIR *d = fdopendir(openat(at, ".", O_RDONLY | O_DIRECTORY));
    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d));) {
        if (!strcmp(f->d_name, ".") || !strcmp(f->d_name, ".."))
            continue;
        if (ret->n == ret->cap)
            ret->v = realloc(ret->v, (ret->cap = ret->cap * 2 + 64) * sizeof *ret->v);
        struct line *line = &ret->v[ret->n++];
        size_t bytes = strlen(prefix) + strlen(f->d_name) + 2;
        line->path = malloc(bytes);
        snprintf(line->path, bytes, "%s%s%s", prefix, *prefix ? "/" : "", f->d_name);
        struct error e = {0};
        if (stamp_look(at, slice_of(f->d_name), NULL, &line->s, &e))
            fail_msg("%s: %s", line->path, e.text);
        if (line->s.type == STAMP_FOLDER) {
            char *path = line->path;
            int sub = open_folder_at(at, f->d_name);
            walk_into(sub, path, ret);
            close(sub);
        }
    }
    closedir(d);
}

static inline int line_cmp(const void *a, const void *b)
{
    return manifest_path_cmp(slice_of(((const struct line *)a)->path), slice_of(((const struct line *)b)->path));
}

static inline struct lines walk(int at)
{
    struct lines l = {0};
    walk_into(at, "", &l);
    if (l.n)
        qsort(l.v, l.n, sizeof *l.v, line_cmp);
    return l;
}

enum { WITH_TIMES = 1, WITHOUT_FOLDER_TIMES = 0 };

static inline char *tree_text(int at, int how)
{
    struct lines l = walk(at);
    size_t n = 1;
    for (size_t i = 0; i < l.n; i++)
        n += strlen(l.v[i].path) + 160;
    char *text = calloc(n, 1), *p = text;
    for (size_t i = 0; i < l.n; i++) {
        const struct stamp *s = &l.v[i].s;
        char hex[HASH_HEX + 1];
        hash_hex(&s->hash, hex);
        hex[12] = '\0';
        bool folder = s->type == STAMP_FOLDER;
        p += snprintf(p, n - (size_t)(p - text), "%s type %d mode %o size %llu hash %s mtime %lld\n", l.v[i].path, s->type,
                     s->type == STAMP_LINK ? 0777 : s->mode, folder ? 0ull : (unsigned long long)s->size, folder ? "-" : hex,
                     folder && !how ? 0ll : (long long)s->mtime_ns);
    }
    lines_free(&l);
    return text;
}

static inline bool tree_is(int at, const char *text, int how)
{
    char *is = tree_text(at, how);
    bool same = !strcmp(is, text);
    free(is);
    return same;
}

static inline void assert_tree(int at, const char *text, int how, const char *what)
{
    char *is = tree_text(at, how);
    if (strcmp(is, text)) {
        size_t same = 0;
        while (is[same] && is[same] == text[same])
            same++;
        while (same && is[same - 1] != '\n')
            same--;
        fail_msg("%s: is\n%.300s\nshould be\n%.300s", what, is + same, text + same);
    }
    free(is);
}

/* ---- a manifest: what differs between two trees ---- */

static inline bool differs(const struct stamp *a, const struct stamp *b)
{
    return a->type != b->type || a->mtime_ns != b->mtime_ns || (a->type != STAMP_LINK && a->mode != b->mode) ||
           (a->type != STAMP_FOLDER && (a->size != b->size || !hash_eq(&a->hash, &b->hash)));
}

static inline struct manifest difference(int from, int to, struct arena *a)
{
    struct lines x = walk(from), y = walk(to);
    struct manifest m = {.v = arena_array(a, x.n + y.n + 1, sizeof(struct change))};
    assert_non_null(m.v);
    for (size_t i = 0, k = 0; i < x.n || k < y.n;) {
        int order = i == x.n ? 1 : k == y.n ? -1 : line_cmp(&x.v[i], &y.v[k]);
        struct change c = {.path = slice_of(arena_str(a, slice_of(order <= 0 ? x.v[i].path : y.v[k].path)))};
        if (order <= 0)
            c.before = x.v[i++].s;
        if (order >= 0)
            c.after = y.v[k++].s;
        if (differs(&c.before, &c.after))
            m.v[m.n++] = c;
    }
    lines_free(&x);
    lines_free(&y);
    return m;
}

/* A copy with modes and times, by plain calls. */
static inline void copy_tree(int from, int to)
{
    DIR *d = fdopendir(openat(from, ".", O_RDONLY | O_DIRECTORY));
    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d));) {
        struct stat st;
        char text[4096];
        if (!strcmp(f->d_name, ".") || !strcmp(f->d_name, ".."))
            continue;
        assert_int_equal(fstatat(from, f->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
        if (S_ISDIR(st.st_mode)) {
            assert_int_equal(mkdirat(to, f->d_name, 0700), 0);
            int x = open_folder_at(from, f->d_name), y = open_folder_at(to, f->d_name);
            copy_tree(x, y);
            close(x);
            close(y);
        } else if (S_ISLNK(st.st_mode)) {
            ssize_t n = readlinkat(from, f->d_name, text, sizeof text - 1);
            text[n] = '\0';
            assert_int_equal(symlinkat(text, to, f->d_name), 0);
        } else {
            int x = openat(from, f->d_name, O_RDONLY), y = openat(to, f->d_name, O_WRONLY | O_CREAT | O_EXCL, 0600);
            for (ssize_t n; (n = read(x, text, sizeof text)) > 0;)
                assert_int_equal(write(y, text, (size_t)n), n);
            close(x);
            close(y);
        }
        if (!S_ISLNK(st.st_mode))
            assert_int_equal(fchmodat(to, f->d_name, st.st_mode & 07777, 0), 0);
        struct timespec t[2] = {st.st_atim, st.st_mtim};
        assert_int_equal(utimensat(to, f->d_name, t, AT_SYMLINK_NOFOLLOW), 0);
    }
    closedir(d);
}

/* ---- the folders ---- */

static inline void new_folder(const char *name, int *fd)
{
    int old = openat(world, name, O_RDONLY | O_DIRECTORY);
    if (old >= 0) {
        world_empty(old);
        close(old);
    } else {
        assert_int_equal(mkdirat(world, name, 0755), 0);
    }
    if (*fd < 0)
        *fd = open_folder_at(world, name);
    time_at(world, name, 1700000000, 5); /* no longer marked as whole, if it was an undo folder */
}

static inline void new_folders(void)
{
    new_folder("root", &root);
    new_folder("wanted", &wanted);
    new_folder("undo", &undo);
}

#endif
