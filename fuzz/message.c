/* Messages: every field lies within the bytes, in order and without gaps, and what is read writes back the same. */
#include "fuzz.h"
#include "wire/message.h"

static void check_fields(struct slice m)
{
    BUF_CLEANUP struct buf again = BUF_INIT(m.n);
    struct message_reader r = message_read(m);
    struct field f;
    int more;
    while ((more = message_next(&r, &f)) > 0) {
        ASSERT(f.bytes.p >= m.p && f.bytes.n <= (size_t)(m.p + m.n - f.bytes.p));
        message_put(&again, f.tag, f.bytes);
        ASSERT(message_find(m, f.tag, &(struct field){0}));
    }
    ASSERT(message_next(&r, &f) == more);
    ASSERT(message_ok(m) == (more == 0));
    ASSERT(buf_ok(&again) && slice_starts(m, buf_slice(&again)));
    ASSERT((again.n == m.n) == (more == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice m = fuzz_slice(data, size);
    check_fields(m);
    struct field f;
    for (uint16_t tag = 0; tag < 4; tag++) {
        bool found = message_find(m, tag, &f);
        ASSERT(found || (message_get(m, tag).n == 0 && message_get_u64(m, tag, tag) == tag));
        ASSERT(!found || slice_eq(message_get(m, tag), f.bytes));
    }
    return 0;
}
