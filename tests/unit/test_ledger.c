/* The ledger's arithmetic: nothing is ever granted that is not left, no sum wraps, a budget is read exactly or refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ledger.h"

static uint64_t seed = 1;

static uint64_t any(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

/* Small, large and extreme amounts, also a few below zero where `low` says so. */
static int64_t any_amount(int64_t low)
{
    static const int64_t edges[] = {0, 1, 2, INT64_MAX - 1, INT64_MAX};
    int64_t v = any() % 3 == 0 ? edges[any() % 5] : any() % 2 ? (int64_t)(any() % 100) : (int64_t)(any() >> 1);
    return low < 0 && any() % 4 == 0 ? -v : v;
}

static void test_clamp_never_grants_more_than_is_left(void **state)
{
    (void)state;
    size_t granted = 0, refused = 0;
    for (int round = 0; round < 200000; round++) {
        struct amounts want, floor, left, got = {{-7, -7, -7, -7}};
        enum unit ran_out = UNITS;
        bool possible = true;
        for (int u = 0; u < UNITS; u++) {
            want.n[u] = any_amount(0);
            floor.n[u] = any() % 2 ? 0 : want.n[u] / (int64_t)(1 + any() % 9);
            left.n[u] = any_amount(-1);
            possible &= floor.n[u] <= (left.n[u] > 0 ? left.n[u] : 0);
        }
        bool ok = ledger_clamp(&want, &floor, &left, &got, &ran_out);
        assert_int_equal(ok, possible);
        if (!ok) {
            assert_true(ran_out < UNITS && floor.n[ran_out] > left.n[ran_out] && got.n[0] == -7);
            refused++;
            continue;
        }
        granted++;
        for (int u = 0; u < UNITS; u++) {
            assert_true(got.n[u] >= floor.n[u] && got.n[u] <= want.n[u] && got.n[u] >= 0);
            assert_true(got.n[u] == 0 || got.n[u] <= left.n[u]);
            assert_true(got.n[u] == want.n[u] || got.n[u] == (left.n[u] > 0 ? left.n[u] : 0)); /* never less than it can */
        }
    }
    assert_true(granted > 1000 && refused > 1000);
}

static void test_clamp_into_its_own_argument(void **state)
{
    (void)state;
    struct amounts want = {{5, 100, 7, 1}}, floor = {{0, 10, 0, 0}}, left = {{9, 50, AMOUNT_UNLIMITED, -3}};
    enum unit ran_out;
    assert_true(ledger_clamp(&want, &floor, &left, &want, &ran_out));
    assert_true(want.n[0] == 5 && want.n[1] == 50 && want.n[2] == 7 && want.n[3] == 0);
}

static void test_add_saturates(void **state)
{
    (void)state;
    for (int round = 0; round < 50000; round++) {
        struct amounts a, b;
        for (int u = 0; u < UNITS; u++)
            a.n[u] = any_amount(0), b.n[u] = any_amount(0);
        struct amounts c = amounts_add(a, b), d = amounts_add(b, a);
        for (int u = 0; u < UNITS; u++) {
            assert_true(c.n[u] == d.n[u] && c.n[u] >= a.n[u] && c.n[u] >= b.n[u]);
            assert_true(a.n[u] > INT64_MAX - b.n[u] ? c.n[u] == INT64_MAX : c.n[u] - a.n[u] == b.n[u]);
        }
    }
}

static void test_amounts_are_printed_and_read_back(void **state)
{
    (void)state;
    JSON_CLEANUP struct json *o = json_object();
    BUF_CLEANUP struct buf text = BUF_INIT(1000);
    struct amounts a = {{0, 12, AMOUNT_UNLIMITED, 5}};
    amounts_print(&a, o, "used");
    json_print(o, &text);
    assert_string_equal(buf_str(&text), "{\"used\":{\"tokens\":12,\"calls\":5}}");
    a = amounts_from_json(json_get(o, "used"), 77);
    assert_true(a.n[0] == 77 && a.n[1] == 12 && a.n[2] == 77 && a.n[3] == 5);
    JSON_CLEANUP struct json *odd = NULL;
    assert_int_equal(json_parse(SLICE("{\"nusd\":-5,\"tokens\":\"9\",\"cpu_ns\":1.5,\"calls\":18446744073709551615}"), &odd, NULL), OK);
    a = amounts_from_json(odd, 3); /* never negative, never guessed from another type */
    assert_true(a.n[0] == 0 && a.n[1] == 3 && a.n[2] == 3 && a.n[3] == 3);
    a = amounts_from_json(NULL, AMOUNT_UNLIMITED);
    assert_true(a.n[0] == AMOUNT_UNLIMITED && a.n[3] == AMOUNT_UNLIMITED);
}

static void test_budgets(void **state)
{
    (void)state;
    enum { NO = -2, U = -1 }; /* refused; not named */
    static const struct { const char *text; int64_t nusd, tokens, cpu_ns, calls; } table[] = {
        {"5", 5000000000, U, U, U},
        {"$5", 5000000000, U, U, U},
        {"0", 0, U, U, U},
        {"0.5", 500000000, U, U, U},
        {".5", 500000000, U, U, U},
        {"0.000000001", 1, U, U, U},
        {"1.123456789", 1123456789, U, U, U},
        {"200000tok", U, 200000, U, U},
        {"90cpu-s", U, U, 90000000000, U},
        {"0.25cpu-s", U, U, 250000000, U},
        {"30calls", U, U, U, 30},
        {" 5,200tok\t90cpu-s , 3calls ", 5000000000, 200, 90000000000, 3},
        {"9223372036854775807tok", U, INT64_MAX, U, U},
        {"9223372035", 9223372035000000000, U, U, U},
        {"0tok", U, 0, U, U},
        {"", NO}, {" , ", NO}, {"$", NO}, {".", NO}, {"5.", NO}, {"-5", NO}, {"$-5", NO}, {"+5", NO}, {"5e3", NO},
        {"0x10", NO}, {"1.2.3", NO}, {"1.-5", NO}, {"0.0000000001", NO}, {"five", NO}, {"5 dollars", NO}, {"5$", NO},
        {"$$5", NO}, {"tok", NO}, {"-5tok", NO}, {"5.5tok", NO}, {"9223372036854775808tok", NO}, {"5tok tokens", NO},
        {"9223372037", NO}, {"99999999999999999999", NO}, {"9223372037cpu-s", NO}, {"5cpu", NO}, {"5tok5", NO},
        {"5,50", NO}, {"1,000tok", NO}, {"007", NO}, {"5 5", NO}, {"5tok 6tok", NO}, {"5\n", NO},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int64_t wanted[UNITS] = {table[i].nusd, table[i].tokens, table[i].cpu_ns, table[i].calls};
        struct amounts a = {{71, 72, 73, 74}};
        struct error e = {0};
        enum err err = budget_parse(slice_of(table[i].text), &a, &e);
        if ((err != OK) != (table[i].nusd == NO) || (err && (err != ERR_USAGE || !strstr(e.text, "budget"))))
            fail_msg("'%s' gives %s: %s", table[i].text, err_name(err), e.text);
        for (int u = 0; u < UNITS; u++)
            if (a.n[u] != (err || wanted[u] == U ? 71 + u : wanted[u]))
                fail_msg("'%s': %s is %lld", table[i].text, unit_name((enum unit)u), (long long)a.n[u]);
    }
}

static void test_accounts(void **state)
{
    (void)state;
    static const struct { const char *path; bool ok; } table[] = {
        {"crannog", true}, {"crannog/main/r7", true}, {"a/b/c/d/e/f/g/h", true}, {"A.z_9-", true},
        {"a/b/c/d/e/f/g/h/i", false}, {"", false}, {"/", false}, {"/a", false}, {"a/", false}, {"a//b", false},
        {"a b", false}, {"a/\n", false}, {"caf\xc3\xa9", false}, {"a:b", false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (account_ok(slice_of(table[i].path)) != table[i].ok)
            fail_msg("'%s'", table[i].path);
    char name[66];
    memset(name, 'n', sizeof name);
    assert_true(account_ok((struct slice){name, 64}));
    assert_false(account_ok((struct slice){name, 65}));
    assert_false(account_ok((struct slice){"a\0b", 3}));
}

static void test_ancestors(void **state)
{
    (void)state;
    static const char *const paths[] = {"crannog", "crannog/main", "crannog/main/r7"};
    struct slice account = SLICE("crannog/main/r7"), up;
    for (size_t i = 0; i < 3; i++) {
        assert_true(account_ancestor(account, i, &up));
        assert_true(slice_is(up, paths[i]));
    }
    assert_false(account_ancestor(account, 3, &up));
    assert_false(account_ancestor(SLICE_NONE, 0, &up));
    assert_true(account_ancestor(SLICE("x"), 0, &up) && slice_is(up, "x"));
    assert_false(account_ancestor(SLICE("x"), 1, &up));
}

static void test_amounts_for_people(void **state)
{
    (void)state;
    static const struct { enum unit u; int64_t n; const char *text; } table[] = {
        {UNIT_NUSD, 12300000, "$0.0123"}, {UNIT_NUSD, 0, "$0.0000"}, {UNIT_NUSD, 5000000000, "$5.0000"},
        {UNIT_NUSD, INT64_MAX, "$9223372036.8547"}, {UNIT_TOKENS, 0, "0 tokens"}, {UNIT_TOKENS, 1, "1 token"},
        {UNIT_TOKENS, 999, "999 tokens"}, {UNIT_TOKENS, 12345, "12,345 tokens"}, {UNIT_TOKENS, 1000000, "1,000,000 tokens"},
        {UNIT_TOKENS, INT64_MAX, "9,223,372,036,854,775,807 tokens"}, {UNIT_CPU_NS, 4250000000, "4.2 CPU seconds"},
        {UNIT_CPU_NS, 99999999, "0.0 CPU seconds"}, {UNIT_CALLS, 1, "1 call"}, {UNIT_CALLS, 1234, "1,234 calls"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        BUF_CLEANUP struct buf b = BUF_INIT(100);
        amount_print(table[i].u, table[i].n, &b);
        assert_string_equal(buf_str(&b), table[i].text);
    }
    assert_string_equal(unit_name(UNIT_CPU_NS), "cpu_ns");
    assert_string_equal(unit_name(UNITS), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clamp_never_grants_more_than_is_left),
        cmocka_unit_test(test_clamp_into_its_own_argument),
        cmocka_unit_test(test_add_saturates),
        cmocka_unit_test(test_amounts_are_printed_and_read_back),
        cmocka_unit_test(test_budgets),
        cmocka_unit_test(test_accounts),
        cmocka_unit_test(test_ancestors),
        cmocka_unit_test(test_amounts_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
