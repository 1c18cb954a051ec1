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

enum { NAME_WIDTH = 22 };

/* One line an account: what it used of everything. Its rows stand together, a row a unit. */
struct account_line {
    struct slice name;
    struct amounts used, assumed, held;
};

static int unit_of(struct slice name)
{
    int u = 0;
    while (u < UNITS && !slice_is(name, unit_name(u)))
        u++;
    return u;
}

static void add_amount(struct buf *out, int u, int64_t n, size_t width)
{
    BUF_CLEANUP struct buf text = BUF_INIT(128);
    amount_print(u, n, &text);
    struct slice s = buf_slice(&text); /* the column says the unit */
    s = slice_sub(s, 0, slice_index(s, ' '));
    for (size_t i = s.n; i < width; i++)
        buf_add_char(out, ' ');
    buf_add(out, s);
}

static void add_others(struct buf *out, const char *what, const struct amounts *a)
{
    bool any = false;
    for (int u = 0; u < UNITS; u++)
        if (a->n[u]) {
            buf_add_text(out, any ? ", " : "\n    ");
            buf_add_text(out, any ? "" : what);
            amount_print(u, a->n[u], out);
            any = true;
        }
}

static void print_line(const struct account_line *l)
{
    static const struct { int unit; size_t width; } columns[] = {{UNIT_TOKENS, 13}, {UNIT_CPU_NS, 12}, {UNIT_CALLS, 9}, {UNIT_NUSD, 12}};
    BUF_CLEANUP struct buf out = BUF_INIT(4096);
    buf_addf(&out, "%-*.*s", NAME_WIDTH, SLICE_ARG(l->name));
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        add_amount(&out, columns[i].unit, l->used.n[columns[i].unit], columns[i].width);
    add_others(&out, "of it assumed, for steps that died: ", &l->assumed);
    add_others(&out, "held for what is under way: ", &l->held);
    puts(buf_str(&out));
}

static void print_accounts(const struct json *accounts)
{
    struct account_line l = {.name = SLICE_NONE};
    printf("%-*s%13s%12s%9s%12s\n", NAME_WIDTH, "account", "tokens", "CPU seconds", "calls", "money");
    for (size_t i = 0; i < json_count(accounts); i++) {
        const struct json *a = json_at(accounts, i);
        struct slice name = json_text(json_get(a, "account"));
        int u = unit_of(json_text(json_get(a, "unit")));
        if (l.name.n && !slice_eq(name, l.name))
            print_line(&l);
        if (!slice_eq(name, l.name))
            l = (struct account_line){.name = name};
        if (u == UNITS)
            continue;
        l.assumed.n[u] = json_int(json_get(a, "assumed"), 0);
        l.held.n[u] = json_int(json_get(a, "held"), 0);
        l.used.n[u] = json_int(json_get(a, "exact"), 0) + l.assumed.n[u];
    }
    if (l.name.n)
        print_line(&l);
}

static void print_caps(const struct json *caps)
{
    for (size_t i = 0; i < json_count(caps); i++) {
        const struct json *c = json_at(caps, i);
        struct slice window = json_text(json_get(c, "window"));
        int u = unit_of(json_text(json_get(c, "unit")));
        BUF_CLEANUP struct buf out = BUF_INIT(4096);
        if (u == UNITS)
            continue;
        buf_addf(&out, "%s%-*.*s", i ? "" : "\ncaps\n", NAME_WIDTH, SLICE_ARG(json_text(json_get(c, "account"))));
        buf_add_text(&out, "at most ");
        amount_print(u, json_int(json_get(c, "amount"), 0), &out);
        if (!slice_is(window, "total"))
            buf_addf(&out, " a %.*s", SLICE_ARG(window));
        buf_add_text(&out, ", used ");
        amount_print(u, json_int(json_get(c, "used"), 0), &out);
        puts(buf_str(&out));
    }
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
    else
        print_accounts(accounts);
    if (!c->json)
        print_caps(json_get(v, "caps"));
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
    if (err)
        return cli_fail(&e);
    for (int u = 0; u < UNITS; u++) {
        BUF_CLEANUP struct buf text = BUF_INIT(128);
        if (none || caps.n[u] == AMOUNT_UNLIMITED)
            continue;
        amount_print(u, caps.n[u], &text);
        printf("%.*s may use at most %s%s%s\n", SLICE_ARG(account), buf_str(&text), strcmp(window, "total") ? " a " : "",
               strcmp(window, "total") ? window : "");
    }
    if (none)
        printf("%.*s has no caps%s%s of its own any more\n", SLICE_ARG(account), strcmp(window, "total") ? " a " : "",
               strcmp(window, "total") ? window : "");
    return EXIT_DONE;
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
    if (!slice_is(slice_sub(account, 0, slice_index(account, '/')), "crannog"))
        return cli_usage(&cmd_spend, "accounts begin with crannog, like crannog/main/r7; nothing is booked on '%.60s'", argv[optind + 1]);
    return set_caps(c, account, argv[optind + 2], window);
}
