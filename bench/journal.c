/*
 * How many durable commits a second, beside raw appends on the same disk: `bench-journal [DIR [MS]]` (DIR: where the
 * scratch folder is made, the current one unless told; MS: how long a round is, 1000 unless told).
 *
 * A commit here is what an engine in steady work does in one turn: for each run, in a savepoint, the finish of its open
 * step (settled) and the intent of its next one (reserved); chained, folded, with all projections, synced. Raw is one
 * write of as many bytes (headers, salts, payloads) to the end of a file and one fdatasync. Both in turn, five rounds;
 * the table has the medians. "cpu us" is the processor time of the journal a step (a finish and an intent), which does
 * not depend on the disk and little on what else runs on the machine.
 */
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/sys.h"
#include "store/store.h"

#undef system /* base/banned.h: a fixed command of the bench is fine */

enum { ROUNDS = 5, RUNS_MAX = 100 };

static int64_t round_ms = 1000;

struct bench {
    struct store *s;
    struct error e;
    struct lease leases[RUNS_MAX];
    struct run_state runs[RUNS_MAX];
    struct arena arenas[RUNS_MAX];
    size_t nruns;
    uint64_t bytes, commits; /* of this round */
    uint64_t events;         /* of all */
};

static _Noreturn void fail(const struct bench *b, const char *what)
{
    fprintf(stderr, "bench-journal: %s: %s\n", what, b->e.text);
    exit(1);
}

static void append(struct bench *b, size_t i, enum event_type type, const struct step_key *key, const char *payload)
{
    if (journal_append(b->s, &b->leases[i], &b->runs[i], type, key, slice_of(payload), &b->e))
        fail(b, "append");
    b->bytes += EVENT_HEADER_BYTES + EVENT_SALT_BYTES + strlen(payload);
    b->events++;
}

static void intend(struct bench *b, size_t i)
{
    struct decision d;
    char text[600];
    run_decide(&b->runs[i], INT64_MAX, &d);
    if (d.what != DECIDE_INTEND)
        fail(b, "nothing to do");
    snprintf(text, sizeof text, "{\"v\":0,\"item\":0,\"piece\":-1,\"stage\":\"%s\",\"act\":\"tool\",\"class\":\"reads\","
             "\"args\":{\"argv\":[\"make\",\"check\"],\"roots\":[\"work\",\"tmp\"],\"limits\":{\"seconds\":600}},"
             "\"amounts\":{\"tokens\":1200,\"calls\":1},\"account\":\"crannog/main/r%" PRIu64 "\",\"base_layers\":[],"
             "\"grant\":{\"v\":0},\"labels\":{\"v\":0},\"rule\":null}", stage_name(d.wants[0].stage), b->runs[i].id);
    append(b, i, EVENT_STEP_INTENDED, &(struct step_key){.step = d.wants[0].step, .attempt = d.wants[0].attempt}, text);
}

/* Cancelled steps can be intended anew for ever. */
static void finish(struct bench *b, size_t i)
{
    struct step_key key = b->runs[i].open[0].key;
    append(b, i, EVENT_STEP_FINISHED, &key, "{\"v\":0,\"outcome\":\"cancelled\",\"why\":\"\",\"used\":{\"tokens\":321,\"calls\":1},"
           "\"how\":\"exact\",\"result\":{\"text\":\"6d07f1c2a1ae2f44f3f0a5d2fd2a5f5cb1a5e07a9a2fdd6d7b3a1bd0f3a0f8e1\","
           "\"bytes\":180},\"layer\":null,\"labels\":{\"v\":0},\"effects\":[]}");
}

static void start(struct bench *b, size_t i)
{
    char text[600];
    uint64_t id;
    if (store_begin(b->s, &b->e) || store_new_run(b->s, &id, &b->e) || store_commit(b->s, &b->e) ||
        lease_take(b->s, id, &b->leases[i], &b->e) || store_begin(b->s, &b->e))
        fail(b, "a run");
    b->arenas[i] = ARENA_INIT(RUN_ARENA_BYTES * 16ull); /* a fold keeps arguments of steps; a bench has many */
    run_init(&b->runs[i], id, &b->arenas[i]);
    snprintf(text, sizeof text, "{\"v\":0,\"exec\":[\"make\"],\"plan_path\":\"\",\"work\":\"/work\",\"work_dev\":1,\"work_ino\":2,"
             "\"goal\":\"\",\"account\":\"crannog/main/r%" PRIu64 "\",\"agent\":\"main\",\"model\":\"small\","
             "\"budget\":{\"tokens\":1000000000000},\"slots\":1,\"window\":2048,\"why\":\"\"}", id);
    append(b, i, EVENT_RUN_STARTED, NULL, text);
    intend(b, i);
    if (store_commit(b->s, &b->e))
        fail(b, "commit");
}

static void turn(struct bench *b)
{
    if (store_begin(b->s, &b->e))
        fail(b, "begin");
    for (size_t i = 0; i < b->nruns; i++) {
        if (store_savepoint(b->s, &b->e))
            fail(b, "savepoint");
        finish(b, i);
        intend(b, i);
        if (store_release(b->s, &b->e))
            fail(b, "release");
    }
    if (store_commit(b->s, &b->e))
        fail(b, "commit");
    b->commits++;
}

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double round_journal(struct bench *b, double *ret_cpu_us)
{
    b->bytes = b->commits = 0;
    double cpu = cpu_us();
    int64_t began = sys->boottime_ns(), now;
    do {
        turn(b);
        now = sys->boottime_ns();
    } while (now - began < round_ms * 1000000);
    *ret_cpu_us = (cpu_us() - cpu) / (double)(b->commits * b->nruns);
    return (double)b->commits * 1e9 / (double)(now - began);
}

static double round_raw(int fd, size_t bytes)
{
    char *p = calloc(1, bytes);
    uint64_t n = 0;
    int64_t began = sys->boottime_ns(), now;
    do {
        memset(p, (int)n++, bytes);
        if (write(fd, p, bytes) != (ssize_t)bytes || fdatasync(fd) < 0) {
            perror("bench-journal: raw append");
            exit(1);
        }
        now = sys->boottime_ns();
    } while (now - began < round_ms * 1000000);
    free(p);
    return (double)n * 1e9 / (double)(now - began);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v)
{
    qsort(v, ROUNDS, sizeof *v, by_size);
    return v[ROUNDS / 2];
}

static void measure(const char *scratch, size_t nruns)
{
    struct bench *b = calloc(1, sizeof *b);
    char path[512];
    double journal[ROUNDS], raw[ROUNDS], cpu[ROUNDS];
    snprintf(path, sizeof path, "%s/runs-%zu", scratch, nruns);
    if (store_open(path, true, NULL, &b->s, &b->e))
        fail(b, "open");
    snprintf(path, sizeof path, "%s/raw-%zu", scratch, nruns);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    for (b->nruns = 0; b->nruns < nruns; b->nruns++)
        start(b, b->nruns);
    turn(b);
    size_t bytes = 0;
    for (int i = 0; i < ROUNDS; i++) {
        journal[i] = round_journal(b, &cpu[i]);
        bytes = (size_t)(b->bytes / b->commits);
        raw[i] = round_raw(fd, bytes);
    }
    double j = median(journal), r = median(raw);
    printf("%9zu %9zu %11.0f %9.0f %15.0f %7.2f %8.0f\n", nruns, bytes, j, j * (double)nruns, r, j / r, median(cpu));
    fflush(stdout);
    close(fd);
    store_close(b->s);
    for (size_t i = 0; i < nruns; i++)
        arena_release(&b->arenas[i]);
    free(b);
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

int main(int argc, char **argv)
{
    char scratch[400];
    snprintf(scratch, sizeof scratch, "%s/bench-journal-XXXXXX", argc > 1 ? argv[1] : ".");
    round_ms = argc > 2 ? strtol(argv[2], NULL, 10) : round_ms;
    if (!mkdtemp(scratch)) {
        perror(scratch);
        return 1;
    }
    printf("%9s %9s %11s %9s %15s %7s %8s\n", "runs", "bytes", "commits/s", "steps/s", "raw appends/s", "ratio", "cpu us");
    measure(scratch, 1);
    measure(scratch, RUNS_MAX);
    return nftw(scratch, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0;
}
