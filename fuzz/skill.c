/* The beginning of a SKILL.md: a skill of two lines of text within their bounds, or words. */
#include "fuzz.h"
#include "text/instruct.h"

static void is_line(struct slice s, size_t max)
{
    ASSERT(slice_is_utf8(s) && s.n <= max);
    for (size_t i = 0; i < s.n; i++)
        ASSERT((unsigned char)s.p[i] >= ' ' && s.p[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(1024 * 1024);
    struct skill s;
    struct slice note;
    struct error e = {.code = OK};
    enum err err = skill_read(fuzz_slice(data, size), SLICE("skills/name/SKILL.md"), &a, &s, &note, &e);
    ASSERT(!err || ((err == ERR_CORRUPT || err == ERR_MEMORY) && e.text[0]));
    if (err)
        return 0;
    is_line(s.name, SKILL_NAME_MAX);
    is_line(s.description, SKILL_DESCRIPTION_MAX);
    ASSERT(s.name.n && s.description.n);
    return 0;
}
