/*
 * The network loop: libcurl's multi interface over one epoll, which also watches the socket to the engine.
 *
 * Two multis: plain http has a connection for each call; over TLS, where servers speak HTTP/2, at most NET_HOST_MAX to a
 * host, for a burst would otherwise open one for nearly every call. Time is ours: net_wait() takes a deadline.
 */
#ifndef CRANNOG_DOOR_NET_H
#define CRANNOG_DOOR_NET_H

#include <curl/curl.h>

#include "base/slice.h"

enum { NET_HOST_MAX = 128, NET_IDLE_MAX = 128 };

struct net_multi {
    CURLM *multi;
    int *epoll;
    int64_t timer_ns; /* when libcurl wants to be called; -1: not */
    bool tls;
};

struct net {
    int epoll;
    struct net_multi multis[2]; /* http, https */
};

/* What happened beside libcurl's own: bits of the descriptors that were watched. */
enum net_event { NET_ENGINE = 1, NET_ENGINE_OUT = 2, NET_NAMES = 4 };

/* ERR_IO, ERR_MEMORY. */
enum err MUST_USE net_open(struct net *n, int engine_fd, int names_fd, struct error *e);
void net_close(struct net *n);
/* Which of NET_ENGINE and NET_ENGINE_OUT is waited for. */
void net_watch(struct net *n, int engine_fd, bool in, bool out);
bool net_add(struct net *n, CURL *easy, bool tls);
void net_remove(struct net *n, CURL *easy, bool tls);
/* Waits until something happens or `until_ns` (boottime; -1: for ever), lets libcurl work; returns the bits. */
unsigned net_wait(struct net *n, int64_t until_ns);
/* The next transfer that has ended, or NULL. */
CURL *net_ended(struct net *n, CURLcode *ret);

#endif
