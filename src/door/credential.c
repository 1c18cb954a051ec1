#include "door/credential.h"

#include <sodium.h>
#include <string.h>

#include "base/sys.h"

static bool is_visible(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x21 || s.p[i] > 0x7e)
            return false;
    return s.n > 0;
}

static enum err check(struct slice name, struct slice value, struct error *e)
{
    if (!is_visible(name) || name.n > CREDENTIAL_NAME_MAX)
        return error_set(e, ERR_USAGE, "the name of a secret is 1 to %d visible characters", CREDENTIAL_NAME_MAX);
    if (value.n > CREDENTIAL_VALUE_MAX)
        return error_set(e, ERR_LIMIT, "the secret %.*s is longer than %d bytes", SLICE_ARG(name), CREDENTIAL_VALUE_MAX);
    if (!is_visible(value))
        return error_set(e, ERR_USAGE, "the secret %.*s is empty, or has blanks or characters that no key has", SLICE_ARG(name));
    return OK;
}

static struct credential *make(struct slice name, struct slice value)
{
    struct credential *c = sys->realloc(NULL, sizeof *c);
    char *kept = c ? sodium_malloc(value.n + 1) : NULL;
    if (!kept) {
        sys->free(c);
        return NULL;
    }
    *c = (struct credential){.held = 1, .value = kept, .n = value.n};
    memcpy(c->name, name.p, name.n);
    memcpy(kept, value.p, value.n);
    kept[value.n] = '\0';
    sodium_mprotect_readonly(kept);
    return c;
}

enum err credential_put(struct credentials *all, struct slice name, struct slice value, struct slice base, bool from_vault,
                        struct error *e)
{
    struct origin origin;
    enum err err = check(name, value, e);
    if (!err)
        err = where_parse(base, SLICE_NONE, NULL, &origin, e);
    if (err)
        return err;
    if (all->n >= CREDENTIALS_MAX)
        return error_set(e, ERR_LIMIT, "more than %d secrets", CREDENTIALS_MAX);
    struct credential *c = make(name, value);
    if (!c)
        return error_set(e, ERR_MEMORY, "no locked memory for the secret %.*s", SLICE_ARG(name));
    credential_remove(all, name, from_vault);
    c->origin = origin;
    c->from_vault = from_vault;
    c->next = all->first;
    all->first = c;
    all->n++;
    return OK;
}

void credential_remove(struct credentials *all, struct slice name, bool from_vault)
{
    for (struct credential **at = &all->first; *at; at = &(*at)->next) {
        struct credential *c = *at;
        if (c->from_vault != from_vault || !slice_is(name, c->name))
            continue;
        *at = c->next;
        all->n--;
        credential_drop(c);
        return;
    }
}

struct credential *credential_find(const struct credentials *all, struct slice name)
{
    struct credential *found = NULL;
    for (struct credential *c = all->first; c; c = c->next)
        if (slice_is(name, c->name) && (!found || !c->from_vault))
            found = c;
    return found;
}

struct credential *credential_hold(struct credential *c)
{
    c->held++;
    return c;
}

void credential_drop(struct credential *c)
{
    if (!c || --c->held)
        return;
    sodium_free(c->value);
    sys->free(c);
}

void credentials_release(struct credentials *all)
{
    while (all->first) {
        struct credential *c = all->first;
        all->first = c->next;
        credential_drop(c);
    }
    all->n = 0;
}
