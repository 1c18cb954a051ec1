/* One life of the engine on the simulated machine: a child of sim_run(). */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "sim/play.h"
#include "sim/vfs.h"

bool play_trace;

void play_tell(const char *fmt, ...)
{
    va_list args;
    if (!play_trace)
        return;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

void play_fail(struct play *p, const char *name, const char *fmt, ...)
{
    va_list args;
    int n = snprintf(p->violation, sizeof p->violation, "%s: ", name);
    va_start(args, fmt);
    vsnprintf(p->violation + n, sizeof p->violation - (size_t)n, fmt, args);
    va_end(args);
    play_tell("VIOLATED %s", p->violation);
    sys->die(STATUS_VIOLATED);
}

bool excused(const struct stage_set *t)
{
    return sim_failed(t->w) > 0 || t->p->narrow;
}

void must(struct stage_set *t, enum err err, const struct error *e, const char *what)
{
    if (!err)
        return;
    play_tell("  %s: %s", what, e->text);
    if (excused(t))
        sys->die(STATUS_ERROR);
    play_fail(t->p, err == ERR_CORRUPT || err == ERR_MISSING ? "I1" : "I4", "%s: %s", what, e->text);
}

bool all_over(const struct play *p)
{
    for (unsigned i = 0; i < p->work.nplans; i++)
        if (!p->over[i])
            return false;
    return true;
}

/* What a call under way costs is owed even if nobody waits for it any more. */
static void bill(struct play *p)
{
    for (size_t i = 0; i < OWED_MAX; i++) {
        if (p->owed[i].used)
            p->spent[p->owed[i].run] = amounts_add(p->spent[p->owed[i].run], p->owed[i].left);
        p->owed[i].used = false;
    }
}

/* The store's own reserve is larger than a file of the simulated disk may be. */
static void make_reserve(struct stage_set *t)
{
    if (t->p->narrow)
        return;
    FD_CLEANUP int fd = sys->openat(AT_FDCWD, PLAY_CRANNOG "/.crannog/reserve", O_WRONLY | O_CREAT, 0600);
    if (fd >= 0 && sys->fallocate(fd, 0, 0, RESERVE_OF_PLAY) < 0)
        sys->unlinkat(AT_FDCWD, PLAY_CRANNOG "/.crannog/reserve", 0);
}

/* ---- a plan is gone on with (cli/run.c) ---- */

struct beginning {
    struct play *p;
    unsigned plan;
};

static struct slice first_payload(void *ctx, uint64_t run, struct buf *out)
{
    struct beginning *b = ctx;
    CHECK(b->p, run < RUNS_MAX, "harness", "too many runs");
    b->p->plan_of[run] = (uint16_t)(b->plan + 1);
    return started_payload(b->p, b->plan, run, out);
}

static void take_changes(struct stage_set *t, struct run *r, unsigned plan, unsigned was)
{
    struct play *p = t->p;
    BUF_CLEANUP struct buf text = BUF_INIT(64 * 1024), payload = BUF_INIT(128 * 1024);
    ARENA_CLEANUP struct arena a = ARENA_INIT(4 << 20);
    struct plan to;
    struct error e = {0};
    plan_write(p, plan, p->texts[plan], &text);
    must(t, plan_parse(buf_slice(&text), "plan", &a, &to, &e), &e, "reading a plan");
    if (hash_eq(&r->state.plan.hash, &to.hash) || r->state.status == RUN_DONE)
        return;
    if (run_plan_may_change(&r->state, &to, &e)) {
        p->texts[plan] = was;
        p->seen.refused_replans++;
        return;
    }
    JSON_CLEANUP struct json *o = json_object();
    json_put_int(o, "v", 0);
    json_put_text(o, "plan", buf_slice(&text));
    json_print(o, &payload);
    play_tell("  plan %u is changed to version %u", plan, p->texts[plan]);
    p->seen.replans++;
    must(t, engine_append(&t->g, r, EVENT_PLAN_CHANGED, buf_slice(&payload), &e), &e, "changing a plan");
}

static void go_on(struct stage_set *t, unsigned plan)
{
    struct play *p = t->p;
    struct run *r = NULL;
    struct error e = {0};
    uint64_t id = 0;
    unsigned was = p->texts[plan];
    must(t, run_of_plan(t->s, WORK_DEV, WORK_INO, slice_of(plan_name(plan)), &id, &e), &e, "looking for a run");
    CHECK(p, id >= p->run_of[plan], "I1", "run r%u of %s is gone", p->run_of[plan], plan_name(plan));
    if (!p->calm && sim_rand_chance(sim_world_rand(t->w), 1, 5))
        p->texts[plan] = (uint32_t)sim_rand_below(sim_world_rand(t->w), 4);
    if (!id) {
        struct beginning b = {p, plan};
        must(t, engine_start_run(&t->g, first_payload, &b, &r, &e), &e, "starting a run");
    } else {
        must(t, engine_resume_run(&t->g, id, &r, &e), &e, "going on with a run");
        acknowledge(p, &r->state);
        if (!p->work.plans[plan].exec && !p->work.plans[plan].agent)
            take_changes(t, r, plan, was);
    }
    p->run_of[plan] = (uint16_t)r->state.id;
    p->plan_of[r->state.id] = (uint16_t)(plan + 1);
    acknowledge(p, &r->state);
    agent_begin(t, r);
    play_tell("  %s is r%llu, %s", plan_name(plan), (unsigned long long)r->state.id, run_status_name(r->state.status));
}

/* ---- turns ---- */

static bool idle(const struct stage_set *t)
{
    for (size_t i = 0; i < JOBS_MAX; i++)
        if (t->jobs[i].used)
            return false;
    return t->g.ndone == 0;
}

static bool has_reserve(void)
{
    struct stat st;
    return sys->fstatat(AT_FDCWD, PLAY_CRANNOG "/.crannog/reserve", &st, 0) == 0 && st.st_size >= RESERVE_OF_PLAY;
}

static _Noreturn void no_rest(const struct stage_set *t)
{
    BUF_CLEANUP struct buf how = BUF_INIT(400);
    for (size_t i = 0; i < t->g.nruns; i++) {
        const struct run *r = t->g.runs[i];
        buf_addf(&how, ", r%llu %s%s%s with %zu steps under way", (unsigned long long)r->state.id, run_status_name(r->state.status),
                 r->broken ? " parked" : "", r->resting ? " resting" : "", r->state.nopen);
    }
    play_fail(t->p, "I4", "no rest after %d turns of a session: %zu completions wait%s%s%s", TURNS_MAX, t->g.ndone,
              t->g.full ? ", the disk is full" : "", store_is_dead(t->s) ? ", the store is dead" : "", buf_str(&how));
}

/* Turns until all rests. False: the engine gave up, as it should (a full or failing disk). */
static bool turn_all(struct stage_set *t, unsigned *turns)
{
    bool more = true;
    while (more) {
        struct error e = {0};
        bool reserve = t->p->narrow && has_reserve();
        enum err err = engine_turn(&t->g, &more, &e);
        CHECK(t->p, err != ERR_NO_SPACE || !reserve || sim_failed(t->w), "I4", "the disk is full and the reserve does not help: %s",
              e.text);
        if (err && !excused(t))
            play_fail(t->p, "I4", "a turn fails: %s", e.text);
        if (err) {
            play_tell("  a turn fails: %s", e.text);
            t->p->seen.errors++;
            return false;
        }
        check_turn(t);
        t->p->turns++;
        if (++*turns == TURNS_MAX)
            no_rest(t);
        if (more && idle(t)) /* it waits for a backoff */
            sim_clock_pass(t->w, 1000000000 + (int64_t)sim_rand_below(sim_world_rand(t->w), 20000000000));
        people_between_turns(t);
    }
    return true;
}

static void check_rest(struct stage_set *t)
{
    struct play *p = t->p;
    for (size_t i = 0; i < t->g.nruns; i++) {
        const struct run *r = t->g.runs[i];
        bool done = r->state.status == RUN_DONE || (p->calm && agent_at_rest(r));
        play_tell("  r%llu rests at event %llu: %s %s", (unsigned long long)r->state.id, (unsigned long long)r->state.seq, run_status_name(r->state.status), r->state.why);
        if (r->broken)
            continue;
        CHECK(p, r->state.nopen == 0, "I4", "r%llu rests with a step under way", (unsigned long long)r->state.id);
        for (uint32_t k = 0; k < p->nanswers; k++)
            CHECK(p, p->answers[k].run != r->state.id || !run_question(&r->state, p->answers[k].question, NULL), "I1",
                  "the answer to question %u of r%u is lost", p->answers[k].question, p->answers[k].run);
        CHECK(p, !done || r->state.nopen == 0, "I4", "r%llu is done with a step under way", (unsigned long long)r->state.id);
        p->over[p->plan_of[r->state.id] - 1] = done;
        p->seen.blocked += r->state.status == RUN_BLOCKED;
        p->seen.stopped += r->state.status == RUN_STOPPED;
        p->seen.done += done;
    }
}

/* Somebody asked for something in the last moment. */
static bool asked(const struct stage_set *t)
{
    for (size_t i = 0; i < t->g.nruns; i++)
        if (!t->g.runs[i]->broken && request_waiting(t->s, t->g.runs[i]->state.id))
            return true;
    return false;
}

static int work(struct stage_set *t)
{
    unsigned turns = 0;
    bool fine = turn_all(t, &turns);
    for (int i = 0; fine && i < 20 && (people_answer(t) || asked(t)); i++)
        fine = turn_all(t, &turns);
    fine = fine && !t->g.full && !store_is_dead(t->s);
    if (fine)
        check_rest(t);
    return fine ? STATUS_REST : STATUS_ERROR;
}

int session(struct sim_world *w, void *unused)
{
    static struct stage_set set;
    struct stage_set *t = &set;
    struct error e = {0};
    struct act_table acts;
    (void)unused;
    t->w = w;
    t->p = play_of(w);
    sys = sim_machine_sys(w);
    sim_vfs_register(w);
    play_tell("session %u%s", ++t->p->sessions, t->p->calm ? ", calm" : "");
    memset(t->p->fenced, 0, sizeof t->p->fenced);
    bill(t->p);
    must(t, store_open(PLAY_CRANNOG, true, &(struct store_options){.vfs = SIM_VFS, .no_reserve = true, .pid = 4242}, &t->s, &e), &e,
         "opening the store");
    make_reserve(t);
    check_store(t, "at the start of a session");
    if (t->p->calm && all_over(t->p)) { /* it was only to be looked at */
        store_close(t->s);
        return STATUS_REST;
    }
    people_before(t);
    rows_table(t, &acts);
    must(t, engine_open(&t->g, t->s, &acts, &e), &e, "opening the engine");
    for (unsigned i = 0; i < t->p->work.nplans; i++)
        go_on(t, i);
    int status = work(t);
    engine_close(&t->g);
    store_close(t->s);
    store_close(t->other);
    return status;
}
