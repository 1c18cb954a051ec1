/* crannog run PLAN.md: walks a plan, or goes on where it was. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "cli/goal.h"
#include "cli/session.h"
#include "view/view.h"

static int run_run(struct cli *c, int argc, char **argv);

const struct command cmd_run = {
    .name = "run",
    .usage = "PLAN.md | \"GOAL\" [--in DIR] [--budget B] [--model M] [--verify CMD] [--yes] [--again] [--json]",
    .summary = "work on a goal, or walk a plan, without you",
    .help =
        "A goal in words is worked on by an agent in this folder: it reads, writes, edits and runs programs in a jail. In a git\n"
        "repository the result is a branch crannog/rN with a commit (authorship yours; your files and branch stay as they are);\n"
        "elsewhere its changes wait for your word. At a terminal you see first what it may do and cost.\n\n"
        "  --verify CMD it is done when this passes; until then it is told what failed\n"
        "  --tries N    how often (8)\n"
        "  --yes        start at once\n"
        "  --land M     into the folder: step (after each step), end, ask (when you say so); also in a git repository\n"
        "  --no-branch  no branch: its changes wait for your word\n"
        "  --model M    PLACE/MODEL (`crannog login` lists them); embedded: the crannog's own\n\n"
        "Both:\n\n"
        "  --limit N=V  of each command: memory=16G, cpu=2h and others (`crannog exec --help`)\n"
        "  --show PATH  a folder that commands may read beside the work folder\n"
        "  --browser    commands may start a browser, which builds a sandbox of its own inside\n\n"
        "A plan:\n\n"
        "  --in DIR     the work folder; the plan's own folder unless said\n"
        "  --budget B   what this run may use: 5 (dollars), 200000tok, 90cpu-s, 30calls, several with commas; said again for\n"
        "               a run that goes on, it takes the place of what was said before\n"
        "  --model NAME which of the crannog's models to use\n"
        "  --again      start anew although the plan was walked before, or a goal of these words is unfinished here\n"
        "  --json       print the run as JSON at the end\n\n"
        "The plan is never changed; `crannog show` tells how far it is. Killed at any moment, the same command goes on\n"
        "at the first unfinished item. A file that a person changed is never overwritten: you are asked.\n\n"
        "A plan is a checklist, with front matter if wanted (goal, verify, budget, land: step\n"
        "as files are written, end at the end, ask when you say so); other lines at the margin are for people:\n\n"
        "  - [ ] note: for each `papers/*.txt` as PAPER, say what was found\n"
        "        writes: notes/{PAPER.stem}.md           a file each; without a variable, one file for all the answers\n"
        "        verify: test -s notes/{PAPER.stem}.md   a command that passes when it is well done\n"
        "        needs: other                            an earlier item that must be done first\n"
        "        retries: 2                              tries after one that failed\n\n"
        "A file gives {PAPER} (its path), {PAPER.name}, {PAPER.stem} and {PAPER.dir}. The model is shown files of `for each` and\n"
        "no others: a path that only stands in the text is a word to it.\n\n"
        "Exit status: 0 done, 1 failed or stopped, 2 usage, 3 out of budget, 4 waits for your answer.\n\n"
        "examples:\n"
        "  crannog run examples/review/PLAN.md\n"
        "  crannog run PLAN.md --in ~/papers --budget 200000tok,900cpu-s\n"
        "  crannog run \"make the flaky test pass ten times in a row\" --verify \"make test\" --budget 2\n",
    .run = run_run,
};

struct run_options {
    const char *plan, *in, *budget, *model;
    bool again;
};

struct job {
    struct run_options o;
    struct arena arena;
    struct config cfg;
    struct plan plan;
    struct buf text;
    char work[PATH_MAX], file[PATH_MAX];
    const struct terms *terms; /* of the session */
    const char *in_work; /* the plan's path in the work folder, or its whole path where it lies elsewhere */
    struct stat st;
    struct amounts budget;
    struct amounts asked; /* by --budget alone */
    char model[128];
    struct slice services;
};

/* The grammar knows keys whose meaning is not built yet. A plan that relies on one is refused, not half kept. */
static enum err refuse_unbuilt(const struct job *j, struct error *e)
{
    for (size_t i = 0; i < j->plan.nitems; i++) {
        const struct plan_item *it = &j->plan.items[i];
        bool budget = false;
        for (int u = 0; u < UNITS; u++)
            budget |= it->budget.n[u] != AMOUNT_UNLIMITED;
        const char *key = it->agent.n ? "agent" : it->model.n ? "model" : it->ask.n ? "ask" : budget ? "budget" : NULL;
        if (key)
            return error_set(e, ERR_USAGE, "%s:%u: this version does not keep `%s:` of a single item; leave it out%s", j->o.plan,
                             it->line, key, budget ? " (a budget for the whole run stands in the front matter)" : "");
    }
    return OK;
}

static enum err load_plan(struct job *j, struct error *e)
{
    if (!realpath(j->o.plan, j->file))
        return errno == ENOENT ? error_set(e, ERR_USAGE, "there is no plan at %s", j->o.plan)
                               : error_errno(e, errno, "cannot open the plan %s", j->o.plan);
    enum err err = cli_read_file(j->o.plan, "the plan", PLAN_BYTES_MAX, &j->text, e);
    if (!err)
        err = plan_parse(buf_slice(&j->text), j->o.plan, &j->arena, &j->plan, e);
    return err ? err : refuse_unbuilt(j, e);
}

static enum err find_work(struct job *j, struct error *e)
{
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s", j->file);
    *strrchr(dir, '/') = '\0';
    const char *wanted = j->o.in ? j->o.in : *dir ? dir : "/";
    enum err err = cli_work_folder(wanted, j->work, &j->st, e);
    if (err)
        return err;
    size_t n = strlen(j->work);
    bool below = strncmp(j->file, j->work, n) == 0 && j->file[n] == '/';
    j->in_work = below ? j->file + n + 1 : j->file;
    return OK;
}

static enum err find_budget(struct job *j, struct error *e)
{
    j->budget = j->cfg.budget;
    for (int u = 0; u < UNITS; u++)
        if (j->plan.budget.n[u] != AMOUNT_UNLIMITED)
            j->budget.n[u] = j->plan.budget.n[u];
    j->asked = amounts_unlimited();
    enum err err = j->o.budget ? budget_parse(slice_of(j->o.budget), &j->asked, e) : OK;
    for (int u = 0; u < UNITS; u++)
        if (j->asked.n[u] != AMOUNT_UNLIMITED)
            j->budget.n[u] = j->asked.n[u];
    return err;
}

/* --budget for a run that goes on: what it may use from now on, as `spend set` would say it. */
static enum err change_budget(struct session *s, struct job *j, struct error *e)
{
    const struct run_state *r = &s->run->state;
    enum err err = OK;
    for (int u = 0; !err && u < UNITS; u++)
        if (j->asked.n[u] != AMOUNT_UNLIMITED)
            err = ledger_set_cap(s->store, r->account, (enum unit)u, "total", j->asked.n[u], e);
    return err;
}

static struct slice started_payload(void *ctx, uint64_t run, struct buf *out)
{
    struct job *j = ctx;
    JSON_CLEANUP struct json *p = session_started(run, j->work, &j->st, j->terms);
    json_put_text(p, "plan", buf_slice(&j->text));
    json_put_text(p, "plan_path", slice_of(j->in_work));
    json_put_text(p, "goal", j->plan.goal);
    json_put_text(p, "model", slice_of(j->model));
    caps_print(&j->budget, p, "budget");
    session_put_services(j->services, p);
    json_put_int(p, "slots", 1);
    json_put_int(p, "window", j->cfg.window);
    json_put_text(p, "land", j->plan.land.n ? j->plan.land : SLICE("step"));
    json_print(p, out);
    return buf_slice(out);
}

/* A plan that was changed since the run began: changed unstarted items are taken, changed finished ones refused. */
static enum err take_changes(struct session *s, struct job *j, struct error *e)
{
    struct run_state *r = &s->run->state;
    if (hash_eq(&r->plan.hash, &j->plan.hash))
        return OK;
    enum err err = run_plan_may_change(r, &j->plan, e);
    if (err)
        return err;
    JSON_CLEANUP struct json *p = json_object();
    BUF_CLEANUP struct buf text = BUF_INIT(EVENT_PAYLOAD_MAX);
    json_put_int(p, "v", 0);
    json_put_text(p, "plan", buf_slice(&j->text));
    json_print(p, &text);
    fprintf(stderr, "the plan was changed; its items that were not started are taken as they are now\n");
    return engine_append(&s->engine, s->run, EVENT_PLAN_CHANGED, buf_slice(&text), e);
}

static bool is_over(enum run_status s)
{
    return s == RUN_DONE || s == RUN_FAILED;
}

struct found {
    uint64_t id;
    enum run_status status;
};

static void find_status(void *ctx, const struct run_row *r)
{
    struct found *f = ctx;
    if (r->id == f->id)
        f->status = r->status;
}

/* The run to work on: the unfinished one of this plan, or a new one. *ret_over: it is finished and nothing changed. */
static enum err find_run(struct session *s, struct job *j, bool *ret_over, struct error *e)
{
    struct found f = {0};
    FD_CLEANUP int starting = -1;
    *ret_over = false;
    enum err err = session_lock_starts(s, &starting, e);
    if (!err)
        err = run_of_plan(s->store, (uint64_t)j->st.st_dev, (uint64_t)j->st.st_ino, slice_of(j->in_work), &f.id, e);
    if (!err && f.id)
        err = run_each(s->store, find_status, &f, e);
    if (err)
        return err;
    if (f.id && f.status == RUN_BROKEN && !j->o.again)
        return error_set(e, ERR_CORRUPT, "run r%llu of this plan is broken (`crannog doctor --audit` says where); start anew with --again",
                         (unsigned long long)f.id);
    int64_t holder = f.id ? lease_holder(s->store, f.id) : 0;
    if (holder && j->o.again)
        return error_set(e, ERR_BUSY, "run r%llu of this plan is being worked on by process %lld; end it with `crannog stop r%llu` first",
                         (unsigned long long)f.id, (long long)holder, (unsigned long long)f.id);
    if (!f.id || j->o.again) {
        err = session_take_terms(s, e);
        j->terms = &s->terms;
        if (!err)
            err = config_services(s->cli, j->plan.services, &j->arena, &j->services, e);
        return err ? err : engine_start_run(&s->engine, started_payload, j, &s->run, e);
    }
    err = engine_resume_run(&s->engine, f.id, &s->run, e);
    if ((err == ERR_CORRUPT || err == ERR_VERSION) && e)
        return error_wrap(e, "this plan's run cannot go on; bring the journal back from a backup, or start anew with --again");
    if (err)
        return err;
    *ret_over = is_over(s->run->state.status);
    if (!*ret_over) {
        err = take_changes(s, j, e);
        return err ? err : change_budget(s, j, e);
    }
    if (hash_eq(&s->run->state.plan.hash, &j->plan.hash))
        return OK;
    err = run_plan_may_change(&s->run->state, &j->plan, e);
    return err ? err : error_set(e, ERR_CONFLICT, "r%llu walked this plan to its end and the plan was changed since; start anew with --again",
                                 (unsigned long long)f.id);
}

static void print_over(const struct run_state *r)
{
    BUF_CLEANUP struct buf why = BUF_INIT(4096);
    cli_print_safe(slice_of(r->why), &why);
    fprintf(stderr, "r%llu has walked this plan already%s%s%s and the plan has not changed; --again walks it anew, also over new and changed "
            "files\n", (unsigned long long)r->id, why.n ? " (" : "", buf_str(&why), why.n ? ")" : "");
}

static void print_summary(const struct session *s)
{
    const struct run_state *r = &s->run->state;
    size_t done, total;
    BUF_CLEANUP struct buf b = BUF_INIT(4096);
    run_progress(r, &done, &total);
    buf_addf(&b, "r%llu %s: %zu of %zu done, ", (unsigned long long)r->id, view_status_words(r->status, false, false), done, total);
    amount_print(UNIT_TOKENS, r->used.n[UNIT_TOKENS], &b);
    buf_add_text(&b, ", ");
    amount_print(UNIT_CPU_NS, r->used.n[UNIT_CPU_NS], &b);
    if (r->assumed.n[UNIT_TOKENS] || r->assumed.n[UNIT_CPU_NS]) {
        buf_add_text(&b, " (of it assumed for steps that died: ");
        amount_print(UNIT_TOKENS, r->assumed.n[UNIT_TOKENS], &b);
        buf_add_text(&b, ", ");
        amount_print(UNIT_CPU_NS, r->assumed.n[UNIT_CPU_NS], &b);
        buf_add_text(&b, ")");
    }
    if (s->bar.started_ms) {
        buf_add_text(&b, ", in ");
        time_print(sys->now_ms() - s->bar.started_ms, &b);
    }
    if (*r->why) {
        buf_add_text(&b, "\n  ");
        cli_print_safe(slice_of(r->why), &b);
    }
    fprintf(stderr, "%s\n", buf_str(&b));
    if (session_tell_changes(s))
        return;
    if (r->status == RUN_WAITING)
        fprintf(stderr, "  it waits for your answers (`crannog show r%llu` lists the questions); then run it again\n",
                (unsigned long long)r->id);
    if (r->status == RUN_BLOCKED)
        fputs("  a budget of the run itself is also changed by the same command with --budget\n", stderr);
}

static int work(struct cli *c, struct job *j, const char *model_file)
{
    struct session s;
    struct error e = {0};
    bool over = false;
    enum err err = session_open(&s, c, model_file, &e);
    if (err)
        return cli_fail(&e);
    err = find_run(&s, j, &over, &e);
    s.engine.model = slice_of(j->model);
    if (!err && !over)
        err = model_warm(&s.engine, &e);
    if (!err && over)
        print_over(&s.run->state);
    else if (!err)
        err = session_work(&s, &e);
    int status = err ? cli_fail(&e) : session_exit(&s.run->state);
    if (!err && !over)
        print_summary(&s);
    if (!err && c->json) {
        JSON_CLEANUP struct json *v = NULL;
        if (view_run(s.store, s.run->state.id, &v, &e) == OK)
            cli_print_json(v);
    }
    session_close(&s);
    return status;
}

static int run_job(struct cli *c, struct job *j)
{
    struct error e = {0};
    BUF_CLEANUP struct buf model = BUF_INIT(PATH_MAX);
    enum err err = load_plan(j, &e);
    if (!err)
        err = find_work(j, &e);
    if (!err)
        err = config_read(c, &j->arena, &j->cfg, &e);
    if (!err)
        err = find_budget(j, &e);
    if (!err)
        err = config_model(c, &j->cfg, j->o.model, &model, &e);
    if (err)
        return cli_fail(&e);
    const char *name = strrchr(buf_str(&model), '/') + 1;
    snprintf(j->model, sizeof j->model, "%.*s", (int)(strlen(name) - strlen(".gguf")), name);
    return work(c, j, buf_str(&model));
}

static int run_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, CLI_TERMS_OPTIONS,
        {"in", required_argument, NULL, 'i'}, {"budget", required_argument, NULL, 'b'}, {"model", required_argument, NULL, 'm'},
        {"again", no_argument, NULL, 'a'},
        {"verify", required_argument, NULL, 'v'}, {"tries", required_argument, NULL, 't'}, {"yes", no_argument, NULL, 'y'},
        {"no-branch", no_argument, NULL, 'n'}, {"land", required_argument, NULL, 'l'}, {0}};
    struct goal_options goal = {0};
    struct job j = {.arena = ARENA_INIT(16 << 20), .text = BUF_INIT(PLAN_BYTES_MAX + 1)};
    enum err said = OK;
    struct error e;
    int status;
    for (int o; (o = getopt_long(argc, argv, "hj", options, NULL)) != -1;)
        switch (o) {
        case 'i': j.o.in = optarg; break;
        case 'b': j.o.budget = optarg; break;
        case 'm': j.o.model = optarg; break;
        case 'a': j.o.again = true; break;
        case 'v': goal.verify = optarg; break;
        case 't': goal.tries = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'y': goal.yes = true; break;
        case 'n': goal.no_branch = true; break;
        case 'l': goal.land = optarg; break;
        default:
            if (cli_terms(c, o, optarg, &said, &e)) {
                if (said)
                    return cli_fail(&e);
                break;
            }
            if (!cli_common(c, &cmd_run, o, &status) || status >= 0)
                return status;
        }
    if (optind + 1 != argc)
        return cli_usage(&cmd_run, optind == argc ? "which plan, or what to do?" : "one plan at a time; put a goal into quotes");
    if (goal_is(argv[optind])) {
        goal.goal = argv[optind];
        goal.in = j.o.in;
        goal.budget = j.o.budget;
        goal.model = j.o.model;
        goal.again = j.o.again;
        return goal_run(c, &goal);
    }
    if (goal.verify || goal.tries || goal.no_branch || goal.land)
        return cli_usage(&cmd_run, "a plan says its own `verify:` and `land:`; these options are for a goal in words");
    j.o.plan = argv[optind];
    status = run_job(c, &j);
    arena_release(&j.arena);
    buf_release(&j.text);
    return status;
}
