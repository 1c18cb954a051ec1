#include "tools/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"

static const uint64_t MIB = 1024 * 1024;

/* Whether `path` lies below `folder`; both real. */
static bool lies_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && path[n] == '/';
}

enum err place_look(const char *work, const char *state, struct place *ret, struct error *e)
{
    struct stat st;
    if (sys->fstatat(AT_FDCWD, work, &st, 0) < 0)
        return error_errno(e, errno, "cannot use the folder %s", work);
    if (!S_ISDIR(st.st_mode))
        return error_set(e, ERR_USAGE, "%s is not a folder", work);
    *ret = (struct place){.work = work, .uid = st.st_uid, .gid = st.st_gid, .dev = st.st_dev, .ino = st.st_ino, .state = state,
                          .holds_state = state && lies_below(state, work)};
    int n = snprintf(ret->cover, sizeof ret->cover, "%s/.crannog", work);
    return n >= 0 && (size_t)n < sizeof ret->cover ? OK : error_set(e, ERR_LIMIT, "the path of the folder %.200s… is too long", work);
}

/* What a command may use of memory, all its processes together: never so much that the machine has none left. */
static uint64_t memory_max(void)
{
    const uint64_t most = (uint64_t)PLACE_MEMORY_GIB * 1024 * MIB;
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t machine = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size / 4 * 3 : most;
    return machine < most ? machine : most;
}

static struct slice environment[] = {SLICE_INIT("PATH=/usr/local/bin:/usr/bin:/bin"), SLICE_INIT("HOME=/tmp"),
                                     SLICE_INIT("TMPDIR=/tmp"), SLICE_INIT("LANG=C.UTF-8")};

void place_plan(const struct place *p, bool writable, struct jail_plan *ret)
{
    struct slice work = slice_of(p->work);
    *ret = (struct jail_plan){.uid = p->uid, .gid = p->gid, .cwd = work, .env = environment,
                              .nenv = sizeof environment / sizeof *environment};
    ret->limits = (struct jail_limits){.wall_ms = 30000, .cpu_ms = 5000, .memory = 2048 * MIB, .file_size = 256 * MIB,
                                       .files = 256, .processes = 64, .output = 64 * 1024};
    jail_plan_add_system(ret);
    jail_plan_add(ret, (struct jail_mount){.kind = JAIL_SCRATCH, .target = SLICE("/tmp"), .bytes = 256 * MIB});
    struct jail_mount m = {.kind = writable ? JAIL_WRITE : JAIL_READ, .source = work, .target = work};
    if (p->copy.n) {
        m.kind = JAIL_WRITE;
        m.source = p->copy;
    } else if (p->nlayers || p->upper.n) {
        m.kind = JAIL_LAYERS;
        m.layers = p->layers;
        m.nlayers = p->nlayers;
        m.upper = p->upper;
    }
    jail_plan_add(ret, m);
    /* Covered if it is there when the jail is made, not if it was there when somebody looked. */
    jail_plan_add(ret, (struct jail_mount){.kind = JAIL_EMPTY, .target = slice_of(p->cover), .optional = true});
    if (p->holds_state && !p->copy.n && strcmp(p->state, p->cover) != 0 && !lies_below(p->state, p->cover))
        jail_plan_add(ret, (struct jail_mount){.kind = JAIL_EMPTY, .target = slice_of(p->state)});
}

void place_command(const struct place *p, struct slice *argv, size_t n, uint64_t cpu_ms, uint64_t wall_ms, struct jail_plan *ret)
{
    place_plan(p, false, ret);
    ret->argv = argv;
    ret->nargv = n;
    ret->limits.cpu_ms = cpu_ms;
    ret->limits.wall_ms = wall_ms;
    if (p->upper.n || p->copy.n)
        ret->limits.disk = ret->limits.file_size = (uint64_t)PLACE_DISK_GIB * 1024 * MIB;
    ret->limits.memory = 0; /* sanitizers and the like ask for far more than they use */
    ret->limits.memory_all = memory_max();
    ret->limits.files = 1024;
    ret->limits.processes = 512;
}
