#include "layers/chain.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/sys.h"

static void pop(struct chain *c)
{
    walk_close(&c->v[c->path.depth - 1]);
    walk_pop(&c->path);
}

void chain_release(struct chain *c)
{
    while (c->path.depth)
        pop(c);
}

static int top(const struct chain *c)
{
    return c->path.depth ? c->v[c->path.depth - 1].fd : c->base;
}

/* `folder` is the chain's path or lies below it. */
static bool leads_to(const struct chain *c, struct slice folder)
{
    struct slice path = walk_text(&c->path);
    return path.n == 0 || slice_eq(folder, path) || slice_below(folder, path);
}

/* One part further; *ret is false where there is no folder of that name. */
static enum err push(struct chain *c, struct slice part, bool make, bool *ret, struct error *e)
{
    char name[STAMP_NAME_MAX + 1];
    struct stat st;
    int at = top(c);
    enum err err = walk_push(&c->path, part, e);
    if (err)
        return err;
    struct walk_open *o = &c->v[c->path.depth - 1];
    *o = WALK_OPEN_INIT;
    memcpy(name, part.p, part.n);
    name[part.n] = '\0';
    *ret = false;
    if (make && sys->mkdirat(at, name, 0700) < 0 && errno != EEXIST)
        err = error_errno(e, errno, "cannot make the folder %s", name);
    else if (sys->fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        err = errno == ENOENT ? OK : error_errno(e, errno, "cannot look at %s", name);
    else if (S_ISDIR(st.st_mode)) {
        err = walk_open_shut(at, name, &st, false, o, e);
        *ret = !err;
    }
    if (!*ret)
        pop(c);
    return err;
}

enum err chain_go(struct chain *c, int base, struct slice folder, bool make, int *ret, struct error *e)
{
    if (base != c->base)
        chain_release(c);
    c->base = base;
    while (!leads_to(c, folder))
        pop(c);
    while (c->path.n < folder.n) {
        struct slice rest = slice_sub(folder, c->path.n ? c->path.n + 1 : 0, SIZE_MAX);
        bool there;
        enum err err = push(c, slice_sub(rest, 0, slice_index(rest, '/')), make, &there, e);
        if (err)
            return err;
        if (!there) {
            *ret = -1;
            return OK;
        }
    }
    *ret = top(c);
    return OK;
}

enum err chain_go_parent(struct chain *c, int base, struct slice path, bool make, int *ret,
                         char ret_name[STAMP_NAME_MAX + 1], struct error *e)
{
    size_t cut = slice_last_part(path);
    memcpy(ret_name, path.p + cut, path.n - cut);
    ret_name[path.n - cut] = '\0';
    return chain_go(c, base, slice_sub(path, 0, cut ? cut - 1 : 0), make, ret, e);
}
