/*
 * What takes effect with the person's rights by itself: programs read these files when somebody only enters a folder,
 * opens it in an editor, asks for its git status or starts an agent in it, and run what they say. A step that may write
 * them has left its jail without being asked (CVE-2025-59536, CVE-2025-61260 and their like). Files that run only when
 * somebody runs them (Makefile, package.json, build.rs) are not here: who runs a build runs what was written, and looks.
 * Nor are notes for agents (CLAUDE.md, AGENTS.md): they persuade, they do not execute.
 *
 * Part by part, at any depth, for a folder in a repository is opened by itself as well; and each name as the file systems
 * that tell least apart read it, wherever it lies now, for folders are copied.
 */
#include <string.h>

#include "layers/landing.h"

struct guard {
    const char *name, *why;
};

/* Below .git and below .git/modules/NAME. */
static const struct guard git_files[] = {
    {"config", "is guarded: git runs programs that its configuration names"},
    {"config.worktree", "is guarded: git runs programs that its configuration names"},
    {"hooks", "is guarded: git runs its hooks"},
    {"commondir", "is guarded: it says where git finds its configuration and hooks"},
    {"gitdir", "is guarded: it says where git finds its configuration and hooks"},
};

/* Folders: all that lies in them, and what replaces them by a file or a link. */
static const struct guard folders[] = {
    {".githooks", "is guarded: git hooks"},
    {".husky", "is guarded: git hooks"},
    {".vscode", "is guarded: settings and tasks of an editor"},
    {".idea", "is guarded: settings and run configurations of an editor"},
    {".fleet", "is guarded: settings of an editor"},
    {".zed", "is guarded: settings and tasks of an editor"},
    {".helix", "is guarded: settings of an editor"},
    {".vim", "is guarded: an editor loads what lies there"},
    {".nvim", "is guarded: an editor loads what lies there"},
    {".emacs.d", "is guarded: an editor loads what lies there"},
    {".sublime", "is guarded: settings of an editor"},
    {".devcontainer", "is guarded: editors start the container that it describes"},
    {".direnv", "is guarded: a shell loads what lies there"},
    {".ssh", "is guarded: keys and settings of ssh"},
    {".gnupg", "is guarded: keys and settings of gpg"},
    {".claude", "is guarded: settings, hooks and commands of an agent"},
    {".cursor", "is guarded: settings, hooks and servers of an agent"},
    {".codex", "is guarded: settings and servers of an agent"},
    {".gemini", "is guarded: settings, hooks and servers of an agent"},
    {".continue", "is guarded: settings and servers of an agent"},
    {".windsurf", "is guarded: settings and servers of an agent"},
    {".roo", "is guarded: settings and servers of an agent"},
    {".kiro", "is guarded: settings, hooks and servers of an agent"},
    {".amazonq", "is guarded: settings, hooks and servers of an agent"},
    {".opencode", "is guarded: settings and plug-ins of an agent"},
    {".goose", "is guarded: settings of an agent"},
    {".pi", "is guarded: settings and extensions of an agent"},
    {".openclaw", "is guarded: settings of an agent"},
};

/*
 * A repository is what looks like one: git takes any folder with a HEAD, objects and refs for one, whatever its name, and
 * obeys its configuration as soon as somebody asks for the status in it. Without a HEAD none is. Only this spelling: there
 * are many files called "head".
 */
static const char bare_head[] = "HEAD", bare_why[] = "is guarded: with it git takes the folder for a repository, and runs what its configuration names";

/* Files, or whatever takes their place. */
static const struct guard files[] = {
    {".envrc", "is guarded: a shell runs it when somebody enters the folder"},
    {".autoenv.zsh", "is guarded: a shell runs it when somebody enters the folder"},
    {".bashrc", "is guarded: a shell runs it"},
    {".bash_profile", "is guarded: a shell runs it"},
    {".bash_login", "is guarded: a shell runs it"},
    {".bash_logout", "is guarded: a shell runs it"},
    {".bash_aliases", "is guarded: a shell runs it"},
    {".profile", "is guarded: a shell runs it"},
    {".zshrc", "is guarded: a shell runs it"},
    {".zshenv", "is guarded: a shell runs it"},
    {".zprofile", "is guarded: a shell runs it"},
    {".zlogin", "is guarded: a shell runs it"},
    {".zlogout", "is guarded: a shell runs it"},
    {".login", "is guarded: a shell runs it"},
    {".cshrc", "is guarded: a shell runs it"},
    {".tcshrc", "is guarded: a shell runs it"},
    {".kshrc", "is guarded: a shell runs it"},
    {".inputrc", "is guarded: it binds keys of the shell to commands"},
    {".xprofile", "is guarded: it runs when somebody logs in"},
    {".xinitrc", "is guarded: it runs when somebody logs in"},
    {".xsessionrc", "is guarded: it runs when somebody logs in"},
    {".pam_environment", "is guarded: it sets the environment of whoever logs in"},
    {".vimrc", "is guarded: an editor runs it"},
    {"_vimrc", "is guarded: an editor runs it"},
    {".gvimrc", "is guarded: an editor runs it"},
    {".exrc", "is guarded: an editor runs it"},
    {".nvimrc", "is guarded: an editor runs it"},
    {".nvim.lua", "is guarded: an editor runs it"},
    {".lvimrc", "is guarded: an editor runs it"},
    {".emacs", "is guarded: an editor runs it"},
    {".dir-locals.el", "is guarded: an editor evaluates it"},
    {".dir-locals-2.el", "is guarded: an editor evaluates it"},
    {".gdbinit", "is guarded: a debugger runs it"},
    {".lldbinit", "is guarded: a debugger runs it"},
    {".devcontainer.json", "is guarded: editors start the container that it describes"},
    {".Rprofile", "is guarded: R runs it when it is started in the folder"},
    {".pryrc", "is guarded: a console runs it when it is started in the folder"},
    {".irbrc", "is guarded: a console runs it when it is started in the folder"},
    {".pdbrc", "is guarded: a debugger runs it"},
    {"hgrc", "is guarded: Mercurial runs programs and hooks that its configuration names"},
    {"sharedpath", "is guarded: it says where Mercurial finds its configuration"},
    {".gitconfig", "is guarded: git runs programs that its configuration names"},
    {".tmux.conf", "is guarded: a terminal runs it"},
    {".screenrc", "is guarded: a terminal runs it"},
    {".npmrc", "is guarded: it says where packages come from, and may hold credentials"},
    {".pnpmfile.cjs", "is guarded: a package manager runs it"},
    {".pypirc", "is guarded: it may hold credentials"},
    {".netrc", "is guarded: it holds credentials"},
    {".git-credentials", "is guarded: it holds credentials"},
    {".mcp.json", "is guarded: agents start the servers that it names"},
    {".aider.conf.yml", "is guarded: settings of an agent"},
    {".clinerules", "is guarded: settings of an agent"},
    {"opencode.json", "is guarded: settings and servers of an agent"},
    {".srt-settings.json", "is guarded: walls of an agent"},
};

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* ---- names that are the same to some file system ---- */

enum { PLAIN_MAX = 2 * STAMP_NAME_MAX }; /* folding makes three letters of three bytes at most */

/* What UTF-8 says at the beginning of s: the code point, and how many bytes; a byte by itself where it is none. */
static uint32_t code_point(struct slice s, size_t *ret_n)
{
    unsigned char first = (unsigned char)s.p[0];
    size_t n = first >= 0xf0 && first < 0xf8 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
    uint32_t c = n == 4 ? first & 7u : n == 3 ? first & 15u : first & 31u;
    bool whole = n > 1 && first < 0xf8 && n <= s.n;
    for (size_t i = 1; whole && i < n; i++) {
        whole = ((unsigned char)s.p[i] & 0xc0) == 0x80;
        c = c << 6 | ((unsigned char)s.p[i] & 0x3f);
    }
    *ret_n = whole ? n : 1;
    return whole ? c : first;
}

struct fold { /* code points [from, to] become `text` */
    uint32_t from, to;
    const char *text;
};

/* Unicode: default ignorable code points (HFS+ and casefolded ext4 do not see them), and what full case folding makes
   letters of ASCII of (CaseFolding.txt, C and F). */
static const struct fold folds[] = {
    {0xad, 0xad, ""}, {0xdf, 0xdf, "ss"}, {0x17f, 0x17f, "s"}, {0x34f, 0x34f, ""}, {0x61c, 0x61c, ""}, {0x115f, 0x1160, ""},
    {0x17b4, 0x17b5, ""}, {0x180b, 0x180f, ""}, {0x1e9e, 0x1e9e, "ss"}, {0x200b, 0x200f, ""}, {0x202a, 0x202e, ""},
    {0x2060, 0x206f, ""}, {0x212a, 0x212a, "k"}, {0x3164, 0x3164, ""}, {0xfb00, 0xfb00, "ff"}, {0xfb01, 0xfb01, "fi"},
    {0xfb02, 0xfb02, "fl"}, {0xfb03, 0xfb03, "ffi"}, {0xfb04, 0xfb04, "ffl"}, {0xfb05, 0xfb06, "st"}, {0xfe00, 0xfe0f, ""},
    {0xfeff, 0xfeff, ""}, {0xffa0, 0xffa0, ""}, {0xfff0, 0xfff8, ""}, {0x1bca0, 0x1bca3, ""}, {0x1d173, 0x1d17a, ""},
    {0xe0000, 0xe0fff, ""},
};

static const char *fold_of(uint32_t c)
{
    for (size_t i = 0; c >= 0x80 && i < COUNT(folds); i++)
        if (c >= folds[i].from && c <= folds[i].to)
            return folds[i].text;
    return NULL;
}

/* A name without what some file system takes for nothing: the case of letters, what nobody sees, dots and blanks at the end,
   a stream behind a colon; and the short name of a .git, which vfat and NTFS know beside the long one. */
static struct slice plain(struct slice part, char ret[PLAIN_MAX])
{
    size_t n = 0, bytes;
    for (part = slice_sub(part, 0, slice_index(part, ':')); part.n && n + 4 <= PLAIN_MAX; part = slice_sub(part, bytes, part.n)) {
        uint32_t c = code_point(part, &bytes);
        const char *as = bytes > 1 ? fold_of(c) : NULL;
        for (size_t i = 0; as ? as[i] != '\0' : i < bytes; i++) {
            char b = as ? as[i] : part.p[i];
            ret[n++] = b >= 'A' && b <= 'Z' ? (char)(b - 'A' + 'a') : b;
        }
    }
    while (!part.n && n && (ret[n - 1] == '.' || ret[n - 1] == ' '))
        n--;
    if (n == 5 && !memcmp(ret, "git~", 4) && ret[4] >= '1' && ret[4] <= '9')
        return SLICE(".git");
    return (struct slice){ret, n};
}

static bool same_name(struct slice part, const char *name)
{
    char a[PLAIN_MAX], b[PLAIN_MAX];
    return slice_eq(plain(part, a), plain(slice_of(name), b));
}

bool landing_name_is(struct slice part, const char *name)
{
    return same_name(part, name);
}

bool landing_name_begins(struct slice part, const char *name)
{
    char a[PLAIN_MAX], b[PLAIN_MAX];
    return slice_starts(plain(part, a), plain(slice_of(name), b));
}

static const char *find(const struct guard *v, size_t n, struct slice part)
{
    for (size_t i = 0; i < n; i++)
        if (same_name(part, v[i].name))
            return v[i].why;
    return NULL;
}

static struct slice first_part(struct slice path)
{
    return slice_sub(path, 0, slice_index(path, '/'));
}

static struct slice behind(struct slice path, struct slice part)
{
    return slice_sub(path, part.n + 1, path.n);
}

static const char alternates_why[] = "is guarded: it says where git finds objects";

static bool ends_in_lock(struct slice part)
{
    char a[PLAIN_MAX];
    return slice_ends(plain(part, a), SLICE(".lock"));
}

/* Below a .git and its first part, which is neither refs, logs nor objects. A repository of its own can lie anywhere there, a submodule's or
   one that was put there to be met through a link; so each part is looked at, also where it is the name of a branch. */
static const char *guard_deep(struct slice rest, bool modules)
{
    bool info = false;
    for (struct slice part; rest.n; rest = behind(rest, part), info = same_name(part, "info")) {
        part = first_part(rest);
        const char *why = find(git_files, COUNT(git_files), part);
        if (why)
            return why;
        if (info && (same_name(part, "alternates") || same_name(part, "http-alternates")))
            return alternates_why;
        if (!modules && part.n == rest.n && same_name(part, bare_head))
            return bare_why;
    }
    return NULL;
}

/* What lies below a .git, without the .git. */
static const char *guard_git(struct slice rest, const struct stamp *after)
{
    struct slice part = first_part(rest), last = slice_sub(rest, slice_last_part(rest), rest.n);
    const char *why = find(git_files, COUNT(git_files), part);
    if (why)
        return why;
    if (after->type == STAMP_LINK)
        return "is guarded: git writes to where a link in its folder leads";
    if (after->type != STAMP_ABSENT && ends_in_lock(last))
        return "is guarded: git does nothing while it is there";
    if (same_name(part, "refs") || same_name(part, "logs")) /* a branch may be called "config" */
        return NULL;
    rest = behind(rest, part);
    if (same_name(part, "objects"))
        return same_name(rest, "info/alternates") || same_name(rest, "info/http-alternates") ? alternates_why : NULL;
    return guard_deep(rest, same_name(part, "modules") || same_name(part, "worktrees"));
}

/* One part of a path, `last` or with more behind it. */
static const char *guard_part(struct slice part, bool last, const struct stamp *after)
{
    bool becomes_folder = after->type == STAMP_FOLDER;
    if (same_name(part, ".git"))
        return last && !becomes_folder ? "is guarded: it makes another repository of this folder, or none" : NULL;
    if (last && slice_is(part, bare_head) && !becomes_folder) /* without it what is beside it would not be looked at */
        return bare_why;
    const char *why = find(folders, COUNT(folders), part);
    if (why)
        return last && (becomes_folder || after->type == STAMP_ABSENT) ? NULL : why;
    why = find(files, COUNT(files), part);
    if (!why && landing_name_begins(part, ".yarnrc"))
        why = "is guarded: a package manager runs what it names";
    return why;
}

const char *landing_guarded_in_repository(struct slice part)
{
    return find(git_files, COUNT(git_files), part);
}

const char *landing_guarded(struct slice path, const struct stamp *after)
{
    for (struct slice rest = path; rest.n;) {
        struct slice part = first_part(rest);
        const char *why = guard_part(part, part.n == rest.n, after);
        if (why)
            return why;
        rest = behind(rest, part);
        if (same_name(part, ".git") && rest.n)
            return guard_git(rest, after);
    }
    return NULL;
}
