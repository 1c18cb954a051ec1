/*
 * Landing of sets under crashes, faults and people (T1-T4, L1-L6). One set has every kind of change. A script of events
 * is played at chosen system calls of the landing, of the redo, or of the undo: SIGKILL, a failing call, a person who
 * saves in place, by temporary and rename, gives a file a second name, deletes, or makes a file where a folder goes.
 *
 *   C1  at every moment each path is what it was or what was wanted, or a person's
 *   C2  without a person, doing it again gives the wanted tree, and undoing that the tree before, mtimes of folders too
 *   C3  what a person saved last is in a visible file, and one that is not where they saved it is named as kept
 *   C4  nothing of ours is left over; asked again, the answer is the same
 *   C5  what landed beside a conflict is undone as well, and what was in the conflict stays
 *
 * Bugs planted in the protocol of sets, one at a time, and what caught them (a_: in test_landing_apply.c):
 *   a plain rename instead of the exchange        a_guarded, a_random_trees and everything here but the files held open
 *   what came out is dropped, whatever it is      sweep_person
 *   no exchange back                              sweep_person
 *   no lease taken                                a_said_before_anything_changes, held_open
 *   undo filled after the swap                    all, and a_replace, a_rewind, a_folders_that_go, a_random_trees
 *   undo not synced before the swap               order_of_syncs
 *   parts not synced before the swap              order_of_syncs
 *   dropped before the sync                       order_of_syncs
 *   removal by unlink instead of a rename away    order_of_syncs, sweep_person
 *   redo takes new for a conflict                 undisturbed, all sweeps, random, a_replace
 *   undo made anew by each attempt                undisturbed, all sweeps, random, a_replace
 *   pre-images of a given-up attempt stay         sweep_person, sweep_person_and_kill
 *   setuid and setgid kept                        a_rewind
 *   `moved` ignored                               a_one_conflict_and_nothing_lands
 *   `rewind` ignored                              a_guarded, a_random_trees, a_rewind
 *   the hash of a layer's file not compared       a_what_a_broken_manifest_wants
 *   the lock not taken                            a_two_at_once
 * Two looks proved to be for haste only, the table of landing.c catches what they would: that at the slot right after
 * the exchange, and that into a folder before it is exchanged.
 */
#include "landing_tree.h"
#include "landing_script.h"

/* ---- the person ---- */

static const char *const SPOTS[] = {"mod", "chm", "gone", "new", "link", "f2l", "l2f", "f2d", "f2d/x", "d2f", "d2f/x", "dgone/x",
                                    "dgone/mine", "dgone/sub/mine", "d2f/mine", "dnew/x", "dnew/mine", "dmode/x", "dnew", "dgone", ".git/index", ".git/refs/main"};
enum { NSPOTS = sizeof SPOTS / sizeof *SPOTS, NONE = -1 };

struct person { /* shared with the children that are killed */
    int spot;   /* where they saved last; NONE: nowhere, or they deleted it */
    int acted;  /* the spot that they last did anything to */
    unsigned n;
    bool git;   /* a git of theirs was not told to wait */
};
static struct person *person;

/* `spot`: an index into SPOTS. */
static void person_does(enum kind kind, int spot)
{
    const char *path = SPOTS[spot];
    char text[32], other[64];
    int fd;
    snprintf(text, sizeof text, "person %u\n", person->n + 1);
    snprintf(other, sizeof other, "%s~", path);
    if (kind == DELETE || kind == LINK) {
        bool done = kind == DELETE ? unlinkat(root, path, 0) == 0 : linkat(root, path, root, "second~", 0) == 0;
        if (done) {
            person->acted = spot;
            person->spot = kind == DELETE && person->spot == spot ? NONE : person->spot;
        }
        return;
    }
    if (kind == GIT) { /* as git does: under its lock, or not at all */
        int lock = openat(root, ".git/index.lock", O_WRONLY | O_CREAT | O_EXCL, 0644);
        person->git = lock >= 0;
        if (lock < 0)
            return;
        close(lock);
        put_at(root, ".git/new~", "main of theirs\n", 0644);
        assert_int_equal(renameat(root, ".git/new~", root, ".git/refs/main"), 0);
        put_at(root, ".git/index.lock", "index of theirs\n", 0644);
        assert_int_equal(renameat(root, ".git/index.lock", root, ".git/index"), 0);
        return;
    }
    if (kind == HOLD && held < 0)
        held = openat(root, path, O_WRONLY | O_NONBLOCK | O_NOFOLLOW);
    if (kind == WRITE_HELD && held >= 0 && ftruncate(held, 0) == 0) {
        assert_int_equal(pwrite(held, text, strlen(text), 0), (ssize_t)strlen(text));
        person->n++;
        person->spot = person->acted = spot;
    }
    if (kind == HOLD || kind == WRITE_HELD)
        return;
    /* O_NONBLOCK: in this process it would wait for our own lease; another one's save just comes later */
    fd = openat(root, kind == SAVE ? path : other, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK, 0640);
    if (fd < 0)
        return;
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    if (kind == REPLACE && renameat(root, other, root, path) < 0) {
        unlinkat(root, other, 0);
        return;
    }
    person->n++;
    person->spot = person->acted = spot;
}

/* ---- more calls ---- */

static bool in_undo(int fd)
{
    char link[64], path[256] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path - 1) < 0)
        return false;
    return strstr(path, "/undo") != NULL;
}

HOOK(ssize_t, pread, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
HOOK(ssize_t, readlinkat, (int d, const char *p, char *r, size_t n), (d, p, r, n))
HOOK(int, ftruncate, (int fd, off_t n), (fd, n))
HOOK(int, fchmodat, (int d, const char *p, mode_t m), (d, p, m))
HOOK(int, mknodat, (int d, const char *p, mode_t m, dev_t v), (d, p, m, v))
HOOK(int, symlinkat, (const char *t, int d, const char *p), (t, d, p))
HOOK(int, utimensat, (int d, const char *p, const struct timespec t[2], int f), (d, p, t, f))
HOOK(ssize_t, copy_file_range, (int a, off_t *x, int b, off_t *y, size_t n), (a, x, b, y, n))
static int hook_fsync(int fd)
{
    struct stat st;
    note(in_undo(fd) ? 'u' : fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? 'F' : 'f');
    return at_call() ? -1 : no_sync(fd);
}
static int hook_syncfs(int fd)
{
    note(in_undo(fd) ? 'U' : 'S');
    return at_call() ? -1 : no_sync(fd);
}
static int hook_unlinkat(int d, const char *p, int f)
{
    note('d');
    return at_call() ? -1 : unlinkat(d, p, f);
}
static int hook_renameat2(int a, const char *o, int b, const char *n, unsigned f)
{
    note(strstr(o, ".part") ? 'r' : 'x'); /* part -> slot is only a name; all others touch the target */
    return at_call() ? -1 : renameat2(a, o, b, n, f);
}
static void *hook_realloc(void *p, size_t n)
{
    return at_call() ? NULL : realloc(p, n);
}

/* ---- the world: every kind of change ---- */

static char *text_before, *text_after; /* the tree, without mtimes of folders after */
static char *text_start;               /* with them */
static struct arena arena = {.budget = 64 * 1024 * 1024};
static struct manifest manifest;
static int start = -1; /* a copy of what was */

static void fill_start(int at)
{
    put_at(at, "keep", "keep\n", 0644);
    put_at(at, "mod", "one\n", 0644);
    put_at(at, "chm", "chm\n", 0644);
    put_at(at, "gone", "gone\n", 0600);
    put_at(at, "f2l", "f2l\n", 0644);
    put_at(at, "f2d", "f2d\n", 0644);
    assert_int_equal(symlinkat("one", at, "link"), 0);
    assert_int_equal(symlinkat("lgone", at, "lgone"), 0);
    assert_int_equal(symlinkat("/etc/passwd", at, "l2f"), 0);
    folder_at(at, "d2f", 0755);
    put_at(at, "d2f/x", "d2f/x\n", 0644);
    folder_at(at, "dgone", 0755);
    put_at(at, "dgone/x", "dgone/x\n", 0644);
    folder_at(at, "dgone/sub", 0700);
    put_at(at, "dgone/sub/y", "dgone/sub/y\n", 0644);
    folder_at(at, "dmode", 0755);
    put_at(at, "dmode/x", "dmode/x\n", 0644);
    folder_at(at, ".git", 0755);
    folder_at(at, ".git/refs", 0755);
    folder_at(at, ".git/refs/f", 0755);
    put_at(at, ".git/HEAD", "ref: refs/main\n", 0644);
    put_at(at, ".git/index", "index 1\n", 0644);
    put_at(at, ".git/refs/main", "main 1\n", 0644);
    put_at(at, ".git/refs/f/gone", "gone 1\n", 0644);
}

static void change_wanted(int at)
{
    put_at(at, "mod", "two\n", 0644);
    assert_int_equal(fchmodat(at, "chm", 0755, 0), 0);
    unlinkat(at, "gone", 0);
    put_at(at, "new", "new\n", 04755);
    unlinkat(at, "link", 0);
    assert_int_equal(symlinkat("two", at, "link"), 0);
    unlinkat(at, "lgone", 0);
    assert_int_equal(symlinkat("lnew", at, "lnew"), 0);
    unlinkat(at, "f2l", 0);
    assert_int_equal(symlinkat("f2l", at, "f2l"), 0);
    unlinkat(at, "l2f", 0);
    put_at(at, "l2f", "l2f\n", 0600);
    unlinkat(at, "f2d", 0);
    folder_at(at, "f2d", 0750);
    put_at(at, "f2d/x", "f2d/x\n", 0644);
    unlinkat(at, "d2f/x", 0);
    unlinkat(at, "d2f", AT_REMOVEDIR);
    put_at(at, "d2f", "d2f\n", 0644);
    int fd = open_folder_at(at, "dgone");
    world_empty(fd);
    close(fd);
    unlinkat(at, "dgone", AT_REMOVEDIR);
    folder_at(at, "dnew", 02775);
    put_at(at, "dnew/x", "dnew/x\n", 0644);
    folder_at(at, "dnew/empty", 0755);
    put_at(at, "dmode/x", "dmode/x new\n", 0644);
    put_at(at, ".git/object", "object 2\n", 0444);
    put_at(at, ".git/index", "index 2\n", 0644);
    put_at(at, ".git/refs/main", "main 2\n", 0644);
    unlinkat(at, ".git/refs/f/gone", 0);
    unlinkat(at, ".git/refs/f", AT_REMOVEDIR);
    assert_int_equal(fchmodat(at, "dmode", 0700, 0), 0);
}

static void age(int at)
{
    struct lines l = walk(at);
    for (size_t i = l.n; i--;)
        time_at(at, l.v[i].path, 1500000000 + (int64_t)i, (int64_t)i * 1000003);
    lines_free(&l);
}

static const char *only; /* only the changes of this name at the top and below: few, so synced one by one */

static void begin(void)
{
    new_folder("root", &root);
    new_folder("undo", &undo);
    copy_tree(start, root);
    arena_release(&arena);
    manifest = difference(root, wanted, &arena);
    for (size_t i = 0; i < manifest.n; i++)
        manifest.v[i].after.mode &= 01777; /* setuid and setgid never land, and are not in `text_after` */
    size_t n = 0;
    for (size_t i = 0; only && i < manifest.n; i++)
        if (!strncmp(manifest.v[i].path.p, only, strcspn(only, "/")) && manifest.v[i].path.n >= strcspn(only, "/"))
            manifest.v[n++] = manifest.v[i];
    if (only)
        manifest.n = n;
    *person = (struct person){.spot = NONE, .acted = NONE};
    nscript = 0;
    static struct seen seen[] = {{.path = SLICE_INIT(".git/HEAD")}};
    assert_int_equal(stamp_look(root, seen->path, NULL, &seen->was, NULL), OK);
    manifest.seen = seen;
    manifest.nseen = 1;
}

/* What shall be there in the end, with the changes of this world. */
static void set_texts(void)
{
    free(text_before);
    free(text_start);
    free(text_after);
    text_before = tree_text(start, WITHOUT_FOLDER_TIMES);
    text_start = tree_text(start, WITH_TIMES);
    text_after = tree_text(wanted, WITHOUT_FOLDER_TIMES);
}

static struct landed landed;
static struct error why;

static bool replace;

static enum err land_once(void)
{
    static const int *layer = &wanted;
    struct landing_set s = {.root = root, .manifest = &manifest, .folders = layer, .undo = undo, .name = SLICE("r.b.1"), .replace = replace};
    why = (struct error){0};
    return landing_apply(&s, &arena, &landed, &why);
}

static int undo2 = -1;
static struct manifest undoing; /* set before undo_once() */
static struct landed undone;

static enum err undo_once(void)
{
    struct landing_set s = {.root = root, .manifest = &undoing, .folders = &undo, .undo = undo2, .name = SLICE("r.b.2"), .rewind = true};
    why = (struct error){0};
    return landing_apply(&s, &arena, &undone, &why);
}

/* ---- what must hold ---- */

static bool same_node(const struct stamp *a, const struct stamp *b)
{
    return a->type == b->type && (a->type == STAMP_ABSENT || a->type == STAMP_FOLDER || a->type == STAMP_OTHER ||
                                  (a->size == b->size && hash_eq(&a->hash, &b->hash)));
}

static struct stamp look_path(struct slice path)
{
    struct stamp s;
    if (stamp_look(root, path, NULL, &s, NULL)) /* a link on the way: nothing is there */
        s = (struct stamp){.type = STAMP_ABSENT};
    return s.type == STAMP_OTHER ? (struct stamp){.type = STAMP_ABSENT} : s;
}

static bool touched_by_person(struct slice path)
{
    if (person->acted == NONE)
        return false;
    struct slice spot = slice_of(SPOTS[person->acted]);
    return slice_eq(path, spot) || (slice_starts(spot, path) && spot.p[path.n] == '/') ||
           (slice_starts(path, spot) && path.p[spot.n] == '/');
}

static void check_paths(void) /* C1 */
{
    for (size_t i = 0; i < manifest.n; i++) {
        const struct change *c = &manifest.v[i];
        struct stamp now = look_path(c->path);
        if (!touched_by_person(c->path) && !same_node(&now, &c->before) && !same_node(&now, &c->after))
            fail_msg("%.*s is neither old nor new (type %d)", SLICE_ARG(c->path), now.type);
    }
}

/* The path of the visible file with the text that the person saved last, or NULL. */
static const char *find_saved(struct lines *l)
{
    char text[32];
    snprintf(text, sizeof text, "person %u\n", person->n);
    struct hash hash = hash_of(slice_of(text));
    const char *found = NULL;
    for (size_t i = 0; i < l->n; i++) {
        const char *name = strrchr(l->v[i].path, '/');
        name = name ? name + 1 : l->v[i].path;
        if (l->v[i].s.type == STAMP_FILE && hash_eq(&l->v[i].s.hash, &hash) && *name != '.')
            found = !found || !strcmp(l->v[i].path, SPOTS[person->spot]) ? l->v[i].path : found;
    }
    return found;
}

static bool is_named(const struct landed *l, const char *path)
{
    const char *name = strrchr(path, '/');
    for (size_t i = 0; i < l->nleft; i++)
        if (strstr(l->left[i].why.p, name ? name + 1 : path))
            return true;
    return false;
}

static void check_saved(const struct landed *l) /* C3 */
{
    if (person->spot == NONE)
        return;
    struct lines lines = walk(root);
    const char *found = find_saved(&lines);
    if (!found)
        fail_msg("what was saved at %s is lost", SPOTS[person->spot]);
    if (strcmp(found, SPOTS[person->spot]) && (!strstr(found, ".kept-") || !is_named(l, found)))
        fail_msg("what was saved at %s is at %s, which nobody is told", SPOTS[person->spot], found);
    lines_free(&lines);
}

static void check_tidy(void) /* C4 */
{
    struct lines l = walk(root);
    for (size_t i = 0; i < l.n; i++)
        if (strstr(l.v[i].path, ".crannog-"))
            fail_msg("%s is left over", l.v[i].path);
    lines_free(&l);
}

static void again(enum err (*once)(void))
{
    nscript = 0;
    enum err err = ERR_BUSY;
    for (int i = 0; err == ERR_BUSY && i < 4; i++)
        err = once();
    if (err)
        fail_msg("again: %s", why.text);
}

static void check_same_undo(const struct manifest *a, const struct manifest *b) /* C4 */
{
    for (size_t i = 0; i < a->n || i < b->n; i++) {
        if (i < a->n && i < b->n && slice_eq(a->v[i].path, b->v[i].path))
            continue;
        struct slice x = i < a->n ? a->v[i].path : SLICE("none"), y = i < b->n ? b->v[i].path : SLICE("none");
        fail_msg("undo named %.*s first and %.*s the second time (person at %s)", SLICE_ARG(x), SLICE_ARG(y),
                 person->acted == NONE ? "none" : SPOTS[person->acted]);
    }
}

/* Lands again until it answers, checks, and undoes. */
static void finish(void)
{
    check_paths();
    again(land_once);
    enum landing_result first = landed.result;
    size_t nleft = landed.nleft;
    struct manifest first_undo = landed.undo;
    check_paths();
    check_tidy();
    check_saved(&landed);
    if (person->acted == NONE) {
        if (first != LANDING_DONE)
            fail_msg("a conflict with nobody: %s", why.text);
        if (!only)
            assert_tree(root, text_after, WITHOUT_FOLDER_TIMES, "landed");
    }
    assert_int_equal(land_once(), OK);
    assert_int_equal(landed.result, first);
    assert_int_equal(landed.nleft, nleft);
    check_same_undo(&first_undo, &landed.undo);
    check_saved(&landed);
    new_folder("undo2", &undo2);
    undoing = landed.undo;
    struct landed last = landed;
    again(undo_once);
    check_tidy();
    if (person->acted == NONE) { /* C2 */
        assert_int_equal(undone.result, LANDING_DONE);
        assert_tree(root, text_start, WITH_TIMES, "undone");
        return;
    }
    struct landed both = last; /* what is named by either */
    struct landing_left *left = calloc(last.nleft + undone.nleft + 1, sizeof *left);
    memcpy(left, last.left, last.nleft * sizeof *left);
    memcpy(left + last.nleft, undone.left, undone.nleft * sizeof *left);
    both.left = left;
    both.nleft = last.nleft + undone.nleft;
    check_saved(&both); /* C5 */
    if (undone.result == LANDING_DONE)
        for (size_t i = 0; i < manifest.n; i++) {
            struct stamp now = look_path(manifest.v[i].path);
            if (!touched_by_person(manifest.v[i].path) && !same_node(&now, &manifest.v[i].before))
                fail_msg("%.*s is not undone", SLICE_ARG(manifest.v[i].path));
        }
    free(left);
}

static unsigned stride(unsigned usual)
{
    return getenv("CRANNOG_THOROUGH") ? 1 : getenv("CRANNOG_QUICK") ? 3 * usual : usual; /* quick: under sanitisers */
}

/* Where a sweep with that stride begins: another day, other places. */
static unsigned first(unsigned usual)
{
    return getenv("CRANNOG_THOROUGH") ? 1 : 1 + (unsigned)time(NULL) % stride(usual);
}

static unsigned length(void)
{
    enum err err;
    begin();
    assert_true(attempt(land_once, &err));
    if (err || landed.result != LANDING_DONE)
        fail_msg("undisturbed: %s", why.text);
    return calls;
}

/* ---- the tests ---- */

static void test_undisturbed(void **state)
{
    (void)state;
    print_message("%u calls\n", length());
    finish();
    for (int i = 0; i < NSPOTS; i++) {
        only = SPOTS[i];
        length();
        finish();
    }
    only = NULL;
}

/* The order of what a power cut would show: pre-images and the new file are on disk before the first exchange, the exchange
   before what came out is dropped. u, U: fsync or syncfs in the undo folder; f, F: of a file, a folder; S: syncfs of the
   root; r: part to slot; x: at the target; d: unlink. */
static void test_order_of_syncs(void **state)
{
    (void)state;
    static const struct {
        const char *path, *order;
    } cases[] = {
        {"mod", "uuufrxFdF"}, {"gone", "uuuxdFF"}, {"new", "uufrxFF"}, {"l2f", "uufrxFdF"}, {"dnew", "uuFFF"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum err err;
        begin();
        const struct change *c = manifest_find(&manifest, slice_of(cases[i].path));
        struct change one = *c;
        manifest = (struct manifest){.v = &one, .n = 1};
        memset(order, 0, sizeof order);
        assert_true(attempt(land_once, &err));
        assert_int_equal(err, OK);
        assert_int_equal(landed.result, LANDING_DONE);
        if (strcmp(order, cases[i].order))
            fail_msg("%s: %s, not %s", cases[i].path, order, cases[i].order);
    }
    begin();
    memset(order, 0, sizeof order);
    enum err err;
    assert_true(attempt(land_once, &err));
    print_message("%s\n", order); /* by syncfs: undo and its mark, parts, what landed, the end */
    const char *marks = strpbrk(order, "xr");
    assert_non_null(marks);
    assert_true(strstr(order, "Uu") && strstr(order, "Uu") < marks); /* undo before all */
    assert_true(strchr(order, 'S') < marks);                         /* parts before all */
    const char *synced = strchr(strchr(order, 'S') + 1, 'S'), *last_move = strrchr(order, 'x');
    assert_true(synced > last_move);                                 /* what landed, after the last exchange */
    assert_true(strchr(synced, 'd') != NULL);                        /* and only then what came out of an exchange is dropped */
    assert_true(order[strlen(order) - 1] == 'S');
}

/* Killed at every call, and once more at some call while it is taken up. */
static void test_sweep_kill(void **state)
{
    (void)state;
    enum err err;
    unsigned n = length();
    for (unsigned at = first(4); at <= n; at += stride(4)) {
        begin();
        add(at, KILL, 0);
        assert_false(attempt(land_once, &err));
        check_paths();
        nscript = 0;
        add(1 + at * 7919 % n, KILL, 0);
        (void)attempt(land_once, &err);
        finish();
    }
}

/* Over what somebody has changed before, because a person said so: killed at every call, done again, undone. */
static void test_sweep_kill_replace(void **state)
{
    (void)state;
    unsigned n = length() + 40;
    replace = true;
    for (unsigned at = first(6); at <= n; at += stride(6)) {
        enum err err;
        begin();
        put_at(root, "mod", "mine\n", 0600);
        put_at(root, "new", "mine too\n", 0644);
        put_at(root, "gone", "mine as well\n", 0644);
        assert_int_equal(unlinkat(root, "chm", 0), 0);
        unlinkat(root, "link", 0);
        put_at(root, "link", "no link\n", 0644);
        char *mine = tree_text(root, WITH_TIMES);
        add(at, KILL, 0);
        (void)attempt(land_once, &err);
        again(land_once);
        assert_int_equal(landed.result, LANDING_DONE);
        assert_tree(root, text_after, WITHOUT_FOLDER_TIMES, "replaced");
        struct manifest undo_1 = landed.undo;
        again(land_once);
        assert_int_equal(landed.result, LANDING_DONE);
        check_same_undo(&undo_1, &landed.undo);
        new_folder("undo2", &undo2);
        undoing = landed.undo;
        again(undo_once);
        assert_int_equal(undone.result, LANDING_DONE);
        check_tidy();
        assert_tree(root, mine, WITH_TIMES, "undone");
        free(mine);
    }
    replace = false;
}

static bool lies_at(const char *path, const char *text)
{
    struct stamp s = look_path(slice_of(path));
    struct hash h = hash_of(slice_of(text));
    return s.type == STAMP_FILE && hash_eq(&s.hash, &h);
}

/* A person commits between any two calls, as git does it. Then theirs stands, or ours was there before it, as a whole; and after
   a kill at some later call it is told to wait, or sees one or the other. */
static void test_sweep_git(void **state)
{
    (void)state;
    only = ".git";
    unsigned n = length(), waited = 0;
    for (unsigned at = 1; at <= n; at++)
        for (int killed = 0; killed < 2; killed++) {
            enum err err;
            begin();
            add(at, killed ? KILL : GIT, 0);
            (void)attempt(land_once, &err);
            if (killed)
                person_does(GIT, 0);
            waited += !person->git;
            bool theirs = lies_at(".git/refs/main", "main of theirs\n") && lies_at(".git/index", "index of theirs\n");
            bool ours = lies_at(".git/refs/main", "main 2\n") && lies_at(".git/index", "index 2\n");
            if (killed ? person->git && !theirs : person->git ? !theirs : !ours)
                fail_msg("at %u a repository was torn%s", at, killed ? " by a kill" : "");
            again(land_once);
            check_tidy();
            struct stat st;
            assert_int_equal(fstatat(root, ".git/index.lock", &st, AT_SYMLINK_NOFOLLOW), -1);
            theirs = lies_at(".git/refs/main", "main of theirs\n") && lies_at(".git/index", "index of theirs\n");
            ours = lies_at(".git/refs/main", "main 2\n") && lies_at(".git/index", "index 2\n");
            if (person->git ? !theirs : !ours)
                fail_msg("at %u, again: a repository was torn", at);
        }
    assert_true(waited > 0 && waited < n);
    only = NULL;
}

/* The undo killed at every call, and again. */
static void test_sweep_undo(void **state)
{
    (void)state;
    enum err err;
    length();
    new_folder("undo2", &undo2);
    undoing = landed.undo;
    assert_true(attempt(undo_once, &err));
    assert_int_equal(err, OK);
    unsigned n = calls;
    for (unsigned at = first(6); at <= n; at += stride(6)) {
        length();
        new_folder("undo2", &undo2);
        undoing = landed.undo;
        for (int i = 0; i < 2; i++) {
            nscript = 0;
            add(i ? 1 + at * 7919 % n : at, KILL, 0);
            (void)attempt(undo_once, &err);
            check_paths();
        }
        again(undo_once);
        assert_int_equal(undone.result, LANDING_DONE);
        check_tidy();
        assert_tree(root, text_start, WITH_TIMES, "undone");
    }
}

/* Every call fails once. */
static void test_every_fault(void **state)
{
    (void)state;
    static const int errors[] = {EIO, ENOSPC, EINTR, EACCES};
    unsigned n = length();
    for (unsigned at = first(5); at <= n; at += stride(5)) {
        enum err err = OK;
        begin();
        add(at, FAIL, errors[at % 4]);
        assert_true(attempt(land_once, &err));
        assert_true(!err || why.text[0]);
        finish();
    }
}

/* A person does something between any two calls of a small set around the spot. */
static void test_sweep_person(void **state)
{
    (void)state;
    for (int spot = 0; spot < NSPOTS; spot++) {
        only = SPOTS[spot];
        unsigned n = length();
        for (int kind = SAVE; kind <= LINK; kind++)
            for (unsigned at = first(4); at <= n; at += stride(4)) {
                enum err err;
                begin();
                add(at, (enum kind)kind, spot);
                assert_true(attempt(land_once, &err));
                finish();
            }
    }
    only = NULL;
}

/* The same, and then killed. */
static void test_sweep_person_and_kill(void **state)
{
    (void)state;
    unsigned k = (unsigned)time(NULL);
    for (int spot = 0; spot < NSPOTS; spot++) {
        only = SPOTS[spot];
        unsigned n = length();
        for (unsigned at = first(8); at <= n; at += stride(8))
            for (unsigned die = at + 1 + k++ % stride(20); die <= n; die += stride(20)) {
                enum err err;
                begin();
                add(at, (enum kind)(SAVE + (int)(k % 4)), spot);
                add(die, KILL, 0);
                (void)attempt(land_once, &err);
                check_paths();
                finish();
            }
    }
    only = NULL;
}

/* An editor has a file open at any moment and writes into it at a later one. */
static void test_held_open(void **state)
{
    (void)state;
    static const int spots[] = {0, 2, 4 + 1, 11}; /* mod, gone, f2l, dgone/x */
    unsigned n = length(), k = 0;
    int probe = openat(root, "mod", O_RDWR);
    bool leases = fcntl(probe, F_SETLEASE, F_RDLCK) < 0 && errno == EAGAIN;
    close(probe);
    if (!leases)
        skip(); /* a file system without leases: said in landing.c */
    for (unsigned at = first(8); at <= n; at += stride(8))
        for (unsigned later = at + 1; later <= n; later += stride(200)) {
            enum err err;
            int spot = spots[k++ % 4];
            begin();
            add(at, HOLD, spot);
            add(later, WRITE_HELD, spot);
            assert_true(attempt(land_once, &err));
            finish();
        }
}

static unsigned random_calls; /* of a landing that nobody disturbs */

/* Any mixture: people on one spot, kills and faults, over several attempts. */
static void random_round(void)
{
    unsigned n = random_calls;
    enum err err;
    begin();
    int spot = (int)roll(NSPOTS);
    for (unsigned attempts = 1 + roll(3); attempts; attempts--) {
        nscript = 0;
        for (unsigned k = roll(3); k; k--) {
            enum kind kind = (enum kind)(SAVE + (int)roll(4));
            unsigned at = 1 + roll(n);
            add(at, kind, spot);
        }
        unsigned at = 1 + roll(n);
        if (roll(3) == 0)
            add(at, FAIL, EIO);
        at = 1 + roll(n);
        if (roll(2))
            add(at, KILL, 0);
        (void)attempt(land_once, &err);
        check_paths();
    }
    finish();
}

static void test_random(void **state)
{
    (void)state;
    random_calls = length();
    play_rounds(150, random_round);
}

static int teardown(void **state)
{
    tell_playing();
    free(text_before);
    free(text_start);
    free(text_after);
    arena_release(&arena);
    return getenv("CRANNOG_KEEP") ? 0 : world_remove(state);
}

static void hook_all(void)
{
    hook_common();
    hooked.pread = hook_pread;
    hooked.readlinkat = hook_readlinkat;
    hooked.ftruncate = hook_ftruncate;
    hooked.fchmodat = hook_fchmodat;
    hooked.symlinkat = hook_symlinkat;
    hooked.mknodat = hook_mknodat;
    hooked.utimensat = hook_utimensat;
    hooked.copy_file_range = hook_copy_file_range;
    hooked.fsync = hook_fsync;
    hooked.syncfs = hook_syncfs;
    hooked.unlinkat = hook_unlinkat;
    hooked.renameat2 = hook_renameat2;
    hooked.realloc = hook_realloc;
}

static int setup(void **state)
{
    hook_all();
    sys = &quick;
    if (access("/dev/shm", W_OK) == 0) /* thousands of small trees: in memory, test_landing_apply.c is on the disk */
        setenv("TMPDIR", "/dev/shm", 0);
    person = mmap(NULL, sizeof *person, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (person == MAP_FAILED || world_make(state))
        return -1;
    new_folder("start", &start);
    new_folder("wanted", &wanted);
    fill_start(start);
    age(start);
    copy_tree(start, wanted);
    change_wanted(wanted);
    fchmodat(wanted, "new", 0755, 0);
    fchmodat(wanted, "dnew", 0775, 0);
    set_texts();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_undisturbed),
        cmocka_unit_test(test_order_of_syncs),
        cmocka_unit_test(test_sweep_kill),
        cmocka_unit_test(test_sweep_kill_replace),
        cmocka_unit_test(test_sweep_git),
        cmocka_unit_test(test_sweep_undo),
        cmocka_unit_test(test_every_fault),
        cmocka_unit_test(test_sweep_person),
        cmocka_unit_test(test_sweep_person_and_kill),
        cmocka_unit_test(test_held_open),
        cmocka_unit_test(test_random),
    };
    if (getenv("CRANNOG_ONLY"))
        cmocka_set_test_filter(getenv("CRANNOG_ONLY"));
    return cmocka_run_group_tests(tests, setup, teardown);
}
