/* The reserve for a full disk, and the audit. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "store/internal.h"

bool store_free_reserve(struct store *s)
{
    return sys->unlinkat(s->dir, "reserve", 0) == 0;
}

void store_make_reserve(struct store *s)
{
    struct stat st;
    if (s->no_reserve || (sys->fstatat(s->dir, "reserve", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size >= RESERVE_BYTES))
        return;
    FD_CLEANUP int fd = sys->openat(s->dir, "reserve", O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
    if (fd >= 0 && sys->fallocate(fd, 0, 0, RESERVE_BYTES) < 0)
        sys->unlinkat(s->dir, "reserve", 0); /* no room, or a file system that cannot: a hole would reserve nothing */
}

/* ---- the audit ---- */

struct auditing {
    struct store *s;
    struct buf *findings;
    struct run_state state;
};

static enum err audit_pages(struct auditing *a, struct error *e)
{
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    enum err err = store_query(a->s, "PRAGMA integrity_check(100)", &st, e, "");
    for (bool any = true; !err;) {
        err = store_row(a->s, st, &any, e);
        if (err || !any)
            break;
        if (!slice_is(store_text(st, 0), "ok"))
            buf_addf(a->findings, "journal.db: %.*s\n", SLICE_ARG(store_text(st, 0)));
    }
    return err;
}

/* What the store keeps beside the events and nothing can make anew. */
static enum err audit_meta(struct auditing *a, struct error *e)
{
    int64_t n = 0;
    enum err err = store_number(a->s, "SELECT count(*) FROM meta WHERE key IN ('last_run', 'id')", 0, &n, e, "");
    if (!err && n != 2)
        buf_add_text(a->findings, "the journal has lost its counter of runs or its id; bring it back from a backup\n");
    return err;
}

/* Wherever a payload names a blob: under these keys, at any depth. */
static void audit_names(struct auditing *a, const struct event *ev, const struct json *v)
{
    for (size_t i = 0; i < json_count(v); i++) {
        struct slice key = SLICE_NONE;
        const struct json *m = json_type(v) == JSON_OBJECT ? json_member(v, i, &key) : json_at(v, i);
        struct hash h;
        int64_t there = 1;
        if ((slice_is(key, "text") || slice_is(key, "blob") || slice_is(key, "content") || slice_is(key, "manifest") ||
             slice_is(key, "rest") || slice_is(key, "only")) && hash_from_hex(json_text(m), &h) &&
            !store_number(a->s, "SELECT count(*) FROM blob WHERE hash = ?", 0, &there, NULL, "h", &h) && !there)
            buf_addf(a->findings, "run r%llu, event %llu: its blob %.*s is not there\n", (unsigned long long)ev->key.run,
                     (unsigned long long)ev->seq, SLICE_ARG(json_text(m)));
        audit_names(a, ev, m);
    }
}

static enum err audit_event(void *ctx, const struct event *ev, int64_t id, struct error *e)
{
    (void)id;
    struct auditing *a = ctx;
    JSON_CLEANUP struct json *payload = NULL;
    if (!ev->redacted && !json_parse(ev->payload, &payload, NULL))
        audit_names(a, ev, payload);
    return run_apply(&a->state, ev, e);
}

static enum err audit_runs(struct auditing *a, struct error *e)
{
    uint64_t run = 0;
    for (;;) {
        enum err err = journal_next_run(a->s, run, &run, e);
        if (err || !run)
            return err;
        ARENA_CLEANUP struct arena arena = ARENA_INIT(RUN_ARENA_BYTES);
        struct error why = {0};
        run_init(&a->state, run, &arena);
        if (journal_walk(a->s, run, &(struct walker){a, audit_event}, &why))
            buf_addf(a->findings, "%s\n", why.text);
    }
}

static enum err audit_blobs(struct auditing *a, struct error *e)
{
    STMT_CLEANUP sqlite3_stmt *st = NULL;
    BUF_CLEANUP struct buf bytes = BUF_INIT(BLOB_BYTES_MAX);
    enum err err = store_query(a->s, "SELECT hash FROM blob ORDER BY hash", &st, e, "");
    for (bool any = true; !err;) {
        struct hash h;
        struct error why = {0};
        err = store_row(a->s, st, &any, e);
        if (err || !any)
            break;
        struct slice name = store_bytes(st, 0);
        if (name.n != HASH_BYTES) {
            buf_add_text(a->findings, "a blob has no name\n");
            continue;
        }
        memcpy(h.b, name.p, HASH_BYTES);
        buf_reset(&bytes);
        if (blob_get(a->s, &h, &bytes, &why))
            buf_addf(a->findings, "%s\n", why.text);
    }
    return err;
}

static void first_difference(struct slice was, struct slice is, struct buf *ret)
{
    struct slice a, b;
    bool more_a, more_b;
    do {
        more_a = slice_line(&was, &a);
        more_b = slice_line(&is, &b);
    } while (more_a && more_b && slice_eq(a, b));
    buf_addf(ret, "lists and books are not what the events say; run `crannog doctor --rebuild`; first: '%.*s' should be '%.*s'\n",
             more_a ? (int)a.n : 0, a.p, more_b ? (int)b.n : 0, b.p);
}

/* Beside a run that goes on, and on a store opened for reading: the projections are made anew in memory. */
static enum err audit_projections(struct auditing *a, struct error *e)
{
    enum { DUMP_MAX = 512 * 1024 * 1024 };
    BUF_CLEANUP struct buf was = BUF_INIT(DUMP_MAX), is = BUF_INIT(DUMP_MAX);
    enum err err = store_begin_reading(a->s, e);
    if (err)
        return err;
    err = store_dump(a->s, &was, e);
    if (!err)
        err = store_shadow_projections(a->s, e);
    if (!err)
        err = projection_rebuild(a->s, e);
    if (!err)
        err = store_dump(a->s, &is, e);
    store_rollback(a->s);
    if (!err && !slice_eq(buf_slice(&was), buf_slice(&is)))
        first_difference(buf_slice(&was), buf_slice(&is), a->findings);
    return err;
}

/* What a damaged page keeps from being read is a finding, not the end of the audit. */
static enum err found(struct auditing *a, enum err err, const struct error *why, struct error *e)
{
    if (err == ERR_CORRUPT || err == ERR_VERSION || err == ERR_LIMIT) {
        buf_addf(a->findings, "%s\n", why->text);
        return OK;
    }
    if (err && e)
        *e = *why;
    return err;
}

enum err store_audit(struct store *s, struct buf *ret_findings, struct error *e)
{
    enum err (*const parts[])(struct auditing *, struct error *) = {audit_pages, audit_meta, audit_runs, audit_blobs,
                                                                    audit_projections};
    struct auditing a = {.s = s, .findings = ret_findings};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct error why = {0};
        enum err err = found(&a, parts[i](&a, &why), &why, e);
        if (err)
            return err;
    }
    return buf_check(ret_findings, "the findings of the audit", e);
}
