/* Changes shown as a diff that is made in a jail: for crannog diff, and for what a person is asked about. */
#ifndef CRANNOG_CLI_DIFF_H
#define CRANNOG_CLI_DIFF_H

#include "cli/session.h"
#include "tools/diff.h"

struct diffing {
    struct session *s;
    struct slice work;                  /* path of the run's folder */
    struct arena *arena;
    struct manifest manifest;
    struct slice names[RUN_LAYERS_MAX]; /* of the folders that hold what the manifest names */
    size_t nnames;
    struct diff_wish wish;
};

/* Appends the diff; bytes that the run chose are in it. */
enum err MUST_USE diff_compare(struct diffing *d, struct buf *out, struct error *e);
/* Appends a file as it lies in the folder (`layer` below 0) or in a layer; nothing where that is none, or larger than DIFF_FILE_MAX. */
enum err MUST_USE diff_read(struct diffing *d, struct slice path, int layer, struct buf *ret, struct error *e);
/* A diff for a terminal: what could steer it is made visible, the colours of a diff stay if `color`. */
void diff_make_safe(struct slice text, bool color, struct buf *out);

#endif
