/*
 * What the engine and crannog-jail say to each other. One process a jail: the engine sends JAIL_RUN once (perhaps JAIL_BEGIN
 * before), gets JAIL_RESULT once, and the process ends; or it STAYS, and takes another JAIL_RUN. Before a result a jail with ports that lead out gives a JAIL_LISTENER for each, and
 * a service goes on listening: it takes JAIL_OFFER, JAIL_LOOK and JAIL_STOP, and says JAIL_STATE when it is up and after
 * each JAIL_LOOK.
 */
#ifndef CRANNOG_JAIL_PROTOCOL_H
#define CRANNOG_JAIL_PROTOCOL_H

enum { JAIL_REPLY_MAX = 64 * 1024 * 1024 - 64 * 1024, /* bytes of an applet's answer */
       JAIL_SHOW_MAX = 64 * 1024 };

enum jail_frame {
    JAIL_RUN = 1, /* PLAN (large), STDIN STDOUT STDERR (descriptors, only with plan.terminal) */
    JAIL_RESULT,  /* HOW, STATUS, CPU_NS, WALL_NS, RSS, OUT, ERR, OUT_DROPPED, ERR_DROPPED, REPLY, LEFTOVER,
                    LEFT_NAMES, CHANGED, WHY, NOTES */
    JAIL_LISTENER, /* from a jail: PORT, V4, V6 (may be missing), LIFE */
    JAIL_OFFER,    /* to a service, the same: who connects there is connected to its PORT, until LIFE hangs up (without
                      one: until the service ends). */
    JAIL_LOOK,     /* to a service: SHOW */
    JAIL_STATE,    /* UP, CPU_NS, OUT */
    JAIL_STOP,     /* to a service: end now; its RESULT follows */
    JAIL_BEGIN,    /* before JAIL_RUN: PLAN, a beginning of it (jail_plan_beginning), to be built while there is time */
};

enum jail_tag {
    JAIL_PLAN = 1, /* large: jail_plan_encode */
    JAIL_STDIN, JAIL_STDOUT, JAIL_STDERR,
    JAIL_HOW,      /* enum jail_how */
    JAIL_STATUS,   /* exit status, or the signal's number */
    JAIL_CPU_NS, JAIL_WALL_NS, JAIL_RSS, /* of everything inside; RSS in bytes, the largest process */
    JAIL_OUT, JAIL_ERR,                  /* large: kept output */
    JAIL_OUT_DROPPED, JAIL_ERR_DROPPED,  /* bytes beyond limits.output; where not 0, they were in the middle, between
                                            the two halves of what was kept */
    JAIL_REPLY,    /* large: an applet's answer, a message */
    JAIL_WHY,      /* text for people where HOW is REFUSED, the applet failed, or the program could not be started
                      (status 127 or 126, as a shell has it) */
    JAIL_LEFTOVER, /* processes that were still running and were ended, */
    JAIL_LEFT_NAMES, /* and the names of a few, as text; may be empty */
    JAIL_NOTES,    /* text for people: what happened at limits that did not end the jail; may be empty */
    JAIL_CHANGED,  /* 1: the upper of a LAYERS mount holds something; 0: the step changed nothing */
    JAIL_PORT,
    JAIL_V4, JAIL_V6, /* descriptors: listening TCP sockets at 127.0.0.1 and ::1 of some loopback */
    JAIL_LIFE,     /* descriptor: the reading end of a pipe that hangs up when the jail with the listeners has ended */
    JAIL_SHOW,     /* bytes of output wanted, its end; at most JAIL_SHOW_MAX */
    JAIL_UP,       /* 1: it listens at all its ports, or has none and did not end at once */
    JAIL_LANDLOCK, /* the version of landlock that was in force; 0: none */
    JAIL_STAYS,    /* 1: of a plan that stays: another one with the same walls may follow. It may end without a result, where what its
                      mounts cover has come to light */
    JAIL_GROUPED,  /* 1: a control group limited memory and processes; 0: pid 1 looked at them */
};

/* Versions of landlock: the least that is used, and the first that knows of abstract sockets and signals. */
enum { LANDLOCK_LEAST = 2, LANDLOCK_SCOPES = 6 };

enum jail_how {
    JAIL_EXITED = 1, /* STATUS: exit status; an applet exits 0 with a REPLY, or with its enum err and WHY */
    JAIL_SIGNALLED,  /* STATUS: signal */
    JAIL_TIMEOUT,    /* limits.wall_ms passed */
    JAIL_CPU,        /* limits.cpu_ms passed */
    JAIL_DISK,       /* limits.disk passed: everything was ended */
    JAIL_NO_LAYERS,  /* a LAYERS mount is refused here (WHY says by what): the caller may copy instead */
    JAIL_REFUSED,    /* could not be built; WHY says which wall and what to do */
    JAIL_MEMORY,     /* limits.memory_all passed: the program, or everything, was ended */
    JAIL_ENTRIES,    /* limits.entries passed: everything was ended */
    JAIL_HOW_LAST = JAIL_ENTRIES,
};

#endif
