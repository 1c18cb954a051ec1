/* setting: toolchains and caches are found where people keep them, and nothing else of a home folder is shown; PATH keeps its
   order and what can be found; of git's configuration three lines come in; what keeps secrets is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/place.h"

/* A machine: what is there (a link says where it leads behind " -> "), and its variables, "NAME=value"; NULL at the end of either. */
struct world {
    const char *there[40], *variables[20];
    const char *git;
};

static const char *variable(void *ctx, const char *name)
{
    const struct world *w = ctx;
    size_t n = strlen(name);
    for (size_t i = 0; w->variables[i]; i++)
        if (strncmp(w->variables[i], name, n) == 0 && w->variables[i][n] == '=')
            return w->variables[i] + n + 1;
    return NULL;
}

static bool real(void *ctx, const char *path, char ret[JAIL_PATH_MAX + 1])
{
    const struct world *w = ctx;
    for (size_t i = 0; w->there[i]; i++) {
        const char *to = strstr(w->there[i], " -> ");
        size_t n = to ? (size_t)(to - w->there[i]) : strlen(w->there[i]);
        if (strlen(path) != n || strncmp(w->there[i], path, n) != 0)
            continue;
        snprintf(ret, JAIL_PATH_MAX + 1, "%s", to ? to + 4 : path);
        return true;
    }
    return false;
}

static bool text(void *ctx, const char *path, struct buf *ret)
{
    const struct world *w = ctx;
    if (!w->git || strcmp(path, "/home/seven/.gitconfig") != 0)
        return false;
    buf_add_text(ret, w->git);
    return true;
}

static bool locale(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "de_DE.UTF-8") == 0 || strcmp(name, "C.UTF-8") == 0;
}

static struct setting look(struct world *w, struct arena *a)
{
    struct setting s;
    const struct setting_eye eye = {w, 1000, variable, real, text, locale};
    assert_int_equal(setting_make(&eye, a, &s, NULL), OK);
    return s;
}

static const struct jail_mount *shown(const struct setting *s, const char *target)
{
    for (size_t i = 0; i < s->nshown; i++)
        if (slice_is(s->shown[i].target, target))
            return &s->shown[i];
    return NULL;
}

static bool has(const struct slice *v, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (slice_is(v[i], text))
            return true;
    return false;
}

static void test_tables(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(SETTING_ARENA);
    struct world w = {{"/home/seven", "/home/seven/.nvm", "/home/seven/.cargo", "/home/seven/.cargo/bin", "/home/seven/.cargo/registry",
                       "/home/seven/.cargo/credentials.toml", "/home/seven/.ssh", "/home/seven/.npmrc", "/home/seven/.npm/_cacache",
                       "/home/seven/.pyenv -> /data/pyenv", "/home/seven/.cache/go-build", "/srv/rust", "/srv/rust/bin",
                       "/home/seven/.local/bin", "/home/seven/.local/share/keyrings", "/home/seven/.m2/repository",
                       "/home/seven/.m2/settings.xml"},
                      {"HOME=/home/seven"}, NULL};
    struct setting s = look(&w, &a);
    assert_true(slice_is(s.home, "/home/seven"));
    assert_int_equal(shown(&s, "/home/seven/.nvm")->kind, JAIL_SHOWN);
    assert_int_equal(shown(&s, "/home/seven/.cargo/bin")->kind, JAIL_SHOWN);
    assert_int_equal(shown(&s, "/home/seven/.cargo/registry")->kind, JAIL_CACHE);
    assert_int_equal(shown(&s, "/home/seven/.npm/_cacache")->kind, JAIL_CACHE);
    assert_int_equal(shown(&s, "/home/seven/.cache/go-build")->kind, JAIL_CACHE);
    assert_int_equal(shown(&s, "/home/seven/.m2/repository")->kind, JAIL_CACHE);
    assert_true(slice_is(shown(&s, "/home/seven/.pyenv")->source, "/data/pyenv"));
    assert_non_null(shown(&s, "/home/seven/.local/bin"));
    assert_int_equal(s.nshown, 8);
    for (size_t i = 0; i < s.nshown; i++)
        assert_true(s.shown[i].optional);
    w.variables[1] = "CARGO_HOME=/srv/rust"; /* where it is said to lie, and there alone */
    s = look(&w, &a);
    assert_non_null(shown(&s, "/srv/rust/bin"));
    assert_null(shown(&s, "/home/seven/.cargo/bin"));
    assert_true(has(s.env, s.nenv, "CARGO_HOME=/srv/rust"));
}

/* A variable or a link that leads to what keeps secrets, to the whole home folder or to the machine shows nothing. */
static void test_what_is_never_shown(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(SETTING_ARENA);
    struct world w = {{"/home/seven", "/home/seven/.ssh", "/home", "/proc/self", "/etc/x", "/run/user/1000", "/home/seven/.nvm -> /home/seven/.ssh",
                       "/home/seven/.pyenv -> /home/seven", "/home/seven/.rbenv -> /", "/home/seven/.volta -> /var/run/docker.sock"},
                      {"HOME=/home/seven", "JAVA_HOME=/home/seven", "GOROOT=/home/seven/.ssh", "MAVEN_HOME=/home", "GRADLE_HOME=/proc/self",
                       "M2_HOME=/etc/x", "ANDROID_HOME=/run/user/1000", "GOPATH=/x/../home/seven", "GOBIN=relative"}, NULL};
    struct setting s = look(&w, &a);
    assert_int_equal(s.nshown, 0);
    struct error e;
    const struct setting_guard guard = {.home = SLICE("/home/seven")};
    const char *const no[] = {"/", "/home", "/home/seven", "/home/seven/.ssh", "/home/seven/.ssh/id", "/home/seven/.cargo", "/home/seven/.config",
                              "/proc/1", "/etc", "/run/docker.sock", "/srv", "relative", "/home/seven/.local/share"};
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_int_equal(setting_may_show(slice_of(no[i]), &guard, &e), ERR_DENIED);
    const char *const yes[] = {"/opt/tool", "/srv/data", "/home/seven/other", "/home/seven/.cargo/bin", "/home/seven/.sshx", "/home/sevenx/a"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_int_equal(setting_may_show(slice_of(yes[i]), &guard, &e), OK);
    /* where a name of the home folder is a link, there too */
    struct world dotfiles = {{"/home/seven", "/home/seven/.ssh -> /home/seven/dot/ssh", "/home/seven/dot/ssh", "/home/seven/dot", "/home/seven/dot/jdk"},
                             {"HOME=/home/seven", "JAVA_HOME=/home/seven/dot", "GOROOT=/home/seven/dot/ssh", "MAVEN_HOME=/home/seven/dot/jdk"}, NULL};
    s = look(&dotfiles, &a);
    assert_int_equal(s.nshown, 1);
    assert_non_null(shown(&s, "/home/seven/dot/jdk"));
    assert_int_equal(setting_may_show(SLICE("/home/seven/dot/ssh"), &s.guard, &e), ERR_DENIED);
    assert_int_equal(setting_may_show(SLICE("/home/seven/dot"), &s.guard, &e), ERR_DENIED);
}

static void test_path(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(SETTING_ARENA);
    struct world w = {{"/home/seven", "/usr/bin", "/usr/local/bin", "/bin", "/home/seven/.nvm", "/home/seven/.nvm/v/bin", "/home/seven/private/bin",
                       "/home/seven/go1.22/bin", "/home/seven/go1.22", "/opt/tool/bin", "/opt/tool", "/run/user/1/fnm/bin -> /home/seven/.nvm/v9/bin",
                       "/work/x/.venv/bin"},
                      {"HOME=/home/seven",
                       "PATH=/home/seven/.nvm/v/bin/:/gone:relative::/usr/bin:/home/seven/private/bin:/home/seven/go1.22/bin:/opt/tool/bin:"
                       "/run/user/1/fnm/bin:/usr/bin:/work/x/.venv/bin"}, NULL};
    struct setting s = look(&w, &a);
    struct place p = {.work = "/work/x", .uid = 1000, .gid = 1000, .setting = &s};
    struct jail_plan plan;
    assert_int_equal(place_command(&p, NULL, 0, 1, 1, &a, &plan, NULL), OK);
    assert_true(slice_is(plan.env[0], "PATH=/home/seven/.nvm/v/bin:/usr/bin:/home/seven/go1.22/bin:/opt/tool/bin:/home/seven/.nvm/v9/bin:"
                                      "/work/x/.venv/bin:/usr/local/bin:/bin"));
    assert_non_null(shown(&s, "/home/seven/go1.22"));
    assert_non_null(shown(&s, "/opt/tool"));
    assert_null(shown(&s, "/home/seven/private"));
}

static void test_environment(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(SETTING_ARENA);
    struct world w = {{"/home/seven", "/usr/bin"},
                      {"HOME=/home/seven", "USER=seven", "TERM=xterm-256color", "LANG=xx_YY", "LC_TIME=de_DE.UTF-8", "TZ=Europe/Berlin", "SECRET=1",
                       "GITHUB_TOKEN=1", "LD_PRELOAD=/x", "SSH_AUTH_SOCK=/run/s", "COLORTERM=a\nb"}, NULL};
    struct setting s = look(&w, &a);
    struct place p = {.work = "/work/x", .uid = 1000, .gid = 1000, .setting = &s};
    struct jail_plan plan;
    assert_int_equal(place_command(&p, NULL, 0, 1, 1, &a, &plan, NULL), OK);
    const char *const want[] = {"HOME=/home/seven", "TMPDIR=/tmp", "USER=seven", "LOGNAME=seven", "TERM=xterm-256color", "LANG=C.UTF-8",
                                "LC_TIME=de_DE.UTF-8", "TZ=Europe/Berlin", "SHELL=/bin/sh"};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_true(has(plan.env, plan.nenv, want[i]));
    assert_int_equal(plan.nenv, sizeof want / sizeof *want + 1); /* and PATH */
    p.uid = 1001; /* another one's folder, as root: who is inside has another name */
    assert_int_equal(place_command(&p, NULL, 0, 1, 1, &a, &plan, NULL), OK);
    assert_false(has(plan.env, plan.nenv, "USER=seven"));
}

static const struct jail_mount *mount_at(const struct jail_plan *p, const char *target)
{
    const struct jail_mount *found = NULL;
    for (size_t i = 0; i < p->nmounts; i++)
        if (slice_is(p->mounts[i].target, target))
            found = &p->mounts[i];
    return found;
}

/* The home folder is an empty one; where it is the work folder, or lies in it, it is seen as that. */
static void test_home(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(SETTING_ARENA);
    struct world w = {{"/home/seven", "/home/seven/.nvm"}, {"HOME=/home/seven"}, "[user]\nname = Seven\n"};
    struct setting s = look(&w, &a);
    struct place p = {.work = "/home/seven/a \"b\\", .setting = &s};
    struct jail_plan plan;
    assert_int_equal(place_command(&p, NULL, 0, 1, 1, &a, &plan, NULL), OK);
    assert_int_equal(mount_at(&plan, "/home/seven")->kind, JAIL_SCRATCH);
    assert_true(mount_at(&plan, "/home/seven") < mount_at(&plan, "/home/seven/.nvm"));
    assert_true(mount_at(&plan, "/home/seven/.nvm") < mount_at(&plan, p.work));
    assert_true(slice_is(mount_at(&plan, "/home/seven/.gitconfig")->text,
                         "[user]\n\tname = \"Seven\"\n[safe]\n\tdirectory = \"/home/seven/a \\\"b\\\\\"\n"));
    const char *const above[] = {"/home/seven", "/home"};
    for (size_t i = 0; i < 2; i++) {
        p.work = above[i];
        assert_int_equal(place_command(&p, NULL, 0, 1, 1, &a, &plan, NULL), OK);
        assert_null(mount_at(&plan, "/home/seven/.nvm"));
        assert_true(i == 0 || !mount_at(&plan, "/home/seven"));
        assert_true(has(plan.env, plan.nenv, "HOME=/home/seven"));
    }
    p.setting = NULL;
    assert_int_equal(place_command(&p, NULL, 0, 1, 1, &a, &plan, NULL), OK);
    assert_true(has(plan.env, plan.nenv, "HOME=/tmp"));
}

static const char *identity(const char *text)
{
    static char ret[4096];
    BUF_CLEANUP struct buf b = BUF_INIT(4096);
    setting_git_identity(slice_of(text), &b);
    snprintf(ret, sizeof ret, "%s", b.n ? buf_str(&b) : "");
    return ret;
}

static void test_git(void **state)
{
    (void)state;
    assert_string_equal(identity("[user]\n\tname = A B # c\n\temail=a@b\n[init] defaultBranch = main\n"),
                        "[user]\n\tname = \"A B\"\n[user]\n\temail = \"a@b\"\n[init]\n\tdefaultBranch = \"main\"\n");
    assert_string_equal(identity("[USER]\nName = \" x; \\\"y\\\" \" z\n"), "[user]\n\tname = \" x; \\\"y\\\"  z\"\n");
    assert_string_equal(identity("[user]\nname = one\n[user]\nname = two\n"), "[user]\n\tname = \"two\"\n");
    const char *const nothing[] = {"", "[credential]\nhelper = store\n[url \"https://t@h\"]\ninsteadOf = x\n[include]\npath = y\n", "[user \"x\"]\nname = a\n",
                                   "[user]\nname = \"open\n", "[user]\nname = a\\nb\n", "[user]\nname\n", "name = a\n", "[user\nname = a\n", "[user]\nname = a\tb\n"};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        assert_string_equal(identity(nothing[i]), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tables), cmocka_unit_test(test_what_is_never_shown), cmocka_unit_test(test_path),
                                       cmocka_unit_test(test_environment), cmocka_unit_test(test_home), cmocka_unit_test(test_git)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
