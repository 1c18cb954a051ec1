/*
 * Peers: start, watch and end one of the other programs (crannog-infer, crannog-jail, crannog-door).
 *
 * A peer has one socket to us, descriptor 3 in the program; further descriptors may be given and become 4, 5, ….
 * It dies with the thread that started it. Its environment is exactly what is given, its standard input is empty,
 * its standard output and error go to ours (it should not use them).
 */
#ifndef CRANNOG_WIRE_PEER_H
#define CRANNOG_WIRE_PEER_H

#include <sys/types.h>

#include "wire/frame.h"

enum { PEER_FDS_MAX = 15 }; /* descriptors that may be given beside the socket */

struct peer {
    pid_t pid;  /* 0: not running */
    int socket; /* -1: not running, or closed by peer_kill */
};

#define PEER_INIT ((struct peer){.pid = 0, .socket = -1})

/*
 * The folder where the sibling programs are: that of the running executable, then CRANNOG_LIBEXEC if it was given at
 * build time. Replaces `ret` by "<folder>/<name>"; ERR_MISSING with the places looked at.
 */
enum err MUST_USE peer_find(const char *name, struct buf *ret, struct error *e);
/* `argv` is NULL-terminated, argv[0] included; `fds` are borrowed. `nonblocking` is for our end of the socket. A
   program that cannot be executed is started all the same and ends at once with status 127. */
enum err MUST_USE peer_start(const char *path, char *const argv[], char *const env[], const int *fds, size_t nfds,
                             bool nonblocking, struct peer *ret, struct error *e);
/* Collects it if it has ended: true, and how in words appended to `ret_how` ("exit status 3", "killed by signal 9",
   "not running" for one that was collected or never started). Does not wait. The socket stays open for what the
   program said last; peer_kill closes it. */
bool peer_ended(struct peer *p, struct buf *ret_how);
/* SIGKILL and wait; closes the socket. NULL and a stopped peer are fine. */
void peer_kill(struct peer *p);

#endif
