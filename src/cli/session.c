#include "cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/agent.h"
#include "engine/say.h"
#include "layers/landing.h"

static volatile int interrupts;
static volatile bool bar_drawn; /* there is a bar to take off the line */
static volatile bool drops;     /* a command is at work, and what it has changed so far goes with it */

/* Only what is safe in a handler: the second signal ends at once, and the journal makes that harmless. */
static void on_signal(int sig)
{
    static const char note[] = "stopping; Ctrl-C again ends at once (nothing is lost)\n",
                      command[] = "stopping the command; the folder stays as it was before it\n";
    if (++interrupts > 1)
        _exit(128 + sig);
    if (bar_drawn && write(STDERR_FILENO, "\r\033[K", 4) < 0)
        return;
    if (write(STDERR_FILENO, drops ? command : note, (drops ? sizeof command : sizeof note) - 1) < 0)
        return;
}

bool session_interrupted(void)
{
    return interrupts > 0;
}

void session_catch_signals(void)
{
    struct sigaction a = {.sa_handler = on_signal};
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGHUP, &a, NULL); /* a terminal that was closed */
    signal(SIGPIPE, SIG_IGN);
}

/* Runs of a command whose crannog died: nobody calls them again, so what they hold is settled by whoever comes next. */
enum { DEAD_MAX = 8, TOLD_MAX = 8, MANIFEST_ARENA = 256 << 20 };

struct dead {
    uint64_t runs[DEAD_MAX];
    size_t n;
};

static void find_dead(void *ctx, const struct run_row *r)
{
    struct dead *d = ctx;
    bool waited_for = r->plan_path.n && !slice_is(r->plan_path, AGENT_PLAN_PATH); /* a plan is called again */
    if (!waited_for && r->status == RUN_ACTIVE && d->n < DEAD_MAX)
        d->runs[d->n++] = r->id;
}

const struct line *line_that_takes(const struct run_state *r)
{
    const struct line *l = r->nitems && r->status != RUN_DONE && r->status != RUN_FAILED ? &r->items[r->nitems - 1].head : NULL;
    for (size_t i = 0; i + 1 < r->nitems; i++)
        if (r->items[i].phase != ITEM_DONE)
            return NULL;
    return l && (l->stage == STAGE_APPLY || (l->stage == STAGE_STUCK && l->resume == STAGE_APPLY)) ? l : NULL;
}

/* Whether a landing of this run was under way, or was to come. */
static bool is_landing(const struct run_state *r)
{
    const struct line *l = r->is_agent ? run_line_const(r, 0, HEAD) : line_that_takes(r);
    if (l && l->stage == STAGE_APPLY)
        return true;
    l = line_that_takes(r);
    return l && l->stage == STAGE_APPLY;
}

/* What a dead run is about, before it is taken up: an agent that was not landing is gone on with by its person. */
static bool is_resting_agent(struct session *s, uint64_t run)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(RUN_ARENA_BYTES);
    struct run_state r;
    run_init(&r, run, &a);
    return journal_fold(s->store, run, &r, &a, NULL) == OK && r.is_agent && !is_landing(&r);
}

static void tell_settled(const struct run_state *r)
{
    const struct line *l = line_that_takes(r);
    if (l || r->status == RUN_DONE)
        fprintf(stderr, "crannog: r%llu died while its changes were put into the folder; %s\n", (unsigned long long)r->id,
                !l                                 ? "they are all there now"
                : l->question == QUESTION_APPLY ? "those that were chosen are there now, the others wait: see `crannog diff`"
                                                   : "something is in their way: see `crannog show`");
}

/* An agent stops behind its landing: the wish waits while one is under way (engine/commit.c), and what comes next its person says. */
static enum err land_dead(struct session *s, struct error *e)
{
    bool more = true;
    enum err err = OK;
    while (!err && more) {
        err = engine_turn(&s->engine, &more, e);
        for (size_t i = 0; i < s->engine.nruns; i++) {
            struct run *r = s->engine.runs[i];
            r->stop |= r->state.is_agent && r->state.nopen && r->state.items[0].head.stage == STAGE_APPLY;
        }
    }
    return err;
}

/* A landing that was under way, or was to come, is carried to its end: half of one is nothing that anybody wants. A command
   that was running never was; its run ends here. An agent stops behind its landing. Nothing of them is held on. */
static enum err settle_dead(struct session *s, struct error *e)
{
    struct dead d = {.n = 0};
    enum err err = run_each(s->store, find_dead, &d, e);
    bool lands = false;
    for (size_t i = 0; !err && i < d.n; i++) {
        struct run *r;
        struct error mine = {0};
        if (lease_holder(s->store, d.runs[i]) || is_resting_agent(s, d.runs[i]) || engine_resume_run(&s->engine, d.runs[i], &r, &mine))
            continue; /* it lives, or is broken: not ours to mend */
        if (!is_landing(&r->state))
            err = engine_append(&s->engine, r, EVENT_RUN_STOPPED, SLICE("{\"v\":0,\"why\":\"its crannog died\"}"), &mine);
        lands |= !err && is_landing(&r->state);
        if (err == ERR_CORRUPT) { /* nothing that others have to wait for */
            engine_let_go(&s->engine, r);
            err = OK;
        } else if (err && e) {
            *e = mine;
        }
    }
    if (!err && lands)
        err = land_dead(s, e);
    for (size_t i = 0; !err && lands && i < s->engine.nruns; i++)
        tell_settled(&s->engine.runs[i]->state);
    while (!err && s->engine.nruns) {
        struct run *r = s->engine.runs[s->engine.nruns - 1];
        s->settled = lands && r->state.is_agent && r->state.status == RUN_DONE ? r->state.id : s->settled;
        layer_tidy(&s->machine, &r->state);
        engine_let_go(&s->engine, r);
    }
    return err;
}

enum err session_open(struct session *s, struct cli *c, const char *model_file, struct error *e)
{
    struct act_table acts;
    *s = (struct session){.cli = c, .setting_arena = ARENA_INIT(SETTING_ARENA)};
    BUF_CLEANUP struct buf state = BUF_INIT(4096);
    buf_addf(&state, "%s/.crannog", buf_str(&c->crannog));
    enum err err = cli_open(c, true, false, &s->store, e);
    if (!err)
        err = buf_check(&state, "the path of the crannog", e);
    if (!err && !realpath(buf_str(&state), s->state))
        err = error_errno(e, errno, "cannot find %s", buf_str(&state));
    if (!err)
        err = machine_open(&s->machine, model_file, s->state, &acts, e);
    if (!err)
        err = session_look_around(&s->setting_arena, &s->setting, e);
    s->machine.setting = &s->setting;
    if (!err)
        err = engine_open(&s->engine, s->store, &acts, e);
    s->open = !err;
    if (!err)
        err = settle_dead(s, e);
    if (err && s->open)
        session_close(s);
    else if (err) {
        store_close(s->store);
        arena_release(&s->setting_arena);
    }
    return err;
}

enum err session_lock_starts(struct session *s, int *ret_fd, struct error *e)
{
    BUF_CLEANUP struct buf path = BUF_INIT(PATH_MAX);
    buf_addf(&path, "%s/.crannog/starting", buf_str(&s->cli->crannog));
    *ret_fd = sys->openat(AT_FDCWD, buf_str(&path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*ret_fd < 0)
        return error_errno(e, errno, "cannot open %s", buf_str(&path));
    while (sys->flock(*ret_fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return error_errno(e, errno, "cannot lock %s", buf_str(&path));
    return OK;
}

static void watch(void *ctx, struct engine *g)
{
    struct session *s = ctx;
    if (!s->quiet)
        bar_update(&s->bar, g, s->run);
    if (s->look)
        s->look(s, g);
}

enum err session_work(struct session *s, struct error *e)
{
    struct amounts left;
    enum err err = ledger_left(s->store, s->run->state.account, &left, e);
    if (err)
        return err;
    session_catch_signals();
    if (!s->quiet)
        bar_begin(&s->bar, &s->run->state, &left);
    bar_drawn = !s->quiet && s->bar.live;
    drops = s->machine.terminal;
    s->engine.watch = watch;
    s->engine.watch_ctx = s;
    s->engine.stop_wanted = &interrupts;
    err = engine_run(&s->engine, e);
    if (!s->quiet)
        bar_end(&s->bar, &s->run->state);
    bar_drawn = false;
    if (!err && s->engine.full)
        err = error_set(e, ERR_NO_SPACE, "the disk is full; what was under way was finished and nothing is lost: free some space "
                                         "and run it again");
    return err;
}

void session_close(struct session *s)
{
    if (!s->open)
        return;
    engine_settle(&s->engine);
    for (size_t i = 0; i < s->engine.nruns; i++)
        if (s->engine.runs[i]->state.status == RUN_DONE)
            layer_tidy(&s->machine, &s->engine.runs[i]->state);
    engine_close(&s->engine);
    machine_close(&s->machine);
    store_close(s->store);
    arena_release(&s->setting_arena);
}

enum err session_take_terms(struct session *s, struct error *e)
{
    struct config cfg;
    struct arena *a = &s->setting_arena;
    s->terms = (struct terms){.nshow = 0};
    enum err err = config_read(s->cli, a, &cfg, e);
    err = err ? err : terms_merge(&s->terms, &cfg.terms, e);
    struct terms flags = s->cli->terms;
    for (size_t i = 0; !err && i < flags.nshow; i++)
        err = cli_shown_path(flags.show[i], a, &flags.show[i], e);
    return err ? err : terms_merge(&s->terms, &flags, e);
}

struct json *session_started(uint64_t run, const char *work, const struct stat *st, const struct terms *terms)
{
    char account[64];
    struct json *p = json_object();
    snprintf(account, sizeof account, "crannog/main/r%llu", (unsigned long long)run);
    json_put_int(p, "v", 0);
    json_put_text(p, "work", slice_of(work));
    json_put_int(p, "work_dev", (int64_t)st->st_dev);
    json_put_int(p, "work_ino", (int64_t)st->st_ino);
    json_put_text(p, "account", slice_of(account));
    json_put_text(p, "agent", SLICE("main"));
    for (int i = 0; i < 2; i++) { /* version 0: there, without rules yet */
        struct json *opaque = json_object();
        json_put_int(opaque, "v", 0);
        json_put(p, i ? "labels" : "grant", opaque);
    }
    struct json *said = terms ? terms_print(terms) : NULL;
    if (said)
        json_put(p, "terms", said);
    return p;
}

void session_put_services(struct slice services, struct json *started)
{
    struct json *list = NULL;
    if (services.n && json_parse(services, &list, NULL) == OK)
        json_put(started, "services", list);
}

struct json *session_origin(const char *what, uint64_t run)
{
    struct json *o = json_object();
    json_put_text(o, "what", slice_of(what));
    json_put_int(o, "run", (int64_t)run);
    return o;
}

struct json *session_takes(uint64_t run, const char *work, const struct stat *st, const char *what, const struct run_state *of,
                           const char *land, struct json *layers)
{
    char goal[64];
    struct json *p = session_started(run, work, st, NULL);
    snprintf(goal, sizeof goal, "%s of r%llu", what, (unsigned long long)of->id);
    json_put(p, "origin", session_origin(what, of->id));
    json_put(p, "layers", layers);
    json_put_bool(p, "copies", of->copies);
    json_put_bool(p, "take", true);
    json_put_text(p, "land", slice_of(land));
    json_put_text(p, "plan_path", SLICE(""));
    json_put_text(p, "goal", slice_of(goal));
    json_put_text(p, "model", SLICE(""));
    json_put(p, "budget", json_object());
    return p;
}

/* Files that a list of layers adds, changes and removes; an undo layer tells of the landing that it takes back. */
static struct manifest_count count_layers(const struct session *s, const struct layer_ref *v, size_t n, bool undo)
{
    struct manifest_count all = {0};
    for (size_t i = 0; i < n; i++) {
        ARENA_CLEANUP struct arena a = ARENA_INIT(MANIFEST_ARENA);
        struct manifest m;
        if (layer_get_manifest(s->store, &v[i].manifest, &a, &m, NULL))
            continue;
        struct manifest_count one = manifest_count(&m);
        all.added += undo ? one.removed : one.added;
        all.changed += one.changed;
        all.removed += undo ? one.added : one.removed;
    }
    return all;
}

/* What a person who takes all of it lets take effect by itself: they may not read the whole of the diff. */
static void tell_guarded(const struct session *s, const struct layer_ref *v, size_t n)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        ARENA_CLEANUP struct arena a = ARENA_INIT(MANIFEST_ARENA);
        struct manifest m;
        if (layer_get_manifest(s->store, &v[i].manifest, &a, &m, NULL))
            continue;
        for (size_t k = 0; k < m.n; k++) {
            const char *why = landing_guarded(m.v[k].path, &m.v[k].after);
            BUF_CLEANUP struct buf safe = BUF_INIT(8 * STAMP_PATH_MAX);
            if (!why || found++ >= TOLD_MAX)
                continue;
            cli_print_safe(m.v[k].path, &safe);
            fprintf(stderr, "  look first: %s %s\n", buf_str(&safe), why);
        }
    }
    if (found > TOLD_MAX)
        fprintf(stderr, "  and %zu more like these\n", found - TOLD_MAX);
}

bool session_tell_changes(const struct session *s)
{
    const struct run_state *r = &s->run->state;
    unsigned long long id = r->id;
    const struct line *l = r->nitems ? &r->items[r->nitems - 1].head : NULL;
    bool waits = l && l->stage == STAGE_STUCK && l->resume == STAGE_APPLY;
    const struct layer_ref rest = {.manifest = r->rest};
    bool part = waits && !hash_is_zero(&r->rest);
    struct manifest_count n = part    ? count_layers(s, &rest, 1, false)
                              : waits ? count_layers(s, r->layers, r->nlayers, false)
                                      : count_layers(s, r->undos, r->nundos, true);
    if (waits) {
        BUF_CLEANUP struct buf why = BUF_INIT(2048);
        cli_print_safe(slice_of(l->why), &why);
        fprintf(stderr, "r%llu changed files (+%zu ~%zu -%zu): %s\n  look: crannog diff r%llu    take it: crannog apply r%llu%s    leave it: "
                "crannog answer r%llu skip\n", id, n.added, n.changed, n.removed, buf_str(&why), id, id,
                l->question == QUESTION_CONFLICT ? " (--replace: over what is there)" : "", id);
        tell_guarded(s, r->layers, r->nlayers);
    } else if (n.added + n.changed + n.removed) {
        fprintf(stderr, "r%llu changed files in the folder (+%zu ~%zu -%zu); crannog undo r%llu takes them back\n", id, n.added, n.changed,
                n.removed, id);
    }
    return waits;
}

static enum err nothing_waits(const struct run_state *r, struct error *e)
{
    return error_set(e, ERR_MISSING, "r%llu has no changes that wait to be put into the folder%s", (unsigned long long)r->id,
                     r->nundos ? "; what it changed is there already" : "");
}

/* Before it is taken up, for that alone would be journaled as going on with it. */
static enum err check_waits(struct session *s, uint64_t run, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(RUN_ARENA_BYTES);
    struct run_state r;
    return session_look(s, run, &a, &r, e);
}

enum err session_look(struct session *s, uint64_t run, struct arena *a, struct run_state *ret, struct error *e)
{
    run_init(ret, run, a);
    enum err err = journal_fold(s->store, run, ret, a, e);
    return err || line_that_takes(ret) || ret->nopen ? err : nothing_waits(ret, e);
}

static enum err say_word(struct session *s, const struct line *l, const char *word, struct slice only, struct error *e)
{
    struct hash h;
    if (strcmp(word, "apply") == 0 && l->question != QUESTION_APPLY) /* it was said before, and something was in the way */
        word = "retry";
    if (strcmp(word, "replace") == 0 && l->question == QUESTION_APPLY)
        word = "apply";
    enum err err = only.n ? blob_put(s->store, only, &h, e) : OK;
    if (err)
        return err;
    struct json *p = answer_word(l->question_step, slice_of(word));
    if (only.n)
        json_put_hash(p, "only", &h);
    return engine_answer(&s->engine, s->run, p, e);
}

enum err session_take_up(struct session *s, uint64_t run, const struct line **ret, struct error *e)
{
    enum err err = check_waits(s, run, e);
    if (!err)
        err = engine_resume_run(&s->engine, run, &s->run, e);
    if (!err && !(*ret = line_that_takes(&s->run->state)))
        err = nothing_waits(&s->run->state, e);
    return err;
}

enum err session_answer(struct session *s, uint64_t run, const char *word, struct slice only, struct error *e)
{
    const struct line *l;
    enum err err = session_take_up(s, run, &l, e);
    if (err)
        return err;
    if (l->stage == STAGE_STUCK)
        err = say_word(s, l, word, only, e);
    else if (only.n)
        err = error_set(e, ERR_USAGE, "r%llu was stopped while its changes were put into the folder; `crannog apply r%llu` without a "
                        "path goes on with that", (unsigned long long)run, (unsigned long long)run);
    if (!err)
        err = session_work(s, e);
    l = line_that_takes(&s->run->state);
    bool in_the_way = !err && l && l->stage == STAGE_STUCK && l->question == QUESTION_CONFLICT;
    if (!in_the_way || strcmp(word, "replace") != 0)
        return err;
    err = say_word(s, l, word, only, e); /* the word was for this too: what it was first asked for was only "apply" */
    return err ? err : session_work(s, e);
}

int session_say(struct cli *c, const char *named, const char *word, struct slice only)
{
    struct session s;
    struct error e = {0};
    uint64_t run = 0;
    enum err err = session_open(&s, c, NULL, &e);
    if (err)
        return cli_fail(&e);
    s.quiet = true;
    err = cli_pick_run(s.store, named, &run, &e);
    if (!err)
        err = session_answer(&s, run, word, only, &e);
    int status = err ? cli_fail(&e) : session_exit(&s.run->state);
    if (!err)
        (void)session_tell_changes(&s);
    session_close(&s);
    return status;
}

int session_exit(const struct run_state *r)
{
    switch (r->status) {
    case RUN_DONE: return EXIT_DONE;
    case RUN_BLOCKED: return EXIT_REFUSED;
    case RUN_WAITING: return EXIT_WAITING;
    default: return EXIT_FAILED;
    }
}
