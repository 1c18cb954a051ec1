/*
 * Choosing a model, its pure part: what names say of sizes, which models talk, which place a key belongs to, which model comes
 * first, what a person's word resolves to, and that what cannot be used is an error and never another model (C1).
 *
 * Planted and caught, one at a time: a local model before a key (test_rank); the first instead of the largest (test_rank); a
 * second find of the part of a name taken (test_resolve); a key's absence overlooked (test_resolve, test_places); "4bit" for a size
 * (test_size).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/choose.h"
#include "door/client.h"

/* ---- door/client.h, as far as it is asked: two variables, of which the first came from the environment ---- */

static const struct door_variable variables[] = {
    {"ANTHROPIC_API_KEY", "anthropic"}, {"ANTHROPIC_AUTH_TOKEN", "anthropic"}, {"OPENAI_API_KEY", "openai"}, {"MISTRAL_API_KEY", "mistral"}};
static bool in_environment;

const struct door_variable *door_variable_at(size_t i)
{
    return i < sizeof variables / sizeof *variables ? &variables[i] : NULL;
}

bool door_has_variable(const char *name)
{
    return in_environment && strcmp(name, "ANTHROPIC_API_KEY") == 0;
}

/* ---- */

static void test_size(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t millions;
    } cases[] = {
        {"qwen3:8b", 8000}, {"Llama-3.2-1B-Instruct", 1000}, {"qwen2.5-coder:0.5b", 500}, {"smollm2:135m", 135}, {"mixtral-8x7b", 56000},
        {"meta-llama/llama-3.1-70b-instruct", 70000}, {"Qwen3-30B-A3B-GGUF", 30000}, {"gpt-oss:120b", 120000}, {"phi4", 0},
        {"llama3.2:latest", 0}, {"model-4bit", 0}, {"qwen3", 0}, {"", 0}, {"8b", 8000}, {"b", 0}, {"1.b", 0}, {"x8b", 0},
        {"yi-128k", 0}, {"99999999999999999999b", 0}, {"8x", 0}, {"8x8x8b", 0}, {"7.5b", 7500}, {"3b-q4_K_M", 3000}, {"q8_0", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (choose_size(slice_of(cases[i].name)) != cases[i].millions)
            fail_msg("%s: %lld", cases[i].name, (long long)choose_size(slice_of(cases[i].name)));
}

static void test_any_bytes(void **state)
{
    (void)state;
    char name[24];
    for (unsigned seed = 1, round = 0; round < 200000; round++) {
        static const char letters[] = "0123456789.xXbBmM:-/\xff\n a";
        size_t n = round % sizeof name;
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1103515245u + 12345u;
            name[i] = letters[(seed >> 16) % (sizeof letters - 1)];
        }
        assert_true(choose_size((struct slice){name, n}) >= 0);
        (void)choose_talks((struct slice){name, n});
    }
}

static void test_talks(void **state)
{
    (void)state;
    static char large[CHOOSE_NAME_MAX + 1];
    memset(large, 'a', sizeof large);
    assert_true(choose_talks(SLICE("qwen3:8b")));
    assert_true(choose_talks((struct slice){large, CHOOSE_NAME_MAX}));
    assert_false(choose_talks((struct slice){large, CHOOSE_NAME_MAX + 1}));
    assert_false(choose_talks(SLICE("nomic-Embed-text")));
    assert_false(choose_talks(SLICE("whisper-1")));
    assert_false(choose_talks(SLICE("")));
    assert_false(choose_talks(SLICE("two words")));
    assert_false(choose_talks(SLICE("\033[31m")));
    assert_false(choose_talks(SLICE("caf\xc3\xa9")));
}

static struct model_place places[CHOOSE_PLACES_MAX];
static size_t n_places;

static void make_places(const char *const *names, size_t n)
{
    static const struct config_server own[] = {
        {SLICE_INIT("box"), SLICE_INIT("openai-compatible"), SLICE_INIT("http://10.0.0.7:8000/v1")},
        {SLICE_INIT("ollama"), SLICE_INIT("openai-compatible"), SLICE_INIT("http://127.0.0.1:999/v1")},
        {SLICE_INIT("box"), SLICE_INIT("openai-compatible"), SLICE_INIT("http://10.0.0.8:8000/v1")}};
    struct slice known[8];
    for (size_t i = 0; i < n; i++)
        known[i] = slice_of(names[i]);
    n_places = choose_places(own, 3, known, n, places);
}

static const struct model_place *at(const char *name)
{
    const struct model_place *p = choose_place(places, n_places, slice_of(name));
    assert_non_null(p);
    return p;
}

static void test_places(void **state)
{
    (void)state;
    static const char *const names[] = {"ANTHROPIC_API_KEY", "box", "MISTRAL_API_KEY", "litellm"};
    in_environment = true;
    make_places(names, 4);
    assert_true(slice_is(at("anthropic")->secret, "ANTHROPIC_API_KEY") && at("anthropic")->in_environment);
    assert_true(slice_is(at("mistral")->secret, "MISTRAL_API_KEY") && !at("mistral")->in_environment);
    assert_true(at("openai")->secret.n == 0 && !choose_usable(at("openai")));
    assert_true(slice_is(at("litellm")->secret, "litellm") && choose_usable(at("vllm")) && at("vllm")->secret.n == 0);
    assert_true(slice_is(at("box")->secret, "box") && at("box")->from == CHOOSE_OWN);
    assert_true(slice_is(at("box")->base, "http://10.0.0.7:8000/v1")); /* the first one named so */
    assert_true(slice_is(at("ollama")->base, "http://127.0.0.1:999/v1") && at("ollama")->from == CHOOSE_LOCAL);
    assert_true(slice_is(at("ollama")->provider, "ollama")); /* another address, the same program */
    assert_null(choose_place(places, n_places, SLICE("openai-compatible")));
}

static void test_default(void **state)
{
    (void)state;
    const struct slice listed[] = {SLICE("claude-opus-5"), SLICE("claude-sonnet-5-20260101"), SLICE("claude-sonnet-4-5")};
    const struct slice none[] = {SLICE("claude-haiku-4-5"), SLICE("gpt-5-pro")};
    struct slice d = choose_default(SLICE("anthropic"), NULL, 0);
    assert_non_null(price_find(NULL, 0, SLICE("anthropic"), d)); /* its price is known */
    assert_true(slice_is(choose_default(SLICE("anthropic"), listed, 3), "claude-sonnet-5-20260101"));
    assert_int_equal(choose_default(SLICE("anthropic"), none, 2).n, 0);
    assert_int_equal(choose_default(SLICE("openai"), none, 2).n, 0); /* a sister is not the model */
    assert_int_equal(choose_default(SLICE("groq"), NULL, 0).n, 0);
    for (size_t i = 0; provider_at(i); i++) {
        d = choose_default(provider_at(i)->name, NULL, 0);
        assert_true(!d.n || choose_talks(d));
    }
}

static void add(struct choose_found *f, struct arena *a, const char *place, const char *model)
{
    assert_int_equal(choose_make(at(place), slice_of(model), a, &f->v[f->n++], NULL), OK);
}

static void test_rank(void **state)
{
    (void)state;
    static const char *const names[] = {"ANTHROPIC_API_KEY", "OPENAI_API_KEY"};
    static const char *const order[] = {"box/tiny:1b", "anthropic/claude-sonnet-5-5", "openai/gpt-5", "vllm/big-70b", "ollama/qwen3:8b",
                                        "vllm/small-8b", "ollama/phi4"};
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    struct choice v[16];
    struct choose_found f = {.v = v};
    make_places(names, 2);
    add(&f, &a, "ollama", "phi4");
    add(&f, &a, "ollama", "qwen3:8b");
    add(&f, &a, "vllm", "small-8b");
    add(&f, &a, "openai", "gpt-5");
    add(&f, &a, "vllm", "big-70b");
    add(&f, &a, "anthropic", "claude-sonnet-5-5");
    add(&f, &a, "box", "tiny:1b");
    choose_rank(f.v, f.n);
    for (size_t i = 0; i < f.n; i++)
        assert_string_equal(f.v[i].ref.p, order[i]);
    assert_int_equal(f.v[1].context, 1000000);
    assert_non_null(f.v[4].price);
    assert_null(f.v[2].price);
    choose_rank(NULL, 0);
}

static void test_resolve(void **state)
{
    (void)state;
    static const char *const names[] = {"ANTHROPIC_API_KEY"};
    static const struct {
        const char *word, *ref; /* ref NULL: an error */
        enum err err;
        const char *says;
    } cases[] = {
        {"anthropic/claude-opus-5", "anthropic/claude-opus-5", OK, ""},
        {"claude-opus-5", "anthropic/claude-opus-5", OK, ""}, /* the catalogue knows whose it is */
        {"box/org/model-x", "box/org/model-x", OK, ""},
        {"org/model-y", "box/org/model-y", OK, ""}, /* found, and its own name has a slash */
        {"qwen3:8b", "ollama/qwen3:8b", OK, ""},
        {"8b", "ollama/qwen3:8b", OK, ""},
        {"qwen3", NULL, ERR_USAGE, "may be several"},
        {"openai/gpt-5", NULL, ERR_MISSING, "crannog login openai"},
        {"nowhere/model", NULL, ERR_USAGE, "no model 'nowhere/model'"},
        {"ollama/", NULL, ERR_USAGE, "names no model"},
        {"ollama/a b", NULL, ERR_USAGE, "names no model"},
        {"", NULL, ERR_USAGE, "no model ''"},
        {"/", NULL, ERR_USAGE, "may be several"},
    };
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    struct choice v[16], got;
    struct choose_found f = {.v = v};
    struct error e;
    make_places(names, 1);
    add(&f, &a, "ollama", "qwen3:8b");
    add(&f, &a, "ollama", "qwen3:0.6b");
    add(&f, &a, "box", "org/model-y");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum err err = choose_resolve(places, n_places, &f, slice_of(cases[i].word), &a, &got, &e);
        if (err != cases[i].err || (!err && strcmp(got.ref.p, cases[i].ref) != 0) || (err && !strstr(e.text, cases[i].says)))
            fail_msg("'%s': %d %s", cases[i].word, err, err ? e.text : got.ref.p);
    }
    /* Without having looked, PLACE/MODEL is enough, and a mere name is not. */
    assert_int_equal(choose_resolve(places, n_places, NULL, SLICE("vllm/any"), &a, &got, &e), OK);
    assert_true(slice_is(got.place.base, "http://127.0.0.1:8000/v1") && slice_is(got.model, "any"));
    assert_int_equal(choose_resolve(places, n_places, NULL, SLICE("qwen3:8b"), &a, &got, &e), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_size), cmocka_unit_test(test_any_bytes), cmocka_unit_test(test_talks),
                                       cmocka_unit_test(test_places), cmocka_unit_test(test_default), cmocka_unit_test(test_rank),
                                       cmocka_unit_test(test_resolve)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
