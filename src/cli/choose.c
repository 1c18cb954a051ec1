/* Looks for models and takes one: the servers are asked through crannog-door, all at once. */
#include "cli/choose.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysinfo.h>

#include "base/sys.h"
#include "door/client.h"

/* ---- beginning ---- */

static enum err make_state(struct cli *c, bool make, struct arena *a, struct choose_with *ret, struct error *e)
{
    struct stat st;
    const char *home = getenv("HOME");
    ret->state = slice_of(arena_printf(a, "%s/.crannog", buf_str(&c->crannog)));
    ret->home = home && *home == '/' ? slice_of(home) : SLICE_NONE;
    enum err err = make ? cli_make_crannog(c, e) : OK;
    if (!err && !ret->state.n)
        return error_set(e, ERR_MEMORY, "no memory for the crannog's path");
    if (!err && sys->fstatat(AT_FDCWD, ret->state.p, &st, 0) < 0)
        ret->state = SLICE_NONE; /* no crannog yet: nothing is remembered, no vault */
    return err;
}

enum err choose_open(struct cli *c, bool make, struct arena *a, struct choose_with *ret, struct error *e)
{
    BUF_CLEANUP struct buf program = BUF_INIT(4096);
    struct config *cfg = arena_alloc(a, sizeof *cfg);
    *ret = (struct choose_with){.cfg = cfg, .door = PEER_INIT};
    enum err err = cfg ? make_state(c, make, a, ret, e) : error_set(e, ERR_MEMORY, "no memory for the settings");
    if (!err)
        err = config_read(c, a, cfg, e);
    if (!err)
        err = peer_find("crannog-door", &program, e);
    if (!err)
        err = door_start(buf_str(&program), ret->state.n ? ret->state.p : NULL, make, a, &ret->door, &ret->names, &ret->n_names, e);
    return err;
}

void choose_close(struct choose_with *w)
{
    peer_kill(&w->door);
}

static enum err places_of(const struct choose_with *w, struct arena *a, struct model_place **ret, size_t *ret_n, struct error *e)
{
    struct config_server *own = NULL;
    size_t n = 0;
    *ret = arena_array(a, CHOOSE_PLACES_MAX, sizeof **ret);
    enum err err = choose_servers(w, a, &own, &n, e);
    if (err || !*ret)
        return err ? err : error_set(e, ERR_MEMORY, "no memory for the places of models");
    *ret_n = choose_places(own, n, w->names, w->n_names, *ret);
    return OK;
}

/* ---- finding ---- */

static enum err add_choice(struct choose_found *f, const struct model_place *p, struct slice model, struct arena *a, struct error *e)
{
    if (f->n == CHOOSE_MODELS_MAX || !choose_talks(model))
        return OK;
    enum err err = choose_make(p, model, a, &f->v[f->n], e);
    f->n += !err;
    return err;
}

static enum err add_listed(struct choose_found *f, const struct model_place *p, const struct door_look *look, struct arena *a, struct error *e)
{
    enum err err = OK;
    size_t before = f->n;
    for (size_t i = 0; i < look->n && look->answered && !err; i++)
        err = add_choice(f, p, look->models[i], a, e);
    if (!err && look->answered && f->n == before && f->n < CHOOSE_MODELS_MAX)
        choose_note(f, a, "%.*s answers at %.*s, and has no model yet", SLICE_ARG(p->name), SLICE_ARG(p->base));
    if (!err && !look->answered && p->from == CHOOSE_OWN)
        choose_note(f, a, "%.*s at %.*s cannot be used now: %s", SLICE_ARG(p->name), SLICE_ARG(p->base), look->why);
    return err;
}

/* Of a provider with a key the model is known that one would take; the server is not asked. */
static enum err add_key(struct choose_found *f, const struct model_place *p, struct arena *a, struct error *e)
{
    struct slice model = choose_default(p->provider, NULL, 0);
    if (!choose_usable(p))
        return OK;
    if (model.n)
        return add_choice(f, p, model, a, e);
    choose_note(f, a, "there is a key for %.*s; `crannog login --list %.*s` shows its models, `crannog login --use %.*s/MODEL` takes one",
                SLICE_ARG(p->name), SLICE_ARG(p->name), SLICE_ARG(p->name));
    return OK;
}

/* Asks every server of one's own and of this machine. */
static enum err look(struct choose_with *w, const struct model_place *places, size_t n, struct arena *a, struct door_look *ret, struct error *e)
{
    struct door_look asked[CHOOSE_PLACES_MAX];
    size_t of[CHOOSE_PLACES_MAX], k = 0;
    for (size_t i = 0; i < n; i++)
        if (places[i].from != CHOOSE_KEY) {
            asked[k] = (struct door_look){.provider = places[i].provider, .base = places[i].base, .secret = places[i].secret};
            of[k++] = i;
        }
    enum err err = w->door.socket >= 0 && k ? door_look_at(&w->door, asked, k, CHOOSE_LOOK_MS, a, e) : OK;
    for (size_t i = 0; i < k && w->door.socket >= 0; i++)
        ret[of[i]] = asked[i];
    return err;
}

enum err choose_find(struct choose_with *w, struct arena *a, struct choose_found *ret, struct error *e)
{
    struct door_look looks[CHOOSE_PLACES_MAX] = {0};
    struct model_place *places;
    size_t n;
    *ret = (struct choose_found){.v = arena_array(a, CHOOSE_MODELS_MAX, sizeof *ret->v)};
    enum err err = ret->v ? places_of(w, a, &places, &n, e) : error_set(e, ERR_MEMORY, "no memory for the names of models");
    if (!err)
        err = look(w, places, n, a, looks, e);
    for (size_t i = 0; !err && i < n; i++)
        err = places[i].from == CHOOSE_KEY ? add_key(ret, &places[i], a, e) : add_listed(ret, &places[i], &looks[i], a, e);
    if (err)
        return err;
    choose_rank(ret->v, ret->n);
    choose_look_on_disk(w, a, ret);
    return OK;
}

/* ---- taking ---- */

/* What was chosen: never another one (C1). `who` said so, if it was not the command line. */
static enum err pick_named(const struct choose_with *w, const struct choose_found *f, struct slice ref, const char *who, struct arena *a,
                           struct choice *ret, struct error *e)
{
    struct model_place *places;
    size_t n;
    enum err err = places_of(w, a, &places, &n, e);
    if (err)
        return err;
    err = choose_resolve(places, n, f, ref, a, ret, e);
    return err && e && who ? error_wrap(e, "%s", who) : err;
}

enum err choose_pick(struct choose_with *w, const struct choose_found *f, const char *wanted, struct arena *a, struct choice *ret,
                     struct error *e)
{
    const char *env = getenv("CRANNOG_MODEL");
    struct slice kept = SLICE_NONE;
    if (wanted)
        return pick_named(w, f, slice_of(wanted), NULL, a, ret, e);
    if (env && *env)
        return pick_named(w, f, slice_of(env), "$CRANNOG_MODEL", a, ret, e);
    enum err err = w->state.n ? choose_recall(w, a, &kept, e) : OK;
    if (err)
        return err;
    if (kept.n)
        return pick_named(w, f, kept, "the model used so far (`crannog login --use PLACE/MODEL` takes another)", a, ret, e);
    if (!f && e)
        *e = (struct error){.code = ERR_MISSING};
    if (!f)
        return ERR_MISSING;
    if (!f->n)
        return error_set(e, ERR_MISSING, "there is no model yet that could work on this; `crannog login` says how to get one");
    *ret = f->v[0];
    return OK;
}

/* A name without a place is known only after looking. */
static bool must_look(const char *wanted)
{
    const char *env = getenv("CRANNOG_MODEL"), *named = wanted ? wanted : env;
    return named && *named && slice_index(slice_of(named), '/') == slice_of(named).n;
}

enum err choose_model(struct choose_with *w, const char *wanted, struct arena *a, struct choice *ret, struct buf *ret_told, struct error *e)
{
    struct choose_found f;
    if (!must_look(wanted)) {
        struct error first = {0};
        enum err err = choose_pick(w, NULL, wanted, a, ret, &first);
        if (err != ERR_MISSING || first.text[0]) {
            if (err && e)
                *e = first;
            return err;
        }
    }
    enum err err = choose_find(w, a, &f, e);
    if (err)
        return err;
    err = choose_pick(w, &f, wanted, a, ret, e);
    bool named = must_look(wanted);
    if (!named)
        choose_tell(&f, err ? NULL : ret, ret_told);
    return err || named || !w->state.n ? err : choose_remember(w, ret, e);
}

/* ---- telling ---- */

static void dollars(int64_t nusd, struct buf *ret)
{
    int64_t cents = (nusd + 5000000) / 10000000;
    buf_addf(ret, cents % 100 ? "$%lld.%02lld" : "$%lld", (long long)(cents / 100), (long long)(cents % 100));
}

void choose_price_words(const struct choice *c, struct buf *ret)
{
    if (!c->price) {
        buf_add_text(ret, "price not known");
    } else if (c->price->rates.input == 0 && c->price->rates.output == 0) {
        buf_add_text(ret, "free");
    } else {
        dollars(c->price->rates.input, ret);
        buf_add_text(ret, " in, ");
        dollars(c->price->rates.output, ret);
        buf_add_text(ret, " out a million tokens");
    }
}

static void why_words(const struct choice *c, struct buf *ret)
{
    const struct model_place *p = &c->place;
    if (p->from == CHOOSE_LOCAL)
        buf_addf(ret, "%.*s on this machine", SLICE_ARG(p->name));
    else if (p->from == CHOOSE_OWN)
        buf_addf(ret, "your server %.*s", SLICE_ARG(p->base));
    else if (p->in_environment)
        buf_addf(ret, "$%.*s", SLICE_ARG(p->secret));
    else
        buf_add_text(ret, "your key, in the vault");
}

static void tell_choices(const struct choose_found *f, struct buf *ret)
{
    enum { SHOWN = 12 };
    for (size_t i = 0; i < f->n && i < SHOWN; i++) {
        BUF_CLEANUP struct buf why = BUF_INIT(2048), price = BUF_INIT(256);
        why_words(&f->v[i], &why);
        choose_price_words(&f->v[i], &price);
        buf_addf(ret, "%-9s%-34.*s  %s, %s\n", i ? "" : "Models", SLICE_ARG(f->v[i].ref), buf_str(&why), buf_str(&price));
    }
    if (f->n > SHOWN)
        buf_addf(ret, "         and %zu more: crannog login --list\n", f->n - SHOWN);
}

static void tell_file(const struct choose_file *file, struct buf *ret)
{
    cli_print_safe(file->name, ret);
    if (file->bytes && file->bytes < 100000000)
        buf_addf(ret, " (%lld MB)", (long long)(file->bytes / 1000000));
    else if (file->bytes)
        buf_addf(ret, " (%lld.%lld GB)", (long long)(file->bytes / 1000000000), (long long)(file->bytes / 100000000 % 10));
}

/* Models on the disk whose program does not answer. */
static void tell_files(const struct choose_found *f, struct buf *ret)
{
    enum { SHOWN = 4 };
    for (size_t i = 0; i < f->n_others && i < SHOWN; i++) {
        buf_add_text(ret, "Disk     ");
        tell_file(&f->others[i], ret);
        buf_addf(ret, ", of %.*s; crannog uses it while a server has it loaded\n", SLICE_ARG(f->others[i].where));
    }
    if (f->n_others > SHOWN)
        buf_addf(ret, "         and %zu more models on the disk\n", f->n_others - SHOWN);
}

static void tell_own(const struct choose_found *f, struct buf *ret)
{
    for (size_t i = 0; i < f->n_own; i++) {
        buf_add_text(ret, "Here     ");
        tell_file(&f->own[i], ret);
        buf_add_text(ret, ", which crannog runs itself: it writes the documents of a plan (crannog run PLAN.md)\n");
    }
}

/* A model that a machine of this memory runs at a bearable speed. */
static const char *fitting_model(void)
{
    struct sysinfo s;
    uint64_t gib = sysinfo(&s) == 0 ? (uint64_t)s.totalram * s.mem_unit >> 30 : 0;
    return gib >= 15 ? "qwen3:8b" : gib >= 7 ? "qwen3:4b" : "qwen3:1.7b";
}

static void tell_ways(const struct choose_found *f, struct buf *ret)
{
    buf_addf(ret, "No model was found that can use tools and work on a goal.%s\n\nThree ways to get one:\n",
             f->n_own ? " The small model that crannog runs itself\nreads documents for a plan, a part at a time; it is not asked for anything else." : "");
    buf_add_text(ret, "  a key      crannog login anthropic           asks for it; openai, openrouter, mistral, ... too\n");
    buf_addf(ret, "  your own   ollama pull %-12s          or LM Studio, llama.cpp, vLLM: what runs is found\n", fitting_model());
    buf_add_text(ret, "  a server   crannog login --base URL NAME     any that speaks like OpenAI's or Anthropic's\n");
    if (f->n_own || f->n_others || f->n_notes)
        buf_add_char(ret, '\n');
}

void choose_tell(const struct choose_found *f, const struct choice *taken, struct buf *ret)
{
    if (!f->n && !taken)
        tell_ways(f, ret);
    tell_choices(f, ret);
    if (!f->n)
        tell_files(f, ret);
    tell_own(f, ret);
    for (size_t i = 0; i < f->n_notes; i++)
        buf_addf(ret, "Also     %.*s\n", SLICE_ARG(f->notes[i]));
    if (taken)
        buf_addf(ret, "Takes    %.*s; crannog login --use PLACE/MODEL takes another\n", SLICE_ARG(taken->ref));
}
