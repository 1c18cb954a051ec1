/*
 * The jail's plan as data: what is mounted, allowed, limited and run. Made by pure code, played by crannog-jail,
 * which knows nothing else.
 *
 * J1  Nothing is visible inside but the mounts of the plan, a private /tmp, /dev with harmless devices and terminals of
 *     its own, and /proc of the jail's own pid namespace, of which what tells of the machine is hidden.
 * J2  The environment inside is exactly `env`; no descriptor is inherited but 0, 1, 2, and none of these is a folder.
 * J3  No network: a network namespace of its own with a loopback that is up, and nothing else. Behind a Unix socket or FIFO of a LAYERS or
 *     CACHE mount there is nobody, for an overlay's are not those below it; to a program READ and SHOWN folders are overlays without an
 *     upper for this reason, and a socket or FIFO itself is not shown. Known gaps, where a bind lets it be reached as any mount does:
 *     SYSTEM, where only root could put one (of such a FIFO landlock leaves reading); a READ or SHOWN folder that something is mounted
 *     below, or where the kernel has no such overlay; READ of a service, which watches it; WRITE.
 * J4  When the plan's program ends, or a limit is hit, or crannog-jail dies, every process of the jail is dead before
 *     the result is reported.
 *     What leaves a jail by a folder can still act outside it; setuid and setgid bits and devices are refused inside.
 * J5  A wall that cannot be built is a refusal (JAIL_REFUSED with its name), never a jail without it.
 */
#ifndef CRANNOG_JAIL_PLAN_H
#define CRANNOG_JAIL_PLAN_H

#include "base/arena.h"
#include "base/buf.h"

enum {
    JAIL_MOUNTS_MAX = 128,
    JAIL_LAYERS_MAX = 32, /* of one mount */
    JAIL_WORDS_MAX = 1024, /* of argv, and of env */
    JAIL_PORTS_MAX = 64, /* of listen, and of serves */
    JAIL_PATH_MAX = 4095,
    JAIL_TEXT_MAX = 64 * 1024,
    JAIL_PLAN_MAX = 16 * 1024 * 1024,
    JAIL_OUTPUT_MAX = 16 * 1024 * 1024,
    JAIL_ID_RANGES = 4000,
};

enum jail_mount_kind {
    JAIL_READ = 1, /* bind, read-only, nosuid, nodev, recursive; idmapped when root */
    JAIL_WRITE,    /* bind, writable, nosuid, nodev, recursive; idmapped when root */
    JAIL_EMPTY,    /* an empty read-only folder (or file, as the target is one) laid over the target: covers a
                      .crannog; optional: a missing target is skipped, also one whose
                      way leads through a file or a symlink; one that is a symlink itself is not */
    JAIL_SCRATCH,  /* a tmpfs of `bytes` (0: 64 MiB), writable, noexec off */
    JAIL_LAYERS,   /* an overlay: `source` below; over it the folders `layers`, oldest first; on top, with an `upper`, what
                      this jail writes (userxattr, volatile), else all of it read-only. Where the kernel or a file system
                      refuses that: JAIL_NO_LAYERS, and nothing was started. What is mounted below the source is not seen
                      through it as root; as a user the kernel refuses such a source. Without layers and upper: READ */
    JAIL_SYSTEM,   /* as READ, of a part of the system that everybody may read: never idmapped, so what only root may
                      read stays shut; a source that is a symlink becomes the same symlink inside */
    JAIL_CACHE,    /* an overlay: `source` below, read-only; over it a tmpfs that goes with the jail (of `bytes` for all
                      CACHE mounts of a plan together, what the first says; 0: 64 MiB). What is there is found, what is
                      written is seen by this jail alone. It is no wall: where it cannot be had, an empty SCRATCH is there
                      instead */
    JAIL_FILE,     /* a file of our own, `text`, that the jail may change; its folder is the jail's root or a SCRATCH */
    JAIL_SHOWN,    /* as SYSTEM, of what a person keeps or shows: toolchains, folders (J3) */
};

struct jail_mount {
    enum jail_mount_kind kind;
    struct slice source; /* absolute path outside; empty for EMPTY, SCRATCH and FILE */
    struct slice target; /* absolute path inside */
    uint64_t bytes;      /* SCRATCH, CACHE: size */
    bool optional;       /* a missing source (EMPTY: target) is skipped */
    struct slice *layers; /* LAYERS: absolute paths of sealed folders (NAME/up), at most JAIL_LAYERS_MAX */
    size_t nlayers;
    struct slice upper;  /* LAYERS: absolute path of the attempt's folder, which holds empty `up` and `work` and serves one
                            jail, also one that was refused; or empty */
    struct slice text;   /* FILE: what stands in it, at most JAIL_TEXT_MAX */
};

struct jail_limits { /* 0: none, but for output */
    uint64_t wall_ms;
    uint64_t cpu_ms;    /* all processes together, to about 20 ms */
    uint64_t memory_all; /* bytes, all processes together; JAIL_MEMORY. By a control group where one can be had (then it
                           counts scratch folders too, and the kernel ends one process at a time), else what is seen every
                           20 ms of memory that is not shared, and everything is ended */
    uint64_t memory;    /* bytes of writable private memory a process asks for, used or not (RLIMIT_DATA); address space that
                           is only set aside is not counted: Node, Java and Go take much of that */
    uint64_t file_size; /* bytes */
    uint64_t disk;      /* bytes in the uppers of all LAYERS and in all WRITE mounts together, there beyond what they held
                           when the jail began; to what is written in about 100 ms; JAIL_DISK */
    uint64_t entries;   /* files, folders, links and marks of what was removed there, likewise, and to what is made while they
                           are counted twice; JAIL_ENTRIES */
    uint64_t files;     /* open descriptors */
    uint64_t processes; /* and threads, at once */
    uint64_t output;    /* bytes kept of standard output and of standard error, each: the first half and the last; the
                           rest is counted and dropped. 0 or more than JAIL_OUTPUT_MAX: JAIL_OUTPUT_MAX */
};

struct jail_plan {
    struct jail_mount mounts[JAIL_MOUNTS_MAX]; /* in order */
    size_t nmounts;
    bool lost;           /* a mount did not fit: such a plan is never played (jail_plan_whole) */
    uint32_t uid, gid;   /* numbers inside: those of the owner of `work` */
    uint32_t id_range;   /* as root: which of JAIL_ID_RANGES ranges of ids outside is behind those inside. Jails of one range
                            are one user to the machine; nothing on disk has these ids */
    struct slice *argv;  /* what to run ... */
    size_t nargv;
    struct slice applet; /* ... or an applet of crannog-jail by name (then argv is empty), */
    struct slice args;   /*     and its argument, a message (wire/message.h) */
    struct slice *env;   /* "NAME=value" */
    size_t nenv;
    struct slice cwd;
    struct jail_limits limits;
    bool nests;          /* for browsers, which build a jail of their own in it: user, pid and network namespaces and chroot are
                            allowed, /proc is writable where a process may; what capabilities in a user namespace would open
                            (mounts, netlink, packet filters, raw sockets) is refused */
    bool terminal;       /* 0, 1, 2 are passed through (exec at a terminal) instead of empty input and kept output; the
                            program has no controlling terminal, so Ctrl-C ends crannog-jail and thereby the jail */
    uint16_t *listen;    /* ports of its loopback that lead out of it (jail/ports.h), none twice */
    size_t nlisten;
    bool stays;          /* when its applet has ended well, it takes further plans with the same walls (jail_plan_walls), until its socket is
                            closed: each applet is a process of its own that finds no other, and the same mounts. Nothing of such a plan
                            can be written into but scratch folders, and no port leads out */
    bool service;        /* outlives a step: the engine goes on talking to crannog-jail (jail/protocol.h), */
    uint16_t *serves;    /* and it is up when it listens at all of these */
    size_t nserves;
};

/* The read-only view of the system (/usr, /lib*, /bin, /sbin, a chosen few of /etc), appended to p's mounts as far as
   there is room; whatever this machine has not is skipped when the plan is played. */
void jail_plan_add_system(struct jail_plan *p);
/* Appends one mount; false when the plan is full, which the plan remembers. */
bool jail_plan_add(struct jail_plan *p, struct jail_mount m);
/* ERR_LIMIT, with words, of a plan that lost a mount: it could be a wall (J5). Who starts a jail asks. */
enum err MUST_USE jail_plan_whole(const struct jail_plan *p, struct error *e);
/* The beginning of a plan that does not hang on what a step does: its ids and the mounts before the first one that a step writes
   into or that covers something. As message bytes, of a plan that may be built ahead (JAIL_BEGIN) of all that begin so. */
void jail_plan_beginning(const struct jail_plan *p, struct buf *ret);
/* All of a plan but the applet and its argument, as bytes: of two plans with the same walls one jail can play both (stays). */
void jail_plan_walls(const struct jail_plan *p, struct buf *ret);
/* To and from message bytes. Encoding appends to `ret`, whose maximum JAIL_PLAN_MAX always suffices for a plan that can
   be decoded. Decoding takes outside bytes and checks every bound: ids, counts, absolute paths without "." and "..",
   no NUL, NAME=value. Slices point into `bytes`, arrays lie in `a`. A field it does not know is ERR_VERSION and not
   skipped: it could be a wall (J5). */
void jail_plan_encode(const struct jail_plan *p, struct buf *ret);
enum err MUST_USE jail_plan_decode(struct slice bytes, struct arena *a, struct jail_plan *ret, struct error *e);

#endif
