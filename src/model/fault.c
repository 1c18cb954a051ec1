#include "model/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    bool may_pass;
} kinds[FAULTS] = {
    [FAULT_NONE] = {"none", false},         [FAULT_AUTH] = {"auth", false},
    [FAULT_BILLING] = {"billing", false},   [FAULT_RATE_LIMIT] = {"rate_limit", true},
    [FAULT_OVERLOADED] = {"overloaded", true}, [FAULT_SERVER] = {"server", true},
    [FAULT_TIMEOUT] = {"timeout", true},    [FAULT_CONTEXT] = {"context", false},
    [FAULT_TOO_LARGE] = {"too_large", false}, [FAULT_NO_MODEL] = {"no_model", false},
    [FAULT_REFUSED] = {"refused", false},   [FAULT_REQUEST] = {"request", false},
    [FAULT_FORMAT] = {"format", false},     [FAULT_BROKEN] = {"broken", true},
    [FAULT_CUT] = {"cut", true},            [FAULT_LIMIT] = {"limit", false},
};

static const struct {
    int status;
    enum fault_kind kind;
} statuses[] = {
    {301, FAULT_NO_MODEL},   {302, FAULT_NO_MODEL}, {307, FAULT_NO_MODEL},   {308, FAULT_NO_MODEL},
    {400, FAULT_REQUEST},    {401, FAULT_AUTH},     {402, FAULT_BILLING},    {403, FAULT_AUTH},    {404, FAULT_NO_MODEL},
    {405, FAULT_NO_MODEL},   {408, FAULT_TIMEOUT},  {410, FAULT_NO_MODEL},   {413, FAULT_TOO_LARGE}, {425, FAULT_OVERLOADED},
    {429, FAULT_RATE_LIMIT}, {451, FAULT_REFUSED},  {498, FAULT_OVERLOADED}, {503, FAULT_OVERLOADED}, {504, FAULT_TIMEOUT},
    {522, FAULT_TIMEOUT},    {524, FAULT_TIMEOUT},  {529, FAULT_OVERLOADED},
};

/* Types and codes, as the APIs document them or servers were seen to send them. */
static const struct {
    const char *word;
    enum fault_kind kind;
} words[] = {
    {"authentication_error", FAULT_AUTH},
    {"permission_error", FAULT_AUTH},
    {"invalid_api_key", FAULT_AUTH},
    {"billing_error", FAULT_BILLING},
    {"insufficient_quota", FAULT_BILLING},
    {"billing_hard_limit_reached", FAULT_BILLING},
    {"rate_limit_error", FAULT_RATE_LIMIT},
    {"rate_limit_exceeded", FAULT_RATE_LIMIT},
    {"overloaded_error", FAULT_OVERLOADED},
    {"unavailable_error", FAULT_OVERLOADED}, /* llama.cpp while it loads its model */
    {"api_error", FAULT_SERVER},
    {"server_error", FAULT_SERVER},
    {"internal_server_error", FAULT_SERVER},
    {"timeout_error", FAULT_TIMEOUT},
    {"context_length_exceeded", FAULT_CONTEXT},
    {"exceed_context_size_error", FAULT_CONTEXT},
    {"request_too_large", FAULT_TOO_LARGE},
    {"not_found_error", FAULT_NO_MODEL},
    {"model_not_found", FAULT_NO_MODEL},
    {"content_filter", FAULT_REFUSED},
    {"content_policy_violation", FAULT_REFUSED},
    {"invalid_request_error", FAULT_REQUEST},
};

/* Phrases of messages, in small letters, for what no type tells apart. */
static const struct {
    const char *phrase;
    enum fault_kind kind;
} phrases[] = {
    {"credit balance is too low", FAULT_BILLING},
    {"insufficient balance", FAULT_BILLING},
    {"insufficient credits", FAULT_BILLING},
    {"exceeded your current quota", FAULT_BILLING},
    {"prompt is too long", FAULT_CONTEXT},
    {"exceed context limit", FAULT_CONTEXT},
    {"maximum context length", FAULT_CONTEXT},
    {"context length exceeded", FAULT_CONTEXT},
    {"context window", FAULT_CONTEXT},
    {"exceeds the available context size", FAULT_CONTEXT},
    {"greater than the context length", FAULT_CONTEXT},
};

const char *fault_name(enum fault_kind k)
{
    return (unsigned)k < FAULTS ? kinds[k].name : "unknown";
}

bool fault_may_pass(enum fault_kind k)
{
    return (unsigned)k < FAULTS && kinds[k].may_pass;
}

/* One line of UTF-8: control characters become blanks, a character that was cut at the end goes. */
static void tidy(char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = ' ';
    for (size_t back = 1; back <= 4 && back <= n && !slice_is_utf8((struct slice){text, n}); back++)
        if (slice_is_utf8((struct slice){text, n - back})) {
            text[n - back] = '\0';
            return;
        }
    for (size_t i = 0; i < n && !slice_is_utf8((struct slice){text, n}); i++)
        if ((unsigned char)text[i] >= 0x80)
            text[i] = '?';
}

void fault_set(struct fault *f, enum fault_kind kind, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    f->kind = kind;
    vsnprintf(f->text, sizeof f->text, fmt, ap);
    va_end(ap);
    tidy(f->text);
}

/* ---- what an error says ---- */

static enum fault_kind kind_of_status(int status)
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].status == status)
            return statuses[i].kind;
    return status >= 400 && status < 500 ? FAULT_REQUEST : FAULT_SERVER;
}

static enum fault_kind kind_of_word(struct slice word)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_is(word, words[i].word))
            return words[i].kind;
    return FAULT_NONE;
}

static enum fault_kind kind_of_message(struct slice message)
{
    char small[2000];
    size_t n = message.n < sizeof small ? message.n : sizeof small;
    for (size_t i = 0; i < n; i++)
        small[i] = message.p[i] >= 'A' && message.p[i] <= 'Z' ? (char)(message.p[i] + 32) : message.p[i];
    struct slice s = {small, n};
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (slice_find(s, slice_of(phrases[i].phrase), 0) < n)
            return phrases[i].kind;
    return FAULT_NONE;
}

struct said {
    struct slice message, more, type, code;
    int64_t number; /* a code that is a number: often the status of whom a gateway asked */
};

/* {"error":{"message","type","code"}}, {"type":"error","error":{…}}, {"error":"…"}, {"message":…}, {"detail":…} */
static struct said read_error(const struct json *v)
{
    const struct json *inner = json_get(v, "error");
    const struct json *o = json_type(inner) == JSON_OBJECT ? inner : v;
    struct said s = {
        .message = json_text(json_get(o, "message")),
        .more = json_text(json_get(json_get(o, "metadata"), "raw")),
        .type = json_text(json_get(o, "type")),
        .code = json_text(json_get(o, "code")),
        .number = json_int(json_get(o, "code"), 0),
    };
    if (!s.message.n)
        s.message = json_text(inner);
    if (!s.message.n)
        s.message = json_text(json_get(v, "detail"));
    return s;
}

/* The most telling of: a code, a type, words of the message, the status. */
static enum fault_kind kind_of(const struct said *s, struct slice message, int status)
{
    enum fault_kind kind = kind_of_word(s->code), by_message = kind_of_message(message);
    if (!kind)
        kind = kind_of_word(s->type);
    if (!by_message)
        by_message = kind_of_message(s->more);
    if (kind != FAULT_AUTH && by_message)
        kind = by_message;
    if (!kind || (kind == FAULT_REQUEST && status >= 400)) /* the vaguest of types: the status knows better */
        kind = kind_of_status(status);
    return kind;
}

void fault_from(struct fault *f, int status, const struct json *v, struct slice raw)
{
    struct said s = read_error(v);
    struct slice message = s.message.n ? s.message : slice_trim(raw), more = slice_sub(s.more, 0, 160);
    struct slice name = slice_sub(s.code.n ? s.code : s.type, 0, 60);
    char what[96] = "";
    if (status < 400 && s.number >= 400 && s.number < 600)
        status = (int)s.number;
    enum fault_kind kind = kind_of(&s, message, status);
    message = message.n ? slice_sub(message, 0, 300) : SLICE("it said nothing about it");
    if (status >= 300)
        snprintf(what, sizeof what, " (HTTP %d%s%.*s)", status, name.n ? ", " : "", SLICE_ARG(name));
    else if (name.n)
        snprintf(what, sizeof what, " (%.*s)", SLICE_ARG(name));
    f->status = status;
    fault_set(f, kind, "%.*s%s%.*s%s", SLICE_ARG(message), more.n ? ": " : "", SLICE_ARG(more), what);
}

bool fault_is(const struct json *v)
{
    const struct json *inner = json_get(v, "error");
    return (json_type(inner) == JSON_OBJECT && json_count(inner)) || json_text(inner).n || slice_is(json_text(json_get(v, "type")), "error") ||
           slice_is(json_text(json_get(v, "object")), "error");
}
