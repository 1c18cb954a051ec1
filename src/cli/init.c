/* crannog init: makes a crannog. */
#include <getopt.h>
#include <stdio.h>

#include "base/sys.h"
#include "cli/cli.h"

static int init_run(struct cli *c, int argc, char **argv);

const struct command cmd_init = {
    .name = "init",
    .usage = "",
    .summary = "make a crannog (the first run does it too)",
    .help =
        "Makes the folder that -C, $CRANNOG or ~/.crannog names: crannog.yaml (settings), agents/ (a folder each), wiki/ and\n"
        ".crannog/ (the journal; leave it alone). What is there already is left as it is.\n\nexample:\n  crannog -C ~/work/crannog init\n",
    .run = init_run,
};

static int init_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {0}};
    struct store *s;
    struct error e;
    int status;
    for (int o; (o = getopt_long(argc, argv, "hj", options, NULL)) != -1;)
        if (!cli_common(c, &cmd_init, o, &status) || status >= 0)
            return status;
    if (optind != argc)
        return cli_usage(&cmd_init, "init takes no arguments; name the folder with crannog -C DIR init");
    if (cli_open(c, true, false, &s, &e))
        return cli_fail(&e);
    store_close(s);
    printf("%s is a crannog; its settings are in crannog.yaml\n", buf_str(&c->crannog));
    return EXIT_DONE;
}
