/* crannog doctor: tries each thing that a run needs, and says what mends what is missing. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/cli.h"
#include "jail/client.h"
#include "tools/place.h"

static int doctor_run(struct cli *c, int argc, char **argv);

const struct command cmd_doctor = {
    .name = "doctor",
    .usage = "[--audit] [--rebuild] [--adopt] [--json]",
    .summary = "check that everything a run needs is there and works",
    .help =
        "Tries each wall of the jail and the model for real, and says what mends what is missing.\n\n"
        "  --audit    also reads the whole journal: every chain, every blob, every list that follows from it\n"
        "  --rebuild  makes those lists anew from the journal's events\n"
        "  --adopt    says that this machine is the crannog's from now on (after it was moved here; the other must stop)\n\n"
        "examples:\n  crannog doctor\n  crannog doctor --audit\n",
    .run = doctor_run,
};

struct findings {
    struct json *list;
    bool json, bad;
};

static void found(struct findings *f, bool ok, const char *what, const char *text)
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
        printf("%s %-8s %s\n", ok ? "ok " : "BAD", what, buf_str(&safe));
    }
}

/* What the jail must refuse, tried inside it; each line that the script prints is a wall with a hole. */
static const char probes[] =
    "cat /etc/shadow >/dev/null 2>&1 && echo 'reads /etc/shadow'\n"
    "[ -e \"$1\" ] && echo 'sees your home folder'\n"
    "(: >/usr/x) 2>/dev/null && echo 'writes below /usr'\n"
    "(: >./.crannog-doctor) 2>/dev/null && echo 'writes in the work folder'\n"
    "[ \"$(ls /proc | grep -c '^[0-9]')\" -gt 12 ] && echo 'sees processes of the host'\n"
    "[ \"$(cat /proc/net/dev | wc -l)\" -gt 3 ] && echo 'has a network'\n"
    "grep -q '^CapEff:.*[1-9a-f]' /proc/self/status && echo 'has capabilities'\n"
    "grep -q '^Seccomp:.*2' /proc/self/status || echo 'has no seccomp filter'\n"
    "exit 0\n";

static enum err run_jail(struct slice *words, size_t n, struct jail_result *ret, struct error *e)
{
    BUF_CLEANUP struct buf path = BUF_INIT(4096);
    char work[] = "/tmp/crannog-doctor-XXXXXX";
    struct peer p = PEER_INIT;
    struct place place;
    struct jail_plan plan;
    struct frame f;
    enum err err = peer_find("crannog-jail", &path, e);
    if (!err && !mkdtemp(work))
        err = error_set(e, ERR_IO, "cannot make a folder in /tmp");
    if (err)
        return err;
    err = place_look(work, NULL, &place, e);
    if (!err) {
        err = place_command(&place, words, n, 5000, 10000, NULL, &plan, e);
    }
    if (!err) {
        err = jail_start(buf_str(&path), &plan, NULL, false, &p, e);
    }
    if (!err)
        err = frame_receive(p.socket, &f, e);
    if (!err) {
        err = jail_result_parse(&f, ret, e);
        frame_release(&f);
    }
    peer_kill(&p);
    rmdir(work);
    return err;
}

static void check_jail(struct findings *f)
{
    const char *home = getenv("HOME");
    struct slice words[] = {SLICE("/bin/sh"), SLICE("-c"), slice_of(probes), SLICE("sh"), slice_of(home && *home ? home : "/root")};
    struct jail_result res = {0};
    struct error e;
    BUF_CLEANUP struct buf text = BUF_INIT(8192);
    if (run_jail(words, 5, &res, &e)) {
        found(f, false, "jail", e.text);
    } else if (res.how != JAIL_EXITED || res.status != 0) { /* probes that did not all run prove nothing */
        found(f, false, "jail", *res.why ? res.why : "the jail's program did not come to its end");
    } else if (res.out.n) {
        struct slice rest = buf_slice(&res.out), line;
        while (slice_line(&rest, &line))
            buf_addf(&text, "%sa program inside %.*s", text.n ? "; " : "", SLICE_ARG(line));
        found(f, false, "jail", buf_str(&text));
    } else {
        found(f, true, "jail", "its walls hold: files, network, processes, capabilities, system calls were tried");
    }
    jail_result_release(&res);
}

/* The second wall. A jail on a kernel that has it is refused rather than made without it, so the version is the proof. */
static void check_landlock(struct findings *f)
{
    enum { NR_landlock_create_ruleset = 444, CREATE_VERSION = 1, LEAST = 2, WHOLE = 6 };
    long version = syscall(NR_landlock_create_ruleset, NULL, 0, CREATE_VERSION);
    char text[256];
    if (version >= LEAST)
        snprintf(text, sizeof text, "version %ld guards the same paths a second time%s", version,
                 version >= WHOLE ? ", and sockets and signals" : "");
    else
        snprintf(text, sizeof text, "there is none here (%s), so the mounts of the jail stand alone; mend: a kernel from 5.19 on, "
                 "with landlock in lsm= of its command line", version == 1 ? "version 1 refuses renames" : "landlock");
    found(f, version >= LEAST, "landlock", text);
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
                                            {"adopt", no_argument, NULL, 'A'}, {0}};
    bool audit = false, rebuild = false, adopt = false;
    int status;
    for (int o; (o = getopt_long(argc, argv, "hj", options, NULL)) != -1;) {
        if (o == 'a')
            audit = true;
        else if (o == 'r')
            rebuild = true;
        else if (o == 'A')
            adopt = true;
        else if (!cli_common(c, &cmd_doctor, o, &status) || status >= 0)
            return status;
    }
    if (optind != argc)
        return cli_usage(&cmd_doctor, "doctor takes no arguments");
    struct findings f = {.list = json_array(), .json = c->json};
    check_jail(&f);
    check_landlock(&f);
    check_model(&f, c);
    if (adopt)
        adopt_here(&f, c);
    check_journal(&f, c, audit, rebuild);
    if (c->json)
        cli_print_json(f.list);
    json_free(f.list);
    return f.bad ? EXIT_FAILED : EXIT_DONE;
}
