/* crannog serve: the services of a run, for people. What runs belongs to the process that works on the run: it is asked. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/cli.h"

static int serve_run(struct cli *c, int argc, char **argv);

const struct command cmd_serve = {
    .name = "serve",
    .usage = "[ls [RUN] | open NAME [RUN] [--port N] | log NAME [RUN] | stop NAME [RUN]]",
    .summary = "what runs beside a run: servers, databases, watchers",
    .help =
        "A run may have services: programs that outlive its steps. They are declared in crannog.yaml, in a plan's front matter, or\n"
        "by an agent, and end with their run. Its steps reach their ports on localhost; this machine does not, unless you say so:\n\n"
        "  ls     those of a run (the latest one), their ports, how they ended\n"
        "  open   lets a port of this machine's 127.0.0.1 lead to the service's first port: the same one if it is free, or --port N.\n"
        "         Whoever is on this machine can connect there, until the service ends\n"
        "  log    what it printed, when it ran last; what runs now is shown by /services in its talk\n"
        "  stop   ends it for good; only an agent can begin it anew\n\n"
        "in crannog.yaml, or between the --- of a plan:\n"
        "  services:\n"
        "    db:  {run: exec redis-server, ports: [6379]}\n"
        "    web: {run: npm run dev, ports: [5173], in: site, writes: true}\n"
        "A service sees the work folder as it is, read-only; with `writes` it has a copy that goes when it ends.\n\n"
        "example:\n  crannog serve open web\n",
    .run = serve_run,
};

enum { WAIT_MS = 15000, LOOK_MS = 50 };

struct asked {
    struct cli *cli;
    struct store *store;
    uint64_t run;
    int64_t holder;
    struct arena arena;
    struct run_state state;
    const char *name;
    int64_t port;
};

static enum err no_service(const struct asked *k, struct error *e)
{
    return error_set(e, ERR_MISSING, "r%llu has no service %.40s; `crannog serve ls r%llu` lists them", (unsigned long long)k->run, k->name,
                     (unsigned long long)k->run);
}

/* ---- ls ---- */

static enum err list(struct asked *k, struct error *e)
{
    (void)e;
    const struct run_state *r = &k->state;
    JSON_CLEANUP struct json *all = json_array();
    for (size_t i = 0; i < r->nservices; i++) {
        const struct service *s = &r->services[i];
        BUF_CLEANUP struct buf line = BUF_INIT(64 * 1024);
        struct json *o = service_print(s);
        json_put_int(o, "opened", s->opened);
        json_put_text(o, "how", slice_of(s->why));
        json_push(all, o);
        if (k->cli->json)
            continue;
        buf_addf(&line, "%-12.*s", SLICE_ARG(s->name));
        for (size_t p = 0; p < s->nports; p++)
            buf_addf(&line, " %u", s->ports[p]);
        if (s->opened)
            buf_addf(&line, "  http://127.0.0.1:%u", s->opened);
        if (*s->why)
            buf_addf(&line, "  %s", s->why);
        buf_add_text(&line, "  ");
        cli_print_safe(slice_cut(s->run, 200), &line);
        puts(buf_str(&line));
    }
    if (k->cli->json)
        cli_print_json(all);
    else if (!r->nservices)
        printf("r%llu has no services\n", (unsigned long long)k->run);
    else if (!k->holder)
        printf("nobody works on r%llu: none of them runs\n", (unsigned long long)k->run);
    return OK;
}

/* ---- log ---- */

struct found {
    const char *name;
    uint64_t after;
    bool any;
    struct hash log;
    bool has_log;
    int64_t at;
};

static enum err find_end(void *ctx, const struct event *ev, struct error *e)
{
    struct found *f = ctx;
    JSON_CLEANUP struct json *p = NULL;
    (void)e;
    if (ev->type != EVENT_SERVICE_ENDED || ev->redacted || json_parse(ev->payload, &p, NULL) || !slice_is(json_text(json_get(p, "name")), f->name))
        return OK;
    f->any = true;
    f->has_log = hash_from_hex(json_text(json_get(p, "log")), &f->log);
    return OK;
}

static enum err show_log(struct asked *k, struct error *e)
{
    struct found f = {.name = k->name};
    BUF_CLEANUP struct buf log = BUF_INIT(BLOB_BYTES_MAX), safe = BUF_INIT(4 * BLOB_BYTES_MAX);
    enum err err = journal_read(k->store, k->run, find_end, &f, e);
    if (!err && !f.any)
        return run_service(&k->state, slice_of(k->name))
                   ? error_set(e, ERR_MISSING, "%.40s has not ended yet; what it prints is kept when it does", k->name) : no_service(k, e);
    if (!err && f.has_log)
        err = blob_get(k->store, &f.log, &log, e);
    if (err)
        return err;
    for (struct slice rest = buf_slice(&log), line; isatty(STDOUT_FILENO) && slice_line(&rest, &line);) {
        cli_print_safe(line, &safe);
        buf_add_char(&safe, '\n');
    }
    struct slice text = safe.n ? buf_slice(&safe) : buf_slice(&log);
    fwrite(text.p, 1, text.n, stdout);
    return OK;
}

/* ---- open, stop ---- */

static enum err put_request(struct asked *k, const char *verb, struct error *e)
{
    JSON_CLEANUP struct json *args = json_object();
    BUF_CLEANUP struct buf text = BUF_INIT(400);
    if (!run_service(&k->state, slice_of(k->name)))
        return no_service(k, e);
    if (!k->holder)
        return error_set(e, ERR_MISSING, "nobody works on r%llu, and its services run only while somebody does", (unsigned long long)k->run);
    json_put_text(args, "name", slice_of(k->name));
    json_put_int(args, "port", k->port);
    json_print(args, &text);
    return request_put(k->store, k->run, verb, buf_slice(&text), e);
}

static enum err find_opened(void *ctx, const struct event *ev, struct error *e)
{
    struct found *f = ctx;
    JSON_CLEANUP struct json *p = NULL;
    (void)e;
    if (ev->seq > f->after && ev->type == EVENT_SERVICE_OPENED && !ev->redacted && !json_parse(ev->payload, &p, NULL) &&
        slice_is(json_text(json_get(p, "name")), f->name))
        f->at = json_int(json_get(p, "at"), 0);
    return OK;
}

static enum err open_port(struct asked *k, struct error *e)
{
    struct found f = {.name = k->name, .after = k->state.seq};
    const struct service *s = run_service(&k->state, slice_of(k->name));
    if (s && !s->nports)
        return error_set(e, ERR_USAGE, "%.40s has no port", k->name);
    enum err err = put_request(k, "open", e);
    for (int ms = 0; !err && !f.at && ms < WAIT_MS; ms += LOOK_MS) {
        sys->poll(NULL, 0, LOOK_MS);
        err = journal_read(k->store, k->run, find_opened, &f, e);
    }
    if (!err && !f.at)
        err = error_set(e, ERR_BUSY, "process %lld, which works on r%llu, has not opened it; `crannog show r%llu` may say why", (long long)k->holder,
                        (unsigned long long)k->run, (unsigned long long)k->run);
    if (!err)
        printf("http://127.0.0.1:%lld\n", (long long)f.at);
    return err;
}

static enum err stop(struct asked *k, struct error *e)
{
    enum err err = put_request(k, "end", e);
    if (!err)
        printf("asked process %lld to end %s\n", (long long)k->holder, k->name);
    return err;
}

/* ---- the whole ---- */

static int serve(struct asked *k, const char *verb, const char *run)
{
    struct error e = {0};
    if (cli_open(k->cli, false, false, &k->store, &e))
        return cli_fail(&e);
    enum err err = cli_pick_run(k->store, run, &k->run, &e);
    run_init(&k->state, k->run, &k->arena);
    if (!err)
        err = journal_fold(k->store, k->run, &k->state, &k->arena, &e);
    k->holder = err ? 0 : lease_holder(k->store, k->run);
    if (!err)
        err = strcmp(verb, "ls") == 0 ? list(k, &e) : strcmp(verb, "open") == 0 ? open_port(k, &e) : strcmp(verb, "log") == 0 ? show_log(k, &e) : stop(k, &e);
    store_close(k->store);
    arena_release(&k->arena);
    return err ? cli_fail(&e) : EXIT_DONE;
}

static int serve_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {"port", required_argument, NULL, 'p'}, {0}};
    struct asked k = {.cli = c, .arena = ARENA_INIT(RUN_ARENA_BYTES)};
    int status;
    for (int o; (o = getopt_long(argc, argv, "hj", options, NULL)) != -1;) {
        if (o == 'p' && (!slice_int(slice_of(optarg), &k.port) || k.port < 1 || k.port > UINT16_MAX))
            return cli_usage(&cmd_serve, "--port is a number from 1 to 65535");
        if (o != 'p' && (!cli_common(c, &cmd_serve, o, &status) || status >= 0))
            return status;
    }
    argv += optind;
    argc -= optind;
    const char *verb = argc ? argv[0] : "ls";
    bool lists = strcmp(verb, "ls") == 0, known = lists || strcmp(verb, "open") == 0 || strcmp(verb, "log") == 0 || strcmp(verb, "stop") == 0;
    if (!known)
        return cli_usage(&cmd_serve, "ls, open, log or stop, not '%.40s'", verb);
    if (!lists && argc < 2)
        return cli_usage(&cmd_serve, "which service?");
    if (argc > (lists ? 2 : 3))
        return cli_usage(&cmd_serve, "one at a time");
    k.name = lists ? NULL : argv[1];
    return serve(&k, verb, argc > (lists ? 1 : 2) ? argv[argc - 1] : NULL);
}
