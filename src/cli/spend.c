/* crannog spend: what was used, by account; `spend set` for caps. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "cli/cli.h"
#include "view/view.h"

static int spend_run(struct cli *c, int argc, char **argv);

const struct command cmd_spend = {
    .name = "spend",
    .usage = "[--json] | set ACCOUNT BUDGET [--per total|day|month]",
    .summary = "money, tokens and CPU seconds used; caps",
    .help =
        "Accounts are paths: what r7 of the agent main used is booked on crannog/main/r7, crannog/main and crannog.\n"
        "Settled amounts are exact, or assumed where a step died and nobody knows; held is reserved by what is under way.\n\n"
        "  set ACCOUNT BUDGET  what may be used at most: 5 (dollars), 200000tok, 90cpu-s, 30calls; `none` removes caps\n"
        "  --per               a total (unless said), a day or a month (UTC)\n\n"
        "examples:\n  crannog spend\n  crannog spend set crannog 2000000tok --per day\n  crannog spend set crannog/main/r7 300000tok\n",
    .run = spend_run,
};

static void print_account(const struct json *a)
{
    BUF_CLEANUP struct buf b = BUF_INIT(4096);
    struct slice unit = json_text(json_get(a, "unit"));
    int u = 0;
    while (u < UNITS && !slice_is(unit, unit_name(u)))
        u++;
    int64_t exact = json_int(json_get(a, "exact"), 0), assumed = json_int(json_get(a, "assumed"), 0);
    int64_t held = json_int(json_get(a, "held"), 0), cap = json_int(json_get(a, "cap"), -1);
    if (exact + assumed + held == 0 && cap < 0)
        return;
    buf_addf(&b, "%-28.*s ", SLICE_ARG(json_text(json_get(a, "account"))));
    size_t at = b.n;
    amount_print(u, exact + assumed, &b);
    while (b.n < at + 22)
        buf_add_char(&b, ' ');
    if (assumed) {
        buf_add_text(&b, "  of it assumed ");
        amount_print(u, assumed, &b);
    }
    if (held) {
        buf_add_text(&b, "  held ");
        amount_print(u, held, &b);
    }
    if (cap >= 0) {
        buf_add_text(&b, "  cap ");
        amount_print(u, cap, &b);
    }
    puts(buf_str(&b));
}

static int print_spend(struct cli *c)
{
    struct store *s;
    struct error e;
    if (cli_open(c, false, true, &s, &e))
        return cli_fail(&e);
    JSON_CLEANUP struct json *v = NULL;
    enum err err = view_spend(s, &v, &e);
    store_close(s);
    if (err)
        return cli_fail(&e);
    const struct json *accounts = json_get(v, "accounts");
    if (c->json)
        cli_print_json(v);
    else if (json_count(accounts) == 0)
        puts("nothing was used yet");
    for (size_t i = 0; !c->json && i < json_count(accounts); i++)
        print_account(json_at(accounts, i));
    return EXIT_DONE;
}

static int set_caps(struct cli *c, struct slice account, const char *budget, const char *window)
{
    struct store *s;
    struct error e;
    struct amounts caps = amounts_unlimited();
    bool none = strcmp(budget, "none") == 0;
    enum err err = none ? OK : budget_parse(slice_of(budget), &caps, &e);
    if (!err)
        err = cli_open(c, true, false, &s, &e);
    if (err)
        return cli_fail(&e);
    for (int u = 0; !err && u < UNITS; u++)
        if (none || caps.n[u] != AMOUNT_UNLIMITED)
            err = ledger_set_cap(s, account, (enum unit)u, window, caps.n[u], &e);
    store_close(s);
    return err ? cli_fail(&e) : EXIT_DONE;
}

static int spend_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {"per", required_argument, NULL, 'p'}, {0}};
    const char *window = "total";
    int status;
    for (int o; (o = getopt_long(argc, argv, "hj", options, NULL)) != -1;) {
        if (o == 'p')
            window = optarg;
        else if (!cli_common(c, &cmd_spend, o, &status) || status >= 0)
            return status;
    }
    if (optind == argc)
        return print_spend(c);
    if (strcmp(argv[optind], "set") != 0 || argc - optind != 3)
        return cli_usage(&cmd_spend, "say `set ACCOUNT BUDGET`");
    if (strcmp(window, "total") && strcmp(window, "day") && strcmp(window, "month"))
        return cli_usage(&cmd_spend, "--per is total, day or month, not '%.20s'", window);
    struct slice account = slice_of(argv[optind + 1]);
    if (!account_ok(account))
        return cli_usage(&cmd_spend, "'%.60s' is not an account; they look like crannog/main/r7 (`crannog spend` lists them)", argv[optind + 1]);
    return set_caps(c, account, argv[optind + 2], window);
}
