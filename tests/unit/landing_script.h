/*
 * Scripts of events for the tests of landings under crashes: at chosen system calls of what is played it is killed, a call
 * fails, or a person does something (what that is, the test says: person_does). Calls that matter are noted in `order`.
 */
#ifndef CRANNOG_TESTS_LANDING_SCRIPT_H
#define CRANNOG_TESTS_LANDING_SCRIPT_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"

/* HOLD: open for writing. LINK and GIT (a commit) are known to sets only. */
enum kind { KILL = 1, FAIL, SAVE, REPLACE, DELETE, LINK, HOLD, WRITE_HELD, GIT };

struct event {
    unsigned at; /* the number of the system call before which it happens */
    enum kind kind;
    int value; /* errno, or whatever person_does() makes of it */
};

static struct event script[8];
static size_t nscript;
static unsigned calls;
static int held = -1; /* what the person holds open */

static void person_does(enum kind kind, int value);

static void add(unsigned at, enum kind kind, int value)
{
    assert_true(nscript < sizeof script / sizeof *script);
    script[nscript++] = (struct event){at, kind, value};
}

/* ---- the table of calls, each counted; and the order of those that matter ---- */

static struct sys hooked, quick; /* quick: nothing is counted, nothing synced */
static char order[512];

static void note(char what)
{
    size_t n = strlen(order);
    if (n + 1 < sizeof order)
        order[n] = what;
}

/* True if this call must fail. */
static bool at_call(void)
{
    calls++;
    for (size_t i = 0; i < nscript; i++) {
        if (script[i].at != calls)
            continue;
        if (script[i].kind == KILL)
            kill(getpid(), SIGKILL);
        if (script[i].kind == FAIL) {
            errno = script[i].value;
            return true;
        }
        person_does(script[i].kind, script[i].value);
    }
    return false;
}

/* Counted, not done: a killed process takes nothing from the page cache with it, and a disk would need minutes. */
static int no_sync(int fd)
{
    return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
}

#define HOOK(ret, name, params, args)                   \
    static ret hook_##name params                       \
    {                                                   \
        return at_call() ? -1 : sys_real.name args;     \
    }
HOOK(int, openat, (int d, const char *p, int f, mode_t m), (d, p, f, m))
HOOK(int, openat2, (int d, const char *p, int f, mode_t m, uint64_t r), (d, p, f, m, r))
HOOK(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n))
HOOK(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))
HOOK(int, fchmod, (int fd, mode_t m), (fd, m))
HOOK(int, fchown, (int fd, uid_t u, gid_t g), (fd, u, g))
HOOK(int, fstatat, (int d, const char *p, struct stat *s, int f), (d, p, s, f))
HOOK(int, mkdirat, (int d, const char *p, mode_t m), (d, p, m))

/* The hooks above; the test adds those of its own. */
static void hook_common(void)
{
    hooked = quick = sys_real;
    quick.fsync = quick.syncfs = no_sync;
    hooked.openat = hook_openat;
    hooked.openat2 = hook_openat2;
    hooked.read = hook_read;
    hooked.write = hook_write;
    hooked.fchmod = hook_fchmod;
    hooked.fchown = hook_fchown;
    hooked.fstatat = hook_fstatat;
    hooked.mkdirat = hook_mkdirat;
}

/* ---- playing ---- */

/* Plays the script once, in a child if it ends there. False if it was killed. *ret: what `once` answered; in a child it is lost. */
static bool attempt(enum err (*once)(void), enum err *ret)
{
    bool kills = false;
    for (size_t i = 0; i < nscript; i++)
        kills |= script[i].kind == KILL;
    calls = 0;
    pid_t pid = kills ? fork() : 0;
    if (pid == 0) {
        sys = &hooked;
        enum err err = once();
        sys = &quick;
        if (held >= 0)
            close(held);
        held = -1;
        if (kills)
            _exit(err ? 1 : 0);
        *ret = err;
        return true;
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status);
}

/* ---- random scripts ---- */

static uint64_t seed, playing; /* playing: the round that failed, if one did */

static unsigned roll(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed >> 16) % n);
}

/* Plays rounds from seeds of their own; CRANNOG_SEED and CRANNOG_ROUNDS say which and how many. */
static void play_rounds(int usual, void (*play)(void))
{
    const char *asked = getenv("CRANNOG_SEED"), *many = getenv("CRANNOG_ROUNDS");
    uint64_t first = asked ? strtoull(asked, NULL, 10) : (uint64_t)time(NULL) * 1000003;
    int rounds = many ? atoi(many) : usual;
    print_message("seed %llu, %d rounds\n", (unsigned long long)first, rounds);
    for (int i = 0; i < rounds; i++) {
        playing = first + (uint64_t)i;
        seed = playing * 0x9e3779b97f4a7c15u + 1;
        play();
    }
    playing = 0;
}

/* For the end of a test: how to play again what failed. */
static void tell_playing(void)
{
    if (playing)
        print_message("play it again: CRANNOG_SEED=%llu CRANNOG_ROUNDS=1\n", (unsigned long long)playing);
}

#endif
