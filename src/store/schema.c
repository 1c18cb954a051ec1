/* Tables, versions, opening and closing. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/internal.h"

/*
 * The tables that are folds of the events (J3). store_rebuild() clears and makes them, store_dump() prints them, and the
 * audit makes them a second time as temporary tables, whose names then come before these.
 */
#define PROJECTIONS(CREATE_TABLE)                                                                                         \
    CREATE_TABLE " run(id INTEGER PRIMARY KEY, plan_path TEXT, work TEXT, work_dev INTEGER, work_ino INTEGER, goal TEXT," \
    "  agent TEXT, account TEXT, status INTEGER NOT NULL, why TEXT, started INTEGER, updated INTEGER, done INTEGER,"      \
    "  total INTEGER, questions INTEGER, seq INTEGER, head BLOB);"                                                        \
    CREATE_TABLE " reservation(run INTEGER NOT NULL, branch INTEGER NOT NULL, step INTEGER NOT NULL,"                     \
    "  attempt INTEGER NOT NULL, unit INTEGER NOT NULL, account TEXT NOT NULL, held INTEGER NOT NULL,"                    \
    "  settled INTEGER NOT NULL, how TEXT NOT NULL, open INTEGER NOT NULL, time INTEGER NOT NULL,"                        \
    "  PRIMARY KEY(run, branch, step, attempt, unit)) WITHOUT ROWID;"                                                     \
    CREATE_TABLE " balance(account TEXT NOT NULL, unit INTEGER NOT NULL, exact INTEGER NOT NULL,"                         \
    "  assumed INTEGER NOT NULL, held INTEGER NOT NULL,"                                                                  \
    "  CHECK(typeof(exact + assumed + held) = 'integer')," /* an overflow would make a REAL of it */                      \
    "  PRIMARY KEY(account, unit)) WITHOUT ROWID;"                                                                        \
    /* `event`, here and in landed: the later one counts, whatever the order in which runs are folded. */                 \
    CREATE_TABLE " budget(account TEXT NOT NULL, unit INTEGER NOT NULL, amount INTEGER NOT NULL, event INTEGER NOT NULL," \
    "  PRIMARY KEY(account, unit)) WITHOUT ROWID;"                                                                        \
    CREATE_TABLE " landed(work_dev INTEGER NOT NULL, work_ino INTEGER NOT NULL, path TEXT NOT NULL, hash BLOB NOT NULL,"  \
    "  event INTEGER NOT NULL, PRIMARY KEY(work_dev, work_ino, path)) WITHOUT ROWID;"

/* The journal is append-only by row number: clustering it by run is 8 to 12 times slower with a thousand runs. */
static const char tables[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE event(id INTEGER PRIMARY KEY, run INTEGER NOT NULL, seq INTEGER NOT NULL, header BLOB NOT NULL,"
    "  salt BLOB, payload BLOB);" /* both NULL: redacted */
    "CREATE UNIQUE INDEX event_of_run ON event(run, seq);"
    "CREATE TABLE holder(id INTEGER PRIMARY KEY AUTOINCREMENT, pid INTEGER NOT NULL, start INTEGER NOT NULL,"
    "  boot TEXT NOT NULL);" /* AUTOINCREMENT: the id is the name of a lock file, never used twice */
    "CREATE TABLE lease(run INTEGER PRIMARY KEY, token INTEGER NOT NULL, holder INTEGER NOT NULL);" /* holder 0: none */
    "CREATE TABLE blob(id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, refs INTEGER NOT NULL,"
    "  data BLOB);" /* data NULL: a file */
    "CREATE TABLE request(id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, verb TEXT NOT NULL,"
    "  args TEXT NOT NULL);"
    "CREATE INDEX request_of_run ON request(run, id);"
    /* What a person set. A run's own budget is in the table budget; a person's `total` for the same account wins. */
    "CREATE TABLE cap(account TEXT NOT NULL, unit INTEGER NOT NULL, span TEXT NOT NULL, amount INTEGER NOT NULL,"
    "  PRIMARY KEY(account, unit, span)) WITHOUT ROWID;"
    PROJECTIONS("CREATE TABLE")
    "CREATE INDEX run_of_plan ON run(work_dev, work_ino, plan_path, id);"
    "CREATE INDEX reservation_by_time ON reservation(time);"
    "INSERT INTO meta VALUES('last_run', 0), ('id', lower(hex(randomblob(16))));";

static enum err run_sql(struct store *s, const char *sql, struct error *e)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? OK : store_failed(s, e);
}

enum err store_shadow_projections(struct store *s, struct error *e)
{
    return run_sql(s, PROJECTIONS("CREATE TEMP TABLE"), e);
}

static enum err pragma_number(struct store *s, const char *sql, int64_t *ret, struct error *e)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) != SQLITE_OK || sqlite3_step(st) != SQLITE_ROW) {
        enum err err = store_failed(s, e);
        sqlite3_finalize(st);
        return err;
    }
    *ret = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return OK;
}

/* ---- the folder ---- */

static bool there(struct store *s, const char *name, struct stat *ret)
{
    return sys->fstatat(s->dir, name, ret, AT_SYMLINK_NOFOLLOW) == 0;
}

static enum err sync_folder(const char *crannog, const char *below, struct error *e)
{
    char path[STORE_PATH_MAX];
    snprintf(path, sizeof path, "%s%s", crannog, below);
    FD_CLEANUP int fd = sys->openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0 || sys->fsync(fd) < 0)
        return error_errno(e, errno, "cannot sync the folder %s", path);
    return OK;
}

static enum err open_folder(struct store *s, const char *crannog, bool create, struct error *e)
{
    int n = snprintf(s->path, sizeof s->path, "%s/.crannog", crannog);
    if (n < 0 || (size_t)n >= sizeof s->path - 64)
        return error_set(e, ERR_LIMIT, "the path of the crannog is too long");
    enum err err = OK;
    if (create)
        err = sys_mkdirs(crannog, 0755, e);
    if (!err && create && sys->mkdirat(AT_FDCWD, s->path, 0700) < 0 && errno != EEXIST)
        err = error_errno(e, errno, "cannot make the folder %s", s->path);
    if (err)
        return err;
    s->dir = sys->openat(AT_FDCWD, s->path, O_RDONLY | O_DIRECTORY, 0);
    if (s->dir < 0 && (errno == ENOENT || errno == ENOTDIR))
        return error_set(e, ERR_MISSING, "there is no crannog in %s; `crannog init` makes one", crannog);
    return s->dir < 0 ? error_errno(e, errno, "cannot open %s", s->path) : OK;
}

/*
 * Blobs/ is made last, when the tables are durable. So an empty or missing journal beside it has been lost, while
 * without it the making of the crannog was interrupted and begins again.
 */
static enum err look_at_journal(struct store *s, const char *crannog, bool create, bool *ret_fresh, struct error *e)
{
    struct stat st = {0}, blobs;
    bool made = there(s, "blobs", &blobs), journal = there(s, "journal.db", &st);
    if (made && (!journal || st.st_size == 0))
        return error_set(e, ERR_CORRUPT, "the journal %s/journal.db is %s, but this crannog has been in use: bring the file back "
                         "from a backup", s->path, journal ? "empty" : "gone");
    if (!create && (!journal || st.st_size == 0))
        return error_set(e, ERR_MISSING, "there is no crannog in %s; `crannog init` makes one", crannog);
    *ret_fresh = !made;
    return OK;
}

/* ---- the connection ---- */

static enum err open_database(struct store *s, const struct store_options *o, bool create, struct error *e)
{
    char path[STORE_PATH_MAX];
    snprintf(path, sizeof path, "%s/journal.db", s->path);
    int flags = s->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);
    int rc = sqlite3_open_v2(path, &s->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, o->vfs);
    if (!s->db)
        return error_set(e, ERR_MEMORY, "no memory for the journal %s", path);
    sqlite3_extended_result_codes(s->db, 1);
    if (rc != SQLITE_OK)
        return store_failed(s, e);
    sqlite3_busy_timeout(s->db, 10000);
    sqlite3_wal_autocheckpoint(s->db, 8000); /* 32 MiB: the default of 1000 pages costs ten times the p99 of a commit */
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return run_sql(s, "PRAGMA synchronous=FULL; PRAGMA secure_delete=OFF; PRAGMA foreign_keys=OFF; PRAGMA temp_store=MEMORY;"
                      "PRAGMA cache_size=-16384; PRAGMA cell_size_check=ON; PRAGMA journal_size_limit=67108864", e);
}

/* Two processes that make the same crannog at once can get SQLITE_BUSY here without the busy handler being asked. */
static enum err use_wal(struct store *s, struct error *e)
{
    enum err err = OK;
    for (int i = 0; i < 50; i++) {
        err = run_sql(s, "PRAGMA journal_mode=WAL", e);
        if (err != ERR_BUSY)
            break;
        sqlite3_sleep(20);
    }
    return err;
}

/* In a transaction: whoever comes second finds the tables. */
static enum err make_tables(struct store *s, bool adopt, struct error *e)
{
    char version[80];
    snprintf(version, sizeof version, "PRAGMA user_version=%d; PRAGMA application_id=%d", STORE_SCHEMA, STORE_APPLICATION);
    int64_t now = 0;
    enum err err = store_begin(s, e);
    if (!err)
        err = pragma_number(s, "PRAGMA user_version", &now, e);
    if (!err && now == 0)
        err = run_sql(s, tables, e);
    if (!err && now == 0)
        err = run_sql(s, version, e);
    if (!err)
        err = identity_check(s, adopt, e);
    if (!err)
        return store_commit(s, e);
    if (s->open)
        store_rollback(s);
    return err;
}

static enum err make_folders(struct store *s, struct error *e)
{
    static const char *const names[] = {"holders", "blobs"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (sys->mkdirat(s->dir, names[i], 0700) < 0 && errno != EEXIST)
            return error_errno(e, errno, "cannot make the folder %s/%s", s->path, names[i]);
    return OK;
}

/* The names of the new crannog's folders and of journal.db become durable before the first commit. */
static enum err make_crannog(struct store *s, const char *crannog, bool adopt, struct error *e)
{
    enum err err = use_wal(s, e);
    if (!err && sys->fsync(s->dir) < 0)
        err = error_errno(e, errno, "cannot sync the folder %s", s->path);
    if (!err)
        err = sync_folder(crannog, "", e);
    if (!err)
        err = sync_folder(crannog, "/..", e);
    if (!err)
        err = make_tables(s, adopt, e);
    return err ? err : make_folders(s, e);
}

static enum err check_version(struct store *s, bool *ret_empty, struct error *e)
{
    int64_t version = 0, application = 0, objects = 0;
    enum err err = store_begin_reading(s, e); /* all of one moment: another process may be making the tables */
    if (err)
        return err;
    err = pragma_number(s, "PRAGMA user_version", &version, e);
    if (!err)
        err = pragma_number(s, "PRAGMA application_id", &application, e);
    if (!err)
        err = pragma_number(s, "SELECT count(*) FROM sqlite_schema", &objects, e);
    store_rollback(s);
    if (err)
        return err;
    *ret_empty = objects == 0 && version == 0 && application == 0;
    if (*ret_empty)
        return OK;
    if (application != STORE_APPLICATION)
        return error_set(e, ERR_CORRUPT, "%s/journal.db is not a crannog's journal; if it was one, bring it back from a backup",
                         s->path);
    if (version > STORE_SCHEMA)
        return error_set(e, ERR_VERSION, "%s was written by a newer crannog (schema %lld, this one knows %d); install that one",
                         s->path, (long long)version, STORE_SCHEMA);
    if (version < STORE_SCHEMA)
        return error_set(e, ERR_VERSION, "%s has the unknown schema %lld", s->path, (long long)version);
    return OK;
}

/*
 * What an earlier process wrote may be in the page cache alone: a sync that fails leaves its pages there, clean, and no
 * later sync writes them. Commits behind such pages of the WAL would be lost with them in a power cut. A checkpoint
 * writes them to journal.db anew and syncs that; then the WAL begins from its start. If another process is at it, it
 * does the same.
 */
static enum err settle_wal(struct store *s, struct error *e)
{
    int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED ? OK : store_failed(s, e);
}

static enum err open_all(struct store *s, const char *crannog, bool create, const struct store_options *o, struct error *e)
{
    bool fresh = false, empty = false;
    enum err err = open_folder(s, crannog, create, e);
    if (!err)
        err = look_at_journal(s, crannog, create, &fresh, e);
    if (!err)
        err = open_database(s, o, create, e);
    if (!err)
        err = check_version(s, &empty, e);
    if (err)
        return err;
    if (empty && !fresh)
        return error_set(e, ERR_CORRUPT, "the journal %s/journal.db has lost its tables; bring it back from a backup", s->path);
    if (empty && !create)
        return error_set(e, ERR_MISSING, "there is no crannog in %s; `crannog init` makes one", crannog);
    if (s->read_only)
        return OK;
    if (empty || fresh)
        return make_crannog(s, crannog, o->adopt, e);
    err = settle_wal(s, e);
    if (!err)
        err = identity_check(s, o->adopt, e);
    return err ? err : make_folders(s, e);
}

enum err store_open(const char *crannog, bool create, const struct store_options *o, struct store **ret, struct error *e)
{
    static const struct store_options none = {0};
    o = o ? o : &none;
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* nobody asks, and it costs a lock an allocation; refused once SQLite runs */
    struct store *s = sys->realloc(NULL, sizeof *s);
    if (!s)
        return error_set(e, ERR_MEMORY, "no memory for the store");
    *s = (struct store){.dir = -1, .holder_fd = -1, .read_only = o->read_only, .no_reserve = o->no_reserve || o->read_only,
                        .pid = o->pid ? o->pid : (int64_t)getpid()};
    enum err err = open_all(s, crannog, create && !o->read_only, o, e);
    if (err) {
        store_close(s);
        return err;
    }
    store_make_reserve(s);
    *ret = s;
    return OK;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    if (s->open)
        store_rollback(s);
    lease_close(s);
    for (size_t i = 0; i < s->nkept; i++)
        sqlite3_finalize(s->kept[i].st);
    sqlite3_close(s->db);
    sys_close_fd(&s->dir);
    sys->free(s);
}
