/*
 * Events: a journal of any bytes gives an error or a legal state (S1), within the run's memory, and decide() can be asked
 * of it at any time (S2, S4).
 *
 * The input is a list of events: a byte for the type and what of the header is odd, then a payload up to the next NUL.
 * With '@' in front the whole input is a header, read and checked.
 */
#include <string.h>

#include "core/state.h"
#include "fuzz.h"

static void one_header(struct slice s)
{
    struct event ev;
    struct error e = {0};
    struct hash none = {0};
    uint8_t bytes[EVENT_HEADER_BYTES];
    if (!event_from_header(slice_sub(s, 0, EVENT_HEADER_BYTES), &ev)) {
        ASSERT(s.n < EVENT_HEADER_BYTES);
        return;
    }
    event_header(&ev, bytes);
    ASSERT(memcmp(bytes, s.p, sizeof bytes) == 0);
    ev.payload = slice_sub(s, EVENT_HEADER_BYTES, s.n);
    ev.redacted = ev.seq & 1;
    enum err err = event_check(&ev, &none, 0, &e);
    ASSERT(err == OK || ((err == ERR_CORRUPT || err == ERR_VERSION) && e.text[0]));
    event_seal(&ev, &none);
    ev.version = EVENT_VERSION;
    ev.type = (uint16_t)(1 + ev.type % (EVENT_TYPES - 1));
    ev.seq = 1;
    ASSERT(event_check(&ev, &none, 0, NULL) == OK);
}

static void check_open(const struct run_state *r)
{
    ASSERT(r->nopen <= r->slots && r->slots <= RUN_OPEN_MAX);
    for (size_t i = 0; i < r->nopen; i++) {
        const struct line *l = run_line_const(r, r->open[i].item, r->open[i].piece);
        ASSERT(l && l->open && l->stage == r->open[i].stage && l->step == r->open[i].key.step);
    }
}

static void check_items(const struct run_state *r)
{
    size_t done, total, open = 0;
    for (uint32_t i = 0; i < r->nitems; i++) {
        const struct item_state *it = &r->items[i];
        size_t stuck = 0;
        for (int32_t k = HEAD; k < (int32_t)it->npieces; k++) {
            const struct line *l = run_line_const(r, i, k);
            uint32_t item;
            ASSERT(l->nparts <= l->ncuts && l->step < r->next_step && (l->stage == STAGE_STUCK) == (l->question != QUESTION_NONE));
            ASSERT(l->stage != STAGE_STUCK || run_question(r, l->question_step, &item));
            stuck += l->stage == STAGE_STUCK;
            open += l->open;
        }
        ASSERT(stuck == it->nstuck && it->nover <= it->npieces);
    }
    run_progress(r, &done, &total);
    ASSERT(open == r->nopen && done <= total);
}

static void check_decision(const struct run_state *r, int64_t now_ms)
{
    struct decision d;
    run_decide(r, now_ms, &d);
    ASSERT((d.what == DECIDE_INTEND) == (d.nwants > 0) && d.nwants <= r->slots);
    for (size_t i = 0; i < d.nwants; i++) {
        const struct line *l = run_line_const(r, d.wants[i].item, d.wants[i].piece);
        ASSERT(l && !l->open && l->stage == d.wants[i].stage);
    }
}

/* The key that fits, from what is open and wanted, so that more than noise gets in; `odd` may spoil it. */
static struct step_key key_for(const struct run_state *r, unsigned type, unsigned odd)
{
    struct decision d;
    struct step_key key = {.run = r->id, .branch = r->branch};
    run_decide(r, INT64_MAX, &d);
    if (type == EVENT_STEP_FINISHED && r->nopen)
        key = r->open[odd % r->nopen].key;
    else if (type == EVENT_STEP_INTENDED && d.nwants) {
        key.step = d.wants[odd % d.nwants].step;
        key.attempt = d.wants[odd % d.nwants].attempt;
    }
    key.step += odd == 15;
    key.attempt -= odd == 14;
    return key;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = fuzz_slice(data, size);
    ARENA_CLEANUP struct arena a = ARENA_INIT(RUN_ARENA_BYTES);
    struct run_state r;
    enum err err = OK;
    if (rest.n && rest.p[0] == '@') {
        one_header(slice_sub(rest, 1, rest.n));
        return 0;
    }
    run_init(&r, 7, &a);
    while (!err && rest.n) {
        unsigned head = (unsigned char)rest.p[0];
        size_t end = slice_index(rest, '\0');
        struct event ev = {.version = EVENT_VERSION, .type = (uint16_t)(head % 16), .seq = r.seq + 1, .payload = slice_sub(rest, 1, end - 1)};
        struct error e = {0};
        ev.time_ms = head / 16 == 13 ? INT64_MAX : (int64_t)r.seq * 1000;
        ev.key = key_for(&r, ev.type, head / 16);
        if (end == 0)
            ev.payload = SLICE_NONE;
        event_seal(&ev, &r.head);
        err = run_apply(&r, &ev, &e);
        ASSERT(!err || (r.status == RUN_BROKEN && e.code == err && strncmp(e.text, "run r7, event ", 14) == 0));
        if (!err) {
            check_open(&r);
            check_items(&r);
            check_decision(&r, INT64_MAX);
            check_decision(&r, ev.time_ms);
        }
        rest = slice_sub(rest, end + 1, rest.n);
    }
    ASSERT(a.used <= RUN_ARENA_BYTES);
    return 0;
}
