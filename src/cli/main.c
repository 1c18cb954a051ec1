/* crannog: a home for agents. The table of commands, and what they share. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/cli.h"
#include "version.h"

static const struct command *const commands[] = {&cmd_run,  &cmd_ls,   &cmd_show,  &cmd_answer, &cmd_stop,
                                                 &cmd_spend, &cmd_exec, &cmd_init, &cmd_model,  &cmd_doctor};
enum { NCOMMANDS = sizeof commands / sizeof *commands };

static void print_overview(FILE *to)
{
    fputs("crannog: a home for agents\n\n"
          "usage: crannog [-C DIR] COMMAND [ARGUMENT...]\n\n", to);
    for (int i = 0; i < NCOMMANDS; i++)
        fprintf(to, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n"
          "  -C DIR     the crannog to use ($CRANNOG, else ~/.crannog)\n"
          "  --version  what this is\n"
          "\n"
          "`crannog COMMAND --help` tells more. Start with: crannog run PLAN.md\n", to);
}

int cli_fail(const struct error *e)
{
    fprintf(stderr, "crannog: %s\n", e->text);
    switch (e->code) {
    case ERR_USAGE: return EXIT_USAGE;
    case ERR_DENIED: return EXIT_REFUSED;
    default: return EXIT_FAILED;
    }
}

int cli_usage(const struct command *cmd, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("crannog: ", stderr);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nusage: crannog %s %s\n`crannog %s --help` tells more.\n", cmd->name, cmd->usage, cmd->name);
    return EXIT_USAGE;
}

void cli_print_help(const struct command *cmd)
{
    printf("crannog %s %s\n\n%s.\n\n%s", cmd->name, cmd->usage, cmd->summary, cmd->help);
}

bool cli_common(struct cli *c, const struct command *cmd, int option, int *ret_exit)
{
    *ret_exit = -1;
    if (option == 'j') {
        c->json = true;
        return true;
    }
    if (option == 'h') {
        cli_print_help(cmd);
        *ret_exit = EXIT_DONE;
        return true;
    }
    *ret_exit = cli_usage(cmd, "unknown or incomplete option");
    return false;
}

/* -C, then $CRANNOG, then ~/.crannog; never a folder because something in it says so. */
static enum err find_crannog(struct cli *c, const char *named, struct error *e)
{
    const char *env = getenv("CRANNOG"), *home = getenv("HOME");
    if (!named && env && *env)
        named = env;
    c->crannog_is_default = !named;
    if (!named && (!home || *home != '/'))
        return error_set(e, ERR_USAGE, "no HOME is set; name your crannog with -C DIR");
    if (!named) {
        buf_addf(&c->crannog, "%s/.crannog", home);
    } else if (*named == '/') {
        buf_add_text(&c->crannog, named);
    } else {
        char cwd[4096];
        if (!getcwd(cwd, sizeof cwd))
            return error_errno(e, errno, "cannot tell the current folder");
        buf_addf(&c->crannog, "%s/%s", cwd, named);
    }
    return buf_check(&c->crannog, "the path of the crannog", e);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'v'}, {0}};
    struct cli c = {.crannog = BUF_INIT(4096)};
    struct error e;
    const char *named = NULL;
    opterr = 0;
    for (int o; (o = getopt_long(argc, argv, "+C:hv", options, NULL)) != -1;) {
        if (o == 'C') {
            named = optarg;
        } else if (o == 'h') {
            print_overview(stdout);
            return EXIT_DONE;
        } else if (o == 'v') {
            puts("crannog " CRANNOG_VERSION);
            return EXIT_DONE;
        } else {
            print_overview(stderr);
            return EXIT_USAGE;
        }
    }
    if (optind == argc) {
        print_overview(stdout);
        return EXIT_USAGE;
    }
    if (find_crannog(&c, named, &e))
        return cli_fail(&e);
    const char *name = argv[optind];
    for (int i = 0; i < NCOMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0) {
            int first = optind;
            optind = 0; /* getopt starts anew, GNU's way */
            int status = commands[i]->run(&c, argc - first, argv + first);
            buf_release(&c.crannog);
            return fflush(stdout) == 0 ? status : EXIT_FAILED;
        }
    fprintf(stderr, "crannog: there is no command '%s'\n\n", name);
    print_overview(stderr);
    return EXIT_USAGE;
}
