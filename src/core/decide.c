/* What comes next: pure, state and clock in, wants out (S2). */
#include "core/internal.h"

static bool needs_met(const struct run_state *r, size_t item)
{
    const struct plan_item *p = r->items[item].plan;
    for (size_t i = 0; p && i < p->nneeds; i++)
        if (r->items[p->needs[i]].phase != ITEM_DONE)
            return false;
    for (size_t i = 0; !p && i < item; i++) /* the plan's own check comes when all else is done */
        if (r->items[i].phase != ITEM_DONE)
            return false;
    return true;
}

bool item_may_move(const struct run_state *r, size_t item)
{
    return r->items[item].phase != ITEM_DONE && needs_met(r, item);
}

static void act_of(enum stage s, enum act_kind *ret_act, enum act_class *ret_class)
{
    static const struct { enum act_kind act; enum act_class class; } of[STAGES] = {
        [STAGE_ASK] = {ACT_MODEL, CLASS_AGAIN}, [STAGE_JOIN] = {ACT_MODEL, CLASS_AGAIN},
        [STAGE_MEASURE] = {ACT_MEASURE, CLASS_AGAIN},
        [STAGE_LAND] = {ACT_LANDING, CLASS_REDO}, [STAGE_APPLY] = {ACT_LANDING, CLASS_REDO},
        [STAGE_EXEC] = {ACT_TOOL, CLASS_AGAIN}, [STAGE_SQUASH] = {ACT_TOOL, CLASS_AGAIN},
        [STAGE_THINK] = {ACT_THINK, CLASS_AGAIN}, [STAGE_COMPACT] = {ACT_THINK, CLASS_AGAIN},
        [STAGE_CALL] = {ACT_TOOL, CLASS_AGAIN}, [STAGE_COMMIT] = {ACT_TOOL, CLASS_AGAIN},
    };
    *ret_act = of[s].act ? of[s].act : ACT_TOOL;
    *ret_class = of[s].act ? of[s].class : CLASS_READS;
}

/* A wait that is longer than any backoff was set before the clock was put back: it is over. */
static bool is_due(const struct line *l, int64_t now_ms)
{
    return l->wake_ms <= now_ms || (uint64_t)l->wake_ms - (uint64_t)now_ms > BACKOFF_MAX_MS;
}

struct deciding {
    const struct run_state *r;
    struct decision *d;
    int64_t now_ms;
    uint32_t next_step;
    bool waits; /* something of the items looked at is under way or waits for its time */
};

static bool is_full(const struct deciding *k)
{
    return k->r->nopen + k->d->nwants >= k->r->slots;
}

static void consider(struct deciding *k, uint32_t item, int32_t piece, const struct line *l)
{
    struct decision *d = k->d;
    if (!line_wants(l) || is_full(k))
        return;
    if (!is_due(l, k->now_ms)) {
        d->wake_ms = d->wake_ms && d->wake_ms < l->wake_ms ? d->wake_ms : l->wake_ms;
        k->waits = true;
        return;
    }
    struct want *w = &d->wants[d->nwants++];
    *w = (struct want){.item = item, .piece = piece, .stage = l->stage};
    w->part = line_in_parts(l) ? (uint32_t)l->nparts : 0;
    act_of(l->stage, &w->act, &w->class);
    w->step = l->again ? l->step : k->next_step++;
    w->attempt = l->again ? l->attempt + 1 : 1;
}

void run_decide(const struct run_state *r, int64_t now_ms, struct decision *ret)
{
    *ret = (struct decision){.what = DECIDE_REST};
    if (r->status != RUN_ACTIVE && r->status != RUN_WAITING)
        return;
    struct deciding k = {.r = r, .d = ret, .now_ms = now_ms, .next_step = r->next_step};
    bool all_done = true;
    for (uint32_t i = 0; i < r->nitems; i++) {
        const struct item_state *it = &r->items[i];
        all_done &= it->phase == ITEM_DONE;
        if (!item_may_move(r, i))
            continue;
        k.waits |= it->nopen > 0;
        consider(&k, i, HEAD, &it->head);
        for (size_t p = it->first; p < it->npieces && !is_full(&k); p++)
            consider(&k, i, (int32_t)p, &it->pieces[p]);
        if (ret->nwants || k.waits)
            break; /* items start in order: the next one when nothing of this one can move */
    }
    ret->what = ret->nwants ? DECIDE_INTEND : k.waits ? DECIDE_WAIT : all_done ? DECIDE_DONE : DECIDE_ASK;
}
