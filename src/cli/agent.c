#include "cli/agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "cli/choose.h"
#include "context/tools.h"
#include "engine/talk_text.h"
#include "model/prices.h"
#include "view/turn.h"

enum { TITLE_MAX = 400, DETAIL_MAX = 64 * 1024,
       EMBEDDED_WINDOW = 2048 /* what the small model was made for; crannog-infer has 4096 */, EMBEDDED_OUTPUT = 400 };

/* ---- its beginning ---- */

/* The window and the longest answer of a model: of the catalogue, else as most servers have it. */
static void find_limits(struct agent_model *m)
{
    const struct price *p = price_find(NULL, 0, m->provider, m->model);
    if (!m->window)
        m->window = p && p->context ? p->context : AGENT_WINDOW;
    int64_t output = p && p->max_output ? p->max_output : AGENT_OUTPUT;
    if (!m->max_output)
        m->max_output = output;
    if (m->max_output > AGENT_OUTPUT)
        m->max_output = AGENT_OUTPUT;
    if (m->max_output > m->window / 4)
        m->max_output = m->window / 4;
}

enum err agent_check_folder(const struct cli *c, const char *work, struct error *e)
{
    char real[PATH_MAX];
    const char *crannog = realpath(buf_str(&c->crannog), real) ? real : buf_str(&c->crannog);
    if (!slice_below(slice_of(crannog), slice_of(work)) && !slice_eq(slice_of(crannog), slice_of(work)))
        return OK;
    return error_set(e, ERR_USAGE, "your crannog (%.150s) lies in %.150s, so an agent cannot work there: go to a folder below it, or keep the "
                     "crannog elsewhere (-C DIR, $CRANNOG)", crannog, work);
}

/* The crannog's own model, by a person's word alone: it is too small to be taken for a real goal. */
static enum err choose_embedded(struct cli *c, const char *name, struct arena *a, struct agent_model *ret, struct error *e)
{
    struct config cfg;
    BUF_CLEANUP struct buf path = BUF_INIT(PATH_MAX);
    enum err err = config_read(c, a, &cfg, e);
    if (!err)
        err = config_model(c, &cfg, name, &path, e);
    if (err)
        return err;
    struct slice file = arena_copy(a, buf_slice(&path)), base = slice_sub(file, slice_last_part(file), file.n);
    *ret = (struct agent_model){.provider = SLICE("embedded"), .model = slice_sub(base, 0, base.n - strlen(".gguf")), .file = file.p,
                                .window = EMBEDDED_WINDOW, .max_output = EMBEDDED_OUTPUT};
    ret->ref = slice_of(arena_printf(a, "embedded/%.*s", SLICE_ARG(ret->model)));
    return OK;
}

enum err agent_file(struct cli *c, const struct run_state *r, struct buf *ret, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    struct config cfg;
    char *name = arena_str(&a, r->server.model);
    if (!slice_is(r->server.provider, "embedded"))
        return OK;
    enum err err = name ? config_read(c, &a, &cfg, e) : error_set(e, ERR_MEMORY, "no memory for a name");
    return err ? err : config_model(c, &cfg, name, ret, e);
}

enum err agent_choose(struct cli *c, const char *wanted, struct arena *a, struct agent_model *ret, struct peer *ret_door, struct error *e)
{
    struct choose_with w;
    struct choice choice;
    BUF_CLEANUP struct buf told = BUF_INIT(16384);
    if (ret_door)
        *ret_door = PEER_INIT;
    if (wanted && (strcmp(wanted, "embedded") == 0 || strncmp(wanted, "embedded/", 9) == 0))
        return choose_embedded(c, wanted[8] ? wanted + 9 : NULL, a, ret, e);
    enum err err = choose_open(c, true, a, &w, e);
    if (err)
        return err;
    err = choose_model(&w, wanted, a, &choice, &told, e);
    if (!err && ret_door)
        *ret_door = w.door;
    else
        choose_close(&w);
    if (told.n)
        fprintf(stderr, "%s", buf_str(&told));
    if (err)
        return err;
    *ret = (struct agent_model){.ref = choice.ref, .provider = choice.place.provider, .model = choice.model, .base = choice.place.base,
                                .secret = choice.place.secret, .window = choice.context, .max_output = choice.max_output};
    find_limits(ret);
    return OK;
}

/* As run.started and model.changed have it; the caller owns it. */
static struct json *server_of(const struct agent_model *m)
{
    struct json *o = json_object();
    json_put_text(o, "provider", m->provider);
    json_put_text(o, "model", m->model);
    json_put_text(o, "base", m->base);
    json_put_text(o, "secret", m->secret);
    json_put_int(o, "window", m->window);
    json_put_int(o, "max_output", m->max_output);
    return o;
}

/* The turns of another talk, for a fork of it. */
static void put_turns(const struct talk *of, struct json *talk)
{
    struct json *turns = json_array();
    for (size_t i = 0; i < of->nturns; i++) {
        struct json *o = json_object();
        json_put_hash(o, "turn", &of->turns[i].blob);
        json_put_int(o, "bytes", (int64_t)of->turns[i].bytes);
        json_put_int(o, "kind", of->turns[i].kind);
        json_push(turns, o);
    }
    json_put(talk, "turns", turns);
    json_put_int(talk, "from", (int64_t)of->from);
    if (!hash_is_zero(&of->summary)) {
        json_put_hash(talk, "summary", &of->summary);
        json_put_int(talk, "summary_bytes", (int64_t)of->summary_bytes);
    }
}

static struct slice started_payload(void *ctx, uint64_t run, struct buf *out)
{
    struct agent_job *j = ctx;
    JSON_CLEANUP struct json *p = session_started(run, j->work, &j->st, j->terms);
    struct json *talk = json_object();
    json_put_bool(talk, "attended", j->attended);
    json_put_bool(talk, "commits", j->commits);
    json_put_text(talk, "verify", slice_of(j->verify));
    json_put_int(talk, "checks", j->checks ? j->checks : 1);
    if (j->of)
        put_turns(run_talk(j->of), talk);
    if (j->of)
        json_put(p, "origin", session_origin("fork", j->of->id));
    json_put_text(p, "plan_path", SLICE(AGENT_PLAN_PATH));
    json_put_text(p, "goal", j->goal);
    json_put_text(p, "model", j->model.ref);
    json_put(p, "server", server_of(&j->model));
    json_put(p, "talk", talk);
    session_put_services(j->services, p);
    caps_print(&j->budget, p, "budget");
    json_put_text(p, "land", slice_of(land_name(j->land)));
    json_print(p, out);
    return buf_slice(out);
}

enum err agent_start(struct session *s, struct agent_job *j, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(4 << 20);
    enum err err = session_take_terms(s, e);
    j->terms = &s->terms;
    if (!err)
        err = config_services(s->cli, SLICE_NONE, &a, &j->services, e);
    return err ? err : engine_start_run(&s->engine, started_payload, j, &s->run, e);
}

enum err agent_change_model(struct session *s, const struct agent_model *m, struct error *e)
{
    struct json *server = server_of(m);
    json_put_text(server, "name", m->ref);
    return engine_change_model(&s->engine, s->run, server, e);
}

enum err agent_fork(struct session *s, struct agent_job *j, const struct run_state *of, struct error *e)
{
    j->of = of;
    j->goal = of->goal;
    enum err err = agent_start(s, j, e);
    j->of = NULL;
    j->goal = SLICE_NONE;
    return err;
}

/* ---- what happens, in words ---- */

static struct slice first_line(struct slice s)
{
    struct slice rest = slice_trim(s), line = SLICE_NONE;
    return slice_line(&rest, &line) ? slice_sub(line, 0, TITLE_MAX) : SLICE_NONE;
}

void agent_title(const struct tool_call *c, struct buf *out)
{
    switch (c->tool) {
    case TOOL_BASH: buf_add(out, first_line(c->command)); break;
    case TOOL_ASK: buf_add(out, first_line(c->question)); break;
    case TOOL_SERVE:
        buf_addf(out, "%.*s%s", SLICE_ARG(c->name), c->stop ? " stop" : c->command.n ? ": " : "");
        buf_add(out, c->stop ? SLICE_NONE : first_line(c->command));
        break;
    default:
        buf_add(out, slice_sub(c->path, 0, TITLE_MAX));
        if (c->offset)
            buf_addf(out, ":%llu", (unsigned long long)c->offset);
    }
}

/* A changed place as a person reads it: what went, what came. */
static void lines_with(struct buf *out, char mark, struct slice text)
{
    struct slice line;
    while (slice_line(&text, &line) && out->n < DETAIL_MAX / 2) {
        buf_add_char(out, mark);
        buf_add(out, line);
        buf_add_char(out, '\n');
    }
}

static struct slice last_line(struct slice s)
{
    size_t from = s.n - (s.n && s.p[s.n - 1] == '\n');
    while (from && s.p[from - 1] != '\n')
        from--;
    return slice_sub(s, from, s.n);
}

/* Whole lines that both begin or end with are there for the model to find the place; nothing happens to them. */
static void leave_common(struct slice *old, struct slice *new)
{
    for (size_t n; old->n && new->n; *old = slice_sub(*old, n, old->n), *new = slice_sub(*new, n, new->n)) {
        n = slice_index(*old, '\n') + 1;
        if (n > old->n || !slice_eq(slice_sub(*old, 0, n), slice_sub(*new, 0, n)))
            break;
    }
    for (struct slice end; old->n && new->n; old->n -= end.n, new->n -= end.n) {
        end = last_line(*old);
        if (!slice_eq(end, last_line(*new)))
            break;
    }
}

void agent_detail(const struct tool_call *c, struct slice result, struct buf *out)
{
    for (size_t i = 0; c->tool == TOOL_EDIT && i < c->nedits; i++) {
        struct slice old = c->edits[i].old, new = c->edits[i].new;
        leave_common(&old, &new);
        lines_with(out, '-', old);
        lines_with(out, '+', new);
    }
    if (c->tool == TOOL_WRITE)
        lines_with(out, '+', c->content);
    else if (c->tool == TOOL_BASH || c->tool == TOOL_SERVE)
        buf_add(out, slice_sub(result, 0, DETAIL_MAX));
}

bool agent_is_priced(const struct run_state *r)
{
    return r->used.n[UNIT_NUSD] || price_find(NULL, 0, r->server.provider, r->server.model);
}

/* The call that a step of a run carries out; false where it cannot be read. */
static bool call_of(struct engine *g, const struct talk *t, size_t index, struct arena *a, struct tool_call *ret, struct slice *ret_name)
{
    struct transcript_part part;
    if (talk_call(g->store, t, index, a, &part, NULL))
        return false;
    *ret_name = part.name;
    return !part.malformed && tool_call_parse(part.name, part.text, a, ret, NULL) == OK;
}

static const char *words_of(struct slice stage)
{
    return slice_is(stage, "verify") ? "check" : slice_is(stage, "commit") ? "commit" : slice_is(stage, "compact") ? "compact" : NULL;
}

static void intended(struct agent_watch *w, struct run *r, const struct step_key *key, const struct json *p)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(64 << 20);
    BUF_CLEANUP struct buf title = BUF_INIT(2 * TITLE_MAX);
    const struct talk *t = run_talk(&r->state);
    const struct json *args = json_get(p, "args");
    struct slice stage = json_text(json_get(p, "stage")), name = SLICE_NONE;
    struct tool_call call = {0};
    const char *word = words_of(stage);
    size_t i = 0;
    while (i < RUN_OPEN_MAX && w->acts[i].step)
        i++;
    if (i < RUN_OPEN_MAX) {
        w->acts[i].step = key->step;
        w->acts[i].since_ms = sys->now_ms();
        w->acts[i].shown = false;
    }
    if (!t || (!word && !slice_is(stage, "call")))
        return;
    if (slice_is(stage, "call") && call_of(w->engine, t, (size_t)json_int(json_get(args, "call"), 0), &a, &call, &name))
        agent_title(&call, &title);
    else if (slice_is(stage, "verify"))
        buf_add(&title, slice_sub(t->verify, 0, TITLE_MAX));
    if (i < RUN_OPEN_MAX)
        w->acts[i].shown = true;
    if (w->begin)
        w->begin(w->ctx, key->step, word ? slice_of(word) : call.tool ? slice_of(tool_name(call.tool)) : name, buf_slice(&title));
}

static void add_summary(const struct json *p, int64_t took_ms, struct buf *out)
{
    const struct json *res = json_get(p, "result");
    int64_t added = json_int(json_get(res, "added"), -1), removed = json_int(json_get(res, "removed"), -1),
            files = json_int(json_get(json_get(p, "layer"), "changes"), 0), lines = json_int(json_get(res, "lines"), -1);
    if (added >= 0 && removed >= 0)
        buf_addf(out, "+%lld -%lld", (long long)added, (long long)removed);
    else if (files > 0)
        buf_addf(out, "%lld change%s", (long long)files, files == 1 ? "" : "s");
    else if (lines >= 0)
        buf_addf(out, "%lld line%s", (long long)lines, lines == 1 ? "" : "s");
    if (took_ms >= 100)
        buf_addf(out, "%s%.1f s", out->n ? " · " : "", (double)took_ms / 1000);
}

/* The result's own words, of the turn that it became. */
static void result_words(struct engine *g, const struct json *res, struct buf *out)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(TURN_ARENA);
    struct transcript_turn turn;
    struct hash h;
    if (!hash_from_hex(json_text(json_get(res, "turn")), &h) || turn_read(g->store, &h, &a, &turn, NULL))
        return;
    for (size_t i = 0; i < turn.n; i++)
        if (turn.parts[i].kind == PART_RESULT || turn.parts[i].kind == PART_TEXT)
            buf_add(out, slice_sub(turn.parts[i].text, 0, DETAIL_MAX));
}

static void act_ended(struct agent_watch *w, struct run *r, const struct step_key *key, const struct json *p, int64_t took_ms)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(64 << 20);
    BUF_CLEANUP struct buf summary = BUF_INIT(200), result = BUF_INIT(4 * DETAIL_MAX), detail = BUF_INIT(4 * DETAIL_MAX);
    const struct talk *t = run_talk(&r->state);
    const struct json *res = json_get(p, "result");
    struct slice outcome = json_text(json_get(p, "outcome")), name;
    struct tool_call call = {0};
    enum agent_end how = slice_is(outcome, "cancelled") || slice_is(outcome, "lost")        ? AGENT_STOPPED
                         : slice_is(outcome, "ok") && json_bool(json_get(res, "ok"), true) ? AGENT_OK
                                                                                            : AGENT_FAILED;
    add_summary(p, took_ms, &summary);
    result_words(w->engine, res, &result);
    /* the fold has moved on: the call that ended is the one before the next */
    bool known = t && t->next && slice_is(outcome, "ok") && call_of(w->engine, t, t->next - 1, &a, &call, &name);
    if (how == AGENT_FAILED)
        buf_add(&detail, result.n ? buf_slice(&result) : json_text(json_get(p, "why")));
    else if (known)
        agent_detail(&call, buf_slice(&result), &detail);
    if (w->end)
        w->end(w->ctx, key->step, how, buf_slice(&summary), buf_slice(&detail));
}

/* An answer that was not streamed (an older server, the embedded model) is shown whole. */
static void show_unheard(struct agent_watch *w, const struct json *p)
{
    BUF_CLEANUP struct buf text = BUF_INIT(TURN_BYTES_MAX);
    if (!w->answered && w->text)
        result_words(w->engine, json_get(p, "result"), &text);
    if (text.n)
        w->text(w->ctx, buf_slice(&text));
    if ((text.n || w->wrote) && w->text_end)
        w->text_end(w->ctx);
    w->wrote = w->answered = false;
}

static void finished(struct agent_watch *w, struct run *r, const struct step_key *key, const struct json *p)
{
    int64_t took = 0;
    bool shown = false;
    struct slice outcome = json_text(json_get(p, "outcome")), why = json_text(json_get(p, "why"));
    for (size_t i = 0; i < RUN_OPEN_MAX; i++)
        if (w->acts[i].step == key->step) {
            took = sys->now_ms() - w->acts[i].since_ms;
            shown = w->acts[i].shown;
            w->acts[i].step = 0;
        }
    if (shown) {
        act_ended(w, r, key, p, took);
        return;
    }
    if (json_has(json_get(p, "result"), "stop") || w->wrote)
        show_unheard(w, p);
    if (slice_is(outcome, "failed") && w->note && run_line(&r->state, 0, HEAD)->stage != STAGE_STUCK) {
        BUF_CLEANUP struct buf text = BUF_INIT(1024);
        buf_addf(&text, "%.*s; it is tried again", SLICE_ARG(why));
        w->note(w->ctx, buf_slice(&text));
    }
}

/* A service fell, or a person's own port leads to it now; those that were to end say nothing. */
static void service_told(struct agent_watch *w, enum event_type type, const struct json *p)
{
    BUF_CLEANUP struct buf text = BUF_INIT(1024);
    struct slice name = json_text(json_get(p, "name"));
    if (type == EVENT_SERVICE_OPENED)
        buf_addf(&text, "%.*s: http://127.0.0.1:%lld", SLICE_ARG(name), (long long)json_int(json_get(p, "at"), 0));
    else if (slice_is(json_text(json_get(p, "by")), "itself"))
        buf_addf(&text, "the service %.*s %.*s", SLICE_ARG(name), SLICE_ARG(json_text(json_get(p, "how"))));
    if (text.n)
        w->note(w->ctx, buf_slice(&text));
}

static void told(void *ctx, struct run *r, enum event_type type, const struct step_key *key, const struct json *p)
{
    struct agent_watch *w = ctx;
    struct slice why = json_text(json_get(p, "why"));
    if (type == EVENT_STEP_INTENDED)
        intended(w, r, key, p);
    else if (type == EVENT_STEP_FINISHED)
        finished(w, r, key, p);
    else if (type == EVENT_RUN_BLOCKED && w->trouble)
        w->trouble(w->ctx, why);
    else if ((type == EVENT_SERVICE_ENDED || type == EVENT_SERVICE_OPENED) && w->note)
        service_told(w, type, p);
    const struct line *l = r->state.is_agent ? run_line(&r->state, 0, HEAD) : NULL;
    if (type == EVENT_STEP_FINISHED && l && l->stage == STAGE_STUCK && l->question != QUESTION_ASK && w->trouble)
        w->trouble(w->ctx, slice_of(l->why));
}

static void heard(void *ctx, struct run *r, const struct heard *h)
{
    struct agent_watch *w = ctx;
    (void)r;
    if (h->kind == HEARD_TEXT && w->text) {
        w->wrote = w->answered = true;
        w->text(w->ctx, h->text);
    } else if (h->kind == HEARD_REASONING && w->reasoning) {
        w->reasoning(w->ctx, h->text);
    }
}

void agent_watch(struct agent_watch *w, struct engine *g)
{
    w->engine = g;
    g->hear = heard;
    g->hear_ctx = w;
    g->tell = told;
    g->tell_ctx = w;
}

enum err agent_result(struct store *s, const struct run_state *r, struct buf *out, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(TURN_ARENA);
    const struct talk *t = run_talk(r);
    struct transcript_turn turn = {0};
    size_t i = t ? t->nturns : 0;
    while (i && t->turns[i - 1].kind != TALK_ANSWER)
        i--;
    if (!i)
        return OK;
    enum err err = turn_read(s, &t->turns[i - 1].blob, &a, &turn, e);
    if (!err)
        turn_text(&turn, SIZE_MAX, out);
    return err ? err : buf_check(out, "an answer", e);
}
