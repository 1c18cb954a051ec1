/* Folders: the names as seen, the names as durable, the changes between; and which inodes are still known. */
#include <errno.h>
#include <string.h>

#include "sim/internal.h"

/* ---- one table of names ---- */

static struct sim_name *find(struct sim_names *t, unsigned dir, const char *text)
{
    for (unsigned i = 0; i < t->n; i++)
        if (t->v[i].dir == dir && strcmp(t->v[i].text, text) == 0)
            return &t->v[i];
    return NULL;
}

unsigned name_find(const struct sim_names *t, unsigned dir, const char *text)
{
    for (unsigned i = 0; i < t->n; i++)
        if (t->v[i].dir == dir && strcmp(t->v[i].text, text) == 0)
            return t->v[i].inode;
    return 0;
}

bool name_any(const struct sim_names *t, unsigned dir)
{
    for (unsigned i = 0; i < t->n; i++)
        if (t->v[i].dir == dir)
            return true;
    return false;
}

unsigned name_parent(const struct sim_names *t, unsigned inode)
{
    for (unsigned i = 0; i < t->n; i++)
        if (t->v[i].inode == inode)
            return t->v[i].dir;
    return SIM_ROOT;
}

static void put(struct sim_names *t, const struct sim_name *now)
{
    struct sim_name *at = find(t, now->dir, now->text);
    if (at && now->inode)
        at->inode = now->inode;
    else if (at)
        *at = t->v[--t->n];
    else if (now->inode && t->n < SIM_NAMES)
        t->v[t->n++] = *now;
}

static void put_all(struct sim_names *t, const struct sim_change *c)
{
    for (unsigned i = 0; i < c->n; i++)
        put(t, &c->set[i]);
}

/* ---- changes ---- */

static bool same_inode(uint16_t a, const struct sim_change *c)
{
    for (unsigned i = 0; a && i < c->n; i++)
        if (c->was[i] == a || c->set[i].inode == a)
            return true;
    return false;
}

/* Whether two changes touch the same name or the same file, so that they keep their order (D3). */
static bool related(const struct sim_change *a, const struct sim_change *b)
{
    for (unsigned i = 0; i < a->n; i++) {
        if (same_inode(a->was[i], b) || same_inode(a->set[i].inode, b))
            return true;
        for (unsigned k = 0; k < b->n; k++)
            if (a->set[i].dir == b->set[k].dir && strcmp(a->set[i].text, b->set[k].text) == 0)
                return true;
    }
    return false;
}

static void forget(struct sim_world *w, const bool *gone)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < w->h.n_changes; i++)
        if (!gone[i])
            w->changes[kept++] = w->changes[i];
    w->h.n_changes = kept;
}

/* Makes the marked changes durable, and those before them that they rest on. */
static void commit(struct sim_world *w, bool *marked)
{
    for (unsigned i = w->h.n_changes; i-- > 0;)
        for (unsigned k = 0; marked[i] && k < i; k++)
            marked[k] |= related(&w->changes[k], &w->changes[i]);
    for (unsigned i = 0; i < w->h.n_changes; i++)
        if (marked[i])
            put_all(&w->durable, &w->changes[i]);
    forget(w, marked);
}

void name_sync(struct sim_world *w, unsigned dir)
{
    bool marked[SIM_CHANGES] = {false};
    for (unsigned i = 0; i < w->h.n_changes; i++)
        for (unsigned k = 0; k < w->changes[i].n; k++)
            marked[i] |= w->changes[i].set[k].dir == dir;
    commit(w, marked);
}

void name_sync_all(struct sim_world *w)
{
    bool marked[SIM_CHANGES];
    memset(marked, true, sizeof marked);
    commit(w, marked);
}

void name_write_back(struct sim_world *w)
{
    bool marked[SIM_CHANGES] = {true};
    if (w->h.n_changes)
        commit(w, marked);
}

void name_change(struct sim_world *w, const struct sim_change *c)
{
    if (w->h.n_changes == SIM_CHANGES)
        name_write_back(w);
    for (unsigned i = 0; i < c->n; i++) {
        if (c->was[i])
            w->h.inodes[c->was[i]].links--;
        if (c->set[i].inode)
            w->h.inodes[c->set[i].inode].links++;
        inode_touch(w, c->set[i].dir, true);
    }
    put_all(&w->seen, c);
    w->changes[w->h.n_changes++] = *c;
}

/* Drops names in folders that cannot be reached any more: a folder whose own name was lost takes its entries along. */
static void drop_unreachable(struct sim_names *t)
{
    bool reached[SIM_INODES] = {[SIM_ROOT] = true}, more = true;
    while (more) {
        more = false;
        for (unsigned i = 0; i < t->n; i++)
            if (reached[t->v[i].dir] && !reached[t->v[i].inode])
                reached[t->v[i].inode] = more = true;
    }
    for (unsigned i = 0; i < t->n;)
        if (reached[t->v[i].dir])
            i++;
        else
            t->v[i] = t->v[--t->n];
}

void name_power_cut(struct sim_world *w)
{
    static const uint8_t rates[] = {0, 64, 8, 32, 56};
    unsigned rate = rates[sim_rand_below(&w->h.disk, sizeof rates)];
    bool in_order = sim_rand_chance(&w->h.disk, 1, 2), lost[SIM_CHANGES];
    for (unsigned i = 0; i < w->h.n_changes; i++) {
        lost[i] = !sim_rand_chance(&w->h.disk, rate, 64);
        for (unsigned k = 0; k < i; k++)
            lost[i] |= lost[k] && (in_order || related(&w->changes[k], &w->changes[i]));
        if (!lost[i])
            put_all(&w->durable, &w->changes[i]);
    }
    w->h.n_changes = 0;
    drop_unreachable(&w->durable);
    memcpy(&w->seen, &w->durable, sizeof w->seen);
    for (unsigned i = 1; i < SIM_INODES; i++)
        w->h.inodes[i].links = i == SIM_ROOT;
    for (unsigned i = 0; i < w->seen.n; i++)
        w->h.inodes[w->seen.v[i].inode].links++;
    inodes_collect(w);
}

/* ---- inodes ---- */

static void mark_names(const struct sim_names *t, bool *known)
{
    for (unsigned i = 0; i < t->n; i++)
        known[t->v[i].inode] = known[t->v[i].dir] = true;
}

void inodes_collect(struct sim_world *w)
{
    bool known[SIM_INODES] = {[SIM_ROOT] = true};
    mark_names(&w->seen, known);
    mark_names(&w->durable, known);
    for (unsigned i = 0; i < w->h.n_changes; i++)
        for (unsigned k = 0; k < w->changes[i].n; k++) {
            const struct sim_change *c = &w->changes[i];
            known[c->was[k]] = known[c->set[k].inode] = known[c->set[k].dir] = true;
        }
    for (unsigned i = 1; i < SIM_INODES; i++)
        if (w->h.inodes[i].kind != SIM_FREE && !known[i] && !w->h.inodes[i].opens)
            page_free_all(w, i);
}

unsigned inode_new(struct sim_world *w, enum sim_inode_kind kind, mode_t mode)
{
    inodes_collect(w);
    for (unsigned i = SIM_ROOT; i < SIM_INODES; i++) {
        struct sim_inode *f = &w->h.inodes[i];
        if (f->kind != SIM_FREE)
            continue;
        *f = (struct sim_inode){.kind = kind, .cur.mode = mode & 07777, .dur.mode = mode & 07777};
        inode_touch(w, i, true);
        return i;
    }
    errno = ENOSPC;
    return 0;
}

void inode_touch(struct sim_world *w, unsigned inode, bool content)
{
    enum { GRAIN_NS = 4000000 };
    struct sim_inode *f = &w->h.inodes[inode];
    int64_t now = w->h.real_ns + w->h.boot_ns;
    now -= now % GRAIN_NS;
    f->cur.ctime_ns = now;
    if (content)
        f->cur.mtime_ns = now;
    f->meta_dirty = true;
}
