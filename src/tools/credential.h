/*
 * Files with credentials in a work folder: found when a run begins, by name and, where a name alone says too little, by a look
 * at what stands in them; its jails then show an empty file in their place. It is a second net and no wall: the walls are
 * that nothing gets out and that secrets have no business in a work folder.
 *
 * What test suites keep for their tests (any folder called test*, spec*, fixture*, example*, ...) is left alone, and so is
 * `.env.example` and its like.
 */
#ifndef CRANNOG_TOOLS_CREDENTIAL_H
#define CRANNOG_TOOLS_CREDENTIAL_H

#include "base/arena.h"
#include "base/buf.h"

enum {
    CREDENTIALS_MAX = 32,
    CREDENTIAL_DEPTH = 6,      /* folders below the root that are looked into */
    CREDENTIAL_NAMES = 50000,  /* that are looked at, */
    CREDENTIAL_MS = 100,       /* in this time; */
    CREDENTIAL_LOOK = 64 * 1024, /* and so much of a file */
};

enum credential { CREDENTIAL_NO, CREDENTIAL_YES, CREDENTIAL_LOOK_INSIDE };

/* By its path below the work folder. */
enum credential credential_by_name(struct slice path);
/* By what stands in it; `path` said CREDENTIAL_LOOK_INSIDE. */
bool credential_by_content(struct slice path, struct slice content);

struct credentials {
    struct slice paths[CREDENTIALS_MAX]; /* below the root, UTF-8 */
    size_t n;
    bool cut; /* there is more, or it was not all looked at */
};

/* Looks through the folder, without following a link; `cover` is a name at its top that is left out, or NULL. What cannot be opened is
   passed over. Paths lie in the arena. ERR_MEMORY. */
enum err MUST_USE credentials_find(int root, const char *cover, struct arena *a, struct credentials *ret, struct error *e);

#endif
