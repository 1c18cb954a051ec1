/*
 * Landing under crashes, faults and people (L1, L3, L6). A script of events is played at chosen system calls of a
 * landing: SIGKILL, a failing call, and what a person does (saves in place, saves by rename, deletes, holds the file
 * open and writes later). After any script, and after landing again until it answers:
 *
 *   R1  what the person saved last is in a visible file; one that is not the target is named in the conflict's text
 *   R2  nothing of ours is left over
 *   R3  without a person it is done, and the target is the new file
 *   R4  at every crash the target is the old file, the new one or a person's, and absent only if it may be
 *   R5  asked again, it answers the same; done means that nothing had to be kept
 *   R6  a conflict leaves no new file at the target
 *
 * Bugs planted in landing.c, one at a time, and what caught them (each failed at least the tests named):
 *   a plain rename instead of the exchange                              sweep_person, random, concurrent
 *   what came out is dropped without a look                             sweep_person_and_kill, random
 *   one name for both temporaries (part written under the slot's name)  sweep_person_and_kill, random
 *   no exchange back, the foreign file stays in the slot                sweep_person, random, concurrent
 *   no lease taken                                                      held_open, random
 *   the slot is dropped when target is neither new nor base             sweep_kill, random
 */
#include "landing_world.h"
#include "landing_script.h"

/* ---- texts: such as are the beginning of one another, empty, or the same as ours ---- */

static const char *const TEXTS[] = {"", "one\n", "one\ntwo\n", "one\ntwo\nthree\n", "other\n", "onE\n"};
enum { NTEXTS = sizeof TEXTS / sizeof *TEXTS, ABSENT = -1 };

/* ---- the person ---- */

struct person { /* shared with the children that are killed */
    int last;   /* what they saved last, index into TEXTS; ABSENT: they deleted it */
    bool acted, deleted, wrote[NTEXTS];
};
static struct person *person;

/* `text`: an index into TEXTS. */
static void person_does(enum kind kind, int text)
{
    struct slice s = slice_of(TEXTS[text]);
    int fd;
    switch (kind) {
    case SAVE: /* O_NONBLOCK: in this process it would wait for our own lease; another one's save just comes later */
        fd = openat(world, "a.md", O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, 0644);
        if (fd < 0)
            return;
        assert_int_equal(write(fd, s.p, s.n), (ssize_t)s.n);
        close(fd);
        break;
    case REPLACE:
        put_by_rename("a.md", s);
        break;
    case DELETE:
        if (unlinkat(world, "a.md", 0) < 0)
            return;
        person->deleted = true;
        person->last = ABSENT;
        person->acted = true;
        return;
    case HOLD:
        if (held < 0)
            held = openat(world, "a.md", O_WRONLY | O_NONBLOCK);
        return;
    case WRITE_HELD:
        if (held < 0 || ftruncate(held, 0) < 0)
            return;
        assert_int_equal(pwrite(held, s.p, s.n, 0), (ssize_t)s.n);
        break;
    default:
        return;
    }
    person->wrote[text] = person->acted = true;
    person->last = text;
}

/* ---- what was synced, renamed and removed, in order: f a file, F a folder, r, u ---- */

static int hook_fsync(int fd)
{
    struct stat st;
    note(fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? 'F' : 'f');
    return at_call() ? -1 : no_sync(fd);
}
static int hook_unlinkat(int d, const char *p, int f)
{
    note('u');
    return at_call() ? -1 : unlinkat(d, p, f);
}
static int hook_renameat2(int a, const char *o, int b, const char *n, unsigned f)
{
    note('r');
    return at_call() ? -1 : renameat2(a, o, b, n, f);
}

/* ---- one landing: base and new text, played as often as it takes ---- */

static int base_text, new_text;
static struct stamp base;
static enum landing_result result;
static struct stamp now;
static struct error why;

static enum err land_once(void)
{
    why = (struct error){0};
    return landing_file(world, SLICE("a.md"), &base, slice_of(TEXTS[new_text]), SLICE("r.b.1"), 0644, &result, &now, &why);
}

static void begin(int old, int new)
{
    world_empty(world);
    base_text = old;
    new_text = new;
    if (old != ABSENT)
        put("a.md", slice_of(TEXTS[old]));
    base = look("a.md");
    *person = (struct person){.last = ABSENT};
    nscript = 0;
}

/* Plays the script once. False if it was killed. */
static bool land(void)
{
    enum err err;
    return attempt(land_once, &err);
}

static void check_r4(void)
{
    struct stat st;
    if (fstatat(world, "a.md", &st, AT_SYMLINK_NOFOLLOW) < 0) {
        assert_true(base_text == ABSENT || person->deleted);
        return;
    }
    bool ok = false;
    for (int i = 0; i < NTEXTS; i++)
        ok |= (i == base_text || i == new_text || person->wrote[i]) && holds("a.md", slice_of(TEXTS[i]));
    assert_true(ok);
}

/* Lands again until it answers, and checks what must hold then. */
static void finish(void)
{
    check_r4();
    nscript = 0;
    enum err err = ERR_BUSY;
    for (int i = 0; err == ERR_BUSY && i < 3; i++)
        err = land_once();
    if (err)
        fail_msg("landing again: %s", why.text);
    enum landing_result first = result;
    struct error text = why;
    assert_int_equal(land_once(), OK);
    assert_int_equal(result, first); /* R5 */
    assert_true(first != LANDING_DONE || count("a.md.kept") == 0);
    assert_string_equal(why.text, text.text);
    check_r4();
    assert_int_equal(count(".crannog-"), 0); /* R2 */
    if (!person->acted) {                    /* R3 */
        assert_int_equal(result, LANDING_DONE);
        assert_true(holds("a.md", slice_of(TEXTS[new_text])));
        assert_int_equal(count(NULL), 1);
    }
    if (result == LANDING_CONFLICT) /* R6 */
        assert_true(person->wrote[new_text] || !holds("a.md", slice_of(TEXTS[new_text])));
    if (person->last == ABSENT)
        return;
    char name[256]; /* R1 */
    struct slice saved = slice_of(TEXTS[person->last]);
    if (holds("a.md", saved))
        return;
    assert_true(find_text(saved, name));
    assert_int_equal(result, LANDING_CONFLICT);
    assert_non_null(strstr(why.text, "a.md.kept-"));
}

/* Pairs of places are too many for every day: one in `few`, a different one at each first place, or all of them. */
static unsigned stride(unsigned few)
{
    return getenv("CRANNOG_THOROUGH") ? 1 : few;
}

/* Under sanitisers, where each kill costs a large process, one place in three; which ones differs from pair to pair. */
static unsigned coarse(void)
{
    return getenv("CRANNOG_QUICK") ? 3 : 1;
}

/* How many calls a landing without events takes; the script's places are below that. */
static unsigned length(int old, int new)
{
    begin(old, new);
    assert_true(land());
    assert_int_equal(result, LANDING_DONE);
    return calls;
}

static const int PAIRS[][2] = {{ABSENT, 2}, {1, 2}, {2, 1}, {4, 2}, {0, 1}, {1, 0}};
enum { NPAIRS = sizeof PAIRS / sizeof *PAIRS };

/* ---- the tests ---- */

/* L4: the bytes are on disk before they have the slot's name, the folder before the base is dropped and before it is
   said to be done. A killed process cannot show this, a power cut would. */
static void test_order_of_syncs(void **state)
{
    (void)state;
    memset(order, 0, sizeof order);
    length(1, 2);
    assert_string_equal(order, "frrFuF");
    memset(order, 0, sizeof order);
    length(ABSENT, 2);
    assert_string_equal(order, "frrF");
    memset(order, 0, sizeof order);
    begin(ABSENT, 1);
    sys = &hooked; /* folders that are made are synced from the top, also those that an attempt before has made */
    struct stamp none = {0};
    for (int i = 0; i < 2; i++)
        assert_int_equal(landing_file(world, SLICE("d/e/f"), &none, SLICE("x"), SLICE("n"), 0644, &result, &now, &why), OK);
    sys = &quick;
    assert_string_equal(order, "FFfrrFFFF");
}

/* Every call fails once, with errors that a disk gives; landing again converges. */
static void test_every_fault(void **state)
{
    (void)state;
    const int errors[] = {EIO, ENOSPC, ENOMEM, EINTR};
    for (size_t p = 0; p < NPAIRS; p++)
        for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
            for (unsigned n = 1;; n++) {
                begin(PAIRS[p][0], PAIRS[p][1]);
                sys_fail_nth(n, errors[i], SYS_FAULT_FILE | SYS_FAULT_MEMORY);
                enum err err = land_once();
                bool reached = sys_calls() >= n;
                sys_fail_nth(0, 0, 0);
                sys = &quick;
                assert_true(err || result == LANDING_DONE);
                assert_true(!err || why.text[0]);
                finish();
                if (!reached) {
                    assert_in_range(n, 15, 200);
                    break;
                }
            }
}

/* Killed at every call, nobody else there: old or new, and done in the end; killed again while it is taken up. */
static void test_sweep_kill(void **state)
{
    (void)state;
    for (size_t p = 0; p < NPAIRS; p++) {
        unsigned n = length(PAIRS[p][0], PAIRS[p][1]);
        for (unsigned at = 1 + (unsigned)p % coarse(); at <= n; at += coarse())
            for (unsigned again = 1 + at % stride(8); again < n; again += stride(8)) {
                begin(PAIRS[p][0], PAIRS[p][1]);
                add(at, KILL, 0);
                assert_false(land());
                check_r4();
                nscript = 0;
                add(again, KILL, 0);
                (void)land();
                finish();
            }
    }
}

/* Killed at every call, then a person does something, then it is taken up. */
static void test_sweep_kill_then_person(void **state)
{
    (void)state;
    for (size_t p = 0; p < NPAIRS; p++) {
        unsigned n = length(PAIRS[p][0], PAIRS[p][1]);
        for (unsigned at = 1 + (unsigned)p % coarse(); at <= n; at += coarse())
            for (int kind = SAVE; kind <= DELETE; kind++)
                for (int text = 0; text < (kind == DELETE ? 1 : NTEXTS); text++) {
                    begin(PAIRS[p][0], PAIRS[p][1]);
                    add(at, KILL, 0);
                    assert_false(land());
                    person_does((enum kind)kind, text);
                    finish();
                }
    }
}

/* A person does something between any two calls of a landing that lives. */
static void test_sweep_person(void **state)
{
    (void)state;
    for (size_t p = 0; p < NPAIRS; p++) {
        unsigned n = length(PAIRS[p][0], PAIRS[p][1]);
        for (unsigned at = 1 + (unsigned)p % coarse(); at <= n; at += coarse())
            for (int kind = SAVE; kind <= DELETE; kind++)
                for (int text = 0; text < (kind == DELETE ? 1 : NTEXTS); text++) {
                    begin(PAIRS[p][0], PAIRS[p][1]);
                    add(at, (enum kind)kind, text);
                    assert_true(land());
                    finish();
                }
    }
}

/* The same and then killed, at every pair of places: a person's file in the slot when we die. */
static void test_sweep_person_and_kill(void **state)
{
    (void)state;
    unsigned n = length(1, 3);
    for (unsigned at = 1; at <= n; at += coarse())
        for (unsigned die = at + at % stride(3); die <= n + 12; die += stride(3))
            for (int kind = SAVE; kind <= DELETE; kind++) {
                begin(1, 3);
                add(at, (enum kind)kind, (at + die) / 3 % 2 ? 2 : 4); /* 2: a beginning of the new text */
                add(die, KILL, 0);
                (void)land();
                if ((at + die / 3) % 3 == 0) /* and once more before it is taken up */
                    person_does(REPLACE, 5);
                finish();
            }
}

/* The old text is not lost either where a person changed the new file before it was taken up. */
static void test_the_base_is_kept_in_a_conflict(void **state)
{
    (void)state;
    unsigned n = length(1, 4), kept = 0;
    for (unsigned at = 1; at <= n; at++) {
        begin(1, 4);
        add(at, KILL, 0);
        assert_false(land());
        bool exchanged = holds("a.md", slice_of(TEXTS[4])) && count(".crannog-") == 1;
        person_does(SAVE, 5);
        finish();
        if (exchanged) {
            char name[256];
            assert_true(find_text(slice_of(TEXTS[1]), name));
            assert_non_null(strstr(why.text, name));
            kept++;
        }
    }
    assert_in_range(kept, 1, n);
}

/* An editor has the file open at any moment of the landing and writes into it at any later one. */
static void test_held_open(void **state)
{
    (void)state;
    unsigned n = length(1, 2);
    int probe = openat(world, "a.md", O_RDWR);
    bool leases = fcntl(probe, F_SETLEASE, F_RDLCK) < 0 && errno == EAGAIN;
    close(probe);
    if (!leases)
        skip(); /* a file system without leases: said in landing.c */
    for (unsigned at = 1; at <= n; at++)
        for (unsigned later = at + 1; later <= n + 12; later++) {
            begin(1, 2);
            add(at, HOLD, 0);
            add(later, WRITE_HELD, later % 2 ? 4 : 1);
            assert_true(land());
            finish();
        }
}

/* Half of the events near the exchange, which is the 34th call of a landing over a file. */
static unsigned place(void)
{
    return roll(2) ? 1 + roll(75) : 28 + roll(14);
}

static enum kind random_act(void)
{
    return (enum kind)(SAVE + roll(3));
}

static void add_random(enum kind kind, int value)
{
    unsigned at = place();
    add(at, kind, value);
}

static void random_round(void)
{
    int old = (int)roll(NTEXTS + 1) - 1; /* one roll a statement: a round is the same whatever the compiler */
    begin(old, (int)roll(NTEXTS));
    bool holds_open = roll(4) == 0;
    for (unsigned attempts = roll(4); attempts; attempts--) {
        nscript = 0;
        if (holds_open) {
            unsigned at = place(), later = at + 1;
            later += roll(30);
            add(at, HOLD, 0);
            add(later, WRITE_HELD, (int)roll(NTEXTS));
        }
        for (unsigned k = holds_open ? 0 : roll(4); k; k--) {
            enum kind kind = random_act();
            add_random(kind, (int)roll(NTEXTS));
        }
        if (roll(3) == 0)
            add_random(FAIL, roll(2) ? EIO : ENOSPC);
        if (roll(2))
            add_random(KILL, 0);
        (void)land();
        check_r4();
        if (!holds_open && roll(3) == 0) {
            enum kind kind = random_act();
            person_does(kind, (int)roll(NTEXTS));
        }
    }
    finish();
}

static void test_random(void **state)
{
    (void)state;
    play_rounds(1000, random_round);
}

/* A real process that saves at a random moment, once a round, while we land: what it saved is never lost. */
static void concurrent_round(int i)
{
    char saved[32], name[256];
    snprintf(saved, sizeof saved, "saved %d\n", i);
    begin(1, 2);
    pid_t pid = fork();
    if (pid == 0) {
        struct timespec wait = {.tv_nsec = roll(600000)};
        nanosleep(&wait, NULL);
        if (i % 2) {
            put_by_rename("a.md", slice_of(saved));
            _exit(0);
        }
        int fd = openat(world, "a.md", O_WRONLY | O_TRUNC);
        if (fd >= 0 && i % 4 == 0)
            usleep(roll(200));
        bool ok = fd >= 0 && write(fd, saved, strlen(saved)) == (ssize_t)strlen(saved);
        _exit(ok ? 0 : 1);
    }
    enum err err = land_once();
    (void)roll(2);
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    for (int tries = 0; tries < 3 && (err == ERR_BUSY || tries == 0); tries++)
        err = land_once();
    assert_int_equal(err, OK);
    assert_int_equal(result, LANDING_CONFLICT);
    if (!find_text(slice_of(saved), name))
        fail_msg("round %d: what was saved is gone", i);
    assert_true(!strcmp(name, "a.md") || strstr(why.text, name));
    assert_int_equal(count(".crannog-"), 0);
}

static void test_concurrent(void **state)
{
    (void)state;
    const char *many = getenv("CRANNOG_ROUNDS");
    int rounds = many ? atoi(many) : 200;
    seed = (uint64_t)time(NULL) | 1;
    sys = &sys_real;
    for (int i = 0; i < rounds; i++)
        concurrent_round(i);
}

static int teardown(void **state)
{
    tell_playing();
    return world_remove(state);
}

static int setup(void **state)
{
    person = mmap(NULL, sizeof *person, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    hook_common();
    hooked.fsync = hook_fsync;
    hooked.unlinkat = hook_unlinkat;
    hooked.renameat2 = hook_renameat2;
    sys = &quick;
    return person == MAP_FAILED ? -1 : world_make(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_syncs),
        cmocka_unit_test(test_every_fault),
        cmocka_unit_test(test_sweep_kill),
        cmocka_unit_test(test_sweep_kill_then_person),
        cmocka_unit_test(test_sweep_person),
        cmocka_unit_test(test_sweep_person_and_kill),
        cmocka_unit_test(test_the_base_is_kept_in_a_conflict),
        cmocka_unit_test(test_held_open),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_concurrent),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
