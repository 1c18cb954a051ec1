#include "jail/plan.h"

#include <string.h>

#include "jail/protocol.h"
#include "wire/message.h"

enum plan_tag {
    PLAN_UID = 1, PLAN_GID, PLAN_CWD, PLAN_TERMINAL, PLAN_APPLET, PLAN_ARGS, PLAN_WALL_MS, PLAN_CPU_MS, PLAN_MEMORY,
    PLAN_FILE_SIZE, PLAN_DISK, PLAN_FILES, PLAN_PROCESSES, PLAN_OUTPUT, PLAN_MEMORY_ALL, PLAN_ID_RANGE, PLAN_ENTRIES,
    PLAN_SINGLE = PLAN_ENTRIES, /* the ones above are there exactly once */
    PLAN_MOUNT,                /* a message of mount tags */
    PLAN_ARGV, PLAN_ENV, PLAN_LISTEN, PLAN_SERVES, PLAN_SERVICE, PLAN_NESTS, PLAN_STAYS /* once, where it is one, or does */,
    PLAN_END, /* the last field, empty: a plan that was cut between two fields is seen */
};
enum mount_tag {
    MOUNT_KIND = 1, MOUNT_SOURCE, MOUNT_TARGET, MOUNT_BYTES, MOUNT_OPTIONAL, MOUNT_UPPER, MOUNT_TEXT,
    MOUNT_SINGLE = MOUNT_TEXT,  /* as above */
    MOUNT_LAYER,                /* oldest first */
};

/* ---- making ---- */

bool jail_plan_add(struct jail_plan *p, struct jail_mount m)
{
    if (p->nmounts == JAIL_MOUNTS_MAX) {
        p->lost = true;
        return false;
    }
    p->mounts[p->nmounts++] = m;
    return true;
}

enum err jail_plan_whole(const struct jail_plan *p, struct error *e)
{
    if (!p->lost)
        return OK;
    return error_set(e, ERR_LIMIT, "the jail would need more than %d mounts, and one that was left out could be a wall; show fewer folders "
                     "(--show, `show:`), or have fewer toolchains in the home folder", JAIL_MOUNTS_MAX);
}

void jail_plan_add_system(struct jail_plan *p)
{
    /* Of /etc only what programs need to start, to name users and hosts, and to check certificates; nothing that tells
       how this machine is set up otherwise. */
    static const char *const paths[] = {
        "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store",
        "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/hosts", "/etc/services", "/etc/protocols", "/etc/localtime", "/etc/ld.so.cache",
        "/etc/alternatives", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/os-release",
        "/etc/manpath.config", "/etc/java-11-openjdk", "/etc/java-17-openjdk", "/etc/java-21-openjdk", /* Debian's do not start without */
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (!jail_plan_add(p, (struct jail_mount){JAIL_SYSTEM, slice_of(paths[i]), slice_of(paths[i]), 0, true}))
            return;
}

static void put_mount(struct buf *ret, const struct jail_mount *m)
{
    BUF_CLEANUP struct buf b = BUF_INIT((JAIL_LAYERS_MAX + 4) * JAIL_PATH_MAX + JAIL_TEXT_MAX);
    message_put_u64(&b, MOUNT_KIND, m->kind);
    message_put(&b, MOUNT_SOURCE, m->source);
    message_put(&b, MOUNT_TARGET, m->target);
    message_put_u64(&b, MOUNT_BYTES, m->bytes);
    message_put_u64(&b, MOUNT_OPTIONAL, m->optional);
    message_put(&b, MOUNT_UPPER, m->upper);
    message_put(&b, MOUNT_TEXT, m->text);
    for (size_t i = 0; i < m->nlayers; i++)
        message_put(&b, MOUNT_LAYER, m->layers[i]);
    message_put(ret, PLAN_MOUNT, buf_slice(&b));
    ret->failed |= b.failed;
}

void jail_plan_encode(const struct jail_plan *p, struct buf *ret)
{
    message_put_u64(ret, PLAN_UID, p->uid);
    message_put_u64(ret, PLAN_GID, p->gid);
    message_put(ret, PLAN_CWD, p->cwd);
    message_put_u64(ret, PLAN_TERMINAL, p->terminal);
    message_put(ret, PLAN_APPLET, p->applet);
    message_put(ret, PLAN_ARGS, p->args);
    message_put_u64(ret, PLAN_WALL_MS, p->limits.wall_ms);
    message_put_u64(ret, PLAN_CPU_MS, p->limits.cpu_ms);
    message_put_u64(ret, PLAN_MEMORY, p->limits.memory);
    message_put_u64(ret, PLAN_FILE_SIZE, p->limits.file_size);
    message_put_u64(ret, PLAN_DISK, p->limits.disk);
    message_put_u64(ret, PLAN_ENTRIES, p->limits.entries);
    message_put_u64(ret, PLAN_FILES, p->limits.files);
    message_put_u64(ret, PLAN_PROCESSES, p->limits.processes);
    message_put_u64(ret, PLAN_OUTPUT, p->limits.output);
    message_put_u64(ret, PLAN_MEMORY_ALL, p->limits.memory_all);
    message_put_u64(ret, PLAN_ID_RANGE, p->id_range);
    for (size_t i = 0; i < p->nmounts; i++)
        put_mount(ret, &p->mounts[i]);
    for (size_t i = 0; i < p->nargv; i++)
        message_put(ret, PLAN_ARGV, p->argv[i]);
    for (size_t i = 0; i < p->nenv; i++)
        message_put(ret, PLAN_ENV, p->env[i]);
    for (size_t i = 0; i < p->nlisten; i++)
        message_put_u64(ret, PLAN_LISTEN, p->listen[i]);
    for (size_t i = 0; i < p->nserves; i++)
        message_put_u64(ret, PLAN_SERVES, p->serves[i]);
    if (p->service)
        message_put(ret, PLAN_SERVICE, SLICE_NONE);
    if (p->nests)
        message_put(ret, PLAN_NESTS, SLICE_NONE);
    if (p->stays)
        message_put(ret, PLAN_STAYS, SLICE_NONE);
    message_put(ret, PLAN_END, SLICE_NONE);
}

void jail_plan_beginning(const struct jail_plan *p, struct buf *ret)
{
    static struct slice nothing = SLICE_INIT("-");
    struct jail_plan b = {.uid = p->uid, .gid = p->gid, .id_range = p->id_range, .nests = p->nests, .cwd = SLICE("/"), .argv = &nothing, .nargv = 1};
    while (b.nmounts < p->nmounts) {
        const struct jail_mount *m = &p->mounts[b.nmounts];
        if (m->kind == JAIL_LAYERS || m->kind == JAIL_WRITE || m->kind == JAIL_EMPTY)
            break;
        b.mounts[b.nmounts++] = *m;
    }
    jail_plan_encode(&b, ret);
}

void jail_plan_walls(const struct jail_plan *p, struct buf *ret)
{
    struct jail_plan walls = *p;
    walls.applet = SLICE("-");
    walls.args = SLICE_NONE;
    jail_plan_encode(&walls, ret);
}

/* ---- reading ---- */

static bool has_nul(struct slice s)
{
    return s.n && memchr(s.p, '\0', s.n);
}

/* Absolute, normalised, bounded; "/" only where `root`. */
static bool is_path(struct slice s, bool root)
{
    if (s.n == 0 || s.n > JAIL_PATH_MAX || s.p[0] != '/' || has_nul(s))
        return false;
    if (s.n == 1)
        return root;
    struct slice rest = s;
    while (rest.n) {
        rest = slice_sub(rest, 1, rest.n);
        struct slice name = slice_sub(rest, 0, slice_index(rest, '/'));
        if (name.n == 0 || slice_is(name, ".") || slice_is(name, ".."))
            return false;
        rest = slice_sub(rest, name.n, rest.n);
    }
    return true;
}

static enum err corrupt(struct error *e, const char *what)
{
    return error_set(e, ERR_CORRUPT, "a jail's plan is not one: %s", what);
}

static bool field_number(struct field f, uint64_t max, uint64_t *ret)
{
    return field_u64(f, ret) && *ret <= max;
}

static enum err check_mount(const struct jail_mount *m, struct error *e)
{
    bool layers = m->kind == JAIL_LAYERS, sourced = m->kind != JAIL_EMPTY && m->kind != JAIL_SCRATCH && m->kind != JAIL_FILE;
    if (sourced ? !is_path(m->source, true) : m->source.n != 0)
        return corrupt(e, "a mount's source");
    if (m->text.n > (m->kind == JAIL_FILE ? JAIL_TEXT_MAX : 0))
        return corrupt(e, "a mount's text");
    if (m->upper.n && (!layers || !is_path(m->upper, false)))
        return corrupt(e, "a mount's upper folder");
    for (size_t i = 0; i < m->nlayers; i++)
        if (!layers || !is_path(m->layers[i], false))
            return corrupt(e, "a mount's layers");
    return is_path(m->target, false) ? OK : corrupt(e, "a mount's target");
}

static bool take_mount_field(struct field f, struct jail_mount *m)
{
    uint64_t v = 0;
    switch (f.tag) {
    case MOUNT_KIND:
        if (!field_number(f, JAIL_SHOWN, &v) || v < JAIL_READ)
            return false;
        m->kind = (enum jail_mount_kind)v;
        return true;
    case MOUNT_SOURCE:
        m->source = f.bytes;
        return true;
    case MOUNT_TARGET:
        m->target = f.bytes;
        return true;
    case MOUNT_BYTES:
        return field_number(f, INT64_MAX, &m->bytes);
    case MOUNT_OPTIONAL:
        m->optional = field_number(f, 1, &v) && v;
        return v <= 1;
    case MOUNT_UPPER:
        m->upper = f.bytes;
        return true;
    case MOUNT_TEXT:
        m->text = f.bytes;
        return true;
    default:
        return false;
    }
}

static enum err take_layer(struct field f, struct arena *a, struct jail_mount *m, struct error *e)
{
    if (m->nlayers == JAIL_LAYERS_MAX)
        return error_set(e, ERR_LIMIT, "a mount of a jail's plan has more than %d layers", JAIL_LAYERS_MAX);
    if (!m->layers && !(m->layers = arena_array(a, JAIL_LAYERS_MAX, sizeof *m->layers)))
        return error_set(e, ERR_MEMORY, "no memory for a jail's plan");
    m->layers[m->nlayers++] = f.bytes;
    return OK;
}

static enum err take_mount(struct slice bytes, struct arena *a, struct jail_plan *p, struct error *e)
{
    struct jail_mount m = {.bytes = 0};
    struct message_reader r = message_read(bytes);
    struct field f;
    unsigned seen = 0;
    int got = 0;
    enum err err = OK;
    while (!err && (got = message_next(&r, &f)) > 0) {
        if (f.tag == MOUNT_LAYER) {
            err = take_layer(f, a, &m, e);
            continue;
        }
        if (!take_mount_field(f, &m) || seen & 1u << f.tag)
            return corrupt(e, "a field of a mount");
        seen |= 1u << f.tag;
    }
    if (!err && (got < 0 || seen != (2u << MOUNT_SINGLE) - 2))
        return corrupt(e, "a mount without all its fields");
    err = err ? err : check_mount(&m, e);
    if (!err && !jail_plan_add(p, m))
        return error_set(e, ERR_LIMIT, "a jail's plan has more than %d mounts", JAIL_MOUNTS_MAX);
    return err;
}

/* A whole-number field of the plan, or NULL; numbers fit an int64 so that sums and printing are safe. */
static uint64_t *limit_of(struct jail_plan *p, uint16_t tag)
{
    switch (tag) {
    case PLAN_WALL_MS: return &p->limits.wall_ms;
    case PLAN_CPU_MS: return &p->limits.cpu_ms;
    case PLAN_MEMORY: return &p->limits.memory;
    case PLAN_MEMORY_ALL: return &p->limits.memory_all;
    case PLAN_FILE_SIZE: return &p->limits.file_size;
    case PLAN_DISK: return &p->limits.disk;
    case PLAN_ENTRIES: return &p->limits.entries;
    case PLAN_FILES: return &p->limits.files;
    case PLAN_PROCESSES: return &p->limits.processes;
    case PLAN_OUTPUT: return &p->limits.output;
    default: return NULL;
    }
}

enum { LIMIT_MOST = 1000000000 }; /* of milliseconds, 11 days; of counts; bytes have their own */

static bool take_single(struct field f, struct jail_plan *p)
{
    uint64_t v = 0, *limit = limit_of(p, f.tag);
    bool bytes = f.tag == PLAN_MEMORY || f.tag == PLAN_MEMORY_ALL || f.tag == PLAN_FILE_SIZE || f.tag == PLAN_DISK || f.tag == PLAN_OUTPUT;
    if (limit)
        return field_number(f, bytes ? INT64_MAX : LIMIT_MOST, limit);
    switch (f.tag) {
    case PLAN_UID:
    case PLAN_GID: /* the largest number means "no id" to the system */
        if (!field_number(f, UINT32_MAX - 1, &v))
            return false;
        *(f.tag == PLAN_UID ? &p->uid : &p->gid) = (uint32_t)v;
        return true;
    case PLAN_ID_RANGE:
        if (!field_number(f, JAIL_ID_RANGES - 1, &v))
            return false;
        p->id_range = (uint32_t)v;
        return true;
    case PLAN_CWD:
        p->cwd = f.bytes;
        return is_path(f.bytes, true);
    case PLAN_TERMINAL:
        p->terminal = field_number(f, 1, &v) && v;
        return v <= 1;
    case PLAN_APPLET:
        p->applet = f.bytes;
        return !has_nul(f.bytes);
    default:
        p->args = f.bytes;
        return message_ok(f.bytes);
    }
}

static enum err take_word(struct field f, struct slice *words, size_t *n, struct error *e)
{
    if (*n == JAIL_WORDS_MAX)
        return error_set(e, ERR_LIMIT, "a jail's plan has more than %d %s", JAIL_WORDS_MAX,
                         f.tag == PLAN_ARGV ? "arguments" : "variables");
    size_t equals = slice_index(f.bytes, '=');
    if (has_nul(f.bytes) || (f.tag == PLAN_ENV && (equals == 0 || equals == f.bytes.n)))
        return corrupt(e, f.tag == PLAN_ARGV ? "an argument" : "a variable");
    words[(*n)++] = f.bytes;
    return OK;
}

static enum err take_port(struct field f, uint16_t *ports, size_t *n, struct error *e)
{
    uint64_t v = 0;
    if (*n == JAIL_PORTS_MAX)
        return error_set(e, ERR_LIMIT, "a jail's plan has more than %d ports", JAIL_PORTS_MAX);
    if (!field_number(f, UINT16_MAX, &v) || v == 0)
        return corrupt(e, "a port");
    for (size_t i = 0; i < *n; i++)
        if (ports[i] == v)
            return corrupt(e, "a port twice");
    ports[(*n)++] = (uint16_t)v;
    return OK;
}

static enum err take_flag(struct field f, bool *ret, struct error *e)
{
    if (*ret || f.bytes.n)
        return corrupt(e, "a field's value");
    *ret = true;
    return OK;
}

static enum err take_field(struct field f, struct arena *a, struct jail_plan *p, unsigned *seen, struct error *e)
{
    if (f.tag >= 1 && f.tag <= PLAN_SINGLE) {
        bool again = *seen & 1u << f.tag;
        *seen |= 1u << f.tag;
        return !again && take_single(f, p) ? OK : corrupt(e, "a field's value");
    }
    switch (f.tag) {
    case PLAN_MOUNT:
        return take_mount(f.bytes, a, p, e);
    case PLAN_ARGV:
        return take_word(f, p->argv, &p->nargv, e);
    case PLAN_ENV:
        return take_word(f, p->env, &p->nenv, e);
    case PLAN_LISTEN:
        return take_port(f, p->listen, &p->nlisten, e);
    case PLAN_SERVES:
        return take_port(f, p->serves, &p->nserves, e);
    case PLAN_SERVICE:
        return take_flag(f, &p->service, e);
    case PLAN_NESTS:
        return take_flag(f, &p->nests, e);
    case PLAN_STAYS:
        return take_flag(f, &p->stays, e);
    default:
        return error_set(e, ERR_VERSION, "a jail's plan has a field (%u) that this crannog-jail does not know; mend: "
                         "install crannog and crannog-jail of one version", f.tag);
    }
}

/* The kernel would let two mounts write into one upper, and both would be wrong. */
static bool shares_upper(const struct jail_plan *p)
{
    for (size_t i = 0; i < p->nmounts; i++)
        for (size_t k = 0; p->mounts[i].upper.n && k < i; k++)
            if (slice_eq(p->mounts[i].upper, p->mounts[k].upper))
                return true;
    return false;
}

/* Whether nothing that one applet did could be there for the next, or lead out. */
static bool may_stay(const struct jail_plan *p)
{
    for (size_t i = 0; i < p->nmounts; i++)
        if (p->mounts[i].kind == JAIL_WRITE || p->mounts[i].upper.n)
            return false;
    return p->applet.n && !p->nlisten && !p->terminal;
}

static enum err check_whole(const struct jail_plan *p, unsigned seen, bool ended, struct error *e)
{
    if (!ended || seen != (2u << PLAN_SINGLE) - 2)
        return corrupt(e, "it is cut short");
    if ((p->applet.n != 0) == (p->nargv != 0))
        return corrupt(e, "it names not exactly one thing to run");
    if (shares_upper(p))
        return corrupt(e, "two mounts with one upper folder");
    if (p->nests && p->applet.n)
        return corrupt(e, "an applet that nests");
    if (p->stays && !may_stay(p))
        return corrupt(e, "one that stays, and could keep something");
    if (p->service ? p->nargv == 0 || p->terminal : p->nserves != 0)
        return corrupt(e, "a service that is none");
    return p->nargv && p->argv[0].n == 0 ? corrupt(e, "its program has no name") : OK;
}

enum err jail_plan_decode(struct slice bytes, struct arena *a, struct jail_plan *ret, struct error *e)
{
    if (bytes.n > JAIL_PLAN_MAX)
        return error_set(e, ERR_LIMIT, "a jail's plan is larger than %d bytes", JAIL_PLAN_MAX);
    struct jail_plan *p = arena_alloc(a, sizeof *p);
    if (!p || !(p->argv = arena_array(a, JAIL_WORDS_MAX, sizeof *p->argv)) ||
        !(p->env = arena_array(a, JAIL_WORDS_MAX, sizeof *p->env)) ||
        !(p->listen = arena_array(a, JAIL_PORTS_MAX, sizeof *p->listen)) ||
        !(p->serves = arena_array(a, JAIL_PORTS_MAX, sizeof *p->serves)))
        return error_set(e, ERR_MEMORY, "no memory for a jail's plan");
    struct message_reader r = message_read(bytes);
    struct field f;
    unsigned seen = 0;
    bool ended = false;
    int got;
    while ((got = message_next(&r, &f)) > 0) {
        enum err err = ended ? corrupt(e, "bytes behind its end") : OK;
        ended = f.tag == PLAN_END && f.bytes.n == 0;
        if (!err && !ended)
            err = take_field(f, a, p, &seen, e);
        if (err)
            return err;
    }
    enum err err = got < 0 ? corrupt(e, "no message") : check_whole(p, seen, ended, e);
    if (!err)
        *ret = *p;
    return err;
}
