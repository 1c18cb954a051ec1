/* What came of an act in a jail (act_tool.c), stage by stage. The replies come from inside and are outside bytes. */
#include <stdio.h>
#include <string.h>

#include "context/document.h"
#include "engine/act_call.h"
#include "engine/machine.h"
#include "engine/service.h"
#include "layers/landing.h"
#include "tools/denial.h"
#include "tools/file.h"
#include "tools/layer.h"

enum { WHY_TAIL = 120 };

static void fail(struct completion *c, bool final, const char *why)
{
    c->outcome = OUTCOME_FAILED;
    c->final = final;
    snprintf(c->why, sizeof c->why, "%.239s", why);
}

static void done_list(struct completion *c, const struct plan_item *item, struct slice reply, struct arena *a)
{
    struct slice *paths;
    size_t n;
    struct error e;
    if (file_glob_reply(reply, a, &paths, &n, &e)) {
        fail(c, false, e.text);
        return;
    }
    if (n == 0) {
        char why[200];
        snprintf(why, sizeof why, "no file matches `%.*s`; put some there, or change the plan and start anew with --again", SLICE_ARG(slice_sub(item->glob, 0, 100)));
        fail(c, true, why);
        return;
    }
    if (plan_targets_check(item, paths, n, &e)) {
        fail(c, true, e.text);
        return;
    }
    struct json *list = json_array();
    for (size_t i = 0; i < n; i++) {
        if (!slice_is_utf8(paths[i])) { /* JSON could not carry it, and the file would not be found by another name */
            char why[240];
            snprintf(why, sizeof why, "the name of %.*s is not UTF-8; rename it", SLICE_ARG(slice_sub(paths[i], 0, 150)));
            json_free(list);
            fail(c, true, why);
            return;
        }
        json_push(list, json_new_text(paths[i]));
    }
    json_put_text(c->result, "root", SLICE("work"));
    json_put(c->result, "paths", list);
}

static void done_read(struct completion *c, const struct run *r, const struct line *l, struct slice reply)
{
    struct file_text t;
    struct error e;
    if (file_read_reply(reply, &t, &e)) {
        fail(c, false, e.text);
        return;
    }
    const struct line *writer = run_writer_of(&r->state, l->source);
    struct slice text = writer && hash_eq(&writer->landed, &t.hash) ? document_body(t.text) : t.text;
    json_put_hash(c->result, "hash", &t.hash);
    json_put_int(c->result, "size", (int64_t)t.size);
    json_put_int(c->result, "bytes", (int64_t)text.n);
    buf_add(&c->blob, text);
    c->blob_key = "text";
    if (slice_trim(text).n == 0)
        fail(c, true, "the document has no text");
}

/* L2 begins here: what lies there and was not put there by a crannog is a person's, and a person decides. */
static void done_look(struct completion *c, struct engine *g, const struct run *r, const struct line *l, struct slice reply)
{
    struct file_look look;
    struct error e;
    struct hash ours;
    BUF_CLEANUP struct buf hex = BUF_INIT(2048);
    if (file_look_reply(reply, &look, &e)) {
        fail(c, false, e.text);
        return;
    }
    stamp_to_hex(&look.stamp, &hex);
    json_put_text(c->result, "stamp", buf_slice(&hex));
    if (look.way < l->target.n) /* the folders past it will be made, and an undo takes them away again */
        json_put_int(c->result, "way", (int64_t)look.way);
    if (look.has_content) {
        buf_add(&c->blob, look.content); /* kept: what a landing replaces can be brought back */
        c->blob_key = "content";
    }
    const char *what = NULL;
    struct stamp asked; /* the answer `replace` was about this version; a newer one is asked about anew */
    bool replace = l->replace && stamp_from_hex(l->base, &asked) && stamp_same(&asked, &look.stamp);
    if (look.stamp.type != STAMP_ABSENT && look.stamp.type != STAMP_FILE)
        what = "is a folder, a link or a device, which is never replaced; move it away, then answer replace, or keep it and go on";
    else if (look.stamp.type == STAMP_FILE && look.stamp.links > 1)
        what = "has several names (hard links) and is never replaced; move it away, then answer replace, or keep it and go on";
    else if (look.stamp.type == STAMP_FILE && !look.has_content) /* it could not be brought back */
        what = "is too large to be kept in the journal and is left alone; to replace it, move it away first";
    else if (look.stamp.type == STAMP_FILE && !replace &&
             !(landed_last(g->store, r->state.work_dev, r->state.work_ino, l->target, &ours) && hash_eq(&ours, &look.stamp.hash)))
        what = "was there before or was edited since; keep it and go on, or replace it";
    if (what) {
        c->outcome = OUTCOME_CONFLICT;
        snprintf(c->why, sizeof c->why, "%.*s %s",
                 SLICE_ARG(slice_sub(l->target, 0, 100)), what);
    }
}

static void done_land(struct completion *c, struct slice reply)
{
    struct file_landed landed;
    struct error e;
    BUF_CLEANUP struct buf hex = BUF_INIT(2048);
    if (file_land_reply(reply, &landed, &e)) {
        fail(c, false, e.text);
        return;
    }
    stamp_to_hex(&landed.now, &hex);
    json_put_text(c->result, "stamp", buf_slice(&hex));
    if (landed.result == LANDING_CONFLICT) {
        c->outcome = OUTCOME_CONFLICT;
        snprintf(c->why, sizeof c->why, "%.*s", SLICE_ARG(slice_sub(landed.why, 0, sizeof c->why - 1)));
    }
}

static void tail_of(const struct buf *out, char *ret, size_t max)
{
    struct slice s = slice_trim(buf_slice(out));
    if (s.n > max - 1)
        s = slice_sub(s, s.n - (max - 1), s.n);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        ret[n++] = (unsigned char)s.p[i] < 0x20 ? ' ' : s.p[i];
    ret[n] = '\0';
}

/* How a command ended, in numbers and its last words. */
static void put_end(struct completion *c, const struct jail_result *res, char ret_tail[WHY_TAIL])
{
    json_put_int(c->result, "status", res->how == JAIL_EXITED ? (int64_t)res->status : 128 + (int64_t)res->status);
    json_put_int(c->result, "leftover", (int64_t)res->leftover);
    if (*res->left)
        json_put_text(c->result, "left", slice_of(res->left));
    tail_of(res->err.n ? &res->err : &res->out, ret_tail, WHY_TAIL);
    json_put_text(c->result, "tail", slice_of(ret_tail));
    if (*res->why) /* the jail could not even start it */
        json_put_text(c->result, "why", slice_of(res->why));
    if (*res->notes)
        json_put_text(c->result, "notes", slice_of(res->notes));
}

/* Whether it went well; else what failed, in one line with its last words. */
static bool went_well(struct completion *c, const struct jail_result *res, bool final, const char *what)
{
    char tail[WHY_TAIL], why[240];
    put_end(c, res, tail);
    if (res->how == JAIL_EXITED && res->status == 0)
        return true;
    snprintf(why, sizeof why, "%s (%s %llu)%s%s", what, res->how == JAIL_EXITED ? "status" : "signal", (unsigned long long)res->status,
             *tail ? ": " : "", tail);
    fail(c, final, why);
    return false;
}

void tool_denials(struct engine *g, const struct run_state *r, const struct jail_result *res, struct json *result, struct buf *words)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    const struct machine *m = g->acts.ctx;
    struct terms terms;
    struct place place = {.work = arena_str(&a, r->work), .terms = &terms, .setting = m->setting};
    struct denials d;
    if (!place.work || tool_terms(r, &a, &terms, NULL)) /* it is advice */
        return;
    denial_find(res, buf_slice(res->out.n ? &res->out : &res->err), &place, &d);
    struct json *walls = d.n ? json_array() : NULL;
    for (size_t i = 0; i < d.n; i++)
        json_push(walls, json_new_text(slice_of(d.walls[i])));
    if (walls)
        json_put(result, "met", walls);
    buf_add(words, buf_slice(&d.words));
    buf_release(&d.words);
}

/* A command's own failure is its result. */
static void done_exec(struct engine *g, const struct run *r, struct completion *c, const struct jail_result *res)
{
    BUF_CLEANUP struct buf words = BUF_INIT(DENIAL_WORDS);
    char tail[WHY_TAIL];
    put_end(c, res, tail);
    tool_denials(g, &r->state, res, c->result, &words);
    if (words.n)
        json_put_text(c->result, "advice", buf_slice(&words));
}

static void done_check(struct completion *c, const struct line *l, const struct jail_result *res)
{
    if (!went_well(c, res, false, "its check failed") && l->talk)
        check_told(l->talk, res, c);
}

static bool git_went_well(struct completion *c, const struct jail_result *res)
{
    return went_well(c, res, true, "git could not make a commit of it");
}

/* What its jails will not show, unless it was named, and that it is so. */
static void put_masked(const struct run_state *r, struct completion *c, struct credentials *masked)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    struct terms terms;
    size_t all = masked->n;
    bool known = tool_terms(r, &a, &terms, NULL) == OK;
    masked->n = 0;
    for (size_t i = 0; i < all; i++)
        if (!known || !terms_names(&terms, masked->paths[i]))
            masked->paths[masked->n++] = masked->paths[i];
    BUF_CLEANUP struct buf names = BUF_INIT(sizeof c->why);
    struct json *list = masked->n ? json_array() : NULL;
    for (size_t i = 0; i < masked->n; i++) {
        json_push(list, json_new_text(masked->paths[i]));
        if (names.n + masked->paths[i].n < sizeof c->why / 2)
            buf_addf(&names, "%s%.*s", i ? ", " : "", SLICE_ARG(masked->paths[i]));
        else if (i == 0 || !slice_ends(buf_slice(&names), SLICE(" and more")))
            buf_add_text(&names, " and more");
    }
    if (list)
        json_put(c->result, "masked", list);
    if (masked->cut)
        json_put_bool(c->result, "masked_cut", true);
    if (list)
        snprintf(c->why, sizeof c->why, "hidden, as they hold credentials: %s (--show PATH shows one)", buf_str(&names));
}

/* The first step of a command: what of the folder it could not write, and whether overlays can be had here. */
static void done_survey(const struct run_state *r, struct completion *c, const struct jail_job *job, struct slice reply)
{
    struct survey s;
    struct credentials masked;
    struct error e;
    if (layer_survey_reply(reply, &s, &masked, &e)) {
        fail(c, true, e.text);
        return;
    }
    json_put_text(c->result, "backend", job->plain ? SLICE("copy") : SLICE("overlay"));
    json_put_int(c->result, "files", (int64_t)s.files);
    json_put_int(c->result, "foreign_owner", (int64_t)s.foreign_owner);
    json_put_int(c->result, "foreign_group", (int64_t)s.foreign_group);
    put_masked(r, c, &masked);
    uint64_t foreign = s.foreign_owner + s.foreign_group;
    size_t at = strlen(c->why);
    if (foreign && !job->plain)
        snprintf(c->why + at, sizeof c->why - at, "%s%llu%s files here belong to another %s and cannot be changed inside, the first is %.100s",
                 at ? "; " : "", (unsigned long long)foreign, s.cut ? " or more" : "", s.foreign_owner ? "user" : "group", s.example);
}

/* The layer of a command is sealed: how the command went was kept until now. */
static void done_seal(struct engine *g, struct run *r, struct jail_job *job, const struct open_step *o, const struct jail_result *res, struct completion *c)
{
    struct error e = {0};
    if (o->stage == STAGE_CALL)
        (void)!call_result(g, r, o, &job->ran, c, &e);
    else if (o->stage == STAGE_EXEC)
        done_exec(g, r, c, &job->ran);
    else if (!git_went_well(c, &job->ran))
        return; /* what it wrote goes with its layer */
    if (e.code)
        ;
    else if (res->how != JAIL_EXITED || res->status != 0)
        error_set(&e, ERR_IO, "%.200s", *res->why ? res->why : "the file tool was ended");
    else
        (void)!layer_sealed(g->acts.ctx, job, buf_slice(&res->reply), c, &e);
    if (!e.code && o->stage == STAGE_COMMIT)
        (void)!commit_rest(g, &r->state, c, &e);
    if (e.code) {
        char why[240];
        snprintf(why, sizeof why, "what it changed cannot be kept: %.200s", e.text);
        fail(c, true, why);
    }
}

static void done_squash(struct engine *g, struct jail_job *job, const struct open_step *o, struct completion *c)
{
    struct error e = {0};
    if (layer_squashed(g, o, job, c, &e))
        fail(c, false, e.text);
}

bool tool_jail_was_killed(const struct jail_result *res)
{
    return res->how == JAIL_SIGNALLED && *res->why;
}

/* A call that changed nothing, or that was ended by a limit: what it changed is gone with its layer then. */
static void done_call(struct engine *g, struct run *r, const struct open_step *o, const struct jail_result *res, struct completion *c)
{
    struct error e = {0};
    if (call_result(g, r, o, res, c, &e))
        fail(c, true, e.text);
}

static void done_instruct(struct run *r, struct slice reply, struct completion *c)
{
    struct error e = {0};
    if (instruct_result(r, reply, c, &e))
        fail(c, true, e.text);
}

/* Nothing to commit: what the run changed is nothing that git knows. */
static void done_commit(struct engine *g, struct run *r, const struct jail_result *res, struct completion *c)
{
    struct error e = {0};
    if (git_went_well(c, res) && commit_rest(g, &r->state, c, &e))
        fail(c, true, e.text);
}

void tool_done(struct engine *g, struct run *r, const struct open_step *o, struct jail_job *job, const struct jail_result *res,
               struct completion *c)
{
    const struct line *l = run_line(&r->state, o->item, o->piece);
    ARENA_CLEANUP struct arena a = ARENA_INIT(8 << 20);
    char why[240];
    c->result = json_object();
    c->used.n[UNIT_CPU_NS] = (int64_t)(job->cpu_ns + res->cpu_ns);
    if (r->state.nservices && o->held.n[UNIT_CPU_NS] > c->used.n[UNIT_CPU_NS]) /* M2: as far as it was reserved */
        c->used.n[UNIT_CPU_NS] += (int64_t)services_cpu(g->acts.ctx, r->state.id, (uint64_t)(o->held.n[UNIT_CPU_NS] - c->used.n[UNIT_CPU_NS]));
    if (res->how == JAIL_REFUSED || res->how == JAIL_NO_LAYERS) {
        fail(c, true, res->why);
    } else if (o->stage == STAGE_CALL && job->phase == PHASE_RUN && !tool_jail_was_killed(res)) {
        done_call(g, r, o, res, c);
    } else if (jail_took(res->how)) {
        BUF_CLEANUP struct buf words = BUF_INIT(DENIAL_WORDS);
        if (o->stage == STAGE_EXEC || o->stage == STAGE_VERIFY)
            tool_denials(g, &r->state, res, c->result, &words);
        struct slice line = slice_sub(buf_slice(&words), 0, slice_index(buf_slice(&words), '\n'));
        snprintf(why, sizeof why, "took %s and was ended%s%.*s", jail_took(res->how), line.n ? ": " : "", SLICE_ARG(line));
        fail(c, false, why);
    } else if (job->phase == PHASE_RUN && tool_jail_was_killed(res)) {
        fail(c, false, res->why);
    } else if (job->phase == PHASE_COPY) { /* else the next phase would have begun */
        snprintf(why, sizeof why, "the folder cannot be copied, and there are no overlays here: %.150s",
                 *res->why ? res->why : "the file tool was ended by a signal");
        fail(c, true, why);
    } else if (job->phase == PHASE_SEAL) {
        done_seal(g, r, job, o, res, c);
    } else if (o->stage == STAGE_COMMIT) {
        done_commit(g, r, res, c);
    } else if (o->stage == STAGE_VERIFY) {
        done_check(c, l, res);
    } else if (o->stage == STAGE_EXEC) {
        done_exec(g, r, c, res);
    } else if (res->how != JAIL_EXITED || res->status != 0) {
        fail(c, res->how == JAIL_EXITED && (res->status == ERR_MISSING || res->status == ERR_UNSUPPORTED || res->status == ERR_DENIED || res->status == ERR_LIMIT),
             *res->why ? res->why : "the file tool was ended by a signal");
    } else if (o->stage == STAGE_LIST) {
        done_list(c, r->state.items[o->item].plan, buf_slice(&res->reply), &a);
    } else if (o->stage == STAGE_READ) {
        done_read(c, r, l, buf_slice(&res->reply));
    } else if (o->stage == STAGE_LOOK) {
        done_look(c, g, r, l, buf_slice(&res->reply));
    } else if (o->stage == STAGE_INSTRUCT) {
        done_instruct(r, buf_slice(&res->reply), c);
    } else if (o->stage == STAGE_SURVEY) {
        done_survey(&r->state, c, job, buf_slice(&res->reply));
    } else if (o->stage == STAGE_SQUASH) {
        done_squash(g, job, o, c);
    } else if (o->stage == STAGE_APPLY) {
        apply_done(g, r, o, buf_slice(&res->reply), c);
    } else {
        done_land(c, buf_slice(&res->reply));
    }
}
