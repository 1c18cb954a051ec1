/*
 * Acts in a jail: how a stage becomes one or more jails, which place each waits for, and which comes next. What came of them is
 * in tool_done.c. What only looks has the class `reads`, what writes layers `again`: what died is simply done anew.
 *
 * The arguments in the intent decide everything that happens here (A1).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "context/document.h"
#include "engine/act_call.h"
#include "engine/machine.h"
#include "engine/service.h"
#include "jail/client.h"
#include "layers/landing.h"
#include "layers/seal.h"
#include "tools/file.h"
#include "tools/layer.h"
#include "tools/place.h"

enum { DOCUMENT_READ_MAX = 4 * 1024 * 1024, LIST_MAX = RUN_PIECES_MAX, LAYERS_ARENA = 256 * 1024 * 1024 };
static const int64_t SECOND_NS = 1000000000;

/* ---- prepare ---- */

void tool_clamp(struct json *args, const struct amounts *granted, const struct amounts *floor)
{
    (void)floor;
    json_put_int(args, "cpu_ms", granted->n[UNIT_CPU_NS] / 1000000);
}

static enum err put_flat(struct engine *g, const struct run_state *r, struct json *args, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(LAYERS_ARENA);
    struct manifest flat;
    enum err err = layer_flatten(g, r, &a, &flat, e);
    return err ? err : layer_put_manifest(g, &flat, args, "manifest", e);
}

static enum err exec_args(struct engine *g, const struct run_state *r, struct json *args, struct error *e)
{
    struct json *words = NULL;
    enum err err = json_parse(r->exec, &words, e); /* they stand in the run's first event */
    if (err)
        return err;
    json_put(args, "argv", words);
    json_put_bool(args, "copies", r->copies);
    return r->nlayers ? put_flat(g, r, args, e) : OK;
}

enum err tool_terms(const struct run_state *r, struct arena *a, struct terms *ret, struct error *e)
{
    JSON_CLEANUP struct json *v = NULL;
    *ret = (struct terms){.nshow = 0};
    enum err err = r->terms.n ? json_parse(r->terms, &v, e) : OK;
    return err ? err : terms_read(v, a, ret, e);
}

enum err tool_masked(const struct run_state *r, struct arena *a, struct place *ret, struct error *e)
{
    JSON_CLEANUP struct json *v = NULL;
    enum err err = r->masked.n ? json_parse(r->masked, &v, e) : OK;
    size_t n = err ? 0 : json_count(v);
    struct slice *below = n ? arena_array(a, n, sizeof *below) : NULL;
    if (n && !below)
        return error_set(e, ERR_MEMORY, "no memory for a tool call");
    for (size_t i = 0; i < n; i++)
        below[i] = json_text(json_at(v, i));
    return err ? err : place_mask(ret, below, n, a, e);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static enum err tool_prepare(struct engine *g, struct run *r, const struct want *w, struct intent *ret, struct error *e)
{
    const struct line *l = run_line(&r->state, w->item, w->piece);
    const struct item_state *it = &r->state.items[w->item];
    BUF_CLEANUP struct buf text = BUF_INIT(64 * 1024);
    ARENA_CLEANUP struct arena a = ARENA_INIT(64 * 1024);
    struct terms terms;
    int64_t seconds = 5;
    enum err err = tool_terms(&r->state, &a, &terms, e);
    const int64_t cpu_s = (int64_t)terms_limit(&terms, LIMIT_CPU, 0) / 1000;
    if (err)
        return err;
    ret->args = json_object();
    json_put_text(ret->args, "root", SLICE("work")); /* every path is (root, path); version 0 knows one root */
    if (w->stage != STAGE_LOOK) /* what lies in the folder itself is the question there */
        layer_put_names(&r->state, ret->args);
    switch (w->stage) {
    case STAGE_LIST:
        json_put_text(ret->args, "pattern", it->plan->glob);
        break;
    case STAGE_READ:
        json_put_text(ret->args, "path", l->source);
        seconds = 15; /* a PDF of a thousand pages; more than PDF_CPU_S (tools/pdf.h), which can say so */
        break;
    case STAGE_LOOK:
        plan_expand(it->plan->writes, it->plan->var, l->source, false, &text);
        if (!plan_path_ok(buf_slice(&text)))
            return error_set(e, ERR_USAGE, "item '%.*s' would write %.*s, which is not a path below the folder",
                             SLICE_ARG(it->plan->name), SLICE_ARG(slice_sub(buf_slice(&text), 0, 100)));
        json_put_text(ret->args, "path", buf_slice(&text));
        break;
    case STAGE_VERIFY:
        if (l->talk)
            buf_add(&text, l->talk->verify);
        else if (it->plan)
            plan_expand(it->plan->verify, it->plan->var, l->source, true, &text);
        else
            buf_add(&text, r->state.plan.verify);
        json_put_text(ret->args, "command", buf_slice(&text));
        seconds = cpu_s ? cpu_s : l->talk ? 1800 : 60;
        break;
    case STAGE_INSTRUCT:
        break;
    case STAGE_CALL:
        err = call_prepare(g, r, w, ret->args, &seconds, e);
        seconds = cpu_s ? smaller(seconds, cpu_s) : seconds;
        if (!err && r->state.nlayers)
            err = put_flat(g, &r->state, ret->args, e);
        break;
    case STAGE_COMMIT:
        json_put_bool(ret->args, "copies", r->state.copies);
        err = r->state.nlayers ? put_flat(g, &r->state, ret->args, e) : OK;
        seconds = 600;
        break;
    case STAGE_SURVEY:
        seconds = 60;
        break;
    case STAGE_SQUASH:
        json_put_bool(ret->args, "copies", r->state.copies);
        err = put_flat(g, &r->state, ret->args, e);
        seconds = 600;
        break;
    default: /* STAGE_EXEC */
        err = exec_args(g, &r->state, ret->args, e);
        seconds = cpu_s ? cpu_s : 3600;
    }
    ret->worst.n[UNIT_CPU_NS] = seconds * SECOND_NS;
    ret->floor.n[UNIT_CPU_NS] = SECOND_NS / 10;
    ret->clamp = tool_clamp;
    return err ? err : buf_check(&text, "a tool's arguments", e);
}

/* ---- start ---- */

static struct jail_job *free_job(struct machine *m)
{
    for (size_t i = 0; i < MACHINE_JOBS_MAX; i++)
        if (!m->jails[i].peer.pid)
            return &m->jails[i];
    return NULL;
}

static enum err land_args(struct engine *g, const struct open_step *o, const struct json *args, struct slice root,
                          struct buf *ret, struct error *e)
{
    struct hash content;
    struct stamp base;
    BUF_CLEANUP struct buf bytes = BUF_INIT(DOCUMENT_BYTES_MAX);
    char name[96];
    if (!hash_from_hex(json_text(json_get(args, "content")), &content) ||
        !stamp_from_hex(json_text(json_get(args, "base")), &base))
        return error_set(e, ERR_CORRUPT, "a landing without content or base");
    enum err err = blob_get(g->store, &content, &bytes, e);
    if (err)
        return err;
    snprintf(name, sizeof name, "r%llu-%u-%u", (unsigned long long)o->key.run, o->key.branch, o->key.step);
    file_land_args(ret, root, json_text(json_get(args, "path")), &base, buf_slice(&bytes), slice_of(name), 0644);
    return OK;
}

/* Who the person is to git, for the commit that is theirs; nothing but git's own plumbing reads it there. */
static void show_identity(const struct machine *m, struct arena *a, struct jail_plan *plan)
{
    char *path = m->home ? arena_printf(a, "%s/.gitconfig", m->home) : NULL;
    if (path)
        jail_plan_add(plan, (struct jail_mount){.kind = JAIL_READ, .source = slice_of(path), .target = SLICE("/tmp/.gitconfig"), .optional = true});
}

/* Fills the plan for a stage; the applet's arguments go into `message`. */
static enum err stage_plan(struct engine *g, struct run *r, const struct open_step *o, const struct json *args, const struct place *place,
                           struct arena *a, struct slice *words, struct buf *message, struct jail_plan *ret, struct error *e)
{
    enum err err;
    size_t n;
    struct slice root = slice_of(place->work);
    int64_t cpu_ms = json_int(json_get(args, "cpu_ms"), 5000);
    place_plan(place, o->stage == STAGE_LAND, ret);
    ret->limits.cpu_ms = cpu_ms > 0 ? (uint64_t)cpu_ms : 1;
    switch (o->stage) {
    case STAGE_LIST:
        ret->applet = SLICE("glob");
        file_glob_args(message, root, json_text(json_get(args, "pattern")), LIST_MAX);
        break;
    case STAGE_READ:
        ret->applet = SLICE("read");
        file_read_args(message, root, json_text(json_get(args, "path")), DOCUMENT_READ_MAX);
        break;
    case STAGE_LOOK:
        ret->applet = SLICE("look");
        file_look_args(message, root, json_text(json_get(args, "path")), DOCUMENT_BYTES_MAX);
        break;
    case STAGE_LAND: {
        ret->applet = SLICE("land");
        err = land_args(g, o, args, root, message, e);
        if (err)
            return err;
        break;
    }
    case STAGE_SURVEY:
        ret->applet = SLICE("survey");
        layer_survey_args(message, root, place->uid, place->gid, geteuid() == 0, SLICE(".crannog"));
        break;
    case STAGE_VERIFY:
        words[0] = SLICE("/bin/sh");
        words[1] = SLICE("-c");
        words[2] = json_text(json_get(args, "command"));
        return place_command(place, words, 3, ret->limits.cpu_ms, terms_limit(place->terms, LIMIT_TIME, r->state.is_agent ? 1800000 : 120000), a, ret, e);
    case STAGE_INSTRUCT: return instruct_plan(g->acts.ctx, place, a, message, ret, e);
    case STAGE_CALL: return call_plan(g, r, o, place, a, words, message, ret, e);
    case STAGE_COMMIT:
        err = commit_words(g, &r->state, a, words, &n, e);
        if (!err)
            err = place_command(place, words, n, ret->limits.cpu_ms, 600000, a, ret, e);
        if (!err && !commit_mount(place, a, ret))
            err = error_set(e, ERR_MEMORY, "no memory for a commit");
        if (!err)
            show_identity(g->acts.ctx, a, ret);
        return err;
    default: {
        const struct json *argv = json_get(args, "argv");
        n = json_count(argv) < JAIL_WORDS_MAX ? json_count(argv) : JAIL_WORDS_MAX;
        for (size_t i = 0; i < n; i++)
            words[i] = json_text(json_at(argv, i));
        err = place_command(place, words, n, ret->limits.cpu_ms, terms_limit(place->terms, LIMIT_TIME, 0), a, ret, e);
        ret->terminal = ((struct machine *)g->acts.ctx)->terminal != NULL;
        return err;
    }
    }
    ret->args = buf_slice(message);
    return buf_check(message, "a tool's arguments", e);
}

/* The plan of a job's phase. `message`, `words` and what lies in `a` are borrowed by it. */
static enum err phase_plan(struct engine *g, struct run *r, const struct open_step *o, const struct json *args, struct jail_job *job, struct arena *a,
                           struct place *place, struct slice *words, struct buf *message, struct jail_plan *ret, struct error *e)
{
    struct machine *m = g->acts.ctx;
    enum err err;
    if (job->phase == PHASE_COPY)
        err = layer_copy_plan(g, args, job, a, place, message, ret, e);
    else if (job->phase == PHASE_SEAL)
        err = layer_seal_plan(g, args, job, a, place, message, ret, e);
    else if (o->stage == STAGE_APPLY)
        return apply_plan(g, args, a, place, message, ret, e);
    else if (o->stage == STAGE_SQUASH)
        err = layer_squash_plan(g, args, job, a, place, message, ret, e);
    else {
        err = layer_see(m, args, job, a, place, e);
        return err ? err : stage_plan(g, r, o, args, place, a, words, message, ret, e);
    }
    ret->args = buf_slice(message);
    return err ? err : buf_check(message, "a tool's arguments", e);
}

/* The jail that is ready for a plan: one that has built its beginning, if it is of a run's own commands and file tools, which all begin
   alike; and that beginning is what the next one builds. */
static struct peer *which_ready(struct machine *m, const struct open_step *o, enum phase phase, const struct jail_plan *p)
{
    if (phase != PHASE_RUN || o->stage != STAGE_CALL)
        return &m->ready;
    buf_reset(&m->begins);
    jail_plan_beginning(p, &m->begins);
    return m->begun.pid && slice_eq(buf_slice(&m->begun_with), buf_slice(&m->begins)) ? &m->begun : &m->ready;
}

/* ---- jails that stay ---- */

enum { WARM_S = 10 }; /* what a jail shows was so when it began; nobody relies on that for longer than a turn's tools take */

void tool_cool(struct machine *m, int64_t *timeout_ms)
{
    if (!m->warm.pid)
        return;
    int64_t left_ms = (m->warm_ns + WARM_S * SECOND_NS - sys->boottime_ns()) / 1000000;
    if (left_ms <= 0)
        jail_unready(&m->warm);
    else if (left_ms < *timeout_ms)
        *timeout_ms = left_ms;
}

/* An applet that changes nothing, over folders as they are: what is mounted over layers might not show what a person changes below. */
static bool may_stay(const struct jail_job *job, const struct open_step *o, enum phase phase, const struct jail_plan *p)
{
    bool stays = phase == PHASE_RUN && o->stage == STAGE_CALL && job->plain && !job->seals && p->applet.n;
    for (size_t i = 0; i < p->nmounts; i++)
        stays &= p->mounts[i].kind != JAIL_LAYERS && p->mounts[i].kind != JAIL_WRITE;
    return stays;
}

/* Plays a plan in the jail that stayed, if it may be played there and that one lives. */
static bool play_warm(struct machine *m, struct jail_job *job, const struct jail_plan *p)
{
    BUF_CLEANUP struct buf walls = BUF_INIT(JAIL_PLAN_MAX);
    struct error e;
    jail_plan_walls(p, &walls);
    job->walls = hash_of(buf_slice(&walls));
    if (!m->warm.pid || !buf_ok(&walls) || !hash_eq(&job->walls, &m->warm_walls) || jail_again(&m->warm, p, &e))
        return false;
    job->peer = m->warm;
    job->stayed_ns = m->warm_ns;
    m->warm = PEER_INIT;
    return true;
}

/* Keeps the jail of a job that stays. */
static void keep_warm(struct machine *m, struct jail_job *job)
{
    jail_unready(&m->warm);
    m->warm = job->peer;
    m->warm_ns = job->stayed_ns ? job->stayed_ns : job->began_ns;
    m->warm_walls = job->walls;
    job->peer = PEER_INIT;
}

/* Starts the jail of a phase. */
static enum err phase_start(struct engine *g, struct run *r, const struct open_step *o, struct jail_job *job, enum phase phase,
                            struct error *e)
{
    struct machine *m = g->acts.ctx;
    JSON_CLEANUP struct json *args = NULL;
    ARENA_CLEANUP struct arena a = ARENA_INIT(64 << 20);
    BUF_CLEANUP struct buf message = BUF_INIT(JAIL_PLAN_MAX);
    struct place place;
    struct terms terms;
    struct jail_plan plan;
    char *work = arena_str(&a, r->state.work);
    struct slice *words = arena_array(&a, JAIL_WORDS_MAX, sizeof *words);
    if (!work || !words)
        return error_set(e, ERR_MEMORY, "no memory for a tool call");
    job->phase = phase;
    enum err err = json_parse(o->args, &args, e);
    if (!err)
        err = place_look(work, m->state, &place, e);
    if (!err && (place.dev != r->state.work_dev || place.ino != r->state.work_ino))
        err = error_set(e, ERR_CONFLICT, "%.160s is not the folder that this run began in (it was moved, or another one put in "
                        "its place): put it back, or start anew with --again", work);
    if (!err)
        err = tool_terms(&r->state, &a, &terms, e);
    place.terms = o->stage == STAGE_COMMIT ? NULL : &terms;
    place.setting = o->stage == STAGE_COMMIT ? NULL : m->setting; /* git alone, with the person's own settings */
    if (!err && phase == PHASE_RUN && (o->stage == STAGE_EXEC || o->stage == STAGE_VERIFY || o->stage == STAGE_CALL || o->stage == STAGE_INSTRUCT))
        err = tool_masked(&r->state, &a, &place, e);
    job->plain |= !err && place.holds_state && !job->seals; /* layers never lie below a root */
    if (!err)
        err = phase_plan(g, r, o, args, job, &a, &place, words, &message, &plan, e);
    bool joins = !err && phase == PHASE_RUN && r->state.nservices && services_used(o, args);
    if (joins && !services_join(&r->state, &a, &plan))
        err = error_set(e, ERR_MEMORY, "no memory for a tool call");
    if (joins)
        services_ask(m, r->state.id);
    plan.stays = !err && may_stay(job, o, phase, &plan);
    if (!err && !(plan.stays && play_warm(m, job, &plan)))
        err = jail_start_ready(which_ready(m, o, phase, &plan), buf_str(&m->jail_path), &plan, plan.terminal ? m->terminal : NULL, true, &job->peer, e);
    return err;
}

/* Whether what a step writes becomes a layer of the run. */
static bool stage_seals(enum stage s, const struct json *args)
{
    struct slice tool = json_text(json_get(args, "tool"));
    return s == STAGE_EXEC || s == STAGE_COMMIT || (s == STAGE_CALL && tool.n && !slice_is(tool, tool_name(TOOL_READ)));
}

static enum err queue(struct machine *m, const struct step_key *k, struct error *e)
{
    if (m->nqueue == m->cap_queue) {
        size_t n = m->cap_queue ? 2 * m->cap_queue : 64;
        struct step_key *v = sys->realloc(m->queue, n * sizeof *v);
        if (!v)
            return error_set(e, ERR_MEMORY, "no memory for a tool call");
        m->queue = v;
        m->cap_queue = n;
    }
    m->queue[m->nqueue++] = *k;
    return OK;
}

/* Whether an act waited, and does so no more. */
static bool unqueue(struct machine *m, const struct step_key *k)
{
    for (size_t i = 0; i < m->nqueue; i++)
        if (m->queue[i].run == k->run && m->queue[i].step == k->step) {
            memmove(m->queue + i, m->queue + i + 1, (--m->nqueue - i) * sizeof *m->queue);
            return true;
        }
    return false;
}

int64_t tool_settle_ms(const struct machine *m)
{
    const int64_t grain_ms = SEAL_TICK_NS / 1000000 + 1;
    int64_t since = sys->now_ms() - m->landed_ms;
    return since >= 0 && since < grain_ms ? grain_ms - since : 0;
}

void tool_start_queued(struct engine *g)
{
    struct machine *m = g->acts.ctx;
    for (size_t n = m->nqueue; n && free_job(m); n--) { /* one that must wait longer comes in again behind the others */
        struct step_key key = m->queue[0];
        struct run *r = engine_find(g, key.run);
        const struct open_step *o = r ? engine_step(r, &key) : NULL;
        struct error e = {0};
        (void)unqueue(m, &key);
        if (!o || tool_start(g, r, o, &e) == OK)
            continue;
        struct completion c = {.key = key, .outcome = OUTCOME_FAILED};
        snprintf(c.why, sizeof c.why, "%.239s", e.text);
        engine_complete(g, &c);
    }
}

enum err tool_start(struct engine *g, struct run *r, const struct open_step *o, struct error *e)
{
    struct machine *m = g->acts.ctx;
    struct completion c;
    bool at_once = false;
    bool serves = false;
    enum err first = o->stage == STAGE_CALL ? call_at_once(g, r, o, &c, &at_once, e) : OK;
    if (!first && o->stage == STAGE_CALL && !at_once)
        first = call_serve(g, r, o, &serves, e);
    if (first || serves)
        return first;
    if (at_once) {
        engine_complete(g, &c);
        return OK;
    }
    JSON_CLEANUP struct json *args = NULL;
    enum err err = json_parse(o->args, &args, e);
    if (err)
        return err;
    struct jail_job *job = free_job(m);
    bool waits = r->state.nservices && services_used(o, args) && !services_ready(g, r, o);
    if (waits || !job || (stage_seals(o->stage, args) && tool_settle_ms(m)))
        return queue(m, &o->key, e);
    *job = (struct jail_job){.key = o->key, .stage = o->stage, .peer = PEER_INIT, .index = BUF_INIT(JAIL_REPLY_MAX),
                             .began_ns = sys->boottime_ns(), .began_ms = sys->now_ms()};
    bool layered = json_count(json_get(args, "layers")) > 0;
    job->seals = stage_seals(o->stage, args);
    job->writes = job->seals || o->stage == STAGE_VERIFY || o->stage == STAGE_SURVEY; /* what the last two write is thrown away */
    job->copies = (job->seals || (o->stage == STAGE_CALL && layered)) && json_bool(json_get(args, "copies"), false);
    job->plain = o->stage == STAGE_APPLY || (!job->writes && !layered);
    err = phase_start(g, r, o, job, job->copies ? PHASE_COPY : PHASE_RUN, e);
    if (err)
        tool_drop(m, job);
    return err;
}

void tool_drop(struct machine *m, struct jail_job *job)
{
    peer_kill(&job->peer);
    buf_release(&job->index);
    jail_result_release(&job->ran);
    layer_drop(m, job->layer);
    *job = (struct jail_job){.peer = PEER_INIT};
}

/* A jail that was killed says nothing, but it cannot have used more than all processors in its time. */
static struct amounts at_most(const struct amounts *held, int64_t ns)
{
    struct amounts used = *held;
    int64_t most, cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (ns >= 0 && cpus > 0 && !__builtin_mul_overflow(ns, cpus, &most) && most < used.n[UNIT_CPU_NS])
        used.n[UNIT_CPU_NS] = most;
    return used;
}

static struct amounts at_most_now(const struct jail_job *job, const struct open_step *o)
{
    return at_most(&o->held, sys->boottime_ns() - job->began_ns);
}

void tool_cancel(struct engine *g, struct run *r, const struct open_step *o)
{
    struct machine *m = g->acts.ctx;
    (void)r;
    if (service_cancel(g, o))
        return;
    if (unqueue(m, &o->key)) {
        struct completion c = {.key = o->key, .outcome = OUTCOME_CANCELLED, .why = "stopped before it began"};
        engine_complete(g, &c);
    }
    for (size_t i = 0; i < MACHINE_JOBS_MAX; i++) {
        struct jail_job *job = &m->jails[i];
        if (!job->peer.pid || job->key.run != o->key.run || job->key.step != o->key.step)
            continue;
        if (job->stage == STAGE_LAND || job->stage == STAGE_APPLY)
            return; /* soon over; let it end */
        struct completion c = {.key = o->key, .outcome = OUTCOME_CANCELLED, .used = at_most_now(job, o), .assumed = true};
        tool_drop(m, job);
        snprintf(c.why, sizeof c.why, "stopped");
        engine_complete(g, &c);
    }
}

enum recovery tool_recover(struct engine *g, struct run *r, const struct open_step *o, struct amounts *ret_used, bool *ret_exact)
{
    char layer[RUN_LAYER_NAME_MAX + 1];
    (void)ret_exact; /* assumed: nobody knows what a dead jail used */
    layer_name_of(&o->key, layer); /* what it wrote never happened */
    layer_drop(g->acts.ctx, layer);
    if (o->stage == STAGE_EXEC && r->state.started_ms > 0) /* its reservation is an hour */
        *ret_used = at_most(&o->held, (sys->now_ms() - r->state.started_ms) * 1000000);
    return RECOVER_AGAIN;
}

/* ---- collect ---- */

/* Whether one more jail belongs to the act after this one, and which. Takes *res where it must be kept. */
static bool phase_after(struct jail_job *job, struct jail_result *res, enum phase *ret)
{
    bool ended = (res->how == JAIL_EXITED || res->how == JAIL_SIGNALLED) && !tool_jail_was_killed(res);
    if (job->phase == PHASE_COPY && res->how == JAIL_EXITED && res->status == 0) {
        struct slice index;
        if (layer_copy_reply(buf_slice(&res->reply), &index, NULL))
            return false;
        buf_add(&job->index, index);
        *ret = PHASE_RUN;
        return buf_ok(&job->index);
    }
    if (job->phase == PHASE_RUN && res->how == JAIL_NO_LAYERS && !job->plain && !job->seals) {
        job->plain = true; /* a survey tells, and a check does without */
        *ret = PHASE_RUN;
        return true;
    }
    if (job->phase == PHASE_RUN && job->seals && ended && (res->changed || job->copies)) {
        job->ran = *res;
        *res = (struct jail_result){0};
        *ret = PHASE_SEAL;
        return true;
    }
    return false;
}

/* Goes on with the act in its next jail; false where this one was the last, or the next cannot be started. */
static bool phase_next(struct engine *g, struct run *r, const struct open_step *o, struct jail_job *job, struct jail_result *res,
                       struct error *e)
{
    enum phase next;
    uint64_t cpu_ns = res->cpu_ns;
    if (!phase_after(job, res, &next))
        return false;
    peer_kill(&job->peer);
    job->cpu_ns += cpu_ns;
    return phase_start(g, r, o, job, next, e) == OK;
}

void tool_collect(struct engine *g, struct jail_job *job)
{
    struct frame f;
    struct error e = {0}, next = {0};
    struct jail_result res = {0};
    enum err err = frame_receive(job->peer.socket, &f, &e);
    while (!err && f.type == JAIL_LISTENER) {
        services_offer(g->acts.ctx, job->key.run, &f);
        frame_release(&f);
        err = frame_receive(job->peer.socket, &f, &e);
    }
    if (err == ERR_BUSY)
        return;
    struct run *r = engine_find(g, job->key.run);
    const struct open_step *o = r ? engine_step(r, &job->key) : NULL;
    if (err == ERR_GONE && o && job->stayed_ns) { /* it did not stay after all, and nothing was begun */
        job->stayed_ns = 0;
        peer_kill(&job->peer);
        err = phase_start(g, r, o, job, PHASE_RUN, &e);
        if (!err)
            return;
    }
    struct completion c = {.key = job->key, .outcome = OUTCOME_OK, .blob = BUF_INIT(BLOB_BYTES_MAX)};
    if (!err) {
        err = jail_result_parse(&f, &res, &e);
        frame_release(&f);
    }
    if (!err && o && phase_next(g, r, o, job, &res, &next)) {
        jail_result_release(&res);
        return;
    }
    if (err) {
        c.outcome = OUTCOME_LOST;
        c.assumed = true;
        if (o)
            c.used = at_most_now(job, o);
        snprintf(c.why, sizeof c.why, "the jail died: %.200s", e.text);
    } else if (next.code) {
        c.result = json_object();
        c.used.n[UNIT_CPU_NS] = (int64_t)job->cpu_ns;
        c.outcome = OUTCOME_FAILED;
        snprintf(c.why, sizeof c.why, "%.239s", next.text);
    } else if (o) {
        tool_done(g, r, o, job, &res, &c);
    }
    if (res.stays)
        keep_warm(g->acts.ctx, job);
    jail_result_release(&res);
    if (job->stage == STAGE_APPLY || job->stage == STAGE_LAND)
        ((struct machine *)g->acts.ctx)->landed_ms = sys->now_ms();
    if (*c.layer) /* kept: it is the journal's now */
        job->layer[0] = '\0';
    tool_drop(g->acts.ctx, job);
    engine_complete(g, &c);
}

const struct act_row act_tool = {tool_prepare, tool_start, tool_cancel, tool_recover};
