#include "core/event.h"

#include <string.h>

static uint8_t *put(uint8_t *at, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *at++ = (uint8_t)(v >> (8 * i));
    return at;
}

static uint64_t take(const uint8_t **at, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v |= (uint64_t)*(*at)++ << (8 * i);
    return v;
}

void event_header(const struct event *e, uint8_t ret[EVENT_HEADER_BYTES])
{
    uint8_t *at = ret;
    at = put(at, e->version, 2);
    at = put(at, e->type, 2);
    at = put(at, e->key.run, 8);
    at = put(at, e->key.branch, 4);
    at = put(at, e->key.step, 4);
    at = put(at, e->key.attempt, 4);
    at = put(at, e->seq, 8);
    at = put(at, (uint64_t)e->time_ms, 8);
    memcpy(at, e->prev.b, HASH_BYTES);
    memcpy(at + HASH_BYTES, e->payload_hash.b, HASH_BYTES);
    ASSERT(at + 2 * HASH_BYTES == ret + EVENT_HEADER_BYTES);
}

bool event_from_header(struct slice bytes, struct event *ret)
{
    if (bytes.n != EVENT_HEADER_BYTES)
        return false;
    const uint8_t *at = (const uint8_t *)bytes.p;
    *ret = (struct event){0};
    ret->version = (uint16_t)take(&at, 2);
    ret->type = (uint16_t)take(&at, 2);
    ret->key.run = take(&at, 8);
    ret->key.branch = (uint32_t)take(&at, 4);
    ret->key.step = (uint32_t)take(&at, 4);
    ret->key.attempt = (uint32_t)take(&at, 4);
    ret->seq = take(&at, 8);
    ret->time_ms = (int64_t)take(&at, 8);
    memcpy(ret->prev.b, at, HASH_BYTES);
    memcpy(ret->payload_hash.b, at + HASH_BYTES, HASH_BYTES);
    return true;
}

struct hash event_hash(const struct event *e)
{
    uint8_t header[EVENT_HEADER_BYTES];
    event_header(e, header);
    return hash_of((struct slice){(const char *)header, sizeof header});
}

static struct hash payload_hash(const struct event *e)
{
    return hash_of2((struct slice){(const char *)e->salt, sizeof e->salt}, e->payload);
}

void event_seal(struct event *e, const struct hash *prev)
{
    e->prev = *prev;
    e->payload_hash = payload_hash(e);
}

enum err event_check(const struct event *e, const struct hash *prev, uint64_t seq, struct error *err)
{
    unsigned long long at = e->seq;
    if (e->version > EVENT_VERSION)
        return error_set(err, ERR_VERSION, "event %llu was written by a newer crannog (format %u, this one reads %u)", at,
                         e->version, EVENT_VERSION);
    if (e->version == 0 || e->type == 0 || e->type >= EVENT_TYPES)
        return error_set(err, ERR_CORRUPT, "event %llu has the unknown type %u", at, e->type);
    if (e->seq != seq + 1)
        return error_set(err, ERR_CORRUPT, "event %llu is missing", (unsigned long long)seq + 1);
    if (!hash_eq(&e->prev, prev))
        return error_set(err, ERR_CORRUPT, "the chain is broken before event %llu", at);
    struct hash h = payload_hash(e);
    if (!e->redacted && !hash_eq(&h, &e->payload_hash))
        return error_set(err, ERR_CORRUPT, "the payload of event %llu was changed", at);
    return OK;
}

const char *event_type_name(unsigned type)
{
    static const char *const names[EVENT_TYPES] = {
        [EVENT_RUN_STARTED] = "run.started",     [EVENT_RUN_CONTINUED] = "run.continued",
        [EVENT_RUN_STOPPED] = "run.stopped",     [EVENT_RUN_BLOCKED] = "run.blocked",
        [EVENT_RUN_ENDED] = "run.ended",         [EVENT_PLAN_CHANGED] = "plan.changed",
        [EVENT_STEP_INTENDED] = "step.intended", [EVENT_STEP_FINISHED] = "step.finished",
        [EVENT_ANSWERED] = "answered",           [EVENT_SAID] = "said",
        [EVENT_REWOUND] = "rewound",             [EVENT_MODEL_CHANGED] = "model.changed",
        [EVENT_COMPACT_WANTED] = "compact.wanted", [EVENT_SERVICE_ENDED] = "service.ended",
        [EVENT_SERVICE_OPENED] = "service.opened",
    };
    return type < EVENT_TYPES && names[type] ? names[type] : "unknown";
}
