/* What is to be done in a play, all of it from the seed. */
#include <stdio.h>
#include <string.h>

#include "sim/play.h"

static uint64_t word_of(const char *what)
{
    uint64_t h = 0;
    for (; *what; what++)
        h = sim_mix(h, (uint64_t)(unsigned char)*what);
    return h;
}

uint64_t play_draw(const struct play *p, const char *what, uint64_t a, uint64_t b, uint64_t c)
{
    return sim_mix(sim_mix(sim_mix(p->seed, word_of(what)), a), sim_mix(b, c));
}

uint64_t play_below(const struct play *p, uint64_t n, const char *what, uint64_t a, uint64_t b, uint64_t c)
{
    struct sim_rand r = {.state = play_draw(p, what, a, b, c)};
    return sim_rand_below(&r, n);
}

/* ---- plans ---- */

/* Each unit is limited one time in four, to an amount that may well end in the middle. */
static struct amounts tight(struct sim_rand *r, unsigned in)
{
    static const int64_t least[UNITS] = {[UNIT_NUSD] = 300, [UNIT_TOKENS] = 150, [UNIT_CPU_NS] = 1000000000, [UNIT_CALLS] = 1};
    struct amounts a = amounts_unlimited();
    for (int u = 0; u < UNITS; u++)
        if (sim_rand_chance(r, 1, in))
            a.n[u] = least[u] + (int64_t)sim_rand_below(r, (uint64_t)least[u] * 12);
    return a;
}

static void make_item(struct sim_rand *r, struct item_spec *it, bool first)
{
    it->each = sim_rand_chance(r, 2, 3);
    it->gathers = it->each && sim_rand_chance(r, 1, 3);
    it->files = (uint8_t)sim_rand_below(r, PIECES_MAX);
    it->verify = sim_rand_chance(r, 1, 3);
    it->retries = (uint8_t)sim_rand_below(r, 3);
    it->needs = !first && sim_rand_chance(r, 1, 2);
    it->ticked = sim_rand_chance(r, 1, 12);
}

static void make_plan(struct sim_rand *r, struct plan_spec *s)
{
    s->exec = sim_rand_chance(r, 1, 6);
    s->land = (uint8_t)(sim_rand_chance(r, 1, 2) ? LAND_STEP : sim_rand_chance(r, 1, 2) ? LAND_END : LAND_ASK);
    s->side = sim_rand_chance(r, 1, 3);
    s->verify = sim_rand_chance(r, 1, 4);
    s->slots = (uint8_t)(1 + sim_rand_below(r, 4));
    s->window = 64 + (uint32_t)sim_rand_below(r, 4000);
    s->nitems = (uint8_t)(1 + sim_rand_below(r, 2) + sim_rand_below(r, ITEMS_MAX - 1));
    for (unsigned i = 0; i < s->nitems; i++)
        make_item(r, &s->items[i], i == 0);
    s->budget = tight(r, 4);
}

void workload_make(struct play *p)
{
    struct workload *k = &p->work;
    struct sim_rand r = {.state = play_draw(p, "workload", 0, 0, 0)};
    static const uint8_t many[] = {1, 1, 1, 2, 2, 3};
    k->nplans = many[sim_rand_below(&r, sizeof many)];
    for (unsigned i = 0; i < k->nplans; i++)
        make_plan(&r, &k->plans[i]);
    for (unsigned i = 0; i < k->nplans; i++) { /* of its own, so that the plans of a seed stay what they were */
        struct plan_spec *s = &k->plans[i];
        s->agent = play_below(p, 3, "agent", i, 0, 0) == 0;
        s->attended = s->agent && play_below(p, 2, "attended", i, 0, 0);
        s->commits = s->agent && play_below(p, 2, "commits", i, 0, 0);
        s->exec = s->exec && !s->agent;
    }
    k->shared = sim_rand_chance(&r, 1, 4);
    k->large = sim_rand_chance(&r, 1, 3);
    k->trouble = (uint8_t)(sim_rand_chance(&r, 1, 4) ? 0 : 5 + sim_rand_below(&r, 30));
    k->meddling = (uint8_t)(sim_rand_chance(&r, 1, 4) ? 0 : 5 + sim_rand_below(&r, 30));
    k->delay = (uint8_t)sim_rand_below(&r, 5);
    k->cap = tight(&r, 10);
    k->day = tight(&r, 12);
    k->poison = sim_rand_chance(&r, 1, 8);
    k->poison_plan = (uint8_t)sim_rand_below(&r, k->nplans);
    k->poison_item = (uint8_t)sim_rand_below(&r, ITEMS_MAX);
    k->poison_piece = (uint8_t)sim_rand_below(&r, 2);
}

const char *plan_name(unsigned plan)
{
    static const char *const names[PLANS_MAX] = {"plan0.md", "plan1.md", "deep/er/plan2.md"};
    return names[plan];
}

/* Version 1 changes the last item, 2 the first one, 3 adds one, 0 is as at the start. */
void plan_write(const struct play *p, unsigned plan, unsigned version, struct buf *out)
{
    const struct plan_spec *s = &p->work.plans[plan];
    unsigned folder = p->work.shared ? 0 : plan, n = s->nitems;
    buf_addf(out, "---\ngoal: see what %u is about\n%s---\n# Not an item\n\n", plan, s->verify ? "verify: all good\n" : "");
    for (unsigned i = 0; i < n; i++) {
        const struct item_spec *it = &s->items[i];
        buf_addf(out, "- [%c] %c-item: ", it->ticked ? 'x' : ' ', 'a' + i);
        if (it->each)
            buf_addf(out, "for each `src%u-%u/*` as SRC, ", plan, i);
        buf_addf(out, "say it%s\n", (version == 1 && i == n - 1) || (version == 2 && i == 0) ? " in other words" : "");
        buf_addf(out, "      writes: out%u/%c%s.md\n", folder, 'a' + i, it->each && !it->gathers ? "-{SRC.stem}" : "");
        if (it->verify)
            buf_addf(out, "      verify: good%s\n", it->each ? " {SRC}" : "");
        if (it->retries != 2)
            buf_addf(out, "      retries: %u\n", it->retries);
        if (it->needs)
            buf_addf(out, "      needs: %c-item\n", 'a' + i - 1);
    }
    if (version == 3)
        buf_addf(out, "- [ ] extra: one more\n      writes: out%u/extra.md\n", folder);
}

struct slice started_payload(const struct play *p, unsigned plan, uint64_t run, struct buf *out)
{
    const struct plan_spec *s = &p->work.plans[plan];
    BUF_CLEANUP struct buf text = BUF_INIT(64 * 1024);
    JSON_CLEANUP struct json *o = json_object();
    char account[64];
    snprintf(account, sizeof account, "crannog/%s/r%llu", s->side ? "side" : "main", (unsigned long long)run);
    json_put_int(o, "v", 0);
    if (s->agent) {
        agent_payload(s, o);
    } else if (s->exec) {
        struct json *words = json_array();
        json_push(words, json_new_text(SLICE("/bin/true")));
        json_put(o, "exec", words);
    } else {
        plan_write(p, plan, p->texts[plan], &text);
        json_put_text(o, "plan", buf_slice(&text));
    }
    json_put_text(o, "plan_path", slice_of(plan_name(plan)));
    json_put_text(o, "work", SLICE("/home/person/work"));
    json_put_int(o, "work_dev", WORK_DEV);
    json_put_int(o, "work_ino", WORK_INO);
    json_put_text(o, "goal", SLICE("see"));
    json_put_text(o, "account", slice_of(account));
    json_put_text(o, "agent", SLICE("main"));
    json_put_text(o, "model", SLICE("liar"));
    amounts_print(&s->budget, o, "budget");
    json_put_text(o, "land", slice_of(land_name((enum land_mode)s->land)));
    json_put_int(o, "slots", s->slots);
    json_put_int(o, "window", s->window);
    json_print(o, out);
    return buf_slice(out);
}

/* ---- texts ---- */

static size_t text_bytes(const struct play *p, struct sim_rand *r)
{
    unsigned kind = (unsigned)sim_rand_below(r, 100);
    if (kind < 8)
        return 0;
    if (kind < 70)
        return 1 + sim_rand_below(r, 300);
    if (kind < 90 || !p->work.large)
        return 1 + sim_rand_below(r, 6000);
    if (kind < 96)
        return BLOB_INLINE_MAX - 2 + sim_rand_below(r, 5); /* around the border */
    return BLOB_INLINE_MAX + 1 + sim_rand_below(r, 100000);
}

void text_write(const struct play *p, uint64_t number, struct buf *out)
{
    struct sim_rand r = {.state = sim_mix(p->seed, number)};
    size_t n = text_bytes(p, &r);
    buf_addf(out, "%.*s", n > 17 ? 0 : (int)n, "a short text here");
    for (size_t i = out->n; i + 17 <= n; i += 17) /* a line at a time: fast, and no two texts are alike */
        buf_addf(out, "%016llx\n", (unsigned long long)sim_rand_next(&r));
    while (out->n < n)
        buf_add_char(out, '.');
}
