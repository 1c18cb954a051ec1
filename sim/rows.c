/*
 * The simulation's rows of the table of acts. They do what real acts do, as seen from the engine (results, delays,
 * failures, losses, late and double completions, costs), and leave their effects in `struct play`, the outside: what was
 * really spent, and the person's folder. Each effect is an operation of the simulated machine, so crashes come before and
 * after it.
 *
 * The arguments in the intent alone decide what an act may spend and where it writes, as engine/act.h demands.
 */
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "sim/play.h"

static struct stage_set *set_of(struct engine *g) { return g->acts.ctx; }

static uint64_t draw(const struct play *p, const char *what, const struct step_key *k, uint64_t n)
{
    return play_below(p, n, what, k->run, k->step, k->attempt);
}

/* True so many times in 100, more often never in a seed without trouble. */
static bool trouble(const struct play *p, const char *what, const struct step_key *k, unsigned in_100)
{
    return draw(p, what, k, 10000) < (uint64_t)in_100 * p->work.trouble;
}

/* ---- the person's folder ---- */

struct file *file_find(struct play *p, struct slice path, bool make)
{
    for (uint32_t i = 0; i < p->nfiles; i++)
        if (slice_is(path, p->files[i].path))
            return &p->files[i];
    if (!make || p->nfiles == FILES_MAX || path.n >= PATH_BYTES)
        return NULL;
    struct file *f = &p->files[p->nfiles++];
    *f = (struct file){0};
    memcpy(f->path, path.p, path.n);
    return f;
}

/* What a person wrote follows from its version, so that it need not be kept. */
void person_bytes(const struct file *f, struct buf *out)
{
    buf_addf(out, "a person wrote this, version %u of %s\n", f->version, f->path);
}

void person_edits(struct stage_set *t, struct file *f, bool removes)
{
    struct play *p = t->p;
    if (sim_op(t->w, SIM_OP_ACT, f->version) < 0)
        return;
    f->there = !removes;
    f->person = !removes;
    f->version = ++p->version;
    for (uint32_t i = 0; i < p->nstarts; i++) /* where nothing lay and what landed was removed, by its stamps it may land again */
        if (p->starts[i].run == f->run && p->starts[i].step == f->step)
            p->starts[i].writes = 0;
    if (!removes) {
        BUF_CLEANUP struct buf b = BUF_INIT(4096);
        person_bytes(f, &b);
        f->hash = hash_of(buf_slice(&b));
        f->bytes = (uint32_t)b.n;
    }
    p->seen.edits++;
    play_tell("  a person %s %s (now version %u)", removes ? "removes" : "edits", f->path, f->version);
    sim_op_done(t->w);
}

static void stamp_of(const struct file *f, char ret[32])
{
    snprintf(ret, 32, "%s-%u", f && f->there ? "file" : "absent", f && f->there ? f->version : 0);
}

/* The landing itself. By its stamp a path says what is left to do: base -> do it, new -> done, neither -> conflict. */
static enum outcome land(struct stage_set *t, struct job *j)
{
    struct play *p = t->p;
    struct file *f = file_find(p, slice_of(j->path), true);
    struct start *log = &p->starts[j->log];
    char now[32];
    CHECK(p, f, "harness", "too many files");
    stamp_of(f, now);
    bool is_new = f->there && hash_eq(&f->hash, &j->content);
    if (is_new)
        return OUTCOME_OK;
    if (strcmp(now, j->base) != 0)
        return OUTCOME_CONFLICT;
    if (sim_op(t->w, SIM_OP_ACT, f->version) < 0)
        return OUTCOME_FAILED;
    CHECK(p, !f->there || !f->person || f->allowed == f->version, "I2",
          "r%u step %u lands over %s, version %u, which a person wrote and did not allow to be replaced", log->run, log->step,
          f->path, f->version);
    if (f->there && f->person && p->nreplaced < CHANGES_MAX)
        p->replaced[p->nreplaced++] = f->hash, p->seen.replaced++;
    f->there = true;
    f->person = false;
    f->hash = j->content;
    f->version = ++p->version;
    f->run = log->run;
    f->step = log->step;
    p->seen.landings++;
    log->writes++;
    for (uint32_t i = 0, n = 0; i < p->nstarts; i++) {
        const struct start *o = &p->starts[i];
        n += o->run == log->run && o->step == log->step ? o->writes : 0u;
        CHECK(p, n <= 1, "I2", "r%u step %u lands %s twice", log->run, log->step, f->path);
    }
    play_tell("  r%u step %u lands %s (now version %u)", log->run, log->step, f->path, f->version);
    sim_op_done(t->w);
    return OUTCOME_OK;
}

/* ---- layers ----
 *
 * A layer's manifest is, in the simulation, a text of lines "path base content\n"; what a step wrote is a blob. The real
 * folders have tests of their own (tests/unit/test_seal.c, test_landing_apply.c); here it is the journal that is tried.
 */

static void add_line(struct buf *out, const char *path, const char *base, const struct hash *content)
{
    char hex[HASH_HEX + 1];
    hash_hex(content, hex);
    buf_addf(out, "%s %s %s\n", path, base, hex);
}

struct wanted {
    char path[PATH_BYTES], base[32];
    struct hash content;
};

/* What the lines come to: the first base and the last content of each path. */
static size_t flatten(struct play *p, struct slice lines, struct wanted *ret, size_t max)
{
    size_t n = 0;
    for (struct slice line; slice_line(&lines, &line);) {
        size_t a = slice_index(line, ' '), b = a + 1 + slice_index(slice_sub(line, a + 1, line.n), ' '), i = 0;
        struct slice path = slice_sub(line, 0, a);
        while (i < n && !slice_is(path, ret[i].path))
            i++;
        CHECK(p, i < max && path.n < PATH_BYTES && b - a < 32, "I1", "a manifest of the simulation is damaged");
        if (i == n) {
            snprintf(ret[i].path, sizeof ret[i].path, "%.*s", SLICE_ARG(path));
            snprintf(ret[i].base, sizeof ret[i].base, "%.*s", SLICE_ARG(slice_sub(line, a + 1, b - a - 1)));
            n++;
        }
        CHECK(p, hash_from_hex(slice_sub(line, b + 1, HASH_HEX), &ret[i].content), "I1", "a manifest of the simulation is damaged");
    }
    return n;
}

static bool is_there(const struct file *f, const struct wanted *w)
{
    return f->there && hash_eq(&f->hash, &w->content);
}

/* A landing of layers: one conflict and nothing lands; then path by path, a crash between any two. */
static enum outcome apply(struct stage_set *t, struct job *j, size_t *ret_n)
{
    struct play *p = t->p;
    struct wanted w[FILES_MAX];
    char now[32];
    size_t n = flatten(p, slice_of(j->lines), w, FILES_MAX);
    for (size_t i = 0; i < n; i++) {
        struct file *f = file_find(p, slice_of(w[i].path), true);
        CHECK(p, f, "harness", "too many files");
        stamp_of(f, now);
        if (!j->replace && !is_there(f, &w[i]) && strcmp(now, w[i].base) != 0)
            return OUTCOME_CONFLICT;
    }
    for (size_t i = 0; i < n; i++) {
        struct file *f = file_find(p, slice_of(w[i].path), true);
        if (is_there(f, &w[i]))
            continue;
        if (sim_op(t->w, SIM_OP_ACT, f->version) < 0)
            return OUTCOME_FAILED;
        stamp_of(f, now);
        CHECK(p, j->replace || strcmp(now, w[i].base) == 0, "I2", "r%llu step %u lands over another version of %s than it was made from",
              (unsigned long long)j->key.run, j->key.step, f->path);
        f->there = true;
        f->person = false;
        f->hash = w[i].content;
        f->version = ++p->version;
        f->run = (uint16_t)j->key.run;
        f->step = j->key.step;
        p->seen.taken++;
        play_tell("  r%llu step %u takes %s (now version %u)", (unsigned long long)j->key.run, j->key.step, f->path, f->version);
        sim_op_done(t->w);
    }
    *ret_n = n;
    return OUTCOME_OK;
}

static void give_layer(struct job *j, struct completion *c)
{
    snprintf(c->layer, sizeof c->layer, "r%llu-%u-%u-%u", (unsigned long long)j->key.run, j->key.branch, j->key.step, j->key.attempt);
    c->changes = 1;
}

bool rows_change(struct stage_set *t, struct job *j, struct buf *text, struct completion *c)
{
    char now[32];
    unsigned n = (unsigned)draw(t->p, "changes", &j->key, 3), folder = t->p->work.shared ? 0 : t->p->plan_of[j->key.run] - 1u;
    buf_add_text(text, "made by a command\n"); /* never empty */
    text_write(t->p, draw(t->p, "command", &j->key, UINT64_MAX), text);
    if (!n)
        return false;
    struct hash h = hash_of(buf_slice(text));
    c->manifest = BUF_INIT(LINES_BYTES);
    for (unsigned i = 0; i < n; i++) {
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "out%u/%c.md", folder, 'a' + i);
        stamp_of(file_find(t->p, slice_of(path), true), now);
        add_line(&c->manifest, path, now, &h);
    }
    give_layer(j, c);
    t->p->seen.sealed++;
    return true;
}

static void result_exec(struct stage_set *t, struct job *j, struct completion *c)
{
    json_put_int(c->result, "status", 0);
    if (!rows_change(t, j, &c->blob, c))
        return;
    json_put_int(c->result, "bytes", (int64_t)c->blob.n);
    c->blob_key = "text";
}

static void result_layer(struct stage_set *t, struct job *j, struct completion *c)
{
    c->manifest = BUF_INIT(LINES_BYTES);
    if (j->stage == STAGE_SQUASH)
        buf_add_text(&c->manifest, j->lines);
    else
        add_line(&c->manifest, j->path, j->base, &j->content);
    give_layer(j, c);
    t->p->seen.sealed += j->stage == STAGE_LAND;
    t->p->seen.squashed += j->stage == STAGE_SQUASH;
}

static void result_apply(struct stage_set *t, struct job *j, struct completion *c)
{
    size_t n = 0;
    c->outcome = apply(t, j, &n);
    if (c->outcome != OUTCOME_OK || !n)
        return;
    snprintf(c->layer, sizeof c->layer, "%s", j->layer);
    c->manifest = BUF_INIT(64);
    buf_add_text(&c->manifest, "what was there\n");
    c->changes = n;
}

/* The manifests of all layers, oldest first, and their names. */
static enum err put_stack(struct stage_set *t, const struct run_state *r, struct json *args, struct error *e)
{
    struct json *names = json_array();
    BUF_CLEANUP struct buf lines = BUF_INIT(LINES_BYTES - 1);
    enum err err = OK;
    for (size_t i = 0; !err && i < r->nlayers; i++) {
        json_push(names, json_new_text(r->layers[i].name));
        err = blob_get(t->s, &r->layers[i].manifest, &lines, e);
        if (err == ERR_MISSING || err == ERR_CORRUPT)
            must(t, err, e, "reading a manifest");
    }
    json_put(args, "layers", names);
    json_put_text(args, "lines", buf_slice(&lines));
    return err ? err : buf_check(&lines, "the manifests", e);
}

/* ---- what is spent ---- */

static struct owed *owed_of(struct play *p, const struct step_key *k)
{
    for (size_t i = 0; i < OWED_MAX; i++)
        if (p->owed[i].used && p->owed[i].key.run == k->run && p->owed[i].key.step == k->step && p->owed[i].key.attempt == k->attempt)
            return &p->owed[i];
    return NULL;
}

static void spend(struct stage_set *t, struct job *j, unsigned part, unsigned of)
{
    struct amounts more;
    struct owed *o = owed_of(t->p, &j->key);
    for (int u = 0; u < UNITS; u++)
        more.n[u] = (j->cost.n[u] - j->spent.n[u]) * part / of;
    if (sim_op(t->w, SIM_OP_ACT, (uint64_t)more.n[UNIT_TOKENS]) < 0)
        return;
    j->spent = amounts_add(j->spent, more);
    t->p->spent[j->key.run] = amounts_add(t->p->spent[j->key.run], more);
    for (int u = 0; o && u < UNITS; u++)
        o->left.n[u] = j->cost.n[u] - j->spent.n[u];
    sim_op_done(t->w);
}

/* What an act costs: something up to what its arguments allow. */
static struct amounts cost_of(const struct play *p, const struct step_key *k, const struct json *args)
{
    struct amounts a, max = amounts_from_json(json_get(args, "max"), 0);
    for (int u = 0; u < UNITS; u++) {
        uint64_t most = draw(p, "all of it", k, 4) ? 60 : 100;
        a.n[u] = max.n[u] * (int64_t)(draw(p, unit_name(u), k, most) + 1) / 100;
    }
    a.n[UNIT_CALLS] = max.n[UNIT_CALLS];
    return a;
}

/* ---- prepare ---- */

static void clamp(struct json *args, const struct amounts *granted, const struct amounts *floor)
{
    (void)floor;
    amounts_print(granted, args, "max");
}

static void put_hash(struct json *o, const char *key, const struct hash *h)
{
    char hex[HASH_HEX + 1];
    hash_hex(h, hex);
    json_put_text(o, key, slice_of(hex));
}

/* Sometimes an act cannot be made: its run is parked, its neighbours go on (J5). */
static enum err maybe_refuse(struct stage_set *t, const struct run *r, const struct want *w, struct error *e)
{
    const struct play *p = t->p;
    uint64_t n = play_below(p, 10000, "refuse to prepare", sim_mix(r->state.id, p->sessions), w->step, w->attempt);
    if (p->calm || n >= 2u * p->work.trouble)
        return OK;
    t->provoked[r->state.id] = true;
    play_tell("  r%llu step %u cannot be prepared", (unsigned long long)r->state.id, w->step);
    return error_set(e, ERR_LIMIT, "the simulation does not prepare this");
}

static enum err compose(struct stage_set *t, struct run *r, const struct want *w, struct buf *out, struct error *e)
{
    const struct item_state *it = &r->state.items[w->item];
    size_t from = w->piece == HEAD ? 0 : (size_t)w->piece, to = w->piece == HEAD ? it->npieces : from + 1;
    enum err err = OK;
    buf_addf(out, "# made by r%llu, item %u, piece %d\n", (unsigned long long)r->state.id, w->item, w->piece);
    for (size_t i = from; !err && i < to; i++) {
        const struct line *l = &it->pieces[i];
        if ((w->piece == HEAD && l->stage != STAGE_DONE) || hash_is_zero(&l->answer.blob))
            continue;
        err = blob_get(t->s, &l->answer.blob, out, e);
        if (err == ERR_MISSING || err == ERR_CORRUPT)
            must(t, err, e, "reading an answer");
    }
    return err;
}

static enum err prepare(struct engine *g, struct run *r, const struct want *w, struct intent *ret, struct error *e)
{
    struct stage_set *t = set_of(g);
    const struct line *l = run_line(&r->state, w->item, w->piece);
    const struct plan_item *item = r->state.items[w->item].plan;
    BUF_CLEANUP struct buf text = BUF_INIT(2 << 20);
    struct step_key k = {.run = r->state.id, .step = w->step, .attempt = w->attempt};
    struct hash h;
    enum err err = maybe_refuse(t, r, w, e);
    if (err)
        return err;
    ret->args = json_object();
    ret->clamp = clamp;
    ret->worst.n[UNIT_CPU_NS] = 400000000 + (int64_t)draw(t->p, "worst", &k, 400000000);
    ret->floor.n[UNIT_CPU_NS] = 50000000;
    if (l->talk)
        agent_prepare(&r->state, l->talk, w->stage, ret->args);
    if (w->act == ACT_MODEL || w->act == ACT_THINK) {
        buf_addf(&text, "stage %s, part %u: ", stage_name(w->stage), w->part);
        text_write(t->p, draw(t->p, "prompt", &k, UINT64_MAX), &text);
        err = blob_put(g->store, buf_slice(&text), &h, e);
        put_hash(ret->args, "blob", &h);
        int64_t input = 20 + (int64_t)draw(t->p, "input", &k, 80);
        ret->floor.n[UNIT_TOKENS] = input + 8;
        ret->worst.n[UNIT_TOKENS] = input + 100;
        ret->floor.n[UNIT_NUSD] = ret->floor.n[UNIT_TOKENS] * 2;
        ret->worst.n[UNIT_NUSD] = ret->worst.n[UNIT_TOKENS] * 3;
        ret->floor.n[UNIT_CALLS] = ret->worst.n[UNIT_CALLS] = 1;
    } else if (w->stage == STAGE_LOOK) {
        plan_expand(item->writes, item->var, l->source, false, &text);
        json_put_text(ret->args, "path", buf_slice(&text));
    } else if (w->stage == STAGE_LAND) {
        err = compose(t, r, w, &text, e);
        if (!err)
            err = blob_put(g->store, buf_slice(&text), &h, e);
        json_put_text(ret->args, "path", l->target);
        json_put_text(ret->args, "base", l->base);
        put_hash(ret->args, "content", &h);
        if (r->state.land != LAND_STEP)
            json_put_bool(ret->args, "layer", true);
    } else if (w->stage == STAGE_SQUASH || w->stage == STAGE_APPLY) {
        err = put_stack(t, &r->state, ret->args, e);
        if (l->replace)
            json_put_bool(ret->args, "replace", true);
    }
    return err;
}

/* ---- start ---- */

static void check_start(struct play *p, const struct open_step *o)
{
    for (uint32_t i = 0; i < p->nstarts; i++) {
        const struct start *s = &p->starts[i];
        if (s->run != o->key.run || s->step != o->key.step)
            continue;
        bool again = s->outcome == OUTCOME_LOST || s->outcome == OUTCOME_CANCELLED;
        CHECK(p, s->how != START_FOLDED || again, "I2", "r%u step %u (%s), finished as %s, is started again as attempt %u", s->run,
              s->step, stage_name(s->stage), outcome_name(s->outcome), o->key.attempt);
        CHECK(p, s->attempt < o->key.attempt, "I2", "r%u step %u attempt %u is started after attempt %u", s->run, s->step,
              o->key.attempt, s->attempt);
        CHECK(p, s->stage == o->stage && s->item == (int)o->item && s->piece == o->piece, "I2",
              "r%u step %u was %s of item %d piece %d and is now %s of item %u piece %d", s->run, s->step, stage_name(s->stage),
              s->item, s->piece, stage_name(o->stage), o->item, o->piece);
    }
}

static struct job *job_new(struct stage_set *t, const struct open_step *o)
{
    struct play *p = t->p;
    struct job *j = t->jobs;
    while (j < t->jobs + JOBS_MAX && j->used)
        j++;
    CHECK(p, j < t->jobs + JOBS_MAX && p->nstarts < STARTS_MAX, "I4", "too many acts: %u started", p->nstarts);
    *j = (struct job){.used = true, .key = o->key, .stage = o->stage, .item = o->item, .piece = o->piece, .log = p->nstarts};
    p->starts[p->nstarts++] = (struct start){.run = (uint16_t)o->key.run, .step = o->key.step, .attempt = (uint8_t)o->key.attempt,
                                             .stage = (uint8_t)o->stage, .item = (int16_t)o->item, .piece = (int16_t)o->piece};
    return j;
}

/* How it will end. */
static void choose_end(struct stage_set *t, struct job *j)
{
    const struct play *p = t->p;
    j->turns = (int)draw(p, "turns", &j->key, p->work.delay + 1u);
    j->outcome = OUTCOME_OK;
    if (trouble(p, "lost", &j->key, 30))
        j->outcome = OUTCOME_LOST;
    else if (trouble(p, "failed", &j->key, j->stage == STAGE_VERIFY ? 200 : j->stage == STAGE_CALL ? 10 : 70))
        j->outcome = OUTCOME_FAILED;
    j->final = trouble(p, "final", &j->key, 30);
    j->twice = trouble(p, "twice", &j->key, 30);
}

static bool is_poison(const struct play *p, const struct open_step *o)
{
    const struct workload *k = &p->work;
    return k->poison && p->plan_of[o->key.run] == k->poison_plan + 1 && o->item == k->poison_item &&
           o->piece == k->poison_piece && o->act == ACT_MODEL;
}

/* How often in a row has this line killed us? A retry that a person asked for counts anew: it is a new step. */
static void check_poison(struct play *p, const struct start *s)
{
    unsigned deaths = 0;
    for (uint32_t i = 0; i < p->nstarts; i++)
        deaths += p->starts[i].run == s->run && p->starts[i].step == s->step && p->starts[i].killed;
    CHECK(p, deaths <= RUN_DEATHS_MAX, "I4", "r%u step %u has killed the engine %u times", s->run, s->step, deaths);
}

static enum err start(struct engine *g, struct run *r, const struct open_step *o, struct error *e)
{
    struct stage_set *t = set_of(g);
    struct play *p = t->p;
    JSON_CLEANUP struct json *args = NULL;
    (void)r;
    check_start(p, o);
    if (trouble(p, "start", &o->key, 10)) {
        play_tell("  r%llu step %u.%u cannot start", (unsigned long long)o->key.run, o->key.step, o->key.attempt);
        return error_set(e, ERR_IO, "the simulation does not start this");
    }
    enum err err = json_parse(o->args, &args, e);
    if (err)
        return err;
    if (sim_op(t->w, SIM_OP_ACT, o->key.step) < 0)
        return error_set(e, ERR_IO, "an act fails");
    struct job *j = job_new(t, o);
    play_tell("  r%llu step %u.%u starts: %s, item %u piece %d", (unsigned long long)o->key.run, o->key.step, o->key.attempt,
              stage_name(o->stage), o->item, o->piece);
    agent_check_start(p, &p->starts[j->log], args);
    choose_end(t, j);
    j->cost = cost_of(p, &o->key, args);
    for (size_t i = 0; i < OWED_MAX && !owed_of(p, &j->key); i++)
        if (!p->owed[i].used)
            p->owed[i] = (struct owed){.used = true, .key = j->key, .run = (uint16_t)j->key.run, .left = j->cost};
    snprintf(j->path, sizeof j->path, "%.*s", SLICE_ARG(json_text(json_get(args, "path"))));
    snprintf(j->base, sizeof j->base, "%.*s", SLICE_ARG(json_text(json_get(args, "base"))));
    j->into_layer = json_bool(json_get(args, "layer"), false);
    j->replace = json_bool(json_get(args, "replace"), false);
    snprintf(j->lines, sizeof j->lines, "%.*s", SLICE_ARG(json_text(json_get(args, "lines"))));
    snprintf(j->layer, sizeof j->layer, "r%llu-%u-%u-undo", (unsigned long long)o->key.run, o->key.branch, o->key.step);
    if (o->stage == STAGE_LAND && !hash_from_hex(json_text(json_get(args, "content")), &j->content))
        play_fail(p, "I1", "an intent to land without content");
    if (is_poison(p, o)) {
        p->starts[j->log].killed = true;
        p->seen.poisoned++;
        check_poison(p, &p->starts[j->log]);
        play_tell("  it kills the engine");
        sys->die(STATUS_POISONED);
    }
    sim_op_done(t->w);
    if (draw(p, "at once", &j->key, 2))
        spend(t, j, 1, 1);
    return OK;
}

/* ---- ends ---- */

static void hand_over(struct stage_set *t, struct job *j, struct completion *c)
{
    struct play *p = t->p;
    struct owed *o = owed_of(p, &j->key);
    struct start *log = &p->starts[j->log];
    if (o)
        o->used = false;
    log->how = START_ENDED;
    log->outcome = (uint8_t)c->outcome;
    log->text = c->blob_key ? hash_of(buf_slice(&c->blob)) : (struct hash){0};
    p->seen.lost += c->outcome == OUTCOME_LOST;
    p->seen.failed += c->outcome == OUTCOME_FAILED;
    p->seen.cancelled += c->outcome == OUTCOME_CANCELLED;
    p->seen.conflicts += c->outcome == OUTCOME_CONFLICT;
    play_tell("  r%llu step %u.%u ends: %s", (unsigned long long)j->key.run, j->key.step, j->key.attempt, outcome_name(c->outcome));
    CHECK(p, t->nhanded < JOBS_MAX, "harness", "too many completions");
    t->handed[t->nhanded++] = (struct handed){j->key, j->log, !t->collecting};
    engine_complete(&t->g, c);
    j->used = false;
}

static void result_list(struct stage_set *t, const struct job *j, struct completion *c)
{
    const struct play *p = t->p;
    unsigned plan = p->plan_of[j->key.run] - 1u;
    unsigned n = j->item < ITEMS_MAX ? p->work.plans[plan].items[j->item].files : 1;
    struct json *paths = json_array();
    for (unsigned i = 0; i < n; i++) {
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "src%u-%u/f%u.txt", plan, j->item, i);
        json_push(paths, json_new_text(slice_of(path)));
    }
    json_put(c->result, "paths", paths);
}

static void give_text(struct stage_set *t, uint64_t number, struct completion *c)
{
    text_write(t->p, number, &c->blob);
    json_put_int(c->result, "bytes", (int64_t)c->blob.n);
    c->blob_key = "text";
    t->p->seen.large += c->blob.n > BLOB_INLINE_MAX;
}

static void result_measure(struct stage_set *t, const struct job *j, const struct line *l, struct completion *c)
{
    uint64_t bytes = l->text.bytes, parts = 1 + draw(t->p, "parts", &j->key, 8);
    struct json *cuts = json_array();
    if (parts > 5 || bytes < parts)
        parts = 1;
    for (uint64_t i = 1; i <= parts; i++)
        json_push(cuts, json_new_int((int64_t)(bytes * i / parts)));
    json_put(c->result, "cuts", cuts);
    json_put_int(c->result, "tokens", (int64_t)(bytes / 4));
}

/* As act_tool.c: what lies there and was not put there by a crannog is a person's, and a person decides. */
static void result_look(struct stage_set *t, const struct job *j, const struct run *r, const struct line *l, struct completion *c)
{
    const struct file *f = file_find(t->p, slice_of(j->path), true);
    struct hash ours;
    char now[32];
    CHECK(t->p, f, "harness", "too many files");
    stamp_of(f, now);
    json_put_text(c->result, "stamp", slice_of(now));
    if (!f->there)
        return;
    if (f->person)
        person_bytes(f, &c->blob);
    else if (blob_get(t->s, &f->hash, &c->blob, NULL) && excused(t))
        c->outcome = OUTCOME_FAILED;
    else if (!c->blob.n)
        play_fail(t->p, "I1", "the bytes that lie at %s are not in the journal", f->path);
    if (c->outcome == OUTCOME_FAILED)
        return;
    c->blob_key = "content";
    bool allowed = l->replace && slice_is(l->base, now);
    bool mine = landed_last(t->s, r->state.work_dev, r->state.work_ino, l->target, &ours) && hash_eq(&ours, &f->hash);
    if (!allowed && !mine)
        c->outcome = OUTCOME_CONFLICT;
}

static void result_of(struct stage_set *t, struct job *j, struct completion *c)
{
    const struct run *r = engine_find(&t->g, j->key.run);
    const struct line *l = r ? run_line_const(&r->state, j->item, j->piece) : NULL;
    if (!l || agent_result(t, j, c))
        return;
    switch (j->stage) {
    case STAGE_LIST: result_list(t, j, c); break;
    case STAGE_READ:
        give_text(t, sim_mix(play_draw(t->p, "source", 0, 0, 0), hash_of(l->source).b[0]), c);
        struct hash h = hash_of(buf_slice(&c->blob));
        put_hash(c->result, "hash", &h);
        if (!c->blob.n) { /* a document without text is refused, as in act_tool.c */
            c->outcome = OUTCOME_FAILED;
            c->final = true;
        }
        break;
    case STAGE_MEASURE: result_measure(t, j, l, c); break;
    case STAGE_ASK:
    case STAGE_JOIN: give_text(t, draw(t->p, "answer", &j->key, UINT64_MAX), c); break;
    case STAGE_LOOK: result_look(t, j, r, l, c); break;
    case STAGE_EXEC: result_exec(t, j, c); break;
    case STAGE_SQUASH: result_layer(t, j, c); break;
    case STAGE_APPLY: result_apply(t, j, c); break;
    case STAGE_SURVEY: {
        struct json *masked = json_array();
        json_push(masked, json_new_text(SLICE(".env")));
        json_put_text(c->result, "backend", SLICE("overlay"));
        json_put(c->result, "masked", masked);
        break;
    }
    case STAGE_LAND: {
        char now[32];
        if (j->into_layer) {
            json_put_text(c->result, "stamp", slice_of(j->base));
            result_layer(t, j, c);
            break;
        }
        c->outcome = land(t, j);
        stamp_of(file_find(t->p, slice_of(j->path), false), now);
        json_put_text(c->result, "stamp", slice_of(now));
        break;
    }
    default: json_put_int(c->result, "status", 0);
    }
}

static void end(struct stage_set *t, struct job *j)
{
    struct completion c = {.key = j->key, .outcome = j->outcome, .result = json_object(), .blob = BUF_INIT(BLOB_BYTES_MAX)};
    spend(t, j, 1, 1);
    c.used = j->spent;
    if (j->cancelled && j->stage != STAGE_LAND && j->stage != STAGE_APPLY) {
        c.outcome = OUTCOME_CANCELLED;
    } else if (j->outcome == OUTCOME_OK || ((j->stage == STAGE_LAND || j->stage == STAGE_APPLY) && draw(t->p, "did it all the same", &j->key, 2))) {
        result_of(t, j, &c);
        if (j->outcome != OUTCOME_OK && c.outcome == OUTCOME_OK)
            c.outcome = j->outcome; /* it did what it was to do, and says that it failed */
        if (c.outcome != OUTCOME_OK)
            c.layer[0] = '\0';
    }
    if (c.outcome != OUTCOME_OK)
        agent_ended_otherwise(t, j, &c);
    c.final |= j->final && c.outcome == OUTCOME_FAILED;
    if (c.outcome == OUTCOME_LOST) {
        struct run *r = engine_find(&t->g, j->key.run);
        const struct open_step *o = r ? engine_step(r, &j->key) : NULL;
        c.used = o ? o->held : j->spent;
        c.assumed = true;
    }
    if (c.outcome == OUTCOME_OK && trouble(t->p, "claims", &j->key, 30))
        c.used.n[UNIT_CPU_NS] += 9000000000; /* more than was reserved: the engine cuts it (M2) */
    snprintf(c.why, sizeof c.why, "the simulation says so");
    bool twice = j->twice;
    struct step_key key = j->key;
    hand_over(t, j, &c);
    if (twice) { /* a second completion of the same step, as after a cancel that came too late: nothing comes of it */
        struct completion more = {.key = key, .outcome = OUTCOME_FAILED};
        engine_complete(&t->g, &more);
    }
}

static void cancel(struct engine *g, struct run *r, const struct open_step *o)
{
    struct stage_set *t = set_of(g);
    (void)r;
    for (struct job *j = t->jobs; j < t->jobs + JOBS_MAX; j++) {
        if (!j->used || j->key.run != o->key.run || j->key.step != o->key.step)
            continue;
        j->cancelled = true;
        if (j->stage == STAGE_LAND || j->stage == STAGE_APPLY || draw(t->p, "cancel later", &j->key, 2))
            continue;
        struct completion c = {.key = o->key, .outcome = OUTCOME_CANCELLED, .used = j->spent, .result = json_object(), .blob = BUF_INIT(BLOB_BYTES_MAX)};
        agent_ended_otherwise(t, j, &c);
        hand_over(t, j, &c);
    }
}

static enum recovery recover(struct engine *g, struct run *r, const struct open_step *o, struct amounts *ret_used, bool *ret_exact)
{
    (void)r, (void)ret_used, (void)ret_exact;
    return trouble(set_of(g)->p, "unconfirmed", &o->key, 20) ? RECOVER_UNCONFIRMED : RECOVER_AGAIN;
}

static size_t watch(struct engine *g, struct pollfd *fds, size_t max, int64_t *timeout_ms)
{
    struct stage_set *t = set_of(g);
    (void)fds, (void)max;
    for (size_t i = 0; i < JOBS_MAX; i++)
        if (t->jobs[i].used && *timeout_ms > 20)
            *timeout_ms = 20;
    return 0;
}

static void collect(struct engine *g, const struct pollfd *fds, size_t n)
{
    struct stage_set *t = set_of(g);
    (void)fds, (void)n;
    t->collecting = true;
    for (struct job *j = t->jobs; j < t->jobs + JOBS_MAX; j++) {
        if (!j->used)
            continue;
        if (j->turns-- <= 0)
            end(t, j);
        else if (draw(t->p, "piecewise", &j->key, 2))
            spend(t, j, 1, 2);
    }
    t->collecting = false;
}

static void ends(struct engine *g)
{
    struct stage_set *t = set_of(g);
    for (size_t i = 0; i < JOBS_MAX; i++)
        t->jobs[i].used = false;
}

void rows_table(struct stage_set *t, struct act_table *ret)
{
    static const struct act_row row = {prepare, start, cancel, recover};
    *ret = (struct act_table){.rows = {[ACT_TOOL] = &row, [ACT_MODEL] = &row, [ACT_MEASURE] = &row, [ACT_LANDING] = &row,
                                       [ACT_THINK] = &row},
                              .ctx = t, .watch = watch, .collect = collect, .close = ends};
}
