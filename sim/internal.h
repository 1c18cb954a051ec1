/*
 * What the parts of the simulation share: the layout of the mapping. Rows of code that work on it, from below: page.c
 * (contents), name.c (folders), disk.c (the calls) and harness.c (what a harness asks), machine.c and vfs.c. world.c
 * owns the mapping, the processes and the crashes.
 *
 * P1  A sector that is neither `dirty` nor `lost` is the same in the cache and durable. A page with no such sector has
 *     one page of the pool for both (cur == dur).
 * P2  Page 0 of the pool is a hole: zeros, never written.
 * P3  In the cache, bytes past the size are zero.
 * N1  `inodes[i].links` is the number of names in `seen` that lead to i.
 * N2  An inode is freed only when no name (seen, durable or in a change) and no handle knows it (inodes_collect).
 */
#ifndef CRANNOG_SIM_INTERNAL_H
#define CRANNOG_SIM_INTERNAL_H

#include "sim/disk.h"

enum {
    SIM_POOL = 16384,      /* pages: 64 MiB */
    SIM_CAPACITY = 8192,   /* pages that files may take by default; the other half is room for durable versions */
    SIM_FILE_PAGES = 2048, /* 8 MiB */
    SIM_INODES = 256,      /* 0 is none, 1 the root */
    SIM_NAMES = SIM_INODES, /* enough: there are no hard links, so an inode has one name */
    SIM_NAME_MAX = 95,
    SIM_CHANGES = 256,
    SIM_HANDLES = 128,
    SIM_OUTSIDE = 1 << 20,
    SIM_ROOT = 1,
    SIM_SECTORS = SIM_PAGE / SIM_SECTOR, /* 8: one bit each in a byte */
};

enum sim_inode_kind { SIM_FREE, SIM_FILE, SIM_FOLDER };

struct sim_ref {
    uint16_t cur, dur; /* pages of the pool */
    uint8_t dirty;     /* sectors written since the last sync */
    uint8_t lost;      /* sectors that a failed sync gave up: differ from durable, will not be written */
};

struct sim_meta {
    int64_t size, mtime_ns, ctime_ns;
    mode_t mode; /* permission bits */
};

struct sim_inode {
    enum sim_inode_kind kind;
    bool meta_dirty, dirty; /* dirty: some ref of it may have dirty or lost sectors */
    uint16_t links, opens;
    uint16_t n_refs; /* refs[i][n_refs..] are holes, whatever lies there */
    uint16_t blocks; /* refs with cur != 0 */
    struct sim_meta cur, dur;
};

struct sim_name {
    uint16_t dir, inode; /* inode 0 in a change: the name is gone */
    char text[SIM_NAME_MAX + 1];
};

struct sim_names {
    unsigned n;
    struct sim_name v[SIM_NAMES];
};

struct sim_change {
    unsigned n;
    uint16_t was[2]; /* what the names led to before, 0 for nothing */
    struct sim_name set[2];
};

struct sim_handle {
    bool used;
    uint32_t process;
    uint16_t inode;
    int flags;
    int lock; /* LOCK_SH, LOCK_EX or 0 */
    int64_t at;
};

struct sim_head {
    uint64_t seed;
    struct sim_rand disk, clock, machine, harness;
    int64_t real_ns;  /* realtime minus boottime */
    int64_t boot_ns;
    uint32_t runs;
    /* this run */
    uint64_t ops, changes, trace, failed;
    uint64_t crash_at;
    enum sim_when crash_when;
    bool crash_due; /* we are inside the operation that does not come back */
    bool crashed;
    /* config */
    enum sim_when when;
    uint64_t fail_at, fail_times;
    int fail_errno;
    unsigned bugs;
    unsigned capacity;
    size_t outside_n;
    /* disk */
    unsigned pool_high; /* pool pages 1..pool_high-1 have been used */
    unsigned n_free;
    unsigned n_changes;
    struct sim_inode inodes[SIM_INODES];
    struct sim_handle handles[SIM_HANDLES];
};

struct sim_world {
    struct sim_head h;
    struct sim_names seen, durable;
    struct sim_change changes[SIM_CHANGES];
    uint16_t free_pages[SIM_POOL];
    struct sim_ref refs[SIM_INODES][SIM_FILE_PAGES];
    _Alignas(SIM_PAGE) unsigned char outside[SIM_OUTSIDE];
    unsigned char pool[SIM_POOL][SIM_PAGE];
};

/* Which process we are: 0 in the parent, the number of the run in a child. */
extern uint32_t sim_process;

/* ---- page.c ---- */
unsigned page_used(const struct sim_world *w); /* pages of all that can be reached */
void page_read(const struct sim_world *w, unsigned inode, void *p, size_t n, int64_t at);
/* Returns how many bytes were written; fewer with errno if there is no room. Does not touch the size. */
size_t page_write(struct sim_world *w, unsigned inode, const void *p, size_t n, int64_t at);
int page_allocate(struct sim_world *w, unsigned inode, int64_t at, int64_t n);
void page_cut_tail(struct sim_world *w, unsigned inode, int64_t size); /* zeros from `size` on */
void page_sync(struct sim_world *w, unsigned inode);
void page_sync_some(struct sim_world *w, unsigned inode, bool give_up_rest); /* a sync that died or failed */
void page_power_cut(struct sim_world *w, unsigned inode);
void page_write_back(struct sim_world *w, unsigned inode); /* one page, or the size */
void page_free_all(struct sim_world *w, unsigned inode);

/* ---- name.c ---- */
unsigned name_find(const struct sim_names *t, unsigned dir, const char *text); /* the inode, or 0 */
bool name_any(const struct sim_names *t, unsigned dir);                       /* the folder has entries */
unsigned name_parent(const struct sim_names *t, unsigned inode);              /* its folder; the root for the root */
/* Applies a change to what is seen and notes it for durability. */
void name_change(struct sim_world *w, const struct sim_change *c);
void name_sync(struct sim_world *w, unsigned dir);
void name_sync_all(struct sim_world *w);
void name_write_back(struct sim_world *w); /* the oldest change */
void name_power_cut(struct sim_world *w);
unsigned inode_new(struct sim_world *w, enum sim_inode_kind kind, mode_t mode); /* 0 and ENOSPC if there is none free */
void inodes_collect(struct sim_world *w);
void inode_touch(struct sim_world *w, unsigned inode, bool content); /* ctime, and mtime too */

/* ---- disk.c ---- */
void handles_drop(struct sim_world *w, bool all, uint32_t process);
void disk_write_back(struct sim_world *w); /* what the kernel does between two operations, sometimes */

/* ---- world.c ---- */
/* True inside an operation that shall be torn: do a part of it, then call sim_op_done. */
bool op_torn(const struct sim_world *w);

#endif
