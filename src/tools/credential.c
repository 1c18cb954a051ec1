#include "tools/credential.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/sys.h"
#include "layers/walk.h"

/* ---- names ---- */

/* Names that say it alone, and endings of paths. */
static const char *const always[] = {
    ".env", ".envrc", ".netrc", "_netrc", ".pgpass", ".git-credentials", ".vault-token", ".vault_pass", ".dockercfg", ".s3cfg", ".boto",
    "credentials.tfrc.json", "master.key", "kubeconfig", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519",
    ".aws/credentials", ".docker/config.json", ".kube/config", ".streamlit/secrets.toml", ".cargo/credentials.toml", ".cargo/credentials",
    NULL};
static const char *const stores[] = {".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk", NULL};
static const char *const keys[] = {".pem", ".key", NULL};
static const char *const settings[] = {".npmrc", ".yarnrc", ".yarnrc.yml", ".pypirc", "pip.conf", "auth.json", "nuget.config", "settings.xml", NULL};
/* .env.NAME of these is there to be read. */
static const char *const open_env[] = {"example", "sample", "template", "dist", "defaults", "default", "schema", "test", "tests", "testing", "ci", NULL};
static const char *const of_tests[] = {"test", "__test", "spec", "fixture", "__fixture", "example", "sample", "mock", "__mock", "demo", "doc", NULL};
/* Folders of what others wrote, and of what is built. */
static const char *const skipped[] = {"node_modules", ".git", "vendor", "target", ".venv", "venv", "__pycache__", ".tox", "site-packages", NULL};

static bool equals_nocase(struct slice s, const char *word)
{
    return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

static bool is_one_of(struct slice s, const char *const *words)
{
    for (; *words; words++)
        if (equals_nocase(s, *words))
            return true;
    return false;
}

static bool ends_with_one_of(struct slice s, const char *const *ends)
{
    for (; *ends; ends++) {
        size_t n = strlen(*ends);
        if (s.n > n && equals_nocase(slice_sub(s, s.n - n, s.n), *ends))
            return true;
    }
    return false;
}

static bool has_nocase(struct slice s, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= s.n; i++)
        if (strncasecmp(s.p + i, word, n) == 0)
            return true;
    return false;
}

static struct slice base_of(struct slice path)
{
    size_t at = path.n;
    while (at && path.p[at - 1] != '/')
        at--;
    return slice_sub(path, at, path.n);
}

/* Whether a folder of the path is one of tests, examples or texts. */
static bool is_of_tests(struct slice path)
{
    for (size_t at = 0, slash; (slash = at + slice_index(slice_sub(path, at, path.n), '/')) < path.n; at = slash + 1)
        for (const char *const *w = of_tests; *w; w++)
            if (slash - at >= strlen(*w) && strncasecmp(path.p + at, *w, strlen(*w)) == 0)
                return true;
    return false;
}

static bool is_always(struct slice path)
{
    for (const char *const *w = always; *w; w++) {
        size_t n = strlen(*w);
        if (path.n >= n && equals_nocase(slice_sub(path, path.n - n, path.n), *w) && (path.n == n || path.p[path.n - n - 1] == '/'))
            return true;
    }
    return false;
}

/* .env.local, .env.production, ...; not .env.example. */
static bool is_env(struct slice name)
{
    size_t dot = name.n;
    while (dot && name.p[dot - 1] != '.')
        dot--;
    return name.n > 5 && strncasecmp(name.p, ".env.", 5) == 0 && !is_one_of(slice_sub(name, dot, name.n), open_env);
}

static bool is_account(struct slice name)
{
    static const char *const words[] = {"service-account", "service_account", "serviceaccount", "credential", "client_secret", "client-secret",
                                        "adminsdk", "gcp", "secret", NULL};
    static const char *const ends[] = {".json", NULL};
    bool ret = false;
    for (const char *const *w = words; *w; w++)
        ret |= has_nocase(name, *w);
    return ret && ends_with_one_of(name, ends);
}

enum credential credential_by_name(struct slice path)
{
    struct slice name = base_of(path);
    if (is_of_tests(path))
        return CREDENTIAL_NO;
    if (is_always(path) || is_env(name) || ends_with_one_of(name, stores))
        return CREDENTIAL_YES;
    return is_one_of(name, settings) || ends_with_one_of(name, keys) || is_account(name) ? CREDENTIAL_LOOK_INSIDE : CREDENTIAL_NO;
}

/* ---- contents ---- */

/* A line like `//registry/:_authToken=abc`, `password = abc`, `"client_secret": "abc"`; not one that only names a variable. */
static bool gives(struct slice line, const char *word)
{
    size_t n = strlen(word), at = 0;
    while (at + n <= line.n && strncasecmp(line.p + at, word, n) != 0)
        at++;
    if (at + n > line.n)
        return false;
    struct slice rest = slice_sub(line, at + n, line.n);
    bool assigned = false;
    while (rest.n && memchr("\"' \t=:>", *rest.p, 8)) {
        assigned |= *rest.p == '=' || *rest.p == ':' || *rest.p == '>';
        rest = slice_sub(rest, 1, rest.n);
    }
    return assigned && rest.n >= 4 && *rest.p != '$' && *rest.p != '<' && *rest.p != '{' && *rest.p != '%';
}

bool credential_by_content(struct slice path, struct slice content)
{
    static const char *const words[] = {"_authToken", "_auth", "_password", "npmAuthToken", "npmAuthIdent", "password", "token", "private_key",
                                        "client_secret", "refresh_token", "secret", NULL};
    struct slice line;
    if (ends_with_one_of(path, keys))
        return slice_find(content, SLICE("PRIVATE KEY-----"), 0) < content.n;
    while (slice_line(&content, &line))
        for (const char *const *w = words; *w; w++)
            if (gives(line, *w))
                return true;
    return false;
}

/* ---- looking ---- */

struct finding {
    struct arena *a;
    struct credentials *ret;
    const char *cover;
    struct walk_path path;
    size_t seen;
    bool stop; /* at a bound */
    int64_t end_ns;
    struct error *e;
};

static bool holds_credentials(int folder, const char *name, struct slice path)
{
    BUF_CLEANUP struct buf text = BUF_INIT(CREDENTIAL_LOOK);
    FD_CLEANUP int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat st;
    char some[4096];
    ssize_t n;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return false; /* who cannot open it will not read it */
    while (text.n < CREDENTIAL_LOOK && (n = sys->read(fd, some, sizeof some)) > 0)
        buf_add(&text, slice_sub((struct slice){some, (size_t)n}, 0, CREDENTIAL_LOOK - text.n));
    return credential_by_content(path, buf_slice(&text));
}

static enum err look_at_file(struct finding *f, int folder, const char *name)
{
    struct slice path = walk_text(&f->path);
    enum credential what = credential_by_name(path);
    if (what == CREDENTIAL_NO || (what == CREDENTIAL_LOOK_INSIDE && !holds_credentials(folder, name, path)))
        return OK;
    if (f->ret->n == CREDENTIALS_MAX || !slice_is_utf8(path)) { /* no journal could hold it */
        f->ret->cut = true;
        return OK;
    }
    struct slice kept = arena_copy(f->a, path);
    if (!kept.p)
        return error_set(f->e, ERR_MEMORY, "no memory for what holds credentials");
    f->ret->paths[f->ret->n++] = kept;
    return OK;
}

static enum err look_into(struct finding *f, int fd);

/* The kernel tells most types with the name. */
static unsigned char type_of(int folder, const struct dirent *d)
{
    struct stat st;
    if (d->d_type != DT_UNKNOWN)
        return d->d_type;
    if (sys->fstatat(folder, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return DT_UNKNOWN;
    return S_ISREG(st.st_mode) ? DT_REG : S_ISDIR(st.st_mode) ? DT_DIR : DT_UNKNOWN;
}

static enum err look_at(struct finding *f, int folder, const struct dirent *d, bool folders)
{
    struct slice name = slice_of(d->d_name);
    unsigned char type = type_of(folder, d);
    if (slice_is(name, ".") || slice_is(name, "..") || type != (folders ? DT_DIR : DT_REG))
        return OK;
    if (f->path.depth == 0 && f->cover && slice_is(name, f->cover))
        return OK;
    if (folders && (f->path.depth == CREDENTIAL_DEPTH || is_one_of(name, skipped)))
        return OK;
    f->seen++;
    f->stop |= f->seen > CREDENTIAL_NAMES || (f->seen % 256 == 0 && sys->boottime_ns() >= f->end_ns);
    f->ret->cut |= f->stop;
    if (f->stop || walk_push(&f->path, name, NULL))
        return OK;
    enum err err = OK;
    if (folders) {
        int fd = walk_open(folder, d->d_name);
        err = fd < 0 ? OK : look_into(f, fd);
    } else {
        err = look_at_file(f, folder, d->d_name);
    }
    walk_pop(&f->path);
    return err;
}

/* Its files first, so that what is cut is what lies deepest. Takes the descriptor. */
static enum err look_into(struct finding *f, int fd)
{
    enum err err = OK;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        sys_close_fd(&fd);
        return OK;
    }
    for (int folders = 0; folders < 2; folders++) {
        rewinddir(dir);
        for (struct dirent *d; !err && !f->stop && (d = readdir(dir));)
            err = look_at(f, dirfd(dir), d, folders);
    }
    closedir(dir);
    return err;
}

enum err credentials_find(int root, const char *cover, struct arena *a, struct credentials *ret, struct error *e)
{
    struct finding f = {.a = a, .ret = ret, .cover = cover, .e = e, .end_ns = sys->boottime_ns() + (int64_t)CREDENTIAL_MS * 1000000};
    *ret = (struct credentials){.n = 0};
    int fd = walk_open(root, ".");
    return fd < 0 ? error_errno(e, errno, "cannot look through the folder") : look_into(&f, fd);
}
