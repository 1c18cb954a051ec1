#include "door/name.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/sys.h"

static const int64_t KNOWN_NS = 60LL * 1000000000, FAILED_NS = 1000000000;

struct name {
    char host[HOST_MAX];
    bool taken; /* by a thread */
    int64_t until_ns;
    struct name_answer answer;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    int fd;
    unsigned threads;
    struct name names[NAMES_MAX];
} all = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER, .fd = -1};

/* ---- the threads ---- */

static void add_address(struct name_answer *r, const struct sockaddr *a)
{
    char text[INET6_ADDRSTRLEN];
    bool six = a->sa_family == AF_INET6;
    if (r->n == NAME_ADDRESSES_MAX || (!six && a->sa_family != AF_INET))
        return;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    memcpy(&in, a, sizeof in);
    if (six)
        memcpy(&in6, a, sizeof in6);
    if (inet_ntop(a->sa_family, six ? (const void *)&in6.sin6_addr : (const void *)&in.sin_addr, text, sizeof text))
        snprintf(r->addresses[r->n++], sizeof r->addresses[0], six ? "[%s]" : "%s", text);
}

static void ask(const char *host, struct name_answer *r)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    int got = getaddrinfo(host, NULL, &hints, &list);
    *r = (struct name_answer){.state = NAME_KNOWN};
    for (struct addrinfo *a = list; !got && a; a = a->ai_next)
        add_address(r, a->ai_addr);
    if (list)
        freeaddrinfo(list);
    if (r->n)
        return;
    r->state = NAME_FAILED;
    r->may_pass = got == EAI_AGAIN || got == EAI_SYSTEM || got == EAI_MEMORY;
    snprintf(r->why, sizeof r->why, "%s", got ? gai_strerror(got) : "it has no address");
}

static struct name *take(void)
{
    for (size_t i = 0; i < NAMES_MAX; i++)
        if (all.names[i].answer.state == NAME_ASKED && !all.names[i].taken)
            return &all.names[i];
    return NULL;
}

static void *work(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&all.lock);
    for (;;) {
        struct name *n = take();
        struct name_answer r;
        if (!n) {
            pthread_cond_wait(&all.more, &all.lock);
            continue;
        }
        n->taken = true;
        pthread_mutex_unlock(&all.lock);
        ask(n->host, &r); /* nobody changes the host of a name that is taken */
        pthread_mutex_lock(&all.lock);
        n->answer = r;
        n->taken = false;
        n->until_ns = sys->boottime_ns() + (r.state == NAME_KNOWN ? KNOWN_NS : FAILED_NS);
        const uint64_t one = 1;
        ssize_t written = write(all.fd, &one, sizeof one);
        (void)written; /* it only fails where it is readable already */
    }
    return NULL;
}

static bool have_threads(void)
{
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    while (all.threads < NAME_THREADS && pthread_create(&thread, &attr, work, NULL) == 0)
        all.threads++;
    pthread_attr_destroy(&attr);
    return all.threads > 0;
}

/* ---- the main thread ---- */

enum err names_start(int *ret_fd, struct error *e)
{
    all.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (all.fd < 0)
        return error_errno(e, errno, "cannot make a descriptor for names");
    *ret_fd = all.fd;
    return OK;
}

void names_heard(void)
{
    uint64_t n;
    ssize_t got = read(all.fd, &n, sizeof n);
    (void)got;
}

/* The entry of a host, or one that can be its: free, or the one that was known longest. NULL: all are being asked for. */
static struct name *entry(const char *host)
{
    struct name *best = NULL;
    for (size_t i = 0; i < NAMES_MAX; i++) {
        struct name *n = &all.names[i];
        if (n->answer.state && strcmp(n->host, host) == 0)
            return n;
        if (n->answer.state != NAME_ASKED && (!best || n->until_ns < best->until_ns))
            best = n;
    }
    return best;
}

void names_look(const char *host, struct name_answer *ret)
{
    pthread_mutex_lock(&all.lock);
    struct name *n = entry(host);
    bool same = n && n->answer.state && strcmp(n->host, host) == 0;
    if (!n || !have_threads()) {
        *ret = (struct name_answer){.state = NAME_FAILED, .may_pass = true, .why = "too many names are being asked for"};
    } else if (same && (n->answer.state == NAME_ASKED || sys->boottime_ns() < n->until_ns)) {
        *ret = n->answer;
    } else {
        *n = (struct name){.answer = {.state = NAME_ASKED}};
        snprintf(n->host, sizeof n->host, "%s", host);
        *ret = n->answer;
        pthread_cond_signal(&all.more);
    }
    pthread_mutex_unlock(&all.lock);
}

