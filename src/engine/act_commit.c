/*
 * The result of an unattended agent as a commit on a branch: git in a jail, on the run's layers. The person's branch, index and
 * files stay as they are; what lands is objects and one ref.
 */
#include <stdio.h>
#include <string.h>

#include "engine/act_call.h"

enum { COMMIT_ARENA = 256 << 20, WORD_MAX = 64 * 1024 /* of the kernel's 128 KiB */, PATHS_MAX = 1536 * 1024 /* of its 2 MiB, with all else */ };

/* $1 branch, $2 message, then the paths that the run changed, many in a word, "//" behind each: no path has that. Only plumbing: no
   hook of the repository is run. */
static const char script[] =
    "set -eu\n"
    "export GIT_INDEX_FILE=/tmp/crannog-index GIT_TERMINAL_PROMPT=0\n"
    "branch=$1 message=$2; shift 2\n"
    "git var GIT_COMMITTER_IDENT >/dev/null 2>&1 || export GIT_AUTHOR_NAME=crannog GIT_AUTHOR_EMAIL=crannog@localhost "
    "GIT_COMMITTER_NAME=crannog GIT_COMMITTER_EMAIL=crannog@localhost\n"
    "parent=$(git rev-parse -q --verify HEAD || true)\n"
    "if [ -n \"$parent\" ]; then git read-tree \"$parent\"; fi\n"
    "for paths; do while [ -n \"$paths\" ]; do\n"
    "  git add -A -- \":(literal)${paths%%//*}\" 2>/dev/null || true\n"
    "  paths=${paths#*//}\n"
    "done; done\n"
    "tree=$(git write-tree)\n"
    "if [ -n \"$parent\" ] && [ \"$tree\" = \"$(git rev-parse \"$parent^{tree}\")\" ]; then exit 0; fi\n"
    "commit=$(git commit-tree \"$tree\" ${parent:+-p \"$parent\"} -m \"$message\")\n"
    "git update-ref \"refs/heads/$branch\" \"$commit\"\n"
    "echo \"$commit\"\n";

static bool is_git(struct slice path)
{
    return slice_is(path, ".git") || slice_below(path, SLICE(".git"));
}

/* The paths of a manifest that are not git's own, as words behind those that are there. */
static enum err add_paths(const struct manifest *m, struct arena *a, struct slice *words, size_t *n, struct error *e)
{
    BUF_CLEANUP struct buf word = BUF_INIT(WORD_MAX);
    size_t all = 0;
    for (size_t i = 0; i <= m->n; i++) {
        bool over = i == m->n, skip = over || is_git(m->v[i].path) || m->v[i].after.type == STAMP_FOLDER;
        if (word.n && (over || word.n + m->v[i].path.n + 2 > WORD_MAX - 1)) {
            words[*n] = arena_copy(a, buf_slice(&word));
            if (!words[(*n)++].p)
                return error_set(e, ERR_MEMORY, "no memory for a commit");
            all += word.n;
            buf_reset(&word);
        }
        if (!skip)
            buf_addf(&word, "%.*s//", SLICE_ARG(m->v[i].path));
        if (all + word.n > PATHS_MAX) /* naming a folder instead would take what the run did not change */
            return error_set(e, ERR_LIMIT, "more changed files than one commit can be told of");
    }
    return OK;
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
    if (!words[n - 2].p)
        return error_set(e, ERR_MEMORY, "no memory for a commit");
    err = add_paths(&m, a, words, &n, e);
    *ret_n = n;
    return err;
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
