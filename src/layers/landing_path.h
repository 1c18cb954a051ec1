/*
 * One path's landing, as landing_file() (landing.c) and landing_apply() (landing_apply.c) share it: the protocol at the
 * top of landing.c, cut where many paths are synced together.
 *
 *   take_up   what an attempt that died left beside the target is settled; may it be landed?
 *   prepare   the new file, link or folder, complete, under the part's name
 *   swap      part -> slot, exchanged with the target; what came out lies in the slot
 *   settle    what came out goes, or goes back
 *
 * and what nodes are made of (landing_node.c).
 */
#ifndef CRANNOG_LAYERS_LANDING_PATH_H
#define CRANNOG_LAYERS_LANDING_PATH_H

#include "layers/landing.h"

struct landing {
    int folder; /* borrowed: that of the target */
    struct slice path;
    const char *target;
    char part[STAMP_NAME_MAX + 1], slot[STAMP_NAME_MAX + 1], back[STAMP_NAME_MAX + 1], kept[STAMP_NAME_MAX + 1];
    const struct stamp *base;
    struct stamp wanted;   /* type, and size, hash and mode; ABSENT: the target goes */
    struct slice content;  /* of a FILE, unless source_folder says where to copy it from */
    int source_folder;     /* -1: content; else a folder with what is wanted at source_name */
    const char *source_name;
    bool set;        /* landing_apply(): links and folders too; new is new only with mode and mtime */
    bool loose_base; /* set: base is by content, mode and mtime; its inode and number of names do not count */
    bool durable;    /* set: folders are synced by the caller, before and after */
    bool sync_part;  /* the part is synced as it is made */
    bool busy;       /* somebody has the old file open for writing */
    bool filled;     /* the old folder holds something again */
    uint64_t ours_ino; /* the node that this landing has made; 0: none yet */
    int64_t ours_mtime_ns;
    struct error *e;
};

/* The names beside the target. */
void landing_name(struct landing *l, struct slice name);
/* Settles leftovers. *ret_open: the base lies there (*ret_now is it) and the rest may follow; else *ret says what it is. */
enum err MUST_USE landing_take_up(struct landing *l, bool *ret_open, enum landing_result *ret, struct stamp *ret_now);
/* `old`: what lies at the target, whose owner a replaced file keeps. */
enum err MUST_USE landing_prepare(struct landing *l, const struct stamp *old);
/* `known`: a stamp of the target that need not be read again if the file has not moved since, or NULL. */
enum err MUST_USE landing_swap(struct landing *l, const struct stamp *known);
/* Whether what came out of the target is the base, or nothing where nothing was; its stamp. */
enum err MUST_USE landing_came_out(struct landing *l, bool *ret_base, struct stamp *ret_slot);
enum err MUST_USE landing_settle(struct landing *l, bool *ret_open, enum landing_result *ret, struct stamp *ret_now);
/* After an error: takes an unused part and slot away, best effort. */
void landing_tidy(struct landing *l);
/* What the matter is, in words that follow a path; names the kept file if there is one. */
void landing_words(const struct landing *l, const struct stamp *now, char *ret, size_t n);

/* Makes the folders on the way that are missing, and each durable, those of an attempt that died as well. */
enum err MUST_USE landing_make_folders(int root, struct slice path, struct error *e);

/* ---- landing_node.c ---- */

enum lease { LEASE_HELD, LEASE_REFUSED /* somebody has it open for writing */, LEASE_NONE /* not here */ };

/* Takes a read lease on an open file; it goes when the descriptor is closed. NONE: another owner, or a file system
   without leases; then comparisons alone protect. */
enum lease lease_take(int fd);
/* Somebody is waiting to open it for writing since. */
bool lease_broken(int fd, enum lease lease);

/* Copies an open file into an empty one, holes kept, and says whether it has the size and hash of `is`. */
enum err MUST_USE node_copy(int from, int to, const struct stamp *is, const char *what, bool *ret_same, struct error *e);
/* Makes the link `name` with the text of from_folder/from_name, if that is what `is` says. */
enum err MUST_USE node_link(int from_folder, const char *from_name, int folder, const char *name, const struct stamp *is,
                            bool *ret_same, struct error *e);
enum err MUST_USE node_mtime(int folder, const char *name, int64_t mtime_ns, struct error *e);
/* Type, size, hash, permission bits and mtime: the same to anybody who looks, whatever its inode. */
bool node_same(const struct stamp *a, const struct stamp *b);
/* The stamp of a name, without the hash. */
enum err MUST_USE node_stat(int folder, const char *name, struct stamp *ret, struct error *e);

#endif
