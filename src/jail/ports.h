/*
 * Ports that lead from one jail to another. A jail's network namespace has a loopback and nothing else; what somebody in
 * it connects to at one of the plan's `listen` ports comes out here, without a process that is in two namespaces:
 *
 *     a jail's pid 1         makes the listeners on its loopback before it gives up its rights (listeners_make, init.c)
 *     its outer process      gives each to the engine (JAIL_LISTENER), with a descriptor that hangs up when the jail ends
 *     the engine             gives it to whom it is for (JAIL_OFFER) and keeps nothing; it sees no byte
 *     the service's outer    accepts, asks its own pid 1 for a connection to that port, and copies both ways: this file
 *
 * Where a listener comes from is nothing to the switchboard: one of the machine's own loopback is offered the same way.
 *
 * R1  Bounded: PORTS_CONNECTIONS_MAX connections, PORTS_OFFERS_MAX offers, PORTS_CHUNK bytes held for each direction of
 *     one. Whoever is too many waits in the listener's queue.
 * R2  One that does not read stops whom it does not read, and nobody else. The end of one direction is passed on when all
 *     before it was; the other goes on.
 * R3  When an offer's life hangs up, its listeners and connections go.
 */
#ifndef CRANNOG_JAIL_PORTS_H
#define CRANNOG_JAIL_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { PORTS_CONNECTIONS_MAX = 1024, PORTS_OFFERS_MAX = 512, PORTS_ASKED_MAX = 64, PORTS_CHUNK = 64 * 1024 };

struct ports {
    int epoll;       /* readable when ports_work() has something to do; -1: not begun */
    unsigned most;   /* connections at once: fewer where there are few descriptors */
    unsigned n, asked;
    bool full;       /* nobody is taken in */
    uint32_t turn;
    struct ports_offer *offers;           /* PORTS_OFFERS_MAX places */
    struct ports_connection *connections; /* PORTS_CONNECTIONS_MAX */
    /* Asks for a connection to `port` inside, at ::1 or 127.0.0.1, which ports_connected(id) brings; false: it cannot be asked. */
    bool (*ask)(void *ctx, uint32_t id, uint16_t port, bool six);
    void *ctx;
};

#define PORTS_INIT ((struct ports){.epoll = -1})

/* Raises this process's limit of descriptors as far as it may. `ask` and `ctx` are set by the caller. */
enum err MUST_USE ports_begin(struct ports *p, struct error *e);
void ports_end(struct ports *p);
/* Takes listening sockets (-1: none) and what their life hangs on (-1: for ever), all of them also where they find no place. */
void ports_offer(struct ports *p, uint16_t port, int v4, int v6, int life);
/* What was asked for: a socket that is connected or about to be (taken), or -1. */
void ports_connected(struct ports *p, uint32_t id, int fd);
/* Whatever can be done without waiting. */
void ports_work(struct ports *p);

#endif
