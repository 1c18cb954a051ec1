/*
 * A call: one request to a model's server, from its ASK (or LOOK) to the last frame about it.
 *
 *     CALL_NAME    its host's address is asked for           name.h
 *     CALL_MOVING  libcurl has it                            transfer.c
 *     CALL_ENDED   what there is to say is not all sent yet  answer.c
 *
 * Deltas wait in the call while the engine's socket is full; past CALL_QUEUE_MAX its transfer is paused until they went.
 */
#ifndef CRANNOG_DOOR_CALL_H
#define CRANNOG_DOOR_CALL_H

#include <curl/curl.h>

#include "door/credential.h"
#include "door/scrub.h"
#include "door/server.h"
#include "model/request.h"
#include "model/stream.h"

enum {
    CALL_QUEUE_MAX = 256 * 1024,
    CALL_DELTA_MAX = 24 * 1024,           /* what is joined to one DELTA */
    CALL_HEADERS_MAX = 256 * 1024,        /* bytes of an answer's headers */
    CALL_LOOK_MAX = 4 * 1024 * 1024,      /* bytes of a list of models */
    CALL_OVER_MS = 100,                   /* how long a whole answer's connection may take to end, to be used again */
    CALL_CONNECT_MS = 30 * 1000, CALL_IDLE_MS = 10 * 60 * 1000, CALL_TOTAL_MS = 60 * 60 * 1000, /* where nothing is said */
    CALL_MS_MAX = 24 * 60 * 60 * 1000,
};

enum call_stage { CALL_NAME = 1, CALL_MOVING, CALL_ENDED };

struct delta {
    enum delta_kind kind;
    size_t part;
    struct buf text, id, name;
};

struct call {
    struct server *server;
    uint64_t id;
    bool look; /* a LOOK, else an ASK */
    enum call_stage stage;
    struct call *chain, *prev, *next; /* of its bucket; of all calls */
    struct call *next_dirty;
    bool dirty; /* waits for the engine's socket */

    const struct provider *provider;
    uint32_t quirks;
    struct credential *credential; /* held; NULL: none */
    struct origin origin;
    CURLU *url;
    struct model_request request;
    int64_t connect_ns, idle_ns, total_ns; /* how long each may take */

    CURL *easy;
    struct curl_slist *headers, *resolve;
    char *curl_words; /* of CURL_ERROR_SIZE */
    struct stream *stream;
    struct buf body; /* of a LOOK */
    struct scrub raw;
    size_t header_bytes;
    int status; /* HTTP; 0: none came */
    int64_t retry_ms; /* -1: not said */
    bool retry_exact;
    bool sent, paused, over;
    int64_t begun_ns, last_ns, first_ns, end_ns; /* boottime; first_ns 0: no delta yet; end_ns: when `over` */
    struct fault fault; /* what we know better than the stream */

    struct scrub words; /* for the part that is being told */
    enum delta_kind words_kind;
    size_t words_part;
    struct delta *deltas; /* those from `told` on wait */
    size_t told, ndeltas, deltas_cap, queued;

    struct arena arena;
    struct stream_answer answer;
    int64_t wall_ns;
};

/* ---- call.c ---- */

/* Takes an ASK or a LOOK; whatever is wrong with it becomes its answer. */
void call_open(struct server *s, struct frame *f);
/* Goes on with a call whose host may be known now. */
void call_dial(struct call *c);
/* Ends it: with the fault in c->fault if that has a kind. `why`: how the connection broke, or NULL. */
void call_finish(struct call *c, const char *why);
void call_cancel(struct server *s, uint64_t id);
/* Ends what took too long; returns when to look again (-1: never). */
int64_t calls_alarm(struct server *s, int64_t now_ns);
void call_free(struct call *c);

/* ---- transfer.c ---- */

/* Hands it to libcurl. False with c->fault set. */
bool transfer_start(struct call *c);
/* Takes it from libcurl; harmless if it is not there. */
void transfer_stop(struct call *c);
/* What libcurl says of a transfer that ended. */
void transfer_ended(struct call *c, CURLcode code);

/* ---- answer.c ---- */

/* stream.h's `take`. */
void answer_take(void *call, const struct stream_delta *d);
/* What scrubbing held back is said after all. */
void answer_flush_words(struct call *c);
/* The stream's end becomes c->answer, scrubbed; so is the body of a LOOK. */
void answer_finish(struct call *c, const char *why);
/* Sends what waits. False where the socket is full. A call that has said all is freed. */
bool answer_send(struct call *c);

#endif
