#include "view/jail.h"

static const char *how(const struct jail_mount *m)
{
    switch (m->kind) {
    case JAIL_WRITE: return "writable";
    case JAIL_EMPTY: return "covered";
    case JAIL_SCRATCH: return "scratch";
    case JAIL_LAYERS: return m->upper.n ? "layer" : "read-only";
    case JAIL_CACHE: return "cache";
    case JAIL_FILE: return "file";
    default: return "read-only";
    }
}

static struct json *words_of(const struct slice *v, size_t n)
{
    struct json *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_push(list, json_new_text(v[i]));
    return list;
}

static struct json *mount_of(const struct jail_mount *m)
{
    struct json *o = json_object();
    json_put_text(o, "path", m->target);
    json_put_text(o, "how", slice_of(how(m)));
    if (m->source.n && !slice_eq(m->source, m->target))
        json_put_text(o, "from", m->source);
    if (m->bytes)
        json_put_int(o, "bytes", (int64_t)m->bytes);
    if (m->optional)
        json_put_bool(o, "optional", true);
    return o;
}

static struct json *limits_of(const struct jail_limits *l)
{
    const struct { const char *name; uint64_t v; } all[] = {
        {"memory", l->memory_all}, {"memory_of_a_process", l->memory}, {"cpu_ms", l->cpu_ms}, {"time_ms", l->wall_ms}, {"processes", l->processes},
        {"open_files", l->files}, {"file_size", l->file_size}, {"disk", l->disk}, {"files", l->entries}, {"output", l->output}};
    struct json *o = json_object();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].v)
            json_put_int(o, all[i].name, (int64_t)all[i].v);
    return o;
}

struct json *view_jail(const struct jail_plan *p)
{
    struct json *v = json_object(), *sees = json_array();
    for (size_t i = 0; i < p->nmounts; i++)
        json_push(sees, mount_of(&p->mounts[i]));
    json_put(v, "command", words_of(p->argv, p->nargv));
    json_put_text(v, "folder", p->cwd);
    json_put_int(v, "uid", p->uid);
    json_put_int(v, "gid", p->gid);
    json_put(v, "sees", sees);
    json_put(v, "environment", words_of(p->env, p->nenv));
    json_put(v, "limits", limits_of(&p->limits));
    if (p->nests)
        json_put_bool(v, "browser", true);
    return v;
}
