/* crannog apply: puts what a run changed into the folder. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "cli/hunks.h"
#include "cli/session.h"

static int apply_run(struct cli *c, int argc, char **argv);

const struct command cmd_apply = {
    .name = "apply",
    .usage = "[RUN] [PATH...] [--hunks] [--replace]",
    .summary = "put what a run changed into the folder, or some of it",
    .help =
        "For runs that wait with their changes (`land: ask` in a plan, `crannog exec --ask`), of which something could not be put\n"
        "into the folder, or that were cut short while it was put there. RUN is a name from `crannog ls` (r7); without it, the latest run. With PATHs (files or folders, as\n"
        "`crannog diff --stat` prints them) only these; the rest waits on.\n\n"
        "Nothing is put over a file that somebody changed since: then both versions stay, and the run says so.\n\n"
        "  --replace  put it there all the same; what lies there now can be brought back with `crannog undo`\n"
        "  --hunks    (-p) shows change after change, as `git add -p` does, and asks which of them are to be put there\n\n"
        "examples:\n  crannog apply\n  crannog apply r7 src/main.c docs\n  crannog apply r7 --hunks\n  crannog apply r7 --replace\n",
    .run = apply_run,
};

/* Paths as they stand in the folder: without "./" in front. */
static enum err add_paths(char **argv, int n, struct buf *only, struct error *e)
{
    for (int i = 0; i < n; i++) {
        struct slice path = slice_of(argv[i]);
        while (slice_starts(path, SLICE("./")))
            path = slice_sub(path, 2, path.n);
        if (!path.n || *path.p == '/' || slice_index(path, '\n') < path.n)
            return error_set(e, ERR_USAGE, "'%.100s' is no path below the run's folder", argv[i]);
        buf_add(only, path);
        buf_add_char(only, '\n');
    }
    return buf_check(only, "the paths", e);
}

static int apply_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {"replace", no_argument, NULL, 'r'}, {"hunks", no_argument, NULL, 'p'}, {0}};
    BUF_CLEANUP struct buf only = BUF_INIT(1 << 20);
    struct error e;
    const char *word = "apply", *run = NULL;
    uint64_t id;
    bool hunks = false;
    int status;
    for (int o; (o = getopt_long(argc, argv, "hjp", options, NULL)) != -1;) {
        if (o == 'r')
            word = "replace";
        else if (o == 'p')
            hunks = true;
        else if (!cli_common(c, &cmd_apply, o, &status) || status >= 0)
            return status;
    }
    if (optind < argc && cli_run_id(argv[optind], &id, NULL))
        run = argv[optind++];
    if (add_paths(argv + optind, argc - optind, &only, &e))
        return cli_fail(&e);
    if (hunks && *word == 'r')
        return cli_usage(&cmd_apply, "--hunks and --replace do not go together: over what somebody changed meanwhile only a whole file can go");
    if (hunks)
        return hunks_apply(c, run, buf_slice(&only));
    return session_say(c, run, word, buf_slice(&only));
}
