/* crannog diff: what a run changed. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/diff.h"
#include "engine/undo.h"
#include "layers/folder.h"
#include "tools/file.h"

static int diff_run(struct cli *c, int argc, char **argv);

const struct command cmd_diff = {
    .name = "diff",
    .usage = "[RUN] [PATH...] [--stat]",
    .summary = "what a run changed, or wants to change",
    .help =
        "RUN is a name from `crannog ls` (r7); without it, the latest run. Of a run that waits with its changes, these; of one\n"
        "whose changes are in the folder, what `crannog undo` would take back. With PATHs (files or folders) only these.\n\n"
        "  --stat  only how much, a line a file\n\n"
        "On a terminal it is coloured and shown page by page ($PAGER, else less). Files over 8 MiB are told by size and hash.\n\n"
        "examples:\n  crannog diff\n  crannog diff r7 --stat\n  crannog diff r7 src/main.c | patch -p1\n",
    .run = diff_run,
};

enum { ARENA_BYTES = 256 << 20, OUTPUT_BYTES = 16 << 20 };

struct job {
    struct session s;
    struct run_state of;
    struct arena arena;
    struct diffing d;
    char made[RUN_LAYER_NAME_MAX + 1]; /* a layer that was made for this view only */
};

/* What is in the folder already, as what would take it back. */
static enum err find_landed(struct job *j, struct error *e)
{
    struct json *list = NULL;
    struct manifest m[RUN_LAYERS_MAX];
    enum err err = undo_layers(&j->s.engine, &j->of, 0, j->of.id, &list, e);
    j->d.wish.taken_back = true;
    for (size_t i = 0; !err && i < json_count(list); i++) {
        const struct json *one = json_at(list, i);
        struct hash h;
        j->d.names[j->d.nnames++] = arena_copy(&j->arena, json_text(json_get(one, "name")));
        if (slice_ends(json_text(json_get(one, "name")), SLICE("-documents")))
            snprintf(j->made, sizeof j->made, "%.*s", SLICE_ARG(json_text(json_get(one, "name"))));
        err = hash_from_hex(json_text(json_get(one, "manifest")), &h) ? layer_get_manifest(j->s.store, &h, &j->arena, &m[i], e)
                                                                      : error_set(e, ERR_CORRUPT, "a layer without manifest");
    }
    json_free(list);
    return err ? err : manifest_flatten(m, j->d.nnames, &j->arena, &j->d.manifest, e);
}

static enum err find_changes(struct job *j, struct error *e)
{
    if (!j->of.nlayers)
        return find_landed(j, e);
    for (size_t i = 0; i < j->of.nlayers; i++)
        j->d.names[j->d.nnames++] = j->of.layers[i].name;
    return layer_flatten(&j->s.engine, &j->of, &j->arena, &j->d.manifest, e);
}

/* Only what is at or below one of the paths. */
static enum err choose(struct job *j, char **paths, int n, struct error *e)
{
    size_t kept = 0;
    for (size_t i = 0; n && i < j->d.manifest.n; i++) {
        bool wanted = false;
        for (int k = 0; k < n; k++) {
            struct slice path = slice_of(paths[k]);
            while (path.n > 1 && path.p[path.n - 1] == '/')
                path.n--;
            struct slice is = j->d.manifest.v[i].path;
            wanted |= slice_eq(is, path) || slice_below(is, path);
        }
        if (wanted)
            j->d.manifest.v[kept++] = j->d.manifest.v[i];
    }
    if (n)
        j->d.manifest.n = kept;
    return j->d.manifest.n || !n ? OK : error_set(e, ERR_MISSING, "r%llu changed nothing at or below these paths", (unsigned long long)j->of.id);
}

/* A jail that sees the folder and the layers, each in its place. */
static enum err see(struct diffing *d, struct place *place, struct jail_plan *plan, struct slice inside[RUN_LAYERS_MAX], struct error *e)
{
    char *work = arena_str(d->arena, d->work);
    enum err err = work ? place_look(work, d->s->state, place, e) : error_set(e, ERR_MEMORY, "no memory for a diff");
    if (err)
        return err;
    place_plan(place, false, plan);
    return layer_show(&d->s->machine, d->names, d->nnames, d->arena, plan, inside, e);
}

/* Carries a plan out; on an error nothing is in *ret. */
static enum err jail(struct session *s, const struct jail_plan *plan, struct jail_result *ret, struct error *e)
{
    struct peer p = PEER_INIT;
    struct frame f;
    enum err err = jail_start(buf_str(&s->machine.jail_path), plan, NULL, false, &p, e);
    if (!err)
        err = frame_receive(p.socket, &f, e);
    if (!err) {
        err = jail_result_parse(&f, ret, e);
        frame_release(&f);
    }
    peer_kill(&p);
    if (!err && (ret->how != JAIL_EXITED || ret->status != 0)) {
        err = error_set(e, ERR_IO, "%.300s", *ret->why ? ret->why : "looking at the changes was ended by a limit");
        jail_result_release(ret);
    }
    return err;
}

/* A line of --stat without the names of the two scratch folders: " {a => b}/x | 2", " /dev/null => b/x | 2", " a/x => /dev/null". */
static struct slice stat_name(struct slice line)
{
    static const char *const heads[] = {" {a => b}/", " /dev/null => b/", " a/", " b/"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if (slice_starts(line, slice_of(heads[i])))
            return slice_sub(line, strlen(heads[i]), line.n);
    return SLICE_NONE;
}

/* Without prefixes of its own git repeats the one folder's name where a file is in one of them only: "a/x a/x". The two
   halves are as long then, so both names are found without a parser. */
static void name_both_sides(struct slice text, bool stat, struct buf *out)
{
    static const char head[] = "diff --git ";
    for (struct slice line, rest = text; slice_line(&rest, &line);) {
        size_t at = slice_find(line, slice_of(head), 0), from = at + sizeof head - 1;
        size_t end = slice_index(slice_sub(line, from, line.n), '\033') + from, half = (end - from) / 2;
        bool twice = at < line.n && at <= 8 && (end - from) % 2 == 1 && line.p[from + half] == ' ' &&
                     slice_eq(slice_sub(line, from, half), slice_sub(line, from + half + 1, half));
        struct slice named = slice_find(line, SLICE(" | "), 0) < line.n ? stat_name(line) : SLICE_NONE;
        if (stat && named.n) {
            buf_add_char(out, ' ');
            buf_add(out, named);
        } else if (twice) {
            buf_add(out, slice_sub(line, 0, from));
            buf_add_char(out, 'a');
            buf_add(out, slice_sub(line, from + 1, half));
            buf_add_char(out, 'b');
            buf_add(out, slice_sub(line, from + half + 2, line.n));
        } else {
            buf_add(out, line);
        }
        buf_add_char(out, '\n');
    }
}

enum err diff_compare(struct diffing *d, struct buf *out, struct error *e)
{
    BUF_CLEANUP struct buf message = BUF_INIT(JAIL_PLAN_MAX), manifest = BUF_INIT(MANIFEST_BYTES_MAX);
    struct slice inside[RUN_LAYERS_MAX];
    struct place place;
    struct jail_plan plan;
    struct jail_result res;
    enum err err = see(d, &place, &plan, inside, e);
    if (err)
        return err;
    manifest_encode(&d->manifest, &manifest);
    diff_args(&message, slice_of(place.work), buf_slice(&manifest), inside, d->nnames, &d->wish);
    plan.applet = SLICE("diff");
    plan.args = buf_slice(&message);
    plan.limits.output = OUTPUT_BYTES;
    plan.limits.cpu_ms = 120000;
    plan.limits.wall_ms = 300000;
    plan.limits.processes = 64;
    err = buf_check(&manifest, "the changes", e);
    if (!err)
        err = jail(d->s, &plan, &res, e);
    if (err)
        return err;
    name_both_sides(buf_slice(&res.out), d->wish.stat, out);
    if (res.out_dropped)
        fprintf(stderr, "crannog: %llu bytes of the middle are left out; name some PATHs to see them\n", (unsigned long long)res.out_dropped);
    jail_result_release(&res);
    return OK;
}

enum err diff_read(struct diffing *d, struct slice path, int layer, struct buf *ret, struct error *e)
{
    BUF_CLEANUP struct buf message = BUF_INIT(1 << 16);
    struct slice inside[RUN_LAYERS_MAX];
    struct place place;
    struct jail_plan plan;
    struct jail_result res;
    struct file_look look;
    enum err err = see(d, &place, &plan, inside, e);
    if (err)
        return err;
    file_look_args(&message, layer < 0 ? slice_of(place.work) : inside[layer], path, DIFF_FILE_MAX);
    plan.applet = SLICE("look");
    plan.args = buf_slice(&message);
    err = jail(d->s, &plan, &res, e);
    if (err)
        return err;
    err = file_look_reply(buf_slice(&res.reply), &look, e);
    if (!err && look.has_content)
        buf_add(ret, look.content);
    jail_result_release(&res);
    return err ? err : buf_check(ret, "a file", e);
}

/* The bytes of one of the few colours that git and diff give their lines, at an escape; 0 for everything else. What a file
   holds cannot be told from what git set, so no other is let through: to hide (8), to paint ground and letters alike (41),
   to erase what stands in the line (K). */
static size_t line_color(struct slice at)
{
    static const char *const known[] = {"\033[m", "\033[0m", "\033[1m", "\033[31m", "\033[32m", "\033[36m"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (slice_starts(at, slice_of(known[i])))
            return strlen(known[i]);
    return 0;
}

/* Names and texts come from the run. */
void diff_make_safe(struct slice text, bool color, struct buf *out)
{
    for (struct slice line, rest = text; slice_line(&rest, &line);) {
        while (line.n) {
            size_t n = slice_index(line, '\033');
            for (struct slice part = slice_sub(line, 0, n), piece; part.n; part = slice_sub(part, piece.n + 1, part.n)) {
                piece = slice_sub(part, 0, slice_index(part, '\t'));
                cli_print_safe(piece, out);
                if (piece.n < part.n)
                    buf_add_char(out, '\t');
            }
            size_t sets = color ? line_color(slice_sub(line, n, line.n)) : 0;
            buf_add(out, slice_sub(line, n, sets));
            if (n < line.n && !sets)
                buf_add_text(out, "\\x1b");
            line = slice_sub(line, n + (sets ? sets : 1), line.n);
        }
        buf_add_char(out, '\n');
    }
}

static int work(struct cli *c, const char *named, char **paths, int n, struct job *j)
{
    struct error e = {0};
    uint64_t run;
    bool terminal = isatty(STDOUT_FILENO);
    BUF_CLEANUP struct buf out = BUF_INIT(2 * OUTPUT_BYTES), safe = BUF_INIT(8 * (size_t)OUTPUT_BYTES);
    enum err err = session_open(&j->s, c, NULL, &e);
    if (err)
        return cli_fail(&e);
    err = cli_pick_run(j->s.store, named, &run, &e);
    run_init(&j->of, err ? 0 : run, &j->arena);
    if (!err)
        err = journal_fold(j->s.store, run, &j->of, &j->arena, &e);
    j->d.s = &j->s;
    j->d.work = j->of.work;
    j->d.arena = &j->arena;
    if (!err)
        err = find_changes(j, &e);
    if (!err)
        err = choose(j, paths, n, &e);
    if (!err && j->d.manifest.n)
        err = diff_compare(&j->d, &out, &e);
    else if (!err)
        fprintf(stderr, "r%llu changed nothing\n", (unsigned long long)run);
    layer_drop(&j->s.machine, j->made);
    session_close(&j->s);
    if (err)
        return cli_fail(&e);
    if (terminal)
        diff_make_safe(buf_slice(&out), j->d.wish.color, &safe);
    struct slice text = terminal ? buf_slice(&safe) : buf_slice(&out);
    if (text.n && !(terminal && cli_paged(text)))
        fwrite(text.p, 1, text.n, stdout);
    return EXIT_DONE;
}

static int diff_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {"stat", no_argument, NULL, 's'}, {0}};
    static struct job j; /* large */
    const char *run = NULL, *no_color = getenv("NO_COLOR");
    uint64_t id;
    int status;
    size_t columns = cli_columns(STDOUT_FILENO);
    j = (struct job){.arena = ARENA_INIT(ARENA_BYTES)};
    for (int o; (o = getopt_long(argc, argv, "hj", options, NULL)) != -1;) {
        if (o == 's')
            j.d.wish.stat = true;
        else if (!cli_common(c, &cmd_diff, o, &status) || status >= 0)
            return status;
    }
    if (optind < argc && cli_run_id(argv[optind], &id, NULL))
        run = argv[optind++];
    j.d.wish.color = isatty(STDOUT_FILENO) && !(no_color && *no_color);
    j.d.wish.columns = columns < 1000 ? (unsigned)columns : 100;
    status = work(c, run, argv + optind, argc - optind, &j);
    arena_release(&j.arena);
    return status;
}
