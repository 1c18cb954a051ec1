/*
 * Events: one line of a run's append-only, hash-chained record. FORMAT FROZEN per version: an event type never changes
 * its meaning, it gets a successor.
 *
 * Header as stored and hashed, little-endian, no padding, EVENT_HEADER_BYTES in all:
 *     u16 version  u16 type  u64 run  u32 branch  u32 step  u32 attempt  u64 seq  i64 time_ms
 *     32 bytes prev (hash of the header before, zero for the first)
 *     32 bytes payload_hash = SHA-256(salt || payload)
 * The payload is JSON as its writer printed it, hashed as bytes, never re-serialised.
 *
 * E1  seq counts from 1 without a gap within a run; prev is the hash of the header of seq - 1.
 * E2  The chain covers the payload only through its salted hash: payload and salt can be dropped together (redaction)
 *     and the chain still holds.
 * E3  Names of blobs (content hashes) stand in payloads only, never in headers, else E2 would leak content.
 * E4  A step is (run, branch, step); each try at it has its own attempt, counted from 1.
 */
#ifndef CRANNOG_CORE_EVENT_H
#define CRANNOG_CORE_EVENT_H

#include "base/hash.h"

enum { EVENT_VERSION = 1, EVENT_HEADER_BYTES = 104, EVENT_SALT_BYTES = 16, EVENT_PAYLOAD_MAX = 8 * 1024 * 1024 };

enum event_type {
    EVENT_RUN_STARTED = 1,   /* the plan, the folders, the grant, the budget */
    EVENT_RUN_CONTINUED = 2, /* somebody goes on with it */
    EVENT_RUN_STOPPED = 3,   /* a person said stop */
    EVENT_RUN_BLOCKED = 4,   /* an intent was refused: budget or grant */
    EVENT_RUN_ENDED = 5,     /* done or failed, for good */
    EVENT_PLAN_CHANGED = 6,  /* unstarted items were changed by a person */
    EVENT_STEP_INTENDED = 7,
    EVENT_STEP_FINISHED = 8,
    EVENT_ANSWERED = 9, /* a person settled a question */
    EVENT_SAID = 10,         /* a person said something to an agent */
    EVENT_REWOUND = 11,      /* a person took back the end of a talk: a new branch */
    EVENT_MODEL_CHANGED = 12,
    EVENT_COMPACT_WANTED = 13,
    EVENT_SERVICE_ENDED = 14,  /* a service's jail has ended: how, what it used and printed */
    EVENT_SERVICE_OPENED = 15, /* a person let a port of the machine lead to a service */
    EVENT_TYPES
};

struct step_key {
    uint64_t run;
    uint32_t branch, step, attempt; /* step 0: not about a step */
};

struct event {
    uint16_t version, type;
    struct step_key key;
    uint64_t seq;
    int64_t time_ms; /* since the epoch */
    struct hash prev, payload_hash;
    uint8_t salt[EVENT_SALT_BYTES];
    struct slice payload; /* borrowed; empty and `redacted` where it was dropped */
    bool redacted;
};

void event_header(const struct event *e, uint8_t ret[EVENT_HEADER_BYTES]);
/* Of EVENT_HEADER_BYTES bytes; salt and payload stay empty. */
bool event_from_header(struct slice bytes, struct event *ret);
struct hash event_hash(const struct event *e);
/* Fills prev and payload_hash of an event whose other fields are set. */
void event_seal(struct event *e, const struct hash *prev);
/* Whether e may follow the event with hash `prev` and number `seq`; ERR_CORRUPT or ERR_VERSION says what is wrong. */
enum err MUST_USE event_check(const struct event *e, const struct hash *prev, uint64_t seq, struct error *err);
/* "run.started", …; "unknown" for a type that is none. */
const char *event_type_name(unsigned type);

#endif
