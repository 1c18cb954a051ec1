/*
 * Services of a run: programs that outlive a step, such as a dev server, a watcher, a database. Pure; part of the fold.
 *
 * What is durable is that a service is declared: by crannog.yaml and the plan (run.started), or by an agent (the result of its
 * call). Its jail is a cache of that: it is started before the first step that could use it, again where it has gone, and
 * ends with its run.
 *
 * V1  Names and ports are used once in a run, so that a port leads to one service.
 * V2  One that ended by itself SERVICE_FALLS_MAX times, each soon after it began, is not started again by itself until it is
 *     declared anew; a person may open it.
 */
#ifndef CRANNOG_CORE_SERVICE_H
#define CRANNOG_CORE_SERVICE_H

#include "base/arena.h"
#include "base/hash.h"
#include "text/json.h"

enum { RUN_SERVICES_MAX = 8, SERVICE_PORTS_MAX = 8, SERVICE_NAME_MAX = 32, SERVICE_RUN_MAX = 8192, SERVICE_FALLS_MAX = 5,
       SERVICE_STEADY_MS = 30000 /* one that lived so long begins its count of falls anew, with this one */ };

struct service {
    struct slice name; /* [a-z][a-z0-9-]* */
    struct slice run;  /* shell command */
    struct slice in;   /* folder of the work folder that it runs in; empty: that itself */
    uint16_t ports[SERVICE_PORTS_MAX];
    size_t nports;
    bool writes;       /* sees a copy of the work folder that it may write and that never lands; else it is read-only */
    uint32_t step;     /* that declared it; 0: the run began with it */
    unsigned falls;
    char why[120];     /* how it ended last; "" */
    uint16_t opened;   /* port of the machine's own loopback that a person let lead to its first one; 0: none */
};

/* Reads {name, run, in, ports, writes}: ERR_USAGE in words that a person and a model can act on. Slices point into `o`. */
enum err MUST_USE service_read(const struct json *o, struct service *ret, struct error *e);
struct json *service_print(const struct service *s); /* the same again */
bool service_name_ok(struct slice name);
/* Whether `s` may join the n others: V1, and not too many. One of the same name is replaced. */
enum err MUST_USE service_fits(const struct service *s, const struct service *others, size_t n, struct error *e);
/* A list as a person writes it, {NAME: {run, in, ports, writes}} in YAML, as [{name, run, …}]. */
enum err MUST_USE services_from_config(const struct json *o, struct json **ret, struct error *e);

#endif
