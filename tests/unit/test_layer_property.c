/*
 * Layers against plain trees: the same random file operations are done in a step's view (an overlay with the layers so far
 * and an upper, or a copy) and in a plain copy of the root. Then
 *
 *   sealed     the manifest names exactly the paths in which the plain tree differs from what it was before the step (Z1),
 *              with what the root has there as `before` and what the plain tree has as `after`; encoded and decoded
 *   flattened  1 to 4 manifests together, applied to the root by the simplest applier there is, give the plain tree
 *   squashed   one layer over the root shows the plain tree, and squashing again changes nothing
 *   copied     the copy that a step starts from is the plain tree
 *
 * A tree is type, mode, content, link text, mtime of files and links, for every path. Operations: write, append, truncate,
 * rename, unlink, mkdir, rmdir, rm -rf, symlink, link, chmod, utimes, changes of type, FIFOs, sparse files, files opened and
 * left, modes changed and put back, folders moved, folders made anew with the same in them; names not UTF-8, with newlines,
 * of 255 bytes.
 *
 * Ordinary runs take some seconds from a fixed seed; CRANNOG_LAYER_SECONDS and CRANNOG_LAYER_SEED change that.
 *
 * Planted and caught, one at a time: opaque not looked at; the layers below not looked at; a folder in one that hides what
 * was, taken for one that merges (a real one: an upper made by hand found it first); mtime not compared; a mode not put back;
 * whiteouts in folders that do not merge; a squash with the attributes of the oldest; copies with holes filled, and with the
 * root's mode where a layer changed it.
 */
#include "layer_world.h"

#include "layers/copy.h"
#include "layers/seal.h"
#include "layers/squash.h"

enum { ARENA = 256 * 1024 * 1024, STEPS_MAX = 4, SECONDS = 2 };

static uint64_t seed;

static unsigned roll(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((seed >> 33) % n);
}

/* ---- operations, each the same wherever it is done ---- */

struct op {
    unsigned kind, a, b, c;
    char path[1024], other[1024];
    bool readable; /* of the root, all can be read */
};

static char long_name[256];

static void random_path(char ret[1024])
{
    static const char *const names[] = {"a", "b", "c.txt", "\xff\xfe", "new\nline", "d", long_name};
    size_t n = 0;
    for (unsigned depth = 1 + roll(3); depth; depth--)
        n += (size_t)snprintf(ret + n, 1024 - n, "%s%s", n ? "/" : "", names[roll(depth > 1 ? 3 : 7)]);
}

enum {
    WRITE, APPEND, TRUNCATE, RENAME, UNLINK, MKDIR, RMDIR, RM_RF, SYMLINK, LINK, CHMOD, UTIMES, RETYPE, OPEN, CHMOD_BACK,
    FIFO, MOVE, SPARSE, ANEW, KINDS,
};

static struct op random_op(bool readable)
{
    struct op o = {.kind = roll(KINDS), .a = roll(1000), .b = roll(1000), .c = roll(1000), .readable = readable};
    if (roll(3) == 0)
        o.kind = roll(2) ? WRITE : MKDIR;
    else if (roll(8) == 0)
        o.kind = ANEW;
    random_path(o.path);
    random_path(o.other);
    return o;
}

static int result(int r)
{
    return r < 0 ? errno : 0;
}

static bool copying; /* the round is one of copies, which have no setuid bits */

static mode_t file_mode(const struct op *o)
{
    static const mode_t modes[] = {0644, 0600, 0755, 0444, 04755, 02755, 0000, 0200};
    return modes[o->b % (o->readable ? 6 : 8)] & (copying ? 01777 : 07777);
}

static mode_t folder_mode(const struct op *o)
{
    static const mode_t modes[] = {0755, 0700, 0775, 01777, 0555, 0000, 0300};
    return modes[o->b % (o->readable ? 4 : 7)];
}

static void give_time(int at, const char *path, unsigned what)
{
    struct timespec t[2] = {{.tv_sec = 1}, {.tv_sec = (time_t)(what % 5) - 1 + 1000000, .tv_nsec = what * 1000}};
    utimensat(at, path, t, AT_SYMLINK_NOFOLLOW);
}

static int write_file(int at, const char *path, const struct op *o, int flags)
{
    char text[400];
    int fd = openat(at, path, flags | O_WRONLY | O_NOFOLLOW | O_NONBLOCK, 0644);
    if (fd < 0)
        return errno;
    int n = snprintf(text, sizeof text, "%*u", (int)(o->a % 300), o->c);
    assert_int_equal(write(fd, text, (size_t)n), n);
    fchmod(fd, file_mode(o));
    close(fd);
    give_time(at, path, o->c);
    return 0;
}

static int rm_rf(int at, const char *path)
{
    struct stat st;
    if (fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno;
    if (S_ISDIR(st.st_mode)) {
        int fd = openat(at, path, O_RDONLY | O_DIRECTORY);
        assert_true(fd >= 0);
        world_empty(fd);
        close(fd);
    }
    return result(unlinkat(at, path, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0));
}

/* As `cp -a`, with hard links broken. */
static void cp(int from, const char *name, int to, const char *new_name)
{
    struct stat st;
    char text[4096];
    assert_int_equal(fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    if (S_ISDIR(st.st_mode)) {
        assert_true(mkdirat(to, new_name, 0700) == 0 || errno == EEXIST);
        int a = openat(from, name, O_RDONLY | O_DIRECTORY), b = openat(to, new_name, O_RDONLY | O_DIRECTORY);
        DIR *d = fdopendir(dup(a));
        assert_non_null(d);
        rewinddir(d);
        for (struct dirent *f; (f = readdir(d));)
            if (strcmp(f->d_name, ".") && strcmp(f->d_name, ".."))
                cp(a, f->d_name, b, f->d_name);
        closedir(d);
        fchmod(b, st.st_mode & 07777);
        close(a), close(b);
    } else if (S_ISLNK(st.st_mode)) {
        ssize_t n = readlinkat(from, name, text, sizeof text - 1);
        text[n] = '\0';
        assert_int_equal(symlinkat(text, to, new_name), 0);
    } else if (S_ISREG(st.st_mode)) {
        int a = openat(from, name, O_RDONLY), b = openat(to, new_name, O_WRONLY | O_CREAT | O_EXCL, 0600);
        assert_true(a >= 0 && b >= 0);
        for (ssize_t n; (n = read(a, text, sizeof text)) > 0;)
            assert_int_equal(write(b, text, (size_t)n), n);
        fchmod(b, st.st_mode & 07777);
        close(a), close(b);
    } else
        return; /* a FIFO goes where it goes, and is not kept */
    utimensat(to, new_name, times, AT_SYMLINK_NOFOLLOW);
}

static bool exists(int at, const char *path, struct stat *st)
{
    return fstatat(at, path, st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int move_folder(int at, const struct op *o)
{
    struct stat st;
    size_t n = strlen(o->path);
    if (!exists(at, o->path, &st) || !S_ISDIR(st.st_mode))
        return rename(o->path, o->path) ? ENOTDIR : 0;
    if (exists(at, o->other, &st) || (!strncmp(o->other, o->path, n) && o->other[n] == '/'))
        return EEXIST;
    char parent[1024];
    snprintf(parent, sizeof parent, "%s", o->other);
    char *slash = strrchr(parent, '/');
    if (slash)
        *slash = '\0';
    if (slash && (!exists(at, parent, &st) || !S_ISDIR(st.st_mode)))
        return ENOENT;
    cp(at, o->path, at, o->other);
    return rm_rf(at, o->path);
}

static int sparse_file(int at, const struct op *o)
{
    int fd = openat(at, o->path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0644);
    if (fd < 0)
        return errno;
    off_t size = 100000 + (off_t)o->a * 50;
    int r = result(ftruncate(fd, size));
    if (!r && o->c % 2)
        assert_int_equal(pwrite(fd, "end", 3, size - 3), 3);
    if (!r && o->c % 3)
        assert_int_equal(pwrite(fd, "middle", 6, size / 2), 6);
    fchmod(fd, 0644);
    close(fd);
    give_time(at, o->path, o->c);
    return r;
}

/* rm -rf d; mkdir d; and some of what was in it made again, the same to the last nanosecond or not quite. */
static int anew(int at, const struct op *o)
{
    struct stat st;
    if (!exists(at, o->path, &st) || !S_ISDIR(st.st_mode))
        return ENOTDIR;
    cp(at, o->path, world, "anew");
    assert_int_equal(rm_rf(at, o->path), 0);
    assert_int_equal(mkdirat(at, o->path, o->a % 2 ? st.st_mode & 07777 : folder_mode(o)), 0);
    fchmodat(at, o->path, o->a % 2 ? st.st_mode & 07777 : folder_mode(o), 0);
    int from = openat(world, "anew", O_RDONLY | O_DIRECTORY), to = openat(at, o->path, O_RDONLY | O_DIRECTORY);
    struct dirent **v;
    int n = scandirat(world, "anew", &v, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        bool sub = exists(from, v[i]->d_name, &st) && S_ISDIR(st.st_mode);
        if (!strcmp(v[i]->d_name, ".") || !strcmp(v[i]->d_name, "..") || (o->b + (unsigned)i) % 3 == 0)
            ; /* this one is not made again */
        else if (sub && (o->c + (unsigned)i) % 2)
            assert_int_equal(mkdirat(to, v[i]->d_name, st.st_mode & 07777), 0); /* empty */
        else
            cp(from, v[i]->d_name, to, v[i]->d_name);
        free(v[i]);
    }
    free(v);
    close(from), close(to);
    return rm_rf(world, "anew");
}

static int play(int at, const struct op *o)
{
    struct stat st;
    bool there = exists(at, o->path, &st);
    bool link = there && S_ISLNK(st.st_mode), special = there && S_ISFIFO(st.st_mode), folder_there = there && S_ISDIR(st.st_mode);
    int fd, r;
    switch (o->kind) {
    case WRITE: return special ? 0 : write_file(at, o->path, o, O_CREAT | O_TRUNC);
    case APPEND: return special ? 0 : write_file(at, o->path, o, O_APPEND);
    case SPARSE: return special ? 0 : sparse_file(at, o);
    case TRUNCATE:
        fd = special ? -1 : openat(at, o->path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
            return special ? 0 : errno;
        r = result(ftruncate(fd, o->a % 100));
        fchmod(fd, file_mode(o));
        close(fd);
        give_time(at, o->path, o->c);
        return r;
    case RENAME: return folder_there || !there ? ENOENT : result(renameat(at, o->path, at, o->other));
    case UNLINK: return result(unlinkat(at, o->path, 0));
    case MKDIR:
        r = result(mkdirat(at, o->path, 0755));
        return r || fchmodat(at, o->path, folder_mode(o), 0);
    case RMDIR: return result(unlinkat(at, o->path, AT_REMOVEDIR));
    case RM_RF: return rm_rf(at, o->path);
    case SYMLINK:
        r = result(symlinkat(o->other, at, o->path));
        if (!r)
            give_time(at, o->path, o->c);
        return r;
    case LINK: return result(linkat(at, o->path, at, o->other, 0));
    case CHMOD: return link ? 0 : result(fchmodat(at, o->path, folder_there ? folder_mode(o) : file_mode(o), 0));
    case UTIMES:
        if (there)
            give_time(at, o->path, o->c);
        return there;
    case OPEN:
        fd = special || folder_there ? -1 : openat(at, o->path, O_RDWR | O_NOFOLLOW);
        close(fd);
        return fd >= 0;
    case CHMOD_BACK:
        if (there && !link)
            fchmodat(at, o->path, 0755, 0), fchmodat(at, o->path, st.st_mode & 07777, 0);
        return there;
    case RETYPE:
        if (there)
            rm_rf(at, o->path);
        if (o->a % 3 == 0)
            return write_file(at, o->path, o, O_CREAT);
        if (o->a % 3 == 1)
            return result(mkdirat(at, o->path, 0755));
        r = result(symlinkat("a", at, o->path));
        if (!r)
            give_time(at, o->path, o->c);
        return r;
    case FIFO: return o->readable ? 0 : result(mkfifoat(at, o->path, 0644));
    case MOVE: return move_folder(at, o);
    default: return anew(at, o);
    }
}

/* ---- trees compared ---- */

static bool same(const struct stamp *a, const struct stamp *b)
{
    if (a->type != b->type)
        return false;
    if (a->type == STAMP_ABSENT)
        return true;
    if (a->type == STAMP_FOLDER)
        return a->mode == b->mode;
    return a->mode == b->mode && a->size == b->size && a->mtime_ns == b->mtime_ns && hash_eq(&a->hash, &b->hash);
}

static struct stamp at_path(const struct manifest *tree, struct slice path)
{
    const struct change *c = manifest_find(tree, path);
    return c ? c->after : (struct stamp){.type = STAMP_ABSENT};
}

static unsigned long long round_seed;

static void say(const char *what, const char *why, struct slice path, const struct stamp *a, const struct stamp *b)
{
    fail_msg("seed %llu: %s: %s: %.*s: type %d mode %o size %llu mtime %lld, should be type %d mode %o size %llu mtime %lld", round_seed,
             what, why, SLICE_ARG(path), a->type, a->mode, (unsigned long long)a->size, (long long)a->mtime_ns, b->type, b->mode,
             (unsigned long long)b->size, (long long)b->mtime_ns);
}

static void same_tree(const char *what, const struct manifest *is, const struct manifest *should)
{
    for (size_t i = 0; i < is->n; i++) {
        struct stamp want = at_path(should, is->v[i].path);
        if (!same(&is->v[i].after, &want))
            say(what, "differs", is->v[i].path, &is->v[i].after, &want);
    }
    for (size_t i = 0; i < should->n; i++)
        if (!manifest_find(is, should->v[i].path)) {
            struct stamp none = {.type = STAMP_ABSENT};
            say(what, "missing", should->v[i].path, &none, &should->v[i].after);
        }
}

/* Z1, N2, N3: `m` names what is different between two trees, and nothing else. */
static void same_changes(const struct manifest *m, const struct manifest *root, const struct manifest *was, const struct manifest *is)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct change *c = &m->v[i];
        struct stamp r = at_path(root, c->path), a = at_path(was, c->path), b = at_path(is, c->path);
        if (same(&a, &b))
            say("seal", "named without a change", c->path, &c->after, &b);
        if (!same(&c->after, &b))
            say("seal", "after", c->path, &c->after, &b);
        if (!same(&c->before, &r))
            say("seal", "before", c->path, &c->before, &r);
    }
    for (int k = 0; k < 2; k++) {
        const struct manifest *tree = k ? is : was;
        for (size_t i = 0; i < tree->n; i++) {
            struct stamp a = at_path(was, tree->v[i].path), b = at_path(is, tree->v[i].path);
            if (!same(&a, &b) && !manifest_find(m, tree->v[i].path))
                say("seal", "not named", tree->v[i].path, &a, &b);
        }
    }
}

/* A link stands where one of the folders on the way was. */
static bool behind_link(int tree, struct slice path)
{
    char way[1024];
    struct stat st;
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '/') {
            way[i] = '\0';
            if (exists(tree, way, &st) && S_ISLNK(st.st_mode))
                return true;
        }
        way[i] = path.p[i];
    }
    return false;
}

/* The simplest applier. */
static void apply(int tree, const struct manifest *m, const int *folders)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct change *c = &m->v[i];
        struct stat st;
        bool there = !behind_link(tree, c->path) && exists(tree, c->path.p, &st);
        if (there && !(S_ISDIR(st.st_mode) && c->after.type == STAMP_FOLDER))
            rm_rf(tree, c->path.p);
        if (c->after.type == STAMP_FOLDER) {
            if (!there || !S_ISDIR(st.st_mode))
                assert_int_equal(mkdirat(tree, c->path.p, 0700), 0);
            assert_int_equal(fchmodat(tree, c->path.p, c->after.mode, 0), 0);
        } else if (c->after.type != STAMP_ABSENT)
            cp(folders[c->layer], c->path.p, tree, c->path.p);
    }
}

/* What no layer keeps goes from the plain tree too, and hard links end with their step (overlay breaks them then). */
static void settle_plain(void)
{
    close(folder("plain-2"));
    cp(world, "plain", world, "plain-2");
    assert_int_equal(rm_rf(world, "plain"), 0);
    assert_int_equal(renameat(world, "plain-2", world, "plain"), 0);
}

/* ---- a round ---- */

struct round {
    struct arena a;
    struct manifest root, plain; /* trees */
    struct manifest m[STEPS_MAX], flat;
    int folders[STEPS_MAX], root_fd;
    size_t steps;
};

static struct manifest reread(struct round *r, const struct manifest *m)
{
    struct buf bytes = BUF_INIT(MANIFEST_BYTES_MAX);
    struct manifest ret;
    manifest_encode(m, &bytes);
    assert_int_equal(manifest_decode(arena_copy(&r->a, buf_slice(&bytes)), &r->a, &ret, NULL), OK);
    for (size_t i = 0; i < ret.n; i++) /* with a NUL behind each path, for the plain calls */
        ret.v[i].path = arena_copy(&r->a, ret.v[i].path);
    buf_release(&bytes);
    return ret;
}

static void ok(const char *what, enum err err, const struct error *e)
{
    if (err)
        fail_msg("seed %llu: %s: %s", round_seed, what, e->text);
}

static void flatten(struct round *r)
{
    struct error e = {0};
    ok("flatten", manifest_flatten(r->m, r->steps, &r->a, &r->flat, &e), &e);
}

static void play_both(int view, unsigned n)
{
    int plain = openat(world, "plain", O_RDONLY | O_DIRECTORY);
    for (; n; n--) {
        struct op o = random_op(false);
        int a = play(view, &o), b = play(plain, &o);
        if (a != b)
            fail_msg("seed %llu: operation %u on %s, %s: %s here, %s there", round_seed, o.kind, o.path, o.other, strerror(a), strerror(b));
    }
    close(plain);
}

static void lower_list(const struct round *r, char *ret, size_t size)
{
    size_t n = 0;
    for (size_t i = r->steps; i; i--)
        n += (size_t)snprintf(ret + n, size - n, "up%zu:", i - 1);
    snprintf(ret + n, size - n, "root");
}

static void step_overlay(struct round *r, struct sealed *ret)
{
    char lower[256], up[16];
    struct error e = {0};
    lower_list(r, lower, sizeof lower);
    snprintf(up, sizeof up, "up%zu", r->steps);
    int layer = folder(up);
    close(folder("work"));
    overlay_mount(lower, up, "work", "view");
    int view = openat(world, "view", O_RDONLY | O_DIRECTORY);
    play_both(view, 1 + roll(14));
    close(view);
    overlay_unmount("view");
    rm_rf(world, "work");
    struct seal s = {.root = r->root_fd, .layer = layer, .began_ns = INT64_MAX, .below = &r->flat};
    caps(false);
    ok("seal", seal_overlay(&s, &r->a, ret, &e), &e);
    caps(true);
    r->folders[r->steps] = layer;
}

static void step_copy(struct round *r, struct sealed *ret)
{
    char up[16];
    struct error e = {0};
    struct buf index = BUF_INIT(COPY_INDEX_MAX);
    snprintf(up, sizeof up, "up%zu", r->steps);
    int layer = folder(up);
    caps(false);
    ok("copy", copy_root(r->root_fd, layer, NULL, &r->flat, r->folders, 1 << 30, &index, &e), &e);
    caps(true);
    struct manifest copied = snapshot(layer, true, &r->a);
    same_tree("copy", &copied, &r->plain);
    play_both(layer, 1 + roll(14));
    struct seal s = {.root = r->root_fd, .layer = layer, .began_ns = INT64_MAX};
    caps(false);
    ok("seal", seal_copy(&s, buf_slice(&index), &r->a, ret, &e), &e);
    caps(true);
    buf_release(&index);
    r->folders[r->steps] = layer;
    struct manifest left = snapshot(layer, true, &r->a); /* nothing but what changed, and the way to it */
    for (size_t i = 0; i < left.n; i++)
        if (left.v[i].after.type != STAMP_FOLDER)
            assert_non_null(manifest_find(&ret->manifest, left.v[i].path));
}

static void check_squash(struct round *r, bool copy)
{
    struct error e = {0};
    int to = folder("squashed");
    for (int again = 0; again < 2; again++) {
        caps(false);
        ok("squash", squash(&r->flat, r->folders, to, !copy, &e), &e);
        caps(true);
    }
    if (!copy) {
        overlay_mount("squashed:root", NULL, NULL, "view");
        int view = openat(world, "view", O_RDONLY | O_DIRECTORY);
        struct manifest seen = snapshot(view, true, &r->a);
        close(view);
        overlay_unmount("view");
        same_tree("squash", &seen, &r->plain);
    }
    close(folder("again"));
    cp(world, "root", world, "again");
    int tree = openat(world, "again", O_RDONLY | O_DIRECTORY), all[STEPS_MAX] = {to, to, to, to};
    apply(tree, &r->flat, all);
    struct manifest got = snapshot(tree, true, &r->a);
    same_tree("squashed and applied", &got, &r->plain);
    close(tree);
    close(to);
}

static void play_round(bool copy)
{
    struct round r = {.a = ARENA_INIT(ARENA), .root_fd = folder("root")};
    close(folder("view"));
    for (unsigned n = roll(40); n; n--) {
        struct op o = random_op(true);
        play(r.root_fd, &o);
    }
    cp(world, "root", world, "root-2"); /* without hard links */
    close(r.root_fd);
    rm_rf(world, "root");
    assert_int_equal(renameat(world, "root-2", world, "root"), 0);
    r.root_fd = folder("root");
    cp(world, "root", world, "plain");
    r.root = r.plain = snapshot(r.root_fd, true, &r.a);
    for (unsigned steps = 1 + roll(STEPS_MAX); steps; steps--) {
        struct sealed sealed;
        (copy ? step_copy : step_overlay)(&r, &sealed);
        settle_plain();
        int plain = openat(world, "plain", O_RDONLY | O_DIRECTORY);
        struct manifest is = snapshot(plain, false, &r.a);
        close(plain);
        r.m[r.steps] = reread(&r, &sealed.manifest);
        same_changes(&r.m[r.steps++], &r.root, &r.plain, &is);
        r.plain = is;
        flatten(&r);
    }
    cp(world, "root", world, "applied");
    int tree = openat(world, "applied", O_RDONLY | O_DIRECTORY);
    apply(tree, &r.flat, r.folders);
    struct manifest got = snapshot(tree, true, &r.a);
    same_tree("flattened", &got, &r.plain);
    same_changes(&r.flat, &r.root, &r.root, &r.plain);
    close(tree);
    check_squash(&r, copy);
    for (size_t i = 0; i < r.steps; i++)
        close(r.folders[i]);
    close(r.root_fd);
    world_empty(world);
    arena_release(&r.a);
}

static void rounds(bool copy)
{
    const char *seconds = getenv("CRANNOG_LAYER_SECONDS"), *start = getenv("CRANNOG_LAYER_SEED");
    int64_t end = sys->boottime_ns() + (seconds ? atoll(seconds) : SECONDS) * 1000000000;
    uint64_t first = start ? strtoull(start, NULL, 10) : 20261125;
    unsigned n = 0;
    copying = copy;
    memset(long_name, 'x', sizeof long_name - 1);
    print_message("seed %llu\n", (unsigned long long)first);
    while (sys->boottime_ns() < end) {
        round_seed = first + n++;
        seed = round_seed * 7919;
        play_round(copy);
    }
    print_message("%u rounds\n", n);
    assert_true(n > 3);
}

static void test_overlay(void **state)
{
    (void)state;
    overlay_try();
    world_empty(world);
    if (no_overlay) {
        print_message("skipped: %s\n", no_overlay);
        skip();
    }
    rounds(false);
}

static void test_copy(void **state)
{
    (void)state;
    rounds(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_overlay, world_make_in_memory, world_remove),
        cmocka_unit_test_setup_teardown(test_copy, world_make_in_memory, world_remove),
        cmocka_unit_test_setup_teardown(test_overlay, world_make, world_remove), /* and where inodes come back */
        cmocka_unit_test_setup_teardown(test_copy, world_make, world_remove),
    };
    world_namespace();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
