/* text: exactly the language of the contracts is taken, each refusal names its place, what is printed reads back. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sys.h"
#include "text/yaml.h"

/* A repeatable stream of numbers. */
static uint64_t seed = 1;
static unsigned noise(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

/* Parses a copy of the exact size, so that a sanitizer sees a byte too many. */
static enum err parse(enum err (*f)(struct slice, struct json **, struct error *), struct slice s, struct json **ret,
                      struct error *e)
{
    char *copy = malloc(s.n ? s.n : 1);
    memcpy(copy, s.p, s.n);
    enum err err = f((struct slice){copy, s.n}, ret, e);
    free(copy);
    return err;
}

static void assert_prints(const struct json *v, struct slice want)
{
    BUF_CLEANUP struct buf got = BUF_INIT(1 << 20);
    json_print(v, &got);
    assert_string_equal(buf_str(&got), want.p);
    assert_int_equal(got.n, want.n);
}

/* ---- JSON ---- */

#define S(literal) {"" literal, sizeof(literal) - 1}

static const struct {
    struct slice in, out;
} json_good[] = {
    {S("null"), S("null")},
    {S(" [ ] "), S("[]")},
    {S("\t\r\n{ }"), S("{}")},
    {S("[1 , 2,\n3]"), S("[1,2,3]")},
    {S("{\"b\" : 1, \"a\":{\"b\":null}}"), S("{\"b\":1,\"a\":{\"b\":null}}")}, /* order is kept */
    {S("true"), S("true")},
    {S("[false]"), S("[false]")},
    /* numbers */
    {S("9007199254740993"), S("9007199254740993")},
    {S("9223372036854775807"), S("9223372036854775807")},
    {S("9223372036854775808"), S("9223372036854775808")},
    {S("18446744073709551615"), S("18446744073709551615")},
    {S("-9223372036854775808"), S("-9223372036854775808")},
    {S("0.1"), S("0.1")},
    {S("-0.0"), S("-0.0")},
    {S("1E+2"), S("1E+2")},
    {S("1e5"), S("1e5")},
    {S("3.14159265358979323846264338327950288"), S("3.14159265358979323846264338327950288")},
    {S("0"), S("0")},
    {S("[-0]"), S("[0]")},
    /* strings */
    {S("\"\\u0000\""), S("\"\\u0000\"")},
    {S("\"a\\u0000b\""), S("\"a\\u0000b\"")},
    {S("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), S("\"\\\"\\\\/\\b\\f\\n\\r\\t\"")},
    {S("\"\\u0041\\u00e9\\u20AC\""), S("\"A\xc3\xa9\xe2\x82\xac\"")},
    {S("\"\\ud83d\\ude00\""), S("\"\xf0\x9f\x98\x80\"")},
    {S("\"\\udbff\\udfff\\ud800\\udc00\""), S("\"\xf4\x8f\xbf\xbf\xf0\x90\x80\x80\"")},
    {S("\"\\ud83d\""), S("\"\xef\xbf\xbd\"")},                       /* lone surrogates */
    {S("\"\\udc00\\udc00\""), S("\"\xef\xbf\xbd\xef\xbf\xbd\"")},
    {S("\"\\ude00x\""), S("\"\xef\xbf\xbdx\"")},
    {S("\"\\ud83d\\u0041\""), S("\"\xef\xbf\xbd\x41\"")},
    {S("\"\\ud83d\\ud83d\\ude00\""), S("\"\xef\xbf\xbd\xf0\x9f\x98\x80\"")},
    {S("\"\x7f\xc2\x80\xe2\x80\xa8/\""), S("\"\x7f\xc2\x80\xe2\x80\xa8/\"")},
    {S("\"\\u001f\\u007F\\u0080\\u07ff\\u0800\\uffff\""), S("\"\\u001f\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\"")},
    {S("{\"\":\"\"}"), S("{\"\":\"\"}")},
    {S("{\"a\":1,\"A\":2}"), S("{\"a\":1,\"A\":2}")},
};

static void test_json_takes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof json_good / sizeof *json_good; i++) {
        struct json *v = NULL;
        struct error e = {0};
        if (parse(json_parse, json_good[i].in, &v, &e))
            fail_msg("%s: %s", json_good[i].in.p, e.text);
        assert_prints(v, json_good[i].out);
        json_free(v);
    }
}

/* Keys of every length around the growth of the parser's buffer; a sanitizer sees a key read where it no longer is. */
static void test_json_keys_of_every_length(void **state)
{
    (void)state;
    char name[600];
    memset(name, 'k', sizeof name);
    for (int n = 0; n < (int)sizeof name; n++) {
        BUF_CLEANUP struct buf b = BUF_INIT(2000);
        buf_addf(&b, "{\"%.*s\":{\"%.*s\":1}}", n, name, n, name);
        struct json *v = NULL;
        assert_int_equal(json_parse(buf_slice(&b), &v, NULL), OK);
        assert_prints(v, buf_slice(&b));
        json_free(v);
    }
}

static const struct {
    struct slice in;
    enum err err;
} json_bad[] = {
    {S(""), ERR_CORRUPT},
    {S("   "), ERR_CORRUPT},
    {S("NaN"), ERR_CORRUPT},
    {S("[nan]"), ERR_CORRUPT},
    {S("Infinity"), ERR_CORRUPT},
    {S("[-Infinity]"), ERR_CORRUPT},
    {S("{'a':1}"), ERR_CORRUPT},
    {S("'a'"), ERR_CORRUPT},
    {S("\"a\nb\""), ERR_CORRUPT},
    {S("\"a\tb\""), ERR_CORRUPT},
    {S("\"a\0b\""), ERR_CORRUPT},
    {S("{\"a\x1f\":1}"), ERR_CORRUPT},
    {S("{\"a\":1,\"b\":2,\"a\":3}"), ERR_CORRUPT},
    {S("{\"a\":null,\"\\u0061\":3}"), ERR_CORRUPT},
    {S("{\"a\":{\"b\":1,\"b\":1}}"), ERR_CORRUPT},
    {S("{\"a\\u0000b\":1}"), ERR_CORRUPT},
    {S("1 2"), ERR_CORRUPT},
    {S("{}}"), ERR_CORRUPT},
    {S("{}\0"), ERR_CORRUPT},
    {S("null,"), ERR_CORRUPT},
    {S("True"), ERR_CORRUPT},
    {S("tru"), ERR_CORRUPT},
    {S("nulll"), ERR_CORRUPT},
    {S("[1,]"), ERR_CORRUPT},
    {S("[,1]"), ERR_CORRUPT},
    {S("[1 2]"), ERR_CORRUPT},
    {S("[1"), ERR_CORRUPT},
    {S("[1}"), ERR_CORRUPT},
    {S("{\"a\":1,}"), ERR_CORRUPT},
    {S("{\"a\" 1}"), ERR_CORRUPT},
    {S("{\"a\":}"), ERR_CORRUPT},
    {S("{a:1}"), ERR_CORRUPT},
    {S("{1:1}"), ERR_CORRUPT},
    {S("{\"a\":1"), ERR_CORRUPT},
    {S("{\"a\":1 /* no */}"), ERR_CORRUPT},
    {S("// no\n1"), ERR_CORRUPT},
    {S("\"abc"), ERR_CORRUPT},
    {S("\"abc\\"), ERR_CORRUPT},
    {S("\"\\x41\""), ERR_CORRUPT},
    {S("\"\\'\""), ERR_CORRUPT},
    {S("\"\\u12\""), ERR_CORRUPT},
    {S("\"\\u12g4\""), ERR_CORRUPT},
    {S("\"\\u"), ERR_CORRUPT},
    {S("\"\\ud83d\\u12\""), ERR_CORRUPT},
    {S("\"\\ud83d\\"), ERR_CORRUPT},
    {S("01"), ERR_CORRUPT},
    {S("-"), ERR_CORRUPT},
    {S("-01"), ERR_CORRUPT},
    {S("+1"), ERR_CORRUPT},
    {S(".5"), ERR_CORRUPT},
    {S("1."), ERR_CORRUPT},
    {S("1.e5"), ERR_CORRUPT},
    {S("1e"), ERR_CORRUPT},
    {S("1e+"), ERR_CORRUPT},
    {S("0x10"), ERR_CORRUPT},
    {S("1_000"), ERR_CORRUPT},
    {S("18446744073709551616"), ERR_LIMIT},
    {S("[-9223372036854775809]"), ERR_LIMIT},
    {S("[1e400]"), ERR_LIMIT},
    {S("\xef\xbb\xbf{}"), ERR_CORRUPT}, /* byte order mark */
    {S("\"\xff\""), ERR_CORRUPT},
    {S("\"ab\xc3\xa9\xed\xa0\x80\""), ERR_CORRUPT},
    {S("\"\xc3"), ERR_CORRUPT},
    {S("\xc2\xa0""1"), ERR_CORRUPT}, /* a blank, but not one of JSON's */
    {S("\f1"), ERR_CORRUPT},
};

static void test_json_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof json_bad / sizeof *json_bad; i++) {
        struct json *v = NULL;
        struct error e = {0};
        enum err err = parse(json_parse, json_bad[i].in, &v, &e);
        struct slice text = slice_of(e.text);
        int64_t at = -1;
        size_t behind = slice_find(text, SLICE(" at offset "), 0) + 11;
        if (err != json_bad[i].err || v || behind > text.n || !slice_int(slice_sub(text, behind, text.n), &at) ||
            at < 0 || (size_t)at > json_bad[i].in.n)
            fail_msg("%s: %d, \"%s\"", json_bad[i].in.p, err, e.text);
    }
}

static void test_json_depth_and_length(void **state)
{
    (void)state;
    for (unsigned depth = 1; depth <= 100000; depth = depth == 1 ? 32 : depth == 32 ? 33 : 100000) {
        BUF_CLEANUP struct buf b = BUF_INIT(1 << 20);
        for (unsigned i = 0; i < depth; i++)
            buf_add_char(&b, '[');
        for (unsigned i = 0; i < depth; i++)
            buf_add_char(&b, ']');
        struct json *v = NULL;
        assert_int_equal(json_parse(buf_slice(&b), &v, NULL), depth <= JSON_DEPTH_MAX ? OK : ERR_LIMIT);
        json_free(v);
        if (depth == 100000)
            break;
    }
    struct json *v = NULL; /* going up again makes room */
    assert_int_equal(json_parse(SLICE("[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],"
                                      "[],[],[],[],[],[],[],[],[],{},{},{},{}]"), &v, NULL), OK);
    assert_int_equal(json_count(v), 38);
    json_free(v);
    BUF_CLEANUP struct buf big = BUF_INIT(JSON_BYTES_MAX + 1);
    memset(buf_extend(&big, JSON_BYTES_MAX + 1), ' ', JSON_BYTES_MAX + 1);
    big.p[0] = '1';
    v = NULL;
    assert_int_equal(json_parse(buf_slice(&big), &v, NULL), ERR_LIMIT);
    assert_int_equal(json_parse(slice_sub(buf_slice(&big), 0, JSON_BYTES_MAX), &v, NULL), OK);
    json_free(v);
}

static void test_json_readers(void **state)
{
    (void)state;
    JSON_CLEANUP struct json *v = NULL;
    assert_int_equal(json_parse(SLICE("{\"t\":\"x\\u0000y\",\"i\":-5,\"u\":18446744073709551615,\"r\":2.5,\"b\":true,"
                                      "\"n\":null,\"a\":[1,\"two\"],\"o\":{\"k\":1}}"), &v, NULL), OK);
    assert_int_equal(json_type(v), JSON_OBJECT);
    assert_int_equal(json_count(v), 8);
    assert_true(slice_eq(json_text(json_get(v, "t")), SLICE("x\0y")));
    assert_int_equal(json_int(json_get(v, "i"), 9), -5);
    assert_int_equal(json_int(json_get(v, "u"), 9), 9);
    assert_true(json_real(json_get(v, "u"), 0) == 18446744073709551615.0 && json_real(json_get(v, "i"), 0) == -5);
    assert_true(json_real(json_get(v, "r"), 0) == 2.5 && json_real(json_get(v, "t"), 7) == 7);
    assert_true(json_bool(json_get(v, "b"), false) && json_bool(json_get(v, "t"), true) && !json_bool(NULL, false));
    assert_true(json_has(v, "n") && !json_get(v, "n") && !json_has(v, "zz") && !json_has(json_get(v, "a"), "n"));
    assert_int_equal(json_type(json_get(v, "n")), JSON_NULL);
    assert_int_equal(json_int(json_get(json_get(v, "o"), "k"), 0), 1);
    assert_null(json_get(json_get(json_get(v, "no"), "no"), "no"));
    assert_int_equal(json_int(json_at(json_get(v, "a"), 0), 0), 1);
    assert_null(json_at(json_get(v, "a"), 2));
    assert_null(json_at(v, 0));
    assert_int_equal(json_count(json_get(v, "t")), 0);
    assert_int_equal(json_text(json_get(v, "i")).n, 0);
    struct slice key;
    assert_ptr_equal(json_member(v, 3, &key), json_get(v, "r"));
    assert_true(slice_is(key, "r"));
    assert_null(json_member(v, 8, &key));
    assert_int_equal(key.n, 0);
    BUF_CLEANUP struct buf keys = BUF_INIT(20);
    struct json_walk w = {0};
    const struct json *value;
    while (json_next(v, &w, &key, &value)) {
        assert_ptr_equal(value, json_get(v, key.p));
        buf_add(&keys, key);
    }
    assert_string_equal(buf_str(&keys), "tiurbnao");
    w = (struct json_walk){0};
    assert_false(json_next(json_get(v, "a"), &w, &key, &value));
}

static void test_json_needs(void **state)
{
    (void)state;
    JSON_CLEANUP struct json *v = NULL;
    assert_int_equal(json_parse(SLICE("{\"t\":\"x\",\"i\":5,\"n\":null,\"u\":18446744073709551615}"), &v, NULL), OK);
    struct slice t;
    int64_t i;
    struct error e;
    assert_true(json_need_text(v, "t", &t, NULL) == OK && slice_is(t, "x"));
    assert_true(json_need_int(v, "i", &i, NULL) == OK && i == 5);
    const char *keys[] = {"t", "n", "u", "none"}, *words[] = {"integer", "integer", "up to", "missing"};
    for (int k = 0; k < 4; k++) {
        assert_int_equal(json_need_int(v, keys[k], &i, &e), ERR_CORRUPT);
        assert_true(strstr(e.text, keys[k]) && strstr(e.text, words[k]));
    }
    assert_int_equal(json_need_text(v, "i", &t, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "\"i\" must be a text"));
    assert_int_equal(json_need_text(NULL, "t", &t, &e), ERR_CORRUPT);
}

static void test_json_builders(void **state)
{
    (void)state;
    JSON_CLEANUP struct json *v = json_object();
    json_put_text(v, "text", SLICE("a\xff/\xc3\xa9\xf0\x9f\x98\x80\xe2\x82\0"));
    json_put_int(v, "int", INT64_MIN);
    json_put_bool(v, "bool", false);
    json_put(v, "nothing", NULL);
    json_put_text(v, "k\xfe", SLICE(""));
    json_put_text(v, "empty", SLICE_NONE);
    struct json *list = json_array();
    json_push(list, json_new_int(1));
    json_push(list, NULL);
    json_push(list, json_new_text(SLICE("two")));
    json_put(v, "list", list);
    json_put_int(v, "int", 7);
    struct slice want = SLICE("{\"text\":\"a\xef\xbf\xbd/\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd\xef\xbf\xbd\\u0000\","
                              "\"int\":7,\"bool\":false,\"nothing\":null,"
                              "\"k\xef\xbf\xbd\":\"\",\"empty\":\"\",\"list\":[1,null,\"two\"]}");
    assert_prints(v, want);
    struct json *copy = json_clone(v);
    json_put_int(v, "int", 8);
    assert_prints(copy, want);
    json_free(copy);
    assert_null(json_clone(NULL));
    JSON_CLEANUP struct json *real = NULL;
    assert_int_equal(json_parse(SLICE("[0.10,18446744073709551615]"), &real, NULL), OK);
    JSON_CLEANUP struct json *real_copy = json_clone(real);
    assert_prints(real_copy, SLICE("[0.10,18446744073709551615]"));
    BUF_CLEANUP struct buf small = BUF_INIT(10);
    json_print(v, &small);
    assert_false(buf_ok(&small));
}

static void random_text(struct buf *b)
{
    for (unsigned n = noise(12); n; n--) {
        unsigned kind = noise(4);
        if (kind == 0)
            buf_add_char(b, (char)noise(0x20));
        else if (kind == 1)
            buf_add_char(b, "\"\\/bu\x7f"[noise(6)]);
        else if (kind == 2)
            buf_add_text(b, (const char *[]){"\xc3\xa9", "\xe2\x80\xa8", "\xf0\x9f\x98\x80", "\xef\xbf\xbd"}[noise(4)]);
        else
            buf_add_char(b, (char)(' ' + noise(95)));
    }
}

static struct json *random_tree(unsigned depth)
{
    BUF_CLEANUP struct buf b = BUF_INIT(100);
    struct json *v;
    switch (noise(depth ? 7 : 5)) {
    case 0: return NULL;
    case 1: return json_new_bool(noise(2));
    case 2: return json_new_int((int64_t)(seed >> noise(64)));
    case 3: return json_new_int(-(int64_t)noise(1000));
    case 4:
        random_text(&b);
        return json_new_text(buf_slice(&b));
    case 5:
        v = json_array();
        for (unsigned n = noise(5); n; n--)
            json_push(v, random_tree(depth - 1));
        return v;
    default:
        v = json_object();
        for (unsigned n = noise(5); n; n--) {
            buf_reset(&b);
            random_text(&b);
            json_put(v, buf_str(&b), random_tree(depth - 1));
        }
        return v;
    }
}

static bool same(const struct json *a, const struct json *b)
{
    if (json_type(a) != json_type(b) || json_count(a) != json_count(b))
        return false;
    bool all = true;
    struct slice ka, kb;
    for (size_t i = 0; all && i < json_count(a); i++)
        if (json_type(a) == JSON_OBJECT)
            all = same(json_member(a, i, &ka), json_member(b, i, &kb)) && slice_eq(ka, kb);
        else
            all = same(json_at(a, i), json_at(b, i));
    return all && slice_eq(json_text(a), json_text(b)) && json_int(a, 1) == json_int(b, 1) &&
           json_bool(a, true) == json_bool(b, true);
}

/* What is printed is what was built, for 5,000 random trees; and cut anywhere, it is refused or a shorter number. */
static void test_json_round_trip(void **state)
{
    (void)state;
    for (int round = 0; round < 5000; round++) {
        struct json *v = random_tree(4), *back = NULL, *cut = NULL;
        BUF_CLEANUP struct buf text = BUF_INIT(1 << 20);
        json_print(v, &text);
        struct error e = {0};
        if (parse(json_parse, buf_slice(&text), &back, &e) || !same(v, back))
            fail_msg("%s: %s", buf_str(&text), e.text);
        bool number = json_type(v) == JSON_INT;
        enum err err = parse(json_parse, slice_sub(buf_slice(&text), 0, noise((unsigned)text.n)), &cut, NULL);
        assert_true(number || err == ERR_CORRUPT);
        json_free(v);
        json_free(back);
        json_free(cut);
    }
}

/* ---- YAML ---- */

static const struct {
    struct slice in, out;
} yaml_good[] = {
    {S(""), S("{}")},
    {S("# only a comment\n\n"), S("{}")},
    {S("---\n"), S("{}")},
    {S("---\n...\n"), S("{}")},
    {S("~"), S("null")},
    {S("''"), S("\"\"")},
    {S("a: 1\nb: [x, 'y', \"z\"]\nc:\n  d: e\n"), S("{\"a\":1,\"b\":[\"x\",\"y\",\"z\"],\"c\":{\"d\":\"e\"}}")},
    {S("a: {b: {c: []}, d: {}}"), S("{\"a\":{\"b\":{\"c\":[]},\"d\":{}}}")},
    {S("- 1\n- -2\n- 0\n- -0\n- '3'\n- \"4\"\n"), S("[1,-2,0,0,\"3\",\"4\"]")},
    {S("[true, True, TRUE, false, False, FALSE]"), S("[true,true,true,false,false,false]")},
    {S("['true', tRUE, yes, no, on, y]"), S("[\"true\",\"tRUE\",\"yes\",\"no\",\"on\",\"y\"]")},
    {S("a:\nb: ~\nc: null\nd: Null\ne: NULL\nf: 'null'\ng: nil"),
     S("{\"a\":null,\"b\":null,\"c\":null,\"d\":null,\"e\":null,\"f\":\"null\",\"g\":\"nil\"}")},
    {S("[007, +5, 0x10, 0o7, 1_000, 1.5, 1e3, .inf, -, 12:30, 2026-01-01]"),
     S("[\"007\",\"+5\",\"0x10\",\"0o7\",\"1_000\",\"1.5\",\"1e3\",\".inf\",\"-\",\"12:30\",\"2026-01-01\"]")},
    {S("[9223372036854775807, 9223372036854775808, -9223372036854775807]"),
     S("[9223372036854775807,\"9223372036854775808\",-9223372036854775807]")},
    {S("1: a\ntrue: b\n~: c\n'': d"), S("{\"1\":\"a\",\"true\":\"b\",\"~\":\"c\",\"\":\"d\"}")},
    {S("a: |\n  one\n  two\nb: >-\n  three\n  four\n"), S("{\"a\":\"one\\ntwo\\n\",\"b\":\"three four\"}")},
    {S("a: |\n  12\nb: >-\n  true\n"), S("{\"a\":\"12\\n\",\"b\":\"true\"}")}, /* a block is text */
    {S("a: \"\\0\\u00e9\\U0001F600\""), S("{\"a\":\"\\u0000\xc3\xa9\xf0\x9f\x98\x80\"}")},
    {S("\xef\xbb\xbf""a: 1"), S("{\"a\":1}")}, /* editors write a byte order mark */
    {S("a: 1\r\nb: 2\r\n"), S("{\"a\":1,\"b\":2}")},
    {S("%YAML 1.1\n---\na: 1"), S("{\"a\":1}")},
    {S("a: x%TAG\nb: '%TAG %TAG'"), S("{\"a\":\"x%TAG\",\"b\":\"%TAG %TAG\"}")},
    {S("<<: {a: 1}"), S("{\"<<\":{\"a\":1}}")},
};

static void test_yaml_takes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof yaml_good / sizeof *yaml_good; i++) {
        struct json *v = NULL;
        struct error e = {0};
        if (parse(yaml_parse, yaml_good[i].in, &v, &e))
            fail_msg("%s: %s", yaml_good[i].in.p, e.text);
        assert_prints(v, yaml_good[i].out);
        json_free(v);
    }
}

static const struct {
    struct slice in;
    const char *where, *what;
} yaml_bad[] = {
    {S("a: &x 1\n"), "line 1, column 4", "anchors"},
    {S("a: &x [1]\n"), "line 1, column 4", "anchors"},
    {S("b: 1\na: *x\n"), "line 2, column 4", "aliases"},
    {S("*x : 1\n"), "line 1, column 1", "aliases"},
    {S("&x a: 1\n"), "line 1, column 1", "anchors"},
    {S("- &x {}\n"), "line 1, column 3", "anchors"},
    {S("a: !!str 5\n"), "line 1, column 4", "tags"},
    {S("a: !foo {}\n"), "line 1, column 4", "tags"},
    {S("!!map {}\n"), "line 1, column 1", "tags"},
    {S("!!str\n"), "line 1, column 1", "tags"},
    {S("&x\n"), "line 1, column 1", "anchors"},
    {S("- ! a\n"), "line 1, column 3", "tags"},
    {S("!a b: 1\n"), "line 1, column 1", "tags"},
    {S("%TAG ! tag:example.com,2000:\n---\na: 1\n"), "line 1, column 1", "tags"},
    {S("a: 1\n...\n%TAG ! x\n---\n"), "line 3, column 1", "tags"},
    {S("#\r%TAG ! x\n---\n"), "line 1, column 3", "tags"},
    {S("#\xe2\x80\xa8%TAG ! x\n---\n"), "line 1, column 3", "tags"},
    {S("\xef\xbb\xbf%TAG ! x\n---\n"), "line 1, column 2", "tags"},
    {S("a: 1\nb: 2\na: 3\n"), "line 3, column 1", "twice"},
    {S("a: ~\n'a': ~\n"), "line 2, column 1", "twice"},
    {S("x: {a: 1, a: 1}\n"), "line 1, column 11", "twice"},
    {S("? [a]\n: 1\n"), "line 1, column 3", "key"},
    {S("{a: 1}: 2\n"), "line 1, column 1", "key"},
    {S("\"a\\0b\": 2\n"), "line 1, column 1", "NUL"},
    {S("a: 1\n---\nb: 1\n"), "line 2, column 1", "second document"},
    {S("a: 1\n...\nb: 1\n"), "line 3, column 1", ""},
    {S("---\n---\n"), "line 2, column 1", "second document"},
    {S("a: [1\n"), "line 2, column 1", ""},
    {S("a: 'x\n"), "line 2, column 1", ""},
    {S("a: b: c\n"), "line 1, column 5", ""},
    {S("a:\n\t- b\n"), "line 2, column 1", ""},
    {S("a: 1\n  b: 2\n"), "line 2, column 4", ""},
    {S("a: @x\n"), "line 1, column 4", ""},
    {S("a: 1\n\xc3\xa9\xc3\xa9: \xff\n"), "line 2, column 5", "UTF-8"},
    {S("a: 1\n\xc3\xa9\xc3\xa9: \x01\n"), "line 2, column 5", "control"},
    {S("a: 1\nb: \0\n"), "line 2, column 4", "control"},
    {S("\xff\xfe""a\0:\0 \0""1\0"), "line 1, column 1", "UTF-8"}, /* UTF-16 */
    {S("a: \"\\ud800\"\n"), "line 1, column 7", ""},
};

static void test_yaml_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof yaml_bad / sizeof *yaml_bad; i++) {
        struct json *v = NULL;
        struct error e = {0};
        enum err err = parse(yaml_parse, yaml_bad[i].in, &v, &e);
        struct slice text = slice_of(e.text), where = slice_of(yaml_bad[i].where);
        bool at = slice_starts(text, where) && e.text[where.n] == ':';
        if (err != ERR_CORRUPT || !at || !strstr(e.text, yaml_bad[i].what) || v)
            fail_msg("%s: %d, \"%s\", not %s, %s", yaml_bad[i].in.p, err, e.text, where.p, yaml_bad[i].what);
    }
}

static void test_yaml_depth_and_length(void **state)
{
    (void)state;
    for (unsigned depth = YAML_DEPTH_MAX; depth <= YAML_DEPTH_MAX + 1; depth++)
        for (int kind = 0; kind < 3; kind++) {
            BUF_CLEANUP struct buf b = BUF_INIT(1000);
            for (unsigned i = 0; i < depth; i++)
                buf_add_text(&b, (const char *[]){"[", "{a: ", "- "}[kind]);
            for (unsigned i = 0; i < depth && kind < 2; i++)
                buf_add_text(&b, (const char *[]){"]", "}"}[kind]);
            struct json *v = NULL;
            struct error e = {0};
            assert_int_equal(yaml_parse(buf_slice(&b), &v, &e), depth == YAML_DEPTH_MAX ? OK : ERR_LIMIT);
            assert_true(!e.text[0] || slice_starts(slice_of(e.text), SLICE("line 1, column ")));
            json_free(v);
        }
    BUF_CLEANUP struct buf big = BUF_INIT(YAML_BYTES_MAX + 1);
    memset(buf_extend(&big, YAML_BYTES_MAX + 1), '\n', YAML_BYTES_MAX + 1);
    struct json *v = NULL;
    assert_int_equal(yaml_parse(buf_slice(&big), &v, NULL), ERR_LIMIT);
    assert_int_equal(yaml_parse(slice_sub(buf_slice(&big), 0, YAML_BYTES_MAX), &v, NULL), OK);
    json_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_takes),
        cmocka_unit_test(test_json_keys_of_every_length),
        cmocka_unit_test(test_json_refuses),
        cmocka_unit_test(test_json_depth_and_length),
        cmocka_unit_test(test_json_readers),
        cmocka_unit_test(test_json_needs),
        cmocka_unit_test(test_json_builders),
        cmocka_unit_test(test_json_round_trip),
        cmocka_unit_test(test_yaml_takes),
        cmocka_unit_test(test_yaml_refuses),
        cmocka_unit_test(test_yaml_depth_and_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
