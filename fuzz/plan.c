/*
 * Plans: any bytes give a plan or an error that names the file (P1); what a plan that was taken writes is a path below
 * the folder whatever the sources are called (P2), or is seen when they are listed; and a name put into its check stays
 * one word of the shell. Bytes behind a NUL are the name of a source.
 */
#include <string.h>

#include "core/plan.h"
#include "fuzz.h"

/* What a shell makes of it, as far as quotes go: outside of them, only what stood in the template may be left. */
static void check_quotes(struct slice template, struct slice var, struct slice path)
{
    BUF_CLEANUP struct buf named = BUF_INIT(1 << 20), plain = BUF_INIT(1 << 20);
    plan_expand(template, var, path, true, &named);
    plan_expand(template, var, SLICE("w"), true, &plain);
    ASSERT(buf_ok(&named) && buf_ok(&plain));
    size_t quotes[2] = {0, 0};
    for (size_t i = 0; i < named.n; i++)
        quotes[0] += named.p[i] == '\'';
    for (size_t i = 0; i < plain.n; i++)
        quotes[1] += plain.p[i] == '\'';
    ASSERT((quotes[0] - quotes[1]) % 3 == 0); /* each ' in a name becomes '\'' */
}

static void check_item(const struct plan_item *it, struct slice path)
{
    struct slice paths[2] = {path, SLICE("sources/x.y")};
    struct error e = {0};
    enum err err = plan_targets_check(it, paths, 2, &e);
    ASSERT(it->name.n && it->text.n && it->writes.n && it->nneeds <= PLAN_NEEDS_MAX && it->retries <= PLAN_RETRIES_MAX);
    ASSERT(it->glob.n == 0 || (plan_path_ok(it->glob) && it->var.n));
    ASSERT(err == OK || ((err == ERR_USAGE || err == ERR_CONFLICT) && e.text[0]));
    for (size_t i = 0; i < 2 && err == OK; i++) {
        BUF_CLEANUP struct buf out = BUF_INIT(1 << 20), ask = BUF_INIT(PLAN_EXPANDED_MAX), command = BUF_INIT(PLAN_EXPANDED_MAX);
        plan_expand(it->writes, it->var, paths[i], false, &out);
        ASSERT(plan_path_ok(buf_slice(&out)) && out.p[0] != '/');
        plan_expand(it->text, it->var, paths[i], false, &ask);
        plan_expand(it->verify, it->var, paths[i], true, &command);
        ASSERT(buf_ok(&ask) && buf_ok(&command));
    }
    if (it->verify.n)
        check_quotes(it->verify, it->var, path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = fuzz_slice(data, size);
    size_t end = slice_index(all, '\0');
    struct slice text = slice_sub(all, 0, end), path = slice_sub(all, end + 1, 1024);
    ARENA_CLEANUP struct arena a = ARENA_INIT(8 << 20);
    struct error e = {0};
    struct plan plan, again;
    enum err err = plan_parse(text, "PLAN.md", &a, &plan, &e);
    if (err) {
        ASSERT((err == ERR_USAGE || err == ERR_LIMIT || err == ERR_MEMORY) && e.code == err);
        ASSERT(strncmp(e.text, "PLAN.md", 7) == 0 && !strchr(e.text, '\n'));
        return 0;
    }
    ASSERT(plan.nitems && plan.nitems <= PLAN_ITEMS_MAX);
    ASSERT(plan_parse(text, "PLAN.md", &a, &again, NULL) == OK && again.nitems == plan.nitems);
    for (size_t i = 0; i < plan.nitems; i++) {
        const struct plan_item *it = &plan.items[i];
        ASSERT(plan_item_same(it, &again.items[i]));
        for (size_t k = 0; k < it->nneeds; k++)
            ASSERT(it->needs[k] < i);
        if (plan_path_ok(path))
            check_item(it, path);
    }
    return 0;
}
