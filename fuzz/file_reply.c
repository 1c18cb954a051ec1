/* Replies of the file tools, which come from inside a jail: ERR_CORRUPT or a struct whose slices lie in the reply. */
#include "fuzz.h"
#include "tools/file.h"

static void within(struct slice part, struct slice whole)
{
    ASSERT(part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice s = fuzz_slice(data, size), *paths = NULL;
    ARENA_CLEANUP struct arena a = ARENA_INIT(1024 * 1024);
    struct error e = {0};
    struct file_text text;
    struct file_look look;
    struct file_landed landed;
    size_t n = 0;
    enum err err = file_glob_reply(s, &a, &paths, &n, &e);
    ASSERT(!err || err == ERR_CORRUPT || err == ERR_LIMIT);
    for (size_t i = 0; !err && i < n; i++)
        within(paths[i], s);
    err = file_read_reply(s, &text, &e);
    ASSERT(!err || err == ERR_CORRUPT);
    if (!err)
        within(text.text, s);
    err = file_look_reply(s, &look, &e);
    ASSERT(!err || err == ERR_CORRUPT);
    if (!err)
        within(look.content, s);
    err = file_land_reply(s, &landed, &e);
    ASSERT(!err || err == ERR_CORRUPT);
    if (!err)
        within(landed.why, s);
    return 0;
}
