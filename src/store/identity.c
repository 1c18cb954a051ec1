/*
 * Which machine a crannog belongs to. Leases are locks of this machine's kernel and stamps are inode numbers of its
 * disks, so a copy that is opened elsewhere must wait for a person.
 *
 * The identity is SHA-256 of /etc/machine-id and the crannog's own id (so the machine's id itself is not stored), kept
 * in the journal and with it in every copy. Where there is no /etc/machine-id (a bare root, many containers) the host
 * name stands in for it: best effort. Two such machines of the same name are not told apart; one whose name changes
 * (a container made anew with another name) is refused until a person says that it is the one (`adopt`). Nothing is
 * kept in a file of our own, since that would be copied along.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "store/internal.h"

/* A read error is not "there is none": the machine would get another name for as long as the disk is ill. */
static enum err machine_name(struct buf *ret, struct error *e)
{
    BUF_CLEANUP struct buf id = BUF_INIT(256);
    enum err err = sys_read_file(AT_FDCWD, "/etc/machine-id", &id, e);
    if (err && err != ERR_MISSING && err != ERR_DENIED)
        return err;
    struct slice text = err ? SLICE_NONE : slice_trim(buf_slice(&id));
    if (text.n >= 32) { /* empty in images, "uninitialized" before the first boot */
        buf_add_text(ret, "machine ");
        buf_add(ret, text);
        return OK;
    }
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    buf_addf(ret, "host %s", host);
    return OK;
}

static enum err meta_text(struct store *s, struct slice key, struct buf *ret, struct error *e)
{
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    bool any = false;
    enum err err = store_query(s, "SELECT value FROM meta WHERE key = ?", &st, e, "t", key);
    if (!err)
        err = store_row(s, st, &any, e);
    if (!err && any)
        buf_add(ret, store_text(st, 0));
    return err ? err : buf_check(ret, "the crannog's identity", e);
}

enum err identity_check(struct store *s, bool adopt, struct error *e)
{
    BUF_CLEANUP struct buf name = BUF_INIT(1024), id = BUF_INIT(256), known = BUF_INIT(256);
    enum err err = meta_text(s, SLICE("id"), &id, e);
    if (!err)
        err = meta_text(s, SLICE("machine"), &known, e);
    if (!err)
        err = machine_name(&name, e);
    buf_addf(&name, " %s", buf_str(&id));
    if (!err)
        err = buf_check(&name, "the machine's name", e);
    if (err)
        return err;
    char hex[HASH_HEX + 1];
    struct hash h = hash_of(buf_slice(&name));
    hash_hex(&h, hex);
    if (slice_is(buf_slice(&known), hex))
        return OK;
    if (known.n && !adopt)
        return error_set(e, ERR_DENIED, "%s belongs to another machine (or a copy of it was brought here); if it was moved for good, "
                         "run `crannog doctor --adopt`: two machines must not go on with the same runs", s->path);
    bool own;
    err = store_enter(s, &own, e);
    if (!err)
        err = store_do(s, "INSERT INTO meta VALUES('machine', ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value", e,
                       "t", slice_of(hex));
    return store_end(s, own, err, e);
}
