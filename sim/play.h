/*
 * The play: the real core, engine and store on the simulated machine, with acts and people that lie, fail and meddle.
 *
 *     workload.c    what is to be done: plans, budgets, texts, all from the seed
 *     agent.c       agents: what their acts give, and the people who talk with them
 *     rows.c        the acts: the simulation's own rows of the engine's table (engine/act.h)
 *     people.c      the people: answers, stop, edits of files, a second terminal, a changed plan, a full disk, the clock
 *     invariants.c  what must hold, by name, read from the journal and compared with the outside
 *     session.c     one life of the engine, in a child: open, check, go on with every plan, turn, answer, check, close
 *     main.c        seeds, crash points, what is printed
 *
 * `struct play` is what happened outside: it lies where crashes do not reach (sim_outside), and the code under test
 * never sees it. Whatever can be known only by looking outside is compared with what the journal says:
 *
 *   I1  Nothing acknowledged is lost. What a turn committed (per run: number and hash of the last event) is a prefix
 *       of that run's chain for ever after; an answer that was taken is there; each blob that an event names is there
 *       and is what its name says.
 *   I2  No finished step is done again. A step that was finished is never started again, nothing is started whose
 *       intent is not in the journal, a landing writes once, a piece lands again only after it was asked anew or a
 *       person said so, and what a person wrote is never overwritten unless that person said so of these very bytes;
 *       then the bytes are in the journal's blobs. Two processes never work on one run.
 *   I3  The money adds up. For each account and unit: exact + assumed + held is the sum over its runs' events, is at
 *       least what was really spent outside, and is at most the cap; settled <= held; a rebuild gives equal books.
 *   I4  It comes to rest. Every session ends within a bounded number of turns; when crashes and meddling have ended
 *       and budgets are raised, every run ends as done; a step that kills the engine is parked after three deaths; a
 *       completion that was handed over is folded in by its turn, also on a full disk.
 *   I5  The fold of every prefix of every journal is legal.
 *   I6  A talk is what was said and done. Each word that was taken is a turn once; each call of an answer has at most one
 *       result, in order, and no result is without its call; a call that was carried out is never again; the turns are the
 *       same after every crash; after a stop an attended agent begins nothing before a word.
 */
#ifndef CRANNOG_SIM_PLAY_H
#define CRANNOG_SIM_PLAY_H

#include "engine/engine.h"
#include "sim/machine.h"

enum {
    PLANS_MAX = 3, ITEMS_MAX = 4, PIECES_MAX = 5,
    RUNS_MAX = 40,      /* ids of runs: crashes leave holes */
    STARTS_MAX = 1500,  /* acts of a whole play */
    FILES_MAX = 40, LINES_BYTES = 16384, OWED_MAX = 32, ANSWERS_MAX = 64, CHANGES_MAX = 200, PATH_BYTES = 48,
    TURNS_MAX = 6000,   /* of a session, else it hangs (I4) */
    STATUS_VIOLATED = 70, STATUS_POISONED = 71, STATUS_ERROR = 1, STATUS_REST = 0,
    RESERVE_OF_PLAY = 1 << 20,
};

#define PLAY_CRANNOG "/c"

/* ---- what is to be done (workload.c) ---- */

struct item_spec {
    bool each, gathers, verify, needs, ticked;
    uint8_t files, retries;
};

struct plan_spec {
    uint8_t land; /* enum land_mode */
    bool agent, attended, commits; /* an agent instead of a plan */
    bool exec, verify, side; /* side: its account is crannog/side/rN, not crannog/main/rN */
    uint8_t nitems, slots;
    uint32_t window;
    struct item_spec items[ITEMS_MAX];
    struct amounts budget;
};

struct workload {
    uint8_t nplans;
    struct plan_spec plans[PLANS_MAX];
    bool shared;        /* all plans write below the same folder */
    bool large;         /* texts above the size of an inline blob */
    uint8_t trouble;    /* how often acts fail, in 100 */
    uint8_t meddling;   /* how often people do something between two turns, in 100 */
    uint8_t delay;      /* an act takes up to so many turns */
    struct amounts cap; /* of all ("crannog"); AMOUNT_UNLIMITED where none */
    struct amounts day; /* of crannog/main a day */
    bool poison;        /* one model call kills the engine whenever it is started */
    uint8_t poison_plan, poison_item, poison_piece;
};

/* ---- what happened outside ---- */

struct acked {
    uint64_t seq;
    struct hash head, turns;
};

enum { START_UNDER_WAY, START_ENDED /* completion handed over */, START_FOLDED /* its finish was acknowledged */ };

struct start {
    uint16_t run;
    uint8_t how, outcome, stage, attempt;
    uint32_t step;
    int16_t item, piece;
    uint8_t writes; /* times that it changed the person's folder */
    bool killed;    /* it killed the engine */
    uint32_t answer; /* CALL: which answer, */
    int16_t call;    /* and which call of it */
    struct hash text; /* of what it gave, if it gave bytes */
};

struct owed { /* what an act under way will cost in the end, whoever watches */
    uint16_t run;
    struct step_key key;
    struct amounts left;
    bool used;
};

struct file {
    char path[PATH_BYTES];
    bool there, person;
    uint32_t version; /* each write gives a new one */
    uint16_t run;     /* and step that landed here last */
    uint32_t step;
    uint32_t allowed; /* the version that its author allowed to be replaced */
    uint32_t bytes;
    struct hash hash;
};

struct answered {
    uint16_t run;
    uint32_t question;
};

struct play {
    uint64_t seed;
    struct workload work;
    bool calm;          /* no more meddling, budgets raised: everything must end well */
    bool narrow;        /* the disk was made small in this session */
    bool capped;        /* the person's caps were set */
    uint32_t sessions, turns, stops;
    uint32_t texts[PLANS_MAX]; /* the version of each plan's text */
    uint16_t run_of[PLANS_MAX];
    uint16_t plan_of[RUNS_MAX]; /* + 1 */
    bool over[PLANS_MAX];
    struct acked acked[RUNS_MAX];
    bool fenced[RUNS_MAX]; /* another process has its lease, in this session */
    struct amounts spent[RUNS_MAX];
    struct start starts[STARTS_MAX];
    uint32_t nstarts;
    struct owed owed[OWED_MAX];
    struct file files[FILES_MAX];
    uint32_t nfiles, version;
    struct hash replaced[CHANGES_MAX]; /* a person's bytes that a landing replaced by permission */
    uint32_t nreplaced;
    struct answered answers[ANSWERS_MAX];
    uint32_t nanswers;
    uint32_t said[RUNS_MAX]; /* words to an agent that were taken */
    /* counters that the driver prints: what the seeds really exercised */
    struct {
        uint64_t events, landings, conflicts, edits, lost, cancelled, failed, poisoned, blocked, stopped, full, replaced, errors,
            fenced, replans, refused_replans, answers, large, done, sealed, squashed, taken, thoughts, calls, said, rewound, compacted;
    } seen;
    char violation[700];
};

/* ---- shared by the parts, in a child ---- */

struct job { /* an act under way */
    bool used, cancelled, twice;
    struct step_key key;
    enum stage stage;
    uint32_t item;
    int32_t piece;
    int turns;
    enum outcome outcome;
    bool final;
    struct amounts cost, spent;
    uint32_t log; /* in play.starts */
    char path[PATH_BYTES], base[32];
    struct hash content;
    bool into_layer, replace; /* LAND; APPLY */
    char layer[RUN_LAYER_NAME_MAX + 1]; /* APPLY: of its undo */
    char lines[LINES_BYTES]; /* SQUASH, APPLY: the changes of all layers, oldest first; see rows.c */
};

enum { JOBS_MAX = 64 };

struct handed { /* a completion that the engine has */
    struct step_key key;
    uint32_t log;
    bool late; /* handed over while the turn committed: the next one folds it in */
};

struct stage_set { /* all that a child needs */
    struct sim_world *w;
    struct play *p;
    struct store *s, *other; /* the other terminal's */
    struct engine g;
    struct job jobs[JOBS_MAX];
    struct handed handed[JOBS_MAX];
    size_t nhanded;
    bool collecting;
    bool provoked[RUNS_MAX]; /* an act refused to be prepared: its run may be parked */
    bool usurped;
};

extern bool play_trace; /* tell what happens, on standard error */
void play_tell(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* The first violation is kept and ends the child. `name`: "I1" ... */
_Noreturn void play_fail(struct play *p, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
#define CHECK(p, cond, name, ...) ((cond) ? (void)0 : play_fail(p, name, __VA_ARGS__))

/* ---- workload.c ---- */
void workload_make(struct play *p);
/* A number from the seed and up to three others: the same whenever it is asked. */
uint64_t play_draw(const struct play *p, const char *what, uint64_t a, uint64_t b, uint64_t c);
uint64_t play_below(const struct play *p, uint64_t n, const char *what, uint64_t a, uint64_t b, uint64_t c);
void plan_write(const struct play *p, unsigned plan, unsigned version, struct buf *out);
/* "plan0.md"; what its run is found by. */
const char *plan_name(unsigned plan);
struct slice started_payload(const struct play *p, unsigned plan, uint64_t run, struct buf *out);
/* Bytes that depend on the number only; most are short, some long. */
void text_write(const struct play *p, uint64_t number, struct buf *out);
enum { WORK_DEV = 7, WORK_INO = 4711 };

/* ---- rows.c ---- */
void rows_table(struct stage_set *t, struct act_table *ret);
struct file *file_find(struct play *p, struct slice path, bool make);
/* A person writes (bytes > 0) or removes the file. */
void person_edits(struct stage_set *t, struct file *f, bool removes);
void person_bytes(const struct file *f, struct buf *out);

/* What a command changes: one or two files whose base is what lies there now, or none; the bytes go to `text`. */
bool rows_change(struct stage_set *t, struct job *j, struct buf *text, struct completion *c);

/* ---- agent.c ---- */
void agent_payload(const struct plan_spec *s, struct json *o);
void agent_prepare(const struct run_state *r, const struct talk *talk, enum stage stage, struct json *args);
void agent_check_start(struct play *p, struct start *log, const struct json *args);
/* The result of an agent's stage; false for any other. */
bool agent_result(struct stage_set *t, struct job *j, struct completion *c);
void agent_ended_otherwise(struct stage_set *t, struct job *j, struct completion *c);
void agent_meddle(struct stage_set *t, struct run *r);
void agent_begin(struct stage_set *t, struct run *r);
/* An attended one that waits for a word: it has no other end. */
bool agent_at_rest(const struct run *r);
struct hash agent_turns(const struct run_state *r);

/* ---- people.c ---- */
void people_between_turns(struct stage_set *t);
/* Answers open questions; false if there was nothing to say. */
bool people_answer(struct stage_set *t);
/* Before a session's runs are gone on with. */
void people_before(struct stage_set *t);

/* ---- invariants.c ---- */
void check_store(struct stage_set *t, const char *when);
void check_turn(struct stage_set *t);      /* after a turn that went well */
void acknowledge(struct play *p, const struct run_state *r);
/* Whether an error is no wonder: the disk was made to fail, or small. */
bool excused(const struct stage_set *t);
/* An error where none can be gone on from: ends the child, as a violation unless it is excused. */
void must(struct stage_set *t, enum err err, const struct error *e, const char *what);

/* ---- session.c ---- */
bool all_over(const struct play *p); /* every plan is walked to its end */
int session(struct sim_world *w, void *unused);
static inline struct play *play_of(struct sim_world *w) { return sim_outside(w, sizeof(struct play)); }

#endif
