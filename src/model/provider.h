/*
 * Providers: which wire format a server speaks, and in what it differs from that format's own maker. As data.
 *
 * A quirk is a named flag. A provider's entry sets some, some models of it add more; a person's configuration names them
 * ("no_stream_options"). The writers and readers of the formats ask for flags and never for names of servers.
 */
#ifndef CRANNOG_MODEL_PROVIDER_H
#define CRANNOG_MODEL_PROVIDER_H

#include "base/slice.h"

enum model_format { FORMAT_OPENAI = 1, FORMAT_ANTHROPIC }; /* Chat Completions; Messages */

enum quirk {
    QUIRK_MAX_COMPLETION_TOKENS = 1 << 0, /* the limit is called that instead of max_tokens */
    QUIRK_NO_STREAM = 1 << 1,             /* asks for the answer in one piece */
    QUIRK_NO_STREAM_OPTIONS = 1 << 2,     /* the field is refused; usage comes by itself or not at all */
    QUIRK_NO_PARALLEL_FIELD = 1 << 3,     /* parallel_tool_calls is refused */
    QUIRK_DEVELOPER_ROLE = 1 << 4,        /* the system text has the role "developer" */
    QUIRK_SYSTEM_AS_USER = 1 << 5,        /* no system role: its text opens the first user message */
    QUIRK_RESULTS_AS_USER = 1 << 6,       /* no tools in the history: calls and results are written out as text */
    QUIRK_RESULT_NAME = 1 << 7,           /* a tool message repeats the tool's name */
    QUIRK_ASSISTANT_AFTER_RESULT = 1 << 8, /* a user's text may not follow a result directly */
    QUIRK_TOOLS_WITH_HISTORY = 1 << 9,    /* `tools` must be there, even empty, once the history has calls */
    QUIRK_EMPTY_CONTENT = 1 << 10,        /* an assistant without text has content "" instead of null */
    QUIRK_REASONING_CONTENT = 1 << 11,    /* reasoning is sent back in reasoning_content */
    QUIRK_REASONING = 1 << 12,            /* … in reasoning */
    QUIRK_REASONING_DETAILS = 1 << 13,    /* … in reasoning_details, where it came in them */
    QUIRK_EFFORT_OBJECT = 1 << 14,        /* effort is reasoning.effort instead of reasoning_effort */
    QUIRK_NO_EFFORT = 1 << 15,
    QUIRK_NO_TEMPERATURE = 1 << 16,
    QUIRK_NO_SEED = 1 << 17,
    QUIRK_NO_STOP = 1 << 18,
    QUIRK_NO_TOOL_CHOICE = 1 << 19,       /* the field is refused; CHOICE_NONE leaves the tools out */
    QUIRK_NO_IMAGES = 1 << 20,            /* an image becomes a line that says it was left out */
    QUIRK_CACHE_CONTROL = 1 << 21,        /* takes Anthropic's cache_control in content parts */
    QUIRK_ID_NINE = 1 << 22,              /* ids of calls are exactly nine letters and digits */
    QUIRK_ID_FORTY = 1 << 23,             /* … at most forty bytes */
    QUIRK_RANDOM_SEED = 1 << 24,          /* the seed is called random_seed */
    QUIRK_ADAPTIVE_THINKING = 1 << 25,    /* Anthropic: thinking has no budget, effort stands in output_config */
    QUIRK_NO_FORCED_CHOICE = 1 << 26,     /* a tool cannot be forced: "auto" is sent instead */
    QUIRK_THINK_TAGS = 1 << 27,           /* reasoning stands between <think> and </think> at the beginning of the text */
};

struct provider {
    struct slice name; /* "openai" */
    enum model_format format;
    struct slice base; /* where it usually is; a path (request.h) is appended */
    uint32_t quirks;
};

const struct provider *provider_find(struct slice name); /* NULL if there is no such entry */
const struct provider *provider_at(size_t i);            /* NULL past the end */
/* The quirks of a provider for one of its models. */
uint32_t provider_quirks(const struct provider *p, struct slice model);
uint32_t quirk_from(struct slice name); /* 0 if it is none */
const char *quirk_name(uint32_t quirk); /* of one flag; NULL if it is none */
const char *format_name(enum model_format f); /* "OpenAI Chat Completions", "Anthropic Messages" */

#endif
