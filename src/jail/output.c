#include <string.h>

#include "base/sys.h"
#include "jail/internal.h"

void keep_init(struct keep *k, uint64_t limit)
{
    uint64_t most = limit && limit < JAIL_OUTPUT_MAX ? limit : JAIL_OUTPUT_MAX;
    *k = (struct keep){.half = (size_t)most / 2};
    k->head = BUF_INIT((size_t)most - k->half); /* an odd byte goes to the head */
}

void keep_release(struct keep *k)
{
    buf_release(&k->head);
    sys->free(k->ring);
    k->ring = NULL;
}

/* What lies behind the head goes round in the ring; byte number i of it is at i modulo its size. */
static void ring_add(struct keep *k, uint64_t at, struct slice s)
{
    if (!k->half || (!k->ring && !(k->ring = sys->realloc(NULL, k->half))))
        return;
    if (s.n > k->half) {
        at += s.n - k->half;
        s = slice_sub(s, s.n - k->half, s.n);
    }
    size_t from = (size_t)(at % k->half), first = k->half - from < s.n ? k->half - from : s.n;
    memcpy(k->ring + from, s.p, first);
    memcpy(k->ring, s.p + first, s.n - first);
}

void keep_add(struct keep *k, struct slice s)
{
    size_t room = k->head.max - k->head.n, n = s.n < room ? s.n : room;
    buf_add(&k->head, slice_sub(s, 0, n));
    uint64_t behind = k->total + n - k->head.max;
    k->total += s.n;
    if (n < s.n)
        ring_add(k, behind, slice_sub(s, n, s.n));
}

void keep_take(const struct keep *k, struct buf *ret, uint64_t *ret_dropped)
{
    uint64_t behind = k->total - k->head.n;
    size_t tail = !k->ring ? 0 : behind < k->half ? (size_t)behind : k->half;
    size_t from = tail && behind > k->half ? (size_t)(behind % k->half) : 0;
    buf_add(ret, buf_slice(&k->head));
    if (tail) {
        buf_add(ret, (struct slice){k->ring + from, tail - from});
        buf_add(ret, (struct slice){k->ring, from});
    }
    *ret_dropped = behind - tail;
}
