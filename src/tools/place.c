#include "tools/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/sys.h"

static const uint64_t MIB = 1024 * 1024;

/* Whether `path` lies below `folder`; both real. */
static bool lies_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && path[n] == '/';
}

static uint32_t range_of(const char *state)
{
    struct hash h = hash_of(slice_of(state));
    uint32_t v;
    memcpy(&v, h.b, sizeof v);
    return v % JAIL_ID_RANGES;
}

enum err place_look(const char *work, const char *state, struct place *ret, struct error *e)
{
    struct stat st;
    if (sys->fstatat(AT_FDCWD, work, &st, 0) < 0 && errno == ENOENT)
        return error_set(e, ERR_MISSING, "the folder %s is gone (removed, or moved elsewhere); put it back, then start again", work);
    if (sys->fstatat(AT_FDCWD, work, &st, 0) < 0)
        return error_errno(e, errno, "cannot use the folder %s", work);
    if (!S_ISDIR(st.st_mode))
        return error_set(e, ERR_USAGE, "%s is not a folder", work);
    *ret = (struct place){.work = work, .uid = st.st_uid, .gid = st.st_gid, .dev = st.st_dev, .ino = st.st_ino, .state = state,
                          .holds_state = state && lies_below(state, work), .id_range = state ? range_of(state) : 0};
    int n = snprintf(ret->cover, sizeof ret->cover, "%s/.crannog", work);
    return n >= 0 && (size_t)n < sizeof ret->cover ? OK : error_set(e, ERR_LIMIT, "the path of the folder %.200s… is too long", work);
}

enum err place_mask(struct place *p, const struct slice *below, size_t n, struct arena *a, struct error *e)
{
    p->masked = n ? arena_array(a, n, sizeof *p->masked) : NULL;
    bool ok = !n || p->masked;
    for (p->nmasked = 0; ok && p->nmasked < n; p->nmasked++) {
        char *path = arena_printf(a, "%s/%.*s", p->work, SLICE_ARG(below[p->nmasked]));
        ok = path != NULL;
        p->masked[p->nmasked] = slice_of(path);
    }
    return ok ? OK : error_set(e, ERR_MEMORY, "no memory for a jail's plan");
}

/* What a command may use of memory, all its processes together: never so much that the machine has none left. */
static uint64_t memory_max(void)
{
    const uint64_t most = (uint64_t)PLACE_MEMORY_GIB * 1024 * MIB;
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t machine = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size / 4 * 3 : most;
    return machine < most ? machine : most;
}

static struct slice environment[] = {SLICE_INIT("PATH=/usr/local/bin:/usr/bin:/bin"), SLICE_INIT("HOME=/tmp"),
                                     SLICE_INIT("TMPDIR=/tmp"), SLICE_INIT("LANG=C.UTF-8")};

static void add_scratch(struct jail_plan *plan, struct slice target, uint64_t bytes)
{
    jail_plan_add(plan, (struct jail_mount){.kind = JAIL_SCRATCH, .target = target, .bytes = bytes});
}

/* What is seen without the work folder, which comes last so that it is never covered. */
static void begin(const struct place *p, uint64_t tmp, struct jail_plan *ret)
{
    *ret = (struct jail_plan){.uid = p->uid, .gid = p->gid, .id_range = p->id_range, .cwd = slice_of(p->work), .env = environment,
                              .nenv = sizeof environment / sizeof *environment};
    ret->limits = (struct jail_limits){.wall_ms = 30000, .cpu_ms = 5000, .memory = 2048 * MIB, .file_size = 256 * MIB,
                                       .files = 256, .processes = 64, .output = 64 * 1024};
    jail_plan_add_system(ret);
    add_scratch(ret, SLICE("/tmp"), tmp);
}

static void add_work(const struct place *p, bool writable, struct jail_plan *ret)
{
    struct slice work = slice_of(p->work);
    struct jail_mount m = {.kind = writable ? JAIL_WRITE : JAIL_READ, .source = work, .target = work};
    if (p->copy.n) {
        m.kind = JAIL_WRITE;
        m.source = p->copy;
    } else if (p->nlayers || p->upper.n) {
        m.kind = JAIL_LAYERS;
        m.layers = p->layers;
        m.nlayers = p->nlayers;
        m.upper = p->upper;
    }
    jail_plan_add(ret, m);
    /* Covered if it is there when the jail is made, not if it was there when somebody looked. */
    jail_plan_add(ret, (struct jail_mount){.kind = JAIL_EMPTY, .target = slice_of(p->cover), .optional = true});
    for (size_t i = 0; i < p->nmasked; i++)
        jail_plan_add(ret, (struct jail_mount){.kind = JAIL_EMPTY, .target = p->masked[i], .optional = true});
    if (p->holds_state && !p->copy.n && strcmp(p->state, p->cover) != 0 && !lies_below(p->state, p->cover))
        jail_plan_add(ret, (struct jail_mount){.kind = JAIL_EMPTY, .target = slice_of(p->state)});
}

void place_plan(const struct place *p, bool writable, struct jail_plan *ret)
{
    begin(p, 256 * MIB, ret);
    add_work(p, writable, ret);
}

/* ---- a command's setting ---- */

/* Whether the work folder has it: then it is seen as the work folder is. */
static bool is_work(const struct place *p, struct slice path)
{
    return slice_is(path, p->work) || slice_below(path, slice_of(p->work));
}

/* What git is told inside: who commits, and that the work folder's repository is to be trusted as outside. */
static char *git_words(const struct place *p, struct arena *a)
{
    BUF_CLEANUP struct buf text = BUF_INIT(JAIL_TEXT_MAX);
    buf_add(&text, p->setting->git);
    buf_add_text(&text, "[safe]\n\tdirectory = \"");
    for (const char *c = p->work; *c; c++) {
        if (*c == '"' || *c == '\\' || *c == '\n')
            buf_add_char(&text, '\\');
        buf_add_char(&text, *c == '\n' ? 'n' : *c);
    }
    buf_add_text(&text, "\"\n");
    return buf_ok(&text) ? arena_str(a, buf_slice(&text)) : NULL;
}

static enum err add_setting(const struct place *p, struct arena *a, struct jail_plan *ret, struct error *e)
{
    const struct setting *s = p->setting;
    if (s->home.n && !is_work(p, s->home)) {
        add_scratch(ret, s->home, terms_limit(p->terms, LIMIT_TMP, SETTING_SCRATCH));
        char *path = arena_printf(a, "%.*s/.gitconfig", SLICE_ARG(s->home));
        char *text = git_words(p, a);
        if (!path || !text)
            return error_set(e, ERR_MEMORY, "no memory for a jail's plan");
        jail_plan_add(ret, (struct jail_mount){.kind = JAIL_FILE, .target = slice_of(path), .text = slice_of(text)});
    }
    for (size_t i = 0; i < s->nshown; i++)
        if (!is_work(p, s->shown[i].target)) {
            struct jail_mount m = s->shown[i];
            m.bytes = m.bytes ? terms_limit(p->terms, LIMIT_TMP, m.bytes) : 0;
            jail_plan_add(ret, m);
        }
    return OK;
}

static enum err add_environment(const struct place *p, struct arena *a, struct jail_plan *ret, struct error *e)
{
    const struct setting *s = p->setting;
    BUF_CLEANUP struct buf path = BUF_INIT(SETTING_PATH_MAX * (JAIL_PATH_MAX + 1) + 8);
    struct slice *env = arena_array(a, SETTING_ENV_MAX + 8, sizeof *env);
    size_t n = 0;
    for (size_t i = 0; i < s->npath; i++)
        if (!s->hidden[i] || is_work(p, s->path[i]))
            buf_addf(&path, "%s%.*s", path.n ? ":" : "PATH=", SLICE_ARG(s->path[i]));
    if (!env || !buf_ok(&path))
        return error_set(e, ERR_MEMORY, "no memory for a jail's environment");
    env[n++] = arena_copy(a, buf_slice(&path));
    env[n++] = s->home.n ? slice_of(arena_printf(a, "HOME=%.*s", SLICE_ARG(s->home))) : SLICE("HOME=/tmp");
    env[n++] = SLICE("TMPDIR=/tmp");
    env[n++] = SLICE("SHELL=/bin/sh");
    env[n++] = s->term.n ? slice_of(arena_printf(a, "TERM=%.*s", SLICE_ARG(s->term))) : SLICE("TERM=dumb");
    if (s->user.n && s->uid == p->uid) {
        env[n++] = slice_of(arena_printf(a, "USER=%.*s", SLICE_ARG(s->user)));
        env[n++] = slice_of(arena_printf(a, "LOGNAME=%.*s", SLICE_ARG(s->user)));
    }
    for (size_t i = 0; i < s->nenv; i++)
        env[n++] = s->env[i];
    for (size_t i = 0; i < n; i++)
        if (!env[i].p)
            return error_set(e, ERR_MEMORY, "no memory for a jail's environment");
    ret->env = env;
    ret->nenv = n;
    return OK;
}

/* A browser builds a sandbox in the sandbox, and wants fonts and what Debian's script reads. */
static void add_browser(struct jail_plan *ret)
{
    static const char *const paths[] = {"/etc/fonts", "/etc/chromium", "/etc/chromium.d"};
    ret->nests = true;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        jail_plan_add(ret, (struct jail_mount){.kind = JAIL_SYSTEM, .source = slice_of(paths[i]), .target = slice_of(paths[i]), .optional = true});
}

enum err place_command(const struct place *p, struct slice *argv, size_t n, uint64_t cpu_ms, uint64_t wall_ms, struct arena *a,
                       struct jail_plan *ret, struct error *e)
{
    enum err err = OK;
    begin(p, terms_limit(p->terms, LIMIT_TMP, p->setting ? SETTING_SCRATCH : 256 * MIB), ret);
    if (p->setting)
        err = add_setting(p, a, ret, e);
    if (!err && p->setting)
        err = add_environment(p, a, ret, e);
    for (size_t i = 0; p->terms && i < p->terms->nshow; i++)
        if (*p->terms->show[i].p == '/' && !is_work(p, p->terms->show[i]))
            jail_plan_add(ret, (struct jail_mount){.kind = JAIL_SHOWN, .source = p->terms->show[i], .target = p->terms->show[i], .optional = true});
    add_work(p, false, ret);
    if (p->terms && p->terms->browser)
        add_browser(ret);
    ret->argv = argv;
    ret->nargv = n;
    ret->limits.cpu_ms = cpu_ms;
    ret->limits.wall_ms = wall_ms;
    if (p->upper.n || p->copy.n) {
        ret->limits.entries = terms_limit(p->terms, LIMIT_FILES, PLACE_FILES);
        ret->limits.disk = terms_limit(p->terms, LIMIT_DISK, (uint64_t)PLACE_DISK_GIB * 1024 * MIB);
    }
    ret->limits.file_size = terms_limit(p->terms, LIMIT_FILE_SIZE, ret->limits.disk ? ret->limits.disk : ret->limits.file_size);
    ret->limits.memory = 0; /* sanitizers and the like ask for far more than they use */
    ret->limits.memory_all = terms_limit(p->terms, LIMIT_MEMORY, memory_max());
    ret->limits.files = terms_limit(p->terms, LIMIT_OPEN_FILES, 65536);
    ret->limits.processes = terms_limit(p->terms, LIMIT_PROCESSES, 512);
    ret->limits.output = terms_limit(p->terms, LIMIT_OUTPUT, ret->limits.output);
    return err ? err : jail_plan_whole(ret, e);
}
