#include "layers/manifest_part.h"

static bool is_folder(const struct stamp *s)
{
    return s->type == STAMP_FOLDER;
}

static bool turns_leaf(const struct change *c)
{
    return is_folder(&c->before) && (c->after.type == STAMP_FILE || c->after.type == STAMP_LINK);
}

/* What lies below change i comes right after it (N1): the first one behind that. */
static size_t end_of(const struct manifest *m, size_t i)
{
    size_t end = i + 1;
    while (end < m->n && slice_below(m->v[end].path, m->v[i].path))
        end++;
    return end;
}

static bool is_asked(const struct manifest *m, size_t i)
{
    const struct change *c = &m->v[i];
    bool before = is_folder(&c->before), after = is_folder(&c->after);
    if (before && after)
        return ((c->before.mode ^ c->after.mode) & 0777) != 0;
    return turns_leaf(c) || (!before && !after) || end_of(m, i) == i + 1;
}

enum err part_begin(const struct manifest *m, struct arena *a, struct part **ret, struct error *e)
{
    struct part *v = arena_array(a, m->n + 1, sizeof *v);
    if (!v)
        return error_set(e, ERR_MEMORY, "the changes do not fit into memory");
    size_t unit = 0, end = 0; /* of what becomes a file or link and was a folder */
    for (size_t i = 0; i < m->n; i++) {
        if (i >= end && turns_leaf(&m->v[i])) {
            unit = i;
            end = end_of(m, i);
        }
        v[i].unit = i < end ? unit : i;
        v[i].asked = v[i].unit == i && is_asked(m, i);
    }
    *ret = v;
    return OK;
}

/* A folder, by what lies in it; `all`: everything that is asked about is taken. */
static enum part_taken with_others(const struct manifest *m, const struct part *v, size_t i, bool all)
{
    size_t end = end_of(m, i), taken = 0;
    for (size_t k = i + 1; k < end; k++)
        taken += v[k].taken == PART_ALL;
    if (end == i + 1) /* only its time differs */
        return all ? PART_ALL : PART_NOT;
    return (is_folder(&m->v[i].before) ? taken == end - i - 1 : taken > 0) ? PART_ALL : PART_NOT;
}

void part_spread(const struct manifest *m, struct part *v)
{
    bool all = true;
    for (size_t i = 0; i < m->n; i++) {
        all &= !v[i].asked || v[i].taken == PART_ALL;
        v[i].taken = v[v[i].unit].taken;
    }
    for (size_t i = m->n; i; i--) /* what lies in a folder is settled before it */
        if (v[i - 1].unit == i - 1 && !v[i - 1].asked)
            v[i - 1].taken = with_others(m, v, i - 1, all);
}

/* What a landed file is to whoever lands the rest over it: the same whatever its inode (landing.h). */
static struct stamp as_base(struct stamp s)
{
    s.ino = 0;
    s.links = 1;
    return s;
}

enum err part_split(const struct manifest *m, const struct part *v, uint16_t layer, struct arena *a, struct manifest *ret_lands,
                    struct manifest *ret_rest, struct error *e)
{
    struct manifest lands = {.v = arena_array(a, m->n + 1, sizeof *lands.v), .seen = m->seen, .nseen = m->nseen}, rest = lands;
    rest.v = arena_array(a, m->n + 1, sizeof *rest.v);
    if (!lands.v || !rest.v)
        return error_set(e, ERR_MEMORY, "the changes do not fit into memory");
    for (size_t i = 0; i < m->n; i++) {
        struct change part = m->v[i], over = m->v[i];
        part.layer = layer;
        part.after = v[i].after;
        over.before = as_base(v[i].after);
        if (v[i].taken != PART_NOT)
            lands.v[lands.n++] = v[i].taken == PART_SOME ? part : m->v[i];
        if (v[i].taken != PART_ALL)
            rest.v[rest.n++] = v[i].taken == PART_SOME ? over : m->v[i];
    }
    *ret_lands = lands;
    *ret_rest = rest;
    return OK;
}

/* A path of which a part was to land. */
static struct change join_part(const struct change *over, const struct change *part, bool left, const struct manifest *now)
{
    struct change c = *over;
    const struct change *seen = manifest_find(now, c.path);
    if (left)
        c.before = part->before;
    else if (seen && seen->before.type == c.before.type && hash_eq(&seen->before.hash, &c.before.hash))
        c.before = seen->before;
    return c;
}

enum err part_join(const struct manifest *rest, const struct manifest *lands, bool (*left)(const void *ctx, struct slice path),
                   const void *ctx, const struct manifest *now, struct arena *a, struct manifest *ret, struct error *e)
{
    const struct manifest *from = rest->n ? rest : lands;
    struct manifest all = {.v = arena_array(a, rest->n + lands->n + 1, sizeof *all.v), .seen = from->seen, .nseen = from->nseen};
    if (!all.v)
        return error_set(e, ERR_MEMORY, "the changes do not fit into memory");
    for (size_t i = 0, k = 0; i < rest->n || k < lands->n;) { /* two ascending lists into one */
        int order = i == rest->n ? 1 : k == lands->n ? -1 : manifest_path_cmp(rest->v[i].path, lands->v[k].path);
        bool is_left = order >= 0 && left(ctx, lands->v[k].path);
        if (order == 0)
            all.v[all.n++] = join_part(&rest->v[i], &lands->v[k], is_left, now);
        else if (order < 0 || is_left)
            all.v[all.n++] = order < 0 ? rest->v[i] : lands->v[k];
        i += order <= 0;
        k += order >= 0;
    }
    *ret = all;
    return OK;
}
