/*
 * What an agent's tools do: a call of an answer becomes a jail (or is answered at once), and what came of it the next turn.
 *
 * A call that fails is a result like any other: the model is told and goes on. Only what is wrong with the machine (no jail, no
 * layer) is a failure of the step. The class is `again`: a call that died is dropped with its layer and done anew.
 */
#include "engine/act_call.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/sys.h"
#include "context/output.h"
#include "engine/service.h"
#include "engine/talk_text.h"
#include "model/usage.h"
#include "tools/denial.h"
#include "tools/work.h"
#include "view/turn.h"

enum { CALL_ARENA = 32 << 20, SHOWN_BYTES = 48 * 1024, SHOWN_LEAST = 2048, KEPT_BYTES = 16 << 20, BASH_SECONDS = 600, FILE_SECONDS = 20,
       OUTPUT_BYTES = 2 << 20, CHECK_SHOWN = 8 * 1024 };

/* ---- the call ---- */

struct called {
    struct transcript_part part; /* as the model wrote it */
    struct tool_call call;
    char wrong[600];             /* not empty: it cannot be carried out, and this is why */
};

static enum err call_read(struct engine *g, const struct talk *t, struct arena *a, struct called *ret, struct error *e)
{
    struct error why = {0};
    *ret = (struct called){0};
    enum err err = talk_call(g->store, t, t->next, a, &ret->part, e);
    if (err)
        return err;
    if (ret->part.malformed)
        snprintf(ret->wrong, sizeof ret->wrong, "the arguments are no JSON object, or were cut; nothing was done. Call it again with whole "
                 "arguments (a long file in several parts)");
    else if (tool_call_parse(ret->part.name, ret->part.text, a, &ret->call, &why))
        snprintf(ret->wrong, sizeof ret->wrong, "%.590s", why.text);
    return OK;
}

enum err call_prepare(struct engine *g, struct run *r, const struct want *w, struct json *args, int64_t *ret_seconds, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(CALL_ARENA);
    const struct talk *t = run_line(&r->state, w->item, w->piece)->talk;
    struct called c;
    enum err err = call_read(g, t, &a, &c, e);
    if (err)
        return err;
    json_put_hash(args, "turn", &t->turns[t->answer].blob);
    json_put_int(args, "call", (int64_t)t->next);
    json_put_text(args, "tool", *c.wrong ? SLICE("") : slice_of(tool_name(c.call.tool)));
    json_put_bool(args, "copies", r->state.copies);
    *ret_seconds = c.call.tool == TOOL_BASH ? (c.call.timeout_s ? (int64_t)c.call.timeout_s : BASH_SECONDS) : FILE_SECONDS;
    return OK;
}

/* ---- results ---- */

/* What one result may have, so that a small window is not filled by it. */
static size_t shown_max(const struct run_state *r)
{
    uint64_t part = r->window * TALK_BYTES_A_TOKEN / 6;
    return part < SHOWN_LEAST ? SHOWN_LEAST : part > SHOWN_BYTES ? SHOWN_BYTES : (size_t)part;
}

/* Makes the completion's turn: the result, cut where it is long, and then kept whole beside it. */
static void put_result(const struct run_state *r, const struct open_step *o, const struct called *call, struct slice text, bool failed,
                       struct completion *c)
{
    char how[40];
    bool cut = false;
    BUF_CLEANUP struct buf shown = BUF_INIT(2 * SHOWN_BYTES + OUTPUT_MIN);
    snprintf(how, sizeof how, "read step:%u", o->key.step);
    if (output_cut(text, shown_max(r), how, &shown, &cut))
        buf_reset(&shown);
    if (cut) {
        buf_release(&c->more);
        c->more = BUF_INIT(KEPT_BYTES);
        buf_add(&c->more, text);
        c->more_key = "output";
    }
    buf_release(&c->blob);
    c->blob = BUF_INIT(BLOB_BYTES_MAX);
    talk_result(call->part.id, shown.n ? buf_slice(&shown) : SLICE("(no output)"), failed, &c->blob);
    json_put_int(c->result, "bytes", (int64_t)c->blob.n);
    json_put_bool(c->result, "ok", !failed);
    c->blob_key = "turn";
}

static void put_words(const struct run_state *r, const struct open_step *o, const struct called *call, const char *text, bool failed,
                      struct completion *c)
{
    put_result(r, o, call, slice_of(text), failed, c);
}

/* ---- answered at once: what is wrong, and what the journal keeps ---- */

struct kept {
    uint32_t step;
    struct hash output, turn;
    bool has_output, has_turn;
};

static enum err find_kept(void *ctx, const struct event *ev, struct error *e)
{
    struct kept *k = ctx;
    JSON_CLEANUP struct json *p = NULL;
    (void)e;
    if (ev->type != EVENT_STEP_FINISHED || ev->key.step != k->step || ev->redacted || json_parse(ev->payload, &p, NULL))
        return OK;
    const struct json *res = json_get(p, "result");
    k->has_output |= hash_from_hex(json_text(json_get(res, "output")), &k->output);
    k->has_turn |= hash_from_hex(json_text(json_get(res, "turn")), &k->turn);
    return OK;
}

/* All words of a turn, calls and results too, as a person would write them down. */
static void turn_words(struct store *s, const struct hash *h, struct buf *out)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(TURN_ARENA);
    struct transcript_turn turn;
    if (turn_read(s, h, &a, &turn, NULL))
        return;
    for (size_t i = 0; i < turn.n; i++) {
        const struct transcript_part *p = &turn.parts[i];
        if (p->kind == PART_CALL)
            buf_addf(out, "[call of %.*s] ", SLICE_ARG(p->name));
        if (p->kind != PART_IMAGE && p->kind != PART_REASONING)
            buf_add(out, p->text);
        buf_add_char(out, '\n');
    }
}

static struct slice lines_of(struct slice text, uint64_t offset, uint64_t lines)
{
    struct slice rest = text, line;
    uint64_t from = offset ? offset : 1, n = 1;
    const char *begin = text.p, *end;
    while (n < from && slice_line(&rest, &line)) {
        begin = rest.p;
        n++;
    }
    end = begin;
    for (uint64_t k = 0; rest.n && (!lines || k < lines) && slice_line(&rest, &line); k++)
        end = rest.p;
    return begin && end ? (struct slice){begin, (size_t)(end - begin)} : SLICE_NONE;
}

static void read_kept(struct engine *g, struct run *r, const struct open_step *o, const struct called *call, struct completion *c)
{
    const struct talk *t = run_line(&r->state, o->item, o->piece)->talk;
    BUF_CLEANUP struct buf text = BUF_INIT(BLOB_BYTES_MAX);
    struct kept k = {.step = (uint32_t)call->call.step};
    int64_t turn = 0;
    if (slice_starts(call->call.path, SLICE("turn:")) && slice_int(slice_sub(call->call.path, 5, call->call.path.n), &turn) && turn > 0 &&
        (size_t)turn <= t->nturns)
        turn_words(g->store, &t->turns[turn - 1].blob, &text);
    else if (k.step && journal_read(g->store, r->state.id, find_kept, &k, NULL) == OK && (k.has_output || k.has_turn)) {
        if (k.has_output)
            (void)!blob_get(g->store, &k.output, &text, NULL);
        else
            turn_words(g->store, &k.turn, &text);
    } else {
        put_words(&r->state, o, call, "there is no such step or turn here", true, c);
        return;
    }
    struct slice part = lines_of(buf_slice(&text), call->call.offset, call->call.lines);
    put_result(&r->state, o, call, part.n ? part : SLICE("(nothing there)"), false, c);
}

static bool is_kept(struct slice path)
{
    return slice_starts(path, SLICE("step:")) || slice_starts(path, SLICE("turn:"));
}

/* Whether a file tool is called with one of the files that its jail shows empty: better said than seen. */
static bool is_hidden(const struct run_state *r, const struct tool_call *c, struct arena *a)
{
    struct place place = {.work = arena_str(a, r->work)};
    struct slice path = c->path;
    if (!place.work || !r->masked.n || (c->tool != TOOL_READ && c->tool != TOOL_WRITE && c->tool != TOOL_EDIT) ||
        tool_masked(r, a, &place, NULL))
        return false;
    while (slice_starts(path, SLICE("./")))
        path = slice_sub(path, 2, path.n);
    for (size_t i = 0; i < place.nmasked; i++)
        if (slice_eq(path, place.masked[i]) || slice_eq(path, slice_sub(place.masked[i], r->work.n + 1, place.masked[i].n)))
            return true;
    return false;
}

enum err call_at_once(struct engine *g, struct run *r, const struct open_step *o, struct completion *c, bool *ret_done, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(CALL_ARENA);
    struct called call;
    enum err err = call_read(g, run_line(&r->state, o->item, o->piece)->talk, &a, &call, e);
    bool hidden = !err && !*call.wrong && is_hidden(&r->state, &call.call, &a);
    *ret_done = !err && (*call.wrong || hidden || (call.call.tool == TOOL_READ && is_kept(call.call.path)));
    if (err || !*ret_done)
        return err;
    *c = (struct completion){.key = o->key, .outcome = OUTCOME_OK, .blob = BUF_INIT(BLOB_BYTES_MAX), .result = json_object()};
    if (*call.wrong)
        put_words(&r->state, o, &call, call.wrong, true, c);
    else if (hidden)
        put_words(&r->state, o, &call, "this file holds credentials and is hidden from you; where the work needs it, the person may show it (--show)", true, c);
    else
        read_kept(g, r, o, &call, c);
    return OK;
}

/* ---- services ---- */

static struct service declared(const struct tool_call *c, uint32_t step)
{
    struct service s = {.name = c->name, .run = c->command, .nports = c->nports, .writes = c->writes, .step = step};
    memcpy(s.ports, c->ports, sizeof s.ports);
    return s;
}

enum err call_served(struct engine *g, struct run *r, const struct open_step *o, struct slice text, bool ok, struct completion *c,
                     struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(CALL_ARENA);
    struct called call;
    struct json *service = NULL;
    enum err err = call_read(g, run_line(&r->state, o->item, o->piece)->talk, &a, &call, e);
    if (err)
        return err;
    if (ok && call.call.stop) {
        service = json_object();
        json_put_text(service, "name", call.call.name);
        json_put_bool(service, "stop", true);
    } else if (ok && call.call.command.n) {
        struct service s = declared(&call.call, o->key.step);
        service = service_print(&s);
    }
    if (service)
        json_put(c->result, "service", service);
    put_result(&r->state, o, &call, text, !ok, c);
    return OK;
}

static void answer_now(struct engine *g, struct run *r, const struct open_step *o, struct slice text, bool ok)
{
    struct completion c = {.key = o->key, .outcome = OUTCOME_OK, .blob = BUF_INIT(BLOB_BYTES_MAX), .result = json_object()};
    struct error e = {0};
    if (call_served(g, r, o, text, ok, &c, &e)) {
        c.outcome = OUTCOME_FAILED;
        snprintf(c.why, sizeof c.why, "%.239s", e.text);
    }
    engine_complete(g, &c);
}

enum err call_serve(struct engine *g, struct run *r, const struct open_step *o, bool *ret_is, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(CALL_ARENA);
    BUF_CLEANUP struct buf text = BUF_INIT(2 * SERVICE_SHOWN_BYTES);
    struct called call;
    struct error why = {0};
    enum err err = call_read(g, run_line(&r->state, o->item, o->piece)->talk, &a, &call, e);
    *ret_is = !err && call.call.tool == TOOL_SERVE;
    if (err || !*ret_is)
        return err;
    const struct tool_call *c = &call.call;
    const struct service *known = run_service(&r->state, c->name);
    struct service s = declared(c, o->key.step);
    bool begins = c->command.n && !c->stop;
    if (begins) {
        err = service_fits(&s, r->state.services, r->state.nservices, &why);
        err = err ? err : service_begin(g, r, o, &s, &why);
    } else if (!known) {
        err = error_set(&why, ERR_MISSING, "there is no service %.*s; `serve` with a command makes one", SLICE_ARG(c->name));
    } else {
        err = c->stop ? service_stop(g, r, o, c->name, &why) : service_show(g, r, o, c->name, &why);
    }
    if (!begins && err == ERR_MISSING && known) { /* it does not run: then it is stopped, or shown as it was */
        service_last(g->acts.ctx, &r->state, c->name, &text);
        answer_now(g, r, o, c->stop ? SLICE("it is stopped") : buf_slice(&text), true);
    } else if (err) {
        answer_now(g, r, o, slice_of(why.text), false);
    }
    return OK;
}

/* ---- in a jail ---- */

static enum err bash_plan(const struct place *place, const struct tool_call *c, struct arena *a, struct slice *words, struct jail_plan *ret,
                          struct error *e)
{
    uint64_t seconds = c->timeout_s ? c->timeout_s : BASH_SECONDS, cpu_ms = ret->limits.cpu_ms;
    words[0] = SLICE("/bin/bash");
    words[1] = SLICE("-c");
    words[2] = slice_of(arena_printf(a, "exec 2>&1\n%.*s", SLICE_ARG(c->command)));
    if (!words[2].p)
        return error_set(e, ERR_MEMORY, "no memory for a call");
    uint64_t wall_ms = terms_limit(place->terms, LIMIT_TIME, seconds * 1000);
    enum err err = place_command(place, words, 3, cpu_ms, wall_ms < seconds * 1000 ? wall_ms : seconds * 1000, a, ret, e);
    ret->limits.output = terms_limit(place->terms, LIMIT_OUTPUT, OUTPUT_BYTES);
    return err;
}

/* A file tool sees what a command sees, with the limits of a file tool. */
static enum err file_tool_plan(const struct place *place, struct arena *a, struct jail_plan *ret, struct error *e)
{
    struct jail_limits limits = ret->limits;
    enum err err = place_command(place, NULL, 0, limits.cpu_ms, limits.wall_ms, a, ret, e);
    ret->limits = limits;
    ret->nests = false; /* it is our own code */
    return err;
}

enum err call_plan(struct engine *g, struct run *r, const struct open_step *o, const struct place *place, struct arena *a, struct slice *words,
                   struct buf *message, struct jail_plan *ret, struct error *e)
{
    struct called c;
    struct slice root = slice_of(place->work);
    enum err err = call_read(g, run_line(&r->state, o->item, o->piece)->talk, a, &c, e);
    if (err)
        return err;
    struct edit *edits = arena_array(a, c.call.nedits ? c.call.nedits : 1, sizeof *edits);
    if (!edits)
        return error_set(e, ERR_MEMORY, "no memory for a call");
    if (c.call.tool != TOOL_BASH && (err = file_tool_plan(place, a, ret, e)))
        return err;
    switch (c.call.tool) {
    case TOOL_READ:
        ret->applet = SLICE("work-read");
        work_read_args(message, root, c.call.path, c.call.offset, c.call.lines, shown_max(&r->state));
        break;
    case TOOL_WRITE:
        ret->applet = SLICE("work-write");
        work_write_args(message, root, c.call.path, c.call.content, 0644);
        break;
    case TOOL_EDIT:
        for (size_t i = 0; i < c.call.nedits; i++)
            edits[i] = (struct edit){c.call.edits[i].old, c.call.edits[i].new, c.call.edits[i].all};
        ret->applet = SLICE("work-edit");
        work_edit_args(message, root, c.call.path, edits, c.call.nedits);
        break;
    default:
        return bash_plan(place, &c.call, a, words, ret, e);
    }
    if (place->upper.n || place->copy.n)
        ret->limits.disk = (uint64_t)1 << 30;
    ret->args = buf_slice(message);
    return buf_check(message, "a tool's arguments", e);
}

/* ---- what came of it ---- */

static void bash_result(struct engine *g, const struct run_state *r, const struct open_step *o, const struct called *call, const struct jail_result *res,
                        struct completion *c)
{
    BUF_CLEANUP struct buf text = BUF_INIT(KEPT_BYTES);
    bool failed = res->how != JAIL_EXITED || res->status != 0;
    buf_add(&text, buf_slice(&res->out));
    if (text.n && text.p[text.n - 1] != '\n')
        buf_add_char(&text, '\n');
    if (jail_took(res->how))
        buf_addf(&text, "[it took %s and was ended; what it changed was dropped]\n", jail_took(res->how));
    else if (res->how == JAIL_SIGNALLED)
        buf_addf(&text, "[ended by signal %llu]\n", (unsigned long long)res->status);
    else if (res->status)
        buf_addf(&text, "[exit status %llu]\n", (unsigned long long)res->status);
    if (*res->why && res->how == JAIL_EXITED)
        buf_addf(&text, "[%s]\n", res->why);
    if (*res->notes)
        buf_addf(&text, "[%s]\n", res->notes);
    if (res->leftover)
        buf_addf(&text, "[%llu processes that it left running%s%s%s were ended; servers are run by `serve`]\n",
                 (unsigned long long)res->leftover, *res->left ? " (" : "", res->left, *res->left ? ")" : "");
    BUF_CLEANUP struct buf advice = BUF_INIT(DENIAL_WORDS);
    tool_denials(g, r, res, c->result, &advice);
    struct slice rest = buf_slice(&advice), line;
    while (slice_line(&rest, &line))
        buf_addf(&text, "[jail: %.*s]\n", SLICE_ARG(line));
    if (r->nservices)
        services_tell(g->acts.ctx, r, &text);
    json_put_int(c->result, "status", res->how == JAIL_EXITED ? (int64_t)res->status : 128 + (int64_t)res->status);
    put_result(r, o, call, buf_slice(&text), failed, c);
}

static void put_change(struct json *result, uint64_t added, uint64_t removed)
{
    json_put_int(result, "added", (int64_t)(added < INT32_MAX ? added : INT32_MAX));
    json_put_int(result, "removed", (int64_t)(removed < INT32_MAX ? removed : INT32_MAX));
}

static enum err read_result(const struct run_state *r, const struct open_step *o, const struct called *call, struct slice reply,
                            struct completion *c, struct error *e)
{
    struct work_read w;
    BUF_CLEANUP struct buf text = BUF_INIT(WORK_BYTES_MAX + 4096);
    enum err err = work_read_reply(reply, &w, e);
    if (err)
        return err;
    if (w.media.n) {
        struct transcript_part parts[2] = {{.kind = PART_RESULT, .id = call->part.id, .text = SLICE("(the image is below)")},
                                           {.kind = PART_IMAGE, .name = w.media, .text = w.image}};
        struct transcript_turn turn = {TURN_USER, parts, 2};
        err = turn_print(&turn, &c->blob, e);
        json_put_int(c->result, "bytes", (int64_t)c->blob.n + USAGE_IMAGE_TOKENS * TALK_BYTES_A_TOKEN);
        json_put_bool(c->result, "ok", true);
        c->blob_key = "turn";
        return err;
    }
    buf_add(&text, w.text);
    if (w.from > w.to)
        buf_addf(&text, "(%s)\n", w.total ? "no lines there" : w.folder ? "an empty folder" : "an empty file");
    else if (w.to < w.total)
        buf_addf(&text, "(lines %llu to %llu of %llu; go on with offset %llu)\n", (unsigned long long)w.from, (unsigned long long)w.to,
                 (unsigned long long)w.total, (unsigned long long)w.to + 1);
    json_put_int(c->result, "lines", (int64_t)(w.to >= w.from ? w.to - w.from + 1 : 0));
    put_result(r, o, call, buf_slice(&text), false, c);
    return OK;
}

static enum err write_result(const struct run_state *r, const struct open_step *o, const struct called *call, struct slice reply,
                             struct completion *c, struct error *e)
{
    struct work_written w;
    char text[200];
    enum err err = work_write_reply(reply, &w, e);
    if (err)
        return err;
    put_change(c->result, w.added, w.removed);
    snprintf(text, sizeof text, "%s, %llu bytes (+%llu -%llu lines)", w.created ? "created" : "written", (unsigned long long)w.bytes,
             (unsigned long long)w.added, (unsigned long long)w.removed);
    put_words(r, o, call, text, false, c);
    return OK;
}

static enum err edit_result(const struct run_state *r, const struct open_step *o, const struct called *call, struct slice reply,
                            struct completion *c, struct error *e)
{
    struct work_edited w;
    BUF_CLEANUP struct buf text = BUF_INIT(16384);
    enum err err = work_edit_reply(reply, &w, e);
    if (err)
        return err;
    if (w.why.n) {
        put_result(r, o, call, w.why, true, c);
        return OK;
    }
    put_change(c->result, w.added, w.removed);
    buf_addf(&text, "edited: %llu place%s, from line %llu (+%llu -%llu)", (unsigned long long)w.replaced, w.replaced == 1 ? "" : "s",
             (unsigned long long)w.line, (unsigned long long)w.added, (unsigned long long)w.removed);
    if (w.note.n)
        buf_addf(&text, "\n%.*s", SLICE_ARG(w.note));
    put_result(r, o, call, buf_slice(&text), false, c);
    return OK;
}

enum err call_result(struct engine *g, struct run *r, const struct open_step *o, const struct jail_result *res, struct completion *c,
                     struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(CALL_ARENA);
    struct called call;
    enum err err = call_read(g, run_line(&r->state, o->item, o->piece)->talk, &a, &call, e);
    if (err)
        return err;
    if (call.call.tool == TOOL_BASH)
        bash_result(g, &r->state, o, &call, res, c);
    else if (res->how != JAIL_EXITED || res->status != 0) /* an applet that refused: its words are for the model */
        put_words(&r->state, o, &call, *res->why ? res->why : "the file tool was ended", true, c);
    else if (call.call.tool == TOOL_READ)
        err = read_result(&r->state, o, &call, buf_slice(&res->reply), c, e);
    else if (call.call.tool == TOOL_WRITE)
        err = write_result(&r->state, o, &call, buf_slice(&res->reply), c, e);
    else
        err = edit_result(&r->state, o, &call, buf_slice(&res->reply), c, e);
    return err;
}

/* ---- instructions ---- */

static const char *const homes[] = {".claude/CLAUDE.md", ".codex/AGENTS.md", ".pi/agent/AGENTS.md", ".claude/skills", ".agents/skills",
                                    ".codex/skills", ".pi/agent/skills"};
enum { HOMES = sizeof homes / sizeof *homes };

enum err instruct_plan(const struct machine *m, const struct place *place, struct arena *a, struct buf *message, struct jail_plan *ret,
                       struct error *e)
{
    struct slice extra[HOMES];
    size_t n = 0;
    struct stat st;
    for (size_t i = 0; m->home && i < HOMES; i++) {
        char *path = arena_printf(a, "%s/%s", m->home, homes[i]);
        if (!path)
            return error_set(e, ERR_MEMORY, "no memory for the instructions");
        if (sys->fstatat(AT_FDCWD, path, &st, 0) < 0 || slice_below(slice_of(path), slice_of(place->work)))
            continue;
        if (jail_plan_add(ret, (struct jail_mount){.kind = JAIL_READ, .source = slice_of(path), .target = slice_of(path), .optional = true}))
            extra[n++] = slice_of(path);
    }
    ret->applet = SLICE("instruct");
    work_instruct_args(message, slice_of(place->work), slice_of(place->work), extra, n, 0);
    ret->args = buf_slice(message);
    return buf_check(message, "a tool's arguments", e);
}

enum err instruct_result(struct run *r, struct slice reply, struct completion *c, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(CALL_ARENA);
    struct work_told told;
    char place[100];
    time_t now = (time_t)(sys->now_ms() / 1000);
    struct tm tm;
    enum err err = work_instruct_reply(reply, &a, &told, e);
    if (err)
        return err;
    localtime_r(&now, &tm);
    strftime(place, sizeof place, "Linux, %Y-%m-%d", &tm);
    struct system_prompt p = {.work = r->state.work, .place = slice_of(place), .texts = told.texts, .ntexts = told.ntexts,
                              .skills = told.skills, .nskills = told.nskills};
    system_prompt(&p, &c->blob);
    struct json *files = json_array(), *notes = json_array();
    for (size_t i = 0; i < told.ntexts; i++)
        json_push(files, json_new_text(told.texts[i].path));
    for (size_t i = 0; i < told.nnotes && i < 20; i++)
        json_push(notes, json_new_text(told.notes[i]));
    json_put(c->result, "files", files);
    json_put_int(c->result, "skills", (int64_t)told.nskills);
    json_put(c->result, "notes", notes);
    json_put_int(c->result, "bytes", (int64_t)c->blob.n);
    c->blob_key = "system";
    return buf_check(&c->blob, "the instructions", e);
}

/* ---- checks ---- */

void check_told(const struct talk *t, const struct jail_result *res, struct completion *c)
{
    BUF_CLEANUP struct buf text = BUF_INIT(4 * CHECK_SHOWN), out = BUF_INIT(KEPT_BYTES), shown = BUF_INIT(2 * CHECK_SHOWN);
    buf_add(&out, buf_slice(&res->out));
    buf_add(&out, buf_slice(&res->err));
    if (output_cut(buf_slice(&out), CHECK_SHOWN, "run it to see all", &shown, NULL))
        buf_reset(&shown);
    buf_addf(&text, "You are not done: the check `%.*s` failed (%s %llu).\n%.*s\nMend what is wrong, then say that you are done.",
             SLICE_ARG(slice_sub(t->verify, 0, 1000)), res->how == JAIL_EXITED ? "status" : "signal", (unsigned long long)res->status,
             SLICE_ARG(buf_slice(&shown)));
    talk_note(buf_slice(&text), &c->blob);
    json_put_int(c->result, "bytes", (int64_t)c->blob.n);
    c->blob_key = "turn";
}
