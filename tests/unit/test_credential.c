/*
 * Files with credentials are found by name and content, those of tests and examples are left alone; the look through a folder
 * follows no link, waits for nothing, is bounded and gives paths below the folder.
 */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tools/credential.h"

static void test_names(void **state)
{
    (void)state;
    static const struct { const char *path; enum credential what; } rows[] = {
        {".env", CREDENTIAL_YES}, {"apps/web/.env.local", CREDENTIAL_YES}, {".env.production", CREDENTIAL_YES}, {".ENV", CREDENTIAL_YES},
        {".env.example", CREDENTIAL_NO}, {".env.local.sample", CREDENTIAL_NO}, {".env.test", CREDENTIAL_NO}, {"env", CREDENTIAL_NO},
        {".environment", CREDENTIAL_NO}, {"x.env", CREDENTIAL_NO}, {"test/.env", CREDENTIAL_NO}, {"packages/a/__tests__/.env", CREDENTIAL_NO},
        {"latest/.env", CREDENTIAL_YES}, {"id_rsa", CREDENTIAL_YES}, {"keys/id_ed25519", CREDENTIAL_YES}, {"id_rsa.pub", CREDENTIAL_NO},
        {".aws/credentials", CREDENTIAL_YES}, {"x.aws/credentials", CREDENTIAL_NO}, {"credentials", CREDENTIAL_NO}, {"a.p12", CREDENTIAL_YES},
        {"fixtures/a.p12", CREDENTIAL_NO}, {"server.pem", CREDENTIAL_LOOK_INSIDE}, {"test/keys/server.pem", CREDENTIAL_NO}, {".npmrc", CREDENTIAL_LOOK_INSIDE},
        {"gcp-prod.json", CREDENTIAL_LOOK_INSIDE}, {"package.json", CREDENTIAL_NO}, {"src/key.c", CREDENTIAL_NO}, {"", CREDENTIAL_NO}, {".pem", CREDENTIAL_NO},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (credential_by_name(slice_of(rows[i].path)) != rows[i].what)
            fail_msg("%s", rows[i].path);
}

static void test_contents(void **state)
{
    (void)state;
    static const struct { const char *path, *text; bool is; } rows[] = {
        {"a.pem", "x\n-----BEGIN RSA PRIVATE KEY-----\n", true}, {"a.pem", "-----BEGIN CERTIFICATE-----\n", false},
        {".npmrc", "//npm.example/:_authToken=abcdef\n", true}, {".npmrc", "//npm.example/:_authToken=${NPM_TOKEN}\n", false},
        {".npmrc", "legacy-peer-deps=true\n", false}, {".npmrc", "", false}, {".npmrc", "_auth=", false},
        {"gcp.json", "{\"private_key\": \"-----BEGIN\"}", true}, {"secret.json", "{\"secretName\": \"abcdef\"}", false},
        {".pypirc", "[pypi]\npassword = hunter22\n", true}, {"settings.xml", "<password>hunter22</password>", true},
        {"settings.xml", "<password>${env.PW}</password>", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (credential_by_content(slice_of(rows[i].path), slice_of(rows[i].text)) != rows[i].is)
            fail_msg("%s: %s", rows[i].path, rows[i].text);
}

/* ---- the folder ---- */

static char top[] = "/tmp/crannog-credential-XXXXXX";

static void put(int root, const char *path, const char *text)
{
    char part[300];
    for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        mkdirat(root, part, 0755);
    }
    int fd = openat(root, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static bool found(const struct credentials *c, const char *path)
{
    for (size_t i = 0; i < c->n; i++)
        if (slice_is(c->paths[i], path))
            return true;
    return false;
}

static void test_folder(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    struct credentials c;
    struct error e = {.code = OK};
    assert_non_null(mkdtemp(top));
    int root = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put(root, ".env", "A=b"), put(root, "apps/web/.env.local", "A=b"), put(root, "node_modules/x/.env", ""), put(root, ".crannog/.env", "");
    put(root, "a/b/c/d/e/f/.env", ""), put(root, "a/b/c/d/e/f/g/.env", ""), put(root, ".npmrc", "_auth=abcdef"), put(root, "plain/.npmrc", "color=true");
    put(root, "big/key.pem", "");
    int big = openat(root, "big/key.pem", O_WRONLY | O_CLOEXEC);
    assert_true(big >= 0 && ftruncate(big, INT64_C(1) << 40) == 0 && close(big) == 0);
    assert_true(symlinkat("/etc", root, "out") == 0 && symlinkat("../.env", root, "a/.env") == 0);
    assert_true(mkdirat(root, "fifo", 0755) == 0 && mkfifoat(root, "fifo/.env", 0644) == 0 && mkfifoat(root, "fifo/x.pem", 0644) == 0);
    assert_true(mkdirat(root, "name", 0755) == 0);
    put(root, "name/\xff/.env", "");
    assert_int_equal(credentials_find(root, ".crannog", &a, &c, &e), OK);
    assert_true(found(&c, ".env") && found(&c, "apps/web/.env.local") && found(&c, ".npmrc") && found(&c, "a/b/c/d/e/f/.env"));
    assert_int_equal(c.n, 4);
    assert_true(c.cut); /* a name that no journal could hold */
    for (int i = 0; i < CREDENTIALS_MAX; i++) {
        char path[40];
        snprintf(path, sizeof path, "many/%d/.env", i);
        put(root, path, "");
    }
    assert_int_equal(credentials_find(root, ".crannog", &a, &c, &e), OK);
    assert_true(c.n == CREDENTIALS_MAX && c.cut && found(&c, ".env"));
    close(root);
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(name);
}

static int teardown(void **state)
{
    (void)state;
    nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_contents), cmocka_unit_test(test_folder)};
    return cmocka_run_group_tests(tests, NULL, teardown);
}
