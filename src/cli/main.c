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
#include "cli/talk.h"
#include "door/client.h"
#include "version.h"

static const struct command *const commands[] = {&cmd_run,  &cmd_ls,   &cmd_show,  &cmd_answer, &cmd_stop,
                                                 &cmd_diff, &cmd_apply, &cmd_undo, &cmd_fork, &cmd_spend, &cmd_serve, &cmd_login, &cmd_exec, &cmd_init, &cmd_model,  &cmd_doctor};
enum { NCOMMANDS = sizeof commands / sizeof *commands };

static void print_overview(FILE *to)
{
    fputs("crannog: a home for agents\n\n"
          "  crannog             talk here, now; -c goes on with the last talk here, -c r7 that one, -r picks\n"
          "  crannog \"what to do\"\n"
          "  crannog [-C DIR] COMMAND [ARGUMENT...]\n\n", to);
    for (int i = 0; i < NCOMMANDS; i++)
        fprintf(to, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n"
          "  -C DIR     the crannog to use ($CRANNOG, else ~/.crannog)\n"
          "  --model M  of a talk: PLACE/MODEL (`crannog login` lists them); --budget B, --in DIR\n"
          "  --version  what this is\n"
          "\n"
          "`crannog COMMAND --help` tells more. Without a model yet, start with: crannog login\n", to);
}

/* Names in errors are outside bytes: they do not get to steer the terminal. */
static void print_safely(const char *text)
{
    BUF_CLEANUP struct buf safe = BUF_INIT(8192);
    cli_print_safe(slice_of(text), &safe);
    fprintf(stderr, "crannog: %s\n", buf_str(&safe));
}

int cli_fail(const struct error *e)
{
    print_safely(e->text);
    switch (e->code) {
    case ERR_USAGE: return EXIT_USAGE;
    case ERR_DENIED: return EXIT_REFUSED;
    default: return EXIT_FAILED;
    }
}

int cli_usage(const struct command *cmd, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    print_safely(text);
    fprintf(stderr, "usage: crannog %s%s%s\n`crannog %s --help` tells more.\n", cmd->name, *cmd->usage ? " " : "", cmd->usage,
            cmd->name);
    return EXIT_USAGE;
}

static void print_help(const struct command *cmd)
{
    printf("usage: crannog %s%s%s\n\n%c%s.\n\n%s", cmd->name, *cmd->usage ? " " : "", cmd->usage, cmd->summary[0] - 'a' + 'A',
           cmd->summary + 1, cmd->help);
}

static char **given; /* the command's words, for errors about options */

bool cli_common(struct cli *c, const struct command *cmd, int option, int *ret_exit)
{
    *ret_exit = -1;
    if (option == 'j') {
        c->json = true;
        return true;
    }
    if (option == 'h') {
        print_help(cmd);
        *ret_exit = EXIT_DONE;
        return true;
    }
    const char *word = given[optind - 1];
    if (optopt && strncmp(word, "--", 2) != 0) /* one letter, perhaps among others */
        *ret_exit = cli_usage(cmd, "there is no option -%c", optopt);
    else if (optopt)
        *ret_exit = cli_usage(cmd, "%.100s wants %s value", word, strchr(word, '=') ? "no" : "a");
    else
        *ret_exit = cli_usage(cmd, "there is no option %.100s", word);
    return false;
}

/* -C, then $CRANNOG, then ~/.crannog; never a folder because something in it says so. */
static enum err find_crannog(struct cli *c, const char *named, struct error *e)
{
    const char *env = getenv("CRANNOG"), *home = getenv("HOME");
    if (!named && env && *env)
        named = env;
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

static const struct command *find_command(const char *name)
{
    for (int i = 0; i < NCOMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    BUF_CLEANUP struct buf what = BUF_INIT(256);
    buf_addf(&what, "there is no command '%.60s'; `crannog --help` lists them", name);
    print_safely(buf_str(&what));
    return NULL;
}

/* crannog help [COMMAND], the way of other programs. */
static int help(const char *name)
{
    const struct command *cmd = name ? find_command(name) : NULL;
    if (cmd)
        print_help(cmd);
    else if (!name)
        print_overview(stdout);
    return cmd || !name ? EXIT_DONE : EXIT_USAGE;
}

/* What was printed must have arrived: `crannog ls --json >file` on a full disk has failed. */
static int finish(int status)
{
    bool lost = ferror(stdout) != 0;
    if ((fflush(stdout) != 0 || lost) && errno != EPIPE)
        fprintf(stderr, "crannog: cannot write the output: %s\n", lost && !errno ? "an error" : strerror(errno));
    else if (!lost)
        return status;
    return status == EXIT_DONE ? EXIT_FAILED : status;
}

int cli_run(struct cli *c, const struct command *cmd, int argc, char **argv)
{
    given = argv;
    optind = 0; /* getopt starts anew, GNU's way */
    return cmd->run(c, argc, argv);
}

static int run_command(struct cli *c, const char *crannog, int argc, char **argv)
{
    struct error e;
    const struct command *cmd = find_command(argv[0]);
    if (!cmd)
        return EXIT_USAGE;
    if (find_crannog(c, crannog, &e))
        return cli_fail(&e);
    return cli_run(c, cmd, argc, argv);
}

/* Nothing to do is named, or a goal in words: talk, where there is somebody to talk to. */
static int talk(struct cli *c, const char *crannog, struct talk_options *o, const char *goal)
{
    struct error e;
    o->goal = goal;
    return find_crannog(c, crannog, &e) ? cli_fail(&e) : talk_main(c, o);
}

static bool is_goal(const char *word)
{
    return strchr(word, ' ') != NULL;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'v'},
        {"model", required_argument, NULL, 'm'}, {"in", required_argument, NULL, 'i'}, {"budget", required_argument, NULL, 'b'}, {0}};
    struct talk_options o = {0};
    struct cli c = {.crannog = BUF_INIT(4096)};
    const char *crannog = NULL;
    door_take_environment(); /* first of all: no child, no core and no /proc has them then */
    opterr = 0;
    for (int ch; (ch = getopt_long(argc, argv, "+C:hvcr", options, NULL)) != -1;) {
        if (ch == 'C') {
            crannog = optarg;
        } else if (ch == 'c' || ch == 'r') {
            *(ch == 'c' ? &o.last : &o.pick) = true;
        } else if (ch == 'm' || ch == 'i' || ch == 'b') {
            *(ch == 'm' ? &o.model : ch == 'i' ? &o.in : &o.budget) = optarg;
        } else if (ch == 'h') {
            print_overview(stdout);
            return finish(EXIT_DONE);
        } else if (ch == 'v') {
            puts("crannog " CRANNOG_VERSION);
            return finish(EXIT_DONE);
        } else {
            print_safely(optopt == 'C' ? "-C wants the folder of a crannog" : "there is no such option before a command");
            print_overview(stderr);
            return EXIT_USAGE;
        }
    }
    if (o.last && optind + 1 == argc && cli_run_id(argv[optind], &o.run, NULL)) /* crannog -c r7 */
        optind++;
    bool nothing = optind == argc, words = !nothing && is_goal(argv[optind]);
    if (nothing && !(isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))) {
        print_overview(stderr);
        return EXIT_USAGE;
    }
    int status = nothing || words ? talk(&c, crannog, &o, words ? argv[optind] : NULL)
                 : strcmp(argv[optind], "help") == 0 ? help(argv[optind + 1])
                                                   : run_command(&c, crannog, argc - optind, argv + optind);
    buf_release(&c.crannog);
    return finish(status);
}
