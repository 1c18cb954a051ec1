/* Any bytes, as a plan and cut in two: decoded or refused, never more; what is decoded encodes to a plan again. */
#include "jail/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void one(struct slice bytes)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    BUF_CLEANUP struct buf again = BUF_INIT(JAIL_PLAN_MAX);
    struct jail_plan p, q;
    struct error e;
    if (jail_plan_decode(bytes, &a, &p, &e))
        return;
    jail_plan_encode(&p, &again);
    ARENA_CLEANUP struct arena b = ARENA_INIT(1 << 20);
    ASSERT(buf_ok(&again) && jail_plan_decode(buf_slice(&again), &b, &q, &e) == OK);
    for (size_t i = 0; i < p.nmounts; i++) {
        ASSERT(p.mounts[i].nlayers <= JAIL_LAYERS_MAX && p.mounts[i].nlayers == q.mounts[i].nlayers);
        ASSERT(p.mounts[i].kind == JAIL_LAYERS || (!p.mounts[i].nlayers && !p.mounts[i].upper.n));
        for (size_t k = 0; k < p.mounts[i].nlayers; k++)
            ASSERT(slice_eq(p.mounts[i].layers[k], q.mounts[i].layers[k]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice whole = {(const char *)data, n};
    one(whole);
    one(slice_sub(whole, 0, n / 2));
    one(slice_sub(whole, n / 2, n));
    return 0;
}
