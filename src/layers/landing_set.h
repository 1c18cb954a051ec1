/*
 * The landing of a set (landing_apply.c), as its parts see it: the changes with what was found out about each
 * (landing_look.c), and the undo folder (landing_undo.c).
 */
#ifndef CRANNOG_LAYERS_LANDING_SET_H
#define CRANNOG_LAYERS_LANDING_SET_H

#include "layers/internal.h"
#include "layers/landing_path.h"

enum todo {
    TODO_LEAF = 1, /* by the protocol of landing.c */
    TODO_MAKE,     /* a folder where nothing is */
    TODO_REMOVE,   /* a folder */
    TODO_META,     /* mode and mtime of a folder that is there */
};

enum fate {
    FATE_DONE = 1, /* found as wanted; by an attempt that died, if the undo folder was whole */
    FATE_OPEN,
    FATE_SWAPPED,  /* in place, what came out not dropped yet */
    FATE_LANDED,
    FATE_LEFT,     /* guarded, and the like */
    FATE_CONFLICT,
};

struct item {
    const struct change *c;
    struct stamp base, now;
    enum todo todo;
    enum fate fate;
    int rank;      /* what is done first */
    bool late;     /* below a file or link that becomes a folder: its place is not there yet */
    bool early;    /* below a folder that becomes a file or link */
    bool loose;    /* see landing.loose_base */
    bool parted;   /* its part is written */
    bool made;     /* a folder that this call has made */
    uint64_t ours_ino;
    int64_t ours_mtime_ns;
    bool told;       /* CONFLICT: another item of its repository tells */
    const char *why; /* LEFT, CONFLICT */
};

struct old_folder { /* a folder that was there before, in which or of which something changes */
    struct slice path;
    struct stamp was;
    const struct item *item; /* that changes it, or NULL */
};

struct apply {
    const struct landing_set *s;
    struct arena *a;
    struct error *e;
    struct item *v; /* in the manifest's order */
    size_t n;
    struct old_folder *folders; /* in the same order */
    size_t nfolders, folders_cap;
    bool whole; /* the undo folder was complete when we came: an attempt before got past it */
    bool each;  /* few enough to be synced one by one */
};

/* A landing of this item; l->folder is that of `p`. */
void landing_of(struct apply *ap, struct item *it, struct place *p, struct landing *ret);
enum err MUST_USE out_of_memory(struct error *e);

/* landing_look.c: fills ap->v (T1, T5). */
enum err MUST_USE landing_look_set(struct apply *ap);

/* ---- landing_git.c ---- */

/* When a path below a .git is done; 0 for others. */
int git_rank(struct slice path);
/* U1. */
enum err MUST_USE git_check(struct apply *ap);
/* Right before the first exchange: takes the locks, and makes conflicts of what moved since the look (U2). ERR_BUSY: another git
   holds one. */
enum err MUST_USE git_lock(struct apply *ap);
/* Takes away all locks of this landing (U3). */
enum err MUST_USE git_unlock(struct apply *ap);

/* ---- landing_undo.c ---- */

/* Whether the undo folder is whole. */
enum err MUST_USE undo_is_whole(struct apply *ap);
/* What lies in the undo folder at a path. */
enum err MUST_USE undo_look(struct apply *ap, struct slice path, struct stamp *ret);
/* Makes it whole (T2), or reads ap->folders from it where it is. */
enum err MUST_USE undo_make(struct apply *ap);
/* The manifest landed -> undo. */
enum err MUST_USE undo_manifest(struct apply *ap, struct manifest *ret);

#endif
