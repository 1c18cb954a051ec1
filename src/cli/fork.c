/* crannog fork: another run with the changes of this one, copied nowhere. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "cli/exec.h"

static int fork_run(struct cli *c, int argc, char **argv);

const struct command cmd_fork = {
    .name = "fork",
    .usage = "RUN [-- CMD [ARGUMENT...]]",
    .summary = "another run on top of the changes of one that waits with them",
    .help =
        "The new run begins with what RUN changed and did not put into the folder; both can be looked at, applied or left alone\n"
        "by themselves. Nothing is copied. With a CMD, that is run on top of it; its changes wait too.\n\n"
        "examples:\n  crannog exec --ask -- make configure\n  crannog fork r7 -- make CC=clang\n  crannog fork r7\n",
    .run = fork_run,
};

struct job {
    struct exec_job exec;
    struct run_state of;
    struct arena arena;
    struct json *layers, *origin;
};

static struct json *layers_of(const struct run_state *r)
{
    struct json *list = json_array();
    for (size_t i = 0; i < r->nlayers; i++)
        json_push(list, layer_ref_print(&r->layers[i]));
    return list;
}

static enum err load(struct cli *c, struct job *j, const char *named, struct error *e)
{
    struct store *s;
    uint64_t run;
    enum err err = cli_open(c, false, true, &s, e);
    if (err)
        return err;
    err = cli_pick_run(s, named, &run, e);
    run_init(&j->of, err ? 0 : run, &j->arena);
    if (!err)
        err = journal_fold(s, run, &j->of, &j->arena, e);
    store_close(s);
    if (err)
        return err;
    if (!j->of.nlayers || !hash_is_zero(&j->of.rest))
        return error_set(e, ERR_MISSING, j->of.nlayers ? "a part of r%llu is in the folder already, so it cannot be forked any more"
                                                       : "r%llu has no changes that wait; only such a run can be forked",
                         (unsigned long long)run);
    if (j->of.work.n >= sizeof j->exec.work)
        return error_set(e, ERR_LIMIT, "the folder's path is too long");
    memcpy(j->exec.work, j->of.work.p, j->of.work.n);
    j->exec.work[j->of.work.n] = '\0';
    if (sys->fstatat(AT_FDCWD, j->exec.work, &j->exec.st, 0) < 0)
        return error_errno(e, errno, "cannot use the folder of r%llu, %.200s", (unsigned long long)run, j->exec.work);
    if ((uint64_t)j->exec.st.st_dev != j->of.work_dev || (uint64_t)j->exec.st.st_ino != j->of.work_ino)
        return error_set(e, ERR_CONFLICT, "%.200s is not the folder that r%llu worked in any more", j->exec.work, (unsigned long long)run);
    j->layers = layers_of(&j->of);
    j->origin = session_origin("fork", run);
    return OK;
}

/* Before the new run is there, so that the old one cannot clear them away in between. */
static enum err share(struct cli *c, const struct run_state *r, struct error *e)
{
    struct session s;
    enum err err = session_open(&s, c, NULL, e);
    if (err)
        return err;
    for (size_t i = 0; !err && i < r->nlayers; i++)
        err = layer_share(&s.machine, r->layers[i].name, e);
    session_close(&s);
    return err;
}

/* Without a command: a run that only waits. */
static struct slice waiting_payload(void *ctx, uint64_t run, struct buf *out)
{
    struct job *j = ctx;
    JSON_CLEANUP struct json *p = session_takes(run, j->exec.work, &j->exec.st, "fork", &j->of, "ask", json_clone(j->layers));
    json_print(p, out);
    return buf_slice(out);
}

static int wait_only(struct cli *c, struct job *j)
{
    struct session s;
    struct error e = {0};
    enum err err = session_open(&s, c, NULL, &e);
    if (err)
        return cli_fail(&e);
    s.quiet = true;
    err = engine_start_run(&s.engine, waiting_payload, j, &s.run, &e);
    int status = err ? cli_fail(&e) : EXIT_DONE;
    if (!err)
        (void)session_tell_changes(&s);
    session_close(&s);
    return status;
}

static int fork_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {0}};
    static struct job j; /* large */
    struct error e;
    int status;
    j = (struct job){.arena = ARENA_INIT(RUN_ARENA_BYTES), .exec = {.asks = true}};
    for (int o; (o = getopt_long(argc, argv, "+hj", options, NULL)) != -1;)
        if (!cli_common(c, &cmd_fork, o, &status) || status >= 0)
            return status;
    if (optind == argc)
        return cli_usage(&cmd_fork, "which run?");
    const char *named = argv[optind++];
    if (optind < argc && strcmp(argv[optind], "--") == 0)
        optind++;
    enum err err = load(c, &j, named, &e);
    if (!err)
        err = share(c, &j.of, &e);
    j.exec.argv = argv + optind;
    j.exec.argc = argc - optind;
    j.exec.layers = j.layers;
    j.exec.copies = j.of.copies;
    j.exec.origin = j.origin;
    status = err ? cli_fail(&e) : j.exec.argc ? exec_work(c, &j.exec) : wait_only(c, &j);
    json_free(j.layers);
    json_free(j.origin);
    arena_release(&j.arena);
    return status;
}
