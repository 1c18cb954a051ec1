/*
 * What the files of this folder share: a transcript as it will be sent, before any format's words are put around it.
 *
 * Messages alternate, the first is a user's; each call has its result first in the message that follows; ids and names
 * are such as the server takes; what is not sent is gone (request.h Q1–Q5, Q7).
 */
#ifndef CRANNOG_MODEL_INTERNAL_H
#define CRANNOG_MODEL_INTERNAL_H

#include "model/request.h"

enum item_kind {
    ITEM_PART = 1, /* as it stands */
    ITEM_STRAY,    /* a result that no call asked for: sent as text */
};

struct item {
    enum item_kind kind;
    const struct transcript_part *part;
    struct slice id, name; /* of a CALL, or of the RESULT that answers it, as they are sent */
    bool mark;             /* a cache mark that is sent */
};

struct message {
    enum turn_role role;
    struct item *items;
    size_t n, cap;
};

struct script {
    const struct transcript *t;
    const struct provider *provider;
    uint32_t quirks;
    struct message *messages;
    size_t n, cap;
    bool tools_mark, system_mark[TRANSCRIPT_SYSTEM_MAX];
    bool has_calls;
    size_t filled, images;
    bool too_long, no_memory; /* what a writer met: something past REQUEST_BYTES_MAX; a buffer that was refused */
};

static inline bool script_has(const struct script *s, uint32_t quirk) { return (s->quirks & quirk) != 0; }

/* Everything lives in the arena. ERR_LIMIT, ERR_MEMORY. */
enum err MUST_USE script_make(struct script *s, struct arena *a, struct error *e);

/* The bodies; the schemas of tools have been looked at. */
struct json *body_openai(struct script *s);
struct json *body_anthropic(struct script *s);

/* What both write. */
struct json *json_of(struct slice text); /* parsed, or NULL */
struct json *call_arguments(const struct transcript_part *call); /* an object; Q3 */
struct json *cache_control(const struct transcript *t);
/* What a buffer has come to; one that failed is noted, so that nothing that was cut is sent. */
struct slice written(struct script *s, const struct buf *b);
void put_base64(struct script *s, struct json *o, const char *key, struct slice prefix, struct slice bytes);
struct json *json_milli(int64_t v); /* 700 as 0.700 */
bool sends_tools(const struct script *s);
bool is_forced(const struct script *s); /* a tool choice that forces, and may */

#endif
