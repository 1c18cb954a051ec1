/* The pure part of choosing a model: places, names, and which is better. */
#include "cli/choose.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "door/client.h"

/*
 * What is taken of a provider with many models, best first: one that can work with tools for hours, at a price that nobody
 * regrets. Anthropic's are rows of model/prices.c; OpenAI's has no row there yet, so a budget in money asks.
 */
static const struct {
    struct slice provider, model;
    const char *day, *source;
} defaults[] = {
    {SLICE_INIT("anthropic"), SLICE_INIT("claude-sonnet-5-5"), "2026-11-25", "https://platform.claude.com/docs/en/about-claude/pricing"},
    {SLICE_INIT("anthropic"), SLICE_INIT("claude-sonnet-5"), "2026-11-25", "https://platform.claude.com/docs/en/about-claude/pricing"},
    {SLICE_INIT("anthropic"), SLICE_INIT("claude-sonnet-4-5"), "2026-11-25", "https://platform.claude.com/docs/en/about-claude/pricing"},
    {SLICE_INIT("openai"), SLICE_INIT("gpt-5"), "2026-11-25", "https://platform.openai.com/docs/models"},
};

/* ---- places ---- */

static bool is_local(struct slice base)
{
    return slice_starts(base, SLICE("http://127.0.0.1:"));
}

static bool has_name(const struct slice *v, size_t n, struct slice name)
{
    for (size_t i = 0; i < n; i++)
        if (slice_eq(v[i], name))
            return true;
    return false;
}

/* The key of a place: a variable of its provider, or a secret that bears the place's own name. */
static void find_key(struct model_place *p, const struct slice *names, size_t n)
{
    const struct door_variable *v;
    if (has_name(names, n, p->name))
        p->secret = p->name;
    for (size_t i = 0; !p->secret.n && slice_eq(p->name, p->provider) && (v = door_variable_at(i)); i++)
        if (slice_is(p->provider, v->provider) && has_name(names, n, slice_of(v->name))) {
            p->secret = slice_of(v->name);
            p->in_environment = door_has_variable(v->name);
        }
}

const struct model_place *choose_place(const struct model_place *v, size_t n, struct slice name)
{
    for (size_t i = 0; i < n; i++)
        if (slice_eq(v[i].name, name))
            return &v[i];
    return NULL;
}

size_t choose_places(const struct config_server *own, size_t n_own, const struct slice *names, size_t n_names,
                     struct model_place ret[static CHOOSE_PLACES_MAX])
{
    size_t n = 0;
    const struct provider *p;
    for (size_t i = 0; i < n_own && n < CHOOSE_PLACES_MAX; i++) {
        p = provider_find(own[i].name);
        if (choose_place(ret, n, own[i].name))
            continue;
        ret[n] = (struct model_place){own[i].name, p ? p->name : own[i].provider, own[i].base, SLICE_NONE,
                                p && is_local(p->base) ? CHOOSE_LOCAL : CHOOSE_OWN, false};
        find_key(&ret[n++], names, n_names);
    }
    for (size_t i = 0; (p = provider_at(i)) && n < CHOOSE_PLACES_MAX; i++) {
        if (!p->base.n || choose_place(ret, n, p->name))
            continue;
        ret[n] = (struct model_place){p->name, p->name, p->base, SLICE_NONE, is_local(p->base) ? CHOOSE_LOCAL : CHOOSE_KEY, false};
        find_key(&ret[n++], names, n_names);
    }
    return n;
}

bool choose_usable(const struct model_place *p)
{
    return p->from != CHOOSE_KEY || p->secret.n;
}

/* ---- names of models ---- */

static bool has_word(struct slice s, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= s.n; i++)
        if (strncasecmp(s.p + i, word, n) == 0)
            return true;
    return false;
}

bool choose_talks(struct slice model)
{
    static const char *const others[] = {"embed", "bge-", "rerank", "whisper", "tts-", "-tts", "minilm", "stable-diffusion", "dall-e",
                                         "moderation", "colbert", "gte-", "mmproj"};
    if (model.n == 0 || model.n > CHOOSE_NAME_MAX)
        return false;
    for (size_t i = 0; i < model.n; i++)
        if (model.p[i] <= ' ' || model.p[i] > '~')
            return false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (has_word(model, others[i]))
            return false;
    return true;
}

static bool is_digit(struct slice s, size_t i)
{
    return i < s.n && s.p[i] >= '0' && s.p[i] <= '9';
}

static bool is_letter(struct slice s, size_t i)
{
    return i < s.n && ((s.p[i] | 32) >= 'a' && (s.p[i] | 32) <= 'z');
}

/* A number with at most three digits after its point, by thousandths; *at goes behind it. */
static int64_t thousandths(struct slice s, size_t *at)
{
    int64_t v = 0, unit = 1000;
    for (; is_digit(s, *at) && v < 100000000; (*at)++)
        v = v * 10 + 1000 * (s.p[*at] - '0');
    if (*at < s.n && s.p[*at] == '.' && is_digit(s, *at + 1))
        for ((*at)++; is_digit(s, *at); (*at)++)
            v += (unit /= 10) * (s.p[*at] - '0');
    return v;
}

/* "8b", "0.6B", "350m", "8x7b" at `at`, with nothing of the word before and behind it; millions, or 0. */
static int64_t size_at(struct slice s, size_t at)
{
    int64_t times = 1000, v;
    if (at > 0 && (is_digit(s, at - 1) || is_letter(s, at - 1) || s.p[at - 1] == '.'))
        return 0;
    v = thousandths(s, &at);
    if (at < s.n && (s.p[at] | 32) == 'x' && is_digit(s, at + 1)) {
        times = v < 1000000 ? v : 1000;
        at++;
        v = thousandths(s, &at);
    }
    if (at >= s.n || is_letter(s, at + 1) || is_digit(s, at + 1) || v > 100000000)
        return 0;
    char unit = (char)(s.p[at] | 32);
    return unit == 'b' ? v * times / 1000 : unit == 'm' ? v * times / 1000000 : 0;
}

int64_t choose_size(struct slice model)
{
    int64_t best = 0;
    for (size_t i = 0; i < model.n; i++) {
        int64_t v = is_digit(model, i) ? size_at(model, i) : 0;
        best = v > best ? v : best;
    }
    return best;
}

/* Whether a listed name is that model or one of its dated versions, as prices tell them apart. */
static bool is_version_of(struct slice provider, struct slice listed, struct slice model)
{
    const struct price row = {.provider = provider, .model = model};
    return slice_eq(listed, model) || price_find(&row, 1, provider, listed) == &row;
}

struct slice choose_default(struct slice provider, const struct slice *listed, size_t n)
{
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        if (!slice_eq(defaults[i].provider, provider))
            continue;
        if (n == 0)
            return defaults[i].model;
        for (size_t j = 0; j < n; j++)
            if (is_version_of(provider, listed[j], defaults[i].model))
                return listed[j];
    }
    return SLICE_NONE;
}

/* ---- choices ---- */

enum err choose_make(const struct model_place *p, struct slice model, struct arena *a, struct choice *ret, struct error *e)
{
    const struct price *price = price_find(NULL, 0, p->provider, model);
    char *ref = arena_printf(a, "%.*s/%.*s", SLICE_ARG(p->name), SLICE_ARG(model));
    if (!ref)
        return error_set(e, ERR_MEMORY, "no memory for the names of models");
    *ret = (struct choice){.ref = slice_of(ref), .place = *p, .price = price, .context = price ? price->context : 0,
                           .max_output = price ? price->max_output : 0, .size = choose_size(model)};
    ret->model = slice_sub(ret->ref, p->name.n + 1, model.n);
    return OK;
}

/* Negative if a is the better one. */
static int compare(const void *x, const void *y)
{
    const struct choice *a = x, *b = y;
    if (a->place.from != b->place.from)
        return a->place.from < b->place.from ? -1 : 1;
    if (a->place.from == CHOOSE_KEY && !a->price != !b->price)
        return a->price ? -1 : 1;
    if (a->place.from != CHOOSE_KEY && a->size != b->size)
        return a->size > b->size ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

void choose_rank(struct choice *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v[i].order = i;
    if (n)
        qsort(v, n, sizeof *v, compare);
}

static enum err no_key(const struct model_place *p, struct error *e)
{
    return error_set(e, ERR_MISSING, "there is no key for %.*s yet; `crannog login %.*s` asks for it", SLICE_ARG(p->name),
                     SLICE_ARG(p->name));
}

/* The one choice of `f` that is named so, or, where none is, the one that has it in its name. -1: none, -2: several. */
static int find_choice(const struct choose_found *f, struct slice name)
{
    int part = -1;
    for (size_t i = 0; i < f->n; i++) {
        if (slice_eq(f->v[i].model, name) || slice_eq(f->v[i].ref, name))
            return (int)i;
        if (slice_find(f->v[i].ref, name, 0) < f->v[i].ref.n)
            part = part == -1 ? (int)i : -2;
    }
    return part;
}

/* The place whose provider has a model of exactly this name in the catalogue. */
static const struct model_place *place_of_model(const struct model_place *places, size_t n, struct slice model)
{
    const struct price *row;
    for (size_t i = 0; (row = price_at(i)); i++)
        if (!slice_ends(row->model, SLICE("*")) && is_version_of(row->provider, model, row->model))
            return choose_place(places, n, row->provider);
    return NULL;
}

enum err choose_resolve(const struct model_place *places, size_t n, const struct choose_found *f, struct slice ref, struct arena *a,
                        struct choice *ret, struct error *e)
{
    size_t slash = slice_index(ref, '/');
    const struct model_place *p = slash < ref.n ? choose_place(places, n, slice_sub(ref, 0, slash)) : NULL;
    struct slice model = p ? slice_sub(ref, slash + 1, ref.n) : ref;
    int at = f && !p && ref.n ? find_choice(f, ref) : -1;
    if (at >= 0) {
        *ret = f->v[at];
        return OK;
    }
    if (!p)
        p = place_of_model(places, n, ref);
    if (at == -2 && !p)
        return error_set(e, ERR_USAGE, "'%.*s' may be several models; `crannog login` lists them", SLICE_ARG(slice_sub(ref, 0, 80)));
    if (!p)
        return error_set(e, ERR_USAGE, "there is no model '%.*s'; say PLACE/MODEL (anthropic/…, ollama/…), `crannog login` lists what there is",
                         SLICE_ARG(slice_sub(ref, 0, 80)));
    if (!choose_talks(model))
        return error_set(e, ERR_USAGE, "'%.*s' names no model that answers; say PLACE/MODEL, `crannog login` lists what there is",
                         SLICE_ARG(slice_sub(ref, 0, 80)));
    return choose_usable(p) ? choose_make(p, model, a, ret, e) : no_key(p, e);
}
