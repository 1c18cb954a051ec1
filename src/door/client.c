#include "door/client.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "door/protocol.h"
#include "model/provider.h"

enum { ANSWER_MS = 30 * 1000, VALUE_MAX = 16384 };

/* ---- the environment ---- */

/* Where a variable of the person's says that another server is meant, a key is for that one and must reach no other. */
static const struct {
    struct door_variable v;
    const char *base;
} variables[] = {
    {{"ANTHROPIC_API_KEY", "anthropic"}, "ANTHROPIC_BASE_URL"},
    {{"ANTHROPIC_AUTH_TOKEN", "anthropic"}, "ANTHROPIC_BASE_URL"},
    {{"OPENAI_API_KEY", "openai"}, "OPENAI_BASE_URL"},
    {{"OPENROUTER_API_KEY", "openrouter"}, NULL},
    {{"DEEPSEEK_API_KEY", "deepseek"}, NULL},
    {{"MISTRAL_API_KEY", "mistral"}, NULL},
    {{"GROQ_API_KEY", "groq"}, NULL},
    {{"XAI_API_KEY", "xai"}, NULL},
    {{"MOONSHOT_API_KEY", "moonshot"}, NULL},
};
enum { VARIABLES = sizeof variables / sizeof *variables };

static struct {
    char *value; /* sodium_malloc; NULL: it was not there */
    size_t n;
} taken[VARIABLES];

const struct door_variable *door_variable_at(size_t i)
{
    return i < VARIABLES ? &variables[i].v : NULL;
}

static void take(size_t i)
{
    char *value = getenv(variables[i].v.name);
    size_t n = value ? strlen(value) : 0;
    struct slice trimmed = slice_trim((struct slice){value, n}); /* a line's end from a file is no part of a key */
    if (trimmed.n && trimmed.n <= VALUE_MAX && (taken[i].value = sodium_malloc(trimmed.n + 1))) {
        memcpy(taken[i].value, trimmed.p, trimmed.n);
        taken[i].value[trimmed.n] = '\0';
        taken[i].n = trimmed.n;
        sodium_mprotect_readonly(taken[i].value);
    }
    if (value)
        explicit_bzero(value, n);
    unsetenv(variables[i].v.name);
}

void door_take_environment(void)
{
    if (sodium_init() < 0)
        return;
    for (size_t i = 0; i < VARIABLES; i++)
        take(i);
}

static size_t variable_of(struct slice name)
{
    size_t i = 0;
    while (i < VARIABLES && !slice_is(name, variables[i].v.name))
        i++;
    return i;
}

bool door_has_variable(const char *name)
{
    size_t i = variable_of(slice_of(name));
    return i < VARIABLES && taken[i].value;
}

/* The base that a secret is for where nobody says: that of the provider whose variable, or whose name, it has. */
static struct slice base_of(struct slice name)
{
    size_t i = variable_of(name);
    const struct provider *p = provider_find(i < VARIABLES ? slice_of(variables[i].v.provider) : name);
    return p ? p->base : SLICE_NONE;
}

/* ---- frames ---- */

static enum err wait_for(int socket, short what, int64_t until_ns, struct error *e)
{
    for (;;) {
        int64_t left = (until_ns - sys->boottime_ns()) / 1000000;
        struct pollfd p = {.fd = socket, .events = what};
        int got = left > 0 ? sys->poll(&p, 1, (int)left) : 0;
        if (got > 0)
            return OK;
        if (got == 0)
            return error_set(e, ERR_TIMEOUT, "crannog-door does not answer");
        if (errno != EINTR)
            return error_errno(e, errno, "cannot wait for crannog-door");
    }
}

static enum err send_frame(const struct peer *p, uint16_t type, uint64_t id, struct outgoing *o, struct error *e)
{
    int64_t until = sys->boottime_ns() + ANSWER_MS * 1000000LL;
    enum err err;
    while ((err = frame_send(p->socket, type, id, o, e)) == ERR_BUSY)
        if ((err = wait_for(p->socket, POLLOUT, until, e)))
            break;
    return err;
}

/* A message with a secret in it: made in one piece, and wiped. */
static enum err send_secret(const struct peer *p, uint16_t type, uint64_t id, struct slice name, struct slice value, struct slice base,
                            struct error *e)
{
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    if (!buf_extend(&o.message, name.n + value.n + base.n + 64))
        return error_set(e, ERR_LIMIT, "the secret %.*s is too long", SLICE_ARG(slice_sub(name, 0, 100)));
    buf_reset(&o.message);
    o.wipe = true;
    message_put(&o.message, DOOR_NAME, name);
    message_put(&o.message, DOOR_BASE, base);
    message_put(&o.message, DOOR_VALUE, value);
    return send_frame(p, type, id, &o, e);
}

/* The next frame with one of n ids; others are dropped: nothing else is under way. */
static enum err next_frame(const struct peer *p, uint64_t id, size_t n, int64_t until_ns, struct frame *ret, struct error *e)
{
    for (;;) {
        enum err err = frame_receive(p->socket, ret, e);
        if (!err && ret->id - id < n)
            return OK;
        if (!err)
            frame_release(ret);
        else if (err != ERR_BUSY)
            return err == ERR_GONE ? error_set(e, ERR_GONE, "crannog-door has ended") : err;
        else if ((err = wait_for(p->socket, POLLIN, until_ns, e)))
            return err;
    }
}

static enum err failed(const struct frame *f, struct error *e)
{
    BUF_CLEANUP struct buf text = BUF_INIT(4096);
    enum err err = frame_large(f, DOOR_TEXT, &text, e);
    uint64_t code = message_get_u64(f->message, DOOR_CODE, ERR_IO);
    if (err)
        return err;
    return error_set(e, code > 0 && code <= ERR_UNSUPPORTED ? (enum err)code : ERR_IO, "%s", buf_str(&text));
}

static enum err copy_names(const struct frame *f, struct arena *a, struct slice **ret, size_t *ret_n, struct error *e)
{
    struct message_reader r = message_read(f->message);
    struct field field;
    size_t cap = *ret_n;
    while (message_next(&r, &field) > 0) {
        if (field.tag != DOOR_NAME)
            continue;
        if (!arena_grow(a, (void **)ret, &cap, *ret_n + 1, sizeof **ret) || !((*ret)[*ret_n] = arena_copy(a, field.bytes)).p)
            return error_set(e, ERR_MEMORY, "no memory for names");
        ++*ret_n;
    }
    return OK;
}

/* Waits for OK or FAILED. */
static enum err wait_ok(const struct peer *p, uint64_t id, struct arena *a, struct slice **ret_names, size_t *ret_n, struct error *e)
{
    FRAME_CLEANUP struct frame f = FRAME_INIT;
    enum err err = next_frame(p, id, 1, sys->boottime_ns() + ANSWER_MS * 1000000LL, &f, e);
    if (err)
        return err;
    if (f.type != DOOR_OK)
        return f.type == DOOR_FAILED ? failed(&f, e) : error_set(e, ERR_CORRUPT, "crannog-door answers with a frame of type %u", f.type);
    return ret_names ? copy_names(&f, a, ret_names, ret_n, e) : OK;
}

/* ---- the start ---- */

static enum err send_variables(const struct peer *p, struct error *e)
{
    for (size_t i = 0; i < VARIABLES; i++) {
        const char *other = variables[i].base ? getenv(variables[i].base) : NULL;
        struct slice base = other && *other ? slice_of(other) : base_of(slice_of(variables[i].v.name));
        if (!taken[i].value)
            continue;
        enum err err = send_secret(p, DOOR_SECRET, 0, slice_of(variables[i].v.name), (struct slice){taken[i].value, taken[i].n}, base, e);
        if (err)
            return err;
    }
    return OK;
}

static int open_file(int folder, const char *name, bool make)
{
    const int flags = O_RDWR | O_NOFOLLOW | O_NOCTTY;
    int fd = sys->openat(folder, name, flags, 0);
    if (fd < 0 && errno == ENOENT && make)
        fd = sys->openat(folder, name, flags | O_CREAT, 0600);
    return fd;
}

static enum err open_vault(const char *state, bool make, int *ret, int *ret_key, struct error *e)
{
    FD_CLEANUP int folder = sys->openat(AT_FDCWD, state, O_RDONLY | O_DIRECTORY, 0);
    if (folder < 0)
        return error_errno(e, errno, "cannot open %s", state);
    *ret = open_file(folder, "vault", make);
    if (*ret < 0)
        return errno == ENOENT && !make ? OK : error_errno(e, errno, "cannot open %s/vault", state);
    *ret_key = open_file(folder, "vault.key", make);
    if (*ret_key < 0)
        return error_errno(e, errno, "cannot open %s/vault.key, without which the vault cannot be read", state);
    if (make && sys->fsync(folder) < 0)
        return error_errno(e, errno, "cannot make the vault in %s durable", state);
    return OK;
}

/* Without a vault the door knows what it was just sent. */
static enum err own_names(struct arena *a, struct slice **ret_names, size_t *ret_n, struct error *e)
{
    size_t cap = *ret_n;
    for (size_t i = 0; i < VARIABLES; i++) {
        if (!taken[i].value)
            continue;
        if (!arena_grow(a, (void **)ret_names, &cap, *ret_n + 1, sizeof **ret_names))
            return error_set(e, ERR_MEMORY, "no memory for names");
        (*ret_names)[(*ret_n)++] = slice_of(variables[i].v.name);
    }
    return OK;
}

/* Gives it the vault, where there is one; and what it knows then. */
static enum err give_vault(const struct peer *p, const char *state, bool make, struct arena *a, struct slice **ret_names, size_t *ret_n,
                           struct error *e)
{
    FD_CLEANUP int fd = -1;
    FD_CLEANUP int key = -1;
    enum err err = state ? open_vault(state, make, &fd, &key, e) : OK;
    if (err)
        return err;
    if (fd < 0)
        return ret_names ? own_names(a, ret_names, ret_n, e) : OK;
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    outgoing_put_fd(&o, DOOR_FD, fd);
    outgoing_put_fd(&o, DOOR_FD, key);
    err = send_frame(p, DOOR_VAULT, 0, &o, e);
    return err ? err : wait_ok(p, 0, a, ret_names, ret_n, e);
}

enum err door_start(const char *program_path, const char *state, bool make_vault, struct arena *a, struct peer *ret,
                    struct slice **ret_names, size_t *ret_n, struct error *e)
{
    static char name[] = "crannog-door";
    char *argv[] = {name, NULL}, *env[] = {NULL};
    struct peer p = PEER_INIT;
    enum err err = peer_start(program_path, argv, env, NULL, 0, true, &p, e);
    if (!err)
        err = send_variables(&p, e);
    if (!err)
        err = give_vault(&p, state, make_vault, a, ret_names, ret_n, e);
    if (err)
        peer_kill(&p);
    else
        *ret = p;
    return err;
}

enum err door_store(struct peer *p, struct slice name, struct slice value, struct slice base, struct error *e)
{
    if (!base.n)
        base = base_of(name);
    if (!base.n)
        return error_set(e, ERR_USAGE, "%.*s is of no provider that is known; say for which server it is", SLICE_ARG(slice_sub(name, 0, 100)));
    enum err err = send_secret(p, DOOR_STORE, 0, name, value, base, e);
    return err ? err : wait_ok(p, 0, NULL, NULL, NULL, e);
}

enum err door_forget(struct peer *p, struct slice name, struct error *e)
{
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    message_put(&o.message, DOOR_NAME, name);
    enum err err = send_frame(p, DOOR_FORGET, 0, &o, e);
    return err ? err : wait_ok(p, 0, NULL, NULL, NULL, e);
}

/* ---- looking ---- */

static const uint64_t LOOK_ID = 1ull << 63; /* above all ids of calls */

static enum err send_look(const struct peer *p, const struct door_look *v, uint64_t id, int timeout_ms, struct error *e)
{
    OUTGOING_CLEANUP struct outgoing o = outgoing_new();
    message_put(&o.message, DOOR_PROVIDER, v->provider);
    message_put(&o.message, DOOR_BASE, v->base);
    message_put(&o.message, DOOR_SECRET_NAME, v->secret);
    message_put_u64(&o.message, DOOR_TOTAL_MS, (uint64_t)timeout_ms);
    return send_frame(p, DOOR_LOOK, id, &o, e);
}

static enum err take_look(const struct frame *f, struct door_look *v, struct arena *a, struct error *e)
{
    struct error why;
    if (f->type == DOOR_MODELS) {
        v->answered = true;
        return copy_names(f, a, &v->models, &v->n, e);
    }
    if ((v->code = failed(f, &why)))
        snprintf(v->why, sizeof v->why, "%s", why.text);
    return OK;
}

enum err door_look_at(struct peer *p, struct door_look *v, size_t n, int timeout_ms, struct arena *a, struct error *e)
{
    /* Each ends by itself in time; a door that is late beyond that is broken. */
    int64_t until = sys->boottime_ns() + (timeout_ms + 5000LL) * 1000000;
    enum err err = OK;
    for (size_t i = 0; !err && i < n; i++) {
        v[i].models = NULL;
        v[i].n = 0;
        v[i].answered = false;
        v[i].why[0] = '\0';
        err = send_look(p, &v[i], LOOK_ID + i, timeout_ms, e);
    }
    for (size_t left = n; !err && left; left--) {
        FRAME_CLEANUP struct frame f = FRAME_INIT;
        err = next_frame(p, LOOK_ID, n, until, &f, e);
        if (!err)
            err = take_look(&f, &v[f.id - LOOK_ID], a, e);
    }
    return err;
}
