/*
 * The server: what the door has in hand for the engine on the other side of one socket. One thread.
 *
 * Nothing here waits for the engine: what its socket does not take now is kept, bounded: deltas in their calls (call.h),
 * other frames in `replies`; while those are many, no further frames are taken from it.
 */
#ifndef CRANNOG_DOOR_SERVER_H
#define CRANNOG_DOOR_SERVER_H

#include "door/credential.h"
#include "door/net.h"
#include "wire/frame.h"

enum { SERVER_CALLS_MAX = 16384, SERVER_BUCKETS = 4096, SERVER_REPLIES_MAX = 64, SERVER_FRAMES_TURN = 64 };

struct call;
struct vault;

struct reply {
    struct reply *next;
    uint16_t type;
    uint64_t id;
    struct outgoing o;
};

struct server {
    int socket;
    bool gone;    /* the other side, or our way to it */
    bool full;    /* the socket took no more */
    struct net net;
    struct credentials credentials;
    struct vault *vault; /* NULL: none */
    struct call *buckets[SERVER_BUCKETS], *calls;
    size_t ncalls;
    struct call *dirty, **dirty_end;
    struct reply *replies, **replies_end;
    size_t nreplies;
    int64_t alarm_ns; /* when calls_alarm() is to look; -1: never */
};

/* Serves until the other side is gone; returns the exit status. */
int serve(int socket);

/* For those below. */
void server_alarm(struct server *s, int64_t at_ns);  /* at the latest then */
void server_dirty(struct server *s, struct call *c); /* it has something to say */
/* Queues a frame; takes what is in *o. */
void server_say(struct server *s, uint16_t type, uint64_t id, struct outgoing *o);
void server_fail(struct server *s, uint64_t id, const struct error *why);
/* Sends one frame now: false where the socket is full. One that cannot be built or sent at all counts as sent; ERR_GONE ends us. */
bool server_send(struct server *s, uint16_t type, uint64_t id, const struct outgoing *o);

#endif
