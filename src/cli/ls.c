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
    .help = "A line a run, newest first: its name, when something last happened, how far it is, what it is doing, its plan. Lines\n"
            "are cut at the width of a terminal; `crannog show RUN` tells all.\n\nexamples:\n  crannog ls\n  crannog ls --json\n",
    .run = ls_run,
};

/* "14:05" today, "11-22" this year, else "2025-11-22". */
static void add_when(int64_t ms, struct buf *out)
{
    time_t then = (time_t)(ms / 1000), now = (time_t)(sys->now_ms() / 1000);
    struct tm a, b;
    char text[32];
    localtime_r(&then, &a);
    localtime_r(&now, &b);
    strftime(text, sizeof text, a.tm_year != b.tm_year ? "%Y-%m-%d" : a.tm_yday != b.tm_yday ? "%m-%d" : "%H:%M", &a);
    buf_addf(out, "%10s", text);
}

/* The last two parts of a path tell plans apart best: "review/PLAN.md". */
static struct slice short_path(struct slice path)
{
    size_t i = path.n;
    for (int parts = 0; i > 0; i--)
        if (path.p[i - 1] == '/' && ++parts == 2)
            break;
    return slice_sub(path, i, path.n);
}

static void print_row(const struct json *r)
{
    BUF_CLEANUP struct buf line = BUF_INIT(16384), place = BUF_INIT(8192);
    enum run_status status = run_status_from(json_text(json_get(r, "status")));
    struct slice plan = json_text(json_get(r, "plan")), work = json_text(json_get(r, "work"));
    buf_addf(&line, "%-5.*s", SLICE_ARG(json_text(json_get(r, "id"))));
    add_when(json_int(json_get(r, "updated_ms"), 0), &line);
    buf_addf(&line, "%4" PRId64 "/%-4" PRId64 " %-26s ", json_int(json_get(r, "done"), 0), json_int(json_get(r, "total"), 0),
             view_status_words(status, json_int(json_get(r, "holder"), 0) > 0, plan.n == 0));
    if (plan.n && plan.p[0] != '/') {
        buf_add(&place, work);
        buf_add_char(&place, '/');
    }
    buf_add(&place, plan.n ? plan : SLICE("exec "));
    if (!plan.n)
        buf_add(&place, slice_sub(json_text(json_get(r, "goal")), 0, 60));
    cli_print_safe(plan.n ? short_path(buf_slice(&place)) : buf_slice(&place), &line);
    cli_fit(&line, cli_columns(1));
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
    else
        printf("%-5s%10s%9s %-27s%s\n", "run", "when", "done/of ", "what", "plan");
    for (size_t i = 0; !c->json && i < json_count(runs); i++)
        print_row(json_at(runs, i));
    return EXIT_DONE;
}
