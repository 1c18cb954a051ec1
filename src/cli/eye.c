/* How the command line looks at the machine for what commands in jails find around them (tools/setting.h). */
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/session.h"

static const char *variable(void *ctx, const char *name)
{
    (void)ctx;
    return getenv(name);
}

static bool real(void *ctx, const char *path, char ret[JAIL_PATH_MAX + 1])
{
    char found[PATH_MAX];
    struct stat st;
    (void)ctx;
    if (sys->fstatat(AT_FDCWD, path, &st, 0) < 0 || !(S_ISDIR(st.st_mode) || S_ISREG(st.st_mode)) || !realpath(path, found))
        return false;
    memcpy(ret, found, strlen(found) + 1);
    return true;
}

static bool text(void *ctx, const char *path, struct buf *ret)
{
    (void)ctx;
    return cli_read_file(path, "git's configuration", SETTING_FILE_MAX, ret, NULL) == OK;
}

static bool has_locale(void *ctx, const char *name)
{
    (void)ctx;
    if (strcmp(name, "C") == 0 || strcmp(name, "POSIX") == 0 || strcmp(name, "C.UTF-8") == 0)
        return true;
    locale_t l = newlocale(LC_ALL_MASK, name, (locale_t)0);
    if (l)
        freelocale(l);
    return l != (locale_t)0;
}

const struct setting_eye *session_eye(void)
{
    static struct setting_eye eye = {NULL, 0, variable, real, text, has_locale};
    eye.uid = geteuid();
    return &eye;
}

enum err session_look_around(struct arena *a, struct setting *ret, struct error *e)
{
    return setting_make(session_eye(), a, ret, e);
}
