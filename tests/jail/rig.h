/*
 * What the programs that try the real jail share: a folder with what a plan shows, plans, playing them.
 *
 *   PROGRAM root|user CRANNOG-JAIL ATTACKS     ATTACKS is a crannog-jail with the applets of attacks.c
 *
 * `root` is skipped (77) without root; `user` becomes uid 1234 below a folder of mode 0700 where it is started by root.
 * Where this machine lets nobody make a jail, the refusal is printed and the tests are skipped.
 */
#ifndef CRANNOG_TESTS_JAIL_RIG_H
#define CRANNOG_TESTS_JAIL_RIG_H

#include <sys/stat.h>

#include "jail/client.h"

enum { SKIPPED = 77 };

extern char top[64]; /* our folder, mode 0700; below it what is used */
extern char jail_path[128], attacks_path[128], work[128], ro[128], secret[128];
extern bool root;
extern uid_t owner; /* of work */
extern struct slice words[16]; /* argv of new_plan() */

/* Sets everything up: 0, or the status to end with. */
int rig_start(int argc, char **argv);
void tear_down(void);

struct jail_plan new_plan(void);
struct jail_result finish(struct peer *peer);
struct jail_result play(const char *program, const struct jail_plan *p);
/* `sh -c script` in the real program. */
struct jail_result play_shell(struct jail_plan *p, const char *script);
struct jail_result play_applet(struct jail_plan *p, const char *applet, const char *text);
void expect(struct jail_result *r, enum jail_how how, uint64_t status);
/* An applet that must not get through, on new_plan(). */
void attack(const char *applet, const char *text);
/* The output of a script that must succeed; static. */
const char *output(struct jail_plan *p, const char *script);

/* A path of four that take turns. */
char *below(const char *folder, const char *name);
void write_text(const char *path, const char *text, mode_t mode, uid_t uid);
void make_folder(const char *path, mode_t mode, uid_t uid);
bool exists(const char *path);
/* Whether a process is there and has not ended; who collects it, and when, is no matter. */
bool lives(pid_t pid);
struct stat look(const char *path);

#endif
