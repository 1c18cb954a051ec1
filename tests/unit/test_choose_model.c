/*
 * choose_model, what commands call: the first time it looks, takes the best, remembers and tells it; from then on it asks nobody;
 * a word of the person's goes before and is not remembered; where the chosen one cannot be used it is an error, whatever else there
 * is (C1); where there is nothing the ways to get a model are told. The door is played here.
 *
 * Planted and caught, one at a time: the choice not remembered (test_first); a word remembered (test_word); looking although one is
 * remembered (test_first); $CRANNOG_MODEL not asked (test_word); the next model where the chosen one has no key (test_gone).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/choose.h"
#include "door/client.h"

/* ---- the door: one variable, one local server ---- */

static const struct door_variable variables[] = {{"ANTHROPIC_API_KEY", "anthropic"}};
static bool has_key, has_ollama;
static int looks;

const struct door_variable *door_variable_at(size_t i)
{
    return i < 1 ? &variables[i] : NULL;
}

bool door_has_variable(const char *name)
{
    return has_key && strcmp(name, "ANTHROPIC_API_KEY") == 0;
}

enum err door_start(const char *program_path, const char *state, bool make_vault, struct arena *a, struct peer *ret,
                    struct slice **ret_names, size_t *ret_n, struct error *e)
{
    (void)program_path, (void)state, (void)make_vault, (void)a, (void)ret, (void)ret_names, (void)ret_n;
    return error_set(e, ERR_UNSUPPORTED, "no door here");
}

enum err door_look_at(struct peer *p, struct door_look *v, size_t n, int timeout_ms, struct arena *a, struct error *e)
{
    static struct slice models[] = {SLICE_INIT("embed-1"), SLICE_INIT("qwen3:0.6b"), SLICE_INIT("qwen3:8b")};
    (void)p, (void)a, (void)e;
    assert_true(timeout_ms <= 1000);
    looks++;
    for (size_t i = 0; i < n; i++) {
        v[i].answered = has_ollama && slice_is(v[i].provider, "ollama");
        v[i].models = v[i].answered ? models : NULL;
        v[i].n = v[i].answered ? 3 : 0;
    }
    return OK;
}

/* ---- */

static struct arena arena;
static struct choose_with with;
static char folder[] = "/tmp/crannog-choose-XXXXXX";
static struct slice key_name = SLICE_INIT("ANTHROPIC_API_KEY");

static int set_up(void **state)
{
    static struct config cfg;
    (void)state;
    unsetenv("CRANNOG_MODEL");
    memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
    arena = ARENA_INIT(16 << 20);
    if (!mkdtemp(folder))
        return -1;
    with = (struct choose_with){.state = slice_of(folder), .cfg = &cfg, .door = {.socket = 99}, .names = &key_name};
    has_key = has_ollama = false;
    looks = 0;
    return 0;
}

static int tear_down(void **state)
{
    char path[64];
    (void)state;
    snprintf(path, sizeof path, "%s/choice", folder);
    unlink(path);
    arena_release(&arena);
    return rmdir(folder);
}

static void give_key(bool yes)
{
    has_key = yes;
    with.n_names = yes;
}

/* What choose_model says: the model's ref, or NULL; `ret_told` what it told. */
static const char *ask(const char *wanted, enum err expected, struct buf *ret_told, struct error *e)
{
    struct choice c;
    *e = (struct error){0};
    buf_reset(ret_told);
    assert_int_equal(choose_model(&with, wanted, &arena, &c, ret_told, e), expected);
    return expected ? NULL : c.ref.p;
}

static void test_first(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf told = BUF_INIT(1 << 16);
    struct error e;
    has_ollama = true;
    assert_string_equal(ask(NULL, OK, &told, &e), "ollama/qwen3:8b");
    assert_non_null(strstr(buf_str(&told), "Takes    ollama/qwen3:8b"));
    assert_null(strstr(buf_str(&told), "embed"));
    assert_int_equal(looks, 1);
    give_key(true); /* a better one comes: it is not taken silently */
    assert_string_equal(ask(NULL, OK, &told, &e), "ollama/qwen3:8b");
    assert_int_equal(told.n, 0);
    assert_int_equal(looks, 1);
}

static void test_word(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf told = BUF_INIT(1 << 16);
    struct error e;
    has_ollama = true;
    give_key(true);
    assert_string_equal(ask("ollama/anything", OK, &told, &e), "ollama/anything");
    assert_int_equal(looks, 0);
    assert_string_equal(ask("0.6b", OK, &told, &e), "ollama/qwen3:0.6b");
    assert_int_equal(looks, 1);
    assert_int_equal(told.n, 0);
    setenv("CRANNOG_MODEL", "ollama/of-the-environment", 1);
    assert_string_equal(ask(NULL, OK, &told, &e), "ollama/of-the-environment");
    assert_string_equal(ask("ollama/x", OK, &told, &e), "ollama/x");
    unsetenv("CRANNOG_MODEL");
    assert_string_equal(ask(NULL, OK, &told, &e), "anthropic/claude-sonnet-5-5"); /* none of them was remembered */
    (void)ask("nonesuch", ERR_USAGE, &told, &e);
    assert_non_null(strstr(e.text, "no model 'nonesuch'"));
}

static void test_gone(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf told = BUF_INIT(1 << 16);
    struct error e;
    has_ollama = true;
    give_key(true);
    assert_string_equal(ask(NULL, OK, &told, &e), "anthropic/claude-sonnet-5-5");
    give_key(false);
    (void)ask(NULL, ERR_MISSING, &told, &e);
    assert_non_null(strstr(e.text, "crannog login anthropic"));
    assert_string_equal(ask("ollama/qwen3:8b", OK, &told, &e), "ollama/qwen3:8b");
}

static void test_nothing(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf told = BUF_INIT(1 << 16);
    struct error e;
    (void)ask(NULL, ERR_MISSING, &told, &e);
    assert_non_null(strstr(e.text, "no model yet"));
    assert_non_null(strstr(buf_str(&told), "crannog login --base URL NAME"));
    with.door.socket = -1; /* nor a door: keys and words are enough */
    give_key(true);
    assert_string_equal(ask(NULL, OK, &told, &e), "anthropic/claude-sonnet-5-5");
    assert_int_equal(looks, 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {T(test_first), T(test_word), T(test_gone), T(test_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
