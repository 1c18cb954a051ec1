/*
 * crannog-sim: plays seeds. Each seed is a play (sim/play.h): sessions of the real engine until all its runs are done.
 * It is played once in peace, to count the changes that it makes; then again and again with a fault at one of them:
 *
 *     kill, power   the process or the machine dies in that change, and recovery dies too, once or twice, at random
 *     eio           from that operation on one, some or all operations fail
 *     full          the same with a full disk
 *
 * after which the play must come to its good end all the same. The invariants are checked at the start of each session
 * and once more at the end of all.
 * Crash points are numbered through all sessions of the peaceful play, so that seed, number and mode name a failure:
 *
 *     crannog-sim --seed 7 --crash 123 --mode power --trace      plays exactly that one, and tells what happens
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim/play.h"

enum { SESSIONS_MAX = 24, PEACEFUL = 3, SMALL = 60, SAMPLE = 40 };

enum mode { MODE_NONE, MODE_KILL, MODE_POWER, MODE_EIO, MODE_FULL, MODES };

static const char *const mode_names[MODES] = {"none", "kill", "power", "eio", "full"};

static const struct { const char *name; unsigned bit; } machine_bugs[] = {
    {"vfs-sync", SIM_BUG_VFS_SYNC}, {"sys-sync", SIM_BUG_SYS_SYNC}, {"folder-sync", SIM_BUG_FOLDER_SYNC}};

static struct {
    uint64_t seed, seeds, crash, points;
    double seconds;
    enum mode mode;
    unsigned bugs;
    bool one, quiet, peace;
    enum mode only;
} opt = {.seed = 1, .seeds = 10};

static struct {
    uint64_t seeds, points, sessions, crashes, turns;
    struct timespec began;
} total;

struct world {
    struct sim_world *w;
    uint64_t seed, trace;
    struct sim_snapshot *before[SESSIONS_MAX]; /* of the peaceful play */
    uint64_t changes[SESSIONS_MAX], ops[SESSIONS_MAX];
    size_t n;
};

static double elapsed(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - total.began.tv_sec) + (double)(now.tv_nsec - total.began.tv_nsec) / 1e9;
}

/* ---- a session ---- */

/* False: an invariant is violated, and violation says which. */
static bool run_session(struct world *x, uint64_t crash_at, enum mode mode, struct sim_result *ret)
{
    struct play *p = play_of(x->w);
    if (!p->narrow || p->calm || play_below(p, 4, "still narrow", p->sessions, 0, 0)) {
        p->narrow = false;
        sim_capacity(x->w, 0);
    }
    struct sim_result r = sim_run(x->w, crash_at, mode == MODE_POWER ? SIM_POWER : SIM_KILL, session, NULL);
    total.sessions++;
    total.crashes += r.how == SIM_CRASHED;
    x->trace = sim_mix(x->trace, sim_mix(r.trace, sim_mix((uint64_t)r.how, (uint64_t)r.status)));
    if (r.how == SIM_CRASHED)
        play_tell("  CRASH at change %llu (%s)", (unsigned long long)crash_at, mode_names[mode]);
    if (r.how == SIM_DIED && !*p->violation)
        snprintf(p->violation, sizeof p->violation, "I4: the engine dies of signal %d%s", r.status, r.status == 14 ? " (it hung)" : "");
    *ret = r;
    return !*p->violation;
}

/* Meddling has ended: in so many sessions all must be done, and stay so over a power cut. */
static bool good_end(struct world *x)
{
    struct play *p = play_of(x->w);
    struct sim_result r;
    p->calm = true;
    for (int i = 0; i < 12 && !(i && all_over(p)); i++) /* a poisoned step takes its three deaths */
        if (!run_session(x, 0, MODE_NONE, &r))
            return false;
    if (!all_over(p)) {
        snprintf(p->violation, sizeof p->violation, "I4: not all is done after many sessions in peace");
        return false;
    }
    sim_world_crash(x->w, SIM_POWER);
    return run_session(x, 0, MODE_NONE, &r);
}

/* ---- the peaceful play ---- */

static void put_people(struct world *x)
{
    struct play *p = play_of(x->w);
    static const char *const paths[] = {"out0/a.md", "out0/a-f0.md", "out0/b.md", "out1/a-f1.md", "out0/c-f2.md", "out1/b.md"};
    for (uint32_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct file *f = file_find(p, slice_of(paths[i]), true);
        struct stage_set t = {.w = x->w, .p = p};
        if (p->work.meddling && play_below(p, 3, "file", i, 0, 0) == 0)
            person_edits(&t, f, false);
    }
}

static struct world world_begin(uint64_t seed)
{
    struct world x = {.w = sim_world_new(seed), .seed = seed};
    if (!x.w) {
        fprintf(stderr, "crannog-sim: no memory for a world\n");
        exit(2);
    }
    struct play *p = play_of(x.w);
    p->seed = seed;
    workload_make(p);
    put_people(&x);
    sim_disk_put(x.w, "/etc/machine-id", SLICE("0123456789abcdef0123456789abcdef\n"));
    sim_disk_settle(x.w);
    sim_bugs(x.w, opt.bugs);
    return x;
}

static void world_end(struct world *x)
{
    for (size_t i = 0; i < x->n; i++)
        sim_snapshot_free(x->before[i]);
    sim_world_free(x->w);
}

static bool play_in_peace(struct world *x)
{
    struct play *p = play_of(x->w);
    struct sim_result r;
    for (int i = 0; i < PEACEFUL && !(i && all_over(p)); i++) {
        x->before[x->n] = sim_world_snapshot(x->w);
        bool fine = run_session(x, 0, MODE_NONE, &r);
        x->changes[x->n] = r.changes;
        x->ops[x->n++] = r.ops;
        if (!fine)
            return false;
    }
    return good_end(x);
}

/* ---- a fault ---- */

static uint64_t count(const struct world *x, enum mode mode)
{
    uint64_t n = 0;
    for (size_t i = 0; i < x->n; i++)
        n += mode == MODE_EIO || mode == MODE_FULL ? x->ops[i] : x->changes[i];
    return n;
}

static bool play_with_fault(struct world *x, uint64_t at, enum mode mode)
{
    static const uint64_t times[] = {1, 1, 2, 7, UINT64_MAX};
    bool fails = mode == MODE_EIO || mode == MODE_FULL;
    struct sim_rand rand;
    struct sim_result r;
    size_t i = 0;
    uint64_t k = at;
    while (i + 1 < x->n && k > (fails ? x->ops[i] : x->changes[i]))
        k -= fails ? x->ops[i] : x->changes[i], i++;
    sim_rand_init(&rand, sim_mix(x->seed, sim_mix(at, mode)), "recovery");
    sim_world_restore(x->w, x->before[i]);
    if (fails)
        sim_fail(x->w, k, times[sim_rand_below(&rand, 5)], mode == MODE_EIO ? EIO : ENOSPC);
    if (!run_session(x, fails ? 0 : k, mode, &r))
        return false;
    sim_fail(x->w, 0, 0, 0);
    if (fails && sim_rand_chance(&rand, 1, 2))
        sim_world_crash(x->w, SIM_POWER);
    for (uint64_t n = 1 + sim_rand_below(&rand, 2); n > 0; n--) {
        uint64_t most = x->changes[i] > 300 && sim_rand_chance(&rand, 1, 2) ? 100 : x->changes[i];
        if (!run_session(x, 1 + sim_rand_below(&rand, most), sim_rand_chance(&rand, 1, 2) ? MODE_KILL : MODE_POWER, &r))
            return false;
    }
    return good_end(x);
}

/* ---- what is told ---- */

static bool violated(const struct world *x, uint64_t at, enum mode mode)
{
    struct play *p = play_of(x->w);
    printf("seed %llu%s", (unsigned long long)x->seed, at ? "" : " in peace");
    if (at)
        printf(", %s %llu", mode_names[mode], (unsigned long long)at);
    printf(": %s\n  replay: crannog-sim --seed %llu", p->violation, (unsigned long long)x->seed);
    if (at)
        printf(" --crash %llu --mode %s", (unsigned long long)at, mode_names[mode]);
    for (size_t i = 0; i < sizeof machine_bugs / sizeof *machine_bugs; i++)
        if (opt.bugs & machine_bugs[i].bit)
            printf(" --bug %s", machine_bugs[i].name);
    printf(" --trace\n");
    return false;
}

static bool try_fault(struct world *x, uint64_t at, enum mode mode)
{
    bool fine = play_with_fault(x, at, mode);
    total.points++;
    total.turns += play_of(x->w)->turns;
    return fine ? true : violated(x, at, mode);
}

static bool time_is_up(void)
{
    return opt.seconds > 0 && elapsed() >= opt.seconds;
}

/* Every change of a small play, a sample of a larger one; fewer of the ways to fail, which are many. */
static bool sweep(struct world *x)
{
    struct sim_rand rand;
    sim_rand_init(&rand, x->seed, "sweep");
    for (enum mode m = MODE_KILL; m < MODES; m++) {
        uint64_t n = count(x, m), points = opt.points ? opt.points : SAMPLE;
        if (opt.only && m != opt.only)
            continue;
        if (!opt.only && (m == MODE_EIO || m == MODE_FULL))
            points = (points + 3) / 4;
        bool all = n <= SMALL || points >= n;
        for (uint64_t i = 1; i <= (all ? n : points) && !time_is_up(); i++)
            if (!try_fault(x, all ? i : 1 + sim_rand_below(&rand, n), m))
                return false;
    }
    return true;
}

/* The same seed twice is the same play, to the byte. */
static bool same_again(const struct world *x)
{
    struct world y = world_begin(x->seed);
    bool fine = play_in_peace(&y);
    fine = fine && y.trace == x->trace;
    if (!fine)
        printf("seed %llu: played twice, it is not the same play\n  replay: crannog-sim --seed %llu --seeds 1\n",
               (unsigned long long)x->seed, (unsigned long long)x->seed);
    world_end(&y);
    return fine;
}

static struct play sum; /* of the counters only */

static void add_seen(const struct play *p)
{
    const uint64_t *from = (const uint64_t *)&p->seen;
    uint64_t *to = (uint64_t *)&sum.seen;
    for (size_t i = 0; i < sizeof p->seen / sizeof *from; i++)
        to[i] += from[i];
}

static bool play_seed(uint64_t seed)
{
    struct world x = world_begin(seed);
    bool fine = play_in_peace(&x);
    total.seeds++;
    add_seen(play_of(x.w));
    if (!fine)
        violated(&x, 0, MODE_NONE);
    else if (opt.one)
        fine = !opt.crash || try_fault(&x, opt.crash, opt.mode);
    else
        fine = (seed % 8 || same_again(&x)) && (opt.peace || sweep(&x));
    world_end(&x);
    return fine;
}

static void tell_total(void)
{
    double s = elapsed();
    printf("%llu seeds, %llu crash points and faults, %llu sessions, %llu crashes in %.1f s: %.0f points a minute\n",
           (unsigned long long)total.seeds, (unsigned long long)total.points, (unsigned long long)total.sessions,
           (unsigned long long)total.crashes, s, (double)total.points * 60 / s);
#define SEEN(what) (unsigned long long)sum.seen.what
    printf("in peace alone: %llu landings, %llu conflicts, %llu edits, %llu replaced by leave, %llu lost, %llu failed, %llu cancelled, %llu poisoned, "
           "%llu blocked, %llu stopped, %llu full disks, %llu fenced, %llu plans changed (%llu refused), %llu answers, %llu large "
           "texts, %llu layers, %llu squashed, %llu taken, %llu runs done; agents: %llu answers, %llu calls, %llu words, %llu taken back, %llu made shorter\n", SEEN(landings), SEEN(conflicts), SEEN(edits), SEEN(replaced), SEEN(lost), SEEN(failed), SEEN(cancelled),
           SEEN(poisoned), SEEN(blocked), SEEN(stopped), SEEN(full), SEEN(fenced), SEEN(replans), SEEN(refused_replans),
           SEEN(answers), SEEN(large), SEEN(sealed), SEEN(squashed), SEEN(taken), SEEN(done), SEEN(thoughts),
           SEEN(calls), SEEN(said), SEEN(rewound), SEEN(compacted));
}

/* ---- the command line ---- */

static _Noreturn void usage(void)
{
    fprintf(stderr, "crannog-sim [--seed N] [--seeds N] [--seconds S] [--points N] [--crash K --mode kill|power|eio|full]\n"
                    "            [--only MODE | --peace] [--bug vfs-sync|sys-sync|folder-sync] [--trace] [--quiet]\n"
                    "  plays N seeds (10) from the first (1), or as many as fit in S seconds; exit 1 at the first violation\n"
                    "  --points N  crash points a seed and mode (40; small plays are crashed at every change)\n"
                    "  --crash K   only this one, as it was printed; --trace tells what happens, on standard error\n"
                    "  --only M    faults of this mode only; --peace: none\n"
                    "  --bug B     the machine lies: its syncs do nothing. Must be caught\n");
    exit(2);
}

static unsigned bug_of(const char *name)
{
    for (size_t i = 0; i < sizeof machine_bugs / sizeof *machine_bugs; i++)
        if (strcmp(name, machine_bugs[i].name) == 0)
            return machine_bugs[i].bit;
    usage();
}

static enum mode mode_of(const char *name)
{
    for (enum mode m = MODE_KILL; m < MODES; m++)
        if (strcmp(name, mode_names[m]) == 0)
            return m;
    usage();
}

static void read_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'}, {"seeds", required_argument, NULL, 'n'}, {"seconds", required_argument, NULL, 't'},
        {"points", required_argument, NULL, 'p'}, {"crash", required_argument, NULL, 'c'}, {"mode", required_argument, NULL, 'm'},
        {"only", required_argument, NULL, 'o'}, {"peace", no_argument, NULL, 'e'}, {"bug", required_argument, NULL, 'b'}, {"trace", no_argument, NULL, 'v'}, {"quiet", no_argument, NULL, 'q'}, {0}};
    bool seeds = false;
    opt.mode = MODE_KILL;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (o) {
        case 's': opt.seed = strtoull(optarg, NULL, 10); break;
        case 'n': opt.seeds = strtoull(optarg, NULL, 10), seeds = true; break;
        case 't': opt.seconds = strtod(optarg, NULL); break;
        case 'p': opt.points = strtoull(optarg, NULL, 10); break;
        case 'c': opt.crash = strtoull(optarg, NULL, 10), opt.one = true; break;
        case 'm': opt.mode = mode_of(optarg); break;
        case 'o': opt.only = mode_of(optarg); break;
        case 'e': opt.peace = true; break;
        case 'b': opt.bugs |= bug_of(optarg); break;
        case 'v': play_trace = true; break;
        case 'q': opt.quiet = true; break;
        default: usage();
        }
    if (optind != argc)
        usage();
    if (opt.one)
        opt.seeds = 1;
    else if (opt.seconds > 0 && !seeds) /* both: whichever ends first */
        opt.seeds = UINT64_MAX;
}

int main(int argc, char **argv)
{
    bool fine = true;
    read_options(argc, argv);
    clock_gettime(CLOCK_MONOTONIC, &total.began);
    for (uint64_t i = 0; fine && i < opt.seeds && !time_is_up(); i++)
        fine = play_seed(opt.seed + i);
    if (!opt.quiet)
        tell_total();
    return fine ? 0 : 1;
}
