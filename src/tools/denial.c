#include "tools/denial.h"

#include <signal.h>
#include <string.h>

/* One more, unless that wall was named. */
static bool add(struct denials *d, const char *wall)
{
    for (size_t i = 0; i < d->n; i++)
        if (strcmp(d->walls[i], wall) == 0)
            return false;
    if (d->n == DENIALS_MAX)
        return false;
    d->walls[d->n++] = wall;
    return true;
}

static bool says(struct slice out, const char *const *texts)
{
    for (; *texts; texts++)
        if (slice_find(out, slice_of(*texts), 0) < out.n)
            return true;
    return false;
}

/* ---- limits, which are certain ---- */

static void add_limit(struct denials *d, enum limit l, const char *more)
{
    if (add(d, limit_name(l)))
        buf_addf(&d->words, "it reached the limit %s; more is allowed by --limit %s=%s, or below limits: in crannog.yaml\n", limit_name(l), limit_name(l), more);
}

static void find_limits(const struct jail_result *r, struct denials *d)
{
    bool exited = r->how == JAIL_EXITED; /* a shell says 128 and the signal of what it started */
    uint64_t signal = r->how == JAIL_SIGNALLED ? r->status : exited && r->status > 128 ? r->status - 128 : 0;
    if (r->how == JAIL_TIMEOUT)
        add_limit(d, LIMIT_TIME, "2h");
    if (r->how == JAIL_CPU || signal == SIGXCPU)
        add_limit(d, LIMIT_CPU, "4h");
    if (r->how == JAIL_DISK)
        add_limit(d, LIMIT_DISK, "40G");
    if (r->how == JAIL_ENTRIES)
        add_limit(d, LIMIT_FILES, "5000000");
    if (r->how == JAIL_MEMORY)
        add_limit(d, LIMIT_MEMORY, "16G");
    if (signal == SIGXFSZ)
        add_limit(d, LIMIT_FILE_SIZE, "20G");
}

/* ---- what it printed, which is a sign ---- */

static void find_signs(struct slice out, const struct place *place, struct denials *d)
{
    static const char *const network[] = {"Could not resolve host", "Temporary failure in name resolution", "Name or service not known", "EAI_AGAIN",
                                          "getaddrinfo ENOTFOUND", "Network is unreachable", "ENETUNREACH", "dial tcp: lookup", "UnknownHostException",
                                          "failed to lookup address", NULL};
    static const char *const full[] = {"No space left on device", "ENOSPC", NULL};
    static const char *const files[] = {"Too many open files", "EMFILE", NULL};
    static const char *const processes[] = {"fork: retry", "Cannot fork", "fork: Resource temporarily unavailable", "can't start new thread",
                                            "unable to create native thread", NULL};
    static const char *const nested[] = {"No usable sandbox", "Failed to move to new namespace", "/etc/chromium.d", NULL};
    static const char *const read_only[] = {"Read-only file system", "EROFS", NULL};
    if (says(out, network) && add(d, "network"))
        buf_add_text(&d->words, "perhaps the network: there is none in the jail; what is to be downloaded must be there before (install it outside first)\n");
    if (!(place->terms && place->terms->browser) && says(out, nested) && add(d, "browser"))
        buf_add_text(&d->words, "perhaps the sandbox that a browser builds for itself; it is allowed by --browser, or browser: true in crannog.yaml\n");
    if (says(out, full) && add(d, "tmp"))
        buf_add_text(&d->words, "perhaps the room in /tmp and the home folder; more is allowed by --limit tmp=8G, or below limits: in crannog.yaml\n");
    if (says(out, files) && add(d, "open-files"))
        buf_add_text(&d->words, "perhaps the limit open-files; more is allowed by --limit open-files=262144, or below limits: in crannog.yaml\n");
    if (says(out, processes) && add(d, "processes"))
        buf_add_text(&d->words, "perhaps the limit processes; more is allowed by --limit processes=4000, or below limits: in crannog.yaml\n");
    if (says(out, read_only) && add(d, "read-only"))
        buf_addf(&d->words, "perhaps a folder that is read-only in the jail: it may write in %.300s, in /tmp and, until it ends, in its home folder\n", place->work);
}

static bool is_path_byte(char c)
{
    return (unsigned char)c > ' ' && c != 0x7f && !strchr("'\":;,()[]{}<>|`*?\\$&!#", c);
}

/* Whether the jail shows what lies at an absolute path, or would, if it were there. */
static bool is_seen(const struct place *p, struct slice path)
{
    static const char *const own[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/proc", "/dev", "/tmp", "/etc", "/sys", "/run", "/nix/store", "/var/run"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (slice_within(path, slice_of(own[i])))
            return true;
    if (slice_within(path, slice_of(p->work)) || slice_below(slice_of(p->work), path))
        return true;
    for (size_t i = 0; p->terms && i < p->terms->nshow; i++)
        if (slice_within(path, p->terms->show[i]))
            return true;
    for (size_t i = 0; p->setting && i < p->setting->nshown; i++)
        if (slice_within(path, p->setting->shown[i].target))
            return true;
    return false;
}

/* The folder that would have to be shown for a path: /opt/NAME, and of the home folder and all else the path's own folder. */
static struct slice folder_to_show(struct slice path)
{
    size_t last = slice_last_part(path);
    if (slice_below(path, SLICE("/opt")))
        return slice_sub(path, 0, 5 + slice_index(slice_sub(path, 5, path.n), '/'));
    return last > 1 ? slice_sub(path, 0, last - 1) : path;
}

static void find_path(struct slice line, const struct place *place, struct denials *d)
{
    static const char *const missing[] = {"No such file or directory", "ENOENT", "not found", "cannot find", "does not exist", NULL};
    if (!says(line, missing))
        return;
    for (size_t i = 0; i < line.n; i++) {
        size_t n = 0;
        while (line.p[i] == '/' && (i == 0 || !is_path_byte(line.p[i - 1])) && i + n < line.n && is_path_byte(line.p[i + n]))
            n++;
        struct slice path = slice_sub(line, i, n), show = folder_to_show(path);
        static const struct setting_guard nothing;
        if (n > 2 && n < 400 && slice_find(path, SLICE("/.."), 0) == path.n && slice_find(path, SLICE("//"), 0) == path.n && !is_seen(place, path) &&
            setting_may_show(show, place->setting ? &place->setting->guard : &nothing, NULL) == OK && add(d, "not shown"))
            buf_addf(&d->words, "perhaps %.*s, which the jail does not show; if it is there outside, it is allowed by --show %.*s, or below show: in crannog.yaml\n",
                     SLICE_ARG(path), SLICE_ARG(show));
        i += n;
    }
}

/* Folders of the person's PATH that are not shown: what is not found may lie there. */
static void find_program(const struct jail_result *r, const struct place *place, struct denials *d)
{
    const struct setting *s = place->setting;
    for (size_t i = 0; s && r->how == JAIL_EXITED && r->status == 127 && i < s->npath; i++)
        if (s->hidden[i] && !is_seen(place, s->path[i]) && setting_may_show(s->path[i], &s->guard, NULL) == OK && add(d, "not shown"))
            buf_addf(&d->words, "perhaps the program lies in %.*s of PATH, which the jail does not show; it is allowed by --show %.*s, or below show: in crannog.yaml\n",
                     SLICE_ARG(s->path[i]), SLICE_ARG(s->path[i]));
}

void denial_find(const struct jail_result *r, struct slice out, const struct place *place, struct denials *ret)
{
    struct slice tail = out.n > DENIAL_TAIL ? slice_sub(out, out.n - DENIAL_TAIL, out.n) : out, line;
    *ret = (struct denials){.words = BUF_INIT(DENIAL_WORDS)};
    find_limits(r, ret);
    if (r->how == JAIL_EXITED && r->status == 0) /* what it says then it has got over */
        return;
    find_signs(tail, place, ret);
    while (slice_line(&tail, &line))
        find_path(line, place, ret);
    find_program(r, place, ret);
}
