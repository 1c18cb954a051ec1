/* jail cgroup: our own control groups are found in what machines say of themselves (recorded texts: one hierarchy each,
   one for all, both, a container), and what cannot be named is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jail/internal.h"

static struct cgroup_place found;

static void find(const char *cgroups, const char *mounts)
{
    cgroup_find(slice_of(cgroups), slice_of(mounts), &found);
}

static void expect(const char *unified, const char *memory, const char *pids, const char *cpuacct)
{
    assert_string_equal(found.own[CGROUP_UNIFIED], unified);
    assert_string_equal(found.own[CGROUP_MEMORY], memory);
    assert_string_equal(found.own[CGROUP_PIDS], pids);
    assert_string_equal(found.own[CGROUP_CPUACCT], cpuacct);
}

/* systemd of today */
static void test_unified(void **state)
{
    (void)state;
    find("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope\n",
         "23 29 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw\n"
         "26 24 0:24 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
         "27 24 0:25 / /sys/fs/pstore rw,relatime shared:10 - pstore pstore rw\n");
    expect("/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope", "", "", "");
    assert_int_equal(found.top, strlen("/sys/fs/cgroup"));
    find("0::/\n", "26 24 0:24 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
    expect("/sys/fs/cgroup", "", "", "");
}

/* One hierarchy each, and the unified one beside them without controllers. */
static void test_hybrid(void **state)
{
    (void)state;
    find("9:name=systemd:/\n8:pids:/\n6:freezer:/\n4:memory:/process/18a4\n2:cpuacct:/\n1:cpu:/\n0::/\n",
         "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
         "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
         "33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n"
         "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
         "39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
         "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n");
    expect("/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory/process/18a4", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/cpuacct");
    find("4:cpu,cpuacct:/a\n3:memory:/b\n", "1 1 0:2 / /c/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n");
    expect("", "", "", "/c/cpu,cpuacct/a"); /* memory is not mounted */
}

/* A container that sees a hierarchy from its own group on, with and without a namespace of its own. */
static void test_container(void **state)
{
    (void)state;
    find("5:memory:/docker/abc/inner\n0::/docker/abc\n",
         "700 690 0:33 /docker/abc /sys/fs/cgroup/memory ro,nosuid master:17 - cgroup cgroup rw,memory\n"
         "701 690 0:34 /docker/abc /sys/fs/cgroup/unified ro,nosuid master:17 - cgroup2 cgroup rw\n");
    expect("/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory/inner", "", "");
    find("5:memory:/docker/abcd\n", "700 690 0:33 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
    expect("", "", "", ""); /* not below it */
    find("0::/../other\n", "700 690 0:33 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
    expect("", "", "", "");
    find("0::/x\n", "700 690 0:33 /../.. /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
    expect("", "", "", "");
}

/* Nothing, half lines, a place with a blank, a path that is too long. */
static void test_odd(void **state)
{
    (void)state;
    const char *const mounts = "26 24 0:24 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
    const char *const bad[] = {"", "\n", "0", "0:", "0::", ":::::", "x::/a"};
    find("0::/a", "26 24 0:24 / /sys/fs/c\\040group rw - cgroup2 cgroup2 rw");
    expect("", "", "", "");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        find(bad[i], mounts);
        assert_true(strcmp(found.own[CGROUP_UNIFIED], "") == 0 || strcmp(found.own[CGROUP_UNIFIED], "/sys/fs/cgroup") == 0);
        find("0::/a", bad[i]);
        expect("", "", "", "");
    }
    for (size_t n = 0; n < strlen(mounts); n++) {
        cgroup_find(SLICE("0::/a"), (struct slice){mounts, n}, &found);
        assert_true(*found.own[CGROUP_UNIFIED] == '\0' || strcmp(found.own[CGROUP_UNIFIED], "/sys/fs/cgroup/a") == 0);
    }
    char *own = calloc(1, PATH_MAX + 100);
    assert_non_null(own);
    memset(own, 'x', PATH_MAX + 50);
    memcpy(own, "0::/", 4);
    find(own, mounts);
    expect("", "", "", "");
    free(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_unified), cmocka_unit_test(test_hybrid),
                                       cmocka_unit_test(test_container), cmocka_unit_test(test_odd)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
