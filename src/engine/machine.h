/*
 * The real machine: the acts' table over crannog-jail and crannog-infer.
 *
 * One process of crannog-infer for the engine, started at the first call; one process of crannog-jail per tool act.
 */
#ifndef CRANNOG_ENGINE_MACHINE_H
#define CRANNOG_ENGINE_MACHINE_H

#include "engine/engine.h"
#include "wire/peer.h"

enum { MACHINE_JOBS_MAX = 32 };

struct jail_job {
    struct step_key key;
    enum stage stage;
    struct peer peer; /* pid 0: a free place */
    bool cancelled;
    int64_t began_ns; /* sys->boottime_ns() */
};

enum infer_stage { INFER_OFF, INFER_STARTING, INFER_READY };

struct infer_job {
    struct step_key key;
    uint64_t id;         /* frame id; 0: a free place */
    enum stage stage;
    struct outgoing out; /* the request, until it is sent */
    bool sent, cancelled;
};

struct machine {
    struct buf jail_path, infer_path;
    const char *model_file; /* GGUF; NULL: no model, calls fail with what to do */
    unsigned threads;
    struct buf meter_path;  /* of this engine's meter (infer/meter.h), its name at the end; empty until it is there */
    const char *state;      /* real path of the crannog's .crannog: hidden from jails, meters/ is in it; NULL: there is none */
    const int *terminal;    /* 0, 1, 2 for exec at a terminal; NULL: output is kept */
    struct jail_job jails[MACHINE_JOBS_MAX];
    struct peer infer;
    enum infer_stage infer_stage;
    struct infer_job calls[MACHINE_JOBS_MAX];
    uint64_t next_id;
};

/* Finds the sibling programs. *m and both paths are borrowed by the table as long as the engine lives. */
enum err MUST_USE machine_open(struct machine *m, const char *model_file, const char *state, struct act_table *ret, struct error *e);
void machine_close(struct machine *m);

/* rows, in act_tool.c, act_landing.c and act_model.c */
extern const struct act_row act_tool, act_landing, act_model, act_measure;

/* shared by the rows */
enum err MUST_USE tool_start(struct engine *g, struct run *r, const struct open_step *o, struct error *e);
void tool_cancel(struct engine *g, struct run *r, const struct open_step *o);
enum recovery tool_recover(struct engine *g, struct run *r, const struct open_step *o, struct amounts *ret_used, bool *ret_exact);
void tool_clamp(struct json *args, const struct amounts *granted, const struct amounts *floor);
void tool_collect(struct engine *g, struct jail_job *job);
/* Starts crannog-infer and waits until it has loaded the model, so that a model that cannot be used is an error before
   anything is asked, not the failure of each item in turn. */
enum err MUST_USE model_warm(struct engine *g, struct error *e);
void model_collect(struct engine *g);

#endif
