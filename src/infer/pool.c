#include "infer/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/sys.h"

enum {
    HELPER_SPINS = 1500, /* about 30 us: longer than what lies between two pieces of work on one token */
    JOIN_SPINS = 500,    /* about 10 us: longer than the end of one piece */
    STACK_BYTES = 1024 * 1024,
};

struct helper {
    struct pool *pool;
    unsigned number;
    pthread_t thread;
};

struct pool {
    /* Count of the work in the high half, next unclaimed number in the low one: one word, so that a claim can only
       succeed in the work that it was made for. */
    _Atomic uint64_t claims;
    _Atomic size_t done;
    void (*work)(void *arg, size_t i, unsigned thread); /* read only after a claim has succeeded */
    void *arg;

    pthread_mutex_t lock; /* for sleeping only */
    pthread_cond_t wake, joined;
    _Atomic unsigned sleepers;
    _Atomic bool joining, quit;

    unsigned threads; /* the caller included */
    struct helper helpers[POOL_THREADS_MAX];
};

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

static bool has_work(uint64_t claims)
{
    return (uint32_t)claims < claims >> 32;
}

/* Works until every number is claimed. */
static void help(struct pool *p, unsigned thread)
{
    uint64_t seen = atomic_load(&p->claims);
    while (has_work(seen)) {
        if (!atomic_compare_exchange_weak(&p->claims, &seen, seen + 1))
            continue;
        size_t count = seen >> 32; /* read before the last `done`: then the caller may start something new */
        p->work(p->arg, (uint32_t)seen, thread);
        if (atomic_fetch_add(&p->done, 1) + 1 == count && thread && atomic_load(&p->joining)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->joined);
            pthread_mutex_unlock(&p->lock);
        }
        seen = atomic_load(&p->claims);
    }
}

static void sleep_until_work(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1); /* before the last look: either we see the work or pool_run() sees us */
    while (!has_work(atomic_load(&p->claims)) && !atomic_load(&p->quit))
        pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
}

static void *helper_main(void *arg)
{
    struct helper *h = arg;
    struct pool *p = h->pool;
    while (!atomic_load(&p->quit)) {
        for (int i = 0; i < HELPER_SPINS && !has_work(atomic_load(&p->claims)); i++)
            pause_briefly();
        if (has_work(atomic_load(&p->claims)))
            help(p, h->number);
        else
            sleep_until_work(p);
    }
    return NULL;
}

static void join(struct pool *p, size_t count)
{
    for (int i = 0; i < JOIN_SPINS; i++) {
        if (atomic_load(&p->done) == count)
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->joining, true);
    while (atomic_load(&p->done) != count)
        pthread_cond_wait(&p->joined, &p->lock);
    atomic_store(&p->joining, false);
    pthread_mutex_unlock(&p->lock);
}

void pool_run(struct pool *p, void (*work)(void *arg, size_t i, unsigned thread), void *arg, size_t count)
{
    if (p->threads == 1 || count < 2) {
        for (size_t i = 0; i < count; i++)
            work(arg, i, 0);
        return;
    }
    ASSERT(count <= UINT32_MAX);
    p->work = work;
    p->arg = arg;
    atomic_store(&p->done, 0);
    atomic_store(&p->claims, (uint64_t)count << 32);
    if (atomic_load(&p->sleepers)) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
    }
    help(p, 0);
    join(p, count);
}

unsigned pool_threads(const struct pool *p)
{
    return p->threads;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    atomic_store(&p->quit, true);
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 1; i < p->threads; i++)
        pthread_join(p->helpers[i].thread, NULL);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->joined);
    pthread_mutex_destroy(&p->lock);
    sys->free(p);
}

enum err pool_new(unsigned threads, struct pool **ret, struct error *e)
{
    if (threads < 1 || threads > POOL_THREADS_MAX)
        return error_set(e, ERR_USAGE, "cannot work with %u threads: say 1 to %d", threads, POOL_THREADS_MAX);
    struct pool *p = sys->realloc(NULL, sizeof *p);
    if (!p)
        return error_set(e, ERR_MEMORY, "not enough memory for threads");
    *p = (struct pool){.threads = 1};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->joined, NULL);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int why = 0;
    while (!why && p->threads < threads) {
        struct helper *h = &p->helpers[p->threads];
        *h = (struct helper){.pool = p, .number = p->threads};
        why = pthread_create(&h->thread, &attr, helper_main, h);
        p->threads += !why;
    }
    pthread_attr_destroy(&attr);
    if (why) {
        pool_free(p);
        return error_errno(e, why, "cannot start a thread");
    }
    *ret = p;
    return OK;
}
