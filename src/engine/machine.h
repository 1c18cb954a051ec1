/*
 * The real machine: the acts' table over crannog-jail and crannog-infer.
 *
 * One process of crannog-infer for the engine, started at the first call; one process of crannog-jail per tool act.
 */
#ifndef CRANNOG_ENGINE_MACHINE_H
#define CRANNOG_ENGINE_MACHINE_H

#include "engine/engine.h"
#include "jail/client.h"
#include "layers/manifest.h"
#include "tools/place.h"
#include "wire/peer.h"

enum { MACHINE_JOBS_MAX = 32, MACHINE_SERVICES_MAX = 32 };

enum phase { PHASE_RUN, PHASE_COPY, PHASE_SEAL }; /* act_layer.c */

struct jail_job {
    struct step_key key;
    enum stage stage;
    enum phase phase;
    struct peer peer; /* pid 0: a free place */
    bool plain;       /* no layers here: the folder as it is */
    bool copies;      /* no overlays here: in a copy */
    bool writes;      /* it has an upper of its own, */
    bool seals;       /* which becomes a layer */
    int64_t began_ns; /* sys->boottime_ns() */
    int64_t began_ms; /* sys->now_ms(), before anything was mounted or copied */
    char layer[RUN_LAYER_NAME_MAX + 1]; /* its folder; "" while there is none */
    struct buf index;        /* of its copy (layers/copy.h) */
    struct hash walls;       /* of its jail, if that may stay; */
    int64_t stayed_ns;       /* since when it is there, if it stayed from another step; else 0 */
    struct jail_result ran;  /* how the step went, while its layer is sealed */
    uint64_t cpu_ns;         /* of the phases before */
};

enum service_wait { WAITS_NOT, WAITS_UP, WAITS_OUTPUT, WAITS_END };

/* A service's jail (service.h). */
struct service_jail {
    uint64_t run;        /* 0: a free place */
    char name[SERVICE_NAME_MAX + 1];
    uint32_t step;       /* that declared it */
    struct peer peer;    /* pid 0: it has ended; what is here is remembered */
    bool up, writes;
    const char *by;      /* who wants its end: "run", "agent", "person"; NULL: nobody */
    struct step_key tried; /* the step for which it was started */
    int64_t began_ns, deadline_ns; /* who waits for it to be up waits no longer than that */
    enum service_wait waits;
    struct step_key waiter; /* the call of `serve` that waits */
    uint16_t ports[SERVICE_PORTS_MAX];
    size_t nports;
    uint16_t opened;     /* the port of this machine that leads to it; 0: none */
    uint64_t cpu_ns, settled_ns; /* as far as is known; of that settled with steps */
    struct buf tail;     /* the end of what it printed, when it was looked at last */
    char how[120];       /* how it ended; "" */
    char layer[RUN_LAYER_NAME_MAX + 1]; /* its upper, which is thrown away; "" */
};

enum infer_stage { INFER_OFF, INFER_STARTING, INFER_READY };

struct infer_job {
    struct step_key key;
    uint64_t id;         /* frame id; 0: a free place */
    enum stage stage;
    struct outgoing out; /* the request, until it is sent */
    bool sent, cancelled;
};

struct think_job {
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
    const char *home;       /* the person's, for what they tell all agents (AGENTS.md and the like); NULL: nothing of it is shown */
    const struct setting *setting; /* what commands find around them; NULL: the bare system. Borrowed */
    const int *terminal;    /* 0, 1, 2 for exec at a terminal; NULL: output is kept */
    int layers;             /* the folder state/layers, once it was needed; -1 */
    bool litter;            /* layers were dropped: their bytes go while nothing else is to be done */
    struct jail_job jails[MACHINE_JOBS_MAX];
    struct service_jail services[MACHINE_SERVICES_MAX];
    uint32_t service_turn;
    struct step_key *queue; /* acts that wait until one of those places is free, or what landed has settled, in their order */
    size_t nqueue, cap_queue;
    int64_t landed_ms;      /* sys->now_ms() when the last landing had ended */
    struct peer ready;      /* a crannog-jail that waits for its plan: started while a model answers; */
    struct peer begun;      /* and one that has built what plans of commands begin with, */
    struct buf begun_with, begins; /* that beginning, and the one of the last such plan */
    struct peer warm;       /* a jail that stayed after a file was read, for those of the same turn; */
    struct hash warm_walls; /* what can be played in it, */
    int64_t warm_ns;        /* and since when it is there, by sys->boottime_ns() */
    struct peer infer;
    enum infer_stage infer_stage;
    struct infer_job calls[MACHINE_JOBS_MAX];
    struct peer door;    /* crannog-door, from the first call on */
    struct think_job *thinks;
    size_t nthinks;
    uint64_t next_id;
};

/* Finds the sibling programs. *m and both paths are borrowed by the table as long as the engine lives. */
enum err MUST_USE machine_open(struct machine *m, const char *model_file, const char *state, struct act_table *ret, struct error *e);
void machine_close(struct machine *m);
/* Takes a crannog-door that runs already (or none) as its own, if it has none yet; *door is not the caller's any more. */
void machine_take_door(struct machine *m, struct peer *door);

/* rows, in act_tool.c, act_landing.c, act_model.c and act_think.c */
extern const struct act_row act_tool, act_landing, act_model, act_measure, act_think;

/* ---- layers, in act_layer.c ---- */

void layer_name_of(const struct step_key *k, char ret[RUN_LAYER_NAME_MAX + 1]);
/* The folder of all layers, made and swept at first use; borrowed. */
enum err MUST_USE layer_folder(struct machine *m, int *ret, struct error *e);
/* Removes a layer's folder, if it is there; what lay in it goes with layer_sweep_litter(), or when the next session begins. */
void layer_drop(struct machine *m, const char *name);
void layer_sweep_litter(struct machine *m);
/* Marks a layer as one that another run uses too (a fork): its own run will leave it. ERR_MISSING: it has gone. */
enum err MUST_USE layer_share(struct machine *m, struct slice name, struct error *e);
/* Removes the folders of a run's layers that it does not need any more: taken, squashed, of attempts that died. Whoever calls
   holds its lease. */
void layer_tidy(struct machine *m, const struct run_state *r);
/* Puts what a step sees into the place: the layers that its arguments name, its own upper (made anew), or its copy. */
enum err MUST_USE layer_see(struct machine *m, const struct json *args, struct jail_job *job, struct arena *a, struct place *p,
                            struct error *e);
/* Puts the names of the run's layers into a step's arguments, oldest first. */
void layer_put_names(const struct run_state *r, struct json *args);
/* Shows layers to a jail, one by one, to be read; ret_inside[n]: their places inside. */
enum err MUST_USE layer_show(const struct machine *m, const struct slice *names, size_t n, struct arena *a, struct jail_plan *plan,
                             struct slice *ret_inside, struct error *e);
/* The same for the layers that a step's arguments name. */
enum err MUST_USE layer_add_stack(const struct machine *m, const struct json *args, struct arena *a, struct jail_plan *plan,
                                  struct slice **ret_inside, size_t *ret_n, struct error *e);
/* The plans of the jails around a step's own; `message` takes the applet's arguments. */
enum err MUST_USE layer_copy_plan(struct engine *g, const struct json *args, struct jail_job *job, struct arena *a,
                                  const struct place *p, struct buf *message, struct jail_plan *ret, struct error *e);
enum err MUST_USE layer_seal_plan(struct engine *g, const struct json *args, const struct jail_job *job, struct arena *a,
                                  const struct place *p, struct buf *message, struct jail_plan *ret, struct error *e);
enum err MUST_USE layer_squash_plan(struct engine *g, const struct json *args, struct jail_job *job, struct arena *a,
                                    const struct place *p, struct buf *message, struct jail_plan *ret, struct error *e);
/* What sealing or squashing answered becomes the completion's layer; none where nothing has changed after all. */
enum err MUST_USE layer_sealed(struct machine *m, struct jail_job *job, struct slice reply, struct completion *c, struct error *e);
enum err MUST_USE layer_squashed(struct engine *g, const struct open_step *o, struct jail_job *job, struct completion *c,
                                 struct error *e);
/* A flattened manifest whose changes all lie in one folder now. */
enum err MUST_USE layer_flat_as_one(struct slice flat, struct completion *c, struct error *e);
/* What the run's layers come to; `layer` of a change is an index into r->layers. */
enum err MUST_USE layer_flatten(struct engine *g, const struct run_state *r, struct arena *a, struct manifest *ret, struct error *e);
/* The manifest that the store has under a hash; all of it lies in the arena. */
enum err MUST_USE layer_get_manifest(struct store *s, const struct hash *h, struct arena *a, struct manifest *ret, struct error *e);
/* Stores a manifest and puts its hash into args[key]. */
enum err MUST_USE layer_put_manifest(struct engine *g, const struct manifest *m, struct json *args, const char *key, struct error *e);
/* Makes the folder of a layer that no step wrote, and opens it: *ret_folder, that of all layers, is borrowed, *ret_up is the
   caller's to close. After an error the folder may be there: layer_drop(). */
enum err MUST_USE layer_new(struct machine *m, const char *name, const struct place *p, int *ret_folder, int *ret_up, struct error *e);
/* Writes a file, and the folders on its way, below the fresh folder `up` of a layer, durable; the path was checked
   (stamp_check_path). mtime_ns 0: now. */
enum err MUST_USE layer_put_file(int up, struct slice path, struct slice bytes, const struct place *p, uint32_t mode, int64_t mtime_ns,
                                 struct stamp *ret, struct error *e);
/* The plan of a landing of layers, and what it answered (act_landing.c). */
enum err MUST_USE apply_plan(struct engine *g, const struct json *args, struct arena *a, const struct place *p, struct buf *message,
                             struct jail_plan *ret, struct error *e);
void apply_done(struct engine *g, struct run *r, const struct open_step *o, struct slice reply, struct completion *c);

/* shared by the rows */
enum err MUST_USE tool_start(struct engine *g, struct run *r, const struct open_step *o, struct error *e);
void tool_cancel(struct engine *g, struct run *r, const struct open_step *o);
enum recovery tool_recover(struct engine *g, struct run *r, const struct open_step *o, struct amounts *ret_used, bool *ret_exact);
void tool_clamp(struct json *args, const struct amounts *granted, const struct amounts *floor);
/* What a person said of the run's jails; `show` lies in the arena. */
enum err MUST_USE tool_terms(const struct run_state *r, struct arena *a, struct terms *ret, struct error *e);
/* The files of the work folder that the run's jails hide: ret->masked. */
enum err MUST_USE tool_masked(const struct run_state *r, struct arena *a, struct place *ret, struct error *e);
void tool_collect(struct engine *g, struct jail_job *job);
/* Names the walls that a command may have met in `result` ("met"), and appends what to do about them (tools/denial.h). */
void tool_denials(struct engine *g, const struct run_state *r, const struct jail_result *res, struct json *result, struct buf *words);
/* The completion of an act whose last jail ended so (tool_done.c); its amounts and outcome too. */
void tool_done(struct engine *g, struct run *r, const struct open_step *o, struct jail_job *job, const struct jail_result *res,
               struct completion *c);
/* Not the program inside but the jail around it (its pid 1) was killed: a signal, and words about it. How far the program got
   nobody knows, so nothing of it is kept. */
bool tool_jail_was_killed(const struct jail_result *res);
/* Begins what waits for a place, as far as there are some. */
void tool_start_queued(struct engine *g);
/* Lets the jail go that stayed warm, when it has for long; *timeout_ms becomes no longer than until then. */
void tool_cool(struct machine *m, int64_t *timeout_ms);
/* How long until a step can tell what it changes from what landed last: its clock and that of the files have a grain. 0: it can. */
int64_t tool_settle_ms(const struct machine *m);
/* Ends a job and gives back what it holds; its layer's folder goes too, unless the job has let go of it. */
void tool_drop(struct machine *m, struct jail_job *job);
/* Starts crannog-infer and waits until it has loaded the model, so that a model that cannot be used is an error before
   anything is asked, not the failure of each item in turn. */
enum err MUST_USE model_warm(struct engine *g, struct error *e);
void model_collect(struct engine *g);
void model_cancel(struct engine *g, struct run *r, const struct open_step *o);
enum recovery model_recover(struct engine *g, struct run *r, const struct open_step *o, struct amounts *ret_used, bool *ret_exact);
/* Sends a GENERATE, whose fields are in `out` (taken), or keeps it until crannog-infer is ready. */
enum err MUST_USE model_begin(struct engine *g, const struct open_step *o, struct outgoing *out, struct error *e);
/* What an agent's call costs here: tokens of the window and CPU seconds; the name of the meter goes into its arguments. */
void model_intend(struct engine *g, const struct run_state *r, struct intent *ret);
/* An agent's call of the model in crannog-infer, and what came of it. */
void think_generated(struct engine *g, const struct frame *f, const struct open_step *o, bool stopped, struct completion *c);
enum err MUST_USE think_embedded(struct engine *g, struct run *r, const struct open_step *o, const struct json *args, struct error *e);
void think_collect(struct engine *g);
/* Sends what waits for the door to read. */
void think_send(struct engine *g);

#endif
