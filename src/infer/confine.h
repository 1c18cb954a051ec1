/*
 * What a process that reads strangers' model files and texts gives up before it reads any.
 */
#ifndef CRANNOG_INFER_CONFINE_H
#define CRANNOG_INFER_CONFINE_H

#include "base/err.h"

/* No core dumps, not to be traced, no new privileges, and a list of system calls that lets it use what descriptors it
   has, memory and threads: no opening, no sockets, no programs, no processes, no new executable memory. Where the build
   has no list for the machine (ERR_UNSUPPORTED) the rest is done. */
enum err MUST_USE confine(struct error *e);

#endif
