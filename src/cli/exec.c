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
#include "cli/exec.h"

static int exec_run(struct cli *c, int argc, char **argv);

const struct command cmd_exec = {
    .name = "exec",
    .usage = "[--in DIR] [--ask] [--limit NAME=VALUE] [--show PATH] [--browser] [--show-plan] -- CMD [ARGUMENT...]",
    .summary = "run a program inside the walls; what it changed can be taken back",
    .help =
        "  --in DIR  the folder it works in; the current one unless said\n"
        "  --ask     what it changed waits for `crannog apply` instead of going into the folder when it ends\n"
        "  --limit   memory=16G, cpu=2h, time=30m, processes=2000, open-files, file-size, files, disk=20G, tmp=4G: instead of\n"
        "            what holds else or stands below limits: in crannog.yaml; several times\n"
        "  --show    a folder or file that it may read, at its own place; several times, or a list show: in crannog.yaml; a path in\n"
        "            the work folder names a file with credentials that it may read all the same\n"
        "  --browser  it may start a browser, which builds a sandbox of its own inside: a few system calls more are open to it\n"
        "  --show-plan  what it would see, write, have around it and may use; nothing is run (--json too)\n\n"
        "It sees the system read-only and the folder, has a scratch /tmp of its own, no network, no keys. Your home folder is an empty\n"
        "one, in which the toolchains that you keep there (nvm, rustup, pyenv, go, sdkman and such) are at their places, read-only,\n"
        "and the caches of builds, where what it writes is gone when it ends; git knows your name and address.\n"
        "Files in the folder that hold credentials (.env, private keys, tokens) are empty for it, but for those of tests and examples.\n"
        "While it runs, what it changes lies beside the folder: a command that dies, or is killed, has changed nothing. When it\n"
        "ends, its changes are put into the folder, never over what somebody else changed meanwhile; `crannog diff` shows them,\n"
        "`crannog undo` takes them back. Changes that would run by themselves outside (git hooks, editor settings) always wait\n"
        "for a word. Its exit status is the command's; 4 if that is 0 and something waits.\n\n"
        "It may use an hour of CPU, 8 GiB of memory (but not over three quarters of the machine's), 512 processes, 8 GiB of changes in a million files, and\n"
        "1 GiB in /tmp and in the home folder; --limit says otherwise.\n\n"
        "examples:\n"
        "  crannog exec -- sh -c 'id; ls; cat /etc/shadow'\n"
        "  crannog exec --in ~/project --ask -- make\n"
        "  crannog exec -- rm -rf src && crannog undo\n",
    .run = exec_run,
};

/* For lists; not for a shell. */
static struct slice command_line(const struct exec_job *j, struct buf *out)
{
    for (int i = 0; i < j->argc && out->n < 256; i++)
        buf_addf(out, "%s%.200s", i ? " " : "", j->argv[i]);
    return buf_slice(out);
}

static struct slice started_payload(void *ctx, uint64_t run, struct buf *out)
{
    struct exec_job *j = ctx;
    JSON_CLEANUP struct json *p = session_started(run, j->work, &j->st, j->terms);
    struct json *words = json_array();
    BUF_CLEANUP struct buf line = BUF_INIT(1024);
    for (int i = 0; i < j->argc; i++)
        json_push(words, json_new_text(slice_of(j->argv[i])));
    json_put(p, "exec", words);
    json_put_text(p, "plan_path", SLICE(""));
    session_put_services(j->services, p);
    json_put_text(p, "goal", command_line(j, &line));
    json_put_text(p, "model", SLICE(""));
    json_put_text(p, "land", slice_of(j->asks ? "ask" : "step"));
    json_put(p, "budget", json_object());
    if (j->layers)
        json_put(p, "layers", json_clone(j->layers));
    if (j->copies)
        json_put_bool(p, "copies", true);
    if (j->origin)
        json_put(p, "origin", json_clone(j->origin));
    json_print(p, out);
    return buf_slice(out);
}

/* The command's own status, from the result of its step. */
struct result {
    int64_t status;
    char why[240]; /* where it could not even be started */
    char advice[2048]; /* lines: which wall it may have met, and what would allow it */
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
    if (!json_has(json_get(p, "result"), "status")) /* another step than the command's own */
        return OK;
    r->status = json_int(json_get(json_get(p, "result"), "status"), EXIT_FAILED);
    snprintf(r->why, sizeof r->why, "%.*s", SLICE_ARG(json_text(json_get(json_get(p, "result"), "why"))));
    snprintf(r->advice, sizeof r->advice, "%.*s", SLICE_ARG(json_text(json_get(json_get(p, "result"), "advice"))));
    return OK;
}

/* The survey of the folder comes before the command: what it found is said before anything is written. */
static enum err find_survey(void *ctx, const struct event *ev, struct error *e)
{
    JSON_CLEANUP struct json *p = NULL;
    BUF_CLEANUP struct buf safe = BUF_INIT(2048);
    (void)ctx, (void)e;
    if (ev->type != EVENT_STEP_FINISHED || json_parse(ev->payload, &p, NULL) || !json_has(json_get(p, "result"), "backend"))
        return OK;
    cli_print_safe(json_text(json_get(p, "why")), &safe);
    if (safe.n)
        fprintf(stderr, "crannog: %s\n", buf_str(&safe));
    return OK;
}

static void watch_survey(void *ctx, struct engine *g)
{
    struct session *s = ctx;
    (void)g;
    if (s->told || !s->run || s->run->state.items[0].head.stage == STAGE_SURVEY)
        return;
    s->told = true;
    (void)!journal_read(s->store, s->run->state.id, find_survey, NULL, NULL);
}

/* Its changes wait, or it could not be run: the last line says which. */
static bool only_waits(const struct run_state *r)
{
    const struct line *l = line_that_takes(r);
    return r->status == RUN_WAITING && l && l->stage == STAGE_STUCK;
}

int exec_work(struct cli *c, struct exec_job *j)
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
    s.look = watch_survey;
    ARENA_CLEANUP struct arena a = ARENA_INIT(4 << 20);
    err = session_take_terms(&s, &e);
    j->terms = &s.terms;
    if (!err)
        err = config_services(c, SLICE_NONE, &a, &j->services, &e);
    if (!err)
        err = engine_start_run(&s.engine, started_payload, j, &s.run, &e);
    if (!err)
        err = session_work(&s, &e);
    bool waits = !err && only_waits(&s.run->state);
    if (!err && !waits && s.run->state.status != RUN_DONE) {
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
    struct slice advice = slice_of(result.advice), line;
    while (!err && slice_line(&advice, &line)) {
        BUF_CLEANUP struct buf safe = BUF_INIT(sizeof result.advice * 4);
        cli_print_safe(line, &safe);
        fprintf(stderr, "crannog: %s\n", buf_str(&safe));
    }
    if (waits || (!err && isatty(STDERR_FILENO)))
        (void)session_tell_changes(&s);
    if (waits && status == EXIT_DONE)
        status = EXIT_WAITING;
    if (err && session_interrupted())
        status = 128 + SIGINT;
    session_close(&s);
    return status;
}

static int exec_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, CLI_TERMS_OPTIONS, {"in", required_argument, NULL, 'i'},
                                            {"ask", no_argument, NULL, 'a'}, {"show-plan", no_argument, NULL, 'P'}, {0}};
    struct exec_job j = {0};
    struct error e;
    const char *in = ".";
    enum err said = OK;
    bool shows = false;
    int status;
    for (int o; (o = getopt_long(argc, argv, "+h", options, NULL)) != -1;) {
        if (o == 'i')
            in = optarg;
        else if (o == 'a')
            j.asks = true;
        else if (o == 'P')
            shows = true;
        else if (cli_terms(c, o, optarg, &said, &e)) {
            if (said)
                return cli_fail(&e);
        } else if (!cli_common(c, &cmd_exec, o, &status) || status >= 0)
            return status;
    }
    if (optind == argc)
        return cli_usage(&cmd_exec, "which command? write it behind --");
    if (!*argv[optind])
        return cli_usage(&cmd_exec, "the command is empty");
    j.argv = argv + optind;
    j.argc = argc - optind;
    enum err err = cli_work_folder(in, j.work, &j.st, &e);
    return err ? cli_fail(&e) : shows ? exec_show_plan(c, &j) : exec_work(c, &j);
}
