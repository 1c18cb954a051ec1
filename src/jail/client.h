/*
 * The engine's side of a jail: start crannog-jail with a plan, read its result.
 *
 *   jail_start()         the caller then polls ret->socket
 *   frame_receive()      one JAIL_RESULT
 *   jail_result_parse()
 *   peer_kill()          always, also after a result: it collects the process. Before one: everything inside dies.
 *
 * A frame_receive() that says ERR_GONE means that crannog-jail died without a result; everything inside is dead then.
 */
#ifndef CRANNOG_JAIL_CLIENT_H
#define CRANNOG_JAIL_CLIENT_H

#include "jail/plan.h"
#include "jail/protocol.h"
#include "wire/peer.h"

struct jail_result {
    enum jail_how how;
    uint64_t status;         /* exit status or signal (jail/protocol.h); of an applet that failed: its enum err */
    uint64_t cpu_ns, wall_ns;
    uint64_t rss;            /* bytes, the largest process */
    uint64_t leftover;       /* processes that had to be ended, */
    char left[200];          /* and the names of a few: printable, as they call themselves */
    bool changed;            /* the upper of a LAYERS mount holds something */
    uint64_t landlock;       /* the version in force; 0: none */
    bool stays;              /* the jail takes another plan (jail_again) */
    bool grouped;            /* a control group limited memory and processes */
    struct buf out, err;     /* kept output, owned */
    uint64_t out_dropped, err_dropped; /* bytes, gone from the middle */
    struct buf reply;        /* an applet's answer, a message; owned */
    char why[512];           /* "" where there is nothing to say */
    char notes[512];         /* what happened at limits that did not end it; "" mostly */
};

/* What a jail took too much of, where it was ended for that ("more memory than its limit"); else NULL. */
const char *jail_took(enum jail_how how);

/* Starts the program at `program_path` without a plan: it waits for one, and dies with us or when its socket is closed. `beginning`:
   what it builds meanwhile (jail_plan_beginning; then only plans that begin so may follow), or nothing. */
enum err MUST_USE jail_ready(const char *program_path, struct slice beginning, struct peer *ret, struct error *e);
/* Lets one go that is not needed: it ends by itself and leaves nothing, or is ended. */
void jail_unready(struct peer *ready);
/* Starts the program at `program_path` and sends it `p`. `stdio` are the descriptors 0, 1, 2 of a plan with
   p->terminal (borrowed), else NULL. `nonblocking` is for ret->socket, after the plan is sent. On an error nothing is
   left running. */
enum err MUST_USE jail_start(const char *program_path, const struct jail_plan *p, const int stdio[3], bool nonblocking,
                             struct peer *ret, struct error *e);
/* The same with one that is ready, where there is one; it is taken. */
enum err MUST_USE jail_start_ready(struct peer *ready, const char *program_path, const struct jail_plan *p, const int stdio[3],
                                   bool nonblocking, struct peer *ret, struct error *e);
/* Sends a jail that stays its next plan; ERR_GONE: it has ended. */
enum err MUST_USE jail_again(const struct peer *stays, const struct jail_plan *p, struct error *e);
/* Reads a JAIL_RESULT; ERR_CORRUPT for a frame that is not one. After an error *ret is empty. The caller releases. */
enum err MUST_USE jail_result_parse(const struct frame *f, struct jail_result *ret, struct error *e);
void jail_result_release(struct jail_result *r); /* NULL is fine */

#endif
