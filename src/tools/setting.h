/*
 * The setting of a command in a jail: what of the person's machine, beside the system, it finds around it. Their toolchains
 * (read-only), their build caches (what it writes there goes with the jail), an empty home folder at the place of theirs, who they are to git, and
 * an environment that is built from nothing.
 *
 * Whether a folder is there is looked at once, when a session begins, through an eye (so that all of this can be tried without a
 * machine); nothing of the home folder is opened but git's configuration, of which three lines are kept.
 */
#ifndef CRANNOG_TOOLS_SETTING_H
#define CRANNOG_TOOLS_SETTING_H

#include "base/arena.h"
#include "base/buf.h"
#include "jail/plan.h"

enum { SETTING_SHOWN_MAX = 56, SETTING_ENV_MAX = 64, SETTING_PATH_MAX = 64, SETTING_LED_MAX = 64, SETTING_FILE_MAX = 256 * 1024, SETTING_ARENA = 512 * 1024,
       SETTING_SCRATCH = 1 << 30 /* bytes of the home folder, and of all that is written to caches */ };

/* How the machine is looked at. */
struct setting_eye {
    void *ctx;
    uint32_t uid; /* of the person */
    const char *(*variable)(void *ctx, const char *name);                       /* NULL: not set */
    bool (*real)(void *ctx, const char *path, char ret[JAIL_PATH_MAX + 1]);     /* its path without links; false: nothing there */
    bool (*text)(void *ctx, const char *path, struct buf *ret);                 /* a small file; false: it cannot be read */
    bool (*locale)(void *ctx, const char *name);                                /* whether programs here know it */
};

/* What keeps secrets: in the home folder by name, and where such a name is a link, there too. */
struct setting_guard {
    struct slice home;
    struct slice led[SETTING_LED_MAX];
    size_t nled;
};

struct setting {
    struct setting_guard guard;
    struct slice home;  /* absolute, without links; empty: there is none to stand in for, and HOME is /tmp */
    struct jail_mount shown[SETTING_SHOWN_MAX]; /* SHOWN and CACHE, all optional */
    size_t nshown;
    struct slice env[SETTING_ENV_MAX]; /* all but PATH, HOME, TMPDIR and TERM */
    size_t nenv;
    struct slice path[SETTING_PATH_MAX]; /* the entries of the person's PATH in their order, as they can be found inside; */
    bool hidden[SETTING_PATH_MAX];       /* or that are not shown, unless the work folder has them */
    size_t npath;
    struct slice term;  /* the kind of terminal; empty: none was said */
    struct slice git;   /* what ~/.gitconfig says inside; empty: nothing */
    uint32_t uid;
    struct slice user;  /* the person's name; empty: it is not known */
};

/* Fills *ret; texts lie in the arena (SETTING_ARENA always suffices; what does not fit a bound above is left out). */
enum err MUST_USE setting_make(const struct setting_eye *eye, struct arena *a, struct setting *ret, struct error *e);
/* Whether a folder or file may be shown to jails: it neither is, nor holds, nor lies in what keeps secrets, is not the home folder or above it,
   and no part of the running system (/proc, /run, /etc ...). ERR_DENIED in words; `path` is absolute and without links. */
enum err MUST_USE setting_may_show(struct slice path, const struct setting_guard *g, struct error *e);
/* Looks where a home folder's secrets lie. What is at more than SETTING_LED_MAX other places, or does not fit the arena, is ERR_LIMIT. */
enum err MUST_USE setting_guard_look(const struct setting_eye *eye, struct slice home, struct arena *a, struct setting_guard *ret, struct error *e);
/* What git's configuration `text` says of who commits and how new branches are called, as lines of another one; appended. */
void setting_git_identity(struct slice text, struct buf *ret);

#endif
