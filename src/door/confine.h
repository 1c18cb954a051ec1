/*
 * What crannog-door gives up before it reads a byte from anybody: programs, writing or making files, listening, kernel interfaces
 * that it has no use for. It keeps sockets of the internet, reading below /etc (certificates, how names are asked for) and the
 * descriptors it has. Nobody may look into it: no core dumps, no ptrace by its user.
 */
#ifndef CRANNOG_DOOR_CONFINE_H
#define CRANNOG_DOOR_CONFINE_H

#include "base/err.h"

/* Before the first thread. ERR_UNSUPPORTED where this build or machine cannot limit system calls; the rest is done then. */
enum err MUST_USE confine(struct error *e);

#endif
