/* crannog exec --show-plan: the jail that a command would get, before it gets it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "cli/exec.h"
#include "tools/credential.h"
#include "view/jail.h"

enum { PLAN_ARENA = 1 << 20, PLAN_TEXT = 1 << 20 };

static void heading(const char *text, struct buf *out)
{
    buf_addf(out, "\n%s\n", text);
}

/* The paths of one kind, a line each, with what is to be said of it. */
static void add_paths(const struct json *sees, const char *how, const char *words, struct buf *out)
{
    for (size_t i = 0; i < json_count(sees); i++) {
        const struct json *m = json_at(sees, i);
        if (!slice_is(json_text(json_get(m, "how")), how))
            continue;
        buf_add_text(out, "  ");
        cli_print_safe(json_text(json_get(m, "path")), out);
        if (json_has(m, "from")) {
            buf_add_text(out, "  from ");
            cli_print_safe(json_text(json_get(m, "from")), out);
        }
        if (json_has(m, "bytes")) {
            buf_add_text(out, "  ");
            limit_print(LIMIT_DISK, (uint64_t)json_int(json_get(m, "bytes"), 0), out);
        }
        buf_addf(out, "%s\n", words);
    }
}

static void add_limits(const struct json *limits, struct buf *out)
{
    static const struct { const char *key; enum limit limit; const char *words; } all[] = {
        {"memory", LIMIT_MEMORY, "memory, all processes together"}, {"cpu_ms", LIMIT_CPU, "cpu, all processes together"}, {"time_ms", LIMIT_TIME, "time"},
        {"processes", LIMIT_PROCESSES, "processes"}, {"open_files", LIMIT_OPEN_FILES, "open-files"}, {"file_size", LIMIT_FILE_SIZE, "file-size"},
        {"disk", LIMIT_DISK, "disk, what it changes"}, {"files", LIMIT_FILES, "files, that it changes"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (json_has(limits, all[i].key)) {
            buf_add_text(out, "  ");
            limit_print(all[i].limit, (uint64_t)json_int(json_get(limits, all[i].key), 0), out);
            buf_addf(out, "  %s\n", all[i].words);
        }
}

static void print(const struct json *v)
{
    BUF_CLEANUP struct buf out = BUF_INIT(PLAN_TEXT);
    const struct json *sees = json_get(v, "sees"), *words = json_get(v, "command"), *env = json_get(v, "environment");
    buf_add_text(&out, "runs");
    for (size_t i = 0; i < json_count(words); i++) {
        buf_add_char(&out, ' ');
        cli_print_safe(json_text(json_at(words, i)), &out);
    }
    buf_add_text(&out, "\nin ");
    cli_print_safe(json_text(json_get(v, "folder")), &out);
    buf_addf(&out, " as user %lld, group %lld\n", (long long)json_int(json_get(v, "uid"), 0), (long long)json_int(json_get(v, "gid"), 0));
    heading("changes, and can be taken back", &out);
    add_paths(sees, "layer", "", &out);
    heading("reads", &out);
    add_paths(sees, "read-only", "", &out);
    heading("writes what goes with it", &out);
    add_paths(sees, "scratch", "", &out);
    add_paths(sees, "file", "  made for it", &out);
    add_paths(sees, "cache", "  over what is there", &out);
    heading("does not see", &out);
    add_paths(sees, "covered", "", &out);
    buf_add_text(&out, "  any other file, any other process, a network beside its own loopback\n");
    heading("environment", &out);
    for (size_t i = 0; i < json_count(env); i++) {
        buf_add_text(&out, "  ");
        cli_print_safe(json_text(json_at(env, i)), &out);
        buf_add_char(&out, '\n');
    }
    heading("limits", &out);
    add_limits(json_get(v, "limits"), &out);
    heading("walls", &out);
    buf_add_text(&out, "  namespaces of its own, no capabilities, no new privileges, a filter of system calls (`crannog doctor` tries them)\n");
    if (json_bool(json_get(v, "browser"), false))
        buf_add_text(&out, "  but for a browser's own sandbox: user, pid and network namespaces within its own, and chroot\n");
    fputs(buf_str(&out), stdout);
}

/* What the first step of a run would find. */
static enum err find_masked(const struct terms *t, struct arena *a, struct place *ret, struct error *e)
{
    struct credentials found;
    FD_CLEANUP int folder = open(ret->work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return error_errno(e, errno, "cannot look through %s", ret->work);
    enum err err = credentials_find(folder, ".crannog", a, &found, e);
    size_t n = 0;
    for (size_t i = 0; !err && i < found.n; i++)
        if (!terms_names(t, found.paths[i]))
            found.paths[n++] = found.paths[i];
    return err ? err : place_mask(ret, found.paths, n, a, e);
}

int exec_show_plan(struct cli *c, const struct exec_job *j)
{
    struct session s = {.cli = c, .setting_arena = ARENA_INIT(SETTING_ARENA)};
    ARENA_CLEANUP struct arena a = ARENA_INIT(PLAN_ARENA);
    struct error e = {0};
    struct place place;
    struct jail_plan plan;
    struct slice *words = arena_array(&a, (size_t)j->argc, sizeof *words);
    enum err err = words ? session_take_terms(&s, &e) : error_set(&e, ERR_MEMORY, "no memory for a plan");
    if (!err)
        err = session_look_around(&s.setting_arena, &s.setting, &e);
    if (!err)
        err = place_look(j->work, NULL, &place, &e);
    if (!err)
        err = find_masked(&s.terms, &a, &place, &e);
    if (!err) {
        place.setting = &s.setting;
        place.terms = &s.terms;
        place.upper = SLICE("/"); /* the attempt's own; which one is known when it begins */
        for (int i = 0; i < j->argc; i++)
            words[i] = slice_of(j->argv[i]);
        err = place_command(&place, words, (size_t)j->argc, terms_limit(&s.terms, LIMIT_CPU, 3600000), terms_limit(&s.terms, LIMIT_TIME, 0), &a, &plan, &e);
    }
    JSON_CLEANUP struct json *v = err ? NULL : view_jail(&plan);
    if (!err && c->json)
        cli_print_json(v);
    else if (!err)
        print(v);
    arena_release(&s.setting_arena);
    return err ? cli_fail(&e) : EXIT_DONE;
}
