/*
 * Plans: a markdown checklist that a run walks. The grammar is our own, a line at a time, not markdown's:
 *
 *     ---                                      front matter (YAML): goal, verify, land, budget, services
 *     goal: what this is for
 *     ---
 *     # any other line at the margin is for people and is skipped; it ends an item
 *     - [ ] NAME: for each `GLOB` as VAR, TEXT         an item: "[ ]" to do, "[x]" ticked by a person, is left out
 *           more of TEXT                               indented: goes on
 *           writes: notes/{VAR.stem}.md                indented "key: value" with one of the keys below
 *           verify: test -s notes/{VAR.stem}.md
 *
 * NAME is [a-z][a-z0-9-]*, unique. Keys: writes verify needs agent model budget retries ask. "for each … as VAR," is
 * optional; VAR is [A-Z][A-Z0-9_]*. Templates (writes, verify, TEXT) may hold {VAR}, {VAR.stem}, {VAR.name}, {VAR.dir};
 * in `verify` each is quoted for sh and so stands outside of quotes.
 *
 * P1  Any bytes give a plan or an error that names the line; nothing is guessed, an unknown key is an error.
 * P2  A path that an item writes is relative, has no "." or ".." and no empty part, whatever the sources are called.
 */
#ifndef CRANNOG_CORE_PLAN_H
#define CRANNOG_CORE_PLAN_H

#include "base/arena.h"
#include "base/hash.h"
#include "core/ledger.h"

enum { PLAN_BYTES_MAX = 256 * 1024, PLAN_ITEMS_MAX = 200, PLAN_NEEDS_MAX = 16, PLAN_RETRIES_MAX = 20,
       PLAN_TEXT_MAX = 8192 /* a text or value */, PLAN_EXPANDED_MAX = 64 * 1024 /* with the longest names put in */ };

struct plan_item {
    struct slice name, text;
    struct slice glob, var;   /* empty without "for each" */
    struct slice writes;      /* template */
    struct slice verify;      /* template of a shell command, values quoted */
    struct slice agent, model, ask;
    uint32_t needs[PLAN_NEEDS_MAX]; /* indexes of earlier items */
    size_t nneeds;
    struct amounts budget;    /* AMOUNT_UNLIMITED where not set */
    unsigned retries;         /* tries after the first; 2 unless said */
    bool ticked;
    bool gathers;             /* `writes` has no variable: answers go into one file, in order */
    unsigned line;            /* in the file, from 1 */
};

struct plan {
    struct hash hash;         /* of the whole text */
    struct slice goal, verify, land;
    struct slice services;    /* a JSON list (core/service.h); empty: none */
    struct amounts budget;
    struct plan_item *items;
    size_t nitems;
};

/* Everything in *ret lives in the arena. Errors: "PLAN.md:12: …" with `name` for the file. */
enum err MUST_USE plan_parse(struct slice text, const char *name, struct arena *a, struct plan *ret, struct error *e);

/* Puts `path` into a template: {VAR} the path, {VAR.name} its last part, {VAR.stem} that without its extension,
   {VAR.dir} the rest ("." at the top). With `shell` each value is quoted for sh. */
void plan_expand(struct slice template, struct slice var, struct slice path, bool shell, struct buf *out);
/* P2, and at most 1,024 bytes. */
bool plan_path_ok(struct slice path);
/* Whether each of an item's files gives a path that can be written (ERR_USAGE) and, unless the item gathers, one of its
   own (ERR_CONFLICT): known before anything is spent on them. */
enum err MUST_USE plan_targets_check(const struct plan_item *it, const struct slice *paths, size_t n, struct error *e);
/* Same text and attributes: what decides whether a finished item was changed. */
bool plan_item_same(const struct plan_item *a, const struct plan_item *b);

#endif
