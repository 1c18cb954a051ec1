#include "core/service.h"

#include <string.h>

#include "core/plan.h"

bool service_name_ok(struct slice name)
{
    bool ok = name.n > 0 && name.n <= SERVICE_NAME_MAX && name.p[0] >= 'a' && name.p[0] <= 'z';
    for (size_t i = 0; ok && i < name.n; i++)
        ok = (name.p[i] >= 'a' && name.p[i] <= 'z') || (name.p[i] >= '0' && name.p[i] <= '9') || name.p[i] == '-';
    return ok;
}

static enum err read_ports(const struct json *list, struct service *s, struct error *e)
{
    bool one = json_type(list) == JSON_INT;
    size_t n = one ? 1 : json_count(list);
    if (list && json_type(list) != JSON_ARRAY && !one)
        return error_set(e, ERR_USAGE, "ports of a service are a list of numbers like [5432]");
    if (n > SERVICE_PORTS_MAX)
        return error_set(e, ERR_USAGE, "a service has at most %d ports", SERVICE_PORTS_MAX);
    for (size_t i = 0; i < n; i++) {
        int64_t port = json_int(one ? list : json_at(list, i), 0);
        if (port < 1 || port > UINT16_MAX)
            return error_set(e, ERR_USAGE, "a port is a number from 1 to 65535");
        for (size_t k = 0; k < i; k++)
            if (s->ports[k] == port)
                return error_set(e, ERR_USAGE, "port %d stands there twice", (int)port);
        s->ports[s->nports++] = (uint16_t)port;
    }
    return OK;
}

enum err service_read(const struct json *o, struct service *ret, struct error *e)
{
    struct service s = {.name = json_text(json_get(o, "name")), .run = json_text(json_get(o, "run")), .in = json_text(json_get(o, "in")),
                        .writes = json_bool(json_get(o, "writes"), false)};
    if (!service_name_ok(s.name))
        return error_set(e, ERR_USAGE, "the name of a service is like `db` or `web-2`: up to %d small letters, digits and -", SERVICE_NAME_MAX);
    if (!slice_trim(s.run).n || s.run.n > SERVICE_RUN_MAX || slice_index(s.run, '\0') < s.run.n)
        return error_set(e, ERR_USAGE, "the service %.*s needs a command of at most %d bytes", SLICE_ARG(s.name), SERVICE_RUN_MAX);
    if (s.in.n && !plan_path_ok(s.in))
        return error_set(e, ERR_USAGE, "`in` of the service %.*s is a folder below the work folder, like `web`", SLICE_ARG(s.name));
    enum err err = read_ports(json_get(o, "ports"), &s, e);
    if (!err)
        *ret = s;
    return err;
}

struct json *service_print(const struct service *s)
{
    struct json *o = json_object(), *ports = json_array();
    json_put_text(o, "name", s->name);
    json_put_text(o, "run", s->run);
    if (s->in.n)
        json_put_text(o, "in", s->in);
    for (size_t i = 0; i < s->nports; i++)
        json_push(ports, json_new_int(s->ports[i]));
    json_put(o, "ports", ports);
    if (s->writes)
        json_put_bool(o, "writes", true);
    return o;
}

enum err service_fits(const struct service *s, const struct service *others, size_t n, struct error *e)
{
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        if (slice_eq(others[i].name, s->name))
            continue;
        left++;
        for (size_t k = 0; k < others[i].nports; k++)
            for (size_t m = 0; m < s->nports; m++)
                if (others[i].ports[k] == s->ports[m])
                    return error_set(e, ERR_USAGE, "port %u is that of the service %.*s", s->ports[m], SLICE_ARG(others[i].name));
    }
    return left < RUN_SERVICES_MAX ? OK : error_set(e, ERR_LIMIT, "a run has at most %d services; stop one first", RUN_SERVICES_MAX);
}

static enum err check_keys(struct slice name, const struct json *o, struct error *e)
{
    struct json_walk w = {0};
    const struct json *v;
    struct slice key;
    if (json_type(o) != JSON_OBJECT)
        return error_set(e, ERR_USAGE, "the service %.*s wants lines like `run: npm run dev` and `ports: [5173]`", SLICE_ARG(slice_cut(name, 40)));
    while (json_next(o, &w, &key, &v))
        if (!slice_is(key, "run") && !slice_is(key, "ports") && !slice_is(key, "in") && !slice_is(key, "writes"))
            return error_set(e, ERR_USAGE, "a service knows no '%.*s' (run, ports, in, writes)", SLICE_ARG(slice_cut(key, 40)));
    return OK;
}

enum err services_from_config(const struct json *o, struct json **ret, struct error *e)
{
    JSON_CLEANUP struct json *list = json_array();
    struct service all[RUN_SERVICES_MAX];
    size_t n = 0;
    struct json_walk w = {0};
    const struct json *v;
    struct slice name;
    if (json_type(o) != JSON_OBJECT)
        return error_set(e, ERR_USAGE, "services: wants lines like `db:` with `run:` and `ports:` below");
    while (json_next(o, &w, &name, &v)) {
        enum err err = check_keys(name, v, e);
        struct json *one = err ? NULL : json_clone(v);
        if (one)
            json_put_text(one, "name", name);
        json_push(list, one);
        struct service s;
        if (!err)
            err = service_read(one, &s, e);
        if (!err)
            err = service_fits(&s, all, n, e); /* there is room, too */
        if (err)
            return err;
        all[n++] = s;
    }
    *ret = list;
    list = NULL;
    return OK;
}
