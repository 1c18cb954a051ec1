/* What events do to the services of a run (core/service.h). */
#include <stdio.h>
#include <string.h>

#include "core/internal.h"

static struct service *find(struct run_state *r, struct slice name)
{
    for (size_t i = 0; i < r->nservices; i++)
        if (slice_eq(r->services[i].name, name))
            return &r->services[i];
    return NULL;
}

const struct service *run_service(const struct run_state *r, struct slice name)
{
    for (size_t i = 0; i < r->nservices; i++)
        if (slice_eq(r->services[i].name, name))
            return &r->services[i];
    return NULL;
}

static enum err declare(struct run_state *r, const struct json *o, uint32_t step, struct error *e)
{
    struct service s, *place;
    struct error why = {0};
    if (service_read(o, &s, &why) || service_fits(&s, r->services, r->nservices, &why))
        return error_set(e, ERR_CORRUPT, "a service that is none: %.150s", why.text);
    if (!r->services && !(r->services = arena_array(r->arena, RUN_SERVICES_MAX, sizeof *r->services)))
        return fold_no_memory(e);
    place = find(r, s.name);
    if (!place)
        place = &r->services[r->nservices++];
    s.step = step;
    enum err err = fold_keep(r, s.name, &s.name, e);
    if (!err)
        err = fold_keep(r, s.run, &s.run, e);
    if (!err)
        err = fold_keep(r, s.in, &s.in, e);
    *place = s;
    return err;
}

static void forget(struct run_state *r, struct service *s)
{
    size_t i = (size_t)(s - r->services);
    memmove(s, s + 1, (--r->nservices - i) * sizeof *s);
}

enum err fold_services(struct run_state *r, const struct json *list, struct error *e)
{
    enum err err = OK;
    for (size_t i = 0; !err && json_type(list) == JSON_ARRAY && i < json_count(list); i++)
        err = declare(r, json_at(list, i), 0, e);
    return err;
}

enum err fold_service_called(struct run_state *r, const struct json *o, uint32_t step, struct error *e)
{
    struct service *s = find(r, json_text(json_get(o, "name")));
    if (!json_bool(json_get(o, "stop"), false))
        return declare(r, o, step, e);
    if (s)
        forget(r, s);
    return OK;
}

enum err fold_service_ended(struct run_state *r, const struct json *p, struct error *e)
{
    int64_t lived = json_int(json_get(p, "lived_ms"), -1), step = json_int(json_get(p, "declared"), -1);
    struct slice name = json_text(json_get(p, "name")), by = json_text(json_get(p, "by"));
    struct service *s = find(r, name);
    if (!service_name_ok(name) || lived < 0 || step < 0 || step > UINT32_MAX)
        return error_set(e, ERR_CORRUPT, "the end of a service that is none");
    if (!s || s->step != (uint32_t)step) /* another one has its name meanwhile */
        return OK;
    one_line(s->why, sizeof s->why, json_text(json_get(p, "how")));
    if (slice_is(by, "itself"))
        s->falls = lived < SERVICE_STEADY_MS ? s->falls + 1 : 1;
    if (slice_is(by, "person"))
        forget(r, s);
    return OK;
}

enum err fold_service_opened(struct run_state *r, const struct json *p, struct error *e)
{
    struct service *s = find(r, json_text(json_get(p, "name")));
    int64_t at = json_int(json_get(p, "at"), 0);
    if (!s || at < 1 || at > UINT16_MAX || !s->nports)
        return error_set(e, ERR_CORRUPT, "a service was opened that has no port");
    s->opened = (uint16_t)at;
    return OK;
}
