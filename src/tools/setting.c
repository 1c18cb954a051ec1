#include "tools/setting.h"

#include <stdio.h>
#include <string.h>

#include "tools/toolchain.h"

enum { VALUE_MAX = 4095, PATH_LIST_MAX = 64 * 1024, IDENTITY_MAX = 400 };

struct making {
    const struct setting_eye *eye;
    struct arena *a;
    struct setting *s;
};

/* ---- what may be shown ---- */

/* The jail's own, or shown as it is already. */
static bool is_system(struct slice path)
{
    static const char *const seen[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"};
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++)
        if (slice_within(path, slice_of(seen[i])))
            return true;
    return false;
}

enum err setting_guard_look(const struct setting_eye *eye, struct slice home, struct arena *a, struct setting_guard *ret, struct error *e)
{
    *ret = (struct setting_guard){.home = home};
    for (size_t i = 0; home.n && toolchain_secrets[i]; i++) {
        char secret[JAIL_PATH_MAX + 1], real[JAIL_PATH_MAX + 1];
        int n = snprintf(secret, sizeof secret, "%.*s/%s", SLICE_ARG(home), toolchain_secrets[i]);
        if (n < 0 || (size_t)n >= sizeof secret || !eye->real(eye->ctx, secret, real) || strcmp(real, secret) == 0)
            continue;
        struct slice led = ret->nled < SETTING_LED_MAX ? arena_copy(a, slice_of(real)) : SLICE_NONE;
        if (!led.p)
            return error_set(e, ERR_LIMIT, "cannot keep in mind where the secrets of your home folder lie");
        ret->led[ret->nled++] = led;
    }
    return OK;
}

/* Whether a path is, lies in or holds a place of secrets. */
static bool touches(struct slice path, struct slice secret)
{
    return slice_within(path, secret) || slice_below(secret, path);
}

enum err setting_may_show(struct slice path, const struct setting_guard *g, struct error *e)
{
    const struct slice home = g->home;
    static const char *const machine[] = {"/proc", "/sys", "/dev", "/run", "/var/run", "/etc", "/boot", "/tmp"};
    size_t parts = 0;
    for (size_t i = 0; i + 1 < path.n; i++)
        parts += path.p[i] == '/' && path.p[i + 1] != '/';
    if (path.n < 2 || *path.p != '/' || (parts < 2 && !slice_is(path, "/opt")))
        return error_set(e, ERR_DENIED, "%.*s is too much to be shown; name a folder in it", SLICE_ARG(slice_sub(path, 0, 300)));
    for (size_t i = 0; i < sizeof machine / sizeof *machine; i++)
        if (slice_within(path, slice_of(machine[i])))
            return error_set(e, ERR_DENIED, "%.*s is part of the running machine (%s), which no jail shows", SLICE_ARG(slice_sub(path, 0, 300)), machine[i]);
    if (home.n && slice_within(home, path))
        return error_set(e, ERR_DENIED, "%.*s holds your whole home folder; name a folder in it", SLICE_ARG(slice_sub(path, 0, 300)));
    for (size_t i = 0; home.n && toolchain_secrets[i]; i++) {
        char secret[JAIL_PATH_MAX + 1];
        int n = snprintf(secret, sizeof secret, "%.*s/%s", SLICE_ARG(home), toolchain_secrets[i]);
        if (n < 0 || (size_t)n >= sizeof secret)
            continue;
        if (touches(path, slice_of(secret)))
            return error_set(e, ERR_DENIED, "%.*s %s ~/%s, where secrets are kept", SLICE_ARG(slice_sub(path, 0, 300)),
                             slice_below(slice_of(secret), path) ? "holds" : "is of", toolchain_secrets[i]);
    }
    for (size_t i = 0; i < g->nled; i++)
        if (touches(path, g->led[i]))
            return error_set(e, ERR_DENIED, "a link of your home folder leads to %.*s, where secrets are kept, so %.*s is not shown",
                             SLICE_ARG(slice_sub(g->led[i], 0, 200)), SLICE_ARG(slice_sub(path, 0, 200)));
    return OK;
}

static bool is_shown(const struct setting *s, struct slice path, enum jail_mount_kind kind)
{
    for (size_t i = 0; i < s->nshown; i++)
        if (s->shown[i].kind == kind && slice_within(path, s->shown[i].target))
            return true;
    return false;
}

/* ---- tables ---- */

/* Shows what `target` leads to at that place, if it is there and may be shown. */
static void show(struct making *m, enum jail_mount_kind kind, const char *target)
{
    struct setting *s = m->s;
    char real[JAIL_PATH_MAX + 1];
    struct slice to = slice_of(target);
    if (s->nshown == SETTING_SHOWN_MAX || is_system(to) || is_shown(s, to, kind) || !m->eye->real(m->eye->ctx, target, real))
        return;
    if (setting_may_show(to, &s->guard, NULL) || setting_may_show(slice_of(real), &s->guard, NULL))
        return;
    struct slice source = arena_copy(m->a, slice_of(real)), at = arena_copy(m->a, to);
    if (source.p && at.p)
        s->shown[s->nshown++] = (struct jail_mount){.kind = kind, .source = source, .target = at, .bytes = kind == JAIL_CACHE ? SETTING_SCRATCH : 0, .optional = true};
}

/* An absolute path of sane length without "." and "..", or NULL. */
static const char *path_variable(const struct making *m, const char *name)
{
    const char *v = name ? m->eye->variable(m->eye->ctx, name) : NULL;
    struct slice s = slice_of(v);
    bool ok = s.n > 1 && s.n <= JAIL_PATH_MAX && *v == '/' && !strstr(v, "//") && !strstr(v, "/./") && !strstr(v, "/../") && !strchr(v, ':') &&
              s.p[s.n - 1] != '/' && !slice_ends(s, SLICE("/.")) && !slice_ends(s, SLICE("/.."));
    for (size_t i = 0; ok && i < s.n; i++)
        ok = (unsigned char)s.p[i] >= ' ' && s.p[i] != 0x7f;
    return ok ? v : NULL;
}

static void show_row(struct making *m, enum jail_mount_kind kind, const struct toolchain *t)
{
    const char *folder = path_variable(m, t->variable);
    char place[JAIL_PATH_MAX + 1];
    if (folder)
        snprintf(place, sizeof place, "%s", folder);
    else if (t->folder && *t->folder == '/')
        snprintf(place, sizeof place, "%s", t->folder);
    else if (t->folder && m->s->home.n)
        snprintf(place, sizeof place, "%.*s/%s", SLICE_ARG(m->s->home), t->folder);
    else
        return;
    for (size_t i = 0; i < TOOLCHAIN_PARTS && t->parts[i]; i++) {
        char target[2 * JAIL_PATH_MAX];
        int n = snprintf(target, sizeof target, "%s%s%s", place, *t->parts[i] ? "/" : "", t->parts[i]);
        if (n > 0 && n <= JAIL_PATH_MAX)
            show(m, kind, target);
    }
}

/* ---- PATH ---- */

/* An unpacked release: FOLDER/go1.22/bin shows FOLDER/go1.22. */
static void show_release(struct making *m, struct slice entry)
{
    char folder[JAIL_PATH_MAX + 1];
    if (!slice_ends(entry, SLICE("/bin")) || entry.n > JAIL_PATH_MAX)
        return;
    struct slice place = slice_sub(entry, 0, entry.n - 4), name = slice_sub(place, slice_last_part(place), place.n);
    for (size_t i = 0; toolchain_releases[i]; i++)
        if (slice_starts(name, slice_of(toolchain_releases[i]))) {
            snprintf(folder, sizeof folder, "%.*s", SLICE_ARG(place));
            show(m, JAIL_SHOWN, folder);
            return;
        }
}

/* What is installed beside the system: /opt/NAME, where PATH leads into it. */
static void show_opt(struct making *m, struct slice entry)
{
    char folder[JAIL_PATH_MAX + 1];
    if (!slice_below(entry, SLICE("/opt")) || entry.n > JAIL_PATH_MAX)
        return;
    size_t n = 5 + slice_index(slice_sub(entry, 5, entry.n), '/');
    snprintf(folder, sizeof folder, "%.*s", (int)n, entry.p);
    show(m, JAIL_SHOWN, folder);
}

static bool can_be_found(const struct setting *s, struct slice path)
{
    return is_system(path) || is_shown(s, path, JAIL_SHOWN) || is_shown(s, path, JAIL_CACHE);
}

/* An entry of PATH as the jail has it: as it is, or without its links where these are not there inside (fnm, a home folder behind a link). */
static void take_entry(struct making *m, struct slice entry)
{
    struct setting *s = m->s;
    char text[JAIL_PATH_MAX + 1], real[JAIL_PATH_MAX + 1];
    if (!entry.n || *entry.p != '/' || entry.n > JAIL_PATH_MAX || s->npath == SETTING_PATH_MAX)
        return;
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(entry));
    if (!m->eye->real(m->eye->ctx, text, real))
        return;
    show_release(m, entry);
    show_release(m, slice_of(real));
    show_opt(m, entry);
    bool found = can_be_found(s, entry);
    struct slice kept = !found && can_be_found(s, slice_of(real)) ? slice_of(real) : entry;
    for (size_t i = 0; i < s->npath; i++)
        if (slice_eq(s->path[i], kept))
            return;
    s->hidden[s->npath] = !can_be_found(s, kept);
    s->path[s->npath] = arena_copy(m->a, kept);
    s->npath += s->path[s->npath].p != NULL;
}

static void take_path(struct making *m)
{
    const char *list = m->eye->variable(m->eye->ctx, "PATH");
    struct slice rest = slice_sub(slice_of(list ? list : ""), 0, PATH_LIST_MAX);
    while (rest.n) {
        size_t n = slice_index(rest, ':');
        struct slice entry = slice_sub(rest, 0, n);
        while (entry.n > 1 && entry.p[entry.n - 1] == '/')
            entry.n--;
        take_entry(m, entry);
        rest = slice_sub(rest, n + 1, rest.n);
    }
    take_entry(m, SLICE("/usr/local/bin"));
    take_entry(m, SLICE("/usr/bin"));
    take_entry(m, SLICE("/bin"));
}

/* ---- environment ---- */

static void set(struct making *m, const char *name, const char *value)
{
    struct setting *s = m->s;
    char *text = s->nenv < SETTING_ENV_MAX ? arena_printf(m->a, "%s=%s", name, value) : NULL;
    if (text)
        s->env[s->nenv++] = slice_of(text);
}

/* The value of a variable that is one line of sane length, or NULL. */
static const char *plain_variable(const struct making *m, const char *name)
{
    const char *v = m->eye->variable(m->eye->ctx, name);
    size_t n = v ? strlen(v) : 0;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)v[i] < ' ' || v[i] == 0x7f)
            return NULL;
    return n && n <= VALUE_MAX ? v : NULL;
}

static void take_locale(struct making *m)
{
    static const char *const names[] = {"LANG", "LC_ALL", "LC_CTYPE", "LC_COLLATE", "LC_MESSAGES", "LC_MONETARY", "LC_NUMERIC", "LC_TIME"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *v = plain_variable(m, names[i]);
        if (v && !strchr(v, '/') && m->eye->locale(m->eye->ctx, v))
            set(m, names[i], v);
        else if (i == 0)
            set(m, "LANG", "C.UTF-8");
    }
}

static void take_environment(struct making *m)
{
    const struct toolchain *const tables[] = {toolchains, toolchain_caches};
    const char *user = plain_variable(m, "USER"), *term = plain_variable(m, "TERM");
    take_locale(m);
    user = user ? user : plain_variable(m, "LOGNAME");
    m->s->user = user ? arena_copy(m->a, slice_of(user)) : SLICE_NONE;
    m->s->term = term ? arena_copy(m->a, slice_of(term)) : SLICE_NONE;
    for (size_t i = 0; toolchain_variables[i]; i++)
        if (plain_variable(m, toolchain_variables[i]))
            set(m, toolchain_variables[i], plain_variable(m, toolchain_variables[i]));
    for (size_t k = 0; k < 2; k++)
        for (const struct toolchain *t = tables[k]; t->parts[0]; t++) {
            const char *v = path_variable(m, t->variable);
            bool again = false;
            for (size_t i = 0; v && i < m->s->nenv; i++)
                again |= m->s->env[i].n > strlen(t->variable) && m->s->env[i].p[strlen(t->variable)] == '=' &&
                         strncmp(m->s->env[i].p, t->variable, strlen(t->variable)) == 0;
            if (v && !again)
                set(m, t->variable, v);
        }
}

/* ---- git ---- */

/* A value as git reads it: quotes, escapes, comments behind it. False where it is not one line of text. */
static bool git_value(struct slice s, char ret[IDENTITY_MAX + 1])
{
    bool quoted = false;
    size_t n = 0, end = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!quoted && (c == '#' || c == ';'))
            break;
        if (c == '"') {
            quoted = !quoted;
            end = n;
            continue;
        }
        if (c == '\\' && ++i < s.n) {
            c = s.p[i];
            if (c != '"' && c != '\\')
                return false;
        }
        if ((unsigned char)c < ' ' || c == 0x7f || n == IDENTITY_MAX)
            return false;
        ret[n++] = c;
        if (quoted || c != ' ')
            end = n;
    }
    ret[end] = '\0';
    return end > 0 && !quoted;
}

static bool same_word(struct slice s, const char *word)
{
    if (s.n != strlen(word))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] | 0x20) != word[i])
            return false;
    return true;
}

void setting_git_identity(struct slice text, struct buf *ret)
{
    static const struct { const char *section, *key; } wanted[] = {{"user", "name"}, {"user", "email"}, {"init", "defaultbranch"}};
    char values[3][IDENTITY_MAX + 1] = {"", "", ""};
    struct slice rest = text, line, section = SLICE_NONE;
    while (slice_line(&rest, &line)) {
        line = slice_trim(line);
        if (line.n && *line.p == '[') {
            size_t end = slice_index(line, ']');
            section = end < line.n ? slice_trim(slice_sub(line, 1, end - 1)) : SLICE_NONE; /* with a subsection: none that we know */
            line = slice_trim(slice_sub(line, end + 1, line.n));
        }
        size_t eq = slice_index(line, '=');
        struct slice key = slice_trim(slice_sub(line, 0, eq)), value = slice_trim(slice_sub(line, eq + 1, line.n));
        for (size_t i = 0; eq < line.n && i < 3; i++) {
            char v[IDENTITY_MAX + 1];
            if (same_word(section, wanted[i].section) && same_word(key, wanted[i].key) && git_value(value, v))
                memcpy(values[i], v, sizeof v);
        }
    }
    for (size_t i = 0; i < 3; i++) {
        if (!*values[i])
            continue;
        buf_addf(ret, "[%s]\n\t%s = \"", wanted[i].section, i == 2 ? "defaultBranch" : wanted[i].key);
        for (const char *v = values[i]; *v; v++) {
            if (*v == '"' || *v == '\\')
                buf_add_char(ret, '\\');
            buf_add_char(ret, *v);
        }
        buf_add_text(ret, "\"\n");
    }
}

static void take_git(struct making *m)
{
    static const char *const files[] = {".config/git/config", ".gitconfig"}; /* the second wins, as it does for git */
    BUF_CLEANUP struct buf text = BUF_INIT(2 * SETTING_FILE_MAX + 2), out = BUF_INIT(8192);
    for (size_t i = 0; m->s->home.n && i < 2; i++) {
        char path[JAIL_PATH_MAX + 32];
        snprintf(path, sizeof path, "%.*s/%s", SLICE_ARG(m->s->home), files[i]);
        BUF_CLEANUP struct buf one = BUF_INIT(SETTING_FILE_MAX);
        if (m->eye->text(m->eye->ctx, path, &one) && buf_ok(&one)) {
            buf_add(&text, buf_slice(&one));
            buf_add_char(&text, '\n');
        }
    }
    setting_git_identity(buf_slice(&text), &out);
    m->s->git = out.n && buf_ok(&out) ? arena_copy(m->a, buf_slice(&out)) : SLICE_NONE;
}

/* ---- all of it ---- */

static void take_home(struct making *m)
{
    char real[JAIL_PATH_MAX + 1];
    const char *home = path_variable(m, "HOME");
    if (!home || !m->eye->real(m->eye->ctx, home, real))
        return;
    struct slice s = slice_of(real);
    static const char *const no[] = {"/proc", "/sys", "/dev", "/run", "/etc", "/tmp"};
    bool ok = s.n > 1 && !is_system(s);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        ok &= !slice_eq(s, slice_of(no[i])) && (i == 5 || !slice_below(s, slice_of(no[i])));
    m->s->home = ok ? arena_copy(m->a, s) : SLICE_NONE;
}

enum err setting_make(const struct setting_eye *eye, struct arena *a, struct setting *ret, struct error *e)
{
    struct making m = {eye, a, ret};
    *ret = (struct setting){.uid = eye->uid};
    take_home(&m);
    enum err err = setting_guard_look(eye, ret->home.p ? ret->home : SLICE_NONE, a, &ret->guard, e);
    if (err)
        return err;
    for (const struct toolchain *t = toolchains; t->parts[0]; t++)
        show_row(&m, JAIL_SHOWN, t);
    for (const struct toolchain *t = toolchain_caches; t->parts[0]; t++)
        show_row(&m, JAIL_CACHE, t);
    take_path(&m);
    take_environment(&m);
    take_git(&m);
    return ret->home.n && !ret->home.p ? error_set(e, ERR_MEMORY, "no memory for what a jail shows") : OK;
}
