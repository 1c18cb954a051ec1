/*
 * Where our own control groups are, from what the kernel says of us. One hierarchy each (v1) or one for all (v2, the
 * unified one); often both are there. A hierarchy can be mounted from one of its groups on (a container's), and what lies
 * above that cannot be named.
 */
#include <string.h>

#include "jail/internal.h"

/* The next word of a line, parted by single blanks. */
static struct slice next_word(struct slice *rest)
{
    struct slice ret = slice_sub(*rest, 0, slice_index(*rest, ' '));
    *rest = slice_sub(*rest, ret.n + 1, rest->n);
    return ret;
}

/* Whether `word` is one of a list parted by commas. */
static bool lists(struct slice list, const char *word)
{
    while (list.n) {
        struct slice one = slice_sub(list, 0, slice_index(list, ','));
        if (slice_is(one, word))
            return true;
        list = slice_sub(list, one.n + 1, list.n);
    }
    return false;
}

static bool starts_with(struct slice s, struct slice with)
{
    return s.n >= with.n && memcmp(s.p, with.p, with.n) == 0;
}

static bool has_dots(struct slice path)
{
    while (path.n) {
        struct slice name = slice_sub(path, 0, slice_index(path, '/'));
        if (slice_is(name, ".."))
            return true;
        path = slice_sub(path, name.n + 1, path.n);
    }
    return false;
}

/* The path of our group in the hierarchy that has `controller` ("" is the unified one): "ID:CONTROLLERS:PATH". */
static bool find_own(struct slice cgroups, const char *controller, struct slice *ret)
{
    struct slice line;
    while (slice_line(&cgroups, &line)) {
        struct slice rest = slice_sub(line, slice_index(line, ':') + 1, line.n);
        struct slice controllers = slice_sub(rest, 0, slice_index(rest, ':'));
        *ret = slice_sub(rest, controllers.n + 1, rest.n);
        if (*controller ? lists(controllers, controller) : controllers.n == 0 && line.n && *line.p == '0')
            return true;
    }
    return false;
}

/* The mount of that hierarchy: its first group, and where it lies. Fields: id, parent, device, root, place, options,
   others ..., "-", type, source, the hierarchy's options. */
static bool find_mount(struct slice mounts, const char *controller, struct slice *ret_root, struct slice *ret_place)
{
    struct slice line;
    while (slice_line(&mounts, &line)) {
        struct slice rest = line, word;
        for (int i = 0; i < 3; i++)
            next_word(&rest);
        *ret_root = next_word(&rest);
        *ret_place = next_word(&rest);
        do
            word = next_word(&rest);
        while (word.n && !slice_is(word, "-"));
        struct slice type = next_word(&rest);
        next_word(&rest);
        if (*controller ? slice_is(type, "cgroup") && lists(rest, controller) : slice_is(type, "cgroup2"))
            return true;
    }
    return false;
}

void cgroup_find(struct slice cgroups, struct slice mounts, struct cgroup_place *ret)
{
    static const char *const controllers[CGROUP_KINDS] = {"", "memory", "pids", "cpuacct"};
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < CGROUP_KINDS; i++) {
        struct slice own, root, place;
        if (!find_own(cgroups, controllers[i], &own) || !find_mount(mounts, controllers[i], &root, &place))
            continue;
        if (slice_is(root, "/"))
            root = SLICE_NONE;
        if (slice_is(own, "/"))
            own = SLICE_NONE;
        /* above what is mounted; or a name that mountinfo had to quote */
        if (!starts_with(own, root) || (own.n > root.n && own.p[root.n] != '/') || has_dots(own) || has_dots(root) ||
            slice_index(place, '\\') < place.n)
            continue;
        struct slice below = slice_sub(own, root.n, own.n);
        if (place.n + below.n >= sizeof ret->own[i])
            continue;
        memcpy(ret->own[i], place.p, place.n);
        memcpy(ret->own[i] + place.n, below.p, below.n);
        if (i == CGROUP_UNIFIED)
            ret->top = place.n;
    }
}
