/*
 * What `crannog` (talk.c) and `crannog run "goal"` (goal.c) share: how the run of an agent begins, and what happens in it in
 * people's words.
 */
#ifndef CRANNOG_CLI_AGENT_H
#define CRANNOG_CLI_AGENT_H

#include "cli/session.h"
#include "context/tools.h"
#include "engine/say.h"

/* A model that was chosen. Slices are borrowed. */
struct agent_model {
    struct slice ref;           /* as people name it: "anthropic/claude-sonnet-5-5", "box/qwen" */
    struct slice provider, model, base, secret;
    int64_t window, max_output; /* tokens */
    const char *file;           /* of the embedded model; NULL: it is asked through the door */
};

struct agent_job {
    char work[PATH_MAX];
    struct stat st;
    struct slice goal;      /* for lists; what is said first is said with engine_say() */
    bool attended, commits;
    const char *verify;     /* NULL: none */
    unsigned checks;
    enum land_mode land;
    struct amounts budget;
    const struct terms *terms;  /* of the session; set by agent_start() */
    struct agent_model model;
    const struct run_state *of; /* a fork of this one; NULL: none */
    struct slice services;      /* made by agent_start() */
};

/* Stands in place of a plan's path, and is none: a run of an agent is known by it in lists. */
#define AGENT_PLAN_PATH "//talk"

enum { AGENT_WINDOW = 128000, AGENT_OUTPUT = 16384, AGENT_CHECKS = 8 };

/* ERR_USAGE where the crannog itself lies in the folder: what an agent changes is kept beside the folder, never in it. */
enum err MUST_USE agent_check_folder(const struct cli *c, const char *work, struct error *e);
/* The model to work with: `wanted`, the remembered one, or the best that is found (cli/choose.h); tells on standard error what was
   found when nothing was chosen before. All lies in the arena. The crannog-door that was asked is *ret_door's (PEER_INIT where there
   was none, and after an error), for the calls that follow; NULL: it is ended. */
enum err MUST_USE agent_choose(struct cli *c, const char *wanted, struct arena *a, struct agent_model *ret, struct peer *ret_door,
                               struct error *e);
/* The file of the embedded model that a run thinks with, appended; nothing for other runs. */
enum err MUST_USE agent_file(struct cli *c, const struct run_state *r, struct buf *ret, struct error *e);
/* From here on the run thinks with another model; nothing is under way. */
enum err MUST_USE agent_change_model(struct session *s, const struct agent_model *m, struct error *e);
/* Starts the run in s->engine; it is s->run then. */
enum err MUST_USE agent_start(struct session *s, struct agent_job *j, struct error *e);

/* A run with the talk of another as it is now, on the same folder; it is s->run then, and waits for a word. */
enum err MUST_USE agent_fork(struct session *s, struct agent_job *j, const struct run_state *of, struct error *e);

/* ---- what happens, in words ---- */

enum agent_end { AGENT_OK, AGENT_FAILED, AGENT_STOPPED };

struct agent_watch {
    void *ctx;
    void (*text)(void *ctx, struct slice delta);      /* of the model, as it comes; any of these may be NULL */
    void (*text_end)(void *ctx);
    void (*reasoning)(void *ctx, struct slice delta);
    void (*begin)(void *ctx, uint64_t id, struct slice tool, struct slice title);
    void (*end)(void *ctx, uint64_t id, enum agent_end how, struct slice summary, struct slice detail);
    void (*note)(void *ctx, struct slice text);       /* what a person should know: it is tried again, it was made shorter */
    void (*trouble)(void *ctx, struct slice text);
    /* the agent's own */
    struct engine *engine;
    bool wrote, answered;  /* something of this answer was shown */
    struct { uint32_t step; int64_t since_ms; bool shown; } acts[RUN_OPEN_MAX];
};

/* Makes the watch hear and be told what happens in an engine. */
void agent_watch(struct agent_watch *w, struct engine *g);
/* "make test", "src/main.c:40": what a call is about, one line. */
void agent_title(const struct tool_call *c, struct buf *out);
/* What a person wants to see of it: the lines that went and came, or what a command printed. */
void agent_detail(const struct tool_call *c, struct slice result, struct buf *out);
/* False where no price is known for the model of a run and nothing was paid: "$0.00" would be a claim. */
bool agent_is_priced(const struct run_state *r);
/* The last answer's words (the result of a run), appended. */
enum err MUST_USE agent_result(struct store *s, const struct run_state *r, struct buf *out, struct error *e);

#endif
