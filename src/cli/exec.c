/* crannog exec -- CMD: any program inside the walls, journaled as a run of one step. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/session.h"

static int exec_run(struct cli *c, int argc, char **argv);

const struct command cmd_exec = {
    .name = "exec",
    .usage = "[--in DIR] -- CMD [ARGUMENT...]",
    .summary = "run a program inside the walls",
    .help =
        "  --in DIR  the folder it sees; the current one unless said\n\n"
        "It sees the system and the folder read-only, has a scratch /tmp of its own, no network, no keys, none of your\n"
        "home. What it does is journaled (`crannog show`). Its exit status is the command's.\n\n"
        "This version gives no way to keep what it writes: that comes with layers.\n\n"
        "examples:\n"
        "  crannog exec -- sh -c 'id; ls; cat /etc/shadow'\n"
        "  crannog exec --in ~/project -- make -n\n",
    .run = exec_run,
};

struct job {
    char work[PATH_MAX];
    struct stat st;
    char **argv;
    int argc;
};

/* For lists; not for a shell. */
static struct slice command_line(const struct job *j, struct buf *out)
{
    for (int i = 0; i < j->argc && out->n < 256; i++)
        buf_addf(out, "%s%.200s", i ? " " : "", j->argv[i]);
    return buf_slice(out);
}

static struct slice started_payload(void *ctx, uint64_t run, struct buf *out)
{
    struct job *j = ctx;
    JSON_CLEANUP struct json *p = session_started(run, j->work, &j->st);
    struct json *words = json_array();
    BUF_CLEANUP struct buf line = BUF_INIT(1024);
    for (int i = 0; i < j->argc; i++)
        json_push(words, json_new_text(slice_of(j->argv[i])));
    json_put(p, "exec", words);
    json_put_text(p, "plan_path", SLICE(""));
    json_put_text(p, "goal", command_line(j, &line));
    json_put_text(p, "model", SLICE(""));
    json_put(p, "budget", json_object());
    json_print(p, out);
    return buf_slice(out);
}

/* The command's own status, from the result of its step. */
struct result {
    int64_t status;
    char why[240]; /* where it could not even be started */
};

static enum err find_result(void *ctx, const struct event *ev, struct error *e)
{
    struct result *r = ctx;
    JSON_CLEANUP struct json *p = NULL;
    if (ev->type != EVENT_STEP_FINISHED)
        return OK;
    enum err err = json_parse(ev->payload, &p, e);
    if (err)
        return err;
    r->status = json_int(json_get(json_get(p, "result"), "status"), EXIT_FAILED);
    snprintf(r->why, sizeof r->why, "%.*s", SLICE_ARG(json_text(json_get(json_get(p, "result"), "why"))));
    return OK;
}

static int work(struct cli *c, struct job *j)
{
    static const int terminal[3] = {0, 1, 2};
    struct session s;
    struct error e = {0};
    struct result result = {.status = EXIT_FAILED};
    enum err err = session_open(&s, c, NULL, &e);
    if (err)
        return cli_fail(&e);
    s.quiet = true;
    s.machine.terminal = terminal;
    err = engine_start_run(&s.engine, started_payload, j, &s.run, &e);
    if (!err)
        err = session_work(&s, &e);
    if (!err && s.run->state.status != RUN_DONE) {
        const struct line *l = run_line_const(&s.run->state, 0, HEAD);
        err = error_set(&e, ERR_IO, "%s", l && *l->why ? l->why : *s.run->state.why ? s.run->state.why : "the command did not end");
    }
    if (!err)
        err = journal_read(s.store, s.run->state.id, find_result, &result, &e);
    int status = err ? cli_fail(&e) : (int)result.status;
    if (!err && *result.why) {
        error_set(&e, ERR_MISSING, "%s", result.why);
        (void)cli_fail(&e);
    }
    if (err && session_interrupted())
        status = 128 + SIGINT;
    session_close(&s);
    return status;
}

static int exec_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {"in", required_argument, NULL, 'i'}, {0}};
    struct job j = {0};
    struct error e;
    const char *in = ".";
    int status;
    for (int o; (o = getopt_long(argc, argv, "+h", options, NULL)) != -1;) {
        if (o == 'i')
            in = optarg;
        else if (!cli_common(c, &cmd_exec, o, &status) || status >= 0)
            return status;
    }
    if (optind == argc)
        return cli_usage(&cmd_exec, "which command? write it behind --");
    if (!*argv[optind])
        return cli_usage(&cmd_exec, "the command is empty");
    j.argv = argv + optind;
    j.argc = argc - optind;
    enum err err = cli_work_folder(in, j.work, &j.st, &e);
    return err ? cli_fail(&e) : work(c, &j);
}
