/*
 * Own time per durable step: the real engine and store on a real disk, with acts that end at once. What is left is what
 * crannog itself adds to a step: decide, prepare, one commit, fold.
 *
 * usage: bench-turn FOLDER [PIECES]     prints: steps, wall us a step, CPU us a step, commits a step
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/sys.h"
#include "engine/engine.h"
#include "text/json.h"

static char plan[] = "- [ ] note: for each `s/*` as SRC, say what it is\n"
                     "      writes: n/{SRC.stem}.md\n      verify: test -s n/{SRC.stem}.md\n";
static const int text_bytes = 25; /* of each document and answer */
static unsigned pieces = 100, steps;
static struct completion ready;
static bool any;

static enum err prepare(struct engine *g, struct run *r, const struct want *w, struct intent *ret, struct error *e)
{
    (void)g, (void)r, (void)e;
    ret->args = json_object();
    if (w->stage == STAGE_LOOK || w->stage == STAGE_LAND)
        json_put_text(ret->args, "path", SLICE("n/x.md"));
    if (w->stage == STAGE_LAND)
        json_put_text(ret->args, "content", SLICE("0000000000000000000000000000000000000000000000000000000000000001"));
    ret->worst.n[UNIT_CPU_NS] = 1000000;
    if (w->act == ACT_MODEL)
        ret->worst.n[UNIT_TOKENS] = 1000;
    return OK;
}

static enum err start(struct engine *g, struct run *r, const struct open_step *o, struct error *e)
{
    (void)g, (void)r, (void)e;
    ready = (struct completion){.key = o->key, .outcome = OUTCOME_OK, .result = json_object(), .blob = BUF_INIT(4096),
                                .used = {.n = {[UNIT_CPU_NS] = 1000}}};
    steps++;
    if (o->stage == STAGE_LIST) {
        struct json *paths = json_array();
        for (unsigned i = 0; i < pieces; i++) {
            char name[32];
            snprintf(name, sizeof name, "s/%05u.txt", i);
            json_push(paths, json_new_text(slice_of(name)));
        }
        json_put(ready.result, "paths", paths);
    }
    if (o->stage == STAGE_READ || o->stage == STAGE_ASK) {
        buf_addf(&ready.blob, "the text of step %08u", o->key.step);
        ready.blob_key = "text";
        json_put_int(ready.result, "bytes", (int64_t)ready.blob.n);
        json_put_text(ready.result, "hash", SLICE("0000000000000000000000000000000000000000000000000000000000000002"));
    }
    if (o->stage == STAGE_MEASURE) {
        struct json *cuts = json_array();
        json_push(cuts, json_new_int(text_bytes));
        json_put(ready.result, "cuts", cuts);
    }
    if (o->stage == STAGE_LOOK)
        json_put_text(ready.result, "stamp", SLICE("00"));
    any = true;
    return OK;
}

static void cancel(struct engine *g, struct run *r, const struct open_step *o) { (void)g, (void)r, (void)o; }

static enum recovery recover(struct engine *g, struct run *r, const struct open_step *o, struct amounts *u, bool *x)
{
    (void)g, (void)r, (void)o, (void)u, (void)x;
    return RECOVER_AGAIN;
}

static size_t watch(struct engine *g, struct pollfd *fds, size_t max, int64_t *timeout_ms)
{
    (void)g, (void)fds, (void)max;
    if (any)
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
    JSON_CLEANUP struct json *p = json_object();
    char account[40];
    (void)ctx;
    snprintf(account, sizeof account, "crannog/main/r%llu", (unsigned long long)run);
    json_put_text(p, "plan", slice_of(plan));
    static const char *const empty[] = {"plan_path", "work", "goal", "agent", "model"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        json_put_text(p, empty[i], SLICE("x"));
    json_put_text(p, "account", slice_of(account));
    json_put(p, "budget", json_object());
    json_print(p, out);
    return buf_slice(out);
}

static double cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

int main(int argc, char **argv)
{
    static const struct act_row row = {prepare, start, cancel, recover};
    struct act_table acts = {.rows = {NULL, &row, &row, &row, &row}, .watch = watch, .collect = collect};
    struct store *s = NULL;
    static struct engine g;
    struct run *r;
    struct error e = {0};
    if (argc < 2)
        return 2;
    pieces = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : pieces;
    enum err err = sys_mkdirs(argv[1], 0700, &e);
    if (!err)
        err = store_open(argv[1], true, &(struct store_options){.no_reserve = true}, &s, &e);
    if (!err)
        err = engine_open(&g, s, &acts, &e);
    if (!err)
        err = engine_start_run(&g, payload, NULL, &r, &e);
    int64_t from = sys->boottime_ns();
    double cpu = cpu_us();
    if (!err)
        err = engine_run(&g, &e);
    if (err || r->state.status != RUN_DONE) {
        fprintf(stderr, "bench-turn: %s %s\n", e.text, err ? "" : r->state.why);
        return 1;
    }
    double wall = (double)(sys->boottime_ns() - from) / 1e3;
    printf("%u steps: %.0f us a step, of it %.0f us CPU\n", steps, wall / steps, (cpu_us() - cpu) / steps);
    engine_close(&g);
    store_close(s);
    return 0;
}
