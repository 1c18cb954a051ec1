/* What commands share: the crannog's folder, its configuration, names of runs, output. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/cli.h"
#include "cli/session.h"
#include "infer/protocol.h"
#include "layers/stamp.h"
#include "text/yaml.h"
#include "tools/setting.h"
#include "wire/peer.h"

static const char first_config[] =
    "# Your crannog's settings. Nothing that an agent can write is read from here on its word.\n"
    "#model: smollm2-135m-instruct-q4_1   # which of .crannog/models is used; without it, the only one there\n"
    "#window: 2048                        # tokens of a document that a model is shown at once\n"
    "#budget: 2000000tok 3600cpu-s        # for runs that name none: dollars (5), tokens, CPU seconds, calls\n"
    "#services:                           # programs beside a run: databases, servers, watchers; steps reach their ports\n"
    "#  db: {run: exec redis-server, ports: [6379]}\n"
    "#servers:                            # of models, beside those found by themselves; `crannog login --base` adds some too\n"
    "#  box: http://10.0.0.7:8000/v1\n"
    "#limits:                             # of each command; also --limit memory=8G\n"
    "#  memory: 8G                        # and cpu: 2h, time: 1h, processes, open-files, file-size, files, disk, tmp, output\n"
    "#show:                               # folders that commands may read, beside the system and your toolchains; also --show\n"
    "#  - /opt/tool\n"
    "#browser: true                       # commands may start a browser with its own sandbox; also --browser\n";

static const char first_agent[] = "# main\n\nThe agent that walks plans which name no other. What stands here is for agents with tools;\n"
                                  "items of a plan that only write an answer are not shown it.\n";

enum { CONFIG_MAX = 1 << 20 };

static enum err path_in(struct cli *c, const char *rest, struct buf *ret, struct error *e)
{
    buf_addf(ret, "%s%s", buf_str(&c->crannog), rest);
    return buf_check(ret, "a path in the crannog", e);
}

static enum err make_file(struct cli *c, const char *rest, const char *text, struct error *e)
{
    BUF_CLEANUP struct buf path = BUF_INIT(4096);
    struct stat st;
    enum err err = path_in(c, rest, &path, e);
    if (err || sys->fstatat(AT_FDCWD, buf_str(&path), &st, 0) == 0)
        return err;
    err = sys_replace_file(AT_FDCWD, buf_str(&path), slice_of(text), 0644, e);
    /* two first commands at once: the other one has made it, and taken our temporary with it */
    return err && sys->fstatat(AT_FDCWD, buf_str(&path), &st, 0) == 0 ? OK : err;
}

enum err cli_make_crannog(struct cli *c, struct error *e)
{
    static const struct { const char *rest; mode_t mode; } folders[] = {
        {"", 0700}, {"/agents", 0755}, {"/agents/main", 0755}, {"/wiki", 0755}, {"/.crannog", 0700}, {"/.crannog/models", 0700},
        {"/.crannog/meters", 0700}};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        BUF_CLEANUP struct buf path = BUF_INIT(4096);
        enum err err = path_in(c, folders[i].rest, &path, e);
        if (!err)
            err = sys_mkdirs(buf_str(&path), folders[i].mode, e);
        if (err)
            return err;
    }
    enum err err = make_file(c, "/crannog.yaml", first_config, e);
    return err ? err : make_file(c, "/agents/main/AGENTS.md", first_agent, e);
}

enum err cli_open(struct cli *c, bool create, bool read_only, struct store **ret, struct error *e)
{
    struct store_options o = {.read_only = read_only};
    enum err err = create ? cli_make_crannog(c, e) : OK;
    if (!err)
        err = store_open(buf_str(&c->crannog), create, &o, ret, e);
    if (err == ERR_MISSING && !create)
        return error_set(e, ERR_MISSING, "there is no crannog at %s yet; `crannog init` makes one, or the first `crannog run`",
                         buf_str(&c->crannog));
    return err;
}

bool cli_run_id(const char *text, uint64_t *ret_run, uint32_t *ret_question)
{
    struct slice s = slice_of(text);
    int64_t run, question = 0;
    if (slice_starts(s, SLICE("r")))
        s = slice_sub(s, 1, s.n);
    size_t dot = slice_index(s, '.');
    if (!slice_int(slice_sub(s, 0, dot), &run) || run <= 0)
        return false;
    if (dot < s.n && (!slice_int(slice_sub(s, dot + 1, s.n), &question) || question <= 0 || question > UINT32_MAX))
        return false;
    *ret_run = (uint64_t)run;
    if (ret_question)
        *ret_question = (uint32_t)question;
    return true;
}

struct picking {
    uint64_t wanted, latest;
    bool found;
};

static void pick(void *ctx, const struct run_row *r)
{
    struct picking *p = ctx;
    p->latest = r->id > p->latest ? r->id : p->latest;
    p->found |= r->id == p->wanted;
}

enum err cli_pick_run(struct store *s, const char *text, uint64_t *ret, struct error *e)
{
    struct picking p = {0};
    if (text && !cli_run_id(text, &p.wanted, NULL))
        return error_set(e, ERR_USAGE, "'%.40s' is not the name of a run; they look like r7 (`crannog ls` lists them)", text);
    enum err err = run_each(s, pick, &p, e);
    if (err)
        return err;
    if (text && !p.found)
        return error_set(e, ERR_MISSING, "there is no run r%llu; `crannog ls` lists them", (unsigned long long)p.wanted);
    if (!p.latest)
        return error_set(e, ERR_MISSING, "there are no runs yet; start one with `crannog run PLAN.md`");
    *ret = text ? p.wanted : p.latest;
    return OK;
}

enum err cli_has_run(struct store *s, uint64_t run, struct error *e)
{
    char name[32];
    snprintf(name, sizeof name, "r%llu", (unsigned long long)run);
    return cli_pick_run(s, name, &run, e);
}

enum err config_server_check(const struct config_server *s, struct error *e)
{
    enum { NAME_MAX_BYTES = 40, BASE_MAX_BYTES = 500 };
    bool name = s->name.n > 0 && s->name.n <= NAME_MAX_BYTES, base = s->base.n <= BASE_MAX_BYTES;
    for (size_t i = 0; i < s->name.n; i++)
        name &= strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", s->name.p[i]) && s->name.p[i];
    for (size_t i = 0; i < s->base.n; i++)
        base &= s->base.p[i] > ' ' && s->base.p[i] <= '~' && s->base.p[i] != '@'; /* no password in it */
    if (!name)
        return error_set(e, ERR_USAGE, "the name of a server is up to %d letters, digits and - _ . like `box`", NAME_MAX_BYTES);
    base &= slice_starts(s->base, SLICE("http://")) || slice_starts(s->base, SLICE("https://"));
    return base ? OK : error_set(e, ERR_USAGE, "the address of %.*s wants to be like http://127.0.0.1:8000/v1", SLICE_ARG(s->name));
}

static enum err config_servers(struct config *cfg, struct arena *a, const struct json *v, struct error *e)
{
    if (json_type(v) != JSON_OBJECT || json_count(v) > CONFIG_SERVERS_MAX)
        return error_set(e, ERR_USAGE, "servers: wants at most %d lines like `box: http://10.0.0.7:8000/v1`", CONFIG_SERVERS_MAX);
    for (size_t i = 0; i < json_count(v); i++) {
        struct slice name, base = json_text(json_member(v, i, &name));
        struct config_server s = {arena_copy(a, name), SLICE("openai-compatible"), arena_copy(a, base)};
        enum err err = config_server_check(&s, e);
        if (err)
            return err;
        cfg->servers[cfg->n_servers++] = s;
    }
    return OK;
}

static enum err config_limits(struct config *cfg, const struct json *v, struct error *e)
{
    enum err err = json_type(v) == JSON_OBJECT ? OK : error_set(e, ERR_USAGE, "limits: wants lines like `memory: 8G`");
    for (size_t i = 0; !err && i < json_count(v); i++) {
        BUF_CLEANUP struct buf number = BUF_INIT(64);
        struct slice name;
        const struct json *value = json_member(v, i, &name);
        if (json_type(value) == JSON_INT)
            buf_addf(&number, "%lld", (long long)json_int(value, 0));
        err = terms_set_limit(&cfg->terms, name, number.n ? buf_slice(&number) : json_text(value), e);
    }
    return err;
}

enum err cli_shown_path(struct slice path, struct arena *a, struct slice *ret, struct error *e)
{
    const char *home = getenv("HOME");
    char real[PATH_MAX], home_real[PATH_MAX];
    bool below = slice_starts(path, SLICE("~/"));
    char *text = below ? arena_printf(a, "%s/%.*s", home ? home : "", SLICE_ARG(slice_sub(path, 2, path.n))) : arena_str(a, path);
    if (!text)
        return error_set(e, ERR_MEMORY, "no memory for a path");
    if (*text != '/') { /* of the work folder, where it names what is hidden */
        *ret = slice_of(text);
        return stamp_check_path(*ret, NULL) == OK ? OK
                   : error_set(e, ERR_USAGE, "what is shown is a whole path like /opt/tool or ~/sdk, or one in the work folder like .env, not '%.200s'", text);
    }
    if (!realpath(text, real))
        return error_set(e, ERR_USAGE, "cannot show %.300s: %s", text, strerror(errno));
    struct setting_guard guard;
    enum err err = setting_guard_look(session_eye(), home && realpath(home, home_real) ? slice_of(home_real) : SLICE_NONE, a, &guard, e);
    err = err ? err : setting_may_show(slice_of(real), &guard, e);
    if (err && e)
        err = e->code = ERR_USAGE;
    *ret = arena_copy(a, slice_of(real));
    return err || ret->p ? err : error_set(e, ERR_MEMORY, "no memory for a path");
}

static enum err config_show(struct config *cfg, struct arena *a, const struct json *v, struct error *e)
{
    enum err err = json_type(v) == JSON_ARRAY ? OK : error_set(e, ERR_USAGE, "show: wants a list of paths, a line `- /opt/tool` each");
    for (size_t i = 0; !err && i < json_count(v); i++) {
        struct slice path;
        err = cli_shown_path(json_text(json_at(v, i)), a, &path, e);
        err = err ? err : terms_add_show(&cfg->terms, path, e);
    }
    return err;
}

bool cli_terms(struct cli *c, int option, const char *value, enum err *ret_err, struct error *e)
{
    struct slice s = value ? slice_of(value) : SLICE_NONE;
    size_t equals = slice_index(s, '=');
    if (option == 'L')
        *ret_err = equals == s.n ? error_set(e, ERR_USAGE, "--limit wants NAME=VALUE, like memory=8G")
                                 : terms_set_limit(&c->terms, slice_sub(s, 0, equals), slice_sub(s, equals + 1, s.n), e);
    else if (option == 'S')
        *ret_err = terms_add_show(&c->terms, s, e);
    else if (option == 'W')
        c->terms.browser = true;
    else
        return false;
    return true;
}

static enum err services_in(struct config *cfg, struct arena *a, const struct json *v, struct error *e)
{
    JSON_CLEANUP struct json *list = NULL;
    BUF_CLEANUP struct buf text = BUF_INIT(CONFIG_MAX);
    enum err err = services_from_config(v, &list, e);
    if (err)
        return err;
    json_print(list, &text);
    cfg->services = arena_copy(a, buf_slice(&text));
    return cfg->services.p ? OK : error_set(e, ERR_MEMORY, "no memory for the settings");
}

static enum err config_value(struct config *cfg, struct arena *a, struct slice key, const struct json *v, struct error *e)
{
    BUF_CLEANUP struct buf number = BUF_INIT(64);
    if (slice_is(key, "model")) {
        cfg->model = arena_copy(a, json_text(v));
        return cfg->model.n ? OK : error_set(e, ERR_USAGE, "model: wants the name of a model; `crannog model` lists them");
    }
    if (slice_is(key, "window")) {
        cfg->window = json_int(v, 0);
        return cfg->window >= 256 && cfg->window <= 3072 ? OK : error_set(e, ERR_USAGE, "window: wants a number of tokens from 256 to 3072");
    }
    if (slice_is(key, "budget")) {
        if (json_type(v) == JSON_INT)
            buf_addf(&number, "%lld", (long long)json_int(v, 0));
        enum err err = budget_parse(number.n ? buf_slice(&number) : json_text(v), &cfg->budget, e);
        return err && e ? error_wrap(e, "budget") : err;
    }
    if (slice_is(key, "servers"))
        return config_servers(cfg, a, v, e);
    if (slice_is(key, "limits"))
        return config_limits(cfg, v, e);
    if (slice_is(key, "show"))
        return config_show(cfg, a, v, e);
    if (slice_is(key, "browser")) {
        cfg->terms.browser = json_bool(v, false);
        return json_type(v) == JSON_BOOL ? OK : error_set(e, ERR_USAGE, "browser: wants true or false");
    }
    if (slice_is(key, "services"))
        return services_in(cfg, a, v, e);
    return error_set(e, ERR_USAGE, "there is no setting '%.*s' (model, window, budget, servers, limits, show, browser, services are known)",
                     SLICE_ARG(slice_sub(key, 0, 40)));
}

enum err config_read(struct cli *c, struct arena *a, struct config *ret, struct error *e)
{
    *ret = (struct config){.window = 2048, .budget = amounts_unlimited()};
    BUF_CLEANUP struct buf path = BUF_INIT(4096), text = BUF_INIT(1 << 20);
    JSON_CLEANUP struct json *root = NULL;
    enum err err = path_in(c, "/crannog.yaml", &path, e);
    if (!err)
        err = cli_read_file(buf_str(&path), "the settings file", CONFIG_MAX, &text, e);
    if (err)
        return err == ERR_MISSING ? OK : err;
    if (slice_trim(buf_slice(&text)).n)
        err = yaml_parse(buf_slice(&text), &root, e);
    if (!err && root && json_type(root) != JSON_OBJECT && json_type(root) != JSON_NULL)
        err = error_set(e, ERR_USAGE, "settings are lines like `window: 2048`, not a list or a text");
    for (size_t i = 0; !err && i < json_count(root); i++) {
        struct slice key;
        const struct json *v = json_member(root, i, &key);
        err = config_value(ret, a, key, v, e);
    }
    if (err && e) {
        e->code = ERR_USAGE;
        return error_wrap(e, "%s", buf_str(&path));
    }
    return err;
}

/* Puts services of a printed list into another, but those whose names are there. */
static enum err add_services(struct slice text, struct json *list, struct error *e)
{
    JSON_CLEANUP struct json *from = NULL;
    struct service all[RUN_SERVICES_MAX], s;
    size_t n = json_count(list);
    enum err err = text.n ? json_parse(text, &from, e) : OK;
    for (size_t i = 0; !err && i < n; i++)
        err = service_read(json_at(list, i), &all[i], e);
    for (size_t i = 0; !err && i < json_count(from); i++) {
        bool there = false;
        err = service_read(json_at(from, i), &s, e);
        for (size_t k = 0; !err && k < n; k++)
            there |= slice_eq(all[k].name, s.name);
        if (err || there)
            continue;
        err = service_fits(&s, all, n, e);
        if (!err)
            json_push(list, json_clone(json_at(from, i)));
        if (!err)
            all[n++] = s;
    }
    return err;
}

enum err config_services(struct cli *c, struct slice own, struct arena *a, struct slice *ret, struct error *e)
{
    JSON_CLEANUP struct json *list = json_array();
    BUF_CLEANUP struct buf text = BUF_INIT(CONFIG_MAX);
    struct config cfg;
    enum err err = config_read(c, a, &cfg, e);
    if (!err)
        err = add_services(own, list, e);
    if (!err)
        err = add_services(cfg.services, list, e);
    *ret = SLICE_NONE;
    if (err || !json_count(list))
        return err;
    json_print(list, &text);
    *ret = arena_copy(a, buf_slice(&text));
    return ret->p ? OK : error_set(e, ERR_MEMORY, "no memory for the services");
}

enum err config_model(struct cli *c, const struct config *cfg, const char *name, struct buf *ret, struct error *e)
{
    BUF_CLEANUP struct buf folder = BUF_INIT(4096);
    struct slice wanted = name ? slice_of(name) : cfg->model;
    enum err err = path_in(c, "/.crannog/models", &folder, e);
    if (err)
        return err;
    DIR *d = opendir(buf_str(&folder));
    size_t found = 0;
    if (!d && errno != ENOENT)
        return error_errno(e, errno, "cannot look for models in %s", buf_str(&folder));
    for (struct dirent *entry; d && (entry = readdir(d));) {
        struct slice file = slice_of(entry->d_name), stem = slice_sub(file, 0, file.n > 5 ? file.n - 5 : 0);
        if (!slice_ends(file, SLICE(".gguf")) || entry->d_name[0] == '.' || (wanted.n && !slice_eq(stem, wanted)))
            continue;
        if (++found == 1)
            buf_addf(ret, "%s/%s", buf_str(&folder), entry->d_name);
    }
    if (d)
        closedir(d);
    if (found == 0 && wanted.n)
        return error_set(e, ERR_MISSING, "there is no model '%.*s' in %s; `crannog model` lists what is there", SLICE_ARG(wanted), buf_str(&folder));
    if (found == 0)
        return error_set(e, ERR_MISSING, "there is no model yet; give it one with `crannog model get FILE.gguf`");
    if (found > 1)
        return error_set(e, ERR_USAGE, "there are %zu models; say which one with `model:` in %s/crannog.yaml", found, buf_str(&c->crannog));
    return buf_check(ret, "the model's path", e);
}

enum err cli_work_folder(const char *named, char ret_path[static 4096], struct stat *ret, struct error *e)
{
    if (!realpath(named, ret_path))
        return errno == ENOENT ? error_set(e, ERR_USAGE, "there is no folder %.300s", named)
                               : error_errno(e, errno, "cannot use the folder %.300s", named);
    if (sys->fstatat(AT_FDCWD, ret_path, ret, 0) < 0 || !S_ISDIR(ret->st_mode))
        return error_set(e, ERR_USAGE, "%.300s is not a folder", named);
    return strcmp(ret_path, "/") ? OK : error_set(e, ERR_USAGE, "the root folder cannot be worked in; name one below it with --in DIR");
}

enum err cli_open_file(const char *path, const char *what, int *ret_fd, struct error *e)
{
    struct stat st;
    FD_CLEANUP int fd = sys->openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
    if (fd < 0 && errno == ENOENT)
        return error_set(e, ERR_MISSING, "%s %.300s is not there", what, path);
    if (fd < 0 || sys->fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
        return error_errno(e, errno, "cannot open %s %.300s", what, path);
    if (S_ISDIR(st.st_mode))
        return error_set(e, ERR_USAGE, "%s %.300s is a folder; name the file in it", what, path);
    if (!S_ISREG(st.st_mode))
        return error_set(e, ERR_USAGE, "%s %.300s is not a plain file", what, path);
    *ret_fd = fd;
    fd = -1;
    return OK;
}

/* Reads a whole small file, which may be gone: ERR_MISSING. */
enum err cli_read_file(const char *path, const char *what, size_t max, struct buf *ret, struct error *e)
{
    FD_CLEANUP int fd = -1;
    enum err err = cli_open_file(path, what, &fd, e);
    for (off_t at = 0; !err;) {
        char chunk[16384];
        ssize_t n = sys->pread(fd, chunk, sizeof chunk, at);
        if (n < 0)
            return error_errno(e, errno, "cannot read %s %.300s", what, path);
        if (n == 0)
            break;
        if (ret->n + (size_t)n > max)
            return error_set(e, ERR_USAGE, "%s %.300s is larger than %zu KiB", what, path, max / 1024);
        buf_add(ret, (struct slice){chunk, (size_t)n});
        at += n;
    }
    return err ? err : buf_check(ret, what, e);
}

static void take_facts(struct slice m, struct model_facts *ret)
{
    *ret = (struct model_facts){.layers = message_get_u64(m, INFER_LAYERS, 0), .width = message_get_u64(m, INFER_WIDTH, 0),
                                .vocab = message_get_u64(m, INFER_VOCAB, 0)};
    snprintf(ret->arch, sizeof ret->arch, "%.*s", SLICE_ARG(message_get(m, INFER_ARCH)));
    snprintf(ret->kernel, sizeof ret->kernel, "%.*s", SLICE_ARG(message_get(m, INFER_KERNEL)));
}

enum err cli_try_model(int fd, const char *name, struct model_facts *ret, struct error *e)
{
    static char program[] = "crannog-infer", lang[] = "LANG=C.UTF-8";
    char *argv[] = {program, NULL}, *env[] = {lang, NULL};
    BUF_CLEANUP struct buf path = BUF_INIT(4096), why = BUF_INIT(1024);
    struct peer p = PEER_INIT;
    struct frame f;
    enum err err = peer_find(program, &path, e);
    if (!err)
        err = peer_start(buf_str(&path), argv, env, NULL, 0, false, &p, e);
    if (err)
        return err;
    OUTGOING_CLEANUP struct outgoing out = outgoing_new();
    outgoing_put_fd(&out, INFER_FD, fd);
    message_put_u64(&out.message, INFER_THREADS, 1);
    message_put_u64(&out.message, INFER_CONTEXT, 256);
    err = frame_send(p.socket, INFER_LOAD, 1, &out, e);
    if (!err)
        err = frame_receive(p.socket, &f, e);
    peer_kill(&p);
    if (err)
        return e ? error_wrap(e, "%.200s could not be checked", name) : err;
    if (f.type == INFER_LOADED) {
        take_facts(f.message, ret);
    } else {
        if (frame_large(&f, INFER_TEXT, &why, NULL))
            buf_add_text(&why, "crannog-infer refused it");
        err = error_set(e, ERR_CORRUPT, "%.200s cannot be used: %s", name, buf_str(&why));
    }
    frame_release(&f);
    return err;
}

size_t cli_columns(int fd)
{
    struct winsize w;
    if (!isatty(fd))
        return SIZE_MAX;
    return ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
}

/* The bytes of a line that fit into `width` columns. */
static size_t fitting(struct slice s, size_t width, bool *ret_color)
{
    size_t col = 0, i = 0;
    *ret_color = false;
    while (i < s.n) {
        if (s.p[i] == '\033') {
            *ret_color = true;
            while (i < s.n && s.p[i] != 'm')
                i++;
            i++;
            continue;
        }
        if (((unsigned char)s.p[i] & 0xc0) != 0x80 && ++col > width)
            return i;
        i++;
    }
    return s.n;
}

void cli_cut(struct buf *line, size_t n)
{
    if (n >= line->n)
        return;
    line->n = n;
    line->p[n] = '\0';
}

bool cli_fits(const struct buf *line, size_t width)
{
    bool color;
    return fitting(buf_slice(line), width, &color) == line->n;
}

void cli_fit(struct buf *line, size_t width)
{
    bool color;
    size_t n = fitting(buf_slice(line), width, &color);
    if (n == line->n)
        return;
    cli_cut(line, n);
    buf_add_text(line, color ? "\033[0m" : "");
}

const char *cli_stage_words(struct slice stage)
{
    static const struct { const char *stage, *words; } known[] = {
        {"list", "listing files"}, {"read", "reading"}, {"measure", "counting"}, {"ask", "asking the model"},
        {"join", "joining its parts"}, {"look", "looking"}, {"land", "writing"}, {"verify", "checking"}, {"exec", "running"},
        {"survey", "looking through the folder"}, {"squash", "tidying its changes"}, {"apply", "putting its changes into the folder"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (slice_is(stage, known[i].stage))
            return known[i].words;
    return "waiting";
}

/* U+202A..202E, U+2066..2069: they set the order in which what follows is shown, so that a line reads as what it is not. */
static bool turns_text(struct slice s)
{
    return s.n >= 3 && (unsigned char)s.p[0] == 0xe2 &&
           (((unsigned char)s.p[1] == 0x80 && (unsigned char)s.p[2] >= 0xaa && (unsigned char)s.p[2] <= 0xae) ||
            ((unsigned char)s.p[1] == 0x81 && (unsigned char)s.p[2] >= 0xa6 && (unsigned char)s.p[2] <= 0xa9));
}

void cli_print_safe(struct slice s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool c1 = c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0; /* U+0080..9F in UTF-8 */
        if (turns_text(slice_sub(s, i, 3))) {
            buf_addf(out, "\\x%02x\\x%02x\\x%02x", c, (unsigned char)s.p[i + 1], (unsigned char)s.p[i + 2]);
            i += 2;
            continue;
        }
        if (c < 0x20 || c == 0x7f || c1)
            buf_addf(out, "\\x%02x", c);
        else
            buf_add_char(out, s.p[i]);
        if (c1) {
            buf_addf(out, "\\x%02x", (unsigned char)s.p[i + 1]);
            i++;
        }
    }
}

/* What of printed JSON a terminal would obey, by number: it stands in texts only, and means the same. */
static void json_safe(struct slice s, struct buf *out)
{
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i], next = i + 1 < s.n ? (unsigned char)s.p[i + 1] : 0;
        bool c1 = c == 0xc2 && next >= 0x80 && next < 0xa0, turns = turns_text(slice_sub(s, i, 3));
        if (c != 0x7f && !c1 && !turns)
            continue;
        buf_add(out, slice_sub(s, from, i - from));
        buf_addf(out, "\\u%04x", turns ? 0x2000u | (next & 3u) << 6 | ((unsigned char)s.p[i + 2] & 0x3fu) : c1 ? next : c);
        i += turns ? 2 : c1;
        from = i + 1;
    }
    buf_add(out, slice_sub(s, from, s.n));
}

void cli_print_json(const struct json *v)
{
    BUF_CLEANUP struct buf text = BUF_INIT(64 << 20), out = BUF_INIT(128 << 20);
    json_print(v, &text);
    json_safe(buf_slice(&text), &out);
    printf("%s\n", buf_str(&out));
}
