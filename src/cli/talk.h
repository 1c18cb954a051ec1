/* `crannog`: talk here, now. */
#ifndef CRANNOG_CLI_TALK_H
#define CRANNOG_CLI_TALK_H

#include "cli/agent.h"
#include "cli/screen.h"

enum { TALK_QUEUE_SHOWN = 32, TALK_TEXT_MAX = 16 << 20 };

struct talking {
    struct cli *cli;
    struct session s;
    struct screen *screen;
    struct agent_watch watch;
    struct agent_job job;
    struct arena arena;     /* as long as the talk */
    bool open;              /* the session is */
    bool over;              /* a person wants to leave */
    bool was_busy;
    bool stopping;          /* a person wants what is under way to end, and has not been told that it did */
    int64_t busy_since_ms;
    struct slice waiting[TALK_QUEUE_SHOWN]; /* said and not yet taken, as shown */
    size_t nwaiting;
    size_t seen, echoed;    /* turns whose words are on the screen; messages there before they became turns */
    char history[PATH_MAX];
};

/* The run of the talk, or NULL before the first word. */
static inline struct run *talk_run(struct talking *t) { return t->s.run; }
/* Something is under way, or will be without a person. */
bool talk_is_busy(struct talking *t);
/* Turns of the engine until nothing is under way; what was running is stopped first. */
enum err MUST_USE talk_halt(struct talking *t, struct error *e);
void talk_fail(struct talking *t, const struct error *e);
/* Says something, or answers what is asked; makes the run at the first word. */
enum err MUST_USE talk_say(struct talking *t, const struct screen_event *ev, bool later, struct error *e);

/* ---- talk_commands.c ---- */
extern const struct complete_command talk_commands[];
extern const size_t talk_ncommands;
/* "/model …"; false where the text is none of the commands. */
bool talk_command(struct talking *t, struct slice text);
/* Esc Esc: a list of what was said, and what to take back. */
void talk_undo(struct talking *t);
void talk_pick_model(struct talking *t);
/* What a landing asks: a person's file is in the way, or what it changed takes effect by itself. */
void talk_ask_landing(struct talking *t);

/* ---- talk_history.c ---- */
/* The last talk of this folder, or the one that is picked of a list; 0: none. */
enum err MUST_USE talk_find(struct talking *t, bool pick, uint64_t *ret, struct error *e);
/* What was said and done until now, drawn into the scrollback. */
void talk_replay(struct talking *t);
/* Words of the i-th turn, for lists. */
void talk_turn_text(struct store *s, const struct talk_turn *turn, size_t max, struct buf *out);

/* Paths below the folder for what was typed behind "@". */
void talk_complete_files(const char *work, struct slice prefix, struct complete_list *ret);

struct talk_options {
    const char *model, *in, *budget, *goal; /* NULL: not said */
    bool last, pick;                        /* go on with the last one here, or with one of a list */
    uint64_t run;                           /* with `last`: this one; 0: not said */
};

/* At a terminal a talk, else a goal that is worked on at once. */
int talk_main(struct cli *c, const struct talk_options *o);

#endif
