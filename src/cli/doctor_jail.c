/* crannog doctor, the jail: each wall is tried from inside, and told of by itself. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "jail/client.h"
#include "tools/place.h"

/* What must be refused inside; each line that a script prints is a hole. $1 is the person's home folder. */
static const struct wall {
    const char *name, *holds, *script;
} walls[] = {
    {"files", "nothing outside the work folder is read or written",
     "cat /etc/shadow >/dev/null 2>&1 && echo 'reads /etc/shadow'\n"
     "[ -e \"$1\" ] && echo 'sees your home folder'\n"
     "(: >/usr/x) 2>/dev/null && echo 'writes below /usr'\n"
     "(: >./.crannog-doctor) 2>/dev/null && echo 'writes in the work folder'\n"},
    {"processes", "none but its own is seen",
     "[ \"$(ls /proc | grep -c '^[0-9]')\" -gt 12 ] && echo 'sees processes of the host'\n"
     "cat /proc/1/environ >/dev/null 2>&1 && echo 'reads the environment of the first process'\n"},
    {"network", "there is a loopback of its own and nothing else",
     "[ \"$(cat /proc/net/dev | wc -l)\" -gt 3 ] && echo 'has a network'\n"},
    {"rights", "no capability, none by a set-id program",
     "grep -q '^CapEff:.*[1-9a-f]' /proc/self/status && echo 'has capabilities'\n"
     "grep -q '^CapBnd:.*[1-9a-f]' /proc/self/status && echo 'may get capabilities'\n"
     "grep -q '^NoNewPrivs:.*1' /proc/self/status || echo 'may get new privileges'\n"},
    {"calls", "the filter of system calls refuses new namespaces and mounts",
     "grep -q '^Seccomp:.*2' /proc/self/status || echo 'has no filter of system calls'\n"
     "unshare -U true >/dev/null 2>&1 && echo 'makes a user namespace'\n"
     "mount -t tmpfs x /tmp >/dev/null 2>&1 && echo 'mounts'\n"
     "(echo 1 >/proc/sys/kernel/core_uses_pid) 2>/dev/null && echo 'sets the kernel'\n"},
};
enum { WALLS = sizeof walls / sizeof *walls, MEMORY_TRIED = 64 };

static enum err run_jail(struct slice *words, size_t n, uint64_t memory, struct jail_result *ret, struct error *e)
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
    if (!err)
        err = place_command(&place, words, n, 5000, 10000, NULL, &plan, e);
    if (!err) {
        plan.limits.memory_all = memory ? memory : plan.limits.memory_all;
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

/* Of what was printed, the lines behind "N ", as one text. */
static void check_wall(struct findings *f, size_t n, struct slice out)
{
    BUF_CLEANUP struct buf text = BUF_INIT(8192);
    struct slice line;
    while (slice_line(&out, &line))
        if (line.n > 2 && line.p[0] == (char)('0' + n))
            buf_addf(&text, "%sa program inside %.*s", text.n ? "; " : "", SLICE_ARG(slice_sub(line, 2, line.n)));
    found(f, text.n == 0, walls[n].name, text.n ? buf_str(&text) : walls[n].holds);
}

/* The second wall over the paths. A jail on a kernel that has it is refused rather than made without it, so the version is the proof. */
static void check_landlock(struct findings *f, uint64_t version)
{
    char text[256];
    snprintf(text, sizeof text, "version %llu guards the same paths a second time%s", (unsigned long long)version,
             version >= LANDLOCK_SCOPES ? ", and sockets and signals" : "");
    found(f, version > 0, "landlock", version ? text : "there is none of use here, so the mounts of the jail stand alone; mend: a kernel from "
          "5.19 on, with landlock in lsm= of its command line");
}

/* A program that takes more memory than it may is ended; by whom decides how exactly. */
static void check_limits(struct findings *f)
{
    struct slice words[] = {SLICE("/bin/sh"), SLICE("-c"), SLICE("head -c 268435456 /dev/zero | tail -c 268435456 | wc -c")};
    struct jail_result res = {0};
    struct error e;
    if (run_jail(words, 3, (uint64_t)MEMORY_TRIED << 20, &res, &e))
        found(f, false, "limits", e.text);
    else if (slice_starts(buf_slice(&res.out), SLICE("268435456")))
        found(f, false, "limits", "a program inside took four times the memory that it may");
    else if (res.how != JAIL_MEMORY && !*res.notes) /* nobody ended anything for it */
        found(f, false, "limits", *res.why ? res.why : "no program inside came to the limit of memory, so nothing is proven of it");
    else
        found(f, true, "limits", res.grouped ? "a control group limits memory and processes" : "memory is looked at every 20 ms and "
              "everything ended past its limit, for there is no control group to be had; better: start crannog in a group of your own "
              "(systemd-run --user --scope -p Delegate=yes crannog ...)");
    jail_result_release(&res);
}

void doctor_jail(struct findings *f)
{
    const char *home = getenv("HOME");
    BUF_CLEANUP struct buf script = BUF_INIT(16 * 1024);
    for (size_t i = 0; i < WALLS; i++)
        buf_addf(&script, "{ %s:\n} | sed 's/^/%zu /'\n", walls[i].script, i);
    buf_add_text(&script, "echo tried\n");
    struct slice words[] = {SLICE("/bin/sh"), SLICE("-c"), buf_slice(&script), SLICE("sh"), slice_of(home && *home ? home : "/root")};
    struct jail_result res = {0};
    struct error e;
    if (run_jail(words, 5, 0, &res, &e)) {
        found(f, false, "jail", e.text);
    } else if (res.how != JAIL_EXITED || res.status != 0 || !slice_ends(buf_slice(&res.out), SLICE("tried\n"))) {
        found(f, false, "jail", *res.why ? res.why : "the jail's program did not come to its end"); /* that proves nothing */
    } else {
        for (size_t i = 0; i < WALLS; i++)
            check_wall(f, i, buf_slice(&res.out));
        check_landlock(f, res.landlock);
        check_limits(f);
    }
    jail_result_release(&res);
}
