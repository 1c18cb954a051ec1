/*
 * What a person says of a run's jails: how much commands may use, and which folders beside the work folder they see. Said in
 * crannog.yaml and by flags, where the flag counts; journaled with the run, so that what is done again is done on the same terms.
 *
 *   limits:
 *     memory: 8G
 *     cpu: 2h
 *   browser: true
 *   show:
 *     - /opt/tool
 *     - .env
 */
#ifndef CRANNOG_TOOLS_TERMS_H
#define CRANNOG_TOOLS_TERMS_H

#include "base/arena.h"
#include "base/buf.h"
#include "jail/plan.h"
#include "text/json.h"

enum limit {
    LIMIT_MEMORY, LIMIT_CPU, LIMIT_TIME, LIMIT_PROCESSES, LIMIT_OPEN_FILES, LIMIT_FILE_SIZE, LIMIT_FILES, LIMIT_DISK, LIMIT_TMP, LIMIT_OUTPUT,
    LIMITS,
};

enum { TERMS_SHOW_MAX = 8 };

struct terms {
    uint64_t limits[LIMITS]; /* bytes, milliseconds or a count; 0: not said */
    struct slice show[TERMS_SHOW_MAX]; /* real absolute paths, or paths below the work folder of what is hidden there (credential.h) */
    size_t nshow;
    bool browser; /* commands may build a sandbox of their own inside (jail_plan.nests) */
};

/* "memory", ... and its value for people: "8G", "2h", "512". */
const char *limit_name(enum limit l);
void limit_print(enum limit l, uint64_t value, struct buf *out);
/* A limit said as a word: "memory", "8G". Sizes take K M G T, times s m h d (a bare number is seconds). ERR_USAGE in words that name all limits. */
enum err MUST_USE terms_set_limit(struct terms *t, struct slice name, struct slice value, struct error *e);
/* One more folder or file to be shown; the path is real and setting_may_show() has seen it, or relative and checked. ERR_USAGE past TERMS_SHOW_MAX. */
enum err MUST_USE terms_add_show(struct terms *t, struct slice path, struct error *e);
/* What `over` says takes the place of what t says; folders are added. */
enum err MUST_USE terms_merge(struct terms *t, const struct terms *over, struct error *e);
/* NULL where nothing was said; as it stands in run.started. */
struct json *terms_print(const struct terms *t);
/* From run.started, NULL: nothing was said. ERR_CORRUPT. Paths lie in the arena. */
enum err MUST_USE terms_read(const struct json *v, struct arena *a, struct terms *ret, struct error *e);
/* Whether a path below the work folder was named to be shown. */
bool terms_names(const struct terms *t, struct slice below);
/* A limit, or else what holds without it. NULL: nothing was said. */
uint64_t terms_limit(const struct terms *t, enum limit l, uint64_t otherwise);

#endif
