/* crannog ls: runs, newest first, and what waits for you; at a terminal a list to choose from. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/agent.h"
#include "cli/pick.h"
#include "view/view.h"

static int ls_run(struct cli *c, int argc, char **argv);

const struct command cmd_ls = {
    .name = "ls",
    .usage = "[--plain] [--json]",
    .summary = "runs: running, waiting for you, done",
    .help = "A line a run, newest first: its name, when something last happened, how far it is, what it is doing, its plan or goal.\n"
            "Lines are cut at the width of a terminal; `crannog show RUN` tells all. Where there is a terminal to answer at, it is a\n"
            "list: type to find one, Enter opens it, Esc leaves.\n\n"
            "  --plain  only the lines\n\nexamples:\n  crannog ls\n  crannog ls --plain\n  crannog ls --json\n",
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

/* An agent's run that stands goes on in the talk as well: that is shorter to say, and true of both kinds. */
static const char *status_words(const struct json *r, enum run_status status)
{
    struct slice plan = json_text(json_get(r, "plan"));
    bool held = json_int(json_get(r, "holder"), 0) > 0, agent = slice_is(plan, AGENT_PLAN_PATH);
    if (agent && status == RUN_STOPPED)
        return held ? "stopped, open elsewhere" : "stopped, go on with -r";
    if (agent && status == RUN_ACTIVE && !held)
        return "interrupted, go on with -r";
    return view_status_words(status, held, plan.n == 0);
}

static void print_row(const struct json *r)
{
    BUF_CLEANUP struct buf line = BUF_INIT(16384), place = BUF_INIT(8192);
    enum run_status status = run_status_from(json_text(json_get(r, "status")));
    struct slice plan = json_text(json_get(r, "plan")), work = json_text(json_get(r, "work")), goal = json_text(json_get(r, "goal"));
    bool agent = slice_is(plan, AGENT_PLAN_PATH);
    buf_addf(&line, "%-5.*s", SLICE_ARG(json_text(json_get(r, "id"))));
    add_when(json_int(json_get(r, "updated_ms"), 0), &line);
    buf_addf(&line, "%4" PRId64 "/%-4" PRId64 " %-26s ", json_int(json_get(r, "done"), 0), json_int(json_get(r, "total"), 0),
             status_words(r, status));
    if (agent) {
        buf_add(&place, slice_sub(goal, 0, slice_index(goal, '\n')));
    } else if (plan.n && plan.p[0] != '/') {
        buf_add(&place, work);
        buf_add_char(&place, '/');
    }
    if (!agent)
        buf_add(&place, plan.n ? plan : SLICE("exec "));
    if (!plan.n)
        buf_add(&place, slice_sub(goal, 0, 60));
    cli_print_safe(plan.n && !agent ? short_path(buf_slice(&place)) : buf_slice(&place), &line);
    cli_fit(&line, cli_columns(1));
    puts(buf_str(&line));
}

/* ---- at a terminal ---- */

enum { PICKED_MAX = 1024, LOOKED_AT_MAX = 60 /* newest runs whose model and money are read from their journals */ };

/* "4 min", "3 h", "12 days" */
static void add_age(int64_t ms, struct buf *out)
{
    int64_t s = ms / 1000, n = s < 3600 ? s / 60 : s < 172800 ? s / 3600 : s / 86400;
    if (s < 60)
        buf_add_text(out, "now");
    else
        buf_addf(out, "%" PRId64 " %s ago", n, s < 3600 ? "min" : s < 172800 ? "h" : "days");
}

/* r7 · waiting for you · 4 min ago · shop · box/qwen · $0.12 */
static void add_detail(struct store *s, const struct json *r, bool looks, struct buf *out)
{
    JSON_CLEANUP struct json *v = NULL;
    enum run_status status = run_status_from(json_text(json_get(r, "status")));
    struct slice plan = json_text(json_get(r, "plan")), work = json_text(json_get(r, "work"));
    uint64_t id;
    buf_addf(out, "%.*s, %s, ", SLICE_ARG(json_text(json_get(r, "id"))),
             status_words(r, status));
    add_age(sys->now_ms() - json_int(json_get(r, "updated_ms"), 0), out);
    if (json_int(json_get(r, "total"), 0) > 1 && !slice_is(plan, AGENT_PLAN_PATH))
        buf_addf(out, ", %" PRId64 " of %" PRId64, json_int(json_get(r, "done"), 0), json_int(json_get(r, "total"), 0));
    buf_add_text(out, ", ");
    buf_add(out, short_path(work));
    BUF_CLEANUP struct buf name = BUF_INIT(40);
    buf_add(&name, json_text(json_get(r, "id")));
    bool known = looks && cli_run_id(buf_str(&name), &id, NULL) && view_run(s, id, &v, NULL) == OK;
    if (known && json_text(json_get(v, "model")).n)
        buf_addf(out, ", %.*s", SLICE_ARG(json_text(json_get(v, "model"))));
    int64_t nusd = known ? json_int(json_get(json_get(v, "used"), "nusd"), 0) : 0;
    if (nusd) {
        buf_add_text(out, ", ");
        amount_print(UNIT_NUSD, nusd, out);
    }
}

static struct slice label_of(const struct json *r)
{
    struct slice plan = json_text(json_get(r, "plan")), goal = json_text(json_get(r, "goal"));
    bool has_plan = plan.n && !slice_is(plan, AGENT_PLAN_PATH);
    return has_plan ? short_path(plan) : slice_sub(goal, 0, slice_index(goal, '\n'));
}

/* This program again, in place of this one. */
static int again(struct cli *c, char *const *words, size_t n)
{
    char *argv[12] = {"crannog", "-C", (char *)(uintptr_t)buf_str(&c->crannog)};
    for (size_t i = 0; i < n; i++)
        argv[3 + i] = words[i];
    fflush(stdout);
    execv("/proc/self/exe", argv);
    perror("crannog: cannot start itself");
    return EXIT_FAILED;
}

enum does { LOOK, GO_ON, DIFF, UNDO, DOES };

/* What can be done with a run, by what it is. */
static size_t offer(const struct json *v, struct pick_item items[static DOES], enum does ret[static DOES])
{
    enum run_status status = run_status_from(json_text(json_get(v, "status")));
    bool agent = json_bool(json_get(v, "agent"), false), over = status == RUN_DONE || status == RUN_FAILED;
    bool undos = json_count(json_get(v, "undos")) > 0, changes = undos || json_count(json_get(v, "layers"));
    const struct { bool is; enum does does; struct pick_item item; } all[] = {
        {true, LOOK, {SLICE("look"), SLICE("what was said and done")}},
        {agent && !over && !json_int(json_get(v, "holder"), 0), GO_ON,
         {SLICE("go on"), json_bool(json_get(v, "attended"), false) ? SLICE("talk on") : SLICE("let it work on")}},
        {agent && changes, DIFF, {SLICE("diff"), SLICE("what it changed")}},
        {agent && undos, UNDO, {SLICE("undo"), SLICE("take its changes back")}}};
    size_t n = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].is) {
            items[n] = all[i].item;
            ret[n++] = all[i].does;
        }
    return n;
}

static int carry_out(struct cli *c, enum does what, const struct json *v, char *id, char *work, char *goal)
{
    char *show[] = {"show", id}, *diff[] = {"diff", id}, *undo[] = {"undo", id}, *talk[] = {"-c", "--in", work, id},
         *let[] = {"run", "--in", work, "--yes", "--", goal};
    switch (what) {
    case GO_ON: return json_bool(json_get(v, "attended"), false) ? again(c, talk, 4) : again(c, let, 6);
    case DIFF: return again(c, diff, 2);
    case UNDO: return again(c, undo, 2);
    default: return again(c, show, 2);
    }
}

/* Of an agent a small menu, else what there is to see. Closes the store. */
static int open_run(struct cli *c, struct store *s, const struct json *r)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    JSON_CLEANUP struct json *v = NULL;
    struct pick_item items[DOES];
    enum does does[DOES];
    char *id = arena_str(&a, json_text(json_get(r, "id"))), *work = arena_str(&a, json_text(json_get(r, "work"))),
         *goal = arena_str(&a, json_text(json_get(r, "goal")));
    struct error e = {0};
    uint64_t run;
    long which = 0;
    enum err err = id && work && goal && cli_run_id(id, &run, NULL) ? view_run(s, run, &v, &e) : error_set(&e, ERR_MEMORY, "no memory for a run");
    store_close(s);
    if (err)
        return cli_fail(&e);
    size_t n = offer(v, items, does);
    if (n > 1)
        pick_run(STDIN_FILENO, STDOUT_FILENO, NULL, slice_of(id), items, n, &which);
    return which < 0 ? EXIT_DONE : carry_out(c, does[which], v, id, work, goal);
}

/* Closes the store. */
static int choose(struct cli *c, struct store *s, const struct json *runs)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(16 << 20);
    size_t n = json_count(runs) < PICKED_MAX ? json_count(runs) : PICKED_MAX;
    struct pick_item *items = arena_array(&a, n, sizeof *items);
    long which = -1;
    for (size_t i = 0; items && i < n; i++) {
        BUF_CLEANUP struct buf detail = BUF_INIT(16384);
        add_detail(s, json_at(runs, i), i < LOOKED_AT_MAX, &detail);
        items[i] = (struct pick_item){label_of(json_at(runs, i)), arena_copy(&a, buf_slice(&detail))};
    }
    if (items)
        pick_run(STDIN_FILENO, STDOUT_FILENO, NULL, SLICE("Runs"), items, n, &which);
    if (which >= 0)
        return open_run(c, s, json_at(runs, (size_t)which));
    store_close(s);
    return EXIT_DONE;
}

static void print_rows(const struct json *runs)
{
    if (json_count(runs) == 0)
        puts("no runs yet; start one with `crannog run PLAN.md`");
    else
        printf("%-5s%10s%9s %-27s%s\n", "run", "when", "done/of ", "what", "plan");
    for (size_t i = 0; i < json_count(runs); i++)
        print_row(json_at(runs, i));
}

static int ls_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {"plain", no_argument, NULL, 'p'}, {0}};
    struct store *s;
    struct error e;
    bool plain = false;
    int status;
    for (int o; (o = getopt_long(argc, argv, "hj", options, NULL)) != -1;)
        if (o == 'p')
            plain = true;
        else if (!cli_common(c, &cmd_ls, o, &status) || status >= 0)
            return status;
    if (optind != argc)
        return cli_usage(&cmd_ls, "ls takes no arguments");
    if (cli_open(c, false, true, &s, &e))
        return cli_fail(&e);
    JSON_CLEANUP struct json *v = NULL;
    const char *term = getenv("TERM");
    enum err err = view_runs(s, &v, &e);
    const struct json *runs = json_get(v, "runs");
    bool person = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
    if (!err && person && !plain && !c->json && json_count(runs))
        return choose(c, s, runs);
    store_close(s);
    if (err)
        return cli_fail(&e);
    if (c->json)
        cli_print_json(v);
    else
        print_rows(runs);
    return EXIT_DONE;
}
