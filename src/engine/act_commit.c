/*
 * The result of an unattended agent as a commit on a branch: git in a jail, on the run's layers. The person's branch, index and
 * files stay as they are; what lands is objects and one ref.
 *
 * The agent could write into the .git that it saw: other contents under an object's name, hooks, links. Nothing of that is
 * believed. git reads the person's own .git, mounted beside the layers; the objects that it makes go into a folder of their
 * own, and only these land. Commits that the agent made itself are not kept, what they changed is.
 */
#include <stdio.h>
#include <string.h>

#include "engine/act_call.h"

enum { COMMIT_ARENA = 256 << 20, WORD_MAX = 64 * 1024 /* of the kernel's 128 KiB */, PATHS_MAX = 1536 * 1024 /* of its 2 MiB, with all else */,
       HASH_CHARS = 40, HASH_CHARS_256 = 64 };
#define COMMIT_GIT "/tmp/crannog-git"

/* $1 branch, $2 message, then the paths that the run changed, many in a word, "//" behind each: no path has that. Only plumbing, and
   no program that the repository names but its filters: an agent may have written those. What stands in the way of an object's folder
   is an agent's as well. */
static const char script[] =
    "set -eu\n"
    "exec 3>&2 2>/tmp/crannog-words\n"
    "trap '[ $? = 0 ] || cat /tmp/crannog-words >&3' EXIT\n"
    "new=$PWD/.git/crannog-commit\n"
    "for folder in .git .git/objects .git/refs .git/refs/heads .git/refs/heads/crannog; do\n"
    "  [ -d $folder ] && [ ! -L $folder ] || rm -rf $folder\n"
    "done\n"
    "rm -rf \"$new\"\n"
    "mkdir -p \"$new\" .git/objects .git/refs/heads/crannog\n"
    "export GIT_DIR=" COMMIT_GIT " GIT_WORK_TREE=\"$PWD\" GIT_INDEX_FILE=/tmp/crannog-index GIT_OBJECT_DIRECTORY=\"$new\" "
    "GIT_ALTERNATE_OBJECT_DIRECTORIES=" COMMIT_GIT "/objects GIT_TERMINAL_PROMPT=0\n"
    "git() { command git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.sparseCheckout=false \"$@\"; }\n"
    "branch=$1 message=$2; shift 2\n"
    "for ref in crannog \"$branch\"; do\n"
    "  if git rev-parse -q --verify \"refs/heads/$ref\" >/dev/null; then\n"
    "    echo \"there is a branch $ref already; with another name (git branch -m $ref NAME) there is room for $branch\" >&2\n"
    "    exit 1\n"
    "  fi\n"
    "done\n"
    "git var GIT_COMMITTER_IDENT >/dev/null 2>&1 || export GIT_AUTHOR_NAME=crannog GIT_AUTHOR_EMAIL=crannog@localhost "
    "GIT_COMMITTER_NAME=crannog GIT_COMMITTER_EMAIL=crannog@localhost\n"
    "parent=$(git rev-parse -q --verify HEAD || true)\n"
    "if [ -n \"$parent\" ]; then git read-tree \"$parent\"; fi\n"
    "for paths; do while [ -n \"$paths\" ]; do\n"
    "  git add -A -- \":(literal)${paths%%//*}\" || true\n"
    "  paths=${paths#*//}\n"
    "done; done\n"
    "tree=$(git write-tree)\n"
    "if [ -n \"$parent\" ] && [ \"$tree\" = \"$(git rev-parse \"$parent^{tree}\")\" ]; then exit 0; fi\n"
    "commit=$(git commit-tree \"$tree\" ${parent:+-p \"$parent\"} -m \"$message\")\n"
    "for from in \"$new\"/?? \"$new\"/pack; do\n"
    "  [ -d \"$from\" ] || continue\n"
    "  to=.git/objects/${from##*/}\n"
    "  [ -d \"$to\" ] && [ ! -L \"$to\" ] || rm -rf \"$to\"\n"
    "  mkdir -p \"$to\"\n"
    "  mv -f \"$from\"/* \"$to\"/\n"
    "done\n"
    "rm -rf \"$new\" \".git/refs/heads/$branch\"\n"
    "echo \"$commit\" >\".git/refs/heads/$branch\"\n"
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

/* The name of an object below .git/objects, or of a pack's file, or the folder of such. */
static bool is_object(struct slice name)
{
    struct slice folder = slice_sub(name, 0, slice_index(name, '/')), rest = slice_sub(name, folder.n + 1, name.n);
    if (slice_is(folder, "pack"))
        return rest.n == 0 || slice_starts(rest, SLICE("pack-"));
    return folder.n == 2 && (rest.n == 0 || rest.n == HASH_CHARS - 2 || rest.n == HASH_CHARS_256 - 2);
}

/* Objects and our branch, and the folders made for them; neither index nor HEAD nor anybody's settings, nothing that was there. */
static bool lands(const struct change *c, struct slice branch)
{
    const struct slice objects = SLICE(".git/objects"), ours = SLICE(".git/refs/heads/crannog");
    bool is_new = c->after.type == STAMP_FOLDER || (c->after.type == STAMP_FILE && c->before.type == STAMP_ABSENT);
    bool object = slice_below(c->path, objects) && is_object(slice_sub(c->path, objects.n + 1, c->path.n));
    return is_new && (object || slice_eq(c->path, ours) || slice_eq(c->path, branch));
}

enum err commit_rest(struct engine *g, const struct run_state *r, struct completion *c, struct error *e)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(COMMIT_ARENA);
    BUF_CLEANUP struct buf bytes = BUF_INIT(MANIFEST_BYTES_MAX);
    struct manifest m = {0};
    struct hash h;
    size_t kept = 0;
    char branch[64];
    snprintf(branch, sizeof branch, ".git/refs/heads/crannog/r%llu", (unsigned long long)r->id);
    enum err err = *c->layer ? manifest_decode(buf_slice(&c->manifest), &a, &m, e) : OK;
    if (err)
        return err;
    for (size_t i = 0; i < m.n; i++)
        if (lands(&m.v[i], slice_of(branch))) {
            m.v[kept] = m.v[i];
            m.v[kept++].layer = (uint16_t)r->nlayers; /* the one that this step leaves behind, above the others */
        }
    m.n = kept;
    m.nseen = 0; /* our own branch stands on nothing of the person's */
    manifest_encode(&m, &bytes);
    err = buf_check(&bytes, "a manifest", e);
    if (!err)
        err = blob_put(g->store, buf_slice(&bytes), &h, e);
    if (!err)
        json_put_hash(c->result, "rest", &h);
    return err;
}

bool commit_mount(const struct place *place, struct arena *a, struct jail_plan *ret)
{
    char *git = arena_printf(a, "%s/.git", place->work);
    return git && jail_plan_add(ret, (struct jail_mount){.kind = JAIL_READ, .source = slice_of(git), .target = SLICE(COMMIT_GIT)});
}
