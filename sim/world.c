/* The mapping, the processes in it, the operations they count, the crashes and the snapshots. */
#include "sim/world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/internal.h"

enum { CRASH_STATUS = 77, HANG_S = 60 };

uint32_t sim_process;

/* ---- the mapping ---- */

void sim_world_reseed(struct sim_world *w, uint64_t seed)
{
    w->h.seed = seed;
    sim_rand_init(&w->h.disk, seed, "disk");
    sim_rand_init(&w->h.clock, seed, "clock");
    sim_rand_init(&w->h.machine, seed, "machine");
    sim_rand_init(&w->h.harness, seed, "harness");
}

struct sim_world *sim_world_new(uint64_t seed)
{
    int how = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE;
    struct sim_world *w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, how, -1, 0);
    if (w == MAP_FAILED)
        return NULL;
    sim_world_reseed(w, seed);
    w->h.boot_ns = 1000000000;
    w->h.real_ns = 1750000000000000000; /* a day in June 2025; any would do */
    w->h.capacity = SIM_CAPACITY;
    w->h.pool_high = 1;
    ASSERT(inode_new(w, SIM_FOLDER, 0755) == SIM_ROOT);
    w->h.inodes[SIM_ROOT].links = 1;
    sim_disk_settle(w);
    return w;
}

void sim_world_free(struct sim_world *w)
{
    if (w)
        munmap(w, sizeof *w);
}

void *sim_outside(struct sim_world *w, size_t n)
{
    ASSERT(n <= SIM_OUTSIDE);
    if (n > w->h.outside_n)
        w->h.outside_n = n;
    return w->outside;
}

struct sim_rand *sim_world_rand(struct sim_world *w)
{
    return &w->h.harness;
}

void sim_world_when(struct sim_world *w, enum sim_when when)
{
    w->h.when = when;
}

void sim_fail(struct sim_world *w, uint64_t at, uint64_t times, int errnum)
{
    w->h.fail_at = at;
    w->h.fail_times = times;
    w->h.fail_errno = errnum;
}

uint64_t sim_failed(const struct sim_world *w)
{
    return w->h.failed;
}

void sim_capacity(struct sim_world *w, uint64_t bytes)
{
    uint64_t pages = bytes / SIM_PAGE;
    w->h.capacity = pages && pages < SIM_CAPACITY ? (unsigned)pages : SIM_CAPACITY;
}

uint64_t sim_used(const struct sim_world *w)
{
    return (uint64_t)page_used(w) * SIM_PAGE;
}

void sim_bugs(struct sim_world *w, unsigned bugs)
{
    w->h.bugs = bugs;
}

/* ---- operations ---- */

static _Noreturn void crash_here(struct sim_world *w)
{
    w->h.crashed = true;
    _exit(CRASH_STATUS);
}

static bool needs_room(enum sim_op_kind kind)
{
    return kind == SIM_OP_CREATE || kind == SIM_OP_WRITE || kind == SIM_OP_MKDIR || kind == SIM_OP_RENAME ||
           kind == SIM_OP_ALLOCATE || kind == SIM_OP_SYNC || kind == SIM_OP_SYNC_ALL;
}

static bool fails_now(struct sim_world *w, enum sim_op_kind kind)
{
    if (!w->h.fail_at || w->h.ops < w->h.fail_at || w->h.failed >= w->h.fail_times)
        return false;
    if (w->h.fail_errno == ENOSPC && !needs_room(kind))
        return false;
    if (kind == SIM_OP_WAIT || kind == SIM_OP_ACT)
        return false;
    w->h.failed++;
    errno = w->h.fail_errno;
    return true;
}

static bool can_tear(enum sim_op_kind kind)
{
    return kind == SIM_OP_WRITE || kind == SIM_OP_SYNC || kind == SIM_OP_SYNC_ALL;
}

/* Whether this operation is the one to die in; if it dies before taking effect, it does so here. */
static void crash_check(struct sim_world *w, enum sim_op_kind kind)
{
    if (w->h.changes != w->h.crash_at)
        return;
    if (w->h.crash_when == SIM_TORN && !can_tear(kind)) /* what has no middle: one of the ends */
        w->h.crash_when = sim_mix(w->h.seed, w->h.changes) & 1 ? SIM_BEFORE : SIM_AFTER;
    if (w->h.crash_when == SIM_BEFORE)
        crash_here(w);
    w->h.crash_due = true;
}

int sim_op(struct sim_world *w, enum sim_op_kind kind, uint64_t detail)
{
    if (!sim_process)
        return 0;
    if (w->h.crash_due) /* the operation that was to die failed by itself instead */
        crash_here(w);
    w->h.ops++;
    w->h.trace = sim_mix(w->h.trace, sim_mix(kind, detail));
    if (kind >= SIM_OP_CREATE) {
        disk_write_back(w);
        w->h.changes++;
        crash_check(w, kind);
    }
    return fails_now(w, kind) ? -1 : 0;
}

bool op_torn(const struct sim_world *w)
{
    return w->h.crash_due && w->h.crash_when == SIM_TORN;
}

void sim_op_done(struct sim_world *w)
{
    if (sim_process && w->h.crash_due)
        crash_here(w);
}

/* ---- runs ---- */

void sim_world_crash(struct sim_world *w, enum sim_crash mode)
{
    ASSERT(!sim_process);
    if (mode != SIM_POWER)
        return;
    handles_drop(w, true, 0);
    name_power_cut(w);
    for (unsigned i = 1; i < SIM_INODES; i++)
        page_power_cut(w, i);
}

static void run_begin(struct sim_world *w, uint64_t crash_at)
{
    w->h.runs++;
    w->h.ops = w->h.changes = w->h.trace = w->h.failed = 0;
    w->h.crash_at = crash_at;
    w->h.crash_when = w->h.when;
    if (w->h.when == SIM_ANYWHERE)
        w->h.crash_when = SIM_BEFORE + (enum sim_when)(sim_mix(w->h.seed, crash_at + w->h.runs) % 3);
    w->h.crash_due = w->h.crashed = false;
}

static _Noreturn void run_child(struct sim_world *w, int (*child)(struct sim_world *, void *), void *arg)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sim_process = w->h.runs;
    alarm(HANG_S);
    int status = child(w, arg);
    fflush(NULL);
    _exit(status);
}

struct sim_result sim_run(struct sim_world *w, uint64_t crash_at, enum sim_crash mode,
                          int (*child)(struct sim_world *w, void *arg), void *arg)
{
    ASSERT(!sim_process);
    run_begin(w, crash_at);
    fflush(NULL);
    pid_t pid = fork();
    ASSERT(pid >= 0);
    if (pid == 0)
        run_child(w, child, arg);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        ASSERT(errno == EINTR);
    struct sim_result r = {.how = SIM_FINISHED, .status = WEXITSTATUS(status), .ops = w->h.ops,
                           .changes = w->h.changes, .trace = w->h.trace};
    if (WIFSIGNALED(status)) {
        r.how = SIM_DIED;
        r.status = WTERMSIG(status);
    }
    handles_drop(w, false, w->h.runs);
    if (r.how == SIM_FINISHED && (w->h.crashed || w->h.crash_due)) {
        r.how = SIM_CRASHED;
        sim_world_crash(w, mode);
    }
    return r;
}

/* ---- snapshots ---- */

struct segment {
    void *p;
    size_t n;
};

enum { SEGMENTS = 8 + SIM_INODES };

/* The parts of the mapping that are in use, the head first: it says how much of the others is. */
static size_t segments(struct sim_world *w, struct segment *s)
{
    size_t n = 0;
    s[n++] = (struct segment){&w->h, sizeof w->h};
    s[n++] = (struct segment){&w->seen, sizeof w->seen};
    s[n++] = (struct segment){&w->durable, sizeof w->durable};
    s[n++] = (struct segment){w->changes, w->h.n_changes * sizeof *w->changes};
    s[n++] = (struct segment){w->free_pages, w->h.n_free * sizeof *w->free_pages};
    s[n++] = (struct segment){w->outside, w->h.outside_n};
    s[n++] = (struct segment){w->pool[1], (w->h.pool_high - 1) * sizeof *w->pool};
    for (unsigned i = 1; i < SIM_INODES; i++)
        if (w->h.inodes[i].n_refs)
            s[n++] = (struct segment){w->refs[i], w->h.inodes[i].n_refs * sizeof **w->refs};
    return n;
}

struct sim_snapshot {
    size_t n;
    unsigned char bytes[];
};

struct sim_snapshot *sim_world_snapshot(const struct sim_world *w)
{
    struct segment s[SEGMENTS];
    size_t n = segments((struct sim_world *)(uintptr_t)w, s), total = 0;
    for (size_t i = 0; i < n; i++)
        total += s[i].n;
    struct sim_snapshot *snap = malloc(sizeof *snap + total);
    ASSERT(snap);
    snap->n = total;
    unsigned char *to = snap->bytes;
    for (size_t i = 0; i < n; to += s[i++].n)
        memcpy(to, s[i].p, s[i].n);
    return snap;
}

void sim_world_restore(struct sim_world *w, const struct sim_snapshot *snap)
{
    ASSERT(!sim_process);
    struct segment s[SEGMENTS];
    size_t outside = w->h.outside_n;
    memcpy(&w->h, snap->bytes, sizeof w->h);
    if (outside > w->h.outside_n) /* taken into use since: it was zero */
        memset(w->outside + w->h.outside_n, 0, outside - w->h.outside_n);
    size_t n = segments(w, s);
    const unsigned char *from = snap->bytes;
    for (size_t i = 0; i < n; from += s[i++].n)
        memcpy(s[i].p, from, s[i].n);
    ASSERT((size_t)(from - snap->bytes) == snap->n);
}

void sim_snapshot_free(struct sim_snapshot *s)
{
    free(s);
}

/* ---- digest ---- */

static uint64_t digest_bytes(uint64_t d, const void *p, size_t n)
{
    for (size_t at = 0; at < n; at += 8) {
        uint64_t word = 0;
        memcpy(&word, (const char *)p + at, n - at < 8 ? n - at : 8);
        d = sim_mix(d, word);
    }
    return sim_mix(d, n);
}

static uint64_t digest_names(uint64_t d, const struct sim_names *t)
{
    for (unsigned i = 0; i < t->n; i++) {
        d = digest_bytes(d, t->v[i].text, strlen(t->v[i].text));
        d = sim_mix(d, (uint64_t)t->v[i].dir << 16 | t->v[i].inode);
    }
    return sim_mix(d, t->n);
}

static uint64_t digest_meta(uint64_t d, const struct sim_meta *m)
{
    d = sim_mix(d, (uint64_t)m->size);
    d = sim_mix(d, (uint64_t)m->mtime_ns);
    return sim_mix(sim_mix(d, (uint64_t)m->ctime_ns), m->mode);
}

uint64_t sim_world_digest(const struct sim_world *w)
{
    uint64_t d = digest_names(digest_names(0, &w->seen), &w->durable);
    for (unsigned i = 1; i < SIM_INODES; i++) {
        const struct sim_inode *f = &w->h.inodes[i];
        if (f->kind == SIM_FREE)
            continue;
        d = digest_meta(digest_meta(sim_mix(d, i), &f->cur), &f->dur);
        for (unsigned k = 0; k < f->n_refs; k++) {
            const struct sim_ref *r = &w->refs[i][k];
            d = digest_bytes(d, w->pool[r->cur], SIM_PAGE);
            d = r->dur == r->cur ? d : digest_bytes(d, w->pool[r->dur], SIM_PAGE);
        }
    }
    return digest_bytes(d, w->outside, w->h.outside_n);
}
