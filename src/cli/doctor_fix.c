/*
 * crannog doctor --fix: what a machine lacks so that everybody's jails can be made there, written as root.
 *
 *   sysctl     where user namespaces are shut for users, or there may be none: a file in /etc/sysctl.d, and the setting itself
 *   AppArmor   where it keeps user namespaces to programs that have a profile (Ubuntu from 23.10 on): one for crannog-jail alone, so that the
 *              machine's setting stays for all others. It names the places that only root writes; a crannog-jail elsewhere could be anybody's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/doctor.h"
#include "wire/peer.h"

#define SYSCTL_FILE "/etc/sysctl.d/60-crannog.conf"
#define PROFILE_FILE "/etc/apparmor.d/crannog-jail"

/* Also in the package, as data/apparmor/crannog-jail; tests/cli/test_doctor.sh compares them. */
static const char profile[] =
    "# crannog-jail makes user namespaces to shut programs in; nothing else is allowed or refused by this.\n"
    "abi <abi/4.0>,\n"
    "include <tunables/global>\n"
    "\n"
    "profile crannog-jail /usr/{,local/}bin/crannog-jail flags=(unconfined) {\n"
    "  userns,\n"
    "  include if exists <local/crannog-jail>\n"
    "}\n";

static const struct setting_of_kernel {
    const char *file, *line, *value, *does;
} settings[] = {
    {"/proc/sys/kernel/unprivileged_userns_clone", "kernel.unprivileged_userns_clone = 1\n", "1", "users may make user namespaces"},
    {"/proc/sys/user/max_user_namespaces", "user.max_user_namespaces = 10000\n", "10000", "there may be user namespaces"},
};

struct fixing {
    struct findings *f;
    const char *root; /* "" for this machine */
    size_t done;
};

static bool starts_with(const struct fixing *x, const char *file, char c)
{
    char path[4096], first = 0;
    snprintf(path, sizeof path, "%s%s", x->root, file);
    FD_CLEANUP int fd = sys->openat(AT_FDCWD, path, O_RDONLY, 0);
    return fd >= 0 && sys->read(fd, &first, 1) == 1 && first == c;
}

/* The file as a whole, at its place below the root; says so. */
static bool put_file(struct fixing *x, const char *file, struct slice text, const char *does)
{
    char path[4096], folder[4096], said[4600];
    struct error e;
    snprintf(path, sizeof path, "%s%s", x->root, file);
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    enum err err = sys_mkdirs(folder, 0755, &e);
    if (!err)
        err = sys_replace_file(AT_FDCWD, path, text, 0644, &e);
    snprintf(said, sizeof said, "wrote %s: %s", path, does);
    found(x->f, !err, "fix", err ? e.text : said);
    x->done++;
    return !err;
}

/* For now, too; the file is for the next start of the machine. */
static void set_now(struct fixing *x, const struct setting_of_kernel *s)
{
    char said[256];
    FD_CLEANUP int fd = sys->openat(AT_FDCWD, s->file, O_WRONLY, 0);
    bool ok = fd >= 0 && sys->write(fd, s->value, strlen(s->value)) == (ssize_t)strlen(s->value);
    snprintf(said, sizeof said, ok ? "set %s to %s" : "cannot set %s to %s now (it holds from the next start of the machine on)", s->file, s->value);
    found(x->f, ok, "fix", said);
}

static void fix_settings(struct fixing *x)
{
    BUF_CLEANUP struct buf text = BUF_INIT(4096), does = BUF_INIT(4096);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (starts_with(x, settings[i].file, '0')) {
            buf_add_text(&text, settings[i].line);
            buf_addf(&does, "%s%s", does.n ? "; " : "", settings[i].does);
        }
    if (!text.n || !put_file(x, SYSCTL_FILE, buf_slice(&text), buf_str(&does)) || *x->root)
        return;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (starts_with(x, settings[i].file, '0'))
            set_now(x, &settings[i]);
}

/* apparmor_parser, from where the system has it. */
static bool load_profile(void)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        char *const argv[] = {"apparmor_parser", "-r", PROFILE_FILE, NULL}, *const env[] = {"PATH=/usr/sbin:/sbin:/usr/bin:/bin", NULL};
        execve("/usr/sbin/apparmor_parser", argv, env);
        execve("/sbin/apparmor_parser", argv, env);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return pid > 0 && status == 0;
}

static void fix_profile(struct fixing *x)
{
    BUF_CLEANUP struct buf path = BUF_INIT(4096);
    struct error e;
    if (!starts_with(x, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", '1') ||
        !put_file(x, PROFILE_FILE, slice_of(profile), "AppArmor lets crannog-jail make user namespaces, and nobody else") || *x->root)
        return;
    bool loaded = load_profile();
    found(x->f, loaded, "fix", loaded ? "AppArmor has read it" : "AppArmor did not take it; mend: apparmor_parser -r " PROFILE_FILE " says why");
    if (peer_find("crannog-jail", &path, &e) || (strcmp(buf_str(&path), "/usr/bin/crannog-jail") != 0 && strcmp(buf_str(&path), "/usr/local/bin/crannog-jail") != 0))
        found(x->f, false, "fix", "the profile is for crannog-jail in /usr/bin or /usr/local/bin, where only root writes, and this one is elsewhere; "
              "mend: sudo make install");
}

void doctor_fix(struct findings *f, const char *root)
{
    struct fixing x = {f, root ? root : "", 0};
    if (!root && geteuid() != 0) {
        found(f, false, "fix", "only root may change this machine; mend: sudo crannog doctor --fix");
        return;
    }
    fix_settings(&x);
    fix_profile(&x);
    if (!x.done)
        found(f, true, "fix", "nothing to mend: user namespaces can be made; `crannog doctor`, as the user who works, tries the jail");
}
