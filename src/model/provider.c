#include "model/provider.h"

/* ---- the flags ---- */

static const struct {
    const char *name;
    uint32_t flag;
} quirks[] = {
    {"max_completion_tokens", QUIRK_MAX_COMPLETION_TOKENS},
    {"no_stream", QUIRK_NO_STREAM},
    {"no_stream_options", QUIRK_NO_STREAM_OPTIONS},
    {"no_parallel_tool_calls", QUIRK_NO_PARALLEL_FIELD},
    {"developer_role", QUIRK_DEVELOPER_ROLE},
    {"system_as_user", QUIRK_SYSTEM_AS_USER},
    {"results_as_user", QUIRK_RESULTS_AS_USER},
    {"result_name", QUIRK_RESULT_NAME},
    {"assistant_after_result", QUIRK_ASSISTANT_AFTER_RESULT},
    {"tools_with_history", QUIRK_TOOLS_WITH_HISTORY},
    {"empty_content", QUIRK_EMPTY_CONTENT},
    {"reasoning_content", QUIRK_REASONING_CONTENT},
    {"reasoning", QUIRK_REASONING},
    {"reasoning_details", QUIRK_REASONING_DETAILS},
    {"effort_object", QUIRK_EFFORT_OBJECT},
    {"no_effort", QUIRK_NO_EFFORT},
    {"no_temperature", QUIRK_NO_TEMPERATURE},
    {"no_seed", QUIRK_NO_SEED},
    {"no_stop", QUIRK_NO_STOP},
    {"no_tool_choice", QUIRK_NO_TOOL_CHOICE},
    {"no_images", QUIRK_NO_IMAGES},
    {"cache_control", QUIRK_CACHE_CONTROL},
    {"id_nine", QUIRK_ID_NINE},
    {"id_forty", QUIRK_ID_FORTY},
    {"random_seed", QUIRK_RANDOM_SEED},
    {"adaptive_thinking", QUIRK_ADAPTIVE_THINKING},
    {"no_forced_choice", QUIRK_NO_FORCED_CHOICE},
    {"think_tags", QUIRK_THINK_TAGS},
};
enum { QUIRKS = sizeof quirks / sizeof *quirks };

uint32_t quirk_from(struct slice name)
{
    for (size_t i = 0; i < QUIRKS; i++)
        if (slice_is(name, quirks[i].name))
            return quirks[i].flag;
    return 0;
}

const char *quirk_name(uint32_t quirk)
{
    for (size_t i = 0; i < QUIRKS; i++)
        if (quirks[i].flag == quirk)
            return quirks[i].name;
    return NULL;
}

const char *format_name(enum model_format f)
{
    return f == FORMAT_ANTHROPIC ? "Anthropic Messages" : "OpenAI Chat Completions";
}

/* ---- the servers ---- */

#define P(name, format, base, quirks) {SLICE_INIT(name), format, SLICE_INIT(base), quirks}

static const struct provider providers[] = {
    P("anthropic", FORMAT_ANTHROPIC, "https://api.anthropic.com", 0),
    P("openai", FORMAT_OPENAI, "https://api.openai.com/v1", QUIRK_MAX_COMPLETION_TOKENS | QUIRK_ID_FORTY),
    P("openrouter", FORMAT_OPENAI, "https://openrouter.ai/api/v1",
      QUIRK_REASONING | QUIRK_REASONING_DETAILS | QUIRK_EFFORT_OBJECT),
    P("deepseek", FORMAT_OPENAI, "https://api.deepseek.com", QUIRK_REASONING_CONTENT | QUIRK_NO_SEED | QUIRK_NO_PARALLEL_FIELD),
    P("moonshot", FORMAT_OPENAI, "https://api.moonshot.ai/v1", QUIRK_REASONING_CONTENT | QUIRK_NO_SEED | QUIRK_NO_PARALLEL_FIELD),
    P("mistral", FORMAT_OPENAI, "https://api.mistral.ai/v1",
      QUIRK_ID_NINE | QUIRK_RANDOM_SEED | QUIRK_RESULT_NAME | QUIRK_NO_STREAM_OPTIONS | QUIRK_NO_EFFORT),
    P("groq", FORMAT_OPENAI, "https://api.groq.com/openai/v1", QUIRK_MAX_COMPLETION_TOKENS),
    P("xai", FORMAT_OPENAI, "https://api.x.ai/v1", QUIRK_NO_EFFORT),
    P("ollama", FORMAT_OPENAI, "http://127.0.0.1:11434/v1", QUIRK_NO_PARALLEL_FIELD | QUIRK_NO_TOOL_CHOICE | QUIRK_THINK_TAGS),
    P("lmstudio", FORMAT_OPENAI, "http://127.0.0.1:1234/v1", QUIRK_NO_PARALLEL_FIELD | QUIRK_NO_EFFORT | QUIRK_THINK_TAGS),
    P("llama.cpp", FORMAT_OPENAI, "http://127.0.0.1:8080/v1",
      QUIRK_REASONING_CONTENT | QUIRK_NO_EFFORT | QUIRK_EMPTY_CONTENT | QUIRK_THINK_TAGS),
    P("vllm", FORMAT_OPENAI, "http://127.0.0.1:8000/v1", QUIRK_THINK_TAGS),
    P("litellm", FORMAT_OPENAI, "http://127.0.0.1:4000/v1", QUIRK_TOOLS_WITH_HISTORY),
    P("openai-compatible", FORMAT_OPENAI, "", 0), /* any other; a person says where */
    P("anthropic-compatible", FORMAT_ANTHROPIC, "", 0),
};
enum { PROVIDERS = sizeof providers / sizeof *providers };

/* What models add, by the beginning of their name; the longest one counts. */
enum {
    OPENAI_THINKS = QUIRK_NO_TEMPERATURE | QUIRK_NO_STOP,
    CLAUDE_ADAPTS = QUIRK_ADAPTIVE_THINKING | QUIRK_NO_TEMPERATURE | QUIRK_NO_FORCED_CHOICE,
};

static const struct {
    struct slice provider, model;
    uint32_t quirks;
} models[] = {
    {SLICE_INIT("openai"), SLICE_INIT("o1"), OPENAI_THINKS},
    {SLICE_INIT("openai"), SLICE_INIT("o3"), OPENAI_THINKS},
    {SLICE_INIT("openai"), SLICE_INIT("o4"), OPENAI_THINKS},
    {SLICE_INIT("openai"), SLICE_INIT("gpt-5"), OPENAI_THINKS},
    {SLICE_INIT("openai"), SLICE_INIT("gpt-6"), OPENAI_THINKS},
    {SLICE_INIT("openai"), SLICE_INIT("gpt-4"), QUIRK_NO_EFFORT},
    {SLICE_INIT("openrouter"), SLICE_INIT("anthropic/"), QUIRK_CACHE_CONTROL},
    {SLICE_INIT("anthropic"), SLICE_INIT("claude-"), QUIRK_NO_EFFORT},
    {SLICE_INIT("anthropic"), SLICE_INIT("claude-opus-4-6"), QUIRK_ADAPTIVE_THINKING},
    {SLICE_INIT("anthropic"), SLICE_INIT("claude-sonnet-4-6"), QUIRK_ADAPTIVE_THINKING},
    {SLICE_INIT("anthropic"), SLICE_INIT("claude-opus-4-7"), CLAUDE_ADAPTS},
    {SLICE_INIT("anthropic"), SLICE_INIT("claude-opus-4-8"), CLAUDE_ADAPTS},
    {SLICE_INIT("anthropic"), SLICE_INIT("claude-opus-5"), CLAUDE_ADAPTS},
    {SLICE_INIT("anthropic"), SLICE_INIT("claude-sonnet-5"), CLAUDE_ADAPTS},
    {SLICE_INIT("anthropic"), SLICE_INIT("claude-haiku-5"), CLAUDE_ADAPTS},
    {SLICE_INIT("anthropic"), SLICE_INIT("claude-fable-5"), CLAUDE_ADAPTS},
    {SLICE_INIT("anthropic"), SLICE_INIT("claude-mythos-5"), CLAUDE_ADAPTS},
};

const struct provider *provider_at(size_t i)
{
    return i < PROVIDERS ? &providers[i] : NULL;
}

const struct provider *provider_find(struct slice name)
{
    for (size_t i = 0; i < PROVIDERS; i++)
        if (slice_eq(name, providers[i].name))
            return &providers[i];
    return NULL;
}

uint32_t provider_quirks(const struct provider *p, struct slice model)
{
    uint32_t added = 0;
    size_t longest = 0;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (slice_eq(models[i].provider, p->name) && slice_starts(model, models[i].model) && models[i].model.n > longest) {
            longest = models[i].model.n;
            added = models[i].quirks;
        }
    return p->quirks | added;
}
