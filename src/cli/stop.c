/* crannog stop: asks the process that works on a run to stop gracefully. */
#include <getopt.h>
#include <stdio.h>

#include "base/sys.h"
#include "cli/cli.h"

static int stop_run(struct cli *c, int argc, char **argv);

const struct command cmd_stop = {
    .name = "stop",
    .usage = "[RUN]",
    .summary = "stop a run; the same `crannog run` goes on with it",
    .help =
        "RUN is a name from `crannog ls` (r7); without it, the latest one. What is under way is cancelled and settled; nothing\n"
        "that was finished is lost.\n\nexample:\n  crannog stop r7\n",
    .run = stop_run,
};

static int stop_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {0}};
    struct store *s;
    struct error e;
    uint64_t run = 0;
    int status;
    for (int o; (o = getopt_long(argc, argv, "hj", options, NULL)) != -1;)
        if (!cli_common(c, &cmd_stop, o, &status) || status >= 0)
            return status;
    if (optind + 1 < argc)
        return cli_usage(&cmd_stop, "one run at a time");
    if (cli_open(c, false, false, &s, &e))
        return cli_fail(&e);
    enum err err = cli_pick_run(s, optind < argc ? argv[optind] : NULL, &run, &e);
    int64_t holder = err ? 0 : lease_holder(s, run);
    if (!err && holder)
        err = request_put(s, run, "stop", SLICE("{}"), &e);
    store_close(s);
    if (err)
        return cli_fail(&e);
    if (holder)
        printf("asked process %lld to stop r%llu\n", (long long)holder, (unsigned long long)run);
    else
        printf("r%llu is not running\n", (unsigned long long)run);
    return EXIT_DONE;
}
