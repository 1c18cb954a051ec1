/* crannog show: one run, its items and what waits for you; of an agent what was said and done; or its history. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/sys.h"
#include "cli/agent.h"
#include "cli/show.h"
#include "view/view.h"

static int show_run(struct cli *c, int argc, char **argv);

const struct command cmd_show = {
    .name = "show",
    .usage = "[RUN] [--all] [--follow] [--history] [--json] | --blob HASH",
    .summary = "one run: what was said and done, what it asks, what it used",
    .help =
        "RUN is a name from `crannog ls` (r7); without it, the latest one. Of an agent's run: each word, each act and what came of\n"
        "it, what each call of the model cost and why it was allowed; on a terminal page by page ($PAGER, else less).\n\n"
        "  --all        whole outputs, not their first lines, and why each step was allowed\n"
        "  --follow     what an agent does as it does it, until it rests\n"
        "  --history    every event of its journal and when it was, one a line\n"
        "  --blob HASH  the bytes that the journal keeps under a hash, as they are: a file of yours that was replaced, a source's\n"
        "               text, a model's answer\n\n"
        "examples:\n  crannog show\n  crannog show r3 --follow\n  crannog show r3 --history\n  crannog show r3 --json | jq .items\n"
        "  crannog show --blob ca1cd4043ba332886732e4af78cadd3b85805ba5ba98ce63e5f59808f39cd94b > mine.md\n",
    .run = show_run,
};

/* What a line asks, why, and how it is answered. */
static void add_question(const struct json *l, struct buf *out)
{
    struct slice name = json_text(json_get(l, "question"));
    struct slice run = slice_sub(name, 0, slice_index(name, '.'));
    buf_add_text(out, "\n      ");
    cli_print_safe(json_text(json_get(l, "why")), out);
    if (slice_is(json_text(json_get(l, "resume")), stage_name(STAGE_APPLY)))
        buf_addf(out, "\n      crannog diff %.*s    crannog apply %.*s", SLICE_ARG(run), SLICE_ARG(run));
    buf_addf(out, "\n      crannog answer %.*s %.*s", SLICE_ARG(name), SLICE_ARG(json_text(json_get(l, "answers"))));
}

static void add_line(const struct json *l, struct buf *out)
{
    struct slice stage = json_text(json_get(l, "stage")), source = json_text(json_get(l, "source"));
    bool stuck = slice_is(stage, "stuck"), over = slice_is(stage, "done") || slice_is(stage, "skipped");
    buf_addf(out, "    %s ", stuck ? "!" : slice_is(stage, "done") ? "+" : slice_is(stage, "skipped") ? "-" : json_get(l, "open") ? ">" : ".");
    bool takes = slice_is(stage, stage_name(STAGE_APPLY)) || slice_is(json_text(json_get(l, "resume")), stage_name(STAGE_APPLY));
    cli_print_safe(source.n ? source : takes ? SLICE("(its changes)") : json_get(l, "writes") ? SLICE("(its answer)") : SLICE("(the check)"),
                   out);
    if (json_get(l, "writes")) {
        buf_add_text(out, " -> ");
        cli_print_safe(json_text(json_get(l, "writes")), out);
    }
    if (slice_is(stage, "skipped"))
        buf_add_text(out, "  (left as it is)");
    if (!over && !stuck)
        buf_addf(out, "  (%s)", cli_stage_words(stage));
    if (json_get(l, "replaced"))
        buf_addf(out, "\n      what lay there before: crannog show --blob %.*s", SLICE_ARG(json_text(json_get(l, "replaced"))));
    if (stuck)
        add_question(l, out);
    buf_add_text(out, "\n");
}

static void add_item(const struct json *it, struct buf *out)
{
    const struct json *pieces = json_get(it, "pieces"), *head = json_get(it, "head");
    size_t n = json_count(pieces), done = 0;
    for (size_t i = 0; i < n; i++) {
        struct slice stage = json_text(json_get(json_at(pieces, i), "stage"));
        done += slice_is(stage, "done") || slice_is(stage, "skipped");
    }
    buf_addf(out, "  %.*s  %.*s", SLICE_ARG(json_text(json_get(it, "name"))), SLICE_ARG(json_text(json_get(it, "phase"))));
    if (n > 1)
        buf_addf(out, "  %zu/%zu", done, n);
    buf_add_text(out, "\n");
    for (size_t i = 0; n > 1 && i < n; i++)
        add_line(json_at(pieces, i), out);
    if (n <= 1 && n)
        add_line(json_at(pieces, 0), out);
    if (json_get(head, "writes") || slice_is(json_text(json_get(head, "stage")), "stuck"))
        add_line(head, out);
}

void show_amounts(const char *what, const struct json *v, struct buf *out)
{
    if (json_count(v) == 0)
        return;
    buf_addf(out, "  %-8s", what);
    bool any = false;
    for (int u = 0; u < UNITS; u++)
        if (json_get(v, unit_name(u))) {
            buf_add_text(out, any ? ", " : " ");
            any = true;
            amount_print(u, json_int(json_get(v, unit_name(u)), 0), out);
        }
    buf_add_text(out, "\n");
}

void show_walls(const struct json *run, struct buf *out)
{
    BUF_CLEANUP struct buf line = BUF_INIT(4096);
    const struct json *times;
    struct json_walk w = {0};
    for (struct slice name; json_next(json_get(run, "met"), &w, &name, &times);) {
        buf_addf(&line, "%s%.*s", line.n ? ", " : "perhaps met: ", SLICE_ARG(name));
        if (json_int(times, 1) > 1)
            buf_addf(&line, " (%" PRId64 " times)", json_int(times, 1));
    }
    show_field("walls", buf_slice(&line), out);
}

void show_field(const char *what, struct slice text, struct buf *out)
{
    if (!text.n)
        return;
    buf_addf(out, "  %-8s ", what);
    cli_print_safe(text, out);
    buf_add_text(out, "\n");
}

static void print_run(const struct json *v)
{
    BUF_CLEANUP struct buf out = BUF_INIT(16 << 20);
    const struct json *items = json_get(v, "items");
    bool is_exec = json_bool(json_get(v, "exec"), false);
    enum run_status status = run_status_from(json_text(json_get(v, "status")));
    buf_addf(&out, "%.*s  %s", SLICE_ARG(json_text(json_get(v, "id"))),
             view_status_words(status, json_int(json_get(v, "holder"), 0) > 0, is_exec));
    if (!is_exec)
        buf_addf(&out, ", %" PRId64 " of %" PRId64 " done", json_int(json_get(v, "done"), 0), json_int(json_get(v, "total"), 0));
    buf_add_text(&out, "\n");
    show_field("why", json_text(json_get(v, "why")), &out);
    show_field(is_exec ? "command" : "goal", json_text(json_get(v, "goal")), &out);
    show_field("plan", json_text(json_get(v, "plan")), &out);
    show_field("in", json_text(json_get(v, "work")), &out);
    show_amounts("used", json_get(v, "used"), &out);
    show_amounts("assumed", json_get(v, "assumed"), &out);
    show_amounts("budget", json_get(v, "budget"), &out);
    show_walls(v, &out);
    if (!is_exec)
        buf_add_text(&out, "\n");
    for (size_t i = 0; i < json_count(items); i++) {
        const struct json *head = json_get(json_at(items, i), "head");
        if (!is_exec)
            add_item(json_at(items, i), &out);
        else if (slice_is(json_text(json_get(head, "stage")), "stuck"))
            add_line(head, &out);
    }
    fwrite(buf_str(&out), 1, out.n, stdout);
}

static void print_history(const struct json *v)
{
    const struct json *events = json_get(v, "events");
    for (size_t i = 0; i < json_count(events); i++) {
        const struct json *ev = json_at(events, i), *p = json_get(ev, "payload");
        BUF_CLEANUP struct buf out = BUF_INIT(1 << 20), text = BUF_INIT(64 << 20);
        static const char *const told[] = {"stage", "item", "piece", "outcome", "why", "status", "used", "amounts", "answer"};
        time_t then = (time_t)(json_int(json_get(ev, "time_ms"), 0) / 1000);
        struct tm tm;
        char when[32] = "";
        if (localtime_r(&then, &tm))
            strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
        buf_addf(&out, "%5" PRId64 "  %s  %-14.*s", json_int(json_get(ev, "seq"), 0), when, SLICE_ARG(json_text(json_get(ev, "type"))));
        if (json_get(ev, "step"))
            buf_addf(&out, " %" PRId64 ".%" PRId64, json_int(json_get(ev, "step"), 0), json_int(json_get(ev, "attempt"), 0));
        for (size_t k = 0; k < sizeof told / sizeof *told; k++) {
            const struct json *x = json_get(p, told[k]);
            if (!x || (json_type(x) == JSON_TEXT && json_text(x).n == 0))
                continue;
            buf_reset(&text);
            json_print(x, &text);
            buf_addf(&out, " %s=", told[k]);
            cli_print_safe(buf_slice(&text), &out);
        }
        puts(buf_str(&out));
    }
}

static int print_blob(struct cli *c, const char *name)
{
    struct store *s;
    struct error e;
    struct hash h;
    BUF_CLEANUP struct buf bytes = BUF_INIT(BLOB_BYTES_MAX);
    if (!hash_from_hex(slice_of(name), &h))
        return cli_usage(&cmd_show, "'%.80s' is not a hash; they have 64 digits and letters from a to f", name);
    if (cli_open(c, false, true, &s, &e))
        return cli_fail(&e);
    enum err err = blob_get(s, &h, &bytes, &e);
    store_close(s);
    if (err)
        return cli_fail(&e);
    fwrite(bytes.p, 1, bytes.n, stdout);
    return EXIT_DONE;
}

struct looking {
    uint64_t run;
    bool found;
};

static void look(void *ctx, const struct run_row *r)
{
    struct looking *l = ctx;
    l->found |= r->id == l->run && slice_is(r->plan_path, AGENT_PLAN_PATH);
}

static bool is_agents(struct store *s, uint64_t run)
{
    struct looking l = {.run = run};
    return run_each(s, look, &l, NULL) == OK && l.found;
}

static int show_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {"history", no_argument, NULL, 'H'}, {"blob", required_argument, NULL, 'b'},
                                            {"all", no_argument, NULL, 'a'}, {"follow", no_argument, NULL, 'f'}, {0}};
    struct show_options wanted = {0};
    struct store *s;
    struct error e;
    uint64_t run = 0;
    bool history = false;
    const char *blob = NULL;
    int status;
    for (int o; (o = getopt_long(argc, argv, "hj", options, NULL)) != -1;) {
        if (o == 'H')
            history = true;
        else if (o == 'b')
            blob = optarg;
        else if (o == 'a' || o == 'f')
            *(o == 'a' ? &wanted.all : &wanted.follow) = true;
        else if (!cli_common(c, &cmd_show, o, &status) || status >= 0)
            return status;
    }
    if (optind + 1 < argc || (blob && optind < argc))
        return cli_usage(&cmd_show, blob ? "--blob wants nothing but a hash" : "one run at a time");
    if (blob)
        return print_blob(c, blob);
    if (cli_open(c, false, true, &s, &e))
        return cli_fail(&e);
    JSON_CLEANUP struct json *v = NULL;
    enum err err = cli_pick_run(s, optind < argc ? argv[optind] : NULL, &run, &e);
    if (!err && !history && is_agents(s, run))
        return show_story(c, s, run, &wanted);
    if (!err && (wanted.all || wanted.follow))
        err = error_set(&e, ERR_USAGE, "--all and --follow are for the run of an agent");
    if (!err)
        err = history ? view_history(s, run, &v, &e) : view_run(s, run, &v, &e);
    store_close(s);
    if (err)
        return cli_fail(&e);
    if (c->json)
        cli_print_json(v);
    else if (history)
        print_history(v);
    else
        print_run(v);
    return EXIT_DONE;
}
