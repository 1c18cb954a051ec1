/* crannog undo: takes back what a run put into its folder. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "cli/session.h"
#include "cli/undo.h"
#include "engine/say.h"
#include "engine/undo.h"

static int undo_run(struct cli *c, int argc, char **argv);

const struct command cmd_undo = {
    .name = "undo",
    .usage = "[RUN] [--to STEP]",
    .summary = "take back what a run put into its folder",
    .help =
        "Files, links, folders, modes and times are as they were before the run changed them. What somebody changed since is left\n"
        "alone, and said. RUN is a name from `crannog ls` (r7); without it, the latest run. An undo is a run too: undoing it\n"
        "brings back what it took. A plan that was not at its end yet is ended by it; `crannog run PLAN.md --again` walks it anew.\n\n"
        "  --to STEP  only what came after this step (`crannog show RUN --history` has their numbers)\n\n"
        "Not taken back: tokens, CPU seconds and money that were spent.\n\n"
        "examples:\n  crannog undo\n  crannog undo r7\n  crannog undo r7 --to 12\n",
    .run = undo_run,
};

struct job {
    struct session s;
    struct run_state of; /* the run that is taken back */
    struct arena arena;
    uint32_t to;
};

/* ---- how it begins ---- */

struct beginning {
    struct session *s;
    const struct run_state *of;
    uint32_t after;
    struct error why;
    enum err err;
    bool nothing;
};

static struct slice started_payload(void *ctx, uint64_t run, struct buf *out)
{
    struct beginning *k = ctx;
    struct json *layers = NULL;
    struct stat st = {.st_dev = (dev_t)k->of->work_dev, .st_ino = (ino_t)k->of->work_ino};
    BUF_CLEANUP struct buf work = BUF_INIT(PATH_MAX);
    buf_add(&work, k->of->work);
    k->err = undo_layers(&k->s->engine, k->of, k->after, run, &layers, &k->why);
    k->nothing = !k->err && json_count(layers) == 0;
    if (k->err || k->nothing) {
        json_free(layers);
        out->failed = true; /* nothing begins */
        return SLICE_NONE;
    }
    JSON_CLEANUP struct json *p = session_takes(run, buf_str(&work), &st, "undo", k->of, "step", layers);
    json_print(p, out);
    return buf_slice(out);
}

enum err undo_in(struct session *s, const struct run_state *of, uint32_t after, struct run **ret, bool *ret_any, struct error *e)
{
    struct beginning k = {.s = s, .of = of, .after = after};
    enum err err = engine_start_run(&s->engine, started_payload, &k, ret, e);
    if (k.err && e)
        *e = k.why;
    *ret_any = !err;
    return k.err ? k.err : k.nothing ? OK : err;
}

/* An agent goes on after its undo: it is told that the files are others, and its layers go on from there. */
static enum err tell_agent(struct job *j, struct error *e)
{
    struct run *r;
    if (j->of.status == RUN_DONE || j->of.status == RUN_FAILED)
        return OK;
    enum err err = engine_resume_run(&j->s.engine, j->of.id, &r, e);
    if (err)
        return err;
    err = engine_append(&j->s.engine, r, EVENT_RUN_STOPPED, SLICE("{\"v\":0,\"why\":\"a person took back what it did\"}"), e);
    if (!err)
        err = engine_rewind(&j->s.engine, r, run_talk(&r->state)->nturns, (int64_t)j->to, e);
    engine_let_go(&j->s.engine, r);
    return err;
}

/* A plan that goes on after its undo would take the items that are gone for done, so it ends here. What a run only waits with
   stays. */
static enum err end_plan(struct job *j, struct error *e)
{
    const struct run_state *of = &j->of;
    struct run *r;
    char text[128];
    if (of->is_agent)
        return tell_agent(j, e);
    if (!of->plan_path.n || of->status == RUN_DONE || of->status == RUN_FAILED || line_that_takes(of))
        return OK;
    snprintf(text, sizeof text, "{\"v\":0,\"status\":\"failed\",\"why\":\"r%llu took it back before its end\"}",
             (unsigned long long)j->s.run->state.id);
    enum err err = engine_resume_run(&j->s.engine, of->id, &r, e);
    if (err)
        return err;
    err = engine_append(&j->s.engine, r, EVENT_RUN_ENDED, slice_of(text), e);
    engine_let_go(&j->s.engine, r);
    return err;
}

static enum err begin(struct job *j, const char *named, struct error *e)
{
    uint64_t run;
    enum err err = cli_pick_run(j->s.store, named, &run, e);
    if (err)
        return err;
    int64_t holder = lease_holder(j->s.store, run);
    if (holder)
        return error_set(e, ERR_BUSY, "process %lld works on r%llu; end it first with `crannog stop r%llu`", (long long)holder,
                         (unsigned long long)run, (unsigned long long)run);
    run_init(&j->of, run, &j->arena);
    err = journal_fold(j->s.store, run, &j->of, &j->arena, e);
    if (err)
        return err;
    const struct line *l = j->of.nitems ? &j->of.items[j->of.nitems - 1].head : NULL;
    if (l && l->landing && l->stage != STAGE_SKIPPED)
        return error_set(e, ERR_CONFLICT, "r%llu was cut short while its changes were put into the folder; end that with `crannog apply "
                         "r%llu`, then it can be taken back", (unsigned long long)run, (unsigned long long)run);
    bool any;
    err = undo_in(&j->s, &j->of, j->to, &j->s.run, &any, e);
    if (!err && !any)
        return error_set(e, ERR_MISSING, "r%llu has put nothing into its folder%s%s", (unsigned long long)run, j->to ? " after that step" : "",
                         j->of.nlayers ? "; what it changed waits for `crannog apply`" : "");
    if (!err)
        err = end_plan(j, e);
    return err ? err : session_work(&j->s, e);
}

/* What came back, and what does not come back. */
static void tell(const struct job *j)
{
    const struct run_state *r = &j->s.run->state;
    BUF_CLEANUP struct buf spent = BUF_INIT(1024);
    if (session_tell_changes(&j->s))
        return;
    for (int u = 0; u < UNITS; u++)
        if (j->of.used.n[u] && u != UNIT_CALLS) {
            buf_add_text(&spent, spent.n ? ", " : "");
            amount_print((enum unit)u, j->of.used.n[u], &spent);
        }
    fprintf(stderr, "r%llu was taken back by r%llu%s%s\n", (unsigned long long)j->of.id, (unsigned long long)r->id,
            spent.n ? "; what it used is not: " : "", spent.n ? buf_str(&spent) : "");
}

static int work(struct cli *c, const char *named, uint32_t to)
{
    static struct job j; /* large */
    struct error e = {0};
    j = (struct job){.arena = ARENA_INIT(RUN_ARENA_BYTES), .to = to};
    enum err err = session_open(&j.s, c, NULL, &e);
    if (err)
        return cli_fail(&e);
    j.s.quiet = true;
    err = begin(&j, named, &e);
    int status = err ? cli_fail(&e) : session_exit(&j.s.run->state);
    if (!err)
        tell(&j);
    session_close(&j.s);
    arena_release(&j.arena);
    return status;
}

static int undo_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {"to", required_argument, NULL, 't'}, {0}};
    int64_t to = 0;
    int status;
    for (int o; (o = getopt_long(argc, argv, "hj", options, NULL)) != -1;) {
        if (o != 't' && (!cli_common(c, &cmd_undo, o, &status) || status >= 0))
            return status;
        if (o == 't' && (!slice_int(slice_of(optarg), &to) || to <= 0 || to > UINT32_MAX))
            return cli_usage(&cmd_undo, "'%.40s' is no number of a step", optarg);
    }
    if (optind + 1 < argc)
        return cli_usage(&cmd_undo, "one run at a time");
    return work(c, optind < argc ? argv[optind] : NULL, (uint32_t)to);
}
