/* Calls of tools as a model writes them: the first line is the tool, the rest its arguments. A call whose parts are text, or words. */
#include <string.h>

#include "context/tools.h"
#include "fuzz.h"

static void is_text(struct slice s, bool nul)
{
    ASSERT(slice_is_utf8(s) && (!s.p || s.p[s.n] == '\0'));
    ASSERT(nul || slice_index(s, '\0') == s.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = fuzz_slice(data, size), name;
    ARENA_CLEANUP struct arena a = ARENA_INIT(1024 * 1024);
    struct tool_call c;
    struct error e = {.code = OK};
    if (!slice_line(&rest, &name))
        return 0;
    enum err err = tool_call_parse(name, rest, &a, &c, &e);
    if (err) {
        ASSERT((err == ERR_USAGE || err == ERR_CORRUPT || err == ERR_MISSING || err == ERR_LIMIT || err == ERR_MEMORY) && e.text[0]);
        return 0;
    }
    ASSERT(c.tool >= TOOL_READ && c.tool <= TOOL_ASK && c.nedits <= TOOL_EDITS_MAX && c.noptions <= TOOL_OPTIONS_MAX);
    ASSERT(c.timeout_s <= TOOL_BASH_S_MAX);
    is_text(c.path, false);
    is_text(c.content, true);
    is_text(c.command, false);
    is_text(c.question, false);
    for (size_t i = 0; i < c.nedits; i++) {
        is_text(c.edits[i].old, true);
        is_text(c.edits[i].new, true);
    }
    for (size_t i = 0; i < c.noptions; i++)
        is_text(c.options[i], false);
    return 0;
}
