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

enum { SAME_MAX = 16 };
static const int64_t BELL_AFTER_MS = 8000;
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
    struct amounts asked; /* by --budget; AMOUNT_UNLIMITED where nothing was said */
    struct peer door; /* until the session has it */
    bool ended;       /* the run of these words had ended but for its landing */
    struct arena arena;
};

/* What it may use: what was said, else what crannog.yaml says, else a bound that nobody is sorry about. */
static enum err find_budget(struct goal_job *g, struct error *e)
{
    struct amounts *b = &g->job.budget;
    bool any = false;
    *b = g->cfg.budget;
    for (int u = 0; u < UNITS; u++) {
        if (g->asked.n[u] != AMOUNT_UNLIMITED)
            b->n[u] = g->asked.n[u];
        any |= b->n[u] != AMOUNT_UNLIMITED;
    }
    bool priced = price_find(NULL, 0, g->job.model.provider, g->job.model.model) != NULL;
    if (b->n[UNIT_NUSD] != AMOUNT_UNLIMITED && !priced && !slice_is(g->job.model.provider, "embedded"))
        return error_set(e, ERR_USAGE, "nobody knows what %.*s costs, so a budget in dollars cannot be kept; give one in tokens instead "
                        "(--budget 500000tok), or take another model (--model)", SLICE_ARG(slice_cut(g->job.model.ref, 100)));
    if (any)
        return OK;
    b->n[UNIT_CALLS] = DEFAULT_CALLS;
    b->n[priced ? UNIT_NUSD : UNIT_TOKENS] = priced ? DEFAULT_NUSD : DEFAULT_TOKENS;
    return OK;
}

static bool is_git(const char *work)
{
    BUF_CLEANUP struct buf path = BUF_INIT(PATH_MAX + 8);
    struct stat st;
    buf_addf(&path, "%s/.git", work);
    /* Behind a link it lies elsewhere, where nothing lands. */
    return sys->fstatat(AT_FDCWD, buf_str(&path), &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* What must be known to find a run that goes on. */
static enum err prepare(struct cli *c, struct goal_job *g, struct error *e)
{
    struct agent_job *j = &g->job;
    enum err err = cli_work_folder(g->o->in ? g->o->in : ".", j->work, &j->st, e);
    if (!err)
        err = agent_check_folder(c, j->work, e);
    if (!err)
        err = config_read(c, &g->arena, &g->cfg, e);
    g->asked = amounts_unlimited();
    if (!err && g->o->budget)
        err = budget_parse(slice_of(g->o->budget), &g->asked, e);
    if (!err && g->o->land && !land_from(slice_of(g->o->land), &j->land))
        err = error_set(e, ERR_USAGE, "--land is step, end or ask");
    j->goal = slice_of(g->o->goal);
    return err;
}

/* What a new run wants beyond that. */
static enum err prepare_new(struct cli *c, struct goal_job *g, struct error *e)
{
    struct agent_job *j = &g->job;
    enum err err = agent_choose(c, g->o->model, &g->arena, &j->model, &g->door, e);
    if (!err)
        err = find_budget(g, e);
    if (err)
        return err;
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

/* ---- which run it is ---- */

struct same {
    const struct agent_job *job;
    uint64_t settled; /* this one counts though it is done */
    uint64_t ids[SAME_MAX]; /* newest first */
    size_t n;
};

static void find_same(void *ctx, const struct run_row *r)
{
    struct same *k = ctx;
    bool here = r->work_dev == (uint64_t)k->job->st.st_dev && r->work_ino == (uint64_t)k->job->st.st_ino;
    bool done = (r->status == RUN_DONE && r->id != k->settled) || r->status == RUN_FAILED;
    if (!here || done || !slice_is(r->plan_path, AGENT_PLAN_PATH) ||
        !slice_eq(r->goal, k->job->goal))
        return;
    k->n -= k->n == SAME_MAX;
    memmove(k->ids + 1, k->ids, k->n * sizeof *k->ids);
    k->ids[0] = r->id;
    k->n++;
}

/* The latest unfinished run of these words here that nobody talks with; 0: none. */
static enum err find_run(struct session *s, const struct goal_job *g, uint64_t *ret, struct error *e)
{
    struct same k = {.job = &g->job, .settled = s->settled};
    *ret = 0;
    enum err err = run_each(s->store, find_same, &k, e);
    for (size_t i = 0; !err && !*ret && i < k.n; i++) {
        ARENA_CLEANUP struct arena a = ARENA_INIT(RUN_ARENA_BYTES);
        struct run_state r;
        run_init(&r, k.ids[i], &a);
        err = journal_fold(s->store, k.ids[i], &r, &a, e);
        if (err && e)
            return error_wrap(e, "the run of this goal cannot go on (`crannog doctor --audit`); start anew with --again");
        if (!err && r.is_agent && !run_talk(&r)->attended)
            *ret = k.ids[i];
    }
    return err;
}

/* A cap in dollars that nobody can keep gives way to what was said in its place. */
static enum err set_budget(struct session *s, const struct amounts *asked, struct error *e)
{
    const struct run_state *r = &s->run->state;
    bool any = false, priced = price_find(NULL, 0, r->server.provider, r->server.model) != NULL;
    enum err err = OK;
    for (int u = 0; !err && u < UNITS; u++)
        if (asked->n[u] != AMOUNT_UNLIMITED) {
            any = true;
            err = ledger_set_cap(s->store, r->account, (enum unit)u, "total", asked->n[u], e);
        }
    if (!err && any && !priced && asked->n[UNIT_NUSD] == AMOUNT_UNLIMITED)
        err = ledger_set_cap(s->store, r->account, UNIT_NUSD, "total", AMOUNT_UNLIMITED, e);
    return err;
}

/* It stood because a call to the model could not be made; with another budget or model that is another question. */
static enum err try_again(struct session *s, struct error *e)
{
    const struct line *l = run_line_const(&s->run->state, 0, HEAD);
    if (l->stage != STAGE_STUCK || l->question != QUESTION_FAILED || (l->resume != STAGE_THINK && l->resume != STAGE_COMPACT))
        return OK;
    return engine_answer(&s->engine, s->run, answer_word(l->question_step, SLICE("retry")), e);
}

static enum err change_model(struct session *s, struct goal_job *g, struct error *e)
{
    enum err err = agent_choose(s->cli, g->o->model, &g->arena, &g->job.model, NULL, e);
    return err || slice_eq(g->job.model.ref, s->run->state.model) ? err : agent_change_model(s, &g->job.model, e);
}

/* What was said anew for a run that goes on: its budget, its model. Its check and where its result goes stay. */
static enum err take_changes(struct session *s, struct goal_job *g, struct error *e)
{
    const struct run_state *r = &s->run->state;
    struct slice verify = run_talk(r)->verify;
    if (g->o->verify && !slice_is(verify, g->o->verify))
        return error_set(e, ERR_CONFLICT, "r%llu of this goal has another check (%.*s); start anew with --again", (unsigned long long)r->id,
                         SLICE_ARG(slice_sub(verify, 0, 100)));
    enum err err = set_budget(s, &g->asked, e);
    if (!err && g->o->model && !slice_is(r->model, g->o->model))
        err = change_model(s, g, e);
    return err || !(g->o->budget || g->o->model) ? err : try_again(s, e);
}

/* Goes on with the run of these words, if there is one: s->run. */
static enum err take_up(struct session *s, struct goal_job *g, struct error *e)
{
    uint64_t id;
    enum err err = find_run(s, g, &id, e);
    if (err || !id)
        return err;
    g->ended = id == s->settled;
    if (g->ended) /* nobody wants it done twice */
        fprintf(stderr, "r%llu of this goal had been at its end, and its result is there now (--again starts anew)\n", (unsigned long long)id);
    if (g->ended)
        return OK;
    err = engine_resume_run(&s->engine, id, &s->run, e);
    if (err)
        return err;
    fprintf(stderr, "goes on with r%llu (--again starts anew)\n", (unsigned long long)id);
    return take_changes(s, g, e);
}

/* A new run; where another terminal has begun it meanwhile, that one. */
static enum err begin(struct session *s, struct goal_job *g, struct error *e)
{
    FD_CLEANUP int starting = -1;
    enum err err = session_lock_starts(s, &starting, e);
    if (!err && !g->o->again)
        err = take_up(s, g, e);
    return err || s->run ? err : agent_start(s, &g->job, e);
}

/* ---- while it works ---- */

struct shown {
    bool live;              /* a terminal: the last line tells what goes on now */
    bool drawn;
    size_t acts;
    int64_t began_ms;
    struct buf title;
};

static void live_end(struct shown *s)
{
    if (s->drawn)
        fputs("\r\033[K", stderr);
    s->drawn = false;
}

/* One line in place: what it does, for how long, how many acts, what it cost of what it may. */
static void live_draw(void *session, struct engine *g)
{
    static const char *const words[STAGES] = {[STAGE_SURVEY] = "looking around", [STAGE_INSTRUCT] = "reading", [STAGE_THINK] = "thinking",
        [STAGE_COMPACT] = "making the talk shorter", [STAGE_APPLY] = "putting it into the folder", [STAGE_COMMIT] = "committing"};
    struct session *s = session;
    struct shown *shown = s->look_ctx;
    BUF_CLEANUP struct buf b = BUF_INIT(4096);
    (void)g;
    if (!shown->live || !s->run)
        return;
    const struct run_state *r = &s->run->state;
    const struct line *l = run_line_const(r, 0, HEAD);
    const char *word = l->wake_ms > sys->now_ms() ? "waiting to try again" : words[l->stage] ? words[l->stage] : buf_str(&shown->title);
    buf_addf(&b, "  %.120s · %zu acts · ", word, shown->acts);
    amount_print(UNIT_NUSD, r->used.n[UNIT_NUSD], &b);
    if (r->budget.n[UNIT_NUSD] != AMOUNT_UNLIMITED) {
        buf_add_text(&b, " of ");
        amount_print(UNIT_NUSD, r->budget.n[UNIT_NUSD], &b);
    }
    buf_add_text(&b, " · ");
    time_print(sys->now_ms() - shown->began_ms, &b);
    cli_fit(&b, cli_columns(STDERR_FILENO) - 1);
    fprintf(stderr, "\r\033[K%s", buf_str(&b));
    fflush(stderr);
    shown->drawn = true;
}

static void on_begin(void *ctx, uint64_t id, struct slice tool, struct slice title)
{
    struct shown *s = ctx;
    (void)id;
    buf_reset(&s->title);
    cli_print_safe(slice_sub(tool, 0, 40), &s->title); /* of a call of no tool the name is the model's own */
    buf_add_char(&s->title, ' ');
    cli_print_safe(slice_sub(title, 0, 200), &s->title);
}

static void on_end(void *ctx, uint64_t id, enum agent_end how, struct slice summary, struct slice detail)
{
    struct shown *s = ctx;
    const char *mark = how == AGENT_OK ? "·" : how == AGENT_STOPPED ? "-" : "!";
    (void)id;
    (void)detail;
    s->acts++;
    live_end(s);
    fprintf(stderr, "%s %s%s%.*s%s\n", mark, buf_str(&s->title), summary.n ? "  (" : "", SLICE_ARG(summary), summary.n ? ")" : "");
}

static void on_note(void *ctx, struct slice text)
{
    live_end(ctx);
    safe_line("· ", text);
}

/* ---- when it has ended ---- */

/* Whether its result is a commit: the step that made one names what it landed as, and git's last words are its hash. */
static enum err find_commit(void *ctx, const struct event *ev, struct error *e)
{
    bool *committed = ctx;
    JSON_CLEANUP struct json *p = NULL;
    (void)e;
    if (ev->type != EVENT_STEP_FINISHED || ev->redacted || json_parse(ev->payload, &p, NULL))
        return OK;
    const struct json *res = json_get(p, "result");
    bool ok = slice_is(json_text(json_get(p, "outcome")), "ok");
    if (ok && json_has(res, "rest") && json_has(res, "tail"))
        *committed = json_text(json_get(res, "tail")).n > 0;
    return OK;
}

static void print_end(const struct session *s, const struct shown *shown)
{
    const struct run_state *r = &s->run->state;
    unsigned long long id = r->id;
    bool committed = false;
    BUF_CLEANUP struct buf b = BUF_INIT(4096);
    (void)!journal_read(s->store, r->id, find_commit, &committed, NULL);
    buf_addf(&b, "r%llu %s: %zu act%s", id, view_status_words(r->status, false, false), shown->acts, shown->acts == 1 ? "" : "s");
    struct slice verify = run_talk(r)->verify;
    if (r->status == RUN_DONE && verify.n)
        buf_addf(&b, ", its check passed (%.*s)", SLICE_ARG(slice_sub(verify, 0, 200)));
    else if (r->status == RUN_DONE)
        buf_add_text(&b, ", by its own word (no --verify was given)");
    buf_add_text(&b, ", ");
    if (r->used.n[UNIT_NUSD]) {
        amount_print(UNIT_NUSD, r->used.n[UNIT_NUSD], &b);
        buf_add_text(&b, ", ");
    }
    amount_print(UNIT_TOKENS, r->used.n[UNIT_TOKENS], &b);
    buf_add_text(&b, ", in ");
    time_print(sys->now_ms() - shown->began_ms, &b);
    const struct line *l = run_line_const(r, 0, HEAD);
    if (l && l->stage == STAGE_STUCK)
        buf_addf(&b, "\n  %s%s", l->question == QUESTION_ASK ? "it asks: " : "", l->why);
    else if (*r->why)
        buf_addf(&b, "\n  %s", r->why);
    for (struct slice rest = buf_slice(&b), line; slice_line(&rest, &line);)
        safe_line("", line);
    if (committed && r->status == RUN_DONE)
        fprintf(stderr, "  look: git diff HEAD...crannog/r%llu    take it: git merge crannog/r%llu    drop it: git branch -D crannog/r%llu\n", id, id, id);
    else if (!session_tell_changes(s) && l && l->stage == STAGE_STUCK)
        fprintf(stderr, "  answer: crannog answer r%llu %s    all of it: crannog show r%llu\n", id,
                l->question == QUESTION_ASK ? "\"…\"" : "retry", id);
}

static int finish(struct cli *c, struct session *s, const struct shown *shown)
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
    print_end(s, shown);
    return session_exit(&s->run->state);
}

int goal_go_on(struct cli *c, struct session *s)
{
    struct error e = {0};
    struct shown shown = {.title = BUF_INIT(2048), .live = isatty(STDERR_FILENO), .began_ms = sys->now_ms()};
    struct agent_watch w = {.ctx = &shown, .begin = on_begin, .end = on_end, .note = on_note};
    BUF_CLEANUP struct buf model = BUF_INIT(PATH_MAX);
    s->quiet = true;
    s->look = live_draw;
    s->look_ctx = &shown;
    s->machine.home = getenv("HOME");
    agent_watch(&w, &s->engine);
    const struct talk *t = run_talk(&s->run->state);
    enum err err = agent_file(c, &s->run->state, &model, &e);
    s->machine.model_file = model.n ? buf_str(&model) : NULL;
    if (!err && !t->nturns && !t->ninbox) /* new, or it died before its goal was said */
        err = engine_say_text(&s->engine, s->run, s->run->state.goal, false, &e);
    if (!err)
        err = session_work(s, &e);
    live_end(&shown);
    if (shown.live && sys->now_ms() - shown.began_ms > BELL_AFTER_MS)
        fputc('\a', stderr);
    int status = err ? cli_fail(&e) : finish(c, s, &shown);
    s->look = NULL;
    s->machine.model_file = NULL;
    buf_release(&shown.title);
    return status;
}

static int work(struct cli *c, struct goal_job *g)
{
    struct session s;
    struct error e = {0};
    bool wanted = true;
    enum err err = session_open(&s, c, NULL, &e);
    if (err)
        return cli_fail(&e);
    if (!g->o->again)
        err = take_up(&s, g, &e);
    if (!err && !s.run && !g->ended)
        err = prepare_new(c, g, &e);
    if (!err && !s.run)
        wanted = !g->ended && starts(g);
    if (!err && !s.run && wanted)
        err = begin(&s, g, &e);
    machine_take_door(&s.machine, &g->door);
    int status = err ? cli_fail(&e) : wanted ? goal_go_on(c, &s) : EXIT_DONE;
    session_close(&s);
    return status;
}

int goal_run(struct cli *c, const struct goal_options *o)
{
    struct goal_job g = {.o = o, .door = PEER_INIT, .arena = ARENA_INIT(16 << 20)};
    struct error e = {0};
    int status;
    if (slice_trim(slice_of(o->goal)).n == 0)
        status = (error_set(&e, ERR_USAGE, "the goal is empty"), cli_fail(&e));
    else if (prepare(c, &g, &e))
        status = cli_fail(&e);
    else
        status = work(c, &g);
    peer_kill(&g.door);
    arena_release(&g.arena);
    return status;
}
