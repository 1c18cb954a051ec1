/* Answers with tools, token by token, with random choices in the model's place: every call is one that its tool's schema
   accepts, however few tokens there are; the mask allows exactly what would be taken; text keeps no mark of a call. With
   the vocabulary of a made-up model, and with a real one's where CRANNOG_TEST_MODEL names it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sys.h"
#include "infer/grammar.h"
#include "infer_rig.h"
#include "schema_rig.h"
#include "tiny_gguf.h"

enum { PLENTY = 100000 };

static struct vocab *vocab;
static struct lexicon *lexicon;
static size_t vocab_n;
static struct tools tools;
static struct json *tools_json;

static struct grammar *start(enum grammar_choice choice)
{
    struct grammar *g;
    struct error e;
    if (grammar_new(&tools, lexicon, vocab, choice, &g, &e))
        fail_msg("%s", e.text);
    return g;
}

static bool is_allowed(const uint64_t *bits, int32_t id)
{
    return !bits || (bits[id / 64] >> id % 64 & 1);
}

/* What the model would have wanted: any allowed token, those with a quote or a brace more often. -1: none is. */
static int32_t random_token(const uint64_t *bits)
{
    int32_t found = -1;
    for (int round = 0; round < 400; round++) {
        int32_t id = (int32_t)(random_u32() % vocab_n);
        if (is_allowed(bits, id))
            found = id;
        if (found >= 0 && round % 8 == 7)
            return found;
    }
    uint32_t seen = 0;
    for (int32_t id = 0; found < 0 || (seen && (size_t)id < vocab_n); id++) {
        if ((size_t)id == vocab_n)
            return -1;
        if (is_allowed(bits, id) && random_u32() % ++seen == 0)
            found = id;
    }
    return found;
}

/* The likely ends of things, so that walks come to an end. */
static int32_t token_of(const char *text)
{
    TOKENS_CLEANUP struct tokens t = {0};
    vocab_encode(vocab, slice_of(text), &t);
    return t.n == 1 ? t.id[0] : -1;
}

static int32_t choose(const uint64_t *bits)
{
    int32_t quote = token_of("\""), id = random_token(bits);
    bool closing = random_u32() % 8 == 0 && quote >= 0 && is_allowed(bits, quote);
    return closing ? quote : id;
}

static bool is_end(int32_t id)
{
    for (size_t i = 0; i < lexicon->nends; i++)
        if (lexicon->ends[i] == id)
            return true;
    return false;
}

static void check_calls(const struct grammar *g)
{
    for (size_t i = 0; i < grammar_calls(g); i++) {
        struct said_call call = grammar_call(g, i);
        JSON_CLEANUP struct json *v = NULL;
        struct error e;
        if (json_parse(call.arguments, &v, &e))
            fail_msg("%.*s: %s", SLICE_ARG(call.arguments), e.text);
        size_t t = 0;
        while (!slice_eq(json_text(json_get(json_at(tools_json, t), "name")), call.name))
            assert_true(++t < json_count(tools_json));
        if (!valid(json_get(json_at(tools_json, t), "parameters"), v))
            fail_msg("%.*s %.*s is not valid", SLICE_ARG(call.name), SLICE_ARG(call.arguments));
    }
    assert_true(slice_find(grammar_text(g), SLICE(CALL_MARK), 0) == grammar_text(g).n);
}

/* As session.c does it, with at most `most` tokens; returns how many there were. */
static size_t answer(struct grammar *g, size_t most)
{
    size_t n = 0;
    TOKENS_CLEANUP struct tokens end = {0};
    if (!grammar_fits(g, most))
        return 0;
    while (n < most) {
        int32_t id = choose(grammar_allowed(g));
        if (id >= 0 && is_end(id))
            break;
        if (id < 0 || !grammar_take(g, id, most - n - 1)) {
            grammar_close(g, &end);
            n += end.n;
            break;
        }
        n++;
    }
    assert_true(n <= most && (grammar_may_end(g) || !most));
    check_calls(g);
    return n;
}

static void test_any_length(void **state)
{
    (void)state;
    size_t with = 0, several = 0, shortened = 0;
    for (int i = 0; i < 600; i++) {
        struct grammar *g = start(CHOICE_ANY);
        answer(g, i < 300 ? (size_t)i : random_u32() % 3000);
        with += grammar_calls(g) > 0, several += grammar_calls(g) > 1, shortened += grammar_shortened(g);
        assert_int_equal(grammar_text(g).n, 0);
        grammar_free(g);
    }
    print_message("%zu with calls, %zu with several, %zu shortened\n", with, several, shortened);
    assert_true(with > 300 && several > 3 && shortened > 30 && shortened < with); /* all of it has been tried */
}

/* Takes a text's tokens; false at the first that is refused. */
static bool say(struct grammar *g, const char *text, size_t left)
{
    TOKENS_CLEANUP struct tokens t = {0};
    vocab_encode(vocab, slice_of(text), &t);
    for (size_t i = 0; i < t.n; i++)
        if (!grammar_take(g, t.id[i], left - i))
            return false;
    return true;
}

#define READ_CALL CALL_OPEN "{\"name\": \"read\", \"arguments\": {\"path\": \"a\"}}" CALL_CLOSE

static void expect_text(enum grammar_choice choice, const char *said, bool taken, const char *text, size_t calls)
{
    struct grammar *g = start(choice);
    if (say(g, said, PLENTY) != taken || !slice_is(grammar_text(g), text) || grammar_calls(g) != calls)
        fail_msg("%s becomes '%.*s' and %zu calls", said, SLICE_ARG(grammar_text(g)), grammar_calls(g));
    check_calls(g);
    grammar_free(g);
}

static void test_text_and_calls(void **state)
{
    (void)state;
    expect_text(CHOICE_AUTO, "a < b, <b> and <tool> <<to", true, "a < b, <b> and <tool> <", 0);
    expect_text(CHOICE_AUTO, "see\n<<tool_call", true, "see\n<", 0);
    expect_text(CHOICE_AUTO, "see\n" READ_CALL, true, "see\n", 1);
    expect_text(CHOICE_AUTO, READ_CALL "\n" READ_CALL "\n", true, "", 2);
    expect_text(CHOICE_AUTO, READ_CALL "\nand", false, "", 1);
    expect_text(CHOICE_AUTO, "x" CALL_OPEN "{\"name\": \"rm", false, "x", 0);
    expect_text(CHOICE_AUTO, CALL_OPEN "{\"name\": \"read\", \"arguments\": {}", false, "", 0);
    expect_text(CHOICE_NONE, "x<tool_call", true, "x", 0);
    expect_text(CHOICE_NONE, "x" CALL_MARK, false, "x", 0);
    expect_text(CHOICE_ANY, "x", false, "", 0);
    expect_text(CHOICE_ANY, READ_CALL, true, "", 1);
    BUF_CLEANUP struct buf many = BUF_INIT(1 << 16);
    for (int i = 0; i < GRAMMAR_CALLS_MAX; i++)
        buf_add_text(&many, i ? "\n" READ_CALL : READ_CALL);
    expect_text(CHOICE_ANY, buf_str(&many), true, "", GRAMMAR_CALLS_MAX);
    buf_add_char(&many, '\n');
    expect_text(CHOICE_ANY, buf_str(&many), false, "", GRAMMAR_CALLS_MAX);
}

/* A mark for whose call there is no room is not taken, and the text ends before it. */
static void test_no_room(void **state)
{
    (void)state;
    struct grammar *g = start(CHOICE_AUTO);
    TOKENS_CLEANUP struct tokens end = {0};
    assert_false(say(g, "see <tool_call>", 20));
    grammar_close(g, &end);
    assert_true(grammar_may_end(g) && !end.n && slice_is(grammar_text(g), "see ") && !grammar_calls(g));
    grammar_free(g);
    g = start(CHOICE_ANY);
    assert_true(say(g, CALL_OPEN "{\"name\": \"bash\", \"arguments\": {\"command\": \"ls", PLENTY));
    grammar_close(g, &end);
    assert_true(grammar_calls(g) == 1 && grammar_shortened(g));
    assert_true(slice_is(grammar_call(g, 0).name, "bash") && slice_is(grammar_call(g, 0).arguments, "{\"command\": \"ls\"}"));
    grammar_free(g);
}

static void test_long_string_is_shortened(void **state)
{
    (void)state;
    struct grammar *g = start(CHOICE_ANY);
    assert_true(say(g, CALL_OPEN "{\"name\": \"bash\", \"arguments\": {\"command\": \"", PLENTY));
    for (int i = 0; i < SCHEMA_STRING_BYTES; i++)
        assert_true(say(g, "x", PLENTY));
    assert_false(say(g, "x", PLENTY));
    assert_true(say(g, "\"}}" CALL_CLOSE, PLENTY) && grammar_shortened(g));
    check_calls(g);
    assert_true(say(g, "\n" READ_CALL, PLENTY) && !grammar_shortened(g));
    grammar_free(g);
}

/* Near the bound of a string not all that may stand in one fits. */
static void test_mask_at_the_end_of_a_string(void **state)
{
    (void)state;
    struct grammar *g = start(CHOICE_ANY);
    TOKENS_CLEANUP struct tokens x = {0}, the = {0}, quote = {0};
    vocab_encode(vocab, SLICE("x"), &x), vocab_encode(vocab, SLICE("the"), &the), vocab_encode(vocab, SLICE("\""), &quote);
    assert_true(x.n == 1 && the.n == 1 && quote.n == 1);
    assert_true(say(g, CALL_OPEN "{\"name\": \"read\", \"arguments\": {\"path\": \"", PLENTY));
    for (int i = 0; i < 200; i++) {
        assert_int_equal(is_allowed(grammar_allowed(g), the.id[0]), i + 3 <= 200);
        assert_true(is_allowed(grammar_allowed(g), x.id[0]) && is_allowed(grammar_allowed(g), quote.id[0]));
        assert_true(grammar_take(g, x.id[0], PLENTY));
    }
    assert_false(is_allowed(grammar_allowed(g), x.id[0]));
    grammar_free(g);
}

static void test_forced(void **state)
{
    (void)state;
    struct grammar *g = start(CHOICE_ANY);
    TOKENS_CLEANUP struct tokens t = {0};
    BUF_CLEANUP struct buf text = BUF_INIT(1024);
    struct slice whole = SLICE(CALL_OPEN "{\"name\": \"");
    grammar_forced(g, vocab, PLENTY, &t);
    assert_true(t.n > 3);
    for (size_t i = 0; i < t.n; i++) {
        vocab_decode(vocab, t.id[i], &text);
        assert_true(grammar_take(g, t.id[i], PLENTY));
    }
    assert_true(slice_starts(whole, buf_slice(&text)) && text.n + 4 > whole.n);
    t.n = 0;
    assert_true(say(g, whole.p + text.n, PLENTY) && say(g, "bash", PLENTY));
    grammar_forced(g, vocab, 3, &t);
    assert_int_equal(t.n, 3);
    grammar_free(g);
    g = start(CHOICE_AUTO);
    t.n = 0;
    grammar_forced(g, vocab, PLENTY, &t);
    assert_int_equal(t.n, 0);
    grammar_free(g);
}

/* Beside grammars that have come to the same place and are asked about one token each. */
static void test_mask_is_what_is_taken(void **state)
{
    (void)state;
    size_t some = 0;
    for (int i = 0; i < 25; i++) {
        TOKENS_CLEANUP struct tokens said = {0};
        enum grammar_choice choice = i % 5 == 4 ? CHOICE_AUTO : CHOICE_ANY;
        struct grammar *g = start(choice);
        for (size_t n = random_u32() % 120; n; n--) {
            int32_t id = choice == CHOICE_AUTO && !grammar_allowed(g) ? token_of("<") : choose(grammar_allowed(g));
            if (id < 0 || is_end(id) || !grammar_take(g, id, PLENTY))
                break;
            tokens_add(&said, id);
        }
        const uint64_t *bits = grammar_allowed(g);
        for (size_t k = 0; bits && k < 400; k++) {
            int32_t id = vocab_n < 400 ? (int32_t)(k % vocab_n) : k % 4 ? (int32_t)(random_u32() % vocab_n) : random_token(bits);
            struct grammar *other = start(choice);
            for (size_t j = 0; j < said.n; j++)
                assert_true(grammar_take(other, said.id[j], PLENTY));
            bool taken = is_end(id) ? grammar_may_end(other) : id >= 0 && grammar_take(other, id, PLENTY);
            if (id >= 0 && taken != is_allowed(bits, id)) {
                BUF_CLEANUP struct buf text = BUF_INIT(1024);
                vocab_decode(vocab, id, &text);
                if (text.n) /* a token without bytes is nothing to say */
                    fail_msg("token %d '%s' behind %zu others: mask %d, taken %d", id, buf_str(&text), said.n, !taken, taken);
            }
            some += taken;
            grammar_free(other);
        }
        grammar_free(g);
    }
    assert_true(some > 1000);
}

static void test_tools_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum err code;
        const char *words;
    } rows[] = {
        {"[", ERR_CORRUPT, "the list of tools: "},
        {"{}", ERR_USAGE, "is no list"},
        {"[{}]", ERR_USAGE, "tool 1 has no name"},
        {"[{\"name\":\"a\"},{\"name\":\"a\"}]", ERR_USAGE, "two tools are called 'a'"},
        {"[{\"name\":\"a\",\"parameters\":{\"type\":\"string\"}}]", ERR_UNSUPPORTED, "the tool 'a': its arguments are no object"},
        {"[{\"name\":\"a\",\"parameters\":{\"allOf\":[]}}]", ERR_UNSUPPORTED, "the tool 'a': the schema at"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tools t;
        struct error e = {0};
        enum err err = tools_read(slice_of(rows[i].json), &t, &e);
        if (err != rows[i].code || !strstr(e.text, rows[i].words))
            fail_msg("%s gives %d '%s'", rows[i].json, err, e.text);
    }
}

static int play(const char *what, struct slice file)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_length),
        cmocka_unit_test(test_text_and_calls),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_long_string_is_shortened),
        cmocka_unit_test(test_mask_at_the_end_of_a_string),
        cmocka_unit_test(test_forced),
        cmocka_unit_test(test_mask_is_what_is_taken),
        cmocka_unit_test(test_tools_that_are_refused),
    };
    struct gguf g;
    struct error e = {0};
    enum err err = gguf_parse(file, &g, &e);
    vocab_n = err ? 0 : (size_t)gguf_key(&g, "tokenizer.ggml.tokens")->count;
    if (!err)
        err = vocab_new(&g, &vocab, &e);
    if (!err)
        err = lexicon_new(vocab, vocab_n, SLICE(CALL_MARK), &lexicon, &e);
    if (!err)
        err = tools_read(SLICE(TEST_TOOLS), &tools, &e);
    if (err || json_parse(SLICE(TEST_TOOLS), &tools_json, &e)) {
        fprintf(stderr, "%s: %s\n", what, e.text);
        return 1;
    }
    int failed = cmocka_run_group_tests_name(what, tests, NULL, NULL);
    json_free(tools_json);
    tools_release(&tools);
    lexicon_free(lexicon);
    vocab_free(vocab);
    gguf_release(&g);
    return failed;
}

int main(void)
{
    struct tiny t = TINY_INIT;
    struct buf file = tiny_gguf(&t);
    int failed = play("made-up vocabulary", buf_slice(&file));
    buf_release(&file);
    const char *path = getenv("CRANNOG_TEST_MODEL");
    FD_CLEANUP int fd = path ? open(path, O_RDONLY) : -1;
    struct slice mapped;
    if (fd >= 0 && !gguf_map(fd, &mapped, NULL)) {
        failed += play("a real vocabulary", mapped);
        gguf_unmap(mapped);
    }
    return failed;
}
