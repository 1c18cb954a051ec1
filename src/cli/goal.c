#include "cli/goal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/agent.h"
#include "model/prices.h"
#include "view/view.h"

static const int64_t DEFAULT_NUSD = 5000000000, DEFAULT_TOKENS = 2000000, DEFAULT_CALLS = 500;

bool goal_is(const char *text)
{
    struct stat st;
    struct slice s = slice_of(text);
    bool named = slice_ends(s, SLICE(".md")) || (slice_index(s, '/') < s.n && slice_index(s, ' ') == s.n);
    return !named && sys->fstatat(AT_FDCWD, text, &st, 0) < 0;
}

/* ---- before it starts ---- */

struct goal_job {
    const struct goal_options *o;
    struct agent_job job;
    struct config cfg;
    struct arena arena;
};

/* What it may use: what was said, else what crannog.yaml says, else a bound that nobody is sorry about. */
static enum err find_budget(struct goal_job *g, struct error *e)
{
    struct amounts *b = &g->job.budget, asked = amounts_unlimited();
    bool any = false;
    *b = g->cfg.budget;
    enum err err = g->o->budget ? budget_parse(slice_of(g->o->budget), &asked, e) : OK;
    for (int u = 0; u < UNITS; u++) {
        if (asked.n[u] != AMOUNT_UNLIMITED)
            b->n[u] = asked.n[u];
        any |= b->n[u] != AMOUNT_UNLIMITED;
    }
    if (err || any)
        return err;
    bool priced = price_find(NULL, 0, g->job.model.provider, g->job.model.model) != NULL;
    b->n[UNIT_CALLS] = DEFAULT_CALLS;
    b->n[priced ? UNIT_NUSD : UNIT_TOKENS] = priced ? DEFAULT_NUSD : DEFAULT_TOKENS;
    return OK;
}

static bool is_git(const char *work)
{
    BUF_CLEANUP struct buf path = BUF_INIT(PATH_MAX + 8);
    struct stat st;
    buf_addf(&path, "%s/.git", work);
    return sys->fstatat(AT_FDCWD, buf_str(&path), &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static enum err prepare(struct cli *c, struct goal_job *g, struct error *e)
{
    struct agent_job *j = &g->job;
    enum err err = cli_work_folder(g->o->in ? g->o->in : ".", j->work, &j->st, e);
    if (!err)
        err = config_read(c, &g->arena, &g->cfg, e);
    if (!err)
        err = agent_choose(c, g->o->model, &g->arena, &j->model, e);
    if (!err)
        err = find_budget(g, e);
    if (!err && g->o->land && !land_from(slice_of(g->o->land), &j->land))
        err = error_set(e, ERR_USAGE, "--land is step, end or ask");
    if (err)
        return err;
    j->goal = slice_of(g->o->goal);
    j->verify = g->o->verify;
    j->checks = g->o->tries ? g->o->tries : AGENT_CHECKS;
    j->commits = !g->o->no_branch && !g->o->land && is_git(j->work);
    if (!g->o->land) /* what nobody watched waits for a word, unless it does not touch the files */
        j->land = j->commits ? LAND_END : LAND_ASK;
    return OK;
}

static void print_budget(const struct amounts *b, FILE *to)
{
    BUF_CLEANUP struct buf text = BUF_INIT(400);
    for (int u = 0; u < UNITS; u++)
        if (b->n[u] != AMOUNT_UNLIMITED) {
            buf_add_text(&text, text.n ? ", " : "");
            amount_print((enum unit)u, b->n[u], &text);
        }
    fprintf(to, "  budget  at most %s; it stops before it would pass that\n", text.n ? buf_str(&text) : "what nobody bounded");
}

static void safe_line(const char *head, struct slice s)
{
    BUF_CLEANUP struct buf safe = BUF_INIT(64 * 1024);
    cli_print_safe(s, &safe);
    fprintf(stderr, "%s%s\n", head, buf_str(&safe));
}

static void show_plan(const struct goal_job *g)
{
    const struct agent_job *j = &g->job;
    safe_line("  goal    ", j->goal);
    safe_line("  model   ", j->model.ref);
    safe_line("  folder  ", slice_of(j->work));
    fputs("  may     read and change this folder, run programs in it; no network\n", stderr);
    if (j->verify)
        safe_line("  check   ", slice_of(j->verify));
    print_budget(&j->budget, stderr);
    fprintf(stderr, "  result  %s\n", j->commits               ? "a branch crannog/rN with a commit; your files and your branch stay as they are"
                                      : j->land == LAND_ASK    ? "waits for your word (crannog diff, crannog apply)"
                                      : j->land == LAND_END    ? "goes into the folder at the end"
                                                               : "goes into the folder step by step");
}

/* At a terminal a person sees first what will happen. False: they do not want it. */
static bool starts(const struct goal_job *g)
{
    char line[64];
    if (g->o->yes || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return true;
    show_plan(g);
    fputs("Enter starts it, n leaves it: ", stderr);
    return fgets(line, sizeof line, stdin) && *line != 'n' && *line != 'N' && *line != 'q';
}

/* ---- while it works ---- */

struct shown {
    bool color;
    size_t acts;
    struct buf title[1];
};

static void on_begin(void *ctx, uint64_t id, struct slice tool, struct slice title)
{
    struct shown *s = ctx;
    (void)id;
    buf_reset(s->title);
    buf_addf(s->title, "%.*s ", SLICE_ARG(tool));
    cli_print_safe(slice_sub(title, 0, 200), s->title);
}

static void on_end(void *ctx, uint64_t id, enum agent_end how, struct slice summary, struct slice detail)
{
    struct shown *s = ctx;
    const char *mark = how == AGENT_OK ? "·" : how == AGENT_STOPPED ? "-" : "!";
    (void)id;
    (void)detail;
    s->acts++;
    fprintf(stderr, "%s %s%s%.*s%s\n", mark, buf_str(s->title), summary.n ? "  (" : "", SLICE_ARG(summary), summary.n ? ")" : "");
}

static void on_note(void *ctx, struct slice text)
{
    (void)ctx;
    safe_line("· ", text);
}

/* ---- when it has ended ---- */

struct facts {
    bool passed, committed;
    char commit[80];
};

static enum err find_facts(void *ctx, const struct event *ev, struct error *e)
{
    struct facts *f = ctx;
    JSON_CLEANUP struct json *p = NULL;
    (void)e;
    if (ev->type != EVENT_STEP_FINISHED || ev->redacted || json_parse(ev->payload, &p, NULL))
        return OK;
    const struct json *res = json_get(p, "result");
    bool ok = slice_is(json_text(json_get(p, "outcome")), "ok");
    if (ok && json_has(res, "rest") && json_has(res, "tail")) {
        f->committed = json_text(json_get(res, "tail")).n > 0;
        snprintf(f->commit, sizeof f->commit, "%.*s", SLICE_ARG(slice_sub(json_text(json_get(res, "tail")), 0, 12)));
    }
    return OK;
}

static void print_end(const struct session *s, const struct goal_job *g, const struct shown *shown, int64_t since_ms)
{
    const struct run_state *r = &s->run->state;
    unsigned long long id = r->id;
    struct facts f = {0};
    BUF_CLEANUP struct buf b = BUF_INIT(4096);
    (void)!journal_read(s->store, r->id, find_facts, &f, NULL);
    buf_addf(&b, "r%llu %s: %zu act%s", id, view_status_words(r->status, false, false), shown->acts, shown->acts == 1 ? "" : "s");
    if (r->status == RUN_DONE && g->job.verify)
        buf_addf(&b, ", its check passed (%.200s)", g->job.verify);
    else if (r->status == RUN_DONE)
        buf_add_text(&b, ", by its own word (no --verify was given)");
    buf_add_text(&b, ", ");
    amount_print(UNIT_NUSD, r->used.n[UNIT_NUSD], &b);
    buf_add_text(&b, ", ");
    amount_print(UNIT_TOKENS, r->used.n[UNIT_TOKENS], &b);
    buf_add_text(&b, ", in ");
    time_print(sys->now_ms() - since_ms, &b);
    const struct line *l = run_line_const(r, 0, HEAD);
    if (l && l->stage == STAGE_STUCK)
        buf_addf(&b, "\n  %s%s", l->question == QUESTION_ASK ? "it asks: " : "", l->why);
    else if (*r->why)
        buf_addf(&b, "\n  %s", r->why);
    for (struct slice rest = buf_slice(&b), line; slice_line(&rest, &line);)
        safe_line("", line);
    if (f.committed && r->status == RUN_DONE)
        fprintf(stderr, "  look: git diff HEAD...crannog/r%llu    take it: git merge crannog/r%llu    drop it: git branch -D crannog/r%llu\n", id, id, id);
    else if (!session_tell_changes(s) && l && l->stage == STAGE_STUCK)
        fprintf(stderr, "  answer: crannog answer r%llu %s    all of it: crannog show r%llu\n", id,
                l->question == QUESTION_ASK ? "\"…\"" : "retry", id);
}

static int finish(struct cli *c, struct session *s, const struct goal_job *g, const struct shown *shown, int64_t since_ms)
{
    BUF_CLEANUP struct buf result = BUF_INIT(32 << 20);
    struct error e = {0};
    if (c->json) {
        JSON_CLEANUP struct json *v = NULL;
        if (view_run(s->store, s->run->state.id, &v, &e) == OK)
            cli_print_json(v);
    } else if (agent_result(s->store, &s->run->state, &result, &e) == OK && result.n) {
        if (isatty(STDOUT_FILENO)) {
            BUF_CLEANUP struct buf safe = BUF_INIT(64 << 20);
            for (struct slice rest = buf_slice(&result), line; slice_line(&rest, &line);) {
                cli_print_safe(line, &safe);
                buf_add_char(&safe, '\n');
            }
            fwrite(safe.p, 1, safe.n, stdout);
        } else {
            fwrite(result.p, 1, result.n, stdout);
            putchar('\n');
        }
        fflush(stdout);
    }
    print_end(s, g, shown, since_ms);
    return session_exit(&s->run->state);
}

static int work(struct cli *c, struct goal_job *g)
{
    struct session s;
    struct error e = {0};
    struct buf title = BUF_INIT(2048);
    struct shown shown = {.title = {title}};
    struct agent_watch w = {.ctx = &shown, .begin = on_begin, .end = on_end, .note = on_note};
    int64_t since = sys->now_ms();
    enum err err = session_open(&s, c, NULL, &e);
    if (err)
        return cli_fail(&e);
    s.quiet = true;
    s.machine.home = getenv("HOME");
    agent_watch(&w, &s.engine);
    err = agent_start(&s, &g->job, &e);
    if (!err)
        err = engine_say_text(&s.engine, s.run, g->job.goal, false, &e);
    if (!err)
        err = session_work(&s, &e);
    int status = err ? cli_fail(&e) : finish(c, &s, g, &shown, since);
    buf_release(shown.title);
    session_close(&s);
    return status;
}

int goal_run(struct cli *c, const struct goal_options *o)
{
    struct goal_job g = {.o = o, .arena = ARENA_INIT(16 << 20)};
    struct error e = {0};
    int status = EXIT_DONE;
    if (slice_trim(slice_of(o->goal)).n == 0)
        status = (error_set(&e, ERR_USAGE, "the goal is empty"), cli_fail(&e));
    else if (prepare(c, &g, &e))
        status = cli_fail(&e);
    else if (starts(&g))
        status = work(c, &g);
    arena_release(&g.arena);
    return status;
}
