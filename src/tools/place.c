#include "tools/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"

static const uint64_t MIB = 1024 * 1024;

enum err place_look(const char *work, struct place *ret, struct error *e)
{
    struct stat st, state;
    if (sys->fstatat(AT_FDCWD, work, &st, 0) < 0)
        return error_errno(e, errno, "cannot use the folder %s", work);
    if (!S_ISDIR(st.st_mode))
        return error_set(e, ERR_USAGE, "%s is not a folder", work);
    *ret = (struct place){.work = work, .uid = st.st_uid, .gid = st.st_gid, .dev = st.st_dev, .ino = st.st_ino};
    FD_CLEANUP int dir = sys->openat(AT_FDCWD, work, O_RDONLY | O_DIRECTORY, 0);
    ret->has_state = dir >= 0 && sys->fstatat(dir, ".crannog", &state, AT_SYMLINK_NOFOLLOW) == 0;
    return OK;
}

static struct slice environment[] = {
    {"PATH=/usr/local/bin:/usr/bin:/bin", 33}, {"HOME=/tmp", 9}, {"TMPDIR=/tmp", 11}, {"LANG=C.UTF-8", 12}};

void place_plan(const struct place *p, bool writable, struct jail_plan *ret)
{
    struct slice work = slice_of(p->work);
    *ret = (struct jail_plan){.uid = p->uid, .gid = p->gid, .cwd = work, .env = environment,
                              .nenv = sizeof environment / sizeof *environment};
    ret->limits = (struct jail_limits){.wall_ms = 30000, .cpu_ms = 5000, .memory = 2048 * MIB, .file_size = 256 * MIB,
                                       .files = 256, .processes = 64, .output = 64 * 1024};
    jail_plan_add_system(ret);
    jail_plan_add(ret, (struct jail_mount){.kind = JAIL_SCRATCH, .target = SLICE("/tmp"), .bytes = 256 * MIB});
    jail_plan_add(ret, (struct jail_mount){.kind = writable ? JAIL_WRITE : JAIL_READ, .source = work, .target = work});
    if (p->has_state) {
        static char cover[4096]; /* one plan is made at a time; its bytes are encoded before the next */
        snprintf(cover, sizeof cover, "%s/.crannog", p->work);
        jail_plan_add(ret, (struct jail_mount){.kind = JAIL_EMPTY, .target = slice_of(cover)});
    }
    size_t n = strlen(p->work);
    if (p->state && strncmp(p->state, p->work, n) == 0 && p->state[n] == '/')
        jail_plan_add(ret, (struct jail_mount){.kind = JAIL_EMPTY, .target = slice_of(p->state), .optional = true});
}

void place_command(const struct place *p, struct slice *argv, size_t n, uint64_t cpu_ms, uint64_t wall_ms, struct jail_plan *ret)
{
    place_plan(p, false, ret);
    ret->argv = argv;
    ret->nargv = n;
    ret->limits.cpu_ms = cpu_ms;
    ret->limits.wall_ms = wall_ms;
    ret->limits.memory = 4096 * MIB;
    ret->limits.files = 1024;
    ret->limits.processes = 512;
}
