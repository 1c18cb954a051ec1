/*
 * What the parts of crannog-jail share. Two processes play a plan:
 *
 *   the outer one   starts pid 1 in new namespaces, reads the plan, writes pid 1's id maps, opens what root alone may
 *                   open, collects output, watches the clock, reports (run.c, idmap.c, mounts_open)
 *   pid 1           makes the namespaces that are left, waits for the plan, builds what is visible, gives up every right,
 *                   starts the program, collects all children, tells the outer one how it went (init.c, mounts_build,
 *                   seccomp.c)
 *
 * pid 1 is there before the plan is, because nothing of a plan is needed for it: what is kept ready (jail_ready) has paid
 * for its namespaces already, and where it was told how its plan will begin, for most of its mounts.
 *
 * They share one SOCK_SEQPACKET pair: the outer one sends `struct go` (with descriptors), for a beginning and for the plan, and later perhaps words
 * (enum word); pid 1 sends `struct report`s, some with descriptors. The program inside never has that socket.
 */
#ifndef CRANNOG_JAIL_INTERNAL_H
#define CRANNOG_JAIL_INTERNAL_H

#include <dirent.h>
#include <limits.h>
#include <sys/time.h>
#include <sys/types.h>

#include "jail/plan.h"
#include "jail/ports.h"
#include "jail/protocol.h"
#include "jail/run.h"

enum {
    JAIL_DEVICES = 6,
    JAIL_PIECES = JAIL_LAYERS_MAX + 1, /* of an overlay: its layers, and the attempt's folder */
    JAIL_SOURCES_MAX = JAIL_DEVICES + JAIL_MOUNTS_MAX * (1 + JAIL_PIECES),
    JAIL_PASS_MAX = 250, /* descriptors in one message; the kernel takes 253 */
};

/*
 * As root every id inside is itself outside plus the beginning of a range: numbers that own nothing on the machine. The
 * ranges are in the part of the id space that systemd's table (UIDS-GIDS) leaves unused, above all container ranges and
 * below 2^31; which of them is the plan's to say (id_range). An id of the plan that is not below JAIL_ID_COUNT gets the one
 * number behind the range.
 */
enum { JAIL_ID_BASE = 1879048192, JAIL_ID_COUNT = 65536, JAIL_ID_STRIDE = JAIL_ID_COUNT + 64 };
_Static_assert(JAIL_ID_BASE + (uint64_t)JAIL_ID_RANGES * JAIL_ID_STRIDE < 2147483648, "ranges are below 2^31");

/* Opened trees to be mounted: those of the devices, then one a mount of the plan, then JAIL_PIECES a mount. -1: nothing
   to mount. */
struct sources {
    int fds[JAIL_SOURCES_MAX];
    bool link[JAIL_MOUNTS_MAX]; /* a SYSTEM or SHOWN source that is a symlink: made again inside, not mounted */
    bool detached;              /* clones, made outside */
    bool no_layers;             /* what failed with them is JAIL_NO_LAYERS */
};

static inline int *sources_pieces(struct sources *s, size_t mount)
{
    return s->fds + JAIL_DEVICES + JAIL_MOUNTS_MAX + mount * JAIL_PIECES;
}

/* Descriptors that pid 1 is given beside the sources. */
enum given {
    GIVEN_PLAN,                      /* its bytes, in a file of their own */
    GIVEN_IN, GIVEN_OUT, GIVEN_ERR,  /* become 0, 1, 2 inside; no GIVEN_IN: empty */
    GIVEN_REPLY,                     /* where an applet's answer goes */
    GIVEN_CPU,                       /* a control group's count of CPU time, for cgroup_cpu_ns */
    GIVEN_COUNT,
};

/* What the outer process tells pid 1 when the id maps are written. */
struct go {
    bool root;                   /* the sources come with this message; ids are a range */
    bool have[GIVEN_COUNT + JAIL_SOURCES_MAX]; /* which descriptors are passed, those of enum given and then sources.fds,
                                    in order: JAIL_PASS_MAX with this message, the rest with further ones of a byte each */
    bool link[JAIL_MOUNTS_MAX];
    bool begins;                 /* it is only the beginning of a plan: another go follows */
    bool watch_memory;           /* no control group limits what all use together */
};

enum word {
    WORD_STOP = 's', /* end everything */
    WORD_HELD = 'h', /* how much is held by descriptors of files without a name? REPORT_HELD answers */
    WORD_LOOK = 'l', /* of a service: does it listen, and what has it used? REPORT_LOOK answers */
    WORD_DIAL = 'd', /* a connection to a port of its loopback (struct dial): REPORT_DIALLED answers */
};

struct dial {
    char word; /* WORD_DIAL */
    bool six;  /* ::1, not 127.0.0.1 */
    uint16_t port;
    uint32_t id;
};

struct report {
    enum { REPORT_DONE = 1, REPORT_REFUSED, REPORT_NOTE, REPORT_HELD, REPORT_LISTENERS, REPORT_LOOK, REPORT_DIALLED } kind; /* NOTE: text only, DONE follows */
    enum jail_how how;
    int status;
    uint64_t cpu_ns, rss;
    uint64_t leftover;
    uint64_t held;  /* REPORT_HELD: bytes. LOOK: 1, it listens at all its ports. DIALLED: its id; the socket comes along, or
                       none. LISTENERS: a bit for each of the plan's ports that has a second socket, of ::1; all come along */
    bool unseen;    /* there is a process that does not let us look */
    char text[480];
};

/* The applets of this program. */
struct applets {
    const struct jail_applet *list;
    size_t n;
};
const struct jail_applet *applet_find(const struct applets *a, struct slice name); /* or NULL */

static inline uint64_t time_ns(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

/* idmap.c: what an id of the plan's is outside, as root. */
uint32_t idmap_outside(const struct jail_plan *p, uint32_t id);
/* Writes uid_map, setgroups and gid_map of a child in a new user namespace. */
enum err MUST_USE idmap_write(pid_t child, const struct jail_plan *p, bool root, struct error *e);
/* Inside: become id 0 of the range (as root) so that file systems of the new namespace may be made. */
enum err MUST_USE idmap_enter(bool root, struct error *e);
/* Inside: the plan's ids for good, no capability, none to be had again. */
enum err MUST_USE idmap_drop(const struct jail_plan *p, bool root, struct error *e);
/* The line that mends a refused clone or a refused mount in it, as far as this machine shows why. */
const char *idmap_mend(int errnum);

/* cgroup_find.c: our own groups by the texts of /proc/self/cgroup and /proc/self/mountinfo. */
enum cgroup_kind { CGROUP_UNIFIED, CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CPUACCT, CGROUP_KINDS }; /* the others are v1 */
struct cgroup_place {
    char own[CGROUP_KINDS][PATH_MAX]; /* folders; "" where there is none to be seen */
    size_t top;                       /* of own[CGROUP_UNIFIED]: how much of it is the mount, above which nothing is ours */
};
void cgroup_find(struct slice cgroups, struct slice mounts, struct cgroup_place *ret);

/* cgroup.c: the groups of one jail; nothing here fails, there are just fewer. */
struct cgroups {
    struct cgroup_place place;
    char name[16];
    int parents[CGROUP_KINDS], groups[CGROUP_KINDS]; /* -1 where there is none */
    bool limits; /* the unified one limits memory and processes */
};
void cgroups_init(struct cgroups *c);
/* Makes the unified one, which pid 1 is to be born into (groups[CGROUP_UNIFIED]). */
void cgroups_make(struct cgroups *c);
/* Makes the others, for what the unified one has not, and moves pid 1 there. May take tens of milliseconds. */
void cgroups_move(struct cgroups *c, pid_t pid);
/* Sets the plan's limits; whether memory_all is one of them now. */
bool cgroups_limit(struct cgroups *c, const struct jail_limits *l);
int cgroups_open_cpu(const struct cgroups *c); /* for GIVEN_CPU, or -1 */
uint64_t cgroup_cpu_ns(int fd);
/* Processes ended for want of memory, and forks refused. */
void cgroups_counts(const struct cgroups *c, uint64_t *ret_killed, uint64_t *ret_refused);
void cgroups_kill(const struct cgroups *c);
void cgroups_remove(struct cgroups *c); /* when all are dead */
/* Where there are few, else now and then: removes what crannog-jails that were killed have left. */
void cgroups_sweep(const struct cgroups *c);

/* mounts.c: opens every source; with userns >= 0 (as root) READ, WRITE and LAYERS become idmapped clones. */
void sources_init(struct sources *s);
/* From mount `from` of the plan on; the devices come with the first. */
enum err MUST_USE mounts_open(const struct jail_plan *p, size_t from, int userns, struct sources *ret, struct error *e);
void mounts_close(struct sources *s);
/* Inside: makes the root and the plan's mounts from `built` on, with the opened sources (closing them); the plan may go on
   later. mounts_enter() goes into it. After an error the process ends. */
struct root {
    int fd; /* -1: not made */
    dev_t ours[1 + JAIL_MOUNTS_MAX]; /* the root tmpfs, then those of SCRATCH: only there mount points are made */
    size_t nours, built;
    const struct jail_plan *plan;
    int caches; /* the tmpfs that CACHE mounts write into, or -1 */
    unsigned ncaches;
    int empty; /* an empty folder that stays, and that nobody sees: the one below /proc; or -1 */
};
void root_init(struct root *r, const struct jail_plan *p);
enum err MUST_USE mounts_build(struct root *r, struct sources *s, struct error *e);
enum err MUST_USE mounts_enter(struct root *r, struct error *e);
/* A detached private clone, nosuid, of the tree at `path` (`recursive`: AT_RECURSIVE or 0), or -1 and errno. Propagation
   is cut so that what is mounted there later, outside, does not appear inside without our flags. */
int mounts_clone(const char *path, uint64_t attr, unsigned recursive, int userns);
/* That `path`, of a mount, could not be opened, in words. */
enum err mounts_open_failed(const struct jail_mount *m, const char *path, int errnum, int userns, struct error *e);

/* overlay.c: whether a mount is one; LAYERS without any layer is played as READ. */
bool overlay_is(const struct jail_mount *m);
/* Opens source and pieces; *ret_source stays -1 where it is missing and optional. On an error *ret_no_layers says whether
   the caller may do without an overlay. */
enum err MUST_USE overlay_open(const struct jail_mount *m, int userns, int *ret_source, int ret_pieces[JAIL_PIECES],
                               bool *ret_no_layers, struct error *e);
/* Inside: the merged tree, detached. `root`: the new root, with its /proc; the working folder is changed. */
enum err MUST_USE overlay_mount(int root, const struct jail_mount *m, int source, const int pieces[JAIL_PIECES],
                                bool detached, int *ret, bool *ret_no_layers, struct error *e);

/* Inside: `source`, a detached clone, read-only through an overlay, whose sockets and FIFOs have nobody behind them; or -1, where the kernel
   refuses that or something is mounted below the source. Either way the clone is attached then, on the old root's /dev. `empty`: an empty
   folder. The working folder is changed. */
int overlay_mount_view(int root, const struct jail_mount *m, int source, int empty, bool detached);

/* CACHE: opens its source; *ret stays -1 where it is missing, or its file system takes no idmapped mount: then there is
   nothing to find, and it is an empty folder. */
enum err MUST_USE overlay_open_cache(const struct jail_mount *m, int userns, int *ret, struct error *e);
/* Inside: the merged tree, detached, or -1. What is written goes below folder `n` of the tmpfs `upper`, which is attached in
   this mount namespace; the source too is attached here where it came `detached`. */
int overlay_mount_cache(int root, const struct jail_plan *p, int source, int upper, unsigned n, bool detached);

/* uppers.c: the folders of a plan that a step writes into, seen from outside. */
enum { UPPERS_EVERY_MS = 100, UPPERS_LOOK_MS = 10, UPPERS_HURRY_MS = 50 /* where the file system says that it may be needed */, UPPERS_DEPTH_MAX = 64 };
struct extent {
    uint64_t bytes, entries;
};
struct uppers {
    int fds[JAIL_MOUNTS_MAX];
    bool upper[JAIL_MOUNTS_MAX]; /* an attempt's folder; else one that is bound as it is */
    size_t n;
    struct extent limit; /* 0: none */
    struct extent base;  /* what lay there before, in those that are no uppers */
    bool alone[JAIL_MOUNTS_MAX];              /* the first on its file system, */
    struct extent most_free[JAIL_MOUNTS_MAX]; /* of which this is the most that was seen free */
    struct walk {
        DIR *open[UPPERS_DEPTH_MAX];
        size_t depth, next; /* folders open; the next of fds */
        struct extent sum;
        bool unseen;        /* there is something that cannot be counted */
        unsigned over;      /* walks in a row that found too much */
    } walk;
    int64_t walked_ns;      /* when the last one ended, */
    struct extent walked;   /* and what it came to */
    int64_t asked_ns;       /* when LOOK_ASK was last said */
};
enum look { LOOK_FINE, LOOK_OVER, LOOK_ASK /* pid 1, what it sees (WORD_HELD), and give it to uppers_held() */ };
void uppers_init(struct uppers *u);
enum err MUST_USE uppers_open(const struct jail_plan *p, struct uppers *u, struct error *e);
void uppers_close(struct uppers *u);
/* Whether an upper holds something, or cannot be looked into. When nothing is mounted any more. */
bool uppers_changed(const struct uppers *u);
/* One look, of about UPPERS_HURRY_MS at most: whether they hold more than the limit. */
enum look uppers_look(struct uppers *u);
/* With what is held beside: whether it is more than the limit. */
bool uppers_held(struct uppers *u, uint64_t held, bool unseen);
/* Whether it was the names that were too many. */
bool uppers_of_entries(const struct uppers *u);

/* held.c, inside: bytes of files on the overlays (`devs`) that have no name any more, by the descriptors of all
   processes but ourselves; *ret_unseen where one does not let us look. */
uint64_t held_bytes(DIR *proc, const dev_t *devs, size_t ndevs, bool *ret_unseen);

/* landlock.c: the version that this kernel has; 0: none, or one that is of no use. */
int landlock_version(void);
/* The rules of a plan, by its paths as they are now, as a descriptor; -1 where this kernel has no version that is of use.
   `streams`: open files that may be opened again by name, -1 among them. */
enum err MUST_USE landlock_make(const struct jail_plan *p, const int *streams, size_t nstreams, int *ret, struct error *e);
/* From here on for this process and all below it; closes the descriptor. */
enum err MUST_USE landlock_enforce(int *ruleset, struct error *e);

/* seccomp.c: from here on for this process and all below it. `applet`: it runs our own code and no program. */
enum err MUST_USE seccomp_install(const struct jail_plan *p, struct error *e);

/* listen.c, inside: the listeners of the plan's ports, each 127.0.0.1 and where there is one ::1, handed out in one report. */
enum err MUST_USE listeners_make(const struct jail_plan *p, int socket, struct error *e);
/* Whether this network namespace has listeners at all of these ports. */
bool listeners_are(const uint16_t *ports, size_t n);
/* Answers a struct dial. */
void dial_answer(int socket, const struct dial *d);
/* Sends bytes as one message with descriptors (borrowed), at most JAIL_PASS_MAX; false and errno. */
bool pass_send(int socket, void *bytes, size_t n, const int *fds, size_t nfds);
/* A report with descriptors, which are closed; -1 is none. Where the outer process is gone, so are we. */
void report_pass(int socket, const struct report *r, int *fds, size_t n);

struct keep;
/* service.c, outside: what the outer process does for listeners, and for a service. */
struct service {
    const struct jail_plan *plan;
    int engine, inside; /* sockets */
    struct ports ports;
    const struct keep *out;
    int64_t began_ns, look_ns; /* look_ns: when pid 1 is asked next whether it is up; 0: not */
    bool up, asked;            /* asked: the engine is */
    size_t show;
    int life;                  /* our end of the pipe that our listeners' life hangs on */
};
enum { SERVICE_LOOK_MS = 50, SERVICE_GRACE_MS = 300 /* what has no port is up when it lives so long */ };
void service_init(struct service *s);
/* From here on. Only where the plan is one for a service. */
enum err MUST_USE service_begin(struct service *s, struct error *e);
/* Something is to be read from the engine; false: it wants the end. */
bool service_hear(struct service *s);
/* It is time to ask pid 1. */
void service_look(struct service *s);
/* A report of these kinds: LISTENERS (of any jail), LOOK, DIALLED; takes the descriptors. */
void service_report(struct service *s, const struct report *r, int *fds, size_t n);
void service_end(struct service *s);

/* init.c: the body of pid 1; `socket` is its end of the pair. */
_Noreturn void init_main(int socket, const struct applets *a);

/* output.c: the head and the tail of a stream. */
struct keep {
    struct buf head;
    char *ring;     /* the second half, allocated when the first is full */
    size_t half;    /* bytes of either half */
    uint64_t total; /* bytes seen */
};
void keep_init(struct keep *k, uint64_t limit);
void keep_release(struct keep *k);
void keep_add(struct keep *k, struct slice s);
/* Head and tail as one; *ret_dropped is what was between them. */
void keep_take(const struct keep *k, struct buf *ret, uint64_t *ret_dropped);

#endif
