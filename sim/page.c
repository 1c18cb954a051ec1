/* Contents: sectors in the cache and durable, and what a cut leaves of them. Invariants P1-P3 in internal.h. */
#include <errno.h>
#include <string.h>

#include "sim/internal.h"

/* ---- the pool ---- */

static unsigned pool_room(const struct sim_world *w)
{
    return w->h.n_free + SIM_POOL - w->h.pool_high;
}

/* A page of zeros. The caller has made sure of room (make_room). */
static uint16_t pool_take(struct sim_world *w)
{
    ASSERT(pool_room(w) > 0);
    uint16_t page = w->h.n_free ? w->free_pages[--w->h.n_free] : (uint16_t)w->h.pool_high++;
    memset(w->pool[page], 0, SIM_PAGE);
    return page;
}

static void pool_give(struct sim_world *w, uint16_t page)
{
    if (page)
        w->free_pages[w->h.n_free++] = page;
}

/* Memory pressure: a kernel writes everything back then, after which each page needs one version only. */
static void make_room(struct sim_world *w)
{
    if (pool_room(w) >= 2)
        return;
    name_sync_all(w);
    for (unsigned i = 1; i < SIM_INODES; i++)
        page_sync(w, i);
    inodes_collect(w);
    ASSERT(pool_room(w) >= 2); /* capacity is half the pool at most; only files open without a name come on top */
}

unsigned page_used(const struct sim_world *w)
{
    unsigned n = 0;
    for (unsigned i = 1; i < SIM_INODES; i++)
        if (w->h.inodes[i].links || w->h.inodes[i].opens)
            n += w->h.inodes[i].blocks;
    return n;
}

/* ---- one page of a file ---- */

static struct sim_ref *ref_at(struct sim_world *w, unsigned inode, unsigned i)
{
    struct sim_inode *f = &w->h.inodes[inode];
    while (f->n_refs <= i)
        w->refs[inode][f->n_refs++] = (struct sim_ref){0};
    return &w->refs[inode][i];
}

static uint8_t ref_differs(const struct sim_ref *r)
{
    return r->dirty | r->lost;
}

static void ref_set_cur(struct sim_world *w, unsigned inode, struct sim_ref *r, uint16_t page)
{
    struct sim_inode *f = &w->h.inodes[inode];
    f->blocks = (uint16_t)(f->blocks - (r->cur != 0) + (page != 0));
    if (r->cur != r->dur)
        pool_give(w, r->cur);
    r->cur = page;
}

/* Makes the sectors of `mask` durable. */
static void ref_persist(struct sim_world *w, struct sim_ref *r, uint8_t mask)
{
    mask &= ref_differs(r);
    if (!mask)
        return;
    if (mask == ref_differs(r)) {
        if (r->dur != r->cur)
            pool_give(w, r->dur);
        *r = (struct sim_ref){.cur = r->cur, .dur = r->cur};
        return;
    }
    if (!r->dur)
        r->dur = pool_take(w);
    for (unsigned s = 0; s < SIM_SECTORS; s++)
        if (mask & 1u << s)
            memcpy(w->pool[r->dur] + s * SIM_SECTOR, w->pool[r->cur] + s * SIM_SECTOR, SIM_SECTOR);
    r->dirty &= (uint8_t)~mask;
    r->lost &= (uint8_t)~mask;
}

/* The cache forgets: what is durable is all there is. */
static void ref_revert(struct sim_world *w, unsigned inode, struct sim_ref *r)
{
    ref_set_cur(w, inode, r, r->dur);
    r->dirty = r->lost = 0;
}

/* A page of the cache that may be written, marked as written in [from, to). NULL and ENOSPC if the disk is full. */
static unsigned char *ref_own(struct sim_world *w, unsigned inode, unsigned i, unsigned from, unsigned to)
{
    make_room(w); /* before looking at the ref: it may clean it */
    struct sim_ref *r = ref_at(w, inode, i);
    if (!r->cur && page_used(w) >= w->h.capacity) {
        errno = ENOSPC;
        return NULL;
    }
    if (!r->cur || r->cur == r->dur) {
        uint16_t page = pool_take(w);
        memcpy(w->pool[page], w->pool[r->cur], SIM_PAGE);
        ref_set_cur(w, inode, r, page);
    }
    for (unsigned s = from / SIM_SECTOR; s * SIM_SECTOR < to; s++) {
        r->dirty |= (uint8_t)(1u << s);
        r->lost &= (uint8_t)~(1u << s);
    }
    w->h.inodes[inode].dirty = true;
    return w->pool[r->cur];
}

/* Some of the bits of `mask`, each kept `rate` times in 64. */
static uint8_t some_of(struct sim_rand *r, uint8_t mask, unsigned rate)
{
    uint8_t kept = 0;
    for (unsigned s = 0; s < SIM_SECTORS; s++)
        if ((mask & 1u << s) && sim_rand_chance(r, rate, 64))
            kept |= (uint8_t)(1u << s);
    return kept;
}

/* ---- a file ---- */

void page_read(const struct sim_world *w, unsigned inode, void *p, size_t n, int64_t at)
{
    for (size_t done = 0; done < n;) {
        unsigned i = (unsigned)((uint64_t)(at + (int64_t)done) / SIM_PAGE);
        unsigned off = (unsigned)((uint64_t)(at + (int64_t)done) % SIM_PAGE);
        size_t part = n - done < SIM_PAGE - off ? n - done : SIM_PAGE - off;
        unsigned page = i < w->h.inodes[inode].n_refs ? w->refs[inode][i].cur : 0;
        memcpy((char *)p + done, w->pool[page] + off, part);
        done += part;
    }
}

size_t page_write(struct sim_world *w, unsigned inode, const void *p, size_t n, int64_t at)
{
    for (size_t done = 0; done < n;) {
        unsigned i = (unsigned)((uint64_t)(at + (int64_t)done) / SIM_PAGE);
        unsigned off = (unsigned)((uint64_t)(at + (int64_t)done) % SIM_PAGE);
        size_t part = n - done < SIM_PAGE - off ? n - done : SIM_PAGE - off;
        unsigned char *page = ref_own(w, inode, i, off, off + (unsigned)part);
        if (!page)
            return done;
        memcpy(page + off, (const char *)p + done, part);
        done += part;
    }
    return n;
}

int page_allocate(struct sim_world *w, unsigned inode, int64_t at, int64_t n)
{
    for (int64_t i = at / SIM_PAGE; i * SIM_PAGE < at + n; i++)
        if (!ref_at(w, inode, (unsigned)i)->cur && !ref_own(w, inode, (unsigned)i, 0, SIM_PAGE))
            return -1;
    return 0;
}

void page_cut_tail(struct sim_world *w, unsigned inode, int64_t size)
{
    struct sim_inode *f = &w->h.inodes[inode];
    unsigned whole = (unsigned)((size + SIM_PAGE - 1) / SIM_PAGE), off = (unsigned)(size % SIM_PAGE);
    if (off && whole <= f->n_refs && w->refs[inode][whole - 1].cur) {
        unsigned char *page = ref_own(w, inode, whole - 1, off, SIM_PAGE);
        memset(page + off, 0, SIM_PAGE - off);
    }
    for (unsigned i = whole; i < f->n_refs; i++) {
        struct sim_ref *r = &w->refs[inode][i];
        ref_set_cur(w, inode, r, 0);
        r->dirty = r->dur ? 0xff : 0;
        r->lost = 0;
        f->dirty |= r->dirty != 0;
    }
}

static void refs_trim(struct sim_world *w, unsigned inode)
{
    struct sim_inode *f = &w->h.inodes[inode];
    while (f->n_refs && !w->refs[inode][f->n_refs - 1].cur && !w->refs[inode][f->n_refs - 1].dur)
        f->n_refs--;
}

void page_sync(struct sim_world *w, unsigned inode)
{
    struct sim_inode *f = &w->h.inodes[inode];
    if (f->meta_dirty)
        f->dur = f->cur;
    f->meta_dirty = false;
    if (!f->dirty)
        return;
    f->dirty = false;
    for (unsigned i = 0; i < f->n_refs; i++) {
        ref_persist(w, &w->refs[inode][i], w->refs[inode][i].dirty);
        f->dirty |= w->refs[inode][i].lost != 0;
    }
    refs_trim(w, inode);
}

void page_sync_some(struct sim_world *w, unsigned inode, bool give_up_rest)
{
    struct sim_inode *f = &w->h.inodes[inode];
    for (unsigned i = 0; f->dirty && i < f->n_refs; i++) {
        make_room(w);
        struct sim_ref *r = &w->refs[inode][i];
        ref_persist(w, r, some_of(&w->h.disk, r->dirty, 32));
        if (give_up_rest) {
            r->lost |= r->dirty;
            r->dirty = 0;
        }
    }
    if (f->meta_dirty && sim_rand_chance(&w->h.disk, 1, 2)) {
        f->dur = f->cur;
        f->meta_dirty = false;
    }
}

void page_write_back(struct sim_world *w, unsigned inode)
{
    struct sim_inode *f = &w->h.inodes[inode];
    if (f->meta_dirty && sim_rand_chance(&w->h.disk, 1, 4)) {
        f->dur = f->cur;
        f->meta_dirty = false;
    }
    if (!f->dirty || !f->n_refs)
        return;
    unsigned first = (unsigned)sim_rand_below(&w->h.disk, f->n_refs);
    for (unsigned k = 0; k < f->n_refs; k++) {
        struct sim_ref *r = &w->refs[inode][(first + k) % f->n_refs];
        if (!r->dirty)
            continue;
        make_room(w);
        ref_persist(w, r, some_of(&w->h.disk, r->dirty, 48));
        return;
    }
}

/* A size that a cut may leave between the durable and the new one: any, or on a sector's edge. */
static int64_t size_between(struct sim_rand *r, int64_t a, int64_t b)
{
    int64_t low = a < b ? a : b, high = a < b ? b : a;
    int64_t size = low + (int64_t)sim_rand_below(r, (uint64_t)(high - low) + 1);
    int64_t edge = size - size % SIM_SECTOR;
    return edge >= low && sim_rand_chance(r, 1, 2) ? edge : size;
}

static void meta_power_cut(struct sim_world *w, struct sim_inode *f, unsigned rate)
{
    struct sim_rand *r = &w->h.disk;
    if (f->meta_dirty && f->kind == SIM_FILE && rate && rate < 64 && sim_rand_chance(r, 1, 3))
        f->dur.size = size_between(r, f->dur.size, f->cur.size);
    else if (f->meta_dirty && sim_rand_chance(r, rate, 64))
        f->dur = f->cur;
    f->cur = f->dur;
    f->meta_dirty = false;
}

void page_power_cut(struct sim_world *w, unsigned inode)
{
    static const uint8_t rates[] = {0, 0, 64, 64, 4, 20, 44, 60};
    struct sim_inode *f = &w->h.inodes[inode];
    if (!f->dirty && !f->meta_dirty)
        return;
    unsigned rate = rates[sim_rand_below(&w->h.disk, sizeof rates)];
    meta_power_cut(w, f, rate);
    for (unsigned i = 0; i < f->n_refs; i++) {
        struct sim_ref *r = &w->refs[inode][i];
        if (!ref_differs(r))
            continue;
        make_room(w);
        ref_persist(w, r, some_of(&w->h.disk, r->dirty, rate));
        ref_revert(w, inode, r);
    }
    f->dirty = false;
    page_cut_tail(w, inode, f->cur.size); /* P3; sectors may have been kept that the size was not */
    page_sync(w, inode);
}

void page_free_all(struct sim_world *w, unsigned inode)
{
    struct sim_inode *f = &w->h.inodes[inode];
    for (unsigned i = 0; i < f->n_refs; i++) {
        struct sim_ref *r = &w->refs[inode][i];
        if (r->cur != r->dur)
            pool_give(w, r->cur);
        pool_give(w, r->dur);
    }
    *f = (struct sim_inode){.kind = SIM_FREE};
}
