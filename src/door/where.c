#include "door/where.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"

/* ---- URLs ---- */

static enum err bad(struct error *e, struct slice base, const char *why)
{
    return error_set(e, ERR_USAGE, "the address '%.*s' %s", (int)(base.n < 200 ? base.n : 200), base.p ? base.p : "", why);
}

/* Takes one part of a URL; *ret is freed by curl_free. */
static bool part(CURLU *u, CURLUPart what, unsigned flags, char **ret)
{
    *ret = NULL;
    return curl_url_get(u, what, ret, flags) == CURLUE_OK && *ret;
}

static bool has(CURLU *u, CURLUPart what)
{
    char *text;
    bool there = part(u, what, 0, &text);
    curl_free(text);
    return there;
}

/* libcurl undoes %-escapes in a host, and takes other alphabets; one that can be written in two ways could be two origins. */
static bool is_host(const char *host)
{
    const char *allowed = host[0] == '[' ? "0123456789abcdef:.[]" : "0123456789abcdefghijklmnopqrstuvwxyz-._";
    return host[0] && host[strspn(host, allowed)] == '\0';
}

static bool read_origin(CURLU *u, struct origin *ret)
{
    char *scheme, *host = NULL, *port = NULL;
    bool well = part(u, CURLUPART_SCHEME, 0, &scheme) && part(u, CURLUPART_HOST, 0, &host) &&
                part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, &port) && strlen(host) < HOST_MAX && *host;
    *ret = (struct origin){0};
    if (well) {
        well = strcasecmp(scheme, "http") == 0 || strcasecmp(scheme, "https") == 0;
        ret->tls = strcasecmp(scheme, "https") == 0;
        ret->port = (uint16_t)strtoul(port, NULL, 10);
        for (size_t i = 0; host[i]; i++)
            ret->host[i] = host[i] >= 'A' && host[i] <= 'Z' ? (char)(host[i] + 32) : host[i];
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    return well && ret->port && is_host(ret->host);
}

static bool is_printable(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] == 0x7f || s.p[i] == '\\')
            return false;
    return true;
}

static enum err parse(CURLU *u, struct slice base, const char *url, struct origin *ret, struct error *e)
{
    const unsigned flags = CURLU_NON_SUPPORT_SCHEME | CURLU_DISALLOW_USER;
    if (curl_url_set(u, CURLUPART_URL, url, flags) != CURLUE_OK)
        return bad(e, base, "is no address of a server (like https://api.example.org/v1)");
    if (!read_origin(u, ret))
        return bad(e, base, "is neither http nor https, or its host is none (letters, digits, dots)");
    if (has(u, CURLUPART_QUERY) || has(u, CURLUPART_FRAGMENT) || has(u, CURLUPART_USER) || has(u, CURLUPART_PASSWORD))
        return bad(e, base, "has a user, a query or a fragment, and may not");
    return OK;
}

/* The base has to be one without the path, too: "https:" and "/models" would be the host models. */
static enum err parse_both(CURLU *u, struct slice base, struct slice path, struct origin *ret, struct error *e)
{
    BUF_CLEANUP struct buf url = BUF_INIT(BASE_MAX + 256);
    struct origin alone;
    buf_add(&url, base);
    enum err err = parse(u, base, buf_str(&url), &alone, e);
    if (err)
        return err;
    buf_add(&url, path);
    err = buf_check(&url, "an address", e);
    if (!err)
        err = parse(u, base, buf_str(&url), ret, e);
    return err || origin_eq(&alone, ret) ? err : bad(e, base, "is no address of a server");
}

enum err where_parse(struct slice base, struct slice path, CURLU **ret, struct origin *ret_origin, struct error *e)
{
    struct origin origin;
    if (!base.n || base.n > BASE_MAX || !is_printable(base))
        return bad(e, base, base.n ? "is too long, or has a character that no address has" : "is empty");
    while (base.n && base.p[base.n - 1] == '/')
        base.n--;
    CURLU *u = curl_url();
    if (!u)
        return error_set(e, ERR_MEMORY, "no memory for an address");
    enum err err = parse_both(u, base, path, &origin, e);
    if (err || !ret)
        curl_url_cleanup(u);
    else
        *ret = u;
    if (!err)
        *ret_origin = origin;
    return err;
}

bool origin_eq(const struct origin *a, const struct origin *b)
{
    return a->tls == b->tls && a->port == b->port && strcmp(a->host, b->host) == 0;
}

struct origin_text origin_text(const struct origin *o)
{
    struct origin_text t;
    if (o->port == (o->tls ? 443 : 80))
        snprintf(t.text, sizeof t.text, "%s://%s", o->tls ? "https" : "http", o->host);
    else
        snprintf(t.text, sizeof t.text, "%s://%s:%u", o->tls ? "https" : "http", o->host, o->port);
    return t;
}

/* ---- addresses ---- */

static enum address_kind kind_of_4(const uint8_t b[4])
{
    static const uint8_t alibaba[4] = {100, 100, 100, 200}; /* the one cloud whose metadata are not link-local */
    if (b[0] == 127)
        return ADDRESS_LOOPBACK;
    return (b[0] == 169 && b[1] == 254) || memcmp(b, alibaba, 4) == 0 ? ADDRESS_REFUSED : ADDRESS_PUBLIC;
}

static enum address_kind kind_of_6(const struct in6_addr *a)
{
    static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
    static const uint8_t amazon[16] = {0xfd, 0, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54};
    const uint8_t *b = a->s6_addr;
    if (IN6_IS_ADDR_LOOPBACK(a))
        return ADDRESS_LOOPBACK;
    if (IN6_IS_ADDR_LINKLOCAL(a) || memcmp(b, amazon, sizeof amazon) == 0)
        return ADDRESS_REFUSED;
    if (IN6_IS_ADDR_V4MAPPED(a) || IN6_IS_ADDR_V4COMPAT(a))
        return kind_of_4(b + 12);
    /* Behind a translator the machine itself is not what 127.0.0.1 was, so only refusals carry over. */
    return memcmp(b, nat64, sizeof nat64) == 0 && kind_of_4(b + 12) == ADDRESS_REFUSED ? ADDRESS_REFUSED : ADDRESS_PUBLIC;
}

enum address_kind address_kind(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, a, sizeof in);
        return kind_of_4((const uint8_t *)&in.sin_addr);
    }
    if (a->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, a, sizeof in);
        return kind_of_6(&in.sin6_addr);
    }
    return ADDRESS_REFUSED;
}

bool address_parse(const char *text, enum address_kind *ret)
{
    char bare[64];
    size_t n = strlen(text);
    struct in_addr four;
    struct in6_addr six;
    *ret = ADDRESS_PUBLIC;
    if (n > 1 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    if (n >= sizeof bare)
        return false;
    memcpy(bare, text, n);
    bare[n] = '\0';
    bare[strcspn(bare, "%")] = '\0'; /* a zone */
    if (inet_pton(AF_INET, bare, &four) == 1)
        *ret = kind_of_4((const uint8_t *)&four);
    else if (inet_pton(AF_INET6, bare, &six) == 1)
        *ret = kind_of_6(&six);
    else
        return false;
    return true;
}

bool host_is_name(const char *host)
{
    enum address_kind kind;
    return !address_parse(host, &kind) && strcmp(host, "localhost") != 0;
}
