/*
 * Where people keep toolchains and build caches: tables, no code that knows one by name.
 *
 * What is listed here is shown to every command in a jail, so of each only the parts that hold programs and their data; never
 * a folder whose files keep tokens (cargo's credentials and config, npm's and pip's settings, histories). To add one: a row, and
 * `tests/unit/test_setting.c` where it does something that no other row does.
 */
#ifndef CRANNOG_TOOLS_TOOLCHAIN_H
#define CRANNOG_TOOLS_TOOLCHAIN_H

enum { TOOLCHAIN_PARTS = 12 };

struct toolchain {
    const char *variable; /* of the environment, says where it lies, and is set inside too; NULL: none */
    const char *folder;   /* where it lies else: below the home folder, or absolute; NULL: nowhere */
    const char *parts[TOOLCHAIN_PARTS]; /* below that; "" is all of it */
};

/* Each ends with a row of nothing. Toolchains are shown read-only, of caches each jail sees what is there and keeps what it writes. */
extern const struct toolchain toolchains[], toolchain_caches[];
/* Files and folders below the home folder that are never shown, nor what holds one of them. NULL at the end. */
extern const char *const toolchain_secrets[];
/* Beginnings of names of a release that was unpacked somewhere: where PATH leads to FOLDER/NAME.../bin it is shown. NULL at the end. */
extern const char *const toolchain_releases[];
/* Variables that say nothing of files and go in as they are. NULL at the end. */
extern const char *const toolchain_variables[];

#endif
