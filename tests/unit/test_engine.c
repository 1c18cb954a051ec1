/*
 * engine: what cannot be prepared is a question on its line, told in the journal; the run and its neighbours go on. A word
 * of another terminal that the open question does not take is dropped: once it was journaled, its own fold refused it, and
 * since the request came back with the rollback, nobody could ever take up the run again.
 *
 * A file that we put into a layer ourselves can be found after a crash: every folder on its way was synced with its entry.
 *
 * An undo of documents names each path once: a manifest that names one twice ended crannog.
 *
 * Planted and caught: any of the five words is taken for any question; folders synced as they are made, before what lies in
 * them; a time before 1970; doubles kept.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"
#include "engine/machine.h"
#include "engine/undo.h"

#undef system /* base/banned.h: a fixed command of the test is fine */

static struct completion ready;
static bool any;
static enum err refuse_with; /* what prepare says at the first piece's landing */
static const char *request;  /* of another terminal, when the run rests; NULL: none */

static enum err prepare(struct engine *g, struct run *r, const struct want *w, struct intent *ret, struct error *e)
{
    (void)g, (void)r;
    if (w->stage == STAGE_LAND && w->piece == 0 && refuse_with)
        return error_set(e, refuse_with, "what the item writes is larger than 4 bytes");
    ret->args = json_object();
    if (w->stage == STAGE_LOOK || w->stage == STAGE_LAND)
        json_put_text(ret->args, "path", r->state.nitems > 1 ? (w->item ? SLICE("out") : SLICE("out/x.md"))
                                         : w->piece          ? SLICE("n/b.md") : SLICE("n/a.md"));
    if (w->stage == STAGE_LAND)
        json_put_text(ret->args, "base", run_line(&r->state, w->item, w->piece)->base);
    if (w->stage == STAGE_LAND)
        json_put_hash(ret->args, "content", &(struct hash){{1}});
    return OK;
}

static enum err start(struct engine *g, struct run *r, const struct open_step *o, struct error *e)
{
    (void)g, (void)r, (void)e;
    ready = (struct completion){.key = o->key, .outcome = OUTCOME_OK, .result = json_object(), .blob = BUF_INIT(64)};
    if (o->stage == STAGE_LIST) {
        struct json *paths = json_array();
        json_push(paths, json_new_text(SLICE("s/a.txt")));
        json_push(paths, json_new_text(SLICE("s/b.txt")));
        json_put(ready.result, "paths", paths);
    }
    if (o->stage == STAGE_READ || o->stage == STAGE_ASK) {
        buf_add_text(&ready.blob, "some text!");
        ready.blob_key = "text";
        json_put_int(ready.result, "bytes", 10);
        json_put_hash(ready.result, "hash", &(struct hash){{2}});
    }
    if (o->stage == STAGE_MEASURE) {
        struct json *cuts = json_array();
        json_push(cuts, json_new_int(10));
        json_put(ready.result, "cuts", cuts);
    }
    if (o->stage == STAGE_LOOK || o->stage == STAGE_LAND) {
        BUF_CLEANUP struct buf hex = BUF_INIT(2048);
        struct stamp stamp = {.type = o->stage == STAGE_LAND ? STAMP_FILE : STAMP_ABSENT, .mode = 0644, .links = 1};
        stamp_to_hex(&stamp, &hex);
        json_put_text(ready.result, "stamp", buf_slice(&hex));
        json_put_int(ready.result, "way", 0);
    }
    any = true;
    return OK;
}

static void cancel(struct engine *g, struct run *r, const struct open_step *o) { (void)g, (void)r, (void)o; }

static enum recovery recover(struct engine *g, struct run *r, const struct open_step *o, struct amounts *used, bool *exact)
{
    (void)g, (void)r, (void)o, (void)used, (void)exact;
    return RECOVER_AGAIN;
}

static size_t watch(struct engine *g, struct pollfd *fds, size_t max, int64_t *timeout_ms)
{
    (void)g, (void)fds, (void)max;
    *timeout_ms = 0;
    return 0;
}

static void collect(struct engine *g, const struct pollfd *fds, size_t n)
{
    (void)fds, (void)n;
    if (any)
        engine_complete(g, &ready);
    any = false;
}

static struct slice payload(void *ctx, uint64_t run, struct buf *out)
{
    (void)ctx, (void)run;
    buf_add_text(out, "{\"v\":0,\"plan\":\"- [ ] note: for each `s/*` as S, say\\n  writes: n/{S.stem}.md\\n\",\"plan_path\":\"P\","
                      "\"work\":\"/w\",\"goal\":\"g\",\"account\":\"crannog/main/r1\",\"agent\":\"main\",\"model\":\"m\",\"budget\":{}}");
    return buf_slice(out);
}

static void play(enum err refuse, struct run_state *ret, struct arena *a)
{
    static const struct act_row row = {prepare, start, cancel, recover};
    const struct act_table acts = {.rows = {NULL, &row, &row, &row, &row}, .watch = watch, .collect = collect};
    static struct engine g;
    struct store *s = NULL;
    struct run *r;
    struct error e = {0};
    char folder[] = "/tmp/crannog-engine-XXXXXX", command[64];
    assert_non_null(mkdtemp(folder));
    refuse_with = refuse;
    enum err err = store_open(folder, true, &(struct store_options){.no_reserve = true}, &s, &e);
    if (!err)
        err = engine_open(&g, s, &acts, &e);
    if (!err)
        err = engine_start_run(&g, payload, NULL, &r, &e);
    if (!err)
        err = engine_run(&g, &e);
    if (!err && request)
        err = request_put(s, 1, "answer", slice_of(request), &e);
    if (!err && request) {
        engine_close(&g);
        err = engine_open(&g, s, &acts, &e);
        if (!err)
            err = engine_resume_run(&g, 1, &r, &e);
    }
    if (err)
        fail_msg("%s", e.text);
    engine_close(&g);
    run_init(ret, 1, a);
    assert_int_equal(journal_fold(s, 1, ret, a, &e), OK); /* the journal alone says how it stands */
    store_close(s);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

static void test_all_is_prepared(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(RUN_ARENA_BYTES);
    struct run_state r;
    play(OK, &r, &a);
    assert_int_equal(r.status, RUN_DONE);
}

static void test_a_refused_line_asks_and_the_rest_goes_on(void **state)
{
    (void)state;
    static const enum err refusals[] = {ERR_LIMIT, ERR_CORRUPT, ERR_MISSING, ERR_VERSION};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        ARENA_CLEANUP struct arena a = ARENA_INIT(RUN_ARENA_BYTES);
        struct run_state r;
        play(refusals[i], &r, &a);
        const struct line *l = run_line_const(&r, 0, 0);
        assert_int_equal(r.status, RUN_WAITING);
        assert_int_equal(l->stage, STAGE_STUCK);
        assert_string_equal(l->why, "what the item writes is larger than 4 bytes");
        assert_int_equal(run_line_const(&r, 0, 1)->stage, STAGE_DONE);
        assert_int_equal(r.nopen, 0);
    }
}

static void test_a_word_that_the_question_does_not_take_is_dropped(void **state)
{
    (void)state;
    static const char *const words[] = {"apply", "replace", "keep", "", "yes"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        ARENA_CLEANUP struct arena a = ARENA_INIT(RUN_ARENA_BYTES);
        struct run_state r;
        char text[100];
        play(ERR_LIMIT, &r, &a);
        uint32_t question = run_line_const(&r, 0, 0)->question_step;
        snprintf(text, sizeof text, "{\"v\":0,\"question\":%u,\"answer\":\"%s\"}", question, words[i]);
        request = text;
        play(ERR_LIMIT, &r, &a);
        request = NULL;
        const struct line *l = run_line_const(&r, 0, 0);
        assert_true(r.status == RUN_WAITING && l->stage == STAGE_STUCK && l->question_step == question);
    }
}

static struct slice two_documents(void *ctx, uint64_t run, struct buf *out)
{
    (void)run;
    buf_addf(out, "{\"v\":0,\"plan\":\"- [ ] a: say\\n  writes: out/x.md\\n- [ ] b: say\\n  writes: out\\n\",\"plan_path\":\"P\",\"work\":\"%s\","
             "\"goal\":\"g\",\"account\":\"crannog/main/r1\",\"agent\":\"main\",\"model\":\"m\",\"budget\":{}}", (const char *)ctx);
    return buf_slice(out);
}

/* A person moved the first document away with its folder, and the second has the folder's path. */
static void test_an_undo_names_each_path_once(void **state)
{
    (void)state;
    static const struct act_row row = {prepare, start, cancel, recover};
    static struct engine g;
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    JSON_CLEANUP struct json *list = NULL;
    BUF_CLEANUP struct buf bytes = BUF_INIT(MANIFEST_BYTES_MAX);
    struct manifest m;
    struct hash h;
    struct store *s = NULL;
    struct run *r;
    struct error e = {0};
    char folder[] = "/tmp/crannog-engine-XXXXXX", command[64];
    assert_non_null(mkdtemp(folder));
    struct machine machine = {.state = folder, .layers = -1};
    const struct act_table acts = {.rows = {NULL, &row, &row, &row, &row}, .ctx = &machine, .watch = watch, .collect = collect};
    refuse_with = OK;
    assert_int_equal(store_open(folder, true, &(struct store_options){.no_reserve = true}, &s, &e), OK);
    assert_int_equal(engine_open(&g, s, &acts, &e), OK);
    assert_int_equal(engine_start_run(&g, two_documents, folder, &r, &e), OK);
    assert_int_equal(engine_run(&g, &e), OK);
    assert_int_equal(r->state.status, RUN_DONE);
    if (undo_layers(&g, &r->state, 0, 2, &list, &e))
        fail_msg("%s", e.text);
    assert_true(json_count(list) == 1 && hash_from_hex(json_text(json_get(json_at(list, 0), "manifest")), &h));
    assert_int_equal(blob_get(s, &h, &bytes, &e), OK);
    assert_int_equal(manifest_decode(buf_slice(&bytes), &a, &m, &e), OK);
    assert_true(m.n == 2 && m.v[0].before.type == STAMP_FILE && m.v[1].before.type == STAMP_FILE);
    engine_close(&g);
    close(machine.layers);
    store_close(s);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

static int synced; /* entries of folders that were there when these were synced last */
static ino_t folders[8];
static int entries[8];

static int sync_and_look(int fd)
{
    struct stat st;
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY), n = 0, i = 0;
    DIR *d = own < 0 ? NULL : fdopendir(own);
    if (!d)
        return sys_real.fsync(fd);
    assert_int_equal(fstat(fd, &st), 0);
    for (struct dirent *f; (f = readdir(d));)
        n += f->d_name[0] != '.';
    closedir(d);
    while (i < 8 && folders[i] && folders[i] != st.st_ino)
        i++;
    assert_true(i < 8);
    folders[i] = st.st_ino;
    synced += n - entries[i];
    entries[i] = n;
    return sys_real.fsync(fd);
}

static void test_a_file_in_a_layer_is_durable_with_its_way(void **state)
{
    (void)state;
    char folder[] = "/tmp/crannog-engine-XXXXXX", command[64];
    const struct place p = {.uid = getuid(), .gid = getgid()};
    struct stamp stamp;
    struct error e = {0};
    struct sys hooked = sys_real;
    assert_non_null(mkdtemp(folder));
    int up = open(folder, O_RDONLY | O_DIRECTORY);
    hooked.fsync = sync_and_look;
    sys = &hooked;
    enum err err = layer_put_file(up, SLICE("a/b/c"), SLICE("text"), &p, 0644, 0, &stamp, &e);
    if (!err)
        err = layer_put_file(up, SLICE("a/d"), SLICE("more"), &p, 0644, -1, &stamp, &e);
    sys = &sys_real;
    close(up);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
    if (err)
        fail_msg("%s", e.text);
    assert_int_equal(synced, 4); /* a, b, c, d */
    assert_int_equal(stamp.mtime_ns, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_prepared),
        cmocka_unit_test(test_a_refused_line_asks_and_the_rest_goes_on),
        cmocka_unit_test(test_a_word_that_the_question_does_not_take_is_dropped),
        cmocka_unit_test(test_a_file_in_a_layer_is_durable_with_its_way),
        cmocka_unit_test(test_an_undo_names_each_path_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
