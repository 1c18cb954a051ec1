/*
 * The state of a run: a fold over its events, and what comes next.
 *
 * A run walks a plan's items in order. An item has a head (steps about the item itself: list its files, write a
 * gathered answer, verify) and pieces (one a file, or a single one without files). Head and pieces are *lines*: each
 * is at a stage and has at most one step open.
 *
 *   head:  LIST -> (pieces) -> [gathers: LOOK -> LAND -> VERIFY] -> DONE
 *   piece: READ -> MEASURE -> ASK (a part at a time) -> JOIN (if parts) -> [else: LOOK -> LAND -> VERIFY] -> DONE
 *
 * A piece whose answer does not pass VERIFY is asked again (joined again); so is a head's check, without asking.
 * A plan's own `verify:` is an item with a head only, after all others.
 *
 * What a run changed and the person's folder does not have yet is a list of layers (layers/manifest.h). With `land: step`
 * an item's LAND writes to the folder itself; with `end` and `ask` it makes a layer, and one more item with a head only
 * takes them all at the end: APPLY, with `ask` after a person's word (QUESTION_APPLY). A run of a command (`exec`) has one
 * item with only a head, and so has one that only takes layers of others (an undo, a fork without a command):
 *
 *   exec:  SURVEY -> [many layers: SQUASH] -> EXEC -> [it changed something: APPLY] -> DONE
 *   take:  APPLY -> DONE
 *
 * S1  run_apply() takes outside bytes: any event gives a legal state or an error; nothing is asserted of a payload.
 * S2  run_decide() is pure: state and clock in, wants out; it is never run on the past.
 * S3  A line has at most one open step; a finished step is never wanted again.
 * S4  Every intent ends in exactly one finish before the next attempt of the same line.
 */
#ifndef CRANNOG_CORE_STATE_H
#define CRANNOG_CORE_STATE_H

#include "core/event.h"
#include "core/plan.h"
#include "core/service.h"
#include "core/talk.h"

enum { RUN_ARENA_BYTES = 64 * 1024 * 1024, RUN_PIECES_MAX = 10000, RUN_PARTS_MAX = 256, RUN_DEATHS_MAX = 3, HEAD = -1,
       RUN_LAYERS_KEPT = 16 /* more are squashed */, RUN_LAYERS_MAX = 32, RUN_MASKED_BYTES = 256 * 1024, RUN_LAYER_NAME_MAX = 80 };

enum stage {
    STAGE_LIST, STAGE_PIECES, STAGE_READ, STAGE_MEASURE, STAGE_ASK, STAGE_JOIN, STAGE_LOOK, STAGE_LAND, STAGE_VERIFY,
    STAGE_SURVEY, STAGE_SQUASH, STAGE_EXEC, STAGE_APPLY,
    STAGE_INSTRUCT, STAGE_THINK, STAGE_CALL, STAGE_COMPACT, STAGE_COMMIT, /* of an agent: core/talk.h */
    STAGE_TALK,    /* an agent waits for what a person says */
    STAGE_DONE,
    STAGE_STUCK,   /* a person must say what happens: `question` is open */
    STAGE_SKIPPED, /* a person said: go on without it */
    STAGES
};

enum question { QUESTION_NONE, QUESTION_FAILED, QUESTION_CONFLICT, QUESTION_POISON, QUESTION_APPLY, QUESTION_ASK /* an agent asks */ };

/* The acts of the engine's table (engine/act.h); their numbers stand in intents. */
enum act_kind { ACT_TOOL = 1, ACT_MODEL = 2, ACT_MEASURE = 3, ACT_LANDING = 4, ACT_THINK = 5, ACT_KINDS };

/* What a crash in the middle means (DESIGN.md section 4). */
enum act_class { CLASS_READS = 1, CLASS_AGAIN = 2, CLASS_REDO = 3, CLASS_ONCE = 4, CLASSES };

enum outcome { OUTCOME_OK = 1, OUTCOME_FAILED, OUTCOME_LOST, OUTCOME_CANCELLED, OUTCOME_CONFLICT, OUTCOME_UNCONFIRMED, OUTCOMES };

struct answer_ref {
    struct hash blob;
    uint64_t bytes;
};

/* What a person chose hunk by hunk of what waits. A part of a file lies in a layer of our own (engine/chosen.h), which comes
   after the run's in the landing's list. */
struct chosen {
    struct hash of;     /* hash of the manifest that they chose from */
    struct hash lands;  /* blob: the manifest of what lands */
    struct hash rest;   /* blob: that of what waits on afterwards; zero: nothing */
    struct slice part;  /* name of that layer; empty: only whole files were chosen */
};

struct line {
    enum stage stage, resume; /* resume: where a STUCK line goes on */
    enum question question;
    uint32_t question_step;   /* its number, for `answer` */
    char why[240];
    bool open;                /* a step of it is intended and not finished */
    bool again;               /* the last attempt was lost or cancelled: the next is one more of the same step (E4) */
    uint32_t step, attempt;   /* of the open or last step */
    unsigned failures;        /* since the document was read, and of the answer since it was asked for */
    unsigned deaths;          /* in a row */
    int64_t wake_ms;          /* not before (backoff); 0: at once */
    bool replace;             /* a person allowed what lay there (`base`) to be replaced, once */
    bool allowed;             /* APPLY: a person said so */
    struct hash only;         /* APPLY: the blob with the paths that the person chose, a line each; zero: all */
    const struct chosen *chosen; /* APPLY: that instead; NULL: not hunk by hunk */
    uint32_t landing;         /* APPLY: the step that began a landing which failed or died: what it replaced lies in the undo
                                 folder of that step, so it is ended as it began before anything else lands; 0: none */
    /* what is known so far */
    struct slice source;      /* path; empty without a file */
    struct hash source_hash;
    struct answer_ref text;   /* the source as text */
    uint64_t tokens;
    uint64_t *cuts;           /* ends of the parts, in bytes of text */
    size_t ncuts;
    struct answer_ref *parts; /* answers to the parts so far */
    size_t nparts;
    struct answer_ref answer;
    struct slice target;      /* path it writes */
    struct slice base;        /* stamp of what lay there, encoded (layers/stamp.h) */
    struct slice replaced;    /* the same of a person's version that was replaced with permission; empty: none was */
    struct hash landed;       /* hash of what was written last; zero before */
    struct talk *talk;        /* of an agent; else NULL */
};

enum item_phase { ITEM_WAITING, ITEM_OPEN, ITEM_DONE, ITEM_STUCK };

enum item_kind { ITEM_OF_PLAN, ITEM_CHECK /* the plan's own verify */, ITEM_COMMAND, ITEM_TAKE, ITEM_AGENT };

struct item_state {
    enum item_kind kind;
    const struct plan_item *plan; /* of an ITEM_OF_PLAN, else NULL */
    enum item_phase phase;
    struct line head;
    struct line *pieces;
    size_t npieces;
    /* follow from the lines, so that a step of a run with many pieces does not look at them all */
    bool started;         /* one of its lines has had a step */
    size_t nopen, nstuck; /* of its head and pieces */
    size_t nover;         /* pieces done or skipped */
    size_t first;         /* all pieces before it are over or stuck */
};

enum run_status { RUN_NEW, RUN_ACTIVE, RUN_WAITING, RUN_STOPPED, RUN_BLOCKED, RUN_DONE, RUN_FAILED, RUN_BROKEN };

struct open_step {
    struct step_key key;
    uint32_t item;
    int32_t piece; /* HEAD or an index */
    enum stage stage;
    enum act_kind act;
    enum act_class class;
    struct amounts held;
    struct slice args;   /* the intent's arguments, JSON bytes; borrowed until the next intent of the run */
    struct hash content; /* LAND: of the new bytes */
    char *args_memory;   /* where args lie; the fold's own */
    size_t args_room;
};

enum { RUN_OPEN_MAX = 16 };

enum land_mode { LAND_STEP, LAND_END, LAND_ASK };

/* Which model an agent thinks with, and where. */
struct server {
    struct slice provider; /* model/provider.h; "embedded": crannog-infer */
    struct slice model;    /* its name there */
    struct slice base;     /* empty: the provider's own */
    struct slice secret;   /* name of the credential; empty: none */
    uint32_t quirks;       /* beyond the provider's */
};

/* A sealed layer, or the undo layer of a landing. */
struct layer_ref {
    struct slice name;    /* of its folder (layers/folder.h) */
    struct hash manifest; /* blob */
    uint64_t changes;
    uint32_t step;        /* that made it; 0: came with the run */
    uint32_t first;       /* the first one whose changes it has: another one where it was squashed */
};
/* As events name it (all but the step, which the event says); the caller frees it. */
struct json *layer_ref_print(const struct layer_ref *l);

struct run_state {
    uint64_t id, seq;
    uint32_t branch, next_step;
    struct hash head; /* of the last event */
    enum run_status status;
    char why[240];
    bool is_exec;
    struct slice exec; /* its words, a JSON array */
    bool is_agent;       /* its first item is an agent's, which has the talk */
    struct server server;
    bool is_take;        /* it only takes the layers that it began with */
    struct slice origin; /* "undo", "fork", or empty */
    uint64_t origin_run;
    enum land_mode land;
    struct slice terms;  /* what a person said of its jails, JSON (tools/terms.h); empty: nothing */
    struct slice masked; /* files of the work folder that its jails hide, a JSON array; empty: none */
    bool copies;         /* no overlay here: steps work in copies */
    struct layer_ref *layers; /* not in the folder yet, oldest first */
    size_t nlayers;
    struct hash rest;    /* blob: the manifest of what is left of them after a part was taken; zero: all */
    struct layer_ref *undos;  /* of its landings, oldest first */
    size_t nundos;
    struct service *services; /* declared, RUN_SERVICES_MAX places */
    size_t nservices;
    struct slice plan_text, plan_path, work, goal, account, agent, model;
    uint64_t work_dev, work_ino;
    struct amounts budget;
    struct plan plan;
    struct item_state *items; /* those of the plan, then one for its `verify:` if it has one */
    size_t nitems;
    struct open_step open[RUN_OPEN_MAX];
    size_t nopen;
    unsigned slots;  /* model calls at once */
    uint64_t window; /* tokens of a document that a model call sees at most */
    struct amounts used, assumed; /* settled so far; assumed is part of used */
    int64_t started_ms, updated_ms;
    uint32_t touched; /* the item that the last event was about, or UINT32_MAX */
    struct arena *arena; /* everything above; owned by the caller */
};

/* A run without events. */
void run_init(struct run_state *r, uint64_t id, struct arena *a);

/* Folds one event whose place in the chain was checked (event_check). ERR_CORRUPT, ERR_LIMIT or ERR_MEMORY: the run is
   broken at this event, its state is not to be used further. */
enum err MUST_USE run_apply(struct run_state *r, const struct event *ev, struct error *e);

struct want {
    uint32_t item;
    int32_t piece; /* HEAD or an index */
    enum stage stage;
    uint32_t part; /* ASK: which part */
    enum act_kind act;
    enum act_class class;
    uint32_t step, attempt; /* the key it will have */
};

enum decision_what {
    DECIDE_INTEND, /* wants[] */
    DECIDE_WAIT,   /* for what is open, or until wake_ms (0: nothing to wake for) */
    DECIDE_ASK,    /* nothing can go on without a person */
    DECIDE_DONE,   /* all items done: the run may end */
    DECIDE_REST,   /* stopped, blocked, ended or broken: not a run that goes on by itself */
};

struct decision {
    enum decision_what what;
    struct want wants[RUN_OPEN_MAX];
    size_t nwants;
    int64_t wake_ms;
};

void run_decide(const struct run_state *r, int64_t now_ms, struct decision *ret);

struct line *run_line(struct run_state *r, uint32_t item, int32_t piece);             /* NULL if there is none */
const struct line *run_line_const(const struct run_state *r, uint32_t item, int32_t piece);
/* The talk of an agent's run; NULL in others. */
const struct talk *run_talk(const struct run_state *r);
const struct service *run_service(const struct run_state *r, struct slice name); /* NULL: none is declared so */
/* The line with an open question of that number, or NULL. */
const struct line *run_question(const struct run_state *r, uint32_t question_step, uint32_t *ret_item);
/* The finished piece that wrote this path, or NULL: provenance of a gathered statement. */
const struct line *run_writer_of(const struct run_state *r, struct slice path);
/* Pieces that are done (or skipped), and all that are known. */
void run_progress(const struct run_state *r, size_t *ret_done, size_t *ret_total);
/* Whether a changed plan may replace the run's: only items that were not started may differ, and not while a part of the
   run's layers is in the folder. The error says which, and what to do. */
enum err MUST_USE run_plan_may_change(const struct run_state *r, const struct plan *to, struct error *e);

/* The words that an open question takes, for people: "retry | skip". And whether it takes one. */
const char *question_words(const struct line *l);
bool question_takes(const struct line *l, struct slice word);

const char *stage_name(enum stage s);
const char *run_status_name(enum run_status s);
const char *outcome_name(enum outcome o);
enum outcome outcome_from(struct slice name); /* 0 if it is none */
const char *act_name(enum act_kind k);
const char *class_name(enum act_class c);
const char *land_name(enum land_mode m);
/* "step", "end", "ask"; false for anything else. */
bool land_from(struct slice name, enum land_mode *ret);
/* "note" (the item's own), "verify", "exec", "apply". */
struct slice item_name(const struct item_state *it);

#endif
