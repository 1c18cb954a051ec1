/*
 * The result of an unattended agent as a commit on a branch: git in a jail, on the run's layers. The person's branch, index and
 * files stay as they are; what lands is objects and one ref.
 */
#include <stdio.h>
#include <string.h>

#include "engine/act_call.h"

enum { COMMIT_PATHS_MAX = 900, COMMIT_ARENA = 256 << 20 };

/* $1 branch, $2 message, then the paths that the run changed. Only plumbing: no hook of the repository is run. */
static const char script[] =
    "set -eu\n"
    "export GIT_INDEX_FILE=/tmp/crannog-index GIT_TERMINAL_PROMPT=0\n"
    "branch=$1 message=$2; shift 2\n"
    "git var GIT_COMMITTER_IDENT >/dev/null 2>&1 || export GIT_AUTHOR_NAME=crannog GIT_AUTHOR_EMAIL=crannog@localhost "
    "GIT_COMMITTER_NAME=crannog GIT_COMMITTER_EMAIL=crannog@localhost\n"
    "parent=$(git rev-parse -q --verify HEAD || true)\n"
    "if [ -n \"$parent\" ]; then git read-tree \"$parent\"; fi\n"
    "for path; do git add -A -- \":(literal)$path\" 2>/dev/null || true; done\n"
    "tree=$(git write-tree)\n"
    "if [ -n \"$parent\" ] && [ \"$tree\" = \"$(git rev-parse \"$parent^{tree}\")\" ]; then exit 0; fi\n"
    "commit=$(git commit-tree \"$tree\" ${parent:+-p \"$parent\"} -m \"$message\")\n"
    "git update-ref \"refs/heads/$branch\" \"$commit\"\n"
    "echo \"$commit\"\n";

static bool is_git(struct slice path)
{
    return slice_is(path, ".git") || slice_below(path, SLICE(".git"));
}

enum err commit_words(struct engine *g, const struct run_state *r, struct arena *a, struct slice *words, size_t *ret_n, struct error *e)
{
    ARENA_CLEANUP struct arena wide = ARENA_INIT(COMMIT_ARENA);
    struct manifest m;
    size_t n = 0;
    enum err err = layer_flatten(g, r, &wide, &m, e);
    if (err)
        return err;
    words[n++] = SLICE("/bin/sh");
    words[n++] = SLICE("-c");
    words[n++] = slice_of(script);
    words[n++] = SLICE("sh");
    words[n++] = slice_of(arena_printf(a, "crannog/r%llu", (unsigned long long)r->id));
    words[n++] = r->goal.n ? r->goal : SLICE("work of an agent");
    for (size_t i = 0; i < m.n && n < COMMIT_PATHS_MAX; i++)
        if (!is_git(m.v[i].path) && m.v[i].after.type != STAMP_FOLDER)
            words[n++] = arena_copy(a, m.v[i].path);
    if (n == COMMIT_PATHS_MAX) /* too many to name: all that is there */
        words[6] = SLICE("."), n = 7;
    *ret_n = n;
    return OK;
}

/* Objects and our branch, and the folders made for them; neither index nor HEAD nor anybody's settings. */
static bool lands(const struct change *c)
{
    bool objects = slice_below(c->path, SLICE(".git/objects"));
    bool branch = slice_is(c->path, ".git/refs/heads/crannog") || slice_below(c->path, SLICE(".git/refs/heads/crannog"));
    return (objects || branch) && c->after.type != STAMP_ABSENT;
}

enum err commit_rest(struct engine *g, const struct run_state *r, struct completion *c, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(COMMIT_ARENA);
    struct manifest m[RUN_LAYERS_MAX + 1], flat;
    struct hash h;
    size_t n = r->nlayers, kept = 0;
    enum err err = OK;
    for (size_t i = 0; !err && i < n; i++)
        err = layer_get_manifest(g->store, &r->layers[i].manifest, &a, &m[i], e);
    if (!err && *c->layer)
        err = manifest_decode(buf_slice(&c->manifest), &a, &m[n++], e);
    if (!err)
        err = manifest_flatten(m, n, &a, &flat, e);
    if (err)
        return err;
    for (size_t i = 0; i < flat.n; i++)
        if (lands(&flat.v[i]))
            flat.v[kept++] = flat.v[i];
    flat.n = kept;
    BUF_CLEANUP struct buf bytes = BUF_INIT(MANIFEST_BYTES_MAX);
    manifest_encode(&flat, &bytes);
    err = buf_check(&bytes, "a manifest", e);
    if (!err)
        err = blob_put(g->store, buf_slice(&bytes), &h, e);
    if (!err)
        json_put_hash(c->result, "rest", &h);
    return err;
}
