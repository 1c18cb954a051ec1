#include "layers/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/sys.h"
#include "layers/walk.h"

enum { NAMES_BYTES = 128 * 1024 * 1024, BETWEEN_CLOCKS = 64 };

struct surveying {
    uint32_t uid, gid;
    int64_t end_ns;
    const char *cover;
    struct survey sum;
    struct arena names;
    struct walk_path path;
    struct error *e;
};

static void count(struct surveying *w, const struct stat *st)
{
    bool owner = st->st_uid != w->uid, group = !owner && st->st_gid != w->gid;
    w->sum.folders += S_ISDIR(st->st_mode);
    w->sum.files += !S_ISDIR(st->st_mode);
    w->sum.special += !S_ISDIR(st->st_mode) && !S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode);
    w->sum.foreign_owner += owner;
    w->sum.foreign_group += group;
    if ((owner || group) && !w->sum.example[0]) {
        struct slice path = slice_sub(walk_text(&w->path), 0, SURVEY_EXAMPLE_MAX);
        memcpy(w->sum.example, path.p, path.n);
    }
}

static enum err survey_folder(struct surveying *w, int folder);

static enum err survey_name(struct surveying *w, int folder, struct slice name)
{
    struct stat st;
    if (w->path.depth == 0 && w->cover && slice_is(name, w->cover))
        return OK;
    uint64_t seen = w->sum.files + w->sum.folders;
    bool late = seen % BETWEEN_CLOCKS == 0 && sys->boottime_ns() >= w->end_ns;
    if (late || seen == SURVEY_FILES_MAX || walk_push(&w->path, name, NULL)) {
        w->sum.cut = true; /* too many, or too deep for any path of ours */
        return OK;
    }
    enum err err = OK;
    if (sys->fstatat(folder, name.p, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        count(w, &st);
        FD_CLEANUP int sub = S_ISDIR(st.st_mode) ? walk_open(folder, name.p) : -1;
        if (sub >= 0)
            err = survey_folder(w, sub);
        else if (S_ISDIR(st.st_mode) && errno != EACCES && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
            err = error_errno(w->e, errno, "cannot open %s", name.p);
    } else if (errno != ENOENT) /* gone since it was listed */
        err = error_errno(w->e, errno, "cannot look at %s", name.p);
    walk_pop(&w->path);
    return err;
}

static enum err survey_folder(struct surveying *w, int folder)
{
    struct slice *v;
    size_t n;
    enum err err = walk_names(folder, &w->names, &v, &n, w->e);
    for (size_t i = 0; !err && i < n && !w->sum.cut; i++)
        err = survey_name(w, folder, v[i]);
    return err;
}

enum err survey_root(int root, uint32_t uid, uint32_t gid, bool range, const char *cover, struct survey *ret,
                     struct error *e)
{
    struct surveying w = {.uid = uid, .gid = gid, .cover = cover, .names = ARENA_INIT(NAMES_BYTES), .e = e,
                          .end_ns = sys->boottime_ns() + (int64_t)SURVEY_MS_MAX * 1000000};
    enum err err = range ? OK : survey_folder(&w, root);
    arena_release(&w.names);
    if (!err)
        *ret = w.sum;
    return err;
}
