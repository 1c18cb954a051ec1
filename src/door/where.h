/*
 * Where a request goes: its URL, the origin that secrets are bound to, and which addresses may be dialled. Pure.
 *
 * URLs are parsed by libcurl's own parser and handed to it parsed, so that what was checked is what is dialled.
 */
#ifndef CRANNOG_DOOR_WHERE_H
#define CRANNOG_DOOR_WHERE_H

#include <curl/curl.h>
#include <sys/socket.h>

#include "base/slice.h"

enum { HOST_MAX = 254, BASE_MAX = 2048 };

struct origin {
    bool tls;
    uint16_t port;
    char host[HOST_MAX]; /* lower case; an IPv6 address in brackets */
};

/*
 * The URL of a server's base with a path behind it ("" for none). ERR_USAGE in words where the base is not http or https, has a
 * user, a query or a fragment, or is too long. *ret (may be NULL) is the caller's: curl_url_cleanup.
 */
enum err MUST_USE where_parse(struct slice base, struct slice path, CURLU **ret, struct origin *ret_origin, struct error *e);
bool origin_eq(const struct origin *a, const struct origin *b);
/* "https://api.example.org", with the port where it is not the scheme's own. */
struct origin_text {
    char text[HOST_MAX + 24];
} origin_text(const struct origin *o);

enum address_kind {
    ADDRESS_PUBLIC = 0, /* or of a private network */
    ADDRESS_LOOPBACK,
    ADDRESS_REFUSED, /* link-local, or where clouds answer for the machine itself: never dialled */
};
enum address_kind address_kind(const struct sockaddr *a);
/* The same of an address as text, with brackets or without; ADDRESS_PUBLIC and false for what is none. */
bool address_parse(const char *text, enum address_kind *ret);
/* Whether a host is a name that has to be asked for ("localhost" is not: libcurl knows it). */
bool host_is_name(const char *host);

#endif
