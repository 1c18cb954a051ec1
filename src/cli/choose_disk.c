/*
 * What lies on the disk: models that crannog runs itself, models of other programs, their logins. Names and sizes are looked at,
 * never what is in a file. The walk goes no deeper than DEPTH and looks at CHOOSE_NAMES_MAX names in all.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "cli/choose.h"

enum { DEPTH = 8, FILES_MAX = 64, NOTES_MAX = 32 };

void choose_note(struct choose_found *f, struct arena *a, const char *fmt, ...)
{
    char text[480];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!f->notes)
        f->notes = arena_array(a, NOTES_MAX, sizeof *f->notes);
    BUF_CLEANUP struct buf safe = BUF_INIT(4096); /* there may be a server's words in it */
    cli_print_safe(slice_of(text), &safe);
    struct slice s = arena_copy(a, buf_slice(&safe));
    if (f->notes && s.p && f->n_notes < NOTES_MAX)
        f->notes[f->n_notes++] = s;
}

/* ---- models ---- */

struct walk {
    struct arena *a;
    const char *where;
    bool names; /* Ollama's manifests: each file is MODEL/TAG; else files that end in .gguf */
    size_t left;
    struct choose_file **files;
    size_t *n;
};

static void take_file(struct walk *w, struct slice name, int64_t bytes)
{
    if (!*w->files)
        *w->files = arena_array(w->a, FILES_MAX, sizeof **w->files);
    struct slice kept = arena_copy(w->a, name);
    if (*w->files && kept.p && *w->n < FILES_MAX)
        (*w->files)[(*w->n)++] = (struct choose_file){kept, slice_of(w->where), bytes};
}

static void take_entry(struct walk *w, const char *folder, const char *name, const struct stat *st)
{
    BUF_CLEANUP struct buf tagged = BUF_INIT(1024);
    if (w->names) {
        buf_addf(&tagged, "%s:%s", strrchr(folder, '/') ? strrchr(folder, '/') + 1 : folder, name);
        take_file(w, buf_slice(&tagged), 0);
    } else if (slice_ends(slice_of(name), SLICE(".gguf")) && !strstr(name, "mmproj")) {
        take_file(w, slice_of(name), st->st_size);
    }
}

/* Links to folders are not followed, so no walk goes in a circle; a link to a file counts as the file. */
static void walk(struct walk *w, const char *folder, int depth)
{
    DIR *d = opendir(folder);
    for (struct dirent *entry; d && w->left && (entry = readdir(d));) {
        BUF_CLEANUP struct buf path = BUF_INIT(4096);
        struct stat st;
        w->left--;
        if (entry->d_name[0] == '.')
            continue;
        buf_addf(&path, "%s/%s", folder, entry->d_name);
        if (!buf_ok(&path) || sys->fstatat(AT_FDCWD, buf_str(&path), &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISLNK(st.st_mode) && (sys->fstatat(AT_FDCWD, buf_str(&path), &st, 0) < 0 || S_ISDIR(st.st_mode)))
            continue;
        if (S_ISDIR(st.st_mode) && depth < DEPTH)
            walk(w, buf_str(&path), depth + 1);
        else if (S_ISREG(st.st_mode))
            take_entry(w, folder, entry->d_name, &st);
    }
    if (d)
        closedir(d);
}

static void look_for_models(const struct choose_with *with, struct arena *a, struct choose_found *f)
{
    static const struct {
        const char *below, *where;
        bool names;
    } folders[] = {{"/.ollama/models/manifests", "Ollama", true}, {"/.lmstudio/models", "LM Studio", false},
                   {"/.cache/lm-studio/models", "LM Studio", false}, {"/.cache/llama.cpp", "llama.cpp", false},
                   {"/.cache/huggingface/hub", "Hugging Face's cache", false}};
    struct walk w = {.a = a, .where = "crannog", .left = CHOOSE_NAMES_MAX, .files = &f->own, .n = &f->n_own};
    BUF_CLEANUP struct buf path = BUF_INIT(4096);
    buf_addf(&path, "%.*s/models", SLICE_ARG(with->state));
    if (with->state.n && buf_ok(&path))
        walk(&w, buf_str(&path), DEPTH);
    w.files = &f->others;
    w.n = &f->n_others;
    for (size_t i = 0; with->home.n && i < sizeof folders / sizeof *folders; i++) {
        buf_reset(&path);
        buf_addf(&path, "%.*s%s", SLICE_ARG(with->home), folders[i].below);
        w.where = folders[i].where;
        w.names = folders[i].names;
        if (buf_ok(&path))
            walk(&w, buf_str(&path), 0);
    }
}

/* ---- logins of other programs ---- */

static void look_for_logins(const struct choose_with *with, struct arena *a, struct choose_found *f)
{
    static const struct {
        const char *file, *words;
    } logins[] = {
        {"/.claude/.credentials.json", "Claude Code is logged in; its plan can be used only by its own program: crannog exec -- claude"},
        {"/.codex/auth.json", "Codex is logged in; its plan can be used by its own program: crannog exec -- codex"},
        {"/.pi/agent/auth.json", "pi is logged in; what it has can be used by its own program: crannog exec -- pi"},
        {"/.gemini/oauth_creds.json", "Gemini CLI is logged in; its plan can be used by its own program: crannog exec -- gemini"},
        {"/.local/share/opencode/auth.json", "OpenCode is logged in; what it has can be used by its own program: crannog exec -- opencode"},
        {"/.config/github-copilot/apps.json", "GitHub Copilot is logged in; its plan can be used only by its own programs"},
        {"/.config/gh/hosts.yml", "gh is logged in to GitHub; crannog does not look at its token"},
    };
    for (size_t i = 0; with->home.n && i < sizeof logins / sizeof *logins; i++) {
        BUF_CLEANUP struct buf path = BUF_INIT(4096);
        struct stat st;
        buf_addf(&path, "%.*s%s", SLICE_ARG(with->home), logins[i].file);
        if (buf_ok(&path) && sys->fstatat(AT_FDCWD, buf_str(&path), &st, 0) == 0 && S_ISREG(st.st_mode))
            choose_note(f, a, "%s", logins[i].words);
    }
}

void choose_look_on_disk(const struct choose_with *w, struct arena *a, struct choose_found *f)
{
    look_for_models(w, a, f);
    look_for_logins(w, a, f);
}
