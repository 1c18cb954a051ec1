/*
 * Which wall a command met: limits are certain by how it ended; all else is taken from the end of what it printed, said as perhaps,
 * bounded, and only where the command failed. A place that keeps secrets is never proposed.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tools/denial.h"

static const struct setting setting = {.guard = {.home = SLICE_INIT("/home/me")}, .home = SLICE_INIT("/home/me"), .path = {SLICE_INIT("/opt/tool/bin")}, .hidden = {true}, .npath = 1};
static const struct place place = {.work = "/home/me/work", .setting = &setting};

static void expect(enum jail_how how, uint64_t status, const char *out, const char *wall, const char *words)
{
    struct jail_result r = {.how = how, .status = status};
    struct denials d;
    denial_find(&r, slice_of(out), &place, &d);
    assert_int_equal(d.n, wall != NULL);
    if (wall) {
        assert_string_equal(d.walls[0], wall);
        assert_non_null(strstr(buf_str(&d.words), words));
    }
    buf_release(&d.words);
}

static void test_limits(void **state)
{
    (void)state;
    expect(JAIL_TIMEOUT, 9, "", "time", "it reached the limit time; more is allowed by --limit time=");
    expect(JAIL_CPU, 9, "", "cpu", "--limit cpu=");
    expect(JAIL_SIGNALLED, SIGXCPU, "", "cpu", "--limit cpu=");
    expect(JAIL_EXITED, 128 + SIGXFSZ, "", "file-size", "--limit file-size=");
    expect(JAIL_DISK, 9, "", "disk", "--limit disk=");
    expect(JAIL_ENTRIES, 9, "", "files", "--limit files=");
    expect(JAIL_MEMORY, 9, "", "memory", "--limit memory=");
}

static void test_signs(void **state)
{
    (void)state;
    expect(JAIL_EXITED, 1, "FATAL: No usable sandbox! Update your kernel\n", "browser", "--browser");
    expect(JAIL_EXITED, 6, "curl: (6) Could not resolve host: example.org\n", "network", "perhaps the network");
    expect(JAIL_EXITED, 1, "touch: cannot touch '/usr/x': Read-only file system\n", "read-only", "/home/me/work");
    expect(JAIL_EXITED, 1, "sh: 1: Cannot fork\n", "processes", "--limit processes=");
    expect(JAIL_EXITED, 1, "cat: /opt/data/x/y: No such file or directory\n", "not shown", "--show /opt/data,");
    expect(JAIL_EXITED, 127, "", "not shown", "/opt/tool/bin");
    /* what it got over, or has nothing to do with the jail */
    expect(JAIL_EXITED, 0, "curl: (6) Could not resolve host: example.org\n", NULL, NULL);
    expect(JAIL_EXITED, 1, "assertion failed\n", NULL, NULL);
    expect(JAIL_EXITED, 1, "cat: /home/me/work/x: No such file or directory\n", NULL, NULL);
    expect(JAIL_EXITED, 1, "cat: /usr/share/x: No such file or directory\n", NULL, NULL);
    /* where secrets are kept */
    expect(JAIL_EXITED, 1, "cat: /home/me/.ssh/id_rsa: No such file or directory\n", NULL, NULL);
    expect(JAIL_EXITED, 1, "cat: /home/me/.bashrc: No such file or directory\n", NULL, NULL);
    expect(JAIL_EXITED, 1, "cat: /etc/shadow: No such file or directory\n", NULL, NULL);
    expect(JAIL_EXITED, 1, "cat: /opt/../home/me/x: No such file or directory\n", NULL, NULL);
}

/* Any bytes, of any length, bounded. */
static void test_bytes(void **state)
{
    (void)state;
    static const char letters[] = "/ab\n. NoENT:\377";
    static char out[64 * 1024];
    uint32_t seed = 1;
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < sizeof out; i++) {
            seed = seed * 1664525 + 1013904223;
            out[i] = letters[(seed >> 16) % (sizeof letters - 1)];
        }
        memcpy(out + sizeof out - 64 - round, "cat: /srv/x: No such file or directory\n", 39);
        struct jail_result r = {.how = JAIL_EXITED, .status = 1};
        struct denials d;
        denial_find(&r, (struct slice){out, sizeof out}, &place, &d);
        assert_true(d.n <= DENIALS_MAX && d.words.n <= DENIAL_WORDS);
        buf_release(&d.words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_limits), cmocka_unit_test(test_signs), cmocka_unit_test(test_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
