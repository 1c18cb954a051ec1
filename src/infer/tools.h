/*
 * The tools that a request offers to the model: read from JSON, compiled (infer/schema.h), and as the text that the model
 * is told of them by.
 *
 * That text, and how a call and a result are written, are those of Qwen 2.5's chat template (tokenizer_config.json of
 * Qwen/Qwen2.5-0.5B-Instruct), which are NousResearch's Hermes function calling; models whose template knows no tools get
 * the same. A call is `<tool_call>\n{"name": "NAME", "arguments": {…}}\n</tool_call>`; several follow one another with a
 * line end in between. A result is `<tool_response>\nTEXT\n</tool_response>` in a turn of the user.
 */
#ifndef CRANNOG_INFER_TOOLS_H
#define CRANNOG_INFER_TOOLS_H

#include "infer/schema.h"

enum { TOOLS_BYTES_MAX = 1 << 20, TOOLS_MEMORY = 4 << 20, TOOL_NAME_MAX = 128 };

#define CALL_MARK "<tool_call>"
#define CALL_OPEN CALL_MARK "\n"
#define CALL_CLOSE "\n</tool_call>"

struct tools {
    struct arena memory;
    struct schema schema;
    uint16_t call;       /* its node of kind NODE_CALL; key i is tool i */
    struct slice *names;
    size_t n;            /* 0: there are none, and nothing else is set */
    struct buf text;     /* for the system's turn */
};

/* json: [{"name", "description" (may be missing), "parameters" (a JSON Schema of an object; may be missing)}…]. ERR_USAGE,
   ERR_CORRUPT, ERR_UNSUPPORTED, ERR_LIMIT, ERR_MEMORY, with the name of the tool. On failure *ret holds nothing. */
enum err MUST_USE tools_read(struct slice json, struct tools *ret, struct error *e);
void tools_release(struct tools *t);

#endif
