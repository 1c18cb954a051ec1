#include "unit/fold_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WELL(call) do { if (call) fail_msg("%s: %s", #call, g->e.text); } while (0)

enum err rig_apply(struct rig *g, enum event_type type, const struct step_key *key, const char *payload)
{
    struct event ev = {.version = EVENT_VERSION, .type = (uint16_t)type, .key = {.run = g->r.id, .branch = g->r.branch}, .seq = g->r.seq + 1,
                       .time_ms = g->now_ms};
    if (key)
        ev.key = *key;
    ev.payload = slice_of(payload);
    struct hash before = g->r.head;
    event_seal(&ev, &before);
    enum err err = event_check(&ev, &before, g->r.seq, &g->e);
    if (!err)
        err = run_apply(&g->r, &ev, &g->e);
    if (err || g->keeps_none)
        return err;
    assert_true(g->n < RIG_EVENTS_MAX);
    ev.payload.p = memcpy(malloc(ev.payload.n + 1), payload, ev.payload.n + 1);
    g->events[g->n++] = ev;
    return OK;
}

static void start(struct rig *g, const char *key, const struct json *what, const char *more, const char *land)
{
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
    memset(g, 0, sizeof *g);
    g->arena = ARENA_INIT(RUN_ARENA_BYTES);
    g->now_ms = 1000000;
    run_init(&g->r, 7, &g->arena);
    buf_addf(&b, "{\"v\":0,%s\"%s\":", more, key);
    json_print(what, &b);
    buf_add_text(&b, ",\"plan_path\":\"PLAN.md\",\"work\":\"/work\",\"work_dev\":3,\"work_ino\":4,\"goal\":\"\",\"account\":"
                     "\"crannog/main/r7\",\"agent\":\"main\",\"model\":\"m\",\"budget\":{\"tokens\":1000000}");
    buf_addf(&b, ",\"land\":\"%s\"}", land);
    WELL(rig_apply(g, EVENT_RUN_STARTED, NULL, buf_str(&b)));
}

void rig_start_landing(struct rig *g, const char *plan, const char *more, const char *land)
{
    JSON_CLEANUP struct json *text = json_new_text(slice_of(plan));
    start(g, "plan", text, more, land);
}

void rig_start(struct rig *g, const char *plan, const char *more)
{
    rig_start_landing(g, plan, more, "step");
}

void rig_start_exec_landing(struct rig *g, const char *words, const char *land)
{
    JSON_CLEANUP struct json *v = NULL;
    assert_int_equal(json_parse(slice_of(words), &v, NULL), OK);
    start(g, "exec", v, "", land);
}

void rig_start_exec(struct rig *g, const char *words)
{
    rig_start_exec_landing(g, words, "step");
}

void rig_start_take(struct rig *g, const char *land)
{
    JSON_CLEANUP struct json *v = json_new_bool(true);
    start(g, "take", v, "\"layers\":[{\"name\":\"r3-1-2-1\",\"manifest\":\"" RIG_HASH "\",\"changes\":2}],"
          "\"origin\":{\"what\":\"undo\",\"run\":3},", land);
}

void rig_start_agent(struct rig *g, const char *talk, const char *more, const char *land)
{
    JSON_CLEANUP struct json *v = NULL;
    BUF_CLEANUP struct buf b = BUF_INIT(4096);
    assert_int_equal(json_parse(slice_of(talk), &v, NULL), OK);
    buf_addf(&b, "\"server\":{\"provider\":\"openai\",\"model\":\"m\",\"base\":\"\",\"secret\":\"\",\"window\":%u,\"max_output\":100},%s",
             RIG_WINDOW, more);
    start(g, "talk", v, buf_str(&b), land);
}

void rig_end(struct rig *g)
{
    for (size_t i = 0; i < g->n; i++) {
        void *p;
        memcpy(&p, &g->events[i].payload.p, sizeof p);
        free(p);
    }
    arena_release(&g->arena);
}

enum err rig_intend(struct rig *g, const struct want *w)
{
    BUF_CLEANUP struct buf b = BUF_INIT(1 << 20), path = BUF_INIT(8192);
    const struct item_state *it = &g->r.items[w->item];
    const struct line *l = run_line_const(&g->r, w->item, w->piece);
    buf_addf(&b, "{\"v\":0,\"item\":%u,\"piece\":%d,\"stage\":\"%s\",\"act\":\"%s\",\"class\":\"%s\",\"args\":{", w->item, w->piece,
             stage_name(w->stage), act_name(w->act), class_name(w->class));
    if (w->stage == STAGE_LOOK || w->stage == STAGE_LAND) {
        JSON_CLEANUP struct json *text = NULL;
        plan_expand(it->plan->writes, it->plan->var, l->source, false, &path);
        text = json_new_text(buf_slice(&path));
        buf_add_text(&b, "\"path\":");
        json_print(text, &b);
        char hex[HASH_HEX + 1];
        hash_hex(&g->content, hex);
        bool said = !hash_eq(&g->content, &(struct hash){{0}});
        buf_addf(&b, ",\"content\":\"%s\"", said ? hex : RIG_HASH);
    }
    if (w->stage == STAGE_SQUASH || w->stage == STAGE_APPLY) {
        buf_add_text(&b, "\"layers\":[");
        for (size_t i = 0; i < g->r.nlayers; i++)
            buf_addf(&b, "%s\"%.*s\"", i ? "," : "", SLICE_ARG(g->r.layers[i].name));
        buf_add_text(&b, g->refused ? "]" : "],\"manifest\":\"" RIG_HASH "\"");
    }
    buf_add_text(&b, "},\"amounts\":{\"tokens\":100,\"cpu_ns\":1000},\"account\":\"crannog/main/r7\",\"base_layers\":[],\"grant\":{\"v\":0},"
                     "\"labels\":{\"v\":0},\"rule\":null}");
    return rig_apply(g, EVENT_STEP_INTENDED, &(struct step_key){g->r.id, g->r.branch, w->step, w->attempt}, buf_str(&b));
}

const char *rig_result(enum stage stage)
{
    switch (stage) {
    case STAGE_LIST: return "{\"paths\":[\"s/a.md\",\"s/b.md\"]}";
    case STAGE_READ: return "{\"hash\":\"" RIG_HASH "\",\"size\":90,\"text\":\"" RIG_HASH "\",\"bytes\":90}";
    case STAGE_MEASURE: return "{\"tokens\":30,\"cuts\":[90]}";
    case STAGE_ASK:
    case STAGE_JOIN: return "{\"text\":\"" RIG_HASH "\",\"bytes\":40,\"in\":5,\"out\":6}";
    case STAGE_LOOK:
    case STAGE_LAND: return "{\"stamp\":\"00ff\"}";
    case STAGE_SURVEY: return "{\"backend\":\"overlay\"}";
    case STAGE_INSTRUCT: return "{\"system\":\"" RIG_HASH "\",\"bytes\":300}";
    case STAGE_THINK: return "{\"turn\":\"" RIG_HASH "\",\"bytes\":50,\"tokens\":200,\"calls\":[]}";
    case STAGE_CALL: return "{\"turn\":\"" RIG_HASH "\",\"bytes\":60,\"ok\":true}";
    case STAGE_COMMIT: return "{\"rest\":\"" RIG_HASH "\"}";
    default: return "{}";
    }
}

enum err rig_finish(struct rig *g, enum outcome outcome, const char *result, const char *more)
{
    BUF_CLEANUP struct buf b = BUF_INIT(4 << 20);
    assert_true(g->pick < g->r.nopen);
    struct step_key key = g->r.open[g->pick].key;
    enum stage stage = g->r.open[g->pick].stage;
    bool made = outcome == OUTCOME_OK && (((stage == STAGE_EXEC || stage == STAGE_CALL || stage == STAGE_COMMIT) && g->changes) || stage == STAGE_SQUASH ||
                                          (stage == STAGE_APPLY && !g->lands_nothing) || (stage == STAGE_LAND && g->r.land != LAND_STEP));
    char layer[200] = "null";
    if (made)
        snprintf(layer, sizeof layer, "{\"name\":\"r7-%u-%u-%u\",\"manifest\":\"" RIG_HASH "\",\"changes\":3}", key.branch, key.step, key.attempt);
    buf_addf(&b, "{\"v\":0,%s\"outcome\":\"%s\",\"why\":\"because\",\"used\":{\"tokens\":7},\"how\":\"%s\",\"result\":%s,\"layer\":%s,"
             "\"labels\":{\"v\":0},\"effects\":[]}", more, outcome_name(outcome), outcome == OUTCOME_LOST ? "assumed" : "exact",
             result ? result : "{}", layer);
    return rig_apply(g, EVENT_STEP_FINISHED, &key, buf_str(&b));
}

void rig_step(struct rig *g, uint32_t item, int32_t piece, enum stage stage, enum outcome outcome, const char *result)
{
    struct decision d;
    run_decide(&g->r, g->now_ms, &d);
    if (d.what != DECIDE_INTEND || d.wants[0].item != item || d.wants[0].piece != piece || d.wants[0].stage != stage)
        fail_msg("wanted: decision %d, item %u, piece %d, %s; not item %u, piece %d, %s", d.what, d.wants[0].item, d.wants[0].piece,
                 stage_name(d.wants[0].stage), item, piece, stage_name(stage));
    WELL(rig_intend(g, &d.wants[0]));
    WELL(rig_finish(g, outcome, result ? result : rig_result(stage), ""));
}

enum err rig_say(struct rig *g, const char *when)
{
    BUF_CLEANUP struct buf b = BUF_INIT(1000);
    buf_addf(&b, "{\"v\":0,\"by\":\"terminal\",\"when\":\"%s\",\"turn\":\"" RIG_HASH "\",\"bytes\":30}", when);
    return rig_apply(g, EVENT_SAID, NULL, buf_str(&b));
}

enum decision_what rig_what(const struct rig *g)
{
    struct decision d;
    run_decide(&g->r, g->now_ms, &d);
    return d.what;
}

void rig_answer(struct rig *g, uint32_t question, const char *answer)
{
    BUF_CLEANUP struct buf b = BUF_INIT(1000);
    buf_addf(&b, "{\"v\":0,\"question\":%u,\"answer\":\"%s\",\"by\":\"terminal\"}", question, answer);
    WELL(rig_apply(g, EVENT_ANSWERED, NULL, buf_str(&b)));
}

enum err rig_fold(const struct rig *g, size_t n, struct run_state *ret, struct arena *a, struct error *e)
{
    arena_release(a);
    run_init(ret, g->r.id, a);
    enum err err = OK;
    for (size_t i = 0; !err && i < n; i++)
        err = run_apply(ret, &g->events[i], e);
    return err;
}

static void dump_line(const struct line *l, struct buf *out)
{
    char a[HASH_HEX + 1], b[HASH_HEX + 1], only[HASH_HEX + 1];
    hash_hex(&l->only, only);
    hash_hex(&l->answer.blob, a);
    hash_hex(&l->landed, b);
    buf_addf(out, "  %s resume %s q%d.%u '%s' open %d again %d allowed %d key %u/%u fail %u dead %u wake %lld replace %d src '%.*s' tgt '%.*s' "
             "tok %llu parts %zu/%zu text %llu answer %.6s landed %.6s base '%.*s' replaced '%.*s' only %.6s chosen %d '%.*s'", stage_name(l->stage), stage_name(l->resume), l->question,
             l->question_step, l->why, l->open, l->again, l->allowed, l->step, l->attempt, l->failures, l->deaths, (long long)l->wake_ms, l->replace,
             SLICE_ARG(l->source), SLICE_ARG(l->target), (unsigned long long)l->tokens, l->nparts, l->ncuts,
             (unsigned long long)l->text.bytes, a, b, SLICE_ARG(l->base), SLICE_ARG(l->replaced), only, l->chosen != NULL,
             SLICE_ARG(l->chosen ? l->chosen->part : SLICE_NONE));
    for (size_t i = 0; i < l->ncuts; i++)
        buf_addf(out, " %llu", (unsigned long long)l->cuts[i]);
    buf_add_text(out, "\n");
}

static void dump_talk(const struct talk *t, struct buf *out)
{
    static const char kinds[] = "?SARN";
    char h[HASH_HEX + 1];
    hash_hex(&t->summary, h);
    buf_addf(out, "  talk attended %d commits %d verify '%.*s' checks %u/%u from %zu summary %.6s/%llu calls %zu/%zu of %zu system %llu context %llu "
             "fresh %llu narrow %llu hold %d compact %d finished %d shrinks %u empties %u same %u output %lld turns ", t->attended, t->commits,
             SLICE_ARG(t->verify), t->checks, t->checks_max, t->from, h, (unsigned long long)t->summary_bytes, t->next, t->ncalls, t->answer,
             (unsigned long long)t->system_bytes, (unsigned long long)t->context, (unsigned long long)t->fresh, (unsigned long long)t->narrow, t->hold, t->compact,
             t->finished, t->shrinks, t->empties, t->same, (long long)t->max_output);
    for (size_t i = 0; i < t->nturns; i++)
        buf_addf(out, "%c%u", kinds[t->turns[i].kind], t->turns[i].step);
    for (size_t i = 0; i < t->ninbox; i++)
        buf_addf(out, " %s", t->inbox[i].later ? "later" : "now");
    for (size_t i = t->next; i < t->ncalls; i++)
        buf_addf(out, " %.*s", SLICE_ARG(t->calls[i]));
    buf_add_text(out, "\n");
}

void rig_dump(const struct run_state *r, struct buf *out)
{
    buf_addf(out, "run %llu seq %llu next %u %s '%s' touched %u slots %u window %llu used %lld assumed %lld plan %zu '%.*s'\n",
             (unsigned long long)r->id, (unsigned long long)r->seq, r->next_step, run_status_name(r->status), r->why, r->touched, r->slots,
             (unsigned long long)r->window, (long long)r->used.n[UNIT_TOKENS], (long long)r->assumed.n[UNIT_TOKENS], r->plan.nitems,
             SLICE_ARG(r->plan_text));
    buf_addf(out, " branch %u land %s copies %d origin '%.*s' %llu take %d rest %s undos %zu layers", r->branch, land_name(r->land), r->copies, SLICE_ARG(r->origin),
             (unsigned long long)r->origin_run, r->is_take, hash_is_zero(&r->rest) ? "none" : "some", r->nundos);
    for (size_t i = 0; i < r->nlayers; i++)
        buf_addf(out, " %.*s", SLICE_ARG(r->layers[i].name));
    for (size_t i = 0; i < r->nservices; i++)
        buf_addf(out, " service %.*s %zu step %u falls %u opened %u '%s'", SLICE_ARG(r->services[i].name), r->services[i].nports, r->services[i].step,
                 r->services[i].falls, r->services[i].opened, r->services[i].why);
    buf_add_text(out, "\n");
    for (size_t i = 0; i < r->nopen; i++)
        buf_addf(out, " open %u/%u item %u piece %d %s %s %s held %lld args %.*s\n", r->open[i].key.step, r->open[i].key.attempt,
                 r->open[i].item, r->open[i].piece, stage_name(r->open[i].stage), act_name(r->open[i].act), class_name(r->open[i].class),
                 (long long)r->open[i].held.n[UNIT_TOKENS], SLICE_ARG(r->open[i].args));
    for (size_t i = 0; i < r->nitems; i++) {
        const struct item_state *it = &r->items[i];
        buf_addf(out, " item %zu phase %d started %d open %zu stuck %zu over %zu first %zu\n", i, it->phase, it->started, it->nopen,
                 it->nstuck, it->nover, it->first);
        dump_line(&it->head, out);
        if (it->head.talk)
            dump_talk(it->head.talk, out);
        for (size_t k = 0; k < it->npieces; k++)
            dump_line(&it->pieces[k], out);
    }
}
