/*
 * Random runs from seeds, thousands of them. What holds of each:
 *
 *   - every prefix of its journal, folded, is a legal state (check_state), and the same one as when it was made;
 *   - decide() is pure and says the same twice; it never wants a finished step again (S3), nor a line that has one open (S4);
 *   - progress never goes back while the plan stays as it is;
 *   - of an agent: what a person says is a turn once, each call has at most one result and no result is without one, and
 *     after a stop an attended talk begins nothing before a word (K1-K3);
 *   - damaged in any way (events dropped, repeated, swapped, their fields and payloads changed), the journal gives an error
 *     or a legal state (S1), within the run's memory.
 *
 * $RUNS and $SEED choose how many and from where; a failure prints its seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/fold_rig.h"

static uint64_t random_state, seed;

static uint64_t any(uint64_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 11) % n;
}

#define HOLDS(cond) do { if (!(cond)) fail_msg("seed %llu: %s", (unsigned long long)seed, #cond); } while (0)

/* ---- what a legal state is ---- */

static bool over(const struct line *l)
{
    return l->stage == STAGE_DONE || l->stage == STAGE_SKIPPED;
}

static void check_line(const struct run_state *r, const struct line *l)
{
    HOLDS((unsigned)l->stage < STAGES && (unsigned)l->resume < STAGES);
    HOLDS((l->stage == STAGE_STUCK) == (l->question != QUESTION_NONE));
    if (l->stage == STAGE_STUCK) {
        HOLDS(l->question_step && (l->question_step == l->step || l->question == QUESTION_APPLY || l->question == QUESTION_ASK) && !l->open);
        HOLDS(l->resume != STAGE_STUCK && l->resume != STAGE_PIECES && l->resume < STAGE_DONE);
    }
    HOLDS(!l->open || (l->step && l->attempt && !over(l) && l->stage != STAGE_PIECES));
    HOLDS(l->step < r->next_step && (l->step != 0) == (l->attempt != 0) && !(l->again && !l->step));
    HOLDS(l->nparts <= l->ncuts && (l->nparts == 0 || l->parts) && memchr(l->why, 0, sizeof l->why));
    HOLDS(l->stage != STAGE_JOIN || (l->ncuts > 1 && l->nparts == l->ncuts));
    HOLDS(l->stage != STAGE_ASK || l->ncuts < 2 || l->nparts < l->ncuts);
    for (size_t i = 0; i < l->ncuts; i++)
        HOLDS(l->cuts[i] > (i ? l->cuts[i - 1] : 0) && l->cuts[i] <= l->text.bytes);
    HOLDS(l->stage != STAGE_LAND || plan_path_ok(l->target));
    HOLDS(l->deaths < RUN_DEATHS_MAX || l->stage == STAGE_STUCK);
}

static void check_item(const struct run_state *r, const struct item_state *it)
{
    size_t open = it->head.open, stuck = it->head.stage == STAGE_STUCK, done = 0, first = it->npieces;
    bool started = it->head.step != 0;
    check_line(r, &it->head);
    for (size_t k = 0; k < it->npieces; k++) {
        const struct line *l = &it->pieces[k];
        check_line(r, l);
        open += l->open;
        stuck += l->stage == STAGE_STUCK;
        done += over(l);
        started |= l->step != 0;
        if (first == it->npieces && !over(l) && l->stage != STAGE_STUCK)
            first = k;
    }
    HOLDS(it->nopen == open && it->nstuck == stuck && it->nover == done && it->started == started && it->first == first);
    HOLDS(it->phase == (over(&it->head) ? ITEM_DONE : stuck ? ITEM_STUCK : started ? ITEM_OPEN : ITEM_WAITING));
    HOLDS(it->phase != ITEM_DONE || (open == 0 && done == it->npieces));
    HOLDS(it->head.stage != STAGE_PIECES || done < it->npieces); /* else it would have gone on */
    HOLDS(it->plan || it->npieces == 0);
}

static void check_open(const struct run_state *r)
{
    size_t lines = 0;
    HOLDS(r->nopen <= r->slots && r->slots <= RUN_OPEN_MAX);
    for (size_t i = 0; i < r->nopen; i++) {
        const struct open_step *o = &r->open[i];
        const struct line *l = run_line_const(r, o->item, o->piece);
        HOLDS(l && l->open && l->stage == o->stage && l->step == o->key.step && l->attempt == o->key.attempt);
        HOLDS(o->act > 0 && o->act < ACT_KINDS && o->class > 0 && o->class < CLASSES && o->args.p[o->args.n] == '\0');
        for (size_t k = 0; k < i; k++)
            HOLDS(r->open[k].args.p != o->args.p && r->open[k].key.step != o->key.step);
    }
    for (size_t i = 0; i < r->nitems; i++)
        lines += r->items[i].nopen;
    HOLDS(lines == r->nopen);
}

static void check_wants(const struct run_state *r, const struct decision *d)
{
    uint32_t next = r->next_step;
    HOLDS((d->what == DECIDE_INTEND) == (d->nwants > 0) && d->nwants + r->nopen <= r->slots + (d->nwants == 0 ? r->nopen : 0));
    for (size_t i = 0; i < d->nwants; i++) {
        const struct want *w = &d->wants[i];
        const struct line *l = run_line_const(r, w->item, w->piece);
        HOLDS(l && !l->open && !over(l) && l->stage != STAGE_STUCK && l->stage == w->stage); /* S4 */
        HOLDS(w->act > 0 && w->class > 0 && (l->ncuts < 2 || w->stage != STAGE_ASK || w->part < l->ncuts));
        if (l->again)
            HOLDS(w->step == l->step && w->attempt == l->attempt + 1);
        else
            HOLDS(w->step == next++ && w->attempt == 1);
        for (size_t k = 0; r->items[w->item].plan && k < r->items[w->item].plan->nneeds; k++)
            HOLDS(r->items[r->items[w->item].plan->needs[k]].phase == ITEM_DONE);
        for (size_t k = 0; k < i; k++)
            HOLDS(d->wants[k].item != w->item || d->wants[k].piece != w->piece);
    }
}

static void check_decide(const struct run_state *r, int64_t now_ms)
{
    static struct decision a, b; /* static: their padding is compared too */
    static struct run_state before;
    struct item_state *items = malloc((r->nitems + 1) * sizeof *items);
    memcpy(&before, r, sizeof before);
    memcpy(items, r->items, r->nitems * sizeof *items);
    run_decide(r, now_ms, &a);
    run_decide(r, now_ms, &b);
    HOLDS(a.what == b.what && a.nwants == b.nwants && a.wake_ms == b.wake_ms);
    HOLDS(memcmp(a.wants, b.wants, a.nwants * sizeof *a.wants) == 0);
    HOLDS(memcmp(&before, r, sizeof before) == 0 && memcmp(items, r->items, r->nitems * sizeof *items) == 0);
    free(items);
    check_wants(r, &a);
    if (r->status == RUN_WAITING)
        HOLDS(a.what == DECIDE_ASK);
    else if (r->status != RUN_ACTIVE)
        HOLDS(a.what == DECIDE_REST);
}

static void check_talk(const struct run_state *r, const struct line *l)
{
    const struct talk *t = l->talk;
    bool calls = t->next < t->ncalls;
    HOLDS(t->from <= t->nturns && t->next <= t->ncalls && t->ncalls <= TALK_CALLS_MAX && t->ninbox <= TALK_INBOX_MAX);
    HOLDS(t->nturns <= t->cap && t->nturns <= TALK_TURNS_MAX && (!calls || t->answer < t->nturns));
    HOLDS(!calls || t->turns[t->answer].kind == TALK_ANSWER);
    HOLDS(l->stage != STAGE_CALL || calls);
    HOLDS((l->stage == STAGE_STUCK && l->question == QUESTION_ASK) <= calls);
    HOLDS(l->stage != STAGE_CALL || l->open || !slice_is(t->calls[t->next], "ask"));
    HOLDS(l->stage != STAGE_THINK || t->system_bytes);
    HOLDS(!t->finished || (!t->attended && !t->hold));
    HOLDS(l->stage != STAGE_DONE || (t->finished && !t->ninbox));
    HOLDS(t->shrinks <= TALK_SHRINKS_MAX && t->empties <= TALK_EMPTY_MAX && t->same < TALK_SAME_MAX);
    if (l->stage == STAGE_TALK) { /* it would have gone on */
        for (size_t i = 0; i < t->ninbox; i++)
            HOLDS(t->hold || !talk_delivers(t, i));
        HOLDS(!calls && (t->hold || !t->nturns || t->turns[t->nturns - 1].kind == TALK_ANSWER));
        HOLDS(!r->nlayers || r->land != LAND_STEP);
    }
}

static void check_state(const struct run_state *r)
{
    size_t done, total;
    HOLDS(!r->is_agent || (r->nitems && r->items[0].head.talk && !r->is_exec));
    for (size_t i = 0; i < r->nitems; i++)
        HOLDS((i == 0 && r->is_agent) == (r->items[i].head.talk != NULL));
    if (r->is_agent)
        check_talk(r, &r->items[0].head);
    HOLDS(r->nitems == r->plan.nitems + (r->plan.verify.n ? 1 : 0) + (r->is_exec || r->is_agent ? 1 : 0) +
          (!r->is_exec && (r->is_take || r->land != LAND_STEP) ? 1 : 0) && r->nitems > 0);
    HOLDS(r->nlayers <= RUN_LAYERS_MAX && (hash_is_zero(&r->rest) || r->nlayers) && !(r->is_exec && r->is_take));
    HOLDS(r->status != RUN_DONE || !r->nlayers || r->items[r->nitems - 1].head.stage == STAGE_SKIPPED); /* nothing made is forgotten */
    for (size_t i = 0; i < r->nitems; i++) {
        HOLDS(r->items[i].plan == (i < r->plan.nitems ? &r->plan.items[i] : NULL));
        check_item(r, &r->items[i]);
        if (r->status == RUN_DONE)
            HOLDS(r->items[i].phase == ITEM_DONE);
    }
    check_open(r);
    HOLDS(r->nservices <= RUN_SERVICES_MAX);
    for (size_t i = 0; i < r->nservices; i++)
        for (size_t k = 0; k < i; k++)
            HOLDS(!slice_eq(r->services[i].name, r->services[k].name) &&
                  (!r->services[i].nports || !r->services[k].nports || r->services[i].ports[0] != r->services[k].ports[0]));
    check_decide(r, INT64_MAX);
    check_decide(r, r->updated_ms);
    run_progress(r, &done, &total);
    HOLDS(done <= total && r->status != RUN_NEW && r->status != RUN_BROKEN);
    for (int u = 0; u < UNITS; u++)
        HOLDS(r->assumed.n[u] <= r->used.n[u] && r->assumed.n[u] >= 0);
    HOLDS(r->arena->used <= RUN_ARENA_BYTES);
}

/* ---- random runs ---- */

enum { ITEMS = 8, PIECES = 8, STEPS = 2000, ACTIONS = 120 };

struct shape { bool glob, gathers, ticked, verify; int need; unsigned retries, variant; };

struct run {
    struct rig rig;
    struct shape shapes[ITEMS];
    int nshapes;
    bool verify, is_exec, is_take, is_agent;
    bool quiet;                      /* an attended talk was stopped, and nobody has said anything since */
    size_t said, calls, results;     /* of a talk: words, calls of its last answer, results of those */
    bool settled[STEPS];             /* steps that ended for good */
    uint32_t attempts[STEPS];
    uint64_t finished[ITEMS + 2][PIECES + 1]; /* per line: stages (and parts) that ended well, a bit each */
    size_t done_before;
    char *dumps[ACTIONS * 20];       /* the state after each event */
    size_t changed, rewound;
};

static struct run world;

static struct shape any_shape(int index)
{
    return (struct shape){.glob = any(3) > 0, .gathers = any(3) == 0, .ticked = any(10) == 0, .verify = any(2) == 0,
                          .need = index && any(2) ? (int)any((uint64_t)index) : -1, .retries = (unsigned)any(4), .variant = (unsigned)any(3)};
}

static void print_plan(struct run *w, struct buf *out)
{
    if (w->verify)
        buf_add_text(out, "---\nverify: make check\n---\n");
    for (int i = 0; i < w->nshapes; i++) {
        const struct shape *s = &w->shapes[i];
        buf_addf(out, "- [%c] i%d: %sdo %u\n  writes: %s\n  retries: %u\n", s->ticked ? 'x' : ' ', i, s->glob ? "for each `s/*` as F, " : "",
                 s->variant, s->glob && !s->gathers ? "n/{F.name}" : "g.md", s->retries);
        if (s->verify)
            buf_add_text(out, "  verify: test -s x\n");
        if (s->need >= 0)
            buf_addf(out, "  needs: i%d\n", s->need);
    }
}

/* K1, K2: words are turns or wait, once each; results stand behind their calls. */
static void count_talk(struct run *w)
{
    const struct talk *t = w->rig.r.items[0].head.talk;
    size_t said = t->ninbox, results = 0;
    for (size_t i = 0; i < t->nturns; i++) {
        said += t->turns[i].kind == TALK_SAID;
        results = t->turns[i].kind == TALK_ANSWER ? 0 : results + (t->turns[i].kind == TALK_RESULT);
        HOLDS(t->turns[i].kind != TALK_RESULT || results <= TALK_CALLS_MAX);
    }
    HOLDS(said == w->said);
    HOLDS(results <= w->calls || !t->nturns);
}

static void remember(struct run *w)
{
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    size_t done, total;
    rig_dump(&w->rig.r, &b);
    HOLDS(buf_ok(&b) && w->rig.n <= sizeof w->dumps / sizeof *w->dumps);
    w->dumps[w->rig.n - 1] = strdup(buf_str(&b));
    check_state(&w->rig.r);
    if (w->is_agent)
        count_talk(w);
    run_progress(&w->rig.r, &done, &total);
    HOLDS(done >= w->done_before);
    w->done_before = done;
}

#define TAKEN(call) do { if (call) fail_msg("seed %llu: %s: %s", (unsigned long long)seed, #call, w->rig.e.text); remember(w); } while (0)

static void begin_agent(struct run *w, const char *land)
{
    BUF_CLEANUP struct buf b = BUF_INIT(4096);
    buf_addf(&b, "{\"attended\":%s,\"commits\":%s,\"checks\":%u%s", any(2) ? "true" : "false", any(2) ? "true" : "false", 1 + (unsigned)any(3),
             any(2) ? ",\"verify\":\"make check\"" : "");
    size_t n = any(4) ? 0 : any(6);
    for (size_t i = 0; i < n; i++) {
        static const char kinds[] = "123124";
        buf_addf(&b, "%s{\"turn\":\"" RIG_HASH "\",\"bytes\":40,\"kind\":%c}", i ? "," : ",\"turns\":[", kinds[i]);
        w->said += kinds[i] == '1';
        w->calls += kinds[i] == '3';
    }
    buf_add_text(&b, n ? "]}" : "}");
    size_t said = w->said, calls = w->calls; /* rig_start_agent() wipes the rig only */
    rig_start_agent(&w->rig, buf_str(&b), any(3) ? "" : "\"services\":[{\"name\":\"s1\",\"run\":\"x\",\"ports\":[101]}],", land);
    w->said = said;
    w->calls = calls;
}

static void begin(struct run *w)
{
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 16);
    char more[40];
    memset(w, 0, sizeof *w);
    static const char *const lands[] = {"step", "end", "ask"};
    const char *land = lands[any(3)];
    w->is_exec = any(8) == 0;
    w->is_take = !w->is_exec && any(12) == 0;
    w->is_agent = !w->is_exec && !w->is_take && any(3) == 0;
    w->verify = any(3) == 0;
    w->nshapes = 1 + (int)any(4);
    for (int i = 0; i < w->nshapes; i++)
        w->shapes[i] = any_shape(i);
    snprintf(more, sizeof more, "\"slots\":%u,", 1 + (unsigned)any(4));
    print_plan(w, &b);
    if (w->is_exec)
        rig_start_exec_landing(&w->rig, "[\"true\"]", land);
    else if (w->is_take)
        rig_start_take(&w->rig, land);
    else if (w->is_agent)
        begin_agent(w, land);
    else
        rig_start_landing(&w->rig, buf_str(&b), more, land);
    w->rig.changes = any(2);
    remember(w);
}

static uint64_t bit_of(enum stage s, uint32_t part)
{
    return s == STAGE_ASK ? 1ull << (20 + part) : 1ull << s;
}

/* S3: neither under an old number nor as the same stage of the same line again. */
static void intend(struct run *w)
{
    struct decision d;
    run_decide(&w->rig.r, w->rig.now_ms, &d);
    for (size_t n = d.nwants ? 1 + any(d.nwants) : 0, i = 0; i < n; i++) {
        const struct want *t = &d.wants[i];
        HOLDS(t->step < STEPS && !w->settled[t->step] && t->attempt == w->attempts[t->step] + 1);
        HOLDS((w->is_agent && t->item == 0) || !(w->finished[t->item][t->piece + 1] & bit_of(t->stage, t->part)));
        HOLDS(!w->quiet || (t->stage != STAGE_THINK && t->stage != STAGE_CALL)); /* K3 */
        w->attempts[t->step]++;
        TAKEN(rig_intend(&w->rig, t));
    }
}

/* An answer: words, calls, nothing; or that it was too long. */
static void thought(struct run *w, struct buf *out)
{
    static const char *const calls[] = {"{\"name\":\"bash\"}", "{\"name\":\"read\"}", "{\"name\":\"ask\",\"question\":\"Which?\"}", "{\"name\":\"nonesuch\"}"};
    size_t n = any(2) ? any(4) : 0;
    if (any(12) == 0) {
        buf_add_text(out, any(2) ? "{\"note\":\"" RIG_HASH "\",\"note_bytes\":90,\"calls\":[]}" : "{\"overflow\":true}");
        return;
    }
    buf_addf(out, "{\"turn\":\"" RIG_HASH "\",\"bytes\":50,\"tokens\":%u,\"calls_hash\":\"%062d%02x\",\"calls\":[", any(4) ? 200 : (unsigned)any(5000), 0,
             any(2) ? 1 : (unsigned)any(255));
    for (size_t i = 0; i < n; i++)
        buf_addf(out, "%s%s", i ? "," : "", calls[any(10) ? any(2) : any(4)]);
    buf_add_text(out, any(10) ? "]}" : "],\"note\":\"" RIG_HASH "\",\"note_bytes\":90}");
    (void)w;
}

static void any_result(struct run *w, enum stage stage, struct buf *out)
{
    (void)w;
    if (stage == STAGE_LIST) {
        size_t n = any(10) ? 1 + any(PIECES - 1) : 0;
        buf_add_text(out, "{\"paths\":[");
        for (size_t i = 0; i < n; i++)
            buf_addf(out, "%s\"s/%zu.md\"", i ? "," : "", i);
        buf_add_text(out, "]}");
    } else if (stage == STAGE_MEASURE && any(2)) {
        buf_addf(out, "{\"tokens\":40,\"cuts\":[20,%s90]}", any(2) ? "50," : "");
    } else if (stage == STAGE_THINK) {
        thought(w, out);
    } else if (stage == STAGE_COMPACT) {
        const struct talk *t = w->rig.r.items[0].head.talk;
        buf_addf(out, "{\"turn\":\"" RIG_HASH "\",\"bytes\":100,\"upto\":%zu}", t->from + 1 + any(t->nturns - t->from));
    } else if (stage == STAGE_VERIFY && w->is_agent && any(4)) {
        buf_add_text(out, "{\"turn\":\"" RIG_HASH "\",\"bytes\":80}");
    } else if (stage == STAGE_APPLY && any(3) == 0) {
        w->rig.lands_nothing = any(2);
        buf_add_text(out, "{\"rest\":\"" RIG_HASH "\",\"why\":\"1 change was left\"}");
    } else {
        buf_add_text(out, rig_result(stage));
    }
}

static void finish(struct run *w, enum outcome forced)
{
    struct rig *g = &w->rig;
    BUF_CLEANUP struct buf result = BUF_INIT(4096);
    g->pick = any(g->r.nopen);
    struct open_step o = g->r.open[g->pick];
    const struct line *l = run_line_const(&g->r, o.item, o.piece);
    uint32_t part = l->ncuts > 1 ? (uint32_t)l->nparts : 0;
    enum outcome outcome = forced ? forced : any(10) < 7 ? OUTCOME_OK : (enum outcome)(1 + any(OUTCOMES - 1));
    if (outcome == OUTCOME_CONFLICT && o.stage != STAGE_LOOK && o.stage != STAGE_LAND && o.stage != STAGE_APPLY)
        outcome = OUTCOME_FAILED;
    any_result(w, o.stage, &result);
    if (o.stage == STAGE_CALL && any(4) == 0) { /* it was `serve` */
        unsigned which = (unsigned)any(4);
        result.n--;
        if (any(3))
            buf_addf(&result, ",\"service\":{\"name\":\"s%u\",\"run\":\"x\",\"ports\":[%u]}}", which, 100 + which);
        else
            buf_addf(&result, ",\"service\":{\"name\":\"s%u\",\"stop\":true}}", which);
    }
    bool answers = o.stage == STAGE_THINK && (outcome == OUTCOME_OK || outcome == OUTCOME_CANCELLED);
    if (answers) /* as many as it may be; those of answers before have no results any more */
        w->calls = TALK_CALLS_MAX;
    TAKEN(rig_finish(g, outcome, buf_str(&result), outcome == OUTCOME_FAILED && any(5) == 0 ? "\"final\":true," : ""));
    g->pick = 0;
    const struct talk *t = run_line_const(&g->r, 0, HEAD)->talk;
    if (answers && t->nturns && t->turns[t->nturns - 1].kind == TALK_ANSWER)
        w->calls = t->ncalls;
    w->settled[o.key.step] = outcome != OUTCOME_LOST && outcome != OUTCOME_CANCELLED;
    uint64_t *finished = &w->finished[o.item][o.piece + 1];
    if (outcome == OUTCOME_OK)
        *finished |= bit_of(o.stage, part);
    else if (outcome == OUTCOME_FAILED && o.stage == STAGE_VERIFY) /* the answer is thrown away, or its join */
        *finished &= run_line_const(&g->r, o.item, o.piece)->ncuts > 1 ? ~(bit_of(STAGE_JOIN, 0) | bit_of(STAGE_LOOK, 0) | bit_of(STAGE_LAND, 0))
                                                                      : bit_of(STAGE_READ, 0) | bit_of(STAGE_MEASURE, 0);
    if (o.stage == STAGE_APPLY || o.stage == STAGE_SQUASH) /* what is left is asked about; each piece may find too many layers */
        *finished &= ~(bit_of(STAGE_APPLY, 0) | bit_of(STAGE_SQUASH, 0));
    else if (outcome == OUTCOME_CONFLICT) /* looked at again before it lands */
        *finished &= ~bit_of(STAGE_LOOK, 0);
}

static void answer(struct run *w)
{
    static const char *const answers[] = {"retry", "skip", "keep", "replace"}, *const offered[] = {"apply", "skip", "keep", "replace"};
    struct run_state *r = &w->rig.r;
    static const char *const chosen[] = {"", ",\"only\":\"" RIG_HASH "\"", ",\"chosen\":{\"of\":\"" RIG_HASH "\",\"manifest\":\"" RIG_HASH "\"}",
        ",\"chosen\":{\"of\":\"" RIG_HASH "\",\"manifest\":\"" RIG_HASH "\",\"rest\":\"" RIG_HASH "\",\"part\":\"r7-1-9-part\"}"};
    BUF_CLEANUP struct buf b = BUF_INIT(600);
    for (uint32_t i = 0; i < r->nitems; i++)
        for (int32_t k = HEAD; k < (int32_t)r->items[i].npieces; k++) {
            const struct line *l = run_line_const(r, i, k);
            if (l->stage != STAGE_STUCK || any(2))
                continue;
            bool lands = l->question == QUESTION_APPLY || l->question == QUESTION_CONFLICT;
            const char *word = l->talk && !lands ? "retry" : (l->question == QUESTION_APPLY ? offered : answers)[any(4)];
            buf_addf(&b, "{\"v\":0,\"question\":%u,\"answer\":\"%s\"%s%s}", l->question_step, word,
                     l->question == QUESTION_ASK ? ",\"turn\":\"" RIG_HASH "\",\"bytes\":20" : "", lands ? chosen[any(4)] : "");
            w->quiet &= l->question != QUESTION_ASK && l->question != QUESTION_FAILED && l->question != QUESTION_POISON;
            TAKEN(rig_apply(&w->rig, EVENT_ANSWERED, NULL, buf_str(&b)));
            return;
        }
}

static void change_plan(struct run *w)
{
    const struct run_state *r = &w->rig.r;
    BUF_CLEANUP struct buf text = BUF_INIT(1 << 16), b = BUF_INIT(1 << 17);
    JSON_CLEANUP struct json *o = json_object();
    int keep = 0;
    if (r->nopen || w->is_exec || w->is_take || w->is_agent || !hash_is_zero(&r->rest) || r->items[r->nitems - 1].head.landing)
        return; /* a part of it is in the folder */
    for (int i = 0; i < w->nshapes; i++)
        keep = r->items[i].started ? i + 1 : keep;
    w->nshapes = keep + (int)any((uint64_t)(ITEMS - keep));
    w->nshapes = w->nshapes ? w->nshapes : 1;
    for (int i = 0; i < w->nshapes; i++)
        if (i >= (int)r->plan.nitems || !r->items[i].started)
            w->shapes[i] = any_shape(i);
    w->verify = any(2);
    print_plan(w, &text);
    json_put_text(o, "plan", buf_slice(&text));
    json_print(o, &b);
    for (int i = keep; i <= ITEMS; i++)
        memset(w->finished[i], 0, sizeof w->finished[i]);
    w->done_before = 0;
    w->changed++;
    TAKEN(rig_apply(&w->rig, EVENT_PLAN_CHANGED, NULL, buf_str(&b)));
}

static void stop_or_crash(struct run *w)
{
    bool stop = any(2), blocked = any(3) == 0;
    if (stop)
        TAKEN(rig_apply(&w->rig, blocked ? EVENT_RUN_BLOCKED : EVENT_RUN_STOPPED, NULL, "{\"v\":0,\"why\":\"so\"}"));
    w->quiet |= stop && !blocked && w->is_agent && w->rig.r.items[0].head.talk->attended;
    while (w->rig.r.nopen)
        finish(w, stop && any(2) ? OUTCOME_CANCELLED : OUTCOME_LOST);
    TAKEN(rig_apply(&w->rig, EVENT_RUN_CONTINUED, NULL, "{\"v\":0,\"by\":\"terminal\"}"));
}

/* Services come up and go, are opened and stopped by a person; of a run without one it is nothing. */
static void serve(struct run *w)
{
    static const char *const by[] = {"itself", "run", "agent", "person"};
    char text[200];
    const struct service *s = w->rig.r.nservices ? &w->rig.r.services[any(w->rig.r.nservices)] : NULL;
    if (w->rig.r.status == RUN_DONE || w->rig.r.status == RUN_FAILED)
        return;
    if (s && s->nports && any(3) == 0) {
        snprintf(text, sizeof text, "{\"v\":0,\"name\":\"%.*s\",\"at\":%u}", SLICE_ARG(s->name), 1 + (unsigned)any(65535));
        TAKEN(rig_apply(&w->rig, EVENT_SERVICE_OPENED, NULL, text));
    } else {
        snprintf(text, sizeof text, "{\"v\":0,\"name\":\"%.*s\",\"declared\":%u,\"by\":\"%s\",\"how\":\"so\",\"lived_ms\":%u}", SLICE_ARG(s ? s->name : SLICE("x")),
                 any(4) && s ? s->step : 3, by[any(4)], (unsigned)any(2) * 40000);
        TAKEN(rig_apply(&w->rig, EVENT_SERVICE_ENDED, NULL, text));
    }
}

/* What a person does in a talk. */
static void meddle(struct run *w)
{
    struct rig *g = &w->rig;
    const struct line *l = &g->r.items[0].head;
    const struct talk *t = l->talk;
    char text[200];
    if (over(l))
        return;
    if (any(8) == 0) {
        TAKEN(rig_apply(g, EVENT_COMPACT_WANTED, NULL, "{\"v\":0}"));
    } else if (any(8) == 0) {
        snprintf(text, sizeof text, "{\"v\":0,\"provider\":\"x\",\"window\":%u,\"max_output\":%u}", 1000 + (unsigned)any(9000), 1 + (unsigned)any(900));
        TAKEN(rig_apply(g, EVENT_MODEL_CHANGED, NULL, text));
    } else if (any(6) == 0 && !g->r.nopen) {
        size_t keep = any(t->nturns + 1);
        bool files = any(2) && !l->landing && hash_is_zero(&g->r.rest);
        int64_t after = files ? (int64_t)any(g->r.next_step) : -1;
        for (size_t i = 0; i < g->r.nlayers; i++)
            files &= g->r.layers[i].step <= after || g->r.layers[i].first > after;
        if (keep < t->nturns)
            w->said = 0;
        for (size_t i = 0; keep < t->nturns && i < keep; i++)
            w->said += t->turns[i].kind == TALK_SAID;
        snprintf(text, sizeof text, "{\"v\":0,\"turns\":%zu,\"after\":%lld}", keep, files ? (long long)after : -1LL);
        w->calls = TALK_CALLS_MAX;
        w->rewound++;
        TAKEN(rig_apply(g, EVENT_REWOUND, NULL, text));
    } else if (any(6) == 0 && l->stage == STAGE_TALK) {
        w->quiet = false;
        w->calls = 1;
        TAKEN(rig_say(g, "command"));
    } else if (t->ninbox < TALK_INBOX_MAX) {
        w->quiet = false;
        w->said++;
        TAKEN(rig_say(g, any(3) ? "now" : "later"));
    }
}

/* One thing that may happen; false when the run is over. */
static bool act(struct run *w)
{
    struct decision d;
    struct rig *g = &w->rig;
    run_decide(&g->r, g->now_ms, &d);
    if (any(25) == 0)
        stop_or_crash(w);
    else if (any(30) == 0)
        serve(w);
    else if (w->is_agent && any(d.what == DECIDE_ASK || d.what == DECIDE_REST ? 2 : 12) == 0)
        meddle(w);
    else if (any(20) == 0)
        change_plan(w);
    else if (any(20) == 0)
        answer(w);
    else if (g->r.nopen && (d.what != DECIDE_INTEND || any(2)))
        finish(w, 0);
    else if (d.what == DECIDE_INTEND)
        intend(w);
    else if (d.what == DECIDE_WAIT)
        g->now_ms = d.wake_ms;
    else if (d.what == DECIDE_ASK)
        answer(w);
    else if (any(3)) {
        HOLDS(d.what == DECIDE_DONE);
        TAKEN(rig_apply(g, EVENT_RUN_ENDED, NULL, "{\"v\":0,\"status\":\"done\"}"));
        return false;
    }
    return true;
}

static void run_random(struct run *w)
{
    random_state = seed * 0x9e3779b97f4a7c15 | 1;
    for (int i = 0; i < 5; i++)
        any(2);
    begin(w);
    for (int i = 0; i < ACTIONS && act(w); i++)
        ;
}

static void run_end(struct run *w)
{
    for (size_t i = 0; i < w->rig.n; i++)
        free(w->dumps[i]);
    rig_end(&w->rig);
}

/* ---- prefixes ---- */

static void fold_prefixes(const struct run *w)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(RUN_ARENA_BYTES);
    struct run_state r;
    run_init(&r, w->rig.r.id, &a);
    for (size_t n = 0; n < w->rig.n; n++) {
        BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
        HOLDS(run_apply(&r, &w->rig.events[n], NULL) == OK);
        rig_dump(&r, &b);
        if (strcmp(buf_str(&b), w->dumps[n]) != 0)
            fail_msg("seed %llu, event %zu: was\n%sis\n%s", (unsigned long long)seed, n, w->dumps[n], buf_str(&b));
    }
}

/* ---- damage ---- */

static const char *const tokens[] = {"-1", "0", "1", "4294967295", "4294967296", "9223372036854775807", "-9223372036854775808",
    "18446744073709551615", "99999999999999999999", "1e308", "0.5", "null", "true", "\"\"", "\"x\"", "[]", "{}", "[[]]", "\"skip\"",
    "\"ok\"", "\"lost\"", "\"conflict\"", "\"unconfirmed\"", "\"land\"", "\"look\"", "\"..\"", "\"" RIG_HASH "\"", "[1,2,3]",
    "\"- [ ] a: b\\n  writes: x\"", "\"command\"", "\"think\"", "\"ask\"", "[{\"name\":\"ask\"}]", "\"cancelled\""};

/* A payload with one thing changed; on the heap. */
static struct slice damage_payload(struct slice s)
{
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    size_t at = s.n ? any(s.n) : 0, end = at;
    switch (any(4)) {
    case 0: /* the value of a member becomes another */
        while (at < s.n && s.p[at] != ':')
            at++;
        for (end = at; end < s.n && !strchr(",}", s.p[end]);)
            end++;
        buf_add(&b, slice_sub(s, 0, at + 1));
        buf_add_text(&b, tokens[any(sizeof tokens / sizeof *tokens)]);
        buf_add(&b, slice_sub(s, end, s.n));
        break;
    case 1: /* a byte */
        buf_add(&b, s);
        if (s.n)
            b.p[at] = (char)(any(3) ? ' ' + any(95) : any(256));
        break;
    case 2: /* cut off */
        buf_add(&b, slice_sub(s, 0, at));
        break;
    default: /* a stretch left out */
        buf_add(&b, slice_sub(s, 0, at));
        buf_add(&b, slice_sub(s, at + any(20), s.n));
    }
    char *copy = malloc(b.n + 1);
    memcpy(copy, buf_str(&b), b.n + 1);
    return (struct slice){copy, b.n};
}

static void damage_field(struct event *ev)
{
    static const int64_t times[] = {INT64_MAX, INT64_MIN, 0, -1};
    uint32_t numbers[] = {0, 1, 2, UINT32_MAX, (uint32_t)any(40)}, n = numbers[any(5)];
    switch (any(6)) {
    case 0: ev->type = (uint16_t)any(EVENT_TYPES + 2); break;
    case 1: ev->key.step = n; break;
    case 2: ev->key.attempt = n; break;
    case 3: ev->key.branch = n; break;
    case 4: ev->time_ms = times[any(4)]; break;
    default: ev->redacted = any(2); ev->key.run += any(2);
    }
}

/* Folds a damaged copy of a part of the journal; how many events were taken. */
static size_t fold_damaged(const struct run *w)
{
    static struct event events[RIG_EVENTS_MAX + 8];
    struct slice ours[4] = {{NULL, 0}};
    ARENA_CLEANUP struct arena a = ARENA_INIT(RUN_ARENA_BYTES);
    struct run_state r;
    size_t n = w->rig.n, taken = 0;
    memcpy(events, w->rig.events, n * sizeof *events);
    for (size_t k = 0; k < 1 + any(3); k++) {
        size_t at = any(n), other = any(n);
        struct event swap = events[at];
        switch (any(6)) {
        case 0: memmove(events + at, events + at + 1, (n - at - 1) * sizeof *events); n -= n > 1; break;
        case 1: memmove(events + at + 1, events + at, (n - at) * sizeof *events); n++; break;
        case 2: events[at] = events[other]; events[other] = swap; break;
        case 3: damage_field(&events[at]); break;
        default: free((void *)(uintptr_t)ours[k].p); ours[k] = events[at].payload = damage_payload(events[at].payload);
        }
    }
    run_init(&r, w->rig.r.id, &a);
    struct error e = {0};
    enum err err = OK;
    while (!err && taken < n) {
        err = run_apply(&r, &events[taken], any(2) ? &e : NULL);
        if (!err)
            check_state(&r);
        taken += !err;
    }
    HOLDS(!err || r.status == RUN_BROKEN);
    HOLDS(!err || run_apply(&r, &events[0], NULL) != OK);
    HOLDS(a.used <= RUN_ARENA_BYTES);
    for (size_t k = 0; k < 4; k++)
        free((void *)(uintptr_t)ours[k].p);
    return taken;
}

static void test_random_runs(void **state)
{
    (void)state;
    const char *runs = getenv("RUNS"), *from = getenv("SEED");
    uint64_t first = from ? strtoull(from, NULL, 10) : 1, n = runs ? strtoull(runs, NULL, 10) : 1000;
    size_t events = 0, ended = 0, damaged = 0, survived = 0, changed = 0, rewound = 0;
    for (seed = first; seed < first + n; seed++) {
        run_random(&world);
        fold_prefixes(&world);
        for (int i = 0; i < 4; i++, damaged++)
            survived += fold_damaged(&world) >= world.rig.n - 1;
        events += world.rig.n;
        ended += world.rig.r.status == RUN_DONE;
        changed += world.changed;
        rewound += world.rewound;
        run_end(&world);
    }
    print_message("%llu runs, %zu events, %zu runs ended well, %zu plans changed, %zu talks taken back; %zu damaged journals, %zu of them folded to their end\n",
                  (unsigned long long)n, events, ended, changed, rewound, damaged, survived);
    if (n >= 1000) /* else what is proved is not what is meant */
        assert_true(ended > n / 10 && ended < n && changed > n / 3 && rewound > n / 10 && survived > n / 20 && survived < damaged * 3 / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_runs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
