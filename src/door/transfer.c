/* A call in libcurl's hands: its options, what libcurl calls, and what its errors mean. */
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "door/call.h"
#include "door/retry.h"
#include "version.h"

#define CA_FILE "/etc/ssl/certs/ca-certificates.crt"

enum { RECEIVE_BYTES = 4096 };

/* ---- what libcurl calls ---- */

/* Whether an address may be spoken to: never a refused one, with a secret in clear only this machine. */
static bool may_reach(struct call *c, enum address_kind kind)
{
    if (kind == ADDRESS_REFUSED)
        fault_set(&c->fault, FAULT_NO_MODEL, "%s is an address that is never dialled (link-local, or of a cloud's metadata)", c->origin.host);
    else if (kind != ADDRESS_LOOPBACK && c->credential && !c->origin.tls)
        fault_set(&c->fault, FAULT_AUTH, "the secret %s is not sent to %s: http is readable on its way, use https", c->credential->name,
                  origin_text(&c->origin).text);
    else
        return true;
    return false;
}

static curl_socket_t on_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
    (void)purpose;
    if (!may_reach(ctx, address_kind(&a->addr)))
        return CURL_SOCKET_BAD;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* Before each request, also on a connection that another call made. */
static int on_request(void *ctx, char *ip, char *local_ip, int port, int local_port)
{
    (void)local_ip, (void)port, (void)local_port;
    struct call *c = ctx;
    enum address_kind kind;
    if (!ip || !address_parse(ip, &kind) || !may_reach(c, kind))
        return CURL_PREREQFUNC_ABORT;
    c->sent = true;
    c->last_ns = sys->boottime_ns();
    server_alarm(c->server, c->last_ns + c->idle_ns);
    return CURL_PREREQFUNC_OK;
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
    struct call *c = ctx;
    struct slice line = {p, size * n};
    bool exact;
    c->last_ns = sys->boottime_ns();
    c->header_bytes += line.n;
    if (c->header_bytes > CALL_HEADERS_MAX) {
        fault_set(&c->fault, FAULT_LIMIT, "the headers of the answer are longer than %d bytes", CALL_HEADERS_MAX);
        return 0;
    }
    if (slice_starts(line, SLICE("HTTP/"))) {
        c->retry_ms = -1;
        c->retry_exact = false;
    }
    int64_t ms = retry_read(line, sys->now_ms(), &exact);
    if (ms >= 0 && (exact || !c->retry_exact)) {
        c->retry_ms = ms;
        c->retry_exact = exact;
    }
    return line.n;
}

static void read_status(struct call *c)
{
    long status = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    c->status = (int)status;
}

static bool open_stream(struct call *c)
{
    read_status(c);
    const struct stream_setup setup = {.format = c->provider->format, .quirks = c->quirks, .provider = c->provider->name,
                                       .status = c->status, .retry_after_ms = c->retry_ms, .take = answer_take, .ctx = c};
    if (!c->stream)
        c->stream = stream_new(&setup);
    return c->stream != NULL;
}

static void feed(struct call *c, struct slice bytes)
{
    if (stream_feed(c->stream, bytes) || c->over)
        return;
    c->over = true;
    c->end_ns = c->last_ns + CALL_OVER_MS * 1000000LL;
    server_alarm(c->server, c->end_ns);
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct call *c = ctx;
    struct slice bytes = {p, size * n};
    BUF_CLEANUP struct buf clean = BUF_INIT(CALL_LOOK_MAX);
    c->last_ns = sys->boottime_ns();
    if (c->queued > CALL_QUEUE_MAX) {
        c->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (c->look) {
        buf_add(&c->body, bytes);
        return buf_ok(&c->body) ? bytes.n : 0;
    }
    if (!open_stream(c)) {
        fault_set(&c->fault, FAULT_LIMIT, "no memory for the answer");
        return 0;
    }
    if (!c->raw.secret.n) {
        feed(c, bytes);
        return bytes.n;
    }
    scrub_feed(&c->raw, bytes, &clean);
    feed(c, buf_slice(&clean));
    return buf_ok(&clean) ? bytes.n : 0;
}

/* ---- its options ---- */

static bool add_header(struct call *c, const char *name, struct slice value)
{
    BUF_CLEANUP struct buf line = BUF_INIT(CREDENTIAL_VALUE_MAX + 256);
    if (!buf_extend(&line, value.n + 128)) /* all at once, so that no part of it stays where it grew from */
        return false;
    buf_reset(&line);
    buf_addf(&line, "%s: ", name);
    buf_add(&line, value);
    struct curl_slist *more = buf_ok(&line) ? curl_slist_append(c->headers, buf_str(&line)) : NULL;
    explicit_bzero(line.p, line.cap);
    if (more)
        c->headers = more;
    return more != NULL;
}

static bool add_secret(struct call *c)
{
    BUF_CLEANUP struct buf bearer = BUF_INIT(CREDENTIAL_VALUE_MAX + 16);
    if (!c->credential)
        return true;
    struct slice value = {c->credential->value, c->credential->n};
    /* A token of Anthropic's (instead of a key) is a bearer's too. */
    if (c->provider->format == FORMAT_ANTHROPIC && strcmp(c->credential->name, "ANTHROPIC_AUTH_TOKEN") != 0)
        return add_header(c, "x-api-key", value);
    if (!buf_extend(&bearer, value.n + 16))
        return false;
    buf_reset(&bearer);
    buf_add_text(&bearer, "Bearer ");
    buf_add(&bearer, value);
    bool well = add_header(c, "Authorization", buf_slice(&bearer));
    explicit_bzero(bearer.p, bearer.cap);
    return well;
}

static bool add_headers(struct call *c)
{
    bool well = add_header(c, "User-Agent", SLICE("crannog/" CRANNOG_VERSION)) && add_secret(c);
    for (size_t i = 0; well && i < c->request.nheaders; i++) {
        BUF_CLEANUP struct buf name = BUF_INIT(128);
        buf_add(&name, c->request.headers[i].name);
        well = add_header(c, buf_str(&name), c->request.headers[i].value);
    }
    if (c->look && c->provider->format == FORMAT_ANTHROPIC)
        well = well && add_header(c, "anthropic-version", SLICE("2023-06-01"));
    /* Without a value: it is not sent. libcurl would wait for the server's leave before a large body. */
    struct curl_slist *more = well ? curl_slist_append(c->headers, "Expect:") : NULL;
    if (more)
        c->headers = more;
    return more != NULL;
}

#define SET(option, value) (well = well && curl_easy_setopt(c->easy, option, value) == CURLE_OK)

static bool set_walls(struct call *c)
{
    bool well = true;
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_CAINFO, CA_FILE);
    SET(CURLOPT_CAPATH, NULL); /* or every connection reads all certificates again */
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
    SET(CURLOPT_OPENSOCKETDATA, c);
    SET(CURLOPT_PREREQFUNCTION, on_request);
    SET(CURLOPT_PREREQDATA, c);
    return well;
}

static bool set_request(struct call *c)
{
    bool well = true;
    SET(CURLOPT_CURLU, c->url);
    SET(CURLOPT_PRIVATE, c);
    SET(CURLOPT_HTTPHEADER, c->headers);
    SET(CURLOPT_RESOLVE, c->resolve);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(c->connect_ns / 1000000));
    SET(CURLOPT_ERRORBUFFER, c->curl_words);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, c);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, c);
    SET(CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_PIPEWAIT, c->origin.tls ? 1L : 0L);
    if (!c->look) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->request.body.n);
        SET(CURLOPT_POSTFIELDS, buf_str(&c->request.body));
    }
    return well;
}

bool transfer_start(struct call *c)
{
    c->easy = curl_easy_init();
    c->curl_words = sys->realloc(NULL, CURL_ERROR_SIZE);
    if (c->curl_words)
        c->curl_words[0] = '\0';
    if (c->easy && c->curl_words && add_headers(c) && set_walls(c) && set_request(c) && net_add(&c->server->net, c->easy, c->origin.tls))
        return true;
    if (!c->fault.kind)
        fault_set(&c->fault, FAULT_SERVER, "the request could not be prepared: no memory");
    return false;
}

void transfer_stop(struct call *c)
{
    if (c->easy) {
        net_remove(&c->server->net, c->easy, c->origin.tls);
        curl_easy_cleanup(c->easy);
    }
    curl_slist_free_all(c->headers);
    curl_slist_free_all(c->resolve);
    sys->free(c->curl_words);
    c->easy = NULL;
    c->headers = c->resolve = NULL;
    c->curl_words = NULL;
}

/* ---- its end ---- */

static void name_fault(struct call *c, CURLcode code, const char *words)
{
    const struct origin_text where = origin_text(&c->origin);
    switch ((int)code) {
    case CURLE_OPERATION_TIMEDOUT:
        fault_set(&c->fault, FAULT_TIMEOUT, "no connection to %s within %lld ms", where.text, (long long)(c->connect_ns / 1000000));
        return;
    case CURLE_COULDNT_RESOLVE_HOST:
        fault_set(&c->fault, FAULT_NO_MODEL, "the host %s cannot be found", c->origin.host);
        return;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        fault_set(&c->fault, FAULT_NO_MODEL, "%s is not who it says it is, or %s does not know it: %s", where.text, CA_FILE, words);
        return;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        fault_set(&c->fault, FAULT_NO_MODEL, "%s is no address that can be dialled", where.text);
        return;
    }
    if (!c->sent)
        fault_set(&c->fault, FAULT_SERVER, "%s cannot be reached: %s", where.text, words);
}

void transfer_ended(struct call *c, CURLcode code)
{
    char why[CURL_ERROR_SIZE];
    const char *words = c->curl_words && c->curl_words[0] ? c->curl_words : curl_easy_strerror(code);
    snprintf(why, sizeof why, "%s", words);
    if (code != CURLE_OK && !c->fault.kind && !c->over)
        name_fault(c, code, why);
    read_status(c);
    if (code == CURLE_OK && !c->look && !open_stream(c)) /* an answer without a body is one, too */
        fault_set(&c->fault, FAULT_LIMIT, "no memory for the answer");
    if (c->look && code != CURLE_OK && !c->fault.kind)
        fault_set(&c->fault, FAULT_CUT, "%s broke off: %s", origin_text(&c->origin).text, why);
    call_finish(c, code == CURLE_OK ? NULL : why);
}
