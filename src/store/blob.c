/*
 * Bytes by content. Small ones are rows; larger ones are files blobs/ab/<other 62 digits>, written whole, synced and
 * renamed before the row that names them is committed (J4). A file without a row is what a crash or an undone
 * transaction left; it is written over when the same bytes come again.
 *
 * `refs` counts how often a blob was put: redaction will count it down.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "store/internal.h"

struct blob_path {
    char folder[16], file[96], draft[104];
};

static void blob_path(const struct hash *h, struct blob_path *ret)
{
    char hex[HASH_HEX + 1];
    hash_hex(h, hex);
    snprintf(ret->folder, sizeof ret->folder, "blobs/%.2s", hex);
    snprintf(ret->file, sizeof ret->file, "blobs/%.2s/%s", hex, hex + 2);
    snprintf(ret->draft, sizeof ret->draft, "%s.new", ret->file);
}

/* A sync that failed means that earlier bytes may be gone too: the store is dead, except where the disk is just full. */
static enum err sync_failed(struct store *s, const char *what, struct error *e)
{
    int why = errno;
    s->dead |= why != ENOSPC && why != EDQUOT;
    return error_errno(e, why, "cannot sync %s/%s", s->path, what);
}

static enum err sync_name(struct store *s, const char *folder, struct error *e)
{
    FD_CLEANUP int fd = sys->openat(s->dir, folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return error_errno(e, errno, "cannot open %s/%s", s->path, folder);
    return sys->fsync(fd) < 0 ? sync_failed(s, folder, e) : OK;
}

/* The file's name, and once a process the names of the folders on the way to it: whoever made them may have died
   before their names were durable. */
static enum err sync_names(struct store *s, const struct hash *h, const struct blob_path *p, struct error *e)
{
    enum err err = sync_name(s, p->folder, e);
    if (!err && !s->blobs_ab_synced[h->b[0]])
        err = sync_name(s, "blobs", e);
    if (!err && !s->blobs_synced)
        err = sync_name(s, ".", e);
    if (!err)
        s->blobs_synced = s->blobs_ab_synced[h->b[0]] = true;
    return err;
}

static enum err write_draft(struct store *s, const char *draft, struct slice bytes, struct error *e)
{
    FD_CLEANUP int fd = sys->openat(s->dir, draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_errno(e, errno, "cannot create %s/%s", s->path, draft);
    enum err err = sys_write_all(fd, bytes, draft, e);
    return !err && sys->fsync(fd) < 0 ? sync_failed(s, draft, e) : err;
}

/* In a transaction, so nobody else writes the same draft. */
static enum err write_file(struct store *s, const struct hash *h, struct slice bytes, struct error *e)
{
    struct blob_path p;
    blob_path(h, &p);
    if (sys->mkdirat(s->dir, p.folder, 0700) < 0 && errno != EEXIST)
        return error_errno(e, errno, "cannot make the folder %s/%s", s->path, p.folder);
    enum err err = write_draft(s, p.draft, bytes, e);
    if (!err && sys->renameat2(s->dir, p.draft, s->dir, p.file, 0) < 0)
        err = error_errno(e, errno, "cannot rename %s/%s", s->path, p.draft);
    if (err) {
        sys->unlinkat(s->dir, p.draft, 0);
        return err;
    }
    return sync_names(s, h, &p, e);
}

static enum err put(struct store *s, const struct hash *h, struct slice bytes, struct error *e)
{
    int64_t refs = 0;
    enum err err = store_number(s, "UPDATE blob SET refs = refs + 1 WHERE hash = ? RETURNING refs", 0, &refs, e, "h", h);
    if (err || refs)
        return err;
    if (bytes.n <= BLOB_INLINE_MAX)
        return store_do(s, "INSERT INTO blob(hash, size, refs, data) VALUES(?, ?, 1, ?)", e, "hib", h, (int64_t)bytes.n, bytes);
    err = write_file(s, h, bytes, e);
    return err ? err : store_do(s, "INSERT INTO blob(hash, size, refs) VALUES(?, ?, 1)", e, "hi", h, (int64_t)bytes.n);
}

enum err blob_put(struct store *s, struct slice bytes, struct hash *ret, struct error *e)
{
    if (bytes.n > BLOB_BYTES_MAX)
        return error_set(e, ERR_LIMIT, "%zu bytes in one piece; at most %d are kept", bytes.n, BLOB_BYTES_MAX);
    struct hash h = hash_of(bytes);
    bool own;
    enum err err = store_enter(s, &own, e);
    if (!err)
        err = store_end(s, own, put(s, &h, bytes, e), e);
    if (!err)
        *ret = h;
    return err;
}

/* ---- reading ---- */

static enum err damaged(struct store *s, const struct hash *h, const char *how, struct error *e)
{
    char hex[HASH_HEX + 1];
    hash_hex(h, hex);
    return error_set(e, ERR_CORRUPT, "the blob %s in %s %s; bring it back from a backup", hex, s->path, how);
}

static enum err read_file(struct store *s, const struct hash *h, struct buf *ret, struct error *e)
{
    struct blob_path p;
    struct stat st;
    blob_path(h, &p);
    if (sys->fstatat(s->dir, p.file, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? damaged(s, h, "has lost its file", e) : error_errno(e, errno, "cannot look at %s/%s", s->path, p.file);
    if (!S_ISREG(st.st_mode))
        return damaged(s, h, "is not a file", e);
    return sys_read_file(s->dir, p.file, ret, e);
}

static enum err read_any(struct store *s, const struct hash *h, struct buf *ret, int64_t *ret_size, struct error *e)
{
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    bool any = false;
    enum err err = store_query(s, "SELECT size, data FROM blob WHERE hash = ?", &st, e, "h", h);
    if (!err)
        err = store_row(s, st, &any, e);
    if (err)
        return err;
    char hex[HASH_HEX + 1];
    hash_hex(h, hex);
    if (!any)
        return error_set(e, ERR_MISSING, "there is no blob %s in %s", hex, s->path);
    *ret_size = sqlite3_column_int64(st, 0);
    if (*ret_size > BLOB_INLINE_MAX)
        return read_file(s, h, ret, e);
    buf_add(ret, store_bytes(st, 1));
    return buf_check(ret, "a blob", e);
}

enum err blob_get(struct store *s, const struct hash *h, struct buf *ret, struct error *e)
{
    size_t before = ret->n;
    int64_t size = 0;
    enum err err = read_any(s, h, ret, &size, e);
    if (!err) {
        struct hash got = hash_of(slice_sub(buf_slice(ret), before, ret->n - before));
        if (!hash_eq(&got, h) || (int64_t)(ret->n - before) != size)
            err = damaged(s, h, "was changed", e);
    }
    if (err && ret->n > before)
        ret->n = before;
    return err;
}
