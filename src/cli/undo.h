/* Taking back inside a session that has other runs. */
#ifndef CRANNOG_CLI_UNDO_H
#define CRANNOG_CLI_UNDO_H

#include "cli/session.h"

/* Begins the run that takes back what `of` landed in steps after `after`; *ret is the engine's, and has to be worked on.
   *ret_any false: it landed nothing since, and no run was begun. */
enum err MUST_USE undo_in(struct session *s, const struct run_state *of, uint32_t after, struct run **ret, bool *ret_any, struct error *e);

#endif
