/*
 * Leases: at most one process appends to a run. A process that took a lease is a *holder*: a row {pid, start time, boot
 * id} and a lock (flock) on holders/<id>, which the kernel frees when the process is gone, however it went. Whoever
 * wants a lease that another holder has tries that lock; if it is free, the holder is dead and its leases are taken
 * over. The token counts up with every taking and never goes back, so an append under an old one is refused even if
 * the lock should lie (a stopped process on a network file system).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "store/internal.h"

/* ---- who we are, for messages and for the case that a lock file was deleted ---- */

/* Field 22 of /proc/PID/stat, in clock ticks since boot; 0 if there is no such process or no /proc. */
static int64_t start_time(int64_t pid)
{
    BUF_CLEANUP struct buf text = BUF_INIT(4096);
    char path[64];
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    if (sys_read_file(AT_FDCWD, path, &text, NULL))
        return 0;
    const char *at = strrchr(buf_str(&text), ')'); /* the name before it may hold anything */
    for (int field = 2; at && field < 22; field++) {
        at = strchr(at + 1, ' ');
    }
    return at ? strtoll(at, NULL, 10) : 0;
}

/* Empty without /proc. */
static struct slice boot_id(struct buf *ret)
{
    if (sys_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", ret, NULL))
        buf_reset(ret);
    return slice_trim(buf_slice(ret));
}

static void lock_name(int64_t holder, char ret[48])
{
    snprintf(ret, 48, "holders/%lld", (long long)holder);
}

/* ---- our own holder ---- */

/* Where the row may still be there, the unlocked file stays: it tells others that we are gone. */
static void holder_drop(struct store *s, bool row_is_gone)
{
    char name[48];
    lock_name(s->holder, name);
    if (s->holder_fd >= 0 && row_is_gone)
        sys->unlinkat(s->dir, name, 0);
    sys_close_fd(&s->holder_fd);
    s->holder = 0;
}

/* The lock is held before the row can be seen. */
static enum err holder_make(struct store *s, struct error *e)
{
    BUF_CLEANUP struct buf boot = BUF_INIT(256);
    char name[48];
    enum err err = store_do(s, "INSERT INTO holder(pid, start, boot) VALUES(?, ?, ?)", e, "iit", s->pid, start_time(s->pid),
                            boot_id(&boot));
    if (err)
        return err;
    s->holder = sqlite3_last_insert_rowid(s->db);
    lock_name(s->holder, name);
    s->holder_fd = sys->openat(s->dir, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (s->holder_fd < 0)
        return error_errno(e, errno, "cannot make %s/%s", s->path, name);
    if (sys->flock(s->holder_fd, LOCK_EX | LOCK_NB) < 0)
        return error_errno(e, errno, "cannot lock %s/%s", s->path, name);
    return OK;
}

/* ---- others ---- */

struct holder {
    int64_t id, pid, start;
    char boot[64];
    bool known; /* has a row */
};

static enum err holder_read(struct store *s, int64_t id, struct holder *ret, struct error *e)
{
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    *ret = (struct holder){.id = id};
    enum err err = store_query(s, "SELECT pid, start, boot FROM holder WHERE id = ?", &st, e, "i", id);
    if (!err)
        err = store_row(s, st, &ret->known, e);
    if (err || !ret->known)
        return err;
    ret->pid = sqlite3_column_int64(st, 0);
    ret->start = sqlite3_column_int64(st, 1);
    snprintf(ret->boot, sizeof ret->boot, "%.*s", SLICE_ARG(store_text(st, 2)));
    return OK;
}

/* Without its lock file: the same boot, and a process of that number that started at the same time. */
static bool alive_by_proc(const struct holder *h)
{
    BUF_CLEANUP struct buf boot = BUF_INIT(256);
    return h->start != 0 && slice_is(boot_id(&boot), h->boot) && start_time(h->pid) == h->start;
}

/* Shared locks are tried, so that two processes that look at once do not take each other for the holder. */
static enum err holder_alive(struct store *s, const struct holder *h, bool *ret, struct error *e)
{
    char name[48];
    *ret = h->known && h->id == s->holder;
    if (!h->known || *ret)
        return OK;
    lock_name(h->id, name);
    FD_CLEANUP int fd = sys->openat(s->dir, name, O_RDONLY | O_NOFOLLOW, 0);
    if (fd < 0 && errno == ENOENT) {
        *ret = alive_by_proc(h);
        return OK;
    }
    if (fd < 0)
        return error_errno(e, errno, "cannot open %s/%s", s->path, name);
    if (sys->flock(fd, LOCK_SH | LOCK_NB) == 0)
        return OK;
    *ret = true;
    return errno == EWOULDBLOCK ? OK : error_errno(e, errno, "cannot try the lock %s/%s", s->path, name);
}

static enum err lease_read(struct store *s, uint64_t run, struct lease *ret, int64_t *ret_holder, struct error *e)
{
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    enum err err = store_query(s, "SELECT token, holder FROM lease WHERE run = ?", &st, e, "i", (int64_t)run);
    bool any = false;
    if (!err)
        err = store_row(s, st, &any, e);
    *ret = (struct lease){.run = run};
    *ret_holder = 0;
    if (!err && any) {
        ret->token = (uint64_t)sqlite3_column_int64(st, 0);
        *ret_holder = sqlite3_column_int64(st, 1);
    }
    return err;
}

/* ---- taking ---- */

/* All leases of a dead holder come free at once. */
static enum err bury(struct store *s, int64_t holder, struct error *e)
{
    enum err err = store_do(s, "UPDATE lease SET holder = 0 WHERE holder = ?", e, "i", holder);
    return err ? err : store_do(s, "DELETE FROM holder WHERE id = ?", e, "i", holder);
}

static enum err free_of_others(struct store *s, uint64_t run, int64_t holder, int64_t *ret_dead, struct error *e)
{
    struct holder h;
    bool alive = false;
    enum err err = holder_read(s, holder, &h, e);
    if (!err)
        err = holder_alive(s, &h, &alive, e);
    if (!err && alive)
        return error_set(e, ERR_BUSY, "run r%llu is being worked on by process %lld; see `crannog show r%llu`, "
                         "end it with `crannog stop r%llu`", (unsigned long long)run, (long long)h.pid,
                         (unsigned long long)run, (unsigned long long)run);
    *ret_dead = holder;
    return err ? err : bury(s, holder, e);
}

static enum err take(struct store *s, uint64_t run, struct lease *ret, int64_t *ret_dead, struct error *e)
{
    struct lease l;
    int64_t holder;
    enum err err = lease_read(s, run, &l, &holder, e);
    if (!err && holder && holder == s->holder) { /* ours already */
        *ret = l;
        return OK;
    }
    if (!err && holder)
        err = free_of_others(s, run, holder, ret_dead, e);
    if (!err && !s->holder)
        err = holder_make(s, e);
    if (!err)
        err = store_do(s, "INSERT INTO lease VALUES(?1, 1, ?2) ON CONFLICT(run) DO UPDATE SET token = token + 1, holder = ?2", e,
                       "ii", (int64_t)run, s->holder);
    *ret = (struct lease){.run = run, .token = l.token + 1};
    return err;
}

enum err lease_take(struct store *s, uint64_t run, struct lease *ret, struct error *e)
{
    bool had = s->holder != 0;
    int64_t dead = 0;
    struct lease l;
    enum err err = store_begin(s, e);
    if (err)
        return err;
    err = store_end(s, true, take(s, run, &l, &dead, e), e);
    if (err) {
        if (!had)
            holder_drop(s, !s->dead);
        return err;
    }
    char name[48];
    lock_name(dead, name);
    if (dead) /* its name is never used again; who takes its other leases finds them free already */
        sys->unlinkat(s->dir, name, 0);
    *ret = l;
    return OK;
}

enum err lease_check(struct store *s, const struct lease *l, struct error *e)
{
    struct lease now;
    int64_t holder;
    enum err err = lease_read(s, l->run, &now, &holder, e);
    if (!err && (now.token != l->token || holder != s->holder || !holder))
        err = error_set(e, ERR_DENIED, "another process has taken over run r%llu", (unsigned long long)l->run);
    return err;
}

/* ---- giving back ---- */

void lease_release(struct store *s, const struct lease *l)
{
    bool own;
    if (!s->holder || store_enter(s, &own, NULL))
        return; /* the kernel frees our lock at the latest */
    enum err err = store_do(s, "UPDATE lease SET holder = 0 WHERE run = ? AND token = ? AND holder = ?", NULL, "iii",
                            (int64_t)l->run, (int64_t)l->token, s->holder);
    err = store_end(s, own, err, NULL);
    (void)err;
}

void lease_close(struct store *s)
{
    if (!s->holder)
        return;
    enum err err = s->dead ? ERR_IO : store_begin(s, NULL);
    if (!err)
        err = store_end(s, true, bury(s, s->holder, NULL), NULL);
    holder_drop(s, !err);
}

int64_t lease_holder(struct store *s, uint64_t run)
{
    struct lease l;
    struct holder h = {0};
    int64_t holder = 0;
    bool alive = false;
    enum err err = lease_read(s, run, &l, &holder, NULL);
    if (!err && holder)
        err = holder_read(s, holder, &h, NULL);
    if (!err && holder)
        err = holder_alive(s, &h, &alive, NULL);
    return !err && alive ? h.pid : 0;
}
