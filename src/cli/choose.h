/*
 * Which model crannog works with: what there is on this machine, which of it is taken, and how that is told.
 *
 * Places are where models are: a provider with a key, a server of this machine (ollama, lmstudio, llama.cpp, vllm, litellm, found
 * by themselves on their usual ports), a server of one's own (`crannog login --base`, or `servers:` in crannog.yaml). A model is
 * named PLACE/MODEL: "anthropic/claude-sonnet-5-5", "ollama/qwen3:8b", "box/org/model".
 *
 * C1  A model that was chosen is never exchanged silently: when it cannot be used any more that is an error in words.
 * C2  Of other programs' logins it is asked whether the file exists; of their models, names and sizes. Nothing is opened.
 * C3  Looking is bounded: CHOOSE_LOOK_MS for all servers together, CHOOSE_NAMES_MAX names on disk.
 * C4  The models that crannog runs itself (`crannog model`) write plans' documents; they are told of, and never taken here.
 * C5  Names from servers that are not visible ASCII of at most CHOOSE_NAME_MAX bytes are dropped.
 *
 * Functions that take an arena put their texts there. One thread.
 */
#ifndef CRANNOG_CLI_CHOOSE_H
#define CRANNOG_CLI_CHOOSE_H

#include "cli/cli.h"
#include "model/prices.h"
#include "model/provider.h"
#include "wire/peer.h"

enum { CHOOSE_LOOK_MS = 700, CHOOSE_NAMES_MAX = 20000, CHOOSE_NAME_MAX = 200, CHOOSE_MODELS_MAX = 256, CHOOSE_PLACES_MAX = 64 };

/* In the order in which they are preferred: what a person set up, what is paid for, what is merely there. */
enum choose_from { CHOOSE_OWN, CHOOSE_KEY, CHOOSE_LOCAL };

struct model_place {
    struct slice name;     /* "anthropic", "box" */
    struct slice provider; /* an entry of model/provider.h */
    struct slice base;     /* where it is; never empty */
    struct slice secret;   /* the name that the door knows the key by; empty: none */
    enum choose_from from;
    bool in_environment;   /* the key is a variable's */
};

struct choice {
    struct slice ref;     /* PLACE/MODEL */
    struct model_place place;
    struct slice model;
    const struct price *price; /* NULL: not known */
    int64_t context, max_output; /* tokens; 0: not known */
    int64_t size;         /* millions of parameters by its name; 0: it says nothing */
    size_t order;         /* in which it was found; breaks ties */
};

/* What looking needs. */
struct choose_with {
    struct slice state, home; /* <crannog>/.crannog; $HOME, or empty */
    const struct config *cfg; /* its servers */
    struct peer door;         /* started, or not running: then no server is asked */
    struct slice *names;      /* of the secrets that the door knows */
    size_t n_names;
};

struct choose_file {
    struct slice name, where; /* "qwen3-8b.gguf", "LM Studio" */
    int64_t bytes;            /* 0: not known */
};

struct choose_found {
    struct choice *v; /* best first */
    size_t n;
    struct choose_file *own, *others; /* models that crannog runs itself; files of other programs */
    size_t n_own, n_others;
    struct slice *notes; /* what was found and cannot be used as it is, a line each */
    size_t n_notes;
};

/* Reads the settings, starts crannog-door, says what it knows. `make` also makes the crannog and its vault. */
enum err MUST_USE choose_open(struct cli *c, bool make, struct arena *a, struct choose_with *ret, struct error *e);
void choose_close(struct choose_with *w); /* ends the door */

/* Everything that choose_pick needs, in one: the model named, the remembered one, or the best of what is found now, which is
   remembered and told. `wanted` is --model, or NULL. ERR_MISSING where there is none: `ret_told` then has the ways to get one. */
enum err MUST_USE choose_model(struct choose_with *w, const char *wanted, struct arena *a, struct choice *ret, struct buf *ret_told,
                               struct error *e);

enum err MUST_USE choose_find(struct choose_with *w, struct arena *a, struct choose_found *ret, struct error *e);
/*
 * `wanted`, else $CRANNOG_MODEL, else the remembered one, else the best of `f`. With f NULL nothing was looked for yet, and
 * ERR_MISSING without a text says that it has to be. Neither asks a server.
 */
enum err MUST_USE choose_pick(struct choose_with *w, const struct choose_found *f, const char *wanted, struct arena *a,
                              struct choice *ret, struct error *e);
/* Makes it the one that is taken from now on: <state>/choice, durable. */
enum err MUST_USE choose_remember(const struct choose_with *w, const struct choice *c, struct error *e);
/* A few lines for people: what was found and which is taken (NULL: none, and the ways to get one). */
void choose_tell(const struct choose_found *f, const struct choice *taken, struct buf *ret);
/* "$2 in, $10 out a million tokens", "free", "price not known". */
void choose_price_words(const struct choice *c, struct buf *ret);

/* ---- pure (choose_rank.c) ---- */

/* The places: servers of one's own, then the providers as model/provider.h lists them, with keys by the names known. */
size_t choose_places(const struct config_server *own, size_t n_own, const struct slice *names, size_t n_names,
                     struct model_place ret[static CHOOSE_PLACES_MAX]);
const struct model_place *choose_place(const struct model_place *v, size_t n, struct slice name);
bool choose_usable(const struct model_place *p); /* has the key that it needs */
/* Whether a server's word for a model can be one that talks (C5; not one for embeddings, speech, pictures). */
bool choose_talks(struct slice model);
/* "qwen3:8b" → 8000, "Llama-3.2-1B" → 1000, "mixtral-8x7b" → 56000; 0 where the name does not say. */
int64_t choose_size(struct slice model);
/* The model to take of a provider that has many; `listed` what the server says it has (n 0: not asked). Empty: none is known. */
struct slice choose_default(struct slice provider, const struct slice *listed, size_t n);
/* Fills the rest of a choice of place and model. */
enum err MUST_USE choose_make(const struct model_place *p, struct slice model, struct arena *a, struct choice *ret, struct error *e);
void choose_rank(struct choice *v, size_t n);
/* "PLACE/MODEL", or the name of a model of the catalogue or of `f` (may be NULL), or a part of one that is unique. */
enum err MUST_USE choose_resolve(const struct model_place *places, size_t n, const struct choose_found *f, struct slice ref,
                                 struct arena *a, struct choice *ret, struct error *e);

/* ---- what lies on the disk (choose_disk.c, choose_keep.c) ---- */

void choose_look_on_disk(const struct choose_with *w, struct arena *a, struct choose_found *f);
void choose_note(struct choose_found *f, struct arena *a, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Servers of one's own that `crannog login --base` was told, <state>/servers, behind those of crannog.yaml, which win. */
enum err MUST_USE choose_servers(const struct choose_with *w, struct arena *a, struct config_server **ret, size_t *ret_n,
                                 struct error *e);
enum err MUST_USE choose_keep_server(const struct choose_with *w, const struct config_server *s, struct error *e);
enum err MUST_USE choose_drop_server(const struct choose_with *w, struct slice name, bool *ret_was, struct error *e);
/* The remembered choice's PLACE/MODEL; empty if there is none. */
enum err MUST_USE choose_recall(const struct choose_with *w, struct arena *a, struct slice *ret, struct error *e);

#endif
