/* The engine's side of crannog-door and the parts of it that are pure: keys leave the environment and reach the program, a vault
   is made, kept and refused; addresses, Retry-After and scrubbing take any bytes, split anywhere. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"
#include "door/client.h"
#include "door/retry.h"
#include "door/scrub.h"
#include "door/where.h"

extern char **environ;

#define KEY "sk-in-the-environment-0123456789"

/* ---- the environment and the program ---- */

static void set(const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
}

static bool memory_has(const char *block, size_t n, const char *what)
{
    return memmem(block, n, what, strlen(what)) != NULL;
}

static void keys_leave_the_environment(void **state)
{
    (void)state;
    char *was = getenv("OPENAI_API_KEY");
    assert_non_null(was);
    door_take_environment();
    assert_true(door_has_variable("OPENAI_API_KEY") && door_has_variable("ANTHROPIC_API_KEY"));
    assert_false(door_has_variable("GROQ_API_KEY") || door_has_variable("HOME"));
    assert_null(getenv("OPENAI_API_KEY"));
    assert_false(memory_has(was, strlen(KEY), "sk-in"));
    for (char **v = environ; *v; v++)
        assert_null(strstr(*v, KEY));
    for (size_t i = 0; door_variable_at(i); i++)
        assert_null(getenv(door_variable_at(i)->name));
    assert_null(door_variable_at(1000));
}

static struct peer start(const char *folder, bool make, struct arena *a, struct slice **names, size_t *n)
{
    struct peer p = PEER_INIT;
    struct error e;
    if (door_start(DOOR_PROGRAM, folder, make, a, &p, names, n, &e))
        fail_msg("%s", e.text);
    return p;
}

static bool has(const struct slice *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (slice_is(names[i], name))
            return true;
    return false;
}

static void it_starts_without_a_vault(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    struct slice *names = NULL;
    size_t n = 0;
    struct error e;
    struct peer p = start(NULL, false, &a, &names, &n);
    assert_int_equal(n, 2);
    assert_true(has(names, n, "OPENAI_API_KEY") && has(names, n, "ANTHROPIC_API_KEY"));
    assert_int_equal(fcntl(p.socket, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    assert_int_equal(door_store(&p, SLICE("MINE"), SLICE("value"), SLICE("https://a.example"), &e), ERR_MISSING);
    assert_int_equal(door_store(&p, SLICE("MINE"), SLICE("value"), SLICE_NONE, &e), ERR_USAGE);
    peer_kill(&p);
}

static void a_vault_is_made_and_kept(void **state)
{
    (void)state;
    char folder[] = "/tmp/crannog-door-XXXXXX", path[80];
    struct stat st;
    struct error e;
    assert_non_null(mkdtemp(folder));
    for (int round = 0; round < 3; round++) {
        ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
        struct slice *names = NULL;
        size_t n = 0;
        struct peer p = start(folder, round == 0, &a, &names, &n);
        assert_int_equal(n, round == 1 ? 3 : 2);
        assert_int_equal(has(names, n, "mistral"), round == 1);
        if (round == 0)
            assert_int_equal(door_store(&p, SLICE("mistral"), SLICE("stored-0123456789"), SLICE_NONE, &e), OK);
        if (round == 1)
            assert_int_equal(door_forget(&p, SLICE("mistral"), &e), OK);
        if (round == 1)
            assert_int_equal(door_forget(&p, SLICE("mistral"), &e), ERR_MISSING);
        peer_kill(&p);
    }
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/vault%s", folder, i ? ".key" : "");
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(unlink(path), 0);
    }
    rmdir(folder);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    char folder[] = "/tmp/crannog-door-XXXXXX", path[80];
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    struct peer p = PEER_INIT;
    struct error e;
    assert_int_not_equal(door_start("/nonexistent/crannog-door", NULL, false, &a, &p, NULL, NULL, &e) || p.pid, 0);
    peer_kill(&p);
    assert_non_null(mkdtemp(folder));
    assert_int_equal(door_start(DOOR_PROGRAM, "/nonexistent/state", true, &a, &p, NULL, NULL, &e), ERR_MISSING);
    snprintf(path, sizeof path, "%s/vault", folder);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "this is no vault", 16), 16);
    close(fd);
    assert_int_equal(door_start(DOOR_PROGRAM, folder, false, &a, &p, NULL, NULL, &e), ERR_MISSING);
    assert_non_null(strstr(e.text, "vault.key"));
    assert_int_equal(door_start(DOOR_PROGRAM, folder, true, &a, &p, NULL, NULL, &e), ERR_CORRUPT);
    assert_int_equal(p.pid, 0);
    unlink(path);
    snprintf(path, sizeof path, "%s/vault.key", folder);
    unlink(path);
    rmdir(folder);
}

static void looks_end_in_time(void **state)
{
    (void)state;
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    struct error e;
    struct peer p = start(NULL, false, &a, NULL, NULL);
    struct door_look v[] = {{.provider = SLICE("ollama"), .base = SLICE("http://127.0.0.1:1/v1")},
                            {.provider = SLICE("nobody")},
                            {.provider = SLICE("openai"), .base = SLICE("http://127.0.0.1:1"), .secret = SLICE("OPENAI_API_KEY")}};
    assert_int_equal(door_look_at(&p, v, 3, 1000, &a, &e), OK);
    for (size_t i = 0; i < 3; i++)
        assert_true(!v[i].answered && v[i].n == 0 && v[i].why[0]);
    assert_non_null(strstr(v[2].why, "OPENAI_API_KEY is for https://api.openai.com"));
    peer_kill(&p);
    assert_int_not_equal(door_look_at(&p, v, 1, 100, &a, &e), OK);
}

/* ---- pure parts ---- */

static void check_retry(const char *line, int64_t want)
{
    bool exact;
    int64_t got = retry_read(slice_of(line), 784111777000 - 5000, &exact);
    if (got != want)
        fail_msg("'%s' is %lld instead of %lld", line, (long long)got, (long long)want);
}

static void retry_after_is_read(void **state)
{
    (void)state;
    check_retry("Retry-After: 120\r\n", 120000);
    check_retry("retry-after:0", 0);
    check_retry("RETRY-AFTER-MS: 250.75\r\n", 250);
    check_retry("retry-after: 1.25", 1250);
    check_retry("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 5000);
    check_retry("Retry-After: Sun, 06 Nov 1993 08:49:37 GMT\r\n", 0);
    check_retry("Retry-After: Sun, 06 Nov 2094 08:49:37 GMT\r\n", RETRY_MAX_MS);
    check_retry("Retry-After: Sun, 06 Nov 1994 08:49:37 +0100\r\n", -1);
    check_retry("Retry-After: 1e9", -1);
    check_retry("Retry-After: -1", -1);
    check_retry("Retry-After: 1.2.3", -1);
    check_retry("Retry-After: .", -1);
    check_retry("Retry-After", -1);
    check_retry("", -1);
    check_retry("x-retry-after: 5", -1);
    check_retry("Retry-After: 999999999999", RETRY_MAX_MS);
}

static bool is_url(const char *base, const char *origin)
{
    struct origin o;
    if (where_parse(slice_of(base), SLICE("/models"), NULL, &o, NULL))
        return origin == NULL;
    return origin && strcmp(origin_text(&o).text, origin) == 0;
}

static void addresses_are_read(void **state)
{
    (void)state;
    assert_true(is_url("https://API.Example.com/v1/", "https://api.example.com"));
    assert_true(is_url("https://a.example:443", "https://a.example") && is_url("http://a.example:443/x", "http://a.example:443"));
    assert_true(is_url("http://[::1]:8080/v1", "http://[::1]:8080") && is_url("http://0x7f.1/", "http://127.0.0.1"));
    assert_true(is_url("ftp://a/", NULL) && is_url("https://u@a/", NULL) && is_url("https://a/?q", NULL) && is_url("https://a/#f", NULL));
    assert_true(is_url("", NULL) && is_url("a.example", NULL) && is_url("https://", NULL) && is_url("https://a\\b", NULL) && is_url("https://a b", NULL));
    assert_true(is_url("https://a%61.example/", "https://aa.example") && is_url("https://b\xc3\xbc.example/", NULL) && is_url("https:", NULL) && is_url("https://a%aa.example", NULL));
    assert_true(is_url("https://a:0/", NULL) && is_url("https://a:70000/", NULL));
    static const struct {
        const char *text;
        enum address_kind kind;
    } kinds[] = {{"127.0.0.1", ADDRESS_LOOPBACK}, {"127.9.9.9", ADDRESS_LOOPBACK}, {"[::1]", ADDRESS_LOOPBACK}, {"::ffff:127.0.0.1", ADDRESS_LOOPBACK},
                 {"169.254.1.2", ADDRESS_REFUSED}, {"fe80::1%eth0", ADDRESS_REFUSED}, {"febf::1", ADDRESS_REFUSED}, {"::ffff:169.254.169.254", ADDRESS_REFUSED},
                 {"::169.254.169.254", ADDRESS_REFUSED}, {"10.0.0.1", ADDRESS_PUBLIC}, {"1.1.1.1", ADDRESS_PUBLIC}, {"0.0.0.0", ADDRESS_PUBLIC},
                 {"64:ff9b::7f00:1", ADDRESS_PUBLIC}, {"fec0::1", ADDRESS_PUBLIC}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        enum address_kind kind;
        if (!address_parse(kinds[i].text, &kind) || kind != kinds[i].kind)
            fail_msg("%s is of the kind %d", kinds[i].text, (int)kind);
    }
    assert_true(host_is_name("example.com") && !host_is_name("localhost") && !host_is_name("[::1]") && !host_is_name("10.1.1.1"));
}

/* Feeds a text in pieces of each size; what comes out is the same as scrubbed at once. */
static void check_scrub(const char *secret, const char *text, const char *want)
{
    for (size_t size = 1; size <= strlen(text) + 1; size++) {
        BUF_CLEANUP struct buf out = BUF_INIT(1000);
        struct scrub s = scrub_new(slice_of(secret));
        for (size_t at = 0; at < strlen(text); at += size)
            scrub_feed(&s, slice_sub(slice_of(text), at, size), &out);
        scrub_flush(&s, &out);
        scrub_release(&s);
        if (strcmp(buf_str(&out), want) != 0)
            fail_msg("'%s' in pieces of %zu is '%s'", text, size, buf_str(&out));
    }
}

static void secrets_are_scrubbed(void **state)
{
    (void)state;
    check_scrub("abcabcabd", "xabcabcabcabdy", "xabc*********y");
    check_scrub("abcabcabd", "abcabcabdabcabcabd", "******************");
    check_scrub("abcabcabd", "abcabcab", "abcabcab");
    check_scrub("aaaaaaaa", "aaaaaaaaaaaaaaaaaaa", "****************aaa");
    check_scrub("none", "none of it", "none of it");
    check_scrub("*a*a*a*ab", "*a*a*a*ab*a*a*a*ab*a", "                  *a");
    check_scrub("12345678", "", "");
    char cut[] = "the key is sk-012345";
    scrub_text(SLICE("sk-0123456789"), cut, strlen(cut));
    assert_string_equal(cut, "the key is *********");
    char little[] = "the key is sk-0";
    scrub_text(SLICE("sk-0123456789"), little, strlen(little));
    assert_string_equal(little, "the key is sk-0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_leave_the_environment), cmocka_unit_test(it_starts_without_a_vault), cmocka_unit_test(a_vault_is_made_and_kept),
        cmocka_unit_test(what_is_wrong_is_said),      cmocka_unit_test(looks_end_in_time),         cmocka_unit_test(retry_after_is_read),
        cmocka_unit_test(addresses_are_read),         cmocka_unit_test(secrets_are_scrubbed),
    };
    for (size_t i = 0; door_variable_at(i); i++)
        unsetenv(door_variable_at(i)->name);
    set("OPENAI_API_KEY", KEY);
    set("ANTHROPIC_API_KEY", KEY "\n");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
