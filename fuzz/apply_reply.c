/* The reply of a landing, which comes from inside a jail: ERR_CORRUPT or a struct whose slices lie in the reply. */
#include "fuzz.h"
#include "tools/apply.h"
#include "tools/inside_apply.h"

static void within(struct slice part, struct slice whole)
{
    ASSERT(part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice s = fuzz_slice(data, size);
    ARENA_CLEANUP struct arena a = ARENA_INIT(64 * 1024 * 1024);
    struct apply_landed l;
    enum err err = apply_reply(s, &a, &l, NULL);
    ASSERT(!err || err == ERR_CORRUPT || err == ERR_MEMORY);
    if (err)
        return 0;
    within(l.undo_bytes, s);
    ASSERT(l.nleft <= APPLY_LEFT_MAX && l.nleft <= l.left_count);
    for (size_t i = 0; i < l.nleft; i++) {
        within(l.left[i].why, s);
        within(l.left[i].change.path, s);
    }
    return 0;
}
