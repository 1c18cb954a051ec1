/* What is remembered of models: the one in use (<state>/choice), servers of one's own (<state>/servers). JSON, mode 0600. */
#include <fcntl.h>
#include <stdlib.h>

#include "base/sys.h"
#include "cli/choose.h"
#include "door/client.h"

enum { KEPT_MAX = 64 * 1024, SERVERS_MAX = 32 };

/* Reads a file of the state; *ret is NULL where there is none. */
static enum err read_kept(const struct choose_with *w, const char *name, struct json **ret, struct error *e)
{
    BUF_CLEANUP struct buf path = BUF_INIT(4096), text = BUF_INIT(KEPT_MAX);
    buf_addf(&path, "%.*s/%s", SLICE_ARG(w->state), name);
    *ret = NULL;
    enum err err = buf_check(&path, "a path in the crannog", e);
    if (!err)
        err = cli_read_file(buf_str(&path), "the file", KEPT_MAX, &text, e);
    if (err)
        return err == ERR_MISSING ? OK : err;
    err = json_parse(buf_slice(&text), ret, e);
    return err ? error_set(e, ERR_CORRUPT, "%s is damaged; remove it, and `crannog login` makes it anew", buf_str(&path)) : OK;
}

static enum err write_kept(const struct choose_with *w, const char *name, const struct json *v, struct error *e)
{
    BUF_CLEANUP struct buf path = BUF_INIT(4096), text = BUF_INIT(KEPT_MAX);
    buf_addf(&path, "%.*s/%s", SLICE_ARG(w->state), name);
    json_print(v, &text);
    buf_add_char(&text, '\n');
    enum err err = buf_check(&path, "a path in the crannog", e);
    if (!err)
        err = buf_check(&text, name, e);
    return err ? err : sys_replace_file(AT_FDCWD, buf_str(&path), buf_slice(&text), 0600, e);
}

/* ---- the model in use ---- */

enum err choose_remember(const struct choose_with *w, const struct choice *c, struct error *e)
{
    JSON_CLEANUP struct json *v = json_object();
    json_put_text(v, "place", c->place.name);
    json_put_text(v, "model", c->model);
    json_put_text(v, "provider", c->place.provider);
    json_put_text(v, "base", c->place.base);
    json_put_text(v, "secret", c->place.secret);
    return write_kept(w, "choice", v, e);
}

enum err choose_recall(const struct choose_with *w, struct arena *a, struct slice *ret, struct error *e)
{
    JSON_CLEANUP struct json *v = NULL;
    *ret = SLICE_NONE;
    enum err err = read_kept(w, "choice", &v, e);
    struct slice place = json_text(json_get(v, "place")), model = json_text(json_get(v, "model"));
    if (err || !place.n || !model.n)
        return err;
    char *ref = arena_printf(a, "%.*s/%.*s", SLICE_ARG(place), SLICE_ARG(model));
    *ret = slice_of(ref);
    return ref ? OK : error_set(e, ERR_MEMORY, "no memory for the names of models");
}

/* ---- servers of one's own ---- */

/* Where the environment says that its key is for another server (door_start gives it for that one), the provider is there. */
static size_t add_variables(struct config_server *v)
{
    static const struct {
        const char *key, *base, *provider;
    } known[] = {{"ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "anthropic"}, {"ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "anthropic"},
                 {"OPENAI_API_KEY", "OPENAI_BASE_URL", "openai"}};
    size_t n = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct config_server s = {slice_of(known[i].provider), slice_of(known[i].provider), slice_of(getenv(known[i].base))};
        if (door_has_variable(known[i].key) && s.base.n && !config_server_check(&s, NULL))
            v[n++] = s;
    }
    return n;
}

enum err choose_servers(const struct choose_with *w, struct arena *a, struct config_server **ret, size_t *ret_n, struct error *e)
{
    JSON_CLEANUP struct json *v = NULL;
    size_t n = w->cfg ? w->cfg->n_servers : 0;
    enum err err = w->state.n ? read_kept(w, "servers", &v, e) : OK;
    struct config_server *all = arena_array(a, n + json_count(v) + 3, sizeof *all);
    if (err || !all)
        return err ? err : error_set(e, ERR_MEMORY, "no memory for the servers");
    for (size_t i = 0; i < n; i++)
        all[i] = w->cfg->servers[i];
    for (size_t i = 0; i < json_count(v) && json_type(v) == JSON_ARRAY; i++) {
        const struct json *o = json_at(v, i);
        struct config_server s = {arena_copy(a, json_text(json_get(o, "name"))), arena_copy(a, json_text(json_get(o, "provider"))),
                                  arena_copy(a, json_text(json_get(o, "base")))};
        if (s.name.n && s.base.n && provider_find(s.provider))
            all[n++] = s;
    }
    n += add_variables(all + n);
    *ret = all;
    *ret_n = n;
    return OK;
}

/* The list without a name. */
static struct json *without(const struct json *v, struct slice name, bool *ret_was)
{
    struct json *left = json_array();
    *ret_was = false;
    for (size_t i = 0; i < json_count(v) && json_type(v) == JSON_ARRAY; i++) {
        bool is_it = slice_eq(json_text(json_get(json_at(v, i), "name")), name);
        *ret_was |= is_it;
        if (!is_it)
            json_push(left, json_clone(json_at(v, i)));
    }
    return left;
}

enum err choose_keep_server(const struct choose_with *w, const struct config_server *s, struct error *e)
{
    JSON_CLEANUP struct json *v = NULL, *left = NULL;
    bool was;
    enum err err = read_kept(w, "servers", &v, e);
    if (err)
        return err;
    left = without(v, s->name, &was);
    if (json_count(left) >= SERVERS_MAX)
        return error_set(e, ERR_LIMIT, "there are %d servers already; `crannog login --forget NAME` makes room", SERVERS_MAX);
    struct json *o = json_object();
    json_put_text(o, "name", s->name);
    json_put_text(o, "provider", s->provider);
    json_put_text(o, "base", s->base);
    json_push(left, o);
    return write_kept(w, "servers", left, e);
}

enum err choose_drop_server(const struct choose_with *w, struct slice name, bool *ret_was, struct error *e)
{
    JSON_CLEANUP struct json *v = NULL, *left = NULL;
    *ret_was = false;
    enum err err = read_kept(w, "servers", &v, e);
    if (err)
        return err;
    left = without(v, name, ret_was);
    return *ret_was ? write_kept(w, "servers", left, e) : OK;
}
