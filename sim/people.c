/* The people of a play: they answer, stop, edit, look from a second terminal, step the clock and fill the disk. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "engine/say.h"
#include "sim/play.h"
#include "sim/vfs.h"

static uint64_t dice(struct stage_set *t, uint64_t n)
{
    return sim_rand_below(sim_world_rand(t->w), n);
}

/* ---- the other terminal ---- */

static struct store *other(struct stage_set *t)
{
    struct error e = {0};
    if (t->other && !store_is_dead(t->other))
        return t->other;
    store_close(t->other);
    t->other = NULL;
    enum err err = store_open(PLAY_CRANNOG, false, &(struct store_options){.vfs = SIM_VFS, .no_reserve = true, .pid = 7777},
                              &t->other, &e);
    if (err)
        t->other = NULL;
    if (err && !excused(t))
        play_fail(t->p, "I4", "a second terminal cannot open the crannog: %s", e.text);
    return t->other;
}

static void other_leaves(struct stage_set *t)
{
    if (!t->usurped && dice(t, 2)) {
        store_close(t->other);
        t->other = NULL;
    }
}

static struct run *any_run(struct stage_set *t)
{
    return t->g.nruns ? t->g.runs[dice(t, t->g.nruns)] : NULL;
}

static void asks_to_stop(struct stage_set *t)
{
    struct run *r = any_run(t);
    struct store *s = other(t);
    if (!r || !s || t->p->stops >= 3)
        return;
    if (!request_put(s, r->state.id, "stop", SLICE("{}"), NULL))
        t->p->stops++;
    play_tell("  somebody asks to stop r%llu", (unsigned long long)r->state.id);
}

static void talks_nonsense(struct stage_set *t)
{
    static const char *const words[] = {"{}", "not json", "{\"question\":1,\"answer\":\"retry\"}", "{\"question\":-4}",
                                        "{\"v\":0,\"question\":99999,\"answer\":\"skip\"}", "[[[[", ""};
    struct run *r = any_run(t);
    struct store *s = other(t);
    if (!r || !s)
        return;
    /* A question that is really open must not be answered by accident: `replace` needs the person's leave. */
    const char *text = words[dice(t, sizeof words / sizeof *words)];
    if (run_question(&r->state, 1, NULL) || run_question(&r->state, 99999, NULL))
        text = "{}";
    enum err err = request_put(s, r->state.id, dice(t, 3) ? "answer" : "dance", slice_of(text), NULL);
    if (err && !excused(t))
        play_fail(t->p, "I4", "a request is refused");
}

/* While a process lives nobody else gets its runs. */
static void wants_the_lease(struct stage_set *t)
{
    struct run *r = any_run(t);
    struct store *s = other(t);
    struct lease l;
    struct error e = {0};
    if (!r || !s || t->usurped)
        return;
    enum err err = lease_take(s, r->state.id, &l, &e);
    CHECK(t->p, err == ERR_BUSY || (err && excused(t)), "I2", "a second process gets the lease of r%llu: %s",
          (unsigned long long)r->state.id, err ? e.text : "granted");
}

/* The lock lies (somebody removed its file, and no /proc tells better): only the token keeps the first process out. */
static void usurps(struct stage_set *t)
{
    struct run *r = any_run(t);
    struct store *s = other(t);
    struct lease l;
    if (!r || !s || t->usurped || t->p->narrow)
        return;
    for (unsigned i = 1; i < 100; i++) {
        char name[64];
        snprintf(name, sizeof name, PLAY_CRANNOG "/.crannog/holders/%u", i);
        sys->unlinkat(AT_FDCWD, name, 0);
    }
    t->usurped = true;
    if (lease_take(s, r->state.id, &l, NULL))
        return;
    t->p->seen.fenced++;
    for (size_t i = 0; i < t->g.nruns; i++) /* a dead holder's leases all come free at once */
        t->p->fenced[t->g.runs[i]->state.id] = true;
    play_tell("  another process has taken over");
}

/* ---- the machine ---- */

static void steps_the_clock(struct stage_set *t)
{
    static const int64_t by[] = {1000, 60000, 3600000, 86400000, 3 * 86400000LL};
    int64_t ms = by[dice(t, 5)] * (dice(t, 2) ? 1 : -1);
    sim_clock_set(t->w, sim_clock_now_ms(t->w) + ms);
    play_tell("  the clock is stepped by %lld s", (long long)ms / 1000);
}

static void fills_the_disk(struct stage_set *t)
{
    if (t->p->narrow || t->usurped)
        return;
    t->p->narrow = true;
    t->p->seen.full++;
    sim_capacity(t->w, sim_used(t->w) + 4096 * dice(t, 12));
    play_tell("  the disk is full");
}

static void edits(struct stage_set *t)
{
    if (t->p->nfiles)
        person_edits(t, &t->p->files[dice(t, t->p->nfiles)], dice(t, 4) == 0);
}

void people_between_turns(struct stage_set *t)
{
    if (t->p->calm || dice(t, 100) >= t->p->work.meddling)
        return;
    struct run *r = any_run(t);
    if (r && r->state.is_agent && dice(t, 2))
        agent_meddle(t, r);
    switch (dice(t, 16)) {
    case 0: asks_to_stop(t); break;
    case 1: talks_nonsense(t); break;
    case 2:
    case 3: wants_the_lease(t); break;
    case 4:
        if (dice(t, 4) == 0)
            usurps(t);
        break;
    case 5: steps_the_clock(t); break;
    case 6:
        if (dice(t, 3) == 0)
            fills_the_disk(t);
        break;
    case 7: people_answer(t); break;
    default: edits(t); break;
    }
    other_leaves(t);
}

/* ---- answers ---- */

/* After some back and forth people lose patience and leave things out. */
static const char *answer_to(struct stage_set *t, const struct line *l)
{
    if (l->question == QUESTION_ASK)
        return dice(t, 2) ? "the second one" : "retry";
    if (l->talk && l->question != QUESTION_APPLY && l->question != QUESTION_CONFLICT)
        return "retry"; /* to leave it is to stop it */
    bool impatient = t->p->calm || t->p->nanswers > 12;
    if (l->question == QUESTION_APPLY)
        return dice(t, 5) ? "apply" : "skip";
    if (l->question == QUESTION_CONFLICT && l->resume == STAGE_APPLY)
        return impatient || dice(t, 3) == 0 ? "skip" : dice(t, 2) ? "replace" : "retry";
    if (l->question == QUESTION_CONFLICT)
        return impatient || dice(t, 2) ? "keep" : "replace";
    return impatient || dice(t, 2) ? "skip" : "retry";
}

/* What lies there now is what the person looks at when saying `replace`; some go on writing. */
static void allow(struct stage_set *t, const struct line *l)
{
    struct file *f = file_find(t->p, l->target, false);
    if (!f || !f->there)
        return;
    f->allowed = f->version;
    if (dice(t, 4) == 0)
        person_edits(t, f, false);
}

static void remember(struct play *p, uint64_t run, uint32_t question)
{
    p->seen.answers++;
    if (p->nanswers < ANSWERS_MAX)
        p->answers[p->nanswers++] = (struct answered){(uint16_t)run, question};
}

static bool answer_line(struct stage_set *t, const struct run_state *r, const struct line *l)
{
    char text[128];
    if (l->stage != STAGE_STUCK || (!t->p->calm && dice(t, 5) == 0))
        return false;
    const char *word = answer_to(t, l);
    if (strcmp(word, "replace") == 0)
        allow(t, l);
    snprintf(text, sizeof text, "{\"v\":0,\"question\":%u,\"answer\":\"%s\",\"by\":\"terminal\"}", l->question_step, word);
    play_tell("  r%llu question %u: %s", (unsigned long long)r->id, l->question_step, word);
    if (request_put(t->s, r->id, "answer", slice_of(text), NULL))
        return false;
    remember(t->p, r->id, l->question_step);
    return true;
}

bool people_answer(struct stage_set *t)
{
    bool any = false;
    for (size_t i = 0; i < t->g.nruns; i++) {
        const struct run *r = t->g.runs[i];
        for (uint32_t k = 0; !r->broken && k < r->state.nitems; k++)
            for (int32_t n = HEAD; n < (int32_t)r->state.items[k].npieces; n++)
                any |= answer_line(t, &r->state, run_line_const(&r->state, k, n));
    }
    return any;
}

/* `crannog answer` where no process is on the run: it takes the lease and writes the event itself (cli/answer.c). */
static void answers_alone(struct stage_set *t, uint64_t run)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(RUN_ARENA_BYTES);
    struct run_state r;
    struct lease l;
    struct error e = {0};
    char text[128];
    const struct line *found = NULL;
    run_init(&r, run, &a);
    must(t, lease_take(t->s, run, &l, &e), &e, "taking a lease to answer");
    must(t, journal_fold(t->s, run, &r, &a, &e), &e, "reading a run to answer");
    for (uint32_t k = 0; k < r.nitems; k++)
        for (int32_t n = HEAD; n < (int32_t)r.items[k].npieces; n++)
            if (run_line_const(&r, k, n)->stage == STAGE_STUCK)
                found = run_line_const(&r, k, n);
    if (found) {
        const char *word = answer_to(t, found);
        uint32_t question = found->question_step;
        if (strcmp(word, "replace") == 0)
            allow(t, found);
        snprintf(text, sizeof text, "{\"v\":0,\"question\":%u,\"answer\":\"%s\",\"by\":\"terminal\"}", question, word);
        struct step_key key = {.run = run, .branch = r.branch};
        JSON_CLEANUP struct json *o = NULL;
        BUF_CLEANUP struct buf payload = BUF_INIT(4096);
        must(t, store_begin(t->s, &e), &e, "answering");
        if (found->question == QUESTION_ASK)
            must(t, answer_payload(t->s, found, slice_of(word), &o, &e), &e, "answering");
        else
            must(t, json_parse(slice_of(text), &o, &e), &e, "answering");
        json_print(o, &payload);
        must(t, journal_append(t->s, &l, &r, EVENT_ANSWERED, &key, buf_slice(&payload), &e), &e, "answering");
        must(t, store_commit(t->s, &e), &e, "answering");
        acknowledge(t->p, &r);
        remember(t->p, run, question);
        play_tell("  r%llu question %u, answered alone: %s", (unsigned long long)run, question, word);
    }
    lease_release(t->s, &l);
}

/* ---- before a session ---- */

static void set_caps(struct stage_set *t, const char *account, const char *window, const struct amounts *caps, int64_t times)
{
    struct error e = {0};
    for (int u = 0; u < UNITS; u++)
        if (caps->n[u] != AMOUNT_UNLIMITED)
            must(t, ledger_set_cap(t->s, slice_of(account), (enum unit)u, window,
                                   times ? caps->n[u] * times : AMOUNT_UNLIMITED, &e), &e, "setting a cap");
}

static void lifts_budgets(struct stage_set *t)
{
    struct play *p = t->p;
    set_caps(t, "crannog", "total", &p->work.cap, 0);
    set_caps(t, "crannog/main", "day", &p->work.day, 0);
    for (unsigned i = 0; i < RUNS_MAX; i++) {
        char account[64];
        if (!p->plan_of[i])
            continue;
        const struct plan_spec *s = &p->work.plans[p->plan_of[i] - 1];
        snprintf(account, sizeof account, "crannog/%s/r%u", s->side ? "side" : "main", i);
        set_caps(t, account, "total", &s->budget, 0);
    }
}

static void find_waiting(void *ctx, const struct run_row *r)
{
    uint64_t *waiting = ctx;
    if (r->status == RUN_WAITING)
        *waiting = r->id;
}

void people_before(struct stage_set *t)
{
    struct play *p = t->p;
    struct error e = {0};
    uint64_t waiting = 0;
    if (!p->capped) {
        set_caps(t, "crannog", "total", &p->work.cap, 1);
        set_caps(t, "crannog/main", "day", &p->work.day, 1);
        p->capped = true;
    }
    if (p->calm)
        lifts_budgets(t);
    else if (dice(t, 4) == 0)
        set_caps(t, "crannog", "total", &p->work.cap, 3);
    must(t, run_each(t->s, find_waiting, &waiting, &e), &e, "listing runs");
    if (waiting && dice(t, 2))
        answers_alone(t, waiting);
}
