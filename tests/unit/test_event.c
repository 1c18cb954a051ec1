/* Events: the header is frozen byte for byte, and the chain notices whatever is changed, left out or put in (E1-E3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/event.h"

static struct event sample(void)
{
    struct event e = {.version = EVENT_VERSION, .type = EVENT_STEP_INTENDED, .key = {0x0102030405060708, 0x11121314, 0x21222324, 0x31323334},
                      .seq = 2, .time_ms = -2, .payload = SLICE("{\"v\":0}")};
    for (size_t i = 0; i < EVENT_SALT_BYTES; i++)
        e.salt[i] = (uint8_t)(i * 7);
    struct hash prev = hash_of(SLICE("the one before"));
    event_seal(&e, &prev);
    return e;
}

/* The numbers that stand in every journal from now on. */
static void test_the_header_is_frozen(void **state)
{
    (void)state;
    static const uint8_t front[40] = {
        1, 0, 7, 0, 8, 7, 6, 5, 4, 3, 2, 1, 0x14, 0x13, 0x12, 0x11, 0x24, 0x23, 0x22, 0x21, 0x34, 0x33, 0x32, 0x31,
        2, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint8_t bytes[EVENT_HEADER_BYTES];
    char hex[HASH_HEX + 1];
    struct event e = sample();
    event_header(&e, bytes);
    assert_memory_equal(bytes, front, sizeof front);
    assert_memory_equal(bytes + 40, e.prev.b, HASH_BYTES);
    assert_memory_equal(bytes + 72, e.payload_hash.b, HASH_BYTES);
    struct hash h = hash_of2((struct slice){(const char *)e.salt, sizeof e.salt}, e.payload);
    assert_true(hash_eq(&h, &e.payload_hash));
    h = event_hash(&e);
    hash_hex(&h, hex);
    assert_string_equal(hex, "d1e6ed91e0b860fd41bc83501c3a7f7da8623a0ffb6c29796c47c93c8520b5ff");
}

static void test_a_header_is_read_back(void **state)
{
    (void)state;
    uint8_t bytes[EVENT_HEADER_BYTES], again[EVENT_HEADER_BYTES];
    struct event e = sample(), got;
    event_header(&e, bytes);
    assert_true(event_from_header((struct slice){(const char *)bytes, sizeof bytes}, &got));
    event_header(&got, again);
    assert_memory_equal(bytes, again, sizeof bytes);
    assert_true(got.time_ms == -2 && got.key.attempt == 0x31323334 && got.payload.n == 0 && !got.redacted);
    assert_false(event_from_header((struct slice){(const char *)bytes, sizeof bytes - 1}, &got));
    assert_false(event_from_header(SLICE_NONE, &got));
}

static enum err check(const struct event *e, struct error *err)
{
    struct hash prev = hash_of(SLICE("the one before"));
    return event_check(e, &prev, 1, err);
}

static void test_what_is_wrong_is_said(void **state)
{
    (void)state;
    struct error err;
    struct event e = sample();
    assert_int_equal(check(&e, &err), OK);
    e.payload = SLICE("{\"v\":1}");
    assert_int_equal(check(&e, &err), ERR_CORRUPT);
    assert_string_equal(err.text, "the payload of event 2 was changed");
    e = sample();
    e.salt[3] ^= 1;
    assert_int_equal(check(&e, &err), ERR_CORRUPT);
    e = sample();
    e.version = EVENT_VERSION + 1;
    assert_int_equal(check(&e, &err), ERR_VERSION);
    assert_string_equal(err.text, "event 2 was written by a newer crannog (format 2, this one reads 1)");
    e = sample();
    e.type = EVENT_TYPES;
    assert_int_equal(check(&e, &err), ERR_CORRUPT);
    e.type = 0;
    assert_int_equal(check(&e, &err), ERR_CORRUPT);
    e = sample();
    e.seq = 3;
    assert_int_equal(check(&e, &err), ERR_CORRUPT);
    assert_string_equal(err.text, "event 2 is missing");
    e = sample();
    e.prev.b[31] ^= 1;
    assert_int_equal(check(&e, &err), ERR_CORRUPT);
    assert_string_equal(err.text, "the chain is broken before event 2");
}

/* E2: without payload and salt the chain still holds; without the mark that it was redacted it does not. */
static void test_redaction(void **state)
{
    (void)state;
    struct event e = sample(), bare = e;
    struct hash before = event_hash(&e), after;
    bare.payload = SLICE_NONE;
    memset(bare.salt, 0, sizeof bare.salt);
    assert_int_equal(check(&bare, NULL), ERR_CORRUPT);
    bare.redacted = true;
    assert_int_equal(check(&bare, NULL), OK);
    after = event_hash(&bare);
    assert_true(hash_eq(&before, &after));
}

/* Every single bit of a header counts: flipped, the next event no longer follows. */
static void test_each_bit_is_covered(void **state)
{
    (void)state;
    struct event first = sample(), next = {.version = 1, .type = EVENT_RUN_STOPPED, .seq = 3, .payload = SLICE("{}")};
    struct hash h = event_hash(&first);
    uint8_t bytes[EVENT_HEADER_BYTES];
    event_seal(&next, &h);
    assert_int_equal(event_check(&next, &h, 2, NULL), OK);
    event_header(&first, bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        struct event changed;
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(event_from_header((struct slice){(const char *)bytes, sizeof bytes}, &changed));
        h = event_hash(&changed);
        assert_int_equal(event_check(&next, &h, 2, NULL), ERR_CORRUPT);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(event_type_name(EVENT_RUN_STARTED), "run.started");
    assert_string_equal(event_type_name(EVENT_ANSWERED), "answered");
    assert_string_equal(event_type_name(0), "unknown");
    assert_string_equal(event_type_name(EVENT_TYPES), "unknown");
    for (unsigned t = 1; t < EVENT_TYPES; t++)
        for (unsigned k = t + 1; k < EVENT_TYPES; k++)
            assert_string_not_equal(event_type_name(t), event_type_name(k));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_header_is_frozen), cmocka_unit_test(test_a_header_is_read_back),
        cmocka_unit_test(test_what_is_wrong_is_said), cmocka_unit_test(test_redaction),
        cmocka_unit_test(test_each_bit_is_covered), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
