/* infer/gguf and what is built on it refuse every model file that is not what it must be, in one clear line, without
   touching a byte outside it; memory refused anywhere is an ordinary error. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"
#include "infer/session.h"
#include "tiny_gguf.h"

/* Everything a LOAD does, over bytes that end at an end of memory, so that a sanitizer sees the first read behind it. */
static enum err load(struct slice file, struct error *e)
{
    char *copy = malloc(file.n ? file.n : 1);
    assert_non_null(copy);
    memcpy(copy, file.p, file.n);
    struct gguf g;
    struct vocab *v = NULL;
    struct model *m = NULL;
    enum err err = gguf_parse((struct slice){copy, file.n}, &g, e);
    if (!err) {
        err = vocab_new(&g, &v, e);
        if (!err)
            err = model_new(&g, ops_best(NULL), 1, 0, &m, e);
        model_free(m);
        vocab_free(v);
        gguf_release(&g);
    }
    free(copy);
    return err;
}

static void refused(struct slice file, enum err code, const char *words)
{
    struct error e = {0};
    enum err err = load(file, &e);
    if (err != code || !strstr(e.text, words) || strchr(e.text, '\n'))
        fail_msg("%s: '%s' instead of %s: '%s'", err_name(err), e.text, err_name(code), words);
}

static void spoiled(const struct tiny *t, enum err code, const char *words)
{
    struct buf file = tiny_gguf(t);
    refused(buf_slice(&file), code, words);
    buf_release(&file);
}

static const uint32_t formats[] = {WEIGHT_F32, WEIGHT_F16, WEIGHT_BF16, WEIGHT_Q8_0, WEIGHT_Q4_0, WEIGHT_Q4_1,
                                   WEIGHT_Q5_0, WEIGHT_Q5_1, WEIGHT_Q4_K, WEIGHT_Q5_K, WEIGHT_Q6_K};
enum { FORMATS = sizeof formats / sizeof *formats };

static void test_good(void **state)
{
    (void)state;
    struct tiny t = TINY_INIT;
    for (size_t i = 0; i < 2 * FORMATS; i++) {
        struct error e;
        t.type = formats[i % FORMATS];
        t.own_output = i >= FORMATS;
        t.width = t.hidden = weight_format(t.type).weights == GROUP ? GROUP : 64;
        struct buf file = tiny_gguf(&t);
        if (load(buf_slice(&file), &e))
            fail_msg("%s", e.text);
        buf_release(&file);
    }
}

/* Wherever it ends, that is found; nothing behind the end is read. */
static void test_cut_short(void **state)
{
    (void)state;
    struct tiny t = TINY_INIT;
    t.layers = 1;
    struct buf file = tiny_gguf(&t);
    for (size_t n = 0; n < file.n - 31; n += n < 9000 ? 1 : 97) /* up to 31 bytes behind the last weight are padding */
        refused(slice_sub(buf_slice(&file), 0, n), ERR_CORRUPT, "");
    refused(slice_sub(buf_slice(&file), 0, file.n - 32), ERR_CORRUPT, "it is cut short");
    refused(slice_sub(buf_slice(&file), 0, 5000), ERR_CORRUPT, "it is cut short");
    refused(SLICE(""), ERR_CORRUPT, "not a GGUF");
    buf_release(&file);
}

/* Each format's last weight is looked for where that format ends: 32 bytes less are too few, as are all ends before. */
static void test_cut_short_in_each_format(void **state)
{
    (void)state;
    for (size_t i = 0; i < FORMATS; i++) {
        struct tiny t = TINY_INIT;
        t.type = formats[i], t.layers = 1, t.own_output = true;
        t.width = t.hidden = weight_format(t.type).weights == GROUP ? GROUP : 64;
        struct buf file = tiny_gguf(&t);
        refused(slice_sub(buf_slice(&file), 0, file.n - 32), ERR_CORRUPT, "ends before the weights of 'output.weight'");
        for (size_t n = file.n - 32; n > file.n / 2; n -= file.n / 32)
            refused(slice_sub(buf_slice(&file), 0, n), ERR_CORRUPT, "it is cut short");
        buf_release(&file);
    }
}

/* A tensor that says it is of another format than its weights are: too few bytes for it, rows of no whole blocks, or
   just other weights; never a read outside the file. */
static void test_lies_about_the_format(void **state)
{
    (void)state;
    for (size_t i = 0; i < FORMATS; i++)
        for (size_t lie = 0; lie < FORMATS + 3; lie++) {
            const uint32_t unread[] = {4, 10, 39}, says = lie < FORMATS ? formats[lie] : unread[lie - FORMATS];
            struct tiny t = TINY_INIT;
            struct error e = {0};
            t.type = formats[i], t.layers = 1, t.own_output = true;
            t.width = t.hidden = weight_format(t.type).weights == GROUP ? GROUP : 64;
            struct buf file = tiny_gguf(&t);
            size_t at = slice_find(buf_slice(&file), SLICE("output.weight"), 0);
            while (file.p[at - 1] == '_') /* blk.0.attn_output.weight */
                at = slice_find(buf_slice(&file), SLICE("output.weight"), at + 1);
            file.p[at + strlen("output.weight") + 20] = (char)says;
            enum err err = load(buf_slice(&file), &e);
            uint64_t need = gguf_type_bytes(says, t.width), have = gguf_type_bytes(t.type, t.width);
            assert_int_equal(err, !weight_format(says).weights ? ERR_UNSUPPORTED : !need || need > have ? ERR_CORRUPT : OK);
            assert_true(!err || (e.text[0] && !strchr(e.text, '\n')));
            buf_release(&file);
        }
}

static void poke(struct buf *b, size_t at, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        b->p[at + i] = (char)(v >> (8 * i));
}

/* Where the bytes that describe a name's value or tensor start. */
static size_t behind(const struct buf *b, const char *name)
{
    size_t at = slice_find(buf_slice(b), slice_of(name), 0);
    assert_true(at < b->n);
    return at + strlen(name);
}

static void poked(size_t at, const char *name, uint64_t v, size_t n, enum err code, const char *words)
{
    struct tiny t = TINY_INIT;
    struct buf file = tiny_gguf(&t);
    poke(&file, at + (name ? behind(&file, name) : 0), v, n);
    refused(buf_slice(&file), code, words);
    buf_release(&file);
}

static void test_absurd_numbers(void **state)
{
    (void)state;
    poked(0, NULL, 0x47475546, 4, ERR_CORRUPT, "not a GGUF"); /* big-endian magic */
    poked(4, NULL, 9, 4, ERR_VERSION, "version 9");
    poked(8, NULL, UINT64_MAX, 8, ERR_CORRUPT, "tensors");
    poked(16, NULL, 1u << 31, 8, ERR_CORRUPT, "keys");
    poked(8, NULL, 5000, 8, ERR_CORRUPT, "");
    poked(24, NULL, UINT64_MAX, 8, ERR_CORRUPT, ""); /* length of the first key's name */
    poked(24, NULL, 0, 8, ERR_CORRUPT, "name of 0 bytes");
    poked(0, "general.architecture", 77, 4, ERR_CORRUPT, "unknown kind 77");
    poked(4, "general.architecture", UINT64_MAX, 8, ERR_CORRUPT, "cut short");
    poked(4, "tokenizer.ggml.tokens", 9, 4, ERR_CORRUPT, "unknown kind 9"); /* arrays of arrays */
    poked(8, "tokenizer.ggml.tokens", UINT64_MAX / 4, 8, ERR_CORRUPT, "items");
    poked(8, "tokenizer.ggml.tokens", 1000000, 8, ERR_CORRUPT, "");
    poked(8, "tokenizer.ggml.token_type", 7, 8, ERR_CORRUPT, "");
    poked(0, "token_embd.weight", 0, 4, ERR_CORRUPT, "0 dimensions");
    poked(0, "token_embd.weight", 5, 4, ERR_CORRUPT, "5 dimensions");
    poked(4, "token_embd.weight", 0, 8, ERR_CORRUPT, "impossible size");
    poked(4, "token_embd.weight", UINT64_MAX, 8, ERR_CORRUPT, "impossible size");
    poked(4, "token_embd.weight", 1u << 30, 8, ERR_CORRUPT, "ends before the weights of 'token_embd.weight'");
    poked(4, "token_embd.weight", 64, 8, ERR_CORRUPT, "64 x 269; the model needs 32 x 269");
    poked(20, "token_embd.weight", 10, 4, ERR_UNSUPPORTED, "Q2_K); this build reads " WEIGHT_FORMATS);
    poked(20, "token_embd.weight", 12, 4, ERR_CORRUPT, "no multiple of 256 as Q4_K needs");
    poked(20, "token_embd.weight", 4711, 4, ERR_UNSUPPORTED, "type 4711");
    poked(24, "token_embd.weight", UINT64_MAX - 31, 8, ERR_CORRUPT, "ends before the weights");
    poked(24, "token_embd.weight", 8, 8, ERR_CORRUPT, "odd place");
    poked(4, "llama.block_count", 0, 4, ERR_CORRUPT, "llama.block_count");
    poked(4, "llama.block_count", UINT32_MAX, 4, ERR_CORRUPT, "llama.block_count");
    poked(4, "llama.block_count", 3, 4, ERR_CORRUPT, "no tensor 'blk.2.");
    poked(4, "llama.block_count", 1, 4, ERR_UNSUPPORTED, "20 tensors where a plain llama has 11");
    poked(4, "llama.embedding_length", 64, 4, ERR_CORRUPT, "64 x 269");
    poked(4, "llama.attention.head_count", 0, 4, ERR_CORRUPT, "head_count");
    poked(4, "llama.attention.head_count", 3, 4, ERR_CORRUPT, "");
    poked(4, "llama.attention.head_count_kv", 0, 4, ERR_CORRUPT, "head_count_kv");
    poked(4, "llama.attention.layer_norm_rms_epsilon", 0x7fc00000, 4, ERR_UNSUPPORTED, "attention"); /* NaN */
    poked(4, "llama.rope.freq_base", 0, 4, ERR_UNSUPPORTED, "attention");
    poked(12, "general.architecture", 'q', 1, ERR_UNSUPPORTED, "architecture");
    poked(12, "tokenizer.ggml.pre", 'x', 1, ERR_UNSUPPORTED, "xmollm");
    poked(12, "tokenizer.ggml.pre", 0x0a, 1, ERR_UNSUPPORTED, "splits text"); /* a newline in the message's name */
    poked(24, "tokenizer.ggml.merges", 'x', 1, ERR_CORRUPT, "merge 0"); /* "x h": "xh" is no token */
}

static void test_missing_and_doubled(void **state)
{
    (void)state;
    const struct {
        const char *name;
        enum err code;
        const char *without, *twice;
    } parts[] = {
        {"llama.block_count", ERR_CORRUPT, "missing", "twice"},
        {"llama.context_length", ERR_CORRUPT, "missing", "twice"},
        {"tokenizer.ggml.tokens", ERR_CORRUPT, "vocabulary", NULL},
        {"tokenizer.ggml.merges", ERR_CORRUPT, "merges", NULL},
        {"token_embd.weight", ERR_CORRUPT, "no tensor 'token_embd.weight'", "twice"},
        {"output_norm.weight", ERR_CORRUPT, "no tensor 'output_norm.weight'", "twice"},
        {"blk.1.ffn_down.weight", ERR_CORRUPT, "no tensor 'blk.1.ffn_down.weight'", "twice"},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct tiny t = TINY_INIT;
        t.without = parts[i].name;
        spoiled(&t, parts[i].code, parts[i].without);
        t.without = NULL, t.twice = parts[i].name;
        if (parts[i].twice)
            spoiled(&t, ERR_CORRUPT, parts[i].twice);
    }
    struct tiny t = TINY_INIT;
    t.without = "tokenizer.ggml.pre";
    spoiled(&t, ERR_UNSUPPORTED, "splits text");
    t.without = NULL, t.short_by_a_row = "blk.0.attn_k.weight";
    spoiled(&t, ERR_CORRUPT, "32 x 15; the model needs 32 x 16");
    t.short_by_a_row = NULL, t.own_output = true, t.type = WEIGHT_Q4_1, t.width = 48, t.heads = 3;
    spoiled(&t, ERR_CORRUPT, "no multiple of 32 as Q4_1 needs"); /* rows of one and a half blocks */
}

/* Each byte of the description set to each of some values: refused or loaded, never worse. */
static void test_any_byte(void **state)
{
    (void)state;
    struct tiny t = TINY_INIT;
    t.layers = 1;
    struct buf file = tiny_gguf(&t);
    size_t described = behind(&file, "output_norm.weight") + 32;
    const char values[] = {0, 1, 0x7f, (char)0x80, (char)0xff};
    for (size_t at = 0; at < described; at += at < 600 ? 1 : 3) {
        char old = file.p[at];
        for (size_t v = 0; v < sizeof values; v++) {
            struct error e = {0};
            file.p[at] = values[v];
            if (load(buf_slice(&file), &e))
                assert_true(e.text[0] && !strchr(e.text, '\n'));
        }
        file.p[at] = old;
    }
    buf_release(&file);
}

static void test_memory_refused(void **state)
{
    (void)state;
    struct tiny t = TINY_INIT;
    struct buf file = tiny_gguf(&t);
    FD_CLEANUP int fd = sys_memfd("model", buf_slice(&file));
    struct turn turn = {SLICE("user"), SLICE("the thing")};
    struct request r = {.turns = &turn, .nturns = 1, .max_tokens = 3, .sample = {.top_p = 1, .repeat = 1}};
    enum err err = ERR_MEMORY;
    unsigned n = 0;
    while (err) {
        struct session s;
        struct reply reply;
        struct error e = {0};
        sys_fail_nth(++n, ENOMEM, SYS_FAULT_MEMORY);
        err = session_open(fd, 2, 0, NULL, &s, &e);
        if (!err) {
            err = session_answer(&s, &r, &reply, &e);
            if (!err)
                buf_release(&reply.text);
            session_close(&s);
        }
        sys_fail_nth(0, 0, 0);
        if (err)
            assert_true((err == ERR_MEMORY || err == ERR_LIMIT) && e.text[0]);
        assert_true(n < 1000);
    }
    assert_true(n > 10); /* it did fail in many places */
    buf_release(&file);
}

static void test_not_a_file(void **state)
{
    (void)state;
    struct session s;
    struct error e;
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(session_open(pipes[0], 1, 0, NULL, &s, &e), ERR_CORRUPT);
    assert_int_equal(session_open(-1, 1, 0, NULL, &s, &e), err_from_errno(EBADF));
    FD_CLEANUP int empty = sys_memfd("empty", SLICE(""));
    assert_int_equal(session_open(empty, 1, 0, NULL, &s, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "empty"));
    close(pipes[0]), close(pipes[1]);
}

static void test_asked_for_too_much(void **state)
{
    (void)state;
    struct tiny t = TINY_INIT;
    struct buf file = tiny_gguf(&t);
    FD_CLEANUP int fd = sys_memfd("model", buf_slice(&file));
    struct session s;
    struct error e;
    assert_int_equal(session_open(fd, 1, 97, NULL, &s, &e), ERR_USAGE);
    assert_non_null(strstr(e.text, "96"));
    assert_int_equal(session_open(fd, 0, 0, NULL, &s, &e), ERR_USAGE);
    assert_int_equal(session_open(fd, 65, 0, NULL, &s, &e), ERR_USAGE);
    assert_int_equal(session_open(fd, 1, 0, "mmx", &s, &e), ERR_UNSUPPORTED);
    buf_release(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_cut_short_in_each_format),
        cmocka_unit_test(test_lies_about_the_format),
        cmocka_unit_test(test_absurd_numbers),
        cmocka_unit_test(test_missing_and_doubled),
        cmocka_unit_test(test_any_byte),
        cmocka_unit_test(test_memory_refused),
        cmocka_unit_test(test_not_a_file),
        cmocka_unit_test(test_asked_for_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
