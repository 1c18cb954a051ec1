/* crannog ls: runs, newest first, and what waits for you. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/sys.h"
#include "cli/cli.h"
#include "view/view.h"

static int ls_run(struct cli *c, int argc, char **argv);

const struct command cmd_ls = {
    .name = "ls",
    .usage = "[--json]",
    .summary = "runs: running, waiting for you, done",
    .help = "A line a run, newest first: its name, how far it is, what it is doing, its plan and goal.\n\nexample:\n  crannog ls\n",
    .run = ls_run,
};

static enum run_status status_from(struct slice name)
{
    for (int i = RUN_NEW; i <= RUN_BROKEN; i++)
        if (slice_is(name, run_status_name((enum run_status)i)))
            return (enum run_status)i;
    return RUN_BROKEN;
}

static void print_row(const struct json *r)
{
    BUF_CLEANUP struct buf line = BUF_INIT(16384);
    char when[32];
    time_t t = (time_t)(json_int(json_get(r, "updated_ms"), 0) / 1000);
    struct tm tm;
    strftime(when, sizeof when, "%m-%d %H:%M", localtime_r(&t, &tm));
    enum run_status status = status_from(json_text(json_get(r, "status")));
    struct slice plan = json_text(json_get(r, "plan"));
    buf_addf(&line, "%-5.*s %s  %3" PRId64 "/%-3" PRId64 " %-34s ", SLICE_ARG(json_text(json_get(r, "id"))), when,
             json_int(json_get(r, "done"), 0), json_int(json_get(r, "total"), 0),
             view_status_words(status, json_int(json_get(r, "holder"), 0) > 0));
    cli_print_safe(plan.n ? plan : SLICE("exec"), &line);
    buf_add_text(&line, "  ");
    cli_print_safe(slice_sub(json_text(json_get(r, "goal")), 0, 60), &line);
    puts(buf_str(&line));
}

static int ls_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {0}};
    struct store *s;
    struct error e;
    int status;
    for (int o; (o = getopt_long(argc, argv, "hj", options, NULL)) != -1;)
        if (!cli_common(c, &cmd_ls, o, &status) || status >= 0)
            return status;
    if (optind != argc)
        return cli_usage(&cmd_ls, "ls takes no arguments");
    if (cli_open(c, false, true, &s, &e))
        return cli_fail(&e);
    JSON_CLEANUP struct json *v = NULL;
    enum err err = view_runs(s, &v, &e);
    store_close(s);
    if (err)
        return cli_fail(&e);
    const struct json *runs = json_get(v, "runs");
    if (c->json)
        cli_print_json(v);
    else if (json_count(runs) == 0)
        puts("no runs yet; start one with `crannog run PLAN.md`");
    for (size_t i = 0; !c->json && i < json_count(runs); i++)
        print_row(json_at(runs, i));
    return EXIT_DONE;
}
