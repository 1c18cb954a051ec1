#include "store_rig.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"

#undef system /* base/banned.h: a fixed command of the test is fine */

static const char plan[] = "---\\ngoal: to know\\n---\\n"
                           "- [ ] note: for each `src/*` as SRC, say what it is about\\n"
                           "      writes: notes/{SRC.stem}.md\\n"
                           "- [ ] brief: say it all at once\\n"
                           "      needs: note\\n"
                           "      writes: brief.md\\n";

#define WELL(call)                                                     \
    do {                                                               \
        enum err well_err = (call);                                    \
        if (well_err)                                                  \
            fail_msg("%s: %s", #call, g->e.text);                      \
    } while (0)

void rig_make(struct rig *g)
{
    memset(g, 0, sizeof *g);
    snprintf(g->crannog, sizeof g->crannog, "/tmp/crannog-store-XXXXXX");
    assert_non_null(mkdtemp(g->crannog));
    WELL(store_open(g->crannog, true, &(struct store_options){.no_reserve = true}, &g->s, &g->e));
}

void rig_open(struct rig *g)
{
    WELL(store_open(g->crannog, false, &(struct store_options){.no_reserve = true}, &g->s, &g->e));
}

void rig_close(struct rig *g)
{
    store_close(g->s);
    g->s = NULL;
}

void rig_remove(struct rig *g)
{
    char command[128];
    rig_close(g);
    snprintf(command, sizeof command, "rm -rf %s", g->crannog);
    assert_int_equal(system(command), 0);
}

const char *rig_path(const struct rig *g, const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/.crannog/%s", g->crannog, name);
    return path;
}

enum err rig_append(struct rig_run *r, enum event_type type, const struct step_key *key, const char *payload)
{
    return journal_append(r->g->s, &r->lease, &r->r, type, key, slice_of(payload), &r->g->e);
}

static void start(struct rig *g, struct rig_run *r, const char *account, const char *budget, const char *what)
{
    char text[2048];
    uint64_t id;
    memset(r, 0, sizeof *r);
    r->g = g;
    r->arena = ARENA_INIT(RUN_ARENA_BYTES);
    WELL(store_begin(g->s, &g->e));
    WELL(store_new_run(g->s, &id, &g->e));
    WELL(store_commit(g->s, &g->e));
    WELL(lease_take(g->s, id, &r->lease, &g->e));
    run_init(&r->r, id, &r->arena);
    snprintf(text, sizeof text,
             "{\"v\":0,%s,\"plan_path\":\"PLAN.md\",\"work\":\"/work\",\"work_dev\":3,\"work_ino\":4,\"goal\":\"to know\","
             "\"account\":\"%s\",\"agent\":\"main\",\"model\":\"small\",\"budget\":%s,\"slots\":1,\"window\":2048,\"why\":\"\"}",
             what, account, budget);
    WELL(store_begin(g->s, &g->e));
    WELL(rig_append(r, EVENT_RUN_STARTED, NULL, text));
    WELL(store_commit(g->s, &g->e));
}

void rig_start(struct rig *g, struct rig_run *r, const char *account, const char *budget)
{
    char what[1024];
    snprintf(what, sizeof what, "\"plan\":\"%s\"", plan);
    start(g, r, account, budget, what);
}

void rig_start_exec(struct rig *g, struct rig_run *r, const char *account, const char *budget)
{
    start(g, r, account, budget, "\"exec\":[\"true\"]");
}

void rig_end(struct rig_run *r)
{
    if (r->g->s)
        lease_release(r->g->s, &r->lease);
    arena_release(&r->arena);
}

void rig_refold(struct rig_run *r)
{
    struct rig *g = r->g;
    uint64_t id = r->r.id;
    arena_release(&r->arena);
    r->arena = ARENA_INIT(RUN_ARENA_BYTES);
    WELL(journal_fold(g->s, id, &r->r, &r->arena, &g->e));
}

static void blob_hex(struct rig *g, const char *text, char ret[HASH_HEX + 1])
{
    struct hash h;
    WELL(blob_put(g->s, slice_of(text), &h, &g->e));
    hash_hex(&h, ret);
}

bool rig_intend(struct rig_run *r, const char *amounts, enum err *ret)
{
    struct decision d;
    char text[1024], hex[HASH_HEX + 1], args[256] = "{}";
    run_decide(&r->r, INT64_MAX, &d);
    if (d.what != DECIDE_INTEND)
        return false;
    const struct want *w = &d.wants[0];
    blob_hex(r->g, "what is written", hex);
    if (w->stage == STAGE_LOOK || w->stage == STAGE_LAND)
        snprintf(args, sizeof args, "{\"path\":\"notes/%u-%d.md\",\"content\":\"%s\"}", w->item, w->piece, hex);
    snprintf(text, sizeof text, "{\"v\":0,\"item\":%u,\"piece\":%d,\"stage\":\"%s\",\"act\":\"%s\",\"class\":\"%s\",\"args\":%s,"
             "\"amounts\":%s,\"account\":\"%.*s\",\"base_layers\":[],\"rule\":null}", w->item, w->piece, stage_name(w->stage),
             act_name(w->act), class_name(w->class), args, amounts, SLICE_ARG(r->r.account));
    *ret = rig_append(r, EVENT_STEP_INTENDED, &(struct step_key){.step = w->step, .attempt = w->attempt}, text);
    return true;
}

static void result_of(struct rig *g, enum stage stage, char *ret, size_t n)
{
    char hex[HASH_HEX + 1];
    blob_hex(g, "some text", hex);
    switch (stage) {
    case STAGE_LIST: snprintf(ret, n, "{\"paths\":[\"src/a\",\"src/b\"]}"); break;
    case STAGE_READ: snprintf(ret, n, "{\"hash\":\"%s\",\"text\":\"%s\",\"bytes\":9}", hex, hex); break;
    case STAGE_MEASURE: snprintf(ret, n, "{\"cuts\":[5,9],\"tokens\":4}"); break;
    case STAGE_ASK:
    case STAGE_JOIN: snprintf(ret, n, "{\"text\":\"%s\",\"bytes\":9}", hex); break;
    case STAGE_LOOK:
    case STAGE_LAND: snprintf(ret, n, "{\"stamp\":\"00\"}"); break;
    default: snprintf(ret, n, "{}");
    }
}

enum err rig_finish(struct rig_run *r, const char *outcome, const char *used, const char *how)
{
    char text[1024], result[512];
    const struct open_step *o = &r->r.open[r->r.nopen - 1];
    struct step_key key = o->key;
    result_of(r->g, o->stage, result, sizeof result);
    snprintf(text, sizeof text, "{\"v\":0,\"outcome\":\"%s\",\"why\":\"\",\"used\":%s,\"how\":\"%s\",\"result\":%s,\"layer\":null,"
             "\"effects\":[]}", outcome, used, how, result);
    return rig_append(r, EVENT_STEP_FINISHED, &key, text);
}

int rig_walk(struct rig_run *r, int steps_max)
{
    struct rig *g = r->g;
    for (int n = 0; n < steps_max; n++) {
        enum err err = OK;
        WELL(store_begin(g->s, &g->e));
        if (!rig_intend(r, "{\"tokens\":100,\"calls\":1}", &err)) {
            store_rollback(g->s);
            return n;
        }
        WELL(err);
        WELL(store_commit(g->s, &g->e));
        WELL(store_begin(g->s, &g->e));
        WELL(rig_finish(r, "ok", "{\"tokens\":7,\"calls\":1}", n % 3 ? "exact" : "assumed"));
        WELL(store_commit(g->s, &g->e));
    }
    return steps_max;
}

char *rig_dump(struct rig *g)
{
    struct buf b = BUF_INIT(1 << 24);
    WELL(store_dump(g->s, &b, &g->e));
    char *copy = strdup(buf_str(&b));
    buf_release(&b);
    return copy;
}

char *rig_audit(struct rig *g)
{
    struct buf b = BUF_INIT(1 << 20);
    WELL(store_audit(g->s, &b, &g->e));
    char *copy = strdup(buf_str(&b));
    buf_release(&b);
    return copy;
}

static sqlite3 *database(const struct rig *g)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(rig_path(g, "journal.db"), &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    return db;
}

void rig_sql(const struct rig *g, const char *sql)
{
    sqlite3 *db = database(g);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

int64_t rig_count(const struct rig *g, const char *sql)
{
    sqlite3 *db = database(g);
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return n;
}
