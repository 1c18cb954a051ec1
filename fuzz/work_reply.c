/* Replies of an agent's tools, which come from inside a jail: ERR_CORRUPT, or a struct of text whose slices lie in the reply. */
#include "fuzz.h"
#include "tools/work.h"

static void within(struct slice part, struct slice whole)
{
    ASSERT(part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice s = fuzz_slice(data, size);
    ARENA_CLEANUP struct arena a = ARENA_INIT(4 * 1024 * 1024);
    struct error e = {.code = OK};
    struct work_read read;
    struct work_written written;
    struct work_edited edited;
    struct work_told told;
    enum err err = work_read_reply(s, &read, &e);
    ASSERT(!err || err == ERR_CORRUPT);
    if (!err) {
        within(read.text, s);
        within(read.image, s);
        ASSERT(slice_is_utf8(read.text));
    }
    err = work_write_reply(s, &written, &e);
    ASSERT(!err || err == ERR_CORRUPT);
    err = work_edit_reply(s, &edited, &e);
    ASSERT(!err || err == ERR_CORRUPT);
    if (!err) {
        within(edited.why, s);
        within(edited.note, s);
        ASSERT(slice_is_utf8(edited.why) && slice_is_utf8(edited.note));
    }
    err = work_instruct_reply(s, &a, &told, &e);
    ASSERT(!err || err == ERR_CORRUPT || err == ERR_LIMIT || err == ERR_MEMORY);
    for (size_t i = 0; !err && i < told.ntexts; i++) {
        within(told.texts[i].path, s);
        within(told.texts[i].text, s);
        ASSERT(slice_is_utf8(told.texts[i].text));
    }
    for (size_t i = 0; !err && i < told.nskills; i++)
        ASSERT(slice_is_utf8(told.skills[i].name) && told.skills[i].description.n);
    return 0;
}
