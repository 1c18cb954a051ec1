/* crannog doctor: tries each thing that a run needs, and says what mends what is missing. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/doctor.h"

static int doctor_run(struct cli *c, int argc, char **argv);

const struct command cmd_doctor = {
    .name = "doctor",
    .usage = "[--audit] [--rebuild] [--adopt] [--json] | --fix [--root FOLDER]",
    .summary = "check that everything a run needs is there and works",
    .help =
        "Tries each wall of the jail and the model for real, and says what mends what is missing.\n\n"
        "  --audit    also reads the whole journal: every chain, every blob, every list that follows from it\n"
        "  --rebuild  makes those lists anew from the journal's events\n"
        "  --adopt    says that this machine is the crannog's from now on (after it was moved here; the other must stop)\n"
        "  --fix      as root: writes what this machine lacks so that everybody's jails can be made, each with a word of what it does\n"
        "             (settings of the kernel in /etc/sysctl.d, a profile for AppArmor), and nothing where nothing is lacking\n"
        "  --root FOLDER  with --fix: for the system that lies in FOLDER (an image); only files are written\n\n"
        "examples:\n  crannog doctor\n  crannog doctor --audit\n  sudo crannog doctor --fix\n",
    .run = doctor_run,
};

void found(struct findings *f, bool ok, const char *what, const char *text)
{
    f->bad |= !ok;
    if (f->json) {
        struct json *o = json_object();
        json_put_text(o, "check", slice_of(what));
        json_put_bool(o, "ok", ok);
        json_put_text(o, "text", slice_of(text));
        json_push(f->list, o);
    } else {
        BUF_CLEANUP struct buf safe = BUF_INIT(64 * 1024);
        cli_print_safe(slice_of(text), &safe);
        printf("%s %-9s %s\n", ok ? "ok " : "BAD", what, buf_str(&safe));
    }
}

static void check_model(struct findings *f, struct cli *c)
{
    ARENA_CLEANUP struct arena a = ARENA_INIT(1 << 20);
    BUF_CLEANUP struct buf file = BUF_INIT(4096);
    FD_CLEANUP int fd = -1;
    struct model_facts facts;
    struct config cfg;
    struct error e;
    if (config_read(c, &a, &cfg, &e)) {
        found(f, false, "settings", e.text);
        return;
    }
    found(f, true, "settings", "crannog.yaml reads well");
    if (config_model(c, &cfg, NULL, &file, &e) || cli_open_file(buf_str(&file), "the model", &fd, &e) ||
        cli_try_model(fd, buf_str(&file), &facts, &e)) {
        found(f, false, "model", e.text);
        return;
    }
    buf_addf(&file, " loads with the %s kernels", facts.kernel);
    found(f, true, "model", buf_str(&file));
}

/* Two machines must not go on with the same runs, so a crannog that was moved waits for a person's word. */
static void adopt_here(struct findings *f, struct cli *c)
{
    struct store *s;
    struct error e;
    struct store_options o = {.adopt = true};
    enum err err = store_open(buf_str(&c->crannog), false, &o, &s, &e);
    found(f, !err, "adopt", err ? e.text : "this machine is the crannog's from now on");
    if (!err)
        store_close(s);
}

static void check_journal(struct findings *f, struct cli *c, bool audit, bool rebuild)
{
    struct store *s;
    struct error e;
    BUF_CLEANUP struct buf text = BUF_INIT(1 << 20);
    if (cli_open(c, false, !rebuild, &s, &e)) {
        found(f, false, "journal", e.text);
        return;
    }
    if (rebuild) {
        enum err err = store_rebuild(s, &e);
        found(f, !err, "rebuild", err ? e.text : "the lists were made anew from the events");
    }
    if (audit) {
        enum err err = store_audit(s, &text, &e);
        struct slice rest = buf_slice(&text), line, last = SLICE_NONE;
        if (err)
            found(f, false, "audit", e.text);
        else if (!text.n)
            found(f, true, "audit", "every chain, blob and list agrees");
        while (!err && slice_line(&rest, &line)) {
            BUF_CLEANUP struct buf one = BUF_INIT(4096);
            buf_add(&one, line);
            if (!last.p || !slice_eq(line, last)) /* a damaged page is met by many */
                found(f, false, "audit", buf_str(&one));
            last = line;
        }
    } else {
        found(f, true, "journal", "opens");
    }
    store_close(s);
}

static int doctor_run(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {"audit", no_argument, NULL, 'a'}, {"rebuild", no_argument, NULL, 'r'},
                                            {"adopt", no_argument, NULL, 'A'}, {"fix", no_argument, NULL, 'f'},
                                            {"root", required_argument, NULL, 'R'}, {0}};
    const char *root = NULL;
    bool audit = false, rebuild = false, adopt = false, fix = false;
    int status;
    for (int o; (o = getopt_long(argc, argv, "hj", options, NULL)) != -1;) {
        if (o == 'a')
            audit = true;
        else if (o == 'r')
            rebuild = true;
        else if (o == 'A')
            adopt = true;
        else if (o == 'f')
            fix = true;
        else if (o == 'R')
            root = optarg;
        else if (!cli_common(c, &cmd_doctor, o, &status) || status >= 0)
            return status;
    }
    if (optind != argc)
        return cli_usage(&cmd_doctor, "doctor takes no arguments");
    if ((root && !fix) || (fix && (audit || rebuild || adopt)))
        return cli_usage(&cmd_doctor, root && !fix ? "--root goes with --fix" : "--fix stands alone");
    struct findings f = {.list = json_array(), .json = c->json};
    if (fix) {
        doctor_fix(&f, root);
    } else {
        doctor_jail(&f);
        check_model(&f, c);
        if (adopt)
            adopt_here(&f, c);
        check_journal(&f, c, audit, rebuild);
    }
    if (c->json)
        cli_print_json(f.list);
    json_free(f.list);
    return f.bad ? EXIT_FAILED : EXIT_DONE;
}
