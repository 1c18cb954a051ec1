/*
 * A working session of the command line: the store, the engine over the real machine, the bar and Ctrl-C. Shared by the
 * commands that make things happen (run, exec, answer, apply, undo, and the talk at a terminal).
 */
#ifndef CRANNOG_CLI_SESSION_H
#define CRANNOG_CLI_SESSION_H

#include <limits.h>

#include "cli/cli.h"
#include "cli/term.h"
#include "engine/machine.h"

struct session {
    struct cli *cli;
    struct store *store;
    struct machine machine;
    struct setting setting; /* what commands find around them */
    struct arena setting_arena;
    struct terms terms;     /* of runs that are begun here (session_take_terms) */
    char state[PATH_MAX]; /* real path of the crannog's .crannog */
    struct engine engine;
    struct run *run;
    struct bar bar;
    bool open, quiet; /* quiet: no bar */
    void (*look)(void *session, struct engine *g); /* after each turn; NULL */
    void *look_ctx;   /* whatever it needs */
    bool told;        /* for `look` */
    uint64_t settled; /* a run that was at its end but for its landing when its crannog died, and has ended now; 0: none */
};

/* How this machine is looked at for that; eye.c. */
const struct setting_eye *session_eye(void);
/* Looks at the machine for what commands in jails find around them; eye.c. */
enum err MUST_USE session_look_around(struct arena *a, struct setting *ret, struct error *e);
/* `model_file` may be NULL (exec). Makes the crannog at a first use. */
enum err MUST_USE session_open(struct session *s, struct cli *c, const char *model_file, struct error *e);
/* Two terminals that call the same new plan or goal at once must not both begin it: who looks for its run holds this lock until
   the run is there. Released when *ret_fd is closed. */
enum err MUST_USE session_lock_starts(struct session *s, int *ret_fd, struct error *e);
/* Turns until the run rests, with the bar and Ctrl-C: the first stops gracefully, the second ends the process. */
enum err MUST_USE session_work(struct session *s, struct error *e);
/* What crannog.yaml and flags say of the jails of a run that is to begin. */
enum err MUST_USE session_take_terms(struct session *s, struct error *e);
/* What run.started says of every run; the command adds what is to be done. `terms`: of one that runs commands; else NULL. */
struct json *session_started(uint64_t run, const char *work, const struct stat *st, const struct terms *terms);
/* Puts the services that a run begins with (config_services) there. */
void session_put_services(struct slice services, struct json *started);
/* {"what": "undo", "run": 7}: what a run comes from. */
struct json *session_origin(const char *what, uint64_t run);
/* The run.started of a run that only takes layers (owned from here on) of another: an undo, a fork. */
struct json *session_takes(uint64_t run, const char *work, const struct stat *st, const char *what, const struct run_state *of,
                           const char *land, struct json *layers);
/* Whether Ctrl-C or a polite kill asked for the end. */
bool session_interrupted(void);
/* From now on a signal that would end the program is a wish that it ends (session_interrupted); session_work() does it too. */
void session_catch_signals(void);
void session_close(struct session *s);
/* Says on standard error what of a run's changes waits for a word, or is in the folder and can be taken back. True if
   something waits. */
bool session_tell_changes(const struct session *s);
/* Goes on with a run that waits for this word ("apply", "replace", "skip", "retry") about its changes, and works on it; one
   that was stopped or died while they were put into the folder goes on without it. ERR_MISSING where nothing waits.
   `only`: the paths chosen, a line each; empty: all. */
enum err MUST_USE session_answer(struct session *s, uint64_t run, const char *word, struct slice only, struct error *e);
/* The two halves of that before its word: what waits, as it is now (ERR_MISSING as above); and the run taken up, with the line
   that takes its layers, which may be at a landing that was cut short (it has no question then). */
enum err MUST_USE session_look(struct session *s, uint64_t run, struct arena *a, struct run_state *ret, struct error *e);
enum err MUST_USE session_take_up(struct session *s, uint64_t run, const struct line **ret, struct error *e);
/* The first as a whole command: opens the session, goes on with the run named (NULL: the latest), says what came of it.
   Returns the exit code. */
int session_say(struct cli *c, const char *named, const char *word, struct slice only);
/* The line that takes a run's layers, where that is all it has left to do: it waits for a word, or stopped on the way. NULL
   where there is other work, or none. */
const struct line *line_that_takes(const struct run_state *r);
/* The exit code that fits a run's state. */
int session_exit(const struct run_state *r);

#endif
