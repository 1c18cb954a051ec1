/*
 * The command line: one file a command, each with its entry (name, usage, help, function) as a const on top.
 *
 * To add a command: a file with a `struct command`, a line in main.c's table, a line in meson.build.
 */
#ifndef CRANNOG_CLI_CLI_H
#define CRANNOG_CLI_CLI_H

#include <sys/stat.h>

#include "store/store.h"
#include "tools/terms.h"

enum exit_code { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_REFUSED = 3, EXIT_WAITING = 4, EXIT_UNCONFIRMED = 5 };

struct cli {
    struct buf crannog;     /* absolute path of the crannog's folder */
    bool json;
    struct terms terms;     /* what flags say of a run's jails (cli_terms) */
};

struct command {
    const char *name;
    const char *usage;   /* behind "crannog NAME" */
    const char *summary; /* one line */
    const char *help;    /* what it does and examples; ends with a newline */
    int (*run)(struct cli *c, int argc, char **argv); /* argv[0] is the name; returns an exit code */
};

extern const struct command cmd_run, cmd_ls, cmd_show, cmd_spend, cmd_stop, cmd_answer, cmd_init, cmd_model, cmd_doctor, cmd_exec,
    cmd_apply, cmd_diff, cmd_undo, cmd_fork, cmd_login, cmd_serve;

/* Carries out a command as the command line does; argv[0] is its name. */
int cli_run(struct cli *c, const struct command *cmd, int argc, char **argv);
/* Prints "crannog: TEXT" on standard error and returns the exit code that fits the error. */
int cli_fail(const struct error *e);
/* The same for wrong usage: adds how to see the help. */
int cli_usage(const struct command *cmd, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Standard options of every command (--help, --json); returns false if `option` is none of them. */
bool cli_common(struct cli *c, const struct command *cmd, int option, int *ret_exit);
#define CLI_COMMON_OPTIONS {"help", no_argument, NULL, 'h'}, {"json", no_argument, NULL, 'j'}

/* --limit NAME=VALUE and --show PATH, of the commands that begin runs. */
#define CLI_TERMS_OPTIONS {"limit", required_argument, NULL, 'L'}, {"show", required_argument, NULL, 'S'}, {"browser", no_argument, NULL, 'W'}
/* Takes one of them; false: `option` is another. ERR_USAGE in *ret_err. */
bool cli_terms(struct cli *c, int option, const char *value, enum err *ret_err, struct error *e);
/* A path that a person wants to be shown, absolute or "~/...", without its links; ERR_USAGE in words. Lies in the arena. */
enum err MUST_USE cli_shown_path(struct slice path, struct arena *a, struct slice *ret, struct error *e);

/* Opens the store of the crannog; ERR_MISSING with what to do where there is none. */
enum err MUST_USE cli_open(struct cli *c, bool create, bool read_only, struct store **ret, struct error *e);
/* Makes the crannog's folders and crannog.yaml where they are missing. */
enum err MUST_USE cli_make_crannog(struct cli *c, struct error *e);
/* "r7" or "7" → 7; "r7.12" → also the question. */
bool cli_run_id(const char *text, uint64_t *ret_run, uint32_t *ret_question);
/* The run named, or the latest one where text is NULL. */
enum err MUST_USE cli_pick_run(struct store *s, const char *text, uint64_t *ret, struct error *e);

/* ERR_MISSING in words where there is no such run. */
enum err MUST_USE cli_has_run(struct store *s, uint64_t run, struct error *e);

/* A server of models that a person named. */
struct config_server {
    struct slice name, provider, base; /* "box", "openai-compatible", "http://10.0.0.7:8000/v1" */
};
enum { CONFIG_SERVERS_MAX = 16 };

/* crannog.yaml, strict. Texts live in the arena. */
struct config {
    struct slice model; /* name of a file in .crannog/models, without .gguf; empty: the only one there */
    int64_t window;     /* tokens of a document that a model sees at once */
    struct amounts budget; /* for runs that name none; AMOUNT_UNLIMITED where unset */
    struct config_server servers[CONFIG_SERVERS_MAX]; /* or where one of the known ones is, "ollama" */
    size_t n_servers;
    struct terms terms; /* of jails */
    struct slice services; /* a JSON list (core/service.h); empty: none */
};
/* Whether a server can be called so, and an address be one: ERR_USAGE in words. */
enum err MUST_USE config_server_check(const struct config_server *s, struct error *e);
enum err MUST_USE config_read(struct cli *c, struct arena *a, struct config *ret, struct error *e);
/* The services that a run begins with, as a JSON list in the arena: those of crannog.yaml, and those of its plan (`own`), which
   win where they have the same name. Empty: none. */
enum err MUST_USE config_services(struct cli *c, struct slice own, struct arena *a, struct slice *ret, struct error *e);
/* The path of the model in use, or ERR_MISSING with what to do. `name` may be NULL. */
enum err MUST_USE config_model(struct cli *c, const struct config *cfg, const char *name, struct buf *ret_path, struct error *e);

/* The folder that a run or a command works in: its real path and what it is. Never the root folder, which a jail cannot
   cover. */
enum err MUST_USE cli_work_folder(const char *named, char ret_path[static 4096], struct stat *ret, struct error *e);
/* Opens a plain file for reading; never waits for a FIFO's other end. `what` is for errors: "the plan". */
enum err MUST_USE cli_open_file(const char *path, const char *what, int *ret_fd, struct error *e);
/* Appends a plain file of at most `max` bytes. */
enum err MUST_USE cli_read_file(const char *path, const char *what, size_t max, struct buf *ret, struct error *e);

/* Lets crannog-infer load a model, which nobody else parses. ERR_CORRUPT with what it says against it. */
struct model_facts {
    char arch[32], kernel[32];
    uint64_t layers, width, vocab;
};
enum err MUST_USE cli_try_model(int fd, const char *name, struct model_facts *ret, struct error *e);

/* The columns of the terminal at a descriptor; very many where there is none. */
size_t cli_columns(int fd);
/* Cuts a line to columns. Colours count nothing, a UTF-8 character one; wide ones are not known. */
void cli_fit(struct buf *line, size_t width);
bool cli_fits(const struct buf *line, size_t width);
/* Takes a line back to its first n bytes. */
void cli_cut(struct buf *line, size_t n);

/* Through the person's pager ($PAGER, else less), as their shell would start it. False where there is none. */
bool cli_paged(struct slice text);

void cli_print_json(const struct json *v);
/* What a line does at a stage, in people's words: "asking the model". */
const char *cli_stage_words(struct slice stage);
/* Text of a file, a model or an event for a terminal: control characters become visible, nothing else is let through. */
void cli_print_safe(struct slice s, struct buf *out);

#endif
