/* Replies of the layer tools, which come from inside a jail: ERR_CORRUPT or a struct whose slices lie in the reply. */
#include "fuzz.h"
#include "tools/layer.h"

static void within(struct slice part, struct slice whole)
{
    ASSERT(part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice s = fuzz_slice(data, size), index;
    ARENA_CLEANUP struct arena a = ARENA_INIT(64 * 1024 * 1024);
    struct layer_sealed sealed;
    struct survey survey;
    struct credentials masked;
    enum err err = layer_seal_reply(s, &a, &sealed, NULL);
    ASSERT(!err || err == ERR_CORRUPT || err == ERR_MEMORY);
    if (!err) {
        within(sealed.bytes, s);
        within(sealed.left_example, s);
        for (size_t i = 0; i < sealed.manifest.n; i++)
            within(sealed.manifest.v[i].path, s);
    }
    err = layer_copy_reply(s, &index, NULL);
    ASSERT(!err || err == ERR_CORRUPT);
    if (!err)
        within(index, s);
    err = layer_squash_reply(s, NULL);
    ASSERT(!err || err == ERR_CORRUPT);
    err = layer_survey_reply(s, &survey, &masked, NULL);
    ASSERT(!err || err == ERR_CORRUPT);
    for (size_t i = 0; !err && i < masked.n; i++) {
        within(masked.paths[i], s);
        ASSERT(stamp_check_path(masked.paths[i], NULL) == OK);
    }
    ASSERT(err || survey.example[SURVEY_EXAMPLE_MAX] == '\0');
    return 0;
}
