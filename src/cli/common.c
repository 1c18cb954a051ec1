/* What commands share: the crannog's folder, its configuration, names of runs, output. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "cli/cli.h"
#include "text/yaml.h"

static const char first_config[] =
    "# Your crannog's settings. Nothing that an agent can write is read from here on its word.\n"
    "#model: smollm2-135m-instruct-q4_1   # which of .crannog/models is used; without it, the only one there\n"
    "#window: 2048                        # tokens of a document that a model is shown at once\n"
    "#budget: 2000000tok 3600cpu-s        # for runs that name none: dollars (5), tokens, CPU seconds, calls\n";

static const char first_agent[] = "# main\n\nThe agent that walks plans which name no other. What stands here is for agents with tools;\n"
                                  "items of a plan that only write an answer are not shown it.\n";

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
    if (err == ERR_MISSING)
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

static enum err config_value(struct config *cfg, struct arena *a, struct slice key, const struct json *v, struct error *e)
{
    BUF_CLEANUP struct buf number = BUF_INIT(64);
    if (slice_is(key, "model") && json_type(v) == JSON_TEXT) {
        cfg->model = arena_copy(a, json_text(v));
        return OK;
    }
    if (slice_is(key, "window") && json_type(v) == JSON_INT) {
        cfg->window = json_int(v, 0);
        return cfg->window >= 256 && cfg->window <= 3072 ? OK : error_set(e, ERR_USAGE, "window is a number of tokens from 256 to 3072");
    }
    if (slice_is(key, "budget")) {
        if (json_type(v) == JSON_INT)
            buf_addf(&number, "%lld", (long long)json_int(v, 0));
        return budget_parse(number.n ? buf_slice(&number) : json_text(v), &cfg->budget, e);
    }
    return error_set(e, ERR_USAGE, "'%.*s' is not a setting, or not of that form (model, window, budget are known)",
                     SLICE_ARG(slice_sub(key, 0, 40)));
}

enum err config_read(struct cli *c, struct arena *a, struct config *ret, struct error *e)
{
    *ret = (struct config){.window = 2048, .budget = amounts_unlimited()};
    BUF_CLEANUP struct buf path = BUF_INIT(4096), text = BUF_INIT(1 << 20);
    JSON_CLEANUP struct json *root = NULL;
    enum err err = path_in(c, "/crannog.yaml", &path, e);
    if (!err)
        err = sys_read_file(AT_FDCWD, buf_str(&path), &text, e);
    if (err == ERR_MISSING)
        return OK;
    if (!err)
        err = yaml_parse(buf_slice(&text), &root, e);
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

enum err config_model(struct cli *c, const struct config *cfg, const char *name, struct buf *ret, struct error *e)
{
    BUF_CLEANUP struct buf folder = BUF_INIT(4096);
    struct slice wanted = name ? slice_of(name) : cfg->model;
    enum err err = path_in(c, "/.crannog/models", &folder, e);
    if (err)
        return err;
    DIR *d = opendir(buf_str(&folder));
    size_t found = 0;
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

void cli_print_json(const struct json *v)
{
    BUF_CLEANUP struct buf out = BUF_INIT(64 << 20);
    json_print(v, &out);
    printf("%s\n", buf_str(&out));
}

void cli_print_safe(struct slice s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool c1 = c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0; /* U+0080..9F in UTF-8 */
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
